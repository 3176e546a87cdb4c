//! A reply becomes an HTTP response.

use actix_http::{
    Response, StatusCode,
    body::{BodyStream, BoxBody, SizedStream},
};
use actix_web::http::header::{HeaderName, HeaderValue, SERVER};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};

use crate::{
    dialect::Dialect,
    errors::host_id,
    wire::{Chunks, Reply, ReplyBody},
};

/// Makes the response, with the headers every answer carries; HTTP adds `Date` and the length.
///
/// - `elapsed_ms`: how long the request took, which OSS tells.
/// - `count`: is told of every piece of the body that goes out.
pub fn respond(
    reply: Reply,
    dialect: Dialect,
    id: &str,
    elapsed_ms: u128,
    count: impl Fn(usize) + 'static,
) -> Response<BoxBody> {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = match reply.body {
        ReplyBody::Empty => BoxBody::new(()),
        ReplyBody::Absent { size_bytes } => {
            let nothing = stream::empty::<Result<Bytes, service::Error>>();
            BoxBody::new(SizedStream::new(size_bytes, nothing))
        }
        ReplyBody::Bytes(bytes) => {
            count(bytes.len());
            BoxBody::new(bytes)
        }
        ReplyBody::Stream { size_bytes, chunks } => {
            BoxBody::new(SizedStream::new(size_bytes, counted(chunks, id, count)))
        }
        ReplyBody::Endless(chunks) => BoxBody::new(BodyStream::new(counted(chunks, id, count))),
    };
    let mut response = Response::with_body(status, body);
    let headers = response.headers_mut();
    for (name, value) in reply.headers {
        headers.append(name, value);
    }
    headers.insert(SERVER, HeaderValue::from_static("Larder"));
    let mut own = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    match dialect {
        Dialect::S3 => {
            own("x-amz-request-id", id);
            own("x-amz-id-2", &host_id(id));
        }
        Dialect::Oss => {
            own("x-oss-request-id", id);
            // Zero would say that it was not measured.
            own("x-oss-server-time", &elapsed_ms.max(1).to_string());
        }
    }
    response
}

/// The pieces of a body, each told to `count`; an error goes to the log with the request's id.
fn counted(
    chunks: Chunks,
    id: &str,
    count: impl Fn(usize) + 'static,
) -> impl Stream<Item = Result<Bytes, service::Error>> + 'static {
    let id = id.to_owned();
    chunks.inspect(move |chunk| match chunk {
        Ok(bytes) => count(bytes.len()),
        Err(error) => tracing::error!(id, %error, "an answer broke off"),
    })
}
