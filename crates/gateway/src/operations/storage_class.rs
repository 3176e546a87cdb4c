//! Storage classes: a name that is kept and given back; all objects are stored alike.
//!
//! The two protocols have different names. A class is stored as its writer named it, and told to
//! the other protocol by the nearest name that one has.

use actix_web::http::header::HeaderMap;
use model::Condition;
use service::{Error, Result};

use super::attributes::text;
use crate::dialect::Dialect;

/// S3 name, and the OSS name told for it. The first row is the standard class.
const S3_CLASSES: [(&str, &str); 8] = [
    ("STANDARD", "Standard"),
    ("REDUCED_REDUNDANCY", "Standard"),
    ("STANDARD_IA", "IA"),
    ("ONEZONE_IA", "IA"),
    ("INTELLIGENT_TIERING", "Standard"),
    ("GLACIER_IR", "Archive"),
    ("GLACIER", "ColdArchive"),
    ("DEEP_ARCHIVE", "DeepColdArchive"),
];

/// OSS name, and the S3 name told for it. The first row is the standard class.
const OSS_CLASSES: [(&str, &str); 5] = [
    ("Standard", "STANDARD"),
    ("IA", "STANDARD_IA"),
    ("Archive", "GLACIER_IR"),
    ("ColdArchive", "GLACIER"),
    ("DeepColdArchive", "DEEP_ARCHIVE"),
];

/// The class a request asks for; `None` is the standard one.
///
/// # Errors
/// `InvalidStorageClass` for a name the protocol does not have.
pub fn of_request(dialect: Dialect, headers: &HeaderMap) -> Result<Option<String>> {
    Ok(named(dialect, headers)?.filter(|class| *class != standard(dialect)).map(str::to_owned))
}

/// As [`of_request`], but the standard class is told from none.
///
/// # Errors
/// As [`of_request`].
pub fn named(dialect: Dialect, headers: &HeaderMap) -> Result<Option<&'static str>> {
    let header = format!("{}storage-class", dialect.header_prefix());
    let Some(class) = text(headers, &header)? else { return Ok(None) };
    let known = match dialect {
        Dialect::S3 => S3_CLASSES.iter().map(|(name, _)| *name).find(|name| *name == class),
        Dialect::Oss => {
            OSS_CLASSES.iter().map(|(name, _)| *name).find(|name| name.eq_ignore_ascii_case(class))
        }
    };
    let unknown =
        || Error::from(Condition::InvalidStorageClass).field("StorageClassRequested", class);
    known.ok_or_else(unknown).map(Some)
}

/// The standard class of `dialect`.
pub const fn standard(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::S3 => "STANDARD",
        Dialect::Oss => "Standard",
    }
}

/// The name in `dialect` of a stored class.
pub fn name(dialect: Dialect, stored: Option<&str>) -> &'static str {
    let Some(stored) = stored else { return standard(dialect) };
    let pairs = S3_CLASSES.iter().map(|(s3, oss)| (*s3, *s3, *oss));
    let mut pairs = pairs.chain(OSS_CLASSES.iter().map(|(oss, s3)| (*oss, *s3, *oss)));
    match (pairs.find(|(known, ..)| *known == stored), dialect) {
        (Some((_, s3, _)), Dialect::S3) => s3,
        (Some((.., oss)), Dialect::Oss) => oss,
        (None, dialect) => standard(dialect),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::attributes::tests::headers;

    #[test]
    fn a_class_keeps_its_name_and_has_one_in_the_other_protocol() {
        for (stored, s3, oss) in [
            (None, "STANDARD", "Standard"),
            (Some("ONEZONE_IA"), "ONEZONE_IA", "IA"),
            (Some("IA"), "STANDARD_IA", "IA"),
            (Some("ColdArchive"), "GLACIER", "ColdArchive"),
            (Some("GLACIER"), "GLACIER", "ColdArchive"),
        ] {
            assert_eq!(name(Dialect::S3, stored), s3, "{stored:?}");
            assert_eq!(name(Dialect::Oss, stored), oss, "{stored:?}");
        }
    }

    #[test]
    fn only_names_of_the_protocol_are_taken() {
        let asked = |dialect, header, class| of_request(dialect, &headers(&[(header, class)]));
        let (s3, oss) = ("x-amz-storage-class", "x-oss-storage-class");
        assert_eq!(asked(Dialect::S3, s3, "STANDARD").unwrap(), None);
        assert_eq!(asked(Dialect::S3, s3, "GLACIER").unwrap(), Some("GLACIER".into()));
        assert_eq!(asked(Dialect::Oss, oss, "ia").unwrap(), Some("IA".into()));
        assert_eq!(asked(Dialect::Oss, oss, "Standard").unwrap(), None);
        for (dialect, header, class) in
            [(Dialect::S3, s3, "standard"), (Dialect::S3, s3, "IA"), (Dialect::Oss, oss, "GLACIER")]
        {
            let error = asked(dialect, header, class).unwrap_err();
            assert_eq!(error.condition, Condition::InvalidStorageClass, "{class}");
        }
    }
}
