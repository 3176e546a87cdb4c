//! The little HTTP client of the commands that speak to a running server: one request, signed
//! with S3 signature version 4.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
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
const HEAD_BYTES_MAX: usize = 64 * 1024;
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

/// Which interface of the server is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Door {
    S3,
    Iam,
}

impl Door {
    /// As credentials name it.
    const fn service(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Iam => "iam",
        }
    }
}

/// A server to ask.
pub struct Client<'a> {
    door: Door,
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
        Ok(Self { door: Door::S3, secure, authority, ca_file: remote.ca_file.as_deref() })
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
        let stream = self.request(method, path, body, signer)?;
        let mut answer = Vec::new();
        match stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer) {
            // A server that closes TLS without saying so has still answered.
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error.into()),
            _ => {}
        }
        parse(&answer).context("the server did not answer in HTTP")
    }

    /// Sends one request; the answer can be read.
    fn request(
        &self,
        method: &str,
        path: &str,
        body: &[u8],
        signer: Option<(&RootKey, DateTime<Utc>)>,
    ) -> Result<Box<dyn Stream>> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.authority);
        head += &format!("connection: close\r\ncontent-length: {}\r\n", body.len());
        if self.door == Door::Iam {
            head += "content-type: application/x-www-form-urlencoded\r\n";
            head += "accept: application/json\r\n";
        }
        if let Some((key, now)) = signer {
            head += &signature(self.door, method, path, (self.authority, body), key, now);
        }
        head += "\r\n";
        let mut stream = self.connect()?;
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        stream.flush()?;
        Ok(stream)
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

/// Asks the admin interface of a server, with the keys of the environment.
///
/// # Errors
/// There are no keys, the server cannot be reached, or it refuses: then what it says.
pub fn ask(remote: &Remote, method: &str, path: &str, body: &[u8]) -> Result<Value> {
    let key = key()?;
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

/// Asks for an action of IAM, with the keys of the environment: the result, as JSON.
///
/// # Errors
/// As of [`ask`].
pub fn ask_iam(remote: &Remote, action: &str, parameters: &[(&str, &str)]) -> Result<Value> {
    let key = key()?;
    let fixed = [("Action", action), ("Version", "2010-05-08")];
    let pairs = fixed.iter().chain(parameters);
    let pairs: Vec<_> = pairs.map(|(name, value)| format!("{name}={}", escaped(value))).collect();
    let signer = Some((&key, SystemClock.now()));
    let body = pairs.join("&");
    let answer = Client { door: Door::Iam, ..Client::new(remote)? }.send(
        "POST",
        "/",
        body.as_bytes(),
        signer,
    )?;
    let text = String::from_utf8_lossy(&answer.body);
    let unreadable = || format!("the server answered {}: {}", answer.status, text.trim());
    let document: Value = serde_json::from_slice(&answer.body).with_context(unreadable)?;
    if (200..300).contains(&answer.status) {
        let names = [format!("{action}Response"), format!("{action}Result")];
        let found = names.iter().try_fold(&document, |value, name| value.get(name));
        return Ok(found.cloned().unwrap_or_default());
    }
    let error = document.pointer("/ErrorResponse/Error").with_context(unreadable)?;
    let part = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
    bail!("{}: {}", part("Code"), part("Message"))
}

/// All entries of a list of IAM, page by page.
///
/// # Errors
/// As of [`ask`].
pub fn list_iam(
    remote: &Remote,
    action: &str,
    parameters: &[(&str, &str)],
    list: &str,
) -> Result<Vec<Value>> {
    let mut found = Vec::new();
    let mut marker = None::<String>;
    loop {
        let mut parameters = parameters.to_vec();
        parameters.push(("MaxItems", "1000"));
        parameters.extend(marker.as_ref().map(|marker| ("Marker", marker.as_str())));
        let page = ask_iam(remote, action, &parameters)?;
        found.extend(page.get(list).and_then(Value::as_array).into_iter().flatten().cloned());
        marker = page.get("Marker").and_then(Value::as_str).map(str::to_owned);
        if marker.is_none() {
            return Ok(found);
        }
    }
}

/// A value as a form and a path take it.
pub fn escaped(text: &str) -> String {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match plain(byte) {
            true => escaped.push(char::from(byte)),
            false => escaped += &format!("%{byte:02X}"),
        }
    }
    escaped
}

