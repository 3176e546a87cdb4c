//! Checked bytes on their way out: [`Piece`].

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt as _};
use rustix::io::{Errno, ReadWriteFlags};
use rustix::pipe::{SpliceFlags, splice};
use tokio::time::Instant;

use crate::error::Result;

/// For so long after the check bytes may be given to the kernel to send them from its page cache,
/// if the file was not written to. A page could have left the cache and come back from a rotten
/// disk, but not within so short a time after it was read. What the kernel was given waits for the
/// client as long as that likes, and is not looked at again: it cannot leave memory meanwhile.
pub(crate) const FRESH: Duration = Duration::from_secs(1);

/// The kernel's clock for changes of files ticks at least this often: two changes in one tick
/// cannot be told apart.
const TICK: Duration = Duration::from_millis(20);

/// A file that is open for reading, and when it was last changed.
#[derive(Clone, Debug)]
pub struct Unchanged {
    file: Arc<File>,
    changed: Stamp,
}

/// When a file was last changed: seconds and nanoseconds, as the file system has them.
pub(crate) type Stamp = (i64, i64);

impl Unchanged {
    /// `None` if the file was changed so lately that a further change could not be told from that.
    #[allow(
        clippy::disallowed_methods,
        reason = "the stamps of files are from the machine's clock"
    )]
    pub fn new(file: Arc<File>) -> Option<Self> {
        let changed = stamp(&file)?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
        let at = u64::try_from(changed.0).ok().zip(u32::try_from(changed.1).ok());
        let at = at.map_or(now, |(seconds, nanos)| Duration::new(seconds, nanos));
        (at + TICK < now).then_some(Self { file, changed })
    }

    pub(crate) fn changed(&self) -> Stamp {
        self.changed
    }

    /// Whether nobody has written to the file, and the kernel has these bytes in memory.
    fn has_at_hand(&self, offset: u64, length: usize) -> bool {
        let cached = |offset| {
            let mut byte = [0];
            let mut rest = [io::IoSliceMut::new(&mut byte)];
            rustix::io::preadv2(&*self.file, &mut rest, offset, ReadWriteFlags::NOWAIT) == Ok(1)
        };
        let last = (length as u64).checked_sub(1).and_then(|last| offset.checked_add(last));
        stamp(&self.file) == Some(self.changed) && cached(offset) && last.is_some_and(cached)
    }
}

fn stamp(file: &File) -> Option<Stamp> {
    let about = file.metadata().ok()?;
    Some((about.ctime(), about.ctime_nsec()))
}

/// Checked bytes of a blob: in memory, or where the kernel has them, or both. For the kernel to
/// send them saves copies.
#[derive(Debug)]
pub struct Piece {
    memory: Memory,
    kept: Option<Kept>,
}

enum Memory {
    Here(Bytes),
    /// So many bytes that only the kernel has, the first `skipped` of which are gone already.
    Elsewhere {
        length: usize,
        skipped: usize,
        load: Load,
    },
}

/// Reads the bytes of a piece again, and checks them.
pub(crate) type Load = BoxFuture<'static, Result<Bytes>>;

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, length) = match self {
            Self::Here(bytes) => ("Here", bytes.len()),
            Self::Elsewhere { length, .. } => ("Elsewhere", *length),
        };
        f.debug_tuple(name).field(&length).finish()
    }
}

/// Where in a file bytes stand that are in the page cache too, and when they were checked.
#[derive(Debug)]
pub(crate) struct Kept {
    file: Unchanged,
    offset: u64,
    checked: Instant,
}

impl Kept {
    pub fn new(file: Unchanged, offset: u64, checked: Instant) -> Self {
        Self { file, offset, checked }
    }

    fn holds(&self, length: usize) -> bool {
        self.checked.elapsed() < FRESH && self.file.has_at_hand(self.offset, length)
    }
}

impl Piece {
    pub(crate) fn new(bytes: Bytes, kept: Option<Kept>) -> Self {
        Self { memory: Memory::Here(bytes), kept }
    }

