//! Devices that show one-time codes, by account and name.
//!
//! A device that is used changes by itself, without the revision of the account's entities: what
//! users may does not depend on it. So whoever writes one here expects it to be as it was read.

use model::{Condition, entities::MfaDevice, limits::MFA_NAME_BYTES_MAX, names::AccountId};

use crate::{
    Error, Guard, Metadata, Result,
    entities::EntityChanges,
    keys,
    transaction::{Draft, Try},
};

impl EntityChanges {
    /// Writes a device over the one that was read.
    ///
    /// - `read`: `None` for a new one, whose name must be free.
    pub fn put_mfa(&mut self, device: &MfaDevice, read: Option<&Guard>) {
        let row = keys::mfa_device(&self.account, &device.name);
        match read {
            Some(guard) => self.draft.expect(guard),
            None => self.draft.expect_row(&row, None),
        }
        self.draft.put(row, device);
    }

    pub fn delete_mfa(&mut self, device: &MfaDevice, read: &Guard) {
        self.draft.expect(read);
        self.draft.delete(keys::mfa_device(&self.account, &device.name));
    }
}

impl Metadata {
    /// The device of a name, in whatever case of letters, with what a commit expects of it.
    pub async fn mfa_device(
        &self,
        account: &AccountId,
        name: &str,
    ) -> Result<Option<(MfaDevice, Guard)>> {
        if name.len() > MFA_NAME_BYTES_MAX {
            return Ok(None);
        }
        self.record(&keys::mfa_device(account, name)).await
    }

    /// All of an account, in order of name.
    pub async fn mfa_devices(&self, account: &AccountId) -> Result<Vec<MfaDevice>> {
        self.all(keys::mfa_devices(account)).await
    }

    /// Uses a device: of all that use it at once each sees what the one before left.
    ///
    /// - `decide`: changes what is remembered of it, also for an answer that is a refusal; may run
    ///   several times.
    ///
    /// # Errors
    /// [`Condition::NoSuchEntity`]; what `decide` fails with changes nothing.
    pub async fn use_mfa_device<T, E: From<Error>>(
        &self,
        account: &AccountId,
        name: &str,
        decide: impl Fn(&mut MfaDevice) -> Result<T, E>,
    ) -> Result<T, E> {
        let decided = self.transact(async || {
            let found = self.mfa_device(account, name).await?;
            let (mut device, guard) = found.ok_or(Condition::NoSuchEntity)?;
            match decide(&mut device) {
                Err(error) => Ok(Try::Done(Err(error))),
                Ok(value) => {
                    let mut draft = Draft::default();
                    draft.expect(&guard);
                    draft.put(keys::mfa_device(account, &device.name), &device);
                    Ok(Try::Commit(draft, Ok(value)))
                }
            }
        });
        decided.await?
    }
}
