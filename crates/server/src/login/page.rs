//! The login page: `GET /login?next=…` shows it, `POST /login` logs a browser in by the same code as every other login.

use std::sync::Arc;

use bytes::Bytes;
use eartag_api::secret::SecretText;
use eartag_apiserver::http::query::Query;
use eartag_view::local_path;
use eartag_view::pages::{self, Login as LoginPage};
use http::header::{RETRY_AFTER, SET_COOKIE};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};

use super::{Login, MAX_BODY, log_in_as};
use crate::authn::address::PublicAddress;
use crate::authn::{self, cookie};
use crate::listener::{Body, Peer};
use crate::state::State;
use crate::v3::error::V3Error;
use crate::v3::read_body;
use crate::v3::view::frame::{Csrf, Frame, pairs};
use crate::v3::view::{Asked, see_other};

/// Where it is.
pub const PATH: &str = "/login";

/// The login page that leads on to `next`, a path of this server.
#[must_use]
pub fn login_url(prefix: &str, next: &str) -> String {
    let encoded: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
    format!("{prefix}{PATH}?next={encoded}")
}

/// Answers `/login`.
pub async fn handle<B>(
    state: &Arc<State>,
    parts: &Parts,
    body: B,
    peer: &Peer,
    address: &PublicAddress,
) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let csrf = Csrf::of(state, &parts.headers);
    let asked = Asked { state, parts, query: &query, peer, address, csrf: &csrf.token };
    let frame = Frame::of(&asked);
    let mut response = match parts.method {
        Method::GET | Method::HEAD => show(&asked, &frame).await,
        Method::POST => match enter(&asked, &csrf, body).await {
            Ok(response) => response,
            Err(failed) => failed.page(&frame),
        },
        _ => {
            let error = V3Error::method_not_allowed(&parts.method);
            frame.send(StatusCode::METHOD_NOT_ALLOWED, pages::error(&frame.page(), 405, &error.to_tree()))
        }
    };
    if let Some(value) = csrf.fresh
        && !response.headers().get_all(SET_COOKIE).iter().any(|v| v.as_bytes().starts_with(b"CSRF="))
    {
        response.headers_mut().append(SET_COOKIE, value);
    }
    response
}

/// The page; whoever is logged in already goes straight on.
async fn show(asked: &Asked<'_>, frame: &Frame) -> Response<Body> {
    let next = asked.query.get("next");
    let logged_out = asked.query.has("logged_out");
    if !logged_out && authn::authenticate(asked.state, asked.parts, asked.peer).await.is_ok() {
        return see_other(&target(asked.address, next));
    }
    let html = pages::login(&frame.page(), &LoginPage { next, logged_out, ..LoginPage::default() });
    frame.send(StatusCode::OK, html)
}

/// A login that failed, with what is needed to show the page again.
struct Failed {
    error: V3Error,
    username: String,
    next: String,
}

impl Failed {
    fn page(&self, frame: &Frame) -> Response<Body> {
        let status = StatusCode::from_u16(self.error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let tree = self.error.to_tree();
        let login = LoginPage {
            username: &self.username,
            next: &self.next,
            refused: Some((self.error.status, &tree)),
            retry_after_s: self.error.retry_after_s,
            logged_out: false,
        };
        let mut response = frame.send(status, pages::login(&frame.page(), &login));
        if let Some(seconds) = self.error.retry_after_s {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

async fn enter<B>(asked: &Asked<'_>, csrf: &Csrf, body: B) -> Result<Response<Body>, Failed>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let Asked { state, parts, peer, address, .. } = *asked;
    let bytes = read_body(body, MAX_BODY).await.map_err(|error| Failed {
        error,
        username: String::new(),
        next: String::new(),
    })?;
    let mut sent = pairs(&bytes);
    drop(bytes);
    let mut take = |name: &str| {
        let found = sent.iter_mut().find(|(key, _)| key == name);
        found.map(|(_, value)| std::mem::take(value)).unwrap_or_default()
    };
    let (username, next, repeated) = (take("username"), take("next"), take("CSRF"));
    let login = Login {
        username: Some(username.clone()),
        password: Some(SecretText::from(take("password"))),
        ..Login::default()
    };
    let failed = |error| Failed { error, username: username.clone(), next: next.clone() };
    // Nobody else's page may log a browser in (login CSRF): the form repeats the cookie, and comes from here where the browser says from where.
    let ours = csrf.fresh.is_none()
        && cookie::is(&csrf.token, &repeated)
        && authn::from_our_pages(state, parts, address);
    if !ours {
        return Err(failed(V3Error::csrf()));
    }
    let client = authn::client_address(state, &parts.headers, peer);
    let issued = log_in_as(state, &login, client, "").await.map_err(failed)?;
    let mut response = see_other(&target(address, &next));
    let session = cookie::session(issued.bearer.expose())
        .ok_or_else(|| failed(V3Error::new(500, "ServerError", "Server error while authenticating")))?;
    response.headers_mut().append(SET_COOKIE, session);
    // A token that somebody planted before the login is worth nothing after it.
    if let Some(fresh) = Csrf::new(state).fresh {
        response.headers_mut().append(SET_COOKIE, fresh);
    }
    Ok(response)
}

/// Where a login leads: a path of this server, whatever was asked for.
fn target(address: &PublicAddress, next: &str) -> String {
    let next = local_path(next).filter(|path| !path.starts_with(&format!("{}{PATH}", address.prefix)));
    next.map_or_else(|| format!("{}/v3", address.prefix), str::to_owned)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn only_paths_of_this_server_are_led_to() {
        let plain = PublicAddress::parse("https://a.example").unwrap();
        for next in [
            "",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https://evil.example",
            "https:evil.example",
            "/\t/evil.example",
            "/\r\nset-cookie: x",
            "/login",
            "/login?next=/login",
            "javascript:alert(1)",
        ] {
            assert_eq!(target(&plain, next), "/v3", "{next:?}");
        }
        assert_eq!(target(&plain, "/v3/tokens?limit=2"), "/v3/tokens?limit=2");
        let behind = PublicAddress::parse("https://a.example/rancher").unwrap();
        assert_eq!(target(&behind, "//evil.example"), "/rancher/v3");
        assert_eq!(
            login_url("/rancher", "/rancher/v3?a=b&c"),
            "/rancher/login?next=%2Francher%2Fv3%3Fa%3Db%26c"
        );
    }
}
