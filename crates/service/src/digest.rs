//! Digests of a body, computed in step with its writing.

use bytes::Bytes;
use model::{
    checksums::{Algorithm, Hasher, crc64},
    records::{Checksum, ChecksumKind},
};

use crate::{Error, Result, body::Digests};

/// Batches above this are hashed on another thread, so that a large body does not hold up the
/// small requests of its connection's thread.
const INLINE_BYTES_MAX: usize = 64 * 1024;

/// What is being computed over a body.
pub(crate) struct Digester(Option<State>);

struct State {
    size_bytes: u64,
    md5: Hasher,
    crc64: Hasher,
    sha256: Option<Hasher>,
    checksum: Option<(Algorithm, Hasher)>,
}

impl Digester {
    pub fn new(sha256: bool, checksum: Option<Algorithm>) -> Self {
        Self(Some(State {
            size_bytes: 0,
            md5: Hasher::new(Algorithm::Md5),
            crc64: Hasher::new(Algorithm::Crc64Ecma),
            sha256: sha256.then(|| Hasher::new(Algorithm::Sha256)),
            checksum: checksum.map(|algorithm| (algorithm, Hasher::new(algorithm))),
        }))
    }

    pub async fn update(&mut self, batch: &[Bytes]) -> Result<()> {
        let Some(mut state) = self.0.take() else { return Err(lost()) };
        if batch.iter().map(Bytes::len).sum::<usize>() <= INLINE_BYTES_MAX {
            batch.iter().for_each(|bytes| state.update(bytes));
        } else {
            let batch = batch.to_vec();
            let hashed = tokio::task::spawn_blocking(move || {
                batch.iter().for_each(|bytes| state.update(bytes));
                state
            });
            state = hashed.await.map_err(Error::internal)?;
        }
        self.0 = Some(state);
        Ok(())
    }

    pub fn finish(self) -> Result<Digests> {
        let state = self.0.ok_or_else(lost)?;
        let md5 = state.md5.finish().try_into().map_err(|_| lost())?;
        let sha256 = state.sha256.map(|hasher| hasher.finish().try_into());
        let checksum = state.checksum.map(|(algorithm, hasher)| Checksum {
            algorithm,
            value: hasher.finish(),
            kind: ChecksumKind::FullObject,
        });
        Ok(Digests {
            size_bytes: state.size_bytes,
            md5,
            crc64: crc64(&state.crc64.finish()),
            sha256: sha256.transpose().map_err(|_: Vec<u8>| lost())?,
            checksum,
        })
    }
}

impl State {
    fn update(&mut self, bytes: &[u8]) {
        self.size_bytes += bytes.len() as u64;
        self.md5.update(bytes);
        self.crc64.update(bytes);
        if let Some(hasher) = &mut self.sha256 {
            hasher.update(bytes);
        }
        if let Some((_, hasher)) = &mut self.checksum {
            hasher.update(bytes);
        }
    }
}

/// The thread that computed was stopped.
fn lost() -> Error {
    Error::new(model::Condition::Internal, "the digest of the body was lost")
}
