//! Reading: now by the indexes, at an older revision by walking versions back through the history.
//!
//! What was live at revision R is found among what is live now and what has gone since (`Table::gone`), merged in key order. From each candidate
//! the history leads back, version by version (`modified` names the event, the event names the version before), to the one of R. So a page
//! costs what its own keys have changed since, not what the whole store has.

use super::table::{Gone, expiry_and_key, owner_and_key};
use super::{State, Table};
use crate::{CollectionId, Entry, Range, RangeError, Revision, Scope, limits};

/// A walk through the keys of a range at an older revision, a slice at a time.
pub(crate) struct Walk {
    after: Option<Vec<u8>>,
    /// A key with so many versions since that a slice ended within it; how far back it came.
    within: Option<Entry>,
}

impl Walk {
    pub(crate) fn new(after: Option<Vec<u8>>) -> Self {
        Self { after, within: None }
    }

    /// Goes on after entries that were found otherwise.
    pub(crate) fn skip(&mut self, found: &[Entry]) {
        if let Some(last) = found.last() {
            self.after = Some(last.key().to_vec());
        }
    }
}

impl State {
    /// The first entries of a range as of now, how many there are in all, and the revision.
    pub(crate) fn newest(&self, range: &Range, limit: usize) -> (Vec<Entry>, usize, Revision) {
        let revision = Revision::new(self.revision);
        let Some(table) = self.table(range.collection) else { return (Vec::new(), 0, revision) };
        let after = range.after.as_deref();
        let (entries, total) = match &range.scope {
            Scope::None => (Vec::new(), 0),
            Scope::Name(name) => {
                let found = table.get(name).filter(|_| after.is_none_or(|after| name.as_slice() > after));
                (found.into_iter().take(limit).cloned().collect(), usize::from(found.is_some()))
            }
            Scope::Names(names) => {
                let found = || later(names, after).iter().filter_map(|name| table.get(name));
                (found().take(limit).cloned().collect(), found().count())
            }
            Scope::All => {
                let from = table.by_name.place(|e| after.is_some_and(|after| e.key() <= after));
                let total = table.by_name.len().saturating_sub(table.by_name.rank(from));
                (table.by_name.from(from).take(limit).cloned().collect(), total)
            }
            Scope::Owner(owner) => {
                let (index, owner) = (&table.by_owner, Some(owner.as_slice()));
                let from = index.place(|e| is_before(e, owner, after));
                let end = index.place(|e| e.owner() <= owner);
                let total = index.rank(end).saturating_sub(index.rank(from));
                (index.from(from).take(limit.min(total)).cloned().collect(), total)
            }
        };
        (entries, total, revision)
    }

    pub(crate) fn count(&self, collection: CollectionId, scope: &Scope) -> u64 {
        let all = Range { collection, scope: scope.clone(), after: None, limit: 0, at: None };
        self.newest(&all, 0).1 as u64
    }

    /// What expires before a time, earliest first.
    pub(crate) fn expiring(&self, collection: CollectionId, before_ms: u64, limit: usize) -> Vec<Entry> {
        let Some(table) = self.table(collection) else { return Vec::new() };
        let start = table.by_expiry.place(|_| false);
        let due = |e: &&Entry| expiry_and_key(e).0.is_some_and(|at| at < before_ms);
        table.by_expiry.from(start).take_while(due).take(limit).cloned().collect()
    }

