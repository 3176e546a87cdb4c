//! All fuzz targets in one program; `FUZZ_TARGET` names the one to run. `run` calls it.
//!
//! Each target cuts its input into arguments and hands them to a door of the crate concerned. What
//! must hold is said there, in `fuzzing.rs`.

#![no_main]

mod disks;
mod requests;

use std::sync::OnceLock;

use arbitrary::{Result, Unstructured};
use libfuzzer_sys::{Corpus, fuzz_target};

/// Answers whether it came to a rare place.
type Target = for<'a> fn(Unstructured<'a>) -> Result<bool>;

/// `run` reads the names from here.
const TARGETS: &[(&str, Target)] = &[
    ("blobs", disks::blobs),
    ("chunks", requests::chunks),
    ("documents", requests::documents),
    ("forms", requests::forms),
    ("headers", requests::headers),
    ("journal", disks::journal),
    ("keys", disks::keys),
    ("signatures", requests::signatures),
];

static CHOSEN: OnceLock<(Target, bool)> = OnceLock::new();

fn choose() -> (Target, bool) {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let Some((_, target)) = TARGETS.iter().find(|(known, _)| *known == name) else {
        panic!("FUZZ_TARGET names no target: {name}");
    };
    (*target, std::env::var_os("PLANTED_BUG").is_some())
}

fuzz_target!(|input: &[u8]| -> Corpus {
    let (target, planted) = CHOSEN.get_or_init(choose);
    match target(Unstructured::new(input)) {
        Ok(rare) => {
            assert!(!(rare && *planted), "the planted bug");
            Corpus::Keep
        }
        Err(_) => Corpus::Reject,
    }
});
