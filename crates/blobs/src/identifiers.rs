//! Names of blobs, directories, process starts, stores and segments.
//!
//! All random bytes come from the caller: this crate draws no randomness.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub [u8; 16]);

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{:032x}", u128::from_be_bytes(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = Error;

            /// Reads exactly 32 lower-case hex digits, so that one id has one spelling.
            fn from_str(text: &str) -> Result<Self> {
                let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
                if text.len() != 32 || !text.bytes().all(digit) {
                    return Err(Error::InvalidFormat("an id is 32 lower-case hex digits"));
                }
                u128::from_str_radix(text, 16)
                    .map(|number| Self(number.to_be_bytes()))
                    .map_err(|_| Error::InvalidFormat("an id is 32 lower-case hex digits"))
            }
        }
    };
}

identifier! {
    /// Names one blob for ever. Random, made by the caller, never derived from a key.
    BlobId
}
identifier! {
    /// Names a directory wherever it is mounted.
    DirectoryId
}
identifier! {
    /// Names one start of one process. Files of other incarnations are only read.
    IncarnationId
}
identifier! {
    /// Names the whole store that a directory belongs to.
    StoreId
}

/// A segment within its directory: the incarnation that wrote it and a running number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SegmentId {
    pub incarnation: IncarnationId,
    pub number: u64,
}

impl SegmentId {
    /// File name below the directory's root.
    pub(crate) fn file(&self) -> String {
        format!("segments/{}-{:016x}", self.incarnation, self.number)
    }

    /// Reads the last part of [`Self::file`]; `None` for names that are not ours.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (incarnation, number) = name.split_once('-')?;
        let number = u64::from_str_radix(number, 16).ok()?;
        let segment = Self { incarnation: incarnation.parse().ok()?, number };
        // One segment has one name: no capitals, no sign.
        segment.file().ends_with(&format!("/{name}")).then_some(segment)
    }
}

/// A segment among all directories, as a key for accounting of live bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SegmentKey {
    pub directory: DirectoryId,
    pub segment: SegmentId,
}

impl SegmentKey {
    pub const ENCODED_BYTES: usize = 40;

    /// Directory id, incarnation id, number (big endian), so that keys sort by directory.
    pub fn encode(&self) -> [u8; Self::ENCODED_BYTES] {
        let mut encoded = [0; Self::ENCODED_BYTES];
        let number = self.segment.number.to_be_bytes();
        let fields = self.directory.0.iter().chain(&self.segment.incarnation.0).chain(&number);
        encoded.iter_mut().zip(fields).for_each(|(slot, byte)| *slot = *byte);
        encoded
    }

    /// # Errors
    /// [`Error::InvalidFormat`] unless there are exactly [`Self::ENCODED_BYTES`] bytes.
    pub fn decode(encoded: &[u8]) -> Result<Self> {
        let wrong = Error::InvalidFormat("a segment key is 40 bytes");
        let Some((directory, rest)) = encoded.split_first_chunk::<16>() else { return Err(wrong) };
        let Some((incarnation, rest)) = rest.split_first_chunk::<16>() else { return Err(wrong) };
        let Ok(number) = <[u8; 8]>::try_from(rest) else { return Err(wrong) };
        let incarnation = IncarnationId(*incarnation);
        let segment = SegmentId { incarnation, number: u64::from_be_bytes(number) };
        Ok(Self { directory: DirectoryId(*directory), segment })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_has_one_name() {
        let incarnation = "0123456789abcdef0123456789abcdef";
        let name = |number: &str| format!("{incarnation}-{number}");
        let segment = SegmentId::parse(&name("00000000000000ab")).unwrap();
        assert_eq!(segment.file(), format!("segments/{}", name("00000000000000ab")));
        for number in ["00000000000000AB", "+0000000000000ab", "ab", "000000000000000ab", ""] {
            assert_eq!(SegmentId::parse(&name(number)), None, "{number}");
        }
    }
}
