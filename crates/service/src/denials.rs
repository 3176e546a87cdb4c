//! The refused requests that are remembered, so that somebody can be told why: the latest of this
//! process, in memory.
//!
//! Whoever is refused often pushes out its own refusals first: an account its own, and within it a
//! user or role its own, under however many names of sessions. What nobody has proven to have sent
//! is kept apart from the rest and told apart by address.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher as _, Hash},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use model::limits::{DENIAL_BYTES_MAX, DENIALS_KEPT_MAX};

use crate::explain::{Asker, Explanation};

/// Parts with a lock each: one half for callers that are known, one for the others.
const PARTS: usize = 32;

/// What is remembered.
pub(crate) struct Denials {
    parts: [Mutex<Part>; PARTS],
    hashes: std::hash::RandomState,
}

/// The denials of some callers, the oldest first.
#[derive(Default)]
struct Part {
    kept: VecDeque<Kept>,
    bytes: usize,
    /// The same by account, and by caller.
    bytes_of_account: HashMap<u64, usize>,
    bytes_of: HashMap<Refused, usize>,
}

/// Who was refused, as numbers.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Refused {
    account: u64,
    caller: u64,
}

struct Kept {
    request_id: Box<str>,
    who: Refused,
    bytes: usize,
    why: Arc<Explanation>,
}

impl Default for Denials {
    fn default() -> Self {
        Self {
            parts: std::array::from_fn(|_| Mutex::default()),
            hashes: std::hash::RandomState::new(),
        }
    }
}

impl Denials {
    /// Remembers one, the first of a request.
    pub fn keep(&self, request_id: &str, why: Explanation) {
        let (proven, who) = self.caller(&why.who);
        let half = PARTS / 2;
        let place = (who.account % half as u64) as usize + if proven { half } else { 0 };
        let Some(part) = self.parts.get(place) else { return };
        let bytes = why.bytes() + request_id.len() + size_of::<Kept>();
        if bytes > DENIAL_BYTES_MAX / PARTS {
            return;
        }
        let kept = Kept { request_id: request_id.into(), who, bytes, why: Arc::new(why) };
        locked(part).add(kept);
    }

    pub fn find(&self, request_id: &str) -> Option<Arc<Explanation>> {
        self.parts.iter().find_map(|part| {
            let part = locked(part);
            let found = part.kept.iter().find(|kept| *kept.request_id == *request_id);
            found.map(|kept| kept.why.clone())
        })
    }

    /// Whether it is known who it was, and numbers for it.
    fn caller(&self, who: &Asker) -> (bool, Refused) {
        match (&who.arn, who.source) {
            (Some(arn), _) => {
                let account = self.hashes.hash_one(&who.account);
                (true, Refused { account, caller: self.hashes.hash_one(without_session(arn)) })
            }
            (None, source) => {
                let network = self.hashes.hash_one(source.map(network));
                (false, Refused { account: network, caller: network })
            }
        }
    }
}

/// A session without its name, which whoever makes it chooses.
fn without_session(arn: &str) -> &str {
    let session = arn.strip_prefix("arn:aws:sts:").and_then(|_| arn.rsplit_once('/'));
    session.map_or(arn, |(lent, _)| lent)
}

/// What one of them has to itself: an address, and of IPv6 the network of a site.
fn network(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address) >> 64 << 64,
    }
}

fn locked(part: &Mutex<Part>) -> MutexGuard<'_, Part> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Part {
    fn add(&mut self, new: Kept) {
        if self.kept.iter().any(|kept| kept.request_id == new.request_id) {
            return;
        }
        let (most, bytes_max) = (DENIALS_KEPT_MAX / PARTS, DENIAL_BYTES_MAX / PARTS);
        while self.kept.len() >= most || self.bytes + new.bytes > bytes_max {
            let Some(place) = self.least_missed() else { break };
            self.forget(place);
        }
        self.bytes += new.bytes;
        *self.bytes_of_account.entry(new.who.account).or_default() += new.bytes;
        *self.bytes_of.entry(new.who).or_default() += new.bytes;
        self.kept.push_back(new);
    }

    /// The oldest one of the caller that has most bytes of the account that has most here.
    fn least_missed(&self) -> Option<usize> {
        let (account, _) = self.bytes_of_account.iter().max_by_key(|(_, bytes)| **bytes)?;
        let of_it = self.bytes_of.iter().filter(|(who, _)| who.account == *account);
        let (who, _) = of_it.max_by_key(|(_, bytes)| **bytes)?;
        self.kept.iter().position(|kept| kept.who == *who)
    }

    fn forget(&mut self, place: usize) {
        let Some(gone) = self.kept.remove(place) else { return };
        self.bytes -= gone.bytes;
        take(&mut self.bytes_of_account, &gone.who.account, gone.bytes);
        take(&mut self.bytes_of, &gone.who, gone.bytes);
    }
}

