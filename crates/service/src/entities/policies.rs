//! Managed policies and their versions, who has them, and what an account has in all.

use model::{
    Condition,
    entities::{BUILT_IN_POLICIES, Entity, EntityKind, ManagedPolicy, MfaHolder, PolicyVersion},
    limits::{MANAGED_POLICIES_MAX, MANAGED_POLICY_BYTES_MAX, POLICY_VERSIONS_MAX},
    names::AccountId,
    policy::Action,
};

use super::{
    Tags,
    arn::{check_path, exists, invalid, no_such, over},
    check_document,
    members::{check_policy_name, check_tags, merge_tags},
};
use crate::{Caller, Error, Result, Service, authorize::Granted};

/// A managed policy as asked for.
#[derive(Clone, Debug, Default)]
pub struct NewPolicy {
    pub name: String,
    pub path: String,
    pub description: Option<String>,
    pub text: String,
    pub tags: Tags,
}

/// A managed policy with what is known around it.
#[derive(Clone, Debug)]
pub struct PolicyShown {
    pub policy: ManagedPolicy,
    pub arn: String,
    /// How many entities have it.
    pub attachments: usize,
    /// How many entities have it as boundary.
    pub boundaries: usize,
}

/// Which managed policies are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    #[default]
    All,
    /// Those every account has.
    BuiltIn,
    /// The account's own.
    Local,
}

/// Who has a managed policy.
#[derive(Clone, Debug, Default)]
pub struct Holders {
    /// In the order of [`EntityKind::ALL`].
    pub of_kind: [Vec<Entity>; 3],
}

/// How much there is of everything in an account.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    pub users: usize,
    pub groups: usize,
    pub roles: usize,
    pub policies: usize,
    pub versions: usize,
    pub account_keys: usize,
    pub account_mfa: bool,
    pub mfa_devices: usize,
    pub mfa_devices_in_use: usize,
}

/// Everything that has rights in an account: all entities, all policies.
type Everybody = ([Vec<Entity>; 3], Vec<ManagedPolicy>);

impl Service {
    /// # Errors
    /// `EntityAlreadyExists`, `LimitExceeded`, `MalformedPolicyDocument`.
    pub async fn create_policy(&self, caller: &Caller, new: NewPolicy) -> Result<PolicyShown> {
        let now_ms = self.now_ms();
        let version = PolicyVersion { number: 1, text: new.text, created_ms: now_ms };
        let policy = ManagedPolicy {
            id: self.new_entity_id("ANPA"),
            name: new.name,
            path: new.path,
            created_ms: now_ms,
            updated_ms: now_ms,
            description: new.description,
            tags: new.tags,
            versions: vec![version.clone()],
            default_version: 1,
            latest_version: 1,
        };
        let account = caller.account_id().ok_or(Condition::AccessDenied)?;
        let arn = policy.arn(account);
        let granted = Granted::give(caller, Action::CreatePolicy, &arn)?;
        check_policy_name(&policy.name)?;
        check_path(&policy.path)?;
        check_tags(&policy.tags)?;
        if policy.description.as_ref().is_some_and(|text| text.len() > 1000) {
            return Err(invalid("A description has at most 1000 characters."));
        }
        check_text(&version.text)?;
        granted
            .change(self, async |changes| {
                let taken = self.metadata.managed_policy(account, &policy.name).await?;
                let built_in = BUILT_IN_POLICIES.iter().any(|(name, ..)| *name == policy.name);
                if taken.is_some() || built_in {
                    return Err(exists("A policy called", &policy.name));
                }
                if self.metadata.managed_policies(account).await?.len() >= MANAGED_POLICIES_MAX {
                    return Err(over("PoliciesPerAccount", MANAGED_POLICIES_MAX));
                }
                changes.put_policy(&policy);
                Ok(())
            })
            .await?;
        Ok(PolicyShown { policy, arn, attachments: 0, boundaries: 0 })
    }

