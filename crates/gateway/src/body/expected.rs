//! What a request says its body is: lengths and digests to compare with what arrived.
//!
//! Hashing happens where the bytes are written; here is only what to hash and how to judge it.

use actix_web::http::header::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::Condition;
use model::checksums::Algorithm;

use super::aws_chunked::Trailers;
use crate::dialect::Dialect;
use crate::signature::{Payload, Refusal};

const CHECKSUM_PREFIX: &str = "x-amz-checksum-";
const SDK_ALGORITHM: &str = "x-amz-sdk-checksum-algorithm";
const TRAILER: &str = "x-amz-trailer";

/// What the body must turn out to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Bytes of the body without any `aws-chunked` framing; `None` when it was not announced.
    pub length_bytes: Option<u64>,
    pub content_md5: Option<[u8; 16]>,
    /// From the signature.
    pub sha256: Option<[u8; 32]>,
    pub checksum: Option<ExpectedChecksum>,
}

/// An S3 checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedChecksum {
    pub algorithm: Algorithm,
    /// `None` until the trailer has come.
    pub value: Option<Vec<u8>>,
}

impl Expected {
    /// Reads what the headers promise about the body.
    ///
    /// Headers of `CompleteMultipartUpload` speak of the object instead; it must not check its body
    /// with [`Self::checksum`].
    ///
    /// # Errors
    /// `InvalidDigest` for an unreadable `Content-MD5`, `InvalidRequest` for unreadable, several or
    /// contradicting checksums, `MissingContentLength` when chunks come without their total,
    /// `InvalidArgument` for an unreadable length.
    pub fn read(headers: &HeaderMap, dialect: Dialect, payload: &Payload) -> Result<Self, Refusal> {
        let (length_name, trailing) = match payload {
            Payload::Streaming(streaming) => ("x-amz-decoded-content-length", streaming.trailer),
            Payload::Unsigned | Payload::Sha256(_) => ("content-length", false),
        };
        let length_bytes = length(headers, length_name)?;
        if length_bytes.is_none() && matches!(payload, Payload::Streaming(_)) {
            let detail = "You must provide the Content-Length HTTP header.";
            return Err(Refusal::new(Condition::MissingContentLength, detail)
                .with("MissingHeaderName", length_name));
        }
        let checksum = match dialect {
            Dialect::S3 => checksum(headers, trailing)?,
            Dialect::Oss => None,
        };
        let sha256 = match payload {
            Payload::Sha256(sha256) => Some(*sha256),
            Payload::Unsigned | Payload::Streaming(_) => None,
        };
        Ok(Self { length_bytes, content_md5: content_md5(headers)?, sha256, checksum })
    }

    /// Takes up what came behind the body.
    ///
    /// # Errors
    /// `MalformedTrailer` when the announced checksum is missing, unreadable, or not alone.
    pub fn add_trailers(&mut self, trailers: &Trailers) -> Result<(), Refusal> {
        let awaited = self.checksum.as_mut().filter(|checksum| checksum.value.is_none());
        let (Some(checksum), [(name, value)]) = (awaited, trailers.as_slice()) else {
            let nothing = trailers.is_empty() && !self.awaits_trailer();
            return if nothing { Ok(()) } else { Err(malformed_trailer()) };
        };
        if name.strip_prefix(CHECKSUM_PREFIX) != Some(checksum.algorithm.name()) {
            return Err(malformed_trailer());
        }
        let value = digest(value, checksum.algorithm.size_bytes());
        checksum.value = Some(value.ok_or_else(|| invalid_value(name))?);
        Ok(())
    }

    /// Compares the body that arrived with what was promised.
    ///
    /// - `computed`: answers with the digest of the whole body, for every algorithm named here.
    ///
    /// # Errors
    /// `IncompleteBody`, `BadDigest`, `ContentSha256Mismatch`, `ChecksumMismatch`.
    pub fn check(
        &self,
        length_bytes: u64,
        computed: impl Fn(Algorithm) -> Option<Vec<u8>>,
    ) -> Result<(), Refusal> {
        if self.length_bytes.is_some_and(|promised| promised != length_bytes) {
            let detail = "You did not provide the number of bytes specified by the Content-Length \
                HTTP header";
            return Err(Refusal::new(Condition::IncompleteBody, detail));
        }
        if let Some(md5) = self.content_md5 {
            let found = computed(Algorithm::Md5).unwrap_or_default();
            if found != md5 {
                let detail = "The Content-MD5 you specified did not match what we received.";
                return Err(Refusal::new(Condition::BadDigest, detail)
                    .with("ExpectedDigest", STANDARD.encode(md5))
                    .with("CalculatedDigest", STANDARD.encode(found)));
            }
        }
        if let Some(sha256) = self.sha256 {
            let found = computed(Algorithm::Sha256).unwrap_or_default();
            if found != sha256 {
                let detail = "The provided 'x-amz-content-sha256' header does not match what was \
                    computed.";
                return Err(Refusal::new(Condition::ContentSha256Mismatch, detail)
                    .with("ClientComputedContentSHA256", hex::encode(sha256))
                    .with("S3ComputedContentSHA256", hex::encode(found)));
            }
        }
        self.check_checksum(computed)
    }

