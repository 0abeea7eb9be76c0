//! `ext.cattle.io/v1`: tokens, kubeconfigs, and the requests a signed-in person makes about themself.
//!
//! The structs hold what lies beside `apiVersion`, `kind` and `metadata`. Member names are the reference's
//! (ext-token.md §1). Their doc comments are what `kubectl explain` prints, so they speak to people who
//! write manifests. The lists of required members are documentation: the server refuses no manifest for
//! leaving one out (ext-token.md §1.2), and old kubectls check them before they send, so only members that
//! the server itself fills in are named there.

mod kubeconfig;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::kubeconfig::{Kubeconfig, KubeconfigSpec, KubeconfigStatus};
use crate::secret::SecretText;

/// A Token is a credential by which its owner, a person or a machine, is known to this server and to the
/// clusters it serves. The server makes name and secret; the secret is shown once, in the answer to the
/// request that created the token.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Token {
    /// What the owner asks for.
    pub spec: TokenSpec,
    /// What the server knows about the token. Whatever a client writes here is ignored.
    pub status: TokenStatus,
}

/// What is asked for when a token is made or changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TokenSpec {
    /// The cluster the token is restricted to, by the name of its clusters.management.cattle.io object. Empty
    /// means that the token is good wherever its owner is. Cannot be changed later.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster_name: String,
    /// Free text for people: what the token is for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Whether the token may be used. Absent means true on creation and "as it is" later. While the owner is
    /// disabled, false is shown here, whatever the token's own switch says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The purpose of the token, free text. "session" is a login; anything else, also nothing, is a token
    /// derived from one. Cannot be changed later.
    pub kind: String,
    /// Time to live in milliseconds, counted from metadata.creationTimestamp. On creation, 0 or absent asks
    /// for the longest that the setting auth-token-max-ttl-minutes allows, and a negative number for a token
    /// that never expires; what exceeds the setting is cut to it, with a warning. Later, 0 or absent leaves
    /// it alone, and only administrators may extend it. Shown as -1 when the token never expires.
    pub ttl: i64,
    /// The name of the User the token belongs to. Defaults to, and must be, the user who creates it. Cannot be
    /// changed later.
    #[serde(rename = "userID", skip_serializing_if = "String::is_empty")]
    pub user_id: String,
    /// Who the owner is to the authentication provider. Taken by the server from the token that the request
    /// to create this one carried; what a client sends is dropped. Cannot be changed later.
    pub user_principal: TokenPrincipal,
}

/// A person or a group as an authentication provider knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"]))]
pub struct TokenPrincipal {
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
    /// The principal's identifier: the provider, "://", and the provider's own name of it, as in
    /// "local://user-4x7nk".
    pub name: String,
    /// Either "user" or "group".
    #[serde(skip_serializing_if = "String::is_empty")]
    pub principal_type: String,
    /// The address of a picture of the principal.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub profile_picture: String,
    /// The address of the principal's page at the provider. The server does not use it.
    #[serde(rename = "profileURL", skip_serializing_if = "String::is_empty")]
    pub profile_url: String,
    /// The authentication provider, as in "local".
    #[serde(skip_serializing_if = "String::is_empty")]
    pub provider: String,
}

/// What the server knows about a token. All of it is read-only.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["current", "expired", "expiresAt", "lastUpdateTime"]))]
pub struct TokenStatus {
    /// The whole credential, ready to follow "Authorization: Bearer". Present only in the answer to the
    /// request that created the token.
    #[serde(skip_serializing)]
    pub bearer_token: Option<SecretText>,
    /// Whether the present request was authenticated by this very token.
    pub current: bool,
    /// Whether the token's time to live is over. An expired token is refused and cannot be revived.
    pub expired: bool,
    /// When the token expires, in RFC 3339; empty when it never does.
    pub expires_at: String,
    /// The stored hash of the secret. Kept for compatibility: the server never shows it.
    #[serde(skip_serializing)]
    pub hash: Option<SecretText>,
    /// When the owner was last active in a browser with this token, in RFC 3339; absent if never.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub last_activity_seen: Option<String>,
    /// When the token was created or last changed through the API, in RFC 3339.
    pub last_update_time: String,
    /// When the token was last accepted, in RFC 3339 to the second; absent if never. Using a token does not
    /// change its resourceVersion.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub last_used_at: Option<String>,
    /// The secret part of the credential. Present only in the answer to the request that created the token.
    #[serde(skip_serializing)]
    pub value: Option<SecretText>,
}

/// A PasswordChangeRequest sets a user's password. It is carried out when created and never stored.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PasswordChangeRequest {
    /// Whose password to change, and to what.
    pub spec: PasswordChangeRequestSpec,
    /// How it went.
    pub status: PasswordChangeRequestStatus,
}

