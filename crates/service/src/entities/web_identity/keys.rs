//! The keys that identity providers sign with: found by their discovery document, fetched when they
//! are needed, and remembered for a while.
//!
//! Source: OpenID Connect Discovery 1.0, section 4; RFC 7517.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, Header,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse},
};
use model::{
    Condition,
    environment::{Clock, unix_ms},
    limits::OIDC_PROVIDERS_MAX,
    names::AccountId,
};
use serde::Deserialize;
use serde_json::Value;

use crate::{Error, Outbound, Result};

/// Largest document of a provider.
const DOCUMENT_BYTES_MAX: usize = 256 * 1024;
/// Letters of another issuer's name that the log tells.
const ISSUER_CHARS_TOLD: usize = 200;
/// Keys of one provider.
const KEYS_MAX: usize = 100;
/// Providers whose keys are remembered, of all accounts.
const PROVIDERS_MAX: usize = 1000;
/// How long keys are taken for the present ones.
const FRESH_MS: i64 = 3_600_000;
/// How long they serve while the provider cannot be asked.
const STALE_MS: i64 = 24 * 3_600_000;
/// A provider is asked again at the earliest after this time: whatever a token says.
const PAUSE_MS: i64 = 30_000;
/// The same after it could not be asked.
const RETRY_MS: i64 = 5_000;

/// The keys of all providers that were asked, by the account that trusts them and their URLs. Who
/// has too many pushes out its own.
#[derive(Default)]
pub(crate) struct KeySets(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    sets: HashMap<(AccountId, String), Used>,
    /// How often any was used.
    uses: u64,
}

/// A set, and when it was used last.
#[derive(Default)]
struct Used {
    set: Arc<tokio::sync::Mutex<KeySet>>,
    at: u64,
}

impl Remembered {
    /// Makes room for one more of an account: the least recently used one goes, of that account if
    /// it has as many as one may have, else of the account that has most.
    fn make_room(&mut self, account: &AccountId) {
        let mut counts: HashMap<&AccountId, usize> = HashMap::new();
        for (owner, _) in self.sets.keys() {
            *counts.entry(owner).or_default() += 1;
        }
        let own = counts.get(account).copied().unwrap_or_default();
        let from = match own >= OIDC_PROVIDERS_MAX {
            true => Some(account),
            false if self.sets.len() < PROVIDERS_MAX => None,
            false => counts.into_iter().max_by_key(|(_, count)| *count).map(|(owner, _)| owner),
        };
        let of_it = self.sets.iter().filter(|((owner, _), _)| Some(owner) == from);
        let oldest = of_it.min_by_key(|(_, used)| used.at).map(|(key, _)| key.clone());
        if let Some(oldest) = oldest {
            self.sets.remove(&oldest);
        }
    }
}

/// What is known of one provider. Who holds it asks the provider, the others wait for that.
#[derive(Default)]
struct KeySet {
    keys: Vec<Jwk>,
    /// When these keys came; `None` if none ever did.
    fetched_ms: Option<i64>,
    /// When the provider was asked last, and whether it answered.
    asked: Option<(i64, bool)>,
}

/// What a discovery document says of interest here.
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct Keys {
    keys: Vec<Value>,
}

impl KeySets {
    fn of(&self, account: &AccountId, url: &str) -> Arc<tokio::sync::Mutex<KeySet>> {
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (account.clone(), url.to_owned());
        if !remembered.sets.contains_key(&key) {
            remembered.make_room(account);
        }
        remembered.uses += 1;
        let at = remembered.uses;
        let used = remembered.sets.entry(key).or_default();
        used.at = at;
        used.set.clone()
    }

