//! A simulated disk for tests: it forgets what was not synced, and fails on demand, by seed.
//!
//! Contents and names each have a present and a durable state. A power loss leaves the durable
//! one, or in the seeded variants some of what was on its way. A disk is a handle: after a power
//! loss the old handles answer every call with an error, as for a process that is gone.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use crate::disk::{Disk, DiskFuture, Entry, Progress, Space, Step};

pub const EIO: i32 = 5;
pub const EROFS: i32 = 30;
pub const EMFILE: i32 = 24;
pub const ENOSPC: i32 = 28;
const ENOENT: i32 = 2;
const EEXIST: i32 = 17;

/// Free space of a disk without a set capacity.
const BOUNDLESS_BYTES: u64 = 1 << 40;
/// Bytes that a real disk writes whole or not at all.
const SECTOR_BYTES: u64 = 512;

/// Operations that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    Create,
    Resize,
    Write,
    Sync,
    Read,
    Rename,
    Remove,
    List,
    Space,
}

/// What a power loss leaves of changes that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Nothing.
    Nothing,
    /// Of each file its first changes, the last one cut at any byte; of new names any.
    Prefix,
    /// Of each file any sectors of any changes; of new names any.
    Scattered,
}

/// Syncs that answer well and do nothing: the control that shows that tests would see a loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lies {
    pub contents: bool,
    pub names: bool,
}

/// The power of one machine, shared by its disks.
#[derive(Clone, Debug)]
pub struct Power(Arc<AtomicI64>);

impl Default for Power {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(i64::MAX)))
    }
}

impl Power {
    /// Cuts the power after so many further operations of all disks together.
    pub fn cut_after(&self, operations: u32) {
        self.0.store(i64::from(operations), Ordering::SeqCst);
    }

    pub fn is_cut(&self) -> bool {
        self.0.load(Ordering::SeqCst) <= 0
    }

    fn use_one(&self) -> bool {
        self.0.fetch_sub(1, Ordering::SeqCst) > 0
    }
}

/// A handle of a simulated disk. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
    power: Power,
    generation: u64,
    hanging: Arc<watch::Sender<bool>>,
}

struct State {
    generation: u64,
    files: HashMap<u64, SimFile>,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    files_made: u64,
    faults: Vec<Fault>,
    operations: HashMap<Operation, u64>,
    capacity_bytes: Option<u64>,
    delay: Duration,
    lies: Lies,
    random: Random,
}

#[derive(Clone, Default)]
struct SimFile {
    contents: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Resize(u64),
}

struct Fault {
    operation: Operation,
    after: u64,
    code: i32,
    lasting: bool,
}

impl SimDisk {
    pub fn new(seed: u64, power: &Power) -> Self {
        let state = State {
            generation: 0,
            files: HashMap::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            files_made: 0,
            faults: Vec::new(),
            operations: HashMap::new(),
            capacity_bytes: None,
            delay: Duration::ZERO,
            lies: Lies::default(),
            random: Random(seed),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            power: power.clone(),
            generation: 0,
            hanging: Arc::new(watch::channel(false).0),
        }
    }

    /// Cuts the power and starts again: the handle for the next process, with `power` on.
    pub fn lose_power(&self, keep: Keep, power: &Power) -> Self {
        let mut state = self.state();
        state.generation += 1;
        state.faults.clear();
        let mut random = state.random;
        for file in state.files.values_mut() {
            file.lose_power(keep, &mut random);
        }
        state.lose_names(keep, &mut random);
        state.random = random;
        let generation = state.generation;
        drop(state);
        let hanging = Arc::new(watch::channel(false).0);
        Self { state: Arc::clone(&self.state), power: power.clone(), generation, hanging }
    }

    /// Loses all files, as a disk that was replaced by an empty one.
    pub fn lose_everything(&self) {
        let mut state = self.state();
        state.files.clear();
        state.names.clear();
        state.durable_names.clear();
    }

    /// Fails the `after`th such operation from now (0 is the next) with an error code, once.
    pub fn fail(&self, operation: Operation, after: u64, code: i32) {
        self.add_fault(operation, after, code, false);
    }

