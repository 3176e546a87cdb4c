//! `?publicAccessBlock` of a whole account: what keeps all its buckets from becoming public.
//!
//! The documents are those of `bucket_access_block`. In S3 this belongs to S3 Control, whose path
//! `/v20180820/configuration/publicAccessBlock` is read as this sub-resource (`address::control`).

use model::{Condition, policy::Action, records::AccessBlock};
use service::{
    Ask, Error,
    policies::{GetAccountAccessBlock, PutAccountAccessBlock},
};

use super::bucket_access_block::{read, show};
use crate::{
    dialect::Dialect,
    wire::{self, Reply, Request, Result, Route, Target, WireOperation},
};

const S3_TEST: Option<&str> =
    Some("tests/s3/test_account_block.py::test_the_block_is_shown_as_it_was_set");
const OSS_TEST: Option<&str> =
    Some("tests/oss/test_account_block.py::test_the_block_is_shown_as_it_was_set");

/// The account that S3 Control is asked about; OSS means the caller's.
fn account(request: &Request) -> Result<Option<String>> {
    match (request.dialect, request.header("x-amz-account-id")?) {
        (Dialect::Oss, _) => Ok(None),
        (Dialect::S3, Some(account)) => Ok(Some(account.to_owned())),
        (Dialect::S3, None) => {
            let detail = "The header x-amz-account-id must name the account.";
            Err(Error::new(Condition::InvalidRequest, detail))
        }
    }
}

/// `GET /?publicAccessBlock`
pub struct Get;

impl WireOperation for Get {
    const ROUTE: Route = Route::new("GET", Target::Service, "GetPublicAccessBlock (account)")
        .query(&["publicAccessBlock"])
        .named("GetPublicAccessBlock")
        .needs(Action::GetAccountPublicAccessBlock)
        .tested_by(S3_TEST, OSS_TEST);
    type Call = GetAccountAccessBlock;

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        Ok(GetAccountAccessBlock { account: account(request)? })
    }

    fn render(request: &Request, access_block: Option<AccessBlock>) -> Result<Reply> {
        show(request.dialect, access_block)
    }
}

/// `PUT /?publicAccessBlock`
pub struct Put;

impl WireOperation for Put {
    const ROUTE: Route = Route::new("PUT", Target::Service, "PutPublicAccessBlock (account)")
        .query(&["publicAccessBlock"])
        .named("PutPublicAccessBlock")
        .needs(Action::PutAccountPublicAccessBlock)
        .tested_by(S3_TEST, OSS_TEST);
    type Call = PutAccountAccessBlock;

    fn before_document(_: &Request) -> Result<Option<Ask>> {
        Ok(Some(Ask::service(Action::PutAccountPublicAccessBlock)))
    }

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        let account = account(request)?;
        let access_block = Some(read(request).await?);
        let action = Action::PutAccountPublicAccessBlock;
        Ok(PutAccountAccessBlock { account, access_block, action })
    }

    fn render(_: &Request, (): ()) -> Result<Reply> {
        Ok(wire::empty(200))
    }
}

/// `DELETE /?publicAccessBlock`
pub struct Delete;

impl WireOperation for Delete {
    const ROUTE: Route = Route::new("DELETE", Target::Service, "DeletePublicAccessBlock (account)")
        .query(&["publicAccessBlock"])
        .named("DeletePublicAccessBlock")
        .needs(Action::PutAccountPublicAccessBlock)
        .needs_in_oss(Action::DeleteAccountPublicAccessBlock)
        .tested_by(S3_TEST, OSS_TEST);
    type Call = PutAccountAccessBlock;

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        let action = match request.dialect {
            Dialect::S3 => Action::PutAccountPublicAccessBlock,
            Dialect::Oss => Action::DeleteAccountPublicAccessBlock,
        };
        Ok(PutAccountAccessBlock { account: account(request)?, access_block: None, action })
    }

    fn render(_: &Request, (): ()) -> Result<Reply> {
        Ok(wire::empty(204))
    }
}
