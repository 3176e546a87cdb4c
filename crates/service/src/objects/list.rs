//! Listing: current objects, or all versions.

use std::sync::Arc;

use model::{
    Condition,
    listing::{Folder, Question, Verdict},
    names::{BucketName, ObjectKey, VersionId},
    policy::Action,
    records::{Account, Bucket, Version},
};

use crate::{Error, Need, Operation, Permit, Result, Service};

/// Lists current objects. S3 v1 and v2 and the OSS forms are renderings of its output.
pub struct ListObjects {
    pub bucket: BucketName,
    pub question: Question,
}

pub struct ObjectPage {
    pub bucket: Bucket,
    /// The bucket's owner.
    pub owner: Account,
    /// Other owners of what is listed.
    pub owners: Vec<Account>,
    /// In order of key; none is a delete marker.
    pub entries: Vec<(ObjectKey, Version)>,
    pub prefixes: Vec<String>,
    /// The last entry or prefix listed, when there are more.
    pub next: Option<String>,
}

/// Lists versions and delete markers, newest first within a key.
pub struct ListVersions {
    pub bucket: BucketName,
    /// `after` is the key marker.
    pub question: Question,
    /// Start after this version of the key marker (`null` or an id), not after the whole key.
    pub version_after: Option<String>,
}

pub struct ListedVersion {
    pub key: ObjectKey,
    pub version: Version,
    pub latest: bool,
}

pub struct VersionPage {
    pub bucket: Bucket,
    pub owner: Account,
    /// Other owners of what is listed.
    pub owners: Vec<Account>,
    pub entries: Vec<ListedVersion>,
    pub prefixes: Vec<String>,
    /// Key (or prefix) and version id of the last thing listed, when there are more.
    pub next: Option<(String, Option<String>)>,
}

impl Operation for ListObjects {
    type Output = ObjectPage;

    fn needs(&self) -> Vec<Need<'_>> {
        Need::bucket(Action::ListBucket, &self.bucket)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let (bucket, _) = permit.bucket(&self.bucket)?;
        let owner = service.owner(bucket).await?;
        let mut page = ObjectPage {
            bucket: bucket.clone(),
            owner,
            owners: Vec::new(),
            entries: Vec::new(),
            prefixes: Vec::new(),
            next: None,
        };
        if self.question.limit == 0 {
            return Ok(page);
        }
        let mut stream = service.metadata.current_stream(bucket.id, &self.question);
        let mut folder = Folder::new(&self.question);
        while let Some(object) = stream.next(&service.metadata).await? {
            match folder.next(object.key.as_str()) {
                Verdict::Take => {
                    let version = object.version()?;
                    page.entries.push((object.key, version));
                }
                Verdict::Fold(prefix) => {
                    stream.skip(&prefix);
                    page.prefixes.push(prefix);
                }
                Verdict::Skip { past } => stream.skip(&past),
                Verdict::Full => {
                    page.next = folder.last().map(str::to_owned);
                    break;
                }
            }
        }
        let listed = page.entries.iter().map(|(_, version)| version);
        page.owners = service.other_owners(bucket, listed).await?;
        Ok(page)
    }
}

impl Operation for ListVersions {
    type Output = VersionPage;

    fn needs(&self) -> Vec<Need<'_>> {
        Need::bucket(Action::ListBucketVersions, &self.bucket)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let (bucket, _) = permit.bucket(&self.bucket)?;
        let owner = service.owner(bucket).await?;
        let mut page = VersionPage {
            bucket: bucket.clone(),
            owner,
            owners: Vec::new(),
            entries: Vec::new(),
            prefixes: Vec::new(),
            next: None,
        };
        if self.question.limit == 0 {
            return Ok(page);
        }
        let after = self.version_marker(service, bucket).await?;
        let mut stream = service.metadata.version_stream(bucket, &self.question, after).await?;
        let mut folder = Folder::new(&self.question);
        let mut last = None;
        while let Some(streamed) = stream.next(&service.metadata).await? {
            match folder.next(streamed.key.as_str()) {
                Verdict::Take => {
                    // The id even of the null version: it tells the place when that is gone.
                    last = Some((streamed.key.to_string(), Some(streamed.version.id.to_string())));
                    let (key, version) = (streamed.key, streamed.version);
                    page.entries.push(ListedVersion { key, version, latest: streamed.latest });
                }
                Verdict::Fold(prefix) => {
                    stream.skip(&prefix);
                    last = Some((prefix.clone(), None));
                    page.prefixes.push(prefix);
                }
                Verdict::Skip { past } => stream.skip(&past),
                Verdict::Full => {
                    page.next = last;
                    break;
                }
            }
        }
        let listed = page.entries.iter().map(|listed| &listed.version);
        page.owners = service.other_owners(bucket, listed).await?;
        Ok(page)
    }
}

impl ListVersions {
    /// The version of the marker's key to go on after.
    async fn version_marker(
        &self,
        service: &Service,
        bucket: &Bucket,
    ) -> Result<Option<VersionId>> {
        let Some(marker) = self.version_after.as_deref().filter(|marker| !marker.is_empty()) else {
            return Ok(None);
        };
        let wrong = || Error::new(Condition::InvalidArgument, "Invalid version id specified");
        if self.question.after.is_empty() {
            let detail = "A version-id marker cannot be specified without a key marker.";
            return Err(Error::new(Condition::InvalidArgument, detail));
        }
        if marker != "null" {
            return VersionId::parse(marker).map(Some).ok_or_else(wrong);
        }
        let Ok(key) = ObjectKey::parse(&self.question.after) else { return Ok(None) };
        let null = model::names::VersionSelector::Null;
        let version = service.metadata.version(bucket, &key, null).await?;
        // If it is gone, nobody knows where it was: rather list the key again than leave some out.
        let all = VersionId { order: u64::MAX, random: 0 };
        Ok(Some(version.map_or(all, |version| version.id)))
    }
}
