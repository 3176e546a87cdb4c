//! How far background work has come: one row of facts for each kind.

use minicbor::{Decode, Encode};

use crate::{
    Metadata, Result, keys,
    transaction::{Draft, Try},
};

/// What a kind of background work notes, to go on where it was.
pub trait Note: Encode<()> + for<'b> Decode<'b, ()> {
    /// Of its row.
    const NAME: &'static str;
}

/// A pass over all blobs that reads and checks them: where it stands, or how the last one ended.
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

impl Note for ScrubState {
    const NAME: &'static str = "scrub";
}

/// Bringing all blobs to where they are to lie: how far it is, or how it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct PlacementState {
    /// What decides where blobs lie, as it was when this began; see `Blobs::layout`.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub layout: Vec<u8>,
    /// The row of the last blob that was looked at in this pass.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub after: Option<Vec<u8>>,
    #[n(2)]
    pub begun_ms: i64,
    /// When all blobs lay where they are to; `None` as long as some do not.
    #[n(3)]
    pub ended_ms: Option<i64>,
    /// Blobs that got new copies or gave some up, and the bytes written for it.
    #[n(4)]
    pub moved: u64,
    #[n(5)]
    pub moved_bytes: u64,
    /// In this pass: blobs that were moved, and those that could not be.
    #[n(6)]
    pub moved_in_pass: u64,
    #[n(7)]
    pub stuck_in_pass: u64,
    /// Those that could not be in the pass before.
    #[n(8)]
    pub stuck: u64,
}

impl Note for PlacementState {
    const NAME: &'static str = "placement";
}

impl PlacementState {
    /// The share of this pass that is done, from 0 to 1: ids are random, so where the walk stands
    /// tells how far it is.
    pub fn progress(&self) -> f64 {
        if self.ended_ms.is_some() {
            return 1.0;
        }
        let Some((family, id)) = self.after.as_deref().and_then(<[u8]>::split_first) else {
            return 0.0;
        };
        let first = id.first_chunk().map_or(0, |first| u16::from_be_bytes(*first));
        let families = f64::from(keys::CONTENT.abs_diff(keys::BLOB) + 1);
        (f64::from(family.saturating_sub(keys::BLOB)) + f64::from(first) / 65_536.0) / families
    }
}

impl Metadata {
    /// What was noted last.
    pub async fn noted<N: Note>(&self) -> Result<Option<N>> {
        let key = keys::join(keys::FACT, &[N::NAME.as_bytes()]);
        Ok(self.record(&key).await?.map(|(note, _)| note))
    }

    /// Notes how far it has come.
    pub async fn note<N: Note>(&self, note: &N) -> Result<()> {
        self.transact(async || {
            let mut draft = Draft::reclaiming();
            draft.put(keys::join(keys::FACT, &[N::NAME.as_bytes()]), note);
            Ok(Try::Commit(draft, ()))
        })
        .await
    }
}