    /// The key that a token says it is signed with, and the one way that counts for it.
    ///
    /// # Errors
    /// `InvalidIdentityToken` if the provider has no such key, `IdpCommunication` if it cannot be
    /// asked.
    pub async fn find(
        &self,
        (outbound, clock): (&dyn Outbound, &dyn Clock),
        (account, url): (&AccountId, &str),
        header: &Header,
    ) -> Result<(DecodingKey, Algorithm)> {
        let set = self.of(account, url);
        let mut set = set.lock().await;
        // Whoever had it before may have waited for the provider.
        let now_ms = unix_ms(clock.now());
        if set.age(now_ms).is_none_or(|age| age > FRESH_MS) && set.may_ask(now_ms) {
            set.ask(outbound, url, clock).await;
        }
        if set.age(now_ms).is_none_or(|age| age > STALE_MS) {
            let detail = "The identity provider could not be asked for its keys.";
            return Err(Error::new(Condition::IdpCommunication, detail));
        }
        if let Some(key) = pick(&set.keys, header) {
            return Ok((key, header.alg));
        }
        // It may have new keys.
        if set.may_ask(now_ms) {
            set.ask(outbound, url, clock).await;
        }
        let key = pick(&set.keys, header).ok_or_else(|| {
            let detail = "The identity provider has no key like the one of the token.";
            Error::new(Condition::InvalidIdentityToken, detail)
        })?;
        Ok((key, header.alg))
    }
}

impl KeySet {
    fn age(&self, now_ms: i64) -> Option<i64> {
        self.fetched_ms.map(|fetched_ms| now_ms.saturating_sub(fetched_ms).abs())
    }

    fn may_ask(&self, now_ms: i64) -> bool {
        self.asked.is_none_or(|(asked_ms, answered)| {
            let pause = if answered { PAUSE_MS } else { RETRY_MS };
            // A clock that was set back must not stop this for long.
            !(0..pause).contains(&now_ms.saturating_sub(asked_ms))
        })
    }

    async fn ask(&mut self, outbound: &dyn Outbound, url: &str, clock: &dyn Clock) {
        let fetched = fetch(outbound, url).await;
        let now_ms = unix_ms(clock.now());
        self.asked = Some((now_ms, fetched.is_ok()));
        match fetched {
            Ok(keys) => (self.keys, self.fetched_ms) = (keys, Some(now_ms)),
            Err(error) => {
                tracing::warn!(url, error, "the keys of an identity provider cannot be fetched");
            }
        }
    }
}

async fn fetch(outbound: &dyn Outbound, url: &str) -> Result<Vec<Jwk>, String> {
    let place = format!("{}/.well-known/openid-configuration", url.trim_end_matches('/'));
    let document = outbound.get(&place, DOCUMENT_BYTES_MAX).await?;
    let discovery: Discovery = serde_json::from_slice(&document)
        .map_err(|error| format!("{place} is no discovery document: {error}"))?;
    if discovery.issuer != url {
        let issuer: String = discovery.issuer.chars().take(ISSUER_CHARS_TOLD).collect();
        return Err(format!("{place} is of another issuer: {issuer:?}"));
    }
    let place = discovery.jwks_uri;
    let document = outbound.get(&place, DOCUMENT_BYTES_MAX).await?;
    let found: Keys = serde_json::from_slice(&document)
        .map_err(|error| format!("{place} is no set of keys: {error}"))?;
    // Keys of kinds unknown here are none of ours.
    let keys = found.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok());
    Ok(keys.filter(signs).take(KEYS_MAX).collect())
}

/// Whether a key is there to check signatures with.
fn signs(key: &Jwk) -> bool {
    let common = &key.common;
    let for_signatures =
        common.public_key_use.as_ref().is_none_or(|it| *it == PublicKeyUse::Signature);
    let verifies =
        common.key_operations.as_ref().is_none_or(|it| it.contains(&KeyOperations::Verify));
    for_signatures && verifies
}

/// The key of a token. One without a name is taken only if no other key could be meant.
fn pick(keys: &[Jwk], header: &Header) -> Option<DecodingKey> {
    let mut fitting = keys.iter().filter(|key| {
        let named = header.kid.is_none() || key.common.key_id == header.kid;
        named && fits(key, header.alg)
    });
    let (first, second) = (fitting.next()?, fitting.next());
    if second.is_some() {
        return None;
    }
    DecodingKey::from_jwk(first).ok()
}

