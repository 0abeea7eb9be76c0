//! Ranges that are long, old, or both.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use eartag_storage::*;

use crate::support::*;

async fn fill(store: &Store, names: impl Iterator<Item = String>) {
    commit_all(store, names.map(|name| put(&name, ""))).await;
}

#[test]
fn a_long_page_is_of_one_revision_while_writes_go_on() {
    let world = run(World::new(Kind::Memory));
    run(fill(&world.store, (0..3500).map(|n| format!("k{:05}", n * 11 % 3500))));
    let enough = Arc::new(AtomicBool::new(false));
    let writer = {
        let (store, enough) = (world.store.clone(), Arc::clone(&enough));
        std::thread::spawn(move || {
            run(async {
                for n in 0.. {
                    if n >= 4000 && enough.load(Ordering::SeqCst) {
                        break;
                    }
                    store.commit(put(&format!("k{:05}x", n * 11 % 3500), "")).await.unwrap();
                }
            });
        })
    };
    // However the two threads take turns: so many pages between which something was written.
    let mut pages = BTreeSet::new();
    while pages.len() < 40 {
        let page = world.store.range(&all()).unwrap();
        // Until the first overwrite, every revision adds one object.
        let expected = (page.revision.get() - 1).min(7000);
        assert_eq!(page.entries.len() as u64, expected);
        assert!(page.entries.is_sorted_by(|a, b| a.key() < b.key()));
        assert!(page.entries.iter().all(|e| e.modified() <= page.revision));
        assert_eq!((page.more, page.remaining), (false, Some(0)));
        pages.insert(page.revision);
    }
    enough.store(true, Ordering::SeqCst);
    writer.join().unwrap();
}

#[test]
fn an_old_page_is_found_behind_thousands_of_changes_of_one_key() {
    run(async {
        let world = World::new(Kind::Memory).await;
        let store = &world.store;
        for key in ["a", "hot", "z"] {
            store.commit(put(key, "first")).await.unwrap();
        }
        let then = store.revision();
        for n in 0..4500 {
            store.commit(put("hot", &n.to_string())).await.unwrap();
        }
        for scope in [Scope::All, Scope::Owner(b"a".to_vec())] {
            let page = store.range(&Range { at: Some(then), scope, ..all() }).unwrap();
            assert_eq!(keys(&page), ["a", "hot", "z"]);
            assert!(page.entries.iter().all(|e| e.value() == value(b'a', 0, "first")));
        }
        let one = Range { at: Some(then), scope: Scope::Name(b"hot".to_vec()), ..all() };
        assert_eq!(store.range(&one).unwrap().entries[0].modified().get(), 3);
    });
}

#[test]
fn a_scope_of_names_is_the_smallest_that_says_so() {
    let names = |keys: &[&[u8]]| Scope::names(keys.iter().map(|k| k.to_vec()).collect());
    assert_eq!(names(&[]), Scope::None);
    assert_eq!(names(&[b"a", b"a"]), Scope::Name(b"a".to_vec()));
    assert_eq!(names(&[b"b", b"a", b"b"]), Scope::Names(vec![b"a".to_vec(), b"b".to_vec()]));
}

#[test]
fn some_names_are_paged_watched_and_counted_like_a_collection() {
    run(async {
        let world = World::new(Kind::Memory).await;
        let store = &world.store;
        let scope = || Scope::names([&b"b"[..], b"d", b"x"].map(<[u8]>::to_vec).to_vec());
        let mut watch = store.watch(THINGS, scope(), store.revision()).unwrap();
        for key in ["a", "b", "c", "d"] {
            store.commit(put(key, "")).await.unwrap();
        }
        assert_eq!(store.count(THINGS, &scope()), 2);
        let first = store.range(&Range { scope: scope(), limit: 1, ..all() }).unwrap();
        assert_eq!((keys(&first), first.more, first.remaining), (vec!["b".to_owned()], true, Some(1)));
        store.commit(delete("d")).await.unwrap();
        let rest = Range { scope: scope(), after: Some(b"b".to_vec()), at: Some(first.revision), ..all() };
        assert_eq!(keys(&store.range(&rest).unwrap()), ["d"]);
        assert!(store.range(&Range { at: None, ..rest }).unwrap().entries.is_empty());
        let mut seen = Vec::new();
        while let Some(change) = watch.try_next().unwrap() {
            seen.push(String::from_utf8_lossy(change.key()).into_owned());
        }
        assert_eq!(seen, ["b", "d", "d"]);
    });
}

