//! One log from the journal files of all members: which copy of which file holds which records.
//!
//! Copies of one file agree as far as they go, so what is damaged in one is taken from another. A
//! file of a later epoch voids everything older beyond its base: that is how the surplus of a
//! member that did not count is cut.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::files::Files;
use super::journal::{FileId, GroupWriter, Reader, Record, Segment, Summary};
use super::members::{MemberId, name};
use crate::engine::{EngineError, Sequence};

/// A copied group is closed once it holds this much.
const COPIED_GROUP_BYTES: usize = 1 << 20;

/// The journal files of one directory.
pub struct MemberFiles {
    pub id: MemberId,
    pub files: Arc<dyn Files>,
    /// Whether the member is active in the newest epoch. The files of others only serve to repair.
    pub current: bool,
    pub summaries: BTreeMap<FileId, Summary>,
}

impl MemberFiles {
    /// Reads all journal files of a directory. A file that cannot be read counts as empty.
    pub fn scan(id: MemberId, files: Arc<dyn Files>, current: bool) -> Result<Self, EngineError> {
        let names = files.list().map_err(|error| EngineError::io(name(&id), error))?;
        let mut summaries = BTreeMap::new();
        for file in names.iter().filter_map(|name| FileId::parse(name)) {
            let summary = Reader::new(&*files, file).summary().unwrap_or_else(|error| {
                tracing::warn!(file = file.name(), directory = name(&id), %error, "unreadable");
                Summary::default()
            });
            summaries.insert(file, summary);
        }
        Ok(Self { id, files, current, summaries })
    }
}

/// A run of records and the copy to read them from.
#[derive(Clone, Debug)]
struct Piece {
    file: FileId,
    member: usize,
    segment: Segment,
    first: Sequence,
    last: Sequence,
}

/// All records that count, in order, perhaps with gaps.
pub struct Log {
    members: Vec<MemberFiles>,
    pieces: Vec<Piece>,
    /// The highest record some copy calls durable.
    pub durable: Sequence,
    /// The last record of the log.
    pub end: Sequence,
}

impl Log {
    /// Puts the files of `members` together.
    ///
    /// - `durable`: a record known from elsewhere (index, clean mark) to have been durable.
    ///
    /// # Errors
    /// [`EngineError::Damaged`] if the last durable record is in no copy.
    pub fn merge(members: Vec<MemberFiles>, durable: Sequence) -> Result<Self, EngineError> {
        let mut log = Self { members, pieces: Vec::new(), durable: 0, end: 0 };
        let mut ids: Vec<FileId> = Vec::new();
        for member in log.members.iter().filter(|member| member.current) {
            ids.extend(member.summaries.keys());
        }
        ids.sort_unstable();
        ids.dedup();
        for id in &ids {
            log.cut(id.base);
            log.append(*id);
        }
        log.durable = log.durable.max(durable);
        log.end = log.contiguous_end();
        if log.end < log.durable {
            return Err(log.damaged(log.durable));
        }
        log.cut(log.end);
        Ok(log)
    }

    /// Refuses if a record after `after` is in no copy.
    pub fn require(&self, after: Sequence) -> Result<(), EngineError> {
        let mut next = after.saturating_add(1);
        for piece in &self.pieces {
            if piece.first > next {
                break;
            }
            next = next.max(piece.last.saturating_add(1));
        }
        if next > self.end { Ok(()) } else { Err(self.damaged(next)) }
    }

    /// Hands every record after `after` to `each`, in order.
    pub fn replay(
        &self,
        after: Sequence,
        each: &mut dyn FnMut(Record) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        self.require(after)?;
        let mut next = after.saturating_add(1);
        for piece in self.pieces.iter().filter(|piece| piece.last > after) {
            let Some(member) = self.members.get(piece.member) else { continue };
            let mut reader = Reader::new(&*member.files, piece.file);
            let mut pass = |record: Record| each(record).map_err(Stop::Engine);
            let range = (next.max(piece.first), piece.last);
            match reader.replay(&piece.segment, range, &mut pass) {
                Ok(None) => next = piece.last.saturating_add(1),
                Ok(Some(missing)) => return Err(self.damaged(missing)),
                Err(Stop::Engine(error)) => return Err(error),
                Err(Stop::Io(error)) => return Err(EngineError::io(piece.file.name(), error)),
            }
        }
        Ok(())
    }

