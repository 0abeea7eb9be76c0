//! An HTTPS server for tests: its certificate is made for it, its answers are a function. And a clock that stands still.
#![allow(
    missing_docs,
    clippy::new_without_default,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::upstream::Body;

/// An authority that signs servers' certificates.
pub struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    /// A new one.
    pub fn new() -> Ca {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ca(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its certificate, as PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate and its key, as PEM.
    pub fn issue(&self, params: CertificateParams) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    /// TLS for a server with a certificate of these parameters.
    pub fn acceptor(&self, params: CertificateParams) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let certificate: CertificateDer<'static> = params.signed_by(&key, &self.0).unwrap().into();
        acceptor(certificate, &key)
    }
}

/// TLS for a server with this certificate.
pub fn acceptor(certificate: CertificateDer<'static>, key: &KeyPair) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// A listener and its address.
pub async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// An address at which nobody listens, nor will as long as what comes first is held: it is the near end of a connection.
pub async fn nobody() -> (impl Sized, SocketAddr) {
    let (listener, address) = listen().await;
    let stream = TcpStream::connect(address).await.unwrap();
    let nobody = stream.local_addr().unwrap();
    ((listener, stream), nobody)
}

/// tokio's clock stands still while this is held, however long anything takes: time passes only as the test says. Sockets work as ever.
pub struct StillClock(
    #[expect(dead_code, reason = "what waits for its end goes on with it")] mpsc::Sender<()>,
);

impl StillClock {
    /// Stops the clock of this runtime, which has one thread.
    pub fn stop() -> StillClock {
        tokio::time::pause();
        let (end, ended) = mpsc::channel::<()>();
        // A stopped clock jumps to the next timer whenever there is nothing else to do, and that a socket is waited for does not count; a blocking task does.
        tokio::task::spawn_blocking(move || ended.recv());
        StillClock(end)
    }

    /// Time passes, and whoever waited for it is woken.
    pub async fn pass(&self, time: Duration) {
        tokio::time::advance(time).await;
    }
}

/// Gives every connection, after TLS, to `with`.
pub async fn each<F, R>(acceptor: TlsAcceptor, with: F) -> SocketAddr
where
    F: Fn(TlsStream<TcpStream>) -> R + Clone + Send + 'static,
    R: Future<Output = ()> + Send,
{
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, with) = (acceptor.clone(), with.clone());
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    with(stream).await;
                }
            });
        }
    });
    address
}

/// Answers every request with what `answer` gives.
pub async fn serve<F, R>(acceptor: TlsAcceptor, answer: F) -> SocketAddr
where
    F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response<Body>> + Send + 'static,
{
    each(acceptor, move |stream| {
        let answer = answer.clone();
        async move {
            let service = service_fn(move |request| {
                let answered = answer(request);
                async move { Ok::<_, Infallible>(answered.await) }
            });
            let builder = hyper::server::conn::http1::Builder::new();
            let _ = builder.serve_connection(TokioIo::new(stream), service).with_upgrades().await;
        }
    })
    .await
}
