//! The API view: `/v3` for people with a browser (v3-token.md §1.6). Pages are made by `eartag-view` from the very answers that other clients get; nothing here
//! decides what anybody may do.
//!
//! ```text
//! GET  → dispatch → answer ─→ page            ?_view=create|edit|delete|action&name=… chooses a form or the question before a request
//! POST ?_format=html, a form → JSON body, X-API-CSRF → dispatch → answer ─→ page of the result, or the form again with the error
//!      an action that answers with a file ─→ the file, for the browser to save
//! nobody logged in: 303 to /login?next=…
//! ```

mod file;
pub mod frame;
mod posted;
mod render;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use eartag_apiserver::http::query::Query;
use eartag_view::{assets, filter_target};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;

use self::frame::Frame;
use self::posted::Posted;
use super::dispatch::{self, Answered};
use super::page;
use super::reply::{self, Reply};
use crate::authn::address::PublicAddress;
use crate::authn::{self};
use crate::listener::{Body, Peer};
use crate::state::State;

/// A request that wants a page.
pub struct Asked<'a> {
    /// The server.
    pub state: &'a Arc<State>,
    /// The request without its body.
    pub parts: &'a Parts,
    /// Its query.
    pub query: &'a Query,
    /// Who is at the other end.
    pub peer: &'a Peer,
    /// The address under which the request came in.
    pub address: &'a PublicAddress,
    /// What forms repeat: the browser's cookie, or the one that this very answer sets.
    pub csrf: &'a str,
}

/// What belongs to the pages and to no API: their files, and for browsers the way from `/` to the API. `None`: the request is somebody else's.
pub fn front<B>(state: &State, request: &Request<B>, peer: &Peer) -> Option<Response<Body>> {
    let path = request.uri().path();
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if path.starts_with(assets::PREFIX) {
        return Some(if reads { asset(path) } else { empty(StatusCode::METHOD_NOT_ALLOWED) });
    }
    let query = Query::parse(request.uri().query().unwrap_or_default());
    if path == "/" && page::wants_page(request.method(), request.headers(), &query) {
        let (parts, ()) = shallow(request).into_parts();
        let address = authn::public_address(state, &parts, peer);
        return Some(see_other(&format!("{}/v3", address.prefix)));
    }
    None
}

/// Answers with a page.
pub async fn answer<B>(asked: &Asked<'_>, body: B) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let Asked { state, parts, query, peer, address, .. } = *asked;
    let frame = Frame::of(asked);
    if parts.method == Method::GET
        && let Some(target) = filter_target(&frame.path, &frame.query)
    {
        return see_other(&target);
    }
    if !posted::is_form(&parts.headers) || parts.method != Method::POST {
        let answered = dispatch::answer(state, parts, query, body, peer, address).await;
        return render::render(asked, frame, answered, None).await;
    }
    match Posted::read(asked, body).await {
        Ok(posted) => {
            let json = Full::new(Bytes::from(posted.body.clone()));
            let answered = dispatch::answer(state, &posted.parts, query, json, peer, address).await;
            render::render(asked, frame, answered, Some(&posted)).await
        }
        Err(error) => {
            let answered = Answered { door: None, about: None, answer: Reply::from(error).into() };
            render::render(asked, frame, answered, None).await
        }
    }
}

/// 303.
pub fn see_other(target: &str) -> Response<Body> {
    let mut response = empty(StatusCode::SEE_OTHER);
    reply::mark(response.headers_mut());
    if let Ok(target) = HeaderValue::from_str(target) {
        response.headers_mut().insert(LOCATION, target);
    }
    response
}

fn asset(path: &str) -> Response<Body> {
    let Some(asset) = assets::find(path) else { return empty(StatusCode::NOT_FOUND) };
    let mut response = Response::new(reply::body(asset.bytes.to_vec()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(asset.content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(assets::CACHE_CONTROL));
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    // An SVG can be opened as a document of its own.
    headers.insert(
        HeaderName::from_static("content-security-policy"),
        HeaderValue::from_static("default-src 'none'"),
    );
    response
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(reply::body(Vec::new()));
    *response.status_mut() = status;
    response
}

/// A request's head alone.
fn shallow<B>(request: &Request<B>) -> Request<()> {
    let mut head = Request::new(());
    *head.method_mut() = request.method().clone();
    *head.uri_mut() = request.uri().clone();
    *head.headers_mut() = request.headers().clone();
    head
}
