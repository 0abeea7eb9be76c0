//! What the writer thread does to the data file.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode};

use super::checkpoint::Checkpointer;
use super::file::DataFile;
use super::{SqliteOptions, say};
use crate::OpenError;
use crate::engine::{Committed, Dead, Standing, UsagePages};
use crate::writer::{Failure, Log};

/// Free pages that stay in the file for what comes next.
const SPARE_PAGES: i64 = 256;
/// Pages given back at a time.
const TIDY_PAGES: i64 = 512;
/// By how much the write-ahead log has to grow before the writer waits for a checkpoint again: one that a reader holds up is not asked for at each group.
const HARD_STEP: u32 = 4096;

pub(super) struct SqliteLog {
    connection: Option<Connection>,
    checkpointer: Checkpointer,
    /// Pages in the write-ahead log.
    pages: Arc<AtomicU32>,
    soft: u32,
    hard: u32,
    asked_at: u32,
    waited_at: u32,
    /// A write failed in a way that leaves its outcome open.
    broken: bool,
    /// Let go of last.
    lock: Option<File>,
    path: PathBuf,
}

impl SqliteLog {
    /// `stop` is told when a checkpoint breaks the file.
    pub(super) fn new(
        file: DataFile,
        options: &SqliteOptions,
        stop: impl Fn(&str) + Send + 'static,
    ) -> Result<Self, OpenError> {
        let DataFile { path, mut connection, lock } = file;
        let pages = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&pages);
        let hook = move |_: &mut rusqlite::hooks::Wal, count: std::ffi::c_int| {
            counted.store(u32::try_from(count).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        };
        let hooked = connection.wal_hook(Some(hook));
        hooked.map_err(|error| OpenError::Damaged { path: path.clone(), why: say(&error) })?;
        let checkpointer = Checkpointer::start(&path, stop)?;
        let (soft, hard) = (options.checkpoint_pages.max(1), options.checkpoint_pages_hard.max(2));
        let (connection, lock) = (Some(connection), Some(lock));
        Ok(Self {
            connection,
            checkpointer,
            pages,
            soft,
            hard,
            asked_at: 0,
            waited_at: 0,
            broken: false,
            lock,
            path,
        })
    }

    /// One transaction.
    fn transact(&mut self, work: impl FnOnce(&Connection) -> rusqlite::Result<()>) -> Result<(), Failure> {
        if let Some(why) = self.checkpointer.broken() {
            return Err(Failure::Broken(why));
        }
        let connection = self.connection.as_ref().ok_or_else(|| Failure::Refused("it is closed".into()))?;
        let mut committing = false;
        let done =
            connection.execute_batch("BEGIN IMMEDIATE").and_then(|()| work(connection)).and_then(|()| {
                committing = true;
                connection.execute_batch("COMMIT")
            });
        match done {
            Ok(()) => {
                self.consider_checkpoint();
                Ok(())
            }
            Err(error) => {
                let failure = failed(connection, &error, committing);
                self.broken |= matches!(failure, Failure::Broken(_));
                Err(failure)
            }
        }
    }

    fn consider_checkpoint(&mut self) {
        let pages = self.pages.load(Ordering::Relaxed);
        if pages < self.asked_at {
            // The log has started over.
            (self.asked_at, self.waited_at) = (0, 0);
        }
        if pages >= self.hard && pages >= self.waited_at.saturating_add(HARD_STEP.min(self.hard)) {
            (self.asked_at, self.waited_at) = (pages, pages);
            self.checkpointer.run_now();
        } else if pages.saturating_sub(self.asked_at) >= self.soft {
            self.asked_at = pages;
            self.checkpointer.ask();
        }
    }
}

impl Log for SqliteLog {
    fn write(&mut self, group: &[Committed]) -> Result<(), Failure> {
        self.transact(|connection| {
            let mut insert = connection.prepare("INSERT INTO version VALUES (?1, ?2, ?3, ?4, ?5)")?;
            for commit in group {
                for (version, n) in commit.versions.iter().zip(0i64..) {
                    let id = row_id(commit.revision.get()).saturating_add(n);
                    let created = version.created.get().cast_signed();
                    let (key, value) = (version.key.as_slice(), version.value.as_deref());
                    insert.execute((id, version.collection.0, key, created, value))?;
                }
            }
            Ok(())
        })
    }

    fn forget(&mut self, standing: Standing, dead: &[Dead]) -> Result<(), Failure> {
        self.transact(|connection| {
            // The floor of the counter first: the newest row may be a deletion that goes now.
            let mut meta = connection.prepare("UPDATE meta SET value = max(value, ?2) WHERE name = ?1")?;
            meta.execute(("revision", standing.revision.get().cast_signed()))?;
            meta.execute(("oldest", standing.oldest.get().cast_signed()))?;
            let mut delete = connection
                .prepare("DELETE FROM version WHERE id BETWEEN ?1 AND ?1 + 255 AND collection = ?2")?;
            for row in dead {
                delete.execute((row_id(row.revision.get()), row.collection.0))?;
            }
            Ok(())
        })
    }

