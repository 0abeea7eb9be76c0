//! The engine without a log: what it holds dies with the process. Faults can be injected.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::engine::{Answer, Committed, Dead, Engine, Follower, Standing, UsagePages};
use crate::writer::{Failure, Fate, Log, Queue};
use crate::{BackupError, Commit, CommitError, OpenError, Options, Revision, writer};

/// The mirror without a log, for tests and for trying things out.
pub struct Memory {
    queue: Arc<Queue>,
    faults: Faults,
    follower: Mutex<Option<Arc<dyn Follower>>>,
    usage: Arc<Mutex<std::collections::BTreeMap<u64, Vec<u8>>>>,
}

/// Faults to inject into a [`Memory`] engine; each call queues faults for the commits that come next, one each.
#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<Planned>>);

#[derive(Default)]
struct Planned {
    fates: VecDeque<Fate>,
    delay: Option<Duration>,
    lag: Option<Duration>,
    duplicates: bool,
    refuse: Option<String>,
}

impl Faults {
    /// The next `count` commits are refused as unavailable.
    pub fn unavailable(&self, count: usize) {
        let refuse = || Fate::Refuse("an injected fault".into());
        self.0.lock().fates.extend(std::iter::repeat_with(refuse).take(count));
    }

    /// The answers of the next `count` commits are lost; they are written or not, as said.
    pub fn unknown(&self, count: usize, written: bool) {
        let lose = || Fate::Lose { written };
        self.0.lock().fates.extend(std::iter::repeat_with(lose).take(count));
    }

    /// This commit comes right before the next one: a race that the next one loses if it has a condition on the same key.
    pub fn race(&self, commit: Commit) {
        self.0.lock().fates.push_back(Fate::Race(commit));
    }

    /// The next `count` commits pass.
    pub fn pass(&self, count: usize) {
        self.0.lock().fates.extend(std::iter::repeat_with(|| Fate::Write).take(count));
    }

    /// Each group takes so long to be written, from now on.
    pub fn delay(&self, each: Option<Duration>) {
        self.0.lock().delay = each;
    }

    /// The mirror hears of each group so much later than it is written (and the answers wait for that), from now on.
    pub fn lag(&self, each: Option<Duration>) {
        self.0.lock().lag = each;
    }

    /// The mirror hears of each commit twice, from now on.
    pub fn duplicates(&self, on: bool) {
        self.0.lock().duplicates = on;
    }

    /// All writes are refused for this reason (a full disk), until `None`.
    pub fn refuse(&self, why: Option<&str>) {
        self.0.lock().refuse = why.map(str::to_owned);
    }
}

impl Memory {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        let (faults, follower) = (Faults::default(), Mutex::new(None));
        Self { queue: Queue::new(), faults, follower, usage: Arc::default() }
    }

    /// A handle to inject faults with.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.faults.clone()
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Engine for Memory {
    fn load(&self, follower: Arc<dyn Follower>) -> Answer<'_, Result<(), OpenError>> {
        let start = Revision::new(1);
        follower.begin(Standing { revision: start, oldest: start }, false);
        follower.end();
        Box::pin(std::future::ready(Ok(())))
    }

    fn follow(&self, follower: Arc<dyn Follower>, options: &Options) -> Result<(), OpenError> {
        *self.follower.lock() = Some(Arc::clone(&follower));
        let log = NoLog { faults: self.faults.clone(), usage: Arc::clone(&self.usage) };
        writer::start(Box::new(log), &self.queue, follower, options)
    }

    fn append(&self, commit: Commit) -> Answer<'_, Result<Revision, CommitError>> {
        self.queue.commit(commit)
    }

    fn fence(&self) -> Answer<'_, Result<Revision, CommitError>> {
        let standing = self.follower.lock().as_ref().map(|f| f.standing().revision);
        let not_open = || CommitError::Unavailable("the store is not open yet".into());
        Box::pin(std::future::ready(standing.ok_or_else(not_open)))
    }

    fn compact(&self, _before: Revision) -> Answer<'_, Result<(), CommitError>> {
        self.queue.compact()
    }

    fn usage_load(&self) -> Answer<'_, Result<UsagePages, CommitError>> {
        let pages = self.usage.lock().iter().map(|(page, body)| (*page, body.clone())).collect();
        Box::pin(std::future::ready(Ok(pages)))
    }

    fn usage_save(&self, pages: UsagePages) -> Answer<'_, Result<(), CommitError>> {
        self.queue.save_usage(pages)
    }

    fn backup<'a>(&'a self, _to: &'a Path) -> Answer<'a, Result<(), BackupError>> {
        let why = "what is held in memory only has no file".to_owned();
        Box::pin(std::future::ready(Err(BackupError::Unsupported(why))))
    }

    fn healthy(&self) -> Result<(), String> {
        self.queue.healthy()
    }

    fn close(&self) -> Answer<'_, ()> {
        self.queue.close()
    }

    fn stop(&self) {
        drop(self.queue.close());
    }

    fn disk_bytes(&self) -> u64 {
        0
    }

    fn waiting(&self) -> u64 {
        self.queue.waiting()
    }
}

struct NoLog {
    faults: Faults,
    usage: Arc<Mutex<std::collections::BTreeMap<u64, Vec<u8>>>>,
}

impl Log for NoLog {
    fn fate(&mut self, _commit: &Commit) -> Fate {
        self.faults.0.lock().fates.pop_front().unwrap_or(Fate::Write)
    }

    fn write(&mut self, _group: &[Committed]) -> Result<(), Failure> {
        let (delay, refuse) = {
            let planned = self.faults.0.lock();
            (planned.delay, planned.refuse.clone())
        };
        delay.into_iter().for_each(std::thread::sleep);
        refuse.map_or(Ok(()), |why| Err(Failure::Refused(why)))
    }

    fn deliver(&mut self, follower: &dyn Follower, group: &[Committed]) {
        let (lag, duplicates) = {
            let planned = self.faults.0.lock();
            (planned.lag, planned.duplicates)
        };
        lag.into_iter().for_each(std::thread::sleep);
        follower.apply(group);
        if duplicates {
            follower.apply(group);
        }
    }

    fn forget(&mut self, _standing: Standing, _dead: &[Dead]) -> Result<(), Failure> {
        Ok(())
    }

    fn tidy(&mut self) -> Result<bool, Failure> {
        Ok(false)
    }

    fn save_usage(&mut self, pages: &UsagePages) -> Result<(), Failure> {
        let mut usage = self.usage.lock();
        for (page, body) in pages {
            if body.is_empty() {
                usage.remove(page);
            } else {
                usage.insert(*page, body.clone());
            }
        }
        Ok(())
    }

    fn close(&mut self) {}
}
