//! OSS signature version 2, in the header and in the URL; few clients ever used it.
//!
//! Source: the `AuthV2` of the Python SDK `oss2` and of the Go SDK 1.x.

use super::canonical::{Blanks, header_lines, name_list, name_text, names, parameter, query, text};
use super::claim::{authorization, header_malformed, query_malformed};
use super::oss_v1::{head, moment};
use super::validity::Validity;
use super::{Attempt, Claim, Refusal, Scheme, SignedRequest};
use crate::encoding::encode;

pub(super) fn claim_header(request: &SignedRequest) -> Result<Claim, Refusal> {
    let malformed = || {
        header_malformed("expecting AccessKeyId:<id>[,AdditionalHeaders:<names>],Signature:<text>.")
    };
    let rest = authorization(request, "OSS2")?.strip_prefix("AccessKeyId:");
    let parts = rest.and_then(|rest| rest.rsplit_once("Signature:"));
    let (front, signature) = parts.ok_or_else(malformed)?;
    let front = front.trim_end().strip_suffix(',').ok_or_else(malformed)?;
    let (access_key, named) = match front.rsplit_once("AdditionalHeaders:") {
        Some((front, named)) => {
            (front.trim_end().strip_suffix(',').ok_or_else(malformed)?, name_list(named))
        }
        None => (front, name_list("")),
    };
    if access_key.is_empty() {
        return Err(malformed());
    }
    Ok(Claim {
        scheme: Scheme::OssV2,
        access_key: access_key.to_owned(),
        presigned: false,
        session_token: text(request, "x-oss-security-token").map(str::to_owned),
        signature: signature.trim().to_owned(),
        validity: Validity::At(moment(request)?),
        scope: None,
        named,
    })
}

pub(super) fn claim_query(
    request: &SignedRequest,
    pairs: &[(String, String)],
) -> Result<Claim, Refusal> {
    let required = |name| {
        parameter(pairs, name).ok_or_else(|| {
            query_malformed(
                "Query-string authentication version 2 requires the x-oss-access-key-id, \
                 x-oss-expires and x-oss-signature parameters.",
            )
        })
    };
    let access_key = required("x-oss-access-key-id")?;
    let signature = required("x-oss-signature")?;
    let validity = Validity::until(required("x-oss-expires")?)?;
    let token = parameter(pairs, "x-oss-security-token").or_else(|| {
        parameter(pairs, "security-token").or_else(|| text(request, "x-oss-security-token"))
    });
    Ok(Claim {
        scheme: Scheme::OssV2,
        access_key: access_key.to_owned(),
        presigned: true,
        session_token: token.map(str::to_owned),
        signature: signature.to_owned(),
        validity,
        scope: None,
        named: name_list(parameter(pairs, "x-oss-additional-headers").unwrap_or_default()),
    })
}

pub(super) fn attempt(
    claim: &Claim,
    request: &SignedRequest,
    pairs: &[(String, String)],
) -> Attempt {
    let mut signed = names(request, "x-oss-");
    signed.extend(claim.named.iter().cloned());
    let left_out = claim.presigned.then_some("x-oss-signature");
    let query = query(pairs, left_out, true);
    let mark = if query.is_empty() { "" } else { "?" };
    let (named, resource) = (name_text(&claim.named), encode(request.address.resource()));
    let mut text = head(claim, request);
    text.extend(header_lines(request, &signed, Blanks::Trimmed));
    text.extend(format!("{named}\n{resource}{mark}{query}").into_bytes());
    Attempt { string_to_sign: text, canonical_request: None }
}
