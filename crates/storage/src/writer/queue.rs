//! What waits for the writer thread.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use crate::engine::{Answer, UsagePages};
use crate::{Commit, CommitError, Lane, Revision};

/// Bytes of the commits in a group, beyond which it is not filled further.
const GROUP_BYTES: usize = 4 << 20;

/// Bytes of the commits that may wait; more are refused.
const WAITING_BYTES: usize = 64 << 20;

/// A commit that waits, and who waits for it.
pub(super) struct Job {
    pub(super) commit: Commit,
    pub(super) answer: oneshot::Sender<Result<Revision, CommitError>>,
}

/// Something else to do, and who waits for it.
pub(super) enum Order {
    Compact(oneshot::Sender<Result<(), CommitError>>),
    Usage(UsagePages, oneshot::Sender<Result<(), CommitError>>),
    Close(oneshot::Sender<()>),
}

/// What the thread takes at once.
#[derive(Default)]
pub(super) struct Work {
    pub(super) jobs: Vec<Job>,
    pub(super) orders: Vec<Order>,
    /// Nothing came for a while.
    pub(super) idle: bool,
}

/// The door to the writer thread.
pub(crate) struct Queue {
    lanes: Mutex<Lanes>,
    wake: Condvar,
}

#[derive(Default)]
struct Lanes {
    interactive: VecDeque<Job>,
    bulk: VecDeque<Job>,
    orders: VecDeque<Order>,
    bytes: usize,
    most: usize,
    state: State,
}

#[derive(Default)]
enum State {
    #[default]
    NotStarted,
    Running,
    /// Takes no writes any more, for this reason.
    Stopped(String),
    Closed,
}

const CLOSED: &str = "the store is closed";

impl Queue {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { lanes: Mutex::new(Lanes::default()), wake: Condvar::new() })
    }

    /// Queues a commit. The future may be dropped: the commit happens all the same.
    pub(crate) fn commit(&self, commit: Commit) -> Answer<'static, Result<Revision, CommitError>> {
        let (answer, answered) = oneshot::channel();
        let queued = {
            let mut lanes = self.lanes.lock();
            lanes.push(Job { commit, answer })
        };
        self.wake.notify_one();
        Box::pin(async move {
            queued?;
            answered.await.unwrap_or(Err(CommitError::Unknown))
        })
    }

    pub(crate) fn compact(&self) -> Answer<'static, Result<(), CommitError>> {
        self.order(Order::Compact)
    }

    pub(crate) fn save_usage(&self, pages: UsagePages) -> Answer<'static, Result<(), CommitError>> {
        self.order(|answer| Order::Usage(pages, answer))
    }

    fn order(
        &self,
        order: impl FnOnce(oneshot::Sender<Result<(), CommitError>>) -> Order,
    ) -> Answer<'static, Result<(), CommitError>> {
        let (answer, answered) = oneshot::channel();
        let queued = {
            let mut lanes = self.lanes.lock();
            lanes.open().map(|()| lanes.orders.push_back(order(answer)))
        };
        self.wake.notify_one();
        Box::pin(async move {
            queued?;
            answered.await.unwrap_or(Err(CommitError::Unknown))
        })
    }

    /// Takes no more, and ends the thread when it has done what waits.
    pub(crate) fn close(&self) -> Answer<'static, ()> {
        let (answer, answered) = oneshot::channel();
        {
            let mut lanes = self.lanes.lock();
            // Never started or ended already: the answer is dropped here, which is an answer too.
            if matches!(lanes.state, State::Running | State::Stopped(_)) {
                lanes.orders.push_back(Order::Close(answer));
            }
            // What waits is still done; only nothing new comes in.
            if matches!(lanes.state, State::Running) {
                lanes.state = State::Stopped(CLOSED.to_owned());
            }
        }
        self.wake.notify_one();
        Box::pin(async move {
            let _ = answered.await;
        })
    }

    /// Err: why no writes are taken.
    pub(crate) fn healthy(&self) -> Result<(), String> {
        match &self.lanes.lock().state {
            State::NotStarted => Err("the store is not open yet".into()),
            State::Running => Ok(()),
            State::Stopped(why) => Err(why.clone()),
            State::Closed => Err(CLOSED.into()),
        }
    }

    pub(crate) fn waiting(&self) -> u64 {
        let lanes = self.lanes.lock();
        lanes.interactive.len().saturating_add(lanes.bulk.len()) as u64
    }

    pub(super) fn run(&self, most: usize) {
        let mut lanes = self.lanes.lock();
        lanes.state = State::Running;
        lanes.most = most;
    }

    /// No writes from now on. What waits is answered as unavailable.
    pub(crate) fn stop(&self, why: &str) {
        let dropped = {
            let mut lanes = self.lanes.lock();
            lanes.state = State::Stopped(why.to_owned());
            lanes.take_all()
        };
        refuse(dropped, why);
    }

    /// The thread has ended.
    pub(super) fn closed(&self) {
        let (dropped, orders) = {
            let mut lanes = self.lanes.lock();
            lanes.state = State::Closed;
            (lanes.take_all(), std::mem::take(&mut lanes.orders))
        };
        refuse(dropped, CLOSED);
        drop(orders);
    }

    /// Waits for work, for at most `patience`.
    pub(super) fn take(&self, group: usize, patience: Duration) -> Work {
        let mut lanes = self.lanes.lock();
        let mut idle = false;
        if lanes.is_empty() && !patience.is_zero() {
            idle = self.wake.wait_for(&mut lanes, patience).timed_out();
        }
        let jobs = lanes.group(group);
        let orders = std::mem::take(&mut lanes.orders).into();
        Work { idle: idle && jobs.is_empty(), jobs, orders }
    }
}

