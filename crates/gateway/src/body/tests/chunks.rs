//! The chunk decoder.

use bytes::Bytes;
use model::Condition;
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use crate::body::AwsChunked;
use crate::body::aws_chunked::Trailers;
use crate::signature::{ChunkSigning, Refusal, Streaming};

const SEED: &str = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
const TRAILER_SEED: &str = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e";
/// 64 KiB, 1 KiB and nothing, of the letter `a`.
const SIGNATURES: [&str; 3] = [
    "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
    "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
    "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
];
const TRAILER_SIGNATURES: [&str; 4] = [
    "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
    "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
    "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
    "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435",
];

fn signed(seed: &str, trailer: bool) -> Streaming {
    Streaming { signing: Some(ChunkSigning::example(seed)), trailer }
}

const UNSIGNED: Streaming = Streaming { signing: None, trailer: true };

fn chunk(size: usize, signature: &str) -> Vec<u8> {
    let mut chunk = format!("{size:x};chunk-signature={signature}\r\n").into_bytes();
    chunk.extend(vec![b'a'; size]);
    if size > 0 {
        chunk.extend(b"\r\n");
    }
    chunk
}

/// The published body without what follows the final chunk's line.
fn example(signatures: &[&str]) -> Vec<u8> {
    let sizes = [65_536, 1_024, 0];
    sizes.iter().zip(signatures).flat_map(|(size, signature)| chunk(*size, signature)).collect()
}

/// Decodes `body` in pieces that end at `cuts`.
fn decode_at(
    streaming: Streaming,
    decoded_bytes: u64,
    body: &[u8],
    cuts: &[usize],
) -> Result<(Vec<u8>, Trailers), Refusal> {
    let mut decoder = AwsChunked::new(streaming, decoded_bytes);
    let (mut decoded, mut start) = (Vec::new(), 0);
    for end in cuts.iter().copied().chain([body.len()]) {
        for data in decoder.push(Bytes::copy_from_slice(&body[start..end]))? {
            decoded.extend_from_slice(&data);
        }
        start = end;
    }
    Ok((decoded, decoder.finish()?))
}

fn decode(
    streaming: Streaming,
    decoded_bytes: u64,
    body: &[u8],
) -> Result<(Vec<u8>, Trailers), Refusal> {
    decode_at(streaming, decoded_bytes, body, &[])
}

fn condition(streaming: Streaming, decoded_bytes: u64, body: &[u8]) -> Option<Condition> {
    decode(streaming, decoded_bytes, body).err().map(|refusal| refusal.condition)
}

/// Source: S3 API reference, "Transferring Payload in Multiple Chunks".
#[test]
fn the_published_chunks_verify() {
    let body = [example(&SIGNATURES), b"\r\n".to_vec()].concat();
    assert_eq!(body.len(), 66_824);
    let (decoded, trailers) = decode(signed(SEED, false), 66_560, &body).unwrap();
    assert_eq!((decoded, trailers), (vec![b'a'; 66_560], vec![]));
}

/// Source: S3 API reference, "Including Trailing Headers (Chunked Upload)".
///
/// The second form is that of a client which ends the lines otherwise.
#[test]
fn the_published_trailer_verifies() {
    let signature = TRAILER_SIGNATURES[3];
    for end in [
        format!("x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:{signature}\r\n\r\n"),
        format!("x-amz-checksum-crc32c:sOO8/Q==\n\r\nx-amz-trailer-signature:{signature}\r\n\r\n"),
    ] {
        let body = [example(&TRAILER_SIGNATURES), end.into_bytes()].concat();
        let (_, trailers) = decode(signed(TRAILER_SEED, true), 66_560, &body).unwrap();
        assert_eq!(trailers, [("x-amz-checksum-crc32c".to_owned(), "sOO8/Q==".to_owned())]);
    }
}

