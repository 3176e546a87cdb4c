//! Reading and checking a signature, whatever its scheme.

use std::collections::BTreeSet;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use model::Condition;

use super::canonical::{Blanks, header};
use super::mac::{hmac_sha1, hmac_sha256, same};
use super::payload::Declared;
use super::scope::Scope;
use super::validity::{Moment, Validity};
use super::{
    Attempt, ChunkSigning, Payload, Refusal, Scheme, SignedRequest, Streaming, oss_v1, oss_v2,
    oss_v4, s3_v2, s3_v4, unsigned, unsigned_payload,
};
use crate::dialect::Dialect;
use crate::encoding::{encode, query_pairs};

/// What a request says about its signer. Nothing of it is proven before [`Claim::verify`].
#[derive(Clone)]
pub struct Claim {
    pub scheme: Scheme,
    pub access_key: String,
    /// Whether the signature is in the query.
    pub presigned: bool,
    /// Must be the one issued with the access key, if one was; the caller compares it.
    pub session_token: Option<String>,
    pub(super) signature: String,
    pub(super) validity: Validity,
    /// Of the V4 schemes.
    pub(super) scope: Option<Scope>,
    /// S3 V4: all signed headers. OSS V2, V4: the signed ones besides those always signed.
    pub(super) named: BTreeSet<String>,
}

/// A request whose signature holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    pub scheme: Scheme,
    pub presigned: bool,
    /// When it was signed, in milliseconds since 1970; not all schemes tell.
    pub signed_ms: Option<i64>,
    /// The region of the credential scope; any is accepted here.
    pub region: Option<String>,
    /// `s3`, `oss`, `iam` or `sts`.
    pub service: &'static str,
    /// Binding for the body: the caller must refuse one that does not fit.
    pub payload: Payload,
}

/// Reads the signature of a request; `None` is an anonymous one.
///
/// # Errors
/// Every malformed, doubled or incomplete signature; a request is never anonymous by mistake.
pub fn claim(request: &SignedRequest) -> Result<Option<Claim>, Refusal> {
    let query = query_pairs(request.raw_query)?;
    let Some((scheme, presigned)) = super::scheme(request.headers, &query)? else {
        return Ok(None);
    };
    unsigned::refuse(scheme, presigned, request, &query)?;
    let claim = match (scheme, presigned) {
        (Scheme::S3V4, false) => s3_v4::claim_header(request),
        (Scheme::S3V4, true) => s3_v4::claim_query(request, &query),
        (Scheme::S3V2, false) => s3_v2::claim_header(request),
        (Scheme::S3V2, true) => s3_v2::claim_query(request, &query),
        (Scheme::OssV1, false) => oss_v1::claim_header(request),
        (Scheme::OssV1, true) => oss_v1::claim_query(request, &query),
        (Scheme::OssV2, false) => oss_v2::claim_header(request),
        (Scheme::OssV2, true) => oss_v2::claim_query(request, &query),
        (Scheme::OssV4, false) => oss_v4::claim_header(request),
        (Scheme::OssV4, true) => oss_v4::claim_query(request, &query),
    };
    claim.map(Some)
}

impl Claim {
    /// Checks the claim with the `secret` of its access key.
    ///
    /// # Errors
    /// `RequestTimeTooSkewed`, `ExpiredSignature`, `SignatureDoesNotMatch`, and the scheme's own.
    pub fn verify(
        &self,
        request: &SignedRequest,
        secret: &str,
        now: DateTime<Utc>,
    ) -> Result<Verified, Refusal> {
        self.validity.check(now)?;
        self.check_day()?;
        let attempts = self.attempts(request)?;
        for attempt in &attempts {
            if same(&self.sign(attempt, secret)?, &self.signature) {
                return Ok(Verified {
                    scheme: self.scheme,
                    presigned: self.presigned,
                    signed_ms: self.moment().map(|moment| moment.at.timestamp_millis()),
                    region: self.scope.as_ref().map(|scope| scope.region.clone()),
                    service: self.service(),
                    payload: self.payload(request, secret)?,
                });
            }
        }
        Err(self.mismatch(request, attempts.first()))
    }

