//! Every way to be turned away, and its boundary.

use model::Condition;

use super::*;
use crate::signature::{Payload, Streaming};

fn get() -> Sample {
    Sample::new("GET", "bkt.example.com", "/key")
}

fn condition(result: Result<impl Sized, Refusal>) -> Option<Condition> {
    result.err().map(|refusal| refusal.condition)
}

fn refused(sample: &Sample) -> Option<Condition> {
    condition(sample.verify())
}

#[test]
fn every_scheme_accepts_its_own_signature_and_no_other_secret() {
    for (scheme, presigned) in ALL {
        let sample = get().sign(scheme, presigned);
        let verified = sample.verify().unwrap();
        assert_eq!((verified.scheme, verified.presigned), (scheme, presigned));
        let claim = sample.claim().unwrap().unwrap();
        assert_eq!(claim.access_key, "AKID");
        let wrong = condition(sample.verify_with("SECRE7", NOW));
        assert_eq!(wrong, Some(Condition::SignatureDoesNotMatch), "{scheme:?} {presigned}");
    }
}

#[test]
fn clocks_may_differ_by_exactly_fifteen_minutes() {
    for (scheme, _) in ALL.into_iter().filter(|(_, presigned)| !presigned) {
        let sample = get().sign(scheme, false);
        for apart in [-900, 900] {
            assert_eq!(condition(sample.verify_with(SECRET, NOW + apart)), None);
        }
        for apart in [-901, 901] {
            let refusal = sample.verify_with(SECRET, NOW + apart).unwrap_err();
            assert_eq!(refusal.condition, Condition::RequestTimeTooSkewed, "{scheme:?}");
            assert!(refusal.fields.contains(&("MaxAllowedSkewMilliseconds", "900000".into())));
        }
    }
}

#[test]
fn a_url_lives_to_the_second_it_was_given() {
    for (scheme, _) in ALL.into_iter().filter(|(_, presigned)| *presigned) {
        let sample = get().sign(scheme, true);
        assert_eq!(condition(sample.verify_with(SECRET, NOW + 3600)), None);
        let late = condition(sample.verify_with(SECRET, NOW + 3601));
        assert_eq!(late, Some(Condition::ExpiredSignature), "{scheme:?}");
    }
    for scheme in [Scheme::S3V4, Scheme::OssV4] {
        let sample = get().sign(scheme, true);
        assert_eq!(condition(sample.verify_with(SECRET, NOW - 900)), None);
        let early = condition(sample.verify_with(SECRET, NOW - 901));
        assert_eq!(early, Some(Condition::AccessDenied), "{scheme:?}");
    }
}

#[test]
fn lives_beyond_a_week_and_numbers_that_are_none_are_refused() {
    for (scheme, name) in [(Scheme::S3V4, "X-Amz-Expires"), (Scheme::OssV4, "x-oss-expires")] {
        for life in ["604801", "-1", "x", "", "18446744073709551617"] {
            let mut sample = get().sign(scheme, true);
            sample.query = sample.query.replace(&format!("{name}=3600"), &format!("{name}={life}"));
            let expected = Some(Condition::AuthorizationQueryMalformed);
            assert_eq!(refused(&sample), expected, "{name}={life}");
        }
    }
    for (scheme, name) in
        [(Scheme::S3V2, "Expires"), (Scheme::OssV1, "Expires"), (Scheme::OssV2, "x-oss-expires")]
    {
        for until in ["-1", "x", "", "18446744073709551617", "9223372036854775807"] {
            let mut sample = get().sign(scheme, true);
            let right = format!("{name}={}", NOW + 3600);
            sample.query = sample.query.replace(&right, &format!("{name}={until}"));
            assert_eq!(refused(&sample), Some(Condition::AccessDenied), "{name}={until}");
        }
    }
}

#[test]
fn an_empty_signature_does_not_match() {
    for value in [
        "AWS AKID:",
        "OSS AKID:",
        "OSS2 AccessKeyId:AKID,Signature:",
        "OSS4-HMAC-SHA256 Credential=AKID/20260102/r/oss/aliyun_v4_request,Signature=",
        "AWS4-HMAC-SHA256 Credential=AKID/20260102/r/s3/aws4_request,SignedHeaders=host,\
         Signature=",
    ] {
        let sample =
            get().header("date", "Fri, 02 Jan 2026 03:04:05 GMT").header("authorization", value);
        assert_eq!(refused(&sample), Some(Condition::SignatureDoesNotMatch), "{value}");
    }
}

