//! Backup and restore (DEC60): one file, mode 0600, with the data and the root key that opens it.
//!
//! ```text
//! FILE (tar) ── manifest.json   format, version and time
//!            ├─ keys/root.key   so that a restored store opens: whoever reads the file can read all private keys in it
//!            └─ data.db         a consistent copy, made while the server goes on
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use eartag_api::frame;
use eartag_core::collections::{self, EXT_TOKENS, LEGACY_TOKENS};
use eartag_core::time::rfc3339;
use eartag_storage::engine::Engine;
use eartag_storage::sqlite::RestoreOptions;
use eartag_storage::{
    BackupError, CollectionId, Commit, CommitError, Lane, NoObserver, Op, OpenError, Options, Range,
    RestoreError, Scope, Sqlite, Store,
};
use futures_util::stream::{self, StreamExt};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::config::DataPaths;
use crate::files::{FileError, create_private, private_dir, read_small, sync_parent, why};
use crate::version::PRODUCT;

const FORMAT: u32 = 1;
const MANIFEST: &str = "manifest.json";
const ROOT_KEY: &str = "keys/root.key";
const DATA: &str = "data.db";
/// The manifest and the key are far smaller, in bytes.
const SMALL: u64 = 64 * 1024;
/// Deletions under way at once when tokens are revoked after a restore.
const REVOCATIONS: usize = 64;

/// Why there is no backup, or why it was not restored. Each text is one sentence.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A file or directory.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is nothing to back up.
    #[error("there is no data file at {}", .0.display())]
    NoData(PathBuf),
    /// The key that the data needs is not where it was looked for.
    #[error("there is no root key at {}, and a backup without it could not be opened", .0.display())]
    NoRootKey(PathBuf),
    /// Something is already there.
    #[error("{} already exists; nothing is ever written over it", .0.display())]
    Exists(PathBuf),
    /// Another root key is already there.
    #[error("{} is there already and holds another key", .0.display())]
    OtherRootKey(PathBuf),
    /// Not a backup.
    #[error("{} is not a backup that this version can restore: {}", .0.display(), .1)]
    Foreign(PathBuf, String),
    /// The copy of the data.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The data in the archive.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// The restored data could not be opened to revoke tokens in it.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Tokens could not be revoked.
    #[error("the data was restored, but not all tokens could be revoked: {0}")]
    Revoke(String),
}

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// When the backup was made, as RFC 3339.
    pub made: String,
    /// The revision at which the restored store goes on.
    pub revision: u64,
    /// Tokens that are in it.
    pub tokens: u64,
    /// Tokens that were revoked at once, as asked.
    pub revoked: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    format: u32,
    version: String,
    created: String,
}

/// Writes a backup of a data directory into `to`, where nothing may be yet. The server may be running.
///
/// # Errors
/// [`ArchiveError`]; nothing is left at `to` then.
pub async fn backup(paths: &DataPaths, to: &Path, now_s: i64) -> Result<(), ArchiveError> {
    if !paths.database.is_file() {
        return Err(ArchiveError::NoData(paths.database.clone()));
    }
    if fs::symlink_metadata(to).is_ok() {
        return Err(ArchiveError::Exists(to.to_owned()));
    }
    let root_key = read_small(&paths.root_key, SMALL)?
        .map(Zeroizing::new)
        .ok_or_else(|| ArchiveError::NoRootKey(paths.root_key.clone()))?;
    // The copy lies beside the archive: that is where there is room for it.
    let copy = Scratch::beside(to, "data");
    Sqlite::new(&paths.database).backup(&copy.0).await?;
    let part = Scratch::beside(to, "part");
    let failed = |e| ArchiveError::File(FileError::Write(to.to_owned(), e));
    write_archive(&part.0, &copy.0, &root_key, now_s).map_err(failed)?;
    match fs::hard_link(&part.0, to) {
        Ok(()) => sync_parent(to).map_err(failed),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Err(ArchiveError::Exists(to.to_owned())),
        Err(e) => Err(failed(e)),
    }
}

