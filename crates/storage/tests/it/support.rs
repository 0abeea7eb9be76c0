//! A small world for the tests: two collections whose values say who owns them and when they expire.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use eartag_storage::*;
use parking_lot::{Condvar, Mutex};

pub const THINGS: CollectionId = CollectionId(1);
pub const OTHERS: CollectionId = CollectionId(7);

/// Which engine to test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Memory,
    Sqlite,
}

pub const KINDS: [Kind; 2] = [Kind::Memory, Kind::Sqlite];

/// A place for a store, and the store.
pub struct World {
    pub kind: Kind,
    pub store: Store,
    pub file: PathBuf,
    options: Options,
    _dir: tempfile::TempDir,
}

impl World {
    pub async fn new(kind: Kind) -> Self {
        Self::with(kind, Options::default()).await
    }

    pub async fn with(kind: Kind, options: Options) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("data.db");
        let engine: Box<dyn Engine> = match kind {
            Kind::Memory => Box::new(Memory::new()),
            Kind::Sqlite => Box::new(Sqlite::new(&file)),
        };
        let store = open_with(engine, options).await;
        Self { kind, store, file, options, _dir: dir }
    }

    /// Closes and opens again; nothing for an engine that keeps nothing. True: it was done.
    pub async fn restart(&mut self) -> bool {
        if self.kind == Kind::Memory {
            return false;
        }
        self.store.close().await;
        self.store = open_with(Box::new(Sqlite::new(&self.file)), self.options).await;
        true
    }

    /// Goes on in another file.
    pub async fn move_to(&mut self, file: PathBuf) {
        self.store.close().await;
        self.file = file;
        self.store = open_with(Box::new(Sqlite::new(&self.file)), self.options).await;
    }
}

pub async fn open_with(engine: Box<dyn Engine>, options: Options) -> Store {
    Store::open(engine, collections(), Arc::new(NoObserver), options).await.unwrap()
}

pub fn collections() -> Vec<Collection> {
    vec![Collection { id: THINGS, name: "things", index }, Collection { id: OTHERS, name: "others", index }]
}

/// The first byte is the owner (0: nobody), the second the expiry in seconds (0: never).
pub fn index<'a>(_: &'a [u8], value: &'a [u8]) -> Indexed<'a> {
    Indexed {
        owner: value.get(..1).filter(|o| *o != [0]),
        expires_ms: value.get(1).filter(|e| **e != 0).map(|e| u64::from(*e) * 1000),
    }
}

pub fn value(owner: u8, expires: u8, text: &str) -> Vec<u8> {
    [&[owner, expires], text.as_bytes()].concat()
}

pub fn put(key: &str, text: &str) -> Commit {
    put_in(THINGS, key, value(b'a', 0, text))
}

pub fn put_in(collection: CollectionId, key: &str, value: Vec<u8>) -> Commit {
    Commit { ops: vec![Op::Put { collection, key: key.into(), value }], ..Commit::default() }
}

pub fn delete(key: &str) -> Commit {
    Commit { ops: vec![Op::Delete { collection: THINGS, key: key.into() }], ..Commit::default() }
}

pub fn when(condition: Condition, mut commit: Commit) -> Commit {
    commit.conditions.push(condition);
    commit
}

pub fn absent(key: &str) -> Condition {
    Condition::Absent { collection: THINGS, key: key.into() }
}

pub fn all() -> Range {
    Range { collection: THINGS, scope: Scope::All, after: None, limit: usize::MAX, at: None }
}

pub fn keys(page: &Page) -> Vec<String> {
    page.entries.iter().map(|e| String::from_utf8_lossy(e.key()).into_owned()).collect()
}

/// Holds the writer back: as long as it is shut, the first commit that comes stays under way, and what is queued behind it waits.
#[derive(Default)]
pub struct Gate {
    shut: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    pub fn shut(&self) {
        *self.shut.lock() = true;
    }

    pub fn open(&self) {
        *self.shut.lock() = false;
        self.opened.notify_all();
    }

    /// Shuts the gate and sends a commit to it; when this returns, the writer has it in hand and its queue is empty.
    pub async fn hold(&self, store: &Store) -> Pending<Result<Revision, CommitError>> {
        self.shut();
        let held = begun(store.clone(), put("held", "")).await.unwrap_err();
        while store.stats().waiting > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        held
    }
}

impl Observer for Gate {
    fn load(&self, _: CollectionId, _: &Entry) {}

    fn apply(&self, _: &[Change]) {
        let mut shut = self.shut.lock();
        while *shut {
            self.opened.wait(&mut shut);
        }
    }
}

/// What was begun and is not done yet.
pub type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Queues a commit; what comes of it where that is known at once.
pub async fn begun(
    store: Store,
    commit: Commit,
) -> Result<Result<Revision, CommitError>, Pending<Result<Revision, CommitError>>> {
    begin(async move { store.commit(commit).await }).await
}

/// Begins something, and does not wait for it.
pub async fn begin<T>(work: impl Future<Output = T> + Send + 'static) -> Result<T, Pending<T>> {
    let mut work: Pending<T> = Box::pin(work);
    let first = std::future::poll_fn(|cx| std::task::Poll::Ready(work.as_mut().poll(cx))).await;
    match first {
        std::task::Poll::Ready(done) => Ok(done),
        std::task::Poll::Pending => Err(work),
    }
}

/// Makes these commits, many at a time: they share the disk's time.
pub async fn commit_all(store: &Store, commits: impl Iterator<Item = Commit>) {
    let commit = |commit: Commit| {
        let store = store.clone();
        tokio::spawn(async move { store.commit(commit).await.unwrap() })
    };
    for task in commits.map(commit).collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

/// Runs a test on a runtime of one thread.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(test)
}
