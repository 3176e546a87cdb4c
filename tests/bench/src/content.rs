//! What the objects contain, and how it is framed on the wire.
//!
//! Everything that costs time (hashes) is done once for each of a few variants, so that the
//! generator stays cheap while it runs.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest};

use crate::sign::{Chain, sha256_hex};

/// Contents repeat after this many bytes.
const PERIOD_BYTES: usize = 1 << 20;

/// Length of the chunks of a streaming signature, as SDKs choose it.
const CHUNK_BYTES: usize = 64 << 10;

/// How many contents there are; key number `n` has content `n % VARIANTS`.
pub const VARIANTS: usize = 8;

pub const TRAILER: &str = "x-amz-checksum-crc32";

/// One content of a given length.
pub struct Content {
    block: Bytes,
    offset: usize,
    pub size_bytes: usize,
    pub sha256: String,
    /// CRC-32 in Base64, as the header has it.
    pub crc32: String,
    chunks: Vec<(Bytes, String)>,
}

/// All variants of contents of `size_bytes`; without `hashed`, their hashes are left empty.
pub fn contents(size_bytes: usize, hashed: bool) -> Vec<Content> {
    let block = block();
    (0..VARIANTS).map(|variant| Content::new(&block, variant, size_bytes, hashed)).collect()
}

/// Two periods of pseudo-random bytes (xorshift64), the same in each run.
fn block() -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(2 * PERIOD_BYTES);
    while bytes.len() < PERIOD_BYTES {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.extend_from_within(..);
    bytes.into()
}

impl Content {
    fn new(block: &Bytes, variant: usize, size_bytes: usize, hashed: bool) -> Self {
        let offset = variant * 65_521;
        let mut content = Self {
            block: block.clone(),
            offset,
            size_bytes,
            sha256: String::new(),
            crc32: String::new(),
            chunks: Vec::new(),
        };
        if hashed {
            let whole: Vec<u8> = content.pieces(PERIOD_BYTES).concat();
            let mut crc = Digest::new(CrcAlgorithm::Crc32IsoHdlc);
            crc.update(&whole);
            content.sha256 = sha256_hex(&whole);
            content.crc32 = STANDARD.encode((crc.finalize() as u32).to_be_bytes());
            let pieces = content.pieces(CHUNK_BYTES).into_iter();
            content.chunks = pieces.map(|piece| (piece.clone(), sha256_hex(&piece))).collect();
        }
        content
    }

    /// The bytes, in pieces of `piece_bytes` (at most a period); the last one may be shorter.
    pub fn pieces(&self, piece_bytes: usize) -> Vec<Bytes> {
        let starts = (0..self.size_bytes).step_by(piece_bytes);
        starts.map(|at| self.slice(at, piece_bytes.min(self.size_bytes - at))).collect()
    }

    /// The body as it is, in large pieces.
    pub fn plain(&self) -> Vec<Bytes> {
        self.pieces(PERIOD_BYTES)
    }

    /// The body as `aws-chunked`, with the checksum as trailer; signed if there is a chain.
    pub fn chunked(&self, mut chain: Option<Chain>) -> Vec<Bytes> {
        let mut sign = |hash: &str| match &mut chain {
            Some(chain) => format!(";chunk-signature={}", chain.chunk(hash)),
            None => String::new(),
        };
        let mut frames = Vec::with_capacity(2 * self.chunks.len() + 1);
        let mut before = "";
        for (piece, hash) in &self.chunks {
            frames.push(format!("{before}{:x}{}\r\n", piece.len(), sign(hash)).into());
            frames.push(piece.clone());
            before = "\r\n";
        }
        let mut end =
            format!("{before}0{}\r\n{TRAILER}:{}\r\n", sign(&sha256_hex(b"")), self.crc32);
        if let Some(chain) = &mut chain {
            let signature = chain.trailer(TRAILER, &self.crc32);
            end += &format!("x-amz-trailer-signature:{signature}\r\n");
        }
        frames.push((end + "\r\n").into());
        frames
    }

    /// Are these the bytes from `at_bytes` on?
    pub fn matches(&self, at_bytes: usize, bytes: &[u8]) -> bool {
        let mut at = at_bytes;
        at + bytes.len() <= self.size_bytes
            && bytes.chunks(PERIOD_BYTES).all(|piece| {
                let expected = self.slice(at, piece.len());
                at += piece.len();
                expected == piece
            })
    }

    fn slice(&self, at_bytes: usize, length_bytes: usize) -> Bytes {
        let start = (self.offset + at_bytes) % PERIOD_BYTES;
        self.block.slice(start..start + length_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_byte_a_longer_body_and_another_variant_are_noticed() {
        let contents = contents(3 * PERIOD_BYTES / 2, false);
        let mut whole = contents[1].plain().concat();
        assert!(contents[1].matches(0, &whole));
        assert!(contents[1].matches(100, &whole[100..]));
        assert!(!contents[2].matches(0, &whole));
        whole.push(0);
        assert!(!contents[1].matches(0, &whole));
        whole.pop();
        whole[PERIOD_BYTES + 7] ^= 1;
        assert!(!contents[1].matches(0, &whole));
    }

    #[test]
    fn chunks_without_signature_are_framed_with_length_and_trailer() {
        let content = &contents(CHUNK_BYTES + 1, true)[0];
        let body = content.chunked(None).concat();
        assert!(body.starts_with(b"10000\r\n"));
        let middle = &body[7 + CHUNK_BYTES..];
        assert!(middle.starts_with(b"\r\n1\r\n"), "{middle:?}");
        let end = format!("\r\n0\r\n{TRAILER}:{}\r\n\r\n", content.crc32);
        assert!(middle.ends_with(end.as_bytes()));
    }
}
