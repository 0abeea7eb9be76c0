//! `/v3`: which collections there are.

use askama::Template;
use serde_json::Value;

use super::{Button, render, type_name};
use crate::chrome::{Chrome, Page};
use crate::curl::Request;
use crate::json::{self, Row};
use crate::link;

#[derive(Template)]
#[template(path = "root.html")]
struct Root<'a> {
    c: Chrome<'a>,
    heading: String,
    about: String,
    operations: Vec<Button>,
    actions: Vec<Button>,
    collections: Vec<Collection>,
    rows: Vec<Row>,
    curl: String,
}

struct Collection {
    name: String,
    id: String,
    about: String,
    href: String,
}

/// What people come for, first.
const ORDER: &[&str] =
    &["tokens", "users", "settings", "features", "clusters", "globalRoles", "globalRoleBindings"];

/// The page of the API's root document.
#[must_use]
pub fn root(page: &Page<'_>, document: &Value) -> String {
    let t = page.texts();
    let links = document.get("links").and_then(Value::as_object);
    let mut collections: Vec<Collection> = links
        .into_iter()
        .flatten()
        .filter(|(name, _)| !matches!(name.as_str(), "self" | "root"))
        .filter_map(|(name, url)| {
            let href = link::own(url.as_str()?, page.base)?.to_owned();
            Some(Collection {
                name: type_name(t, name).to_owned(),
                id: name.clone(),
                about: t.find(&format!("about.{name}")).unwrap_or_default().to_owned(),
                href,
            })
        })
        .collect();
    collections
        .sort_by_key(|c| (ORDER.iter().position(|id| *id == c.id).unwrap_or(ORDER.len()), c.id.clone()));
    let again = page.again();
    render(&Root {
        c: Chrome::new(page, crate::chrome::title(document)),
        heading: t.get("root.title").to_owned(),
        about: t.get("root.about").to_owned(),
        operations: vec![Button::new(t.get("op.reload"), again.clone())],
        actions: Vec::new(),
        collections,
        rows: json::rows(document, page.base, None),
        curl: Request { method: "GET", base: page.origin(), target: &again, body: None }.curl(),
    })
}
