//! What all doors of a running server share.

use std::sync::Arc;

use eartag_apiserver::http::ApiServer;
use eartag_apiserver::kind::{Kind, World};
use eartag_apiserver::ops::Api;
use eartag_apiserver::registry::Registry;
use eartag_apiserver::user::Authorizer;
use eartag_storage::Store;

use crate::aggregation::Aggregation;
use crate::authn::{Caller, Gate};
use crate::clock::SystemClock;
use crate::config::{Cidr, ServerUrl};
use crate::health::Health;
use crate::metrics::Metrics;
use crate::observer::Tables;
use crate::shutdown::Shutdown;
use crate::token_review::Reviewer;
use crate::vault::Vault;

/// One running server.
pub struct State {
    /// The store.
    pub store: Store,
    /// What follows the store: verifier, rules, settings, features, usage.
    pub tables: Arc<Tables>,
    /// What authentication keeps in memory.
    pub gate: Arc<Gate>,
    /// Time and randomness.
    pub clock: Arc<SystemClock>,
    /// The same as the API server library wants it.
    pub world: Arc<dyn World>,
    /// Opens the secrets that the server needs again.
    pub vault: Arc<Vault>,
    /// Answers what other servers ask about tokens.
    pub reviewer: Reviewer,
    /// Decides who may do what.
    pub authorizer: Arc<dyn Authorizer>,
    /// What is served.
    pub registry: Arc<Registry>,
    /// The Kubernetes door.
    pub server: ApiServer,
    /// The verbs behind both doors.
    pub api: Api,
    /// The kinds that the /v3 door shows as well.
    pub kinds: Kinds,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Health checks.
    pub health: Arc<Health>,
    /// Ends everything.
    pub shutdown: Shutdown,
    /// What serves the callers of the cluster that we extend, if we do.
    pub aggregation: Option<Arc<Aggregation>>,
    /// Flags.
    pub options: DoorOptions,
}

impl State {
    /// What serves this caller: the realm that vouches for somebody also decides what they may do (see [`crate::aggregation`]).
    #[must_use]
    pub fn server_of(&self, caller: &Caller) -> &ApiServer {
        match &self.aggregation {
            Some(aggregation) if caller.is_of_the_cluster() => &aggregation.server,
            _ => &self.server,
        }
    }

    /// What decides about this caller.
    #[must_use]
    pub fn authorizer_of(&self, caller: &Caller) -> &dyn Authorizer {
        match &self.aggregation {
            Some(aggregation) if caller.is_of_the_cluster() => &*aggregation.authorizer,
            _ => &*self.authorizer,
        }
    }
}

/// The flags that doors need.
#[derive(Debug, Clone, Default)]
pub struct DoorOptions {
    /// Whose forwarded headers count (DEC55).
    pub trusted_proxies: Vec<Cidr>,
    /// How clients reach the server, if the operator said so.
    pub server_url: Option<ServerUrl>,
}

/// The kinds that more than one door needs by name.
#[derive(Clone)]
pub struct Kinds {
    /// `tokens.ext.cattle.io`
    pub tokens: Arc<dyn Kind>,
    /// `tokens.management.cattle.io`
    pub legacy_tokens: Arc<dyn Kind>,
    /// `users.management.cattle.io`
    pub users: Arc<dyn Kind>,
    /// `globalroles.management.cattle.io`
    pub global_roles: Arc<dyn Kind>,
    /// `globalrolebindings.management.cattle.io`
    pub global_role_bindings: Arc<dyn Kind>,
    /// `settings.management.cattle.io`
    pub settings: Arc<dyn Kind>,
    /// `features.management.cattle.io`
    pub features: Arc<dyn Kind>,
    /// `clusters.management.cattle.io`
    pub clusters: Arc<dyn Kind>,
    /// Projects, which there are none of; at /v3 only.
    pub projects: Arc<dyn Kind>,
}
