//! `x-amz-copy-source` and `x-oss-copy-source`: which version of which object a copy reads.

use actix_web::http::header::HeaderMap;
use model::{
    Condition,
    names::{BucketName, ObjectKey, VersionId, VersionSelector},
};
use service::{Error, Result, objects::Target};

use super::{arguments, attributes::text};
use crate::{dialect::Dialect, encoding};

/// Reads the source of a copy.
///
/// # Errors
/// `InvalidCopySource` when it names no bucket and key, `InvalidArgument` for a version id that is
/// none, or what is wrong with either name.
pub fn of_request(dialect: Dialect, headers: &HeaderMap) -> Result<Target> {
    let header = format!("{}copy-source", dialect.header_prefix());
    let value = text(headers, &header)?.unwrap_or_default();
    parse(dialect, &header, value)
}

/// Reads `/bucket/key?versionId=id`: the first slash may be absent, and any slash escaped.
///
/// The key is decoded exactly once. A `+` in it is a plus in S3, but a blank in OSS, whose SDKs
/// all escape a plus and some write blanks so. Only an unescaped `?versionId=` at the end is no
/// part of the key.
fn parse(dialect: Dialect, header: &str, value: &str) -> Result<Target> {
    let (path, version) = match value.rsplit_once("?versionId=") {
        Some((path, version)) => (path, Some(version)),
        None => (value, None),
    };
    let path = match dialect {
        Dialect::S3 => path.to_owned(),
        Dialect::Oss => path.replace('+', " "),
    };
    let malformed = || {
        Error::from(Condition::InvalidCopySource)
            .field("ArgumentName", header)
            .field("ArgumentValue", value)
    };
    let decoded = |raw| encoding::decode(raw).map_err(|_| malformed());
    let path = decoded(&path)?;
    let path = path.strip_prefix('/').unwrap_or(&path);
    let (bucket, key) = path.split_once('/').ok_or_else(malformed)?;
    if bucket.is_empty() || key.is_empty() {
        return Err(malformed());
    }
    Ok(Target {
        bucket: BucketName::parse(bucket)?,
        key: ObjectKey::parse(key)?,
        version: match version {
            Some(version) => version_selector(header, &decoded(version)?)?,
            None => VersionSelector::Latest,
        },
    })
}

fn version_selector(header: &str, text: &str) -> Result<VersionSelector> {
    match text {
        "null" => Ok(VersionSelector::Null),
        text => VersionId::parse(text)
            .map(VersionSelector::Id)
            .ok_or_else(|| arguments::invalid(header, text, "Invalid version id specified")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0000000000000007ffffffffffffffff";

    #[test]
    fn sources_are_decoded_exactly_once() {
        let id = VersionId::parse(ID).map(VersionSelector::Id).unwrap();
        for (value, key, version) in [
            ("/bkt/key".to_owned(), "key", VersionSelector::Latest),
            ("bkt/key".to_owned(), "key", VersionSelector::Latest),
            ("/bkt/a%2Fb/c".to_owned(), "a/b/c", VersionSelector::Latest),
            ("%2Fbkt%2Fa".to_owned(), "a", VersionSelector::Latest),
            ("bkt//a".to_owned(), "/a", VersionSelector::Latest),
            ("bkt/a%2520b+c".to_owned(), "a%20b+c", VersionSelector::Latest),
            ("bkt/a b%E2%82%AC".to_owned(), "a b€", VersionSelector::Latest),
            ("bkt/%3FversionId%3Dx".to_owned(), "?versionId=x", VersionSelector::Latest),
            ("bkt/a?b".to_owned(), "a?b", VersionSelector::Latest),
            ("bkt/a?versionId=null".to_owned(), "a", VersionSelector::Null),
            (format!("bkt/%3F?versionId={ID}"), "?", id),
        ] {
            let target = parse(Dialect::S3, "x-amz-copy-source", &value).expect(&value);
            assert_eq!(target.bucket.as_str(), "bkt", "{value}");
            assert_eq!(target.key.as_str(), key, "{value}");
            assert_eq!(target.version, version, "{value}");
        }
    }

    #[test]
    fn a_plus_in_a_source_is_a_blank_in_oss_only() {
        for (dialect, key) in [(Dialect::S3, "a+b+"), (Dialect::Oss, "a b+")] {
            let target = parse(dialect, "x-oss-copy-source", "/bkt/a+b%2B").unwrap();
            assert_eq!(target.key.as_str(), key);
        }
    }

    #[test]
    fn a_source_without_bucket_or_key_is_refused() {
        for (value, condition) in [
            ("", Condition::InvalidCopySource),
            ("/", Condition::InvalidCopySource),
            ("bkt", Condition::InvalidCopySource),
            ("/bkt/", Condition::InvalidCopySource),
            ("//key", Condition::InvalidCopySource),
            ("bkt/%zz", Condition::InvalidCopySource),
            ("bkt/%FF", Condition::InvalidCopySource),
            ("B_T/key", Condition::InvalidBucketName),
            ("bkt/key?versionId=", Condition::InvalidArgument),
            ("bkt/key?versionId=7", Condition::InvalidArgument),
        ] {
            let error = parse(Dialect::Oss, "x-oss-copy-source", value).unwrap_err();
            assert_eq!(error.condition, condition, "{value}");
        }
    }

    #[test]
    fn an_overlong_key_is_refused() {
        let value = format!("bkt/{}", "a".repeat(1025));
        let error = parse(Dialect::S3, "x-amz-copy-source", &value).unwrap_err();
        assert_eq!(error.condition, Condition::KeyTooLong);
    }
}
