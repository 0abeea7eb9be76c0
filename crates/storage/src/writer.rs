//! The writer: one thread that puts commits in order and writes them in groups.
//!
//! For engines that are alone with their log. Callers queue commits in two lanes and wait; the thread takes a group, judges each commit's
//! conditions against the follower's heads and what the group did so far, hands the whole group to the [`Log`] (one fsync), lets the follower apply it,
//! and only then answers. While one group is being synced the next one gathers, so groups grow with the load and nobody waits for a timer.

mod group;
mod queue;
mod thread;

pub(crate) use self::group::Fate;
pub(crate) use self::queue::Queue;
pub(crate) use self::thread::start;
use crate::engine::{Committed, Dead, Follower, Standing, UsagePages};
use crate::{Commit, CommitError};

/// Where groups go. Called by the writer thread only.
pub(crate) trait Log: Send + 'static {
    /// What is to happen with a commit; injected faults enter here.
    fn fate(&mut self, _commit: &Commit) -> Fate {
        Fate::Write
    }

    /// Writes a group durably, all or nothing.
    fn write(&mut self, group: &[Committed]) -> Result<(), Failure>;

    /// Delivers a written group.
    fn deliver(&mut self, follower: &dyn Follower, group: &[Committed]) {
        follower.apply(group);
    }

    /// Makes the standing durable and removes dead versions, in one transaction.
    fn forget(&mut self, standing: Standing, dead: &[Dead]) -> Result<(), Failure>;

    /// Gives some free space back to the file system. True: there is more.
    fn tidy(&mut self) -> Result<bool, Failure>;

    /// Writes usage pages, all or none.
    fn save_usage(&mut self, pages: &UsagePages) -> Result<(), Failure>;

    /// The last call.
    fn close(&mut self);
}

/// Why something was not written. The text is a sentence for the operator.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Surely not written; later writes may succeed.
    Refused(String),
    /// Perhaps written. The log must not be written to any more.
    Broken(String),
}

impl Failure {
    pub(crate) fn why(&self) -> &str {
        match self {
            Self::Refused(why) | Self::Broken(why) => why,
        }
    }

    pub(crate) fn to_error(&self) -> CommitError {
        match self {
            Self::Refused(why) => CommitError::Unavailable(why.clone()),
            Self::Broken(_) => CommitError::Unknown,
        }
    }
}
