//! The API view's place in this door: when a page is wanted instead of JSON, and what it is made from.
//!
//! [`handle`](super::handle) answers a request as for every client. If [`wants_page`] says so, it then gives the answer and what surrounds it (a [`Shown`]) to
//! [`render`], which makes a page of it or gives it back to be sent as JSON. For pages
//!
//! * collections without `limit` are cut after [`PAGE_ITEMS`] items, so the answer is always a whole [`Reply`] with a tree (`pagination.next`, `first` and
//!   `partial` lead on);
//! * with `_view` in the query (a form is shown) filters are ignored and one item is read, because `name` names an action there;
//! * bodies may be forms (see [`form`](super::form)) where the query says `_format=html`;
//! * errors come along as they are, 401 too: `Shown::caller` is `None` then, and a login page is in order;
//! * [`Reply::once`] is a member of the body that the reply alone shows (the secret of a new token).

use std::sync::Arc;

use eartag_apiserver::http::query::Query;
use http::header::{ACCEPT, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, Response};

use super::reply::Reply;
use super::resource::About;
use crate::authn::Caller;
use crate::listener::Body;
use crate::state::State;

/// Items on a page of a collection for which the query names no `limit`.
pub const PAGE_ITEMS: usize = 100;

/// What a page is made from, besides the reply.
pub struct Shown<'a> {
    /// The server.
    pub state: &'a Arc<State>,
    /// The request.
    pub parts: &'a Parts,
    /// Its query.
    pub query: &'a Query,
    /// What all links begin with, e.g. `https://a.example`.
    pub base: &'a str,
    /// Who asks, unless nobody was let in.
    pub caller: Option<&'a Caller>,
    /// The type of the collection or item, if the path names one; its schema is [`schemas::schema`](super::schemas::schema).
    pub about: Option<&'static About>,
    /// The CSRF token that forms repeat as `CSRF` in their query: the browser's cookie, or the one that this very answer sets.
    pub csrf: &'a str,
}

/// Whether to show a page (v3-token.md §1.6): asked for by name, or a browser that takes anything.
#[must_use]
pub fn wants_page(headers: &HeaderMap, query: &Query) -> bool {
    match query.get("_format") {
        "html" => true,
        "json" | "yaml" => false,
        _ => {
            let accept: Vec<_> = headers.get_all(ACCEPT).iter().filter_map(|v| v.to_str().ok()).collect();
            let anything =
                accept.iter().all(|v| v.trim().is_empty()) || accept.iter().any(|v| v.contains("*/*"));
            is_browser(headers) && anything
        }
    }
}

/// Whether a browser sends this, as the reference tells.
#[must_use]
pub fn is_browser(headers: &HeaderMap) -> bool {
    let agent = headers.get(USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    agent.to_ascii_lowercase().contains("mozilla")
}

/// The page for a reply; `Err` gives the reply back to be sent as it is.
///
/// # Errors
/// Not a failure: the reply, where there is no page for it.
#[expect(clippy::result_large_err, reason = "the reply goes back as it came")]
pub fn render(_shown: &Shown<'_>, reply: Reply) -> Result<Response<Body>, Reply> {
    Err(reply)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn browsers_that_take_anything_get_pages() {
        let wants = |pairs: &[(&'static str, &str)], query: &str| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(*name, value.parse().unwrap());
            }
            wants_page(&headers, &Query::parse(query))
        };
        let browser = ("user-agent", "Mozilla/5.0 (X11)");
        assert!(wants(&[browser, ("accept", "text/html,application/xml;q=0.9,*/*;q=0.8")], ""));
        assert!(wants(&[browser], ""));
        assert!(!wants(&[browser, ("accept", "application/json")], ""));
        assert!(!wants(&[browser, ("accept", "*/*")], "_format=json"));
        assert!(!wants(&[("user-agent", "curl/8"), ("accept", "*/*")], ""));
        assert!(wants(&[("user-agent", "curl/8")], "_format=html"));
    }
}
