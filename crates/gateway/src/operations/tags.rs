//! Tags on the wire: headers, form fields and documents of objects and buckets alike.
//!
//! What tags may be is in `model::tags`.

use bytes::Bytes;
use model::{
    Condition,
    acl::Of,
    tags::{Fault, Rules, Tag, Tags},
};
use serde::Deserialize;
use service::Error;

use super::{arguments::invalid, unserved};
use crate::{
    dialect::Dialect,
    encoding::query_pairs,
    form::Form,
    wire::{Request, Result, parse_document},
    xml,
};

/// The tags that a request which writes an object gives it, by a header.
///
/// # Errors
/// `InvalidTag`, `BadRequest`, or `InvalidArgument` for what is no list of tags.
pub fn of_headers(request: &Request) -> Result<Tags> {
    let dialect = request.dialect;
    let Some(text) = request.own_header("tagging")? else { return Ok(Tags::default()) };
    let name = format!("{}tagging", dialect.header_prefix());
    let malformed = || match dialect {
        Dialect::S3 => {
            let detail = "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL \
                          query parameters without tag name duplicates.";
            invalid(&name, text, detail)
        }
        Dialect::Oss => Error::new(Condition::InvalidTag, "The tagging header is not key=value."),
    };
    // S3 takes a second = for a part of the value.
    let strict = dialect == Dialect::Oss;
    if strict && text.split('&').any(|pair| pair.matches('=').count() > 1) {
        return Err(malformed());
    }
    let pairs = query_pairs(text).map_err(|_| malformed())?;
    Tags::new(pairs, rules(dialect, Of::Object)).map_err(|fault| match fault {
        Fault::KeyTwice => malformed(),
        other => refusal(dialect, Of::Object, other),
    })
}

/// As [`of_headers`] for the object of a form. Its fields became headers, but S3's is a document.
pub fn of_form(request: &Request, form: &Form) -> Result<Tags> {
    if request.dialect == Dialect::Oss {
        return of_headers(request);
    }
    if form.field("x-amz-tagging").is_some() {
        return Err(unserved::not_implemented("x-amz-tagging"));
    }
    match form.field("tagging") {
        Some(text) => parse_document::<Tagging>(text.as_bytes())?.tags(Dialect::S3, Of::Object),
        None => Ok(Tags::default()),
    }
}

const fn rules(dialect: Dialect, of: Of) -> &'static Rules {
    match (dialect, of) {
        (Dialect::S3, Of::Object) => &Rules::OF_OBJECT_S3,
        (Dialect::S3, Of::Bucket) => &Rules::OF_BUCKET_S3,
        (Dialect::Oss, Of::Object) => &Rules::OF_OBJECT_OSS,
        (Dialect::Oss, Of::Bucket) => &Rules::OF_BUCKET_OSS,
    }
}

#[derive(Deserialize)]
struct Tagging {
    #[serde(rename = "TagSet")]
    set: Option<TagSet>,
}

#[derive(Deserialize)]
struct TagSet {
    #[serde(rename = "Tag", default)]
    tags: Vec<TagElement>,
}

#[derive(Deserialize)]
struct TagElement {
    #[serde(rename = "Key")]
    key: Option<String>,
    #[serde(rename = "Value")]
    value: Option<String>,
}

impl Tagging {
    fn tags(self, dialect: Dialect, of: Of) -> Result<Tags> {
        let tag = |TagElement { key, value }| -> Result<Tag> {
            let value = value.or_else(|| (dialect == Dialect::Oss).then(String::new));
            Ok(key.zip(value).ok_or(Condition::MalformedXml)?)
        };
        let set = self.set.ok_or(Condition::MalformedXml)?;
        let tags = set.tags.into_iter().map(tag).collect::<Result<_>>()?;
        Tags::new(tags, rules(dialect, of)).map_err(|fault| refusal(dialect, of, fault))
    }
}

/// The tags in the document of a request.
///
/// # Errors
/// `MalformedXml`, `InvalidTag`; `BadRequest` for too many.
pub async fn of_document(request: &mut Request, of: Of) -> Result<Tags> {
    request.document::<Tagging>().await?.tags(request.dialect, of)
}

