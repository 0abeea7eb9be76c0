//! The pages. Each function takes the document that the API gave and answers with a whole HTML document.

mod collection;
mod edit;
mod error;
mod login;
mod request;
mod resource;
mod result;
mod root;

use askama::Template;
use serde_json::Value;

pub use self::collection::collection;
pub use self::edit::{create, edit};
pub use self::error::error;
pub use self::login::{Login, login};
pub use self::request::{confirm_action, confirm_delete};
pub use self::resource::resource;
pub use self::result::{Outcome, result};
pub use self::root::root;

use crate::chrome::Page;
use crate::link;
use crate::schema::{Schema, text};
use crate::texts::Texts;

/// Something that can be done here.
#[derive(Debug)]
struct Button {
    text: String,
    /// Where it leads; `None`: not offered now.
    href: Option<String>,
    /// CSS classes besides `button`.
    class: &'static str,
}

impl Button {
    fn new(text: &str, href: String) -> Button {
        Button { text: text.to_owned(), href: Some(href), class: "" }
    }

    fn class(self, class: &'static str) -> Button {
        Button { class, ..self }
    }
}

/// A page as text. Rendering into memory does not fail; if it did, people get a page all the same.
fn render(template: &impl Template) -> String {
    template.render().unwrap_or_else(|_| {
        "<!doctype html><html lang=\"en\"><title>API</title><h1>This page could not be made</h1><p>Ask the API itself, for instance with curl.</p></html>"
            .to_owned()
    })
}

/// The page above.
fn up(page: &Page<'_>) -> Option<String> {
    let (above, _) = page.path().trim_end_matches('/').rsplit_once('/')?;
    above.strip_prefix(page.prefix()).is_some_and(|ours| !ours.is_empty()).then(|| above.to_owned())
}

/// One button for each action that the schema knows; those that the document does not offer cannot be pressed.
fn actions(
    page: &Page<'_>,
    document: &Value,
    schema: Option<&Schema<'_>>,
    of_collection: bool,
) -> Vec<Button> {
    let offered = |name: &str| document.get("actions").is_some_and(|actions| actions.get(name).is_some());
    schema
        .into_iter()
        .flat_map(|schema| schema.actions(of_collection))
        .map(|(name, _)| Button {
            text: name.to_owned(),
            href: offered(name).then(|| page.with([("_view", "action"), ("name", name)])),
            class: "",
        })
        .collect()
}

/// A type's name for people: of many (`tokens`) or of one (`token`).
fn type_name(t: Texts, kind: &str) -> &str {
    t.find(&format!("type.{kind}")).unwrap_or(kind)
}

/// The name of an item for people.
fn name_of(item: &Value) -> &str {
    ["displayName", "name", "id"]
        .into_iter()
        .map(|m| text(item, m))
        .find(|s| !s.is_empty())
        .unwrap_or_default()
}

/// Where a form of this page is sent.
fn post_to(page: &Page<'_>, pairs: &[(&str, &str)]) -> String {
    let kept = page.query.iter().filter(|(key, _)| key == "userId").map(|(k, v)| (k.as_str(), v.as_str()));
    link::with_query(page.path(), [("_format", "html")].into_iter().chain(pairs.iter().copied()).chain(kept))
}

#[cfg(test)]
mod tests;
