//! A JSON document as rows for a page: nothing is lost, own URLs and ids are links, inner objects can be folded.

use serde_json::{Map, Value};

use crate::link;
use crate::schema::Schema;
use crate::shown;

/// Deeper documents are cut: pages are for people.
const DEEPEST: usize = 32;

/// With more items than this, the items of a collection begin folded.
const MANY: usize = 3;

/// A piece of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// CSS class: `k` name, `s` string, `n` number, `b` boolean or null, `p` punctuation, `f` what stands for something folded.
    pub class: &'static str,
    /// The text.
    pub text: String,
    /// Where it leads, on this server.
    pub href: Option<String>,
}

/// A row of the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// A line.
    Line(Vec<Piece>),
    /// The first line of something that can be folded, and whether it begins unfolded.
    Open(Vec<Piece>, bool),
    /// What was opened ends here.
    Close(Vec<Piece>),
}

/// The rows of a document. `base` is what the server's own links begin with.
#[must_use]
pub fn rows(document: &Value, base: &str, schema: Option<&Schema<'_>>) -> Vec<Row> {
    let mut writer = Writer { base, schema, rows: Vec::new() };
    writer
        .value(document, &Place { depth: 0, name: None, href: None, fold: false, last: true, action: false });
    writer.rows
}

struct Writer<'a> {
    base: &'a str,
    schema: Option<&'a Schema<'a>>,
    rows: Vec<Row>,
}

struct Place<'a> {
    depth: usize,
    name: Option<&'a str>,
    href: Option<String>,
    fold: bool,
    last: bool,
    action: bool,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value, place: &Place<'_>) {
        let mut line = Vec::new();
        if let Some(name) = place.name {
            line.push(piece("k", shown::quoted(name)));
            line.push(piece("p", ": ".to_owned()));
        }
        let comma = if place.last { "" } else { "," };
        match value {
            Value::Object(members) if !members.is_empty() => {
                let hint = members.get("id").and_then(Value::as_str).unwrap_or_default();
                self.open(line, "{", hint, place);
                self.members(members, place);
                self.close(&format!("}}{comma}"));
            }
            Value::Array(items) if !items.is_empty() => {
                self.open(line, "[", &items.len().to_string(), place);
                self.items(items, place);
                self.close(&format!("]{comma}"));
            }
            scalar => {
                line.push(self.scalar(scalar, place));
                if !place.last {
                    line.push(piece("p", comma.to_owned()));
                }
                self.rows.push(Row::Line(line));
            }
        }
    }

    fn open(&mut self, mut line: Vec<Piece>, bracket: &str, hint: &str, place: &Place<'_>) {
        line.push(piece("p", bracket.to_owned()));
        if place.depth > 0 {
            line.push(piece("f", shown::cell(hint)));
        }
        self.rows.push(Row::Open(line, !place.fold));
    }

    fn close(&mut self, bracket: &str) {
        self.rows.push(Row::Close(vec![piece("p", bracket.to_owned())]));
    }

    fn members(&mut self, members: &Map<String, Value>, place: &Place<'_>) {
        if self.too_deep(place) {
            return;
        }
        let myself = members.get("links").and_then(|l| l.get("self")).and_then(Value::as_str);
        let collection = members.contains_key("data");
        for (at, (name, value)) in members.iter().enumerate() {
            let href = match name.as_str() {
                "id" => myself.and_then(|url| link::own(url, self.base)).map(str::to_owned),
                _ => self.reference(members, name, value),
            };
            self.value(
                value,
                &Place {
                    depth: place.depth + 1,
                    name: Some(name),
                    href,
                    fold: place.depth == 0 && collection && matches!(name.as_str(), "filters" | "sort"),
                    last: at + 1 == members.len(),
                    action: place.name == Some("actions"),
                },
            );
        }
    }

    fn items(&mut self, items: &[Value], place: &Place<'_>) {
        if self.too_deep(place) {
            return;
        }
        let fold = place.depth == 1 && place.name == Some("data") && items.len() > MANY;
        for (at, value) in items.iter().enumerate() {
            let last = at + 1 == items.len();
            self.value(
                value,
                &Place { depth: place.depth + 1, name: None, href: None, fold, last, action: false },
            );
        }
    }

    fn too_deep(&mut self, place: &Place<'_>) -> bool {
        let deep = place.depth >= DEEPEST;
        if deep {
            self.rows.push(Row::Line(vec![piece("p", "…".to_owned())]));
        }
        deep
    }

    fn scalar(&self, value: &Value, place: &Place<'_>) -> Piece {
        match value {
            Value::String(text) => {
                let href = place.href.clone().or_else(|| {
                    let path = link::own(text, self.base)?;
                    // A GET of an action's URL would show the collection; its page is what people mean.
                    Some(if place.action { action_page(path) } else { path.to_owned() })
                });
                Piece { class: "s", text: shown::quoted(text), href }
            }
            Value::Number(number) => piece("n", number.to_string()),
            Value::Object(_) => piece("p", "{}".to_owned()),
            Value::Array(_) => piece("p", "[]".to_owned()),
            other => piece("b", other.to_string()),
        }
    }

    /// The page of what a member of type `reference[…]` names.
    fn reference(&self, members: &Map<String, Value>, name: &str, value: &Value) -> Option<String> {
        let schema = self.schema?;
        let kind = members.get("type").and_then(Value::as_str)?;
        if kind != schema.id() {
            return None;
        }
        schema.field(name)?.refers_to(value.as_str()?, self.base)
    }
}

