//! Why something was decided, and that what is said to help does help.

use std::sync::Arc;

use super::{
    super::{Asked, Decision, Effect, Layer, Place, Wish, asked_of, assume, remedy, seen},
    *,
};

const OWN: &str = "111122223333";
const OTHER: &str = "999999999999";

fn identity(statements: &str) -> Arc<Document> {
    let text = format!(r#"{{"Version": "2012-10-17", "Statement": [{statements}]}}"#);
    Arc::new(Document::parse(&text, Kind::Identity).unwrap_or_else(|error| panic!("{error}")))
}

/// Asks for `key` in the bucket `bkt` of `owner`.
fn ask<T>(facts: &Facts, owner: &str, key: &str, then: impl Fn(&Context<'_>) -> T) -> T {
    let (bucket, owner) = (BucketName::parse("bkt").expect("a name"), account(owner));
    let key = ObjectKey::parse(key).expect("a key");
    let context = Context::new(facts, Action::GetObject, Resource::Object(&bucket, &key));
    then(&Context { owner: Some(&owner), ..context })
}

#[test]
fn a_decision_says_which_statement_made_it() {
    let policy = bucket_policy(
        r#"{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
            "Resource": "arn:aws:s3:::bkt/*"},
           {"Sid": "NoSecrets", "Effect": "Deny", "Principal": "*", "Action": "s3:Get*",
            "Resource": "arn:aws:s3:::bkt/secret"}"#,
    );
    let layers = Layers { resource: Some(&policy), ..Layers::default() };
    let anybody = facts(Principal::Anonymous);
    let place = |statement| Place { document: 0, statement };
    let decided = |key| ask(&anybody, OWN, key, |context| evaluate(&layers, context));
    assert_eq!(decided("k"), Decision::Allowed(Layer::Resource, Some(place(0))));
    assert_eq!(decided("secret"), Decision::Denied(Layer::Resource, place(1)));
    ask(&anybody, OWN, "secret", |context| {
        let seen = seen(&layers, context);
        let effects: Vec<_> = seen.iter().map(|it| (it.place, it.statement.effect)).collect();
        assert_eq!(effects, [(place(0), Effect::Allow), (place(1), Effect::Deny)]);
    });
}

#[test]
fn a_condition_that_does_not_hold_is_told_with_what_the_request_says() {
    let documents = [identity(
        r#"{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bkt/*",
            "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"},
                          "StringEquals": {"sts:ExternalId": "x"}}}"#,
    )];
    let layers = Layers { identity: &documents, ..Layers::default() };
    let source = Some("192.0.2.7".parse().expect("an address"));
    let ann = Facts { source, external_id: Some("secret".into()), ..user("ann") };
    ask(&ann, OWN, "k", |context| {
        let seen = seen(&layers, context);
        let unmet: Vec<_> = seen.iter().filter_map(|it| it.unmet).map(|key| key.name()).collect();
        assert_eq!(unmet, ["aws:SourceIp"]);
        let asked = |key: &str, values| Asked { layer: Layer::Identity, key: key.into(), values };
        assert_eq!(
            asked_of(&seen, context),
            [asked("aws:SourceIp", Some(vec!["192.0.2.7".into()])), asked("sts:ExternalId", None),]
        );
    });
}

/// The grants that help a read of `key`, with where they go.
fn helps(layers: &Layers<'_>, facts: &Facts, owner: &str, key: &str) -> Vec<(Layer, String)> {
    let remedy = ask(facts, owner, key, |it| remedy(layers, it, Wish::default(), evaluate));
    assert_eq!(remedy.obstacle, None);
    remedy.grants.into_iter().map(|grant| (grant.layer, grant.statement)).collect()
}

#[test]
fn the_smallest_grant_names_what_was_asked_for_and_nothing_more() {
    let own =
        r#"{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bkt/KEY"}"#;
    for (key, written) in
        [("a/b", "a/b"), ("a*b?${c}", "a${*}b${?}${$}{c}"), ("\"\n", "\\\"\\u000a")]
    {
        let expected = own.replace("KEY", written);
        let grants = helps(&Layers::default(), &user("ann"), OWN, key);
        assert_eq!(grants, [(Layer::Identity, expected)], "{key}");
    }
}

