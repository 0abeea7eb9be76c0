//! Forms for new items and for changes, made from the schema.

use askama::Template;
use serde_json::Value;

use super::{Button, name_of, post_to, render, type_name};
use crate::chrome::{Chrome, Page};
use crate::curl::Request;
use crate::form::{Control, Filling, Mode};
use crate::link::Pairs;
use crate::schema::{Schema, text};
use crate::shown;

#[derive(Template)]
#[template(path = "edit.html")]
struct Edit<'a> {
    c: Chrome<'a>,
    heading: String,
    about: String,
    operations: Vec<Button>,
    actions: Vec<Button>,
    refused: String,
    refused_code: String,
    refused_field: String,
    controls: Vec<Control>,
    post_to: String,
    submit: &'static str,
    cancel: String,
    curl: String,
}

/// The form for a new item. After a refusal: what was sent, and the API's error.
#[must_use]
pub fn create(page: &Page<'_>, schema: &Value, refused: Option<(&Pairs, &Value)>) -> String {
    let t = page.texts();
    let kind = Schema::new(schema);
    let heading = t.fill("edit.create", &[("type", type_name(t, kind.id()))]);
    let about = t.find(&format!("create.{}", kind.id())).unwrap_or_default();
    form(page, schema, None, refused, heading, about.to_owned())
}

/// The form for changes of an item.
#[must_use]
pub fn edit(page: &Page<'_>, document: &Value, schema: &Value, refused: Option<(&Pairs, &Value)>) -> String {
    let t = page.texts();
    let heading = t.fill("edit.edit", &[("name", &shown::cell(name_of(document)))]);
    form(page, schema, Some(document), refused, heading, String::new())
}

fn form(
    page: &Page<'_>,
    schema: &Value,
    item: Option<&Value>,
    refused: Option<(&Pairs, &Value)>,
    heading: String,
    about: String,
) -> String {
    let t = page.texts();
    let mode = if item.is_some() { Mode::Edit } else { Mode::Create };
    let error = refused.map(|(_, error)| error);
    let filling = Filling {
        schema: Schema::new(schema),
        mode,
        item,
        posted: refused.map(|(posted, _)| posted),
        error,
        t,
    };
    let controls = filling.controls();
    let said = |member: &str| error.map(|e| shown::plain(text(e, member))).unwrap_or_default();
    let (method, post_to) = match mode {
        Mode::Edit => ("PUT", post_to(page, &[("_method", "PUT")])),
        _ => ("POST", post_to(page, &[])),
    };
    let example = controls.iter().filter(|c| c.kind != "area" || c.type_name == "string");
    let body = Value::Object(example.take(3).map(|c| (c.name.clone(), placeholder(&c.type_name))).collect());
    let field = said("fieldName");
    render(&Edit {
        c: Chrome::new(page, &heading),
        heading,
        about,
        operations: Vec::new(),
        actions: Vec::new(),
        refused: said("message"),
        refused_code: said("code"),
        refused_field: if controls.iter().any(|c| c.name == field) { field } else { String::new() },
        controls,
        post_to,
        submit: if mode == Mode::Edit { "edit.save" } else { "op.create" },
        cancel: page
            .with(page.query.iter().filter(|(k, _)| k == "userId").map(|(k, v)| (k.as_str(), v.as_str()))),
        curl: Request { method, base: page.origin(), target: page.path(), body: Some(&body) }.curl(),
    })
}

/// Stands for a value in the curl command.
fn placeholder(kind: &str) -> Value {
    match kind {
        "int" => Value::from(86_400_000),
        "boolean" => Value::from(true),
        _ => Value::from("…"),
    }
}
