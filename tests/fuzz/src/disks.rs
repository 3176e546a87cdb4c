//! What comes back from a disk.

use arbitrary::{Result, Unstructured};
use metadata::embedded::fuzzing as embedded;

fn text<'a>(input: Unstructured<'a>) -> &'a str {
    std::str::from_utf8(input.take_rest()).unwrap_or_default()
}

/// The location of a blob, names, the identity of a directory, records in segments, large files.
pub fn blobs(mut input: Unstructured<'_>) -> Result<bool> {
    let kind: u8 = input.arbitrary()?;
    match kind % 5 {
        0 => Ok(blobs::fuzzing::location(input.take_rest())),
        1 => {
            let bytes: [u8; 40] = input.arbitrary().unwrap_or([7; 40]);
            blobs::fuzzing::names(text(input), &bytes[..usize::from(kind) % 41]);
            Ok(false)
        }
        2 => {
            blobs::fuzzing::identity(input.take_rest());
            Ok(false)
        }
        3 => {
            let (edits, reseal): (Vec<_>, _) = input.arbitrary()?;
            let length: u8 = input.arbitrary()?;
            let description = input.bytes(usize::from(length).min(input.len()))?;
            Ok(blobs::fuzzing::record(description, input.take_rest(), &edits, reseal))
        }
        _ => {
            let (size_bytes, edits, reseal): (u64, Vec<_>, _) = input.arbitrary()?;
            blobs::fuzzing::file(size_bytes, input.take_rest(), &edits, reseal);
            Ok(false)
        }
    }
}

/// The files of the metadata engine.
pub fn journal(mut input: Unstructured<'_>) -> Result<bool> {
    let kind: u8 = input.arbitrary()?;
    match kind % 8 {
        0 => {
            embedded::raw_journal(input.take_rest());
            Ok(false)
        }
        1 => {
            let (rows, edits): (Vec<_>, Vec<_>) = input.arbitrary()?;
            Ok(embedded::snapshot(&rows, &edits))
        }
        2 => {
            let epoch: &[u8] = input.arbitrary()?;
            embedded::names(text(input), epoch);
            Ok(false)
        }
        _ => {
            let (groups, edits): (embedded::Groups, Vec<_>) = input.arbitrary()?;
            Ok(embedded::journal(&groups, &edits, kind & 8 > 0))
        }
    }
}

/// Keys of rows, and the records in them.
pub fn keys(mut input: Unstructured<'_>) -> Result<bool> {
    let kind: u8 = input.arbitrary()?;
    match kind % 16 {
        0..11 => return Ok(metadata::fuzzing::record(kind % 16, input.take_rest())),
        11 | 12 => {
            let (one, two): (Vec<u8>, Vec<u8>) = input.arbitrary()?;
            metadata::fuzzing::escapes(&one, &two, input.take_rest());
        }
        _ => {
            let (bucket, order): (u64, u64) = input.arbitrary()?;
            let bytes = input.peek_bytes(input.len()).unwrap_or_default();
            metadata::fuzzing::row_keys(text(input), bucket, order, bytes);
        }
    }
    Ok(false)
}
