//! The resources: one lens a file. Rules live in `core`; here they meet objects.

pub mod cluster_credentials;
mod cluster_role_bindings;
mod cluster_roles;
mod clusters;
mod features;
mod fixed;
mod global_role_bindings;
mod global_roles;
mod kubeconfigs;
mod owned;
mod password_changes;
mod projects;
pub mod quota;
pub(crate) mod rules;
mod self_users;
mod settings;
mod token_reviews;
pub(crate) mod tokens;
mod user_activities;
mod user_attributes;
pub(crate) mod users;

use std::sync::Arc;

use eartag_apiserver::Tree;
use eartag_apiserver::http::denied;
use eartag_apiserver::info::{Column, PatchType, ResourceInfo};
use eartag_apiserver::kind::{Cx, Kind, Resource, World};
use eartag_apiserver::refusal::Refusal;
use eartag_apiserver::registry::Registry;
use eartag_apiserver::reviews;
use eartag_apiserver::schema::{Schema, SchemaError};
use eartag_core::PlainSecret;
use eartag_storage::Store;
use serde::de::DeserializeOwned;

use crate::config::ServerUrl;
use crate::metrics::Metrics;
use crate::observer::Tables;
use crate::state::Kinds;
use crate::token_review::Reviewer;
use crate::vault::Vault;

/// Group of people's tokens.
pub const EXT: &str = "ext.cattle.io";
/// Group of users, roles, settings.
pub const MANAGEMENT: &str = "management.cattle.io";
/// Group of Kubernetes' own roles.
pub const RBAC: &str = "rbac.authorization.k8s.io";

/// Verbs of resources that can be written.
const ALL_VERBS: &[&str] =
    &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
/// Verbs of resources whose objects the server makes.
const NO_CREATE: &[&str] = &["get", "list", "patch", "update", "watch"];
/// Verbs of resources that are only looked at.
const READ: &[&str] = &["get", "list", "watch"];
const PATCHES: &[PatchType] = &[PatchType::Json, PatchType::Merge, PatchType::StrategicMerge];

/// The first column of every table.
pub const NAME_COLUMN: Column = Column {
    name: "Name",
    kind: "string",
    format: "name",
    priority: 0,
    description: "Name of the object, unique within its resource.",
};
/// The last one of most.
pub const AGE_COLUMN: Column = Column {
    name: "Age",
    kind: "string",
    format: "",
    priority: 0,
    description: "Time since the object was created.",
};

const fn column(name: &'static str, priority: u8, description: &'static str) -> Column {
    Column { name, kind: "string", format: "", priority, description }
}

/// What resources stand on.
#[derive(Clone)]
pub struct Foundation {
    /// What follows the store.
    pub tables: Arc<Tables>,
    /// The store.
    pub store: Store,
    /// Time and randomness.
    pub world: Arc<dyn World>,
    /// Closes what must be opened again.
    pub vault: Arc<Vault>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// How clients reach the server, if the operator said so.
    pub server_url: Option<ServerUrl>,
}

/// Everything that is served, in the order of group priority: management before ext (kubernetes-api.md §0.2), and the kinds that more than one door needs.
pub fn registry(foundation: &Foundation) -> Result<(Registry, Kinds), SchemaError> {
    let Foundation { tables, store, world, .. } = foundation;
    let kinds = Kinds {
        tokens: Arc::new(tokens::Tokens::new(tables.clone(), store.clone())?),
        legacy_tokens: Arc::new(tokens::LegacyTokens::new(tables.clone(), store.clone())?),
        users: Arc::new(users::Users::new(tables.clone(), store.clone())?),
        global_roles: Arc::new(global_roles::GlobalRoles::new(tables.clone(), store.clone())?),
        global_role_bindings: Arc::new(global_role_bindings::GlobalRoleBindings::new(
            tables.clone(),
            store.clone(),
        )?),
        settings: Arc::new(settings::Settings::new(tables.clone())?),
        features: Arc::new(features::Features::new(tables.clone())?),
        clusters: Arc::new(clusters::Clusters::new(tables.clone(), store.clone())?),
        projects: Arc::new(projects::Projects::new()?),
    };
    let stored = |kind: &Arc<dyn Kind>| Resource::Stored(kind.clone());
    let mut registry = Registry::new()
        .with(Resource::Fixed(Arc::new(fixed::Namespaces::new()?)))
        .with(stored(&kinds.users))
        .with(Resource::Stored(Arc::new(user_attributes::UserAttributes::new(
            tables.clone(),
            store.clone(),
        )?)))
        .with(stored(&kinds.global_roles))
        .with(stored(&kinds.global_role_bindings))
        .with(stored(&kinds.legacy_tokens))
        .with(stored(&kinds.settings))
        .with(stored(&kinds.features))
        .with(stored(&kinds.clusters))
        .with(Resource::Review(Arc::new(cluster_credentials::ClusterCredentials::new(foundation.clone())?)))
        .with(Resource::Stored(Arc::new(cluster_roles::ClusterRoles::new(tables.clone())?)))
        .with(Resource::Stored(Arc::new(cluster_role_bindings::ClusterRoleBindings::new(
            tables.clone(),
            store.clone(),
        )?)));
    for review in reviews::all(reviews::Schemas {
        self_access: schema::<eartag_api::review::SelfSubjectAccessReview>(
            "io.k8s.api.authorization.v1.SelfSubjectAccessReview",
        )?,
        access: schema::<eartag_api::review::SubjectAccessReview>(
            "io.k8s.api.authorization.v1.SubjectAccessReview",
        )?,
        rules: schema::<eartag_api::review::SelfSubjectRulesReview>(
            "io.k8s.api.authorization.v1.SelfSubjectRulesReview",
        )?,
        identity: schema::<eartag_api::review::SelfSubjectReview>(
            "io.k8s.api.authentication.v1.SelfSubjectReview",
        )?,
    }) {
        registry = registry.with(review);
    }
    let reviewer = Reviewer::new(tables.clone(), store.clone(), foundation.metrics.clone());
    for reviews in token_reviews::TokenReviews::all(&reviewer)? {
        registry = registry.with(Resource::Review(Arc::new(reviews)));
    }
    registry = registry
        .with(Resource::Fixed(Arc::new(fixed::CustomResourceDefinitions::new()?)))
        .with(stored(&kinds.tokens))
        .with(Resource::Stored(Arc::new(kubeconfigs::Kubeconfigs::new(
            tables.clone(),
            store.clone(),
            foundation.server_url.clone(),
        )?)))
        .with(Resource::Review(Arc::new(password_changes::PasswordChangeRequests::new(
            tables.clone(),
            store.clone(),
            world.clone(),
        )?)))
        .with(Resource::Review(Arc::new(self_users::SelfUsers::new()?)))
        .with(Resource::Computed(Arc::new(user_activities::UserActivities::new(tables.clone())?)));
    Ok((registry, kinds))
}

