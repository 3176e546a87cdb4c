//! `larder operations`: the operation table.

use std::fmt::Write;

use anyhow::Result;

use crate::cli::Output;

/// Prints every operation of both protocols.
pub fn run(output: &Output) -> Result<()> {
    let rows = gateway::operations::list();
    if output.json {
        return super::print(&format!("{}\n", serde_json::to_string_pretty(&rows)?));
    }
    let mut text = String::new();
    for row in rows {
        let state = if row.served { "served" } else { "refused" };
        let query = row.query.join("&");
        let line = format!(
            "{:<4} {:<42} {:<7} {:<8} {:<8} {query:<28} {}",
            row.dialect, row.name, row.method, row.target, state, row.reason
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    super::print(&text)
}
