//! What each operation means, who may do it, and what happens in the background.
//!
//! [`Service::call`] is the one door: it authorizes an operation, then runs it.

pub mod access;
pub mod accounts;
pub mod acls;
mod ask;
pub mod audit;
mod authorize;
pub mod body;
pub mod buckets;
mod caller;
pub mod check;
mod checking;
mod compiled;
mod contents;
pub mod copies;
pub mod cors;
mod denials;
mod digest;
pub mod disks;
pub mod entities;
mod error;
pub mod explain;
pub mod export;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod hashing;
pub mod holders;
mod named;
pub mod objects;
mod outbound;
pub mod policies;
mod readers;
pub mod rebuild;
pub mod referer;
mod seal;
pub mod tags;
mod turns;
pub mod uploads;
pub mod workers;

pub use accounts::{BootReport, Bootstrap, Identity};
pub use ask::Ask;
pub use authorize::{Need, Permit};
pub use blobs::Piece;
pub use caller::Caller;
pub use contents::ContentReader;
pub use error::{Error, Result};
pub use outbound::{NoOutbound, Outbound};
pub use seal::opens_secret;

use std::{sync::Arc, time::Duration};

use blobs::{Blobs, Location};
use metadata::Metadata;
use model::{
    acl::Ownership,
    environment::{Clock, Entropy, unix_ms},
};
use tokio::sync::Notify;

/// What clients and workers ask for. Only [`Service::call`] can run one.
pub trait Operation: Sized {
    type Output;

    /// Everything the caller must be allowed to do for this.
    fn needs(&self) -> Vec<Need<'_>>;

    fn run(
        self,
        permit: Permit<'_, Self>,
        service: &Arc<Service>,
    ) -> impl Future<Output = Result<Self::Output>>;
}

/// What a service is made of.
pub struct Parts {
    pub metadata: Metadata,
    pub blobs: Blobs,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    /// Seals secret keys at rest.
    pub master_key: [u8; 32],
    /// The first is the default one.
    pub regions: Vec<String>,
    /// New buckets are kept from becoming public.
    pub block_public_access: bool,
    /// Whose the objects in new buckets are that others write.
    pub object_ownership: Ownership,
    /// The metadata may have lost commits: what earlier starts wrote and nothing names stays.
    pub keep_unnamed: bool,
    /// How long changes of who may do what are remembered.
    pub audit_keep: Duration,
    /// How the store is read through in the background; `None` if it is not.
    pub scrub: Option<workers::ScrubSettings>,
    pub placement: disks::PlacementSettings,
    pub key_files: Arc<dyn holders::KeyFiles>,
    /// How other servers are asked.
    pub outbound: Arc<dyn Outbound>,
}

/// The store: operations over metadata and blobs.
pub struct Service {
    pub(crate) metadata: Metadata,
    pub(crate) blobs: Blobs,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    seal: seal::Seal,
    regions: Vec<String>,
    block_public_access: bool,
    object_ownership: Ownership,
    policies: policies::Policies,
    standings: entities::Standings,
    sessions: entities::Sessions,
    uses: entities::Uses,
    denials: denials::Denials,
    key_sets: entities::KeySets,
    outbound: Arc<dyn Outbound>,
    pub(crate) keep_unnamed: bool,
    pub(crate) readers: readers::Readers,
    pub(crate) writers: readers::Writers,
    /// Bodies that are coming in: the directories for them may be chosen already.
    pub(crate) uploads: readers::Writers,
    pub(crate) unnamed: contents::Unnamed,
    pub(crate) hashing: Arc<hashing::Hashing>,
    pub(crate) garbage_queued: Notify,
    /// Directories came, went, or are to be emptied.
    pub(crate) layout_changed: Notify,
    pub(crate) checks: check::Checks,
    pub(crate) audit_keep: Duration,
    pub(crate) scrub: Option<workers::ScrubSettings>,
    pub(crate) placement: disks::PlacementSettings,
    pub(crate) key_files: Arc<dyn holders::KeyFiles>,
    pub(crate) turns: turns::Turns,
    /// Held to change which directories there are.
    pub(crate) disk_changes: tokio::sync::Mutex<()>,
}