/// The schema of objects of this type.
fn schema<T: schemars::JsonSchema>(model: &str) -> Result<Schema, SchemaError> {
    Schema::for_object(schemars::schema_for!(T), model)
}

/// A cluster-scoped resource of `management.cattle.io/v3` as a custom resource behaves; other groups change what differs.
fn management(
    kind: &'static str,
    plural: &'static str,
    singular: &'static str,
    description: &'static str,
    schema: Schema,
    columns: Vec<Column>,
) -> ResourceInfo {
    ResourceInfo {
        columns,
        verbs: ALL_VERBS,
        update_needs_version: true,
        patch_types: PATCHES,
        ..ResourceInfo::new(MANAGEMENT, "v3", kind, plural, singular, description, schema)
    }
}

/// The asked object as its type. The tree was checked against the schema before, so this fails only where the type says more than the schema.
fn typed<T: DeserializeOwned>(asked: &Tree) -> Result<T, Refusal> {
    T::deserialize(asked)
        .map_err(|error| Refusal::BadRequest(format!("the object cannot be understood: {error}")))
}

/// Whether the caller may change this cluster, and so say what opens it (DEC44).
///
/// # Errors
/// 403.
pub async fn only_admins_change_clusters(cx: &Cx, name: &str) -> Result<(), Refusal> {
    clusters::only_admins(cx, eartag_apiserver::kind::Verb::Update, name).await
}

/// Moves a secret text out of a request, so that no copy of it is left behind. The schema has seen to it that it is one.
fn take_secret(asked: &mut Tree, pointer: &str) -> PlainSecret {
    match asked.pointer_mut(pointer).map(Tree::take) {
        Some(Tree::String(text)) => PlainSecret::new(text),
        _ => PlainSecret::new(""),
    }
}

/// Puts the members of a typed object beside `metadata`.
fn fill(object: &mut eartag_apiserver::Map, value: &impl serde::Serialize) {
    if let Ok(Tree::Object(members)) = serde_json::to_value(value) {
        object.extend(members);
    }
}

/// The cell of an object's age.
fn age(object: &Tree, cx: &Cx) -> Tree {
    let created = object.pointer("/metadata/creationTimestamp").and_then(Tree::as_str).unwrap_or_default();
    match eartag_apiserver::time::parse_rfc3339(created) {
        Some(created_s) => eartag_core::duration::age(cx.now_ms, created_s).into(),
        None => "<unknown>".into(),
    }
}

/// The text at a pointer, for cells.
fn cell(object: &Tree, pointer: &str) -> Tree {
    match object.pointer(pointer) {
        Some(Tree::String(text)) => text.clone().into(),
        None | Some(Tree::Null) => "".into(),
        Some(other) => other.to_string().into(),
    }
}

/// The refusal of an authorizer, for kinds that ask it about more than the request's own verb.
async fn require(cx: &Cx, wants: &eartag_apiserver::user::Attributes) -> Result<(), Refusal> {
    match cx.authorizer.authorize(&cx.user, wants).await {
        eartag_apiserver::user::Decision::Allow => Ok(()),
        _ => Err(denied(&cx.user, wants, "")),
    }
}

#[cfg(test)]
mod tests;
