//! Files of the data directory: written whole or not at all, for the owner's eyes only, and on the disk before anybody relies on them.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A file or directory could not be read or written. Its text is one sentence that names the path.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Reading failed.
    #[error("cannot read {}: {}", .0.display(), why(.1))]
    Read(PathBuf, #[source] io::Error),
    /// Writing failed.
    #[error("cannot write {}: {}", .0.display(), why(.1))]
    Write(PathBuf, #[source] io::Error),
    /// The file is larger than what is ever put there.
    #[error("cannot read {}: it is larger than {} bytes, so it is not what it should be", .0.display(), .1)]
    TooLarge(PathBuf, u64),
}

/// Makes a directory, and those above it, that only the owner may enter (0700). One that exists is left as it is. When this returns, the names of those that were
/// made are on the disk: a key in a directory that a power cut forgets is a lost key.
///
/// # Errors
/// When it cannot be made, or the path is something else than a directory.
pub fn private_dir(dir: &Path) -> Result<(), FileError> {
    let error = |e| FileError::Write(dir.to_owned(), e);
    let mut made = make_private(dir);
    if made.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::NotFound)
        && let Some(parent) = dir.parent().filter(|p| !p.as_os_str().is_empty() && !p.exists())
    {
        private_dir(parent)?;
        made = make_private(dir);
    }
    match made {
        Ok(()) => sync_parent(dir).map_err(error),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Err(error(io::ErrorKind::NotADirectory.into())),
        Err(e) => Err(error(e)),
    }
}

/// Replaces `path` by a file with these bytes that only the owner may read (0600); when this returns, file and name are on the disk.
///
/// The bytes go to a new file beside it that is then renamed, so a crash leaves either the old file or the new one.
///
/// # Errors
/// When any step fails; the old file is then still there.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write_replacing(path, bytes, 0o600)
}

/// Like [`write_private`], but readable by everybody (0644): certificates of authorities are public.
///
/// # Errors
/// As [`write_private`].
pub fn write_public(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write_replacing(path, bytes, 0o644)
}

/// Makes a new private file (0600) unless one exists. `false` means that another process made it first: read that one.
///
/// # Errors
/// When the file cannot be made, for any reason but that it exists.
pub fn create_private(path: &Path, bytes: &[u8]) -> Result<bool, FileError> {
    let error = |e| FileError::Write(path.to_owned(), e);
    let temporary = temporary(path);
    write_file(&temporary, bytes, 0o600).map_err(error)?;
    // A link, other than a rename, refuses to replace: of two first starts at once exactly one makes the file, and it is complete from its first moment.
    let made = fs::hard_link(&temporary, path);
    let _ = fs::remove_file(&temporary);
    match made {
        Ok(()) => {
            sync_parent(path).map_err(error)?;
            Ok(true)
        }
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(error(e)),
    }
}

/// Reads a small file; `None` when there is none.
///
/// # Errors
/// When it exists but cannot be read, or is larger than `limit` bytes.
pub fn read_small(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, FileError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(FileError::Read(path.to_owned(), e)),
    };
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|e| FileError::Read(path.to_owned(), e))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
        return Err(FileError::TooLarge(path.to_owned(), limit));
    }
    Ok(Some(bytes))
}

/// Writes the names in a file's directory to the disk.
///
/// # Errors
/// What the operating system says.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

/// An error of the operating system in the words of a person at a terminal, without its number.
#[must_use]
pub fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file or directory".into(),
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::StorageFull => "the disk is full".into(),
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only".into(),
        io::ErrorKind::AlreadyExists => "something else is there already".into(),
        io::ErrorKind::NotADirectory => "a part of the path is not a directory".into(),
        io::ErrorKind::IsADirectory => "it is a directory".into(),
        _ => error.to_string(),
    }
}

fn make_private(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(dir)
}

fn write_replacing(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    let error = |e| FileError::Write(path.to_owned(), e);
    let temporary = temporary(path);
    let written = write_file(&temporary, bytes, mode).and_then(|()| fs::rename(&temporary, path));
    if let Err(e) = written {
        let _ = fs::remove_file(&temporary);
        return Err(error(e));
    }
    sync_parent(path).map_err(error)
}

fn write_file(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    // What a crash left under this name may be a link to somewhere else: it is removed, never opened.
    let _ = fs::remove_file(path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    // The mode given above is narrowed by the process's umask; this one is exact.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn temporary(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn private_files_are_private_also_when_they_replace_a_readable_one() {
        let dir = tempfile::tempdir().unwrap();
        let sub = dir.path().join("a/b");
        private_dir(&sub).unwrap();
        private_dir(&sub).unwrap();
        assert_eq!((mode(&sub), mode(&dir.path().join("a"))), (0o700, 0o700));
        let file = sub.join("secret");
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o666)).unwrap();
        write_private(&file, b"new").unwrap();
        assert_eq!(mode(&file), 0o600);
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert_eq!(fs::read_dir(&sub).unwrap().count(), 1, "no temporary file stays behind");
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        for bad in ["file", "file/below", "file/far/below"] {
            assert!(private_dir(&dir.path().join(bad)).is_err(), "{bad}");
        }
        // A file system in which nothing can be made says that the new name itself does not exist.
        assert!(private_dir(Path::new("/proc/eartag/data")).is_err());
        assert!(private_dir(Path::new("")).is_err());
    }

    #[test]
    fn the_second_creator_is_told_so_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("root.key");
        assert!(create_private(&file, b"first").unwrap());
        assert!(!create_private(&file, b"second").unwrap());
        assert_eq!(fs::read(&file).unwrap(), b"first");
        assert_eq!(mode(&file), 0o600);
    }

    #[test]
    fn a_file_that_is_too_large_is_not_read_into_memory() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        fs::write(&file, [0u8; 100]).unwrap();
        assert!(matches!(read_small(&file, 99), Err(FileError::TooLarge(..))));
        assert_eq!(read_small(&file, 100).unwrap().unwrap().len(), 100);
        assert!(read_small(&dir.path().join("none"), 9).unwrap().is_none());
    }

    #[test]
    fn errors_are_one_sentence_that_names_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let error = write_private(&dir.path().join("no/such"), b"").unwrap_err().to_string();
        assert!(
            error.starts_with("cannot write ")
                && error.ends_with("no/such: there is no such file or directory"),
            "{error}"
        );
    }
}
