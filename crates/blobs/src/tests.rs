//! Behaviour of the whole crate on simulated disks; `real_directory` repeats the essence on a real
//! one. `SEED=n cargo test -p blobs` replays one seed, `SEEDS=n` runs n times as many.

mod damage;
mod directories;
mod durability;
mod faults;
mod layouts;
mod real_directory;
mod upkeep;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::faulty::{Power, Random, SimDisk};
use crate::identity::Identity;
use crate::{
    BlobId, Blobs, Directory, DirectoryId, Error, IncarnationId, Location, Result, Settings,
    StoreId, Wanted,
};

const REGION: &str = "home";

/// The seeds to run: all of `0..count`, `SEEDS` times as many, or the one in `SEED`.
fn seeds(count: u64) -> Vec<u64> {
    let number = |name| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    match number("SEED") {
        Some(seed) => vec![seed],
        None => (0..count * number("SEEDS").unwrap_or(1)).collect(),
    }
}

fn settings() -> Settings {
    Settings {
        preallocate_bytes: 64 * 1024,
        segment_bytes: 1024 * 1024,
        reserve_bytes: 0,
        ..Settings::default()
    }
}

/// A machine with simulated disks.
struct Machine {
    disks: Vec<SimDisk>,
    power: Power,
    starts: u8,
}

impl Machine {
    fn new(disks: usize, seed: u64) -> Self {
        let power = Power::default();
        let disk = |number: usize| SimDisk::new(seed.wrapping_mul(31) + number as u64, &power);
        Self { disks: (0..disks).map(disk).collect(), power, starts: 0 }
    }

    async fn start(&mut self) -> Blobs {
        self.start_with(settings()).await
    }

    async fn start_with(&mut self, settings: Settings) -> Blobs {
        self.starts += 1;
        let directories = self.disks.iter().enumerate().map(|(number, disk)| {
            Directory::with_disk(identity(number as u8), Arc::new(disk.clone()))
        });
        let incarnation = IncarnationId([self.starts; 16]);
        Blobs::open(settings, directories.collect(), incarnation).await.expect("store opens")
    }

    fn restart(&mut self, keep: crate::faulty::Keep) {
        self.power = Power::default();
        self.disks = self.disks.iter().map(|disk| disk.lose_power(keep, &self.power)).collect();
    }

    fn files(&self) -> usize {
        self.disks.iter().map(|disk| disk.files().len()).sum()
    }

    /// The name of the only file of a disk whose name starts so.
    fn only_file(&self, disk: usize, start: &str) -> String {
        let files = self.disks[disk].files();
        let mut found = files.into_iter().map(|(name, _)| name).filter(|n| n.starts_with(start));
        let name = found.next().expect("there is a file");
        assert_eq!(found.next(), None, "there is only one file");
        name
    }
}

fn identity(number: u8) -> Identity {
    Identity {
        store: StoreId([1; 16]),
        directory: DirectoryId([number; 16]),
        region: REGION.into(),
        zone: format!("zone-{number}"),
        holds_metadata: false,
    }
}

fn blob_id(random: &mut Random) -> BlobId {
    BlobId(random.bytes(16).try_into().unwrap())
}

fn content(seed: u64, length: usize) -> Bytes {
    let block = Random(seed).bytes(8 * 1024 + 13);
    let mut content = block.repeat(length / block.len() + 1);
    content.truncate(length);
    content.into()
}

async fn put(blobs: &Blobs, id: BlobId, content: &Bytes) -> Result<Location> {
    let mut writer = blobs.create(&Wanted::usual(REGION), id, Bytes::from(format!("what {id} is")));
    for piece in content.chunks(100_000) {
        writer.write(content.slice_ref(piece)).await?;
    }
    writer.finish().await
}

async fn get(blobs: &Blobs, location: &Location) -> Result<Bytes> {
    read(blobs, location, 0..location.size_bytes).await
}

async fn read(blobs: &Blobs, location: &Location, range: std::ops::Range<u64>) -> Result<Bytes> {
    let mut reader = blobs.read(location.clone(), range);
    let mut all = Vec::new();
    while let Some(bytes) = reader.next().await {
        all.extend_from_slice(&bytes?);
    }
    Ok(all.into())
}

/// Removes the file of one copy.
async fn remove_copy(blobs: &Blobs, location: &Location, directory: DirectoryId) {
    let mut one = location.clone();
    one.copies.retain(|copy| copy.directory == directory);
    blobs.remove(&one).await.unwrap();
}

/// Waits for tasks that nothing else waits for, such as the removal of an unfinished blob.
async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

fn is_send<T: Send>(value: T) -> T {
    value
}

#[tokio::test]
async fn futures_can_cross_threads() {
    let blobs = Machine::new(1, 0).start().await;
    let mut writer = blobs.create(&Wanted::usual(REGION), BlobId([1; 16]), Bytes::new());
    is_send(writer.write(Bytes::from_static(b"x"))).await.unwrap();
    let location = is_send(writer.finish()).await.unwrap();
    let mut reader = blobs.read(location.clone(), 0..1);
    assert_eq!(is_send(reader.next()).await.unwrap().unwrap(), "x");
    is_send(blobs.repair(&location)).await.unwrap();
    is_send(blobs.verify(&location)).await;
}

