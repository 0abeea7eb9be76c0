//! From objects to sets of fields, along the schema.
//!
//! Lists of type `set` or `map` and objects that are not `atomic` have owners for their parts; everything else is one value.
//! Where the schema allows any JSON, objects are taken apart and lists are not. Fields that the schema does not know have no owner.

use super::set::{FieldSet, PathElement};
use crate::schema::{ListType, MapType, Schema, SchemaKind};
use crate::{Map, Tree};

/// What a write did to the fields that can have owners.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Comparison {
    /// Fields that were added, or have another value.
    pub changed: FieldSet,
    /// Fields that are gone.
    pub removed: FieldSet,
}

impl FieldSet {
    /// The fields that an object sets, as an applied configuration claims them: leaves, empty objects and list elements, without those that
    /// nobody owns (S3).
    #[must_use]
    pub fn of(schema: &Schema, tree: &Tree) -> Self {
        let mut claims = Claims { set: Self::default(), path: Vec::new() };
        claims.value(schema, tree);
        without_unowned(claims.set)
    }
}

/// Compares two states of an object; without `before` everything is new. Fields that nobody owns (S3) are left out.
///
/// An optional object or a list that comes or goes as a whole counts itself, besides its parts; structs that are always there do not.
#[must_use]
pub fn compare(schema: &Schema, before: Option<&Tree>, after: &Tree) -> Comparison {
    let mut walk = Differences { found: Comparison::default(), path: Vec::new() };
    walk.value(schema, before, Some(after));
    let Comparison { changed, removed } = walk.found;
    Comparison { changed: without_unowned(changed), removed: without_unowned(removed) }
}

/// Fields of the object and of its metadata that have no owner.
const UNOWNED: [&str; 3] = ["apiVersion", "kind", "metadata"];
const UNOWNED_METADATA: [&str; 9] = [
    "name",
    "namespace",
    "creationTimestamp",
    "selfLink",
    "uid",
    "clusterName",
    "generation",
    "managedFields",
    "resourceVersion",
];

fn without_unowned(set: FieldSet) -> FieldSet {
    // `managedFields` of any JSON could have been taken apart, so what is below goes too.
    let metadata = PathElement::Field("metadata".to_owned());
    let mut set = set;
    if let Some(node) = set.children.get_mut(&metadata) {
        for name in UNOWNED_METADATA {
            node.below.children.remove(&PathElement::Field(name.to_owned()));
        }
    }
    for name in UNOWNED {
        let element = PathElement::Field(name.to_owned());
        let inner = set.children.get_mut(&element).is_some_and(|node| {
            node.member = false;
            !node.below.is_empty()
        });
        if !inner {
            set.children.remove(&element);
        }
    }
    set
}

struct Claims {
    set: FieldSet,
    path: Vec<PathElement>,
}

impl Claims {
    fn value(&mut self, schema: &Schema, tree: &Tree) {
        match (shape(schema), tree) {
            (Shape::Fields, Tree::Object(fields)) => {
                for (name, value) in fields {
                    let Some(schema) = field(schema, name) else { continue };
                    self.path.push(PathElement::Field(name.clone()));
                    if value.is_null() || value.as_object().is_some_and(Map::is_empty) {
                        self.set.insert(&self.path);
                    } else {
                        self.value(schema, value);
                    }
                    self.path.pop();
                }
            }
            (Shape::Elements(items), Tree::Array(list)) => {
                for (i, item) in list.iter().enumerate() {
                    self.path.push(element(schema, item, i));
                    self.set.insert(&self.path);
                    self.value(items, item);
                    self.path.pop();
                }
            }
            _ => self.set.insert(&self.path),
        }
    }
}

struct Differences {
    found: Comparison,
    path: Vec<PathElement>,
}

