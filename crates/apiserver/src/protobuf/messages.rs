//! The messages, with Kubernetes' tags, and the way each becomes a JSON object.
//!
//! Go writes every member that is no pointer, also when it is empty; JSON leaves those out, and so do the trees made here. A pointer that is set but empty
//! (`resourceAttributes: {}`) stays.

use std::collections::BTreeMap;

use prost::Message;
use serde_json::Value;

use crate::Map;

/// `runtime.Unknown`, the envelope.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub struct Unknown {
    #[prost(message, optional, tag = "1")]
    pub type_meta: Option<TypeMeta>,
    #[prost(bytes = "vec", tag = "2")]
    pub raw: Vec<u8>,
    #[prost(string, tag = "3")]
    pub content_encoding: String,
    #[prost(string, tag = "4")]
    pub content_type: String,
}

/// `runtime.TypeMeta`.
#[derive(Clone, PartialEq, Message)]
pub struct TypeMeta {
    #[prost(string, tag = "1")]
    pub api_version: String,
    #[prost(string, tag = "2")]
    pub kind: String,
}

/// The part of `meta.v1.ObjectMeta` that means something on an object that is not stored.
#[derive(Clone, PartialEq, Message)]
pub struct ObjectMeta {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub generate_name: String,
    #[prost(string, tag = "3")]
    pub namespace: String,
    #[prost(btree_map = "string, string", tag = "11")]
    pub labels: BTreeMap<String, String>,
    #[prost(btree_map = "string, string", tag = "12")]
    pub annotations: BTreeMap<String, String>,
}

/// `authorization.v1.SelfSubjectAccessReview`.
#[derive(Clone, PartialEq, Message)]
pub struct SelfSubjectAccessReview {
    #[prost(message, optional, tag = "1")]
    pub metadata: Option<ObjectMeta>,
    #[prost(message, optional, tag = "2")]
    pub spec: Option<SelfSubjectAccessReviewSpec>,
}

/// Its spec.
#[derive(Clone, PartialEq, Message)]
pub struct SelfSubjectAccessReviewSpec {
    #[prost(message, optional, tag = "1")]
    pub resource_attributes: Option<ResourceAttributes>,
    #[prost(message, optional, tag = "2")]
    pub non_resource_attributes: Option<NonResourceAttributes>,
}

/// `authorization.v1.SubjectAccessReview`.
#[derive(Clone, PartialEq, Message)]
pub struct SubjectAccessReview {
    #[prost(message, optional, tag = "1")]
    pub metadata: Option<ObjectMeta>,
    #[prost(message, optional, tag = "2")]
    pub spec: Option<SubjectAccessReviewSpec>,
}

/// Its spec.
#[derive(Clone, PartialEq, Message)]
pub struct SubjectAccessReviewSpec {
    #[prost(message, optional, tag = "1")]
    pub resource_attributes: Option<ResourceAttributes>,
    #[prost(message, optional, tag = "2")]
    pub non_resource_attributes: Option<NonResourceAttributes>,
    #[prost(string, tag = "3")]
    pub user: String,
    #[prost(string, repeated, tag = "4")]
    pub groups: Vec<String>,
    #[prost(btree_map = "string, message", tag = "5")]
    pub extra: BTreeMap<String, ExtraValue>,
    #[prost(string, tag = "6")]
    pub uid: String,
}

/// The values of one extra attribute of a user.
#[derive(Clone, PartialEq, Message)]
pub struct ExtraValue {
    #[prost(string, repeated, tag = "1")]
    pub items: Vec<String>,
}

