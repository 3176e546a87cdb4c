//! The format of a journal file: a header, then groups of records, each record one commit.
//!
//! Every copy of a file has the same name and, as far as it got, the same bytes. A record's
//! checksum is chained to the one before; a group's header repeats the chain, so that reading can
//! go on behind damage. The layout byte by byte is in `docs/on-disk-format-metadata.md`. Who writes
//! is in `super::writer`, who chooses among copies in `super::log`.

use super::fields::{Fields, checksum, length32, sealed, verified};
use super::files::Files;
use crate::engine::resolve::Change;
use crate::engine::{COMMIT_CHANGES_MAX, KEY_BYTES_MAX, Sequence, VALUE_BYTES_MAX};

pub const FILE_HEADER_BYTES: u64 = 64;
const FILE_MAGIC: &[u8; 8] = b"LRDRJNL\0";
const FILE_FORMAT: u32 = 1;

const GROUP_HEADER_BYTES: usize = 64;
const GROUP_MAGIC: &[u8; 8] = b"LRDRGRP\0";
/// Groups begin at multiples of this, so that a search for the next one is quick.
const GROUP_ALIGNMENT: usize = 8;
/// A group is closed before it grows beyond this.
pub const GROUP_BYTES_MAX: usize = 8 << 20;

const RECORD_HEADER_BYTES: usize = 20;
const CHANGE_PUT: u8 = 1;
const CHANGE_DELETE: u8 = 2;

const WINDOW_BYTES: usize = 4 << 20;

/// What tells one journal file from all others; also its name, in the order of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId {
    pub epoch: u64,
    /// The records before the file's first one end here; what an older file holds beyond is void.
    pub base: Sequence,
    /// Random: keeps a stored value from looking like a group of this file.
    pub nonce: u64,
}

impl FileId {
    pub fn name(&self) -> String {
        format!("{:016x}-{:016x}-{:016x}.journal", self.epoch, self.base, self.nonce)
    }

    pub fn parse(name: &str) -> Option<Self> {
        let mut parts = name.strip_suffix(".journal")?.split('-');
        let mut number = || u64::from_str_radix(parts.next()?, 16).ok();
        let id = Self { epoch: number()?, base: number()?, nonce: number()? };
        (id.name() == name).then_some(id)
    }

    /// The chain before the first record.
    pub fn seed(&self) -> u32 {
        let (epoch, base, nonce) = (self.epoch, self.base, self.nonce);
        checksum(&[&epoch.to_le_bytes(), &base.to_le_bytes(), &nonce.to_le_bytes()])
    }

    /// The header of the file.
    ///
    /// - `carried`: the file was whole up to this record when it got its name.
    pub fn header(&self, carried: Sequence) -> Vec<u8> {
        let mut header = FILE_MAGIC.to_vec();
        header.extend(FILE_FORMAT.to_le_bytes());
        header.extend(0_u32.to_le_bytes());
        for number in [self.epoch, self.base, self.nonce, carried] {
            header.extend(number.to_le_bytes());
        }
        header.resize(60, 0);
        sealed(header)
    }
}

/// One commit as it is journalled: absolute values only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub sequence: Sequence,
    pub changes: Vec<Change>,
}

/// Builds a group of records, in order.
pub struct GroupWriter {
    id: FileId,
    durable: Sequence,
    first: Option<Sequence>,
    count: u32,
    chain_before: u32,
    chain: u32,
    body: Vec<u8>,
}

impl GroupWriter {
    /// - `chain`: of the record before, [`FileId::seed`] at the start of a file.
    /// - `durable`: every record up to here is known to be synced on all members.
    pub fn new(id: FileId, chain: u32, durable: Sequence) -> Self {
        let body = Vec::new();
        Self { id, durable, first: None, count: 0, chain_before: chain, chain, body }
    }

    pub fn bytes(&self) -> usize {
        self.body.len()
    }

