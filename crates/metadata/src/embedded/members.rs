//! Which directories hold the journal: the epoch file of each, and whether enough of them are here.
//!
//! An epoch is a time with unchanging members. Beginning one takes two steps: its number is first
//! *promised* on every member, so that no number is ever used twice, and once each of them holds
//! the journal of the new epoch it is put *in force*. An acknowledged commit is on all members of
//! the newest epoch in force, hence any one of them that is found suffices to know it, provided
//! that the missing ones cannot have begun a later epoch without it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::fields::{Fields, length32, sealed, verified};
use super::files::Directory;
use super::journal::FileId;
use super::snapshot::SnapshotId;

pub const EPOCH_FILE: &str = "epoch";
const MAGIC: &[u8; 8] = b"LRDEPOC\0";
const FORMAT: u32 = 1;
const MEMBERS_MAX: usize = 64;

/// How a directory is known to the others: a random number, kept by the caller.
pub type MemberId = [u8; 16];

/// What one member knows about epochs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpochFile {
    /// The highest number promised. A later epoch takes a higher one.
    pub promised: u64,
    /// The newest epoch in force here, 0 if none ever was.
    pub in_force: u64,
    /// How many journals a commit needs in that epoch.
    pub min_journals: u32,
    /// The directory was empty when it promised: whatever the others say, it holds nothing yet.
    pub joining: bool,
    /// All known members, and whether each is active in the epoch in force.
    pub members: BTreeMap<MemberId, bool>,
}

impl EpochFile {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(FORMAT.to_le_bytes());
        bytes.extend(self.min_journals.to_le_bytes());
        bytes.extend(self.promised.to_le_bytes());
        bytes.extend(self.in_force.to_le_bytes());
        bytes.push(u8::from(self.joining));
        bytes.extend(length32(self.members.len()).to_le_bytes());
        for (id, active) in &self.members {
            bytes.extend(id);
            bytes.push(u8::from(*active));
        }
        sealed(bytes)
    }

    /// `None` if the bytes are damaged or of a newer format.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(verified(bytes)?);
        (fields.bytes(8)? == MAGIC && fields.u32()? == FORMAT).then_some(())?;
        let min_journals = fields.u32()?;
        let (promised, in_force) = (fields.u64()?, fields.u64()?);
        let joining = fields.u8()? == 1;
        let count = usize::try_from(fields.u32()?).ok().filter(|count| *count <= MEMBERS_MAX)?;
        let mut members = BTreeMap::new();
        for _ in 0..count {
            members.insert(fields.id()?, fields.u8()? == 1);
        }
        fields.0.is_empty().then_some(Self { promised, in_force, min_journals, joining, members })
    }

    fn active(&self) -> impl Iterator<Item = &MemberId> {
        self.members.iter().filter(|(_, active)| **active).map(|(id, _)| id)
    }
}

/// Whether metadata was ever served from the directory `path`, or may have been: a first start that
/// broke off leaves an epoch that is promised and not in force, or less than that.
///
/// # Errors
/// When the directory is there and cannot be read.
pub fn has_begun(path: &Path) -> io::Result<bool> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        entries => entries?,
    };
    match fs::read(path.join(EPOCH_FILE)) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        bytes => return Ok(EpochFile::decode(&bytes?).is_none_or(|epoch| epoch.in_force > 0)),
    }
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        // The epoch file is written before these.
        if FileId::parse(&name).is_some() || SnapshotId::parse(&name).is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Opens a directory that was a member before, or is empty and to become one.
///
/// # Errors
/// `NotFound` if it is not there, or what is there was never a member of that name.
pub fn reopen(path: &Path, id: &MemberId) -> io::Result<Directory> {
    let entries = fs::read_dir(path)?;
    match fs::read(path.join(EPOCH_FILE)) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if entries.count() > 0 {
                return Err(io::Error::new(ErrorKind::NotFound, "no metadata is there any more"));
            }
        }
        bytes => {
            let epoch = EpochFile::decode(&bytes?);
            if epoch.is_none_or(|epoch| !epoch.members.contains_key(id)) {
                return Err(io::Error::new(ErrorKind::NotFound, "other metadata is there"));
            }
        }
    }
    Directory::open(path)
}

