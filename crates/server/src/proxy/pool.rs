//! The clients to clusters' API servers, one for each cluster as it is registered now, and how much may go on through them.

use std::collections::HashMap;
use std::sync::Arc;

use eartag_api::meta::Uid;
use eartag_core::collections::{CLUSTER_CREDENTIALS, CLUSTERS};
use eartag_storage::Revision;
use eartag_upstream::{Credential, Target, Upstream};
use parking_lot::Mutex;
use secrecy::SecretString;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::failure::Failure;
use super::route::Route;
use crate::cluster::{Cluster, ClusterCredential};
use crate::state::State;

/// Requests at once that end by themselves; half of them to one cluster.
const MOST_ORDINARY: usize = 400;
/// Watches, logs that are followed, and upgraded connections at once; half of them to one cluster. Each takes two sockets and some 100 KiB.
const MOST_LASTING: usize = 4_000;

/// A client for each cluster that was asked for.
#[derive(Default)]
pub struct Pool {
    connections: Mutex<HashMap<String, Connection>>,
    making: tokio::sync::Mutex<()>,
}

/// The client to one cluster.
#[derive(Clone)]
pub struct Connection {
    /// Whose: a later cluster of the same id has another one.
    pub uid: Uid,
    /// The client.
    pub upstream: Upstream,
    /// What may go on through it.
    pub gates: Gates,
    /// Revisions of the cluster and of its credential that it was made of.
    made_of: (Revision, Revision),
}

impl Pool {
    /// The client to a cluster as it is registered now.
    ///
    /// # Errors
    /// [`Failure`]: there is no such cluster, or no way to use it.
    pub async fn connection(&self, state: &State, id: &str) -> Result<Connection, Failure> {
        let Some((entry, cluster)) = state
            .store
            .get(CLUSTERS, id.as_bytes())
            .and_then(|e| Cluster::of(&e).map(|cluster| (e, cluster)))
        else {
            self.connections.lock().remove(id);
            return Err(Failure::NoCluster(id.to_owned()));
        };
        if cluster.record.api_endpoint.is_empty() {
            return Err(Failure::NoEndpoint(id.to_owned()));
        }
        let no_credential = || Failure::NoCredential(id.to_owned());
        let credential = state.store.get(CLUSTER_CREDENTIALS, id.as_bytes()).ok_or_else(no_credential)?;
        let made_of = (entry.modified(), credential.modified());
        let known = |made_of| {
            let connections = self.connections.lock();
            let connection = connections.get(id).filter(|c| c.uid == cluster.uid).cloned();
            connection.map(|connection| (connection.made_of == made_of, connection))
        };
        if let Some((true, connection)) = known(made_of) {
            return Ok(connection);
        }
        // One at a time: the others find what the first one made, gates and kept connections.
        let _making = self.making.lock().await;
        let before = match known(made_of) {
            Some((true, connection)) => return Ok(connection),
            before => before.map(|(_, connection)| connection),
        };
        let credential = cluster.credential(&state.store, &state.vault).map_err(|error| {
            tracing::error!(cluster = id, %error, "a cluster's credential cannot be opened");
            Failure::Closed(id.to_owned())
        })?;
        let uid = cluster.uid;
        let upstream = connect(&cluster, credential.ok_or_else(no_credential)?).await?;
        let gates = before.map_or_else(Gates::for_one, |connection| connection.gates);
        let connection = Connection { uid, upstream, gates, made_of };
        let mut connections = self.connections.lock();
        // What is new pays for what is gone.
        connections.retain(|id, _| state.store.get(CLUSTERS, id.as_bytes()).is_some());
        connections.insert(id.to_owned(), connection.clone());
        Ok(connection)
    }
}

/// Certificates are parsed, and those of the machine read, off the async threads.
async fn connect(cluster: &Cluster, credential: ClusterCredential) -> Result<Upstream, Failure> {
    let (id, record) = (cluster.id.clone(), cluster.record.clone());
    let target = Target {
        url: record.api_endpoint,
        ca_pem: record.ca_certificate,
        tls_server_name: record.tls_server_name,
        credential: match credential {
            ClusterCredential::Token(token) => Credential::Token(SecretString::from(token.expose())),
            ClusterCredential::Certificate { certificates, key } => Credential::Certificate {
                certificates_pem: certificates,
                key_pem: SecretString::from(key.expose()),
            },
        },
    };
    let made = tokio::task::spawn_blocking(move || Upstream::new(&target)).await;
    // The task is only cancelled when the server ends.
    made.map_err(|_| Failure::Ending)?.map_err(|error| {
        tracing::warn!(cluster = id, %error, "a cluster cannot be used as it is registered");
        Failure::Unusable(id, error)
    })
}

/// How much may go on at once.
#[derive(Clone)]
pub struct Gates {
    ordinary: Arc<Semaphore>,
    lasting: Arc<Semaphore>,
}

impl Gates {
    /// Of all clusters together.
    pub fn for_all() -> Gates {
        Gates::new(MOST_ORDINARY, MOST_LASTING)
    }

    /// Of one cluster, so that one that gives no answers leaves room for the others.
    fn for_one() -> Gates {
        Gates::new(MOST_ORDINARY / 2, MOST_LASTING / 2)
    }

    fn new(ordinary: usize, lasting: usize) -> Gates {
        Gates { ordinary: Arc::new(Semaphore::new(ordinary)), lasting: Arc::new(Semaphore::new(lasting)) }
    }

    /// What is free.
    #[cfg(test)]
    pub fn places(&self) -> (usize, usize) {
        (self.ordinary.available_permits(), self.lasting.available_permits())
    }

    /// Lets a request in, until what this returns is dropped.
    ///
    /// # Errors
    /// [`Failure::TooMany`]
    pub fn enter(&self, route: &Route) -> Result<OwnedSemaphorePermit, Failure> {
        let gate = if route.is_lasting() { &self.lasting } else { &self.ordinary };
        gate.clone().try_acquire_owned().map_err(|_| Failure::TooMany)
    }
}
