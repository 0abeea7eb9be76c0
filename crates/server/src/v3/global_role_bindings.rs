//! `/v3/globalrolebindings`: references end in `Id` here and in `Name` in the object.

use std::sync::Arc;

use async_trait::async_trait;
use eartag_apiserver::kind::Kind;
use eartag_apiserver::{Map, Tree};

use super::error::V3Error;
use super::item::text;
use super::resource::{About, Field, FieldType, V3Resource};
use crate::authn::Caller;
use crate::state::State;

/// The type.
pub struct GlobalRoleBindings;

static ABOUT: About = About {
    id: "globalRoleBinding",
    plural: "globalRoleBindings",
    fields: &[
        Field::create_only("globalRoleId", FieldType::Reference("globalRole"), "The role that is granted.")
            .required(),
        Field::create_only("groupPrincipalId", FieldType::Reference("principal"), "The group that gets it."),
        Field::read_only("name", FieldType::DnsLabel, "The same as the id."),
        Field::create_only("userId", FieldType::Reference("user"), "The user who gets it."),
    ],
    collection_methods: &["GET", "POST"],
    resource_methods: &["GET", "PUT", "DELETE"],
    collection_actions: &[],
    resource_actions: &[],
};

const NAMES: [(&str, &str); 3] =
    [("globalRoleId", "globalRoleName"), ("userId", "userName"), ("groupPrincipalId", "groupPrincipalName")];

#[async_trait]
impl V3Resource for GlobalRoleBindings {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn kind(&self, state: &State) -> Arc<dyn Kind> {
        Arc::clone(&state.kinds.global_role_bindings)
    }

    fn generate_name(&self) -> &'static str {
        "grb-"
    }

    fn show(&self, object: &Tree, _caller: &Caller, item: &mut Map) {
        let name = object.get("metadata").map(|m| text(m, "name")).unwrap_or_default();
        item.insert("name".to_owned(), name.into());
        for (here, there) in NAMES {
            let value = text(object, there);
            // An absent reference is null, as everywhere in /v3.
            let value = if value.is_empty() { Tree::Null } else { value.into() };
            item.insert(here.to_owned(), value);
        }
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

    use super::*;
    use crate::authn::testing::{Scene, system_admin};

    #[test]
    fn references_are_renamed_both_ways() {
        let object = json!({"metadata": {"name": "grb-x"}, "globalRoleName": "admin", "userName": "u-ann"});
        let mut item = Map::new();
        GlobalRoleBindings.show(&object, &Caller::test("u-ann"), &mut item);
        assert_eq!(
            Tree::Object(item.clone()),
            json!({"name": "grb-x", "globalRoleId": "admin", "userId": "u-ann", "groupPrincipalId": null})
        );
        let body = ABOUT.checked(&item, true).unwrap();
        let back = GlobalRoleBindings.object(&body).unwrap();
        assert_eq!(Tree::Object(back), json!({"globalRoleName": "admin", "userName": "u-ann"}));
    }

    #[tokio::test]
    async fn a_refusal_names_the_member_as_it_was_sent() {
        let mut scene = Scene::new().await;
        scene.peer = system_admin();
        scene.user("user-ann", "ann", None, "").await;
        for (body, member) in [
            (r#"{"globalRoleId": "nothing", "userId": "user-ann"}"#, "globalRoleId"),
            (r#"{"globalRoleId": "user", "userId": "nobody"}"#, "userId"),
        ] {
            let refused = scene.send("POST", "/v3/globalrolebindings", &[], body).await;
            assert_eq!(
                (refused.status, &refused.body["fieldName"]),
                (422, &json!(member)),
                "{}",
                refused.body
            );
        }
    }

    #[test]
    fn a_binding_needs_a_role() {
        let body = json!({"userId": "u-ann"});
        assert_eq!(ABOUT.checked(body.as_object().unwrap(), true), Err(V3Error::missing("globalRoleId")));
    }
}