/// Restores a backup into a data directory that holds no data. With `revoke_since` (seconds since 1970), every token in it that was created at or after that
/// time is deleted before anybody can use it.
///
/// Tokens that were revoked after the backup was made are good again: nothing in the backup knows of it.
///
/// # Errors
/// [`ArchiveError`]; existing data is never touched.
pub async fn restore(
    paths: &DataPaths,
    from: &Path,
    revoke_since: Option<i64>,
    now_s: i64,
) -> Result<Restored, ArchiveError> {
    if fs::symlink_metadata(&paths.database).is_ok() {
        return Err(ArchiveError::Exists(paths.database.clone()));
    }
    private_dir(&paths.dir)?;
    for file in [&paths.database, &paths.root_key] {
        if let Some(parent) = file.parent().filter(|p| !p.as_os_str().is_empty()) {
            private_dir(parent)?;
        }
    }
    let data = Scratch::beside(&paths.database, "restore");
    let (manifest, root_key) = read_archive(from, &data.0)?;
    if !create_private(&paths.root_key, &root_key)? {
        let present = read_small(&paths.root_key, SMALL)?.map(Zeroizing::new);
        if present.as_deref().map(|key| key.trim_ascii()) != Some(root_key.trim_ascii()) {
            return Err(ArchiveError::OtherRootKey(paths.root_key.clone()));
        }
    }
    let options = RestoreOptions { now_s: u64::try_from(now_s).unwrap_or(0) };
    let (copy, database) = (data.0.clone(), paths.database.clone());
    let lifted =
        tokio::task::spawn_blocking(move || eartag_storage::sqlite::restore(&copy, &database, &options))
            .await
            .map_err(|e| ArchiveError::Revoke(e.to_string()))??;
    let (tokens, revoked) = revoke(&paths.database, revoke_since).await?;
    Ok(Restored { made: manifest.created, revision: lifted.revision.get(), tokens, revoked })
}

fn write_archive(path: &Path, data: &Path, root_key: &[u8], now_s: i64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let mut archive = tar::Builder::new(io::BufWriter::new(file));
    let manifest = Manifest { format: FORMAT, version: PRODUCT.into(), created: rfc3339(now_s) };
    let manifest = serde_json::to_vec_pretty(&manifest)?;
    for (name, bytes) in [(MANIFEST, manifest.as_slice()), (ROOT_KEY, root_key)] {
        archive.append_data(&mut header(bytes.len() as u64, now_s), name, bytes)?;
    }
    let data = File::open(data)?;
    let length = data.metadata()?.len();
    archive.append_data(&mut header(length, now_s), DATA, data)?;
    let file = archive.into_inner()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()
}

fn header(length: u64, now_s: i64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(length);
    header.set_mode(0o600);
    header.set_mtime(u64::try_from(now_s).unwrap_or(0));
    header.set_entry_type(tar::EntryType::Regular);
    header
}

/// Reads the three parts, whatever else an archive holds; the data goes into a new file.
fn read_archive(from: &Path, data: &Path) -> Result<(Manifest, Zeroizing<Vec<u8>>), ArchiveError> {
    let foreign = |why: &str| ArchiveError::Foreign(from.to_owned(), why.to_owned());
    let read = |e: io::Error| ArchiveError::Foreign(from.to_owned(), why(&e));
    let file = File::open(from).map_err(|e| FileError::Read(from.to_owned(), e))?;
    let mut archive = tar::Archive::new(io::BufReader::new(file));
    let (mut manifest, mut root_key, mut has_data) = (None, None, false);
    for entry in archive.entries().map_err(read)? {
        let mut entry = entry.map_err(read)?;
        let name = entry.path_bytes().into_owned();
        if name == MANIFEST.as_bytes() {
            let mut bytes = Vec::new();
            entry.take(SMALL).read_to_end(&mut bytes).map_err(read)?;
            let found: Manifest =
                serde_json::from_slice(&bytes).map_err(|_| foreign("its manifest cannot be read"))?;
            if found.format != FORMAT {
                return Err(foreign("a newer version made it"));
            }
            manifest = Some(found);
        } else if name == ROOT_KEY.as_bytes() {
            let mut bytes = Zeroizing::new(Vec::new());
            entry.take(SMALL).read_to_end(&mut bytes).map_err(read)?;
            root_key = Some(bytes);
        } else if name == DATA.as_bytes() && manifest.is_some() && !has_data {
            let failed = |e| ArchiveError::File(FileError::Write(data.to_owned(), e));
            let expected = entry.size();
            let mut out =
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(data).map_err(failed)?;
            let copied = io::copy(&mut entry, &mut out).map_err(failed)?;
            out.flush().map_err(failed)?;
            if copied != expected {
                return Err(foreign("it ends too early"));
            }
            has_data = true;
        }
    }
    match (manifest, root_key) {
        (Some(manifest), Some(root_key)) if has_data => Ok((manifest, root_key)),
        (None, None) => Err(foreign("it is not a backup of eartag")),
        _ => Err(foreign("it is not complete")),
    }
}

