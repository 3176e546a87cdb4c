//! Names, paths and ARNs of entities and managed policies: what they may be.
//!
//! Source: "IAM and AWS STS quotas", "IAM identifiers".

use model::{Condition, entities::EntityKind, names::AccountId};

use crate::{Error, Result};

/// The longest path of an entity.
const PATH_BYTES_MAX: usize = 512;

pub(super) fn invalid(detail: impl Into<String>) -> Error {
    Error::new(Condition::ValidationError, detail)
}

/// Letters, digits and `_+=,.@-`.
pub(super) fn check_name(what: &str, name: &str, bytes_max: usize) -> Result<()> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    if (1..=bytes_max).contains(&name.len()) && name.bytes().all(fits) {
        return Ok(());
    }
    Err(invalid(format!(
        "The specified value for {what} is invalid. It must contain only alphanumeric characters \
         and/or the following: +=,.@_- and have 1 to {bytes_max} of them"
    )))
}

pub(super) fn check_entity_name(kind: EntityKind, name: &str) -> Result<()> {
    match kind {
        EntityKind::User => check_name("userName", name, 64),
        EntityKind::Group => check_name("groupName", name, 128),
        EntityKind::Role => check_name("roleName", name, 64),
    }
}

/// `/`, or a text that begins and ends with one.
pub(super) fn check_path(path: &str) -> Result<()> {
    let fits = path.len() <= PATH_BYTES_MAX
        && path.starts_with('/')
        && path.ends_with('/')
        && path.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
    if fits {
        return Ok(());
    }
    Err(invalid(
        "The specified value for path is invalid. It must begin and end with / and contain only \
         alphanumeric characters and/or / characters.",
    ))
}

/// The name at the end of the ARN of a managed policy of this account.
pub(super) fn policy_name<'a>(account: &AccountId, arn: &'a str) -> Option<&'a str> {
    let path = arn.strip_prefix(&format!("arn:aws:iam::{account}:policy/"))?;
    path.rsplit('/').next().filter(|name| !name.is_empty())
}

pub(super) fn no_such(what: &str, name: &str) -> Error {
    let detail = format!("The {what} with name {name} cannot be found.");
    Error::new(Condition::NoSuchEntity, detail)
}

pub(super) fn exists(what: &str, name: &str) -> Error {
    let detail = format!("{what} with name {name} already exists.");
    Error::new(Condition::EntityAlreadyExists, detail)
}

pub(super) fn over(what: &str, maximum: usize) -> Error {
    let detail = format!("Cannot exceed quota for {what}: {maximum}");
    Error::new(Condition::LimitExceeded, detail)
}
