//! A few threads of its own for each directory, so that a hanging disk stops nothing else.

use std::io;
use std::thread;

use tokio::sync::oneshot;

use crate::disk::DiskFuture;

/// Jobs that may wait in one lane; more callers wait outside it.
const QUEUE_LENGTH: usize = 128;

type Job = Box<dyn FnOnce() + Send>;
/// Who asked for a job; closed once the answer is no longer waited for.
pub(crate) type Asker<T> = oneshot::Sender<io::Result<T>>;

/// A bounded queue of blocking jobs and the threads that do them. Threads end with the lane.
#[derive(Clone)]
pub(crate) struct Lane {
    jobs: async_channel::Sender<Job>,
}

impl Lane {
    pub fn new(name: &str, threads: usize) -> io::Result<Self> {
        let (jobs, queue) = async_channel::bounded::<Job>(QUEUE_LENGTH);
        for _ in 0..threads {
            let queue = queue.clone();
            thread::Builder::new().name(name.to_owned()).spawn(move || {
                // A job wakes one thread: changes of threads are much of what a small write costs.
                while let Ok(job) = queue.recv_blocking() {
                    job();
                }
            })?;
        }
        Ok(Self { jobs })
    }

    /// Does `job` on a thread of the lane, also if the answer is no longer waited for. It can ask
    /// whether that is so.
    pub fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Asker<T>) -> io::Result<T> + Send + 'static,
    ) -> DiskFuture<T> {
        let jobs = self.jobs.clone();
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            let job = Box::new(move || {
                // Nobody may be waiting any more.
                let result = job(&reply);
                let _ = reply.send(result);
            });
            let gone = || io::Error::other("the threads of the directory have ended");
            jobs.send(job).await.map_err(|_| gone())?;
            answer.await.map_err(|_| gone())?
        })
    }
}