impl Differences {
    /// `null` counts as absent.
    fn value(&mut self, schema: &Schema, before: Option<&Tree>, after: Option<&Tree>) {
        let (before, after) = (before.filter(|t| !t.is_null()), after.filter(|t| !t.is_null()));
        match (shape(schema), before, after) {
            (_, None, None) => {}
            (Shape::Fields, None | Some(Tree::Object(_)), None | Some(Tree::Object(_))) => {
                let empty = Map::new();
                let old = before.and_then(Tree::as_object).unwrap_or(&empty);
                let new = after.and_then(Tree::as_object).unwrap_or(&empty);
                if !always_there(schema) || (old.is_empty() && new.is_empty()) {
                    self.whole(before.is_some(), after.is_some());
                }
                for (name, value) in new {
                    self.part(
                        field(schema, name),
                        || PathElement::Field(name.clone()),
                        old.get(name),
                        Some(value),
                    );
                }
                for (name, value) in old.iter().filter(|(name, _)| !new.contains_key(*name)) {
                    self.part(field(schema, name), || PathElement::Field(name.clone()), Some(value), None);
                }
            }
            (Shape::Elements(items), None | Some(Tree::Array(_)), None | Some(Tree::Array(_))) => {
                self.whole(before.is_some(), after.is_some());
                let (old, new) = (by_element(schema, before), by_element(schema, after));
                for (element, item) in &new {
                    self.part(Some(items), || element.clone(), old.get(element).copied(), Some(item));
                    if !old.contains_key(element) {
                        self.path.push(element.clone());
                        self.found.changed.insert(&self.path);
                        self.path.pop();
                    }
                }
                for (element, item) in old.iter().filter(|(element, _)| !new.contains_key(element)) {
                    self.part(Some(items), || element.clone(), Some(item), None);
                    self.path.push(element.clone());
                    self.found.removed.insert(&self.path);
                    self.path.pop();
                }
            }
            (_, Some(before), Some(after)) => {
                if before != after {
                    self.found.changed.insert(&self.path);
                }
            }
            (_, before, after) => self.whole(before.is_some(), after.is_some()),
        }
    }

    fn part(
        &mut self,
        schema: Option<&Schema>,
        element: impl FnOnce() -> PathElement,
        before: Option<&Tree>,
        after: Option<&Tree>,
    ) {
        // Most fields of most writes did not change; equal subtrees have nothing to say.
        let (Some(schema), true) = (schema, before != after) else { return };
        self.path.push(element());
        self.value(schema, before, after);
        self.path.pop();
    }

    fn whole(&mut self, before: bool, after: bool) {
        match (before, after) {
            (false, true) => self.found.changed.insert(&self.path),
            (true, false) => self.found.removed.insert(&self.path),
            _ => {}
        }
    }
}

enum Shape<'a> {
    /// One value.
    Leaf,
    /// An object whose fields have owners.
    Fields,
    /// A list whose elements have owners.
    Elements(&'a Schema),
}

fn shape(schema: &Schema) -> Shape<'_> {
    match &schema.kind {
        SchemaKind::Object { .. } if schema.extensions.map_type == Some(MapType::Atomic) => Shape::Leaf,
        SchemaKind::Object { .. } | SchemaKind::Any => Shape::Fields,
        SchemaKind::Array { items } => match schema.extensions.list_type {
            Some(ListType::Set | ListType::Map) => Shape::Elements(items),
            Some(ListType::Atomic) | None => Shape::Leaf,
        },
        _ => Shape::Leaf,
    }
}

static ANY: Schema = Schema {
    description: String::new(),
    kind: SchemaKind::Any,
    nullable: false,
    extensions: crate::schema::Extensions {
        list_type: None,
        list_map_keys: Vec::new(),
        map_type: None,
        patch_strategy: None,
        patch_merge_key: None,
        int_or_string: false,
        embedded_resource: false,
        model: None,
        model_description: String::new(),
    },
};

fn field<'a>(schema: &'a Schema, name: &str) -> Option<&'a Schema> {
    schema.field(name).or_else(|| schema.preserves_unknown().then_some(&ANY))
}

