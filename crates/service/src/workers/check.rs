//! Does a check that somebody asked for, a few objects at a time.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use blobs::BlobId;
use metadata::{Scope, StreamedVersion, Usage};
use model::{
    BucketName, ContentId, ObjectKey, UploadId, VersionId,
    listing::Question,
    names::VersionSelector,
    records::{Bucket, ObjectData},
};

use super::{Progress, Worker, reckon::Reckoning};
use crate::{
    Result, Service,
    check::{CheckReport, Fault, Health},
};

/// Versions or parts looked at in one step, and bytes after which a step ends.
const STEP_ENTRIES: usize = 100;
const STEP_BYTES: u64 = 64 << 20;

/// Where the check stands; it begins again if the process does.
#[derive(Default)]
pub struct Check(Option<Walk>);

#[derive(Default)]
struct Walk {
    report: CheckReport,
    bucket: Option<InBucket>,
    /// The last bucket that was done.
    done: Option<BucketName>,
    /// Contents that several versions share and that are not intact.
    known: HashMap<ContentId, Health>,
    /// If all buckets are checked.
    reckoning: Option<Reckoning>,
}

struct InBucket {
    bucket: Bucket,
    usage_before: Usage,
    counted: Usage,
    place: Place,
}

enum Place {
    Versions { after: Option<(ObjectKey, VersionId)> },
    Uploads { after: Option<(ObjectKey, UploadId)> },
}

#[async_trait(?Send)]
impl Worker for Check {
    fn name(&self) -> &'static str {
        "check"
    }

    fn every(&self) -> Duration {
        Duration::from_secs(1)
    }

    async fn step(&mut self, service: &Arc<Service>) -> Result<Progress> {
        let asked = service.checks.report().as_ref().filter(|report| report.running).cloned();
        let Some(asked) = asked else {
            self.0 = None;
            return Ok(Progress::Idle);
        };
        let begin = || {
            let reckoning = asked.wish.bucket.is_none().then(|| Reckoning::begin(service));
            Walk { report: asked, reckoning, ..Walk::default() }
        };
        let walk = self.0.get_or_insert_with(begin);
        match walk.step(service).await {
            Ok(Progress::More) => {}
            Ok(_) => walk.report.running = false,
            Err(error) => {
                walk.report.running = false;
                walk.report.failure = Some(error.to_string());
            }
        }
        *service.checks.report() = Some(walk.report.clone());
        Ok(Progress::More)
    }
}

impl Walk {
    async fn step(&mut self, service: &Arc<Service>) -> Result<Progress> {
        let Some(mut at) = self.bucket.take() else { return self.next_bucket(service).await };
        let ended = match at.place {
            Place::Versions { .. } => self.versions(service, &mut at).await?,
            Place::Uploads { .. } => self.uploads(service, &mut at).await?,
        };
        match (ended, &at.place) {
            (false, _) => self.bucket = Some(at),
            (true, Place::Versions { .. }) => {
                at.place = Place::Uploads { after: None };
                self.bucket = Some(at);
            }
            (true, Place::Uploads { .. }) => {
                self.compare_usage(service, &at).await?;
                self.report.buckets += 1;
                self.done = Some(at.bucket.name);
            }
        }
        Ok(Progress::More)
    }

    /// After the last bucket.
    async fn reckon(&mut self, service: &Arc<Service>) -> Result<Progress> {
        let Some(reckoning) = &mut self.reckoning else { return Ok(Progress::Idle) };
        let ended = reckoning.step(service, &mut self.report).await?;
        Ok(if ended { Progress::Idle } else { Progress::More })
    }

    async fn next_bucket(&mut self, service: &Arc<Service>) -> Result<Progress> {
        let metadata = &service.metadata;
        let next = match (&self.report.wish.bucket, &self.done) {
            (Some(_), Some(_)) => None,
            (Some(name), None) => metadata.bucket(name).await?.map(|(bucket, _)| bucket),
            (None, done) => metadata.next_bucket(done.as_ref()).await?,
        };
        let Some(bucket) = next else { return self.reckon(service).await };
        let usage_before = metadata.usage(&Scope::Bucket(bucket.id)).await?;
        let place = Place::Versions { after: None };
        self.bucket = Some(InBucket { bucket, usage_before, counted: Usage::default(), place });
        Ok(Progress::More)
    }

