//! The engine on one SQLite file: a log ordered by revision, written by one thread, read at start and for backup only.
//!
//! ```text
//! version(id = revision * 256 + n, collection, key, created, value)   value NULL: a deletion
//! usage(page, body)      stamps beside the log, no revision
//! meta(name, value)      'revision': a floor for the counter; 'oldest': where the history starts
//! ```
//!
//! * Write-ahead log with `synchronous=FULL`: one fsync per group of commits, before anybody sees it (promise G4). Checkpoints run on a connection
//!   and thread of their own.
//! * After a failed fsync nobody knows what is on the disk, and a second fsync would lie: the engine stops writing for good, and says why.
//!   A full disk is not that: SQLite rolls back cleanly, and writing goes on when there is space.
//! * One process at a time, held by a lock on `FILE.lock`. It is not on the data file itself, because closing any handle of that file would
//!   drop SQLite's own locks.

mod checkpoint;
mod copy;
mod file;
mod log;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

pub use self::copy::{RestoreOptions, Restored, restore};
use self::file::DataFile;
use self::log::SqliteLog;
use crate::engine::{Answer, Engine, Follower, UsagePages};
use crate::writer::Queue;
use crate::{BackupError, Commit, CommitError, OpenError, Options, Revision, writer};

/// How a [`Sqlite`] engine treats its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SqliteOptions {
    /// Pages of 4 KiB in the write-ahead log after which a checkpoint starts beside the writer. 4,000 by default.
    pub checkpoint_pages: u32,
    /// Pages in the write-ahead log after which the writer waits for a checkpoint, so that the log can start over. 16,384 by default.
    pub checkpoint_pages_hard: u32,
    /// The data file grows to this many bytes at most; then the store is full. Unlimited by default.
    pub max_bytes: Option<u64>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { checkpoint_pages: 4000, checkpoint_pages_hard: 16_384, max_bytes: None }
    }
}

/// The engine on one SQLite file.
pub struct Sqlite {
    path: PathBuf,
    options: SqliteOptions,
    queue: Arc<Queue>,
    /// Between `load` and `follow`.
    loaded: Arc<Mutex<Option<Loaded>>>,
    follower: Mutex<Option<Arc<dyn Follower>>>,
}

struct Loaded {
    file: DataFile,
    usage: UsagePages,
}

impl Sqlite {
    /// The engine on this file, which is made if it is absent; its directory must exist.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self::with(path, SqliteOptions::default())
    }

    /// Likewise, with options.
    #[must_use]
    pub fn with(path: impl Into<PathBuf>, options: SqliteOptions) -> Self {
        let (loaded, follower) = (Arc::default(), Mutex::new(None));
        Self { path: path.into(), options, queue: Queue::new(), loaded, follower }
    }
}

impl Engine for Sqlite {
    fn load(&self, follower: Arc<dyn Follower>) -> Answer<'_, Result<(), OpenError>> {
        let (path, options, loaded) = (self.path.clone(), self.options, Arc::clone(&self.loaded));
        Box::pin(on_a_thread(
            "eartag-load",
            move || {
                let mut file = DataFile::open(&path, &options)?;
                file.replay(&*follower)?;
                follower.end();
                let usage = file.usage()?;
                *loaded.lock() = Some(Loaded { file, usage });
                Ok(())
            },
            |why| Err(OpenError::Unavailable(why)),
        ))
    }

    fn follow(&self, follower: Arc<dyn Follower>, options: &Options) -> Result<(), OpenError> {
        let loaded = self.loaded.lock().take();
        let Some(Loaded { file, .. }) = loaded else {
            return Err(OpenError::Setup("the engine was not loaded".into()));
        };
        *self.follower.lock() = Some(Arc::clone(&follower));
        let queue = Arc::clone(&self.queue);
        let log = SqliteLog::new(file, &self.options, move |why| queue.stop(why))?;
        writer::start(Box::new(log), &self.queue, follower, options)
    }

    fn append(&self, commit: Commit) -> Answer<'_, Result<Revision, CommitError>> {
        self.queue.commit(commit)
    }

    fn fence(&self) -> Answer<'_, Result<Revision, CommitError>> {
        // Alone with its log: what was answered anywhere was answered here.
        let standing = self.follower.lock().as_ref().map(|f| f.standing().revision);
        let not_open = || CommitError::Unavailable("the store is not open yet".into());
        Box::pin(std::future::ready(standing.ok_or_else(not_open)))
    }

    fn compact(&self, _before: Revision) -> Answer<'_, Result<(), CommitError>> {
        self.queue.compact()
    }

    fn usage_load(&self) -> Answer<'_, Result<UsagePages, CommitError>> {
        let pages = self.loaded.lock().as_mut().map(|l| std::mem::take(&mut l.usage));
        let too_late = || CommitError::Unavailable("usage pages are read while the store opens".into());
        Box::pin(std::future::ready(pages.ok_or_else(too_late)))
    }

    fn usage_save(&self, pages: UsagePages) -> Answer<'_, Result<(), CommitError>> {
        self.queue.save_usage(pages)
    }

    fn backup<'a>(&'a self, to: &'a Path) -> Answer<'a, Result<(), BackupError>> {
        let (from, to) = (self.path.clone(), to.to_owned());
        Box::pin(on_a_thread(
            "eartag-backup",
            move || copy::backup(&from, &to),
            |why| Err(BackupError::Database(why)),
        ))
    }

    fn healthy(&self) -> Result<(), String> {
        self.queue.healthy()
    }

    fn close(&self) -> Answer<'_, ()> {
        self.queue.close()
    }

    fn stop(&self) {
        drop(self.queue.close());
    }

    fn disk_bytes(&self) -> u64 {
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |m| m.len());
        size(&self.path).saturating_add(size(&file::beside(&self.path, "-wal")))
    }

    fn waiting(&self) -> u64 {
        self.queue.waiting()
    }
}

/// Runs what blocks on a thread of its own, so that no runtime's threads are held up and none is needed.
async fn on_a_thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
    failed: impl FnOnce(String) -> T,
) -> T {
    let (answer, answered) = oneshot::channel();
    let thread = move || {
        let _ = answer.send(work());
    };
    match std::thread::Builder::new().name(name.to_owned()).spawn(thread) {
        Err(error) => failed(format!("no thread could be started: {error}")),
        Ok(_) => match answered.await {
            Ok(done) => done,
            Err(_) => failed("it ended before it was done".into()),
        },
    }
}

/// What SQLite said, as a sentence.
fn say(error: &rusqlite::Error) -> String {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => "the disk is full".into(),
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
            "another program holds a lock on the data file".into()
        }
        _ => error.to_string(),
    }
}
