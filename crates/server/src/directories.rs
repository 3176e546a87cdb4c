//! The data directories of a start: which are ours, which are new, which are missing.
//!
//! A path on the command line is only where to look; what a directory is stands in its identity
//! file, and which ones there are stands in the metadata.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Display, Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use blobs::identity::{self, Identity, METADATA_FOLDER};
use blobs::{Directory, DirectoryError, DirectoryId, DirectorySpec, StoreId};
use metadata::{METADATA_DIRECTORIES_MAX, embedded};
use model::environment::{Entropy, random};

use crate::config::Labelled;

/// Metadata that is being rebuilt; it gets its name once it is complete.
pub const REBUILT_FOLDER: &str = "meta.rebuilt";

/// Metadata that is being imported, likewise.
pub const IMPORTED_FOLDER: &str = "meta.imported";

/// Where what was left of older metadata goes.
const OLD_FOLDER: &str = "meta.old";

/// Directories that are open and locked, before it is known which others there should be.
pub struct Opened {
    pub store: StoreId,
    pub directories: Vec<Directory>,
    /// Given, but nothing of ours is there: not mounted, lost or new.
    pub vacant: Vec<PathBuf>,
    /// The store was made just now.
    pub first_start: bool,
}

impl Opened {
    /// The found directories that hold metadata.
    pub fn metadata(&self) -> impl Iterator<Item = &Directory> {
        self.directories.iter().filter(|directory| directory.identity().holds_metadata)
    }

    /// Paths of the found directories that hold metadata.
    pub fn metadata_paths(&self) -> Vec<PathBuf> {
        self.metadata().map(|directory| directory.path().to_owned()).collect()
    }
}

/// Opens and locks the given directories; makes a new store if all are empty or absent.
///
/// - `metadata`: those that are to hold metadata, if the store is new.
///
/// # Errors
/// A directory is refused: foreign, damaged, in use, of a newer format, or with other files in it.
pub fn open(given: &[Labelled], metadata: &[PathBuf], entropy: &dyn Entropy) -> Result<Opened> {
    let mut found = Vec::new();
    let mut vacant = Vec::new();
    for directory in given {
        match identity::read(&directory.path) {
            Ok(identity) => found.push((directory, identity)),
            Err(DirectoryError::NotFound(_) | DirectoryError::Empty(_)) => vacant.push(directory),
            Err(DirectoryError::Removed(path)) => {
                let path = path.display();
                tracing::warn!(%path, "removed from its store: take it off the list, or empty it");
            }
            Err(DirectoryError::Io { path, source }) => {
                tracing::error!(path = %path.display(), error = %source, "directory not readable");
                vacant.push(directory);
            }
            Err(error) => return Err(error.into()),
        }
    }
    if unfinished(&found) {
        return make(given, metadata, &found, entropy);
    }
    let Some(store) = found.first().map(|(_, identity)| identity.store) else {
        return make(given, metadata, &found, entropy);
    };
    for (directory, identity) in &found {
        told(directory, identity);
    }
    let open = |(directory, _): &(&Labelled, Identity)| Directory::open(&directory.path, store);
    let directories = found.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    let vacant = vacant.into_iter().map(|directory| directory.path.clone()).collect();
    Ok(Opened { store, directories, vacant, first_start: false })
}

