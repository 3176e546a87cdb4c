//! The committer: one thread that takes commits in groups, makes each group durable, then visible.
//!
//! While a group is being synced the next one gathers. It is judged only after the one before is
//! applied, so the index and the group's own changes are all there is to judge it against.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};

use super::files::Files;
use super::index::Index;
use super::journal::{FILE_HEADER_BYTES, FileId, GroupWriter, Record};
use super::marks::{CleanMark, Session};
use super::room::TAKEN;
use super::shared::Shared;
use super::team::{Current, Member, Position, Team};
use crate::engine::resolve::{View, resolve};
use crate::engine::{Commit, CommitError, EngineError, Row, ScanRange, Sequence};

/// The most commits of one group.
const GROUP_COMMITS_MAX: usize = 512;
/// A group is closed once its commits hold this many bytes.
const GROUP_BYTES_MAX: usize = 2 << 20;
const RECORD_OVERHEAD_BYTES: usize = 64;
const CHANGE_OVERHEAD_BYTES: usize = 16;

/// What reaches the committer.
pub enum Request {
    Commit(Commit, oneshot::Sender<Reply>),
    Close(oneshot::Sender<Result<(), EngineError>>),
}

/// What a commit comes to.
pub enum Reply {
    Done(Result<Sequence, CommitError>),
    /// It was not looked at.
    Returned(Commit),
}

impl Reply {
    /// Nobody can tell what came of it.
    pub fn unknown() -> Self {
        Self::Done(Err(CommitError::Unavailable))
    }
}

type Answer = (oneshot::Sender<Reply>, Result<Sequence, CommitError>);

/// The state of the committer's thread.
pub struct Committer {
    pub requests: mpsc::Receiver<Request>,
    pub index: Arc<Index>,
    pub team: Team,
    pub file: FileId,
    pub position: Position,
    pub journal_bytes: u64,
    pub shared: Arc<Shared>,
    /// Where the index notes that it belongs to the epoch.
    pub index_files: Arc<dyn Files>,
    /// How long to wait between attempts to leave the full state.
    pub full_retry: Duration,
    pub full_since: Option<Instant>,
    pub halted: bool,
    pub index_lost: bool,
    /// To be called once, if the index is lost; then another committer takes over.
    pub index_failed: Option<Box<dyn FnOnce() + Send>>,
    /// Set while this hangs: another one serves, so nothing may be written any more.
    pub abandoned: watch::Receiver<bool>,
}

struct Waiting {
    commit: Commit,
    answer: oneshot::Sender<Reply>,
}

impl Committer {
    /// Works until the engine is closed or dropped.
    pub fn run(mut self) {
        while let Some(request) = self.requests.blocking_recv() {
            let (group, close) = self.gather(request);
            if !group.is_empty() {
                self.process(group);
            }
            self.publish();
            if let Some(answer) = close {
                self.requests.close();
                let _ = answer.send(self.close());
                break;
            }
            if self.index_lost || self.is_abandoned() {
                // Only now: whoever is told looks at what was published.
                if let Some(tell) = self.index_failed.take() {
                    tell();
                }
                break;
            }
        }
        self.requests.close();
        while let Some(request) = self.requests.blocking_recv() {
            if let Request::Commit(commit, answer) = request {
                let _ = answer.send(Reply::Returned(commit));
            }
        }
        self.team.finish();
    }

    fn gather(
        &mut self,
        first: Request,
    ) -> (Vec<Waiting>, Option<oneshot::Sender<Result<(), EngineError>>>) {
        let mut group = Vec::new();
        let mut bytes = 0;
        let mut request = Some(first);
        while let Some(next) = request.take() {
            match next {
                Request::Commit(commit, answer) => {
                    bytes += journal_size(&commit);
                    group.push(Waiting { commit, answer });
                }
                Request::Close(answer) => return (group, Some(answer)),
            }
            if group.len() < GROUP_COMMITS_MAX && bytes < GROUP_BYTES_MAX {
                request = self.requests.try_recv().ok();
            }
        }
        (group, None)
    }

    fn process(&mut self, group: Vec<Waiting>) {
        if self.halted || self.is_abandoned() || !self.team.is_enough() {
            return refuse(group, &CommitError::Unavailable);
        }
        let bytes: usize = group.iter().map(|waiting| journal_size(&waiting.commit)).sum();
        let reclaims = group.iter().any(|waiting| waiting.commit.reclaims);
        if let Err(error) = self.make_room(bytes, reclaims) {
            return refuse(group, &error);
        }
        let (records, answers) = self.judge(group);
        let outcome = if records.is_empty() { Ok(()) } else { self.write(&records) };
        for (answer, result) in answers {
            let result = match &outcome {
                Err(error) if result.is_ok() => Err(error.clone()),
                _ => result,
            };
            if matches!(result, Err(CommitError::Engine(EngineError::Damaged(_)))) {
                self.give_up_index();
            }
            let _ = answer.send(Reply::Done(result));
        }
    }

    fn is_abandoned(&self) -> bool {
        *self.abandoned.borrow()
    }

