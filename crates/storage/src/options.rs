//! How much a store keeps, and what it tells about itself.

use crate::{CollectionId, Revision};

/// How much history a store keeps for watches, exact lists and continue tokens, whichever bound is met first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Events, all collections together. 2^20 by default.
    pub history_events: usize,
    /// Bytes that only the history holds (replaced and deleted versions). 64 MB by default.
    pub history_bytes: usize,
    /// Commits that may wait to be written; more are refused as unavailable. 16,384 by default.
    pub queue: usize,
    /// Commits synced together. 128 by default.
    pub group: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { history_events: 1 << 20, history_bytes: 64 << 20, queue: 16_384, group: 128 }
    }
}

/// What a store tells about itself, for metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// The newest revision.
    pub revision: Revision,
    /// History reaches back to here.
    pub oldest: Revision,
    /// In the order they were given.
    pub collections: Vec<CollectionStats>,
    /// Events in the history.
    pub history_events: u64,
    /// Bytes that only the history holds.
    pub history_bytes: u64,
    /// Watches open.
    pub watchers: u64,
    /// Bytes on disk, log included; 0 for engines without a file.
    pub disk_bytes: u64,
    /// Commits waiting to be written.
    pub waiting: u64,
    /// Dead versions that wait for their removal from the log.
    pub dead: u64,
}

/// One collection in [`Stats`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectionStats {
    /// Its number.
    pub id: CollectionId,
    /// Its name.
    pub name: &'static str,
    /// Live objects.
    pub count: u64,
    /// Bytes of their keys and values, with their heads.
    pub bytes: u64,
}
