//! Effective time (DEC58): it never runs back, not in a process and not over restarts, and nothing is deleted for expiry while
//! the clocks disagree.
//!
//! Everything that the past says about the present is one number, the *lead*: the greatest difference between wall clock and
//! boot clock ever seen (the saved mark counts as such a sight at start). Effective now is `boot + lead`, so a wall clock that is
//! set back slows nothing down and revives nothing, and a wall clock that is set forward counts at once.
//!
//! Deleting is another matter than refusing: a clock that was wrong for a minute must not empty the store. So a mark is saved
//! only once the wall clock has kept pace with the boot clock for ten minutes, and the purge deletes only what had expired by
//! the saved mark, while the two agree.

use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::Mutex;

use crate::time::Now;

/// How long the wall clock must have kept pace before it is believed for deletions, in milliseconds.
pub const STEADY_MS: u64 = 10 * 60 * 1000;
/// How often a mark is due, in milliseconds.
pub const MARK_EVERY_MS: u64 = 60 * 1000;
/// Difference between two clocks over one observation that still counts as keeping pace, in milliseconds.
const SLACK_MS: i64 = 1000;

/// The machine's clocks joined into one that never runs back. [`now_ms`](Clock::now_ms) is lock-free; the rest is for one
/// background task that calls [`observe`](Clock::observe) every few seconds.
#[derive(Debug)]
pub struct Clock {
    lead: AtomicI64,
    pace: Mutex<Pace>,
}

#[derive(Debug)]
struct Pace {
    last: Now,
    started_boot: u64,
    steady_since_boot: u64,
    marked_ms: Option<u64>,
    marked_boot: Option<u64>,
}

impl Clock {
    /// Starts from the mark that an earlier process saved, if any.
    #[must_use]
    pub fn new(saved: Option<u64>, now: Now) -> Self {
        let seen = saved.unwrap_or(0).max(now.wall_ms);
        Self {
            lead: AtomicI64::new(difference(seen, now.boot_ms)),
            pace: Mutex::new(Pace {
                last: now,
                started_boot: now.boot_ms,
                steady_since_boot: now.boot_ms,
                marked_ms: saved,
                marked_boot: None,
            }),
        }
    }

    /// Effective now in milliseconds since 1970. Calls made one after the other with growing boot times never give less.
    #[must_use]
    pub fn now_ms(&self, now: Now) -> u64 {
        let seen = difference(now.wall_ms, now.boot_ms);
        // Written only where it grows: every request on every core reads it.
        let known = self.lead.load(Ordering::Relaxed);
        let lead = if seen > known { self.lead.fetch_max(seen, Ordering::Relaxed).max(seen) } else { known };
        now.boot_ms.saturating_add_signed(lead)
    }

    /// Compares the pace of the two clocks; to be called every few seconds.
    pub fn observe(&self, now: Now) {
        let effective = self.now_ms(now);
        let mut pace = self.pace.lock();
        let wall = difference(now.wall_ms, pace.last.wall_ms);
        let boot = difference(now.boot_ms, pace.last.boot_ms);
        let kept = wall.saturating_sub(boot).saturating_abs() <= SLACK_MS;
        if !kept || !agree(effective, now) {
            pace.steady_since_boot = now.boot_ms;
        }
        pace.last = now;
    }

    /// The mark to save, when one is due: at most one a minute, none before ten steady minutes. The caller saves it durably and
    /// then calls [`marked`](Clock::marked).
    #[must_use]
    pub fn mark_due(&self, now: Now) -> Option<u64> {
        let effective = self.now_ms(now);
        let pace = self.pace.lock();
        let due = pace.marked_boot.is_none_or(|at| now.boot_ms.saturating_sub(at) >= MARK_EVERY_MS);
        (due && pace.steady(now) && agree(effective, now)).then_some(effective)
    }

    /// Notes that `mark` is saved durably.
    pub fn marked(&self, mark: u64, now: Now) {
        let mut pace = self.pace.lock();
        pace.marked_ms = Some(pace.marked_ms.unwrap_or(0).max(mark));
        pace.marked_boot = Some(now.boot_ms);
    }

    /// Whether nothing speaks against the clocks: they have kept pace for ten minutes, or since this process started. Enough for what can be undone; what
    /// cannot waits for [`purge_before`](Clock::purge_before).
    #[must_use]
    pub fn keeps_pace(&self, now: Now) -> bool {
        let effective = self.now_ms(now);
        let pace = self.pace.lock();
        let since_start = pace.steady_since_boot == pace.started_boot && pace.in_step(now);
        (since_start || pace.steady(now)) && agree(effective, now)
    }

    /// What expired before this time may be deleted; `None` while the clocks disagree or nothing has been saved in this process.
    #[must_use]
    pub fn purge_before(&self, now: Now) -> Option<u64> {
        let effective = self.now_ms(now);
        let pace = self.pace.lock();
        let may = pace.marked_boot.is_some() && pace.steady(now) && agree(effective, now);
        pace.marked_ms.filter(|_| may)
    }
}

impl Pace {
    fn steady(&self, now: Now) -> bool {
        self.in_step(now) && now.boot_ms.saturating_sub(self.steady_since_boot) >= STEADY_MS
    }

