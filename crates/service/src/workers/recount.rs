//! Brings what a bucket names to the number of copies that was set for it.
//!
//! Uploads and versions are walked in passes until one finds nothing more to do. Where it stands is
//! kept in metadata: it goes on after a restart.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use blobs::BlobId;
use metadata::{OnlyVersion, Recount as State, RecountPlace};
use model::{
    listing::Question,
    names::{BucketId, ObjectKey},
    records::{Bucket, Versioning},
};

use super::{Progress, Worker};
use crate::{Result, Service, contents::wanted, copies::Recounted};

/// Versions looked at in one step, and bytes after which it ends if that is not a second's share.
const STEP_ENTRIES: usize = 200;
const STEP_BYTES: u64 = 64 << 20;
/// Pause before blobs that could not be changed are tried again.
const RETRY: Duration = Duration::from_secs(15);

#[derive(Default)]
pub struct Recount {
    /// The bucket that was walked last.
    after: Option<BucketId>,
    /// In this round over all buckets something was done, or blobs were left undone.
    moved: bool,
    stuck: bool,
}

#[async_trait(?Send)]
impl Worker for Recount {
    fn name(&self) -> &'static str {
        "recount"
    }

    fn every(&self) -> Duration {
        Duration::from_secs(1)
    }

    async fn step(&mut self, service: &Arc<Service>) -> Result<Progress> {
        let metadata = &service.metadata;
        let Some((mut state, guard)) = metadata.next_recount(self.after).await? else {
            return Ok(self.end_of_round());
        };
        let bucket = metadata.bucket(&state.bucket).await?.map(|(bucket, _)| bucket);
        let Some(bucket) = bucket.filter(|bucket| bucket.id == state.id) else {
            metadata.note_recount(&guard, None).await?;
            return Ok(Progress::More);
        };
        let before = state.bytes;
        let ended = walk(service, &bucket, &mut state).await?;
        self.moved = true;
        let bytes = state.bytes - before;
        if !ended {
            metadata.note_recount(&guard, Some(&state)).await?;
            let pace = service.placement.bytes_per_second_max.max(1);
            return Ok(Progress::Pause(Duration::from_secs_f64(bytes as f64 / pace as f64)));
        }
        let changed = std::mem::take(&mut state.changed_in_pass);
        state.stuck = std::mem::take(&mut state.stuck_in_pass);
        state.place = RecountPlace::Uploads(None);
        self.stuck |= state.stuck > 0;
        let done = changed == 0 && state.stuck == 0;
        if metadata.note_recount(&guard, (!done).then_some(&state)).await? && done {
            let State { changed, bytes, .. } = state;
            tracing::info!(bucket = %bucket.name, changed, bytes, "bucket has its copies");
        }
        if changed == 0 {
            self.after = Some(bucket.id);
        }
        Ok(Progress::More)
    }
}

impl Recount {
    fn end_of_round(&mut self) -> Progress {
        match std::mem::take(self) {
            Self { stuck: true, .. } => Progress::Pause(RETRY),
            Self { moved: true, .. } => Progress::More,
            _ => Progress::Idle,
        }
    }
}

/// Goes on for a step; returns whether the pass has ended.
async fn walk(service: &Arc<Service>, bucket: &Bucket, state: &mut State) -> Result<bool> {
    match state.place {
        RecountPlace::Uploads(_) => uploads(service, bucket, state).await.map(|()| false),
        RecountPlace::Versions(_) => versions(service, bucket, state).await,
    }
}

/// All keys that come after one, those of the same name too.
fn from(key: Option<&ObjectKey>) -> Question {
    let after = key.map(ToString::to_string).unwrap_or_default();
    Question { after, limit: usize::MAX, ..Question::default() }
}

async fn uploads(service: &Arc<Service>, bucket: &Bucket, state: &mut State) -> Result<()> {
    let RecountPlace::Uploads(after) = state.place.clone() else { return Ok(()) };
    let (metadata, wanted) = (&service.metadata, wanted(bucket));
    let (key, upload) = after.unzip();
    let mut stream = metadata.upload_stream(bucket.id, &from(key.as_ref()), upload);
    let Some(found) = stream.next(metadata).await? else {
        state.place = RecountPlace::Versions(None);
        return Ok(());
    };
    let (parts, _) = metadata.parts(found.id, 0, usize::MAX).await?;
    for part in &parts {
        let blob = BlobId(part.blob);
        count(state, service.recount_blob(blob, wanted.copies, None).await);
    }
    state.place = RecountPlace::Uploads(Some((found.key, found.id)));
    Ok(())
}

async fn versions(service: &Arc<Service>, bucket: &Bucket, state: &mut State) -> Result<bool> {
    let before = state.place.clone();
    let mut entries = STEP_ENTRIES;
    loop {
        let (ended, stood_still) = some_versions(service, bucket, state, entries).await?;
        if stood_still {
            return Ok(ended);
        }
        // One that came back from the history meanwhile may have been missed.
        entries /= 10;
        if entries == 0 {
            state.changed_in_pass += 1;
            return Ok(ended);
        }
        state.place.clone_from(&before);
    }
}

/// Goes over the next versions; returns whether they were the last ones, and whether none went to
/// the history or came back from it meanwhile.
async fn some_versions(
    service: &Arc<Service>,
    bucket: &Bucket,
    state: &mut State,
    entries: usize,
) -> Result<(bool, bool)> {
    let RecountPlace::Versions(after) = state.place.clone() else { return Ok((true, true)) };
    let (metadata, wanted) = (&service.metadata, wanted(bucket));
    let (key, version) = after.unzip();
    let rows = async || metadata.current_rows(bucket.id, key.as_ref(), entries).await;
    let before = rows().await?;
    let mut stream = metadata.version_stream(bucket, &from(key.as_ref()), version).await?;
    let step_bytes = service.placement.bytes_per_second_max.min(STEP_BYTES);
    let (until, mut seen, mut ended) = (state.bytes.saturating_add(step_bytes), 0, false);
    while seen < entries && state.bytes < until {
        let Some(found) = stream.next(metadata).await? else {
            ended = true;
            break;
        };
        if seen > 0 && !before.reaches(bucket.id, &found.key) {
            break;
        }
        seen += 1;
        if let Some(object) = &found.version.object {
            let version = OnlyVersion { content: object.content, version: found.guard };
            for recounted in service.recount_content(version, &wanted).await? {
                count(state, recounted);
            }
        }
        state.place = RecountPlace::Versions(Some((found.key, found.version.id)));
    }
    let stood_still = bucket.versioning == Versioning::Unversioned || rows().await? == before;
    Ok((ended, stood_still))
}

/// One blob that cannot be changed must not keep the others from it.
fn count(state: &mut State, recounted: Result<Recounted>) {
    match recounted {
        Ok(Recounted { changed, bytes }) => {
            state.changed += u64::from(changed);
            state.changed_in_pass += u64::from(changed);
            state.bytes += bytes;
        }
        Err(error) => {
            tracing::warn!(bucket = %state.bucket, %error, "a blob cannot get its copies");
            state.stuck_in_pass += 1;
        }
    }
}
