//! Incarnations: each start of a process has one, named in every blob it writes.
//!
//! A commit that names new blobs expects the lease of the incarnation that wrote them, so that a
//! process whose lease was ended cannot name bytes that may have been swept away.

use minicbor::{Decode, Encode};

use crate::{
    Error, Guard, Metadata, Result, codec,
    engine::{Commit, CommitError, Direction, Engine, Expect},
    keys,
    transaction::decode_row,
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
    /// When it was found to have ended.
    #[n(1)]
    ended_ms: Option<i64>,
}

/// What is known of an incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It may still name what it wrote.
    Present,
    /// Nothing it has not named yet will ever be named.
    Ended,
    /// This metadata never heard of it: whatever it wrote, other metadata may name.
    Unknown,
}

/// Incarnations that never were; queue entries name one where nobody is to be waited for.
const NEVER: [[u8; 16]; 2] = [[0; 16], [u8::MAX; 16]];

/// Ends every earlier lease and begins a new one.
///
/// Only an engine that one process at a time can open may end them all. A lease that has ended
/// stays, one small row for each start: it tells what this metadata has forgotten, and may be
/// removed, from what it never knew.
pub(crate) async fn begin(engine: &dyn Engine, id: [u8; 16], now_ms: i64) -> Result<Incarnation> {
    let mut rest = Some(keys::within(vec![keys::LEASE]));
    while let Some(range) = rest {
        let page = engine.scan(&range, 500, Direction::Forward).await?;
        let mut commit = Commit::default();
        for (key, row) in page.rows {
            let mut lease: Lease = decode_row(&key, &row)?;
            if lease.ended_ms.is_none() {
                lease.ended_ms = Some(now_ms);
                commit.put.push((key, codec::encode(&lease)));
            }
        }
        if !commit.put.is_empty() {
            apply(engine, commit).await?;
        }
        rest = page.next;
    }
    let key = keys::lease(&id);
    let mut commit = Commit::default();
    commit.expect.push(Expect::Absent { key: key.clone() });
    let lease = Lease { started_ms: now_ms, ended_ms: None };
    commit.put.push((key.clone(), codec::encode(&lease)));
    let version = apply(engine, commit).await?;
    Ok(Incarnation { id, guard: Guard { key, version } })
}

/// Forgets the leases that have not ended: in an export they are of a start that may have written
/// on, and named what it wrote, where this metadata does not know it. So nothing of it may go.
pub(crate) async fn forget_present(engine: &dyn Engine) -> Result<()> {
    let mut rest = Some(keys::within(vec![keys::LEASE]));
    while let Some(range) = rest {
        let page = engine.scan(&range, 500, Direction::Forward).await?;
        let mut commit = Commit::default();
        for (key, row) in page.rows {
            if decode_row::<Lease>(&key, &row)?.ended_ms.is_none() {
                commit.delete.push(key);
            }
        }
        if !commit.delete.is_empty() {
            apply(engine, commit).await?;
        }
        rest = page.next;
    }
    Ok(())
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
    /// What is known of an incarnation.
    pub async fn life(&self, incarnation: &[u8; 16]) -> Result<Life> {
        let key = keys::lease(incarnation);
        let Some(row) = self.engine.get(&key).await? else { return Ok(Life::Unknown) };
        let lease: Lease = decode_row(&key, &row)?;
        Ok(if lease.ended_ms.is_some() { Life::Ended } else { Life::Present })
    }

    /// Whether an incarnation is known and has ended, or never was meant to be one.
    pub async fn has_ended(&self, incarnation: &[u8; 16]) -> Result<bool> {
        Ok(NEVER.contains(incarnation) || self.life(incarnation).await? == Life::Ended)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::sync::Arc;

    use model::environment::Entropy;

    use super::*;
    use crate::engine::memory::Memory;

    struct Zeroes;

    impl Entropy for Zeroes {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(0);
        }
    }

    async fn start(engine: &Arc<Memory>, number: u8) -> Metadata {
        let engine = Arc::<Memory>::clone(engine);
        Metadata::open(engine, Arc::new(Zeroes), [number; 16], i64::from(number)).await.unwrap()
    }

    #[tokio::test]
    async fn only_a_known_incarnation_has_ended() {
        let engine = Arc::new(Memory::default());
        for number in 1..=3 {
            start(&engine, number).await;
        }
        let metadata = start(&engine, 4).await;
        let lives = [(1, Life::Ended), (3, Life::Ended), (4, Life::Present), (5, Life::Unknown)];
        for (number, life) in lives {
            assert_eq!(metadata.life(&[number; 16]).await.unwrap(), life, "{number}");
            let ended = metadata.has_ended(&[number; 16]).await.unwrap();
            assert_eq!(ended, life == Life::Ended, "{number}");
        }
        for never in NEVER {
            assert!(metadata.has_ended(&never).await.unwrap());
            assert_eq!(metadata.life(&never).await.unwrap(), Life::Unknown);
        }
    }

    #[tokio::test]
    async fn a_start_that_had_not_ended_in_an_export_is_unknown_after_it() {
        let engine = Arc::new(Memory::default());
        start(&engine, 1).await;
        start(&engine, 2).await;
        let shared = Arc::<Memory>::clone(&engine);
        let metadata = Metadata::open_imported(shared, Arc::new(Zeroes), [3; 16], 3).await.unwrap();
        for (number, life) in [(1, Life::Ended), (2, Life::Unknown), (3, Life::Present)] {
            assert_eq!(metadata.life(&[number; 16]).await.unwrap(), life, "{number}");
        }
    }

    #[tokio::test]
    async fn an_ended_lease_guards_nothing() {
        let engine = Arc::new(Memory::default());
        let first = start(&engine, 1).await;
        start(&engine, 2).await;
        let Guard { key, version } = first.incarnation().guard.clone();
        let mut commit = Commit::default();
        commit.expect.push(Expect::Version { key, version });
        commit.put.push((b"x".to_vec(), Vec::new()));
        assert!(engine.commit(commit).await.is_err());
    }
}
