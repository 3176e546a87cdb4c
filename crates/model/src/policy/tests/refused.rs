//! What is no policy, and what cannot stand in the policy of a bucket.

use proptest::prelude::*;

use super::{allowed, bucket_policy, facts, oss_policy};
use crate::{
    names::BucketName,
    policy::{Action, Document, Kind, Principal, check_bucket_policy, is_public},
};

const GOOD: &str = r#"{"Version": "2012-10-17", "Id": "x", "Statement": {"Sid": "a",
    "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
    "Resource": "arn:aws:s3:::bkt/*"}}"#;

#[test]
fn what_is_no_policy_is_refused_with_a_reason() {
    assert!(Document::parse(GOOD, Kind::Bucket).is_ok());
    #[rustfmt::skip]
    let broken = [
        (r#""2012-10-17""#, r#""2012-10-18""#, "version"),
        (r#""Version""#, r#""Versions""#, "Unknown field Versions"),
        (r#""Effect": "Allow""#, r#""Effect": "allow""#, "Effect"),
        (r#""Effect": "Allow","#, "", "Effect"),
        (r#""Principal": "*","#, "", "Principal"),
        (r#""Principal": "*""#, r#""Principal": "x""#, "principal"),
        (r#""Principal": "*""#, r#""Principal": {"AWS": "arn:aws:iam::1:user/*"}"#, "principal"),
        (r#""Principal": "*""#, r#""Principal": {"AWS": []}"#, "principal"),
        (r#""Principal": "*""#, r#""Principal": {"Robot": "x"}"#, "Robot"),
        (r#""Principal": "*""#, r#""Principal": "*", "NotPrincipal": "*""#, "not both"),
        (r#""Action": "s3:GetObject","#, "", "Action"),
        (r#""Action": "s3:GetObject""#, r#""Action": []"#, "Action"),
        (r#""Action": "s3:GetObject""#, r#""Action": 7"#, "Action"),
        (r#""arn:aws:s3:::bkt/*""#, r#""bkt/*""#, "invalid resource"),
        (r#""arn:aws:s3:::bkt/*""#, r#""arn:aws:sqs:::bkt/*""#, "invalid resource"),
        (r#""arn:aws:s3:::bkt/*""#, r#""arn:aws:s3:::${aws:x""#, "no end"),
        (r#""Sid": "a""#, r#""Sid": "a", "Sid": "b""#, "twice"),
        (r#""Sid": "a""#, r#""Sid": "a", "Condition": {"StringIs": {"a": "b"}}"#, "StringIs"),
        (r#""Sid": "a""#, r#""Sid": "a", "Condition": {"NotBool": {"a": "true"}}"#, "operator"),
        (r#""Sid": "a""#, r#""Sid": "a", "Condition": {"NullIfExists": {"a": true}}"#, "operator"),
        (r#""Sid": "a""#, r#""Sid": "a", "Condition": {"Bool": {"a": "yes"}}"#, "true nor false"),
        (r#""Sid": "a""#, r#""Sid": "a", "Condition": {"Bool": {"a": []}}"#, "no value"),
        (r#""Sid": "a""#, r#""Sid": "a", "Condition": {"Bool": "x"}"#, "no object"),
        (r#""Sid": "a""#, r#""Sid": "a", "Condition": {"IpAddress": {"a": "1.2.3"}}"#, "address"),
        (r#""Sid": "a""#, r#""Sid": "a", "Condition": {"NumericEquals": {"a": "NaN"}}"#, "number"),
        (r#""Sid": "a""#, r#""Sid": "a", "Condition": {"DateEquals": {"a": "soon"}}"#, "date"),
    ];
    for (from, to, reason) in broken {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD, "{from}");
        let error = Document::parse(&text, Kind::Bucket).expect_err(&text);
        assert!(error.contains(reason), "{text}: {error}");
    }
    for text in ["", "[]", "{}", "null", r#"{"Statement": []}"#, "x", "{\"Statement\": [1]}"] {
        assert!(Document::parse(text, Kind::Bucket).is_err(), "{text}");
    }
    let identity = Document::parse(GOOD, Kind::Identity).expect_err("it names a principal");
    assert!(identity.contains("principal"));
}

#[test]
fn long_policies_are_refused() {
    let statement = |count: usize| {
        let one = r#"{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*"}"#;
        format!(r#"{{"Statement":[{}]}}"#, vec![one; count].join(","))
    };
    assert!(Document::parse(&statement(250), Kind::Bucket).is_ok());
    let error = Document::parse(&statement(251), Kind::Bucket).expect_err("too many");
    assert!(error.contains("250 statements"));
    let long = GOOD.replace("GetObject", &"x".repeat(20 * 1024));
    assert!(Document::parse(&long, Kind::Bucket).expect_err("too long").contains("20480"));
    let values = vec![r#""arn:aws:s3:::b""#; 2001].join(",");
    let many = format!(
        r#"{{"Statement":{{"Effect":"Deny","Principal":"*","Action":"*","Resource":[{values}]}}}}"#
    );
    assert!(Document::parse(&many, Kind::Bucket).is_err());
}

const TAGGED: &str = r#""StringEquals": {"s3:ExistingObjectTag/a": "b"}"#;

#[test]
fn a_bucket_policy_names_only_what_can_be_enforced() {
    let bucket = BucketName::parse("bkt").expect("a name");
    let of = |principal: &str, action: &str, resource: &str, condition: &str| {
        let policy = bucket_policy(&format!(
            r#"{{"Effect": "Deny", "Principal": {principal}, "Action": "{action}",
                "Resource": "{resource}", "Condition": {{{condition}}}}}"#
        ));
        check_bucket_policy(&policy, &bucket)
    };
    let within = "arn:aws:s3:::bkt/*";
    for resource in [within, "arn:aws:s3:::bkt*", "arn:aws:s3:::*", "*", "arn:aws:s3:::bk?/x"] {
        assert_eq!(of(r#""*""#, "s3:GetObject", resource, ""), Ok(()), "{resource}");
    }
    assert_eq!(of(r#"{"AWS": "123456789012"}"#, "s3:*", "arn:aws:s3:::bkt", ""), Ok(()));
    for action in ["s3:GetObject", "s3:*", "s3:*ObjectTagging"] {
        assert_eq!(of(r#""*""#, action, within, TAGGED), Ok(()), "{action}");
    }
    for (principal, action, resource, condition, reason) in [
        (r#""*""#, "s3:Nonsense", within, "", "s3:Nonsense"),
        (r#""*""#, "ec2:*", within, "", "ec2:*"),
        (r#""*""#, "s3:GetObject", "arn:aws:s3:::other/*", "", "invalid resource"),
        (r#""*""#, "s3:GetObject", "arn:aws:s3:::bkt", "", "does not apply"),
        (r#""*""#, "s3:ListBucket", within, "", "does not apply"),
        (r#""*""#, "s3:ListAllMyBuckets", within, "", "does not apply"),
        (r#""*""#, "s3:GetObject", within, r#""Bool": {"aws:Magic": "true"}"#, "aws:Magic"),
        (r#""*""#, "s3:GetObject", "arn:aws:s3:::bkt/${aws:magic}", "", "aws:magic"),
        (r#""*""#, "s3:DeleteObject", within, TAGGED, "Conditions do not apply"),
        (r#""*""#, "iam:CreateUser", within, "", "iam:CreateUser"),
        (r#"{"Federated": "idp"}"#, "s3:GetObject", within, "", "idp"),
    ] {
        let error = of(principal, action, resource, condition).expect_err(reason);
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn public_is_what_s3_calls_public() {
    let public = |principal: &str, condition: &str| {
        is_public(&bucket_policy(&format!(
            r#"{{"Effect": "Allow", "Principal": {principal}, "Action": "s3:GetObject",
                "Resource": "arn:aws:s3:::bkt/*", "Condition": {{{condition}}}}}"#
        )))
    };
    let everybody = r#""*""#;
    assert!(public(everybody, ""));
    assert!(public(r#"{"AWS": "*"}"#, ""));
    assert!(public(r#"{"AWS": ["123456789012", "*"]}"#, ""));
    assert!(!public(r#"{"AWS": "123456789012"}"#, ""));
    for (condition, expected) in [
        (r#""IpAddress": {"aws:SourceIp": "10.0.0.0/32"}"#, false),
        (r#""IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "0.0.0.0/0"]}"#, true),
        (r#""IpAddress": {"aws:SourceIp": "10.0.0.0/7"}"#, true),
        (r#""IpAddress": {"aws:SourceIp": "2001:db8::/31"}"#, true),
        (r#""IpAddressIfExists": {"aws:SourceIp": "10.0.0.0/8"}"#, true),
        (r#""ForAllValues:IpAddress": {"aws:SourceIp": "10.0.0.0/8"}"#, true),
        (r#""NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}"#, true),
        (r#""StringEquals": {"aws:userid": "AIDAX"}"#, false),
        (r#""StringLike": {"aws:userid": "AIDA*"}"#, true),
        (r#""StringEquals": {"aws:PrincipalAccount": "${aws:PrincipalAccount}"}"#, true),
        (r#""StringLike": {"aws:Referer": "https://example.com/*"}"#, true),
        (r#""Bool": {"aws:SecureTransport": "true"}"#, true),
    ] {
        assert_eq!(public(everybody, condition), expected, "{condition}");
    }
    let deny = r#"{"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"}"#;
    assert!(!is_public(&bucket_policy(deny)));
    let oss =
        r#"{"Effect": "Allow", "Principal": [], "Action": "oss:*", "Resource": "acs:oss:*:*:*"}"#;
    assert!(is_public(&oss_policy(oss)));
}

const RICH: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
    "Principal": {"AWS": ["*", "arn:aws:iam::1:root"]}, "NotAction": "s3:Put?*",
    "Resource": "arn:aws:s3:::bkt/${aws:username, 'é'}*${*}", "Condition":
    {"ForAnyValue:StringNotLike": {"aws:UserAgent": "${aws:SourceIp}*?"},
     "DateLessThan": {"aws:CurrentTime": "2030-01-01T00:00:00Z"},
     "IpAddressIfExists": {"aws:SourceIp": ["10.0.0.0/8", "::1"]},
     "ArnLike": {"aws:PrincipalArn": "arn:*:iam::*:user/${aws:username}"}}}]}"#;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn broken_policies_are_refused_or_decide_without_a_panic(
        cuts in proptest::collection::vec((0..700_usize, 0..6_usize, "[ -~é\"{}:,*$]{0,3}"), 1..4),
    ) {
        let mut letters: Vec<char> = RICH.chars().collect();
        for (at, taken, added) in cuts {
            let at = at.min(letters.len());
            let end = (at + taken).min(letters.len());
            letters.splice(at..end, added.chars());
        }
        let text: String = letters.into_iter().collect();
        for kind in [Kind::Bucket, Kind::Identity] {
            if let Ok(policy) = Document::parse(&text, kind) {
                let bucket = BucketName::parse("bkt").expect("a name");
                let _ = (check_bucket_policy(&policy, &bucket), is_public(&policy));
                allowed(&policy, &facts(Principal::Anonymous), Action::GetObject, "k");
            }
        }
    }
}
