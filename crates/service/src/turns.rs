//! One mover or remover at a time for each blob.
//!
//! Copies are moved by compaction, repair and placement, and old ones are removed by reclaiming.
//! Without turns a copy could go from A to B and back to A, and then the first move's leftover in A
//! would be removed although it is the copy that counts.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use tokio::sync::Notify;

/// The blobs whose turn somebody has.
#[derive(Default)]
pub(crate) struct Turns {
    taken: Mutex<HashSet<[u8; 16]>>,
    ended: Notify,
}

/// Leave to move or remove copies of one blob, until dropped.
pub(crate) struct Turn<'t> {
    turns: &'t Turns,
    blob: [u8; 16],
}

impl Turns {
    /// Waits for the blob's turn. Look up where it lies afterwards.
    pub async fn take(&self, blob: [u8; 16]) -> Turn<'_> {
        loop {
            let ended = self.ended.notified();
            if let Some(turn) = self.try_take(blob) {
                return turn;
            }
            ended.await;
        }
    }

    /// The blob's turn, if nobody has it.
    pub fn try_take(&self, blob: [u8; 16]) -> Option<Turn<'_>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.insert(blob).then(|| Turn { turns: self, blob })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut taken = self.turns.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.remove(&self.blob);
        drop(taken);
        self.turns.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_second_waits_for_the_first_and_others_do_not() {
        let turns = Turns::default();
        let first = turns.take([1; 16]).await;
        assert!(turns.try_take([1; 16]).is_none());
        drop(turns.take([2; 16]).await);
        let order = std::sync::Mutex::new(Vec::new());
        let note = |what| order.lock().unwrap().push(what);
        let second = async {
            let _turn = turns.take([1; 16]).await;
            note("second");
        };
        let end = async {
            tokio::task::yield_now().await;
            note("first");
            drop(first);
        };
        tokio::join!(second, end);
        assert_eq!(order.into_inner().unwrap(), ["first", "second"]);
        assert!(turns.try_take([1; 16]).is_some());
    }
}
