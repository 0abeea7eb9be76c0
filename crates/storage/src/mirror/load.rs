//! Loading: replay by the log's order into the hash index alone; the ordered indexes are built once, at the end.
//!
//! A million tokens have to be ready within a second and a half, so the sorts compare numbers beside the pointers, and look through a pointer only on a tie.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use super::table::{Gone, Table};
use super::{Event, Mirror, State};
use hashbrown::hash_table::Entry as Slot;

use crate::engine::{Dead, Replayed, Standing};
use crate::sorted::Sorted;
use crate::{Entry, Revision};

impl Mirror {
    /// Ends the loading, once: builds the indexes and shows everything live to the observer.
    pub(super) fn end_loading(&self) {
        let observer = Arc::clone(&self.observer);
        let revision = self.write(|state| {
            if !std::mem::take(&mut state.loading) {
                return None;
            }
            state.finish();
            for table in &state.tables {
                table.live.iter().for_each(|entry| observer.load(table.collection.id, entry));
            }
            Some(state.revision)
        });
        if let Some(revision) = revision {
            self.advanced.send_replace(Revision::new(revision));
        }
    }
}

impl State {
    pub(super) fn begin(&mut self, standing: Standing, keep_dead: bool) {
        self.revision = standing.revision.get().max(1);
        self.oldest = standing.oldest.get().clamp(1, self.revision);
        self.keep_dead = keep_dead;
        self.loading = true;
    }

    pub(super) fn replay(&mut self, version: Replayed<'_>) {
        let mut scratch = std::mem::take(&mut self.scratch);
        self.replay_with(version, &mut scratch);
        self.scratch = scratch;
    }

    fn replay_with(&mut self, version: Replayed<'_>, scratch: &mut Vec<u8>) {
        let oldest = self.oldest;
        let Some(table) = self.table_mut(version.collection) else { return };
        // The first version of an object replaces nothing: no need to look.
        let is_first = version.value.is_some() && version.created == version.revision;
        let old = if is_first { None } else { table.loaded_so_far(version.key).cloned() };
        let new = version.value.map(|value| {
            let (created, at) = (version.created, version.revision);
            Entry::build(&table.collection, created, at, version.key, value, scratch)
        });
        let revision = version.revision.get();
        if old.is_none() && new.is_none() {
            // What it deleted went from the log before a crash; now it may go too.
            if self.keep_dead {
                self.dead.push_back(Dead { revision: version.revision, collection: version.collection });
            }
            return;
        }
        let event = Event { revision, old, new };
        table.load(&event);
        if revision > oldest {
            self.remember(version.collection, event);
            self.trim();
        } else {
            table.lost = revision;
            if self.keep_dead {
                self.bury(version.collection, &event);
            }
        }
    }

    fn finish(&mut self) {
        self.scratch = Vec::new();
        for table in &mut self.tables {
            table.build_indexes();
        }
    }
}

impl Table {
    /// Takes a version in. New objects wait beside the hash index until one of them is asked for, so that it grows by
    /// thousands at once and seldom: its growth looks at every key again.
    fn load(&mut self, event: &Event) {
        match (&event.old, &event.new) {
            (None, Some(new)) => self.pending.push(new.clone()),
            _ => self.apply_live(event),
        }
    }

    fn loaded_so_far(&mut self, key: &[u8]) -> Option<&Entry> {
        self.settle();
        self.get(key)
    }

    fn settle(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let hasher = &self.hasher;
        self.live.reserve(self.pending.len(), |e| hasher.hash_one(e.key()));
        for new in std::mem::take(&mut self.pending) {
            self.bytes = self.bytes.saturating_add(new.footprint() as u64);
            let hash = hasher.hash_one(new.key());
            let is_it = |e: &Entry| e.key() == new.key();
            match self.live.entry(hash, is_it, |e| hasher.hash_one(e.key())) {
                Slot::Vacant(slot) => drop(slot.insert(new)),
                Slot::Occupied(mut slot) => *slot.get_mut() = new,
            }
        }
    }

