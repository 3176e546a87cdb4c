//! `larder env`: the lines to paste, from the data directory, whether the server runs or not.

use std::path::PathBuf;

use anyhow::{Context, Result};
use blobs::identity;

use crate::cli::Env;
use crate::config::Config;
use crate::paste::{self, Access};
use crate::sealed::{MasterKey, RootKey};

/// Prints the lines.
pub fn run(arguments: Env) -> Result<()> {
    let config = arguments.flags.configuration(arguments.directories)?;
    let root = root_key(&config)?;
    let listen = config.server.listen.first().map(|address| address.parse()).transpose()?;
    let local = listen.map(|it| paste::local_url(it, config.tls.certificate.is_some()));
    let endpoint = config.server.public_url.clone().or(local).unwrap_or_default();
    let secret = arguments.show_secret.then(|| root.secret_key.reveal());
    super::print(&format!("{:<9} {endpoint}\n", "endpoint"))?;
    super::print(&paste::lines(&Access {
        endpoint: &endpoint,
        region: &config.region(),
        access_key: &root.access_key,
        secret_key: secret,
    }))
}

fn root_key(config: &Config) -> Result<RootKey> {
    if let (Some(access_key), Some(secret_key)) = (&config.root.access_key, &config.root.secret_key)
    {
        return Ok(RootKey { access_key: access_key.clone(), secret_key: secret_key.clone() });
    }
    let mut directories: Vec<PathBuf> = Vec::new();
    for directory in config.directories() {
        let identity = identity::read(&directory.path)?;
        if identity.holds_metadata {
            directories.push(directory.path);
        }
    }
    let master = MasterKey::find(&directories, config.storage.master_key.as_ref())?;
    let master = master.context("no metadata directory has a master.key")?;
    RootKey::find(&directories, &master)?.context("the root key is not stored here")
}
