//! One suite for all engines: generated operations, compared with the model after each of them.

use eartag_storage::sqlite::{RestoreOptions, restore};
use eartag_storage::*;
use proptest::prelude::*;

use crate::model::{Model, same, scopes};
use crate::support::*;

#[derive(Clone, Debug)]
enum Step {
    Commit { conditions: Vec<Guess>, ops: Vec<Draft>, bulk: bool },
    Compact(u8),
    Restart,
    Restore,
}

/// An operation: which collection, which key, and for a put its owner and expiry.
type Draft = (usize, u8, Option<(u8, u8)>);

/// A condition on what is there, or on something else.
#[derive(Clone, Debug)]
struct Guess {
    collection: usize,
    key: u8,
    kind: u8,
    right: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let guess = (0..2usize, 0..4u8, 0..3u8, prop::bool::weighted(0.8))
        .prop_map(|(collection, key, kind, right)| Guess { collection, key, kind, right });
    let op = (0..2usize, 0..4u8, prop::option::weighted(0.7, (0..4u8, 0..5u8)));
    let commit = (prop::collection::vec(guess, 0..3), prop::collection::vec(op, 0..3), any::<bool>())
        .prop_map(|(conditions, ops, bulk)| Step::Commit { conditions, ops, bulk });
    prop_oneof![
        20 => commit,
        1 => any::<u8>().prop_map(Step::Compact),
        1 => Just(Step::Restart),
        1 => Just(Step::Restore),
    ]
}

fn name(key: u8) -> Vec<u8> {
    format!("k{key}").into_bytes()
}

fn build(model: &Model, guesses: &[Guess], ops: &[Draft], bulk: bool) -> Commit {
    let collections = [THINGS, OTHERS];
    let condition = |g: &Guess| {
        let (collection, key) = (collections[g.collection], name(g.key));
        let off = u64::from(!g.right);
        match model.live.get(&(collection, key.clone())) {
            Some(v) if g.kind == 0 => {
                Condition::ModRevision { collection, key, revision: Revision::new(v.modified - off) }
            }
            Some(v) if g.kind == 1 => {
                Condition::CreateRevision { collection, key, revision: Revision::new(v.created - off) }
            }
            Some(_) if g.right => Condition::ModRevision { collection, key, revision: Revision::new(0) },
            None if !g.right => Condition::CreateRevision { collection, key, revision: Revision::new(0) },
            _ => Condition::Absent { collection, key },
        }
    };
    let op = |(collection, key, put): &Draft| {
        let (collection, key) = (collections[*collection], name(*key));
        match put {
            Some((owner, expires)) => {
                let owner = [0, b'a', b'b', b'c'][usize::from(*owner)];
                Op::Put { collection, key, value: value(owner, *expires, &format!("v{}", model.revision)) }
            }
            None => Op::Delete { collection, key },
        }
    };
    let lane = if bulk { Lane::Bulk } else { Lane::Interactive };
    Commit { conditions: guesses.iter().map(condition).collect(), ops: ops.iter().map(op).collect(), lane }
}

/// Watches that live through the whole run, and what they must have seen.
struct Witness {
    watch: Watch,
    collection: CollectionId,
    scope: Scope,
    seen: u64,
}

fn witnesses(store: &Store) -> Vec<Witness> {
    let seen = store.oldest();
    let of = |(collection, scope): (CollectionId, Scope)| Witness {
        watch: store.watch(collection, scope.clone(), seen).unwrap(),
        collection,
        scope,
        seen: seen.get(),
    };
    [THINGS, OTHERS].into_iter().flat_map(|c| scopes().into_iter().map(move |s| (c, s))).map(of).collect()
}

fn testify(witnesses: &mut [Witness], model: &Model) {
    for w in witnesses {
        let missed = model.events_of(w.collection, &w.scope, w.seen);
        for event in missed {
            same(&w.watch.try_next().unwrap().expect("an event is missing"), event);
            w.seen = event.revision;
        }
        assert!(w.watch.try_next().unwrap().is_none());
        assert_eq!(w.watch.position().get(), model.revision);
        w.seen = model.revision;
    }
}

async fn conform(kind: Kind, most: usize, steps: &[Step]) {
    let options = Options { history_events: most, ..Options::default() };
    let mut world = World::with(kind, options).await;
    let mut model = Model::new(most);
    let mut watching = witnesses(&world.store);
    for (at, step) in steps.iter().enumerate() {
        match step {
            Step::Commit { conditions, ops, bulk } => {
                let commit = build(&model, conditions, ops, *bulk);
                let got = world.store.commit(commit.clone()).await.map(Revision::get);
                if matches!(got, Err(CommitError::TooLarge(_))) {
                    assert!(ops.len() == 2 && ops[0].0 == ops[1].0, "refused without need: {ops:?}");
                } else {
                    assert_eq!(got, model.commit(&commit));
                }
            }
            Step::Compact(part) => {
                let before = model.oldest + (model.revision - model.oldest) * u64::from(*part) / 255;
                world.store.compact(Revision::new(before)).await.unwrap();
                model.compact(before);
            }
            Step::Restart => {
                if world.restart().await {
                    watching = witnesses(&world.store);
                }
            }
            Step::Restore if kind == Kind::Sqlite => {
                let copy = world.file.with_extension(format!("backup{at}"));
                world.store.backup(&copy).await.unwrap();
                let file = world.file.with_extension(format!("restored{at}"));
                let restored = restore(&copy, &file, &RestoreOptions { now_s: 0 }).unwrap();
                assert_eq!(restored.backup.get(), model.revision);
                assert!(restored.revision.get() >= model.revision + (1 << 32));
                world.move_to(file).await;
                model.restore(restored.revision.get());
                watching = witnesses(&world.store);
            }
            Step::Restore => {}
        }
        testify(&mut watching, &model);
        if at % 8 == 7 || !matches!(step, Step::Commit { .. }) {
            model.check(&world.store);
        }
    }
    model.check(&world.store);
    if world.restart().await {
        model.check(&world.store);
    }
    world.store.close().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn memory_behaves_as_the_model(steps in prop::collection::vec(step(), 1..90)) {
        run(conform(Kind::Memory, 1 << 20, &steps));
    }

    #[test]
    fn memory_with_a_short_history_behaves_as_the_model(steps in prop::collection::vec(step(), 1..90)) {
        run(conform(Kind::Memory, 9, &steps));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sqlite_behaves_as_the_model(steps in prop::collection::vec(step(), 1..70)) {
        run(conform(Kind::Sqlite, 1 << 20, &steps));
    }

    #[test]
    fn sqlite_with_a_short_history_behaves_as_the_model(steps in prop::collection::vec(step(), 1..70)) {
        run(conform(Kind::Sqlite, 9, &steps));
    }
}
