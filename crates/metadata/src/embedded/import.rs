//! The way back from an export: its two files, and an epoch file, in empty metadata directories.
//!
//! Every byte is checked on the way, and read back from the directories as a start will read it.
//! The epoch file comes last, so that a start finds all or nothing.

use std::io::{self, ErrorKind, Read};
use std::path::PathBuf;
use std::sync::Arc;

use super::MetadataDirectory;
use super::export::{
    End, HEADER_BYTES, Header, Kind, PIECE_BYTES_MAX, PIECE_HEADER_BYTES, chained,
};
use super::fields::{Fields, checksum, length32};
use super::files::{Directory, Files, OpenFile, replace};
use super::journal::FileId;
use super::log::{Log, MemberFiles};
use super::members::{self, EPOCH_FILE, EpochFile, MemberId, name};
use super::room::TAKEN;
use super::snapshot::{self, SnapshotId, TEMPORARY};
use crate::engine::{EngineError, Sequence};

/// How far the epochs of an import are ahead of all that the origin may have begun since: should
/// directories of both ever meet, the imported ones count.
const LEAP: u64 = 1 << 32;

/// What an export holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Whose metadata it is.
    pub origin: [u8; 16],
    pub created_unix_s: u64,
    /// It is what there was after this commit.
    pub sequence: Sequence,
    pub rows: u64,
    /// Commits made while it was read, which the journal in it adds.
    pub records: u64,
    pub bytes: u64,
}

/// Reads an export through and checks every byte: that it is whole and as it was written. Whether
/// a start can use what it holds, [`import`] finds out.
///
/// # Errors
/// [`EngineError::Damaged`] if it is damaged, cut off, or goes on behind its end.
pub fn verify(export: &mut dyn Read) -> Result<Exported, EngineError> {
    import_into(export, (None, 0), &[])
}

/// Puts an export into metadata directories, whose folders are made. The next start begins there;
/// with none but these, or another directory's later epoch might count.
///
/// - `origin`: whose metadata it has to be.
/// - `replaced`: folders with metadata that shall count no more, should it ever be found again.
///
/// # Errors
/// Those of [`verify`]; [`EngineError::Refused`] if it is of another origin or a directory is not
/// empty. No start takes what is left then for metadata.
pub fn import(
    export: &mut dyn Read,
    (origin, replaced): ([u8; 16], &[PathBuf]),
    directories: &[MetadataDirectory],
) -> Result<Exported, EngineError> {
    let promised = |path: &PathBuf| members::promised(path).unwrap_or_default();
    let promised = replaced.iter().map(promised).max().unwrap_or_default();
    let mut places: Vec<(MemberId, Arc<dyn Files>)> = Vec::new();
    for directory in directories {
        let files = Directory::open(&directory.path);
        let files = files.map_err(|error| EngineError::io(name(&directory.id), error))?;
        places.push((directory.id, Arc::new(files)));
    }
    import_into(export, (Some(origin), promised), &places)
}

pub(super) fn import_into(
    export: &mut dyn Read,
    (origin, above): (Option<[u8; 16]>, u64),
    to: &[(MemberId, Arc<dyn Files>)],
) -> Result<Exported, EngineError> {
    let mut reader = Reader { export, bytes: 0, chain: 0 };
    let header = reader.header()?;
    if origin.is_some_and(|origin| origin != header.origin) {
        return Err(EngineError::Refused("the export is of another store".to_owned()));
    }
    let mut places = Vec::new();
    for (id, files) in to {
        places.push(Place::begin(*id, &**files).map_err(|error| refused(id, error))?);
    }
    let end = reader.pieces(&mut |kind, content| {
        places.iter_mut().try_for_each(|place| {
            place.append(kind, content).map_err(|error| EngineError::io(name(&place.id), error))
        })
    })?;
    let snapshot = SnapshotId { end: end.sequence, start: end.start, epoch: header.epoch };
    let journal = FileId { epoch: header.epoch, base: end.start, nonce: header.nonce };
    for place in &mut places {
        let named = place.finish((&snapshot.name(), &journal.name()));
        named.map_err(|error| EngineError::io(name(&place.id), error))?;
    }
    for (id, files) in to {
        check(id, files, (snapshot, end.rows))?;
    }
    let epoch = EpochFile {
        promised: header.epoch.max(above).saturating_add(LEAP),
        in_force: header.epoch,
        min_journals: length32(to.len() / 2 + 1),
        joining: false,
        members: to.iter().map(|(id, _)| (*id, true)).collect(),
    };
    for place in &places {
        let written = replace(place.files, EPOCH_FILE, &epoch.encode());
        written.map_err(|error| EngineError::io(name(&place.id), error))?;
    }
    Ok(Exported {
        origin: header.origin,
        created_unix_s: header.created_unix_s,
        sequence: end.sequence,
        rows: end.rows,
        records: end.sequence.saturating_sub(end.start),
        bytes: reader.bytes,
    })
}

