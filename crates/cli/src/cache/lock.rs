//! Locks between processes: an empty file each, which is never removed, and which the operating system unlocks when its holder ends, however that ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use eartag_server::files::FileError;

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(20);

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub struct Lock {
    // Closing it unlocks.
    _file: File,
    waited: bool,
}

/// Why a lock is not held.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The file cannot be made or opened.
    #[error(transparent)]
    File(FileError),
    /// Somebody else has it.
    #[error("another command has held {} for more than {} seconds", .0.display(), .1.as_secs())]
    Busy(PathBuf, Duration),
}

impl Lock {
    /// Waits for it so long.
    ///
    /// # Errors
    /// When it cannot be had.
    pub fn hold(path: &Path, patience: Duration) -> Result<Self, LockError> {
        Self::hold_pausing(path, patience, || std::thread::sleep(PAUSE))
    }

    /// The same; `pause` lasts for [`PAUSE`].
    fn hold_pausing(path: &Path, patience: Duration, mut pause: impl FnMut()) -> Result<Self, LockError> {
        let failed = |error| LockError::File(FileError::Write(path.to_owned(), error));
        let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
        let file = opened.map_err(failed)?;
        let mut left = patience;
        let mut waited = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file, waited }),
                Err(TryLockError::WouldBlock) if left.is_zero() => {
                    return Err(LockError::Busy(path.to_owned(), patience));
                }
                Err(TryLockError::WouldBlock) => {
                    waited = true;
                    pause();
                    left = left.saturating_sub(PAUSE);
                }
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
    }

    /// Whether somebody else had it first.
    #[must_use]
    pub fn waited(&self) -> bool {
        self.waited
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn whoever_had_to_wait_knows_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let mut first = Some(Lock::hold(&path, Duration::ZERO).unwrap());
        assert!(!first.as_ref().unwrap().waited());
        let second = Lock::hold_pausing(&path, PAUSE, || drop(first.take())).unwrap();
        assert!(second.waited());
    }

    #[test]
    fn it_is_not_waited_for_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let _first = Lock::hold(&path, Duration::ZERO).unwrap();
        let mut pauses = 0;
        let error = Lock::hold_pausing(&path, 3 * PAUSE, || pauses += 1).unwrap_err();
        assert!(matches!(error, LockError::Busy(..)), "{error}");
        assert_eq!(pauses, 3);
    }
}
