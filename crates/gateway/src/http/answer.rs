//! A reply becomes an HTTP response.

use actix_http::{
    Response, StatusCode,
    body::{BodyStream, BoxBody, SizedStream},
};
use actix_web::http::header::{CONTENT_LENGTH, HeaderName, HeaderValue, SERVER};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use service::Piece;

use super::{Activity, handover::HandedOver};
use crate::{
    dialect::Dialect,
    errors::host_id,
    wire::{Pieces, Reply, ReplyBody},
};

/// Larger bodies are handed over to their connection: two writes, but fewer copies.
const LIBRARY_SENDS_BYTES: u64 = 128 * 1024;

/// Makes the response, with the headers every answer carries; HTTP adds `Date` and the length.
///
/// - `elapsed_ms`: how long the request took, which OSS tells.
/// - `count`: is told of every piece of the body that goes out.
/// - `activity`: the connection's, if it can send a body itself.
pub fn respond(
    reply: Reply,
    dialect: Dialect,
    id: &str,
    elapsed_ms: u128,
    count: impl Fn(usize) + 'static,
    activity: Option<Activity>,
) -> Response<BoxBody> {
    let mut sent_by_connection = None;
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
        ReplyBody::Stream { size_bytes, pieces } => {
            let pieces = counted(pieces, id, count);
            let taker = activity.filter(|it| size_bytes > LIBRARY_SENDS_BYTES && it.takes_bodies());
            match taker {
                Some(activity) => {
                    sent_by_connection = Some(size_bytes);
                    BoxBody::new(HandedOver::new(activity, Box::pin(pieces), size_bytes))
                }
                None => BoxBody::new(SizedStream::new(size_bytes, bytes(pieces))),
            }
        }
        ReplyBody::Endless(pieces) => {
            BoxBody::new(BodyStream::new(bytes(counted(pieces, id, count))))
        }
    };
    let mut response = Response::with_body(status, body);
    // The library is not to wrap what it does not see.
    response.head_mut().no_chunking(sent_by_connection.is_some());
    let headers = response.headers_mut();
    for (name, value) in reply.headers {
        headers.append(name, value);
    }
    if let Some(size_bytes) = sent_by_connection {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(size_bytes));
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
    pieces: Pieces,
    id: &str,
    count: impl Fn(usize) + 'static,
) -> impl Stream<Item = Result<Piece, service::Error>> + 'static {
    let id = id.to_owned();
    pieces.inspect(move |piece| match piece {
        Ok(piece) => count(piece.len()),
        Err(error) => tracing::error!(id, %error, "an answer broke off"),
    })
}

fn bytes(
    pieces: impl Stream<Item = Result<Piece, service::Error>> + 'static,
) -> impl Stream<Item = Result<Bytes, service::Error>> + 'static {
    pieces.map_ok(|piece| piece.into_stream().map_err(service::Error::from)).try_flatten()
}