/// Opens and locks the given directories of a store that is to get other metadata.
///
/// - `over`: whether the metadata in a directory, named by its path, may be replaced.
///
/// # Errors
/// As of [`open`]; and if a directory is missing, or by the word of `over`.
pub fn open_for_metadata(
    given: &[Labelled],
    entropy: &dyn Entropy,
    over: impl Fn(Display<'_>) -> Result<()>,
) -> Result<Opened> {
    for directory in given {
        identity::read(&directory.path)?;
        if embedded::has_begun(&directory.path.join(METADATA_FOLDER))? {
            over(directory.path.display())?;
        }
    }
    let opened = open(given, &[], entropy)?;
    ensure!(!opened.first_start, "there are no blobs in these directories");
    ensure!(opened.metadata().next().is_some(), "none of these directories is one for metadata");
    for path in opened.metadata_paths() {
        // What an earlier attempt left.
        for left in [REBUILT_FOLDER, IMPORTED_FOLDER].map(|folder| path.join(folder)) {
            if left.exists() {
                fs::remove_dir_all(left)?;
            }
        }
    }
    Ok(opened)
}

/// Gives the metadata in the folder `made` its name in each directory. What has that name is moved
/// aside.
///
/// All of the old goes before any of the new comes: a start must not find some of each, since it
/// would take them for one history.
///
/// # Errors
/// When a folder cannot be renamed. A start then finds the old or the new, or too little.
pub fn put_in_place(directories: &[PathBuf], made: &str) -> Result<()> {
    for directory in directories {
        let place = directory.join(METADATA_FOLDER);
        if place.exists() {
            let mut aside = directory.join(OLD_FOLDER);
            for number in 2_u32.. {
                if !aside.exists() {
                    break;
                }
                aside = directory.join(format!("{OLD_FOLDER}-{number}"));
            }
            fs::rename(&place, aside)?;
            fs::File::open(directory)?.sync_all()?;
        }
    }
    for directory in directories {
        fs::rename(directory.join(made), directory.join(METADATA_FOLDER))?;
        fs::File::open(directory)?.sync_all()?;
    }
    Ok(())
}

/// Whether what was found stems from a first start that broke off before the metadata began.
///
/// Where a blob lies, there was metadata once: if it is gone, that is for the operator to mend.
fn unfinished(found: &[(&Labelled, Identity)]) -> bool {
    let metadata = || found.iter().filter(|(_, identity)| identity.holds_metadata);
    let begun = |path: &Path| embedded::has_begun(&path.join(METADATA_FOLDER)).unwrap_or(true);
    !found.is_empty()
        && found.iter().all(|(directory, _)| holds_no_blob(&directory.path).unwrap_or(false))
        && !metadata().any(|(directory, _)| begun(&directory.path))
        && (metadata().next().is_some() || found.len() == 1)
}

fn holds_no_blob(directory: &Path) -> io::Result<bool> {
    let empty = |folder: &Path| Ok::<_, io::Error>(fs::read_dir(folder)?.next().is_none());
    for folder in fs::read_dir(directory.join("blobs"))? {
        if !empty(&folder?.path())? {
            return Ok(false);
        }
    }
    empty(&directory.join("segments"))
}

/// Says when a label on the command line is not what the directory has been since it was made.
fn told(directory: &Labelled, identity: &Identity) {
    let differs = directory.region != identity.region || directory.zone != identity.zone;
    if directory.labelled && differs {
        tracing::warn!(
            path = %directory.path.display(),
            region = %identity.region,
            zone = %identity.zone,
            "the directory keeps the region and zone it was made with"
        );
    }
}

/// Makes a new store, or nothing: after an error all that was made is removed again.
fn make(
    given: &[Labelled],
    metadata: &[PathBuf],
    begun: &[(&Labelled, Identity)],
    entropy: &dyn Entropy,
) -> Result<Opened> {
    let holding = choose_metadata(given, metadata)?;
    let store = begun.first().map_or_else(|| StoreId(random(entropy)), |(_, it)| it.store);
    let mut made: Vec<Directory> = Vec::new();
    for directory in given {
        let result = match begun.iter().any(|(begun, _)| begun.path == directory.path) {
            true => Directory::open(&directory.path, store),
            false => {
                let spec = DirectorySpec {
                    path: directory.path.clone(),
                    zone: directory.zone.clone(),
                    region: directory.region.clone(),
                };
                let id = DirectoryId(random(entropy));
                Directory::initialise(&spec, store, id, holding.contains(&directory.path))
            }
        };
        match result {
            Ok(directory) => made.push(directory),
            Err(error) => {
                undo(&made, begun);
                return Err(error.into());
            }
        }
    }
    Ok(Opened { store, directories: made, vacant: Vec::new(), first_start: true })
}

/// Removes what [`make`] put into directories that were empty before.
fn undo(made: &[Directory], begun: &[(&Labelled, Identity)]) {
    for directory in made {
        let path = directory.path();
        if begun.iter().any(|(begun, _)| begun.path == path) {
            continue;
        }
        // The identity goes first: without it nothing here counts as a store.
        let files = [identity::IDENTITY_FILE, identity::LOCK_FILE];
        let removed = files.iter().try_for_each(|name| fs::remove_file(path.join(name)));
        let folders = ["meta", "tmp", "segments", "blobs"];
        let emptied = folders.iter().try_for_each(|name| match path.join(name) {
            folder if folder.exists() => fs::remove_dir_all(folder),
            _ => Ok(()),
        });
        if let Err(error) = removed.and(emptied) {
            tracing::warn!(path = %path.display(), %error, "could not be emptied again");
        }
    }
}

/// Up to three directories for the metadata, in distinct zones first, in the order given.
fn choose_metadata(given: &[Labelled], wanted: &[PathBuf]) -> Result<BTreeSet<PathBuf>> {
    if !wanted.is_empty() {
        for path in wanted {
            let known = given.iter().any(|directory| same(&directory.path, path));
            ensure!(known, "--metadata {}: this is none of the directories", path.display());
        }
        let chosen = given.iter().filter(|it| wanted.iter().any(|path| same(&it.path, path)));
        return Ok(chosen.map(|directory| directory.path.clone()).collect());
    }
    let mut zones = BTreeSet::new();
    let mut chosen = BTreeSet::new();
    let fresh_zones = given.iter().filter(|it| zones.insert((&it.region, &it.zone)));
    let first: Vec<&Labelled> = fresh_zones.collect();
    for directory in first.into_iter().chain(given) {
        if chosen.len() < METADATA_DIRECTORIES_MAX {
            chosen.insert(directory.path.clone());
        }
    }
    Ok(chosen)
}

fn same(left: &Path, right: &Path) -> bool {
    left == right
        || fs::canonicalize(left)
            .ok()
            .is_some_and(|it| fs::canonicalize(right).is_ok_and(|r| r == it))
}

/// A directory as the metadata knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    pub identity: Identity,
    /// Where it was found last.
    pub path: PathBuf,
}

