//! One kept-alive HTTPS connection that asks one thing after the other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::server::Server;

/// How to reach a server.
#[derive(Clone)]
pub struct Target {
    address: String,
    tls: TlsConnector,
}

/// What to ask.
#[derive(Clone)]
pub struct Ask {
    /// GET, POST, ….
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// What goes behind `Bearer`.
    pub bearer: String,
    /// A JSON body, or nothing.
    pub body: Bytes,
}

impl Ask {
    /// Reads this path.
    #[must_use]
    pub fn get(path: impl Into<String>, bearer: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), bearer: bearer.into(), body: Bytes::new() }
    }

    /// Posts this body.
    #[must_use]
    pub fn post(path: impl Into<String>, bearer: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self { method: Method::POST, path: path.into(), bearer: bearer.into(), body: body.into() }
    }
}

impl Target {
    /// This server, trusted by its own authority only.
    ///
    /// # Errors
    /// The authority cannot be read.
    pub fn new(server: &Server) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&server.authority) {
            roots.add(certificate?)?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { address: server.address.clone(), tls: TlsConnector::from(Arc::new(config)) })
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// It cannot be opened.
    pub async fn connect(&self) -> Result<Connection> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let stream = self.tls.connect(ServerName::try_from("127.0.0.1")?, stream).await?;
        let (send, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Connection { send, host: self.address.clone() })
    }
}

/// An open connection.
pub struct Connection {
    send: SendRequest<Full<Bytes>>,
    host: String,
}

impl Connection {
    /// Asks, reads the answer whole, and gives it; anything but success is an error that shows the answer.
    ///
    /// # Errors
    /// No answer, or another status than 200 and 201.
    pub async fn ask(&mut self, ask: &Ask) -> Result<Bytes> {
        let body = self.begin(ask).await?.collect().await?.to_bytes();
        Ok(body)
    }

    /// Asks, reads the answer piece by piece and forgets it: until the first piece, until the end, and bytes in all.
    ///
    /// # Errors
    /// As [`Connection::ask`].
    pub async fn stream(&mut self, ask: &Ask) -> Result<(Duration, Duration, u64)> {
        let started = Instant::now();
        let mut body = self.begin(ask).await?;
        let (mut first, mut bytes) = (None, 0u64);
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame?.into_data() {
                first.get_or_insert_with(|| started.elapsed());
                bytes = bytes.saturating_add(u64::try_from(data.len())?);
            }
        }
        Ok((first.unwrap_or_default(), started.elapsed(), bytes))
    }

    async fn begin(&mut self, ask: &Ask) -> Result<hyper::body::Incoming> {
        self.send.ready().await?;
        let request = Request::builder()
            .method(ask.method.clone())
            .uri(&ask.path)
            .header("host", &self.host)
            .header("user-agent", "eartag-benches")
            .header("accept", "application/json")
            .header("authorization", format!("Bearer {}", ask.bearer));
        let request =
            if ask.body.is_empty() { request } else { request.header("content-type", "application/json") };
        let response =
            self.send.send_request(request.body(Full::new(ask.body.clone()))?).await.context("no answer")?;
        let status = response.status();
        if status == StatusCode::OK || status == StatusCode::CREATED {
            return Ok(response.into_body());
        }
        let body = response.into_body().collect().await?.to_bytes();
        bail!("{} {}: {status} {}", ask.method, ask.path, String::from_utf8_lossy(&body))
    }
}
