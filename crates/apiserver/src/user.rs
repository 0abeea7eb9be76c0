//! Who asks, and whether they may: identity, the attributes of a request, and the authorizer's door.

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::refusal::Refusal;

/// The group of everybody who presented good credentials.
pub const AUTHENTICATED: &str = "system:authenticated";
/// The group that may do everything.
pub const MASTERS: &str = "system:masters";

/// An identity as Kubernetes sees it (`authentication.k8s.io/v1` UserInfo).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserInfo {
    /// The user's name; for people the name of their user object.
    pub name: String,
    /// A stable id, or empty.
    pub uid: String,
    /// Groups, in order, without repetitions.
    pub groups: Vec<String>,
    /// Further facts, keys in lower case.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl UserInfo {
    /// Whether the identity is in this very group.
    pub fn in_group(&self, group: &str) -> bool {
        self.groups.iter().any(|g| g == group)
    }
}

/// What a request wants to do, in the words that RBAC rules use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Attributes {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, `impersonate`, …;
    /// for non-resource requests the HTTP method in lower case.
    pub verb: String,
    /// API group, empty for core.
    pub group: String,
    /// API version.
    pub version: String,
    /// Plural resource; empty for non-resource requests.
    pub resource: String,
    /// Sub-resource, or empty.
    pub subresource: String,
    /// Object name, or empty.
    pub name: String,
    /// Namespace, or empty.
    pub namespace: String,
    /// The path of a non-resource request.
    pub path: Option<String>,
}

impl Attributes {
    /// The attributes of a verb on a cluster-scoped resource.
    pub fn resource(verb: &str, group: &str, resource: &str, name: &str) -> Attributes {
        Attributes {
            verb: verb.to_owned(),
            group: group.to_owned(),
            resource: resource.to_owned(),
            name: name.to_owned(),
            ..Attributes::default()
        }
    }

    /// The attributes of a request for a path outside the resources.
    pub fn path(verb: &str, path: &str) -> Attributes {
        Attributes { verb: verb.to_owned(), path: Some(path.to_owned()), ..Attributes::default() }
    }
}

/// One rule that an identity holds, as `SelfSubjectRulesReview` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrantedRule {
    /// Verbs, `*` for all.
    pub verbs: Vec<String>,
    /// API groups, `*` for all.
    pub groups: Vec<String>,
    /// Resources, `*` for all.
    pub resources: Vec<String>,
    /// Object names; empty for all.
    pub names: Vec<String>,
    /// Non-resource paths; a rule has either these or resources.
    pub paths: Vec<String>,
}

/// What an authorizer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Go ahead.
    Allow,
    /// No, with a reason that may be shown (may be empty).
    Deny(String),
    /// The authorizer could not decide: a fault of ours, never an allowance.
    Error(String),
}

impl Decision {
    /// Whether this is an allowance.
    pub fn allowed(&self) -> bool {
        matches!(self, Decision::Allow)
    }
}

/// Decides who may do what. Asynchronous because it may be another server's `SubjectAccessReview`.
#[async_trait]
pub trait Authorizer: Send + Sync + 'static {
    /// May this identity do this?
    async fn authorize(&self, user: &UserInfo, wants: &Attributes) -> Decision;

    /// A number that moves whenever answers may have changed, so that what lasts can ask again.
    fn generation(&self) -> u64 {
        0
    }

    /// Everything this identity may do, for `SelfSubjectRulesReview`.
    async fn rules(&self, user: &UserInfo) -> Vec<GrantedRule>;

    /// Whether the identity may use `verb` on every resource of `group` (decision DEC13).
    ///
    /// # Errors
    /// Where nothing could be decided: a list of one's own must never stand for the list of all.
    async fn full_access(&self, user: &UserInfo, verb: &str, group: &str) -> Result<bool, Refusal> {
        if user.in_group(MASTERS) {
            return Ok(true);
        }
        match self.authorize(user, &Attributes::resource(verb, group, "*", "")).await {
            Decision::Allow => Ok(true),
            Decision::Deny(_) => Ok(false),
            Decision::Error(why) => {
                tracing::error!(%why, "the authorizer failed");
                Err(Refusal::Internal("the authorizer could not decide".to_owned()))
            }
        }
    }
}