    /// # Errors
    /// `NoSuchEntity`.
    pub async fn get_policy(&self, caller: &Caller, arn: &str) -> Result<PolicyShown> {
        let granted = Granted::give(caller, Action::GetPolicy, arn)?;
        let policy = self.known_policy(&granted, arn).await?;
        let everybody = self.everybody(granted.account()).await?;
        Ok(shown(policy, arn.to_owned(), &everybody.0))
    }

    /// # Errors
    /// `AccessDenied`.
    pub async fn list_policies(
        &self,
        caller: &Caller,
        scope: Scope,
        path_prefix: &str,
        only_attached: bool,
    ) -> Result<Vec<PolicyShown>> {
        let granted = Granted::give(caller, Action::ListPolicies, "*")?;
        let account = granted.account();
        let (entities, policies) = self.everybody(account).await?;
        let own = policies.into_iter().map(|policy| (policy.arn(account), policy));
        let own = own.filter(|_| scope != Scope::BuiltIn);
        let built_in = BUILT_IN_POLICIES.iter().map(|(name, ..)| built_in_arn(name));
        let built_in = built_in.filter_map(|arn| Some((arn.clone(), built_in_policy(&arn)?)));
        let all = own.chain(built_in.filter(|_| scope != Scope::Local));
        let mut found: Vec<_> = all.map(|(arn, policy)| shown(policy, arn, &entities)).collect();
        found.retain(|it| it.policy.path.starts_with(path_prefix));
        found.retain(|it| !only_attached || it.attachments > 0);
        Ok(found)
    }

    /// Deletes a policy nobody has, with its only version.
    ///
    /// # Errors
    /// `NoSuchEntity`, `DeleteConflict`.
    pub async fn delete_policy(&self, caller: &Caller, arn: &str) -> Result<()> {
        let granted = Granted::give(caller, Action::DeletePolicy, arn)?;
        granted
            .change(self, async |changes| {
                let policy = granted.policy(self, arn).await?;
                let (entities, _) = self.everybody(granted.account()).await?;
                let it = shown(policy, arn.to_owned(), &entities);
                let conflict = |detail| Err(Error::new(Condition::DeleteConflict, detail));
                if it.attachments + it.boundaries > 0 {
                    return conflict("Cannot delete a policy attached to entities.");
                }
                if it.policy.versions.len() > 1 {
                    return conflict(
                        "This policy has more than one version. Before you delete a policy, you \
                         must delete the policy's versions. The default version is deleted with \
                         the policy.",
                    );
                }
                changes.delete_policy(&it.policy.name);
                Ok(())
            })
            .await
    }

    /// Who has a policy, attached or as boundary.
    ///
    /// # Errors
    /// `NoSuchEntity`.
    pub async fn holders_of(&self, caller: &Caller, arn: &str) -> Result<Holders> {
        let granted = Granted::give(caller, Action::ListEntitiesForPolicy, arn)?;
        self.known_policy(&granted, arn).await?;
        let (mut of_kind, _) = self.everybody(granted.account()).await?;
        for kind in &mut of_kind {
            kind.retain(|entity| entity.attached.iter().any(|known| known == arn));
        }
        Ok(Holders { of_kind })
    }

    /// # Errors
    /// `NoSuchEntity`, `LimitExceeded`, `MalformedPolicyDocument`.
    pub async fn create_policy_version(
        &self,
        caller: &Caller,
        arn: &str,
        (text, as_default): (&str, bool),
    ) -> Result<(PolicyVersion, bool)> {
        let granted = Granted::give(caller, Action::CreatePolicyVersion, arn)?;
        check_text(text)?;
        self.alter_policy(&granted, arn, |policy, now_ms| {
            if policy.versions.len() >= POLICY_VERSIONS_MAX {
                return Err(over("VersionsPerPolicy", POLICY_VERSIONS_MAX));
            }
            let number = policy.latest_version.saturating_add(1);
            let version = PolicyVersion { number, text: text.to_owned(), created_ms: now_ms };
            policy.versions.push(version.clone());
            policy.latest_version = number;
            if as_default {
                policy.default_version = number;
            }
            Ok((version, as_default))
        })
        .await
    }

