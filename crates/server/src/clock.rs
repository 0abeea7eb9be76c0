//! The clocks and the randomness of the process: the only place that asks for them. Everything else takes them as arguments.

use std::time::{Duration, UNIX_EPOCH};

use eartag_core::time::Now;
use rustix::time::{ClockId, clock_gettime};

/// Reads the machine's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl SystemClock {
    /// The wall clock and the time since boot (which also counts while the machine sleeps), both in milliseconds.
    ///
    /// These are raw readings: the time that may never run back (DEC58) is made from them by `eartag_core`.
    #[must_use]
    pub fn now(&self) -> Now {
        Now { wall_ms: wall_ms(), boot_ms: u64::try_from(self.uptime().as_millis()).unwrap_or(u64::MAX) }
    }

    /// Time since boot: for measuring how long something took.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        #[cfg(target_os = "linux")]
        const CLOCK: ClockId = ClockId::Boottime;
        #[cfg(not(target_os = "linux"))]
        const CLOCK: ClockId = ClockId::Monotonic;
        let time = clock_gettime(CLOCK);
        Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
    }

    /// The wall clock in whole seconds since 1970, as certificates count.
    #[must_use]
    pub fn wall_s(&self) -> i64 {
        i64::try_from(wall_ms() / 1000).unwrap_or(i64::MAX)
    }
}

/// Fills `out` with bytes from the operating system's generator.
///
/// A system without randomness must not issue secrets, so the process ends if there is none; Linux fails here only before its first entropy.
pub fn fill_random(out: &mut [u8]) {
    if let Err(error) = getrandom::fill(out) {
        tracing::error!(%error, "the operating system gives no random bytes");
        std::process::abort();
    }
}

fn wall_ms() -> u64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the wiring that all other code takes its time from"
    )]
    let now = std::time::SystemTime::now();
    // A clock before 1970 reads as 1970: expiry then waits for the saved mark, which is what DEC58 is for.
    now.duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_move_forward() {
        let a = SystemClock.now();
        std::thread::sleep(std::time::Duration::from_millis(5));
        let b = SystemClock.now();
        assert!(a.wall_ms > 1_700_000_000_000, "{}", a.wall_ms);
        assert!(b.boot_ms >= a.boot_ms + 5, "{} {}", a.boot_ms, b.boot_ms);
    }

    #[test]
    fn random_bytes_differ() {
        let (mut a, mut b) = ([0u8; 32], [0u8; 32]);
        fill_random(&mut a);
        fill_random(&mut b);
        assert_ne!(a, b);
    }
}
