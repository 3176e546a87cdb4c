//! Blobs that something names: where they lie, how they move, and all of them in a row.
//!
//! A blob has one row that knows its location: that of the content it is, or one of its own if it
//! is a part, of an upload under way or of a multipart content, or the list of such parts.

use model::{
    names::ContentId,
    records::{Content, Garbage},
};

use crate::{
    Guard, Metadata, Result,
    engine::{Direction, ScanRange, Sequence, VALUE_BYTES_MAX, read_counter},
    keys,
    transaction::{Draft, Try, decode_row},
};

/// A blob and where its copies lie, as `blobs` encodes a location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedBlob {
    pub id: [u8; 16],
    pub location: Vec<u8>,
    /// What it takes for the blob to be there still, and not moved.
    pub guard: Guard,
}

impl NamedBlob {
    /// Where a walk goes on after this one; see [`Metadata::named_blobs`].
    pub fn row(&self) -> &[u8] {
        &self.guard.key
    }

    /// The commit that named it or noted where it lies.
    pub fn changed(&self) -> Sequence {
        self.guard.version
    }
}

/// A blob about to be named by a part, or as the manifest of a multipart content.
#[derive(Clone, Debug)]
pub struct PartBlob {
    pub id: [u8; 16],
    pub location: Vec<u8>,
    /// (segment key, bytes in it) of each copy that lies in a segment.
    pub segments: Vec<(Vec<u8>, u64)>,
}

impl PartBlob {
    pub(crate) fn name(&self, draft: &mut Draft) {
        draft.put_bytes(keys::blob(&self.id), self.location.clone());
        count_segments(draft, &self.segments, 1);
    }
}

/// Some of all named blobs.
#[derive(Clone, Debug, Default)]
pub struct NamedPage {
    pub blobs: Vec<NamedBlob>,
    /// Where to go on; `None` at the end.
    pub next: Option<Vec<u8>>,
}

/// A blob whose bytes were freed.
#[derive(Clone, Debug)]
pub struct FreedBlob {
    /// (segment key, bytes in it) of each copy that lay in a segment.
    pub segments: Vec<(Vec<u8>, u64)>,
}

/// A blob that goes to another place: (segment key, bytes in it) of each copy, before and after.
#[derive(Clone, Debug)]
pub struct Move<'m> {
    pub id: [u8; 16],
    pub from: &'m [u8],
    pub to: &'m [u8],
    pub from_segments: &'m [(Vec<u8>, u64)],
    pub to_segments: &'m [(Vec<u8>, u64)],
    /// Files that are in the way then, as the location of their copies.
    pub left: Option<Vec<u8>>,
    /// It moves only if this is so.
    pub only: Option<&'m OnlyVersion>,
}

/// That a content has a version which names it, and no other one.
#[derive(Clone, Debug)]
pub struct OnlyVersion {
    pub content: ContentId,
    /// The version as it was read.
    pub version: Guard,
}

/// Counts bytes into (`1`) or out of (`-1`) segments.
pub(crate) fn count_segments(draft: &mut Draft, segments: &[(Vec<u8>, u64)], sign: i64) {
    for (key, bytes) in segments {
        let bytes = i64::try_from(*bytes).unwrap_or(i64::MAX);
        draft.add(keys::segment(key), sign.saturating_mul(bytes));
    }
}

impl Metadata {
    /// Where a blob lies that something names; `None` if nothing does.
    pub async fn blob_location(&self, blob: &[u8; 16]) -> Result<Option<Vec<u8>>> {
        if let Some(content) = self.content(ContentId(*blob)).await? {
            return Ok(content.location);
        }
        let row = self.engine.get(&keys::blob(blob)).await?;
        Ok(row.map(|row| row.value.to_vec()))
    }

