//! S3 headers that travel in the query: presigning clients put whatever begins with `x-amz-` there.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

use model::Condition;
use service::Error;

use super::{Query, Result};
use crate::signature::{Scheme, Verified};

/// Parameters of the signature itself; they are no headers of the request.
const OF_SIGNATURE: &[&str] = &[
    "x-amz-algorithm",
    "x-amz-content-sha256",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-security-token",
    "x-amz-signature",
    "x-amz-signedheaders",
];

/// The headers of a request together with those in its query. A real header goes first.
///
/// Only what the signature covers counts: every parameter with V4, the lower-case ones of a URL
/// signed with V2, none otherwise. The verifier refuses what would be passed over here.
///
/// - `verified`: what the signature of the request proved; `None` is an anonymous request.
///
/// # Errors
/// `InvalidArgument` for a parameter that can be no header, rather than passing over it.
pub fn hoisted(
    verified: Option<&Verified>,
    headers: &HeaderMap,
    query: &Query,
) -> Result<HeaderMap> {
    let mut all = headers.clone();
    let any_case = match verified.map(|verified| (verified.scheme, verified.presigned)) {
        Some((Scheme::S3V4, _)) => true,
        Some((Scheme::S3V2, true)) => false,
        _ => return Ok(all),
    };
    for (sent, value) in query.pairs() {
        let name = sent.to_ascii_lowercase();
        if !name.starts_with("x-amz-") || OF_SIGNATURE.contains(&name.as_str()) {
            continue;
        }
        if !any_case && name != *sent {
            continue;
        }
        let malformed = || {
            Error::new(Condition::InvalidArgument, "The parameter can be no header.")
                .field("ArgumentName", &name)
        };
        let header = HeaderName::try_from(&name).map_err(|_| malformed())?;
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| malformed())?;
        if !all.contains_key(&header) {
            all.insert(header, value);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        encoding::query_pairs,
        signature::{Payload, testing::Sample},
    };

    fn verified(scheme: Scheme, presigned: bool) -> Verified {
        let payload = Payload::Unsigned;
        Verified { scheme, presigned, signed_ms: None, region: None, service: "s3", payload }
    }

    #[test]
    fn headers_in_the_query_count_unless_sent_as_headers() {
        let text = "X-Amz-Acl=public-read&x-amz-meta-a=b%20c&X-Amz-Date=1&acl";
        let query = Query::new(query_pairs(text).unwrap());
        let mut sent = HeaderMap::new();
        sent.insert(HeaderName::from_static("x-amz-acl"), HeaderValue::from_static("private"));
        for presigned in [false, true] {
            let v4 = verified(Scheme::S3V4, presigned);
            let all = hoisted(Some(&v4), &sent, &query).unwrap();
            assert_eq!(all.get("x-amz-acl").unwrap(), "private");
            assert_eq!(all.get("x-amz-meta-a").unwrap(), "b c");
            assert_eq!(all.len(), 2);
            let broken = Query::new(query_pairs("x-amz-tagging=a%0Ab").unwrap());
            let error = hoisted(Some(&v4), &sent, &broken).unwrap_err();
            assert_eq!(error.condition, Condition::InvalidArgument);
        }
    }

    #[test]
    fn only_signed_parameters_count() {
        let query = Query::new(query_pairs("X-Amz-Acl=a&x-amz-meta-a=b&x-oss-acl=c").unwrap());
        let none = HeaderMap::new();
        let all = hoisted(Some(&verified(Scheme::S3V2, true)), &none, &query).unwrap();
        let names: Vec<_> = all.keys().map(|name| name.as_str()).collect();
        assert_eq!(names, ["x-amz-meta-a"]);
        assert!(hoisted(None, &none, &query).unwrap().is_empty());
        for (scheme, presigned) in [
            (Scheme::S3V2, false),
            (Scheme::OssV1, false),
            (Scheme::OssV1, true),
            (Scheme::OssV2, true),
            (Scheme::OssV4, true),
        ] {
            let all = hoisted(Some(&verified(scheme, presigned)), &none, &query).unwrap();
            assert!(all.is_empty(), "{scheme:?} {presigned}");
        }
    }

    /// From the request as sent to the headers an operation sees.
    #[test]
    fn what_is_added_to_a_signed_url_becomes_no_header() {
        let headers = |sample: &Sample| {
            let verified = sample.verify().ok()?;
            let query = Query::new(query_pairs(&sample.query).unwrap());
            Some(hoisted(Some(&verified), &HeaderMap::new(), &query).unwrap())
        };
        for scheme in [Scheme::S3V2, Scheme::S3V4] {
            let put = Sample::new("PUT", "bkt.example.com", "/avatar");
            let signed = put.parameter("x-amz-meta-a", "1").sign(scheme, true);
            let all = headers(&signed).unwrap();
            assert_eq!((all.len(), all.get("x-amz-meta-a").unwrap()), (1, &"1".parse().unwrap()));
            for name in ["X-Amz-Copy-Source", "x-amz-copy-source", "x-amz-Copy-Source"] {
                let changed = signed.clone().parameter(name, "/priv/secret");
                assert!(headers(&changed).is_none(), "{scheme:?} {name}");
            }
        }
        let put = Sample::new("PUT", "bkt.example.com", "/avatar").sign(Scheme::S3V2, false);
        assert!(headers(&put).is_some());
        assert!(headers(&put.parameter("X-Amz-Copy-Source", "/priv/secret")).is_none());
    }
}