impl Lanes {
    fn open(&self) -> Result<(), CommitError> {
        match &self.state {
            State::Running => Ok(()),
            State::NotStarted => Err(CommitError::Unavailable("the store is not open yet".into())),
            State::Stopped(why) => Err(CommitError::Unavailable(why.clone())),
            State::Closed => Err(CommitError::Unavailable(CLOSED.into())),
        }
    }

    fn push(&mut self, job: Job) -> Result<(), CommitError> {
        self.open()?;
        let bytes = self.bytes.saturating_add(job.commit.size());
        if self.interactive.len().saturating_add(self.bulk.len()) >= self.most || bytes > WAITING_BYTES {
            return Err(CommitError::Unavailable("too many writes are waiting already".into()));
        }
        self.bytes = bytes;
        match job.commit.lane {
            Lane::Interactive => self.interactive.push_back(job),
            Lane::Bulk => self.bulk.push_back(job),
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.interactive.is_empty() && self.bulk.is_empty() && self.orders.is_empty()
    }

    /// The next group: interactive commits first, and bulk ones in at most half of it.
    fn group(&mut self, most: usize) -> Vec<Job> {
        let bulk = self.bulk.len().min((most / 2).max(1));
        let room = most.saturating_sub(bulk).max(1);
        let mut jobs = Vec::new();
        let mut bytes = 0usize;
        for (lane, most) in [(&mut self.interactive, room), (&mut self.bulk, bulk)] {
            // Bytes are shared like places: half for each lane that has something.
            bytes = bytes.min(GROUP_BYTES / 2);
            for _ in 0..most {
                if bytes >= GROUP_BYTES {
                    break;
                }
                let Some(job) = lane.pop_front() else { break };
                let size = job.commit.size();
                bytes = bytes.saturating_add(size);
                self.bytes = self.bytes.saturating_sub(size);
                jobs.push(job);
            }
        }
        jobs
    }

    fn take_all(&mut self) -> Vec<Job> {
        self.bytes = 0;
        let interactive = std::mem::take(&mut self.interactive);
        interactive.into_iter().chain(std::mem::take(&mut self.bulk)).collect()
    }
}

fn refuse(jobs: Vec<Job>, why: &str) {
    for job in jobs {
        let _ = job.answer.send(Err(CommitError::Unavailable(why.to_owned())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bulk_commits_get_at_most_half_of_a_group() {
        let queue = Queue::new();
        queue.run(1000);
        for n in 0..300 {
            let lane = if n < 200 { Lane::Bulk } else { Lane::Interactive };
            drop(queue.commit(Commit { lane, ..Commit::default() }));
        }
        let lanes = |work: Work| {
            let bulk = work.jobs.iter().filter(|j| j.commit.lane == Lane::Bulk).count();
            (work.jobs.len() - bulk, bulk)
        };
        assert_eq!(lanes(queue.take(128, Duration::ZERO)), (64, 64));
        assert_eq!(lanes(queue.take(128, Duration::ZERO)), (36, 64));
        assert_eq!(lanes(queue.take(128, Duration::ZERO)), (0, 64), "half, even when nobody else waits");
        assert_eq!(lanes(queue.take(128, Duration::ZERO)), (0, 8));
    }
}
