//! Where slow hashes run: PBKDF2 of passwords and scrypt of `$1` tokens take 0.1 to 0.2 s of a core each, so one runs at a time, off the async threads, and
//! only so many wait (DESIGN §4).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;

/// Requests that may wait for their turn.
const QUEUE: usize = 64;
/// How long one may wait.
const PATIENCE: Duration = Duration::from_secs(15);

/// The pool.
pub struct SlowPool {
    turn: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    queue: usize,
    patience: Duration,
}

/// Too many are waiting; worth trying again in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

impl Default for SlowPool {
    fn default() -> SlowPool {
        SlowPool::new(QUEUE, PATIENCE)
    }
}

impl SlowPool {
    fn new(queue: usize, patience: Duration) -> SlowPool {
        SlowPool { turn: Arc::new(Semaphore::new(1)), waiting: Arc::default(), queue, patience }
    }

    /// Runs `work` when it is its turn. A caller who goes away while it runs does not free the turn before it ends.
    ///
    /// # Errors
    /// [`Busy`]: the queue is full, or it took too long.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let place = Place::take(&self.waiting, self.queue).ok_or(Busy)?;
        let turn = Arc::clone(&self.turn).acquire_owned();
        let turn = tokio::time::timeout(self.patience, turn).await.map_err(|_| Busy)?.map_err(|_| Busy)?;
        drop(place);
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        done.await.map_err(|error| {
            tracing::error!(%error, "a slow hash did not finish");
            Busy
        })
    }
}

struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(waiting: &Arc<AtomicUsize>, most: usize) -> Option<Place> {
        let place = Place(Arc::clone(waiting));
        // Counted before it is judged: the guard takes the count back in both cases.
        (waiting.fetch_add(1, Ordering::Relaxed) < most).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn one_runs_at_a_time() {
        let pool = Arc::new(SlowPool::default());
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (pool, running, most) = (Arc::clone(&pool), Arc::clone(&running), Arc::clone(&most));
            tasks.spawn(async move {
                pool.run(move || {
                    most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(5));
                    running.fetch_sub(1, Ordering::SeqCst);
                })
                .await
            });
        }
        while let Some(done) = tasks.join_next().await {
            assert_eq!(done.unwrap(), Ok(()));
        }
        assert_eq!(most.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_full_queue_turns_away_at_once_and_recovers() {
        let pool = Arc::new(SlowPool::new(1, Duration::from_secs(60)));
        let (release, held) = mpsc::channel::<()>();
        let (started, has_started) = tokio::sync::oneshot::channel();
        let first = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move {
                pool.run(move || {
                    started.send(()).unwrap();
                    held.recv().unwrap();
                })
                .await
            }
        });
        has_started.await.unwrap();
        let second = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move { pool.run(|| 2).await }
        });
        while pool.waiting.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.run(|| 3).await, Err(Busy));
        release.send(()).unwrap();
        assert_eq!(first.await.unwrap(), Ok(()));
        assert_eq!(second.await.unwrap(), Ok(2));
        assert_eq!(pool.run(|| 4).await, Ok(4));
    }

    #[tokio::test]
    async fn a_panic_frees_the_turn() {
        let pool = SlowPool::default();
        assert_eq!(pool.run(|| panic!("boom")).await.map(|()| 1), Err(Busy));
        assert_eq!(pool.run(|| 4).await, Ok(4));
    }
}
