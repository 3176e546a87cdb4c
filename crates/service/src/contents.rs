//! Bytes in and out: a body becomes a blob, a content becomes a stream.

use std::{
    collections::VecDeque,
    ops::{Range, RangeInclusive},
    sync::{Arc, Mutex, PoisonError},
};

use blobs::{BlobId, BlobReader, BlobWriter, Held, Location, Piece, Room, Wanted, Wish};
use bytes::Bytes;
use futures_util::future::try_join3;
use minicbor::{Decode, Encode};
use model::{
    Condition,
    limits::{PART_BYTES_MAX, PARTS_PER_ROW},
    names::{BucketId, ContentId, ObjectKey},
    records::{Attributes, Bucket, Checksum, Content, ContentPart, Etag},
};

use crate::{
    Error, Result, Service,
    body::{Body, Digests},
    digest::Digester,
    hashing::Share,
    readers::{Ticket, Writing},
};

/// Bytes gathered before they are hashed and written in one step: few at first, so that this
/// begins soon, and more once there were as many, so that fewer threads have to be woken.
const BATCH_BYTES: RangeInclusive<usize> = 256 * 1024..=1024 * 1024;

/// What a blob says of itself, so that metadata can be rebuilt from blobs alone.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Description {
    #[n(0)]
    pub bucket: BucketId,
    #[n(1)]
    pub bucket_name: String,
    #[n(2)]
    pub key: ObjectKey,
    /// The last commit when the blob was begun: later blobs of a key have no lower number.
    #[n(3)]
    pub sequence: u64,
    #[n(4)]
    pub begun_ms: i64,
    #[n(5)]
    pub attributes: Attributes,
    /// Upload id and part number, for a part.
    #[n(6)]
    pub part: Option<(model::UploadId, u32)>,
    /// What the bytes turned out to be; in a manifest, those of the object.
    #[n(7)]
    pub outcome: Option<Outcome>,
    /// The blob lists the parts of a multipart object: a CBOR array of [`ContentPart`].
    #[n(8)]
    pub manifest: bool,
    /// The number of copies that was set for the bucket.
    #[n(9)]
    pub copies: Option<u8>,
}

/// What is known of the bytes of an object or part.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Outcome {
    #[n(0)]
    pub etag: Etag,
    #[n(1)]
    pub crc64: u64,
    #[n(2)]
    pub checksum: Option<Checksum>,
}

impl Description {
    /// Of an object in one piece.
    pub fn new(bucket: &Bucket, key: &ObjectKey, attributes: &Attributes) -> Self {
        Self {
            bucket: bucket.id,
            bucket_name: bucket.name.to_string(),
            key: key.clone(),
            sequence: 0,
            begun_ms: 0,
            attributes: attributes.clone(),
            part: None,
            outcome: None,
            manifest: false,
            copies: bucket.copies,
        }
    }

    /// The encoded form; attributes too long for a blob's header are left out.
    fn encode(&self) -> Bytes {
        let encode = |description: &Self| {
            let mut bytes = Vec::new();
            // Writing to a `Vec` cannot fail.
            let _ = minicbor::encode(description, &mut bytes);
            bytes
        };
        let bytes = encode(self);
        if bytes.len() <= blobs::DESCRIPTION_BYTES_MAX {
            return bytes.into();
        }
        encode(&Self { attributes: Attributes::default(), ..self.clone() }).into()
    }
}

/// A blob that is stored but not named yet. Dropped unnamed, it is swept away later.
pub(crate) struct Stored {
    service: Arc<Service>,
    pub location: Location,
    pub digests: Digests,
    named: bool,
    /// Keeps the segment the bytes may lie in from being taken for dead.
    writing: Option<Writing>,
    /// Keeps the directories the bytes lie in from being taken for empty.
    _upload: Writing,
}

impl Stored {
    pub fn id(&self) -> ContentId {
        ContentId(self.location.blob.0)
    }

    /// The content of one blob that this becomes.
    pub fn content(&self, region: &str) -> metadata::NewContent {
        metadata::NewContent {
            id: self.id(),
            content: Content {
                size_bytes: self.location.size_bytes,
                location: Some(self.location.encode()),
                part_rows: 0,
                region: region.to_owned(),
                manifest: None,
            },
            segments: segments(&self.location),
        }
    }

    /// The blob as metadata names it where it is not a content.
    pub fn part_blob(&self) -> metadata::PartBlob {
        part_blob(&self.location)
    }

    /// To be called once a commit names it.
    pub fn named(mut self) {
        self.named = true;
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        if !self.named {
            self.service.unnamed.push(self.location.clone(), self.writing.take());
            self.service.garbage_queued.notify_one();
        }
    }
}

/// Where the bytes of a bucket are to lie.
pub(crate) fn wanted(bucket: &Bucket) -> Wanted {
    let copies = bucket.copies.and_then(Wish::exactly);
    Wanted { region: bucket.region.clone(), copies }
}

