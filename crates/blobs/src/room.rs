//! Memory for bytes on their way to the disks: counted, and shared out so that it stays bounded.
//!
//! While there is plenty, writers gather long batches. When it runs short the batches get shorter,
//! and when it is used up no large blob is begun and the running ones wait for their disks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes a writer may gather while more than half is in use.
const SHORT_BYTES: usize = 128 * 1024;
/// Bytes a writer may gather while all is in use.
const LEAST_BYTES: usize = 16 * 1024;

/// How many bytes wait to be written, and how many should at most.
#[derive(Debug)]
pub struct Room {
    held: AtomicUsize,
    bytes_max: usize,
}

impl Room {
    pub(crate) fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { held: AtomicUsize::new(0), bytes_max })
    }

    /// Counts for one holder, from nothing.
    pub fn hold(self: &Arc<Self>) -> Held {
        Held { room: Arc::clone(self), bytes: 0 }
    }

    /// How much one holder should gather, of `full` bytes that would be best.
    pub fn share(&self, full: usize) -> usize {
        match self.held.load(Ordering::Relaxed) {
            held if held >= self.bytes_max => full.min(LEAST_BYTES),
            held if held >= self.bytes_max / 2 => full.min(SHORT_BYTES),
            _ => full,
        }
    }

    /// Nothing large may be begun.
    pub fn is_used_up(&self) -> bool {
        self.held.load(Ordering::Relaxed) >= self.bytes_max
    }
}

/// Bytes that are counted until this is dropped.
#[derive(Debug)]
pub struct Held {
    room: Arc<Room>,
    bytes: usize,
}

impl Held {
    pub fn add(&mut self, bytes: usize) {
        self.room.held.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
    }

    pub fn clear(&mut self) {
        self.room.held.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = 0;
    }

    /// Hands over what was counted so far.
    pub fn take(&mut self) -> Self {
        let bytes = std::mem::take(&mut self.bytes);
        Self { room: Arc::clone(&self.room), bytes }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_is_held_the_less_each_may_gather() {
        let room = Room::new(1000);
        let full = 1024 * 1024;
        let (mut first, mut second) = (room.hold(), room.hold());
        assert_eq!(room.share(full), full);
        first.add(500);
        assert_eq!((room.share(full), room.share(7)), (SHORT_BYTES, 7));
        second.add(500);
        assert_eq!((room.share(full), room.is_used_up()), (LEAST_BYTES, true));
        let handed_over = first.take();
        drop(first);
        assert!(room.is_used_up(), "what was handed over still counts");
        drop(handed_over);
        second.clear();
        assert_eq!(room.share(full), full);
    }
}
