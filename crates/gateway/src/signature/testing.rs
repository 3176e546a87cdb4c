//! A request as text, and how a client would sign it: for tests and for fuzzing.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use chrono::{DateTime, Utc};
use model::Condition;

use super::{Claim, Refusal, Scheme, SignedRequest, Verified, claim};
use crate::address::resolve;
use crate::encoding::{decode, encode, query_pairs};

pub const SECRET: &str = "SECRET";
pub const PLACEHOLDER: &str = "0000SIGNATURE0000";
/// `Fri, 02 Jan 2026 03:04:05 GMT`
pub const NOW: i64 = 1_767_323_045;
pub const ALL: [(Scheme, bool); 10] = [
    (Scheme::S3V4, false),
    (Scheme::S3V4, true),
    (Scheme::S3V2, false),
    (Scheme::S3V2, true),
    (Scheme::OssV1, false),
    (Scheme::OssV1, true),
    (Scheme::OssV2, false),
    (Scheme::OssV2, true),
    (Scheme::OssV4, false),
    (Scheme::OssV4, true),
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    pub method: String,
    pub host: String,
    pub path: String,
    pub query: String,
    pub headers: Vec<(String, String)>,
}

impl Sample {
    pub fn new(method: &str, host: &str, target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let [method, host, path, query] = [method, host, path, query].map(str::to_owned);
        Self { method, host, path, query, headers: Vec::new() }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn header_if_absent(self, name: &str, value: &str) -> Self {
        match self.headers.iter().any(|(known, _)| known == name) {
            true => self,
            false => self.header(name, value),
        }
    }

    pub fn parameter(mut self, name: &str, value: &str) -> Self {
        let mark = if self.query.is_empty() { "" } else { "&" };
        self.query = format!("{}{mark}{name}={}", self.query, encode(value));
        self
    }

    pub fn with<T>(
        &self,
        f: impl FnOnce(&SignedRequest) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let domains = ["s3.amazonaws.com", "example.com"].map(str::to_owned);
        let address = resolve(Some(&self.host), &self.path, &domains)?;
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let name = HeaderName::try_from(name.as_str()).map_err(|_| impossible())?;
            let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| impossible())?;
            headers.append(name, value);
        }
        f(&SignedRequest {
            method: &self.method,
            raw_path: &self.path,
            raw_query: &self.query,
            headers: &headers,
            address: &address,
            form_sha256: None,
        })
    }

    pub fn claim(&self) -> Result<Option<Claim>, Refusal> {
        self.with(claim)
    }

    pub fn verify_with(&self, secret: &str, seconds: i64) -> Result<Verified, Refusal> {
        let now = DateTime::<Utc>::from_timestamp(seconds, 0).unwrap();
        self.with(|request| claim(request)?.expect("signed").verify(request, secret, now))
    }

    pub fn verify(&self) -> Result<Verified, Refusal> {
        self.verify_with(SECRET, NOW)
    }

    #[cfg(test)]
    pub(super) fn fill(self) -> Result<Self, Refusal> {
        self.fill_with(SECRET)
    }

    /// Puts the right signature in the place of [`PLACEHOLDER`].
    fn fill_with(self, secret: &str) -> Result<Self, Refusal> {
        let signature = self.with(|request| {
            let claim = claim(request)?.ok_or_else(impossible)?;
            let attempts = claim.attempts(request)?;
            claim.sign(attempts.first().ok_or_else(impossible)?, secret)
        })?;
        let mut filled = self;
        filled.query = filled.query.replace(PLACEHOLDER, &encode(&signature));
        for (_, value) in &mut filled.headers {
            *value = value.replace(PLACEHOLDER, &signature);
        }
        Ok(filled)
    }

    /// Signs at [`NOW`]; URLs live an hour.
    #[cfg(test)]
    pub fn sign(self, scheme: Scheme, presigned: bool) -> Self {
        self.try_sign(scheme, presigned).unwrap()
    }

    /// # Errors
    /// When what is there already keeps anybody from signing it so.
    pub fn try_sign(self, scheme: Scheme, presigned: bool) -> Result<Self, Refusal> {
        self.sign_with(SECRET, scheme, presigned)
    }

    /// As [`Self::try_sign`], with another secret.
    pub fn sign_with(self, secret: &str, scheme: Scheme, presigned: bool) -> Result<Self, Refusal> {
        let until = (NOW + 3600).to_string();
        let (iso, rfc) = ("20260102T030405Z", "Fri, 02 Jan 2026 03:04:05 GMT");
        let aws = "Credential=AKID/20260102/cn-local/s3/aws4_request";
        let oss = "AKID/20260102/cn-local/oss/aliyun_v4_request";
        let names = self.headers.iter().map(|(name, _)| name.clone());
        let signed = |more: &[&str]| {
            let more = more.iter().map(|name| (*name).to_owned());
            let mut names: Vec<_> = names.clone().chain(more).collect();
            names.sort_unstable();
            names.dedup();
            names.join(";")
        };
        match (scheme, presigned) {
            (Scheme::S3V4, false) => {
                let signed = signed(&["host", "x-amz-content-sha256", "x-amz-date"]);
                let value = format!(
                    "AWS4-HMAC-SHA256 {aws},SignedHeaders={signed},Signature={PLACEHOLDER}"
                );
                self.header_if_absent("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
                    .header("x-amz-date", iso)
                    .header("authorization", &value)
            }
            (Scheme::S3V4, true) => {
                let signed = signed(&["host"]);
                self.parameter("X-Amz-Algorithm", "AWS4-HMAC-SHA256")
                    .parameter("X-Amz-Credential", &aws[11..])
                    .parameter("X-Amz-Date", iso)
                    .parameter("X-Amz-Expires", "3600")
                    .parameter("X-Amz-SignedHeaders", &signed)
                    .parameter("X-Amz-Signature", PLACEHOLDER)
            }
            (Scheme::S3V2, false) => {
                self.header("date", rfc).header("authorization", &format!("AWS AKID:{PLACEHOLDER}"))
            }
            (Scheme::S3V2, true) => self
                .parameter("AWSAccessKeyId", "AKID")
                .parameter("Expires", &until)
                .parameter("Signature", PLACEHOLDER),
            (Scheme::OssV1, false) => {
                self.header("date", rfc).header("authorization", &format!("OSS AKID:{PLACEHOLDER}"))
            }
            (Scheme::OssV1, true) => self
                .parameter("OSSAccessKeyId", "AKID")
                .parameter("Expires", &until)
                .parameter("Signature", PLACEHOLDER),
            (Scheme::OssV2, false) => {
                let value = format!("OSS2 AccessKeyId:AKID,Signature:{PLACEHOLDER}");
                self.header("date", rfc).header("authorization", &value)
            }
            (Scheme::OssV2, true) => self
                .parameter("x-oss-signature-version", "OSS2")
                .parameter("x-oss-access-key-id", "AKID")
                .parameter("x-oss-expires", &until)
                .parameter("x-oss-signature", PLACEHOLDER),
            (Scheme::OssV4, false) => {
                let value = format!("OSS4-HMAC-SHA256 Credential={oss},Signature={PLACEHOLDER}");
                self.header("x-oss-date", iso)
                    .header("x-oss-content-sha256", "UNSIGNED-PAYLOAD")
                    .header("authorization", &value)
            }
            (Scheme::OssV4, true) => self
                .parameter("x-oss-signature-version", "OSS4-HMAC-SHA256")
                .parameter("x-oss-credential", oss)
                .parameter("x-oss-date", iso)
                .parameter("x-oss-expires", "3600")
                .parameter("x-oss-signature", PLACEHOLDER),
        }
        .fill_with(secret)
    }

    /// The older schemes do not sign the key's name; another name gets another secret.
    pub fn is_refused(&self) -> bool {
        match self.claim() {
            Ok(Some(claim)) => claim.access_key != "AKID" || self.verify().is_err(),
            Ok(None) | Err(_) => true,
        }
    }

    /// Whether the two mean the same to everybody who reads them.
    pub fn means(&self, other: &Self) -> bool {
        let meaning = |sample: &Self| {
            let mut pairs = query_pairs(&sample.query).ok()?;
            // Nobody reads a parameter without name and value, nor do all clients sign it.
            pairs.retain(|(name, value)| !name.is_empty() || !value.is_empty());
            pairs.sort_unstable();
            Some((decode(&sample.path).ok()?, pairs, sample.method.clone(), sample.host.clone()))
        };
        meaning(self).is_some() && meaning(self) == meaning(other)
    }
}

/// A request that HTTP cannot carry, or that is not signed.
fn impossible() -> Refusal {
    Refusal::new(Condition::InvalidRequest, "There is no such request.")
}