    /// The texts the client may have signed, the likeliest first.
    pub(super) fn attempts(&self, request: &SignedRequest) -> Result<Vec<Attempt>, Refusal> {
        let query = query_pairs(request.raw_query)?;
        match self.scheme {
            Scheme::S3V4 => s3_v4::attempts(self, request, &query),
            Scheme::S3V2 => Ok(s3_v2::attempts(self, request, &query)),
            Scheme::OssV1 => Ok(oss_v1::attempts(self, request, &query)),
            Scheme::OssV2 => Ok(vec![oss_v2::attempt(self, request, &query)]),
            Scheme::OssV4 => Ok(vec![oss_v4::attempt(self, request, &query)?]),
        }
    }

    /// The signature of `attempt`, as a client would send it.
    pub(super) fn sign(&self, attempt: &Attempt, secret: &str) -> Result<String, Refusal> {
        let (key, text) = (secret.as_bytes(), &attempt.string_to_sign);
        match self.scheme {
            Scheme::S3V2 | Scheme::OssV1 => Ok(STANDARD.encode(hmac_sha1(key, text)?)),
            Scheme::OssV2 => Ok(STANDARD.encode(hmac_sha256(key, text)?)),
            Scheme::S3V4 | Scheme::OssV4 => {
                Ok(hex::encode(hmac_sha256(&self.scope()?.signing_key(secret)?, text)?))
            }
        }
    }

    pub(super) fn service(&self) -> &'static str {
        match (&self.scope, self.scheme.dialect()) {
            (Some(scope), _) => scope.service(),
            (None, Dialect::S3) => "s3",
            (None, Dialect::Oss) => "oss",
        }
    }

    pub(super) fn scope(&self) -> Result<&Scope, Refusal> {
        let missing = || Refusal::new(Condition::Internal, "The credential has no scope.");
        self.scope.as_ref().ok_or_else(missing)
    }

    /// The moment signed, of the schemes that sign one.
    pub(super) fn moment(&self) -> Option<&Moment> {
        match &self.validity {
            Validity::At(moment) | Validity::Window(moment, _) => Some(moment),
            Validity::Until(..) => None,
        }
    }

    pub(super) fn check_day(&self) -> Result<(), Refusal> {
        let (Some(scope), Some(moment)) = (&self.scope, self.moment()) else { return Ok(()) };
        if scope.day == moment.day() {
            return Ok(());
        }
        let (given, sent) = (&scope.day, &moment.text);
        let fault = format!(
            "Invalid credential date \"{given}\". This date is not the same as X-Amz-Date: \
             \"{sent}\"."
        );
        Err(if self.presigned { query_malformed(fault) } else { header_malformed(fault) })
    }

    fn payload(&self, request: &SignedRequest, secret: &str) -> Result<Payload, Refusal> {
        let declared = match self.scheme {
            Scheme::S3V4 => s3_v4::declared(self, request)?,
            Scheme::OssV4 => oss_v4::declared(request),
            _ => return unsigned_payload(request.headers, self.scheme.dialect()),
        };
        let (signed, trailer) = match Declared::parse(&declared, self.scheme.dialect())? {
            Declared::Unsigned => return Ok(Payload::Unsigned),
            Declared::Sha256(sha256) => return Ok(Payload::Sha256(sha256)),
            Declared::Streaming { signed, trailer } => (signed, trailer),
        };
        let signing = if signed { Some(self.chunk_signing(secret)?) } else { None };
        Ok(Payload::Streaming(Streaming { signing, trailer }))
    }

    fn chunk_signing(&self, secret: &str) -> Result<ChunkSigning, Refusal> {
        let scope = self.scope()?;
        Ok(ChunkSigning {
            key: scope.signing_key(secret)?,
            timestamp: self.moment().map(Moment::iso_basic).unwrap_or_default(),
            scope: scope.text(),
            previous: self.signature.clone(),
        })
    }

    /// The answer both services give, with what the client needs to find its mistake.
    fn mismatch(&self, request: &SignedRequest, attempt: Option<&Attempt>) -> Refusal {
        let dialect = self.scheme.dialect();
        let detail = "The request signature we calculated does not match the signature you \
            provided. Check your key and signing method.";
        let mut refusal = Refusal::new(Condition::SignatureDoesNotMatch, detail)
            .with(dialect.access_key_element(), self.access_key.clone())
            .with("SignatureProvided", self.signature.clone());
        let Some(attempt) = attempt else { return refusal };
        let text = self.without_secrets(request, &attempt.string_to_sign);
        let bytes: Vec<String> = text.bytes().map(|byte| format!("{byte:02x}")).collect();
        refusal = refusal.with("StringToSign", text).with("StringToSignBytes", bytes.join(" "));
        match &attempt.canonical_request {
            Some(text) => refusal.with("CanonicalRequest", self.without_secrets(request, text)),
            None => refusal,
        }
    }

    /// Tokens and customer keys are signed, but must not reach a log or a screen.
    fn without_secrets(&self, request: &SignedRequest, text: &[u8]) -> String {
        let mut text = String::from_utf8_lossy(text).into_owned();
        let names = request.headers.keys().map(|name| name.as_str());
        let keys = names
            .filter(|name| name.ends_with("-customer-key") || name.ends_with("-security-token"));
        let values = keys.filter_map(|name| header(request, name, Blanks::Trimmed));
        let values = values.map(|value| String::from_utf8_lossy(&value).into_owned());
        for value in values.chain(self.session_token.clone()).filter(|value| !value.is_empty()) {
            text = text.replace(&value, "***").replace(&encode(&value), "***");
        }
        text
    }
}

