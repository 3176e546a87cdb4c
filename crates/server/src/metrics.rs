//! What `/_larder/metrics` shows besides the counters that the other crates keep themselves.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use blobs::{DirectoryState, DirectoryStatus};
use metadata::engine::{EngineStatus, MemberState};
use metrics::{counter, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use service::Service;

/// How often the gauges are brought up to date.
const REFRESH_EVERY: Duration = Duration::from_secs(5);
/// Bounds of all latency histograms.
const SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

/// Makes this process keep metrics.
///
/// # Errors
/// Only if it does already.
pub fn install() -> Result<PrometheusHandle> {
    PrometheusBuilder::new()
        .set_buckets(&SECONDS)
        .and_then(PrometheusBuilder::install_recorder)
        .context("metrics cannot start")
}

/// Keeps the gauges of directories and metadata up to date until the task is dropped.
pub async fn refresh(service: Arc<Service>, handle: PrometheusHandle) {
    let mut ticks = tokio::time::interval(REFRESH_EVERY);
    loop {
        ticks.tick().await;
        handle.run_upkeep();
        let status = service.status();
        gauge!("larder_ready").set(f64::from(u8::from(status.ready())));
        status.directories.iter().for_each(directory);
        engine(&status.engine);
    }
}

fn directory(status: &DirectoryStatus) {
    let labels = [
        ("directory", status.id.to_string()),
        ("zone", status.zone.clone()),
        ("region", status.region.clone()),
    ];
    gauge!("larder_directory_free_bytes", &labels).set(status.space.free_bytes as f64);
    gauge!("larder_directory_size_bytes", &labels).set(status.space.total_bytes as f64);
    counter!("larder_directory_errors_total", &labels).absolute(status.errors);
    counter!("larder_directory_read_bytes_total", &labels).absolute(status.read_bytes);
    counter!("larder_directory_written_bytes_total", &labels).absolute(status.written_bytes);
    for (name, holds) in [
        ("healthy", status.state == DirectoryState::Healthy),
        ("full", status.state == DirectoryState::Full),
        ("read_only", status.state == DirectoryState::ReadOnly),
        ("failed", matches!(status.state, DirectoryState::Failed { .. })),
    ] {
        let mut labels = labels.to_vec();
        labels.push(("state", name.to_owned()));
        gauge!("larder_directory_state", &labels).set(f64::from(u8::from(holds)));
    }
}

fn engine(status: &EngineStatus) {
    let members = |state: MemberState| {
        status.members.iter().filter(|member| member.state == state).count() as f64
    };
    gauge!("larder_metadata_members", "state" => "active").set(members(MemberState::Active));
    gauge!("larder_metadata_members", "state" => "failed").set(members(MemberState::Failed));
    gauge!("larder_metadata_members", "state" => "missing").set(members(MemberState::Missing));
    gauge!("larder_metadata_writable").set(f64::from(u8::from(status.writable)));
    gauge!("larder_metadata_full").set(f64::from(u8::from(status.full)));
    gauge!("larder_metadata_epoch").set(status.epoch as f64);
    gauge!("larder_metadata_sequence").set(status.sequence as f64);
    gauge!("larder_journal_bytes_since_snapshot").set(status.journal_bytes_since_snapshot as f64);
    gauge!("larder_snapshot_timestamp_seconds").set(status.last_snapshot_unix_s as f64);
    counter!("larder_metadata_commits_total").absolute(status.commits);
    counter!("larder_metadata_groups_total").absolute(status.groups);
    counter!("larder_journal_syncs_total").absolute(status.syncs);
}
