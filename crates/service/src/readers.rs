//! Reads and writes in progress: what they may still see or name is not freed.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use metadata::engine::Sequence;

/// The sequences at which reads now in progress began.
#[derive(Clone, Default)]
pub(crate) struct Readers(Arc<Mutex<BTreeMap<Sequence, usize>>>);

/// Writes in progress, numbered as they begin: each may be about to name bytes it has stored.
#[derive(Default)]
pub(crate) struct Writers {
    begun: AtomicU64,
    writing: Readers,
}

impl Writers {
    /// Call it before storing anything.
    pub fn begin(&self) -> Ticket {
        self.writing.begin(|| self.begun.fetch_add(1, Ordering::SeqCst))
    }

    /// The present moment, for [`Self::all_after`].
    pub fn mark(&self) -> u64 {
        self.begun.load(Ordering::SeqCst)
    }

    /// Whether every write in progress began after `mark`.
    pub fn all_after(&self, mark: u64) -> bool {
        self.writing.all_after(mark)
    }
}

/// Holds back the freeing of all that was visible at its sequence.
pub(crate) struct Ticket {
    readers: Readers,
    sequence: Sequence,
}

impl Readers {
    /// Call it before looking anything up.
    pub fn begin(&self, sequence: impl FnOnce() -> Sequence) -> Ticket {
        let mut readers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock, so that `oldest` never misses one that is about to enter.
        let sequence = sequence();
        *readers.entry(sequence).or_default() += 1;
        drop(readers);
        Ticket { readers: self.clone(), sequence }
    }

    /// Whether what was unnamed at `since` is out of every reader's sight.
    pub fn all_after(&self, since: Sequence) -> bool {
        let readers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        readers.first_key_value().is_none_or(|(oldest, _)| since <= *oldest)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut readers = self.readers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = readers.get_mut(&self.sequence) {
            *count -= 1;
            if *count == 0 {
                readers.remove(&self.sequence);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_oldest_reader_may_see_is_held_back() {
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
}
