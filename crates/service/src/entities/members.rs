//! Users, groups and roles themselves: made, shown, changed, deleted, and their tags.

use std::{slice, sync::Arc};

use model::{
    Condition,
    entities::{Entity, EntityKind, MfaHolder, NamedEntity, RoleFacts},
    limits::{
        ENTITIES_PER_ACCOUNT_MAX, ENTITY_TAGS_MAX, ROLE_SESSION_SECONDS, TRUST_POLICY_BYTES_MAX,
    },
    policy::Action,
};

use super::{
    Tags,
    arn::{check_entity_name, check_name, check_path, exists, invalid, over},
    check_trust, note_trusted, of_kind, own_name,
};
use crate::{Caller, Error, Result, Service, authorize::Granted};

/// An entity as asked for.
#[derive(Clone, Debug, Default)]
pub struct NewEntity {
    pub name: String,
    pub path: String,
    pub tags: Tags,
    pub boundary: Option<String>,
    /// Of a role.
    pub role: Option<RoleFacts>,
}

/// What becomes of a user or group; what is absent stays.
#[derive(Clone, Debug, Default)]
pub struct EntityChange {
    pub name: Option<String>,
    pub path: Option<String>,
}

/// What becomes of a role; what is absent stays.
#[derive(Clone, Debug, Default)]
pub struct RoleChange {
    pub trust: Option<String>,
    pub description: Option<String>,
    pub session_seconds_max: Option<u32>,
}

impl Service {
    /// # Errors
    /// `EntityAlreadyExists`, `LimitExceeded`, `ValidationError`, `MalformedPolicyDocument`.
    pub async fn create_entity(
        self: &Arc<Self>,
        caller: &Caller,
        kind: EntityKind,
        new: NewEntity,
    ) -> Result<Entity> {
        let action = of_kind(kind, [Action::CreateUser, Action::CreateGroup, Action::CreateRole]);
        let prefix = of_letters(kind);
        let entity = Entity {
            id: self.new_entity_id(prefix),
            created_ms: self.now_ms(),
            name: new.name,
            path: new.path,
            tags: new.tags,
            boundary: new.boundary,
            role: new.role,
            ..Entity::default()
        };
        let account = caller.account_id().ok_or(Condition::AccessDenied)?;
        let granted = Granted::give(caller, action, &entity.arn(account, kind))?;
        let trusted = self.check_entity(kind, &entity).await?;
        self.add_entity(&granted, kind, &entity, &trusted).await?;
        Ok(entity)
    }

    /// The users and roles that a role trusts.
    async fn check_entity(
        self: &Arc<Self>,
        kind: EntityKind,
        entity: &Entity,
    ) -> Result<Vec<NamedEntity>> {
        check_entity_name(kind, &entity.name)?;
        check_path(&entity.path)?;
        check_tags(&entity.tags)?;
        if let Some(role) = &entity.role {
            check_seconds(role.session_seconds_max)?;
            check_trust_size(&role.trust)?;
            return check_trust(self, &role.trust).await;
        }
        Ok(Vec::new())
    }

    async fn add_entity(
        &self,
        granted: &Granted<'_>,
        kind: EntityKind,
        entity: &Entity,
        trusted: &[NamedEntity],
    ) -> Result<()> {
        granted
            .change(self, async |changes| {
                let account = granted.account();
                if self.metadata.entity(account, kind, &entity.name).await?.is_some() {
                    return Err(exists(&titled(kind), &entity.name));
                }
                if let Some(arn) = &entity.boundary {
                    self.attachable(granted, arn).await?;
                }
                let others = self.metadata.entities(account, kind).await?.len();
                if others >= ENTITIES_PER_ACCOUNT_MAX {
                    return Err(over(&format!("{}s", titled(kind)), ENTITIES_PER_ACCOUNT_MAX));
                }
                let mut entity = entity.clone();
                if let Some(role) = &mut entity.role {
                    role.named = note_trusted(self, changes, trusted).await?;
                }
                changes.put(kind, &entity);
                Ok(())
            })
            .await
    }

    /// Shows an entity; without a name, the user that asks.
    ///
    /// # Errors
    /// `NoSuchEntity`.
    pub async fn get_entity(
        &self,
        caller: &Caller,
        kind: EntityKind,
        name: Option<&str>,
    ) -> Result<Entity> {
        let action = of_kind(kind, [Action::GetUser, Action::GetGroup, Action::GetRole]);
        let Some(name) = name.map(str::to_owned).or_else(|| own_name(caller)) else {
            return whole_account(caller);
        };
        let granted = self.on_entity(caller, action, kind, &name).await?;
        let mut entity = granted.entity(self, kind, &name).await?;
        self.show_roles(slice::from_mut(&mut entity)).await?;
        Ok(entity)
    }

