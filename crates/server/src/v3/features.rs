//! `/v3/features`: switches; `value` is what somebody chose, `status` what holds otherwise (v3-token.md §8).

use std::sync::Arc;

use async_trait::async_trait;
use eartag_apiserver::kind::Kind;
use eartag_apiserver::refusal::Refusal;
use eartag_apiserver::{Map, Tree};
use serde_json::json;

use super::error::V3Error;
use super::item::text;
use super::resource::{About, Field, FieldType, V3Resource};
use crate::authn::Caller;
use crate::state::State;

/// The type.
pub struct Features;

static ABOUT: About = About {
    id: "feature",
    plural: "features",
    fields: &[
        Field::read_only("name", FieldType::DnsLabel, "The same as the id."),
        Field::read_only("status", FieldType::Struct("featureStatus"), "What the server says about it."),
        Field::writable("value", FieldType::Boolean, "On or off; null leaves it to the default."),
    ],
    collection_methods: &["GET"],
    resource_methods: &["GET", "PUT"],
    collection_actions: &[],
    resource_actions: &[],
};

#[async_trait]
impl V3Resource for Features {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn kind(&self, state: &State) -> Arc<dyn Kind> {
        Arc::clone(&state.kinds.features)
    }

    fn show(&self, object: &Tree, _caller: &Caller, item: &mut Map) {
        let name = object.get("metadata").map(|metadata| text(metadata, "name")).unwrap_or_default();
        item.insert("name".to_owned(), name.into());
        item.insert("value".to_owned(), object.pointer("/spec/value").cloned().unwrap_or_default());
        item.insert("status".to_owned(), object.get("status").cloned().unwrap_or_default());
    }

    fn object(&self, body: &Map) -> Result<Map, V3Error> {
        let Some(value) = body.get("value") else { return Ok(Map::new()) };
        Ok(Map::from_iter([("spec".to_owned(), json!({"value": value}))]))
    }

    fn error(&self, refusal: &Refusal) -> Option<V3Error> {
        match refusal {
            // A feature that is locked on for good.
            Refusal::Denied(text) => Some(V3Error::body(text.clone())),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use serde_json::json;

    use crate::authn::testing::{Scene, system_admin};

    const HASHING: &str = "/v3/features/token-hashing";

    #[tokio::test]
    async fn a_feature_that_locks_cannot_be_switched_back() {
        let mut scene = Scene::new().await;
        scene.peer = system_admin();
        let off = scene.send("GET", HASHING, &[], "").await;
        assert_eq!((off.status, &off.body["status"]["lockedValue"]), (200, &json!(null)));
        assert_eq!(off.body["status"]["default"], false);
        assert_eq!(off.body["type"], "feature");
        let on = scene.send("PUT", HASHING, &[], r#"{"value": true}"#).await;
        assert_eq!((on.status, &on.body["value"]), (200, &json!(true)));
        assert_eq!(on.body["status"]["lockedValue"], true);
        let back = scene.send("PUT", HASHING, &[], r#"{"value": false}"#).await;
        assert_eq!(
            back.body,
            json!({
                "baseType": "error", "code": "InvalidBodyContent", "status": 422, "type": "error",
                "message": "feature flag cannot be changed from current value: true",
            })
        );
        assert_eq!(scene.send("PUT", HASHING, &[], r#"{"value": "no"}"#).await.error().1, "InvalidFormat");
        assert_eq!(scene.send("DELETE", HASHING, &[], "").await.error().1, "MethodNotAllow");
        assert_eq!(
            scene.send("GET", "/v3/features", &[], "").await.body["data"].as_array().unwrap().len(),
            3
        );
    }
}