    /// No jump since the last observation: it must not slip through until the next one.
    fn in_step(&self, now: Now) -> bool {
        let wall = difference(now.wall_ms, self.last.wall_ms);
        let boot = difference(now.boot_ms, self.last.boot_ms);
        wall.saturating_sub(boot).saturating_abs() <= SLACK_MS
    }
}

fn agree(effective: u64, now: Now) -> bool {
    effective.saturating_sub(now.wall_ms) <= SLACK_MS.unsigned_abs()
}

fn difference(a: u64, b: u64) -> i64 {
    let clamp = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    clamp(a).saturating_sub(clamp(b))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use proptest::prelude::*;

    use super::*;

    const WALL: u64 = 1_800_000_000_000;

    fn at(wall_ms: u64, boot_ms: u64) -> Now {
        Now { wall_ms, boot_ms }
    }

    /// Both clocks run evenly for `ms`, observed every five seconds.
    fn run(clock: &Clock, from: Now, ms: u64) -> Now {
        let mut now = from;
        for step in 1..=ms / 5000 {
            now = at(from.wall_ms + step * 5000, from.boot_ms + step * 5000);
            clock.observe(now);
        }
        now
    }

    #[test]
    fn a_wall_clock_set_back_does_not_take_time_back() {
        let clock = Clock::new(None, at(WALL, 50));
        assert_eq!(clock.now_ms(at(WALL + 10, 60)), WALL + 10);
        assert_eq!(clock.now_ms(at(WALL - 3_600_000, 70)), WALL + 20);
    }

    #[test]
    fn a_wall_clock_set_forward_counts_at_once_and_for_good() {
        let clock = Clock::new(None, at(WALL, 0));
        assert_eq!(clock.now_ms(at(WALL + 86_400_000, 10)), WALL + 86_400_000);
        assert_eq!(clock.now_ms(at(WALL + 20, 20)), WALL + 86_400_010);
    }

    #[test]
    fn the_saved_mark_holds_over_a_restart_with_a_wrong_clock() {
        let clock = Clock::new(Some(WALL), at(1000, 7));
        assert_eq!(clock.now_ms(at(1500, 507)), WALL + 500);
    }

    #[test]
    fn no_mark_is_due_before_ten_steady_minutes_and_then_one_a_minute() {
        let start = at(WALL, 0);
        let clock = Clock::new(None, start);
        let nine = run(&clock, start, 9 * 60_000);
        assert_eq!(clock.mark_due(nine), None);
        let ten = run(&clock, nine, 60_000);
        assert_eq!(clock.mark_due(ten), Some(ten.wall_ms));
        assert_eq!(clock.purge_before(ten), None, "not saved yet");
        clock.marked(ten.wall_ms, ten);
        assert_eq!(clock.purge_before(ten), Some(ten.wall_ms));
        let soon = run(&clock, ten, 55_000);
        assert_eq!(clock.mark_due(soon), None);
        let later = run(&clock, soon, 5_000);
        assert_eq!(clock.mark_due(later), Some(later.wall_ms));
    }

    #[test]
    fn a_jump_stops_the_purge_for_ten_minutes() {
        let start = at(WALL, 0);
        let clock = Clock::new(None, start);
        let ten = run(&clock, start, STEADY_MS);
        clock.marked(ten.wall_ms, ten);
        let jumped = at(ten.wall_ms + 365 * 86_400_000, ten.boot_ms + 10);
        assert_eq!(clock.purge_before(jumped), None, "even before anybody observed it");
        clock.observe(jumped);
        assert_eq!(clock.purge_before(jumped), None);
        assert_eq!(clock.mark_due(run(&clock, jumped, STEADY_MS - 5000)), None);
    }

    #[test]
    fn the_clocks_keep_pace_until_one_jumps_and_again_after_ten_minutes() {
        let start = at(WALL, 0);
        let clock = Clock::new(None, start);
        assert!(clock.keeps_pace(start), "nothing speaks against a fresh start");
        let minute = run(&clock, start, 60_000);
        assert!(clock.keeps_pace(minute));
        let jumped = at(minute.wall_ms + 365 * 86_400_000, minute.boot_ms + 10);
        assert!(!clock.keeps_pace(jumped), "even before anybody observed it");
        clock.observe(jumped);
        assert!(!clock.keeps_pace(run(&clock, jumped, STEADY_MS - 5000)));
        assert!(clock.keeps_pace(run(&clock, jumped, STEADY_MS)));
        let behind = Clock::new(Some(WALL + 3_600_000), start);
        assert!(!behind.keeps_pace(start), "an earlier process saw a later time");
    }

    #[test]
    fn the_purge_holds_off_while_the_wall_clock_is_behind() {
        let start = at(WALL, 0);
        let clock = Clock::new(Some(WALL + 3_600_000), start);
        let later = run(&clock, start, STEADY_MS * 2);
        assert_eq!(clock.mark_due(later), None);
        assert_eq!(clock.purge_before(later), None);
    }

    proptest! {
        #[test]
        fn effective_time_never_runs_back(saved in proptest::option::of(0u64..u64::MAX), steps in proptest::collection::vec((any::<u64>(), 0u64..1_000_000_000), 1..50)) {
            let clock = Clock::new(saved, at(0, 0));
            let (mut boot, mut last) = (0u64, 0u64);
            for (wall, ahead) in steps {
                boot += ahead;
                let now = clock.now_ms(at(wall, boot));
                prop_assert!(now >= last);
                clock.observe(at(wall, boot));
                last = now;
            }
        }
    }
}
