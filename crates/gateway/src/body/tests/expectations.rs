//! What the headers promise, and how it is judged.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use model::Condition;
use model::checksums::Algorithm;

use crate::body::Expected;
use crate::body::expected::ExpectedChecksum;
use crate::dialect::Dialect;
use crate::signature::{Payload, Refusal, Streaming};

const CHUNKS: Payload = Payload::Streaming(Streaming { signing: None, trailer: true });
const BODY: &[u8] = b"123456789";

fn read(headers: &[(&str, &str)], payload: &Payload) -> Result<Expected, Refusal> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap());
    }
    Expected::read(&map, Dialect::S3, payload)
}

fn condition(result: Result<impl Sized, Refusal>) -> Option<Condition> {
    result.err().map(|refusal| refusal.condition)
}

fn judge(expected: &Expected) -> Option<Condition> {
    let length = BODY.len() as u64;
    condition(expected.check(length, |algorithm| Some(algorithm.hash(BODY))))
}

#[test]
fn right_promises_hold() {
    for (name, value) in [
        ("content-length", "9"),
        ("content-md5", "JfnnlDI7RTiF9RgfG2JNCw=="),
        ("x-amz-checksum-crc32", "y/Q5Jg=="),
        ("x-amz-checksum-crc32c", "4waSgw=="),
        ("x-amz-checksum-crc64nvme", "rosUhgp5mIg="),
        ("x-amz-checksum-sha1", "98O8HYCOBHMq32eZZczDTKeuNEE="),
    ] {
        let expected = read(&[(name, value)], &Payload::Unsigned).unwrap();
        assert_eq!(judge(&expected), None, "{name}");
    }
    assert_eq!(judge(&read(&[], &Payload::Unsigned).unwrap()), None);
}

#[test]
fn wrong_promises_are_refused_each_in_its_way() {
    for (name, value, expected) in [
        ("content-length", "8", Condition::IncompleteBody),
        ("content-length", "10", Condition::IncompleteBody),
        ("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==", Condition::BadDigest),
        ("x-amz-checksum-crc32", "AAAAAA==", Condition::ChecksumMismatch),
    ] {
        let found = read(&[(name, value)], &Payload::Unsigned).unwrap();
        assert_eq!(judge(&found), Some(expected), "{name}");
    }
    let found = read(&[], &Payload::Sha256([0; 32])).unwrap();
    assert_eq!(judge(&found), Some(Condition::ContentSha256Mismatch));
    let nothing_computed = found.check(9, |_| None);
    assert_eq!(condition(nothing_computed), Some(Condition::ContentSha256Mismatch));
}

#[test]
fn unreadable_promises_are_refused_before_the_body_is_read() {
    let crc32 = ("x-amz-checksum-crc32", "y/Q5Jg==");
    for (headers, expected) in [
        (&[("content-md5", "")][..], Condition::InvalidDigest),
        (&[("content-md5", "not base64")], Condition::InvalidDigest),
        (&[("content-md5", "AAAA")], Condition::InvalidDigest),
        (&[("content-length", "-1")], Condition::InvalidArgument),
        (&[("content-length", "+9")], Condition::InvalidArgument),
        (&[("content-length", "99999999999999999999")], Condition::InvalidArgument),
        (&[("x-amz-checksum-crc32", "AAAA")], Condition::InvalidRequest),
        (&[("x-amz-checksum-sha256", "y/Q5Jg==")], Condition::InvalidRequest),
        (&[crc32, ("x-amz-checksum-crc32c", "AAAAAA==")], Condition::InvalidRequest),
        (&[crc32, crc32], Condition::InvalidRequest),
        (&[crc32, ("x-amz-sdk-checksum-algorithm", "SHA1")], Condition::InvalidRequest),
        (&[crc32, ("x-amz-sdk-checksum-algorithm", "BAD")], Condition::InvalidRequest),
        (&[("x-amz-sdk-checksum-algorithm", "CRC32")], Condition::InvalidRequest),
        (&[("x-amz-trailer", "x-amz-checksum-crc32")], Condition::InvalidRequest),
    ] {
        assert_eq!(condition(read(headers, &Payload::Unsigned)), Some(expected), "{headers:?}");
    }
    let named = read(&[crc32, ("x-amz-sdk-checksum-algorithm", "crc32")], &Payload::Unsigned);
    assert_eq!(condition(named), None);
    assert_eq!(condition(read(&[], &CHUNKS)), Some(Condition::MissingContentLength));
}

#[test]
fn a_trailing_checksum_is_awaited() {
    let length = ("x-amz-decoded-content-length", "9");
    let trailer = ("x-amz-trailer", "x-amz-checksum-crc32");
    let line = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let awaiting = read(&[length, trailer], &CHUNKS).unwrap();
    let checksum = ExpectedChecksum { algorithm: Algorithm::Crc32, value: None };
    assert_eq!(awaiting.checksum, Some(checksum));
    assert_eq!(judge(&awaiting), Some(Condition::MalformedTrailer), "the value never came");
    for (lines, taken, judged) in [
        (vec![line("x-amz-checksum-crc32", "y/Q5Jg==")], None, None),
        (vec![line("x-amz-checksum-crc32", "AAAAAA==")], None, Some(Condition::ChecksumMismatch)),
        (vec![], Some(Condition::MalformedTrailer), Some(Condition::MalformedTrailer)),
        (
            vec![line("x-amz-checksum-crc32c", "AAAAAA==")],
            Some(Condition::MalformedTrailer),
            Some(Condition::MalformedTrailer),
        ),
        (
            vec![line("x-amz-checksum-crc32", "AAAA")],
            Some(Condition::InvalidRequest),
            Some(Condition::MalformedTrailer),
        ),
    ] {
        let mut expected = awaiting.clone();
        assert_eq!(condition(expected.add_trailers(&lines)), taken, "{lines:?}");
        assert_eq!(judge(&expected), judged, "{lines:?}");
    }
    let mut none = read(&[length], &CHUNKS).unwrap();
    assert_eq!(condition(none.add_trailers(&vec![])), None);
    let more = vec![line("x-amz-checksum-crc32", "y/Q5Jg==")];
    assert_eq!(condition(none.add_trailers(&more)), Some(Condition::MalformedTrailer));
}

#[test]
fn oss_knows_no_s3_checksums() {
    let mut headers = HeaderMap::new();
    let name = HeaderName::from_static("x-amz-checksum-crc32");
    headers.insert(name, HeaderValue::from_static("bad"));
    let expected = Expected::read(&headers, Dialect::Oss, &Payload::Unsigned);
    assert_eq!(expected, Ok(Expected::default()));
}
