//! The essence again on directories of the real file system, and who may open them.

use std::fs;
use std::io::Read as _;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use tempfile::TempDir;

use super::{REGION, Wanted, content, get, put, settings};
use crate::files::file_name;
use crate::{
    BlobId, Blobs, CopyReport, Directory, DirectoryError, DirectoryId, DirectorySpec, Error,
    FileLayout, IncarnationId, Location, Result, StoreId, Unchanged, identity,
};

const STORE: StoreId = StoreId([1; 16]);

fn spec(path: &Path, zone: &str) -> DirectorySpec {
    DirectorySpec { path: path.into(), zone: zone.into(), region: REGION.into() }
}

fn initialise(path: &Path, number: u8) -> Directory {
    let spec = spec(path, &format!("zone-{number}"));
    Directory::initialise(&spec, STORE, DirectoryId([number; 16]), number == 1).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blobs_survive_a_restart() {
    let root = TempDir::new().unwrap();
    let paths = [1u8, 2].map(|number| root.path().join(number.to_string()));
    let fresh = vec![initialise(&paths[0], 1), initialise(&paths[1], 2)];
    let blobs = Blobs::open(settings(), fresh, IncarnationId([1; 16])).await.unwrap();
    let mut stored = Vec::new();
    for (number, size) in [0, 10, 5000, 262_144, 262_145, 5_000_000].into_iter().enumerate() {
        let content = content(size as u64, size);
        let location = put(&blobs, BlobId([number as u8; 16]), &content).await.unwrap();
        assert_eq!(get(&blobs, &location).await.unwrap(), content);
        stored.push((location, content));
    }
    let first = &stored[1].0.copies[0];
    let file = fs::metadata(root.path().join(first.directory.0[0].to_string()).join("segments"));
    assert_eq!(file.unwrap().permissions().mode() & 0o777, 0o700);
    blobs.close().await;
    drop(blobs);
    let again = paths.iter().map(|path| open_when_free(path)).collect();
    let blobs = Blobs::open(settings(), again, IncarnationId([2; 16])).await.unwrap();
    for (location, content) in &stored {
        assert_eq!(get(&blobs, location).await.unwrap(), content);
        for (_, report) in blobs.verify(location).await {
            assert_eq!(report, CopyReport::Intact);
        }
    }
    let mut writer = blobs.create(&Wanted::usual(REGION), BlobId([99; 16]), Bytes::new());
    writer.write(content(1, 3_000_000)).await.unwrap();
    drop(writer);
    blobs.remove(&stored[5].0).await.unwrap();
    assert!(matches!(get(&blobs, &stored[5].0).await, Err(Error::Missing(_))));
    for info in blobs.sealed_segments().await.unwrap() {
        let page = blobs.segment_records(info.key, 0, 100).await.unwrap();
        assert!(!page.records.is_empty());
        blobs.remove_segment(info.key).await.unwrap();
    }
    let status = blobs.directories();
    assert!(status.iter().all(|directory| directory.space.total_bytes > 0));
}

/// Threads of the store before may hold the lock for a moment longer.
fn open_when_free(path: &Path) -> Directory {
    loop {
        match Directory::open(path, STORE) {
            Err(DirectoryError::Locked { .. }) => std::thread::yield_now(),
            result => return result.unwrap(),
        }
    }
}

#[tokio::test]
async fn concurrent_writers_share_real_directories() {
    let root = TempDir::new().unwrap();
    let directories = [1u8, 2, 3].map(|n| initialise(&root.path().join(n.to_string()), n));
    let blobs = Blobs::open(settings(), directories.into(), IncarnationId([1; 16])).await.unwrap();
    let puts = (0..64u8).map(|number| {
        let blobs = blobs.clone();
        tokio::spawn(async move {
            let content = content(number.into(), usize::from(number) * 10_000);
            let location = put(&blobs, BlobId([number; 16]), &content).await.unwrap();
            assert_eq!(get(&blobs, &location).await.unwrap(), content);
        })
    });
    for put in futures_util::future::join_all(puts).await {
        put.unwrap();
    }
}

#[test]
fn identity_survives_its_file_and_names_the_directory() {
    let root = TempDir::new().unwrap();
    let path = root.path().join("new/deep");
    let directory = initialise(&path, 1);
    assert!(path.join("meta").is_dir() && path.join("blobs/ff").is_dir());
    assert_eq!(identity::read(&path).unwrap(), *directory.identity());
    assert_eq!(directory.identity().zone, "zone-1");
    assert!(directory.identity().holds_metadata);
    let mode = |name| fs::metadata(path.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(""), mode("larder.id"), mode("larder.lock")), (0o700, 0o600, 0o600));
}

