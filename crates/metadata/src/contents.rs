//! Contents: the bytes behind versions, shared by copies, freed when the last reference goes.

use model::{
    names::ContentId,
    records::{Content, ContentPart, Garbage},
};

use crate::{
    Metadata, QueuedGarbage, Result,
    engine::{Direction, read_counter},
    keys,
    transaction::{Draft, Try, decode_row},
};

/// A content of one blob, about to be named.
#[derive(Clone, Debug)]
pub struct NewContent {
    /// The blob's id is the content's.
    pub id: ContentId,
    pub content: Content,
    /// (segment key, bytes in it) of each copy that lies in a segment.
    pub segments: Vec<(Vec<u8>, u64)>,
}

/// A blob whose bytes were freed.
#[derive(Clone, Debug)]
pub struct FreedBlob {
    pub id: [u8; 16],
    /// (segment key, bytes in it) of each copy that lay in a segment.
    pub segments: Vec<(Vec<u8>, u64)>,
}

impl FreedBlob {
    pub(crate) fn forget(&self, draft: &mut Draft) {
        draft.delete(keys::blob(&self.id));
        count_segments(draft, &self.segments, -1);
    }
}

/// Counts bytes into (`1`) or out of (`-1`) segments.
pub(crate) fn count_segments(draft: &mut Draft, segments: &[(Vec<u8>, u64)], sign: i64) {
    for (key, bytes) in segments {
        let bytes = i64::try_from(*bytes).unwrap_or(i64::MAX);
        draft.add(keys::segment(key), sign.saturating_mul(bytes));
    }
}

impl Metadata {
    pub async fn content(&self, id: ContentId) -> Result<Option<Content>> {
        Ok(self.record(&keys::content(id)).await?.map(|(content, _)| content))
    }

    /// The parts of a multipart content, in order.
    pub async fn content_parts(&self, id: ContentId) -> Result<Vec<ContentPart>> {
        let mut parts = Vec::new();
        let mut rest = Some(keys::within(keys::join(keys::CONTENT_PARTS, &[&id.0])));
        while let Some(range) = rest {
            let page = self.engine.scan(&range, 100, Direction::Forward).await?;
            for (key, row) in &page.rows {
                parts.extend(decode_row::<Vec<ContentPart>>(key, row)?);
            }
            rest = page.next;
        }
        Ok(parts)
    }

    /// Whether anything names a blob: a content of that id, a part, or a multipart content.
    pub async fn names_blob(&self, blob: &[u8; 16]) -> Result<bool> {
        let rows =
            self.engine.get_many(&[keys::content(ContentId(*blob)), keys::blob(blob)]).await?;
        Ok(rows.iter().any(Option::is_some))
    }

    /// Where a blob lies that something names; `None` if nothing does.
    pub async fn blob_location(&self, blob: &[u8; 16]) -> Result<Option<Vec<u8>>> {
        if let Some(content) = self.content(ContentId(*blob)).await? {
            return Ok(content.location);
        }
        let row = self.engine.get(&keys::blob(blob)).await?;
        Ok(row.map(|row| row.value.to_vec()))
    }

    /// Names a new content's rows in the commit being put together.
    pub(crate) fn add_content(&self, draft: &mut Draft, new: &NewContent) {
        draft.expect(&self.incarnation.guard);
        draft.put(keys::content(new.id), &new.content);
        count_segments(draft, &new.segments, 1);
    }

