//! Multipart uploads.

use std::collections::BTreeMap;

use bytes::Bytes;
use model::{
    Condition, UploadId,
    checksums::{Algorithm, crc64},
    records::{Attributes, Checksum, ChecksumKind, Versioning},
};
use service::uploads::PartChoice;

use super::{Model, Moment, objects::NewObject, rules};
use crate::operation::{
    Answer, Completion, Name, ObjectSight, Outcome, PartSight, PartSource, Place, Sight, Source,
    Terms, UploadAt,
};

#[derive(Clone)]
pub struct Upload {
    pub parts: BTreeMap<u32, Part>,
    pub part_writes: usize,
    owner: String,
    attributes: Attributes,
    terms: Terms,
}

#[derive(Clone)]
pub struct Part {
    pub sight: PartSight,
    bytes: Bytes,
}

/// A completed upload: the same request again gets the same answer.
pub struct Finished {
    pub key: Name,
    pub bucket: Name,
    bucket_number: u64,
    pub parts: Vec<(u32, [u8; 16])>,
    version: Sight,
    versioned: bool,
    pub finished_ms: i64,
}

impl Model {
    pub(super) fn create_upload(
        &mut self,
        to: Place,
        attributes: &Attributes,
        terms: &Terms,
        at: &Moment<'_>,
    ) -> Outcome {
        let bucket = self.bucket_mut(to.bucket, at)?;
        let id = at.ids.first().and_then(|id| UploadId::parse(id)).unwrap_or(UploadId([0; 16]));
        let upload = Upload {
            parts: BTreeMap::new(),
            part_writes: 0,
            owner: at.who.account_id().to_owned(),
            attributes: attributes.clone(),
            terms: terms.clone(),
        };
        bucket.uploads.insert((to.key, id), upload);
        Ok(Answer::Upload(id))
    }

    fn upload(&self, upload: UploadAt) -> Result<&Upload, Condition> {
        let bucket = self.buckets.get(upload.at.bucket).ok_or(Condition::NoSuchBucket)?;
        bucket.uploads.get(&(upload.at.key, upload.id)).ok_or(Condition::NoSuchUpload)
    }

    fn put_part(&mut self, to: UploadAt, number: u32, bytes: Bytes, at: &Moment<'_>) -> Outcome {
        let bucket = self.buckets.get_mut(to.at.bucket).ok_or(Condition::NoSuchBucket)?;
        let upload = bucket.uploads.get_mut(&(to.at.key, to.id));
        let upload = upload.ok_or(Condition::NoSuchUpload)?;
        if upload.terms.sequential && number > 1 && !upload.parts.contains_key(&(number - 1)) {
            return Err(Condition::PartNotSequential);
        }
        let md5 = Algorithm::Md5.hash(&bytes).try_into().map_err(|_| Condition::Internal)?;
        let checksum = upload.terms.checksum.map(|(algorithm, _)| Checksum {
            algorithm,
            value: algorithm.hash(&bytes),
            kind: ChecksumKind::FullObject,
        });
        let size_bytes = bytes.len() as u64;
        let sight = PartSight { number, size_bytes, md5, checksum, modified_ms: at.now_ms };
        upload.part_writes += 1;
        upload.parts.insert(number, Part { sight: sight.clone(), bytes });
        Ok(Answer::Part(sight))
    }

    pub(super) fn upload_part(
        &mut self,
        to: UploadAt,
        number: u32,
        bytes: Bytes,
        at: &Moment<'_>,
    ) -> Outcome {
        self.bucket(to.at.bucket, at)?;
        if !(1..=10_000).contains(&number) {
            return Err(Condition::InvalidArgument);
        }
        self.put_part(to, number, bytes, at)
    }

    pub(super) fn upload_part_copy(
        &mut self,
        to: UploadAt,
        number: u32,
        from: Source,
        part: &PartSource,
        at: &Moment<'_>,
    ) -> Outcome {
        self.check_both(to.at.bucket, from.at.bucket, at)?;
        if !(1..=10_000).contains(&number) {
            return Err(Condition::InvalidArgument);
        }
        self.upload(to)?;
        let (version, object) = self.copied(from)?;
        rules::check_read(&part.preconditions, &version.sight)?;
        let range = match part.range {
            Some(range) => rules::range_within(range, object.size_bytes)?,
            None => 0..object.size_bytes,
        };
        let bytes = version.bytes.slice(range.start as usize..range.end as usize);
        self.put_part(to, number, bytes, at)
    }

    pub(super) fn list_parts(
        &self,
        upload: UploadAt,
        after: u32,
        limit: usize,
        at: &Moment<'_>,
    ) -> Outcome {
        self.bucket(upload.at.bucket, at)?;
        let parts = &self.upload(upload)?.parts;
        let listed = parts.values().map(|part| part.sight.clone());
        let listed = listed.filter(|part| part.number > after).collect();
        Ok(Answer::Parts(rules::pages(listed, limit)))
    }

    pub(super) fn abort(&mut self, upload: UploadAt, at: &Moment<'_>) -> Outcome {
        let bucket = self.bucket_mut(upload.at.bucket, at)?;
        let gone = bucket.uploads.remove(&(upload.at.key, upload.id));
        gone.map(|_| Answer::Done).ok_or(Condition::NoSuchUpload)
    }

