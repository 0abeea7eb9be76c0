//! `management.cattle.io/v3`: users, roles, settings, features and clusters, laid out as the reference's
//! custom resources: what it keeps at the top level of an object is at the top level here too.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rbac::{PolicyRule, null_is_empty};
use crate::secret::SecretText;

/// A User is a person or a machine that owns tokens. Disabling or deleting a user ends the use of all of the
/// user's tokens at once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct User {
    /// Free text for people: who or what this user is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The name to show to people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub display_name: String,
    /// Whether the user may log in and use tokens; absent means true. Enabling a user again brings the user's
    /// tokens back as they were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Whether the user has to choose a new password at the next login.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub must_change_password: bool,
    /// Who the user is to the authentication providers; "local://" and the object's name is always among
    /// them.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub principal_ids: Vec<String>,
    /// The name to log in with, unique among users. Once set it cannot be changed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub username: String,
}

/// A UserAttribute is what is remembered about a User of the same name beside the User itself: the last login, and
/// exceptions from user retention.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UserAttribute {
    /// How long the user may go without a login before being deleted, as in "1440h"; it stands in for the setting
    /// delete-inactive-user-after. At least 336h, or "0s", which exempts the user.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub delete_after: String,
    /// How long the user may go without a login before being disabled, as in "720h"; it stands in for the setting
    /// disable-inactive-user-after. "0s" exempts the user.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub disable_after: String,
    /// When the user last logged in, in RFC 3339 to the second; absent if never. The server writes it at each login.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub last_login: Option<String>,
    /// The name by which the user logs in. Read-only.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user_name: String,
}

/// A Token is a credential of the older kind: of a login, made at /v3/tokens, or the system's own. Its secret
/// is never stored nor shown here.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Token {
    /// When the owner was last active in a browser with this token, in RFC 3339; absent if never.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub activity_last_seen_at: Option<String>,
    /// The provider by which the owner logged in, as in "local".
    pub auth_provider: String,
    /// The cluster the token is restricted to; empty means none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster_name: String,
    /// Whether the present request was authenticated by this very token. Read-only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub current: bool,
    /// Free text for people: what the token is for.
    pub description: String,
    /// Whether the token may be used; absent means true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Whether the token's time to live is over. Read-only.
    pub expired: bool,
    /// When the token expires, in RFC 3339; empty when it never does. Read-only.
    pub expires_at: String,
    /// Whether the token was made by means of another one, and not by a login. Read-only.
    pub is_derived: bool,
    /// When the token was last accepted, in RFC 3339 to the second; absent if never. Read-only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub last_used_at: Option<String>,
    /// The secret. The server makes it; a token that brings one along is refused.
    #[serde(skip_serializing)]
    pub token: Option<SecretText>,
    /// Time to live in milliseconds, counted from metadata.creationTimestamp; 0 means for ever.
    pub ttl: i64,
    /// The name of the User the token belongs to.
    pub user_id: String,
    /// Who the owner is to the authentication provider.
    pub user_principal: Principal,
}

/// A person or a group as an authentication provider knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Principal {
    /// The name to show to people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub display_name: String,
    /// What else the provider says about the principal, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub extra_info: BTreeMap<String, String>,
    /// The name used for logging in.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub login_name: String,
    /// Whether the principal is the one who asks.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub me: bool,
    /// Whether the one who asks is a member of this principal, a group.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub member_of: bool,
    /// Holds the principal's identifier.
    pub metadata: PrincipalMetadata,
    /// Either "user" or "group".
    #[serde(skip_serializing_if = "String::is_empty")]
    pub principal_type: String,
    /// The address of a picture of the principal.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub profile_picture: String,
    /// The address of the principal's page at the provider.
    #[serde(rename = "profileURL", skip_serializing_if = "String::is_empty")]
    pub profile_url: String,
    /// The authentication provider, as in "local".
    #[serde(skip_serializing_if = "String::is_empty")]
    pub provider: String,
}

