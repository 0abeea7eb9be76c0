//! What the API answered to a request that a page sent.

use askama::Template;
use serde_json::Value;

use super::{Button, render, up};
use crate::chrome::{Chrome, Page, title};
use crate::curl::Request;
use crate::json::{self, Row};
use crate::link;
use crate::schema::{Schema, text};
use crate::shown;
use crate::when::duration;

/// A request that was sent, and its answer.
#[derive(Clone, Copy, Debug)]
pub struct Outcome<'a> {
    /// `POST`, `PUT`, `DELETE`.
    pub method: &'a str,
    /// Path and query of the API.
    pub target: &'a str,
    /// The body that was sent, without what is secret.
    pub sent: Option<&'a Value>,
    /// HTTP status.
    pub status: u16,
    /// The body of the answer, if it has one.
    pub body: Option<&'a Value>,
    /// Texts of the answer's `Warning` headers.
    pub warnings: &'a [String],
}

#[derive(Template)]
#[template(path = "result.html")]
struct Answer<'a> {
    c: Chrome<'a>,
    heading: String,
    about: String,
    operations: Vec<Button>,
    actions: Vec<Button>,
    good: bool,
    status: u16,
    reason: &'static str,
    method: String,
    target: String,
    message: String,
    code: String,
    warnings: Vec<String>,
    secret: Option<Secret>,
    ttl_cut: String,
    next_steps: Vec<Button>,
    rows: Vec<Row>,
    curl: String,
}

/// The value of a new token, shown this once.
struct Secret {
    bearer: String,
    access_key: String,
    secret_key: String,
}

/// The page of an answer.
#[must_use]
pub fn result(page: &Page<'_>, outcome: &Outcome<'_>, schema: Option<&Value>) -> String {
    let t = page.texts();
    let good = (200..300).contains(&outcome.status);
    let empty = Value::Null;
    let body = outcome.body.unwrap_or(&empty);
    let name = match (outcome.body, title(body)) {
        (Some(_), name) if good && !name.is_empty() => shown::cell(name),
        _ => shown::cell(page.path().rsplit('/').next().unwrap_or_default()),
    };
    let heading = match (good, outcome.method) {
        (false, _) => t.fill("result.refused", &[("status", &outcome.status.to_string())]),
        (true, "DELETE") => t.fill("result.deleted", &[("name", &name)]),
        (true, "PUT") => t.fill("result.saved", &[("name", &name)]),
        (true, "POST") if outcome.status == 201 => t.fill("result.created", &[("name", &name)]),
        _ => t.get("result.done").to_owned(),
    };
    // Leaving the page would lose what is shown only once.
    let mut c = Chrome::new(page, &name);
    c.languages.clear();
    let schema = schema.map(Schema::new);
    render(&Answer {
        c,
        heading,
        about: String::new(),
        operations: Vec::new(),
        actions: Vec::new(),
        good,
        status: outcome.status,
        reason: reason(outcome.status),
        method: outcome.method.to_owned(),
        target: shown::plain(outcome.target),
        message: if good { String::new() } else { shown::plain(text(body, "message")) },
        code: if good { String::new() } else { shown::plain(text(body, "code")) },
        warnings: outcome.warnings.iter().map(|w| shown::plain(w)).collect(),
        secret: secret(body).filter(|_| good),
        ttl_cut: ttl_cut(outcome.sent, body)
            .map(|ms| t.fill("result.ttl_cut", &[("t", &duration(ms, t))]))
            .unwrap_or_default(),
        next_steps: next_steps(page, outcome, body, good),
        rows: if outcome.body.is_some() { json::rows(body, page.base, schema.as_ref()) } else { Vec::new() },
        curl: Request {
            method: outcome.method,
            base: page.origin(),
            target: outcome.target,
            body: outcome.sent,
        }
        .curl(),
    })
}

/// `Reload` and `Go Up`; after a delete the way up is the one to take, after a create that to the new item.
fn next_steps(page: &Page<'_>, outcome: &Outcome<'_>, body: &Value, good: bool) -> Vec<Button> {
    let t = page.texts();
    let deleted = good && outcome.method == "DELETE";
    let mut all = Vec::new();
    let made = body.pointer("/links/self").and_then(Value::as_str).and_then(|url| link::own(url, page.base));
    if let Some(made) = made.filter(|made| good && !deleted && *made != page.path()) {
        all.push(Button::new(t.get("op.open"), made.to_owned()).class("primary"));
    }
    if !deleted {
        all.push(Button::new(t.get("op.reload"), page.path().to_owned()));
    }
    if let Some(above) = up(page) {
        all.push(Button::new(t.get("op.go_up"), above).class(if deleted { "primary" } else { "" }));
    }
    all
}

/// The ttl that the server gave, if it is less than what was asked for.
fn ttl_cut(sent: Option<&Value>, body: &Value) -> Option<u64> {
    let ttl = |value: &Value| value.get("ttl").and_then(Value::as_u64).filter(|ms| *ms > 0);
    let given = ttl(body)?;
    (given < ttl(sent?)?).then_some(given)
}

fn secret(body: &Value) -> Option<Secret> {
    let bearer = text(body, "token");
    let (access_key, secret_key) = bearer.split_once(':')?;
    Some(Secret {
        bearer: bearer.to_owned(),
        access_key: access_key.to_owned(),
        secret_key: secret_key.to_owned(),
    })
}

/// The words of the statuses that the API uses (RFC 9110).
pub(super) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "",
    }
}