#[test]
fn unreadable_authorization_is_refused_and_never_anonymous() {
    let aws = "AWS4-HMAC-SHA256 Credential=AKID/20260102/r/s3/aws4_request,SignedHeaders=host";
    for (value, expected) in [
        ("", Condition::AccessDenied),
        ("é", Condition::InvalidArgument),
        ("Bearer token", Condition::InvalidArgument),
        ("Basic dTpw", Condition::InvalidArgument),
        ("aws AKID:x", Condition::InvalidArgument),
        ("AWS4-ECDSA-P256-SHA256 Credential=x", Condition::NotImplemented),
        ("AWS", Condition::InvalidArgument),
        ("AWS HAHAHA", Condition::InvalidArgument),
        ("AWS :signature", Condition::InvalidArgument),
        ("OSS HAHAHA", Condition::InvalidArgument),
        ("OSS2 AKID:x", Condition::AuthorizationHeaderMalformed),
        ("OSS2 AccessKeyId:,Signature:x", Condition::AuthorizationHeaderMalformed),
        ("OSS4-HMAC-SHA256 Credential=x", Condition::AuthorizationHeaderMalformed),
        ("AWS4-HMAC-SHA256", Condition::AuthorizationHeaderMalformed),
        ("AWS4-HMAC-SHA256 Credential=HAHAHA", Condition::AuthorizationHeaderMalformed),
        (aws, Condition::AuthorizationHeaderMalformed),
        (&format!("{aws},Signature=x,Signature=x"), Condition::AuthorizationHeaderMalformed),
        (&format!("{aws},Signature=x,Other=y"), Condition::AuthorizationHeaderMalformed),
    ] {
        let sample =
            get().header("date", "Fri, 02 Jan 2026 03:04:05 GMT").header("authorization", value);
        assert_eq!(condition(sample.claim()), Some(expected), "{value}");
    }
}

#[test]
fn the_scope_must_be_of_this_service_and_day() {
    for (right, wrong) in [
        ("/s3/", "/ec2/"),
        ("aws4_request", "aws3_request"),
        ("AKID/20260102", "AKID/20260103"),
        ("AKID/20260102", "AKID/2026-01-02"),
        ("AKID/20260102/cn-local", "/20260102/cn-local"),
        ("AKID/20260102/cn-local", "AKID"),
    ] {
        let mut sample = get().sign(Scheme::S3V4, false);
        sample.headers.iter_mut().for_each(|(_, value)| *value = value.replace(right, wrong));
        assert_eq!(refused(&sample), Some(Condition::AuthorizationHeaderMalformed), "{wrong}");
        let mut sample = get().sign(Scheme::S3V4, true);
        sample.query = sample.query.replace(&encode(right), &encode(wrong));
        assert_eq!(refused(&sample), Some(Condition::AuthorizationQueryMalformed), "{wrong}");
    }
}

#[test]
fn an_access_key_may_hold_slashes_and_colons() {
    let mut sample = get().sign(Scheme::S3V4, true);
    sample.query = sample.query.replace("AKID", "a%2Fb%2Fc");
    assert_eq!(sample.claim().unwrap().unwrap().access_key, "a/b/c");
    let mut sample = get().sign(Scheme::OssV1, false);
    sample.headers.iter_mut().for_each(|(_, value)| *value = value.replace("AKID", "a:b"));
    assert_eq!(sample.claim().unwrap().unwrap().access_key, "a:b");
}

#[test]
fn host_and_own_headers_must_be_signed() {
    for presigned in [false, true] {
        let sample = get().sign(Scheme::S3V4, presigned).header("x-amz-acl", "public-read");
        let refusal = sample.verify().unwrap_err();
        assert_eq!(refusal.condition, Condition::AccessDenied);
        assert_eq!(refusal.fields, [("HeadersNotSigned", "x-amz-acl".to_owned())]);
    }
    let mut sample = get().sign(Scheme::S3V4, true);
    sample.query = sample.query.replace("X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders=");
    assert_eq!(refused(&sample), Some(Condition::AccessDenied));
}

