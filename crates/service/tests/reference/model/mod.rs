//! What the store should do, in ordered maps: the meaning of S3 without disks, journals or races.
//!
//! A call is applied with what nobody can foretell: the time, and the ids that the answer gave.

mod listings;
mod objects;
mod rules;
mod uploads;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use metadata::Usage;
use model::{Condition, UploadId, names::VersionSelector, records::Versioning};

use crate::{
    operation::{Act, Answer, Name, Outcome, Sight},
    support::Who,
};

pub use uploads::{Finished, Upload};

/// Rules that can be broken on purpose, to see that the run notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    MarkersAreNoObjects,
    SuspendedWritesReplaceTheNullVersion,
    RemovedMarkersUncoverObjects,
    IfNoneMatchRefuses,
    ReplacedPartsCountOnce,
    CopiesShareBytes,
}

#[derive(Default)]
pub struct Model {
    pub buckets: BTreeMap<Name, Bucket>,
    pub finished: BTreeMap<UploadId, Finished>,
    broken: Option<Rule>,
    /// Every version id ever given.
    given: BTreeSet<String>,
    buckets_made: u64,
}

pub struct Bucket {
    /// Tells a bucket from a later one of the same name.
    pub number: u64,
    pub owner: Who,
    pub versioning: Versioning,
    /// Versions of each key, newest first; never an empty list.
    pub keys: BTreeMap<Name, Vec<Version>>,
    pub uploads: BTreeMap<(Name, UploadId), Upload>,
}

#[derive(Clone)]
pub struct Version {
    pub sight: Sight,
    pub bytes: Bytes,
    /// Number and size of the parts of an object that was uploaded in parts.
    pub parts: Option<Vec<(u32, u64)>>,
}

/// Who calls, when, and the ids the answer gave, in order.
pub struct Moment<'m> {
    pub who: Who,
    pub now_ms: i64,
    pub ids: &'m [String],
}

impl Model {
    pub fn broken(rule: Option<Rule>) -> Self {
        Self { broken: rule, ..Self::default() }
    }

    fn breaks(&self, rule: Rule) -> bool {
        self.broken == Some(rule)
    }

    /// What a call should answer; afterwards the model is what the store should be.
    pub fn apply(&mut self, act: &Act, at: &Moment<'_>) -> Outcome {
        match act {
            Act::CreateBucket(name) => self.create_bucket(name, at),
            Act::DeleteBucket(name, abort) => self.delete_bucket(name, *abort, at),
            Act::SetVersioning(name, versioning) => {
                let bucket = self.bucket_mut(name, at)?;
                if *versioning == Versioning::Unversioned {
                    return Err(Condition::IllegalVersioningConfiguration);
                }
                bucket.versioning = *versioning;
                Ok(Answer::Done)
            }
            Act::ListBuckets { prefix, after, limit } => {
                self.list_buckets(prefix, after, *limit, at)
            }
            Act::Put { to, body, attributes, condition } => {
                self.put(*to, *body, attributes, condition, at)
            }
            Act::Read(reading) => self.read(reading, at),
            Act::Attributes { from, after, limit } => self.attributes(*from, *after, *limit, at),
            Act::Delete { from, condition } => {
                self.bucket(from.at.bucket, at)?;
                let deleted =
                    self.delete(from.at.bucket, from.at.key, from.version, condition, at, 0);
                deleted.map(Answer::Deleted)
            }
            Act::DeleteMany { bucket, objects } => {
                self.bucket(bucket, at)?;
                let objects = objects.iter().enumerate();
                let outcomes = objects.map(|(index, (key, version, condition))| {
                    self.delete(bucket, key, *version, condition, at, index)
                });
                Ok(Answer::DeletedMany(outcomes.collect()))
            }
            Act::Copy(copying) => self.copy(copying, at),
            Act::ListObjects(name, question) => self.list_objects(name, question, at),
            Act::ListVersions(name, question) => self.list_versions(name, question, at),
            Act::CreateUpload { to, attributes, terms } => {
                self.create_upload(*to, attributes, terms, at)
            }
            Act::UploadPart { upload, number, body } => {
                self.upload_part(*upload, *number, body.bytes(), at)
            }
            Act::UploadPartCopy { upload, number, from, part } => {
                self.upload_part_copy(*upload, *number, *from, part, at)
            }
            Act::ListParts { upload, after, limit } => self.list_parts(*upload, *after, *limit, at),
            Act::ListUploads(name, question) => self.list_uploads(name, question, at),
            Act::Complete(completion) => self.complete(completion, at),
            Act::Abort(upload) => self.abort(*upload, at),
        }
    }

