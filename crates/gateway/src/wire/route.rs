//! Where an operation is found: method, target, and the query keys and headers it requires.

use actix_web::http::header::HeaderMap;

use model::policy::Action;

use super::{Entry, Query};
use crate::dialect::Dialect;

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    Service,
    Bucket,
    Object,
}

/// The protocols that have an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialects {
    S3,
    Oss,
    Both,
}

impl Dialects {
    pub const fn include(self, dialect: Dialect) -> bool {
        matches!(
            (self, dialect),
            (Self::Both, _) | (Self::S3, Dialect::S3) | (Self::Oss, Dialect::Oss)
        )
    }
}

/// Where an operation is found, and what it is called.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    pub method: &'static str,
    pub target: Target,
    pub name: &'static str,
    /// OSS's own name of it, when that differs.
    pub oss_name: Option<&'static str>,
    pub dialects: Dialects,
    /// Parameters that must be there, as `name` or `name=value`.
    pub query: &'static [&'static str],
    /// Headers that must be there, without `x-amz-` or `x-oss-`.
    pub headers: &'static [&'static str],
    /// Parameters it understands that are sub-resources elsewhere.
    pub takes: &'static [&'static str],
    /// What the caller must be allowed: the object that is written or named comes first, the source
    /// of a copy second. With a version id it is the action of [`Action::of_version`].
    pub actions: [Option<Action>; 2],
    /// What OSS asks for instead, where that differs.
    pub oss_action: Option<Action>,
    /// The client tests of it, per dialect.
    pub s3_test: Option<&'static str>,
    pub oss_test: Option<&'static str>,
}

impl Route {
    pub const fn new(method: &'static str, target: Target, name: &'static str) -> Self {
        Self {
            method,
            target,
            name,
            oss_name: None,
            dialects: Dialects::Both,
            query: &[],
            headers: &[],
            takes: &[],
            actions: [None, None],
            oss_action: None,
            s3_test: None,
            oss_test: None,
        }
    }

    /// Requires these query parameters.
    pub const fn query(mut self, query: &'static [&'static str]) -> Self {
        self.query = query;
        self
    }

    /// Requires this header: its name after `x-amz-` or `x-oss-`.
    pub const fn header(mut self, headers: &'static [&'static str]) -> Self {
        self.headers = headers;
        self
    }

    /// Understands these parameters, which are sub-resources elsewhere.
    pub const fn takes(mut self, takes: &'static [&'static str]) -> Self {
        self.takes = takes;
        self
    }

    /// Exists in one protocol only.
    pub const fn only(mut self, dialect: Dialect) -> Self {
        self.dialects = match dialect {
            Dialect::S3 => Dialects::S3,
            Dialect::Oss => Dialects::Oss,
        };
        self
    }

    /// OSS calls it by another name.
    pub const fn named(mut self, oss_name: &'static str) -> Self {
        self.oss_name = Some(oss_name);
        self
    }

    /// The caller must be allowed this.
    pub const fn needs(mut self, action: Action) -> Self {
        self.actions = match self.actions {
            [None, _] => [Some(action), None],
            [first, _] => [first, Some(action)],
        };
        self
    }

    /// In OSS, the caller must be allowed this instead.
    pub const fn needs_in_oss(mut self, action: Action) -> Self {
        self.oss_action = Some(action);
        self
    }

    /// What the caller must be allowed in a protocol.
    pub fn actions_in(&self, dialect: Dialect) -> Vec<Action> {
        match (dialect, self.oss_action) {
            (Dialect::Oss, Some(action)) => vec![action],
            _ => self.actions.into_iter().flatten().collect(),
        }
    }

    /// Names the client test of each dialect.
    pub const fn tested_by(mut self, s3: Option<&'static str>, oss: Option<&'static str>) -> Self {
        self.s3_test = s3;
        self.oss_test = oss;
        self
    }

    /// What `dialect` calls the operation.
    pub const fn name_in(&self, dialect: Dialect) -> &'static str {
        match (dialect, self.oss_name) {
            (Dialect::Oss, Some(name)) => name,
            _ => self.name,
        }
    }

    fn matches(&self, wanted: &Wanted<'_>) -> bool {
        self.method == wanted.method
            && self.target == wanted.target
            && self.dialects.include(wanted.dialect)
            && self.query.iter().all(|required| has(wanted.query, required))
            && self.headers.iter().all(|suffix| {
                let name = format!("{}{suffix}", wanted.dialect.header_prefix());
                wanted.headers.contains_key(name)
            })
    }

    /// The more is required, the more specific it is; parameters outweigh headers.
    fn specificity(&self) -> (usize, usize) {
        (self.query.len(), self.headers.len())
    }

    fn understands(&self, name: &str) -> bool {
        self.takes.contains(&name) || self.query.iter().any(|required| key(required) == name)
    }
}

