//! Access control lists of buckets and objects: they stand in the records of what they are of.

use model::{
    Condition,
    acl::{Acl, Ownership},
    audit::AuditEntry,
    names::{ObjectKey, VersionSelector},
    records::{Bucket, Version},
};

use crate::{
    Metadata, Result, keys,
    transaction::{Draft, Try},
};

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

    /// Sets the list of one version, which stays what it is besides.
    ///
    /// - `decide`: what the list is to be, for the version as it is in that very commit.
    ///
    /// # Errors
    /// [`Condition::NoSuchKey`], [`Condition::MethodNotAllowed`] for a delete marker,
    /// [`Condition::NoSuchBucket`], and what `decide` says.
    pub async fn set_object_acl(
        &self,
        known: &Bucket,
        key: &ObjectKey,
        selector: VersionSelector,
        decide: impl Fn(&Bucket, &Version) -> Result<Option<Acl>, Condition>,
    ) -> Result<Version> {
        self.transact(async || {
            let mut draft = Draft::default();
            let bucket = self.rebind(&mut draft, known).await?;
            let version = self.version(&bucket, key, selector).await?;
            let version = version.ok_or(Condition::NoSuchKey)?;
            if version.object.is_none() {
                return Err(Condition::MethodNotAllowed.into());
            }
            let current = keys::current(bucket.id, key.as_str().as_bytes());
            let history = keys::history(bucket.id, key, version.id.order);
            for row in [current, history.clone()] {
                let found = self.record::<Version>(&row).await?;
                if let Some((found, guard)) = found.filter(|(found, _)| found.id == version.id) {
                    let changed = Version { acl: decide(&bucket, &found)?, ..found };
                    draft.expect(&guard);
                    draft.put(row, &changed);
                    return Ok(Try::Commit(draft, changed));
                }
            }
            // It moved meanwhile: this fails if it is in the history now, and the next try finds
            // it, or that it is gone.
            draft.expect_row(&history, None);
            Ok(Try::Commit(draft, version))
        })
        .await
    }
}