/// The highest epoch that the metadata in the directory `path` may have begun; 0 if none is known.
///
/// # Errors
/// When there is an epoch file that cannot be read.
pub fn promised(path: &Path) -> io::Result<u64> {
    match fs::read(path.join(EPOCH_FILE)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        bytes => Ok(EpochFile::decode(&bytes?).map_or(0, |it| it.promised.max(it.in_force))),
    }
}

/// How a start stands, judged by the epoch files found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The newest epoch in force, 0 on a new store.
    pub in_force: u64,
    /// The next number to promise.
    pub next: u64,
    /// Found, and active in the newest epoch: their journals count.
    pub current: Vec<MemberId>,
    /// Known, but not found. Loss accepted is not known any more.
    pub missing: Vec<MemberId>,
    /// How many journals a commit needs from now on.
    pub min_journals: usize,
}

/// Judges whether a start may go on.
///
/// - `found`: every directory given, with its epoch file if it has a good one.
/// - `accept_loss`: directories whose contents the operator gives up.
///
/// # Errors
/// The reason to refuse, naming the missing directories.
pub fn judge(
    found: &BTreeMap<MemberId, Option<EpochFile>>,
    min_journals: Option<usize>,
    accept_loss: &[MemberId],
) -> Result<Standing, String> {
    let files = || found.values().flatten();
    let newest = files().max_by_key(|file| (file.in_force, file.promised));
    let newest = newest.cloned().unwrap_or_default();
    let lost = |id: &MemberId| accept_loss.contains(id) && !found.contains_key(id);

    let mut known: Vec<MemberId> = newest.members.keys().copied().collect();
    known.extend(found.keys().filter(|id| !newest.members.contains_key(*id)));
    known.retain(|id| !lost(id));
    let missing: Vec<_> = known.iter().filter(|id| !found.contains_key(*id)).copied().collect();
    let min_journals = min_journals.unwrap_or(known.len() / 2 + 1).clamp(1, known.len().max(1));

    // A directory that was emptied knows nothing of its epoch; it counts as missing here.
    let here = |id: &MemberId| found.get(id).is_some_and(|file| holds(file.as_ref()));
    let (current, gone): (Vec<_>, Vec<_>) =
        newest.active().copied().filter(|id| !lost(id)).partition(|id| here(id));
    let could_go_on = newest.min_journals.max(1) as usize;
    if gone.iter().filter(|id| !accept_loss.contains(id)).count() >= could_go_on {
        return Err(format!(
            "metadata directories {} are missing or empty and may hold newer metadata",
            names(&gone)
        ));
    }
    if newest.in_force > 0 && current.is_empty() {
        return Err(format!("no directory of the last epoch is here; missing: {}", names(&gone)));
    }
    if found.len() < min_journals {
        return Err(format!(
            "{} of {min_journals} metadata directories needed are here; missing: {}",
            found.len(),
            names(&missing)
        ));
    }
    let highest = files().map(|file| file.promised.max(file.in_force)).max().unwrap_or(0);
    // Those given up may have promised numbers nobody here knows.
    let leap = if accept_loss.is_empty() { 1 } else { 1 << 32 };
    let next = highest.saturating_add(leap);
    Ok(Standing { in_force: newest.in_force, next, current, missing, min_journals })
}

fn holds(file: Option<&EpochFile>) -> bool {
    file.is_some_and(|file| !file.joining)
}

/// Directory ids as they are printed and typed: hexadecimal.
pub fn names(ids: &[MemberId]) -> String {
    ids.iter().map(name).collect::<Vec<_>>().join(", ")
}

pub fn name(id: &MemberId) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}
