//! `/_larder/health`, `/_larder/ready` and, from the machine itself, `/_larder/metrics`: answered
//! without credentials, and from memory only, so that they answer even when every disk hangs.

use actix_web::http::Method;
use bytes::Bytes;

use crate::{
    address::Address,
    admin::{is_ours, metrics_page},
    http::{Gateway, Head},
    wire::{Reply, ReplyBody, empty},
};

/// The reply, if the request is one of these.
pub fn reply(gateway: &Gateway, head: &Head, address: &Address) -> Option<Reply> {
    if !is_ours(address) || !matches!(head.method, Method::GET | Method::HEAD) {
        return None;
    }
    let mut reply = match address.key.as_deref()? {
        // The process runs and its HTTP threads answer.
        "health" => text(200, "ok\n"),
        "ready" => {
            let ready = gateway.service.status().ready();
            if ready { text(200, "ready\n") } else { text(503, "not ready\n") }
        }
        "metrics" if is_local(head) => metrics_page(gateway),
        _ => return None,
    };
    if head.method == Method::HEAD {
        reply.body = ReplyBody::Empty;
    }
    Some(reply)
}

/// The request was sent on this machine, not by a proxy on behalf of somebody else.
fn is_local(head: &Head) -> bool {
    !head.forwarded && head.source.is_some_and(|source| source.is_loopback())
}

fn text(status: u16, text: &'static str) -> Reply {
    let mut reply = empty(status).header("content-type", "text/plain; charset=utf-8");
    reply.body = ReplyBody::Bytes(Bytes::from_static(text.as_bytes()));
    reply
}
