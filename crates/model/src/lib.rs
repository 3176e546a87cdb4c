//! The words of the product: names, records, rules, and what the rules decide.
//!
//! Pure: no input or output, no async, no clock. Everything above this crate speaks in these types.

pub mod acl;
pub mod audit;
pub mod checksums;
pub mod condition;
pub mod cors;
pub mod entities;
pub mod environment;
pub mod limits;
pub mod listing;
pub mod names;
pub mod policy;
pub mod preconditions;
pub mod records;
pub mod referer;
pub mod tags;
pub mod totp;

pub use condition::Condition;
pub use names::{AccountId, BucketId, BucketName, ContentId, ObjectKey, UploadId, VersionId};
