//! The real time and real randomness: the only place that asks the machine for them.
#![allow(clippy::disallowed_methods, reason = "this is the one home of both")]

use chrono::{DateTime, Utc};
use model::environment::{Clock, Entropy};

/// The wall clock of the machine.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// Random bytes of the operating system.
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        // Without randomness no id and no key may be made, and Linux cannot fail here once it
        // has booted. Ending the process is the only safe answer.
        if getrandom::fill(bytes).is_err() {
            std::process::abort();
        }
    }
}
