//! `/v3/clusters`: what tokens open and can be restricted to; `local` is this server (DEC44, DEC61). Here `name` is what the object calls `displayName`, and the
//! object's own name is only in `id`. One action a file.

pub mod generate_kubeconfig;
pub mod generate_webhook_config;
pub mod set_credential;

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use eartag_apiserver::kind::Kind;
use eartag_apiserver::refusal::Refusal;
use eartag_apiserver::{Map, Tree};

use super::door::Door;
use super::error::V3Error;
use super::item::text;
use super::reply::Reply;
use super::resource::{About, Action, Field, FieldType, V3Resource};
use crate::authn::Caller;
use crate::resources::only_admins_change_clusters;
use crate::state::State;

/// The type.
pub struct Clusters;

static ABOUT: About = About {
    id: "cluster",
    plural: "clusters",
    fields: &[
        Field::writable("apiEndpoint", FieldType::String, "The address of its API server, an https URL."),
        Field::writable(
            "caCert",
            FieldType::String,
            "The certificate authorities of its API server: PEM, shown in base64.",
        ),
        Field::read_only("conditions", FieldType::Items("clusterCondition"), "What was observed of it."),
        Field::writable("description", FieldType::String, "What it is for."),
        Field::read_only("internal", FieldType::Boolean, "Whether it is this server itself."),
        Field::writable(
            "localClusterAuthEndpoint",
            FieldType::Struct("localClusterAuthEndpoint"),
            "How clients reach it without this server.",
        ),
        Field::writable("name", FieldType::String, "The name for people."),
        Field::read_only("provider", FieldType::String, "What runs it."),
        Field::read_only("state", FieldType::String, "How it is, in a word: active."),
        Field::writable(
            "tlsServerName",
            FieldType::String,
            "The name that the certificate of its API server is checked for, if that is not the host of the address.",
        ),
        Field::read_only("transitioning", FieldType::String, "Whether it is becoming something else: no."),
        Field::read_only("transitioningMessage", FieldType::String, "Why."),
    ],
    collection_methods: &["GET", "POST"],
    resource_methods: &["GET", "PUT", "DELETE"],
    collection_actions: &[],
    resource_actions: &[
        Action { name: generate_kubeconfig::ACTION, input: "", output: "generateKubeConfigOutput" },
        Action {
            name: generate_webhook_config::ACTION,
            input: "generateWebhookConfigInput",
            output: "generateWebhookConfigOutput",
        },
        Action { name: set_credential::ACTION, input: "setCredentialInput", output: "" },
    ],
};

/// A part of a cluster.
pub static AUTH_ENDPOINT: About = About::part(
    "localClusterAuthEndpoint",
    &[
        Field::writable(
            "caCerts",
            FieldType::String,
            "The authorities of the endpoint behind the FQDN, as PEM.",
        ),
        Field::writable("enabled", FieldType::Boolean, "Whether kubeconfigs have contexts that lead there."),
        Field::writable("fqdn", FieldType::String, "Its name in DNS; without one, the nodes count."),
        Field::writable("nodes", FieldType::Items("controlPlaneNode"), "The control-plane nodes."),
    ],
);

/// A part of that.
pub static CONTROL_PLANE_NODE: About = About::part(
    "controlPlaneNode",
    &[
        Field::writable("address", FieldType::String, "Its address, without port.").required(),
        Field::writable("hostname", FieldType::String, "Its hostname.").required(),
        Field::writable("ready", FieldType::Boolean, "Whether it can be used now."),
    ],
);

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
            ("tlsServerName", "/spec/tlsServerName"),
        ];
        for (member, pointer) in texts {
            item.insert(member.to_owned(), at(pointer).unwrap_or_else(|| "".into()));
        }
        item.insert("internal".to_owned(), at("/spec/internal").unwrap_or(false.into()));
        let conditions = at("/status/conditions").unwrap_or_else(|| Tree::Array(Vec::new()));
        item.insert("conditions".to_owned(), conditions);
        if let Some(endpoint) = at("/spec/localClusterAuthEndpoint") {
            item.insert("localClusterAuthEndpoint".to_owned(), endpoint);
        }
        let removing = at("/metadata/deletionTimestamp").is_some();
        let (state, transitioning) = if removing { ("removing", "yes") } else { ("active", "no") };
        item.insert("state".to_owned(), state.into());
        item.insert("transitioning".to_owned(), transitioning.into());
        item.insert("transitioningMessage".to_owned(), "".into());
    }

    fn object(&self, body: &Map) -> Result<Map, V3Error> {
        let mut spec: Map = [
            ("name", "displayName"),
            ("description", "description"),
            ("apiEndpoint", "apiEndpoint"),
            ("tlsServerName", "tlsServerName"),
            ("localClusterAuthEndpoint", "localClusterAuthEndpoint"),
        ]
        .iter()
        .filter_map(|(here, there)| body.get(*here).map(|value| ((*there).to_owned(), value.clone())))
        .collect();
        if let Some(given) = body.get("caCert").and_then(Tree::as_str) {
            spec.insert("caCert".to_owned(), pem_of(given)?.into());
        }
        let mut object = Map::new();
        if !spec.is_empty() {
            object.insert("spec".to_owned(), Tree::Object(spec));
        }
        Ok(object)
    }

    fn generate_name(&self) -> &'static str {
        "c-"
    }

    /// This server itself stays.
    fn offers(&self, _door: &Door, object: &Tree, method: &str) -> bool {
        method != "DELETE" || !internal(object)
    }

    async fn actions(&self, door: &Door, object: &Tree) -> Vec<&'static str> {
        let name = object.get("metadata").map(|m| text(m, "name")).unwrap_or_default();
        let mut actions = vec![generate_kubeconfig::ACTION];
        if !internal(object) && may_change(door, name).await.is_ok() {
            actions.extend([set_credential::ACTION, generate_webhook_config::ACTION]);
        }
        actions
    }

    async fn act(&self, door: &Door, name: &str, action: &str, body: &Map) -> Result<Reply, V3Error> {
        match action {
            generate_kubeconfig::ACTION => {
                door.object(self, name).await?;
                generate_kubeconfig::act(door, name).await
            }
            set_credential::ACTION => {
                door.object(self, name).await?;
                may_change(door, name).await.map_err(|refusal| door.error(self, &refusal, name))?;
                set_credential::act(door, name, body).await
            }
            generate_webhook_config::ACTION => {
                door.object(self, name).await?;
                may_change(door, name).await.map_err(|refusal| door.error(self, &refusal, name))?;
                generate_webhook_config::act(door, name, body).await
            }
            _ => Err(V3Error::invalid_action(action)),
        }
    }
}

