//! `/_larder/health`, `/_larder/ready` and, from the machine itself, `/_larder/metrics`: answered
//! without credentials, and from memory only, so that they answer even when every disk hangs.

use std::net::{Ipv4Addr, Ipv6Addr};

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

/// The request was sent on this machine, not by a proxy on behalf of somebody else, nor by a
/// browser for a page whose name was made to lead here.
fn is_local(head: &Head) -> bool {
    let source = head.source.is_some_and(|source| source.is_loopback());
    source && !head.forwarded && head.host.as_deref().is_some_and(is_no_name)
}

/// An address or `localhost`, with or without a port: what nobody else can register.
fn is_no_name(host: &str) -> bool {
    if let Some(rest) = host.strip_prefix('[') {
        let parts = rest.split_once(']');
        return parts.is_some_and(|(address, port)| {
            address.parse::<Ipv6Addr>().is_ok() && (port.is_empty() || port.starts_with(':'))
        });
    }
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    name.eq_ignore_ascii_case("localhost") || name.parse::<Ipv4Addr>().is_ok()
}

fn text(status: u16, text: &'static str) -> Reply {
    let mut reply = empty(status).header("content-type", "text/plain; charset=utf-8");
    reply.body = ReplyBody::Bytes(Bytes::from_static(text.as_bytes()));
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_localhost_are_no_names() {
        for host in ["localhost", "LocalHost:9000", "127.0.0.1", "10.0.0.1:80", "[::1]", "[::1]:9"]
        {
            assert!(is_no_name(host), "{host}");
        }
        for host in ["", "evil.example", "127.0.0.1.evil.example:9000", "localhost.evil", "[::1]x"]
        {
            assert!(!is_no_name(host), "{host}");
        }
    }
}
