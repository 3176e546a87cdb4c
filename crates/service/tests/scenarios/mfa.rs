//! Second factors: a code counts once whoever else shows it, and a start forgets nothing of it.

use futures_util::future::join_all;
use model::{
    Condition,
    totp::{Seed, step},
};
use service::{
    Error, Result,
    entities::{SecondFactor, tokens::Credentials},
};

use crate::{Store, Who};

/// A store, and a device of Ann's account with the seed it was made with.
struct Factor {
    store: Store,
    serial: String,
    seed: Seed,
}

impl Factor {
    async fn new(seed: u64) -> Self {
        let store = Store::new(seed).await;
        let ann = store.caller(Who::Ann);
        let made = store.service.create_mfa_device(&ann, ("phone", "/"), Vec::new()).await;
        let (shown, seed) = made.expect("it is made");
        let factor = Self { store, serial: shown.serial, seed };
        factor.enable([-1, 0]).await.expect("it is enabled");
        factor
    }

    /// The code of the step that many after this one.
    fn code(&self, off: i64) -> String {
        self.seed.code(step(self.store.clock.now_ms()) + off).digits()
    }

    async fn enable(&self, steps: [i64; 2]) -> Result<()> {
        let codes = steps.map(|off| self.code(off));
        let shown = (self.serial.as_str(), [codes[0].as_str(), codes[1].as_str()]);
        let ann = self.store.caller(Who::Ann);
        self.store.service.enable_mfa_device(&ann, None, shown).await
    }

    async fn deactivate(&self) {
        let ann = self.store.caller(Who::Ann);
        let gone = self.store.service.deactivate_mfa_device(&ann, None, &self.serial).await;
        gone.expect("it is deactivated");
    }

    async fn session(&self, code: String) -> Result<Credentials> {
        let factor = SecondFactor { serial: self.serial.clone(), code };
        let ann = self.store.caller(Who::Ann);
        self.store.service.session_token(&ann, None, Some(&factor)).await
    }
}

fn told(error: Option<Error>) -> String {
    let error = error.expect("it is refused");
    assert_eq!(error.condition, Condition::AccessDenied);
    error.detail.unwrap_or_default()
}

#[tokio::test]
async fn of_many_who_show_one_code_at_once_one_gets_through() {
    for seed in 0..20 {
        let factor = Factor::new(seed).await;
        let code = factor.code(1);
        let shown = join_all((0..6).map(|_| factor.session(code.clone()))).await;
        assert_eq!(shown.iter().filter(|made| made.is_ok()).count(), 1, "SEED={seed}");
    }
}

#[tokio::test]
async fn wrong_codes_shown_at_once_are_all_counted() {
    for seed in 0..20 {
        let factor = Factor::new(seed).await;
        let wrong = factor.code(50);
        let shown = join_all((0..12).map(|_| factor.session(wrong.clone()))).await;
        let told: Vec<_> = shown.into_iter().map(|made| told(made.err())).collect();
        let wrong = told.iter().filter(|detail| detail.contains("invalid MFA one time pass code"));
        assert_eq!(wrong.count(), 5, "SEED={seed} {told:?}");
        assert!(told.iter().filter(|detail| detail.contains("too many")).count() == 7, "{told:?}");
    }
}

#[tokio::test]
async fn a_code_that_was_used_counts_no_more_after_a_start_or_another_beginning() {
    let mut factor = Factor::new(1).await;
    let code = factor.code(1);
    factor.session(code.clone()).await.expect("it counts");
    factor.store.restart(None).await;
    assert!(told(factor.session(code.clone()).await.err()).contains("invalid"));
    factor.deactivate().await;
    let refused = factor.enable([0, 1]).await.err().map(|error| error.condition);
    assert_eq!(refused, Some(Condition::InvalidAuthenticationCode));
    factor.store.clock.turn_ms(60_000);
    factor.enable([0, 1]).await.expect("new codes count");
    assert!(told(factor.session(code).await.err()).contains("invalid"));
}

#[tokio::test]
async fn a_device_that_waits_takes_right_codes_again_later() {
    let factor = Factor::new(1).await;
    for _ in 0..5 {
        assert!(told(factor.session(factor.code(50)).await.err()).contains("invalid"));
    }
    let code = factor.code(1);
    assert!(told(factor.session(code.clone()).await.err()).contains("in 31 seconds"));
    factor.store.clock.turn_ms(30_000);
    factor.session(code).await.expect("it was not used up");
}

#[tokio::test]
async fn a_session_tells_when_a_factor_was_shown_for_it() {
    let factor = Factor::new(1).await;
    let made = factor.session(factor.code(1)).await.expect("it is made");
    let shown_ms = factor.store.clock.now_ms();
    factor.store.clock.turn_ms(5_000);
    let ann = factor.store.caller(Who::Ann);
    let plain = factor.store.service.session_token(&ann, None, None).await.expect("it is made");
    for (made, expected) in [(made, Some(shown_ms)), (plain, None)] {
        let found = factor.store.service.identify(&made.access_key, Some(&made.token)).await;
        assert_eq!(found.expect("it is good").expect("it is known").mfa_ms, expected);
    }
}

#[tokio::test]
async fn neither_seed_nor_code_is_in_what_is_shown_of_them() {
    let factor = Factor::new(1).await;
    let code = factor.code(1);
    let ann = factor.store.caller(Who::Ann);
    let listed = factor.store.service.list_virtual_mfa_devices(&ann, None).await;
    let asked = SecondFactor { serial: factor.serial.clone(), code: code.clone() };
    let shown = format!("{:?} {:?} {asked:?}", listed.expect("they are listed"), factor.seed);
    assert!(shown.contains(&factor.serial), "{shown}");
    let numbers = format!("{:?}", factor.seed.0);
    for secret in [code, factor.seed.base32(), numbers[1..numbers.len() - 1].to_owned()] {
        assert!(!shown.contains(&secret), "{shown}");
    }
}