    /// Where the blobs of parts lie, in the order asked for; `None` for one that nothing names.
    pub async fn part_blobs(&self, blobs: &[[u8; 16]]) -> Result<Vec<Option<NamedBlob>>> {
        let keys: Vec<_> = blobs.iter().map(keys::blob).collect();
        let rows = self.engine.get_many(&keys).await?;
        let named = |((id, key), row): ((&[u8; 16], Vec<u8>), Option<crate::engine::Row>)| {
            let row = row?;
            let guard = Guard { key, version: row.version };
            Some(NamedBlob { id: *id, location: row.value.to_vec(), guard })
        };
        Ok(blobs.iter().zip(keys).zip(rows).map(named).collect())
    }

    /// Up to `limit` of all named blobs, in the order of their rows.
    ///
    /// - `after`: [`NamedPage::next`] of the page before. A page may be empty before the end.
    pub async fn named_blobs(&self, after: Option<&[u8]>, limit: usize) -> Result<NamedPage> {
        // The two families are neighbours.
        let mut range = ScanRange { start: vec![keys::BLOB], end: vec![keys::CONTENT + 1] };
        if let Some(after) = after {
            range.start = [after, &[0]].concat();
        }
        let page = self.engine.scan(&range, limit, Direction::Forward).await?;
        let next = page.next.and_then(|_| page.rows.last().map(|(key, _)| key.clone()));
        let mut blobs = Vec::with_capacity(page.rows.len());
        for (key, row) in page.rows {
            let Some(id) = key.get(1..).and_then(|id| id.try_into().ok()) else { continue };
            let location = match key.first() {
                Some(&keys::BLOB) => Some(row.value.to_vec()),
                _ => decode_row::<Content>(&key, &row)?.location,
            };
            let guard = Guard { key, version: row.version };
            blobs.extend(location.map(|location| NamedBlob { id, location, guard }));
        }
        Ok(NamedPage { blobs, next })
    }

    /// Notes that a blob lies elsewhere now, unless it went or moved meanwhile.
    ///
    /// Returns whether it was moved. What it leaves is queued.
    pub async fn move_blob(&self, moved: &Move<'_>, now_ms: i64) -> Result<bool> {
        self.transact(async || {
            let mut draft = Draft::reclaiming();
            let key = keys::content(ContentId(moved.id));
            if let Some((content, guard)) = self.record::<Content>(&key).await? {
                if content.location.as_deref() != Some(moved.from) {
                    return Ok(Try::Done(false));
                }
                draft.expect(&guard);
                draft.put(key, &Content { location: Some(moved.to.to_vec()), ..content });
            } else {
                let key = keys::blob(&moved.id);
                let row = self.engine.get(&key).await?;
                let Some(row) = row.filter(|row| row.value == moved.from) else {
                    return Ok(Try::Done(false));
                };
                draft.expect_row(&key, Some(&row));
                draft.put_bytes(key, moved.to.to_vec());
            }
            if let Some(only) = moved.only
                && !self.expect_only(&mut draft, only).await?
            {
                return Ok(Try::Done(false));
            }
            draft.expect(&self.incarnation.guard);
            count_segments(&mut draft, moved.from_segments, -1);
            count_segments(&mut draft, moved.to_segments, 1);
            if let Some(left) = &moved.left {
                self.enqueue(&mut draft, &Garbage::Unnamed(left.clone()), now_ms);
            }
            Ok(Try::Commit(draft, true))
        })
        .await
    }

    /// Makes the draft expect that a version is still the only one that names its content; `false`
    /// if it is not.
    async fn expect_only(&self, draft: &mut Draft, only: &OnlyVersion) -> Result<bool> {
        let version = self.engine.get(&only.version.key).await?;
        let references = keys::references(only.content);
        let row = self.engine.get(&references).await?;
        let others = row.as_ref().map_or(Ok(0), |row| read_counter(&references, &row.value))?;
        draft.expect(&only.version);
        draft.expect_row(&references, row.as_ref());
        Ok(others == 0 && version.is_some_and(|row| row.version == only.version.version))
    }

