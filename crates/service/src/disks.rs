//! The data directories, while the store is in use: adding, emptying and removing them.
//!
//! A directory is in the metadata before it is anything on a disk, and out of it only when no blob
//! has a copy there. Emptying is the work of `workers::placement`.

use std::{path::PathBuf, sync::Arc};

use blobs::{Directory, DirectoryError, DirectorySpec, DirectoryStatus, identity};
pub use blobs::{DirectoryId, DirectoryState};
pub use metadata::PlacementState;
use metadata::{Draining, KnownDirectory};
use model::{Condition, policy::Action};

use crate::{Error, Need, Operation, Permit, Result, Service};

/// How background work moves blobs.
#[derive(Clone, Copy, Debug)]
pub struct PlacementSettings {
    pub bytes_per_second_max: u64,
}

/// All directories, and how far blobs are where they are to lie.
pub struct ListDisks;

/// Makes an empty directory one of the store.
#[derive(Clone, Debug)]
pub struct AddDisk {
    /// Absolute.
    pub path: PathBuf,
    /// The path itself if not given.
    pub zone: Option<String>,
    /// The default one if not given.
    pub region: Option<String>,
    /// Whether it is to hold metadata too. If not given it does when all others do and there is
    /// room for one more, as at the first start of a store.
    pub holds_metadata: Option<bool>,
}

/// Begins to empty a directory, also one that does not answer: its copies are made anew elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct DrainDisk {
    pub directory: DirectoryId,
    /// Once it is empty it leaves the store.
    pub then_remove: bool,
    /// Who takes over metadata that it holds, if it leaves and the other one can; any if not given.
    pub successor: Option<DirectoryId>,
}

/// Uses a directory again that was being emptied.
#[derive(Clone, Copy, Debug)]
pub struct KeepDisk(pub DirectoryId);

/// Takes a directory out of the store.
#[derive(Clone, Copy, Debug)]
pub struct RemoveDisk {
    pub directory: DirectoryId,
    /// Even if blobs have copies there.
    pub accept_loss: bool,
}

/// What there is.
#[derive(Clone, Debug)]
pub struct Disks {
    pub disks: Vec<Disk>,
    /// `None` before anything was ever to be moved.
    pub placement: Option<PlacementState>,
}

#[derive(Clone, Debug)]
pub struct Disk {
    pub known: KnownDirectory,
    pub status: DirectoryStatus,
}

impl Operation for ListDisks {
    type Output = Disks;

    fn needs(&self) -> Vec<Need<'_>> {
        Need::service(Action::AdminStore)
    }

    async fn run(self, _: Permit<'_, Self>, service: &Arc<Service>) -> Result<Disks> {
        let mut statuses = service.blobs.directories();
        let mut disks = Vec::new();
        for known in service.metadata.directories().await? {
            let place = statuses.iter().position(|status| status.id.0 == known.id);
            if let Some(place) = place {
                disks.push(Disk { known, status: statuses.swap_remove(place) });
            }
        }
        let mut placement: Option<PlacementState> = service.metadata.noted().await?;
        if let Some(state) = &mut placement
            && state.layout != service.blobs.layout()
        {
            // It begins anew in a moment.
            *state = PlacementState { begun_ms: service.now_ms(), ..PlacementState::default() };
        }
        Ok(Disks { disks, placement })
    }
}

impl Operation for AddDisk {
    type Output = DirectoryId;

    fn needs(&self) -> Vec<Need<'_>> {
        Need::service(Action::AdminStore)
    }

    async fn run(self, _: Permit<'_, Self>, service: &Arc<Service>) -> Result<DirectoryId> {
        let _alone = service.disk_changes.lock().await;
        let Self { path, zone, region, holds_metadata } = self;
        if !path.is_absolute() {
            return Err(refused(format!("{} is not an absolute path", path.display())));
        }
        let text = path.to_str().ok_or_else(|| refused("The path is not UTF-8.".into()))?;
        let default = || service.regions().first().cloned().unwrap_or_default();
        let region = region.unwrap_or_else(default);
        if !service.regions().contains(&region) {
            return Err(refused(format!("{region} is none of the regions of this server.")));
        }
        let spec = DirectorySpec {
            zone: zone.unwrap_or_else(|| text.to_owned()),
            path: path.clone(),
            region,
        };
        let row = KnownDirectory {
            id: service.random(),
            region: spec.region.clone(),
            zone: spec.zone.clone(),
            holds_metadata: false,
            path: text.to_owned(),
            draining: None,
        };
        match identity::read(&path) {
            Err(DirectoryError::Empty(_) | DirectoryError::NotFound(_)) => {}
            Err(error) => return Err(refused(error.to_string())),
            Ok(_) => return Err(refused(format!("{text} belongs to a store already."))),
        }
        let holds_metadata = service.is_to_hold_metadata(holds_metadata).await?;
        service.metadata.note_directories(std::slice::from_ref(&row)).await?;
        match service.initialise(spec, DirectoryId(row.id)).await {
            Ok(directory) => {
                service.blobs.add(directory).await?;
                service.layout_changed.notify_one();
            }
            Err(error) => {
                service.metadata.forget_directory(&row.id).await?;
                return Err(error);
            }
        }
        tracing::info!(directory = %DirectoryId(row.id), path = text, "directory added");
        if holds_metadata {
            service.add_holder(&row).await?;
        }
        Ok(DirectoryId(row.id))
    }
}

