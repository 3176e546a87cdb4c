//! What an operation answers, before it becomes HTTP.

use std::pin::Pin;

use actix_web::http::header::{HeaderName, HeaderValue};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use service::{ContentReader, Piece};

use super::Result;
use crate::dialect::Dialect;

/// Pieces of a body.
pub type Pieces = Pin<Box<dyn Stream<Item = Result<Piece>>>>;

/// Status, headers and body. Id, date and server headers are added to all replies alike.
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: ReplyBody,
}

/// The body of a reply.
pub enum ReplyBody {
    Empty,
    /// No body, though the headers speak of one of this length: the answer to HEAD.
    Absent {
        size_bytes: u64,
    },
    Bytes(Bytes),
    /// Exactly `size_bytes` bytes. An error among the pieces breaks the connection off, so that
    /// the client cannot take what it has for the whole.
    Stream {
        size_bytes: u64,
        pieces: Pieces,
    },
    /// As many bytes as there will be; an error breaks the connection off here too.
    Endless(Pieces),
}

/// A reply without a body.
pub fn empty(status: u16) -> Reply {
    Reply::new(status)
}

/// A reply that is an XML document.
pub fn xml(status: u16, document: Bytes) -> Reply {
    let mut reply = Reply::new(status).header("content-type", "application/xml");
    reply.body = ReplyBody::Bytes(document);
    reply
}

/// A reply with the bytes of an object, read as the client takes them.
pub fn object(status: u16, size_bytes: u64, reader: ContentReader) -> Reply {
    let pieces = futures_util::stream::unfold(reader, |mut reader| async move {
        reader.next_piece().await.map(|piece| (piece, reader))
    });
    let mut reply = Reply::new(status);
    reply.body = ReplyBody::Stream { size_bytes, pieces: Box::pin(pieces) };
    reply
}

/// A reply whose length is not known before its end.
pub fn endless(status: u16, chunks: impl Stream<Item = Result<Bytes>> + 'static) -> Reply {
    let mut reply = Reply::new(status);
    let pieces = chunks.map(|chunk| chunk.map(Piece::from));
    reply.body = ReplyBody::Endless(Box::pin(pieces));
    reply
}

impl Reply {
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: ReplyBody::Empty }
    }

    /// Adds a header. A name or value HTTP has no place for is left out.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.add(name, value);
        self
    }

    /// Adds `x-amz-<suffix>` or `x-oss-<suffix>`.
    #[must_use]
    pub fn own_header(mut self, dialect: Dialect, suffix: &str, value: impl AsRef<str>) -> Self {
        self.add_own(dialect, suffix, value);
        self
    }

    /// As [`Self::header`], in place.
    pub fn add(&mut self, name: &str, value: impl AsRef<str>) {
        let name = HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::from_bytes(value.as_ref().as_bytes());
        match (name, value) {
            (Ok(name), Ok(value)) => self.headers.push((name, value)),
            _ => tracing::debug!("a header that HTTP cannot carry was left out"),
        }
    }

    /// As [`Self::own_header`], in place.
    pub fn add_own(&mut self, dialect: Dialect, suffix: &str, value: impl AsRef<str>) {
        self.add(&format!("{}{suffix}", dialect.header_prefix()), value);
    }

    /// The first header of this name, for tests and for recovery.
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(found, _)| found.as_str() == name)?;
        std::str::from_utf8(value.as_bytes()).ok()
    }
}
