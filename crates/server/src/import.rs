//! `eartag import`: users and tokens of a Rancher, brought over while no server has the data open (DEC30, DEC31).
//!
//! ```text
//! files  → read   what kubectl printed, as typed objects; nothing is decided
//!        → plan   every object against the store and the others: new, here already, or left behind with a reason; nothing is written
//!        → write  users with their passwords, one commit each; then bindings; then tokens: what is new depends on what went before
//! ```
//!
//! A run that is cut short leaves whole objects only, and the next run finds them here already. Secrets in clear are hashed while the plan is made: none
//! reaches the store, and neither do annotations, which can hold a copy (`last-applied-configuration`).

mod objects;
mod plan;
mod read;

use std::path::PathBuf;
use std::sync::Arc;

use eartag_core::collections::{self, IDENTITY};
use eartag_core::features::{Feature, FeatureDefaults, Features};
use eartag_core::usage::Usage;
use eartag_storage::{
    Change, CollectionId, Commit, CommitError, Entry, Observer, OpenError, Options, Sqlite, Store,
};
use futures_util::stream::{self, StreamExt};

use crate::config::DataPaths;
use crate::files::FileError;
use crate::identity::{self, Random};

pub use read::{Foreign, LARGEST};

/// Commits under way at once.
const AT_ONCE: usize = 64;
/// Pages of usage stamps that are written together.
const PAGES_AT_ONCE: usize = 256;

/// Why nothing, or not everything, was imported. Each text is one sentence.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file that is not what `kubectl get -o yaml` or `-o json` prints. The parser's own words may quote it, so they are not shown.
    #[error("{0} is not what kubectl get -o yaml or -o json prints{1}")]
    Malformed(String, String),
    /// There is no data to import into.
    #[error("there is no data file at {}: start the server once, stop it, and import then", .0.display())]
    NoData(PathBuf),
    /// The store is not a server's yet.
    #[error("the data at {} is of a server that has never been started: start it once, stop it, and import then", .0.display())]
    NeverStarted(PathBuf),
    /// The store cannot be opened; a server may have it open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store stopped taking writes.
    #[error(
        "the import stopped after {written} of {all} objects: {why}; run it again to bring over the rest"
    )]
    Stopped {
        /// Objects that were written.
        written: usize,
        /// Objects that were to be written.
        all: usize,
        /// The store's reason.
        why: String,
    },
}

/// How many objects of a kind there were, and what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Brought over now.
    pub new: u64,
    /// Brought over before: the very object is here.
    pub present: u64,
    /// Left behind.
    pub skipped: u64,
}

/// An object that was left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// What it is, such as `user`.
    pub what: &'static str,
    /// Its name.
    pub name: String,
    /// Why, to go after the name.
    pub why: String,
}

/// What an import did, or would do.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Users.
    pub users: Tally,
    /// Passwords of users.
    pub passwords: Tally,
    /// Last logins of users and their exceptions from retention.
    pub attributes: Tally,
    /// Global role bindings.
    pub bindings: Tally,
    /// Legacy tokens.
    pub tokens: Tally,
    /// Ext tokens.
    pub ext_tokens: Tally,
    /// What was left behind, in the order of the files.
    pub skipped: Vec<Skipped>,
    /// What an operator should know besides.
    pub notes: Vec<String>,
    /// Objects of other kinds, which are not imported.
    pub others: u64,
}

/// Imports what was read; with `dry_run`, only says what it would do.
///
/// # Errors
/// [`ImportError`]; only [`ImportError::Stopped`] leaves something written.
pub async fn import(
    paths: &DataPaths,
    foreign: Foreign,
    dry_run: bool,
    now_ms: u64,
    random: Random<'_>,
) -> Result<Report, ImportError> {
    if !paths.database.is_file() {
        return Err(ImportError::NoData(paths.database.clone()));
    }
    let follows = Arc::new(Follows(Features::new(FeatureDefaults::default())));
    let engine = Box::new(Sqlite::new(&paths.database));
    let store = Store::open(engine, collections::all(), follows.clone(), Options::default()).await?;
    let outcome = if store.get(IDENTITY, identity::KEY).is_some() {
        let hashed_mark = follows.0.enabled(Feature::TokenHashing);
        let plan::Plan { stages, stamps, mut report } =
            plan::plan(&store, foreign, hashed_mark, now_ms, random);
        let written = if dry_run { Ok(()) } else { write(&store, stages).await };
        if let (Ok(()), false) = (&written, dry_run)
            && let Err(error) = stamp(&store, &stamps).await
        {
            report.notes.push(format!("When the tokens were last used could not be kept: {error}."));
        }
        written.map(|()| report)
    } else {
        Err(ImportError::NeverStarted(paths.database.clone()))
    };
    store.close().await;
    outcome
}

/// Writes the stages one after the other.
async fn write(store: &Store, stages: Vec<Vec<Commit>>) -> Result<(), ImportError> {
    let all = stages.iter().map(Vec::len).sum();
    let mut written = 0;
    for stage in stages {
        let mut outcomes = stream::iter(stage).map(|commit| store.commit(commit)).buffer_unordered(AT_ONCE);
        let mut failed = None;
        while let Some(outcome) = outcomes.next().await {
            match outcome {
                Ok(_) => written += 1,
                Err(error) => {
                    failed = Some(error.to_string());
                    break;
                }
            }
        }
        if let Some(why) = failed {
            return Err(ImportError::Stopped { written, all, why });
        }
    }
    Ok(())
}

/// Adds when tokens were last used to what is known already.
async fn stamp(store: &Store, stamps: &[plan::Stamped]) -> Result<(), CommitError> {
    let usage = Usage::new();
    usage.load(&store.usage_load());
    for plan::Stamped { token, stamp } in stamps {
        if let Some(at_s) = stamp.last_used_s {
            usage.touch(*token, at_s);
        }
        if let Some(at_s) = stamp.last_activity_s {
            usage.report_activity(*token, at_s);
        }
    }
    let mut pages = usage.drain();
    while !pages.is_empty() {
        let rest = pages.split_off(pages.len().min(PAGES_AT_ONCE));
        store.usage_save(std::mem::replace(&mut pages, rest)).await?;
    }
    Ok(())
}

struct Follows(Features);

impl Observer for Follows {
    fn load(&self, collection: CollectionId, entry: &Entry) {
        self.0.load(collection, entry);
    }

    fn apply(&self, changes: &[Change]) {
        self.0.apply(changes);
    }
}

#[cfg(test)]
mod tests;
