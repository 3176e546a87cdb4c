//! Users, groups, roles and policies of an account, in the words of AWS IAM.
//!
//! Every method asks for the action that IAM has for it, on the ARN it is about, before it reads or
//! changes anything: only `authorize` makes the [`Granted`] that leads to the metadata. How IAM
//! says it on the wire is in `gateway::iam`; temporary credentials are in [`tokens`].

mod access_keys;
mod arn;
mod attached;
mod declared;
mod groups;
mod inline;
mod members;
mod mfa;
mod policies;
mod providers;
mod simulate;
mod standing;
pub mod tokens;
mod web_identity;

pub use access_keys::{KeyShown, LastUse};
pub use declared::NewUser;
pub use members::{EntityChange, NewEntity, RoleChange};
pub use mfa::{MfaShown, SecondFactor};
pub use policies::{Holders, NewPolicy, PolicyShown, Scope, Summary};
pub use providers::{NewProvider, ProviderChange};
pub use simulate::{Matched, Simulated, Simulation};
pub use standing::Standing;
pub use web_identity::WebCredentials;

pub(crate) use access_keys::Uses;
pub(crate) use simulate::{say, stand_in};
pub(crate) use standing::Compiled as CompiledEntity;
pub(crate) use web_identity::KeySets;
#[cfg(feature = "fuzzing")]
pub(crate) use web_identity::read_claims;

use std::sync::Arc;

use metadata::EntityChanges;
use model::{
    Condition,
    entities::{Entity, EntityKind, ManagedPolicy, NamedEntity},
    names::AccountId,
    policy::{Action, Document, Key, Kind, Principal},
};

use crate::{Caller, Error, Result, Service, authorize::Granted, compiled::Compiled};

/// What users and roles may, by account, kind and name.
pub(crate) type Standings = Compiled<(AccountId, EntityKind, String), CompiledEntity>;

/// What sessions are limited to, by access key.
pub(crate) type Sessions = Compiled<String, Vec<Arc<Document>>>;

/// Any text with a name: tags as they are set.
pub type Tags = Vec<(String, String)>;

impl Granted<'_> {
    /// Changes the account's entities: `decide` may run several times.
    async fn change<T>(
        &self,
        service: &Service,
        decide: impl AsyncFn(&mut EntityChanges) -> Result<T>,
    ) -> Result<T> {
        service.metadata.change_entities(self.account(), &self.audit(), decide).await
    }

    async fn entity(&self, service: &Service, kind: EntityKind, name: &str) -> Result<Entity> {
        let found = service.metadata.entity(self.account(), kind, name).await?;
        found.ok_or_else(|| arn::no_such(kind.word(), name))
    }

    /// A managed policy of the account, by its ARN.
    async fn policy(&self, service: &Service, arn: &str) -> Result<ManagedPolicy> {
        let account = self.account();
        let missing = || {
            let detail = format!("Policy {arn} does not exist or is not attachable.");
            Error::new(Condition::NoSuchEntity, detail)
        };
        let name = arn::policy_name(account, arn).ok_or_else(missing)?;
        let found = service.metadata.managed_policy(account, name).await?;
        found.filter(|policy| policy.arn(account) == arn).ok_or_else(missing)
    }

    /// Changes one entity.
    async fn alter<T>(
        &self,
        service: &Service,
        kind: EntityKind,
        name: &str,
        change: impl AsyncFn(&mut Entity) -> Result<T>,
    ) -> Result<T> {
        self.change(service, async |changes| {
            let mut entity = self.entity(service, kind, name).await?;
            let value = change(&mut entity).await?;
            changes.put(kind, &entity);
            Ok(value)
        })
        .await
    }
}

impl Service {
    /// Leave to do something with an entity, by its ARN as it is; of one that is not there, as if
    /// it had no path. What the request does not say of its boundary is that of the entity.
    async fn on_entity<'c>(
        &self,
        caller: &'c Caller,
        action: Action,
        kind: EntityKind,
        name: &str,
    ) -> Result<Granted<'c>> {
        let account = caller.account_id().ok_or(Condition::AccessDenied)?;
        let found = self.metadata.entity(account, kind, name).await?;
        let absent = || Entity { name: name.to_owned(), path: "/".into(), ..Entity::default() };
        let entity = found.unwrap_or_else(absent);
        let arn = entity.arn(account, kind);
        let said = caller.facts.request.iter().any(|(key, _)| *key == Key::PermissionsBoundary);
        match entity.boundary.filter(|_| !said) {
            None => Granted::give(caller, action, &arn),
            Some(boundary) => {
                let mut facts = caller.facts.clone();
                facts.request.push((Key::PermissionsBoundary, boundary));
                Granted::give_with(caller, &facts, action, &arn)
            }
        }
    }

    /// A new id with the letters in front that IAM gives to its kind.
    fn new_entity_id(&self, prefix: &str) -> String {
        format!("{prefix}{}", crate::accounts::letters(&self.random::<17>()))
    }
}

/// The action of each kind of entity: user, group, role.
const fn of_kind(kind: EntityKind, [user, group, role]: [Action; 3]) -> Action {
    match kind {
        EntityKind::User => user,
        EntityKind::Group => group,
        EntityKind::Role => role,
    }
}

/// The user that asks, if it is one.
pub(crate) fn own_name(caller: &Caller) -> Option<String> {
    match &caller.facts.principal {
        Principal::User { name, .. } => name.rsplit('/').next().map(str::to_owned),
        _ => None,
    }
}

/// The policy of an entity, or a managed one.
fn check_document(text: &str) -> Result<()> {
    let malformed = |error| Error::new(Condition::MalformedPolicyDocument, error);
    Document::parse(text, Kind::Identity).map(drop).map_err(malformed)
}

/// The policy that says who may take on a role; its principals must exist. The users and roles it
/// names.
async fn check_trust(service: &Arc<Service>, text: &str) -> Result<Vec<NamedEntity>> {
    let malformed = |error| Error::new(Condition::MalformedPolicyDocument, error);
    let document = Document::parse(text, Kind::Trust).map_err(malformed)?;
    let level = |action: Action| action.level() == model::policy::Level::Sts;
    let strange = document
        .statements
        .iter()
        .any(|statement| statement.actions.is_empty() || !statement.actions.iter().all(level));
    if strange {
        return Err(malformed("AssumeRole policy may only specify STS AssumeRole actions.".into()));
    }
    service.check_principals(&document).await.map_err(|error| match error.condition {
        Condition::MalformedPolicy => {
            malformed(error.detail.unwrap_or_else(|| "Invalid principal in policy".to_owned()))
        }
        _ => error,
    })
}

/// Notes which users and roles are trusted, in the commit that writes the policy.
async fn note_trusted(
    service: &Service,
    changes: &mut EntityChanges,
    named: &[NamedEntity],
) -> Result<Vec<NamedEntity>> {
    service.metadata.note_trusted(changes, named).await.map_err(|error| match error {
        metadata::Error::Refused(Condition::MalformedPolicy) => {
            Error::new(Condition::MalformedPolicyDocument, "Invalid principal in policy")
        }
        other => other.into(),
    })
}
