//! `?tagging` of a bucket.

use model::{Condition, acl::Of, policy::Action, tags::Tags};
use service::{
    Ask,
    tags::{DeleteBucketTags, GetBucketTags, PutBucketTags},
};

use super::tags;
use crate::{
    dialect::Dialect,
    wire::{self, Reply, Request, Result, Route, Target, WireOperation},
};

const S3_TEST: Option<&str> =
    Some("tests/s3/test_tagging.py::test_tags_of_a_bucket_are_shown_as_they_were_set");
const OSS_TEST: Option<&str> =
    Some("tests/oss/test_tagging.py::test_tags_of_a_bucket_are_shown_as_they_were_set");

/// `GET /{bucket}?tagging`
pub struct Get;

impl WireOperation for Get {
    const ROUTE: Route = Route::new("GET", Target::Bucket, "GetBucketTagging")
        .query(&["tagging"])
        .named("GetBucketTags")
        .needs(Action::GetBucketTagging)
        .tested_by(S3_TEST, OSS_TEST);
    type Call = GetBucketTags;

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        Ok(GetBucketTags { bucket: request.bucket()? })
    }

    fn render(request: &Request, tags: Tags) -> Result<Reply> {
        if tags.is_empty() && request.dialect == Dialect::S3 {
            return Err(Condition::NoTags.into());
        }
        Ok(wire::xml(200, tags::document(request.dialect, &tags)))
    }
}

/// `PUT /{bucket}?tagging`
pub struct Put;

impl WireOperation for Put {
    const ROUTE: Route = Route::new("PUT", Target::Bucket, "PutBucketTagging")
        .query(&["tagging"])
        .named("PutBucketTags")
        .needs(Action::PutBucketTagging)
        .tested_by(S3_TEST, OSS_TEST);
    type Call = PutBucketTags;

    fn before_document(request: &Request) -> Result<Option<Ask>> {
        Ok(Some(Ask::bucket(Action::PutBucketTagging, request.bucket()?)))
    }

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        let bucket = request.bucket()?;
        let tags = tags::of_document(request, Of::Bucket).await?;
        Ok(PutBucketTags { bucket, tags })
    }

    fn render(request: &Request, (): ()) -> Result<Reply> {
        Ok(wire::empty(match request.dialect {
            Dialect::S3 => 204,
            Dialect::Oss => 200,
        }))
    }
}

/// `DELETE /{bucket}?tagging`; in OSS, `?tagging=key,key` removes only those.
pub struct Delete;

impl WireOperation for Delete {
    const ROUTE: Route = Route::new("DELETE", Target::Bucket, "DeleteBucketTagging")
        .query(&["tagging"])
        .named("DeleteBucketTags")
        .needs(Action::PutBucketTagging)
        .needs_in_oss(Action::DeleteBucketTagging)
        .tested_by(S3_TEST, OSS_TEST);
    type Call = DeleteBucketTags;

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        let bucket = request.bucket()?;
        let (action, named) = match request.dialect {
            Dialect::S3 => (Action::PutBucketTagging, ""),
            Dialect::Oss => {
                (Action::DeleteBucketTagging, request.parameter("tagging").unwrap_or_default())
            }
        };
        let keys = || named.split(',').map(str::to_owned).collect();
        let keys = (!named.is_empty()).then(keys);
        Ok(DeleteBucketTags { bucket, action, keys })
    }

    fn render(_: &Request, (): ()) -> Result<Reply> {
        Ok(wire::empty(204))
    }
}
