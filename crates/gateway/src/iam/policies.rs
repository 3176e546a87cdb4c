//! Policies of entities, managed policies, and what an account has in all, on the wire of IAM.

use model::{
    entities::{Entity, EntityKind, PolicyVersion},
    limits::{
        ATTACHED_POLICIES_MAX, ENTITIES_PER_ACCOUNT_MAX, GROUPS_PER_USER_MAX,
        INLINE_BYTES_MAX_GROUP, INLINE_BYTES_MAX_ROLE, INLINE_BYTES_MAX_USER, KEYS_PER_USER_MAX,
        MANAGED_POLICIES_MAX, MANAGED_POLICY_BYTES_MAX, POLICY_VERSIONS_MAX,
        TRUST_POLICY_BYTES_MAX,
    },
    policy::Action,
};
use service::entities::{NewPolicy, PolicyShown, Scope};

use super::{Call, entities::write_tags, form::invalid};
use crate::{
    encoding::encode,
    wire::Result,
    xml::{Writer, date},
};

impl Call<'_> {
    pub(super) async fn put_inline(&self) -> Result<()> {
        let (policy, text) =
            (self.form.required("PolicyName")?, self.form.required("PolicyDocument")?);
        let (kind, name) = (self.kind(), self.name()?);
        self.service.put_inline(self.caller, kind, name, (policy, text)).await
    }

    pub(super) async fn get_inline(&self, xml: &mut Writer) -> Result<()> {
        let (kind, name) = (self.kind(), self.name()?);
        let policy = self.form.required("PolicyName")?;
        let text = self.service.get_inline(self.caller, kind, name, policy).await?;
        xml.text(
            match kind {
                EntityKind::User => "UserName",
                EntityKind::Group => "GroupName",
                EntityKind::Role => "RoleName",
            },
            name,
        );
        xml.text("PolicyName", policy).text("PolicyDocument", encode(text));
        Ok(())
    }

    pub(super) async fn delete_inline(&self) -> Result<()> {
        let policy = self.form.required("PolicyName")?;
        self.service.delete_inline(self.caller, self.kind(), self.name()?, policy).await
    }

    pub(super) async fn list_inline(&self, xml: &mut Writer) -> Result<()> {
        let names = self.service.list_inline(self.caller, self.kind(), self.name()?).await?;
        let page = self.paged(names, |name| name)?;
        page.write(xml, "PolicyNames", |xml, name| {
            xml.content(name);
        });
        Ok(())
    }

    pub(super) async fn attach(&self) -> Result<()> {
        let arn = self.form.required("PolicyArn")?;
        let attached = self.action.name().starts_with("Attach");
        let (kind, name) = (self.kind(), self.name()?);
        self.service.set_attached(self.caller, kind, name, (arn, attached)).await
    }

    pub(super) async fn list_attached(&self, xml: &mut Writer) -> Result<()> {
        let arns = self.service.list_attached(self.caller, self.kind(), self.name()?).await?;
        let page = self.paged(arns, |arn| arn)?;
        page.write(xml, "AttachedPolicies", |xml, arn| write_attached(xml, &arn));
        Ok(())
    }

    pub(super) async fn boundary(&self) -> Result<()> {
        let arn = match self.action.name().starts_with("Put") {
            true => Some(self.form.required("PermissionsBoundary")?),
            false => None,
        };
        self.service.set_boundary(self.caller, self.kind(), self.name()?, arn).await
    }

    pub(super) async fn policies(&self, xml: &mut Writer) -> Result<()> {
        match self.action {
            Action::CreatePolicy => self.create_policy(xml).await,
            Action::ListPolicies => self.list_policies(xml).await,
            Action::GetAccountSummary => self.account_summary(xml).await,
            Action::GetAccountAuthorizationDetails => self.authorization_details(xml).await,
            Action::ListInstanceProfilesForRole => self.none_exist(xml, "InstanceProfiles"),
            Action::ListAccountAliases => self.none_exist(xml, "AccountAliases"),
            _ => self.one_policy(xml).await,
        }
    }

    /// A list of what does not exist here, so that it is always empty.
    fn none_exist(&self, xml: &mut Writer, list: &'static str) -> Result<()> {
        self.service.ask_for_list(self.caller, self.action)?;
        self.paged(Vec::<String>::new(), |name| name)?.write(xml, list, |_, _| {});
        Ok(())
    }

    /// What is about one policy, by its ARN.
    async fn one_policy(&self, xml: &mut Writer) -> Result<()> {
        let (service, caller) = (self.service, self.caller);
        let arn = self.form.required("PolicyArn")?;
        match self.action {
            Action::GetPolicy => write_policy(xml, &service.get_policy(caller, arn).await?, true),
            Action::DeletePolicy => service.delete_policy(caller, arn).await?,
            Action::CreatePolicyVersion => {
                let text = self.form.required("PolicyDocument")?;
                let version = (text, self.form.flag("SetAsDefault"));
                let made = service.create_policy_version(caller, arn, version).await?;
                write_version(xml, &made, false);
            }
            Action::GetPolicyVersion => {
                let number = self.version()?;
                let found = service.get_policy_version(caller, arn, number).await?;
                write_version(xml, &found, true);
            }
            Action::DeletePolicyVersion => {
                service.delete_policy_version(caller, arn, self.version()?).await?;
            }
            Action::SetDefaultPolicyVersion => {
                service.set_default_version(caller, arn, self.version()?).await?;
            }
            Action::ListPolicyVersions => {
                let policy = service.policy_versions(caller, arn).await?;
                let in_force = policy.default_version;
                let versions = policy.versions.into_iter().rev();
                let versions = versions.map(|version| (format!("v{}", version.number), version));
                let page = self.paged(versions.collect(), |(name, _)| name)?;
                page.write(xml, "Versions", |xml, (_, version)| {
                    let shown = (version.number == in_force, version);
                    version_facts(xml, &shown.1, shown.0, false);
                });
            }
            Action::ListEntitiesForPolicy => self.holders(xml, arn).await?,
            Action::ListPolicyTags => {
                let tags = service.policy_tags(caller, arn).await?;
                write_tags(xml, &tags);
                xml.flag("IsTruncated", false);
            }
            _ => service.tag_policy(caller, arn, self.tag_change()?).await?,
        }
        Ok(())
    }

    /// `v3` as 3.
    fn version(&self) -> Result<u32> {
        let text = self.form.required("VersionId")?;
        let number = text.strip_prefix('v').and_then(|number| number.parse().ok());
        number.ok_or_else(|| invalid(format!("{text} is no version id.")))
    }

    async fn create_policy(&self, xml: &mut Writer) -> Result<()> {
        let form = self.form;
        let new = NewPolicy {
            name: form.required("PolicyName")?.to_owned(),
            path: form.owned("Path").unwrap_or_else(|| "/".to_owned()),
            description: form.owned("Description"),
            text: form.required("PolicyDocument")?.to_owned(),
            tags: form.tags()?,
        };
        write_policy(xml, &self.service.create_policy(self.caller, new).await?, true);
        Ok(())
    }

    async fn list_policies(&self, xml: &mut Writer) -> Result<()> {
        let scope = match self.form.get("Scope") {
            None | Some("All") => Scope::All,
            Some("AWS") => Scope::BuiltIn,
            Some("Local") => Scope::Local,
            Some(other) => return Err(invalid(format!("{other} is no scope."))),
        };
        let prefix = self.form.get("PathPrefix").unwrap_or("/");
        let only_attached = self.form.flag("OnlyAttached");
        let found = self.service.list_policies(self.caller, scope, prefix, only_attached).await?;
        let page = self.paged(found, |shown| &shown.arn)?;
        page.write(xml, "Policies", |xml, shown| policy_facts(xml, &shown, false));
        Ok(())
    }

    async fn holders(&self, xml: &mut Writer, arn: &str) -> Result<()> {
        let holders = self.service.holders_of(self.caller, arn).await?;
        let names = [
            ("PolicyUsers", "UserName", "UserId"),
            ("PolicyGroups", "GroupName", "GroupId"),
            ("PolicyRoles", "RoleName", "RoleId"),
        ];
        for ((list, name, id), entities) in names.into_iter().zip(&holders.of_kind) {
            xml.open(list);
            for entity in entities {
                xml.open("member").text(name, &entity.name).text(id, &entity.id).close();
            }
            xml.close();
        }
        xml.flag("IsTruncated", false);
        Ok(())
    }

    async fn account_summary(&self, xml: &mut Writer) -> Result<()> {
        let summary = self.service.account_summary(self.caller).await?;
        let entries = [
            ("Users", summary.users),
            ("UsersQuota", ENTITIES_PER_ACCOUNT_MAX),
            ("Groups", summary.groups),
            ("GroupsQuota", ENTITIES_PER_ACCOUNT_MAX),
            ("Roles", summary.roles),
            ("RolesQuota", ENTITIES_PER_ACCOUNT_MAX),
            ("Policies", summary.policies),
            ("PoliciesQuota", MANAGED_POLICIES_MAX),
            ("PolicyVersionsInUse", summary.versions),
            ("PolicySizeQuota", MANAGED_POLICY_BYTES_MAX),
            ("VersionsPerPolicyQuota", POLICY_VERSIONS_MAX),
            ("UserPolicySizeQuota", INLINE_BYTES_MAX_USER),
            ("GroupPolicySizeQuota", INLINE_BYTES_MAX_GROUP),
            ("RolePolicySizeQuota", INLINE_BYTES_MAX_ROLE),
            ("AssumeRolePolicySizeQuota", TRUST_POLICY_BYTES_MAX),
            ("GroupsPerUserQuota", GROUPS_PER_USER_MAX),
            ("AccessKeysPerUserQuota", KEYS_PER_USER_MAX),
            ("AttachedPoliciesPerUserQuota", ATTACHED_POLICIES_MAX),
            ("AttachedPoliciesPerGroupQuota", ATTACHED_POLICIES_MAX),
            ("AttachedPoliciesPerRoleQuota", ATTACHED_POLICIES_MAX),
            ("AccountAccessKeysPresent", usize::from(summary.account_keys > 0)),
            ("AccountMFAEnabled", usize::from(summary.account_mfa)),
            ("MFADevices", summary.mfa_devices),
            ("MFADevicesInUse", summary.mfa_devices_in_use),
        ];
        xml.open("SummaryMap");
        for (name, value) in entries {
            xml.open("entry").text("key", name).number("value", value).close();
        }
        xml.close();
        Ok(())
    }

    async fn authorization_details(&self, xml: &mut Writer) -> Result<()> {
        let (entities, policies) = self.service.authorization_details(self.caller).await?;
        let lists = [
            ("UserDetailList", EntityKind::User, "UserPolicyList"),
            ("GroupDetailList", EntityKind::Group, "GroupPolicyList"),
            ("RoleDetailList", EntityKind::Role, "RolePolicyList"),
        ];
        let wanted = self.form.members("Filter", "");
        let wants = |kind: &str| wanted.is_empty() || wanted.iter().any(|known| known == kind);
        for ((list, kind, inline), entities) in lists.into_iter().zip(&entities) {
            xml.open(list);
            let name = kind.word();
            let shown = entities.iter().filter(|_| wants(&titled(name)));
            for entity in shown {
                xml.open("member");
                self.details(xml, kind, inline, entity);
                xml.close();
            }
            xml.close();
        }
        xml.open("Policies");
        for shown in policies.iter().filter(|_| wants("LocalManagedPolicy")) {
            xml.open("member");
            policy_facts(xml, shown, false);
            xml.open("PolicyVersionList");
            for version in &shown.policy.versions {
                xml.open("member");
                let in_force = version.number == shown.policy.default_version;
                version_facts(xml, version, in_force, true);
                xml.close();
            }
            xml.close().close();
        }
        xml.close().flag("IsTruncated", false);
        Ok(())
    }

    fn details(&self, xml: &mut Writer, kind: EntityKind, inline: &'static str, entity: &Entity) {
        self.facts(xml, kind, entity, true);
        xml.open(inline);
        for (name, text) in &entity.inline {
            xml.open("member").text("PolicyName", name).text("PolicyDocument", encode(text));
            xml.close();
        }
        xml.close();
        if kind == EntityKind::User {
            xml.open("GroupList");
            entity.groups.iter().for_each(|group| {
                xml.text("member", group);
            });
            xml.close();
        }
        xml.open("AttachedManagedPolicies");
        for arn in &entity.attached {
            xml.open("member");
            write_attached(xml, arn);
            xml.close();
        }
        xml.close();
    }
}

