//! Commits that a blob lies elsewhere now.

use blobs::Location;
use metadata::{Move, OnlyVersion};

use crate::{Result, Service, contents::segments};

impl Service {
    /// Commits that a blob lies elsewhere now; `false` if it went or moved meanwhile, and then what
    /// was stored for this is queued to be freed.
    ///
    /// The caller holds tickets for reading and writing from before it looked the location up, so
    /// that neither the old nor the new place is freed in between.
    pub(crate) async fn move_blob(&self, from: &Location, to: &Location) -> Result<bool> {
        self.commit_move(from, to, None).await
    }

    /// As [`Self::move_blob`], but only if `only` still holds.
    pub(crate) async fn commit_move(
        &self,
        from: &Location,
        to: &Location,
        only: Option<&OnlyVersion>,
    ) -> Result<bool> {
        if from == to {
            return Ok(true);
        }
        let left = strays(from, Some(to));
        let moved = Move {
            id: from.blob.0,
            from: &from.encode(),
            to: &to.encode(),
            from_segments: &self.left_segments(from),
            to_segments: &segments(to),
            only,
            left: left.copies.iter().any(|copy| copy.place.is_file()).then(|| left.encode()),
        };
        let moved = self.metadata.move_blob(&moved, self.now_ms()).await;
        if !matches!(moved, Ok(true)) {
            // Whatever it was: only if it is not named is it freed.
            self.discard(to).await?;
        }
        Ok(moved?)
    }
}

/// The copies of `location` that `named` has not.
pub(super) fn strays(location: &Location, named: Option<&Location>) -> Location {
    let is_named = |copy| named.is_some_and(|named| named.copies.contains(copy));
    let copies = location.copies.iter().filter(|copy| !is_named(copy)).copied().collect();
    Location { copies, ..location.clone() }
}
