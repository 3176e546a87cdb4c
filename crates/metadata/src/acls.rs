//! Access control lists and ownership of buckets: they stand in their records. That of an object is
//! in its version: see `versions`.

use model::{
    Condition,
    acl::{Acl, Ownership},
    audit::AuditEntry,
    records::Bucket,
};

use crate::{Metadata, Result};

impl Metadata {
    /// Sets the bucket's list.
    ///
    /// - `decide`: whether the bucket, as it is in that very commit, may have it.
    ///
    /// # Errors
    /// [`Condition::NoSuchBucket`], and what `decide` says.
    pub async fn set_bucket_acl(
        &self,
        known: &Bucket,
        acl: Option<&Acl>,
        by: &AuditEntry,
        decide: impl Fn(&Bucket) -> Result<(), Condition>,
    ) -> Result<()> {
        self.change_bucket(known, by, |bucket| {
            decide(&bucket)?;
            Ok(Bucket { acl: acl.cloned(), ..bucket })
        })
        .await
    }

    /// Sets whose the objects are that others write.
    ///
    /// # Errors
    /// [`Condition::NoSuchBucket`], and what `decide` says of the bucket as it is.
    pub async fn set_object_ownership(
        &self,
        known: &Bucket,
        object_ownership: Option<Ownership>,
        by: &AuditEntry,
        decide: impl Fn(&Bucket) -> Result<(), Condition>,
    ) -> Result<()> {
        self.change_bucket(known, by, |bucket| {
            decide(&bucket)?;
            Ok(Bucket { object_ownership, ..bucket })
        })
        .await
    }
}
