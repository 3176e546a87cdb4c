//! What reads found wrong, waiting for repair.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::identifiers::{BlobId, DirectoryId};

/// What is wrong with one copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Damage {
    /// Other bytes than were written, or bytes that the disk cannot read.
    Corrupt,
    /// Not where the location says. Also seen when the location was old: look it up again.
    Missing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Finding {
    pub blob: BlobId,
    pub directory: DirectoryId,
    pub what: Damage,
}

/// A bounded queue. What does not fit is dropped: the next read or scrub finds it again.
pub(crate) struct DamageQueue {
    findings: Mutex<VecDeque<Finding>>,
    length_max: usize,
}

impl DamageQueue {
    pub fn new(length_max: usize) -> Self {
        Self { findings: Mutex::default(), length_max }
    }

    pub fn push(&self, finding: Finding) {
        let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        if findings.len() < self.length_max && !findings.contains(&finding) {
            tracing::warn!(?finding, "a copy of a blob needs repair");
            findings.push_back(finding);
        }
    }

    pub fn take(&self) -> Vec<Finding> {
        let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        findings.drain(..).collect()
    }
}
