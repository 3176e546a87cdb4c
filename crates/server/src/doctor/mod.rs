//! What surrounds the store and can spoil it: looked at, never changed, beside a running server or
//! without one.
//!
//! [`examine`] gathers the findings: about each directory in `directory.rs`, about the mounts they
//! lie on in `mounts.rs`, about the machine in `machine.rs`. `commands::doctor` prints them.

mod directory;
mod machine;
mod mounts;

use serde::Serialize;

use crate::config::Config;

/// How bad a finding is. Only a problem makes the command fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Ok,
    Warning,
    Problem,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub check: &'static str,
    /// A directory, an address or a file; empty for the machine.
    pub subject: String,
    pub verdict: Verdict,
    /// One sentence.
    pub finding: String,
    /// What to do; empty if there is nothing to do.
    pub advice: &'static str,
}

/// What one look gave, before it is known what was looked at.
type Look = (Verdict, String, &'static str);

fn fine(finding: impl Into<String>) -> Look {
    (Verdict::Ok, finding.into(), "")
}

fn warning(finding: impl Into<String>, advice: &'static str) -> Look {
    (Verdict::Warning, finding.into(), advice)
}

fn problem(finding: impl Into<String>, advice: &'static str) -> Look {
    (Verdict::Problem, finding.into(), advice)
}

fn finding(check: &'static str, subject: impl ToString, look: Look) -> Finding {
    let (verdict, finding, advice) = look;
    Finding { check, subject: subject.to_string(), verdict, finding, advice }
}

/// Looks at everything once; takes at most a few seconds for each directory.
pub fn examine(config: &Config) -> Vec<Finding> {
    let paths: Vec<_> = config.directories().into_iter().map(|it| it.path).collect();
    let mut findings = Vec::new();
    for path in &paths {
        findings.extend(directory::examine(path));
    }
    findings.extend(directory::together(&paths, config));
    findings.extend(mounts::shared(&paths));
    let holder = paths.iter().find_map(|path| directory::holder(path));
    findings.extend(machine::examine(config, holder));
    findings
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;
    use crate::directories;
    use crate::environment::SystemEntropy;

    fn config(home: &Path, names: &[&str]) -> Config {
        let mut config = Config::default();
        let paths = names.iter().map(|name| home.join(name).display().to_string());
        config.storage.directories = paths.collect();
        config.server.listen = vec!["127.0.0.1:0".into()];
        config
    }

    /// A closed store in directories `a` and `b`.
    fn store(home: &Path) -> Config {
        let config = config(home, &["a", "b"]);
        directories::open(&config.directories(), &[], &SystemEntropy).unwrap();
        for name in ["a", "b"] {
            let key = home.join(name).join("master.key");
            fs::write(&key, format!("{}\n", "07".repeat(32))).unwrap();
            fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        }
        config
    }

    /// The verdict of `check` about a subject that ends in `subject`.
    fn verdict(findings: &[Finding], check: &str, subject: &str) -> Verdict {
        let mut about = findings.iter().filter(|it| it.check == check);
        let found = about.find(|it| it.subject.ends_with(subject));
        found.unwrap_or_else(|| panic!("no {check} about {subject}: {findings:#?}")).verdict
    }

    /// Spoils a sound store and returns what is then found.
    fn after(spoil: impl FnOnce(&Path, &mut Config)) -> Vec<Finding> {
        let home = tempfile::tempdir().unwrap();
        let mut config = store(home.path());
        spoil(home.path(), &mut config);
        examine(&config)
    }

    #[test]
    fn a_sound_store_has_no_problem_but_its_copies_share_a_disk() {
        let findings = after(|_, _| {});
        // Where the tests run is not the store's fault.
        let machine = ["file system", "space", "inodes", "sync"];
        let of_store = findings.iter().filter(|it| !machine.contains(&it.check));
        let problems: Vec<_> = of_store.filter(|it| it.verdict == Verdict::Problem).collect();
        assert!(problems.is_empty(), "{problems:#?}");
        assert_eq!(verdict(&findings, "separate disks", "b"), Verdict::Warning);
        assert_eq!(verdict(&findings, "identity", "/a"), Verdict::Ok);
        assert_eq!(verdict(&findings, "lock", "/a"), Verdict::Ok);
    }

    #[test]
    fn directories_that_cannot_serve_are_problems() {
        let findings = after(|home, _| fs::remove_dir_all(home.join("b")).unwrap());
        assert_eq!(verdict(&findings, "identity", "/b"), Verdict::Warning, "absent");
        let findings = after(|home, _| fs::write(home.join("b/larder.id"), "LARDERIDxx").unwrap());
        assert_eq!(verdict(&findings, "identity", "/b"), Verdict::Problem, "damaged");
        let findings = after(|home, config| {
            let text = home.join("foreign").display().to_string();
            config.storage.directories.push(text);
            fs::create_dir(home.join("foreign")).unwrap();
            fs::write(home.join("foreign/holiday.jpg"), "").unwrap();
        });
        assert_eq!(verdict(&findings, "identity", "/foreign"), Verdict::Problem);
    }

    #[test]
    fn two_stores_named_together_are_a_problem() {
        let other = tempfile::tempdir().unwrap();
        store(other.path());
        let findings = after(|_, config| {
            config.storage.directories.push(other.path().join("a").display().to_string());
        });
        assert_eq!(verdict(&findings, "one store", ""), Verdict::Problem);
    }

    #[test]
    fn permissions_of_directories_and_keys_are_looked_at() {
        let open = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let findings = after(|home, _| open(&home.join("a"), 0o755));
        assert_eq!(verdict(&findings, "permissions", "/a"), Verdict::Warning);
        let findings = after(|home, _| open(&home.join("a"), 0o777));
        assert_eq!(verdict(&findings, "permissions", "/a"), Verdict::Problem);
        let findings = after(|home, _| open(&home.join("a/master.key"), 0o640));
        assert_eq!(verdict(&findings, "master key", ""), Verdict::Problem);
        let findings = after(|home, _| {
            fs::remove_file(home.join("a/master.key")).unwrap();
            fs::remove_file(home.join("b/master.key")).unwrap();
        });
        assert_eq!(verdict(&findings, "master key", ""), Verdict::Problem);
    }

    #[test]
    fn a_held_directory_is_told_and_stays_held() {
        let home = tempfile::tempdir().unwrap();
        let config = store(home.path());
        let opened = directories::open(&config.directories(), &[], &SystemEntropy).unwrap();
        let findings = examine(&config);
        let lock = findings.iter().find(|it| it.check == "lock").unwrap();
        assert!(lock.finding.contains(&std::process::id().to_string()), "{lock:?}");
        let again = directories::open(&config.directories(), &[], &SystemEntropy);
        assert!(again.is_err(), "looking released the lock");
        drop(opened);
    }

    #[test]
    fn files_from_the_future_tell_of_a_wrong_clock() {
        let findings = after(|home, _| {
            let file = fs::File::open(home.join("a/larder.id")).unwrap();
            let modified = file.metadata().unwrap().modified().unwrap();
            file.set_modified(modified + std::time::Duration::from_secs(86_400)).unwrap();
        });
        assert_eq!(verdict(&findings, "clock", "/a"), Verdict::Problem);
    }

    #[test]
    fn a_taken_address_and_a_bad_certificate_are_problems() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let findings = after(|home, config| {
            config.server.listen = vec![address.clone()];
            let (certificate, key) = (home.join("crt"), home.join("key"));
            fs::write(&certificate, include_str!("../testdata/one.crt")).unwrap();
            fs::write(&key, include_str!("../testdata/two.key")).unwrap();
            config.tls.certificate = Some(certificate);
            config.tls.key = Some(key);
        });
        assert_eq!(verdict(&findings, "address", &address), Verdict::Problem);
        assert_eq!(verdict(&findings, "certificate", "crt"), Verdict::Problem);
    }
}
