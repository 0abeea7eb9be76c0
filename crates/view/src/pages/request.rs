//! `API Request`: the page before anything is changed. It shows what will be sent, and sends it only when asked to.

use askama::Template;
use serde_json::{Map, Value, json};

use super::resource::{Member, members};
use super::{Button, name_of, post_to, render, type_name};
use crate::chrome::{Chrome, Page};
use crate::curl::Request;
use crate::form::{Control, Filling, Mode};
use crate::link::{self, Pairs};
use crate::schema::{Schema, text};
use crate::shown;

#[derive(Template)]
#[template(path = "request.html")]
struct Confirm<'a> {
    c: Chrome<'a>,
    heading: String,
    about: String,
    operations: Vec<Button>,
    actions: Vec<Button>,
    question: String,
    warning: String,
    members: Vec<Member>,
    refused: String,
    refused_code: String,
    refused_field: String,
    controls: Vec<Control>,
    post_to: String,
    danger: bool,
    may_send: bool,
    log_out_instead: bool,
    cancel: String,
    curl: String,
    raw: String,
}

/// Asks before an item is deleted.
#[must_use]
pub fn confirm_delete(page: &Page<'_>, document: &Value, schema: Option<&Value>) -> String {
    const TELLING: &[&str] = &[
        "id",
        "description",
        "userId",
        "kind",
        "username",
        "created",
        "expiresAt",
        "lastUsedAt",
        "globalRoleId",
    ];
    let t = page.texts();
    let kind = text(document, "type");
    let name = shown::cell(name_of(document));
    let current = kind == "token" && document.get("current").and_then(Value::as_bool) == Some(true);
    let request = Request { method: "DELETE", base: page.origin(), target: page.path(), body: None };
    let warning = if current {
        t.get("request.current_session").to_owned()
    } else {
        t.find(&format!("request.delete.{kind}"))
            .unwrap_or_else(|| t.get("request.delete_warning"))
            .to_owned()
    };
    render(&Confirm {
        c: chrome(page, &name),
        heading: t.get("request.title").to_owned(),
        about: String::new(),
        operations: Vec::new(),
        actions: Vec::new(),
        question: t.fill("request.delete", &[("type", type_name(t, kind)), ("name", &name)]),
        warning,
        members: members(page, document, schema.map(Schema::new))
            .into_iter()
            .filter(|m| TELLING.contains(&m.name.as_str()))
            .collect(),
        refused: String::new(),
        refused_code: String::new(),
        refused_field: String::new(),
        controls: Vec::new(),
        post_to: post_to(page, &[("_method", "DELETE")]),
        danger: true,
        may_send: !current,
        log_out_instead: current,
        cancel: page.path().to_owned(),
        curl: request.curl(),
        raw: request.raw(),
    })
}

/// Asks before an action is run, and for its input, if it has one. `document` is the item or collection; `input` the schema of the action's
/// input; after a refusal: what was sent, and the API's error.
#[must_use]
pub fn confirm_action(
    page: &Page<'_>,
    document: &Value,
    action: &str,
    input: Option<&Value>,
    refused: Option<(&Pairs, &Value)>,
) -> String {
    let t = page.texts();
    let name = shown::cell(crate::chrome::title(document));
    let action_shown = shown::cell(action);
    let offered = document.get("actions").is_some_and(|actions| actions.get(action).is_some());
    let error = refused.map(|(_, error)| error);
    let controls = input.map_or_else(Vec::new, |schema| {
        let posted = refused.map(|(posted, _)| posted);
        Filling { schema: Schema::new(schema), mode: Mode::Input, item: None, posted, error, t }.controls()
    });
    let body: Map<String, Value> = controls.iter().map(|c| (c.name.clone(), json!("…"))).collect();
    let body = Value::Object(body);
    let target = link::with_query(page.path(), [("action", action)]);
    let request = Request {
        method: "POST",
        base: page.origin(),
        target: &target,
        body: (!controls.is_empty()).then_some(&body),
    };
    let said = |member: &str| error.map(|e| shown::plain(text(e, member))).unwrap_or_default();
    let field = said("fieldName");
    render(&Confirm {
        c: chrome(page, &name),
        heading: t.get("request.title").to_owned(),
        about: String::new(),
        operations: Vec::new(),
        actions: Vec::new(),
        question: t.fill("request.action", &[("action", &action_shown), ("name", &name)]),
        warning: match t.find(&format!("request.action.{action}")) {
            Some(known) => known.to_owned(),
            None if !offered => t.get("request.not_offered").to_owned(),
            None => String::new(),
        },
        members: Vec::new(),
        refused: said("message"),
        refused_code: said("code"),
        refused_field: if controls.iter().any(|c| c.name == field) { field } else { String::new() },
        controls,
        post_to: post_to(page, &[("action", action)]),
        danger: false,
        may_send: true,
        log_out_instead: false,
        cancel: page.path().to_owned(),
        curl: request.curl(),
        raw: request.raw(),
    })
}

fn chrome<'a>(page: &Page<'a>, name: &str) -> Chrome<'a> {
    Chrome::new(page, &format!("{name} · {}", page.texts().get("request.title")))
}
