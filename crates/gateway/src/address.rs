//! Host and path -> bucket and key.
//!
//! Both protocols name a bucket either in the path (`/bucket/key`) or in the host
//! (`bucket.endpoint/key`). A host nobody configured means path style, never an error: clients that
//! dial an address put all kinds of names into `Host`. Which protocol is spoken is decided in
//! [`crate::dialect`].

use std::net::{Ipv4Addr, Ipv6Addr};

use model::Condition;

use crate::encoding::decode;
use crate::signature::Refusal;

/// Where the bucket's name was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `/bucket/key`, or no bucket at all.
    Path,
    /// The host names the bucket; the whole path is the key.
    VirtualHost,
}

/// What a request is about. Neither name has been checked against the rules for names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The host as sent, or empty.
    pub host: String,
    /// The host in lower case without the bucket, with the port as sent.
    pub endpoint: String,
    pub style: Style,
    pub bucket: Option<String>,
    /// Decoded exactly once; `//`, `.`, `..` and `+` stay as they are. Never empty.
    pub key: Option<String>,
}

impl Address {
    /// The interface of whole accounts, at this endpoint: neither bucket nor key.
    #[must_use]
    pub fn of_control(self) -> Self {
        Self { bucket: None, key: None, style: Style::Path, ..self }
    }

    /// `/`, `/bucket/` or `/bucket/key`, decoded: what every OSS signature covers.
    pub fn resource(&self) -> String {
        let bucket = self.bucket.as_ref().map(|bucket| format!("{bucket}/")).unwrap_or_default();
        format!("/{bucket}{}", self.key.as_deref().unwrap_or_default())
    }

    fn in_host(
        host: &str,
        endpoint: String,
        raw_path: &str,
        bucket: String,
    ) -> Result<Self, Refusal> {
        let key = key_of(below_root(raw_path)?)?;
        let style = Style::VirtualHost;
        Ok(Self { host: host.to_owned(), endpoint, style, bucket: Some(bucket), key })
    }

    fn in_path(host: &str, raw_path: &str) -> Result<Self, Refusal> {
        let rest = below_root(raw_path)?;
        let (raw_bucket, raw_key) = rest.split_once('/').unwrap_or((rest, ""));
        if raw_bucket.is_empty() && !rest.is_empty() {
            let detail = "The specified bucket is not valid.";
            return Err(Refusal::new(Condition::InvalidBucketName, detail));
        }
        let bucket = if rest.is_empty() { None } else { Some(decode(raw_bucket)?) };
        let endpoint = host.to_ascii_lowercase();
        let (host, style, key) = (host.to_owned(), Style::Path, key_of(raw_key)?);
        Ok(Self { host, endpoint, style, bucket, key })
    }
}

/// Finds bucket and key.
///
/// - `host`: the `Host` header or `:authority`, with or without a port.
/// - `raw_path`: as on the wire, without the query.
/// - `domains`: the names this server answers to; `localhost` always is one. With none configured
///   `bucket.s3.rest`, `bucket.s3-region.rest` and `bucket.oss-region.rest` name a bucket too.
///
/// # Errors
/// [`Condition::InvalidUri`] for a path that does not begin with `/`, has a broken escape or is not
/// UTF-8; [`Condition::InvalidBucketName`] for an empty bucket name before a key.
pub fn resolve(host: Option<&str>, raw_path: &str, domains: &[String]) -> Result<Address, Refusal> {
    let host = host.unwrap_or_default();
    let (name, port) = name_and_port(host);
    let name = name.to_ascii_lowercase();
    let name = name.strip_suffix('.').unwrap_or(&name);
    let inferred = || if domains.is_empty() { by_shape(name, raw_path) } else { None };
    match by_domain(name, domains).or_else(inferred) {
        Some((bucket, endpoint)) if !bucket.is_empty() => {
            Address::in_host(host, format!("{endpoint}{port}"), raw_path, bucket.to_owned())
        }
        _ => Address::in_path(host, raw_path),
    }
}

/// The path of the public access block in S3 Control, the interface of whole accounts.
pub const CONTROL_BLOCK: &str = "/v20180820/configuration/publicAccessBlock";

/// What S3 Control is asked for, as a sub-resource; `None` if the path is none of its own.
///
/// Its clients put the id of the account in front of the host and always name it in a header, by
/// which its paths differ from those of a bucket called `v20180820`.
pub fn control(raw_path: &str, names_account: bool) -> Option<&str> {
    let is_control = names_account && raw_path.starts_with("/v20180820/");
    is_control.then_some(if raw_path == CONTROL_BLOCK { "publicAccessBlock" } else { raw_path })
}

fn key_of(raw_key: &str) -> Result<Option<String>, Refusal> {
    if raw_key.is_empty() { Ok(None) } else { decode(raw_key).map(Some) }
}

