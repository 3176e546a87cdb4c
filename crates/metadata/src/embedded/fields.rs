//! Reading and writing the fixed fields of every file of this engine: little-endian numbers,
//! checksums, and never a byte beyond the end.

use crc_fast::{CrcAlgorithm, Digest};

/// CRC32C of `parts`, one after the other.
pub fn checksum(parts: &[&[u8]]) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    parts.iter().for_each(|part| digest.update(part));
    u32::try_from(digest.finalize()).unwrap_or_default()
}

/// Takes fields off the front of a byte string. Every method answers `None` beyond the end.
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    pub fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    pub fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub fn id(&mut self) -> Option<[u8; 16]> {
        self.array()
    }
}

/// Splits off and checks the CRC32C that ends `bytes`.
pub fn verified(bytes: &[u8]) -> Option<&[u8]> {
    let (body, stored) = bytes.split_last_chunk::<4>()?;
    (checksum(&[body]) == u32::from_le_bytes(*stored)).then_some(body)
}

/// Ends `bytes` with its CRC32C.
pub fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let sum = checksum(&[&bytes]);
    bytes.extend(sum.to_le_bytes());
    bytes
}

/// A length as 32 bits. All lengths here are bounded far below that.
pub fn length32(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
