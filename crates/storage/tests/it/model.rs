//! What a store should be: everything that ever happened in a list, searched from end to end.

use std::collections::BTreeMap;

use eartag_storage::*;

use crate::support::{OTHERS, THINGS, index};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub created: u64,
    pub modified: u64,
    pub value: Vec<u8>,
}

#[derive(Clone, Debug)]
pub struct Event {
    pub revision: u64,
    pub collection: CollectionId,
    pub key: Vec<u8>,
    pub old: Option<Version>,
    pub new: Option<Version>,
}

type Live = BTreeMap<(CollectionId, Vec<u8>), Version>;

#[derive(Clone, Debug)]
pub struct Model {
    pub revision: u64,
    pub oldest: u64,
    pub live: Live,
    pub events: Vec<Event>,
    most: usize,
    /// State right after each revision.
    pub states: BTreeMap<u64, Live>,
}

impl Model {
    pub fn new(most: usize) -> Self {
        let states = [(1, Live::new())].into();
        Self { revision: 1, oldest: 1, live: Live::new(), events: Vec::new(), most, states }
    }

    pub fn commit(&mut self, commit: &Commit) -> Result<u64, CommitError> {
        for (at, condition) in commit.conditions.iter().enumerate() {
            let (collection, key) = condition.target();
            let live = self.live.get(&(collection, key.to_vec()));
            let holds = match condition {
                Condition::Absent { .. } => live.is_none(),
                Condition::ModRevision { revision, .. } => live.is_some_and(|v| v.modified == revision.get()),
                Condition::CreateRevision { revision, .. } => {
                    live.is_some_and(|v| v.created == revision.get())
                }
            };
            if !holds {
                return Err(CommitError::Conflict { condition: at });
            }
        }
        let revision = self.revision + 1;
        for op in &commit.ops {
            let (collection, key) = op.target();
            let key = key.to_vec();
            let old = self.live.get(&(collection, key.clone())).cloned();
            let new = match op {
                Op::Put { value, .. } => {
                    let created = old.as_ref().map_or(revision, |v| v.created);
                    Some(Version { created, modified: revision, value: value.clone() })
                }
                Op::Delete { .. } => None,
            };
            if old.is_none() && new.is_none() {
                continue;
            }
            match &new {
                Some(new) => self.live.insert((collection, key.clone()), new.clone()),
                None => self.live.remove(&(collection, key.clone())),
            };
            self.events.push(Event { revision, collection, key, old, new });
            self.revision = revision;
        }
        self.states.insert(self.revision, self.live.clone());
        while self.events.len() > self.most {
            let first = self.events.remove(0);
            self.oldest = self.oldest.max(first.revision);
        }
        Ok(self.revision)
    }

    pub fn compact(&mut self, before: u64) {
        self.oldest = self.oldest.max(before.min(self.revision));
        self.events.retain(|e| e.revision > before);
    }

    pub fn restore(&mut self, revision: u64) {
        self.revision = revision;
        self.oldest = revision;
        self.events.clear();
        self.states.insert(revision, self.live.clone());
    }

    fn at(&self, revision: u64) -> &Live {
        self.states.range(..=revision).next_back().unwrap().1
    }

    fn expected(&self, range: &Range) -> Vec<(Vec<u8>, Version)> {
        let state = self.at(range.at.map_or(self.revision, Revision::get));
        let wanted = |key: &[u8], v: &Version| {
            range.after.as_deref().is_none_or(|after| key > after) && in_scope(&range.scope, key, &v.value)
        };
        let of_collection = state.iter().filter(|((c, _), _)| *c == range.collection);
        of_collection.filter(|((_, k), v)| wanted(k, v)).map(|((_, k), v)| (k.clone(), v.clone())).collect()
    }

    /// Compares everything that a store answers.
    pub fn check(&self, store: &Store) {
        assert_eq!(store.revision().get(), self.revision, "revision");
        assert_eq!(store.oldest().get(), self.oldest, "oldest");
        for collection in [THINGS, OTHERS] {
            for key in [&b"k0"[..], b"k1", b"k2", b"k3", b"nothing"] {
                let got = store.get(collection, key).map(|e| shown(&e).1);
                assert_eq!(got.as_ref(), self.live.get(&(collection, key.to_vec())));
            }
            self.check_expiring(store, collection);
            for scope in scopes() {
                let at = std::iter::once(None).chain((self.oldest..=self.revision).map(Some));
                for at in at.collect::<Vec<_>>() {
                    self.check_ranges(store, collection, &scope, at.map(Revision::new));
                }
                self.check_cut_watch(store, collection, &scope);
            }
        }
        let past = Range { at: Some(Revision::new(self.oldest - 1)), ..crate::support::all() };
        assert_eq!(store.range(&past).unwrap_err(), RangeError::Compacted { oldest: store.oldest() });
        let future = Range { at: Some(store.revision().next()), ..past };
        assert_eq!(store.range(&future).unwrap_err(), RangeError::Future { current: store.revision() });
        let count: usize = store.stats().collections.iter().map(|c| c.count as usize).sum();
        assert_eq!(count, self.live.len());
        assert_eq!(store.stats().history_events as usize, self.events.len());
    }

