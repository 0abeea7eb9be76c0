//! Commits: conditions, limits, lanes, faults, and what the observer sees.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use eartag_storage::*;
use parking_lot::Mutex;

use crate::support::*;

#[test]
fn a_conflict_names_the_condition_that_does_not_hold() {
    run(async {
        for kind in KINDS {
            let world = World::new(kind).await;
            let made = world.store.commit(put("a", "1")).await.unwrap();
            let stale = Condition::ModRevision { collection: THINGS, key: b"a".into(), revision: made };
            let changed = world.store.commit(when(stale.clone(), put("a", "2"))).await.unwrap();
            assert_eq!(changed, made.next());
            let two = when(stale, when(absent("b"), put("a", "3")));
            assert_eq!(world.store.commit(two).await, Err(CommitError::Conflict { condition: 1 }));
            let same = Condition::CreateRevision { collection: THINGS, key: b"a".into(), revision: made };
            assert_eq!(world.store.commit(when(same, put("a", "4"))).await, Ok(changed.next()));
            assert_eq!(world.store.revision(), changed.next(), "a conflict takes no revision");
        }
    });
}

#[test]
fn an_empty_store_starts_at_one_and_a_commit_that_changes_nothing_takes_no_revision() {
    run(async {
        for kind in KINDS {
            let world = World::new(kind).await;
            assert_eq!((world.store.revision().get(), world.store.oldest().get()), (1, 1));
            assert_eq!(world.store.commit(delete("nothing")).await.unwrap().get(), 1);
            assert_eq!(world.store.commit(Commit::default()).await.unwrap().get(), 1);
            assert_eq!(world.store.commit(put("a", "")).await.unwrap().get(), 2);
        }
    });
}

#[test]
fn what_breaks_a_limit_is_refused_and_changes_nothing() {
    run(async {
        for kind in KINDS {
            let world = World::new(kind).await;
            let unknown = put_in(CollectionId(99), "a", vec![]);
            let twice = Commit { ops: [put("a", "").ops, put("b", "").ops].concat(), ..Commit::default() };
            let big = put_in(THINGS, "a", vec![0; limits::MAX_VALUE + 1]);
            for bad in [unknown, twice, big, put("", "")] {
                assert!(matches!(world.store.commit(bad).await, Err(CommitError::TooLarge(_))));
            }
            assert_eq!(world.store.revision().get(), 1);
            let most = put_in(THINGS, &"k".repeat(limits::MAX_KEY), vec![1; limits::MAX_VALUE]);
            world.store.commit(most).await.unwrap();
            let entry = world.store.get(THINGS, "k".repeat(limits::MAX_KEY).as_bytes()).unwrap();
            assert_eq!(entry.value().len(), limits::MAX_VALUE);
        }
    });
}

#[test]
fn of_many_who_create_one_name_at_once_exactly_one_wins() {
    for kind in KINDS {
        run(async {
            let world = World::new(kind).await;
            let create = |n: usize| {
                let store = world.store.clone();
                tokio::spawn(async move { store.commit(when(absent("a"), put("a", &n.to_string()))).await })
            };
            let tasks: Vec<_> = (0..50).map(create).collect();
            let mut won = 0;
            for task in tasks {
                match task.await.unwrap() {
                    Ok(_) => won += 1,
                    Err(error) => assert_eq!(error, CommitError::Conflict { condition: 0 }),
                }
            }
            assert_eq!((won, world.store.revision().get()), (1, 2));
        });
    }
}

#[test]
fn a_commit_happens_even_if_nobody_waits_for_it_any_more() {
    run(async {
        for kind in KINDS {
            let world = World::new(kind).await;
            let mut commit = Box::pin(world.store.commit(put("a", "")));
            let poll =
                std::future::poll_fn(|cx| std::task::Poll::Ready(commit.as_mut().poll(cx).is_pending()));
            poll.await;
            drop(commit);
            assert!(world.store.wait_for(Revision::new(2), Duration::from_secs(60)).await);
            assert!(world.store.get(THINGS, b"a").is_some());
            assert!(!world.store.wait_for(Revision::new(3), Duration::from_millis(20)).await);
        }
    });
}

