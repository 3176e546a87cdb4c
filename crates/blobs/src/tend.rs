//! Looking after directories that are absent, failed, or no longer where they were: each is tried
//! again now and then, and used again once it proves to be the same and to work.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;

use crate::directory::Directory;
use crate::disk::Step;
use crate::store::{Blobs, prepare};
use crate::volume::Volume;

/// What is written, synced and read back before a directory counts as working again.
const PROBE: &[u8] = &[0x5a; 4096];

impl Blobs {
    /// Looks at every directory once: one that another has taken the place of fails, and one that
    /// failed is used again if it is the same and can be written. Each is tried more and more
    /// rarely if it fails again and again.
    pub async fn tend(&self) {
        let members = self.inner.members();
        join_all(members.iter().map(|member| self.tend_one(&member.volume))).await;
    }

    async fn tend_one(&self, volume: &Arc<Volume>) {
        if !volume.is_down() {
            if !matches!(volume.is_in_place().await, Ok(true) | Err(_)) {
                volume.fail("another directory stands in its place");
            }
            return;
        }
        if !volume.may_retry() {
            return;
        }
        match self.revive(volume).await {
            Ok(()) => tracing::warn!(directory = %volume.id(), "directory is used again"),
            Err(error) => {
                tracing::debug!(directory = %volume.id(), %error, "directory stays unused");
            }
        }
    }

    async fn revive(&self, volume: &Arc<Volume>) -> io::Result<()> {
        if !volume.is_in_place().await.unwrap_or(false) {
            // Its lock may be on the same files still.
            volume.attach(None);
            let (path, known) = (volume.path().to_owned(), volume.identity.clone());
            let opening = self
                .inner
                .runtime
                .spawn_blocking(move || Directory::reopen(&path, &known).map_err(io::Error::other));
            let opened = opening.await.map_err(io::Error::other)??;
            volume.attach(opened.disk);
            prepare(volume).await;
        }
        let attempt = self.inner.next_attempt();
        let name = format!("tmp/{}-probe-{attempt:x}", self.inner.incarnation);
        let answer = probe(volume, &name).await;
        volume.close(&name);
        let removed = volume.remove(&name).await;
        answer?;
        removed?;
        volume.refresh_space().await;
        volume.recover();
        Ok(())
    }
}

/// Writes, syncs and reads back. Errors do not change the directory's state: it is down already.
async fn probe(volume: &Volume, name: &str) -> io::Result<()> {
    let write = Step::Write { offset: 0, parts: vec![Bytes::from_static(PROBE)] };
    volume.change(name, [Step::Create, write, Step::Sync]).await?;
    match volume.read_at(name, 0, PROBE.len()).await? {
        read if read == PROBE => Ok(()),
        _ => Err(io::Error::other("what was written does not come back")),
    }
}
