//! Objects: what reading, writing, copying, deleting and listing mean.

pub mod copy;
pub mod delete;
pub mod list;
pub mod read;
pub mod write;

use model::names::{BucketName, ObjectKey, VersionSelector};

/// One object a request names.
#[derive(Clone, Debug)]
pub struct Target {
    pub bucket: BucketName,
    pub key: ObjectKey,
    pub version: VersionSelector,
}
