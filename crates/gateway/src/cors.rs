//! What browsers are told of requests that come from pages of other sites: the answer to their
//! question beforehand, and the headers of every other answer.
//!
//! Source: Fetch standard "CORS protocol"; S3 "How CORS works"; OSS "OptionObject".

use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderName,
    HeaderValue, ORIGIN, VARY,
};
use model::{
    Condition,
    cors::{Cors, Rule},
    names::BucketName,
};
use service::{Error, Service};

use crate::{
    address::Address,
    dialect::Dialect,
    wire::{Reply, Result, empty},
};

/// Headers of an answer.
pub type Headers = Vec<(HeaderName, HeaderValue)>;

const VARIES: &str = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method";

/// What is added to the answer of a request, whatever that is; mostly nothing.
pub async fn headers(
    service: &Service,
    address: &Address,
    dialect: Dialect,
    method: &str,
    asked: &HeaderMap,
) -> Headers {
    let origin = text(asked, &ORIGIN);
    // Most requests are from no page, and cost nothing here; only in OSS may their answers vary.
    if origin.is_none() && dialect == Dialect::S3 {
        return Headers::new();
    }
    let cors = match rules(service, address).await {
        Ok(Some(cors)) => cors,
        Ok(None) => return Headers::new(),
        Err(error) => {
            tracing::warn!(%error, "what other sites' pages may do is not known");
            return Headers::new();
        }
    };
    // Some ask for the headers of another method, as a browser does before it sends that.
    let method = text(asked, &ACCESS_CONTROL_REQUEST_METHOD).unwrap_or(method);
    let rule = origin.and_then(|origin| Some((cors.find(origin, method, &[])?, origin)));
    let mut headers = rule.map(|(rule, origin)| allowed(rule, origin)).unwrap_or_default();
    if headers.is_empty() && cors.always_varies == Some(true) {
        add(&mut headers, VARY, VARIES);
    }
    headers
}

/// Answers a browser that asks what a page may do.
///
/// # Errors
/// `BadRequest` if it does not say what; `CorsForbidden` if the page may not.
pub async fn preflight(service: &Service, address: &Address, asked: &HeaderMap) -> Result<Reply> {
    let bad = |detail: String| Error::new(Condition::BadRequest, detail);
    let origin = text(asked, &ORIGIN);
    let origin = origin
        .ok_or_else(|| bad("Insufficient information. Origin request header needed.".to_owned()))?;
    let method = text(asked, &ACCESS_CONTROL_REQUEST_METHOD);
    let method =
        method.ok_or_else(|| bad("Invalid Access-Control-Request-Method: null".to_owned()))?;
    let headers = text(asked, &ACCESS_CONTROL_REQUEST_HEADERS).unwrap_or_default();
    let headers: Vec<_> =
        headers.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let refuse = |detail: &str| {
        let kind = if address.key.is_some() { "OBJECT" } else { "BUCKET" };
        let error = Error::new(Condition::CorsForbidden, format!("CORSResponse: {detail}"));
        error.field("Method", method).field("ResourceType", kind)
    };
    let cors = rules(service, address).await?;
    // A bucket that is not there is not told from one without rules.
    let cors = cors.ok_or_else(|| refuse("CORS is not enabled for this bucket."))?;
    let rule = cors.find(origin, method, &headers).ok_or_else(|| {
        refuse(
            "This CORS request is not allowed. This is usually because the evaluation of Origin, \
             request method / Access-Control-Request-Method or Access-Control-Request-Headers are \
             not whitelisted by the resource's CORS spec.",
        )
    })?;
    let mut reply = empty(200);
    reply.headers = allowed(rule, origin);
    if !headers.is_empty() {
        let headers = headers.join(", ").to_ascii_lowercase();
        add(&mut reply.headers, ACCESS_CONTROL_ALLOW_HEADERS, &headers);
    }
    Ok(reply)
}

/// The rules of the bucket in the address.
async fn rules(service: &Service, address: &Address) -> Result<Option<Cors>> {
    let bucket = address.bucket.as_deref().and_then(|name| BucketName::parse(name).ok());
    match bucket {
        Some(bucket) => service.cors(&bucket).await,
        None => Ok(None),
    }
}

fn allowed(rule: &Rule, origin: &str) -> Headers {
    let mut headers = Headers::new();
    match rule.is_for_all() {
        true => add(&mut headers, ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        false => {
            add(&mut headers, ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            add(&mut headers, ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
        }
    }
    add(&mut headers, ACCESS_CONTROL_ALLOW_METHODS, &rule.methods.join(", "));
    if !rule.exposed.is_empty() {
        add(&mut headers, ACCESS_CONTROL_EXPOSE_HEADERS, &rule.exposed.join(", "));
    }
    if let Some(seconds) = rule.max_age_seconds {
        add(&mut headers, ACCESS_CONTROL_MAX_AGE, &seconds.to_string());
    }
    add(&mut headers, VARY, VARIES);
    headers
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

fn add(headers: &mut Headers, name: HeaderName, value: &str) {
    // What cannot be a header was refused when the rules were set, or was none when it came.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.push((name, value));
    }
}
