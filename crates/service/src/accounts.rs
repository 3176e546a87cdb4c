//! Accounts and their keys: for the admin interface and the configuration file.

use std::sync::Arc;

use model::{
    Condition,
    entities::{EntityKind, MfaHolder},
    names::AccountId,
    policy::{Action, Principal},
    records::{AccessKey, Account},
};

use crate::{
    Caller, Error, Need, Operation, Permit, Result, Service, audit,
    entities::{NewUser, Standing, Tags, tokens::user_principal},
};

/// An account as an administrator describes it; what is absent is made up at random.
#[derive(Clone, Debug, Default)]
pub struct NewAccount {
    pub name: String,
    pub id: Option<AccountId>,
    pub canonical_id: Option<String>,
    pub email: Option<String>,
    /// (access key, secret key); one pair is made when empty.
    pub keys: Vec<(String, String)>,
    /// Users it has from the start.
    pub users: Vec<NewUser>,
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

/// Takes the second factors of an account away, or those of one of its users, who lost them.
pub struct ResetMfa {
    pub account: AccountId,
    /// `None` is the account itself.
    pub user: Option<String>,
}

/// Who an access key belongs to, and the secret its requests are signed with.
pub struct Identity {
    pub account: Account,
    pub secret: String,
    pub principal: Principal,
    pub groups: Arc<[String]>,
    pub tags: Tags,
    pub standing: Standing,
    /// When the credentials were issued, if they are temporary.
    pub token_issued_ms: Option<i64>,
    /// When a second factor was shown for them, if one was.
    pub mfa_ms: Option<i64>,
    /// What another identity provider said of them: keys of conditions and their values.
    pub web: Vec<(String, Vec<String>)>,
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
    /// Finds who is behind an access key, and the token it came with.
    ///
    /// # Errors
    /// When metadata cannot be read or the secret does not open; `InvalidSecurityToken` and
    /// `ExpiredToken`. An unknown key is `None`, and so is one that is switched off.
    pub async fn identify(
        &self,
        access_key: &str,
        token: Option<&str>,
    ) -> Result<Option<Identity>> {
        if let Some(token) = token {
            return self.identify_session(access_key, token).await.map(Some);
        }
        let Some((key, account, secret)) = self.pair(access_key).await? else { return Ok(None) };
        if key.inactive {
            return Ok(None);
        }
        let mut identity = Identity {
            principal: Principal::Account(account.id.clone()),
            account,
            secret,
            groups: Arc::default(),
            tags: Tags::new(),
            standing: Standing::default(),
            token_issued_ms: None,
            mfa_ms: None,
            web: Vec::new(),
        };
        if let Some(name) = &key.user {
            let found = self.standing_of(&key.account, EntityKind::User, name).await?;
            let Some(own) = found else { return Ok(None) };
            identity.principal = user_principal(&key.account, &own.entity);
            identity.groups = own.groups.clone();
            identity.tags.clone_from(&own.entity.tags);
            identity.standing.own = own;
        }
        Ok(Some(identity))
    }

    /// A key with the account it belongs to and its secret.
    async fn pair(&self, access_key: &str) -> Result<Option<(AccessKey, Account, String)>> {
        let Some(key) = self.metadata.access_key(access_key).await? else { return Ok(None) };
        let Some(account) = self.metadata.account(&key.account).await? else { return Ok(None) };
        let secret = self.seal.open(access_key, &key.sealed_secret)?;
        Ok(Some((key, account, secret)))
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
        let CreatedAccount { account, keys } =
            self.create_account(&new, true, &self.itself("first start")).await?;
        let (access_key, secret) = keys.into_iter().next().ok_or(Condition::Internal)?;
        let new_secret = wanted.root.is_none().then_some(secret);
        Ok(BootReport { root: account, access_key, new_secret, differences: Vec::new() })
    }

