//! Writing an object: bytes first, then the name.

use std::sync::Arc;

use metadata::{NamedContent, NewVersion, WrittenVersion};
use model::{
    Condition,
    acl::WantedAcl,
    names::{BucketName, ObjectKey, VersionSelector},
    preconditions::Preconditions,
    records::{Attributes, Bucket, Etag, ObjectData, Version, Versioning},
    tags::Tags,
};

use crate::{
    Need, Operation, Permit, Result, Service, acls,
    body::Body,
    contents::{BODY_BYTES_MAX, Description},
};

/// Writes a whole object.
pub struct PutObject {
    pub bucket: BucketName,
    pub key: ObjectKey,
    pub attributes: Attributes,
    pub condition: WriteCondition,
    pub acl: Option<WantedAcl>,
    pub tags: Tags,
    pub body: Box<dyn Body>,
}

/// When a write may replace what is there: decided in the very commit that names the new bytes.
#[derive(Clone, Debug, Default)]
pub struct WriteCondition {
    pub preconditions: Preconditions,
    /// `x-oss-forbid-overwrite`; without effect in a versioned bucket.
    pub forbid_overwrite: bool,
}

/// A version that was written.
#[derive(Clone, Debug)]
pub struct Written {
    pub version: Version,
    /// The bucket's when it was written.
    pub versioning: Versioning,
}

impl From<WrittenVersion> for Written {
    fn from(written: WrittenVersion) -> Self {
        Self { version: written.version, versioning: written.versioning }
    }
}

impl WriteCondition {
    /// Decides over the object that would be replaced.
    ///
    /// # Errors
    /// [`Condition::PreconditionFailed`], [`Condition::NoSuchKey`] or
    /// [`Condition::FileAlreadyExists`].
    pub(crate) fn check(
        &self,
        bucket: &Bucket,
        existing: Option<&Version>,
    ) -> Result<(), Condition> {
        let object = existing.and_then(|version| Some((version.object.as_ref()?, version)));
        if self.forbid_overwrite && bucket.versioning == Versioning::Unversioned && object.is_some()
        {
            return Err(Condition::FileAlreadyExists);
        }
        let existing = object.map(|(object, version)| (&object.etag, version.modified_ms));
        self.preconditions.check_write(existing)
    }
}

impl Operation for PutObject {
    type Output = Written;

    fn needs(&self) -> Vec<Need<'_>> {
        Need::write((&self.bucket, &self.key), self.acl.as_ref(), self.tags.as_slice())
    }

    async fn run(
        mut self,
        permit: Permit<'_, Self>,
        service: &Arc<Service>,
    ) -> Result<Self::Output> {
        let (bucket, _) = permit.bucket(&self.bucket)?;
        self.condition.refuse_early(service, bucket, &self.key).await?;
        let (owner, acl) = service.own(bucket, permit.caller(), self.acl.as_ref()).await?;
        let description = Description::new(bucket, &self.key, &self.attributes);
        let body = self.body.as_mut();
        let stored = service.store(bucket, description, body, BODY_BYTES_MAX).await?;
        let object = ObjectData {
            content: stored.id(),
            size_bytes: stored.digests.size_bytes,
            etag: Etag { md5: stored.digests.md5, parts: None },
            crc64: stored.digests.crc64,
            checksum: stored.digests.checksum.clone(),
            attributes: self.attributes,
        };
        let new = NewVersion {
            key: &self.key,
            owner: &owner,
            object: Some(&object),
            content: Some(NamedContent::New(&stored.content(&bucket.region))),
            acl: acl.as_ref(),
            tags: Some(&self.tags),
            now_ms: service.now_ms(),
        };
        let decide = |bucket: &Bucket, existing: Option<&Version>| {
            acls::check(bucket, acl.as_ref())?;
            self.condition.check(bucket, existing)
        };
        let written = service.metadata.write_version(bucket, &new, decide).await?;
        stored.named();
        service.garbage_queued.notify_one();
        Ok(written.into())
    }
}

impl WriteCondition {
    /// Refuses before anything is read or written what the commit would refuse after it.
    pub(crate) async fn refuse_early(
        &self,
        service: &Service,
        bucket: &Bucket,
        key: &ObjectKey,
    ) -> Result<()> {
        if self.preconditions.is_empty() && !self.forbid_overwrite {
            return Ok(());
        }
        let existing = service.metadata.version(bucket, key, VersionSelector::Latest).await?;
        let existing = existing.filter(|version| version.object.is_some());
        Ok(self.check(bucket, existing.as_ref())?)
    }
}
