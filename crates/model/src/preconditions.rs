//! Conditional requests and ranges.
//!
//! Source: RFC 9110, sections 13 and 14; only a single range is served.

use std::ops::Range;

use crate::{Condition, records::Etag};

/// What a client asks of an entity tag: any, or one of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EtagMatch {
    Any,
    /// Lower case, without quotes.
    OneOf(Vec<String>),
}

impl EtagMatch {
    /// Reads `If-Match` and its kin: `*`, or tags with or without quotes or `W/`.
    pub fn parse(value: &str) -> Self {
        if value.trim() == "*" {
            return Self::Any;
        }
        let tag = |text: &str| {
            let text = text.trim();
            let text = text.strip_prefix("W/").unwrap_or(text);
            text.trim_matches('"').to_ascii_lowercase()
        };
        Self::OneOf(value.split(',').map(tag).collect())
    }

    fn holds(&self, etag: &Etag) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(tags) => {
                let etag = etag.to_string();
                tags.contains(&etag)
            }
        }
    }
}

/// The conditions of one request. Times are whole seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preconditions {
    pub if_match: Option<EtagMatch>,
    pub if_none_match: Option<EtagMatch>,
    pub if_modified_since: Option<i64>,
    pub if_unmodified_since: Option<i64>,
}

impl Preconditions {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Decides a read of what exists, or a copy from it.
    ///
    /// # Errors
    /// [`Condition::PreconditionFailed`] or [`Condition::NotModified`].
    pub fn check_read(&self, etag: &Etag, modified_ms: i64) -> Result<(), Condition> {
        let modified_seconds = modified_ms.div_euclid(1000);
        let unmodified = |since: i64| modified_seconds <= since;
        match (&self.if_match, self.if_unmodified_since) {
            (Some(tags), _) if !tags.holds(etag) => return Err(Condition::PreconditionFailed),
            (None, Some(since)) if !unmodified(since) => {
                return Err(Condition::PreconditionFailed);
            }
            _ => {}
        }
        match (&self.if_none_match, self.if_modified_since) {
            (Some(tags), _) if tags.holds(etag) => Err(Condition::NotModified),
            (None, Some(since)) if unmodified(since) => Err(Condition::NotModified),
            _ => Ok(()),
        }
    }

    /// Decides a write or delete over `existing`: tag and time in milliseconds, or nothing there.
    ///
    /// # Errors
    /// [`Condition::PreconditionFailed`]; [`Condition::NoSuchKey`] when `If-Match` meets nothing.
    pub fn check_write(&self, existing: Option<(&Etag, i64)>) -> Result<(), Condition> {
        match (&self.if_match, existing) {
            (Some(_), None) => return Err(Condition::NoSuchKey),
            (Some(tags), Some((etag, _))) if !tags.holds(etag) => {
                return Err(Condition::PreconditionFailed);
            }
            _ => {}
        }
        match (&self.if_none_match, existing) {
            (Some(tags), Some((etag, _))) if tags.holds(etag) => Err(Condition::PreconditionFailed),
            _ => Ok(()),
        }
    }
}

/// A `Range` header that names one range of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// `bytes=first-last`, both inclusive.
    FromTo(u64, u64),
    /// `bytes=first-`
    From(u64),
    /// `bytes=-length`
    Last(u64),
}

