//! Discovery and OpenAPI: documents made once for each set of resources that is switched on.

use std::collections::HashMap;
use std::sync::Arc;

use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, EXPIRES, HeaderValue, IF_NONE_MATCH, LOCATION};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use parking_lot::Mutex;

use super::body::Body;
use super::query::Query;
use super::reply::{self, Form};
use super::{accept, header};
use crate::discovery::{self, Catalogue, Freshness, GroupVersion, Root};
use crate::document::Document;
use crate::info::ResourceInfo;
use crate::openapi::{About, v2, v2_proto, v3};
use crate::refusal::{Refusal, Subject};
use crate::registry::Registry;

/// The documents of a registry.
pub(super) struct Documents {
    registry: Arc<Registry>,
    version: String,
    current: Mutex<Option<Arc<Set>>>,
}

/// Documents of one set of served resources.
struct Set {
    served: Vec<bool>,
    made: Mutex<HashMap<String, Document>>,
}

impl Documents {
    /// `version` is the server's, for the OpenAPI documents' title.
    pub(super) fn new(registry: Arc<Registry>, version: String) -> Documents {
        Documents { registry, version, current: Mutex::new(None) }
    }

    /// Answers a request outside the resources.
    pub(super) fn answer(&self, parts: &Parts, path: &str, query: &Query, now_s: i64) -> Response<Body> {
        let segments: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
        let known = matches!(
            segments.as_slice(),
            [] | ["api" | "apis"] | ["api", _] | ["apis", _] | ["apis", _, _] | ["openapi", ..]
        );
        if !known {
            return reply::text(StatusCode::NOT_FOUND, "404 page not found\n");
        }
        if parts.method != Method::GET && parts.method != Method::HEAD {
            return refuse(&Refusal::MethodNotAllowed);
        }
        match segments.as_slice() {
            ["openapi", rest @ ..] => self.openapi(parts, rest, query, now_s),
            [root @ ("api" | "apis")] => {
                let Some(form) = discovery::choose(accept(parts)) else { return not_acceptable() };
                let host = parts.uri.authority().map(|a| a.as_str());
                let host = host.or_else(|| header(&parts.headers, &http::header::HOST)).unwrap_or_default();
                let root_of = if *root == "api" { Root::Core } else { Root::Groups };
                // The old form of `/api` names the address the client used, so it is made for each of them.
                let key = match (form, root_of) {
                    (discovery::Form::Legacy, Root::Core) => return self.legacy_core(parts, host),
                    _ => format!("{root} {form:?}"),
                };
                self.send(parts, &key, |catalogue| {
                    Some(match (form, root_of) {
                        (discovery::Form::Legacy, _) => discovery::api_groups(catalogue),
                        (form, root) => discovery::aggregated(catalogue, root, form),
                    })
                })
            }
            _ if !discovery::legacy_only(accept(parts)) => not_acceptable(),
            [] => self.send(parts, "/", |catalogue| Some(discovery::paths(catalogue, &OTHERS))),
            ["apis", group] => {
                self.send(parts, &format!("apis/{group}"), |catalogue| discovery::api_group(catalogue, group))
            }
            ["api", version] => {
                self.send(parts, &format!("api/{version}"), |c| discovery::api_resources(c, "", version))
            }
            ["apis", group, version] => self.send(parts, &format!("apis/{group}/{version}"), |c| {
                discovery::api_resources(c, group, version)
            }),
            _ => reply::text(StatusCode::NOT_FOUND, "404 page not found\n"),
        }
    }

    fn legacy_core(&self, parts: &Parts, host: &str) -> Response<Body> {
        let document = self.with_catalogue(|catalogue| discovery::api_versions(catalogue, host));
        deliver(parts, &document)
    }

