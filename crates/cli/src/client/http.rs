//! JSON over HTTPS.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use eartag_upstream::Untrusted;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::ExposeSecret;
use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, LOCATION, USER_AGENT, WARNING};
use ureq::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector as _, TcpConnector};
use ureq::{Agent, Proxy, ProxyProtocol};
use zeroize::Zeroizing;

use super::error::{ClientError, printable};
use super::kubeconfig::{Login, Target};
use super::tls::{self, TlsConnector};

/// To connect, and for a whole exchange.
const CONNECT: Duration = Duration::from_secs(15);
const WHOLE: Duration = Duration::from_secs(60);
/// The largest body of an answer: a page of the largest tokens is far smaller.
const LARGEST: u64 = 64 << 20;
/// Everything but what RFC 3986 calls unreserved.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Talks to one server as one identity.
pub struct Client {
    agent: Agent,
    server: String,
    headers: HeaderMap,
    whole: Duration,
}

/// An answer that is no refusal.
#[derive(Debug)]
pub struct Reply<T> {
    /// What was answered.
    pub body: T,
    /// The texts of `Warning` headers, to be shown to people.
    pub warnings: Vec<String>,
}

/// A body as it came; it may hold a secret.
struct Raw {
    status: u16,
    bytes: Zeroizing<Vec<u8>>,
}

/// Path and query of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route(String);

impl Route {
    /// A path that needs no escaping, such as `/apis/management.cattle.io/v3/tokens`.
    #[must_use]
    pub fn new(path: &'static str) -> Self {
        Self(path.to_owned())
    }

    /// One more segment, whatever is in it.
    #[must_use]
    pub fn item(&self, name: &str) -> Self {
        // A segment of dots alone would be taken for a way up.
        let name = match name {
            "." => "%2E".to_owned(),
            ".." => "%2E%2E".to_owned(),
            name => utf8_percent_encode(name, SEGMENT).to_string(),
        };
        Self(format!("{}/{name}", self.0))
    }

    /// One more parameter, whatever is in it.
    #[must_use]
    pub fn query(&self, name: &str, value: &str) -> Self {
        let sign = if self.0.contains('?') { '&' } else { '?' };
        Self(format!("{}{sign}{name}={}", self.0, utf8_percent_encode(value, SEGMENT)))
    }
}

impl Client {
    /// A client for this server; nothing is sent yet.
    ///
    /// # Errors
    /// Certificates, names or proxies that cannot be used.
    pub fn new(target: Target) -> Result<Self, ClientError> {
        Self::within(target, WHOLE)
    }