/// Deletes the tokens created at or after this time; how many there were, and how many were deleted.
async fn revoke(database: &Path, since_s: Option<i64>) -> Result<(u64, u64), ArchiveError> {
    let engine = Box::new(Sqlite::new(database));
    let store = Store::open(engine, collections::all(), Arc::new(NoObserver), Options::default()).await?;
    let mut total = 0;
    let mut revoked = 0;
    let mut outcome = Ok(());
    for collection in [EXT_TOKENS, LEGACY_TOKENS] {
        total += store.count(collection, &Scope::All);
        let Some(since_s) = since_s else { continue };
        match revoke_all(&store, collection, since_s).await {
            Ok(count) => revoked += count,
            Err(error) => outcome = Err(error),
        }
    }
    store.close().await;
    outcome.map(|()| (total, revoked))
}

async fn revoke_all(store: &Store, collection: CollectionId, since_s: i64) -> Result<u64, ArchiveError> {
    let failed = |why: String| ArchiveError::Revoke(why);
    let mut after = None;
    let mut revoked = 0;
    loop {
        let range = Range { collection, scope: Scope::All, after, limit: 1000, at: None };
        let page = store.range(&range).map_err(|e| failed(e.to_string()))?;
        // A token that cannot be read counts as new: it is the safe side.
        let wanted = page
            .entries
            .iter()
            .filter(|entry| frame::head(entry.value()).is_none_or(|head| head.created_s >= since_s))
            .map(|entry| entry.key().to_vec());
        let outcomes: Vec<Result<_, CommitError>> = stream::iter(wanted)
            .map(|key| {
                let ops = vec![Op::Delete { collection, key }];
                store.commit(Commit { conditions: vec![], ops, lane: Lane::Interactive })
            })
            .buffer_unordered(REVOCATIONS)
            .collect()
            .await;
        for outcome in outcomes {
            outcome.map_err(|e| failed(e.to_string()))?;
            revoked += 1;
        }
        after = page.entries.last().map(|entry| entry.key().to_vec());
        if !page.more || after.is_none() {
            return Ok(revoked);
        }
    }
}

/// A file that is gone when this is.
struct Scratch(PathBuf);

