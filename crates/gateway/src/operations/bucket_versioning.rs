//! `?versioning`: whether a bucket keeps versions. One document in both protocols.

use model::{Condition, policy::Action, records::Versioning};
use serde::Deserialize;
use service::{
    Ask,
    buckets::{BucketInfo, LookAtBucket, SetVersioning},
};

use crate::{
    dialect::Dialect,
    wire::{self, Reply, Request, Result, Route, Target, WireOperation},
    xml,
};

/// `GET /{bucket}?versioning`
pub struct Get;

impl WireOperation for Get {
    const ROUTE: Route = Route::new("GET", Target::Bucket, "GetBucketVersioning")
        .needs(Action::GetBucketVersioning)
        .query(&["versioning"])
        .tested_by(
            Some("tests/s3/test_versions.py::test_versioning_is_unset_enabled_suspended"),
            Some("tests/oss/test_buckets.py::test_versioning_is_unset_enabled_suspended"),
        );
    type Call = LookAtBucket;

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        Ok(LookAtBucket { name: request.bucket()?, action: Action::GetBucketVersioning })
    }

    fn render(request: &Request, info: BucketInfo) -> Result<Reply> {
        let mut xml = xml::document(request.dialect, "VersioningConfiguration");
        // OSS has no such thing.
        let mfa_delete = info.bucket.mfa_delete.filter(|_| request.dialect == Dialect::S3);
        match info.bucket.versioning {
            Versioning::Unversioned => {}
            Versioning::Enabled => _ = xml.text("Status", "Enabled"),
            Versioning::Suspended => _ = xml.text("Status", "Suspended"),
        }
        let word = |wanted| if wanted { "Enabled" } else { "Disabled" };
        xml.optional("MfaDelete", mfa_delete.map(word));
        Ok(wire::xml(200, xml.finish()))
    }
}

/// `PUT /{bucket}?versioning`
pub struct Put;

#[derive(Deserialize)]
struct VersioningConfiguration {
    #[serde(rename = "Status")]
    status: Option<String>,
    #[serde(rename = "MfaDelete", alias = "MFADelete")]
    mfa_delete: Option<String>,
}

impl WireOperation for Put {
    const ROUTE: Route = Route::new("PUT", Target::Bucket, "PutBucketVersioning")
        .needs(Action::PutBucketVersioning)
        .query(&["versioning"])
        .tested_by(
            Some("tests/s3/test_versions.py::test_versioning_is_unset_enabled_suspended"),
            Some("tests/oss/test_buckets.py::test_versioning_is_unset_enabled_suspended"),
        );
    type Call = SetVersioning;

    fn before_document(request: &Request) -> Result<Option<Ask>> {
        Ok(Some(Ask::bucket(Action::PutBucketVersioning, request.bucket()?)))
    }

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        let name = request.bucket()?;
        let document: VersioningConfiguration = request.document().await?;
        let mfa_delete = match document.mfa_delete.as_deref() {
            None => None,
            Some("Disabled") => Some(false),
            Some("Enabled") => Some(true),
            Some(_) => return Err(Condition::MalformedXml.into()),
        };
        let versioning = match document.status.as_deref() {
            Some("Enabled") => Versioning::Enabled,
            Some("Suspended") => Versioning::Suspended,
            Some(_) => return Err(Condition::MalformedXml.into()),
            None => return Err(Condition::IllegalVersioningConfiguration.into()),
        };
        Ok(SetVersioning { name, versioning, mfa_delete })
    }

    fn render(_: &Request, (): ()) -> Result<Reply> {
        Ok(wire::empty(200))
    }
}
