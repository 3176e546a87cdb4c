//! `?publicAccessBlock`: what keeps a bucket from becoming public. Four switches in S3, one in OSS.

use model::{Condition, policy::Action, records::AccessBlock};
use serde::Deserialize;
use service::{
    Ask,
    policies::{GetAccessBlock, PutAccessBlock},
};

use crate::{
    dialect::Dialect,
    operations::arguments::flag,
    wire::{self, Reply, Request, Result, Route, Target, WireOperation},
    xml,
};

/// `GET /{bucket}?publicAccessBlock`
pub struct Get;

impl WireOperation for Get {
    const ROUTE: Route = Route::new("GET", Target::Bucket, "GetPublicAccessBlock")
        .query(&["publicAccessBlock"])
        .named("GetBucketPublicAccessBlock")
        .needs(Action::GetBucketPublicAccessBlock)
        .tested_by(
            Some("tests/s3/test_bucket_policy.py::test_the_access_block_is_shown_as_it_was_set"),
            Some("tests/oss/test_bucket_policy.py::test_the_access_block_is_shown_as_it_was_set"),
        );
    type Call = GetAccessBlock;

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        Ok(GetAccessBlock { bucket: request.bucket()? })
    }

    fn render(request: &Request, access_block: Option<AccessBlock>) -> Result<Reply> {
        show(request.dialect, access_block)
    }
}

/// The document of a block.
///
/// # Errors
/// `NoPublicAccessBlock` in S3 if there is none.
pub(super) fn show(dialect: Dialect, access_block: Option<AccessBlock>) -> Result<Reply> {
    let mut xml = xml::document(dialect, "PublicAccessBlockConfiguration");
    match (dialect, access_block) {
        (Dialect::S3, None) => return Err(Condition::NoPublicAccessBlock.into()),
        (Dialect::S3, Some(block)) => {
            xml.flag("BlockPublicAcls", block.block_public_acls);
            xml.flag("IgnorePublicAcls", block.ignore_public_acls);
            xml.flag("BlockPublicPolicy", block.block_public_policy);
            xml.flag("RestrictPublicBuckets", block.restrict_public_buckets);
        }
        (Dialect::Oss, block) => {
            xml.flag("BlockPublicAccess", block == Some(AccessBlock::ALL));
        }
    }
    Ok(wire::xml(200, xml.finish()))
}

#[derive(Deserialize)]
struct PublicAccessBlockConfiguration {
    #[serde(rename = "BlockPublicAcls")]
    block_public_acls: Option<String>,
    #[serde(rename = "IgnorePublicAcls")]
    ignore_public_acls: Option<String>,
    #[serde(rename = "BlockPublicPolicy")]
    block_public_policy: Option<String>,
    #[serde(rename = "RestrictPublicBuckets")]
    restrict_public_buckets: Option<String>,
    #[serde(rename = "BlockPublicAccess")]
    block_public_access: Option<String>,
}

/// The block that a document sets.
///
/// # Errors
/// `MalformedXml`, and whatever is wrong with the body.
pub(super) async fn read(request: &mut Request) -> Result<AccessBlock> {
    let document: PublicAccessBlockConfiguration = request.document().await?;
    Ok(match request.dialect {
        Dialect::S3 => AccessBlock {
            block_public_acls: flag(document.block_public_acls)?,
            ignore_public_acls: flag(document.ignore_public_acls)?,
            block_public_policy: flag(document.block_public_policy)?,
            restrict_public_buckets: flag(document.restrict_public_buckets)?,
        },
        Dialect::Oss if document.block_public_access.is_none() => {
            return Err(Condition::MalformedXml.into());
        }
        Dialect::Oss if flag(document.block_public_access)? => AccessBlock::ALL,
        Dialect::Oss => AccessBlock::NONE,
    })
}

/// `PUT /{bucket}?publicAccessBlock`
pub struct Put;

impl WireOperation for Put {
    const ROUTE: Route = Route::new("PUT", Target::Bucket, "PutPublicAccessBlock")
        .query(&["publicAccessBlock"])
        .named("PutBucketPublicAccessBlock")
        .needs(Action::PutBucketPublicAccessBlock)
        .tested_by(
            Some("tests/s3/test_bucket_policy.py::test_the_access_block_is_shown_as_it_was_set"),
            Some("tests/oss/test_bucket_policy.py::test_the_access_block_is_shown_as_it_was_set"),
        );
    type Call = PutAccessBlock;

    fn before_document(request: &Request) -> Result<Option<Ask>> {
        Ok(Some(Ask::bucket(Action::PutBucketPublicAccessBlock, request.bucket()?)))
    }

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        let bucket = request.bucket()?;
        let access_block = read(request).await?;
        let action = Action::PutBucketPublicAccessBlock;
        Ok(PutAccessBlock { bucket, access_block: Some(access_block), action })
    }

    fn render(_: &Request, (): ()) -> Result<Reply> {
        Ok(wire::empty(200))
    }
}

/// `DELETE /{bucket}?publicAccessBlock`
pub struct Delete;

impl WireOperation for Delete {
    const ROUTE: Route = Route::new("DELETE", Target::Bucket, "DeletePublicAccessBlock")
        .query(&["publicAccessBlock"])
        .named("DeleteBucketPublicAccessBlock")
        .needs(Action::PutBucketPublicAccessBlock)
        .needs_in_oss(Action::DeleteBucketPublicAccessBlock)
        .tested_by(
            Some("tests/s3/test_bucket_policy.py::test_the_access_block_is_shown_as_it_was_set"),
            Some("tests/oss/test_bucket_policy.py::test_the_access_block_is_shown_as_it_was_set"),
        );
    type Call = PutAccessBlock;

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        let action = match request.dialect {
            Dialect::S3 => Action::PutBucketPublicAccessBlock,
            Dialect::Oss => Action::DeleteBucketPublicAccessBlock,
        };
        Ok(PutAccessBlock { bucket: request.bucket()?, access_block: None, action })
    }

    fn render(_: &Request, (): ()) -> Result<Reply> {
        Ok(wire::empty(204))
    }
}
