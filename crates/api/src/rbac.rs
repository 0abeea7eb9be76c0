//! `rbac.authorization.k8s.io/v1`, the cluster-wide half: roles and bindings decide who may do what (DEC50).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A ClusterRole names a set of permissions. They only add up; no rule takes something away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterRole {
    /// How to gather this role's rules from other roles. When set, the rules are kept by the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aggregation_rule: Option<AggregationRule>,
    /// What the role permits.
    #[serde(deserialize_with = "null_is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub rules: Vec<PolicyRule>,
}

/// How a role gathers rules from others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AggregationRule {
    /// Selectors of cluster roles by label. A role that any of them selects gives its rules to this one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub cluster_role_selectors: Vec<LabelSelector>,
}

/// A query over labels. All its parts must hold; an empty one matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-map-type" = "atomic",
    "x-model" = "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector"))]
pub struct LabelSelector {
    /// Requirements by set.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub match_expressions: Vec<LabelSelectorRequirement>,
    /// Labels that must have exactly these values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
}

/// One requirement of a label selector.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["key", "operator"],
    "x-model" = "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelectorRequirement"))]
pub struct LabelSelectorRequirement {
    /// The label it is about.
    pub key: String,
    /// One of "In", "NotIn", "Exists" and "DoesNotExist".
    pub operator: String,
    /// The values to compare with; at least one for In and NotIn, none for the others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub values: Vec<String>,
}

/// One permission: these verbs on these resources, or on these paths.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["verbs"], "x-model" = "io.k8s.api.rbac.v1.PolicyRule"))]
pub struct PolicyRule {
    /// The API groups of the resources; "" is the core group and "*" every group.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub api_groups: Vec<String>,
    /// Paths outside of resources, such as "/metrics"; "*" at the end stands for any rest. Only for roles
    /// bound to the whole cluster, and not together with resources.
    #[serde(
        rename = "nonResourceURLs",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_empty"
    )]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub non_resource_urls: Vec<String>,
    /// The names of the objects that the rule is limited to; none means all.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub resource_names: Vec<String>,
    /// The resources by their plural; "*" stands for all, "tokens/status" for a part of one.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub resources: Vec<String>,
    /// What may be done: get, list, watch, create, update, patch, delete, deletecollection, or "*" for all.
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    #[serde(deserialize_with = "null_is_empty")]
    pub verbs: Vec<String>,
}

/// A ClusterRoleBinding grants a cluster role to users and groups.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["roleRef"]))]
pub struct ClusterRoleBinding {
    /// The role that is granted. Cannot be changed later.
    pub role_ref: RoleRef,
    /// Those it is granted to.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub subjects: Vec<Subject>,
}

/// The role that a binding grants.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
#[schemars(extend("required" = ["apiGroup", "kind", "name"]))]
pub struct RoleRef {
    /// The group of the role, "rbac.authorization.k8s.io".
    pub api_group: String,
    /// The kind of the role, "ClusterRole".
    pub kind: String,
    /// The name of the role.
    pub name: String,
}

/// Somebody a role is granted to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
#[schemars(extend("required" = ["kind", "name"]))]
pub struct Subject {
    /// The group of the subject: "rbac.authorization.k8s.io" for users and groups, "" for service accounts.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_group: String,
    /// One of "User", "Group" and "ServiceAccount".
    pub kind: String,
    /// The name of the subject.
    pub name: String,
    /// The namespace of a service account.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
}

/// Clients written in Go send `null` for a list that is empty.
pub(crate) fn null_is_empty<'de, D, T>(from: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::<Vec<T>>::deserialize(from)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema_tests::{described_everywhere, properties, required};

    #[test]
    fn member_names_of_a_rule_are_those_of_kubernetes() {
        let rule = schemars::schema_for!(PolicyRule);
        assert_eq!(
            properties(&rule),
            ["apiGroups", "nonResourceURLs", "resourceNames", "resources", "verbs"]
        );
        assert_eq!(required(&rule), ["verbs"]);
    }

    #[test]
    fn every_member_is_described() {
        described_everywhere(&schemars::schema_for!(ClusterRole));
        described_everywhere(&schemars::schema_for!(ClusterRoleBinding));
    }
}
