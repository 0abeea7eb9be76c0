//! One check of a presented token, for every door: the verifier's answer, and the detour through the pool that `$1` hashes take.

use std::net::IpAddr;
use std::sync::Arc;

use eartag_core::verifier::{Accepted, Place, Presented, Reason, SlowCheck, Verdict, Verifier};

use super::gate::Gate;

/// Why a token was not accepted. For logs and metrics; to the outside all but `Busy` look alike (DEC52).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotGood {
    /// The verifier says so.
    Bad(Reason),
    /// Too many failures on this slow token from this address.
    Throttled,
    /// The pool is full: nothing was found out.
    Busy,
}

impl NotGood {
    /// The word for metrics, one of a fixed set.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            NotGood::Throttled => "throttled",
            NotGood::Busy => "busy",
            NotGood::Bad(reason) => match reason {
                Reason::Malformed => "malformed",
                Reason::UnknownToken => "unknown_token",
                Reason::WrongSecret => "wrong_secret",
                Reason::Disabled => "disabled",
                Reason::Expired => "expired",
                Reason::Idle => "idle",
                Reason::BeingDeleted => "being_deleted",
                Reason::OwnerGone => "owner_gone",
                Reason::OwnerDisabled => "owner_disabled",
                Reason::OwnerReplaced => "owner_replaced",
                Reason::ProviderDisabled => "provider_disabled",
                Reason::WrongCluster => "wrong_cluster",
                Reason::Corrupt => "corrupt",
            },
        }
    }
}

/// Checks `[ext/]name:secret` as presented at `place` from `client`. `now_ms` is effective time.
///
/// # Errors
/// [`NotGood`].
pub async fn check(
    verifier: &Verifier,
    gate: &Gate,
    text: &str,
    place: Place<'_>,
    client: IpAddr,
    now_ms: u64,
) -> Result<Arc<Accepted>, NotGood> {
    let presented = Presented::parse(text).ok_or(NotGood::Bad(Reason::Malformed))?;
    match verifier.check(&presented, place, now_ms) {
        Verdict::Good(accepted) => Ok(accepted),
        Verdict::Bad(reason) => Err(NotGood::Bad(reason)),
        Verdict::Slow(slow) => run_slow(verifier, gate, slow, client, now_ms).await,
    }
}

async fn run_slow(
    verifier: &Verifier,
    gate: &Gate,
    slow: Box<SlowCheck>,
    client: IpAddr,
    now_ms: u64,
) -> Result<Arc<Accepted>, NotGood> {
    if gate.slow_memory.knows(&slow) {
        return settled(verifier.finish(&slow, true, now_ms));
    }
    let attempt = gate.slow_failures.begin(slow.name(), client, now_ms).map_err(|_| NotGood::Throttled)?;
    let ran = gate
        .pool
        .run(move || {
            let matched = slow.run();
            (slow, matched)
        })
        .await;
    let Ok((slow, matched)) = ran else {
        attempt.undecided();
        return Err(NotGood::Busy);
    };
    if matched {
        attempt.succeeded();
        gate.slow_memory.settle(&slow, true, now_ms);
    }
    settled(verifier.finish(&slow, matched, now_ms))
}

fn settled(verdict: Verdict) -> Result<Arc<Accepted>, NotGood> {
    match verdict {
        Verdict::Good(accepted) => Ok(accepted),
        Verdict::Bad(reason) => Err(NotGood::Bad(reason)),
        // A finished check is not slow again.
        Verdict::Slow(_) => Err(NotGood::Busy),
    }
}
