//! Headers that ask for something this server does not do: refused by name, never ignored.

use model::Condition;
use service::{Error, Result};

use crate::{dialect::Dialect, wire::Request};

/// Beginnings of S3 headers, without `x-amz-`.
const S3_UNSERVED: &[&str] = &[
    "copy-source-server-side-encryption",
    "object-lock-",
    "server-side-encryption",
    "write-offset-bytes",
];

/// Beginnings of OSS headers, without `x-oss-`.
const OSS_UNSERVED: &[&str] = &[
    "callback",
    "copy-source-server-side-encryption",
    "server-side-data-encryption",
    "server-side-encryption",
    "traffic-limit",
];

/// OSS parameters that stand for headers.
const OSS_PARAMETERS: &[&str] = &["callback", "callback-var", "x-oss-traffic-limit"];

/// Refuses a request that carries a header of a function not served.
///
/// # Errors
/// `NotImplemented`, naming the header.
pub fn refuse(request: &Request) -> Result<()> {
    let dialect = request.dialect;
    let (unserved, parameters) = match dialect {
        Dialect::S3 => (S3_UNSERVED, &[][..]),
        Dialect::Oss => (OSS_UNSERVED, OSS_PARAMETERS),
    };
    let mut named: Vec<&str> = request
        .headers
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, _)| name.as_str())
        .filter(|name| {
            let own = name.strip_prefix(dialect.header_prefix()).unwrap_or_default();
            unserved.iter().any(|start| own.starts_with(start))
        })
        .collect();
    named.sort_unstable();
    let given = |name: &&&str| request.parameter(name).is_some_and(|value| !value.is_empty());
    named.extend(parameters.iter().find(given));
    match named.first() {
        Some(name) => Err(not_implemented(name)),
        None => Ok(()),
    }
}

/// The refusal of one header.
pub fn not_implemented(header: &str) -> Error {
    let detail = "A header you provided implies functionality that is not implemented";
    Error::new(Condition::NotImplemented, format!("{detail}: {header}")).field("Header", header)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::testing::request;

    fn refused(dialect: Dialect, query: &str, header: (&str, &str)) -> Result<()> {
        refuse(&request(dialect, "PUT", &format!("/bkt/key{query}"), &[header], ""))
    }

    #[test]
    fn functions_not_served_are_refused_by_name() {
        for (dialect, header, value) in [
            (Dialect::S3, "x-amz-server-side-encryption", "AES256"),
            (Dialect::S3, "x-amz-server-side-encryption-customer-key", "x"),
            (Dialect::S3, "x-amz-object-lock-mode", "GOVERNANCE"),
            (Dialect::S3, "x-amz-write-offset-bytes", "0"),
            (Dialect::Oss, "x-oss-callback", "e30="),
            (Dialect::Oss, "x-oss-callback-var", "e30="),
            (Dialect::Oss, "x-oss-server-side-encryption", "KMS"),
        ] {
            let error = refused(dialect, "", (header, value)).unwrap_err();
            assert_eq!(error.condition, Condition::NotImplemented, "{header}");
            assert_eq!(error.fields, [("Header", header.to_owned())]);
        }
    }

    #[test]
    fn oss_parameters_that_stand_for_headers_are_refused_too() {
        let host = ("host", "x");
        for name in ["callback", "callback-var", "x-oss-traffic-limit"] {
            let query = format!("?{name}=x");
            assert!(refused(Dialect::Oss, &query, host).is_err(), "{name}");
            assert!(refused(Dialect::S3, &query, host).is_ok(), "{name}");
        }
    }

    #[test]
    fn headers_that_ask_for_nothing_pass() {
        for (dialect, header, value) in [
            (Dialect::S3, "x-amz-acl", "private"),
            (Dialect::S3, "x-amz-grant-full-control", "id=x"),
            (Dialect::S3, "x-amz-tagging", "a=b"),
            (Dialect::S3, "x-amz-tagging-directive", "COPY"),
            (Dialect::Oss, "x-oss-object-acl", "default"),
            (Dialect::Oss, "x-oss-tagging-directive", "REPLACE"),
            (Dialect::Oss, "x-amz-acl", "public-read"),
        ] {
            assert!(refused(dialect, "", (header, value)).is_ok(), "{header}: {value}");
        }
    }
}
