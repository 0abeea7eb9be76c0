//! `userattributes.management.cattle.io`: the last login of users, and their exceptions from user retention (v3-token.md §5.5, §6).

use std::sync::Arc;

use async_trait::async_trait;
use eartag_api::frame;
use eartag_api::management::UserAttribute;
use eartag_api::meta::Meta;
use eartag_apiserver::field_error::FieldError;
use eartag_apiserver::info::ResourceInfo;
use eartag_apiserver::kind::{Corrupt, Cx, Draft, Kind, Stored};
use eartag_apiserver::refusal::Refusal;
use eartag_apiserver::schema::SchemaError;
use eartag_apiserver::time::{format_rfc3339, parse_rfc3339};
use eartag_apiserver::{Map, Tree};
use eartag_core::UserAttributeRecord;
use eartag_core::collections::{USER_ATTRIBUTES, USERS};
use eartag_core::settings::{Cause, DELETE_AFTER, DISABLE_AFTER, validate_override};
use eartag_storage::{CollectionId, Condition, Op, Store};

use super::{AGE_COLUMN, NAME_COLUMN, age, cell, column, fill, management, rules, schema, typed};
use crate::observer::Tables;

/// The lens over what is remembered of users.
pub struct UserAttributes {
    info: ResourceInfo,
    tables: Arc<Tables>,
    store: Store,
}

impl UserAttributes {
    /// The lens; an object needs a user of its name.
    pub fn new(tables: Arc<Tables>, store: Store) -> Result<UserAttributes, SchemaError> {
        let columns = vec![
            NAME_COLUMN,
            column("Username", 0, "Name by which the user logs in."),
            column("Last Login", 0, "When the user last logged in."),
            column("Disable After", 0, "Time without a login after which this user is disabled."),
            column("Delete After", 0, "Time without a login after which this user is deleted."),
            AGE_COLUMN,
        ];
        let info = management(
            "UserAttribute",
            "userattributes",
            "userattribute",
            "UserAttribute holds the last login of the User of the same name, and exceptions from user retention.",
            schema::<UserAttribute>("io.cattle.management.v3.UserAttribute")?,
            columns,
        );
        Ok(UserAttributes { info, tables, store })
    }
}

/// Carries what clients may write into the record.
fn write(record: &mut UserAttributeRecord, asked: UserAttribute) -> Result<(), Refusal> {
    let mut errors = Vec::new();
    for (setting, field, value, was) in [
        (DISABLE_AFTER, "disableAfter", &asked.disable_after, &record.disable_after),
        (DELETE_AFTER, "deleteAfter", &asked.delete_after, &record.delete_after),
    ] {
        // What is stored already, by whichever way, may stay.
        if value == was {
            continue;
        }
        if let Err(refusal) = validate_override(setting, value) {
            let mut error = match refusal.cause {
                Cause::Forbidden => FieldError::forbidden(field, ""),
                _ => FieldError::invalid(field, value.clone(), ""),
            };
            // The text carries its own "Invalid value: …" or "Forbidden: …".
            error.message = refusal.message.strip_prefix("value: ").unwrap_or(&refusal.message).to_owned();
            errors.push(error);
        }
    }
    if !errors.is_empty() {
        return Err(Refusal::Invalid(errors));
    }
    record.disable_after = asked.disable_after;
    record.delete_after = asked.delete_after;
    // The schema has seen to its form.
    record.last_login_s = asked.last_login.as_deref().and_then(parse_rfc3339);
    Ok(())
}

#[async_trait]
impl Kind for UserAttributes {
    fn info(&self) -> &ResourceInfo {
        &self.info
    }

    fn collection(&self) -> CollectionId {
        USER_ATTRIBUTES
    }

