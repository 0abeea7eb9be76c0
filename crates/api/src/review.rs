//! Reviews: questions that are answered when posted and never stored (`authorization.k8s.io/v1`,
//! `authentication.k8s.io/v1`; kubernetes-api.md §2.5).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rbac::null_is_empty;
use crate::secret::SecretText;

/// A SelfSubjectAccessReview asks whether the caller may do something.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["spec"]))]
pub struct SelfSubjectAccessReview {
    /// The question. Exactly one of resourceAttributes and nonResourceAttributes is given.
    pub spec: SelfSubjectAccessReviewSpec,
    /// The answer.
    pub status: SubjectAccessReviewStatus,
}

/// What the caller wants to know about themself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SelfSubjectAccessReviewSpec {
    /// A path outside of resources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub non_resource_attributes: Option<NonResourceAttributes>,
    /// An action on a resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_attributes: Option<ResourceAttributes>,
}

/// A SubjectAccessReview asks whether somebody may do something.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["spec"]))]
pub struct SubjectAccessReview {
    /// The question. Exactly one of resourceAttributes and nonResourceAttributes is given.
    pub spec: SubjectAccessReviewSpec,
    /// The answer.
    pub status: SubjectAccessReviewStatus,
}

/// Who, and what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SubjectAccessReviewSpec {
    /// What else the authenticator said about the user.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Vec<String>>,
    /// The groups to ask about.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub groups: Vec<String>,
    /// A path outside of resources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub non_resource_attributes: Option<NonResourceAttributes>,
    /// An action on a resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_attributes: Option<ResourceAttributes>,
    /// The user's unique identifier.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// The user to ask about. With groups and no user, the question is about the groups alone.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
}

/// An action on a resource. "*" stands for all and is allowed only by a rule that says "*" too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ResourceAttributes {
    /// The field selector of a list, watch or deletecollection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field_selector: Option<SelectorAttributes>,
    /// The API group of the resource.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The label selector of a list, watch or deletecollection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<SelectorAttributes>,
    /// The name of the object; empty means all.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The namespace of the action; empty means none, or all.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The resource by its plural.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource: String,
    /// The part of the resource, such as "status".
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subresource: String,
    /// The verb: get, list, watch, create, update, patch, delete, deletecollection.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub verb: String,
    /// The API version of the resource.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
}

/// A selector that limits an action.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SelectorAttributes {
    /// The selector as text. Not together with requirements.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub raw_selector: String,
    /// The selector in its parts, all of which must hold.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub requirements: Vec<SelectorRequirement>,
}

/// One part of a selector.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["key", "operator"]))]
pub struct SelectorRequirement {
    /// The label or field it is about.
    pub key: String,
    /// One of "In", "NotIn", "Exists" and "DoesNotExist".
    pub operator: String,
    /// The values to compare with.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub values: Vec<String>,
}

/// A request to a path outside of resources.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NonResourceAttributes {
    /// The path.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// The HTTP method in lower case.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub verb: String,
}

/// Whether an action is allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["allowed"]))]
pub struct SubjectAccessReviewStatus {
    /// Whether the action is allowed.
    pub allowed: bool,
    /// Whether the action is forbidden, whatever else might allow it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub denied: bool,
    /// What went wrong on the way to the answer, which may stand nevertheless.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub evaluation_error: String,
    /// Why.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// A SelfSubjectRulesReview asks for everything the caller may do in a namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["spec"]))]
pub struct SelfSubjectRulesReview {
    /// The question.
    pub spec: SelfSubjectRulesReviewSpec,
    /// The answer.
    pub status: SubjectRulesReviewStatus,
}

/// Where to look.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SelfSubjectRulesReviewSpec {
    /// The namespace to look at.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
}

/// What may be done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["incomplete", "nonResourceRules", "resourceRules"]))]
pub struct SubjectRulesReviewStatus {
    /// What went wrong on the way to the answer.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub evaluation_error: String,
    /// Whether there may be more than the answer lists.
    pub incomplete: bool,
    /// What may be done on paths outside of resources.
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub non_resource_rules: Vec<NonResourceRule>,
    /// What may be done on resources.
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub resource_rules: Vec<ResourceRule>,
}

/// These verbs on these paths.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["verbs"]))]
pub struct NonResourceRule {
    /// The paths; "*" at the end stands for any rest.
    #[serde(rename = "nonResourceURLs", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub non_resource_urls: Vec<String>,
    /// The HTTP methods in lower case.
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub verbs: Vec<String>,
}

/// These verbs on these resources.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["verbs"]))]
pub struct ResourceRule {
    /// The API groups of the resources.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub api_groups: Vec<String>,
    /// The names of the objects the rule is limited to; none means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub resource_names: Vec<String>,
    /// The resources by their plural.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub resources: Vec<String>,
    /// The verbs.
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub verbs: Vec<String>,
}

/// A SelfSubjectReview asks who the server takes the caller for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SelfSubjectReview {
    /// The answer.
    pub status: SelfSubjectReviewStatus,
}

/// Who the caller is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SelfSubjectReviewStatus {
    /// The caller as the server sees them.
    pub user_info: UserInfo,
}

/// A user as an authenticator sees them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct UserInfo {
    /// What else the authenticator says, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Vec<String>>,
    /// The groups the user is a member of.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub groups: Vec<String>,
    /// An identifier that stays with the user when the name is given to somebody else.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// The name that tells the user from all others.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub username: String,
}

/// A TokenReview asks whose token this is.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["spec"]))]
pub struct TokenReview {
    /// The question.
    pub spec: TokenReviewSpec,
    /// The answer.
    pub status: TokenReviewStatus,
}

/// The token, and who should understand it.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TokenReviewSpec {
    /// The audiences the asker belongs to.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub audiences: Vec<String>,
    /// The token as it was presented. Never shown in the answer.
    #[serde(skip_serializing)]
    pub token: Option<SecretText>,
}

/// Whose token it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TokenReviewStatus {
    /// The audiences that both sides belong to.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub audiences: Vec<String>,
    /// Whether the token is good.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub authenticated: bool,
    /// Why the token could not be checked.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error: String,
    /// Its owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserInfo>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema_tests::described_everywhere;

    #[test]
    fn every_member_is_described() {
        described_everywhere(&schemars::schema_for!(SelfSubjectAccessReview));
        described_everywhere(&schemars::schema_for!(SubjectAccessReview));
        described_everywhere(&schemars::schema_for!(SelfSubjectRulesReview));
        described_everywhere(&schemars::schema_for!(SelfSubjectReview));
        described_everywhere(&schemars::schema_for!(TokenReview));
    }
}