    fn tidy(&mut self) -> Result<bool, Failure> {
        let Some(connection) = &self.connection else { return Ok(false) };
        let free = connection.pragma_query_value(None, "freelist_count", |row| row.get::<_, i64>(0));
        let free = free.map_err(|error| failed(connection, &error, false))?;
        if free <= SPARE_PAGES {
            return Ok(false);
        }
        let pages = free.saturating_sub(SPARE_PAGES).min(TIDY_PAGES);
        self.transact(|connection| {
            let mut vacuum = connection.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
            let mut rows = vacuum.query([])?;
            while rows.next()?.is_some() {}
            Ok(())
        })?;
        Ok(free > pages.saturating_add(SPARE_PAGES))
    }

    fn save_usage(&mut self, pages: &UsagePages) -> Result<(), Failure> {
        self.transact(|connection| {
            let mut put = connection.prepare("INSERT OR REPLACE INTO usage VALUES (?1, ?2)")?;
            let mut delete = connection.prepare("DELETE FROM usage WHERE page = ?1")?;
            for (page, body) in pages {
                if body.is_empty() {
                    delete.execute([page.cast_signed()])?;
                } else {
                    put.execute((page.cast_signed(), body.as_slice()))?;
                }
            }
            Ok(())
        })
    }

    fn close(&mut self) {
        self.checkpointer.stop();
        if let Some(connection) = self.connection.take() {
            let done = if self.broken || self.checkpointer.broken().is_some() {
                // Nor may SQLite checkpoint as it closes: its fsync could claim what the failed one has lost, and the log would go.
                connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map(|_| 0)
            } else {
                connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))
            };
            if let Err(error) = done {
                tracing::warn!(path = %self.path.display(), why = say(&error), "the last checkpoint failed");
            }
            if let Err((_, error)) = connection.close() {
                tracing::warn!(path = %self.path.display(), why = say(&error), "the data file did not close cleanly");
            }
        }
        self.lock = None;
    }
}

fn row_id(revision: u64) -> i64 {
    i64::try_from(revision.saturating_mul(256)).unwrap_or(i64::MAX)
}

/// Leaves the transaction, and says what its failure means.
fn failed(connection: &Connection, error: &rusqlite::Error, committing: bool) -> Failure {
    let rolled_back = connection.is_autocommit() || connection.execute_batch("ROLLBACK").is_ok();
    let why = say(error);
    match error.sqlite_error_code() {
        // The last frame of the transaction did not get into the log, so it did not happen, and no fsync was asked for.
        Some(ErrorCode::DiskFull) if rolled_back => Failure::Refused(why),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::OutOfMemory)
            if rolled_back && !committing =>
        {
            Failure::Refused(why)
        }
        _ => Failure::Broken(format!(
            "writing to the data file failed ({why}); restart once the cause is removed"
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::engine::Version;
    use crate::{CollectionId, Revision};

    fn log(dir: &std::path::Path) -> SqliteLog {
        let options = SqliteOptions::default();
        let file = DataFile::open(&dir.join("data.db"), &options).unwrap();
        SqliteLog::new(file, &options, |_| ()).unwrap()
    }

    fn group(revision: u64) -> Vec<Committed> {
        let revision = Revision::new(revision);
        let version = Version {
            collection: CollectionId(1),
            created: revision,
            key: b"k".to_vec(),
            value: Some(vec![1]),
        };
        vec![Committed { revision, versions: vec![version] }]
    }

    #[test]
    fn a_commit_that_fails_at_its_end_breaks_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log(dir.path());
        log.write(&group(2)).unwrap();
        log.connection.as_mut().unwrap().commit_hook(Some(|| true)).unwrap();
        assert!(matches!(log.write(&group(3)), Err(Failure::Broken(_))));
        assert!(log.connection.as_ref().unwrap().is_autocommit(), "no transaction is left open");
        log.close();
        let left = dir.path().join("data.db-wal").metadata().unwrap().len();
        assert!(left > 0, "after a failure nothing is moved out of the log any more");
    }

    #[test]
    fn a_row_that_is_there_already_breaks_the_log_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log(dir.path());
        log.write(&group(2)).unwrap();
        assert!(matches!(log.write(&group(2)), Err(Failure::Broken(_))));
        log.close();
    }

    #[test]
    fn another_programs_lock_is_waited_for_and_then_refused_without_harm() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log(dir.path());
        let patience = std::time::Duration::from_millis(50);
        log.connection.as_ref().unwrap().busy_timeout(patience).unwrap();
        let other = Connection::open(dir.path().join("data.db")).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let Err(Failure::Refused(why)) = log.write(&group(2)) else { unreachable!("it was locked") };
        assert!(why.contains("another program"), "{why}");
        other.execute_batch("ROLLBACK").unwrap();
        log.write(&group(2)).unwrap();
        log.close();
    }
}
