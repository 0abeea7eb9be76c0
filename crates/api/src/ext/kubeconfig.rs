//! Kubeconfigs (kubeconfig-and-cli.md §1.1).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Condition;
use crate::secret::SecretText;

/// A Kubeconfig is a file for kubectl that leads to this server and to the clusters it knows. The server makes
/// it, and the tokens in it; the file is shown once, in the answer to the request that created it. Deleting the
/// Kubeconfig deletes its tokens.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Kubeconfig {
    /// What the owner asks for.
    pub spec: KubeconfigSpec,
    /// What the server made of it. Whatever a client writes here is ignored.
    pub status: KubeconfigStatus,
}

/// What is asked for when a kubeconfig is made. Only the description can be changed later.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KubeconfigSpec {
    /// The clusters in the file, by the names of their clusters.management.cattle.io objects. "*" as the first
    /// one stands for every cluster that the owner may get. May be empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub clusters: Vec<String>,
    /// The cluster that kubectl uses where nothing else is said, by the same name. Defaults to the first one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub current_context: String,
    /// Free text for people: what the kubeconfig is for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Whether the entry "rancher", this server itself, is in the file. Absent means true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include_default_entry: Option<bool>,
    /// Time to live of the tokens, in seconds. 0 or absent means the default, the setting
    /// kubeconfig-default-token-ttl-minutes, which is also the most that can be asked for as long as the setting
    /// auth-token-max-ttl-minutes sets a maximum at all. Shown as 0 when the tokens never expire.
    pub ttl: i64,
}

/// What the server made of a kubeconfig. All of it is read-only.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KubeconfigStatus {
    /// What has been done, one entry a step; one of the type TokenCreated for each token, which its message names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub conditions: Vec<Condition>,
    /// One of "Pending", "Complete" and "Error".
    #[serde(skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// The names of the tokens that were made, the one that is not restricted to a cluster first. When the last of
    /// them is gone, so is the kubeconfig.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub tokens: Vec<String>,
    /// The file, as YAML. Present only in the answer to the request that created the kubeconfig.
    #[serde(skip_serializing)]
    pub value: Option<SecretText>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema_tests::{described_everywhere, properties, required};

    #[test]
    fn member_names_of_a_kubeconfig_are_those_of_the_reference() {
        let spec = schemars::schema_for!(KubeconfigSpec);
        assert_eq!(
            properties(&spec),
            ["clusters", "currentContext", "description", "includeDefaultEntry", "ttl"]
        );
        let status = schemars::schema_for!(KubeconfigStatus);
        assert_eq!(properties(&status), ["conditions", "summary", "tokens", "value"]);
        assert!(required(&spec).is_empty());
    }

    #[test]
    fn every_member_is_described() {
        described_everywhere(&schemars::schema_for!(Kubeconfig));
    }
}
