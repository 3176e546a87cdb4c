//! Ordered streams of versions and uploads, for listings: pages fetched as they are needed, with
//! a way to jump past a prefix.

use std::collections::VecDeque;

use model::{
    listing::{Question, successor},
    names::{BucketId, ObjectKey, VersionId, VersionSelector},
    records::{Bucket, Upload, Version},
};

use crate::{
    Error, Guard, Metadata, Result,
    engine::{Direction, ScanRange},
    keys,
    transaction::decode_row,
};

/// One version on its way into a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamedVersion {
    pub key: ObjectKey,
    pub version: Version,
    pub latest: bool,
    /// What it takes for it to be there still, and not moved to or from the history.
    pub guard: Guard,
}

/// A scan that fetches little at first, more while it is read on, and little again after a jump.
pub struct Cursor {
    rest: Option<ScanRange>,
    rows: VecDeque<(Vec<u8>, crate::engine::Row)>,
    page_rows: usize,
}

const PAGE_ROWS_FIRST: usize = 16;
/// After a jump another one is likely: a listing of prefixes looks at one key of each.
const PAGE_ROWS_AFTER_JUMP: usize = 1;
const PAGE_ROWS_MAX: usize = 512;

impl Cursor {
    fn new(range: ScanRange) -> Self {
        let rest = (!range.is_empty()).then_some(range);
        Self { rest, rows: VecDeque::new(), page_rows: PAGE_ROWS_FIRST }
    }

    /// Looks at the next row, fetching a page if need be.
    async fn peek(
        &mut self,
        metadata: &Metadata,
    ) -> Result<Option<&(Vec<u8>, crate::engine::Row)>> {
        while self.rows.is_empty() {
            let Some(range) = self.rest.take() else { return Ok(None) };
            let page = metadata.engine.scan(&range, self.page_rows, Direction::Forward).await?;
            self.page_rows = (self.page_rows * 4).min(PAGE_ROWS_MAX);
            self.rows.extend(page.rows);
            self.rest = page.next;
        }
        Ok(self.rows.front())
    }

    /// Goes on at `start`, if that is further.
    fn jump(&mut self, start: &[u8]) {
        while self.rows.front().is_some_and(|(key, _)| key.as_slice() < start) {
            self.rows.pop_front();
        }
        if self.rows.is_empty() {
            self.page_rows = PAGE_ROWS_AFTER_JUMP;
            if let Some(rest) = &mut self.rest
                && rest.start.as_slice() < start
            {
                rest.start = start.to_vec();
            }
        }
    }
}

/// The keys a question is about: from its prefix or marker to the end of the prefix, as rows.
fn range(question: &Question, row: impl Fn(&[u8]) -> Vec<u8>) -> ScanRange {
    let first = question.prefix.as_str().max(question.after.as_str());
    let ScanRange { end, .. } = keys::within(row(question.prefix.as_bytes()));
    ScanRange { start: row(first.as_bytes()), end }
}

/// A current object that is decoded only if it is shown: most of those that fold are not.
pub struct StreamedObject {
    pub key: ObjectKey,
    row_key: Vec<u8>,
    row: crate::engine::Row,
}

impl StreamedObject {
    /// # Errors
    /// When the row is damaged.
    pub fn version(&self) -> Result<Version> {
        decode_row(&self.row_key, &self.row)
    }
}

/// Current objects in order of key.
pub struct CurrentStream {
    bucket: BucketId,
    cursor: Cursor,
}

impl Metadata {
    /// The current objects a question is about, those at the marker itself left out.
    pub fn current_stream(&self, bucket: BucketId, question: &Question) -> CurrentStream {
        let mut range = range(question, |key| keys::current(bucket, key));
        if range.start == keys::current(bucket, question.after.as_bytes())
            && !question.after.is_empty()
        {
            range.start.push(0);
        }
        CurrentStream { bucket, cursor: Cursor::new(range) }
    }
}

impl CurrentStream {
    pub async fn next(&mut self, metadata: &Metadata) -> Result<Option<StreamedObject>> {
        if self.cursor.peek(metadata).await?.is_none() {
            return Ok(None);
        }
        let Some((row_key, row)) = self.cursor.rows.pop_front() else { return Ok(None) };
        let key = keys::current_key(&row_key).ok_or(Error::Damaged { family: 'C' })?;
        Ok(Some(StreamedObject { key, row_key, row }))
    }

    /// Leaves out every key that begins with `prefix`.
    pub fn skip(&mut self, prefix: &str) {
        match successor(prefix.as_bytes()) {
            Some(next) => self.cursor.jump(&keys::current(self.bucket, &next)),
            None => self.cursor = Cursor::new(ScanRange::default()),
        }
    }
}

/// All versions in order of key, newest first within a key.
pub struct VersionStream {
    bucket: BucketId,
    current: Cursor,
    history: Cursor,
    /// The key at hand, and whether its latest version was handed out.
    at: Option<ObjectKey>,
}

impl Metadata {
    /// The versions a question is about. `after_version` continues within the marker's own key,
    /// after that version, which may be gone; without it the marker's key is left out.
    pub async fn version_stream(
        &self,
        bucket: &Bucket,
        question: &Question,
        after_version: Option<VersionId>,
    ) -> Result<VersionStream> {
        let mut current = range(question, |key| keys::current(bucket.id, key));
        let mut history = range(question, |key| keys::history_from(bucket.id, key));
        let mut at = None;
        if let Ok(marker) = ObjectKey::parse(&question.after)
            && !self.all_older(bucket, &marker, after_version).await?
        {
            let mut beyond = keys::current(bucket.id, question.after.as_bytes());
            beyond.push(0);
            current.start = current.start.max(beyond);
            let beyond = match after_version {
                Some(id) => {
                    at = Some(marker.clone());
                    let mut row = keys::history(bucket.id, &marker, id.order);
                    row.push(0);
                    row
                }
                None => keys::within(keys::history_of(bucket.id, &marker)).end,
            };
            history.start = history.start.max(beyond);
        }
        let (current, history) = (Cursor::new(current), Cursor::new(history));
        Ok(VersionStream { bucket: bucket.id, current, history, at })
    }

