//! Collections: what a store keeps apart by kind, and how it indexes them.

use std::fmt;

/// The number of a collection in the log. Numbers are given once and for ever.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CollectionId(pub u8);

impl fmt::Debug for CollectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "collection {}", self.0)
    }
}

/// A collection: its number in the log, its name in metrics, and what to index its values by.
#[derive(Clone, Debug)]
pub struct Collection {
    /// Its number in the log.
    pub id: CollectionId,
    /// Its name in metrics and messages.
    pub name: &'static str,
    /// What to index an entry by. Pure: the same bytes always give the same answer. It must not panic on any bytes.
    pub index: for<'a> fn(key: &'a [u8], value: &'a [u8]) -> Indexed<'a>,
}

/// What an entry is found by besides its key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Indexed<'a> {
    /// Whose it is ([`Scope::Owner`](crate::Scope::Owner)); at most 65,535 bytes count. Costs no memory of its own when it is
    /// borrowed from the value or the key.
    pub owner: Option<&'a [u8]>,
    /// When it expires, in ms since 1970 ([`Store::expiring`](crate::Store::expiring)). `None` and `u64::MAX`: never.
    pub expires_ms: Option<u64>,
}
