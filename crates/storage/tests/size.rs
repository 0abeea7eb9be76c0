//! What a hundred thousand tokens take in memory, measured with the real store. In a file of its own, because the allocator counts the whole process.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use std::alloc::System;
use std::sync::Arc;

use eartag_storage::*;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const TOKENS: CollectionId = CollectionId(1);
const COUNT: usize = 100_000;

/// As a token's record: an owner near its start, an expiry after it.
fn index<'a>(_: &'a [u8], value: &'a [u8]) -> Indexed<'a> {
    let expires = value.get(12..20).and_then(|e| e.try_into().ok()).map(u64::from_le_bytes);
    Indexed { owner: value.get(1..12), expires_ms: expires }
}

fn token(n: usize) -> Commit {
    // Scattered names and expiries, a thousand owners.
    let scattered = n.wrapping_mul(0x9e37_79b9) % (1 << 30);
    let mut value = vec![1u8; 240];
    value.splice(1..12, format!("u-{:09}", scattered % 1000).bytes());
    value.splice(12..20, (1_700_000_000_000u64 + scattered as u64).to_le_bytes());
    let key = format!("token-{scattered:06x}").into_bytes();
    Commit { ops: vec![Op::Put { collection: TOKENS, key, value }], ..Commit::default() }
}

async fn open(engine: Box<dyn Engine>) -> Store {
    let tokens = Collection { id: TOKENS, name: "tokens", index };
    Store::open(engine, vec![tokens], Arc::new(NoObserver), Options::default()).await.unwrap()
}

async fn fill(store: &Store) {
    for first in (0..COUNT).step_by(500) {
        let commit = |n: usize| {
            let store = store.clone();
            tokio::spawn(async move { store.commit(token(n)).await.unwrap() })
        };
        for task in (first..first + 500).map(commit).collect::<Vec<_>>() {
            task.await.unwrap();
        }
    }
    assert_eq!(store.count(TOKENS, &Scope::All), COUNT as u64);
}

fn grown(region: &Region<'_, System>) -> usize {
    let stats = region.change();
    usize::try_from(
        i64::try_from(stats.bytes_allocated).unwrap() - i64::try_from(stats.bytes_deallocated).unwrap(),
    )
    .unwrap()
}

fn check(what: &str, bytes: usize) {
    println!("{what}: {} bytes a token", bytes / COUNT);
    assert!(bytes < 45_000_000, "{what}: {bytes} bytes for {COUNT} tokens");
}

#[test]
fn a_hundred_thousand_tokens_fit_in_45_megabytes() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let region = Region::new(ALLOCATOR);
        let store = open(Box::new(Memory::new())).await;
        fill(&store).await;
        check("created one by one", grown(&region));
        store.close().await;
        drop(store);

        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("data.db");
        let store = open(Box::new(Sqlite::new(&file))).await;
        fill(&store).await;
        store.close().await;
        drop(store);
        let region = Region::new(ALLOCATOR);
        let store = open(Box::new(Sqlite::new(&file))).await;
        assert_eq!(store.count(TOKENS, &Scope::All), COUNT as u64);
        check("loaded", grown(&region));
        store.compact(store.revision()).await.unwrap();
        let without_history = grown(&region);
        check("without history", without_history);
        assert!(without_history < 38_000_000, "{without_history}");
        store.close().await;
    });
}
