//! Requests to other servers, as the operator lets them be made (`[outbound]`).
//!
//! A name is resolved once, every address it has is looked at, and the connection goes to one of
//! those that may be asked: what the name leads to afterwards does not matter. Redirects are not
//! followed, and nothing is sent that says more than what is asked for.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, HOST, USER_AGENT};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::client::trusted;
use crate::config;

/// All of one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Getting through to one address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 4;

/// Asks other servers.
pub struct Outbound {
    allowed: Allowed,
    tls: Arc<ClientConfig>,
}

/// What may be asked although it is not out on the internet, or speaks no TLS.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Allowed {
    networks: Vec<IpNet>,
    hosts: Vec<String>,
}

/// What to ask, taken from a URL.
#[derive(Debug, PartialEq)]
struct Place {
    secure: bool,
    host: String,
    port: u16,
    /// Path and query.
    path: String,
}

impl Allowed {
    /// Reads networks, addresses and names of hosts.
    ///
    /// # Errors
    /// The first that is none of these.
    pub fn parse(texts: &[String]) -> Result<Self, String> {
        let mut allowed = Self::default();
        for text in texts {
            let network = text.parse::<IpNet>().ok();
            let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
            match network.or_else(address) {
                Some(network) => allowed.networks.push(network),
                None if is_host(text) => allowed.hosts.push(text.to_ascii_lowercase()),
                None => return Err(format!("{text:?} is no network, address or name of a host")),
            }
        }
        Ok(allowed)
    }

    fn names(&self, host: &str) -> bool {
        self.hosts.iter().any(|known| known == host)
    }

    fn holds(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// Whether a host may be asked without TLS: only one that the operator named itself, for its
    /// address cannot be trusted before anything is resolved.
    fn lets_plain(&self, host: &str) -> bool {
        let address = bare(host).parse::<IpAddr>().ok();
        self.names(host) || address.is_some_and(|address| self.holds(address))
    }

    /// The addresses of a host that may be asked; the others are passed over.
    fn choose(&self, host: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>> {
        let lets = found.iter().copied().filter(|address| self.lets(host, address.ip()));
        let lets: Vec<SocketAddr> = lets.take(ADDRESSES_MAX).collect();
        ensure!(
            !lets.is_empty(),
            "{host} leads to {found:?}, which outbound.allow does not let be asked"
        );
        Ok(lets)
    }

    fn lets(&self, host: &str, address: IpAddr) -> bool {
        self.names(host) || self.holds(address.to_canonical()) || is_public(address)
    }
}

fn is_host(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    !text.is_empty() && text.len() <= 253 && text.bytes().all(fits)
}

/// An IPv6 address without its brackets.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// Whether an address is one of the internet at large: not of this machine, a private network, a
/// link or the metadata service of a cloud, nor of a kind that stands for another one.
///
/// Source: the IANA registries of special-purpose addresses.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let special = match address.octets() {
        // This network, private ones, loopback, links, multicast and all that is reserved.
        [0 | 10 | 127 | 224..=255, ..] | [169, 254, ..] | [192, 168, ..] => true,
        [172, second, ..] => (16..32).contains(&second),
        // Shared by customers of carriers, and the metadata service of Alibaba.
        [100, second, ..] => (64..128).contains(&second),
        // Protocols, documentation, relays, measurements.
        [192, 0, 0 | 2, _] | [192, 88, 99, _] | [198, 18 | 19, ..] => true,
        [198, 51, 100, _] | [203, 0, 113, _] => true,
        _ => false,
    };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // NAT64: what it stands for counts.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
            is_public_v4(Ipv4Addr::new(a, b, c, d))
        }
        // Protocols and tunnels, documentation, 6to4.
        [0x2001, 0..0x200, ..] | [0x2001, 0xdb8, ..] | [0x2002, ..] => false,
        [0x3fff, 0..0x1000, ..] => false,
        // Nothing else is given out yet.
        [first, ..] => (0x2000..0x4000).contains(&first),
    }
}

