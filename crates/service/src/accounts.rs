//! Accounts and their keys: for the admin interface and the configuration file.

use std::sync::Arc;

use model::{
    Condition,
    names::AccountId,
    policy::Action,
    records::{AccessKey, Account},
};

use crate::{Need, Operation, Permit, Result, Service};

/// An account as an administrator describes it; what is absent is made up at random.
#[derive(Clone, Debug, Default)]
pub struct NewAccount {
    pub name: String,
    pub id: Option<AccountId>,
    pub canonical_id: Option<String>,
    pub email: Option<String>,
    /// (access key, secret key); one pair is made when empty.
    pub keys: Vec<(String, String)>,
}

/// Creates an account.
pub struct CreateAccount(pub NewAccount);

pub struct CreatedAccount {
    pub account: Account,
    /// (access key, secret key): shown this once.
    pub keys: Vec<(String, String)>,
}

/// Lists all accounts with the names of their access keys.
pub struct ListAccounts;

/// Deletes an account that owns no bucket.
pub struct DeleteAccount(pub AccountId);

/// Who an access key belongs to, and the secret its requests are signed with.
pub struct Identity {
    pub account: Account,
    pub secret: String,
}

/// Accounts that shall exist from the start.
#[derive(Clone, Debug, Default)]
pub struct Bootstrap {
    /// Access key and secret key of the root account; made at random at the first start if absent.
    pub root: Option<(String, String)>,
    pub accounts: Vec<NewAccount>,
}

/// What the start found or made.
#[derive(Clone, Debug)]
pub struct BootReport {
    pub root: Account,
    pub access_key: String,
    /// The secret, at the very start that made it.
    pub new_secret: Option<String>,
    /// Where what is declared differs from what is stored; nothing of it was applied.
    pub differences: Vec<String>,
}

impl Service {
    /// Finds the account behind an access key.
    ///
    /// # Errors
    /// When metadata cannot be read or the secret does not open; an unknown key is `None`.
    pub async fn identify(&self, access_key: &str) -> Result<Option<Identity>> {
        let Some(key) = self.metadata.access_key(access_key).await? else { return Ok(None) };
        let Some(account) = self.metadata.account(&key.account).await? else { return Ok(None) };
        let secret = self.seal.open(access_key, &key.sealed_secret)?;
        Ok(Some(Identity { account, secret }))
    }

    /// Makes sure that the root account and the declared ones exist.
    ///
    /// # Errors
    /// When metadata cannot be read or changed, or two declared accounts claim one id or key.
    pub async fn bootstrap(&self, wanted: &Bootstrap) -> Result<BootReport> {
        let accounts = self.metadata.accounts().await?;
        let mut report = match accounts.into_iter().find(|account| account.root) {
            Some(root) => self.existing_root(root, wanted).await?,
            None => self.first_root(wanted).await?,
        };
        for declared in &wanted.accounts {
            self.declare(declared, &mut report.differences).await?;
        }
        Ok(report)
    }

    async fn first_root(&self, wanted: &Bootstrap) -> Result<BootReport> {
        let keys = wanted.root.clone().unwrap_or_else(|| self.new_keys());
        let new = NewAccount { name: "root".to_owned(), keys: vec![keys], ..Default::default() };
        let CreatedAccount { account, keys } = self.create_account(&new, true).await?;
        let (access_key, secret) = keys.into_iter().next().ok_or(Condition::Internal)?;
        let new_secret = wanted.root.is_none().then_some(secret);
        Ok(BootReport { root: account, access_key, new_secret, differences: Vec::new() })
    }

    async fn existing_root(&self, root: Account, wanted: &Bootstrap) -> Result<BootReport> {
        let keys = self.metadata.access_keys().await?;
        let mut differences = Vec::new();
        if let Some((access_key, secret)) = &wanted.root {
            match self.identify(access_key).await? {
                Some(found) if found.account.id != root.id => {
                    differences.push(format!("access key {access_key} is not the root account's"));
                }
                Some(found) if found.secret != *secret => {
                    differences.push("the root secret given is not the one stored".to_owned());
                }
                Some(_) => {}
                None => differences.push(format!(
                    "the store has a root account already; access key {access_key} is not one of it"
                )),
            }
        }
        let key = keys.into_iter().find(|key| key.account == root.id);
        let access_key = key.map(|key| key.access_key).unwrap_or_default();
        Ok(BootReport { root, access_key, new_secret: None, differences })
    }