/// Source: answers of S3.
fn refusal(dialect: Dialect, of: Of, fault: Fault) -> Error {
    let detail = match fault {
        Fault::TooMany => {
            let what = match of {
                Of::Object => "Object tags",
                Of::Bucket => "Bucket tag count",
            };
            let most = rules(dialect, of).count_max;
            let detail = format!("{what} cannot be greater than {most}");
            return match dialect {
                Dialect::S3 => Error::new(Condition::BadRequest, detail),
                Dialect::Oss => Error::new(Condition::InvalidTag, detail),
            };
        }
        Fault::Key => "The TagKey you have provided is invalid",
        Fault::Value => "The TagValue you have provided is invalid",
        Fault::Reserved => "System tags cannot be added/updated by requester",
        Fault::KeyTwice => "Cannot provide multiple Tags with the same key",
    };
    Error::new(Condition::InvalidTag, detail)
}

/// The document that shows tags.
pub fn document(dialect: Dialect, tags: &Tags) -> Bytes {
    let mut xml = xml::document(dialect, "Tagging");
    xml.open("TagSet");
    for (key, value) in tags.as_slice() {
        xml.open("Tag").text("Key", key).text("Value", value).close();
    }
    xml.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::request;

    fn of_header(dialect: Dialect, text: &str) -> Result<Vec<Tag>> {
        let name = format!("{}tagging", dialect.header_prefix());
        let asked = request(dialect, "PUT", "/b/k", &[(&name, text)], "");
        of_headers(&asked).map(|tags| tags.as_slice().to_vec())
    }

    fn tags(pairs: &[(&str, &str)]) -> Vec<Tag> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_header_lists_tags_as_a_query_does() {
        for dialect in [Dialect::S3, Dialect::Oss] {
            for (text, expected) in [
                ("", &[][..]),
                ("foo=bar&bar", &[("bar", ""), ("foo", "bar")]),
                ("a+b=%C3%A4%20%2F", &[("a b", "ä /")]),
            ] {
                assert_eq!(of_header(dialect, text).unwrap(), tags(expected), "{text}");
            }
        }
        assert_eq!(of_header(Dialect::S3, "a=b=c").unwrap(), tags(&[("a", "b=c")]));
    }

    #[test]
    fn what_is_no_list_of_tags_is_refused() {
        let eleven: Vec<_> = (0..11).map(|number| number.to_string()).collect();
        let (s3, oss) = (Dialect::S3, Dialect::Oss);
        for (dialect, text, expected) in [
            (s3, "a=1&a=2", Condition::InvalidArgument),
            (oss, "a=1&a=2", Condition::InvalidTag),
            (s3, "a=%zz", Condition::InvalidArgument),
            (oss, "aa=bb=cc", Condition::InvalidTag),
            (s3, "=b", Condition::InvalidTag),
            (s3, "aws:a=b", Condition::InvalidTag),
            (s3, "a=%26", Condition::InvalidTag),
            (s3, &eleven.join("&"), Condition::BadRequest),
            (oss, &eleven.join("&"), Condition::InvalidTag),
        ] {
            assert_eq!(of_header(dialect, text).unwrap_err().condition, expected, "{text}");
        }
    }

    #[test]
    fn a_document_lists_tags_one_by_one() {
        let read = |dialect, set: &str| {
            let text = format!("<Tagging>{set}</Tagging>");
            let tagging = parse_document::<Tagging>(text.as_bytes())?;
            tagging.tags(dialect, Of::Object).map(|tags| tags.as_slice().to_vec())
        };
        let one = "<TagSet><Tag><Key>k </Key><Value> v w</Value></Tag></TagSet>";
        for dialect in [Dialect::S3, Dialect::Oss] {
            assert_eq!(read(dialect, one).unwrap(), tags(&[("k ", " v w")]));
            assert_eq!(read(dialect, "<TagSet/>").unwrap(), []);
            for none in ["", "<TagSet><Tag><Value>v</Value></Tag></TagSet>"] {
                assert_eq!(read(dialect, none).unwrap_err().condition, Condition::MalformedXml);
            }
        }
        let strange = vec![("<&>\"'".to_owned(), " \u{a0}]]> ü ".to_owned())];
        let shown = Tags::new(strange, rules(Dialect::Oss, Of::Bucket)).unwrap();
        let again = parse_document::<Tagging>(&document(Dialect::Oss, &shown)).unwrap();
        assert_eq!(again.tags(Dialect::Oss, Of::Bucket).unwrap(), shown);
        let bare = "<TagSet><Tag><Key>k</Key></Tag></TagSet>";
        assert_eq!(read(Dialect::Oss, bare).unwrap(), tags(&[("k", "")]));
        assert_eq!(read(Dialect::S3, bare).unwrap_err().condition, Condition::MalformedXml);
        let twice = format!("{one}{one}").replace("</TagSet><TagSet>", "");
        assert_eq!(read(Dialect::S3, &twice).unwrap_err().condition, Condition::InvalidTag);
    }
}
