//! Which of the two protocols a request speaks, and the words in which they differ.
//!
//! Chosen once per request, from the surest sign to the weakest: signature, query keys, headers,
//! host, configuration. Everything in the answer follows it.

use actix_web::http::header::HeaderMap;

use crate::signature::{self, Refusal};

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Amazon S3.
    S3,
    /// Alibaba OSS.
    Oss,
}

/// Sub-resources and parameters only OSS has, besides those beginning with `x-oss-`.
const OSS_ONLY: &[&str] = &[
    "append",
    "asyncFetch",
    "bucketInfo",
    "callback",
    "cname",
    "comp",
    "httpsConfig",
    "img",
    "live",
    "metaQuery",
    "objectMeta",
    "qosInfo",
    "qosRequester",
    "redundancyTransition",
    "referer",
    "regions",
    "replicationLocation",
    "replicationProgress",
    "requesterQosInfo",
    "resourceGroup",
    "resourcePool",
    "rtc",
    "security-token",
    "stat",
    "style",
    "styleName",
    "symlink",
    "transferAcceleration",
    "udf",
    "vod",
    "worm",
    "wormExtend",
    "wormId",
];

impl Dialect {
    /// What the names of the protocol's own headers begin with.
    pub const fn header_prefix(self) -> &'static str {
        match self {
            Self::S3 => "x-amz-",
            Self::Oss => "x-oss-",
        }
    }

    /// What the names of user metadata headers begin with.
    pub const fn meta_prefix(self) -> &'static str {
        match self {
            Self::S3 => "x-amz-meta-",
            Self::Oss => "x-oss-meta-",
        }
    }

    /// The element of an error document that holds the access key.
    pub const fn access_key_element(self) -> &'static str {
        match self {
            Self::S3 => "AWSAccessKeyId",
            Self::Oss => "OSSAccessKeyId",
        }
    }

    /// The header that says how the payload is hashed.
    pub const fn content_sha256_header(self) -> &'static str {
        match self {
            Self::S3 => "x-amz-content-sha256",
            Self::Oss => "x-oss-content-sha256",
        }
    }
}

/// Tells the dialect of a request.
///
/// - `query`: the decoded parameters.
/// - `host`: the endpoint, as in [`crate::address::Address::endpoint`].
/// - `otherwise`: the configured dialect of requests that give no sign.
///
/// # Errors
/// `InvalidArgument` when the request carries two kinds of credentials or repeats a part of one,
/// and whatever else makes its scheme unreadable; answer those in the `otherwise` dialect.
pub fn detect(
    headers: &HeaderMap,
    query: &[(String, String)],
    host: &str,
    otherwise: Dialect,
) -> Result<Dialect, Refusal> {
    if let Some((scheme, _)) = signature::scheme(headers, query)? {
        return Ok(scheme.dialect());
    }
    let by_query = one_of(
        query.iter().any(|(name, _)| starts_with(name, "x-amz-")),
        query
            .iter()
            .any(|(name, _)| starts_with(name, "x-oss-") || OSS_ONLY.contains(&name.as_str())),
    );
    let by_headers = || {
        one_of(
            headers.keys().any(|name| name.as_str().starts_with("x-amz-")),
            headers.keys().any(|name| name.as_str().starts_with("x-oss-")),
        )
    };
    Ok(by_query.or_else(by_headers).or_else(|| by_host(host)).unwrap_or(otherwise))
}

fn starts_with(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn one_of(s3: bool, oss: bool) -> Option<Dialect> {
    match (s3, oss) {
        (true, false) => Some(Dialect::S3),
        (false, true) => Some(Dialect::Oss),
        _ => None,
    }
}

fn by_host(host: &str) -> Option<Dialect> {
    let host = host.to_ascii_lowercase();
    let labels = || host.split(['.', ':']);
    one_of(
        labels().any(|label| label == "s3" || label.starts_with("s3-") || label == "amazonaws"),
        labels().any(|label| label == "oss" || label.starts_with("oss-") || label == "aliyuncs"),
    )
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};
    use model::Condition;

    use super::*;
    use crate::encoding::query_pairs;

    fn told(headers: &[(&'static str, &'static str)], query: &str, host: &str) -> Dialect {
        detected(headers, query, host).unwrap()
    }

    fn detected(
        headers: &[(&'static str, &'static str)],
        query: &str,
        host: &str,
    ) -> Result<Dialect, Refusal> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        detect(&map, &query_pairs(query).unwrap(), host, Dialect::S3)
    }

    #[test]
    fn the_signature_outweighs_every_other_sign() {
        let oss = [("authorization", "OSS ak:sig"), ("x-amz-acl", "private")];
        assert_eq!(told(&oss, "X-Amz-Meta=1", "s3.amazonaws.com"), Dialect::Oss);
        let s3 = [("authorization", "AWS ak:sig"), ("x-oss-acl", "private")];
        assert_eq!(told(&s3, "symlink", "oss-cn.aliyuncs.com"), Dialect::S3);
        for (query, dialect) in [
            ("OSSAccessKeyId=a&Expires=1&Signature=x", Dialect::Oss),
            ("x-oss-signature-version=OSS2", Dialect::Oss),
            ("x-oss-signature-version=OSS4-HMAC-SHA256", Dialect::Oss),
            ("AWSAccessKeyId=a&Expires=1&Signature=x", Dialect::S3),
            ("X-Amz-Algorithm=AWS4-HMAC-SHA256", Dialect::S3),
        ] {
            assert_eq!(told(&[("x-oss-a", "1"), ("x-amz-a", "1")], query, ""), dialect, "{query}");
        }
    }

    #[test]
    fn without_credentials_weaker_signs_decide() {
        assert_eq!(told(&[("x-oss-date", "")], "", ""), Dialect::Oss);
        assert_eq!(told(&[], "bucketInfo", "s3.example.com"), Dialect::Oss);
        assert_eq!(told(&[], "x-oss-process=x", ""), Dialect::Oss);
        assert_eq!(told(&[], "", "oss-cn-hangzhou.aliyuncs.com"), Dialect::Oss);
        assert_eq!(told(&[("x-amz-acl", "")], "", "oss.example.com"), Dialect::S3);
        assert_eq!(told(&[("x-amz-a", ""), ("x-oss-a", "")], "", "oss.a.b"), Dialect::Oss);
        assert_eq!(told(&[], "acl", "localhost"), Dialect::S3);
    }

    #[test]
    fn two_credentials_or_a_repeated_one_are_refused() {
        for (headers, query) in [
            (&[("authorization", "OSS a:b")][..], "OSSAccessKeyId=a&Expires=1&Signature=x"),
            (&[("authorization", "AWS a:b")], "x-oss-signature-version=OSS2"),
            (&[("authorization", "AWS a:b"), ("authorization", "OSS a:b")], ""),
            (&[], "AWSAccessKeyId=a&OSSAccessKeyId=b&Expires=1&Signature=x"),
            (&[], "AWSAccessKeyId=a&X-Amz-Algorithm=b"),
            (&[], "AWSAccessKeyId=a&AWSAccessKeyId=a&Expires=1&Signature=x"),
            (&[], "X-Amz-Signature=a&X-Amz-Signature=a"),
            (&[], "x-oss-signature-version=OSS2&x-oss-signature-version=OSS2"),
        ] {
            let refusal = detected(headers, query, "").unwrap_err();
            assert_eq!(refusal.condition, Condition::InvalidArgument, "{headers:?} {query}");
        }
    }
}