    async fn declare(&self, declared: &NewAccount, differences: &mut Vec<String>) -> Result<()> {
        let mut stored = None;
        if let Some(id) = &declared.id {
            stored = self.metadata.account(id).await?;
        }
        for (access_key, _) in &declared.keys {
            if stored.is_none() {
                stored = self.identify(access_key).await?.map(|found| found.account);
            }
        }
        let Some(stored) = stored else {
            self.create_account(declared, false).await?;
            return Ok(());
        };
        let name = &declared.name;
        let mut differ = |what: &str, same: bool| {
            if !same {
                differences.push(format!("account {name}: {what} differs from what is stored"));
            }
        };
        differ("the name", stored.name == *name);
        differ("the id", declared.id.as_ref().is_none_or(|id| *id == stored.id));
        let canonical = declared.canonical_id.as_ref();
        differ("the canonical id", canonical.is_none_or(|id| *id == stored.canonical_id));
        differ("the e-mail", declared.email.is_none() || declared.email == stored.email);
        for (access_key, secret) in &declared.keys {
            let found = self.identify(access_key).await?;
            let same =
                found.is_some_and(|found| found.account.id == stored.id && found.secret == *secret);
            differ(&format!("access key {access_key}"), same);
        }
        Ok(())
    }

    /// The secret of one of an account's keys, for whoever can read the data directory anyway.
    ///
    /// # Errors
    /// As [`Self::identify`].
    pub async fn secret_of(&self, access_key: &str) -> Result<Option<String>> {
        Ok(self.identify(access_key).await?.map(|identity| identity.secret))
    }

    async fn create_account(&self, new: &NewAccount, root: bool) -> Result<CreatedAccount> {
        let id = match &new.id {
            Some(id) => id.clone(),
            None => self.random_account_id()?,
        };
        let account = Account {
            id: id.clone(),
            canonical_id: new
                .canonical_id
                .clone()
                .unwrap_or_else(|| hex::encode(self.random::<32>())),
            name: new.name.clone(),
            email: new.email.clone(),
            created_ms: self.now_ms(),
            root,
        };
        let keys = if new.keys.is_empty() { vec![self.new_keys()] } else { new.keys.clone() };
        if keys.len() > ACCESS_KEYS_MAX {
            let detail = format!("An account has at most {ACCESS_KEYS_MAX} access keys.");
            return Err(crate::Error::new(Condition::InvalidArgument, detail));
        }
        let mut sealed = Vec::with_capacity(keys.len());
        for (access_key, secret) in &keys {
            check_keys(access_key, secret)?;
            sealed.push(AccessKey {
                access_key: access_key.clone(),
                account: id.clone(),
                sealed_secret: self.seal.seal(self.random(), access_key, secret)?,
                created_ms: account.created_ms,
            });
        }
        self.metadata.create_account(&account, &sealed).await?;
        Ok(CreatedAccount { account, keys })
    }

    fn random_account_id(&self) -> Result<AccountId> {
        let number = u64::from_be_bytes(self.random()) % 900_000_000_000 + 100_000_000_000;
        AccountId::parse(&number.to_string()).ok_or_else(|| Condition::Internal.into())
    }

    /// Twenty characters of access key, forty of secret.
    fn new_keys(&self) -> (String, String) {
        const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let letters = |bytes: &[u8]| -> String {
            bytes
                .iter()
                .filter_map(|byte| LETTERS.get(usize::from(byte % 32)))
                .map(|byte| char::from(*byte))
                .collect()
        };
        (format!("LK{}", letters(&self.random::<18>())), hex::encode(self.random::<20>()))
    }
}

/// Access keys of one account, so that it can be deleted in one commit.
const ACCESS_KEYS_MAX: usize = 100;

/// Keys of any form, as long as they can travel in a header.
fn check_keys(access_key: &str, secret: &str) -> Result<()> {
    let travels = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    let valid = (1..=128).contains(&access_key.len())
        && travels(access_key)
        && !access_key.contains([',', '=', ':'])
        && (8..=128).contains(&secret.len())
        && travels(secret);
    if valid {
        return Ok(());
    }
    let detail = "An access key has 1 to 128 printable characters without , = and :, a secret key \
                  8 to 128 printable characters.";
    Err(crate::Error::new(Condition::InvalidArgument, detail))
}

impl Operation for CreateAccount {
    type Output = CreatedAccount;

    fn needs(&self) -> Vec<Need<'_>> {
        Need::service(Action::AdminAccounts)
    }

    async fn run(self, _: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        service.create_account(&self.0, false).await
    }
}

impl Operation for ListAccounts {
    type Output = Vec<(Account, Vec<String>)>;

    fn needs(&self) -> Vec<Need<'_>> {
        Need::service(Action::AdminAccounts)
    }

    async fn run(self, _: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let keys = service.metadata.access_keys().await?;
        let with_keys = |account: Account| {
            let own = keys.iter().filter(|key| key.account == account.id);
            let names = own.map(|key| key.access_key.clone()).collect();
            (account, names)
        };
        Ok(service.metadata.accounts().await?.into_iter().map(with_keys).collect())
    }
}

impl Operation for DeleteAccount {
    type Output = ();

    fn needs(&self) -> Vec<Need<'_>> {
        Need::service(Action::AdminAccounts)
    }

    async fn run(self, _: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        Ok(service.metadata.delete_account(&self.0).await?)
    }
}
