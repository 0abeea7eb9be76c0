//! `/v3`, Rancher's own API: another shape over the same kinds (v3-token.md §1.3 to §1.6, §6).
//!
//! ```text
//! request → who? (authn) → which type? (RESOURCES) → may? (authorizer) → body ⇄ object → kind → item, list or error
//!                                                                         list: selected ─→ written while it is sent
//! ```
//!
//! A further type is a [`V3Resource`](resource::V3Resource) and a line in [`RESOURCES`]. Pages for browsers are made from the answers, in [`view`].

pub(crate) mod asked;
#[cfg(test)]
mod bad_input_tests;
mod clusters;
pub mod collection;
#[cfg(test)]
mod collection_tests;
mod dispatch;
pub mod door;
#[cfg(test)]
mod door_tests;
pub mod error;
mod features;
pub mod format;
mod global_role_bindings;
mod global_roles;
pub mod item;
pub mod page;
mod projects;
pub mod reply;
pub mod request;
pub mod resource;
#[cfg(test)]
mod schema_client_tests;
pub mod schemas;
mod select;
mod settings;
mod sorted;
mod tokens;
#[cfg(test)]
mod tokens_tests;
mod users;
pub mod view;

use std::sync::Arc;

use bytes::Bytes;
use eartag_apiserver::http::query::Query;
use eartag_apiserver::http::reply as wire;
use eartag_apiserver::{Map, Tree};
use http::header::{ACCEPT_ENCODING, SET_COOKIE};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};

use self::dispatch::{Answer, Answered};
use self::format::Format;
pub use self::request::read_body;
use self::resource::V3Resource;
use self::view::frame::Csrf;
use crate::authn;
use crate::listener::{Body, Peer};
use crate::state::State;

/// The types that are served.
static RESOURCES: &[&dyn V3Resource] = &[
    &tokens::Tokens,
    &users::Users,
    &settings::Settings,
    &features::Features,
    &global_roles::GlobalRoles,
    &global_role_bindings::GlobalRoleBindings,
    &clusters::Clusters,
    &projects::Projects,
];

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
{
    let (parts, body) = request.into_parts();
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let address = authn::public_address(state, &parts, peer);
    let csrf = page::is_browser(&parts.headers).then(|| Csrf::of(state, &parts.headers));

    let mut response = if page::wants_page(&parts.method, &parts.headers, &query) {
        let token = csrf.as_ref().map_or("", |csrf| csrf.token.as_str());
        let asked = view::Asked { state, parts: &parts, query: &query, peer, address: &address, csrf: token };
        view::answer(&asked, body).await
    } else {
        let answered = dispatch::answer(state, &parts, &query, body, peer, &address).await;
        write(&parts, &query, answered).await
    };
    if let Ok(schemas) = HeaderValue::from_str(&format!("{}/v3/schemas", address.base())) {
        response.headers_mut().insert(HeaderName::from_static("x-api-schemas"), schemas);
    }
    if let Some(value) = csrf.and_then(|csrf| csrf.fresh) {
        response.headers_mut().append(SET_COOKIE, value);
    }
    if parts.method == Method::HEAD {
        *response.body_mut() = reply::body(Vec::new());
    }
    response
}

/// JSON or YAML, whichever is wanted.
async fn write(parts: &Parts, query: &Query, answered: Answered) -> Response<Body> {
    let format = Format::wanted(&parts.headers, query);
    let rename = parts.headers.contains_key("x-api-action-links");
    let mut reply = match answered.answer {
        Answer::List(list) => {
            let accept = parts.headers.get(ACCEPT_ENCODING).and_then(|v| v.to_str().ok());
            match list.stream(format, rename, accept).await {
                Ok(response) => return response,
                Err(error) => error.into(),
            }
        }
        Answer::Reply(reply) => reply,
    };
    if rename && let Some(body) = &mut reply.body {
        rename_actions(body);
    }
    let created = reply.status == StatusCode::CREATED;
    let mut response = reply.into_response_as(format);
    // What is created here is what the client gets to see in the answer: the reference does not warn of it.
    if let Some(door) = answered.door.filter(|_| !created) {
        wire::warn(&mut response, &door.cx.take_warnings());
    }
    response
}

/// `X-API-Action-Links` asks for `actions` under the name `actionLinks`.
fn rename_actions(body: &mut Tree) {
    let Some(members) = body.as_object_mut() else { return };
    rename_member(members);
    for item in members.get_mut("data").and_then(Tree::as_array_mut).into_iter().flatten() {
        rename_actions(item);
    }
}

fn rename_member(members: &mut Map) {
    if let Some(actions) = members.remove("actions") {
        members.insert("actionLinks".to_owned(), actions);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use serde_json::json;

    use super::*;

    #[test]
    fn actions_are_renamed_for_those_who_ask() {
        let mut body = json!({"actions": {}, "data": [{"actions": {"a": "b"}}]});
        rename_actions(&mut body);
        assert_eq!(body, json!({"actionLinks": {}, "data": [{"actionLinks": {"a": "b"}}]}));
    }
}
