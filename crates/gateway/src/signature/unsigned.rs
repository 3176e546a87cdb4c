//! Parameters that would be taken for headers, or for others than were signed.
//!
//! The schemes of version 1 and 2 sign a part of the query and join it without escapes. Whatever
//! could be added to a signed URL, or be split or joined in it, without changing the signed text
//! must be refused; the other schemes sign every parameter, escaped.

use actix_web::http::header::HeaderName;
use model::Condition;

use super::{Refusal, Scheme, SignedRequest, oss_v1, s3_v2};

/// Refuses what the scheme does not sign although its name is that of a header.
///
/// # Errors
/// `AccessDenied` for a parameter or key that is not signed, or not as it would be read;
/// `InvalidArgument` for a parameter given twice.
pub(super) fn refuse(
    scheme: Scheme,
    presigned: bool,
    request: &SignedRequest,
    pairs: &[(String, String)],
) -> Result<(), Refusal> {
    let in_signed_text: IsSigned = match scheme {
        Scheme::S3V2 => s3_v2::is_signed,
        Scheme::OssV1 => oss_v1::is_signed,
        _ => return Ok(()),
    };
    let key = request.address.key.as_deref().unwrap_or_default();
    if scheme == Scheme::OssV1 && presigned && is_ambiguous_key(key, in_signed_text) {
        return Err(not_signed("The URL can be read in more than one way.", key));
    }
    let prefix = scheme.dialect().header_prefix();
    for (name, value) in pairs {
        if is_ambiguous(name, value, in_signed_text) {
            return Err(not_signed("The query can be read in more than one way.", name));
        }
        if !name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)) {
            continue;
        }
        let signed = is_header_name(name) && (presigned || scheme == Scheme::OssV1);
        if !signed {
            let detail = "There were parameters present in the request which were not signed";
            return Err(not_signed(detail, name));
        }
        let times = pairs.iter().filter(|(other, _)| other == name).count();
        if times > 1 || scheme == Scheme::S3V2 && request.headers.contains_key(name.as_str()) {
            // Signed as one list, of which only the first part would count.
            return Err(Refusal::argument("A header was given more than once.", name, value));
        }
    }
    Ok(())
}

/// Whether the signed text holds a parameter of that name.
type IsSigned = fn(&str) -> bool;

/// Whether a parameter could be taken for others in the signed text.
fn is_ambiguous(name: &str, value: &str, is_signed: IsSigned) -> bool {
    let named = |part: &str| begins_with_signed(part, is_signed);
    is_signed(name) && (name.contains(['&', '=']) || value.split('&').skip(1).any(named))
}

/// Whether the end of a key could be taken for parameters: OSS signs keys without escapes.
///
/// In URLs only. Such keys exist where web pages were mirrored, and clients that sign headers
/// shall reach them.
fn is_ambiguous_key(key: &str, is_signed: IsSigned) -> bool {
    key.split('?').skip(1).any(|part| begins_with_signed(part, is_signed))
}

fn begins_with_signed(text: &str, is_signed: IsSigned) -> bool {
    is_signed(text.split(['=', '&']).next().unwrap_or_default())
}

fn not_signed(detail: &str, name: &str) -> Refusal {
    Refusal::new(Condition::AccessDenied, detail).with("ParametersNotSigned", name)
}

/// Lower case, and nothing but what the name of a header may hold.
fn is_header_name(name: &str) -> bool {
    HeaderName::try_from(name).is_ok_and(|header| header.as_str() == name)
}