/// An action on a resource.
#[derive(Clone, PartialEq, Message)]
pub struct ResourceAttributes {
    #[prost(string, tag = "1")]
    pub namespace: String,
    #[prost(string, tag = "2")]
    pub verb: String,
    #[prost(string, tag = "3")]
    pub group: String,
    #[prost(string, tag = "4")]
    pub version: String,
    #[prost(string, tag = "5")]
    pub resource: String,
    #[prost(string, tag = "6")]
    pub subresource: String,
    #[prost(string, tag = "7")]
    pub name: String,
    #[prost(message, optional, tag = "8")]
    pub field_selector: Option<SelectorAttributes>,
    #[prost(message, optional, tag = "9")]
    pub label_selector: Option<SelectorAttributes>,
}

/// A field or label selector; both have the same tags.
#[derive(Clone, PartialEq, Message)]
pub struct SelectorAttributes {
    #[prost(string, tag = "1")]
    pub raw_selector: String,
    #[prost(message, repeated, tag = "2")]
    pub requirements: Vec<SelectorRequirement>,
}

/// One part of a selector.
#[derive(Clone, PartialEq, Message)]
pub struct SelectorRequirement {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, tag = "2")]
    pub operator: String,
    #[prost(string, repeated, tag = "3")]
    pub values: Vec<String>,
}

/// A request to a path.
#[derive(Clone, PartialEq, Message)]
pub struct NonResourceAttributes {
    #[prost(string, tag = "1")]
    pub path: String,
    #[prost(string, tag = "2")]
    pub verb: String,
}

/// `authorization.v1.SelfSubjectRulesReview`.
#[derive(Clone, PartialEq, Message)]
pub struct SelfSubjectRulesReview {
    #[prost(message, optional, tag = "1")]
    pub metadata: Option<ObjectMeta>,
    #[prost(message, optional, tag = "2")]
    pub spec: Option<SelfSubjectRulesReviewSpec>,
}

/// Its spec.
#[derive(Clone, PartialEq, Message)]
pub struct SelfSubjectRulesReviewSpec {
    #[prost(string, tag = "1")]
    pub namespace: String,
}

/// `authentication.v1.SelfSubjectReview`, which asks nothing.
#[derive(Clone, PartialEq, Message)]
pub struct SelfSubjectReview {
    #[prost(message, optional, tag = "1")]
    pub metadata: Option<ObjectMeta>,
}

/// `authentication.v1.TokenReview`.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub struct TokenReview {
    #[prost(message, optional, tag = "1")]
    pub metadata: Option<ObjectMeta>,
    #[prost(message, optional, tag = "2")]
    pub spec: Option<TokenReviewSpec>,
}

/// Its spec. The token is a secret, so it cannot be printed.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub struct TokenReviewSpec {
    #[prost(string, tag = "1")]
    pub token: String,
    #[prost(string, repeated, tag = "2")]
    pub audiences: Vec<String>,
}

/// `meta.v1.DeleteOptions`.
#[derive(Clone, PartialEq, Message)]
pub struct DeleteOptions {
    #[prost(int64, optional, tag = "1")]
    pub grace_period_seconds: Option<i64>,
    #[prost(message, optional, tag = "2")]
    pub preconditions: Option<Preconditions>,
    #[prost(bool, optional, tag = "3")]
    pub orphan_dependents: Option<bool>,
    #[prost(string, optional, tag = "4")]
    pub propagation_policy: Option<String>,
    #[prost(string, repeated, tag = "5")]
    pub dry_run: Vec<String>,
    #[prost(bool, optional, tag = "6")]
    pub ignore_store_read_error: Option<bool>,
}

/// `meta.v1.Preconditions`.
#[derive(Clone, PartialEq, Message)]
pub struct Preconditions {
    #[prost(string, optional, tag = "1")]
    pub uid: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub resource_version: Option<String>,
}

/// Collects the members that are set.
#[derive(Default)]
struct Members(Map);

impl Members {
    /// A member that JSON leaves out when empty.
    fn filled(mut self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        let empty = match &value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(members) => members.is_empty(),
            Value::Bool(_) | Value::Number(_) => false,
        };
        if !empty {
            self.0.insert(name.to_owned(), value);
        }
        self
    }

    /// A pointer: kept when set, whatever it points to.
    fn pointer<T: Into<Value>>(mut self, name: &str, value: Option<T>) -> Self {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), value.into());
        }
        self
    }
}

