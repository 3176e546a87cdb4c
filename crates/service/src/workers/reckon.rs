//! The second half of a check of the whole store: counters are compared with what was counted, and
//! files with what names them.
//!
//! The store is in use meanwhile. Whatever changed since the check began is left out: its rows say
//! so, and so does an entry of the reclaim queue that is newer.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use blobs::{FileCursor, Location, StrayFile};
use metadata::engine::Sequence;
use model::ContentId;

use crate::{
    Result, Service,
    check::{CheckReport, Fault},
    contents::segments,
};

const STEP_ROWS: usize = 500;
/// Contents whose references are counted; in a larger store they are not compared.
const CONTENTS_MAX: usize = 8_000_000;

/// What was counted so far, and where it stands.
pub(super) struct Reckoning {
    /// What changed later is left out.
    since: Sequence,
    /// How many versions and entries of the queue name a content, while there are few enough.
    named: Option<HashMap<ContentId, u32>>,
    live: HashMap<Vec<u8>, i64>,
    changed_contents: HashSet<ContentId>,
    changed_segments: HashSet<Vec<u8>>,
    place: Place,
}

enum Place {
    /// All named blobs, for the live bytes of segments.
    Blobs {
        after: Option<Vec<u8>>,
    },
    Queue,
    References {
        after: Option<ContentId>,
    },
    Segments {
        after: Option<Vec<u8>>,
    },
    Files {
        from: Option<FileCursor>,
    },
}

impl Reckoning {
    pub fn begin(service: &Service) -> Self {
        Self {
            since: service.metadata.engine().sequence(),
            named: Some(HashMap::new()),
            live: HashMap::new(),
            changed_contents: HashSet::new(),
            changed_segments: HashSet::new(),
            place: Place::Blobs { after: None },
        }
    }

    /// A version names this content.
    pub fn name(&mut self, content: ContentId) {
        let Some(named) = &mut self.named else { return };
        *named.entry(content).or_default() += 1;
        if named.len() > CONTENTS_MAX {
            self.named = None;
        }
    }

    /// Goes a bounded step on; `true` at the end.
    pub async fn step(&mut self, service: &Arc<Service>, report: &mut CheckReport) -> Result<bool> {
        match &self.place {
            Place::Blobs { after } => {
                let page = service.metadata.named_blobs(after.as_deref(), STEP_ROWS).await?;
                for blob in &page.blobs {
                    let location = service.decode_location(&blob.location)?;
                    self.add_live(&location, blob.changed() > self.since);
                }
                self.place = match page.next {
                    Some(next) => Place::Blobs { after: Some(next) },
                    None => Place::Queue,
                };
            }
            Place::Queue => {
                self.read_queue(service).await?;
                self.place = Place::References { after: None };
            }
            Place::References { after } => {
                let found = service.metadata.references(*after, STEP_ROWS).await?;
                let last = found.last().map(|found| found.content);
                for found in found {
                    self.compare_references(service, report, &found).await?;
                }
                self.place = match last {
                    Some(last) if self.named.is_some() => Place::References { after: Some(last) },
                    _ => Place::Segments { after: None },
                };
            }
            Place::Segments { after } => {
                let found = service.metadata.live_bytes(after.clone(), STEP_ROWS).await?;
                let last = found.last().map(|found| found.segment.clone());
                for found in found {
                    self.compare_live_bytes(service, report, &found).await?;
                }
                self.place = match last {
                    Some(last) => Place::Segments { after: Some(last) },
                    None => Place::Files { from: None },
                };
            }
            Place::Files { from } => {
                let page = service.blobs.orphan_candidates(*from, STEP_ROWS).await?;
                for file in &page.files {
                    report.unnamed_files += u64::from(!service.counts(file).await?);
                }
                match page.next {
                    Some(next) => self.place = Place::Files { from: Some(next) },
                    None => return Ok(true),
                }
            }
        }
        Ok(false)
    }

    fn add_live(&mut self, location: &Location, changed: bool) {
        for (segment, bytes) in segments(location) {
            if changed {
                self.changed_segments.insert(segment.clone());
            }
            let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
            let live = self.live.entry(segment).or_default();
            *live = live.saturating_add(bytes);
        }
    }

    /// References that are still to be taken, and bytes that are still to be freed.
    async fn read_queue(&mut self, service: &Service) -> Result<()> {
        let mut after = None;
        loop {
            let entries = service.metadata.garbage(after.as_ref(), STEP_ROWS).await?;
            for entry in &entries {
                let changed = entry.since > self.since;
                if let Some(content) = entry.releases() {
                    self.name(content);
                }
                if changed {
                    self.changed_contents.extend(entry.releases());
                }
                self.changed_contents.extend(entry.drafts());
                for location in entry.counted() {
                    self.add_live(&service.decode_location(location)?, changed);
                }
            }
            after = entries.into_iter().last();
            if after.is_none() {
                return Ok(());
            }
        }
    }

    async fn compare_references(
        &self,
        service: &Service,
        report: &mut CheckReport,
        found: &metadata::References,
    ) -> Result<()> {
        let Some(named) = &self.named else { return Ok(()) };
        let counted = i64::from(named.get(&found.content).copied().unwrap_or_default());
        let left_out = found.changed > self.since || self.changed_contents.contains(&found.content);
        if left_out || counted == found.count {
            return Ok(());
        }
        report.wrong_counters += 1;
        let mut what = "the references of a content are miscounted";
        // What nothing names stays: it may be of a version that was lost.
        if report.wish.repair
            && counted > 0
            && service.metadata.correct_references(found, counted).await?
        {
            report.corrected_counters += 1;
            what = "the references of a content were miscounted and are corrected";
        } else if counted == 0 {
            what = "no version names a content";
        }
        tracing::warn!(content = %found.content, counted, said = found.count, "check: {what}");
        report.note(unnamed(what, &found.content.to_string()));
        Ok(())
    }

    async fn compare_live_bytes(
        &self,
        service: &Service,
        report: &mut CheckReport,
        found: &metadata::LiveBytes,
    ) -> Result<()> {
        let counted = self.live.get(&found.segment).copied().unwrap_or_default();
        let left_out = found.changed > self.since || self.changed_segments.contains(&found.segment);
        if left_out || counted == found.bytes {
            return Ok(());
        }
        report.wrong_counters += 1;
        let mut what = "the live bytes of a segment are miscounted";
        if report.wish.repair && service.metadata.correct_live_bytes(found, counted).await? {
            report.corrected_counters += 1;
            what = "the live bytes of a segment were miscounted and are corrected";
        }
        tracing::warn!(counted, said = found.bytes, "check: {what}");
        report.note(unnamed(what, ""));
        Ok(())
    }
}

/// A fault in no bucket.
fn unnamed(what: &'static str, version: &str) -> Fault {
    let version = (!version.is_empty()).then(|| version.to_owned());
    Fault { bucket: String::new(), key: None, version, what }
}

impl Service {
    /// Whether a file is a copy that counts.
    pub(super) async fn counts(&self, file: &StrayFile) -> Result<bool> {
        let named = self.metadata.blob_location(&file.blob.0).await?;
        let named = named.map(|named| self.decode_location(&named)).transpose()?;
        let mut copies = named.iter().flat_map(|named| &named.copies);
        Ok(copies.any(|copy| *copy == file.copy))
    }
}
