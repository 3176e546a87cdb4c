//! The data directories of the store: a start compares what it finds with these rows.

use minicbor::{Decode, Encode};

use crate::{
    Metadata, Result,
    engine::Direction,
    keys,
    transaction::{Draft, Try, decode_row},
};

const DIRECTORY: &[u8] = b"directory/";

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
    /// Where it was found last; only for messages.
    #[n(4)]
    pub path: String,
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

    /// Adds directories, or notes what is new about them.
    ///
    /// # Errors
    /// When the engine cannot commit. A full disk is no reason: the rows are few.
    pub async fn note_directories(&self, directories: &[KnownDirectory]) -> Result<()> {
        let known = self.directories().await?;
        let news = || directories.iter().filter(|directory| !known.contains(directory));
        self.transact(async || {
            let mut draft = Draft::reclaiming();
            for directory in news() {
                draft.put(keys::join(keys::FACT, &[DIRECTORY, &directory.id]), directory);
            }
            let change = news().next().is_some();
            Ok(if change { Try::Commit(draft, ()) } else { Try::Done(()) })
        })
        .await
    }
}
