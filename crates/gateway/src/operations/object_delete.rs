//! Deleting objects: one by `DELETE`, up to a thousand by `POST ?delete`.

use model::{
    Condition,
    limits::DELETE_KEYS_MAX,
    names::{ObjectKey, VersionId, VersionSelector},
    policy::Action,
    preconditions::{EtagMatch, Preconditions},
};
use serde::Deserialize;
use service::{
    Ask, Error,
    objects::delete::{DeleteCondition, DeleteObject, DeleteObjects, DeleteOutcomes, Deleted},
};

use super::{arguments::KeyEncoding, conditions, unserved};
use crate::{
    dialect::Dialect,
    errors,
    wire::{self, Reply, Request, Result, Route, Target, WireOperation},
    xml::{self, Writer},
};

/// `DELETE /{bucket}/{key}`
pub struct Delete;

impl WireOperation for Delete {
    const ROUTE: Route =
        Route::new("DELETE", Target::Object, "DeleteObject").needs(Action::DeleteObject).tested_by(
            Some("tests/s3/test_objects.py::test_delete_removes_and_may_be_repeated"),
            Some("tests/oss/test_objects.py::test_delete_removes_and_may_be_repeated"),
        );
    type Call = DeleteObject;

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        unserved::refuse(request)?;
        Ok(DeleteObject {
            target: request.target()?,
            condition: conditions::of_delete(request.dialect, &request.headers)?,
        })
    }

    fn render(request: &Request, deleted: Deleted) -> Result<Reply> {
        let mut reply = wire::empty(204);
        if let Some(id) = &deleted.version_id {
            reply.add_own(request.dialect, "version-id", id);
        }
        if deleted.marker {
            reply.add_own(request.dialect, "delete-marker", "true");
        }
        Ok(reply)
    }

    /// Deleting what is not there succeeds, whatever it was expected to be.
    fn recover(_: &Request, error: Error) -> Result<Reply> {
        match error.condition {
            Condition::NoSuchKey => Ok(wire::empty(204)),
            _ => Err(error),
        }
    }
}

/// `POST /{bucket}?delete`
pub struct DeleteMany;

impl WireOperation for DeleteMany {
    const ROUTE: Route = Route::new("POST", Target::Bucket, "DeleteObjects")
        .needs(Action::DeleteObject)
        .query(&["delete"])
        .named("DeleteMultipleObjects")
        .tested_by(
            Some("tests/s3/test_delete_many.py::test_the_named_keys_go_and_are_told"),
            Some("tests/oss/test_objects.py::test_batch_delete_names_what_went"),
        );
    type Call = DeleteObjects;

    fn before_document(request: &Request) -> Result<Option<Ask>> {
        Ok(Some(Ask::somewhere(Action::DeleteObject, request.bucket()?)))
    }

    async fn parse(request: &mut Request) -> Result<Self::Call> {
        unserved::refuse(request)?;
        KeyEncoding::parse(request.parameter("encoding-type"))?;
        let bucket = request.bucket()?;
        require_digest(request)?;
        let document: Document = request.long_document().await?;
        if !(1..=DELETE_KEYS_MAX).contains(&document.objects.len()) {
            return Err(Condition::MalformedXml.into());
        }
        let quiet = document.quiet.is_some_and(|quiet| quiet.trim().eq_ignore_ascii_case("true"));
        let objects = document.objects.into_iter().map(Entry::checked);
        let objects: Vec<_> = objects.collect::<Result<_>>()?;
        let named = objects.iter().map(|(key, version, _)| (key.clone(), *version)).collect();
        request.note(Asked { quiet, objects: named });
        Ok(DeleteObjects { bucket, objects })
    }

    fn render(request: &Request, outcomes: DeleteOutcomes) -> Result<Reply> {
        let Some(asked) = request.noted::<Asked>() else {
            return Err(Error::new(Condition::Internal, "The request's document was not kept."));
        };
        let encoding = KeyEncoding::parse(request.parameter("encoding-type"))?;
        let document = result(request.dialect, encoding, asked, outcomes)?;
        Ok(wire::xml(200, document))
    }
}

