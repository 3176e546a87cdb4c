//! What an operation needs to be allowed: [`Need`].

use model::{
    acl::WantedAcl,
    names::{BucketName, ObjectKey, VersionSelector},
    policy::{Action, Resource},
    tags::Tag,
};

use crate::objects::Target;

/// One thing an operation needs to be allowed.
#[derive(Clone, Copy)]
pub struct Need<'n> {
    pub action: Action,
    pub resource: Resource<'n>,
    /// The version of the object that is named.
    pub version: VersionSelector,
    /// The resource is read as the source of a copy.
    pub source: bool,
    /// It is enough that it may be allowed for something in the bucket: what is meant is asked for
    /// one by one later.
    pub somewhere: bool,
    /// It is about the object that this very request writes, not about one that is there: who may
    /// write it by an access control list may do this to it too.
    pub written: bool,
    /// The list it is written with.
    pub list: Option<&'n WantedAcl>,
    /// The tags that the request gives it.
    pub tags: Option<&'n [Tag]>,
}

impl<'n> Need<'n> {
    pub(super) fn one(action: Action, resource: Resource<'n>) -> Self {
        let version = VersionSelector::Latest;
        Self {
            action,
            resource,
            version,
            source: false,
            somewhere: false,
            written: false,
            list: None,
            tags: None,
        }
    }

    pub fn service(action: Action) -> Vec<Self> {
        vec![Self::one(action, Resource::Service)]
    }

    /// A bucket that is to be made.
    pub fn new_bucket(bucket: &'n BucketName) -> Vec<Self> {
        Self::of_new_bucket(&[Action::CreateBucket], bucket)
    }

    /// Several rights to a bucket that is to be made.
    pub fn of_new_bucket(actions: &[Action], bucket: &'n BucketName) -> Vec<Self> {
        actions.iter().map(|action| Self::one(*action, Resource::New(bucket))).collect()
    }

    pub fn bucket(action: Action, bucket: &'n BucketName) -> Vec<Self> {
        vec![Self::one(action, Resource::Bucket(bucket))]
    }

    /// The list of what begins with a key.
    pub(super) fn listed(bucket: &'n BucketName, key: &'n ObjectKey) -> Self {
        Self::one(Action::ListBucket, Resource::Listed(bucket, key))
    }

    pub fn object(action: Action, bucket: &'n BucketName, key: &'n ObjectKey) -> Vec<Self> {
        vec![Self::one(action, Resource::Object(bucket, key))]
    }

    /// An object, perhaps by the id of a version.
    pub fn target(action: Action, target: &'n Target) -> Vec<Self> {
        vec![Self::of(action, target)]
    }

    pub fn of(action: Action, target: &'n Target) -> Self {
        let need = Self::one(action, Resource::Object(&target.bucket, &target.key));
        Self { version: target.version, ..need }
    }

    /// Something in the bucket that the request names in its body.
    pub fn somewhere(action: Action, bucket: &'n BucketName) -> Vec<Self> {
        vec![Self { somewhere: true, ..Self::one(action, Resource::Bucket(bucket)) }]
    }

    /// Writing an object, perhaps with an access control list and with tags.
    pub fn write(
        (bucket, key): (&'n BucketName, &'n ObjectKey),
        acl: Option<&'n WantedAcl>,
        tags: &'n [Tag],
    ) -> Vec<Self> {
        let need = |action| Self::written(action, bucket, key, tags);
        let mut needs = vec![need(Action::PutObject)];
        if acl.is_some_and(WantedAcl::shares) {
            needs.push(Self { list: acl, ..need(Action::PutObjectAcl) });
        }
        if !tags.is_empty() {
            needs.push(need(Action::PutObjectTagging));
        }
        needs
    }

    /// One action of those that writing an object may take.
    fn written(
        action: Action,
        bucket: &'n BucketName,
        key: &'n ObjectKey,
        tags: &'n [Tag],
    ) -> Self {
        let need = Self::one(action, Resource::Object(bucket, key));
        Self { written: true, tags: Some(tags), ..need }
    }

    /// Setting the tags of an object that is there.
    pub fn set_tags(target: &'n Target, tags: &'n [Tag]) -> Vec<Self> {
        let need = Self::of(target.action(Action::PutObjectTagging), target);
        vec![Self { tags: Some(tags), ..need }]
    }

    /// Adds the right to read the source of a copy.
    pub fn and_source(mut needs: Vec<Self>, source: &'n Target) -> Vec<Self> {
        needs.push(Self { source: true, ..Self::of(source.read_action(), source) });
        needs
    }
}
