//! `larder check --rebuild`: metadata made anew from the blobs, when all of it is gone.

use anyhow::Result;
use service::rebuild::RebuildReport;

use crate::cli::Check;
use crate::sealed::RootKey;
use crate::wiring;

/// Rebuilds the metadata and tells what came of it.
pub fn run(arguments: Check) -> Result<()> {
    let config = arguments.flags.configuration(arguments.directories)?;
    super::serve::start_logging(&config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (report, root) = runtime.block_on(wiring::rebuild(&config))?;
    super::print(&told(&report, &root))
}

fn told(report: &RebuildReport, root: &RootKey) -> String {
    let mut text = format!(
        "{} blobs in {} copies were found, and {} objects of {} bytes in {} buckets named.\n",
        report.blobs, report.copies, report.objects, report.object_bytes, report.buckets
    );
    for (count, what) in [
        (report.lost, "keys are lost: no blob of theirs is whole"),
        (report.broken, "blobs were passed over: no copy is whole, or a part is missing"),
        (report.unreadable, "copies do not say what they are"),
        (report.older, "blobs are of older writes to the same keys"),
        (report.buckets_left, "buckets were left: a newer one has their name"),
    ] {
        if count > 0 {
            text += &format!("{count} {what}.\n");
        }
    }
    for (bucket, key) in &report.broken_keys {
        text += &format!("damaged: {bucket}/{}\n", key.escape_debug());
    }
    text += "All is private and belongs to the root account. Not back: accounts, versioning, older \
             versions, delete\nmarkers, tags and the names of server-side copies. An object that \
             was deleted may be here again.\n";
    text += &format!("Access key of the root account: {}\n", root.access_key);
    text
}
