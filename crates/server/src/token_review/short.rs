//! The short way of the webhook. A cluster asks for every request whose answer it has not kept, and always in the same plain shape: such a review is decoded into a
//! borrowed struct and answered from one, where the general way builds trees, walks schemas and negotiates. The rules are the same, asked in the same functions,
//! and a test compares the answers of both ways; whatever is not quite of that shape, and every refusal but that of the caller, goes the long way.

use std::sync::{Arc, LazyLock};

use eartag_apiserver::http::{body, reply};
use eartag_apiserver::user::Attributes;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::answer::Status;
use super::{GROUP, Question, RESOURCE, Unknown, right};
use crate::authn::{self, AuthnFailure};
use crate::listener::{Body, Peer};
use crate::metrics::RequestLabels;
use crate::state::State;

/// Larger bodies go the long way, in bytes. Until one is there nobody has been asked who sends it.
pub const LARGEST: usize = 16 << 10;

/// Room for most answers, in bytes.
const USUAL: usize = 768;

/// What the caller needs the right for.
static RIGHT: LazyLock<Attributes> = LazyLock::new(right);

/// Whether a request may go this way, as far as its head says.
#[must_use]
pub fn takes<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    *request.method() == Method::POST
        && version_of(request.uri().path()).is_some()
        && request.uri().query().is_none()
        && text(headers, &CONTENT_TYPE) == "application/json"
        && matches!(text(headers, &ACCEPT), "application/json, */*" | "application/json" | "*/*")
        // Programs that people read along with get theirs indented.
        && !["curl", "Wget", "Mozilla"].iter().any(|agent| text(headers, &USER_AGENT).starts_with(agent))
        && text(headers, &CONTENT_LENGTH).parse().is_ok_and(|length: usize| length <= LARGEST)
}

/// The answer, or `None`: the long way.
pub async fn answer(
    state: &Arc<State>,
    parts: &Parts,
    bytes: &[u8],
    peer: &Peer,
) -> Result<Option<Response<Body>>, AuthnFailure> {
    let Some(asked) = Asked::read(bytes) else { return Ok(None) };
    let caller = authn::authenticate(state, parts, peer).await?;
    // Whom a cluster vouches for is served by its own rules.
    if caller.is_of_the_cluster() || !state.authorizer.authorize(&caller.user, &RIGHT).await.allowed() {
        return Ok(None);
    }
    let audiences: Vec<String> = asked.spec.audiences.iter().map(|&a| a.to_owned()).collect();
    let question = Question {
        caller: &caller,
        token: asked.spec.token,
        audiences: &audiences,
        now_ms: state.world.now_ms(),
        dry_run: false,
    };
    let found = state.reviewer.review(&question, &*state.authorizer, "webhook").await;
    let status = match &found {
        Ok(known) => Status::of(known),
        Err(Unknown::NotGood) => Status::not_good(),
        Err(Unknown::Busy) => return Ok(None),
    };
    let answer = Answer {
        api_version: asked.api_version,
        kind: asked.kind,
        metadata: Metadata { creation_timestamp: () },
        spec: AnsweredSpec { audiences: &audiences },
        status,
    };
    let mut bytes = Vec::with_capacity(USUAL);
    if serde_json::to_writer(&mut bytes, &answer).is_err() {
        return Ok(None);
    }
    bytes.push(b'\n');
    let mut response = reply::respond(StatusCode::OK, "application/json", body::full(bytes));
    if let Some(version) = version_of(parts.uri.path()) {
        response.extensions_mut().insert(labels(version));
    }
    Ok(Some(response))
}

/// The version in the path of a review.
fn version_of(path: &str) -> Option<&'static str> {
    match path {
        "/apis/authentication.k8s.io/v1/tokenreviews" => Some("v1"),
        "/apis/authentication.k8s.io/v1beta1/tokenreviews" => Some("v1beta1"),
        _ => None,
    }
}

fn labels(version: &'static str) -> RequestLabels {
    RequestLabels {
        verb: "POST",
        dry_run: "",
        group: GROUP,
        version,
        resource: RESOURCE,
        subresource: "",
        scope: "resource",
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// A review of the plain shape: no other members, no escapes in texts, nothing twice.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked<'a> {
    #[serde(rename = "apiVersion", borrow)]
    api_version: &'a str,
    kind: &'a str,
    #[serde(default, rename = "metadata")]
    _metadata: AskedMetadata,
    #[serde(borrow)]
    spec: AskedSpec<'a>,
    #[serde(default, rename = "status")]
    _status: AskedStatus,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct AskedMetadata {
    #[serde(default, rename = "creationTimestamp")]
    _creation_timestamp: (),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedSpec<'a> {
    token: &'a str,
    #[serde(default, borrow)]
    audiences: Vec<&'a str>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct AskedStatus {
    #[serde(default, rename = "user")]
    _user: Nothing,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Nothing {}

impl<'a> Asked<'a> {
    fn read(bytes: &'a [u8]) -> Option<Asked<'a>> {
        let asked: Asked<'a> = serde_json::from_slice(bytes).ok()?;
        let known = matches!(asked.api_version, "authentication.k8s.io/v1" | "authentication.k8s.io/v1beta1");
        (known && asked.kind == "TokenReview" && !asked.spec.token.is_empty()).then_some(asked)
    }
}

#[derive(Serialize)]
struct Answer<'a> {
    #[serde(rename = "apiVersion")]
    api_version: &'a str,
    kind: &'a str,
    metadata: Metadata,
    spec: AnsweredSpec<'a>,
    status: Status<'a>,
}

#[derive(Serialize)]
struct Metadata {
    #[serde(rename = "creationTimestamp")]
    creation_timestamp: (),
}

#[derive(Serialize)]
struct AnsweredSpec<'a> {
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    audiences: &'a [String],
}
