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
use futures_util::stream::{self, BoxStream, Stream, StreamExt as _};
use rustix::io::{Errno, ReadWriteFlags};
use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::format::CHUNK_BYTES;

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
        // What lies between is as old as that.
        let mut probes =
            (0..length.saturating_sub(1)).step_by(CHUNK_BYTES).chain(length.checked_sub(1));
        stamp(&self.file) == Some(self.changed) && probes.all(|at| cached(offset + at as u64))
    }
}

fn stamp(file: &File) -> Option<Stamp> {
    let about = file.metadata().ok()?;
    Some((about.ctime(), about.ctime_nsec()))
}

/// Checked bytes of a blob: in memory, or where the kernel has them, or both. For the kernel to
/// send them saves copies.
pub struct Piece {
    length: usize,
    /// The first of the bytes, or none that are in memory.
    here: Bytes,
    again: Option<Again>,
    kept: Option<Kept>,
}

/// Where bytes come from that were checked a moment ago, but are not in memory of ours.
enum Again {
    Unread {
        read: ReadAgain,
        /// So many of the first bytes are gone already.
        skipped: usize,
    },
    Reading(BoxStream<'static, Result<Bytes>>),
}

/// Reads the bytes of a piece from one of them on, and checks them.
pub(crate) type ReadAgain = Box<dyn FnOnce(usize) -> BoxStream<'static, Result<Bytes>> + Send>;

impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { length, here, kept, .. } = self;
        let mut piece = f.debug_struct("Piece");
        piece.field("length", length).field("here", &here.len()).field("kept", kept).finish()
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
        Self { length: bytes.len(), here: bytes, again: None, kept }
    }

    /// A piece that was checked a moment ago, and is read again only if it cannot be sent at once.
    pub(crate) fn known(length: usize, kept: Kept, read: ReadAgain) -> Self {
        let again = Some(Again::Unread { read, skipped: 0 });
        Self { length, here: Bytes::new(), again, kept: Some(kept) }
    }

    pub fn len(&self) -> usize {
        self.length
    }

    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Whether only the kernel has the bytes.
    #[cfg(test)]
    pub(crate) fn is_known(&self) -> bool {
        self.again.is_some()
    }

    /// The first of the bytes, some or all; none if the piece is empty. Those that only the kernel
    /// has are read and checked once more. They stay in the piece.
    ///
    /// # Errors
    /// Those of [`BlobReader::next`](crate::BlobReader::next); the piece is empty then.
    pub fn poll_bytes(&mut self, context: &mut Context<'_>) -> Poll<Result<Bytes>> {
        while self.here.is_empty() && self.length > 0 {
            self.kept = None;
            let mut chunks = match self.again.take() {
                Some(Again::Unread { read, skipped }) => read(skipped),
                Some(Again::Reading(chunks)) => chunks,
                None => return Poll::Ready(Err(self.break_off(None))),
            };
            let read = chunks.poll_next_unpin(context);
            self.again = Some(Again::Reading(chunks));
            match ready!(read).transpose() {
                Ok(Some(bytes)) => self.here = bytes,
                Ok(None) => return Poll::Ready(Err(self.break_off(None))),
                Err(error) => return Poll::Ready(Err(self.break_off(Some(error)))),
            }
        }
        Poll::Ready(Ok(self.here.clone()))
    }

    /// Ends here, with bytes missing: why.
    fn break_off(&mut self, error: Option<Error>) -> Error {
        *self = Self::from(Bytes::new());
        error.unwrap_or_else(|| Error::Io(io::ErrorKind::UnexpectedEof.into()))
    }

    /// Takes the first bytes out of the piece, as of [`Self::poll_bytes`]; `None` at its end.
    ///
    /// # Errors
    /// As of [`Self::poll_bytes`].
    pub async fn next(&mut self) -> Option<Result<Bytes>> {
        let bytes = std::future::poll_fn(|context| self.poll_bytes(context)).await;
        if let Ok(bytes) = &bytes {
            self.advance(bytes.len());
        }
        bytes.map(|bytes| Some(bytes).filter(|bytes| !bytes.is_empty())).transpose()
    }

    /// The rest of the bytes, as of [`Self::next`].
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes>> {
        stream::unfold(self, |mut piece| async { Some((piece.next().await?, piece)) })
    }

    /// Whether [`Self::send`] can do anything. Else the bytes are to be sent.
    pub fn is_sendable(&self) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.holds(self.length))
    }

    /// Takes the first `count` bytes away, of those that are there.
    pub fn advance(&mut self, count: usize) {
        let count = count.min(self.length);
        self.length -= count;
        let here = count.min(self.here.len());
        drop(self.here.split_to(here));
        if let Some(Again::Unread { skipped, .. }) = &mut self.again {
            *skipped += count;
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
        let Some(kept) = &self.kept else { return Ok(0) };
        let mut offset = kept.offset;
        let sent = loop {
            match rustix::fs::sendfile(&socket, &*kept.file.file, Some(&mut offset), self.length) {
                Err(Errno::INTR) => {}
                result => break result,
            }
        };
        match sent {
            Ok(0) => self.kept = None,
            Ok(sent) => self.advance(sent),
            Err(Errno::AGAIN) => {}
            Err(_) => self.kept = None,
        }
        Ok(sent?)
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

    use futures_util::TryStreamExt as _;

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

    /// A piece of all digits that only the kernel has; read again it is letters, in two chunks.
    fn known(file: &Unchanged) -> Piece {
        again_as(file, vec![Ok("abcd"), Ok("efghij")])
    }

    /// As [`known`], but read again it is these chunks.
    fn again_as(file: &Unchanged, chunks: Vec<Result<&'static str>>) -> Piece {
        let read = |skipped: usize| {
            let mut left = skipped;
            let rest = move |chunk: Result<&'static str>| match chunk {
                Ok(chunk) => {
                    let gone = left.min(chunk.len());
                    left -= gone;
                    Some(Ok(chunk.get(gone..)?.into())).filter(|_| gone < chunk.len())
                }
                Err(error) => Some(Err(error)),
            };
            stream::iter(chunks.into_iter().filter_map(rest)).boxed()
        };
        Piece::known(10, kept(file, 0), Box::new(read))
    }

    async fn read(piece: Piece) -> Bytes {
        let chunks: Vec<Bytes> = piece.into_stream().try_collect().await.expect("bytes");
        chunks.concat().into()
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
        assert_eq!(read(piece).await, "defghij");
        let mut piece = known(&file);
        piece.advance(5);
        tokio::time::advance(FRESH).await;
        assert_eq!(piece.next().await.expect("more").expect("bytes"), "fghij");
        assert!(piece.is_empty() && piece.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_read_again_is_an_error_and_nothing_follows() {
        let (_name, file) = digits();
        let failed = Err(Error::Damaged(crate::BlobId([1; 16])));
        for mut piece in
            [again_as(&file, vec![Ok("abcd"), failed]), again_as(&file, vec![Ok("abcd")])]
        {
            assert_eq!(piece.next().await.expect("more").expect("bytes"), "abcd");
            assert!(piece.next().await.expect("more").is_err(), "also when there is too little");
            assert!(piece.is_empty() && !piece.is_sendable() && piece.next().await.is_none());
        }
        let mut sent = again_as(&file, Vec::new());
        sent.advance(10);
        assert!(sent.next().await.is_none(), "nothing is left to be read");
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
    async fn a_file_that_is_too_short_sends_nothing_and_loses_nothing() {
        let (_name, file) = digits();
        let (_ours, theirs) = UnixStream::pair().expect("sockets");
        let mut piece = Piece::new(Bytes::from_static(b"abc"), Some(kept(&file, 10)));
        assert!(!piece.is_sendable());
        assert_eq!(piece.send(&theirs).expect("sent"), 0);
        assert_eq!(read(piece).await, "abc");
    }
}
