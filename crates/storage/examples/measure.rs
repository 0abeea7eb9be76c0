//! Measures the sqlite engine: writes, start, memory. `cargo run --release -p eartag-storage --example measure -- DIR [COUNT]`
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a measurement"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use eartag_storage::*;

const TOKENS: CollectionId = CollectionId(1);

fn index<'a>(_: &'a [u8], value: &'a [u8]) -> Indexed<'a> {
    let expires = value.get(12..20).and_then(|e| e.try_into().ok()).map(u64::from_le_bytes);
    Indexed { owner: value.get(1..12), expires_ms: expires }
}

fn token(n: usize) -> Commit {
    let scattered = n.wrapping_mul(0x9e37_79b9) % (1 << 40);
    let mut value = vec![1u8; 240];
    value.splice(1..12, format!("u-{:09}", scattered % 10_000).bytes());
    value.splice(12..20, (1_700_000_000_000u64 + scattered as u64).to_le_bytes());
    let key = format!("token-{scattered:09x}").into_bytes();
    Commit { ops: vec![Op::Put { collection: TOKENS, key, value }], ..Commit::default() }
}

async fn open(file: &std::path::Path) -> Store {
    let tokens = Collection { id: TOKENS, name: "tokens", index };
    let engine = Box::new(Sqlite::new(file));
    Store::open(engine, vec![tokens], Arc::new(NoObserver), Options::default()).await.unwrap()
}

/// In ms: wall time says little on a machine that others use too.
fn cpu_ms() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    stat.split(' ').skip(13).take(2).map(|ticks| ticks.parse::<u64>().unwrap() * 10).sum()
}

fn resident_mb() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096 / 1_000_000
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut args = std::env::args().skip(1);
    let file = std::path::PathBuf::from(args.next().unwrap()).join("measure.db");
    let count: usize = args.next().map_or(1_000_000, |n| n.parse().unwrap());
    if !file.exists() {
        let store = open(&file).await;
        let start = Instant::now();
        let clients = 64;
        let tasks: Vec<_> = (0..clients)
            .map(|client| {
                let store = store.clone();
                tokio::spawn(async move {
                    let mut waits = Vec::new();
                    for n in (client..count).step_by(clients) {
                        let start = Instant::now();
                        store.commit(token(n)).await.unwrap();
                        waits.push(start.elapsed());
                    }
                    waits
                })
            })
            .collect();
        let mut waits: Vec<Duration> = Vec::new();
        for task in tasks {
            waits.extend(task.await.unwrap());
        }
        waits.sort();
        let rate = count as f64 / start.elapsed().as_secs_f64();
        println!(
            "{rate:.0} commits/s from {clients} clients, p50 {:?}, p99 {:?}, max {:?}",
            waits[waits.len() / 2],
            waits[waits.len() * 99 / 100],
            waits[waits.len() - 1]
        );
        store.close().await;
        println!("written; start again to measure a start");
        return;
    }
    let start = Instant::now();
    let store = open(&file).await;
    println!(
        "start: {:?} ({} ms of cpu) with {}, {} MB resident",
        start.elapsed(),
        cpu_ms(),
        store.count(TOKENS, &Scope::All),
        resident_mb()
    );
    for scope in [Scope::All, Scope::Owner(b"u-000000001".to_vec())] {
        let range =
            Range { collection: TOKENS, scope, after: Some(b"token-08".to_vec()), limit: 500, at: None };
        let start = Instant::now();
        let page = store.range(&range).unwrap();
        println!("page of {}: {:?}, remaining {:?}", page.entries.len(), start.elapsed(), page.remaining);
    }
    let start = Instant::now();
    store.backup(&file.with_extension("backup")).await.unwrap();
    println!("backup: {:?}", start.elapsed());
    std::fs::remove_file(file.with_extension("backup")).unwrap();
    let start = Instant::now();
    store.compact(store.revision()).await.unwrap();
    println!("compact: {:?}, {} MB resident", start.elapsed(), resident_mb());
    store.close().await;
}
