//! Every key family: prefix and layout. Order-preserving; the prefixes are persisted.
//!
//! | prefix | key | value |
//! |---|---|---|
//! | `A` | account id | `Account` |
//! | `a` | access key | `AccessKey` |
//! | `B` | bucket name | `Bucket` |
//! | `I` | bucket id, 8 bytes | bucket name; stays when the bucket goes, so that no id returns |
//! | `D` | bucket id, kind of document | `BucketDocument` |
//! | `O` | owner, end, bucket name | nothing |
//! | `C` | bucket id, key | `Version`: the latest one, never a delete marker |
//! | `H` | bucket id, key, end, inverted order | `Version`: all others |
//! | `n` | bucket id, key | order of the null version in `H` |
//! | `c` | content id | `Content` |
//! | `r` | content id | counter: references beyond the first |
//! | `p` | content id, row number, 4 bytes | up to 250 `ContentPart` |
//! | `b` | blob id | its location, if it is a part of an upload or of a multipart content |
//! | `U` | bucket id, key, end, upload id | `Upload` |
//! | `P` | upload id, part number, 4 bytes | `Part` |
//! | `R` | upload id | counter: part writes so far |
//! | `Q` | upload id | counter: parts there are |
//! | `F` | upload id | `FinishedUpload` |
//! | `G` | unix milliseconds, 8 bytes, 8 random bytes | `Garbage` |
//! | `S` | segment key | counter: live bytes in the segment |
//! | `u` | scope, see `usage` | counter |
//! | `L` | incarnation id | start, and whether it ended |
//! | `M` | name | facts about the store |
//! | `e` | account, end, kind (0 user, 1 group, 2 role), name in lower case | `Entity` |
//! | `m` | account, end, name in lower case | `ManagedPolicy` |
//! | `f` | account, end, name in lower case | `MfaDevice` |
//! | `v` | account id | revision of the account's entities and policies |
//! | `o` | account, end, host and path of the provider | `OidcProvider` |
//! | `k` | access key | `KeyUse`: when it was used last |
//! | `l` | 0, number of the commit, 8 bytes | `AuditEntry` |
//! | `l` | 1, account id | counter: entries of changes by that account |
//! | `N` | bucket id | `Recount`: its bytes are being brought to another number of copies |
//!
//! Variable text that is not last is escaped: NUL becomes `00 01`, and `00 00` ends it.

use model::{
    entities::EntityKind,
    names::{AccountId, BucketId, BucketName, ContentId, ObjectKey, UploadId},
    records::DocumentKind,
};

use crate::engine::ScanRange;

pub const ACCOUNT: u8 = b'A';
pub const ACCESS_KEY: u8 = b'a';
pub const BUCKET: u8 = b'B';
pub const BUCKET_ID: u8 = b'I';
pub const DOCUMENT: u8 = b'D';
pub const OWNED: u8 = b'O';
pub const CURRENT: u8 = b'C';
pub const HISTORY: u8 = b'H';
pub const NULL_ORDER: u8 = b'n';
pub const CONTENT: u8 = b'c';
pub const REFERENCES: u8 = b'r';
pub const CONTENT_PARTS: u8 = b'p';
pub const BLOB: u8 = b'b';
pub const UPLOAD: u8 = b'U';
pub const PART: u8 = b'P';
pub const PART_WRITES: u8 = b'R';
pub const PART_COUNT: u8 = b'Q';
pub const FINISHED: u8 = b'F';
pub const GARBAGE: u8 = b'G';
pub const SEGMENT: u8 = b'S';
pub const USAGE: u8 = b'u';
pub const LEASE: u8 = b'L';
pub const FACT: u8 = b'M';
pub const ENTITY: u8 = b'e';
pub const MANAGED_POLICY: u8 = b'm';
pub const MFA_DEVICE: u8 = b'f';
pub const ENTITY_REVISION: u8 = b'v';
pub const OIDC_PROVIDER: u8 = b'o';
pub const KEY_USE: u8 = b'k';
pub const RECOUNT: u8 = b'N';
pub const AUDIT: u8 = b'l';

/// `prefix` followed by `parts`.
pub fn join(prefix: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + parts.iter().map(|part| part.len()).sum::<usize>());
    key.push(prefix);
    parts.iter().for_each(|part| key.extend_from_slice(part));
    key
}

/// Escapes text without its end, so that the escape of a prefix is a prefix of the escape.
pub fn escape(text: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(text.len() + 2);
    for byte in text {
        escaped.push(*byte);
        if *byte == 0 {
            escaped.push(1);
        }
    }
    escaped
}

fn ended(text: &[u8]) -> Vec<u8> {
    let mut escaped = escape(text);
    escaped.extend_from_slice(&[0, 0]);
    escaped
}

