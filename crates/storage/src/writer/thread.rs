//! The thread: groups first, and what keeps the log small when there is time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::group::Group;
use super::queue::{Order, Queue};
use super::{Failure, Log};
use crate::engine::Follower;
use crate::{CommitError, OpenError, Options};

/// Dead versions removed in one transaction.
const BATCH: usize = 1000;
/// So many dead versions are worth a transaction in the first idle moment; fewer wait for [`IDLE`].
const WORTH: usize = 1000;
/// With so many dead versions the writer takes time for them even under load: a batch after every few groups.
const BACKLOG: usize = 100_000;
const GROUPS_PER_BATCH: u32 = 16;
/// A pause in which nothing came.
const IDLE: Duration = Duration::from_secs(1);

/// Starts the thread.
pub(crate) fn start(
    log: Box<dyn Log>,
    queue: &Arc<Queue>,
    follower: Arc<dyn Follower>,
    options: &Options,
) -> Result<(), OpenError> {
    queue.run(options.queue.max(1));
    let (inner, group) = (Arc::clone(queue), options.group.max(2));
    let thread = move || {
        let end = End(Arc::clone(&inner));
        let mut writer = Writer::new(log, inner, follower, group);
        writer.run();
        let closing = std::mem::take(&mut writer.closing);
        writer.log.close();
        drop(writer);
        drop(end);
        // Answered when files are closed and the queue knows it.
        for answer in closing {
            let _ = answer.send(());
        }
    };
    match std::thread::Builder::new().name("eartag-writer".into()).spawn(thread) {
        Ok(_) => Ok(()),
        Err(error) => {
            queue.closed();
            Err(OpenError::Unavailable(format!("no thread could be started: {error}")))
        }
    }
}

/// Says that the thread has ended, also if it ended by a panic: nobody waits for ever.
struct End(Arc<Queue>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.closed();
    }
}

struct Writer {
    log: Box<dyn Log>,
    queue: Arc<Queue>,
    follower: Arc<dyn Follower>,
    group: usize,
    /// The log is broken; nothing is written any more.
    broken: Option<String>,
    /// Who waits for a compaction.
    compacting: Vec<oneshot::Sender<Result<(), CommitError>>>,
    /// The standing was made durable since somebody asked for a compaction.
    forgotten: bool,
    /// Who waits for the end.
    closing: Vec<oneshot::Sender<()>>,
    /// There may be free space to give back.
    untidy: bool,
    /// Housekeeping failed (a full disk): it pauses until the next idle moment.
    paused: bool,
    groups: u32,
}

impl Writer {
    fn new(log: Box<dyn Log>, queue: Arc<Queue>, follower: Arc<dyn Follower>, group: usize) -> Self {
        let (compacting, closing) = (Vec::new(), Vec::new());
        let (broken, forgotten, untidy, paused, groups) = (None, false, false, false, 0);
        Self { log, queue, follower, group, broken, compacting, forgotten, closing, untidy, paused, groups }
    }

    fn run(&mut self) {
        loop {
            let more = self.has_chores() || !self.closing.is_empty();
            let work = self.queue.take(self.group, if more { Duration::ZERO } else { IDLE });
            let nothing = work.jobs.is_empty() && work.orders.is_empty();
            if nothing && !self.closing.is_empty() {
                return;
            }
            self.write(work.jobs);
            for order in work.orders {
                self.order(order);
            }
            self.chores(nothing, work.idle);
        }
    }

    fn write(&mut self, jobs: Vec<super::queue::Job>) {
        if jobs.is_empty() {
            return;
        }
        self.groups = self.groups.wrapping_add(1);
        let mut group = Group::new(&*self.follower);
        for job in jobs {
            group.add(job, &mut *self.log);
        }
        let finished = group.finish(&mut *self.log, |why| self.queue.stop(why));
        if let Err(why) = finished {
            self.broken = Some(why);
        }
    }

    fn order(&mut self, order: Order) {
        match order {
            Order::Close(answer) => self.closing.push(answer),
            Order::Compact(answer) => {
                self.compacting.push(answer);
                self.forgotten = false;
                self.paused = false;
            }
            Order::Usage(pages, answer) => {
                let saved = match &self.broken {
                    Some(why) => Err(Failure::Refused(why.clone())),
                    None => self.log.save_usage(&pages),
                };
                let _ = answer.send(self.check(saved));
            }
        }
    }

    /// Whether housekeeping should not wait for an idle moment.
    fn has_chores(&self) -> bool {
        self.broken.is_none()
            && (!self.compacting.is_empty()
                || !self.paused && (self.untidy || self.follower.dead_count() >= WORTH))
    }

