//! Tags of objects and buckets: what they may be.

use minicbor::{Decode, Encode};

/// A key and its value.
pub type Tag = (String, String);

/// The tags of one object or bucket: each key once, in order of the keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Tags(#[n(0)] Vec<Tag>);

/// What tags may be, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    pub count_max: usize,
    pub key_max: usize,
    pub value_max: usize,
    /// Letters, digits, spaces and a few signs only; any text otherwise.
    pub plain: bool,
    /// How keys begin that only the service itself sets, in lower case.
    pub reserved: &'static [&'static str],
}

impl Rules {
    /// Source: S3 "Categorizing your objects using tags".
    pub const OF_OBJECT_S3: Self =
        Self { count_max: 10, key_max: 128, value_max: 256, plain: true, reserved: &["aws:"] };
    /// Source: OSS PutObjectTagging.
    pub const OF_OBJECT_OSS: Self = Self { reserved: &[], ..Self::OF_OBJECT_S3 };
    /// Source: S3 "Using cost allocation S3 bucket tags".
    pub const OF_BUCKET_S3: Self = Self { count_max: 50, ..Self::OF_OBJECT_S3 };
    /// Source: OSS PutBucketTags.
    pub const OF_BUCKET_OSS: Self = Self {
        count_max: 20,
        key_max: 64,
        value_max: 128,
        plain: false,
        reserved: &["http://", "https://", "aliyun", "acs:"],
    };

    fn fits(&self, text: &str, characters_max: usize) -> bool {
        let may_be = |character: char| match character {
            // XML has no place for these.
            '\u{fffe}' | '\u{ffff}' => false,
            _ if character.is_control() => false,
            ' ' | '+' | '-' | '=' | '.' | '_' | ':' | '/' | '@' => true,
            _ => !self.plain || character.is_alphanumeric() || character.is_whitespace(),
        };
        text.chars().count() <= characters_max && text.chars().all(may_be)
    }

    fn is_reserved(&self, key: &str) -> bool {
        let begins = |start: &&str| {
            key.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start))
        };
        self.reserved.iter().any(begins)
    }
}

/// Why some tags cannot be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    TooMany,
    /// A key is empty, too long, or has characters that no tag has.
    Key,
    /// A value is too long, or has characters that no tag has.
    Value,
    Reserved,
    KeyTwice,
}

impl Tags {
    /// # Errors
    /// What is wrong with the first that cannot be.
    pub fn new(mut tags: Vec<Tag>, rules: &Rules) -> Result<Self, Fault> {
        if tags.len() > rules.count_max {
            return Err(Fault::TooMany);
        }
        for (key, value) in &tags {
            if key.is_empty() || !rules.fits(key, rules.key_max) {
                return Err(Fault::Key);
            }
            if !rules.fits(value, rules.value_max) {
                return Err(Fault::Value);
            }
            if rules.is_reserved(key) {
                return Err(Fault::Reserved);
            }
        }
        tags.sort();
        let twice = tags.windows(2).any(|pair| matches!(pair, [(one, _), (two, _)] if one == two));
        if twice { Err(Fault::KeyTwice) } else { Ok(Self(tags)) }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn as_slice(&self) -> &[Tag] {
        &self.0
    }

    /// The others than those of these keys.
    #[must_use]
    pub fn without(mut self, keys: &[String]) -> Self {
        self.0.retain(|(key, _)| !keys.contains(key));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(rules: &Rules, tags: &[(&str, &str)]) -> Option<Fault> {
        let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Tags::new(tags.collect(), rules).err()
    }

    #[test]
    fn tags_are_what_each_protocol_lets_them_be() {
        let (s3, oss) = (&Rules::OF_OBJECT_S3, &Rules::OF_OBJECT_OSS);
        let (s3_bucket, oss_bucket) = (&Rules::OF_BUCKET_S3, &Rules::OF_BUCKET_OSS);
        let long = |length: usize| "ä".repeat(length);
        let (k64, k65, k128, k129, k256, k257) =
            (long(64), long(65), long(128), long(129), long(256), long(257));
        for (rules, key, value, expected) in [
            (s3, "Class 1+-=._:/@é", "", None),
            (s3, "", "x", Some(Fault::Key)),
            (s3, k128.as_str(), k256.as_str(), None),
            (s3, k129.as_str(), "", Some(Fault::Key)),
            (s3, "k", k257.as_str(), Some(Fault::Value)),
            (s3, "a&b", "", Some(Fault::Key)),
            (s3, "a", "b\n", Some(Fault::Value)),
            (s3, "AWS:x", "", Some(Fault::Reserved)),
            (oss, "aws:x", "", None),
            (s3_bucket, "aws:x", "", Some(Fault::Reserved)),
            (s3_bucket, "acs:x", "", None),
            (oss_bucket, "acs:x", "", Some(Fault::Reserved)),
            (oss_bucket, "aliyun", "", Some(Fault::Reserved)),
            (oss_bucket, "HTTPS://x", "", Some(Fault::Reserved)),
            (oss_bucket, "a&b;c", "<d>", None),
            (oss_bucket, "a", "\u{ffff}", Some(Fault::Value)),
            (oss_bucket, k64.as_str(), k128.as_str(), None),
            (oss_bucket, k65.as_str(), "", Some(Fault::Key)),
            (oss_bucket, "k", k129.as_str(), Some(Fault::Value)),
        ] {
            assert_eq!(fault(rules, &[(key, value)]), expected, "{key}={value}");
        }
    }

    #[test]
    fn there_are_so_many_tags_and_each_key_once() {
        let names: Vec<_> = (0..51).map(|number| number.to_string()).collect();
        let tags: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
        for (rules, max) in [(&Rules::OF_OBJECT_S3, 10), (&Rules::OF_BUCKET_S3, 50)] {
            assert_eq!(fault(rules, &tags[..max]), None);
            assert_eq!(fault(rules, &tags[..=max]), Some(Fault::TooMany));
        }
        let twice = [("a", "1"), ("b", ""), ("a", "2")];
        assert_eq!(fault(&Rules::OF_OBJECT_OSS, &twice), Some(Fault::KeyTwice));
        assert_eq!(fault(&Rules::OF_OBJECT_OSS, &[("a", "1"), ("A", "1")]), None);
    }
}
