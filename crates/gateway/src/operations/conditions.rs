//! Conditional headers: on reads, on the source of a copy, on writes and on deletes.
//!
//! What they decide is in `model::preconditions`.

use actix_web::http::header::HeaderMap;
use chrono::{DateTime, NaiveDateTime};
use model::{
    Condition,
    preconditions::{EtagMatch, Preconditions},
};
use service::{
    Error, Result,
    objects::{delete::DeleteCondition, write::WriteCondition},
};

use super::{arguments, attributes::text};
use crate::dialect::Dialect;

/// `If-Match` and its kin of a read.
///
/// # Errors
/// `InvalidArgument` for a header that is no UTF-8.
pub fn of_read(headers: &HeaderMap) -> Result<Preconditions> {
    named(headers, "")
}

/// `x-amz-copy-source-if-match` and its kin.
///
/// # Errors
/// As [`of_read`].
pub fn of_source(dialect: Dialect, headers: &HeaderMap) -> Result<Preconditions> {
    named(headers, &format!("{}copy-source-", dialect.header_prefix()))
}

/// The answer to a copy whose source is not as asked: S3 always says 412, OSS says 304 of a source
/// that did not change.
///
/// Source: the "CopyObject" pages of both manuals.
pub fn copy_refusal(dialect: Dialect, error: Error) -> Error {
    match (dialect, error.condition) {
        (Dialect::S3, Condition::NotModified) => Condition::PreconditionFailed.into(),
        _ => error,
    }
}

/// What must be there, or must not, for a write to happen.
///
/// # Errors
/// As [`of_read`].
pub fn of_write(dialect: Dialect, headers: &HeaderMap) -> Result<WriteCondition> {
    let forbid = match dialect {
        Dialect::S3 => None,
        Dialect::Oss => text(headers, "x-oss-forbid-overwrite")?,
    };
    Ok(WriteCondition {
        preconditions: only_tags(headers)?,
        forbid_overwrite: forbid.is_some_and(|value| value.eq_ignore_ascii_case("true")),
    })
}

/// What must be there for a delete to happen.
///
/// # Errors
/// `InvalidArgument` for a size that is no number, or as [`of_read`].
pub fn of_delete(dialect: Dialect, headers: &HeaderMap) -> Result<DeleteCondition> {
    let preconditions = only_tags(headers)?;
    if dialect == Dialect::Oss {
        return Ok(DeleteCondition { preconditions, ..DeleteCondition::default() });
    }
    let modified = text(headers, "x-amz-if-match-last-modified-time")?;
    let size = text(headers, "x-amz-if-match-size")?;
    Ok(DeleteCondition {
        preconditions,
        modified_seconds: modified.map(modified_time).transpose()?,
        size_bytes: size.map(size_bytes).transpose()?,
    })
}

/// Reads the time a delete is bound to: an HTTP date, or one of ISO 8601 as in a batch delete.
///
/// # Errors
/// `InvalidArgument` for anything else: ignoring it would delete what should stay.
pub fn modified_time(value: &str) -> Result<i64> {
    let iso = || DateTime::parse_from_rfc3339(value.trim()).ok().map(|date| date.timestamp());
    http_seconds(value).or_else(iso).ok_or_else(|| {
        let name = "x-amz-if-match-last-modified-time";
        arguments::invalid(name, value, "The date you specified is not valid.")
    })
}

/// Reads the size a delete is bound to.
///
/// # Errors
/// As [`modified_time`].
pub fn size_bytes(value: &str) -> Result<u64> {
    value.trim().parse().map_err(|_| {
        arguments::invalid("x-amz-if-match-size", value, "The size you specified is not valid.")
    })
}

/// Reads an HTTP date in any of its three forms, as seconds since 1970.
///
/// `None` for anything else: a condition with a malformed date is ignored.
///
/// Source: RFC 9110, sections 5.6.7 and 13.1.3.
pub fn http_seconds(value: &str) -> Option<i64> {
    const FORMS: [&str; 3] =
        ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    let parsed = |form| NaiveDateTime::parse_from_str(value.trim(), form).ok();
    FORMS.into_iter().find_map(parsed).map(|date| date.and_utc().timestamp())
}

