//! What is ours alone, under `/_larder/`: no bucket can be named so. Requests are signed with
//! S3 V4 by keys of the root account and answered in JSON.

mod access;
mod accounts;
mod audit;
mod buckets;
mod check;
mod disks;
pub mod explain;
mod export;

pub use check::report_json;

use actix_web::http::Method;
use bytes::Bytes;
use model::{Condition, limits::XML_BYTES_MAX};
use serde::{Serialize, de::DeserializeOwned};
use service::Error;

use crate::{
    address::{Address, Style},
    http::Gateway,
    signature::Scheme,
    wire::{Reply, ReplyBody, Request, Result, empty},
};

/// Whether a path lies under `/_larder/`. A host that names a bucket has keys there, not us.
pub fn is_ours(address: &Address) -> bool {
    address.style == Style::Path && address.bucket.as_deref() == Some("_larder")
}

/// Lets only keys of the root account through, and of others to what asks for their rights itself.
///
/// # Errors
/// `AccessDenied`.
pub fn permit(request: &Request) -> Result<()> {
    let scheme = request.verified.as_ref().map(|verified| verified.scheme);
    let path = request.address.key.as_deref().unwrap_or_default();
    let may = request.caller.facts.root || path.starts_with(explain::PREFIX);
    if may && scheme == Some(Scheme::S3V4) { Ok(()) } else { Err(Condition::AccessDenied.into()) }
}

/// Answers a request under `/_larder/`.
///
/// # Errors
/// Those of the operation, and `MethodNotAllowed` for what is not there.
pub async fn reply(request: &mut Request, gateway: &Gateway) -> Result<Reply> {
    permit(request)?;
    let path = request.address.key.clone().unwrap_or_default();
    let service = &gateway.service;
    match (&request.method, path.as_str()) {
        (&Method::GET, "metrics") => Ok(metrics_page(gateway)),
        (&Method::GET, "accounts") => accounts::list(request, service).await,
        (&Method::POST, "accounts") => accounts::create(request, service).await,
        (&Method::GET, "check") => check::report(request, service).await,
        (&Method::POST, "check") => check::start(request, service).await,
        (&Method::POST, "access/simulate") => access::simulate(request, service).await,
        (&Method::POST, "access/who-can") => access::who_can(request, service).await,
        (&Method::POST, "audit") => audit::read(request, service).await,
        (&Method::GET, "export") => export::read(request, service).await,
        (&Method::GET, "disks") => disks::list(request, service).await,
        (&Method::POST, "disks") => disks::add(request, service).await,
        (&Method::GET, path) => {
            if let Some(name) = path.strip_prefix("buckets/") {
                buckets::show(request, service, name).await
            } else if let Some(id) = path.strip_prefix(explain::PREFIX) {
                explain::show(request, service, id).await
            } else {
                Err(Condition::MethodNotAllowed.into())
            }
        }
        (&Method::POST, path) => match path.split_once('/') {
            Some(("accounts", path)) => accounts::change(request, service, path).await,
            Some(("disks", path)) => disks::change(request, service, path).await,
            Some(("buckets", name)) => buckets::set(request, service, name).await,
            _ => Err(Condition::MethodNotAllowed.into()),
        },
        (&Method::DELETE, path) => match path.strip_prefix("accounts/") {
            Some(id) => accounts::delete(request, service, id).await,
            None => Err(Condition::MethodNotAllowed.into()),
        },
        _ => Err(Condition::MethodNotAllowed.into()),
    }
}

/// The metrics page as text.
pub fn metrics_page(gateway: &Gateway) -> Reply {
    let text = gateway.settings.metrics_page.as_ref().map(|page| page()).unwrap_or_default();
    let mut reply = empty(200).header("content-type", "text/plain; version=0.0.4; charset=utf-8");
    reply.body = ReplyBody::Bytes(Bytes::from(text));
    reply
}

/// What a request wishes for, as JSON.
async fn read<T: DeserializeOwned>(request: &mut Request) -> Result<T> {
    let body = request.whole(XML_BYTES_MAX).await?;
    let unreadable = |error| {
        Error::new(Condition::InvalidArgument, format!("The wish is not readable: {error}."))
    };
    serde_json::from_slice(&body).map_err(unreadable)
}

fn json(status: u16, value: &impl Serialize) -> Result<Reply> {
    let text = serde_json::to_vec(value).map_err(Error::internal)?;
    let mut reply = empty(status).header("content-type", "application/json");
    reply.body = ReplyBody::Bytes(Bytes::from(text));
    Ok(reply)
}
