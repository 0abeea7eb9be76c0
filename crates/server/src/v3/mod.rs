//! `/v3`, Rancher's own API: another shape over the same kinds (v3-token.md §1.3 to §1.6, §6).
//!
//! ```text
//! request → who? (authn) → which type? (RESOURCES) → may? (authorizer) → body ⇄ object → kind → item or error
//! ```
//!
//! A further type is a [`V3Resource`](resource::V3Resource) and a line in [`RESOURCES`].

pub mod collection;
pub mod door;
#[cfg(test)]
mod door_tests;
pub mod error;
mod global_role_bindings;
pub mod item;
pub mod reply;
pub mod resource;
pub mod schemas;
mod tokens;
#[cfg(test)]
mod tokens_tests;
mod users;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use eartag_apiserver::http::query::Query;
use eartag_apiserver::kind::Cx;
use eartag_apiserver::{Map, Tree, decode};
use http::header::{SET_COOKIE, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use self::door::Door;
use self::error::V3Error;
use self::item::{Rights, item};
use self::reply::Reply;
use self::resource::V3Resource;
use crate::authn::address::PublicAddress;
use crate::authn::{self, AuthnFailure, cookie};
use crate::listener::{Body, Peer};
use crate::login;
use crate::state::State;

/// The types that are served.
static RESOURCES: &[&dyn V3Resource] =
    &[&tokens::Tokens, &users::Users, &global_role_bindings::GlobalRoleBindings];

/// Largest body, in bytes.
const MAX_BODY: usize = 1 << 20;
/// How long a client may take to send one.
const BODY_TIME: Duration = Duration::from_secs(30);

/// Whether a path belongs to this door.
#[must_use]
pub fn serves(path: &str) -> bool {
    path == "/v3" || path.starts_with("/v3/")
}

/// Answers one request.
pub async fn handle<B>(state: &Arc<State>, request: Request<B>, peer: &Peer) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B::Data: Send,
{
    let (parts, body) = request.into_parts();
    let address = authn::public_address(state, &parts, peer);
    let rename = parts.headers.contains_key("x-api-action-links");
    let mut reply = match answer(state, &parts, body, peer, &address).await {
        Ok(reply) => reply,
        Err(Stop::MustAuthenticate) => Reply::must_authenticate(),
        Err(Stop::Error(error)) => error.into(),
    };
    if rename && let Some(body) = &mut reply.body {
        rename_actions(body);
    }
    if let Ok(schemas) = HeaderValue::from_str(&format!("{}/v3/schemas", address.base())) {
        reply.headers.insert(HeaderName::from_static("x-api-schemas"), schemas);
    }
    if is_browser(&parts.headers) && cookie::value(&parts.headers, cookie::CSRF).is_none_or(str::is_empty) {
        let mut random = [0; 16];
        state.world.random(&mut random);
        if let Some(value) = cookie::csrf(random) {
            reply.headers.append(SET_COOKIE, value);
        }
    }
    if parts.method == Method::HEAD {
        reply.body = None;
    }
    reply.into_response()
}

/// A body may be sent slowly, and the credential revoked meanwhile.
fn still_good(door: &Door) -> Result<(), Stop> {
    if authn::still_good(&door.state, &door.caller) { Ok(()) } else { Err(Stop::MustAuthenticate) }
}

/// Reads a whole body.
///
/// # Errors
/// 413, 408 or 400.
pub async fn read_body<B>(body: B, limit: usize) -> Result<Bytes, V3Error>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match tokio::time::timeout(BODY_TIME, Limited::new(body, limit).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(V3Error::new(
            413,
            "RequestEntityTooLarge",
            format!("Request entity too large: limit is {limit}"),
        )),
        Ok(Err(_)) => Err(V3Error::new(400, "BadRequest", "the body could not be read")),
        Err(_) => Err(V3Error::new(408, "RequestTimeout", "the body took too long")),
    }
}

enum Stop {
    MustAuthenticate,
    Error(V3Error),
}

impl From<V3Error> for Stop {
    fn from(error: V3Error) -> Stop {
        Stop::Error(error)
    }
}

