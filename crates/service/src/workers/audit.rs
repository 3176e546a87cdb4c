//! Takes entries of the audit trail away that are too old, or too many of one account.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use metadata::AuditWalk;
use model::limits::AUDIT_ENTRIES_PER_ACCOUNT_MAX;

use super::{Progress, Worker};
use crate::{Result, Service};

#[derive(Default)]
pub struct Audit(Option<AuditWalk>);

#[async_trait(?Send)]
impl Worker for Audit {
    fn name(&self) -> &'static str {
        "audit"
    }

    fn every(&self) -> Duration {
        Duration::from_secs(600)
    }

    async fn step(&mut self, service: &Arc<Service>) -> Result<Progress> {
        let keep_ms = i64::try_from(service.audit_keep.as_millis()).unwrap_or(i64::MAX);
        let before_ms = service.now_ms().saturating_sub(keep_ms);
        if self.0.is_none() {
            let most = AUDIT_ENTRIES_PER_ACCOUNT_MAX;
            self.0 = service.metadata.begin_audit_walk(before_ms, most).await?;
        }
        let Some(walk) = &mut self.0 else { return Ok(Progress::Idle) };
        if service.metadata.walk_audit(walk, before_ms).await? {
            return Ok(Progress::More);
        }
        self.0 = None;
        Ok(Progress::Idle)
    }
}