/// The confirmation page of the action at `<path>?action=<name>`.
fn action_page(path: &str) -> String {
    path.replacen("?action=", "?_view=action&name=", 1)
}

fn piece(class: &'static str, text: String) -> Piece {
    Piece { class, text, href: None }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use serde_json::json;

    use super::*;

    /// All pieces in a row: what a person would copy.
    fn text(rows: &[Row]) -> String {
        let pieces = |line: &[Piece]| {
            line.iter().filter(|p| p.class != "f").map(|p| p.text.clone()).collect::<String>()
        };
        rows.iter()
            .map(|row| match row {
                Row::Line(line) | Row::Open(line, _) | Row::Close(line) => pieces(line),
            })
            .collect()
    }

    fn links(rows: &[Row]) -> Vec<(String, String)> {
        rows.iter()
            .flat_map(|row| match row {
                Row::Line(line) | Row::Open(line, _) | Row::Close(line) => line.clone(),
            })
            .filter_map(|p| p.href.map(|href| (p.text, href)))
            .collect()
    }

    #[test]
    fn the_rows_are_the_whole_document() {
        let document = json!({"a": [1, 2.5, null, true, [], {}], "b": {"c": "d\"\n</p>"}, "e": "\u{202e}"});
        let text = text(&rows(&document, "https://h", None));
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), document);
    }

    #[test]
    fn own_urls_ids_references_and_actions_are_links_and_foreign_urls_are_not() {
        let schema = json!({"id": "token", "resourceFields": {"userId": {"type": "reference[user]"}}});
        let document = json!({
            "type": "token", "id": "token-a", "userId": "u-ann", "description": "https://evil.example/v3",
            "links": {"self": "https://h/v3/tokens/token-a"},
            "actions": {"wake": "https://h/v3/tokens/token-a?action=wake"},
        });
        let links = links(&rows(&document, "https://h", Some(&Schema::new(&schema))));
        let expected = [
            ("\"https://h/v3/tokens/token-a?action=wake\"", "/v3/tokens/token-a?_view=action&name=wake"),
            ("\"token-a\"", "/v3/tokens/token-a"),
            ("\"https://h/v3/tokens/token-a\"", "/v3/tokens/token-a"),
            ("\"u-ann\"", "/v3/users/u-ann"),
        ];
        let expected: Vec<_> = expected.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        assert_eq!(links, expected);
    }

    #[test]
    fn a_document_that_is_too_deep_is_cut() {
        let mut deep = json!(1);
        for _ in 0..200 {
            deep = json!([deep]);
        }
        assert!(rows(&deep, "", None).len() < 200);
    }

    #[test]
    fn many_items_begin_folded() {
        let document = json!({"data": (0..9).map(|i| json!({"id": i.to_string()})).collect::<Vec<_>>(), "filters": {"a": 1}});
        let folded = |document: &Value| {
            rows(document, "", None).iter().filter(|r| matches!(r, Row::Open(_, false))).count()
        };
        assert_eq!(folded(&document), 10);
        assert_eq!(folded(&json!({"data": [{"id": "a"}]})), 0);
    }
}
