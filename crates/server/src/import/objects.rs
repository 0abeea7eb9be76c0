//! The shapes of what kubectl prints. One type for all kinds, because the kind may stand behind the rest.

use std::collections::BTreeMap;

use eartag_api::management::Principal;
use eartag_api::secret::SecretText;
use serde::Deserialize;

/// An object of any kind that is imported, or a list of such.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Object {
    pub api_version: Option<String>,
    pub kind: Option<String>,
    pub metadata: Option<Metadata>,
    pub items: Option<Vec<Object>>,

    // User
    pub username: Option<String>,
    pub display_name: Option<String>,
    pub principal_ids: Option<Vec<String>>,
    pub must_change_password: Option<bool>,
    /// bcrypt, in older versions.
    pub password: Option<SecretText>,

    // User and Token
    pub description: Option<String>,
    pub enabled: Option<bool>,

    // Token
    pub token: Option<SecretText>,
    pub ttl: Option<i64>,
    pub user_id: Option<String>,
    pub user_principal: Option<Principal>,
    pub cluster_name: Option<String>,
    pub is_derived: Option<bool>,
    pub auth_provider: Option<String>,

    pub last_used_at: Option<String>,
    pub activity_last_seen_at: Option<String>,

    // UserAttribute
    pub last_login: Option<String>,
    pub disable_after: Option<String>,
    pub delete_after: Option<String>,

    // GlobalRoleBinding
    pub global_role_name: Option<String>,
    pub user_name: Option<String>,
    pub group_principal_name: Option<String>,

    /// Of a Secret: base64.
    pub data: Option<BTreeMap<String, SecretText>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Metadata {
    pub name: Option<String>,
    pub namespace: Option<String>,
    pub uid: Option<String>,
    pub creation_timestamp: Option<String>,
    pub deletion_timestamp: Option<String>,
    pub labels: Option<BTreeMap<String, String>>,
    pub annotations: Option<BTreeMap<String, SecretText>>,
}