#[test]
fn incomplete_urls_are_refused() {
    for (scheme, presigned) in ALL.into_iter().filter(|(_, presigned)| *presigned) {
        let whole = get().sign(scheme, presigned);
        let parameters: Vec<&str> = whole.query.split('&').collect();
        for left_out in &parameters {
            let mut sample = whole.clone();
            let kept = parameters.iter().filter(|parameter| *parameter != left_out);
            sample.query = kept.copied().collect::<Vec<_>>().join("&");
            assert!(sample.verify().is_err(), "{scheme:?} without {left_out}");
        }
        for repeated in &parameters {
            let mut sample = whole.clone();
            sample.query = format!("{}&{repeated}", sample.query);
            assert_eq!(condition(sample.claim()), Some(Condition::InvalidArgument), "{repeated}");
        }
    }
}

#[test]
fn two_schemes_at_once_are_refused() {
    for (scheme, presigned) in ALL {
        for (other, also_presigned) in ALL {
            if (scheme, presigned) == (other, also_presigned) {
                continue;
            }
            let one = get().sign(scheme, presigned);
            let two = get().sign(other, also_presigned);
            let mut both = one.clone();
            both.query = format!("{}&{}", one.query, two.query);
            both.headers.extend(two.headers);
            let refusal = condition(both.claim());
            assert_eq!(refusal, Some(Condition::InvalidArgument), "{scheme:?} {other:?}");
        }
    }
}

#[test]
fn the_payload_is_what_was_declared() {
    let streaming = |signed: bool, trailer| {
        let seed = "seed";
        let signing = signed.then(|| crate::signature::ChunkSigning::example(seed));
        Payload::Streaming(Streaming { signing, trailer })
    };
    for (declared, expected) in [
        ("UNSIGNED-PAYLOAD", Payload::Unsigned),
        (&"0a".repeat(32), Payload::Sha256([10; 32])),
        ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", streaming(false, true)),
    ] {
        for (scheme, presigned) in [(Scheme::S3V2, false), (Scheme::S3V2, true)] {
            let sample = get().header("x-amz-content-sha256", declared).sign(scheme, presigned);
            assert_eq!(sample.verify().unwrap().payload, expected, "{declared}");
        }
        let sample = get().header("x-amz-content-sha256", declared).sign(Scheme::S3V4, true);
        assert_eq!(sample.verify().unwrap().payload, expected, "{declared}");
    }
    for (declared, expected) in [
        ("", Condition::InvalidArgument),
        ("00", Condition::InvalidArgument),
        ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", Condition::InvalidArgument),
        ("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", Condition::NotImplemented),
    ] {
        let sample = get().header("x-amz-content-sha256", declared).sign(Scheme::S3V2, false);
        assert_eq!(refused(&sample), Some(expected), "{declared}");
    }
    let sample = get().header("x-oss-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
    assert_eq!(refused(&sample.sign(Scheme::OssV4, true)), Some(Condition::InvalidArgument));
}

#[test]
fn a_header_signature_without_content_hash_needs_an_empty_body() {
    let value = format!(
        "AWS4-HMAC-SHA256 Credential=AKID/20260102/r/s3/aws4_request,\
         SignedHeaders=host;x-amz-date,Signature={PLACEHOLDER}"
    );
    let sample = get().header("x-amz-date", "20260102T030405Z").header("authorization", &value);
    let payload = sample.clone().fill().unwrap().verify().unwrap().payload;
    assert!(matches!(payload, Payload::Sha256([0xe3, 0xb0, ..])));
    for (name, value) in [("content-length", "1"), ("transfer-encoding", "chunked")] {
        let with_body = sample.clone().header(name, value);
        assert_eq!(refused(&with_body), Some(Condition::MissingContentSha256));
    }
}

#[test]
fn a_date_header_alone_is_enough_for_s3_v4() {
    for date in ["Fri, 02 Jan 2026 03:04:05 GMT", "20260102T030405Z"] {
        let value = format!(
            "AWS4-HMAC-SHA256 Credential=AKID/20260102/r/s3/aws4_request,\
             SignedHeaders=date;host,Signature={PLACEHOLDER}"
        );
        let sample = get().header("date", date).header("authorization", &value).fill().unwrap();
        assert_eq!(refused(&sample), None);
    }
}

#[test]
fn dates_that_are_none_are_refused() {
    for (scheme, _) in ALL.into_iter().filter(|(_, presigned)| !presigned) {
        for date in ["", "\u{e9}", "Bad Date", "Tue, 07 Jul 1950 21:53:04 GMT"] {
            let mut sample = get().sign(scheme, false);
            let is_date = |name: &str| name.ends_with("date");
            let dates = sample.headers.iter_mut().filter(|(name, _)| is_date(name));
            dates.for_each(|(_, value)| *value = date.to_owned());
            assert_eq!(refused(&sample), Some(Condition::AccessDenied), "{scheme:?} {date}");
        }
    }
}

/// A path escaped in another way than ours is signed as it was sent.
#[test]
fn a_path_signed_as_sent_verifies() {
    let sample = Sample::new("GET", "localhost", "/bkt/a%2Fb%7E$c").sign(Scheme::S3V4, true);
    let raw = sample.with(|request| {
        let claim = claim(request)?.expect("signed");
        let attempts = claim.attempts(request)?;
        claim.sign(attempts.get(1).expect("a second attempt"), SECRET)
    });
    let mut sent = sample.clone();
    let (unsigned, _) = sample.query.split_once("&X-Amz-Signature=").unwrap();
    sent.query = format!("{unsigned}&X-Amz-Signature={}", raw.unwrap());
    assert_ne!(sent, sample);
    assert_eq!(refused(&sent), None);
    assert_eq!(refused(&sample), None);
}

#[test]
fn a_mismatch_explains_itself_without_tokens() {
    let sample = get()
        .header("x-amz-security-token", "canary/token")
        .header("x-amz-server-side-encryption-customer-key", "canarykey")
        .sign(Scheme::S3V4, false);
    assert_eq!(sample.claim().unwrap().unwrap().session_token.as_deref(), Some("canary/token"));
    let refusal = sample.verify_with("other", NOW).unwrap_err();
    let names: Vec<_> = refusal.fields.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        [
            "AWSAccessKeyId",
            "SignatureProvided",
            "StringToSign",
            "StringToSignBytes",
            "CanonicalRequest"
        ]
    );
    assert!(!format!("{refusal:?}").contains("canary"), "{refusal:?}");
    assert!(!format!("{:?}", sample.claim()).contains("canary"));
    let refusal = get().sign(Scheme::OssV1, true).verify_with("other", NOW).unwrap_err();
    assert_eq!(refusal.fields.first(), Some(&("OSSAccessKeyId", "AKID".to_owned())));
}

