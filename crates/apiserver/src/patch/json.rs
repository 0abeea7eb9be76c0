//! JSON patch, RFC 6902, within bounds.
//!
//! The operations themselves are the json-patch crate's; this adds what keeps a small patch from becoming a large problem:
//! a `copy` doubles, a `move` nests, an `add` at the front of a long list shifts all of it.

use std::io;

use json_patch::PatchOperation;
use json_patch::jsonptr::{Pointer, PointerBuf};

use super::PatchError;
use crate::Tree;
use crate::decode::{MAX_DEPTH, MAX_REPORTED};

/// The most operations in one patch.
pub const MAX_OPERATIONS: usize = 10_000;
/// By how many bytes of JSON all `copy` operations of one patch may make the object grow.
pub const MAX_COPY_GROWTH: usize = 3 * 1024 * 1024;

/// Values that may be looked at or shifted beyond what the patch's own bytes pay for; some tenths of a second.
const MAX_WORK: usize = 50_000_000;

/// Applies the operations in order; nothing is changed unless all apply.
///
/// # Errors
/// [`PatchError::Undecodable`] if it is no list of operations, [`PatchError::TooManyOperations`],
/// [`PatchError::Inapplicable`] for a failed `test`, a path that leads nowhere, and exceeded bounds.
pub fn json_patch(doc: &Tree, patch: &Tree) -> Result<Tree, PatchError> {
    let Tree::Array(operations) = patch else {
        return Err(PatchError::Undecodable(
            "error decoding patch: a JSON patch is a list of operations".to_owned(),
        ));
    };
    if operations.len() > MAX_OPERATIONS {
        return Err(PatchError::TooManyOperations);
    }
    let mut patching = Patching { doc: doc.clone(), depth: MAX_DEPTH, grown: 0, work: 0 };
    for operation in operations {
        let operation: PatchOperation = serde_json::from_value(operation.clone())
            .map_err(|error| PatchError::Undecodable(format!("error decoding patch: {error}")))?;
        patching.apply(operation)?;
    }
    // Only an exact look says that a result which the estimate found too deep is not.
    patching.settle_depth()?;
    Ok(patching.doc)
}

/// Members of operations that RFC 6902 does not know, as kube's strict decoding names them: `[0].foo`; 100 at most.
#[must_use]
pub fn unknown_members(patch: &Tree) -> Vec<String> {
    let operations = patch.as_array().into_iter().flatten().enumerate();
    operations
        .flat_map(|(i, operation)| {
            let members = operation.as_object().into_iter().flatten();
            members
                .filter(|(name, _)| !matches!(name.as_str(), "op" | "path" | "from" | "value"))
                .map(move |(name, _)| format!("[{i}].{name}"))
        })
        .take(MAX_REPORTED)
        .collect()
}

struct Patching {
    doc: Tree,
    /// The document is nested no more deeply than this: exact after [`Patching::settle_depth`], else from above.
    depth: usize,
    grown: usize,
    work: usize,
}

impl Patching {
    fn apply(&mut self, operation: PatchOperation) -> Result<(), PatchError> {
        match &operation {
            PatchOperation::Add(op) => {
                self.charge_list(&op.path)?;
                self.deepens(op.path.count(), crate::decode::depth(&op.value));
            }
            PatchOperation::Replace(op) => self.deepens(op.path.count(), crate::decode::depth(&op.value)),
            PatchOperation::Remove(op) => self.charge_list(&op.path)?,
            PatchOperation::Move(op) => {
                self.charge_list(&op.from)?;
                self.charge_list(&op.path)?;
                self.deepens(op.path.count(), self.depth.saturating_sub(op.from.count()));
            }
            PatchOperation::Copy(op) => {
                self.charge_list(&op.path)?;
                self.grow(&op.from)?;
                self.deepens(op.path.count(), self.depth.saturating_sub(op.from.count()));
            }
            PatchOperation::Test(_) => {}
        }
        json_patch::patch_unsafe(&mut self.doc, &[operation])
            .map_err(|error| PatchError::Inapplicable(format!("{}: {}", error.path, error.kind)))?;
        if self.depth > 2 * MAX_DEPTH {
            self.settle_depth()?;
        }
        Ok(())
    }