    fn check_checksum(
        &self,
        computed: impl Fn(Algorithm) -> Option<Vec<u8>>,
    ) -> Result<(), Refusal> {
        let Some(ExpectedChecksum { algorithm, value }) = &self.checksum else { return Ok(()) };
        let Some(value) = value else { return Err(malformed_trailer()) };
        if computed(*algorithm).as_ref() == Some(value) {
            return Ok(());
        }
        let name = algorithm.name().to_ascii_uppercase();
        let detail = format!("The {name} you specified did not match the calculated checksum.");
        Err(Refusal::new(Condition::ChecksumMismatch, detail))
    }

    fn awaits_trailer(&self) -> bool {
        self.checksum.as_ref().is_some_and(|checksum| checksum.value.is_none())
    }
}

fn length(headers: &HeaderMap, name: &'static str) -> Result<Option<u64>, Refusal> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let length = text.parse().ok().filter(|_| digits).map(Some);
    length.ok_or_else(|| Refusal::argument("The length is not readable.", name, text))
}

fn content_md5(headers: &HeaderMap) -> Result<Option<[u8; 16]>, Refusal> {
    let Some(value) = headers.get("content-md5") else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    let md5 = digest(text, 16).and_then(|md5| md5.try_into().ok()).map(Some);
    md5.ok_or_else(|| {
        let detail = "The Content-MD5 you specified was invalid.";
        Refusal::new(Condition::InvalidDigest, detail).with("Content-MD5", text)
    })
}

/// The one checksum of the headers or announced for the trailer.
fn checksum(headers: &HeaderMap, trailing: bool) -> Result<Option<ExpectedChecksum>, Refusal> {
    let mut found = Vec::new();
    for algorithm in Algorithm::S3 {
        let name = format!("{CHECKSUM_PREFIX}{}", algorithm.name());
        for value in headers.get_all(name.as_str()) {
            let text = value.to_str().unwrap_or_default().trim();
            let value = digest(text, algorithm.size_bytes());
            let value = Some(value.ok_or_else(|| invalid_value(&name))?);
            found.push(ExpectedChecksum { algorithm, value });
        }
    }
    for name in announced(headers) {
        let algorithm = name.strip_prefix(CHECKSUM_PREFIX).and_then(Algorithm::parse);
        let algorithm = algorithm.filter(|_| trailing).ok_or_else(|| {
            invalid("The value specified in the x-amz-trailer header is not supported")
        })?;
        found.push(ExpectedChecksum { algorithm, value: None });
    }
    if found.len() > 1 {
        return Err(invalid(
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
        ));
    }
    let found = found.pop();
    check_named_algorithm(headers, found.as_ref())?;
    Ok(found)
}

/// The names in `x-amz-trailer`, which may be sent more than once.
fn announced(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(TRAILER).map(|value| value.to_str().unwrap_or("\u{fffd}"));
    let names = values.flat_map(|value| value.split(',')).map(|name| name.trim());
    names.filter(|name| !name.is_empty()).map(str::to_ascii_lowercase).collect()
}

fn check_named_algorithm(
    headers: &HeaderMap,
    found: Option<&ExpectedChecksum>,
) -> Result<(), Refusal> {
    let Some(value) = headers.get(SDK_ALGORITHM) else { return Ok(()) };
    let named = value.to_str().ok().and_then(|name| Algorithm::parse(name.trim()));
    let Some(named) = named else { return Err(invalid_value(SDK_ALGORITHM)) };
    match found {
        None => Err(invalid(
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or \
             x-amz-trailer headers were found.",
        )),
        Some(found) if found.algorithm != named => Err(invalid_value(SDK_ALGORITHM)),
        Some(_) => Ok(()),
    }
}

fn digest(text: &str, size_bytes: usize) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok().filter(|digest| digest.len() == size_bytes)
}

fn invalid(detail: &str) -> Refusal {
    Refusal::new(Condition::InvalidRequest, detail)
}

fn invalid_value(name: &str) -> Refusal {
    invalid(&format!("Value for {name} header is invalid."))
}

fn malformed_trailer() -> Refusal {
    let detail = "The request contained trailing data that was not well-formed or did not conform \
        to our published schema.";
    Refusal::new(Condition::MalformedTrailer, detail)
}
