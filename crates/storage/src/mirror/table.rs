//! One collection in the mirror: its live objects, four ways to find them, and its part of the history.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;
use tokio::sync::Notify;

use super::topic::Topic;
use crate::sorted::Sorted;
use crate::{Collection, Entry};

pub(crate) struct Table {
    pub(crate) collection: Collection,
    /// Bytes of all live entries.
    pub(crate) bytes: u64,
    pub(super) live: HashTable<Entry>,
    /// While loading: objects that are not in `live` yet.
    pub(super) pending: Vec<Entry>,
    /// SipHash with a random key: names come from clients.
    pub(super) hasher: RandomState,
    /// By key.
    pub(super) by_name: Sorted<Entry>,
    /// By (owner, key); only those with an owner.
    pub(super) by_owner: Sorted<Entry>,
    /// By (expiry, key); only those that expire.
    pub(super) by_expiry: Sorted<Entry>,
    /// The history, oldest first. A commit writes at most one key of a collection, so revisions ascend strictly.
    pub(super) ring: VecDeque<Event>,
    /// The newest revision that has left the ring.
    pub(super) lost: u64,
    /// What the ring knows to have left the index by name (deleted), by (key, until): candidates when reading at an older revision.
    pub(super) gone: Sorted<Gone>,
    /// What has left an owner (deleted or given away), by (owner, key, until).
    pub(super) gone_by_owner: Sorted<Gone>,
    /// Who watches all of it.
    pub(super) all: Arc<Notify>,
    pub(super) owners: HashMap<Vec<u8>, Topic>,
    pub(super) names: HashMap<Vec<u8>, Topic>,
    pub(crate) watchers: usize,
}

/// One change in the history.
pub(crate) struct Event {
    pub(crate) revision: u64,
    pub(crate) old: Option<Entry>,
    pub(crate) new: Option<Entry>,
}

impl Event {
    /// Bytes that only the history holds.
    pub(super) fn cost(&self) -> usize {
        self.old.as_ref().map_or(0, Entry::footprint).saturating_add(size_of::<Self>())
    }

    /// The owner that this event takes the object from, if any.
    pub(super) fn left_owner(&self) -> Option<(&Entry, &[u8])> {
        let old = self.old.as_ref()?;
        let owner = old.owner()?;
        (self.new.as_ref().and_then(Entry::owner) != Some(owner)).then_some((old, owner))
    }
}

/// A version that was the newest until a revision.
#[derive(Clone)]
pub(crate) struct Gone {
    pub(crate) entry: Entry,
    pub(crate) until: u64,
}

impl Gone {
    pub(super) fn by_name(&self) -> (&[u8], u64) {
        (self.entry.key(), self.until)
    }

    pub(super) fn by_owner(&self) -> (Option<&[u8]>, &[u8], u64) {
        (self.entry.owner(), self.entry.key(), self.until)
    }
}

pub(super) fn owner_and_key(entry: &Entry) -> (Option<&[u8]>, &[u8]) {
    (entry.owner(), entry.key())
}

pub(super) fn expiry_and_key(entry: &Entry) -> (Option<u64>, &[u8]) {
    (entry.expires_ms(), entry.key())
}