    pub fn push(&mut self, record: &Record) {
        let mut payload = Vec::new();
        for (key, value) in &record.changes {
            payload.push(if value.is_some() { CHANGE_PUT } else { CHANGE_DELETE });
            payload.extend(u16::try_from(key.len()).unwrap_or(u16::MAX).to_le_bytes());
            payload.extend(length32(value.as_ref().map_or(0, Vec::len)).to_le_bytes());
            payload.extend(key);
            payload.extend(value.iter().flatten());
        }
        let mut header = length32(payload.len()).to_le_bytes().to_vec();
        header.extend(length32(record.changes.len()).to_le_bytes());
        header.extend(record.sequence.to_le_bytes());
        self.chain = checksum(&[&self.chain.to_le_bytes(), &header, &payload]);
        self.body.extend(header);
        self.body.extend(self.chain.to_le_bytes());
        self.body.extend(payload);
        self.first.get_or_insert(record.sequence);
        self.count += 1;
    }

    /// The group's bytes, and the chain after it.
    pub fn finish(self) -> (Vec<u8>, u32) {
        let mut group = GROUP_MAGIC.to_vec();
        let first = self.first.unwrap_or_default();
        for number in [self.id.epoch, self.id.base, self.durable, first] {
            group.extend(number.to_le_bytes());
        }
        for number in [self.count, length32(self.body.len()), self.chain_before, 0] {
            group.extend(number.to_le_bytes());
        }
        group.extend([0; 4]);
        let sum = checksum(&[&self.id.nonce.to_le_bytes(), &group]);
        group.extend(sum.to_le_bytes());
        group.extend(self.body);
        group.resize(group.len().next_multiple_of(GROUP_ALIGNMENT), 0);
        (group, self.chain)
    }
}

/// A run of records of one file without a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where its first group begins.
    pub offset: u64,
    pub chain: u32,
    pub first: Sequence,
    pub last: Sequence,
}

/// What one copy of a journal file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// In order of their records. More than one only if something between them is damaged.
    pub segments: Vec<Segment>,
    /// The highest record some header calls durable.
    pub durable: Sequence,
    /// Bytes in use.
    pub bytes: u64,
}

struct GroupHeader {
    durable: Sequence,
    first: Sequence,
    count: u32,
    body_bytes: usize,
    chain: u32,
}

/// Reads one copy of a journal file. Damage of any kind only ends a run of records.
pub struct Reader<'a> {
    files: &'a dyn Files,
    id: FileId,
    name: String,
    window: Vec<u8>,
    window_offset: u64,
}

impl<'a> Reader<'a> {
    pub fn new(files: &'a dyn Files, id: FileId) -> Self {
        Self { files, id, name: id.name(), window: Vec::new(), window_offset: 0 }
    }

    /// Reads the whole file and says what is in it.
    ///
    /// # Errors
    /// Only if the file cannot be read at all.
    pub fn summary(&mut self) -> std::io::Result<Summary> {
        let mut summary = Summary { bytes: FILE_HEADER_BYTES, ..Summary::default() };
        let id = self.id;
        let header = self.bytes(0, FILE_HEADER_BYTES as usize)?;
        summary.durable = header.and_then(|bytes| carried(bytes, id)).unwrap_or(id.base);
        let mut offset = FILE_HEADER_BYTES;
        let mut chain = self.id.seed();
        let mut searching = false;
        loop {
            if searching {
                match self.next_group(offset)? {
                    Some(found) => offset = found,
                    None => break,
                }
            }
            let Some(header) = self.group_header(offset)? else {
                if searching {
                    offset += GROUP_ALIGNMENT as u64;
                }
                searching = true;
                continue;
            };
            summary.durable = summary.durable.max(header.durable);
            let linked = !searching && header.chain == chain;
            // Most of a journal is only looked through.
            let (records, end) = self.records(offset, &header, |raw| raw.sequence)?;
            chain = end;
            let complete = records.len() == header.count as usize;
            if let (Some(first), Some(last)) = (records.first(), records.last()) {
                let (first, last) = (*first, *last);
                match summary.segments.last_mut().filter(|_| linked) {
                    Some(segment) if segment.last.checked_add(1) == Some(first) => {
                        segment.last = last
                    }
                    _ => {
                        summary.segments.push(Segment { offset, chain: header.chain, first, last })
                    }
                }
            }
            searching = !complete;
            offset += if complete { group_bytes(&header) } else { GROUP_ALIGNMENT as u64 };
            summary.bytes = summary.bytes.max(offset);
        }
        Ok(summary)
    }

