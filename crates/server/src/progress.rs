//! How a long start shows itself: a bar on a terminal, a line now and then in a log.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use metadata::embedded::Progress;

/// A start that takes less shows no bar.
const PATIENCE: Duration = Duration::from_secs(1);
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Shows how the recovery of the metadata is getting on.
pub struct RecoveryBar {
    bar: ProgressBar,
    terminal: bool,
    began: Instant,
    logged: Instant,
}

impl RecoveryBar {
    pub fn new() -> Self {
        let now = Instant::now();
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        Self { bar, terminal: io::stderr().is_terminal(), began: now, logged: now }
    }

    pub fn show(&mut self, progress: Progress) {
        let (doing, position, length) = match progress {
            Progress::ReadingJournals { .. } => ("reading journals", 0, None),
            Progress::LoadingSnapshot { entries } => ("loading the snapshot", entries, None),
            Progress::Replaying { sequence, last } => ("replaying", sequence, Some(last)),
        };
        if self.began.elapsed() < PATIENCE {
            return;
        }
        if !self.terminal {
            if self.logged.elapsed() >= LOG_EVERY {
                self.logged = Instant::now();
                tracing::info!(position, length, "recovery: {doing}");
            }
            return;
        }
        if self.bar.is_hidden() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        let form = match length {
            Some(_) => "{msg} {wide_bar} {human_pos}/{human_len} {eta}",
            None => "{msg} {spinner} {human_pos} {per_sec}",
        };
        if let Ok(style) = ProgressStyle::with_template(form) {
            self.bar.set_style(style);
        }
        match length {
            Some(length) => self.bar.set_length(length),
            None => self.bar.unset_length(),
        }
        self.bar.set_message(doing);
        self.bar.set_position(position);
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
