//! The members that write the journal now: a thread for each directory, and changes of the epoch.
//!
//! Everything is done on all members at once, and whoever fails is out until the next start: after
//! a failed write or sync nobody knows what the disk holds.

use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::files::{Files, OpenFile, is_full, replace};
use super::members::{EPOCH_FILE, EpochFile, MemberId, name};
use super::room::Room;
use crate::engine::{EngineError, MemberState, MemberStatus};

/// The journal file a member writes to, and what the job leaves behind for the committer.
pub type Current = Option<Box<dyn OpenFile>>;

/// Where the next group goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    pub offset: u64,
    pub chain: u32,
}

type Work = Box<dyn FnOnce(&mut Current) -> io::Result<Position> + Send>;

struct Job {
    work: Work,
    number: usize,
    answer: Sender<(usize, io::Result<Position>)>,
}

/// One metadata directory that writes the journal.
pub struct Member {
    pub id: MemberId,
    pub files: Arc<dyn Files>,
    pub room: Arc<Room>,
    /// What its epoch file says.
    pub epoch: Arc<Mutex<EpochFile>>,
    jobs: Sender<Job>,
    thread: JoinHandle<()>,
}

impl Member {
    pub fn start(
        id: MemberId,
        files: Arc<dyn Files>,
        room: Arc<Room>,
        epoch: EpochFile,
    ) -> io::Result<Self> {
        let (jobs, inbox): (Sender<Job>, Receiver<Job>) = channel();
        let builder = std::thread::Builder::new().name("metadata-journal".to_owned());
        let thread = builder.spawn(move || {
            let mut current = None;
            for job in inbox {
                let result = (job.work)(&mut current);
                // Nobody listens any more if the member was given up meanwhile.
                let _ = job.answer.send((job.number, result));
            }
        })?;
        Ok(Self { id, files, room, epoch: Arc::new(Mutex::new(epoch)), jobs, thread })
    }
}

/// How it went on the members.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Of any member that succeeded; they agree.
    pub position: Position,
    pub succeeded: usize,
    /// Whether some disk was full.
    pub full: bool,
}

/// All members of the epoch.
pub struct Team {
    members: Vec<Member>,
    /// Those that failed since the start, and those that were missing then.
    absent: Vec<MemberStatus>,
    min_journals: usize,
    epoch: u64,
    promised: u64,
    timeout: Duration,
}

