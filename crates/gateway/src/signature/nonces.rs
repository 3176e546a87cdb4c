//! Nonces of signed calls: each counts once.
//!
//! They are remembered until the call they were in is too old to count anyhow, by the process that
//! saw them.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Mutex, PoisonError},
};

use chrono::{DateTime, Utc};
use model::{Condition, names::AccountId};
use sha2::{Digest as _, Sha256};

use super::Refusal;

/// Nonces that are remembered of all; with many accounts each has its share of that.
const MAX: usize = 500_000;
const OF_ACCOUNT_MAX: usize = 80_000;
/// One caller fills no more than this part of what its account has.
const CALLER_PART: usize = 4;

/// Enough of a hash of a nonce, and of the key it was signed with.
type Seen = [u8; 16];

#[derive(Default)]
pub struct Nonces(Mutex<HashMap<AccountId, OfAccount>>);

#[derive(Default)]
struct OfAccount {
    seen: HashSet<Seen>,
    /// By when they may be forgotten, and of whom they are.
    until: BTreeSet<(i64, Seen, Seen)>,
    /// How many are of each caller.
    of_caller: HashMap<Seen, usize>,
}

impl OfAccount {
    fn forget(&mut self, now_ms: i64) {
        while let Some(first) = self.until.first().copied().filter(|(until, ..)| *until < now_ms) {
            self.until.remove(&first);
            let (_, seen, caller) = first;
            self.seen.remove(&seen);
            if let Some(count) = self.of_caller.get_mut(&caller) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.of_caller.remove(&caller);
                }
            }
        }
    }
}

impl Nonces {
    /// Uses a nonce of a call whose signature holds.
    ///
    /// - `caller`: the account that called, and who of it, whatever key or session that has now.
    /// - `until`: when the call does not count any more.
    ///
    /// # Errors
    /// `SignatureNonceUsed`; `SlowDown` for a caller of which no more can be remembered.
    pub fn spend(
        &self,
        (account, caller): (&AccountId, &str),
        (access_key, nonce): (&str, &str),
        (now, until): (DateTime<Utc>, DateTime<Utc>),
    ) -> Result<(), Refusal> {
        let (now_ms, until_ms) = (now.timestamp_millis(), until.timestamp_millis());
        // No access key has such a byte in it.
        let seen = hashed(&[access_key.as_bytes(), &[0], nonce.as_bytes()]);
        let caller = hashed(&[caller.as_bytes()]);
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !accounts.contains_key(account) {
            accounts.values_mut().for_each(|of| of.forget(now_ms));
            accounts.retain(|_, of| !of.seen.is_empty());
        }
        let most = (MAX / (accounts.len() + 1)).min(OF_ACCOUNT_MAX);
        let of = accounts.entry(account.clone()).or_default();
        of.forget(now_ms);
        if of.seen.contains(&seen) {
            let detail = "Specified signature nonce was used already.";
            return Err(Refusal::new(Condition::SignatureNonceUsed, detail));
        }
        let of_caller = of.of_caller.get(&caller).copied().unwrap_or_default();
        if of.seen.len() >= most || of_caller >= most / CALLER_PART {
            let detail = "Too many calls were signed.";
            return Err(Refusal::new(Condition::SlowDown, detail));
        }
        of.of_caller.insert(caller, of_caller + 1);
        of.seen.insert(seen);
        of.until.insert((until_ms, seen, caller));
        Ok(())
    }
}

fn hashed(parts: &[&[u8]]) -> Seen {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn account(number: usize) -> AccountId {
        AccountId::parse(&number.to_string()).unwrap()
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_000_000 + seconds, 0).unwrap()
    }

    fn spend(nonces: &Nonces, account: &AccountId, nonce: &str, now: i64) -> Option<Condition> {
        let until = at(now) + TimeDelta::minutes(15);
        let spent = nonces.spend((account, "ann"), ("key", nonce), (at(now), until));
        spent.err().map(|it| it.condition)
    }

    #[test]
    fn a_nonce_counts_once_while_its_call_could() {
        let (nonces, own) = (Nonces::default(), account(1));
        let used = Some(Condition::SignatureNonceUsed);
        assert_eq!(spend(&nonces, &own, "a", 0), None);
        assert_eq!(spend(&nonces, &own, "a", 0), used);
        assert_eq!(spend(&nonces, &own, "b", 1), None);
        assert_eq!(spend(&nonces, &account(2), "a", 0), None);
        assert_eq!(spend(&nonces, &own, "a", 900), used);
        assert_eq!(spend(&nonces, &own, "a", 901), None, "the call itself is too old by then");
        let other_key = nonces.spend((&own, "ann"), ("other", "b"), (at(2), at(900)));
        assert_eq!(other_key, Ok(()));
    }

    #[test]
    fn a_caller_that_calls_too_often_waits_alone() {
        let (nonces, own) = (Nonces::default(), account(1));
        for number in 0..OF_ACCOUNT_MAX / CALLER_PART {
            assert_eq!(spend(&nonces, &own, &format!("{number}"), 0), None);
        }
        assert_eq!(spend(&nonces, &own, "more", 0), Some(Condition::SlowDown));
        assert_eq!(spend(&nonces, &own, "0", 0), Some(Condition::SignatureNonceUsed));
        assert_eq!(spend(&nonces, &account(2), "more", 0), None);
        let colleague = nonces.spend((&own, "ben"), ("other", "more"), (at(0), at(900)));
        assert_eq!(colleague, Ok(()));
        assert_eq!(spend(&nonces, &own, "more", 901), None);
        assert_eq!(nonces.0.lock().unwrap()[&own].seen.len(), 1);
    }

    #[test]
    fn of_all_accounts_together_little_is_remembered() {
        let nonces = Nonces::default();
        for number in 0..40 {
            for nonce in 0..OF_ACCOUNT_MAX {
                if spend(&nonces, &account(number), &format!("{nonce}"), 0).is_some() {
                    break;
                }
            }
        }
        let total: usize = nonces.0.lock().unwrap().values().map(|of| of.seen.len()).sum();
        assert!(total < MAX * 2, "{total}");
        assert_eq!(spend(&nonces, &account(99), "x", 0), None);
    }
}
