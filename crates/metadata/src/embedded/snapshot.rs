//! Snapshots: the whole index in order, in one file per member.
//!
//! A snapshot is taken while commits go on, so by itself it shows no single moment; together with
//! the journal from its start to its end it does. The layout byte by byte is in
//! `docs/on-disk-format-metadata.md`.

use std::io;

use super::fields::{Fields, checksum, length32, sealed, verified};
use super::files::{Files, OpenFile};
use super::index::Entry;
use crate::engine::{KEY_BYTES_MAX, Row, Sequence, VALUE_BYTES_MAX};

/// Under this name a snapshot is written, and removed at a start.
pub const TEMPORARY: &str = "snapshot.tmp";

const HEADER_BYTES: usize = 44;
const HEADER_MAGIC: &[u8; 8] = b"LRDSNAP\0";
const FORMAT: u32 = 1;
const FRAME_HEADER_BYTES: usize = 20;
const FRAME_MAGIC: u32 = 0x4d52_4653;
/// A frame is closed once it holds this much. One more entry may go over.
const FRAME_BYTES: usize = 1 << 20;
const TRAILER_BYTES: usize = 40;
const TRAILER_MAGIC: &[u8; 8] = b"LRDSNEN\0";
const ZSTD_LEVEL: i32 = 1;

/// What tells a snapshot from others; also its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SnapshotId {
    /// The last commit of which it may show something.
    pub end: Sequence,
    /// It shows every commit up to here.
    pub start: Sequence,
    pub epoch: u64,
}

impl SnapshotId {
    pub fn name(&self) -> String {
        format!("{:016x}-{:016x}-{:016x}.snapshot", self.end, self.start, self.epoch)
    }

    pub fn parse(name: &str) -> Option<Self> {
        let mut parts = name.strip_suffix(".snapshot")?.split('-');
        let mut number = || u64::from_str_radix(parts.next()?, 16).ok();
        let id = Self { end: number()?, start: number()?, epoch: number()? };
        (id.name() == name).then_some(id)
    }
}

/// The snapshots of a directory, newest first.
pub fn list(files: &dyn Files) -> io::Result<Vec<SnapshotId>> {
    let names = files.list()?;
    let mut found: Vec<_> = names.iter().filter_map(|name| SnapshotId::parse(name)).collect();
    found.sort_unstable_by(|one, other| other.cmp(one));
    Ok(found)
}

/// Makes the bytes of a snapshot, frame by frame.
pub struct Writer {
    start: Sequence,
    epoch: u64,
    chain: u32,
    raw: Vec<u8>,
    raw_entries: u32,
    entries: u64,
    frames: u64,
}

impl Writer {
    /// Also answers the header, which the file begins with.
    pub fn new(start: Sequence, epoch: u64, created_unix_s: u64) -> (Self, Vec<u8>) {
        let mut header = HEADER_MAGIC.to_vec();
        header.extend(FORMAT.to_le_bytes());
        header.extend(0_u32.to_le_bytes());
        for number in [epoch, start, created_unix_s] {
            header.extend(number.to_le_bytes());
        }
        let header = sealed(header);
        let chain = checksum(&[&header]);
        let (raw, raw_entries, entries, frames) = (Vec::new(), 0, 0, 0);
        (Self { start, epoch, chain, raw, raw_entries, entries, frames }, header)
    }

    /// Adds a row; answers a frame to write whenever one is full.
    pub fn push(&mut self, entry: &Entry) -> io::Result<Option<Vec<u8>>> {
        self.raw.extend(u16::try_from(entry.key.len()).unwrap_or(u16::MAX).to_le_bytes());
        self.raw.extend(length32(entry.row.value.len()).to_le_bytes());
        self.raw.extend(entry.row.version.to_le_bytes());
        self.raw.extend(&entry.key);
        self.raw.extend(&entry.row.value);
        self.raw_entries += 1;
        self.entries += 1;
        if self.raw.len() < FRAME_BYTES { Ok(None) } else { self.frame().map(Some) }
    }

    /// The last frame and the trailer, the name, and how many rows there are.
    pub fn finish(mut self, end: Sequence) -> io::Result<(Vec<u8>, SnapshotId, u64)> {
        let mut last = if self.raw_entries > 0 { self.frame()? } else { Vec::new() };
        let mut trailer = TRAILER_MAGIC.to_vec();
        for number in [end, self.entries, self.frames] {
            trailer.extend(number.to_le_bytes());
        }
        trailer.extend(self.chain.to_le_bytes());
        last.extend(sealed(trailer));
        let id = SnapshotId { end, start: self.start, epoch: self.epoch };
        Ok((last, id, self.entries))
    }

    fn frame(&mut self) -> io::Result<Vec<u8>> {
        let stored = zstd::bulk::compress(&self.raw, ZSTD_LEVEL)?;
        let mut frame = FRAME_MAGIC.to_le_bytes().to_vec();
        for number in [length32(self.raw.len()), length32(stored.len()), self.raw_entries] {
            frame.extend(number.to_le_bytes());
        }
        self.chain = checksum(&[&self.chain.to_le_bytes(), &frame, &stored]);
        frame.extend(self.chain.to_le_bytes());
        frame.extend(stored);
        self.raw.clear();
        self.raw_entries = 0;
        self.frames += 1;
        Ok(frame)
    }
}

