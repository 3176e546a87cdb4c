//! Multipart uploads.

mod complete;

use std::sync::Arc;

use metadata::PartWritten;
use model::{
    Condition,
    acl::WantedAcl,
    checksums::Algorithm,
    limits::PART_NUMBERS,
    listing::{Folder, Question, Verdict},
    names::{BucketName, ObjectKey, UploadId},
    policy::Action,
    preconditions::{ByteRange, Preconditions},
    records::{
        Account, Attributes, Bucket, Checksum, ChecksumKind, Initiator, Part, Upload, Version,
    },
    tags::Tags,
};

use crate::{
    Error, Need, Operation, Permit, Result, Service,
    body::Body,
    contents::{BODY_BYTES_MAX, Description},
    objects::{
        Target,
        copy::{CopiedBody, find_source},
        write::{WriteCondition, Written},
    },
};

/// Begins an upload.
pub struct CreateUpload {
    pub bucket: BucketName,
    pub key: ObjectKey,
    pub attributes: Attributes,
    pub checksum: Option<(Algorithm, ChecksumKind)>,
    /// Smallest part but the last: it differs between the dialects.
    pub part_bytes_min: u64,
    pub sequential: bool,
    /// The object's.
    pub acl: Option<WantedAcl>,
    /// The object's.
    pub tags: Tags,
}

/// The upload a request names: id, and the key it must belong to.
#[derive(Clone, Debug)]
pub struct UploadTarget {
    pub bucket: BucketName,
    pub key: ObjectKey,
    pub upload: UploadId,
}

/// Writes one part; the same number again replaces it.
pub struct UploadPart {
    pub target: UploadTarget,
    pub number: u32,
    pub body: Box<dyn Body>,
}

/// Fills one part from an existing object.
pub struct UploadPartCopy {
    pub target: UploadTarget,
    pub number: u32,
    pub source: Target,
    pub source_preconditions: Preconditions,
    pub range: Option<ByteRange>,
}

pub struct CopiedPart {
    pub part: Part,
    pub source: Version,
    pub source_versioned: bool,
}

/// Lists the parts uploaded so far.
pub struct ListParts {
    pub target: UploadTarget,
    pub after: u32,
    pub limit: usize,
}

pub struct PartPage {
    pub upload: Upload,
    pub owner: Account,
    pub parts: Vec<Part>,
    /// The last number listed, when there are more.
    pub next: Option<u32>,
}

/// Lists the uploads under way.
pub struct ListUploads {
    pub bucket: BucketName,
    /// `after` is the key marker.
    pub question: Question,
    /// Start after this upload of the key marker, not after the whole key.
    pub upload_after: Option<String>,
}

pub struct UploadPage {
    pub owner: Account,
    pub uploads: Vec<Upload>,
    pub prefixes: Vec<String>,
    /// Key (or prefix) and upload id of the last thing listed, when there are more.
    pub next: Option<(String, Option<UploadId>)>,
}

/// One part the client wants in the object.
#[derive(Clone, Debug)]
pub struct PartChoice {
    pub number: u32,
    /// As given, without quotes; any case.
    pub etag: String,
    pub checksum: Option<(Algorithm, Vec<u8>)>,
}

/// Makes the object of the parts.
pub struct CompleteUpload {
    pub target: UploadTarget,
    /// In ascending order; `None` takes all parts uploaded (`x-oss-complete-all`).
    pub parts: Option<Vec<PartChoice>>,
    pub condition: WriteCondition,
    /// The whole object's checksum, as the client computed it.
    pub checksum: Option<Checksum>,
    /// `x-amz-mp-object-size`
    pub size_bytes: Option<u64>,
}

/// What completing answers: the object written.
pub type Completed = Written;

/// Throws an upload and its parts away.
pub struct AbortUpload(pub UploadTarget);

impl Operation for CreateUpload {
    type Output = Upload;

    fn needs(&self) -> Vec<Need<'_>> {
        Need::write((&self.bucket, &self.key), self.acl.as_ref(), self.tags.as_slice())
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let (bucket, _) = permit.bucket(&self.bucket)?;
        let (owner, acl) = service.own(bucket, permit.caller(), self.acl.as_ref()).await?;
        let upload = Upload {
            id: service.new_upload_id(),
            bucket: bucket.id,
            key: self.key,
            initiated_ms: service.now_ms(),
            owner,
            attributes: self.attributes,
            checksum: self.checksum,
            part_bytes_min: self.part_bytes_min,
            sequential: self.sequential,
            acl,
            initiator: Some(Initiator::of(permit.caller().account_id())),
            tags: self.tags,
        };
        service.metadata.create_upload(bucket, &upload).await?;
        Ok(upload)
    }
}