/// What identifies a principal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PrincipalMetadata {
    /// The principal's identifier: the provider, "://", and the provider's own name of it.
    pub name: String,
}

/// A GlobalRole names permissions that hold everywhere. It is carried out by a ClusterRole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GlobalRole {
    /// Whether the role came with the server. Such roles cannot be removed, nor their rules changed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub builtin: bool,
    /// Free text for people: what the role is for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The name to show to people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub display_name: String,
    /// Whether new users get the role.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub new_user_default: bool,
    /// What the role permits.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub rules: Vec<PolicyRule>,
}

/// A GlobalRoleBinding grants a global role to a user or to a group. It is carried out by a
/// ClusterRoleBinding.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["globalRoleName"]))]
pub struct GlobalRoleBinding {
    /// The name of the GlobalRole. Cannot be changed later.
    pub global_role_name: String,
    /// The principal of the group the role is granted to. Exactly one of userName and groupPrincipalName is
    /// given, and neither can be changed later.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group_principal_name: String,
    /// The name of the User the role is granted to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user_name: String,
}

/// A Setting is one adjustable value of the server, named by the object. All values are text, numbers and
/// switches too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["value"]))]
pub struct Setting {
    /// Whether the value differs from the default. Read-only.
    pub customized: bool,
    /// What holds while value is empty. Read-only.
    pub default: String,
    /// Where the value comes from: "env" when an environment variable of the server sets it, and then it
    /// cannot be changed here; else empty. Read-only.
    pub source: String,
    /// The value; empty means the default.
    pub value: String,
}

/// A Feature is a part of the server that can be switched on and off, named by the object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Feature {
    /// What is wished for.
    pub spec: FeatureSpec,
    /// What the server says about the feature. Read-only.
    pub status: FeatureStatus,
}

/// What is wished for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FeatureSpec {
    /// On or off; null leaves it to the default.
    pub value: Option<bool>,
}

/// What the server says about a feature.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FeatureStatus {
    /// What holds when nothing is wished for.
    pub default: bool,
    /// What the feature is.
    pub description: String,
    /// Whether a change takes effect without a restart of the server.
    pub dynamic: bool,
    /// The value the feature is locked to for good; null while it can be changed.
    pub locked_value: Option<bool>,
}

/// A Cluster is a Kubernetes cluster that tokens may be restricted to. "local" is the server itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Cluster {
    /// What is known of the cluster from people.
    pub spec: ClusterSpec,
    /// What the server has seen of the cluster. Read-only.
    pub status: ClusterStatus,
}

/// What is known of a cluster from people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterSpec {
    /// Free text for people: what the cluster is for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The name to show to people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub display_name: String,
    /// Whether the server itself is this cluster. Cannot be changed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub internal: bool,
    /// The address of the cluster's API server, such as https://10.0.0.1:6443. Without it nothing is forwarded to the cluster.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_endpoint: String,
    /// The certificate authorities of the cluster's API server, as PEM. Left out, the public ones are trusted.
    #[serde(rename = "caCert", skip_serializing_if = "String::is_empty")]
    pub ca_cert: String,
    /// The name that the certificate of the cluster's API server is checked for. Left out, it is the host of the address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tls_server_name: String,
    /// How clients reach the cluster without this server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_cluster_auth_endpoint: Option<LocalClusterAuthEndpoint>,
}

/// The authorized cluster endpoint: the cluster's own API server, which asks this server about tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LocalClusterAuthEndpoint {
    /// Whether kubeconfigs have contexts that lead there.
    pub enabled: bool,
    /// Its name in DNS. Left out, clients go to the control-plane nodes.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fqdn: String,
    /// The certificate authorities of the endpoint behind the name in DNS, as PEM.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ca_certs: String,
    /// The control-plane nodes, whose API servers listen on port 6443.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub nodes: Vec<ControlPlaneNode>,
}

