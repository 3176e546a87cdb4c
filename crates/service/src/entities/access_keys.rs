//! Access keys of users and of the account itself.

use std::{collections::HashMap, sync::PoisonError};

use model::{
    Condition,
    entities::{EntityKind, KeyUse},
    limits::KEYS_PER_USER_MAX,
    names::AccountId,
    policy::{Action, Principal},
    records::AccessKey,
};

use super::{
    arn::{invalid, no_such, over},
    own_name,
};
use crate::{Caller, Error, Result, Service, accounts::ACCESS_KEYS_MAX, authorize::Granted};

/// How long a use is only remembered before it is written down.
const NOTED_AFTER_MS: i64 = 15 * 60 * 1000;

/// How many uses are remembered.
const REMEMBERED_MAX: usize = 10_000;

/// When keys were used last.
#[derive(Default)]
pub(crate) struct Uses(std::sync::Mutex<HashMap<String, (KeyUse, i64)>>);

/// A key as it is shown.
#[derive(Clone, Debug)]
pub struct KeyShown {
    pub key: AccessKey,
    /// Shown this once.
    pub secret: Option<String>,
}

/// Whose key it is, and when it was used last.
#[derive(Clone, Debug)]
pub struct LastUse {
    pub user: Option<String>,
    pub used: Option<KeyUse>,
}

impl Service {
    /// Makes a key for a user; without a name, for whoever asks.
    ///
    /// # Errors
    /// `NoSuchEntity`, `LimitExceeded`.
    pub async fn create_access_key(&self, caller: &Caller, user: Option<&str>) -> Result<KeyShown> {
        let (granted, user) = self.holder(caller, Action::CreateAccessKey, user).await?;
        let (name, secret) = self.new_user_keys("AKIA");
        let granted = granted.telling("AccessKeyId", &name);
        let key = AccessKey {
            access_key: name.clone(),
            account: granted.account().clone(),
            sealed_secret: self.seal.seal(self.random(), &name, &secret)?,
            created_ms: self.now_ms(),
            user: user.clone(),
            inactive: false,
        };
        granted
            .change(self, async |changes| {
                let mut key = key.clone();
                if let Some(user) = &user {
                    let mut entity = granted.entity(self, EntityKind::User, user).await?;
                    if entity.keys.len() >= KEYS_PER_USER_MAX {
                        return Err(over("AccessKeysPerUser", KEYS_PER_USER_MAX));
                    }
                    entity.keys.push(name.clone());
                    key.user = Some(entity.name.clone());
                    changes.put(EntityKind::User, &entity);
                } else if self.keys_of(granted.account(), None).await?.len() >= ACCESS_KEYS_MAX {
                    return Err(over("AccessKeysPerAccount", ACCESS_KEYS_MAX));
                }
                changes.put_key(&key);
                Ok(KeyShown { key, secret: Some(secret.clone()) })
            })
            .await
    }

    /// # Errors
    /// `NoSuchEntity`.
    pub async fn list_access_keys(
        &self,
        caller: &Caller,
        user: Option<&str>,
    ) -> Result<Vec<AccessKey>> {
        let (granted, user) = self.holder(caller, Action::ListAccessKeys, user).await?;
        if let Some(user) = &user {
            granted.entity(self, EntityKind::User, user).await?;
        }
        self.keys_of(granted.account(), user.as_deref()).await
    }

    /// Switches a key on or off.
    ///
    /// # Errors
    /// `NoSuchEntity`; `DeleteConflict` for the last active key of the account itself.
    pub async fn set_access_key(
        &self,
        caller: &Caller,
        user: Option<&str>,
        (name, active): (&str, bool),
    ) -> Result<()> {
        let (granted, user) = self.holder(caller, Action::UpdateAccessKey, user).await?;
        let status = if active { "Active" } else { "Inactive" };
        let granted = granted.telling("AccessKeyId", name).telling("Status", status);
        granted
            .change(self, async |changes| {
                let mut key = self.key_of(&granted, user.as_deref(), name).await?;
                if !active {
                    self.spare_last(&key).await?;
                }
                key.inactive = !active;
                changes.put_key(&key);
                Ok(())
            })
            .await
    }

    /// # Errors
    /// `NoSuchEntity`; `DeleteConflict` for the last active key of the account itself.
    pub async fn delete_access_key(
        &self,
        caller: &Caller,
        user: Option<&str>,
        name: &str,
    ) -> Result<()> {
        let (granted, user) = self.holder(caller, Action::DeleteAccessKey, user).await?;
        let granted = granted.telling("AccessKeyId", name);
        granted
            .change(self, async |changes| {
                let key = self.key_of(&granted, user.as_deref(), name).await?;
                self.spare_last(&key).await?;
                if let Some(user) = &key.user {
                    let mut entity = granted.entity(self, EntityKind::User, user).await?;
                    entity.keys.retain(|known| known != name);
                    changes.put(EntityKind::User, &entity);
                }
                changes.delete_key(name);
                Ok(())
            })
            .await
    }

