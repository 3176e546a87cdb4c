//! What is stored, as it is stored. The field numbers are persisted: never reuse or renumber one.

use minicbor::{Decode, Encode, bytes::ByteVec};

use crate::{
    acl::{Acl, Ownership},
    checksums::Algorithm,
    entities::NamedEntity,
    names::{AccountId, BucketId, BucketName, ContentId, ObjectKey, UploadId, VersionId},
    tags::Tags,
};

/// Somebody who owns buckets.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Account {
    #[n(0)]
    pub id: AccountId,
    /// Owner and grantee id of S3 ACLs: 64 hexadecimal digits unless declared otherwise.
    #[n(1)]
    pub canonical_id: String,
    /// Display name.
    #[n(2)]
    pub name: String,
    #[n(3)]
    pub email: Option<String>,
    #[n(4)]
    pub created_ms: i64,
    /// The account made at the first start; it may use the admin interface.
    #[n(5)]
    pub root: bool,
    /// What keeps all its buckets from becoming public; `None` if that was never set, or taken
    /// back.
    #[n(6)]
    pub access_block: Option<AccessBlock>,
}

/// A key pair of an account or of one of its users. The secret is sealed under the store's master
/// key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AccessKey {
    #[n(0)]
    pub access_key: String,
    #[n(1)]
    pub account: AccountId,
    #[cbor(n(2), with = "minicbor::bytes")]
    pub sealed_secret: Vec<u8>,
    #[n(3)]
    pub created_ms: i64,
    /// The name of the user it speaks for; `None` is the account itself.
    #[n(4)]
    pub user: Option<String>,
    /// Switched off for now.
    #[cbor(n(5), default)]
    pub inactive: bool,
}

/// Whether a bucket keeps versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Versioning {
    /// Never switched on.
    #[default]
    #[n(0)]
    Unversioned,
    #[n(1)]
    Enabled,
    #[n(2)]
    Suspended,
}

/// A bucket: one owner, one region.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Bucket {
    #[n(0)]
    pub id: BucketId,
    #[n(1)]
    pub name: BucketName,
    #[n(2)]
    pub owner: AccountId,
    #[n(3)]
    pub created_ms: i64,
    /// The set of directories its bytes lie in.
    #[n(4)]
    pub region: String,
    /// What the creator asked for as location; `None` means the default one.
    #[n(5)]
    pub location: Option<String>,
    #[n(6)]
    pub versioning: Versioning,
    /// OSS storage class and redundancy type, as given.
    #[n(7)]
    pub storage_class: Option<String>,
    #[n(8)]
    pub redundancy: Option<String>,
    /// The documents that are set for it; each has a row of its own.
    #[cbor(n(9), default)]
    pub documents: Vec<SetDocument>,
    /// What keeps it from becoming public; `None` if that was never set, or taken back.
    #[n(10)]
    pub access_block: Option<AccessBlock>,
    /// How many copies its bytes shall have; `None` means as many as all others.
    #[n(11)]
    pub copies: Option<u8>,
    /// Who is let in besides; `None` is nobody.
    #[n(12)]
    pub acl: Option<Acl>,
    /// `None` if it was never set, or taken back; see [`Bucket::ownership`].
    #[n(13)]
    pub object_ownership: Option<Ownership>,
    /// Whether a second factor of the owner is wanted to remove versions for good and to change
    /// versioning; `None` if that was never set.
    #[n(14)]
    pub mfa_delete: Option<bool>,
}

impl Bucket {
    /// Whose objects are that others write.
    pub fn ownership(&self) -> Ownership {
        self.object_ownership.unwrap_or_default()
    }

    /// Whether removing a version for good takes a second factor.
    pub fn wants_factor(&self) -> bool {
        self.mfa_delete == Some(true)
    }

    /// What its own block keeps from it.
    pub fn blocked(&self) -> AccessBlock {
        self.access_block.unwrap_or(AccessBlock::NONE)
    }

    /// Whether objects in it may belong to other accounts than its own.
    pub fn has_other_owners(&self) -> bool {
        self.ownership() != Ownership::BucketOwnerEnforced
    }

    /// The other account that a version belongs to now; `None` if that is the bucket owner.
    pub fn other_owner<'v>(&self, version: &'v Version) -> Option<&'v AccountId> {
        Some(&version.owner).filter(|owner| self.has_other_owners() && **owner != self.owner)
    }

    /// Whether a list counts: where all objects are the bucket owner's, lists of grants do not.
    pub fn heeds(&self, acl: &Acl) -> bool {
        matches!(acl, Acl::Word(_)) || self.has_other_owners()
    }

    /// The revision of a document that is set.
    pub fn document(&self, kind: DocumentKind) -> Option<u64> {
        self.documents.iter().find(|set| set.kind == kind).map(|set| set.revision)
    }
}

