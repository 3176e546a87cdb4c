//! Listing objects, versions and uploads: everything at once, then cut into pages.

use std::collections::BTreeSet;

use model::{UploadId, listing::Question};

use super::{Model, Moment, rules};
use crate::operation::{Answer, Name, Outcome, Page};

/// What a listing shows: an entry of a key, or what keys have in common.
#[derive(Clone)]
enum Item<T> {
    Entry(String, T),
    Prefix(String),
}

/// Folds entries, in order of key, into pages.
fn list<T: Clone>(question: &Question, entries: Vec<(String, T)>) -> Vec<Page<T>> {
    let Question { prefix, delimiter, after, limit } = question;
    let mut folded = BTreeSet::new();
    let mut items = Vec::new();
    for (key, entry) in entries {
        if !key.starts_with(prefix.as_str()) || key <= *after {
            continue;
        }
        let rest = &key[prefix.len()..];
        match rest.split_once(delimiter.as_str()).filter(|_| !delimiter.is_empty()) {
            Some((first, _)) => {
                let common = format!("{prefix}{first}{delimiter}");
                if common > *after && folded.insert(common.clone()) {
                    items.push(Item::Prefix(common));
                }
            }
            None => items.push(Item::Entry(key, entry)),
        }
    }
    let split = |items: Vec<Item<T>>| {
        let mut page = Page { entries: Vec::new(), prefixes: Vec::new() };
        for item in items {
            match item {
                Item::Entry(key, entry) => page.entries.push((key, entry)),
                Item::Prefix(prefix) => page.prefixes.push(prefix),
            }
        }
        page
    };
    rules::pages(items, *limit).into_iter().map(split).collect()
}

impl Model {
    pub(super) fn list_objects(&self, name: Name, question: &Question, at: &Moment<'_>) -> Outcome {
        let bucket = self.bucket(name, at)?;
        let current = bucket.keys.keys().filter_map(|key| {
            let version = bucket.current(key)?;
            Some((key.to_string(), (version.sight.clone(), true)))
        });
        Ok(Answer::Listed(list(question, current.collect())))
    }

    pub(super) fn list_versions(
        &self,
        name: Name,
        question: &Question,
        at: &Moment<'_>,
    ) -> Outcome {
        let bucket = self.bucket(name, at)?;
        let all = bucket.keys.iter().flat_map(|(key, versions)| {
            let versions = versions.iter().enumerate();
            versions.map(|(index, version)| (key.to_string(), (version.sight.clone(), index == 0)))
        });
        Ok(Answer::Listed(list(question, all.collect())))
    }

    pub(super) fn list_uploads(&self, name: Name, question: &Question, at: &Moment<'_>) -> Outcome {
        let bucket = self.bucket(name, at)?;
        let all: Vec<(String, UploadId)> =
            bucket.uploads.keys().map(|(key, id)| (key.to_string(), *id)).collect();
        Ok(Answer::Uploads(list(question, all)))
    }
}