    /// Takes a walk on for one slice, until there are `wanted` entries. True: it is at its end.
    pub(crate) fn walk(
        &self,
        range: &Range,
        at: u64,
        walk: &mut Walk,
        wanted: usize,
        entries: &mut Vec<Entry>,
    ) -> Result<bool, RangeError> {
        if at < self.oldest {
            return Err(RangeError::Compacted { oldest: Revision::new(self.oldest) });
        }
        let Some(table) = self.table(range.collection) else { return Ok(true) };
        let mut budget = limits::SLICE;
        let mut take = |entry: Entry| {
            let fits = match &range.scope {
                Scope::Owner(owner) => entry.owner() == Some(owner.as_slice()),
                Scope::All | Scope::Name(_) | Scope::Names(_) => true,
                Scope::None => false,
            };
            if fits {
                entries.push(entry);
            }
            entries.len() >= wanted
        };
        if let Some(entry) = walk.within.take() {
            match table.version_at(entry, at, &mut budget) {
                Ok(found) => {
                    if found.is_some_and(&mut take) {
                        return Ok(true);
                    }
                }
                Err(entry) => {
                    walk.within = Some(entry);
                    return Ok(false);
                }
            }
        }
        let mut keys = Keys::new(table, &range.scope, walk.after.clone());
        while let Some((key, live)) = keys.next() {
            budget = budget.saturating_sub(1);
            walk.after = Some(key.to_vec());
            if let Some(entry) = table.incarnation(&range.scope, key, live, at) {
                match table.version_at(entry.clone(), at, &mut budget) {
                    Ok(found) => {
                        if found.is_some_and(&mut take) {
                            return Ok(true);
                        }
                    }
                    Err(entry) => {
                        walk.within = Some(entry);
                        return Ok(false);
                    }
                }
            }
            if budget == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The keys of a scope in order: those that are live, and those that the history knows to have gone.
struct Keys<'a> {
    table: &'a Table,
    scope: &'a Scope,
    live: Box<dyn Iterator<Item = &'a Entry> + 'a>,
    next_live: Option<&'a Entry>,
    next_gone: Option<&'a [u8]>,
}

impl<'a> Keys<'a> {
    fn new(table: &'a Table, scope: &'a Scope, after: Option<Vec<u8>>) -> Self {
        let after = after.as_deref();
        let mut live: Box<dyn Iterator<Item = &'a Entry> + 'a> = match scope {
            Scope::All => Box::new(table.by_name.from(table.by_name.place(|e| passed(e.key(), after)))),
            Scope::Owner(owner) => {
                let owner = Some(owner.as_slice());
                let from = table.by_owner.place(|e| is_before(e, owner, after));
                Box::new(table.by_owner.from(from).take_while(move |e| e.owner() == owner))
            }
            Scope::Name(name) => Box::new(table.get(name).filter(|e| !passed(e.key(), after)).into_iter()),
            Scope::Names(names) => Box::new(later(names, after).iter().filter_map(|name| table.get(name))),
            Scope::None => Box::new(std::iter::empty()),
        };
        let next_live = live.next();
        Self { table, scope, live, next_live, next_gone: table.gone_after(scope, after) }
    }

    /// The next key, and what is live under it (in this scope).
    fn next(&mut self) -> Option<(&'a [u8], Option<&'a Entry>)> {
        let key = match (self.next_live.map(Entry::key), self.next_gone) {
            (Some(live), Some(gone)) => live.min(gone),
            (live, gone) => live.or(gone)?,
        };
        if self.next_gone == Some(key) {
            self.next_gone = self.table.gone_after(self.scope, Some(key));
        }
        let live = self.next_live.filter(|e| e.key() == key);
        if live.is_some() {
            self.next_live = self.live.next();
        }
        Some((key, live))
    }
}

impl Table {
    /// The first key after this one that the history knows to have left the scope.
    fn gone_after(&self, scope: &Scope, after: Option<&[u8]>) -> Option<&[u8]> {
        let gone = match scope {
            Scope::All => self.gone.from(self.gone.place(|g| passed(g.entry.key(), after))).next()?,
            Scope::Owner(owner) => {
                let owner = Some(owner.as_slice());
                let from = self.gone_by_owner.place(|g| is_before(&g.entry, owner, after));
                self.gone_by_owner.from(from).next().filter(|g| g.entry.owner() == owner)?
            }
            Scope::Name(name) => {
                if passed(name, after) {
                    return None;
                }
                self.first_gone(scope, name, 0)?
            }
            Scope::Names(names) => {
                later(names, after).iter().find_map(|name| self.first_gone(scope, name, 0))?
            }
            Scope::None => return None,
        };
        Some(gone.entry.key())
    }

    /// What was first to leave the scope under this key after a revision.
    fn first_gone(&self, scope: &Scope, key: &[u8], at: u64) -> Option<&Gone> {
        match scope {
            Scope::All | Scope::Name(_) | Scope::Names(_) => {
                let from = self.gone.place(|g| g.by_name() <= (key, at));
                self.gone.from(from).next().filter(|g| g.entry.key() == key)
            }
            Scope::Owner(owner) => {
                let owner = Some(owner.as_slice());
                let from = self.gone_by_owner.place(|g| g.by_owner() <= (owner, key, at));
                self.gone_by_owner
                    .from(from)
                    .next()
                    .filter(|g| g.entry.owner() == owner && g.entry.key() == key)
            }
            Scope::None => None,
        }
    }

    /// A version, at or after a revision, of the object that had this key (and owner) then, if there was one. Lives of a key do not overlap, so the one that
    /// ended first after the revision is the only candidate besides the one that has not ended.
    fn incarnation<'a>(
        &'a self,
        scope: &Scope,
        key: &[u8],
        live: Option<&'a Entry>,
        at: u64,
    ) -> Option<&'a Entry> {
        let gone = self.first_gone(scope, key, at).map(|g| &g.entry);
        gone.into_iter().chain(live).find(|e| e.created().get() <= at)
    }

    /// The version at a revision, walking back from a later one of the same object. `Err`: the budget ended the walk here.
    fn version_at(&self, mut entry: Entry, at: u64, budget: &mut usize) -> Result<Option<Entry>, Entry> {
        while entry.modified().get() > at {
            if *budget == 0 {
                return Err(entry);
            }
            *budget = budget.saturating_sub(1);
            match self.event(entry.modified().get()).and_then(|e| e.old.clone()) {
                Some(old) => entry = old,
                None => return Ok(None),
            }
        }
        Ok(Some(entry))
    }
}

/// The keys after this one.
fn later<'a>(names: &'a [Vec<u8>], after: Option<&[u8]>) -> &'a [Vec<u8>] {
    let from = names.partition_point(|name| passed(name, after));
    names.get(from..).unwrap_or_default()
}

fn passed(key: &[u8], after: Option<&[u8]>) -> bool {
    after.is_some_and(|after| key <= after)
}

/// Whether an entry comes before what a range of an owner starts with.
fn is_before(entry: &Entry, owner: Option<&[u8]>, after: Option<&[u8]>) -> bool {
    match after {
        Some(after) => owner_and_key(entry) <= (owner, after),
        None => entry.owner() < owner,
    }
}
