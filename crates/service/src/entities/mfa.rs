//! Second factors: virtual devices of users and of the account itself, and the codes they show.
//!
//! Which code counts is decided in `model::totp`. A device's seed is told once, when it is made,
//! and stored sealed.

use std::fmt;

use metadata::{EntityChanges, Guard};
use model::{
    Condition,
    entities::{Entity, EntityKind, MfaDevice, MfaHolder},
    limits::{ENTITIES_PER_ACCOUNT_MAX, MFA_DEVICES_MAX, MFA_NAME_BYTES_MAX},
    names::AccountId,
    policy::{Action, Principal},
    records::Bucket,
    totp::{Code, Refused, Seed},
};

use super::{
    Tags,
    arn::{check_name, check_path, invalid, over},
    members::{account_as_user, check_tags, merge_tags},
};
use crate::{Caller, Error, Result, Service, authorize::Granted};

/// What a caller shows of its second factor: the serial number of a device and its code.
#[derive(Clone)]
pub struct SecondFactor {
    pub serial: String,
    pub code: String,
}

impl fmt::Debug for SecondFactor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SecondFactor({}, …)", self.serial)
    }
}

/// A device as it is shown, by its serial number.
#[derive(Clone, Debug)]
pub struct MfaShown {
    pub serial: String,
    pub device: MfaDevice,
    /// The user it belongs to, or the account itself as if it were one.
    pub holder: Option<Entity>,
}

/// What two codes came to, and when.
type Shown = Result<(), (Refused, i64)>;

/// A device of the account, and what a commit expects of it.
type Found = (MfaDevice, Guard);

impl Service {
    /// Makes a device that is nobody's yet. The seed is shown this once.
    ///
    /// # Errors
    /// `EntityAlreadyExists`, `LimitExceeded`, `ValidationError`.
    pub async fn create_mfa_device(
        &self,
        caller: &Caller,
        (name, path): (&str, &str),
        tags: Tags,
    ) -> Result<(MfaShown, Seed)> {
        let account = caller.account_id().ok_or(Condition::AccessDenied)?;
        let mut device = MfaDevice {
            name: name.to_owned(),
            path: path.to_owned(),
            created_ms: self.now_ms(),
            sealed_seed: Vec::new(),
            holder: None,
            enabled_ms: None,
            counter: Default::default(),
            tags,
        };
        let serial = device.serial(account);
        let granted = Granted::give(caller, Action::CreateVirtualMFADevice, &serial)?;
        check_name("virtualMFADeviceName", name, MFA_NAME_BYTES_MAX)?;
        check_path(path)?;
        check_tags(&device.tags)?;
        let seed = Seed(self.random());
        device.sealed_seed = self.seal.seal_seed(self.random(), &serial, &seed)?;
        granted
            .change(self, async |changes| {
                if self.metadata.mfa_device(account, name).await?.is_some() {
                    let detail = "MFADevice entity at the same path and name already exists.";
                    return Err(Error::new(Condition::EntityAlreadyExists, detail));
                }
                if self.metadata.mfa_devices(account).await?.len() >= ENTITIES_PER_ACCOUNT_MAX {
                    return Err(over("VirtualMFADevicesPerAccount", ENTITIES_PER_ACCOUNT_MAX));
                }
                changes.put_mfa(&device, None);
                Ok(())
            })
            .await?;
        Ok((MfaShown { serial, device, holder: None }, seed))
    }

    /// Deletes a device that is nobody's.
    ///
    /// # Errors
    /// `NoSuchEntity`, `DeleteConflict`.
    pub async fn delete_mfa_device(&self, caller: &Caller, serial: &str) -> Result<()> {
        let granted = Granted::give(caller, Action::DeleteVirtualMFADevice, serial)?;
        granted
            .change(self, async |changes| {
                let (device, read) = self.device(granted.account(), serial).await?;
                if device.holder.is_some() {
                    let detail = "Cannot delete the MFA device while it is in use: deactivate it \
                                  first.";
                    return Err(Error::new(Condition::DeleteConflict, detail));
                }
                changes.delete_mfa(&device, &read);
                Ok(())
            })
            .await
    }

