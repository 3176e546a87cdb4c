//! Checked bytes on their way out: [`Piece`].

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustix::io::Errno;
use tokio::time::Instant;

/// For so long after the check the kernel may send the bytes from its page cache. A page could have
/// left it and come back from a rotten disk, but not within so short a time after it was read.
const FRESH: Duration = Duration::from_millis(50);

/// Checked bytes of a blob, and perhaps where the kernel has the same ones: to send those saves two
/// copies of them.
#[derive(Debug)]
pub struct Piece {
    bytes: Bytes,
    kept: Option<Kept>,
}

/// Where in a file bytes stand that are in the page cache too.
#[derive(Debug)]
pub(crate) struct Kept {
    file: Arc<File>,
    offset: u64,
    checked: Instant,
}

impl Kept {
    pub fn new(file: Arc<File>, offset: u64) -> Self {
        Self { file, offset, checked: Instant::now() }
    }
}

impl Piece {
    pub(crate) fn new(bytes: Bytes, kept: Option<Kept>) -> Self {
        Self { bytes, kept }
    }

    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// Whether [`Self::send`] can do anything.
    pub fn is_sendable(&self) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.checked.elapsed() < FRESH)
    }

    /// Takes the first `count` bytes away, of those that are there.
    pub fn advance(&mut self, count: usize) {
        let count = count.min(self.bytes.len());
        self.bytes = self.bytes.split_off(count);
        if let Some(kept) = &mut self.kept {
            kept.offset += count as u64;
        }
    }

    /// Lets the kernel send the bytes to `socket`; how many it took.
    ///
    /// Unless it took all, this is no longer sendable: what is left may have to wait, and is then
    /// to be sent from [`Self::bytes`], as after any error.
    ///
    /// # Errors
    /// Those of `sendfile(2)`. `WouldBlock` also when there is nothing to be sent like this.
    pub fn send(&mut self, socket: impl AsFd) -> io::Result<usize> {
        let kept = self.kept.take().ok_or(io::ErrorKind::WouldBlock)?;
        let (mut offset, length) = (kept.offset, self.bytes.len());
        let sent = loop {
            match rustix::fs::sendfile(&socket, &*kept.file, Some(&mut offset), length) {
                Err(Errno::INTR) => {}
                result => break result?,
            }
        };
        self.bytes = self.bytes.split_off(sent.min(length));
        Ok(sent)
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

    fn piece(text: &'static str, offset: u64) -> Piece {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(b"0123456789").expect("written");
        Piece::new(Bytes::from_static(text.as_bytes()), Some(Kept::new(Arc::new(file), offset)))
    }

    #[tokio::test(start_paused = true)]
    async fn the_kernel_sends_what_stands_in_the_file() {
        let (mut ours, theirs) = UnixStream::pair().expect("sockets");
        let mut piece = piece("23456", 2);
        piece.advance(1);
        assert!(piece.is_sendable());
        assert_eq!(piece.send(&theirs).expect("sent"), 4);
        assert!(piece.bytes().is_empty());
        let mut came = [0; 4];
        ours.read_exact(&mut came).expect("came");
        assert_eq!(&came, b"3456");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_checked_long_ago_is_sent_from_our_memory() {
        let piece = piece("0123", 0);
        tokio::time::advance(FRESH).await;
        assert!(!piece.is_sendable());
        assert_eq!(piece.into_bytes(), "0123");
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_full_socket_did_not_take_is_sent_from_our_memory() {
        let (_ours, theirs) = UnixStream::pair().expect("sockets");
        theirs.set_nonblocking(true).expect("not blocking");
        let (mut piece, mut sent) = (piece("0123456789", 0), 10);
        while sent == 10 {
            piece = self::piece("0123456789", 0);
            sent = piece.send(&theirs).unwrap_or(0);
        }
        assert!(!piece.is_sendable());
        assert_eq!(piece.into_bytes(), &b"0123456789"[sent..]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_is_too_short_sends_nothing_and_loses_nothing() {
        let (_ours, theirs) = UnixStream::pair().expect("sockets");
        let mut piece = piece("abc", 10);
        assert_eq!(piece.send(&theirs).expect("sent"), 0);
        assert!(!piece.is_sendable());
        assert_eq!(piece.into_bytes(), "abc");
    }
}