    /// Sends the document under this key, making it if it was not made yet. Absent ones are not remembered: keys come from clients.
    fn send(
        &self,
        parts: &Parts,
        key: &str,
        make: impl FnOnce(&Catalogue<'_>) -> Option<Document>,
    ) -> Response<Body> {
        match self.made(key, make) {
            Some(document) => deliver(parts, &document),
            None => reply::text(StatusCode::NOT_FOUND, "404 page not found\n"),
        }
    }

    fn made(&self, key: &str, make: impl FnOnce(&Catalogue<'_>) -> Option<Document>) -> Option<Document> {
        let set = self.set();
        if let Some(found) = set.made.lock().get(key) {
            return Some(found.clone());
        }
        let document = self.with_catalogue(make)?;
        set.made.lock().insert(key.to_owned(), document.clone());
        Some(document)
    }

    fn openapi(&self, parts: &Parts, rest: &[&str], query: &Query, now_s: i64) -> Response<Body> {
        let about = About { title: "Eartag", version: &self.version };
        match rest {
            ["v2"] => match v2::choose(accept(parts)) {
                Some(v2::Format::Json) => self.send(parts, "openapi/v2 json", |c| Some(v2::json(c, about))),
                Some(v2::Format::Protobuf) => {
                    self.send(parts, "openapi/v2 protobuf", |c| Some(v2_proto::protobuf(c, about)))
                }
                None => reply::respond(StatusCode::NOT_ACCEPTABLE, "application/json", super::body::full("")),
            },
            ["v3", ..] if !v3::accepts(accept(parts)) => {
                reply::respond(StatusCode::NOT_ACCEPTABLE, "application/json", super::body::full(""))
            }
            ["v3"] => self.send(parts, "openapi/v3", |c| Some(v3::documents(c, about).index)),
            ["v3", version @ ..] => {
                let version = version.join("/");
                let key = format!("openapi/v3/{version}");
                let made = self.made(&key, |c| v3::documents(c, about).versions.remove(&version));
                let Some(document) = made else {
                    return reply::text(StatusCode::NOT_FOUND, "404 page not found\n");
                };
                hashed(parts, &document, query, now_s)
            }
            _ => reply::text(StatusCode::NOT_FOUND, "404 page not found\n"),
        }
    }

    fn set(&self) -> Arc<Set> {
        let served: Vec<bool> = self.registry.resources().iter().map(|r| r.served()).collect();
        let mut current = self.current.lock();
        match current.as_ref() {
            Some(set) if set.served == served => set.clone(),
            _ => {
                let set = Arc::new(Set { served, made: Mutex::default() });
                *current = Some(set.clone());
                set
            }
        }
    }

    fn with_catalogue<T>(&self, with: impl FnOnce(&Catalogue<'_>) -> T) -> T {
        let served: Vec<&ResourceInfo> =
            self.registry.resources().iter().filter(|r| r.served()).map(|r| r.info()).collect();
        let groups: Vec<GroupVersion<'_>> = self
            .registry
            .groups()
            .iter()
            .map(|g| GroupVersion { group: g.group, version: g.version, freshness: Freshness::Current })
            .collect();
        with(&Catalogue { versions: &groups, resources: &served })
    }
}

/// Paths beside the API that `/` lists.
const OTHERS: [&str; 8] =
    ["/healthz", "/livez", "/metrics", "/openapi/v2", "/openapi/v3", "/ping", "/readyz", "/version"];

fn deliver(parts: &Parts, document: &Document) -> Response<Body> {
    reply::document(
        document,
        header(&parts.headers, &IF_NONE_MATCH),
        header(&parts.headers, &ACCEPT_ENCODING),
    )
}

/// A document under its hash never changes; under a stale one it has moved (spec O13).
fn hashed(parts: &Parts, document: &Document, query: &Query, now_s: i64) -> Response<Body> {
    const YEAR_S: i64 = 365 * 24 * 3600;
    match v3::answer(Some(query.get("hash")), document, false) {
        v3::Answer::Fresh => deliver(parts, document),
        v3::Answer::Immutable => {
            let mut response = deliver(parts, document);
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
            let expires = jiff::Timestamp::from_second(now_s.saturating_add(YEAR_S))
                .map(|t| t.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
            if let Some(expires) = expires.ok().and_then(|e| HeaderValue::from_str(&e).ok()) {
                response.headers_mut().insert(EXPIRES, expires);
            }
            response
        }
        v3::Answer::Moved(to) => {
            let mut response =
                reply::respond(StatusCode::MOVED_PERMANENTLY, "application/json", super::body::full(""));
            if let Ok(to) = HeaderValue::from_str(&to) {
                response.headers_mut().insert(LOCATION, to);
            }
            response
        }
    }
}

fn refuse(refusal: &Refusal) -> Response<Body> {
    reply::status(&refusal.status(&Subject::default()), Form::JSON)
}

fn not_acceptable() -> Response<Body> {
    refuse(&Refusal::NotAcceptable(vec!["application/json".to_owned()]))
}