/// What can be set for a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum DocumentKind {
    #[n(0)]
    Policy,
    #[n(1)]
    Cors,
    #[n(2)]
    Referer,
    #[n(3)]
    Tags,
}

/// That a document is set, and which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SetDocument {
    #[n(0)]
    pub kind: DocumentKind,
    /// Random, new with each change.
    #[n(1)]
    pub revision: u64,
}

/// A document of a bucket: a text as it was put, or what was understood of it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct BucketDocument<T> {
    #[n(0)]
    pub revision: u64,
    #[n(1)]
    pub value: T,
    /// Of a policy: the users and roles it names, as they were when it was written.
    #[cbor(n(2), default)]
    pub named: Vec<NamedEntity>,
}

/// What keeps a bucket from becoming public. Source: S3 "Block public access settings".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AccessBlock {
    /// ACLs that make public are refused.
    #[n(0)]
    pub block_public_acls: bool,
    /// ACLs that make public do not count.
    #[n(1)]
    pub ignore_public_acls: bool,
    /// Policies that make public are refused.
    #[n(2)]
    pub block_public_policy: bool,
    /// A policy that makes public counts for the owner's account only.
    #[n(3)]
    pub restrict_public_buckets: bool,
}

impl AccessBlock {
    pub const ALL: Self = Self {
        block_public_acls: true,
        ignore_public_acls: true,
        block_public_policy: true,
        restrict_public_buckets: true,
    };
    pub const NONE: Self = Self {
        block_public_acls: false,
        ignore_public_acls: false,
        block_public_policy: false,
        restrict_public_buckets: false,
    };

    /// The most restrictive of two.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            block_public_acls: self.block_public_acls || other.block_public_acls,
            ignore_public_acls: self.ignore_public_acls || other.ignore_public_acls,
            block_public_policy: self.block_public_policy || other.block_public_policy,
            restrict_public_buckets: self.restrict_public_buckets || other.restrict_public_buckets,
        }
    }
}

/// What a writer says about an object besides its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Attributes {
    #[n(0)]
    pub content_type: Option<String>,
    #[n(1)]
    pub cache_control: Option<String>,
    #[n(2)]
    pub content_disposition: Option<String>,
    #[n(3)]
    pub content_encoding: Option<String>,
    #[n(4)]
    pub content_language: Option<String>,
    #[n(5)]
    pub expires: Option<String>,
    #[n(6)]
    pub website_redirect: Option<String>,
    /// `None` is the standard class.
    #[n(7)]
    pub storage_class: Option<String>,
    /// User metadata: lower-case names without the dialect's prefix, in the order given.
    #[n(8)]
    pub user: Vec<(String, String)>,
}

/// An entity tag: the MD5 of the bytes, or of the parts' MD5s with the number of parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Etag {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub md5: [u8; 16],
    #[n(1)]
    pub parts: Option<u32>,
}

impl std::fmt::Display for Etag {
    /// Lower-case hexadecimal without quotes, as S3 writes it.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:032x}", u128::from_be_bytes(self.md5))?;
        match self.parts {
            Some(parts) => write!(formatter, "-{parts}"),
            None => Ok(()),
        }
    }
}

/// Whether a checksum covers all bytes, or the parts' checksums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum ChecksumKind {
    #[n(0)]
    FullObject,
    #[n(1)]
    Composite,
}

/// A checksum the writer asked for.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Checksum {
    #[n(0)]
    pub algorithm: Algorithm,
    #[cbor(n(1), with = "minicbor::bytes")]
    pub value: Vec<u8>,
    #[n(2)]
    pub kind: ChecksumKind,
}

/// The bytes of a version and what is known of them.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ObjectData {
    #[n(0)]
    pub content: ContentId,
    #[n(1)]
    pub size_bytes: u64,
    #[n(2)]
    pub etag: Etag,
    /// CRC-64/XZ of all bytes; every OSS answer carries it.
    #[n(3)]
    pub crc64: u64,
    #[n(4)]
    pub checksum: Option<Checksum>,
    #[n(5)]
    pub attributes: Attributes,
}

/// One version of a key: an object, or a delete marker.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Version {
    #[n(0)]
    pub id: VersionId,
    /// Clients name it `null` instead of its id.
    #[n(1)]
    pub null: bool,
    #[n(2)]
    pub modified_ms: i64,
    /// `None` is a delete marker.
    #[n(3)]
    pub object: Option<ObjectData>,
    /// The account that wrote it.
    #[n(4)]
    pub owner: AccountId,
    /// Who is let at it besides; `None` leaves it to the bucket.
    #[n(5)]
    pub acl: Option<Acl>,
    #[cbor(n(6), skip_if = "Tags::is_empty")]
    pub tags: Tags,
}

impl Version {
    /// What clients call it.
    pub fn client_id(&self) -> String {
        if self.null { "null".to_owned() } else { self.id.to_string() }
    }
}

