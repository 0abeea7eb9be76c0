//! One connection's life: what runs on it, when it is idle, and how it ends.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use crate::guarded_body::GuardedBody;
use crate::listener::{Body, Limits};
use crate::shutdown::Shutdown;

/// A connection that was told to close and on which nothing runs is dropped after this: its client does not take the hint.
pub(crate) const CLOSE_GRACE: Duration = Duration::from_secs(5);

/// What runs on a connection.
pub(crate) struct Activity {
    opened: Instant,
    running: AtomicUsize,
    /// When a request last began or ended, in milliseconds since `opened`; 0: none has begun.
    last_ms: AtomicU64,
    close: Notify,
}

impl Default for Activity {
    fn default() -> Self {
        Self {
            opened: Instant::now(),
            running: AtomicUsize::new(0),
            last_ms: AtomicU64::new(0),
            close: Notify::new(),
        }
    }
}

impl Activity {
    /// A request begins; it runs until what this returns is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> Running {
        self.running.fetch_add(1, Ordering::Relaxed);
        self.touch();
        Running(Arc::clone(self))
    }

    fn touch(&self) {
        self.last_ms.store(self.age_ms().max(1), Ordering::Relaxed);
    }

    fn age_ms(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// How long the connection may stay as it is; `None`: its time is up.
    fn remaining(&self, limits: &Limits) -> Option<Duration> {
        if self.running.load(Ordering::Relaxed) > 0 {
            return Some(limits.idle);
        }
        let last = self.last_ms.load(Ordering::Relaxed);
        let limit = if last == 0 { limits.first_request } else { limits.idle };
        limit
            .checked_sub(Duration::from_millis(self.age_ms().saturating_sub(last)))
            .filter(|left| !left.is_zero())
    }
}

/// A request that runs: it ends when its reply was sent or given up.
pub(crate) struct Running(Arc<Activity>);

impl Running {
    /// Closes the connection once its replies are sent.
    pub(crate) fn close_afterwards(&self) {
        self.0.close.notify_one();
    }

    /// Counts the request as running until the body was sent.
    pub(crate) fn track(self, body: Body) -> GuardedBody<Running> {
        GuardedBody::new(body, self)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.touch();
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Runs a connection to its end: its client's doing, a limit, a reply that closes it, or the shutdown.
///
/// `close` asks it to end after the running replies (GOAWAY, or closing behind the reply).
pub(crate) async fn drive<C>(
    connection: C,
    close: fn(Pin<&mut C>),
    activity: &Activity,
    limits: &Limits,
    shutdown: &Shutdown,
) -> hyper::Result<()>
where
    C: Future<Output = hyper::Result<()>>,
{
    let mut connection = pin!(connection);
    let mut drained = pin!(shutdown.drained());
    let mut timer = pin!(sleep(limits.first_request));
    let mut closing = false;
    loop {
        let begin_closing = tokio::select! {
            result = connection.as_mut() => return result,
            () = drained.as_mut(), if !closing => true,
            () = activity.close.notified(), if !closing => true,
            () = timer.as_mut() => match activity.remaining(limits) {
                Some(left) if !closing => {
                    timer.as_mut().reset(Instant::now() + left);
                    false
                }
                _ if !closing => true,
                _ if activity.running.load(Ordering::Relaxed) > 0 => {
                    timer.as_mut().reset(Instant::now() + CLOSE_GRACE);
                    false
                }
                _ => return Ok(()),
            },
        };
        if begin_closing {
            closing = true;
            close(connection.as_mut());
            timer.as_mut().reset(Instant::now() + CLOSE_GRACE);
        }
    }
}
