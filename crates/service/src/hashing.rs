//! Hashing of what several bodies have brought, at once.
//!
//! MD5 and SHA-256 are the larger part of what an upload costs, and those of several are computed
//! together in much less time: see [`model::checksums::streams`]. So batches are hashed slice by
//! slice, and what came meanwhile joins those that are under way. None waits for another to come.

use std::{
    collections::VecDeque,
    mem,
    num::NonZero,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread::available_parallelism,
};

use bytes::Bytes;
use model::{
    Condition,
    checksums::{md5, streams::Blockwise as _},
};
use tokio::sync::Notify;

use crate::{Error, Result, digest::State};

/// Batches that are hashed together.
const LANES: usize = md5::Blocks::LANES;
/// Bytes of each batch that are hashed before others may join: few enough that those of all are
/// still in the processor's own memory when the next algorithm reads them.
const SLICE_BYTES: usize = 64 * 1024;

/// So many bodies make up for the change of threads, and are enough for one that has others to
/// help it.
const MANY_BODIES: usize = LANES / 2;

/// Those who hash, and what waits for them.
pub(crate) struct Hashing {
    queue: Mutex<Queue>,
    threads_max: usize,
    bodies: AtomicUsize,
}

impl Default for Hashing {
    fn default() -> Self {
        // With fewer threads more batches meet, and cost less.
        let threads_max = available_parallelism().map_or(1, NonZero::get).div_ceil(2);
        Self { queue: Mutex::default(), threads_max, bodies: AtomicUsize::new(0) }
    }
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Arc<Body>>,
    /// Threads that take from the queue until it is empty.
    working: usize,
}

impl Hashing {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to it that somebody takes what waits, if there may be one more to do so.
    fn call_one_more(self: &Arc<Self>, mut queue: MutexGuard<'_, Queue>) {
        if queue.waiting.is_empty() || queue.working >= self.threads_max {
            return;
        }
        queue.working += 1;
        drop(queue);
        let worker = Worker { hashing: Arc::clone(self), counted: true };
        tokio::task::spawn_blocking(move || worker.work());
    }
}

/// What counts the bytes of a batch for as long as anybody has them.
pub(crate) type Holder = Arc<dyn Send + Sync>;

/// One of the bodies that are being stored.
pub(crate) struct Share(Arc<Hashing>);