    /// A piece that was checked a moment ago, and is read again only if it cannot be sent at once.
    pub(crate) fn known(length: usize, kept: Kept, load: Load) -> Self {
        Self { memory: Memory::Elsewhere { length, skipped: 0, load }, kept: Some(kept) }
    }

    pub fn len(&self) -> usize {
        match &self.memory {
            Memory::Here(bytes) => bytes.len(),
            Memory::Elsewhere { length, .. } => *length,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether only the kernel has the bytes.
    #[cfg(test)]
    pub(crate) fn is_known(&self) -> bool {
        matches!(self.memory, Memory::Elsewhere { .. })
    }

    /// The bytes; of a piece that only the kernel has, read and checked once more.
    ///
    /// # Errors
    /// Those of [`BlobReader::next`](crate::BlobReader::next).
    pub async fn into_bytes(mut self) -> Result<Bytes> {
        std::future::poll_fn(|context| self.poll_bytes(context)).await
    }

    /// As [`Self::into_bytes`], and the piece stays.
    ///
    /// # Errors
    /// As [`Self::into_bytes`]; the piece is empty then.
    pub fn poll_bytes(&mut self, context: &mut Context<'_>) -> Poll<Result<Bytes>> {
        let read = match &mut self.memory {
            Memory::Here(bytes) => Ok(bytes.clone()),
            Memory::Elsewhere { skipped, load, .. } => {
                self.kept = None;
                ready!(load.poll_unpin(context)).map(|mut bytes| bytes.split_off(*skipped))
            }
        };
        self.memory = Memory::Here(read.as_ref().map_or_else(|_| Bytes::new(), Bytes::clone));
        Poll::Ready(read)
    }

    /// Whether [`Self::send`] can do anything. Else the bytes are to be sent.
    pub fn is_sendable(&self) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.holds(self.len()))
    }

    /// Takes the first `count` bytes away, of those that are there.
    pub fn advance(&mut self, count: usize) {
        let count = count.min(self.len());
        match &mut self.memory {
            Memory::Here(bytes) => drop(bytes.split_to(count)),
            Memory::Elsewhere { length, skipped, .. } => {
                *length -= count;
                *skipped += count;
            }
        }
        if let Some(kept) = &mut self.kept {
            kept.offset += count as u64;
        }
    }

    /// Lets the kernel send the bytes to `socket`; how many it took.
    ///
    /// After any error but `WouldBlock`, and when nothing was sent, this is no longer sendable.
    ///
    /// # Errors
    /// Those of `sendfile(2)`. `WouldBlock` when the socket is full.
    pub fn send(&mut self, socket: impl AsFd) -> io::Result<usize> {
        self.give(|file, offset, length| rustix::fs::sendfile(&socket, file, Some(offset), length))
    }

    /// As [`Self::send`], into a pipe: it holds the pages, not copies of them.
    ///
    /// # Errors
    /// Those of `splice(2)`. `WouldBlock` when the pipe is full.
    pub fn splice(&mut self, pipe: impl AsFd) -> io::Result<usize> {
        self.give(|file, offset, length| {
            splice(file, Some(offset), &pipe, None, length, SpliceFlags::NONBLOCK)
        })
    }

    fn give(
        &mut self,
        give: impl Fn(&File, &mut u64, usize) -> rustix::io::Result<usize>,
    ) -> io::Result<usize> {
        let length = self.len();
        let Some(kept) = &self.kept else { return Ok(0) };
        let mut offset = kept.offset;
        let given = loop {
            match give(&kept.file.file, &mut offset, length) {
                Err(Errno::INTR) => {}
                result => break result,
            }
        };
        match given {
            Ok(0) => self.kept = None,
            Ok(given) => self.advance(given),
            Err(Errno::AGAIN) => {}
            Err(_) => self.kept = None,
        }
        Ok(given?)
    }
}