/// What the answer repeats of the request.
struct Asked {
    quiet: bool,
    objects: Vec<(ObjectKey, VersionSelector)>,
}

#[derive(Deserialize)]
#[serde(rename = "Delete")]
struct Document {
    #[serde(rename = "Quiet")]
    quiet: Option<String>,
    #[serde(rename = "Object", default)]
    objects: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "Key")]
    key: String,
    #[serde(rename = "VersionId")]
    version: Option<String>,
    #[serde(rename = "ETag")]
    etag: Option<String>,
    #[serde(rename = "LastModifiedTime")]
    modified: Option<String>,
    #[serde(rename = "Size")]
    size: Option<String>,
}

impl Entry {
    fn checked(self) -> Result<(ObjectKey, VersionSelector, DeleteCondition)> {
        let given = |value: Option<String>| value.filter(|value| !value.is_empty());
        let version = match given(self.version).as_deref() {
            None => VersionSelector::Latest,
            Some("null") => VersionSelector::Null,
            Some(text) => VersionSelector::Id(VersionId::parse(text).ok_or_else(no_version)?),
        };
        let if_match = given(self.etag).map(|etag| EtagMatch::parse(&etag));
        let condition = DeleteCondition {
            preconditions: Preconditions { if_match, ..Preconditions::default() },
            modified_seconds: given(self.modified)
                .map(|value| conditions::modified_time(&value))
                .transpose()?,
            size_bytes: given(self.size).map(|value| conditions::size_bytes(&value)).transpose()?,
        };
        Ok((ObjectKey::parse(&self.key)?, version, condition))
    }
}

fn no_version() -> Error {
    Error::new(Condition::InvalidArgument, "Invalid version id specified")
}

/// S3 wants the list of what to delete protected against damage on its way.
fn require_digest(request: &Request) -> Result<()> {
    let given = request.headers.keys().any(|name| {
        let name = name.as_str();
        name == "content-md5" || name == "x-amz-trailer" || name.starts_with("x-amz-checksum-")
    });
    if given || request.dialect == Dialect::Oss {
        return Ok(());
    }
    let detail = "Missing required header for this request: Content-MD5 OR x-amz-checksum-*";
    Err(Error::new(Condition::InvalidRequest, detail))
}

/// The answer; OSS has no errors of single keys, so there one error is the answer to all.
fn result(
    dialect: Dialect,
    encoding: KeyEncoding,
    asked: &Asked,
    outcomes: DeleteOutcomes,
) -> Result<bytes::Bytes> {
    let mut xml = xml::document(dialect, "DeleteResult");
    if dialect == Dialect::Oss {
        xml.optional("EncodingType", encoding.element());
    }
    for ((key, version), outcome) in asked.objects.iter().zip(outcomes) {
        let key = encoding.apply(key.as_str());
        match outcome {
            Ok(_) if asked.quiet => {}
            // Deleting what is not there succeeds, whatever it was expected to be.
            Err(error) if error.condition == Condition::NoSuchKey => {
                if !asked.quiet {
                    write_deleted(&mut xml, &key, *version, &Deleted::default());
                }
            }
            Ok(deleted) => write_deleted(&mut xml, &key, *version, &deleted),
            Err(error) if dialect == Dialect::S3 => write_error(&mut xml, &key, *version, &error),
            Err(error) => return Err(error),
        }
    }
    Ok(xml.finish())
}

fn write_deleted(xml: &mut Writer, key: &str, version: VersionSelector, deleted: &Deleted) {
    xml.open("Deleted").text("Key", key).optional("VersionId", named(version));
    if deleted.marker {
        xml.flag("DeleteMarker", true);
        xml.optional("DeleteMarkerVersionId", deleted.version_id.as_deref());
    }
    xml.close();
}

fn write_error(xml: &mut Writer, key: &str, version: VersionSelector, error: &Error) {
    let condition = error.condition;
    xml.open("Error").text("Key", key).optional("VersionId", named(version));
    xml.text("Code", errors::code(condition, Dialect::S3));
    xml.text("Message", error.detail.as_deref().unwrap_or(errors::message(condition))).close();
}

