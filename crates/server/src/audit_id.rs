//! What a request is called in every log that it appears in, ours and those of the clusters behind us.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use eartag_api::meta::Uid;
use http::HeaderValue;

/// Gives ids: random to look at, and different from all that this or another process gives. They are no secrets, so none costs a call of the system.
pub(crate) struct AuditIds {
    /// Keyed at random in each process.
    halves: [RandomState; 2],
    given: AtomicU64,
}

impl AuditIds {
    pub(crate) fn new() -> AuditIds {
        AuditIds { halves: [RandomState::new(), RandomState::new()], given: AtomicU64::new(0) }
    }

    /// The next one.
    pub(crate) fn next(&self) -> HeaderValue {
        let number = self.given.fetch_add(1, Ordering::Relaxed);
        let [high, low] = self.halves.each_ref().map(|keyed| u128::from(keyed.hash_one(number)));
        let id = Uid::from_random((high << 64 | low).to_be_bytes()).to_string();
        HeaderValue::try_from(id).unwrap_or_else(|_| HeaderValue::from_static("-"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_requests_have_the_same_id() {
        let (one, other) = (AuditIds::new(), AuditIds::new());
        let ids: HashSet<_> = (0..1000).flat_map(|_| [one.next(), other.next()]).collect();
        assert_eq!(ids.len(), 2000);
        assert!(ids.iter().all(|id| id.len() == 36), "of the form of a UUID");
    }
}