fn named(headers: &HeaderMap, prefix: &str) -> Result<Preconditions> {
    let header = |name: &str| text(headers, &format!("{prefix}{name}"));
    Ok(Preconditions {
        if_match: header("if-match")?.map(EtagMatch::parse),
        if_none_match: header("if-none-match")?.map(EtagMatch::parse),
        if_modified_since: header("if-modified-since")?.and_then(http_seconds),
        if_unmodified_since: header("if-unmodified-since")?.and_then(http_seconds),
    })
}

fn only_tags(headers: &HeaderMap) -> Result<Preconditions> {
    Ok(Preconditions { if_modified_since: None, if_unmodified_since: None, ..of_read(headers)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::attributes::tests::headers;

    #[test]
    fn http_dates_are_read_in_all_three_forms() {
        for value in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(http_seconds(value), Some(784_111_777), "{value}");
        }
        for value in ["", "yesterday", "Mon, 06 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37Z"] {
            assert_eq!(http_seconds(value), None, "{value}");
        }
    }

    #[test]
    fn a_malformed_date_is_no_condition_on_a_read() {
        let map = headers(&[
            ("if-modified-since", "soon"),
            ("if-unmodified-since", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("if-none-match", "*"),
        ]);
        let read = of_read(&map).unwrap();
        assert_eq!(read.if_modified_since, None);
        assert_eq!(read.if_unmodified_since, Some(784_111_777));
        assert_eq!(read.if_none_match, Some(EtagMatch::Any));
        assert!(of_source(Dialect::S3, &map).unwrap().is_empty());
    }

    #[test]
    fn the_conditions_of_a_source_have_the_prefix_of_the_dialect() {
        let map = headers(&[("x-oss-copy-source-if-match", "\"ABC\"")]);
        let tags = EtagMatch::OneOf(vec!["abc".into()]);
        assert_eq!(of_source(Dialect::Oss, &map).unwrap().if_match, Some(tags));
        assert!(of_source(Dialect::S3, &map).unwrap().is_empty());
    }

    #[test]
    fn a_source_that_did_not_change_is_412_in_s3_and_304_in_oss() {
        for (dialect, expected) in
            [(Dialect::S3, Condition::PreconditionFailed), (Dialect::Oss, Condition::NotModified)]
        {
            let refusal = copy_refusal(dialect, Condition::NotModified.into());
            assert_eq!(refusal.condition, expected);
            let other = copy_refusal(dialect, Condition::NoSuchKey.into());
            assert_eq!(other.condition, Condition::NoSuchKey);
        }
    }

    #[test]
    fn overwriting_is_forbidden_only_by_true() {
        for (value, expected) in [("true", true), ("TRUE", true), ("false", false), ("", false)] {
            let map = headers(&[("x-oss-forbid-overwrite", value)]);
            assert_eq!(of_write(Dialect::Oss, &map).unwrap().forbid_overwrite, expected);
            assert!(!of_write(Dialect::S3, &map).unwrap().forbid_overwrite);
        }
    }

    #[test]
    fn a_delete_bound_to_an_unreadable_date_or_size_is_refused() {
        let map = headers(&[
            ("x-amz-if-match-last-modified-time", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("x-amz-if-match-size", "7"),
        ]);
        let condition = of_delete(Dialect::S3, &map).unwrap();
        assert_eq!(condition.modified_seconds, Some(784_111_777));
        assert_eq!(condition.size_bytes, Some(7));
        assert_eq!(modified_time("1994-11-06T08:49:37.000Z").unwrap(), 784_111_777);
        for header in ["x-amz-if-match-last-modified-time", "x-amz-if-match-size"] {
            let error = of_delete(Dialect::S3, &headers(&[(header, "x")])).unwrap_err();
            assert_eq!(error.condition, Condition::InvalidArgument);
        }
    }
}
