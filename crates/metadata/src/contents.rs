//! Contents: the bytes behind versions, shared by copies, freed when the last reference goes.

use model::{
    names::ContentId,
    records::{Content, ContentPart, Garbage},
};

use crate::{
    Guard, Metadata, QueuedGarbage, Result,
    blobs::count_segments,
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

impl Metadata {
    pub async fn content(&self, id: ContentId) -> Result<Option<Content>> {
        Ok(self.content_as_read(id).await?.map(|(content, _)| content))
    }

    /// A content, and what tells whether its row has changed since.
    pub async fn content_as_read(&self, id: ContentId) -> Result<Option<(Content, Guard)>> {
        self.record(&keys::content(id)).await
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
            if let Some(manifest) = content.manifest {
                self.unname_parts(&mut draft, &[manifest], 0).await?;
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

    /// Forgets a row of parts, and unnames their blobs if they are the content's (`named`): those
    /// of a draft still belong to the upload. With the last row the queue's entry goes too.
    pub async fn forget_parts(
        &self,
        entry: &QueuedGarbage,
        content: ContentId,
        row: u32,
        named: bool,
        last: bool,
    ) -> Result<()> {
        self.transact(async || {
            let mut draft = Draft::reclaiming();
            let key = keys::content_parts(content, row);
            if named && let Some((parts, guard)) = self.record::<Vec<ContentPart>>(&key).await? {
                draft.expect(&guard);
                let blobs: Vec<_> = parts.iter().map(|part| part.blob).collect();
                self.unname_parts(&mut draft, &blobs, 0).await?;
            }
            draft.delete(key);
            if last {
                draft.delete(entry.guard.key.clone());
            }
            Ok(Try::Commit(draft, ()))
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
