//! A collection: a table of what matters, the JSON, and what can be done.

use askama::Template;
use serde_json::Value;

use super::{Button, actions, render, type_name, up};
use crate::chrome::{Chrome, Page, VIEW_KEYS};
use crate::curl::Request;
use crate::form::label;
use crate::json::{self, Row};
use crate::link::{self, without};
use crate::schema::{Schema, text};
use crate::texts::Texts;
use crate::value::{Badge, Lens, Shown, badges};

#[derive(Template)]
#[template(path = "collection.html")]
struct Collection<'a> {
    c: Chrome<'a>,
    heading: String,
    about: String,
    operations: Vec<Button>,
    actions: Vec<Button>,
    scopes: Vec<Scope>,
    columns: Vec<Column>,
    items: Vec<Item>,
    counted: String,
    first: Option<String>,
    next: Option<String>,
    filter: Filter,
    path: &'a str,
    kept_by_filter: Vec<(String, String)>,
    kept_by_sort: Vec<(String, String)>,
    sorts: Vec<Sort>,
    descending: bool,
    limit: String,
    rows: Vec<Row>,
    curl: String,
}

/// Whose tokens.
struct Scope {
    text: String,
    href: Option<String>,
}

struct Column {
    name: String,
    label: String,
    /// The same list sorted by this column, or the other way around.
    sort: Option<String>,
    /// `ascending`, `descending` or empty.
    sorted: &'static str,
}

struct Item {
    cells: Vec<Cell>,
}

struct Cell {
    label: String,
    value: Shown,
    badges: Vec<Badge>,
}

struct Filter {
    fields: Vec<(String, String)>,
    active: Vec<Active>,
    clear: Option<String>,
}

struct Active {
    text: String,
    /// The list without it.
    remove: String,
}

struct Sort {
    name: String,
    label: String,
    selected: bool,
}

const MODIFIERS: [(&str, &str, &str); 4] = [
    ("eq", "", "filter.eq"),
    ("ne", "_ne", "filter.ne"),
    ("in", "_in", "filter.in"),
    ("notin", "_notin", "filter.notin"),
];

/// The page of a collection. `all_users`: whether the caller may see everybody's tokens.
#[must_use]
pub fn collection(page: &Page<'_>, document: &Value, schema: Option<&Value>, all_users: bool) -> String {
    let t = page.texts();
    let schema = schema.map(Schema::new);
    let kind = text(document, "resourceType");
    let plural = schema.map(|s| s.plural()).filter(|p| !p.is_empty()).unwrap_or_else(|| last_segment(page));
    let data = document.get("data").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let lens = Lens { t, now_ms: page.now_ms, base: page.base, schema, short: true };
    let names = columns(kind, schema.as_ref(), data);
    let scoped = all_users && kind == "token";

    let columns: Vec<Column> = names.iter().map(|name| column(page, document, kind, name)).collect();
    let items = data
        .iter()
        .map(|item| {
            let cells = columns.iter().enumerate().map(|(at, column)| Cell {
                label: column.label.clone(),
                value: lens.member(item, &column.name),
                badges: if at == 0 { badges(item, t) } else { Vec::new() },
            });
            Item { cells: cells.collect() }
        })
        .collect();
    let next = document.pointer("/pagination/next").and_then(Value::as_str);
    let again = page.again();
    let kept = |drop: &[&str]| -> Vec<(String, String)> {
        page.query
            .iter()
            .filter(|(key, _)| !drop.contains(&key.as_str()) && !VIEW_KEYS.contains(&key.as_str()))
            .cloned()
            .collect()
    };
    render(&Collection {
        c: Chrome::new(page, crate::chrome::title(document)),
        heading: type_name(t, plural).to_owned(),
        about: t.find(&format!("about.{plural}")).unwrap_or_default().to_owned(),
        operations: operations(page, document, schema.as_ref()),
        actions: actions(page, document, schema.as_ref(), true),
        scopes: if scoped { scopes(page) } else { Vec::new() },
        columns,
        items,
        counted: t.count(if next.is_some() { "list.more" } else { "list.shown" }, data.len() as u64),
        first: (!page.asked("marker").is_empty())
            .then(|| page.with(without(page.query, &[VIEW_KEYS, &["marker"]].concat()))),
        next: next.and_then(|url| link::own(url, page.base)).map(str::to_owned),
        filter: filter(page, document, kind, scoped, &names),
        path: page.path(),
        kept_by_filter: kept(&["marker"]),
        kept_by_sort: kept(&["sort", "order", "limit", "marker"]),
        sorts: sorts(page, document, kind),
        descending: page.asked("order") == "desc",
        limit: document.pointer("/pagination/limit").map(ToString::to_string).unwrap_or_default(),
        rows: json::rows(document, page.base, schema.as_ref()),
        curl: Request { method: "GET", base: page.origin(), target: &again, body: None }.curl(),
    })
}

fn operations(page: &Page<'_>, document: &Value, schema: Option<&Schema<'_>>) -> Vec<Button> {
    let t = page.texts();
    let mut all: Vec<Button> = up(page).map(|above| Button::new(t.get("op.up"), above)).into_iter().collect();
    all.push(Button::new(t.get("op.reload"), page.again()));
    let offered =
        document.get("createTypes").and_then(Value::as_object).is_some_and(|types| !types.is_empty());
    if offered && schema.is_some_and(|schema| schema.collection_takes("POST")) {
        all.push(Button::new(t.get("op.create"), page.with([("_view", "create")])).class("primary"));
    }
    all
}

