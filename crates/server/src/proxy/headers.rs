//! What of a request's headers goes to a cluster, and what of its answer's comes back.
//!
//! The way there is a list of what stays here: programs behind a cluster's proxies want headers that nobody can foresee. The way back is a list of what may
//! pass: browsers take the answer for ours, and invent new headers that act upon an origin (`Set-Cookie`, `Alt-Svc`, `Clear-Site-Data`, …).

use std::collections::HashSet;
use std::net::IpAddr;

use http::header::{
    CONNECTION, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, SEC_WEBSOCKET_PROTOCOL, TE, UPGRADE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, Method};

use super::route::Protocol;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// A credential as a WebSocket protocol, as browsers send it to Kubernetes.
const BEARER_PROTOCOL: &str = "base64url.bearer.authorization.k8s.io.";
/// Whatever a cluster answers, browsers show it as a page of nobody: no scripts, no cookies, nothing loaded.
const SANDBOX: HeaderValue = HeaderValue::from_static("sandbox; default-src 'none'; frame-ancestors 'none'");

/// Of the connection, not of the request (RFC 9110 §7.6.1), or set anew by who sends it on.
const OF_THE_CONNECTION: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
    "via",
];
/// Ours, or about the page it came from.
const OF_OURS: [&str; 8] = [
    "authorization",
    "cookie",
    "cookie2",
    "forwarded",
    "origin",
    "proxy-authorization",
    "referer",
    "x-real-ip",
];
/// Claims of identity, and what proxies say about a request.
const CLAIMS: [&str; 6] =
    ["impersonate-", "x-api-", "x-forwarded-", "x-original-", "x-remote-", "x-rewrite-"];

/// The headers that go to the cluster: the client's without what is ours to say, then the identity, and where the request came from.
pub fn there(client: &HeaderMap, identity: HeaderMap, from: IpAddr, upgrade: Option<Protocol>) -> HeaderMap {
    let named = named_by_connection(client);
    let mut headers = HeaderMap::with_capacity(client.len() + identity.len() + 3);
    for (name, value) in client {
        if !stays(name) && !named.contains(name.as_str()) {
            headers.append(name.clone(), value.clone());
        }
    }
    if client.get_all(TE).iter().any(|value| lists(value, "trailers")) && !named.contains("trailers") {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    without_bearer(&mut headers);
    if let Some(protocol) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static(protocol.name()));
    }
    if let Ok(from) = HeaderValue::from_str(&from.to_string()) {
        headers.insert(FORWARDED_FOR, from);
    }
    // Last, and nothing of these names was let through: they are exactly ours.
    headers.extend(identity);
    headers
}

/// Trailers of a request are held to the same rules.
pub fn trailers_there(trailers: HeaderMap) -> HeaderMap {
    let fields = trailers.iter().filter(|(name, _)| !stays(name));
    fields.map(|(name, value)| (name.clone(), value.clone())).collect::<Vec<_>>().into_iter().collect()
}

/// The headers that come back; `Location` is for [`super::forward`].
pub fn back(upstream: &HeaderMap, method: &Method) -> HeaderMap {
    let named = named_by_connection(upstream);
    let mut headers = HeaderMap::with_capacity(upstream.len() + 2);
    for (name, value) in upstream {
        if passes(name.as_str()) && !named.contains(name.as_str()) {
            headers.append(name.clone(), value.clone());
        }
    }
    // Of an answer with a body it is computed from that.
    if method != Method::HEAD {
        headers.remove(http::header::CONTENT_LENGTH);
    }
    headers.insert(CONTENT_SECURITY_POLICY, SANDBOX);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers
}

/// Trailers of an answer are held to the same rules.
pub fn trailers_back(trailers: HeaderMap) -> HeaderMap {
    let fields = trailers.iter().filter(|(name, _)| passes(name.as_str()));
    fields.map(|(name, value)| (name.clone(), value.clone())).collect::<Vec<_>>().into_iter().collect()
}