    fn check_expiring(&self, store: &Store, collection: CollectionId) {
        let of = |((c, k), v): (&(CollectionId, Vec<u8>), &Version)| {
            let at = index(k, &v.value).expires_ms.filter(|at| *c == collection && *at < 3000)?;
            Some((at, k.clone()))
        };
        let mut expected: Vec<_> = self.live.iter().filter_map(of).collect();
        expected.sort();
        let got = store.expiring(collection, 3000, 100);
        let got: Vec<_> = got.iter().map(|e| (e.expires_ms().unwrap(), e.key().to_vec())).collect();
        assert_eq!(got, expected);
    }

    fn check_ranges(&self, store: &Store, collection: CollectionId, scope: &Scope, at: Option<Revision>) {
        let all = Range { collection, scope: scope.clone(), after: None, limit: usize::MAX, at };
        let expected = self.expected(&all);
        if at.is_none() {
            assert_eq!(store.count(collection, scope), expected.len() as u64);
        }
        for limit in [1, 2, usize::MAX] {
            let mut found = Vec::new();
            let mut after = None;
            loop {
                let page = store.range(&Range { limit, after, ..all.clone() }).unwrap();
                assert_eq!(page.revision, at.unwrap_or(store.revision()));
                found.extend(page.entries.iter().map(shown));
                let left = (expected.len() - found.len()) as u64;
                assert_eq!(page.more, left > 0, "{all:?} {limit}");
                if at.is_none() || at == Some(store.revision()) {
                    assert_eq!(page.remaining, Some(left));
                }
                if !page.more {
                    break;
                }
                assert_eq!(page.entries.len(), limit);
                after = page.entries.last().map(|e| e.key().to_vec());
            }
            assert_eq!(found, expected, "{all:?} by {limit}");
        }
    }

    /// Cuts a watch after every event and resumes after it.
    fn check_cut_watch(&self, store: &Store, collection: CollectionId, scope: &Scope) {
        let mut from = self.oldest;
        for event in self.events_of(collection, scope, from) {
            let mut watch = store.watch(collection, scope.clone(), Revision::new(from)).unwrap();
            let change = watch.try_next().unwrap().expect("an event is missing");
            same(&change, event);
            assert_eq!(watch.position().get().max(from), watch.position().get());
            assert!(watch.position().get() >= event.revision);
            from = event.revision;
        }
        let mut watch = store.watch(collection, scope.clone(), Revision::new(from)).unwrap();
        assert!(watch.try_next().unwrap().is_none(), "one event too many");
        assert_eq!(watch.position(), store.revision());
    }

    pub fn events_of(&self, collection: CollectionId, scope: &Scope, from: u64) -> Vec<&Event> {
        let of = |e: &&Event| {
            let mut versions = e.old.iter().chain(&e.new);
            e.revision > from
                && e.collection == collection
                && versions.any(|v| in_scope(scope, &e.key, &v.value))
        };
        self.events.iter().filter(of).collect()
    }
}

pub fn same(change: &Change, event: &Event) {
    assert_eq!(change.revision.get(), event.revision);
    assert_eq!(change.key(), event.key);
    assert_eq!(change.old.as_ref().map(|e| shown(e).1), event.old);
    assert_eq!(change.new.as_ref().map(|e| shown(e).1), event.new);
}

pub fn scopes() -> Vec<Scope> {
    let mut scopes = vec![Scope::All, Scope::None];
    scopes.extend([b"a", b"b", b"c"].map(|o| Scope::Owner(o.to_vec())));
    scopes.extend([&b"k0"[..], b"k2", b"nothing"].map(|k| Scope::Name(k.to_vec())));
    let names = |keys: &[&str]| Scope::names(keys.iter().map(|k| k.as_bytes().to_vec()).collect());
    scopes.extend([
        names(&["k3", "k0", "nothing", "k3"]),
        names(&["k1", "k2", "k4"]),
        names(&["no", "nothing"]),
    ]);
    scopes
}

fn in_scope(scope: &Scope, key: &[u8], value: &[u8]) -> bool {
    match scope {
        Scope::All => true,
        Scope::None => false,
        Scope::Owner(owner) => index(key, value).owner == Some(owner),
        Scope::Name(name) => key == name.as_slice(),
        Scope::Names(names) => names.iter().any(|name| key == name.as_slice()),
    }
}

fn shown(entry: &Entry) -> (Vec<u8>, Version) {
    let version = Version {
        created: entry.created().get(),
        modified: entry.modified().get(),
        value: entry.value().to_vec(),
    };
    (entry.key().to_vec(), version)
}