/// The version as the request named it.
fn named(version: VersionSelector) -> Option<String> {
    match version {
        VersionSelector::Latest => None,
        VersionSelector::Null => Some("null".to_owned()),
        VersionSelector::Id(id) => Some(id.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{parse_document, testing::request};

    fn text(dialect: Dialect, quiet: bool, outcomes: DeleteOutcomes) -> Result<String> {
        let id = VersionId { order: 1, random: 2 };
        let key = |key: &str| ObjectKey::parse(key).unwrap();
        let objects = vec![
            (key("a\n&b"), VersionSelector::Latest),
            (key("c d"), VersionSelector::Id(id)),
            (key("e"), VersionSelector::Null),
        ];
        let encoding = match dialect {
            Dialect::S3 => KeyEncoding::Plain,
            Dialect::Oss => KeyEncoding::Url,
        };
        let bytes = result(dialect, encoding, &Asked { quiet, objects }, outcomes)?;
        Ok(String::from_utf8(bytes.to_vec()).unwrap())
    }

    fn keys(objects: &str) -> Result<Vec<String>> {
        let text = format!("<Delete>{objects}</Delete>");
        let document = parse_document::<Document>(text.as_bytes())?;
        let objects = document.objects.into_iter().map(Entry::checked);
        let objects = objects.collect::<Result<Vec<_>>>()?;
        Ok(objects.into_iter().map(|(key, ..)| key.to_string()).collect())
    }

    #[test]
    fn keys_are_read_character_by_character() {
        for (written, key) in [
            (" a  b ", " a  b "),
            (" ", " "),
            ("&#13;&#10;x&#9;", "\r\nx\t"),
            ("&lt;&amp;amp;&gt;", "<&amp;>"),
            ("<![CDATA[<a>]]>", "<a>"),
            ("a%20b+é", "a%20b+é"),
        ] {
            let object = format!("<Object>\n<Key>{written}</Key></Object>\n");
            assert_eq!(keys(&object).unwrap(), [key], "{written}");
        }
        assert_eq!(keys("<Quiet>true</Quiet>").unwrap(), [""; 0]);
    }

    #[test]
    fn a_list_with_an_unusable_entry_is_refused() {
        for (objects, condition) in [
            ("<Object></Object>", Condition::MalformedXml),
            ("<Object><Key></Key></Object>", Condition::InvalidObjectName),
            ("<Object><Key>a</Key><VersionId>7</VersionId></Object>", Condition::InvalidArgument),
            ("<Object><Key>a</Key><Size>x</Size></Object>", Condition::InvalidArgument),
        ] {
            assert_eq!(keys(objects).unwrap_err().condition, condition, "{objects}");
        }
    }

    #[test]
    fn an_entry_may_carry_what_it_expects() {
        let text = "<Object><Key>a</Key><VersionId>null</VersionId><ETag>\"AB\"</ETag>\
                    <LastModifiedTime>1994-11-06T08:49:37Z</LastModifiedTime><Size>7</Size>\
                    </Object>";
        let document: Document =
            parse_document(format!("<Delete>{text}</Delete>").as_bytes()).unwrap();
        let entry = document.objects.into_iter().next().unwrap();
        let (_, version, condition) = entry.checked().unwrap();
        assert_eq!(version, VersionSelector::Null);
        let tags = Some(EtagMatch::OneOf(vec!["ab".into()]));
        assert_eq!(condition.preconditions.if_match, tags);
        assert_eq!(condition.modified_seconds, Some(784_111_777));
        assert_eq!(condition.size_bytes, Some(7));
    }

    fn gone() -> Result<Deleted> {
        Ok(Deleted::default())
    }

    fn marker() -> Result<Deleted> {
        Ok(Deleted { version_id: Some("v7".into()), marker: true })
    }

    #[test]
    fn each_key_has_its_outcome() {
        let outcomes = vec![marker(), Err(Condition::AccessDenied.into()), gone()];
        assert_eq!(
            text(Dialect::S3, false, outcomes).unwrap(),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<DeleteResult \
             xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Deleted><Key>a&#10;&amp;b</Key>\
             <DeleteMarker>true</DeleteMarker><DeleteMarkerVersionId>v7</DeleteMarkerVersionId>\
             </Deleted><Error><Key>c d</Key><VersionId>00000000000000010000000000000002\
             </VersionId><Code>AccessDenied</Code><Message>Access Denied</Message></Error>\
             <Deleted><Key>e</Key><VersionId>null</VersionId></Deleted></DeleteResult>"
        );
    }

    #[test]
    fn a_quiet_answer_tells_only_errors() {
        let outcomes = vec![gone(), Err(Condition::PreconditionFailed.into()), gone()];
        let answer = text(Dialect::S3, true, outcomes).unwrap();
        assert!(!answer.contains("<Deleted>"), "{answer}");
        assert!(answer.contains("<Code>PreconditionFailed</Code>"), "{answer}");
    }

    #[test]
    fn oss_encodes_keys_on_request_and_has_one_error_for_all() {
        assert_eq!(
            text(Dialect::Oss, false, vec![gone(), marker(), gone()]).unwrap(),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<DeleteResult>\
             <EncodingType>url</EncodingType><Deleted><Key>a%0A%26b</Key></Deleted><Deleted>\
             <Key>c%20d</Key><VersionId>00000000000000010000000000000002</VersionId>\
             <DeleteMarker>true</DeleteMarker><DeleteMarkerVersionId>v7</DeleteMarkerVersionId>\
             </Deleted><Deleted><Key>e</Key><VersionId>null</VersionId></Deleted></DeleteResult>"
        );
        let outcomes = vec![gone(), Err(Condition::AccessDenied.into()), gone()];
        let error = text(Dialect::Oss, true, outcomes).unwrap_err();
        assert_eq!(error.condition, Condition::AccessDenied);
    }

    #[tokio::test]
    async fn s3_wants_the_list_protected() {
        let body = "<Delete><Object><Key>a</Key></Object></Delete>";
        let parsed = async |dialect, headers: &[_]| {
            DeleteMany::parse(&mut request(dialect, "POST", "/bkt?delete", headers, body)).await
        };
        let error = parsed(Dialect::S3, &[]).await.err().unwrap();
        assert_eq!(error.condition, Condition::InvalidRequest);
        let md5 = ("content-md5", "nqMsBnYeCKlNF1BVyy08Ow==");
        let error = parsed(Dialect::S3, &[md5]).await.err().unwrap();
        assert_eq!(error.condition, Condition::BadDigest);
        assert_eq!(parsed(Dialect::Oss, &[]).await.unwrap().objects.len(), 1);
    }

    #[tokio::test]
    async fn at_most_a_thousand_keys_are_deleted_at_once() {
        let parsed = async |count: usize| {
            let objects = "<Object><Key>a</Key></Object>".repeat(count);
            let body = format!("<Delete>{objects}</Delete>").leak();
            DeleteMany::parse(&mut request(Dialect::Oss, "POST", "/bkt?delete", &[], body)).await
        };
        assert_eq!(parsed(1000).await.unwrap().objects.len(), 1000);
        for count in [0, 1001] {
            let error = parsed(count).await.err().unwrap();
            assert_eq!(error.condition, Condition::MalformedXml, "{count}");
        }
    }

    #[test]
    fn deleting_what_is_not_there_succeeds() {
        let asked = request(Dialect::S3, "DELETE", "/bkt/key", &[("if-match", "*")], "");
        let reply = Delete::recover(&asked, Condition::NoSuchKey.into()).unwrap();
        assert_eq!(reply.status, 204);
        let error = Delete::recover(&asked, Condition::NoSuchBucket.into()).err().unwrap();
        assert_eq!(error.condition, Condition::NoSuchBucket);
        let outcomes = vec![Err(Condition::NoSuchKey.into()), gone(), gone()];
        let answer = text(Dialect::S3, false, outcomes).unwrap();
        assert!(!answer.contains("<Error>"), "{answer}");
    }
}