/// What a request says of the operation it wants.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'w> {
    pub method: &'w str,
    pub target: Target,
    pub dialect: Dialect,
    pub query: &'w Query,
    pub headers: &'w HeaderMap,
}

/// What the table has for a request.
pub enum Found {
    Entry(&'static Entry),
    /// A sub-resource or parameter nobody here knows, or not together with the rest.
    Unknown(String),
    /// The sub-resource is known, the method is not one of its.
    Method,
}

/// Finds the most specific operation, so that the order of the table never matters.
///
/// A sub-resource the operation found does not require is refused: `DELETE ?publicAccessBlock`
/// must never be taken for `DELETE` of the bucket.
pub fn find(table: &'static [Entry], wanted: &Wanted<'_>) -> Found {
    let matching = table.iter().filter(|entry| entry.route.matches(wanted));
    let Some(entry) = matching.max_by_key(|entry| entry.route.specificity()) else {
        return unmatched(table, wanted);
    };
    for (name, value) in wanted.query.pairs() {
        if entry.route.understands(name) || is_plain(name) {
            continue;
        }
        match is_sub_resource(table, name) {
            true if entry.route.query.is_empty() => return unmatched(table, wanted),
            false if !value.is_empty() => {}
            _ => return Found::Unknown(name.clone()),
        }
    }
    Found::Entry(entry)
}

/// Tells a wrong method from a thing that is not known at all.
fn unmatched(table: &'static [Entry], wanted: &Wanted<'_>) -> Found {
    let mut unknown = wanted.query.pairs().iter().filter(|(name, _)| !is_plain(name));
    let Some((name, _)) = unknown.next() else { return Found::Method };
    let known = table.iter().any(|entry| {
        entry.route.target == wanted.target
            && entry.route.dialects.include(wanted.dialect)
            && entry.route.method != wanted.method
            && entry.route.understands(name)
    });
    if known { Found::Method } else { Found::Unknown(name.clone()) }
}

fn is_sub_resource(table: &[Entry], name: &str) -> bool {
    let required = table.iter().flat_map(|entry| entry.route.query);
    required.into_iter().any(|required| key(required) == name)
}

fn key(required: &str) -> &str {
    required.split_once('=').map_or(required, |(key, _)| key)
}

fn has(query: &Query, required: &str) -> bool {
    match required.split_once('=') {
        Some((key, value)) => query.get(key) == Some(value),
        None => query.has(required),
    }
}

/// Parameters that never name an operation: they say how, not what.
const PLAIN: &[&str] = &[
    "AWSAccessKeyId",
    "Expires",
    "OSSAccessKeyId",
    "Signature",
    "bucket-region",
    "continuation-token",
    "delimiter",
    "encoding-type",
    "fetch-owner",
    "key-marker",
    "marker",
    "max-buckets",
    "max-keys",
    "max-parts",
    "max-uploads",
    "part-number-marker",
    "prefix",
    "security-token",
    "start-after",
    "tag-key",
    "tag-value",
    "upload-id-marker",
    "version-id-marker",
    "versionId",
    "x-id",
];

/// The signatures' own parameters of OSS; `x-oss-process` and others do name operations.
const PLAIN_OSS: &[&str] = &[
    "x-oss-access-key-id",
    "x-oss-additional-headers",
    "x-oss-ac-forward-allow",
    "x-oss-ac-source-ip",
    "x-oss-ac-subnet-mask",
    "x-oss-ac-vpc-id",
    "x-oss-credential",
    "x-oss-date",
    "x-oss-expires",
    "x-oss-request-payer",
    "x-oss-security-token",
    "x-oss-signature",
    "x-oss-signature-version",
    "x-oss-traffic-limit",
];

fn is_plain(name: &str) -> bool {
    let begins = |prefix: &str| {
        name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    PLAIN.contains(&name)
        || PLAIN_OSS.contains(&name)
        || begins("x-amz-")
        || name.starts_with("response-")
}
