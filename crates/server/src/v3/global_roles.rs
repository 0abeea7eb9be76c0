//! `/v3/globalroles`: here `name` is what the object calls `displayName`.

use std::sync::Arc;

use async_trait::async_trait;
use eartag_apiserver::kind::Kind;
use eartag_apiserver::{Map, Tree};

use super::door::Door;
use super::error::V3Error;
use super::item::text;
use super::resource::{About, Field, FieldType, V3Resource};
use crate::authn::Caller;
use crate::state::State;

/// The type.
pub struct GlobalRoles;

static ABOUT: About = About {
    id: "globalRole",
    plural: "globalRoles",
    fields: &[
        Field::read_only("builtin", FieldType::Boolean, "Whether it is part of the server."),
        Field::writable("description", FieldType::String, "What it is for."),
        Field::writable("name", FieldType::String, "The name for people.").required(),
        Field::writable("newUserDefault", FieldType::Boolean, "Whether new users get it."),
        Field::writable("rules", FieldType::Items("policyRule"), "What it permits."),
    ],
    collection_methods: &["GET", "POST"],
    resource_methods: &["GET", "PUT", "DELETE"],
    collection_actions: &[],
    resource_actions: &[],
};

const NAMES: [(&str, &str); 4] = [
    ("name", "displayName"),
    ("description", "description"),
    ("newUserDefault", "newUserDefault"),
    ("rules", "rules"),
];

#[async_trait]
impl V3Resource for GlobalRoles {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn kind(&self, state: &State) -> Arc<dyn Kind> {
        Arc::clone(&state.kinds.global_roles)
    }

    fn generate_name(&self) -> &'static str {
        "gr-"
    }

    fn show(&self, object: &Tree, _caller: &Caller, item: &mut Map) {
        for (here, there) in [("name", "displayName"), ("description", "description")] {
            item.insert(here.to_owned(), text(object, there).into());
        }
        for member in ["builtin", "newUserDefault"] {
            let on = object.get(member).and_then(Tree::as_bool).unwrap_or(false);
            item.insert(member.to_owned(), on.into());
        }
        let rules = object.get("rules").cloned().unwrap_or_else(|| Tree::Array(Vec::new()));
        item.insert("rules".to_owned(), rules);
    }

    /// Built-in roles stay.
    fn offers(&self, _door: &Door, object: &Tree, method: &str) -> bool {
        method != "DELETE" || !object.get("builtin").and_then(Tree::as_bool).unwrap_or(false)
    }

    fn object(&self, body: &Map) -> Result<Map, V3Error> {
        Ok(NAMES
            .iter()
            .filter_map(|(here, there)| body.get(*here).map(|value| ((*there).to_owned(), value.clone())))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use serde_json::json;

    use crate::authn::testing::{Scene, system_admin};

    #[tokio::test]
    async fn roles_are_made_changed_and_deleted_and_the_built_in_ones_stay() {
        let mut scene = Scene::new().await;
        scene.peer = system_admin();
        let rule = json!({"apiGroups": ["ext.cattle.io"], "resources": ["tokens"], "verbs": ["list"]});
        let body = json!({"name": "Auditors", "rules": [rule]}).to_string();
        let made = scene.send("POST", "/v3/globalRoles", &[], &body).await;
        assert_eq!(made.status, 201, "{}", made.body);
        assert_eq!(
            (&made.body["name"], &made.body["rules"][0]["verbs"]),
            (&json!("Auditors"), &json!(["list"]))
        );
        let path = format!("/v3/globalroles/{}", made.body["id"].as_str().unwrap());
        let changed = scene.send("PUT", &path, &[], r#"{"description": "look"}"#).await;
        assert_eq!(
            (&changed.body["description"], &changed.body["name"]),
            (&json!("look"), &json!("Auditors"))
        );
        let wrong = scene.send("PUT", &path, &[], r#"{"rules": [{"verbs": "list"}]}"#).await;
        assert_eq!(wrong.status / 100, 4, "{}", wrong.body);
        assert_eq!(scene.send("PUT", &path, &[], r#"{"rules": ["x"]}"#).await.error().1, "InvalidFormat");
        assert_eq!(scene.send("DELETE", &path, &[], "").await.status, 200);

        let admin = scene.send("GET", "/v3/globalroles/admin", &[], "").await;
        assert_eq!((&admin.body["builtin"], admin.body["links"].get("remove")), (&json!(true), None));
        assert_eq!(
            scene.send("DELETE", "/v3/globalroles/admin", &[], "").await.error().1,
            "PermissionDenied"
        );
        let sorted = scene.send("GET", "/v3/globalroles?sort=name&order=desc", &[], "").await;
        let names: Vec<_> =
            sorted.body["data"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect();
        assert!(names.len() > 2 && names.is_sorted_by(|a, b| a >= b), "{names:?}");
    }

    #[tokio::test]
    async fn nobody_grants_more_than_they_hold() {
        let scene = Scene::new().await;
        let ann = scene.user("user-ann", "ann", None, "user").await;
        let bearer = format!("Bearer {}", scene.token(&ann, true, "").await.bearer.expose());
        let made =
            scene.send("POST", "/v3/globalRoles", &[("authorization", &bearer)], r#"{"name": "x"}"#).await;
        assert_eq!(made.error().1, "PermissionDenied");
    }
}
