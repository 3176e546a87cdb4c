//! Users, groups, roles and managed policies as resources, and taking on a role.

use std::sync::Arc;

use super::{account, facts, root_of, user};
use crate::{
    names::BucketName,
    policy::{
        Action, Context, Document, Facts, Kind, Layers, Principal, Resource, assume, evaluate,
    },
};

const OWN: &str = "111122223333";
const ROLE: &str = "arn:aws:iam::111122223333:role/reader";

fn identity(effect: &str, action: &str, resource: &str) -> Arc<Document> {
    let text = format!(
        r#"{{"Version": "2012-10-17", "Statement":
            {{"Effect": "{effect}", "Action": "{action}", "Resource": "{resource}"}}}}"#
    );
    Arc::new(Document::parse(&text, Kind::Identity).expect("a policy"))
}

fn trust(principal: &str) -> Document {
    let text = format!(
        r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow",
            "Principal": {{"AWS": "{principal}"}}, "Action": "sts:AssumeRole"}}}}"#
    );
    Document::parse(&text, Kind::Trust).expect("a policy")
}

fn allowed(document: &Arc<Document>, action: Action, resource: Resource<'_>) -> bool {
    let (ann, owner) = (user("ann"), account(OWN));
    let context = Context { owner: Some(&owner), ..Context::new(&ann, action, resource) };
    let identity = std::slice::from_ref(document);
    evaluate(&Layers { identity, ..Layers::default() }, &context).is_allowed()
}

#[test]
fn resources_of_iam_are_whole_arns_and_those_of_s3_are_not_among_them() {
    let bob = "arn:aws:iam::111122223333:user/team/bob";
    for (resource, expected) in [
        ("*", true),
        ("arn:aws:iam::111122223333:user/*", true),
        ("arn:aws:iam::*:user/team/bob", true),
        ("arn:aws:iam::111122223333:user/bob", false),
        ("arn:aws:iam::111122223333:group/*", false),
        ("arn:aws:s3:::*", false),
    ] {
        let document = identity("Allow", "iam:*", resource);
        assert_eq!(allowed(&document, Action::GetUser, Resource::Arn(bob)), expected, "{resource}");
        assert!(!allowed(&document, Action::AssumeRole, Resource::Arn(ROLE)), "{resource}");
    }
}

#[test]
fn an_arn_that_leaves_the_service_open_means_buckets_too() {
    let bucket = BucketName::parse("bkt").expect("a name");
    for (resource, expected) in [
        ("arn:aws:*:::bkt", true),
        ("arn:*:s3:::bkt", true),
        ("arn:aws:*:::other", false),
        ("arn:aws:iam::*:*", false),
    ] {
        let document = identity("Allow", "s3:*", resource);
        let found = allowed(&document, Action::ListBucket, Resource::Bucket(&bucket));
        assert_eq!(found, expected, "{resource}");
    }
    let named = identity("Allow", "s3:CreateBucket", "arn:aws:s3:::bk*");
    assert!(allowed(&named, Action::CreateBucket, Resource::New(&bucket)));
    let other = identity("Allow", "s3:CreateBucket", "arn:aws:s3:::other");
    assert!(!allowed(&other, Action::CreateBucket, Resource::New(&bucket)));
}

#[test]
fn what_concerns_the_whole_store_no_user_may() {
    let everything = identity("Allow", "*", "*");
    for action in [Action::AdminAccounts, Action::AdminStore] {
        assert!(!allowed(&everything, action, Resource::Service));
    }
}

/// Whether the role of [`OWN`] is taken on: with its trust, and the caller's own policies.
fn assumes(trust: &Document, facts: &Facts, identity: &[Arc<Document>]) -> bool {
    let owner = account(OWN);
    let context = Context::new(facts, Action::AssumeRole, Resource::Arn(ROLE));
    let layers = Layers { identity, resource: Some(trust), ..Layers::default() };
    assume(&layers, &Context { owner: Some(&owner), ..context }).is_allowed()
}

#[test]
fn a_role_is_taken_on_by_whom_it_trusts_and_who_may() {
    let may = [identity("Allow", "sts:AssumeRole", ROLE)];
    let deny = [identity("Deny", "sts:AssumeRole", "*")];
    let named = trust("arn:aws:iam::111122223333:user/ann");
    let (whole, other) = (trust(OWN), trust("222222222222"));
    let ann = user("ann");
    assert!(assumes(&named, &ann, &[]) && !assumes(&named, &ann, &deny));
    assert!(!assumes(&whole, &ann, &[]) && assumes(&whole, &ann, &may));
    assert!(!assumes(&other, &ann, &may), "the role does not trust her");
    assert!(assumes(&whole, &root_of(OWN), &[]) && !assumes(&other, &root_of(OWN), &[]));
    let stranger = facts(Principal::User {
        account: account("222222222222"),
        name: "eve".into(),
        id: "AIDAEVE".into(),
    });
    let eve = trust("arn:aws:iam::222222222222:user/eve");
    assert!(!assumes(&eve, &stranger, &[]), "her own account must let her go");
    assert!(assumes(&eve, &stranger, &may));
    assert!(!assumes(&whole, &facts(Principal::Anonymous), &[]));
}