    /// When a key of the account was used last.
    ///
    /// # Errors
    /// `NoSuchEntity`.
    pub async fn access_key_last_used(&self, caller: &Caller, name: &str) -> Result<LastUse> {
        let account = caller.account_id().ok_or(Condition::AccessDenied)?;
        let key = self.metadata.access_key(name).await?;
        let key = key.filter(|key| key.account == *account);
        let user = key.as_ref().and_then(|key| key.user.clone());
        let action = Action::GetAccessKeyLastUsed;
        self.on_entity(caller, action, EntityKind::User, user.as_deref().unwrap_or("*")).await?;
        key.ok_or_else(|| no_such("access key", name))?;
        let used = match self.uses.remembered(name) {
            Some(used) => Some(used),
            None => self.metadata.key_use(name).await?,
        };
        Ok(LastUse { user, used })
    }

    /// Remembers that a key was used; whether it is time to [write that down](Self::write_use).
    pub fn note_use(&self, access_key: &str, used: &KeyUse) -> bool {
        self.uses.note(access_key, used)
    }

    /// Writes down that a key was used.
    pub async fn write_use(&self, access_key: &str, used: &KeyUse) {
        if let Err(error) = self.metadata.note_key_use(access_key, used).await {
            tracing::debug!(%error, "the use of a key was not written down");
        }
    }

    /// All keys of a user, or of the account itself.
    pub(crate) async fn keys_of(
        &self,
        account: &AccountId,
        user: Option<&str>,
    ) -> Result<Vec<AccessKey>> {
        let Some(user) = user else {
            let mut keys = self.metadata.access_keys().await?;
            keys.retain(|key| key.account == *account && key.user.is_none());
            return Ok(keys);
        };
        let Some(user) = self.metadata.entity(account, EntityKind::User, user).await? else {
            return Ok(Vec::new());
        };
        let mut keys = Vec::new();
        for name in &user.keys {
            keys.extend(self.metadata.access_key(name).await?);
        }
        Ok(keys)
    }

    /// Leave to do something with what belongs to a user, or to the account if it asks itself.
    pub(super) async fn holder<'c>(
        &self,
        caller: &'c Caller,
        action: Action,
        user: Option<&str>,
    ) -> Result<(Granted<'c>, Option<String>)> {
        let user = user.map(str::to_owned).or_else(|| own_name(caller));
        let Some(user) = user else {
            let Principal::Account(account) = &caller.facts.principal else {
                let detail = "Must specify userName when calling with non-User credentials";
                return Err(invalid(detail));
            };
            let arn = format!("arn:aws:iam::{account}:root");
            return Ok((Granted::give(caller, action, &arn)?, None));
        };
        let granted = self.on_entity(caller, action, EntityKind::User, &user).await?;
        Ok((granted, Some(user)))
    }

    async fn key_of(
        &self,
        granted: &Granted<'_>,
        user: Option<&str>,
        name: &str,
    ) -> Result<AccessKey> {
        let keys = self.keys_of(granted.account(), user).await?;
        let found = keys.into_iter().find(|key| key.access_key == name);
        found.ok_or_else(|| no_such("Access Key", name))
    }

    /// The account itself must not lock itself out.
    async fn spare_last(&self, key: &AccessKey) -> Result<()> {
        if key.user.is_some() || key.inactive {
            return Ok(());
        }
        let keys = self.keys_of(&key.account, None).await?;
        if keys.iter().filter(|key| !key.inactive).count() > 1 {
            return Ok(());
        }
        let detail = "This is the last active access key of the account itself.";
        Err(Error::new(Condition::DeleteConflict, detail))
    }

    /// Twenty characters of access key, forty of secret, as IAM makes them.
    pub(crate) fn new_user_keys(&self, prefix: &str) -> (String, String) {
        let name = format!("{prefix}{}", crate::accounts::letters(&self.random::<16>()));
        (name, hex::encode(self.random::<20>()))
    }
}

impl Uses {
    fn remembered(&self, access_key: &str) -> Option<KeyUse> {
        let uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        uses.get(access_key).map(|(used, _)| used.clone())
    }

    /// Whether it is time to write the use down.
    fn note(&self, access_key: &str, used: &KeyUse) -> bool {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if uses.len() >= REMEMBERED_MAX && !uses.contains_key(access_key) {
            uses.clear();
        }
        let known = uses.get(access_key).map(|(_, written_ms)| *written_ms);
        let due = known.is_none_or(|written_ms| used.at_ms - written_ms >= NOTED_AFTER_MS);
        let written_ms = if due { used.at_ms } else { known.unwrap_or(used.at_ms) };
        uses.insert(access_key.to_owned(), (used.clone(), written_ms));
        due
    }
}
