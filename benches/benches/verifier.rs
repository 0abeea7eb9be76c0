//! The verifier alone: what a check costs above the one hash that it must pay, and whether that depends on how many tokens there are.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use eartag_api::frame;
use eartag_api::meta::{Meta, Uid};
use eartag_core::collections::{self, EXT_TOKENS, USERS};
use eartag_core::{
    Credential, Lifetime, Place, PlainSecret, Presented, Principal, SecretHash, TokenRecord, UserRecord,
    Verdict, Verifier,
};
use eartag_storage::{Change, CollectionId, Commit, Entry, Memory, Observer, Op, Options, Store};

const OWNER: &str = "user-abcde";
const CREATED_S: i64 = 1_780_000_000;
const NOW_MS: u64 = 1_780_000_100_000;

struct Feed(Arc<Verifier>);

impl Observer for Feed {
    fn load(&self, collection: CollectionId, entry: &Entry) {
        self.0.load(collection, entry);
    }

    fn apply(&self, changes: &[Change]) {
        self.0.apply(changes);
    }
}

fn secret(n: usize) -> String {
    format!("{n:054}")
}

fn bearer(n: usize) -> String {
    format!("ext/token-{n:06}:{}", secret(n))
}

fn token(n: usize) -> Vec<u8> {
    let record = TokenRecord {
        credential: Credential {
            owner: OWNER.into(),
            owner_uid: Uid::from_random([3; 16]),
            hash: SecretHash::sha3(&PlainSecret::new(secret(n)), [1; 8]),
            lifetime: Lifetime::For(7_776_000_000),
            enabled: true,
            cluster: String::new(),
            session: false,
            principal: Principal::local(OWNER, "ann", "Ann Smith"),
            kind: String::new(),
            description: "nightly backup".into(),
            last_update_s: CREATED_S,
        },
    };
    let meta = Meta { uid: Uid::from_random([9; 16]), created_s: CREATED_S, ..Meta::default() };
    frame::frame(&record.encode(), &meta)
}

fn user() -> Vec<u8> {
    let record =
        UserRecord { username: "ann".into(), display_name: "Ann Smith".into(), ..UserRecord::default() };
    let meta = Meta { uid: Uid::from_random([3; 16]), created_s: CREATED_S, ..Meta::default() };
    frame::frame(&record.encode(), &meta)
}

/// A verifier over this many tokens, and the store that feeds it.
fn verifier(runtime: &tokio::runtime::Runtime, count: usize) -> (Arc<Verifier>, Store) {
    let verifier = Arc::new(Verifier::new());
    let feed = Arc::new(Feed(Arc::clone(&verifier)));
    let options = Options { history_events: 1024, ..Options::default() };
    let store =
        runtime.block_on(Store::open(Box::new(Memory::new()), collections::all(), feed, options)).unwrap();
    let objects = std::iter::once((USERS, OWNER.to_owned(), user()))
        .chain((0..count).map(|n| (EXT_TOKENS, format!("token-{n:06}"), token(n))));
    for (collection, name, value) in objects {
        let ops = vec![Op::Put { collection, key: name.into_bytes(), value }];
        runtime.block_on(store.commit(Commit { ops, ..Commit::default() })).unwrap();
    }
    (verifier, store)
}

fn check(verifier: &Verifier, bearer: &str) -> Verdict {
    let presented = Presented::parse(black_box(bearer)).unwrap();
    verifier.check(&presented, Place::Global, NOW_MS)
}

fn checks(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut group = criterion.benchmark_group("verifier");
    let (hash, good) = (SecretHash::sha3(&PlainSecret::new(secret(0)), [1; 8]), secret(0));
    group.bench_function("the hash alone", |b| b.iter(|| black_box(&hash).verify(black_box(&good))));
    group.bench_function("a foreign JWT", |b| {
        let jwt = format!("eyJhbGciOiJSUzI1NiJ9.{}.c2ln", "eyJzdWIiOiJ4In0".repeat(40));
        b.iter(|| Presented::parse(black_box(&jwt)).is_none());
    });
    for count in [1_000usize, 100_000] {
        let (verifier, _store) = verifier(&runtime, count);
        // Scattered over the table, so that the processor's cache does not answer for it.
        let spread =
            |make: fn(usize) -> String| (0..1024).map(|n| make(n * 7919 % count)).collect::<Vec<_>>();
        let cases: [(&str, Vec<String>); 3] = [
            ("a good token", spread(bearer)),
            ("a wrong secret", spread(|n| format!("ext/token-{n:06}:{}", secret(n + 1)))),
            ("a miss", spread(|n| format!("ext/token-x{n:06}:{}", secret(n)))),
        ];
        for (what, bearers) in cases {
            let expected = matches!(check(&verifier, bearers.first().unwrap()), Verdict::Good(_));
            assert_eq!(expected, what == "a good token", "{what} is judged as it should be");
            group.bench_function(BenchmarkId::new(what, count), |b| {
                let mut turn = bearers.iter().cycle();
                b.iter(|| check(&verifier, turn.next().unwrap()));
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3)).without_plots();
    targets = checks
}
criterion_main!(benches);
