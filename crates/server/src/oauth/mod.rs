//! The two doors for programs that know OAuth and not Kubernetes: introspection (RFC 7662) and revocation (RFC 7009).
//!
//! ```text
//! POST /oauth2/introspect   token=…   whose token is it? by the rules of the TokenReview webhook; anything not good is {"active":false}
//! POST /oauth2/revoke       token=…   ends it: whoever holds the token may, and whoever may delete it
//! ```
//!
//! Bodies are forms, answers JSON that nobody may keep. Cookies are not accepted: a browser sends them by itself. Callers present a token of ours as `Bearer` or
//! as a `Basic` pair, or a client certificate.

mod introspect;
mod revoke;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use eartag_apiserver::Tree;
use eartag_apiserver::http::body;
use eartag_apiserver::refusal::{Refusal, Subject};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use serde_json::json;
use zeroize::Zeroizing;

use crate::authn::{self, AuthnFailure, Caller};
use crate::listener::{Body, Peer};
use crate::state::State;
use crate::v3::read_body;

const INTROSPECT: &str = "/oauth2/introspect";
const REVOKE: &str = "/oauth2/revoke";
/// So many members may a form have; ours have two.
const MOST_MEMBERS: usize = 16;

/// Largest form, in bytes: a token has less than 400, and what is larger is none.
const LARGEST: usize = 16 << 10;
/// How long a form may take to arrive: nobody has said yet who they are.
const FORM_TIME: Duration = Duration::from_secs(5);

/// The answer where too much goes on already.
#[must_use]
pub fn busy() -> Response<Body> {
    Fault::busy().into_response()
}

/// Whether a path belongs to these doors.
#[must_use]
pub fn serves(path: &str) -> bool {
    matches!(path.trim_end_matches('/'), INTROSPECT | REVOKE)
}

/// Answers one request.
pub async fn handle<B>(state: &Arc<State>, request: Request<B>, peer: &Peer) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (parts, incoming) = request.into_parts();
    let answered = if parts.method != Method::POST {
        Err(Fault::of(StatusCode::METHOD_NOT_ALLOWED, "invalid_request", "POST only"))
    } else if parts.uri.path().trim_end_matches('/') == INTROSPECT {
        introspect::answer(state, &parts, incoming, peer).await.map(Some)
    } else {
        revoke::answer(state, &parts, incoming, peer).await.map(|()| None)
    };
    let mut response = match answered {
        Ok(Some(tree)) => json_response(StatusCode::OK, &tree),
        Ok(None) => Response::new(body::full("")),
        Err(fault) => fault.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

/// An error as RFC 6749 §5.2 and RFC 6750 §3 shape it.
struct Fault {
    code: StatusCode,
    error: &'static str,
    description: &'static str,
    /// What the challenge says of a bearer token that was presented, by RFC 6750 §3.1; empty if there was none to say anything of.
    bearer: &'static str,
    retry_after_s: Option<u64>,
}

impl Fault {
    fn of(code: StatusCode, error: &'static str, description: &'static str) -> Fault {
        Fault { code, error, description, bearer: "", retry_after_s: None }
    }

    fn request(description: &'static str) -> Fault {
        Fault::of(StatusCode::BAD_REQUEST, "invalid_request", description)
    }

    fn client() -> Fault {
        let why = "present a good token as Bearer or Basic, or a client certificate";
        Fault::of(StatusCode::UNAUTHORIZED, "invalid_client", why)
    }

    /// The caller's credential is not good, or no longer.
    fn rejected() -> Fault {
        Fault { bearer: "invalid_token", ..Fault::client() }
    }

    fn right() -> Fault {
        let fault = Fault::of(StatusCode::FORBIDDEN, "insufficient_scope", "the caller may not do this");
        Fault { bearer: fault.error, ..fault }
    }

    fn busy() -> Fault {
        let why = "too much goes on at the moment, please try again later";
        let fault = Fault::of(StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable", why);
        Fault { retry_after_s: Some(1), ..fault }
    }

    fn server() -> Fault {
        Fault::of(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "it could not be carried out")
    }

    /// A refusal of the rest of the house. Its text may name what is not for this caller, so only its code is kept.
    fn from_refusal(refusal: &Refusal) -> Fault {
        let status = refusal.status(&Subject::default());
        match status.code {
            400 | 422 => Fault::request("this cannot be done to the token"),
            401 => Fault::rejected(),
            403 => Fault::right(),
            429 => Fault::busy(),
            code => {
                let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                Fault { code, ..Fault::server() }
            }
        }
    }

    fn into_response(self) -> Response<Body> {
        let body = json!({"error": self.error, "error_description": self.description});
        let mut response = json_response(self.code, &body);
        let headers = response.headers_mut();
        if matches!(self.code, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            let challenge = match self.bearer {
                "invalid_token" => "Bearer realm=\"eartag\", error=\"invalid_token\"",
                "insufficient_scope" => "Bearer realm=\"eartag\", error=\"insufficient_scope\"",
                _ => "Bearer realm=\"eartag\"",
            };
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        match self.code {
            StatusCode::UNAUTHORIZED => {
                headers.append(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"eartag\""));
            }
            StatusCode::METHOD_NOT_ALLOWED => {
                headers.insert(ALLOW, HeaderValue::from_static("POST"));
            }
            _ => {}
        }
        if let Some(seconds) = self.retry_after_s {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

fn json_response(code: StatusCode, tree: &Tree) -> Response<Body> {
    let mut response = Response::new(body::full(tree.to_string()));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Who calls. A cookie is nobody here, and so is whom only a cluster that we extend vouches for: that cluster has doors of its own.
async fn caller(state: &State, parts: &Parts, peer: &Peer) -> Result<Option<Caller>, Fault> {
    match authn::authenticate(state, parts, peer).await {
        Ok(caller) if caller.via_cookie || caller.is_of_the_cluster() => Ok(None),
        Ok(caller) => Ok(Some(caller)),
        Err(AuthnFailure::Anonymous | AuthnFailure::CrossSite) => Ok(None),
        Err(AuthnFailure::Rejected) => Err(Fault::rejected()),
        Err(AuthnFailure::Refused(refusal)) => Err(Fault::from_refusal(&refusal)),
    }
}

/// The token of a form.
async fn token_of<B>(parts: &Parts, incoming: B) -> Result<Zeroizing<String>, Fault>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if body::content_type(&parts.headers) != "application/x-www-form-urlencoded" {
        return Err(Fault::request("the body must be of the type application/x-www-form-urlencoded"));
    }
    let read = tokio::time::timeout(FORM_TIME, read_body(incoming, LARGEST)).await;
    let slow = || Fault::of(StatusCode::REQUEST_TIMEOUT, "invalid_request", "the body took too long");
    let bytes = read.map_err(|_| slow())?.map_err(|error| match error.status {
        413 => Fault::of(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request", "the body is too large"),
        408 => slow(),
        _ => Fault::request("the body could not be read"),
    })?;
    let mut found = None;
    for (count, (name, value)) in form_urlencoded::parse(&bytes).enumerate() {
        if count >= MOST_MEMBERS {
            return Err(Fault::request("the form has too many members"));
        }
        // token_type_hint is a hint, and our tokens say themselves of which kind they are.
        if name == "token" && found.replace(Zeroizing::new(value.into_owned())).is_some() {
            return Err(Fault::request("token is there twice"));
        }
    }
    match found {
        Some(token) if !token.is_empty() => Ok(token),
        _ => Err(Fault::request("token is missing")),
    }
}
