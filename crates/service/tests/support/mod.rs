//! A store in one process for tests: metadata in memory, blobs on simulated disks, and a clock and
//! randomness by seed. A start can be repeated, with or without a power loss.

#![allow(dead_code, reason = "each test program uses a part")]

mod audit;
mod engine;

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicI64, Ordering},
};

use blobs::{
    Blobs, Directory, DirectoryId, IncarnationId, Settings, StoreId,
    faulty::{Keep, Power, Random, SimDisk},
    identity::Identity,
};
use chrono::{DateTime, Utc};
use metadata::{KnownDirectory, Metadata};
use model::{
    environment::{Clock, Entropy},
    names::AccountId,
    policy::{Facts, Principal},
    records::Account,
};
use service::{
    Bootstrap, Caller, NoOutbound, Parts, Service,
    accounts::NewAccount,
    disks::PlacementSettings,
    holders::NoKeyFiles,
    workers::{Progress, Reclaim, ScrubSettings, Sweep, Worker},
};

#[allow(unused_imports, reason = "each test program uses a part")]
pub use audit::{audit, leftovers, miscounted};
pub use engine::Uneven;

/// Above this a blob is a file of its own. Small, so that segments fill and are compacted soon.
pub const SMALL_BYTES_MAX: usize = 16 * 1024;
pub const REGION: &str = "home";
/// Milliseconds since 1970 when a test begins.
const START_MS: i64 = 1_700_000_000_000;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    Ann,
    Ben,
    Anonymous,
    Worker,
}

impl Who {
    /// The id of the account; empty for those who have none.
    pub fn account_id(self) -> &'static str {
        match self {
            Self::Ann => "111111111111",
            Self::Ben => "222222222222",
            Self::Anonymous | Self::Worker => "",
        }
    }
}

/// A clock that stands still until it is turned.
pub struct TestClock(AtomicI64);

impl TestClock {
    pub fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }

    pub fn turn_ms(&self, by: i64) {
        self.0.fetch_add(by, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.now_ms()).unwrap_or_default()
    }
}

struct Seeded(Mutex<Random>);

impl Entropy for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        let mut random = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let drawn = random.bytes(bytes.len());
        bytes.copy_from_slice(&drawn);
    }
}

/// A running service and all it stands on.
pub struct Store {
    pub service: Arc<Service>,
    pub blobs: Blobs,
    pub clock: Arc<TestClock>,
    pub engine: Arc<Uneven>,
    /// The next start comes after metadata was given up.
    pub keep_unnamed: bool,
    /// The next start reads the store through in the background.
    pub scrub: Option<ScrubSettings>,
    disks: Vec<SimDisk>,
    entropy: Arc<Seeded>,
    starts: u32,
    accounts: Vec<Account>,
}

impl Store {
    /// Three directories, two copies of each blob.
    pub async fn new(seed: u64) -> Self {
        let power = Power::default();
        let disk = |number: u64| SimDisk::new(seed.wrapping_mul(31) + number, &power);
        let disks: Vec<_> = (0..3).map(disk).collect();
        let engine = Arc::new(Uneven::new(seed));
        let clock = Arc::new(TestClock(AtomicI64::new(START_MS)));
        let entropy = Arc::new(Seeded(Mutex::new(Random(seed ^ 0x5eed))));
        let (service, blobs) = start(&disks, &engine, &clock, &entropy, (1, false, None)).await;
        service.bootstrap(&accounts()).await.expect("the accounts are made");
        let mut accounts = Vec::new();
        for key in ["ANN", "BEN"] {
            let found = service.identify(key, None).await.expect("metadata answers");
            accounts.push(found.expect("the account exists").account);
        }
        let (keep_unnamed, scrub) = (false, None);
        Self {
            service,
            blobs,
            clock,
            engine,
            keep_unnamed,
            scrub,
            disks,
            entropy,
            starts: 1,
            accounts,
        }
    }

    /// Ends the process, perhaps by a power loss, and starts another one on what is left.
    pub async fn restart(&mut self, power_loss: Option<Keep>) {
        if let Some(keep) = power_loss {
            let power = Power::default();
            self.disks = self.disks.iter().map(|disk| disk.lose_power(keep, &power)).collect();
        }
        self.starts += 1;
        let how = (self.starts, self.keep_unnamed, self.scrub);
        let started = start(&self.disks, &self.engine, &self.clock, &self.entropy, how).await;
        (self.service, self.blobs) = started;
    }

    /// Starts anew, with a scrub.
    pub async fn scrub_with(&mut self, settings: ScrubSettings) {
        self.scrub = Some(settings);
        self.restart(None).await;
    }

    /// Starts anew on the same disks, with metadata that knows nothing but the accounts.
    pub async fn lose_metadata(&mut self) {
        self.engine = Arc::new(Uneven::new(u64::from(self.starts)));
        self.restart(None).await;
        self.service.bootstrap(&accounts()).await.expect("the accounts are made");
    }

    pub fn caller(&self, who: Who) -> Caller {
        let now_ms = self.clock.now_ms();
        let account = self.accounts.iter().find(|account| account.id.as_str() == who.account_id());
        let principal = match (who, account) {
            (_, Some(account)) => Principal::Account(account.id.clone()),
            (Who::Anonymous, _) => Principal::Anonymous,
            _ => Principal::System("a worker"),
        };
        let facts = Facts { principal, ..Facts::system("", now_ms) };
        Caller::from_facts(facts, account.cloned())
    }

