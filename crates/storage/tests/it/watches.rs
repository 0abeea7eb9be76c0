//! Watches: who is woken, who is cut, and that nothing is lost (promise G6).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use eartag_storage::*;

use crate::support::*;

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn only_changes_of_its_scope_wake_a_watch() {
    run(async {
        let world = World::new(Kind::Memory).await;
        let from = world.store.revision();
        let watch = |scope| world.store.watch(THINGS, scope, from).unwrap();
        let mut of_b = watch(Scope::Owner(b"b".to_vec()));
        let mut of_key = watch(Scope::Name(b"k7".to_vec()));
        let mut elsewhere = world.store.watch(OTHERS, Scope::All, from).unwrap();
        let counts: Vec<Arc<Count>> = (0..3).map(|_| Arc::default()).collect();
        let wakers: Vec<Waker> = counts.iter().map(|c| Waker::from(Arc::clone(c))).collect();
        let mut next = (Box::pin(of_b.next()), Box::pin(of_key.next()), Box::pin(elsewhere.next()));
        assert!(next.0.as_mut().poll(&mut Context::from_waker(&wakers[0])).is_pending());
        assert!(next.1.as_mut().poll(&mut Context::from_waker(&wakers[1])).is_pending());
        assert!(next.2.as_mut().poll(&mut Context::from_waker(&wakers[2])).is_pending());
        for n in 0..7 {
            world.store.commit(put(&format!("k{n}"), "")).await.unwrap();
        }
        let woken = || counts.iter().map(|c| c.0.load(Ordering::SeqCst)).collect::<Vec<_>>();
        assert_eq!(woken(), [0, 0, 0]);
        world.store.commit(put_in(THINGS, "k7", value(b'b', 0, ""))).await.unwrap();
        assert_eq!(woken(), [1, 1, 0]);
        let Poll::Ready(Ok(change)) = next.0.as_mut().poll(&mut Context::from_waker(&wakers[0])) else {
            panic!("woken for nothing");
        };
        assert_eq!((change.key(), change.revision.get()), (&b"k7"[..], 9));
        world.store.commit(put_in(OTHERS, "x", vec![])).await.unwrap();
        assert_eq!(woken(), [1, 1, 1]);
    });
}

