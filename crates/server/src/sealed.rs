//! Files of a few secret bytes beside a directory's identity: the master key, and the root key
//! pair that was made at the first start.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use model::environment::{Entropy, random};
use service::holders::KeyFiles;

use crate::config::Secret;

/// 64 hexadecimal digits and a line feed.
const MASTER_KEY_FILE: &str = "master.key";
/// Access key, space, sealed secret key in hexadecimal digits, line feed.
const ROOT_KEY_FILE: &str = "root.key";

/// What all stored secrets are sealed under.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MasterKey(pub [u8; 32]);

/// The key pair of the root account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootKey {
    pub access_key: String,
    pub secret_key: Secret,
}

impl MasterKey {
    pub fn generate(entropy: &dyn Entropy) -> Self {
        Self(random(entropy))
    }

    /// Reads 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut key = [0; 32];
        hex::decode_to_slice(text.trim(), &mut key).ok()?;
        Some(Self(key))
    }

    /// The key of the store whose metadata lies in `directories`: the one that is `given`, else
    /// the one in their files, which must agree.
    ///
    /// # Errors
    /// A file that other users can read or that is damaged, or two that differ.
    pub fn find(directories: &[PathBuf], given: Option<&Secret>) -> Result<Option<Self>> {
        let mut found: Option<(Self, &Path)> = None;
        for directory in directories {
            let Some(text) = read_private(&directory.join(MASTER_KEY_FILE))? else { continue };
            let key = Self::parse(&text)
                .with_context(|| format!("master.key in {} is damaged", directory.display()))?;
            match found {
                Some((other, place)) if other != key => bail!(
                    "the master keys in {} and {} differ",
                    place.display(),
                    directory.display()
                ),
                _ => found = Some((key, directory)),
            }
        }
        let given = given.and_then(|text| Self::parse(text.reveal()));
        match (given, found) {
            (Some(given), Some((found, place))) if given != found => {
                bail!("LARDER_MASTER_KEY differs from master.key in {}", place.display())
            }
            (given, found) => Ok(given.or(found.map(|(key, _)| key))),
        }
    }

    /// Writes the key beside each identity that has none yet.
    pub fn store(&self, directories: &[PathBuf]) -> Result<()> {
        store(directories, MASTER_KEY_FILE, &format!("{}\n", hex::encode(self.0)))
    }

    fn seal(&self, entropy: &dyn Entropy, context: &str, secret: &str) -> Result<Vec<u8>> {
        let nonce: [u8; NONCE_LEN] = random(entropy);
        let mut sealed = secret.as_bytes().to_vec();
        let failed = |_| anyhow!("a secret cannot be sealed");
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &self.0).map_err(failed)?);
        let aad = Aad::from(context.as_bytes());
        key.seal_in_place_append_tag(Nonce::from(&nonce), aad, &mut sealed).map_err(failed)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    fn open(&self, context: &str, sealed: &[u8]) -> Option<String> {
        let (nonce, secret) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &self.0).ok()?);
        let mut secret = secret.to_vec();
        let aad = Aad::from(context.as_bytes());
        let opened = key.open_in_place(Nonce::from(nonce), aad, &mut secret).ok()?;
        String::from_utf8(opened.to_vec()).ok()
    }
}

impl RootKey {
    /// A pair nobody can guess: 20 letters and digits, and 40.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        Self {
            access_key: format!(
                "LARDER{}",
                text::<14>(entropy, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
            ),
            secret_key: Secret::new(text::<40>(
                entropy,
                b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
            )),
        }
    }

    /// The pair that was made at the first start, if one was.
    ///
    /// # Errors
    /// The file cannot be read, or was sealed under another master key.
    pub fn find(directories: &[PathBuf], master: &MasterKey) -> Result<Option<Self>> {
        for directory in directories {
            let Some(text) = read_private(&directory.join(ROOT_KEY_FILE))? else { continue };
            let damaged = || format!("root.key in {} cannot be opened", directory.display());
            let (access_key, sealed) = text.trim().split_once(' ').with_context(damaged)?;
            let sealed = hex::decode(sealed).with_context(damaged)?;
            let secret = master.open(access_key, &sealed).with_context(damaged)?;
            let secret_key = Secret::new(secret);
            return Ok(Some(Self { access_key: access_key.into(), secret_key }));
        }
        Ok(None)
    }

    /// Writes the pair, sealed, beside each identity that has none yet.
    pub fn store(
        &self,
        directories: &[PathBuf],
        master: &MasterKey,
        entropy: &dyn Entropy,
    ) -> Result<()> {
        let sealed = master.seal(entropy, &self.access_key, self.secret_key.reveal())?;
        let text = format!("{} {}\n", self.access_key, hex::encode(sealed));
        store(directories, ROOT_KEY_FILE, &text)
    }
}