    pub(super) fn complete(&mut self, completion: &Completion, at: &Moment<'_>) -> Outcome {
        let UploadAt { at: place, id } = completion.upload;
        self.bucket(place.bucket, at)?;
        let Ok(upload) = self.upload(completion.upload) else { return self.repeat(completion) };
        self.check_write(place, &completion.condition)?;
        let (upload, parts) = (upload.clone(), chosen(upload, completion)?);
        let object = assemble(&upload, &parts)?;
        if completion.size_bytes.is_some_and(|size| size != object.sight.size_bytes) {
            return Err(Condition::InvalidRequest);
        }
        let owner = upload.owner.clone();
        let answer = self.write_object(place, owner, object, &completion.condition, at)?;
        let bucket = self.bucket_mut(place.bucket, at)?;
        bucket.uploads.remove(&(place.key, id));
        if let Answer::Written(version, _) = &answer {
            let finished = Finished {
                bucket: place.bucket,
                key: place.key,
                bucket_number: bucket.number,
                parts: parts.iter().map(|part| (part.sight.number, part.sight.md5)).collect(),
                version: version.clone(),
                versioned: bucket.versioning != Versioning::Unversioned,
                finished_ms: at.now_ms,
            };
            self.finished.insert(id, finished);
        }
        Ok(answer)
    }

    /// Completing what was completed: the first answer, if it is the same request.
    fn repeat(&self, completion: &Completion) -> Outcome {
        let UploadAt { at: place, id } = completion.upload;
        let finished = self.finished.get(&id).ok_or(Condition::NoSuchUpload)?;
        let bucket = self.buckets.get(place.bucket).ok_or(Condition::NoSuchBucket)?;
        let same_parts = completion.parts.as_ref().is_none_or(|choices| {
            let chosen =
                last_of_each(choices).map(|choice| (choice.number, choice.etag.to_lowercase()));
            let parts = finished.parts.iter().map(|(number, md5)| (*number, hex::encode(md5)));
            chosen.eq(parts)
        });
        if finished.bucket_number != bucket.number || finished.key != place.key || !same_parts {
            return Err(Condition::NoSuchUpload);
        }
        Ok(Answer::Written(finished.version.clone(), finished.versioned))
    }
}

/// The parts a completion asks for.
fn chosen(upload: &Upload, completion: &Completion) -> Result<Vec<Part>, Condition> {
    if upload.part_writes == 0 {
        return Err(Condition::InvalidPart);
    }
    let parts: Vec<Part> = match &completion.parts {
        None => upload.parts.values().cloned().collect(),
        Some(choices) => {
            if !choices.is_sorted_by(|one, two| one.number <= two.number) {
                return Err(Condition::InvalidPartOrder);
            }
            let find = |choice: &PartChoice| {
                let part = upload.parts.get(&choice.number)?;
                let same = hex::encode(part.sight.md5) == choice.etag.to_lowercase();
                same.then(|| part.clone())
            };
            last_of_each(choices).map(find).collect::<Option<_>>().ok_or(Condition::InvalidPart)?
        }
    };
    let (_, but_last) = parts.split_last().ok_or(Condition::InvalidPart)?;
    let small = |part: &Part| part.sight.size_bytes < upload.terms.part_bytes_min;
    if but_last.iter().any(small) { Err(Condition::EntityTooSmall) } else { Ok(parts) }
}

/// A number chosen again replaces the choice before it.
fn last_of_each(choices: &[PartChoice]) -> impl Iterator<Item = &PartChoice> {
    choices.iter().enumerate().filter_map(|(index, choice)| {
        let next = choices.get(index + 1);
        next.is_none_or(|next| next.number != choice.number).then_some(choice)
    })
}

/// The object that parts become.
fn assemble(upload: &Upload, parts: &[Part]) -> Result<NewObject, Condition> {
    let bytes: Bytes = parts.iter().flat_map(|part| part.bytes.iter().copied()).collect();
    let md5s: Vec<u8> = parts.iter().flat_map(|part| part.sight.md5).collect();
    let checksum = upload.terms.checksum.map(|(algorithm, kind)| {
        let values = parts.iter().filter_map(|part| part.sight.checksum.as_ref());
        let values: Vec<u8> = values.flat_map(|checksum| checksum.value.clone()).collect();
        let value = match kind {
            ChecksumKind::FullObject => algorithm.hash(&bytes),
            ChecksumKind::Composite => algorithm.hash(&values),
        };
        Checksum { algorithm, value, kind }
    });
    let sight = ObjectSight {
        etag: format!("{}-{}", hex::encode(Algorithm::Md5.hash(&md5s)), parts.len()),
        size_bytes: bytes.len() as u64,
        crc64: crc64(&Algorithm::Crc64Ecma.hash(&bytes)),
        checksum,
        attributes: upload.attributes.clone(),
    };
    let sizes = parts.iter().map(|part| (part.sight.number, part.sight.size_bytes)).collect();
    Ok(NewObject { sight, bytes, parts: Some(sizes) })
}
