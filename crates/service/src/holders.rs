//! Which directories hold the metadata: another one takes over from a directory that leaves.

use std::{collections::BTreeSet, io, path::Path};

use blobs::{DirectoryId, DirectoryState, DirectoryStatus, identity::METADATA_FOLDER};
use metadata::{KnownDirectory, engine::MetadataDirectory};

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
    /// is one. The caller holds `disk_changes`.
    ///
    /// # Errors
    /// Too few would be left, or the other one cannot take it. Then all is as before.
    pub(crate) async fn move_metadata(&self, leaving: &KnownDirectory) -> Result<()> {
        if !leaving.holds_metadata {
            return Ok(());
        }
        let known = self.metadata.directories().await?;
        let stays = |it: &&KnownDirectory| it.id != leaving.id && it.draining.is_none();
        let mut holders: Vec<_> =
            known.iter().filter(stays).filter(|it| it.holds_metadata).cloned().collect();
        let successor = successor(&known, &holders, &self.blobs.directories(), &leaving.id);
        if successor.is_none() && holders.len() < self.blobs.copies(&leaving.region).min(2) {
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

    /// Lets directories take part again that were missing at the start.
    pub(crate) async fn recall_holders(&self, back: &BTreeSet<[u8; 16]>) -> Result<()> {
        let _alone = self.disk_changes.lock().await;
        let known = self.metadata.directories().await?;
        if !known.iter().any(|it| it.holds_metadata && back.contains(&it.id)) {
            return Ok(());
        }
        let holders: Vec<_> = known.iter().filter(|it| it.holds_metadata).map(place).collect();
        let set = self.metadata.engine().set_directories(&holders).await;
        set.map_err(Error::internal)
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

/// A directory that works and stays, in a zone without metadata if there is one.
fn successor(
    known: &[KnownDirectory],
    holders: &[KnownDirectory],
    statuses: &[DirectoryStatus],
    leaving: &[u8; 16],
) -> Option<KnownDirectory> {
    let works = |id: &[u8; 16]| {
        let mut found = statuses.iter().filter(|status| status.id.0 == *id);
        found.any(|status| status.state == DirectoryState::Healthy)
    };
    let can = |it: &&KnownDirectory| {
        !it.holds_metadata && it.draining.is_none() && it.id != *leaving && works(&it.id)
    };
    let taken = |it: &KnownDirectory| holders.iter().any(|holder| holder.zone == it.zone);
    known.iter().filter(can).min_by_key(|it| taken(it)).cloned()
}
