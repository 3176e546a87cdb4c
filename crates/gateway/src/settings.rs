//! What the gateway is told at its start: plain data, but for the two parts handed in whole.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use ipnet::IpNet;
use model::limits::{BODY_BYTES_PER_SECOND_MIN, BODY_IDLE_SECONDS};

use crate::dialect::Dialect;

/// Renders the metrics page.
pub type MetricsPage = Arc<dyn Fn() -> String + Send + Sync>;

/// How the gateway shall listen and answer.
#[derive(Clone)]
pub struct Settings {
    /// Port 0 takes a free one; [`crate::Running::addresses`] tells which.
    pub listen: Vec<SocketAddr>,
    /// Speaks TLS on all addresses; its certificate resolver may change certificates at any time.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Names this server answers to, for buckets in the host name.
    pub domains: Vec<String>,
    /// The URL clients reach this server by, where it is not the one they use.
    pub public_url: Option<String>,
    /// The protocol of anonymous requests that give no sign of one.
    pub default_dialect: Dialect,
    /// The name of the default region.
    pub region: String,
    /// Peers whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Connections open at once. A few more are let in, to be told 503 or how the server is.
    pub connections_max: usize,
    /// All header lines of a request together. The HTTP library itself allows 96 lines and 128 KiB.
    pub header_bytes_max: usize,
    /// For the first request head of a connection to be complete, and for a TLS handshake.
    pub head_timeout: Duration,
    /// For the next request on an idle connection.
    pub keep_alive: Duration,
    /// With bodies that come in slowly.
    pub patience: Patience,
    /// How long a connection is read on, so that a client sees why it was refused.
    pub linger: Duration,
    /// How long running requests may take to finish at a stop.
    pub stop_timeout: Duration,
    /// HTTP threads.
    pub workers: usize,
    /// The page under `/_larder/metrics`.
    pub metrics_page: Option<MetricsPage>,
}

/// How slowly a body may come in. Only the time spent waiting for the client counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long nothing at all may come.
    pub idle: Duration,
    /// The least bytes a second, over each stretch of
    /// [`BODY_WINDOW_SECONDS`](model::limits::BODY_WINDOW_SECONDS); 0 takes any.
    pub bytes_per_second_min: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(BODY_IDLE_SECONDS),
            bytes_per_second_min: BODY_BYTES_PER_SECOND_MIN,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 9000))],
            tls: None,
            domains: Vec::new(),
            public_url: None,
            default_dialect: Dialect::S3,
            region: "us-east-1".to_owned(),
            trusted_proxies: Vec::new(),
            connections_max: 10_000,
            header_bytes_max: 64 * 1024,
            head_timeout: Duration::from_secs(10),
            keep_alive: Duration::from_secs(60),
            patience: Patience::default(),
            linger: Duration::from_secs(5),
            stop_timeout: Duration::from_secs(30),
            workers: 2,
            metrics_page: None,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Settings")
            .field("listen", &self.listen)
            .field("tls", &self.tls.is_some())
            .field("domains", &self.domains)
            .field("public_url", &self.public_url)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}
