//! `[[REGION/]ZONE=]DIR`: a directory with what it is labelled as.

use std::path::PathBuf;

/// The zone of a directory without a label.
pub const ZONE_DEFAULT: &str = "default";

/// A directory of the command line or the configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labelled {
    pub path: PathBuf,
    pub zone: String,
    pub region: String,
    /// Zone and region were written down, not taken from the defaults.
    pub labelled: bool,
}

impl Labelled {
    /// Reads `[[REGION/]ZONE=]DIR`. What is before `=` counts as a label only if it can be one, so
    /// a path with `=` in it needs no label as long as it starts with `/` or `./`.
    pub fn parse(text: &str, default_region: &str) -> Self {
        let Some((region, zone, path)) = split(text) else {
            return Self {
                path: text.into(),
                zone: ZONE_DEFAULT.into(),
                region: default_region.into(),
                labelled: false,
            };
        };
        Self {
            path: path.into(),
            zone: zone.into(),
            region: region.unwrap_or(default_region).into(),
            labelled: true,
        }
    }
}

fn split(text: &str) -> Option<(Option<&str>, &str, &str)> {
    let (label, path) = text.split_once('=')?;
    let (region, zone) = match label.split_once('/') {
        Some((region, zone)) => (Some(region), zone),
        None => (None, label),
    };
    let labelled = region.is_none_or(is_name) && is_name(zone) && !path.is_empty();
    labelled.then_some((region, zone, path))
}

/// Whether `text` may name a region or a zone: letters, digits, `-`, `_` and `.`, at most 64 bytes,
/// the first one a letter or digit.
pub fn is_name(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    text.len() <= 64
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
        && text.bytes().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (String, String, String) {
        let it = Labelled::parse(text, "home");
        (it.region, it.zone, it.path.display().to_string())
    }

    #[test]
    fn labels_are_read() {
        for (text, region, zone, path) in [
            ("data", "home", "default", "data"),
            ("/mnt/disk1", "home", "default", "/mnt/disk1"),
            ("left=/mnt/disk1", "home", "left", "/mnt/disk1"),
            ("eu-1/left=/mnt/disk1", "eu-1", "left", "/mnt/disk1"),
            ("left=a=b", "home", "left", "a=b"),
            ("/a=b", "home", "default", "/a=b"),
            ("./a=b", "home", "default", "./a=b"),
            ("a/b/c=d", "home", "default", "a/b/c=d"),
        ] {
            assert_eq!(parsed(text), (region.into(), zone.into(), path.into()), "{text}");
        }
    }
}