    /// All of a kind whose path begins so, in order of name. Roles as they were written:
    /// [`Self::show_roles`] is for those that are shown.
    ///
    /// # Errors
    /// `AccessDenied`.
    pub async fn list_entities(
        &self,
        caller: &Caller,
        kind: EntityKind,
        path_prefix: &str,
    ) -> Result<Vec<Entity>> {
        let action = of_kind(kind, [Action::ListUsers, Action::ListGroups, Action::ListRoles]);
        let granted = self.on_entity(caller, action, kind, "").await?;
        let mut found = self.metadata.entities(granted.account(), kind).await?;
        found.retain(|entity| entity.path.starts_with(path_prefix));
        Ok(found)
    }

    /// Gives a user or group another name or path.
    ///
    /// # Errors
    /// `NoSuchEntity`, `EntityAlreadyExists`, `LimitExceeded` for a group of too many users.
    pub async fn update_entity(
        &self,
        caller: &Caller,
        kind: EntityKind,
        name: &str,
        change: EntityChange,
    ) -> Result<()> {
        let action = of_kind(kind, [Action::UpdateUser, Action::UpdateGroup, Action::UpdateRole]);
        let granted = self.on_entity(caller, action, kind, name).await?;
        if let Some(new) = &change.name {
            check_entity_name(kind, new)?;
            // Whoever renames must have a right to the new name too.
            self.on_entity(caller, action, kind, new).await?;
        }
        let told = [("NewName", &change.name), ("NewPath", &change.path)];
        let told = told.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        let granted = told.fold(granted, |granted, (name, value)| granted.telling(name, value));
        change.path.as_deref().map(check_path).transpose()?;
        granted
            .change(self, async |changes| {
                let account = granted.account();
                let mut entity = granted.entity(self, kind, name).await?;
                let old = entity.name.clone();
                entity.path = change.path.clone().unwrap_or(entity.path);
                entity.name = change.name.clone().unwrap_or(entity.name);
                if entity.name.to_lowercase() != old.to_lowercase() {
                    if self.metadata.entity(account, kind, &entity.name).await?.is_some() {
                        return Err(exists(&titled(kind), &entity.name));
                    }
                    changes.delete(kind, &old);
                }
                changes.put(kind, &entity);
                if entity.name == old {
                    return Ok(());
                }
                if kind == EntityKind::Group {
                    let members = self.members_of(&granted, &old).await?;
                    if members.len() > RENAMED_MEMBERS_MAX {
                        return Err(over("users of a group that is renamed", RENAMED_MEMBERS_MAX));
                    }
                    for mut user in members {
                        user.groups.retain(|group| *group != old);
                        user.groups.push(entity.name.clone());
                        changes.put(EntityKind::User, &user);
                    }
                }
                if kind == EntityKind::User {
                    self.rename_mfa_holder(account, changes, (&old, &entity.name)).await?;
                }
                for key in &entity.keys {
                    if let Some(mut key) = self.metadata.access_key(key).await? {
                        key.user = Some(entity.name.clone());
                        changes.put_key(&key);
                    }
                }
                Ok(())
            })
            .await
    }

    /// Changes a role.
    ///
    /// # Errors
    /// `NoSuchEntity`, `MalformedPolicyDocument`, `ValidationError`.
    pub async fn update_role(
        self: &Arc<Self>,
        caller: &Caller,
        name: &str,
        change: RoleChange,
    ) -> Result<()> {
        let action = match (&change.trust, change.session_seconds_max) {
            (Some(_), _) => Action::UpdateAssumeRolePolicy,
            _ => Action::UpdateRole,
        };
        let granted = self.on_entity(caller, action, EntityKind::Role, name).await?;
        change.session_seconds_max.map(check_seconds).transpose()?;
        let mut trusted = Vec::new();
        if let Some(trust) = &change.trust {
            check_trust_size(trust)?;
            trusted = check_trust(self, trust).await?;
        }
        granted
            .change(self, async |changes| {
                let mut entity = granted.entity(self, EntityKind::Role, name).await?;
                let role = entity.role.get_or_insert_default();
                if let Some(trust) = &change.trust {
                    role.trust.clone_from(trust);
                    role.named = note_trusted(self, changes, &trusted).await?;
                }
                role.description = change.description.clone().or(role.description.take());
                role.session_seconds_max =
                    change.session_seconds_max.unwrap_or(role.session_seconds_max);
                changes.put(EntityKind::Role, &entity);
                Ok(())
            })
            .await
    }

    /// Deletes an entity that has nothing any more.
    ///
    /// # Errors
    /// `NoSuchEntity`, `DeleteConflict`.
    pub async fn delete_entity(&self, caller: &Caller, kind: EntityKind, name: &str) -> Result<()> {
        let action = of_kind(kind, [Action::DeleteUser, Action::DeleteGroup, Action::DeleteRole]);
        let granted = self.on_entity(caller, action, kind, name).await?;
        granted
            .change(self, async |changes| {
                let entity = granted.entity(self, kind, name).await?;
                let members = match kind {
                    EntityKind::Group => self.members_of(&granted, &entity.name).await?,
                    EntityKind::User | EntityKind::Role => Vec::new(),
                };
                let holder = MfaHolder::User(entity.name.clone());
                let has_mfa = kind == EntityKind::User
                    && !self.devices_of(granted.account(), &holder).await?.is_empty();
                let left = [
                    (!entity.inline.is_empty(), "must delete policies first."),
                    (!entity.attached.is_empty(), "must detach all policies first."),
                    (!entity.keys.is_empty(), "must delete access keys first."),
                    (!entity.groups.is_empty(), "must remove users from group first."),
                    (!members.is_empty(), "must remove users from group first."),
                    (has_mfa, "must delete MFA device first."),
                ];
                if let Some((_, what)) = left.iter().find(|(there, _)| *there) {
                    let detail = format!("Cannot delete entity, {what}");
                    return Err(Error::new(Condition::DeleteConflict, detail));
                }
                changes.delete(kind, &entity.name);
                Ok(())
            })
            .await
    }

