//! Login and logout (v3-token.md §5): the doors that are open without credentials, and the one that closes a session.
//!
//! ```text
//! POST /v3-public/localProviders/local?action=login ─┐        throttle ─→ pool: verify ─→ enabled? ─→ session::issue
//! POST /v1-public/login ─────────────────────────────┴─→ log_in ┘ failures only (DEC53)             └→ JSON, or the cookie R_SESS
//!                                                          `responseType` kubeconfig[_<cluster>]: ─→ kubeconfig::open └→ JSON
//! GET  /v3-public/authProviders, /v3-public/localProviders[/local], /v1-public/authproviders
//! POST /v1/logout
//! GET, POST /login: the page of the API view
//! ```

mod kubeconfig;
pub mod last_login;
pub mod logout;
pub mod page;
pub mod password;
mod providers;
pub mod session;

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use eartag_api::frame;
use eartag_api::secret::SecretText;
use eartag_apiserver::http::query::Query;
use eartag_apiserver::refusal::Refusal;
use eartag_core::collections::USERS;
use eartag_core::password::LONGEST;
use eartag_core::secret::PlainSecret;
use eartag_core::{PasswordHash, token};
use eartag_storage::Entry;
use http::header::SET_COOKIE;
use http::request::Parts;
use http::{Method, Request, Response};
use serde::Deserialize;
use serde_json::json;

use self::password::Passwords;
use self::session::{Issued, issue};
use crate::authn::address::PublicAddress;
use crate::authn::{self, Found, cookie};
use crate::listener::{Body, Peer};
use crate::resources::tokens::{MAX_DESCRIPTION, MOST_TOKENS, tokens_of};
use crate::state::State;
use crate::v3::error::V3Error;
use crate::v3::read_body;
use crate::v3::reply::Reply;

/// Largest body of a login, in bytes.
const MAX_BODY: usize = 64 << 10;

/// With so many tokens of both faces nobody logs in any more. That is more than anybody without full access can make otherwise, so that who has used that up can
/// still log in and tidy up.
const MOST_SESSIONS: u64 = MOST_TOKENS + 10_000;

/// Whether a path belongs to these doors.
#[must_use]
pub fn serves(path: &str) -> bool {
    ["/v3-public", "/v1-public"]
        .iter()
        .any(|door| path.strip_prefix(door).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
        || matches!(path.trim_end_matches('/'), "/v1/logout" | page::PATH)
}

/// Answers one request. No credentials are needed here, and none that come along are looked at, but for logout.
pub async fn handle<B>(state: &Arc<State>, request: Request<B>, peer: &Peer) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (parts, body) = request.into_parts();
    let address = authn::public_address(state, &parts, peer);
    if parts.uri.path().trim_end_matches('/') == page::PATH {
        return page::handle(state, &parts, body, peer, &address).await;
    }
    let mut reply = answer(state, &parts, body, peer, &address).await.unwrap_or_else(Reply::from);
    if parts.method == Method::HEAD {
        reply.body = None;
    }
    reply.into_response()
}

