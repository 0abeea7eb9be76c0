//! Decisions that were made lately, so that a cluster is not asked the same question all the time (kubernetes-api.md A33).
//!
//! A decision holds for ten seconds, whichever it is, as in Kubernetes' own servers. Because all hold equally long, the oldest is always the next to end, and
//! a queue is enough to find it.

use std::collections::{HashMap, VecDeque};

use eartag_apiserver::user::Decision;

/// A decision is good for this long, in milliseconds.
pub const LIFETIME_MS: u64 = 10_000;
/// Decisions that are kept.
const MOST: usize = 8192;

/// SHA-256 of a question as it is sent: questions can be long, and they name people.
pub type Key = [u8; 32];

/// What was decided, and when that ends.
#[derive(Debug, Default)]
pub struct Decisions {
    kept: HashMap<Key, (Decision, u64)>,
    oldest_first: VecDeque<(Key, u64)>,
}

impl Decisions {
    /// The decision about this question, if it still holds.
    #[must_use]
    pub fn get(&self, key: &Key, now_ms: u64) -> Option<Decision> {
        self.kept.get(key).filter(|(_, until)| now_ms < *until).map(|(decision, _)| decision.clone())
    }

    /// Keeps a decision. That nothing could be decided is not kept: the next one asks again.
    pub fn put(&mut self, key: Key, decision: &Decision, now_ms: u64) {
        if matches!(decision, Decision::Error(_)) {
            return;
        }
        self.forget(now_ms);
        let until = now_ms + LIFETIME_MS;
        self.kept.insert(key, (decision.clone(), until));
        self.oldest_first.push_back((key, until));
    }

    /// Drops what has ended, and the oldest where there is no room for another.
    fn forget(&mut self, now_ms: u64) {
        while let Some((key, until)) = self.oldest_first.front() {
            if *until > now_ms && self.oldest_first.len() < MOST {
                return;
            }
            // It may have been decided anew since.
            if self.kept.get(key).is_some_and(|(_, kept)| kept == until) {
                self.kept.remove(key);
            }
            self.oldest_first.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: usize) -> Key {
        let mut key = [0; 32];
        for (to, from) in key.iter_mut().zip(n.to_be_bytes()) {
            *to = from;
        }
        key
    }

    #[test]
    fn a_decision_holds_for_ten_seconds() {
        let mut decisions = Decisions::default();
        decisions.put(key(1), &Decision::Allow, 1000);
        decisions.put(key(2), &Decision::Deny("no".into()), 1000);
        assert_eq!(decisions.get(&key(1), 10_999), Some(Decision::Allow));
        assert_eq!(decisions.get(&key(2), 10_999), Some(Decision::Deny("no".into())));
        assert_eq!(decisions.get(&key(1), 11_000), None);
        assert_eq!(decisions.get(&key(3), 1000), None);
    }

    #[test]
    fn the_latest_decision_counts_and_ends_last() {
        let mut decisions = Decisions::default();
        decisions.put(key(1), &Decision::Allow, 0);
        decisions.put(key(1), &Decision::Deny(String::new()), 5000);
        assert_eq!(decisions.get(&key(1), 5000), Some(Decision::Deny(String::new())));
        decisions.put(key(2), &Decision::Allow, 12_000);
        assert_eq!(decisions.get(&key(1), 12_000), Some(Decision::Deny(String::new())));
    }

    #[test]
    fn an_error_is_not_kept() {
        let mut decisions = Decisions::default();
        decisions.put(key(1), &Decision::Error("x".into()), 0);
        assert_eq!(decisions.get(&key(1), 0), None);
    }

    #[test]
    fn there_is_room_for_a_bounded_number() {
        let mut decisions = Decisions::default();
        for n in 0..3 * MOST {
            decisions.put(key(n), &Decision::Allow, 0);
        }
        assert!(decisions.kept.len() <= MOST && decisions.oldest_first.len() <= MOST);
        assert_eq!(decisions.get(&key(0), 0), None);
        assert_eq!(decisions.get(&key(3 * MOST - 1), 0), Some(Decision::Allow));
        decisions.put(key(0), &Decision::Allow, LIFETIME_MS);
        assert_eq!((decisions.kept.len(), decisions.oldest_first.len()), (1, 1));
    }
}