    /// Hands the records of `segment` from `from` to `to` (both inclusive) to `each`, in order.
    ///
    /// Answers the next record that was wanted but is not readable, if so.
    pub fn replay<E: From<std::io::Error>>(
        &mut self,
        segment: &Segment,
        (from, to): (Sequence, Sequence),
        each: &mut dyn FnMut(Record) -> Result<(), E>,
    ) -> Result<Option<Sequence>, E> {
        let (mut offset, mut next) = (segment.offset, segment.first);
        while next <= to {
            let Some(header) = self.group_header(offset)? else { return Ok(Some(next)) };
            for record in self.records(offset, &header, |raw| raw.to_record())?.0 {
                if record.sequence != next {
                    return Ok(Some(next));
                }
                let complete = next >= to;
                next = next.saturating_add(1);
                if (from..=to).contains(&record.sequence) {
                    each(record)?;
                }
                if complete {
                    return Ok(None);
                }
            }
            let end = header.first.saturating_add(u64::from(header.count));
            if next != end && next <= to {
                return Ok(Some(next));
            }
            offset += group_bytes(&header);
        }
        Ok(None)
    }

    /// The next place at or after `offset` that looks like a group.
    fn next_group(&mut self, mut offset: u64) -> std::io::Result<Option<u64>> {
        offset = offset.next_multiple_of(GROUP_ALIGNMENT as u64);
        loop {
            let window = self.at_most(offset, WINDOW_BYTES)?;
            let mut places = window.chunks_exact(GROUP_ALIGNMENT);
            if let Some(index) = places.position(|place| place == GROUP_MAGIC) {
                return Ok(Some(offset + (index * GROUP_ALIGNMENT) as u64));
            }
            if window.len() < GROUP_ALIGNMENT {
                return Ok(None);
            }
            offset += (window.len() / GROUP_ALIGNMENT * GROUP_ALIGNMENT) as u64;
        }
    }

    fn group_header(&mut self, offset: u64) -> std::io::Result<Option<GroupHeader>> {
        let id = self.id;
        Ok(self.bytes(offset, GROUP_HEADER_BYTES)?.and_then(|bytes| parse_group_header(bytes, id)))
    }

