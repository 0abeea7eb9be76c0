//! The HTTP door: from a request and an identity to an answer.
//!
//! ```text
//! path, method, query → RequestInfo → authorizer → documents (discovery, OpenAPI)
//!                                                └→ resource → ops → reply (object, table, metadata, stream, Status)
//! ```

pub mod body;
mod computed;
mod deletion;
mod documents;
pub mod packed;
pub mod query;
pub mod reply;
pub mod request_info;
mod resource;
pub mod stream;
pub mod table;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode};
use tokio::sync::watch::Receiver;

use body::{Body, full};
use documents::Documents;
use query::Query;
use reply::Form;
use request_info::RequestInfo;

use crate::kind::{Cx, World};
use crate::ops::Api;
use crate::refusal::{Refusal, Subject};
use crate::registry::Registry;
use crate::user::{Attributes, Authorizer, Decision, UserInfo};

/// Who sends the request, as authentication found.
#[derive(Clone)]
pub struct Identity {
    /// After impersonation.
    pub user: UserInfo,
    /// For the kinds.
    pub facts: Arc<dyn Any + Send + Sync>,
    /// Whether the credential is still good.
    pub alive: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// The server: a registry of resources behind an authorizer.
pub struct ApiServer {
    api: Api,
    registry: Arc<Registry>,
    authorizer: Arc<dyn Authorizer>,
    world: Arc<dyn World>,
    ending: Receiver<bool>,
    documents: Documents,
}

/// An ordinary request takes no longer than this.
const LONGEST_REQUEST: Duration = Duration::from_secs(34);

impl ApiServer {
    /// A server over this store. Watches end when `ending` becomes true; `version` goes into the OpenAPI documents.
    pub fn new(
        api: Api,
        registry: Arc<Registry>,
        authorizer: Arc<dyn Authorizer>,
        world: Arc<dyn World>,
        ending: Receiver<bool>,
        version: String,
    ) -> ApiServer {
        let documents = Documents::new(registry.clone(), version);
        ApiServer { api, registry, authorizer, world, ending, documents }
    }

    /// The verbs behind this door.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// Answers a request. The reply's extensions hold the [`RequestInfo`], for metrics and logs.
    pub async fn handle(&self, parts: &Parts, body: Body, identity: Identity) -> Response<Body> {
        let path = trimmed(parts.uri.path());
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        let info = RequestInfo::of(&parts.method, path, &query);
        let mut response = self.answer(parts, path, &query, &info, body, identity).await;
        if parts.method == Method::HEAD {
            *response.body_mut() = full("");
        }
        response.extensions_mut().insert(info);
        response
    }

    async fn answer(
        &self,
        parts: &Parts,
        path: &str,
        query: &Query,
        info: &RequestInfo,
        body: Body,
        identity: Identity,
    ) -> Response<Body> {
        if let Err(refusal) = self.authorize(&identity.user, &info.attributes).await {
            return self.refuse(&refusal, &info.attributes);
        }
        if !info.is_resource {
            let now_s = i64::try_from(self.world.now_ms() / 1000).unwrap_or(i64::MAX);
            return self.documents.answer(parts, path, query, now_s);
        }
        let attributes = &info.attributes;
        let Some(resource) = self.registry.find(&attributes.group, &attributes.version, &attributes.resource)
        else {
            return if self.registry.has(&attributes.group, &attributes.version) {
                self.refuse(&Refusal::NoSuchResource, &Attributes::default())
            } else {
                reply::text(StatusCode::NOT_FOUND, "404 page not found\n")
            };
        };
        let misplaced = !attributes.namespace.is_empty()
            && !resource.info().namespaced
            && attributes.resource != "namespaces";
        if misplaced || info.deeper || !attributes.subresource.is_empty() {
            return self.refuse(&Refusal::NoSuchResource, &Attributes::default());
        }
        let bound = match query::timeout(query, LONGEST_REQUEST) {
            Ok(bound) => bound,
            Err(refusal) => return self.refuse(&refusal, attributes),
        };
        let answer = async {
            let bytes = match attributes.verb.as_str() {
                "get" | "list" | "watch" => Bytes::new(),
                _ => within(bound, body::read(body)).await?,
            };
            // A body may be sent slowly, and the credential or the right taken away meanwhile.
            if !(identity.alive)() {
                return Err(Refusal::Unauthorized);
            }
            if !bytes.is_empty() {
                self.authorize(&identity.user, attributes).await?;
            }
            let long = matches!(attributes.verb.as_str(), "watch" | "deletecollection");
            let answer = self.resource(resource::Request { parts, query, info, resource, identity, bytes });
            if long { answer.await } else { within(bound, answer).await }
        };
        let answered = answer.await;
        answered.unwrap_or_else(|refusal| self.refuse(&refusal, attributes))
    }

    async fn authorize(&self, user: &UserInfo, wants: &Attributes) -> Result<(), Refusal> {
        match self.authorizer.authorize(user, wants).await {
            Decision::Allow => Ok(()),
            Decision::Deny(why) => Err(denied(user, wants, &why)),
            Decision::Error(why) => {
                tracing::error!(%why, "the authorizer failed");
                Err(Refusal::Internal("the authorizer could not decide".to_owned()))
            }
        }
    }

    fn refuse(&self, refusal: &Refusal, attributes: &Attributes) -> Response<Body> {
        let kind = self
            .registry
            .find(&attributes.group, &attributes.version, &attributes.resource)
            .map(|resource| resource.info().kind)
            .unwrap_or_default();
        let subject =
            Subject { group: &attributes.group, plural: &attributes.resource, kind, name: &attributes.name };
        reply::status(&refusal.status(&subject), Form::JSON)
    }

    fn cx(&self, identity: Identity) -> Cx {
        let mut cx = Cx::new(identity.user, identity.facts, self.authorizer.clone(), self.world.clone());
        cx.alive = identity.alive;
        cx
    }
}

/// What a caller without the right is told (spec §5).
pub fn denied(user: &UserInfo, wants: &Attributes, why: &str) -> Refusal {
    let why = if why.is_empty() { String::new() } else { format!(": {why}") };
    if let Some(path) = &wants.path {
        return Refusal::ForbiddenText(format!(
            "forbidden: User {:?} cannot {} path {path:?}{why}",
            user.name, wants.verb
        ));
    }
    let resource = if wants.subresource.is_empty() {
        wants.resource.clone()
    } else {
        format!("{}/{}", wants.resource, wants.subresource)
    };
    let place = if wants.namespace.is_empty() || wants.resource == "namespaces" {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace {:?}", wants.namespace)
    };
    Refusal::Forbidden(format!(
        "User {:?} cannot {} resource {resource:?} in API group {:?} {place}{why}",
        user.name, wants.verb, wants.group
    ))
}

async fn within<T>(bound: Duration, work: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    tokio::time::timeout(bound, work).await.unwrap_or_else(|_| {
        Err(Refusal::Timeout("request did not complete within the allotted timeout".to_owned()))
    })
}

/// Trailing slashes are tolerated (spec D12).
fn trimmed(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() { "/" } else { trimmed }
}

fn header<'a>(headers: &'a HeaderMap, name: &http::header::HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn accept(parts: &Parts) -> Option<&str> {
    header(&parts.headers, &ACCEPT)
}

fn user_agent(parts: &Parts) -> &str {
    header(&parts.headers, &USER_AGENT).unwrap_or_default()
}
