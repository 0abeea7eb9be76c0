//! A tree against a schema: fields that are not declared, and values of the wrong type, in the words of Go's encoding/json.

use super::MAX_REPORTED;
use crate::schema::{Schema, SchemaKind};
use crate::time::parse_rfc3339;
use crate::{Map, Tree};

/// What [`check`] found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checked {
    /// Paths of fields that are not declared, e.g. `spec.foo`; 100 at most.
    pub unknown: Vec<String>,
    /// Type errors, complete texts; 100 at most. The first is what Go would have said.
    pub errors: Vec<String>,
}

/// Walks the tree along the schema. `kind` is the root type's name in the texts: `Token`.
///
/// `null` counts as unset everywhere. Numbers for integers must be written as integers and fit.
#[must_use]
pub fn check(schema: &Schema, tree: &Tree, kind: &str) -> Checked {
    let mut walk = Walk { kind, path: String::new(), found: Checked::default() };
    walk.value(schema, tree);
    walk.found
}

/// Drops fields that are not declared, and fields that are `null`; `null` in a list becomes the type's zero value, as in Go.
///
/// Inside values of any type, and beside declared fields where unknown ones are preserved, everything stays.
pub fn prune(schema: &Schema, tree: &mut Tree) {
    match (&schema.kind, tree) {
        (SchemaKind::Object { properties, additional, preserve_unknown, .. }, Tree::Object(fields)) => {
            fields.retain(|name, value| {
                let Some(schema) = properties.get(name).or(additional.as_deref()) else {
                    return *preserve_unknown;
                };
                prune(schema, value);
                !value.is_null() || matches!(schema.kind, SchemaKind::Any)
            });
        }
        (SchemaKind::Array { items: schema }, Tree::Array(items)) => {
            for item in items {
                if item.is_null() {
                    *item = zero(schema);
                }
                prune(schema, item);
            }
        }
        _ => {}
    }
}

struct Walk<'a> {
    kind: &'a str,
    path: String,
    found: Checked,
}

impl Walk<'_> {
    fn value(&mut self, schema: &Schema, tree: &Tree) {
        match (&schema.kind, tree) {
            (_, Tree::Null) | (SchemaKind::Any, _) => {}
            (SchemaKind::Object { properties, additional, preserve_unknown, .. }, Tree::Object(fields)) => {
                for (name, value) in fields {
                    match properties.get(name).or(additional.as_deref()) {
                        Some(schema) => self.within(name, |walk| walk.value(schema, value)),
                        None if *preserve_unknown => {}
                        None => self.within(name, Self::unknown),
                    }
                }
            }
            (SchemaKind::Array { items: schema }, Tree::Array(items)) => {
                let outer = self.path.len();
                for (i, item) in items.iter().enumerate() {
                    self.path.push_str(&format!("[{i}]"));
                    self.value(schema, item);
                    self.path.truncate(outer);
                }
            }
            (SchemaKind::String { format, .. }, Tree::String(text)) => {
                if format.as_deref() == Some("date-time") && parse_rfc3339(text).is_none() {
                    let text = crate::field_error::quote(text.get(..64).unwrap_or(text));
                    self.error(format!(
                        "parsing time {text} as \"2006-01-02T15:04:05Z07:00\": cannot parse {text} as \"2006\""
                    ));
                }
            }
            (SchemaKind::Integer { format }, Tree::Number(number)) => {
                let fits = match number.as_i64() {
                    Some(n) => *format != "int32" || i32::try_from(n).is_ok(),
                    None => false,
                };
                if !fits {
                    self.mismatch(&format!("number {number}"), schema);
                }
            }
            (SchemaKind::Number, Tree::Number(_)) | (SchemaKind::Boolean, Tree::Bool(_)) => {}
            (_, other) => self.mismatch(json_type(other), schema),
        }
    }

    fn within(&mut self, name: &str, act: impl FnOnce(&mut Self)) {
        let outer = self.path.len();
        if outer > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        act(self);
        self.path.truncate(outer);
    }

    fn unknown(&mut self) {
        if self.found.unknown.len() < MAX_REPORTED {
            self.found.unknown.push(self.path.clone());
        }
    }

    fn mismatch(&mut self, found: &str, schema: &Schema) {
        let wanted = schema.go_type();
        if self.path.is_empty() {
            self.error(format!("json: cannot unmarshal {found} into Go value of type {wanted}"));
        } else {
            // Go names no index, and no key of a map either; the key is kept here because it helps.
            let path = without_indices(&self.path);
            let text = format!(
                "json: cannot unmarshal {found} into Go struct field {}.{path} of type {wanted}",
                self.kind
            );
            self.error(text);
        }
    }

    fn error(&mut self, text: String) {
        if self.found.errors.len() < MAX_REPORTED {
            self.found.errors.push(text);
        }
    }
}

