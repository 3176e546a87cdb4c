//! Files in memory that know what would survive a power cut. For tests.
//!
//! A write is pending until its file is synced, a name until its directory is. At a cut every
//! pending write may be kept, lost or torn, and of the pending names a first part is kept.

use std::collections::BTreeMap;
use std::io::{self, Error, ErrorKind};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::files::{Files, OpenFile};

/// Counts operations down and turns the power off at zero, for all disks that share it.
#[derive(Clone, Debug)]
pub struct Power(Arc<AtomicI64>);

impl Power {
    pub fn on() -> Self {
        Self(Arc::new(AtomicI64::new(i64::MAX)))
    }

    /// Turns the power off once `operations` more changes were made.
    pub fn cut_after(&self, operations: i64) {
        self.0.store(operations, Ordering::SeqCst);
    }

    pub fn restore(&self) {
        self.cut_after(i64::MAX);
    }

    /// How many changes were made since [`Self::restore`].
    pub fn used(&self) -> i64 {
        i64::MAX - self.0.load(Ordering::SeqCst)
    }

    pub fn is_on(&self) -> bool {
        self.0.load(Ordering::SeqCst) >= 0
    }

    fn step(&self) -> io::Result<()> {
        if self.0.fetch_sub(1, Ordering::SeqCst) > 0 { Ok(()) } else { Err(no_power()) }
    }
}

fn no_power() -> Error {
    Error::other("the power is off")
}

/// One simulated disk with one directory. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct SimDisk {
    power: Power,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    inodes: BTreeMap<u64, Inode>,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    pending_names: Vec<Naming>,
    next_inode: u64,
    boot: u64,
    locked: bool,
    faults: Faults,
}

/// What is wrong with a disk.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// The disk fails once this many more changes were made, and ever after.
    pub fail_after: Option<u64>,
    /// Bytes the disk can hold.
    pub capacity: Option<u64>,
    /// Syncs of files whose name ends so answer without doing anything.
    pub ignore_sync_of: Option<&'static str>,
    /// Syncs of the directory answer without doing anything.
    pub ignore_sync_dir: bool,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    durable: Vec<u8>,
    current: Vec<u8>,
    pending: Vec<(usize, Vec<u8>)>,
}

#[derive(Clone, Debug)]
enum Naming {
    Link(String, u64),
    Unlink(String),
    Rename(String, String),
}

/// A small generator of random numbers for tests that can be replayed.
#[derive(Clone, Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// A number below `sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides.max(1)
    }
}

impl SimDisk {
    pub fn new(power: &Power) -> Self {
        Self { power: power.clone(), state: Arc::default() }
    }

