//! What an operation sees of HTTP: [`Request`] in, [`Reply`] out, and the [`Route`] that leads
//! to it.
//!
//! Nothing here knows a single operation: those are in `operations`.

mod document;
mod entry;
mod hoisted;
mod payload;
mod query;
mod reply;
mod route;
#[cfg(any(test, feature = "fuzzing"))]
pub mod testing;

use std::{any::Any, sync::Arc};

use actix_web::http::{Method, header::HeaderMap};
use model::{
    Condition,
    limits::KEY_BYTES_MAX_OSS,
    names::{BucketName, ObjectKey, VersionId, VersionSelector},
};
use serde::de::DeserializeOwned;
use service::{Caller, Error, body::Body, objects::Target as ObjectTarget};

use crate::{
    address::{Address, Style},
    dialect::Dialect,
    encoding,
    form::Form,
    signature::{Payload, Refusal, Verified},
};

pub use document::parse as parse_document;
pub use entry::{Entry, Handler, WireOperation, entry};
pub use hoisted::hoisted;
pub use payload::{Arriving, judge};
pub use query::Query;
pub use reply::{Pieces, Reply, ReplyBody, empty, endless, object, xml};
pub use route::{Found, Route, Target, Wanted, find};

pub type Result<T, E = service::Error> = std::result::Result<T, E>;

/// What all requests share: the part of the settings that shows in answers.
#[derive(Clone, Debug)]
pub struct Presence {
    /// The name of the default region.
    pub region: String,
    /// The URL clients reach the server by, when it is not the one they used.
    pub public_url: Option<String>,
}

/// A request whose signature was verified. Not `Send`: its body stays on the connection's thread.
pub struct Request {
    pub dialect: Dialect,
    pub method: Method,
    pub address: Address,
    /// The path as sent.
    pub path: String,
    pub query: Query,
    pub headers: HeaderMap,
    pub caller: Caller,
    /// Who signed and what was covered; `None` is an anonymous request.
    pub verified: Option<Verified>,
    /// How the body is bound to the signature.
    pub payload: Payload,
    /// Over TLS.
    pub secure: bool,
    pub presence: Arc<Presence>,
    /// The bytes; taken by the one who reads them. `None` while only permission is asked.
    pub arriving: Option<Arriving>,
    /// An operation asked for the body while there was none yet.
    pub wanted_body: bool,
    /// The form that its body is, once its fields were read.
    pub form: Option<Form>,
    /// What parsing left for rendering; `None` at first.
    pub noted: Option<Box<dyn Any>>,
}

impl Request {
    /// # Errors
    /// `InvalidBucketName` when there is none or it is against the rules.
    pub fn bucket(&self) -> Result<BucketName> {
        let name = self.address.bucket.as_deref().unwrap_or_default();
        BucketName::parse(name)
            .map_err(|condition| Error::from(condition).field("BucketName", name))
    }

    /// The key. OSS has narrower rules; keys against them are not written, but can be read, for
    /// they may come from S3.
    ///
    /// # Errors
    /// `InvalidObjectName`, `KeyTooLong`.
    pub fn key(&self) -> Result<ObjectKey> {
        self.object_key(self.address.key.as_deref().unwrap_or_default())
    }

    /// A key that stands elsewhere than in the address.
    ///
    /// # Errors
    /// As [`Self::key`].
    pub fn object_key(&self, key: &str) -> Result<ObjectKey> {
        let writes = matches!(self.method, Method::PUT | Method::POST);
        let beyond_oss = key.starts_with(['/', '\\']) || key.len() > KEY_BYTES_MAX_OSS;
        if self.dialect == Dialect::Oss && writes && beyond_oss {
            return Err(Condition::InvalidObjectName.into());
        }
        ObjectKey::parse(key).map_err(|condition| match condition {
            Condition::KeyTooLong => Error::from(condition)
                .field("Size", key.len().to_string())
                .field("MaxSizeAllowed", model::limits::KEY_BYTES_MAX.to_string()),
            _ => condition.into(),
        })
    }

    /// Bucket, key and `versionId`.
    ///
    /// # Errors
    /// As [`Self::bucket`] and [`Self::key`]; `InvalidArgument` for a malformed version id.
    pub fn target(&self) -> Result<ObjectTarget> {
        let version = match self.parameter("versionId") {
            None => VersionSelector::Latest,
            Some("null") => VersionSelector::Null,
            Some(text) => {
                let id = VersionId::parse(text).ok_or_else(|| {
                    Error::new(Condition::InvalidArgument, "Invalid version id specified")
                        .field("ArgumentName", "versionId")
                        .field("ArgumentValue", text)
                })?;
                VersionSelector::Id(id)
            }
        };
        Ok(ObjectTarget { bucket: self.bucket()?, key: self.key()?, version })
    }

