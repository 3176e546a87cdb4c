//! The body of a request as a stream: pulled from the connection, decoded, measured.

use std::{cell::Cell, collections::VecDeque, rc::Rc, time::Duration};

use actix_web::{
    dev,
    http::{Method, header::HeaderMap},
};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use model::{Condition, checksums::Algorithm, limits::PART_BYTES_MAX};
use service::{
    Error,
    body::{Body, Digests},
};

use super::{Request, Result};
use crate::{
    body::{AwsChunked, Expected},
    signature::Payload,
};

/// Bytes that come in over a connection.
pub struct Arriving {
    payload: dev::Payload,
    /// HTTP itself tells where the body ends.
    framed: bool,
    timeout: Duration,
    received: Rc<Cell<u64>>,
}

impl Arriving {
    /// - `framed`: there is a `Content-Length`, a `Transfer-Encoding`, or HTTP/2.
    /// - `timeout`: how long the client may send nothing.
    /// - `received`: counts the bytes.
    pub fn new(
        payload: dev::Payload,
        framed: bool,
        timeout: Duration,
        received: Rc<Cell<u64>>,
    ) -> Self {
        Self { payload, framed, timeout, received }
    }

    async fn next(&mut self) -> Option<Result<Bytes>> {
        match tokio::time::timeout(self.timeout, self.payload.next()).await {
            Err(_) => Some(Err(Condition::RequestTimeout.into())),
            Ok(None) => None,
            Ok(Some(Ok(bytes))) => {
                self.received.set(self.received.get() + bytes.len() as u64);
                Some(Ok(bytes))
            }
            Ok(Some(Err(error))) => {
                tracing::debug!(%error, "a body broke off");
                Some(Err(Condition::IncompleteBody.into()))
            }
        }
    }
}

/// A body, decoded.
pub struct Incoming {
    /// `None` while only permission is asked: nothing may be read then.
    arriving: Option<Arriving>,
    decoder: Option<AwsChunked>,
    expected: Expected,
    decoded: VecDeque<Bytes>,
    decoded_bytes: u64,
    ended: bool,
}

/// Whether the client announced a body at all.
pub fn is_announced(request: &Request) -> bool {
    request.arriving.as_ref().is_none_or(|arriving| arriving.framed)
}

/// Begins to read the body of `request`.
///
/// # Errors
/// `MissingContentLength`, `EntityTooLarge`, and those of [`Expected::read`].
pub fn open(request: &mut Request) -> Result<Incoming> {
    let expected = if speaks_of_object(request) {
        let headers = without_checksums(&request.headers);
        Expected::read(&headers, request.dialect, &request.payload)?
    } else {
        Expected::read(&request.headers, request.dialect, &request.payload)?
    };
    if !is_announced(request) {
        return Err(Condition::MissingContentLength.into());
    }
    if let Some(length) = expected.length_bytes.filter(|length| *length > PART_BYTES_MAX) {
        return Err(Error::from(Condition::EntityTooLarge)
            .field("ProposedSize", length.to_string())
            .field("MaxSizeAllowed", PART_BYTES_MAX.to_string()));
    }
    let decoder = match &request.payload {
        Payload::Streaming(streaming) => {
            let length = expected.length_bytes.ok_or(Condition::MissingContentLength)?;
            Some(AwsChunked::new(streaming.clone(), length))
        }
        Payload::Unsigned | Payload::Sha256(_) => None,
    };
    Ok(Incoming {
        arriving: request.arriving.take(),
        decoder,
        expected,
        decoded: VecDeque::new(),
        decoded_bytes: 0,
        ended: false,
    })
}

/// Completing an upload: the checksum headers are the object's, not the document's.
fn speaks_of_object(request: &Request) -> bool {
    request.method == Method::POST && request.query.has("uploadId")
}

fn without_checksums(headers: &HeaderMap) -> HeaderMap {
    let mut kept = headers.clone();
    kept.retain(|name, _| {
        let name = name.as_str();
        !name.starts_with("x-amz-checksum-") && name != "x-amz-sdk-checksum-algorithm"
    });
    kept
}

impl Incoming {
    async fn pull(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(bytes) = self.decoded.pop_front() {
                return Ok(Some(bytes));
            }
            if self.ended {
                return Ok(None);
            }
            let Some(arriving) = &mut self.arriving else {
                let detail = "The body was asked for before it may be read.";
                return Err(Error::new(Condition::Internal, detail));
            };
            match arriving.next().await {
                Some(bytes) => self.decode(bytes?)?,
                None => self.end()?,
            }
        }
    }

    fn decode(&mut self, bytes: Bytes) -> Result<()> {
        let before = self.decoded.len();
        match &mut self.decoder {
            Some(decoder) => self.decoded.extend(decoder.push(bytes)?),
            None => self.decoded.push_back(bytes),
        }
        let added: usize = self.decoded.iter().skip(before).map(Bytes::len).sum();
        self.decoded_bytes += added as u64;
        self.decoded.retain(|bytes| !bytes.is_empty());
        if self.decoded_bytes > self.expected.length_bytes.unwrap_or(PART_BYTES_MAX) {
            return Err(match self.expected.length_bytes {
                Some(_) => Condition::IncompleteBody.into(),
                None => Condition::EntityTooLarge.into(),
            });
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        self.ended = true;
        if let Some(decoder) = self.decoder.take() {
            let trailers = decoder.finish()?;
            self.expected.add_trailers(&trailers)?;
        }
        match self.expected.length_bytes {
            Some(length) if length != self.decoded_bytes => Err(Condition::IncompleteBody.into()),
            _ => Ok(()),
        }
    }
}

#[async_trait(?Send)]
impl Body for Incoming {
    fn length_bytes(&self) -> Option<u64> {
        self.expected.length_bytes
    }

    fn wants_sha256(&self) -> bool {
        self.expected.sha256.is_some()
    }

    fn algorithm(&self) -> Option<Algorithm> {
        self.expected.checksum.as_ref().map(|checksum| checksum.algorithm)
    }

    async fn next(&mut self) -> Option<Result<Bytes>> {
        let pulled = self.pull().await;
        if pulled.is_err() {
            // Nothing is handed out after an error.
            self.decoded.clear();
            self.ended = true;
        }
        pulled.transpose()
    }

    fn check(&mut self, digests: &Digests) -> Result<()> {
        let computed = |algorithm| match algorithm {
            Algorithm::Md5 => Some(digests.md5.to_vec()),
            Algorithm::Sha256 if digests.sha256.is_some() => {
                digests.sha256.map(|value| value.to_vec())
            }
            _ => {
                let found = digests.checksum.as_ref();
                found
                    .filter(|checksum| checksum.algorithm == algorithm)
                    .map(|checksum| checksum.value.clone())
            }
        };
        Ok(self.expected.check(digests.size_bytes, computed)?)
    }
}