impl Scratch {
    fn beside(path: &Path, what: &str) -> Self {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.{what}", std::process::id()));
        Self(path.with_file_name(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use std::os::unix::fs::PermissionsExt;

    use eartag_api::meta::Meta;

    use super::*;

    const NOW_S: i64 = 1_780_000_000;

    struct Place {
        dir: tempfile::TempDir,
        paths: DataPaths,
    }

    fn place() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let paths = DataPaths::new(&dir.path().join("data"));
        Place { dir, paths }
    }

    async fn open(paths: &DataPaths) -> Store {
        let engine = Box::new(Sqlite::new(&paths.database));
        Store::open(engine, collections::all(), Arc::new(NoObserver), Options::default()).await.unwrap()
    }

    /// A data directory with tokens made at these times, its store still open.
    async fn filled(times: &[i64]) -> (Place, Store) {
        let place = place();
        private_dir(place.paths.root_key.parent().unwrap()).unwrap();
        assert!(create_private(&place.paths.root_key, b"the key\n").unwrap());
        let store = open(&place.paths).await;
        for (i, created_s) in times.iter().enumerate() {
            let value = frame::frame(b"body", &Meta { created_s: *created_s, ..Meta::default() });
            let collection = if i % 2 == 0 { EXT_TOKENS } else { LEGACY_TOKENS };
            let key = format!("token-{i:05}").into_bytes();
            let ops = vec![Op::Put { collection, key, value }];
            store.commit(Commit { ops, ..Commit::default() }).await.unwrap();
        }
        (place, store)
    }

    #[tokio::test]
    async fn a_backup_of_a_running_store_comes_back_with_its_key_and_a_higher_revision() {
        let (from, store) = filled(&[1, 2, 3]).await;
        let file = from.dir.path().join("backup.tar");
        backup(&from.paths, &file, NOW_S).await.unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(from.dir.path()).unwrap().count(), 2, "nothing else is left");

        let to = place();
        let restored = restore(&to.paths, &file, None, NOW_S).await.unwrap();
        assert_eq!((restored.tokens, restored.revoked), (3, 0));
        assert_eq!(restored.made, rfc3339(NOW_S));
        assert!(restored.revision > store.revision().get() + 1_000_000);
        assert_eq!(fs::read(&to.paths.root_key).unwrap(), b"the key\n");
        for file in [&to.paths.root_key, &to.paths.database] {
            assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let again = open(&to.paths).await;
        assert!(again.get(EXT_TOKENS, b"token-00002").is_some());
        assert!(again.revision().get() >= restored.revision);
    }

    #[tokio::test]
    async fn tokens_created_since_a_time_can_be_revoked_on_the_way() {
        let (from, _store) = filled(&[100, 200, 300, 400]).await;
        let file = from.dir.path().join("backup.tar");
        backup(&from.paths, &file, NOW_S).await.unwrap();
        let to = place();
        let restored = restore(&to.paths, &file, Some(300), NOW_S).await.unwrap();
        assert_eq!((restored.tokens, restored.revoked), (4, 2));
        let store = open(&to.paths).await;
        assert!(store.get(LEGACY_TOKENS, b"token-00001").is_some());
        assert!(store.get(EXT_TOKENS, b"token-00002").is_none());
        assert!(store.get(LEGACY_TOKENS, b"token-00003").is_none());
    }

    #[tokio::test]
    async fn nothing_that_exists_is_written_over() {
        let (from, _store) = filled(&[1]).await;
        let file = from.dir.path().join("backup.tar");
        backup(&from.paths, &file, NOW_S).await.unwrap();
        assert!(matches!(backup(&from.paths, &file, NOW_S).await, Err(ArchiveError::Exists(_))));
        let before = fs::read(&from.paths.root_key).unwrap();
        assert!(matches!(restore(&from.paths, &file, None, NOW_S).await, Err(ArchiveError::Exists(_))));
        let to = place();
        private_dir(to.paths.root_key.parent().unwrap()).unwrap();
        fs::write(&to.paths.root_key, "other").unwrap();
        assert!(matches!(restore(&to.paths, &file, None, NOW_S).await, Err(ArchiveError::OtherRootKey(_))));
        assert!(!to.paths.database.exists());
        assert_eq!(fs::read(&from.paths.root_key).unwrap(), before);
    }

    #[tokio::test]
    async fn what_is_no_backup_is_said_to_be_none() {
        let to = place();
        let file = to.dir.path().join("x");
        let foreign = |result: Result<Restored, ArchiveError>| {
            let error = result.unwrap_err();
            assert!(matches!(error, ArchiveError::Foreign(..)), "{error}");
            assert!(!to.paths.database.exists() && !to.paths.root_key.exists());
        };
        assert!(matches!(restore(&to.paths, &file, None, NOW_S).await, Err(ArchiveError::File(_))));
        for junk in [&b""[..], b"junk", &[0u8; 2048]] {
            fs::write(&file, junk).unwrap();
            foreign(restore(&to.paths, &file, None, NOW_S).await);
        }
        let (from, _store) = filled(&[1]).await;
        let whole = from.dir.path().join("backup.tar");
        backup(&from.paths, &whole, NOW_S).await.unwrap();
        let bytes = fs::read(&whole).unwrap();
        for cut in [600, 1600, 2500, bytes.len() / 2] {
            fs::write(&file, &bytes[..cut]).unwrap();
            assert!(restore(&to.paths, &file, None, NOW_S).await.is_err(), "cut at {cut}");
            assert!(!to.paths.database.exists());
        }
    }

    #[tokio::test]
    async fn a_directory_without_data_or_key_has_no_backup() {
        let empty = place();
        let file = empty.dir.path().join("b");
        assert!(matches!(backup(&empty.paths, &file, NOW_S).await, Err(ArchiveError::NoData(_))));
        let (from, _store) = filled(&[]).await;
        fs::remove_file(&from.paths.root_key).unwrap();
        assert!(matches!(backup(&from.paths, &file, NOW_S).await, Err(ArchiveError::NoRootKey(_))));
        assert!(!file.exists());
    }
}
