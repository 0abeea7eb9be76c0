//! Read-only resources that clients of a whole cluster look for: the namespace `default`, and no custom resource definitions.

use eartag_apiserver::Tree;
use eartag_apiserver::info::ResourceInfo;
use eartag_apiserver::kind::Fixed;
use eartag_apiserver::schema::SchemaError;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::{NAME_COLUMN, column, schema};

/// Namespace is a named room for objects; all objects of this server live outside of namespaces.
#[derive(Serialize, JsonSchema, Default)]
struct Namespace {
    /// What is wished of the namespace.
    spec: NamespaceSpec,
    /// How the namespace is.
    status: NamespaceStatus,
}

/// What is wished of a namespace.
#[derive(Serialize, JsonSchema, Default)]
struct NamespaceSpec {
    /// What must be cleaned up before the namespace can go.
    finalizers: Vec<String>,
}

/// How a namespace is.
#[derive(Serialize, JsonSchema, Default)]
struct NamespaceStatus {
    /// `Active` or `Terminating`.
    phase: String,
}

/// CustomResourceDefinition describes a kind that a cluster learns at run time; this server has none.
#[derive(Serialize, JsonSchema, Default)]
struct CustomResourceDefinition {
    /// What is defined.
    spec: CustomResourceDefinitionSpec,
}

/// What a custom resource definition defines.
#[derive(Serialize, JsonSchema, Default)]
struct CustomResourceDefinitionSpec {
    /// API group of the kind.
    group: String,
    /// `Cluster` or `Namespaced`.
    scope: String,
}

/// The namespaces: `default`, so that clients which want one find it (kubernetes-api.md O32).
pub struct Namespaces(ResourceInfo);

impl Namespaces {
    /// The resource.
    pub fn new() -> Result<Namespaces, SchemaError> {
        let schema = schema::<Namespace>("io.k8s.api.core.v1.Namespace")?;
        let columns =
            vec![NAME_COLUMN, column("Status", 0, "Whether the namespace is active."), super::AGE_COLUMN];
        let description =
            "Namespace is a named room for objects; all objects of this server live outside of namespaces.";
        let mut info =
            ResourceInfo::new("", "v1", "Namespace", "namespaces", "namespace", description, schema);
        info.verbs = &["get", "list"];
        info.short_names = &["ns"];
        info.columns = columns;
        Ok(Namespaces(info))
    }
}

impl Fixed for Namespaces {
    fn info(&self) -> &ResourceInfo {
        &self.0
    }

    fn objects(&self) -> Vec<Tree> {
        vec![json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {
                "name": "default", "uid": "00000000-0000-4000-8000-000000000001", "resourceVersion": "1",
                "creationTimestamp": null, "labels": {"kubernetes.io/metadata.name": "default"},
            },
            "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
        })]
    }

    fn row(&self, object: &Tree) -> Vec<Tree> {
        let phase = object.pointer("/status/phase").cloned().unwrap_or_default();
        vec![phase, "<unknown>".into()]
    }
}

/// The custom resource definitions: none, which is what tools that ask want to hear (kubernetes-api.md O5).
pub struct CustomResourceDefinitions(ResourceInfo);

impl CustomResourceDefinitions {
    /// The resource.
    pub fn new() -> Result<CustomResourceDefinitions, SchemaError> {
        let schema = schema::<CustomResourceDefinition>(
            "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
        )?;
        let description = "CustomResourceDefinition describes a kind that a cluster learns at run time; this server has none.";
        let mut info = ResourceInfo::new(
            "apiextensions.k8s.io",
            "v1",
            "CustomResourceDefinition",
            "customresourcedefinitions",
            "customresourcedefinition",
            description,
            schema,
        );
        info.verbs = &["get", "list"];
        info.short_names = &["crd", "crds"];
        info.columns = vec![NAME_COLUMN];
        Ok(CustomResourceDefinitions(info))
    }
}

impl Fixed for CustomResourceDefinitions {
    fn info(&self) -> &ResourceInfo {
        &self.0
    }

    fn objects(&self) -> Vec<Tree> {
        Vec::new()
    }

    fn row(&self, _object: &Tree) -> Vec<Tree> {
        Vec::new()
    }
}
