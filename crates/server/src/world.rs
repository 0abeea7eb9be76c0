//! The clock and the randomness as the rest of the server sees them: effective time never runs back (DEC58).

use eartag_apiserver::kind::World;
use eartag_core::{Clock, Now};

use crate::clock::{SystemClock, fill_random};

/// The machine's clocks, joined into one that does not go back, and its random source.
pub struct SystemWorld {
    system: SystemClock,
    /// The rule that joins the clocks; the background keeps it informed.
    pub clock: Clock,
}

impl SystemWorld {
    /// Starts from the time that an earlier process saved.
    pub fn new(system: SystemClock, saved_ms: Option<u64>) -> SystemWorld {
        SystemWorld { system, clock: Clock::new(saved_ms, system.now()) }
    }

    /// Both clocks, as they are.
    pub fn now(&self) -> Now {
        self.system.now()
    }
}

impl World for SystemWorld {
    fn now_ms(&self) -> u64 {
        self.clock.now_ms(self.system.now())
    }

    fn random(&self, bytes: &mut [u8]) {
        fill_random(bytes);
    }
}