    /// A value of this depth goes where the path leads.
    fn deepens(&mut self, path: usize, value: usize) {
        self.depth = self.depth.max(path.saturating_add(value));
    }

    fn settle_depth(&mut self) -> Result<(), PatchError> {
        if self.depth <= MAX_DEPTH {
            return Ok(());
        }
        self.depth = exact_depth(&self.doc, &mut self.work);
        self.charge(0)?;
        if self.depth > MAX_DEPTH {
            return Err(PatchError::Inapplicable(format!(
                "the result would exceed max depth of {MAX_DEPTH}"
            )));
        }
        Ok(())
    }

    /// Lists shift when something is put in or taken out.
    fn charge_list(&mut self, path: &PointerBuf) -> Result<(), PatchError> {
        let Some((parent, _)) = path.split_back() else { return Ok(()) };
        let shifted = self.at(parent).and_then(Tree::as_array).map_or(0, Vec::len);
        self.charge(shifted)
    }

    fn charge(&mut self, work: usize) -> Result<(), PatchError> {
        self.work = self.work.saturating_add(work);
        if self.work > MAX_WORK {
            return Err(PatchError::Inapplicable("the patch takes too long to apply".to_owned()));
        }
        Ok(())
    }

    fn grow(&mut self, from: &PointerBuf) -> Result<(), PatchError> {
        let allowed = MAX_COPY_GROWTH - self.grown.min(MAX_COPY_GROWTH);
        let mut size = Counter { count: 0, allowed };
        // A missing source is json-patch's to report. Writing fails only by exceeding what is allowed.
        if let Some(source) = self.at(from)
            && serde_json::to_writer(&mut size, source).is_err()
        {
            return Err(PatchError::Inapplicable(format!(
                "Unable to complete the copy, the accumulated size increase of copy exceeds the limit {MAX_COPY_GROWTH}"
            )));
        }
        self.grown += size.count;
        Ok(())
    }

    fn at(&self, path: &Pointer) -> Option<&Tree> {
        self.doc.pointer(path.as_str())
    }
}

fn exact_depth(tree: &Tree, work: &mut usize) -> usize {
    *work = work.saturating_add(1);
    let inner = match tree {
        Tree::Array(items) => items.iter().map(|item| exact_depth(item, work)).max(),
        Tree::Object(fields) => fields.values().map(|value| exact_depth(value, work)).max(),
        _ => return 0,
    };
    1 + inner.unwrap_or(0)
}