    /// Takes one reference from a content whose version is gone.
    ///
    /// With the last one the content is unnamed, and an entry for its bytes takes this one's place.
    /// The rows of its parts stay until [`Self::forget_parts`], so that a crash loses none.
    pub async fn release(&self, entry: &QueuedGarbage, id: ContentId) -> Result<()> {
        self.transact(async || {
            let references = keys::references(id);
            let row = self.engine.get(&references).await?;
            let others = row.as_ref().map_or(Ok(0), |row| read_counter(&references, &row.value))?;
            let mut draft = Draft::reclaiming();
            draft.expect(&entry.guard);
            draft.delete(entry.guard.key.clone());
            draft.expect_row(&references, row.as_ref());
            if others > 0 {
                draft.add(references, -1);
                return Ok(Try::Commit(draft, ()));
            }
            let Some((content, guard)) = self.record::<Content>(&keys::content(id)).await? else {
                return Ok(Try::Commit(draft, ()));
            };
            draft.expect(&guard);
            draft.delete(keys::content(id));
            if row.is_some() {
                draft.delete(references);
            }
            let bytes = match content.location {
                Some(location) => Garbage::Blob(location),
                // No incarnation has this id, so the rows count as left by an ended one.
                None => {
                    Garbage::Draft { content: id, rows: content.part_rows, incarnation: [0; 16] }
                }
            };
            self.enqueue(&mut draft, &bytes, 0);
            Ok(Try::Commit(draft, ()))
        })
        .await
    }

    /// Forgets a row of parts whose blobs were freed; with the last one, the queue's entry too.
    pub async fn forget_parts(
        &self,
        entry: &QueuedGarbage,
        content: ContentId,
        row: u32,
        freed: &[FreedBlob],
        last: bool,
    ) -> Result<()> {
        self.transact(async || {
            let mut draft = Draft::reclaiming();
            draft.delete(keys::content_parts(content, row));
            freed.iter().for_each(|blob| blob.forget(&mut draft));
            if last {
                draft.delete(entry.guard.key.clone());
            }
            Ok(Try::Commit(draft, ()))
        })
        .await
    }

    /// One row of a multipart content's parts.
    pub async fn part_row(&self, content: ContentId, row: u32) -> Result<Vec<ContentPart>> {
        let parts = self.record(&keys::content_parts(content, row)).await?;
        Ok(parts.map(|(parts, _)| parts).unwrap_or_default())
    }

    /// Moves a content of one blob to a new place, unless it went or moved meanwhile.
    ///
    /// Returns whether it was moved. The old place is not queued: its segment goes as a whole.
    pub async fn move_content(
        &self,
        id: ContentId,
        from: &[u8],
        to: &[u8],
        from_segments: &[(Vec<u8>, u64)],
        to_segments: &[(Vec<u8>, u64)],
    ) -> Result<bool> {
        self.transact(async || {
            let Some((content, guard)) = self.record::<Content>(&keys::content(id)).await? else {
                return Ok(Try::Done(false));
            };
            if content.location.as_deref() != Some(from) {
                return Ok(Try::Done(false));
            }
            let mut draft = Draft::reclaiming();
            draft.expect(&guard);
            draft.expect(&self.incarnation.guard);
            draft.put(keys::content(id), &Content { location: Some(to.to_vec()), ..content });
            count_segments(&mut draft, from_segments, -1);
            count_segments(&mut draft, to_segments, 1);
            Ok(Try::Commit(draft, true))
        })
        .await
    }

    /// Live bytes in a segment.
    pub async fn segment_live_bytes(&self, segment: &[u8]) -> Result<i64> {
        let key = keys::segment(segment);
        let row = self.engine.get(&key).await?;
        Ok(row.map_or(Ok(0), |row| read_counter(&key, &row.value))?)
    }

    /// Queues a segment for removal once no reader can be in it, if it has no live bytes.
    ///
    /// Returns whether it was queued.
    pub async fn retire_segment(&self, segment: &[u8], now_ms: i64) -> Result<bool> {
        self.transact(async || {
            let key = keys::segment(segment);
            let row = self.engine.get(&key).await?;
            let live = row.as_ref().map_or(Ok(0), |row| read_counter(&key, &row.value))?;
            if live > 0 {
                return Ok(Try::Done(false));
            }
            let mut draft = Draft::reclaiming();
            draft.expect_row(&key, row.as_ref());
            draft.delete(key);
            self.enqueue(&mut draft, &Garbage::Segment(segment.to_vec()), now_ms);
            Ok(Try::Commit(draft, true))
        })
        .await
    }
}
