//! Requests for the tests of operations and for fuzzing.

use std::{cell::Cell, rc::Rc, sync::Arc};

use actix_http::BoxedPayloadStream;
use actix_web::{
    dev,
    http::{
        Method,
        header::{HeaderMap, HeaderName, HeaderValue},
    },
};
use bytes::Bytes;
use futures_util::stream;
use model::policy::Facts;
use service::Caller;

use super::{Arriving, Presence, Query, Request};
use crate::{address, dialect::Dialect, encoding::query_pairs, settings::Patience, signature};

/// An unsigned request to `127.0.0.1:9000`, region `us-east-1`.
#[cfg(test)]
pub fn request(
    dialect: Dialect,
    method: &str,
    path_and_query: &str,
    headers: &[(&str, &str)],
    body: &'static str,
) -> Request {
    try_request(dialect, method, path_and_query, headers, Bytes::from_static(body.as_bytes()))
        .unwrap()
}

/// As [`request`]; `None` when no such request can reach an operation.
pub fn try_request(
    dialect: Dialect,
    method: &str,
    path_and_query: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> Option<Request> {
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        map.append(name, HeaderValue::from_bytes(value.as_bytes()).ok()?);
    }
    let pieces: BoxedPayloadStream = Box::pin(stream::iter([Ok(body)]));
    let payload = dev::Payload::Stream { payload: pieces };
    let received = Rc::new(Cell::new(0));
    Some(Request {
        dialect,
        method: Method::from_bytes(method.as_bytes()).ok()?,
        address: address::resolve(Some("127.0.0.1:9000"), path, &[]).ok()?,
        path: path.to_owned(),
        query: Query::new(query_pairs(query).ok()?),
        caller: Caller::from_facts(Facts::system("test", 0), None),
        verified: None,
        payload: signature::unsigned_payload(&map, dialect).ok()?,
        headers: map,
        secure: false,
        presence: Arc::new(Presence { region: "us-east-1".to_owned(), public_url: None }),
        arriving: Some(Arriving::new(payload, true, Patience::default(), received, None)),
        wanted_body: false,
        form: None,
        noted: None,
    })
}
