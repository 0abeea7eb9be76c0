//! When a page of the API view is wanted instead of JSON; the pages are made in [`view`](super::view). For pages
//!
//! * collections without `limit` are cut after [`PAGE_ITEMS`] items, and with one after [`MOST_PAGE_ITEMS`] (`pagination.limit` says so;
//!   `pagination.next`, `first` and `partial` lead on);
//! * with `_view` in the query (a form is shown) filters are ignored and one item is read, because `name` names an action there.

use eartag_apiserver::http::query::Query;
use http::header::{ACCEPT, USER_AGENT};
use http::{HeaderMap, Method};

/// Items on a page of a collection for which the query names no `limit`.
pub const PAGE_ITEMS: usize = 100;
/// Most items on a page, whatever the query says: a page shows each of them twice and is made in one piece.
pub const MOST_PAGE_ITEMS: usize = 500;

/// Whether to show a page (v3-token.md §1.6): asked for by name, or a browser that reads and takes anything. Scripts in browsers that change something get JSON.
#[must_use]
pub fn wants_page(method: &Method, headers: &HeaderMap, query: &Query) -> bool {
    match query.get("_format") {
        "html" => true,
        "json" | "yaml" => false,
        _ => {
            let accept: Vec<_> = headers.get_all(ACCEPT).iter().filter_map(|v| v.to_str().ok()).collect();
            let anything =
                accept.iter().all(|v| v.trim().is_empty()) || accept.iter().any(|v| v.contains("*/*"));
            is_browser(headers) && anything && matches!(*method, Method::GET | Method::HEAD)
        }
    }
}

/// Whether a browser sends this, as the reference tells.
#[must_use]
pub fn is_browser(headers: &HeaderMap) -> bool {
    let agent = headers.get(USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    agent.to_ascii_lowercase().contains("mozilla")
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
            wants_page(&Method::GET, &headers, &Query::parse(query))
        };
        let browser = ("user-agent", "Mozilla/5.0 (X11)");
        assert!(wants(&[browser, ("accept", "text/html,application/xml;q=0.9,*/*;q=0.8")], ""));
        assert!(wants(&[browser], ""));
        assert!(!wants(&[browser, ("accept", "application/json")], ""));
        assert!(!wants(&[browser, ("accept", "*/*")], "_format=json"));
        assert!(!wants(&[("user-agent", "curl/8"), ("accept", "*/*")], ""));
        assert!(wants(&[("user-agent", "curl/8")], "_format=html"));
        let mut headers = HeaderMap::new();
        headers.insert("user-agent", "Mozilla/5.0".parse().unwrap());
        assert!(!wants_page(&Method::POST, &headers, &Query::default()));
        assert!(wants_page(&Method::POST, &headers, &Query::parse("_format=html")));
    }
}
