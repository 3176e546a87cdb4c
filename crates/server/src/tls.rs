//! HTTPS with certificates from files, which may be replaced while the server runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, RootCertStore, ServerConfig};

/// How often the files are looked at.
const CHECK_EVERY: Duration = Duration::from_secs(2);

/// The year 9999, the last one a certificate can name.
const FAR_FUTURE: u64 = 253_402_300_800;

/// Serves the certificate that was read last, and reads it again when the files change.
#[derive(Debug)]
struct Certificates {
    current: RwLock<Arc<CertifiedKey>>,
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// Both files as they were read.
#[derive(Clone, PartialEq)]
struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// Ends the watching of the files when dropped.
pub struct Watch {
    stopped: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic there was logged by the panic hook; there is nothing left to do about it.
            drop(thread.join());
        }
    }
}

/// The protocol settings with the certificate in `certificate` and `key`, both PEM.
///
/// # Errors
/// A file cannot be read, holds no certificate or key, or the two do not belong together. Later
/// such faults are logged, and the old certificate stays.
pub fn server_config(certificate: &Path, key: &Path) -> Result<(ServerConfig, Watch)> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let paths = (certificate.to_owned(), key.to_owned());
    let files = read(&paths)?;
    let first = certified(&files, &provider)?;
    let certificates = Arc::new(Certificates { current: RwLock::new(Arc::new(first)) });
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(&certificates) as Arc<dyn ResolvesServerCert>);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];

    let stopped = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&stopped);
    let thread = thread::Builder::new().name("certificates".into()).spawn(move || {
        let mut seen = files;
        while !stop.load(Ordering::Acquire) {
            thread::park_timeout(CHECK_EVERY);
            refresh(&paths, &mut seen, &certificates, &provider);
        }
    })?;
    Ok((config, Watch { stopped, thread: Some(thread) }))
}

/// From when until when the certificate is valid, in Unix seconds; `None` if it does not say.
///
/// # Errors
/// As [`server_config`].
pub fn validity(certificate: &Path, key: &Path) -> Result<Option<(i64, i64)>> {
    let provider = aws_lc_rs::default_provider();
    let pair = certified(&read(&(certificate.to_owned(), key.to_owned()))?, &provider)?;
    let parsed = pair.cert.first().map(ParsedCertificate::try_from);
    let parsed = parsed.context("no certificate")?.context("the certificate is damaged")?;
    // Nothing in use here tells the dates but the refusal at a time that is outside of them.
    let refused = |seconds| {
        let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let algorithms = provider.signature_verification_algorithms.all;
        let none = RootCertStore::empty();
        match verify_server_cert_signed_by_trust_anchor(&parsed, &none, &[], now, algorithms) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidYetContext { not_before: bound, .. }
                | CertificateError::ExpiredContext { not_after: bound, .. },
            )) => i64::try_from(bound.as_secs()).ok(),
            _ => None,
        }
    };
    Ok(refused(0).zip(refused(FAR_FUTURE)))
}

/// Looks once. A pair that does not fit together is told once and tried again when it changes.
fn refresh(
    paths: &(PathBuf, PathBuf),
    seen: &mut Files,
    certificates: &Certificates,
    provider: &CryptoProvider,
) {
    let Ok(files) = read(paths) else { return };
    if files == *seen {
        return;
    }
    match certified(&files, provider) {
        Ok(fresh) => {
            let mut current = certificates.current.write().unwrap_or_else(PoisonError::into_inner);
            *current = Arc::new(fresh);
            tracing::info!("the certificate was replaced");
        }
        Err(error) => {
            tracing::warn!(%error, "the new certificate is not usable, the old one stays");
        }
    }
    *seen = files;
}

fn read((certificate, key): &(PathBuf, PathBuf)) -> Result<Files> {
    let read =
        |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    Ok(Files { certificate: read(certificate)?, key: read(key)? })
}

fn certified(files: &Files, provider: &CryptoProvider) -> Result<CertifiedKey> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&files.certificate).collect();
    let chain = chain.context("the certificate file is no PEM file")?;
    ensure!(!chain.is_empty(), "the certificate file holds no certificate");
    let key = PrivateKeyDer::from_pem_slice(&files.key).context("the key file holds no key")?;
    CertifiedKey::from_der(chain, key, provider).context("certificate and key do not fit")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: (&str, &str) = (include_str!("testdata/one.crt"), include_str!("testdata/one.key"));
    const TWO: (&str, &str) = (include_str!("testdata/two.crt"), include_str!("testdata/two.key"));

    /// The certificate that is served after `pairs` of files were there one after another.
    fn served_after(pairs: &[(&str, &str)]) -> Vec<u8> {
        let home = tempfile::tempdir().unwrap();
        let paths = (home.path().join("crt"), home.path().join("key"));
        let write = |pair: &(&str, &str)| {
            fs::write(&paths.0, pair.0).unwrap();
            fs::write(&paths.1, pair.1).unwrap();
        };
        let provider = aws_lc_rs::default_provider();
        write(&pairs[0]);
        let mut seen = read(&paths).unwrap();
        let first = certified(&seen, &provider).unwrap();
        let certificates = Certificates { current: RwLock::new(Arc::new(first)) };
        for pair in &pairs[1..] {
            write(pair);
            refresh(&paths, &mut seen, &certificates, &provider);
        }
        certificates.current.read().unwrap().cert[0].to_vec()
    }

    fn der(certificate: &str) -> Vec<u8> {
        CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap().to_vec()
    }

    #[test]
    fn a_new_certificate_is_served_without_a_restart() {
        assert_eq!(served_after(&[ONE, TWO]), der(TWO.0));
    }

    #[test]
    fn a_pair_that_does_not_fit_changes_nothing_until_it_does() {
        assert_eq!(served_after(&[ONE, (TWO.0, ONE.1)]), der(ONE.0));
        assert_eq!(served_after(&[ONE, ("", "")]), der(ONE.0));
        assert_eq!(served_after(&[ONE, (TWO.0, ONE.1), TWO]), der(TWO.0));
    }

    #[test]
    fn the_days_of_a_certificate_are_known() {
        let home = tempfile::tempdir().unwrap();
        let (certificate, key) = (home.path().join("crt"), home.path().join("key"));
        fs::write(&certificate, ONE.0).unwrap();
        fs::write(&key, ONE.1).unwrap();
        let (from, until) = validity(&certificate, &key).unwrap().unwrap();
        assert!(from < until, "{from} {until}");
    }

    #[test]
    fn a_start_with_a_bad_pair_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let (certificate, key) = (home.path().join("crt"), home.path().join("key"));
        fs::write(&certificate, ONE.0).unwrap();
        fs::write(&key, TWO.1).unwrap();
        assert!(server_config(&certificate, &key).is_err());
    }
}
