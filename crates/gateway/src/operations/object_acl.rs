//! `?acl` of an object, or of a version of it.

use model::policy::Action;
use service::{
    Ask,
    acls::{GetObjectAcl, ObjectAcl, PutObjectAcl},
    objects::Versioned,
};

use super::{acl, answers};
use crate::wire::{self, Reply, Request, Result, Route, Target, WireOperation};

/// `GET /{bucket}/{key}?acl`
pub struct Get;

impl WireOperation for Get {
    const ROUTE: Route = Route::new("GET", Target::Object, "GetObjectAcl")
        .query(&["acl"])
        .needs(Action::GetObjectAcl)
        .tested_by(
            Some("tests/s3/test_acl.py::test_an_object_acl_is_shown_as_it_was_set"),
            Some("tests/oss/test_acl.py::test_an_object_has_the_word_that_was_set"),
        );
    type Call = GetObjectAcl;

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        Ok(GetObjectAcl { target: request.target()? })
    }

    fn render(request: &Request, found: ObjectAcl) -> Result<Reply> {
        let ObjectAcl { acl, version, versioning } = found;
        let mut reply = wire::xml(200, acl::document(request.dialect, &acl, "default"));
        answers::add_read_version(&mut reply, request.dialect, &version, versioning);
        Ok(reply)
    }
}

/// `PUT /{bucket}/{key}?acl`
pub struct Put;

impl WireOperation for Put {
    const ROUTE: Route = Route::new("PUT", Target::Object, "PutObjectAcl")
        .query(&["acl"])
        .needs(Action::PutObjectAcl)
        .tested_by(
            Some("tests/s3/test_acl.py::test_an_object_acl_is_shown_as_it_was_set"),
            Some("tests/oss/test_acl.py::test_an_object_has_the_word_that_was_set"),
        );
    type Call = PutObjectAcl;

    fn before_document(request: &Request) -> Result<Option<Ask>> {
        Ok(Some(Ask::target(Action::PutObjectAcl, request.target()?)))
    }

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        let target = request.target()?;
        Ok(PutObjectAcl { target, acl: acl::wanted(request).await? })
    }

    fn render(request: &Request, Versioned { version, versioning }: Versioned) -> Result<Reply> {
        let mut reply = wire::empty(200);
        answers::add_read_version(&mut reply, request.dialect, &version, versioning);
        Ok(reply)
    }
}
