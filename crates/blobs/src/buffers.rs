//! Memory for reads, used again: to hand out fresh pages costs the kernel more than the copy does.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rustix::io::{Errno, ReadWriteFlags};

/// Buffers of this size are kept: enough for the longest record of a segment, and for a run of
/// chunks that are in memory already.
const KEPT_BYTES: usize = 320 * 1024;
/// Shorter ones are cheap: the allocator has pages for them.
const SHORT_BYTES: usize = 64 * 1024;
/// All that is kept is 20 MiB.
const KEPT_MAX: usize = 64;

static KEPT: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

fn kept() -> MutexGuard<'static, Vec<Vec<u8>>> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Room for one read, and how much of it is there.
pub(crate) struct Buffer {
    /// At least `length` bytes; what is not `filled` may be anything that was read before.
    bytes: Vec<u8>,
    filled: usize,
    length: usize,
}

impl Buffer {
    pub fn new(length: usize) -> Self {
        let bytes = match length {
            SHORT_BYTES..=KEPT_BYTES => {
                let kept = kept().pop();
                kept.unwrap_or_else(|| vec![0; KEPT_BYTES])
            }
            _ => vec![0; length],
        };
        Self { bytes, filled: 0, length }
    }

    /// Reads what the kernel has in memory; whether that was all. Waits for no disk.
    pub fn read_cached(&mut self, file: &File, offset: u64) -> bool {
        if self.length > KEPT_BYTES {
            return false;
        }
        let mut read = |offset, rest: &mut [u8]| {
            let mut rest = [IoSliceMut::new(rest)];
            rustix::io::preadv2(file, &mut rest, offset, ReadWriteFlags::NOWAIT)
        };
        // An error is met again by whoever reads the rest.
        self.advance(offset, &mut read).is_ok() && self.filled == self.length
    }

    /// Reads on until all is there or the file ends.
    pub fn read(&mut self, file: &File, offset: u64) -> io::Result<()> {
        loop {
            let before = self.filled;
            match self.advance(offset, &mut |offset, rest| rustix::io::pread(file, rest, offset)) {
                Ok(()) if self.filled == before || self.filled == self.length => return Ok(()),
                Ok(()) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// What was read.
    pub fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }

    fn advance(
        &mut self,
        offset: u64,
        read: &mut impl FnMut(u64, &mut [u8]) -> Result<usize, Errno>,
    ) -> Result<(), Errno> {
        let rest = self.bytes.get_mut(self.filled..self.length).unwrap_or_default();
        if !rest.is_empty() {
            self.filled += read(offset + self.filled as u64, rest)?;
        }
        Ok(())
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.bytes.len() == KEPT_BYTES {
            let mut kept = kept();
            if kept.len() < KEPT_MAX {
                kept.push(mem::take(&mut self.bytes));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_buffer_that_is_used_again_shows_nothing_of_before() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&[1; 200_000]).expect("written");
        for (offset, length, wanted) in [(0, 100_000, 100_000), (150_000, 100_000, 50_000)] {
            let mut buffer = Buffer::new(length);
            buffer.read(&file, offset).expect("read");
            let bytes = buffer.freeze();
            assert_eq!(bytes, vec![1; wanted]);
        }
        let mut buffer = Buffer::new(100_000);
        buffer.read(&file, 300_000).expect("read");
        assert!(buffer.freeze().is_empty());
    }

    #[test]
    fn what_is_in_memory_is_read_at_once_and_the_rest_later() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&[7; 10_000]).expect("written");
        let mut buffer = Buffer::new(20_000);
        assert!(!buffer.read_cached(&file, 0), "the file is shorter");
        buffer.read(&file, 0).expect("read");
        assert_eq!(buffer.freeze(), vec![7; 10_000]);
    }
}