#[test]
fn a_key_that_came_and_went_thousands_of_times_is_found_in_each_of_its_lives() {
    run(async {
        let world = World::new(Kind::Memory).await;
        let store = &world.store;
        for n in 0..2500 {
            store.commit(put("k", &n.to_string())).await.unwrap();
            store.commit(delete("k")).await.unwrap();
        }
        for n in [0, 1, 1000, 2499] {
            let at = |revision| Range { at: Some(Revision::new(revision)), ..all() };
            let page = store.range(&at(2 + 2 * n)).unwrap();
            assert_eq!(page.entries[0].value(), value(b'a', 0, &n.to_string()));
            assert_eq!(store.range(&at(3 + 2 * n)).unwrap().entries.len(), 0);
        }
    });
}

#[test]
fn thousands_that_are_gone_are_still_listed_at_their_time() {
    run(async {
        let world = World::new(Kind::Memory).await;
        let store = &world.store;
        fill(store, (0..3000).map(|n| format!("k{n:05}"))).await;
        let then = store.revision();
        for n in 0..3000 {
            store.commit(delete(&format!("k{n:05}"))).await.unwrap();
        }
        assert_eq!(store.count(THINGS, &Scope::All), 0);
        let mut after = None;
        let mut found = Vec::new();
        loop {
            let page = store.range(&Range { at: Some(then), after, limit: 500, ..all() }).unwrap();
            found.extend(keys(&page));
            after = page.entries.last().map(|e| e.key().to_vec());
            if !page.more {
                break;
            }
        }
        assert_eq!(found, (0..3000).map(|n| format!("k{n:05}")).collect::<Vec<_>>());
        store.compact(then.next()).await.unwrap();
        let past = store.range(&Range { at: Some(then), ..all() }).unwrap_err();
        assert_eq!(past, RangeError::Compacted { oldest: then.next() });
    });
}

#[test]
fn an_object_that_was_given_away_belongs_to_whom_it_belonged_then() {
    run(async {
        let world = World::new(Kind::Memory).await;
        let store = &world.store;
        for owner in [b'a', b'b', b'a', 0] {
            store.commit(put_in(THINGS, "k", value(owner, 0, ""))).await.unwrap();
        }
        let count = |owner: u8, at: u64| {
            let scope = Scope::Owner(vec![owner]);
            let at = Some(Revision::new(at));
            store.range(&Range { at, scope, ..all() }).unwrap().entries.len()
        };
        let of_a: Vec<_> = (1..=5).map(|at| count(b'a', at)).collect();
        let of_b: Vec<_> = (1..=5).map(|at| count(b'b', at)).collect();
        assert_eq!((of_a, of_b), (vec![0, 1, 0, 1, 0], vec![0, 0, 1, 0, 0]));
    });
}

#[test]
fn a_short_history_still_gives_long_pages_of_now() {
    run(async {
        let options = Options { history_events: 3, ..Options::default() };
        let world = World::with(Kind::Memory, options).await;
        fill(&world.store, (0..2500).map(|n| format!("k{n:05}"))).await;
        assert_eq!(world.store.range(&all()).unwrap().entries.len(), 2500);
        let page = world.store.range(&Range { limit: 0, ..all() }).unwrap();
        assert_eq!((page.entries.len(), page.more, page.remaining), (0, true, Some(2500)));
    });
}

#[test]
fn history_is_bounded_in_bytes_too() {
    run(async {
        let options = Options { history_bytes: 100_000, ..Options::default() };
        let world = World::with(Kind::Memory, options).await;
        for n in 0..50 {
            world.store.commit(put_in(THINGS, "k", vec![n; 10_000])).await.unwrap();
        }
        let stats = world.store.stats();
        assert!(stats.history_bytes <= 100_000, "{stats:?}");
        assert_eq!(stats.history_events, 9);
        assert_eq!(world.store.oldest().get(), 51 - 9);
    });
}
