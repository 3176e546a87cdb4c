//! `larder doctor`: what surrounds the store, as a table or as JSON.

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::Result;

use crate::cli::Doctor;
use crate::doctor::{self, Finding, Verdict};

/// Looks at everything: exit code 0 unless there is a problem.
pub fn run(arguments: Doctor) -> Result<ExitCode> {
    let config = arguments.flags.configuration(arguments.directories)?;
    let findings = doctor::examine(&config);
    let text = match arguments.output.json {
        true => format!("{}\n", serde_json::to_string_pretty(&findings)?),
        false => table(&findings),
    };
    super::print(&text)?;
    let failed = findings.iter().any(|it| it.verdict == Verdict::Problem);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// One line for each finding, and one more where there is something to do.
fn table(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { check, subject, verdict, finding, advice } in findings {
        let verdict = match verdict {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Problem => "PROBLEM",
        };
        let subject = if subject.is_empty() { String::new() } else { format!("{subject}: ") };
        let _ = writeln!(text, "{verdict:<8} {check:<15} {subject}{finding}");
        if !advice.is_empty() {
            let _ = writeln!(text, "{:24} -> {advice}", "");
        }
    }
    let count = |verdict| findings.iter().filter(|it| it.verdict == verdict).count();
    let (warnings, problems) = (count(Verdict::Warning), count(Verdict::Problem));
    let _ = writeln!(text, "{problems} problems, {warnings} warnings");
    text
}
