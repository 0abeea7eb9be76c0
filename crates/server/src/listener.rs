//! The door: accepts connections, does TLS, speaks HTTP/1.1 and HTTP/2, keeps every wait and every buffer bounded, and drains at the end.
//!
//! ```text
//! accept ─→ TLS (10 s) ─→ first request (32 s) ─→ requests … ─→ idle (90 s) ─→ close
//!   └ shutdown: no more accepts; h2 GOAWAY, h1 close after the running reply; what runs may finish (60 s); then everything is dropped
//! ```

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::clock::SystemClock;
use crate::config::ListenAddress;
use crate::connection::{Activity, drive};
use crate::files::why;
use crate::metrics::Metrics;
use crate::request_body::RequestBody;
use crate::shutdown::Shutdown;
use crate::tls::{ClientAuthorities, Presented};
pub use crate::tls::{ClientCertificate, Issuer};

/// The body of a reply.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The address of the connection's other end: a proxy's, if there is one.
    pub addr: SocketAddr,
    /// The client certificate: verified against the client authorities as they are now, EKU clientAuth, in time at this request. Who vouches for it says
    /// what it is good for.
    pub certificate: Option<Arc<ClientCertificate>>,
    /// A certificate was presented but is not good, and why (for the log): authentication answers 401 if nothing else identifies the caller.
    pub certificate_rejected: Option<String>,
}

/// What answers requests.
#[async_trait]
pub trait Service: Send + Sync + 'static {
    /// Answers one request. It may be dropped at any await when the client goes away.
    async fn call(&self, request: http::Request<RequestBody>, peer: &Peer) -> http::Response<Body>;
}

/// Put into a response's extensions: close this connection after the reply. HTTP/2 has no header for that, so the listener sends GOAWAY.
#[derive(Debug, Clone, Copy)]
pub struct CloseConnection;

/// TLS for a listener.
#[derive(Debug, Clone)]
pub struct Tls {
    /// See [`crate::tls::server_config`].
    pub config: Arc<ServerConfig>,
    /// Whose client certificates are good.
    pub clients: Arc<ClientAuthorities>,
}

/// Bounds of the listener. The defaults are the ones documented above.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections open at once; more wait in the system's queue.
    pub connections: usize,
    /// For the TLS handshake.
    pub handshake: Duration,
    /// From the handshake to the end of the first request's head.
    pub first_request: Duration,
    /// Without a running request.
    pub idle: Duration,
    /// For the rest of a body that nobody reads, once its request is answered.
    pub unread: Duration,
    /// For running requests after the shutdown began.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // An idle connection costs about 30 KiB, most of it buffers of hyper and rustls.
            connections: 32_768,
            handshake: Duration::from_secs(10),
            first_request: Duration::from_secs(32),
            idle: Duration::from_secs(90),
            // An answer is with its client long before, on a busy machine too.
            unread: Duration::from_secs(5),
            drain: Duration::from_secs(60),
        }
    }
}

impl Limits {
    /// The defaults, with as many connections as the files that this process may open allow; some are kept back for the store.
    #[must_use]
    pub fn for_open_files(open_files: u64) -> Self {
        const KEPT_BACK: u64 = 64;
        let connections = usize::try_from(open_files.saturating_sub(KEPT_BACK).max(16)).unwrap_or(usize::MAX);
        let defaults = Self::default();
        Self { connections: connections.min(defaults.connections), ..defaults }
    }
}

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {reason}")]
pub struct ListenError {
    address: ListenAddress,
    reason: String,
}

/// Opens the listening socket.
///
/// # Errors
/// [`ListenError`], one sentence: the port is taken, the address is not this machine's, …
pub async fn bind(address: &ListenAddress) -> Result<TcpListener, ListenError> {
    TcpListener::bind((address.host.as_str(), address.port)).await.map_err(|error| {
        let reason = match error.kind() {
            io::ErrorKind::AddrInUse => "the port is already in use".into(),
            io::ErrorKind::AddrNotAvailable => "the address is not one of this machine".into(),
            _ => why(&error),
        };
        ListenError { address: address.clone(), reason }
    })
}

