//! What a caller is told when an operation fails.

use std::{error::Error as StdError, fmt};

use metadata::engine::EngineError;
use model::{Condition, records::Version};

use crate::explain::Explanation;

/// The result of an operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A condition both protocols can word, a sentence for the client, and the cause for the log.
#[derive(Debug)]
pub struct Error {
    pub condition: Condition,
    /// One sentence for the client: never a path, a secret or an inner error.
    pub detail: Option<String>,
    /// The delete marker that stood in the way; its id and date go into the answer's headers.
    pub marker: Option<Box<Version>>,
    /// Facts the answer repeats as XML elements of these names.
    pub fields: Vec<(&'static str, String)>,
    /// For whoever is to be told why: never part of the answer.
    pub denial: Option<Box<Explanation>>,
    /// For the log only.
    pub source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    pub fn new(condition: Condition, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..Self::from(condition) }
    }

    /// A fault of ours or of a disk, not of the client.
    pub fn internal(source: impl StdError + Send + Sync + 'static) -> Self {
        Self::caused(Condition::Internal, source)
    }

    /// A condition with the error it comes from.
    pub fn caused(condition: Condition, source: impl StdError + Send + Sync + 'static) -> Self {
        Self { source: Some(Box::new(source)), ..Self::from(condition) }
    }

    /// Adds why it was refused.
    pub fn because(self, why: Explanation) -> Self {
        Self { denial: Some(Box::new(why)), ..self }
    }

    /// Adds an element to the answer.
    pub fn field(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }
}

impl From<Condition> for Error {
    fn from(condition: Condition) -> Self {
        Self {
            condition,
            detail: None,
            marker: None,
            fields: Vec::new(),
            denial: None,
            source: None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.condition)?;
        match &self.detail {
            Some(detail) => write!(formatter, ": {detail}"),
            None => Ok(()),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

impl From<metadata::Error> for Error {
    fn from(error: metadata::Error) -> Self {
        match error {
            metadata::Error::Refused(condition) => condition.into(),
            metadata::Error::Busy => Self::caused(Condition::SlowDown, error),
            metadata::Error::NoSpace => Self::caused(Condition::OutOfSpace, error),
            metadata::Error::Unavailable => Self::caused(Condition::ServiceUnavailable, error),
            metadata::Error::Damaged { .. } => Self::caused(Condition::DamagedData, error),
            metadata::Error::Engine(ref inner) => {
                let condition = match inner {
                    EngineError::Unavailable(_) | EngineError::Closed => {
                        Condition::ServiceUnavailable
                    }
                    EngineError::NoSpace => Condition::OutOfSpace,
                    EngineError::Damaged(_) => Condition::DamagedData,
                    _ => Condition::Internal,
                };
                Self::caused(condition, error)
            }
            metadata::Error::Impossible(_) => Self::internal(error),
        }
    }
}

impl From<blobs::Error> for Error {
    fn from(error: blobs::Error) -> Self {
        let condition = match error {
            blobs::Error::NoSpace => Condition::OutOfSpace,
            blobs::Error::Overloaded => Condition::SlowDown,
            blobs::Error::TooFewCopies { .. }
            | blobs::Error::Unavailable(_)
            | blobs::Error::Closed => Condition::ServiceUnavailable,
            blobs::Error::Damaged(_) | blobs::Error::Missing(_) => Condition::DamagedData,
            _ => Condition::Internal,
        };
        Self::caused(condition, error)
    }
}