/// Splits off escaped text and its end: (text, rest).
pub fn unescape(bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut text = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    loop {
        match rest {
            [0, 0, rest @ ..] => return Some((text, rest)),
            [0, 1, next @ ..] => {
                text.push(0);
                rest = next;
            }
            [0, ..] | [] => return None,
            [byte, next @ ..] => {
                text.push(*byte);
                rest = next;
            }
        }
    }
}

/// All keys that begin with `start`.
pub fn within(start: Vec<u8>) -> ScanRange {
    let end = model::listing::successor(&start).unwrap_or_default();
    ScanRange { start, end }
}

pub fn account(id: &AccountId) -> Vec<u8> {
    join(ACCOUNT, &[id.as_str().as_bytes()])
}

pub fn access_key(name: &str) -> Vec<u8> {
    join(ACCESS_KEY, &[name.as_bytes()])
}

/// Names differ by more than the case of their letters.
pub fn entity(account: &AccountId, kind: EntityKind, name: &str) -> Vec<u8> {
    let mut row = entities(account, kind).start;
    row.extend_from_slice(name.to_lowercase().as_bytes());
    row
}

/// All of a kind.
pub fn entities(account: &AccountId, kind: EntityKind) -> ScanRange {
    let kind = match kind {
        EntityKind::User => 0,
        EntityKind::Group => 1,
        EntityKind::Role => 2,
    };
    within(join(ENTITY, &[&ended(account.as_str().as_bytes()), &[kind]]))
}

/// Of every kind.
pub fn account_entities(account: &AccountId) -> ScanRange {
    within(join(ENTITY, &[&ended(account.as_str().as_bytes())]))
}

/// All that an account gives rights to: gone with it.
pub fn of_account(account: &AccountId) -> [ScanRange; 4] {
    [
        account_entities(account),
        managed_policies(account),
        mfa_devices(account),
        oidc_providers(account),
    ]
}

pub fn managed_policy(account: &AccountId, name: &str) -> Vec<u8> {
    let mut row = managed_policies(account).start;
    row.extend_from_slice(name.to_lowercase().as_bytes());
    row
}

pub fn managed_policies(account: &AccountId) -> ScanRange {
    within(join(MANAGED_POLICY, &[&ended(account.as_str().as_bytes())]))
}

pub fn mfa_device(account: &AccountId, name: &str) -> Vec<u8> {
    let mut row = mfa_devices(account).start;
    row.extend_from_slice(name.to_lowercase().as_bytes());
    row
}

pub fn mfa_devices(account: &AccountId) -> ScanRange {
    within(join(MFA_DEVICE, &[&ended(account.as_str().as_bytes())]))
}

pub fn entity_revision(account: &AccountId) -> Vec<u8> {
    join(ENTITY_REVISION, &[account.as_str().as_bytes()])
}

pub fn oidc_provider(account: &AccountId, place: &str) -> Vec<u8> {
    let mut row = oidc_providers(account).start;
    row.extend_from_slice(place.as_bytes());
    row
}

pub fn oidc_providers(account: &AccountId) -> ScanRange {
    within(join(OIDC_PROVIDER, &[&ended(account.as_str().as_bytes())]))
}

pub fn key_use(access_key: &str) -> Vec<u8> {
    join(KEY_USE, &[access_key.as_bytes()])
}

pub fn bucket(name: &BucketName) -> Vec<u8> {
    join(BUCKET, &[name.as_str().as_bytes()])
}

pub fn bucket_id(id: BucketId) -> Vec<u8> {
    join(BUCKET_ID, &[&id.0.to_be_bytes()])
}

pub fn document(bucket: BucketId, kind: DocumentKind) -> Vec<u8> {
    let kind = match kind {
        DocumentKind::Policy => 0,
        DocumentKind::Cors => 1,
        DocumentKind::Referer => 2,
        DocumentKind::Tags => 3,
    };
    join(DOCUMENT, &[&bucket.0.to_be_bytes(), &[kind]])
}

/// The row of one bucket of an owner; with an empty name, the start of all of them.
pub fn owned(owner: &AccountId, name: &str) -> Vec<u8> {
    join(OWNED, &[&ended(owner.as_str().as_bytes()), name.as_bytes()])
}

pub fn current(bucket: BucketId, key: &[u8]) -> Vec<u8> {
    join(CURRENT, &[&bucket.0.to_be_bytes(), key])
}

/// The key in a row of the current family.
pub fn current_key(row: &[u8]) -> Option<ObjectKey> {
    ObjectKey::parse(std::str::from_utf8(row.get(9..)?).ok()?).ok()
}

