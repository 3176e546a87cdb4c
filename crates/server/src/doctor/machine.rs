//! What is looked at once: open files, memory, addresses, certificate.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::Path;

use chrono::DateTime;
use model::environment::{Clock, unix_ms};

use super::{Finding, Look, finding, fine, problem, warning};
use crate::config::Config;
use crate::environment::SystemClock;
use crate::tls;

const MIB: u64 = 1024 * 1024;
/// Files beside the connections: journals, index, segments, objects being read and written.
const FILES_BESIDE: u64 = 1024;
const MEMORY_MIN: u64 = 256 * MIB;
const EXPIRES_SOON_DAYS: i64 = 14;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// - `holder`: the process that serves the directories, if one does and its number is known.
pub fn examine(config: &Config, holder: Option<Option<u32>>) -> Vec<Finding> {
    let mut findings = vec![
        finding("open files", "", open_files(config, holder.flatten())),
        finding("memory", "", memory()),
    ];
    let addresses = config.server.listen.iter();
    let running = holder.is_some();
    findings.extend(addresses.map(|it| finding("address", it, address(it, running))));
    if let (Some(certificate), Some(key)) = (&config.tls.certificate, &config.tls.key) {
        let look = certificate_of(certificate, key);
        findings.push(finding("certificate", certificate.display(), look));
    }
    findings
}

/// The limit of the running server, else the one that a server started from here would get.
fn open_files(config: &Config, holder: Option<u32>) -> Look {
    let process = holder.map_or_else(|| "self".to_owned(), |process| process.to_string());
    let limits = fs::read_to_string(format!("/proc/{process}/limits")).unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    // A server that starts raises its own limit as far as it may.
    let column = if holder.is_some() { 0 } else { 1 };
    let limit = line.and_then(|line| line.split_whitespace().nth(column)).unwrap_or_default();
    let needed = config.server.connections_max as u64 + FILES_BESIDE;
    match limit.parse::<u64>() {
        _ if limit == "unlimited" => fine("not limited"),
        Ok(limit) if limit < needed => warning(
            format!("{limit} files may be open, all connections at once need {needed}"),
            "raise it (LimitNOFILE= of the unit, ulimit -n) or lower server.connections_max",
        ),
        Ok(limit) => fine(format!("{limit} files may be open")),
        Err(_) => warning("the limit is unknown", "look with ulimit -n"),
    }
}

fn memory() -> Look {
    let free = fs::read_to_string("/proc/meminfo").ok().and_then(|text| available(&text));
    let limit = control_group_limit();
    let Some(least) = free.into_iter().chain(limit).min() else {
        return warning("unknown", "look with free -m");
    };
    let limited = if limit == Some(least) { "limit of the control group" } else { "available" };
    let text = format!("{} MiB ({limited})", least / MIB);
    match least < MEMORY_MIN {
        true => warning(text, "less than 256 MiB: a busy server may be ended by the kernel"),
        false => fine(text),
    }
}

fn available(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1024)
}

/// `memory.max` of the group this process is in, in a system with one hierarchy (version 2).
fn control_group_limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let file = Path::new("/sys/fs/cgroup").join(group).join("memory.max");
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn address(text: &str, running: bool) -> Look {
    match TcpListener::bind(text) {
        Ok(_) => fine("free"),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && running => {
            fine("taken, as it is while the server runs")
        }
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            problem("taken by another program", "end it or listen elsewhere (--listen)")
        }
        Err(error) => problem(format!("cannot be listened on: {error}"), "see server.listen"),
    }
}

fn certificate_of(certificate: &Path, key: &Path) -> Look {
    let now = unix_ms(SystemClock.now());
    let validity = match tls::validity(certificate, key) {
        Ok(validity) => validity,
        Err(error) => return problem(format!("{error:#}"), "a server does not start with it"),
    };
    match validity {
        None => warning("key and certificate fit, how long is unknown", "look with openssl x509"),
        Some((from, until)) => judge(from * 1000, until * 1000, now),
    }
}

fn judge(from_ms: i64, until_ms: i64, now_ms: i64) -> Look {
    let day = |at_ms| DateTime::from_timestamp_millis(at_ms).unwrap_or_default().date_naive();
    let text = format!("valid from {} until {}", day(from_ms), day(until_ms));
    match now_ms {
        now if now < from_ms => problem(text, "not valid yet: look at the clock"),
        now if now > until_ms => problem(text, "expired: clients refuse it; replace both files"),
        now if until_ms - now < EXPIRES_SOON_DAYS * DAY_MS => {
            warning(text, "expires soon: replace both files, no restart is needed")
        }
        _ => fine(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn a_certificate_is_judged_by_its_days() {
        let verdict = |now_day: i64| judge(10 * DAY_MS, 100 * DAY_MS, now_day * DAY_MS).0;
        assert_eq!(verdict(9), Verdict::Problem);
        assert_eq!(verdict(50), Verdict::Ok);
        assert_eq!(verdict(90), Verdict::Warning);
        assert_eq!(verdict(101), Verdict::Problem);
    }

    #[test]
    fn the_memory_that_is_available_is_found() {
        assert_eq!(available("MemTotal: 9 kB\nMemAvailable:   2048 kB\n"), Some(2 * MIB));
        assert_eq!(available("MemAvailable: lots"), None);
    }
}