/// A control-plane node of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ControlPlaneNode {
    /// Its hostname, from which the context in kubeconfigs gets its name.
    pub hostname: String,
    /// The address by which clients reach it, without port.
    pub address: String,
    /// Whether it can be used now: kubeconfigs begin with one that can.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ready: bool,
}

/// A ClusterCredential gives the server what it presents to a cluster's API server. It is carried out when created and never stored as an object.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ClusterCredential {
    /// Which cluster, and what opens it.
    pub spec: ClusterCredentialSpec,
    /// How it went.
    pub status: ClusterCredentialStatus,
}

/// Which cluster, and what opens it: a token, or a client certificate with its key.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterCredentialSpec {
    /// The id of the cluster.
    pub cluster_name: String,
    /// A bearer token. Never shown.
    #[serde(skip_serializing)]
    pub token: Option<SecretText>,
    /// A client certificate, leaf first, as PEM.
    #[serde(skip_serializing)]
    pub client_certificate: Option<String>,
    /// The private key of the client certificate, as PEM. Never shown.
    #[serde(skip_serializing)]
    pub client_key: Option<SecretText>,
}

/// The outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ClusterCredentialStatus {
    /// The outcome in one word.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub summary: String,
}

/// What the server has seen of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterStatus {
    /// The address of the cluster's API server.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_endpoint: String,
    /// The certificate authority of the cluster's API server, PEM in base64.
    #[serde(rename = "caCert", skip_serializing_if = "String::is_empty")]
    pub ca_cert: String,
    /// What has been observed, one entry an aspect; "Ready" says whether the cluster can be used.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"],
        "x-kubernetes-patch-strategy" = "merge", "x-kubernetes-patch-merge-key" = "type"))]
    pub conditions: Vec<ClusterCondition>,
    /// What runs the cluster; "local" for the server itself.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub provider: String,
}

/// One observed aspect of a cluster's state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["status", "type"]))]
pub struct ClusterCondition {
    /// When the condition last went from one status to another, in RFC 3339.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub last_transition_time: String,
    /// When the condition was last looked at, in RFC 3339.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub last_update_time: String,
    /// What people should know about the last transition.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Why the condition last changed, in one word for programs.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// One of "True", "False" and "Unknown".
    pub status: String,
    /// The aspect, in CamelCase.
    #[serde(rename = "type")]
    pub kind: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema_tests::{described_everywhere, properties};

    #[test]
    fn users_and_settings_keep_their_members_at_the_top_level() {
        assert_eq!(
            properties(&schemars::schema_for!(User)),
            ["description", "displayName", "enabled", "mustChangePassword", "principalIds", "username"]
        );
        assert_eq!(
            properties(&schemars::schema_for!(UserAttribute)),
            ["deleteAfter", "disableAfter", "lastLogin", "userName"]
        );
        assert_eq!(properties(&schemars::schema_for!(Setting)), ["customized", "default", "source", "value"]);
        assert_eq!(
            properties(&schemars::schema_for!(GlobalRole)),
            ["builtin", "description", "displayName", "newUserDefault", "rules"]
        );
        assert_eq!(
            properties(&schemars::schema_for!(GlobalRoleBinding)),
            ["globalRoleName", "groupPrincipalName", "userName"]
        );
    }

    #[test]
    fn every_member_is_described() {
        described_everywhere(&schemars::schema_for!(User));
        described_everywhere(&schemars::schema_for!(UserAttribute));
        described_everywhere(&schemars::schema_for!(Token));
        described_everywhere(&schemars::schema_for!(GlobalRole));
        described_everywhere(&schemars::schema_for!(GlobalRoleBinding));
        described_everywhere(&schemars::schema_for!(Setting));
        described_everywhere(&schemars::schema_for!(Feature));
        described_everywhere(&schemars::schema_for!(Cluster));
        described_everywhere(&schemars::schema_for!(ClusterCredential));
    }
}