/// Lets this process open as many files as its hard limit allows; the limit that is then in force.
#[must_use]
pub fn raise_file_limit() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::debug!(%error, "the limit of open files was not raised");
        }
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Serves until the shutdown has drained. Returns how many connections had to be dropped with requests running.
pub async fn run(
    listener: TcpListener,
    tls: Tls,
    service: Arc<dyn Service>,
    shutdown: Shutdown,
    limits: Limits,
    metrics: Arc<Metrics>,
) -> usize {
    let acceptor = TlsAcceptor::from(Arc::clone(&tls.config));
    let context = Arc::new(Context { acceptor, tls, service, shutdown: shutdown.clone(), limits, metrics });
    let permits = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    let mut drained = std::pin::pin!(shutdown.drained());
    loop {
        tokio::select! {
            biased;
            () = drained.as_mut() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            Some((stream, addr, permit)) = accept(&listener, &permits) => {
                connections.spawn(connection(Arc::clone(&context), stream, addr, permit));
            }
            else => break,
        }
    }
    // From here on the system refuses connections, so load balancers go elsewhere.
    drop(listener);
    let finish = async { while connections.join_next().await.is_some() {} };
    tokio::select! {
        () = finish => {}
        () = tokio::time::sleep(limits.drain) => {}
        () = shutdown.immediate() => {}
    }
    let dropped = connections.len();
    connections.shutdown().await;
    dropped
}

/// What all connections share.
struct Context {
    acceptor: TlsAcceptor,
    tls: Tls,
    service: Arc<dyn Service>,
    shutdown: Shutdown,
    limits: Limits,
    metrics: Arc<Metrics>,
}

/// The next connection. Whatever goes wrong is waited out: the listener never dies. Cancel-safe.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    const OWN_FAULT_PAUSE: Duration = Duration::from_millis(100);
    // The semaphore is never closed.
    let permit = Arc::clone(permits).acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, addr)) => return Some((stream, addr, permit)),
            Err(error) if of_the_client(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "no connection could be accepted");
                tokio::time::sleep(OWN_FAULT_PAUSE).await;
            }
        }
    }
}

fn of_the_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

async fn connection(
    context: Arc<Context>,
    stream: TcpStream,
    addr: SocketAddr,
    permit: OwnedSemaphorePermit,
) {
    let _open = context.metrics.connection_opened();
    set_options(&stream);
    let handshake = tokio::time::timeout(context.limits.handshake, handshake(&context.acceptor, stream));
    let stream = tokio::select! {
        done = handshake => match done {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                context.metrics.tls_handshake_error();
                tracing::debug!(%addr, %error, "TLS handshake failed");
                return;
            }
            Err(_) => {
                context.metrics.tls_handshake_error();
                return;
            }
        },
        () = context.shutdown.drained() => return,
    };
    serve(context, stream, addr).await;
    drop(permit);
}

async fn serve(context: Arc<Context>, stream: TlsStream<TcpStream>, addr: SocketAddr) {
    let (_, session) = stream.get_ref();
    let http2 = session.alpn_protocol() == Some(b"h2");
    let chain =
        session.peer_certificates().unwrap_or_default().iter().map(|c| c.clone().into_owned()).collect();
    let remote = Arc::new(Remote::new(addr, chain, &context.tls.clients));
    let activity = Arc::new(Activity::default());
    let io = TokioIo::new(stream);

    let service = {
        let (context, activity) = (Arc::clone(&context), Arc::clone(&activity));
        service_fn(move |request| {
            let (context, running) = (Arc::clone(&context), activity.begin());
            let peer = in_time(remote.peer(&context.tls.clients));
            async move {
                let response =
                    context.service.call(RequestBody::of(request, context.limits.unread), &peer).await;
                if response.extensions().get::<CloseConnection>().is_some() {
                    running.close_afterwards();
                }
                Ok::<_, Infallible>(response.map(|body| running.track(body)))
            }
        })
    };
    // Which protocol is spoken was agreed on in the handshake. Guessing from the first bytes instead would wait for them without a limit.
    let result = if http2 {
        let connection = http2_builder().serve_connection(io, service);
        drive(connection, |c| c.graceful_shutdown(), &activity, &context.limits, &context.shutdown).await
    } else {
        let connection = http1_builder().serve_connection(io, service).with_upgrades();
        drive(connection, |c| c.graceful_shutdown(), &activity, &context.limits, &context.shutdown).await
    };
    if let Err(error) = result {
        tracing::debug!(%addr, %error, "connection ended");
    }
}

