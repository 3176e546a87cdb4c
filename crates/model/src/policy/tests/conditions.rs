//! Every operator and key, with a case that holds and one that does not.

use super::{ANYBODY, allowed, bucket_policy, facts};
use crate::policy::{Action, Facts, Key, Principal, Signature};

fn request() -> Facts {
    Facts {
        source: "10.1.2.3".parse().ok(),
        secure: true,
        user_agent: Some("curl/8".into()),
        referer: Some("https://example.com/page".into()),
        groups: ["readers".into(), "staff".into()].into(),
        principal_tags: vec![("Team".into(), "blue".into())],
        request: vec![
            (Key::Acl, "private".into()),
            (Key::Prefix, "home/".into()),
            (Key::MaxKeys, "100".into()),
            (Key::ContentSha256, "UNSIGNED-PAYLOAD".into()),
        ],
        request_tags: vec![("a".into(), "1".into())],
        web: vec![
            ("idp.org:8443/x:sub".into(), vec!["ann".into()]),
            ("idp.org:8443/x:amr".into(), vec!["pwd".into(), "otp".into()]),
        ],
        object_tags: Some(vec![("class".into(), "open".into())]),
        signature: Some(Signature {
            place: "REST-QUERY-STRING",
            version: "AWS4-HMAC-SHA256",
            age_ms: Some(5000),
        }),
        tls_version: Some("1.3"),
        ..facts(Principal::Anonymous)
    }
}

fn holds(condition: &str, facts: &Facts) -> bool {
    let policy = bucket_policy(&format!(
        r#"{{{ANYBODY}, "Action": ["s3:GetObject", "s3:ListBucket"],
            "Resource": ["arn:aws:s3:::bkt", "arn:aws:s3:::bkt/*"], "Condition": {{{condition}}}}}"#
    ));
    let (get, list) = (Action::GetObject, Action::ListBucket);
    let listing = condition.contains("prefix") || condition.contains("max-keys");
    if listing { allowed(&policy, facts, list, "") } else { allowed(&policy, facts, get, "k") }
}

