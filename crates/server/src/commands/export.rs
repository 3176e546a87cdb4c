//! `larder export`: all metadata as it is at one moment, into a file.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, Result};
use metadata::embedded::import::{Exported, verify};

use crate::backup;
use crate::cli::Export;
use crate::client::fetch;

const PATH: &str = "/_larder/export";

/// Writes an export. Every byte is checked on its way; one that breaks off leaves no file.
pub fn run(arguments: Export) -> Result<()> {
    let Export { file, directories, flags, offline, remote } = arguments;
    let exported = if offline {
        let config = flags.configuration(directories)?;
        super::serve::start_logging(&config.log)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let to = file.clone();
        runtime.block_on(backup::export(&config, move |source| save(&to, source)))?
    } else {
        save(&file, &mut fetch(&remote, PATH)?)?
    };
    if file == Path::new("-") {
        return Ok(());
    }
    super::import::show(&exported, remote.output.json)
}

/// Writes what comes from `source` to a file, or to standard output for `-`.
fn save(to: &Path, source: &mut dyn Read) -> Result<Exported> {
    if to == Path::new("-") {
        let mut output = io::stdout().lock();
        let exported = verify(&mut Tee { source, copy: &mut output })?;
        output.flush()?;
        return Ok(exported);
    }
    let name = to.file_name().with_context(|| format!("{} is no file", to.display()))?;
    let mut fresh = name.to_owned();
    fresh.push(".new");
    let fresh = to.with_file_name(fresh);
    let saved = write(&fresh, source).and_then(|exported| {
        fs::rename(&fresh, to)?;
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(exported)
    });
    if saved.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    saved.with_context(|| format!("{} was not written", to.display()))
}

/// Writes a file that only its owner may read, synced.
fn write(path: &Path, source: &mut dyn Read) -> Result<Exported> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    let mut copy = BufWriter::with_capacity(1 << 20, file);
    let exported = verify(&mut Tee { source, copy: &mut copy })?;
    copy.into_inner()?.sync_all()?;
    Ok(exported)
}

/// Whatever is read is written elsewhere too.
struct Tee<'a> {
    source: &'a mut dyn Read,
    copy: &'a mut dyn Write,
}

impl Read for Tee<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(into)?;
        self.copy.write_all(into.get(..read).unwrap_or_default())?;
        Ok(read)
    }
}
