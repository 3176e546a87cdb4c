//! Exports of a store that is not served, and the way back: what `larder export --offline` and
//! `larder import` do.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use blobs::StoreId;
use blobs::identity::{self, METADATA_FOLDER};
use bytes::Bytes;
use metadata::Metadata;
use metadata::embedded::MetadataDirectory;
use metadata::embedded::import::{self, Exported};
use metadata::engine::ExportStream;
use model::environment::{Clock, random, unix_ms};

use crate::config::Config;
use crate::directories::{self, IMPORTED_FOLDER, Opened};
use crate::environment::{SystemClock, SystemEntropy};
use crate::sealed::MasterKey;
use crate::wiring::{self, Store};

/// What to import, and over what.
pub struct Wish {
    pub file: PathBuf,
    /// Metadata that is there is put aside.
    pub replace: bool,
    /// Directories the export knows may be absent.
    pub accept_missing: bool,
}

/// Exports the store in the directories of `config`, which no server has open.
///
/// - `save`: takes the export; it blocks.
///
/// # Errors
/// The store cannot be opened, for example because a server has it; or those of `save`.
pub async fn export(
    config: &Config,
    save: impl FnOnce(&mut dyn Read) -> Result<Exported> + Send + 'static,
) -> Result<Exported> {
    let found = config.directories().iter().any(|it| identity::read(&it.path).is_ok());
    ensure!(found, "there is no store in these directories");
    let Store { metadata, blobs, .. } = wiring::open_store(config).await?;
    let store = blobs.store();
    let stream = metadata.engine().export(store.0);
    let saving =
        tokio::task::spawn_blocking(move || save(&mut Pieces { stream, left: Bytes::new() }));
    let saved = saving.await.context("the export broke off")?;
    blobs.close().await;
    metadata.engine().close().await?;
    saved
}

/// An export as something to read.
struct Pieces {
    stream: ExportStream,
    left: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.left.is_empty() {
            match self.stream.blocking_recv() {
                Some(piece) => self.left = piece.map_err(io::Error::other)?,
                None => return Ok(0),
            }
        }
        let piece = self.left.split_to(into.len().min(self.left.len()));
        if let Some(place) = into.get_mut(..piece.len()) {
            place.copy_from_slice(&piece);
        }
        Ok(piece.len())
    }
}

/// Puts an export in the place of the metadata in the directories of `config`. What is imported is
/// opened as a start opens it before anything is replaced.
///
/// # Errors
/// If something stands in the way; then everything is as it was, unless the last renames fail.
pub async fn import(config: &Config, wish: Wish) -> Result<Exported> {
    let seen = import::verify(&mut read(&wish.file)?)?;
    let given = config.directories();
    let opened = directories::open_for_metadata(&given, &SystemEntropy, |path| {
        ensure!(wish.replace, "{path} has metadata: --replace puts it aside");
        Ok(())
    })?;
    let (of, here) = (StoreId(seen.origin), opened.store);
    ensure!(of == here, "the export is of the store {of}, the directories are of {here}");
    let (master_key, ..) = wiring::secrets(config, &opened, &SystemEntropy)?;
    let paths = opened.metadata_paths();
    let imported = prepare(config, &wish, &opened, &master_key).await;
    if imported.is_err() {
        for path in &paths {
            let _ = fs::remove_dir_all(path.join(IMPORTED_FOLDER));
        }
    }
    let exported = imported?;
    let placed = directories::put_in_place(&paths, IMPORTED_FOLDER);
    placed.context("the import is not finished, run it again; older metadata is in meta.old")?;
    Ok(exported)
}

/// Makes the metadata beside the place where it shall be, and tries it.
async fn prepare(
    config: &Config,
    wish: &Wish,
    opened: &Opened,
    master_key: &MasterKey,
) -> Result<Exported> {
    let places = opened.metadata().map(|directory| MetadataDirectory {
        path: directory.path().join(IMPORTED_FOLDER),
        id: directory.identity().directory.0,
    });
    let (places, store) = (places.collect::<Vec<_>>(), opened.store.0);
    let mut file = read(&wish.file)?;
    let replaced: Vec<_> =
        opened.metadata_paths().iter().map(|path| path.join(METADATA_FOLDER)).collect();
    let importing = move || import::import(&mut file, (store, &replaced), &places);
    let exported =
        tokio::task::spawn_blocking(importing).await.context("the import broke off")??;

    let engine = wiring::open_engine(config, opened, IMPORTED_FOLDER).await?;
    let (entropy, now_ms) = (Arc::new(SystemEntropy), unix_ms(SystemClock.now()));
    let incarnation = random(&SystemEntropy);
    let metadata = Metadata::open_imported(engine, entropy, incarnation, now_ms).await?;
    check_directories(&metadata, opened, wish.accept_missing).await?;
    for key in metadata.access_keys().await? {
        let opens = service::opens_secret(&master_key.0, &key.access_key, &key.sealed_secret);
        ensure!(opens, "the master key is not the one of the export: its secrets do not open");
    }
    metadata.engine().close().await?;
    Ok(exported)
}

/// Refuses directories that the export does not know, and asks about those that are not here.
async fn check_directories(metadata: &Metadata, opened: &Opened, accept: bool) -> Result<()> {
    let known = metadata.directories().await?;
    let here = |id: &[u8; 16]| opened.directories.iter().any(|it| it.identity().directory.0 == *id);
    for directory in &opened.directories {
        let id = directory.identity().directory;
        if !known.iter().any(|known| known.id == id.0) {
            bail!("the export does not know the directory {}", directory.path().display());
        }
    }
    let missing = known.iter().filter(|known| !here(&known.id)).map(|known| known.path.as_str());
    let missing: Vec<_> = missing.collect();
    ensure!(
        missing.is_empty() || accept,
        "directories of the store were not given: {}; give them, or --accept-missing",
        missing.join(", ")
    );
    Ok(())
}

fn read(path: &Path) -> Result<BufReader<File>> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(BufReader::with_capacity(1 << 20, file))
}