impl Team {
    pub fn new(
        members: Vec<Member>,
        missing: &[MemberId],
        (min_journals, promised): (usize, u64),
        timeout: Duration,
    ) -> Self {
        let status = |id: &MemberId| MemberStatus { id: *id, state: MemberState::Missing };
        let absent = missing.iter().map(status).collect();
        Self { members, absent, min_journals, epoch: 0, promised, timeout }
    }

    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// How long a member may take from now on.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    pub fn members(&self) -> &[Member] {
        &self.members
    }

    pub fn is_enough(&self) -> bool {
        !self.members.is_empty() && self.members.len() >= self.min_journals
    }

    pub fn status(&self) -> Vec<MemberStatus> {
        let active = |member: &Member| MemberStatus { id: member.id, state: MemberState::Active };
        self.members.iter().map(active).chain(self.absent.iter().cloned()).collect()
    }

    /// Does the same on all members at once. Whoever fails for any reason but a full disk, or
    /// does not answer in time, is a member no more.
    pub fn on_all<W>(&mut self, make: impl Fn(&Member) -> W) -> Outcome
    where
        W: FnOnce(&mut Current) -> io::Result<Position> + Send + 'static,
    {
        let (answer, answers) = channel();
        for (number, member) in self.members.iter().enumerate() {
            let work = Box::new(make(member));
            // A thread that is gone gives no answer, which counts as a failure below.
            let _ = member.jobs.send(Job { work, number, answer: answer.clone() });
        }
        drop(answer);
        let mut outcome = Outcome::default();
        let mut stays = vec![false; self.members.len()];
        let until = Instant::now() + self.timeout;
        while let Ok((number, result)) =
            answers.recv_timeout(until.saturating_duration_since(Instant::now()))
        {
            let stay = match result {
                Ok(position) => {
                    outcome.position = position;
                    outcome.succeeded += 1;
                    true
                }
                Err(error) if is_full(&error) => {
                    outcome.full = true;
                    true
                }
                Err(error) => {
                    let id = self.members.get(number).map(|member| name(&member.id));
                    tracing::error!(directory = id, %error, "metadata directory failed");
                    false
                }
            };
            if let Some(place) = stays.get_mut(number) {
                *place = stay;
            }
        }
        let mut stays = stays.into_iter();
        let absent = &mut self.absent;
        self.members.retain(|member| {
            let stay = stays.next().unwrap_or(false);
            if !stay {
                absent.push(MemberStatus { id: member.id, state: MemberState::Failed });
            }
            stay
        });
        outcome
    }

    /// Begins a new epoch with the members that are left, if they are enough.
    ///
    /// - `journal`: gives a member its journal file of the epoch, complete and durable.
    ///
    /// # Errors
    /// [`EngineError::Unavailable`] if too few are left, [`EngineError::NoSpace`] on a full disk.
    /// Then no epoch is in force on enough members, and no commit may go on.
    pub fn begin_epoch<W>(
        &mut self,
        journal: impl Fn(&Member, u64) -> W,
    ) -> Result<Position, EngineError>
    where
        W: FnOnce(&mut Current) -> io::Result<Position> + Send + 'static,
    {
        loop {
            if !self.is_enough() {
                let text = format!("{} of {} journals", self.members.len(), self.min_journals);
                return Err(EngineError::Unavailable(text));
            }
            let next = self.promised.saturating_add(1);
            self.promised = next;
            let members = self.members.len();
            let outcome = self.on_all(|member| promise(member, next));
            if self.go_on(&outcome, members)? {
                continue;
            }
            let carried = self.on_all(|member| journal(member, next));
            if self.go_on(&carried, members)? {
                continue;
            }
            let known = self.known();
            let min_journals = u32::try_from(self.min_journals).unwrap_or(u32::MAX);
            let outcome = self.on_all(|member| {
                let known = known.clone();
                put_in_force(member, next, min_journals, known)
            });
            if self.go_on(&outcome, members)? {
                continue;
            }
            self.epoch = next;
            return Ok(carried.position);
        }
    }

    /// Whether somebody dropped out, so that the epoch has to begin anew.
    fn go_on(&self, outcome: &Outcome, members: usize) -> Result<bool, EngineError> {
        if outcome.full { Err(EngineError::NoSpace) } else { Ok(self.members.len() < members) }
    }

    fn known(&self) -> BTreeMap<MemberId, bool> {
        let absent = self.absent.iter().map(|member| (member.id, false));
        absent.chain(self.members.iter().map(|member| (member.id, true))).collect()
    }

    /// Waits for the threads, except those that may hang.
    pub fn finish(self) {
        for member in self.members {
            drop(member.jobs);
            let _ = member.thread.join();
        }
    }
}

type Step = Box<dyn FnOnce(&mut Current) -> io::Result<Position> + Send>;

fn promise(member: &Member, next: u64) -> Step {
    write_epoch(member, move |epoch| epoch.promised = next)
}

fn put_in_force(
    member: &Member,
    next: u64,
    min_journals: u32,
    members: BTreeMap<MemberId, bool>,
) -> Step {
    write_epoch(member, move |epoch| {
        *epoch =
            EpochFile { promised: next, in_force: next, min_journals, joining: false, members };
    })
}

fn write_epoch(member: &Member, change: impl FnOnce(&mut EpochFile) + Send + 'static) -> Step {
    let (files, epoch) = (Arc::clone(&member.files), Arc::clone(&member.epoch));
    Box::new(move |_| {
        let mut epoch = epoch.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        change(&mut epoch);
        replace(&*files, EPOCH_FILE, &epoch.encode())?;
        Ok(Position::default())
    })
}