/// Whether a client's header stays here. `Impersonate_User` is the same to servers that go by CGI's names.
fn stays(name: &HeaderName) -> bool {
    let name = name.as_str().replace('_', "-");
    OF_THE_CONNECTION.contains(&name.as_str())
        || OF_OURS.contains(&name.as_str())
        || CLAIMS.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether a cluster's header may pass. Those that begin with `x-` are no browser's business; a server in front of ours might obey some of them.
fn passes(name: &str) -> bool {
    const KNOWN: [&str; 22] = [
        "accept-patch",
        "accept-ranges",
        "age",
        "allow",
        "audit-id",
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-length",
        "content-range",
        "content-type",
        "date",
        "deprecation",
        "etag",
        "expires",
        "last-modified",
        "retry-after",
        "sunset",
        "trailer",
        "vary",
        "warning",
    ];
    const FAMILIES: [&str; 3] = ["grpc-", "sec-websocket-", "x-"];
    const OBEYED: [&str; 6] =
        ["x-accel-", "x-api-", "x-lighttpd-", "x-reproxy-", "x-sendfile", "x-litespeed-"];
    KNOWN.contains(&name)
        || (FAMILIES.iter().any(|family| name.starts_with(family))
            && !OBEYED.iter().any(|prefix| name.starts_with(prefix)))
}

/// The names in `Connection` headers, in lower case: these are for us alone.
fn named_by_connection(headers: &HeaderMap) -> HashSet<String> {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|list| list.split(',')).map(|name| name.trim().to_ascii_lowercase()).collect()
}

fn lists(value: &HeaderValue, wanted: &str) -> bool {
    value.to_str().is_ok_and(|list| {
        list.split(',')
            .any(|item| item.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(wanted))
    })
}