async fn answer<B>(
    state: &Arc<State>,
    parts: &Parts,
    body: B,
    peer: &Peer,
    address: &PublicAddress,
) -> Result<Reply, V3Error>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let path = parts.uri.path().trim_end_matches('/');
    let get = matches!(parts.method, Method::GET | Method::HEAD);
    let base = address.base();
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    match path {
        "/v1/logout" if parts.method == Method::POST => Ok(logout::logout(state, parts, peer, address).await),
        "/v1-public/login" if parts.method == Method::POST => {
            log_in(state, parts, body, peer, address, true).await
        }
        "/v1-public/authproviders" if get => Ok(Reply::ok(providers::v1())),
        "/v3-public/authProviders" | "/v3-public/authproviders" if get => {
            Ok(Reply::ok(providers::collection(&base, "authProvider", "authProviders")))
        }
        "/v3-public/localProviders" if get => {
            Ok(Reply::ok(providers::collection(&base, "localProvider", "localProviders")))
        }
        "/v3-public/localProviders/local" | "/v3-public/authProviders/local" if get => {
            Ok(Reply::ok(providers::local(&base)))
        }
        "/v3-public/localProviders/local" if parts.method == Method::POST => match query.get("action") {
            "login" => log_in(state, parts, body, peer, address, false).await,
            "" => Err(V3Error::action_not_available("")),
            action => Err(V3Error::invalid_action(action)),
        },
        "/v1/logout"
        | "/v1-public/login"
        | "/v1-public/authproviders"
        | "/v3-public/authProviders"
        | "/v3-public/authproviders"
        | "/v3-public/localProviders"
        | "/v3-public/localProviders/local"
        | "/v3-public/authProviders/local" => Err(V3Error::method_not_allowed(&parts.method)),
        _ => Err(V3Error::not_found("the server could not find the requested resource")),
    }
}

/// The body of a login. `ttl` is taken and not used: the session setting alone decides (v3-token.md §5.2).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Login {
    #[serde(rename = "type")]
    kind: Option<String>,
    username: Option<String>,
    password: Option<SecretText>,
    response_type: Option<String>,
    description: Option<String>,
}

async fn log_in<B>(
    state: &Arc<State>,
    parts: &Parts,
    body: B,
    peer: &Peer,
    address: &PublicAddress,
    typed: bool,
) -> Result<Reply, V3Error>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let bytes = read_body(body, MAX_BODY).await?;
    // An object, and nothing else: serde would also take a list of the members' values.
    let is_object = bytes.trim_ascii_start().starts_with(b"{");
    let login: Login =
        serde_json::from_slice(&bytes).ok().filter(|_| is_object).ok_or_else(|| V3Error::body(""))?;
    drop(bytes);
    if typed && login.kind.as_deref() != Some("localProvider") {
        return Err(V3Error::body("unknown authentication provider type"));
    }
    let form = login.response_type.clone().unwrap_or_default();
    let description = login.description.clone().unwrap_or_default();
    if description.len() > MAX_DESCRIPTION {
        let text = format!("description may not be longer than {MAX_DESCRIPTION} bytes");
        return Err(V3Error::new(422, "MaxLimitExceeded", text).field("description"));
    }
    let wants_cookie = form == "cookie";
    // Its user would go on working in a stranger's account.
    if wants_cookie && !authn::from_our_pages(state, parts, address) {
        return Err(V3Error::csrf());
    }
    let client = authn::client_address(state, &parts.headers, peer);
    let issued = match kubeconfig::asked(&form) {
        Some(cluster) => {
            let owner = verified(state, &login, client).await?;
            let issued = kubeconfig::open(state, &owner, cluster).await?;
            tell(client, &owner, &issued);
            issued
        }
        None => log_in_as(state, &login, client, &description).await?,
    };
    answer_with(&issued, wants_cookie)
}

/// A session for whoever's password this is.
async fn log_in_as(
    state: &Arc<State>,
    login: &Login,
    client: IpAddr,
    description: &str,
) -> Result<Issued, V3Error> {
    let owner = verified(state, login, client).await?;
    let issued = open_session(state, &owner, description).await?;
    tell(client, &owner, &issued);
    Ok(issued)
}

fn tell(client: IpAddr, owner: &Entry, issued: &Issued) {
    tracing::info!(%client, user = %String::from_utf8_lossy(owner.key()), token = %issued.name, "login");
}

