//! The engine between two starts: one index, one committer, one epoch after another.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};

use super::EmbeddedSettings;
use super::commit::{Committer, Reply, Request};
use super::export;
use super::index::Index;
use super::maintain::{self, Place};
use super::recover::Recovered;
use super::shared::{Shared, SnapshotFacts};
use super::snapshot;
use crate::engine::{Commit, EngineError, ExportStream, SnapshotReport};

/// Each epoch leaves a journal file with its space, however little is in it. So many are kept for a
/// snapshot at most, or a server that starts again and again would fill its disks.
const EPOCHS_PER_SNAPSHOT: u64 = 8;

/// How many pieces of an export may wait for their reader, besides the error at its end.
const EXPORT_PIECES: usize = 4;

/// How long a thread may take to end; a hanging disk must not keep others from going on.
const END_PATIENCE: Duration = Duration::from_secs(60);

/// How many commits may wait for the committer.
const QUEUE_COMMITS: usize = 1_024;

/// What serves reads and commits until the next start, of the process or within it.
pub struct Serving {
    pub index: Arc<Index>,
    /// Counts the starts.
    pub generation: u64,
    shared: Arc<Shared>,
    requests: Mutex<Option<mpsc::Sender<Request>>>,
    committer: Mutex<Option<JoinHandle<()>>>,
    places: Arc<Vec<Place>>,
    snapshots: Arc<tokio::sync::Mutex<()>>,
    snapshot_after_bytes: u64,
    exports: Arc<tokio::sync::Mutex<()>>,
    export_patience: Duration,
    /// True when exports have to end, because this serves no longer.
    ended: watch::Sender<bool>,
    /// The committer hangs: nobody waits for it, and it commits no more.
    abandoned: watch::Sender<bool>,
}

