//! The mirror: current state and bounded history in memory, the same for all engines.

mod load;
mod read;
mod table;
mod topic;

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::RwLock;
use tokio::sync::{Notify, watch};

pub(crate) use self::read::Walk;
use self::table::{Event, Table};
pub(crate) use self::topic::Reached;
use crate::engine::{Committed, Dead, Follower, Head, Replayed, Standing};
use crate::{
    Change, Collection, CollectionId, CollectionStats, Entry, Observer, OpenError, Options, Revision, Stats,
};

/// The state, its observer, and who waits for it to move.
pub(crate) struct Mirror {
    state: RwLock<State>,
    observer: Arc<dyn Observer>,
    advanced: watch::Sender<Revision>,
}

/// Everything under the one lock.
pub(crate) struct State {
    pub(crate) revision: u64,
    pub(crate) oldest: u64,
    pub(crate) closed: bool,
    tables: Vec<Table>,
    /// Collection number to its place in `tables`.
    slots: Box<[Option<u8>; 256]>,
    options: Options,
    history_events: usize,
    history_bytes: usize,
    /// Versions whose successor has left the history, in log order.
    dead: VecDeque<Dead>,
    keep_dead: bool,
    loading: bool,
    scratch: Vec<u8>,
}

impl Mirror {
    pub(crate) fn new(
        collections: Vec<Collection>,
        observer: Arc<dyn Observer>,
        options: Options,
    ) -> Result<Self, OpenError> {
        let state = RwLock::new(State::new(collections, options)?);
        Ok(Self { state, observer, advanced: watch::Sender::new(Revision::default()) })
    }

    /// Looks at the state. The closure must be short and must not wait.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.read())
    }

    /// Changes what belongs to readers (topics of watches).
    pub(crate) fn write<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.write())
    }

    /// Told each time the mirror moves.
    pub(crate) fn moves(&self) -> watch::Receiver<Revision> {
        self.advanced.subscribe()
    }

    /// Ends all watches once they have delivered what there is.
    pub(crate) fn close(&self) {
        let wake = self.write(|state| {
            state.closed = true;
            state.tables.iter().flat_map(Table::everyone).collect::<Vec<_>>()
        });
        wake.iter().for_each(|n| n.notify_waiters());
    }

    /// Forgets the history up to `before`, a slice at a time. Returns where the history now starts.
    pub(crate) fn compact(&self, before: Revision) -> Revision {
        loop {
            let (done, oldest) = self.write(|state| {
                let before = before.get().min(state.revision);
                let mut left = crate::limits::SLICE;
                while left > 0 && state.evict_one_up_to(before) {
                    left = left.saturating_sub(1);
                }
                if left > 0 {
                    state.oldest = state.oldest.max(before);
                }
                (left > 0, state.oldest)
            });
            if done {
                return Revision::new(oldest);
            }
        }
    }
}

impl Follower for Mirror {
    fn begin(&self, standing: Standing, keep_dead: bool) {
        self.write(|state| state.begin(standing, keep_dead));
    }

    fn replay(&self, version: Replayed<'_>) {
        self.write(|state| state.replay(version));
    }

    fn end(&self) {
        self.end_loading();
    }

    fn knows(&self, collection: CollectionId) -> bool {
        self.read(|state| state.table(collection).is_some())
    }

    fn head(&self, collection: CollectionId, key: &[u8]) -> Option<Head> {
        self.read(|state| {
            let entry = state.table(collection)?.get(key)?;
            Some(Head { created: entry.created(), modified: entry.modified() })
        })
    }

    fn apply(&self, commits: &[Committed]) {
        let mut wake: Vec<Arc<Notify>> = Vec::new();
        let mut scratch = Vec::new();
        for commit in commits {
            let Some(changes) = self.read(|state| state.changes(commit, &mut scratch)) else { continue };
            // The observer first: whoever sees the mirror here finds the observer here too, and no lock is held while it works, so that
            // an observer's own lock can never be part of a cycle with this one.
            if !changes.is_empty() {
                self.observer.apply(&changes);
            }
            self.write(|state| {
                for change in changes {
                    state.apply(change, &mut wake);
                }
                state.revision = commit.revision.get();
                state.trim();
            });
        }
        wake.iter().for_each(|n| n.notify_waiters());
        self.advanced.send_replace(self.standing().revision);
    }

    fn standing(&self) -> Standing {
        self.read(|state| Standing {
            revision: Revision::new(state.revision),
            oldest: Revision::new(state.oldest),
        })
    }

    fn dead(&self, at_most: usize) -> Vec<Dead> {
        self.read(|state| state.dead.iter().take(at_most).copied().collect())
    }

    fn dead_count(&self) -> usize {
        self.read(|state| state.dead.len())
    }

    fn buried(&self, count: usize) {
        self.write(|state| {
            let count = count.min(state.dead.len());
            state.dead.drain(..count);
            if state.dead.capacity() > 8192 && state.dead.len() < state.dead.capacity() / 4 {
                state.dead.shrink_to(4096);
            }
        });
    }
}