    fn give_up_index(&mut self) {
        self.halted = true;
        self.index_lost = true;
    }

    /// Judges the commits in order, each also against those before it in the group.
    fn judge(&self, group: Vec<Waiting>) -> (Vec<Record>, Vec<Answer>) {
        let full = self.shared.is_full();
        let mut overlay = Overlay { index: &self.index, rows: BTreeMap::new() };
        let mut records = Vec::new();
        let mut answers = Vec::with_capacity(group.len());
        let mut sequence = self.index.applied();
        for Waiting { commit, answer } in group {
            if full && !commit.reclaims && commit.changes() > 0 {
                answers.push((answer, Err(CommitError::NoSpace)));
                continue;
            }
            match resolve(commit, &overlay, sequence + 1) {
                Ok(changes) if changes.is_empty() => answers.push((answer, Ok(sequence))),
                Ok(changes) => {
                    sequence += 1;
                    let record = Record { sequence, changes };
                    overlay.add(&record);
                    records.push(record);
                    answers.push((answer, Ok(sequence)));
                }
                Err(error) => answers.push((answer, Err(error))),
            }
        }
        (records, answers)
    }

    /// Makes a group durable on all members, then visible.
    fn write(&mut self, records: &[Record]) -> Result<(), CommitError> {
        if self.is_abandoned() {
            return Err(CommitError::Unavailable);
        }
        let before = self.index.applied();
        let mut writer = GroupWriter::new(self.file, self.position.chain, before);
        records.iter().for_each(|record| writer.push(record));
        let (group, chain) = writer.finish();
        let group: Arc<[u8]> = group.into();
        let offset = self.position.offset;
        let members = self.team.members().len();
        let outcome = self.team.on_all(|_| {
            let group = Arc::clone(&group);
            move |current: &mut Current| append(current, offset, &group)
        });
        self.shared.count_group(records.len() as u64, outcome.succeeded as u64, group.len() as u64);
        self.position = Position { offset: offset + group.len() as u64, chain };
        let last = records.last().map_or(before, |record| record.sequence);
        if outcome.full {
            // Some have the group and some do not: a new epoch voids it.
            self.shared.set_full(true);
            self.change_epoch(before)?;
            return Err(CommitError::NoSpace);
        }
        if outcome.succeeded < members {
            self.change_epoch(last)?;
        }
        self.index.apply(self.team.epoch(), records).map_err(|error| {
            tracing::error!(%error, "the index takes no commit");
            self.give_up_index();
            CommitError::Unavailable
        })?;
        if !self.has_index() {
            tracing::error!("the directory with the index failed");
            self.give_up_index();
        }
        Ok(())
    }

    /// Goes on without those that failed. What is beyond `base` in older journals is void.
    fn change_epoch(&mut self, base: Sequence) -> Result<(), CommitError> {
        let nonce = random();
        let mut began = self.begin_epoch(base, nonce);
        if matches!(began, Err(EngineError::NoSpace)) && self.release_if_short() {
            began = self.begin_epoch(base, nonce);
        }
        match began {
            Ok(position) => {
                self.file = FileId { epoch: self.team.epoch(), base, nonce };
                self.position = position;
                if self.has_index() {
                    Session::write(&*self.index_files, self.team.epoch());
                }
                tracing::warn!(epoch = self.team.epoch(), "metadata goes on with fewer journals");
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, "metadata stops taking commits until the next start");
                self.halted = true;
                Err(CommitError::Unavailable)
            }
        }
    }

    fn begin_epoch(&mut self, base: Sequence, nonce: u64) -> Result<Position, EngineError> {
        self.team.begin_epoch(|member, epoch| {
            let id = FileId { epoch, base, nonce };
            new_file(member, id, true)
        })
    }

    /// Whether the directory with the index is a member still: what fails or hangs there may do so
    /// for the index next.
    fn has_index(&self) -> bool {
        self.team.members().iter().any(|member| Arc::ptr_eq(&member.files, &self.index_files))
    }

    /// Sees to it that the next `bytes` fit into the journal file.
    fn make_room(&mut self, bytes: usize, reclaims: bool) -> Result<(), CommitError> {
        if self.release_if_short() {
            // Somebody else has filled the disk.
            self.shared.set_full(true);
        }
        if self.shared.is_full() {
            self.leave_full_state();
            if self.shared.is_full() && self.full_since.is_none() {
                self.full_since = Some(Instant::now());
            }
        }
        let end = self.position.offset.saturating_add(bytes as u64);
        if end <= self.journal_bytes || self.position.offset <= FILE_HEADER_BYTES {
            return Ok(());
        }
        match self.roll(false) {
            Err(CommitError::NoSpace) => {
                self.shared.set_full(true);
                if reclaims { self.roll(true) } else { Err(CommitError::NoSpace) }
            }
            other => other,
        }
    }

    /// Goes on in a new file.
    fn roll(&mut self, use_reserve: bool) -> Result<(), CommitError> {
        let base = self.index.applied();
        let id = FileId { epoch: self.team.epoch(), base, nonce: random() };
        let members = self.team.members().len();
        let outcome = self.team.on_all(|member| new_file(member, id, use_reserve));
        if outcome.succeeded == members {
            self.file = id;
            self.position = outcome.position;
            self.shared.prepare_rooms();
            return Ok(());
        }
        if outcome.full && outcome.succeeded == 0 && self.team.members().len() == members {
            return Err(CommitError::NoSpace);
        }
        // Some write to the new file already, others still to the old one, or are gone.
        self.change_epoch(base)
    }

    /// Answers whether some directory has more room now.
    fn release_if_short(&self) -> bool {
        let rooms = self.team.members().iter().map(|member| &member.room);
        rooms.filter(|room| room.release_if_short()).count() > 0
    }

    fn leave_full_state(&mut self) {
        let early = self.full_since.is_some_and(|since| since.elapsed() < self.full_retry);
        if early {
            return;
        }
        self.full_since = None;
        let full = self.team.members().iter().any(|member| member.room.prepare().is_err());
        self.shared.set_full(full);
    }

    fn close(&mut self) -> Result<(), EngineError> {
        if self.halted {
            return Ok(());
        }
        let (epoch, sequence) = (self.team.epoch(), self.index.applied());
        self.index.mark(epoch, sequence)?;
        self.index.sync()?;
        let mark = CleanMark { epoch, sequence, journal_bytes: self.shared.journal_bytes() };
        self.team.on_all(|member| {
            let files = Arc::clone(&member.files);
            let mark = mark.clone();
            move |current: &mut Current| {
                *current = None;
                mark.write(&*files)?;
                Ok(Position::default())
            }
        });
        Ok(())
    }

    fn publish(&self) {
        let writable = !self.halted && self.team.is_enough();
        self.shared.publish(self.team.epoch(), writable, self.team.status());
    }
}

