//! Strategic merge patch: a merge patch that knows from the schema which lists merge, and by which key.
//!
//! | in the patch | effect |
//! |---|---|
//! | `"$patch": "delete"` in a list's element | elements with the same key go |
//! | `"$patch": "delete"` in an object | the object becomes empty |
//! | `"$patch": "replace"` | the object (or, as an element, the whole list) is replaced by the rest of the patch |
//! | `"$patch": "merge"` | nothing: objects merge anyway |
//! | `"$deleteFromPrimitiveList/<f>": […]` | these values go from list `f` |
//! | `"$setElementOrder/<f>": […]` | the order of list `f` |
//! | `"$retainKeys": […]` | all other fields of the object go |
//! | `null` | the field goes |
//!
//! Fields that the schema does not know merge like JSON; validation deals with them afterwards.

use std::collections::{BTreeMap, BTreeSet};

use super::PatchError;
use crate::schema::Schema;
use crate::{Map, Tree};

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const SET_ORDER: &str = "$setElementOrder/";

/// Applies the patch to the object.
///
/// # Errors
/// [`PatchError::Undecodable`] if the patch is no object or a directive has the wrong form,
/// [`PatchError::Inapplicable`] if a list's elements cannot be told apart.
pub fn strategic_merge(schema: &Schema, doc: &Tree, patch: &Tree) -> Result<Tree, PatchError> {
    let Tree::Object(patch) = patch else {
        return Err(undecodable("a strategic merge patch is an object"));
    };
    let doc = match doc {
        Tree::Object(doc) => doc.clone(),
        _ => Map::new(),
    };
    merge_object(Some(schema), doc, patch).map(Tree::Object)
}

fn merge_object(schema: Option<&Schema>, mut doc: Map, patch: &Map) -> Result<Map, PatchError> {
    match directive(patch)? {
        Some(Directive::Replace) => return Ok(without_directives(patch)),
        Some(Directive::Delete) => return Ok(Map::new()),
        Some(Directive::Merge) | None => {}
    }
    if let Some(retained) = patch.get(RETAIN_KEYS) {
        retain_keys(&mut doc, retained, patch)?;
    }
    for (name, value) in patch {
        if let Some(field) = name.strip_prefix(DELETE_FROM) {
            delete_from(&mut doc, field, value)?;
        }
    }
    for (name, value) in patch {
        if is_directive(name) {
            continue;
        }
        let schema = schema.and_then(|s| s.field(name));
        let order = match patch.get(&format!("{SET_ORDER}{name}")) {
            Some(order) => Some(list(order, "$setElementOrder")?),
            None => None,
        };
        let merged = match (doc.remove(name), value) {
            (_, Tree::Null) => continue,
            (Some(Tree::Object(old)), Tree::Object(new))
                if !schema.is_some_and(|s| s.extensions.replaces()) =>
            {
                Tree::Object(merge_object(schema, old, new)?)
            }
            (Some(Tree::Array(old)), Tree::Array(new)) if merging(schema) => {
                merge_list(schema, old, new, order)?
            }
            (None, Tree::Array(new)) if merging(schema) && order.is_some() => {
                merge_list(schema, Vec::new(), new, order)?
            }
            (_, new) => match cleaned(new) {
                Some(new) => new,
                None => continue,
            },
        };
        doc.insert(name.clone(), merged);
    }
    // An order without elements reorders what is there.
    for (name, value) in patch {
        let Some(field) = name.strip_prefix(SET_ORDER).filter(|field| !patch.contains_key(*field)) else {
            continue;
        };
        let schema = schema.and_then(|s| s.field(field));
        let order = list(value, "$setElementOrder")?;
        if let Some(Tree::Array(old)) = doc.get_mut(field)
            && merging(schema)
        {
            let old = std::mem::take(old);
            let merged = merge_list(schema, old, &[], Some(order))?;
            doc.insert(field.to_owned(), merged);
        }
    }
    Ok(doc)
}

fn merging(schema: Option<&Schema>) -> bool {
    schema.is_some_and(|s| s.extensions.merges())
}

