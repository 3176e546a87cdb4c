//! `larder serve`: start, run until a signal, drain, close.

use std::future::Future;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::cli::Serve;
use crate::config::{Config, Log, LogFormat};
use crate::descriptors;
use crate::paste::{self, Access};
use crate::wiring::Larder;

/// A signal that follows the first one sooner is the same one.
const SECOND_SIGNAL_AFTER: Duration = Duration::from_secs(1);

/// Serves until SIGTERM or SIGINT; a second one ends the process at once.
pub fn run(arguments: Serve) -> Result<()> {
    let config = arguments.flags.configuration(arguments.directories)?;
    start_logging(&config.log)?;
    descriptors::raise_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(config))
}

async fn serve(config: Config) -> Result<()> {
    let mut signals = Signals::new()?;
    let Some(started) = unless_stopped(&mut signals, Larder::start(&config)).await else {
        return Ok(());
    };
    let larder = started?;
    super::print(&greeting(&config, &larder))?;
    let name = signals.next().await;
    tracing::info!(signal = name, "stopping: running requests may finish");
    tokio::select! {
        stopped = larder.stop() => stopped,
        () = second(&mut signals) => bail!("stopped by a second signal; the next start recovers"),
    }
}

/// Waits for a signal that was meant as a second one: some senders tell a process and its group.
async fn second(signals: &mut Signals) {
    let earliest = Instant::now() + SECOND_SIGNAL_AFTER;
    loop {
        signals.next().await;
        if Instant::now() >= earliest {
            return;
        }
    }
}

/// What is printed at the start: the address that was taken, and lines to paste.
fn greeting(config: &Config, larder: &Larder) -> String {
    let secure = config.tls.certificate.is_some();
    let mut text = String::new();
    for address in &larder.addresses {
        text += &format!("{:<9} {}\n", "endpoint", paste::local_url(*address, secure));
    }
    let local = larder.addresses.first().map(|address| paste::local_url(*address, secure));
    if let Some(public) = &config.server.public_url {
        text += &format!("{:<9} {public}\n", "public");
    }
    let endpoint = config.server.public_url.clone().or(local).unwrap_or_default();
    text += &paste::lines(&Access {
        endpoint: &endpoint,
        region: &config.region(),
        access_key: &larder.access_key,
        secret_key: larder.new_secret.as_ref().map(|secret| secret.reveal()),
    });
    text
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Waits for `work`, or for a signal: then `None`.
async fn unless_stopped<T>(signals: &mut Signals, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        done = work => Some(done),
        name = signals.next() => {
            tracing::warn!(signal = name, "stopping at once");
            None
        }
    }
}

pub(super) fn start_logging(log: &Log) -> Result<()> {
    let filter = EnvFilter::try_new(&log.filter).context("log.filter")?;
    let base = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = match log.format {
        LogFormat::Text => base.with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => base.json().flatten_event(true).with_ansi(false).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("logging cannot start: {error}"))
}
