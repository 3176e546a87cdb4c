//! Policies as they are written, and what must come of them.

mod arns;
mod conditions;
mod explained;
mod layers;
mod random;
mod reference;
mod refused;

use super::{Action, Context, Document, Facts, Kind, Layers, Principal, Resource, evaluate};
use crate::names::{AccountId, BucketName, ObjectKey};

pub fn account(id: &str) -> AccountId {
    AccountId::parse(id).expect("an id")
}

pub fn facts(principal: Principal) -> Facts {
    Facts { principal, ..Facts::system("", 1_700_000_000_000) }
}

pub fn root_of(id: &str) -> Facts {
    facts(Principal::Account(account(id)))
}

pub fn user(name: &str) -> Facts {
    let (account, name, id) = (account("111122223333"), name.to_owned(), format!("AIDA{name}"));
    facts(Principal::User { account, name, id })
}

pub fn bucket_policy(statements: &str) -> Document {
    let text = format!(r#"{{"Version": "2012-10-17", "Statement": [{statements}]}}"#);
    Document::parse(&text, Kind::Bucket).unwrap_or_else(|error| panic!("{error}: {text}"))
}

pub fn oss_policy(statements: &str) -> Document {
    let text = format!(r#"{{"Version": "1", "Statement": [{statements}]}}"#);
    Document::parse(&text, Kind::Bucket).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Decides a question about `bkt` of account 111122223333, or a key in it.
pub fn allowed(policy: &Document, facts: &Facts, action: Action, key: &str) -> bool {
    let (bucket, owner) = (BucketName::parse("bkt").expect("a name"), account("111122223333"));
    let key = ObjectKey::parse(key).ok();
    let resource = match &key {
        Some(key) => Resource::Object(&bucket, key),
        None => Resource::Bucket(&bucket),
    };
    let context = Context { owner: Some(&owner), ..Context::new(facts, action, resource) };
    let layers = Layers { resource: Some(policy), ..Layers::default() };
    evaluate(&layers, &context).is_allowed()
}

const ANYBODY: &str = r#""Effect": "Allow", "Principal": "*""#;

#[test]
fn a_public_read_lets_everybody_read_and_nothing_else() {
    let policy = bucket_policy(&format!(
        r#"{{{ANYBODY}, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bkt/pub/*"}}"#
    ));
    for who in [facts(Principal::Anonymous), root_of("999999999999"), user("ann")] {
        assert!(allowed(&policy, &who, Action::GetObject, "pub/a"), "{who:?}");
        assert!(!allowed(&policy, &who, Action::GetObject, "private"), "{who:?}");
        assert!(!allowed(&policy, &who, Action::PutObject, "pub/a"), "{who:?}");
        assert!(!allowed(&policy, &who, Action::ListBucket, ""), "{who:?}");
    }
    let owner = root_of("111122223333");
    assert!(allowed(&policy, &owner, Action::PutObject, "private"));
    assert!(!allowed(&policy, &facts(Principal::System("w")), Action::GetObject, "pub/a"));
}

#[test]
fn an_account_is_named_in_three_ways() {
    for word in ["222222222222", "arn:aws:iam::222222222222:root"] {
        let policy = bucket_policy(&format!(
            r#"{{"Effect": "Allow", "Principal": {{"AWS": ["{word}"]}},
                "Action": "s3:*", "Resource": ["arn:aws:s3:::bkt", "arn:aws:s3:::bkt/*"]}}"#
        ));
        assert!(allowed(&policy, &root_of("222222222222"), Action::PutObject, "k"));
        assert!(allowed(&policy, &root_of("222222222222"), Action::ListBucket, ""));
        assert!(!allowed(&policy, &root_of("333333333333"), Action::PutObject, "k"));
        assert!(!allowed(&policy, &facts(Principal::Anonymous), Action::PutObject, "k"));
    }
    let policy = bucket_policy(
        r#"{"Effect": "Allow", "Principal": {"CanonicalUser": "ab12"},
            "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bkt/*"}"#,
    );
    let canonical = |id: &str| Facts { canonical_id: Some(id.into()), ..root_of("222222222222") };
    assert!(allowed(&policy, &canonical("ab12"), Action::GetObject, "k"));
    assert!(!allowed(&policy, &canonical("ab13"), Action::GetObject, "k"));
}

#[test]
fn a_deny_wins_whatever_the_order_and_binds_the_owner() {
    let allow = format!(r#"{{{ANYBODY}, "Action": "s3:*", "Resource": "arn:aws:s3:::bkt/*"}}"#);
    let deny = r#"{"Effect": "Deny", "Principal": "*", "Action": "s3:Delete*",
                   "Resource": "arn:aws:s3:::bkt/*"}"#;
    for statements in [format!("{allow}, {deny}"), format!("{deny}, {allow}")] {
        let policy = bucket_policy(&statements);
        for who in [root_of("111122223333"), facts(Principal::Anonymous)] {
            assert!(!allowed(&policy, &who, Action::DeleteObject, "k"));
            assert!(allowed(&policy, &who, Action::GetObject, "k"));
        }
    }
}

