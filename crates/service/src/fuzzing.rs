//! Doors for the fuzz targets in `tests/fuzz`: built only with the feature `fuzzing`.
//!
//! Each panics when a promise is broken, and answers whether it came to a rare place.

use crate::entities::read_claims;

/// What a token of an identity provider says, as if its signature held.
pub fn claims(text: &str, now_ms: i64) -> bool {
    let Some(bearer) = read_claims(text, now_ms) else { return false };
    assert!((1..=255).contains(&bearer.subject.len()));
    let mut names: Vec<String> = bearer.facts.iter().map(|(name, _)| name.to_lowercase()).collect();
    assert!(names.iter().all(|name| name.starts_with("idp.example/x:")));
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "a claim is there twice");
    bearer.facts.iter().any(|(_, values)| values.len() > 1)
}