impl Place {
    fn parse(url: &str) -> Result<Self, String> {
        let wrong = || format!("{url:?} is not a URL such as https://host/path");
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong()),
        };
        let authority = uri.authority().ok_or_else(wrong)?;
        if authority.as_str().contains('@') {
            return Err(wrong());
        }
        let host = authority.host().to_ascii_lowercase();
        let is_address = bare(&host).parse::<IpAddr>().is_ok();
        if !is_address && !is_host(&host) {
            return Err(wrong());
        }
        let port = authority.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { secure, host, port, path })
    }
}

impl Outbound {
    /// # Errors
    /// The settings are wrong, or a file with certificates cannot be read.
    pub fn new(settings: &config::Outbound) -> Result<Self> {
        let allowed = Allowed::parse(&settings.allow).map_err(anyhow::Error::msg)?;
        let tls = tls(settings.ca_file.as_deref())?;
        Ok(Self { allowed, tls: Arc::new(tls) })
    }

    fn place(&self, url: &str) -> Result<Place, String> {
        let place = Place::parse(url)?;
        if place.secure || self.allowed.lets_plain(&place.host) {
            return Ok(place);
        }
        Err(format!("{url:?} is not https, and outbound.allow does not name its host"))
    }

    /// The addresses of a host that may be asked.
    async fn resolve(&self, place: &Place) -> Result<Vec<SocketAddr>> {
        let host = bare(&place.host);
        let found = tokio::net::lookup_host((host, place.port)).await;
        let found = found.with_context(|| format!("{host} has no address"))?;
        self.allowed.choose(&place.host, found.collect())
    }

    async fn connect(&self, place: &Place) -> Result<TcpStream> {
        let mut last = None;
        for address in self.resolve(place).await? {
            match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = Some(error.to_string()),
                Err(_) => last = Some("it does not answer".to_owned()),
            }
        }
        bail!("no connection: {}", last.unwrap_or_default())
    }

    async fn fetch(&self, place: &Place, bytes_max: usize) -> Result<Bytes> {
        let stream = self.connect(place).await?;
        if !place.secure {
            return ask(stream, place, bytes_max).await;
        }
        let name = ServerName::try_from(bare(&place.host).to_owned())?;
        let stream = TlsConnector::from(self.tls.clone()).connect(name, stream).await?;
        ask(stream, place, bytes_max).await
    }
}

impl service::Outbound for Outbound {
    fn check(&self, url: &str) -> Result<(), String> {
        self.place(url).map(drop)
    }

    fn get<'o>(&'o self, url: &'o str, bytes_max: usize) -> BoxFuture<'o, Result<Bytes, String>> {
        Box::pin(async move {
            let place = self.place(url)?;
            let fetched = tokio::time::timeout(REQUEST_TIMEOUT, self.fetch(&place, bytes_max));
            match fetched.await {
                Ok(Ok(document)) => Ok(document),
                Ok(Err(error)) => Err(format!("{url}: {error:#}")),
                Err(_) => Err(format!("{url}: no answer in {} s", REQUEST_TIMEOUT.as_secs())),
            }
        })
    }
}

/// One GET over a connection that ends with it.
async fn ask<S>(stream: S, place: &Place, bytes_max: usize) -> Result<Bytes>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let task = AbortOnDrop(tokio::spawn(connection));
    let usual = if place.secure { 443 } else { 80 };
    let host = match place.port == usual {
        true => place.host.clone(),
        false => format!("{}:{}", place.host, place.port),
    };
    let request = Request::get(&place.path)
        .header(HOST, host)
        .header(ACCEPT, "application/json")
        .header(USER_AGENT, concat!("larder/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    ensure!(response.status() == 200, "it answered {}", response.status());
    let mut body = response.into_body();
    let mut document = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        ensure!(
            document.len() + data.len() <= bytes_max,
            "it answered more than {bytes_max} bytes"
        );
        document.extend_from_slice(&data);
    }
    drop(task);
    Ok(document.freeze())
}

