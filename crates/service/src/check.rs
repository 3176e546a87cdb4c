//! A check on demand: every copy of every object, in all buckets or in one.
//!
//! The work is done in steps by `workers::check`; here is what can be asked, and what is told.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::{Condition, names::BucketName, policy::Action};

pub use crate::checking::Health;
use crate::{Error, Need, Operation, Permit, Result, Service};

/// Damaged objects named in a report at most; the numbers are exact.
const NAMES_MAX: usize = 1000;

/// Begins a check; one at a time.
pub struct StartCheck(pub CheckWish);

/// Tells how the last check is getting on, or how it ended.
pub struct ReadCheck;

/// What to check.
#[derive(Clone, Debug, Default)]
pub struct CheckWish {
    /// Only this one.
    pub bucket: Option<BucketName>,
    /// Bad copies are written anew, and wrong counters corrected.
    pub repair: bool,
}

/// What was found so far.
#[derive(Clone, Debug, Default)]
pub struct CheckReport {
    pub wish: CheckWish,
    pub running: bool,
    /// Why it ended before its end.
    pub failure: Option<String>,
    pub buckets: u64,
    /// Versions of objects.
    pub objects: u64,
    /// Blobs of objects and of parts of uploads, and their bytes, each copy counted.
    pub blobs: u64,
    pub bytes: u64,
    /// Blobs by how they were found; all others are intact.
    pub unreachable: u64,
    pub damaged: u64,
    pub repaired: u64,
    pub lost: u64,
    /// Usage counters of buckets, references of contents and live bytes of segments that were
    /// wrong, and those that were corrected.
    pub wrong_counters: u64,
    pub corrected_counters: u64,
    /// Files of ended processes that nothing names; those whose process is known are removed soon.
    pub unnamed_files: u64,
    /// The first ones.
    pub faults: Vec<Fault>,
}

/// Something that was found wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Empty if it is no bucket's.
    pub bucket: String,
    pub key: Option<String>,
    /// As clients call it; or the upload's id.
    pub version: Option<String>,
    pub what: &'static str,
}

impl CheckReport {
    /// Nothing is left that should be otherwise.
    pub fn is_clean(&self) -> bool {
        let left = self.damaged + self.lost + self.wrong_counters - self.corrected_counters;
        self.failure.is_none() && left == 0
    }

    pub(crate) fn note(&mut self, fault: Fault) {
        if self.faults.len() < NAMES_MAX {
            self.faults.push(fault);
        }
    }

    pub(crate) fn count(&mut self, health: Health) {
        let counter = match health {
            Health::Intact | Health::Gone => return,
            Health::Unreachable => &mut self.unreachable,
            Health::Damaged => &mut self.damaged,
            Health::Repaired => &mut self.repaired,
            Health::Lost => &mut self.lost,
        };
        *counter += 1;
    }
}

impl Health {
    /// In words, if something is wrong.
    pub(crate) fn told(self) -> Option<&'static str> {
        match self {
            Self::Intact | Self::Gone => None,
            Self::Unreachable => Some("copies lie in directories that do not answer"),
            Self::Damaged => Some("a copy is damaged or missing"),
            Self::Repaired => Some("a damaged copy was written anew"),
            Self::Lost => Some("lost: no copies together make a whole"),
        }
    }
}

/// The last check.
#[derive(Default)]
pub(crate) struct Checks(Mutex<Option<CheckReport>>);

impl Checks {
    pub fn report(&self) -> MutexGuard<'_, Option<CheckReport>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Operation for StartCheck {
    type Output = ();

    fn needs(&self) -> Vec<Need<'_>> {
        Need::service(Action::AdminStore)
    }

    async fn run(self, _: Permit<'_, Self>, service: &Arc<Service>) -> Result<()> {
        if let Some(name) = &self.0.bucket {
            service.metadata.bucket(name).await?.ok_or(Condition::NoSuchBucket)?;
        }
        let mut report = service.checks.report();
        if report.as_ref().is_some_and(|report| report.running) {
            let detail = "A check is running already.";
            return Err(Error::new(Condition::InvalidRequest, detail));
        }
        *report = Some(CheckReport { wish: self.0, running: true, ..CheckReport::default() });
        Ok(())
    }
}

impl Operation for ReadCheck {
    type Output = Option<CheckReport>;

    fn needs(&self) -> Vec<Need<'_>> {
        Need::service(Action::AdminStore)
    }

    async fn run(self, _: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        Ok(service.checks.report().clone())
    }
}
