//! A small API for the tests: the project's own types, and one namespaced kind.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::About;
use crate::discovery::{Catalogue, Freshness, GroupVersion};
use crate::info::{Naming, PatchType, ResourceInfo};
use crate::schema::Schema;

pub const ABOUT: About<'_> = About { title: "Test", version: "v1.34.2" };

/// base64(sha256("ext.cattle.io/v1/Token")[..8]), computed with another tool.
pub const TOKEN_HASH: &str = "HsjkO57h4bg=";

pub const ALL_VERBS: &[&str] =
    &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

#[derive(schemars::JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
/// A note.
struct Note {
    /// What it says.
    text: String,
}

pub fn infos() -> Vec<ResourceInfo> {
    use eartag_api::{ext, management, rbac, review};
    use schemars::schema_for;
    let of = |group: &'static str, version, kind, plural, singular, root: schemars::Schema, model: &str| {
        ResourceInfo {
            group,
            version,
            kind,
            plural,
            singular,
            short_names: &[],
            categories: if group == "ext.cattle.io" { &["eartag"] } else { &[] },
            namespaced: false,
            description: "Something.",
            schema: Arc::new(Schema::for_object(root, model).unwrap()),
            columns: Vec::new(),
            selectable: &[],
            verbs: ALL_VERBS,
            naming: Naming::Client,
            update_needs_version: false,
            delete_returns_object: kind == "Token",
            patch_types: &PatchType::ALL,
        }
    };
    let review_only = |info: ResourceInfo| ResourceInfo { verbs: &["create"], patch_types: &[], ..info };
    vec![
        of(
            "ext.cattle.io",
            "v1",
            "Token",
            "tokens",
            "token",
            schema_for!(ext::Token),
            "io.cattle.ext.v1.Token",
        ),
        ResourceInfo {
            patch_types: &[PatchType::Merge],
            ..of(
                "management.cattle.io",
                "v3",
                "Setting",
                "settings",
                "setting",
                schema_for!(management::Setting),
                "io.cattle.management.v3.Setting",
            )
        },
        of(
            "rbac.authorization.k8s.io",
            "v1",
            "ClusterRole",
            "clusterroles",
            "clusterrole",
            schema_for!(rbac::ClusterRole),
            "io.k8s.api.rbac.v1.ClusterRole",
        ),
        review_only(of(
            "authorization.k8s.io",
            "v1",
            "SelfSubjectAccessReview",
            "selfsubjectaccessreviews",
            "selfsubjectaccessreview",
            schema_for!(review::SelfSubjectAccessReview),
            "io.k8s.api.authorization.v1.SelfSubjectAccessReview",
        )),
        ResourceInfo {
            namespaced: true,
            verbs: &["create", "get", "list"],
            patch_types: &[],
            ..of("example.com", "v1", "Note", "notes", "note", schema_for!(Note), "com.example.v1.Note")
        },
    ]
}

pub fn with<T>(check: impl FnOnce(&Catalogue<'_>) -> T) -> T {
    let infos = infos();
    let resources: Vec<&ResourceInfo> = infos.iter().collect();
    let versions = [
        ("management.cattle.io", "v3"),
        ("ext.cattle.io", "v1"),
        ("rbac.authorization.k8s.io", "v1"),
        ("authorization.k8s.io", "v1"),
        ("example.com", "v1"),
        ("", "v1"),
    ]
    .map(|(group, version)| GroupVersion { group, version, freshness: Freshness::Current });
    check(&Catalogue { versions: &versions, resources: &resources })
}

/// Every `$ref` in a document.
pub fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(target) if name == "$ref" => {
                        found.insert(target.clone());
                    }
                    _ => references(member, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}
