//! The journal file with which a member enters an epoch at a start: what may not be durable yet, or
//! what the member lacks, copied from whoever has it.

use std::io;
use std::sync::Arc;

use super::files::Files;
use super::journal::{FILE_HEADER_BYTES, FileId};
use super::log::Log;
use super::room::TAKEN;
use super::snapshot::{self, SnapshotId};
use super::team::{Current, Member, Position};
use crate::engine::{EngineError, Sequence};

/// Gives a member a journal file that holds all records after its base, and a snapshot if it needs
/// one. The file gets its name only when it is complete and durable.
pub fn carry(
    member: &Member,
    id: FileId,
    (log, end): (Option<Arc<Log>>, Sequence),
    copy: Option<(Arc<dyn Files>, SnapshotId)>,
) -> impl FnOnce(&mut Current) -> io::Result<Position> + Send + use<> {
    let (files, room) = (Arc::clone(&member.files), Arc::clone(&member.room));
    move |current| {
        if let Some((from, snapshot)) = copy.filter(|(from, _)| !Arc::ptr_eq(from, &files)) {
            snapshot::copy(&*from, &*files, snapshot)?;
        }
        let mut file = room.take(true)?;
        file.write_at(0, &id.header(end))?;
        let mut position = Position { offset: FILE_HEADER_BYTES, chain: id.seed() };
        if let Some(log) = log {
            let chain = log.copy(id, &mut |group| {
                let written = file.write_at(position.offset, group);
                position.offset += group.len() as u64;
                written.map_err(|error| EngineError::io("carrying", error))
            });
            position.chain = chain.map_err(into_io)?;
        }
        file.sync_data()?;
        files.rename(TAKEN, &id.name())?;
        files.sync_dir()?;
        *current = Some(file);
        Ok(position)
    }
}

fn into_io(error: EngineError) -> io::Error {
    match error {
        EngineError::Io { source, .. } => io::Error::new(source.kind(), source),
        other => io::Error::other(other),
    }
}
