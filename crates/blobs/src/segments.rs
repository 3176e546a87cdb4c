//! Small blobs packed in append-only segment files: one writer and one sync for all that wait.
//!
//! A segment belongs to one incarnation. After an error it is never written again: what was
//! acknowledged before stays readable, what was not is garbage that nothing names.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

use crate::disk::Step;
use crate::format::Record;
use crate::identifiers::{IncarnationId, SegmentId};
use crate::location::Place;
use crate::settings::Settings;
use crate::volume::Volume;

/// Writers that may wait in the queue of one directory; more wait outside it.
const QUEUE_LENGTH: usize = 1024;
/// Payload of one group; a larger one would make its first writer wait.
const GROUP_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// The door to the one task that appends to a directory's current segment.
#[derive(Clone)]
pub(crate) struct Appender {
    messages: mpsc::Sender<Message>,
    current: Arc<Mutex<Option<SegmentId>>>,
}

enum Message {
    Append(Append),
    Close(oneshot::Sender<()>),
}

struct Append {
    record: Record,
    reply: oneshot::Sender<io::Result<Place>>,
}

impl Appender {
    pub fn start(
        volume: Arc<Volume>,
        (incarnation, numbers): (IncarnationId, Arc<AtomicU64>),
        settings: &Settings,
        runtime: &tokio::runtime::Handle,
    ) -> Self {
        let (messages, queue) = mpsc::channel(QUEUE_LENGTH);
        let current = Arc::new(Mutex::new(None));
        let task = AppendTask {
            volume,
            incarnation,
            segment_bytes: settings.segment_bytes,
            preallocate_bytes: settings.preallocate_bytes,
            numbers,
            open: None,
            current: Arc::clone(&current),
        };
        runtime.spawn(task.run(queue));
        Self { messages, current }
    }

    /// Stores `record` durably in this directory.
    pub async fn append(&self, record: Record) -> io::Result<Place> {
        let (reply, answer) = oneshot::channel();
        let closed = || io::Error::other("the segments are closed");
        let message = Message::Append(Append { record, reply });
        self.messages.send(message).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Seals the current segment. Later appends fail.
    pub async fn close(&self) {
        let (reply, done) = oneshot::channel();
        if self.messages.send(Message::Close(reply)).await.is_ok() {
            // An error means that the task has ended, which is what is wanted.
            let _ = done.await;
        }
    }

    pub fn is_current(&self, segment: SegmentId) -> bool {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) == Some(segment)
    }
}

struct AppendTask {
    volume: Arc<Volume>,
    incarnation: IncarnationId,
    segment_bytes: u64,
    preallocate_bytes: u64,
    /// Shared by all appenders of the incarnation.
    numbers: Arc<AtomicU64>,
    open: Option<OpenSegment>,
    current: Arc<Mutex<Option<SegmentId>>>,
}

#[derive(Clone, Copy)]
struct OpenSegment {
    segment: SegmentId,
    end: u64,
    allocated: u64,
}

impl AppendTask {
    async fn run(mut self, mut queue: mpsc::Receiver<Message>) {
        while let Some(message) = queue.recv().await {
            let mut next = Some(message);
            let mut group = Vec::new();
            let mut group_bytes = 0;
            let mut closing = None;
            while let Some(message) = next.take() {
                match message {
                    Message::Append(append) => {
                        group_bytes += append.record.length();
                        group.push(append);
                    }
                    Message::Close(reply) => closing = Some(reply),
                }
                if group_bytes < GROUP_BYTES_MAX && closing.is_none() {
                    next = queue.try_recv().ok();
                }
            }
            if !group.is_empty() {
                self.commit(group).await;
            }
            if let Some(reply) = closing {
                self.seal().await;
                // Nobody may be waiting any more.
                let _ = reply.send(());
                return;
            }
        }
        self.seal().await;
    }

    async fn commit(&mut self, group: Vec<Append>) {
        let (records, replies): (Vec<_>, Vec<_>) =
            group.into_iter().map(|append| (append.record, append.reply)).unzip();
        match self.write(&records).await {
            Ok(places) => {
                for (reply, place) in replies.into_iter().zip(places) {
                    let _ = reply.send(Ok(place));
                }
            }
            Err(error) => {
                self.abandon();
                for reply in replies {
                    let _ = reply.send(Err(same_error(&error)));
                }
            }
        }
    }

    /// One write and one sync for all `records`.
    async fn write(&mut self, records: &[Record]) -> io::Result<Vec<Place>> {
        if self.volume.is_failed() {
            // Else each waiting group would spend the whole time limit on a hanging disk.
            return Err(io::Error::other("the directory has failed"));
        }
        let total: u64 = records.iter().map(Record::length).sum();
        let mut steps = Vec::with_capacity(4);
        let mut open = self.segment_with_room(total, &mut steps).await;
        let mut parts = Vec::with_capacity(3 * records.len());
        let mut places = Vec::with_capacity(records.len());
        let mut offset = open.end;
        for record in records {
            record.encode(open.segment, offset, &mut parts);
            let (segment, length) = (open.segment, record.length());
            places.push(Place::Segment { segment, offset, length });
            offset += length;
        }
        if offset > open.allocated {
            open.allocated = offset + self.preallocate_bytes.min(self.segment_bytes);
            steps.push(Step::Resize { size_bytes: open.allocated });
        }
        steps.extend([Step::Write { offset: open.end, parts }, Step::Sync]);
        self.volume.change(&open.segment.file(), steps).await?;
        open.end = offset;
        self.open = Some(open);
        Ok(places)
    }

    /// A segment for `bytes` more; a new one is made by the first of the `steps`.
    async fn segment_with_room(&mut self, bytes: u64, steps: &mut Vec<Step>) -> OpenSegment {
        if let Some(open) = self.open {
            if open.end + bytes <= self.segment_bytes {
                return open;
            }
            self.seal().await;
        }
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let segment = SegmentId { incarnation: self.incarnation, number };
        self.set_current(Some(segment));
        let open = OpenSegment { segment, end: 0, allocated: 0 };
        self.open = Some(open);
        steps.push(Step::Create);
        open
    }

    /// Gives back what was allocated ahead. All records are durable without it.
    async fn seal(&mut self) {
        let Some(open) = self.open else { return };
        let file = open.segment.file();
        let cut = [Step::Resize { size_bytes: open.end }, Step::Sync];
        if let Err(error) = self.volume.change(&file, cut).await {
            tracing::warn!(segment = %file, %error, "segment keeps its unused space");
        }
        self.abandon();
    }

    fn abandon(&mut self) {
        if let Some(open) = self.open.take() {
            self.volume.close(&open.segment.file());
        }
        self.set_current(None);
    }

    fn set_current(&self, segment: Option<SegmentId>) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = segment;
    }
}

/// `io::Error` cannot be cloned, and every writer of a group needs one.
fn same_error(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}
