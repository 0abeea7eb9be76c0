//! Aggregated mode: this server extends the API of a cluster by the group `ext.cattle.io` (kubernetes-api.md §6).
//!
//! ```text
//! kubectl ─→ kube-apiserver ─ authenticates, authorizes ─→ front proxy ─ client certificate, X-Remote-* ─┐
//!                 ▲      ▲                                                                               ▼
//!                 │      └──── follow: whom the cluster trusts ◄──────────────────────────────── listener, authn
//!                 └──────── authorizer: SubjectAccessReview, cached ◄─────────────────── a server of its own, of one group
//! ```
//!
//! There are two realms, and a request belongs to the one that vouches for its caller. Whom the **cluster** vouches for (its front proxy, or a certificate of its
//! authority) reaches the group `ext.cattle.io` and what describes it, nothing else, and may do what the cluster's own rules say. Whom **we** vouch for (a
//! token, a login, a certificate of ours, on our own port) may do what our roles say, as without aggregation. Neither realm's rights count in the other: a
//! name that both know, such as a group `admins`, must not carry rights across.
//!
//! Kubernetes' admission webhooks do not see aggregated resources (AD1); we call none either.

mod authorizer;
mod caller;
mod cluster;
mod decisions;
mod follow;
mod headers;
mod review;
#[cfg(test)]
mod tests;
mod trust;

use std::sync::Arc;

use eartag_apiserver::http::ApiServer;
use eartag_apiserver::kind::World;
use eartag_apiserver::ops::Api;
use eartag_apiserver::registry::Registry;
use eartag_apiserver::user::Authorizer;
use tokio::sync::watch::Receiver;

use self::authorizer::ClusterAuthorizer;
pub(crate) use self::caller::{by_cluster_certificate, by_front_proxy};
pub(crate) use self::cluster::Cluster;
pub use self::cluster::ClusterSource;
use self::cluster::RemoteCluster;
pub use self::follow::Known;
use crate::authz::Counted;
use crate::clock::SystemClock;
use crate::config::Aggregated;
use crate::metrics::Metrics;
use crate::resources::EXT;
use crate::setup::ServeError;
use crate::shutdown::Shutdown;
use crate::tls::ClientAuthorities;

/// What serves the cluster's callers.
pub struct Aggregation {
    /// Serves one group, by the cluster's rules.
    pub server: ApiServer,
    /// Asks the cluster.
    pub authorizer: Arc<dyn Authorizer>,
    /// Whom the cluster trusts.
    known: Arc<Known>,
    cluster: Arc<dyn Cluster>,
}

/// What the server of the cluster's callers is built on.
pub struct Ground<'a> {
    /// The verbs.
    pub api: &'a Api,
    /// Everything that is served; of it the one group is taken.
    pub registry: &'a Registry,
    /// Time and randomness.
    pub world: &'a Arc<dyn World>,
    /// Where decisions are counted.
    pub metrics: &'a Arc<Metrics>,
    /// Watches end when this becomes true.
    pub ending: Receiver<bool>,
    /// For the OpenAPI documents.
    pub version: String,
}

impl Aggregation {
    /// As the flags say. Nothing is sent yet; what becomes known of the cluster's authorities is told to `authorities`.
    ///
    /// # Errors
    /// What the flags name cannot be used.
    pub fn new(
        asked: &Aggregated,
        authorities: &Arc<ClientAuthorities>,
        ground: Ground<'_>,
    ) -> Result<Aggregation, ServeError> {
        let cluster = RemoteCluster::new(asked.cluster.clone());
        let cluster = cluster.map_err(|why| ServeError::BadValue(format!("the cluster to extend: {why}")))?;
        Ok(Self::with(Arc::new(cluster), authorities, ground))
    }

    /// The same, for this cluster.
    pub(crate) fn with(
        cluster: Arc<dyn Cluster>,
        authorities: &Arc<ClientAuthorities>,
        ground: Ground<'_>,
    ) -> Aggregation {
        let asking = ClusterAuthorizer::new(cluster.clone(), boot_ms);
        let authorizer: Arc<dyn Authorizer> = Arc::new(Counted::new(asking, ground.metrics.clone()));
        let group = ground.registry.resources().iter().filter(|resource| resource.info().group == EXT);
        let registry = group.cloned().fold(Registry::new(), Registry::with);
        let server = ApiServer::new(
            ground.api.clone(),
            Arc::new(registry),
            authorizer.clone(),
            ground.world.clone(),
            ground.ending,
            ground.version,
        );
        let known = Arc::new(Known::nothing(authorities.clone(), boot_ms));
        Aggregation { server, authorizer, known, cluster }
    }

    /// For the health check.
    #[must_use]
    pub fn known(&self) -> Arc<Known> {
        self.known.clone()
    }

    /// Follows the cluster until the shutdown.
    pub fn follow(&self, shutdown: Shutdown) -> impl Future<Output = ()> + Send + use<> {
        follow::run(self.known.clone(), self.cluster.clone(), shutdown)
    }
}

fn boot_ms() -> u64 {
    SystemClock.now().boot_ms
}
