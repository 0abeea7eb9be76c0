//! The login page.

use askama::Template;
use serde_json::Value;

use super::render;
use crate::chrome::{Chrome, Page};
use crate::link::local_path;
use crate::schema::text;
use crate::shown;

/// What a login page shows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Login<'a> {
    /// The name that was typed before.
    pub username: &'a str,
    /// Where to go afterwards; anything but a path of this server is dropped.
    pub next: &'a str,
    /// Status and document of the error, after a login that failed.
    pub refused: Option<(u16, &'a Value)>,
    /// Seconds to wait, after too many failures.
    pub retry_after_s: Option<u64>,
    /// Whether a session was just ended.
    pub logged_out: bool,
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    c: Chrome<'a>,
    username: String,
    next: &'a str,
    error: String,
    error_english: bool,
    logged_out: bool,
}

/// The login page.
#[must_use]
pub fn login(page: &Page<'_>, login: &Login<'_>) -> String {
    let t = page.texts();
    let mut c = Chrome::new(page, t.get("login.title"));
    c.crumbs.clear();
    let (error, error_english) = match login.refused {
        None => (String::new(), false),
        Some((status, document)) => match (t.find(&format!("login.{status}")), login.retry_after_s) {
            (Some(_), Some(seconds)) if status == 429 => (
                t.fill("login.429", &[("t", &crate::when::duration(seconds.saturating_mul(1000), t))]),
                false,
            ),
            (Some(known), _) if status != 429 => (known.to_owned(), false),
            _ => (shown::plain(text(document, "message")), true),
        },
    };
    render(&LoginPage {
        c,
        username: login.username.to_owned(),
        next: local_path(login.next).unwrap_or_default(),
        error: if login.refused.is_some() && error.is_empty() {
            t.get("login.failed").to_owned()
        } else {
            error
        },
        error_english,
        logged_out: login.logged_out,
    })
}
