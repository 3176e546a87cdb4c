//! What a writer says about an object besides its bytes, as headers of either protocol.
//!
//! The classes an object can be stored in are in [`super::storage_class`]. Values travel as the
//! bytes they came as, so metadata in UTF-8 survives.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use model::{
    Condition,
    limits::{METADATA_BYTES_MAX_OSS, METADATA_BYTES_MAX_S3, SYSTEM_HEADER_BYTES_MAX},
    records::Attributes,
};
use service::{Error, Result};

use super::{arguments, storage_class};
use crate::dialect::Dialect;

/// Where S3 keeps the target of a website redirect.
const WEBSITE_REDIRECT: &str = "x-amz-website-redirect-location";

/// A header's value as text.
///
/// # Errors
/// `InvalidArgument` when it is not UTF-8.
pub fn text<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>> {
    headers.get(name).map(|value| value_text(name, value)).transpose()
}

/// Reads the attributes of a new object from the headers of its request.
///
/// # Errors
/// `MetadataTooLarge`, `RequestHeadersTooLarge`, `InvalidStorageClass`, or `InvalidArgument` for
/// values that are not UTF-8 and redirects that lead nowhere.
pub fn of_request(dialect: Dialect, headers: &HeaderMap) -> Result<Attributes> {
    let encoding = system(headers, "content-encoding")?;
    Ok(Attributes {
        content_type: system(headers, "content-type")?,
        cache_control: system(headers, "cache-control")?,
        content_disposition: system(headers, "content-disposition")?,
        content_encoding: match dialect {
            Dialect::S3 => encoding.and_then(|encoding| without_framing(&encoding)),
            Dialect::Oss => encoding,
        },
        content_language: system(headers, "content-language")?,
        expires: system(headers, "expires")?,
        website_redirect: match dialect {
            Dialect::S3 => website_redirect(headers)?,
            Dialect::Oss => None,
        },
        storage_class: storage_class::of_request(dialect, headers)?,
        user: user_metadata(dialect, headers)?,
    })
}

/// The headers that give the attributes back.
///
/// Metadata whose name no header can have is only counted, as S3 does.
pub fn to_headers(dialect: Dialect, attributes: &Attributes) -> Vec<(HeaderName, HeaderValue)> {
    let content_type = attributes.content_type.as_deref().unwrap_or(default_type(dialect));
    let redirect = attributes.website_redirect.as_deref().filter(|_| dialect == Dialect::S3);
    let system = [
        ("content-type", Some(content_type)),
        ("cache-control", attributes.cache_control.as_deref()),
        ("content-disposition", attributes.content_disposition.as_deref()),
        ("content-encoding", attributes.content_encoding.as_deref()),
        ("content-language", attributes.content_language.as_deref()),
        ("expires", attributes.expires.as_deref()),
        (WEBSITE_REDIRECT, redirect),
    ];
    let mut headers: Vec<_> =
        system.into_iter().filter_map(|(name, value)| pair(name.to_owned(), value?)).collect();
    let prefix = dialect.meta_prefix();
    let user = attributes.user.iter();
    let given = user.filter_map(|(name, value)| pair(format!("{prefix}{name}"), value));
    let before = headers.len();
    headers.extend(given);
    let missing = attributes.user.len() - (headers.len() - before);
    if missing > 0 && dialect == Dialect::S3 {
        headers.extend(pair("x-amz-missing-meta".to_owned(), &missing.to_string()));
    }
    headers
}

const fn default_type(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::S3 => "binary/octet-stream",
        Dialect::Oss => "application/octet-stream",
    }
}

fn pair(name: String, value: &str) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::try_from(name).ok()?;
    Some((name, HeaderValue::from_bytes(value.as_bytes()).ok()?))
}

fn value_text<'h>(name: &str, value: &'h HeaderValue) -> Result<&'h str> {
    std::str::from_utf8(value.as_bytes()).map_err(|_| {
        let detail = format!("The value of header {name} is not valid UTF-8.");
        Error::new(Condition::InvalidArgument, detail).field("ArgumentName", name)
    })
}

/// A header kept with the object; an empty one is as good as none.
fn system(headers: &HeaderMap, name: &str) -> Result<Option<String>> {
    let Some(value) = text(headers, name)?.filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    if value.len() > SYSTEM_HEADER_BYTES_MAX {
        let detail = format!("The {name} header exceeds {SYSTEM_HEADER_BYTES_MAX} bytes.");
        return Err(Error::new(Condition::RequestHeadersTooLarge, detail));
    }
    Ok(Some(value.to_owned()))
}

/// Drops `aws-chunked`, which says how the body travels and nothing about the object.
fn without_framing(encoding: &str) -> Option<String> {
    let codings = encoding.split(',').map(str::trim);
    let kept =
        codings.filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("aws-chunked"));
    let kept: Vec<&str> = kept.collect();
    if kept.is_empty() { None } else { Some(kept.join(", ")) }
}

fn website_redirect(headers: &HeaderMap) -> Result<Option<String>> {
    let Some(target) = system(headers, WEBSITE_REDIRECT)? else { return Ok(None) };
    if ["/", "http://", "https://"].iter().any(|start| target.starts_with(start)) {
        return Ok(Some(target));
    }
    let detail = "The website redirect location must have a prefix of 'http://' or 'https://' or \
                  '/'.";
    Err(arguments::invalid(WEBSITE_REDIRECT, &target, detail))
}

