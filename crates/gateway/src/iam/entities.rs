//! Users, groups and roles, on the wire of IAM.

use model::{
    entities::{Entity, EntityKind, RoleFacts},
    policy::Action,
};
use service::entities::{EntityChange, NewEntity, RoleChange, Tags};

use super::Call;
use crate::{
    encoding::encode,
    wire::Result,
    xml::{Writer, date},
};

impl Call<'_> {
    pub(super) async fn create(&self, xml: &mut Writer) -> Result<()> {
        let (kind, form) = (self.kind(), self.form);
        let role = match kind {
            EntityKind::Role => Some(RoleFacts {
                trust: form.required("AssumeRolePolicyDocument")?.to_owned(),
                description: form.owned("Description"),
                session_seconds_max: form.number("MaxSessionDuration")?.unwrap_or(3600),
                named: Vec::new(),
            }),
            EntityKind::User | EntityKind::Group => None,
        };
        let new = NewEntity {
            name: self.name()?.to_owned(),
            path: form.owned("Path").unwrap_or_else(|| "/".to_owned()),
            tags: form.tags()?,
            boundary: form.owned("PermissionsBoundary"),
            role,
        };
        let entity = self.service.create_entity(self.caller, kind, new).await?;
        self.show(xml, kind, &entity, true);
        Ok(())
    }

    pub(super) async fn get(&self, xml: &mut Writer) -> Result<()> {
        let kind = self.kind();
        let name = match kind {
            EntityKind::User => self.form.get("UserName"),
            EntityKind::Group | EntityKind::Role => Some(self.name()?),
        };
        let entity = self.service.get_entity(self.caller, kind, name).await?;
        self.show(xml, kind, &entity, true);
        Ok(())
    }

    pub(super) async fn get_group(&self, xml: &mut Writer) -> Result<()> {
        let (group, members) = self.service.get_group(self.caller, self.name()?).await?;
        self.show(xml, EntityKind::Group, &group, true);
        let page = self.paged(members, |user| &user.name)?;
        page.write(xml, "Users", |xml, user| self.facts(xml, EntityKind::User, &user, false));
        Ok(())
    }

    pub(super) async fn list(&self, xml: &mut Writer) -> Result<()> {
        let kind = self.kind();
        let prefix = self.form.get("PathPrefix").unwrap_or("/");
        let found = self.service.list_entities(self.caller, kind, prefix).await?;
        let list = match kind {
            EntityKind::User => "Users",
            EntityKind::Group => "Groups",
            EntityKind::Role => "Roles",
        };
        let mut page = self.paged(found, |entity| &entity.name)?;
        self.service.show_roles(&mut page.items).await?;
        page.write(xml, list, |xml, entity| self.facts(xml, kind, &entity, false));
        Ok(())
    }

    pub(super) async fn update(&self) -> Result<()> {
        let kind = self.kind();
        let (name, path) = match kind {
            EntityKind::Group => ("NewGroupName", "NewPath"),
            EntityKind::User | EntityKind::Role => ("NewUserName", "NewPath"),
        };
        let change = EntityChange { name: self.form.owned(name), path: self.form.owned(path) };
        self.service.update_entity(self.caller, kind, self.name()?, change).await
    }

    pub(super) async fn update_role(&self, xml: &mut Writer) -> Result<()> {
        let form = self.form;
        let trust = match self.action {
            Action::UpdateAssumeRolePolicy => Some(form.required("PolicyDocument")?.to_owned()),
            _ => None,
        };
        let change = RoleChange {
            trust,
            description: form.owned("Description"),
            session_seconds_max: form.number("MaxSessionDuration")?,
        };
        self.service.update_role(self.caller, self.name()?, change).await?;
        if self.action == Action::UpdateRoleDescription {
            return self.get(xml).await;
        }
        Ok(())
    }

    pub(super) async fn delete(&self) -> Result<()> {
        self.service.delete_entity(self.caller, self.kind(), self.name()?).await
    }

    pub(super) async fn membership(&self) -> Result<()> {
        let (group, user) = (self.form.required("GroupName")?, self.form.required("UserName")?);
        let member = self.action == Action::AddUserToGroup;
        self.service.set_membership(self.caller, group, user, member).await
    }

    pub(super) async fn groups_for_user(&self, xml: &mut Writer) -> Result<()> {
        let user = self.form.required("UserName")?;
        let groups = self.service.groups_of(self.caller, user).await?;
        let page = self.paged(groups, |group| &group.name)?;
        page.write(xml, "Groups", |xml, group| self.facts(xml, EntityKind::Group, &group, false));
        Ok(())
    }

    pub(super) async fn list_tags(&self, xml: &mut Writer) -> Result<()> {
        let tags = self.service.entity_tags(self.caller, self.kind(), self.name()?).await?;
        let page = self.paged(tags, |(name, _)| name)?;
        page.write(xml, "Tags", |xml, tag| write_tag(xml, &tag));
        Ok(())
    }

    pub(super) async fn tag(&self) -> Result<()> {
        let change = self.tag_change()?;
        self.service.tag_entity(self.caller, self.kind(), self.name()?, change).await
    }

    /// Tags to set, and names of tags to take away.
    pub(super) fn tag_change(&self) -> Result<(Tags, Vec<String>)> {
        if self.action.name().starts_with("Untag") {
            self.form.required("TagKeys.member.1")?;
            return Ok((Tags::new(), self.form.members("TagKeys", "")));
        }
        self.form.required("Tags.member.1.Key")?;
        Ok((self.form.tags()?, Vec::new()))
    }

    pub(super) fn show(&self, xml: &mut Writer, kind: EntityKind, entity: &Entity, whole: bool) {
        xml.open(match kind {
            EntityKind::User => "User",
            EntityKind::Group => "Group",
            EntityKind::Role => "Role",
        });
        self.facts(xml, kind, entity, whole);
        xml.close();
    }

    /// - `whole`: with its tags and its boundary.
    pub(super) fn facts(&self, xml: &mut Writer, kind: EntityKind, entity: &Entity, whole: bool) {
        let (name, id) = match kind {
            EntityKind::User => ("UserName", "UserId"),
            EntityKind::Group => ("GroupName", "GroupId"),
            EntityKind::Role => ("RoleName", "RoleId"),
        };
        let account = self.caller.account_id();
        let arn = account.map(|account| match entity.path.is_empty() {
            // The account itself.
            true => format!("arn:aws:iam::{account}:root"),
            false => entity.arn(account, kind),
        });
        xml.text("Path", if entity.path.is_empty() { "/" } else { &entity.path });
        xml.text(name, &entity.name).text(id, &entity.id).optional("Arn", arn);
        xml.text("CreateDate", date(entity.created_ms));
        if let Some(role) = &entity.role {
            xml.text("AssumeRolePolicyDocument", encode(&role.trust));
            xml.optional("Description", role.description.as_ref());
            xml.number("MaxSessionDuration", role.session_seconds_max);
        }
        if !whole {
            return;
        }
        if let Some(arn) = &entity.boundary {
            xml.open("PermissionsBoundary");
            xml.text("PermissionsBoundaryType", "Policy").text("PermissionsBoundaryArn", arn);
            xml.close();
        }
        if !entity.tags.is_empty() {
            write_tags(xml, &entity.tags);
        }
    }
}

pub(super) fn write_tags(xml: &mut Writer, tags: &Tags) {
    xml.open("Tags");
    for tag in tags {
        xml.open("member");
        write_tag(xml, tag);
        xml.close();
    }
    xml.close();
}

fn write_tag(xml: &mut Writer, (name, value): &(String, String)) {
    xml.text("Key", name).text("Value", value);
}
