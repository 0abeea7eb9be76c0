//! Slows down guessing (DEC53): failures only, counted per account and address, in a table of bounded size.
//!
//! Three leaky buckets are asked in turn: one for the pair of account and address, one for the address, and one for everybody. The last one refuses only
//! pairs that have failed before, so that nobody can lock the admin out for others: a first attempt from an address of one's own always gets through to
//! the password check (whose own queue is bounded too).
//!
//! An attempt is charged when it begins and given back when it succeeds; charging at the end would let a thousand guesses in at once.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;

use parking_lot::Mutex;

/// How fast failures are forgiven.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Failures in a row before attempts are refused.
    pub burst: u32,
    /// Milliseconds until one failure is forgiven.
    pub every_ms: u64,
}

/// The limits of a [`Throttle`].
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For one account from one address.
    pub pair: Rate,
    /// For one address (of IPv6, its /64), whatever the account.
    pub address: Rate,
    /// For all pairs that have failed before.
    pub all: Rate,
    /// Buckets that are remembered.
    pub entries: usize,
}

impl Limits {
    /// For passwords: ten wrong ones, then one each six seconds.
    pub const LOGIN: Limits = Limits {
        pair: Rate { burst: 10, every_ms: 6_000 },
        address: Rate { burst: 100, every_ms: 1_000 },
        all: Rate { burst: 600, every_ms: 100 },
        entries: 65_536,
    };
    /// For `$1` hashes, each of which costs 110 ms (DESIGN §4).
    pub const SLOW_HASH: Limits = Limits {
        pair: Rate { burst: 5, every_ms: 30_000 },
        address: Rate { burst: 20, every_ms: 5_000 },
        all: Rate { burst: 60, every_ms: 1_000 },
        entries: 65_536,
    };
}

/// How long to wait before the next attempt, in seconds, at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfter(pub u32);

/// Counts failures.
pub struct Throttle {
    limits: Limits,
    hasher: RandomState,
    buckets: Mutex<Buckets>,
}

/// One attempt that was charged as if it had failed.
#[must_use = "an attempt that is not told to have succeeded stays charged"]
pub struct Attempt<'t> {
    throttle: &'t Throttle,
    pair: u64,
    address: u64,
}

impl Throttle {
    /// An empty table.
    #[must_use]
    pub fn new(limits: Limits) -> Throttle {
        Throttle { limits, hasher: RandomState::new(), buckets: Mutex::default() }
    }

    /// Begins an attempt on `account` from `address`, or says when to come back. A refused attempt costs nothing.
    ///
    /// # Errors
    /// One of the buckets is full.
    pub fn begin(&self, account: &str, address: IpAddr, now_ms: u64) -> Result<Attempt<'_>, RetryAfter> {
        let network = network(address);
        let pair = self.hasher.hash_one((account, network)) | 1;
        let address = self.hasher.hash_one(network) & !1;
        let mut buckets = self.buckets.lock();
        let full = [
            (buckets.level(pair), self.limits.pair, true),
            (buckets.level(address), self.limits.address, true),
            (buckets.all, self.limits.all, buckets.level(pair) > now_ms),
        ];
        let wait = full
            .iter()
            .filter(|(.., counts)| *counts)
            .map(|(level, rate, _)| rate.wait(*level, now_ms))
            .max();
        if let Some(wait) = wait.filter(|wait| *wait > 0) {
            let seconds = u32::try_from(wait.div_ceil(1000)).unwrap_or(u32::MAX);
            return Err(RetryAfter(seconds.max(1)));
        }
        buckets.charge(pair, self.limits.pair, now_ms, self.limits.entries);
        buckets.charge(address, self.limits.address, now_ms, self.limits.entries);
        buckets.all = self.limits.all.charged(buckets.all, now_ms);
        drop(buckets);
        Ok(Attempt { throttle: self, pair, address })
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let buckets = self.buckets.lock();
        buckets.young.len() + buckets.old.len()
    }
}

impl Attempt<'_> {
    /// The attempt was no guess: the pair is forgiven everything, the wider buckets this one attempt.
    pub fn succeeded(self) {
        let limits = &self.throttle.limits;
        let mut buckets = self.throttle.buckets.lock();
        buckets.young.remove(&self.pair);
        buckets.old.remove(&self.pair);
        buckets.refund(self.address, limits.address);
        buckets.all = buckets.all.saturating_sub(limits.all.every_ms);
    }

    /// Nothing was learnt about the guess (the server failed): it costs nothing.
    pub fn undecided(self) {
        let limits = &self.throttle.limits;
        let mut buckets = self.throttle.buckets.lock();
        buckets.refund(self.pair, limits.pair);
        buckets.refund(self.address, limits.address);
        buckets.all = buckets.all.saturating_sub(limits.all.every_ms);
    }
}

impl Rate {
    /// Milliseconds until a bucket that is empty at `level` takes another failure.
    fn wait(self, level: u64, now_ms: u64) -> u64 {
        let room = self.every_ms.saturating_mul(u64::from(self.burst.saturating_sub(1)));
        level.saturating_sub(now_ms).saturating_sub(room)
    }

    fn charged(self, level: u64, now_ms: u64) -> u64 {
        level.max(now_ms).saturating_add(self.every_ms)
    }
}

