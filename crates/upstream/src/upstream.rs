//! Requests to one API server.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Response, Version};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use secrecy::ExposeSecret;

use crate::connector::Connector;
use crate::error::{UpstreamError, classify};
use crate::target::{Credential, Place, Target, TargetError};
use crate::tls::{Authorities, ClientCertificate, client_config};
use crate::waiting::{Progress, Sent};

/// The body of a request.
pub type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// Connections that are kept while nothing runs on them.
const IDLE_CONNECTIONS: usize = 64;
/// For this long.
const IDLE: Duration = Duration::from_secs(60);
/// The longest head of an answer, in bytes; also the largest piece in which a body is read.
const LONGEST_HEAD: usize = 256 * 1024;
/// Lines in the head of an answer.
const MOST_HEADERS: usize = 256;

/// A client to one API server. Clones share its connections.
#[derive(Clone)]
pub struct Upstream {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client<Connector, Sent>,
    place: Place,
    authorization: Option<HeaderValue>,
}

impl Upstream {
    /// A client for this server. Nothing is sent yet.
    ///
    /// # Errors
    /// [`TargetError`]: something in it cannot be used.
    pub fn new(target: &Target) -> Result<Upstream, TargetError> {
        let place = Place::of(target)?;
        let authorities = match target.ca_pem.as_str() {
            pem if pem.trim().is_empty() => Authorities::Machine,
            pem => Authorities::Only(pem.as_bytes()),
        };
        let certificate = match &target.credential {
            Credential::Certificate { certificates_pem, key_pem } => Some(ClientCertificate {
                certificates_pem: certificates_pem.as_bytes(),
                key_pem: key_pem.expose_secret().as_bytes(),
            }),
            Credential::None | Credential::Token(_) => None,
        };
        let mut config = client_config(authorities, certificate)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let authorization = match &target.credential {
            Credential::Token(token) => {
                let text = secrecy::SecretString::from(format!("Bearer {}", token.expose_secret().trim()));
                let value = HeaderValue::from_str(text.expose_secret());
                let mut value = value.map_err(|_| TargetError::Token)?;
                value.set_sensitive(true);
                Some(value)
            }
            Credential::None | Credential::Certificate { .. } => None,
        };
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .http1_max_buf_size(LONGEST_HEAD)
            .http1_max_headers(MOST_HEADERS)
            .build(Connector::new(config, place.name.clone()));
        Ok(Upstream { inner: Arc::new(Inner { client, place, authorization }) })
    }

    /// Sends a request and waits for the head of its answer; the body then comes as it comes.
    ///
    /// Of the request's address only path and query count. `Host` and `Authorization` are set here, whatever the request says. `wait` begins when the
    /// connection is wanted and again with each piece of the request's body. Redirects are answers like any other. After `101 Switching Protocols`,
    /// `hyper::upgrade::on` gives the connection.
    ///
    /// # Errors
    /// [`UpstreamError`]. A refusal of the server is an answer, not an error.
    pub async fn send(
        &self,
        request: Request<Body>,
        wait: Duration,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let (mut parts, body) = request.into_parts();
        if parts.method == Method::CONNECT {
            return Err(UpstreamError::Request);
        }
        let root = PathAndQuery::from_static("/");
        let asked = parts.uri.path_and_query().unwrap_or(&root);
        parts.uri = self.inner.place.uri(asked).ok_or(UpstreamError::Request)?;
        parts.version = Version::HTTP_11;
        parts.headers.remove(HOST);
        match &self.inner.authorization {
            Some(value) => parts.headers.insert(AUTHORIZATION, value.clone()),
            None => parts.headers.remove(AUTHORIZATION),
        };
        let progress = Progress::begin();
        let request = Request::from_parts(parts, progress.of(body));
        let answer = progress.within(wait, self.inner.client.request(request)).await;
        answer.ok_or(UpstreamError::Timeout)?.map_err(|error| classify(&error))
    }

    /// The path and query, as [`Upstream::send`] takes it, of an address on this server, such as a `Location`; `None` for every other one.
    #[must_use]
    pub fn inside(&self, address: &str) -> Option<PathAndQuery> {
        self.inner.place.inside(address)
    }
}

/// Where to only: the rest opens a cluster.
impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").field("authority", &self.inner.place.authority).finish_non_exhaustive()
    }
}
