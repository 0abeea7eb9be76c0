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
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ServerConfig;
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
use crate::shutdown::Shutdown;
pub use crate::tls::ClientCertificate;
use crate::tls::{ClientAuthorities, Presented};

/// The body of a reply.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The address of the connection's other end: a proxy's, if there is one.
    pub addr: SocketAddr,
    /// The client certificate: verified against the client authorities, EKU clientAuth, in time at this request.
    pub certificate: Option<Arc<ClientCertificate>>,
    /// A certificate was presented but is not good, and why (for the log): authentication answers 401 if nothing else identifies the caller.
    pub certificate_rejected: Option<String>,
}

/// What answers requests.
#[async_trait]
pub trait Service: Send + Sync + 'static {
    /// Answers one request. It may be dropped at any await when the client goes away.
    async fn call(&self, request: http::Request<Incoming>, peer: &Peer) -> http::Response<Body>;
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
    /// For running requests after the shutdown began.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 100_000,
            handshake: Duration::from_secs(10),
            first_request: Duration::from_secs(32),
            idle: Duration::from_secs(90),
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
    let chain = session.peer_certificates().unwrap_or_default();
    let peer = Arc::new(peer(addr, context.tls.clients.verify(chain, SystemClock.wall_s())));
    let activity = Arc::new(Activity::default());
    let io = TokioIo::new(stream);

    let service = {
        let (context, activity) = (Arc::clone(&context), Arc::clone(&activity));
        service_fn(move |request| {
            let (context, peer, running) = (Arc::clone(&context), Arc::clone(&peer), activity.begin());
            async move {
                let peer = in_time(peer);
                let response = context.service.call(request, &peer).await;
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
        let connection = http1_builder(&context.limits).serve_connection(io, service).with_upgrades();
        drive(connection, |c| c.graceful_shutdown(), &activity, &context.limits, &context.shutdown).await
    };
    if let Err(error) = result {
        tracing::debug!(%addr, %error, "connection ended");
    }
}

fn http1_builder(limits: &Limits) -> hyper::server::conn::http1::Builder {
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // hyper counts the idle time before a request's head in this too, so it must be the longer of the two; the first head has a limit of its own.
        .header_read_timeout(limits.idle)
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
        .max_send_buf_size(128 * 1024)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

/// Header lines of a request: users with hundreds of groups have hundreds of them behind an aggregator.
const MAX_HEADERS: usize = 1000;
/// All header lines of a request together, in bytes.
const MAX_HEADER_BYTES: usize = 1 << 20;

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
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use http_body_util::{BodyExt, Full, StreamBody};
    use rustls::pki_types::ServerName;
    use tokio::io::AsyncReadExt;
    use tokio::task::JoinHandle;
    use tokio::time::timeout;
    use tokio_rustls::TlsConnector;

    use super::*;
    use crate::connection::CLOSE_GRACE;
    use crate::pki::Issued;
    use crate::shutdown::{ShutdownTrigger, channel};
    use crate::tls::tests::{Fixture, client_config, fixture};

    const SOON: Duration = Duration::from_secs(5);

    /// Says who called; `/slow` takes 300 ms, `/endless` streams until its connection is dropped, `/bye` closes the connection.
    struct WhoAmI;

    #[async_trait]
    impl Service for WhoAmI {
        async fn call(&self, request: http::Request<Incoming>, peer: &Peer) -> http::Response<Body> {
            let user = peer.certificate.as_ref().map_or("-", |c| c.common_name.as_str());
            let text = format!(
                "{user} rejected={} headers={}",
                peer.certificate_rejected.is_some(),
                request.headers().len()
            );
            match request.uri().path() {
                "/slow" => tokio::time::sleep(Duration::from_millis(300)).await,
                "/endless" => {
                    let stream = futures_util::stream::pending::<io::Result<http_body::Frame<Bytes>>>();
                    return http::Response::new(StreamBody::new(stream).boxed_unsync());
                }
                _ => {}
            }
            let mut response = http::Response::new(Full::from(text).map_err(|e| match e {}).boxed_unsync());
            if request.uri().path() == "/bye" {
                response.extensions_mut().insert(CloseConnection);
            }
            response
        }
    }

    struct Server {
        fixture: Fixture,
        addr: SocketAddr,
        trigger: ShutdownTrigger,
        task: JoinHandle<usize>,
        metrics: Arc<Metrics>,
    }

    async fn server(limits: Limits) -> Server {
        let fixture = fixture();
        let listener = bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (trigger, shutdown) = channel();
        let tls = Tls { config: Arc::clone(&fixture.config), clients: Arc::clone(&fixture.clients) };
        let metrics = Metrics::new(0.0);
        let task = tokio::spawn(run(listener, tls, Arc::new(WhoAmI), shutdown, limits, Arc::clone(&metrics)));
        Server { fixture, addr, trigger, task, metrics }
    }

    impl Server {
        async fn connect(
            &self,
            identity: Option<&Issued>,
            alpn: &[&[u8]],
        ) -> tokio_rustls::client::TlsStream<TcpStream> {
            let stream = TcpStream::connect(self.addr).await.unwrap();
            let connector = TlsConnector::from(client_config(&self.fixture.serving_ca, identity, alpn));
            connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap()
        }

        async fn http2(&self) -> hyper::client::conn::http2::SendRequest<Full<Bytes>> {
            let io = TokioIo::new(self.connect(None, &[b"h2"]).await);
            let (sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(connection);
            sender
        }
    }

    fn get(path: &str) -> http::Request<Full<Bytes>> {
        http::Request::get(format!("https://localhost{path}")).body(Full::default()).unwrap()
    }

    async fn text(response: http::Response<Incoming>) -> String {
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    /// Sends a request by HTTP/1.1 and reads until the server closes.
    async fn http1(stream: &mut tokio_rustls::client::TlsStream<TcpStream>, request: &str) -> String {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut reply = Vec::new();
        // Closing without TLS's farewell is an error here and of no interest.
        let _ = timeout(SOON, stream.read_to_end(&mut reply)).await.expect("the server closes");
        String::from_utf8(reply).unwrap()
    }

    #[tokio::test]
    async fn http1_and_http2_are_spoken_as_agreed() {
        let server = server(Limits::default()).await;
        let mut one = server.connect(None, &[b"http/1.1"]).await;
        let reply = http1(&mut one, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        assert!(reply.starts_with("HTTP/1.1 200 OK\r\n") && reply.contains("- rejected=false"), "{reply}");
        let mut none = server.connect(None, &[]).await;
        let reply = http1(&mut none, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");

        let response = server.http2().await.send_request(get("/")).await.unwrap();
        assert_eq!(response.version(), http::Version::HTTP_2);
        assert_eq!(text(response).await, "- rejected=false headers=0");
    }

    #[tokio::test]
    async fn the_service_learns_who_holds_the_client_certificate() {
        let server = server(Limits::default()).await;
        let now = SystemClock.wall_s();
        let ours =
            server.fixture.client_ca.issue_client("system:admin", "system:masters", now, [8; 16]).unwrap();
        let request = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        let reply = http1(&mut server.connect(Some(&ours), &[]).await, request).await;
        assert!(reply.contains("system:admin rejected=false"), "{reply}");
        // Signed by the serving authority, for a client: the handshake works and the certificate counts for nothing.
        let foreign =
            server.fixture.serving_ca.issue_client("system:admin", "system:masters", now, [8; 16]).unwrap();
        let reply = http1(&mut server.connect(Some(&foreign), &[]).await, request).await;
        assert!(reply.contains("- rejected=true"), "{reply}");
    }

    #[tokio::test]
    async fn large_headers_pass_and_too_many_get_431() {
        let server = server(Limits::default()).await;
        let many: String = (0..900).map(|i| format!("X-Remote-Group: {}{i}\r\n", "g".repeat(500))).collect();
        let request = format!("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{many}\r\n");
        let reply = http1(&mut server.connect(None, &[]).await, &request).await;
        assert!(reply.contains("headers=902"), "{reply}");
        let too_many: String = (0..1100).map(|i| format!("X: {i}\r\n")).collect();
        let reply =
            http1(&mut server.connect(None, &[]).await, &format!("GET / HTTP/1.1\r\n{too_many}\r\n")).await;
        assert!(reply.starts_with("HTTP/1.1 431 "), "{reply}");

        let mut request = get("/");
        for i in 0..900 {
            let value = format!("{}{i}", "g".repeat(500)).parse().unwrap();
            request.headers_mut().append("x-remote-group", value);
        }
        let response = server.http2().await.send_request(request).await.unwrap();
        assert_eq!(text(response).await, "- rejected=false headers=900");
    }

    #[tokio::test]
    async fn connections_that_say_nothing_are_closed() {
        let short = Duration::from_millis(100);
        let limits = Limits { handshake: short, first_request: short, idle: short, ..Limits::default() };
        let server = server(limits).await;
        let mut silent = TcpStream::connect(server.addr).await.unwrap();
        let mut half_open = server.connect(None, &[b"http/1.1"]).await;
        half_open.write_all(b"GET / HTTP/1.1\r\nHo").await.unwrap();
        let mut no_preface = server.connect(None, &[b"h2"]).await;
        let mut idle = server.http2().await;
        text(idle.send_request(get("/")).await.unwrap()).await;

        let mut rest = Vec::new();
        assert_eq!(timeout(SOON, silent.read_to_end(&mut rest)).await.unwrap().unwrap(), 0);
        let _ = timeout(SOON, half_open.read_to_end(&mut rest)).await.unwrap();
        timeout(SOON, async {
            while idle.ready().await.is_ok() {
                tokio::time::sleep(short).await
            }
        })
        .await
        .unwrap();
        let _ = timeout(SOON + CLOSE_GRACE, no_preface.read_to_end(&mut rest)).await.unwrap();
        let gauge = |text: &str| text.contains("eartag_connections 0\n");
        timeout(SOON, async {
            while !gauge(&server.metrics.render(None).1) {
                tokio::time::sleep(short).await;
            }
        })
        .await
        .expect("nothing stays behind");
    }

    #[tokio::test]
    async fn a_running_request_is_not_idle() {
        let short = Duration::from_millis(100);
        let server = server(Limits { first_request: short, idle: short, ..Limits::default() }).await;
        let mut sender = server.http2().await;
        let endless = sender.send_request(get("/endless")).await.unwrap();
        tokio::time::sleep(short * 5).await;
        assert_eq!(
            text(sender.send_request(get("/slow")).await.unwrap()).await,
            "- rejected=false headers=0"
        );
        drop(endless);
    }

    #[tokio::test]
    async fn plain_http_is_told_about_https() {
        let server = server(Limits::default()).await;
        let mut plain = TcpStream::connect(server.addr).await.unwrap();
        plain.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut reply = String::new();
        let _ = timeout(SOON, plain.read_to_string(&mut reply)).await.unwrap();
        assert!(reply.contains("Client sent an HTTP request to an HTTPS server."), "{reply}");
    }

    #[tokio::test]
    async fn a_reply_can_close_its_connection() {
        let server = server(Limits::default()).await;
        let mut sender = server.http2().await;
        assert!(text(sender.send_request(get("/bye")).await.unwrap()).await.starts_with('-'));
        timeout(SOON, async {
            while sender.ready().await.is_ok() {
                tokio::time::sleep(Duration::from_millis(5)).await
            }
        })
        .await
        .expect("GOAWAY");
    }

    #[tokio::test]
    async fn a_shutdown_lets_running_requests_finish_and_takes_no_more() {
        let server = server(Limits::default()).await;
        let mut sender = server.http2().await;
        let slow = sender.send_request(get("/slow"));
        let mut old = server.connect(None, &[]).await;
        old.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.trigger.drain();
        assert_eq!(text(timeout(SOON, slow).await.unwrap().unwrap()).await, "- rejected=false headers=0");
        let mut reply = String::new();
        let _ = timeout(SOON, old.read_to_string(&mut reply)).await.unwrap();
        assert!(reply.starts_with("HTTP/1.1 200 OK"), "{reply}");
        assert_eq!(timeout(SOON, server.task).await.unwrap().unwrap(), 0);
        assert!(TcpStream::connect(server.addr).await.is_err());
    }

    #[tokio::test]
    async fn what_does_not_finish_is_dropped_after_the_drain_or_by_a_second_signal() {
        let limits = Limits { drain: Duration::from_millis(100), ..Limits::default() };
        for second_signal in [false, true] {
            let limits = if second_signal { Limits::default() } else { limits };
            let server = server(limits).await;
            let mut sender = server.http2().await;
            let _endless = sender.send_request(get("/endless")).await.unwrap();
            server.trigger.drain();
            if second_signal {
                server.trigger.now();
            }
            assert_eq!(timeout(SOON, server.task).await.unwrap().unwrap(), 1);
        }
    }

    #[tokio::test]
    async fn a_taken_port_is_said_in_one_sentence() {
        let server = server(Limits::default()).await;
        let error = bind(&server.addr.to_string().parse().unwrap()).await.unwrap_err().to_string();
        assert_eq!(error, format!("cannot listen on {}: the port is already in use", server.addr));
    }

    #[tokio::test]
    async fn connections_over_the_limit_wait_for_their_turn() {
        let server = server(Limits { connections: 1, ..Limits::default() }).await;
        let first = server.connect(None, &[]).await;
        let second = timeout(Duration::from_millis(200), server.connect(None, &[])).await;
        assert!(second.is_err());
        drop(first);
        timeout(SOON, server.connect(None, &[])).await.unwrap();
    }

    #[test]
    fn open_files_bound_the_connections() {
        assert_eq!(Limits::for_open_files(1024).connections, 960);
        assert_eq!(Limits::for_open_files(0).connections, 16);
        assert_eq!(Limits::for_open_files(u64::MAX).connections, 100_000);
        assert!(raise_file_limit() > 0);
    }
}