impl Service {
    /// Six bytes of the time, then random ones: the uploads of a key sort by their beginning.
    fn new_upload_id(&self) -> UploadId {
        let mut id: [u8; 16] = self.random();
        let [_, _, time @ ..] = self.now_ms().to_be_bytes();
        id.iter_mut().zip(time).for_each(|(byte, time)| *byte = time);
        UploadId(id)
    }

    /// The upload a request names, if the caller may touch it.
    async fn upload<O>(
        &self,
        permit: &Permit<'_, O>,
        action: Action,
        target: &UploadTarget,
    ) -> Result<Upload> {
        let (bucket, _) = permit.bucket(&target.bucket)?;
        let found = self.metadata.upload(bucket.id, &target.key, target.upload).await?;
        let missing =
            || Error::from(Condition::NoSuchUpload).field("UploadId", target.upload.to_string());
        let (upload, _) = found.ok_or_else(missing)?;
        permit.check_upload(action, target, upload.initiator.as_ref())?;
        Ok(upload)
    }

    /// Stores a body as a part and names it.
    async fn store_part(
        self: &Arc<Self>,
        bucket: &Bucket,
        upload: &Upload,
        number: u32,
        body: &mut dyn Body,
    ) -> Result<Part> {
        if upload.sequential {
            self.refuse_out_of_sequence(upload, number).await?;
        }
        let part = Some((upload.id, number));
        let description =
            Description { part, ..Description::new(bucket, &upload.key, &upload.attributes) };
        let stored = self.store(bucket, description, body, BODY_BYTES_MAX).await?;
        let part = Part {
            number,
            size_bytes: stored.digests.size_bytes,
            md5: stored.digests.md5,
            crc64: stored.digests.crc64,
            checksum: stored.digests.checksum.clone(),
            modified_ms: self.now_ms(),
            blob: stored.location.blob.0,
        };
        let written = PartWritten { part, blob: stored.part_blob() };
        self.metadata.put_part(bucket, upload, &written, self.now_ms()).await?;
        stored.named();
        self.garbage_queued.notify_one();
        Ok(written.part)
    }

    /// OSS `sequential`: a part may only follow the one before it.
    async fn refuse_out_of_sequence(&self, upload: &Upload, number: u32) -> Result<()> {
        let (before, _) = self.metadata.parts(upload.id, number.saturating_sub(2), 1).await?;
        let follows = number == 1 || before.iter().any(|part| part.number == number - 1);
        if follows { Ok(()) } else { Err(Condition::PartNotSequential.into()) }
    }
}

fn check_number(number: u32) -> Result<()> {
    if PART_NUMBERS.contains(&number) {
        return Ok(());
    }
    let detail = "Part number must be an integer between 1 and 10000, inclusive";
    Err(Error::new(Condition::InvalidArgument, detail))
}

impl Operation for UploadPart {
    type Output = Part;

    fn needs(&self) -> Vec<Need<'_>> {
        Need::object(Action::PutObject, &self.target.bucket, &self.target.key)
    }

    async fn run(
        mut self,
        permit: Permit<'_, Self>,
        service: &Arc<Service>,
    ) -> Result<Self::Output> {
        check_number(self.number)?;
        let (bucket, _) = permit.bucket(&self.target.bucket)?;
        let upload = service.upload(&permit, Action::PutObject, &self.target).await?;
        let wanted = upload.checksum.map(|(algorithm, _)| algorithm);
        let given = self.body.algorithm();
        if let (Some(wanted), Some(given)) = (wanted, given)
            && wanted != given
        {
            return Err(other_checksum(Some(wanted), given));
        }
        let mut body = PartBody { body: self.body.as_mut(), wanted };
        service.store_part(bucket, &upload, self.number, &mut body).await
    }
}

/// A checksum that cannot be compared with what the upload was begun for.
fn other_checksum(wanted: Option<Algorithm>, given: Algorithm) -> Error {
    let wanted = wanted.map_or("null", Algorithm::name);
    let given = given.name();
    let detail = format!(
        "Checksum Type mismatch occurred, expected checksum Type: {wanted}, actual checksum \
         Type: {given}"
    );
    Error::new(Condition::InvalidRequest, detail)
}

/// The body of a part: its checksum is computed even when the client sends none along.
struct PartBody<'b> {
    body: &'b mut dyn Body,
    wanted: Option<Algorithm>,
}

