//! Incarnations: each start of a process has one, named in every blob it writes.
//!
//! A commit that names new blobs expects the lease of the incarnation that wrote them, so that a
//! process whose lease was ended cannot name bytes that may have been swept away.

use minicbor::{Decode, Encode};

use crate::{
    Error, Guard, Metadata, Result, codec,
    engine::{Commit, CommitError, Direction, Engine, Expect},
    keys,
};

/// This process's lease.
#[derive(Clone, Debug)]
pub struct Incarnation {
    pub id: [u8; 16],
    pub(crate) guard: Guard,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct Lease {
    #[n(0)]
    started_ms: i64,
}

/// Ends every earlier lease and begins a new one.
///
/// Only an engine that one process at a time can open may end them all.
pub(crate) async fn begin(engine: &dyn Engine, id: [u8; 16], now_ms: i64) -> Result<Incarnation> {
    let mut commit = Commit::default();
    let mut rest = Some(keys::within(vec![keys::LEASE]));
    while let Some(range) = rest {
        let page = engine.scan(&range, 500, Direction::Forward).await?;
        commit.delete.extend(page.rows.into_iter().map(|(key, _)| key));
        rest = page.next;
        if commit.delete.len() >= 500 {
            apply(engine, std::mem::take(&mut commit)).await?;
        }
    }
    let key = keys::lease(&id);
    commit.expect.push(Expect::Absent { key: key.clone() });
    commit.put.push((key.clone(), codec::encode(&Lease { started_ms: now_ms })));
    let version = apply(engine, commit).await?;
    Ok(Incarnation { id, guard: Guard { key, version } })
}

async fn apply(engine: &dyn Engine, mut commit: Commit) -> Result<u64> {
    // A full disk must not keep the server from starting: deletes are how space comes back.
    commit.reclaims = true;
    engine.commit(commit).await.map_err(|error| match error {
        CommitError::Engine(error) => Error::Engine(error),
        CommitError::Unavailable => Error::Unavailable,
        CommitError::NoSpace => Error::NoSpace,
        error => Error::Impossible(error),
    })
}

impl Metadata {
    /// Whether an incarnation has ended: nothing it has not named yet will ever be named.
    pub async fn has_ended(&self, incarnation: &[u8; 16]) -> Result<bool> {
        Ok(self.engine.get(&keys::lease(incarnation)).await?.is_none())
    }
}
