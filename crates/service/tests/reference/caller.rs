//! Asks the service what the model was asked, through its one door.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use model::{
    BucketName, ObjectKey,
    listing::Question,
    preconditions::Preconditions,
    records::{Part, Version, Versioning},
    tags::Tags,
};
use service::{
    Caller, ContentReader, Error, Service, body, buckets,
    objects::{
        Target,
        copy::CopyObject,
        delete::{DeleteObject, DeleteObjects},
        list::{ListObjects, ListVersions, ListedVersion},
        read::{
            GetObject, GetObjectAttributes, HeadObject, ObjectFacts, Reading as ServiceReading,
        },
        write::{PutObject, Written},
    },
    uploads::{
        AbortUpload, CompleteUpload, CreateUpload, ListParts, ListUploads, UploadPart,
        UploadPartCopy, UploadTarget,
    },
};

use crate::operation::{
    Act, Answer, Copying, Name, ObjectSight, Page, PartSight, Reading, Sight, Source, Text,
    UploadAt,
};

type Answered = Result<Answer, Error>;

/// One who asks the service.
pub struct Client<'s> {
    pub service: &'s Arc<Service>,
    pub caller: Caller,
}

pub fn bucket_name(name: Name) -> BucketName {
    BucketName::parse(name).expect("the names are valid")
}

pub fn object_key(key: Name) -> ObjectKey {
    ObjectKey::parse(key).expect("the keys are valid")
}

pub fn target(source: Source) -> Target {
    let Source { at, version } = source;
    Target { bucket: bucket_name(at.bucket), key: object_key(at.key), version }
}

fn upload_target(upload: UploadAt) -> UploadTarget {
    let UploadAt { at, id } = upload;
    UploadTarget { bucket: bucket_name(at.bucket), key: object_key(at.key), upload: id }
}

fn body(text: Text) -> Box<dyn body::Body> {
    Box::new(body::Whole(Some(text.bytes())))
}

pub fn sight(version: &Version) -> Sight {
    let object = version.object.as_ref().map(|object| ObjectSight {
        etag: object.etag.to_string(),
        size_bytes: object.size_bytes,
        crc64: object.crc64,
        checksum: object.checksum.clone(),
        attributes: object.attributes.clone(),
    });
    let owner = version.owner.to_string();
    Sight { id: version.client_id(), modified_ms: version.modified_ms, owner, object }
}

fn part_sight(part: &Part) -> PartSight {
    PartSight {
        number: part.number,
        size_bytes: part.size_bytes,
        md5: part.md5,
        checksum: part.checksum.clone(),
        modified_ms: part.modified_ms,
    }
}

fn written(written: &Written) -> Answer {
    Answer::Written(sight(&written.version), written.versioning != Versioning::Unversioned)
}

/// Reads a content to its end.
pub async fn read_all(mut reader: ContentReader) -> Result<Bytes, Error> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = reader.next().await {
        bytes.extend_from_slice(&chunk?);
    }
    Ok(bytes.freeze())
}

