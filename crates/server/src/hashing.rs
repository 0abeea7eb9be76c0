//! The feature `token-hashing` (DEC31). No secret is ever stored in clear; what the feature switches is the mark that legacy tokens carry, and that it stays on for
//! good.
//!
//! A token that is being made while the feature is switched on must not slip through without the mark: its commit holds only while the feature's object is the one
//! that was looked at. So the background marking ([`crate::sweeper`]) sees every token that has none.

use eartag_core::collections::FEATURES;
use eartag_core::features::{Feature, Features};
use eartag_storage::{Condition, Store};

/// Whether a new token carries the mark.
pub struct Mark {
    /// The feature is on.
    pub on: bool,
    /// What must still hold when the token is stored.
    pub condition: Condition,
}

/// Looks at the feature: at its object first, so that a later change of it fails the condition.
pub fn mark(store: &Store, features: &Features) -> Mark {
    let (collection, key) = (FEATURES, Feature::TokenHashing.info().name.as_bytes().to_vec());
    let condition = match store.get(collection, &key) {
        Some(entry) => Condition::ModRevision { collection, key, revision: entry.modified() },
        None => Condition::Absent { collection, key },
    };
    Mark { on: features.enabled(Feature::TokenHashing), condition }
}
