//! Conditions, ranges and pages, written down a second time.

use std::ops::Range;

use model::{
    Condition,
    preconditions::{ByteRange, EtagMatch, Preconditions},
};
use service::objects::{delete::DeleteCondition, write::WriteCondition};

use super::Sight;

fn matches(tags: &EtagMatch, etag: &str) -> bool {
    match tags {
        EtagMatch::Any => true,
        EtagMatch::OneOf(tags) => tags.iter().any(|tag| tag == etag),
    }
}

/// A read: If-Match outranks If-Unmodified-Since, If-None-Match outranks If-Modified-Since.
pub fn check_read(conditions: &Preconditions, version: &Sight) -> Result<(), Condition> {
    let Some(object) = &version.object else { return Ok(()) };
    let modified_seconds = version.modified_ms.div_euclid(1000);
    let wanted = match (&conditions.if_match, conditions.if_unmodified_since) {
        (Some(tags), _) => matches(tags, &object.etag),
        (None, Some(since)) => modified_seconds <= since,
        (None, None) => true,
    };
    if !wanted {
        return Err(Condition::PreconditionFailed);
    }
    let unwanted = match (&conditions.if_none_match, conditions.if_modified_since) {
        (Some(tags), _) => matches(tags, &object.etag),
        (None, Some(since)) => modified_seconds <= since,
        (None, None) => false,
    };
    if unwanted { Err(Condition::NotModified) } else { Ok(()) }
}

/// A write or delete over what is there.
pub fn check_change(conditions: &Preconditions, existing: Option<&Sight>) -> Result<(), Condition> {
    let Some(object) = existing.and_then(|version| version.object.as_ref()) else {
        let wants_something = conditions.if_match.is_some();
        return if wants_something { Err(Condition::NoSuchKey) } else { Ok(()) };
    };
    let wanted = conditions.if_match.as_ref().is_none_or(|tags| matches(tags, &object.etag));
    let unwanted =
        conditions.if_none_match.as_ref().is_some_and(|tags| matches(tags, &object.etag));
    if wanted && !unwanted { Ok(()) } else { Err(Condition::PreconditionFailed) }
}

pub fn check_write(
    condition: &WriteCondition,
    versioned: bool,
    existing: Option<&Sight>,
) -> Result<(), Condition> {
    if condition.forbid_overwrite && !versioned && existing.is_some() {
        return Err(Condition::FileAlreadyExists);
    }
    check_change(&condition.preconditions, existing)
}

pub fn check_delete(
    condition: &DeleteCondition,
    existing: Option<&Sight>,
) -> Result<(), Condition> {
    check_change(&condition.preconditions, existing)?;
    let Some(existing) = existing else { return Ok(()) };
    let Some(object) = &existing.object else { return Ok(()) };
    let seconds = existing.modified_ms.div_euclid(1000);
    let expected = condition.size_bytes.unwrap_or(object.size_bytes) == object.size_bytes
        && condition.modified_seconds.unwrap_or(seconds) == seconds;
    if expected { Ok(()) } else { Err(Condition::PreconditionFailed) }
}

/// The bytes meant of `size` bytes; none is an error.
pub fn range(range: ByteRange, size: u64) -> Result<Range<u64>, Condition> {
    let (start, end) = match range {
        ByteRange::FromTo(first, last) => (first, size.min(last + 1)),
        ByteRange::From(first) => (first, size),
        ByteRange::Last(length) => (size - size.min(length), size),
    };
    if start < end { Ok(start..end) } else { Err(Condition::InvalidRange) }
}

/// As [`range`], but both ends must lie within the bytes.
pub fn range_within(wanted: ByteRange, size: u64) -> Result<Range<u64>, Condition> {
    match wanted {
        ByteRange::FromTo(_, last) if last >= size => Err(Condition::InvalidRange),
        _ => range(wanted, size),
    }
}

/// Cuts a list into pages; an empty list, or a limit of none, is one empty page.
pub fn pages<T: Clone>(list: Vec<T>, limit: usize) -> Vec<Vec<T>> {
    if list.is_empty() || limit == 0 {
        return vec![Vec::new()];
    }
    list.chunks(limit).map(<[T]>::to_vec).collect()
}
