//! One-time codes of a second factor: RFC 6238 with SHA-1, six digits and steps of 30 seconds,
//! which is what apps for phones can do without being asked.
//!
//! [`Counter`] decides which code counts: each step once, in order, and few wrong ones. Whoever
//! stores it must let only one decision be made on each state.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use minicbor::{Decode, Encode};
use sha1::Sha1;

use crate::limits::{MFA_WAIT_MS, MFA_WAIT_MS_MAX, MFA_WRONG_MAX};

const STEP_MS: i64 = 30_000;

/// Steps a code may be early or late. Source: RFC 6238, section 5.2.
const WINDOW: i64 = 1;

/// Steps a device's clock may be off when two codes in a row tell how much. Source: RFC 4226,
/// section 7.4.
const WINDOW_OF_TWO: i64 = 10;

const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The secret that a device shares with us: as long as RFC 4226 recommends.
#[derive(Clone, PartialEq, Eq)]
pub struct Seed(pub [u8; 20]);

impl Seed {
    /// In letters, as people type it. Source: RFC 4648, section 6.
    pub fn base32(&self) -> String {
        let mut text = String::with_capacity(32);
        for five in self.0.chunks(5) {
            let bits = five.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
            let letter = |place: u32| LETTERS.get((bits >> (35 - 5 * place) & 31) as usize);
            text.extend((0..8).filter_map(letter).map(|letter| char::from(*letter)));
        }
        text
    }

    /// The code of a step. Source: RFC 4226, section 5.3.
    pub fn code(&self, step: i64) -> Code {
        let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(&self.0) else { return Code::NEVER };
        mac.update(&step.to_be_bytes());
        let digest: [u8; 20] = mac.finalize().into_bytes().into();
        let offset = usize::from(digest.last().copied().unwrap_or_default() & 15);
        let Some(four) = digest.get(offset..).and_then(|rest| rest.first_chunk()) else {
            return Code::NEVER;
        };
        Code((u32::from_be_bytes(*four) & 0x7fff_ffff) % 1_000_000)
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Seed(…)")
    }
}

/// Six digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Code(u32);

impl Code {
    /// No text reads as this.
    const NEVER: Self = Self(u32::MAX);

    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().ok().map(Self)).flatten()
    }

    /// As a device shows it. Nothing else does: neither logs nor errors.
    pub fn digits(self) -> String {
        format!("{:06}", self.0)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Code(…)")
    }
}

/// Why a code does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is wrong, too old, of a clock that is off, or was used before.
    Wrong,
    /// There were too many wrong ones: none counts until this time.
    Waiting { until_ms: i64 },
}

/// What is remembered of the codes of a device. The numbers are persisted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Counter {
    /// The step of the latest code that was used; only moves on.
    #[n(0)]
    last_step: i64,
    /// Steps the device's clock seemed to be ahead of ours when it showed two codes in a row.
    #[n(1)]
    ahead_steps: i64,
    /// Wrong codes since the last right one.
    #[n(2)]
    wrong: u32,
    #[n(3)]
    waits_until_ms: i64,
}

impl Counter {
    /// Uses a code. What is to be remembered has changed whether it was right or wrong.
    ///
    /// # Errors
    /// [`Refused`]. While the device waits nothing changes, and a right code is not used up.
    pub fn use_code(&mut self, seed: &Seed, code: Code, now_ms: i64) -> Result<(), Refused> {
        self.check_wait(now_ms)?;
        let present = step(now_ms);
        // What looked like a clock that is behind may have been somebody who types slowly.
        let centres = [present, present + self.ahead_steps];
        let near = centres.into_iter().flat_map(|at| at - WINDOW..=at + WINDOW);
        let fresh = near.filter(|step| *step > self.last_step);
        let found = fresh.filter(|step| seed.code(*step) == code).max();
        match found {
            Some(step) => self.move_to(step),
            None => return Err(self.note_wrong(now_ms)),
        }
        Ok(())
    }