/// Whose password to change, and to what.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PasswordChangeRequestSpec {
    /// The present password. Needed by those who change their own; never shown.
    #[serde(skip_serializing)]
    pub current_password: Option<SecretText>,
    /// The password to be. Never shown.
    #[serde(skip_serializing)]
    pub new_password: Option<SecretText>,
    /// The name of the User whose password it is.
    #[serde(rename = "userID")]
    pub user_id: String,
}

/// The outcome of a password change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PasswordChangeRequestStatus {
    /// What has been done, one entry a step.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"],
        "x-kubernetes-patch-strategy" = "merge", "x-kubernetes-patch-merge-key" = "type"))]
    pub conditions: Vec<Condition>,
    /// The outcome in one word.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub summary: String,
}

/// One observed aspect of an object's state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["lastTransitionTime", "message", "reason", "status", "type"],
    "x-model" = "io.k8s.apimachinery.pkg.apis.meta.v1.Condition"))]
pub struct Condition {
    /// When the condition last went from one status to another, in RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    pub last_transition_time: String,
    /// What people should know about the last transition.
    pub message: String,
    /// The metadata.generation the condition was derived from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Why the condition last changed, in one CamelCase word for programs.
    pub reason: String,
    /// One of "True", "False" and "Unknown".
    pub status: String,
    /// The aspect, in CamelCase.
    #[serde(rename = "type")]
    pub kind: String,
}

/// A SelfUser tells who the server takes the caller for. It is answered when created and never stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SelfUser {
    /// The answer.
    pub status: SelfUserStatus,
}

/// Who the caller is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SelfUserStatus {
    /// The name of the caller's User object.
    #[serde(rename = "userID")]
    pub user_id: String,
}

/// A UserActivity tells when somebody last did something in a browser with a login token, and when the session
/// ends if nothing more is done. It has the name of the token, is shown from what the server knows of it, and is
/// never stored. A token on which no activity was ever reported does not idle out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct UserActivity {
    /// What is reported.
    pub spec: UserActivitySpec,
    /// What follows from it. Whatever a client writes here is ignored.
    pub status: UserActivityStatus,
}

/// A report of activity.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UserActivitySpec {
    /// When the activity was, in RFC 3339; absent means now, and so does a time in the future. A time before the
    /// one that is known changes nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub seen_at: Option<String>,
    /// The name of the token, as in metadata.name. May be left out.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub token_id: String,
}

/// What follows from the activity.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UserActivityStatus {
    /// When the token stops being accepted unless more activity is reported, in RFC 3339; empty while none ever
    /// was.
    pub expires_at: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema_tests::{described_everywhere, properties, required};

    #[test]
    fn member_names_of_a_token_are_those_of_the_reference() {
        let schema = schemars::schema_for!(TokenSpec);
        assert_eq!(
            properties(&schema),
            ["clusterName", "description", "enabled", "kind", "ttl", "userID", "userPrincipal"]
        );
        let principal = schemars::schema_for!(TokenPrincipal);
        assert_eq!(
            properties(&principal),
            [
                "displayName",
                "extraInfo",
                "loginName",
                "me",
                "memberOf",
                "name",
                "principalType",
                "profilePicture",
                "profileURL",
                "provider"
            ]
        );
        let status = schemars::schema_for!(TokenStatus);
        assert_eq!(
            properties(&status),
            [
                "bearerToken",
                "current",
                "expired",
                "expiresAt",
                "hash",
                "lastActivitySeen",
                "lastUpdateTime",
                "lastUsedAt",
                "value"
            ]
        );
        assert_eq!(required(&status), ["current", "expired", "expiresAt", "lastUpdateTime"]);
    }

    #[test]
    fn nothing_that_a_manifest_may_leave_out_is_required() {
        assert!(required(&schemars::schema_for!(Token)).is_empty());
        assert!(required(&schemars::schema_for!(TokenSpec)).is_empty());
        assert!(required(&schemars::schema_for!(PasswordChangeRequestSpec)).is_empty());
        assert!(required(&schemars::schema_for!(UserActivity)).is_empty());
        assert!(required(&schemars::schema_for!(UserActivitySpec)).is_empty());
    }

    #[test]
    fn every_member_is_described() {
        described_everywhere(&schemars::schema_for!(Token));
        described_everywhere(&schemars::schema_for!(PasswordChangeRequest));
        described_everywhere(&schemars::schema_for!(SelfUser));
        described_everywhere(&schemars::schema_for!(UserActivity));
    }
}