#[test]
fn a_changed_or_missing_trailer_is_refused() {
    let signature = TRAILER_SIGNATURES[3];
    let line = "x-amz-checksum-crc32c:sOO8/Q==\r\n";
    let mark = format!("x-amz-trailer-signature:{signature}\r\n");
    for (end, expected) in [
        (String::from("\r\n"), Condition::IncompleteBody),
        (format!("{line}\r\n\r\n"), Condition::SignatureDoesNotMatch),
        (format!("{mark}\r\n"), Condition::SignatureDoesNotMatch),
        (format!("{}{mark}\r\n", line.replace("sO", "s0")), Condition::SignatureDoesNotMatch),
        (format!("{line}{}\r\n", mark.replace("d8", "d9")), Condition::SignatureDoesNotMatch),
        (format!("{line}{mark}x-amz-meta-a:1\r\n\r\n"), Condition::MalformedTrailer),
        (format!("{line}\r\nx-amz-meta-a:1\r\n{mark}\r\n"), Condition::MalformedTrailer),
        (format!("{line}{line}{mark}\r\n"), Condition::MalformedTrailer),
        (format!("{line}{mark}"), Condition::IncompleteBody),
        (format!("{line}{mark}\r\n\r\n\r\n"), Condition::IncompleteBody),
    ] {
        let body = [example(&TRAILER_SIGNATURES), end.clone().into_bytes()].concat();
        assert_eq!(condition(signed(TRAILER_SEED, true), 66_560, &body), Some(expected), "{end}");
    }
}

#[test]
fn swapped_repeated_truncated_and_foreign_chunks_are_refused() {
    let [one, two, three] = SIGNATURES;
    let end = b"\r\n".to_vec();
    let (first, second, last) = (chunk(65_536, one), chunk(1_024, two), chunk(0, three));
    let mut altered = first.clone();
    altered[50_000] = b'b';
    let unsigned = format!("10000\r\n{}\r\n", "a".repeat(65_536)).into_bytes();
    let wrong = Some(Condition::SignatureDoesNotMatch);
    let broken = Some(Condition::IncompleteBody);
    for (name, chunks, expected) in [
        ("swapped", vec![&second, &first, &last, &end], wrong),
        ("repeated", vec![&first, &first, &last, &end], broken),
        ("left out", vec![&first, &last, &end], broken),
        ("altered", vec![&altered, &second, &last, &end], wrong),
        ("unsigned", vec![&unsigned, &second, &last, &end], broken),
        ("without the final one", vec![&first, &second], broken),
        ("without its end", vec![&first, &second, &last], broken),
        ("followed by more", vec![&first, &second, &last, &end, &second], broken),
    ] {
        let body: Vec<u8> = chunks.into_iter().flatten().copied().collect();
        assert_eq!(condition(signed(SEED, false), 66_560, &body), expected, "{name}");
    }
    let repeated = [first.clone(), first, last, end].concat();
    let longer = condition(signed(SEED, false), 131_072, &repeated);
    assert_eq!(longer, wrong, "a repeated chunk does not follow itself");
}

#[test]
fn another_length_than_announced_is_refused() {
    let body = [example(&SIGNATURES), b"\r\n".to_vec()].concat();
    for length in [0, 1, 66_559, 66_561, u64::MAX] {
        let found = condition(signed(SEED, false), length, &body);
        assert_eq!(found, Some(Condition::IncompleteBody), "{length}");
    }
}

#[test]
fn broken_framing_is_refused() {
    for body in [
        "",
        "\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\r\nab\r\n0\r\n\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        " 3\r\nabc\r\n0\r\n\r\n",
        "-3\r\nabc\r\n0\r\n\r\n",
        "ffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        "10000000000000003\r\nabc\r\n0\r\n\r\n",
        "3\r\nabc\r\n0\r\n",
        "3\r\nabc\r\n",
        "3\r\nabc\r\n0\r\n\r\nx",
    ] {
        let found = condition(UNSIGNED, 3, body.as_bytes());
        assert_eq!(found, Some(Condition::IncompleteBody), "{body:?}");
    }
    let long = format!("3;{}\r\nabc\r\n0\r\n\r\n", "x".repeat(2_000));
    assert_eq!(condition(UNSIGNED, 3, long.as_bytes()), Some(Condition::IncompleteBody));
    let long = format!("0\r\n{}", "a:b\r\n".repeat(2_000));
    assert_eq!(condition(UNSIGNED, 0, long.as_bytes()), Some(Condition::MalformedTrailer));
    let long = format!("0\r\na:{}", "b".repeat(9_000));
    assert_eq!(condition(UNSIGNED, 0, long.as_bytes()), Some(Condition::MalformedTrailer));
}

