//! File descriptors: as many as the system lets the process have, and a share for each use, so that
//! neither connections nor uploads take what the journal needs.

use gateway::beyond;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;

/// Journals, index, listeners, the runtime, what runs in the background.
const FOR_THE_PROCESS: usize = 64;
/// Segments, locks and files kept open for reading.
const FOR_A_DIRECTORY: usize = 136;
const LEAST: usize = 16;

/// Who may have how many descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// As in `server.connections_max`, or fewer.
    pub connections_max: usize,
    /// Files of large objects being written, in each directory.
    pub writing_files_max: usize,
}

/// Raises the soft limit to the hard one and says so.
pub fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let (soft, hard) = (number(limit.current), number(limit.maximum));
    if soft >= hard {
        tracing::info!(limit = soft, "open files");
        return;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        Ok(()) => {
            tracing::info!(limit = hard, before = soft, "open files: the limit was raised");
        }
        Err(error) => {
            tracing::warn!(limit = soft, %error, "open files: the limit could not be raised");
        }
    }
}

/// The shares of a server as it is configured.
pub fn of(config: &Config) -> Shares {
    let limit = number(getrlimit(Resource::Nofile).current);
    shares(limit, config.server.connections_max, config.directories().len())
}

/// No limit is the highest number.
fn number(limit: Option<u64>) -> usize {
    limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

fn shares(limit: usize, connections_max: usize, directories: usize) -> Shares {
    let directories = directories.max(1);
    let kept = FOR_THE_PROCESS + directories.saturating_mul(FOR_A_DIRECTORY);
    let rest = limit.saturating_sub(kept);
    let wanted = connections_max.saturating_add(2 * beyond(connections_max));
    let shares = match wanted {
        wanted if wanted <= rest / 4 * 3 => {
            Shares { connections_max, writing_files_max: rest - wanted }
        }
        // An eighth is let in beyond the limit, and as many may be in a TLS handshake.
        _ => {
            let places = (rest / 4 * 3 / 5 * 4).saturating_sub(2 * LEAST).max(LEAST);
            let connections_max = connections_max.min(places);
            Shares { connections_max, writing_files_max: rest / 4 }
        }
    };
    let each = (shares.writing_files_max / directories).max(LEAST);
    Shares { writing_files_max: each.min(u32::MAX as usize), ..shares }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_use_takes_all_descriptors() {
        for limit in [256, 1024, 20_000, 65_536, usize::MAX] {
            for (wanted, directories) in [(10_000, 1), (100, 3), (1_000_000, 2), (usize::MAX, 1)] {
                let shares = shares(limit, wanted, directories);
                let connections = shares.connections_max;
                assert!(connections <= wanted && connections >= LEAST);
                let let_in = connections.saturating_add(2 * beyond(connections));
                let files = shares.writing_files_max * directories;
                let kept = FOR_THE_PROCESS + directories * FOR_A_DIRECTORY;
                let room = limit >= kept + 5 * LEAST * directories;
                let used = let_in.saturating_add(files).saturating_add(kept);
                assert!(!room || used <= limit, "{limit} {wanted} {directories}: {shares:?}");
            }
        }
        let plenty = shares(65_536, 10_000, 3);
        assert_eq!(plenty.connections_max, 10_000);
    }
}
