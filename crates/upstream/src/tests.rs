//! The client against servers that behave, and that do not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONNECTION, HOST, LOCATION, UPGRADE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use crate::testing::{Ca, StillClock, acceptor, each, listen, nobody, serve};
use crate::{
    Authorities, Body, ClientCertificate, Credential, JsonError, Target, TargetError, Untrusted, Upstream,
    UpstreamError, client_config,
};

/// Longer than any of these answers takes on the slowest machine.
const WAIT: Duration = Duration::from_secs(60);

fn target(ca: &str, address: SocketAddr) -> Target {
    Target { url: format!("https://{address}"), ca_pem: ca.to_owned(), ..Target::default() }
}

fn full(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).map_err(|never| match never {}).boxed_unsync()
}

fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(empty()).unwrap()
}

fn here() -> CertificateParams {
    CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap()
}

async fn text(answer: Response<hyper::body::Incoming>) -> String {
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

async fn refusal(target: &Target) -> UpstreamError {
    Upstream::new(target).unwrap().send(get("/"), WAIT).await.unwrap_err()
}

#[tokio::test]
async fn a_request_arrives_with_the_credential_and_nobody_elses() {
    let ca = Ca::new();
    let address = serve(ca.acceptor(here()), |request| async move {
        let all = |name| {
            let values = request.headers().get_all(name).iter();
            values.map(|v| v.to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        full(format!("{} {:?} {:?}", request.uri(), all(AUTHORIZATION), all(HOST))).into_response()
    })
    .await;
    let ask = async |credential| {
        let upstream = Upstream::new(&Target { credential, ..target(&ca.pem(), address) }).unwrap();
        let request = Request::get("https://evil.example/api?watch=1")
            .header(AUTHORIZATION, "Bearer theirs")
            .header(AUTHORIZATION, "Bearer theirs too")
            .header(HOST, "evil.example");
        text(upstream.send(request.body(empty()).unwrap(), WAIT).await.unwrap()).await
    };
    assert_eq!(
        ask(Credential::Token(SecretString::from("ours\n"))).await,
        format!("/api?watch=1 [\"Bearer ours\"] [\"{address}\"]")
    );
    assert_eq!(ask(Credential::None).await, format!("/api?watch=1 [] [\"{address}\"]"));
}

#[tokio::test]
async fn connections_are_used_again_and_redirects_are_only_answers() {
    let ca = Ca::new();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    let address = each(ca.acceptor(here()), move |stream| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move {
            let service = hyper::service::service_fn(|_| async {
                let moved = Response::builder().status(302).header(LOCATION, "https://evil.example/");
                Ok::<_, std::convert::Infallible>(moved.body(full("moved")).unwrap())
            });
            let builder = hyper::server::conn::http1::Builder::new();
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
        }
    })
    .await;
    let upstream = Upstream::new(&target(&ca.pem(), address)).unwrap();
    for _ in 0..5 {
        let answer = upstream.clone().send(get("/"), WAIT).await.unwrap();
        assert_eq!(answer.status(), StatusCode::FOUND);
        assert_eq!(text(answer).await, "moved");
        // A task of its own puts the connection back.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_client_certificate_is_shown() {
    let ca = Ca::new();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, "admin");
    let (certificates_pem, key_pem) = ca.issue(params);
    let credential = |key: &str| Credential::Certificate {
        certificates_pem: certificates_pem.clone(),
        key_pem: SecretString::from(key),
    };
    let with = |credential| Target { url: "https://127.0.0.1:1".into(), credential, ..Target::default() };
    let ca_pem = ca.pem();
    let shown =
        ClientCertificate { certificates_pem: certificates_pem.as_bytes(), key_pem: key_pem.as_bytes() };
    assert!(!format!("{shown:?}").contains("KEY"));
    let config = client_config(Authorities::Only(ca_pem.as_bytes()), Some(shown)).unwrap();
    assert!(config.client_auth_cert_resolver.has_certs());
    let refused =
        |key: &str| Upstream::new(&Target { ca_pem: ca_pem.clone(), ..with(credential(key)) }).unwrap_err();
    assert_eq!(refused(&KeyPair::generate().unwrap().serialize_pem()), TargetError::Mismatch);
    assert_eq!(refused("no key"), TargetError::Key);
}

#[tokio::test]
async fn what_cannot_be_used_is_said_before_anything_is_sent() {
    let ca = Ca::new();
    let base = || Target { url: "https://127.0.0.1:1".into(), ca_pem: ca.pem(), ..Target::default() };
    let error = |target: Target| Upstream::new(&target).unwrap_err();
    assert_eq!(error(Target { url: "http://127.0.0.1".into(), ..base() }), TargetError::Url);
    assert_eq!(error(Target { ca_pem: "nothing".into(), ..base() }), TargetError::Authority);
    let token = Credential::Token(SecretString::from("a\nb"));
    assert_eq!(error(Target { credential: token, ..base() }), TargetError::Token);
    let certificate =
        Credential::Certificate { certificates_pem: "x".into(), key_pem: "y".to_owned().into() };
    assert_eq!(error(Target { credential: certificate, ..base() }), TargetError::Certificate);
    // Nobody named is not the same as nobody in particular.
    assert_eq!(client_config(Authorities::Only(b""), None).unwrap_err(), TargetError::Authority);
}

#[tokio::test]
async fn a_server_that_is_somebody_else_gets_no_request() {
    let (ca, other) = (Ca::new(), Ca::new());
    let untrusted = |why| UpstreamError::Untrusted(why);
    let at = async |params: CertificateParams| {
        serve(ca.acceptor(params), |_| async { panic!("a request came through") }).await
    };
    let address = at(here()).await;
    assert_eq!(refusal(&target(&other.pem(), address)).await, untrusted(Untrusted::Issuer));
    let address = at(CertificateParams::new(vec!["elsewhere.example".to_owned()]).unwrap()).await;
    assert_eq!(refusal(&target(&ca.pem(), address)).await, untrusted(Untrusted::Name));
    let mut old = here();
    (old.not_before, old.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
    let address = at(old).await;
    assert_eq!(refusal(&target(&ca.pem(), address)).await, untrusted(Untrusted::Expired));
    let mut young = here();
    (young.not_before, young.not_after) = (date_time_ymd(2101, 1, 1), date_time_ymd(2102, 1, 1));
    let address = at(young).await;
    assert_eq!(refusal(&target(&ca.pem(), address)).await, untrusted(Untrusted::NotYetValid));
}

#[tokio::test]
async fn a_certificate_shown_without_its_key_is_no_question_of_who_signed_it() {
    let ca = Ca::new();
    let (certificate, _) = ca.issue(here());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivatePkcs8KeyDer::from(KeyPair::generate().unwrap().serialize_der());
    let key = provider.key_provider.load_private_key(key.into()).unwrap();
    let stolen =
        CertifiedKey::new(vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()], key);
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(stolen)));
    let address = serve(Arc::new(config).into(), |_| async { panic!("a request came through") }).await;
    assert_eq!(refusal(&target(&ca.pem(), address)).await, UpstreamError::Untrusted(Untrusted::Other));
}

