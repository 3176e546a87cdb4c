//! Everything an operator may set: one struct a section, as it stands in the TOML file.
//!
//! The file comes first, then `LARDER_…` variables, then flags (`crate::cli`). What each setting is
//! for stands in [`reference`], from which `deploy/config.toml` and `docs/configuration.md` are
//! made.

pub mod check;
pub mod directory;
pub mod reference;
mod secret;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use model::{acl::Ownership, limits};
use serde::{Deserialize, Serialize};

pub use directory::Labelled;
pub use secret::Secret;

/// The default region of an operator who names none: the one clients ask for unasked.
const REGION: &str = "us-east-1";

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub server: Server,
    pub tls: Tls,
    pub storage: Storage,
    pub buckets: Buckets,
    pub scrub: Scrub,
    pub placement: Placement,
    pub audit: Audit,
    pub outbound: Outbound,
    pub root: Root,
    pub log: Log,
    pub account: Vec<Account>,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    pub listen: Vec<String>,
    pub domains: Vec<String>,
    pub public_url: Option<String>,
    pub trusted_proxies: Vec<String>,
    pub threads: usize,
    pub connections_max: usize,
    pub body_idle_seconds: u64,
    pub body_bytes_per_second_min: u64,
    pub drain_seconds: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    pub directories: Vec<String>,
    pub metadata: Vec<PathBuf>,
    pub region: Option<String>,
    pub copies: Option<usize>,
    pub min_copies: Option<usize>,
    pub accept_loss: Vec<String>,
    pub waiting_bytes_max: usize,
    pub index_cache_bytes: u64,
    pub master_key: Option<Secret>,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Buckets {
    pub block_public_access: bool,
    pub object_ownership: ObjectOwnership,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum ObjectOwnership {
    BucketOwnerEnforced,
    BucketOwnerPreferred,
    ObjectWriter,
}

impl From<ObjectOwnership> for Ownership {
    fn from(configured: ObjectOwnership) -> Self {
        match configured {
            ObjectOwnership::BucketOwnerEnforced => Self::BucketOwnerEnforced,
            ObjectOwnership::BucketOwnerPreferred => Self::BucketOwnerPreferred,
            ObjectOwnership::ObjectWriter => Self::ObjectWriter,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scrub {
    pub period_days: u64,
    pub bytes_per_second_min: u64,
    pub bytes_per_second_max: u64,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Placement {
    pub bytes_per_second_max: u64,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Audit {
    pub keep_days: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Outbound {
    pub allow: Vec<String>,
    pub ca_file: Option<PathBuf>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Root {
    pub access_key: Option<String>,
    pub secret_key: Option<Secret>,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    pub format: LogFormat,
    pub filter: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// An account that is created at the start if it is absent.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Account {
    pub name: String,
    pub id: Option<String>,
    pub canonical_id: Option<String>,
    pub email: Option<String>,
    pub keys: Vec<Key>,
    pub users: Vec<User>,
}

/// A user of an account that is created at the start if it is absent.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct User {
    pub name: String,
    pub path: String,
    pub id: Option<String>,
    pub keys: Vec<Key>,
    /// ARNs of managed policies.
    pub policies: Vec<String>,
    /// A policy of its own, as JSON.
    pub policy: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    pub access_key: String,
    pub secret_key: Secret,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: vec!["127.0.0.1:9000".into()],
            domains: Vec::new(),
            public_url: None,
            trusted_proxies: Vec::new(),
            threads: 0,
            connections_max: 10_000,
            body_idle_seconds: limits::BODY_IDLE_SECONDS,
            body_bytes_per_second_min: limits::BODY_BYTES_PER_SECOND_MIN,
            drain_seconds: 30,
        }
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            directories: vec!["larder-data".into()],
            metadata: Vec::new(),
            region: None,
            copies: None,
            min_copies: None,
            accept_loss: Vec::new(),
            waiting_bytes_max: 64 << 20,
            index_cache_bytes: metadata::embedded::CACHE_BYTES,
            master_key: None,
        }
    }
}

impl Default for Buckets {
    fn default() -> Self {
        Self { block_public_access: true, object_ownership: ObjectOwnership::BucketOwnerEnforced }
    }
}

impl Default for Placement {
    fn default() -> Self {
        Self { bytes_per_second_max: 128 << 20 }
    }
}

impl Default for Audit {
    fn default() -> Self {
        Self { keep_days: limits::AUDIT_KEEP_DAYS }
    }
}

impl Default for Scrub {
    fn default() -> Self {
        Self { period_days: 30, bytes_per_second_min: 4 << 20, bytes_per_second_max: 256 << 20 }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info,actix_server=warn,actix_http::h1=off".into() }
    }
}

impl Config {
    /// Reads the file at `path`; without one everything has its default.
    ///
    /// # Errors
    /// The file cannot be read, is no TOML, or has a setting that does not exist.
    pub fn read(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else { return Ok(Self::default()) };
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is wrong", path.display()))
    }

    /// The default region: as set, else that of the first directory, unless one has no region.
    pub fn region(&self) -> String {
        if let Some(region) = &self.storage.region {
            return region.clone();
        }
        let labelled = self.labelled("");
        match labelled.first() {
            Some(first) if labelled.iter().all(|it| !it.region.is_empty()) => first.region.clone(),
            _ => REGION.to_owned(),
        }
    }

    /// The directories with their labels; an unlabelled one lies in the default region.
    pub fn directories(&self) -> Vec<Labelled> {
        self.labelled(&self.region())
    }

    fn labelled(&self, region: &str) -> Vec<Labelled> {
        self.storage.directories.iter().map(|text| Labelled::parse(text, region)).collect()
    }

    /// All regions that have directories, the default one first.
    pub fn regions(&self) -> Vec<String> {
        let mut regions = vec![self.region()];
        for directory in self.directories() {
            if !regions.contains(&directory.region) {
                regions.push(directory.region);
            }
        }
        regions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_does_not_exist_is_refused() {
        let error = toml::from_str::<Config>("[server]\nlisten_on = []").unwrap_err();
        assert!(error.to_string().contains("listen_on"), "{error}");
    }

    #[test]
    fn secrets_are_not_printed() {
        let text =
            "[[account]]\nname = \"a\"\nkeys = [{access_key = \"k\", secret_key = \"hush\"}]";
        let config: Config = toml::from_str(text).unwrap();
        assert_eq!(config.account[0].keys[0].secret_key.reveal(), "hush");
        assert!(!format!("{config:?}").contains("hush"));
        assert!(!serde_json::to_string(&config).unwrap().contains("hush"));
    }

    #[test]
    fn the_default_region_comes_first() {
        let mut config = Config::default();
        config.storage.directories = vec!["eu/a=x".into(), "b=y".into(), "eu/b=z".into()];
        assert_eq!(config.regions(), ["us-east-1", "eu"]);
        config.storage.region = Some("asia".into());
        assert_eq!(config.regions(), ["asia", "eu"]);
    }

    #[test]
    fn without_a_default_region_it_is_the_first_one_named() {
        let mut config = Config::default();
        assert_eq!(config.regions(), ["us-east-1"]);
        config.storage.directories = vec!["eu/a=x".into(), "us-east-1/b=y".into()];
        assert_eq!(config.regions(), ["eu", "us-east-1"]);
    }
}
