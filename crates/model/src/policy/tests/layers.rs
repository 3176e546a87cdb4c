//! How the layers go together, within an account and across accounts.

use std::sync::Arc;

use super::{account, bucket_policy, facts, root_of, user};
use crate::{
    names::{BucketName, ObjectKey},
    policy::{
        Action, Context, Decision, Document, Facts, Kind, Layer, Layers, Principal, Resource,
        evaluate, might_allow,
    },
};

const OWN: &str = "111122223333";
const OTHER: &str = "222222222222";

fn identity(effect: &str, action: &str) -> Arc<Document> {
    let text = format!(
        r#"{{"Version": "2012-10-17",
            "Statement": {{"Effect": "{effect}", "Action": "{action}", "Resource": "*"}}}}"#
    );
    Arc::new(Document::parse(&text, Kind::Identity).expect("a policy"))
}

fn naming(principal: &str) -> Document {
    bucket_policy(&format!(
        r#"{{"Effect": "Allow", "Principal": {{"AWS": "{principal}"}}, "Action": "s3:GetObject",
            "Resource": "arn:aws:s3:::bkt/*"}}"#
    ))
}

/// Decides a read in a bucket of `owner`.
fn read(layers: &Layers<'_>, facts: &Facts, owner: &str) -> Decision {
    let bucket = BucketName::parse("bkt").expect("a name");
    let (key, owner) = (ObjectKey::parse("k").expect("a key"), account(owner));
    let context = Context::new(facts, Action::GetObject, Resource::Object(&bucket, &key));
    evaluate(layers, &Context { owner: Some(&owner), ..context })
}

/// Decides a read of an object of [`OTHER`] in a bucket of [`OWN`].
fn read_others(layers: &Layers<'_>, facts: &Facts) -> Decision {
    let bucket = BucketName::parse("bkt").expect("a name");
    let (key, owner, other) = (ObjectKey::parse("k").expect("a key"), account(OWN), account(OTHER));
    let context = Context::new(facts, Action::GetObject, Resource::Object(&bucket, &key));
    let (owner, object_owner) = (Some(&owner), Some(&other));
    evaluate(layers, &Context { owner, object_owner, ..context })
}

fn session() -> Facts {
    facts(Principal::Session {
        account: account(OWN),
        role: "path/reader".into(),
        role_id: "AROAX".into(),
        session: "s1".into(),
    })
}

#[test]
fn a_user_needs_an_allow_and_no_deny() {
    let (allow, deny) = (identity("Allow", "s3:*"), identity("Deny", "s3:GetObject"));
    let ann = user("ann");
    let with = |documents: &[Arc<Document>]| {
        read(&Layers { identity: documents, ..Layers::default() }, &ann, OWN)
    };
    assert_eq!(with(&[]), Decision::NotAllowed(Layer::Identity));
    assert!(with(std::slice::from_ref(&allow)).is_allowed());
    assert!(matches!(with(&[allow, deny]), Decision::Denied(Layer::Identity, _)));
}

#[test]
fn a_boundary_and_a_session_only_take_away() {
    let (all, puts) = (identity("Allow", "s3:*"), identity("Allow", "s3:Put*"));
    let ann = user("ann");
    let identity = [all.clone()];
    let bounded = Layers { identity: &identity, boundary: Some(&puts), ..Layers::default() };
    assert_eq!(read(&bounded, &ann, OWN), Decision::NotAllowed(Layer::Boundary));
    let wide = Layers { identity: &[], boundary: Some(&all), ..Layers::default() };
    assert_eq!(read(&wide, &ann, OWN), Decision::NotAllowed(Layer::Identity));
    for (session, expected) in
        [(&[puts][..], false), (&[], false), (std::slice::from_ref(&all), true)]
    {
        let layers = Layers { identity: &identity, session: Some(session), ..Layers::default() };
        assert_eq!(read(&layers, &self::session(), OWN).is_allowed(), expected);
    }
}

/// Naming the account leaves it to the account; naming the user, or everybody, does not.
#[test]
fn within_an_account_the_bucket_policy_may_allow_alone() {
    let ann = user("ann");
    for (principal, expected) in [
        (OWN, false),
        ("arn:aws:iam::111122223333:user/ann", true),
        ("arn:aws:iam::111122223333:user/ben", false),
        ("*", true),
    ] {
        let policy = naming(principal);
        let layers = Layers { resource: Some(&policy), ..Layers::default() };
        assert_eq!(read(&layers, &ann, OWN).is_allowed(), expected, "{principal}");
    }
}