    fn build_indexes(&mut self) {
        // In the order of the log, which is the order in memory, where that is at hand.
        let in_order = self.live.is_empty().then(|| self.pending.clone());
        self.settle();
        let entries = in_order.filter(|all| all.len() == self.live.len());
        let names = by_key(entries.unwrap_or_else(|| self.live.iter().cloned().collect()));
        std::thread::scope(|scope| {
            let owners = scope.spawn(|| by_owner(&names));
            self.by_expiry = by_expiry(&names);
            // A thread that died did so by a panic, which its scope passes on.
            self.by_owner = owners.join().unwrap_or_default();
        });
        self.by_name = Sorted::from_ordered(names.into_iter());

        let mut gone = Vec::new();
        let mut left = Vec::new();
        for event in &self.ring {
            let until = event.revision;
            if let (Some(old), None) = (&event.old, &event.new) {
                gone.push(Gone { entry: old.clone(), until });
            }
            if let Some((old, _)) = event.left_owner() {
                left.push(Gone { entry: old.clone(), until });
            }
        }
        gone.sort_unstable_by(|a, b| a.by_name().cmp(&b.by_name()));
        left.sort_unstable_by(|a, b| a.by_owner().cmp(&b.by_owner()));
        self.gone = Sorted::from_ordered(gone.into_iter());
        self.gone_by_owner = Sorted::from_ordered(left.into_iter());
    }
}

/// Sorts entries by key.
fn by_key(entries: Vec<Entry>) -> Vec<Entry> {
    let shared = shared_prefix(entries.iter().map(Entry::key));
    let mut pairs: Vec<(u64, Entry)> =
        entries.into_iter().map(|e| (number_after(e.key(), shared), e)).collect();
    pairs.sort_unstable_by(|(a, x), (b, y)| a.cmp(b).then_with(|| x.key().cmp(y.key())));
    pairs.into_iter().map(|(_, e)| e).collect()
}

/// The index by (owner, key) of entries that are in order of their keys.
fn by_owner(names: &[Entry]) -> Sorted<Entry> {
    let mut numbers: HashMap<&[u8], u32> = HashMap::new();
    let mut pairs: Vec<(u32, Entry)> = Vec::with_capacity(names.len());
    for entry in names {
        let Some(owner) = entry.owner() else { continue };
        let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        pairs.push((*numbers.entry(owner).or_insert(next), entry.clone()));
    }
    let shared = shared_prefix(numbers.keys().copied());
    let mut owners: Vec<(u64, &[u8], u32)> =
        numbers.iter().map(|(owner, number)| (number_after(owner, shared), *owner, *number)).collect();
    owners.sort_unstable();
    let mut ranks = vec![0u32; owners.len()];
    for (rank, (_, _, number)) in (0u32..).zip(&owners) {
        if let Some(slot) = ranks.get_mut(*number as usize) {
            *slot = rank;
        }
    }
    pairs.sort_by_key(|(number, _)| ranks.get(*number as usize).copied());
    Sorted::from_ordered(pairs.into_iter().map(|(_, e)| e))
}

/// The index by (expiry, key) of entries that are in order of their keys.
fn by_expiry(names: &[Entry]) -> Sorted<Entry> {
    let mut pairs: Vec<(u64, Entry)> =
        names.iter().filter_map(|e| Some((e.expires_ms()?, e.clone()))).collect();
    pairs.sort_by_key(|(at, _)| *at);
    Sorted::from_ordered(pairs.into_iter().map(|(_, e)| e))
}

/// How many leading bytes all of them share.
fn shared_prefix<'a>(mut keys: impl Iterator<Item = &'a [u8]>) -> usize {
    let Some(first) = keys.next() else { return 0 };
    keys.fold(first.len(), |shared, key| {
        first.iter().zip(key).take(shared).take_while(|(a, b)| a == b).count()
    })
}

/// The eight bytes after a prefix as a number that sorts like them; a shorter rest is filled up with zeros, so equal numbers are a tie.
fn number_after(key: &[u8], prefix: usize) -> u64 {
    let mut bytes = [0u8; 8];
    for (to, from) in bytes.iter_mut().zip(key.iter().skip(prefix)) {
        *to = *from;
    }
    u64::from_be_bytes(bytes)
}
