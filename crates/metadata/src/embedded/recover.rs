//! The start: finds out what is true, makes it durable on every member, and brings the index there.
//!
//! The rules are in `docs/on-disk-format-metadata.md`, as numbered steps; the functions here follow
//! them in that order.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::carry::carry;
use super::commit::random;
use super::files::{Files, read_small};
use super::index::{Index, remove_aside};
use super::journal::FileId;
use super::loading::Loader;
use super::log::{Log, MemberFiles};
use super::marks::{CleanMark, Session};
use super::members::{EPOCH_FILE, EpochFile, MemberId, Standing, judge, name};
use super::room::{Room, TAKEN};
use super::snapshot::{self, SnapshotId, TEMPORARY};
use super::team::{Member, Position, Team};
use super::{EmbeddedSettings, Progress};
use crate::engine::{EngineError, Sequence};

const PROGRESS_EVERY: u64 = 10_000;

/// What a start did, one line a step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    pub lines: Vec<String>,
    /// Whether the index was kept rather than rebuilt.
    pub index_kept: bool,
    /// The last commit found.
    pub sequence: Sequence,
    /// Rows and journal records put into the index.
    pub entries_loaded: u64,
    pub records_replayed: u64,
    /// Rows written for these records: one that many of them change is written now and then.
    pub rows_replayed: u64,
}

impl fmt::Display for RecoveryReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(formatter, "{line}"))
    }
}

impl RecoveryReport {
    fn say(&mut self, line: String) {
        tracing::info!("{line}");
        self.lines.push(line);
    }
}

/// A directory as it was found.
#[derive(Clone)]
pub struct Found {
    pub id: MemberId,
    pub files: Arc<dyn Files>,
    /// Where the index lies if this directory is the first.
    pub index: PathBuf,
    pub clean: Option<CleanMark>,
}

/// What every directory knows of epochs; `None` if it knows nothing.
type Epochs = BTreeMap<MemberId, Option<EpochFile>>;

/// All that serving needs.
pub struct Recovered {
    pub index: Index,
    pub team: Team,
    pub file: FileId,
    pub position: Position,
    /// Journal since the newest snapshot.
    pub journal_bytes: u64,
    pub rooms: Vec<Arc<Room>>,
    /// The directory with the index.
    pub index_of: MemberId,
    pub index_files: Arc<dyn Files>,
}

/// The start, as far as it got.
struct Start<'a> {
    settings: &'a EmbeddedSettings,
    found: Vec<Found>,
    epochs: Epochs,
    standing: Standing,
    index_path: PathBuf,
    report: RecoveryReport,
    progress: &'a mut dyn FnMut(Progress),
}

/// Recovers the metadata in `found`.
///
/// - `seek_index`: an index that can be used is looked for on all of them; else the first one has
///   it, or gets it.
pub fn recover(
    settings: &EmbeddedSettings,
    (found, seek_index): (Vec<Found>, bool),
    progress: &mut dyn FnMut(Progress),
) -> Result<(Recovered, RecoveryReport), EngineError> {
    let mut report = RecoveryReport::default();
    let (mut found, mut epochs) = usable(found, &mut report)?;
    let standing = loop {
        let standing = judge(&epochs, settings.min_journals, &settings.accept_loss)
            .map_err(EngineError::Refused)?;
        if standing.in_force == 0 && !settings.first_start {
            return Err(EngineError::Refused(missing_metadata(settings, &found)));
        }
        let before = found.len();
        // The clean marks go before anything can change.
        found.retain(|directory| match CleanMark::remove(&*directory.files) {
            Ok(()) => true,
            Err(error) => {
                report.say(format!("{}: cannot be used: {error}", name(&directory.id)));
                epochs.remove(&directory.id);
                false
            }
        });
        if found.len() == before {
            break standing;
        }
    };
    for id in &standing.missing {
        report.say(format!("{}: missing", name(id)));
    }
    let holds_index = |found: &Found| {
        Session::is_of(&*found.files, standing.in_force) && is_trusted(found, standing.in_force)
    };
    if let Some(holder) = found.iter().position(holds_index).filter(|_| seek_index) {
        found.swap(0, holder);
    }
    let first = found.first().ok_or_else(|| EngineError::Refused("no directory".into()))?;
    let index_path = first.index.clone();
    let start = Start { settings, found, epochs, standing, index_path, report, progress };
    start.run()
}

