//! Writing, reading, copying and deleting objects.

use bytes::Bytes;
use model::{
    Condition,
    checksums::{Algorithm, crc64},
    names::VersionSelector,
    records::{Attributes, Checksum, ChecksumKind, Versioning},
};
use service::objects::{
    delete::{DeleteCondition, Deleted},
    write::WriteCondition,
};

use super::{Model, Moment, Rule, Version, rules};
use crate::operation::{
    Answer, Copying, Name, ObjectSight, Outcome, Place, Reading, Sight, Source, Text,
};

/// An object about to be written.
#[derive(Clone)]
pub struct NewObject {
    pub sight: ObjectSight,
    pub bytes: Bytes,
    pub parts: Option<Vec<(u32, u64)>>,
}

impl NewObject {
    /// An object in one piece.
    pub fn whole(bytes: Bytes, attributes: Attributes, checksum: Option<Algorithm>) -> Self {
        let checksum = checksum.map(|algorithm| Checksum {
            algorithm,
            value: algorithm.hash(&bytes),
            kind: ChecksumKind::FullObject,
        });
        let sight = ObjectSight {
            etag: hex::encode(Algorithm::Md5.hash(&bytes)),
            size_bytes: bytes.len() as u64,
            crc64: crc64(&Algorithm::Crc64Ecma.hash(&bytes)),
            checksum,
            attributes,
        };
        Self { sight, bytes, parts: None }
    }
}

impl Model {
    /// A version id that was never given before: the answer's, if so.
    fn fresh_id(&mut self, at: &Moment<'_>, index: usize) -> String {
        match at.ids.get(index) {
            Some(id) if id != "null" && self.given.insert(id.clone()) => id.clone(),
            _ => "an id never given before".to_owned(),
        }
    }

    /// Puts a version on top of a key; what it replaces goes. No object is a delete marker.
    pub(super) fn write(
        &mut self,
        to: Place,
        owner: String,
        object: Option<NewObject>,
        at: &Moment<'_>,
        index: usize,
    ) -> Option<Sight> {
        let versioning = self.buckets.get(to.bucket)?.versioning;
        let id = match versioning {
            Versioning::Enabled => self.fresh_id(at, index),
            Versioning::Unversioned | Versioning::Suspended => "null".to_owned(),
        };
        let keeps_null = self.breaks(Rule::SuspendedWritesReplaceTheNullVersion);
        let keys = &mut self.buckets.get_mut(to.bucket)?.keys;
        let versions = keys.entry(to.key).or_default();
        let after_ms = versions.first().map_or(i64::MIN, |latest| latest.sight.modified_ms + 1);
        match versioning {
            Versioning::Unversioned => versions.clear(),
            Versioning::Enabled => {}
            Versioning::Suspended if keeps_null => {}
            Versioning::Suspended => versions.retain(|version| version.sight.id != "null"),
        }
        let (bytes, parts) = object
            .as_ref()
            .map(|object| (object.bytes.clone(), object.parts.clone()))
            .unwrap_or_default();
        let sight = Sight {
            id,
            modified_ms: at.now_ms.max(after_ms),
            owner,
            object: object.map(|object| object.sight),
        };
        if sight.object.is_some() || versioning != Versioning::Unversioned {
            versions.insert(0, Version { sight: sight.clone(), bytes, parts });
        }
        if versions.is_empty() {
            keys.remove(to.key);
        }
        Some(sight)
    }

    /// Whether the bucket names versions, if a write may happen there.
    pub(super) fn check_write(
        &self,
        to: Place,
        condition: &WriteCondition,
    ) -> Result<bool, Condition> {
        let bucket = self.buckets.get(to.bucket).ok_or(Condition::NoSuchBucket)?;
        let versioned = bucket.versioning != Versioning::Unversioned;
        let existing = bucket.current(to.key).map(|version| &version.sight);
        let mut condition = condition.clone();
        if self.breaks(Rule::IfNoneMatchRefuses) {
            condition.preconditions.if_none_match = None;
        }
        rules::check_write(&condition, versioned, existing)?;
        Ok(versioned)
    }

    /// The answer to writing an object, if the condition allows it.
    pub(super) fn write_object(
        &mut self,
        to: Place,
        owner: String,
        object: NewObject,
        condition: &WriteCondition,
        at: &Moment<'_>,
    ) -> Outcome {
        let versioned = self.check_write(to, condition)?;
        let sight = self.write(to, owner, Some(object), at, 0).ok_or(Condition::NoSuchBucket)?;
        Ok(Answer::Written(sight, versioned))
    }

    pub(super) fn put(
        &mut self,
        to: Place,
        body: Text,
        attributes: &Attributes,
        condition: &WriteCondition,
        at: &Moment<'_>,
    ) -> Outcome {
        self.bucket(to.bucket, at)?;
        let object = NewObject::whole(body.bytes(), attributes.clone(), None);
        self.write_object(to, at.who.account_id().to_owned(), object, condition, at)
    }