    fn show(&self, stored: &Stored<'_>, _cx: &Cx, object: &mut Map) -> Result<(), Corrupt> {
        let record = UserAttributeRecord::decode(stored.body)
            .ok_or_else(|| Corrupt("the user's attributes cannot be decoded".to_owned()))?;
        let user = self.tables.verifier.owner(stored.name).filter(|user| user.uid == record.user_uid);
        let attributes = UserAttribute {
            delete_after: record.delete_after,
            disable_after: record.disable_after,
            last_login: record.last_login_s.map(format_rfc3339),
            user_name: user.map(|user| user.username.clone()).unwrap_or_default(),
        };
        fill(object, &attributes);
        Ok(())
    }

    async fn admit(&self, name: &str, asked: &Tree, _meta: &mut Meta, cx: &Cx) -> Result<Draft, Refusal> {
        let user = self.store.get(USERS, name.as_bytes());
        let head = user.as_ref().and_then(|entry| frame::head(entry.value()));
        let (Some(user), Some(head)) = (user, head) else {
            return Err(Refusal::Invalid(vec![FieldError::not_found("metadata.name", name)]));
        };
        let mut record = UserAttributeRecord { user_uid: head.uid, ..UserAttributeRecord::default() };
        write(&mut record, typed(asked)?)?;
        rules::may_overrule(&self.tables, cx, name).await?;
        let (collection, key, revision) = (USERS, user.key().to_vec(), user.created());
        let conditions = vec![Condition::CreateRevision { collection, key, revision }];
        Ok(Draft { conditions, ..Draft::of(record.encode()) })
    }

    /// Who says how long ago a login was and how long a user may be away can have the user deleted: that takes the rights the user has.
    async fn change(
        &self,
        old: &Stored<'_>,
        _seen: &Tree,
        asked: &Tree,
        _meta: &mut Meta,
        cx: &Cx,
    ) -> Result<Draft, Refusal> {
        let before = UserAttributeRecord::decode(old.body)
            .ok_or_else(|| Refusal::Internal("the stored record is corrupt".to_owned()))?;
        let mut record = before.clone();
        write(&mut record, typed(asked)?)?;
        if record != before {
            rules::may_overrule(&self.tables, cx, old.name).await?;
        }
        Ok(Draft::of(record.encode()))
    }

    async fn removing(&self, old: &Stored<'_>, cx: &Cx) -> Result<Vec<Op>, Refusal> {
        rules::may_overrule(&self.tables, cx, old.name).await?;
        Ok(Vec::new())
    }