/// Names in lower case without the prefix, sorted; a repeated header is one list of values.
fn user_metadata(dialect: Dialect, headers: &HeaderMap) -> Result<Vec<(String, String)>> {
    let mut user: Vec<(String, String)> = Vec::new();
    for (header, value) in headers {
        let Some(name) = header.as_str().strip_prefix(dialect.meta_prefix()) else { continue };
        let value = value_text(header.as_str(), value)?;
        match user.iter_mut().find(|(known, _)| known == name) {
            Some((_, values)) => {
                values.push(',');
                values.push_str(value);
            }
            None => user.push((name.to_owned(), value.to_owned())),
        }
    }
    user.sort();
    let max = match dialect {
        Dialect::S3 => METADATA_BYTES_MAX_S3,
        Dialect::Oss => METADATA_BYTES_MAX_OSS,
    };
    let size: usize = user.iter().map(|(name, value)| name.len() + value.len()).sum();
    if size > max {
        return Err(Error::from(Condition::MetadataTooLarge)
            .field("Size", size.to_string())
            .field("MaxSizeAllowed", max.to_string()));
    }
    Ok(user)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Request headers; names in lower case.
    pub fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            let name = HeaderName::try_from(*name).unwrap();
            map.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        map
    }

    fn answered(dialect: Dialect, attributes: &Attributes) -> Vec<(String, String)> {
        let headers = to_headers(dialect, attributes).into_iter();
        let text = |value: HeaderValue| String::from_utf8(value.as_bytes().to_vec()).unwrap();
        headers.map(|(name, value)| (name.to_string(), text(value))).collect()
    }

    #[test]
    fn what_one_protocol_wrote_the_other_reads() {
        let map = headers(&[
            ("content-type", "text/plain"),
            ("content-encoding", "gzip"),
            ("cache-control", ""),
            ("x-oss-meta-b", "grün"),
            ("x-oss-meta-a", ""),
            ("x-amz-meta-c", "other dialect"),
        ]);
        let attributes = of_request(Dialect::Oss, &map).unwrap();
        assert_eq!(attributes.cache_control, None);
        let expected = [
            ("content-type", "text/plain"),
            ("content-encoding", "gzip"),
            ("x-amz-meta-a", ""),
            ("x-amz-meta-b", "grün"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(answered(Dialect::S3, &attributes), expected);
    }

    #[test]
    fn the_default_type_is_the_one_of_the_dialect() {
        let none = Attributes::default();
        let (s3, oss) = (answered(Dialect::S3, &none), answered(Dialect::Oss, &none));
        assert_eq!(s3, [("content-type".into(), "binary/octet-stream".into())]);
        assert_eq!(oss, [("content-type".into(), "application/octet-stream".into())]);
    }

    #[test]
    fn framing_is_no_encoding_of_the_object() {
        for (sent, stored) in [
            ("aws-chunked", None),
            ("AWS-Chunked", None),
            ("gzip,aws-chunked", Some("gzip")),
            ("aws-chunked, gzip, br", Some("gzip, br")),
            ("gzip", Some("gzip")),
        ] {
            let map = headers(&[("content-encoding", sent)]);
            let attributes = of_request(Dialect::S3, &map).unwrap();
            assert_eq!(attributes.content_encoding.as_deref(), stored, "{sent}");
        }
    }

    #[test]
    fn metadata_has_a_limit_in_bytes_of_names_and_values() {
        let refused = |dialect, name: &str, length: usize| {
            let map = headers(&[(name, &"a".repeat(length))]);
            of_request(dialect, &map).err().map(|error| error.condition)
        };
        let too_large = Some(Condition::MetadataTooLarge);
        assert_eq!(refused(Dialect::S3, "x-amz-meta-n", 2047), None);
        assert_eq!(refused(Dialect::S3, "x-amz-meta-n", 2048), too_large);
        assert_eq!(refused(Dialect::Oss, "x-oss-meta-n", 8191), None);
        assert_eq!(refused(Dialect::Oss, "x-oss-meta-n", 8192), too_large);
        let long = Some(Condition::RequestHeadersTooLarge);
        assert_eq!(refused(Dialect::S3, "cache-control", 4097), long);
    }

    #[test]
    fn a_repeated_metadata_header_is_a_list() {
        let map = headers(&[("x-amz-meta-a", "1"), ("x-amz-meta-a", "2")]);
        let attributes = of_request(Dialect::S3, &map).unwrap();
        assert_eq!(attributes.user, [("a".to_owned(), "1,2".to_owned())]);
    }

    #[test]
    fn values_that_are_no_text_and_redirects_to_nowhere_are_refused() {
        let mut map = HeaderMap::new();
        let value = HeaderValue::from_bytes(b"\xe9").unwrap();
        map.insert(HeaderName::from_static("x-amz-meta-a"), value);
        let refused = |map: &HeaderMap| of_request(Dialect::S3, map).unwrap_err().condition;
        assert_eq!(refused(&map), Condition::InvalidArgument);
        let map = headers(&[("x-amz-website-redirect-location", "example.com")]);
        assert_eq!(refused(&map), Condition::InvalidArgument);
    }

    #[test]
    fn metadata_without_a_possible_header_is_counted() {
        let user = vec![("bad name".to_owned(), "x".to_owned())];
        let attributes = Attributes { user, ..Attributes::default() };
        let answered = answered(Dialect::S3, &attributes);
        assert_eq!(answered.last(), Some(&("x-amz-missing-meta".to_owned(), "1".to_owned())));
    }
}