#[test]
fn hoisted_parameters_cannot_pass_for_headers() {
    let sample = get().parameter("x-amz-meta-a", "1\nx-amz-meta-b:2").sign_refused();
    assert_eq!(condition(sample.claim()), Some(Condition::InvalidArgument));
    let sample = get().parameter("x-amz-acl", "private").sign(Scheme::S3V2, true);
    assert_eq!(refused(&sample), None);
    let mut changed = sample;
    changed.query = changed.query.replace("x-amz-acl=private", "x-amz-acl=public-read");
    assert_eq!(refused(&changed), Some(Condition::SignatureDoesNotMatch));
}

impl Sample {
    fn sign_refused(self) -> Self {
        self.parameter("AWSAccessKeyId", "AKID")
            .parameter("Expires", "1767326645")
            .parameter("Signature", "x")
    }
}

/// The SDKs leave `accessmonitor` out of what they sign with V1.
#[test]
fn a_disputed_parameter_may_be_unsigned_in_a_header_but_never_in_a_url() {
    let with_disputed = |presigned, target| {
        let mut sample = Sample::new("GET", "bkt.example.com", target);
        sample = sample.sign(Scheme::OssV1, presigned);
        sample.parameter("accessmonitor", "")
    };
    assert!(with_disputed(false, "/").verify().is_ok());
    for (presigned, target) in [(true, "/"), (false, "/k"), (true, "/k")] {
        let refusal = with_disputed(presigned, target).verify().unwrap_err();
        assert_eq!(refusal.condition, Condition::SignatureDoesNotMatch, "{presigned} {target}");
    }
    let signed = Sample::new("GET", "bkt.example.com", "/?accessmonitor");
    assert!(signed.clone().sign(Scheme::OssV1, false).verify().is_ok());
    assert!(signed.sign(Scheme::OssV1, true).verify().is_ok());
    let mut acl = Sample::new("GET", "bkt.example.com", "/").sign(Scheme::OssV1, false);
    acl = acl.parameter("acl", "").parameter("accessmonitor", "");
    assert!(acl.verify().is_err(), "only the disputed parameter is forgiven");
}
