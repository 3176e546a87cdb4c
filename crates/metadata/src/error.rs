//! Why metadata could not be read or changed.

use model::Condition;
use thiserror::Error;

use crate::engine::{CommitError, EngineError};

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, Error)]
pub enum Error {
    /// The client asked for something that does not go; nothing was changed.
    #[error("refused: {0:?}")]
    Refused(Condition),
    /// Others changed the same rows again and again; the client should come back.
    #[error("the same rows kept changing")]
    Busy,
    /// The disks of the metadata are full.
    #[error("no space left for metadata")]
    NoSpace,
    /// Whether the change happened is unknown.
    #[error("metadata is unavailable")]
    Unavailable,
    /// A row does not decode.
    #[error("a row of family {family:?} is damaged")]
    Damaged { family: char },
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A commit broke one of the engine's rules: a fault of ours.
    #[error("impossible commit: {0}")]
    Impossible(CommitError),
}

impl From<Condition> for Error {
    fn from(condition: Condition) -> Self {
        Self::Refused(condition)
    }
}
