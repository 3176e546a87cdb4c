//! Completing an upload: its parts become one content, no byte is copied.

use std::sync::Arc;

use metadata::{CompletedContent, Guard, NewVersion};
use model::{
    Condition,
    checksums::{Algorithm, crc64},
    limits::OBJECT_BYTES_MAX,
    names::ContentId,
    policy::Action,
    records::{
        Bucket, Checksum, ChecksumKind, ContentPart, Etag, ObjectData, Part, Upload, Version,
        Versioning,
    },
};

use super::{CompleteUpload, PartChoice, other_checksum};
use crate::{
    Error, Need, Operation, Permit, Result, Service, acls,
    body::Whole,
    contents::{BODY_BYTES_MAX, Description, Outcome, Stored},
    objects::write::Written,
};

impl Operation for CompleteUpload {
    type Output = Written;

    fn needs(&self) -> Vec<Need<'_>> {
        Need::object(Action::PutObject, &self.target.bucket, &self.target.key)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let (bucket, _) = permit.bucket(&self.target.bucket)?;
        let find = async || service.upload(&permit, Action::PutObject, &self.target).await;
        let error = match find().await {
            Ok(upload) => match self.complete(service, bucket, upload).await {
                Ok(written) => return Ok(written),
                Err(error) => error,
            },
            Err(error) => error,
        };
        // Whatever went wrong: somebody may have completed it before, or in this very moment.
        match find().await {
            Err(missing) if missing.condition == Condition::NoSuchUpload => {
                self.repeat(service, &permit, missing).await
            }
            _ => Err(error),
        }
    }
}

/// The parts uploaded so far, and what guards that no other one comes.
async fn read_parts(service: &Service, upload: &Upload) -> Result<(Guard, Vec<Part>)> {
    let seen = service.metadata.part_writes(upload.id).await?;
    let Some(seen) = seen else {
        let detail = "One or more of the specified parts could not be found.";
        return Err(Error::new(Condition::InvalidPart, detail));
    };
    let (parts, _) = service.metadata.parts(upload.id, 0, usize::MAX).await?;
    Ok((seen, parts))
}

impl CompleteUpload {
    async fn complete(
        &self,
        service: &Arc<Service>,
        bucket: &Bucket,
        upload: Upload,
    ) -> Result<Written> {
        self.condition.refuse_early(service, bucket, &upload.key).await?;
        let (seen, uploaded) = read_parts(service, &upload).await?;
        let parts = self.choose(&upload, uploaded)?;
        let object = self.assemble(service, &upload, &parts)?;
        let content_parts: Vec<_> = parts.iter().map(content_part).collect();
        let manifest = store_manifest(service, bucket, &upload, &object, &content_parts).await?;
        let content = CompletedContent {
            id: object.content,
            size_bytes: object.size_bytes,
            region: bucket.region.clone(),
            parts: content_parts,
            manifest: manifest.part_blob(),
            seen,
            parts_digest: digest(parts.iter().map(|part| (part.number, part.md5))),
        };
        let acl = upload.acl.as_ref().filter(|acl| bucket.heeds(acl));
        let new = NewVersion {
            key: &upload.key,
            owner: &upload.owner,
            object: Some(&object),
            content: None,
            acl,
            tags: Some(&upload.tags),
            now_ms: service.now_ms(),
        };
        service.check_acl(bucket, acl).await?;
        let decide = |bucket: &Bucket, existing: Option<&Version>| {
            acls::check(bucket, acl)?;
            self.condition.check(bucket, existing)
        };
        let written =
            service.metadata.complete_upload(bucket, &upload, &content, &new, decide).await?;
        manifest.named();
        service.garbage_queued.notify_one();
        Ok(written.into())
    }

