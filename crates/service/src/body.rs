//! The bytes of a request, as an operation pulls them.

use async_trait::async_trait;
use bytes::Bytes;
use model::{checksums::Algorithm, records::Checksum};

use crate::Result;

/// What was computed over a whole body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digests {
    pub size_bytes: u64,
    pub md5: [u8; 16],
    /// CRC-64/XZ.
    pub crc64: u64,
    /// Set when [`Body::wants_sha256`].
    pub sha256: Option<[u8; 32]>,
    /// Set when [`Body::algorithm`] names one.
    pub checksum: Option<Checksum>,
}

/// Bytes that arrive with a request. Not `Send`: they stay on the connection's thread.
#[async_trait(?Send)]
pub trait Body {
    /// The length announced for the decoded bytes.
    fn length_bytes(&self) -> Option<u64>;

    /// Whether the signature covers the SHA-256 of the bytes.
    fn wants_sha256(&self) -> bool;

    /// The checksum the client asks for.
    fn algorithm(&self) -> Option<Algorithm>;

    /// The next bytes; `None` at the end, after framing and trailers were found right.
    ///
    /// What was handed out before an error must not become visible to anybody.
    async fn next(&mut self) -> Option<Result<Bytes>>;

    /// Compares what was computed with what the client said: called once, after the end.
    fn check(&mut self, digests: &Digests) -> Result<()>;
}

/// A body that is at hand already: nothing to check.
pub struct Whole(pub Option<Bytes>);

#[async_trait(?Send)]
impl Body for Whole {
    fn length_bytes(&self) -> Option<u64> {
        self.0.as_ref().map(|bytes| bytes.len() as u64)
    }

    fn wants_sha256(&self) -> bool {
        false
    }

    fn algorithm(&self) -> Option<Algorithm> {
        None
    }

    async fn next(&mut self) -> Option<Result<Bytes>> {
        self.0.take().map(Ok)
    }

    fn check(&mut self, _: &Digests) -> Result<()> {
        Ok(())
    }
}
