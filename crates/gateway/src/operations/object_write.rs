//! Writing an object in one request.

use model::policy::Action;
use service::objects::write::{PutObject, Written};

use super::{acl, answers, attributes, conditions, tags, unserved};
use crate::wire::{Reply, Request, Result, Route, Target, WireOperation};

/// `PUT /{bucket}/{key}`
pub struct Put;

impl WireOperation for Put {
    const ROUTE: Route =
        Route::new("PUT", Target::Object, "PutObject").needs(Action::PutObject).tested_by(
            Some("tests/s3/test_objects.py::test_a_second_put_replaces_the_first"),
            Some("tests/oss/test_objects.py::test_what_was_put_is_what_is_read"),
        );
    type Call = PutObject;

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        unserved::refuse(request)?;
        Ok(PutObject {
            bucket: request.bucket()?,
            key: request.key()?,
            attributes: attributes::of_request(request.dialect, &request.headers)?,
            condition: conditions::of_write(request.dialect, &request.headers)?,
            acl: acl::of_headers(request)?,
            tags: tags::of_headers(request)?,
            body: request.body()?,
        })
    }

    fn render(request: &Request, written: Written) -> Result<Reply> {
        let mut reply = Reply::new(200);
        if let Some(object) = &written.version.object {
            reply.add("etag", answers::etag(request.dialect, &object.etag));
            answers::add_digests(&mut reply, request.dialect, object, true);
        }
        answers::add_written_version(&mut reply, request.dialect, &written);
        Ok(reply)
    }
}

#[cfg(test)]
mod tests {
    use model::{Condition, records::Versioning};

    use super::*;
    use crate::{dialect::Dialect, operations::answers::tests::version, wire::testing::request};

    #[tokio::test]
    async fn an_object_is_written_with_what_its_headers_say() {
        let headers = [
            ("content-length", "9"),
            ("content-type", "text/plain"),
            ("x-amz-meta-a", "1"),
            ("if-none-match", "*"),
        ];
        let mut asked = request(Dialect::S3, "PUT", "/bkt/dir/", &headers, "123456789");
        let put = Put::parse(&mut asked).await.unwrap();
        assert_eq!((put.bucket.as_str(), put.key.as_str()), ("bkt", "dir/"));
        assert_eq!(put.attributes.content_type.as_deref(), Some("text/plain"));
        assert_eq!(put.attributes.user, [("a".to_owned(), "1".to_owned())]);
        assert!(put.condition.preconditions.if_none_match.is_some());
        assert_eq!(put.body.length_bytes(), Some(9));
    }

    #[tokio::test]
    async fn a_body_above_5_gib_is_refused_by_its_announcement() {
        let headers = [("content-length", "5368709121")];
        for dialect in [Dialect::S3, Dialect::Oss] {
            let mut asked = request(dialect, "PUT", "/bkt/key", &headers, "");
            let error = Put::parse(&mut asked).await.err().unwrap();
            assert_eq!(error.condition, Condition::EntityTooLarge);
        }
    }

    #[test]
    fn the_answer_lets_the_client_check_what_was_stored() {
        let written = || Written { version: version(), versioning: Versioning::Unversioned };
        let answer = |dialect| {
            let asked = request(dialect, "PUT", "/bkt/key", &[], "");
            let reply = Put::render(&asked, written()).unwrap();
            let headers = reply.headers.iter();
            let text =
                |value: &actix_web::http::header::HeaderValue| value.to_str().unwrap().to_owned();
            headers.map(|(name, value)| (name.to_string(), text(value))).collect::<Vec<_>>()
        };
        let pairs = |pairs: [(&str, &str); 3]| {
            pairs.map(|(name, value)| (name.to_owned(), value.to_owned()))
        };
        assert_eq!(
            answer(Dialect::S3),
            pairs([
                ("etag", "\"abababababababababababababababab\""),
                ("x-amz-checksum-crc32", "y/Q5Jg=="),
                ("x-amz-checksum-type", "FULL_OBJECT"),
            ])
        );
        assert_eq!(
            answer(Dialect::Oss),
            pairs([
                ("etag", "\"ABABABABABABABABABABABABABABABAB\""),
                ("x-oss-hash-crc64ecma", "11051210869376104954"),
                ("content-md5", "q6urq6urq6urq6urq6urqw=="),
            ])
        );
    }
}
