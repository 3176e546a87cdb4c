//! Writes copies anew that reads found damaged or missing.

use std::{collections::HashSet, sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{Progress, Worker};
use crate::{Result, Service, checking::Health};

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
            match service.check_blob(blob, true).await.map(|checked| checked.health) {
                Ok(Health::Repaired) => tracing::warn!(%blob, "damaged copies were written anew"),
                Ok(Health::Lost) => tracing::error!(%blob, "no copies of a blob make a whole"),
                Ok(_) => {}
                Err(error) => tracing::error!(%blob, %error, "a damaged blob stays as it is"),
            }
        }
        Ok(Progress::Idle)
    }
}