    /// Answers a repeated request as the first one.
    async fn repeat(
        &self,
        service: &Service,
        permit: &Permit<'_, Self>,
        missing: Error,
    ) -> Result<Written> {
        let (bucket, _) = permit.bucket(&self.target.bucket)?;
        let finished = service.metadata.finished_upload(self.target.upload).await?;
        let Some(finished) = finished else { return Err(missing) };
        let same_object = finished.bucket == bucket.id && finished.key == self.target.key;
        let same_parts = match &self.parts {
            None => true,
            Some(choices) => {
                let chosen =
                    last_of_each(choices).map(|choice| Some((choice.number, choice.md5()?)));
                let chosen = chosen.collect::<Option<Vec<_>>>();
                chosen.is_some_and(|chosen| digest(chosen.into_iter()) == finished.parts_digest)
            }
        };
        if !same_object || !same_parts {
            return Err(missing);
        }
        permit.check_upload(Action::PutObject, &self.target, finished.initiator.as_ref())?;
        let versioning =
            if finished.versioned { bucket.versioning } else { Versioning::Unversioned };
        Ok(Written { version: finished.version, versioning })
    }

    /// Finds the parts the client chose, and checks their order, tags, checksums and sizes.
    fn choose(&self, upload: &Upload, uploaded: Vec<Part>) -> Result<Vec<Part>> {
        let parts = match &self.parts {
            None => uploaded,
            Some(choices) => {
                let ascending = choices.windows(2).all(|pair| match pair {
                    [one, two] => one.number <= two.number,
                    _ => true,
                });
                if !ascending {
                    return Err(Condition::InvalidPartOrder.into());
                }
                let found = last_of_each(choices).map(|choice| choice.find(upload, &uploaded));
                found.collect::<Result<Vec<_>>>()?
            }
        };
        if parts.is_empty() {
            return Err(Condition::InvalidPart.into());
        }
        let (_, but_last) = parts.split_last().ok_or(Condition::InvalidPart)?;
        match but_last.iter().find(|part| part.size_bytes < upload.part_bytes_min) {
            Some(small) => Err(Error::from(Condition::EntityTooSmall)
                .field("ProposedSize", small.size_bytes.to_string())
                .field("MinSizeAllowed", upload.part_bytes_min.to_string())
                .field("PartNumber", small.number.to_string())),
            None => Ok(parts),
        }
    }

    /// What is known of the whole from what is known of the parts.
    fn assemble(&self, service: &Service, upload: &Upload, parts: &[Part]) -> Result<ObjectData> {
        let size_bytes = parts.iter().map(|part| part.size_bytes).sum();
        if size_bytes > OBJECT_BYTES_MAX {
            return Err(Condition::EntityTooLarge.into());
        }
        if self.size_bytes.is_some_and(|size| size != size_bytes) {
            let detail = "The provided 'x-amz-mp-object-size' header value does not match what \
                          was computed.";
            return Err(Error::new(Condition::InvalidRequest, detail));
        }
        let md5s: Vec<u8> = parts.iter().flat_map(|part| part.md5).collect();
        let md5 = Algorithm::Md5.hash(&md5s).try_into().map_err(|_| Condition::Internal)?;
        let crcs: Vec<_> =
            parts.iter().map(|part| (part.crc64.to_be_bytes(), part.size_bytes)).collect();
        let crcs = crcs.iter().map(|(value, size)| (value.as_slice(), *size));
        let whole = Algorithm::Crc64Ecma.combine(crcs).ok_or(Condition::Internal)?;
        let checksum =
            upload.checksum.map(|(algorithm, kind)| whole_checksum(algorithm, kind, parts));
        let checksum = checksum.transpose()?;
        if let Some(given) = &self.checksum {
            self.compare(given, checksum.as_ref())?;
        }
        Ok(ObjectData {
            content: ContentId(service.random()),
            size_bytes,
            etag: Etag { md5, parts: u32::try_from(parts.len()).ok() },
            crc64: crc64(&whole),
            checksum,
            attributes: upload.attributes.clone(),
        })
    }

