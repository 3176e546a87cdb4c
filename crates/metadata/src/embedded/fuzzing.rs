//! Doors for the fuzz targets in `tests/fuzz`, to the files of this engine.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a panic is how a fuzz target says that it found something"
)]

use std::io::{self, Error, ErrorKind};

use bytes::Bytes;

use super::fields::checksum;
use super::files::{Files, OpenFile};
use super::index::Entry;
use super::journal::{FILE_HEADER_BYTES, FileId, GroupWriter, Reader, Record, Segment};
use super::members::EpochFile;
use super::snapshot::{self, SnapshotId};
use crate::engine::resolve::Change;
use crate::engine::{KEY_BYTES_MAX, Row, Sequence};

const ID: FileId = FileId { epoch: 1, base: u64::MAX - 6, nonce: 7 };
const GROUP_HEADER_BYTES: usize = 64;
const RECORD_HEADER_BYTES: usize = 20;

/// Place, and the byte that comes there.
pub type Edit = (u16, u8);

/// Commits as they come, in groups.
pub type Groups = Vec<Vec<Vec<Change>>>;

/// A directory with one file that can only be read, under every name.
struct One(Vec<u8>);

/// Reads a journal that was written in `groups` and then edited; with `reseal` the checksums are
/// made right again, as no accident would.
pub fn journal(groups: &Groups, edits: &[Edit], reseal: bool) -> bool {
    let (records, mut file, starts) = write_journal(groups);
    edit(&mut file, edits);
    if reseal {
        reseal_journal(&mut file, &starts);
    }
    let found = read_journal(file);
    let known = |record: &Record| {
        let index =
            record.sequence.checked_sub(ID.base + 1).and_then(|at| usize::try_from(at).ok());
        index.and_then(|at| records.get(at)) == Some(record)
    };
    if edits.is_empty() {
        assert_eq!(found.concat(), records, "what was written does not read back");
    } else if !reseal {
        assert!(found.iter().flatten().all(known), "a damaged record was taken for whole");
    }
    found.len() > 2
}

/// Reads any bytes as a journal.
pub fn raw_journal(bytes: &[u8]) {
    let header = ID.header(ID.base);
    read_journal([&header[..], bytes].concat());
}

fn write_journal(groups: &Groups) -> (Vec<Record>, Vec<u8>, Vec<usize>) {
    let (mut records, mut starts) = (Vec::new(), Vec::new());
    // The seventh record is the last that there can be.
    let (mut file, mut chain, mut next) = (ID.header(ID.base), ID.seed(), Some(ID.base));
    file.resize(FILE_HEADER_BYTES as usize, 0);
    for group in groups.iter().filter(|group| !group.is_empty()) {
        let mut writer = GroupWriter::new(ID, chain, ID.base);
        for changes in group {
            next = next.and_then(|last| last.checked_add(1));
            let Some(sequence) = next else { break };
            let mut changes = changes.clone();
            changes.iter_mut().for_each(|(key, _)| key.truncate(KEY_BYTES_MAX));
            let record = Record { sequence, changes };
            writer.push(&record);
            records.push(record);
        }
        if writer.bytes() == 0 {
            break;
        }
        let (bytes, after) = writer.finish();
        starts.push(file.len());
        file.extend(bytes);
        chain = after;
    }
    (records, file, starts)
}

/// The records of each segment found.
fn read_journal(file: Vec<u8>) -> Vec<Vec<Record>> {
    let files = One(file);
    let mut reader = Reader::new(&files, ID);
    let summary = reader.summary().expect("memory can be read");
    let mut replay = |segment: &Segment| {
        let mut records = Vec::new();
        let whole: (Sequence, Sequence) = (0, segment.last);
        let missing = reader.replay::<Error>(segment, whole, &mut |record| {
            records.push(record);
            Ok(())
        });
        assert_eq!(missing.expect("memory can be read"), None, "a segment has a gap");
        let count = segment.last - segment.first + 1;
        assert_eq!(records.len() as u64, count, "a segment does not hold what it says");
        records
    };
    summary.segments.iter().map(&mut replay).collect()
}

fn reseal_journal(file: &mut [u8], starts: &[usize]) {
    let ends = starts.iter().skip(1).copied().chain([file.len()]);
    for (start, end) in starts.iter().copied().zip(ends.collect::<Vec<_>>()) {
        let group = &mut file[start..end];
        let sum = checksum(&[&ID.nonce.to_le_bytes(), &group[..GROUP_HEADER_BYTES - 4]]);
        group[GROUP_HEADER_BYTES - 4..GROUP_HEADER_BYTES].copy_from_slice(&sum.to_le_bytes());
        let mut chain: [u8; 4] = group[48..52].try_into().expect("four bytes");
        let mut rest = &mut group[GROUP_HEADER_BYTES..];
        while let Some((header, after)) = rest.split_at_mut_checked(RECORD_HEADER_BYTES) {
            let length = u32::from_le_bytes(header[..4].try_into().expect("four bytes"));
            let Some((payload, next)) = after.split_at_mut_checked(length as usize) else { break };
            chain = checksum(&[&chain, &header[..16], payload]).to_le_bytes();
            header[16..].copy_from_slice(&chain);
            rest = next;
        }
    }
}