/// Counts bytes up to a limit.
struct Counter {
    count: usize,
    allowed: usize,
}

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.count += bytes.len();
        if self.count > self.allowed { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::patch::any_tree;

    fn on_small_stack(work: impl FnOnce() + Send + 'static) {
        std::thread::Builder::new().stack_size(1024 * 1024).spawn(work).unwrap().join().unwrap();
    }

    #[test]
    fn every_operation_works() {
        let doc = json!({"spec":{"ttl":1,"a":[1,2]},"x~/y":1});
        let patch = json!([
            {"op":"test","path":"/spec/ttl","value":1},
            {"op":"replace","path":"/spec/ttl","value":2},
            {"op":"add","path":"/spec/a/-","value":3},
            {"op":"add","path":"/spec/a/0","value":0},
            {"op":"remove","path":"/x~0~1y"},
            {"op":"copy","from":"/spec/ttl","path":"/spec/b"},
            {"op":"move","from":"/spec/b","path":"/spec/c"},
        ]);
        assert_eq!(json_patch(&doc, &patch), Ok(json!({"spec":{"ttl":2,"a":[0,1,2,3],"c":2}})));
    }

    #[test]
    fn what_does_not_fit_is_told_from_what_cannot_be_read() {
        let doc = json!({"a":1,"l":[]});
        for inapplicable in [
            json!([{"op":"test","path":"/a","value":2}]),
            json!([{"op":"remove","path":"/b"}]),
            json!([{"op":"add","path":"/b/c","value":1}]),
            json!([{"op":"replace","path":"/l/0","value":1}]),
            json!([{"op":"add","path":"/l/99999999999999999999999","value":1}]),
            json!([{"op":"move","from":"/b","path":"/c"}]),
            json!([{"op":"copy","from":"/b","path":"/c"}]),
            json!([{"op":"remove","path":""}]),
        ] {
            assert!(
                matches!(json_patch(&doc, &inapplicable), Err(PatchError::Inapplicable(_))),
                "{inapplicable}"
            );
        }
        for undecodable in [
            json!({}),
            json!([1]),
            json!([{"op":"jump","path":"/a"}]),
            json!([{"op":"add","path":"/a"}]),
            json!([{"op":"remove","path":"a"}]),
        ] {
            assert!(
                matches!(json_patch(&doc, &undecodable), Err(PatchError::Undecodable(_))),
                "{undecodable}"
            );
        }
    }

    #[test]
    fn members_that_mean_nothing_are_named() {
        assert_eq!(
            unknown_members(&json!([{"op":"remove","path":"/a"},{"op":"add","foo":1,"bar":2}])),
            ["[1].bar", "[1].foo"]
        );
    }

    #[test]
    fn too_many_operations_are_refused_before_any_is_applied() {
        let one = json!({"op":"test","path":"","value":{}});
        assert_eq!(
            json_patch(&json!({}), &json!(vec![one.clone(); 10_001])),
            Err(PatchError::TooManyOperations)
        );
        assert_eq!(json_patch(&json!({}), &json!(vec![one; 10_000])), Ok(json!({})));
    }

    #[test]
    fn copies_cannot_multiply_without_bound() {
        let patch: Vec<_> =
            (0..40).map(|i| json!({"op":"copy","from":"/a","path":format!("/a/k{i}")})).collect();
        let refused = json_patch(&json!({"a":{"x":"0123456789"}}), &json!(patch));
        assert!(
            matches!(refused, Err(PatchError::Inapplicable(text)) if text.contains("accumulated size increase of copy"))
        );
    }

    #[test]
    fn moves_cannot_nest_without_bound() {
        on_small_stack(|| {
            let mut patch = Vec::new();
            for _ in 0..4000 {
                patch.push(json!({"op":"add","path":"/n","value":{}}));
                patch.push(json!({"op":"move","from":"/x","path":"/n/x"}));
                patch.push(json!({"op":"move","from":"/n","path":"/x"}));
                if patch.len() > 9990 {
                    break;
                }
            }
            let refused = json_patch(&json!({"x":{}}), &Tree::from(patch));
            assert!(matches!(refused, Err(PatchError::Inapplicable(text)) if text.contains("max depth")));
        });
    }

    #[test]
    fn a_harmless_move_down_is_allowed() {
        let patch = json!([{"op":"move","from":"/a","path":"/b/c/a"}]);
        assert_eq!(json_patch(&json!({"a":1,"b":{"c":{}}}), &patch), Ok(json!({"b":{"c":{"a":1}}})));
    }

    #[test]
    fn shifting_a_long_list_again_and_again_is_refused() {
        let list = json!({"l": vec![0; 500_000]});
        let patch = json!(vec![json!({"op":"add","path":"/l/0","value":0}); 10_000]);
        assert!(
            matches!(json_patch(&list, &patch), Err(PatchError::Inapplicable(text)) if text.contains("too long"))
        );
    }

    proptest! {
        #[test]
        fn a_difference_applied_gives_the_other(from in any_tree(), to in any_tree()) {
            let patch = serde_json::to_value(::json_patch::diff(&from, &to)).unwrap();
            prop_assert_eq!(json_patch(&from, &patch), Ok(to));
        }

        #[test]
        fn any_patch_is_applied_or_refused(doc in any_tree(), ops in proptest::collection::vec(
            ("add|remove|replace|move|copy|test", "(/[a-d0-2~/-]{0,2}){0,3}", "(/[a-d0-2-]{0,2}){0,3}", any_tree()), 0..6)) {
            let patch: Vec<_> = ops.into_iter().map(|(op, path, from, value)| json!({"op":op,"path":path,"from":from,"value":value})).collect();
            let _ = json_patch(&doc, &Tree::from(patch));
        }
    }
}
