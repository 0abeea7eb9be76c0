//! `SubjectAccessReview`: the question whether somebody may do something, and its answer (kubernetes-api.md A31, A32).

use std::collections::BTreeMap;

use eartag_apiserver::user::{Attributes, Decision, UserInfo};
use serde::{Deserialize, Serialize};

/// Where reviews are created.
pub const PATH: &str = "/apis/authorization.k8s.io/v1/subjectaccessreviews";

/// A question.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Question<'a> {
    api_version: &'static str,
    kind: &'static str,
    spec: Spec<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Spec<'a> {
    user: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    uid: &'a str,
    groups: &'a [String],
    extra: &'a BTreeMap<String, Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_attributes: Option<Resource<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    non_resource_attributes: Option<Path<'a>>,
}

#[derive(Debug, Serialize)]
struct Resource<'a> {
    verb: &'a str,
    group: &'a str,
    version: &'a str,
    resource: &'a str,
    subresource: &'a str,
    name: &'a str,
    namespace: &'a str,
}

#[derive(Debug, Serialize)]
struct Path<'a> {
    verb: &'a str,
    path: &'a str,
}

impl<'a> Question<'a> {
    /// May this identity do this? Selectors are left out: then what is asked for is the right to all that a list without one would show.
    #[must_use]
    pub fn new(user: &'a UserInfo, wants: &'a Attributes) -> Question<'a> {
        let path = wants.path.as_deref().map(|path| Path { verb: &wants.verb, path });
        let resource = Resource {
            verb: &wants.verb,
            group: &wants.group,
            version: if wants.version.is_empty() { "*" } else { &wants.version },
            resource: &wants.resource,
            subresource: &wants.subresource,
            name: &wants.name,
            namespace: &wants.namespace,
        };
        Question {
            api_version: "authorization.k8s.io/v1",
            kind: "SubjectAccessReview",
            spec: Spec {
                user: &user.name,
                uid: &user.uid,
                groups: &user.groups,
                extra: &user.extra,
                resource_attributes: path.is_none().then_some(resource),
                non_resource_attributes: path,
            },
        }
    }
}

/// An answer. Only `allowed: true` allows: what is unknown or missing does not.
#[derive(Debug, Default, Deserialize)]
pub struct Answer {
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    allowed: bool,
    denied: bool,
    reason: String,
}

impl Answer {
    /// The decision. That nobody has an opinion is a denial: there is no other authorizer to ask.
    #[must_use]
    pub fn decision(self) -> Decision {
        let Status { allowed, denied, reason } = self.status;
        match (allowed, denied) {
            (true, false) => Decision::Allow,
            (true, true) => Decision::Error("the review says both allowed and denied".to_owned()),
            (false, _) => {
                Decision::Deny(reason.chars().filter(|c| !c.is_control()).take(LONGEST_REASON).collect())
            }
        }
    }
}

/// A reason is shown to the caller up to this many characters.
const LONGEST_REASON: usize = 500;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use serde_json::{Value, json};

    use super::*;

    fn asked(wants: &Attributes) -> Value {
        let user = UserInfo {
            name: "user-a".into(),
            uid: "7".into(),
            groups: vec!["dev".into()],
            extra: [("requesttokenid".to_owned(), vec!["token-a".to_owned()])].into(),
        };
        serde_json::to_value(Question::new(&user, wants)).unwrap()
    }

    #[test]
    fn a_question_names_everything_about_the_caller_and_the_object() {
        assert_eq!(
            asked(&Attributes::resource("get", "ext.cattle.io", "tokens", "token-b")),
            json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {
                "user": "user-a", "uid": "7", "groups": ["dev"], "extra": {"requesttokenid": ["token-a"]},
                "resourceAttributes": {"verb": "get", "group": "ext.cattle.io", "version": "*", "resource": "tokens",
                    "subresource": "", "name": "token-b", "namespace": ""}}})
        );
        let path = asked(&Attributes::path("get", "/apis"));
        assert_eq!(path["spec"]["nonResourceAttributes"], json!({"verb": "get", "path": "/apis"}));
        assert!(path["spec"].get("resourceAttributes").is_none());
    }

    #[test]
    fn nothing_but_an_allowance_allows() {
        let decision = |status: Value| {
            serde_json::from_value::<Answer>(json!({"kind": "SubjectAccessReview", "status": status}))
                .map(Answer::decision)
        };
        assert_eq!(decision(json!({"allowed": true, "reason": "RBAC"})).unwrap(), Decision::Allow);
        assert_eq!(
            decision(json!({"allowed": true, "evaluationError": "x", "conditions": []})).unwrap(),
            Decision::Allow
        );
        assert_eq!(
            decision(json!({"allowed": false, "denied": true, "reason": "no\nway"})).unwrap(),
            Decision::Deny("noway".into())
        );
        assert_eq!(decision(json!({})).unwrap(), Decision::Deny(String::new()));
        assert!(matches!(decision(json!({"allowed": true, "denied": true})).unwrap(), Decision::Error(_)));
        assert!(decision(json!({"allowed": "true"})).is_err());
        assert!(serde_json::from_str::<Answer>("{}").is_err());
    }
}
