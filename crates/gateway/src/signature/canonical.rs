//! Pieces of signed texts that several schemes share.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use super::SignedRequest;
use crate::encoding::encode;

/// How the value of a header is written down.
#[derive(Clone, Copy)]
pub(super) enum Blanks {
    /// Blanks at both ends are cut.
    Trimmed,
    /// And runs of blanks inside become one space.
    Folded,
}

/// All values of a header, joined by commas; `None` when it was not sent.
pub(super) fn header(request: &SignedRequest, name: &str, blanks: Blanks) -> Option<Vec<u8>> {
    let values: Vec<Vec<u8>> = request
        .headers
        .get_all(name)
        .map(|value| match blanks {
            Blanks::Trimmed => value.as_bytes().trim_ascii().to_vec(),
            Blanks::Folded => folded(value.as_bytes()),
        })
        .collect();
    if values.is_empty() {
        let host = name == "host" && !request.address.host.is_empty();
        return host.then(|| request.address.host.as_bytes().to_vec());
    }
    Some(values.join(&b','))
}

/// The single value of a header, or nothing.
pub(super) fn plain(request: &SignedRequest, name: &str) -> Vec<u8> {
    header(request, name, Blanks::Trimmed).unwrap_or_default()
}

/// The value of a header that has to be text.
pub(super) fn text<'a>(request: &SignedRequest<'a>, name: &str) -> Option<&'a str> {
    request.headers.get(name).map(|value| value.to_str().unwrap_or("\u{fffd}").trim())
}

/// The names of all headers that begin with `prefix`, sorted.
pub(super) fn names(request: &SignedRequest, prefix: &str) -> BTreeSet<String> {
    let names = request.headers.keys().map(|name| name.as_str());
    names.filter(|name| name.starts_with(prefix)).map(str::to_owned).collect()
}

/// `name:value\n` for each of `names` that was sent.
pub(super) fn header_lines(
    request: &SignedRequest,
    names: &BTreeSet<String>,
    blanks: Blanks,
) -> Vec<u8> {
    let mut lines = Vec::new();
    for name in names {
        if let Some(value) = header(request, name, blanks) {
            line(&mut lines, name, &value);
        }
    }
    lines
}

/// Adds `name:value\n`.
pub(super) fn line(lines: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b":", value, b"\n"] {
        lines.extend_from_slice(part);
    }
}

/// All parameters but `left_out`, escaped and sorted by name, then value.
///
/// - `bare`: whether an empty value is written without its `=`, as OSS does.
pub(super) fn query(pairs: &[(String, String)], left_out: Option<&str>, bare: bool) -> String {
    let kept = pairs.iter().filter(|(name, _)| Some(name.as_str()) != left_out);
    let mut pairs: Vec<_> = kept.map(|(name, value)| (encode(name), encode(value))).collect();
    pairs.sort_unstable();
    joined(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())), bare)
}

/// `name=value&…`
pub(super) fn joined<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>, bare: bool) -> String {
    let written = pairs.map(|(name, value)| {
        if bare && value.is_empty() { name.to_owned() } else { format!("{name}={value}") }
    });
    written.collect::<Vec<_>>().join("&")
}

/// Reads `a;b;c` as lower-case names.
pub(super) fn name_list(text: &str) -> BTreeSet<String> {
    let names = text.split(';').map(|name| name.trim().to_ascii_lowercase());
    names.filter(|name| !name.is_empty()).collect()
}

/// `a;b;c`
pub(super) fn name_text(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(";")
}

/// The first value of a parameter.
pub(super) fn parameter<'a>(pairs: &'a [(String, String)], wanted: &str) -> Option<&'a str> {
    pairs.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
}

pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn folded(value: &[u8]) -> Vec<u8> {
    let words = value.split(|byte| matches!(byte, b' ' | b'\t'));
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(&b' ')
}