    /// A version, and whether it is the one in force.
    ///
    /// # Errors
    /// `NoSuchEntity`.
    pub async fn get_policy_version(
        &self,
        caller: &Caller,
        arn: &str,
        number: u32,
    ) -> Result<(PolicyVersion, bool)> {
        let granted = Granted::give(caller, Action::GetPolicyVersion, arn)?;
        let policy = self.known_policy(&granted, arn).await?;
        let version = policy.version(number).cloned().ok_or_else(|| no_version(number))?;
        Ok((version, policy.default_version == number))
    }

    /// # Errors
    /// `NoSuchEntity`.
    pub async fn policy_versions(&self, caller: &Caller, arn: &str) -> Result<ManagedPolicy> {
        let granted = Granted::give(caller, Action::ListPolicyVersions, arn)?;
        self.known_policy(&granted, arn).await
    }

    /// # Errors
    /// `NoSuchEntity`, `DeleteConflict` for the version in force.
    pub async fn delete_policy_version(
        &self,
        caller: &Caller,
        arn: &str,
        number: u32,
    ) -> Result<()> {
        let granted = Granted::give(caller, Action::DeletePolicyVersion, arn)?;
        let granted = granted.telling("VersionId", format!("v{number}"));
        self.alter_policy(&granted, arn, |policy, _| {
            if policy.default_version == number {
                let detail = "Cannot delete the default version of a policy.";
                return Err(Error::new(Condition::DeleteConflict, detail));
            }
            policy.version(number).ok_or_else(|| no_version(number))?;
            policy.versions.retain(|version| version.number != number);
            Ok(())
        })
        .await
    }

    /// # Errors
    /// `NoSuchEntity`.
    pub async fn set_default_version(&self, caller: &Caller, arn: &str, number: u32) -> Result<()> {
        let granted = Granted::give(caller, Action::SetDefaultPolicyVersion, arn)?;
        let granted = granted.telling("VersionId", format!("v{number}"));
        self.alter_policy(&granted, arn, |policy, _| {
            policy.version(number).ok_or_else(|| no_version(number))?;
            policy.default_version = number;
            Ok(())
        })
        .await
    }

    /// Sets tags of a policy and takes others away.
    ///
    /// # Errors
    /// `NoSuchEntity`, `LimitExceeded`, `ValidationError`.
    pub async fn tag_policy(
        &self,
        caller: &Caller,
        arn: &str,
        (set, removed): (Tags, Vec<String>),
    ) -> Result<()> {
        let action = if set.is_empty() { Action::UntagPolicy } else { Action::TagPolicy };
        let granted = Granted::give(caller, action, arn)?;
        self.alter_policy(&granted, arn, |policy, _| merge_tags(&mut policy.tags, &set, &removed))
            .await
    }

    /// # Errors
    /// `NoSuchEntity`.
    pub async fn policy_tags(&self, caller: &Caller, arn: &str) -> Result<Tags> {
        let granted = Granted::give(caller, Action::ListPolicyTags, arn)?;
        Ok(self.known_policy(&granted, arn).await?.tags)
    }

    /// # Errors
    /// `AccessDenied`.
    pub async fn account_summary(&self, caller: &Caller) -> Result<Summary> {
        let granted = Granted::give(caller, Action::GetAccountSummary, "*")?;
        let ([users, groups, roles], policies) = self.everybody(granted.account()).await?;
        let devices = self.metadata.mfa_devices(granted.account()).await?;
        let holders = || devices.iter().filter_map(|device| device.holder.as_ref());
        Ok(Summary {
            account_mfa: holders().any(|holder| *holder == MfaHolder::Account),
            mfa_devices: devices.len(),
            mfa_devices_in_use: holders().count(),
            users: users.len(),
            groups: groups.len(),
            roles: roles.len(),
            versions: policies.iter().map(|policy| policy.versions.len()).sum(),
            policies: policies.len(),
            account_keys: self.keys_of(granted.account(), None).await?.len(),
        })
    }