    /// What `take` makes of the records of a group, as far as they are intact, and the chain after
    /// them.
    fn records<T>(
        &mut self,
        offset: u64,
        header: &GroupHeader,
        take: impl Fn(&RawRecord<'_>) -> T,
    ) -> std::io::Result<(Vec<T>, u32)> {
        let body = self.at_most(offset + GROUP_HEADER_BYTES as u64, header.body_bytes)?;
        let mut fields = Fields(body);
        let mut records = Vec::new();
        let (mut chain, mut next) = (header.chain, header.first);
        while records.len() < header.count as usize {
            let Some((record, sum)) = parse_record(&mut fields, chain, next) else { break };
            records.push(take(&record));
            (chain, next) = (sum, next.saturating_add(1));
        }
        Ok((records, chain))
    }

    /// Exactly `length` bytes, or `None` beyond the end of the file.
    fn bytes(&mut self, offset: u64, length: usize) -> std::io::Result<Option<&[u8]>> {
        Ok(Some(self.at_most(offset, length)?).filter(|bytes| bytes.len() == length))
    }

    fn at_most(&mut self, offset: u64, length: usize) -> std::io::Result<&[u8]> {
        let inside = |window: &Vec<u8>, start: u64| {
            let skip = usize::try_from(offset.checked_sub(start)?).ok()?;
            (skip + length <= window.len()).then_some(skip)
        };
        let skip = match inside(&self.window, self.window_offset) {
            Some(skip) => skip,
            None => {
                self.window = self.files.read(&self.name, offset, length.max(WINDOW_BYTES))?;
                self.window_offset = offset;
                0
            }
        };
        let rest = self.window.get(skip..).unwrap_or_default();
        Ok(rest.get(..length).unwrap_or(rest))
    }
}

/// What the header of the file `id` says about the records carried into it.
fn carried(header: &[u8], id: FileId) -> Option<Sequence> {
    let mut fields = Fields(verified(header)?);
    (fields.bytes(8)? == FILE_MAGIC).then_some(())?;
    (fields.u32()? == FILE_FORMAT).then_some(())?;
    fields.u32()?;
    let found = FileId { epoch: fields.u64()?, base: fields.u64()?, nonce: fields.u64()? };
    (found == id).then_some(())?;
    fields.u64()
}

fn group_bytes(header: &GroupHeader) -> u64 {
    (GROUP_HEADER_BYTES + header.body_bytes).next_multiple_of(GROUP_ALIGNMENT) as u64
}

fn parse_group_header(bytes: &[u8], id: FileId) -> Option<GroupHeader> {
    let (body, stored) = bytes.split_last_chunk::<4>()?;
    (checksum(&[&id.nonce.to_le_bytes(), body]) == u32::from_le_bytes(*stored)).then_some(())?;
    let mut fields = Fields(body);
    (fields.bytes(8)? == GROUP_MAGIC).then_some(())?;
    (fields.u64()? == id.epoch && fields.u64()? == id.base).then_some(())?;
    let (durable, first) = (fields.u64()?, fields.u64()?);
    let (count, body_bytes) = (fields.u32()?, usize::try_from(fields.u32()?).ok()?);
    let chain = fields.u32()?;
    let sane = first > id.base && body_bytes <= GROUP_BYTES_MAX * 2 && count > 0;
    sane.then_some(GroupHeader { durable, first, count, body_bytes, chain })
}

/// A record that was checked, where it lies.
struct RawRecord<'a> {
    sequence: Sequence,
    changes: &'a [u8],
}

impl RawRecord<'_> {
    fn to_record(&self) -> Record {
        let mut payload = Fields(self.changes);
        let next = || parse_change(&mut payload);
        let owned = |(key, value): RawChange<'_>| (key.to_vec(), value.map(<[u8]>::to_vec));
        Record { sequence: self.sequence, changes: std::iter::from_fn(next).map(owned).collect() }
    }
}

/// Key and value, or none for a deletion.
type RawChange<'a> = (&'a [u8], Option<&'a [u8]>);

fn parse_record<'a>(
    fields: &mut Fields<'a>,
    chain: u32,
    next: Sequence,
) -> Option<(RawRecord<'a>, u32)> {
    let header = fields.bytes(RECORD_HEADER_BYTES)?;
    let mut numbers = Fields(header);
    let (length, count) = (numbers.u32()?, numbers.u32()?);
    let (sequence, stored) = (numbers.u64()?, numbers.u32()?);
    let changes = fields.bytes(usize::try_from(length).ok()?)?;
    let sum = checksum(&[&chain.to_le_bytes(), header.get(..16)?, changes]);
    (sum == stored && sequence == next).then_some(())?;
    let count = usize::try_from(count).ok().filter(|count| *count <= COMMIT_CHANGES_MAX)?;
    let mut payload = Fields(changes);
    for _ in 0..count {
        parse_change(&mut payload)?;
    }
    payload.0.is_empty().then_some((RawRecord { sequence, changes }, sum))
}

fn parse_change<'a>(fields: &mut Fields<'a>) -> Option<RawChange<'a>> {
    let kind = fields.u8()?;
    let (key, value) = (usize::from(fields.u16()?), usize::try_from(fields.u32()?).ok()?);
    (key <= KEY_BYTES_MAX && value <= VALUE_BYTES_MAX).then_some(())?;
    let (key, value) = (fields.bytes(key)?, fields.bytes(value)?);
    match kind {
        CHANGE_PUT => Some((key, Some(value))),
        CHANGE_DELETE if value.is_empty() => Some((key, None)),
        _ => None,
    }
}
