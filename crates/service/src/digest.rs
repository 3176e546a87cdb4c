//! Digests of a body, computed in step with its writing.

use std::sync::Arc;

use bytes::Bytes;
use model::{
    checksums::{
        Algorithm, Hasher, crc64,
        md5::{Addition, Md5, update_all},
    },
    records::{Checksum, ChecksumKind},
};

use crate::{Error, Result, body::Digests, hashing::Hashing};

/// Batches above this are hashed on another thread, so that a large body does not hold up the
/// small requests of its connection's thread.
const INLINE_BYTES_MAX: usize = 64 * 1024;

/// What is being computed over a body.
pub(crate) struct Digester {
    hashing: Arc<Hashing>,
    /// Away while another thread has it.
    state: Option<State>,
}

pub(crate) struct State {
    size_bytes: u64,
    md5: Md5,
    crc64: Hasher,
    sha256: Option<Hasher>,
    checksum: Option<(Algorithm, Hasher)>,
}

impl Digester {
    pub fn new(hashing: &Arc<Hashing>, sha256: bool, checksum: Option<Algorithm>) -> Self {
        let state = State {
            size_bytes: 0,
            md5: Md5::default(),
            crc64: Hasher::new(Algorithm::Crc64Ecma),
            sha256: sha256.then(|| Hasher::new(Algorithm::Sha256)),
            checksum: checksum.map(|algorithm| (algorithm, Hasher::new(algorithm))),
        };
        Self { hashing: Arc::clone(hashing), state: Some(state) }
    }

    pub async fn update(&mut self, batch: &[Bytes]) -> Result<()> {
        let Some(mut state) = self.state.take() else { return Err(lost()) };
        if batch.iter().map(Bytes::len).sum::<usize>() <= INLINE_BYTES_MAX {
            for bytes in batch {
                state.md5.update(bytes);
                state.update_others(bytes);
            }
        } else {
            state = self.hashing.hash(state, batch.to_vec()).await?;
        }
        self.state = Some(state);
        Ok(())
    }

    pub fn finish(self) -> Result<Digests> {
        let state = self.state.ok_or_else(lost)?;
        let sha256 = state.sha256.map(|hasher| hasher.finish().try_into());
        let checksum = state.checksum.map(|(algorithm, hasher)| Checksum {
            algorithm,
            value: hasher.finish(),
            kind: ChecksumKind::FullObject,
        });
        Ok(Digests {
            size_bytes: state.size_bytes,
            md5: state.md5.finish(),
            crc64: crc64(&state.crc64.finish()),
            sha256: sha256.transpose().map_err(|_: Vec<u8>| lost())?,
            checksum,
        })
    }
}

impl State {
    /// Adds to each body the batch that stands beside it.
    pub fn update_all(bodies: &mut [(Self, Vec<Bytes>)]) {
        let additions = bodies.iter_mut().map(|(state, batch)| {
            Addition::new(&mut state.md5, batch.iter().map(|bytes| bytes.as_ref()))
        });
        update_all(&mut additions.collect::<Vec<_>>());
        for (state, batch) in bodies {
            batch.iter().for_each(|bytes| state.update_others(bytes));
        }
    }

    /// Adds to everything but the MD5.
    fn update_others(&mut self, bytes: &[u8]) {
        self.size_bytes += bytes.len() as u64;
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
