//! Pages that are made from the code are as the code is.
//!
//! `UPDATE=1 cargo test -p protocol-tests --test generated_pages` writes them anew.

#![allow(clippy::expect_used, clippy::panic)]

use std::fs;

use protocol_tests::root;

fn fresh(path: &str, wanted: &str) {
    let file = root().join(path);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, wanted).expect("the page can be written");
        return;
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    if found == wanted {
        return;
    }
    let line = found.lines().zip(wanted.lines()).position(|(left, right)| left != right);
    let line = line.unwrap_or_else(|| found.lines().count().min(wanted.lines().count())) + 1;
    panic!(
        "{path} is stale from line {line} on; refresh it with:\n\
         UPDATE=1 cargo test -p protocol-tests --test generated_pages"
    );
}

#[test]
fn the_configuration_pages_are_fresh() {
    fresh("docs/configuration.md", &server::config::reference::page());
    fresh("deploy/config.toml", &server::config::reference::sample());
}

#[test]
fn the_compatibility_pages_are_fresh() {
    use gateway::dialect::Dialect;
    fresh("docs/s3-compat.md", &gateway::operations::page(Dialect::S3));
    fresh("docs/oss-compat.md", &gateway::operations::page(Dialect::Oss));
    fresh("docs/iam-compat.md", &gateway::iam::page());
}

/// What the pages say is served was shown by a client of that protocol.
#[test]
fn every_served_operation_names_a_test_that_exists() {
    let mut faults = Vec::new();
    for row in gateway::operations::list().iter().filter(|row| row.served) {
        let named = row.test.and_then(|test| test.split_once("::"));
        let exists = named.is_some_and(|(path, name)| {
            let folders = [format!("tests/{}/", row.dialect), "tests/clients/".to_owned()];
            let text = fs::read_to_string(root().join(path)).unwrap_or_default();
            folders.iter().any(|folder| path.starts_with(folder))
                && text.contains(&format!("\ndef {name}("))
        });
        if !exists {
            faults.push(format!("{} {}: {:?}", row.dialect, row.name, row.test));
        }
    }
    assert!(faults.is_empty(), "no such test:\n{}", faults.join("\n"));
}
