//! Policies that belong to one user, group or role.

use model::{
    entities::EntityKind,
    limits::{INLINE_BYTES_MAX_GROUP, INLINE_BYTES_MAX_ROLE, INLINE_BYTES_MAX_USER},
    policy::Action,
};

use super::{
    arn::{no_such, over},
    check_document,
    members::check_policy_name,
    of_kind,
};
use crate::{Caller, Result, Service};

impl Service {
    /// Sets a policy in place of the one of that name.
    ///
    /// # Errors
    /// `NoSuchEntity`, `MalformedPolicyDocument`, `LimitExceeded`.
    pub async fn put_inline(
        &self,
        caller: &Caller,
        kind: EntityKind,
        name: &str,
        (policy, text): (&str, &str),
    ) -> Result<()> {
        let actions = [Action::PutUserPolicy, Action::PutGroupPolicy, Action::PutRolePolicy];
        let granted = self.on_entity(caller, of_kind(kind, actions), kind, name).await?;
        let granted = granted.telling("PolicyName", policy);
        check_policy_name(policy)?;
        check_document(text)?;
        granted
            .alter(self, kind, name, async |entity| {
                entity.inline.retain(|(known, _)| known != policy);
                entity.inline.push((policy.to_owned(), text.to_owned()));
                entity.inline.sort();
                let maximum = match kind {
                    EntityKind::User => INLINE_BYTES_MAX_USER,
                    EntityKind::Group => INLINE_BYTES_MAX_GROUP,
                    EntityKind::Role => INLINE_BYTES_MAX_ROLE,
                };
                let letters = |text: &str| text.chars().filter(|it| !it.is_whitespace()).count();
                let total: usize = entity.inline.iter().map(|(_, text)| letters(text)).sum();
                let bytes: usize = entity.inline.iter().map(|(_, text)| text.len()).sum();
                if total > maximum || bytes > 2 * INLINE_BYTES_MAX_ROLE {
                    return Err(over(&format!("inline policies of a {}", kind.word()), maximum));
                }
                Ok(())
            })
            .await
    }

    /// # Errors
    /// `NoSuchEntity`.
    pub async fn get_inline(
        &self,
        caller: &Caller,
        kind: EntityKind,
        name: &str,
        policy: &str,
    ) -> Result<String> {
        let actions = [Action::GetUserPolicy, Action::GetGroupPolicy, Action::GetRolePolicy];
        let granted = self.on_entity(caller, of_kind(kind, actions), kind, name).await?;
        let entity = granted.entity(self, kind, name).await?;
        let found = entity.inline.into_iter().find(|(known, _)| known == policy);
        found.map(|(_, text)| text).ok_or_else(|| no_such("policy", policy))
    }

    /// # Errors
    /// `NoSuchEntity`.
    pub async fn delete_inline(
        &self,
        caller: &Caller,
        kind: EntityKind,
        name: &str,
        policy: &str,
    ) -> Result<()> {
        let actions =
            [Action::DeleteUserPolicy, Action::DeleteGroupPolicy, Action::DeleteRolePolicy];
        let granted = self.on_entity(caller, of_kind(kind, actions), kind, name).await?;
        let granted = granted.telling("PolicyName", policy);
        granted
            .alter(self, kind, name, async |entity| {
                let before = entity.inline.len();
                entity.inline.retain(|(known, _)| known != policy);
                match entity.inline.len() == before {
                    true => Err(no_such("policy", policy)),
                    false => Ok(()),
                }
            })
            .await
    }

    /// The names of an entity's own policies.
    ///
    /// # Errors
    /// `NoSuchEntity`.
    pub async fn list_inline(
        &self,
        caller: &Caller,
        kind: EntityKind,
        name: &str,
    ) -> Result<Vec<String>> {
        let actions =
            [Action::ListUserPolicies, Action::ListGroupPolicies, Action::ListRolePolicies];
        let granted = self.on_entity(caller, of_kind(kind, actions), kind, name).await?;
        let entity = granted.entity(self, kind, name).await?;
        Ok(entity.inline.into_iter().map(|(name, _)| name).collect())
    }
}