    /// All there is in the account.
    ///
    /// # Errors
    /// `AccessDenied`.
    pub async fn authorization_details(
        &self,
        caller: &Caller,
    ) -> Result<([Vec<Entity>; 3], Vec<PolicyShown>)> {
        let granted = Granted::give(caller, Action::GetAccountAuthorizationDetails, "*")?;
        let (entities, policies) = self.everybody(granted.account()).await?;
        let policies = policies.into_iter().map(|policy| {
            let arn = policy.arn(granted.account());
            shown(policy, arn, &entities)
        });
        let policies = policies.collect();
        Ok((entities, policies))
    }

    /// Lets a caller ask for a list of what does not exist here.
    ///
    /// # Errors
    /// `AccessDenied`.
    pub fn ask_for_list(&self, caller: &Caller, action: Action) -> Result<()> {
        Granted::give(caller, action, "*").map(drop)
    }

    async fn everybody(&self, account: &AccountId) -> Result<Everybody> {
        let mut of_kind = [Vec::new(), Vec::new(), Vec::new()];
        for (kind, place) in EntityKind::ALL.into_iter().zip(&mut of_kind) {
            *place = self.metadata.entities(account, kind).await?;
        }
        Ok((of_kind, self.metadata.managed_policies(account).await?))
    }

    /// A policy of the account, or one that every account has.
    async fn known_policy(&self, granted: &Granted<'_>, arn: &str) -> Result<ManagedPolicy> {
        match built_in_policy(arn) {
            Some(policy) => Ok(policy),
            None => granted.policy(self, arn).await,
        }
    }

    async fn alter_policy<T>(
        &self,
        granted: &Granted<'_>,
        arn: &str,
        change: impl Fn(&mut ManagedPolicy, i64) -> Result<T>,
    ) -> Result<T> {
        let now_ms = self.now_ms();
        granted
            .change(self, async |changes| {
                let mut policy = granted.policy(self, arn).await?;
                let value = change(&mut policy, now_ms)?;
                policy.updated_ms = now_ms;
                changes.put_policy(&policy);
                Ok(value)
            })
            .await
    }
}

fn check_text(text: &str) -> Result<()> {
    let letters = text.chars().filter(|letter| !letter.is_whitespace()).count();
    if letters > MANAGED_POLICY_BYTES_MAX || text.len() > 2 * MANAGED_POLICY_BYTES_MAX {
        return Err(over("PolicySize", MANAGED_POLICY_BYTES_MAX));
    }
    check_document(text)
}

fn no_version(number: u32) -> Error {
    no_such("policy version", &format!("v{number}"))
}

fn built_in_arn(name: &str) -> String {
    format!("arn:aws:iam::aws:policy/{name}")
}

fn built_in_policy(arn: &str) -> Option<ManagedPolicy> {
    let name = arn.strip_prefix("arn:aws:iam::aws:policy/")?;
    let (name, id, text) = BUILT_IN_POLICIES.iter().find(|(known, ..)| *known == name)?;
    let version = PolicyVersion { number: 1, text: (*text).to_owned(), created_ms: 0 };
    Some(ManagedPolicy {
        name: (*name).to_owned(),
        path: "/".to_owned(),
        id: (*id).to_owned(),
        versions: vec![version],
        default_version: 1,
        latest_version: 1,
        ..ManagedPolicy::default()
    })
}

fn shown(policy: ManagedPolicy, arn: String, entities: &[Vec<Entity>; 3]) -> PolicyShown {
    let all = || entities.iter().flatten();
    let attachments = all().filter(|entity| entity.attached.contains(&arn)).count();
    let boundaries = all().filter(|entity| entity.boundary.as_ref() == Some(&arn)).count();
    PolicyShown { policy, arn, attachments, boundaries }
}
