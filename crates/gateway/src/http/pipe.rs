//! What the kernel gathers of several pieces before it sends them: [`Pipe`].
//!
//! A piece that is sent on its own goes out in packets of its own, and wakes the client for each.
//! Out of a pipe a row of pieces goes as one.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice},
};

/// Bytes of whole pages that a pipe has room for.
const PIPE_BYTES: usize = 1024 * 1024;

/// Bytes after which what is in it is sent: a piece takes up to a page more than it has bytes.
const ENOUGH_BYTES: usize = PIPE_BYTES / 4 * 3;

/// Pipes of the process, together half of what the kernel lets a user have: answers beyond go
/// without. A client that stands still keeps one.
const PIPES_MAX: usize = 32;

/// Files that are open for them.
pub const PIPE_FILES_MAX: usize = 2 * PIPES_MAX;

/// For so long nobody asks the system again that had no more.
const REFUSED: Duration = Duration::from_secs(1);

static POOL: Mutex<Pool> = Mutex::new(Pool { free: Vec::new(), count: 0, refused: None });

struct Pool {
    free: Vec<Ends>,
    /// Those in use too.
    count: usize,
    refused: Option<Instant>,
}

struct Ends {
    read: OwnedFd,
    write: OwnedFd,
}

/// A pipe from the pages of files to a socket: nothing is copied.
pub struct Pipe {
    ends: Option<Ends>,
    held_bytes: usize,
}

impl Pipe {
    /// An empty one; `None` if there are as many as may be, or the system has no more.
    pub fn take() -> Option<Self> {
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        let ends = match pool.free.pop() {
            Some(ends) => ends,
            None if pool.count < PIPES_MAX
                && pool.refused.is_none_or(|at| at.elapsed() > REFUSED) =>
            {
                let opened = open();
                pool.refused = opened.is_err().then(Instant::now);
                pool.count += usize::from(opened.is_ok());
                opened.ok()?
            }
            None => return None,
        };
        Some(Self { ends: Some(ends), held_bytes: 0 })
    }

    pub fn is_empty(&self) -> bool {
        self.held_bytes == 0
    }

    /// Whether it is to be sent before more is put in.
    pub fn is_full(&self) -> bool {
        self.held_bytes >= ENOUGH_BYTES
    }

    /// Puts into it what `put` lets the kernel put there.
    ///
    /// # Errors
    /// Those of `put`. `WouldBlock` when it has no room.
    pub fn fill(
        &mut self,
        put: impl FnOnce(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let Some(ends) = &self.ends else { return Ok(0) };
        let count = put(ends.write.as_fd())?;
        self.held_bytes += count;
        Ok(count)
    }

    /// Lets the kernel send of what is in it as much as the socket takes at once.
    ///
    /// - `more`: something follows.
    ///
    /// # Errors
    /// Those of `splice(2)`. `WouldBlock` when the socket is full.
    pub fn send(&mut self, socket: impl AsFd, more: bool) -> io::Result<()> {
        let Some(ends) = &self.ends else { return Ok(()) };
        let more = if more { SpliceFlags::MORE } else { SpliceFlags::empty() };
        while self.held_bytes > 0 {
            let flags = SpliceFlags::NONBLOCK | more;
            match splice(&ends.read, None, &socket, None, self.held_bytes, flags) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(sent) => self.held_bytes = self.held_bytes.saturating_sub(sent),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

fn open() -> rustix::io::Result<Ends> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    fcntl_setpipe_size(&write, PIPE_BYTES)?;
    Ok(Ends { read, write })
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let Some(ends) = self.ends.take() else { return };
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        // What is left in it is of no other answer.
        if self.is_empty() {
            pool.free.push(ends);
        } else {
            pool.count = pool.count.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        os::unix::net::UnixStream,
    };

    use super::*;

    fn fill(pipe: &mut Pipe, bytes: &[u8]) {
        let count = pipe.fill(|end| Ok(rustix::io::write(end, bytes)?)).unwrap();
        assert_eq!(count, bytes.len());
    }

    // One test: all pipes are of one pool.
    #[test]
    fn what_is_put_in_comes_out_of_the_socket_and_nothing_else() {
        let mut all: Vec<Pipe> = std::iter::from_fn(Pipe::take).collect();
        assert!(all.len() <= PIPES_MAX && Pipe::take().is_none());
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut pipe = all.pop().unwrap();
        fill(&mut pipe, b"ab");
        fill(&mut pipe, b"cd");
        assert!(!pipe.is_empty() && !pipe.is_full());
        pipe.send(&ours, true).unwrap();
        assert!(pipe.is_empty());
        let mut came = [0; 4];
        theirs.read_exact(&mut came).unwrap();
        assert_eq!(&came, b"abcd");
        // The socket takes no more, and what it did not take is sent later.
        let mut filled = 0;
        while let Ok(count) = (&ours).write(&[0; 4096]) {
            filled += count;
        }
        fill(&mut pipe, b"late");
        let error = pipe.send(&ours, false).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        theirs.read_exact(&mut vec![0; filled]).unwrap();
        pipe.send(&ours, false).unwrap();
        theirs.read_exact(&mut came).unwrap();
        assert_eq!(&came, b"late");
        // Given back empty it is used again, otherwise never.
        drop(pipe);
        let mut pipe = Pipe::take().unwrap();
        fill(&mut pipe, b"lost");
        drop(pipe);
        let mut pipe = Pipe::take().unwrap();
        fill(&mut pipe, b"kept");
        pipe.send(&ours, false).unwrap();
        theirs.read_exact(&mut came).unwrap();
        assert_eq!(&came, b"kept");
        let much = vec![7; ENOUGH_BYTES];
        fill(&mut pipe, &much);
        assert!(pipe.is_full());
    }
}
