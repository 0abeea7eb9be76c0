//! From a request to an answer: who asks, for which type, and what is done.

use std::sync::Arc;

use bytes::Bytes;
use eartag_apiserver::Map;
use eartag_apiserver::http::query::Query;
use eartag_apiserver::kind::Cx;
use http::Method;
use http::request::Parts;

use super::collection::Collection;
use super::door::Door;
use super::error::V3Error;
use super::item::{Rights, item};
use super::reply::Reply;
use super::request::{Content, Path, body_of, effective_method};
use super::resource::{About, V3Resource};
use super::{RESOURCES, page, schemas};
use crate::authn::address::PublicAddress;
use crate::authn::{self, AuthnFailure, Caller};
use crate::listener::Peer;
use crate::login;
use crate::state::State;

/// What came of a request.
pub struct Answered {
    /// The request as it was let in.
    pub door: Option<Arc<Door>>,
    /// The type that it is about.
    pub about: Option<&'static About>,
    /// The answer.
    pub answer: Answer,
}

/// An answer.
pub enum Answer {
    /// One that is there.
    Reply(Reply),
    /// A list that is read while it is sent.
    List(Box<Collection>),
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Answer {
        Answer::Reply(reply)
    }
}

/// Answers one request.
pub async fn answer<B>(
    state: &Arc<State>,
    parts: &Parts,
    query: &Query,
    body: B,
    peer: &Peer,
    address: &PublicAddress,
) -> Answered
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let path = Path::parse(parts.uri.path());
    let resource = match path {
        Path::Collection(plural) | Path::Item(plural, _) => find(plural),
        Path::Root | Path::Nothing => None,
    };
    let about = resource.map(V3Resource::about);
    let refused = |error: V3Error| Answered { door: None, about, answer: Reply::from(error).into() };
    let method = match effective_method(&parts.method, query) {
        Ok(method) => method,
        Err(error) => return refused(error),
    };
    if path == Path::Collection("tokens")
        && method == Method::POST
        && matches!(query.get("action"), "logout" | "logoutAll")
    {
        let reply = login::logout::logout(state, parts, peer, address).await;
        return Answered { door: None, about, answer: reply.into() };
    }
    let public = match (&path, resource) {
        (Path::Item(_, id), Some(resource)) => method == Method::GET && resource.public(id),
        _ => false,
    };
    let (caller, public) = match authn::authenticate(state, parts, peer).await {
        Ok(caller) => (caller, false),
        // What is public is so with a bad credential too: whoever shows the page before a login has an old cookie.
        Err(AuthnFailure::Anonymous | AuthnFailure::Rejected) if public => {
            (Caller::anonymous(authn::client_address(state, &parts.headers, peer)), true)
        }
        Err(AuthnFailure::Anonymous | AuthnFailure::Rejected) => {
            return Answered { door: None, about, answer: Reply::must_authenticate().into() };
        }
        Err(AuthnFailure::CrossSite) => return refused(V3Error::csrf()),
        Err(AuthnFailure::Refused(refusal)) => return refused(V3Error::of(&refusal, &Default::default())),
    };
    let caller = Arc::new(caller);
    let facts = Arc::clone(&caller);
    let mut cx = Cx::new(caller.user.clone(), facts, Arc::clone(&state.authorizer), Arc::clone(&state.world));
    cx.field_manager = authn::field_manager(&parts.headers);
    let state = Arc::clone(state);
    let door = Arc::new(Door { state, caller, cx, base: address.base(), query: query.clone(), public });
    let answer = on_path(&door, parts, &path, resource, &method, body).await;
    let answer = answer.unwrap_or_else(|stop| stop.into_reply().into());
    Answered { door: Some(door), about, answer }
}

/// The type of that name.
pub fn find(plural: &str) -> Option<&'static dyn V3Resource> {
    // The reference takes the collection's name in any case, and clients rely on it.
    RESOURCES.iter().copied().find(|resource| resource.about().plural.eq_ignore_ascii_case(plural))
}

enum Stop {
    MustAuthenticate,
    Error(V3Error),
}

impl Stop {
    fn into_reply(self) -> Reply {
        match self {
            Stop::MustAuthenticate => Reply::must_authenticate(),
            Stop::Error(error) => error.into(),
        }
    }
}

impl From<V3Error> for Stop {
    fn from(error: V3Error) -> Stop {
        Stop::Error(error)
    }
}