#[test]
fn the_owner_is_never_locked_out_of_the_policy() {
    let policy = bucket_policy(
        r#"{"Effect": "Deny", "Principal": "*", "Action": "s3:*",
            "Resource": ["arn:aws:s3:::bkt", "arn:aws:s3:::bkt/*"]}"#,
    );
    let owner = root_of("111122223333");
    for action in [Action::GetBucketPolicy, Action::PutBucketPolicy, Action::DeleteBucketPolicy] {
        assert!(allowed(&policy, &owner, action, ""));
        assert!(!allowed(&policy, &user("ann"), action, ""));
        assert!(!allowed(&policy, &root_of("222222222222"), action, ""));
    }
    assert!(!allowed(&policy, &owner, Action::ListBucket, ""));
}

#[test]
fn not_principal_spares_those_it_names() {
    let policy = bucket_policy(
        r#"{"Effect": "Deny", "NotPrincipal": {"AWS": "222222222222"}, "Action": "s3:GetObject",
            "Resource": "arn:aws:s3:::bkt/*"},
           {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
            "Resource": "arn:aws:s3:::bkt/*"}"#,
    );
    assert!(allowed(&policy, &root_of("222222222222"), Action::GetObject, "k"));
    for who in [root_of("111122223333"), root_of("3"), facts(Principal::Anonymous), user("ann")] {
        assert!(!allowed(&policy, &who, Action::GetObject, "k"), "{who:?}");
    }
}

#[test]
fn not_action_and_not_resource_are_about_the_rest() {
    let policy = bucket_policy(&format!(
        r#"{{{ANYBODY}, "NotAction": "s3:Delete*", "NotResource": "arn:aws:s3:::bkt/secret/*"}}"#
    ));
    let anybody = facts(Principal::Anonymous);
    assert!(allowed(&policy, &anybody, Action::GetObject, "k"));
    assert!(allowed(&policy, &anybody, Action::ListBucket, ""));
    assert!(!allowed(&policy, &anybody, Action::DeleteObject, "k"));
    assert!(!allowed(&policy, &anybody, Action::GetObject, "secret/k"));
}

#[test]
fn variables_stand_for_what_is_known_of_the_request() {
    let statement = |resource: &str| {
        bucket_policy(&format!(
            r#"{{{ANYBODY}, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bkt/{resource}"}}"#
        ))
    };
    let own = statement("home/${aws:username}/*");
    assert!(allowed(&own, &user("ann"), Action::GetObject, "home/ann/x"));
    assert!(!allowed(&own, &user("ben"), Action::GetObject, "home/ann/x"));
    assert!(!allowed(&own, &user("*"), Action::GetObject, "home/ann/x"), "no wildcard comes in");
    let anybody = facts(Principal::Anonymous);
    assert!(!allowed(&own, &anybody, Action::GetObject, "home//x"));
    let default = statement("home/${aws:username, 'all'}/*");
    assert!(allowed(&default, &anybody, Action::GetObject, "home/all/x"));
    let literal = statement("a${*}b${$}");
    assert!(allowed(&literal, &anybody, Action::GetObject, "a*b$"));
    assert!(!allowed(&literal, &anybody, Action::GetObject, "axb$"));
    let old = r#"{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
                  "Resource": "arn:aws:s3:::bkt/${aws:username}"}}"#;
    let old = Document::parse(old, Kind::Bucket).expect("a policy");
    assert!(allowed(&old, &anybody, Action::GetObject, "${aws:username}"));
}

#[test]
fn oss_policies_have_words_of_their_own() {
    let policy = oss_policy(
        r#"{"Effect": "Allow", "Principal": ["222222222222"],
            "Action": ["oss:GetObject", "oss:ListObjects"],
            "Resource": ["acs:oss:*:111122223333:bkt", "acs:oss:*:*:bkt/a*"]}"#,
    );
    let friend = root_of("222222222222");
    assert!(allowed(&policy, &friend, Action::GetObject, "a1"));
    assert!(allowed(&policy, &friend, Action::ListBucket, ""));
    assert!(!allowed(&policy, &friend, Action::GetObject, "b1"));
    assert!(!allowed(&policy, &facts(Principal::Anonymous), Action::GetObject, "a1"));
    let everybody = oss_policy(
        r#"{"Effect": "Deny", "Principal": [], "Action": ["oss:*"],
            "Resource": ["acs:oss:*:*:bkt/*"]}"#,
    );
    assert!(allowed(&everybody, &root_of("111122223333"), Action::GetObject, "k"));
    assert!(!allowed(&everybody, &friend, Action::GetObject, "k"));
    let here = oss_policy(
        r#"{"Effect": "Deny", "Principal": ["*"], "Action": ["oss:*"],
            "Resource": ["acs:oss:*:*:bkt/*"],
            "Condition": {"Bool": {"acs:SecureTransport": "true"}}}"#,
    );
    assert!(!allowed(&here, &root_of("111122223333"), Action::GetObject, "k"));
}
