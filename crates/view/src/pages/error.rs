//! What went wrong, for a person.

use askama::Template;
use serde_json::Value;

use super::result::reason;
use super::{Button, render, up};
use crate::chrome::{Chrome, Page};
use crate::curl::Request;
use crate::json::{self, Row};
use crate::schema::text;
use crate::shown;

#[derive(Template)]
#[template(path = "error.html")]
struct Failure<'a> {
    c: Chrome<'a>,
    heading: String,
    about: String,
    operations: Vec<Button>,
    actions: Vec<Button>,
    status: u16,
    reason: &'static str,
    message: String,
    code: String,
    field: String,
    rows: Vec<Row>,
    curl: String,
}

/// The page of an error of the API.
#[must_use]
pub fn error(page: &Page<'_>, status: u16, document: &Value) -> String {
    let t = page.texts();
    let heading = t.find(&format!("error.{status}")).unwrap_or_else(|| t.get("error.other"));
    let about = t.find(&format!("error.{status}.about")).unwrap_or_default();
    let again = page.again();
    let mut operations = Vec::new();
    if let Some(above) = up(page) {
        operations.push(Button::new(t.get("op.up"), above));
    }
    operations.push(Button::new(t.get("op.reload"), again.clone()));
    operations.push(Button::new(t.get("op.root"), format!("{}/v3", page.prefix())));
    render(&Failure {
        c: Chrome::new(page, &format!("{status} {}", reason(status))),
        heading: heading.to_owned(),
        about: about.to_owned(),
        operations,
        actions: Vec::new(),
        status,
        reason: reason(status),
        message: shown::plain(text(document, "message")),
        code: shown::plain(text(document, "code")),
        field: shown::plain(text(document, "fieldName")),
        rows: json::rows(document, page.base, None),
        curl: Request { method: "GET", base: page.origin(), target: &again, body: None }.curl(),
    })
}
