//! Looking at the copies of one blob, and mending them: what scrub, check and repair share.

use std::sync::Arc;

use blobs::{BlobId, CopyReport, Location};

use crate::{Result, Service};

/// How a blob was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Intact,
    /// Nothing names it any more.
    Gone,
    /// Copies lie in directories that are absent or do not answer; those that could be read are
    /// intact.
    Unreachable,
    /// Copies are damaged or missing, and others are intact.
    Damaged,
    /// Copies were damaged or missing, and were written anew.
    Repaired,
    /// No copies together make a whole.
    Lost,
}

/// What was looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Checked {
    pub health: Health,
    /// Bytes read, of all copies together.
    pub bytes: u64,
}

impl Service {
    /// Reads every copy of a blob in full, and writes bad ones anew if `repair` says so.
    ///
    /// # Errors
    /// When metadata cannot be read, or the new copies find no place.
    pub(crate) async fn check_blob(
        self: &Arc<Self>,
        blob: BlobId,
        repair: bool,
    ) -> Result<Checked> {
        let (_reading, _writing) = (self.begin_read(), self.writers.begin());
        let Some(encoded) = self.metadata.blob_location(&blob.0).await? else {
            return Ok(Checked { health: Health::Gone, bytes: 0 });
        };
        let location = self.decode_location(&encoded)?;
        let bytes = location.size_bytes.saturating_mul(location.copies.len() as u64);
        let reports = self.blobs.verify(&location).await;
        let count = |wanted| reports.iter().filter(|(_, report)| *report == wanted).count();
        let bad = count(CopyReport::Corrupt) + count(CopyReport::Missing);
        let intact = count(CopyReport::Intact);
        let health = match (bad, intact) {
            // Too few were possible when it was written.
            (0, intact)
                if intact == reports.len() && repair && !self.blobs.is_settled(&location) =>
            {
                self.supplement(blob).await?
            }
            (0, intact) if intact == reports.len() => Health::Intact,
            (0, _) => Health::Unreachable,
            _ if repair => self.mend(&location).await?,
            (_, 0) if !self.is_whole(&location).await => Health::Lost,
            _ => Health::Damaged,
        };
        Ok(Checked { health, bytes })
    }

    async fn supplement(&self, blob: BlobId) -> Result<Health> {
        match self.settle(blob).await {
            Ok(0) => Ok(Health::Intact),
            Ok(_) => Ok(Health::Repaired),
            Err(error) => {
                tracing::debug!(%blob, %error, "a blob has fewer copies than it shall have");
                Ok(Health::Intact)
            }
        }
    }

    async fn mend(self: &Arc<Self>, location: &Location) -> Result<Health> {
        let _turn = self.turns.take(location.blob.0).await;
        match self.blobs.repair(location).await {
            Ok(repaired) => Ok(match self.move_blob(location, &repaired).await? {
                true => Health::Repaired,
                false => Health::Gone,
            }),
            Err(
                blobs::Error::Damaged(_) | blobs::Error::Missing(_) | blobs::Error::Unavailable(_),
            ) => Ok(Health::Lost),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the good chunks of all copies make up the blob.
    async fn is_whole(&self, location: &Location) -> bool {
        let mut reader = self.blobs.read(location.clone(), 0..location.size_bytes);
        while let Some(bytes) = reader.next().await {
            if bytes.is_err() {
                return false;
            }
        }
        true
    }
}