async fn answer<B>(
    state: &Arc<State>,
    parts: &Parts,
    body: B,
    peer: &Peer,
    address: &PublicAddress,
) -> Result<Reply, Stop>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let method = effective_method(&parts.method, &query)?;
    let path = Path::parse(parts.uri.path());
    if let Path::Collection("tokens") = path
        && method == Method::POST
        && matches!(query.get("action"), "logout" | "logoutAll")
    {
        return Ok(login::logout::logout(state, parts, peer).await);
    }
    let caller = match authn::authenticate(state, parts, peer).await {
        Ok(caller) => Arc::new(caller),
        Err(AuthnFailure::Anonymous | AuthnFailure::Rejected) => return Err(Stop::MustAuthenticate),
        Err(AuthnFailure::CrossSite) => return Err(V3Error::csrf().into()),
        Err(AuthnFailure::Refused(refusal)) => return Err(V3Error::of(&refusal, &Default::default()).into()),
    };
    let facts = Arc::clone(&caller);
    let mut cx = Cx::new(caller.user.clone(), facts, Arc::clone(&state.authorizer), Arc::clone(&state.world));
    cx.field_manager = authn::field_manager(&parts.headers);
    let door = Door { state: Arc::clone(state), caller, cx, base: address.base(), query };

    let abouts = || RESOURCES.iter().map(|resource| resource.about());
    match path {
        Path::Root => only_get(&method).map(|()| Reply::ok(schemas::root(&door.base, abouts()))),
        Path::Collection("schemas") => {
            only_get(&method).map(|()| Reply::ok(schemas::schemas(&door.base, abouts())))
        }
        Path::Item("schemas", id) => {
            only_get(&method)?;
            let about = abouts().find(|about| about.id == id).ok_or_else(nothing_there)?;
            Ok(Reply::ok(schemas::schema(&door.base, about)))
        }
        Path::Collection(plural) => {
            let resource = find(plural)?;
            let body = body_of(&method, body).await?;
            still_good(&door)?;
            on_collection(&door, resource, &method, &body).await
        }
        Path::Item(plural, id) => {
            let resource = find(plural)?;
            let body = body_of(&method, body).await?;
            still_good(&door)?;
            on_item(&door, resource, id, &method, &body).await
        }
        Path::Nothing => Err(nothing_there()),
    }
    .map_err(Stop::Error)
}

async fn on_collection(
    door: &Door,
    resource: &dyn V3Resource,
    method: &Method,
    body: &Map,
) -> Result<Reply, V3Error> {
    let about = resource.about();
    if !about.collection_methods.contains(&method.as_str()) {
        return Err(V3Error::method_not_allowed(method));
    }
    if *method == Method::GET {
        return collection::collection(door, resource).await.map(Reply::ok);
    }
    let action = door.query.get("action");
    if !action.is_empty() {
        if !about.collection_actions.iter().any(|known| known.name == action) {
            return Err(V3Error::invalid_action(action));
        }
        return resource.act_on_all(door, action, body).await;
    }
    door.require(resource, "create", "").await?;
    let body = about.checked(body, true)?;
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
            door.change_object(resource, id, &body).await?
        }
        Method::DELETE => {
            door.require(resource, "delete", id).await?;
            return resource.delete(door, id).await;
        }
        _ => door.object(resource, id).await?,
    };
    Ok(Reply::ok(item(door, resource, &object, Rights::default()).await?))
}

fn find(plural: &str) -> Result<&'static dyn V3Resource, V3Error> {
    // The reference takes the collection's name in any case, and clients rely on it.
    RESOURCES
        .iter()
        .copied()
        .find(|resource| resource.about().plural.eq_ignore_ascii_case(plural))
        .ok_or_else(nothing_there)
}

fn nothing_there() -> V3Error {
    V3Error::not_found("the server could not find the requested resource")
}

fn only_get(method: &Method) -> Result<(), V3Error> {
    if *method == Method::GET { Ok(()) } else { Err(V3Error::method_not_allowed(method)) }
}

/// `_method` overrides POST only (DEC54), and `?action=remove` means DELETE.
fn effective_method(method: &Method, query: &Query) -> Result<Method, V3Error> {
    match *method {
        Method::HEAD => Ok(Method::GET),
        Method::POST if query.get("action") == "remove" => Ok(Method::DELETE),
        Method::POST if query.has("_method") => {
            let asked = query.get("_method").to_ascii_uppercase();
            match asked.as_str() {
                "GET" | "POST" | "PUT" | "DELETE" => {
                    Method::from_bytes(asked.as_bytes()).map_err(|_| V3Error::method_not_allowed(method))
                }
                _ => Err(V3Error::new(422, "InvalidOption", "_method must be GET, POST, PUT or DELETE")),
            }
        }
        _ => Ok(method.clone()),
    }
}

