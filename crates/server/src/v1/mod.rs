//! `/v1/ext.cattle.io.tokens`: people's tokens in the shape in which Rancher's dashboard reads any Kubernetes object (its "Steve" API). The same kind as the
//! Kubernetes door, the same rights, the same rule for cookies (DEC54).
//!
//! ```text
//! GET    /v1/ext.cattle.io.tokens          list: ?limit, ?continue, ?labelSelector, ?fieldSelector
//! POST   /v1/ext.cattle.io.tokens          create: 201, the secret in this one answer
//! GET    /v1/ext.cattle.io.tokens/<name>   one
//! PUT    /v1/ext.cattle.io.tokens/<name>   change, as a whole
//! DELETE /v1/ext.cattle.io.tokens/<name>   204
//! ```
//!
//! and `/v1/ext.cattle.io.useractivities`, by which it reports that somebody is there ([`activities`]).
//!
//! An object is Kubernetes' own with `id`, `type` and `links` beside it, and with `fields` (its row in a table), `relationships` and `state` in its metadata.

mod activities;
mod list;
mod object;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use eartag_apiserver::http::query::{self, Query};
use eartag_apiserver::http::{denied, reply as wire};
use eartag_apiserver::kind::{Cx, Kind};
use eartag_apiserver::ops::{Change, DeleteOptions};
use eartag_apiserver::refusal::{Refusal, Subject};
use eartag_apiserver::user::Attributes;
use eartag_apiserver::{Map, Tree};
use http::header::ACCEPT_ENCODING;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};

use self::object::Shape;
use crate::authn::{self, AuthnFailure, Caller};
use crate::listener::{Body, Peer};
use crate::state::State;
use crate::v3::error::V3Error;
use crate::v3::reply::{self, Reply};
use crate::v3::request::{Content, MAX_BODY, parse, read_body};

/// The type's name in paths.
const COLLECTION: &str = "/v1/ext.cattle.io.tokens";

