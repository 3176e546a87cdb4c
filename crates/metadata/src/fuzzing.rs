//! Doors for the fuzz targets in `tests/fuzz`: built only with the feature `fuzzing`.
//!
//! Each function panics when a promise is broken, and answers whether it came to a rare place,
//! where the control of `tests/fuzz` plants a bug. The formats of the files are in
//! `embedded::fuzzing`.

#![allow(clippy::expect_used, reason = "a panic is how a fuzz target says that it found something")]

use std::fmt::Debug;

use minicbor::{Decode, Encode};
use model::{names, records};

use crate::{codec, keys};

/// Escaped text reads back, whatever follows it, and keeps its order.
pub fn escapes(one: &[u8], two: &[u8], rest: &[u8]) {
    let ended = |text: &[u8]| [&keys::escape(text)[..], &[0, 0]].concat();
    let (first, second) = (ended(one), ended(two));
    assert_eq!(keys::unescape(&[&first[..], rest].concat()), Some((one.to_vec(), rest)));
    assert_eq!(first.cmp(&second), one.cmp(two));
}

/// Rows of any key are read back; rows of any bytes do no harm.
pub fn row_keys(text: &str, bucket: u64, order: u64, bytes: &[u8]) {
    let _ = (keys::unescape(bytes), keys::escaped_key(bytes), keys::current_key(bytes));
    if let Some(key) = keys::escaped_key(bytes) {
        let written = keys::escape(key.as_str().as_bytes());
        assert_eq!(bytes.get(9..9 + written.len()), Some(written.as_slice()));
    }
    let Ok(key) = names::ObjectKey::parse(text) else { return };
    let bucket = names::BucketId(bucket);
    let (id, row) = (names::UploadId([7; 16]), keys::history(bucket, &key, order));
    assert_eq!(keys::escaped_key(&row).as_ref(), Some(&key));
    assert!(row.starts_with(&keys::history_of(bucket, &key)));
    assert_eq!(keys::escaped_key(&keys::upload(bucket, &key, id)).as_ref(), Some(&key));
    let current = keys::current(bucket, key.as_str().as_bytes());
    assert_eq!(keys::current_key(&current), Some(key));
}

/// Reads `bytes` as a record of one of the families.
pub fn record(kind: u8, bytes: &[u8]) -> bool {
    match kind % 11 {
        0 => read::<records::Account>(bytes).is_some_and(|it| it.email.is_some()),
        1 => read::<records::AccessKey>(bytes).is_some_and(|it| it.sealed_secret.len() == 1),
        2 => read::<records::Bucket>(bytes)
            .is_some_and(|it| it.versioning == records::Versioning::Suspended),
        3 => read::<records::Version>(bytes).is_some_and(|it| it.null || it.object.is_none()),
        4 => read::<records::Content>(bytes).is_some_and(|it| it.part_rows == 3),
        5 => read::<records::ContentPart>(bytes).is_some_and(|it| it.number == 3),
        6 => read::<records::Upload>(bytes).is_some_and(|it| it.sequential),
        7 => read::<records::Part>(bytes).is_some_and(|it| it.number == 3),
        8 => read::<records::FinishedUpload>(bytes).is_some_and(|it| !it.versioned),
        9 => read::<records::Garbage>(bytes)
            .is_some_and(|it| matches!(it, records::Garbage::Draft { rows: 3, .. })),
        _ => read::<records::Etag>(bytes).is_some_and(|it| it.parts == Some(3)),
    }
}

/// A record that reads is written so that it reads the same.
fn read<T>(bytes: &[u8]) -> Option<T>
where
    T: for<'b> Decode<'b, ()> + Encode<()> + PartialEq + Debug,
{
    let record: T = codec::decode(b'x', bytes).ok()?;
    let again: T = codec::decode(b'x', &codec::encode(&record)).expect("what we wrote reads");
    assert_eq!(again, record);
    Some(record)
}
