//! Doors for the fuzz targets in `tests/fuzz`: built only with the feature `fuzzing`.
//!
//! Each function panics when a promise is broken. It answers whether it came to a rare place, deep
//! behind the checks: there the control of `tests/fuzz` plants a bug, to see that it is found.

mod chunks;
mod documents;
mod forms;
mod headers;
mod signatures;

use bytes::Bytes;
use tokio::runtime::{Builder, Runtime};

use crate::{
    dialect::Dialect,
    wire::{WireOperation, testing::try_request},
};

pub use chunks::{Framed, framed_chunks, raw_chunks};
pub use documents::{document, key_in_a_document};
pub use forms::{call, grants, iam_form, post_form, post_policy};
pub use headers::{copy_source, headers};
pub use service::fuzzing::claims;
pub use signatures::{garbage_signature, signature};

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().enable_time().build().unwrap();
}

fn dialect(oss: bool) -> Dialect {
    if oss { Dialect::Oss } else { Dialect::S3 }
}

/// What the operation `W` reads out of a request, if it does not refuse it.
fn parse<W: WireOperation>(
    dialect: Dialect,
    (method, target): (&str, &str),
    headers: &[(&str, &str)],
    body: Bytes,
) -> Option<W::Call> {
    let mut request = try_request(dialect, method, target, headers, body)?;
    RUNTIME.with(|runtime| runtime.block_on(W::parse(&mut request))).ok()
}
