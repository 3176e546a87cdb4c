//! Objects: what reading, writing, copying, deleting and listing mean.

pub mod copy;
pub mod delete;
pub mod list;
pub mod read;
pub mod write;

use model::{
    names::{BucketName, ObjectKey, VersionSelector},
    records::{Version, Versioning},
};

/// One object a request names.
#[derive(Clone, Debug)]
pub struct Target {
    pub bucket: BucketName,
    pub key: ObjectKey,
    pub version: VersionSelector,
}

/// The version that a request was about, and whether its bucket names versions.
pub struct Versioned {
    pub version: Version,
    pub versioning: Versioning,
}