#[rustfmt::skip]
const CASES: &[(&str, bool)] = &[
    (r#""StringEquals": {"aws:UserAgent": ["wget", "curl/8"]}"#, true),
    (r#""StringEquals": {"aws:UserAgent": "CURL/8"}"#, false),
    (r#""StringEquals": {"idp.org:8443/x:sub": "ann"}"#, true),
    (r#""StringEquals": {"IDP.org:8443/x:SUB": "ann"}"#, true),
    (r#""StringEquals": {"idp.org:8443/x:sub": "ben"}"#, false),
    (r#""StringEquals": {"idp.org/x:sub": "ann"}"#, false),
    (r#""ForAnyValue:StringEquals": {"idp.org:8443/x:amr": "otp"}"#, true),
    (r#""ForAllValues:StringEquals": {"idp.org:8443/x:amr": "otp"}"#, false),
    (r#""Null": {"idp.org:8443/x:aud": "true"}"#, true),
    // Objects have tags of their own.
    (r#""StringEquals": {"aws:RequestTag/a": "1"}"#, false),
    (r#""StringEqualsIgnoreCase": {"aws:UserAgent": "CURL/8"}"#, true),
    (r#""StringNotEquals": {"aws:UserAgent": ["wget", "curl/8"]}"#, false),
    (r#""StringNotEquals": {"aws:UserAgent": ["wget", "fetch"]}"#, true),
    (r#""StringNotEqualsIgnoreCase": {"aws:UserAgent": "CURL/8"}"#, false),
    (r#""StringLike": {"aws:Referer": ["https://example.com/*"]}"#, true),
    (r#""StringLike": {"aws:referer": "https://example.???"}"#, false),
    (r#""StringNotLike": {"aws:Referer": "https://example.org/*"}"#, true),
    (r#""StringEquals": {"aws:Referer": "https://example.com/*"}"#, false),
    (r#""NumericLessThanEquals": {"s3:max-keys": "100"}"#, true),
    (r#""NumericLessThan": {"s3:max-keys": 100}"#, false),
    (r#""NumericEquals": {"s3:max-keys": [7, "100.0"]}"#, true),
    (r#""NumericNotEquals": {"s3:max-keys": "100"}"#, false),
    (r#""NumericGreaterThan": {"s3:max-keys": "99"}"#, true),
    (r#""NumericGreaterThanEquals": {"s3:signatureAge": "5001"}"#, false),
    (r#""DateGreaterThan": {"aws:CurrentTime": "2023-11-14T22:13:19Z"}"#, true),
    (r#""DateLessThan": {"aws:CurrentTime": "2023-11-14"}"#, false),
    (r#""DateLessThanEquals": {"aws:EpochTime": "1700000000"}"#, true),
    (r#""DateEquals": {"aws:CurrentTime": "2023-11-14T22:13:20Z"}"#, true),
    (r#""DateNotEquals": {"aws:CurrentTime": "2023-11-14T22:13:20Z"}"#, false),
    (r#""NumericEquals": {"aws:EpochTime": "1700000000"}"#, true),
    (r#""Bool": {"aws:SecureTransport": "true"}"#, true),
    (r#""Bool": {"aws:SecureTransport": false}"#, false),
    (r#""StringEquals": {"aws:SecureTransport": "true"}"#, true),
    (r#""IpAddress": {"aws:SourceIp": ["192.0.2.0/24", "10.0.0.0/8"]}"#, true),
    (r#""IpAddress": {"aws:SourceIp": "10.1.2.4"}"#, false),
    (r#""NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}"#, false),
    (r#""NotIpAddress": {"aws:SourceIp": "2001:db8::/32"}"#, true),
    (r#""BinaryEquals": {"aws:UserAgent": "Y3VybC84"}"#, false),
    (r#""Null": {"aws:username": "true"}"#, true),
    (r#""Null": {"aws:UserAgent": "true"}"#, false),
    (r#""Null": {"aws:MultiFactorAuthPresent": "false"}"#, false),
    (r#""StringEquals": {"s3:prefix": "home/"}"#, true),
    (r#""StringEquals": {"s3:x-amz-acl": "private"}"#, true),
    (r#""StringEquals": {"s3:ExistingObjectTag/class": "open"}"#, true),
    (r#""StringEquals": {"s3:ExistingObjectTag/Class": "open"}"#, false),
    (r#""StringEquals": {"s3:RequestObjectTag/a": "1"}"#, true),
    (r#""StringEquals": {"aws:PrincipalTag/team": "blue"}"#, true),
    (r#""StringEquals": {"s3:authType": "REST-QUERY-STRING"}"#, true),
    (r#""StringEquals": {"s3:signatureversion": "AWS4-HMAC-SHA256"}"#, true),
    (r#""NumericGreaterThanEquals": {"s3:TlsVersion": "1.2"}"#, true),
    (r#""StringEquals": {"s3:x-amz-content-sha256": "UNSIGNED-PAYLOAD"}"#, true),
    (r#""StringEquals": {"aws:PrincipalType": "Anonymous"}"#, true),
    (r#""StringEquals": {"s3:ResourceAccount": "111122223333"}"#, true),
    (r#""Bool": {"aws:PrincipalIsAWSService": "false"}"#, true),
    // Nothing is known of it.
    (r#""StringEquals": {"aws:username": "ann"}"#, false),
    (r#""StringEqualsIfExists": {"aws:username": "ann"}"#, true),
    (r#""StringNotEquals": {"aws:username": "ann"}"#, true),
    (r#""BoolIfExists": {"aws:MultiFactorAuthPresent": "true"}"#, true),
    (r#""Bool": {"aws:MultiFactorAuthPresent": "false"}"#, false),
    (r#""NumericLessThan": {"aws:MultiFactorAuthAge": "3600"}"#, false),
    (r#""StringNotEquals": {"nobody:knows": "x"}"#, true),
    (r#""StringEquals": {"nobody:knows": "x"}"#, false),
    // Several values.
    (r#""ForAnyValue:StringEquals": {"larder:groups": ["staff", "guests"]}"#, true),
    (r#""ForAnyValue:StringEquals": {"larder:groups": "guests"}"#, false),
    (r#""ForAllValues:StringEquals": {"larder:groups": ["staff", "guests"]}"#, false),
    (r#""ForAllValues:StringLike": {"larder:groups": ["s*", "r*"]}"#, true),
    (r#""ForAllValues:StringNotEquals": {"larder:groups": "guests"}"#, true),
    (r#""ForAnyValue:StringNotEquals": {"larder:groups": "staff"}"#, true),
    (r#""ForAllValues:StringEquals": {"aws:username": "ann"}"#, true),
    (r#""ForAnyValue:StringNotEquals": {"aws:username": "ann"}"#, false),
    (r#""ForAnyValue:StringEqualsIfExists": {"aws:username": "ann"}"#, false),
    (r#""ForAllValues:StringEquals": {"s3:RequestObjectTagKeys": ["a", "b"]}"#, true),
    (r#""StringEquals": {"larder:groups": "staff"}"#, true),
    (r#""StringNotEquals": {"larder:groups": "staff"}"#, false),
    // All keys and operators must hold.
    (r#""Bool": {"aws:SecureTransport": true}, "StringEquals": {"aws:UserAgent": "wget"}"#, false),
    (r#""StringEquals": {"aws:UserAgent": "curl/8", "s3:x-amz-acl": "public-read"}"#, false),
    // Variables.
    (r#""StringEquals": {"aws:SourceIp": "${aws:SourceIp}"}"#, true),
    (r#""StringEqualsIgnoreCase": {"aws:PrincipalTag/Team": "${aws:PrincipalTag/Team}"}"#, true),
    (r#""StringLike": {"aws:UserAgent": "${aws:username, 'curl'}*"}"#, true),
    (r#""StringLike": {"aws:UserAgent": "c${*}"}"#, false),
];

#[test]
fn every_operator_and_key_decides_as_documented() {
    for (condition, expected) in CASES {
        assert_eq!(holds(condition, &request()), *expected, "{condition}");
    }
}

#[test]
fn arns_are_compared_part_by_part() {
    let who = super::user("division/ann");
    for (pattern, expected) in [
        ("arn:aws:iam::111122223333:user/division/*", true),
        ("arn:aws:iam::*:user/division/ann", true),
        ("arn:aws:iam::*ann", false),
        ("arn:aws:iam::111122223333:user/ben", false),
        ("*", true),
    ] {
        let parts = pattern.matches(':').count();
        if parts < 5 && pattern != "*" {
            let text = format!(r#"{{"ArnLike": {{"aws:PrincipalArn": "{pattern}"}}}}"#);
            let json = crate::policy::json::Json::parse(&text).expect("JSON");
            assert!(crate::policy::condition::parse(&json, true).is_err());
            continue;
        }
        let condition = format!(r#""ArnLike": {{"aws:PrincipalArn": "{pattern}"}}"#);
        assert_eq!(holds(&condition, &who), expected, "{pattern}");
        let condition = format!(r#""ArnNotEquals": {{"aws:PrincipalArn": "{pattern}"}}"#);
        assert_eq!(holds(&condition, &who), !expected, "{pattern}");
    }
}

#[test]
fn what_a_listing_asks_is_known_to_listings_only() {
    let policy = bucket_policy(&format!(
        r#"{{{ANYBODY}, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bkt/*",
            "Condition": {{"StringEquals": {{"s3:prefix": "home/"}}}}}}"#
    ));
    assert!(!allowed(&policy, &request(), Action::GetObject, "home/x"));
}

#[test]
fn a_second_factor_is_present_with_its_age_or_absent() {
    let recent = r#""NumericLessThan": {"aws:MultiFactorAuthAge": "300"},
                    "Bool": {"aws:MultiFactorAuthPresent": "true"}"#;
    for (age, expected) in [(None, false), (Some(10), true), (Some(301), false)] {
        let facts = Facts { mfa_age_seconds: age, ..request() };
        assert_eq!(holds(recent, &facts), expected, "{age:?}");
    }
}

/// Long-term keys have no such key at all, so that `BoolIfExists` lets them through.
#[test]
fn without_a_second_factor_temporary_credentials_say_so_and_keys_say_nothing() {
    let factor = |value: &str| format!(r#""Bool": {{"aws:MultiFactorAuthPresent": "{value}"}}"#);
    let if_exists = r#""BoolIfExists": {"aws:MultiFactorAuthPresent": "true"}"#;
    let oss = r#""Bool": {"acs:MFAPresent": "true"}"#;
    let absent = r#""Null": {"aws:MultiFactorAuthAge": "true"}"#;
    for (issued, age, [is_true, is_false, exists, in_oss, no_age]) in [
        (None, None, [false, false, true, false, true]),
        (Some(1), None, [false, true, false, false, true]),
        (Some(1), Some(5), [true, false, true, true, false]),
    ] {
        let facts = Facts { token_issued_ms: issued, mfa_age_seconds: age, ..request() };
        assert_eq!(holds(&factor("true"), &facts), is_true, "{issued:?} {age:?}");
        assert_eq!(holds(&factor("false"), &facts), is_false, "{issued:?} {age:?}");
        assert_eq!(holds(if_exists, &facts), exists, "{issued:?} {age:?}");
        assert_eq!(holds(oss, &facts), in_oss, "{issued:?} {age:?}");
        assert_eq!(holds(absent, &facts), no_age, "{issued:?} {age:?}");
    }
}