    fn compare(&self, given: &Checksum, computed: Option<&Checksum>) -> Result<()> {
        let same = |computed: &&Checksum| computed.algorithm == given.algorithm;
        let Some(computed) = computed.filter(same) else {
            let wanted = computed.map(|computed| computed.algorithm);
            return Err(other_checksum(wanted, given.algorithm));
        };
        if given.value == computed.value {
            return Ok(());
        }
        let name = given.algorithm.name();
        let detail = format!("The {name} you specified did not match the calculated checksum.");
        Err(Error::new(Condition::BadDigest, detail))
    }
}

/// A number named again replaces the choice before it, as a part uploaded again does.
fn last_of_each(choices: &[PartChoice]) -> impl Iterator<Item = &PartChoice> {
    choices.chunk_by(|one, two| one.number == two.number).filter_map(<[_]>::last)
}

impl PartChoice {
    fn md5(&self) -> Option<[u8; 16]> {
        u128::from_str_radix(&self.etag, 16).ok().map(u128::to_be_bytes)
    }

    fn find(&self, upload: &Upload, uploaded: &[Part]) -> Result<Part> {
        let found = uploaded
            .binary_search_by_key(&self.number, |part| part.number)
            .ok()
            .and_then(|index| uploaded.get(index))
            .filter(|part| self.md5() == Some(part.md5));
        let Some(part) = found else {
            return Err(Error::from(Condition::InvalidPart)
                .field("UploadId", upload.id.to_string())
                .field("PartNumber", self.number.to_string())
                .field("ETag", self.etag.clone()));
        };
        if let Some((algorithm, value)) = &self.checksum
            && let Some(stored) = &part.checksum
            && (stored.algorithm != *algorithm || stored.value != *value)
        {
            return Err(Error::from(Condition::InvalidPart)
                .field("PartNumber", self.number.to_string())
                .field("ETag", self.etag.clone()));
        }
        Ok(part.clone())
    }
}

fn whole_checksum(algorithm: Algorithm, kind: ChecksumKind, parts: &[Part]) -> Result<Checksum> {
    let values: Option<Vec<_>> = parts
        .iter()
        .map(|part| Some((part.checksum.as_ref()?.value.as_slice(), part.size_bytes)))
        .collect();
    let values = values.ok_or_else(|| {
        Error::new(Condition::InvalidRequest, "A part was uploaded without its checksum.")
    })?;
    let value = match kind {
        ChecksumKind::FullObject => algorithm.combine(values).ok_or(Condition::Internal)?,
        ChecksumKind::Composite => {
            let all: Vec<u8> = values.iter().flat_map(|(value, _)| value.iter().copied()).collect();
            algorithm.hash(&all)
        }
    };
    Ok(Checksum { algorithm, value, kind })
}

/// Stores a blob that says which parts the object is made of: they alone could not tell.
async fn store_manifest(
    service: &Arc<Service>,
    bucket: &Bucket,
    upload: &Upload,
    object: &ObjectData,
    parts: &[ContentPart],
) -> Result<Stored> {
    let ObjectData { etag, crc64, checksum, .. } = object.clone();
    let description = Description {
        outcome: Some(Outcome { etag, crc64, checksum }),
        manifest: true,
        ..Description::new(bucket, &upload.key, &upload.attributes)
    };
    let list = minicbor::to_vec(parts).map_err(Error::internal)?;
    let mut body = Whole(Some(list.into()));
    service.store(bucket, description, &mut body, BODY_BYTES_MAX).await
}

fn content_part(part: &Part) -> ContentPart {
    ContentPart {
        number: part.number,
        size_bytes: part.size_bytes,
        md5: part.md5,
        checksum: part.checksum.clone(),
        blob: part.blob,
    }
}

/// What tells whether a repeated request chose the same parts.
fn digest(parts: impl Iterator<Item = (u32, [u8; 16])>) -> [u8; 16] {
    let bytes: Vec<u8> =
        parts.flat_map(|(number, md5)| number.to_be_bytes().into_iter().chain(md5)).collect();
    let mut digest = [0; 16];
    let hash = Algorithm::Md5.hash(&bytes);
    digest.iter_mut().zip(hash).for_each(|(byte, hash)| *byte = hash);
    digest
}
