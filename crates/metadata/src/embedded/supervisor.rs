//! Starts within the process: who serves now, and the thread that makes another one serve.
//!
//! Everything that is not as it was at the start of the process is mended by one means, the start
//! itself: its steps are written for whatever a crash can leave, so they also suit an index that
//! failed, a directory that works again, and other directories.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};

use super::files::{Directory, Files, read_small, replace};
use super::marks::Session;
use super::members::{self, MemberId};
use super::recover::{Found, RecoveryReport, recover};
use super::serving::Serving;
use super::shared::Shared;
use super::{EmbeddedSettings, MetadataDirectory, Progress};
use crate::engine::{EngineError, EngineStatus, MemberState, Sequence};

/// Reads and commits wait so long for a start before they are refused.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked whether something is to be mended.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often failed directories are tried.
const PROBE_EVERY: Duration = Duration::from_secs(5);
/// How often the pause before the next start doubles.
const RETRY_DOUBLINGS: u32 = 8;
/// A start after which all went well for so long counts as having helped.
const GOOD_FOR: Duration = Duration::from_secs(600);

const PROBE_FILE: &str = "probe";
const PROBE: &[u8] = &[0x5a; 512];

/// Where a metadata directory comes from.
#[derive(Clone)]
pub enum Origin {
    Real(MetadataDirectory),
    Given { id: MemberId, files: Arc<dyn Files>, index: PathBuf },
}

impl Origin {
    fn id(&self) -> MemberId {
        match self {
            Self::Real(directory) => directory.id,
            Self::Given { id, .. } => *id,
        }
    }

    /// - `first`: it may be new. Else it must be the same as before: at its path another disk may
    ///   be, or none.
    fn open(&self, first: bool) -> io::Result<Found> {
        Ok(match self {
            Self::Real(directory) => Found {
                id: directory.id,
                files: Arc::new(match first {
                    true => Directory::open(&directory.path)?,
                    false => members::reopen(&directory.path, &directory.id)?,
                }),
                index: directory.path.join("index"),
                clean: None,
            },
            Self::Given { id, files, index } => {
                Found { id: *id, files: Arc::clone(files), index: index.clone(), clean: None }
            }
        })
    }
}

/// What the supervisor is asked for.
pub enum Order {
    /// The index of that generation cannot be read or written.
    IndexFailed(u64),
    Directories(Vec<MetadataDirectory>, oneshot::Sender<Result<(), EngineError>>),
    Close(oneshot::Sender<Result<(), EngineError>>),
    Stop,
}

enum Slot {
    Serving(Arc<Serving>),
    /// Its index failed: callers wait for the next one.
    Failed(Arc<Serving>),
    Starting,
    Closed,
}

/// What callers and the supervisor share.
pub struct Core {
    slot: watch::Sender<Slot>,
    shared: Arc<Shared>,
    /// Of the last one that served, while none does.
    sequence: AtomicU64,
    orders: Mutex<Sender<Order>>,
    /// Before this another start would not help.
    retry_at: Mutex<Option<Instant>>,
}

impl Core {
    /// Who serves now, if anybody does.
    pub fn now(&self) -> Option<Arc<Serving>> {
        match &*self.slot.borrow() {
            Slot::Serving(serving) => Some(Arc::clone(serving)),
            _ => None,
        }
    }