fn scopes(page: &Page<'_>) -> Vec<Scope> {
    let t = page.texts();
    let asked = page.asked("userId");
    let others = || without(page.query, &["userId", "marker", "_view", "_lang", "_format", "CSRF"]);
    let link = |here: bool, href: String| (!here).then_some(href);
    vec![
        Scope { text: t.get("list.own").to_owned(), href: link(asked.is_empty(), page.with(others())) },
        Scope {
            text: t.get("list.all").to_owned(),
            href: link(asked == "*", page.with(others().chain([("userId", "*")]))),
        },
    ]
}

fn column(page: &Page<'_>, document: &Value, kind: &str, name: &str) -> Column {
    let label = label(name, kind, page.texts());
    let sortable = document.pointer("/sort/links").is_some_and(|links| links.get(name).is_some());
    let here = page.asked("sort") == name;
    let descending = page.asked("order") == "desc";
    let order = if here && !descending { "desc" } else { "asc" };
    let others = without(page.query, &[VIEW_KEYS, &["sort", "order", "marker"]].concat())
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect::<Vec<_>>();
    let pairs =
        others.iter().map(|(k, v)| (k.as_str(), v.as_str())).chain([("sort", name), ("order", order)]);
    Column {
        name: name.to_owned(),
        label,
        sort: sortable.then(|| page.with(pairs)),
        sorted: match (here && sortable, descending) {
            (false, _) => "",
            (true, false) => "ascending",
            (true, true) => "descending",
        },
    }
}

fn filter(page: &Page<'_>, document: &Value, kind: &str, scoped: bool, columns: &[String]) -> Filter {
    let t = page.texts();
    let mut known: Vec<&String> =
        document.get("filters").and_then(Value::as_object).into_iter().flat_map(|f| f.keys()).collect();
    // What is in the table is what people look for.
    known.sort_by_key(|name| columns.iter().position(|column| column == *name).unwrap_or(columns.len()));
    let mut active = Vec::new();
    for (at, (key, value)) in page.query.iter().enumerate() {
        let Some((field, modifier)) = known.iter().find_map(|field| {
            let suffix = key.strip_prefix(field.as_str())?;
            MODIFIERS.iter().find(|(_, s, _)| *s == suffix).map(|(_, _, said)| (field.as_str(), *said))
        }) else {
            continue;
        };
        if scoped && field == "userId" && value == "*" {
            continue;
        }
        let rest = page
            .query
            .iter()
            .enumerate()
            .filter(|(other, (k, _))| *other != at && k != "marker" && !VIEW_KEYS.contains(&k.as_str()));
        active.push(Active {
            text: format!(
                "{} {} {}",
                label(field, kind, t),
                t.get(modifier),
                crate::shown::quoted(&crate::shown::cell(value))
            ),
            remove: page.with(rest.map(|(_, (k, v))| (k.as_str(), v.as_str()))),
        });
    }
    let keys: Vec<&str> = page
        .query
        .iter()
        .map(|(k, _)| k.as_str())
        .filter(|k| matches!(*k, "sort" | "order" | "limit"))
        .collect();
    let kept =
        page.query.iter().filter(|(k, _)| keys.contains(&k.as_str())).map(|(k, v)| (k.as_str(), v.as_str()));
    Filter {
        clear: (active.len() > 1).then(|| page.with(kept)),
        fields: known.iter().map(|field| ((*field).clone(), label(field, kind, t))).collect(),
        active,
    }
}

fn sorts(page: &Page<'_>, document: &Value, kind: &str) -> Vec<Sort> {
    let t: Texts = page.texts();
    document
        .pointer("/sort/links")
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(|links| links.keys())
        .map(|name| Sort {
            name: name.clone(),
            label: label(name, kind, t),
            selected: page.asked("sort") == name,
        })
        .collect()
}

/// The columns that matter to people; for a type that is new, the first few of its fields.
fn columns(kind: &str, schema: Option<&Schema<'_>>, data: &[Value]) -> Vec<String> {
    let chosen: &[&str] = match kind {
        "token" => &["id", "description", "userId", "kind", "ttl", "created", "expiresAt", "lastUsedAt"],
        "user" => &["id", "username", "name", "description", "created"],
        "setting" => &["id", "value", "default", "source"],
        "feature" => &["id", "value", "default", "description"],
        "globalRole" => &["id", "name", "description", "created"],
        "globalRoleBinding" => &["id", "globalRoleId", "userId", "groupPrincipalId", "created"],
        "cluster" => &["id", "name", "state", "created"],
        "schema" => &["id", "pluralName", "collectionMethods", "resourceMethods"],
        _ => &[],
    };
    let exists = |name: &str| {
        kind == "feature"
            || data.is_empty()
            || data.iter().any(|item| item.get(name).is_some())
            || name == "kind"
    };
    let declared = |name: &str| {
        matches!(name, "id" | "kind")
            || matches!(kind, "schema" | "feature")
            || schema.is_none_or(|schema| schema.field(name).is_some())
    };
    let mut names: Vec<String> =
        chosen.iter().filter(|name| exists(name) && declared(name)).map(|name| (*name).to_owned()).collect();
    if names.is_empty() {
        names.push("id".to_owned());
        let telling = |kind: &str| {
            matches!(kind, "string" | "boolean" | "dnsLabel" | "enum" | "int")
                || kind.starts_with("reference[")
        };
        let fields = schema.into_iter().flat_map(|schema| schema.fields());
        names.extend(
            fields
                .filter(|f| {
                    telling(f.kind) && exists(f.name) && !matches!(f.name, "id" | "uuid" | "creatorId")
                })
                .map(|f| f.name.to_owned())
                .take(5),
        );
    }
    names
}

fn last_segment<'a>(page: &Page<'a>) -> &'a str {
    page.path().trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}
