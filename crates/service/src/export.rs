//! An export: all metadata as it was at one moment, as a stream of bytes, while everything goes on.

use std::sync::Arc;

use bytes::Bytes;
use metadata::engine::ExportStream;
use model::{Condition, policy::Action};

use crate::{Error, Need, Operation, Permit, Result, Service};

/// Begins an export; one at a time.
pub struct Export;

/// An export, piece by piece. It is whole only if it ends without an error.
pub struct ExportReader {
    first: Option<Bytes>,
    rest: ExportStream,
}

impl ExportReader {
    /// The next bytes; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes>> {
        match self.first.take() {
            Some(first) => Some(Ok(first)),
            None => self.rest.recv().await.map(|piece| piece.map_err(told)),
        }
    }
}

impl Operation for Export {
    type Output = ExportReader;

    fn needs(&self) -> Vec<Need<'_>> {
        Need::service(Action::AdminStore)
    }

    async fn run(self, _: Permit<'_, Self>, service: &Arc<Service>) -> Result<ExportReader> {
        let store = service.blobs.store();
        let mut rest = service.metadata.engine().export(store.0);
        // What cannot even begin is refused before anything is answered.
        let first = rest.recv().await.ok_or(Condition::ServiceUnavailable)?.map_err(told)?;
        Ok(ExportReader { first: Some(first), rest })
    }
}

fn told(error: metadata::engine::EngineError) -> Error {
    let error = Error::from(metadata::Error::Engine(error));
    let detail = match error.condition {
        Condition::ServiceUnavailable => "No export now: another one is read, or this one was not.",
        _ => "The export broke off.",
    };
    Error { detail: Some(detail.to_owned()), ..error }
}