/// Completes the found directories with those that are known: found where they were last, or
/// absent.
///
/// - `known`: what the metadata says; empty at the first start.
///
/// # Errors
/// A directory that the store does not know, or a vacant path while none is missing: joining a
/// store is not something that happens by naming a path.
pub fn complete(opened: Opened, known: &[Known]) -> Result<Vec<Directory>> {
    let mut directories = opened.directories;
    if known.is_empty() {
        return Ok(directories);
    }
    for directory in &directories {
        let id = directory.identity().directory;
        if !known.iter().any(|known| known.identity.directory == id) {
            bail!("{} ({id}) is not a directory of this store", directory.path().display());
        }
    }
    let here: Vec<DirectoryId> = directories.iter().map(|it| it.identity().directory).collect();
    let missing = |known: &&Known| !here.contains(&known.identity.directory);
    let mut any = false;
    for known in known.iter().filter(missing) {
        if let Some(directory) = reopen(known)? {
            directories.push(directory);
            continue;
        }
        tracing::error!(
            directory = %known.identity.directory,
            path = %known.path.display(),
            zone = %known.identity.zone,
            "a directory of this store is missing; its copies cannot be read"
        );
        directories.push(Directory::absent(known.identity.clone(), &known.path));
        any = true;
    }
    match opened.vacant.first() {
        Some(path) if !any => Err(anyhow::anyhow!("{} is empty or absent", path.display()))
            .context("a new directory joins a running store with larder disk add, not by its name"),
        _ => Ok(directories),
    }
}

