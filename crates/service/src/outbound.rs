//! Requests to other servers. Which may be asked, and over what, is decided in the program that
//! wires this: nothing here opens a connection.

use bytes::Bytes;
use futures_util::future::BoxFuture;

/// Asks other servers over HTTP, those that the operator lets be asked.
pub trait Outbound: Send + Sync {
    /// Whether this URL may be asked, as far as its text tells; the address it leads to is looked
    /// at when it is.
    ///
    /// # Errors
    /// Why not, in words for whoever named it.
    fn check(&self, url: &str) -> Result<(), String>;

    /// Fetches a document of at most `bytes_max`, without following redirects.
    ///
    /// # Errors
    /// What went wrong, in words for the log.
    fn get<'o>(&'o self, url: &'o str, bytes_max: usize) -> BoxFuture<'o, Result<Bytes, String>>;
}

/// Asks nobody.
pub struct NoOutbound;

impl Outbound for NoOutbound {
    fn check(&self, _: &str) -> Result<(), String> {
        Ok(())
    }

    fn get<'o>(&'o self, _: &'o str, _: usize) -> BoxFuture<'o, Result<Bytes, String>> {
        Box::pin(async { Err("nobody is asked".to_owned()) })
    }
}