/// Both files as they are stored, for directories that are to hold metadata later.
pub struct StoredKeys(Vec<(&'static str, String)>);

impl StoredKeys {
    /// What the directories have; nothing of a file that none has.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn read(directories: &[PathBuf]) -> Result<Self> {
        let mut files = Vec::new();
        for name in [MASTER_KEY_FILE, ROOT_KEY_FILE] {
            for directory in directories {
                if let Some(text) = read_private(&directory.join(name))? {
                    files.push((name, text));
                    break;
                }
            }
        }
        Ok(Self(files))
    }
}

impl KeyFiles for StoredKeys {
    fn put(&self, directory: &Path) -> io::Result<()> {
        for (name, text) in &self.0 {
            store(&[directory.to_owned()], name, text).map_err(io::Error::other)?;
        }
        Ok(())
    }

    fn remove(&self, directory: &Path) -> io::Result<()> {
        for name in [MASTER_KEY_FILE, ROOT_KEY_FILE] {
            match fs::remove_file(directory.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        File::open(directory)?.sync_all()
    }
}

/// `N` characters of an alphabet whose length divides 256, so that all are equally likely.
fn text<const N: usize>(entropy: &dyn Entropy, alphabet: &[u8]) -> String {
    let bytes: [u8; N] = random(entropy);
    let pick = |byte: u8| alphabet.get(usize::from(byte) % alphabet.len()).copied();
    bytes.into_iter().filter_map(pick).map(char::from).collect()
}

/// A file that only its owner may read; `None` if there is none.
fn read_private(path: &Path) -> Result<Option<String>> {
    let about = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        about => about.with_context(|| format!("cannot read {}", path.display()))?,
    };
    let open_to_others = about.permissions().mode() & 0o077 != 0;
    ensure!(!open_to_others, "{} can be read by other users: chmod 600", path.display());
    let text = fs::read_to_string(path);
    Ok(Some(text.with_context(|| format!("cannot read {}", path.display()))?))
}

/// Durably makes the file in every directory that has none.
fn store(directories: &[PathBuf], name: &str, text: &str) -> Result<()> {
    for directory in directories {
        let write = || {
            if directory.join(name).exists() {
                return Ok(());
            }
            let fresh = directory.join(format!("{name}.new"));
            let mut options = OpenOptions::new();
            let options = options.write(true).create(true).truncate(true).mode(0o600);
            let mut file = options.open(&fresh)?;
            file.set_permissions(fs::Permissions::from_mode(0o600))?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&fresh, directory.join(name))?;
            File::open(directory)?.sync_all()
        };
        write().with_context(|| format!("cannot write {name} in {}", directory.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting;

    impl Entropy for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.iter_mut().zip(0..).for_each(|(byte, number)| *byte = number);
        }
    }

    fn folders() -> (tempfile::TempDir, Vec<PathBuf>) {
        let home = tempfile::tempdir().unwrap();
        let folders = vec![home.path().join("a"), home.path().join("b")];
        folders.iter().for_each(|folder| fs::create_dir(folder).unwrap());
        (home, folders)
    }

    #[test]
    fn the_root_key_comes_back_under_the_same_master_key_only() {
        let (_home, folders) = folders();
        let master = MasterKey([7; 32]);
        let root = RootKey::generate(&Counting);
        root.store(&folders, &master, &Counting).unwrap();
        assert_eq!(RootKey::find(&folders[1..], &master).unwrap(), Some(root.clone()));
        assert!(RootKey::find(&folders, &MasterKey([8; 32])).is_err());
        let stored = fs::read_to_string(folders[0].join("root.key")).unwrap();
        assert!(!stored.contains(root.secret_key.reveal()));
    }

    #[test]
    fn master_keys_that_differ_are_refused() {
        let (_home, folders) = folders();
        assert!(MasterKey::find(&folders, None).unwrap().is_none());
        MasterKey([1; 32]).store(&folders[..1]).unwrap();
        assert!(MasterKey::find(&folders, None).is_ok_and(|key| key == Some(MasterKey([1; 32]))));
        let other = Secret::new("02".repeat(32));
        assert!(MasterKey::find(&folders, Some(&other)).is_err(), "the given one differs");
        MasterKey([2; 32]).store(&folders).unwrap();
        assert!(MasterKey::find(&folders, None).is_err(), "the files differ");
    }

    #[test]
    fn a_master_key_that_others_can_read_is_refused() {
        let (_home, folders) = folders();
        MasterKey([1; 32]).store(&folders).unwrap();
        let file = folders[1].join("master.key");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(MasterKey::find(&folders, None).is_err());
    }
}