/// The segments a location lies in, as metadata counts them.
pub(crate) fn segments(location: &Location) -> Vec<(Vec<u8>, u64)> {
    let counted = location.segments().into_iter();
    counted.map(|(key, bytes)| (key.encode().to_vec(), bytes)).collect()
}

impl Service {
    /// The segments that a blob leaves, as metadata counts them: the counters of a directory went
    /// with it, and must not come back below zero.
    pub(crate) fn left_segments(&self, location: &Location) -> Vec<(Vec<u8>, u64)> {
        let counted = location.segments().into_iter();
        let counted = counted.filter(|(key, _)| self.blobs.knows(key.directory));
        counted.map(|(key, bytes)| (key.encode().to_vec(), bytes)).collect()
    }
}

/// A blob as metadata names it where it is not a content.
pub(crate) fn part_blob(location: &Location) -> metadata::PartBlob {
    let (id, segments) = (location.blob.0, segments(location));
    metadata::PartBlob { id, location: location.encode(), segments }
}

/// Blobs that were stored for a write that then failed or went away. A commit that names one may
/// still be under way, so only another commit, behind it, can tell.
#[derive(Default)]
pub(crate) struct Unnamed(Mutex<VecDeque<(Location, Option<Writing>)>>);

impl Unnamed {
    fn push(&self, location: Location, writing: Option<Writing>) {
        let mut unnamed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        unnamed.push_back((location, writing));
    }

    pub fn take(&self) -> Option<(Location, Option<Writing>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

impl Service {
    /// Stores a body as a blob for a bucket: hashed in step with the write, checked, synced on all
    /// copies.
    pub(crate) async fn store(
        self: &Arc<Self>,
        bucket: &Bucket,
        mut description: Description,
        body: &mut dyn Body,
        size_bytes_max: u64,
    ) -> Result<Stored> {
        if body.length_bytes().is_some_and(|length| length > size_bytes_max) {
            return Err(Condition::EntityTooLarge.into());
        }
        let upload = self.uploads.begin();
        description.begun_ms = self.now_ms();
        let id = BlobId(self.random());
        let mut writer = self.blobs.create(&wanted(bucket), id, Bytes::new());
        let room = self.blobs.room();
        let _cost = room.begin(body.length_bytes())?;
        let share = Share::new(&self.hashing);
        let mut digester = Digester::new(&share, body.wants_sha256(), body.algorithm());
        let mut size_bytes = 0;
        let mut batch = next_batch(body, room, size_bytes).await?;
        while batch.size_bytes > 0 {
            size_bytes += batch.size_bytes as u64;
            if size_bytes > size_bytes_max {
                return Err(Condition::EntityTooLarge.into());
            }
            // Whoever hashes is the slowest, and is to wait neither for the network nor for us: at
            // the end of a turn a batch may still be hashed.
            digester.update(&batch.pieces, batch.held.clone());
            let next = next_batch(body, room, size_bytes);
            (batch, (), ()) = try_join3(next, batch.write(&mut writer), digester.settle()).await?;
        }
        let digests = digester.finish().await?;
        body.check(&digests)?;
        // From here on the bytes may lie in a segment: a client that takes its time to send them
        // holds nothing back.
        let writing = Some(self.writers.begin());
        // As late as can be: what is acknowledged before a write begins has a lower number.
        description.sequence = self.metadata.engine().sequence();
        description.outcome.get_or_insert_with(|| Outcome {
            etag: Etag { md5: digests.md5, parts: None },
            crc64: digests.crc64,
            checksum: digests.checksum.clone(),
        });
        writer.set_description(description.encode());
        let location = writer.finish().await?;
        let (service, named, _upload) = (Arc::clone(self), false, upload);
        Ok(Stored { service, location, digests, named, writing, _upload })
    }
}

/// Some of a body, in pieces as they came.
struct Batch {
    pieces: Vec<Bytes>,
    size_bytes: usize,
    /// Counts `size_bytes`, until all are hashed and written.
    held: Arc<Held>,
}

impl Batch {
    /// Writes it, and lets go of it.
    async fn write(self, writer: &mut BlobWriter) -> Result<()> {
        for bytes in self.pieces {
            writer.write(bytes).await?;
        }
        Ok(())
    }
}

/// Pulls some of a body of which so many bytes were pulled before; nothing at its end.
async fn next_batch(body: &mut dyn Body, room: &Arc<Room>, before_bytes: u64) -> Result<Batch> {
    let before_bytes = usize::try_from(before_bytes).unwrap_or(usize::MAX);
    let wanted_bytes = before_bytes.clamp(*BATCH_BYTES.start(), *BATCH_BYTES.end());
    let (mut pieces, mut size_bytes, mut held) = (Vec::new(), 0, room.hold());
    while size_bytes < room.share(wanted_bytes) {
        let Some(piece) = body.next().await else { break };
        let piece = piece?;
        if !piece.is_empty() {
            size_bytes += piece.len();
            held.add(piece.len());
            pieces.push(piece);
        }
    }
    Ok(Batch { pieces, size_bytes, held: Arc::new(held) })
}

/// The largest body of one request.
pub(crate) const BODY_BYTES_MAX: u64 = PART_BYTES_MAX;

/// Bytes of a content on their way out: every chunk was checked before it is handed out.
pub struct ContentReader {
    service: Arc<Service>,
    content: ContentId,
    /// Blobs still to be read, and which bytes of each.
    rest: VecDeque<(Location, Range<u64>)>,
    reader: Option<BlobReader>,
    /// The next bytes, if they are here already. The first are read ahead, so that an object of
    /// which no copy can be read is an error.
    begun: Option<Piece>,
    /// Keeps what is being read from being freed.
    ticket: Ticket,
}

impl ContentReader {
    /// The next bytes, in order; `None` at the end.
    ///
    /// # Errors
    /// [`Condition::DamagedData`] when no copy is intact. What came before was.
    pub async fn next(&mut self) -> Option<Result<Bytes>> {
        let mut piece = match self.next_piece().await? {
            Ok(piece) => piece,
            Err(error) => return Some(Err(error)),
        };
        let bytes = piece.next().await?;
        self.begun = Some(piece).filter(|piece| !piece.is_empty());
        Some(bytes.map_err(Error::from))
    }

    /// As [`Self::next`], for who can let the kernel send bytes that it has in memory.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub async fn next_piece(&mut self) -> Option<Result<Piece>> {
        if !self.ticket.renew() {
            let detail = "The client took nothing for too long.";
            return Some(Err(Error::new(Condition::RequestTimeout, detail)));
        }
        match self.begun.take() {
            Some(piece) => Some(Ok(piece)),
            None => self.pull().await,
        }
    }

    /// Reads the first bytes, which [`Self::next`] then hands out.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub(crate) async fn read_ahead(&mut self) -> Result<()> {
        self.begun = self.pull().await.transpose()?;
        Ok(())
    }

