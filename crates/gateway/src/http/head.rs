//! What the head of a request says, whatever the version of HTTP.

use std::net::IpAddr;

use actix_http::{RequestHead, Version};
use actix_web::http::{Method, header::HeaderMap};
use ipnet::IpNet;
use model::environment::{Entropy, random};

use crate::settings::Settings;

/// 24 upper-case hexadecimal digits that name a request in its answer and in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(pub String);

impl RequestId {
    pub fn new(entropy: &dyn Entropy) -> Self {
        Self(hex::encode_upper(random::<12>(entropy)))
    }
}

/// The head of a request.
#[derive(Clone, Debug)]
pub struct Head {
    pub id: RequestId,
    pub method: Method,
    /// As sent.
    pub path: String,
    /// As sent, without the `?`.
    pub raw_query: String,
    pub headers: HeaderMap,
    /// `Host` or `:authority`.
    pub host: Option<String>,
    /// The peer, or whom a trusted proxy speaks for.
    pub source: Option<IpAddr>,
    /// Somebody in between spoke for another: the peer's own address proves nothing.
    pub forwarded: bool,
    /// TLS reached us, or a trusted proxy.
    pub secure: bool,
    /// Of the client's own connection; of one to a proxy nothing is known.
    pub tls_version: Option<&'static str>,
    /// HTTP tells where the body ends.
    pub framed: bool,
    /// All header lines together are longer than allowed.
    pub too_large: bool,
}

/// What protects the connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tls {
    pub secure: bool,
    pub version: Option<&'static str>,
}

impl Head {
    pub fn new(head: &RequestHead, tls: Tls, settings: &Settings, id: RequestId) -> Self {
        let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        let peer = head.peer_addr.map(|address| address.ip().to_canonical());
        let trusted = peer.is_some_and(|peer| contains(&settings.trusted_proxies, peer));
        let spoken_for = list(&head.headers, "x-forwarded-for").filter(|_| trusted);
        let speaker = spoken_for.and_then(|list| speaker(&list, &settings.trusted_proxies));
        let source = speaker.or(peer);
        let proto = list(&head.headers, "x-forwarded-proto").filter(|_| trusted);
        let host = text("host").map(str::to_owned);
        let host = host.or_else(|| head.uri.authority().map(|authority| authority.to_string()));
        let bytes: usize = head
            .headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len())
            .sum();
        let names = ["forwarded", "via", "x-forwarded-for", "x-real-ip"];
        Self {
            id,
            method: head.method.clone(),
            path: head.uri.path().to_owned(),
            raw_query: head.uri.query().unwrap_or_default().to_owned(),
            host,
            source,
            forwarded: names.iter().any(|name| head.headers.contains_key(*name)),
            secure: proto.map_or(tls.secure, |list| is_https(&list)),
            tls_version: tls.version.filter(|_| !trusted),
            framed: head.version == Version::HTTP_2
                || head.headers.contains_key("content-length")
                || head.headers.contains_key("transfer-encoding"),
            too_large: bytes > settings.header_bytes_max,
            headers: head.headers.clone(),
        }
    }
}

/// All lines of a header as one list, as whoever appends a line of their own means it.
///
/// A line that is no text stays as an element nobody can read.
fn list(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines: Vec<_> =
        headers.get_all(name).map(|line| line.to_str().unwrap_or("\u{fffd}")).collect();
    (!lines.is_empty()).then(|| lines.join(","))
}

/// What the nearest proxy says of its own client, which is the last word of the list.
fn is_https(list: &str) -> bool {
    list.rsplit(',').next().is_some_and(|last| last.trim().eq_ignore_ascii_case("https"))
}

/// The last address of the list that is no proxy of ours: whatever stands before it may be made up.
fn speaker(list: &str, proxies: &[IpNet]) -> Option<IpAddr> {
    let mut addresses = list.rsplit(',').map(|text| text.trim().parse::<IpAddr>().ok());
    addresses
        .find(|address| !address.is_some_and(|address| contains(proxies, address)))
        .flatten()
        .map(|address| address.to_canonical())
}

fn contains(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn every_line_of_a_list_counts_in_order() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-forwarded-for", &b"9.9.9.9"[..]),
            ("x-forwarded-proto", b"https"),
            ("x-forwarded-for", b"1.2.3.4, 10.0.0.1"),
            ("x-forwarded-proto", b"HTTPS, http"),
            ("x-real-ip", b"\xff"),
        ] {
            let value = HeaderValue::from_bytes(value).unwrap();
            headers.append(HeaderName::from_static(name), value);
        }
        let proxies = ["10.0.0.0/8".parse().unwrap()];
        let sources = list(&headers, "x-forwarded-for").unwrap();
        assert_eq!(speaker(&sources, &proxies), Some("1.2.3.4".parse().unwrap()));
        assert!(!is_https(&list(&headers, "x-forwarded-proto").unwrap()));
        assert!(is_https("http, https"));
        assert_eq!(list(&headers, "x-real-ip").unwrap(), "\u{fffd}");
        assert_eq!(list(&headers, "via"), None);
    }

    #[test]
    fn only_the_last_stranger_in_the_list_is_believed() {
        let proxies = ["10.0.0.0/8".parse().unwrap()];
        for (list, source) in [
            ("1.2.3.4", Some("1.2.3.4")),
            ("9.9.9.9, 1.2.3.4, 10.0.0.1", Some("1.2.3.4")),
            ("9.9.9.9, garbage, 10.0.0.1", None),
            ("10.0.0.2", None),
            ("", None),
        ] {
            let expected = source.map(|source| source.parse::<IpAddr>().unwrap());
            assert_eq!(speaker(list, &proxies), expected, "{list}");
        }
    }
}