    /// Sets tags, over those of the same name, and takes others away.
    ///
    /// # Errors
    /// `NoSuchEntity`, `LimitExceeded`, `ValidationError`.
    pub async fn tag_entity(
        &self,
        caller: &Caller,
        kind: EntityKind,
        name: &str,
        (set, removed): (Tags, Vec<String>),
    ) -> Result<()> {
        let actions = match set.is_empty() {
            true => [Action::UntagUser, Action::UntagUser, Action::UntagRole],
            false => [Action::TagUser, Action::TagUser, Action::TagRole],
        };
        let granted = self.on_entity(caller, of_kind(kind, actions), kind, name).await?;
        granted
            .alter(self, kind, name, async |entity| merge_tags(&mut entity.tags, &set, &removed))
            .await
    }

    /// # Errors
    /// `NoSuchEntity`.
    pub async fn entity_tags(&self, caller: &Caller, kind: EntityKind, name: &str) -> Result<Tags> {
        let actions = [Action::ListUserTags, Action::ListUserTags, Action::ListRoleTags];
        let granted = self.on_entity(caller, of_kind(kind, actions), kind, name).await?;
        Ok(granted.entity(self, kind, name).await?.tags)
    }
}

/// As many users as one commit can rewrite.
const RENAMED_MEMBERS_MAX: usize = 15;

/// The account itself, shown as if it were a user.
fn whole_account(caller: &Caller) -> Result<Entity> {
    if !matches!(caller.facts.principal, model::policy::Principal::Account(_)) {
        return Err(invalid("Must specify userName when calling with non-User credentials"));
    }
    account_as_user(caller)
}

/// The caller's account, shown as if it were a user.
pub(super) fn account_as_user(caller: &Caller) -> Result<Entity> {
    let account = caller.account.as_ref().ok_or(Condition::AccessDenied)?;
    let id = account.id.to_string();
    let (name, created_ms) = (account.name.clone(), account.created_ms);
    Ok(Entity { name, id, created_ms, ..Entity::default() })
}

const fn of_letters(kind: EntityKind) -> &'static str {
    match kind {
        EntityKind::User => "AIDA",
        EntityKind::Group => "AGPA",
        EntityKind::Role => "AROA",
    }
}

fn titled(kind: EntityKind) -> String {
    match kind {
        EntityKind::User => "User".to_owned(),
        EntityKind::Group => "Group".to_owned(),
        EntityKind::Role => "Role".to_owned(),
    }
}

fn check_seconds(seconds: u32) -> Result<()> {
    if ROLE_SESSION_SECONDS.contains(&seconds) {
        return Ok(());
    }
    Err(invalid("The MaxSessionDuration must be between 3600 and 43200 seconds."))
}

fn check_trust_size(trust: &str) -> Result<()> {
    match trust.len() > TRUST_POLICY_BYTES_MAX {
        true => Err(over("ACLSizePerRole", TRUST_POLICY_BYTES_MAX)),
        false => Ok(()),
    }
}

/// Source: "Tags for IAM resources".
pub(super) fn check_tags(tags: &Tags) -> Result<()> {
    if tags.len() > ENTITY_TAGS_MAX {
        return Err(over("TagsPerEntity", ENTITY_TAGS_MAX));
    }
    for (place, (name, value)) in tags.iter().enumerate() {
        if name.is_empty() || name.chars().count() > 128 || value.chars().count() > 256 {
            return Err(invalid(
                "A tag has a key of 1 to 128 and a value of up to 256 characters.",
            ));
        }
        if name.to_lowercase().starts_with("aws:") {
            return Err(invalid("The tag key prefix aws: is reserved."));
        }
        if tags.iter().skip(place + 1).any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            let detail = "Duplicate tag keys found. Please note that Tag keys are case \
                          insensitive.";
            return Err(Error::new(Condition::InvalidInput, detail));
        }
    }
    Ok(())
}

pub(super) fn merge_tags(tags: &mut Tags, set: &Tags, removed: &[String]) -> Result<()> {
    check_tags(set)?;
    let goes = |name: &str| {
        let named = |other: &str| other.eq_ignore_ascii_case(name);
        set.iter().any(|(other, _)| named(other)) || removed.iter().any(|other| named(other))
    };
    tags.retain(|(name, _)| !goes(name));
    tags.extend(set.iter().cloned());
    check_tags(tags)
}

/// A name of a policy or a session.
pub(super) fn check_policy_name(name: &str) -> Result<()> {
    check_name("policyName", name, 128)
}
