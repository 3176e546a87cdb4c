//! The HTTP server: actix under our own service builder, so that `Expect: 100-continue` is answered
//! only after signature and permission are decided.
//!
//! What the HTTP library refuses itself, a head that cannot be parsed or that comes too slowly, is
//! answered by it with 400 or 408 and an empty body.

mod answer;
mod crowd;
mod farewell;
mod handover;
mod head;
mod watch;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use actix_http::{
    ConnectionType, HttpService, KeepAlive, Protocol, Request, RequestHead, Response,
    body::BoxBody, error::DispatchError,
};
use actix_rt::net::TcpStream;
use actix_server::{GracefulShutdownSignal, Server, ServerBuilder, ServerHandle};
use actix_service::{ServiceFactoryExt as _, fn_service, map_config};
use actix_tls::accept::{
    TlsError,
    rustls_0_23::{Acceptor, TlsStream},
};
use actix_web::{App, HttpMessage as _, HttpRequest, HttpResponse, dev::AppConfig, web};
use rustls::ProtocolVersion;
use service::Service;

use crate::{pipeline, settings::Settings, signature::Nonces, wire::Presence};

use crowd::Crowd;
use farewell::turned_away;
use head::Tls;
use watch::{Running as Ongoing, Watched, Watching};

pub use answer::respond;
pub use crowd::beyond;
pub use head::{Head, RequestId};
pub use watch::Activity;

/// A running server.
pub struct Running {
    /// Where it listens, with the ports that were free.
    pub addresses: Vec<SocketAddr>,
    handle: ServerHandle,
    server: Server,
}

impl Running {
    /// What stops the server from elsewhere.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.handle.clone())
    }

    /// Waits until the server was stopped.
    ///
    /// # Errors
    /// When the accepting thread failed.
    pub async fn join(self) -> io::Result<()> {
        self.server.await
    }
}

/// Stops a server.
#[derive(Clone)]
pub struct Stopper(ServerHandle);

impl Stopper {
    /// Takes no more requests; lets running ones finish when `graceful`.
    pub async fn stop(&self, graceful: bool) {
        self.0.stop(graceful).await;
    }
}

/// What every connection knows.
pub struct Gateway {
    pub service: Arc<Service>,
    pub settings: Settings,
    pub presence: Arc<Presence>,
    pub nonces: Nonces,
    crowd: Arc<Crowd>,
}

impl Gateway {
    pub(crate) fn new(service: Arc<Service>, settings: Settings) -> Arc<Self> {
        let presence = Arc::new(Presence {
            region: settings.region.clone(),
            public_url: settings.public_url.clone(),
        });
        let crowd = Crowd::new(settings.connections_max);
        Arc::new(Self { service, settings, presence, nonces: Nonces::default(), crowd })
    }
}

/// Starts to listen. Must be called within a Tokio runtime.
///
/// # Errors
/// When an address cannot be listened on.
pub fn start(service: Arc<Service>, settings: Settings) -> io::Result<Running> {
    let workers = settings.workers.clamp(1, 512);
    let mut builder = Server::build()
        .workers(workers)
        .disable_signals()
        .max_concurrent_connections(accepted_max(settings.connections_max, workers))
        .shutdown_timeout(settings.stop_timeout.as_secs());
    let gateway = Gateway::new(service, settings);
    let mut addresses = Vec::new();
    for address in &gateway.settings.listen {
        let listener = TcpListener::bind(address)?;
        addresses.push(listener.local_addr()?);
        builder = match &gateway.settings.tls {
            None => listen_plain(builder, listener, &gateway)?,
            Some(tls) => listen_tls(builder, listener, &gateway, tls)?,
        };
    }
    let server = builder.run();
    Ok(Running { addresses, handle: server.handle(), server })
}

/// What one thread accepts at most: those who are let in, those who are just turned away, and TLS
/// handshakes, which come first.
fn accepted_max(connections_max: usize, workers: usize) -> usize {
    let all = connections_max.saturating_add(2 * beyond(connections_max));
    all.div_ceil(workers).max(2)
}

/// HTTP/1.1 without TLS.
fn listen_plain(
    builder: ServerBuilder,
    listener: TcpListener,
    gateway: &Arc<Gateway>,
) -> io::Result<ServerBuilder> {
    let signal = builder.graceful_shutdown_signal();
    let edge = Edge { gateway: gateway.clone(), secure: false };
    builder.listen("larder", listener, move || {
        let settings = &edge.gateway.settings;
        let (timeout, linger) = (settings.head_timeout, settings.linger);
        let crowd = edge.gateway.crowd.clone();
        fn_service(move |io: TcpStream| {
            let guest = crowd.enter();
            async move {
                let Some(guest) = guest else {
                    turned_away(io).await;
                    return Err(refused());
                };
                let peer = io.peer_addr().ok();
                without_delay(&io);
                Ok((Watched::new(io, Some(timeout), linger, Some(guest)), Protocol::Http1, peer))
            }
        })
        .and_then(http_service!(edge, signal))
    })
}

