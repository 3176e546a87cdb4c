//! Hashing of what several bodies have brought, at once.
//!
//! MD5 and SHA-256 are the larger part of what an upload costs, and those of several are computed
//! together in much less time: see [`model::checksums::streams`]. So batches are hashed slice by
//! slice, and what came meanwhile joins those that are under way. None waits for another to come.

use std::{
    collections::VecDeque,
    num::NonZero,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread::available_parallelism,
};

use bytes::Bytes;
use model::checksums::{md5, streams::Blockwise as _};
use tokio::sync::oneshot;

use crate::{Error, Result, digest::State};

/// Batches that are hashed together.
const LANES: usize = md5::Blocks::LANES;
/// Bytes of each batch that are hashed before others may join: few enough that those of all are
/// still in the processor's own memory when the next algorithm reads them.
const SLICE_BYTES: usize = 64 * 1024;

/// Half as many as there are lanes: fewer do not make up for the change of threads.
const MANY_BODIES: usize = LANES / 2;

/// What is left of a batch of a body, and what is known of the bytes before it.
struct Batch {
    state: State,
    left: VecDeque<Bytes>,
    answer: oneshot::Sender<State>,
}

impl Batch {
    fn take_slice(&mut self) -> Vec<Bytes> {
        let mut slice = Vec::new();
        let mut missing = SLICE_BYTES;
        while let Some(bytes) = self.left.front_mut().filter(|_| missing > 0) {
            let taken = bytes.split_to(missing.min(bytes.len()));
            if bytes.is_empty() {
                self.left.pop_front();
            }
            missing -= taken.len();
            slice.push(taken);
        }
        slice
    }
}

/// Batches that wait to be hashed.
pub(crate) struct Hashing {
    queue: Mutex<Queue>,
    threads_max: usize,
    bodies: AtomicUsize,
}

/// One of the bodies that are being stored.
pub(crate) struct Share(Arc<Hashing>);

impl Default for Hashing {
    fn default() -> Self {
        // With fewer threads more batches wait for each other, and cost less.
        let threads_max = available_parallelism().map_or(1, NonZero::get).div_ceil(2);
        Self { queue: Mutex::default(), threads_max, bodies: AtomicUsize::new(0) }
    }
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Batch>,
    /// Threads that take from the queue until it is empty.
    working: usize,
}

impl Share {
    pub fn new(hashing: &Arc<Hashing>) -> Self {
        hashing.bodies.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(hashing))
    }

    /// Whether so many bodies are under way that their batches are likely to meet.
    pub fn is_one_of_many(&self) -> bool {
        self.0.bodies.load(Ordering::Relaxed) >= MANY_BODIES
    }

    /// Hashes a batch on another thread, together with those of others.
    pub async fn hash(&self, state: State, batch: Vec<Bytes>) -> Result<State> {
        let (answer, answered) = oneshot::channel();
        let one_more = {
            let mut queue = self.0.queue();
            queue.waiting.push_back(Batch { state, left: batch.into(), answer });
            let one_more = queue.working < self.0.threads_max;
            queue.working += usize::from(one_more);
            one_more
        };
        if one_more {
            let worker = Worker { hashing: Arc::clone(&self.0), counted: true };
            tokio::task::spawn_blocking(move || worker.work());
        }
        answered.await.map_err(Error::internal)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.0.bodies.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Hashing {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread that hashes, or is about to.
struct Worker {
    hashing: Arc<Hashing>,
    /// Whether the queue still counts on it.
    counted: bool,
}

impl Worker {
    fn work(mut self) {
        let mut batches = Vec::new();
        while self.admit(&mut batches) {
            let slices: Vec<_> = batches.iter_mut().map(Batch::take_slice).collect();
            let states = batches.iter_mut().map(|batch| &mut batch.state);
            State::update_all(&mut states.zip(slices).collect::<Vec<_>>());
            for done in batches.extract_if(.., |batch| batch.left.is_empty()) {
                // Whoever asked may have gone.
                let _ = done.answer.send(done.state);
            }
        }
    }

    /// Fills `batches` up with those that wait; `false` when there is nothing to be hashed.
    fn admit(&mut self, batches: &mut Vec<Batch>) -> bool {
        let mut queue = self.hashing.queue();
        let count = queue.waiting.len().min(LANES.saturating_sub(batches.len()));
        batches.extend(queue.waiting.drain(..count));
        if batches.is_empty() {
            queue.working -= 1;
            self.counted = false;
        }
        !batches.is_empty()
    }
}

impl Drop for Worker {
    /// It never ran or broke off: whoever waits for it, and for nobody else, is told.
    fn drop(&mut self) {
        if self.counted {
            let mut queue = self.hashing.queue();
            queue.working -= 1;
            if queue.working == 0 {
                queue.waiting.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use model::checksums::Algorithm;

    use super::*;
    use crate::digest::Digester;

    #[tokio::test(flavor = "multi_thread")]
    async fn bodies_hashed_together_have_their_own_digests() {
        let hashing = Arc::<Hashing>::default();
        let bodies = (1..=40_u8).map(|number| {
            let hashing = Arc::clone(&hashing);
            tokio::spawn(async move {
                let body: Vec<u8> = (0..300_000_u32).map(|n| (n >> 3) as u8 ^ number).collect();
                let body = Bytes::from(body).slice(usize::from(number)..);
                let share = Share::new(&hashing);
                let mut digester = Digester::new(&share, true, Some(Algorithm::Crc32));
                // Pieces as they come from a connection, and batches for both ways to hash.
                for (from, to) in [(0, 90_000), (90_000, 90_001), (90_001, body.len())] {
                    let batch = body.slice(from..to);
                    let (one, other) =
                        (batch.slice(..batch.len() / 3), batch.slice(batch.len() / 3..));
                    digester.update(&[one, other]).await.unwrap();
                }
                (body, digester.finish().unwrap())
            })
        });
        for body in bodies.collect::<Vec<_>>() {
            let (body, digests) = body.await.unwrap();
            assert_eq!(digests.md5.to_vec(), Algorithm::Md5.hash(&body));
            assert_eq!(digests.sha256.unwrap().to_vec(), Algorithm::Sha256.hash(&body));
            assert_eq!(digests.checksum.unwrap().value, Algorithm::Crc32.hash(&body));
            assert_eq!(digests.size_bytes, body.len() as u64);
        }
    }
}