/// What rows will be once the group so far is applied.
struct Overlay<'a> {
    index: &'a Index,
    rows: BTreeMap<Vec<u8>, Option<Row>>,
}

impl Overlay<'_> {
    fn add(&mut self, record: &Record) {
        let version = record.sequence;
        for (key, value) in &record.changes {
            let row = value.clone().map(|value| Row { version, value: value.into() });
            self.rows.insert(key.clone(), row);
        }
    }
}

impl View for Overlay<'_> {
    fn row(&self, key: &[u8]) -> Result<Option<Row>, EngineError> {
        match self.rows.get(key) {
            Some(row) => Ok(row.clone()),
            None => self.index.get(key),
        }
    }

    fn any_row(&self, range: &ScanRange) -> Result<bool, EngineError> {
        if range.is_empty() {
            return Ok(false);
        }
        let bounds =
            (Bound::Included(range.start.as_slice()), Bound::Excluded(range.end.as_slice()));
        let put = self.rows.range::<[u8], _>(bounds).any(|(_, row)| row.is_some());
        Ok(put || self.index.any_row(range, |key| !self.rows.contains_key(key))?)
    }
}

/// Gives a member an empty journal file and its name, both durable.
pub fn new_file(
    member: &Member,
    id: FileId,
    use_reserve: bool,
) -> impl FnOnce(&mut Current) -> std::io::Result<Position> + Send + use<> {
    let (files, room) = (Arc::clone(&member.files), Arc::clone(&member.room));
    move |current| {
        let mut file = room.take(use_reserve)?;
        file.write_at(0, &id.header(id.base))?;
        file.sync_data()?;
        files.rename(TAKEN, &id.name())?;
        files.sync_dir()?;
        *current = Some(file);
        Ok(Position { offset: FILE_HEADER_BYTES, chain: id.seed() })
    }
}

fn append(current: &mut Current, offset: u64, group: &[u8]) -> std::io::Result<Position> {
    let file = current.as_mut().ok_or(std::io::ErrorKind::NotConnected)?;
    file.write_at(offset, group)?;
    file.sync_data()?;
    Ok(Position::default())
}

fn refuse(group: Vec<Waiting>, error: &CommitError) {
    for waiting in group {
        let _ = waiting.answer.send(Reply::Done(Err(error.clone())));
    }
}

/// At most how many bytes a commit takes in the journal.
fn journal_size(commit: &Commit) -> usize {
    let puts: usize = commit.put.iter().map(|(key, value)| key.len() + value.len()).sum();
    let deletes: usize = commit.delete.iter().map(Vec::len).sum();
    let adds: usize = commit.add.iter().map(|add| add.key.len() + 8).sum();
    let appends: usize = commit.append.iter().map(|(key, value)| key.len() + 8 + value.len()).sum();
    let overhead = RECORD_OVERHEAD_BYTES + commit.changes() * CHANGE_OVERHEAD_BYTES;
    puts + deletes + adds + appends + overhead
}

pub fn random() -> u64 {
    getrandom::u64().unwrap_or_else(|_| {
        // Without the system's random numbers the clock is the best that is left.
        std::time::UNIX_EPOCH.elapsed().map_or(0, |now| now.as_nanos() as u64)
    })
}