    /// The same, for exchanges that take no longer than this.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn within(target: Target, whole: Duration) -> Result<Self, ClientError> {
        let tls = tls::config(&target.trust, target.certificate.as_ref())?;
        Self::over(target, tls, whole)
    }

    pub(super) fn over(
        target: Target,
        tls: rustls::ClientConfig,
        whole: Duration,
    ) -> Result<Self, ClientError> {
        let unusable = |what: &str| ClientError::Unusable(format!("the kubeconfig's {what} cannot be used"));
        let uri: Uri = target.server.parse().map_err(|_| unusable("server"))?;
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let tls = TlsConnector::new(tls, target.server_name.as_deref().unwrap_or(host))?;
        let config = Agent::config_builder()
            .https_only(true)
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(proxy(target.proxy.as_deref(), host, &uri)?)
            .timeout_connect(Some(CONNECT.min(whole)))
            .timeout_global(Some(whole))
            .build();
        let connector = ().chain(ConnectProxyConnector::default()).chain(TcpConnector::default()).chain(tls);
        let headers = headers(&target).ok_or_else(|| unusable("credentials"))?;
        let agent = Agent::with_parts(config, connector, DefaultResolver::default());
        Ok(Self { agent, server: target.server, headers, whole })
    }

    /// Reads.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn get<T: DeserializeOwned>(&self, route: &Route) -> Result<Reply<T>, ClientError> {
        self.send(Method::GET, route, None)
    }

    /// Creates, or does something. The body may hold secrets: it is wiped when it was sent.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn post<T: DeserializeOwned>(
        &self,
        route: &Route,
        body: &impl Serialize,
    ) -> Result<Reply<T>, ClientError> {
        self.send(Method::POST, route, Some(self.encode(body)?))
    }

    /// Deletes; the body holds options such as preconditions.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn delete<T: DeserializeOwned>(
        &self,
        route: &Route,
        body: &impl Serialize,
    ) -> Result<Reply<T>, ClientError> {
        self.send(Method::DELETE, route, Some(self.encode(body)?))
    }

    /// Posts a form, as the doors of OAuth want it, and looks at nothing of the answer but whether it is a refusal.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn post_form(&self, route: &Route, members: &[(&str, &str)]) -> Result<(), ClientError> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(members);
        let body = Zeroizing::new(form.finish().into_bytes());
        self.exchange(Method::POST, route, Some((body, "application/x-www-form-urlencoded"))).map(|_| ())
    }

    /// Posts, and looks at nothing of the answer but whether it is a refusal.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn post_empty(&self, route: &Route, body: &impl Serialize) -> Result<(), ClientError> {
        let body = (self.encode(body)?, "application/json");
        self.exchange(Method::POST, route, Some(body)).map(|_| ())
    }

    /// The server's URL.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    fn encode(&self, body: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, ClientError> {
        serde_json::to_vec(body)
            .map(Zeroizing::new)
            .map_err(|error| ClientError::Unusable(format!("the request cannot be written as JSON: {error}")))
    }

    fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        route: &Route,
        body: Option<Zeroizing<Vec<u8>>>,
    ) -> Result<Reply<T>, ClientError> {
        let body = body.map(|body| (body, "application/json"));
        let Reply { body: Raw { status, bytes }, warnings } = self.exchange(method, route, body)?;
        // The parser's words may quote the body, which may hold a secret.
        let body = serde_json::from_slice(&bytes).map_err(|error| {
            self.foreign(format!(
                "its answer ({status}) is not what was asked for (line {}, column {})",
                error.line(),
                error.column()
            ))
        })?;
        Ok(Reply { body, warnings })
    }

    /// Status and bytes of an answer that is no refusal.
    fn exchange(
        &self,
        method: Method,
        route: &Route,
        body: Option<(Zeroizing<Vec<u8>>, &'static str)>,
    ) -> Result<Reply<Raw>, ClientError> {
        let mut request = Request::builder().method(method).uri(format!("{}{}", self.server, route.0));
        if let Some(headers) = request.headers_mut() {
            *headers = self.headers.clone();
            if let Some((_, kind)) = &body {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            }
        }
        let asked = match &body {
            Some((body, _)) => request.body(body.as_slice()).map(|request| self.agent.run(request)),
            None => request.body(()).map(|request| self.agent.run(request)),
        };
        let answer = asked.map_err(|_| ClientError::Unusable("the request is no request of HTTP".into()))?;
        let mut answer = answer.map_err(|error| self.failed(error))?;
        let status = answer.status();
        let warnings = warnings(answer.headers());
        if status.is_redirection() {
            let to = answer.headers().get(LOCATION).and_then(|to| to.to_str().ok()).map(printable);
            let to = to.map(|to| format!(" to {to}")).unwrap_or_default();
            return Err(ClientError::Redirect { server: self.server.clone(), to });
        }
        let bytes = answer.body_mut().with_config().limit(LARGEST).read_to_vec().map(Zeroizing::new);
        let bytes = bytes.map_err(|error| self.failed(error))?;
        if !status.is_success() {
            return Err(ClientError::refused(status.as_u16(), &bytes));
        }
        Ok(Reply { body: Raw { status: status.as_u16(), bytes }, warnings })
    }

    pub(crate) fn foreign(&self, why: String) -> ClientError {
        ClientError::Foreign { server: self.server.clone(), why }
    }

    fn failed(&self, error: ureq::Error) -> ClientError {
        let server = self.server.clone();
        let unreachable = |why: String| ClientError::Unreachable { server: server.clone(), why };
        match error {
            ureq::Error::Timeout(ureq::Timeout::Connect) => {
                ClientError::Slow { server, after: CONNECT.min(self.whole) }
            }
            ureq::Error::Timeout(_) => ClientError::Slow { server, after: self.whole },
            ureq::Error::HostNotFound => unreachable("there is no host of this name".into()),
            ureq::Error::BodyExceedsLimit(limit) => ClientError::TooLarge { server, limit },
            ureq::Error::ConnectProxyFailed(why) => {
                unreachable(format!("the proxy refuses: {}", printable(&why)))
            }
            ureq::Error::Protocol(why) => self.foreign(printable(&why.to_string())),
            ureq::Error::Io(error) => {
                match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                    Some(rustls::Error::InvalidCertificate(why)) => {
                        let kind = Untrusted::from(why);
                        ClientError::Untrusted {
                            server,
                            why: untrusted(kind, why),
                            stranger: kind == Untrusted::Issuer,
                        }
                    }
                    Some(other) => unreachable(format!(
                        "no TLS connection could be made: {}",
                        printable(&other.to_string())
                    )),
                    None => unreachable(eartag_server::files::why(&error)),
                }
            }
            other => unreachable(printable(&other.to_string())),
        }
    }
}