/// HTTP/1.1 and HTTP/2 over TLS, as the client chooses.
fn listen_tls(
    builder: ServerBuilder,
    listener: TcpListener,
    gateway: &Arc<Gateway>,
    tls: &rustls::ServerConfig,
) -> io::Result<ServerBuilder> {
    let signal = builder.graceful_shutdown_signal();
    let edge = Edge { gateway: gateway.clone(), secure: true };
    let mut tls = tls.clone();
    tls.alpn_protocols.splice(0..0, [b"h2".to_vec(), b"http/1.1".to_vec()]);
    builder.listen("larder-tls", listener, move || {
        let settings = &edge.gateway.settings;
        let (timeout, linger) = (settings.head_timeout, settings.linger);
        let crowd = edge.gateway.crowd.clone();
        let mut acceptor = Acceptor::new(tls.clone());
        acceptor.set_handshake_timeout(timeout);
        acceptor
            .map_err(TlsError::into_service_error)
            .and_then(move |io: TlsStream<TcpStream>| {
                let guest = crowd.enter();
                async move {
                    let (tcp, session) = io.get_ref();
                    let Some(guest) = guest else { return Err(TlsError::Service(refused())) };
                    let (peer, is_h2) =
                        (tcp.peer_addr().ok(), session.alpn_protocol() == Some(b"h2"));
                    let version = session.protocol_version().and_then(version_name);
                    without_delay(tcp);
                    // HTTP/2 has other requests running while a head is on its way.
                    let (protocol, timeout) = match is_h2 {
                        true => (Protocol::Http2, None),
                        false => (Protocol::Http1, Some(timeout)),
                    };
                    let io = Watched::new(io, timeout, linger, Some(guest));
                    io.activity().set_tls_version(version);
                    Ok((io, protocol, peer))
                }
            })
            .and_then(http_service!(edge, signal).map_err(TlsError::Service))
            .map_init_err(|_| ())
    })
}

/// What conditions on `s3:TlsVersion` compare with.
fn version_name(version: ProtocolVersion) -> Option<&'static str> {
    match version {
        ProtocolVersion::TLSv1_2 => Some("1.2"),
        ProtocolVersion::TLSv1_3 => Some("1.3"),
        _ => None,
    }
}

fn refused() -> DispatchError {
    DispatchError::Io(io::ErrorKind::ConnectionRefused.into())
}

/// Sends small answers at once. That it fails is no reason to serve nobody.
fn without_delay(io: &TcpStream) {
    if let Err(error) = io.set_nodelay(true) {
        tracing::debug!(%error, "a connection delays small packets");
    }
}

/// The HTTP service of one listener in one worker thread. A macro, because its type depends on the
/// kind of connection and cannot be written down.
macro_rules! http_service {
    ($edge:ident, $signal:ident) => {{
        let (edge, admission, signal) = ($edge.clone(), $edge.clone(), $signal.clone());
        let settings = &$edge.gateway.settings;
        HttpService::build()
            .keep_alive(KeepAlive::Timeout(settings.keep_alive))
            .client_request_timeout(settings.head_timeout)
            .client_disconnect_timeout(settings.linger)
            .on_connect_ext(|io: &Watched<_>, data| {
                data.insert(io.activity().clone());
            })
            .graceful_shutdown_signal(move || {
                let signal: GracefulShutdownSignal = signal.clone();
                async move { signal.notified().await }
            })
            .expect(move |request: Request| admit(admission.clone(), request))
            .finish(map_config(
                App::new().app_data(web::Data::new(edge)).default_service(web::to(serve)),
                |()| AppConfig::default(),
            ))
    }};
}
use http_service;

/// A listener's side of the gateway.
#[derive(Clone)]
struct Edge {
    gateway: Arc<Gateway>,
    secure: bool,
}

impl Edge {
    fn head(&self, head: &RequestHead, activity: Option<&Activity>, id: RequestId) -> Head {
        let tls = Tls { secure: self.secure, version: activity.and_then(Activity::tls_version) };
        Head::new(head, tls, &self.gateway.settings, id)
    }
}

/// Decides whether a client that asked first may send its body.
///
/// Nothing decided here is trusted later: the request itself is checked again from the start.
async fn admit(edge: Edge, request: Request) -> Result<Request, Response<BoxBody>> {
    let ongoing = request.conn_data::<Activity>().map(Activity::begin);
    let id = RequestId::new(edge.gateway.service.entropy());
    let activity = request.conn_data::<Activity>().cloned();
    let head = edge.head(request.head(), activity.as_ref(), id.clone());
    match pipeline::admit(&edge.gateway, head, activity).await {
        Ok(()) => {
            request.extensions_mut().insert((id, ongoing));
            Ok(request)
        }
        Err(mut refusal) => {
            refusal.head_mut().set_connection_type(ConnectionType::Close);
            Err(refusal)
        }
    }
}

/// Answers any request.
async fn serve(
    request: HttpRequest,
    payload: web::Payload,
    edge: web::Data<Edge>,
) -> HttpResponse<BoxBody> {
    type Admitted = (RequestId, Option<Ongoing>);
    let (known, ongoing) = request.extensions_mut().remove::<Admitted>().unzip();
    let begin = || request.conn_data::<Activity>().map(Activity::begin);
    let ongoing = ongoing.unwrap_or_else(begin);
    let id = known.unwrap_or_else(|| RequestId::new(edge.gateway.service.entropy()));
    let activity = request.conn_data::<Activity>().cloned();
    let head = edge.head(request.head(), activity.as_ref(), id);
    let has_place = activity.as_ref().is_none_or(Activity::has_place);
    let payload = payload.into_inner();
    let mut response = pipeline::serve(&edge.gateway, head, payload, activity).await;
    if !has_place {
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    HttpResponse::from(response).map_body(|_, body| match ongoing {
        Some(ongoing) => BoxBody::new(Watching::new(body, ongoing)),
        None => body,
    })
}
