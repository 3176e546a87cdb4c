//! S3 headers that travel in the query: presigning clients put whatever begins with `x-amz-` there.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

use model::Condition;
use service::Error;

use super::{Query, Result};
use crate::dialect::Dialect;

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
/// To be asked after the signature was checked, which covers the query as a query.
///
/// # Errors
/// `InvalidArgument` for a parameter that can be no header, rather than passing over it.
pub fn hoisted(dialect: Dialect, headers: &HeaderMap, query: &Query) -> Result<HeaderMap> {
    let mut all = headers.clone();
    if dialect == Dialect::Oss {
        return Ok(all);
    }
    for (name, value) in query.pairs() {
        let name = name.to_ascii_lowercase();
        if !name.starts_with("x-amz-") || OF_SIGNATURE.contains(&name.as_str()) {
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
    use crate::encoding::query_pairs;

    #[test]
    fn headers_in_the_query_count_unless_sent_as_headers() {
        let text = "X-Amz-Acl=public-read&x-amz-meta-a=b%20c&X-Amz-Date=1&acl";
        let query = Query::new(query_pairs(text).unwrap());
        let mut sent = HeaderMap::new();
        sent.insert(HeaderName::from_static("x-amz-acl"), HeaderValue::from_static("private"));
        let all = hoisted(Dialect::S3, &sent, &query).unwrap();
        assert_eq!(all.get("x-amz-acl").unwrap(), "private");
        assert_eq!(all.get("x-amz-meta-a").unwrap(), "b c");
        assert_eq!(all.len(), 2);
        assert_eq!(hoisted(Dialect::Oss, &sent, &query).unwrap().len(), 1);
        let broken = Query::new(query_pairs("x-amz-tagging=a%0Ab").unwrap());
        let error = hoisted(Dialect::S3, &sent, &broken).unwrap_err();
        assert_eq!(error.condition, Condition::InvalidArgument);
    }
}
