//! How IAM and STS answer what fails: codes of the one table, but for the few they name otherwise.
//!
//! Source: "Common errors" of the IAM and STS API references.

use model::Condition;
use service::Error;

use super::IAM_NAMESPACE;
use crate::{
    dialect::Dialect,
    errors::{code, message, status},
    wire::{Reply, xml},
    xml::Writer,
};

/// The answer to a form that failed.
///
/// - `id`: of the request.
pub fn reply(id: &str, error: &Error) -> Reply {
    let (status, code) = row(error);
    let mut document = Writer::new("ErrorResponse", Some(IAM_NAMESPACE));
    document.open("Error");
    document.text("Type", if status < 500 { "Sender" } else { "Receiver" });
    document.text("Code", code);
    document.text("Message", error.detail.as_deref().unwrap_or(message(error.condition)));
    document.close().text("RequestId", id);
    let mut reply = xml(status, document.finish());
    reply.add("x-amzn-requestid", id);
    reply
}

fn row(error: &Error) -> (u16, &'static str) {
    let anonymous = "Request is missing Authentication Token";
    match error.condition {
        Condition::AccessDenied if error.detail.as_deref() == Some(anonymous) => {
            (403, "MissingAuthenticationToken")
        }
        Condition::InvalidAccessKeyId | Condition::InvalidSecurityToken => {
            (403, "InvalidClientTokenId")
        }
        Condition::ExpiredToken => (403, "ExpiredToken"),
        Condition::ExpiredSignature | Condition::RequestTimeTooSkewed => {
            (403, "SignatureDoesNotMatch")
        }
        Condition::AuthorizationHeaderMalformed => (400, "IncompleteSignature"),
        Condition::SlowDown => (400, "Throttling"),
        Condition::Internal => (500, "ServiceFailure"),
        other => (status(other, Dialect::S3), code(other, Dialect::S3)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ReplyBody;

    #[test]
    fn an_error_is_told_in_the_document_of_iam() {
        let error = Error::new(Condition::NoSuchEntity, "no <one>");
        let reply = reply("ID", &error);
        let ReplyBody::Bytes(body) = &reply.body else { panic!("no document") };
        assert_eq!(reply.status, 404);
        assert_eq!(
            std::str::from_utf8(body).unwrap(),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ErrorResponse xmlns=\"https://\
             iam.amazonaws.com/doc/2010-05-08/\"><Error><Type>Sender</Type>\
             <Code>NoSuchEntity</Code><Message>no &lt;one&gt;</Message></Error>\
             <RequestId>ID</RequestId></ErrorResponse>"
        );
    }
}
