//! The body of a request as a stream: pulled from the connection, decoded, measured.

use std::{cell::Cell, collections::VecDeque, rc::Rc, time::Duration};

use actix_web::{
    dev,
    http::{Method, header::HeaderMap},
};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use model::{
    Condition,
    checksums::Algorithm,
    limits::{BODY_WINDOW_SECONDS, PART_BYTES_MAX},
};
use service::{
    Error,
    body::{Body, Digests},
};
use tokio::time::Instant;

use super::{Request, Result};
use crate::{
    body::{AwsChunked, Expected},
    http::Activity,
    settings::Patience,
    signature::Payload,
};

/// Bytes that come in over a connection.
pub struct Arriving {
    payload: dev::Payload,
    /// HTTP itself tells where the body ends.
    framed: bool,
    pace: Pace,
    received: Rc<Cell<u64>>,
    activity: Option<Activity>,
}

impl Arriving {
    /// - `framed`: there is a `Content-Length`, a `Transfer-Encoding`, or HTTP/2.
    /// - `received`: counts the bytes.
    /// - `activity`: the connection, which is told when bytes are waited for.
    pub fn new(
        payload: dev::Payload,
        framed: bool,
        patience: Patience,
        received: Rc<Cell<u64>>,
        activity: Option<Activity>,
    ) -> Self {
        Self { payload, framed, pace: Pace::new(patience), received, activity }
    }

    async fn next(&mut self) -> Option<Result<Bytes>> {
        let asked = Instant::now();
        self.set_hungry(true);
        let next = tokio::time::timeout(self.pace.patience.idle, self.payload.next()).await;
        self.set_hungry(false);
        match next {
            Err(_) => Some(Err(Condition::RequestTimeout.into())),
            Ok(None) => None,
            Ok(Some(Ok(bytes))) => {
                if !self.pace.keeps(asked.elapsed(), bytes.len() as u64) {
                    return Some(Err(Condition::RequestTimeout.into()));
                }
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

impl Arriving {
    /// The whole body as it came.
    ///
    /// # Errors
    /// `MaxMessageLengthExceeded`, and whatever broke the body off.
    pub async fn whole(mut self, bytes_max: usize) -> Result<Bytes> {
        let mut whole = bytes::BytesMut::new();
        while let Some(bytes) = self.next().await {
            let bytes = bytes?;
            if whole.len() + bytes.len() > bytes_max {
                return Err(Condition::MaxMessageLengthExceeded.into());
            }
            whole.extend_from_slice(&bytes);
        }
        Ok(whole.freeze())
    }

    fn set_hungry(&self, hungry: bool) {
        if let Some(activity) = &self.activity {
            activity.set_hungry(hungry);
        }
    }
}

impl Drop for Arriving {
    /// What nobody waits for any more is read and thrown away.
    fn drop(&mut self) {
        self.set_hungry(true);
    }
}

/// Judges how fast a client sends.
struct Pace {
    patience: Patience,
    /// Since the stretch began: time spent waiting, and bytes that came.
    waited: Duration,
    bytes: u64,
}

impl Pace {
    const WINDOW: Duration = Duration::from_secs(BODY_WINDOW_SECONDS);

    fn new(patience: Patience) -> Self {
        Self { patience, waited: Duration::ZERO, bytes: 0 }
    }

    /// Notes that `bytes` came after a wait; `false` when the client is too slow.
    fn keeps(&mut self, waited: Duration, bytes: u64) -> bool {
        self.waited += waited;
        self.bytes += bytes;
        if self.waited < Self::WINDOW {
            return true;
        }
        let least = self.patience.bytes_per_second_min.saturating_mul(self.waited.as_secs());
        let keeps = self.bytes >= least;
        (self.waited, self.bytes) = (Duration::ZERO, 0);
        keeps
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
        judge(&self.expected, digests)
    }
}

/// Compares a body that has come in with what was said of it.
///
/// # Errors
/// As of [`Expected::check`].
pub fn judge(expected: &Expected, digests: &Digests) -> Result<()> {
    let computed = |algorithm| match algorithm {
        Algorithm::Md5 => Some(digests.md5.to_vec()),
        Algorithm::Sha256 if digests.sha256.is_some() => digests.sha256.map(|value| value.to_vec()),
        _ => {
            let found = digests.checksum.as_ref();
            found
                .filter(|checksum| checksum.algorithm == algorithm)
                .map(|checksum| checksum.value.clone())
        }
    };
    Ok(expected.check(digests.size_bytes, computed)?)
}

#[cfg(test)]
mod tests {
    use actix_http::BoxedPayloadStream;
    use futures_util::stream;

    use super::*;

    /// What becomes of a body that sends `bytes` at a time, each `wait` seconds after the last was
    /// taken, `times` times.
    async fn outcome(patience: Patience, wait: u64, bytes: usize, times: usize) -> Result<usize> {
        let pieces = stream::unfold(0, move |sent| async move {
            tokio::time::sleep(Duration::from_secs(wait)).await;
            (sent < times).then(|| (Ok(Bytes::from(vec![0; bytes])), sent + 1))
        });
        let pieces: BoxedPayloadStream = Box::pin(pieces);
        let payload = dev::Payload::Stream { payload: pieces };
        let mut arriving = Arriving::new(payload, true, patience, Rc::default(), None);
        let mut received = 0;
        while let Some(piece) = arriving.next().await {
            received += piece?.len();
            // The server may take its time.
            tokio::time::sleep(Duration::from_secs(1000)).await;
        }
        Ok(received)
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_comes_too_slowly_is_given_up() {
        let default = Patience::default();
        let any = Patience { bytes_per_second_min: 0, ..default };
        for (patience, wait, bytes, times, whole) in [
            (default, 1, 1, 50, true),
            (default, 1, 1, 100, false),
            (default, 59, 1, 10, false),
            (default, 10, 5_000, 1_000, true),
            (default, 10, 4_999, 1_000, false),
            (default, 61, 1_000_000, 2, false),
            (any, 59, 1, 1_000, true),
            (any, 61, 1_000_000, 2, false),
        ] {
            let outcome = outcome(patience, wait, bytes, times).await;
            let condition = outcome.as_ref().err().map(|error| error.condition);
            let wanted = (!whole).then_some(Condition::RequestTimeout);
            assert_eq!(condition, wanted, "{bytes} bytes every {wait} s, {times} times");
            assert!(!whole || outcome.is_ok_and(|received| received == bytes * times));
        }
    }
}
