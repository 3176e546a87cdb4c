//! The data directories of the store: a start compares what it finds with these rows.

use minicbor::{Decode, Encode};

use crate::{
    Metadata, Result,
    engine::Direction,
    keys,
    transaction::{Draft, Try, decode_row},
};

const DIRECTORY: &[u8] = b"directory/";
/// Each commit is written to all that hold metadata: more make it slower, and hardly safer.
pub const METADATA_DIRECTORIES_MAX: usize = 3;
/// Deleted with a directory at once.
const COUNTERS_PER_COMMIT: usize = 500;

/// A data directory that belongs to the store.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct KnownDirectory {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub id: [u8; 16],
    #[n(1)]
    pub region: String,
    #[n(2)]
    pub zone: String,
    #[n(3)]
    pub holds_metadata: bool,
    /// Where it was found last, and is looked for.
    #[n(4)]
    pub path: String,
    /// It is being emptied.
    #[n(5)]
    pub draining: Option<Draining>,
}

/// How a directory is emptied.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Draining {
    #[n(0)]
    pub since_ms: i64,
    /// Once it is empty it leaves the store.
    #[n(1)]
    pub then_remove: bool,
    /// No blob has a copy there any more.
    #[n(2)]
    pub empty: bool,
}

impl Metadata {
    /// All directories of the store, in order of id; none before the first start has noted them.
    pub async fn directories(&self) -> Result<Vec<KnownDirectory>> {
        let mut directories = Vec::new();
        let mut rest = Some(keys::within(keys::join(keys::FACT, &[DIRECTORY])));
        while let Some(range) = rest {
            let page = self.engine.scan(&range, 500, Direction::Forward).await?;
            for (key, row) in &page.rows {
                directories.push(decode_row(key, row)?);
            }
            rest = page.next;
        }
        Ok(directories)
    }

    /// Adds directories, or notes what is new about them. That they are emptied is not changed.
    ///
    /// # Errors
    /// When the engine cannot commit. A full disk is no reason: the rows are few.
    pub async fn note_directories(&self, directories: &[KnownDirectory]) -> Result<()> {
        self.transact(async || {
            let known = self.directories().await?;
            let mut draft = Draft::reclaiming();
            let mut changed = false;
            for directory in directories {
                let before = known.iter().find(|known| known.id == directory.id);
                let draining = before.and_then(|before| before.draining.clone());
                let after = KnownDirectory { draining, ..directory.clone() };
                if before != Some(&after) {
                    draft.put(directory_key(&directory.id), &after);
                    changed = true;
                }
            }
            Ok(if changed { Try::Commit(draft, ()) } else { Try::Done(()) })
        })
        .await
    }

    /// Notes whether and how a directory is emptied; `false` if it is not known.
    pub async fn set_draining(&self, id: &[u8; 16], draining: Option<&Draining>) -> Result<bool> {
        let change = |known| KnownDirectory { draining: draining.cloned(), ..known };
        self.change_directory(id, change).await
    }

    /// Notes whether a directory holds metadata; `false` if it is not known.
    pub async fn set_holds_metadata(&self, id: &[u8; 16], holds_metadata: bool) -> Result<bool> {
        self.change_directory(id, |known| KnownDirectory { holds_metadata, ..known }).await
    }

    async fn change_directory(
        &self,
        id: &[u8; 16],
        change: impl Fn(KnownDirectory) -> KnownDirectory,
    ) -> Result<bool> {
        self.transact(async || {
            let key = directory_key(id);
            let Some((known, guard)) = self.record::<KnownDirectory>(&key).await? else {
                return Ok(Try::Done(false));
            };
            let mut draft = Draft::reclaiming();
            draft.expect(&guard);
            draft.put(key, &change(known));
            Ok(Try::Commit(draft, true))
        })
        .await
    }

    /// Strikes a directory off, and the counters of its segments.
    pub async fn forget_directory(&self, id: &[u8; 16]) -> Result<()> {
        loop {
            let range = keys::within(keys::segment(id));
            let page = self.engine.scan(&range, COUNTERS_PER_COMMIT, Direction::Forward).await?;
            self.transact(async || {
                let mut draft = Draft::reclaiming();
                page.rows.iter().for_each(|(key, _)| draft.delete(key.clone()));
                if page.next.is_none() {
                    draft.delete(directory_key(id));
                }
                Ok(Try::Commit(draft, ()))
            })
            .await?;
            if page.next.is_none() {
                return Ok(());
            }
        }
    }
}

fn directory_key(id: &[u8; 16]) -> Vec<u8> {
    keys::join(keys::FACT, &[DIRECTORY, id])
}