/// What the header says about the time of a snapshot.
pub fn created_unix_s(files: &dyn Files, id: SnapshotId) -> Option<u64> {
    let header = files.read(&id.name(), 0, HEADER_BYTES).ok()?;
    check_header(&header, id).map(|(created, _)| created)
}

/// Reads a snapshot, checking all of it, and hands each row to `each`. Answers how many there are.
///
/// # Errors
/// `InvalidData` if anything is damaged; `each` may have had some rows by then.
pub fn read<E: From<io::Error>>(
    files: &dyn Files,
    (name, id): (&str, SnapshotId),
    each: &mut dyn FnMut(Entry) -> Result<(), E>,
) -> Result<u64, E> {
    let header = files.read(name, 0, HEADER_BYTES)?;
    let (_, mut chain) = check_header(&header, id).ok_or_else(|| damaged(name))?;
    let mut offset = HEADER_BYTES as u64;
    let (mut entries, mut frames) = (0, 0);
    loop {
        let header = files.read(name, offset, FRAME_HEADER_BYTES)?;
        let Some(frame) = FrameHeader::parse(&header) else { break };
        let body = files.read(name, offset + FRAME_HEADER_BYTES as u64, frame.stored_bytes)?;
        let fixed = header.get(..16).unwrap_or_default();
        chain = checksum(&[&chain.to_le_bytes(), fixed, &body]);
        if chain != frame.chain {
            return Err(damaged(name).into());
        }
        let raw = zstd::bulk::decompress(&body, frame.raw_bytes)?;
        let mut fields = Fields(&raw);
        for _ in 0..frame.entries {
            each(parse_entry(&mut fields).ok_or_else(|| damaged(name))?)?;
        }
        entries += u64::from(frame.entries);
        frames += 1;
        offset += (FRAME_HEADER_BYTES + frame.stored_bytes) as u64;
    }
    let trailer = files.read(name, offset, TRAILER_BYTES)?;
    let expected = Some((id.end, entries, frames, chain));
    if parse_trailer(&trailer) != expected {
        return Err(damaged(name).into());
    }
    Ok(entries)
}

/// Copies a snapshot to another directory, synced and under its name.
pub fn copy(from: &dyn Files, to: &dyn Files, id: SnapshotId) -> io::Result<()> {
    const PART_BYTES: usize = 4 << 20;
    let mut file: Box<dyn OpenFile> = to.create(TEMPORARY)?;
    let mut offset = 0;
    loop {
        let part = from.read(&id.name(), offset, PART_BYTES)?;
        if part.is_empty() {
            break;
        }
        file.write_at(offset, &part)?;
        offset += part.len() as u64;
    }
    file.sync_data()?;
    drop(file);
    read::<io::Error>(to, (TEMPORARY, id), &mut |_| Ok(()))?;
    to.rename(TEMPORARY, &id.name())?;
    to.sync_dir()
}

struct FrameHeader {
    raw_bytes: usize,
    stored_bytes: usize,
    entries: u32,
    chain: u32,
}

impl FrameHeader {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        (fields.u32()? == FRAME_MAGIC).then_some(())?;
        let (raw_bytes, stored_bytes) = (fields.u32()?, fields.u32()?);
        let raw_bytes = usize::try_from(raw_bytes).ok()?;
        let stored_bytes = usize::try_from(stored_bytes).ok()?;
        let sane = raw_bytes <= FRAME_BYTES * 2 && stored_bytes <= FRAME_BYTES * 4;
        sane.then_some(())?;
        Some(Self { raw_bytes, stored_bytes, entries: fields.u32()?, chain: fields.u32()? })
    }
}

fn check_header(header: &[u8], id: SnapshotId) -> Option<(u64, u32)> {
    let mut fields = Fields(verified(header)?);
    (fields.bytes(8)? == HEADER_MAGIC && fields.u32()? == FORMAT).then_some(())?;
    fields.u32()?;
    let (epoch, start, created) = (fields.u64()?, fields.u64()?, fields.u64()?);
    (epoch == id.epoch && start == id.start).then(|| (created, checksum(&[header])))
}

fn parse_trailer(trailer: &[u8]) -> Option<(Sequence, u64, u64, u32)> {
    let mut fields = Fields(verified(trailer)?);
    (fields.bytes(8)? == TRAILER_MAGIC).then_some(())?;
    Some((fields.u64()?, fields.u64()?, fields.u64()?, fields.u32()?))
}

fn parse_entry(fields: &mut Fields<'_>) -> Option<Entry> {
    let (key, value) = (usize::from(fields.u16()?), usize::try_from(fields.u32()?).ok()?);
    (key <= KEY_BYTES_MAX && value <= VALUE_BYTES_MAX).then_some(())?;
    let version = fields.u64()?;
    let key = fields.bytes(key)?.to_vec();
    let value = fields.bytes(value)?.to_vec();
    Some(Entry { key, row: Row { version, value: value.into() } })
}

fn damaged(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{name} is damaged"))
}
