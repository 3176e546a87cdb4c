//! Who wrote a file or a segment, and whether it may go once nothing names it.
//!
//! That nothing names it is no proof by itself: metadata that was lost, or given up, would have.

use std::collections::HashSet;

use blobs::{IncarnationId, SegmentKey};
use metadata::Life;

use crate::{Result, Service};

/// What was found of incarnations that the metadata does not know.
#[derive(Default)]
pub(super) struct Origins {
    incarnations: HashSet<IncarnationId>,
    segments: HashSet<SegmentKey>,
}

impl Origins {
    /// Whether a file that nothing names is an orphan: its writer is known and has ended.
    pub async fn may_lose_file(&mut self, service: &Service, by: IncarnationId) -> Result<bool> {
        let life = service.metadata.life(&by.0).await?;
        if life == Life::Unknown {
            self.note(by, "file");
        }
        Ok(life == Life::Ended && !service.keep_unnamed)
    }

    /// Whether a sealed segment may be emptied and removed.
    pub async fn may_lose_segment(&mut self, service: &Service, key: SegmentKey) -> Result<bool> {
        let by = key.segment.incarnation;
        let life = service.metadata.life(&by.0).await?;
        if life == Life::Unknown && self.segments.insert(key) {
            self.note(by, "segment");
        }
        Ok(match life {
            Life::Present => true,
            Life::Ended => !service.keep_unnamed,
            Life::Unknown => false,
        })
    }

    fn note(&mut self, by: IncarnationId, kind: &'static str) {
        metrics::counter!("larder_unknown_origin_total", "kind" => kind).increment(1);
        if self.incarnations.insert(by) {
            tracing::warn!(
                incarnation = %by,
                "files of a start that the metadata does not know are kept: is it the metadata of \
                 these directories, and as new as they are?"
            );
        }
    }
}
