//! Which users are in which groups.

use model::{
    entities::{Entity, EntityKind},
    limits::GROUPS_PER_USER_MAX,
    policy::Action,
};

use super::arn::over;
use crate::{Caller, Result, Service, authorize::Granted};

impl Service {
    /// Puts a user into a group or takes it out; twice is no error.
    ///
    /// # Errors
    /// `NoSuchEntity`, `LimitExceeded`.
    pub async fn set_membership(
        &self,
        caller: &Caller,
        group: &str,
        user: &str,
        member: bool,
    ) -> Result<()> {
        let action = if member { Action::AddUserToGroup } else { Action::RemoveUserFromGroup };
        let granted = self.on_entity(caller, action, EntityKind::Group, group).await?;
        let granted = granted.telling("UserName", user);
        granted
            .alter(self, EntityKind::User, user, async |entity| {
                let group = granted.entity(self, EntityKind::Group, group).await?.name;
                entity.groups.retain(|known| *known != group);
                if member {
                    entity.groups.push(group);
                }
                if entity.groups.len() > GROUPS_PER_USER_MAX {
                    return Err(over("GroupsPerUser", GROUPS_PER_USER_MAX));
                }
                Ok(())
            })
            .await
    }

    /// A group and the users in it.
    ///
    /// # Errors
    /// `NoSuchEntity`.
    pub async fn get_group(&self, caller: &Caller, name: &str) -> Result<(Entity, Vec<Entity>)> {
        let granted = self.on_entity(caller, Action::GetGroup, EntityKind::Group, name).await?;
        let group = granted.entity(self, EntityKind::Group, name).await?;
        let members = self.members_of(&granted, &group.name).await?;
        Ok((group, members))
    }

    /// The groups a user is in.
    ///
    /// # Errors
    /// `NoSuchEntity`.
    pub async fn groups_of(&self, caller: &Caller, name: &str) -> Result<Vec<Entity>> {
        let action = Action::ListGroupsForUser;
        let granted = self.on_entity(caller, action, EntityKind::User, name).await?;
        let user = granted.entity(self, EntityKind::User, name).await?;
        let mut groups = Vec::new();
        for group in &user.groups {
            groups.push(granted.entity(self, EntityKind::Group, group).await?);
        }
        Ok(groups)
    }

    pub(super) async fn members_of(
        &self,
        granted: &Granted<'_>,
        group: &str,
    ) -> Result<Vec<Entity>> {
        let mut users = self.metadata.entities(granted.account(), EntityKind::User).await?;
        users.retain(|user| user.groups.iter().any(|known| known == group));
        Ok(users)
    }
}
