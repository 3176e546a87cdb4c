//! Chooses the next step by seed: mostly something sensible, now and then something that must fail.

mod uploads;

use blobs::faulty::{Keep, Random};
use model::{
    UploadId,
    listing::Question,
    names::{VersionId, VersionSelector},
    preconditions::{ByteRange, EtagMatch, Preconditions},
    records::{Attributes, Versioning},
};
use service::objects::{delete::DeleteCondition, write::WriteCondition};

use crate::{
    model::Model,
    operation::{Act, BUCKETS, Copying, KEYS, Name, Place, Reading, Source, Step, Text},
    support::{SMALL_BYTES_MAX, Who},
};

const MARKS: [Name; 8] = ["", "", "a", "a/", "a\u{0}", "é", "/", "b"];
const DELIMITERS: [Name; 6] = ["", "", "/", "/", "a", "\u{0}"];

/// Draws steps; what exists is known from the model.
pub struct Chooser<'m> {
    pub random: &'m mut Random,
    pub model: &'m Model,
    pub now_ms: i64,
}

impl Chooser<'_> {
    pub fn step(&mut self) -> Step {
        match self.random.below(1000) {
            0..40 => Step::Turn(self.turn_ms()),
            40..110 => Step::Reclaim,
            110..140 => Step::Sweep,
            140..143 => Step::Restart(self.pick(&[
                None,
                Some(Keep::Nothing),
                Some(Keep::Prefix),
                Some(Keep::Scattered),
            ])),
            143..168 => Step::OpenReader(self.source()),
            168..195 => Step::FinishReader,
            195..200 => Step::Audit,
            _ => {
                let act = self.act();
                Step::Call(self.who(&act), Box::new(act))
            }
        }
    }

    fn act(&mut self) -> Act {
        match self.random.below(100) {
            0..3 => Act::CreateBucket(self.pick(&BUCKETS)),
            3..5 => Act::DeleteBucket(self.bucket(), self.chance(50)),
            5..8 => Act::SetVersioning(self.bucket(), self.versioning()),
            8..9 => Act::ListBuckets {
                prefix: self.pick(&["", "", "t", "two"]),
                after: self.pick(&["", "", "one", "two"]),
                limit: self.limit(),
            },
            9..28 => {
                let to = self.place();
                let (body, attributes) = (self.text(), self.attributes());
                Act::Put { to, body, attributes, condition: self.write_condition(to) }
            }
            28..38 => Act::Read(self.reading()),
            38..40 => Act::Attributes {
                from: self.source(),
                after: self.random.below(3) as u32,
                limit: self.limit(),
            },
            40..50 => {
                let from = self.source();
                Act::Delete { from, condition: self.delete_condition(from.at) }
            }
            50..54 => self.delete_many(),
            54..62 => Act::Copy(self.copying()),
            62..67 => Act::ListObjects(self.bucket(), self.question()),
            67..72 => Act::ListVersions(self.bucket(), self.question()),
            _ => self.upload_act(),
        }
    }

    pub fn pick<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.random.below(list.len() as u64) as usize].clone()
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.random.below(100) < percent
    }

    /// Mostly the owner of the bucket the call is about.
    fn who(&mut self, act: &Act) -> Who {
        let owner = bucket_of(act).and_then(|name| self.model.buckets.get(name));
        match owner {
            Some(bucket) if self.chance(95) => bucket.owner,
            None if self.chance(90) => self.pick(&[Who::Ann, Who::Ben]),
            _ => self.pick(&[Who::Ann, Who::Ben, Who::Anonymous, Who::Worker]),
        }
    }

    /// Mostly forward by little; now and then far enough for what waits a minute, or back.
    fn turn_ms(&mut self) -> i64 {
        match self.random.below(20) {
            0 => 61_000,
            1 => -(self.random.below(3_000) as i64),
            _ => self.random.below(2_500) as i64,
        }
    }

    pub fn bucket(&mut self) -> Name {
        let existing: Vec<_> = self.model.buckets.keys().copied().collect();
        if existing.is_empty() || self.chance(3) {
            self.pick(&BUCKETS)
        } else {
            self.pick(&existing)
        }
    }

    fn versioning(&mut self) -> Versioning {
        let mostly = [Versioning::Enabled, Versioning::Suspended];
        if self.chance(5) { Versioning::Unversioned } else { self.pick(&mostly) }
    }

    pub fn place(&mut self) -> Place {
        Place { bucket: self.bucket(), key: self.pick(&KEYS) }
    }

    /// Mostly something that exists.
    pub fn source(&mut self) -> Source {
        let bucket = self.bucket();
        self.source_in(bucket)
    }

    pub fn source_in(&mut self, bucket: Name) -> Source {
        let mut at = Place { bucket, key: self.pick(&KEYS) };
        if let Some(bucket) = self.model.buckets.get(at.bucket)
            && !bucket.keys.is_empty()
            && self.chance(90)
        {
            let keys: Vec<_> = bucket.keys.keys().copied().collect();
            at.key = self.pick(&keys);
        }
        Source { at, version: self.version(at) }
    }

    fn version(&mut self, at: Place) -> VersionSelector {
        let bucket = self.model.buckets.get(at.bucket);
        let versions = bucket.and_then(|bucket| bucket.keys.get(at.key));
        let ids = versions.into_iter().flatten().map(|version| version.sight.id.as_str());
        let ids: Vec<VersionId> = ids.filter_map(VersionId::parse).collect();
        match self.random.below(20) {
            0..10 => VersionSelector::Latest,
            10..13 => VersionSelector::Null,
            13 => VersionSelector::Id(VersionId { order: self.random.below(5), random: 1 }),
            _ if ids.is_empty() => VersionSelector::Latest,
            14..17 => VersionSelector::Id(ids[0]),
            _ => VersionSelector::Id(self.pick(&ids)),
        }
    }

    pub fn text(&mut self) -> Text {
        let length = match self.random.below(100) {
            0 => 256 * 1024 + 1 + self.random.below(200_000) as usize,
            1 => SMALL_BYTES_MAX,
            2..5 => SMALL_BYTES_MAX + 1 + self.random.below(20_000) as usize,
            5..10 => 0,
            10..25 => self.random.below(SMALL_BYTES_MAX as u64) as usize,
            _ => 1 + self.random.below(60) as usize,
        };
        Text { seed: self.random.below(1 << 32), length }
    }

    pub fn attributes(&mut self) -> Attributes {
        if self.chance(60) {
            return Attributes::default();
        }
        Attributes {
            content_type: Some(self.pick(&["text/plain", "image/png"]).to_owned()),
            user: vec![("colour".to_owned(), self.pick(&["red", "blue"]).to_owned())],
            ..Attributes::default()
        }
    }

    /// Tags of what is there, of anything, or of nothing there is.
    fn tags(&mut self, at: Place) -> EtagMatch {
        let bucket = self.model.buckets.get(at.bucket);
        let versions = bucket.and_then(|bucket| bucket.keys.get(at.key));
        let objects = versions.into_iter().flatten().filter_map(|v| v.sight.object.as_ref());
        let etags: Vec<String> = objects.map(|object| object.etag.clone()).collect();
        match self.random.below(10) {
            0..3 => EtagMatch::Any,
            3..9 if !etags.is_empty() => EtagMatch::OneOf(vec!["x".to_owned(), self.pick(&etags)]),
            _ => EtagMatch::OneOf(vec!["0".repeat(32)]),
        }
    }

    fn change_preconditions(&mut self, at: Place) -> Preconditions {
        match self.random.below(10) {
            0 => Preconditions { if_match: Some(self.tags(at)), ..Preconditions::default() },
            1 => Preconditions { if_none_match: Some(self.tags(at)), ..Preconditions::default() },
            _ => Preconditions::default(),
        }
    }

    pub fn read_preconditions(&mut self, at: Place) -> Preconditions {
        if self.chance(85) {
            return Preconditions::default();
        }
        let mut since = |percent: u64| {
            self.chance(percent).then(|| self.now_ms / 1000 - self.random.below(20) as i64)
        };
        let (if_modified_since, if_unmodified_since) = (since(25), since(25));
        Preconditions {
            if_match: self.chance(30).then(|| self.tags(at)),
            if_none_match: self.chance(30).then(|| self.tags(at)),
            if_modified_since,
            if_unmodified_since,
        }
    }

    pub fn write_condition(&mut self, at: Place) -> WriteCondition {
        let preconditions = self.change_preconditions(at);
        WriteCondition { preconditions, forbid_overwrite: self.chance(8) }
    }

    fn delete_condition(&mut self, at: Place) -> DeleteCondition {
        let preconditions = self.change_preconditions(at);
        let latest = self.model.buckets.get(at.bucket).and_then(|bucket| bucket.current(at.key));
        let latest = latest.map(|version| version.sight.clone());
        let size = latest.as_ref().and_then(|latest| Some(latest.object.as_ref()?.size_bytes));
        let seconds = latest.map(|latest| latest.modified_ms.div_euclid(1000));
        DeleteCondition {
            preconditions,
            modified_seconds: if self.chance(6) { seconds } else { None },
            size_bytes: if self.chance(6) { size } else { None },
        }
    }

    pub fn range(&mut self) -> Option<ByteRange> {
        let first = self.random.below(70);
        match self.random.below(6) {
            0 => Some(ByteRange::FromTo(first, first + self.random.below(40))),
            1 => Some(ByteRange::From(first)),
            2 => Some(ByteRange::Last(first)),
            _ => None,
        }
    }

    fn reading(&mut self) -> Reading {
        let from = self.source();
        Reading {
            from,
            preconditions: self.read_preconditions(from.at),
            range: self.range(),
            lenient: self.chance(20),
            part: if self.chance(10) { Some(self.random.below(4) as u32) } else { None },
            head: self.chance(30),
        }
    }

    /// A bucket of the same owner, mostly.
    pub fn beside(&mut self, name: Name) -> Name {
        let buckets = &self.model.buckets;
        let owner = buckets.get(name).map(|bucket| bucket.owner);
        let same = buckets.iter().filter(|(_, bucket)| Some(bucket.owner) == owner);
        let same: Vec<_> = same.map(|(name, _)| *name).collect();
        if same.is_empty() || self.chance(5) { self.bucket() } else { self.pick(&same) }
    }

    fn copying(&mut self) -> Copying {
        let (from, mut to) = (self.source(), self.place());
        match self.chance(25) {
            true => to = from.at,
            false => to.bucket = self.beside(from.at.bucket),
        }
        let algorithms = model::checksums::Algorithm::S3;
        Copying {
            from,
            preconditions: self.read_preconditions(from.at),
            to,
            replace: if self.chance(40) { Some(self.attributes()) } else { None },
            storage_class: if self.chance(10) { Some("COLD".to_owned()) } else { None },
            checksum: if self.chance(15) { Some(self.pick(&algorithms)) } else { None },
            condition: self.write_condition(to),
        }
    }

    /// All versions of a bucket, or some things of which none gets in another's way.
    fn delete_many(&mut self) -> Act {
        let name = self.bucket();
        let mut objects = Vec::new();
        if let Some(bucket) = self.model.buckets.get(name)
            && self.chance(15)
        {
            for (key, versions) in &bucket.keys {
                for version in versions {
                    let id = VersionId::parse(&version.sight.id);
                    let selector = id.map_or(VersionSelector::Null, VersionSelector::Id);
                    objects.push((*key, selector, DeleteCondition::default()));
                }
            }
            objects.truncate(1000);
        } else {
            let mut keys: Vec<_> = (0..8).map(|_| self.pick(&KEYS)).collect();
            keys.sort_unstable();
            keys.dedup();
            for key in keys {
                let at = Place { bucket: name, key };
                objects.push((key, self.version(at), self.delete_condition(at)));
            }
        }
        Act::DeleteMany { bucket: name, objects }
    }

    pub fn limit(&mut self) -> usize {
        match self.random.below(10) {
            0..5 => 1 + self.random.below(5) as usize,
            5 => 0,
            _ => 1000,
        }
    }

    pub fn question(&mut self) -> Question {
        let after = if self.chance(30) { self.pick(&KEYS) } else { self.pick(&MARKS) };
        Question {
            prefix: self.pick(&MARKS).to_owned(),
            delimiter: self.pick(&DELIMITERS).to_owned(),
            after: after.to_owned(),
            limit: self.limit(),
        }
    }

    pub fn upload_id(&mut self) -> UploadId {
        UploadId(self.random.bytes(16).try_into().unwrap_or_default())
    }
}

/// The bucket whose owner a call needs.
pub fn bucket_of(act: &Act) -> Option<Name> {
    match act {
        Act::CreateBucket(_) | Act::ListBuckets { .. } => None,
        Act::DeleteBucket(name, _)
        | Act::SetVersioning(name, _)
        | Act::ListObjects(name, _)
        | Act::ListVersions(name, _)
        | Act::ListUploads(name, _) => Some(name),
        Act::Put { to, .. } | Act::CreateUpload { to, .. } => Some(to.bucket),
        Act::Read(reading) => Some(reading.from.at.bucket),
        Act::Delete { from, .. } | Act::Attributes { from, .. } => Some(from.at.bucket),
        Act::DeleteMany { bucket, .. } => Some(bucket),
        Act::Copy(copying) => Some(copying.to.bucket),
        Act::UploadPart { upload, .. }
        | Act::UploadPartCopy { upload, .. }
        | Act::ListParts { upload, .. }
        | Act::Abort(upload) => Some(upload.at.bucket),
        Act::Complete(completion) => Some(completion.upload.at.bucket),
    }
}