/// Whether a cluster is this server itself.
fn internal(object: &Tree) -> bool {
    object.pointer("/spec/internal").and_then(Tree::as_bool).unwrap_or(false)
}

/// Whether the caller may change this cluster, and so say what opens it.
pub async fn may_change(door: &Door, name: &str) -> Result<(), Refusal> {
    only_admins_change_clusters(&door.cx, name).await
}

/// Certificates as they are given: PEM, or as they are shown, PEM in base64.
fn pem_of(given: &str) -> Result<String, V3Error> {
    if given.is_empty() || given.trim_start().starts_with("-----BEGIN") {
        return Ok(given.to_owned());
    }
    let bytes = STANDARD.decode(given.trim()).ok();
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| {
        V3Error::new(422, "InvalidFormat", "caCert must be certificates in PEM form, or those in base64")
            .field("caCert")
    })
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
        assert!(local.body["links"]["update"].is_string(), "{}", local.body);
        assert_eq!(local.body["links"].get("remove"), None, "no link to what is refused");
        assert_eq!(scene.send("DELETE", "/v3/clusters/local", &[], "").await.status, 403);
        let updated = local.body["conditions"].as_array().unwrap().iter().find(|c| c["type"] == "Updated");
        assert_eq!(updated.unwrap()["status"], "True");
        let list = scene.send("GET", "/v3/clusters?internal=true", &[], "").await;
        assert_eq!(list.body["data"][0]["id"], "local");
    }

    #[tokio::test]
    async fn a_cluster_is_made_changed_opened_and_deleted() {
        let mut scene = Scene::new().await;
        scene.peer = system_admin();
        let body = r#"{"name":"Production","apiEndpoint":"https://10.0.0.1:6443","localClusterAuthEndpoint":{"enabled":true,"fqdn":"k8s.example.com"}}"#;
        let made = scene.send("POST", "/v3/clusters", &[], body).await;
        assert_eq!(made.status, 201, "{}", made.body);
        let id = made.body["id"].as_str().unwrap().to_owned();
        assert!(id.starts_with("c-"), "{id}");
        assert_eq!(
            made.body["actions"]["setCredential"].as_str().map(|a| a.ends_with("action=setCredential")),
            Some(true)
        );
        assert!(made.body["links"]["remove"].is_string(), "{}", made.body);
        let url = format!("/v3/clusters/{id}");
        // Writing back what was shown changes nothing.
        let shown = scene.send("GET", &url, &[], "").await.body;
        let back = scene.send("PUT", &url, &[], &shown.to_string()).await;
        assert_eq!((back.status, &back.body["uuid"]), (200, &shown["uuid"]));
        assert_eq!(back.body["localClusterAuthEndpoint"]["fqdn"], "k8s.example.com");
        let changed = scene.send("PUT", &url, &[], r#"{"description":"d"}"#).await;
        assert_eq!(
            (&changed.body["description"], &changed.body["name"]),
            (&json!("d"), &json!("Production"))
        );

        let action = format!("{url}?action=setCredential");
        assert_eq!(scene.send("POST", &action, &[], r#"{"token":"a-canary"}"#).await.status, 200);
        let cluster = crate::cluster::Cluster::find(&scene.state.store, &id).unwrap();
        assert_eq!(cluster.credential_record(&scene.state.store).unwrap().kind, "token");
        for (bad, says) in [
            ("{}", "either token"),
            (r#"{"token":"x","clientKey":"y"}"#, "either token"),
            (r#"{"token":"two words"}"#, "one line"),
            (r#"{"clientCertificate":"x","clientKey":"a-canary"}"#, "PEM"),
        ] {
            let refused = scene.send("POST", &action, &[], bad).await;
            assert!(refused.status == 422 && refused.body.to_string().contains(says), "{}", refused.body);
            assert!(!refused.body.to_string().contains("a-canary"));
        }
        assert_eq!(scene.send("DELETE", &url, &[], "").await.status, 200);
        let gone = scene.send("GET", &url, &[], "").await;
        assert!(gone.status == 404 || gone.body["state"] == "removing", "{}", gone.body);
        assert!(crate::cluster::Cluster::find(&scene.state.store, &id).is_none());
    }

    #[tokio::test]
    async fn only_admins_make_clusters_and_say_what_opens_them() {
        let scene = Scene::new().await;
        let ann = scene.user("user-ann", "ann", None, "user").await;
        let bearer = format!("Bearer {}", scene.token(&ann, true, "").await.bearer.expose());
        let headers = [("authorization", bearer.as_str())];
        assert_eq!(scene.send("POST", "/v3/clusters", &headers, "{}").await.status, 403);
        let set =
            scene.send("POST", "/v3/clusters/local?action=setCredential", &headers, r#"{"token":"x"}"#).await;
        assert_eq!(set.status, 403, "{}", set.body);
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
