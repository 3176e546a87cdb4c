//! `?acl` of a bucket.

use model::policy::Action;
use service::{
    Ask,
    acls::{GetBucketAcl, PutBucketAcl, ShownAcl},
};

use super::acl;
use crate::wire::{self, Reply, Request, Result, Route, Target, WireOperation};

/// `GET /{bucket}?acl`
pub struct Get;

impl WireOperation for Get {
    const ROUTE: Route = Route::new("GET", Target::Bucket, "GetBucketAcl")
        .query(&["acl"])
        .needs(Action::GetBucketAcl)
        .tested_by(
            Some("tests/s3/test_acl.py::test_a_bucket_acl_is_shown_as_it_was_set"),
            Some("tests/oss/test_acl.py::test_a_bucket_has_the_word_that_was_set"),
        );
    type Call = GetBucketAcl;

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        Ok(GetBucketAcl { bucket: request.bucket()? })
    }

    fn render(request: &Request, shown: ShownAcl) -> Result<Reply> {
        Ok(wire::xml(200, acl::document(request.dialect, &shown, "private")))
    }
}

/// `PUT /{bucket}?acl`
pub struct Put;

impl WireOperation for Put {
    const ROUTE: Route = Route::new("PUT", Target::Bucket, "PutBucketAcl")
        .query(&["acl"])
        .needs(Action::PutBucketAcl)
        .tested_by(
            Some("tests/s3/test_acl.py::test_a_bucket_acl_is_shown_as_it_was_set"),
            Some("tests/oss/test_acl.py::test_a_bucket_has_the_word_that_was_set"),
        );
    type Call = PutBucketAcl;

    fn before_document(request: &Request) -> Result<Option<Ask>> {
        Ok(Some(Ask::bucket(Action::PutBucketAcl, request.bucket()?)))
    }

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        let bucket = request.bucket()?;
        Ok(PutBucketAcl { bucket, acl: acl::wanted(request).await? })
    }

    fn render(_: &Request, (): ()) -> Result<Reply> {
        Ok(wire::empty(200))
    }
}
