//! A few threads of its own for each directory, so that a hanging disk stops nothing else.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::sync::{mpsc, oneshot};

use crate::disk::DiskFuture;

/// Jobs that may wait in one lane; more callers wait outside it.
const QUEUE_LENGTH: usize = 128;

type Job = Box<dyn FnOnce() + Send>;

/// A bounded queue of blocking jobs and the threads that do them. Threads end with the lane.
#[derive(Clone)]
pub(crate) struct Lane {
    jobs: mpsc::Sender<Job>,
}

impl Lane {
    pub fn new(name: &str, threads: usize) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>(QUEUE_LENGTH);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..threads {
            let queue = Arc::clone(&queue);
            thread::Builder::new().name(name.to_owned()).spawn(move || {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
                    let Some(job) = next else { return };
                    job();
                }
            })?;
        }
        Ok(Self { jobs })
    }

    /// Does `job` on a thread of the lane, also if the answer is no longer waited for.
    pub fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> DiskFuture<T> {
        let jobs = self.jobs.clone();
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            let job = Box::new(move || {
                // Nobody may be waiting any more.
                let _ = reply.send(job());
            });
            let gone = || io::Error::other("the threads of the directory have ended");
            jobs.send(job).await.map_err(|_| gone())?;
            answer.await.map_err(|_| gone())?
        })
    }
}
