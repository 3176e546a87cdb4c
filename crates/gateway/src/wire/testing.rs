//! Requests for the tests of operations.

use std::{cell::Cell, rc::Rc, sync::Arc, time::Duration};

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
use crate::{address, dialect::Dialect, encoding::query_pairs, signature};

/// An unsigned request to `127.0.0.1:9000`, region `us-east-1`.
pub fn request(
    dialect: Dialect,
    method: &str,
    path_and_query: &str,
    headers: &[(&str, &str)],
    body: &'static str,
) -> Request {
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        map.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    let pieces: BoxedPayloadStream =
        Box::pin(stream::iter([Ok(Bytes::from_static(body.as_bytes()))]));
    let payload = dev::Payload::Stream { payload: pieces };
    let timeout = Duration::from_secs(5);
    let received = Rc::new(Cell::new(0));
    Request {
        dialect,
        method: Method::from_bytes(method.as_bytes()).unwrap(),
        address: address::resolve(Some("127.0.0.1:9000"), path, &[]).unwrap(),
        path: path.to_owned(),
        query: Query::new(query_pairs(query).unwrap()),
        caller: Caller::from_facts(Facts::system("test", 0), None),
        verified: None,
        payload: signature::unsigned_payload(&map, dialect).unwrap(),
        headers: map,
        id: "0123456789ABCDEF01234567".to_owned(),
        secure: false,
        presence: Arc::new(Presence {
            region: "us-east-1".to_owned(),
            public_url: None,
            body_timeout: timeout,
        }),
        arriving: Some(Arriving::new(payload, true, timeout, received)),
        wanted_body: false,
        noted: None,
    }
}
