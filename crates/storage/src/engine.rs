//! What a durable log has to do to be the engine of a store.
//!
//! ```text
//! load(follower)    begin, then replay every version in log order        once
//! follow(follower)  from now on apply every commit, in revision order     once
//! append(commit)    answered after the follower has applied it
//! ```
//!
//! An engine judges conditions by itself: one that is alone with its log (`memory`, `sqlite`) asks the follower for heads, a remote one
//! (etcd) lets the server judge and learns from its own watch what others wrote. Either way the follower sees every commit once or more
//! often (it ignores what it has), never out of order.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use crate::{BackupError, CollectionId, Commit, CommitError, OpenError, Options, Revision};

/// An answer that is awaited; boxed, so that [`Engine`] is object safe.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Pages of usage stamps: number and body. Neither revisioned nor watched.
pub type UsagePages = Vec<(u64, Vec<u8>)>;

/// A durable log.
pub trait Engine: Send + Sync + 'static {
    /// Opens the log and replays it: [`Follower::begin`] once, then [`Follower::replay`] per version in log order,
    /// [`Follower::end`].
    fn load(&self, follower: Arc<dyn Follower>) -> Answer<'_, Result<(), OpenError>>;

    /// Starts to take commits and to deliver them to the follower. Called once, after `load`.
    fn follow(&self, follower: Arc<dyn Follower>, options: &Options) -> Result<(), OpenError>;

    /// Writes a commit; its limits have been checked. Answered only after the follower has applied it.
    fn append(&self, commit: Commit) -> Answer<'_, Result<Revision, CommitError>>;

    /// A revision that is at or after every commit answered anywhere before this call.
    fn fence(&self) -> Answer<'_, Result<Revision, CommitError>>;

    /// Makes the follower's oldest revision (at least `before`) durable, and removes what is dead by then.
    fn compact(&self, before: Revision) -> Answer<'_, Result<(), CommitError>>;

    /// Reads all usage pages.
    fn usage_load(&self) -> Answer<'_, Result<UsagePages, CommitError>>;

    /// Writes usage pages, all or none. An empty body removes the page.
    fn usage_save(&self, pages: UsagePages) -> Answer<'_, Result<(), CommitError>>;

    /// Writes one consistent copy of everything, mode 0600, synced, to a path where nothing is yet.
    fn backup<'a>(&'a self, to: &'a Path) -> Answer<'a, Result<(), BackupError>>;

    /// Err: why no writes are taken.
    fn healthy(&self) -> Result<(), String>;

    /// Finishes what waits, makes it durable, stops, lets go of files. Later appends are unavailable.
    fn close(&self) -> Answer<'_, ()>;

    /// Like `close`, without waiting for the end of it: for a store that is dropped.
    fn stop(&self);

    /// Bytes on disk; 0 where there is no file.
    fn disk_bytes(&self) -> u64;

    /// Commits waiting to be written.
    fn waiting(&self) -> u64;
}

/// What follows a log: the mirror.
pub trait Follower: Send + Sync + 'static {
    /// Where the log stands. `keep_dead`: this engine wants to hear of dead versions ([`Follower::dead`]).
    fn begin(&self, standing: Standing, keep_dead: bool);
    /// One version from the log, oldest first.
    fn replay(&self, version: Replayed<'_>);
    /// The log has been replayed: the indexes can be built and the observer be told. Takes its time; a second call does nothing.
    fn end(&self);
    /// Whether there is such a collection.
    fn knows(&self, collection: CollectionId) -> bool;
    /// The newest version of an object.
    fn head(&self, collection: CollectionId, key: &[u8]) -> Option<Head>;
    /// Applies commits in revision order; ignores those that it has.
    fn apply(&self, commits: &[Committed]);
    /// Where the follower stands.
    fn standing(&self) -> Standing;
    /// The first of the versions that nobody can read any more; they are removed from the log in this order.
    fn dead(&self, at_most: usize) -> Vec<Dead>;
    /// How many of those there are.
    fn dead_count(&self) -> usize;
    /// The first `count` of them are gone from the log for good.
    fn buried(&self, count: usize);
}

/// Where a log or its follower stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The newest revision.
    pub revision: Revision,
    /// History reaches back to here.
    pub oldest: Revision,
}

/// One version as it is read back from the log.
#[derive(Clone, Copy)]
pub struct Replayed<'a> {
    /// The commit that wrote it.
    pub revision: Revision,
    /// Its collection.
    pub collection: CollectionId,
    /// The revision that made the object.
    pub created: Revision,
    /// Its key.
    pub key: &'a [u8],
    /// Its bytes; `None`: this version is a deletion.
    pub value: Option<&'a [u8]>,
}

/// The revisions of an object's newest version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The revision that made the object.
    pub created: Revision,
    /// The revision that made this version.
    pub modified: Revision,
}

/// A commit that has its place in the log.
#[derive(Clone)]
pub struct Committed {
    /// Its place.
    pub revision: Revision,
    /// What it wrote; at least one version, at most one of each collection.
    pub versions: Vec<Version>,
}

/// One version that a commit wrote.
#[derive(Clone)]
pub struct Version {
    /// Its collection.
    pub collection: CollectionId,
    /// The revision that made the object (for a deletion: the one deleted).
    pub created: Revision,
    /// Its key.
    pub key: Vec<u8>,
    /// Its bytes; `None`: a deletion.
    pub value: Option<Vec<u8>>,
}

/// A version that nobody can read any more. Revision and collection name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dead {
    /// The commit that wrote it.
    pub revision: Revision,
    /// Its collection.
    pub collection: CollectionId,
}
