//! A door for the instruction counts in `tests/counts`: built only with the feature `counting`.
//!
//! A [`Desk`] answers whole requests without a connection, so that what is counted is ours alone.

#![allow(clippy::expect_used, reason = "what is counted has to be right")]

use std::sync::Arc;

use actix_http::BoxedPayloadStream;
use actix_web::{
    body,
    dev::Payload,
    http::{
        Method,
        header::{HeaderMap, HeaderName, HeaderValue},
    },
};
use bytes::Bytes;
use futures_util::{FutureExt as _, stream};
use service::Service;

use crate::{
    http::{Gateway, Head, RequestId},
    pipeline,
    settings::Settings,
    signature::{
        Scheme,
        testing::{NOW, Sample},
    },
};

/// The key pair that requests are signed with, and when, in seconds since 1970.
pub const SIGNED_BY: (&str, &str, i64) = ("AKID", "A-SECRET-KEY", NOW);
const HOST: &str = "example.com";

/// Answers requests.
pub struct Desk(Arc<Gateway>);

/// A signed request, with its body in pieces.
#[derive(Clone)]
pub struct Asked {
    head: Head,
    pieces: Vec<Bytes>,
}

impl Asked {
    /// Signs with Signature Version 4, the payload unsigned.
    ///
    /// # Panics
    /// When nobody can sign such a request.
    pub fn new(method: &str, target: &str, headers: &[(&str, &str)], pieces: Vec<Bytes>) -> Self {
        let length: usize = pieces.iter().map(Bytes::len).sum();
        let mut sample = Sample::new(method, HOST, target).header("host", HOST);
        if !pieces.is_empty() {
            sample = sample.header("content-length", &length.to_string());
        }
        for (name, value) in headers {
            sample = sample.header(name, value);
        }
        let sample = sample.sign_with(SIGNED_BY.1, Scheme::S3V4, false);
        let sample = sample.expect("it can be signed");
        let mut map = HeaderMap::new();
        for (name, value) in &sample.headers {
            let name = HeaderName::try_from(name.as_str()).expect("a name");
            map.append(name, HeaderValue::try_from(value.as_str()).expect("a value"));
        }
        let head = Head {
            id: RequestId("0123456789ABCDEF01234567".to_owned()),
            method: Method::from_bytes(method.as_bytes()).expect("a method"),
            path: sample.path,
            raw_query: sample.query,
            headers: map,
            host: Some(HOST.to_owned()),
            source: None,
            forwarded: false,
            secure: false,
            tls_version: None,
            framed: !pieces.is_empty(),
            too_large: false,
        };
        Self { head, pieces }
    }
}

impl Desk {
    pub fn new(service: Arc<Service>) -> Self {
        let settings = Settings { domains: vec![HOST.to_owned()], ..Settings::default() };
        Self(Gateway::new(service, settings))
    }

    /// Answers one request: the status, and the bytes of the body.
    pub async fn answer(&self, asked: Asked) -> (u16, usize) {
        let pieces: BoxedPayloadStream = Box::pin(stream::iter(asked.pieces.into_iter().map(Ok)));
        let payload = Payload::Stream { payload: pieces };
        // In a box, as the connection has it.
        let answer = pipeline::serve(&self.0, asked.head, payload, None).boxed_local().await;
        let status = answer.status().as_u16();
        let body = body::to_bytes(answer.into_body()).await.expect("the whole body");
        (status, body.len())
    }
}
