//! What the product asks the machine for besides disks: the time, and random bytes.

use chrono::{DateTime, Utc};

/// Tells the time. Tests hand in one they can turn.
pub trait Clock: Send + Sync + 'static {
    /// The present instant, as the wall clock has it; it may jump.
    fn now(&self) -> DateTime<Utc>;
}

/// Gives unpredictable bytes. Tests hand in a seeded one.
pub trait Entropy: Send + Sync + 'static {
    /// Fills `bytes` with random ones.
    fn fill(&self, bytes: &mut [u8]);
}

/// `N` random bytes.
pub fn random<const N: usize>(entropy: &dyn Entropy) -> [u8; N] {
    let mut bytes = [0; N];
    entropy.fill(&mut bytes);
    bytes
}

/// Unix milliseconds of an instant; the unit all records store.
pub fn unix_ms(instant: DateTime<Utc>) -> i64 {
    instant.timestamp_millis()
}
