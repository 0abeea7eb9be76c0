#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use rustls::pki_types::ServerName;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::*;
use crate::connection::CLOSE_GRACE;
use crate::pki::Issued;
use crate::request_body::MOST_DISCARDED;
use crate::shutdown::{ShutdownTrigger, channel};
use crate::tls::tests::{Fixture, client_config, fixture};

const SOON: Duration = Duration::from_secs(5);

/// Says who called; `/slow` takes 300 ms, `/endless` streams until its connection is dropped, `/bye` closes the connection.
struct WhoAmI;

#[async_trait]
impl Service for WhoAmI {
    async fn call(&self, request: http::Request<RequestBody>, peer: &Peer) -> http::Response<Body> {
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

    async fn http2<B>(&self) -> hyper::client::conn::http2::SendRequest<B>
    where
        B: http_body::Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + Unpin + 'static,
    {
        let io = TokioIo::new(self.connect(None, &[b"h2"]).await);
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        sender
    }
}

/// A body to which is added while it is sent; adding fails once nobody takes it any more.
fn growing() -> (mpsc::Sender<Bytes>, UnsyncBoxBody<Bytes, io::Error>) {
    let (more, mut pieces) = mpsc::channel::<Bytes>(1);
    let frames =
        futures_util::stream::poll_fn(move |cx| pieces.poll_recv(cx).map(|p| p.map(Frame::data).map(Ok)));
    (more, StreamBody::new(frames).boxed_unsync())
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
    let ours = server.fixture.client_ca.issue_client("system:admin", "system:masters", now, [8; 16]).unwrap();
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
    assert_eq!(text(sender.send_request(get("/slow")).await.unwrap()).await, "- rejected=false headers=0");
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
async fn whoever_is_answered_before_the_body_was_read_may_finish_sending_it() {
    let patient = Limits { unread: Duration::from_mins(1), ..Limits::default() };
    let server = server(patient).await;
    let mut sender = server.http2().await;
    let (more, body) = growing();
    let post = |body| http::Request::post("https://localhost/").body(body).unwrap();
    let answer = sender.send_request(post(body)).await.unwrap();
    assert_eq!(text(answer).await, "- rejected=false headers=0");
    // More than all windows together hold: somebody takes it.
    for _ in 0..4 * 1024 / 64 {
        more.send(Bytes::from_static(&[b'x'; 64 << 10])).await.expect("the rest is taken");
    }
    drop(more);
    let (_, body) = growing();
    assert_eq!(text(sender.send_request(post(body)).await.unwrap()).await, "- rejected=false headers=0");

    let mut one = server.connect(None, &[b"http/1.1"]).await;
    one.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4194304\r\n\r\n")
        .await
        .unwrap();
    let (mut answer, mut rest) = tokio::io::split(one);
    let sending = async { rest.write_all(&[b'x'; 4 << 20]).await };
    let mut reply = String::new();
    let (sent, read) = tokio::join!(sending, answer.read_to_string(&mut reply));
    sent.expect("the rest is taken");
    read.expect("the connection ends in order");
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
}

#[tokio::test]
async fn a_body_that_nobody_reads_is_cut_off_by_its_length_and_by_the_clock() {
    let sent_of = async |unread: Duration| {
        let server = server(Limits { unread, ..Limits::default() }).await;
        let (more, body) = growing();
        let request = http::Request::post("https://localhost/").body(body).unwrap();
        let mut sender = server.http2().await;
        text(sender.send_request(request).await.unwrap()).await;
        let mut sent = 0;
        let piece = Bytes::from_static(&[b'x'; 64 << 10]);
        while more.send(piece.clone()).await.is_ok() {
            sent += piece.len();
        }
        sent
    };
    // What is on its way when it is cut off lies in windows and buffers.
    const ON_THE_WAY: usize = 2 << 20;
    let sent =
        timeout(Duration::from_mins(1), sent_of(Duration::from_hours(1))).await.expect("its length ends it");
    assert!((MOST_DISCARDED..MOST_DISCARDED + ON_THE_WAY).contains(&sent), "{sent}");
    timeout(Duration::from_mins(1), sent_of(Duration::ZERO)).await.expect("the clock ends it");
}

#[tokio::test]
async fn whoever_waits_to_be_told_to_send_is_not_told_to_when_the_answer_is_there() {
    let server = server(Limits::default()).await;
    let head = "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n";
    let reply = http1(&mut server.connect(None, &[b"http/1.1"]).await, head).await;
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
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
    assert_eq!(Limits::for_open_files(u64::MAX).connections, 32_768);
    assert!(raise_file_limit() > 0);
}
