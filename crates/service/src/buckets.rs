//! Buckets: create, delete, look at, list.

use std::sync::Arc;

use metadata::{Created, Scope};
use model::{
    Condition,
    acl::{Ownership, WantedAcl},
    listing::Question,
    names::{BucketId, BucketName},
    policy::Action,
    records::{Account, Bucket, Versioning},
};

use crate::{Error, Need, Operation, Permit, Result, Service, audit::acl_details, tags::WantedTag};

pub use metadata::Usage;

/// Lists the caller's buckets in order of name.
pub struct ListBuckets {
    pub prefix: String,
    /// Only names that sort after it.
    pub after: String,
    /// Most entries wanted.
    pub limit: usize,
    /// Only those of a page that have such a tag.
    pub tag: Option<WantedTag>,
}

pub struct BucketPage {
    pub owner: Account,
    pub buckets: Vec<Bucket>,
    /// The last name listed, when there are more.
    pub next: Option<String>,
}

/// Creates a bucket of the caller's.
pub struct CreateBucket {
    pub name: BucketName,
    /// The location constraint as given: a region of this server, or any name.
    pub location: Option<String>,
    /// OSS: storage class and redundancy type.
    pub storage_class: Option<String>,
    pub redundancy: Option<String>,
    pub acl: Option<WantedAcl>,
    /// `None` is what new buckets have here.
    pub object_ownership: Option<Ownership>,
}

pub struct CreatedBucket {
    pub bucket: Bucket,
    /// The caller owned it already; nothing was changed.
    pub existed: bool,
}

/// Looks at a bucket: HEAD, location, information.
pub struct LookAtBucket {
    pub name: BucketName,
    pub action: model::policy::Action,
}

pub struct BucketInfo {
    pub bucket: Bucket,
    pub owner: Account,
}

/// Counts what a bucket holds.
pub struct StatBucket {
    pub name: BucketName,
}

/// Deletes an empty bucket.
pub struct DeleteBucket {
    pub name: BucketName,
    /// Uploads under way are aborted, as in S3, instead of being in the way, as in OSS.
    pub abort_uploads: bool,
}

/// Switches versioning on, or suspends it.
pub struct SetVersioning {
    pub name: BucketName,
    /// Never [`Versioning::Unversioned`].
    pub versioning: Versioning,
    /// Whether a second factor is wanted from now on; `None` leaves that.
    pub mfa_delete: Option<bool>,
}

/// Lists the regions of this server. The first is the default one.
pub struct DescribeRegions;

impl Service {
    /// The account a bucket belongs to.
    pub(crate) async fn owner(&self, bucket: &Bucket) -> Result<Account> {
        let owner = self.metadata.account(&bucket.owner).await?;
        owner.ok_or_else(|| Error::new(Condition::Internal, "the bucket's owner is unknown"))
    }
}

impl Operation for ListBuckets {
    type Output = BucketPage;

    fn needs(&self) -> Vec<Need<'_>> {
        Need::service(Action::ListAllMyBuckets)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let owner = permit.caller().account.clone().ok_or(Condition::AccessDenied)?;
        let metadata = &service.metadata;
        let (mut buckets, more) =
            metadata.buckets(&owner.id, &self.prefix, &self.after, self.limit).await?;
        let next = buckets.last().filter(|_| more).map(|bucket| bucket.name.to_string());
        if let Some(wanted) = &self.tag {
            let mut tagged = Vec::new();
            for bucket in buckets {
                if wanted.is_among(&service.bucket_tags(&bucket).await?) {
                    tagged.push(bucket);
                }
            }
            buckets = tagged;
        }
        Ok(BucketPage { owner, buckets, next })
    }
}

impl Operation for CreateBucket {
    type Output = CreatedBucket;