/// The bytes behind one or more versions.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Content {
    #[n(0)]
    pub size_bytes: u64,
    /// The blob of a content written in one piece, as `blobs` encodes a location; none: see parts.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub location: Option<Vec<u8>>,
    /// Rows of parts that follow; 0 when `location` is set.
    #[n(2)]
    pub part_rows: u32,
    /// The region the bytes lie in.
    #[n(3)]
    pub region: String,
    /// The blob that tells which parts there are, so that they can be put together without this.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub manifest: Option<[u8; 16]>,
}

/// One part of a multipart content.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ContentPart {
    #[n(0)]
    pub number: u32,
    #[n(1)]
    pub size_bytes: u64,
    #[cbor(n(3), with = "minicbor::bytes")]
    pub md5: [u8; 16],
    #[n(4)]
    pub checksum: Option<Checksum>,
    /// The id of the blob; a row of its own says where that lies. (2 was the location.)
    #[cbor(n(5), with = "minicbor::bytes")]
    pub blob: [u8; 16],
}

/// A multipart upload under way.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Upload {
    #[n(0)]
    pub id: UploadId,
    #[n(1)]
    pub bucket: BucketId,
    #[n(2)]
    pub key: ObjectKey,
    #[n(3)]
    pub initiated_ms: i64,
    #[n(4)]
    pub owner: AccountId,
    #[n(5)]
    pub attributes: Attributes,
    #[n(6)]
    pub checksum: Option<(Algorithm, ChecksumKind)>,
    /// Smallest size of a part but the last, by the dialect that began the upload.
    #[n(7)]
    pub part_bytes_min: u64,
    /// OSS `sequential`: parts must come in order.
    #[n(8)]
    pub sequential: bool,
    /// The object's, once it is made.
    #[n(9)]
    pub acl: Option<Acl>,
    /// `None` if an earlier version began it, which did not note that.
    #[n(10)]
    pub initiator: Option<Initiator>,
    /// The object's, once it is made.
    #[cbor(n(11), skip_if = "Tags::is_empty")]
    pub tags: Tags,
}

/// Who began an upload.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Initiator {
    /// Somebody without a key.
    #[n(0)]
    Anybody,
    /// Somebody of this account.
    #[n(1)]
    Account(#[n(0)] AccountId),
}

impl Initiator {
    pub fn of(account: Option<&AccountId>) -> Self {
        account.cloned().map_or(Self::Anybody, Self::Account)
    }
}

/// One uploaded part.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Part {
    #[n(0)]
    pub number: u32,
    #[n(1)]
    pub size_bytes: u64,
    #[cbor(n(2), with = "minicbor::bytes")]
    pub md5: [u8; 16],
    #[n(3)]
    pub crc64: u64,
    #[n(4)]
    pub checksum: Option<Checksum>,
    #[n(5)]
    pub modified_ms: i64,
    /// As in [`ContentPart`]. (6 was the location.)
    #[cbor(n(7), with = "minicbor::bytes")]
    pub blob: [u8; 16],
}

/// A completed upload, remembered so that repeating the request succeeds.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct FinishedUpload {
    #[n(0)]
    pub bucket: BucketId,
    #[n(1)]
    pub key: ObjectKey,
    #[n(2)]
    pub version: Version,
    /// Number and MD5 of each part chosen.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub parts_digest: [u8; 16],
    #[n(4)]
    pub finished_ms: i64,
    /// Whether the answer names the version.
    #[n(5)]
    pub versioned: bool,
    /// As in [`Upload`].
    #[n(6)]
    pub initiator: Option<Initiator>,
}

/// What the reclaim worker has to free.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Garbage {
    /// A version that named this content is gone: one reference less.
    #[n(0)]
    Content(#[n(0)] ContentId),
    /// A blob nothing names.
    #[n(1)]
    Blob(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
    /// The parts of an aborted upload.
    #[n(2)]
    Upload(#[n(0)] UploadId),
    /// The parts of a completed upload that its content did not take.
    #[n(3)]
    Leftovers {
        #[n(0)]
        upload: UploadId,
        #[n(1)]
        content: ContentId,
    },
    /// Rows of a multipart content that its incarnation may not have finished.
    #[n(4)]
    Draft {
        #[n(0)]
        content: ContentId,
        #[n(1)]
        rows: u32,
        #[cbor(n(2), with = "minicbor::bytes")]
        incarnation: [u8; 16],
    },
    /// Copies that a failed write or a move left: not named, nor counted in their segments. Some
    /// may be named again.
    #[n(6)]
    Unnamed(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
    /// A segment no live record is in.
    #[n(5)]
    Segment(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
    /// Several blobs nothing names.
    #[n(7)]
    Blobs(#[n(0)] Vec<ByteVec>),
}