/// A directory that was not named, at the place where it was last.
fn reopen(known: &Known) -> Result<Option<Directory>> {
    match identity::read(&known.path) {
        Ok(found) if found.directory == known.identity.directory => {
            Ok(Some(Directory::open(&known.path, known.identity.store)?))
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::SystemEntropy;

    fn given(home: &Path, labels: &[&str]) -> Vec<Labelled> {
        let text = |label: &&str| match label.split_once('=') {
            Some((zone, name)) => format!("{zone}={}", home.join(name).display()),
            None => home.join(label).display().to_string(),
        };
        labels.iter().map(|label| Labelled::parse(&text(label), "home")).collect()
    }

    fn start(given: &[Labelled]) -> Result<Opened> {
        open(given, &[], &SystemEntropy)
    }

    fn used(opened: &Opened) {
        for path in opened.metadata_paths() {
            fs::write(path.join("meta/epoch"), "").unwrap();
        }
    }

    /// What is left of the folder of the first directory after `spoil`: is it a first start?
    fn begins_anew(spoil: impl FnOnce(&Path)) -> bool {
        let home = tempfile::tempdir().unwrap();
        let all = given(home.path(), &["a", "b"]);
        drop(start(&all).unwrap());
        spoil(home.path());
        start(&all).unwrap().first_start
    }

    #[test]
    fn metadata_lies_in_distinct_zones_first() {
        let given = given(Path::new("/"), &["x=a", "x=b", "y=c", "z=d"]);
        let chosen = choose_metadata(&given, &[]).unwrap();
        let paths: Vec<&str> = chosen.iter().filter_map(|path| path.to_str()).collect();
        assert_eq!(paths, ["/a", "/c", "/d"]);
    }

    #[test]
    fn a_store_opens_again_and_names_what_is_missing() {
        let home = tempfile::tempdir().unwrap();
        let all = given(home.path(), &["a", "b"]);
        let first = start(&all).unwrap();
        assert!(first.first_start);
        used(&first);
        let known: Vec<Known> = first
            .directories
            .iter()
            .map(|it| Known { identity: it.identity().clone(), path: it.path().into() })
            .collect();
        assert!(start(&all).is_err(), "it is locked");
        drop(first);

        fs::rename(home.path().join("b"), home.path().join("elsewhere")).unwrap();
        let again = start(&all).unwrap();
        assert!(!again.first_start);
        let complete = complete(again, &known).unwrap();
        assert_eq!(complete.len(), 2);
        assert!(!home.path().join("b").exists(), "it is not made anew");
    }

    #[test]
    fn a_new_path_does_not_join_by_being_named() {
        let home = tempfile::tempdir().unwrap();
        let first = start(&given(home.path(), &["a"])).unwrap();
        used(&first);
        let identity = first.directories[0].identity().clone();
        let known = [Known { identity, path: home.path().join("a") }];
        drop(first);
        let opened = start(&given(home.path(), &["a", "b"])).unwrap();
        assert!(complete(opened, &known).is_err());
    }

    #[test]
    fn old_metadata_never_lies_beside_new() {
        let home = tempfile::tempdir().unwrap();
        let paths = ["a", "b", "c"].map(|name| home.path().join(name)).to_vec();
        for (number, path) in paths.iter().enumerate() {
            fs::create_dir_all(path.join("meta")).unwrap();
            // The second one cannot be put in its place, as if the power had gone before.
            if number != 1 {
                fs::create_dir(path.join("new")).unwrap();
                fs::write(path.join("new/epoch"), "new").unwrap();
            }
        }
        assert!(put_in_place(&paths, "new").is_err());
        assert!(paths.iter().all(|path| path.join("meta.old").exists()));
        let there: Vec<_> = paths.iter().filter(|path| path.join("meta").exists()).collect();
        assert_eq!(there, [&paths[0]]);
        assert!(there[0].join("meta/epoch").exists());
    }

    #[test]
    fn a_refused_directory_leaves_the_others_empty() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("b")).unwrap();
        fs::write(home.path().join("b/holiday.jpg"), "").unwrap();
        assert!(start(&given(home.path(), &["a", "b"])).is_err());
        assert!(!home.path().join("a/larder.id").exists());
    }

    #[test]
    fn two_stores_do_not_mix() {
        let home = tempfile::tempdir().unwrap();
        used(&start(&given(home.path(), &["a"])).unwrap());
        used(&start(&given(home.path(), &["b"])).unwrap());
        assert!(start(&given(home.path(), &["a", "b"])).is_err());
    }

    #[test]
    fn a_first_start_that_broke_off_is_finished() {
        let home = tempfile::tempdir().unwrap();
        let begun = start(&given(home.path(), &["a"])).unwrap().store;
        let opened = start(&given(home.path(), &["a", "b"])).unwrap();
        assert!(opened.first_start);
        assert_eq!(opened.store, begun);
        assert_eq!(opened.directories.len(), 2);
    }

    #[test]
    fn a_directory_with_blobs_is_no_first_start() {
        let write = |home: &Path, name: &str| fs::write(home.join(name), "").unwrap();
        assert!(begins_anew(|_| {}));
        assert!(begins_anew(|home| write(home, "a/tmp/half")));
        assert!(!begins_anew(|home| write(home, "a/blobs/00/blob")));
        assert!(!begins_anew(|home| write(home, "b/blobs/ff/blob")));
        assert!(!begins_anew(|home| write(home, "b/segments/segment")));
        assert!(!begins_anew(|home| fs::remove_dir_all(home.join("b/blobs")).unwrap()));
    }

    #[test]
    fn metadata_that_only_broke_off_is_a_first_start() {
        let write = |home: &Path, name: &str| fs::write(home.join(name), "").unwrap();
        assert!(begins_anew(|home| write(home, "a/meta/lock")));
        assert!(begins_anew(|home| fs::create_dir(home.join("a/meta/index")).unwrap()));
        assert!(!begins_anew(|home| write(home, "b/meta/epoch")));
    }
}
