//! What comes over the network.

use arbitrary::{Result, Unstructured};
use gateway::fuzzing;
use model::preconditions::{ByteRange, EtagMatch};

/// One byte chooses the operation and the dialect; the rest is the document, or a key for one.
pub fn documents(mut input: Unstructured<'_>) -> Result<bool> {
    let kind: u8 = input.arbitrary()?;
    let body = input.take_rest();
    if kind % 16 < 12 {
        return Ok(fuzzing::document(kind, kind & 16 > 0, body));
    }
    if let Ok(key) = std::str::from_utf8(body) {
        fuzzing::key_in_a_document(key);
    }
    Ok(false)
}

/// A body as a client frames it, changed in one place; or the rest of the input as it is.
pub fn chunks(mut input: Unstructured<'_>) -> Result<bool> {
    let [shape, count]: [u8; 2] = input.arbitrary()?;
    let (signed, trailer) = (shape & 1 > 0, shape & 2 > 0);
    let cuts: [u16; 4] = input.arbitrary()?;
    if shape & 4 > 0 {
        let length: u16 = input.arbitrary()?;
        return Ok(fuzzing::raw_chunks(signed, trailer, length, input.take_rest(), &cuts));
    }
    let change: Option<(u16, u8)> = input.arbitrary()?;
    let mut chunks = Vec::new();
    for _ in 0..count % 6 {
        let length: u8 = input.arbitrary()?;
        chunks.push(input.bytes(usize::from(length).min(input.len()))?);
    }
    let lines = String::from_utf8_lossy(input.take_rest()).into_owned();
    let lines = lines.lines().filter_map(|line| line.split_once(':'));
    let lines = lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let (trailer, cuts) = (trailer.then_some(lines), cuts.to_vec());
    Ok(fuzzing::framed_chunks(&fuzzing::Framed { signed, trailer, chunks, change, cuts }))
}

/// A request as text: the target in the first line, then headers.
fn request(text: &str) -> (&str, Vec<(&str, &str)>) {
    let mut lines = text.lines();
    let target = lines.next().unwrap_or_default();
    let headers = lines.filter_map(|line| line.split_once(": ")).take(16);
    (target, headers.collect())
}

pub fn headers(mut input: Unstructured<'_>) -> Result<bool> {
    let [kind, size]: [u8; 2] = input.arbitrary()?;
    let Ok(text) = std::str::from_utf8(input.take_rest()) else { return Ok(false) };
    let size_bytes = if size == 255 { u64::MAX } else { u64::from(size) };
    if kind & 2 > 0 {
        fuzzing::copy_source(kind & 1 > 0, text, kind & 4 > 0);
        if let Some(Ok(range)) = ByteRange::parse(text).map(|range| range.resolve(size_bytes)) {
            assert!(range.start < range.end && range.end <= size_bytes);
        }
        let _ = EtagMatch::parse(text);
        return Ok(false);
    }
    let (target, headers) = request(text);
    Ok(fuzzing::headers(kind & 1 > 0, target, &headers, size_bytes))
}

pub fn signatures(mut input: Unstructured<'_>) -> Result<bool> {
    const METHODS: [&str; 4] = ["GET", "PUT", "POST", "HEAD"];
    const HOSTS: [&str; 4] =
        ["bkt.example.com", "localhost:9000", "s3.amazonaws.com", "bkt.s3.amazonaws.com"];
    let [kind, place]: [u8; 2] = input.arbitrary()?;
    let change: (u16, u8) = input.arbitrary()?;
    let Ok(text) = std::str::from_utf8(input.take_rest()) else { return Ok(false) };
    let (target, headers) = request(text);
    let method = METHODS.get(usize::from(place & 3)).copied().unwrap_or_default();
    let host = HOSTS.get(usize::from(place >> 2 & 3)).copied().unwrap_or_default();
    if kind & 64 > 0 {
        fuzzing::garbage_signature(method, host, target, &headers);
        return Ok(false);
    }
    Ok(fuzzing::signature(kind, (method, host, target), &headers, change))
}

/// One byte chooses what the rest is: a form, the policy of one, a call, a document of grants, or
/// the claims of a token.
pub fn forms(mut input: Unstructured<'_>) -> Result<bool> {
    let kind: u8 = input.arbitrary()?;
    let oss = kind & 128 > 0;
    let body = input.take_rest();
    let text = std::str::from_utf8(body);
    Ok(match (kind % 6, text) {
        (0, _) => fuzzing::post_form(oss, body),
        (1, _) => fuzzing::iam_form(body),
        (2, _) => fuzzing::grants(oss, body),
        (3, Ok(text)) => fuzzing::call(text),
        (4, Ok(text)) => fuzzing::claims(text, 1_000_000),
        (5, Ok(text)) => {
            let (policy, fields) = text.split_once('\n').unwrap_or((text, ""));
            let fields = fields.lines().filter_map(|line| line.split_once('='));
            let fields: Vec<_> = fields.map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
            fuzzing::post_policy(policy, &fields)
        }
        _ => false,
    })
}
