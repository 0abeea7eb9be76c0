//! Checkpoints: the write-ahead log is copied into the data file beside the writer, on a connection and thread of its own.
//!
//! `PASSIVE` ones, which wait for nobody. Under steady load such a checkpoint never quite catches up, so that the log could not start over; when it has grown far,
//! the writer waits for one.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::file::connect;
use super::say;
use crate::OpenError;

/// How long the writer waits for a checkpoint.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct Checkpointer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    orders: Mutex<Orders>,
    asked: Condvar,
    done: Condvar,
}

#[derive(Default)]
struct Orders {
    asked: u64,
    done: u64,
    stop: bool,
    broken: Option<String>,
}

impl Checkpointer {
    pub(super) fn start(path: &Path, stop: impl Fn(&str) + Send + 'static) -> Result<Self, OpenError> {
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
            .map_err(|error| OpenError::Damaged { path: path.to_owned(), why: say(&error) })?;
        let shared = Arc::<Shared>::default();
        let inner = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("eartag-checkpoint".into())
            .spawn(move || run(&inner, &connection, stop))
            .map_err(|error| OpenError::Unavailable(format!("no thread could be started: {error}")))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Asks for a checkpoint beside the writer.
    pub(super) fn ask(&self) {
        let mut orders = self.shared.orders.lock();
        orders.asked = orders.asked.wrapping_add(1);
        self.shared.asked.notify_one();
    }

    /// Asks for a checkpoint that covers all that is written now, and waits for it.
    pub(super) fn run_now(&self) {
        let mut orders = self.shared.orders.lock();
        orders.asked = orders.asked.wrapping_add(1);
        let wanted = orders.asked;
        self.shared.asked.notify_one();
        while orders.done < wanted && !orders.stop && orders.broken.is_none() {
            if self.shared.done.wait_for(&mut orders, PATIENCE).timed_out() {
                return;
            }
        }
    }

    /// Why the file must not be written any more.
    pub(super) fn broken(&self) -> Option<String> {
        self.shared.orders.lock().broken.clone()
    }

    /// Ends the thread and waits for that.
    pub(super) fn stop(&mut self) {
        self.shared.orders.lock().stop = true;
        self.shared.asked.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(shared: &Shared, connection: &Connection, stop: impl Fn(&str)) {
    loop {
        let asked = {
            let mut orders = shared.orders.lock();
            while orders.asked == orders.done && !orders.stop {
                shared.asked.wait(&mut orders);
            }
            if orders.stop || orders.broken.is_some() {
                return;
            }
            orders.asked
        };
        let done = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, i64>(0));
        let broken = match done {
            Ok(_) => None,
            Err(error) => match error.sqlite_error_code() {
                // Nothing is lost: everything is still in the write-ahead log.
                Some(
                    ErrorCode::DiskFull
                    | ErrorCode::DatabaseBusy
                    | ErrorCode::DatabaseLocked
                    | ErrorCode::OutOfMemory,
                ) => {
                    tracing::warn!(why = say(&error), "a checkpoint has to wait");
                    None
                }
                // An fsync that failed here must never be repeated: the second one would report success for pages that were dropped.
                _ => {
                    Some(format!("a checkpoint failed ({}); restart once the cause is removed", say(&error)))
                }
            },
        };
        if let Some(why) = &broken {
            stop(why);
        }
        let mut orders = shared.orders.lock();
        orders.done = asked;
        orders.broken = broken;
        shared.done.notify_all();
    }
}
