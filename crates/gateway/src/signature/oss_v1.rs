//! OSS signature version 1, in the header and in the URL.
//!
//! Source: "Include signatures in the Authorization header (V1)" and "Include signatures in URLs
//! (V1)" of the OSS manual.

use model::Condition;

use super::canonical::{Blanks, header_lines, joined, names, parameter, plain, text};
use super::claim::{authorization, key_and_signature};
use super::validity::{Moment, Validity};
use super::{Attempt, Claim, Refusal, Scheme, SignedRequest};
use crate::dialect::Dialect;

/// Parameters that are part of the signed resource, besides those beginning with `x-oss-`.
///
/// The union over the SDKs.
#[rustfmt::skip]
const SUB_RESOURCES: &[&str] = &[
    "accessPoint", "accessPointPolicy", "accessmonitor", "acl", "append", "asyncFetch",
    "bucketArchiveDirectRead", "bucketInfo", "callback", "callback-var", "cloudboxes", "cname",
    "comp", "continuation-token", "cors", "delete", "encryption", "endTime", "group",
    "httpsConfig", "img", "inventory", "inventoryId", "legalHold", "lifecycle", "link", "live",
    "location", "logging", "metaQuery", "objectInfo", "objectMeta", "objectWorm",
    "overwriteConfig", "partNumber", "policy", "policyStatus", "position", "publicAccessBlock",
    "qos", "qosInfo", "qosRequester", "redundancyTransition", "referer", "regionList",
    "replication", "replicationLocation", "replicationProgress", "requestPayment",
    "requesterQosInfo", "resourceGroup", "resourcePool", "resourcePoolBuckets",
    "resourcePoolInfo", "response-cache-control", "response-content-disposition",
    "response-content-encoding", "response-content-language", "response-content-type",
    "response-expires", "responseHeader", "restore", "retention", "rtc", "seal",
    "security-token", "sequential", "startTime", "stat", "status", "style", "styleName",
    "symlink", "tagging", "transferAcceleration", "udf", "udfApplication", "udfApplicationLog",
    "udfId", "udfImage", "udfImageDesc", "udfName", "uploadId", "uploads",
    "userDefinedLogFieldsConfig", "versionId", "versioning", "versions", "vod", "website",
    "withHashContext", "worm", "wormExtend", "wormId",
];

/// Sub-resources of buckets that SDKs ask for without signing them.
const DISPUTED: &[&str] = &["accessmonitor"];

pub(super) fn claim_header(request: &SignedRequest) -> Result<Claim, Refusal> {
    let (access_key, signature) = key_and_signature(authorization(request, "OSS")?, Dialect::Oss)?;
    Ok(Claim {
        scheme: Scheme::OssV1,
        access_key,
        presigned: false,
        session_token: text(request, "x-oss-security-token").map(str::to_owned),
        signature,
        validity: Validity::At(moment(request)?),
        scope: None,
        named: names(request, "x-oss-"),
    })
}

pub(super) fn claim_query(
    request: &SignedRequest,
    pairs: &[(String, String)],
) -> Result<Claim, Refusal> {
    let required = |name| {
        parameter(pairs, name).ok_or_else(|| {
            let detail = "Query-string authentication requires the Signature, Expires and \
                OSSAccessKeyId parameters";
            Refusal::new(Condition::AccessDenied, detail)
        })
    };
    let [access_key, signature] = [required("OSSAccessKeyId")?, required("Signature")?];
    let validity = Validity::until(required("Expires")?)?;
    let token = parameter(pairs, "security-token");
    Ok(Claim {
        scheme: Scheme::OssV1,
        access_key: access_key.to_owned(),
        presigned: true,
        session_token: token.or_else(|| text(request, "x-oss-security-token")).map(str::to_owned),
        signature: signature.to_owned(),
        validity,
        scope: None,
        named: names(request, "x-oss-"),
    })
}

/// A client may leave a disputed parameter unsigned, but only where it asks for it at once: a URL
/// that was given away opens nothing but what was signed.
pub(super) fn attempts(
    claim: &Claim,
    request: &SignedRequest,
    pairs: &[(String, String)],
) -> Vec<Attempt> {
    let disputed = |name: &str| DISPUTED.contains(&name);
    let about_bucket = request.address.bucket.is_some() && request.address.key.is_none();
    let lenient = !claim.presigned && about_bucket && pairs.iter().any(|(name, _)| disputed(name));
    let strict = attempt(claim, request, pairs, is_signed);
    let without = |name: &str| is_signed(name) && !disputed(name);
    let loose = lenient.then(|| attempt(claim, request, pairs, without));
    [Some(strict), loose].into_iter().flatten().collect()
}

fn attempt(
    claim: &Claim,
    request: &SignedRequest,
    pairs: &[(String, String)],
    is_signed: impl Fn(&str) -> bool,
) -> Attempt {
    let mut signed: Vec<_> = pairs.iter().filter(|(name, _)| is_signed(name)).collect();
    signed.sort_unstable();
    let query = joined(signed.into_iter().map(|(name, value)| (&**name, &**value)), true);
    let mark = if query.is_empty() { "" } else { "?" };
    let mut text = head(claim, request);
    text.extend(header_lines(request, &claim.named, Blanks::Trimmed));
    text.extend(format!("{}{mark}{query}", request.address.resource()).into_bytes());
    Attempt { string_to_sign: text, canonical_request: None }
}

/// The four lines V1 and V2 begin with: method, `Content-MD5`, `Content-Type`, date or expiry.
pub(super) fn head(claim: &Claim, request: &SignedRequest) -> Vec<u8> {
    let date = match &claim.validity {
        Validity::Until(expires, _) => expires.clone().into_bytes(),
        _ if request.headers.contains_key("x-oss-date") => plain(request, "x-oss-date"),
        _ => plain(request, "date"),
    };
    let parts = [
        request.method.as_bytes().to_vec(),
        plain(request, "content-md5"),
        plain(request, "content-type"),
        date,
        Vec::new(),
    ];
    parts.join(&b'\n')
}

/// The time a header-signed request was made.
pub(super) fn moment(request: &SignedRequest) -> Result<Moment, Refusal> {
    let date = text(request, "x-oss-date").or_else(|| text(request, "date"));
    date.and_then(Moment::parse).ok_or_else(|| {
        Refusal::new(Condition::AccessDenied, "OSS authentication requires a valid Date.")
    })
}

pub(super) fn is_signed(name: &str) -> bool {
    name.starts_with("x-oss-") || SUB_RESOURCES.contains(&name)
}
