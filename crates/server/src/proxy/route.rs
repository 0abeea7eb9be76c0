//! What a path under `/k8s/clusters/` is about.

use eartag_apiserver::http::query::Query;
use eartag_apiserver::http::request_info::RequestInfo;
use http::header::{CONNECTION, UPGRADE};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Version};
use percent_encoding::percent_decode_str;

use super::failure::Failure;

const PREFIX: &str = "/k8s/clusters/";
/// Sub-resources that carry a conversation, whatever protocol they speak.
const CONVERSATIONS: [&str; 4] = ["attach", "exec", "portforward", "proxy"];
/// Resources of this server by which somebody gets a way to log in.
const LOGINS: [&str; 3] = ["kubeconfigs", "passwordchangerequests", "tokens"];

/// Whether the path names a cluster.
#[must_use]
pub fn serves(path: &str) -> bool {
    split(path).is_some()
}

/// A request to a cluster, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The cluster's id, as it stands in the path.
    pub cluster: String,
    /// Path and query there.
    pub target: PathAndQuery,
    /// The protocol to which the connection shall change.
    pub upgrade: Option<Protocol>,
    /// A watch or the like: it may be silent for as long as it wants.
    pub follows: bool,
    /// Something in the cluster answers, not its API server.
    pub relayed: bool,
    /// It is about what people log in with, of this server's own.
    pub manages_logins: bool,
}

/// What connections may be upgraded to. Anything else, `h2c` above all, would let the client speak to the API server itself, with our credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// kubectl's older protocol.
    Spdy,
    /// kubectl's newer one, and browsers'.
    WebSocket,
}

impl Protocol {
    /// The word in the `Upgrade` header.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Spdy => "SPDY/3.1",
            Protocol::WebSocket => "websocket",
        }
    }

    /// Of the one `Upgrade` header.
    pub fn of(headers: &HeaderMap) -> Option<Protocol> {
        let mut values = headers.get_all(UPGRADE).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return None };
        let named = |p: &Protocol| value.as_bytes().eq_ignore_ascii_case(p.name().as_bytes());
        [Protocol::Spdy, Protocol::WebSocket].into_iter().find(named)
    }
}

impl Route {
    /// Takes a request apart.
    ///
    /// # Errors
    /// [`Failure::Request`]: methods, paths and upgrades that are not passed on.
    pub fn of(parts: &Parts) -> Result<Route, Failure> {
        let (cluster, rest) = split(parts.uri.path()).ok_or(Failure::Request("the path names no cluster"))?;
        const METHODS: [Method; 7] = [
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
            Method::OPTIONS,
        ];
        if !METHODS.contains(&parts.method) {
            return Err(Failure::Request("this method is not passed on to clusters"));
        }
        let rest = if rest.is_empty() { "/" } else { rest };
        if climbs(rest) {
            return Err(Failure::Request("a path with \".\" or \"..\" in it is not passed on to clusters"));
        }
        let raw_query = parts.uri.query().unwrap_or_default();
        let target = match parts.uri.query() {
            Some(query) => format!("{rest}?{query}").parse(),
            None => rest.parse(),
        };
        let target = target.map_err(|_| Failure::Request("the path cannot be passed on"))?;
        let query = Query::parse(raw_query);
        let attributes = RequestInfo::of(&parts.method, rest, &query).attributes;
        let relayed = CONVERSATIONS.contains(&attributes.subresource.as_str());
        Ok(Route {
            cluster: cluster.to_owned(),
            target,
            upgrade: upgrade(parts)?,
            follows: attributes.verb == "watch" || query.flag("follow") || relayed,
            relayed,
            manages_logins: LOGINS.contains(&attributes.resource.as_str()),
        })
    }

    /// Whether it may last as long as it wants.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        self.follows || self.upgrade.is_some()
    }
}

/// Id and what follows it.
fn split(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix(PREFIX)?;
    let (id, rest) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    (!id.is_empty()).then_some((id, rest))
}

/// Whether somebody on the way might leave the path behind the cluster's prefix by it.
pub(super) fn climbs(path: &str) -> bool {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    decoded.split(['/', '\\']).any(|segment| matches!(segment, "." | ".."))
}