/// Elements of both lists, told apart by the merge key, or by value where they are scalars.
fn merge_list(
    schema: Option<&Schema>,
    old: Vec<Tree>,
    new: &[Tree],
    order: Option<&[Tree]>,
) -> Result<Tree, PatchError> {
    let objects = old.iter().chain(new).any(Tree::is_object);
    let key = if objects { Some(merge_key(schema)?) } else { None };
    let identify = |item: &Tree| identity(item, key);

    let mut deleted = BTreeSet::new();
    let mut replaced = false;
    let mut wanted: Vec<(String, &Tree)> = Vec::new();
    for item in new {
        match item.as_object().map(directive).transpose()?.flatten() {
            Some(Directive::Delete) => drop(deleted.insert(identify(item)?)),
            Some(Directive::Replace) => {
                replaced = true;
                // An element that is only the directive says "replace the list by the others".
                if item.as_object().is_some_and(|fields| fields.len() > 1) {
                    wanted.push((identify(item)?, item));
                }
            }
            Some(Directive::Merge) => {
                return Err(undecodable("merging lists cannot yet be specified in the patch"));
            }
            None => wanted.push((identify(item)?, item)),
        }
    }
    if replaced {
        return Ok(Tree::Array(wanted.into_iter().filter_map(|(_, item)| cleaned(item)).collect()));
    }

    // Elements of the object that cannot be told apart stay as they are, in their place, unless a patch touches them.
    let mut result: Vec<(String, Tree)> = Vec::with_capacity(old.len() + wanted.len());
    let mut place: BTreeMap<String, usize> = BTreeMap::new();
    for item in old {
        let id = identify(&item)?;
        if !deleted.contains(&id) {
            place.entry(id.clone()).or_insert(result.len());
            result.push((id, item));
        }
    }
    let server_order: BTreeMap<String, usize> = place.clone();
    let item_schema = schema.and_then(Schema::items);
    for (id, item) in &wanted {
        match (place.get(id).and_then(|&at| result.get_mut(at)), item) {
            (Some((_, Tree::Object(old))), Tree::Object(new)) => {
                *old = merge_object(item_schema, std::mem::take(old), new)?;
            }
            (Some(_), _) => {}
            (None, item) => {
                if let Some(item) = cleaned(item) {
                    place.insert(id.clone(), result.len());
                    result.push((id.clone(), item));
                }
            }
        }
    }
    let patch_order = match order {
        Some(order) => {
            let order = order.iter().map(identify).collect::<Result<Vec<_>, _>>()?;
            in_order(&wanted, &order)?;
            order
        }
        None => wanted.into_iter().map(|(id, _)| id).collect(),
    };
    Ok(Tree::Array(interleave(result, &patch_order, &server_order)))
}

/// What the patch names comes in the patch's order, the rest in the object's; where the two meet, the object's order decides if it knows both,
/// else the patch's element goes first.
fn interleave(
    items: Vec<(String, Tree)>,
    patch_order: &[String],
    server_order: &BTreeMap<String, usize>,
) -> Vec<Tree> {
    let mut rank = BTreeMap::new();
    for (i, id) in patch_order.iter().enumerate() {
        rank.entry(id.as_str()).or_insert(i);
    }
    let (mut named, rest): (Vec<_>, Vec<_>) =
        items.into_iter().partition(|(id, _)| rank.contains_key(id.as_str()));
    named.sort_by_key(|(id, _)| rank.get(id.as_str()).copied());
    let mut merged = Vec::with_capacity(named.len() + rest.len());
    let (mut named, mut rest) = (named.into_iter().peekable(), rest.into_iter().peekable());
    while let (Some((patched, _)), Some((kept, _))) = (named.peek(), rest.peek()) {
        let kept_first = match (server_order.get(kept), server_order.get(patched)) {
            (Some(kept), Some(patched)) => kept < patched,
            _ => false,
        };
        merged.extend(if kept_first { rest.next() } else { named.next() }.map(|(_, item)| item));
    }
    merged.extend(named.chain(rest).map(|(_, item)| item));
    merged
}

/// The elements of the patch must come in the order that it sets itself.
fn in_order(wanted: &[(String, &Tree)], order: &[String]) -> Result<(), PatchError> {
    let mut rest = order.iter();
    for (id, _) in wanted {
        if !rest.any(|next| next == id) {
            return Err(undecodable("the order in patch list doesn't match $setElementOrder list"));
        }
    }
    Ok(())
}