/// Reads back what lies in a directory, as a start will: the checksums around it say that it came
/// as it was sent, not that a start can make anything of it.
fn check(
    id: &MemberId,
    files: &Arc<dyn Files>,
    (snapshot, rows): (SnapshotId, u64),
) -> Result<(), EngineError> {
    let found =
        snapshot::read::<io::Error>(&**files, (&snapshot.name(), snapshot), &mut |_| Ok(()));
    match found {
        Ok(found) if found == rows => {}
        Ok(_) => return Err(damaged("it has other rows than it says")),
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            return Err(damaged("its snapshot cannot be read"));
        }
        Err(error) => return Err(EngineError::io(name(id), error)),
    }
    let member = MemberFiles::scan(*id, Arc::clone(files), true)?;
    let unusable = || damaged("its journal does not make its snapshot exact");
    let log = Log::merge(vec![member], snapshot.end).map_err(|_| unusable())?;
    log.replay(snapshot.start, &mut |_| Ok(())).map_err(|_| unusable())?;
    if log.end == snapshot.end { Ok(()) } else { Err(unusable()) }
}

/// Who takes the content of each piece.
type Each<'a> = &'a mut dyn FnMut(Kind, &[u8]) -> Result<(), EngineError>;

struct Reader<'a> {
    export: &'a mut dyn Read,
    bytes: u64,
    chain: u32,
}

impl Reader<'_> {
    fn header(&mut self) -> Result<Header, EngineError> {
        let bytes = self.take(HEADER_BYTES as u64)?;
        self.chain = checksum(&[&bytes]);
        Header::decode(&bytes).ok_or_else(|| damaged("this is no export, or its head is damaged"))
    }

    /// Hands the content of every piece to `each`, but of the last one, which is answered.
    fn pieces(&mut self, each: Each<'_>) -> Result<End, EngineError> {
        let mut found = End::default();
        let mut last = Kind::Snapshot;
        loop {
            let (kind, content) = self.piece()?;
            let out_of_order = kind < last;
            last = kind;
            let sum = match kind {
                _ if out_of_order => return Err(damaged("the pieces are out of order")),
                Kind::Snapshot => &mut found.snapshot_bytes,
                Kind::Journal => &mut found.journal_bytes,
                Kind::End => break self.end(&content, found),
            };
            *sum += content.len() as u64;
            each(kind, &content)?;
        }
    }

    fn piece(&mut self) -> Result<(Kind, Vec<u8>), EngineError> {
        let header = self.take(PIECE_HEADER_BYTES as u64)?;
        let (fixed, stored) = header.split_at_checked(8).unwrap_or_default();
        let mut fields = Fields(fixed);
        let kind = fields.u32().and_then(Kind::parse);
        let length = fields.u32().filter(|length| *length <= PIECE_BYTES_MAX);
        let (Some(kind), Some(length)) = (kind, length) else {
            return Err(damaged("the head of a piece is damaged"));
        };
        let content = self.take(u64::from(length))?;
        self.chain = chained(self.chain, fixed, &content);
        if Fields(stored).u32() != Some(self.chain) {
            return Err(damaged("the checksum of a piece is wrong"));
        }
        Ok((kind, content))
    }

    fn end(&mut self, content: &[u8], found: End) -> Result<End, EngineError> {
        let end = End::decode(content).filter(|end| {
            let bytes = (end.snapshot_bytes, end.journal_bytes);
            bytes == (found.snapshot_bytes, found.journal_bytes) && end.start <= end.sequence
        });
        let end = end.ok_or_else(|| damaged("its end does not fit what came before"))?;
        let mut more = Vec::new();
        self.export.take(1).read_to_end(&mut more).map_err(reading)?;
        if more.is_empty() { Ok(end) } else { Err(damaged("it goes on behind its end")) }
    }

    fn take(&mut self, length: u64) -> Result<Vec<u8>, EngineError> {
        let mut bytes = Vec::new();
        let mut limited = (&mut *self.export).take(length);
        limited.read_to_end(&mut bytes).map_err(reading)?;
        self.bytes += length;
        if bytes.len() as u64 == length { Ok(bytes) } else { Err(damaged("it is cut off")) }
    }
}

/// A directory that is being filled.
struct Place<'a> {
    id: MemberId,
    files: &'a dyn Files,
    snapshot: (Box<dyn OpenFile>, u64),
    journal: (Box<dyn OpenFile>, u64),
}

impl<'a> Place<'a> {
    fn begin(id: MemberId, files: &'a dyn Files) -> io::Result<Self> {
        files.lock()?;
        if files.list()?.iter().any(|name| name != "lock") {
            return Err(ErrorKind::DirectoryNotEmpty.into());
        }
        let (snapshot, journal) = (files.create(TEMPORARY)?, files.create(TAKEN)?);
        Ok(Self { id, files, snapshot: (snapshot, 0), journal: (journal, 0) })
    }

    fn append(&mut self, kind: Kind, content: &[u8]) -> io::Result<()> {
        let file = if kind == Kind::Snapshot { &mut self.snapshot } else { &mut self.journal };
        file.0.write_at(file.1, content)?;
        file.1 += content.len() as u64;
        Ok(())
    }

    fn finish(&mut self, (snapshot, journal): (&str, &str)) -> io::Result<()> {
        self.snapshot.0.sync_data()?;
        self.journal.0.sync_data()?;
        self.files.rename(TEMPORARY, snapshot)?;
        self.files.rename(TAKEN, journal)?;
        self.files.sync_dir()
    }
}

fn refused(id: &MemberId, error: io::Error) -> EngineError {
    match error.kind() {
        ErrorKind::DirectoryNotEmpty => {
            EngineError::Refused(format!("the metadata directory {} is not empty", name(id)))
        }
        _ => EngineError::io(name(id), error),
    }
}

fn reading(error: io::Error) -> EngineError {
    EngineError::io("reading the export", error)
}

fn damaged(what: &str) -> EngineError {
    EngineError::Damaged(format!("the export cannot be used: {what}"))
}
