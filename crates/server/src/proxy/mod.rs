//! The cluster proxy `/k8s/clusters/<id>/…` (kubeconfig-and-cli.md §7, DEC35, DEC44, DEC45, DEC54, DEC57).
//!
//! ```text
//! who? (authn, on the whole path) ─→ may they use it? ─→ which? ┬ local: this server itself, the prefix cut off
//!                                     403, existing or not      └ pool: an Upstream for this very cluster and credential
//!                                                                  │
//! client ── route ─→ headers: claims out, identity in ─→ forward ──┼─→ the cluster's API server
//!                                                       upgrade ───┘    (SPDY and WebSocket: bytes both ways)
//!        ←── headers: nothing that acts on our origin ←─┘
//! ```
//!
//! A [`lease`] goes with each request to its last byte: the credential is good, the right is held, the cluster is there; else it is cut off.

mod failure;
mod forward;
mod headers;
mod identity;
mod lease;
mod pool;
mod route;
mod transfer;
mod upgrade;

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use eartag_apiserver::http::denied;
use eartag_apiserver::user::Decision;
use http::request::Parts;
use http::{Method, Uri};

pub use self::failure::Failure;
use self::lease::Lease;
use self::pool::{Gates, Pool};
pub use self::route::{Route, serves};
use crate::authn::Caller;
use crate::cluster::{LOCAL, use_of};
use crate::listener::{Body, Peer};
use crate::metrics::RequestKind;
use crate::state::State;

/// Forwards to clusters.
pub struct Proxy {
    pool: Pool,
    gates: Gates,
}

/// Where an admitted request goes.
pub enum Way {
    /// To this very server, at this address.
    Here(Uri),
    /// To a cluster's own API server.
    There(Admitted),
}

/// A request that may be forwarded.
pub struct Admitted {
    route: Route,
    /// What the authorizer knew when it allowed this.
    generation: u64,
}

impl Proxy {
    /// Nothing is connected yet.
    #[must_use]
    pub fn new() -> Proxy {
        Proxy { pool: Pool::default(), gates: Gates::for_all() }
    }

    /// Whether this caller may use the cluster that the path names; whether it exists is not looked at before.
    ///
    /// # Errors
    /// [`Failure`]: the path makes no sense, or the caller has no right to `get` the cluster (DEC44).
    pub async fn admit(&self, state: &State, parts: &Parts, caller: &Caller) -> Result<Way, Failure> {
        let route = Route::of(parts)?;
        let generation = state.authorizer.generation();
        let wants = use_of(&route.cluster);
        match state.authorizer.authorize(&caller.user, &wants).await {
            Decision::Allow => {}
            Decision::Deny(why) => {
                return Err(Failure::denied(denied(&caller.user, &wants, &why), &route.cluster));
            }
            Decision::Error(error) => {
                tracing::error!(%error, "the authorizer failed");
                return Err(Failure::Undecided);
            }
        }
        if route.cluster == LOCAL {
            // A scope that could be left by making a token without one would be none.
            if route.manages_logins && caller.is_restricted() {
                return Err(Failure::Scoped);
            }
            return Ok(Way::Here(Uri::from(route.target)));
        }
        Ok(Way::There(Admitted { route, generation }))
    }

    /// Sends a request on and gives the answer, as it comes.
    ///
    /// # Errors
    /// [`Failure`]: there is no such cluster, it cannot be used, too much goes on already, or it gives no answer.
    pub async fn forward(
        &self,
        state: &Arc<State>,
        admitted: Admitted,
        parts: Parts,
        body: Body,
        caller: Caller,
        peer: &Peer,
    ) -> Result<http::Response<Body>, Failure> {
        let Admitted { route, generation } = admitted;
        let identity = identity::headers(&caller.user)?;
        let connection = self.pool.connection(state, &route.cluster).await?;
        // What lasts is not in flight: it waits for nobody.
        let kind = match parts.method {
            Method::GET | Method::HEAD | Method::OPTIONS => RequestKind::ReadOnly,
            _ => RequestKind::Mutating,
        };
        let counted = (!route.is_lasting()).then(|| state.metrics.in_flight(kind));
        let held = (self.gates.enter(&route)?, connection.gates.enter(&route)?, counted);
        let prefix = crate::authn::public_address(state, &parts, peer).prefix;
        let lease = Lease {
            state: state.clone(),
            caller,
            cluster: route.cluster.clone(),
            cluster_uid: connection.uid,
            lasting: route.is_lasting(),
            generation,
            _held: Box::new(held),
        };
        let exchange = forward::Exchange { route, identity, upstream: connection.upstream, prefix };
        exchange.run(parts, body, Arc::new(lease)).await
    }
}

impl Default for Proxy {
    fn default() -> Self {
        Proxy::new()
    }
}