#[test]
fn a_second_opener_learns_who_holds_the_directory() {
    let root = TempDir::new().unwrap();
    let path = root.path().join("d");
    let held = initialise(&path, 1);
    match Directory::open(&path, STORE) {
        Err(DirectoryError::Locked { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
        other => panic!("{:?}", other.err()),
    }
    drop(held);
    open_when_free(&path);
}

/// As after a power cut in the first start.
#[test]
fn an_initialisation_that_broke_off_is_done_again() {
    let root = TempDir::new().unwrap();
    let path = root.path().join("d");
    for half_done in ["larder.id", "meta", "segments", "blobs/ff"] {
        drop(initialise(&path, 1));
        fs::rename(path.join("larder.id"), path.join("larder.id.new")).unwrap();
        fs::remove_dir(path.join(half_done)).ok();
        assert!(matches!(identity::read(&path), Err(DirectoryError::Empty(_))));
    }
    drop(initialise(&path, 1));
    assert!(path.join("meta").is_dir() && path.join("blobs/ff").is_dir());
}

#[test]
fn a_store_that_lost_its_identity_is_not_taken_for_an_empty_directory() {
    let root = TempDir::new().unwrap();
    let path = root.path().join("d");
    for file in ["blobs/00/x", "segments/x", "tmp/x", "meta/x", "master.key"] {
        drop(initialise(&path, 1));
        fs::write(path.join(file), "").unwrap();
        fs::remove_file(path.join("larder.id")).unwrap();
        assert!(matches!(identity::read(&path), Err(DirectoryError::NoIdentity(_))), "{file}");
        let spec = spec(&path, "z");
        let refused = Directory::initialise(&spec, STORE, DirectoryId([1; 16]), false).err();
        assert!(matches!(refused, Some(DirectoryError::NotEmpty(_))), "{file}");
        fs::remove_file(path.join(file)).unwrap();
    }
}

#[test]
fn directories_that_are_not_ours_are_refused_each_with_its_reason() {
    let root = TempDir::new().unwrap();
    let path = |name: &str| root.path().join(name);
    let open = |name: &str| Directory::open(&path(name), STORE).err().unwrap();
    assert!(matches!(open("absent"), DirectoryError::NotFound(_)));
    fs::create_dir(path("empty")).unwrap();
    assert!(matches!(open("empty"), DirectoryError::Empty(_)));
    assert_eq!(fs::read_dir(path("empty")).unwrap().count(), 0, "nothing was made in it");
    fs::create_dir(path("other")).unwrap();
    fs::write(path("other/letter.txt"), "dear reader").unwrap();
    assert!(matches!(open("other"), DirectoryError::NoIdentity(_)));
    let spec = spec(&path("other"), "z");
    let refused = Directory::initialise(&spec, STORE, DirectoryId([1; 16]), false).err();
    assert!(matches!(refused, Some(DirectoryError::NotEmpty(_))));

    drop(initialise(&path("ours"), 1));
    let identity_file = path("ours/larder.id");
    let bytes = fs::read(&identity_file).unwrap();
    let change = |at: usize, value: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = value;
        fs::write(&identity_file, bytes).unwrap();
    };
    change(8, 2);
    let newer = retry_locked(|| open("ours"));
    assert!(matches!(newer, DirectoryError::Newer { version: 2, .. }));
    change(20, 77);
    assert!(matches!(retry_locked(|| open("ours")), DirectoryError::DamagedIdentity(_)));
    for length in 0..bytes.len() {
        fs::write(&identity_file, &bytes[..length]).unwrap();
        assert!(matches!(identity::read(&path("ours")), Err(DirectoryError::DamagedIdentity(_))));
    }
    fs::write(&identity_file, &bytes).unwrap();
    let foreign = retry_locked(|| Directory::open(&path("ours"), StoreId([2; 16])).err().unwrap());
    assert!(matches!(foreign, DirectoryError::Foreign { found: STORE, .. }));
    fs::set_permissions(path("ours"), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(open("ours"), DirectoryError::WritableByOthers(_)));
}

fn retry_locked(open: impl Fn() -> DirectoryError) -> DirectoryError {
    loop {
        match open() {
            DirectoryError::Locked { .. } => std::thread::yield_now(),
            other => return other,
        }
    }
}

#[tokio::test]
async fn a_directory_that_vanishes_is_failed_and_the_others_go_on() {
    let root = TempDir::new().unwrap();
    let directories = [1u8, 2, 3].map(|n| initialise(&root.path().join(n.to_string()), n));
    let blobs = Blobs::open(settings(), directories.into(), IncarnationId([1; 16])).await.unwrap();
    let mut stored = Vec::new();
    for number in 0..12u8 {
        let content = content(number.into(), 300_000);
        let location = put(&blobs, BlobId([number * 20; 16]), &content).await.unwrap();
        stored.push((location, content));
    }
    fs::rename(root.path().join("1"), root.path().join("away")).unwrap();
    fs::create_dir(root.path().join("1")).unwrap();
    for number in 0..12u8 {
        let content = content(number.into(), 300_000);
        let location = put(&blobs, BlobId([number * 20 + 1; 16]), &content).await.unwrap();
        stored.push((location, content));
    }
    for (location, content) in &stored {
        assert_eq!(get(&blobs, location).await.unwrap(), content);
    }
    assert_eq!(fs::read_dir(root.path().join("1")).unwrap().count(), 0, "nothing was made in it");
}

/// Reads a range as a connection does that sends it: what came, and how much the kernel sent of
/// what was not read again.
async fn send(blobs: &Blobs, location: &Location, range: Range<u64>) -> Result<(Bytes, usize)> {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    let mut reader = blobs.read(location.clone(), range);
    let (mut came, mut known) = (Vec::new(), 0);
    while let Some(piece) = reader.next_piece().await {
        let mut piece = piece?;
        let is_known = piece.is_known();
        while !piece.is_empty() && piece.is_sendable() {
            let length = piece.len();
            let sent = piece.send(&theirs).unwrap();
            assert_eq!(piece.len(), length - sent);
            let start = came.len();
            came.resize(start + sent, 0);
            ours.read_exact(&mut came[start..]).unwrap();
            known += if is_known { sent } else { 0 };
        }
        while let Some(bytes) = piece.next().await {
            came.extend_from_slice(&bytes?);
        }
    }
    Ok((came.into(), known))
}

#[tokio::test]
async fn what_was_found_intact_a_moment_ago_is_sent_without_being_read() {
    let root = TempDir::new().unwrap();
    let directory = initialise(root.path().join("1").as_path(), 1);
    let blobs = Blobs::open(settings(), vec![directory], IncarnationId([1; 16])).await.unwrap();
    let content = content(1, 1_000_000);
    let location = put(&blobs, BlobId([1; 16]), &content).await.unwrap();
    let file = root.path().join(format!("1/{}", file_name(location.blob, FileLayout::Contiguous)));
    let whole = 0..1_000_000;
    // The file has to be some milliseconds old first.
    let all_known =
        async || while send(&blobs, &location, whole.clone()).await.unwrap().1 < 1_000_000 {};
    all_known().await;
    for range in [whole.clone(), 1..2, 131_071..131_073, 131_072..262_144, 200_000..999_999, 7..7] {
        let (came, _) = send(&blobs, &location, range.clone()).await.unwrap();
        assert_eq!(came, content.slice(range.start as usize..range.end as usize));
    }
    assert_eq!(get(&blobs, &location).await.unwrap(), content, "who needs bytes reads them");

    let mut bytes = fs::read(&file).unwrap();
    bytes[500_000] ^= 1;
    all_known().await;
    fs::write(&file, &bytes).unwrap();
    while Unchanged::new(Arc::new(fs::File::open(&file).unwrap())).is_none() {
        std::thread::yield_now();
    }
    assert!(matches!(send(&blobs, &location, whole.clone()).await, Err(Error::Damaged(_))));
    bytes[500_000] ^= 1;
    fs::write(&file, &bytes).unwrap();
    assert_eq!(send(&blobs, &location, whole.clone()).await.unwrap().0, content);
}
