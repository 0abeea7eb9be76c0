//! [`FieldSet`] as JSON: `{"f:spec":{"f:ttl":{}},"f:metadata":{"f:finalizers":{".":{},"v:\"a\"":{}}}}`.
//!
//! An element without anything below is a member; one with something below is a member if `.` is there too.

use super::set::{FieldSet, Node, PathElement};
use crate::{Map, Tree};

impl FieldSet {
    /// The set as `fieldsV1` shows it.
    #[must_use]
    pub fn to_fields_v1(&self) -> Tree {
        let mut shown = Map::new();
        for (element, node) in &self.children {
            let mut below = node.below.to_fields_v1();
            if let (true, false, Tree::Object(fields)) = (node.member, node.below.is_empty(), &mut below) {
                fields.insert(".".to_owned(), Tree::Object(Map::new()));
            }
            let key = match element {
                PathElement::Field(name) => format!("f:{name}"),
                PathElement::Key(keys) => format!("k:{keys}"),
                PathElement::Value(value) => format!("v:{value}"),
                PathElement::Index(at) => format!("i:{at}"),
            };
            shown.insert(key, below);
        }
        Tree::Object(shown)
    }

    /// Reads `fieldsV1`.
    ///
    /// # Errors
    /// If it is no tree of path elements.
    pub fn from_fields_v1(fields: &Tree) -> Result<Self, &'static str> {
        let fields = fields.as_object().ok_or("fieldsV1 is no tree of objects")?;
        let mut set = Self::default();
        for (key, below) in fields {
            // The element itself; whoever called has looked for it.
            if key == "." {
                continue;
            }
            let here = below.as_object().is_some_and(|b| b.is_empty() || b.contains_key("."));
            let node = Node { member: here, below: Self::from_fields_v1(below)? };
            if node.member || !node.below.is_empty() {
                set.children.insert(element(key)?, node);
            }
        }
        Ok(set)
    }
}

fn element(key: &str) -> Result<PathElement, &'static str> {
    let canonical = |json: &str| serde_json::from_str::<Tree>(json).map_err(|_| "a path element is no JSON");
    match key.split_once(':') {
        Some(("f", name)) => Ok(PathElement::Field(name.to_owned())),
        Some(("k", keys)) => match canonical(keys)? {
            keys @ Tree::Object(_) => Ok(PathElement::Key(keys.to_string())),
            _ => Err("a key is no object"),
        },
        Some(("v", value)) => Ok(PathElement::Value(canonical(value)?.to_string())),
        Some(("i", at)) => at.parse().map(PathElement::Index).map_err(|_| "an index is no number"),
        _ => Err("a path element begins with none of f:, k:, v:, i:"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::managed::set::any_set;

    #[test]
    fn a_name_may_have_colons_and_keys_any_spelling() {
        let shown = json!({"f:a:b":{},"k:{ \"b\":1, \"a\":\"x\" }":{},"v:true":{},"i:3":{}});
        let set = FieldSet::from_fields_v1(&shown).unwrap();
        assert_eq!(set.to_fields_v1(), json!({"f:a:b":{},"k:{\"a\":\"x\",\"b\":1}":{},"v:true":{},"i:3":{}}));
    }

    #[test]
    fn other_shapes_are_refused() {
        for bad in [
            json!([]),
            json!({"f:a":1}),
            json!({"x:a":{}}),
            json!({"a":{}}),
            json!({"k:[]":{}}),
            json!({"v:{":{}}),
            json!({"i:-1":{}}),
        ] {
            assert!(FieldSet::from_fields_v1(&bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read(set in any_set()) {
            prop_assert_eq!(FieldSet::from_fields_v1(&set.to_fields_v1()), Ok(set));
        }
    }
}
