//! `/_larder/export`: all metadata as it is now, for a backup.

use std::sync::Arc;

use service::{Service, export::Export};

use crate::wire::{Reply, Request, Result, endless};

/// `GET /_larder/export`
pub async fn read(request: &Request, service: &Arc<Service>) -> Result<Reply> {
    let reader = service.call(&request.caller, Export).await?;
    let pieces = futures_util::stream::unfold(reader, |mut reader| async move {
        reader.next().await.map(|piece| (piece, reader))
    });
    Ok(endless(200, pieces).header("content-type", "application/octet-stream"))
}
