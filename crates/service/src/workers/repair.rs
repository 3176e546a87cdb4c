//! Writes copies anew that reads found damaged or missing.

use std::{collections::HashSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use blobs::BlobId;

use super::{Progress, Worker};
use crate::{Result, Service};

pub struct Repair;

#[async_trait(?Send)]
impl Worker for Repair {
    fn name(&self) -> &'static str {
        "repair"
    }

    fn every(&self) -> Duration {
        Duration::from_secs(10)
    }

    async fn step(&mut self, service: &Arc<Service>) -> Result<Progress> {
        let found: HashSet<_> =
            service.blobs.take_damaged().into_iter().map(|finding| finding.blob).collect();
        for blob in found {
            // One blob that cannot be repaired must not keep the others from it.
            match service.repair(blob).await {
                Ok(true) => tracing::warn!(%blob, "damaged copies were written anew"),
                Ok(false) => {}
                Err(error) => tracing::error!(%blob, %error, "a damaged blob stays as it is"),
            }
        }
        Ok(Progress::Idle)
    }
}

impl Service {
    /// Repairs a blob where something still names it; `false` if nothing was to be done.
    async fn repair(&self, blob: BlobId) -> Result<bool> {
        let (_reading, _writing) = (self.begin_read(), self.writers.begin());
        let Some(encoded) = self.metadata.blob_location(&blob.0).await? else { return Ok(false) };
        let location = self.decode_location(&encoded)?;
        let whole = self.blobs.verify(&location).await;
        if whole.iter().all(|(_, report)| *report == blobs::CopyReport::Intact) {
            return Ok(false);
        }
        let repaired = self.blobs.repair(&location).await?;
        self.move_blob(&location, &repaired).await
    }
}
