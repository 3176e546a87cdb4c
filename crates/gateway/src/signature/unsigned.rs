//! Parameters that would be taken for headers, or for others than were signed.
//!
//! The schemes of version 1 and 2 sign a part of the query and join it without escapes. Whatever
//! could be added to a signed URL, or be split or joined in it, without changing the signed text
//! must be refused; the other schemes sign every parameter, escaped.

use actix_web::http::header::HeaderName;
use model::Condition;

use super::{Refusal, Scheme, SignedRequest, s3_v2};

/// Refuses what the scheme does not sign although its name is that of a header.
///
/// # Errors
/// `AccessDenied` for a parameter that is not signed, or not as it would be read;
/// `InvalidArgument` for one given twice.
pub(super) fn refuse(
    scheme: Scheme,
    presigned: bool,
    request: &SignedRequest,
    pairs: &[(String, String)],
) -> Result<(), Refusal> {
    if !matches!(scheme, Scheme::S3V2 | Scheme::OssV1) {
        return Ok(());
    }
    let prefix = scheme.dialect().header_prefix();
    for (name, value) in pairs {
        if scheme == Scheme::S3V2 && s3_v2::is_ambiguous(name, value) {
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

fn not_signed(detail: &str, name: &str) -> Refusal {
    Refusal::new(Condition::AccessDenied, detail).with("ParametersNotSigned", name)
}

/// Lower case, and nothing but what the name of a header may hold.
fn is_header_name(name: &str) -> bool {
    HeaderName::try_from(name).is_ok_and(|header| header.as_str() == name)
}
