//! Reads and writes in progress: what they may still see or name is not freed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use metadata::engine::Sequence;
use tokio::time::Instant;

/// A reader whose client took nothing for so long holds nothing back any more.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// Reads now in progress: the sequence each began at, a number, and when it was last active.
#[derive(Clone, Default)]
pub(crate) struct Readers(Arc<Mutex<Reading>>);

#[derive(Default)]
struct Reading {
    begun: u64,
    active: BTreeMap<(Sequence, u64), Instant>,
}

/// Holds back the freeing of all that was visible at its sequence.
pub(crate) struct Ticket {
    readers: Readers,
    key: (Sequence, u64),
}

impl Readers {
    /// Call it before looking anything up.
    pub fn begin(&self, sequence: impl FnOnce() -> Sequence) -> Ticket {
        let mut reading = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock, so that `all_after` never misses one that is about to enter.
        let key = (sequence(), reading.begun);
        reading.begun += 1;
        reading.active.insert(key, Instant::now());
        drop(reading);
        Ticket { readers: self.clone(), key }
    }

    /// Whether what was unnamed at `since` is out of every reader's sight. Readers that stand in
    /// the way and have been idle for too long lose their tickets.
    pub fn all_after(&self, since: Sequence) -> bool {
        let mut reading = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let stands = |(sequence, _): &(Sequence, u64)| *sequence < since;
        reading.active.retain(|key, last| !stands(key) || now.duration_since(*last) < PATIENCE);
        reading.active.keys().next().is_none_or(|oldest| !stands(oldest))
    }
}

impl Ticket {
    /// Says that the reader goes on; `false` if it was idle for so long that what it reads may
    /// have been freed.
    pub fn renew(&self) -> bool {
        let mut reading = self.readers.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = reading.active.get_mut(&self.key);
        last.map(|last| *last = Instant::now()).is_some()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut reading = self.readers.0.lock().unwrap_or_else(PoisonError::into_inner);
        reading.active.remove(&self.key);
    }
}

/// Writes in progress, numbered as they begin: each may be about to name bytes it has stored.
#[derive(Default)]
pub(crate) struct Writers {
    begun: AtomicU64,
    active: Arc<Mutex<BTreeSet<u64>>>,
}

/// Keeps the segments a write may have stored bytes in from being taken for dead.
pub(crate) struct Writing {
    active: Arc<Mutex<BTreeSet<u64>>>,
    number: u64,
}

impl Writers {
    /// Call it before storing anything.
    pub fn begin(&self) -> Writing {
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        let number = self.begun.fetch_add(1, Ordering::SeqCst);
        active.insert(number);
        Writing { active: Arc::clone(&self.active), number }
    }

    /// The present moment, for [`Self::all_after`].
    pub fn mark(&self) -> u64 {
        self.begun.load(Ordering::SeqCst)
    }

    /// Whether every write in progress began after `mark`.
    pub fn all_after(&self, mark: u64) -> bool {
        let active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        active.first().is_none_or(|oldest| mark <= *oldest)
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.active.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_the_oldest_reader_may_see_is_held_back() {
        let readers = Readers::default();
        let old = readers.begin(|| 5);
        let new = readers.begin(|| 9);
        assert!(readers.all_after(5), "unnamed before the reader began");
        assert!(!readers.all_after(6), "unnamed after it began");
        drop(old);
        assert!(readers.all_after(9));
        assert!(!readers.all_after(10));
        drop(new);
        assert!(readers.all_after(100));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_nothing_for_long_holds_nothing_back() {
        let readers = Readers::default();
        let (stalled, lively) = (readers.begin(|| 5), readers.begin(|| 5));
        tokio::time::advance(PATIENCE / 2).await;
        assert!(lively.renew());
        tokio::time::advance(PATIENCE / 2).await;
        assert!(!readers.all_after(6), "the lively one is still reading");
        assert!(!stalled.renew(), "the stalled one has lost its ticket");
        tokio::time::advance(PATIENCE).await;
        assert!(readers.all_after(6));
        assert!(!lively.renew());
    }

    #[test]
    fn a_write_keeps_what_was_sealed_after_it_began() {
        let writers = Writers::default();
        let writing = writers.begin();
        let mark = writers.mark();
        assert!(!writers.all_after(mark));
        let later = writers.begin();
        drop(writing);
        assert!(writers.all_after(mark), "only a later write is left");
        drop(later);
    }
}
