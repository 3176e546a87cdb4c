//! Copying an object: a second name for the same content, no byte copied.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use metadata::{NamedContent, NewVersion};
use model::{
    Condition,
    acl::WantedAcl,
    checksums::Algorithm,
    names::{BucketName, ObjectKey},
    policy::Action,
    preconditions::Preconditions,
    records::{Attributes, Bucket, Etag, ObjectData, Version, Versioning},
    tags::Tags,
};

use super::{
    Target,
    read::{Found, check_read, find, object_of},
    write::{WriteCondition, Written},
};
use crate::{
    ContentReader, Error, Need, Operation, Permit, Result, Service, acls,
    body::{Body, Digests},
    contents::{BODY_BYTES_MAX, Description, Stored},
};

/// Copies a version to a key.
pub struct CopyObject {
    pub source: Target,
    pub source_preconditions: Preconditions,
    pub bucket: BucketName,
    pub key: ObjectKey,
    /// The new object's attributes; `None` keeps the source's.
    pub replace: Option<Attributes>,
    /// Set apart from `replace`, because it changes even when the rest is kept.
    pub storage_class: Option<String>,
    /// A checksum the new object must have.
    pub checksum: Option<Algorithm>,
    pub condition: WriteCondition,
    /// The source's is not copied.
    pub acl: Option<WantedAcl>,
    /// The new object's tags; `None` keeps the source's.
    pub tags: Option<Tags>,
}

pub struct Copied {
    pub written: Written,
    pub source: Version,
    /// Whether the source's bucket names versions.
    pub source_versioned: bool,
}

impl Operation for CopyObject {
    type Output = Copied;

    fn needs(&self) -> Vec<Need<'_>> {
        // Those that are copied along are asked for too when they are known.
        let tags = self.tags.as_ref().map_or(&[][..], Tags::as_slice);
        let target = Need::write((&self.bucket, &self.key), self.acl.as_ref(), tags);
        Need::and_source(target, &self.source)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        match self.copy(service, &permit, true).await {
            // The content moved, or is to have other copies now: then its bytes are copied.
            Err(error) if error.is_overtaken() => self.copy(service, &permit, false).await,
            result => result,
        }
    }
}

impl CopyObject {
    /// Copies the object. Its content is shared if `share` says so, where that will do.
    async fn copy(
        &self,
        service: &Arc<Service>,
        permit: &Permit<'_, Self>,
        share: bool,
    ) -> Result<Copied> {
        let (found, mut object) =
            find_source(service, permit, &self.source, &self.source_preconditions).await?;
        let (bucket, _) = permit.bucket(&self.bucket)?;
        let (owner, acl) = service.own(bucket, permit.caller(), self.acl.as_ref()).await?;
        let tags = match &self.tags {
            Some(tags) => tags.clone(),
            None => self.copied_tags(service, permit, &found.version).await?,
        };
        if let Some(attributes) = &self.replace {
            object.attributes = attributes.clone();
        }
        object.attributes.storage_class.clone_from(&self.storage_class);
        let source = found.version.clone();
        let source_versioned = found.bucket.versioning != Versioning::Unversioned;
        let has = object.checksum.as_ref().map(|checksum| checksum.algorithm);
        let wants_other = self.checksum.is_some() && self.checksum != has;
        let as_read = match share && !wants_other {
            true => service.can_share(object.content, bucket).await?,
            false => None,
        };
        let stored = match as_read {
            Some(_) => None,
            None => Some(self.rewrite(service, bucket, found, &mut object).await?),
        };
        let content = stored.as_ref().map(|stored| stored.content(&bucket.region));
        let new = NewVersion {
            key: &self.key,
            owner: &owner,
            object: Some(&object),
            content: content
                .as_ref()
                .map(NamedContent::New)
                .or(as_read.as_ref().map(NamedContent::Shared)),
            acl: acl.as_ref(),
            tags: Some(&tags),
            now_ms: service.now_ms(),
        };
        let decide = |bucket: &Bucket, existing: Option<&Version>| {
            acls::check(bucket, acl.as_ref())?;
            self.condition.check(bucket, existing)
        };
        let written = service.metadata.write_version(bucket, &new, decide).await?;
        if let Some(stored) = stored {
            stored.named();
        }
        service.garbage_queued.notify_one();
        Ok(Copied { written: written.into(), source, source_versioned })
    }

    /// The tags of the source, if the caller may read them there and set them here.
    ///
    /// Source: S3 CopyObject, "Permissions".
    async fn copied_tags(
        &self,
        service: &Service,
        permit: &Permit<'_, Self>,
        version: &Version,
    ) -> Result<Tags> {
        let (tags, source) = (version.tags.clone(), &self.source);
        if !tags.is_empty() {
            let read = Need::of(source.action(Action::GetObjectTagging), source);
            permit.demand(service, &read, Some(version)).await?;
            for need in Need::write((&self.bucket, &self.key), None, tags.as_slice()) {
                permit.demand(service, &need, None).await?;
            }
        }
        Ok(tags)
    }

    /// Copies the bytes, where sharing them will not do: another region, another number of copies
    /// or another checksum.
    async fn rewrite(
        &self,
        service: &Arc<Service>,
        bucket: &Bucket,
        found: Found,
        object: &mut ObjectData,
    ) -> Result<Stored> {
        let has = object.checksum.as_ref().map(|checksum| checksum.algorithm);
        let layout = service.layout(object.content).await?;
        let range = 0..object.size_bytes;
        let reader = service.read_content(object.content, &layout, range, found.ticket).await?;
        let algorithm = self.checksum.or(has);
        let mut body = CopiedBody { reader, length_bytes: object.size_bytes, algorithm };
        let description = Description::new(bucket, &self.key, &object.attributes);
        let stored = service.store(bucket, description, &mut body, BODY_BYTES_MAX).await?;
        object.content = stored.id();
        object.etag = Etag { md5: stored.digests.md5, parts: None };
        object.crc64 = stored.digests.crc64;
        object.checksum = stored.digests.checksum.clone();
        Ok(stored)
    }
}

/// Finds the source of a copy and decides its conditions.
///
/// # Errors
/// As a read of it, but for a delete marker named by its version: [`Condition::InvalidRequest`].
pub(crate) async fn find_source<O>(
    service: &Service,
    permit: &Permit<'_, O>,
    source: &Target,
    conditions: &Preconditions,
) -> Result<(Found, ObjectData)> {
    let found = find(service, permit, source).await.map_err(|error| match error.condition {
        Condition::MethodNotAllowed => {
            let detail = "The source of a copy request may not specifically refer to a delete \
                          marker by version id.";
            Error::new(Condition::InvalidRequest, detail)
        }
        _ => error,
    })?;
    let object = object_of(&found.version)?;
    check_read(conditions, &object, found.version.modified_ms)?;
    Ok((found, object))
}

/// The bytes of an existing content as a body.
pub(crate) struct CopiedBody {
    pub reader: ContentReader,
    pub length_bytes: u64,
    pub algorithm: Option<Algorithm>,
}

#[async_trait(?Send)]
impl Body for CopiedBody {
    fn length_bytes(&self) -> Option<u64> {
        Some(self.length_bytes)
    }

    fn wants_sha256(&self) -> bool {
        false
    }

    fn algorithm(&self) -> Option<Algorithm> {
        self.algorithm
    }

    async fn next(&mut self) -> Option<Result<Bytes>> {
        self.reader.next().await
    }

    fn check(&mut self, digests: &Digests) -> Result<()> {
        let whole = digests.size_bytes == self.length_bytes;
        if whole { Ok(()) } else { Err(Condition::DamagedData.into()) }
    }
}
