//! Which directories hold the metadata: new ones join, and take over from those that leave.

use std::{collections::BTreeSet, io, path::Path};

use blobs::{DirectoryId, DirectoryState, DirectoryStatus, Wanted, identity::METADATA_FOLDER};
use metadata::{KnownDirectory, METADATA_DIRECTORIES_MAX, engine::MetadataDirectory};

use crate::{Error, Result, Service, disks::refused};

/// The files with the store's keys, which lie beside the identity of each holder.
pub trait KeyFiles: Send + Sync {
    /// Puts them into a directory, durably.
    ///
    /// # Errors
    /// When they cannot be written there.
    fn put(&self, directory: &Path) -> io::Result<()>;

    /// Removes them from a directory that holds metadata no longer.
    ///
    /// # Errors
    /// When the directory refuses.
    fn remove(&self, directory: &Path) -> io::Result<()>;
}

/// No key files: the keys are given from outside.
pub struct NoKeyFiles;

impl KeyFiles for NoKeyFiles {
    fn put(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl Service {
    /// Takes the metadata out of a directory, if it holds any; another one takes its place if there
    /// is one, the `wished` one if that can. The caller holds `disk_changes`.
    ///
    /// # Errors
    /// Too few would be left, or the other one cannot take it. Then all is as before.
    pub(crate) async fn move_metadata(
        &self,
        leaving: &KnownDirectory,
        wished: Option<DirectoryId>,
    ) -> Result<()> {
        if !leaving.holds_metadata {
            return Ok(());
        }
        let known = self.metadata.directories().await?;
        let stays = |it: &&KnownDirectory| it.id != leaving.id && it.draining.is_none();
        let mut holders: Vec<_> =
            known.iter().filter(stays).filter(|it| it.holds_metadata).cloned().collect();
        let heirs = heirs(&known, &self.blobs.directories(), &leaving.id);
        let successor = successor(heirs, &holders, wished);
        if successor.is_none()
            && holders.len() < self.blobs.copies(&Wanted::usual(&leaving.region)).min(2)
        {
            let text = "No other directory can hold the metadata in its place; add one first.";
            return Err(refused(text.to_owned()));
        }
        if let Some(successor) = &successor {
            self.appoint(successor).await?;
            holders.push(successor.clone());
        }
        let directories: Vec<_> = holders.iter().map(place).collect();
        if let Err(error) = self.metadata.engine().set_directories(&directories).await {
            if let Some(successor) = successor {
                self.dismiss(&successor).await?;
            }
            return Err(Error::internal(error));
        }
        self.dismiss(leaving).await
    }

    /// Whether a directory that is being added is to hold metadata.
    ///
    /// # Errors
    /// It is wished, and as many as may hold it do.
    pub(crate) async fn is_to_hold_metadata(&self, wish: Option<bool>) -> Result<bool> {
        let known = self.metadata.directories().await?;
        let holders = known.iter().filter(|it| it.holds_metadata).count();
        let is_room = holders < METADATA_DIRECTORIES_MAX;
        if wish == Some(true) && !is_room {
            let text = format!("{holders} directories hold metadata, and no more may.");
            return Err(refused(text));
        }
        let chosen = known.iter().any(|it| !it.holds_metadata && it.draining.is_none());
        Ok(wish.unwrap_or(is_room && !chosen))
    }

    /// Puts the metadata into one more directory. The caller holds `disk_changes`.
    ///
    /// # Errors
    /// It cannot take it; then it holds blobs only.
    pub(crate) async fn add_holder(&self, holder: &KnownDirectory) -> Result<()> {
        self.appoint(holder).await?;
        let known = self.metadata.directories().await?;
        if let Err(error) = self.use_holders(&known).await {
            self.dismiss(holder).await?;
            return Err(error);
        }
        Ok(())
    }

    /// Lets directories take part again that were missing at the start.
    pub(crate) async fn recall_holders(&self, back: &BTreeSet<[u8; 16]>) -> Result<()> {
        let _alone = self.disk_changes.lock().await;
        let known = self.metadata.directories().await?;
        if !known.iter().any(|it| it.holds_metadata && back.contains(&it.id)) {
            return Ok(());
        }
        self.use_holders(&known).await
    }

    /// Has the metadata in those of `known` that hold it, and nowhere else.
    async fn use_holders(&self, known: &[KnownDirectory]) -> Result<()> {
        let holders: Vec<_> = known.iter().filter(|it| it.holds_metadata).map(place).collect();
        self.metadata.engine().set_directories(&holders).await.map_err(Error::internal)
    }

    async fn appoint(&self, successor: &KnownDirectory) -> Result<()> {
        self.blobs.note_metadata(DirectoryId(successor.id), true).await?;
        self.with_keys(successor, |keys, path| keys.put(path)).await.map_err(Error::internal)?;
        self.metadata.set_holds_metadata(&successor.id, true).await?;
        tracing::info!(directory = successor.path, "directory is to hold metadata");
        Ok(())
    }

    async fn dismiss(&self, leaving: &KnownDirectory) -> Result<()> {
        self.metadata.set_holds_metadata(&leaving.id, false).await?;
        let noted = self.blobs.note_metadata(DirectoryId(leaving.id), false).await;
        let told = match noted {
            Ok(()) => self.with_keys(leaving, |keys, path| keys.remove(path)).await,
            Err(error) => Err(io::Error::other(error)),
        };
        if let Err(error) = told {
            // It is absent or has failed. At a later start it would only join again.
            let directory = &leaving.path;
            tracing::warn!(directory, %error, "keys and the note about metadata stay there");
        }
        Ok(())
    }

    async fn with_keys(
        &self,
        directory: &KnownDirectory,
        act: impl FnOnce(&dyn KeyFiles, &Path) -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        let (keys, path) = (self.key_files.clone(), directory.path.clone());
        let acting = tokio::task::spawn_blocking(move || act(keys.as_ref(), Path::new(&path)));
        acting.await.map_err(io::Error::other)?
    }
}

fn place(known: &KnownDirectory) -> MetadataDirectory {
    MetadataDirectory { path: Path::new(&known.path).join(METADATA_FOLDER), id: known.id }
}

/// Directories without metadata that work and stay.
fn heirs<'k>(
    known: &'k [KnownDirectory],
    statuses: &[DirectoryStatus],
    leaving: &[u8; 16],
) -> Vec<&'k KnownDirectory> {
    let works = |id: &[u8; 16]| {
        let mut found = statuses.iter().filter(|status| status.id.0 == *id);
        found.any(|status| status.state == DirectoryState::Healthy)
    };
    let can = |it: &&KnownDirectory| {
        !it.holds_metadata && it.draining.is_none() && it.id != *leaving && works(&it.id)
    };
    known.iter().filter(can).collect()
}

/// The `wished` one of `heirs`, else one in a zone without metadata, else any.
fn successor(
    heirs: Vec<&KnownDirectory>,
    holders: &[KnownDirectory],
    wished: Option<DirectoryId>,
) -> Option<KnownDirectory> {
    let is_wished = |it: &KnownDirectory| wished.is_some_and(|wished| wished.0 == it.id);
    let taken = |it: &KnownDirectory| holders.iter().any(|holder| holder.zone == it.zone);
    heirs.into_iter().min_by_key(|it| (!is_wished(it), taken(it))).cloned()
}
