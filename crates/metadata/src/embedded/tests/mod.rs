//! Tests of the embedded engine: what it must do, and what it must survive.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod beginnings;
mod damage;
mod epochs;
mod exports;
mod full;
mod loading;
mod measure;
mod power;
mod real;
mod snapshots;
mod takeover;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::files::Files;
use super::simulated::{Dice, Power, SimDisk};
use super::{Embedded, EmbeddedSettings, MemberId, RecoveryReport};
use crate::engine::{Direction, Engine, EngineError, Row, ScanRange};

/// Simulated disks with one store, and a place for its index.
pub struct Store {
    pub power: Power,
    pub disks: Vec<SimDisk>,
    pub settings: EmbeddedSettings,
    directory: tempfile::TempDir,
}

impl Store {
    pub fn new(disks: usize) -> Self {
        let power = Power::on();
        let disks = (0..disks).map(|_| SimDisk::new(&power)).collect();
        let settings = EmbeddedSettings {
            journal_bytes: 8 << 10,
            reserve_bytes: 32 << 10,
            cache_bytes: 1 << 20,
            load_bytes: 2 << 10,
            snapshot_after_bytes: 16 << 10,
            io_timeout: Duration::from_secs(20),
            full_retry: Duration::ZERO,
            retry_after: Duration::ZERO,
            first_start: true,
            ..EmbeddedSettings::new(Vec::new())
        };
        Self { power, disks, settings, directory: tempfile::tempdir().unwrap() }
    }

    pub fn index_path(&self) -> PathBuf {
        self.directory.path().join("index")
    }

    pub fn open(&self) -> Result<(Embedded, RecoveryReport), EngineError> {
        self.open_some(&(0..self.disks.len()).collect::<Vec<_>>())
    }

    /// Opens with only some of the disks found.
    pub fn open_some(&self, numbers: &[usize]) -> Result<(Embedded, RecoveryReport), EngineError> {
        let found: Vec<(MemberId, Arc<dyn Files>)> =
            numbers.iter().map(|number| (id(*number), self.disks[*number].files())).collect();
        Embedded::open_with(&self.settings, found, &self.index_path(), |_| {})
    }

    pub fn engine(&self) -> Embedded {
        self.open().unwrap().0
    }

    /// Cuts the power for all disks and restores it. Nothing may be open.
    pub fn cut(&self, dice: &mut Dice) {
        self.power.restore();
        for disk in &self.disks {
            disk.lose_power(dice);
        }
    }
}

pub fn id(number: usize) -> MemberId {
    [u8::try_from(number).unwrap() + 1; 16]
}

/// All rows of an engine.
pub async fn rows(engine: &Embedded) -> BTreeMap<Vec<u8>, Row> {
    let mut rows = BTreeMap::new();
    let mut next = Some(ScanRange { start: Vec::new(), end: vec![0xff; 32] });
    while let Some(range) = next {
        let page = engine.scan(&range, 100, Direction::Forward).await.unwrap();
        rows.extend(page.rows);
        next = page.next;
    }
    rows
}