fn without_indices(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('[') {
        match after.split_once(']') {
            Some((index, tail)) if index.bytes().all(|b| b.is_ascii_digit()) => {
                out.push_str(before);
                rest = tail;
            }
            _ => {
                out.push_str(before);
                out.push('[');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

fn json_type(tree: &Tree) -> &'static str {
    match tree {
        Tree::Null => "null",
        Tree::Bool(_) => "bool",
        Tree::Number(_) => "number",
        Tree::String(_) => "string",
        Tree::Array(_) => "array",
        Tree::Object(_) => "object",
    }
}

fn zero(schema: &Schema) -> Tree {
    match &schema.kind {
        SchemaKind::Object { .. } => Tree::Object(Map::new()),
        SchemaKind::Array { .. } => Tree::Array(Vec::new()),
        SchemaKind::String { format: Some(format), .. } if format == "date-time" => Tree::Null,
        SchemaKind::String { .. } => Tree::String(String::new()),
        SchemaKind::Integer { .. } => Tree::from(0),
        SchemaKind::Number => Tree::from(0.0),
        SchemaKind::Boolean => Tree::Bool(false),
        SchemaKind::Any => Tree::Null,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use serde_json::json;

    use super::*;
    use crate::schema::test_schema;

    fn errors(tree: Tree) -> Vec<String> {
        check(&test_schema(), &tree, "Token").errors
    }

    #[test]
    fn unknown_fields_are_named_by_path() {
        let tree = json!({"spce":{},"spec":{"foo":1,"ttl":1,"TTL":2,"items":[{"name":"a"},{"name":"b","x":1}]},
            "metadata":{"labels":{"any":"thing"},"nmae":"x","managedFields":[{"fieldsV1":{"f:x":{}}}]}});
        assert_eq!(
            check(&test_schema(), &tree, "Token").unknown,
            ["metadata.nmae", "spce", "spec.TTL", "spec.foo", "spec.items[1].x"]
        );
    }

    #[test]
    fn type_errors_are_worded_as_go_words_them() {
        assert_eq!(
            errors(json!({"spec":{"ttl":"x"}})),
            ["json: cannot unmarshal string into Go struct field Token.spec.ttl of type int64"]
        );
        assert_eq!(
            errors(json!({"spec":{"ttl":1.5}})),
            ["json: cannot unmarshal number 1.5 into Go struct field Token.spec.ttl of type int64"]
        );
        assert_eq!(
            errors(json!({"spec":{"ttl":9_223_372_036_854_775_808_u64}})),
            [
                "json: cannot unmarshal number 9223372036854775808 into Go struct field Token.spec.ttl of type int64"
            ]
        );
        assert_eq!(
            errors(json!({"spec":"x"})),
            ["json: cannot unmarshal string into Go struct field Token.spec of type v1.TokenSpec"]
        );
        assert_eq!(
            errors(json!({"spec":{"items":[{"name":"a"},{"name":7}]}})),
            ["json: cannot unmarshal number into Go struct field Token.spec.items.name of type string"]
        );
        assert_eq!(
            errors(json!({"metadata":{"labels":["a"]}})),
            [
                "json: cannot unmarshal array into Go struct field Token.metadata.labels of type map[string]string"
            ]
        );
        assert_eq!(errors(json!([])), ["json: cannot unmarshal array into Go value of type v1.Token"]);
        assert_eq!(
            errors(json!({"metadata":{"creationTimestamp":"yesterday"}})),
            [
                "parsing time \"yesterday\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"yesterday\" as \"2006\""
            ]
        );
    }

    #[test]
    fn the_largest_int64_is_fine_and_null_is_unset() {
        assert!(
            errors(json!({"spec":{"ttl":i64::MAX,"enabled":null,"items":null},"metadata":null})).is_empty()
        );
        assert!(errors(json!({"spec":{"ttl":i64::MIN}})).is_empty());
    }

    #[test]
    fn pruning_leaves_only_what_is_declared_and_set() {
        let mut tree = json!({"spec":{"foo":1,"ttl":null,"tags":["a",null],"items":[{"name":"a","x":1}],"data":{"a":null}},"x":1,
            "metadata":{"labels":{"a":null,"b":"c"}}});
        prune(&test_schema(), &mut tree);
        assert_eq!(
            tree,
            json!({"spec":{"tags":["a",""],"items":[{"name":"a"}],"data":{"a":null}},"metadata":{"labels":{"b":"c"}}})
        );
    }
}