#[tokio::test]
async fn another_name_is_expected_where_one_is_given() {
    let ca = Ca::new();
    let named = CertificateParams::new(vec!["kubernetes.default".to_owned()]).unwrap();
    let address = serve(ca.acceptor(named), |_| async { full("good").into_response() }).await;
    let target = Target { tls_server_name: "kubernetes.default".into(), ..target(&ca.pem(), address) };
    let answer = Upstream::new(&target).unwrap().send(get("/"), WAIT).await.unwrap();
    assert_eq!(text(answer).await, "good");
}

#[tokio::test]
async fn a_certificate_that_was_given_as_trusted_is_trusted_and_only_for_its_name() {
    let key = KeyPair::generate().unwrap();
    let own = here().self_signed(&key).unwrap();
    let acceptor = acceptor(own.der().clone(), &key);
    let address = serve(acceptor, |_| async { full("good").into_response() }).await;
    let good = target(&own.pem(), address);
    assert_eq!(text(Upstream::new(&good).unwrap().send(get("/"), WAIT).await.unwrap()).await, "good");
    let other = Target { tls_server_name: "elsewhere.example".into(), ..good };
    assert_eq!(refusal(&other).await, UpstreamError::Untrusted(Untrusted::Name));
}

#[tokio::test]
async fn every_way_to_get_no_answer_has_its_words() {
    let ca = Ca::new();
    let (_held, address) = nobody().await;
    assert_eq!(refusal(&target(&ca.pem(), address)).await, UpstreamError::Refused);
    // No name server is asked about a name with so long a label.
    let url = format!("https://{}.invalid", "a".repeat(64));
    let tls_server_name = "a.example".into();
    let nowhere = Target { url, tls_server_name, ca_pem: ca.pem(), ..Target::default() };
    assert_eq!(refusal(&nowhere).await, UpstreamError::Unresolvable);

    let (plain, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = plain.accept().await {
            // What is closed with something unread is reset, and the answer may be lost with it.
            let _ = stream.read(&mut [0; 16 * 1024]).await;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    assert_eq!(refusal(&target(&ca.pem(), address)).await, UpstreamError::Tls);

    let with = async |answer: &'static [u8]| {
        let address = each(ca.acceptor(here()), move |mut stream| async move {
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(answer).await;
            let _ = stream.shutdown().await;
        });
        refusal(&target(&ca.pem(), address.await)).await
    };
    assert_eq!(with(b"").await, UpstreamError::Closed);
    assert_eq!(with(b"HTTP/1.1 200 OK\r\nA: ").await, UpstreamError::Closed);
    assert_eq!(with(b"220 mail.example ESMTP\r\n\r\n").await, UpstreamError::Protocol);
    let long: &'static [u8] =
        Box::leak([b"HTTP/1.1 200 OK\r\nA: ".as_slice(), &[b'a'; 600_000]].concat().into());
    assert_eq!(with(long).await, UpstreamError::Protocol);
}

#[tokio::test]
async fn silence_ends_the_wait_and_a_body_that_goes_on_prolongs_it() {
    let ca = Ca::new();
    let (tell, mut arrived) = mpsc::unbounded_channel();
    let address = serve(ca.acceptor(here()), move |request| {
        let tell = tell.clone();
        async move {
            let mut sum = 0;
            tell.send(sum).unwrap();
            if request.method() == Method::GET {
                std::future::pending::<()>().await;
            }
            let mut body = request.into_body();
            while let Some(frame) = body.frame().await {
                sum += frame.unwrap().into_data().unwrap().len();
                tell.send(sum).unwrap();
            }
            full(sum.to_string()).into_response()
        }
    })
    .await;
    let clock = StillClock::stop();
    let upstream = Upstream::new(&target(&ca.pem(), address)).unwrap();
    let asked = tokio::spawn({
        let upstream = upstream.clone();
        async move { upstream.send(get("/"), WAIT).await }
    });
    assert_eq!(arrived.recv().await, Some(0));
    clock.pass(WAIT - Duration::from_secs(1)).await;
    assert!(!asked.is_finished());
    clock.pass(Duration::from_secs(2)).await;
    assert_eq!(asked.await.unwrap().unwrap_err(), UpstreamError::Timeout);

    let (pieces, body) = mpsc::unbounded_channel::<Bytes>();
    let body = futures_util::stream::unfold(body, |mut body| async move {
        body.recv().await.map(|piece| (Ok(http_body::Frame::data(piece)), body))
    });
    let request = Request::post("/").body(StreamBody::new(body).boxed_unsync()).unwrap();
    let asked = tokio::spawn(async move { upstream.send(request, WAIT).await });
    assert_eq!(arrived.recv().await, Some(0));
    for n in 1..=8 {
        clock.pass(WAIT - Duration::from_secs(1)).await;
        pieces.send(vec![b'x'; 1000].into()).unwrap();
        while arrived.recv().await != Some(n * 1000) {}
    }
    drop(pieces);
    assert_eq!(text(asked.await.unwrap().unwrap()).await, "8000");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_the_senders_fault() {
    let ca = Ca::new();
    let address = serve(ca.acceptor(here()), |request| async move {
        let _ = request.into_body().collect().await;
        full("never").into_response()
    })
    .await;
    let broken = StreamBody::new(stream([
        Ok(Bytes::from_static(b"some")),
        Err(std::io::Error::other("the client is gone")),
    ]));
    let request = Request::post("/").body(broken.boxed_unsync()).unwrap();
    let upstream = Upstream::new(&target(&ca.pem(), address)).unwrap();
    assert_eq!(upstream.send(request, WAIT).await.unwrap_err(), UpstreamError::RequestBody);
}

#[tokio::test]
async fn an_upgraded_connection_carries_bytes_both_ways() {
    let ca = Ca::new();
    let address = serve(ca.acceptor(here()), |mut request| async move {
        assert_eq!(request.headers()[UPGRADE], "SPDY/3.1");
        tokio::spawn(async move {
            let mut io = TokioIo::new(hyper::upgrade::on(&mut request).await.unwrap());
            let mut four = [0; 4];
            io.read_exact(&mut four).await.unwrap();
            io.write_all(&four).await.unwrap();
            io.shutdown().await.unwrap();
        });
        let switch =
            Response::builder().status(101).header(CONNECTION, "Upgrade").header(UPGRADE, "SPDY/3.1");
        switch.body(empty()).unwrap()
    })
    .await;
    let upstream = Upstream::new(&target(&ca.pem(), address)).unwrap();
    let request = Request::post("/exec").header(CONNECTION, "Upgrade").header(UPGRADE, "SPDY/3.1");
    let answer = upstream.send(request.body(empty()).unwrap(), WAIT).await.unwrap();
    assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
    let mut io = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
    io.write_all(b"ping").await.unwrap();
    let mut back = String::new();
    io.read_to_string(&mut back).await.unwrap();
    assert_eq!(back, "ping");
}

#[tokio::test]
async fn documents_come_and_go_and_are_bounded() {
    let ca = Ca::new();
    let address = serve(ca.acceptor(here()), |request| async move {
        match request.uri().path() {
            "/echo" => full(request.into_body().collect().await.unwrap().to_bytes()).into_response(),
            "/no" => {
                let said = json!({"reason": "Forbidden", "message": "no\n\u{1b}[31m"}).to_string();
                Response::builder().status(403).body(full(said)).unwrap()
            }
            "/huge" => full(vec![b' '; 5 << 20]).into_response(),
            _ => full("<html>").into_response(),
        }
    })
    .await;
    let upstream = Upstream::new(&target(&ca.pem(), address)).unwrap();
    let ask = async |path| upstream.json::<Value>(Method::POST, path, Some(&json!({"a": [1]})), WAIT).await;
    assert_eq!(ask("/echo").await, Ok(json!({"a": [1]})));
    let refused = JsonError::Refused { code: 403, reason: "Forbidden".into(), message: "no[31m".into() };
    assert_eq!(ask("/no").await, Err(refused.clone()));
    assert_eq!(ask("/huge").await, Err(JsonError::TooLarge));
    assert_eq!(ask("/other").await, Err(JsonError::Foreign));
    assert_eq!(upstream.lines("/no", WAIT).await.unwrap_err(), refused);
}

#[tokio::test]
async fn a_watch_is_read_line_by_line_however_it_is_cut() {
    let ca = Ca::new();
    let address = serve(ca.acceptor(here()), |request| async move {
        let whole = b"{\"n\":1}\n\n{\"n\":2}\n{\"n\":3}\n";
        let pieces: Vec<_> = whole.chunks(3).map(|piece| Ok(Bytes::from_static(piece))).collect();
        match request.uri().path() {
            "/good" => StreamBody::new(stream(pieces)).boxed_unsync().into_response(),
            "/torn" => full("{\"n\":1}\n{\"n\":").into_response(),
            _ => full(vec![b'x'; 5 << 20]).into_response(),
        }
    })
    .await;
    let upstream = Upstream::new(&target(&ca.pem(), address)).unwrap();
    let mut good = upstream.lines("/good", WAIT).await.unwrap();
    for n in 1..=3 {
        assert_eq!(good.next::<Value>().await.unwrap(), Some(json!({ "n": n })));
    }
    assert_eq!(good.next::<Value>().await.unwrap(), None);
    let mut torn = upstream.lines("/torn", WAIT).await.unwrap();
    assert!(torn.next::<Value>().await.unwrap().is_some());
    assert_eq!(torn.next::<Value>().await.unwrap_err(), UpstreamError::Closed.into());
    let mut endless = upstream.lines("/endless", WAIT).await.unwrap();
    assert_eq!(endless.next::<Value>().await.unwrap_err(), JsonError::TooLarge);
}

#[tokio::test]
async fn a_client_is_not_printed_with_what_opens_a_cluster() {
    let ca = Ca::new();
    let credential = Credential::Token(SecretString::from("a-canary"));
    let target =
        Target { credential, url: "https://a.example".into(), ca_pem: ca.pem(), ..Target::default() };
    assert!(!format!("{target:?}").contains("canary"));
    assert!(!format!("{:?}", Upstream::new(&target).unwrap()).contains("canary"));
}

trait IntoResponse {
    fn into_response(self) -> Response<Body>;
}

impl IntoResponse for Body {
    fn into_response(self) -> Response<Body> {
        Response::new(self)
    }
}

type Piece = Result<Bytes, std::io::Error>;

fn stream(
    pieces: impl IntoIterator<Item = Piece>,
) -> impl futures_util::Stream<Item = Result<http_body::Frame<Bytes>, std::io::Error>> + Send {
    let pieces: Vec<Piece> = pieces.into_iter().collect();
    futures_util::stream::iter(pieces.into_iter().map(|piece| piece.map(http_body::Frame::data)))
}
