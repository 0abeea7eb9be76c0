//! The reviews by which a caller learns who they are and what they may do (kubernetes-api.md §2.5).

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::Tree;
use crate::field_error::FieldError;
use crate::info::ResourceInfo;
use crate::kind::{Cx, Once, Resource, Review};
use crate::refusal::Refusal;
use crate::schema::Schema;
use crate::user::{Attributes, Decision, GrantedRule, UserInfo};

const AUTHORIZATION: &str = "authorization.k8s.io";
const AUTHENTICATION: &str = "authentication.k8s.io";

/// The shapes of the reviews, made from the API's types by whoever assembles the server.
pub struct Schemas {
    /// `SelfSubjectAccessReview`.
    pub self_access: Schema,
    /// `SubjectAccessReview`.
    pub access: Schema,
    /// `SelfSubjectRulesReview`.
    pub rules: Schema,
    /// `SelfSubjectReview`.
    pub identity: Schema,
}

/// All four reviews.
pub fn all(schemas: Schemas) -> Vec<Resource> {
    let info = |group, kind, plural, singular, description, schema| ResourceInfo {
        verbs: &["create"],
        ..ResourceInfo::new(group, "v1", kind, plural, singular, description, schema)
    };
    vec![
        Resource::Review(Arc::new(SelfSubjectAccessReview(info(
            AUTHORIZATION,
            "SelfSubjectAccessReview",
            "selfsubjectaccessreviews",
            "selfsubjectaccessreview",
            "Asks whether the caller may do something.",
            schemas.self_access,
        )))),
        Resource::Review(Arc::new(SubjectAccessReview(info(
            AUTHORIZATION,
            "SubjectAccessReview",
            "subjectaccessreviews",
            "subjectaccessreview",
            "Asks whether somebody may do something.",
            schemas.access,
        )))),
        Resource::Review(Arc::new(SelfSubjectRulesReview(info(
            AUTHORIZATION,
            "SelfSubjectRulesReview",
            "selfsubjectrulesreviews",
            "selfsubjectrulesreview",
            "Lists what the caller may do.",
            schemas.rules,
        )))),
        Resource::Review(Arc::new(SelfSubjectReview(info(
            AUTHENTICATION,
            "SelfSubjectReview",
            "selfsubjectreviews",
            "selfsubjectreview",
            "Tells the caller who they are to this server.",
            schemas.identity,
        )))),
    ]
}

struct SelfSubjectAccessReview(ResourceInfo);
struct SubjectAccessReview(ResourceInfo);
struct SelfSubjectRulesReview(ResourceInfo);
struct SelfSubjectReview(ResourceInfo);

#[async_trait]
impl Review for SelfSubjectAccessReview {
    fn info(&self) -> &ResourceInfo {
        &self.0
    }

    async fn create(&self, asked: Tree, cx: &Cx) -> Result<(Tree, Option<Once>), Refusal> {
        let wants = wanted(&asked)?;
        let status = decide(&cx.user, &wants, cx).await;
        Ok((with_status(asked, status), None))
    }
}

#[async_trait]
impl Review for SubjectAccessReview {
    fn info(&self) -> &ResourceInfo {
        &self.0
    }

    async fn create(&self, asked: Tree, cx: &Cx) -> Result<(Tree, Option<Once>), Refusal> {
        let wants = wanted(&asked)?;
        let spec = asked.get("spec");
        let user = UserInfo {
            name: text(spec, "user"),
            uid: text(spec, "uid"),
            groups: texts(spec.and_then(|s| s.get("groups"))),
            extra: spec
                .and_then(|s| s.get("extra"))
                .and_then(Value::as_object)
                .map(|map| map.iter().map(|(k, v)| (k.clone(), texts(Some(v)))).collect())
                .unwrap_or_default(),
        };
        if user.name.is_empty() && user.groups.is_empty() {
            let why = "at least one of user or group must be specified";
            return Err(Refusal::Invalid(vec![FieldError::invalid("spec.user", "", why)]));
        }
        let status = decide(&user, &wants, cx).await;
        Ok((with_status(asked, status), None))
    }
}

