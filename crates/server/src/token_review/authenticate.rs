//! `POST /v1/authenticate`, as kube-api-auth serves it to the API server of an authorized cluster endpoint (kubeconfig-and-cli.md §6.2), except that askers need
//! a credential: this one answers on more than a loopback address.
//!
//! 200 with a TokenReview whose user has a name and groups, no uid and no extras; 400 for what is no review, 401 for every token that is not good and for an
//! asker without a good credential, 403 for one without the right; the body of all refusals is empty (DEC52).

use std::sync::Arc;

use bytes::Bytes;
use eartag_api::secret::SecretText;
use eartag_apiserver::http::body::{self, LARGEST};
use eartag_apiserver::http::reply;
use eartag_apiserver::refusal::Subject;
use http::header::{HeaderValue, RETRY_AFTER};
use http::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::{GROUP, Question, Unknown, right};
use crate::authn::{self, AuthnFailure};
use crate::listener::{Body, Peer};
use crate::state::State;
use crate::v3::read_body;

/// The path.
const PATH: &str = "/v1/authenticate";

/// Whether a path belongs to this door.
#[must_use]
pub fn serves(path: &str) -> bool {
    path.trim_end_matches('/') == PATH
}

/// Answers one request.
pub async fn handle<B>(state: &Arc<State>, request: Request<B>, peer: &Peer) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    answer(state, request, peer).await.unwrap_or_else(|code| {
        let mut response = Response::new(body::full(""));
        *response.status_mut() = code;
        if code == StatusCode::TOO_MANY_REQUESTS {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    })
}

/// The review as far as it is looked at. The version is taken from it for the answer and otherwise does not matter.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    #[serde(default)]
    api_version: String,
    kind: String,
    spec: Spec,
}

#[derive(Deserialize)]
struct Spec {
    token: SecretText,
}

async fn answer<B>(state: &Arc<State>, request: Request<B>, peer: &Peer) -> Result<Response<Body>, StatusCode>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (parts, incoming) = request.into_parts();
    let caller = authn::authenticate(state, &parts, peer).await.map_err(|failure| match failure {
        AuthnFailure::Anonymous | AuthnFailure::Rejected => StatusCode::UNAUTHORIZED,
        AuthnFailure::CrossSite => StatusCode::FORBIDDEN,
        AuthnFailure::Refused(refusal) => code(refusal.status(&Subject::default()).code),
    })?;
    if parts.method != Method::POST {
        return Err(StatusCode::METHOD_NOT_ALLOWED);
    }
    let may = async || state.authorizer_of(&caller).authorize(&caller.user, &right()).await.allowed();
    if !may().await {
        return Err(StatusCode::FORBIDDEN);
    }
    let bytes = read_body(incoming, LARGEST).await.map_err(|error| code(error.status))?;
    // A body may be sent slowly, and the credential or the right taken away meanwhile.
    if !authn::still_good(state, &caller) {
        return Err(StatusCode::UNAUTHORIZED);
    }
    if !may().await {
        return Err(StatusCode::FORBIDDEN);
    }
    let asked: Asked = serde_json::from_slice(&bytes).map_err(|_| StatusCode::BAD_REQUEST)?;
    if asked.kind != "TokenReview" || asked.spec.token.expose().is_empty() {
        return Err(StatusCode::BAD_REQUEST);
    }
    let question = Question {
        caller: &caller,
        token: asked.spec.token.expose(),
        audiences: &[],
        now_ms: state.world.now_ms(),
        dry_run: false,
    };
    match state.reviewer.review(&question, &*state.authorizer, "authenticate").await {
        Ok(known) => {
            // kube-api-auth answers in v1beta1 whatever it is asked; an API server that asks in v1 would not understand that.
            let version = if asked.api_version == format!("{GROUP}/v1") { "v1" } else { "v1beta1" };
            let review = json!({
                "apiVersion": format!("{GROUP}/{version}"),
                "kind": "TokenReview",
                "metadata": {"creationTimestamp": null},
                "spec": {},
                "status": {"authenticated": true, "user": {"username": known.token.owner, "groups": known.groups()}},
            });
            Ok(reply::respond(StatusCode::OK, "application/json", body::full(review.to_string())))
        }
        Err(Unknown::NotGood) => Err(StatusCode::UNAUTHORIZED),
        Err(Unknown::Busy) => Err(StatusCode::TOO_MANY_REQUESTS),
    }
}

fn code(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
