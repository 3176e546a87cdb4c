//! `?tagging` of an object, or of a version of it.

use model::{acl::Of, policy::Action};
use service::{
    Ask,
    objects::Versioned,
    tags::{DeleteObjectTags, GetObjectTags, PutObjectTags},
};

use super::{answers, tags};
use crate::wire::{self, Reply, Request, Result, Route, Target, WireOperation};

const S3_TEST: Option<&str> =
    Some("tests/s3/test_tagging.py::test_tags_of_an_object_are_shown_as_they_were_set");
const OSS_TEST: Option<&str> =
    Some("tests/oss/test_tagging.py::test_tags_of_an_object_are_shown_as_they_were_set");

/// `GET /{bucket}/{key}?tagging`
pub struct Get;

impl WireOperation for Get {
    const ROUTE: Route = Route::new("GET", Target::Object, "GetObjectTagging")
        .query(&["tagging"])
        .needs(Action::GetObjectTagging)
        .tested_by(S3_TEST, OSS_TEST);
    type Call = GetObjectTags;

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        Ok(GetObjectTags { target: request.target()? })
    }

    fn render(request: &Request, found: Versioned) -> Result<Reply> {
        let document = tags::document(request.dialect, &found.version.tags);
        Ok(with_version(wire::xml(200, document), request, &found))
    }
}

/// `PUT /{bucket}/{key}?tagging`
pub struct Put;

impl WireOperation for Put {
    const ROUTE: Route = Route::new("PUT", Target::Object, "PutObjectTagging")
        .query(&["tagging"])
        .needs(Action::PutObjectTagging)
        .tested_by(S3_TEST, OSS_TEST);
    type Call = PutObjectTags;

    fn before_document(request: &Request) -> Result<Option<Ask>> {
        // Whether it is allowed may depend on the tags in the document.
        let action = request.target()?.action(Action::PutObjectTagging);
        Ok(Some(Ask::somewhere(action, request.bucket()?)))
    }

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        let target = request.target()?;
        let tags = tags::of_document(request, Of::Object).await?;
        Ok(PutObjectTags { target, tags })
    }

    fn render(request: &Request, set: Versioned) -> Result<Reply> {
        Ok(with_version(wire::empty(200), request, &set))
    }
}

/// `DELETE /{bucket}/{key}?tagging`
pub struct Delete;

impl WireOperation for Delete {
    const ROUTE: Route = Route::new("DELETE", Target::Object, "DeleteObjectTagging")
        .query(&["tagging"])
        .needs(Action::DeleteObjectTagging)
        .tested_by(S3_TEST, OSS_TEST);
    type Call = DeleteObjectTags;

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        Ok(DeleteObjectTags { target: request.target()? })
    }

    fn render(request: &Request, set: Versioned) -> Result<Reply> {
        Ok(with_version(wire::empty(204), request, &set))
    }
}

fn with_version(mut reply: Reply, request: &Request, of: &Versioned) -> Reply {
    answers::add_read_version(&mut reply, request.dialect, &of.version, of.versioning);
    reply
}
