#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::pin::pin;

use eartag_upstream::testing::StillClock;
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use rustls::pki_types::ServerName;
use tokio::io::AsyncReadExt;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, yield_now};
use tokio_rustls::TlsConnector;

use super::*;
use crate::pki::Issued;
use crate::request_body::MOST_DISCARDED;
use crate::shutdown::{ShutdownTrigger, channel};
use crate::tls::tests::{Fixture, client_config, fixture};

/// Says who called; `/slow` takes 300 ms, `/endless` streams until its connection is dropped, `/bye` closes the connection.
struct WhoAmI {
    /// Requests that have begun.
    begun: watch::Sender<usize>,
}

#[async_trait]
impl Service for WhoAmI {
    async fn call(&self, request: http::Request<RequestBody>, peer: &Peer) -> http::Response<Body> {
        self.begun.send_modify(|begun| *begun += 1);
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

/// A server whose clock stands still: none of its limits is reached before the test says so, however slow the machine is.
struct Server {
    fixture: Fixture,
    addr: SocketAddr,
    trigger: ShutdownTrigger,
    task: JoinHandle<usize>,
    metrics: Arc<Metrics>,
    begun: watch::Receiver<usize>,
    clock: StillClock,
}

async fn server(limits: Limits) -> Server {
    let clock = StillClock::stop();
    let fixture = fixture();
    let listener = bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (trigger, shutdown) = channel();
    let tls = Tls { config: Arc::clone(&fixture.config), clients: Arc::clone(&fixture.clients) };
    let metrics = Metrics::new(0.0);
    let (begin, begun) = watch::channel(0);
    let service = Arc::new(WhoAmI { begun: begin });
    let task = tokio::spawn(run(listener, tls, service, shutdown, limits, Arc::clone(&metrics)));
    Server { fixture, addr, trigger, task, metrics, begun, clock }
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

    /// Waits until so many requests have begun.
    async fn runs(&self, requests: usize) {
        self.begun.clone().wait_for(|begun| *begun >= requests).await.unwrap();
    }

    /// Waits for this while time goes on, a second at a time.
    async fn in_time<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        for _ in 0..3600 {
            tokio::select! {
                biased;
                done = work.as_mut() => return done,
                () = a_moment(Duration::from_millis(5)) => {}
            }
            self.clock.pass(Duration::from_secs(1)).await;
        }
        panic!("an hour is over");
    }
}

/// A moment of real time, in which whatever is under way gets on.
async fn a_moment(long: Duration) {
    tokio::task::spawn_blocking(move || std::thread::sleep(long)).await.unwrap();
}

/// Waits until this connection takes no more requests.
async fn closed(sender: &mut hyper::client::conn::http2::SendRequest<Full<Bytes>>) {
    while sender.ready().await.is_ok() {
        yield_now().await;
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
    rest(stream).await
}

/// What comes until the server closes.
async fn rest(mut stream: impl tokio::io::AsyncRead + Unpin) -> String {
    let mut rest = Vec::new();
    // Closing without TLS's farewell is an error here and of no interest.
    let _ = stream.read_to_end(&mut rest).await;
    String::from_utf8_lossy(&rest).into_owned()
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
    let server = server(Limits::default()).await;
    let silent = TcpStream::connect(server.addr).await.unwrap();
    let mut half_open = server.connect(None, &[b"http/1.1"]).await;
    half_open.write_all(b"GET / HTTP/1.1\r\nHo").await.unwrap();
    let no_preface = server.connect(None, &[b"h2"]).await;
    let mut idle = server.http2().await;
    text(idle.send_request(get("/")).await.unwrap()).await;
    let mut second_half_open = server.connect(None, &[b"http/1.1"]).await;
    second_half_open.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHo").await.unwrap();

    assert_eq!(server.in_time(rest(silent)).await, "");
    assert!(idle.ready().await.is_ok(), "each has its own limit");
    server.in_time(rest(half_open)).await;
    server.in_time(closed(&mut idle)).await;
    server.in_time(rest(no_preface)).await;
    server.in_time(rest(second_half_open)).await;
    let nothing_stays_behind = async {
        while !server.metrics.render(None).1.contains("eartag_connections 0\n") {
            yield_now().await;
        }
    };
    server.in_time(nothing_stays_behind).await;
}

#[tokio::test]
async fn a_running_request_is_not_idle() {
    let short = Duration::from_secs(2);
    let server = server(Limits { first_request: short, idle: short, ..Limits::default() }).await;
    let mut sender = server.http2().await;
    let endless = sender.send_request(get("/endless")).await.unwrap();
    for _ in 0..5 {
        server.clock.pass(short).await;
        a_moment(Duration::from_millis(20)).await;
    }
    let slow = async { text(sender.send_request(get("/slow")).await.unwrap()).await };
    assert_eq!(server.in_time(slow).await, "- rejected=false headers=0");
    drop(endless);
}

#[tokio::test]
async fn plain_http_is_told_about_https() {
    let server = server(Limits::default()).await;
    let mut plain = TcpStream::connect(server.addr).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let reply = rest(plain).await;
    assert!(reply.contains("Client sent an HTTP request to an HTTPS server."), "{reply}");
}

#[tokio::test]
async fn a_reply_can_close_its_connection() {
    let server = server(Limits::default()).await;
    let mut sender = server.http2().await;
    assert!(text(sender.send_request(get("/bye")).await.unwrap()).await.starts_with('-'));
    // By GOAWAY, and at once: no time passes.
    closed(&mut sender).await;
}

#[tokio::test]
async fn a_shutdown_lets_running_requests_finish_and_takes_no_more() {
    let server = server(Limits::default()).await;
    let mut sender = server.http2().await;
    let slow = sender.send_request(get("/slow"));
    let mut old = server.connect(None, &[]).await;
    old.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    server.runs(2).await;
    server.trigger.drain();
    while TcpStream::connect(server.addr).await.is_ok() {
        yield_now().await;
    }
    assert!(!server.task.is_finished());
    let slow = async { text(slow.await.unwrap()).await };
    assert_eq!(server.in_time(slow).await, "- rejected=false headers=0");
    let reply = rest(old).await;
    assert!(reply.starts_with("HTTP/1.1 200 OK"), "{reply}");
    assert_eq!(server.task.await.unwrap(), 0);
}

/// A server that drains, and an answer without an end.
async fn draining() -> (Server, impl Sized) {
    let server = server(Limits { drain: Duration::from_secs(5), ..Limits::default() }).await;
    let mut sender = server.http2().await;
    let endless = sender.send_request(get("/endless")).await.unwrap();
    server.trigger.drain();
    (server, (sender, endless))
}

#[tokio::test]
async fn what_does_not_finish_is_dropped_after_the_drain() {
    let (mut server, _endless) = draining().await;
    let task = std::mem::replace(&mut server.task, tokio::spawn(async { 0 }));
    assert_eq!(server.in_time(task).await.unwrap(), 1);
}

#[tokio::test]
async fn what_does_not_finish_is_dropped_by_a_second_signal() {
    let (server, _endless) = draining().await;
    server.trigger.now();
    assert_eq!(server.task.await.unwrap(), 1);
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

/// A server that has answered a request whose body goes on, and what adds to the body.
async fn answered(unread: Duration) -> (Server, mpsc::Sender<Bytes>, impl Sized) {
    let server = server(Limits { unread, ..Limits::default() }).await;
    let (more, body) = growing();
    let request = http::Request::post("https://localhost/").body(body).unwrap();
    let mut sender = server.http2().await;
    text(sender.send_request(request).await.unwrap()).await;
    (server, more, sender)
}

#[tokio::test]
async fn a_body_that_nobody_reads_is_cut_off_by_its_length() {
    let (_server, more, _connection) = answered(Duration::from_hours(1)).await;
    let mut sent = 0;
    let piece = Bytes::from_static(&[b'x'; 64 << 10]);
    while more.send(piece.clone()).await.is_ok() {
        sent += piece.len();
    }
    // What is on its way when it is cut off lies in windows and buffers.
    const ON_THE_WAY: usize = 2 << 20;
    assert!((MOST_DISCARDED..MOST_DISCARDED + ON_THE_WAY).contains(&sent), "{sent}");
}

#[tokio::test]
async fn a_body_that_nobody_reads_is_cut_off_by_the_clock() {
    let (server, more, _connection) = answered(Duration::from_secs(2)).await;
    more.send(Bytes::from_static(b"x")).await.unwrap();
    assert!(!more.is_closed(), "no time has passed");
    server.in_time(more.closed()).await;
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
    let mut second = pin!(server.connect(None, &[]));
    tokio::select! {
        biased;
        _ = second.as_mut() => panic!("it is one too many"),
        () = a_moment(Duration::from_millis(100)) => {}
    }
    drop(first);
    second.await;
}

#[test]
fn open_files_bound_the_connections() {
    assert_eq!(Limits::for_open_files(1024).connections, 960);
    assert_eq!(Limits::for_open_files(0).connections, 16);
    assert_eq!(Limits::for_open_files(u64::MAX).connections, 32_768);
    assert!(raise_file_limit() > 0);
}