impl ByteRange {
    /// Reads a `Range` header; anything but one well-formed byte range is ignored, as RFC 9110
    /// lets a server do.
    pub fn parse(value: &str) -> Option<Self> {
        let (first, last) = value.trim().strip_prefix("bytes=")?.split_once('-')?;
        let number = |text: &str| -> Option<u64> {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse().unwrap_or(u64::MAX))
        };
        match (first.trim(), last.trim()) {
            ("", last) => number(last).map(Self::Last),
            (first, "") => number(first).map(Self::From),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::FromTo(first, last))
            }
        }
    }

    /// The bytes meant of `size_bytes`; the end is exclusive.
    ///
    /// # Errors
    /// [`Condition::InvalidRange`] when no byte is meant.
    pub fn resolve(self, size_bytes: u64) -> Result<Range<u64>, Condition> {
        let range = match self {
            Self::FromTo(first, last) => first..last.saturating_add(1).min(size_bytes),
            Self::From(first) => first..size_bytes,
            Self::Last(length) => size_bytes.saturating_sub(length)..size_bytes,
        };
        if range.is_empty() { Err(Condition::InvalidRange) } else { Ok(range) }
    }

    /// As [`Self::resolve`], for a copy source, whose range must lie within the bytes.
    ///
    /// # Errors
    /// [`Condition::InvalidRange`] when a byte outside is meant.
    pub fn resolve_within(self, size_bytes: u64) -> Result<Range<u64>, Condition> {
        match self {
            Self::FromTo(_, last) if last >= size_bytes => Err(Condition::InvalidRange),
            range => range.resolve(size_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETAG: Etag = Etag { md5: [0xab; 16], parts: Some(2) };
    const NAME: &str = "\"abababababababababababababababab-2\"";

    #[test]
    fn ranges_are_read_as_rfc_9110_says() {
        let table = [
            ("bytes=0-4", Some(0..5)),
            ("bytes=4-", Some(4..10)),
            ("bytes=-3", Some(7..10)),
            ("bytes=-30", Some(0..10)),
            ("bytes=0-18446744073709551615", Some(0..10)),
            ("bytes=0-99999999999999999999999", Some(0..10)),
            ("bytes=10-", None),
            ("bytes=-0", None),
        ];
        for (header, expected) in table {
            let range = ByteRange::parse(header).expect(header);
            assert_eq!(range.resolve(10).ok(), expected, "{header}");
        }
        for header in ["bytes=5-4", "bytes=", "bytes=-", "bytes=a-b", "items=0-1", "bytes=0-1,3-4"]
        {
            assert_eq!(ByteRange::parse(header), None, "{header}");
        }
        assert_eq!(ByteRange::FromTo(0, 10).resolve_within(10), Err(Condition::InvalidRange));
    }

    #[test]
    fn a_tag_match_outranks_a_date() {
        let read = |header: Preconditions| header.check_read(&ETAG, 5_999);
        let matching = Some(EtagMatch::parse(NAME));
        let other = Some(EtagMatch::parse("\"x\", y"));
        let base = Preconditions::default;
        assert_eq!(read(base()), Ok(()));
        assert_eq!(
            read(Preconditions {
                if_match: matching.clone(),
                if_unmodified_since: Some(1),
                ..base()
            }),
            Ok(())
        );
        assert_eq!(
            read(Preconditions {
                if_none_match: other.clone(),
                if_modified_since: Some(9),
                ..base()
            }),
            Ok(())
        );
        assert_eq!(
            read(Preconditions { if_none_match: matching, ..base() }),
            Err(Condition::NotModified)
        );
        assert_eq!(
            read(Preconditions { if_match: other, ..base() }),
            Err(Condition::PreconditionFailed)
        );
        assert_eq!(
            read(Preconditions { if_modified_since: Some(5), ..base() }),
            Err(Condition::NotModified)
        );
        assert_eq!(
            read(Preconditions { if_unmodified_since: Some(4), ..base() }),
            Err(Condition::PreconditionFailed)
        );
    }

    #[test]
    fn a_write_may_demand_that_nothing_or_something_is_there() {
        let only_new = Preconditions { if_none_match: Some(EtagMatch::Any), ..Default::default() };
        assert_eq!(only_new.check_write(None), Ok(()));
        assert_eq!(only_new.check_write(Some((&ETAG, 0))), Err(Condition::PreconditionFailed));
        let only_over = Preconditions { if_match: Some(EtagMatch::Any), ..Default::default() };
        assert_eq!(only_over.check_write(None), Err(Condition::NoSuchKey));
        assert_eq!(only_over.check_write(Some((&ETAG, 0))), Ok(()));
    }
}