/// Where to only: the headers hold the credentials.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("server", &self.server).finish_non_exhaustive()
    }
}

fn headers(target: &Target) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let agent = concat!("eartag/", env!("CARGO_PKG_VERSION"));
    headers.insert(USER_AGENT, HeaderValue::from_static(agent));
    let credentials = match &target.login {
        Login::None => None,
        Login::Bearer(token) => Some(Zeroizing::new(format!("Bearer {}", token.expose_secret()))),
        Login::Basic { username, password } => {
            let pair = Zeroizing::new(format!("{username}:{}", password.expose_secret()));
            let encoded = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
            Some(Zeroizing::new(format!("Basic {}", encoded.as_str())))
        }
    };
    if let Some(credentials) = credentials {
        let mut value = HeaderValue::from_str(&credentials).ok()?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    if let Some(acting) = &target.acting_as {
        let value = |text: &str| HeaderValue::from_bytes(text.as_bytes()).ok();
        headers.insert(HeaderName::from_static("impersonate-user"), value(&acting.user)?);
        if !acting.uid.is_empty() {
            headers.insert(HeaderName::from_static("impersonate-uid"), value(&acting.uid)?);
        }
        for group in &acting.groups {
            headers.append(HeaderName::from_static("impersonate-group"), value(group)?);
        }
    }
    Some(headers)
}

/// The proxy of the kubeconfig, or of the environment; never one to this very machine.
fn proxy(configured: Option<&str>, host: &str, uri: &Uri) -> Result<Option<Proxy>, ClientError> {
    let here =
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    let proxy = match configured {
        Some(url) => {
            let proxy = Proxy::new(url);
            Some(proxy.map_err(|_| {
                ClientError::Unusable("the kubeconfig's proxy-url is no URL of a proxy".into())
            })?)
        }
        None if here => None,
        None => Proxy::try_from_env().filter(|proxy| !proxy.is_no_proxy(uri)),
    };
    match proxy {
        Some(proxy) if proxy.protocol() != ProxyProtocol::Http => {
            Err(ClientError::Unusable("only http:// proxies can be used".into()))
        }
        proxy => Ok(proxy),
    }
}

fn untrusted(kind: Untrusted, why: &rustls::CertificateError) -> String {
    match kind {
        Untrusted::Issuer => "its certificate is not signed by an authority that is trusted here".into(),
        Untrusted::Other => format!("{kind} ({})", printable(&why.to_string())),
        known => known.to_string(),
    }
}

/// The texts in `Warning: 299 - "text"`.
fn warnings(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(WARNING)
        .iter()
        .filter_map(|value| warning(&String::from_utf8_lossy(value.as_bytes())))
        .collect()
}