/// Whether everything that the index there ever wrote can still be there.
fn is_trusted(found: &Found, epoch: u64) -> bool {
    let clean = found.clean.as_ref().is_some_and(|mark| mark.epoch == epoch);
    epoch > 0 && (clean || Session::matches(&*found.files, epoch))
}

/// Says that no epoch is in force anywhere, although there should be one.
fn missing_metadata(settings: &EmbeddedSettings, found: &[Found]) -> String {
    let place = |found: &Found| {
        let known = settings.directories.iter().find(|directory| directory.id == found.id);
        known.map_or_else(|| name(&found.id), |known| known.path.display().to_string())
    };
    let places: Vec<_> = found.iter().map(place).collect();
    format!(
        "metadata is missing: there is none in {}, though this store was begun before; \
         mount it or restore it there, or name empty directories to make a new store",
        places.join(", ")
    )
}

/// Locks the directories, and reads what they know of epochs. Those that cannot be read or written
/// are left out, as if they were missing.
fn usable(
    found: Vec<Found>,
    report: &mut RecoveryReport,
) -> Result<(Vec<Found>, Epochs), EngineError> {
    let (mut usable, mut epochs) = (Vec::new(), BTreeMap::new());
    for mut directory in found {
        let id = name(&directory.id);
        let files = Arc::clone(&directory.files);
        let files = &*files;
        match files.lock().and_then(|()| remove_leftovers(files)) {
            Ok(epoch_file) => {
                let epoch = epoch_file.as_deref().and_then(EpochFile::decode);
                if epoch_file.is_some() && epoch.is_none() {
                    report.say(format!("{id}: the epoch file is damaged; it joins anew"));
                }
                epochs.insert(directory.id, epoch);
                directory.clean = CleanMark::read(files);
                usable.push(directory);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(EngineError::InUse(id));
            }
            Err(error) => report.say(format!("{id}: cannot be used: {error}")),
        }
    }
    Ok((usable, epochs))
}

/// Removes unfinished files; answers the epoch file.
fn remove_leftovers(files: &dyn Files) -> io::Result<Option<Vec<u8>>> {
    for name in [TEMPORARY, TAKEN, "room.tmp", "epoch.tmp", "clean.tmp", "session.tmp"] {
        files.remove(name)?;
    }
    files.sync_dir()?;
    read_small(files, EPOCH_FILE)
}

/// What the journals, or a clean end, say.
struct Truth {
    log: Option<Arc<Log>>,
    end: Sequence,
    /// Every complete member holds all records up to here.
    durable: Sequence,
}

