//! Reads the whole store through, once in a period: what rots unseen is found while other copies
//! are still good.
//!
//! A pass walks all named blobs in the order of their rows. Where it stands is kept in metadata, so
//! that it goes on after a restart. Its pace follows from the size of the store as the pass before
//! found it.
//!
//! What buckets with different numbers of copies have shared keeps the larger one until they are
//! walked again. Once in a pass that meets such a blob all of them are.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use blobs::{BlobId, Wish};
use metadata::{NamedBlob, ScrubState};
use model::ContentId;

use super::{Progress, Worker};
use crate::{Result, Service, checking::Health};

/// Blobs looked at in one step, and bytes after which it ends.
const STEP_BLOBS: usize = 100;
const STEP_BYTES: u64 = 16 << 20;
/// A pass that is ahead of its time does not pause longer at once.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// How much, how often.
#[derive(Clone, Copy, Debug)]
pub struct ScrubSettings {
    pub period: Duration,
    /// The pace is never below this, nor above the other.
    pub bytes_per_second_min: u64,
    pub bytes_per_second_max: u64,
}

impl ScrubSettings {
    /// The pace at which a store of `bytes` is read through in half a period, within the limits.
    fn bytes_per_second(&self, bytes: u64) -> u64 {
        let wanted = bytes / (self.period.as_secs() / 2).max(1);
        wanted.clamp(self.bytes_per_second_min.max(1), self.bytes_per_second_max.max(1))
    }
}

#[derive(Default)]
pub struct Scrub {
    state: Option<ScrubState>,
    /// In this pass the buckets were told to be walked.
    recounts: bool,
}

#[async_trait(?Send)]
impl Worker for Scrub {
    fn name(&self) -> &'static str {
        "scrub"
    }

    fn every(&self) -> Duration {
        Duration::from_secs(60)
    }

    async fn step(&mut self, service: &Arc<Service>) -> Result<Progress> {
        let Some(settings) = service.scrub else { return Ok(Progress::Idle) };
        let mut state = match self.state.take() {
            Some(state) => state,
            None => service.metadata.noted::<ScrubState>().await?.unwrap_or_default(),
        };
        let now_ms = service.now_ms();
        if state.after.is_none()
            && state.begun_ms.is_some_and(|begun| !is_due(settings, begun, now_ms))
        {
            self.state = Some(state);
            return Ok(Progress::Idle);
        }
        if state.after.is_none() {
            let bytes_before = state.bytes.max(state.bytes_before);
            state = ScrubState { begun_ms: Some(now_ms), bytes_before, ..ScrubState::default() };
            self.recounts = false;
        }
        let (bytes, surplus) = read_some(service, &mut state).await?;
        if surplus && !self.recounts {
            service.metadata.recount_all().await?;
            self.recounts = true;
        }
        if state.after.is_none() {
            ended(&state, service.now_ms());
        }
        service.metadata.note(&state).await?;
        let pace = settings.bytes_per_second(state.bytes_before.max(state.bytes));
        self.state = Some(state);
        let pause = Duration::from_secs_f64(bytes as f64 / pace as f64);
        Ok(Progress::Pause(pause.min(PAUSE_MAX)))
    }
}

fn is_due(settings: ScrubSettings, begun_ms: i64, now_ms: i64) -> bool {
    let period_ms = i64::try_from(settings.period.as_millis()).unwrap_or(i64::MAX);
    // A clock that was set back must not put the next pass off for ever.
    now_ms < begun_ms || now_ms - begun_ms >= period_ms
}

/// Checks the next blobs and notes how far it came; returns the bytes read, and whether some blob
/// may have more copies than its users want.
async fn read_some(service: &Arc<Service>, state: &mut ScrubState) -> Result<(u64, bool)> {
    let page = service.metadata.named_blobs(state.after.as_deref(), STEP_BLOBS).await?;
    let (mut bytes, mut surplus) = (0, false);
    state.after = page.next;
    for blob in page.blobs {
        let id = BlobId(blob.id);
        surplus |= was_shared(service, &blob).await?;
        let checked = match service.check_blob(id, true).await {
            Ok(checked) => checked,
            Err(error) => {
                // One blob that cannot be mended now must not keep the others from it.
                tracing::error!(blob = %id, %error, "a damaged blob stays as it is");
                state.lost += 1;
                continue;
            }
        };
        bytes += checked.bytes;
        state.blobs += 1;
        note(id, checked.health, state);
        if bytes >= STEP_BYTES {
            state.after = Some(blob.row().to_vec());
            break;
        }
    }
    state.bytes += bytes;
    metrics::counter!("larder_scrub_bytes_total").increment(bytes);
    Ok((bytes, surplus))
}

/// Whether a blob has copies for several users, and perhaps no longer several. Nobody knows that of
/// a part.
async fn was_shared(service: &Service, blob: &NamedBlob) -> Result<bool> {
    let joint = service
        .decode_location(&blob.location)
        .is_ok_and(|location| location.wish.is_some_and(Wish::is_joint));
    Ok(joint && !service.metadata.is_shared(ContentId(blob.id)).await?)
}

fn note(blob: BlobId, health: Health, state: &mut ScrubState) {
    metrics::counter!("larder_scrub_blobs_total").increment(1);
    match health {
        Health::Intact | Health::Gone | Health::Damaged => {}
        Health::Unreachable => state.unreachable += 1,
        Health::Repaired => {
            state.repaired += 1;
            metrics::counter!("larder_scrub_repaired_total").increment(1);
            tracing::warn!(%blob, "scrub: damaged copies were written anew");
        }
        Health::Lost => {
            state.lost += 1;
            metrics::counter!("larder_scrub_lost_total").increment(1);
            tracing::error!(%blob, "scrub: no copies of a blob make a whole; see larder check");
        }
    }
}

fn ended(state: &ScrubState, now_ms: i64) {
    let ScrubState { blobs, bytes, repaired, lost, unreachable, .. } = *state;
    metrics::gauge!("larder_scrub_passed_timestamp_seconds").set(now_ms as f64 / 1000.0);
    tracing::info!(blobs, bytes, repaired, lost, unreachable, "scrub: the store was read through");
}
