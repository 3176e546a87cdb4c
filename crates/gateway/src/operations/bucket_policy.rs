//! `?policy` and `?policyStatus`: who may do what in a bucket, as JSON in both protocols.
//!
//! What a policy means is in `model::policy`.

use model::{limits::XML_BYTES_MAX, policy::Action};
use service::{
    Ask,
    policies::{DeleteBucketPolicy, GetBucketPolicy, GetBucketPolicyStatus, PutBucketPolicy},
};

use crate::{
    dialect::Dialect,
    wire::{self, Reply, ReplyBody, Request, Result, Route, Target, WireOperation},
    xml,
};

/// `PUT /{bucket}?policy`
pub struct Put;

impl WireOperation for Put {
    const ROUTE: Route = Route::new("PUT", Target::Bucket, "PutBucketPolicy")
        .query(&["policy"])
        .needs(Action::PutBucketPolicy)
        .tested_by(
            Some("tests/s3/test_bucket_policy.py::test_a_policy_is_shown_as_it_was_put"),
            Some("tests/oss/test_bucket_policy.py::test_a_policy_is_shown_as_it_was_put"),
        );
    type Call = PutBucketPolicy;

    fn before_document(request: &Request) -> Result<Option<Ask>> {
        Ok(Some(Ask::bucket(Action::PutBucketPolicy, request.bucket()?)))
    }

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        let bucket = request.bucket()?;
        let bytes = request.whole(XML_BYTES_MAX).await?;
        // What is no UTF-8 is no JSON either.
        Ok(PutBucketPolicy { bucket, text: String::from_utf8_lossy(&bytes).into_owned() })
    }

    fn render(request: &Request, (): ()) -> Result<Reply> {
        Ok(wire::empty(match request.dialect {
            Dialect::S3 => 204,
            Dialect::Oss => 200,
        }))
    }
}

/// `GET /{bucket}?policy`
pub struct Get;

impl WireOperation for Get {
    const ROUTE: Route = Route::new("GET", Target::Bucket, "GetBucketPolicy")
        .query(&["policy"])
        .needs(Action::GetBucketPolicy)
        .tested_by(
            Some("tests/s3/test_bucket_policy.py::test_a_policy_is_shown_as_it_was_put"),
            Some("tests/oss/test_bucket_policy.py::test_a_policy_is_shown_as_it_was_put"),
        );
    type Call = GetBucketPolicy;

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        Ok(GetBucketPolicy { bucket: request.bucket()? })
    }

    fn render(_: &Request, text: String) -> Result<Reply> {
        let mut reply = wire::empty(200).header("content-type", "application/json");
        reply.body = ReplyBody::Bytes(text.into());
        Ok(reply)
    }
}

/// `DELETE /{bucket}?policy`
pub struct Delete;

impl WireOperation for Delete {
    const ROUTE: Route = Route::new("DELETE", Target::Bucket, "DeleteBucketPolicy")
        .query(&["policy"])
        .needs(Action::DeleteBucketPolicy)
        .tested_by(
            Some("tests/s3/test_bucket_policy.py::test_a_policy_is_shown_as_it_was_put"),
            Some("tests/oss/test_bucket_policy.py::test_a_policy_is_shown_as_it_was_put"),
        );
    type Call = DeleteBucketPolicy;

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        Ok(DeleteBucketPolicy { bucket: request.bucket()? })
    }

    fn render(_: &Request, (): ()) -> Result<Reply> {
        Ok(wire::empty(204))
    }
}

/// `GET /{bucket}?policyStatus`
pub struct GetStatus;

impl WireOperation for GetStatus {
    const ROUTE: Route = Route::new("GET", Target::Bucket, "GetBucketPolicyStatus")
        .query(&["policyStatus"])
        .needs(Action::GetBucketPolicyStatus)
        .tested_by(
            Some(
                "tests/s3/test_bucket_policy.py::test_the_status_tells_whether_a_policy_is_public",
            ),
            Some(
                "tests/oss/test_bucket_policy.py::test_the_status_tells_whether_a_policy_is_public",
            ),
        );
    type Call = GetBucketPolicyStatus;

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        Ok(GetBucketPolicyStatus { bucket: request.bucket()? })
    }

    fn render(request: &Request, public: bool) -> Result<Reply> {
        let mut xml = xml::document(request.dialect, "PolicyStatus");
        xml.flag("IsPublic", public);
        Ok(wire::xml(200, xml.finish()))
    }
}