    fn needs(&self) -> Vec<Need<'_>> {
        let mut actions = vec![Action::CreateBucket];
        // Whoever may not set these later may not set them at first either.
        if self.acl.as_ref().is_some_and(WantedAcl::shares) {
            actions.push(Action::PutBucketAcl);
        }
        if self.object_ownership.is_some() {
            actions.push(Action::PutBucketOwnershipControls);
        }
        Need::of_new_bucket(&actions, &self.name)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let owner = permit.caller().account_id().ok_or(Condition::AccessDenied)?;
        let mut wanted = Bucket {
            id: BucketId(0),
            name: self.name,
            owner: owner.clone(),
            created_ms: service.now_ms(),
            region: service.region_for(self.location.as_deref()),
            location: self.location,
            versioning: Versioning::Unversioned,
            storage_class: self.storage_class,
            redundancy: self.redundancy,
            documents: Vec::new(),
            access_block: service.new_access_block(),
            copies: None,
            acl: None,
            object_ownership: Some(self.object_ownership.unwrap_or(service.object_ownership)),
            mfa_delete: None,
        };
        if let Some(acl) = &self.acl {
            wanted.acl = service.new_bucket_acl(&wanted, acl).await?;
        }
        let mut told = acl_details(wanted.acl.as_ref());
        told.insert(0, ("ObjectOwnership", wanted.ownership().name().to_owned()));
        let by = permit.audit_with(Action::CreateBucket, &wanted.name, &told);
        match service.metadata.create_bucket(&wanted, &by).await? {
            Created::New(bucket) => Ok(CreatedBucket { bucket, existed: false }),
            Created::Taken(bucket) if bucket.owner == *owner => {
                Ok(CreatedBucket { bucket, existed: true })
            }
            Created::Taken(bucket) => Err(Error::from(Condition::BucketAlreadyExists)
                .field("BucketName", bucket.name.as_str())),
        }
    }
}

impl Service {
    /// The region whose directories keep the bytes of a bucket created at `location`.
    pub(crate) fn region_for(&self, location: Option<&str>) -> String {
        let regions = self.regions();
        let named = |region: &&String| {
            location.is_some_and(|location| {
                location == region.as_str() || location.strip_prefix("oss-") == Some(region)
            })
        };
        regions.iter().find(named).or(regions.first()).cloned().unwrap_or_default()
    }
}

impl Operation for LookAtBucket {
    type Output = BucketInfo;

    fn needs(&self) -> Vec<Need<'_>> {
        Need::bucket(self.action, &self.name)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let (bucket, _) = permit.bucket(&self.name)?;
        let owner = service.owner(bucket).await?;
        Ok(BucketInfo { bucket: bucket.clone(), owner })
    }
}

impl Operation for StatBucket {
    type Output = Usage;

    fn needs(&self) -> Vec<Need<'_>> {
        Need::bucket(Action::GetBucketStat, &self.name)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let (bucket, _) = permit.bucket(&self.name)?;
        Ok(service.metadata.usage(&Scope::Bucket(bucket.id)).await?)
    }
}

/// Uploads one request to delete a bucket aborts; with more in the way it is refused, and the
/// next one goes on.
const ABORTED_UPLOADS_MAX: usize = 1000;

impl Operation for DeleteBucket {
    type Output = ();

    fn needs(&self) -> Vec<Need<'_>> {
        Need::bucket(Action::DeleteBucket, &self.name)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let (bucket, _) = permit.bucket(&self.name)?;
        let metadata = &service.metadata;
        if self.abort_uploads && !metadata.holds_versions(bucket).await? {
            let all = Question::default();
            let mut uploads = metadata.upload_stream(bucket.id, &all, None);
            for _ in 0..ABORTED_UPLOADS_MAX {
                let Some(upload) = uploads.next(metadata).await? else { break };
                match metadata.abort_upload(bucket, &upload, service.now_ms()).await {
                    Ok(()) | Err(metadata::Error::Refused(Condition::NoSuchUpload)) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        let by = permit.audit(Action::DeleteBucket, &bucket.name);
        metadata.delete_bucket(bucket, &by).await?;
        service.garbage_queued.notify_one();
        Ok(())
    }
}

impl Operation for SetVersioning {
    type Output = ();

    fn needs(&self) -> Vec<Need<'_>> {
        Need::bucket(Action::PutBucketVersioning, &self.name)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let (bucket, _) = permit.bucket(&self.name)?;
        if self.versioning == Versioning::Unversioned {
            return Err(Condition::IllegalVersioningConfiguration.into());
        }
        if bucket.wants_factor() || self.mfa_delete == Some(true) {
            service.use_owners_factor(permit.caller(), bucket).await?;
        }
        let Self { versioning, mfa_delete, .. } = self;
        let mut told = vec![("Status", format!("{versioning:?}"))];
        told.extend(mfa_delete.map(|wanted| ("MfaDelete", wanted.to_string())));
        let by = permit.audit_with(Action::PutBucketVersioning, &bucket.name, &told);
        Ok(service.metadata.set_versioning(bucket, versioning, mfa_delete, &by).await?)
    }
}

impl Operation for DescribeRegions {
    type Output = Vec<String>;

    fn needs(&self) -> Vec<Need<'_>> {
        Need::service(Action::DescribeRegions)
    }

    async fn run(self, _: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        Ok(service.regions().to_vec())
    }
}