/// Reads a snapshot of `rows` that was edited, or whose frame has `stored` for its compressed
/// bytes; the checksums are right.
pub fn snapshot(rows: &[(Vec<u8>, Vec<u8>)], edits: &[Edit]) -> bool {
    let (mut writer, mut file) = snapshot::Writer::new(3, 1, 9);
    let entry = |(key, value): &(Vec<u8>, Vec<u8>)| {
        let key = key.get(..KEY_BYTES_MAX).unwrap_or(key).to_vec();
        Entry { key, row: Row { version: 4, value: Bytes::copy_from_slice(value) } }
    };
    let entries: Vec<Entry> = rows.iter().map(entry).collect();
    for entry in &entries {
        file.extend(writer.push(entry).expect("it compresses").unwrap_or_default());
    }
    let (last, id, _) = writer.finish(8).expect("it compresses");
    file.extend(last);
    edit(&mut file, edits);
    reseal_snapshot(&mut file);
    let mut found = Vec::new();
    let read = read_snapshot(file, id, &mut found);
    let same = found.len() == entries.len()
        && found.iter().zip(&entries).all(|(one, two)| one.key == two.key && one.row == two.row);
    assert!(same || !edits.is_empty(), "what was written does not read back");
    read.is_ok() && entries.len() > 2 && !edits.is_empty()
}

fn read_snapshot(file: Vec<u8>, id: SnapshotId, found: &mut Vec<Entry>) -> io::Result<u64> {
    snapshot::read::<Error>(&One(file), ("any", id), &mut |entry| {
        found.push(entry);
        Ok(())
    })
}

fn reseal_snapshot(file: &mut [u8]) {
    let seal = |bytes: &mut [u8]| {
        let (body, stored) = bytes.split_at_mut(bytes.len() - 4);
        stored.copy_from_slice(&checksum(&[body]).to_le_bytes());
    };
    let Some((header, mut rest)) = file.split_at_mut_checked(44) else { return };
    seal(header);
    let mut chain = checksum(&[header]).to_le_bytes();
    while rest.len() > 60 {
        let (frame, after) = rest.split_at_mut(20);
        let stored = u32::from_le_bytes(frame[8..12].try_into().expect("four bytes"));
        let Some((body, next)) = after.split_at_mut_checked(stored as usize) else { return };
        chain = checksum(&[&chain, &frame[..16], body]).to_le_bytes();
        frame[16..].copy_from_slice(&chain);
        rest = next;
    }
    if let Some((_, trailer)) = rest.len().checked_sub(40).map(|at| rest.split_at_mut(at)) {
        trailer[32..36].copy_from_slice(&chain);
        seal(trailer);
    }
}

/// Reads names of files, and an epoch file.
pub fn names(text: &str, epoch: &[u8]) {
    if let Some(id) = FileId::parse(text) {
        assert_eq!(id.name(), text);
    }
    if let Some(id) = SnapshotId::parse(text) {
        assert_eq!(id.name(), text);
    }
    let sealed = [epoch, &checksum(&[epoch]).to_le_bytes()].concat();
    for file in EpochFile::decode(&sealed).into_iter().chain(EpochFile::decode(epoch)) {
        assert_eq!(EpochFile::decode(&file.encode()), Some(file));
    }
}

fn edit(file: &mut [u8], edits: &[Edit]) {
    let length = file.len();
    for (at, byte) in edits {
        file[usize::from(*at) % length] = *byte;
    }
}

impl Files for One {
    fn read(&self, _: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.0.get(offset..));
        let rest = rest.unwrap_or_default();
        Ok(rest.get(..length).unwrap_or(rest).to_vec())
    }

    fn length(&self, _: &str) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn lock(&self) -> io::Result<()> {
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn create(&self, _: &str) -> io::Result<Box<dyn OpenFile>> {
        Err(ErrorKind::Unsupported.into())
    }

    fn open(&self, _: &str) -> io::Result<Box<dyn OpenFile>> {
        Err(ErrorKind::Unsupported.into())
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }

    fn free_bytes(&self) -> Option<u64> {
        None
    }

    fn mount(&self) -> Option<String> {
        None
    }
}