fn http1_builder() -> hyper::server::conn::http1::Builder {
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        // A head that does not come to its end is no request that runs: `drive` ends such a connection with one timer for all that is idle, where this would
        // set and clear one for each request.
        .header_read_timeout(None)
        .max_headers(MAX_HEADERS)
        .max_header_size(MAX_HEADER_BYTES)
        .max_buf_size(MAX_HEADER_BYTES + 64 * 1024);
    builder
}

fn http2_builder() -> hyper::server::conn::http2::Builder<TokioExecutor> {
    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_header_list_size(MAX_HEADER_BYTES as u32)
        // An aggregator multiplexes all watches of a cluster over one connection.
        .max_concurrent_streams(1000)
        // Kubernetes clients cancel requests in bursts by RST_STREAM; the default of 20 takes that for an attack.
        .max_pending_accept_reset_streams(2000)
        .initial_stream_window_size(256 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .max_send_buf_size(64 * 1024)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

/// Header lines of a request: users with hundreds of groups have hundreds of them behind an aggregator.
const MAX_HEADERS: usize = 1000;
/// All header lines of a request together, in bytes.
const MAX_HEADER_BYTES: usize = 1 << 20;

/// A connection's other end. An aggregator keeps its connection for days, so what its certificate is worth is found out anew when authorities change.
struct Remote {
    addr: SocketAddr,
    /// What it presented, leaf first.
    chain: Vec<CertificateDer<'static>>,
    /// What came of it, under which generation of the authorities.
    known: Mutex<(u64, Arc<Peer>)>,
}

impl Remote {
    fn new(addr: SocketAddr, chain: Vec<CertificateDer<'static>>, clients: &ClientAuthorities) -> Self {
        let generation = clients.generation();
        let peer = Arc::new(peer(addr, clients.verify(&chain, SystemClock.wall_s())));
        Self { addr, chain, known: Mutex::new((generation, peer)) }
    }

    fn peer(&self, clients: &ClientAuthorities) -> Arc<Peer> {
        let generation = clients.generation();
        let mut known = self.known.lock();
        if known.0 != generation && !self.chain.is_empty() {
            let presented = clients.verify(&self.chain, SystemClock.wall_s());
            *known = (generation, Arc::new(peer(self.addr, presented)));
        }
        Arc::clone(&known.1)
    }
}

fn peer(addr: SocketAddr, presented: Presented) -> Peer {
    let (certificate, certificate_rejected) = match presented {
        Presented::None => (None, None),
        Presented::Verified(certificate) => (Some(certificate), None),
        Presented::Rejected(reason) => (None, Some(reason)),
    };
    Peer { addr: SocketAddr::new(addr.ip().to_canonical(), addr.port()), certificate, certificate_rejected }
}

/// A certificate may end while its connection stays open.
fn in_time(peer: Arc<Peer>) -> Arc<Peer> {
    let ended = peer.certificate.as_ref().is_some_and(|c| SystemClock.wall_s() > c.not_after_s);
    if ended {
        Arc::new(Peer {
            addr: peer.addr,
            certificate: None,
            certificate_rejected: Some("the certificate has expired".into()),
        })
    } else {
        peer
    }
}

async fn handshake(acceptor: &TlsAcceptor, mut stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    let mut first = [0u8; 1];
    stream.peek(&mut first).await?;
    // A letter begins no TLS record: somebody typed http:// instead of https://.
    if first.iter().all(u8::is_ascii_uppercase) {
        stream
            .write_all(b"HTTP/1.0 400 Bad Request\r\nConnection: close\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
            .await?;
        stream.shutdown().await?;
        return Err(io::Error::new(io::ErrorKind::InvalidData, "plain HTTP on the TLS port"));
    }
    acceptor.accept(stream).await
}

/// What fails here fails again, and is noticed, when the socket is used.
fn set_options(stream: &TcpStream) {
    use rustix::net::sockopt;
    let _ = stream.set_nodelay(true);
    let _ = sockopt::set_socket_keepalive(stream, true);
    let _ = sockopt::set_tcp_keepidle(stream, Duration::from_secs(60));
    let _ = sockopt::set_tcp_keepintvl(stream, Duration::from_secs(15));
    // A peer that stopped taking what we send (its machine is gone) is given up after this.
    #[cfg(target_os = "linux")]
    let _ = sockopt::set_tcp_user_timeout(stream, 120_000);
}

#[cfg(test)]
mod tests;