    /// Who serves; waits for a start, but not for ever.
    pub async fn serving(&self) -> Result<Arc<Serving>, EngineError> {
        let serves = |slot: &Slot| match slot {
            Slot::Serving(serving) => Some(Ok(Arc::clone(serving))),
            Slot::Closed => Some(Err(EngineError::Closed)),
            Slot::Failed(_) | Slot::Starting => None,
        };
        if let Some(answer) = serves(&self.slot.borrow()) {
            return answer;
        }
        let mut slots = self.slot.subscribe();
        let waiting = slots.wait_for(|slot| serves(slot).is_some());
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(Ok(slot)) => serves(&slot).unwrap_or(Err(EngineError::Closed)),
            Ok(Err(_)) => Err(EngineError::Closed),
            Err(_) => Err(EngineError::Unavailable("metadata is being recovered".into())),
        }
    }

    pub fn order(&self, order: Order) -> Result<(), EngineError> {
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        orders.send(order).map_err(|_| EngineError::Closed)
    }

    /// Says that an index cannot be read: from now on callers wait for another one. `false` if it
    /// was made anew a short time ago, so that doing it again would not help.
    pub fn cannot_read(&self, generation: u64) -> bool {
        let helps = self.may_start();
        if helps {
            self.index_failed(generation);
        }
        helps
    }

    fn may_start(&self) -> bool {
        let retry_at = *self.retry_at.lock().unwrap_or_else(PoisonError::into_inner);
        retry_at.is_none_or(|at| at <= Instant::now())
    }

    fn index_failed(&self, generation: u64) {
        self.slot.send_if_modified(|slot| match slot {
            Slot::Serving(serving) if serving.generation == generation => {
                *slot = Slot::Failed(Arc::clone(serving));
                true
            }
            _ => false,
        });
        let _ = self.order(Order::IndexFailed(generation));
    }

    pub fn sequence(&self) -> Sequence {
        self.now().map_or_else(
            || self.sequence.load(Ordering::Acquire),
            |serving| serving.index.applied(),
        )
    }

    pub fn status(&self) -> EngineStatus {
        let now = self.now();
        let status = self.shared.status(self.sequence());
        EngineStatus { writable: status.writable && now.is_some(), ..status }
    }
}

/// The thread that starts.
pub struct Supervisor {
    core: Arc<Core>,
    settings: EmbeddedSettings,
    origins: Vec<Origin>,
    /// Opened and locked; those of failed directories are let go.
    found: Vec<Found>,
    inbox: Receiver<Order>,
    generation: u64,
    /// Starts in a row that did not help.
    attempts: u32,
    /// Directories that were asked whether they work and have not answered.
    asked: BTreeMap<MemberId, Receiver<bool>>,
    /// When failed directories are looked at again.
    look_at: Instant,
}

impl Supervisor {
    pub fn new(settings: EmbeddedSettings, origins: Vec<Origin>) -> Self {
        let (orders, inbox) = channel();
        let core = Core {
            slot: watch::Sender::new(Slot::Starting),
            shared: Arc::default(),
            sequence: AtomicU64::new(0),
            orders: Mutex::new(orders),
            retry_at: Mutex::new(None),
        };
        let (core, found) = (Arc::new(core), Vec::new());
        Self {
            core,
            settings,
            origins,
            found,
            inbox,
            generation: 0,
            attempts: 0,
            asked: BTreeMap::new(),
            look_at: Instant::now(),
        }
    }

    pub fn core(&self) -> Arc<Core> {
        Arc::clone(&self.core)
    }