impl Serving {
    /// - `index_failed`: called when the index no longer takes what is committed.
    pub fn start(
        settings: &EmbeddedSettings,
        recovered: Recovered,
        shared: &Arc<Shared>,
        (generation, index_failed): (u64, impl FnOnce() + Send + 'static),
    ) -> Result<Self, EngineError> {
        let Recovered { index, team, file, position, journal_bytes, rooms, index_files, .. } =
            recovered;
        let thread_failed = |error| EngineError::io("starting a thread", error);
        let index = Arc::new(index);
        let places: Vec<_> = team
            .members()
            .iter()
            .map(|member| Place {
                id: member.id,
                files: Arc::clone(&member.files),
                room: Arc::clone(&member.room),
            })
            .collect();
        shared.set_full(false);
        shared.publish(team.epoch(), team.is_enough(), team.status());
        shared.note_snapshot(newest_snapshot(&places), 0);
        shared.set_journal_bytes(journal_bytes);
        shared.start_preparer(rooms).map_err(thread_failed)?;
        shared.prepare_rooms();

        let (requests, inbox) = mpsc::channel(QUEUE_COMMITS);
        let abandoned = watch::Sender::new(false);
        let committer = Committer {
            requests: inbox,
            index: Arc::clone(&index),
            team,
            file,
            position,
            journal_bytes: settings.journal_bytes,
            shared: Arc::clone(shared),
            index_files,
            full_retry: settings.full_retry,
            full_since: None,
            halted: false,
            index_lost: false,
            index_failed: Some(Box::new(index_failed)),
            abandoned: abandoned.subscribe(),
        };
        let builder = std::thread::Builder::new().name("metadata-commit".to_owned());
        let committer = builder.spawn(move || committer.run()).map_err(thread_failed)?;
        Ok(Self {
            index,
            generation,
            shared: Arc::clone(shared),
            requests: Mutex::new(Some(requests)),
            committer: Mutex::new(Some(committer)),
            places: Arc::new(places),
            snapshots: Arc::default(),
            snapshot_after_bytes: settings.snapshot_after_bytes,
            exports: Arc::default(),
            export_patience: settings.export_patience,
            ended: watch::Sender::new(false),
            abandoned,
        })
    }

    /// What an export reads.
    #[cfg(test)]
    pub fn parts(&self) -> (&[Place], &Index, &Arc<Shared>) {
        (&self.places, &self.index, &self.shared)
    }

    /// Commits, or gives the commit back untouched if this serves no longer.
    pub async fn commit(&self, commit: Commit) -> Reply {
        let Some(requests) = self.sender() else { return Reply::Returned(commit) };
        let (answer, answered) = oneshot::channel();
        if let Err(unsent) = requests.send(Request::Commit(commit, answer)).await {
            return match unsent.0 {
                Request::Commit(commit, _) => Reply::Returned(commit),
                Request::Close(_) => Reply::unknown(),
            };
        }
        drop(requests);
        let mut abandoned = self.abandoned.subscribe();
        tokio::select! {
            biased;
            answer = answered => answer.unwrap_or_else(|_| Reply::unknown()),
            _ = abandoned.wait_for(|abandoned| *abandoned) => Reply::unknown(),
        }
    }

    pub async fn snapshot(&self) -> Result<SnapshotReport, EngineError> {
        let alone = Arc::clone(&self.snapshots).lock_owned().await;
        let (places, index) = (Arc::clone(&self.places), Arc::clone(&self.index));
        let shared = Arc::clone(&self.shared);
        let task = tokio::task::spawn_blocking(move || {
            let _alone = alone;
            maintain::take(&places, &index, &shared)
        });
        task.await.unwrap_or_else(|_| Err(EngineError::Unavailable("snapshot stopped".into())))
    }

    /// Ends, as every reader of the index has to, when this serves no longer.
    pub fn export(&self, origin: [u8; 16]) -> ExportStream {
        let Ok(alone) = Arc::clone(&self.exports).try_lock_owned() else {
            let busy = EngineError::Unavailable("an export is under way already".to_owned());
            return export::refused(busy);
        };
        let (pieces, stream) = mpsc::channel(EXPORT_PIECES + 1);
        // An error finds its place even when nobody takes the pieces before it.
        let Ok(last) = pieces.clone().try_reserve_owned() else { return stream };
        let (places, index) = (Arc::clone(&self.places), Arc::clone(&self.index));
        let (shared, patience) = (Arc::clone(&self.shared), self.export_patience);
        let (runtime, mut ended) = (Handle::current(), self.ended.subscribe());
        tokio::task::spawn_blocking(move || {
            let _alone = alone;
            let given_up = |_| EngineError::Unavailable("nobody reads the export".to_owned());
            let mut take = |piece| {
                runtime.block_on(async {
                    tokio::select! {
                        biased;
                        _ = ended.wait_for(|ended| *ended) => {
                            Err(EngineError::Unavailable("metadata starts anew".to_owned()))
                        }
                        sent = pieces.send_timeout(Ok(piece), patience) => sent.map_err(given_up),
                    }
                })
            };
            let written = export::write((&places, &index, &shared), origin, &mut take);
            // Whoever waits for the index has it before the reader hears of the end.
            drop(index);
            if let Err(error) = written {
                tracing::warn!(%error, "an export broke off");
                last.send(Err(error));
            }
        });
        stream
    }

    pub fn wants_snapshot(&self) -> bool {
        let last = self.shared.snapshot();
        self.shared.journal_bytes() > last.bytes.max(self.snapshot_after_bytes)
            || self.shared.epoch().saturating_sub(last.epoch) > EPOCHS_PER_SNAPSHOT
            || (self.shared.is_full_of_journals() && self.index.applied() > last.end)
    }

    /// Finishes what was begun and leaves the mark of a clean end. Blocks.
    pub fn close(&self) -> Result<(), EngineError> {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(requests) = requests else { return Err(EngineError::Closed) };
        self.ended.send_replace(true);
        let _no_export = self.exports.blocking_lock();
        let _no_snapshot = self.snapshots.blocking_lock();
        let (answer, answered) = oneshot::channel();
        // A committer that has ended answers nothing.
        let _ = requests.blocking_send(Request::Close(answer));
        drop(requests);
        let closed = answered.blocking_recv().unwrap_or(Err(EngineError::Closed));
        self.end();
        closed
    }

    fn sender(&self) -> Option<mpsc::Sender<Request>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for the committer, but not for ever; leaves no mark.
    pub fn end(&self) {
        self.ended.send_replace(true);
        drop(self.requests.lock().unwrap_or_else(PoisonError::into_inner).take());
        let committer = self.committer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(committer) = committer {
            join_within(committer, END_PATIENCE);
        }
        self.shared.stop_preparer();
        self.abandoned.send_replace(true);
    }

    /// Does not wait for the committer, which will find that it is no longer wanted.
    pub fn abandon(&self) {
        self.abandoned.send_replace(true);
        drop(self.committer.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.end();
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.end();
    }
}

/// Waits for a thread; leaves it alone if it takes too long.
pub fn join_within(thread: JoinHandle<()>, patience: Duration) {
    let until = Instant::now() + patience;
    while !thread.is_finished() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(2));
    }
    if thread.is_finished() {
        let _ = thread.join();
    } else {
        tracing::error!("a metadata thread hangs and is left alone");
    }
}

fn newest_snapshot(places: &[Place]) -> SnapshotFacts {
    let newest = |place: &Place| {
        let id = *snapshot::list(&*place.files).ok()?.first()?;
        let unix_s = snapshot::created_unix_s(&*place.files, id).unwrap_or(0);
        let bytes = place.files.length(&id.name()).unwrap_or(0);
        Some(SnapshotFacts { end: id.end, epoch: id.epoch, unix_s, bytes })
    };
    places.iter().filter_map(newest).max_by_key(|facts| facts.end).unwrap_or_default()
}
