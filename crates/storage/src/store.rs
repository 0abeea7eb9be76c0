//! The store: a mirror and its engine behind one cheap handle.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::engine::{Follower, UsagePages};
use crate::mirror::Mirror;
use crate::{
    BackupError, Collection, CollectionId, Commit, CommitError, Engine, Entry, Observer, OpenError, Options,
    Page, Range, RangeError, Revision, Scope, Stats, Watch, limits,
};

/// A revisioned store of bytes. Cheap to clone; when the last handle is dropped, what was queued is still written and the store closes.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    mirror: Arc<Mirror>,
    engine: Box<dyn Engine>,
    usage: Mutex<UsagePages>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.engine.stop();
        self.mirror.close();
    }
}

impl Store {
    /// Opens a store: loads the log into the mirror, shows everything live to the observer, then starts to take writes.
    ///
    /// # Errors
    /// [`OpenError`], each a sentence for the operator.
    pub async fn open(
        engine: Box<dyn Engine>,
        collections: Vec<Collection>,
        observer: Arc<dyn Observer>,
        options: Options,
    ) -> Result<Self, OpenError> {
        let mirror = Arc::new(Mirror::new(collections, observer, options)?);
        engine.load(Arc::clone(&mirror) as _).await?;
        mirror.end();
        let usage = engine.usage_load().await.map_err(|e| OpenError::Unavailable(e.to_string()))?;
        engine.follow(Arc::clone(&mirror) as _, &options)?;
        Ok(Self(Arc::new(Inner { mirror, engine, usage: Mutex::new(usage) })))
    }

    /// The newest revision that is applied here. Never 0.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.0.mirror.read(|state| Revision::new(state.revision))
    }

    /// History reaches back to here: ranges at, and watches from, this revision are possible.
    #[must_use]
    pub fn oldest(&self) -> Revision {
        self.0.mirror.read(|state| Revision::new(state.oldest))
    }

    /// The newest version of an object.
    #[must_use]
    pub fn get(&self, collection: CollectionId, key: &[u8]) -> Option<Entry> {
        self.0.mirror.read(|state| state.table(collection)?.get(key).cloned())
    }

    /// A page of objects, ordered by key. Never holds the lock for more than about 1000 entries.
    ///
    /// # Errors
    /// The revision is compacted, or has not happened yet.
    pub fn range(&self, range: &Range) -> Result<Page, RangeError> {
        self.0.mirror.range(range)
    }

    /// How many objects there are now.
    #[must_use]
    pub fn count(&self, collection: CollectionId, scope: &Scope) -> u64 {
        self.0.mirror.read(|state| state.count(collection, scope))
    }

    /// What expires before a time (ms since 1970), earliest first; at most 1000 at a time.
    #[must_use]
    pub fn expiring(&self, collection: CollectionId, before_ms: u64, limit: usize) -> Vec<Entry> {
        self.0.mirror.read(|state| state.expiring(collection, before_ms, limit.min(limits::SLICE)))
    }

    /// Watches a scope: delivers changes with a revision after `from`.
    ///
    /// # Errors
    /// The revision is compacted, or has not happened yet.
    pub fn watch(&self, collection: CollectionId, scope: Scope, from: Revision) -> Result<Watch, RangeError> {
        Watch::new(Arc::clone(&self.0.mirror), collection, scope, from)
    }

    /// Writes a commit. Answered when it is durable and both mirror and observer have applied it. Dropping the future does not take the commit back.
    ///
    /// # Errors
    /// [`CommitError`]; only [`CommitError::Unknown`] leaves open whether it happened.
    pub async fn commit(&self, commit: Commit) -> Result<Revision, CommitError> {
        commit.check().map_err(CommitError::TooLarge)?;
        self.0.engine.append(commit).await
    }

    /// Waits until a revision is applied here. False: it took too long.
    pub async fn wait_for(&self, revision: Revision, at_most: Duration) -> bool {
        let mut moves = self.0.mirror.moves();
        let arrived = moves.wait_for(|at| *at >= revision);
        matches!(tokio::time::timeout(at_most, arrived).await, Ok(Ok(_)))
    }

    /// A revision at or after every commit that was answered anywhere before this call.
    ///
    /// # Errors
    /// The engine cannot be asked now.
    pub async fn fence(&self) -> Result<Revision, CommitError> {
        self.0.engine.fence().await
    }

    /// Whether writes are taken.
    ///
    /// # Errors
    /// Why not, as a sentence for the operator.
    pub fn healthy(&self) -> Result<(), String> {
        self.0.engine.healthy()
    }

    /// Forgets the history up to a revision (or the newest, if that is earlier), and removes from the log what nobody can read any more.
    ///
    /// # Errors
    /// The log could not be written; the history in memory is forgotten all the same.
    pub async fn compact(&self, before: Revision) -> Result<(), CommitError> {
        let before = self.0.mirror.compact(before);
        self.0.engine.compact(before).await
    }

    /// The usage pages (number and body) as they were read at open. Handed over: a second call gets nothing.
    #[must_use]
    pub fn usage_load(&self) -> UsagePages {
        std::mem::take(&mut self.0.usage.lock())
    }

    /// Writes usage pages, all or none; an empty body removes its page. They have no revision and make no event.
    ///
    /// # Errors
    /// More than [`MAX_USAGE`](limits::MAX_USAGE) bytes or page numbers above 2^63-1, or the log cannot be written.
    pub async fn usage_save(&self, pages: UsagePages) -> Result<(), CommitError> {
        let bytes = pages.iter().fold(0usize, |sum, (_, body)| sum.saturating_add(body.len()));
        if bytes > limits::MAX_USAGE {
            return Err(CommitError::TooLarge(format!(
                "usage pages have at most {} bytes at a time",
                limits::MAX_USAGE
            )));
        }
        if pages.iter().any(|(page, _)| i64::try_from(*page).is_err()) {
            return Err(CommitError::TooLarge("a usage page has a number below 2^63".into()));
        }
        self.0.engine.usage_save(pages).await
    }

    /// Writes a consistent copy of everything to a path where nothing is yet, while reads and writes go on: one file, mode 0600, synced.
    ///
    /// # Errors
    /// [`BackupError`]; nothing is left at the path then.
    pub async fn backup(&self, to: &Path) -> Result<(), BackupError> {
        self.0.engine.backup(to).await
    }

    /// Writes what waits, makes it durable, stops. Watches end once they have delivered everything; reads still answer.
    pub async fn close(&self) {
        self.0.engine.close().await;
        self.0.mirror.close();
    }

    /// Counts and sizes, for metrics.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let stats = self.0.mirror.read(crate::mirror::State::stats);
        Stats { disk_bytes: self.0.engine.disk_bytes(), waiting: self.0.engine.waiting(), ..stats }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("revision", &self.revision().get()).finish_non_exhaustive()
    }
}