impl State {
    fn new(collections: Vec<Collection>, options: Options) -> Result<Self, OpenError> {
        let mut slots = Box::new([None; 256]);
        for (place, collection) in (0u8..).zip(&collections) {
            let Some(slot) = slots.get_mut(usize::from(collection.id.0)) else { continue };
            if slot.replace(place).is_some() {
                return Err(OpenError::Setup(format!("{:?} is given twice", collection.id)));
            }
        }
        Ok(Self {
            revision: 0,
            oldest: 0,
            closed: false,
            tables: collections.into_iter().map(Table::new).collect(),
            slots,
            options,
            history_events: 0,
            history_bytes: 0,
            dead: VecDeque::new(),
            keep_dead: false,
            loading: false,
            scratch: Vec::new(),
        })
    }

    pub(crate) fn table(&self, collection: CollectionId) -> Option<&Table> {
        let slot = (*self.slots.get(usize::from(collection.0))?)?;
        self.tables.get(usize::from(slot))
    }

    pub(crate) fn table_mut(&mut self, collection: CollectionId) -> Option<&mut Table> {
        let slot = (*self.slots.get(usize::from(collection.0))?)?;
        self.tables.get_mut(usize::from(slot))
    }

    /// What a commit does to the current state; `None` if it is applied already.
    fn changes(&self, commit: &Committed, scratch: &mut Vec<u8>) -> Option<Vec<Change>> {
        if commit.revision.get() <= self.revision {
            return None;
        }
        let mut changes = Vec::with_capacity(commit.versions.len());
        for version in &commit.versions {
            let Some(table) = self.table(version.collection) else { continue };
            let old = table.get(&version.key).cloned();
            let new = version.value.as_deref().map(|value| {
                let (created, at) = (version.created, commit.revision);
                Entry::build(&table.collection, created, at, &version.key, value, scratch)
            });
            if old.is_some() || new.is_some() {
                changes.push(Change { revision: commit.revision, collection: version.collection, old, new });
            }
        }
        Some(changes)
    }

    fn apply(&mut self, change: Change, wake: &mut Vec<Arc<Notify>>) {
        let Some(table) = self.table_mut(change.collection) else { return };
        let event = Event { revision: change.revision.get(), old: change.old, new: change.new };
        table.apply(&event);
        table.tell(&event, wake);
        self.remember(change.collection, event);
    }

    /// Appends an event to the history.
    fn remember(&mut self, collection: CollectionId, event: Event) {
        self.history_events = self.history_events.saturating_add(1);
        self.history_bytes = self.history_bytes.saturating_add(event.cost());
        let loading = self.loading;
        if let Some(table) = self.table_mut(collection) {
            table.remember(event, !loading);
        }
    }

    /// Brings the history within its bounds.
    fn trim(&mut self) {
        while self.history_events > self.options.history_events
            || self.history_bytes > self.options.history_bytes
        {
            if !self.evict_one_up_to(u64::MAX) {
                break;
            }
        }
    }

    /// Drops the oldest event, if there is one at or before this revision.
    fn evict_one_up_to(&mut self, before: u64) -> bool {
        let (keep_dead, loading) = (self.keep_dead, self.loading);
        let oldest = self
            .tables
            .iter_mut()
            .filter_map(|t| Some((t.first_event()?, t)))
            .min_by_key(|(first, _)| *first);
        let Some((first, table)) = oldest.filter(|(first, _)| *first <= before) else { return false };
        let Some(event) = table.evict(!loading) else { return false };
        let collection = table.collection.id;
        self.oldest = self.oldest.max(first);
        self.history_events = self.history_events.saturating_sub(1);
        self.history_bytes = self.history_bytes.saturating_sub(event.cost());
        if keep_dead {
            self.bury(collection, &event);
        }
        true
    }

    /// Nobody can ask for what this event replaced any more, nor for the deletion that it was. The order matters: a deletion must
    /// outlive in the log what it deleted, or a crash between the two would bring that back.
    fn bury(&mut self, collection: CollectionId, event: &Event) {
        if let Some(old) = &event.old {
            self.dead.push_back(Dead { revision: old.modified(), collection });
        }
        if event.new.is_none() {
            self.dead.push_back(Dead { revision: Revision::new(event.revision), collection });
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        let one = |t: &Table| CollectionStats {
            id: t.collection.id,
            name: t.collection.name,
            count: t.len() as u64,
            bytes: t.bytes,
        };
        Stats {
            revision: Revision::new(self.revision),
            oldest: Revision::new(self.oldest),
            collections: self.tables.iter().map(one).collect(),
            history_events: self.history_events as u64,
            history_bytes: self.history_bytes as u64,
            watchers: self.tables.iter().map(|t| t.watchers as u64).sum(),
            dead: self.dead.len() as u64,
            ..Stats::default()
        }
    }
}