    /// Gives a device to a user, or to the account itself, who shows two of its codes in a row.
    ///
    /// # Errors
    /// `NoSuchEntity`, `InvalidAuthenticationCode`, `EntityAlreadyExists` for a device in use,
    /// `LimitExceeded`, `EntityTemporarilyUnmodifiable` after too many wrong codes.
    pub async fn enable_mfa_device(
        &self,
        caller: &Caller,
        user: Option<&str>,
        (serial, codes): (&str, [&str; 2]),
    ) -> Result<()> {
        let action = Action::EnableMFADevice;
        let (granted, holder) = self.mfa_holder(caller, action, user).await?;
        let account = granted.account();
        let codes = two_codes(codes)?;
        // A key alone must not get round the devices that are there by one of its own.
        let user = matches!(caller.facts.principal, Principal::User { .. });
        let may_add = !user || caller.facts.mfa_age_seconds.is_some();
        let shown = granted.change(self, async |changes| {
            if let MfaHolder::User(name) = &holder {
                // It may have gone meanwhile.
                granted.entity(self, EntityKind::User, name).await?;
            }
            let (mut device, read) = self.device(account, serial).await?;
            if device.holder.is_some() {
                let detail = format!("MFA Device {serial} is in use already.");
                return Err(Error::new(Condition::EntityAlreadyExists, detail));
            }
            let has = self.devices_of(account, &holder).await?.len();
            if has >= MFA_DEVICES_MAX {
                return Err(over("MFADevicesPerUser", MFA_DEVICES_MAX));
            }
            if has > 0 && !may_add {
                let detail = "A further device takes a session made with one that is there.";
                return Err(Error::new(Condition::AccessDenied, detail));
            }
            let shown = self.show_two(&mut device, (serial, codes))?;
            if shown.is_ok() {
                device.holder = Some(holder.clone());
                device.enabled_ms = Some(self.now_ms());
            }
            Ok(note_shown(changes, &(device, read), shown))
        });
        shown.await?.map_err(refused)
    }

    /// Learns from two codes in a row how far a device's clock is off.
    ///
    /// # Errors
    /// `NoSuchEntity`, `InvalidAuthenticationCode`, `EntityTemporarilyUnmodifiable`.
    pub async fn resync_mfa_device(
        &self,
        caller: &Caller,
        user: Option<&str>,
        (serial, codes): (&str, [&str; 2]),
    ) -> Result<()> {
        let action = Action::ResyncMFADevice;
        let (granted, holder) = self.mfa_holder(caller, action, user).await?;
        let codes = two_codes(codes)?;
        let shown = granted.change(self, async |changes| {
            let (mut device, read) = self.device_of(granted.account(), &holder, serial).await?;
            let shown = self.show_two(&mut device, (serial, codes))?;
            Ok(note_shown(changes, &(device, read), shown))
        });
        shown.await?.map_err(refused)
    }

    /// Takes a device away from whom it belongs to.
    ///
    /// # Errors
    /// `NoSuchEntity`.
    pub async fn deactivate_mfa_device(
        &self,
        caller: &Caller,
        user: Option<&str>,
        serial: &str,
    ) -> Result<()> {
        let action = Action::DeactivateMFADevice;
        let (granted, holder) = self.mfa_holder(caller, action, user).await?;
        granted
            .change(self, async |changes| {
                let found = self.device_of(granted.account(), &holder, serial).await?;
                take_away(changes, found);
                Ok(())
            })
            .await
    }

    /// Takes away a device of that name.
    pub(crate) async fn take_away(
        &self,
        changes: &mut EntityChanges,
        account: &AccountId,
        name: &str,
    ) -> Result<()> {
        let found = self.metadata.mfa_device(account, name).await?;
        found.into_iter().for_each(|found| take_away(changes, found));
        Ok(())
    }

    /// The devices of a user, or of the account itself.
    ///
    /// # Errors
    /// `NoSuchEntity`.
    pub async fn list_mfa_devices(
        &self,
        caller: &Caller,
        user: Option<&str>,
    ) -> Result<Vec<MfaShown>> {
        let (granted, holder) = self.mfa_holder(caller, Action::ListMFADevices, user).await?;
        let found = self.devices_of(granted.account(), &holder).await?;
        let holder = self.shown_holder(caller, granted.account(), &holder).await?;
        let shown = |device: MfaDevice| {
            let serial = device.serial(granted.account());
            MfaShown { serial, device, holder: holder.clone() }
        };
        Ok(found.into_iter().map(shown).collect())
    }

    /// A device of a user, or of the account itself.
    ///
    /// # Errors
    /// `NoSuchEntity`.
    pub async fn get_mfa_device(
        &self,
        caller: &Caller,
        user: Option<&str>,
        serial: &str,
    ) -> Result<MfaShown> {
        let (granted, holder) = self.mfa_holder(caller, Action::GetMFADevice, user).await?;
        let (device, _) = self.device_of(granted.account(), &holder, serial).await?;
        let holder = self.shown_holder(caller, granted.account(), &holder).await?;
        Ok(MfaShown { serial: serial.to_owned(), device, holder })
    }

