//! `/_larder/check`: begin a check of all copies, and read what it found.

use std::sync::Arc;

use model::{Condition, names::BucketName};
use serde::{Deserialize, Serialize};
use service::{
    Error, Service,
    check::{CheckReport, CheckWish, ReadCheck, StartCheck},
};

use super::{json, read};
use crate::wire::{Reply, Request, Result, empty};

/// What to check.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct Wanted {
    bucket: Option<String>,
    repair: bool,
}

/// A report as shown.
#[derive(Serialize)]
struct Shown {
    running: bool,
    clean: bool,
    failure: Option<String>,
    bucket: Option<String>,
    repair: bool,
    buckets: u64,
    objects: u64,
    blobs: u64,
    bytes: u64,
    unreachable: u64,
    damaged: u64,
    repaired: u64,
    lost: u64,
    wrong_counters: u64,
    corrected_counters: u64,
    unnamed_files: u64,
    faults: Vec<Fault>,
}

#[derive(Serialize)]
struct Fault {
    bucket: String,
    key: Option<String>,
    version: Option<String>,
    what: &'static str,
}

/// `POST /_larder/check`
pub async fn start(request: &mut Request, service: &Arc<Service>) -> Result<Reply> {
    let wanted: Wanted = read(request).await?;
    let bucket = wanted.bucket.map(|name| BucketName::parse(&name));
    let bucket = bucket.transpose().map_err(|_| Error::from(Condition::InvalidBucketName))?;
    let wish = CheckWish { bucket, repair: wanted.repair };
    service.call(&request.caller, StartCheck(wish)).await?;
    Ok(empty(202))
}

/// `GET /_larder/check`
pub async fn report(request: &Request, service: &Arc<Service>) -> Result<Reply> {
    let report = service.call(&request.caller, ReadCheck).await?;
    json(200, &report.map(Shown::from))
}

/// A report in the form in which the admin interface gives it.
pub fn report_json(report: CheckReport) -> serde_json::Value {
    serde_json::to_value(Shown::from(report)).unwrap_or_default()
}

impl From<CheckReport> for Shown {
    fn from(report: CheckReport) -> Self {
        let clean = report.is_clean();
        let faults = report.faults.into_iter().map(|fault| Fault {
            bucket: fault.bucket,
            key: fault.key,
            version: fault.version,
            what: fault.what,
        });
        Self {
            running: report.running,
            clean,
            failure: report.failure,
            bucket: report.wish.bucket.map(|bucket| bucket.to_string()),
            repair: report.wish.repair,
            buckets: report.buckets,
            objects: report.objects,
            blobs: report.blobs,
            bytes: report.bytes,
            unreachable: report.unreachable,
            damaged: report.damaged,
            repaired: report.repaired,
            lost: report.lost,
            wrong_counters: report.wrong_counters,
            corrected_counters: report.corrected_counters,
            unnamed_files: report.unnamed_files,
            faults: faults.collect(),
        }
    }
}
