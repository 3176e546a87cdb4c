//! The little HTTP client of the commands that speak to a running server: one request, signed
//! with S3 signature version 4.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use model::environment::Clock;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::cli::{self, Remote};
use crate::config::Secret;
use crate::environment::SystemClock;
use crate::sealed::RootKey;

const TIMEOUT: Duration = Duration::from_secs(60);
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Where the certificates of the system are, on the usual distributions.
const SYSTEM_CERTIFICATES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
/// The region signed for; the server takes any.
const REGION: &str = "us-east-1";

/// What the server answered.
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// A server to ask.
pub struct Client<'a> {
    secure: bool,
    authority: &'a str,
    ca_file: Option<&'a Path>,
}

impl<'a> Client<'a> {
    /// # Errors
    /// The endpoint is no `http://` or `https://` URL without a path.
    pub fn new(remote: &'a Remote) -> Result<Self> {
        let endpoint = remote.endpoint.trim_end_matches('/');
        let (secure, authority) = match endpoint.split_once("://") {
            Some(("http", authority)) => (false, authority),
            Some(("https", authority)) => (true, authority),
            _ => bail!("{endpoint} is not a URL such as http://127.0.0.1:9000"),
        };
        ensure!(!authority.is_empty() && !authority.contains('/'), "{endpoint} has a path");
        Ok(Self { secure, authority, ca_file: remote.ca_file.as_deref() })
    }

    /// Sends one request and reads the whole answer.
    ///
    /// - `path`: with nothing in it that needs escaping.
    /// - `signer`: who asks, and when; `None` for an unsigned request.
    ///
    /// # Errors
    /// The server cannot be reached, or what it answers is not HTTP.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        body: &[u8],
        signer: Option<(&RootKey, DateTime<Utc>)>,
    ) -> Result<Answer> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.authority);
        head += &format!("connection: close\r\ncontent-length: {}\r\n", body.len());
        if let Some((key, now)) = signer {
            head += &signature(method, path, self.authority, body, key, now);
        }
        head += "\r\n";
        let mut stream = self.connect()?;
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        stream.flush()?;
        let mut answer = Vec::new();
        match stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer) {
            // A server that closes TLS without saying so has still answered.
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error.into()),
            _ => {}
        }
        parse(&answer).context("the server did not answer in HTTP")
    }

    fn connect(&self) -> Result<Box<dyn Stream>> {
        let bracketed = self.authority.ends_with(']');
        let address = match self.authority.rsplit_once(':') {
            Some(_) if !bracketed => self.authority.to_owned(),
            _ => format!("{}:{}", self.authority, if self.secure { 443 } else { 80 }),
        };
        let socket = TcpStream::connect(&address)
            .with_context(|| format!("no server can be reached at {address}"))?;
        socket.set_read_timeout(Some(TIMEOUT))?;
        socket.set_write_timeout(Some(TIMEOUT))?;
        if !self.secure {
            return Ok(Box::new(socket));
        }
        let host = address.rsplit_once(':').map_or(&*address, |(host, _)| host);
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(trusted(self.ca_file)?)
            .with_no_client_auth();
        let connection = ClientConnection::new(Arc::new(config), name)?;
        Ok(Box::new(StreamOwned::new(connection, socket)))
    }
}

/// Asks the admin interface of a server, with the root keys of the environment.
///
/// # Errors
/// There are no keys, the server cannot be reached, or it refuses: then what it says.
pub fn ask(remote: &Remote, method: &str, path: &str, body: &[u8]) -> Result<Value> {
    let variable = |name: &str| {
        std::env::var(name).with_context(|| format!("{name} is needed; see: larder env"))
    };
    let key = RootKey {
        access_key: variable(cli::ROOT_ACCESS_KEY)?,
        secret_key: Secret::new(variable(cli::ROOT_SECRET_KEY)?),
    };
    let signer = Some((&key, SystemClock.now()));
    let answer = Client::new(remote)?.send(method, path, body, signer)?;
    let text = String::from_utf8_lossy(&answer.body);
    if !(200..300).contains(&answer.status) {
        bail!("the server answered {}: {}", answer.status, text.trim());
    }
    if answer.body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&answer.body).context("the server did not answer in JSON")
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

