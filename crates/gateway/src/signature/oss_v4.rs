//! OSS signature version 4, in the header and in the URL.
//!
//! Source: "Include signatures in the Authorization header (V4)" and "Include signatures in URLs
//! (V4)" of the OSS manual.

use super::canonical::{
    Blanks, header_lines, name_list, name_text, names, parameter, query, sha256_hex, text,
};
use super::claim::{authorization, components, header_malformed, query_malformed};
use super::oss_v1;
use super::scope::Scope;
use super::validity::{Moment, Validity, presign_seconds};
use super::{Attempt, Claim, Refusal, Scheme, SignedRequest};
use crate::encoding::encode_path;

const ALGORITHM: &str = "OSS4-HMAC-SHA256";

pub(super) fn claim_header(request: &SignedRequest) -> Result<Claim, Refusal> {
    let sent = authorization(request, ALGORITHM)?;
    let parts = components(sent, ["Credential", "Signature", "AdditionalHeaders"]);
    let Some([Some(credential), Some(signature), named]) = parts else {
        return Err(header_malformed(
            "expecting Credential=<id>/<scope>[,AdditionalHeaders=<names>],Signature=<text>.",
        ));
    };
    let (access_key, scope) =
        Scope::parse(credential, Scheme::OssV4, false).map_err(header_malformed)?;
    Ok(Claim {
        scheme: Scheme::OssV4,
        access_key,
        presigned: false,
        session_token: text(request, "x-oss-security-token").map(str::to_owned),
        signature: signature.to_owned(),
        validity: Validity::At(oss_v1::moment(request)?),
        scope: Some(scope),
        named: name_list(named.unwrap_or_default()),
    })
}

pub(super) fn claim_query(
    request: &SignedRequest,
    pairs: &[(String, String)],
) -> Result<Claim, Refusal> {
    let required = |name| {
        parameter(pairs, name).ok_or_else(|| {
            query_malformed(
                "Query-string authentication version 4 requires the x-oss-credential, x-oss-date, \
                 x-oss-expires and x-oss-signature parameters.",
            )
        })
    };
    let [credential, signature] = [required("x-oss-credential")?, required("x-oss-signature")?];
    let [date, expires] = [required("x-oss-date")?, required("x-oss-expires")?];
    let (access_key, scope) = Scope::parse(credential, Scheme::OssV4, false).map_err(|fault| {
        query_malformed(format!("Error parsing the x-oss-credential parameter; {fault}"))
    })?;
    let moment = Moment::parse_iso_basic(date).ok_or_else(|| {
        query_malformed("x-oss-date must be in the ISO8601 form \"yyyyMMdd'T'HHmmss'Z'\"")
    })?;
    let seconds = presign_seconds(expires, "x-oss-expires").map_err(query_malformed)?;
    let token = parameter(pairs, "x-oss-security-token");
    Ok(Claim {
        scheme: Scheme::OssV4,
        access_key,
        presigned: true,
        session_token: token.or_else(|| text(request, "x-oss-security-token")).map(str::to_owned),
        signature: signature.to_owned(),
        validity: Validity::Window(moment, seconds),
        scope: Some(scope),
        named: name_list(parameter(pairs, "x-oss-additional-headers").unwrap_or_default()),
    })
}

pub(super) fn attempt(
    claim: &Claim,
    request: &SignedRequest,
    pairs: &[(String, String)],
) -> Result<Attempt, Refusal> {
    let path = encode_path(request.address.resource());
    let left_out = claim.presigned.then_some("x-oss-signature");
    let query = query(pairs, left_out, true);
    let mut signed = names(request, "x-oss-");
    signed.extend(["content-type", "content-md5"].map(str::to_owned));
    signed.extend(claim.named.iter().cloned());
    let mut canonical = format!("{}\n{path}\n{query}\n", request.method).into_bytes();
    canonical.extend(header_lines(request, &signed, Blanks::Trimmed));
    let named = name_text(&claim.named);
    canonical.extend(format!("\n{named}\n{}", declared(request)).into_bytes());
    let hash = sha256_hex(&canonical);
    // Clients that send no `x-oss-date` sign the very text of their `Date`.
    let stamp = claim.moment().map(|moment| moment.text.as_str()).unwrap_or_default();
    let scope = claim.scope()?.text();
    Ok(Attempt {
        string_to_sign: format!("{ALGORITHM}\n{stamp}\n{scope}\n{hash}").into_bytes(),
        canonical_request: Some(canonical),
    })
}

/// What stands for the body in the signed text.
pub(super) fn declared(request: &SignedRequest) -> String {
    text(request, "x-oss-content-sha256").unwrap_or("UNSIGNED-PAYLOAD").to_owned()
}