/// A connection that nobody reads from any more goes.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Trust in the certificates of the system and of the file.
fn tls(ca_file: Option<&Path>) -> Result<ClientConfig> {
    if let Some(path) = ca_file {
        fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    }
    // A machine without certificates asks nobody over TLS; that is no reason not to start.
    let roots = trusted(ca_file).unwrap_or_else(|_| RootCertStore::empty());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(texts: &[&str]) -> Allowed {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        Allowed::parse(&texts).unwrap()
    }

    #[test]
    fn only_addresses_of_the_internet_are_public() {
        for address in ["1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111"] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        for address in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.1.1",
            "192.88.99.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        assert!(is_public("64:ff9b::808:808".parse().unwrap()));
    }

    #[test]
    fn what_the_operator_names_may_be_asked() {
        let allowed = allowed(&["10.0.0.0/8", "192.168.1.7", "idp.internal", "::1"]);
        let lets = |host: &str, address: &str| allowed.lets(host, address.parse().unwrap());
        assert!(lets("any", "10.1.1.1") && lets("any", "::ffff:10.1.1.1"));
        assert!(lets("any", "192.168.1.7") && !lets("any", "192.168.1.8"));
        assert!(lets("idp.internal", "169.254.1.1") && !lets("evil.org", "169.254.1.1"));
        assert!(allowed.lets_plain("idp.internal") && allowed.lets_plain("10.2.3.4"));
        assert!(allowed.lets_plain("[::1]") && !allowed.lets_plain("evil.org"));
        assert!(!allowed.lets_plain("8.8.8.8"));
        assert!(Allowed::parse(&["a b".to_owned()]).is_err());
        assert!(Allowed::parse(&["10.0.0.0/33".to_owned()]).is_err());
    }

    #[test]
    fn of_a_name_with_several_addresses_only_those_outside_are_asked() {
        let addresses = |texts: &[&str]| -> Vec<SocketAddr> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let mixed = addresses(&["127.0.0.1:443", "1.1.1.1:443", "[::1]:443", "10.0.0.1:443"]);
        let chosen = Allowed::default().choose("rebound.org", mixed.clone()).unwrap();
        assert_eq!(chosen, addresses(&["1.1.1.1:443"]));
        let chosen = allowed(&["10.0.0.0/8"]).choose("rebound.org", mixed).unwrap();
        assert_eq!(chosen, addresses(&["1.1.1.1:443", "10.0.0.1:443"]));
        let inside = addresses(&["127.0.0.1:443", "169.254.169.254:443"]);
        assert!(Allowed::default().choose("rebound.org", inside).is_err());
        let many = vec!["1.1.1.1:443".parse().unwrap(); 100];
        assert_eq!(Allowed::default().choose("many.org", many).unwrap().len(), ADDRESSES_MAX);
    }

    #[test]
    fn a_url_is_read_in_one_way_only() {
        let place = Place::parse("https://IDP.example.com/a?b=c").unwrap();
        let path = "/a?b=c".to_owned();
        let host = "idp.example.com".to_owned();
        assert_eq!(place, Place { secure: true, host, port: 443, path });
        let place = Place::parse("http://[::1]:8080").unwrap();
        assert_eq!((place.host.as_str(), place.port, place.path.as_str()), ("[::1]", 8080, "/"));
        for url in [
            "ftp://a/",
            "file:///etc/passwd",
            "https://",
            "//a/",
            "https://u:p@a/",
            "https://a@b/",
            "https://a\\@b/",
            "https://a b/",
            "https://[::1/",
            "gopher://a",
            "a",
            "",
        ] {
            assert!(Place::parse(url).is_err(), "{url}");
        }
    }

    #[tokio::test]
    async fn names_that_lead_inside_are_not_asked() {
        let outbound = Outbound::new(&config::Outbound::default()).unwrap();
        for url in ["https://localhost/", "https://127.0.0.1:1/", "https://[::1]/", "https://0/"] {
            let error = service::Outbound::get(&outbound, url, 10).await.unwrap_err();
            assert!(
                error.contains("does not let be asked") || error.contains("no address"),
                "{error}"
            );
        }
        let error = service::Outbound::check(&outbound, "http://127.0.0.1/").unwrap_err();
        assert!(error.contains("is not https"), "{error}");
    }
}