    /// The object a read names: a delete marker is none.
    pub(super) fn object(&self, from: Source) -> Result<(&Version, &ObjectSight), Condition> {
        let latest = from.version == VersionSelector::Latest;
        let bucket = self.buckets.get(from.at.bucket).ok_or(Condition::NoSuchBucket)?;
        match bucket.find(from.at.key, from.version) {
            Some(version) => match &version.sight.object {
                Some(object) => Ok((version, object)),
                None if latest => Err(Condition::NoSuchKey),
                None => Err(Condition::MethodNotAllowed),
            },
            None if latest => Err(Condition::NoSuchKey),
            None => Err(Condition::NoSuchVersion),
        }
    }

    /// The object a copy names as its source.
    pub(super) fn copied(&self, from: Source) -> Result<(&Version, &ObjectSight), Condition> {
        self.object(from).map_err(|condition| match condition {
            Condition::MethodNotAllowed => Condition::InvalidRequest,
            other => other,
        })
    }

    pub(super) fn read(&self, reading: &Reading, at: &Moment<'_>) -> Outcome {
        self.bucket(reading.from.at.bucket, at)?;
        let (version, object) = self.object(reading.from)?;
        rules::check_read(&reading.preconditions, &version.sight)?;
        let size = object.size_bytes;
        let (mut range, mut partial, mut parts_count) = (0..size, false, None);
        if let Some(number) = reading.part {
            let parts = version.parts.clone().unwrap_or_else(|| vec![(1, size)]);
            let index = (number as usize).wrapping_sub(1);
            let (_, length) = parts.get(index).ok_or(Condition::InvalidPartNumber)?;
            let start = parts.iter().take(index).map(|(_, size)| size).sum::<u64>();
            (range, partial) = (start..start + length, true);
            parts_count = version.parts.as_ref().map(|parts| parts.len() as u32);
        }
        if let Some(wanted) = reading.range {
            match rules::range(wanted, size) {
                Ok(resolved) => (range, partial) = (resolved, true),
                Err(_) if reading.lenient => {}
                Err(condition) => return Err(condition),
            }
        }
        let slice = version.bytes.slice(range.start as usize..range.end as usize);
        Ok(Answer::Read {
            version: version.sight.clone(),
            range,
            partial,
            parts_count,
            bytes: (!reading.head).then_some(slice),
        })
    }

    pub(super) fn attributes(
        &self,
        from: Source,
        after: u32,
        limit: usize,
        at: &Moment<'_>,
    ) -> Outcome {
        self.bucket(from.at.bucket, at)?;
        let (version, _) = self.object(from)?;
        let count = version.parts.as_ref().map(|parts| parts.len() as u32);
        let mut parts = version.parts.clone().unwrap_or_default();
        parts.retain(|(number, _)| *number > after);
        let more = parts.len() > limit;
        parts.truncate(limit);
        Ok(Answer::Attributes { parts, count, more })
    }

    pub(super) fn delete(
        &mut self,
        bucket: Name,
        key: Name,
        selector: VersionSelector,
        condition: &DeleteCondition,
        at: &Moment<'_>,
        index: usize,
    ) -> Result<Deleted, Condition> {
        let found = self.buckets.get(bucket).and_then(|bucket| bucket.find(key, selector));
        let found = found.map(|version| version.sight.clone());
        rules::check_delete(condition, found.as_ref())?;
        let name = match selector {
            VersionSelector::Latest => {
                let to = Place { bucket, key };
                let marker = self.write(to, at.who.account_id().to_owned(), None, at, index);
                let versioning = self.buckets.get(bucket).map(|bucket| bucket.versioning);
                if versioning == Some(Versioning::Unversioned) {
                    return Ok(Deleted::default());
                }
                return Ok(Deleted { version_id: marker.map(|marker| marker.id), marker: true });
            }
            VersionSelector::Null => "null".to_owned(),
            VersionSelector::Id(id) => id.to_string(),
        };
        let marker = found.is_some_and(|version| version.object.is_none());
        let stays = marker && self.breaks(Rule::RemovedMarkersUncoverObjects);
        if let Some(bucket) = self.buckets.get_mut(bucket)
            && let Some(versions) = bucket.keys.get_mut(key)
        {
            versions.retain(|version| version.sight.id != name || stays);
            if versions.is_empty() {
                bucket.keys.remove(key);
            }
        }
        Ok(Deleted { version_id: Some(name), marker })
    }

    pub(super) fn copy(&mut self, copying: &Copying, at: &Moment<'_>) -> Outcome {
        self.check_both(copying.to.bucket, copying.from.at.bucket, at)?;
        let (version, object) = self.copied(copying.from)?;
        rules::check_read(&copying.preconditions, &version.sight)?;
        let mut sight = object.clone();
        if let Some(attributes) = &copying.replace {
            sight.attributes = attributes.clone();
        }
        sight.attributes.storage_class.clone_from(&copying.storage_class);
        let has = sight.checksum.as_ref().map(|checksum| checksum.algorithm);
        let (bytes, parts) = (version.bytes.clone(), version.parts.clone());
        let new = match copying.checksum {
            Some(wanted) if Some(wanted) != has => {
                NewObject::whole(bytes, sight.attributes, Some(wanted))
            }
            _ if self.breaks(Rule::CopiesShareBytes) => {
                NewObject::whole(Bytes::new(), sight.attributes, None)
            }
            _ => NewObject { sight, bytes, parts },
        };
        self.write_object(copying.to, at.who.account_id().to_owned(), new, &copying.condition, at)
    }
}