    async fn versions(&mut self, service: &Arc<Service>, at: &mut InBucket) -> Result<bool> {
        let Place::Versions { after } = &mut at.place else { return Ok(true) };
        let key = after.as_ref().map(|(key, _)| key.to_string()).unwrap_or_default();
        let question = Question { after: key, limit: usize::MAX, ..Question::default() };
        let version = after.as_ref().map(|(_, version)| *version);
        let metadata = &service.metadata;
        let mut stream = metadata.version_stream(&at.bucket, &question, version).await?;
        let until = self.report.bytes + STEP_BYTES;
        for _ in 0..STEP_ENTRIES {
            let Some(found) = stream.next(metadata).await? else { return Ok(true) };
            at.counted.count(&found.version);
            *after = Some((found.key.clone(), found.version.id));
            if let Some(object) = &found.version.object {
                self.report.objects += 1;
                if let Some(reckoning) = &mut self.reckoning {
                    reckoning.name(object.content);
                }
                let mut health = self.check_object(service, object).await?;
                if health == Health::Gone && still_there(service, &at.bucket, &found).await? {
                    health = Health::Lost;
                    self.report.count(health);
                }
                self.tell(&at.bucket, &found.key, found.version.client_id(), health);
            }
            if self.report.bytes >= until {
                break;
            }
        }
        Ok(false)
    }

    async fn check_object(
        &mut self,
        service: &Arc<Service>,
        object: &ObjectData,
    ) -> Result<Health> {
        if let Some(known) = self.known.get(&object.content) {
            return Ok(*known);
        }
        let _reading = service.begin_read();
        let Some(content) = service.metadata.content(object.content).await? else {
            // It was deleted meanwhile, or its row is gone.
            return Ok(Health::Gone);
        };
        let mut blobs = match content.location {
            Some(_) => vec![object.content.0],
            None => {
                let parts = service.metadata.content_parts(object.content).await?;
                parts.iter().map(|part| part.blob).collect()
            }
        };
        blobs.extend(content.manifest);
        let mut worst = Health::Intact;
        for blob in blobs {
            let health = self.check_blob(service, BlobId(blob)).await?;
            worst = worst.worse(health);
        }
        if worst != Health::Intact {
            self.known.insert(object.content, worst);
        }
        Ok(worst)
    }

    async fn check_blob(&mut self, service: &Arc<Service>, blob: BlobId) -> Result<Health> {
        let checked = service.check_blob(blob, self.report.wish.repair).await?;
        self.report.blobs += 1;
        self.report.bytes += checked.bytes;
        self.report.count(checked.health);
        Ok(checked.health)
    }

    async fn uploads(&mut self, service: &Arc<Service>, at: &mut InBucket) -> Result<bool> {
        let Place::Uploads { after } = &mut at.place else { return Ok(true) };
        let key = after.as_ref().map(|(key, _)| key.to_string()).unwrap_or_default();
        let question = Question { after: key, limit: usize::MAX, ..Question::default() };
        let upload = after.as_ref().map(|(_, upload)| *upload);
        let metadata = &service.metadata;
        let mut stream = metadata.upload_stream(at.bucket.id, &question, upload);
        let Some(found) = stream.next(metadata).await? else { return Ok(true) };
        let (parts, _) = metadata.parts(found.id, 0, usize::MAX).await?;
        for part in &parts {
            let health = self.check_blob(service, BlobId(part.blob)).await?;
            self.tell(&at.bucket, &found.key, found.id.to_string(), health);
        }
        at.counted.uploads += 1;
        at.counted.parts += parts.len() as i64;
        *after = Some((found.key, found.id));
        Ok(false)
    }

    fn tell(&mut self, bucket: &Bucket, key: &ObjectKey, version: String, health: Health) {
        if let Some(what) = health.told() {
            let (bucket, key) = (bucket.name.to_string(), Some(key.to_string()));
            self.report.note(Fault { bucket, key, version: Some(version), what });
        }
    }

    /// Compares the counters with what was met, if the bucket stood still meanwhile.
    async fn compare_usage(&mut self, service: &Service, at: &InBucket) -> Result<()> {
        let usage = service.metadata.usage(&Scope::Bucket(at.bucket.id)).await?;
        if usage != at.usage_before || usage == at.counted {
            return Ok(());
        }
        self.report.wrong_counters += 1;
        let mut what = "usage counters are wrong";
        if self.report.wish.repair {
            service.metadata.correct_usage(&at.bucket, &usage, &at.counted).await?;
            self.report.corrected_counters += 1;
            what = "usage counters were wrong and are corrected";
        }
        let bucket = at.bucket.name.to_string();
        self.report.note(Fault { bucket, key: None, version: None, what });
        Ok(())
    }
}

/// Whether a version whose content is gone still names it.
async fn still_there(service: &Service, bucket: &Bucket, found: &StreamedVersion) -> Result<bool> {
    let selector = match found.version.null {
        true => VersionSelector::Null,
        false => VersionSelector::Id(found.version.id),
    };
    let now = service.metadata.version(bucket, &found.key, selector).await?;
    Ok(now.is_some_and(|now| now.object == found.version.object))
}

impl Health {
    fn worse(self, other: Self) -> Self {
        let rank = |health| match health {
            Self::Intact | Self::Gone => 0,
            Self::Repaired => 1,
            Self::Unreachable => 2,
            Self::Damaged => 3,
            Self::Lost => 4,
        };
        if rank(other) > rank(self) { other } else { self }
    }
}
