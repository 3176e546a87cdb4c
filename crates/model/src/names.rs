//! Names: parsed once at the door, valid ever after.

use std::{fmt, net::Ipv4Addr, str::FromStr};

use minicbor::{Decode, Encode};

use crate::{
    Condition,
    limits::{BUCKET_NAME_BYTES, KEY_BYTES_MAX},
};

/// A bucket's name: 3–63 of `a-z0-9.-`, as both protocols accept.
///
/// Source: S3 "General purpose bucket naming rules"; OSS is the same without dots.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct BucketName(#[n(0)] String);

impl BucketName {
    /// # Errors
    /// [`Condition::InvalidBucketName`] for anything outside the rules.
    pub fn parse(name: &str) -> Result<Self, Condition> {
        let edge = |byte: Option<&u8>| {
            byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        let bytes = name.as_bytes();
        let valid = BUCKET_NAME_BYTES.contains(&bytes.len())
            && bytes.iter().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.')
            })
            && edge(bytes.first())
            && edge(bytes.last())
            && !name.contains("..")
            && !name.contains(".-")
            && !name.contains("-.")
            && Ipv4Addr::from_str(name).is_err()
            && !name.starts_with("xn--")
            && !name.ends_with("-s3alias")
            && !name.ends_with("--ol-s3");
        if valid { Ok(Self(name.to_owned())) } else { Err(Condition::InvalidBucketName) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BucketName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// An object's key: 1–1024 bytes of any UTF-8. Never a file path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct ObjectKey(#[n(0)] String);

impl ObjectKey {
    /// # Errors
    /// [`Condition::KeyTooLong`] above 1024 bytes, [`Condition::InvalidObjectName`] when empty.
    pub fn parse(key: &str) -> Result<Self, Condition> {
        match key.len() {
            0 => Err(Condition::InvalidObjectName),
            1..=KEY_BYTES_MAX => Ok(Self(key.to_owned())),
            _ => Err(Condition::KeyTooLong),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Which version of a key: the key's order number and random bits, so that an id never returns.
///
/// Clients see 32 hexadecimal digits, or `null` for the version that has no id of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct VersionId {
    /// Counts the versions of one key, from 1; the highest is the latest.
    #[n(0)]
    pub order: u64,
    /// 64 random bits.
    #[n(1)]
    pub random: u64,
}

impl VersionId {
    /// Reads the 32 digits a client was given.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let (order, random) = text.split_at(16);
        Some(Self {
            order: u64::from_str_radix(order, 16).ok()?,
            random: u64::from_str_radix(random, 16).ok()?,
        })
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}{:016x}", self.order, self.random)
    }
}

/// What a request names by `versionId`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionSelector {
    /// No version id: the latest version.
    Latest,
    /// `versionId=null`.
    Null,
    /// One version.
    Id(VersionId),
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
        #[cbor(transparent)]
        pub struct $name(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 16]);

        impl $name {
            /// Reads 32 hexadecimal digits.
            pub fn parse(text: &str) -> Option<Self> {
                if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    return None;
                }
                u128::from_str_radix(text, 16).ok().map(|value| Self(value.to_be_bytes()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{:032x}", u128::from_be_bytes(self.0))
            }
        }
    };
}

identifier! {
    /// One content: bytes a version names. Several versions may share it.
    ContentId
}
identifier! {
    /// One multipart upload.
    UploadId
}

/// A bucket's number: given once, never again, so that a successor of the same name is another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct BucketId(#[n(0)] pub u64);

/// An account's id: 12 digits unless the configuration declares another; the OSS uid too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct AccountId(#[n(0)] String);

impl AccountId {
    /// Any text of 1–128 bytes without control characters.
    pub fn parse(id: &str) -> Option<Self> {
        let valid = (1..=128).contains(&id.len()) && !id.chars().any(char::is_control);
        valid.then(|| Self(id.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_names_follow_the_published_rules() {
        for name in ["abc", "my-bucket", "a.b.c", "0ab", &"a".repeat(63)] {
            assert!(BucketName::parse(name).is_ok(), "{name}");
        }
        let long = "a".repeat(64);
        for name in
            ["", "ab", "Abc", "a_b", "-ab", "ab-", "a..b", "a.-b", "192.168.5.4", "xn--a", &long]
        {
            assert_eq!(BucketName::parse(name), Err(Condition::InvalidBucketName), "{name}");
        }
    }

    #[test]
    fn a_key_is_any_text_of_1_to_1024_bytes() {
        for key in ["..", "a//b", "/", "line\nbreak", &"é".repeat(512)] {
            assert!(ObjectKey::parse(key).is_ok(), "{key}");
        }
        assert_eq!(ObjectKey::parse(""), Err(Condition::InvalidObjectName));
        assert_eq!(ObjectKey::parse(&"a".repeat(1025)), Err(Condition::KeyTooLong));
    }

    #[test]
    fn a_version_id_reads_back_as_written() {
        let id = VersionId { order: 7, random: u64::MAX };
        assert_eq!(id.to_string(), "0000000000000007ffffffffffffffff");
        assert_eq!(VersionId::parse(&id.to_string()), Some(id));
        for text in ["", "null", "+000000000000007ffffffffffffffff", &"é".repeat(16)] {
            assert_eq!(VersionId::parse(text), None, "{text}");
        }
    }
}