async fn body_of<B>(method: &Method, body: B) -> Result<Map, V3Error>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if !matches!(*method, Method::POST | Method::PUT) {
        return Ok(Map::new());
    }
    let bytes = read_body(body, MAX_BODY).await?;
    if bytes.trim_ascii().is_empty() {
        return Ok(Map::new());
    }
    match decode::from_json(&bytes, decode::Limits::default()).map(|decoded| decoded.tree) {
        Ok(Tree::Object(members)) => Ok(members),
        Ok(_) => Err(V3Error::body("the body must be a JSON object")),
        Err(error) => Err(V3Error::body(format!("Failed to parse body: {error}"))),
    }
}

fn is_browser(headers: &HeaderMap) -> bool {
    let agent = headers.get(USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    agent.to_ascii_lowercase().contains("mozilla")
}

/// `X-API-Action-Links` asks for `actions` under the name `actionLinks`.
fn rename_actions(body: &mut Tree) {
    let Some(members) = body.as_object_mut() else { return };
    if let Some(actions) = members.remove("actions") {
        members.insert("actionLinks".to_owned(), actions);
    }
    for item in members.get_mut("data").and_then(Tree::as_array_mut).into_iter().flatten() {
        rename_actions(item);
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Path<'p> {
    Root,
    Collection(&'p str),
    Item(&'p str, &'p str),
    Nothing,
}

impl<'p> Path<'p> {
    fn parse(path: &'p str) -> Path<'p> {
        let mut segments = path.trim_end_matches('/').split('/').skip(1);
        match (segments.next(), segments.next(), segments.next(), segments.next()) {
            (Some("v3"), None, ..) => Path::Root,
            (Some("v3"), Some(plural), None, _) if !plural.is_empty() => Path::Collection(plural),
            (Some("v3"), Some(plural), Some(id), None)
                if !plural.is_empty() && !id.is_empty() && !id.contains('%') =>
            {
                Path::Item(plural, id)
            }
            _ => Path::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use serde_json::json;

    use super::*;

    #[test]
    fn paths_are_read_with_and_without_a_slash_at_the_end() {
        assert_eq!(Path::parse("/v3"), Path::Root);
        assert_eq!(Path::parse("/v3/"), Path::Root);
        assert_eq!(Path::parse("/v3/users"), Path::Collection("users"));
        assert_eq!(Path::parse("/v3/users/u-1/"), Path::Item("users", "u-1"));
        for odd in ["/v3/users/u-1/more", "/v3//u-1", "/v3/users/a%2fb", "/v4", "/"] {
            assert_eq!(Path::parse(odd), Path::Nothing, "{odd}");
        }
    }

    #[test]
    fn only_post_can_be_overridden() {
        let method =
            |method: Method, query: &str| effective_method(&method, &Query::parse(query)).map_err(|e| e.code);
        assert_eq!(method(Method::POST, "_method=delete"), Ok(Method::DELETE));
        assert_eq!(method(Method::POST, "action=remove"), Ok(Method::DELETE));
        assert_eq!(method(Method::GET, "_method=DELETE"), Ok(Method::GET));
        assert_eq!(method(Method::GET, "action=remove"), Ok(Method::GET));
        assert_eq!(method(Method::HEAD, ""), Ok(Method::GET));
        assert_eq!(method(Method::POST, "_method=CONNECT"), Err("InvalidOption"));
    }

    #[test]
    fn types_are_found_in_any_case() {
        assert_eq!(find("globalrolebindings").unwrap().about().id, "globalRoleBinding");
        assert_eq!(find("Users").unwrap().about().id, "user");
        assert!(find("nothing").is_err());
    }

    #[test]
    fn actions_are_renamed_for_those_who_ask() {
        let mut body = json!({"actions": {}, "data": [{"actions": {"a": "b"}}]});
        rename_actions(&mut body);
        assert_eq!(body, json!({"actionLinks": {}, "data": [{"actionLinks": {"a": "b"}}]}));
    }

    #[tokio::test]
    async fn a_body_is_a_json_object_of_bounded_size() {
        let read = |bytes: Vec<u8>| body_of(&Method::POST, http_body_util::Full::new(Bytes::from(bytes)));
        assert_eq!(read(b"{\"a\":1}".to_vec()).await.unwrap()["a"], 1);
        assert!(read(Vec::new()).await.unwrap().is_empty());
        for bad in ["[]", "{", "1", "null"] {
            assert_eq!(read(bad.into()).await.unwrap_err().code, "InvalidBodyContent", "{bad}");
        }
        assert_eq!(read(vec![b' '; MAX_BODY + 1]).await.unwrap_err().status, 413);
        assert_eq!(read(vec![b'['; 100_000]).await.unwrap_err().code, "InvalidBodyContent");
    }
}
