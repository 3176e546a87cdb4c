//! Records as bytes: one version byte, then CBOR with numbered fields.
//!
//! A field is only ever added, with a new number and optional; a change that is more than that gets
//! a new version byte and a step in the migration.

use minicbor::{Decode, Encode};

use crate::{Error, Result};

const VERSION: u8 = 1;

/// The bytes of a record.
pub fn encode<T: Encode<()>>(record: &T) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    // Writing to a `Vec` cannot fail, and no record has an encoder of its own that could.
    let _ = minicbor::encode(record, &mut bytes);
    bytes
}

/// The record in `bytes`, found in a row of `family`.
pub fn decode<T: for<'b> Decode<'b, ()>>(family: u8, bytes: &[u8]) -> Result<T> {
    let damaged = || Error::Damaged { family: char::from(family) };
    match bytes.split_first() {
        Some((&VERSION, record)) => minicbor::decode(record).map_err(|_| damaged()),
        _ => Err(damaged()),
    }
}

#[cfg(test)]
mod tests {
    use model::records::Etag;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_record_reads_back_as_written() {
        let etag = Etag { md5: [7; 16], parts: Some(3) };
        assert_eq!(decode::<Etag>(b'x', &encode(&etag)).expect("it decodes"), etag);
    }

    proptest! {
        #[test]
        fn garbage_is_refused_without_a_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let _ = decode::<model::records::Version>(b'C', &bytes);
            let _ = decode::<model::records::Garbage>(b'G', &bytes);
        }
    }
}