    /// At most one batch of housekeeping.
    fn chores(&mut self, nothing_else: bool, idle: bool) {
        if let Some(why) = &self.broken {
            for answer in self.compacting.drain(..) {
                let _ = answer.send(Err(CommitError::Unavailable(why.clone())));
            }
            return;
        }
        if idle {
            self.paused = false;
        }
        let dead = self.follower.dead_count();
        if !self.compacting.is_empty() {
            self.compact(dead);
            return;
        }
        let due = if dead >= WORTH { nothing_else } else { dead > 0 && idle };
        let overdue = dead >= BACKLOG && self.groups.is_multiple_of(GROUPS_PER_BATCH);
        if !self.paused && (due || overdue) {
            self.forget();
        } else if self.untidy && nothing_else && !self.paused {
            self.tidy();
        }
    }

    /// One step of what was asked for; commits come in between.
    fn compact(&mut self, dead: usize) {
        if dead > 0 || !self.forgotten {
            self.forget();
        } else if self.untidy {
            self.tidy();
        } else {
            for answer in self.compacting.drain(..) {
                let _ = answer.send(Ok(()));
            }
        }
    }

    fn forget(&mut self) {
        let dead = self.follower.dead(BATCH);
        if let Err(failure) = self.log.forget(self.follower.standing(), &dead) {
            self.fail_chores(failure);
            return;
        }
        self.follower.buried(dead.len());
        self.untidy = true;
        self.forgotten = true;
    }

    fn tidy(&mut self) {
        match self.log.tidy() {
            Ok(more) => self.untidy = more,
            Err(failure) => {
                self.untidy = false;
                self.fail_chores(failure);
            }
        }
    }

    fn fail_chores(&mut self, failure: Failure) {
        tracing::warn!(why = failure.why(), "the log could not be compacted");
        self.paused = true;
        for answer in self.compacting.drain(..) {
            let _ = answer.send(Err(failure.to_error()));
        }
        let _ = self.check(Err(failure));
    }

    /// Takes note of a broken log.
    fn check(&mut self, result: Result<(), Failure>) -> Result<(), CommitError> {
        let Err(failure) = result else { return Ok(()) };
        if let Failure::Broken(why) = &failure {
            self.queue.stop(why);
            self.broken = Some(why.clone());
        }
        Err(failure.to_error())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::engine::{Committed, Dead, Standing, UsagePages};
    use crate::mirror::Mirror;
    use crate::{Collection, CollectionId, Commit, Indexed, NoObserver, Op, Revision};

    /// Fails for good at the third group.
    struct Breaks(u32);

    impl Log for Breaks {
        fn write(&mut self, _: &[Committed]) -> Result<(), Failure> {
            self.0 += 1;
            if self.0 == 3 { Err(Failure::Broken("the fsync failed".into())) } else { Ok(()) }
        }

        fn forget(&mut self, _: Standing, _: &[Dead]) -> Result<(), Failure> {
            Ok(())
        }

        fn tidy(&mut self) -> Result<bool, Failure> {
            Ok(false)
        }

        fn save_usage(&mut self, _: &UsagePages) -> Result<(), Failure> {
            Ok(())
        }

        fn close(&mut self) {}
    }

    fn put(key: &str) -> Commit {
        let op = Op::Put { collection: CollectionId(1), key: key.into(), value: vec![] };
        Commit { ops: vec![op], ..Commit::default() }
    }

    #[tokio::test]
    async fn after_a_failed_fsync_the_outcome_is_unknown_and_nothing_is_written_any_more() {
        let things = Collection { id: CollectionId(1), name: "things", index: |_, _| Indexed::default() };
        let mirror = Mirror::new(vec![things], Arc::new(NoObserver), Options::default()).unwrap();
        let mirror = Arc::new(mirror);
        let start_at = Revision::new(1);
        mirror.begin(Standing { revision: start_at, oldest: start_at }, true);
        mirror.end();
        let queue = Queue::new();
        start(Box::new(Breaks(0)), &queue, Arc::clone(&mirror) as _, &Options::default()).unwrap();
        assert!(queue.commit(put("a")).await.is_ok());
        assert!(queue.commit(put("b")).await.is_ok());
        assert_eq!(queue.commit(put("c")).await, Err(CommitError::Unknown));
        assert_eq!(queue.healthy(), Err("the fsync failed".into()));
        let refused = CommitError::Unavailable("the fsync failed".into());
        assert_eq!(queue.commit(put("d")).await, Err(refused.clone()));
        assert_eq!(queue.save_usage(vec![]).await, Err(refused.clone()));
        assert_eq!(queue.compact().await, Err(refused));
        assert_eq!(mirror.standing().revision.get(), 3, "what may not have happened is not shown");
        queue.close().await;
    }
}
