//! Which signature scheme a request uses; never more than one.

use actix_web::http::header::HeaderMap;
use model::Condition;

use super::Refusal;
use crate::dialect::Dialect;

/// A way to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    S3V4,
    S3V2,
    OssV1,
    OssV2,
    OssV4,
}

impl Scheme {
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::S3V4 | Self::S3V2 => Dialect::S3,
            Self::OssV1 | Self::OssV2 | Self::OssV4 => Dialect::Oss,
        }
    }
}

/// Parameters that carry a signature or say how to check it.
const SINGLE_PARAMETERS: &[&str] = &[
    "AWSAccessKeyId",
    "Expires",
    "OSSAccessKeyId",
    "Signature",
    "X-Amz-Algorithm",
    "X-Amz-Content-Sha256",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-Security-Token",
    "X-Amz-Signature",
    "X-Amz-SignedHeaders",
    "security-token",
    "x-amz-security-token",
    "x-oss-access-key-id",
    "x-oss-additional-headers",
    "x-oss-credential",
    "x-oss-date",
    "x-oss-expires",
    "x-oss-security-token",
    "x-oss-signature",
    "x-oss-signature-version",
];

/// Headers of the same kind.
const SINGLE_HEADERS: &[&str] = &[
    "authorization",
    "content-md5",
    "content-type",
    "date",
    "host",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-decoded-content-length",
    "x-amz-security-token",
    "x-oss-content-sha256",
    "x-oss-date",
    "x-oss-security-token",
];

/// Finds the scheme and whether the signature is in the query; `None` is an anonymous request.
///
/// # Errors
/// `InvalidArgument` for two schemes at once, a repeated part of a signature, an unknown version or
/// an unknown kind of `Authorization`; `AccessDenied` for an empty one; `NotImplemented` for ECDSA.
pub fn scheme(
    headers: &HeaderMap,
    query: &[(String, String)],
) -> Result<Option<(Scheme, bool)>, Refusal> {
    refuse_repeated(headers, query)?;
    let mut found = Vec::new();
    if let Some(value) = headers.get("authorization") {
        found.push((of_header(value.as_bytes())?, false));
    }
    found.extend(of_query(query)?.into_iter().map(|scheme| (scheme, true)));
    match *found.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        _ => {
            let detail = "Only one auth mechanism allowed; only the X-Amz-Algorithm query \
                parameter, Signature query string parameter or the Authorization header should be \
                specified";
            Err(Refusal::new(Condition::InvalidArgument, detail))
        }
    }
}

fn refuse_repeated(headers: &HeaderMap, query: &[(String, String)]) -> Result<(), Refusal> {
    for name in SINGLE_PARAMETERS {
        if query.iter().filter(|(found, _)| found == name).count() > 1 {
            return Err(Refusal::argument("A parameter was given more than once.", name, ""));
        }
    }
    for name in SINGLE_HEADERS {
        if headers.get_all(*name).count() > 1 {
            return Err(Refusal::argument("A header was given more than once.", name, ""));
        }
    }
    Ok(())
}

fn of_header(value: &[u8]) -> Result<Scheme, Refusal> {
    let value = value.trim_ascii();
    let kind = value.split(|byte| *byte == b' ').next().unwrap_or_default();
    match kind {
        b"AWS4-HMAC-SHA256" => Ok(Scheme::S3V4),
        b"AWS" => Ok(Scheme::S3V2),
        b"OSS4-HMAC-SHA256" => Ok(Scheme::OssV4),
        b"OSS2" => Ok(Scheme::OssV2),
        b"OSS" => Ok(Scheme::OssV1),
        b"AWS4-ECDSA-P256-SHA256" => Err(ecdsa()),
        b"" => Err(Refusal::new(Condition::AccessDenied, "The Authorization header is empty.")),
        _ => {
            let detail = "Unsupported Authorization Type";
            let refusal = Refusal::new(Condition::InvalidArgument, detail);
            Err(refusal.with("ArgumentName", "Authorization"))
        }
    }
}

/// Every scheme of which a part is in the query.
fn of_query(query: &[(String, String)]) -> Result<Vec<Scheme>, Refusal> {
    let value = |wanted: &str| {
        query.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
    };
    let any = |names: &[&str]| names.iter().any(|name| value(name).is_some());
    let mut found = Vec::new();
    if any(&["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature"]) {
        if value("X-Amz-Algorithm") == Some("AWS4-ECDSA-P256-SHA256") {
            return Err(ecdsa());
        }
        found.push(Scheme::S3V4);
    }
    let is_v1 = any(&["OSSAccessKeyId"]);
    if is_v1 {
        found.push(Scheme::OssV1);
    }
    if any(&["AWSAccessKeyId"]) || any(&["Signature"]) && !is_v1 {
        found.push(Scheme::S3V2);
    }
    match value("x-oss-signature-version") {
        Some("OSS2") => found.push(Scheme::OssV2),
        Some("OSS4-HMAC-SHA256") => found.push(Scheme::OssV4),
        Some(other) => {
            let detail = "The signature version is not supported.";
            return Err(Refusal::argument(detail, "x-oss-signature-version", other));
        }
        None if any(&["x-oss-credential", "x-oss-access-key-id", "x-oss-signature"]) => {
            let detail = "The x-oss-signature-version parameter is missing.";
            return Err(Refusal::argument(detail, "x-oss-signature-version", ""));
        }
        None => {}
    }
    Ok(found)
}

fn ecdsa() -> Refusal {
    let detail = "AWS4-ECDSA-P256-SHA256 signatures are not implemented.";
    Refusal::new(Condition::NotImplemented, detail)
}
