//! `/v3/settings` (v3-token.md §7): `value` is the one in force, wherever it comes from, where the object at the Kubernetes door shows the stored one.

use std::sync::Arc;

use async_trait::async_trait;
use eartag_apiserver::kind::Kind;
use eartag_apiserver::{Map, Tree};
use eartag_core::settings::{self, Cause, SettingRefusal, Source, validate, validate_write};

use super::door::Door;
use super::error::V3Error;
use super::item::text;
use super::resource::{About, Field, FieldType, V3Resource};
use crate::authn::Caller;
use crate::state::State;

/// The type.
pub struct Settings;

static ABOUT: About = About {
    id: "setting",
    plural: "settings",
    fields: &[
        Field::read_only("customized", FieldType::Boolean, "Whether somebody chose the value."),
        Field::read_only("default", FieldType::String, "The value where nobody chose one."),
        Field::read_only("name", FieldType::DnsLabel, "The same as the id."),
        Field::read_only(
            "source",
            FieldType::Enum(&["db", "default", "env"]),
            "Where the value comes from: the store, the default, or the server's environment.",
        ),
        Field::writable(
            "value",
            FieldType::String,
            "The value in force, always a text; an empty one stands for the default.",
        )
        .required(),
    ],
    collection_methods: &["GET"],
    resource_methods: &["GET", "PUT"],
    collection_actions: &[],
    resource_actions: &[],
};

#[async_trait]
impl V3Resource for Settings {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn kind(&self, state: &State) -> Arc<dyn Kind> {
        Arc::clone(&state.kinds.settings)
    }

    fn public(&self, id: &str) -> bool {
        settings::find(id).is_some_and(|info| info.public)
    }

    fn show(&self, object: &Tree, _caller: &Caller, item: &mut Map) {
        let name = object.get("metadata").map(|metadata| text(metadata, "name")).unwrap_or_default();
        item.insert("name".to_owned(), name.into());
        item.insert("default".to_owned(), text(object, "default").into());
    }

    fn complete(&self, door: &Door, object: &Tree, item: &mut Map) {
        let name = object.get("metadata").map(|metadata| text(metadata, "name")).unwrap_or_default();
        let effective = door.state.tables.settings.effective(name);
        item.insert("value".to_owned(), effective.value.into());
        item.insert("source".to_owned(), effective.source.as_str().into());
        item.insert("customized".to_owned(), effective.customized.into());
    }

    /// No link to change what cannot be changed.
    fn offers(&self, door: &Door, object: &Tree, method: &str) -> bool {
        let name = object.get("metadata").map(|metadata| text(metadata, "name")).unwrap_or_default();
        method != "PUT" || writable(door, name).is_ok()
    }

    fn object(&self, body: &Map) -> Result<Map, V3Error> {
        Ok(body.get("value").map(|value| ("value".to_owned(), value.clone())).into_iter().collect())
    }

    /// The kind would refuse the same; here the refusal has the words and codes of this door.
    async fn change(&self, door: &Door, id: &str, body: &Map) -> Result<Tree, V3Error> {
        writable(door, id)?;
        let value = body
            .get("value")
            .and_then(Tree::as_str)
            .ok_or_else(|| V3Error::new(422, "MissingRequired", "value not found").field("value"))?;
        if let Some(info) = settings::find(id) {
            let other = |name: &str| door.state.tables.settings.effective(name).value;
            validate(info, value, &other).map_err(refused)?;
        }
        door.change_object(self, id, body).await
    }
}

fn writable(door: &Door, name: &str) -> Result<(), V3Error> {
    // An unknown one is the kind's to refuse.
    let Some(info) = settings::find(name) else { return Ok(()) };
    let from_env = door.state.tables.settings.effective(name).source == Source::Env;
    validate_write(info, from_env).map_err(refused)
}