impl Client<'_> {
    pub async fn call<O: service::Operation>(&self, operation: O) -> Result<O::Output, Error> {
        self.service.call(&self.caller, operation).await
    }

    pub async fn act(&self, act: &Act) -> Answered {
        match act.clone() {
            Act::CreateBucket(name) => {
                let name = bucket_name(name);
                let (location, storage_class, redundancy) = (None, None, None);
                let new = buckets::CreateBucket {
                    name,
                    location,
                    storage_class,
                    redundancy,
                    acl: None,
                    object_ownership: None,
                };
                Ok(Answer::Created(self.call(new).await?.existed))
            }
            Act::DeleteBucket(name, abort_uploads) => {
                let name = bucket_name(name);
                self.call(buckets::DeleteBucket { name, abort_uploads }).await?;
                Ok(Answer::Done)
            }
            Act::SetVersioning(name, versioning) => {
                let name = bucket_name(name);
                self.call(buckets::SetVersioning { name, versioning, mfa_delete: None }).await?;
                Ok(Answer::Done)
            }
            Act::ListBuckets { prefix, after, limit } => {
                self.list_buckets(prefix, after, limit).await
            }
            Act::Put { to, body: text, attributes, condition } => {
                let (bucket, key) = (bucket_name(to.bucket), object_key(to.key));
                let (body, tags) = (body(text), Tags::default());
                let put = PutObject { bucket, key, attributes, condition, acl: None, tags, body };
                Ok(written(&self.call(put).await?))
            }
            Act::Read(reading) => self.read(reading).await,
            Act::Attributes { from, after, limit } => {
                let found = self.call(GetObjectAttributes {
                    target: target(from),
                    preconditions: Preconditions::default(),
                    parts_after: after,
                    parts_limit: limit,
                });
                let found = found.await?;
                let parts = found.parts.iter().map(|part| (part.number, part.size_bytes));
                let (parts, more) = (parts.collect(), found.parts_truncated);
                Ok(Answer::Attributes { parts, count: found.parts_count, more })
            }
            Act::Delete { from, condition } => {
                let deleted = self.call(DeleteObject { target: target(from), condition }).await?;
                Ok(Answer::Deleted(deleted))
            }
            Act::DeleteMany { bucket, objects } => {
                let objects = objects.into_iter();
                let objects =
                    objects.map(|(key, version, condition)| (object_key(key), version, condition));
                let objects = objects.collect();
                let outcomes =
                    self.call(DeleteObjects { bucket: bucket_name(bucket), objects }).await?;
                let outcomes = outcomes.into_iter();
                let outcomes = outcomes.map(|outcome| outcome.map_err(|error| error.condition));
                Ok(Answer::DeletedMany(outcomes.collect()))
            }
            Act::Copy(copying) => self.copy(copying).await,
            Act::ListObjects(name, question) => self.list_objects(name, question).await,
            Act::ListVersions(name, question) => self.list_versions(name, question).await,
            Act::ListUploads(name, question) => self.list_uploads(name, question).await,
            Act::ListParts { upload, after, limit } => self.list_parts(upload, after, limit).await,
            act => self.change_upload(act).await,
        }
    }

    async fn change_upload(&self, act: Act) -> Answered {
        match act {
            Act::CreateUpload { to, attributes, terms } => {
                let (bucket, key) = (bucket_name(to.bucket), object_key(to.key));
                let (checksum, sequential) = (terms.checksum, terms.sequential);
                let part_bytes_min = terms.part_bytes_min;
                let create = CreateUpload {
                    tags: Tags::default(),
                    bucket,
                    key,
                    attributes,
                    checksum,
                    part_bytes_min,
                    sequential,
                    acl: None,
                };
                Ok(Answer::Upload(self.call(create).await?.id))
            }
            Act::UploadPart { upload, number, body: text } => {
                let target = upload_target(upload);
                let part = self.call(UploadPart { target, number, body: body(text) }).await?;
                Ok(Answer::Part(part_sight(&part)))
            }
            Act::UploadPartCopy { upload, number, from, part } => {
                let copied = self.call(UploadPartCopy {
                    target: upload_target(upload),
                    number,
                    source: target(from),
                    source_preconditions: part.preconditions,
                    range: part.range,
                });
                Ok(Answer::Part(part_sight(&copied.await?.part)))
            }
            Act::Complete(completion) => {
                let complete = CompleteUpload {
                    target: upload_target(completion.upload),
                    parts: completion.parts,
                    condition: completion.condition,
                    checksum: None,
                    size_bytes: completion.size_bytes,
                };
                Ok(written(&self.call(complete).await?))
            }
            Act::Abort(upload) => {
                self.call(AbortUpload(upload_target(upload))).await?;
                Ok(Answer::Done)
            }
            other => panic!("{other:?} is no change of an upload"),
        }
    }

    async fn read(&self, reading: Reading) -> Answered {
        let question = ServiceReading {
            target: target(reading.from),
            preconditions: reading.preconditions,
            range: reading.range,
            lenient_range: reading.lenient,
            part: reading.part,
        };
        let (facts, bytes) = match reading.head {
            true => (self.call(HeadObject(question)).await?, None),
            false => {
                let (facts, reader) = self.call(GetObject(question)).await?;
                (facts, Some(read_all(reader).await?))
            }
        };
        let ObjectFacts { version, range, partial, parts_count, .. } = facts;
        Ok(Answer::Read { version: sight(&version), range, partial, parts_count, bytes })
    }

    async fn copy(&self, copying: Copying) -> Answered {
        let copied = self.call(CopyObject {
            acl: None,
            tags: None,
            source: target(copying.from),
            source_preconditions: copying.preconditions,
            bucket: bucket_name(copying.to.bucket),
            key: object_key(copying.to.key),
            replace: copying.replace,
            storage_class: copying.storage_class,
            checksum: copying.checksum,
            condition: copying.condition,
        });
        Ok(written(&copied.await?.written))
    }

    async fn list_buckets(&self, prefix: Name, after: Name, limit: usize) -> Answered {
        let (prefix, mut after, mut pages) = (prefix.to_owned(), after.to_owned(), Vec::new());
        loop {
            let list = buckets::ListBuckets { prefix: prefix.clone(), after, limit, tag: None };
            let page = self.call(list).await?;
            pages.push(page.buckets.iter().map(|bucket| bucket.name.to_string()).collect());
            match page.next {
                Some(next) => after = next,
                None => return Ok(Answer::Buckets(pages)),
            }
        }
    }

    async fn list_objects(&self, name: Name, mut question: Question) -> Answered {
        let mut pages = Vec::new();
        loop {
            let list = ListObjects { bucket: bucket_name(name), question: question.clone() };
            let page = self.call(list).await?;
            let entries = page.entries.iter();
            let entries = entries.map(|(key, version)| (key.to_string(), (sight(version), true)));
            pages.push(Page { entries: entries.collect(), prefixes: page.prefixes });
            match page.next {
                Some(next) => question.after = next,
                None => return Ok(Answer::Listed(pages)),
            }
        }
    }

    async fn list_versions(&self, name: Name, mut question: Question) -> Answered {
        let (mut pages, mut version_after) = (Vec::new(), None);
        loop {
            let (bucket, question_now) = (bucket_name(name), question.clone());
            let list = ListVersions { bucket, question: question_now, version_after };
            let page = self.call(list).await?;
            let entry = |entry: &ListedVersion| {
                (entry.key.to_string(), (sight(&entry.version), entry.latest))
            };
            let entries = page.entries.iter().map(entry).collect();
            pages.push(Page { entries, prefixes: page.prefixes });
            match page.next {
                Some(next) => (question.after, version_after) = next,
                None => return Ok(Answer::Listed(pages)),
            }
        }
    }

    async fn list_parts(&self, upload: UploadAt, mut after: u32, limit: usize) -> Answered {
        let mut pages = Vec::new();
        loop {
            let page = self.call(ListParts { target: upload_target(upload), after, limit }).await?;
            pages.push(page.parts.iter().map(part_sight).collect());
            match page.next {
                Some(next) => after = next,
                None => return Ok(Answer::Parts(pages)),
            }
        }
    }

    async fn list_uploads(&self, name: Name, mut question: Question) -> Answered {
        let (mut pages, mut upload_after) = (Vec::new(), None);
        loop {
            let (bucket, question_now) = (bucket_name(name), question.clone());
            let list = ListUploads { bucket, question: question_now, upload_after };
            let page = self.call(list).await?;
            let uploads = page.uploads.iter();
            let uploads = uploads.map(|upload| (upload.key.to_string(), upload.id));
            pages.push(Page { entries: uploads.collect(), prefixes: page.prefixes });
            match page.next {
                Some((key, id)) => {
                    question.after = key;
                    upload_after = id.map(|id| id.to_string());
                }
                None => return Ok(Answer::Uploads(pages)),
            }
        }
    }
}
