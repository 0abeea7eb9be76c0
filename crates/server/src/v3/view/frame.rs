//! What every page is told besides its document, and how every page is sent.

use eartag_view::{CONTENT_SECURITY_POLICY, LANGUAGE_COOKIE, Lang, Page};
use http::header::{
    ACCEPT_LANGUAGE, CONTENT_LANGUAGE, CONTENT_TYPE, REFERRER_POLICY, SET_COOKIE, VARY, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use super::Asked;
use crate::authn::{Caller, cookie};
use crate::listener::Body;
use crate::state::State;
use crate::v3::reply;

/// More parameters of a query than any page has are not looked at; forms that have more are refused.
pub const MOST_PARAMETERS: usize = 256;

/// What every page is told.
pub struct Frame {
    /// Its language.
    pub lang: Lang,
    /// Now, in milliseconds since 1970.
    pub now_ms: i64,
    /// What all links begin with.
    pub base: String,
    /// The path as the browser knows it.
    pub path: String,
    /// The decoded query.
    pub query: Vec<(String, String)>,
    /// What forms repeat.
    pub csrf: String,
    /// Who is logged in, or empty.
    pub user_id: String,
    /// Their name, or empty.
    pub user_name: String,
}

impl Frame {
    /// The frame of a page for this request; nobody is logged in yet.
    pub fn of(asked: &Asked<'_>) -> Frame {
        let query = pairs(asked.parts.uri.query().unwrap_or_default().as_bytes());
        let headers = &asked.parts.headers;
        let accepted = headers.get(ACCEPT_LANGUAGE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let chosen = cookie::value(headers, LANGUAGE_COOKIE).unwrap_or_default();
        Frame {
            lang: Lang::choose(asked.query.get("_lang"), chosen, accepted),
            now_ms: i64::try_from(asked.state.world.now_ms()).unwrap_or(i64::MAX),
            base: asked.address.base(),
            path: format!("{}{}", asked.address.prefix, asked.parts.uri.path()),
            query,
            csrf: asked.csrf.to_owned(),
            user_id: String::new(),
            user_name: String::new(),
        }
    }

    /// The same for somebody who is logged in.
    pub fn with_caller(mut self, state: &State, caller: &Caller) -> Frame {
        let owner = state.tables.verifier.owner(&caller.user.name);
        self.user_name = owner
            .map(|owner| {
                if owner.display_name.is_empty() {
                    owner.username.clone()
                } else {
                    owner.display_name.clone()
                }
            })
            .unwrap_or_default();
        self.user_id.clone_from(&caller.user.name);
        self
    }

    /// As pages take it.
    pub fn page(&self) -> Page<'_> {
        Page {
            lang: self.lang,
            now_ms: self.now_ms,
            base: &self.base,
            path: &self.path,
            query: &self.query,
            csrf: &self.csrf,
            user_id: &self.user_id,
            user_name: &self.user_name,
        }
    }

    /// Sends a page. Whoever chose a language by its link keeps it.
    pub fn send(&self, status: StatusCode, html: String) -> Response<Body> {
        let mut response = Response::new(reply::body(html.into_bytes()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        reply::mark(headers);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static(self.lang.tag()));
        headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Language, Cookie, User-Agent"));
        headers.insert(
            HeaderName::from_static("content-security-policy"),
            HeaderValue::from_static(CONTENT_SECURITY_POLICY),
        );
        headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("SAMEORIGIN"));
        // Not no-referrer: browsers would send `Origin: null` with forms, which the same-origin rule refuses.
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        headers.insert(
            HeaderName::from_static("cross-origin-opener-policy"),
            HeaderValue::from_static("same-origin"),
        );
        let asked = self.query.iter().find(|(key, _)| key == "_lang").map(|(_, value)| value.as_str());
        if let Some(lang) = asked.and_then(Lang::parse)
            && let Ok(value) = HeaderValue::from_str(&format!(
                "{LANGUAGE_COOKIE}={}; Path=/; Max-Age=31536000; Secure; SameSite=Lax",
                lang.name()
            ))
        {
            headers.append(SET_COOKIE, value);
        }
        response
    }
}

/// The CSRF token of a browser: the one it has, or a new one and the header that sets it.
pub struct Csrf {
    /// The token.
    pub token: String,
    /// Sets the cookie, if the browser has none yet.
    pub fresh: Option<HeaderValue>,
}

impl Csrf {
    /// The browser's token, else a new one.
    pub fn of(state: &State, headers: &HeaderMap) -> Csrf {
        match cookie::value(headers, cookie::CSRF).filter(|token| !token.is_empty()) {
            Some(token) => Csrf { token: token.to_owned(), fresh: None },
            None => Csrf::new(state),
        }
    }

    /// A new one.
    pub fn new(state: &State) -> Csrf {
        let mut random = [0; 16];
        state.world.random(&mut random);
        let token = cookie::csrf_token(random);
        Csrf { fresh: cookie::csrf(&token), token }
    }
}

/// The pairs of a query or a form.
pub fn pairs(bytes: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(bytes)
        .take(MOST_PARAMETERS)
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .collect()
}
