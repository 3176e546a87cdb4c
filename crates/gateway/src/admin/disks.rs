//! `/_larder/disks`: the data directories, and how far they are being filled and emptied.

use std::{path::PathBuf, sync::Arc};

use model::Condition;
use serde::{Deserialize, Serialize};
use service::{
    Error, Service,
    disks::{
        AddDisk, DirectoryId, DirectoryState, Disk, DrainDisk, KeepDisk, ListDisks, PlacementState,
        RemoveDisk,
    },
};

use super::{json, read};
use crate::{
    wire::{Reply, Request, Result, empty},
    xml::date,
};

#[derive(Serialize)]
struct Listing {
    disks: Vec<Shown>,
    placement: Option<Placement>,
}

#[derive(Serialize)]
struct Shown {
    id: String,
    path: String,
    zone: String,
    region: String,
    /// `healthy`, `full`, `read-only` or `failed`.
    state: &'static str,
    reason: Option<String>,
    holds_metadata: bool,
    draining: bool,
    then_remove: bool,
    empty: bool,
    total_bytes: u64,
    free_bytes: u64,
    errors: u64,
    read_bytes: u64,
    written_bytes: u64,
}

/// How far all blobs are where they are to lie.
#[derive(Serialize)]
struct Placement {
    settled: bool,
    /// Of this pass, from 0 to 1.
    progress: f64,
    moved: u64,
    moved_bytes: u64,
    /// Blobs that could not be moved in the last pass.
    stuck: u64,
    begun: String,
    ended: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Added {
    path: PathBuf,
    zone: Option<String>,
    region: Option<String>,
    holds_metadata: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Drained {
    then_remove: bool,
    successor: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Gone {
    accept_loss: bool,
}

#[derive(Serialize)]
struct Made {
    id: String,
}

/// `GET /_larder/disks`
pub async fn list(request: &Request, service: &Arc<Service>) -> Result<Reply> {
    let found = service.call(&request.caller, ListDisks).await?;
    let disks = found.disks.into_iter().map(shown).collect();
    json(200, &Listing { disks, placement: found.placement.map(placement) })
}

/// `POST /_larder/disks`
pub async fn add(request: &mut Request, service: &Arc<Service>) -> Result<Reply> {
    let Added { path, zone, region, holds_metadata } = read(request).await?;
    let add = AddDisk { path, zone, region, holds_metadata };
    let id = service.call(&request.caller, add).await?;
    json(201, &Made { id: id.to_string() })
}

/// `POST /_larder/disks/{id}/{what}`
pub async fn change(request: &mut Request, service: &Arc<Service>, path: &str) -> Result<Reply> {
    let (id, what) = path.split_once('/').ok_or(Condition::MethodNotAllowed)?;
    let unknown = |_| Error::new(Condition::InvalidArgument, "This is no id of a directory.");
    let directory: DirectoryId = id.parse().map_err(unknown)?;
    match what {
        "drain" => {
            let Drained { then_remove, successor } = read(request).await?;
            let successor = successor.map(|id| id.parse().map_err(unknown)).transpose()?;
            let drain = DrainDisk { directory, then_remove, successor };
            service.call(&request.caller, drain).await?;
        }
        "keep" => service.call(&request.caller, KeepDisk(directory)).await?,
        "remove" => {
            let Gone { accept_loss } = read(request).await?;
            service.call(&request.caller, RemoveDisk { directory, accept_loss }).await?;
        }
        _ => return Err(Condition::MethodNotAllowed.into()),
    }
    Ok(empty(204))
}

fn shown(Disk { known, status }: Disk) -> Shown {
    let (state, reason) = match status.state {
        DirectoryState::Healthy => ("healthy", None),
        DirectoryState::Full => ("full", None),
        DirectoryState::ReadOnly => ("read-only", None),
        DirectoryState::Failed { reason } => ("failed", Some(reason)),
    };
    let draining = known.draining.as_ref();
    Shown {
        id: status.id.to_string(),
        path: status.path.display().to_string(),
        zone: status.zone,
        region: status.region,
        state,
        reason,
        holds_metadata: known.holds_metadata,
        draining: draining.is_some(),
        then_remove: draining.is_some_and(|draining| draining.then_remove),
        empty: draining.is_some_and(|draining| draining.empty),
        total_bytes: status.space.total_bytes,
        free_bytes: status.space.free_bytes,
        errors: status.errors,
        read_bytes: status.read_bytes,
        written_bytes: status.written_bytes,
    }
}

fn placement(state: PlacementState) -> Placement {
    Placement {
        settled: state.ended_ms.is_some(),
        progress: state.progress(),
        moved: state.moved,
        moved_bytes: state.moved_bytes,
        stuck: state.stuck.max(state.stuck_in_pass),
        begun: date(state.begun_ms),
        ended: state.ended_ms.map(date),
    }
}