    /// A header's value without blanks around it.
    ///
    /// # Errors
    /// `InvalidArgument` when it is not UTF-8.
    pub fn header(&self, name: &str) -> Result<Option<&str>> {
        let Some(value) = self.headers.get(name) else { return Ok(None) };
        match std::str::from_utf8(value.as_bytes()) {
            Ok(text) => Ok(Some(text.trim())),
            Err(_) => {
                let detail = "The header's value is not valid UTF-8.";
                Err(Error::new(Condition::InvalidArgument, detail).field("ArgumentName", name))
            }
        }
    }

    /// `x-amz-<suffix>` or `x-oss-<suffix>`, by dialect.
    ///
    /// # Errors
    /// As [`Self::header`].
    pub fn own_header(&self, suffix: &str) -> Result<Option<&str>> {
        self.header(&format!("{}{suffix}", self.dialect.header_prefix()))
    }

    /// The first query parameter of this name; empty when it was sent without a value.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.get(name)
    }

    /// Keeps something of the request's document for its answer.
    pub fn note(&mut self, noted: impl Any) {
        self.noted = Some(Box::new(noted));
    }

    /// What [`Self::note`] kept, if it is of this type.
    pub fn noted<T: Any>(&self) -> Option<&T> {
        self.noted.as_deref()?.downcast_ref()
    }

    /// Whether the request was signed.
    pub fn signed(&self) -> bool {
        self.verified.is_some()
    }

    /// The whole body as an XML document.
    ///
    /// # Errors
    /// `MalformedXml`, `MaxMessageLengthExceeded`, and whatever its digests show to be wrong.
    pub async fn document<T: DeserializeOwned>(&mut self) -> Result<T> {
        let bytes = self.whole(model::limits::XML_BYTES_MAX).await?;
        document::parse(&bytes)
    }

    /// As [`Self::document`] with the limit of `?delete` and of completing an upload.
    ///
    /// # Errors
    /// As [`Self::document`].
    pub async fn long_document<T: DeserializeOwned>(&mut self) -> Result<T> {
        let bytes = self.whole(model::limits::XML_BYTES_MAX_LONG).await?;
        document::parse(&bytes)
    }

    /// As [`Self::document`], but `None` when the body is empty.
    ///
    /// # Errors
    /// As [`Self::document`].
    pub async fn optional_document<T: DeserializeOwned>(&mut self) -> Result<Option<T>> {
        if !payload::is_announced(self) {
            return Ok(None);
        }
        let bytes = self.whole(model::limits::XML_BYTES_MAX).await?;
        if bytes.is_empty() { Ok(None) } else { document::parse(&bytes).map(Some) }
    }

    /// The whole body, at most `bytes_max` long, with its digests checked.
    ///
    /// # Errors
    /// `MaxMessageLengthExceeded`, and whatever its digests show to be wrong.
    pub async fn whole(&mut self, bytes_max: usize) -> Result<bytes::Bytes> {
        self.wanted_body = true;
        document::collect(self, bytes_max).await
    }

    /// The body as a stream: decoded, and checked at its end against what the client said of it.
    ///
    /// # Errors
    /// `MissingContentLength`, `EntityTooLarge`, and `InvalidDigest` for malformed digests.
    pub fn body(&mut self) -> Result<Box<dyn Body>> {
        let body = payload::open(self)?;
        Ok(Box::new(body))
    }

    /// The URL this server is reached by, without a slash at its end.
    pub fn base_url(&self) -> String {
        match &self.presence.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => {
                let scheme = if self.secure { "https" } else { "http" };
                format!("{scheme}://{}", self.address.endpoint)
            }
        }
    }

    /// Host and port this server is reached by: what OSS calls an endpoint.
    pub fn endpoint(&self) -> String {
        let url = self.base_url();
        url.split_once("://").map_or(url.as_str(), |(_, rest)| rest).to_owned()
    }

    /// The URL of an object, in the style the client itself uses.
    pub fn object_url(&self, bucket: &BucketName, key: &ObjectKey) -> String {
        let (base, key) = (self.base_url(), encoding::encode_path(key.as_str()));
        match (self.address.style, base.split_once("://")) {
            (Style::VirtualHost, Some((scheme, rest))) => {
                format!("{scheme}://{bucket}.{rest}/{key}")
            }
            _ => format!("{base}/{bucket}/{key}"),
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let mut error = Self::new(refusal.condition, refusal.detail);
        error.fields = refusal.fields;
        error
    }
}