impl Start<'_> {
    fn run(mut self) -> Result<(Recovered, RecoveryReport), EngineError> {
        let first =
            self.found.first().ok_or_else(|| EngineError::Refused("no directory".into()))?;
        for directory in &self.found {
            if self.room(directory).release_if_short() {
                self.report.say(format!("{}: the disk is full", name(&directory.id)));
            }
        }
        let (index_of, index_files) = (first.id, Arc::clone(&first.files));
        let trusted = is_trusted(first, self.standing.in_force);
        let marks: Vec<_> = self.found.iter().map(|found| found.clean.clone()).collect();
        let index =
            if trusted { self.open_index(marks.first().and_then(Option::as_ref)) } else { None };
        let applied = index.as_ref().map(Index::applied);
        let truth = self.find_truth(&marks, applied)?;
        let usable = self.usable_snapshots(truth.log.as_deref())?;
        let (index, chosen, damaged) = match index {
            Some(index) => (self.catch_up(index, &truth)?, usable.first().cloned(), Vec::new()),
            None => self.rebuild(&truth, &usable)?,
        };
        let chosen = chosen.map(|(id, _)| id);
        let hollow = self.rests_on_index(&truth, chosen);
        let incomplete =
            if hollow { BTreeSet::new() } else { self.incomplete(&truth, chosen, &damaged) };
        let base = if incomplete.is_empty() {
            truth.durable
        } else {
            chosen.map_or(0, |snapshot| snapshot.start)
        };
        let (team, file, position, rooms) = self.begin(&truth, base, (&incomplete, chosen))?;
        index.mark(team.epoch(), truth.end)?;
        Session::write(&*index_files, team.epoch());
        self.drop_old_copies(&incomplete, file, chosen);
        self.drop_old_indexes();
        self.report.sequence = truth.end;
        self.report.say(format!(
            "epoch {} begins with {} journals at sequence {}",
            team.epoch(),
            team.members().len(),
            truth.end
        ));
        let journal_bytes = match (&truth.log, marks.first()) {
            // Only a new snapshot makes the journals sufficient again.
            _ if hollow => u64::MAX / 2,
            (None, Some(Some(mark))) => mark.journal_bytes,
            (log, _) => {
                let since = chosen.map_or(0, |snapshot| snapshot.start);
                log.as_ref().map_or(0, |log| log.bytes_after(since))
            }
        };
        let recovered =
            Recovered { index, team, file, position, journal_bytes, rooms, index_of, index_files };
        Ok((recovered, self.report))
    }

    fn open_index(&mut self, mark: Option<&CleanMark>) -> Option<Index> {
        let epoch = self.standing.in_force;
        let expected = mark.filter(|mark| mark.epoch == epoch).map(|mark| mark.sequence);
        let opened = Index::open(&self.index_path, self.settings.cache_bytes);
        let opened = opened.and_then(|index| Ok((index.marked()?, index)));
        match opened {
            Ok((Some((marked, applied)), index))
                if marked == epoch && expected.is_none_or(|expected| expected == applied) =>
            {
                Some(index)
            }
            Ok(_) => {
                self.report.say("the index is of another time than the journal".to_owned());
                None
            }
            Err(error) => {
                self.report.say(format!("the index does not open: {error}"));
                None
            }
        }
    }

    fn find_truth(
        &mut self,
        marks: &[Option<CleanMark>],
        applied: Option<Sequence>,
    ) -> Result<Truth, EngineError> {
        let epoch = self.standing.in_force;
        let of_epoch = |mark: &&CleanMark| mark.epoch == epoch && epoch > 0;
        let clean: Vec<_> = marks.iter().flatten().filter(of_epoch).collect();
        let agreed = clean.len() == self.found.len()
            && self.standing.current.len() == self.found.len()
            && clean.iter().all(|mark| Some(mark.sequence) == applied);
        if let (true, Some(end)) = (agreed, applied) {
            self.report.say(format!("closed cleanly at sequence {end}; journals not read"));
            return Ok(Truth { log: None, end, durable: end });
        }
        let known = clean.iter().map(|mark| mark.sequence).max();
        let known = known.unwrap_or(0).max(applied.unwrap_or(0));
        let log = Log::merge(self.scan()?, known)?;
        let (end, durable) = (log.end, log.durable);
        self.report.say(format!(
            "journals read: last record {end}, known durable {durable}, epoch {epoch}"
        ));
        Ok(Truth { log: Some(Arc::new(log)), end, durable })
    }

    /// Reads all journals, every directory in a thread of its own.
    fn scan(&mut self) -> Result<Vec<MemberFiles>, EngineError> {
        (self.progress)(Progress::ReadingJournals { directories: self.found.len() });
        let new_store = self.standing.in_force == 0;
        let mut members = Vec::new();
        std::thread::scope(|scope| {
            let mut threads = Vec::new();
            for directory in &self.found {
                let current = new_store || self.standing.current.contains(&directory.id);
                let (id, files) = (directory.id, Arc::clone(&directory.files));
                threads.push(scope.spawn(move || MemberFiles::scan(id, files, current)));
            }
            for thread in threads {
                let gone = |_| EngineError::Damaged("a journal reader stopped".to_owned());
                members.push(thread.join().map_err(gone)??);
            }
            Ok(members)
        })
    }

    /// Snapshots that the log makes exact, newest first, with the directories that have them.
    fn usable_snapshots(
        &self,
        log: Option<&Log>,
    ) -> Result<Vec<(SnapshotId, Vec<Found>)>, EngineError> {
        let mut found: BTreeMap<SnapshotId, Vec<Found>> = BTreeMap::new();
        for directory in &self.found {
            if !self.standing.current.contains(&directory.id) {
                continue;
            }
            let snapshots = snapshot::list(&*directory.files);
            for id in snapshots.map_err(|error| EngineError::io(name(&directory.id), error))? {
                let reaches = |log: &Log| id.end <= log.end && log.require(id.start).is_ok();
                if log.is_none_or(reaches) {
                    found.entry(id).or_default().push(directory.clone());
                }
            }
        }
        Ok(found.into_iter().rev().collect())
    }

    fn catch_up(&mut self, index: Index, truth: &Truth) -> Result<Index, EngineError> {
        self.report.index_kept = true;
        let applied = index.applied();
        if let Some(log) = &truth.log {
            self.replay(log, &index, applied)?;
        }
        self.report.say(format!("index kept; replayed {applied}..={}", truth.end));
        Ok(index)
    }

    fn replay(&mut self, log: &Log, index: &Index, after: Sequence) -> Result<(), EngineError> {
        let mut loader = Loader::new(index, self.standing.in_force, self.settings.load_bytes);
        let (mut count, mut beyond) = (0, false);
        log.replay(after, &mut |record| {
            count += 1;
            if record.sequence > log.durable && !beyond {
                // Should this start be the last that finds it, no part of it may stay behind.
                loader.flush()?;
                self.found.iter().take(1).for_each(|first| Session::forget(&*first.files));
                beyond = true;
            }
            if count % PROGRESS_EVERY == 0 {
                (self.progress)(Progress::Replaying { sequence: record.sequence, last: log.end });
            }
            loader.record(record)
        })?;
        self.report.records_replayed += count;
        self.report.rows_replayed += loader.finish()?;
        Ok(())
    }

    /// Makes a new index from the newest snapshot that is intact, and the journal after it.
    /// Also answers the directories whose copy of that snapshot is damaged.
    #[expect(clippy::type_complexity, reason = "one caller takes it apart at once")]
    fn rebuild(
        &mut self,
        truth: &Truth,
        usable: &[(SnapshotId, Vec<Found>)],
    ) -> Result<(Index, Option<(SnapshotId, Vec<Found>)>, Vec<MemberId>), EngineError> {
        let log = truth.log.clone().ok_or_else(|| EngineError::Damaged("no journal".into()))?;
        for (id, directories) in usable {
            let mut damaged = Vec::new();
            for directory in directories {
                let index = self.empty_index()?;
                match self.load(&index, directory, *id) {
                    Ok(()) => {
                        self.replay(&log, &index, id.start)?;
                        return Ok((index, Some((*id, directories.clone())), damaged));
                    }
                    Err(error) => {
                        self.report.say(format!("{}: {error}", name(&directory.id)));
                        damaged.push(directory.id);
                    }
                }
            }
        }
        let index = self.empty_index()?;
        self.replay(&log, &index, 0)?;
        self.report.say(format!("index built from the journal alone, to {}", truth.end));
        Ok((index, None, Vec::new()))
    }

    fn empty_index(&self) -> Result<Index, EngineError> {
        let aside = Index::set_aside(&self.index_path);
        aside.map_err(|error| EngineError::io("moving the index aside", error))?;
        Index::open(&self.index_path, self.settings.cache_bytes)
    }

    fn load(
        &mut self,
        index: &Index,
        directory: &Found,
        id: SnapshotId,
    ) -> Result<(), EngineError> {
        let mut loader = Loader::new(index, self.standing.in_force, self.settings.load_bytes);
        let mut entries = 0;
        let read = snapshot::read::<LoadError>(&*directory.files, (&id.name(), id), &mut |entry| {
            entries += 1;
            if entries % PROGRESS_EVERY == 0 {
                (self.progress)(Progress::LoadingSnapshot { entries });
            }
            Ok(loader.row(entry)?)
        });
        let entries = read.map_err(|error| match error {
            LoadError::Io(error) => EngineError::io(id.name(), error),
            LoadError::Engine(error) => error,
        })?;
        loader.finish()?;
        self.report.entries_loaded += entries;
        self.report.say(format!(
            "index built from snapshot {}..={} of {} with {entries} rows, then the journal",
            id.start,
            id.end,
            name(&directory.id)
        ));
        Ok(())
    }

    /// Whether old journals are damaged everywhere, while the index holds what they held.
    fn rests_on_index(&mut self, truth: &Truth, chosen: Option<SnapshotId>) -> bool {
        let Some(log) = &truth.log else { return false };
        let all_current = self.standing.current.len() == self.found.len();
        let damage = log.require(chosen.map_or(0, |snapshot| snapshot.start)).err();
        let Some(damage) = damage.filter(|_| self.report.index_kept && all_current) else {
            return false;
        };
        self.report.say(format!("{damage}; the index still holds it, a snapshot is due at once"));
        true
    }

    /// Directories that do not hold everything by themselves.
    fn incomplete(
        &self,
        truth: &Truth,
        chosen: Option<SnapshotId>,
        damaged: &[MemberId],
    ) -> BTreeSet<MemberId> {
        let Some(log) = &truth.log else { return BTreeSet::new() };
        let new_store = self.standing.in_force == 0;
        let after = chosen.map_or(0, |snapshot| snapshot.start);
        let complete = |directory: &&Found| {
            let has = |id| snapshot::list(&*directory.files).is_ok_and(|list| list.contains(&id));
            let current = new_store || self.standing.current.contains(&directory.id);
            current
                && chosen.is_none_or(has)
                && !damaged.contains(&directory.id)
                && log.is_complete(&directory.id, after)
        };
        let incomplete = self.found.iter().filter(|directory| !complete(directory));
        incomplete.map(|directory| directory.id).collect()
    }

    /// Begins the epoch in which the engine will serve.
    #[expect(clippy::type_complexity, reason = "one caller takes it apart at once")]
    fn begin(
        &mut self,
        truth: &Truth,
        base: Sequence,
        (incomplete, chosen): (&BTreeSet<MemberId>, Option<SnapshotId>),
    ) -> Result<(Team, FileId, Position, Vec<Arc<Room>>), EngineError> {
        let source = self.snapshot_source(chosen, incomplete);
        let (mut members, mut rooms) = (Vec::new(), Vec::new());
        for directory in &self.found {
            let room = Arc::new(self.room(directory));
            rooms.push(Arc::clone(&room));
            let epoch = self.epoch_file(&directory.id);
            let member = Member::start(directory.id, Arc::clone(&directory.files), room, epoch);
            members.push(member.map_err(|error| EngineError::io("a journal thread", error))?);
        }
        let figures = (self.standing.min_journals, self.standing.next.saturating_sub(1));
        let timeout = self.settings.start_timeout;
        let mut team = Team::new(members, &self.standing.missing, figures, timeout);
        let nonce = random();
        let (end, log) = (truth.end, &truth.log);
        let position = team.begin_epoch(|member, epoch| {
            let id = FileId { epoch, base, nonce };
            let copy = source.clone().filter(|_| incomplete.contains(&member.id));
            carry(member, id, (log.clone(), end), copy)
        })?;
        team.set_timeout(self.settings.io_timeout);
        for id in incomplete.iter().filter(|_| self.standing.in_force > 0) {
            self.report.say(format!("{}: brought up to date", name(id)));
        }
        let file = FileId { epoch: team.epoch(), base, nonce };
        Ok((team, file, position, rooms))
    }

    fn room(&self, directory: &Found) -> Room {
        let (journal, reserve) = (self.settings.journal_bytes, self.settings.reserve_bytes);
        Room::new(Arc::clone(&directory.files), journal, reserve)
    }

    fn epoch_file(&self, id: &MemberId) -> EpochFile {
        let known = self.epochs.get(id).cloned().flatten();
        known.unwrap_or_else(|| EpochFile {
            joining: self.standing.in_force > 0,
            ..EpochFile::default()
        })
    }

    fn snapshot_source(
        &self,
        chosen: Option<SnapshotId>,
        incomplete: &BTreeSet<MemberId>,
    ) -> Option<(Arc<dyn Files>, SnapshotId)> {
        let chosen = chosen?;
        let has = |found: &&Found| snapshot::list(&*found.files).is_ok_and(|l| l.contains(&chosen));
        let current = self.found.iter().filter(|found| self.standing.current.contains(&found.id));
        let mut holders: Vec<_> = current.filter(has).collect();
        holders.sort_by_key(|found| incomplete.contains(&found.id));
        holders.first().map(|found| (Arc::clone(&found.files), chosen))
    }

    /// Removes what was the index before, also where it lay then.
    fn drop_old_indexes(&self) {
        for directory in &self.found {
            let path = &directory.index;
            let discarded = match *path == self.index_path {
                true => remove_aside(path),
                false => Index::discard(path),
            };
            if let Err(error) = discarded {
                let directory = name(&directory.id);
                tracing::warn!(directory, %error, "an old index stays");
            }
        }
    }

    /// A directory brought up to date keeps nothing else: what it held may be of another history.
    fn drop_old_copies(
        &self,
        incomplete: &BTreeSet<MemberId>,
        file: FileId,
        chosen: Option<SnapshotId>,
    ) {
        for directory in self.found.iter().filter(|found| incomplete.contains(&found.id)) {
            let files = &directory.files;
            for name in files.list().unwrap_or_default() {
                let journal = FileId::parse(&name).is_some_and(|id| id != file);
                let snapshot = SnapshotId::parse(&name).is_some_and(|id| Some(id) != chosen);
                if (journal || snapshot) && files.remove(&name).is_err() {
                    tracing::warn!(name, "an old file stays");
                }
            }
            let _ = files.sync_dir();
        }
    }
}

enum LoadError {
    Io(io::Error),
    Engine(EngineError),
}

impl From<io::Error> for LoadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<EngineError> for LoadError {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}
