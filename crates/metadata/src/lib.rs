//! What exists: buckets, versions, contents, uploads, accounts, queues. Every change is one atomic
//! commit on an ordered key-value engine.

pub mod embedded;
pub mod engine;

mod accounts;
mod acls;
mod audit;
mod blobs;
mod buckets;
mod codec;
mod contents;
mod directories;
mod documents;
mod entities;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod keys;
mod leases;
mod mfa;
mod notes;
mod queue;
mod rebuild;
mod reckoning;
mod recount;
mod streams;
mod transaction;
mod uploads;
mod usage;
mod versions;

pub use audit::AuditWalk;
pub use blobs::{FreedBlob, Move, NamedBlob, NamedPage, OnlyVersion, PartBlob};
pub use buckets::Created;
pub use contents::NewContent;
pub use directories::{Draining, KnownDirectory, METADATA_DIRECTORIES_MAX};
pub use documents::NewDocument;
pub use entities::EntityChanges;
pub use error::{Error, Result};
pub use leases::{Incarnation, Life};
pub use notes::{Note, PlacementState, ScrubState};
pub use queue::QueuedGarbage;
pub use reckoning::{LiveBytes, References};
pub use recount::{Recount, RecountPlace};
pub use streams::{CurrentRows, Cursor, StreamedObject, StreamedVersion};
pub use transaction::Guard;
pub use uploads::{CompletedContent, PartWritten};
pub use usage::{Scope, Usage};
pub use versions::{NamedContent, NewVersion, Removed, WrittenVersion};

use std::sync::Arc;

use engine::Engine;
use model::environment::Entropy;

/// The metadata of a store. Cheap to share; all methods may run at once.
pub struct Metadata {
    engine: Arc<dyn Engine>,
    entropy: Arc<dyn Entropy>,
    incarnation: Incarnation,
}

impl Metadata {
    /// Begins a new incarnation on `engine`. The engine's lock makes every earlier one ended.
    ///
    /// # Errors
    /// When the engine cannot read or commit.
    pub async fn open(
        engine: Arc<dyn Engine>,
        entropy: Arc<dyn Entropy>,
        incarnation: [u8; 16],
        now_ms: i64,
    ) -> Result<Self> {
        let incarnation = leases::begin(engine.as_ref(), incarnation, now_ms).await?;
        Ok(Self { engine, entropy, incarnation })
    }

    /// As [`Self::open`], for metadata that came out of an export: starts that had not ended in it
    /// are unknown from now on, since they may have named more than it tells.
    ///
    /// # Errors
    /// As of [`Self::open`].
    pub async fn open_imported(
        engine: Arc<dyn Engine>,
        entropy: Arc<dyn Entropy>,
        incarnation: [u8; 16],
        now_ms: i64,
    ) -> Result<Self> {
        leases::forget_present(engine.as_ref()).await?;
        Self::open(engine, entropy, incarnation, now_ms).await
    }

    /// The engine below, for snapshots and its status.
    pub fn engine(&self) -> &dyn Engine {
        self.engine.as_ref()
    }

    /// This process's incarnation: named in every blob it writes.
    pub fn incarnation(&self) -> &Incarnation {
        &self.incarnation
    }

    pub(crate) fn random<const N: usize>(&self) -> [u8; N] {
        model::environment::random(self.entropy.as_ref())
    }
}
