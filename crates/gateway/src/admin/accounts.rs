//! `/_larder/accounts`: list, create and delete accounts, reset their second factors.

use std::sync::Arc;

use model::{Condition, limits::XML_BYTES_MAX, names::AccountId, records::Account};
use serde::{Deserialize, Serialize};
use service::{
    Error, Service,
    accounts::{CreateAccount, DeleteAccount, ListAccounts, NewAccount, ResetMfa},
};

use super::{json, read};
use crate::{
    wire::{Reply, Request, Result, empty},
    xml::date,
};

#[derive(Serialize)]
struct Listing {
    accounts: Vec<Shown>,
}

/// An account as shown.
#[derive(Serialize)]
struct Shown {
    name: String,
    id: String,
    canonical_id: String,
    email: Option<String>,
    root: bool,
    created: String,
    keys: Vec<Key>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Key {
    access_key: String,
    /// Shown only in the answer to creating it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret_key: Option<String>,
}

/// An account as asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    name: String,
    id: Option<String>,
    canonical_id: Option<String>,
    email: Option<String>,
    #[serde(default)]
    keys: Vec<Key>,
}

/// `GET /_larder/accounts`
pub async fn list(request: &Request, service: &Arc<Service>) -> Result<Reply> {
    let accounts = service.call(&request.caller, ListAccounts).await?;
    let accounts = accounts.into_iter().map(|(account, keys)| {
        let keys = keys.into_iter().map(|access_key| Key { access_key, secret_key: None });
        shown(account, keys.collect())
    });
    json(200, &Listing { accounts: accounts.collect() })
}

/// `POST /_larder/accounts`
pub async fn create(request: &mut Request, service: &Arc<Service>) -> Result<Reply> {
    let body = request.whole(XML_BYTES_MAX).await?;
    let wanted: Wanted = serde_json::from_slice(&body)
        .map_err(|error| invalid(format!("The account is not readable: {error}.")))?;
    let id = match wanted.id {
        Some(id) => {
            let parsed = AccountId::parse(&id);
            Some(parsed.ok_or_else(|| invalid("The id must be a text of 1 to 128 bytes."))?)
        }
        None => None,
    };
    let mut keys = Vec::new();
    for key in wanted.keys {
        let secret = key.secret_key.filter(|secret| !secret.is_empty());
        let secret = secret.ok_or_else(|| invalid("Each key needs a secret_key."))?;
        keys.push((key.access_key, secret));
    }
    let account = NewAccount {
        name: wanted.name,
        id,
        canonical_id: wanted.canonical_id,
        email: wanted.email,
        keys,
        users: Vec::new(),
    };
    let created = service.call(&request.caller, CreateAccount(account)).await?;
    let keys = created
        .keys
        .into_iter()
        .map(|(access_key, secret)| Key { access_key, secret_key: Some(secret) });
    json(201, &shown(created.account, keys.collect()))
}

/// `DELETE /_larder/accounts/{id}`
pub async fn delete(request: &Request, service: &Arc<Service>, id: &str) -> Result<Reply> {
    let id = AccountId::parse(id).ok_or(Condition::NoSuchAccount)?;
    service.call(&request.caller, DeleteAccount(id)).await?;
    Ok(empty(204))
}

/// Whose second factors are lost.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lost {
    /// `None` is the account itself.
    user: Option<String>,
}

#[derive(Serialize)]
struct Reset {
    /// Serial numbers of the devices that nobody has any more.
    deactivated: Vec<String>,
}

/// `POST /_larder/accounts/{id}/mfa-reset`
pub async fn change(request: &mut Request, service: &Arc<Service>, path: &str) -> Result<Reply> {
    let Some((id, "mfa-reset")) = path.rsplit_once('/') else {
        return Err(Condition::MethodNotAllowed.into());
    };
    let account = AccountId::parse(id).ok_or(Condition::NoSuchAccount)?;
    let Lost { user } = read(request).await?;
    let deactivated = service.call(&request.caller, ResetMfa { account, user }).await?;
    json(200, &Reset { deactivated })
}

fn shown(account: Account, keys: Vec<Key>) -> Shown {
    Shown {
        created: date(account.created_ms),
        name: account.name,
        id: account.id.as_str().to_owned(),
        canonical_id: account.canonical_id,
        email: account.email,
        root: account.root,
        keys,
    }
}

fn invalid(detail: impl Into<String>) -> Error {
    Error::new(Condition::InvalidArgument, detail)
}
