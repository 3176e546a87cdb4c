//! Signatures of every scheme: right ones hold, changed and made-up ones do not.

use model::Condition;

use crate::signature::{
    Scheme,
    testing::{ALL, Sample},
};

fn sample(method: &str, host: &str, target: &str, headers: &[(&str, &str)]) -> Sample {
    headers
        .iter()
        .fold(Sample::new(method, host, target), |sample, (name, value)| sample.header(name, value))
}

/// A request whose signature nobody made who knew the secret.
pub fn garbage_signature(method: &str, host: &str, target: &str, headers: &[(&str, &str)]) {
    let sample = sample(method, host, target, headers);
    let Ok(Some(claim)) = sample.claim() else { return };
    let verified = sample.verify();
    assert!(verified.is_err(), "{claim:?} verified as {verified:?}");
}

/// A request that is signed, holds, is changed, and must not hold any more.
///
/// - `kind`: which scheme, and whether in the URL.
/// - `change`: a place in path and query, and the character that comes there.
pub fn signature(
    kind: u8,
    (method, host, target): (&str, &str, &str),
    headers: &[(&str, &str)],
    change: (u16, u8),
) -> bool {
    let Some((scheme, presigned)) = ALL.get(usize::from(kind) % ALL.len()).copied() else {
        return false;
    };
    let Ok(right) = sample(method, host, target, headers).try_sign(scheme, presigned) else {
        return false;
    };
    if let Err(refusal) = right.verify() {
        assert_ne!(refusal.condition, Condition::SignatureDoesNotMatch, "{refusal:?} {right:?}");
        return false;
    }
    let changed = changed(&right, change, matches!(scheme, Scheme::S3V4 | Scheme::OssV4));
    assert!(right.means(&changed) || changed.is_refused(), "{scheme:?} {right:?} {changed:?}");
    let other = Sample { method: format!("{method}S"), ..right.clone() };
    assert!(other.is_refused(), "{scheme:?} another method");
    scheme == Scheme::OssV4 && presigned && target.contains("%2f")
}

/// With one character of the path, or also of the query, replaced.
fn changed(right: &Sample, (at, with): (u16, u8), also_query: bool) -> Sample {
    let (mut changed, with) = (right.clone(), char::from(b' ' + 1 + with % 94).to_string());
    let mut at = usize::from(at);
    let (path, query) = (right.path.chars().count(), right.query.chars().count());
    let text = if !also_query || at % (path + query) < path {
        at %= path;
        &mut changed.path
    } else {
        at = at % (path + query) - path;
        &mut changed.query
    };
    if let Some((start, old)) = text.char_indices().nth(at) {
        text.replace_range(start..start + old.len_utf8(), &with);
    }
    changed
}
