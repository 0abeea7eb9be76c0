//! What happens every few seconds: usage stamps and the time mark are saved, old history is let go.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use eartag_core::usage::Usage;
use eartag_storage::{Revision, Store};
use tokio::time::{Instant, interval};

use crate::shutdown::Shutdown;
use crate::world::SystemWorld;

/// The usage page that holds the time mark; real pages have small numbers.
const CLOCK_PAGE: u64 = 1 << 32;
/// Stamps are saved this often; a crash loses no more of them.
const FLUSH_EVERY: Duration = Duration::from_secs(5);
/// Lists and watches can go back this far, in samples of a minute each.
const KEPT_MINUTES: usize = 10;

/// The time mark among the usage pages.
pub fn saved_mark(pages: &[(u64, Vec<u8>)]) -> Option<u64> {
    let (_, body) = pages.iter().find(|(number, _)| *number == CLOCK_PAGE)?;
    Some(u64::from_le_bytes(body.as_slice().try_into().ok()?))
}

/// Runs until the server ends, and saves the last stamps then.
pub async fn run(store: Store, usage: Arc<Usage>, world: Arc<SystemWorld>, shutdown: Shutdown) {
    let mut ticks = interval(FLUSH_EVERY);
    let mut samples: VecDeque<(Instant, Revision)> = VecDeque::new();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shutdown.drained() => break,
        }
        world.clock.observe(world.now());
        flush(&store, &usage).await;
        mark(&store, &world).await;
        sample(&store, &mut samples).await;
    }
    flush(&store, &usage).await;
}

/// Saves the stamps that are new.
pub async fn flush(store: &Store, usage: &Usage) {
    let pages = usage.drain();
    if pages.is_empty() {
        return;
    }
    let numbers: Vec<u64> = pages.iter().map(|(number, _)| *number).collect();
    if let Err(error) = store.usage_save(pages).await {
        tracing::warn!(%error, "usage stamps were not saved and are kept for the next time");
        usage.mark_dirty(numbers);
    }
}

async fn mark(store: &Store, world: &SystemWorld) {
    if let Some(mark) = world.clock.mark_due(world.now()) {
        match store.usage_save(vec![(CLOCK_PAGE, mark.to_le_bytes().to_vec())]).await {
            Ok(()) => world.clock.marked(mark, world.now()),
            Err(error) => tracing::warn!(%error, "the time mark was not saved"),
        }
    }
}

/// Remembers which revision was current each minute, and compacts what is older than the oldest of them.
async fn sample(store: &Store, samples: &mut VecDeque<(Instant, Revision)>) {
    let now = Instant::now();
    if samples.back().is_some_and(|(at, _)| now.duration_since(*at) < Duration::from_secs(60)) {
        return;
    }
    samples.push_back((now, store.revision()));
    if samples.len() > KEPT_MINUTES
        && let Some((_, before)) = samples.pop_front()
        && before > store.oldest()
        && let Err(error) = store.compact(before).await
    {
        tracing::warn!(%error, "old history was not compacted");
    }
}
