//! From a place to an encrypted connection: name, TCP, TLS, all within one wait.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower_service::Service;

use crate::error::{UpstreamError, classify};

/// For name, TCP and TLS together.
const CONNECT: Duration = Duration::from_secs(10);

/// Makes connections to one server.
#[derive(Clone)]
pub(crate) struct Connector {
    tcp: HttpConnector<Resolver>,
    tls: TlsConnector,
    name: ServerName<'static>,
}

impl Connector {
    pub(crate) fn new(config: ClientConfig, name: ServerName<'static>) -> Connector {
        let mut tcp = HttpConnector::new_with_resolver(Resolver(GaiResolver::new()));
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        // A watch may be silent for long; a machine that is gone must be noticed all the same.
        tcp.set_keepalive(Some(Duration::from_secs(30)));
        tcp.set_keepalive_interval(Some(Duration::from_secs(10)));
        tcp.set_keepalive_retries(Some(3));
        #[cfg(target_os = "linux")]
        tcp.set_tcp_user_timeout(Some(Duration::from_secs(120)));
        Connector { tcp, tls: TlsConnector::from(Arc::new(config)), name }
    }
}

impl Service<Uri> for Connector {
    type Response = Channel;
    type Error = UpstreamError;
    type Future = Pin<Box<dyn Future<Output = Result<Channel, UpstreamError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        self.tcp.poll_ready(cx).map_err(|error| classify(&error))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let stream = self.tcp.call(uri);
        let (tls, name) = (self.tls.clone(), self.name.clone());
        let connect = async move {
            let stream = stream.await.map_err(|error| match classify(&error) {
                UpstreamError::Closed => UpstreamError::Unreachable,
                known => known,
            })?;
            let stream =
                tls.connect(name, stream.into_inner()).await.map_err(|error| match classify(&error) {
                    UpstreamError::Closed | UpstreamError::ConnectTimeout => UpstreamError::Tls,
                    known => known,
                })?;
            Ok(Channel(TokioIo::new(stream)))
        };
        Box::pin(async move {
            tokio::time::timeout(CONNECT, connect).await.unwrap_or(Err(UpstreamError::ConnectTimeout))
        })
    }
}

/// The system's resolver, with an error that can be told from others.
#[derive(Clone)]
struct Resolver(GaiResolver);

impl Service<Name> for Resolver {
    type Response = <GaiResolver as Service<Name>>::Response;
    type Error = UpstreamError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, UpstreamError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        self.0.poll_ready(cx).map_err(|_| UpstreamError::Unresolvable)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let found = self.0.call(name);
        Box::pin(async move { found.await.map_err(|_| UpstreamError::Unresolvable) })
    }
}

/// An encrypted connection.
pub(crate) struct Channel(TokioIo<TlsStream<TcpStream>>);

impl Connection for Channel {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Channel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl Write for Channel {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }
}
