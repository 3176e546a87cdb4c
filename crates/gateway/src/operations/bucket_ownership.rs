//! `?ownershipControls`: whose the objects in a bucket are that others write. S3 only.

use model::{Condition, acl::Ownership, policy::Action};
use serde::Deserialize;
use service::{
    Ask,
    acls::{GetOwnership, PutOwnership},
};

use crate::{
    dialect::Dialect,
    wire::{self, Reply, Request, Result, Route, Target, WireOperation},
    xml,
};

const TEST: Option<&str> =
    Some("tests/s3/test_acl.py::test_object_ownership_is_shown_as_it_was_set");

/// `GET /{bucket}?ownershipControls`
pub struct Get;

impl WireOperation for Get {
    const ROUTE: Route = Route::new("GET", Target::Bucket, "GetBucketOwnershipControls")
        .query(&["ownershipControls"])
        .only(Dialect::S3)
        .needs(Action::GetBucketOwnershipControls)
        .tested_by(TEST, None);
    type Call = GetOwnership;

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        Ok(GetOwnership { bucket: request.bucket()? })
    }

    fn render(request: &Request, ownership: Option<Ownership>) -> Result<Reply> {
        let ownership = ownership.ok_or(Condition::NoOwnershipControls)?;
        let mut xml = xml::document(request.dialect, "OwnershipControls");
        xml.open("Rule").text("ObjectOwnership", ownership.name());
        Ok(wire::xml(200, xml.finish()))
    }
}

#[derive(Deserialize)]
struct OwnershipControls {
    #[serde(rename = "Rule", default)]
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    #[serde(rename = "ObjectOwnership")]
    ownership: Option<String>,
}

/// `PUT /{bucket}?ownershipControls`
pub struct Put;

impl WireOperation for Put {
    const ROUTE: Route = Route::new("PUT", Target::Bucket, "PutBucketOwnershipControls")
        .query(&["ownershipControls"])
        .only(Dialect::S3)
        .needs(Action::PutBucketOwnershipControls)
        .tested_by(TEST, None);
    type Call = PutOwnership;

    fn before_document(request: &Request) -> Result<Option<Ask>> {
        Ok(Some(Ask::bucket(Action::PutBucketOwnershipControls, request.bucket()?)))
    }

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        let bucket = request.bucket()?;
        let OwnershipControls { rules } = request.document().await?;
        let ownership = match rules.as_slice() {
            [Rule { ownership: Some(text) }] => Ownership::parse(text.trim()),
            _ => None,
        };
        let ownership = ownership.ok_or(Condition::MalformedXml)?;
        Ok(PutOwnership { bucket, ownership: Some(ownership) })
    }

    fn render(_: &Request, (): ()) -> Result<Reply> {
        Ok(wire::empty(200))
    }
}

/// `DELETE /{bucket}?ownershipControls`
pub struct Delete;

impl WireOperation for Delete {
    const ROUTE: Route = Route::new("DELETE", Target::Bucket, "DeleteBucketOwnershipControls")
        .query(&["ownershipControls"])
        .only(Dialect::S3)
        .needs(Action::PutBucketOwnershipControls)
        .tested_by(TEST, None);
    type Call = PutOwnership;

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        Ok(PutOwnership { bucket: request.bucket()?, ownership: None })
    }

    fn render(_: &Request, (): ()) -> Result<Reply> {
        Ok(wire::empty(204))
    }
}