/// The user whose password this is.
async fn verified(state: &Arc<State>, login: &Login, client: IpAddr) -> Result<Entry, V3Error> {
    let username = login.username.as_deref().unwrap_or_default();
    let plain = login.password.as_ref().map(SecretText::expose).unwrap_or_default();
    let refused = |refusal: Refusal| V3Error::of(&refusal, &Default::default());
    let passwords = Passwords::of(state);

    let attempt = state.gate.logins.begin(username, client, state.world.now_ms()).map_err(|retry| {
        state.metrics.token_check("login", "throttled");
        tracing::warn!(%client, "too many failed logins");
        refused(password::throttled(retry))
    })?;
    let known = match state.gate.usernames.find(username) {
        Found::One(user) => state.store.get(USERS, user.as_bytes()).and_then(|entry| {
            let record = password::record_of(&entry)?;
            let deleted = frame::head(entry.value())?.deleted;
            let hash = passwords.stored(&user)?;
            (!deleted).then_some((entry, record, hash))
        }),
        Found::None => None,
        Found::Several => {
            attempt.undecided();
            tracing::error!("several users have the same login name");
            return Err(V3Error::new(500, "ServerError", "Server error while authenticating"));
        }
    };
    // One hash is computed in any case, of the same cost: names cannot be probed by time.
    let hash = known.as_ref().map_or_else(PasswordHash::decoy, |(.., hash)| hash.clone());
    let outdated = hash.is_outdated();
    let usable = !plain.is_empty() && plain.len() <= LONGEST;
    let plain = Arc::new(PlainSecret::new(if usable { plain } else { "" }));
    let matched = match passwords.verify(hash, Arc::clone(&plain)).await {
        Ok(matched) => matched && usable,
        Err(refusal) => {
            attempt.undecided();
            state.metrics.token_check("login", "busy");
            return Err(refused(refusal));
        }
    };
    let (true, Some((entry, record, _))) = (matched, known) else {
        state.metrics.token_check("login", "wrong_password");
        tracing::info!(%client, "a login failed");
        return Err(V3Error::new(401, "Unauthorized", "authentication failed"));
    };
    attempt.succeeded();
    if !record.is_enabled() {
        state.metrics.token_check("login", "owner_disabled");
        return Err(V3Error::permission_denied("Permission Denied"));
    }
    if outdated {
        let user = String::from_utf8_lossy(entry.key()).into_owned();
        if let Err(refusal) = passwords.refresh(&user, plain).await {
            tracing::warn!(%user, ?refusal, "an outdated password hash was not replaced");
        }
    }
    state.metrics.token_check("login", "good");
    Ok(entry)
}

/// The name of a user who has room for another token of a login.
fn may_have_another(state: &State, owner: &Entry) -> Result<String, V3Error> {
    let name = String::from_utf8_lossy(owner.key()).into_owned();
    if tokens_of(&state.store, &name) >= MOST_SESSIONS {
        return Err(V3Error::permission_denied(
            "this user has too many tokens: delete some, or wait until they expire",
        ));
    }
    Ok(name)
}

async fn open_session(state: &Arc<State>, owner: &Entry, description: &str) -> Result<Issued, V3Error> {
    let name = may_have_another(state, owner)?;
    let refused = |refusal| V3Error::of(&refusal, &Default::default());
    let gone = || refused(Refusal::Conflict("the user was deleted meanwhile".to_owned()));
    let user = state.tables.verifier.owner(&name).ok_or_else(gone)?;
    let ttl = state.tables.settings.snapshot().session;
    issue(
        &state.store,
        &state.tables.features,
        &*state.world,
        owner,
        "token-",
        true,
        |now_s, hashed, random| token::login(&name, &user, description, ttl, hashed, now_s, random),
    )
    .await
    .map_err(refused)
}

fn answer_with(issued: &Issued, wants_cookie: bool) -> Result<Reply, V3Error> {
    if wants_cookie {
        let mut reply = Reply::empty();
        let value = cookie::session(issued.bearer.expose())
            .ok_or_else(|| V3Error::new(500, "ServerError", "Server error while authenticating"))?;
        reply.headers.append(SET_COOKIE, value);
        return Ok(reply);
    }
    Ok(Reply::created(json!({
        "baseType": "token", "type": "token", "id": issued.name, "expiresAt": issued.expires_at,
        "token": issued.bearer.expose(),
    })))
}

#[cfg(test)]
mod tests;
