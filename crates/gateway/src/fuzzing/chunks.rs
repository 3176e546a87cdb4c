//! The `aws-chunked` coding, in pieces cut anywhere.

use bytes::Bytes;
use model::Condition;
use sha2::{Digest as _, Sha256};

use crate::{
    body::{AwsChunked, Trailers},
    signature::{ChunkSigning, Streaming},
};

type Decoded = Result<(Vec<u8>, Trailers), Condition>;

/// A body as a right client sends it, and how it is then changed and cut.
#[derive(Debug)]
pub struct Framed<'a> {
    pub signed: bool,
    /// Lines of name and value, if a trailer is announced.
    pub trailer: Option<Vec<(String, String)>>,
    pub chunks: Vec<&'a [u8]>,
    /// One byte of the body is changed: place, and the bits that flip.
    pub change: Option<(u16, u8)>,
    pub cuts: Vec<u16>,
}

fn streaming(signed: bool, trailer: bool) -> Streaming {
    Streaming { signing: signed.then(|| ChunkSigning::example(&"0".repeat(64))), trailer }
}

/// Well-framed chunks decode; changed ones are refused, or mean the same when signed.
pub fn framed_chunks(framed: &Framed<'_>) -> bool {
    let (body, data) = (body(framed), framed.chunks.concat());
    let streaming = streaming(framed.signed, framed.trailer.is_some());
    let length = data.len() as u64;
    let whole = decode(&streaming, length, &body, &[]);
    assert_eq!(whole, decode(&streaming, length, &body, &framed.cuts), "cuts matter");
    let lines = framed.trailer.clone().unwrap_or_default();
    if clean(&lines) {
        assert_eq!(whole, Ok((data, lines)), "a good body is refused");
    }
    if let Some((at, bits)) = framed.change {
        let mut changed = body;
        let at = usize::from(at) % changed.len();
        changed[at] ^= bits;
        let read = decode(&streaming, length, &changed, &[]);
        assert_eq!(read, decode(&streaming, length, &changed, &framed.cuts), "cuts matter");
        let forged = framed.signed && read.is_ok() && read != whole;
        assert!(!forged, "a changed body passes as signed");
    }
    whole.is_ok_and(|(_, trailers)| framed.signed && trailers.len() > 1 && framed.chunks.len() > 2)
}

/// Any bytes at all: refused or not, the cuts do not matter.
pub fn raw_chunks(signed: bool, trailer: bool, length: u16, body: &[u8], cuts: &[u16]) -> bool {
    let streaming = streaming(signed, trailer);
    let whole = decode(&streaming, u64::from(length), body, &[]);
    assert_eq!(whole, decode(&streaming, u64::from(length), body, cuts), "cuts matter");
    if let Ok((data, trailers)) = &whole {
        assert_eq!(data.len(), usize::from(length));
        assert!(trailer || trailers.is_empty());
    }
    false
}

fn body(framed: &Framed<'_>) -> Vec<u8> {
    let mut signing = streaming(framed.signed, false).signing;
    let mut body = Vec::new();
    for data in framed.chunks.iter().copied().filter(|data| !data.is_empty()).chain([&b""[..]]) {
        body.extend(format!("{:x}", data.len()).bytes());
        if let Some(signing) = &mut signing {
            let signature = signing.sign_chunk(Sha256::digest(data).into());
            body.extend(format!(";chunk-signature={signature}").bytes());
        }
        body.extend(b"\r\n");
        body.extend(data);
        body.extend(if data.is_empty() { &b""[..] } else { b"\r\n" });
    }
    let lines = framed.trailer.iter().flatten();
    let lines: String = lines.map(|(name, value)| format!("{name}:{value}\n")).collect();
    body.extend(lines.replace('\n', "\r\n").bytes());
    if let (Some(signing), Some(_)) = (&signing, &framed.trailer) {
        let signature = signing.sign_trailer(lines.as_bytes());
        body.extend(format!("x-amz-trailer-signature:{signature}\r\n").bytes());
    }
    body.extend(b"\r\n");
    body
}

/// Whether the lines come out as they went in: named once, without blanks and control characters.
fn clean(lines: &[(String, String)]) -> bool {
    let name = |name: &str| {
        let known = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
        !name.is_empty() && name.bytes().all(known) && name != "x-amz-trailer-signature"
    };
    let value = |value: &str| value.trim() == value && !value.contains(char::is_control);
    let mut names: Vec<_> = lines.iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    names.dedup();
    let bytes: usize = lines.iter().map(|(name, value)| name.len() + value.len() + 3).sum();
    let good = |(a, b): &(String, String)| name(a) && value(b);
    names.len() == lines.len() && bytes < 4096 && lines.iter().all(good)
}

/// Decodes `body` in pieces that end at `cuts`.
fn decode(streaming: &Streaming, length: u64, body: &[u8], cuts: &[u16]) -> Decoded {
    let mut decoder = AwsChunked::new(streaming.clone(), length);
    let mut decoded = Vec::new();
    let mut ends: Vec<_> = cuts.iter().map(|cut| usize::from(*cut).min(body.len())).collect();
    ends.sort_unstable();
    let mut start = 0;
    for end in ends.into_iter().chain([body.len()]) {
        let pieces = decoder.push(Bytes::copy_from_slice(&body[start..end]));
        let pieces = pieces.map_err(|refusal| refusal.condition)?;
        pieces.iter().for_each(|piece| decoded.extend_from_slice(piece));
        start = end;
    }
    Ok((decoded, decoder.finish().map_err(|refusal| refusal.condition)?))
}