    fn create_bucket(&mut self, name: Name, at: &Moment<'_>) -> Outcome {
        if at.who.account_id().is_empty() {
            return Err(Condition::AccessDenied);
        }
        match self.buckets.get(name) {
            Some(bucket) if bucket.owner == at.who => return Ok(Answer::Created(true)),
            Some(_) => return Err(Condition::BucketAlreadyExists),
            None => {}
        }
        self.buckets_made += 1;
        let bucket = Bucket {
            number: self.buckets_made,
            owner: at.who,
            versioning: Versioning::Unversioned,
            keys: BTreeMap::new(),
            uploads: BTreeMap::new(),
        };
        self.buckets.insert(name, bucket);
        Ok(Answer::Created(false))
    }

    fn delete_bucket(&mut self, name: Name, abort: bool, at: &Moment<'_>) -> Outcome {
        let bucket = self.bucket(name, at)?;
        if !bucket.keys.is_empty() || !(bucket.uploads.is_empty() || abort) {
            return Err(Condition::BucketNotEmpty);
        }
        self.buckets.remove(name);
        Ok(Answer::Done)
    }

    fn list_buckets(&self, prefix: Name, after: Name, limit: usize, at: &Moment<'_>) -> Outcome {
        if at.who.account_id().is_empty() {
            return Err(Condition::AccessDenied);
        }
        let own = self.buckets.iter().filter(|(_, bucket)| bucket.owner == at.who);
        let names = own.map(|(name, _)| name.to_string());
        let names = names.filter(|name| name.starts_with(prefix) && name.as_str() > after);
        Ok(Answer::Buckets(rules::pages(names.collect(), limit)))
    }

    /// The bucket, if the caller may do something in it: only its owner may.
    fn bucket(&self, name: Name, at: &Moment<'_>) -> Result<&Bucket, Condition> {
        let bucket = self.buckets.get(name).ok_or(Condition::NoSuchBucket)?;
        if bucket.owner == at.who { Ok(bucket) } else { Err(Condition::AccessDenied) }
    }

    fn bucket_mut(&mut self, name: Name, at: &Moment<'_>) -> Result<&mut Bucket, Condition> {
        self.bucket(name, at)?;
        self.buckets.get_mut(name).ok_or(Condition::NoSuchBucket)
    }

    /// Refuses what needs two buckets if one is missing, or not the caller's.
    fn check_both(&self, one: Name, two: Name, at: &Moment<'_>) -> Result<(), Condition> {
        for name in [one, two] {
            self.buckets.get(name).ok_or(Condition::NoSuchBucket)?;
        }
        self.bucket(one, at).and(self.bucket(two, at)).map(|_| ())
    }

    /// What a bucket holds, counted.
    pub fn usage(&self, name: Name) -> Option<Usage> {
        let bucket = self.buckets.get(name)?;
        let mut usage = Usage { uploads: bucket.uploads.len() as i64, ..Usage::default() };
        for version in bucket.keys.values().flatten() {
            match &version.sight.object {
                Some(object) => {
                    usage.objects += 1;
                    usage.bytes += object.size_bytes as i64;
                }
                None if self.breaks(Rule::MarkersAreNoObjects) => usage.objects += 1,
                None => usage.delete_markers += 1,
            }
        }
        let parts = bucket.uploads.values().map(|upload| match self.broken {
            Some(Rule::ReplacedPartsCountOnce) => upload.part_writes,
            _ => upload.parts.len(),
        });
        usage.parts = parts.sum::<usize>() as i64;
        Some(usage)
    }
}

impl Bucket {
    /// The latest version of a key, if it is an object.
    pub fn current(&self, key: &str) -> Option<&Version> {
        let latest = self.keys.get(key)?.first()?;
        latest.sight.object.is_some().then_some(latest)
    }

    pub fn find(&self, key: &str, version: VersionSelector) -> Option<&Version> {
        let versions = self.keys.get(key)?;
        match version {
            VersionSelector::Latest => versions.first(),
            VersionSelector::Null => versions.iter().find(|version| version.sight.id == "null"),
            VersionSelector::Id(id) => {
                versions.iter().find(|version| version.sight.id == id.to_string())
            }
        }
    }
}
