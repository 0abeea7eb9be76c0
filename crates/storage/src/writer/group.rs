//! One group: which of its commits may happen, and what they write.

use std::collections::HashMap;

use super::queue::Job;
use super::{Failure, Log};
use crate::engine::{Committed, Follower, Head, Version};
use crate::{CollectionId, Commit, CommitError, Condition, Op, Revision};

/// What is to happen with a commit.
pub(crate) enum Fate {
    /// It is written and answered.
    Write,
    /// It is refused for this reason.
    Refuse(String),
    /// Its answer is lost, whether it is written or not.
    Lose {
        /// It is written.
        written: bool,
    },
    /// Another commit comes right before it.
    Race(Commit),
}

type Judged = Result<Revision, CommitError>;

/// The group as it is put together.
pub(super) struct Group<'a> {
    follower: &'a dyn Follower,
    /// What the group did so far to heads.
    heads: HashMap<(CollectionId, Vec<u8>), Option<Head>>,
    revision: Revision,
    committed: Vec<Committed>,
    answers: Vec<(Job, Judged)>,
}

impl<'a> Group<'a> {
    pub(super) fn new(follower: &'a dyn Follower) -> Self {
        let revision = follower.standing().revision;
        Self { follower, heads: HashMap::new(), revision, committed: Vec::new(), answers: Vec::new() }
    }

    pub(super) fn add(&mut self, mut job: Job, log: &mut dyn Log) {
        let judged = match log.fate(&job.commit) {
            Fate::Write => self.place(&mut job.commit),
            Fate::Refuse(why) => Err(CommitError::Unavailable(why)),
            Fate::Lose { written: false } => Err(CommitError::Unknown),
            Fate::Lose { written: true } => self.place(&mut job.commit).and(Err(CommitError::Unknown)),
            Fate::Race(mut other) => {
                let _ = self.place(&mut other);
                self.place(&mut job.commit)
            }
        };
        self.answers.push((job, judged));
    }

    /// Writes, delivers, answers. Err: the log is broken, for this reason; `stop` was told before anybody got an answer.
    pub(super) fn finish(self, log: &mut dyn Log, stop: impl FnOnce(&str)) -> Result<(), String> {
        let written = if self.committed.is_empty() { Ok(()) } else { log.write(&self.committed) };
        if written.is_ok() && !self.committed.is_empty() {
            log.deliver(self.follower, &self.committed);
        }
        if let Err(Failure::Broken(why)) = &written {
            stop(why);
        }
        for (job, judged) in self.answers {
            let answer = match (&written, judged) {
                (Ok(()), judged) => judged,
                // What was judged against a group that did not happen is not judged at all.
                (Err(failure), Ok(_)) => Err(failure.to_error()),
                (Err(failure), Err(CommitError::Conflict { .. })) => {
                    Err(CommitError::Unavailable(failure.why().to_owned()))
                }
                (Err(_), Err(error)) => Err(error),
            };
            let _ = job.answer.send(answer);
        }
        match written {
            Err(Failure::Broken(why)) => Err(why),
            Ok(()) | Err(Failure::Refused(_)) => Ok(()),
        }
    }

    /// Judges a commit and gives it its place. Takes its ops.
    fn place(&mut self, commit: &mut Commit) -> Judged {
        if let Some(op) = commit.ops.iter().find(|op| !self.follower.knows(op.target().0)) {
            return Err(CommitError::TooLarge(format!("there is no {:?}", op.target().0)));
        }
        for (condition, at) in commit.conditions.iter().zip(0usize..) {
            if !self.holds(condition) {
                return Err(CommitError::Conflict { condition: at });
            }
        }
        let next = self.revision.next();
        let mut versions = Vec::with_capacity(commit.ops.len());
        for op in std::mem::take(&mut commit.ops) {
            let (collection, key, value) = match op {
                Op::Put { collection, key, value } => (collection, key, Some(value)),
                Op::Delete { collection, key } => (collection, key, None),
            };
            let head = self.head(collection, &key);
            let created = match (head, &value) {
                (None, None) => continue,
                (None, Some(_)) => next,
                (Some(head), _) => head.created,
            };
            let now = value.as_ref().map(|_| Head { created, modified: next });
            self.heads.insert((collection, key.clone()), now);
            versions.push(Version { collection, created, key, value });
        }
        if !versions.is_empty() {
            self.revision = next;
            self.committed.push(Committed { revision: next, versions });
        }
        Ok(self.revision)
    }

    fn holds(&self, condition: &Condition) -> bool {
        let (collection, key) = condition.target();
        let head = self.head(collection, key);
        match condition {
            Condition::Absent { .. } => head.is_none(),
            Condition::ModRevision { revision, .. } => head.is_some_and(|h| h.modified == *revision),
            Condition::CreateRevision { revision, .. } => head.is_some_and(|h| h.created == *revision),
        }
    }

    fn head(&self, collection: CollectionId, key: &[u8]) -> Option<Head> {
        if self.heads.is_empty() {
            return self.follower.head(collection, key);
        }
        match self.heads.get(&(collection, key.to_vec())) {
            Some(head) => *head,
            None => self.follower.head(collection, key),
        }
    }
}