impl Table {
    pub(super) fn new(collection: Collection) -> Self {
        Self {
            collection,
            bytes: 0,
            live: HashTable::new(),
            pending: Vec::new(),
            hasher: RandomState::new(),
            by_name: Sorted::default(),
            by_owner: Sorted::default(),
            by_expiry: Sorted::default(),
            ring: VecDeque::new(),
            lost: 0,
            gone: Sorted::default(),
            gone_by_owner: Sorted::default(),
            all: Arc::new(Notify::new()),
            owners: HashMap::new(),
            names: HashMap::new(),
            watchers: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.live.len()
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&Entry> {
        self.live.find(self.hasher.hash_one(key), |e| e.key() == key)
    }

    /// Brings the live objects and their indexes up to an event.
    pub(super) fn apply(&mut self, event: &Event) {
        self.apply_live(event);
        match (&event.old, &event.new) {
            (None, None) => {}
            (None, Some(new)) => {
                self.by_name.insert(new.clone(), |e| e.key() < new.key());
                self.index(new);
            }
            (Some(old), None) => {
                self.by_name.remove(|e| e.key() < old.key(), |e| e.key() == old.key());
                self.unindex(old);
            }
            (Some(old), Some(new)) => {
                self.by_name.replace(new.clone(), |e| e.key() < new.key(), |e| e.key() == new.key());
                self.reindex(old, new);
            }
        }
    }

    /// The part of [`Table::apply`] that loading needs too: the hash index and the sum of bytes.
    pub(super) fn apply_live(&mut self, event: &Event) {
        if let Some(old) = &event.old {
            self.bytes = self.bytes.saturating_sub(old.footprint() as u64);
        }
        if let Some(new) = &event.new {
            self.bytes = self.bytes.saturating_add(new.footprint() as u64);
        }
        let Some(key) = event.new.as_ref().or(event.old.as_ref()).map(Entry::key) else { return };
        let hash = self.hasher.hash_one(key);
        match (self.live.find_mut(hash, |e| e.key() == key), &event.new) {
            (Some(slot), Some(new)) => *slot = new.clone(),
            (Some(_), None) => {
                if let Ok(found) = self.live.find_entry(hash, |e| e.key() == key) {
                    found.remove();
                }
            }
            (None, Some(new)) => {
                let hasher = &self.hasher;
                self.live.insert_unique(hash, new.clone(), |e| hasher.hash_one(e.key()));
            }
            (None, None) => {}
        }
    }

    fn index(&mut self, new: &Entry) {
        if new.owner().is_some() {
            self.by_owner.insert(new.clone(), |e| owner_and_key(e) < owner_and_key(new));
        }
        if new.expires_ms().is_some() {
            self.by_expiry.insert(new.clone(), |e| expiry_and_key(e) < expiry_and_key(new));
        }
    }

    fn unindex(&mut self, old: &Entry) {
        if old.owner().is_some() {
            let at = owner_and_key(old);
            self.by_owner.remove(|e| owner_and_key(e) < at, |e| owner_and_key(e) == at);
        }
        if old.expires_ms().is_some() {
            let at = expiry_and_key(old);
            self.by_expiry.remove(|e| expiry_and_key(e) < at, |e| expiry_and_key(e) == at);
        }
    }

    fn reindex(&mut self, old: &Entry, new: &Entry) {
        if old.owner() == new.owner() && old.expires_ms() == new.expires_ms() {
            if new.owner().is_some() {
                let at = owner_and_key(new);
                self.by_owner.replace(new.clone(), |e| owner_and_key(e) < at, |e| owner_and_key(e) == at);
            }
            if new.expires_ms().is_some() {
                let at = expiry_and_key(new);
                self.by_expiry.replace(new.clone(), |e| expiry_and_key(e) < at, |e| expiry_and_key(e) == at);
            }
        } else {
            self.unindex(old);
            self.index(new);
        }
    }

    /// Appends to the history. `index`: also to what older revisions are read by (not while loading, which builds that at its end).
    pub(super) fn remember(&mut self, event: Event, index: bool) {
        if index {
            let until = event.revision;
            if let (Some(old), None) = (&event.old, &event.new) {
                let gone = Gone { entry: old.clone(), until };
                let at = (old.key(), until);
                self.gone.insert(gone, |g| g.by_name() < at);
            }
            if let Some((old, owner)) = event.left_owner() {
                let gone = Gone { entry: old.clone(), until };
                let at = (Some(owner), old.key(), until);
                self.gone_by_owner.insert(gone, |g| g.by_owner() < at);
            }
        }
        self.ring.push_back(event);
    }

    pub(super) fn first_event(&self) -> Option<u64> {
        self.ring.front().map(|e| e.revision)
    }

    /// Drops the oldest event of the history.
    pub(super) fn evict(&mut self, index: bool) -> Option<Event> {
        let event = self.ring.pop_front()?;
        self.lost = event.revision;
        let until = event.revision;
        if index {
            if let (Some(old), None) = (&event.old, &event.new) {
                let at = (old.key(), until);
                self.gone.remove(|g| g.by_name() < at, |g| g.by_name() == at);
            }
            if let Some((old, owner)) = event.left_owner() {
                let at = (Some(owner), old.key(), until);
                self.gone_by_owner.remove(|g| g.by_owner() < at, |g| g.by_owner() == at);
            }
        }
        if self.ring.capacity() > 8192 && self.ring.len() < self.ring.capacity() / 4 {
            self.ring.shrink_to(self.ring.len().saturating_mul(2));
        }
        Some(event)
    }

    /// The event of a revision.
    pub(super) fn event(&self, revision: u64) -> Option<&Event> {
        let at = self.ring.partition_point(|e| e.revision < revision);
        self.ring.get(at).filter(|e| e.revision == revision)
    }
}
