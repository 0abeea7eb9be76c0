//! The end of the process, told to everybody at once.
//!
//! ```text
//! SIGTERM, SIGINT → Draining: /readyz fails, no new connections, running requests finish, watches end → exit 0
//! a second signal → Now: every connection is dropped
//! ```

use tokio::sync::watch;

/// How far the shutdown has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Running,
    Draining,
    Now,
}

/// Starts the shutdown. When it is dropped, nothing can start it any more and waiting for it never ends.
#[derive(Debug)]
pub struct ShutdownTrigger(watch::Sender<Phase>);

/// Tells when the server is to stop. Cheap to clone; every long-running reply (a watch) holds one.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Receiver<Phase>);

/// A trigger and what listens to it.
#[must_use]
pub fn channel() -> (ShutdownTrigger, Shutdown) {
    let (sender, receiver) = watch::channel(Phase::Running);
    (ShutdownTrigger(sender), Shutdown(receiver))
}

impl ShutdownTrigger {
    /// Asks everybody to finish what runs and take nothing new.
    pub fn drain(&self) {
        self.raise(Phase::Draining);
    }

    /// Asks everybody to drop what runs.
    pub fn now(&self) {
        self.raise(Phase::Now);
    }

    fn raise(&self, to: Phase) {
        self.0.send_if_modified(|phase| {
            let later = *phase < to;
            if later {
                *phase = to;
            }
            later
        });
    }
}

impl Shutdown {
    /// Whether the server is stopping: for `/readyz`.
    #[must_use]
    pub fn requested(&self) -> bool {
        *self.0.borrow() >= Phase::Draining
    }

    /// Resolves when the server begins to stop; at once when it has. Cancel-safe.
    pub async fn drained(&self) {
        self.reached(Phase::Draining).await;
    }

    /// Resolves when the server must stop without waiting for anything. Cancel-safe.
    pub async fn immediate(&self) {
        self.reached(Phase::Now).await;
    }

    async fn reached(&self, phase: Phase) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|now| *now >= phase).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Turns SIGTERM and SIGINT into a shutdown: the first drains, the second ends at once. They are caught from this call on, also before what it returns is polled
/// for the first time; that runs until it is dropped.
///
/// # Errors
/// When the signals cannot be caught.
pub fn on_signals(trigger: ShutdownTrigger) -> std::io::Result<impl Future<Output = ()> + Send> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        for nth in 1..=2 {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            if nth == 1 {
                tracing::info!(signal = name, "stopping: running requests may finish");
                trigger.drain();
            } else {
                tracing::warn!(signal = name, "stopping at once");
                trigger.now();
            }
        }
        // The trigger stays alive, so that whoever still waits is not told anything else.
        std::future::pending().await
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    #[tokio::test]
    async fn the_phases_only_go_forward() {
        let (trigger, shutdown) = channel();
        assert!(!shutdown.requested());
        trigger.now();
        trigger.drain();
        shutdown.drained().await;
        shutdown.immediate().await;
        assert!(shutdown.requested());
    }

    #[tokio::test]
    async fn draining_is_not_yet_the_end() {
        let (trigger, shutdown) = channel();
        trigger.drain();
        shutdown.drained().await;
        let waited = tokio::time::timeout(std::time::Duration::from_millis(20), shutdown.immediate()).await;
        assert!(waited.is_err());
    }
}