fn warning(header: &str) -> Option<String> {
    let mut quoted =
        header.strip_prefix("299 ")?.trim_start().split_once(' ')?.1.trim_start().strip_prefix('"')?.chars();
    let mut text = String::new();
    loop {
        match quoted.next()? {
            '"' => return Some(printable(&text)),
            '\\' => text.push(quoted.next()?),
            c => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use proptest::prelude::*;
    use secrecy::SecretString;

    use super::super::kubeconfig::{ActingAs, Trust};
    use super::*;

    fn target(login: Login) -> Target {
        Target {
            server: "https://127.0.0.1:1".into(),
            trust: Trust::System,
            server_name: None,
            certificate: None,
            login,
            acting_as: None,
            proxy: None,
        }
    }

    #[test]
    fn routes_hold_whatever_a_name_holds() {
        let tokens = Route::new("/v3/tokens");
        assert_eq!(tokens.item("a/../b?c#d%").0, "/v3/tokens/a%2F..%2Fb%3Fc%23d%25");
        assert_eq!(tokens.item("..").0, "/v3/tokens/%2E%2E");
        assert_eq!(tokens.query("a", "x&y=z").query("b", "ä").0, "/v3/tokens?a=x%26y%3Dz&b=%C3%A4");
    }

    #[test]
    fn warnings_are_unquoted() {
        assert_eq!(
            warning(r#"299 - "ttl \"x\" is \\ too long" "date""#).as_deref(),
            Some(r#"ttl "x" is \ too long"#)
        );
        for bad in ["", "299", "199 - \"x\"", "299 - x", "299 - \"x", "299 - \"x\\"] {
            assert_eq!(warning(bad), None, "{bad}");
        }
    }

    #[test]
    fn credentials_are_headers_that_cannot_be_printed() {
        let bearer = headers(&target(Login::Bearer(SecretString::from("ext/a:s3cret")))).unwrap();
        assert_eq!(bearer[AUTHORIZATION], "Bearer ext/a:s3cret");
        assert!(!format!("{bearer:?}").contains("s3cret"));
        let basic = Login::Basic { username: "ann".into(), password: SecretString::from("pw") };
        assert_eq!(headers(&target(basic)).unwrap()[AUTHORIZATION], "Basic YW5uOnB3");
        assert!(headers(&target(Login::Bearer(SecretString::from("a\nb")))).is_none());
        assert!(!headers(&target(Login::None)).unwrap().contains_key(AUTHORIZATION));
    }

    #[test]
    fn impersonation_is_passed_on_whole() {
        let acting = ActingAs { user: "ann".into(), uid: "7".into(), groups: vec!["a".into(), "b".into()] };
        let headers = headers(&Target { acting_as: Some(acting), ..target(Login::None) }).unwrap();
        assert_eq!(
            (&headers["impersonate-user"], &headers["impersonate-uid"]),
            (&"ann".parse().unwrap(), &"7".parse().unwrap())
        );
        assert_eq!(headers.get_all("impersonate-group").iter().count(), 2);
    }

    #[test]
    fn a_machine_needs_no_proxy_to_itself() {
        let uri: Uri = "https://127.0.0.1:1".parse().unwrap();
        assert!(proxy(None, "127.0.0.1", &uri).unwrap().is_none());
        assert!(proxy(Some("socks5://x:1"), "127.0.0.1", &uri).is_err());
        assert!(proxy(Some("http://x:1"), "127.0.0.1", &uri).unwrap().is_some());
    }

    proptest! {
        #[test]
        fn no_header_of_a_server_makes_a_warning_fail(header in ".{0,200}") {
            let _ = warning(&header);
        }

        #[test]
        fn a_segment_is_one_segment(name in ".{1,60}") {
            let route = Route::new("/t").item(&name).0;
            prop_assert_eq!(route.matches('/').count(), 2);
            prop_assert!(!route.contains(['?', '#', ' ']));
        }
    }
}
