//! The repository as its own tests see it: where it is, and which files are in it.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders that are made by tools.
const SKIPPED: [&str; 6] = [".git", ".cache", "target", "larder-data", "__pycache__", "snapshots"];

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// A text file of the repository.
pub struct Source {
    /// Relative to the root, with `/`.
    pub path: String,
    pub text: String,
}

/// All text files, in order of path.
pub fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(root().join(&folder)) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = folder.join(&name);
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && !SKIPPED.contains(&name.as_str()) => {
                    folders.push(path)
                }
                Ok(kind) if kind.is_file() => {
                    if let Ok(text) = fs::read_to_string(entry.path()) {
                        sources.push(Source { path: path.to_string_lossy().into_owned(), text });
                    }
                }
                _ => {}
            }
        }
    }
    sources.sort_by(|left, right| left.path.cmp(&right.path));
    sources
}
