//! `/v3/projects`: an empty collection with a schema (DEC61).

use std::sync::Arc;

use async_trait::async_trait;
use eartag_apiserver::kind::Kind;
use eartag_apiserver::{Map, Tree};

use super::error::V3Error;
use super::resource::{About, Field, FieldType, V3Resource};
use crate::authn::Caller;
use crate::state::State;

/// The type.
pub struct Projects;

static ABOUT: About = About {
    id: "project",
    plural: "projects",
    fields: &[
        Field::read_only("clusterId", FieldType::Reference("cluster"), "The cluster it is part of."),
        Field::read_only("description", FieldType::String, "What it is for."),
        Field::read_only("name", FieldType::String, "The name for people."),
    ],
    collection_methods: &["GET"],
    resource_methods: &["GET"],
    collection_actions: &[],
    resource_actions: &[],
};

#[async_trait]
impl V3Resource for Projects {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn kind(&self, state: &State) -> Arc<dyn Kind> {
        Arc::clone(&state.kinds.projects)
    }

    /// Nobody is told more than that there are none.
    fn open(&self) -> bool {
        true
    }

    fn show(&self, _object: &Tree, _caller: &Caller, _item: &mut Map) {}

    fn object(&self, _body: &Map) -> Result<Map, V3Error> {
        Ok(Map::new())
    }
}