/// Whether a key signs in this way, by its own kind and by what it says of itself.
fn fits(key: &Jwk, algorithm: Algorithm) -> bool {
    let of_kind = match (&key.algorithm, algorithm) {
        (AlgorithmParameters::RSA(_), other) => other.family() == AlgorithmFamily::Rsa,
        (AlgorithmParameters::EllipticCurve(key), Algorithm::ES256) => {
            key.curve == EllipticCurve::P256
        }
        (AlgorithmParameters::EllipticCurve(key), Algorithm::ES384) => {
            key.curve == EllipticCurve::P384
        }
        _ => false,
    };
    let says = key.common.key_algorithm;
    of_kind && says.is_none_or(|says| says.to_string() == format!("{algorithm:?}"))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::future::BoxFuture;

    use super::*;

    const URL: &str = "https://idp";

    /// A provider with keys of these names, or none; counts how often it was asked. It keeps the
    /// time too, for it may take some to answer.
    #[derive(Default)]
    struct Provider {
        now_ms: Mutex<i64>,
        answers_after_ms: i64,
        kids: Mutex<Option<Vec<&'static str>>>,
        asked: Mutex<usize>,
    }

    impl Provider {
        fn publish(&self, kids: Option<&[&'static str]>) {
            *self.kids.lock().expect("no panic") = kids.map(<[_]>::to_vec);
        }

        fn document(&self, url: &str) -> Result<Bytes, String> {
            if url != "https://keys" {
                *self.asked.lock().expect("no panic") += 1;
            }
            *self.now_ms.lock().expect("no panic") += self.answers_after_ms;
            let kids = self.kids.lock().expect("no panic").clone().ok_or("it is away")?;
            if url != "https://keys" {
                return Ok(Bytes::from(format!(
                    r#"{{"issuer": "{URL}", "jwks_uri": "https://keys"}}"#
                )));
            }
            let key =
                |kid| format!(r#"{{"kty": "RSA", "kid": "{kid}", "n": "AQAB", "e": "AQAB"}}"#);
            let keys: Vec<_> = kids.into_iter().map(key).collect();
            let strange = r#"{"kty": "NEW", "kid": "x"}, 7"#;
            Ok(Bytes::from(format!(r#"{{"keys": [{strange}, {}]}}"#, keys.join(","))))
        }
    }

    impl Outbound for Provider {
        fn check(&self, _: &str) -> Result<(), String> {
            Ok(())
        }

        fn get<'o>(&'o self, url: &'o str, _: usize) -> BoxFuture<'o, Result<Bytes, String>> {
            Box::pin(async { self.document(url) })
        }
    }

    impl Clock for Provider {
        fn now(&self) -> chrono::DateTime<chrono::Utc> {
            let now_ms = *self.now_ms.lock().expect("no panic");
            chrono::DateTime::from_timestamp_millis(now_ms).expect("a time")
        }
    }

    fn account(number: usize) -> AccountId {
        AccountId::parse(&number.to_string()).expect("an id")
    }

    #[test]
    fn who_has_too_many_pushes_out_its_own_one_by_one() {
        let sets = KeySets::default();
        let remembers = |owner: usize, url: &str| {
            let remembered = sets.0.lock().expect("no panic");
            remembered.sets.contains_key(&(account(owner), url.to_owned()))
        };
        let count = || sets.0.lock().expect("no panic").sets.len();
        sets.of(&account(1), "first");
        for number in 0..2 * OIDC_PROVIDERS_MAX {
            sets.of(&account(2), &format!("{number}"));
            sets.of(&account(2), "often");
        }
        assert_eq!(count(), 1 + OIDC_PROVIDERS_MAX);
        assert!(remembers(1, "first") && remembers(2, "often") && !remembers(2, "0"));
        // All accounts together: of those with most one goes.
        for owner in 3..100 {
            for number in 0..OIDC_PROVIDERS_MAX / 2 {
                sets.of(&account(owner), &format!("{number}"));
            }
        }
        assert_eq!(count(), PROVIDERS_MAX);
        assert!(remembers(1, "first") && remembers(99, "49"));
    }

    async fn found(
        sets: &KeySets,
        provider: &Provider,
        now_ms: i64,
        kid: &str,
    ) -> Result<(), Condition> {
        *provider.now_ms.lock().expect("no panic") = now_ms;
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::RS256) };
        let found = sets.find((provider, provider), (&account(1), URL), &header).await;
        found.map(drop).map_err(|error| error.condition)
    }

    #[tokio::test]
    async fn new_keys_are_fetched_but_not_at_the_wish_of_every_token() {
        let (sets, provider) = (KeySets::default(), Provider::default());
        let asked = || *provider.asked.lock().expect("no panic");
        provider.publish(Some(&["one"]));
        let begin = 1_000_000;
        assert_eq!(found(&sets, &provider, begin, "one").await, Ok(()));
        provider.publish(Some(&["one", "two"]));
        for ms in 1..100 {
            let unknown = Err(Condition::InvalidIdentityToken);
            assert_eq!(found(&sets, &provider, begin + ms, "two").await, unknown);
        }
        assert_eq!(asked(), 1);
        assert_eq!(found(&sets, &provider, begin + PAUSE_MS, "two").await, Ok(()));
        assert_eq!(found(&sets, &provider, begin + FRESH_MS, "two").await, Ok(()));
        assert_eq!(asked(), 2);
        let later = begin + PAUSE_MS + FRESH_MS + 1;
        provider.publish(Some(&["two"]));
        assert_eq!(found(&sets, &provider, later, "two").await, Ok(()));
        assert_eq!(asked(), 3);
        assert_eq!(
            found(&sets, &provider, later + 1, "one").await,
            Err(Condition::InvalidIdentityToken)
        );
    }

    #[tokio::test]
    async fn keys_serve_for_a_day_while_the_provider_is_away() {
        let (sets, provider) = (KeySets::default(), Provider::default());
        let away = Err(Condition::IdpCommunication);
        assert_eq!(found(&sets, &provider, 0, "one").await, away);
        provider.publish(Some(&["one"]));
        assert_eq!(found(&sets, &provider, 1, "one").await, away);
        assert_eq!(found(&sets, &provider, RETRY_MS, "one").await, Ok(()));
        provider.publish(None);
        assert_eq!(found(&sets, &provider, RETRY_MS + STALE_MS, "one").await, Ok(()));
        let last = RETRY_MS + STALE_MS + 1;
        assert_eq!(found(&sets, &provider, last, "one").await, away);
    }

    #[tokio::test]
    async fn a_slow_provider_is_not_asked_by_everybody_who_waited() {
        let provider = Provider { answers_after_ms: 10_000, ..Provider::default() };
        let sets = KeySets::default();
        let header = Header::new(Algorithm::RS256);
        let own = account(1);
        let ask = || sets.find((&provider, &provider), (&own, URL), &header);
        let answers = futures_util::future::join_all((0..20).map(|_| ask())).await;
        let away = |answer: &Result<_>| {
            answer.as_ref().is_err_and(|error| error.condition == Condition::IdpCommunication)
        };
        assert!(answers.iter().all(away));
        assert_eq!(*provider.asked.lock().expect("no panic"), 1);
    }

    fn key(json: &str) -> Jwk {
        serde_json::from_str(json).expect("a key")
    }

    #[test]
    fn a_key_counts_for_its_own_kind_of_signature_only() {
        use Algorithm::{ES256, ES384, HS256, PS256, RS256};
        let rsa = key(r#"{"kty": "RSA", "n": "AQAB", "e": "AQAB"}"#);
        let only = key(r#"{"kty": "RSA", "n": "AQAB", "e": "AQAB", "alg": "RS256"}"#);
        let p256 = key(r#"{"kty": "EC", "crv": "P-256", "x": "AQAB", "y": "AQAB"}"#);
        let secret = key(r#"{"kty": "oct", "k": "AQAB"}"#);
        let fit =
            |key: &Jwk| [RS256, PS256, ES256, ES384, HS256].map(|algorithm| fits(key, algorithm));
        assert_eq!(fit(&rsa), [true, true, false, false, false]);
        assert_eq!(fit(&only), [true, false, false, false, false]);
        assert_eq!(fit(&p256), [false, false, true, false, false]);
        assert_eq!(fit(&secret), [false; 5]);
        let sealing = key(r#"{"kty": "RSA", "n": "AQAB", "e": "AQAB", "use": "enc"}"#);
        assert!(signs(&rsa) && !signs(&sealing));
    }
}
