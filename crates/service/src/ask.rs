//! A question for permission alone: may the caller do this, whatever the details are?
//!
//! The gateway asks it before it reads a document that holds the details.

use std::sync::Arc;

use model::{
    names::{BucketName, ObjectKey},
    policy::Action,
};

use crate::{Need, Operation, Permit, Result, Service, objects::Target};

/// Asks for one action and does nothing.
pub struct Ask {
    action: Action,
    about: About,
}

enum About {
    Service,
    NewBucket(BucketName),
    Bucket(BucketName),
    Object(BucketName, ObjectKey),
    Target(Target),
    Somewhere(BucketName),
}

impl Ask {
    pub const fn service(action: Action) -> Self {
        Self { action, about: About::Service }
    }

    pub const fn new_bucket(bucket: BucketName) -> Self {
        Self { action: Action::CreateBucket, about: About::NewBucket(bucket) }
    }

    pub const fn bucket(action: Action, bucket: BucketName) -> Self {
        Self { action, about: About::Bucket(bucket) }
    }

    /// Whether it may be allowed for anything in the bucket: the document says for what.
    pub const fn somewhere(action: Action, bucket: BucketName) -> Self {
        Self { action, about: About::Somewhere(bucket) }
    }

    pub const fn object(action: Action, bucket: BucketName, key: ObjectKey) -> Self {
        Self { action, about: About::Object(bucket, key) }
    }

    /// An object, perhaps by the id of a version: then the action of that is asked for.
    pub const fn target(action: Action, target: Target) -> Self {
        Self { action, about: About::Target(target) }
    }
}

impl Operation for Ask {
    type Output = ();

    fn needs(&self) -> Vec<Need<'_>> {
        match &self.about {
            About::Service => Need::service(self.action),
            About::NewBucket(bucket) => Need::new_bucket(bucket),
            About::Bucket(bucket) => Need::bucket(self.action, bucket),
            About::Somewhere(bucket) => Need::somewhere(self.action, bucket),
            About::Object(bucket, key) => Need::object(self.action, bucket, key),
            About::Target(target) => Need::target(target.action(self.action), target),
        }
    }

    async fn run(self, _: Permit<'_, Self>, _: &Arc<Service>) -> Result<()> {
        Ok(())
    }
}