    /// The start: opens what is not open yet, recovers, serves.
    pub fn start(
        &mut self,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<RecoveryReport, EngineError> {
        for origin in self.origins.clone() {
            let id = origin.id();
            if self.found.iter().any(|found| found.id == id) {
                continue;
            }
            match self.open(&origin) {
                Ok(found) => self.found.push(found),
                Err(error) => {
                    let id = members::name(&id);
                    tracing::error!(directory = id, %error, "metadata directory cannot be used");
                }
            }
        }
        // Later on the first one is the one with the index, or the one that is to get it.
        let found = (self.found.clone(), self.generation == 0);
        let (recovered, report) = recover(&self.settings, found, progress)?;
        self.put_first(recovered.index_of);
        self.settings.first_start = false;
        self.generation += 1;
        let (core, generation) = (Arc::downgrade(&self.core), self.generation);
        let index_failed = move || {
            if let Some(core) = core.upgrade() {
                core.index_failed(generation);
            }
        };
        let shared = &self.core.shared;
        let serving =
            Serving::start(&self.settings, recovered, shared, (generation, index_failed))?;
        self.core.slot.send_replace(Slot::Serving(Arc::new(serving)));
        Ok(report)
    }

    /// Opens a directory. After the first start it must answer, and is locked: what hangs in the
    /// one opened before may hold the lock still, and then this one is left out.
    fn open(&mut self, origin: &Origin) -> io::Result<Found> {
        if self.generation == 0 {
            return origin.open(true);
        }
        if !self.works(origin.clone()) {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it does not work"));
        }
        let found = origin.open(false)?;
        found.files.lock()?;
        Ok(found)
    }

    pub fn run(mut self) {
        loop {
            match self.inbox.recv_timeout(LOOK_EVERY) {
                Ok(Order::IndexFailed(generation)) if generation == self.generation => {
                    tracing::error!("the metadata index failed; it is made anew");
                    self.leave_index();
                    if self.core.may_start() {
                        self.again();
                    }
                }
                Ok(Order::IndexFailed(_)) => {}
                Ok(Order::Directories(wanted, answer)) => {
                    let _ = answer.send(self.move_to(wanted));
                }
                Ok(Order::Close(answer)) => {
                    let _ = answer.send(self.end());
                    return;
                }
                Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => {
                    self.core.slot.send_replace(Slot::Closed);
                    return;
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.leave_hanging_index();
                    self.look();
                }
            }
        }
    }

    fn end(&mut self) -> Result<(), EngineError> {
        let before = self.core.slot.send_replace(Slot::Closed);
        match before {
            Slot::Serving(serving) => {
                self.core.sequence.store(serving.index.applied(), Ordering::Release);
                serving.close()
            }
            Slot::Failed(_) | Slot::Starting | Slot::Closed => Ok(()),
        }
    }

    /// Puts the directory with the index last, so that another one gets it, and sees to it that
    /// what is there is not used again.
    fn leave_index(&mut self) {
        let Some(first) = self.found.first() else { return };
        // What has failed is let go, and never the first again.
        if !self.failed().contains(&first.id) {
            Session::forget(&*first.files);
        }
        self.put_last(first.id);
    }

    fn put_first(&mut self, id: MemberId) {
        self.found.sort_by_key(|found| found.id != id);
        self.origins.sort_by_key(|origin| origin.id() != id);
    }

    fn put_last(&mut self, id: MemberId) {
        self.found.sort_by_key(|found| found.id == id);
        self.origins.sort_by_key(|origin| origin.id() == id);
    }

    /// An index that takes no group because its disk hangs is left to itself, with its directory.
    fn leave_hanging_index(&mut self) {
        let Some(serving) = self.core.now() else { return };
        if serving.index.applying_for() < self.settings.io_timeout {
            return;
        }
        tracing::error!("the metadata index hangs; it is made anew");
        self.core.slot.send_replace(Slot::Starting);
        self.core.sequence.store(serving.index.applied(), Ordering::Release);
        serving.abandon();
        bury(serving);
        if let Some(id) = self.found.first().map(|first| first.id) {
            self.put_last(id);
            self.found.retain(|found| found.id != id);
        }
        self.again();
    }

    /// Lets the present one end.
    fn stop_serving(&self) {
        match self.core.slot.send_replace(Slot::Starting) {
            Slot::Serving(serving) => {
                self.core.sequence.store(serving.index.applied(), Ordering::Release);
                if let Err(error) = serving.close() {
                    tracing::warn!(%error, "metadata was not closed cleanly");
                }
            }
            Slot::Failed(serving) => {
                self.core.sequence.store(serving.index.applied(), Ordering::Release);
                serving.end();
                bury(serving);
            }
            Slot::Starting | Slot::Closed => {}
        }
    }

    /// Starts anew; if that fails it is tried again later.
    fn again(&mut self) {
        self.stop_serving();
        self.put_off();
        self.let_go_of_failed();
        match self.start(&mut |_| {}) {
            Ok(_) => tracing::warn!("metadata was started anew and is served again"),
            Err(error) => tracing::error!(%error, "metadata cannot be served"),
        }
    }

    /// Puts the next attempt off, the longer the more there were.
    fn put_off(&mut self) {
        let mut retry_at = self.core.retry_at.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let good = retry_at.is_none_or(|at| now.saturating_duration_since(at) > GOOD_FOR);
        self.attempts = if good { 0 } else { self.attempts + 1 };
        let pause = 1 << self.attempts.min(RETRY_DOUBLINGS);
        *retry_at = Some(now + self.settings.retry_after * pause);
    }

    /// Those that failed are opened anew, if they can be: their files may be others now.
    fn let_go_of_failed(&mut self) {
        let failed = self.failed();
        self.found.retain(|found| !failed.contains(&found.id));
    }

    fn failed(&self) -> Vec<MemberId> {
        self.members(|state| state != MemberState::Active)
    }

    fn active(&self) -> Vec<MemberId> {
        self.members(|state| state == MemberState::Active)
    }

    fn members(&self, counts: impl Fn(MemberState) -> bool) -> Vec<MemberId> {
        let members = self.core.shared.status(0).members.into_iter();
        members.filter(|member| counts(member.state)).map(|member| member.id).collect()
    }

    /// Looks whether a start would mend something: nobody serves, or a directory works again.
    fn look(&mut self) {
        if !self.core.may_start() {
            return;
        }
        if self.core.now().is_none() {
            return self.again();
        }
        if Instant::now() < self.look_at {
            return;
        }
        let failed = self.failed();
        if failed.is_empty() && !self.core.shared.status(0).writable {
            // A full disk kept an epoch from beginning: that is for a start to do.
            return self.again();
        }
        let back: Vec<_> =
            self.origins.iter().filter(|origin| failed.contains(&origin.id())).cloned().collect();
        if back.is_empty() {
            return;
        }
        if back.into_iter().any(|origin| self.works(origin)) {
            tracing::warn!("a metadata directory works again; it is taken back");
            self.again();
        }
        self.look_at = Instant::now() + PROBE_EVERY;
    }

    /// Whether what is written to a directory and synced comes back, in time. One that does not
    /// answer is not asked again before it has.
    fn works(&mut self, origin: Origin) -> bool {
        let id = origin.id();
        let answers = match self.asked.remove(&id) {
            Some(answers) => answers,
            None => probe(origin),
        };
        match answers.recv_timeout(LOOK_EVERY) {
            Err(RecvTimeoutError::Timeout) => {
                self.asked.insert(id, answers);
                false
            }
            answer => answer.unwrap_or(false),
        }
    }

    /// Serves from other directories. Whoever leaves is given up: the others have everything.
    fn move_to(&mut self, wanted: Vec<MetadataDirectory>) -> Result<(), EngineError> {
        let before = (self.origins.clone(), self.settings.accept_loss.clone());
        let failed_before = self.failed();
        let stays = |id: &MemberId| wanted.iter().any(|directory| directory.id == *id);
        // Those that were missing at the start are no origins, and known all the same.
        let known = before.0.iter().map(Origin::id).chain(self.members(|_| true));
        let leaving: Vec<_> = known.filter(|id| !stays(id)).collect();
        if wanted.is_empty() {
            return Err(EngineError::Refused("metadata needs a directory".into()));
        }
        self.stop_serving();
        self.let_go_of_failed();
        self.found.retain(|found| stays(&found.id));
        let known = |id: &MemberId| before.0.iter().find(|origin| origin.id() == *id).cloned();
        self.origins = wanted
            .iter()
            .map(|directory| {
                known(&directory.id).unwrap_or_else(|| Origin::Real(directory.clone()))
            })
            .collect();
        self.settings.accept_loss.extend(leaving);
        let started = self.start(&mut |_| {}).and_then(|_| {
            // One that did not work before may go on not to.
            let active = self.active();
            let mut out: Vec<_> = wanted.iter().map(|directory| directory.id).collect();
            out.retain(|id| !active.contains(id) && !failed_before.contains(id));
            if out.is_empty() {
                return Ok(());
            }
            let text = format!("{} cannot be used", members::names(&out));
            Err(EngineError::Unavailable(text))
        });
        match &started {
            Ok(()) => tracing::info!(directories = wanted.len(), "metadata moved"),
            Err(_) => {
                (self.origins, self.settings.accept_loss) = before;
                self.again();
            }
        }
        started
    }
}

/// Lets go of what served, on a thread of its own: sled writes once more when it is dropped, and
/// may hang in that as in anything else.
fn bury(serving: Arc<Serving>) {
    let wait = move || {
        // Nobody else is to be the last.
        while Arc::strong_count(&serving) > 1 || Arc::strong_count(&serving.index) > 1 {
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(serving);
    };
    if let Err(error) = std::thread::Builder::new().name("metadata-old".to_owned()).spawn(wait) {
        tracing::error!(%error, "no thread to let go of the old index");
    }
}

/// Writes to a directory, syncs and reads, on a thread of its own.
fn probe(origin: Origin) -> Receiver<bool> {
    let (answer, answers) = channel();
    let attempt = move || {
        let files = origin.open(false)?.files;
        replace(&*files, PROBE_FILE, PROBE)?;
        let read = read_small(&*files, PROBE_FILE)?;
        files.remove(PROBE_FILE)?;
        Ok::<_, io::Error>(read.as_deref() == Some(PROBE))
    };
    let thread = std::thread::Builder::new().name("metadata-probe".to_owned());
    if let Err(error) = thread.spawn(move || answer.send(attempt().unwrap_or(false))) {
        tracing::warn!(%error, "no thread to look at a directory");
    }
    answers
}