/// Takes credentials out of the list of WebSocket protocols.
fn without_bearer(headers: &mut HeaderMap) {
    let kept: Vec<String> = headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .map(|protocol| protocol.trim().to_owned())
        .filter(|protocol| {
            !protocol.is_empty() && !protocol.to_ascii_lowercase().starts_with(BEARER_PROTOCOL)
        })
        .collect();
    headers.remove(SEC_WEBSOCKET_PROTOCOL);
    if let Ok(value) = HeaderValue::from_str(&kept.join(", "))
        && !kept.is_empty()
    {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, value);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use std::net::Ipv4Addr;

    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    fn sent(pairs: &[(&'static str, &'static str)], upgrade: Option<Protocol>) -> HeaderMap {
        let identity = map(&[("impersonate-user", "user-a"), ("impersonate-group", "system:authenticated")]);
        let mut headers = there(&map(pairs), identity, Ipv4Addr::LOCALHOST.into(), upgrade);
        assert_eq!(headers.get_all("impersonate-user").iter().collect::<Vec<_>>(), ["user-a"]);
        assert_eq!(headers.get_all("impersonate-group").iter().collect::<Vec<_>>(), ["system:authenticated"]);
        assert_eq!(headers.get_all(FORWARDED_FOR).iter().collect::<Vec<_>>(), ["127.0.0.1"]);
        for name in ["impersonate-user", "impersonate-group", "x-forwarded-for"] {
            headers.remove(name);
        }
        headers
    }

    #[test]
    fn what_a_client_wants_of_the_cluster_goes_on() {
        let wanted = [
            ("accept", "application/json;as=Table;g=meta.k8s.io;v=v1"),
            ("accept-encoding", "gzip"),
            ("content-type", "application/merge-patch+json"),
            ("user-agent", "kubectl/v1.32"),
            ("if-none-match", "\"1\""),
            ("audit-id", "7"),
            ("x-stream-protocol-version", "v4.channel.k8s.io"),
            ("x-anything", "1"),
        ];
        assert_eq!(sent(&wanted, None), map(&wanted));
    }

    #[test]
    fn claims_and_credentials_stay_here_however_they_are_spelt() {
        let claims = [
            ("authorization", "Bearer a"),
            ("proxy-authorization", "Basic a"),
            ("cookie", "R_SESS=a"),
            ("impersonate-user", "admin"),
            ("impersonate_user", "admin"),
            ("impersonate-group", "system:masters"),
            ("impersonate_group", "system:masters"),
            ("impersonate-uid", "1"),
            ("impersonate-extra-scopes", "all"),
            ("impersonate-anything", "x"),
            ("x-remote-user", "admin"),
            ("x_remote_group", "system:masters"),
            ("x-remote-extra-a", "x"),
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-host", "evil.example"),
            ("forwarded", "for=6.6.6.6"),
            ("x-real-ip", "6.6.6.6"),
            ("x-api-csrf", "x"),
            ("origin", "https://evil.example"),
            ("referer", "https://evil.example/"),
            ("transfer-encoding", "chunked"),
            ("content-length", "7"),
            ("host", "evil.example"),
            ("keep-alive", "1"),
            ("upgrade", "h2c"),
            ("http2-settings", "x"),
            ("expect", "100-continue"),
        ];
        assert_eq!(sent(&claims, None), HeaderMap::new());
    }

    #[test]
    fn a_connection_header_drops_what_it_names_and_nothing_of_ours() {
        let pairs = [
            ("connection", "X-Anything, Impersonate-User, impersonate-group, close"),
            ("connection", "x-forwarded-for"),
            ("x-anything", "1"),
            ("x-other", "2"),
        ];
        assert_eq!(sent(&pairs, None), map(&[("x-other", "2")]));
    }

    #[test]
    fn an_upgrade_is_asked_for_in_our_words() {
        let pairs = [
            ("connection", "upgrade, x-a"),
            ("upgrade", "WEBSOCKET"),
            ("x-a", "1"),
            ("sec-websocket-key", "k"),
            ("sec-websocket-protocol", "v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.YWJj"),
        ];
        let expected = [
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-key", "k"),
            ("sec-websocket-protocol", "v5.channel.k8s.io"),
        ];
        assert_eq!(sent(&pairs, Some(Protocol::WebSocket)), map(&expected));
        let only = [("sec-websocket-protocol", "Base64URL.bearer.authorization.k8s.io.YWJj")];
        assert_eq!(sent(&only, None), HeaderMap::new());
    }

    #[test]
    fn trailers_are_asked_for_and_nothing_else_of_the_connection() {
        assert_eq!(sent(&[("te", "deflate, Trailers;q=1")], None), map(&[("te", "trailers")]));
        assert_eq!(sent(&[("te", "gzip")], None), HeaderMap::new());
        let trailers = trailers_there(map(&[("impersonate-user", "a"), ("grpc-status", "0")]));
        assert_eq!(trailers, map(&[("grpc-status", "0")]));
    }

    #[test]
    fn what_comes_back_acts_on_nobodys_origin() {
        let acts = [
            ("set-cookie", "R_SESS=a"),
            ("strict-transport-security", "max-age=1"),
            ("alt-svc", "h3=\"evil.example:443\""),
            ("clear-site-data", "\"*\""),
            ("refresh", "0;url=https://evil.example"),
            ("link", "</x>; rel=preload"),
            ("access-control-allow-origin", "*"),
            ("access-control-allow-credentials", "true"),
            ("www-authenticate", "Basic"),
            ("content-security-policy", "default-src *"),
            ("service-worker-allowed", "/"),
            ("x-accel-redirect", "/etc"),
            ("x-sendfile", "/etc"),
            ("x-api-schemas", "https://evil.example"),
            ("connection", "x-hop, content-security-policy"),
            ("x-hop", "1"),
            ("transfer-encoding", "chunked"),
            ("location", "https://evil.example/"),
            ("server", "x"),
        ];
        let headers = back(&map(&acts), &Method::GET);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["content-security-policy", "x-content-type-options"]);
        assert!(headers[CONTENT_SECURITY_POLICY].to_str().unwrap().contains("sandbox"));
    }

    #[test]
    fn what_the_cluster_says_about_its_answer_comes_back() {
        let said = [
            ("content-type", "application/json"),
            ("content-encoding", "gzip"),
            ("warning", "299 - \"old\""),
            ("etag", "\"1\""),
            ("x-kubernetes-pf-flowschema-uid", "1"),
            ("retry-after", "1"),
        ];
        let headers = back(&map(&said), &Method::GET);
        for (name, value) in said {
            assert_eq!(headers[name], value);
        }
        let head = back(&map(&[("content-length", "7")]), &Method::HEAD);
        assert_eq!(head["content-length"], "7");
    }
}
