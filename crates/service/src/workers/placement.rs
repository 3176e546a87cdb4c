//! Brings all blobs to where they are to lie: out of directories that are being emptied, and to the
//! number of copies that is wanted now.
//!
//! Whenever the layout of the store changes, all named blobs are walked, in passes, until one pass
//! finds nothing more to do. Where it stands is kept in metadata: it goes on after a restart.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use blobs::BlobId;
use futures_util::{StreamExt, stream};
use metadata::PlacementState;
use tokio::sync::Notify;

use super::{Progress, Worker};
use crate::{Result, Service};

/// Blobs looked at in one step, and those moved at once.
const STEP_BLOBS: usize = 200;
const AT_ONCE: usize = 8;
/// Pause before blobs that could not be moved are tried again; it doubles each time, so often.
const RETRY: Duration = Duration::from_secs(15);
const RETRY_DOUBLINGS: u32 = 7;
const WAIT_FOR_WRITES: Duration = Duration::from_millis(200);

#[derive(Default)]
pub struct Placement {
    state: Option<PlacementState>,
    /// Writes that began before this may still name copies where the layout before wanted them: a
    /// pass that begins before they have ended is not the last.
    since: Option<Moment>,
    /// Such a pass has found nothing to do.
    waits: bool,
    /// Passes in a row that left something undone.
    retries: u32,
}

/// How many writes and uploads had begun.
#[derive(Clone, Copy)]
struct Moment {
    writes: u64,
    uploads: u64,
}

impl Moment {
    fn now(service: &Service) -> Self {
        Self { writes: service.writers.mark(), uploads: service.uploads.mark() }
    }

    /// Whether all that had begun have ended.
    fn is_over(self, service: &Service) -> bool {
        service.writers.all_after(self.writes) && service.uploads.all_after(self.uploads)
    }
}

#[async_trait(?Send)]
impl Worker for Placement {
    fn name(&self) -> &'static str {
        "placement"
    }

    fn every(&self) -> Duration {
        Duration::from_secs(15)
    }

    fn woken_by<'s>(&self, service: &'s Service) -> Option<&'s Notify> {
        Some(&service.layout_changed)
    }

    async fn step(&mut self, service: &Arc<Service>) -> Result<Progress> {
        let layout = service.blobs.layout();
        let mut state = match self.state.take() {
            Some(state) => state,
            None => service.metadata.noted().await?.unwrap_or_default(),
        };
        let again = state.ended_ms.is_some() && service.is_emptying().await?;
        if state.layout != layout || again {
            let begun_ms = service.now_ms();
            state = PlacementState { layout, begun_ms, ..PlacementState::default() };
            *self = Self { since: Some(Moment::now(service)), ..Self::default() };
        }
        if state.ended_ms.is_some() {
            self.state = Some(state);
            return Ok(Progress::Idle);
        }
        if state.after.is_none() && self.since.is_some_and(|since| since.is_over(service)) {
            self.since = None;
        }
        if self.waits && self.since.is_some() {
            self.state = Some(state);
            return Ok(Progress::Pause(WAIT_FOR_WRITES));
        }
        self.waits = false;
        let bytes = walk(service, &mut state).await?;
        let progress = match state.after {
            Some(_) => Progress::More,
            None => self.end_of_pass(service, &mut state).await?,
        };
        service.metadata.note(&state).await?;
        self.state = Some(state);
        let pace = service.placement.bytes_per_second_max.max(1);
        Ok(match progress {
            Progress::More => Progress::Pause(Duration::from_secs_f64(bytes as f64 / pace as f64)),
            progress => progress,
        })
    }
}

impl Placement {
    /// Only a pass that finds nothing to do is the last one.
    async fn end_of_pass(
        &mut self,
        service: &Arc<Service>,
        state: &mut PlacementState,
    ) -> Result<Progress> {
        let moved = std::mem::take(&mut state.moved_in_pass);
        let stuck = std::mem::take(&mut state.stuck_in_pass);
        state.stuck = stuck;
        metrics::gauge!("larder_placement_stuck").set(stuck as f64);
        if stuck > 0 {
            let pause = RETRY * (1 << self.retries.min(RETRY_DOUBLINGS));
            self.retries += 1;
            return Ok(Progress::Pause(pause));
        }
        if moved > 0 || self.since.is_some() {
            self.waits = moved == 0;
            return Ok(Progress::More);
        }
        service.emptied(&state.layout).await?;
        state.ended_ms = Some(service.now_ms());
        let (moved, bytes) = (state.moved, state.moved_bytes);
        tracing::info!(moved, bytes, "all blobs are where they are to lie");
        Ok(Progress::Idle)
    }
}

/// Moves those of the next blobs that are to; returns the bytes written.
async fn walk(service: &Arc<Service>, state: &mut PlacementState) -> Result<u64> {
    let page = service.metadata.named_blobs(state.after.as_deref(), STEP_BLOBS).await?;
    let mut unsettled = Vec::new();
    for blob in page.blobs {
        if !service.blobs.is_settled(&service.decode_location(&blob.location)?) {
            unsettled.push(BlobId(blob.id));
        }
    }
    let settle = async |blob| (blob, service.settle(blob).await);
    let settling = unsettled.into_iter().map(settle);
    let mut settling = stream::iter(settling).buffer_unordered(AT_ONCE);
    let mut bytes = 0;
    while let Some((blob, settled)) = settling.next().await {
        match settled {
            Ok(written) => {
                state.moved += 1;
                state.moved_in_pass += 1;
                bytes += written;
            }
            Err(error) => {
                // One blob that cannot be moved must not keep the others from it.
                tracing::warn!(%blob, %error, "a blob cannot be brought to where it is to lie");
                state.stuck_in_pass += 1;
            }
        }
    }
    state.moved_bytes += bytes;
    metrics::counter!("larder_placement_bytes_total").increment(bytes);
    state.after = page.next;
    Ok(bytes)
}

impl Service {
    /// Gives a blob the copies that it shall have; returns the bytes written for it.
    pub(crate) async fn settle(&self, blob: BlobId) -> Result<u64> {
        let (_reading, _writing) = (self.begin_read(), self.writers.begin());
        let _turn = self.turns.take(blob.0).await;
        let Some(encoded) = self.metadata.blob_location(&blob.0).await? else { return Ok(0) };
        let location = self.decode_location(&encoded)?;
        let settled = self.blobs.settle(&location).await?;
        let new = settled.copies.iter().filter(|copy| !location.copies.contains(copy)).count();
        self.move_blob(&location, &settled).await?;
        Ok(location.size_bytes.saturating_mul(new as u64))
    }
}
