//! Deleting: a marker or a removal; the bytes go later.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use metadata::NewVersion;
use model::{
    Condition,
    names::{BucketName, ObjectKey, VersionSelector},
    policy::Action,
    preconditions::Preconditions,
    records::{Bucket, Version, Versioning},
};

use super::Target;
use crate::{Need, Operation, Permit, Result, Service};

/// Deletes one object or version.
pub struct DeleteObject {
    pub target: Target,
    pub condition: DeleteCondition,
}

/// When a delete may happen.
#[derive(Clone, Debug, Default)]
pub struct DeleteCondition {
    pub preconditions: Preconditions,
    /// `x-amz-if-match-last-modified-time`, whole seconds since 1970.
    pub modified_seconds: Option<i64>,
    /// `x-amz-if-match-size`
    pub size_bytes: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// The version removed, or the marker made; `None` in an unversioned bucket.
    pub version_id: Option<String>,
    /// A delete marker was made or removed.
    pub marker: bool,
}

/// Deletes up to 1000 objects or versions; each has an outcome of its own, in order.
pub struct DeleteObjects {
    pub bucket: BucketName,
    pub objects: Vec<Wish>,
}

type Wish = (ObjectKey, VersionSelector, DeleteCondition);

pub type DeleteOutcomes = Vec<Result<Deleted>>;

impl DeleteCondition {
    /// Decides over what would be deleted; an absent object only fails `If-Match` and its kin.
    fn check(&self, existing: Option<&Version>) -> Result<(), Condition> {
        let object = existing.and_then(|version| Some((version.object.as_ref()?, version)));
        let existing = object.map(|(object, version)| (&object.etag, version.modified_ms));
        self.preconditions.check_write(existing)?;
        let Some((object, version)) = object else { return Ok(()) };
        let modified_seconds = version.modified_ms.div_euclid(1000);
        let as_expected = self.size_bytes.is_none_or(|size| size == object.size_bytes)
            && self.modified_seconds.is_none_or(|seconds| seconds == modified_seconds);
        if as_expected { Ok(()) } else { Err(Condition::PreconditionFailed) }
    }
}

impl Operation for DeleteObject {
    type Output = Deleted;

    fn needs(&self) -> Vec<Need<'_>> {
        Need::target(self.target.action(Action::DeleteObject), &self.target)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let (bucket, _) = permit.bucket(&self.target.bucket)?;
        let Target { key, version, .. } = &self.target;
        if bucket.wants_factor() && *version != VersionSelector::Latest {
            service.use_owners_factor(permit.caller(), bucket).await?;
        }
        let deleted = delete(service, bucket, key, *version, &self.condition).await?;
        service.garbage_queued.notify_one();
        Ok(deleted)
    }
}

impl Operation for DeleteObjects {
    type Output = DeleteOutcomes;

    fn needs(&self) -> Vec<Need<'_>> {
        // Whether each key may be deleted is asked one by one; who may delete none gets no further.
        Need::somewhere(Action::DeleteObject, &self.bucket)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let (bucket, _) = permit.bucket(&self.bucket)?;
        let named = |(_, selector, _): &Wish| *selector != VersionSelector::Latest;
        let shown = permit.caller().factor.is_some();
        // One code for all, and a wrong one is refused even if none of them takes one.
        if bucket.wants_factor() && (shown || self.objects.iter().any(named)) {
            service.use_owners_factor(permit.caller(), bucket).await?;
        }
        let (permit, service, told) = (&permit, service, &AtomicBool::new(false));
        let delete_one = |(place, (key, selector, condition)): (usize, Wish)| async move {
            let target = Target { bucket: bucket.name.clone(), key, version: selector };
            let action = target.action(Action::DeleteObject);
            match permit.allows_target(service, action, &target).await {
                Ok(true) => {}
                Ok(false) => {
                    // Of many the first is told of.
                    if !told.swap(true, Ordering::Relaxed)
                        && let Err(error) = permit.note_refusal(service, action, &target).await
                    {
                        return (place, Err(error));
                    }
                    return (place, Err(Condition::AccessDenied.into()));
                }
                Err(error) => return (place, Err(error)),
            }
            let key = target.key;
            (place, delete(service, bucket, &key, selector, &condition).await)
        };
        // Side by side in groups, so that the engine needs few syncs. Older versions go first: the
        // removal of a current one makes another one current, and all others of the key try again.
        let mut wishes: Vec<_> = self.objects.into_iter().enumerate().collect();
        wishes.sort_by_key(|(_, (_, selector, _))| match selector {
            VersionSelector::Id(id) => id.order,
            VersionSelector::Latest | VersionSelector::Null => u64::MAX,
        });
        let mut outcomes = Vec::with_capacity(wishes.len());
        let mut rest = wishes.into_iter().peekable();
        while rest.peek().is_some() {
            let group: Vec<_> = rest.by_ref().take(GROUP_KEYS).map(delete_one).collect();
            outcomes.extend(futures_util::future::join_all(group).await);
        }
        outcomes.sort_by_key(|(place, _)| *place);
        let outcomes = outcomes.into_iter().map(|(_, outcome)| outcome).collect();
        service.garbage_queued.notify_one();
        Ok(outcomes)
    }
}

/// Keys of one batch deleted side by side.
const GROUP_KEYS: usize = 100;

async fn delete(
    service: &Arc<Service>,
    bucket: &Bucket,
    key: &ObjectKey,
    selector: VersionSelector,
    condition: &DeleteCondition,
) -> Result<Deleted> {
    let metadata = &service.metadata;
    if selector != VersionSelector::Latest {
        let decide = |existing: Option<&Version>| condition.check(existing);
        let removed =
            metadata.remove_version(bucket, key, selector, service.now_ms(), decide).await?;
        let version_id = match (&removed.version, selector) {
            (Some(version), _) => version.client_id(),
            (None, VersionSelector::Id(id)) => id.to_string(),
            (None, _) => "null".to_owned(),
        };
        let marker = removed.version.is_some_and(|version| version.object.is_none());
        return Ok(Deleted { version_id: Some(version_id), marker });
    }
    let new = NewVersion {
        key,
        owner: &bucket.owner,
        object: None,
        content: None,
        acl: None,
        tags: None,
        now_ms: service.now_ms(),
    };
    let decide = |_: &Bucket, existing: Option<&Version>| condition.check(existing);
    let written = metadata.write_version(bucket, &new, decide).await?;
    Ok(match written.versioning {
        Versioning::Unversioned => Deleted::default(),
        Versioning::Enabled | Versioning::Suspended => {
            Deleted { version_id: Some(written.version.client_id()), marker: true }
        }
    })
}
