//! Looks at the directories: fails those that others stand in the place of, and takes back those
//! that work again.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{Progress, Worker};
use crate::{Result, Service};

pub struct Tend;

#[async_trait(?Send)]
impl Worker for Tend {
    fn name(&self) -> &'static str {
        "tend"
    }

    fn every(&self) -> Duration {
        Duration::from_secs(5)
    }

    async fn step(&mut self, service: &Arc<Service>) -> Result<Progress> {
        service.blobs.tend().await;
        Ok(Progress::Idle)
    }
}
