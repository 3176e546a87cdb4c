//! Hashing of what several bodies have brought, at once.
//!
//! MD5 is the larger part of what an upload costs, and several are computed together in little more
//! time than one: see [`model::checksums::md5`]. So batches wait for each other, but only while all
//! who hash are busy: alone, a batch is hashed at once.

use std::{
    collections::VecDeque,
    num::NonZero,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::available_parallelism,
};

use bytes::Bytes;
use model::checksums::md5::LANES;
use tokio::sync::oneshot;

use crate::{Error, Result, digest::State};

/// A batch of a body, and what is known of the bytes before it.
struct Waiting {
    state: State,
    batch: Vec<Bytes>,
    answer: oneshot::Sender<State>,
}

/// Batches that wait to be hashed.
pub(crate) struct Hashing {
    queue: Mutex<Queue>,
    threads_max: usize,
}

impl Default for Hashing {
    fn default() -> Self {
        // With fewer threads more batches wait for each other, and cost less.
        let threads_max = available_parallelism().map_or(1, NonZero::get).div_ceil(2);
        Self { queue: Mutex::default(), threads_max }
    }
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// Threads that take from the queue until it is empty.
    working: usize,
}

impl Hashing {
    /// Hashes a batch on another thread, together with those of others.
    pub async fn hash(self: &Arc<Self>, state: State, batch: Vec<Bytes>) -> Result<State> {
        let (answer, answered) = oneshot::channel();
        let one_more = {
            let mut queue = self.queue();
            queue.waiting.push_back(Waiting { state, batch, answer });
            let one_more = queue.working < self.threads_max;
            queue.working += usize::from(one_more);
            one_more
        };
        if one_more {
            let worker = Worker { hashing: Arc::clone(self), counted: true };
            tokio::task::spawn_blocking(move || worker.work());
        }
        answered.await.map_err(Error::internal)
    }

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
        while let Some(taken) = self.take() {
            let (mut hashed, answers): (Vec<_>, Vec<_>) =
                taken.into_iter().map(|one| ((one.state, one.batch), one.answer)).unzip();
            State::update_all(&mut hashed);
            for ((state, _), answer) in hashed.into_iter().zip(answers) {
                // Whoever asked may have gone.
                let _ = answer.send(state);
            }
        }
    }

    /// What one thread hashes next; `None` when it is no longer needed.
    fn take(&mut self) -> Option<Vec<Waiting>> {
        let mut queue = self.hashing.queue();
        let waiting = queue.waiting.len();
        if waiting == 0 {
            queue.working -= 1;
            self.counted = false;
            return None;
        }
        Some(queue.waiting.drain(..waiting.min(LANES)).collect())
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
                let mut digester = Digester::new(&hashing, true, Some(Algorithm::Crc32));
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