#[test]
fn a_watch_that_is_cancelled_again_and_again_loses_nothing() {
    let world = run(World::new(Kind::Memory));
    let from = world.store.revision();
    let writer = {
        let store = world.store.clone();
        std::thread::spawn(move || {
            run(async {
                for n in 0..2000 {
                    store.commit(put(&format!("k{}", n % 10), "")).await.unwrap();
                    if n % 50 == 0 {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                }
            });
        })
    };
    run(async {
        let mut watch = world.store.watch(THINGS, Scope::Owner(b"a".to_vec()), from).unwrap();
        for n in 0..2000 {
            let change = loop {
                tokio::select! {
                    biased;
                    change = watch.next() => break change.unwrap(),
                    () = tokio::time::sleep(Duration::from_micros(200)) => {}
                }
            };
            assert_eq!(change.revision.get(), 2 + n);
        }
    });
    writer.join().unwrap();
}

#[test]
fn a_watch_that_fell_off_the_history_is_cut_and_an_idle_one_is_not() {
    run(async {
        let options = Options { history_events: 10, ..Options::default() };
        for kind in KINDS {
            let world = World::with(kind, options).await;
            let from = world.store.revision();
            world.store.commit(put_in(THINGS, "mine", value(b'b', 0, ""))).await.unwrap();
            let watch = |scope, from| world.store.watch(THINGS, scope, from).unwrap();
            let mut slow = watch(Scope::All, from);
            let mut slow_of_a = watch(Scope::Owner(b"a".to_vec()), from);
            let mut late_of_b = watch(Scope::Owner(b"b".to_vec()), from);
            let mut idle_of_b = watch(Scope::Owner(b"b".to_vec()), world.store.revision());
            let mut idle_of_key = watch(Scope::Name(b"other".to_vec()), world.store.revision());
            let mut elsewhere = world.store.watch(OTHERS, Scope::All, from).unwrap();
            for n in 0..30 {
                world.store.commit(put(&format!("k{n}"), "")).await.unwrap();
            }
            assert_eq!(slow.next().await.unwrap_err(), WatchEnd::Lagged);
            assert_eq!(slow_of_a.next().await.unwrap_err(), WatchEnd::Lagged);
            assert_eq!(late_of_b.try_next().unwrap_err(), WatchEnd::Lagged);
            for idle in [&mut idle_of_b, &mut idle_of_key, &mut elsewhere] {
                assert!(idle.try_next().unwrap().is_none());
                assert_eq!(idle.position(), world.store.revision());
            }
            world.store.commit(put_in(THINGS, "mine", value(b'b', 0, "2"))).await.unwrap();
            assert_eq!(idle_of_b.next().await.unwrap().key(), b"mine");
            let compacted = world.store.watch(THINGS, Scope::All, from).unwrap_err();
            assert_eq!(compacted, RangeError::Compacted { oldest: world.store.oldest() });
        }
    });
}

#[test]
fn a_slow_watch_of_an_owner_is_cut_exactly_when_it_has_missed_something() {
    run(async {
        let options = Options { history_events: 10, ..Options::default() };
        let world = World::with(Kind::Memory, options).await;
        let owner = || Scope::Owner(b"b".to_vec());
        let mut slow = world.store.watch(THINGS, owner(), world.store.revision()).unwrap();
        let mut steady = world.store.watch(THINGS, owner(), world.store.revision()).unwrap();
        // Ends with one of b: what b missed before has left the topic, and what follows in it is still in the history.
        for n in 0..33u64 {
            let owner = if n % 8 == 0 { b'b' } else { b'a' };
            world.store.commit(put_in(THINGS, &format!("k{n}"), value(owner, 0, ""))).await.unwrap();
            let got = steady.try_next().unwrap().map(|c| c.revision.get());
            assert_eq!(got, (n % 8 == 0).then_some(n + 2));
        }
        assert_eq!(slow.try_next().unwrap_err(), WatchEnd::Lagged);
    });
}

#[test]
fn a_watch_sees_what_leaves_its_owner() {
    run(async {
        let world = World::new(Kind::Memory).await;
        let mut watch =
            world.store.watch(THINGS, Scope::Owner(b"a".to_vec()), world.store.revision()).unwrap();
        for owner in [b'b', b'a', b'b', b'b'] {
            world.store.commit(put_in(THINGS, "k", value(owner, 0, ""))).await.unwrap();
        }
        let seen: Vec<_> = std::iter::from_fn(|| watch.try_next().unwrap()).collect();
        let owners = |c: &Change| (c.old.clone().unwrap().value()[0], c.new.clone().unwrap().value()[0]);
        assert_eq!(seen.iter().map(owners).collect::<Vec<_>>(), [(b'b', b'a'), (b'a', b'b')]);
    });
}

#[test]
fn a_close_ends_watches_once_they_have_delivered_everything() {
    run(async {
        for kind in KINDS {
            let world = World::new(kind).await;
            let mut behind = world.store.watch(THINGS, Scope::All, world.store.revision()).unwrap();
            let mut waiting =
                world.store.watch(THINGS, Scope::Name(b"x".to_vec()), world.store.revision()).unwrap();
            let waiting = tokio::spawn(async move { waiting.next().await.map(|_| ()) });
            tokio::task::yield_now().await;
            world.store.commit(put("a", "")).await.unwrap();
            world.store.commit(put("b", "")).await.unwrap();
            assert_eq!(world.store.stats().watchers, 2);
            world.store.close().await;
            assert_eq!(waiting.await.unwrap(), Err(WatchEnd::Closed));
            assert_eq!(behind.next().await.unwrap().key(), b"a");
            assert_eq!(behind.next().await.unwrap().key(), b"b");
            assert_eq!(behind.next().await.unwrap_err(), WatchEnd::Closed);
            drop(behind);
            assert_eq!(world.store.stats().watchers, 0);
        }
    });
}

#[test]
fn a_store_that_is_dropped_ends_its_watches_and_lets_go_of_its_file() {
    run(async {
        let mut world = World::new(Kind::Sqlite).await;
        let mut watch = world.store.watch(THINGS, Scope::All, world.store.revision()).unwrap();
        world.store = open_with(Box::new(Memory::new()), Options::default()).await;
        assert_eq!(watch.next().await.unwrap_err(), WatchEnd::Closed);
        // Its threads end by themselves, as soon as the disk lets them.
        for _ in 0..6000 {
            let engine = Box::new(Sqlite::new(&world.file));
            match Store::open(engine, collections(), Arc::new(NoObserver), Options::default()).await {
                Ok(_) => return,
                Err(error) => assert!(matches!(error, OpenError::InUse(_)), "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the file is still held");
    });
}

#[test]
fn a_watch_cannot_start_in_the_future() {
    run(async {
        let world = World::new(Kind::Memory).await;
        let current = world.store.revision();
        let future = world.store.watch(THINGS, Scope::All, current.next()).unwrap_err();
        assert_eq!(future, RangeError::Future { current });
    });
}
