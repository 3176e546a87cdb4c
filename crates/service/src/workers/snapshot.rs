//! Writes a snapshot of metadata when the journal has grown enough to be worth one.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{Progress, Worker};
use crate::{Error, Result, Service};

pub struct Snapshot;

#[async_trait(?Send)]
impl Worker for Snapshot {
    fn name(&self) -> &'static str {
        "snapshot"
    }

    fn every(&self) -> Duration {
        Duration::from_secs(10)
    }

    async fn step(&mut self, service: &Arc<Service>) -> Result<Progress> {
        let engine = service.metadata.engine();
        if engine.wants_snapshot() {
            let report = engine.snapshot().await.map_err(Error::internal)?;
            tracing::info!(entries = report.entries, bytes = report.bytes, "snapshot written");
            // On a full disk only the second one makes room.
            return Ok(Progress::More);
        }
        Ok(Progress::Idle)
    }
}