impl Operation for DrainDisk {
    type Output = ();

    fn needs(&self) -> Vec<Need<'_>> {
        Need::service(Action::AdminStore)
    }

    async fn run(self, _: Permit<'_, Self>, service: &Arc<Service>) -> Result<()> {
        let _alone = service.disk_changes.lock().await;
        let known = service.known_disk(self.directory).await?;
        let most = service.most_wanted(&known.region).await?;
        if !service.blobs.can_spare(self.directory, most) {
            return Err(refused(format!(
                "Without it the region {} has too few directories for its copies; add one first.",
                known.region
            )));
        }
        if self.then_remove {
            service.move_metadata(&known, self.successor).await?;
        }
        let before = known.draining.filter(|before| before.then_remove == self.then_remove);
        let draining = before.unwrap_or_else(|| Draining {
            since_ms: service.now_ms(),
            then_remove: self.then_remove,
            empty: false,
        });
        service.metadata.set_draining(&self.directory.0, Some(&draining)).await?;
        service.blobs.set_draining(self.directory, true);
        service.layout_changed.notify_one();
        tracing::info!(directory = %self.directory, "directory is being emptied");
        Ok(())
    }
}

impl Operation for KeepDisk {
    type Output = ();

    fn needs(&self) -> Vec<Need<'_>> {
        Need::service(Action::AdminStore)
    }

    async fn run(self, _: Permit<'_, Self>, service: &Arc<Service>) -> Result<()> {
        let _alone = service.disk_changes.lock().await;
        service.known_disk(self.0).await?;
        service.metadata.set_draining(&self.0.0, None).await?;
        service.blobs.set_draining(self.0, false);
        service.layout_changed.notify_one();
        Ok(())
    }
}

impl Operation for RemoveDisk {
    type Output = ();

    fn needs(&self) -> Vec<Need<'_>> {
        Need::service(Action::AdminStore)
    }

    async fn run(self, _: Permit<'_, Self>, service: &Arc<Service>) -> Result<()> {
        let _alone = service.disk_changes.lock().await;
        let known = service.known_disk(self.directory).await?;
        let Some(draining) = &known.draining else {
            return Err(refused("It is in use; let it be emptied first (disk drain).".into()));
        };
        if !draining.empty && !self.accept_loss {
            return Err(refused("Blobs still have copies there.".into()));
        }
        service.move_metadata(&known, None).await?;
        service.remove_disk(&known).await
    }
}

pub(crate) fn refused(detail: String) -> Error {
    Error::new(Condition::InvalidRequest, detail)
}

impl Service {
    async fn known_disk(&self, directory: DirectoryId) -> Result<KnownDirectory> {
        let known = self.metadata.directories().await?;
        let found = known.into_iter().find(|known| known.id == directory.0);
        found.ok_or_else(|| Error::new(Condition::InvalidArgument, "There is no such directory."))
    }

    async fn initialise(&self, spec: DirectorySpec, id: DirectoryId) -> Result<Directory> {
        let store = self.blobs.store();
        let making =
            tokio::task::spawn_blocking(move || Directory::initialise(&spec, store, id, false));
        let made = making.await.map_err(Error::internal)?;
        made.map_err(|error| refused(error.to_string()))
    }

    /// Strikes a directory off. What it holds is no longer of this store.
    async fn remove_disk(&self, known: &KnownDirectory) -> Result<()> {
        let id = DirectoryId(known.id);
        if let Err(error) = self.blobs.disown(id).await {
            tracing::warn!(directory = %id, %error, "directory cannot be marked as removed");
        }
        // In this order: from now on nobody counts anything out of its segments.
        self.blobs.forget(id).await;
        self.layout_changed.notify_one();
        self.metadata.forget_directory(&known.id).await?;
        tracing::info!(directory = %id, path = known.path, "directory removed from the store");
        Ok(())
    }

    /// Whether there is a directory that is to be emptied and not known to be empty.
    pub(crate) async fn is_emptying(&self) -> Result<bool> {
        let known = self.metadata.directories().await?;
        Ok(known.iter().filter_map(|it| it.draining.as_ref()).any(|draining| !draining.empty))
    }

    /// Notes which directories are empty now, and removes those that are to go then.
    pub(crate) async fn emptied(&self, layout: &[u8]) -> Result<()> {
        let _alone = self.disk_changes.lock().await;
        if self.blobs.layout() != layout {
            return Ok(());
        }
        for known in self.metadata.directories().await? {
            let Some(draining) = known.draining.clone().filter(|draining| !draining.empty) else {
                continue;
            };
            let draining = Draining { empty: true, ..draining };
            self.metadata.set_draining(&known.id, Some(&draining)).await?;
            tracing::info!(directory = %DirectoryId(known.id), "directory is empty");
            if draining.then_remove {
                self.remove_disk(&known).await?;
            }
        }
        Ok(())
    }
}
