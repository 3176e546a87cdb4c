//! AWS Signature Version 4, in the header and in the query.
//!
//! Source: "Authenticating Requests: Using the Authorization Header" and "Using Query Parameters"
//! of the S3 API reference.

use model::Condition;

use super::canonical::{
    Blanks, header_lines, name_list, name_text, names, parameter, query, sha256_hex, text,
};
use super::claim::{authorization, components, header_malformed, query_malformed};
use super::scope::Scope;
use super::validity::{Moment, Validity, presign_seconds};
use super::{Attempt, Claim, Refusal, Scheme, SignedRequest};
use crate::encoding::{decode, encode_path};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const CONTENT_SHA256: &str = "x-amz-content-sha256";
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

pub(super) fn claim_header(request: &SignedRequest) -> Result<Claim, Refusal> {
    let incomplete = || {
        header_malformed(
            "the authorization header requires three components: Credential, SignedHeaders, and \
             Signature.",
        )
    };
    let text_sent = authorization(request, ALGORITHM)?;
    let parts = components(text_sent, ["Credential", "SignedHeaders", "Signature"]);
    let Some([Some(credential), Some(signed), Some(signature)]) = parts else {
        return Err(incomplete());
    };
    let (access_key, scope) = Scope::parse(credential, Scheme::S3V4, request.form_sha256.is_some())
        .map_err(header_malformed)?;
    let date = text(request, "x-amz-date").or_else(|| text(request, "date"));
    let moment = date.and_then(Moment::parse).ok_or_else(|| {
        let detail = "AWS authentication requires a valid Date or x-amz-date header";
        Refusal::new(Condition::AccessDenied, detail)
    })?;
    Ok(Claim {
        scheme: Scheme::S3V4,
        access_key,
        presigned: false,
        session_token: text(request, "x-amz-security-token").map(str::to_owned),
        signature: signature.to_owned(),
        validity: Validity::At(moment),
        scope: Some(scope),
        named: name_list(signed),
    })
}

pub(super) fn claim_query(
    request: &SignedRequest,
    pairs: &[(String, String)],
) -> Result<Claim, Refusal> {
    let required = |name| {
        parameter(pairs, name).ok_or_else(|| {
            query_malformed(
                "Query-string authentication version 4 requires the X-Amz-Algorithm, \
                 X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and \
                 X-Amz-Expires parameters.",
            )
        })
    };
    let algorithm = required("X-Amz-Algorithm")?;
    let [credential, signature] = [required("X-Amz-Credential")?, required("X-Amz-Signature")?];
    let [date, signed] = [required("X-Amz-Date")?, required("X-Amz-SignedHeaders")?];
    let expires = required("X-Amz-Expires")?;
    if algorithm != ALGORITHM {
        let detail = "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256 and \
            AWS4-ECDSA-P256-SHA256\"";
        return Err(query_malformed(detail));
    }
    let (access_key, scope) = Scope::parse(credential, Scheme::S3V4, false).map_err(|fault| {
        query_malformed(format!("Error parsing the X-Amz-Credential parameter; {fault}"))
    })?;
    let moment = Moment::parse_iso_basic(date).ok_or_else(|| {
        query_malformed("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
    })?;
    let seconds = presign_seconds(expires, "X-Amz-Expires").map_err(query_malformed)?;
    let token = parameter(pairs, "X-Amz-Security-Token");
    Ok(Claim {
        scheme: Scheme::S3V4,
        access_key,
        presigned: true,
        session_token: token.or_else(|| text(request, "x-amz-security-token")).map(str::to_owned),
        signature: signature.to_owned(),
        validity: Validity::Window(moment, seconds),
        scope: Some(scope),
        named: name_list(signed),
    })
}

/// The canonical path is the decoded one, escaped again. Some clients escape more or less than
/// that and sign what they send; that is the second attempt, and names the same key.
pub(super) fn attempts(
    claim: &Claim,
    request: &SignedRequest,
    pairs: &[(String, String)],
) -> Result<Vec<Attempt>, Refusal> {
    check_signed_headers(claim, request)?;
    let escaped = encode_path(decode(request.raw_path)?);
    let left_out = claim.presigned.then_some("X-Amz-Signature");
    let query = query(pairs, left_out, false);
    let scope = claim.scope()?.text();
    let stamp = claim.moment().map(Moment::iso_basic).unwrap_or_default();
    let (signed, payload) = (name_text(&claim.named), declared(claim, request)?);
    let attempt = |path: &str| {
        let mut canonical = format!("{}\n{path}\n{query}\n", request.method).into_bytes();
        canonical.extend(header_lines(request, &claim.named, Blanks::Folded));
        canonical.extend(format!("\n{signed}\n{payload}").into_bytes());
        let hash = sha256_hex(&canonical);
        Attempt {
            string_to_sign: format!("{ALGORITHM}\n{stamp}\n{scope}\n{hash}").into_bytes(),
            canonical_request: Some(canonical),
        }
    };
    let mut attempts = vec![attempt(&escaped)];
    if request.raw_path != escaped && !request.raw_path.contains('\n') {
        attempts.push(attempt(request.raw_path));
    }
    Ok(attempts)
}

/// What stands for the body in the signed text.
///
/// A header-signed request without the header is accepted when it has no body, because some general
/// V4 signers omit it.
///
/// # Errors
/// `MissingContentSha256` when there is a body.
pub(super) fn declared(claim: &Claim, request: &SignedRequest) -> Result<String, Refusal> {
    if let Some(sent) = text(request, CONTENT_SHA256) {
        return Ok(sent.to_owned());
    }
    if claim.presigned {
        let pairs = crate::encoding::query_pairs(request.raw_query)?;
        let sent = parameter(&pairs, "X-Amz-Content-Sha256");
        return Ok(sent.unwrap_or("UNSIGNED-PAYLOAD").to_owned());
    }
    if let Some(sha256) = request.form_sha256 {
        return Ok(hex::encode(sha256));
    }
    let empty = text(request, "content-length").is_none_or(|length| length == "0");
    if empty && !request.headers.contains_key("transfer-encoding") {
        return Ok(EMPTY_SHA256.to_owned());
    }
    let detail = format!("Missing required header for this request: {CONTENT_SHA256}");
    Err(Refusal::new(Condition::MissingContentSha256, detail))
}

/// `host` and every `x-amz-*` header must be signed, in presigned requests too.
///
/// `x-amz-content-sha256` need not be listed: its value is in the signed text in any case.
fn check_signed_headers(claim: &Claim, request: &SignedRequest) -> Result<(), Refusal> {
    let mut needed = names(request, "x-amz-");
    needed.remove(CONTENT_SHA256);
    needed.insert("host".to_owned());
    let unsigned: Vec<_> = needed.difference(&claim.named).map(String::as_str).collect();
    if unsigned.is_empty() {
        return Ok(());
    }
    let detail = "There were headers present in the request which were not signed";
    let refusal = Refusal::new(Condition::AccessDenied, detail);
    Err(refusal.with("HeadersNotSigned", unsigned.join(", ")))
}
