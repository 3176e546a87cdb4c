//! Digests of a body, computed in step with its writing.

use std::sync::Arc;

use bytes::Bytes;
use model::{
    checksums::{
        Algorithm, Hasher, crc64,
        md5::Md5,
        sha256::Sha256,
        streams::{Addition, Blockwise, Stream, update_all},
    },
    records::{Checksum, ChecksumKind},
};

use crate::{
    Result,
    body::Digests,
    hashing::{Body, Holder, Share, lost},
};

/// Batches above this are hashed on another thread, so that a large body does not hold up the
/// small requests of its connection's thread.
const INLINE_BYTES_MAX: usize = 64 * 1024;
/// And above this, if there are others to hash them with.
const ALONE_BYTES_MAX: usize = 16 * 1024;

/// What is being computed over a body.
pub(crate) struct Digester<'s> {
    share: &'s Share,
    /// There until a batch is hashed on another thread; from then on all are.
    state: Option<State>,
    elsewhere: Option<Arc<Body>>,
}

pub(crate) struct State {
    size_bytes: u64,
    md5: Md5,
    crc64: Hasher,
    sha256: Option<Sha256>,
    checksum: Option<(Algorithm, Hasher)>,
}

impl<'s> Digester<'s> {
    pub fn new(share: &'s Share, sha256: bool, checksum: Option<Algorithm>) -> Self {
        Self { share, state: Some(State::new(sha256, checksum)), elsewhere: None }
    }

    /// Adds a batch: at once, or soon on another thread, which then lets go of `held`.
    pub fn update(&mut self, batch: &[Bytes], held: Holder) {
        let inline_bytes_max = match self.share.is_one_of_many() {
            true => ALONE_BYTES_MAX,
            false => INLINE_BYTES_MAX,
        };
        let is_short = batch.iter().map(Bytes::len).sum::<usize>() <= inline_bytes_max;
        match self.state.take() {
            Some(mut state) if is_short => {
                State::update_all(&mut [(&mut state, batch)]);
                self.state = Some(state);
            }
            state => {
                let body = self.elsewhere.get_or_insert_with(|| Body::new(state));
                self.share.hash(body, batch.to_vec(), held);
            }
        }
    }

    /// Waits until all batches but the last one are hashed.
    pub async fn settle(&self) -> Result<()> {
        match &self.elsewhere {
            Some(body) => body.settle(1).await,
            None => Ok(()),
        }
    }

    pub async fn finish(mut self) -> Result<Digests> {
        let state = match &self.elsewhere {
            Some(body) => body.end().await?,
            None => self.state.take().ok_or_else(lost)?,
        };
        let checksum = state.checksum.map(|(algorithm, hasher)| Checksum {
            algorithm,
            value: hasher.finish(),
            kind: ChecksumKind::FullObject,
        });
        Ok(Digests {
            size_bytes: state.size_bytes,
            md5: state.md5.finish(),
            crc64: crc64(&state.crc64.finish()),
            sha256: state.sha256.map(Sha256::finish),
            checksum,
        })
    }
}

impl Drop for Digester<'_> {
    fn drop(&mut self) {
        if let Some(body) = &self.elsewhere {
            body.cancel();
        }
    }
}

impl State {
    pub fn new(sha256: bool, checksum: Option<Algorithm>) -> Self {
        Self {
            size_bytes: 0,
            md5: Md5::default(),
            crc64: Hasher::new(Algorithm::Crc64Ecma),
            sha256: sha256.then(Sha256::default),
            checksum: checksum.map(|algorithm| (algorithm, Hasher::new(algorithm))),
        }
    }

    /// Adds to each body the pieces that stand beside it.
    pub fn update_all<P: AsRef<[Bytes]>>(bodies: &mut [(&mut Self, P)]) {
        add(bodies.iter_mut().map(|(state, pieces)| (&mut state.md5, P::as_ref(pieces))));
        add(bodies.iter_mut().filter_map(|(state, pieces)| {
            let pieces = P::as_ref(pieces);
            state.sha256.as_mut().map(|sha256| (sha256, pieces))
        }));
        for (state, pieces) in bodies {
            pieces.as_ref().iter().for_each(|bytes| state.update_others(bytes));
        }
    }

    /// Adds to what is computed for each body alone.
    fn update_others(&mut self, bytes: &[u8]) {
        self.size_bytes += bytes.len() as u64;
        self.crc64.update(bytes);
        if let Some((_, hasher)) = &mut self.checksum {
            hasher.update(bytes);
        }
    }
}

fn add<'a, H: Blockwise + 'a>(streams: impl Iterator<Item = (&'a mut Stream<H>, &'a [Bytes])>) {
    let addition = |(stream, pieces): (_, &'a [Bytes])| {
        Addition::new(stream, pieces.iter().map(|bytes| bytes.as_ref()))
    };
    update_all(&mut streams.map(addition).collect::<Vec<_>>());
}
