//! AWS Signature Version 2, in the header and in the query.
//!
//! Source: "Signing and authenticating REST requests (AWS signature version 2)" of the S3 manual.

use std::collections::BTreeMap;

use model::Condition;

use super::canonical::{joined, line, names, parameter, plain, text};
use super::claim::{authorization, key_and_signature};
use super::validity::{Moment, Validity};
use super::{Attempt, Claim, Refusal, Scheme, SignedRequest};
use crate::address::Style;
use crate::dialect::Dialect;

/// Parameters that are part of the signed resource, besides those beginning with `response-`.
///
/// The manual's list and every sub-resource made since, so that a URL signed for an object does not
/// open one of its sub-resources.
const SUB_RESOURCES: &[&str] = &[
    "accelerate",
    "acl",
    "analytics",
    "attributes",
    "cors",
    "delete",
    "encryption",
    "intelligent-tiering",
    "inventory",
    "legal-hold",
    "lifecycle",
    "location",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "ownershipControls",
    "partNumber",
    "policy",
    "policyStatus",
    "publicAccessBlock",
    "replication",
    "requestPayment",
    "restore",
    "retention",
    "select",
    "select-type",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "website",
];

pub(super) fn claim_header(request: &SignedRequest) -> Result<Claim, Refusal> {
    let (access_key, signature) = key_and_signature(authorization(request, "AWS")?, Dialect::S3)?;
    let date = text(request, "x-amz-date").or_else(|| text(request, "date"));
    let moment = date.and_then(Moment::parse).ok_or_else(|| {
        let detail = "AWS authentication requires a valid Date or x-amz-date header";
        Refusal::new(Condition::AccessDenied, detail)
    })?;
    Ok(Claim {
        scheme: Scheme::S3V2,
        access_key,
        presigned: false,
        session_token: text(request, "x-amz-security-token").map(str::to_owned),
        signature,
        validity: Validity::At(moment),
        scope: None,
        named: names(request, "x-amz-"),
    })
}

pub(super) fn claim_query(
    request: &SignedRequest,
    pairs: &[(String, String)],
) -> Result<Claim, Refusal> {
    let required = |name| {
        parameter(pairs, name).ok_or_else(|| {
            let detail = "Query-string authentication requires the Signature, Expires and \
                AWSAccessKeyId parameters";
            Refusal::new(Condition::AccessDenied, detail)
        })
    };
    let [access_key, signature] = [required("AWSAccessKeyId")?, required("Signature")?];
    let validity = Validity::until(required("Expires")?)?;
    if let Some((name, value)) = pairs.iter().find(|(_, value)| value.contains(char::is_control)) {
        // In the signed text a line end would pass for the beginning of another header.
        return Err(Refusal::argument("A parameter holds a control character.", name, value));
    }
    let token = parameter(pairs, "x-amz-security-token");
    Ok(Claim {
        scheme: Scheme::S3V2,
        access_key: access_key.to_owned(),
        presigned: true,
        session_token: token.or_else(|| text(request, "x-amz-security-token")).map(str::to_owned),
        signature: signature.to_owned(),
        validity,
        scope: None,
        named: names(request, "x-amz-"),
    })
}

/// A client may sign `/bucket/` while it asks for `/bucket`: both name the bucket.
pub(super) fn attempts(
    claim: &Claim,
    request: &SignedRequest,
    pairs: &[(String, String)],
) -> Vec<Attempt> {
    let as_sent = attempt(claim, request, pairs, request.raw_path);
    let is_bare = request.address.key.is_none() && !request.raw_path.ends_with('/');
    let with_slash = is_bare.then(|| format!("{}/", request.raw_path));
    let with_slash = with_slash.map(|path| attempt(claim, request, pairs, &path));
    [Some(as_sent), with_slash].into_iter().flatten().collect()
}

fn attempt(
    claim: &Claim,
    request: &SignedRequest,
    pairs: &[(String, String)],
    raw_path: &str,
) -> Attempt {
    let date = match &claim.validity {
        Validity::Until(expires, _) => expires.clone().into_bytes(),
        _ if request.headers.contains_key("x-amz-date") => Vec::new(),
        _ => plain(request, "date"),
    };
    let mut text = format!("{}\n", request.method).into_bytes();
    for part in [field(claim, request, pairs, "content-md5"), {
        field(claim, request, pairs, "content-type")
    }] {
        text.extend(part);
        text.push(b'\n');
    }
    text.extend(date);
    text.push(b'\n');
    text.extend(header_block(claim, request, pairs));
    text.extend(resource(request, pairs, raw_path).into_bytes());
    Attempt { string_to_sign: text, canonical_request: None }
}

/// SDKs that make URLs put the headers they sign into the query.
fn field(
    claim: &Claim,
    request: &SignedRequest,
    pairs: &[(String, String)],
    name: &str,
) -> Vec<u8> {
    match parameter(pairs, name) {
        Some(value) if claim.presigned && !request.headers.contains_key(name) => {
            value.as_bytes().to_vec()
        }
        _ => plain(request, name),
    }
}

fn header_block(claim: &Claim, request: &SignedRequest, pairs: &[(String, String)]) -> Vec<u8> {
    let headers = claim.named.iter().map(|name| (name.clone(), plain(request, name)));
    let mut values: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    let hoisted = pairs.iter().filter(|(name, _)| claim.presigned && name.starts_with("x-amz-"));
    let hoisted = hoisted.map(|(name, value)| (name.clone(), value.trim().as_bytes().to_vec()));
    for (name, value) in headers.chain(hoisted) {
        values.entry(name).or_default().push(value);
    }
    let mut lines = Vec::new();
    for (name, values) in &values {
        line(&mut lines, name, &values.join(&b','));
    }
    lines
}

fn resource(request: &SignedRequest, pairs: &[(String, String)], raw_path: &str) -> String {
    let bucket = match (request.address.style, &request.address.bucket) {
        (Style::VirtualHost, Some(bucket)) => format!("/{bucket}"),
        _ => String::new(),
    };
    let mut signed: Vec<_> = pairs.iter().filter(|(name, _)| is_signed(name)).collect();
    signed.sort_unstable();
    let query = joined(signed.into_iter().map(|(name, value)| (&**name, &**value)), true);
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{bucket}{raw_path}{mark}{query}")
}

pub(super) fn is_signed(name: &str) -> bool {
    name.starts_with("response-") || SUB_RESOURCES.contains(&name)
}