    async fn existing_root(&self, root: Account, wanted: &Bootstrap) -> Result<BootReport> {
        let keys = self.metadata.access_keys().await?;
        let mut differences = Vec::new();
        if let Some((access_key, secret)) = &wanted.root {
            match self.pair(access_key).await? {
                Some((key, account, _)) if account.id != root.id || key.user.is_some() => {
                    differences.push(format!("access key {access_key} is not the root account's"));
                }
                Some((.., stored)) if stored != *secret => {
                    differences.push("the root secret given is not the one stored".to_owned());
                }
                Some(_) => {}
                None => differences.push(format!(
                    "the store has a root account already; access key {access_key} is not one of it"
                )),
            }
        }
        let key = keys.into_iter().find(|key| is_whole(key, &root.id) && !key.inactive);
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
                let found = self.pair(access_key).await?;
                stored = found.map(|(_, account, _)| account);
            }
        }
        let Some(stored) = stored else {
            let made = self.create_account(declared, false, &self.itself("configuration")).await?;
            return self.declare_users(&made.account.id, declared, differences).await;
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
            let found = self.pair(access_key).await?;
            let same = found.is_some_and(|(key, account, known)| {
                account.id == stored.id && key.user.is_none() && known == *secret
            });
            differ(&format!("access key {access_key}"), same);
        }
        self.declare_users(&stored.id, declared, differences).await
    }

    async fn declare_users(
        &self,
        account: &AccountId,
        declared: &NewAccount,
        differences: &mut Vec<String>,
    ) -> Result<()> {
        for user in &declared.users {
            self.declare_user(account, user, differences).await?;
        }
        Ok(())
    }

    /// The secret of one of an account's keys, for whoever can read the data directory anyway.
    ///
    /// # Errors
    /// As [`Self::identify`].
    pub async fn secret_of(&self, access_key: &str) -> Result<Option<String>> {
        Ok(self.pair(access_key).await?.map(|(.., secret)| secret))
    }

    async fn create_account(
        &self,
        new: &NewAccount,
        root: bool,
        caller: &Caller,
    ) -> Result<CreatedAccount> {
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
            access_block: None,
        };
        let keys = if new.keys.is_empty() { vec![self.new_keys()] } else { new.keys.clone() };
        if keys.len() > ACCESS_KEYS_MAX {
            let detail = format!("An account has at most {ACCESS_KEYS_MAX} access keys.");
            return Err(Error::new(Condition::InvalidArgument, detail));
        }
        let mut sealed = Vec::with_capacity(keys.len());
        for (access_key, secret) in &keys {
            check_keys(access_key, secret)?;
            sealed.push(AccessKey {
                access_key: access_key.clone(),
                account: id.clone(),
                sealed_secret: self.seal.seal(self.random(), access_key, secret)?,
                created_ms: account.created_ms,
                user: None,
                inactive: false,
            });
        }
        let keys_told = keys.iter().map(|(name, _)| ("AccessKeyId", name.clone()));
        let told: Vec<_> =
            std::iter::once(("Name", account.name.clone())).chain(keys_told).collect();
        let by = audit::entry(caller, "larder:CreateAccount", &arn_of(&account.id), &told);
        self.metadata.create_account(&account, &sealed, &by).await?;
        Ok(CreatedAccount { account, keys })
    }

    /// The server itself, doing what nobody asks for.
    pub(crate) fn itself(&self, what: &'static str) -> Caller {
        Caller::system(what, self.clock().now())
    }

    fn random_account_id(&self) -> Result<AccountId> {
        let number = u64::from_be_bytes(self.random()) % 900_000_000_000 + 100_000_000_000;
        AccountId::parse(&number.to_string()).ok_or_else(|| Condition::Internal.into())
    }

    /// Twenty characters of access key, forty of secret.
    fn new_keys(&self) -> (String, String) {
        (format!("LK{}", letters(&self.random::<18>())), hex::encode(self.random::<20>()))
    }
}

fn arn_of(account: &AccountId) -> String {
    format!("arn:aws:iam::{account}:root")
}

/// Whether a key speaks for the whole account.
fn is_whole(key: &AccessKey, account: &AccountId) -> bool {
    key.account == *account && key.user.is_none()
}

/// Random bytes as letters and digits.
pub(crate) fn letters(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let letter = |byte: &u8| LETTERS.get(usize::from(byte % 32)).map(|byte| char::from(*byte));
    bytes.iter().filter_map(letter).collect()
}

/// Access keys of one account itself.
pub(crate) const ACCESS_KEYS_MAX: usize = 100;

/// Keys of any form, as long as they can travel in a header.
pub(crate) fn check_keys(access_key: &str, secret: &str) -> Result<()> {
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
    Err(Error::new(Condition::InvalidArgument, detail))
}

impl Operation for CreateAccount {
    type Output = CreatedAccount;

    fn needs(&self) -> Vec<Need<'_>> {
        Need::service(Action::AdminAccounts)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        service.create_account(&self.0, false, permit.caller()).await
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
            let own = keys.iter().filter(|key| is_whole(key, &account.id));
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

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let arn = arn_of(&self.0);
        let by = audit::entry(permit.caller(), "larder:DeleteAccount", &arn, &[]);
        Ok(service.metadata.delete_account(&self.0, &by).await?)
    }
}

impl Operation for ResetMfa {
    /// The serial numbers of the devices that were taken away.
    type Output = Vec<String>;

    fn needs(&self) -> Vec<Need<'_>> {
        Need::service(Action::AdminAccounts)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let Self { account, user } = &self;
        let none = || Error::new(Condition::NoSuchEntity, "There is no second factor to reset.");
        let (arn, holder) = match user {
            None => (arn_of(account), MfaHolder::Account),
            Some(name) => {
                let found = service.metadata.entity(account, EntityKind::User, name).await?;
                let found = found.ok_or_else(none)?;
                (found.arn(account, EntityKind::User), MfaHolder::User(found.name))
            }
        };
        let by = audit::entry(permit.caller(), "larder:ResetMfa", &arn, &[]);
        let reset = service.metadata.change_entities(account, &by, async |changes| {
            let mut taken = Vec::new();
            for device in service.devices_of(account, &holder).await? {
                taken.push(device.serial(account));
                service.take_away(changes, account, &device.name).await?;
            }
            if taken.is_empty() { Err(none()) } else { Ok(taken) }
        });
        reset.await
    }
}