    /// As [`Self::fail`], and all later ones.
    pub fn fail_from(&self, operation: Operation, after: u64, code: i32) {
        self.add_fault(operation, after, code, true);
    }

    /// Ends all failing.
    pub fn heal(&self) {
        self.state().faults.clear();
    }

    /// Sets the size of the disk; writes beyond it answer ENOSPC.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity_bytes = bytes;
    }

    /// Makes every operation wait for so long.
    pub fn set_delay(&self, delay: Duration) {
        self.state().delay = delay;
    }

    /// Makes operations wait until this is called with `false`.
    pub fn set_hanging(&self, hanging: bool) {
        self.hanging.send_replace(hanging);
    }

    pub fn set_lies(&self, lies: Lies) {
        self.state().lies = lies;
    }

    /// How many operations of a kind were asked for.
    pub fn count(&self, operation: Operation) -> u64 {
        self.state().operations.get(&operation).copied().unwrap_or(0)
    }

    /// Names and sizes of all files.
    pub fn files(&self) -> Vec<(String, u64)> {
        let state = self.state();
        let size = |id: &u64| state.files.get(id).map_or(0, |file| file.contents.len() as u64);
        state.names.iter().map(|(name, id)| (name.clone(), size(id))).collect()
    }

    /// Flips one bit of what is stored, durably.
    pub fn flip_bit(&self, file: &str, byte: u64, bit: u8) {
        self.change(file, |contents| {
            if let Some(stored) = usize::try_from(byte).ok().and_then(|at| contents.get_mut(at)) {
                *stored ^= 1 << (bit % 8);
            }
        });
    }

    /// Cuts a file, durably.
    pub fn truncate(&self, file: &str, size_bytes: u64) {
        self.change(file, |contents| contents.truncate(size_bytes as usize));
    }

    /// Gives two files each other's contents, as a misdirected write would.
    pub fn swap(&self, one: &str, other: &str) {
        let mut state = self.state();
        let ids = (state.names.get(one).copied(), state.names.get(other).copied());
        if let (Some(first), Some(second)) = ids {
            for (name, id) in [(one, second), (other, first)] {
                state.names.insert(name.into(), id);
                state.durable_names.insert(name.into(), id);
            }
        }
    }

    fn change(&self, file: &str, change: impl Fn(&mut Vec<u8>)) {
        let mut state = self.state();
        if let Ok(file) = state.file(file) {
            change(&mut file.contents);
            change(&mut file.durable);
        }
    }

    fn add_fault(&self, operation: Operation, after: u64, code: i32, lasting: bool) {
        let after = self.count(operation) + after;
        self.state().faults.push(Fault { operation, after, code, lasting });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run<T: Send + 'static>(
        &self,
        operation: Operation,
        act: impl FnOnce(&mut State) -> io::Result<T> + Send + 'static,
    ) -> DiskFuture<T> {
        let disk = self.clone();
        Box::pin(async move {
            let (delay, turns) = {
                let mut state = disk.state();
                (state.delay, state.random.below(4))
            };
            // Different seeds let concurrent operations overtake each other differently.
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            let mut hanging = disk.hanging.subscribe();
            // The sender is in `disk`, so it is there as long as this waits.
            let _ = hanging.wait_for(|hanging| !hanging).await;
            let mut state = disk.state();
            if state.generation != disk.generation || !disk.power.use_one() {
                return Err(io::Error::from_raw_os_error(EIO));
            }
            state.fault(operation)?;
            act(&mut state)
        })
    }
}

impl State {
    fn fault(&mut self, operation: Operation) -> io::Result<()> {
        let count = self.operations.entry(operation).or_default();
        let now = *count;
        *count += 1;
        let due = |fault: &&Fault| {
            fault.operation == operation
                && (fault.after == now || fault.lasting && fault.after <= now)
        };
        match self.faults.iter().find(due) {
            Some(fault) => Err(io::Error::from_raw_os_error(fault.code)),
            None => Ok(()),
        }
    }