#[async_trait]
impl Review for SelfSubjectRulesReview {
    fn info(&self) -> &ResourceInfo {
        &self.0
    }

    async fn create(&self, asked: Tree, cx: &Cx) -> Result<(Tree, Option<Once>), Refusal> {
        let (resource, path): (Vec<GrantedRule>, Vec<GrantedRule>) =
            cx.authorizer.rules(&cx.user).await.into_iter().partition(|rule| rule.paths.is_empty());
        let resource: Vec<Tree> = resource
            .into_iter()
            .map(|r| {
                let mut rule = json!({"verbs": r.verbs, "apiGroups": r.groups, "resources": r.resources});
                if let Some(rule) = rule.as_object_mut().filter(|_| !r.names.is_empty()) {
                    rule.insert("resourceNames".to_owned(), json!(r.names));
                }
                rule
            })
            .collect();
        let path: Vec<Tree> =
            path.into_iter().map(|r| json!({"verbs": r.verbs, "nonResourceURLs": r.paths})).collect();
        let status = json!({"resourceRules": resource, "nonResourceRules": path, "incomplete": false});
        Ok((with_status(asked, status), None))
    }
}

#[async_trait]
impl Review for SelfSubjectReview {
    fn info(&self) -> &ResourceInfo {
        &self.0
    }

    async fn create(&self, asked: Tree, cx: &Cx) -> Result<(Tree, Option<Once>), Refusal> {
        let mut info = json!({"username": cx.user.name, "groups": cx.user.groups});
        if let Some(info) = info.as_object_mut() {
            if !cx.user.uid.is_empty() {
                info.insert("uid".to_owned(), cx.user.uid.clone().into());
            }
            if !cx.user.extra.is_empty() {
                info.insert("extra".to_owned(), json!(cx.user.extra));
            }
        }
        Ok((with_status(asked, json!({"userInfo": info})), None))
    }
}

/// What the review asks about: exactly one of both sorts of attributes.
fn wanted(asked: &Tree) -> Result<Attributes, Refusal> {
    let spec = asked.get("spec");
    let part = |key: &str| spec.and_then(|s| s.get(key)).filter(|p| !p.is_null());
    match (part("resourceAttributes"), part("nonResourceAttributes")) {
        (Some(of), None) => Ok(Attributes {
            verb: text(Some(of), "verb"),
            group: text(Some(of), "group"),
            version: text(Some(of), "version"),
            resource: text(Some(of), "resource"),
            subresource: text(Some(of), "subresource"),
            name: text(Some(of), "name"),
            namespace: text(Some(of), "namespace"),
            path: None,
        }),
        (None, Some(of)) => Ok(Attributes::path(&text(Some(of), "verb"), &text(Some(of), "path"))),
        (Some(_), Some(_)) => Err(one_of("cannot be specified in combination with resourceAttributes")),
        (None, None) => {
            Err(one_of("exactly one of nonResourceAttributes or resourceAttributes must be specified"))
        }
    }
}

fn one_of(why: &str) -> Refusal {
    Refusal::Invalid(vec![FieldError::invalid("spec.nonResourceAttributes", Value::Null, why)])
}

async fn decide(user: &UserInfo, wants: &Attributes, cx: &Cx) -> Tree {
    match cx.authorizer.authorize(user, wants).await {
        Decision::Allow => json!({"allowed": true}),
        Decision::Deny(why) if why.is_empty() => json!({"allowed": false}),
        Decision::Deny(why) => json!({"allowed": false, "reason": why}),
        Decision::Error(_) => json!({"allowed": false, "evaluationError": "the authorizer could not decide"}),
    }
}

fn with_status(mut review: Tree, status: Tree) -> Tree {
    if let Some(object) = review.as_object_mut() {
        object.entry("metadata".to_owned()).or_insert_with(|| json!({"creationTimestamp": null}));
        object.insert("status".to_owned(), status);
    }
    review
}

fn text(of: Option<&Tree>, key: &str) -> String {
    of.and_then(|of| of.get(key)).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn texts(of: Option<&Tree>) -> Vec<String> {
    let list = of.and_then(Value::as_array);
    list.map(|l| l.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect()).unwrap_or_default()
}