fn below_root(raw_path: &str) -> Result<&str, Refusal> {
    let unreadable = || Refusal::new(Condition::InvalidUri, "Couldn't parse the specified URI.");
    raw_path.strip_prefix('/').ok_or_else(unreadable)
}

/// `("example.com", ":9000")`; the port keeps its colon.
fn name_and_port(host: &str) -> (&str, &str) {
    match host.rfind(':').and_then(|at| host.split_at_checked(at)) {
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, port),
        _ => (host, ""),
    }
}

/// Bucket and endpoint by the longest configured domain that `name` lies below.
///
/// The bucket is empty when `name` is the domain itself or an address.
fn by_domain<'a>(name: &'a str, domains: &[String]) -> Option<(&'a str, &'a str)> {
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    if name.parse::<Ipv4Addr>().is_ok() || bare.parse::<Ipv6Addr>().is_ok() {
        return Some(("", name));
    }
    let known = domains.iter().map(|domain| name_and_port(domain).0).chain(["localhost"]);
    known.filter_map(|domain| below(name, domain)).min_by_key(|(bucket, _)| bucket.len())
}

fn below<'a>(name: &'a str, domain: &str) -> Option<(&'a str, &'a str)> {
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    let (bucket, end) = name.split_at_checked(name.len().checked_sub(domain.len())?)?;
    if domain.is_empty() || !end.eq_ignore_ascii_case(domain) {
        return None;
    }
    if bucket.is_empty() { Some(("", end)) } else { Some((bucket.strip_suffix('.')?, end)) }
}

/// Bucket and endpoint of a host shaped like those of the two clouds.
///
/// An OSS client forced to path style still puts `bucket.oss-region.rest` into `Host`; there the
/// path repeats the bucket. Should that guess be wrong, no OSS signature will match.
fn by_shape<'a>(name: &'a str, raw_path: &str) -> Option<(&'a str, &'a str)> {
    let dots = name.match_indices('.').map(|(at, _)| at);
    let split = |at: usize| Some((name.get(..at)?, name.get(at + 1..)?));
    let (bucket, endpoint) = dots.filter_map(split).rfind(|(_, endpoint)| is_cloud(endpoint))?;
    let first = raw_path.trim_start_matches('/').split('/').next().unwrap_or_default();
    let repeated = endpoint.starts_with("oss-") && first == bucket;
    if repeated { None } else { Some((bucket, endpoint)) }
}