#[test]
fn limits_do_not_bind_whom_the_bucket_policy_names_itself() {
    let puts = identity("Allow", "s3:Put*");
    let puts = [puts];
    for (principal, expected) in [
        ("arn:aws:sts::111122223333:assumed-role/reader/s1", true),
        ("arn:aws:sts::111122223333:assumed-role/reader/s2", false),
        ("arn:aws:iam::111122223333:role/path/reader", false),
        ("*", false),
    ] {
        let policy = naming(principal);
        let layers = Layers { session: Some(&puts), resource: Some(&policy), ..Layers::default() };
        assert_eq!(read(&layers, &session(), OWN).is_allowed(), expected, "{principal}");
    }
    let role = naming("arn:aws:iam::111122223333:role/path/reader");
    let layers = Layers { resource: Some(&role), ..Layers::default() };
    assert!(read(&layers, &session(), OWN).is_allowed());
    let (policy, boundary) = (naming("arn:aws:iam::111122223333:user/ann"), &puts[0]);
    let layers = Layers { boundary: Some(boundary), resource: Some(&policy), ..Layers::default() };
    assert!(read(&layers, &user("ann"), OWN).is_allowed());
    let deny = identity("Deny", "s3:*");
    let denied = Layers { boundary: Some(&deny), ..layers };
    assert!(matches!(read(&denied, &user("ann"), OWN), Decision::Denied(Layer::Boundary, _)));
}

#[test]
fn across_accounts_both_sides_must_allow() {
    let allow = [identity("Allow", "s3:*")];
    for (principal, documents, expected) in [
        (OWN, &allow[..], true),
        (OWN, &[], false),
        ("*", &[], false),
        ("arn:aws:iam::111122223333:user/ann", &[], false),
        ("arn:aws:iam::111122223333:user/ann", &allow[..], true),
        ("333333333333", &allow[..], false),
    ] {
        let policy = naming(principal);
        let layers = Layers { identity: documents, resource: Some(&policy), ..Layers::default() };
        assert_eq!(read(&layers, &user("ann"), OTHER).is_allowed(), expected, "{principal}");
    }
    let none = Layers { identity: &allow, ..Layers::default() };
    assert_eq!(read(&none, &user("ann"), OTHER), Decision::NotAllowed(Layer::Resource));
    let policy = naming(OWN);
    let layers = Layers { resource: Some(&policy), ..Layers::default() };
    assert!(read(&layers, &root_of(OWN), OTHER).is_allowed(), "an account needs no policies");
}

/// Source: S3 "How Amazon S3 authorizes a request for an object operation".
#[test]
fn an_object_of_another_account_is_not_the_bucket_owners_to_give() {
    let (all, none) = ([identity("Allow", "s3:*")], []);
    let (public, deny) = (naming("*"), identity("Deny", "s3:GetObject"));
    let id = "AIDAben".to_owned();
    let ben = facts(Principal::User { account: account(OTHER), name: "ben".into(), id });
    let (ann, anybody) = (user("ann"), facts(Principal::Anonymous));
    let (owner, writer, third) = (root_of(OWN), root_of(OTHER), root_of("333333333333"));
    let missing = Decision::NotAllowed;
    let place = Some(super::super::Place { document: 0, statement: 0 });
    for (who, documents, acl, expected) in [
        (&owner, &none[..], false, missing(Layer::ObjectOwner)),
        (&owner, &none, true, Decision::Allowed(Layer::Acl, None)),
        (&ann, &all, false, missing(Layer::ObjectOwner)),
        (&ann, &all, true, Decision::Allowed(Layer::Acl, None)),
        (&ann, &none, true, missing(Layer::Identity)),
        (&anybody, &none, false, missing(Layer::ObjectOwner)),
        (&anybody, &none, true, Decision::Allowed(Layer::Acl, None)),
        (&third, &none, false, missing(Layer::ObjectOwner)),
        (&writer, &none, false, Decision::Allowed(Layer::Account, None)),
        (&ben, &none, false, missing(Layer::Identity)),
        (&ben, &none, true, missing(Layer::Identity)),
        (&ben, &all, false, Decision::Allowed(Layer::Identity, place)),
    ] {
        let layers = Layers { identity: documents, acl, ..Layers::default() };
        assert_eq!(read_others(&layers, who), expected, "{who:?} {acl}");
        let open = Layers { resource: Some(&public), ..layers };
        assert_eq!(read_others(&open, who), expected, "{who:?} {acl}, with a public policy");
        let denied = Layers { session: Some(std::slice::from_ref(&deny)), ..layers };
        assert!(!read_others(&denied, &ben).is_allowed());
    }
    let deny = bucket_policy(
        r#"{"Effect": "Deny", "Principal": "*", "Action": "s3:*",
            "Resource": "arn:aws:s3:::bkt/*"}"#,
    );
    let denied = Layers { resource: Some(&deny), identity: &all, acl: true, ..Layers::default() };
    for who in [&owner, &ann, &anybody, &writer, &ben] {
        assert!(matches!(read_others(&denied, who), Decision::Denied(Layer::Resource, _)));
    }
}

