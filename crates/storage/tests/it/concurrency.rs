//! Many writers, many watchers, and readers who compare what they see.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use eartag_storage::*;

use crate::support::*;

#[derive(Default)]
struct Newest(AtomicU64);

impl Observer for Newest {
    fn load(&self, _: CollectionId, _: &Entry) {}

    fn apply(&self, changes: &[Change]) {
        let revision = changes[0].revision.get();
        assert_eq!(self.0.swap(revision, Ordering::SeqCst) + 1, revision, "every revision once, in order");
    }
}

/// Adds one to a counter under a key by compare-and-commit, again and again until it succeeds.
async fn add(store: &Store, key: &str) -> Revision {
    loop {
        let (count, condition) = match store.get(THINGS, key.as_bytes()) {
            None => (0, absent(key)),
            Some(entry) => {
                let text = String::from_utf8_lossy(&entry.value()[2..]).into_owned();
                let revision = entry.modified();
                (
                    text.parse::<u64>().unwrap(),
                    Condition::ModRevision { collection: THINGS, key: key.into(), revision },
                )
            }
        };
        match store.commit(when(condition, put(key, &(count + 1).to_string()))).await {
            Ok(revision) => return revision,
            Err(error) => assert_eq!(error, CommitError::Conflict { condition: 0 }),
        }
    }
}

fn stress(kind: Kind, per_task: u64) {
    let newest = Arc::new(Newest::default());
    newest.0.store(1, Ordering::SeqCst);
    let dir = tempfile::tempdir().unwrap();
    let engine: Box<dyn Engine> = match kind {
        Kind::Memory => Box::new(Memory::new()),
        Kind::Sqlite => Box::new(Sqlite::new(dir.path().join("data.db"))),
    };
    let store =
        run(Store::open(engine, collections(), Arc::clone(&newest) as _, Options::default())).unwrap();
    let done = Arc::new(AtomicBool::new(false));

    // Whoever sees the mirror at a revision finds the observer there or later.
    let reader = {
        let (store, newest, done) = (store.clone(), Arc::clone(&newest), Arc::clone(&done));
        std::thread::spawn(move || {
            let mut last = Revision::default();
            while !done.load(Ordering::SeqCst) {
                let seen = store.revision();
                assert!(newest.0.load(Ordering::SeqCst) >= seen.get());
                assert!(seen >= last, "a revision never goes back");
                last = seen;
                std::thread::yield_now();
            }
        })
    };
    let watchers: Vec<_> = [Scope::All, Scope::Owner(b"a".to_vec()), Scope::Name(b"k1".to_vec())]
        .into_iter()
        .map(|scope| {
            let mut watch = store.watch(THINGS, scope, store.revision()).unwrap();
            std::thread::spawn(move || {
                run(async {
                    let mut seen = Vec::new();
                    while let Ok(change) = watch.next().await {
                        seen.push((change.revision, change.key().to_vec()));
                    }
                    seen
                })
            })
        })
        .collect();
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let store = store.clone();
            std::thread::spawn(move || {
                run(async {
                    let task = |_: usize| {
                        let store = store.clone();
                        tokio::spawn(async move {
                            let mut made = Vec::new();
                            for n in 0..per_task {
                                let revision = add(&store, &format!("k{}", n % 4)).await;
                                assert!(store.revision() >= revision, "answered before it was applied");
                                made.push(revision);
                            }
                            made
                        })
                    };
                    let tasks: Vec<_> = (0..8).map(task).collect();
                    let mut made = Vec::new();
                    for task in tasks {
                        made.extend(task.await.unwrap());
                    }
                    made
                })
            })
        })
        .collect();
    let mut made: Vec<Revision> = writers.into_iter().flat_map(|w| w.join().unwrap()).collect();
    done.store(true, Ordering::SeqCst);
    reader.join().unwrap();
    run(store.close());
    made.sort();
    let total = 4 * 8 * per_task;
    assert_eq!(
        made,
        (2..2 + total).map(Revision::new).collect::<Vec<_>>(),
        "each commit has its own revision"
    );
    let counts: HashMap<_, u64> = store
        .range(&all())
        .unwrap()
        .entries
        .iter()
        .map(|e| (e.key().to_vec(), String::from_utf8_lossy(&e.value()[2..]).parse().unwrap()))
        .collect();
    assert_eq!(counts.values().sum::<u64>(), total, "no update was lost");

    let mut seen = watchers.into_iter().map(|w| w.join().unwrap());
    let everything = seen.next().unwrap();
    assert_eq!(everything.iter().map(|(r, _)| *r).collect::<Vec<_>>(), made);
    assert_eq!(seen.next().unwrap(), everything);
    let of_key: Vec<_> = everything.into_iter().filter(|(_, k)| k == b"k1").collect();
    assert_eq!(seen.next().unwrap(), of_key);
}

#[test]
fn many_tasks_on_memory_lose_nothing_and_see_everything_in_order() {
    stress(Kind::Memory, 100);
}

#[test]
fn many_tasks_on_sqlite_lose_nothing_and_see_everything_in_order() {
    stress(Kind::Sqlite, 20);
}

#[test]
fn ten_thousand_watchers_of_their_own_leave_room_for_writes() {
    run(async {
        let world = World::new(Kind::Memory).await;
        let from = world.store.revision();
        let watch = |n: usize| world.store.watch(THINGS, Scope::Name(format!("k{n}").into()), from).unwrap();
        let mut watches: Vec<_> = (0..10_000).map(watch).collect();
        for n in 0..1000 {
            world.store.commit(put(&format!("k{n}"), "")).await.unwrap();
        }
        for (n, watch) in watches.iter_mut().enumerate() {
            let got = watch.try_next().unwrap().map(|c| c.revision.get());
            assert_eq!(got, (n < 1000).then_some(2 + n as u64));
        }
    });
}
