//! Roles and bindings as they are stored.

use std::collections::BTreeMap;

use eartag_api::meta::Uid;
use serde::{Deserialize, Serialize};

use crate::rbac::Rule;

/// `globalroles.management.cattle.io`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GlobalRoleRecord {
    /// Name for people.
    pub display_name: String,
    /// For people.
    pub description: String,
    /// What it grants.
    pub rules: Vec<Rule>,
    /// New users get it.
    pub new_user_default: bool,
    /// Made by the server; its rules cannot be changed.
    pub builtin: bool,
}

/// `globalrolebindings.management.cattle.io`: exactly one of user and group is set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GlobalRoleBindingRecord {
    /// Name of the global role.
    pub role: String,
    /// Name of the user, or empty.
    pub user: String,
    /// Name of the group principal, or empty.
    pub group_principal: String,
    /// The very user who was bound: a later user of that name gets nothing (DEC9). `None`, in bindings to groups and in records older
    /// than this field: whoever has the name.
    pub user_uid: Option<Uid>,
    /// The very role that was bound, so that a later role of that name is not bound with it. `None` for built-in roles, which are
    /// always the server's own, and in records older than this field.
    pub role_uid: Option<Uid>,
}

impl GlobalRoleBindingRecord {
    /// The body's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        super::encode(self)
    }

    /// Reads a body, also one that was written before there were uids in it; `None` if it is cut or damaged.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let older = || {
            let ((role, user, group_principal), rest) =
                postcard::take_from_bytes::<(String, String, String)>(bytes).ok()?;
            // Anything behind the three names means that it is a newer record, and damaged.
            rest.is_empty().then_some(Self { role, user, group_principal, user_uid: None, role_uid: None })
        };
        super::decode(bytes).or_else(older)
    }
}

/// `clusterroles.rbac.authorization.k8s.io`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClusterRoleRecord {
    /// What it grants by itself.
    pub rules: Vec<Rule>,
    /// With this, it grants what the selected roles grant instead.
    pub aggregation: Option<Vec<Aggregation>>,
}

/// One selector of `aggregationRule.clusterRoleSelectors`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Aggregation {
    /// Labels that a role must have.
    pub match_labels: BTreeMap<String, String>,
    /// Further requirements.
    pub match_expressions: Vec<Requirement>,
}

/// One `matchExpressions` entry of a selector.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Requirement {
    /// Label key.
    pub key: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`; anything else matches nothing.
    pub operator: String,
    /// Values for `In` and `NotIn`.
    pub values: Vec<String>,
}

/// `clusterrolebindings.rbac.authorization.k8s.io`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClusterRoleBindingRecord {
    /// The role it grants.
    pub role_ref: RoleRef,
    /// To whom.
    pub subjects: Vec<Subject>,
}

/// A reference to a role.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RoleRef {
    /// `rbac.authorization.k8s.io`.
    pub api_group: String,
    /// `ClusterRole`; anything else grants nothing.
    pub kind: String,
    /// Name of the role.
    pub name: String,
}

/// Somebody a role is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Subject {
    /// `User`, `Group` or `ServiceAccount`.
    pub kind: String,
    /// `rbac.authorization.k8s.io`, or empty for service accounts.
    pub api_group: String,
    /// Name.
    pub name: String,
    /// Namespace, of service accounts only.
    pub namespace: String,
}
