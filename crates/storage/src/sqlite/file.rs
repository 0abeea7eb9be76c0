//! The data file: found or made, checked, locked, read.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{SqliteOptions, say};
use crate::engine::{Follower, Replayed, Standing, UsagePages};
use crate::{CollectionId, OpenError, Revision};

/// "EART" in the file's header: this file is ours.
pub(super) const APPLICATION_ID: i32 = 0x4541_5254;
/// The layout of the tables. A higher one is from a newer version.
pub(super) const LAYOUT: i32 = 1;
pub(super) const PAGE_BYTES: u64 = 4096;

const TABLES: &str = "
    CREATE TABLE version (
        id INTEGER PRIMARY KEY, collection INTEGER NOT NULL, key BLOB NOT NULL, created INTEGER NOT NULL, value BLOB
    ) STRICT;
    CREATE TABLE usage (page INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
    CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
    INSERT INTO meta VALUES ('revision', 1), ('oldest', 1);
";

/// An open data file that no other process has.
pub(super) struct DataFile {
    pub(super) path: PathBuf,
    pub(super) connection: Connection,
    /// Last, so that it is let go of last.
    pub(super) lock: File,
}

impl DataFile {
    /// Opens the file or makes it.
    pub(super) fn open(path: &Path, options: &SqliteOptions) -> Result<Self, OpenError> {
        let unreadable = |source| OpenError::Unreadable { path: path.to_owned(), source };
        let path = resolve(path).map_err(unreadable)?;
        let (lock, lock_is_new) = lock(&path)?;
        let opened = open_locked(&path, options);
        if lock_is_new && matches!(opened, Err(OpenError::Foreign { .. })) {
            // Leave no trace beside what is not ours.
            let _ = std::fs::remove_file(beside(&path, ".lock"));
        }
        Ok(Self { connection: opened?, path, lock })
    }

    /// Reads the whole log into a follower.
    pub(super) fn replay(&mut self, follower: &dyn Follower) -> Result<(), OpenError> {
        replay(&self.connection, follower).map_err(|error| damaged(&self.path, &error))
    }

    pub(super) fn usage(&self) -> Result<UsagePages, OpenError> {
        let read = || -> rusqlite::Result<UsagePages> {
            let mut select = self.connection.prepare("SELECT page, body FROM usage ORDER BY page")?;
            let pages =
                select.query_map([], |row| Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get(1)?)))?;
            pages.collect()
        };
        read().map_err(|error| damaged(&self.path, &error))
    }
}

/// A file beside another one, by a suffix to its name.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A connection to a file of ours, set up as every one has to be.
pub(super) fn connect(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;",
    )?;
    Ok(connection)
}

/// What is wrong with a file that is not ours; `None`: nothing. The second: whether it is empty.
pub(super) fn check(connection: &Connection) -> rusqlite::Result<(Option<String>, bool)> {
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let (id, layout, pages) = (number("application_id")?, number("user_version")?, number("page_count")?);
    if id == 0 && tables == 0 && pages <= 1 {
        return Ok((None, true));
    }
    let wrong = if id != APPLICATION_ID {
        Some("it is the database of another program".to_owned())
    } else if layout > LAYOUT {
        Some(format!("a newer version wrote it (layout {layout}, this version knows {LAYOUT})"))
    } else if layout < 1 {
        Some(format!("its layout {layout} is unknown"))
    } else {
        None
    };
    Ok((wrong, false))
}

/// Makes what was done in a directory durable.
pub(super) fn sync_directory_of(path: &Path) -> io::Result<()> {
    File::open(parent(path))?.sync_all()
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// One name for one file, so that one lock guards it.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    match std::fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let name = path.file_name().ok_or(error)?;
            Ok(std::fs::canonicalize(parent(path))?.join(name))
        }
        resolved => resolved,
    }
}

fn lock(path: &Path) -> Result<(File, bool), OpenError> {
    let name = beside(path, ".lock");
    let unreadable = |source| OpenError::Unreadable { path: name.clone(), source };
    let is_new = !name.exists();
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(&name)
        .map_err(unreadable)?;
    match file.try_lock() {
        Ok(()) => Ok((file, is_new)),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(path.to_owned())),
        Err(TryLockError::Error(source)) => Err(unreadable(source)),
    }
}