impl Share {
    pub fn new(hashing: &Arc<Hashing>) -> Self {
        hashing.bodies.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(hashing))
    }

    /// Whether so many bodies are being stored that their batches are likely to meet.
    pub fn is_one_of_many(&self) -> bool {
        self.0.bodies.load(Ordering::Relaxed) >= MANY_BODIES
    }

    /// Hashes a batch on another thread, after those of the body that were given before.
    ///
    /// - `held`: is let go of when they are hashed.
    pub fn hash(&self, body: &Arc<Body>, batch: Vec<Bytes>, held: Holder) {
        let idle = {
            let mut left = body.left();
            left.batches.push_back((batch, held));
            left.unfinished += 1;
            !mem::replace(&mut left.taken, true)
        };
        if !idle {
            return;
        }
        let mut queue = self.0.queue();
        queue.waiting.push_back(Arc::clone(body));
        self.0.call_one_more(queue);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.0.bodies.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A body that is hashed on another thread.
pub(crate) struct Body {
    left: Mutex<Left>,
    /// Told at the end of every batch.
    hashed: Notify,
}

struct Left {
    /// What is known of the bytes before; away while they are being hashed, and lost if that broke
    /// off.
    state: Option<State>,
    /// What nobody has begun to hash.
    batches: VecDeque<(Vec<Bytes>, Holder)>,
    unfinished: usize,
    /// The body waits in the queue, or is being hashed.
    taken: bool,
}

impl Body {
    pub fn new(state: Option<State>) -> Arc<Self> {
        let left = Left { state, batches: VecDeque::new(), unfinished: 0, taken: false };
        Arc::new(Self { left: Mutex::new(left), hashed: Notify::new() })
    }

    /// Waits until no more than so many batches are left.
    ///
    /// # Errors
    /// The thread that hashed was stopped.
    pub async fn settle(&self, batches_max: usize) -> Result<()> {
        loop {
            {
                let left = self.left();
                if !left.taken && left.state.is_none() {
                    return Err(lost());
                }
                if left.unfinished <= batches_max {
                    return Ok(());
                }
            }
            self.hashed.notified().await;
        }
    }

    /// What is known of all bytes, once nothing is left.
    ///
    /// # Errors
    /// As [`Self::settle`].
    pub async fn end(&self) -> Result<State> {
        self.settle(0).await?;
        self.left().state.take().ok_or_else(lost)
    }

    /// Forgets what nobody has begun to hash: the client is gone.
    pub fn cancel(&self) {
        let mut left = self.left();
        left.unfinished -= left.batches.len();
        left.batches.clear();
    }

    fn left(&self) -> MutexGuard<'_, Left> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody will hash it.
    fn give_up(&self) {
        let mut left = self.left();
        left.state = None;
        left.taken = false;
        self.hashed.notify_one();
    }
}

/// The thread that hashed was stopped.
pub(crate) fn lost() -> Error {
    Error::new(Condition::Internal, "the digest of a body was lost")
}

/// A batch that a thread hashes.
struct Batch {
    body: Arc<Body>,
    /// There until it is given back.
    state: Option<State>,
    rest: VecDeque<Bytes>,
    held: Option<Holder>,
}

impl Batch {
    /// The next one of a body from the queue.
    fn begin(body: Arc<Body>) -> Option<Self> {
        let mut left = body.left();
        let (state, batch) = (left.state.take(), left.batches.pop_front());
        drop(left);
        match (state, batch) {
            (Some(state), Some((batch, held))) => {
                Some(Self { body, state: Some(state), rest: batch.into(), held: Some(held) })
            }
            // It was lost, or nobody waits for it any more.
            _ => {
                body.give_up();
                None
            }
        }
    }

    fn take_slice(&mut self) -> Vec<Bytes> {
        let mut slice = Vec::new();
        let mut missing = SLICE_BYTES;
        while let Some(bytes) = self.rest.front_mut().filter(|_| missing > 0) {
            let taken = bytes.split_to(missing.min(bytes.len()));
            if bytes.is_empty() {
                self.rest.pop_front();
            }
            missing -= taken.len();
            slice.push(taken);
        }
        slice
    }

    /// Gives the state back, and the body if there is more of it.
    fn end(mut self) -> Option<Arc<Body>> {
        self.held = None;
        let mut left = self.body.left();
        left.state = self.state.take();
        left.unfinished -= 1;
        left.taken = !left.batches.is_empty();
        let more = left.taken;
        drop(left);
        self.body.hashed.notify_one();
        more.then(|| Arc::clone(&self.body))
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        if self.state.is_some() {
            self.body.give_up();
        }
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
        let mut more = Vec::new();
        while self.admit(&mut batches, &mut more) {
            let slices: Vec<_> = batches.iter_mut().map(Batch::take_slice).collect();
            let states = batches.iter_mut().filter_map(|batch| batch.state.as_mut());
            State::update_all(&mut states.zip(slices).collect::<Vec<_>>());
            let done = batches.extract_if(.., |batch| batch.rest.is_empty());
            more.extend(done.filter_map(Batch::end));
        }
    }

    /// Puts `more` at the end of the queue, and fills `batches` up from its beginning; `false` when
    /// there is nothing to be hashed.
    fn admit(&mut self, batches: &mut Vec<Batch>, more: &mut Vec<Arc<Body>>) -> bool {
        let mut queue = self.hashing.queue();
        // A body that has more already waits for us: then others are to help, if they may.
        let is_late = !more.is_empty() && queue.working < self.hashing.threads_max;
        let most = if is_late { MANY_BODIES } else { LANES };
        queue.waiting.extend(more.drain(..));
        while batches.len() < most
            && let Some(body) = queue.waiting.pop_front()
        {
            batches.extend(Batch::begin(body));
        }
        if batches.is_empty() {
            queue.working -= 1;
            self.counted = false;
        }
        self.hashing.call_one_more(queue);
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
                queue.waiting.drain(..).for_each(|body| body.give_up());
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
                let held = Arc::new(());
                let mut digester = Digester::new(&share, true, Some(Algorithm::Crc32));
                // Pieces as they come from a connection, and batches for both ways to hash.
                for (from, to) in [(0, 90_000), (90_000, 90_001), (90_001, body.len())] {
                    let batch = body.slice(from..to);
                    let (one, other) =
                        (batch.slice(..batch.len() / 3), batch.slice(batch.len() / 3..));
                    digester.update(&[one, other], held.clone());
                    digester.settle().await.unwrap();
                    assert!(Arc::strong_count(&held) <= 2, "only of the last batch");
                }
                (body, digester.finish().await.unwrap())
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

    #[tokio::test]
    async fn whoever_waits_for_a_thread_that_broke_off_is_told() {
        let body = Body::new(Some(State::new(true, None)));
        body.left().batches.push_back((vec![Bytes::from_static(b"abc")], Arc::new(())));
        body.left().unfinished = 1;
        body.left().taken = true;
        let batch = Batch::begin(Arc::clone(&body)).unwrap();
        let (settled, ()) = tokio::join!(body.settle(0), async { drop(batch) });
        assert!(settled.is_err());
        let share = Share::new(&Arc::default());
        share.hash(&body, vec![Bytes::from_static(b"def")], Arc::new(()));
        assert!(body.end().await.is_err());
    }

    #[tokio::test]
    async fn nothing_is_kept_of_an_upload_that_broke_off() {
        let hashing = Arc::new(Hashing { threads_max: 0, ..Hashing::default() });
        let share = Share::new(&hashing);
        let mut digester = Digester::new(&share, true, None);
        let (batch, held) = (Bytes::from(vec![0; 100_000]), Arc::new(()));
        digester.update(std::slice::from_ref(&batch), held.clone());
        digester.update(std::slice::from_ref(&batch), held.clone());
        assert_eq!(Arc::strong_count(&held), 3);
        drop(digester);
        assert!(batch.is_unique() && Arc::strong_count(&held) == 1);
        let mut worker = Worker { hashing: Arc::clone(&hashing), counted: true };
        hashing.queue().working = 1;
        assert!(!worker.admit(&mut Vec::new(), &mut Vec::new()), "there is nothing to do");
    }
}