#[test]
fn writing_removing_and_listing_stay_with_the_owner_of_the_bucket() {
    for (action, expected) in [
        (Action::GetObject, true),
        (Action::GetObjectVersion, true),
        (Action::GetObjectAcl, true),
        (Action::PutObjectVersionAcl, true),
        (Action::PutObjectTagging, true),
        (Action::PutObject, false),
        (Action::DeleteObject, false),
        (Action::DeleteObjectVersion, false),
        (Action::AbortMultipartUpload, false),
        (Action::ListMultipartUploadParts, false),
        (Action::ListBucket, false),
        (Action::GetBucketAcl, false),
    ] {
        assert_eq!(action.is_of_object_owner(), expected, "{action:?}");
    }
}

#[test]
fn a_restricted_public_policy_counts_in_its_own_account_only() {
    let policy = naming("*");
    let open = Layers { resource: Some(&policy), ..Layers::default() };
    let restricted = Layers { restricted: true, ..open };
    for who in [facts(Principal::Anonymous), root_of(OTHER)] {
        assert!(read(&open, &who, OWN).is_allowed());
        assert!(!read(&restricted, &who, OWN).is_allowed());
    }
    assert!(read(&restricted, &user("ann"), OWN).is_allowed());
}

#[test]
fn at_its_own_level_an_account_may_all_but_what_concerns_the_store() {
    let decide = |facts: &Facts, action| {
        evaluate(&Layers::default(), &Context::new(facts, action, Resource::Service)).is_allowed()
    };
    let root = Facts { root: true, ..root_of(OWN) };
    for action in [Action::CreateBucket, Action::ListAllMyBuckets, Action::DescribeRegions] {
        assert!(decide(&root_of(OWN), action));
        assert!(!decide(&facts(Principal::Anonymous), action));
        assert!(!decide(&user("ann"), action));
        assert!(!decide(&facts(Principal::System("w")), action));
    }
    for action in [Action::AdminAccounts, Action::AdminStore] {
        assert!(!decide(&root_of(OWN), action));
        assert!(decide(&root, action));
    }
}

#[test]
fn a_bucket_of_nobody_is_open_to_nobody() {
    let bucket = BucketName::parse("bkt").expect("a name");
    for who in [root_of(OWN), facts(Principal::Anonymous), user("ann")] {
        let context = Context::new(&who, Action::ListBucket, Resource::Bucket(&bucket));
        assert!(!evaluate(&Layers::default(), &context).is_allowed(), "{who:?}");
    }
}

#[test]
fn a_request_is_let_in_to_name_its_keys_if_one_may_be_allowed() {
    let policy = naming(OTHER);
    let layers = Layers { resource: Some(&policy), ..Layers::default() };
    let may = |facts: &Facts, action| might_allow(&layers, &account(OWN), facts, action);
    assert!(may(&root_of(OTHER), Action::GetObject));
    assert!(!may(&root_of(OTHER), Action::DeleteObject));
    assert!(!may(&facts(Principal::Anonymous), Action::GetObject));
    assert!(may(&root_of(OWN), Action::DeleteObject));
    let restricted = Layers { restricted: true, ..layers };
    assert!(!might_allow(&restricted, &account(OWN), &root_of(OTHER), Action::GetObject));
}