fn merge_key(schema: Option<&Schema>) -> Result<&str, PatchError> {
    let extensions = schema.map(|s| &s.extensions);
    extensions
        .and_then(|e| {
            e.patch_merge_key.as_deref().or(match e.list_map_keys.as_slice() {
                [only] => Some(only.as_str()),
                _ => None,
            })
        })
        .ok_or_else(|| {
            PatchError::Inapplicable("the elements of a merging list have no merge key".to_owned())
        })
}

fn identity(item: &Tree, key: Option<&str>) -> Result<String, PatchError> {
    match (item, key) {
        (Tree::Object(fields), Some(key)) => fields
            .get(key)
            .map(Tree::to_string)
            .ok_or_else(|| undecodable(&format!("map does not contain declared merge key: {key}"))),
        (Tree::Object(_), None) | (_, Some(_)) => {
            Err(undecodable("a list of objects and other values cannot be merged"))
        }
        (scalar, None) => Ok(scalar.to_string()),
    }
}

fn delete_from(doc: &mut Map, field: &str, values: &Tree) -> Result<(), PatchError> {
    let gone: BTreeSet<String> =
        list(values, "$deleteFromPrimitiveList")?.iter().map(Tree::to_string).collect();
    if let Some(Tree::Array(items)) = doc.get_mut(field) {
        items.retain(|item| !gone.contains(&item.to_string()));
    }
    Ok(())
}

fn retain_keys(doc: &mut Map, retained: &Tree, patch: &Map) -> Result<(), PatchError> {
    let mut keys = BTreeSet::new();
    for key in list(retained, RETAIN_KEYS)? {
        keys.insert(key.as_str().ok_or_else(|| undecodable("$retainKeys is a list of names"))?);
    }
    let outside = patch
        .iter()
        .find(|(name, value)| !is_directive(name) && !value.is_null() && !keys.contains(name.as_str()));
    if outside.is_some() {
        return Err(undecodable("$retainKeys list must contain all fields of the patch"));
    }
    doc.retain(|name, _| keys.contains(name.as_str()));
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Directive {
    Replace,
    Delete,
    Merge,
}

fn directive(patch: &Map) -> Result<Option<Directive>, PatchError> {
    Ok(Some(match patch.get(PATCH).map(Tree::as_str) {
        None => return Ok(None),
        Some(Some("replace")) => Directive::Replace,
        Some(Some("delete")) => Directive::Delete,
        Some(Some("merge")) => Directive::Merge,
        Some(_) => {
            return Err(undecodable("unknown patch type found: $patch must be replace, delete or merge"));
        }
    }))
}

fn is_directive(name: &str) -> bool {
    name == PATCH || name == RETAIN_KEYS || name.starts_with(DELETE_FROM) || name.starts_with(SET_ORDER)
}

/// A part of the patch that becomes part of the object: without directives and without nulls. `None` if it says to delete.
fn cleaned(value: &Tree) -> Option<Tree> {
    match value {
        Tree::Object(fields) if fields.get(PATCH).and_then(Tree::as_str) == Some("delete") => None,
        Tree::Object(fields) => Some(Tree::Object(without_directives(fields))),
        Tree::Array(items) => {
            let only_directive =
                |item: &&Tree| item.as_object().is_none_or(|f| f.len() != 1 || !f.contains_key(PATCH));
            Some(Tree::Array(items.iter().filter(only_directive).filter_map(cleaned).collect()))
        }
        scalar => Some(scalar.clone()),
    }
}

fn without_directives(fields: &Map) -> Map {
    let kept = fields.iter().filter(|(name, value)| !is_directive(name) && !value.is_null());
    kept.filter_map(|(name, value)| Some((name.clone(), cleaned(value)?))).collect()
}

fn list<'a>(value: &'a Tree, what: &str) -> Result<&'a [Tree], PatchError> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| undecodable(&format!("{what} is a list")))
}

