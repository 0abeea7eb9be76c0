//! Backup and restore: whole, consistent files, written under another name and put in place when they are durable.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::file::{beside, check, connect, sync_directory_of};
use super::say;
use crate::{BackupError, RestoreError, Revision};

/// How far a restore lifts the revision at least.
const MARGIN: u64 = 1 << 32;
/// More revisions than a store can use up in a second.
const PER_SECOND: u64 = 1 << 20;
/// Clients may hold a revision in a double.
const MOST: u64 = 1 << 53;

/// How to restore.
#[derive(Clone, Copy, Debug, Default)]
pub struct RestoreOptions {
    /// The time, in s since 1970. It lets a second restore of one backup start above all that the first one's life has shown.
    pub now_s: u64,
}

/// What was restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The newest revision in the backup.
    pub backup: Revision,
    /// Where the restored store goes on.
    pub revision: Revision,
}

/// Writes a copy of a data file that may be in use. The copy is what a reader sees at one moment; writers do not wait for it.
pub(super) fn backup(from: &Path, to: &Path) -> Result<(), BackupError> {
    let io = |source| BackupError::Io { path: to.to_owned(), source };
    if exists(to).map_err(io)? {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let part = Part::create(to).map_err(io)?;
    copy(from, &part.path).map_err(BackupError::Database)?;
    match part.put_at(to) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(BackupError::Exists(to.to_owned())),
        done => done.map_err(io),
    }
}

/// Makes a data file from a backup, where none is yet (DEC60). The revision is lifted far above any that was ever seen, and everything
/// before is compacted: every client lists afresh. Tokens revoked since the backup are valid again; what to do about that is decided above.
///
/// Blocks; takes about as long as copying the file.
///
/// # Errors
/// [`RestoreError`]; the target is left absent.
pub fn restore(
    backup: &Path,
    into_data_file: &Path,
    options: &RestoreOptions,
) -> Result<Restored, RestoreError> {
    let into = into_data_file;
    let io = |source| RestoreError::Io { path: into.to_owned(), source };
    // An old log beside a new file would be replayed into it.
    for path in [into.to_owned(), beside(into, "-wal"), beside(into, "-journal")] {
        if exists(&path).map_err(io)? {
            return Err(RestoreError::Exists(path));
        }
    }
    validate(backup)?;
    let part = Part::create(into).map_err(io)?;
    copy(backup, &part.path).map_err(RestoreError::Database)?;
    let restored = lift(backup, &part.path, options)?;
    match part.put_at(into) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(RestoreError::Exists(into.to_owned()))
        }
        done => done.map(|()| restored).map_err(io),
    }
}

/// Checks that a file is a backup of ours.
fn validate(backup: &Path) -> Result<(), RestoreError> {
    let foreign = |why| RestoreError::Foreign { path: backup.to_owned(), why };
    File::open(backup).map_err(|source| RestoreError::Io { path: backup.to_owned(), source })?;
    let connection = connect(backup, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(|e| foreign(say(&e)))?;
    match check(&connection).map_err(|e| foreign(say(&e)))? {
        (Some(why), _) => Err(foreign(why)),
        (None, true) => Err(foreign("it is empty".into())),
        (None, false) => Ok(()),
    }
}

/// Lifts the revision of a restored file and marks everything before as compacted.
fn lift(backup: &Path, file: &Path, options: &RestoreOptions) -> Result<Restored, RestoreError> {
    let database = |error: rusqlite::Error| RestoreError::Database(say(&error));
    let connection = connect(file, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(database)?;
    let health: String =
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(database)?;
    if health != "ok" {
        return Err(RestoreError::Foreign {
            path: backup.to_owned(),
            why: format!("it is damaged: {health}"),
        });
    }
    let seen = newest(&connection).map_err(database)?;
    let revision = seen.saturating_add(MARGIN).max(options.now_s.saturating_mul(PER_SECOND).min(MOST / 2));
    if revision >= MOST {
        return Err(RestoreError::Exhausted(Revision::new(seen)));
    }
    connection
        .execute(
            "INSERT OR REPLACE INTO meta VALUES ('revision', ?1), ('oldest', ?1)",
            [revision.cast_signed()],
        )
        .map_err(database)?;
    connection.close().map_err(|(_, error)| database(error))?;
    Ok(Restored { backup: Revision::new(seen), revision: Revision::new(revision) })
}

fn newest(connection: &Connection) -> rusqlite::Result<u64> {
    let sql = "SELECT max(coalesce((SELECT max(id) FROM version) >> 8, 0), (SELECT max(value) FROM meta))";
    let newest: i64 = connection.query_row(sql, [], |row| row.get(0))?;
    Ok(u64::try_from(newest).unwrap_or(0))
}

/// Copies a database, in use or not, into an empty file.
fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let name = to.to_str().ok_or("the path is not UTF-8")?;
    let connection = connect(from, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(|e| say(&e))?;
    connection.execute("VACUUM INTO ?1", [name]).map_err(|e| say(&e))?;
    Ok(())
}

fn exists(path: &Path) -> io::Result<bool> {
    match std::fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// A file under a temporary name beside its place; removed unless it is put there.
struct Part {
    path: PathBuf,
}

impl Part {
    fn create(target: &Path) -> io::Result<Self> {
        let mut n = 0u32;
        loop {
            let path = beside(target, &format!(".{n}.part"));
            match OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path) {
                // Another one is at it, or a crash left this.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && n < 100 => {
                    n = n.saturating_add(1)
                }
                opened => return opened.map(|_| Self { path }),
            }
        }
    }

    /// Makes it durable and gives it its name, which nothing may have by then.
    fn put_at(self, target: &Path) -> io::Result<()> {
        OpenOptions::new().write(true).open(&self.path)?.sync_all()?;
        match std::fs::hard_link(&self.path, target) {
            // A link replaces nothing, unlike a rename; some file systems have no links.
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists && !exists(target)? => {
                std::fs::rename(&self.path, target)?;
            }
            linked => linked?,
        }
        sync_directory_of(target)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
        let _ = std::fs::remove_file(beside(&self.path, "-journal"));
    }
}