    async fn pull(&mut self) -> Option<Result<Piece>> {
        loop {
            if let Some(reader) = &mut self.reader {
                match reader.next_piece().await {
                    Some(Ok(piece)) => return Some(Ok(piece)),
                    Some(Err(error)) => {
                        self.rest.clear();
                        self.reader = None;
                        let content = self.content;
                        tracing::error!(%content, %error, "a content cannot be read");
                        return Some(Err(error.into()));
                    }
                    None => self.reader = None,
                }
            }
            let (location, range) = self.rest.pop_front()?;
            self.reader = Some(self.service.blobs.read(location, range));
        }
    }
}

/// A content and, when it has parts, all of them.
pub(crate) struct Layout {
    pub content: Content,
    pub parts: Vec<ContentPart>,
}

impl Service {
    pub(crate) fn begin_read(&self) -> Ticket {
        self.readers.begin(|| self.metadata.engine().sequence())
    }

    /// Where the bytes of a content lie: read whole before the first byte goes out.
    pub(crate) async fn layout(&self, id: ContentId) -> Result<Layout> {
        let content = self.metadata.content(id).await?.ok_or_else(content_is_missing)?;
        let parts = match content.location {
            Some(_) => Vec::new(),
            None => self.metadata.content_parts(id).await?,
        };
        Ok(Layout { content, parts })
    }

    /// Reads `range` of a content.
    pub(crate) async fn read_content(
        self: &Arc<Self>,
        id: ContentId,
        layout: &Layout,
        range: Range<u64>,
        ticket: Ticket,
    ) -> Result<ContentReader> {
        let rest = match &layout.content.location {
            Some(location) => VecDeque::from([(self.decode_location(location)?, range)]),
            None => self.locate_parts(&layout.parts, range).await?,
        };
        Ok(ContentReader {
            service: Arc::clone(self),
            content: id,
            rest,
            reader: None,
            begun: None,
            ticket,
        })
    }

    /// Where the parts lie that `range` touches, and which bytes of each.
    async fn locate_parts(
        &self,
        parts: &[ContentPart],
        range: Range<u64>,
    ) -> Result<VecDeque<(Location, Range<u64>)>> {
        let mut touched = Vec::new();
        let mut start = 0;
        for part in parts {
            let end = start + part.size_bytes;
            let (from, to) = (range.start.max(start), range.end.min(end));
            if from < to {
                touched.push((part.blob, from - start..to - start));
            }
            start = end;
        }
        let mut located = VecDeque::with_capacity(touched.len());
        for touched in touched.chunks(PARTS_PER_ROW) {
            let ids: Vec<_> = touched.iter().map(|(blob, _)| *blob).collect();
            let found = self.metadata.part_blobs(&ids).await?;
            for ((_, range), found) in touched.iter().zip(found) {
                let found = found.ok_or_else(content_is_missing)?;
                located.push_back((self.decode_location(&found.location)?, range.clone()));
            }
        }
        Ok(located)
    }
}

pub(crate) fn content_is_missing() -> Error {
    Error::new(Condition::DamagedData, "the object's content is missing")
}
