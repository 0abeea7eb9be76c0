//! Clusters, what opens them, and the store's identity.

use std::fmt;

use eartag_api::meta::Uid;
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
    /// The name its API server's certificate is checked for; empty for the host of the URL.
    pub tls_server_name: String,
    /// How clients reach the cluster without this server.
    pub auth_endpoint: AuthEndpoint,
}

/// The authorized cluster endpoint: the cluster's own API server, which asks this server's webhook about tokens
/// (kubeconfig-and-cli.md §1.5, §6).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AuthEndpoint {
    /// Whether kubeconfigs lead there.
    pub enabled: bool,
    /// Its name in DNS, without scheme and port; empty where clients go to the nodes.
    pub fqdn: String,
    /// PEM bundle that it is verified with, if it has an FQDN.
    pub ca_certificates: String,
    /// The control-plane nodes, in order; they count only without an FQDN.
    pub nodes: Vec<EndpointNode>,
}

/// A control-plane node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EndpointNode {
    /// Its hostname, from which contexts get their names.
    pub hostname: String,
    /// The address of its API server, without port (6443).
    pub address: String,
    /// Whether it was said to be ready.
    pub ready: bool,
}

/// A cluster's record as it was before clusters could be registered.
#[derive(Serialize, Deserialize)]
struct FirstClusterRecord {
    display_name: String,
    description: String,
    internal: bool,
    api_endpoint: String,
    ca_certificate: String,
    version: String,
}

impl ClusterRecord {
    /// The body's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        super::encode(self)
    }

    /// Reads a body; `None` if it is cut or damaged. One that ends exactly where the first version did is of that version.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        super::decode(bytes).or_else(|| {
            let (first, rest) = postcard::take_from_bytes::<FirstClusterRecord>(bytes).ok()?;
            rest.is_empty().then(|| Self {
                display_name: first.display_name,
                description: first.description,
                internal: first.internal,
                api_endpoint: first.api_endpoint,
                ca_certificate: first.ca_certificate,
                version: first.version,
                ..Self::default()
            })
        })
    }
}

/// What the server presents to a cluster's own API server. It is a secret, so it is in here only as the server's root key wrapped it.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClusterCredentialRecord {
    /// The very cluster it is for: a later one of the same name gets nothing of it.
    pub cluster_uid: Uid,
    /// The wrapped credential, whose format belongs to the server.
    pub wrapped: Vec<u8>,
    /// What it is, for people: `token` or `certificate`.
    pub kind: String,
}

impl fmt::Debug for ClusterCredentialRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClusterCredentialRecord({}, {} bytes)", self.kind, self.wrapped.len())
    }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn a_cluster_from_before_endpoints_is_still_read() {
        let old = super::super::encode(&FirstClusterRecord {
            display_name: "local".into(),
            description: "This server itself".into(),
            internal: true,
            api_endpoint: String::new(),
            ca_certificate: String::new(),
            version: String::new(),
        });
        let read = ClusterRecord::decode(&old).unwrap();
        assert_eq!((read.display_name.as_str(), read.internal), ("local", true));
        assert_eq!(read.auth_endpoint, AuthEndpoint::default());
        let new = read.encode();
        for cut in old.len() + 1..new.len() {
            assert_eq!(ClusterRecord::decode(&new[..cut]), None, "a cut record is not taken for an old one");
        }
    }

    #[test]
    fn a_credential_is_not_printed() {
        let record = ClusterCredentialRecord {
            wrapped: b"secret".to_vec(),
            kind: "token".into(),
            ..ClusterCredentialRecord::default()
        };
        assert_eq!(format!("{record:?}"), "ClusterCredentialRecord(token, 6 bytes)");
    }
}