/// A bucket is one number: the time at which all its failures are forgiven.
///
/// Two generations bound the table: when the young one is half of what is allowed it becomes the old one. What falls out then has not failed for at least
/// as long as it takes to fill half a table, which the address and global rates make long.
#[derive(Default)]
struct Buckets {
    young: HashMap<u64, u64>,
    old: HashMap<u64, u64>,
    all: u64,
}

impl Buckets {
    fn level(&self, key: u64) -> u64 {
        self.young.get(&key).or_else(|| self.old.get(&key)).copied().unwrap_or(0)
    }

    fn charge(&mut self, key: u64, rate: Rate, now_ms: u64, entries: usize) {
        let level = rate.charged(self.level(key), now_ms);
        if self.young.len() >= entries / 2 && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, level);
    }

    fn refund(&mut self, key: u64, rate: Rate) {
        for generation in [&mut self.young, &mut self.old] {
            if let Some(level) = generation.get_mut(&key) {
                *level = level.saturating_sub(rate.every_ms);
            }
        }
    }
}

/// Whoever has an IPv6 address has its whole /64.
fn network(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(v4) => u128::from(v4.to_ipv6_mapped()),
        IpAddr::V6(v6) => u128::from(v6) >> 64 << 64,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    const NOW: u64 = 1_800_000_000_000;
    const LIMITS: Limits = Limits {
        pair: Rate { burst: 3, every_ms: 10_000 },
        address: Rate { burst: 5, every_ms: 1_000 },
        all: Rate { burst: 8, every_ms: 100 },
        entries: 1000,
    };

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn fail(throttle: &Throttle, account: &str, address: &str, now_ms: u64) -> Result<(), RetryAfter> {
        throttle.begin(account, ip(address), now_ms).map(drop)
    }

    #[test]
    fn after_a_burst_of_failures_one_has_to_wait() {
        let throttle = Throttle::new(LIMITS);
        for _ in 0..3 {
            assert_eq!(fail(&throttle, "admin", "1.1.1.1", NOW), Ok(()));
        }
        assert_eq!(fail(&throttle, "admin", "1.1.1.1", NOW), Err(RetryAfter(10)));
        assert_eq!(fail(&throttle, "admin", "1.1.1.1", NOW + 9_001), Err(RetryAfter(1)));
        assert_eq!(fail(&throttle, "admin", "1.1.1.1", NOW + 10_000), Ok(()));
        assert!(fail(&throttle, "admin", "1.1.1.1", NOW + 10_000).is_err());
    }

    #[test]
    fn others_are_not_locked_out_by_failures_from_elsewhere() {
        let throttle = Throttle::new(LIMITS);
        for i in 0..100 {
            let _ = fail(&throttle, "admin", &format!("9.9.9.{i}"), NOW);
            let _ = fail(&throttle, "admin", &format!("9.9.9.{i}"), NOW);
        }
        assert!(fail(&throttle, "admin", "9.9.9.0", NOW).is_err());
        assert!(fail(&throttle, "admin", "1.1.1.1", NOW).is_ok());
    }

    #[test]
    fn one_address_cannot_try_many_accounts() {
        let throttle = Throttle::new(LIMITS);
        let through = (0..50).filter(|i| fail(&throttle, &format!("u{i}"), "1.1.1.1", NOW).is_ok()).count();
        assert_eq!(through, 5);
    }

    #[test]
    fn an_ipv6_host_is_its_whole_network() {
        let throttle = Throttle::new(LIMITS);
        let through =
            (0..50).filter(|i| fail(&throttle, "admin", &format!("2001:db8::{i}"), NOW).is_ok()).count();
        assert_eq!(through, 3);
        assert!(fail(&throttle, "admin", "2001:db8:0:1::1", NOW).is_ok());
    }

    #[test]
    fn success_forgives_the_failures_before_it() {
        let throttle = Throttle::new(LIMITS);
        for _ in 0..2 {
            fail(&throttle, "admin", "1.1.1.1", NOW).unwrap();
        }
        throttle.begin("admin", ip("1.1.1.1"), NOW).map(Attempt::succeeded).unwrap();
        assert_eq!((0..10).filter(|_| fail(&throttle, "admin", "1.1.1.1", NOW).is_ok()).count(), 3);
    }

    #[test]
    fn attempts_that_succeed_or_are_undecided_cost_nothing() {
        let throttle = Throttle::new(LIMITS);
        for _ in 0..1000 {
            throttle.begin("admin", ip("1.1.1.1"), NOW).map(Attempt::succeeded).unwrap();
        }
        for _ in 0..1000 {
            throttle.begin("admin", ip("1.1.1.1"), NOW).map(Attempt::undecided).unwrap();
        }
        assert!(fail(&throttle, "admin", "1.1.1.1", NOW).is_ok());
    }

    #[test]
    fn guesses_at_the_same_time_are_all_charged() {
        let throttle = Throttle::new(LIMITS);
        let open: Vec<_> = (0..10).map(|_| throttle.begin("admin", ip("1.1.1.1"), NOW)).collect();
        assert_eq!(open.iter().filter(|a| a.is_ok()).count(), 3);
    }

    #[test]
    fn the_table_stays_bounded() {
        let throttle = Throttle::new(LIMITS);
        for i in 0..100_000u32 {
            let address = IpAddr::V4(i.into());
            let _ = throttle.begin("admin", address, NOW + u64::from(i) * 1000);
        }
        assert!(throttle.len() <= 1000, "{}", throttle.len());
    }
}
