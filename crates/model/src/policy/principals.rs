//! `Principal` and `NotPrincipal`: whom a statement is about.
//!
//! Sources: "AWS JSON policy elements: Principal"; OSS "Bucket policy".

use super::{Facts, Language, Principal, json::Json};
use crate::{
    entities::{EntityKind, NamedEntity},
    names::AccountId,
};

/// One principal a statement names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    Everybody,
    /// The account, and whoever it lets: what it may do others of it may, if their own policies
    /// say so.
    Account(AccountId),
    /// An account by its other id.
    Canonical(String),
    /// A user or role.
    Entity(NamedEntity),
    /// One session of a role; `None` means any.
    Session {
        role: NamedEntity,
        session: Option<String>,
    },
    /// Somebody whom another identity provider knows.
    Federated(String),
    /// A service of the cloud.
    Service(String),
}

/// Whom a statement is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principals {
    /// The policy belongs to somebody: it is about them.
    Holder,
    These(Vec<Who>),
    /// Everybody but these.
    AllBut(Vec<Who>),
}

/// How exactly a principal is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Naming {
    /// Not at all.
    None,
    /// As a part of its account, which decides itself what its users may.
    Account,
    /// Among everybody.
    Everybody,
    /// By its role, for a session.
    Role,
    /// Itself.
    Itself,
}

/// Reads `Principal` of the AWS policy language.
///
/// # Errors
/// What is wrong, in words.
pub fn parse_aws(json: &Json) -> Result<Vec<Who>, String> {
    let kinds = match json {
        Json::Text(text) if text == "*" => return Ok(vec![Who::Everybody]),
        Json::Object(kinds) if !kinds.is_empty() => kinds,
        _ => return Err("Invalid principal in policy".to_owned()),
    };
    let mut principals = Vec::new();
    for (kind, values) in kinds {
        let values = values.texts().ok_or("Invalid principal in policy")?;
        if values.is_empty() {
            return Err("Invalid principal in policy".to_owned());
        }
        for value in values {
            let who = match kind.as_str() {
                "AWS" => aws(&value),
                "CanonicalUser" => Some(Who::Canonical(value.clone())),
                "Federated" => Some(Who::Federated(value.clone())),
                "Service" => Some(Who::Service(value.clone())),
                _ => None,
            };
            let wrong = || format!("Invalid principal in policy: {kind} {value}");
            principals.push(who.ok_or_else(wrong)?);
        }
    }
    Ok(principals)
}

/// An account's id, if it can be told from everything else a principal may be.
fn account_id(text: &str) -> Option<AccountId> {
    AccountId::parse(text).filter(|_| !text.contains([':', '/', '*', '?', ' ']))
}

/// `*`, an account id, or `arn:aws:iam::ID:…` or `arn:aws:sts::ID:…`. No other wildcard counts.
fn aws(text: &str) -> Option<Who> {
    if text == "*" {
        return Some(Who::Everybody);
    }
    if let Some(account) = account_id(text) {
        return Some(Who::Account(account));
    }
    if text.contains(['*', '?']) {
        return None;
    }
    let mut parts = text.splitn(6, ':');
    let (arn, partition) = (parts.next()?, parts.next()?);
    let (service, region, account) = (parts.next()?, parts.next()?, parts.next()?);
    let account = account_id(account)?;
    let own = arn == "arn" && partition.starts_with("aws") && region.is_empty();
    let (kind, name) = match parts.next()? {
        "root" => ("root", ""),
        other => other.split_once('/').filter(|(_, name)| !name.is_empty())?,
    };
    let name = name.to_owned();
    match (own, service, kind) {
        (true, "iam", "root") => Some(Who::Account(account)),
        (true, "iam", "user") => Some(Who::Entity(named(account, EntityKind::User, name))),
        (true, "iam", "role") => Some(Who::Entity(named(account, EntityKind::Role, name))),
        (true, "sts", "assumed-role") => {
            let (role, session) = name.split_once('/')?;
            let role = named(account, EntityKind::Role, role.to_owned());
            Some(Who::Session { role, session: Some(session.to_owned()) })
        }
        _ => None,
    }
}

/// Reads `Principal` of the OSS policy language; an empty list is everybody.
///
/// # Errors
/// What is wrong, in words.
pub fn parse_oss(json: &Json) -> Result<Vec<Who>, String> {
    let words = json.texts().ok_or("Principal is no list of text")?;
    if words.is_empty() {
        return Ok(vec![Who::Everybody]);
    }
    let who = |word: &String| oss(word).ok_or_else(|| format!("{word} is no principal"));
    words.iter().map(who).collect()
}

/// `*`, `<uid>`, `<uid>:<user>` or `arn:sts::<uid>:assumed-role/<role>/<session>`.
fn oss(word: &str) -> Option<Who> {
    if word == "*" {
        return Some(Who::Everybody);
    }
    if let Some(account) = account_id(word) {
        return Some(Who::Account(account));
    }
    if let Some(rest) = word.strip_prefix("arn:sts::") {
        let (account, rest) = rest.split_once(':')?;
        let (role, session) = rest.strip_prefix("assumed-role/")?.split_once('/')?;
        let session = Some(session.to_owned()).filter(|session| session != "*");
        let role = named(account_id(account)?, EntityKind::Role, role.to_owned());
        return Some(Who::Session { role, session });
    }
    let (account, name) = word.split_once(':')?;
    let name = Some(name.to_owned()).filter(|name| !name.is_empty())?;
    Some(Who::Entity(named(account_id(account)?, EntityKind::User, name)))
}