    fn file(&mut self, name: &str) -> io::Result<&mut SimFile> {
        let missing = || io::Error::from_raw_os_error(ENOENT);
        let id = self.names.get(name).ok_or_else(missing)?;
        self.files.get_mut(id).ok_or_else(missing)
    }

    fn step(&mut self, name: &str, step: Step) -> io::Result<()> {
        match step {
            Step::Create => {
                if self.names.contains_key(name) {
                    return Err(io::Error::from_raw_os_error(EEXIST));
                }
                self.files_made += 1;
                self.files.insert(self.files_made, SimFile::default());
                self.names.insert(name.to_owned(), self.files_made);
            }
            Step::Resize { size_bytes } => {
                self.check_room(name, size_bytes)?;
                let file = self.file(name)?;
                Change::Resize(size_bytes).apply(&mut file.contents);
                file.pending.push(Change::Resize(size_bytes));
            }
            Step::Write { offset, parts } => {
                let bytes = parts.concat();
                self.check_room(name, offset + bytes.len() as u64)?;
                let file = self.file(name)?;
                Change::Write(offset, bytes.clone()).apply(&mut file.contents);
                file.pending.push(Change::Write(offset, bytes));
            }
            Step::Rename { to } => {
                self.file(name)?;
                if let Some(id) = self.names.remove(name) {
                    self.names.insert(to, id);
                }
            }
            Step::Sync => {
                let lies = self.lies;
                let file = self.file(name)?;
                if !lies.contents {
                    file.sync();
                }
                if !lies.names {
                    self.sync_folder(folder_of(name));
                }
            }
        }
        Ok(())
    }

    fn used_bytes(&self) -> u64 {
        self.names
            .values()
            .filter_map(|id| self.files.get(id))
            .map(|f| f.contents.len() as u64)
            .sum()
    }

    fn check_room(&mut self, name: &str, end: u64) -> io::Result<()> {
        let length = self.file(name)?.contents.len() as u64;
        let used = self.used_bytes() + end.saturating_sub(length);
        match self.capacity_bytes {
            Some(capacity) if used > capacity && end > length => {
                Err(io::Error::from_raw_os_error(ENOSPC))
            }
            _ => Ok(()),
        }
    }

    /// Makes the names of a folder durable, also that some are gone.
    fn sync_folder(&mut self, folder: &str) {
        let inside = |name: &String| folder_of(name) == folder;
        self.durable_names.retain(|name, _| !inside(name));
        let present = self.names.iter().filter(|(name, _)| inside(name));
        self.durable_names.extend(present.map(|(name, id)| (name.clone(), *id)));
    }

    fn lose_names(&mut self, keep: Keep, random: &mut Random) {
        if keep != Keep::Nothing {
            let changed: Vec<String> =
                self.names.keys().chain(self.durable_names.keys()).cloned().collect();
            for name in changed {
                if random.below(2) == 0 {
                    match self.names.get(&name).copied() {
                        Some(id) => self.durable_names.insert(name, id),
                        None => self.durable_names.remove(&name),
                    };
                }
            }
        }
        self.names = self.durable_names.clone();
        let named: Vec<u64> = self.names.values().copied().collect();
        self.files.retain(|id, _| named.contains(id));
    }
}

impl SimFile {
    fn sync(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    fn lose_power(&mut self, keep: Keep, random: &mut Random) {
        let pending = std::mem::take(&mut self.pending);
        let whole = match keep {
            Keep::Nothing => 0,
            Keep::Prefix | Keep::Scattered => random.below(pending.len() as u64 + 1) as usize,
        };
        for (number, change) in pending.into_iter().enumerate() {
            match (keep, change) {
                (Keep::Nothing, _) => {}
                (Keep::Prefix, change) if number < whole => change.apply(&mut self.durable),
                (Keep::Prefix, Change::Write(offset, mut bytes)) if number == whole => {
                    bytes.truncate(random.below(bytes.len() as u64 + 1) as usize);
                    Change::Write(offset, bytes).apply(&mut self.durable);
                }
                (Keep::Prefix, _) => {}
                (Keep::Scattered, change) => change.scatter(&mut self.durable, random),
            }
        }
        self.contents = self.durable.clone();
    }
}

impl Change {
    fn apply(self, contents: &mut Vec<u8>) {
        match self {
            Self::Resize(size) => contents.resize(size as usize, 0),
            Self::Write(offset, bytes) => {
                let (start, end) = (offset as usize, offset as usize + bytes.len());
                if contents.len() < end {
                    contents.resize(end, 0);
                }
                if let Some(place) = contents.get_mut(start..end) {
                    place.copy_from_slice(&bytes);
                }
            }
        }
    }

