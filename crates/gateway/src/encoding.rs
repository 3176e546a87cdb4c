//! Percent encoding of paths and queries, the one way all signatures and addresses use.
//!
//! A `+` is a space in a query and a plus in a path, in both protocols.

use model::Condition;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use crate::signature::Refusal;

/// Everything but `A-Za-z0-9-._~` is escaped.
///
/// Source: RFC 3986, section 2.3; "Create a signed AWS API request", `UriEncode`.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

const RESERVED_BUT_SLASH: &AsciiSet = &RESERVED.remove(b'/');

/// Escapes everything but unreserved characters, slashes too.
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    percent_encode(bytes.as_ref(), RESERVED).to_string()
}

/// Escapes everything but unreserved characters and `/`.
pub fn encode_path(bytes: impl AsRef<[u8]>) -> String {
    percent_encode(bytes.as_ref(), RESERVED_BUT_SLASH).to_string()
}

/// Undoes percent escapes exactly once.
///
/// # Errors
/// [`Condition::InvalidUri`] when a `%` is not followed by two hexadecimal digits, or the result is
/// not UTF-8.
pub fn decode(raw: &str) -> Result<String, Refusal> {
    decoded(raw, false)
}

/// The parameters of a raw query (without its `?`), in the order sent, decoded once.
///
/// `acl`, `acl=` and `acl&` mean the same: a parameter with an empty value. Empty parts are
/// dropped.
///
/// # Errors
/// As [`decode`].
pub fn query_pairs(raw_query: &str) -> Result<Vec<(String, String)>, Refusal> {
    let parts = raw_query.split('&').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            Ok((decoded(name, true)?, decoded(value, true)?))
        })
        .collect()
}

fn decoded(raw: &str, plus_is_space: bool) -> Result<String, Refusal> {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => escaped(rest.next(), rest.next()).ok_or_else(unreadable)?,
            b'+' if plus_is_space => b' ',
            _ => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| unreadable())
}

fn escaped(high: Option<u8>, low: Option<u8>) -> Option<u8> {
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}

fn unreadable() -> Refusal {
    Refusal::new(Condition::InvalidUri, "Couldn't parse the specified URI.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_exactly_once() {
        assert_eq!(decode("a%2520b+c%2f%E2%82%AC").unwrap(), "a%20b+c/€");
    }

    #[test]
    fn broken_escapes_and_broken_utf8_are_refused() {
        for raw in ["%", "%4", "%zz", "%+1", "%C0%AF", "%FF", "a%ED%A0%80"] {
            assert_eq!(decode(raw).unwrap_err().condition, Condition::InvalidUri, "{raw}");
        }
    }

    #[test]
    fn valueless_parameters_are_empty_and_plus_is_a_space() {
        let pairs = query_pairs("acl&prefix=&a+b=c%2Bd+e&&x=1=2").unwrap();
        let expected = [("acl", ""), ("prefix", ""), ("a b", "c+d e"), ("x", "1=2")];
        assert_eq!(pairs, expected.map(|(name, value)| (name.into(), value.into())));
    }

    #[test]
    fn only_unreserved_characters_stay() {
        assert_eq!(encode("a-._~/ +é*"), "a-._~%2F%20%2B%C3%A9%2A");
        assert_eq!(encode_path("/a b/"), "/a%20b/");
    }
}