fn undecodable(why: &str) -> PatchError {
    PatchError::Undecodable(why.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::schema::test_schema;

    fn merged(doc: Tree, patch: Tree) -> Tree {
        strategic_merge(&test_schema(), &doc, &patch).unwrap()
    }

    fn refused(doc: Tree, patch: Tree) -> PatchError {
        strategic_merge(&test_schema(), &doc, &patch).unwrap_err()
    }

    #[test]
    fn the_garbage_collector_can_remove_an_owner() {
        let doc =
            json!({"metadata":{"uid":"x","ownerReferences":[{"uid":"a","name":"a"},{"uid":"b","name":"b"}]}});
        let patch = json!({"metadata":{"ownerReferences":[{"$patch":"delete","uid":"a"}],"uid":"x"}});
        assert_eq!(
            merged(doc, patch.clone()),
            json!({"metadata":{"uid":"x","ownerReferences":[{"uid":"b","name":"b"}]}})
        );
        assert_eq!(merged(json!({}), patch), json!({"metadata":{"uid":"x","ownerReferences":[]}}));
    }

    #[test]
    fn objects_and_maps_merge_and_null_removes() {
        let doc = json!({"metadata":{"labels":{"a":"1","b":"2"}},"spec":{"ttl":1,"nested":{"a":"x","b":1}}});
        let patch = json!({"metadata":{"labels":{"a":null,"c":"3"}},"spec":{"ttl":null,"nested":{"b":2}}});
        assert_eq!(
            merged(doc, patch),
            json!({"metadata":{"labels":{"b":"2","c":"3"}},"spec":{"nested":{"a":"x","b":2}}})
        );
    }

    #[test]
    fn lists_merge_by_key_or_value_or_are_replaced() {
        let doc = json!({"spec":{"tags":["a","b"],"words":["a","b"],"items":[{"name":"x","value":"1"},{"name":"y"}],"plain":[{"name":"x"}]}});
        let patch = json!({"spec":{"tags":["c","b"],"words":["c"],"items":[{"name":"z"},{"name":"x","more":{"a":"n"}}],"plain":[{"name":"y"}]}});
        assert_eq!(
            merged(doc, patch),
            json!({"spec":{"tags":["c","a","b"],"words":["c"],
                "items":[{"name":"z"},{"name":"x","value":"1","more":{"a":"n"}},{"name":"y"}],"plain":[{"name":"y"}]}})
        );
    }

    #[test]
    fn a_new_element_goes_in_front_as_in_kubernetes() {
        assert_eq!(
            merged(json!({"spec":{"items":[{"name":"a"}]}}), json!({"spec":{"items":[{"name":"b"}]}})),
            json!({"spec":{"items":[{"name":"b"},{"name":"a"}]}})
        );
    }

    #[test]
    fn directives_delete_replace_and_merge() {
        let doc = || json!({"spec":{"items":[{"name":"x"},{"name":"y"}],"nested":{"a":"x","b":1},"tags":["a","b","c"]}});
        assert_eq!(
            merged(doc(), json!({"spec":{"items":[{"$patch":"replace"},{"name":"z"}]}}))["spec"]["items"],
            json!([{"name":"z"}])
        );
        assert_eq!(
            merged(doc(), json!({"spec":{"nested":{"$patch":"replace","b":2,"a":null}}}))["spec"]["nested"],
            json!({"b":2})
        );
        assert_eq!(
            merged(doc(), json!({"spec":{"nested":{"$patch":"delete"}}}))["spec"]["nested"],
            json!({})
        );
        assert_eq!(
            merged(doc(), json!({"spec":{"nested":{"$patch":"merge","b":2}}}))["spec"]["nested"],
            json!({"a":"x","b":2})
        );
        assert_eq!(
            merged(doc(), json!({"spec":{"$deleteFromPrimitiveList/tags":["a","c"],"tags":["d"]}}))["spec"]["tags"],
            json!(["d", "b"])
        );
        assert_eq!(
            merged(doc(), json!({"spec":{"nested":{"$retainKeys":["b"],"b":3}}}))["spec"]["nested"],
            json!({"b":3})
        );
    }

    #[test]
    fn an_order_is_followed() {
        let doc = || json!({"spec":{"tags":["a","b","c"],"items":[{"name":"x"},{"name":"y"}]}});
        assert_eq!(
            merged(doc(), json!({"spec":{"$setElementOrder/tags":["c","d","a"],"tags":["d"]}}))["spec"]["tags"],
            json!(["b", "c", "d", "a"])
        );
        assert_eq!(
            merged(doc(), json!({"spec":{"$setElementOrder/items":[{"name":"y"},{"name":"x"}]}}))["spec"]["items"],
            json!([{"name":"y"},{"name":"x"}])
        );
        let wrong = json!({"spec":{"$setElementOrder/tags":["a"],"tags":["d"]}});
        assert!(matches!(refused(doc(), wrong), PatchError::Undecodable(_)));
    }

    #[test]
    fn malformed_directives_are_refused() {
        let doc = || json!({"spec":{"items":[{"name":"x"}],"tags":["a"],"nested":{}}});
        for patch in [
            json!([]),
            json!({"spec":{"$patch":"erase"}}),
            json!({"spec":{"$patch":1}}),
            json!({"spec":{"items":[{"value":"no key"}]}}),
            json!({"spec":{"items":[{"$patch":"delete"}]}}),
            json!({"spec":{"items":["x"]}}),
            json!({"spec":{"$deleteFromPrimitiveList/tags":"a"}}),
            json!({"spec":{"$setElementOrder/tags":1,"tags":[]}}),
            json!({"spec":{"nested":{"$retainKeys":["a"],"b":1}}}),
        ] {
            assert!(matches!(refused(doc(), patch.clone()), PatchError::Undecodable(_)), "{patch}");
        }
    }

    #[test]
    fn no_directive_ends_up_in_the_object() {
        let patch = json!({"spec":{"items":[{"$patch":"delete","name":"x"},{"name":"y","more":{"$patch":"merge","a":null}}],
            "$setElementOrder/words":["a"],"nested":{"$patch":"replace","a":"b","$retainKeys":["a"]}}});
        assert_eq!(
            merged(json!({}), patch),
            json!({"spec":{"items":[{"name":"y","more":{}}],"nested":{"a":"b"}}})
        );
    }

    #[test]
    fn the_deepest_trees_pass_through_everything_on_a_small_stack() {
        let work = || {
            let mut deep = json!({"leaf":1});
            for _ in 0..crate::decode::MAX_DEPTH - 3 {
                deep = json!({"a":deep});
            }
            let tree = json!({"spec":{"data":deep}});
            assert_eq!(crate::decode::depth(&tree), crate::decode::MAX_DEPTH);
            let schema = test_schema();
            assert_eq!(merged(tree.clone(), tree.clone()), tree);
            assert_eq!(crate::patch::merge_patch(&tree, &tree), tree);
            assert!(crate::decode::check(&schema, &tree, "Token").errors.is_empty());
            let mut pruned = tree.clone();
            crate::decode::prune(&schema, &mut pruned);
            assert_eq!(pruned, tree);
            let set = crate::managed::compare(&schema, None, &tree).changed;
            assert_eq!(crate::managed::FieldSet::decode(&set.encode()), Some(set.clone()));
            assert_eq!(crate::managed::FieldSet::from_fields_v1(&set.to_fields_v1()), Ok(set));
        };
        std::thread::Builder::new().stack_size(1024 * 1024).spawn(work).unwrap().join().unwrap();
    }

    fn spec() -> impl Strategy<Value = Tree> {
        let tags = proptest::collection::vec("[a-d]", 0..4);
        let items = proptest::collection::vec(("[a-d]", proptest::option::of("[x-z]")), 0..4);
        let nested = proptest::option::of((proptest::option::of("[a-b]"), 0..3i64));
        (tags, items, nested).prop_map(|(tags, items, nested)| {
            let mut seen = BTreeSet::new();
            let items: Vec<_> = items
                .into_iter()
                .filter(|(name, _)| seen.insert(name.clone()))
                .map(|(name, value)| json!({"name":name,"value":value}))
                .collect();
            json!({"spec":{"tags":tags,"items":items,"nested":nested.map(|(a, b)| json!({"a":a,"b":b}))}})
        })
    }

    proptest! {
        #[test]
        fn applying_twice_is_applying_once(doc in spec(), patch in spec()) {
            let once = merged(cleaned(&doc).unwrap(), patch.clone());
            prop_assert_eq!(merged(once.clone(), patch), once);
        }

        #[test]
        fn the_empty_patch_changes_nothing(doc in spec()) {
            prop_assert_eq!(merged(doc.clone(), json!({"spec":{}})), doc);
        }

        #[test]
        fn any_patch_is_applied_or_refused(doc in spec(), patch in crate::patch::any_tree()) {
            let _ = strategic_merge(&test_schema(), &doc, &patch);
            let _ = strategic_merge(&test_schema(), &doc, &json!({"spec":patch}));
        }
    }
}