    fn scatter(self, contents: &mut Vec<u8>, random: &mut Random) {
        let Self::Write(mut offset, bytes) = self else {
            if random.below(2) == 0 {
                self.apply(contents);
            }
            return;
        };
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let sector_end = (offset / SECTOR_BYTES + 1) * SECTOR_BYTES - offset;
            let (sector, after) = rest.split_at(rest.len().min(sector_end as usize));
            if random.below(2) == 0 {
                Self::Write(offset, sector.to_vec()).apply(contents);
            }
            offset += sector.len() as u64;
            rest = after;
        }
    }
}

impl Disk for SimDisk {
    /// Each step is an operation of its own: any may fail, or be the last before a power loss.
    fn change(&self, file: &str, steps: Vec<Step>, progress: &Arc<Progress>) -> DiskFuture<()> {
        let (disk, progress, mut name) = (self.clone(), Arc::clone(progress), file.to_owned());
        Box::pin(async move {
            for step in steps {
                let next = match &step {
                    Step::Rename { to } => to.clone(),
                    _ => name.clone(),
                };
                disk.run(operation(&step), move |state| state.step(&name, step)).await?;
                progress.note();
                name = next;
            }
            Ok(())
        })
    }

    fn close(&self, _file: &str) {}

    fn read_at(&self, file: &str, offset: u64, length: usize) -> DiskFuture<Bytes> {
        let name = file.to_owned();
        self.run(Operation::Read, move |state| {
            let contents = &state.file(&name)?.contents;
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(contents.len());
            let end = start.saturating_add(length).min(contents.len());
            Ok(Bytes::copy_from_slice(contents.get(start..end).unwrap_or_default()))
        })
    }

    fn remove(&self, file: &str) -> DiskFuture<()> {
        let name = file.to_owned();
        self.run(Operation::Remove, move |state| {
            state.file(&name)?;
            state.names.remove(&name);
            Ok(())
        })
    }

    fn list(&self, folder: &str) -> DiskFuture<Vec<Entry>> {
        let folder = folder.to_owned();
        self.run(Operation::List, move |state| {
            let inside = state.names.iter().filter(|(name, _)| folder_of(name) == folder);
            let entry = |(name, id): (&String, &u64)| Entry {
                name: name.rsplit('/').next().unwrap_or_default().to_owned(),
                size_bytes: state.files.get(id).map_or(0, |file| file.contents.len() as u64),
            };
            Ok(inside.map(entry).collect())
        })
    }

    fn space(&self) -> DiskFuture<Space> {
        self.run(Operation::Space, |state| {
            let total_bytes = state.capacity_bytes.unwrap_or(BOUNDLESS_BYTES);
            let free_bytes = total_bytes.saturating_sub(state.used_bytes());
            Ok(Space { free_bytes, total_bytes })
        })
    }

    fn is_in_place(&self) -> DiskFuture<bool> {
        self.run(Operation::Space, |_| Ok(true))
    }
}

fn operation(step: &Step) -> Operation {
    match step {
        Step::Create => Operation::Create,
        Step::Resize { .. } => Operation::Resize,
        Step::Write { .. } => Operation::Write,
        Step::Rename { .. } => Operation::Rename,
        Step::Sync => Operation::Sync,
    }
}

/// Seeded numbers (Steele, Lea, Flood: SplitMix, 2014).
#[derive(Clone, Copy, Debug)]
pub struct Random(pub u64);

impl Random {
    /// A number below `limit`; 0 if that is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).checked_rem(limit).unwrap_or(0)
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.below(256) as u8).collect()
    }
}

fn folder_of(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}
