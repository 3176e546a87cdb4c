//! MD5, SHA and CRC behind one enum.
//!
//! Source: S3 "Checking object integrity"; OSS "Check data integrity by CRC-64".

pub mod md5;
pub mod sha256;
pub mod streams;

use crc_fast::CrcAlgorithm;
use minicbor::{Decode, Encode};
use sha1::{Digest as _, Sha1};

use self::{md5::Md5, sha256::Sha256};

/// An algorithm a client may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Algorithm {
    #[n(0)]
    Crc32,
    #[n(1)]
    Crc32c,
    #[n(2)]
    Crc64Nvme,
    #[n(3)]
    Sha1,
    #[n(4)]
    Sha256,
    #[n(5)]
    Md5,
    /// CRC-64/XZ, which OSS calls CRC64 ECMA.
    #[n(6)]
    Crc64Ecma,
}

impl Algorithm {
    /// The five that S3 clients ask for.
    pub const S3: [Self; 5] =
        [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256];

    /// The name in `x-amz-checksum-…` headers, lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "crc32",
            Self::Crc32c => "crc32c",
            Self::Crc64Nvme => "crc64nvme",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Md5 => "md5",
            Self::Crc64Ecma => "crc64ecma",
        }
    }

    /// The S3 algorithm of this name in any case.
    pub fn parse(name: &str) -> Option<Self> {
        Self::S3.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    /// Bytes of a value.
    pub const fn size_bytes(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme | Self::Crc64Ecma => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Md5 => 16,
        }
    }

    /// Whether the value of a whole follows from the values of its parts.
    pub const fn combines(self) -> bool {
        self.crc().is_some()
    }

    const fn crc(self) -> Option<CrcAlgorithm> {
        match self {
            Self::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            Self::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
            Self::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
            Self::Crc64Ecma => Some(CrcAlgorithm::Crc64Xz),
            Self::Sha1 | Self::Sha256 | Self::Md5 => None,
        }
    }

    /// The value of nothing followed by `parts`: (value, length in bytes) each, in order.
    ///
    /// `None` when the algorithm does not combine or a value has the wrong length.
    pub fn combine<'a>(self, parts: impl IntoIterator<Item = (&'a [u8], u64)>) -> Option<Vec<u8>> {
        let crc = self.crc()?;
        let mut whole = number(&self.hash(b""));
        for (value, length_bytes) in parts {
            if value.len() != self.size_bytes() {
                return None;
            }
            whole = crc_fast::checksum_combine(crc, whole, number(value), length_bytes);
        }
        Some(whole.to_be_bytes().into_iter().skip(8 - self.size_bytes()).collect())
    }

    /// The value of `bytes`.
    pub fn hash(self, bytes: &[u8]) -> Vec<u8> {
        let mut hasher = Hasher::new(self);
        hasher.update(bytes);
        hasher.finish()
    }
}

fn number(big_endian: &[u8]) -> u64 {
    big_endian.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// A value being computed.
pub struct Hasher(State);

enum State {
    Crc(crc_fast::Digest, usize),
    Sha1(Sha1),
    Sha256(Sha256),
    Md5(Md5),
}

impl Hasher {
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match (algorithm.crc(), algorithm) {
            (Some(crc), _) => State::Crc(crc_fast::Digest::new(crc), algorithm.size_bytes()),
            (None, Algorithm::Sha1) => State::Sha1(Sha1::new()),
            (None, Algorithm::Sha256) => State::Sha256(Sha256::default()),
            (None, _) => State::Md5(Md5::default()),
        })
    }

    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Crc(digest, _) => digest.update(bytes),
            State::Sha1(digest) => digest.update(bytes),
            State::Sha256(sha256) => sha256.update(bytes),
            State::Md5(md5) => md5.update(bytes),
        }
    }

    /// The value, big-endian for CRCs, as the protocols send it.
    pub fn finish(self) -> Vec<u8> {
        match self.0 {
            State::Crc(digest, size) => {
                digest.finalize().to_be_bytes().into_iter().skip(8 - size).collect()
            }
            State::Sha1(digest) => digest.finalize().to_vec(),
            State::Sha256(sha256) => sha256.finish().to_vec(),
            State::Md5(md5) => md5.finish().to_vec(),
        }
    }
}

/// CRC-64 values of the records as numbers.
pub fn crc64(value: &[u8]) -> u64 {
    number(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn values_are_the_published_ones() {
        let check = |algorithm: Algorithm| hex(&algorithm.hash(b"123456789"));
        assert_eq!(check(Algorithm::Crc32), "cbf43926");
        assert_eq!(check(Algorithm::Crc32c), "e3069283");
        assert_eq!(check(Algorithm::Crc64Nvme), "ae8b14860a799888");
        assert_eq!(check(Algorithm::Crc64Ecma), "995dc9bbdf1939fa");
        assert_eq!(check(Algorithm::Md5), "25f9e794323b453885f5181f1b624d0b");
        assert_eq!(check(Algorithm::Sha1), "f7c3bc1d808e04732adf679965ccc34ca7ae3441");
    }

    #[test]
    fn the_value_of_a_whole_follows_from_its_parts() {
        for algorithm in
            [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme, Algorithm::Crc64Ecma]
        {
            let (one, two, three) =
                (algorithm.hash(b"1234"), algorithm.hash(b""), algorithm.hash(b"56789"));
            let whole = algorithm.combine([
                (one.as_slice(), 4),
                (two.as_slice(), 0),
                (three.as_slice(), 5),
            ]);
            assert_eq!(whole, Some(algorithm.hash(b"123456789")), "{algorithm:?}");
        }
        assert_eq!(Algorithm::Sha1.combine([]), None);
    }
}
