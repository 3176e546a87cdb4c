//! Managed policies at users, groups and roles, and permission boundaries.

use model::{
    Condition,
    entities::{BUILT_IN_POLICIES, EntityKind},
    limits::ATTACHED_POLICIES_MAX,
    policy::Action,
};

use super::{
    arn::{no_such, over},
    of_kind,
};
use crate::{Caller, Error, Result, Service, authorize::Granted};

impl Service {
    /// Attaches a managed policy, or detaches it; to attach twice is no error.
    ///
    /// # Errors
    /// `NoSuchEntity`, `LimitExceeded`.
    pub async fn set_attached(
        &self,
        caller: &Caller,
        kind: EntityKind,
        name: &str,
        (arn, attached): (&str, bool),
    ) -> Result<()> {
        let actions = match attached {
            true => [Action::AttachUserPolicy, Action::AttachGroupPolicy, Action::AttachRolePolicy],
            false => {
                [Action::DetachUserPolicy, Action::DetachGroupPolicy, Action::DetachRolePolicy]
            }
        };
        let granted = self.on_entity(caller, of_kind(kind, actions), kind, name).await?;
        let granted = granted.telling("PolicyArn", arn);
        granted
            .alter(self, kind, name, async |entity| {
                let before = entity.attached.len();
                entity.attached.retain(|known| known != arn);
                if !attached {
                    let gone = entity.attached.len() < before;
                    return if gone { Ok(()) } else { Err(no_such("attached policy", arn)) };
                }
                self.attachable(&granted, arn).await?;
                entity.attached.push(arn.to_owned());
                if entity.attached.len() > ATTACHED_POLICIES_MAX {
                    let what = format!("policies attached to a {}", kind.word());
                    return Err(over(&what, ATTACHED_POLICIES_MAX));
                }
                Ok(())
            })
            .await
    }

    /// The ARNs of the policies attached to an entity, with their names.
    ///
    /// # Errors
    /// `NoSuchEntity`.
    pub async fn list_attached(
        &self,
        caller: &Caller,
        kind: EntityKind,
        name: &str,
    ) -> Result<Vec<String>> {
        let actions = [
            Action::ListAttachedUserPolicies,
            Action::ListAttachedGroupPolicies,
            Action::ListAttachedRolePolicies,
        ];
        let granted = self.on_entity(caller, of_kind(kind, actions), kind, name).await?;
        Ok(granted.entity(self, kind, name).await?.attached)
    }

    /// Sets the policy that says the most an entity may, or takes it away.
    ///
    /// # Errors
    /// `NoSuchEntity`.
    pub async fn set_boundary(
        &self,
        caller: &Caller,
        kind: EntityKind,
        name: &str,
        arn: Option<&str>,
    ) -> Result<()> {
        let actions = match arn {
            Some(_) => [
                Action::PutUserPermissionsBoundary,
                Action::PutUserPermissionsBoundary,
                Action::PutRolePermissionsBoundary,
            ],
            None => [
                Action::DeleteUserPermissionsBoundary,
                Action::DeleteUserPermissionsBoundary,
                Action::DeleteRolePermissionsBoundary,
            ],
        };
        let granted = self.on_entity(caller, of_kind(kind, actions), kind, name).await?;
        let granted = granted.telling("PermissionsBoundary", arn.unwrap_or_default());
        granted
            .alter(self, kind, name, async |entity| {
                match arn {
                    Some(arn) => self.attachable(&granted, arn).await?,
                    None if entity.boundary.is_none() => {
                        return Err(no_such("permissions boundary of", name));
                    }
                    None => {}
                }
                entity.boundary = arn.map(str::to_owned);
                Ok(())
            })
            .await
    }

    /// Refuses the ARN of a policy that is not there.
    pub(super) async fn attachable(&self, granted: &Granted<'_>, arn: &str) -> Result<()> {
        if let Some(name) = arn.strip_prefix("arn:aws:iam::aws:policy/") {
            let known = BUILT_IN_POLICIES.iter().any(|(known, ..)| *known == name);
            let detail = || format!("Policy {arn} does not exist or is not attachable.");
            return match known {
                true => Ok(()),
                false => Err(Error::new(Condition::NoSuchEntity, detail())),
            };
        }
        granted.policy(self, arn).await.map(drop)
    }
}
