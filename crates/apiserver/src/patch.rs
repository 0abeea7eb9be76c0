//! Patches: what a client wants changed, applied to the object as it was shown (reference section 3.7).
//!
//! All three are pure functions of trees; what comes out still has to pass everything that an update has to pass.
//! Results are never nested more deeply than [`MAX_DEPTH`](crate::decode::MAX_DEPTH), and no patch takes more than a moment to apply, whatever it says.

mod json;
mod merge;
mod strategic;

pub use json::{MAX_COPY_GROWTH, MAX_OPERATIONS, json_patch, unknown_members};
pub use merge::merge_patch;
pub use strategic::strategic_merge;

/// Why a patch could not be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The patch has the wrong form: 400.
    #[error("{0}")]
    Undecodable(String),
    /// A JSON patch of more than [`MAX_OPERATIONS`] operations: 413.
    #[error("The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}")]
    TooManyOperations,
    /// The patch is well-formed but does not fit the object (a failed `test`, a path that leads nowhere): 422.
    #[error("{0}")]
    Inapplicable(String),
}

/// Trees without nulls, for the property tests of this module.
#[cfg(test)]
fn any_tree() -> impl proptest::strategy::Strategy<Value = crate::Tree> {
    use proptest::prelude::*;

    use crate::Tree;
    let leaf = prop_oneof![
        any::<bool>().prop_map(Tree::from),
        (0..9i64).prop_map(Tree::from),
        "[a-c]{0,2}".prop_map(Tree::from)
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Tree::from),
            proptest::collection::btree_map("[a-d/~]{1,2}", inner, 0..4)
                .prop_map(|m| Tree::Object(m.into_iter().collect())),
        ]
    })
}
