//! JSON merge patch, RFC 7386.

use crate::Tree;

/// Objects merge, `null` removes, everything else replaces.
#[must_use]
pub fn merge_patch(doc: &Tree, patch: &Tree) -> Tree {
    let mut merged = doc.clone();
    json_patch::merge(&mut merged, patch);
    merged
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::Map;
    use crate::patch::any_tree;

    #[test]
    fn the_rfcs_examples_hold() {
        for (doc, patch, result) in [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
            (json!(["a", "b"]), json!(["c"]), json!(["c"])),
            (json!({"a":"foo"}), json!(null), json!(null)),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!([1, 2]), json!({"a":"b","c":null}), json!({"a":"b"})),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        ] {
            assert_eq!(merge_patch(&doc, &patch), result, "{doc} + {patch}");
        }
    }

    /// The patch that turns `from` into `to`; neither may have nulls in objects.
    fn diff(from: &Tree, to: &Tree) -> Tree {
        let (Tree::Object(from), Tree::Object(to)) = (from, to) else { return to.clone() };
        let mut patch = Map::new();
        for key in from.keys().filter(|k| !to.contains_key(*k)) {
            patch.insert(key.clone(), Tree::Null);
        }
        for (key, new) in to {
            match from.get(key) {
                Some(old) if old == new => {}
                // Objects would merge into what a patch cannot see; the rest replaces.
                Some(old) => drop(patch.insert(key.clone(), diff(old, new))),
                None => drop(patch.insert(key.clone(), new.clone())),
            }
        }
        Tree::Object(patch)
    }

    proptest! {
        #[test]
        fn a_difference_applied_gives_the_other(from in any_tree(), to in any_tree()) {
            let (from, to) = (json!({"x":from}), json!({"x":to}));
            prop_assert_eq!(merge_patch(&from, &diff(&from, &to)), to);
        }

        #[test]
        fn applying_twice_is_applying_once(doc in any_tree(), patch in any_tree()) {
            let once = merge_patch(&doc, &patch);
            prop_assert_eq!(merge_patch(&once, &patch), once);
        }
    }
}