/// Whoever is called so.
fn named(account: AccountId, kind: EntityKind, name: String) -> NamedEntity {
    NamedEntity { account, kind, name, id: None }
}

/// The user or role that a principal names, and the session of that role.
pub(super) fn entity_of(word: &str, language: Language) -> Option<(NamedEntity, Option<String>)> {
    let who = match language {
        Language::Aws { .. } => aws(word),
        Language::Oss => oss(word),
    };
    match who? {
        Who::Entity(entity) => Some((entity, None)),
        Who::Session { role, session } => Some((role, session.or(Some("*".to_owned())))),
        _ => None,
    }
}

/// Whether the entity of this id is meant: by its name only if it is not known which one was.
fn is(meant: &NamedEntity, id: &str, by_name: impl FnOnce() -> bool) -> bool {
    meant.id.as_deref().map_or_else(by_name, |meant| meant == id)
}

impl Who {
    /// The user or role it names.
    pub const fn entity(&self) -> Option<&NamedEntity> {
        match self {
            Self::Entity(entity) | Self::Session { role: entity, .. } => Some(entity),
            _ => None,
        }
    }

    const fn entity_mut(&mut self) -> Option<&mut NamedEntity> {
        match self {
            Self::Entity(entity) | Self::Session { role: entity, .. } => Some(entity),
            _ => None,
        }
    }

    /// How this names the principal of a request.
    fn names(&self, facts: &Facts) -> Naming {
        let here = |matches: bool, naming: Naming| if matches { naming } else { Naming::None };
        match (self, &facts.principal) {
            (_, Principal::System(_)) => Naming::None,
            (Self::Everybody, _) => Naming::Everybody,
            (Self::Account(id), Principal::Account(account)) => here(id == account, Naming::Itself),
            (Self::Account(id), principal) => {
                here(principal.account() == Some(id), Naming::Account)
            }
            (Self::Canonical(id), principal) => {
                let own = facts.canonical_id.as_ref() == Some(id);
                let whole = matches!(principal, Principal::Account(_));
                here(own, if whole { Naming::Itself } else { Naming::Account })
            }
            (Self::Entity(entity), Principal::User { account, name, id }) => {
                let own = entity.kind == EntityKind::User && entity.account == *account;
                here(own && is(entity, id, || entity.name == *name), Naming::Itself)
            }
            (Self::Entity(entity), Principal::Session { account, role, role_id, .. }) => {
                let own = entity.kind == EntityKind::Role && entity.account == *account;
                here(own && is(entity, role_id, || entity.name == *role), Naming::Role)
            }
            (
                Self::Session { role, session },
                Principal::Session { account, role: taken, role_id, session: named },
            ) => {
                // A session is named without the path of its role.
                let by_name = || taken.rsplit('/').next() == Some(&*role.name);
                let own = role.account == *account && is(role, role_id, by_name);
                let one = session.as_ref().is_none_or(|session| session == named);
                let exact = if session.is_some() { Naming::Itself } else { Naming::Role };
                here(own && one, exact)
            }
            (Self::Federated(arn), Principal::Web(own)) => here(arn == own, Naming::Itself),
            _ => Naming::None,
        }
    }

    /// Whether a statement about all but this one passes over the principal. Naming the account
    /// spares nobody but the account itself.
    fn spares(&self, facts: &Facts) -> bool {
        self.names(facts) > Naming::Account
    }
}

impl Principals {
    /// How a statement names the principal of a request.
    pub fn names(&self, facts: &Facts) -> Naming {
        match self {
            Self::Holder => Naming::Itself,
            Self::These(these) => {
                if let [one] = these.as_slice() {
                    return one.names(facts);
                }
                let namings = these.iter().map(|who| who.names(facts));
                namings.max().unwrap_or(Naming::None)
            }
            Self::AllBut(_) if matches!(facts.principal, Principal::System(_)) => Naming::None,
            Self::AllBut(spared) if spared.iter().any(|who| who.spares(facts)) => Naming::None,
            Self::AllBut(_) => Naming::Everybody,
        }
    }

    /// Whether it is about everybody, the anonymous too.
    pub fn is_everybody(&self) -> bool {
        match self {
            Self::Holder => false,
            Self::These(these) => these.contains(&Who::Everybody),
            Self::AllBut(_) => true,
        }
    }

    /// The users and roles it names.
    pub(super) fn entities_mut(&mut self) -> impl Iterator<Item = &mut NamedEntity> {
        let named = match self {
            Self::Holder => &mut [][..],
            Self::These(named) | Self::AllBut(named) => named,
        };
        named.iter_mut().filter_map(Who::entity_mut)
    }

    /// Everybody it names.
    pub fn named(&self) -> &[Who] {
        match self {
            Self::Holder => &[],
            Self::These(named) | Self::AllBut(named) => named,
        }
    }
}
