//! Who watches what: topics wake the watches of one owner or one name, and know which revisions concern them.

use std::collections::VecDeque;
use std::collections::hash_map::Entry as Slot;
use std::sync::Arc;

use tokio::sync::Notify;

use super::{Event, State, Table};
use crate::{Change, CollectionId, Entry, Revision, Scope};

/// What the watches of one scope share. Exists while one of them does.
pub(crate) struct Topic {
    notify: Arc<Notify>,
    watchers: usize,
    /// `revisions` is complete after this one.
    since: u64,
    /// The newest revision that was dropped from `revisions`.
    lost: u64,
    /// The revisions whose events are of this scope, ascending.
    revisions: VecDeque<u64>,
}

/// How far a look for events came.
pub(crate) enum Reached {
    /// Everything of the scope up to this revision was handed over.
    Upto(u64),
    /// Events of the scope have left the history unseen.
    Lagged,
}

impl Topic {
    fn new(since: u64) -> Self {
        Self { notify: Arc::new(Notify::new()), watchers: 0, since, lost: 0, revisions: VecDeque::new() }
    }

    fn tell(&mut self, revision: u64, lost: u64, wake: &mut Vec<Arc<Notify>>) {
        while let Some(first) = self.revisions.front().copied().filter(|first| *first <= lost) {
            self.revisions.pop_front();
            self.lost = first;
        }
        self.revisions.push_back(revision);
        wake.push(Arc::clone(&self.notify));
    }
}

impl Table {
    /// Notes an event in the topics that it concerns, and who to wake once the lock is free.
    pub(super) fn tell(&mut self, event: &Event, wake: &mut Vec<Arc<Notify>>) {
        if self.watchers == 0 {
            return;
        }
        if !wake.iter().any(|n| Arc::ptr_eq(n, &self.all)) {
            wake.push(Arc::clone(&self.all));
        }
        let (old, new) = (event.old.as_ref(), event.new.as_ref());
        if !self.owners.is_empty() {
            let was = old.and_then(Entry::owner);
            let is = new.and_then(Entry::owner);
            for owner in was.into_iter().chain(is.filter(|is| Some(*is) != was)) {
                if let Some(topic) = self.owners.get_mut(owner) {
                    topic.tell(event.revision, self.lost, wake);
                }
            }
        }
        if !self.names.is_empty()
            && let Some(topic) = new.or(old).and_then(|e| self.names.get_mut(e.key()))
        {
            topic.tell(event.revision, self.lost, wake);
        }
    }

    pub(super) fn everyone(&self) -> impl Iterator<Item = Arc<Notify>> {
        let topics = self.owners.values().chain(self.names.values());
        std::iter::once(Arc::clone(&self.all)).chain(topics.map(|t| Arc::clone(&t.notify)))
    }

    fn topic(&self, scope: &Scope) -> Option<&Topic> {
        match scope {
            Scope::Owner(owner) => self.owners.get(owner),
            Scope::Name(name) => self.names.get(name),
            Scope::All | Scope::Names(_) | Scope::None => None,
        }
    }

    /// Hands events of the scope after `position` to `take`: at most `limit` of them, having looked at no more than a slice of the history.
    fn events(
        &self,
        scope: &Scope,
        position: u64,
        newest: u64,
        limit: usize,
        mut take: impl FnMut(&Event),
    ) -> Reached {
        if matches!(scope, Scope::None) {
            return Reached::Upto(newest);
        }
        let topic = self.topic(scope);
        if let Some(topic) = topic.filter(|t| position >= t.since) {
            return self.events_of(topic, position, newest, limit, take);
        }
        if self.lost > position {
            return Reached::Lagged;
        }
        let start = self.ring.partition_point(|e| e.revision <= position);
        let (mut left, mut reached) = (limit, position);
        let mut looked = self.ring.range(start..).take(crate::limits::SLICE);
        for event in looked.by_ref() {
            if left == 0 {
                return Reached::Upto(reached);
            }
            if concerns(scope, event) {
                take(event);
                left = left.saturating_sub(1);
            }
            reached = event.revision;
        }
        let more = self.ring.back().is_some_and(|last| last.revision > reached);
        Reached::Upto(if more { reached } else { newest })
    }

    fn events_of(
        &self,
        topic: &Topic,
        position: u64,
        newest: u64,
        limit: usize,
        mut take: impl FnMut(&Event),
    ) -> Reached {
        if topic.lost > position {
            return Reached::Lagged;
        }
        let start = topic.revisions.partition_point(|r| *r <= position);
        let mut reached = newest;
        for (taken, revision) in topic.revisions.range(start..).enumerate() {
            if taken == limit {
                break;
            }
            match self.event(*revision) {
                Some(event) => take(event),
                None if taken == 0 => return Reached::Lagged,
                None => break,
            }
            reached = *revision;
        }
        let more = topic.revisions.back().is_some_and(|last| *last > reached);
        Reached::Upto(if more { reached } else { newest })
    }
}

impl State {
    /// Registers a watch and returns what wakes it. `None`: no such collection.
    pub(crate) fn enter(&mut self, collection: CollectionId, scope: &Scope) -> Option<Arc<Notify>> {
        let revision = self.revision;
        let table = self.table_mut(collection)?;
        table.watchers = table.watchers.saturating_add(1);
        let (topics, name) = match scope {
            Scope::All | Scope::Names(_) | Scope::None => return Some(Arc::clone(&table.all)),
            Scope::Owner(owner) => (&mut table.owners, owner),
            Scope::Name(name) => (&mut table.names, name),
        };
        let topic = topics.entry(name.clone()).or_insert_with(|| Topic::new(revision));
        topic.watchers = topic.watchers.saturating_add(1);
        Some(Arc::clone(&topic.notify))
    }

    /// The watch is gone.
    pub(crate) fn leave(&mut self, collection: CollectionId, scope: &Scope) {
        let Some(table) = self.table_mut(collection) else { return };
        table.watchers = table.watchers.saturating_sub(1);
        let (topics, name) = match scope {
            Scope::All | Scope::Names(_) | Scope::None => return,
            Scope::Owner(owner) => (&mut table.owners, owner),
            Scope::Name(name) => (&mut table.names, name),
        };
        if let Slot::Occupied(mut slot) = topics.entry(name.clone()) {
            let topic = slot.get_mut();
            topic.watchers = topic.watchers.saturating_sub(1);
            if topic.watchers == 0 {
                slot.remove();
            }
        }
    }

    /// Collects changes of a scope after `position`.
    pub(crate) fn changes_after(
        &self,
        collection: CollectionId,
        scope: &Scope,
        position: u64,
        limit: usize,
        into: &mut VecDeque<Change>,
    ) -> Reached {
        let Some(table) = self.table(collection) else { return Reached::Upto(self.revision) };
        table.events(scope, position, self.revision, limit, |event| {
            into.push_back(Change {
                revision: Revision::new(event.revision),
                collection,
                old: event.old.clone(),
                new: event.new.clone(),
            });
        })
    }
}

fn concerns(scope: &Scope, event: &Event) -> bool {
    let mut versions = event.old.iter().chain(&event.new);
    match scope {
        Scope::All => true,
        Scope::None => false,
        Scope::Owner(owner) => versions.any(|e| e.owner() == Some(owner)),
        Scope::Name(name) => versions.any(|e| e.key() == name),
        Scope::Names(names) => {
            versions.any(|e| names.binary_search_by(|name| name.as_slice().cmp(e.key())).is_ok())
        }
    }
}