#[async_trait::async_trait(?Send)]
impl Body for PartBody<'_> {
    fn length_bytes(&self) -> Option<u64> {
        self.body.length_bytes()
    }

    fn wants_sha256(&self) -> bool {
        self.body.wants_sha256()
    }

    fn algorithm(&self) -> Option<Algorithm> {
        self.body.algorithm().or(self.wanted)
    }

    async fn next(&mut self) -> Option<Result<bytes::Bytes>> {
        self.body.next().await
    }

    fn check(&mut self, digests: &crate::body::Digests) -> Result<()> {
        self.body.check(digests)
    }
}

impl Operation for UploadPartCopy {
    type Output = CopiedPart;

    fn needs(&self) -> Vec<Need<'_>> {
        let target = Need::object(Action::PutObject, &self.target.bucket, &self.target.key);
        Need::and_source(target, &self.source)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        check_number(self.number)?;
        let (bucket, _) = permit.bucket(&self.target.bucket)?;
        let upload = service.upload(&permit, Action::PutObject, &self.target).await?;
        let (found, object) =
            find_source(service, &permit, &self.source, &self.source_preconditions).await?;
        let range = match self.range {
            Some(range) => range.resolve_within(object.size_bytes)?,
            None => 0..object.size_bytes,
        };
        let length_bytes = range.end - range.start;
        let layout = service.layout(object.content).await?;
        let reader = service.read_content(object.content, &layout, range, found.ticket).await?;
        let algorithm = upload.checksum.map(|(algorithm, _)| algorithm);
        let mut body = CopiedBody { reader, length_bytes, algorithm };
        let part = service.store_part(bucket, &upload, self.number, &mut body).await?;
        let versioning = found.bucket.versioning;
        let source_versioned = versioning != model::records::Versioning::Unversioned;
        Ok(CopiedPart { part, source: found.version, source_versioned })
    }
}

impl Operation for ListParts {
    type Output = PartPage;

    fn needs(&self) -> Vec<Need<'_>> {
        let UploadTarget { bucket, key, .. } = &self.target;
        Need::object(Action::ListMultipartUploadParts, bucket, key)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let (bucket, _) = permit.bucket(&self.target.bucket)?;
        let upload =
            service.upload(&permit, Action::ListMultipartUploadParts, &self.target).await?;
        let (parts, more) = service.metadata.parts(upload.id, self.after, self.limit).await?;
        let next = parts.last().filter(|_| more).map(|part| part.number);
        let owner = match service.metadata.account(&upload.owner).await? {
            Some(owner) => owner,
            None => service.owner(bucket).await?,
        };
        Ok(PartPage { upload, owner, parts, next })
    }
}

impl Operation for ListUploads {
    type Output = UploadPage;

    fn needs(&self) -> Vec<Need<'_>> {
        Need::bucket(Action::ListBucketMultipartUploads, &self.bucket)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let (bucket, _) = permit.bucket(&self.bucket)?;
        let owner = service.owner(bucket).await?;
        let mut page = UploadPage { owner, uploads: Vec::new(), prefixes: Vec::new(), next: None };
        // A marker that is no id of ours counts as none, as does one without a key marker.
        let marker = self.upload_after.as_deref().and_then(UploadId::parse);
        let mut stream = service.metadata.upload_stream(bucket.id, &self.question, marker);
        let mut folder = Folder::new(&self.question);
        let mut last = None;
        while let Some(upload) = stream.next(&service.metadata).await? {
            match folder.next(upload.key.as_str()) {
                Verdict::Take => {
                    last = Some((upload.key.to_string(), Some(upload.id)));
                    page.uploads.push(upload);
                }
                Verdict::Fold(prefix) => {
                    stream.skip(&prefix);
                    last = Some((prefix.clone(), None));
                    page.prefixes.push(prefix);
                }
                Verdict::Skip { past } => stream.skip(&past),
                Verdict::Full => {
                    page.next = last;
                    break;
                }
            }
        }
        Ok(page)
    }
}

impl Operation for AbortUpload {
    type Output = ();

    fn needs(&self) -> Vec<Need<'_>> {
        Need::object(Action::AbortMultipartUpload, &self.0.bucket, &self.0.key)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let (bucket, _) = permit.bucket(&self.0.bucket)?;
        let upload = service.upload(&permit, Action::AbortMultipartUpload, &self.0).await?;
        service.metadata.abort_upload(bucket, &upload, service.now_ms()).await?;
        service.garbage_queued.notify_one();
        Ok(())
    }
}