#[test]
fn every_layer_that_is_missing_a_grant_is_named() {
    let put = [identity(r#"{"Effect": "Allow", "Action": "s3:PutObject", "Resource": "*"}"#)];
    let layers =
        Layers { identity: &put, boundary: put.first().map(Arc::as_ref), ..Layers::default() };
    let places = |layers: &Layers<'_>, facts: &Facts, owner: &str| -> Vec<Layer> {
        helps(layers, facts, owner, "k").into_iter().map(|(layer, _)| layer).collect()
    };
    assert_eq!(places(&layers, &user("ann"), OWN), [Layer::Identity, Layer::Boundary]);
    let all = [Layer::Resource, Layer::Identity, Layer::Boundary];
    assert_eq!(places(&layers, &user("ann"), OTHER), all);
    assert_eq!(places(&Layers::default(), &root_of(OTHER), OWN), [Layer::Resource]);
    let unheeded = Layers { acl_kept_off: Some(Layer::Ownership), ..Layers::default() };
    assert_eq!(places(&unheeded, &root_of(OTHER), OWN), [Layer::Resource]);
}

#[test]
fn against_a_deny_a_session_or_a_block_no_grant_helps() {
    let deny = [identity(r#"{"Effect": "Deny", "Action": "s3:*", "Resource": "*"}"#)];
    let nothing: [Arc<Document>; 0] = [];
    let public = bucket_policy(
        r#"{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
            "Resource": "arn:aws:s3:::bkt/*"}"#,
    );
    let denied = Layers { identity: &deny, ..Layers::default() };
    let session = Layers { session: Some(&nothing), ..Layers::default() };
    let blocked = Layers { resource: Some(&public), restricted: true, ..Layers::default() };
    let place = Place { document: 0, statement: 0 };
    for (layers, who, obstacle, grants) in [
        (denied, user("ann"), Decision::Denied(Layer::Identity, place), 0),
        (session, user("ann"), Decision::NotAllowed(Layer::Session), 1),
        (blocked, facts(Principal::Anonymous), Decision::NotAllowed(Layer::AccessBlock), 0),
    ] {
        let remedy = ask(&who, OWN, "k", |it| remedy(&layers, it, Wish::default(), evaluate));
        assert_eq!((remedy.obstacle, remedy.grants.len()), (Some(obstacle), grants));
    }
    let wish = Wish { no_public: true, ..Wish::default() };
    let anybody = facts(Principal::Anonymous);
    let remedy = ask(&anybody, OWN, "k", |it| remedy(&Layers::default(), it, wish, evaluate));
    assert_eq!(remedy.obstacle, Some(Decision::NotAllowed(Layer::AccessBlock)));
}

#[test]
fn against_another_owner_of_the_object_no_grant_helps() {
    let public = bucket_policy(
        r#"{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
            "Resource": "arn:aws:s3:::bkt/*",
            "Condition": {"StringEquals": {"aws:UserAgent": "curl"}}}"#,
    );
    let layers = Layers { resource: Some(&public), ..Layers::default() };
    let other = account(OTHER);
    for who in [root_of(OWN), user("ann"), facts(Principal::Anonymous)] {
        ask(&who, OWN, "k", |context| {
            let context = Context { object_owner: Some(&other), ..*context };
            assert!(seen(&layers, &context).is_empty(), "it does not count, with or without curl");
            let remedy = remedy(&layers, &context, Wish::default(), evaluate);
            assert_eq!(remedy.obstacle, Some(Decision::NotAllowed(Layer::ObjectOwner)));
            assert!(remedy.grants.is_empty());
        });
    }
}

#[test]
fn a_role_needs_a_grant_in_its_trust() {
    let (role, owner) = ("arn:aws:iam::111122223333:role/r", account(OWN));
    let ann = user("ann");
    let context = Context::new(&ann, Action::AssumeRole, Resource::Arn(role));
    let context = Context { owner: Some(&owner), ..context };
    let remedy = remedy(&Layers::default(), &context, Wish::default(), assume);
    let layers: Vec<_> = remedy.grants.iter().map(|grant| grant.layer).collect();
    assert_eq!((layers, remedy.obstacle), (vec![Layer::Identity, Layer::Resource], None));
    let trust = remedy.grants.last().map(|grant| grant.statement.as_str());
    let expected = concat!(
        r#"{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:user/ann"}, "#,
        r#""Action": "sts:AssumeRole"}"#
    );
    assert_eq!(trust, Some(expected));
}

#[test]
fn what_only_oss_has_a_word_for_is_granted_in_its_language() {
    let (bucket, owner) = (BucketName::parse("bkt").expect("a name"), account(OWN));
    for who in [user("ann"), root_of(OTHER), facts(Principal::Anonymous)] {
        let context = Context::new(&who, Action::GetBucketInfo, Resource::Bucket(&bucket));
        let context = Context { owner: Some(&owner), ..context };
        let remedy = remedy(&Layers::default(), &context, Wish::default(), evaluate);
        assert_eq!(remedy.obstacle, None, "{who:?}");
        assert!(remedy.grants.iter().all(|grant| grant.document.contains(r#""Version": "1""#)));
    }
}

#[test]
fn a_grant_is_in_the_language_of_the_policy_it_goes_into() {
    let policy = oss_policy(
        r#"{"Effect": "Deny", "Principal": ["*"], "Action": ["oss:PutObject"],
            "Resource": ["acs:oss:*:*:bkt/*"]}"#,
    );
    let layers = Layers { resource: Some(&policy), ..Layers::default() };
    let expected = concat!(
        r#"{"Effect": "Allow", "Principal": ["999999999999"], "Action": "oss:GetObject", "#,
        r#""Resource": "acs:oss:*:*:bkt/k"}"#
    );
    let expected = vec![(Layer::Resource, expected.to_owned())];
    assert_eq!(helps(&layers, &root_of(OTHER), OWN, "k"), expected);
}