impl Service {
    /// # Errors
    /// When the master key cannot be used, or no region is named.
    pub fn open(parts: Parts) -> Result<Arc<Self>> {
        let Parts { metadata, blobs, clock, entropy, .. } = parts;
        let Parts { block_public_access, object_ownership, outbound, .. } = parts;
        let Parts { master_key, regions, keep_unnamed, scrub, placement, key_files, .. } = parts;
        let audit_keep = parts.audit_keep;
        if regions.is_empty() {
            return Err(Error::new(model::Condition::Internal, "no region is configured"));
        }
        Ok(Arc::new(Self {
            metadata,
            blobs,
            clock,
            entropy,
            seal: seal::Seal::new(&master_key)?,
            regions,
            block_public_access,
            object_ownership,
            policies: policies::Policies::default(),
            standings: entities::Standings::default(),
            sessions: entities::Sessions::default(),
            uses: entities::Uses::default(),
            denials: denials::Denials::default(),
            key_sets: entities::KeySets::default(),
            outbound,
            keep_unnamed,
            readers: readers::Readers::default(),
            writers: readers::Writers::default(),
            uploads: readers::Writers::default(),
            unnamed: contents::Unnamed::default(),
            hashing: Arc::default(),
            garbage_queued: Notify::new(),
            layout_changed: Notify::new(),
            checks: check::Checks::default(),
            audit_keep,
            scrub,
            placement,
            key_files,
            turns: turns::Turns::default(),
            disk_changes: tokio::sync::Mutex::default(),
        }))
    }

    /// Runs an operation if `caller` may.
    ///
    /// # Errors
    /// What [`Error::condition`] says; the store is then as before.
    pub async fn call<O: Operation>(
        self: &Arc<Self>,
        caller: &Caller,
        operation: O,
    ) -> Result<O::Output> {
        let permit = authorize::authorize(self, caller, &operation).await?;
        operation.run(permit, self).await
    }

    /// Decides whether `caller` may run an operation, without running it: for an early answer to
    /// `Expect: 100-continue`.
    ///
    /// # Errors
    /// As [`Self::call`] would fail before running.
    pub async fn check<O: Operation>(&self, caller: &Caller, operation: &O) -> Result<()> {
        authorize::authorize(self, caller, operation).await.map(drop)
    }

    pub fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    pub fn entropy(&self) -> &dyn Entropy {
        self.entropy.as_ref()
    }

    /// The regions of this server; the first is the default one.
    pub fn regions(&self) -> &[String] {
        &self.regions
    }

    /// How the store is, from memory: it answers even when a disk hangs.
    pub fn status(&self) -> Status {
        Status { engine: self.metadata.engine().status(), directories: self.blobs.directories() }
    }

    /// Closes blobs, then metadata, with the mark of a clean end.
    ///
    /// # Errors
    /// When the mark cannot be made; the next start then recovers.
    pub async fn close(&self) -> Result<()> {
        self.blobs.close().await;
        self.metadata.engine().close().await.map_err(Error::internal)
    }

    pub(crate) fn now_ms(&self) -> i64 {
        unix_ms(self.clock.now())
    }

    pub(crate) fn random<const N: usize>(&self) -> [u8; N] {
        model::environment::random(self.entropy.as_ref())
    }

    pub(crate) fn decode_location(&self, location: &[u8]) -> Result<Location> {
        Ok(Location::decode(location)?)
    }
}

/// How the store is.
pub struct Status {
    pub engine: metadata::engine::EngineStatus,
    pub directories: Vec<blobs::DirectoryStatus>,
}

impl Status {
    /// Whether writes can go on.
    pub fn ready(&self) -> bool {
        self.engine.writable
    }
}
