//! Tags of objects and buckets: set, shown, removed. What they let through, policies say.

use std::sync::Arc;

use metadata::NewDocument;
use model::{
    Condition,
    names::BucketName,
    policy::Action,
    records::{Bucket, DocumentKind, Version},
    tags::Tags,
};

use crate::{
    Need, Operation, Permit, Result, Service,
    objects::{Target, Versioned, read},
};

/// The tags are in the version that comes back.
pub struct GetObjectTags {
    pub target: Target,
}

/// Sets all tags of an object, in place of those it has.
pub struct PutObjectTags {
    pub target: Target,
    pub tags: Tags,
}

pub struct DeleteObjectTags {
    pub target: Target,
}

pub struct GetBucketTags {
    pub bucket: BucketName,
}

/// Sets all tags of a bucket, in place of those it has.
pub struct PutBucketTags {
    pub bucket: BucketName,
    pub tags: Tags,
}

pub struct DeleteBucketTags {
    pub bucket: BucketName,
    /// S3 asks for the right to set them.
    pub action: Action,
    /// Only those of these keys.
    pub keys: Option<Vec<String>>,
}

/// A tag that is looked for: one of this key, or any; of this value, or any.
#[derive(Clone, Debug)]
pub struct WantedTag {
    pub key: Option<String>,
    pub value: Option<String>,
}

impl WantedTag {
    pub(crate) fn is_among(&self, tags: &Tags) -> bool {
        let is = |wanted: &Option<String>, text: &String| {
            wanted.as_ref().is_none_or(|wanted| wanted == text)
        };
        tags.as_slice().iter().any(|(key, value)| is(&self.key, key) && is(&self.value, value))
    }
}

impl Service {
    pub(crate) async fn bucket_tags(&self, bucket: &Bucket) -> Result<Tags> {
        if bucket.document(DocumentKind::Tags).is_none() {
            return Ok(Tags::default());
        }
        let document = self.metadata.document(bucket, DocumentKind::Tags).await?;
        Ok(document.map(|document| document.value).unwrap_or_default())
    }

    async fn set_tags<O>(
        &self,
        permit: &Permit<'_, O>,
        target: &Target,
        tags: &Tags,
    ) -> Result<Versioned> {
        let found = read::find(self, permit, target).await?;
        let bucket = &found.bucket;
        let change = |_: &_, as_it_is: Version| {
            permit.check_same(target, &found.version, &as_it_is)?;
            Ok(Version { tags: tags.clone(), ..as_it_is })
        };
        let Target { key, version: selector, .. } = target;
        let version = self.metadata.change_version(bucket, key, *selector, change).await?;
        Ok(Versioned { version, versioning: bucket.versioning })
    }
}

impl Operation for GetObjectTags {
    type Output = Versioned;

    fn needs(&self) -> Vec<Need<'_>> {
        Need::target(self.target.action(Action::GetObjectTagging), &self.target)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let found = read::find(service, &permit, &self.target).await?;
        Ok(Versioned { versioning: found.bucket.versioning, version: found.version })
    }
}

impl Operation for PutObjectTags {
    type Output = Versioned;

    fn needs(&self) -> Vec<Need<'_>> {
        Need::set_tags(&self.target, self.tags.as_slice())
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        service.set_tags(&permit, &self.target, &self.tags).await
    }
}

impl Operation for DeleteObjectTags {
    type Output = Versioned;

    fn needs(&self) -> Vec<Need<'_>> {
        Need::target(self.target.action(Action::DeleteObjectTagging), &self.target)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        service.set_tags(&permit, &self.target, &Tags::default()).await
    }
}

impl Operation for GetBucketTags {
    type Output = Tags;

    fn needs(&self) -> Vec<Need<'_>> {
        Need::bucket(Action::GetBucketTagging, &self.bucket)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let (bucket, _) = permit.bucket(&self.bucket)?;
        service.bucket_tags(bucket).await
    }
}

impl Operation for PutBucketTags {
    type Output = ();

    fn needs(&self) -> Vec<Need<'_>> {
        Need::bucket(Action::PutBucketTagging, &self.bucket)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let (bucket, _) = permit.bucket(&self.bucket)?;
        let told = [("Tags", told(&self.tags))];
        let by = permit.audit_with(Action::PutBucketTagging, &bucket.name, &told);
        let document = NewDocument::of(DocumentKind::Tags, &self.tags);
        Ok(service.metadata.set_document(bucket, document, &by, |_| Ok(())).await?)
    }
}

impl Operation for DeleteBucketTags {
    type Output = ();

    fn needs(&self) -> Vec<Need<'_>> {
        Need::bucket(self.action, &self.bucket)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let (bucket, _) = permit.bucket(&self.bucket)?;
        let (metadata, kind) = (&service.metadata, DocumentKind::Tags);
        let Some(keys) = &self.keys else {
            let by = permit.audit(self.action, &bucket.name);
            return Ok(metadata.delete_document(bucket, kind, &by).await?);
        };
        let Some(set) = metadata.document::<Tags>(bucket, kind).await? else { return Ok(()) };
        let rest = set.value.without(keys);
        let by = permit.audit_with(self.action, &bucket.name, &[("Tags", told(&rest))]);
        let decide = |bucket: &Bucket| {
            // What remains was decided on what holds no more.
            let same = bucket.document(kind) == Some(set.revision);
            if same { Ok(()) } else { Err(Condition::WriteConflict) }
        };
        Ok(metadata.set_document(bucket, NewDocument::of(kind, &rest), &by, decide).await?)
    }
}

/// As the audit trail tells them.
fn told(tags: &Tags) -> String {
    let pairs = tags.as_slice().iter().map(|(key, value)| format!("{key}={value}"));
    pairs.collect::<Vec<_>>().join(", ")
}