impl From<Bytes> for Piece {
    fn from(bytes: Bytes) -> Self {
        Self::new(bytes, None)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    use super::*;

    /// A file of ten digits that was changed long ago, and its name.
    fn digits() -> (tempfile::NamedTempFile, Unchanged) {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(b"0123456789").expect("written");
        loop {
            let opened = Arc::new(file.reopen().expect("opened"));
            match Unchanged::new(opened) {
                Some(unchanged) => return (file, unchanged),
                None => std::thread::yield_now(),
            }
        }
    }

    fn kept(file: &Unchanged, offset: u64) -> Kept {
        Kept::new(file.clone(), offset, Instant::now())
    }

    /// A piece of all digits that only the kernel has; read again it is letters.
    fn known(file: &Unchanged) -> Piece {
        let load = async { Ok(Bytes::from_static(b"abcdefghij")) }.boxed();
        Piece::known(10, kept(file, 0), load)
    }

    #[tokio::test(start_paused = true)]
    async fn the_kernel_sends_what_stands_in_the_file() {
        let (_name, file) = digits();
        let (mut ours, theirs) = UnixStream::pair().expect("sockets");
        let mut piece = Piece::new(Bytes::from_static(b"23456"), Some(kept(&file, 2)));
        piece.advance(1);
        assert!(piece.is_sendable());
        assert_eq!(piece.send(&theirs).expect("sent"), 4);
        assert!(piece.is_empty());
        let mut came = [0; 4];
        ours.read_exact(&mut came).expect("came");
        assert_eq!(&came, b"3456");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_checked_long_ago_is_read_and_checked_again() {
        let (_name, file) = digits();
        let mut piece = known(&file);
        piece.advance(3);
        assert!(piece.is_sendable());
        tokio::time::advance(FRESH).await;
        assert!(!piece.is_sendable());
        assert_eq!(piece.into_bytes().await.expect("bytes"), "defghij");
    }

    #[tokio::test(start_paused = true)]
    async fn what_somebody_wrote_to_is_read_and_checked_again() {
        let (mut name, file) = digits();
        let piece = known(&file);
        name.write_all(b"x").expect("written");
        assert!(!piece.is_sendable());
        assert!(Unchanged::new(Arc::clone(&file.file)).is_none(), "it was changed a moment ago");
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_full_socket_did_not_take_is_sent_later() {
        let (_name, file) = digits();
        let (mut ours, theirs) = UnixStream::pair().expect("sockets");
        theirs.set_nonblocking(true).expect("not blocking");
        let mut filled = 0;
        let mut piece = known(&file);
        let error = loop {
            match piece.send(&theirs) {
                Ok(sent) => filled += sent,
                Err(error) => break error,
            }
            if piece.is_empty() {
                piece = known(&file);
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        let left = piece.len();
        let mut came = vec![0; filled];
        ours.read_exact(&mut came).expect("came");
        assert!(piece.is_sendable());
        assert_eq!(piece.send(&theirs).expect("sent"), left);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_pipe_takes_what_it_can_and_the_rest_later() {
        let (_name, file) = digits();
        let (read, write) = rustix::pipe::pipe().expect("a pipe");
        let mut filled = 0;
        let mut piece = known(&file);
        while piece.splice(&write).is_ok() {
            filled += 10 - piece.len();
            piece = known(&file);
        }
        assert!(filled > 0 && piece.is_sendable());
        let mut came = vec![0; filled];
        std::fs::File::from(read.try_clone().expect("a file")).read_exact(&mut came).expect("came");
        assert_eq!(&came[..10], b"0123456789");
        assert_eq!(piece.splice(&write).expect("room again"), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_is_too_short_sends_nothing_and_loses_nothing() {
        let (_name, file) = digits();
        let (_ours, theirs) = UnixStream::pair().expect("sockets");
        let mut piece = Piece::new(Bytes::from_static(b"abc"), Some(kept(&file, 10)));
        assert!(!piece.is_sendable());
        assert_eq!(piece.send(&theirs).expect("sent"), 0);
        assert_eq!(piece.into_bytes().await.expect("bytes"), "abc");
    }
}