    /// Hands the groups of a file that holds every record after its base to `write`. Answers the
    /// chain after the last one.
    pub fn copy(
        &self,
        id: FileId,
        write: &mut dyn FnMut(&[u8]) -> Result<(), EngineError>,
    ) -> Result<u32, EngineError> {
        let mut writer = GroupWriter::new(id, id.seed(), self.end);
        self.replay(id.base, &mut |record| {
            writer.push(&record);
            if writer.bytes() < COPIED_GROUP_BYTES {
                return Ok(());
            }
            let empty = GroupWriter::new(id, 0, self.end);
            let (group, chain) = std::mem::replace(&mut writer, empty).finish();
            writer = GroupWriter::new(id, chain, self.end);
            write(&group)
        })?;
        let left = writer.bytes() > 0;
        let (group, chain) = writer.finish();
        if left {
            write(&group)?;
        }
        Ok(chain)
    }

    /// Voids everything beyond `end`.
    pub fn end_at(&mut self, end: Sequence) {
        self.cut(end);
        self.end = self.end.min(end);
    }

    /// Whether the member `id` alone holds every record from `after` to [`Self::durable`].
    pub fn is_complete(&self, id: &MemberId, after: Sequence) -> bool {
        let Some(member) = self.members.iter().find(|member| member.id == *id) else {
            return false;
        };
        let own = MemberFiles {
            id: *id,
            files: Arc::clone(&member.files),
            current: true,
            summaries: member.summaries.clone(),
        };
        let newest = |member: &MemberFiles| member.summaries.keys().next_back().copied();
        let behind = self.members.iter().filter(|other| other.current);
        let behind = behind.filter_map(newest).max() > newest(member);
        let alone = Self::merge(vec![own], self.durable);
        !behind && member.current && alone.is_ok_and(|log| log.require(after).is_ok())
    }

    /// Bytes of journal in use after `after`, about.
    pub fn bytes_after(&self, after: Sequence) -> u64 {
        let mut files: BTreeMap<FileId, u64> = BTreeMap::new();
        for piece in self.pieces.iter().filter(|piece| piece.last > after) {
            let summaries = self.members.get(piece.member).map(|member| &member.summaries);
            let bytes = summaries.and_then(|files| files.get(&piece.file)).map_or(0, |s| s.bytes);
            files.insert(piece.file, bytes);
        }
        files.values().sum()
    }

    fn damaged(&self, sequence: Sequence) -> EngineError {
        let read: Vec<_> = self.members.iter().map(|member| name(&member.id)).collect();
        EngineError::Damaged(format!(
            "record {sequence} was durable, but is intact in none of the journals of {}",
            read.join(", ")
        ))
    }

    /// Voids everything beyond `base`.
    fn cut(&mut self, base: Sequence) {
        self.pieces.retain(|piece| piece.first <= base);
        for piece in &mut self.pieces {
            piece.last = piece.last.min(base);
        }
        self.durable = self.durable.min(base);
    }

    /// Adds the records of all copies of a file.
    fn append(&mut self, id: FileId) {
        let mut found = Vec::new();
        for (member, files) in self.members.iter().enumerate() {
            let Some(summary) = files.summaries.get(&id) else { continue };
            self.durable = self.durable.max(summary.durable);
            found.extend(summary.segments.iter().map(|segment| (member, segment.clone())));
        }
        let mut next = id.base.saturating_add(1);
        loop {
            let holds = |segment: &Segment| segment.first <= next && segment.last >= next;
            let usable = found.iter().filter(|(_, segment)| holds(segment));
            let Some((member, segment)) = usable.max_by_key(|(_, segment)| segment.last) else {
                let later = found.iter().map(|(_, segment)| segment.first);
                match later.filter(|first| *first > next).min() {
                    Some(first) => next = first,
                    None => break,
                }
                continue;
            };
            let last = segment.last;
            self.pieces.push(Piece {
                file: id,
                member: *member,
                segment: segment.clone(),
                first: next,
                last,
            });
            next = last.saturating_add(1);
        }
    }

    /// Where the log ends: at the first gap at or after the last durable record.
    fn contiguous_end(&self) -> Sequence {
        let mut end: Sequence = 0;
        for piece in &self.pieces {
            if piece.first > end.saturating_add(1) && end >= self.durable {
                break;
            }
            end = end.max(piece.last);
        }
        // A file without records still says where the log stands.
        let bases = self.members.iter().filter(|member| member.current);
        let base = bases.filter_map(|member| member.summaries.keys().next_back()).max();
        end.max(base.map_or(0, |id| id.base))
    }
}

enum Stop {
    Engine(EngineError),
    Io(std::io::Error),
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}