/// Whether a path belongs to this door.
#[must_use]
pub fn serves(path: &str) -> bool {
    [COLLECTION, activities::COLLECTION]
        .into_iter()
        .any(|door| path.strip_prefix(door).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

/// Answers one request.
pub async fn handle<B>(state: &Arc<State>, request: Request<B>, peer: &Peer) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (parts, body) = request.into_parts();
    let base = authn::public_address(state, &parts, peer).base();
    let mut response = match authn::authenticate(state, &parts, peer).await {
        Ok(caller) if activities::serves(parts.uri.path()) => {
            let answered = activities::answer(state, caller, &parts, body, &base).await;
            answered.unwrap_or_else(|stop| stop.into_response())
        }
        Ok(caller) => {
            let asked = Asked::new(state, Arc::new(caller), &parts, base);
            let answered = asked.answer(&parts, body).await;
            answered.unwrap_or_else(|stop| stop.into_response())
        }
        Err(AuthnFailure::Anonymous | AuthnFailure::Rejected) => Stop::MustAuthenticate.into_response(),
        Err(AuthnFailure::CrossSite) => Stop::Error(V3Error::csrf()).into_response(),
        Err(AuthnFailure::Refused(refusal)) => {
            Stop::Error(V3Error::of(&refusal, &Subject::default())).into_response()
        }
    };
    if parts.method == Method::HEAD {
        *response.body_mut() = reply::body(Vec::new());
    }
    response
}

enum Stop {
    MustAuthenticate,
    Error(V3Error),
}

impl Stop {
    fn into_response(self) -> Response<Body> {
        match self {
            Stop::MustAuthenticate => Reply::must_authenticate().into_response(),
            Stop::Error(error) => {
                let body = object::error(&error);
                Reply { body: Some(body), ..Reply::from(error) }.into_response()
            }
        }
    }
}

impl From<V3Error> for Stop {
    fn from(error: V3Error) -> Stop {
        Stop::Error(error)
    }
}

/// A request that was let in.
struct Asked {
    state: Arc<State>,
    caller: Arc<Caller>,
    kind: Arc<dyn Kind>,
    cx: Cx,
    query: Query,
    base: String,
}

impl Asked {
    fn new(state: &Arc<State>, caller: Arc<Caller>, parts: &Parts, base: String) -> Asked {
        let facts = Arc::clone(&caller);
        let (authorizer, world) = (Arc::clone(&state.authorizer), Arc::clone(&state.world));
        let mut cx = Cx::new(caller.user.clone(), facts, authorizer, world);
        cx.field_manager = authn::field_manager(&parts.headers);
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        Asked { state: Arc::clone(state), caller, kind: Arc::clone(&state.kinds.tokens), cx, query, base }
    }

    async fn answer<B>(self, parts: &Parts, body: B) -> Result<Response<Body>, Stop>
    where
        B: http_body::Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let path = parts.uri.path().trim_end_matches('/');
        let name = path.strip_prefix(COLLECTION).unwrap_or_default();
        let name = name.strip_prefix('/').unwrap_or(name);
        if name.contains(['/', '%']) || !self.kind.served() {
            return Err(V3Error::not_found("the server could not find the requested resource").into());
        }
        let method = match parts.method {
            Method::HEAD => &Method::GET,
            ref method => method,
        };
        let object = match *method {
            Method::POST | Method::PUT => {
                let bytes = read_body(body, MAX_BODY).await?;
                let content = Content::of(&parts.headers);
                let body = parse(&bytes, content)?;
                // A body may be sent slowly, and the credential revoked meanwhile.
                if !authn::still_good(&self.state, &self.caller) {
                    return Err(Stop::MustAuthenticate);
                }
                object::asked(self.kind.info(), body)
            }
            _ => Map::new(),
        };
        match (method, name) {
            (&Method::GET, "") => {
                let accept = parts.headers.get(ACCEPT_ENCODING).and_then(|v| v.to_str().ok());
                self.require("list", "").await?;
                let options = query::list_options(&self.query, self.kind.info());
                let options = options.map_err(|refusal| self.refused(&refusal, ""))?;
                Ok(list::answer(self, options, accept).await?)
            }
            (&Method::POST, "") => Ok(self.create(object).await?),
            (&Method::GET, name) => {
                self.require("get", name).await?;
                let found = self.state.api.get(&*self.kind, &self.cx, name).await;
                Ok(self.shown(found, name).await?)
            }
            (&Method::PUT, name) if !name.is_empty() => {
                self.require("update", name).await?;
                let change = Change::Put(Tree::Object(object));
                let changed = self.state.api.update(&*self.kind, &self.cx, name, &change).await;
                Ok(self.shown(changed, name).await?)
            }
            (&Method::DELETE, name) if !name.is_empty() => {
                self.require("delete", name).await?;
                let gone =
                    self.state.api.delete(&*self.kind, &self.cx, name, &DeleteOptions::default()).await;
                gone.map_err(|refusal| self.refused(&refusal, name))?;
                Ok(Reply::no_content().into_response())
            }
            _ => Err(V3Error::method_not_allowed(&parts.method).into()),
        }
    }

    async fn create(&self, object: Map) -> Result<Response<Body>, V3Error> {
        self.require("create", "").await?;
        let created = self.state.api.create(&*self.kind, &self.cx, Tree::Object(object)).await;
        let created = created.map_err(|refusal| self.refused(&refusal, ""))?;
        let shape = Shape::of(self).await?;
        let tree = shape.one(self, created.object).await?;
        let mut response = match created.once {
            Some(once) => wire::object_once(StatusCode::CREATED, tree, once, wire::Form::JSON),
            None => wire::object(StatusCode::CREATED, &tree, wire::Form::JSON),
        };
        reply::mark(response.headers_mut());
        wire::warn(&mut response, &self.cx.take_warnings());
        Ok(response)
    }

    async fn shown(&self, found: Result<Tree, Refusal>, name: &str) -> Result<Response<Body>, V3Error> {
        let object = found.map_err(|refusal| self.refused(&refusal, name))?;
        let shape = Shape::of(self).await?;
        let mut response = Reply::ok(shape.one(self, object).await?).into_response();
        wire::warn(&mut response, &self.cx.take_warnings());
        Ok(response)
    }

    fn attributes(&self, verb: &str, name: &str) -> Attributes {
        let info = self.kind.info();
        Attributes {
            version: info.version.to_owned(),
            ..Attributes::resource(verb, info.group, info.plural, name)
        }
    }

    async fn may(&self, verb: &str, name: &str) -> bool {
        self.cx.authorizer.authorize(&self.cx.user, &self.attributes(verb, name)).await.allowed()
    }

    async fn require(&self, verb: &str, name: &str) -> Result<(), V3Error> {
        if self.may(verb, name).await {
            return Ok(());
        }
        Err(self.refused(&denied(&self.cx.user, &self.attributes(verb, name), ""), name))
    }

    fn refused(&self, refusal: &Refusal, name: &str) -> V3Error {
        V3Error::of(refusal, &Subject::new(self.kind.info(), name))
    }
}
