//! A durable, revisioned log and the mirror over it. Knows bytes, not tokens.
//!
//! The model is etcd's, because it is Kubernetes' own: one revision counter, compare-and-commit, range reads at a revision, a watch from a
//! revision that misses nothing, compaction (DESIGN §3).
//!
//! ```text
//!  commit ──► lanes ──► writer thread ──► log (sqlite: one fsync per group; memory: none)
//!                          │  conditions against the mirror's heads and the group so far
//!                          ▼
//!                observer, then mirror   (in revision order, before any answer)
//!                          │
//!          get · range · count · expiring        watches (cursors into the history, woken by scope)
//! ```
//!
//! * An [`Engine`] is the durable log. It loads every version into a [`Follower`], then delivers every commit to it in order.
//! * The mirror is that follower: the same code for all engines. It keeps the current state and a bounded history in memory.
//! * The [`Store`] joins the two.
//!
//! ```
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use eartag_storage::*;
//!
//! const THINGS: CollectionId = CollectionId(1);
//! let things = Collection { id: THINGS, name: "things", index: |_, _| Indexed::default() };
//! let store = Store::open(Box::new(Memory::new()), vec![things], Arc::new(NoObserver), Options::default()).await?;
//! let commit = Commit {
//!     conditions: vec![Condition::Absent { collection: THINGS, key: b"a".to_vec() }],
//!     ops: vec![Op::Put { collection: THINGS, key: b"a".to_vec(), value: b"1".to_vec() }],
//!     lane: Lane::Interactive,
//! };
//! let revision = store.commit(commit).await?;
//! assert_eq!(store.get(THINGS, b"a").map(|e| e.modified()), Some(revision));
//! # Ok(()) }
//! ```

mod change;
mod collection;
mod commit;
pub mod engine;
mod entry;
mod error;
pub mod limits;
mod memory;
mod mirror;
mod options;
mod range;
mod revision;
mod sorted;
pub mod sqlite;
mod store;
mod watch;
mod writer;

pub use change::{Change, NoObserver, Observer};
pub use collection::{Collection, CollectionId, Indexed};
pub use commit::{Commit, CommitError, Condition, Lane, Op};
pub use engine::{Engine, Follower};
pub use entry::Entry;
pub use error::{BackupError, OpenError, RangeError, RestoreError};
pub use memory::{Faults, Memory};
pub use options::{CollectionStats, Options, Stats};
pub use range::{Page, Range, Scope};
pub use revision::{ParseRevisionError, Revision};
pub use sqlite::Sqlite;
pub use store::Store;
pub use watch::{Watch, WatchEnd};