    /// The disk for one process. Dropping it frees the lock.
    pub fn files(&self) -> Arc<dyn Files> {
        Arc::new(Handle(self.clone(), AtomicBool::new(false)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_faults(&self, faults: Faults) {
        self.state().faults = faults;
    }

    /// What is there after a power cut. Call with nothing using the disk any more.
    pub fn lose_power(&self, dice: &mut Dice) {
        let mut state = self.state();
        let kept = usize::try_from(dice.roll(state.pending_names.len() as u64 + 1)).unwrap_or(0);
        let mut names = std::mem::take(&mut state.durable_names);
        for naming in state.pending_names.drain(..).take(kept) {
            naming.apply(&mut names);
        }
        state.names.clone_from(&names);
        state.durable_names = names;
        for inode in state.inodes.values_mut() {
            inode.lose_power(dice);
        }
        state.boot += 1;
        state.locked = false;
    }

    /// Empties the disk.
    pub fn wipe(&self) {
        let boot = self.state().boot + 1;
        *self.state() = State { boot, ..State::default() };
    }

    pub fn names(&self) -> Vec<String> {
        self.state().names.keys().cloned().collect()
    }

    pub fn contents(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state();
        Some(state.inodes.get(state.names.get(name)?)?.current.clone())
    }

    /// Changes a file as only a broken disk would.
    pub fn tamper(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let Some(inode) = state.names.get(name).copied() else { return };
        if let Some(inode) = state.inodes.get_mut(&inode) {
            change(&mut inode.current);
            inode.durable.clone_from(&inode.current);
            inode.pending.clear();
        }
    }

    /// Puts a file there, durable at once.
    pub fn place(&self, name: &str, contents: Vec<u8>) {
        let mut state = self.state();
        let number = state.next_inode;
        state.next_inode += 1;
        let inode = Inode { durable: contents.clone(), current: contents, pending: Vec::new() };
        state.inodes.insert(number, inode);
        state.names.insert(name.to_owned(), number);
        state.durable_names.insert(name.to_owned(), number);
    }
}

impl Naming {
    fn apply(self, names: &mut BTreeMap<String, u64>) {
        match self {
            Self::Link(name, inode) => {
                names.insert(name, inode);
            }
            Self::Unlink(name) => {
                names.remove(&name);
            }
            Self::Rename(from, to) => {
                if let Some(inode) = names.remove(&from) {
                    names.insert(to, inode);
                }
            }
        }
    }
}

impl Inode {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        overwrite(&mut self.current, offset, bytes);
        self.pending.push((offset, bytes.to_vec()));
    }

    fn lose_power(&mut self, dice: &mut Dice) {
        for (offset, bytes) in std::mem::take(&mut self.pending) {
            match dice.roll(4) {
                0 => overwrite(&mut self.durable, offset, &bytes),
                1 => {
                    let torn = usize::try_from(dice.roll(bytes.len() as u64 + 1)).unwrap_or(0);
                    overwrite(&mut self.durable, offset, bytes.get(..torn).unwrap_or_default());
                }
                _ => {}
            }
        }
        self.current.clone_from(&self.durable);
    }
}

fn overwrite(contents: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if contents.len() < end {
        contents.resize(end, 0);
    }
    if let Some(place) = contents.get_mut(offset..end) {
        place.copy_from_slice(bytes);
    }
}

impl State {
    fn change(&mut self) -> io::Result<()> {
        match &mut self.faults.fail_after {
            Some(0) => Err(Error::other("input/output error")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn inode(&mut self, name: &str) -> io::Result<u64> {
        self.names.get(name).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn make_room(&self, inode: u64, end: usize) -> io::Result<()> {
        let Some(capacity) = self.faults.capacity else { return Ok(()) };
        let own = self.inodes.get(&inode).map_or(0, |inode| inode.current.len());
        let wanted = self.used_bytes() + end.saturating_sub(own);
        let fits = end <= own || wanted as u64 <= capacity;
        if fits { Ok(()) } else { Err(ErrorKind::StorageFull.into()) }
    }

    fn used_bytes(&self) -> usize {
        let linked = self.names.values().filter_map(|inode| self.inodes.get(inode));
        linked.map(|inode| inode.current.len()).sum()
    }

    fn rename(&mut self, naming: Naming) {
        naming.clone().apply(&mut self.names);
        self.pending_names.push(naming);
    }
}

struct Handle(SimDisk, AtomicBool);

struct SimFile {
    disk: SimDisk,
    inode: u64,
    name: String,
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.1.load(Ordering::Acquire) {
            self.0.state().locked = false;
        }
    }
}

impl OpenFile for SimFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(|_| ErrorKind::InvalidInput)?;
        let mut state = self.disk.state();
        state.make_room(self.inode, offset + bytes.len())?;
        let cut = self.disk.power.step();
        if let Some(inode) = state.inodes.get_mut(&self.inode) {
            // A cut in the middle of a write leaves it pending, so it may still be kept or torn.
            inode.write(offset, bytes);
        }
        cut?;
        state.change()
    }

    fn reserve(&mut self, bytes: u64, _written: bool) -> io::Result<()> {
        let end = usize::try_from(bytes).map_err(|_| ErrorKind::InvalidInput)?;
        let mut state = self.disk.state();
        state.make_room(self.inode, end)?;
        self.disk.power.step()?;
        state.change()?;
        if let Some(inode) = state.inodes.get_mut(&self.inode) {
            let length = inode.current.len();
            inode.write(length, &vec![0; end.saturating_sub(length)]);
        }
        Ok(())
    }

    fn sync_data(&mut self) -> io::Result<()> {
        let mut state = self.disk.state();
        self.disk.power.step()?;
        state.change()?;
        if state.faults.ignore_sync_of.is_some_and(|suffix| self.name.ends_with(suffix)) {
            return Ok(());
        }
        if let Some(inode) = state.inodes.get_mut(&self.inode) {
            inode.durable.clone_from(&inode.current);
            inode.pending.clear();
        }
        Ok(())
    }
}

impl Files for Handle {
    fn lock(&self) -> io::Result<()> {
        let mut state = self.0.state();
        if !self.1.load(Ordering::Acquire) && std::mem::replace(&mut state.locked, true) {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.1.store(true, Ordering::Release);
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.names())
    }

    fn length(&self, name: &str) -> io::Result<u64> {
        Ok(self.0.contents(name).ok_or(ErrorKind::NotFound)?.len() as u64)
    }

    fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        if !self.0.power.is_on() {
            return Err(no_power());
        }
        let mut state = self.0.state();
        let inode = state.inode(name)?;
        let contents = state.inodes.get(&inode).map_or(&[][..], |inode| &inode.current);
        let start = usize::try_from(offset).map_err(|_| ErrorKind::InvalidInput)?;
        let rest = contents.get(start..).unwrap_or_default();
        Ok(rest.get(..length).unwrap_or(rest).to_vec())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn OpenFile>> {
        let mut state = self.0.state();
        self.0.power.step()?;
        state.change()?;
        let inode = state.next_inode;
        state.next_inode += 1;
        state.inodes.insert(inode, Inode::default());
        state.rename(Naming::Link(name.to_owned(), inode));
        Ok(Box::new(SimFile { disk: self.0.clone(), inode, name: name.to_owned() }))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn OpenFile>> {
        let inode = self.0.state().inode(name)?;
        Ok(Box::new(SimFile { disk: self.0.clone(), inode, name: name.to_owned() }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.0.state();
        self.0.power.step()?;
        state.change()?;
        state.inode(from)?;
        state.rename(Naming::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.0.state();
        self.0.power.step()?;
        state.change()?;
        state.rename(Naming::Unlink(name.to_owned()));
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.0.state();
        self.0.power.step()?;
        state.change()?;
        if !state.faults.ignore_sync_dir {
            state.durable_names = state.names.clone();
            state.pending_names.clear();
        }
        Ok(())
    }

    fn free_bytes(&self) -> Option<u64> {
        let state = self.0.state();
        Some(state.faults.capacity?.saturating_sub(state.used_bytes() as u64))
    }

    fn mount(&self) -> Option<String> {
        Some(format!("boot {}", self.0.state().boot))
    }
}
