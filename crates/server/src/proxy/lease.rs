//! What must stay true while a request to a cluster lasts.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use eartag_api::frame;
use eartag_api::meta::Uid;
use eartag_apiserver::refusal::Refusal;
use eartag_core::collections::CLUSTERS;
use tokio::time::sleep;

use super::failure::Failure;
use crate::authn::{self, Caller};
use crate::cluster::may_use;
use crate::state::State;

/// How often it is looked at, as for watches of this server's own.
const EVERY: Duration = Duration::from_millis(500);

/// Goes with a request to its last byte.
pub struct Lease {
    pub state: Arc<State>,
    pub caller: Caller,
    pub cluster: String,
    /// A cluster that was deleted and made again is another one.
    pub cluster_uid: Uid,
    /// It may last as long as it wants, so it is ended when the server ends.
    pub lasting: bool,
    /// What the authorizer knew when it allowed the request.
    pub generation: u64,
    /// Places at the gates.
    pub _held: Box<dyn Any + Send + Sync>,
}

/// Why a request is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The credential is no longer good.
    Credential,
    /// The caller may no longer use the cluster.
    Right,
    /// The cluster was deleted.
    Cluster,
    /// This server ends.
    Ending,
}

impl Lease {
    /// What is lost, of that which can be seen at once.
    pub fn loss(&self) -> Option<Loss> {
        if !authn::still_good(&self.state, &self.caller) {
            return Some(Loss::Credential);
        }
        let entry = self.state.store.get(CLUSTERS, self.cluster.as_bytes());
        let there = entry.and_then(|entry| frame::head(entry.value()));
        if there.is_none_or(|head| head.deleted || head.uid != self.cluster_uid) {
            return Some(Loss::Cluster);
        }
        (self.lasting && self.state.shutdown.requested()).then_some(Loss::Ending)
    }

    /// Resolves when something is lost.
    pub async fn lost(self: Arc<Self>) -> Loss {
        let authorizer = &*self.state.authorizer;
        let mut asked = self.generation;
        loop {
            sleep(EVERY).await;
            if let Some(loss) = self.loss() {
                return loss;
            }
            let generation = authorizer.generation();
            if generation != asked && !may_use(authorizer, &self.caller.user, &self.cluster).await {
                return Loss::Right;
            }
            asked = generation;
        }
    }

    /// The answer where nothing was answered yet.
    pub fn failure(&self, loss: Loss) -> Failure {
        match loss {
            Loss::Credential => Failure::Lost,
            Loss::Right => {
                let why = format!("User {:?} may no longer use it", self.caller.user.name);
                Failure::denied(Refusal::Forbidden(why), &self.cluster)
            }
            Loss::Cluster => Failure::NoCluster(self.cluster.clone()),
            Loss::Ending => Failure::Ending,
        }
    }
}