#[tokio::test]
async fn every_size_and_range_reads_back() {
    let mut machine = Machine::new(2, 1);
    let blobs = machine.start().await;
    let mut random = Random(1);
    let chunk = crate::CHUNK_BYTES;
    let small = settings().small_blob_bytes;
    for size in [
        0,
        1,
        7,
        8,
        chunk - 1,
        chunk,
        chunk + 1,
        small,
        small + 1,
        3 * chunk,
        17 * chunk - 5,
        24 * chunk,
        24 * chunk + 1,
    ] {
        let content = content(size as u64, size);
        let location = put(&blobs, blob_id(&mut random), &content).await.unwrap();
        assert_eq!(location.size_bytes, size as u64);
        assert_eq!(location.copies.len(), 2);
        assert_eq!(location.segments().len(), if size <= small { 2 } else { 0 });
        assert_eq!(get(&blobs, &location).await.unwrap(), content, "{size} bytes");
        for _ in 0..10 {
            let start = random.below(size as u64 + 1);
            let end = start + random.below(size as u64 - start + 1);
            let read = read(&blobs, &location, start..end).await.unwrap();
            assert_eq!(read, content[start as usize..end as usize], "{start}..{end} of {size}");
        }
        let beyond = read(&blobs, &location, 0..size as u64 + 1).await;
        assert!(matches!(beyond, Err(Error::InvalidRange)));
    }
    assert_eq!(blobs.take_damaged(), []);
}

#[tokio::test]
async fn many_short_writes_make_the_same_blob_as_one() {
    let blobs = Machine::new(1, 2).start().await;
    let content = content(5, 600_000);
    let mut writer = blobs.create(&Wanted::usual(REGION), BlobId([3; 16]), Bytes::new());
    for piece in content.chunks(997) {
        writer.write(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    writer.set_description(Bytes::from_static(b"known at the end"));
    let location = writer.finish().await.unwrap();
    assert_eq!(get(&blobs, &location).await.unwrap(), content);
    assert_eq!(blobs.describe(&location).await.unwrap(), "known at the end");
}

#[tokio::test]
async fn waiting_small_blobs_share_one_sync() {
    let mut machine = Machine::new(1, 3);
    let blobs = machine.start().await;
    let before = machine.disks[0].count(crate::faulty::Operation::Sync);
    let content = Bytes::from_static(b"small");
    let puts = (0..100u8).map(|number| put(&blobs, BlobId([number; 16]), &content));
    for location in futures_util::future::join_all(puts).await {
        assert_eq!(get(&blobs, &location.unwrap()).await.unwrap(), content);
    }
    let syncs = machine.disks[0].count(crate::faulty::Operation::Sync) - before;
    assert!(syncs <= 5, "{syncs} syncs for 100 blobs");
}

#[tokio::test]
async fn a_very_large_blob_is_synced_on_its_way() {
    let mut machine = Machine::new(1, 3);
    let blobs = machine.start().await;
    let mut writer = blobs.create(&Wanted::usual(REGION), BlobId([1; 16]), Bytes::new());
    let piece = content(1, 1024 * 1024);
    for _ in 0..40 {
        writer.write(piece.clone()).await.unwrap();
    }
    settle().await;
    assert_eq!(machine.disks[0].count(crate::faulty::Operation::Sync), 1);
    let location = writer.finish().await.unwrap();
    assert_eq!(machine.disks[0].count(crate::faulty::Operation::Sync), 2);
    let read = read(&blobs, &location, 41_000_000..41_000_010).await.unwrap();
    assert_eq!(read, piece[105_536..][..10]);
}

#[tokio::test]
async fn closed_store_reads_but_does_not_write() {
    let mut machine = Machine::new(2, 4);
    let blobs = machine.start().await;
    let content = Bytes::from_static(b"small");
    let location = put(&blobs, BlobId([1; 16]), &content).await.unwrap();
    blobs.close().await;
    assert!(matches!(put(&blobs, BlobId([2; 16]), &content).await, Err(Error::Closed)));
    assert_eq!(get(&blobs, &location).await.unwrap(), content);
    let sealed = blobs.sealed_segments().await.unwrap();
    assert_eq!(sealed.len(), 2);
    assert_eq!(sealed[0].size_bytes, location.segments()[0].1);
}

#[tokio::test]
async fn too_long_a_description_is_refused() {
    let blobs = Machine::new(1, 5).start().await;
    let longest = Bytes::from(vec![b'd'; crate::DESCRIPTION_BYTES_MAX]);
    let writer = blobs.create(&Wanted::usual(REGION), BlobId([1; 16]), longest.clone());
    let location = writer.finish().await.unwrap();
    assert_eq!(blobs.describe(&location).await.unwrap(), longest);
    let longer = Bytes::from(vec![b'd'; crate::DESCRIPTION_BYTES_MAX + 1]);
    let refused = blobs.create(&Wanted::usual(REGION), BlobId([2; 16]), longer).finish().await;
    assert!(matches!(refused, Err(Error::DescriptionTooLong)));
}

#[tokio::test]
async fn directories_of_other_regions_take_no_copies() {
    let disk = |seed| Arc::new(SimDisk::new(seed, &Power::default()));
    let near = Directory::with_disk(identity(1), disk(1));
    let far = Identity { region: "far".into(), ..identity(2) };
    let far = Directory::with_disk(far, disk(2));
    let blobs = Blobs::open(settings(), vec![near, far], IncarnationId([1; 16])).await.unwrap();
    let location = put(&blobs, BlobId([1; 16]), &Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(location.copies.len(), 1);
    assert_eq!(location.copies[0].directory, DirectoryId([1; 16]));
    let nowhere =
        blobs.create(&Wanted::usual("nowhere"), BlobId([2; 16]), Bytes::new()).finish().await;
    assert!(matches!(nowhere, Err(Error::TooFewCopies { possible: 0, needed: 1 })));
}

fn quick() -> Settings {
    Settings {
        operation_timeout: Duration::from_secs(5),
        slow_read: Duration::from_millis(100),
        ..settings()
    }
}
