//! Rows made anew from what blobs say of themselves, when all metadata was lost.

use model::{
    limits::PARTS_PER_ROW,
    names::ContentId,
    records::{Bucket, ContentPart},
};

use crate::{
    Metadata, PartBlob, Result, keys,
    transaction::{Draft, Try},
};

impl Metadata {
    /// Creates a bucket with the id that it had.
    ///
    /// # Errors
    /// [`crate::Error::Busy`] if the name or the id is taken.
    pub async fn restore_bucket(&self, bucket: &Bucket) -> Result<()> {
        self.transact(async || {
            let mut draft = Draft::default();
            draft.expect_row(&keys::bucket(&bucket.name), None);
            self.draft_bucket(&mut draft, bucket).await?;
            Ok(Try::Commit(draft, ()))
        })
        .await
    }

    /// Writes the rows of a multipart content's parts and names their blobs, and `manifest`.
    ///
    /// - `blobs`: where the blob of each part lies, in the order of `parts`.
    ///
    /// Returns the number of rows.
    pub async fn restore_parts(
        &self,
        content: ContentId,
        parts: &[ContentPart],
        blobs: &[PartBlob],
        manifest: &PartBlob,
    ) -> Result<u32> {
        let mut rows = 0;
        for (parts, blobs) in parts.chunks(PARTS_PER_ROW).zip(blobs.chunks(PARTS_PER_ROW)) {
            self.transact(async || {
                let mut draft = Draft::default();
                draft.expect(&self.incarnation().guard);
                draft.put(keys::content_parts(content, rows), &parts.to_vec());
                blobs.iter().for_each(|blob| blob.name(&mut draft));
                if rows == 0 {
                    manifest.name(&mut draft);
                }
                Ok(Try::Commit(draft, ()))
            })
            .await?;
            rows += 1;
        }
        Ok(rows)
    }
}
