//! What the directories are mounted from: kind of file system, flags, and whether they share one.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Finding, Look, finding, fine, problem, warning};

/// A sync here depends on another machine, and locks may not hold.
const NETWORK: &[&str] =
    &["nfs", "nfs4", "cifs", "smb3", "ceph", "glusterfs", "fuse.sshfs", "fuse.s3fs", "9p"];
/// What is here is gone after a restart.
const VOLATILE: &[&str] = &["tmpfs", "ramfs"];
/// What the crash tests run on.
const TESTED: &[&str] = &["ext4", "xfs"];
/// A sync does not reach the disk.
const UNSAFE_FLAGS: &[&str] = &["nobarrier", "barrier=0"];

struct Mount {
    point: PathBuf,
    kind: String,
    flags: Vec<String>,
}

/// One line of `/proc/self/mountinfo`, as proc(5) has it.
fn mount(line: &str) -> Option<Mount> {
    let (place, source) = line.split_once(" - ")?;
    let mut place = place.split(' ').skip(4);
    let (point, options) = (place.next()?, place.next()?);
    let mut source = source.split(' ');
    let (kind, all) = (source.next()?, source.nth(1)?);
    let flags = options.split(',').chain(all.split(','));
    // The kernel writes blanks as octal numbers.
    let point = point.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\");
    Some(Mount { point: point.into(), kind: kind.into(), flags: flags.map(Into::into).collect() })
}

pub fn file_system(path: &Path) -> Look {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    match fs::canonicalize(path) {
        Ok(path) => judge(&path, &mounts),
        Err(_) => warning("unknown: the path leads nowhere", "look at its links"),
    }
}

fn judge(path: &Path, mounts: &str) -> Look {
    let over = mounts.lines().filter_map(mount).filter(|it| path.starts_with(&it.point));
    // The last of several mounts at one point hides the others.
    let Some(mount) = over.max_by_key(|it| it.point.components().count()) else {
        return warning("unknown: not in /proc/self/mountinfo", "look with findmnt");
    };
    let among = |kinds: &[&str]| kinds.contains(&mount.kind.as_str());
    let flag = |wanted: &str| mount.flags.iter().any(|flag| flag == wanted);
    let text = format!("{} mounted at {}", mount.kind, mount.point.display());
    if flag("ro") {
        return problem(
            format!("{text} is read-only"),
            "nothing can be stored: see the kernel log",
        );
    }
    if let Some(flag) = UNSAFE_FLAGS.iter().find(|it| flag(it)) {
        let text = format!("{text} with {flag}");
        return problem(text, "a power cut loses what was acknowledged: mount with barriers");
    }
    if among(NETWORK) {
        return problem(text, "a sync there keeps no promise: use a disk of this machine");
    }
    match mount.kind {
        _ if among(VOLATILE) => problem(text, "all is gone after a restart: use a disk"),
        _ if among(TESTED) => fine(text),
        _ => warning(text, "crash tests run on ext4 and xfs"),
    }
}

/// Directories on one disk: when it dies, all their copies do.
pub fn shared(paths: &[PathBuf]) -> Vec<Finding> {
    let mut disks: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    for path in paths {
        if let Ok(about) = fs::metadata(path) {
            disks.entry(disk(about.dev())).or_default().push(path.display().to_string());
        }
    }
    let several = disks.values().filter(|paths| paths.len() > 1);
    let told = |paths: &Vec<String>| {
        let advice = "copies there are lost together: give each directory a disk of its own";
        let text = format!("{} directories lie on one disk", paths.len());
        finding("separate disks", paths.join(", "), warning(text, advice))
    };
    several.map(told).collect()
}

/// The disk behind a device number: that of its partition, else the number itself.
fn disk(device: u64) -> PathBuf {
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let known = fs::canonicalize(format!("/sys/dev/block/{major}:{minor}"));
    let device = known.unwrap_or_else(|_| format!("{major}:{minor}").into());
    match device.parent().filter(|_| device.join("partition").exists()) {
        Some(whole) => whole.to_owned(),
        None => device,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    const MOUNTS: &str = "\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
30 22 8:17 / /disks/one\\040two rw,noatime - xfs /dev/sdb1 rw,attr2
31 22 8:33 / /disks/ro ro,noatime - ext4 /dev/sdc1 rw
32 22 8:49 / /disks/fast rw - ext4 /dev/sdd1 rw,nobarrier
33 22 0:50 / /disks/far rw - nfs4 host:/export rw,vers=4.2
34 22 0:51 / /disks/memory rw - tmpfs tmpfs rw
35 22 0:52 / /disks/odd rw - btrfs /dev/sde rw
36 33 8:65 / /disks/far/near rw - ext4 /dev/sdf rw";

    #[test]
    fn a_mount_is_judged_by_kind_and_flags() {
        let cases = [
            ("/disks/one two/a", Verdict::Ok),
            ("/disks/roof", Verdict::Ok),
            ("/disks/far/near/a", Verdict::Ok),
            ("/disks/odd", Verdict::Warning),
            ("/disks/ro", Verdict::Problem),
            ("/disks/fast/a", Verdict::Problem),
            ("/disks/far/a", Verdict::Problem),
            ("/disks/memory", Verdict::Problem),
        ];
        for (path, verdict) in cases {
            assert_eq!(judge(Path::new(path), MOUNTS).0, verdict, "{path}");
        }
        assert_eq!(judge(Path::new("/a"), "what is this").0, Verdict::Warning);
    }
}