fn is_cloud(endpoint: &str) -> bool {
    endpoint.split_once('.').is_some_and(|(label, rest)| {
        let known = label == "s3" || label.starts_with("s3-") || label.starts_with("oss-");
        known && !rest.is_empty()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: &str, raw_path: &str, domains: &[&str]) -> (Option<String>, Option<String>) {
        let domains: Vec<String> = domains.iter().map(|domain| (*domain).to_owned()).collect();
        let address = resolve(Some(host), raw_path, &domains).unwrap();
        (address.bucket, address.key)
    }

    fn names(bucket: &str, key: &str) -> (Option<String>, Option<String>) {
        let some = |name: &str| Some(name.to_owned()).filter(|name| !name.is_empty());
        (some(bucket), some(key))
    }

    #[test]
    fn s3_control_is_told_from_a_bucket_of_that_name_by_its_header() {
        assert_eq!(control(CONTROL_BLOCK, true), Some("publicAccessBlock"));
        assert_eq!(control("/v20180820/jobs", true), Some("/v20180820/jobs"));
        assert_eq!((control(CONTROL_BLOCK, false), control("/bkt/v20180820/", true)), (None, None));
    }

    #[test]
    fn a_path_names_bucket_and_key() {
        for (raw_path, bucket, key) in [
            ("/", "", ""),
            ("/bkt", "bkt", ""),
            ("/bkt/", "bkt", ""),
            ("/bkt//x", "bkt", "/x"),
            ("/bkt//", "bkt", "/"),
            ("/bkt/a/../b/./c//", "bkt", "a/../b/./c//"),
            ("/bkt/a+b%2Bc%20d%2Fe%252F", "bkt", "a+b+c d/e%2F"),
            ("/bkt/%2e%2e/x", "bkt", "../x"),
            ("/bkt/dir%2F", "bkt", "dir/"),
        ] {
            assert_eq!(at("127.0.0.1:9000", raw_path, &[]), names(bucket, key), "{raw_path}");
        }
    }

    #[test]
    fn a_host_below_a_domain_names_the_bucket() {
        let domains = ["s3.example.com", "example.com", "Other.Org:9000"];
        for (host, bucket) in [
            ("bkt.s3.example.com", "bkt"),
            ("BKT.S3.Example.COM:9000", "bkt"),
            ("my.dotted.bkt.s3.example.com", "my.dotted.bkt"),
            ("bkt.example.com.", "bkt"),
            ("bkt.other.org", "bkt"),
            ("bkt.localhost:8080", "bkt"),
        ] {
            assert_eq!(at(host, "/a%20b", &domains), names(bucket, "a b"), "{host}");
        }
        let double = at("bkt.example.com", "//x", &domains);
        assert_eq!(double, names("bkt", "/x"));
        assert_eq!(at("bkt.example.com", "/", &domains), names("bkt", ""));
    }

    #[test]
    fn any_other_host_means_path_style() {
        let domains = ["s3.example.com"];
        for host in [
            "s3.example.com",
            "S3.EXAMPLE.COM.:9000",
            "localhost",
            "localhost:9000",
            ".localhost",
            "127.0.0.1",
            "127.0.0.1:9000",
            "[::1]",
            "[fe80::1]:9000",
            "::1",
            "",
            "notexample.com",
            "xs3.example.com",
            "bkt.s3.amazonaws.com",
            "bkt.oss-cn-hangzhou.aliyuncs.com",
            "a:b:c",
            "é.example.com:x",
        ] {
            assert_eq!(at(host, "/bkt/k", &domains), names("bkt", "k"), "{host}");
        }
        let none = resolve(None, "/bkt/k", &[]).unwrap();
        assert_eq!((none.bucket, none.key), names("bkt", "k"));
    }

    #[test]
    fn without_domains_only_cloud_shaped_hosts_name_a_bucket() {
        for (host, bucket, key) in [
            ("bkt.localhost", "bkt", "x/k"),
            ("bkt.s3.amazonaws.com", "bkt", "x/k"),
            ("my.bkt.s3.eu-west-1.amazonaws.com:443", "my.bkt", "x/k"),
            ("bkt.s3-us-west-2.amazonaws.com", "bkt", "x/k"),
            ("bkt.oss-cn-hangzhou.aliyuncs.com", "bkt", "x/k"),
            ("a.s3.b.s3.example.com", "a.s3.b", "x/k"),
            ("s3.amazonaws.com", "x", "k"),
            ("bkt.s3", "x", "k"),
            ("bkt.example.com", "x", "k"),
            ("oss-cn-hangzhou.aliyuncs.com", "x", "k"),
        ] {
            assert_eq!(at(host, "/x/k", &[]), names(bucket, key), "{host}");
        }
    }

    #[test]
    fn an_oss_client_forced_to_path_style_repeats_the_bucket() {
        let host = "bkt.oss-cn-hangzhou.aliyuncs.com";
        assert_eq!(at(host, "/bkt/k", &[]), names("bkt", "k"));
        assert_eq!(at("bkt.s3.amazonaws.com", "/bkt/k", &[]), names("bkt", "bkt/k"));
    }

    #[test]
    fn the_endpoint_is_the_host_without_its_bucket() {
        let domains = ["example.com".to_owned()];
        let address = resolve(Some("Bkt.Example.com:9000"), "/k", &domains).unwrap();
        assert_eq!(address.endpoint, "example.com:9000");
        assert_eq!(address.host, "Bkt.Example.com:9000");
        assert_eq!(address.style, Style::VirtualHost);
        let address = resolve(Some("127.0.0.1:9000"), "/bkt", &domains).unwrap();
        assert_eq!((address.endpoint.as_str(), address.style), ("127.0.0.1:9000", Style::Path));
    }

    #[test]
    fn unreadable_paths_are_refused() {
        for (raw_path, condition) in [
            ("", Condition::InvalidUri),
            ("*", Condition::InvalidUri),
            ("/bkt/%", Condition::InvalidUri),
            ("/bkt/%zz", Condition::InvalidUri),
            ("/bkt/%C0%AF", Condition::InvalidUri),
            ("/b%FF/k", Condition::InvalidUri),
            ("//k", Condition::InvalidBucketName),
        ] {
            let refusal = resolve(Some("localhost"), raw_path, &[]).unwrap_err();
            assert_eq!(refusal.condition, condition, "{raw_path}");
        }
    }

    #[test]
    fn the_resource_always_names_the_bucket() {
        for (host, raw_path, resource) in [
            ("bkt.localhost", "/a%20b", "/bkt/a b"),
            ("localhost", "/bkt/a%20b", "/bkt/a b"),
            ("localhost", "/bkt", "/bkt/"),
            ("localhost", "/", "/"),
        ] {
            assert_eq!(resolve(Some(host), raw_path, &[]).unwrap().resource(), resource);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_host_or_path_panics(host in ".{0,40}", raw_path in "/?.{0,40}", domain in ".{0,9}") {
            let _ = resolve(Some(&host), &raw_path, &[domain]);
            let _ = resolve(Some(&host), &raw_path, &[]);
        }

        #[test]
        fn a_key_survives_its_own_encoding(key in ".{1,40}") {
            let raw_path = format!("/bkt/{}", crate::encoding::encode(&key));
            proptest::prop_assert_eq!(resolve(None, &raw_path, &[]).unwrap().key, Some(key));
        }
    }
}
