//! What is counted: a store in memory, on one thread, that answers whole requests.
//!
//! Time and randomness are fixed and disks are simulated, so a count depends on the code alone.
//! How it is run is in `run`, which paths there are in `paths.rs`. `benches/times.rs` takes the
//! time of the same paths.

#![allow(clippy::expect_used, clippy::panic, reason = "a wrong answer is no count")]

pub mod paths;
mod policies;

use std::sync::Arc;

use blobs::{
    Blobs, Directory, DirectoryId, IncarnationId, Settings, StoreId,
    faulty::{Power, SimDisk},
    identity::Identity,
};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use gateway::counting::{Asked, Desk, SIGNED_BY};
use metadata::{Metadata, engine::memory::Memory};
use model::environment::{Clock, Entropy};
use service::{
    Bootstrap, NoOutbound, Parts, Service, disks::PlacementSettings, holders::NoKeyFiles,
};
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;

const REGION: &str = "us-east-1";

/// A store with a bucket `bkt`, and a request that it has answered once.
pub struct Counter {
    runtime: Runtime,
    /// Where a request leaves what is done beside it.
    beside: LocalSet,
    service: Arc<Service>,
    desk: Desk,
    next: Option<Asked>,
}

impl Counter {
    /// The root account asks.
    pub fn new() -> Self {
        Self::of(policies::root())
    }

    /// A user asks whom one policy of its own allows all of S3.
    ///
    /// - `many`: the bucket's policy has 100 statements besides, and the user's groups 20 policies.
    /// - `slow`: they take long.
    pub fn of_user(many: bool, slow: bool) -> Self {
        let mut counter = Self::of(policies::user());
        if many {
            let service = counter.service.clone();
            counter.runtime.block_on(policies::join_groups(&service));
            let policy = Bytes::from(policies::of_bucket(slow));
            counter.expect(204, Asked::new("PUT", "/bkt?policy", &[], vec![policy]));
        }
        counter
    }

    fn of(who: Bootstrap) -> Self {
        let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
        let service = runtime.block_on(service(&who));
        let desk = Desk::new(service.clone());
        let mut counter = Self { runtime, beside: LocalSet::new(), service, desk, next: None };
        counter.expect(200, Asked::new("PUT", "/bkt", &[], Vec::new()));
        // That the key was used is written once, and is not to be counted.
        counter.beside.block_on(&counter.runtime, async {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        });
        counter
    }

    /// Answers a request that is not counted.
    pub fn expect(&mut self, status: u16, asked: Asked) -> usize {
        let (found, bytes) = self.beside.block_on(&self.runtime, self.desk.answer(asked));
        assert_eq!(found, status);
        bytes
    }

    /// Puts an object of `bytes` under `key`.
    pub fn put(mut self, key: &str, bytes: usize) -> Self {
        self.expect(200, put(key, bytes));
        self
    }

    /// Makes `asked` what [`Self::count`] asks.
    pub fn then(mut self, asked: Asked) -> Self {
        self.next = Some(asked);
        self
    }

    /// As [`Self::then`], once it was asked already: what happens only at first is not counted.
    pub fn again(mut self, status: u16, asked: Asked) -> Self {
        self.expect(status, asked.clone());
        self.then(asked)
    }

    /// Asks. The answer is judged by the caller, where it does not count.
    pub fn count(mut self) -> (Self, u16, usize) {
        let asked = self.next.take().expect("a request");
        let (status, bytes) = self.beside.block_on(&self.runtime, self.desk.answer(asked));
        (self, status, bytes)
    }
}

impl Default for Counter {
    fn default() -> Self {
        Self::new()
    }
}

/// A PUT of `bytes`, in pieces as they come from a connection.
pub fn put(key: &str, bytes: usize) -> Asked {
    let body = Bytes::from(vec![b'x'; bytes]);
    let piece = |start: usize| body.slice(start..bytes.min(start + PIECE_BYTES));
    let pieces = (0..bytes).step_by(PIECE_BYTES).map(piece).collect();
    Asked::new("PUT", &format!("/bkt/{key}"), &[("content-type", "text/plain")], pieces)
}

const PIECE_BYTES: usize = 32 * 1024;

pub fn get(target: &str) -> Asked {
    Asked::new("GET", target, &[], Vec::new())
}

async fn service(who: &Bootstrap) -> Arc<Service> {
    let identity = Identity {
        store: StoreId([1; 16]),
        directory: DirectoryId([2; 16]),
        region: REGION.into(),
        zone: "zone".into(),
        holds_metadata: false,
    };
    let disk = Arc::new(SimDisk::new(1, &Power::default()));
    let directory = Directory::with_disk(identity, disk);
    let settings = Settings {
        preallocate_bytes: 64 * 1024,
        segment_bytes: 16 * 1024 * 1024,
        reserve_bytes: 0,
        ..Settings::default()
    };
    let blobs = Blobs::open(settings, vec![directory], IncarnationId([3; 16])).await;
    let entropy = Arc::new(Counted(AtomicU64::new(1)));
    let engine = Arc::new(Memory::default());
    let metadata = Metadata::open(engine, entropy.clone(), [3; 16], SIGNED_BY.2 * 1000).await;
    let service = Service::open(Parts {
        metadata: metadata.expect("the metadata opens"),
        blobs: blobs.expect("the blobs open"),
        clock: Arc::new(Still),
        entropy,
        master_key: [7; 32],
        regions: vec![REGION.to_owned()],
        block_public_access: true,
        object_ownership: model::acl::Ownership::BucketOwnerEnforced,
        keep_unnamed: false,
        scrub: None,
        audit_keep: std::time::Duration::from_secs(86_400),
        placement: PlacementSettings { bytes_per_second_max: u64::MAX },
        key_files: Arc::new(NoKeyFiles),
        outbound: Arc::new(NoOutbound),
    });
    let service = service.expect("the service opens");
    service.bootstrap(who).await.expect("the accounts are made");
    service
}

/// The moment at which requests are signed.
struct Still;

impl Clock for Still {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(SIGNED_BY.2, 0).unwrap_or_default()
    }
}

/// Counts instead of drawing: never the same twice, and the same in each run.
struct Counted(AtomicU64);

impl Entropy for Counted {
    fn fill(&self, bytes: &mut [u8]) {
        for piece in bytes.chunks_mut(8) {
            // An odd factor, so that no two numbers come to the same.
            let number = self.0.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let drawn = number.to_be_bytes();
            piece.iter_mut().zip(drawn).for_each(|(byte, drawn)| *byte = drawn);
        }
    }
}
