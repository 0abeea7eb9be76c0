//! Loading: replay by the log's order into the hash index alone; the ordered indexes are built once, at the end.
//!
//! A million tokens have to be ready within a second and a half, so the sorts compare numbers beside the pointers, and look through a pointer only on a tie.

use std::collections::HashMap;
use std::sync::Arc;

use super::table::{Gone, Table};
use super::{Event, Mirror, State};
use crate::engine::{Dead, Replayed, Standing};
use crate::sorted::Sorted;
use crate::{Entry, Revision};

impl Mirror {
    /// Ends the loading: builds the indexes and shows everything live to the observer.
    pub(crate) fn loaded(&self) {
        let observer = Arc::clone(&self.observer);
        let revision = self.write(|state| {
            state.finish();
            for table in &state.tables {
                table.live.iter().for_each(|entry| observer.load(table.collection.id, entry));
            }
            state.revision
        });
        self.advanced.send_replace(Revision::new(revision));
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
        let old = table.get(version.key).cloned();
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
        table.apply_live(&event);
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
        self.loading = false;
        self.scratch = Vec::new();
        for table in &mut self.tables {
            table.build_indexes();
        }
    }
}

impl Table {
    fn build_indexes(&mut self) {
        let hasher = &self.hasher;
        self.live.shrink_to_fit(|e| std::hash::BuildHasher::hash_one(hasher, e.key()));
        let names = by_key(self.live.iter().cloned().collect());
        self.by_owner = by_owner(&names);
        let mut expiring: Vec<(u64, Entry)> =
            names.iter().filter_map(|e| Some((e.expires_ms()?, e.clone()))).collect();
        expiring.sort_by_key(|(at, _)| *at);
        self.by_expiry = Sorted::from_ordered(expiring.into_iter().map(|(_, e)| e));
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
    let mut ranks: HashMap<&[u8], u32> = HashMap::new();
    for owner in names.iter().filter_map(Entry::owner) {
        ranks.entry(owner).or_default();
    }
    let shared = shared_prefix(ranks.keys().copied());
    let mut owners: Vec<(u64, &[u8])> = ranks.keys().map(|o| (number_after(o, shared), *o)).collect();
    owners.sort_unstable();
    for (rank, (_, owner)) in (0u32..).zip(&owners) {
        ranks.insert(owner, rank);
    }
    let ranked = |e: &Entry| Some((*ranks.get(e.owner()?)?, e.clone()));
    let mut pairs: Vec<(u32, Entry)> = names.iter().filter_map(ranked).collect();
    pairs.sort_by_key(|(rank, _)| *rank);
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
