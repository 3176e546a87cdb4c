//! What the answers of object operations have in common: tags, dates, versions, owners.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use model::{
    names::AccountId,
    records::{Account, Etag, ObjectData, Version, Versioning},
};
use service::objects::write::Written;

use super::checksums;
use crate::{
    dialect::Dialect,
    wire::Reply,
    xml::{self, Writer},
};

/// An entity tag in quotes; OSS writes it in upper case.
pub fn etag(dialect: Dialect, etag: &Etag) -> String {
    match dialect {
        Dialect::S3 => format!("\"{etag}\""),
        Dialect::Oss => format!("\"{}\"", etag.to_string().to_ascii_uppercase()),
    }
}

/// A date of a document in whole seconds, so that it agrees with the `Last-Modified` header.
pub fn date(unix_ms: i64) -> String {
    xml::date(unix_ms - unix_ms.rem_euclid(1000))
}

/// Adds the id of a version that was read: a bucket that never had versions names none.
pub fn add_read_version(
    reply: &mut Reply,
    dialect: Dialect,
    version: &Version,
    versioning: Versioning,
) {
    if versioning != Versioning::Unversioned {
        reply.add_own(dialect, "version-id", version.client_id());
    }
}

/// Adds the id of a version that was written; S3 names none while versioning is suspended.
pub fn add_written_version(reply: &mut Reply, dialect: Dialect, written: &Written) {
    let named = match dialect {
        Dialect::S3 => written.versioning == Versioning::Enabled,
        Dialect::Oss => written.versioning != Versioning::Unversioned,
    };
    if named {
        reply.add_own(dialect, "version-id", written.version.client_id());
    }
}

/// Adds what each protocol tells of the bytes themselves, to check them by.
///
/// - `whole`: the answer is about all bytes, so their MD5 may stand in it.
pub fn add_digests(reply: &mut Reply, dialect: Dialect, object: &ObjectData, whole: bool) {
    match dialect {
        Dialect::S3 => {
            if let Some(checksum) = object.checksum.as_ref().filter(|_| whole) {
                let (name, value) = checksums::header(checksum, object.etag.parts);
                reply.add(&name, value);
                reply.add("x-amz-checksum-type", checksums::kind_name(checksum.kind));
            }
        }
        Dialect::Oss => {
            add_crc64(reply, object.crc64);
            if whole && object.etag.parts.is_none() {
                reply.add("content-md5", BASE64.encode(object.etag.md5));
            }
        }
    }
}

/// Adds the CRC-64/XZ of all bytes, as a decimal number.
pub fn add_crc64(reply: &mut Reply, crc64: u64) {
    reply.add("x-oss-hash-crc64ecma", crc64.to_string());
}

/// Adds an account to a document: S3 by its canonical id, OSS by its number, which is its name too.
pub fn write_owner(xml: &mut Writer, dialect: Dialect, element: &'static str, account: &Account) {
    match dialect {
        Dialect::S3 => write_named(xml, element, &account.canonical_id, &account.name),
        Dialect::Oss => write_named(xml, element, account.id.as_str(), account.id.as_str()),
    }
}

/// As [`write_owner`], of the owner of what is listed: one of `owners`, or else the bucket's.
pub fn write_owner_of(
    xml: &mut Writer,
    dialect: Dialect,
    id: &AccountId,
    (owners, bucket_owner): (&[Account], &Account),
) {
    let owner = owners.iter().find(|owner| owner.id == *id).unwrap_or(bucket_owner);
    write_owner(xml, dialect, "Owner", owner);
}

/// As [`write_owner`], of whoever began an upload: `known`, or somebody with only an id.
pub fn write_initiator(
    xml: &mut Writer,
    dialect: Dialect,
    element: &'static str,
    (id, known): (&AccountId, &Account),
) {
    if *id == known.id {
        write_owner(xml, dialect, element, known);
    } else {
        write_named(xml, element, id.as_str(), id.as_str());
    }
}

fn write_named(xml: &mut Writer, element: &'static str, id: &str, name: &str) {
    xml.open(element).text("ID", id).text("DisplayName", name).close();
}

#[cfg(test)]
pub(super) mod tests {
    use model::{
        checksums::Algorithm,
        names::{ContentId, VersionId},
        records::{Attributes, Checksum, ChecksumKind},
        tags::Tags,
    };

    use super::*;

    /// An account whose three names all differ.
    pub fn account() -> Account {
        Account {
            id: AccountId::parse("123456789012").unwrap(),
            canonical_id: "c0ffee".into(),
            name: "Tester".into(),
            email: None,
            created_ms: 0,
            root: false,
            access_block: None,
        }
    }

    /// 9 bytes (`123456789`), written 2012-02-24T08:43:07.045Z.
    pub fn version() -> Version {
        let checksum = Checksum {
            algorithm: Algorithm::Crc32,
            value: vec![0xcb, 0xf4, 0x39, 0x26],
            kind: ChecksumKind::FullObject,
        };
        Version {
            id: VersionId { order: 1, random: 2 },
            null: false,
            modified_ms: 1_330_072_987_045,
            object: Some(ObjectData {
                content: ContentId([0; 16]),
                size_bytes: 9,
                etag: Etag { md5: [0xab; 16], parts: None },
                crc64: 0x995d_c9bb_df19_39fa,
                checksum: Some(checksum),
                attributes: Attributes::default(),
            }),
            owner: account().id,
            acl: None,
            tags: Tags::default(),
        }
    }

    #[test]
    fn a_write_names_its_version_where_there_is_one() {
        let named = |dialect, versioning| {
            let mut reply = Reply::new(200);
            let null = versioning == Versioning::Suspended;
            let version = Version { null, ..version() };
            add_written_version(&mut reply, dialect, &Written { version, versioning });
            reply.get(&format!("{}version-id", dialect.header_prefix())).map(str::to_owned)
        };
        let id = Some("00000000000000010000000000000002".to_owned());
        assert_eq!(named(Dialect::S3, Versioning::Enabled), id);
        assert_eq!(named(Dialect::S3, Versioning::Suspended), None);
        assert_eq!(named(Dialect::S3, Versioning::Unversioned), None);
        assert_eq!(named(Dialect::Oss, Versioning::Enabled), id);
        assert_eq!(named(Dialect::Oss, Versioning::Suspended), Some("null".to_owned()));
        assert_eq!(named(Dialect::Oss, Versioning::Unversioned), None);
    }

    #[test]
    fn each_protocol_has_its_own_digests() {
        let object = version().object.unwrap();
        let mut s3 = Reply::new(200);
        add_digests(&mut s3, Dialect::S3, &object, true);
        assert_eq!(s3.get("x-amz-checksum-crc32"), Some("y/Q5Jg=="));
        assert_eq!(s3.get("x-amz-checksum-type"), Some("FULL_OBJECT"));
        let mut oss = Reply::new(200);
        add_digests(&mut oss, Dialect::Oss, &object, true);
        assert_eq!(oss.get("x-oss-hash-crc64ecma"), Some("11051210869376104954"));
        assert_eq!(oss.get("content-md5"), Some("q6urq6urq6urq6urq6urqw=="));
        let upper = "\"ABABABABABABABABABABABABABABABAB\"";
        assert_eq!(etag(Dialect::Oss, &object.etag), upper);
        assert_eq!(etag(Dialect::S3, &object.etag), upper.to_ascii_lowercase());
    }
}
