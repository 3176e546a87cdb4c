//! Random operations on a whole store, compared step by step with a small model of S3.
//!
//! `SEED=n` replays a seed, `OPERATIONS=n` sets the length of the run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod caller;
mod chooser;
mod model;
mod operation;
mod run;
#[path = "../support/mod.rs"]
mod support;

use std::io::Write as _;

use crate::{model::Rule, run::run};

const SEED: u64 = 1;
const OPERATIONS: u64 = 5_000;

/// A number the environment sets.
fn number(variable: &str, otherwise: u64) -> u64 {
    let Ok(value) = std::env::var(variable) else { return otherwise };
    value.parse().unwrap_or_else(|_| panic!("{variable} is not a number"))
}

/// Shown even when the test passes.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Every answer, every counter and every byte is what a model of S3 says, through restarts and
/// power losses; what is deleted is freed, and nothing else.
#[tokio::test]
async fn the_store_does_what_the_model_says() {
    let (seed, operations) = (number("SEED", SEED), number("OPERATIONS", OPERATIONS) as usize);
    say(&format!("reference: SEED={seed} OPERATIONS={operations}"));
    let report = run(seed, operations, None).await.unwrap_or_else(|failed| panic!("{failed}"));
    say(&format!("reference: {report:?}"));
    for (call, (well, _)) in &report.calls {
        assert!(operations < 2_000 || *well >= 3, "{call} went well {well} times only");
    }
}

/// The control: with a rule of the model broken, the same run finds the difference.
#[tokio::test]
async fn a_broken_rule_is_noticed() {
    let rules = [
        Rule::MarkersAreNoObjects,
        Rule::SuspendedWritesReplaceTheNullVersion,
        Rule::RemovedMarkersUncoverObjects,
        Rule::IfNoneMatchRefuses,
        Rule::ReplacedPartsCountOnce,
        Rule::CopiesShareBytes,
    ];
    for rule in rules {
        let noticed = run(1, 3_000, Some(rule)).await.err();
        let noticed = noticed.unwrap_or_else(|| panic!("{rule:?} was broken, and nobody noticed"));
        assert!(noticed.what.contains("model:"), "{rule:?}: {noticed}");
    }
}