    /// All devices of the account, or those that are in use, or those that are not.
    ///
    /// # Errors
    /// `AccessDenied`.
    pub async fn list_virtual_mfa_devices(
        &self,
        caller: &Caller,
        in_use: Option<bool>,
    ) -> Result<Vec<MfaShown>> {
        let account = caller.account_id().ok_or(Condition::AccessDenied)?;
        let all = format!("arn:aws:iam::{account}:mfa/");
        Granted::give(caller, Action::ListVirtualMFADevices, &all)?;
        let mut shown = Vec::new();
        for device in self.metadata.mfa_devices(account).await? {
            if in_use.is_some_and(|in_use| in_use != device.holder.is_some()) {
                continue;
            }
            let holder = match &device.holder {
                Some(holder) => self.shown_holder(caller, account, holder).await?,
                None => None,
            };
            shown.push(MfaShown { serial: device.serial(account), device, holder });
        }
        Ok(shown)
    }

    /// Sets tags of a device, over those of the same name, and takes others away.
    ///
    /// # Errors
    /// `NoSuchEntity`, `LimitExceeded`, `ValidationError`.
    pub async fn tag_mfa_device(
        &self,
        caller: &Caller,
        serial: &str,
        (set, removed): (Tags, Vec<String>),
    ) -> Result<()> {
        let action = if set.is_empty() { Action::UntagMFADevice } else { Action::TagMFADevice };
        let granted = Granted::give(caller, action, serial)?;
        granted
            .change(self, async |changes| {
                let (mut device, read) = self.device(granted.account(), serial).await?;
                merge_tags(&mut device.tags, &set, &removed)?;
                changes.put_mfa(&device, Some(&read));
                Ok(())
            })
            .await
    }

    /// # Errors
    /// `NoSuchEntity`.
    pub async fn mfa_device_tags(&self, caller: &Caller, serial: &str) -> Result<Tags> {
        let granted = Granted::give(caller, Action::ListMFADeviceTags, serial)?;
        Ok(self.device(granted.account(), serial).await?.0.tags)
    }

    /// Uses a code of one of the caller's own devices.
    ///
    /// # Errors
    /// `AccessDenied`, with what STS says; whose device it is, is not told.
    pub(crate) async fn use_second_factor(
        &self,
        caller: &Caller,
        factor: &SecondFactor,
    ) -> Result<()> {
        let strange = || {
            let detail = "MultiFactorAuthentication failed, unable to validate MFA code.  Please \
                          verify your MFA serial number is valid and associated with this user.";
            Error::new(Condition::AccessDenied, detail)
        };
        let (account, holder) = match &caller.facts.principal {
            Principal::Account(account) => (account, MfaHolder::Account),
            Principal::User { account, .. } => {
                (account, MfaHolder::User(super::own_name(caller).ok_or_else(strange)?))
            }
            _ => return Err(strange()),
        };
        let code = Code::parse(&factor.code).ok_or_else(bad_code)?;
        let name = name_of(account, &factor.serial).ok_or_else(strange)?;
        let used = self.metadata.use_mfa_device(account, name, |device| {
            let serial = device.serial(account);
            if device.holder.as_ref() != Some(&holder) || serial != factor.serial {
                return Err(strange());
            }
            let seed = self.seal.open_seed(&serial, &device.sealed_seed)?;
            Ok(device.counter.use_code(&seed, code, self.now_ms()))
        });
        let used = used.await.map_err(|error| match error.condition {
            Condition::NoSuchEntity => strange(),
            _ => error,
        });
        used?.map_err(|refused| {
            let why = match refused {
                Refused::Wrong => "with invalid MFA one time pass code.".to_owned(),
                Refused::Waiting { until_ms } => waiting(until_ms, self.now_ms()),
            };
            let detail = format!("MultiFactorAuthentication failed {why}");
            Error::new(Condition::AccessDenied, detail)
        })
    }

    /// Uses a code that the owner of a bucket shows, where none may do without.
    ///
    /// # Errors
    /// `AccessDenied`, also for whoever is not the owning account itself.
    pub(crate) async fn use_owners_factor(&self, caller: &Caller, bucket: &Bucket) -> Result<()> {
        let owns = matches!(&caller.facts.principal, Principal::Account(id) if *id == bucket.owner);
        match caller.factor.as_ref().filter(|_| owns) {
            Some(factor) => self.use_second_factor(caller, factor).await,
            None => {
                let detail = "Mfa Authentication must be used for this request";
                Err(Error::new(Condition::AccessDenied, detail))
            }
        }
    }

    /// The devices of a user, or of the account itself.
    pub(crate) async fn devices_of(
        &self,
        account: &AccountId,
        holder: &MfaHolder,
    ) -> Result<Vec<MfaDevice>> {
        let mut devices = self.metadata.mfa_devices(account).await?;
        devices.retain(|device| device.holder.as_ref() == Some(holder));
        Ok(devices)
    }

