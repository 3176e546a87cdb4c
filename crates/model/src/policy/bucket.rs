//! What holds for the policies of buckets: what they may name, and when they are public.
//!
//! Sources: S3 "Bucket policies" and "The meaning of public" of "Blocking public access".

use ipnet::IpNet;

use super::{
    Action, Document, Effect, Statement, Who,
    action::Level,
    condition::{Condition, Quantifier, Test},
    keys::Key,
    principals::Principals,
    wildcard::Pattern,
};
use crate::names::BucketName;

/// Checks that the policy is about this bucket only, and that all it says can be enforced.
///
/// # Errors
/// What cannot stand in the policy of a bucket, in words for whoever wrote it.
pub fn check(document: &Document, bucket: &BucketName) -> Result<(), String> {
    for statement in &document.statements {
        if let Some(word) = statement.unknown_actions.first() {
            return Err(format!("Policy has invalid action: {word}"));
        }
        for condition in &statement.conditions {
            if let Key::Unknown(name) = &condition.key {
                return Err(format!("Policy has an invalid condition key: {name}"));
            }
        }
        if statement.asks_object_tags() && !statement.actions.iter().any(Action::sees_object_tags) {
            let never = "Conditions do not apply to combination of actions and resources in \
                         statement";
            return Err(never.to_owned());
        }
        if let Some(name) = statement.unknown_variable() {
            return Err(format!("Policy has an invalid policy variable: {name}"));
        }
        check_principals(statement)?;
        check_resources(statement, bucket)?;
    }
    Ok(())
}

fn check_principals(statement: &Statement) -> Result<(), String> {
    for who in statement.named() {
        // Services of the cloud never come here; whether the others exist is seen elsewhere.
        if let Who::Federated(name) = who {
            let stranger = format!("there is no identity provider {name}");
            return Err(format!("Invalid principal in policy: {stranger}"));
        }
    }
    let negated = matches!(statement.principals, Principals::AllBut(_));
    if negated && statement.effect == Effect::Allow {
        return Err("Allow with NotPrincipal is not supported".to_owned());
    }
    Ok(())
}

fn check_resources(statement: &Statement, bucket: &BucketName) -> Result<(), String> {
    let resources = &statement.resources;
    if let Some(strange) = resources.patterns.iter().find(|it| !may_be_within(it, bucket)) {
        return Err(format!("Policy has invalid resource: {}…", strange.start()));
    }
    if resources.everything || resources.negated || statement.actions.is_empty() {
        return Ok(());
    }
    let levels = |wanted: Level| statement.actions.iter().any(|it| it.level() == wanted);
    let is_object = |pattern: &Pattern| pattern.start().contains('/') || !pattern.is_fixed();
    let is_bucket = |pattern: &Pattern| !pattern.start().contains('/');
    let fits = levels(Level::Object) && resources.patterns.iter().any(is_object)
        || levels(Level::Bucket) && resources.patterns.iter().any(is_bucket);
    if fits { Ok(()) } else { Err("Action does not apply to any resource(s) in statement".into()) }
}

/// Whether a pattern can match the bucket or something in it.
fn may_be_within(pattern: &Pattern, bucket: &BucketName) -> bool {
    let (start, bucket) = (pattern.start(), bucket.as_str());
    match start.split_once('/') {
        Some((name, _)) => name == bucket,
        None if pattern.is_fixed() => start == bucket,
        None => bucket.starts_with(start),
    }
}

impl Statement {
    fn unknown_variable(&self) -> Option<&str> {
        let texts = self.conditions.iter().flat_map(|condition| condition.test.patterns());
        texts.chain(&self.resources.patterns).find_map(Pattern::unknown_variable)
    }
}

/// Whether a policy lets in people who are not named: as S3 defines "public".
pub fn is_public(document: &Document) -> bool {
    document.statements.iter().any(|statement| {
        statement.effect == Effect::Allow
            && !statement.actions.is_empty()
            && statement.principals.is_everybody()
            && !statement.conditions.iter().any(narrows)
    })
}

/// Whether a condition limits everybody to fixed people or places.
fn narrows(condition: &Condition) -> bool {
    if condition.negated || condition.if_exists || condition.quantifier == Quantifier::All {
        return false;
    }
    match (&condition.key, &condition.test) {
        (Key::SourceIp, Test::Address(networks)) => networks.iter().all(is_narrow),
        (
            Key::UserId | Key::PrincipalArn | Key::PrincipalAccount | Key::EncryptionKey,
            Test::Text { patterns, .. },
        ) => patterns.iter().all(Pattern::is_fixed),
        (Key::PrincipalArn, Test::Arn(patterns)) => {
            patterns.iter().all(|arn| arn.0.iter().all(Pattern::is_fixed))
        }
        _ => false,
    }
}

/// S3 takes networks wider than these for everybody.
fn is_narrow(network: &IpNet) -> bool {
    match network {
        IpNet::V4(network) => network.prefix_len() >= 8,
        IpNet::V6(network) => network.prefix_len() >= 32,
    }
}