/// As [`ask`], but the answer is read as it comes, however long it is.
///
/// # Errors
/// As of [`ask`]. Reading fails if the answer breaks off.
pub fn fetch(remote: &Remote, path: &str) -> Result<impl Read + use<>> {
    let key = key()?;
    let stream = Client::new(remote)?.request("GET", path, b"", Some((&key, SystemClock.now())))?;
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    loop {
        let line = line(&mut reader).context("the server did not answer in HTTP")?;
        if line.is_empty() {
            break;
        }
        head += &line.to_ascii_lowercase();
        head.push('\n');
        ensure!(head.len() < HEAD_BYTES_MAX, "the server did not answer in HTTP");
    }
    let status = head.strip_prefix("http/1.").and_then(|rest| rest.get(2..5));
    let status = status.context("the server did not answer in HTTP")?;
    if status != "200" {
        let mut text = Vec::new();
        let _ = reader.take(HEAD_BYTES_MAX as u64).read_to_end(&mut text);
        bail!("the server answered {status}: {}", String::from_utf8_lossy(&text).trim());
    }
    let chunked = head.lines().any(|line| line.replace(' ', "") == "transfer-encoding:chunked");
    ensure!(chunked, "the server does not say where its answer ends");
    Ok(Chunked { inner: reader, left: 0, begun: false, ended: false })
}

/// The pair to ask with: one that is given for this, else the root account's.
fn key() -> Result<RootKey> {
    let variable = |name: &str| {
        std::env::var(name).with_context(|| format!("{name} is needed; see: larder env"))
    };
    let own = std::env::var_os(cli::ACCESS_KEY).is_some();
    let (access_key, secret_key) = match own {
        true => (cli::ACCESS_KEY, cli::SECRET_KEY),
        false => (cli::ROOT_ACCESS_KEY, cli::ROOT_SECRET_KEY),
    };
    Ok(RootKey {
        access_key: variable(access_key)?,
        secret_key: Secret::new(variable(secret_key)?),
    })
}

/// A line without its end; one that is too long or has none is an error.
fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut bytes = Vec::new();
    reader.by_ref().take(HEAD_BYTES_MAX as u64).read_until(b'\n', &mut bytes)?;
    let line = bytes.strip_suffix(b"\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned())
}

/// The body of an answer in chunks, without the marks around them.
struct Chunked<R> {
    inner: R,
    /// Of the present chunk.
    left: u64,
    begun: bool,
    ended: bool,
}

impl<R: BufRead> Chunked<R> {
    fn next_chunk(&mut self) -> io::Result<()> {
        let unexpected = || io::Error::new(io::ErrorKind::InvalidData, "the answer is garbled");
        if self.begun && !line(&mut self.inner)?.is_empty() {
            return Err(unexpected());
        }
        let line = line(&mut self.inner)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        self.left = u64::from_str_radix(size, 16).map_err(|_| unexpected())?;
        (self.begun, self.ended) = (true, self.left == 0);
        Ok(())
    }
}

impl<R: BufRead> Read for Chunked<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !self.ended {
            self.next_chunk()?;
        }
        if self.ended || into.is_empty() {
            return Ok(0);
        }
        let most = into.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.inner.read(into.get_mut(..most).unwrap_or_default())?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        Ok(read)
    }
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// The certificates of the system and of the file.
pub fn trusted(ca_file: Option<&Path>) -> Result<RootCertStore> {
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
    door: Door,
    method: &str,
    path: &str,
    (host, body): (&str, &[u8]),
    key: &RootKey,
    now: DateTime<Utc>,
) -> String {
    let time = now.format("%Y%m%dT%H%M%SZ").to_string();
    let day = now.format("%Y%m%d").to_string();
    let hash = hex::encode(Sha256::digest(body));
    let names = "host;x-amz-content-sha256;x-amz-date";
    let headers = format!("host:{host}\nx-amz-content-sha256:{hash}\nx-amz-date:{time}\n");
    let canonical = format!("{method}\n{path}\n\n{headers}\n{names}\n{hash}");
    let scope = format!("{day}/{REGION}/{}/aws4_request", door.service());
    let digest = hex::encode(Sha256::digest(canonical));
    let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{digest}");
    let secret = format!("AWS4{}", key.secret_key.reveal());
    let steps = [day.as_str(), REGION, door.service(), "aws4_request", &to_sign];
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
        let headers = signature(Door::S3, "POST", "/_larder/accounts", ("h:1", b"{}"), &key, now);
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

    /// What is read of an answer in chunks; `None` if it broke off or is garbled.
    fn read_chunked(answer: &[u8]) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        let mut chunked = Chunked { inner: answer, left: 0, begun: false, ended: false };
        chunked.read_to_end(&mut body).ok().map(|_| body)
    }

    #[test]
    fn an_answer_that_breaks_off_is_not_taken_for_whole() {
        let whole = b"2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n";
        assert_eq!(read_chunked(whole).unwrap(), b"abc");
        let end = whole.len() - 4;
        for length in 0..end {
            assert!(read_chunked(&whole[..length]).is_none(), "{length}");
        }
        assert!(read_chunked(b"2\r\nabc\r\n0\r\n\r\n").is_none());
        assert!(read_chunked(b"-1\r\n").is_none());
    }
}