fn open_locked(path: &Path, options: &SqliteOptions) -> Result<Connection, OpenError> {
    let unreadable = |source| OpenError::Unreadable { path: path.to_owned(), source };
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() && found.len() > 0 => refuse_foreign(path)?,
        Ok(found) if !found.is_file() => return Err(unreadable(io::Error::other("it is not a file"))),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // SQLite would throw an orphaned log away, and with it what may be the newest commits.
            let orphan = ["-wal", "-journal"].into_iter().find(|suffix| holds_bytes(&beside(path, suffix)));
            if let Some(suffix) = orphan {
                let why = format!("it is missing, but its log (the same name with {suffix}) is there");
                return Err(OpenError::Damaged { path: path.to_owned(), why });
            }
            OpenOptions::new().create_new(true).write(true).mode(0o600).open(path).map_err(unreadable)?;
        }
        Err(error) => return Err(unreadable(error)),
    }
    let failed = |error: rusqlite::Error| refused(path, &error);
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    if connection.is_readonly(rusqlite::MAIN_DB).map_err(failed)? {
        return Err(unreadable(io::ErrorKind::PermissionDenied.into()));
    }
    let (wrong, is_empty) = check(&connection).map_err(failed)?;
    if let Some(why) = wrong {
        return Err(OpenError::Foreign { path: path.to_owned(), why });
    }
    if is_empty {
        create(&mut connection).map_err(failed)?;
    }
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).map_err(failed)?;
    if mode != "wal" {
        return Err(unreadable(io::Error::other("this file system cannot hold a write-ahead log")));
    }
    connection.execute_batch("PRAGMA journal_size_limit = 67108864").map_err(failed)?;
    if let Some(bytes) = options.max_bytes {
        let pages = i64::try_from(bytes / PAGE_BYTES).unwrap_or(i64::MAX).max(16);
        connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).map_err(failed)?;
    }
    if is_empty {
        sync_directory_of(path).map_err(unreadable)?;
    }
    Ok(connection)
}

/// Looks at a file without writing to it: to open another program's database for writing may move its log into it.
fn refuse_foreign(path: &Path) -> Result<(), OpenError> {
    let looked = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY).and_then(|connection| check(&connection));
    match looked {
        Ok((Some(why), _)) => Err(OpenError::Foreign { path: path.to_owned(), why }),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            Err(refused(path, &error))
        }
        // What hinders reading alone, such as a transaction that a crash cut off, may not hinder writing.
        Ok((None, _)) | Err(_) => Ok(()),
    }
}

fn create(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "PRAGMA page_size = {PAGE_BYTES}; PRAGMA auto_vacuum = INCREMENTAL; BEGIN IMMEDIATE;
         PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {LAYOUT}; {TABLES} COMMIT;"
    ))
}

fn holds_bytes(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|m| m.len() > 0)
}

/// Why SQLite would not open the file.
fn refused(path: &Path, error: &rusqlite::Error) -> OpenError {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::Foreign { path, why: "it is not a database".into() },
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
            // SQLite does not say what the system said. No connection of this process is open on it here.
            let asked = OpenOptions::new().read(true).write(true).open(&path);
            let source = asked.err().unwrap_or_else(|| io::Error::other(say(error)));
            OpenError::Unreadable { path, source }
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => OpenError::InUse(path),
        _ => damaged(&path, error),
    }
}

fn damaged(path: &Path, error: &rusqlite::Error) -> OpenError {
    OpenError::Damaged { path: path.to_owned(), why: say(error) }
}

fn replay(connection: &Connection, follower: &dyn Follower) -> rusqlite::Result<()> {
    let meta = |name: &str| {
        connection.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get::<_, i64>(0))
    };
    let newest: Option<i64> = connection.query_row("SELECT max(id) FROM version", [], |row| row.get(0))?;
    let revision = newest.map_or(0, |id| id >> 8).max(meta("revision")?).max(1);
    let standing = Standing { revision: number(revision), oldest: number(meta("oldest")?) };
    follower.begin(standing, true);
    let mut select =
        connection.prepare("SELECT id, collection, key, created, value FROM version ORDER BY id")?;
    let mut rows = select.query([])?;
    let mut unknown = 0u64;
    while let Some(row) = rows.next()? {
        let Ok(collection) = u8::try_from(row.get::<_, i64>(1)?) else {
            return Err(rusqlite::Error::IntegralValueOutOfRange(1, row.get(1)?));
        };
        let collection = CollectionId(collection);
        if !follower.knows(collection) {
            unknown = unknown.saturating_add(1);
            continue;
        }
        let value = row.get_ref(4)?;
        follower.replay(Replayed {
            revision: number(row.get::<_, i64>(0)? >> 8),
            collection,
            created: number(row.get(3)?),
            key: row.get_ref(2)?.as_blob()?,
            value: value.as_blob_or_null()?,
        });
    }
    if unknown > 0 {
        tracing::warn!(
            unknown,
            "the data file holds versions of collections that this version does not know"
        );
    }
    Ok(())
}

fn number(revision: i64) -> Revision {
    Revision::new(u64::try_from(revision).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_commit_is_synced_and_checkpoints_are_left_to_their_thread() {
        let dir = tempfile::tempdir().unwrap();
        let file = DataFile::open(&dir.path().join("data.db"), &SqliteOptions::default()).unwrap();
        let pragma =
            |name| file.connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(pragma("synchronous"), 2);
        assert_eq!(pragma("wal_autocheckpoint"), 0);
        let mode: String =
            file.connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
    }
}
