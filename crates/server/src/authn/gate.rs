//! What authentication keeps in memory: the bounded pool of slow hashes, what they found, the throttles, and the index of login names.

use eartag_core::verifier::SlowMemory;

use super::pool::SlowPool;
use super::usernames::Usernames;
use crate::throttle::{Limits, Throttle};

/// One per process, shared by all doors.
pub struct Gate {
    /// Login names; follows the store.
    pub usernames: Usernames,
    /// Where PBKDF2, bcrypt and scrypt run.
    pub pool: SlowPool,
    /// Failed logins (DEC53).
    pub logins: Throttle,
    /// Failed checks of `$1` tokens, per name and address (DEC30).
    pub slow_failures: Throttle,
    /// `$1` checks that succeeded once, as fingerprints under a key of this process.
    pub slow_memory: SlowMemory,
}

impl Gate {
    /// Empty; `key` is random and new in each process.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Gate {
        Gate {
            usernames: Usernames::default(),
            pool: SlowPool::default(),
            logins: Throttle::new(Limits::LOGIN),
            slow_failures: Throttle::new(Limits::SLOW_HASH),
            slow_memory: SlowMemory::new(key),
        }
    }
}
