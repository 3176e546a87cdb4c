//! The reclaim queue: what was unnamed, waiting to be freed.

use model::{ContentId, records::Garbage};

use crate::{
    FreedBlob, Guard, Metadata, Result,
    blobs::count_segments,
    engine::{Direction, Sequence},
    keys,
    transaction::{Draft, Try, decode_row},
};

/// One entry of the queue.
#[derive(Clone, Debug)]
pub struct QueuedGarbage {
    pub garbage: Garbage,
    /// The commit that put it there: readers that began later cannot see what it frees.
    pub since: Sequence,
    pub(crate) guard: Guard,
}

impl Metadata {
    /// The oldest `limit` entries after `after`, and where to go on.
    pub async fn garbage(
        &self,
        after: Option<&QueuedGarbage>,
        limit: usize,
    ) -> Result<Vec<QueuedGarbage>> {
        let mut range = keys::within(vec![keys::GARBAGE]);
        if let Some(after) = after {
            range.start.clone_from(&after.guard.key);
            range.start.push(0);
        }
        let page = self.engine.scan(&range, limit, Direction::Forward).await?;
        let entry = |(key, row): (Vec<u8>, crate::engine::Row)| {
            let garbage = decode_row(&key, &row)?;
            let guard = Guard { key, version: row.version };
            Ok(QueuedGarbage { garbage, since: guard.version, guard })
        };
        page.rows.into_iter().map(entry).collect()
    }

    /// Takes an entry off the queue: the blobs, or whatever it named, are freed.
    pub async fn dequeue(&self, entry: &QueuedGarbage, freed: &[FreedBlob]) -> Result<()> {
        self.transact(async || {
            let mut draft = Draft::reclaiming();
            draft.expect(&entry.guard);
            draft.delete(entry.guard.key.clone());
            freed.iter().for_each(|blob| count_segments(&mut draft, &blob.segments, -1));
            Ok(Try::Commit(draft, ()))
        })
        .await
    }

    /// Queues copies that a write or a move has stored, unless that has named them after all.
    ///
    /// A commit, because the write's own may still be on its way: it comes before this one, or
    /// never.
    pub async fn discard_blob(&self, blob: &[u8; 16], location: &[u8], now_ms: i64) -> Result<()> {
        self.transact(async || {
            let rows = [keys::content(ContentId(*blob)), keys::blob(blob)];
            let found = self.engine.get_many(&rows).await?;
            if self.blob_location(blob).await?.as_deref() == Some(location) {
                return Ok(Try::Done(()));
            }
            let mut draft = Draft::reclaiming();
            draft.expect(&self.incarnation.guard);
            for (row, found) in rows.iter().zip(&found) {
                draft.expect_row(row, found.as_ref());
            }
            self.enqueue(&mut draft, &Garbage::Unnamed(location.to_vec()), now_ms);
            Ok(Try::Commit(draft, ()))
        })
        .await
    }

    /// Queues something to be freed, in the commit being put together.
    pub(crate) fn enqueue(&self, draft: &mut Draft, garbage: &Garbage, now_ms: i64) {
        draft.put(keys::garbage(now_ms, self.random()), garbage);
    }
}