/// Gives a message its way into a JSON object, and so into a JSON value.
macro_rules! members {
    ($($message:ident: $of:ident => $members:expr;)*) => {$(
        impl From<$message> for Map {
            fn from($of: $message) -> Map {
                $members.0
            }
        }
        impl From<$message> for Value {
            fn from(message: $message) -> Value {
                Value::Object(message.into())
            }
        }
    )*};
}

members! {
    ObjectMeta: m => Members::default()
        .filled("name", m.name)
        .filled("generateName", m.generate_name)
        .filled("namespace", m.namespace)
        .filled("labels", texts(m.labels))
        .filled("annotations", texts(m.annotations));
    SelfSubjectAccessReview: m => Members::default().filled("metadata", object(m.metadata)).pointer("spec", m.spec);
    SelfSubjectAccessReviewSpec: m => Members::default()
        .pointer("resourceAttributes", m.resource_attributes)
        .pointer("nonResourceAttributes", m.non_resource_attributes);
    SubjectAccessReview: m => Members::default().filled("metadata", object(m.metadata)).pointer("spec", m.spec);
    SubjectAccessReviewSpec: m => Members::default()
        .pointer("resourceAttributes", m.resource_attributes)
        .pointer("nonResourceAttributes", m.non_resource_attributes)
        .filled("user", m.user)
        .filled("groups", m.groups)
        .filled("extra", m.extra.into_iter().map(|(k, v)| (k, Value::from(v.items))).collect::<Map>())
        .filled("uid", m.uid);
    ResourceAttributes: m => Members::default()
        .filled("namespace", m.namespace)
        .filled("verb", m.verb)
        .filled("group", m.group)
        .filled("version", m.version)
        .filled("resource", m.resource)
        .filled("subresource", m.subresource)
        .filled("name", m.name)
        .pointer("fieldSelector", m.field_selector)
        .pointer("labelSelector", m.label_selector);
    SelectorAttributes: m => Members::default()
        .filled("rawSelector", m.raw_selector)
        .filled("requirements", m.requirements);
    SelectorRequirement: m => Members::default()
        .filled("key", m.key)
        .filled("operator", m.operator)
        .filled("values", m.values);
    NonResourceAttributes: m => Members::default().filled("path", m.path).filled("verb", m.verb);
    SelfSubjectRulesReview: m => Members::default().filled("metadata", object(m.metadata)).pointer("spec", m.spec);
    SelfSubjectRulesReviewSpec: m => Members::default().filled("namespace", m.namespace);
    SelfSubjectReview: m => Members::default().filled("metadata", object(m.metadata));
    TokenReview: m => Members::default().filled("metadata", object(m.metadata)).pointer("spec", m.spec);
    TokenReviewSpec: m => Members::default().filled("token", m.token).filled("audiences", m.audiences);
    DeleteOptions: m => Members::default()
        .pointer("gracePeriodSeconds", m.grace_period_seconds)
        .pointer("preconditions", m.preconditions)
        .pointer("orphanDependents", m.orphan_dependents)
        .pointer("propagationPolicy", m.propagation_policy)
        .filled("dryRun", m.dry_run)
        .pointer("ignoreStoreReadErrorWithClusterBreakingPotential", m.ignore_store_read_error);
    Preconditions: m => Members::default()
        .pointer("uid", m.uid)
        .pointer("resourceVersion", m.resource_version);
}

fn object<M: Into<Map>>(message: Option<M>) -> Map {
    message.map(Into::into).unwrap_or_default()
}

fn texts(map: BTreeMap<String, String>) -> Map {
    map.into_iter().map(|(key, value)| (key, Value::from(value))).collect()
}
