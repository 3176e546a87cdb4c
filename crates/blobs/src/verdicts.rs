//! Which chunks were found intact a moment ago: [`Verdicts`].

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::format::FileLayout;
use crate::identifiers::{BlobId, DirectoryId};
use crate::piece::{FRESH, Stamp};

/// All that is remembered: chunks of 2 GiB.
const VERDICTS_MAX: usize = 16 * 1024;

/// A chunk of one copy of a large blob.
pub(crate) type ChunkAt = (BlobId, DirectoryId, FileLayout, u64);

/// When chunks of files were found intact, for as long as that counts.
#[derive(Default)]
pub(crate) struct Verdicts(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    known: HashMap<ChunkAt, (Instant, Stamp)>,
    /// Oldest first.
    order: VecDeque<(Instant, ChunkAt)>,
}

impl Verdicts {
    /// How many of `chunks` in a row were found intact in a file that was last changed at
    /// `changed`, and when the one was that is known longest.
    pub fn checked(
        &self,
        chunks: impl Iterator<Item = ChunkAt>,
        changed: Stamp,
    ) -> Option<(u64, Instant)> {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = chunks.map_while(|chunk| {
            let (checked, then) = *inner.known.get(&chunk)?;
            (then == changed && checked.elapsed() < FRESH).then_some((1, checked))
        });
        known.reduce(|(count, oldest), (more, checked)| (count + more, oldest.min(checked)))
    }

    /// Notes that a chunk was found intact now, in bytes read after `changed` was.
    pub fn note(&self, chunk: ChunkAt, changed: Stamp) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((at, oldest)) = inner.order.front().copied() {
            let full = inner.order.len() >= VERDICTS_MAX;
            if at.elapsed() < FRESH && !full {
                break;
            }
            inner.order.pop_front();
            if inner.known.get(&oldest).is_some_and(|(checked, _)| *checked == at) {
                inner.known.remove(&oldest);
            }
        }
        let now = Instant::now();
        inner.known.insert(chunk, (now, changed));
        inner.order.push_back((now, chunk));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = (7, 8);

    fn chunk(number: u64) -> ChunkAt {
        (BlobId([1; 16]), DirectoryId([2; 16]), FileLayout::Contiguous, number)
    }

    #[tokio::test(start_paused = true)]
    async fn a_verdict_counts_for_a_moment_and_for_the_file_as_it_was() {
        let verdicts = Verdicts::default();
        let checked = |from, stamp| verdicts.checked((from..9).map(chunk), stamp);
        verdicts.note(chunk(2), STAMP);
        let first = Instant::now();
        tokio::time::advance(FRESH / 2).await;
        verdicts.note(chunk(1), STAMP);
        verdicts.note(chunk(4), STAMP);
        assert_eq!(checked(1, STAMP), Some((2, first)), "the third is not known");
        assert_eq!(checked(1, (7, 9)), None);
        assert_eq!(checked(3, STAMP), None);
        tokio::time::advance(FRESH / 2).await;
        assert_eq!(checked(1, STAMP), Some((1, first + FRESH / 2)));
        tokio::time::advance(FRESH / 2).await;
        assert_eq!(checked(1, STAMP), None);
    }

    #[tokio::test(start_paused = true)]
    async fn old_verdicts_are_forgotten_and_others_bounded() {
        let verdicts = Verdicts::default();
        for number in 0..2 * VERDICTS_MAX as u64 {
            verdicts.note(chunk(number % 20_000), STAMP);
        }
        let counts = || {
            let inner = verdicts.0.lock().expect("not poisoned");
            (inner.known.len(), inner.order.len())
        };
        let (known, order) = counts();
        assert!(known <= VERDICTS_MAX && order == VERDICTS_MAX);
        tokio::time::advance(FRESH).await;
        verdicts.note(chunk(0), STAMP);
        assert_eq!(counts(), (1, 1));
    }
}