    /// The devices of a user follow it to another name.
    pub(super) async fn rename_mfa_holder(
        &self,
        account: &AccountId,
        changes: &mut EntityChanges,
        (old, new): (&str, &str),
    ) -> Result<()> {
        for held in self.devices_of(account, &MfaHolder::User(old.to_owned())).await? {
            let (mut device, read) = self.device(account, &held.serial(account)).await?;
            device.holder = Some(MfaHolder::User(new.to_owned()));
            changes.put_mfa(&device, Some(&read));
        }
        Ok(())
    }

    /// A device of the account, by its serial number.
    async fn device(&self, account: &AccountId, serial: &str) -> Result<Found> {
        let found = match name_of(account, serial) {
            Some(name) => self.metadata.mfa_device(account, name).await?,
            None => None,
        };
        let found = found.filter(|(device, _)| device.serial(account) == serial);
        found.ok_or_else(|| no_such(serial))
    }

    /// A device that belongs to a user, or to the account itself.
    async fn device_of(
        &self,
        account: &AccountId,
        holder: &MfaHolder,
        serial: &str,
    ) -> Result<Found> {
        let found = self.device(account, serial).await?;
        match found.0.holder.as_ref() == Some(holder) {
            true => Ok(found),
            false => Err(no_such(serial)),
        }
    }

    fn show_two(
        &self,
        device: &mut MfaDevice,
        (serial, codes): (&str, [Code; 2]),
    ) -> Result<Shown> {
        let seed = self.seal.open_seed(serial, &device.sealed_seed)?;
        let now_ms = self.now_ms();
        Ok(device.counter.use_two(&seed, codes, now_ms).map_err(|refused| (refused, now_ms)))
    }

    /// Leave to do something with the devices of a user, or of the account itself, which clients
    /// that insist on a name call `root` or by its own name.
    async fn mfa_holder<'c>(
        &self,
        caller: &'c Caller,
        action: Action,
        user: Option<&str>,
    ) -> Result<(Granted<'c>, MfaHolder)> {
        let mut named = user;
        if let (Some(name), Principal::Account(id)) = (user, &caller.facts.principal) {
            let own = caller.account.as_ref().is_some_and(|account| account.name == name);
            let found = self.metadata.entity(id, EntityKind::User, name).await?;
            if found.is_none() && (own || name == "root") {
                named = None;
            }
        }
        let (granted, name) = self.holder(caller, action, named).await?;
        let holder = match name {
            // As it is written, which the name that was given need not be.
            Some(name) => {
                MfaHolder::User(granted.entity(self, EntityKind::User, &name).await?.name)
            }
            None => MfaHolder::Account,
        };
        Ok((granted, holder))
    }

    async fn shown_holder(
        &self,
        caller: &Caller,
        account: &AccountId,
        holder: &MfaHolder,
    ) -> Result<Option<Entity>> {
        match holder {
            MfaHolder::Account => account_as_user(caller).map(Some),
            MfaHolder::User(name) => {
                Ok(self.metadata.entity(account, EntityKind::User, name).await?)
            }
        }
    }
}

/// Keeps what a device is after two of its codes were shown: wrong ones change nothing else.
fn note_shown(changes: &mut EntityChanges, (device, read): &Found, shown: Shown) -> Shown {
    if shown.is_err() {
        changes.only_note();
    }
    changes.put_mfa(device, Some(read));
    shown
}

/// Nobody has it any more; which of its codes were used stays known.
fn take_away(changes: &mut EntityChanges, (device, read): Found) {
    let device = MfaDevice { holder: None, enabled_ms: None, ..device };
    changes.put_mfa(&device, Some(&read));
}

/// The name at the end of the serial number of a device of this account.
fn name_of<'s>(account: &AccountId, serial: &'s str) -> Option<&'s str> {
    let path = serial.strip_prefix(&format!("arn:aws:iam::{account}:mfa/"))?;
    path.rsplit('/').next().filter(|name| !name.is_empty())
}

fn no_such(serial: &str) -> Error {
    let detail = format!("MFA Device with serial number {serial} does not exist.");
    Error::new(Condition::NoSuchEntity, detail)
}

fn bad_code() -> Error {
    invalid("A code has six digits.")
}

fn two_codes(codes: [&str; 2]) -> Result<[Code; 2]> {
    let [first, second] = codes.map(|code| Code::parse(code).ok_or_else(bad_code));
    Ok([first?, second?])
}

fn waiting(until_ms: i64, now_ms: i64) -> String {
    let seconds = until_ms.saturating_sub(now_ms).max(0) / 1000 + 1;
    format!("after too many wrong codes. Try again in {seconds} seconds.")
}

/// As IAM says it.
fn refused((refused, now_ms): (Refused, i64)) -> Error {
    match refused {
        Refused::Wrong => Condition::InvalidAuthenticationCode.into(),
        Refused::Waiting { until_ms } => {
            let detail = format!("The MFA device is blocked {}", waiting(until_ms, now_ms));
            Error::new(Condition::EntityTemporarilyUnmodifiable, detail)
        }
    }
}
