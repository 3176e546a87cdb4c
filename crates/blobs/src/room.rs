//! Memory for bytes on their way to the disks: counted, and shared out so that it stays bounded.
//!
//! While there is plenty, writers gather long batches. When it runs short the batches get shorter,
//! and when it is used up no large blob is begun and the running ones wait for their disks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Error, Result};

/// Bytes a writer may gather while more than half is in use.
const SHORT_BYTES: usize = 128 * 1024;
/// What a body costs beside the bytes that were gathered of it, on its way here.
const BODY_BYTES: usize = 64 * 1024;
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

    /// Counts what a body costs as long as it comes in; the smallest cost nothing.
    ///
    /// - `announced_bytes`: how long it will be, if that is known.
    ///
    /// # Errors
    /// [`Error::Overloaded`] if all is in use.
    pub fn begin(self: &Arc<Self>, announced_bytes: Option<u64>) -> Result<Held> {
        let mut held = self.hold();
        if announced_bytes.is_none_or(|bytes| bytes > LEAST_BYTES as u64) {
            if self.is_used_up() {
                return Err(Error::Overloaded);
            }
            held.add(BODY_BYTES);
        }
        Ok(held)
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
        assert!(room.begin(None).is_err() && room.begin(Some(LEAST_BYTES as u64 + 1)).is_err());
        assert!(room.begin(Some(LEAST_BYTES as u64)).is_ok(), "the smallest are always taken");
        assert!(room.is_used_up(), "what was handed over still counts");
        drop(handed_over);
        second.clear();
        assert_eq!(room.share(full), full);
        let _body = room.begin(None).unwrap();
        assert!(room.is_used_up(), "a body costs something before its bytes come");
    }
}
