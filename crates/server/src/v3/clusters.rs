//! `/v3/clusters`: what tokens can be restricted to. Read only for now; `local` is this server (DEC44, DEC61).

use std::sync::Arc;

use async_trait::async_trait;
use eartag_apiserver::kind::Kind;
use eartag_apiserver::{Map, Tree};

use super::error::V3Error;
use super::resource::{About, Field, FieldType, V3Resource};
use crate::authn::Caller;
use crate::state::State;

/// The type.
pub struct Clusters;

static ABOUT: About = About {
    id: "cluster",
    plural: "clusters",
    fields: &[
        Field::read_only("apiEndpoint", FieldType::String, "The address of its API server."),
        Field::read_only(
            "caCert",
            FieldType::String,
            "The certificate authority of its API server, PEM in base64.",
        ),
        Field::read_only("conditions", FieldType::Items("clusterCondition"), "What was observed of it."),
        Field::read_only("description", FieldType::String, "What it is for."),
        Field::read_only("internal", FieldType::Boolean, "Whether it is this server itself."),
        Field::read_only("name", FieldType::String, "The name for people."),
        Field::read_only("provider", FieldType::String, "What runs it."),
        Field::read_only("state", FieldType::String, "How it is, in a word: active."),
        Field::read_only("transitioning", FieldType::String, "Whether it is becoming something else: no."),
        Field::read_only("transitioningMessage", FieldType::String, "Why."),
    ],
    collection_methods: &["GET"],
    resource_methods: &["GET"],
    collection_actions: &[],
    resource_actions: &[],
};

#[async_trait]
impl V3Resource for Clusters {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn kind(&self, state: &State) -> Arc<dyn Kind> {
        Arc::clone(&state.kinds.clusters)
    }

    fn show(&self, object: &Tree, _caller: &Caller, item: &mut Map) {
        let at = |pointer: &str| object.pointer(pointer).cloned();
        let texts = [
            ("name", "/spec/displayName"),
            ("description", "/spec/description"),
            ("provider", "/status/provider"),
            ("apiEndpoint", "/status/apiEndpoint"),
            ("caCert", "/status/caCert"),
        ];
        for (member, pointer) in texts {
            item.insert(member.to_owned(), at(pointer).unwrap_or_else(|| "".into()));
        }
        item.insert("internal".to_owned(), at("/spec/internal").unwrap_or(false.into()));
        let conditions = at("/status/conditions").unwrap_or_else(|| Tree::Array(Vec::new()));
        item.insert("conditions".to_owned(), conditions);
        item.insert("state".to_owned(), "active".into());
        item.insert("transitioning".to_owned(), "no".into());
        item.insert("transitioningMessage".to_owned(), "".into());
    }

    fn object(&self, _body: &Map) -> Result<Map, V3Error> {
        Ok(Map::new())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use serde_json::json;

    use crate::authn::testing::{Scene, system_admin};

    #[tokio::test]
    async fn the_cluster_local_is_there_and_updated() {
        let mut scene = Scene::new().await;
        scene.peer = system_admin();
        let local = scene.send("GET", "/v3/clusters/local", &[], "").await;
        assert_eq!(
            (local.status, &local.body["id"], &local.body["state"]),
            (200, &json!("local"), &json!("active"))
        );
        assert_eq!(local.body["internal"], true);
        let updated = local.body["conditions"].as_array().unwrap().iter().find(|c| c["type"] == "Updated");
        assert_eq!(updated.unwrap()["status"], "True");
        let list = scene.send("GET", "/v3/clusters?internal=true", &[], "").await;
        assert_eq!(list.body["data"][0]["id"], "local");
        assert_eq!(scene.send("POST", "/v3/clusters", &[], "{}").await.error().1, "MethodNotAllow");
    }

    #[tokio::test]
    async fn projects_are_an_empty_collection_for_everybody() {
        let scene = Scene::new().await;
        let ann = scene.user("user-ann", "ann", None, "").await;
        let bearer = format!("Bearer {}", scene.token(&ann, true, "").await.bearer.expose());
        let headers = [("authorization", bearer.as_str())];
        let list = scene.send("GET", "/v3/projects", &headers, "").await;
        assert_eq!(
            (list.status, &list.body["data"], &list.body["resourceType"]),
            (200, &json!([]), &json!("project"))
        );
        let one = scene.send("GET", "/v3/projects/local", &headers, "").await;
        assert_eq!(one.error(), (404, "NotFound", "projects.management.cattle.io \"local\" not found"));
    }
}