pub fn history(bucket: BucketId, key: &ObjectKey, order: u64) -> Vec<u8> {
    let mut row = history_of(bucket, key);
    row.extend_from_slice(&(!order).to_be_bytes());
    row
}

/// What all history rows of a key begin with.
pub fn history_of(bucket: BucketId, key: &ObjectKey) -> Vec<u8> {
    join(HISTORY, &[&bucket.0.to_be_bytes(), &ended(key.as_str().as_bytes())])
}

/// Where the history of keys that begin with or follow `key` starts.
pub fn history_from(bucket: BucketId, key: &[u8]) -> Vec<u8> {
    join(HISTORY, &[&bucket.0.to_be_bytes(), &escape(key)])
}

/// The key in a row of a family that escapes it: history, uploads.
pub fn escaped_key(row: &[u8]) -> Option<ObjectKey> {
    let (key, _) = unescape(row.get(9..)?)?;
    ObjectKey::parse(std::str::from_utf8(&key).ok()?).ok()
}

pub fn null_order(bucket: BucketId, key: &ObjectKey) -> Vec<u8> {
    join(NULL_ORDER, &[&bucket.0.to_be_bytes(), key.as_str().as_bytes()])
}

pub fn content(id: ContentId) -> Vec<u8> {
    join(CONTENT, &[&id.0])
}

pub fn references(id: ContentId) -> Vec<u8> {
    join(REFERENCES, &[&id.0])
}

pub fn content_parts(id: ContentId, row: u32) -> Vec<u8> {
    join(CONTENT_PARTS, &[&id.0, &row.to_be_bytes()])
}

pub fn blob(id: &[u8; 16]) -> Vec<u8> {
    join(BLOB, &[id])
}

pub fn upload(bucket: BucketId, key: &ObjectKey, id: UploadId) -> Vec<u8> {
    join(UPLOAD, &[&bucket.0.to_be_bytes(), &ended(key.as_str().as_bytes()), &id.0])
}

/// Where the uploads of keys that begin with or follow `key` start.
pub fn upload_from(bucket: BucketId, key: &[u8]) -> Vec<u8> {
    join(UPLOAD, &[&bucket.0.to_be_bytes(), &escape(key)])
}

pub fn part(upload: UploadId, number: u32) -> Vec<u8> {
    join(PART, &[&upload.0, &number.to_be_bytes()])
}

pub fn part_writes(upload: UploadId) -> Vec<u8> {
    join(PART_WRITES, &[&upload.0])
}

pub fn part_count(upload: UploadId) -> Vec<u8> {
    join(PART_COUNT, &[&upload.0])
}

pub fn finished(upload: UploadId) -> Vec<u8> {
    join(FINISHED, &[&upload.0])
}

pub fn garbage(now_ms: i64, random: [u8; 8]) -> Vec<u8> {
    join(GARBAGE, &[&now_ms.max(0).to_be_bytes(), &random])
}

pub fn segment(key: &[u8]) -> Vec<u8> {
    join(SEGMENT, &[key])
}

pub fn recount(bucket: BucketId) -> Vec<u8> {
    join(RECOUNT, &[&bucket.0.to_be_bytes()])
}

/// What the rows of entries begin with; the number of their commit follows.
pub fn audit() -> Vec<u8> {
    join(AUDIT, &[&[0]])
}

/// How many entries there are of an account; with an empty name, the start of all of them.
pub fn audit_count(account: &str) -> Vec<u8> {
    join(AUDIT, &[&[1], account.as_bytes()])
}

pub fn lease(incarnation: &[u8; 16]) -> Vec<u8> {
    join(LEASE, &[incarnation])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn escaped_text_reads_back_and_keeps_its_order(
            one in proptest::collection::vec(0u8..4, 0..12),
            two in proptest::collection::vec(0u8..4, 0..12),
            rest in proptest::collection::vec(any::<u8>(), 0..4),
        ) {
            let mut bytes = ended(&one);
            prop_assert_eq!(ended(&one).cmp(&ended(&two)), one.cmp(&two));
            prop_assert_eq!(two.starts_with(&one), ended(&two).starts_with(&escape(&one)));
            bytes.extend_from_slice(&rest);
            prop_assert_eq!(unescape(&bytes), Some((one, rest.as_slice())));
        }

        #[test]
        fn garbage_is_refused_without_a_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let _ = (unescape(&bytes), escaped_key(&bytes), current_key(&bytes));
        }
    }

    #[test]
    fn a_key_of_nuls_fits_the_engine() {
        let key = ObjectKey::parse(&"\0".repeat(1024)).expect("a key");
        let row = upload(BucketId(1), &key, UploadId([0; 16]));
        assert!(row.len() <= crate::engine::KEY_BYTES_MAX, "{}", row.len());
    }
}
