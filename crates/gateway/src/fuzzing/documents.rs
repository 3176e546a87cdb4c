//! XML documents of the operations that read one.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use model::{
    checksums::Algorithm,
    limits::{DELETE_KEYS_MAX, PART_NUMBERS},
    names::ObjectKey,
    records::Versioning,
};

use super::{dialect, parse};
use crate::{
    dialect::Dialect,
    operations::{bucket, bucket_tagging, bucket_versioning, multipart, object_delete},
    wire::WireOperation,
    xml,
};

/// Reads `body` as the document of one of five operations.
pub fn document(kind: u8, oss: bool, body: &[u8]) -> bool {
    let dialect = dialect(oss);
    if kind % 16 == 11 {
        let call = read::<bucket_tagging::Put>(dialect, "PUT", "/bkt?tagging", body);
        return call.is_some_and(|call| call.tags.as_slice().len() > 1);
    }
    match kind % 4 {
        0 => read::<object_delete::DeleteMany>(dialect, "POST", "/bkt?delete", body).is_some_and(
            |call| {
                assert!((1..=DELETE_KEYS_MAX).contains(&call.objects.len()));
                is_doubled(call.objects.iter().map(|(key, ..)| key))
            },
        ),
        1 => {
            let target = "/bkt/key?uploadId=00112233445566778899aabbccddeeff";
            let call = read::<multipart::Complete>(dialect, "POST", target, body);
            call.and_then(|call| call.parts).is_some_and(|parts| {
                assert!(parts.iter().all(|part| PART_NUMBERS.contains(&part.number)));
                parts.iter().any(|part| part.number == 3)
            })
        }
        2 => read::<bucket::Create>(dialect, "PUT", "/bkt", body)
            .is_some_and(|call| call.storage_class.is_some() && call.location.is_some()),
        _ => read::<bucket_versioning::Put>(dialect, "PUT", "/bkt?versioning", body)
            .is_some_and(|call| call.versioning == Versioning::Suspended),
    }
}

fn is_doubled<'a>(mut keys: impl Iterator<Item = &'a ObjectKey>) -> bool {
    let first = keys.next();
    keys.any(|key| Some(key) == first)
}

/// Every key that we write into a document is read back from it, but those XML cannot hold.
pub fn key_in_a_document(text: &str) {
    let Ok(key) = ObjectKey::parse(text) else { return };
    let mut document = xml::document(Dialect::S3, "Delete");
    document.open("Object").text("Key", key.as_str()).close();
    let body = document.finish();
    match read::<object_delete::DeleteMany>(Dialect::S3, "POST", "/bkt?delete", &body) {
        Some(call) => {
            let read: Vec<&ObjectKey> = call.objects.iter().map(|(key, ..)| key).collect();
            assert_eq!(read, [&key]);
        }
        None => assert!(!is_xml(text), "{text:?} was refused"),
    }
}

/// Whether XML 1.0 has a place for every character.
fn is_xml(text: &str) -> bool {
    let has_no_place = |c: char| {
        let control = matches!(c, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f');
        control || matches!(c, '\u{fffe}' | '\u{ffff}')
    };
    !text.contains(has_no_place)
}

fn read<W: WireOperation>(
    dialect: Dialect,
    method: &str,
    target: &str,
    body: &[u8],
) -> Option<W::Call> {
    let (md5, length) = (STANDARD.encode(Algorithm::Md5.hash(body)), body.len().to_string());
    let headers = [("content-md5", md5.as_str()), ("content-length", length.as_str())];
    parse::<W>(dialect, (method, target), &headers, Bytes::copy_from_slice(body))
}
