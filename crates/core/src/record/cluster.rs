//! Clusters, and the store's identity.

use std::fmt;

use serde::{Deserialize, Serialize};

/// `clusters.management.cattle.io`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClusterRecord {
    /// Name for people, and of contexts in kubeconfigs.
    pub display_name: String,
    /// For people.
    pub description: String,
    /// The cluster that the server itself runs in (`local`).
    pub internal: bool,
    /// URL of the cluster's own API server; empty where there is none to forward to.
    pub api_endpoint: String,
    /// PEM bundle that API server is verified with; empty for the public authorities.
    pub ca_certificate: String,
    /// Kubernetes version shown, such as `v1.33.1`.
    pub version: String,
}

/// The store's identity: its id, certificate authorities and keys, as bytes whose format belongs to the server. Private keys in it
/// are wrapped (DESIGN §6).
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct IdentityRecord(pub Vec<u8>);

impl fmt::Debug for IdentityRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdentityRecord({} bytes)", self.0.len())
    }
}
