//! THE table: condition -> status and code in either protocol; and how an error is answered.

mod table;

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use model::Condition;
use service::Error;

use crate::{
    dialect::Dialect,
    wire::{Reply, ReplyBody},
    xml::{Writer, http_date},
};

use table::number;
pub use table::{message, row};

/// Seconds after which a client refused with 503 may come back.
const RETRY_AFTER_SECONDS: u32 = 1;

/// What the service did not say about the request, but its error document repeats.
pub struct Facts<'f> {
    pub dialect: Dialect,
    /// Request id.
    pub id: &'f str,
    /// A HEAD request has no body to put the document in.
    pub head: bool,
    /// The host as sent.
    pub host: &'f str,
    /// The path as sent.
    pub path: &'f str,
    pub bucket: Option<&'f str>,
    pub key: Option<&'f str>,
    /// The document is that of S3 Control: the error within a response.
    pub wrapped: bool,
}

/// The HTTP status in `dialect`: the same in both but for the few named here.
pub const fn status(condition: Condition, dialect: Dialect) -> u16 {
    match (condition, dialect) {
        (Condition::InvalidSecurityToken | Condition::ExpiredToken, Dialect::Oss) => 403,
        _ => row(condition).0,
    }
}

/// The code in `dialect`.
pub const fn code(condition: Condition, dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::S3 => row(condition).1,
        Dialect::Oss => row(condition).2,
    }
}

/// OSS's finer number of an error, `xxxx-xxxxxxxx`: its own where known, else group 0099 of ours.
fn detail_code(condition: Condition) -> String {
    let known = match condition {
        Condition::AccessDenied => "0003-00000001",
        Condition::InvalidAccessKeyId => "0002-00000902",
        Condition::NoSuchBucket => "0015-00000101",
        Condition::NoSuchKey => "0026-00000001",
        Condition::RequestTimeTooSkewed => "0002-00000504",
        Condition::SignatureDoesNotMatch => "0002-00000040",
        _ => return format!("0099-{:08}", number(condition)),
    };
    known.to_owned()
}

/// The answer to a request that failed.
pub fn reply(facts: &Facts<'_>, error: &Error) -> Reply {
    let mut reply = Reply::new(status(error.condition, facts.dialect));
    add_marker(&mut reply, facts, error);
    if matches!(reply.status, 503) {
        reply = reply.header("retry-after", RETRY_AFTER_SECONDS.to_string());
    }
    if let (416, Some(size)) = (reply.status, field(error, "ActualObjectSize")) {
        reply = reply.header("content-range", format!("bytes */{size}"));
    }
    if reply.status == 304 {
        if let Some(etag) = field(error, "ETag") {
            reply.add("etag", quoted_etag(facts.dialect, etag));
        }
        return reply;
    }
    let document = document(facts, error);
    if facts.dialect == Dialect::Oss {
        reply = reply.header("x-oss-ec", detail_code(error.condition));
        if facts.head {
            reply = reply.header("x-oss-err", BASE64.encode(&document));
        }
    }
    if !facts.head {
        reply = reply.header("content-type", "application/xml");
        reply.body = ReplyBody::Bytes(document);
    }
    reply
}

/// Tells of the delete marker that stood in the way.
fn add_marker(reply: &mut Reply, facts: &Facts<'_>, error: &Error) {
    let Some(marker) = &error.marker else { return };
    reply.add_own(facts.dialect, "delete-marker", "true");
    reply.add_own(facts.dialect, "version-id", marker.client_id());
    if error.condition == Condition::MethodNotAllowed {
        reply.add("allow", "DELETE");
        reply.add("last-modified", http_date(marker.modified_ms));
    }
}

/// OSS writes entity tags in upper case.
fn quoted_etag(dialect: Dialect, etag: &str) -> String {
    match dialect {
        Dialect::S3 => format!("\"{etag}\""),
        Dialect::Oss => format!("\"{}\"", etag.to_uppercase()),
    }
}

fn field<'e>(error: &'e Error, name: &str) -> Option<&'e str> {
    error.fields.iter().find(|(field, _)| *field == name).map(|(_, value)| value.as_str())
}

fn document(facts: &Facts<'_>, error: &Error) -> Bytes {
    let mut xml = match facts.wrapped {
        false => Writer::new("Error", None),
        true => Writer::new("ErrorResponse", None),
    };
    if facts.wrapped {
        xml.open("Error");
    }
    xml.text("Code", code(error.condition, facts.dialect));
    xml.text("Message", error.detail.as_deref().unwrap_or(message(error.condition)));
    for (name, value) in &error.fields {
        xml.text(name, value);
    }
    let absent = |name: &str| field(error, name).is_none();
    let about_key = matches!(error.condition, Condition::NoSuchKey | Condition::NoSuchVersion);
    if about_key && absent("Key") {
        xml.optional("Key", facts.key);
    }
    let about_bucket = matches!(
        error.condition,
        Condition::NoSuchBucket
            | Condition::InvalidBucketName
            | Condition::BucketNotEmpty
            | Condition::BucketAlreadyExists
            | Condition::BucketAlreadyOwnedByYou
    );
    if about_bucket && absent("BucketName") {
        xml.optional("BucketName", facts.bucket);
    }
    if facts.wrapped {
        xml.close();
    }
    match facts.dialect {
        Dialect::S3 => {
            if absent("Resource") {
                xml.text("Resource", facts.path);
            }
            xml.text("RequestId", facts.id).text("HostId", host_id(facts.id));
        }
        Dialect::Oss => {
            xml.text("RequestId", facts.id).text("HostId", facts.host);
            xml.text("EC", detail_code(error.condition));
        }
    }
    xml.finish()
}

