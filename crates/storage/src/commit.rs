//! Commits: what changes together, and on what condition.

use crate::{CollectionId, limits};

/// What must hold for a commit to happen, judged at the very moment it takes its place in the log.
#[derive(Clone, PartialEq, Eq)]
pub enum Condition {
    /// No such object.
    Absent {
        /// Its collection.
        collection: CollectionId,
        /// Its key.
        key: Vec<u8>,
    },
    /// The object is there and this is its newest version.
    ModRevision {
        /// Its collection.
        collection: CollectionId,
        /// Its key.
        key: Vec<u8>,
        /// [`Entry::modified`](crate::Entry::modified) as it was seen.
        revision: crate::Revision,
    },
    /// The object is there and is the one that was made at this revision, changed since or not.
    CreateRevision {
        /// Its collection.
        collection: CollectionId,
        /// Its key.
        key: Vec<u8>,
        /// [`Entry::created`](crate::Entry::created) as it was seen.
        revision: crate::Revision,
    },
}

impl Condition {
    /// The collection and key it looks at.
    #[must_use]
    pub fn target(&self) -> (CollectionId, &[u8]) {
        match self {
            Self::Absent { collection, key }
            | Self::ModRevision { collection, key, .. }
            | Self::CreateRevision { collection, key, .. } => (*collection, key),
        }
    }
}

/// One change.
#[derive(Clone, PartialEq, Eq)]
pub enum Op {
    /// Creates or replaces an object.
    Put {
        /// Its collection.
        collection: CollectionId,
        /// Its key, 1 to [`MAX_KEY`](limits::MAX_KEY) bytes.
        key: Vec<u8>,
        /// Its bytes, at most [`MAX_VALUE`](limits::MAX_VALUE).
        value: Vec<u8>,
    },
    /// Removes an object. An absent one is no error and no change.
    Delete {
        /// Its collection.
        collection: CollectionId,
        /// Its key.
        key: Vec<u8>,
    },
}

impl Op {
    /// The collection and key it changes.
    #[must_use]
    pub fn target(&self) -> (CollectionId, &[u8]) {
        match self {
            Self::Put { collection, key, .. } | Self::Delete { collection, key } => (*collection, key),
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Put { key, value, .. } => key.len().saturating_add(value.len()),
            Self::Delete { key, .. } => key.len(),
        }
    }
}

/// Which queue a commit waits in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lane {
    /// Somebody is waiting for the answer.
    #[default]
    Interactive,
    /// Background work on many objects: gets at most half of each group that is synced together.
    Bulk,
}

/// Changes that happen together at one revision, or not at all.
///
/// Limits (DESIGN §3, the same in every engine): at most 100 conditions and 100 ops, 1 MiB in all, 512 KiB a value, and at most one key of each
/// collection, so that every event of a collection has a revision of its own and a client can resume after any of them.
/// What touches many objects is many commits in [`Lane::Bulk`].
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Commit {
    /// All of them must hold.
    pub conditions: Vec<Condition>,
    /// What to change. A commit that changes nothing (no ops, or only deletions of absent keys) takes no revision.
    pub ops: Vec<Op>,
    /// Which queue it waits in.
    pub lane: Lane,
}

impl Commit {
    /// Its size as the limits count it: all keys and values, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        let ops = self.ops.iter().map(Op::size);
        let conditions = self.conditions.iter().map(|c| c.target().1.len());
        ops.chain(conditions).fold(0, usize::saturating_add)
    }

    /// Checks the limits. The error is a sentence for a person.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.ops.len() > limits::MAX_OPS || self.conditions.len() > limits::MAX_OPS {
            return Err(format!(
                "a commit holds at most {} operations and as many conditions",
                limits::MAX_OPS
            ));
        }
        let mut seen = [false; 256];
        for op in &self.ops {
            let (collection, key) = op.target();
            if key.is_empty() || key.len() > limits::MAX_KEY {
                return Err(format!("a key has 1 to {} bytes", limits::MAX_KEY));
            }
            if let Op::Put { value, .. } = op
                && value.len() > limits::MAX_VALUE
            {
                return Err(format!("a value has at most {} bytes", limits::MAX_VALUE));
            }
            if let Some(slot) = seen.get_mut(usize::from(collection.0))
                && std::mem::replace(slot, true)
            {
                return Err("a commit changes at most one key of each collection".into());
            }
        }
        if self.size() > limits::MAX_COMMIT {
            return Err(format!("a commit has at most {} bytes", limits::MAX_COMMIT));
        }
        Ok(())
    }
}

/// Why a commit did not happen, or may not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// A condition did not hold; nothing was written.
    #[error("condition {condition} of the commit does not hold")]
    Conflict {
        /// Which one, counted from 0.
        condition: usize,
    },
    /// The commit breaks a limit (see [`Commit`]) or names an unknown collection; nothing was written.
    #[error("the commit cannot be stored: {0}")]
    TooLarge(String),
    /// The store takes no writes now; nothing was written.
    #[error("the store takes no writes now: {0}")]
    Unavailable(String),
    /// The commit may or may not have happened. Settled by reading the key again once the store answers.
    #[error("the outcome of the commit is unknown")]
    Unknown,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn put(collection: u8, key: &str, bytes: usize) -> Op {
        Op::Put { collection: CollectionId(collection), key: key.into(), value: vec![0; bytes] }
    }

    fn check(ops: Vec<Op>) -> Result<(), String> {
        Commit { ops, ..Commit::default() }.check()
    }

    #[test]
    fn limits_are_held_to_the_byte() {
        assert_eq!(check(vec![put(0, "k", limits::MAX_VALUE)]), Ok(()));
        assert!(check(vec![put(0, "k", limits::MAX_VALUE + 1)]).unwrap_err().contains("524288"));
        assert_eq!(check(vec![put(0, "k", limits::MAX_VALUE), put(1, "k", limits::MAX_VALUE - 2)]), Ok(()));
        assert!(check(vec![put(0, "k", limits::MAX_VALUE), put(1, "k", limits::MAX_VALUE - 1)]).is_err());
        assert_eq!(check((0..100).map(|n| put(n, "k", 1)).collect()), Ok(()));
        assert!(check((0..101).map(|n| put(n, "k", 1)).collect()).is_err());
        assert_eq!(check(vec![put(0, &"k".repeat(limits::MAX_KEY), 0)]), Ok(()));
        assert!(check(vec![put(0, &"k".repeat(limits::MAX_KEY + 1), 0)]).is_err());
        assert!(check(vec![put(0, "", 0)]).is_err());
    }

    #[test]
    fn a_commit_writes_at_most_one_key_of_each_collection() {
        assert!(check(vec![put(0, "a", 1), put(0, "b", 1)]).is_err());
        assert!(check(vec![put(0, "a", 1), put(0, "a", 1)]).is_err());
        assert_eq!(check(vec![put(0, "a", 1), put(1, "a", 1)]), Ok(()));
    }
}
