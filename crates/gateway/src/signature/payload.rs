//! What a request says about its body: a hash, nothing, or chunks.

use std::fmt;

use actix_web::http::header::HeaderMap;
use model::Condition;
use sha2::{Digest as _, Sha256};

use super::Refusal;
use super::mac::{hmac_sha256, same};
use crate::dialect::Dialect;

/// How far the body is bound to the signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Not at all.
    Unsigned,
    /// By the SHA-256 of the whole body.
    Sha256([u8; 32]),
    /// The body is `aws-chunked` and must be decoded by [`crate::body::AwsChunked`].
    Streaming(Streaming),
}

/// A body in chunks of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Streaming {
    /// How to check the signature of every chunk; `None` when chunks are not signed.
    pub signing: Option<ChunkSigning>,
    /// Whether header lines follow the last chunk.
    pub trailer: bool,
}

/// What the signatures of chunks depend on.
#[derive(Clone, PartialEq, Eq)]
pub struct ChunkSigning {
    pub(super) key: [u8; 32],
    pub(super) timestamp: String,
    pub(super) scope: String,
    /// The signature of the request, on which the first chunk's builds.
    pub(super) previous: String,
}

impl ChunkSigning {
    /// Checks the next chunk and remembers its signature for the one after.
    pub(crate) fn check_chunk(&mut self, sha256: [u8; 32], given: &str) -> Result<(), Refusal> {
        self.check(&chunk_text(sha256), given)
    }

    /// Checks the trailer.
    ///
    /// - `lines`: `name:value\n` for each line in the order sent.
    pub(crate) fn check_trailer(&mut self, lines: &[u8], given: &str) -> Result<(), Refusal> {
        self.check(&trailer_text(lines), given)
    }

    /// The example of the S3 API reference, continued from the signature `seed`.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn example(seed: &str) -> Self {
        let credential = "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request";
        let (_, scope) =
            super::scope::Scope::parse(credential, super::Scheme::S3V4, false).unwrap();
        Self {
            key: scope.signing_key("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY").unwrap(),
            timestamp: "20130524T000000Z".into(),
            scope: scope.text(),
            previous: seed.into(),
        }
    }

    /// Signs the next chunk as a client does.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn sign_chunk(&mut self, sha256: [u8; 32]) -> String {
        self.previous = self.expected(&chunk_text(sha256)).unwrap().1;
        self.previous.clone()
    }

    /// Signs the trailer as a client does.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn sign_trailer(&self, lines: &[u8]) -> String {
        self.expected(&trailer_text(lines)).unwrap().1
    }

    fn check(&mut self, hashed: &Hashed, given: &str) -> Result<(), Refusal> {
        let (text, expected) = self.expected(hashed)?;
        if !same(&expected, given) {
            let detail = "The request signature we calculated does not match the signature you \
                provided. Check your key and signing method.";
            return Err(Refusal::new(Condition::SignatureDoesNotMatch, detail)
                .with("StringToSign", text)
                .with("SignatureProvided", given));
        }
        self.previous = expected;
        Ok(())
    }

    /// The text to sign and its signature.
    fn expected(&self, (algorithm, hashes): &Hashed) -> Result<(String, String), Refusal> {
        let Self { key, timestamp, scope, previous } = self;
        let text = format!("{algorithm}\n{timestamp}\n{scope}\n{previous}\n{hashes}");
        let signature = hex::encode(hmac_sha256(key, text.as_bytes())?);
        Ok((text, signature))
    }
}

/// The first and the last lines of a signed text.
type Hashed = (&'static str, String);

/// Source: S3 API reference, "Transferring Payload in Multiple Chunks".
fn chunk_text(sha256: [u8; 32]) -> Hashed {
    let empty = hex::encode(Sha256::digest(b""));
    ("AWS4-HMAC-SHA256-PAYLOAD", format!("{empty}\n{}", hex::encode(sha256)))
}

/// Source: S3 API reference, "Including Trailing Headers (Chunked Upload)".
fn trailer_text(lines: &[u8]) -> Hashed {
    ("AWS4-HMAC-SHA256-TRAILER", hex::encode(Sha256::digest(lines)))
}

impl fmt::Debug for ChunkSigning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ChunkSigning").field("scope", &self.scope).finish_non_exhaustive()
    }
}

/// The literals of the `x-amz-content-sha256` and `x-oss-content-sha256` headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Declared {
    Unsigned,
    Sha256([u8; 32]),
    Streaming { signed: bool, trailer: bool },
}

impl Declared {
    pub fn parse(text: &str, dialect: Dialect) -> Result<Self, Refusal> {
        let streaming = |signed, trailer| Ok(Self::Streaming { signed, trailer });
        match (dialect, text) {
            (_, "UNSIGNED-PAYLOAD") => Ok(Self::Unsigned),
            (Dialect::S3, "STREAMING-UNSIGNED-PAYLOAD-TRAILER") => streaming(false, true),
            (Dialect::S3, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD") => streaming(true, false),
            (Dialect::S3, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER") => streaming(true, true),
            (
                Dialect::S3,
                "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"
                | "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER",
            ) => Err(Refusal::new(
                Condition::NotImplemented,
                "AWS4-ECDSA-P256-SHA256 signatures are not implemented.",
            )),
            _ => digest(text).map(Self::Sha256).ok_or_else(|| unknown(text, dialect)),
        }
    }
}

/// The payload of a request that no V4 scheme signed: anonymous, V1 or V2.
///
/// SDKs send checksums behind the body in chunks even when they sign nothing; such a body is known
/// by its `x-amz-content-sha256`, or by its `Content-Encoding` and `x-amz-decoded-content-length`.
///
/// # Errors
/// `InvalidArgument` for an unknown literal and for signed chunks, which need a signed request.
pub fn unsigned_payload(headers: &HeaderMap, dialect: Dialect) -> Result<Payload, Refusal> {
    let name = dialect.content_sha256_header();
    let Some(value) = headers.get(name) else {
        let chunked = dialect == Dialect::S3
            && headers.contains_key("x-amz-decoded-content-length")
            && crate::body::is_aws_chunked(headers);
        let trailer = headers.contains_key("x-amz-trailer");
        let streaming = Payload::Streaming(Streaming { signing: None, trailer });
        return Ok(if chunked { streaming } else { Payload::Unsigned });
    };
    let text = value.to_str().unwrap_or_default().trim();
    match Declared::parse(text, dialect)? {
        Declared::Unsigned => Ok(Payload::Unsigned),
        Declared::Sha256(sha256) => Ok(Payload::Sha256(sha256)),
        Declared::Streaming { signed: false, trailer } => {
            Ok(Payload::Streaming(Streaming { signing: None, trailer }))
        }
        Declared::Streaming { signed: true, .. } => {
            let detail = "Signed chunks need a request signed with AWS4-HMAC-SHA256.";
            Err(Refusal::argument(detail, name, text))
        }
    }
}

fn digest(text: &str) -> Option<[u8; 32]> {
    hex::decode(text).ok()?.try_into().ok()
}

fn unknown(text: &str, dialect: Dialect) -> Refusal {
    let detail = match dialect {
        Dialect::S3 => {
            "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, \
             STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, \
             STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD, \
             STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER or a valid sha256 value."
        }
        Dialect::Oss => "x-oss-content-sha256 must be UNSIGNED-PAYLOAD or a valid sha256 value.",
    };
    Refusal::argument(detail, dialect.content_sha256_header(), text)
}
