//! Every request comes in here: health, login, /v3, and the Kubernetes door behind authentication.

use std::sync::Arc;

use async_trait::async_trait;
use eartag_apiserver::http::query::Query;
use eartag_apiserver::http::reply::{self, AUDIT_ID, Form};
use eartag_apiserver::http::request_info::RequestInfo;
use eartag_apiserver::http::{Identity, body, denied};
use eartag_apiserver::refusal::{Refusal, Subject};
use eartag_apiserver::user::Attributes;
use http::header::{ACCEPT, CONNECTION, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use tokio::sync::Semaphore;

use crate::audit_id::AuditIds;
use crate::authn::{self, AuthnFailure, Caller};
use crate::cluster::{LOCAL, our_roles_allow};
use crate::guarded_body::GuardedBody;
use crate::listener::{Body, Peer, Service};
use crate::metrics::{RequestKind, RequestLabels};
use crate::proxy::{self, Proxy, Way};
use crate::request_body::RequestBody;
use crate::state::State;
use crate::token_review::{authenticate, short};
use crate::v3::error::V3Error;
use crate::v3::reply::Reply;
use crate::{login, oauth, v1, v3, version};

/// Requests that only read, at once (kubernetes-api.md Q1).
const MOST_READING: usize = 400;
/// Requests that write, at once.
const MOST_WRITING: usize = 200;

/// Introspections and revocations, at once. Their bodies are small and come at once, or not at all.
const MOST_FORMS: usize = 100;

/// Watches, at once: each costs a few kilobytes.
const MOST_WATCHING: usize = 20_000;

/// The service behind the listener.
pub struct Door {
    state: Arc<State>,
    reading: Arc<Semaphore>,
    writing: Arc<Semaphore>,
    watching: Arc<Semaphore>,
    forms: Arc<Semaphore>,
    proxy: Proxy,
    audit_ids: AuditIds,
}

impl Door {
    /// The door of this server.
    pub fn new(state: Arc<State>) -> Door {
        let bound = |most| Arc::new(Semaphore::new(most));
        Door {
            state,
            reading: bound(MOST_READING),
            writing: bound(MOST_WRITING),
            watching: bound(MOST_WATCHING),
            forms: bound(MOST_FORMS),
            proxy: Proxy::new(),
            audit_ids: AuditIds::new(),
        }
    }

    /// Each way has a box of its own, but for the webhook's, or every request would be given room for the largest of them.
    async fn answer(&self, request: Request<RequestBody>, peer: &Peer) -> Response<Body> {
        let state = &self.state;
        let path = request.uri().path();
        if let Some(answer) = self.public(request.uri()) {
            return answer;
        }
        if proxy::serves(path) {
            return Box::pin(self.cluster(request, peer)).await;
        }
        if short::takes(&request) {
            return self.token_review(request, peer).await;
        }
        if let Some(response) = v3::view::front(state, &request, peer) {
            return response;
        }
        if login::serves(path) {
            return Box::pin(login::handle(state, request, peer)).await;
        }
        if oauth::serves(path) {
            return Box::pin(self.oauth(request, peer)).await;
        }
        if v3::serves(path) || v1::serves(path) || authenticate::serves(path) {
            return Box::pin(self.rancher(request, peer)).await;
        }
        Box::pin(self.kubernetes(request, peer)).await
    }

    /// What nobody has to log in for.
    fn public(&self, uri: &Uri) -> Option<Response<Body>> {
        if let Some(answer) = self.state.health.answer(uri.path(), uri.query()) {
            return Some(answer.into_response());
        }
        match uri.path().trim_end_matches('/') {
            "/version" => Some(version()),
            "/ping" => Some(reply::respond(StatusCode::OK, "text/plain; charset=utf-8", body::full("pong"))),
            _ => None,
        }
    }

    /// Another cluster's API server, or for `local` what this server itself is to Kubernetes' clients.
    async fn cluster(&self, request: Request<RequestBody>, peer: &Peer) -> Response<Body> {
        let state = &self.state;
        let (mut parts, incoming) = request.into_parts();
        let caller = match authn::authenticate(state, &parts, peer).await {
            Ok(caller) => caller,
            Err(failure) => return refuse(&failure),
        };
        match self.proxy.admit(state, &parts, &caller).await {
            Ok(Way::Here(uri)) => match self.public(&uri) {
                Some(answer) => answer,
                None => {
                    parts.uri = uri;
                    self.serve(parts, boxed(incoming), caller, Some(LOCAL)).await
                }
            },
            Ok(Way::There(admitted)) => {
                let forwarded = self.proxy.forward(state, admitted, parts, boxed(incoming), caller, peer);
                forwarded.await.unwrap_or_else(proxy::Failure::into_response)
            }
            Err(failure) => failure.into_response(),
        }
    }

    /// The doors that speak Rancher's own dialects, under the same bounds.
    async fn rancher(&self, request: Request<RequestBody>, peer: &Peer) -> Response<Body> {
        let state = &self.state;
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        let (gate, kind) = if reads {
            (&self.reading, RequestKind::ReadOnly)
        } else {
            (&self.writing, RequestKind::Mutating)
        };
        let Ok(permit) = gate.clone().try_acquire_owned() else {
            return Reply::from(V3Error::of(&too_many(), &Subject::default())).into_response();
        };
        let held = (permit, state.metrics.in_flight(kind));
        let response = if authenticate::serves(request.uri().path()) {
            authenticate::handle(state, request, peer).await
        } else if v1::serves(request.uri().path()) {
            v1::handle(state, request, peer).await
        } else {
            v3::handle(state, request, peer).await
        };
        counted(response, held)
    }

    /// Whoever holds a token may end it, so bodies come here from those who have not said who they are: they must not use up what the others need.
    async fn oauth(&self, request: Request<RequestBody>, peer: &Peer) -> Response<Body> {
        let Ok(permit) = self.forms.clone().try_acquire_owned() else {
            return oauth::busy();
        };
        let held = (permit, self.state.metrics.in_flight(RequestKind::Mutating));
        counted(oauth::handle(&self.state, request, peer).await, held)
    }

    async fn kubernetes(&self, request: Request<RequestBody>, peer: &Peer) -> Response<Body> {
        let state = &self.state;
        let (parts, incoming) = request.into_parts();
        let caller = match authn::authenticate(state, &parts, peer).await {
            Ok(caller) => caller,
            Err(failure) => return refuse(&failure),
        };
        self.serve(parts, boxed(incoming), caller, None).await
    }

    /// A TokenReview, by the short way if it can go that.
    async fn token_review(&self, request: Request<RequestBody>, peer: &Peer) -> Response<Body> {
        let state = &self.state;
        let (parts, incoming) = request.into_parts();
        let bytes = match v3::read_body(incoming, short::LARGEST).await {
            Ok(bytes) => bytes,
            Err(_) => {
                let refusal = Refusal::BadRequest("the body could not be read".to_owned());
                return reply::status(&refusal.status(&Subject::default()), Form::JSON);
            }
        };
        let Ok(permit) = self.writing.clone().try_acquire_owned() else {
            return reply::status(&too_many().status(&Subject::default()), Form::JSON);
        };
        let held = (permit, state.metrics.in_flight(RequestKind::Mutating));
        match short::answer(state, &parts, &bytes, peer).await {
            Ok(Some(response)) => return counted(response, held),
            Ok(None) => drop(held),
            Err(failure) => return refuse(&failure),
        }
        match authn::authenticate(state, &parts, peer).await {
            Ok(caller) => Box::pin(self.serve(parts, body::full(bytes), caller, None)).await,
            Err(failure) => refuse(&failure),
        }
    }

    /// What Kubernetes' clients ask this server, once it is known who asks. Those who came by way of a cluster need the right to it for as long as they are answered.
    async fn serve(
        &self,
        parts: Parts,
        incoming: Body,
        caller: Caller,
        by_way_of: Option<&'static str>,
    ) -> Response<Body> {
        let state = &self.state;
        if parts.uri.path().trim_end_matches('/') == "/metrics" {
            return self.metrics(&caller, &parts.headers).await;
        }
        let reads = parts.method == Method::GET || parts.method == Method::HEAD;
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        let verb = RequestInfo::of(&parts.method, parts.uri.path(), &query).attributes.verb;
        // Watches last, so they have a bound of their own; what is counted waits for nobody.
        let (gate, kind) = match verb.as_str() {
            "watch" => (&self.watching, None),
            _ if reads => (&self.reading, Some(RequestKind::ReadOnly)),
            _ => (&self.writing, Some(RequestKind::Mutating)),
        };
        let Ok(permit) = gate.clone().try_acquire_owned() else {
            return reply::status(&too_many().status(&Subject::default()), Form::JSON);
        };
        let held = kind.map(|kind| state.metrics.in_flight(kind));
        let server = state.server_of(&caller);
        let identity = self.identity(caller, by_way_of);
        let response = server.handle(&parts, incoming, identity).await;
        counted(response, (permit, held))
    }

    fn identity(&self, caller: Caller, by_way_of: Option<&'static str>) -> Identity {
        let user = caller.user.clone();
        let caller = Arc::new(caller);
        let (state, asked) = (self.state.clone(), caller.clone());
        let alive = Arc::new(move || {
            let may = |id| our_roles_allow(&state.tables, &asked.user, id);
            authn::still_good(&state, &asked) && by_way_of.is_none_or(may)
        });
        Identity { user, facts: caller, alive }
    }

    async fn metrics(&self, caller: &Caller, headers: &HeaderMap) -> Response<Body> {
        let state = &self.state;
        let wants = Attributes::path("get", "/metrics");
        if !state.authorizer.authorize(&caller.user, &wants).await.allowed() {
            let refusal = denied(&caller.user, &wants, "");
            return reply::status(&refusal.status(&Subject::default()), Form::JSON);
        }
        let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
        let (content_type, text) = state.metrics.render(accept);
        reply::respond(StatusCode::OK, content_type, body::full(text))
    }

    /// Labels come from what is served, never from the request's own words: their number stays bounded (kubernetes-api.md MT5).
    fn labels(&self, method: &Method, info: Option<&RequestInfo>) -> RequestLabels {
        let found = info.and_then(|info| {
            let a = &info.attributes;
            self.state
                .registry
                .find(&a.group, &a.version, &a.resource)
                .map(|resource| (info, resource.info()))
        });
        let method = match *method {
            Method::GET => "GET",
            Method::HEAD => "HEAD",
            Method::POST => "POST",
            Method::PUT => "PUT",
            Method::PATCH => "PATCH",
            Method::DELETE => "DELETE",
            _ => "other",
        };
        let mut labels = RequestLabels {
            verb: method,
            dry_run: "",
            group: "",
            version: "",
            resource: "",
            subresource: "",
            scope: "",
        };
        if let Some((request, resource)) = found {
            labels.group = resource.group;
            labels.version = resource.version;
            labels.resource = resource.plural;
            labels.verb = match request.attributes.verb.as_str() {
                "list" => "LIST",
                "watch" => "WATCH",
                _ => method,
            };
            let one = !request.attributes.name.is_empty() || labels.verb == "POST";
            labels.scope = if one { "resource" } else { "cluster" };
        }
        labels
    }
}

#[async_trait]
impl Service for Door {
    async fn call(&self, mut request: Request<RequestBody>, peer: &Peer) -> Response<Body> {
        let started = self.state.clock.uptime();
        let audit_id = request
            .headers()
            .get(AUDIT_ID)
            .filter(|id| id.len() <= 128)
            .cloned()
            .unwrap_or_else(|| self.audit_ids.next());
        // Clusters behind the proxy log the same id.
        request.headers_mut().insert(AUDIT_ID, audit_id.clone());
        let unread = request.version() < Version::HTTP_2 && !request.body().is_end_stream();
        let method = request.method().clone();
        let path = tracing::enabled!(tracing::Level::DEBUG).then(|| request.uri().path().to_owned());
        let mut response = self.answer(request, peer).await;
        let took = self.state.clock.uptime().saturating_sub(started);
        let code = response.status().as_u16();
        let labels = response.extensions().get::<RequestLabels>().copied();
        let labels =
            labels.unwrap_or_else(|| self.labels(&method, response.extensions().get::<RequestInfo>()));
        self.state.metrics.request(&labels, code, took);
        tracing::debug!(%method, path, code, ?took, peer = %peer.addr, "request");
        response.headers_mut().insert(AUDIT_ID, audit_id);
        if unread && response.status().as_u16() >= 400 {
            // A refusal may come before the body was read, and then this connection cannot be used again: say so.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

fn boxed(incoming: RequestBody) -> Body {
    incoming.map_err(std::io::Error::other).boxed_unsync()
}

/// The answer counts until its last byte is sent.
fn counted(response: Response<Body>, held: impl Send + Unpin + 'static) -> Response<Body> {
    response.map(|body| GuardedBody::new(body, held).boxed_unsync())
}

fn too_many() -> Refusal {
    Refusal::TooManyRequests {
        message: "Too many requests, please try again later.".to_owned(),
        retry_after_s: 1,
    }
}

fn version() -> Response<Body> {
    match serde_json::to_vec(&version::version_info()) {
        Ok(mut bytes) => {
            bytes.push(b'\n');
            reply::respond(StatusCode::OK, "application/json", body::full(bytes))
        }
        Err(_) => reply::text(StatusCode::INTERNAL_SERVER_ERROR, "the version cannot be shown\n"),
    }
}

fn refuse(failure: &AuthnFailure) -> Response<Body> {
    reply::status(&failure.refusal().status(&Subject::default()), Form::JSON)
}
