//! What can go wrong outside of commits.

use std::io;
use std::path::PathBuf;

use crate::Revision;

/// Why a store could not be opened. Each text is one sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("the data file {} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// The file is not one of ours, or was written by a newer version.
    #[error("the data file {} is not one that this version can use: {why}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It cannot be read or written (permissions, missing directory).
    #[error("the data file {} cannot be opened for reading and writing: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It was opened and then something failed, such as a damaged page.
    #[error("the data file {} could not be read: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the database said.
        why: String,
    },
    /// A mistake in the program: two collections of one number, or the like.
    #[error("the store is set up wrongly: {0}")]
    Setup(String),
    /// The engine cannot be reached (remote engines) or ended while it was opening.
    #[error("the store cannot be reached: {0}")]
    Unavailable(String),
}

/// Why a range or a watch cannot start where it was asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// The revision is older than the history that is kept.
    #[error("the revision has been compacted; the oldest available one is {oldest}")]
    Compacted {
        /// History reaches back to here.
        oldest: Revision,
    },
    /// The revision has not happened yet.
    #[error("the revision has not happened yet; the newest one is {current}")]
    Future {
        /// The newest one.
        current: Revision,
    },
}

/// Why a backup was not made.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// This engine keeps no file to copy.
    #[error("this datastore makes no backups of its own: {0}")]
    Unsupported(String),
    /// Something is already there; a backup replaces nothing.
    #[error("{} already exists; a backup is never written over a file", .0.display())]
    Exists(PathBuf),
    /// The file system refused.
    #[error("the backup {} could not be written: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The database refused.
    #[error("the backup could not be made: {0}")]
    Database(String),
}

/// Why a backup was not restored. The target is left as it was.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// Something is already there; a restore replaces nothing.
    #[error("{} already exists; a backup is restored only where there is no data file", .0.display())]
    Exists(PathBuf),
    /// The backup is not one of ours, or from a newer version, or damaged.
    #[error("{} is not a backup that this version can restore: {why}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The file system refused.
    #[error("the backup could not be restored to {}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The database refused.
    #[error("the backup could not be restored: {0}")]
    Database(String),
    /// The revision counter would leave the range that clients can hold (2^53).
    #[error("the backup's revision {0} leaves no room above it")]
    Exhausted(Revision),
}
