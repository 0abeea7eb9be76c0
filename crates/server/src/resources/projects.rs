//! Projects: there are none here, but clients of the reference ask for them (DEC61). The kind is not served at the Kubernetes door.

use async_trait::async_trait;
use eartag_api::meta::Meta;
use eartag_apiserver::info::ResourceInfo;
use eartag_apiserver::kind::{Corrupt, Cx, Draft, Kind, Stored, Verb};
use eartag_apiserver::refusal::Refusal;
use eartag_apiserver::schema::SchemaError;
use eartag_apiserver::{Map, Tree};
use eartag_core::collections::CLUSTERS;
use eartag_storage::{CollectionId, Scope};
use schemars::JsonSchema;
use serde::Serialize;

use super::{NAME_COLUMN, READ, management, schema};

/// A project is a group of a cluster's namespaces; this server has none.
#[derive(Serialize, JsonSchema, Default)]
struct Project {}

/// The lens over nothing.
pub struct Projects(ResourceInfo);

impl Projects {
    /// The lens.
    pub fn new() -> Result<Projects, SchemaError> {
        let description = "Project is a group of a cluster's namespaces; this server has none.";
        let schema = schema::<Project>("io.cattle.management.v3.Project")?;
        let info = management("Project", "projects", "project", description, schema, vec![NAME_COLUMN]);
        Ok(Projects(ResourceInfo { verbs: READ, ..info }))
    }
}

#[async_trait]
impl Kind for Projects {
    fn info(&self) -> &ResourceInfo {
        &self.0
    }

    /// Some collection or other; the scope leaves nothing of it.
    fn collection(&self) -> CollectionId {
        CLUSTERS
    }

    async fn scope(&self, _cx: &Cx, _verb: Verb) -> Result<Scope, Refusal> {
        Ok(Scope::None)
    }

    fn show(&self, _stored: &Stored<'_>, _cx: &Cx, _object: &mut Map) -> Result<(), Corrupt> {
        Ok(())
    }

    async fn admit(&self, _name: &str, _asked: &Tree, _meta: &mut Meta, _cx: &Cx) -> Result<Draft, Refusal> {
        Err(Refusal::MethodNotAllowed)
    }

    async fn change(
        &self,
        _old: &Stored<'_>,
        _seen: &Tree,
        _asked: &Tree,
        _meta: &mut Meta,
        _cx: &Cx,
    ) -> Result<Draft, Refusal> {
        Err(Refusal::MethodNotAllowed)
    }

    fn row(&self, _object: &Tree, _cx: &Cx) -> Vec<Tree> {
        Vec::new()
    }
}