#[test]
fn a_long_bulk_job_does_not_hold_up_interactive_commits() {
    run(async {
        let gate = Arc::new(Gate::default());
        let options = Options { group: 10, ..Options::default() };
        let store = Store::open(Box::new(Memory::new()), collections(), gate.clone(), options).await.unwrap();
        let held = gate.hold(&store).await;
        let mut bulk = Vec::new();
        for n in 0..500 {
            let commit = Commit { lane: Lane::Bulk, ..put(&format!("b{n}"), "") };
            bulk.push(begun(store.clone(), commit).await.unwrap_err());
        }
        let mine = begun(store.clone(), put("mine", "")).await.unwrap_err();
        gate.open();
        let next = held.await.unwrap().next();
        assert_eq!(mine.await, Ok(next), "500 bulk commits were waiting");
        for commit in bulk {
            commit.await.unwrap();
        }
    });
}

#[test]
fn a_queue_that_is_full_refuses_instead_of_growing() {
    run(async {
        let gate = Arc::new(Gate::default());
        let options = Options { queue: 5, group: 2, ..Options::default() };
        let store = Store::open(Box::new(Memory::new()), collections(), gate.clone(), options).await.unwrap();
        let held = gate.hold(&store).await;
        let (mut waiting, mut refused) = (Vec::new(), 0);
        for n in 0..30 {
            match begun(store.clone(), put(&n.to_string(), "")).await {
                Err(pending) => waiting.push(pending),
                Ok(done) => {
                    assert!(matches!(done, Err(CommitError::Unavailable(_))), "{done:?}");
                    refused += 1;
                }
            }
        }
        assert_eq!((waiting.len(), refused), (5, 25));
        gate.open();
        held.await.unwrap();
        for commit in waiting {
            commit.await.unwrap();
        }
        assert_eq!(store.revision().get(), 1 + 1 + 5);
    });
}

#[test]
fn injected_faults_are_told_apart() {
    run(async {
        let engine = Memory::new();
        let faults = engine.faults();
        let store = open_with(Box::new(engine), Options::default()).await;
        faults.unavailable(1);
        assert!(matches!(store.commit(put("a", "")).await, Err(CommitError::Unavailable(_))));
        assert!(store.get(THINGS, b"a").is_none());
        faults.unknown(1, false);
        assert_eq!(store.commit(put("a", "")).await, Err(CommitError::Unknown));
        assert!(store.get(THINGS, b"a").is_none());
        faults.unknown(1, true);
        assert_eq!(store.commit(put("a", "")).await, Err(CommitError::Unknown));
        assert!(store.get(THINGS, b"a").is_some());
        faults.race(put("b", "other"));
        let lost = store.commit(when(absent("b"), put("b", "mine"))).await;
        assert_eq!(lost, Err(CommitError::Conflict { condition: 0 }));
        assert_eq!(store.get(THINGS, b"b").unwrap().value(), value(b'a', 0, "other"));
        faults.refuse(Some("the disk is full"));
        let full = store.commit(put("c", "")).await.unwrap_err();
        assert_eq!(full.to_string(), "the store takes no writes now: the disk is full");
        faults.refuse(None);
        store.commit(put("c", "")).await.unwrap();
    });
}

#[test]
fn a_commit_that_is_heard_of_twice_happens_once() {
    run(async {
        let engine = Memory::new();
        engine.faults().duplicates(true);
        let store = open_with(Box::new(engine), Options::default()).await;
        let mut watch = store.watch(THINGS, Scope::All, store.revision()).unwrap();
        for n in 0..5 {
            store.commit(put("a", &n.to_string())).await.unwrap();
        }
        for n in 2..7 {
            assert_eq!(watch.try_next().unwrap().unwrap().revision.get(), n);
        }
        assert!(watch.try_next().unwrap().is_none());
        assert_eq!(store.stats().history_events, 5);
    });
}