/// `user` as `User`.
fn titled(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

fn write_attached(xml: &mut Writer, arn: &str) {
    let name = arn.rsplit('/').next().unwrap_or_default();
    xml.text("PolicyName", name).text("PolicyArn", arn);
}

fn write_policy(xml: &mut Writer, shown: &PolicyShown, whole: bool) {
    xml.open("Policy");
    policy_facts(xml, shown, whole);
    xml.close();
}

fn policy_facts(xml: &mut Writer, shown: &PolicyShown, whole: bool) {
    let policy = &shown.policy;
    xml.text("PolicyName", &policy.name).text("PolicyId", &policy.id).text("Arn", &shown.arn);
    xml.text("Path", &policy.path);
    xml.text("DefaultVersionId", format!("v{}", policy.default_version));
    xml.number("AttachmentCount", shown.attachments);
    xml.number("PermissionsBoundaryUsageCount", shown.boundaries);
    xml.flag("IsAttachable", true);
    xml.text("CreateDate", date(policy.created_ms)).text("UpdateDate", date(policy.updated_ms));
    if whole {
        xml.optional("Description", policy.description.as_ref());
        write_tags(xml, &policy.tags);
    }
}

fn write_version(xml: &mut Writer, (version, in_force): &(PolicyVersion, bool), text: bool) {
    xml.open("PolicyVersion");
    version_facts(xml, version, *in_force, text);
    xml.close();
}

fn version_facts(xml: &mut Writer, version: &PolicyVersion, in_force: bool, text: bool) {
    if text {
        xml.text("Document", encode(&version.text));
    }
    xml.text("VersionId", format!("v{}", version.number)).flag("IsDefaultVersion", in_force);
    xml.text("CreateDate", date(version.created_ms));
}
