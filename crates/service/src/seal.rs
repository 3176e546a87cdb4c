//! Secret keys and seeds of second factors at rest, and session tokens: sealed with AES-256-GCM
//! under the store's master key.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use model::{Condition, totp::Seed};

use crate::{Error, Result};

pub(crate) struct Seal(LessSafeKey);

impl Seal {
    pub fn new(master_key: &[u8; 32]) -> Result<Self> {
        let key = UnboundKey::new(&AES_256_GCM, master_key).map_err(Error::internal)?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// Seals a secret for its access key: it opens for no other one. The nonce goes in front.
    pub fn seal(&self, nonce: [u8; NONCE_LEN], access_key: &str, secret: &str) -> Result<Vec<u8>> {
        self.seal_bytes(nonce, access_key.as_bytes(), secret.as_bytes().to_vec())
    }

    /// Seals what a session token says, for the access key it was issued with.
    pub fn seal_token(
        &self,
        nonce: [u8; NONCE_LEN],
        access_key: &str,
        claims: Vec<u8>,
    ) -> Result<Vec<u8>> {
        self.seal_bytes(nonce, &token_name(access_key), claims)
    }

    /// Opens what [`Self::seal_token`] made; `None` if it is no token of that key.
    pub fn open_token(&self, access_key: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        self.open_bytes(&token_name(access_key), sealed)
    }

    /// Seals the seed of a device, by its serial number.
    pub fn seal_seed(&self, nonce: [u8; NONCE_LEN], serial: &str, seed: &Seed) -> Result<Vec<u8>> {
        self.seal_bytes(nonce, &seed_name(serial), seed.0.to_vec())
    }

    /// Opens what [`Self::seal_seed`] made.
    pub fn open_seed(&self, serial: &str, sealed: &[u8]) -> Result<Seed> {
        let opened = self.open_bytes(&seed_name(serial), sealed);
        let seed = opened.and_then(|seed| Some(Seed(seed.try_into().ok()?)));
        seed.ok_or_else(|| Error::new(Condition::Internal, "a second factor does not open"))
    }

    fn seal_bytes(
        &self,
        nonce: [u8; NONCE_LEN],
        name: &[u8],
        mut sealed: Vec<u8>,
    ) -> Result<Vec<u8>> {
        let aad = Aad::from(name);
        let nonce_bytes = nonce;
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed)
            .map_err(Error::internal)?;
        Ok([nonce_bytes.as_slice(), &sealed].concat())
    }

    /// Opens what [`Self::seal`] made.
    pub fn open(&self, access_key: &str, sealed: &[u8]) -> Result<String> {
        let wrong = || Error::new(Condition::Internal, "a secret key does not open");
        let secret = self.open_bytes(access_key.as_bytes(), sealed).ok_or_else(wrong)?;
        String::from_utf8(secret).map_err(|_| wrong())
    }

    fn open_bytes(&self, name: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut text = text.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.0.open_in_place(nonce, Aad::from(name), &mut text).ok()?;
        Some(opened.to_vec())
    }
}

/// No access key has a NUL in it: a token never opens as a secret, nor a secret as a token.
fn token_name(access_key: &str) -> Vec<u8> {
    [b"token\0", access_key.as_bytes()].concat()
}

fn seed_name(serial: &str) -> Vec<u8> {
    [b"mfa\0", serial.as_bytes()].concat()
}

/// Whether a stored secret opens under a master key.
pub fn opens_secret(master_key: &[u8; 32], access_key: &str, sealed: &[u8]) -> bool {
    Seal::new(master_key).is_ok_and(|seal| seal.open(access_key, sealed).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_for_its_own_access_key_and_master_key_only() {
        let seal = Seal::new(&[1; 32]).expect("a key");
        let sealed = seal.seal([2; 12], "AK", "secret").expect("it seals");
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        assert_eq!(seal.open("AK", &sealed).expect("it opens"), "secret");
        assert!(seal.open("OTHER", &sealed).is_err());
        assert!(Seal::new(&[3; 32]).expect("a key").open("AK", &sealed).is_err());
        assert!(seal.open("AK", &sealed[..5]).is_err());
    }

    #[test]
    fn a_seed_opens_for_its_own_device_only() {
        let (seal, seed) = (Seal::new(&[1; 32]).expect("a key"), Seed(*b"12345678901234567890"));
        let sealed = seal.seal_seed([2; 12], "arn:1", &seed).expect("it seals");
        assert!(!sealed.windows(5).any(|window| window == b"12345"));
        assert_eq!(seal.open_seed("arn:1", &sealed).expect("it opens"), seed);
        assert!(seal.open_seed("arn:2", &sealed).is_err());
        assert!(seal.open("mfa\0arn:1", &sealed[..9]).is_err());
    }
}