async fn on_path<B>(
    door: &Arc<Door>,
    parts: &Parts,
    path: &Path<'_>,
    resource: Option<&'static dyn V3Resource>,
    method: &Method,
    body: B,
) -> Result<Answer, Stop>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let fixed = match *path {
        Path::Root => Some(schemas::root(&door.base)),
        Path::Collection("schemas") => Some(schemas::schemas(&door.base)),
        Path::Item("schemas", id) => {
            let about = schemas::all().find(|about| about.id.eq_ignore_ascii_case(id));
            Some(schemas::schema(&door.base, about.ok_or_else(nothing_there)?))
        }
        _ => None,
    };
    if let Some(tree) = fixed {
        return match *method {
            Method::GET => Ok(Reply::ok(tree).into()),
            _ => Err(V3Error::method_not_allowed(method).into()),
        };
    }
    let resource = resource.ok_or_else(nothing_there)?;
    let content = Content::of(&parts.headers);
    let creates =
        *method == Method::POST && matches!(path, Path::Collection(_)) && door.query.get("action").is_empty();
    let decoded = creates && resource.decoded_by_the_language();
    let body = match body_of(method, content, body).await {
        Ok(None) if decoded => Err(V3Error::new(422, "InvalidFormat", "unexpected end of JSON input")),
        Err(error) if decoded && error.status == 422 => Err(V3Error { code: "InvalidFormat", ..error }),
        body => body.map(Option::unwrap_or_default),
    }?;
    // A body may be sent slowly, and the credential revoked meanwhile.
    if !authn::still_good(&door.state, &door.caller) {
        return Err(Stop::MustAuthenticate);
    }
    match *path {
        Path::Item(_, id) => Ok(on_item(door, resource, id, method, &body).await?.into()),
        _ if *method == Method::GET && resource.about().collection_methods.contains(&"GET") => {
            let page = page::wants_page(&parts.method, &parts.headers, &door.query);
            Ok(Answer::List(Box::new(Collection::open(Arc::clone(door), resource, page).await?)))
        }
        _ => Ok(on_collection(door, resource, method, &body).await?.into()),
    }
}

async fn on_collection(
    door: &Door,
    resource: &dyn V3Resource,
    method: &Method,
    body: &Map,
) -> Result<Reply, V3Error> {
    let about = resource.about();
    let action = door.query.get("action");
    if *method == Method::POST && !action.is_empty() {
        if !about.collection_actions.iter().any(|known| known.name == action) {
            return Err(V3Error::invalid_action(action));
        }
        return resource.act_on_all(door, action, body).await;
    }
    if !about.collection_methods.contains(&method.as_str()) {
        return Err(V3Error::method_not_allowed(method));
    }
    door.require(resource, "create", "").await?;
    let body = about.checked(body, true).map_err(|error| match error.code {
        "InvalidFormat" if resource.decoded_by_the_language() => about.in_the_decoders_words(error, body),
        _ => error,
    })?;
    let made = resource.create(door, &body).await?;
    let reply = Reply::created(item(door, resource, &made.object, Rights::default()).await?);
    Ok(Reply { once: made.once, ..reply })
}

async fn on_item(
    door: &Door,
    resource: &dyn V3Resource,
    id: &str,
    method: &Method,
    body: &Map,
) -> Result<Reply, V3Error> {
    let about = resource.about();
    let action = door.query.get("action");
    if *method == Method::POST {
        if !about.resource_actions.iter().any(|known| known.name == action) {
            return Err(match action {
                "" => V3Error::method_not_allowed(method),
                action => V3Error::invalid_action(action),
            });
        }
        return resource.act(door, id, action, body).await;
    }
    if !about.resource_methods.contains(&method.as_str()) {
        return Err(V3Error::method_not_allowed(method));
    }
    let object = match *method {
        Method::PUT => {
            door.require(resource, "update", id).await?;
            let body = about.checked(body, false)?;
            resource.change(door, id, &body).await?
        }
        Method::DELETE => {
            door.require(resource, "delete", id).await?;
            return resource.delete(door, id).await;
        }
        _ => door.object(resource, id).await?,
    };
    Ok(Reply::ok(item(door, resource, &object, Rights::default()).await?))
}

fn nothing_there() -> V3Error {
    V3Error::not_found("the server could not find the requested resource")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn types_are_found_in_any_case() {
        assert_eq!(find("globalrolebindings").unwrap().about().id, "globalRoleBinding");
        assert_eq!(find("Users").unwrap().about().id, "user");
        assert!(find("nothing").is_none());
    }
}