fn trusted(ca_file: Option<&Path>) -> Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    let system = SYSTEM_CERTIFICATES.iter().map(Path::new).find(|path| path.exists());
    for path in system.into_iter().chain(ca_file) {
        let pem = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        store.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).flatten());
    }
    ensure!(!store.is_empty(), "no trusted certificates: give --ca-file");
    Ok(store)
}

/// The headers of signature version 4. Source: "Signature Calculations for the Authorization
/// Header" in the S3 API reference.
fn signature(
    method: &str,
    path: &str,
    host: &str,
    body: &[u8],
    key: &RootKey,
    now: DateTime<Utc>,
) -> String {
    let time = now.format("%Y%m%dT%H%M%SZ").to_string();
    let day = now.format("%Y%m%d").to_string();
    let hash = hex::encode(Sha256::digest(body));
    let names = "host;x-amz-content-sha256;x-amz-date";
    let headers = format!("host:{host}\nx-amz-content-sha256:{hash}\nx-amz-date:{time}\n");
    let canonical = format!("{method}\n{path}\n\n{headers}\n{names}\n{hash}");
    let scope = format!("{day}/{REGION}/s3/aws4_request");
    let digest = hex::encode(Sha256::digest(canonical));
    let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{digest}");
    let secret = format!("AWS4{}", key.secret_key.reveal());
    let steps = [day.as_str(), REGION, "s3", "aws4_request", &to_sign];
    let signature = steps.iter().fold(secret.into_bytes(), |key, step| mac(&key, step.as_bytes()));
    format!(
        "x-amz-date: {time}\r\nx-amz-content-sha256: {hash}\r\nauthorization: AWS4-HMAC-SHA256 \
         Credential={}/{scope}, SignedHeaders={names}, Signature={}\r\n",
        key.access_key,
        hex::encode(signature),
    )
}

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    // A key of any length is taken, so there is no error to handle.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

/// Status and body of a whole answer after which the connection was closed.
fn parse(answer: &[u8]) -> Option<Answer> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (head, body) = answer.split_at_checked(end + 4)?;
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let status = head.strip_prefix("http/1.")?.get(2..5)?.parse().ok()?;
    let chunked = head.lines().any(|line| {
        line.strip_prefix("transfer-encoding:").is_some_and(|value| value.contains("chunked"))
    });
    let body = if chunked { unchunk(body)? } else { body.to_vec() };
    Some(Answer { status, body })
}

fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let size = std::str::from_utf8(rest.get(..end)?).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        rest = rest.get(end + 2..)?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size + 2..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checked once against botocore's `S3SigV4Auth`, with the same key, time, and request.
    #[test]
    fn the_signature_is_the_one_others_compute() {
        let key = RootKey {
            access_key: "AKIAIOSFODNN7EXAMPLE".into(),
            secret_key: Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        };
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let headers = signature("POST", "/_larder/accounts", "h:1", b"{}", &key, now);
        let expected =
            "Signature=24ddb9a3070c63a8339add293f777eaaeafe35f946dfb7cfa400634adce09dc9\r\n";
        assert!(headers.ends_with(expected), "{headers}");
    }

    #[test]
    fn answers_of_both_kinds_are_read() {
        let plain = parse(b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n").unwrap();
        assert_eq!((plain.status, plain.body.as_slice()), (204, &b""[..]));
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let chunked = parse(format!("{head}2\r\nab\r\n1\r\nc\r\n0\r\n\r\n").as_bytes()).unwrap();
        assert_eq!(chunked.body, b"abc");
        assert!(parse(b"SSH-2.0").is_none());
    }
}
