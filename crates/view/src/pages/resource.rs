//! A single item.

use askama::Template;
use serde_json::Value;

use super::{Button, actions, name_of, post_to, render, up};
use crate::chrome::{Chrome, Page, title};
use crate::curl::Request;
use crate::form::label;
use crate::json::{self, Row};
use crate::link;
use crate::schema::{Field, Schema, text};
use crate::shown;
use crate::value::{Badge, Lens, Shown, badges};

#[derive(Template)]
#[template(path = "resource.html")]
struct Resource<'a> {
    c: Chrome<'a>,
    heading: String,
    about: String,
    about_english: bool,
    operations: Vec<Button>,
    actions: Vec<Button>,
    /// Where the form that makes a kubeconfig is sent; empty if there is none.
    kubeconfig: String,
    badges: Vec<Badge>,
    members: Vec<Member>,
    fields: Vec<Described>,
    rows: Vec<Row>,
    curl: String,
}

pub(super) struct Member {
    pub name: String,
    pub label: String,
    pub value: Shown,
}

/// A field in the page of a schema.
struct Described {
    name: String,
    kind: String,
    create: bool,
    update: bool,
    required: bool,
    about: String,
}

/// The page of an item.
#[must_use]
pub fn resource(page: &Page<'_>, document: &Value, schema: Option<&Value>) -> String {
    let t = page.texts();
    let schema = schema.map(Schema::new);
    let kind = text(document, "type");
    let again = page.again();
    let (about, about_english) = about(page, document);
    let fields = if kind == "schema" {
        Schema::new(document).fields().map(|f| described(&f)).collect()
    } else {
        Vec::new()
    };
    render(&Resource {
        c: Chrome::new(page, title(document)),
        heading: shown::cell(name_of(document)),
        about,
        about_english,
        operations: operations(page, document),
        actions: actions(page, document, schema.as_ref(), false),
        kubeconfig: kubeconfig(page, document),
        badges: badges(document, t),
        members: members(page, document, schema),
        fields,
        rows: json::rows(document, page.base, schema.as_ref()),
        curl: Request { method: "GET", base: page.origin(), target: &again, body: None }.curl(),
    })
}

/// A cluster's kubeconfig is what most people want of it, so it takes one step: a form, whose answer the browser saves.
fn kubeconfig(page: &Page<'_>, document: &Value) -> String {
    const ACTION: &str = "generateKubeconfig";
    let offered = document.get("actions").is_some_and(|actions| actions.get(ACTION).is_some());
    if offered { post_to(page, &[("action", ACTION)]) } else { String::new() }
}

/// What an item is about, where that is known; and whether the words are English whatever the page is.
fn about(page: &Page<'_>, document: &Value) -> (String, bool) {
    let t = page.texts();
    let kind = text(document, "type");
    let known = matches!(kind, "setting" | "feature")
        .then(|| t.find(&format!("{kind}.{}", text(document, "id"))))
        .flatten();
    match known {
        Some(about) => (about.to_owned(), false),
        None if kind == "setting" => (shown::plain(text(document, "description")), true),
        None => (String::new(), false),
    }
}

/// The members in the order of interest; what only programs need is in the JSON.
pub(super) fn members(page: &Page<'_>, item: &Value, schema: Option<Schema<'_>>) -> Vec<Member> {
    const FIRST: &[&str] = &[
        "id",
        "name",
        "displayName",
        "username",
        "description",
        "value",
        "default",
        "userId",
        "globalRoleId",
        "kind",
        "clusterId",
        "enabled",
        "created",
        "expiresAt",
        "ttl",
        "lastUsedAt",
        "activityLastSeenAt",
    ];
    const LAST: &[&str] = &["labels", "annotations", "creatorId", "uuid"];
    let lens = Lens { t: page.texts(), now_ms: page.now_ms, base: page.base, schema, short: false };
    let kind = text(item, "type");
    let hidden = |name: &str| {
        matches!(
            name,
            "type" | "baseType" | "links" | "actions" | "token" | "resourceFields" | "collectionFilters"
        ) || name.strip_suffix("TS").is_some_and(|base| item.get(base).is_some())
            || (name == "name" && text(item, "name") == text(item, "id"))
    };
    let mut names: Vec<&str> = item
        .as_object()
        .into_iter()
        .flat_map(|members| members.keys())
        .map(String::as_str)
        .filter(|n| !hidden(n))
        .collect();
    if kind == "token" && item.pointer("/labels/authn.management.cattle.io~1kind").is_some() {
        names.push("kind");
    }
    let rank =
        |name: &str| match (FIRST.iter().position(|n| *n == name), LAST.iter().position(|n| *n == name)) {
            (Some(at), _) => at,
            (None, None) => FIRST.len(),
            (None, Some(at)) => FIRST.len() + 1 + at,
        };
    names.sort_by_key(|name| (rank(name), *name));
    names
        .into_iter()
        .map(|name| Member {
            name: name.to_owned(),
            label: label(name, kind, page.texts()),
            value: lens.member(item, name),
        })
        .collect()
}

fn operations(page: &Page<'_>, document: &Value) -> Vec<Button> {
    let t = page.texts();
    let linked = |name: &str| {
        let url = document.get("links").and_then(|links| links.get(name)).and_then(Value::as_str);
        url.is_some_and(|url| link::own(url, page.base).is_some())
    };
    let mut all: Vec<Button> = up(page).map(|above| Button::new(t.get("op.up"), above)).into_iter().collect();
    all.push(Button::new(t.get("op.reload"), page.again()));
    if linked("update") {
        all.push(Button::new(t.get("op.edit"), page.with([("_view", "edit")])));
    }
    if linked("remove") {
        all.push(Button::new(t.get("op.delete"), page.with([("_view", "delete")])).class("danger"));
    }
    all
}

fn described(field: &Field<'_>) -> Described {
    Described {
        name: field.name.to_owned(),
        kind: field.kind.to_owned(),
        create: field.create,
        update: field.update,
        required: field.required,
        about: field.description.to_owned(),
    }
}
