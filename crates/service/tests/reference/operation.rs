//! What the random run does, as values that can be printed, and what comes back.

use std::{ops::Range, sync::LazyLock};

use blobs::faulty::{Keep, Random};
use bytes::Bytes;
use model::{
    Condition, UploadId,
    checksums::Algorithm,
    listing::Question,
    names::VersionSelector,
    preconditions::{ByteRange, Preconditions},
    records::{Attributes, Checksum, ChecksumKind, Versioning},
};
use service::{
    objects::{
        delete::{DeleteCondition, Deleted},
        write::WriteCondition,
    },
    uploads::PartChoice,
};

use crate::support::Who;

/// A bucket's name or a key.
pub type Name = &'static str;

pub const BUCKETS: [Name; 4] = ["one", "two", "three", "two.b"];
/// Keys that are easily confused, and some more so that listings have something to pass over.
pub static KEYS: LazyLock<Vec<Name>> = LazyLock::new(|| {
    let nasty = ["a", "a/", "a/b", "é", "\u{0}", "a\u{0}", "..", "//", "a\u{0}/b", "\u{10ffff}"];
    let many = (0..40).map(|number| -> Name { format!("a/b/{number:02}").leak() });
    nasty.repeat(12).into_iter().chain(many).collect()
});

/// One step of a run.
#[derive(Clone, Debug)]
pub enum Step {
    Call(Who, Box<Act>),
    /// Turns the clock, now and then back.
    Turn(i64),
    Reclaim,
    Sweep,
    Restart(Option<Keep>),
    /// Begins to read an object, and goes on at a later step.
    OpenReader(Source),
    FinishReader,
    Audit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub bucket: Name,
    pub key: Name,
}

#[derive(Clone, Copy, Debug)]
pub struct Source {
    pub at: Place,
    pub version: VersionSelector,
}

#[derive(Clone, Copy, Debug)]
pub struct UploadAt {
    pub at: Place,
    pub id: UploadId,
}

/// A body by its seed, so that it prints short.
#[derive(Clone, Copy, Debug)]
pub struct Text {
    pub seed: u64,
    pub length: usize,
}

impl Text {
    pub fn bytes(self) -> Bytes {
        let block = Random(self.seed).bytes(self.length.min(1021));
        let mut bytes = block.repeat(self.length / block.len().max(1) + 1);
        bytes.truncate(self.length);
        bytes.into()
    }
}

/// One call of the service.
#[derive(Clone, Debug)]
pub enum Act {
    CreateBucket(Name),
    /// With it, uploads under way are aborted instead of being in the way.
    DeleteBucket(Name, bool),
    SetVersioning(Name, Versioning),
    ListBuckets {
        prefix: Name,
        after: Name,
        limit: usize,
    },
    Put {
        to: Place,
        body: Text,
        attributes: Attributes,
        condition: WriteCondition,
    },
    Read(Reading),
    /// Sizes and parts: those after a number, so many at most.
    Attributes {
        from: Source,
        after: u32,
        limit: usize,
    },
    Delete {
        from: Source,
        condition: DeleteCondition,
    },
    DeleteMany {
        bucket: Name,
        objects: Vec<(Name, VersionSelector, DeleteCondition)>,
    },
    Copy(Copying),
    ListObjects(Name, Question),
    ListVersions(Name, Question),
    CreateUpload {
        to: Place,
        attributes: Attributes,
        terms: Terms,
    },
    UploadPart {
        upload: UploadAt,
        number: u32,
        body: Text,
    },
    UploadPartCopy {
        upload: UploadAt,
        number: u32,
        from: Source,
        part: PartSource,
    },
    ListParts {
        upload: UploadAt,
        after: u32,
        limit: usize,
    },
    ListUploads(Name, Question),
    Complete(Completion),
    Abort(UploadAt),
}

#[derive(Clone, Debug)]
pub struct Reading {
    pub from: Source,
    pub preconditions: Preconditions,
    pub range: Option<ByteRange>,
    pub lenient: bool,
    pub part: Option<u32>,
    pub head: bool,
}

#[derive(Clone, Debug)]
pub struct Copying {
    pub from: Source,
    pub preconditions: Preconditions,
    pub to: Place,
    pub replace: Option<Attributes>,
    pub storage_class: Option<String>,
    pub checksum: Option<Algorithm>,
    pub condition: WriteCondition,
}

/// What an upload is begun with.
#[derive(Clone, Debug)]
pub struct Terms {
    pub checksum: Option<(Algorithm, ChecksumKind)>,
    pub part_bytes_min: u64,
    pub sequential: bool,
}

/// What of a copied part's source is taken, and when.
#[derive(Clone, Debug)]
pub struct PartSource {
    pub preconditions: Preconditions,
    pub range: Option<ByteRange>,
}

#[derive(Clone, Debug)]
pub struct Completion {
    pub upload: UploadAt,
    pub parts: Option<Vec<PartChoice>>,
    pub condition: WriteCondition,
    pub size_bytes: Option<u64>,
}

pub type Outcome = Result<Answer, Condition>;

/// What a call answers, as far as a client can tell.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Done,
    /// Whether the bucket existed already.
    Created(bool),
    Buckets(Vec<Vec<String>>),
    /// The version written, and whether the answer names it.
    Written(Sight, bool),
    Read {
        version: Sight,
        range: Range<u64>,
        partial: bool,
        parts_count: Option<u32>,
        bytes: Option<Bytes>,
    },
    /// Number and size of each part listed, how many there are, and whether more follow.
    Attributes {
        parts: Vec<(u32, u64)>,
        count: Option<u32>,
        more: bool,
    },
    Deleted(Deleted),
    DeletedMany(Vec<Result<Deleted, Condition>>),
    /// Versions, and whether each is the latest of its key.
    Listed(Vec<Page<(Sight, bool)>>),
    Upload(UploadId),
    Part(PartSight),
    Parts(Vec<Vec<PartSight>>),
    Uploads(Vec<Page<UploadId>>),
}

/// A page of a listing: entries with their keys, and common prefixes.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    pub entries: Vec<(String, T)>,
    pub prefixes: Vec<String>,
}

/// A version as a client sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sight {
    /// `null`, or its id.
    pub id: String,
    pub modified_ms: i64,
    pub owner: String,
    /// `None` is a delete marker.
    pub object: Option<ObjectSight>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ObjectSight {
    pub etag: String,
    pub size_bytes: u64,
    pub crc64: u64,
    pub checksum: Option<Checksum>,
    pub attributes: Attributes,
}

#[derive(Clone, Debug, PartialEq)]
pub struct PartSight {
    pub number: u32,
    pub size_bytes: u64,
    pub md5: [u8; 16],
    pub checksum: Option<Checksum>,
    pub modified_ms: i64,
}
