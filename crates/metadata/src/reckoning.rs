//! What counters say, beside what is there: for a check of the whole store while it is in use.
//!
//! Each answer tells when the row last changed, so that whoever counts over a longer time can leave
//! out what changed meanwhile.

use model::{ContentId, records::Garbage};

use crate::{
    Guard, Metadata, QueuedGarbage, Result,
    engine::{Direction, Row, ScanRange, Sequence, read_counter},
    keys,
    transaction::{Draft, Try},
};

/// How many references a content is said to have.
#[derive(Clone, Debug)]
pub struct References {
    pub content: ContentId,
    pub count: i64,
    pub changed: Sequence,
    guard: Guard,
    counter: Option<Row>,
}

/// How many live bytes a segment is said to have.
#[derive(Clone, Debug)]
pub struct LiveBytes {
    /// As `blobs` encodes the key of a segment.
    pub segment: Vec<u8>,
    pub bytes: i64,
    pub changed: Sequence,
    guard: Guard,
}

impl QueuedGarbage {
    /// The content that the entry takes a reference from.
    pub fn releases(&self) -> Option<ContentId> {
        match self.garbage {
            Garbage::Content(content) => Some(content),
            _ => None,
        }
    }

    /// The content whose rows may not be complete.
    pub fn drafts(&self) -> Option<ContentId> {
        match self.garbage {
            Garbage::Draft { content, .. } => Some(content),
            _ => None,
        }
    }

    /// Locations of blobs that are counted in their segments until the entry is done.
    pub fn counted(&self) -> Vec<&[u8]> {
        match &self.garbage {
            Garbage::Blob(location) => vec![location],
            Garbage::Blobs(locations) => locations.iter().map(|it| it.as_slice()).collect(),
            _ => Vec::new(),
        }
    }
}

impl Metadata {
    /// The references of up to `limit` contents after `after`, in order of id.
    pub async fn references(
        &self,
        after: Option<ContentId>,
        limit: usize,
    ) -> Result<Vec<References>> {
        let range = following(keys::CONTENT, after.map(|after| after.0.to_vec()));
        let page = self.engine.scan(&range, limit, Direction::Forward).await?;
        let id = |key: &[u8]| key.get(1..)?.try_into().ok().map(ContentId);
        let contents: Vec<_> =
            page.rows.into_iter().filter_map(|(key, row)| Some((id(&key)?, key, row))).collect();
        let rows: Vec<_> = contents.iter().map(|(id, ..)| keys::references(*id)).collect();
        let counters = self.engine.get_many(&rows).await?;
        let mut found = Vec::with_capacity(contents.len());
        for (((content, key, row), name), counter) in contents.into_iter().zip(&rows).zip(counters)
        {
            let others = counter.as_ref().map_or(Ok(0), |row| read_counter(name, &row.value))?;
            let changed = counter.as_ref().map_or(0, |counter| counter.version).max(row.version);
            let guard = Guard { key, version: row.version };
            found.push(References { content, count: others + 1, changed, guard, counter });
        }
        Ok(found)
    }

    /// Corrects the references of a content, unless they changed meanwhile.
    pub async fn correct_references(&self, found: &References, counted: i64) -> Result<bool> {
        self.transact(async || {
            let key = keys::references(found.content);
            if self.engine.get(&key).await? != found.counter {
                return Ok(Try::Done(false));
            }
            let mut draft = Draft::reclaiming();
            draft.expect(&found.guard);
            draft.expect_row(&key, found.counter.as_ref());
            draft.add(key, counted - found.count);
            Ok(Try::Commit(draft, true))
        })
        .await
    }

    /// The live bytes of up to `limit` segments after `after`, in order of their keys.
    pub async fn live_bytes(&self, after: Option<Vec<u8>>, limit: usize) -> Result<Vec<LiveBytes>> {
        let page =
            self.engine.scan(&following(keys::SEGMENT, after), limit, Direction::Forward).await?;
        let mut found = Vec::with_capacity(page.rows.len());
        for (key, row) in page.rows {
            let bytes = read_counter(&key, &row.value)?;
            let segment = key.get(1..).unwrap_or_default().to_vec();
            let guard = Guard { key, version: row.version };
            found.push(LiveBytes { segment, bytes, changed: row.version, guard });
        }
        Ok(found)
    }

    /// Corrects the live bytes of a segment, unless they changed meanwhile.
    pub async fn correct_live_bytes(&self, found: &LiveBytes, counted: i64) -> Result<bool> {
        self.transact(async || {
            let row = self.engine.get(&found.guard.key).await?;
            if row.map(|row| row.version) != Some(found.guard.version) {
                return Ok(Try::Done(false));
            }
            let mut draft = Draft::reclaiming();
            draft.expect(&found.guard);
            draft.add(found.guard.key.clone(), counted - found.bytes);
            Ok(Try::Commit(draft, true))
        })
        .await
    }
}

/// The rows of a family, or those after one of them.
fn following(family: u8, after: Option<Vec<u8>>) -> ScanRange {
    let mut range = keys::within(vec![family]);
    if let Some(after) = after {
        range.start = [&[family], after.as_slice(), &[0]].concat();
    }
    range
}