fn refused(refusal: SettingRefusal) -> V3Error {
    match refusal.cause {
        Cause::ReadOnly => V3Error::new(405, "MethodNotAllow", refusal.message),
        Cause::AboveMaximum => V3Error::new(422, "MaxLimitExceeded", refusal.message).field("value"),
        Cause::Invalid => V3Error::new(422, "InvalidFormat", refusal.message).field("value"),
        Cause::Forbidden => V3Error::new(422, "InvalidBodyContent", refusal.message).field("value"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use eartag_core::settings::Overrides;
    use serde_json::json;

    use crate::authn::testing::{Scene, system_admin};

    async fn admin(environment: &[(&str, &str)]) -> Scene {
        let given = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut scene = Scene::with(Overrides::from_env(given).unwrap()).await;
        scene.peer = system_admin();
        scene
    }

    const MAX: &str = "/v3/settings/auth-token-max-ttl-minutes";

    #[tokio::test]
    async fn a_setting_shows_the_value_in_force_and_where_it_comes_from() {
        let scene = admin(&[("CATTLE_PASSWORD_MIN_LENGTH", "14")]).await;
        let shown = scene.send("GET", MAX, &[], "").await;
        let body = &shown.body;
        assert_eq!(
            (shown.status, &body["value"], &body["default"]),
            (200, &json!("129600"), &json!("129600"))
        );
        assert_eq!((&body["source"], &body["customized"]), (&json!("default"), &json!(false)));
        let url = format!("https://a.example{MAX}");
        assert_eq!(body["links"], json!({"self": url, "update": url}));

        let changed = scene.send("PUT", MAX, &[], r#"{"value": "60"}"#).await;
        let body = &changed.body;
        assert_eq!((changed.status, &body["value"], &body["source"]), (200, &json!("60"), &json!("db")));
        assert_eq!((&body["customized"], &body["default"]), (&json!(true), &json!("129600")));
        let reset = scene.send("PUT", MAX, &[], r#"{"value": ""}"#).await;
        assert_eq!((&reset.body["value"], &reset.body["source"]), (&json!("129600"), &json!("default")));

        let env = scene.send("GET", "/v3/settings/password-min-length", &[], "").await;
        assert_eq!((&env.body["value"], &env.body["source"]), (&json!("14"), &json!("env")));
        assert!(env.body["links"].get("update").is_none());
        let by_source = scene.send("GET", "/v3/settings?source=env", &[], "").await;
        assert_eq!(by_source.body["data"].as_array().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_deprecated_setting_is_written_with_a_warning() {
        let scene = admin(&[]).await;
        let path = "/v3/settings/kubeconfig-token-ttl-minutes";
        let changed = scene.send("PUT", path, &[], r#"{"value": "900"}"#).await;
        assert_eq!((changed.status, &changed.body["value"]), (200, &json!("900")));
        assert!(changed.headers["warning"].to_str().unwrap().starts_with("299 - "));
        let other = scene.send("PUT", MAX, &[], r#"{"value": "9000"}"#).await;
        assert!(!other.headers.contains_key("warning"));
    }

    #[tokio::test]
    async fn what_cannot_be_changed_says_so_in_the_words_of_the_reference() {
        let scene = admin(&[("CATTLE_PASSWORD_MIN_LENGTH", "14")]).await;
        let put = async |name: &str, body: &str| {
            let answer = scene.send("PUT", &format!("/v3/settings/{name}"), &[], body).await;
            let (status, code, message) = answer.error();
            (status, code.to_owned(), message.to_owned())
        };
        let is = |status: u16, code: &str, message: &str| (status, code.to_owned(), message.to_owned());
        assert_eq!(
            put("password-min-length", r#"{"value": "15"}"#).await,
            is(
                405,
                "MethodNotAllow",
                "password-min-length is readOnly because its value is from environment variable"
            )
        );
        assert_eq!(
            put("cacerts", r#"{"value": "x"}"#).await,
            is(405, "MethodNotAllow", "cacerts is readOnly")
        );
        assert_eq!(put("first-login", "{}").await, is(422, "MissingRequired", "value not found"));
        assert_eq!(put("first-login", r#"{"value": true}"#).await.1, "InvalidFormat");
        assert_eq!(
            put("auth-user-session-ttl-minutes", r#"{"value": "abc"}"#).await,
            is(
                422,
                "InvalidFormat",
                "value: Invalid value: \"abc\": strconv.ParseInt: parsing \"abc\": invalid syntax"
            )
        );
        let unknown = put("auth-token-max-TTL-minutes", r#"{"value": "5"}"#).await;
        assert_eq!((unknown.0, unknown.1.as_str()), (404, "NotFound"));
        assert!(unknown.2.contains("did you mean \"auth-token-max-ttl-minutes\"?"), "{}", unknown.2);
        scene.send("PUT", MAX, &[], r#"{"value": "60"}"#).await;
        assert_eq!(
            put("kubeconfig-default-token-ttl-minutes", r#"{"value": "61"}"#).await,
            is(422, "MaxLimitExceeded", "max ttl for tokens is [60]")
        );
    }

    #[tokio::test]
    async fn public_settings_are_read_without_credentials_and_with_bad_ones_and_nothing_else_is() {
        let scene = Scene::new().await;
        let get = async |path: &str, bearer: &str| {
            let headers = [("authorization", bearer)];
            scene.send("GET", path, if bearer.is_empty() { &[] } else { &headers[..] }, "").await
        };
        for name in
            ["cacerts", "first-login", "ui-banners", "ui-issues", "ui-pl", "ui-brand", "ui-default-landing"]
        {
            for bearer in ["", "Bearer token-x:y"] {
                let shown = get(&format!("/v3/settings/{name}"), bearer).await;
                assert_eq!((shown.status, &shown.body["name"]), (200, &json!(name)), "{name}");
                assert_eq!(shown.body["links"].as_object().unwrap().len(), 1, "{name}");
            }
        }
        for path in [MAX, "/v3/settings", "/v3/settings/absent", "/v3/features/ext-tokens"] {
            assert_eq!(get(path, "").await.status, 401, "{path}");
        }
        let stranger = scene.user("user-bob", "bob", None, "").await;
        let stranger = format!("Bearer {}", scene.token(&stranger, true, "").await.bearer.expose());
        assert_eq!(
            get("/v3/settings/first-login", &stranger).await.status,
            200,
            "to those without a role too"
        );
        assert_eq!(get(MAX, &stranger).await.status, 403);
        let put = scene.send("PUT", "/v3/settings/ui-brand", &[], r#"{"value": "x"}"#).await;
        assert_eq!(put.status, 401);
    }

    #[tokio::test]
    async fn a_standard_user_reads_settings_and_changes_none() {
        let scene = Scene::new().await;
        let ann = scene.user("user-ann", "ann", None, "user").await;
        let bearer = format!("Bearer {}", scene.token(&ann, true, "").await.bearer.expose());
        let headers = [("authorization", bearer.as_str())];
        let shown = scene.send("GET", MAX, &headers, "").await;
        assert_eq!(shown.status, 200);
        assert!(shown.body["links"].get("update").is_none());
        assert_eq!(scene.send("PUT", MAX, &headers, r#"{"value": "5"}"#).await.error().1, "PermissionDenied");
    }
}
