//! One kept-alive connection that sends signed requests.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::content::{Content, TRAILER};
use crate::job::{Job, Payload};
use crate::sign::{self, Signer, sha256_hex};

/// What is sent: either a prepared content or a small document.
pub enum Sent<'a> {
    Nothing,
    Document(String),
    Content(&'a Content),
}

pub struct Connection {
    address: String,
    payload: Payload,
    signer: Signer,
    sender: SendRequest<Frames>,
}

/// A body whose parts are all there.
struct Frames(VecDeque<Bytes>);

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|bytes| bytes.len() as u64).sum())
    }
}

async fn connect(address: &str) -> Result<SendRequest<Frames>> {
    let stream = TcpStream::connect(address).await.context("connecting")?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

impl Connection {
    pub async fn open(job: &Job) -> Result<Self> {
        let signer = Signer {
            access_key: job.access_key.clone(),
            secret_key: job.secret_key.clone(),
            region: job.region.clone(),
        };
        let sender = connect(&job.address).await?;
        Ok(Self { address: job.address.clone(), payload: job.payload, signer, sender })
    }

    /// Sends one request and returns the answer, whatever its status is. `path` and `query` are
    /// encoded, `query` is sorted.
    pub async fn send(
        &mut self,
        method: &str,
        path: &str,
        query: &str,
        sent: Sent<'_>,
    ) -> Result<Response<Incoming>> {
        if self.sender.ready().await.is_err() {
            self.sender = connect(&self.address).await?;
        }
        let request = self.request(method, path, query, &sent)?;
        self.sender.send_request(request).await.with_context(|| format!("{method} {path}"))
    }

    fn request(
        &self,
        method: &str,
        path: &str,
        query: &str,
        sent: &Sent,
    ) -> Result<Request<Frames>> {
        let time = chrono::Utc::now().format("%Y%m%dT%H%M%SZ").to_string();
        let streaming = matches!(self.payload, Payload::StreamingSigned)
            || matches!(self.payload, Payload::StreamingUnsigned);
        let hash = match (sent, self.payload) {
            (Sent::Nothing, _) => sha256_hex(b""),
            (Sent::Document(text), _) => sha256_hex(text.as_bytes()),
            (Sent::Content(content), Payload::Signed) => content.sha256.clone(),
            (_, Payload::Unsigned) => "UNSIGNED-PAYLOAD".into(),
            (_, Payload::StreamingSigned) => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER".into(),
            (_, Payload::StreamingUnsigned) => "STREAMING-UNSIGNED-PAYLOAD-TRAILER".into(),
        };
        let mut headers = vec![
            ("host", self.address.clone()),
            ("x-amz-content-sha256", hash.clone()),
            ("x-amz-date", time.clone()),
        ];
        match sent {
            Sent::Content(content) if streaming => headers.extend([
                ("content-encoding", "aws-chunked".into()),
                ("x-amz-decoded-content-length", content.size_bytes.to_string()),
                ("x-amz-trailer", TRAILER.into()),
            ]),
            Sent::Content(content) if self.payload == Payload::Signed => {
                headers.push((TRAILER, content.crc32.clone()));
            }
            // Deletions need one; with CompleteMultipartUpload it would be that of the object.
            Sent::Document(text) if query == "delete=" => {
                headers.push((TRAILER, crc32(text.as_bytes())));
            }
            _ => {}
        }
        headers.sort();
        let signed: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let payload_hash = &hash;
        let (authorization, chain) = self
            .signer
            .sign(&time, &sign::Request { method, path, query, headers: &signed, payload_hash });
        let frames = match sent {
            Sent::Nothing => Vec::new(),
            Sent::Document(text) => vec![Bytes::from(text.clone())],
            Sent::Content(content) => match self.payload {
                Payload::StreamingSigned => content.chunked(Some(chain)),
                Payload::StreamingUnsigned => content.chunked(None),
                _ => content.plain(),
            },
        };
        let target = if query.is_empty() { path.into() } else { format!("{path}?{query}") };
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.header("authorization", authorization);
        Ok(request.body(Frames(frames.into()))?)
    }
}

fn crc32(bytes: &[u8]) -> String {
    use base64::Engine;
    let sum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, bytes) as u32;
    base64::engine::general_purpose::STANDARD.encode(sum.to_be_bytes())
}

/// The whole answer as text; an error if its status is another one.
pub async fn text(response: Response<Incoming>, status: u16) -> Result<String> {
    let found = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    let text = String::from_utf8_lossy(&body).into_owned();
    ensure!(found.as_u16() == status, "status {found}, not {status}: {text}");
    Ok(text)
}

/// Reads an answer that must be 200 and exactly `content`.
pub async fn check(response: Response<Incoming>, content: &Content) -> Result<()> {
    if response.status() != 200 {
        return text(response, 200).await.map(drop);
    }
    let mut body = response.into_body();
    let mut at_bytes = 0;
    while let Some(frame) = body.frame().await {
        let Ok(bytes) = frame?.into_data() else { continue };
        ensure!(content.matches(at_bytes, &bytes), "wrong content at or after byte {at_bytes}");
        at_bytes += bytes.len();
    }
    ensure!(at_bytes == content.size_bytes, "{at_bytes} bytes, not {}", content.size_bytes);
    Ok(())
}