    /// Uses two codes in a row, which also tell how far off the device's clock is.
    ///
    /// # Errors
    /// As of [`Self::use_code`].
    pub fn use_two(&mut self, seed: &Seed, codes: [Code; 2], now_ms: i64) -> Result<(), Refused> {
        self.check_wait(now_ms)?;
        let present = step(now_ms);
        let fresh = (present - WINDOW_OF_TWO..present + WINDOW_OF_TWO)
            .filter(|step| *step > self.last_step);
        let fits = |step: &i64| [seed.code(*step), seed.code(step + 1)] == codes;
        let Some(first) = fresh.rev().find(fits) else { return Err(self.note_wrong(now_ms)) };
        self.move_to(first + 1);
        self.ahead_steps = first + 1 - present;
        Ok(())
    }

    fn move_to(&mut self, step: i64) {
        (self.last_step, self.wrong) = (step, 0);
    }

    fn check_wait(&self, now_ms: i64) -> Result<(), Refused> {
        // A clock that was turned back must not make the wait longer than the longest.
        let until_ms = self.waits_until_ms.min(now_ms.saturating_add(MFA_WAIT_MS_MAX));
        if now_ms < until_ms { Err(Refused::Waiting { until_ms }) } else { Ok(()) }
    }

    fn note_wrong(&mut self, now_ms: i64) -> Refused {
        self.wrong = self.wrong.saturating_add(1);
        if let Some(beyond) = self.wrong.checked_sub(MFA_WRONG_MAX) {
            let wait_ms = MFA_WAIT_MS << beyond.min(30);
            self.waits_until_ms = now_ms.saturating_add(wait_ms.min(MFA_WAIT_MS_MAX));
        }
        Refused::Wrong
    }
}