    /// Unnames the blobs of parts, in the commit being put together, and queues them. Those that
    /// nothing names any more are passed over.
    pub(crate) async fn unname_parts(
        &self,
        draft: &mut Draft,
        blobs: &[[u8; 16]],
        now_ms: i64,
    ) -> Result<()> {
        let (mut locations, mut bytes) = (Vec::new(), 0);
        for blob in self.part_blobs(blobs).await?.into_iter().flatten() {
            draft.expect(&blob.guard);
            draft.delete(blob.guard.key);
            if bytes + blob.location.len() > VALUE_BYTES_MAX / 2 {
                bytes = 0;
                self.enqueue(draft, &Garbage::Blobs(std::mem::take(&mut locations)), now_ms);
            }
            bytes += blob.location.len();
            locations.push(blob.location.into());
        }
        if !locations.is_empty() {
            self.enqueue(draft, &Garbage::Blobs(locations), now_ms);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::{collections::BTreeSet, sync::Arc};

    use model::environment::Entropy;

    use super::*;
    use crate::{
        codec,
        engine::{Commit, Engine as _, memory::Memory},
    };

    struct Zeroes;

    impl Entropy for Zeroes {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(0);
        }
    }

    #[tokio::test]
    async fn a_walk_meets_each_named_blob_once_whatever_its_steps() {
        let engine = Arc::new(Memory::default());
        let mut commit = Commit::default();
        for number in 0..12_u8 {
            // Contents 6 and 8 have parts and no blob of their own.
            let location = (number < 6 || number % 2 == 1).then(|| vec![number]);
            let content = Content {
                size_bytes: 1,
                location,
                part_rows: 0,
                region: "home".to_owned(),
                manifest: None,
            };
            commit.put.push((keys::content(ContentId([number; 16])), codec::encode(&content)));
        }
        for number in 20..25_u8 {
            commit.put.push((keys::blob(&[number; 16]), vec![number]));
        }
        engine.commit(commit).await.unwrap();
        let metadata = Metadata::open(engine, Arc::new(Zeroes), [1; 16], 1).await.unwrap();
        let expected: BTreeSet<u8> = (0..6).chain([7, 9, 11]).chain(20..25).collect();
        for limit in [1, 3, 100] {
            let (mut met, mut after) = (Vec::new(), None);
            loop {
                let page = metadata.named_blobs(after.as_deref(), limit).await.unwrap();
                for blob in page.blobs {
                    assert_eq!(blob.location, blob.id[..1]);
                    met.push(blob.id[0]);
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(met.len(), expected.len(), "one comes twice in steps of {limit}");
            assert_eq!(met.into_iter().collect::<BTreeSet<_>>(), expected, "in steps of {limit}");
        }
    }

    #[tokio::test]
    async fn a_blob_moves_only_from_where_it_is() {
        let engine = Arc::new(Memory::default());
        let mut commit = Commit::default();
        commit.put.push((keys::blob(&[1; 16]), b"here".to_vec()));
        engine.commit(commit).await.unwrap();
        let metadata = Metadata::open(engine, Arc::new(Zeroes), [1; 16], 1).await.unwrap();
        let go = async |id: u8, from: &[u8], to: &[u8]| {
            let (from_segments, to_segments): (&[_], &[_]) = (&[], &[]);
            let (left, only) = (None, None);
            let moved = Move { id: [id; 16], from, to, from_segments, to_segments, left, only };
            metadata.move_blob(&moved, 1).await.unwrap()
        };
        assert!(!go(1, b"elsewhere", b"there").await);
        assert!(!go(2, b"here", b"there").await, "nothing names it");
        assert!(go(1, b"here", b"there").await);
        assert_eq!(metadata.blob_location(&[1; 16]).await.unwrap().as_deref(), Some(&b"there"[..]));
    }
}
