//! Users that the configuration file declares: made at the start if they are absent, and never
//! changed by it afterwards.

use model::{
    Condition,
    entities::{Entity, EntityKind},
    limits::KEYS_PER_USER_MAX,
    names::AccountId,
    records::AccessKey,
};

use super::{
    arn::{check_entity_name, check_path},
    check_document,
};
use crate::{Error, Result, Service, accounts::check_keys, audit};

/// A user as declared; what is absent is made up at random.
#[derive(Clone, Debug, Default)]
pub struct NewUser {
    pub name: String,
    /// `/` if empty.
    pub path: String,
    pub id: Option<String>,
    /// (access key, secret key)
    pub keys: Vec<(String, String)>,
    /// ARNs of managed policies.
    pub policies: Vec<String>,
    /// A policy of its own.
    pub policy: Option<String>,
}

/// The name of the policy of its own that a declared user has.
const DECLARED_POLICY: &str = "declared";

impl Service {
    /// Makes sure that a declared user exists, and notes where it differs from what is declared.
    pub(crate) async fn declare_user(
        &self,
        account: &AccountId,
        declared: &NewUser,
        differences: &mut Vec<String>,
    ) -> Result<()> {
        let path = if declared.path.is_empty() { "/" } else { &declared.path };
        let found = self.metadata.entity(account, EntityKind::User, &declared.name).await?;
        let Some(stored) = found else {
            return self.make_user(account, declared, path).await;
        };
        let name = &declared.name;
        let mut differ = |what: &str, same: bool| {
            if !same {
                let place = format!("user {name} of account {account}");
                differences.push(format!("{place}: {what} differs from what is stored"));
            }
        };
        differ("the id", declared.id.as_ref().is_none_or(|id| *id == stored.id));
        differ("the path", stored.path == path);
        differ("policies", declared.policies == stored.attached);
        let own = stored.inline.iter().find(|(name, _)| name == DECLARED_POLICY);
        differ("policy", declared.policy.as_ref() == own.map(|(_, text)| text));
        for (access_key, secret) in &declared.keys {
            let known = self.secret_of(access_key).await?;
            let same = stored.keys.contains(access_key) && known.as_ref() == Some(secret);
            differ(&format!("access key {access_key}"), same);
        }
        Ok(())
    }

    async fn make_user(&self, account: &AccountId, declared: &NewUser, path: &str) -> Result<()> {
        check_entity_name(EntityKind::User, &declared.name)?;
        check_path(path)?;
        declared.policy.as_deref().map(check_document).transpose()?;
        if declared.keys.len() > KEYS_PER_USER_MAX {
            let detail = format!("A user has at most {KEYS_PER_USER_MAX} access keys.");
            return Err(Error::new(Condition::InvalidArgument, detail));
        }
        let created_ms = self.now_ms();
        let user = Entity {
            name: declared.name.clone(),
            path: path.to_owned(),
            id: declared.id.clone().unwrap_or_else(|| self.new_entity_id("AIDA")),
            created_ms,
            inline: declared
                .policy
                .iter()
                .map(|text| (DECLARED_POLICY.to_owned(), text.clone()))
                .collect(),
            attached: declared.policies.clone(),
            keys: declared.keys.iter().map(|(access_key, _)| access_key.clone()).collect(),
            ..Entity::default()
        };
        let mut keys = Vec::new();
        for (access_key, secret) in &declared.keys {
            check_keys(access_key, secret)?;
            keys.push(AccessKey {
                access_key: access_key.clone(),
                account: account.clone(),
                sealed_secret: self.seal.seal(self.random(), access_key, secret)?,
                created_ms,
                user: Some(declared.name.clone()),
                inactive: false,
            });
        }
        for arn in &declared.policies {
            if self.policy_text(account, arn).await?.is_none() {
                let detail = format!("There is no policy {arn}.");
                return Err(Error::new(Condition::NoSuchEntity, detail));
            }
        }
        let told: Vec<_> = user.keys.iter().map(|name| ("AccessKeyId", name.clone())).collect();
        let arn = user.arn(account, EntityKind::User);
        let by = audit::entry(&self.itself("configuration"), "iam:CreateUser", &arn, &told);
        self.metadata
            .change_entities(account, &by, async |changes| {
                for key in &keys {
                    if self.metadata.access_key(&key.access_key).await?.is_some() {
                        let detail = format!("The access key {} is taken.", key.access_key);
                        return Err(Error::new(Condition::EntityAlreadyExists, detail));
                    }
                    changes.put_key(key);
                }
                changes.put(EntityKind::User, &user);
                Ok(())
            })
            .await
    }
}
