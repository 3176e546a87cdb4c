//! How far the scrub has come.

use minicbor::{Decode, Encode};

use crate::{
    Metadata, Result, keys,
    transaction::{Draft, Try},
};

const STATE: &[u8] = b"scrub";

/// A pass over all blobs: where it stands, or how the last one ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct ScrubState {
    /// The row of the last blob that was read; `None` between two passes.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub after: Option<Vec<u8>>,
    #[n(1)]
    pub begun_ms: Option<i64>,
    /// Bytes that the pass before read, each copy counted.
    #[n(2)]
    pub bytes_before: u64,
    /// In this pass: blobs, and bytes of all their copies.
    #[n(3)]
    pub blobs: u64,
    #[n(4)]
    pub bytes: u64,
    /// Blobs whose bad copies were written anew.
    #[n(5)]
    pub repaired: u64,
    /// Blobs no copies of which make a whole.
    #[n(6)]
    pub lost: u64,
    /// Blobs with copies in directories that do not answer.
    #[n(7)]
    pub unreachable: u64,
}

impl Metadata {
    /// What was noted last.
    pub async fn scrub_state(&self) -> Result<Option<ScrubState>> {
        Ok(self.record(&keys::join(keys::FACT, &[STATE])).await?.map(|(state, _)| state))
    }

    /// Notes how far the scrub has come.
    pub async fn set_scrub_state(&self, state: &ScrubState) -> Result<()> {
        self.transact(async || {
            let mut draft = Draft::reclaiming();
            draft.put(keys::join(keys::FACT, &[STATE]), state);
            Ok(Try::Commit(draft, ()))
        })
        .await
    }
}