/// A struct that the type holds by value exists in every object, also in one that leaves it out.
fn always_there(schema: &Schema) -> bool {
    !schema.nullable
        && matches!(&schema.kind, SchemaKind::Object { properties, .. } if !properties.is_empty())
}

fn element(schema: &Schema, item: &Tree, at: usize) -> PathElement {
    match (schema.extensions.list_type, item) {
        (Some(ListType::Map), Tree::Object(fields)) if !schema.extensions.list_map_keys.is_empty() => {
            let keys = schema.extensions.list_map_keys.iter();
            let keys: Map =
                keys.map(|key| (key.clone(), fields.get(key).cloned().unwrap_or_default())).collect();
            PathElement::Key(Tree::Object(keys).to_string())
        }
        (Some(ListType::Set), scalar) => PathElement::Value(scalar.to_string()),
        _ => PathElement::Index(at as u64),
    }
}

fn by_element<'t>(
    schema: &Schema,
    list: Option<&'t Tree>,
) -> std::collections::BTreeMap<PathElement, &'t Tree> {
    let items = list.and_then(Tree::as_array).into_iter().flatten().enumerate();
    items.map(|(i, item)| (element(schema, item, i), item)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use serde_json::json;

    use super::*;
    use crate::schema::test_schema;

    #[test]
    fn a_configuration_claims_leaves_and_list_elements() {
        let tree = json!({"apiVersion":"v1","kind":"Token","metadata":{"name":"a","labels":{"x":"y"},"annotations":{},"managedFields":[],
            "finalizers":["f"],"ownerReferences":[{"uid":"o","name":"n"}]},
            "spec":{"ttl":1,"words":["a"],"tags":["t"],"items":[{"name":"i","value":"v"}],"nested":{"a":"b"},"point":{"a":"b"},"foo":1}});
        assert_eq!(
            FieldSet::of(&test_schema(), &tree).to_fields_v1(),
            json!({"f:metadata":{"f:labels":{"f:x":{}},"f:annotations":{},"f:finalizers":{"v:\"f\"":{}},"f:ownerReferences":{"k:{\"uid\":\"o\"}":{}}},
                "f:spec":{"f:ttl":{},"f:words":{},"f:tags":{"v:\"t\"":{}},"f:items":{"k:{\"name\":\"i\"}":{".":{},"f:name":{},"f:value":{}}},
                    "f:nested":{"f:a":{}},"f:point":{}}})
        );
    }

    #[test]
    fn only_what_differs_is_changed() {
        let before = json!({"spec":{"ttl":1,"tags":["a","b"],"items":[{"name":"x","value":"1"},{"name":"y"}],"words":["a"],"nested":{"a":"1"}}});
        let after = json!({"spec":{"ttl":1,"tags":["b","c"],"items":[{"name":"y"},{"name":"x","value":"2"}],"words":["b"]}});
        let Comparison { changed, removed } = compare(&test_schema(), Some(&before), &after);
        assert_eq!(
            changed.to_fields_v1(),
            json!({"f:spec":{"f:tags":{"v:\"c\"":{}},"f:items":{"k:{\"name\":\"x\"}":{"f:value":{}}},"f:words":{}}})
        );
        assert_eq!(
            removed.to_fields_v1(),
            json!({"f:spec":{"f:tags":{"v:\"a\"":{}},"f:nested":{".":{},"f:a":{}}}})
        );
    }

    #[test]
    fn null_is_absent_and_nothing_is_nothing() {
        let tree = json!({"spec":{"ttl":null,"enabled":true}});
        let same = json!({"spec":{"enabled":true}});
        assert_eq!(compare(&test_schema(), Some(&tree), &same), Comparison::default());
        assert_eq!(compare(&test_schema(), None, &json!({"metadata":{"name":"x"}})), Comparison::default());
    }
}