/// Shows no signature and no token.
impl fmt::Debug for Claim {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Claim")
            .field("scheme", &self.scheme)
            .field("access_key", &self.access_key)
            .field("presigned", &self.presigned)
            .finish_non_exhaustive()
    }
}

/// The value of `Authorization` behind the name of its scheme.
pub(super) fn authorization<'a>(
    request: &SignedRequest<'a>,
    scheme: &str,
) -> Result<&'a str, Refusal> {
    let value = request.headers.get("authorization").and_then(|value| value.to_str().ok());
    let rest = value.and_then(|value| value.trim().strip_prefix(scheme)).map(str::trim);
    rest.ok_or_else(|| {
        Refusal::new(Condition::InvalidArgument, "The Authorization header is not readable.")
            .with("ArgumentName", "Authorization")
    })
}

/// Reads `access-key:signature`, from the right: access keys may hold colons.
pub(super) fn key_and_signature(text: &str, dialect: Dialect) -> Result<(String, String), Refusal> {
    match text.rsplit_once(':') {
        Some((key, signature)) if !key.is_empty() => Ok((key.to_owned(), signature.to_owned())),
        _ => {
            let detail = match dialect {
                Dialect::S3 => {
                    "AWS authorization header is invalid. Expected AwsAccessKeyId:signature"
                }
                Dialect::Oss => "Authorization header is invalid.",
            };
            let refusal = Refusal::new(Condition::InvalidArgument, detail);
            Err(refusal.with("ArgumentName", "Authorization"))
        }
    }
}

/// Reads `Name=value, Name=value` in any order; `None` if a name is missing from `names`, unknown
/// or repeated.
pub(super) fn components<'a, const N: usize>(
    text: &'a str,
    names: [&str; N],
) -> Option<[Option<&'a str>; N]> {
    let mut found = [None; N];
    for part in text.split(',') {
        let (name, value) = part.trim().split_once('=')?;
        let place = names.iter().position(|known| *known == name)?;
        if found.get_mut(place)?.replace(value.trim()).is_some() {
            return None;
        }
    }
    Some(found)
}

pub(super) fn header_malformed(fault: impl fmt::Display) -> Refusal {
    let detail = format!("The authorization header is malformed; {fault}");
    Refusal::new(Condition::AuthorizationHeaderMalformed, detail)
}

pub(super) fn query_malformed(detail: impl Into<String>) -> Refusal {
    Refusal::new(Condition::AuthorizationQueryMalformed, detail)
}