#[test]
fn a_trailer_nobody_declared_is_refused() {
    let plain = Streaming { signing: None, trailer: false };
    assert_eq!(condition(plain.clone(), 0, b"0\r\n\r\n"), None);
    assert_eq!(condition(plain, 0, b"0\r\na:b\r\n\r\n"), Some(Condition::MalformedTrailer));
    let body = [example(&SIGNATURES), b"x-amz-meta-a:1\r\n\r\n".to_vec()].concat();
    let found = condition(signed(SEED, false), 66_560, &body);
    assert_eq!(found, Some(Condition::MalformedTrailer));
}

#[test]
fn unsigned_trailers_are_read_in_both_forms() {
    for end in ["x-amz-checksum-crc32:NSRBwg==\r\n\r\n", "X-Amz-Checksum-Crc32:NSRBwg==\n\r\n\r\n"]
    {
        let body = format!("3\r\nabc\r\n0\r\n{end}");
        let (decoded, trailers) = decode(UNSIGNED, 3, body.as_bytes()).unwrap();
        assert_eq!(decoded, b"abc");
        assert_eq!(trailers, [("x-amz-checksum-crc32".to_owned(), "NSRBwg==".to_owned())]);
    }
}

#[test]
fn after_a_refusal_nothing_is_accepted() {
    let mut decoder = AwsChunked::new(UNSIGNED, 0);
    assert!(decoder.push(Bytes::from_static(b"x\r\n")).is_err());
    assert!(decoder.push(Bytes::from_static(b"0\r\n\r\n")).is_err());
    assert!(decoder.finish().is_err());
}

#[test]
fn data_is_handed_out_without_a_copy() {
    let body = Bytes::from_static(b"3\r\nabc\r\n0\r\n\r\n");
    let data = AwsChunked::new(UNSIGNED, 3).push(body.clone()).unwrap();
    assert_eq!(data.len(), 1);
    assert_eq!(data[0].as_ptr(), body.slice(3..).as_ptr());
}

/// Three small signed chunks and a signed trailer, made with the example's key.
fn small_body() -> Vec<u8> {
    let mut signing = ChunkSigning::example(SEED);
    let mut body = Vec::new();
    for data in ["hello", ", ", "world", ""] {
        let signature = signing.sign_chunk(Sha256::digest(data).into());
        let head = format!("{:x};chunk-signature={signature}\r\n{data}", data.len());
        body.extend(head.into_bytes());
        body.extend(if data.is_empty() { &b""[..] } else { b"\r\n" });
    }
    let signature = signing.sign_trailer(b"x-amz-checksum-crc32:AAAAAA==\n");
    let end =
        format!("x-amz-checksum-crc32:AAAAAA==\r\nx-amz-trailer-signature:{signature}\r\n\r\n");
    body.extend(end.into_bytes());
    body
}

#[test]
fn a_cut_at_any_byte_changes_nothing() {
    let body = small_body();
    let whole = decode(signed(SEED, true), 12, &body).unwrap();
    assert_eq!(whole.0, b"hello, world");
    for cut in 0..=body.len() {
        assert_eq!(decode_at(signed(SEED, true), 12, &body, &[cut]), Ok(whole.clone()), "{cut}");
    }
    let everywhere: Vec<usize> = (0..body.len()).collect();
    assert_eq!(decode_at(signed(SEED, true), 12, &body, &everywhere), Ok(whole));
}

#[test]
fn a_body_that_ends_early_is_refused() {
    let body = small_body();
    for end in 0..body.len() {
        let found = condition(signed(SEED, true), 12, &body[..end]);
        assert_eq!(found, Some(Condition::IncompleteBody), "{end}");
    }
}

proptest! {
    #[test]
    fn no_byte_of_a_signed_body_can_be_changed(at in any::<usize>(), with in any::<u8>()) {
        let mut body = small_body();
        let whole = decode(signed(SEED, true), 12, &body).unwrap();
        let at = at % body.len();
        body[at] = with;
        let changed = decode(signed(SEED, true), 12, &body);
        prop_assert!(changed.is_err() || changed == Ok(whole));
    }

    #[test]
    fn garbage_never_panics(body in any::<Vec<u8>>(), is_signed in any::<bool>()) {
        let streaming = if is_signed { signed(SEED, true) } else { UNSIGNED };
        let _ = decode(streaming, 10, &body);
    }

    #[test]
    fn near_misses_never_panic(body in "[0-9a-f]{0,3}(;chunk-signature=a)?\r\n[a:;\r\n0]{0,40}") {
        let _ = decode(UNSIGNED, 10, body.as_bytes());
        let _ = decode(signed(SEED, true), 10, body.as_bytes());
    }
}
