//! Arguments of object operations: numbers, encodings and markers in queries and headers.

use std::borrow::Cow;

use model::{Condition, limits::LIST_ENTRIES_MAX};
use service::{Error, Result};

use crate::{dialect::Dialect, encoding};

/// What both services say of an argument they cannot use.
pub fn invalid(name: &str, value: &str, detail: impl Into<String>) -> Error {
    Error::new(Condition::InvalidArgument, detail)
        .field("ArgumentName", name)
        .field("ArgumentValue", value)
}

/// Reads `max-keys` and its kin: how many entries a page holds, at most 1000.
///
/// # Errors
/// `InvalidArgument` for anything but a number of 0 to 2147483647.
pub fn page_limit(name: &str, value: Option<&str>, default: u32) -> Result<u32> {
    let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(default) };
    let number = number(name, value)?;
    Ok(number.min(LIST_ENTRIES_MAX))
}

/// Reads a marker that is a number, 0 when absent.
///
/// # Errors
/// As [`page_limit`].
pub fn number_marker(name: &str, value: Option<&str>) -> Result<u32> {
    match value.filter(|value| !value.is_empty()) {
        Some(value) => number(name, value),
        None => Ok(0),
    }
}

fn number(name: &str, value: &str) -> Result<u32> {
    const MAX: i64 = i32::MAX as i64;
    match value.parse::<i64>() {
        Ok(number @ 0..=MAX) => Ok(u32::try_from(number).unwrap_or(u32::MAX)),
        Ok(_) => {
            let detail = format!("Argument {name} must be an integer between 0 and {MAX}");
            Err(invalid(name, value, detail))
        }
        Err(_) => {
            let detail = format!("Provided {name} not an integer or within integer range");
            Err(invalid(name, value, detail))
        }
    }
}

/// How keys are written into a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyEncoding {
    Plain,
    /// Percent escapes for everything but unreserved characters and `/`; a space is `%20`, because
    /// not every client takes `+` for one.
    Url,
}

impl KeyEncoding {
    /// Reads `encoding-type`.
    ///
    /// # Errors
    /// `InvalidArgument` for anything but `url`.
    pub fn parse(value: Option<&str>) -> Result<Self> {
        match value {
            None | Some("") => Ok(Self::Plain),
            Some(value) if value.eq_ignore_ascii_case("url") => Ok(Self::Url),
            Some(value) => {
                let detail = "Invalid Encoding Method specified in Request";
                Err(invalid("encoding-type", value, detail))
            }
        }
    }

    pub fn apply(self, key: &str) -> Cow<'_, str> {
        match self {
            Self::Plain => Cow::Borrowed(key),
            Self::Url => Cow::Owned(encoding::encode_path(key)),
        }
    }

    /// The element that tells the client to decode.
    pub fn element(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Url => Some("url"),
        }
    }
}

/// Entries of a page when the client does not say.
pub const fn page_default(dialect: Dialect) -> u32 {
    match dialect {
        Dialect::S3 => LIST_ENTRIES_MAX,
        Dialect::Oss => 100,
    }
}

/// `true` or `false` in a document; absent is off.
///
/// # Errors
/// `MalformedXml` for anything else.
pub fn flag(text: Option<String>) -> Result<bool> {
    match text.as_deref().map(str::trim) {
        None => Ok(false),
        Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        Some(_) => Err(Error::from(Condition::MalformedXml)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_limits_are_capped_and_checked() {
        let limit = |value| page_limit("max-keys", value, 100);
        assert_eq!(limit(None).unwrap(), 100);
        assert_eq!(limit(Some("")).unwrap(), 100);
        assert_eq!(limit(Some("0")).unwrap(), 0);
        assert_eq!(limit(Some("7")).unwrap(), 7);
        assert_eq!(limit(Some("2147483647")).unwrap(), 1000);
        for (value, detail) in [
            ("-1", "Argument max-keys must be an integer between 0 and 2147483647"),
            ("2147483648", "Argument max-keys must be an integer between 0 and 2147483647"),
            ("blah", "Provided max-keys not an integer or within integer range"),
            ("1.5", "Provided max-keys not an integer or within integer range"),
        ] {
            let error = limit(Some(value)).unwrap_err();
            assert_eq!(error.condition, Condition::InvalidArgument);
            assert_eq!(error.detail.as_deref(), Some(detail), "{value}");
        }
    }

    #[test]
    fn url_encoding_keeps_slashes_and_writes_spaces_as_escapes() {
        let url = KeyEncoding::parse(Some("url")).unwrap();
        assert_eq!(url.apply("a b/c+d\né"), "a%20b/c%2Bd%0A%C3%A9");
        assert_eq!(KeyEncoding::parse(None).unwrap().apply("a b"), "a b");
        let error = KeyEncoding::parse(Some("base64")).unwrap_err();
        assert_eq!(error.condition, Condition::InvalidArgument);
    }
}
