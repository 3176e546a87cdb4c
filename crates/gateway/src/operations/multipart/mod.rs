//! Multipart uploads: begin, write and copy parts, list, complete, abort.

mod complete;
mod create;
mod list;
mod part;

pub use complete::Complete;
pub use create::Create;
pub use list::{ListParts, ListUploads};
pub use part::{Abort, Copy, Upload};

use model::{Condition, names::UploadId};
use service::{Error, uploads::UploadTarget};

use crate::wire::{Request, Result};

/// The upload a request names.
///
/// # Errors
/// `NoSuchUpload` for an id that none of ours looks like.
fn target(request: &Request) -> Result<UploadTarget> {
    let id = request.parameter("uploadId").unwrap_or_default();
    let unknown = || Error::from(Condition::NoSuchUpload).field("UploadId", id);
    Ok(UploadTarget {
        bucket: request.bucket()?,
        key: request.key()?,
        upload: UploadId::parse(id).ok_or_else(unknown)?,
    })
}
