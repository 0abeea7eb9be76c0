//! Waiting for what happens soon.

use std::time::{Duration, Instant};

/// How long to wait for what takes a moment. It costs nothing where things go well, so it is far beyond what the slowest and busiest machine needs: whoever waits
/// so long waits for ever.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Between two questions at first, and at most: to ask takes time from who is waited for.
const SOONEST: Duration = Duration::from_millis(20);
const LATEST: Duration = Duration::from_millis(200);

/// Asks again and again until there is an answer.
///
/// # Panics
/// When there is none in time; `what` says what was waited for.
#[track_caller]
pub fn until<T>(what: &str, at_most: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    let mut pause = SOONEST;
    loop {
        // Before the question: a machine that stood still meanwhile is asked once more.
        let over = start.elapsed() >= at_most;
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(!over, "waited {at_most:?} for {what}");
        std::thread::sleep(pause);
        pause = (pause * 5 / 4).min(LATEST);
    }
}