/// The step of an instant.
pub const fn step(now_ms: i64) -> i64 {
    now_ms.div_euclid(STEP_MS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SEED: Seed = Seed(*b"12345678901234567890");
    const NOW_MS: i64 = 1_700_000_010_000;
    const NOW: i64 = step(NOW_MS);

    /// RFC 6238, appendix B: the last six of its eight digits.
    #[test]
    fn codes_are_those_of_the_standard() {
        for (seconds, digits) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let code = SEED.code(step(seconds * 1000));
            assert_eq!(code.digits(), digits, "{seconds}");
            assert_eq!(Code::parse(digits), Some(code), "{seconds}");
        }
    }

    /// The seed of the standard in the letters that its secret has everywhere.
    #[test]
    fn a_seed_is_told_in_letters() {
        assert_eq!(SEED.base32(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(Seed([0xff; 20]).base32(), "7".repeat(32));
    }

    #[test]
    fn neither_seed_nor_code_is_shown() {
        let shown = format!("{SEED:?} {:?} {:?}", SEED.code(1), Counter::default());
        assert!(shown.starts_with("Seed(…) Code(…) "), "{shown}");
    }

    #[test]
    fn a_code_has_six_digits() {
        assert!(Code::parse("000000").is_some());
        for text in ["", "12345", "1234567", "12345a", "+12345", "１23456", " 12345"] {
            assert!(Code::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_code_may_be_one_step_early_or_late() {
        for (off, expected) in [(-2, false), (-1, true), (0, true), (1, true), (2, false)] {
            let used = Counter::default().use_code(&SEED, SEED.code(NOW + off), NOW_MS);
            assert_eq!(used.is_ok(), expected, "{off}");
        }
    }

    #[test]
    fn a_code_counts_once_and_older_ones_no_more() {
        let mut counter = Counter::default();
        let mut used = |step| counter.use_code(&SEED, SEED.code(step), NOW_MS);
        assert_eq!(used(NOW), Ok(()));
        assert_eq!([used(NOW), used(NOW - 1)], [Err(Refused::Wrong); 2]);
        assert_eq!(used(NOW + 1), Ok(()));
        assert_eq!([used(NOW), used(NOW + 1)], [Err(Refused::Wrong); 2]);
    }

    #[test]
    fn two_codes_tell_how_far_off_a_clock_is() {
        for (ahead, later) in [(-9, true), (9, true), (0, true), (-10, false), (11, false)] {
            let mut counter = Counter::default();
            let codes = [SEED.code(NOW + ahead - 1), SEED.code(NOW + ahead)];
            assert_eq!(counter.use_two(&SEED, codes, NOW_MS).is_ok(), later, "{ahead}");
            let next = counter.use_code(&SEED, SEED.code(NOW + ahead + 1), NOW_MS);
            assert_eq!(next.is_ok(), later, "{ahead}");
            let by_our_clock = counter.use_code(&SEED, SEED.code(NOW + 1), NOW_MS);
            assert_eq!(by_our_clock.is_ok(), ahead < 0 || !later, "{ahead}");
        }
        let swapped = [SEED.code(NOW), SEED.code(NOW - 1)];
        let twice = [SEED.code(NOW); 2];
        for codes in [swapped, twice] {
            assert!(Counter::default().use_two(&SEED, codes, NOW_MS).is_err());
        }
    }

    #[test]
    fn after_five_wrong_codes_a_right_one_has_to_wait_and_longer_each_time() {
        let (mut counter, wrong, mut now_ms) = (Counter::default(), SEED.code(0), NOW_MS);
        for _ in 0..5 {
            assert_eq!(counter.use_code(&SEED, wrong, now_ms), Err(Refused::Wrong));
        }
        for wait_ms in [30_000, 60_000, 120_000, 240_000, 480_000, 960_000, 1_920_000, 3_600_000] {
            let until_ms = now_ms + wait_ms;
            let early = SEED.code(step(until_ms - 1));
            let waiting = Err(Refused::Waiting { until_ms });
            let before = counter.clone();
            assert_eq!(counter.use_code(&SEED, early, until_ms - 1), waiting);
            assert_eq!(counter.use_two(&SEED, [early; 2], until_ms - 1), waiting);
            assert_eq!(counter, before);
            now_ms = until_ms;
            assert_eq!(counter.use_code(&SEED, wrong, now_ms), Err(Refused::Wrong));
        }
        now_ms += 3_600_000;
        let right = SEED.code(step(now_ms));
        assert_eq!(counter.use_code(&SEED, right, now_ms), Ok(()));
        for _ in 0..4 {
            assert_eq!(counter.use_code(&SEED, wrong, now_ms), Err(Refused::Wrong));
        }
        assert_eq!(counter.use_code(&SEED, SEED.code(step(now_ms) + 1), now_ms), Ok(()));
    }

    #[test]
    fn a_clock_turned_back_does_not_make_the_wait_longer() {
        let mut counter = Counter { waits_until_ms: i64::MAX, ..Counter::default() };
        let until_ms = NOW_MS + 3_600_000;
        let refused = counter.use_code(&SEED, SEED.code(NOW), NOW_MS);
        assert_eq!(refused, Err(Refused::Waiting { until_ms }));
    }

    #[test]
    fn a_counter_is_stored_as_it_always_was() {
        let counter = Counter { last_step: 1, ahead_steps: -2, wrong: 3, waits_until_ms: NOW_MS };
        let bytes = minicbor::to_vec(&counter).expect("it is written");
        assert_eq!(bytes, [&[0x84, 1, 0x21, 3, 0x1b][..], &NOW_MS.to_be_bytes()].concat());
        assert_eq!(minicbor::decode::<Counter>(&bytes).expect("it is read"), counter);
    }

    proptest! {
        /// However codes come in and the clock goes, no step is ever used twice, nor an older one.
        #[test]
        fn the_step_used_only_moves_on(
            tries in proptest::collection::vec(
                (-40..40_i64, -60_000..120_000_i64, any::<bool>()),
                1..60,
            ),
        ) {
            let (mut counter, mut now_ms, mut used) = (Counter::default(), NOW_MS, 0);
            for (off, turned_ms, two) in tries {
                now_ms += turned_ms;
                let aimed = step(now_ms) + off / 4;
                let codes = [SEED.code(aimed - 1), SEED.code(aimed)];
                let right = match two {
                    true => counter.use_two(&SEED, codes, now_ms),
                    false => counter.use_code(&SEED, codes[1], now_ms),
                };
                if right.is_ok() {
                    prop_assert!(counter.last_step > used);
                    prop_assert!((counter.last_step - step(now_ms)).abs() <= WINDOW_OF_TWO + 1);
                    used = counter.last_step;
                }
                prop_assert_eq!(counter.last_step, used);
            }
        }
    }
}