/// S3's second request id: clients only print it.
pub fn host_id(id: &str) -> String {
    let mut text = String::from("larder/");
    // Writing to a String cannot fail.
    let _ = write!(text, "{id}");
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn facts(dialect: Dialect, head: bool) -> Facts<'static> {
        Facts {
            dialect,
            id: "0123456789ABCDEF01234567",
            head,
            host: "bkt.example.com",
            path: "/bkt/a%26b",
            bucket: Some("bkt"),
            key: Some("a&b"),
            wrapped: false,
        }
    }

    fn body(reply: &Reply) -> String {
        match &reply.body {
            ReplyBody::Bytes(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
            _ => String::new(),
        }
    }

    #[test]
    fn every_row_is_complete() {
        let mut seen = HashSet::new();
        for condition in table::ALL {
            let (status, s3, oss) = row(*condition);
            assert!(matches!(status, 304 | 400..=599), "{condition:?}");
            assert!(!s3.is_empty() && !oss.is_empty() && !message(*condition).is_empty());
            assert!(seen.insert(*condition), "{condition:?} has two rows");
            for dialect in [Dialect::S3, Dialect::Oss] {
                let reply = reply(&facts(dialect, false), &Error::from(*condition));
                assert_eq!(reply.status, self::status(*condition, dialect));
            }
        }
    }

    /// The numbers are those of the first version, in the order of names; what came later follows.
    #[test]
    fn a_new_condition_takes_no_number_of_another() {
        let mut numbers: Vec<_> = table::ALL.iter().copied().map(number).collect();
        numbers.sort_unstable();
        assert!(numbers.iter().copied().eq(1..=table::ALL.len() as u32));
        for (condition, expected) in [
            (Condition::AclNotSupported, "0099-00000003"),
            (Condition::AuthorizationHeaderMalformed, "0099-00000004"),
            (Condition::MalformedXml, "0099-00000060"),
            (Condition::WriteConflict, "0099-00000110"),
        ] {
            assert_eq!(detail_code(condition), expected);
        }
    }

    #[test]
    fn each_protocol_has_its_own_document() {
        let error = Error::from(Condition::NoSuchKey);
        let s3 = reply(&facts(Dialect::S3, false), &error);
        assert_eq!(
            body(&s3),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code>\
             <Message>The specified key does not exist.</Message><Key>a&amp;b</Key>\
             <Resource>/bkt/a%26b</Resource><RequestId>0123456789ABCDEF01234567</RequestId>\
             <HostId>larder/0123456789ABCDEF01234567</HostId></Error>"
        );
        let oss = reply(&facts(Dialect::Oss, false), &error);
        assert_eq!(
            body(&oss),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code>\
             <Message>The specified key does not exist.</Message><Key>a&amp;b</Key>\
             <RequestId>0123456789ABCDEF01234567</RequestId><HostId>bkt.example.com</HostId>\
             <EC>0026-00000001</EC></Error>"
        );
        assert_eq!(oss.get("x-oss-ec"), Some("0026-00000001"));
    }

    #[test]
    fn head_has_no_body_and_oss_puts_the_document_in_a_header() {
        let error = Error::from(Condition::NoSuchKey);
        let s3 = reply(&facts(Dialect::S3, true), &error);
        assert!(matches!(s3.body, ReplyBody::Empty) && s3.status == 404);
        let oss = reply(&facts(Dialect::Oss, true), &error);
        let document = BASE64.decode(oss.get("x-oss-err").unwrap()).unwrap();
        assert!(document.ends_with(b"<EC>0026-00000001</EC></Error>"));
        assert!(matches!(oss.body, ReplyBody::Empty));
    }

    #[test]
    fn statuses_bring_the_headers_clients_act_on() {
        let slow = reply(&facts(Dialect::S3, false), &Condition::SlowDown.into());
        assert_eq!((slow.status, slow.get("retry-after")), (503, Some("1")));
        let range = Error::from(Condition::InvalidRange).field("ActualObjectSize", "7");
        let range = reply(&facts(Dialect::S3, false), &range);
        assert_eq!((range.status, range.get("content-range")), (416, Some("bytes */7")));
        let unchanged = Error::from(Condition::NotModified).field("ETag", "ab-2");
        let unchanged = reply(&facts(Dialect::Oss, false), &unchanged);
        assert!(matches!(unchanged.body, ReplyBody::Empty));
        assert_eq!((unchanged.status, unchanged.get("etag")), (304, Some("\"AB-2\"")));
    }

    #[test]
    fn a_code_may_have_another_status_in_oss() {
        assert_eq!(status(Condition::InvalidSecurityToken, Dialect::S3), 400);
        assert_eq!(status(Condition::InvalidSecurityToken, Dialect::Oss), 403);
    }
}
