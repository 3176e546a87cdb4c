//! `larder import`: exported metadata, into the directories of a stopped store.

use std::fs::File;
use std::io::BufReader;

use anyhow::{Context, Result};
use blobs::StoreId;
use chrono::DateTime;
use metadata::embedded::import::{Exported, verify};
use serde_json::json;

use crate::backup::{self, Wish};
use crate::cli::{Directories, Import};

/// Imports, or only reads the file. After an error everything is as it was.
pub fn run(arguments: Import) -> Result<()> {
    let Import { file, into, flags, replace, accept_missing, output, .. } = arguments;
    if arguments.verify {
        let opened = File::open(&file);
        let opened = opened.with_context(|| format!("cannot read {}", file.display()))?;
        let exported = verify(&mut BufReader::new(opened))?;
        return show(&exported, output.json);
    }
    let config = flags.configuration(Directories { directories: into })?;
    super::serve::start_logging(&config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let wish = Wish { file, replace, accept_missing };
    show(&runtime.block_on(backup::import(&config, wish))?, output.json)
}

/// Prints what an export holds.
pub fn show(exported: &Exported, as_json: bool) -> Result<()> {
    let Exported { origin, created_unix_s, sequence, rows, records, bytes } = *exported;
    let store = StoreId(origin).to_string();
    let created = i64::try_from(created_unix_s).ok().and_then(|s| DateTime::from_timestamp(s, 0));
    let created = created.map(|time| time.to_rfc3339()).unwrap_or_default();
    let text = if as_json {
        let facts = json!({
            "store": store, "created": created, "commit": sequence,
            "rows": rows, "commits_meanwhile": records, "bytes": bytes,
        });
        format!("{}\n", serde_json::to_string_pretty(&facts)?)
    } else {
        format!(
            "store {store}, begun at {created}, as of commit {sequence}: \
             {rows} rows, {records} commits meanwhile, {bytes} bytes\n"
        )
    };
    super::print(&text)
}
