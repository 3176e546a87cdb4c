//! Keyed hashes and their comparison.

use hmac::{Hmac, KeyInit as _, Mac as _};
use model::Condition;
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use super::Refusal;

pub(super) fn hmac_sha1(key: &[u8], text: &[u8]) -> Result<[u8; 20], Refusal> {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).map_err(|_| unusable_key())?;
    mac.update(text);
    Ok(mac.finalize().into_bytes().into())
}

pub(super) fn hmac_sha256(key: &[u8], text: &[u8]) -> Result<[u8; 32], Refusal> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| unusable_key())?;
    mac.update(text);
    Ok(mac.finalize().into_bytes().into())
}

/// Compares without telling by its duration where the difference is.
pub(super) fn same(left: &str, right: &str) -> bool {
    left.as_bytes().ct_eq(right.as_bytes()).into()
}

/// Never happens: HMAC takes keys of any length. Refusing is the safe answer all the same.
fn unusable_key() -> Refusal {
    Refusal::new(Condition::Internal, "The key cannot be used.")
}