/// Takes bytes from a count, which goes with the last of them.
fn take<K: Eq + Hash>(counts: &mut HashMap<K, usize>, of: &K, bytes: usize) {
    if let Some(count) = counts.get_mut(of) {
        *count = count.saturating_sub(bytes);
        if *count == 0 {
            counts.remove(of);
        }
    }
}

#[cfg(test)]
mod tests {
    use model::{Condition, names::AccountId};

    use super::*;
    use crate::Error;

    fn denial(arn: Option<&str>, source: &str) -> Explanation {
        let who = Asker {
            arn: arn.map(str::to_owned),
            account: arn.and_then(AccountId::parse),
            source: source.parse().ok(),
            ..Asker::default()
        };
        Explanation::refused(who, &Error::from(Condition::AccessDenied), 1)
    }

    fn total(denials: &Denials) -> (usize, usize) {
        denials
            .parts
            .iter()
            .map(locked)
            .fold((0, 0), |(count, bytes), part| (count + part.kept.len(), bytes + part.bytes))
    }

    #[test]
    fn a_flood_pushes_out_none_of_anybody_else() {
        let denials = Denials::default();
        for number in 0..200 {
            denials.keep(&format!("QUIET{number}"), denial(Some(&format!("arn:{number}")), "::1"));
        }
        for number in 0..3 * DENIALS_KEPT_MAX {
            denials.keep(&format!("FLOOD{number}"), denial(Some("arn:flood"), "::1"));
            let address = format!("10.0.{}.{}", number / 250 % 250, number % 250);
            denials.keep(&format!("NOBODY{number}"), denial(None, &address));
        }
        let quiet = (0..200).filter(|it| denials.find(&format!("QUIET{it}")).is_some()).count();
        assert_eq!(quiet, 200);
        assert!(denials.find("FLOOD0").is_none());
        assert!(denials.find(&format!("FLOOD{}", 3 * DENIALS_KEPT_MAX - 1)).is_some());
        let (count, bytes) = total(&denials);
        assert!(count <= DENIALS_KEPT_MAX && bytes <= DENIAL_BYTES_MAX, "{count} {bytes}");
    }

    #[test]
    fn many_users_and_names_of_sessions_push_out_their_own_accounts_and_roles_only() {
        let denials = Denials::default();
        let of = |account: &str, arn: String| {
            let told = denial(Some(&arn), "::1");
            let who = Asker { account: AccountId::parse(account), ..told.who.clone() };
            Explanation { who, ..told }
        };
        for number in 0..200 {
            let other = format!("{}", 1000 + number);
            denials.keep(&format!("OTHER{number}"), of(&other, format!("arn:{other}")));
        }
        denials.keep("BEN", of("1", "arn:aws:iam::1:user/ben".into()));
        for number in 0..2 * DENIALS_KEPT_MAX {
            let session = format!("arn:aws:sts::1:assumed-role/r/s{number}");
            denials.keep(&format!("SESSION{number}"), of("1", session));
            let user = format!("arn:aws:iam::2:user/u{number}");
            denials.keep(&format!("USER{number}"), of("2", user));
        }
        let others = (0..200).filter(|it| denials.find(&format!("OTHER{it}")).is_some()).count();
        assert_eq!(others, 200);
        assert!(denials.find("BEN").is_some() && denials.find("SESSION0").is_none());
        let (count, bytes) = total(&denials);
        assert!(count <= DENIALS_KEPT_MAX && bytes <= DENIAL_BYTES_MAX, "{count} {bytes}");
    }

    #[test]
    fn large_ones_are_bounded_by_their_bytes() {
        let denials = Denials::default();
        for number in 0..DENIALS_KEPT_MAX {
            let large = Explanation {
                resource: Some("x".repeat(20_000)),
                ..denial(Some(&format!("arn:{}", number % 7)), "::1")
            };
            denials.keep(&format!("R{number}"), large);
        }
        let huge = Explanation {
            resource: Some("x".repeat(DENIAL_BYTES_MAX)),
            ..denial(Some("arn:huge"), "::1")
        };
        denials.keep("HUGE", huge);
        assert!(denials.find("HUGE").is_none());
        let (count, bytes) = total(&denials);
        assert!(count > 0 && bytes <= DENIAL_BYTES_MAX, "{count} {bytes}");
    }

    #[test]
    fn the_first_reason_of_a_request_counts() {
        let denials = Denials::default();
        denials.keep("R", Explanation { resource: Some("first".into()), ..denial(None, "::1") });
        denials.keep("R", denial(None, "::1"));
        let found = denials.find("R").and_then(|it| it.resource.clone());
        assert_eq!(found.as_deref(), Some("first"));
    }
}
