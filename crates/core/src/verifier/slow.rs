//! Checks that cost too much to be made in passing: `$1` hashes, about 110 ms and 32 MiB each (DEC30).

use std::collections::HashMap;
use std::fmt;

use eartag_api::meta::Uid;
use parking_lot::Mutex;
use subtle::ConstantTimeEq;

use super::{Place, Presented};
use crate::face::Face;
use crate::hash::SecretHash;
use crate::secret::PlainSecret;

/// Everything that a slow check needs to run elsewhere. It holds the presented secret, wiped on drop.
pub struct SlowCheck {
    face: Face,
    name: String,
    secret: PlainSecret,
    cluster: OwnedPlace,
    uid: Uid,
    hash: SecretHash,
}

enum OwnedPlace {
    Global,
    Cluster(String),
    Any,
}

impl SlowCheck {
    pub(super) fn new(presented: &Presented<'_>, place: Place<'_>, uid: Uid, hash: SecretHash) -> Self {
        let cluster = match place {
            Place::Global => OwnedPlace::Global,
            Place::Cluster(id) => OwnedPlace::Cluster(id.to_owned()),
            Place::Any => OwnedPlace::Any,
        };
        let secret = PlainSecret::new(presented.secret());
        Self { face: presented.face, name: presented.name.to_owned(), secret, cluster, uid, hash }
    }

    /// Computes the hash and compares. Takes about 110 ms and 32 MiB.
    #[must_use]
    pub fn run(&self) -> bool {
        self.hash.verify(self.secret.expose())
    }

    /// A keyed fingerprint of (stored hash, presented secret): what a process may keep to know a success again.
    #[must_use]
    pub fn fingerprint(&self, key: &[u8; 32]) -> [u8; 32] {
        self.hash.fingerprint(key, self.secret.expose())
    }

    /// The token's face.
    #[must_use]
    pub const fn face(&self) -> Face {
        self.face
    }

    /// The token's name: failures are limited by it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The token's uid.
    #[must_use]
    pub const fn uid(&self) -> Uid {
        self.uid
    }

    pub(super) const fn hash(&self) -> &SecretHash {
        &self.hash
    }

    pub(super) fn place(&self) -> Place<'_> {
        match &self.cluster {
            OwnedPlace::Global => Place::Global,
            OwnedPlace::Cluster(id) => Place::Cluster(id),
            OwnedPlace::Any => Place::Any,
        }
    }
}

impl fmt::Debug for SlowCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SlowCheck({}{}:…)", self.face.prefix(), self.name)
    }
}

/// What a process remembers of slow checks: successes, so that each is paid once, and failures, so that nobody can keep the pool
/// busy by guessing. It holds keyed fingerprints only.
///
/// ```text
/// Slow(check) ── memory.knows(check) ── yes ─► verifier.finish(check, true, now)
///      │ no
///      └─ memory.may_try(check, now) ── no ─► refuse
///                │ yes
///                └─ pool: check.run() ─► memory.settle(check, matched, now) ─► verifier.finish(check, matched, now)
/// ```
pub struct SlowMemory {
    key: [u8; 32],
    inner: Mutex<HashMap<Uid, Known>>,
}

#[derive(Default)]
struct Known {
    success: Option<[u8; 32]>,
    failures: u32,
    since_ms: u64,
}

/// Failures per token and minute.
const FAILURES: u32 = 5;
const WINDOW_MS: u64 = 60_000;
/// Tokens remembered at most: about 6 MB.
const MOST: usize = 65_536;

impl SlowMemory {
    /// Takes a random key, fresh in each process.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self { key, inner: Mutex::default() }
    }

    /// Whether this very check has succeeded before.
    #[must_use]
    pub fn knows(&self, check: &SlowCheck) -> bool {
        let print = check.fingerprint(&self.key);
        let known = self.inner.lock().get(&check.uid()).and_then(|known| known.success);
        known.is_some_and(|known| known.ct_eq(&print).into())
    }

    /// Whether the token still has failures to spend in this minute.
    #[must_use]
    pub fn may_try(&self, check: &SlowCheck, now_ms: u64) -> bool {
        let inner = self.inner.lock();
        inner.get(&check.uid()).is_none_or(|known| {
            known.failures < FAILURES || now_ms.saturating_sub(known.since_ms) >= WINDOW_MS
        })
    }

    /// Notes how a check ended.
    pub fn settle(&self, check: &SlowCheck, matched: bool, now_ms: u64) {
        let print = matched.then(|| check.fingerprint(&self.key));
        let mut inner = self.inner.lock();
        if inner.len() >= MOST && !inner.contains_key(&check.uid()) {
            // Nothing is worth keeping in order: what is forgotten is paid for once more.
            inner.clear();
        }
        let known = inner.entry(check.uid()).or_default();
        match print {
            Some(print) => known.success = Some(print),
            None => {
                if now_ms.saturating_sub(known.since_ms) >= WINDOW_MS {
                    (known.failures, known.since_ms) = (0, now_ms);
                }
                known.failures = known.failures.saturating_add(1);
            }
        }
    }
}

impl fmt::Debug for SlowMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SlowMemory")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    fn check(secret: &str) -> SlowCheck {
        let text = format!("token-a:{secret}");
        let hash = SecretHash::Scrypt { salt: [1; 8], key: [2; 64] };
        SlowCheck::new(&Presented::parse(&text).unwrap(), Place::Global, Uid::from_random([1; 16]), hash)
    }

    #[test]
    fn a_success_is_paid_once_and_holds_for_that_secret_only() {
        let memory = SlowMemory::new([9; 32]);
        assert!(!memory.knows(&check("good")));
        memory.settle(&check("good"), true, 0);
        assert!(memory.knows(&check("good")));
        assert!(!memory.knows(&check("bad")));
    }

    #[test]
    fn failures_are_limited_by_token_and_minute() {
        let memory = SlowMemory::new([9; 32]);
        for _ in 0..FAILURES {
            assert!(memory.may_try(&check("bad"), 1_000_000));
            memory.settle(&check("bad"), false, 1_000_000);
        }
        assert!(!memory.may_try(&check("other"), 1_000_000 + WINDOW_MS - 1));
        assert!(memory.may_try(&check("other"), 1_000_000 + WINDOW_MS));
        memory.settle(&check("bad"), false, 1_000_000 + WINDOW_MS);
        assert!(memory.may_try(&check("bad"), 1_000_001 + WINDOW_MS));
    }

    #[test]
    fn a_remembered_success_outlasts_failures() {
        let memory = SlowMemory::new([9; 32]);
        memory.settle(&check("good"), true, 0);
        for _ in 0..10 {
            memory.settle(&check("bad"), false, 1);
        }
        assert!(memory.knows(&check("good")));
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", check("hunter2")), "SlowCheck(token-a:…)");
    }
}
