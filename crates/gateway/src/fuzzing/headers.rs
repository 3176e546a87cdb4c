//! Headers and queries of the operations on objects: ranges, conditions, sources, listings.

use bytes::Bytes;
use model::{
    names::{ObjectKey, VersionSelector},
    records::Etag,
};

use super::{dialect, parse};
use crate::{
    encoding::encode_path,
    operations::{multipart, object_attributes, object_copy, object_list, object_read},
    operations::{object_delete, object_write},
};

/// Reads one request as each of the operations on objects and listings would.
///
/// - `target`: path and query.
/// - `size_bytes`: of the object that ranges are taken of.
pub fn headers(oss: bool, target: &str, headers: &[(&str, &str)], size_bytes: u64) -> bool {
    let (dialect, none) = (dialect(oss), Bytes::new);
    let etag = Etag { md5: [0xab; 16], parts: None };
    let reading = parse::<object_read::Get>(dialect, ("GET", target), headers, none());
    let mut rare = false;
    if let Some(reading) = reading.map(|call| call.0) {
        let _ = reading.preconditions.check_read(&etag, 1_000_000);
        let _ = reading.preconditions.check_write(Some((&etag, 1_000_000)));
        for range in reading.range.iter() {
            for range in [range.resolve(size_bytes), range.resolve_within(size_bytes)] {
                let Ok(range) = range else { continue };
                assert!(range.start < range.end && range.end <= size_bytes);
                let if_match = &reading.preconditions.if_match;
                rare |= (2..4).contains(&(range.end - range.start)) && if_match.is_some();
            }
        }
    }
    let _ = parse::<object_read::Head>(dialect, ("HEAD", target), headers, none());
    let _ = parse::<object_attributes::Get>(dialect, ("GET", target), headers, none());
    let _ = parse::<object_delete::Delete>(dialect, ("DELETE", target), headers, none());
    let _ = parse::<object_write::Put>(dialect, ("PUT", target), headers, none());
    let _ = parse::<object_copy::Copy>(dialect, ("PUT", target), headers, none());
    let _ = parse::<multipart::Copy>(dialect, ("PUT", target), headers, none());
    let _ = parse::<multipart::Upload>(dialect, ("PUT", target), headers, none());
    let _ = parse::<multipart::Create>(dialect, ("POST", target), headers, none());
    let _ = parse::<multipart::ListParts>(dialect, ("GET", target), headers, none());
    let _ = parse::<multipart::ListUploads>(dialect, ("GET", target), headers, none());
    let _ = parse::<object_list::List>(dialect, ("GET", target), headers, none());
    let _ = parse::<object_list::ListV2>(dialect, ("GET", target), headers, none());
    let _ = parse::<object_list::ListVersions>(dialect, ("GET", target), headers, none());
    rare
}

/// Every key can be named as the source of a copy.
pub fn copy_source(oss: bool, text: &str, null: bool) {
    let Ok(key) = ObjectKey::parse(text) else { return };
    let (dialect, version) = (dialect(oss), if null { "?versionId=null" } else { "" });
    let name = format!("{}copy-source", dialect.header_prefix());
    let value = format!("/bkt/{}{version}", encode_path(key.as_str()));
    let headers = [(name.as_str(), value.as_str())];
    let target = "/other/copy";
    let call = parse::<object_copy::Copy>(dialect, ("PUT", target), &headers, Bytes::new());
    let source = call.map(|call| call.source).expect("a source");
    assert_eq!(source.key, key);
    let wanted = if null { VersionSelector::Null } else { VersionSelector::Latest };
    assert_eq!(source.version, wanted);
}
