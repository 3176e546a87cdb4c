//! Background work: bounded, resumable steps, paced by one runner.

mod audit;
mod check;
mod moving;
mod origins;
mod placement;
mod reckon;
mod reclaim;
mod recount;
mod repair;
mod scrub;
mod snapshot;
mod sweep;
mod tend;

use std::{io, sync::Arc, thread, time::Duration};

use async_trait::async_trait;
use futures_util::future::join_all;
use tokio::sync::{Notify, oneshot, watch};

use crate::{Result, Service};

pub use audit::Audit;
pub use check::Check;
pub use placement::Placement;
pub use reclaim::Reclaim;
pub use recount::Recount;
pub use repair::Repair;
pub use scrub::{Scrub, ScrubSettings};
pub use snapshot::Snapshot;
pub use sweep::Sweep;
pub use tend::Tend;

/// What a step leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There is more to do now.
    More,
    /// There is more to do after a pause, so that others have the disks.
    Pause(Duration),
    /// Nothing to do until the next interval or wake-up.
    Idle,
}

/// One kind of background work.
#[async_trait(?Send)]
pub trait Worker {
    fn name(&self) -> &'static str;

    /// The longest pause between two looks.
    fn every(&self) -> Duration;

    /// What ends that pause early.
    fn woken_by<'s>(&self, _service: &'s Service) -> Option<&'s Notify> {
        None
    }

    /// How long it lets more come after it was woken.
    fn gathering(&self) -> Duration {
        Duration::ZERO
    }

    /// Does a bounded piece of work that may be done twice without harm.
    async fn step(&mut self, service: &Arc<Service>) -> Result<Progress>;
}

/// Pause after a first error; it doubles with each further one.
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(1);
const PAUSE_AFTER_ERROR_MAX: Duration = Duration::from_secs(300);

/// Runs the workers until stopped, on a thread of their own: however long a step computes, it
/// holds up no request.
pub struct Runner {
    stop: watch::Sender<bool>,
    ended: oneshot::Receiver<()>,
}

impl Runner {
    /// Starts all workers.
    ///
    /// # Errors
    /// When the machine gives no thread.
    pub fn start(service: &Arc<Service>) -> io::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let (end, ended) = oneshot::channel();
        let service = Arc::clone(service);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("workers".to_owned()).spawn(move || {
            let workers: [Box<dyn Worker>; 10] = [
                Box::new(Audit::default()),
                Box::new(Check::default()),
                Box::new(Placement::default()),
                Box::new(Reclaim::default()),
                Box::new(Recount::default()),
                Box::new(Repair),
                Box::new(Scrub::default()),
                Box::new(Snapshot),
                Box::new(Sweep::default()),
                Box::new(Tend::default()),
            ];
            let runs = workers.map(|worker| run(worker, Arc::clone(&service), stopped.clone()));
            runtime.block_on(join_all(runs));
            drop(service);
            let _ = end.send(());
        })?;
        Ok(Self { stop, ended })
    }

    /// Lets running steps end, and waits for them.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        let _ = self.ended.await;
    }
}

async fn run(
    mut worker: Box<dyn Worker>,
    service: Arc<Service>,
    mut stopped: watch::Receiver<bool>,
) {
    let name = worker.name();
    let mut pause_after_error = PAUSE_AFTER_ERROR;
    while !*stopped.borrow() {
        let mut wakes = worker.woken_by(&service);
        let pause = match worker.step(&service).await {
            Ok(progress) => {
                metrics::counter!("larder_worker_steps_total", "worker" => name).increment(1);
                pause_after_error = PAUSE_AFTER_ERROR;
                match progress {
                    Progress::More => Duration::ZERO,
                    Progress::Pause(pause) => pause,
                    Progress::Idle => jittered(&service, worker.every()),
                }
            }
            Err(error) => {
                metrics::counter!("larder_worker_errors_total", "worker" => name).increment(1);
                let cause = error.source.as_ref().map(ToString::to_string);
                tracing::error!(worker = name, %error, cause, "a worker's step failed");
                wakes = None;
                let pause = pause_after_error;
                pause_after_error = (pause_after_error * 2).min(PAUSE_AFTER_ERROR_MAX);
                pause
            }
        };
        if pause.is_zero() {
            tokio::task::yield_now().await;
            continue;
        }
        tokio::select! {
            _ = stopped.changed() => {}
            () = tokio::time::sleep(pause) => {}
            () = notified(wakes, worker.gathering()) => {}
        }
    }
}

/// Waits for what wakes a worker and for what comes with it, for ever if nothing does.
async fn notified(wakes: Option<&Notify>, gathering: Duration) {
    match wakes {
        Some(wakes) => wakes.notified().await,
        None => std::future::pending().await,
    }
    if !gathering.is_zero() {
        tokio::time::sleep(gathering).await;
    }
}

/// Between three and five quarters of `pause`, so that workers do not march in step.
fn jittered(service: &Service, pause: Duration) -> Duration {
    let [random] = service.random::<1>();
    pause.mul_f64(0.75 + f64::from(random) / 512.0)
}