    fn row(&self, object: &Tree, cx: &Cx) -> Vec<Tree> {
        let mut cells: Vec<Tree> =
            ["/metadata/name", "/userName", "/lastLogin", "/disableAfter", "/deleteAfter"]
                .map(|at| cell(object, at))
                .to_vec();
        cells.push(age(object, cx));
        cells
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use eartag_apiserver::user::MASTERS;
    use eartag_core::collections::{CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, SETTINGS};
    use eartag_core::record::{RoleRef, Subject};
    use eartag_core::{ClusterRoleBindingRecord, ClusterRoleRecord, Rule, SettingRecord, settings};
    use serde_json::json;

    use super::*;
    use crate::authn::testing::{Answer, Scene, system_admin};
    use crate::resources::{MANAGEMENT, RBAC};

    const PATH: &str = "/apis/management.cattle.io/v3/userattributes";
    const ANN: &str = "/apis/management.cattle.io/v3/userattributes/user-ann";
    const USER: &str = "/apis/management.cattle.io/v3/users/user-ann";
    const MERGE: (&str, &str) = ("content-type", "application/merge-patch+json");

    async fn scene() -> Scene {
        let mut scene = Scene::new().await;
        scene.peer = system_admin();
        scene.user("user-ann", "ann", None, "user").await;
        scene
    }

    async fn set(scene: &Scene, name: &str, value: &str) {
        scene.put(SETTINGS, name, SettingRecord { value: value.to_owned(), env: false }.encode()).await;
    }

    async fn create(scene: &Scene, body: Tree) -> Answer {
        scene.send("POST", PATH, &[], &body.to_string()).await
    }

    async fn patch(scene: &Scene, body: Tree) -> Answer {
        scene.send("PATCH", ANN, &[MERGE], &body.to_string()).await
    }

    fn text(answer: &Answer) -> (u16, &str) {
        (answer.status, answer.body["message"].as_str().unwrap_or_default())
    }

    #[tokio::test]
    async fn a_login_makes_the_object_and_the_administrator_reads_and_changes_it() {
        let scene = scene().await;
        assert_eq!(scene.send("GET", ANN, &[], "").await.status, 404, "nothing is known yet");
        let ann = scene.state.store.get(USERS, b"user-ann").unwrap();
        scene.token(&ann, true, "").await;
        let shown = scene.send("GET", ANN, &[], "").await.body;
        assert_eq!((&shown["kind"], &shown["userName"]), (&json!("UserAttribute"), &json!("ann")));
        assert_eq!(shown["lastLogin"], "2027-01-15T08:00:00Z");
        assert_eq!((shown.get("disableAfter"), shown.get("deleteAfter")), (None, None));
        let changed =
            patch(&scene, json!({"disableAfter": "240h", "deleteAfter": "0s", "userName": "eve"})).await;
        assert_eq!(
            (changed.status, &changed.body["disableAfter"], &changed.body["deleteAfter"]),
            (200, &json!("240h"), &json!("0s")),
            "as written"
        );
        assert_eq!(changed.body["userName"], "ann", "read-only");
        assert_eq!(changed.body["metadata"]["generation"], 2);
        scene.world.0.fetch_add(5000, std::sync::atomic::Ordering::Relaxed);
        scene.token(&ann, true, "").await;
        let after = scene.send("GET", ANN, &[], "").await.body;
        assert_eq!(
            (&after["lastLogin"], &after["disableAfter"]),
            (&json!("2027-01-15T08:00:05Z"), &json!("240h"))
        );
        assert_eq!(after["metadata"]["uid"], shown["metadata"]["uid"]);
        let written = patch(&scene, json!({"lastLogin": "2026-01-01T00:00:00+01:00"})).await.body;
        assert_eq!(written["lastLogin"], "2025-12-31T23:00:00Z");
        assert_eq!(patch(&scene, json!({"lastLogin": null})).await.body.get("lastLogin"), None);
    }

    #[tokio::test]
    async fn an_object_needs_a_user_and_goes_with_the_user() {
        let scene = scene().await;
        let nobody = create(&scene, json!({"metadata": {"name": "user-nobody"}})).await;
        assert_eq!(
            text(&nobody),
            (
                422,
                "UserAttribute.management.cattle.io \"user-nobody\" is invalid: metadata.name: Not found: \"user-nobody\""
            )
        );
        let made = create(&scene, json!({"metadata": {"name": "user-ann"}, "deleteAfter": "336h"})).await;
        assert_eq!((made.status, &made.body["deleteAfter"]), (201, &json!("336h")));
        assert_eq!(create(&scene, json!({"metadata": {"name": "user-ann"}})).await.status, 409);
        assert_eq!(scene.send("DELETE", USER, &[], "").await.status, 200);
        assert_eq!(scene.send("GET", ANN, &[], "").await.status, 404);
        scene.user("user-ann", "ann", None, "user").await;
        assert_eq!(
            scene.send("GET", ANN, &[], "").await.status,
            404,
            "a new user of the name inherits nothing"
        );
    }

    #[tokio::test]
    async fn durations_and_times_are_refused_in_the_settings_words() {
        let scene = scene().await;
        let made = create(&scene, json!({"metadata": {"name": "user-ann"}})).await;
        for (change, why) in [
            (
                json!({"disableAfter": "7d"}),
                r#"disableAfter: Invalid value: "7d": time: unknown unit "d" in duration "7d""#,
            ),
            (json!({"disableAfter": "-1h"}), r#"disableAfter: Invalid value: "-1h": negative value"#),
            (json!({"deleteAfter": "-1s"}), r#"deleteAfter: Invalid value: "-1s": negative value"#),
            (json!({"deleteAfter": "335h"}), "deleteAfter: Forbidden: must be at least 336h0m0s"),
            (
                json!({"deleteAfter": "5"}),
                r#"deleteAfter: Invalid value: "5": time: missing unit in duration "5""#,
            ),
        ] {
            let refused = patch(&scene, change.clone()).await;
            let prefix = "UserAttribute.management.cattle.io \"user-ann\" is invalid: ";
            assert_eq!(text(&refused), (422, format!("{prefix}{why}").as_str()), "{change}");
            let mut fresh = change;
            fresh["metadata"] = json!({"name": "user-ann"});
            assert_eq!(create(&scene, fresh).await.status, 422);
        }
        let bad = patch(&scene, json!({"lastLogin": "yesterday"})).await;
        assert!(bad.status == 422 && text(&bad).1.contains("parsing time \"yesterday\""), "{}", text(&bad).1);
        assert_eq!(patch(&scene, json!({"disableAfter": 5})).await.status, 422);
        assert_eq!(scene.send("GET", ANN, &[], "").await.body, made.body, "nothing changed");
    }

    #[tokio::test]
    async fn the_user_shows_when_retention_acts() {
        let scene = scene().await;
        let ann = scene.state.store.get(USERS, b"user-ann").unwrap();
        scene.token(&ann, true, "").await;
        let labels = async || scene.send("GET", USER, &[], "").await.body["metadata"]["labels"].clone();
        assert_eq!(labels().await, json!({"cattle.io/last-login": "1800000000"}), "retention is off");
        set(&scene, settings::RETENTION_CRON, "0 * * * *").await;
        set(&scene, settings::DISABLE_AFTER, "100h").await;
        assert_eq!(
            labels().await,
            json!({"cattle.io/last-login": "1800000000", "cattle.io/disable-after": "1800360000"})
        );
        patch(&scene, json!({"disableAfter": "0s", "deleteAfter": "400h"})).await;
        assert_eq!(
            labels().await,
            json!({"cattle.io/last-login": "1800000000", "cattle.io/delete-after": "1801440000"})
        );
    }

    #[tokio::test]
    async fn whoever_may_write_them_may_not_have_a_mightier_user_deleted() {
        let scene = scene().await;
        scene.user("user-root", "root", None, "admin").await;
        scene.user("user-hr", "hr", None, "user").await;
        let rule = Rule::resources(&["*"], &[MANAGEMENT], &["userattributes"]);
        scene
            .put(CLUSTER_ROLES, "hr", ClusterRoleRecord { rules: vec![rule], aggregation: None }.encode())
            .await;
        let role_ref = RoleRef { api_group: RBAC.into(), kind: "ClusterRole".into(), name: "hr".into() };
        let subjects = vec![Subject {
            kind: "User".into(),
            api_group: RBAC.into(),
            name: "user-hr".into(),
            namespace: String::new(),
        }];
        scene
            .put(CLUSTER_ROLE_BINDINGS, "hr", ClusterRoleBindingRecord { role_ref, subjects }.encode())
            .await;
        let kind = UserAttributes::new(scene.state.tables.clone(), scene.state.store.clone()).unwrap();
        let (api, cx) = (&scene.state.api, scene.cx("user-hr"));
        let asked = |user: &str| json!({"metadata": {"name": user}, "lastLogin": "2020-01-01T00:00:00Z"});
        assert!(api.create(&kind, &cx, asked("user-ann")).await.is_ok());
        assert!(matches!(api.create(&kind, &cx, asked("user-root")).await, Err(Refusal::Forbidden(_))));
        let mut master = scene.cx("system:admin");
        master.user.groups.push(MASTERS.to_owned());
        assert!(api.create(&kind, &master, asked("user-root")).await.is_ok());
        let change = eartag_apiserver::ops::Change::Merge(json!({"deleteAfter": "336h"}));
        assert!(matches!(api.update(&kind, &cx, "user-root", &change).await, Err(Refusal::Forbidden(_))));
        let options = eartag_apiserver::ops::DeleteOptions::default();
        assert!(matches!(api.delete(&kind, &cx, "user-root", &options).await, Err(Refusal::Forbidden(_))));
        assert!(api.update(&kind, &cx, "user-ann", &change).await.is_ok());
    }
}
