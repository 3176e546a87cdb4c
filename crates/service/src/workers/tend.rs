//! Looks at the directories: fails those that others stand in the place of, and takes back those
//! that work again, with the metadata that they hold.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use blobs::DirectoryState;
use metadata::engine::MemberState;

use super::{Progress, Worker};
use crate::{Result, Service};

#[derive(Default)]
pub struct Tend {
    /// Directories that hold metadata, were missing at the start, and have been recalled since.
    recalled: BTreeSet<[u8; 16]>,
}

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
        let status = service.status();
        let healthy: BTreeSet<[u8; 16]> = status
            .directories
            .iter()
            .filter(|directory| directory.state == DirectoryState::Healthy)
            .map(|directory| directory.id.0)
            .collect();
        let missing = |state| state == MemberState::Missing;
        let members = status.engine.members.iter().filter(|member| missing(member.state));
        let back: BTreeSet<_> =
            members.map(|member| member.id).filter(|id| healthy.contains(id)).collect();
        self.recalled.retain(|id| healthy.contains(id));
        if !back.is_subset(&self.recalled) {
            self.recalled.extend(&back);
            service.recall_holders(&back).await?;
        }
        Ok(Progress::Idle)
    }
}
