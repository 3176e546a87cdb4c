//! The house rules that a program can check. `docs/testing.md` says why each is there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;

use protocol_tests::{Source, root, sources};

const LINE_CHARACTERS_MAX: usize = 100;
const FUNCTION_LINES_MAX: usize = 70;
const FILE_LINES_MAX: usize = 800;

/// Which of our crates a crate may name: the arrows of `docs/architecture.md`.
const ARROWS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("blobs", &[]),
    ("metadata", &["model"]),
    ("service", &["blobs", "metadata", "model"]),
    ("gateway", &["model", "service"]),
    ("server", &["blobs", "gateway", "metadata", "model", "service"]),
];

const CONFORMANCE: &str = "crates/metadata/src/engine/conformance.rs";

/// Words of Rust code and the only places that may say them, as beginnings of paths.
const HOMES: &[(&str, &[&str])] = &[
    ("actix", &["crates/gateway/", "crates/server/"]),
    ("quick_xml", &["crates/gateway/"]),
    ("sled::", &["crates/metadata/src/embedded/"]),
    ("clap", &["crates/server/"]),
    (
        "\"x-amz-",
        &["crates/gateway/", "crates/server/src/client.rs", "tests/bench/", "tests/counts/"],
    ),
    ("\"x-oss-", &["crates/gateway/"]),
    ("std::fs", &["crates/blobs/", "crates/metadata/src/embedded/", "crates/server/", "tests/"]),
    ("Utc::now(", &["crates/server/src/environment.rs", "tests/bench/"]),
    // Tests print their seeds and measurements.
    (
        "println!(",
        &["crates/server/", "crates/metadata/src/embedded/tests/", CONFORMANCE, "tests/"],
    ),
];

/// What nobody may read in this repository: places that exist on one machine only, and notes that
/// belong in an issue. Split, so that this file may stay.
const FORBIDDEN: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("../sha", "red"),
    concat!("/home", "/"),
    concat!("dbg", "!("),
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("static.crates", ".io"),
    concat!("index.crates", ".io"),
    concat!("proxy.golang", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("<<<<", "<<< "),
];

/// Files that quote what they do not say.
const QUOTING: &[&str] = &["Cargo.lock", "LICENSE"];

fn rust(sources: &[Source]) -> impl Iterator<Item = &Source> {
    sources.iter().filter(|source| source.path.ends_with(".rs"))
}

fn refuse(faults: Vec<String>) {
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn crates_name_only_the_crates_below_them() {
    let ours: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    let mut faults = Vec::new();
    for entry in fs::read_dir(root().join("crates")).expect("there are crates") {
        let name = entry.expect("a crate").file_name().to_string_lossy().into_owned();
        let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| *known == name) else {
            faults.push(format!("crates/{name} has no row in ARROWS"));
            continue;
        };
        let manifest = root().join("crates").join(&name).join("Cargo.toml");
        let manifest = fs::read_to_string(manifest).expect("a crate has a manifest");
        let manifest: toml::Table = manifest.parse().expect("a manifest is TOML");
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(section) = manifest.get(section).and_then(|it| it.as_table()) else {
                continue;
            };
            for needed in section.keys().map(String::as_str) {
                if ours.contains(needed) && !allowed.contains(&needed) {
                    faults.push(format!("{name} may not depend on {needed}"));
                }
            }
        }
    }
    refuse(faults);
}

#[test]
fn files_functions_and_lines_stay_small() {
    let mut faults = Vec::new();
    for Source { path, text } in rust(&sources()) {
        let lines: Vec<&str> = text.lines().collect();
        if lines.len() > FILE_LINES_MAX {
            faults.push(format!("{path}: {} lines", lines.len()));
        }
        for (number, line) in lines.iter().enumerate() {
            let place = format!("{path}:{}", number + 1);
            if line.chars().count() > LINE_CHARACTERS_MAX {
                faults.push(format!("{place}: a line of {} characters", line.chars().count()));
            }
            let length = function_lines(lines.get(number..).unwrap_or_default());
            if length > FUNCTION_LINES_MAX {
                faults.push(format!("{place}: a function of {length} lines"));
            }
        }
    }
    refuse(faults);
}

/// Lines of the function that begins on the first line, 0 if none does. Relies on rustfmt: a body
/// ends with a brace that is as far in as the function.
fn function_lines(lines: &[&str]) -> usize {
    let Some(first) = lines.first() else { return 0 };
    let code = first.trim_start();
    let indent = " ".repeat(first.len() - code.len());
    let words: Vec<&str> = code.split_whitespace().take_while(|word| *word != "fn").collect();
    let before = ["pub", "const", "async", "unsafe", "pub(crate)", "pub(super)"];
    let begins = code.split_whitespace().nth(words.len()) == Some("fn")
        && words.iter().all(|word| before.contains(word));
    if !begins {
        return 0;
    }
    let Some(open) = lines.iter().position(|line| line.ends_with(['{', '}', ';'])) else {
        return 0;
    };
    if lines.get(open).is_some_and(|line| !line.ends_with('{')) {
        return open + 1;
    }
    let end = format!("{indent}}}");
    let body = lines.iter().skip(open + 1);
    body.take_while(|line| !line.starts_with(&end)).count() + open + 2
}

#[test]
fn each_kind_of_knowledge_has_one_home() {
    let mut faults = Vec::new();
    for Source { path, text } in rust(&sources()) {
        for (word, homes) in HOMES {
            if homes.iter().any(|home| path.starts_with(home)) || path == "tests/tidy.rs" {
                continue;
            }
            for (number, line) in text.lines().enumerate() {
                if line.contains(word) && !line.trim_start().starts_with("//") {
                    faults.push(format!("{path}:{}: {word} belongs in {homes:?}", number + 1));
                }
            }
        }
    }
    refuse(faults);
}

#[test]
fn nobody_reads_what_is_nobodys_business() {
    let mut faults = Vec::new();
    for Source { path, text } in sources() {
        if QUOTING.contains(&path.as_str()) {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let said = FORBIDDEN.iter().filter(|word| line.contains(**word));
            faults.extend(said.map(|word| format!("{path}:{}: {word}", number + 1)));
        }
    }
    refuse(faults);
}

#[test]
fn links_between_pages_lead_somewhere() {
    let mut faults = Vec::new();
    for Source { path, text } in sources().iter().filter(|it| it.path.ends_with(".md")) {
        let folder = root().join(path);
        let folder = folder.parent().expect("a page is in a folder");
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            if !file.is_empty() && !file.contains("://") && !folder.join(file).exists() {
                faults.push(format!("{path}: {target} does not exist"));
            }
        }
    }
    refuse(faults);
}

#[test]
fn a_function_is_measured_to_its_last_brace() {
    let text = "    pub async fn long(\n        a: u8,\n    ) -> u8 {\n        a\n    }\n\n\
                    fn next() {}";
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(function_lines(&lines), 5);
    assert_eq!(function_lines(lines.get(6..).expect("there is a seventh line")), 1);
    assert_eq!(function_lines(&["let fn_pointer = 1;"]), 0);
}