#[test]
fn an_answer_waits_until_a_lagging_mirror_has_applied_it() {
    run(async {
        let engine = Memory::new();
        engine.faults().lag(Some(Duration::from_millis(30)));
        let store = open_with(Box::new(engine), Options::default()).await;
        let revision = store.commit(put("a", "")).await.unwrap();
        assert!(store.revision() >= revision && store.get(THINGS, b"a").is_some());
    });
}

#[derive(Default)]
struct Seen {
    loaded: Mutex<Vec<Vec<u8>>>,
    applied: Mutex<Vec<(u64, usize)>>,
    newest: AtomicU64,
}

impl Observer for Seen {
    fn load(&self, _: CollectionId, entry: &Entry) {
        self.loaded.lock().push(entry.key().to_vec());
    }

    fn apply(&self, changes: &[Change]) {
        let revision = changes[0].revision.get();
        assert!(changes.iter().all(|c| c.revision.get() == revision));
        self.applied.lock().push((revision, changes.len()));
        self.newest.store(revision, Ordering::SeqCst);
    }
}

#[test]
fn the_observer_sees_everything_live_at_open_and_then_each_commit_before_its_answer() {
    run(async {
        let mut world = World::new(Kind::Sqlite).await;
        for key in ["a", "b", "c"] {
            world.store.commit(put(key, "")).await.unwrap();
        }
        world.store.commit(delete("b")).await.unwrap();
        world.store.close().await;

        let seen = Arc::new(Seen::default());
        let engine = Box::new(Sqlite::new(&world.file));
        let store =
            Store::open(engine, collections(), Arc::clone(&seen) as _, Options::default()).await.unwrap();
        let mut loaded = seen.loaded.lock().clone();
        loaded.sort();
        assert_eq!(loaded, [b"a", b"c"]);
        let both = Commit {
            ops: [put("a", "2").ops, put_in(OTHERS, "a", vec![]).ops].concat(),
            ..Commit::default()
        };
        for commit in [both, delete("a"), put("d", "")] {
            let revision = store.commit(commit).await.unwrap();
            assert_eq!(seen.newest.load(Ordering::SeqCst), revision.get());
        }
        assert_eq!(*seen.applied.lock(), [(6, 2), (7, 1), (8, 1)]);
        store.close().await;
        world.store = store;
        world.restart().await;
    });
}

#[test]
fn usage_pages_have_no_revision_and_survive_a_restart() {
    run(async {
        let mut world = World::new(Kind::Sqlite).await;
        assert!(world.store.usage_load().is_empty());
        world.store.usage_save(vec![(0, vec![1]), (7, vec![2; 9000]), (8, vec![3])]).await.unwrap();
        world.store.usage_save(vec![(0, vec![4]), (8, vec![])]).await.unwrap();
        assert_eq!(world.store.revision().get(), 1);
        assert!(world.restart().await);
        assert_eq!(world.store.usage_load(), [(0, vec![4]), (7, vec![2; 9000])]);
        let bad = world.store.usage_save(vec![(u64::MAX, vec![1])]).await;
        assert!(matches!(bad, Err(CommitError::TooLarge(_))));
    });
}

#[test]
fn a_closed_store_refuses_writes_and_still_reads() {
    run(async {
        for kind in KINDS {
            let world = World::new(kind).await;
            world.store.commit(put("a", "")).await.unwrap();
            assert_eq!(world.store.healthy(), Ok(()));
            world.store.close().await;
            world.store.close().await;
            assert!(matches!(world.store.commit(put("b", "")).await, Err(CommitError::Unavailable(_))));
            assert!(matches!(world.store.compact(Revision::new(9)).await, Err(CommitError::Unavailable(_))));
            assert!(world.store.healthy().is_err());
            assert_eq!(keys(&world.store.range(&all()).unwrap()), ["a"]);
        }
    });
}
