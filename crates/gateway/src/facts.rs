//! What policies may ask of a request: its headers and parameters as facts.

use actix_web::http::header::HeaderMap;
use model::policy::{Key, Signature};

use crate::{
    address::Address,
    dialect::Dialect,
    signature::{Scheme, Verified},
    wire::Query,
};

/// Keys that stand for headers both protocols share.
const SHARED: &[(&str, Key)] = &[("if-match", Key::IfMatch), ("if-none-match", Key::IfNoneMatch)];

/// What the request says, under the keys of conditions. The first of several headers counts, as
/// it does for the operations.
pub fn request(
    dialect: Dialect,
    address: &Address,
    query: &Query,
    headers: &HeaderMap,
) -> Vec<(Key, String)> {
    let mut facts = Vec::new();
    for (name, value) in headers {
        let (table, name) = match name.as_str().strip_prefix(dialect.header_prefix()) {
            Some(own) => (Key::HEADERS, own),
            None => (SHARED, name.as_str()),
        };
        if let Some((_, key)) = table.iter().find(|(known, _)| *known == name) {
            let value = String::from_utf8_lossy(value.as_bytes()).trim().to_owned();
            facts.push((key.clone(), value));
        }
    }
    // Only a bucket is listed: elsewhere these parameters mean nothing.
    if address.key.is_none() {
        for (name, key) in Key::LISTING {
            if let Some(value) = query.get(name) {
                facts.push((key.clone(), value.to_owned()));
            }
        }
    }
    facts
}

/// How the request was signed.
pub fn signature(verified: &Verified, now_ms: i64) -> Signature {
    let age_ms = verified.signed_ms.filter(|_| verified.presigned);
    Signature {
        place: if verified.presigned { "REST-QUERY-STRING" } else { "REST-HEADER" },
        version: match verified.scheme {
            Scheme::S3V4 => "AWS4-HMAC-SHA256",
            Scheme::S3V2 => "AWS",
            Scheme::OssV1 => "OSS",
            Scheme::OssV2 => "OSS2",
            Scheme::OssV4 => "OSS4-HMAC-SHA256",
        },
        age_ms: age_ms.map(|signed_ms| now_ms.saturating_sub(signed_ms).max(0)),
    }
}

/// How a form was signed.
pub fn form_signature(verified: &Verified, now_ms: i64) -> Signature {
    Signature { place: "POST", ..signature(verified, now_ms) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing;

    fn facts(dialect: Dialect, path: &str, headers: &[(&str, &str)]) -> Vec<(Key, String)> {
        let request = testing::request(dialect, "PUT", path, headers, "");
        super::request(dialect, &request.address, &request.query, &request.headers)
    }

    #[test]
    fn only_headers_of_the_own_protocol_are_facts() {
        let headers = [("x-amz-acl", " private "), ("x-oss-object-acl", "default")];
        let own = [(Key::Acl, "private".to_owned())];
        assert_eq!(facts(Dialect::S3, "/bkt/key", &headers), own);
        let own = [(Key::ObjectAcl, "default".to_owned())];
        assert_eq!(facts(Dialect::Oss, "/bkt/key", &headers), own);
        let condition = [("if-none-match", "*")];
        let expected = [(Key::IfNoneMatch, "*".to_owned())];
        assert_eq!(facts(Dialect::S3, "/bkt/key", &condition), expected);
    }

    #[test]
    fn parameters_of_listings_are_facts_of_buckets_only() {
        let query = "?prefix=a%2Fb&max-keys=7&list-type=2";
        let expected = [(Key::Prefix, "a/b".to_owned()), (Key::MaxKeys, "7".to_owned())];
        assert_eq!(facts(Dialect::S3, &format!("/bkt{query}"), &[]), expected);
        assert_eq!(facts(Dialect::S3, &format!("/bkt/key{query}"), &[]), []);
    }
}