    /// Whether nothing is left of a key from its latest version down to `id`: the next older one
    /// is the latest now, and may lie in the current family.
    async fn all_older(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        id: Option<VersionId>,
    ) -> Result<bool> {
        let Some(id) = id else { return Ok(false) };
        let latest = self.version(bucket, key, VersionSelector::Latest).await?;
        Ok(latest.is_some_and(|latest| latest.id.order < id.order))
    }
}

impl VersionStream {
    pub async fn next(&mut self, metadata: &Metadata) -> Result<Option<StreamedVersion>> {
        let damaged = |family| Error::Damaged { family };
        // The current family first: what moves to the history meanwhile is then seen at least once.
        let current = match self.current.peek(metadata).await? {
            Some((row, _)) => Some(keys::current_key(row).ok_or(damaged('C'))?),
            None => None,
        };
        let history = match self.history.peek(metadata).await? {
            Some((row, _)) => Some(keys::escaped_key(row).ok_or(damaged('H'))?),
            None => None,
        };
        let (cursor, key) = match (current, history) {
            (Some(current), Some(history)) if current <= history => (&mut self.current, current),
            (_, Some(history)) => (&mut self.history, history),
            (Some(current), None) => (&mut self.current, current),
            (None, None) => return Ok(None),
        };
        let Some((row_key, row)) = cursor.rows.pop_front() else { return Ok(None) };
        let version: Version = decode_row(&row_key, &row)?;
        let latest = self.at.as_ref() != Some(&key);
        self.at = Some(key.clone());
        let guard = Guard { key: row_key, version: row.version };
        Ok(Some(StreamedVersion { key, version, latest, guard }))
    }

    /// Leaves out every key that begins with `prefix`.
    pub fn skip(&mut self, prefix: &str) {
        match successor(prefix.as_bytes()) {
            Some(next) => {
                self.current.jump(&keys::current(self.bucket, &next));
                self.history.jump(&keys::history_from(self.bucket, &next));
            }
            None => {
                self.current = Cursor::new(ScanRange::default());
                self.history = Cursor::new(ScanRange::default());
            }
        }
    }
}

/// The current objects in a range of keys, at one moment: whatever goes to the history or comes
/// back from it changes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CurrentRows {
    rows: Vec<Guard>,
    /// Whether there are no further ones.
    last: bool,
}

impl CurrentRows {
    /// Whether the range reaches as far as `key`.
    pub fn reaches(&self, bucket: BucketId, key: &ObjectKey) -> bool {
        let row = keys::current(bucket, key.as_str().as_bytes());
        self.last || self.rows.last().is_some_and(|last| row <= last.key)
    }
}

impl Metadata {
    /// Up to `limit` current objects from `key` on.
    pub async fn current_rows(
        &self,
        bucket: BucketId,
        key: Option<&ObjectKey>,
        limit: usize,
    ) -> Result<CurrentRows> {
        let mut range = keys::within(keys::current(bucket, b""));
        if let Some(key) = key {
            range.start = keys::current(bucket, key.as_str().as_bytes());
        }
        let page = self.engine.scan(&range, limit, Direction::Forward).await?;
        let guard = |(key, row): (Vec<u8>, crate::engine::Row)| Guard { key, version: row.version };
        let last = page.next.is_none();
        Ok(CurrentRows { rows: page.rows.into_iter().map(guard).collect(), last })
    }
}

/// Uploads in order of key, the older first within a key.
pub struct UploadStream {
    bucket: BucketId,
    cursor: Cursor,
}

impl Metadata {
    /// The uploads a question is about. `after_upload` continues within the marker's own key.
    pub fn upload_stream(
        &self,
        bucket: BucketId,
        question: &Question,
        after_upload: Option<model::UploadId>,
    ) -> UploadStream {
        let mut range = range(question, |key| keys::upload_from(bucket, key));
        if let Ok(marker) = ObjectKey::parse(&question.after) {
            let beyond = match after_upload {
                Some(id) => {
                    let mut row = keys::upload(bucket, &marker, id);
                    row.push(0);
                    row
                }
                None => {
                    let last = model::UploadId([u8::MAX; 16]);
                    let mut row = keys::upload(bucket, &marker, last);
                    row.push(0);
                    row
                }
            };
            range.start = range.start.max(beyond);
        }
        UploadStream { bucket, cursor: Cursor::new(range) }
    }
}

impl UploadStream {
    pub async fn next(&mut self, metadata: &Metadata) -> Result<Option<Upload>> {
        if self.cursor.peek(metadata).await?.is_none() {
            return Ok(None);
        }
        let Some((key, row)) = self.cursor.rows.pop_front() else { return Ok(None) };
        decode_row(&key, &row).map(Some)
    }

    /// Leaves out every key that begins with `prefix`.
    pub fn skip(&mut self, prefix: &str) {
        match successor(prefix.as_bytes()) {
            Some(next) => self.cursor.jump(&keys::upload_from(self.bucket, &next)),
            None => self.cursor = Cursor::new(ScanRange::default()),
        }
    }
}