    /// Flips a bit at `byte` in one copy of the only large blob: `copy` is 0 or 1.
    pub fn damage(&self, copy: usize, byte: u64) {
        let file = |disk: &SimDisk| {
            disk.files().into_iter().map(|(name, _)| name).find(|name| name.starts_with("blobs/"))
        };
        let mut holders = self.disks.iter().filter_map(|disk| Some((disk, file(disk)?)));
        let (disk, file) = holders.nth(copy).expect("a copy");
        disk.flip_bit(&file, byte, 3);
    }

    /// Names of the files of large blobs, one for each copy.
    pub fn blob_files(&self) -> Vec<String> {
        let files = self.disks.iter().flat_map(SimDisk::files).map(|(name, _)| name);
        let mut files: Vec<_> = files.filter(|name| name.starts_with("blobs/")).collect();
        files.sort();
        files
    }
}

/// The workers that free what nothing names. Each start has its own.
#[derive(Default)]
pub struct Workers {
    reclaim: Reclaim,
    sweep: Sweep,
}

impl Workers {
    /// # Errors
    /// Why the step failed, in words.
    pub async fn reclaim(&mut self, store: &Store) -> Result<Progress, String> {
        self.reclaim.step(&store.service).await.map_err(|error| told("reclaim", &error))
    }

    /// # Errors
    /// Why the step failed, in words.
    pub async fn sweep(&mut self, store: &Store) -> Result<Progress, String> {
        self.sweep.step(&store.service).await.map_err(|error| told("sweep", &error))
    }

    /// Does all there is to do.
    ///
    /// # Errors
    /// Why a step failed, in words.
    pub async fn finish(&mut self, store: &Store) -> Result<(), String> {
        // What one look finds may be freed only at the next one.
        for _ in 0..3 {
            while self.sweep(store).await? == Progress::More {}
            while self.reclaim(store).await? != Progress::Idle {}
        }
        Ok(())
    }
}

fn accounts() -> Bootstrap {
    let new_account = |who: Who, key: &str| NewAccount {
        name: format!("{who:?}"),
        id: AccountId::parse(who.account_id()),
        keys: vec![(key.to_owned(), "a-secret-key".to_owned())],
        ..NewAccount::default()
    };
    let accounts = vec![new_account(Who::Ann, "ANN"), new_account(Who::Ben, "BEN")];
    Bootstrap { root: None, accounts }
}

fn told(worker: &str, error: &service::Error) -> String {
    format!("{worker}: {error}, {:?}", error.source)
}

fn incarnation(start: u32) -> [u8; 16] {
    (u128::from(start) << 64).to_be_bytes()
}

fn row(identity: &Identity) -> KnownDirectory {
    KnownDirectory {
        id: identity.directory.0,
        region: identity.region.clone(),
        zone: identity.zone.clone(),
        holds_metadata: identity.holds_metadata,
        path: String::new(),
        draining: None,
    }
}

async fn start(
    disks: &[SimDisk],
    engine: &Arc<Uneven>,
    clock: &Arc<TestClock>,
    entropy: &Arc<Seeded>,
    (start, keep_unnamed, scrub): (u32, bool, Option<ScrubSettings>),
) -> (Arc<Service>, Blobs) {
    let identity = |number: usize| Identity {
        store: StoreId([1; 16]),
        directory: DirectoryId([number as u8; 16]),
        region: REGION.into(),
        zone: format!("zone-{number}"),
        holds_metadata: false,
    };
    let directories = disks
        .iter()
        .enumerate()
        .map(|(number, disk)| Directory::with_disk(identity(number), Arc::new(disk.clone())));
    let settings = Settings {
        copies: Some(2),
        small_blob_bytes: SMALL_BYTES_MAX,
        preallocate_bytes: 16 * 1024,
        segment_bytes: 64 * 1024,
        reserve_bytes: 0,
        ..Settings::default()
    };
    let id = incarnation(start);
    let blobs = Blobs::open(settings, directories.collect(), IncarnationId(id)).await;
    let blobs = blobs.expect("the blobs open");
    let metadata =
        Metadata::open(Arc::<Uneven>::clone(engine), entropy.clone(), id, clock.now_ms()).await;
    let metadata = metadata.expect("the metadata opens");
    let rows: Vec<_> = (0..disks.len()).map(|number| row(&identity(number))).collect();
    metadata.note_directories(&rows).await.expect("they are noted");
    let service = Service::open(Parts {
        metadata,
        blobs: blobs.clone(),
        clock: clock.clone(),
        entropy: entropy.clone(),
        master_key: [7; 32],
        regions: vec![REGION.to_owned()],
        block_public_access: false,
        object_ownership: model::acl::Ownership::BucketOwnerEnforced,
        keep_unnamed,
        scrub,
        audit_keep: std::time::Duration::from_secs(86_400),
        placement: PlacementSettings { bytes_per_second_max: u64::MAX },
        key_files: Arc::new(NoKeyFiles),
        outbound: Arc::new(NoOutbound),
    });
    (service.expect("the service opens"), blobs)
}