fn upgrade(parts: &Parts) -> Result<Option<Protocol>, Failure> {
    let asked = parts.headers.get_all(CONNECTION).iter().any(|value| {
        value
            .to_str()
            .is_ok_and(|list| list.split(',').any(|item| item.trim().eq_ignore_ascii_case("upgrade")))
    });
    // Without both headers nobody on the way takes it for an upgrade, and they are not passed on.
    if !asked || !parts.headers.contains_key(UPGRADE) {
        return Ok(None);
    }
    if parts.version != Version::HTTP_11 {
        return Err(Failure::Request("connections are upgraded in HTTP/1.1 only"));
    }
    match Protocol::of(&parts.headers) {
        Some(protocol) => Ok(Some(protocol)),
        None => Err(Failure::Request("connections to clusters are upgraded to SPDY/3.1 or websocket only")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use http::Request;

    use super::*;

    fn route(method: &str, uri: &str, headers: &[(&str, &str)]) -> Result<Route, Failure> {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Route::of(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn the_prefix_is_cut_off_and_nothing_else() {
        for (uri, cluster, target) in [
            ("/k8s/clusters/c-1", "c-1", "/"),
            ("/k8s/clusters/c-1/", "c-1", "/"),
            ("/k8s/clusters/c-1?x=1", "c-1", "/?x=1"),
            ("/k8s/clusters/c-1/api/v1/pods?watch=1", "c-1", "/api/v1/pods?watch=1"),
            ("/k8s/clusters/c-1/a%20b/%2e%2eb//c", "c-1", "/a%20b/%2e%2eb//c"),
            ("/k8s/clusters/c-1/k8s/clusters/c-2/api", "c-1", "/k8s/clusters/c-2/api"),
        ] {
            let route = route("GET", uri, &[]).unwrap();
            assert_eq!((route.cluster.as_str(), route.target.as_str()), (cluster, target), "{uri}");
        }
        for other in ["/k8s/clusters", "/k8s/clusters/", "/k8s/clusters//api", "//k8s/clusters/c-1", "/v3"] {
            assert!(!serves(other), "{other}");
        }
    }

    #[test]
    fn no_path_climbs_out_of_the_cluster() {
        for path in ["/..", "/a/../b", "/./a", "/%2e%2e/a", "/a/.%2E/b", "/a/..%2fb", "/..%5cb", "/a/.."] {
            assert!(route("GET", &format!("/k8s/clusters/c-1{path}"), &[]).is_err(), "{path}");
        }
    }

    #[test]
    fn only_what_clusters_know_is_passed_on() {
        for method in ["TRACE", "CONNECT", "PROPFIND"] {
            assert!(matches!(route(method, "/k8s/clusters/c-1/api", &[]), Err(Failure::Request(_))));
        }
    }

    #[test]
    fn connections_are_upgraded_to_two_protocols_and_never_to_http() {
        let ask = |upgrade: &str| {
            route(
                "GET",
                "/k8s/clusters/c-1/x",
                &[("connection", "keep-alive, UPGRADE"), ("upgrade", upgrade)],
            )
        };
        assert_eq!(ask("SPDY/3.1").unwrap().upgrade, Some(Protocol::Spdy));
        assert_eq!(ask("WebSocket").unwrap().upgrade, Some(Protocol::WebSocket));
        for bad in ["h2c", "TLS/1.0", "websocket, h2c", "HTTP/2.0", ""] {
            assert!(ask(bad).is_err(), "{bad}");
        }
        let twice = [("connection", "upgrade"), ("upgrade", "websocket"), ("upgrade", "h2c")];
        assert!(route("GET", "/k8s/clusters/c-1/x", &twice).is_err());
        assert_eq!(route("GET", "/k8s/clusters/c-1/x", &[("upgrade", "h2c")]).unwrap().upgrade, None);
    }

    #[test]
    fn what_follows_may_be_silent() {
        let follows = |uri: &str| route("GET", &format!("/k8s/clusters/c-1{uri}"), &[]).unwrap().follows;
        assert!(follows("/api/v1/pods?watch=true") && follows("/api/v1/watch/pods"));
        assert!(follows("/api/v1/namespaces/n/pods/p/log?follow=true"));
        assert!(follows("/api/v1/namespaces/n/pods/p/proxy/metrics"));
        assert!(!follows("/api/v1/namespaces/n/pods/p/log") && !follows("/api/v1/pods"));
    }
}
