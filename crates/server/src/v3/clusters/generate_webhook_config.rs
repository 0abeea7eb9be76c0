//! `POST /v3/clusters/<id>?action=generateWebhookConfig`: what the cluster's API server needs to ask here about tokens, a kubeconfig for
//! `--authentication-token-webhook-config-file` (kubernetes-api.md §7.2), with a credential of the cluster's own in it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use eartag_apiserver::refusal::Refusal;
use eartag_apiserver::{Map, Tree};
use eartag_core::settings::CACERTS;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use zeroize::Zeroizing;

use super::Clusters;
use crate::authn::address::PublicAddress;
use crate::cluster::{Cluster, system_user};
use crate::token_review::credential;
use crate::v3::door::Door;
use crate::v3::error::V3Error;
use crate::v3::reply::Reply;
use crate::v3::resource::{About, Field, FieldType};

/// Its name.
pub const ACTION: &str = "generateWebhookConfig";

/// The versions in which an API server may ask; the first is what it gets who does not say.
const VERSIONS: &[&str] = &["v1", "v1beta1"];

/// What it takes.
pub static INPUT: About = About::part(
    "generateWebhookConfigInput",
    &[Field::writable(
        "version",
        FieldType::Enum(VERSIONS),
        "The version in which the API server asks, as its flag --authentication-token-webhook-version says; v1 if it is left out.",
    )],
);

/// What it gives.
pub static OUTPUT: About = About::part(
    "generateWebhookConfigOutput",
    &[Field::read_only("config", FieldType::String, "The kubeconfig for the API server. It holds a secret.")],
);

/// Carries it out. The right to update the cluster was asked before.
pub async fn act(door: &Door, name: &str, body: &Map) -> Result<Reply, V3Error> {
    let refused = |refusal: Refusal| door.error(&Clusters, &refusal, name);
    let version = match body.get("version") {
        None | Some(Tree::Null) => "v1",
        Some(asked) => VERSIONS.iter().copied().find(|known| asked == known).ok_or_else(|| {
            V3Error::new(422, "InvalidOption", "version must be v1 or v1beta1").field("version")
        })?,
    };
    let state = &door.state;
    let cluster = Cluster::find(&state.store, name).ok_or_else(|| refused(Refusal::NotFound))?;
    if cluster.record.internal {
        return Err(V3Error::new(422, "InvalidAction", "this cluster is the server itself"));
    }
    // The address that is meant to last, where there is one.
    let base = PublicAddress::parse(&state.tables.settings.snapshot().server_url)
        .map_or_else(|| door.base.clone(), |address| address.base());
    let authorities = state.tables.settings.effective(CACERTS).value;
    let token = credential::make(state, &cluster, &door.cx).await.map_err(refused)?;
    let reply = Reply::ok(json!({"type": OUTPUT.id, "baseType": OUTPUT.id}));
    Ok(Reply { once: Some(("config", kubeconfig(&base, version, &authorities, name, &token))), ..reply })
}

/// The file. A JSON string is a double-quoted YAML scalar.
fn kubeconfig(base: &str, version: &str, authorities: &str, id: &str, token: &SecretString) -> SecretString {
    let quoted = |text: &str| Tree::from(text).to_string();
    let server = format!("{base}/apis/authentication.k8s.io/{version}/tokenreviews");
    let trust = if authorities.trim().is_empty() {
        String::new()
    } else {
        format!("    certificate-authority-data: {}\n", quoted(&STANDARD.encode(authorities)))
    };
    let token = Zeroizing::new(quoted(token.expose_secret()));
    let text = format!(
        "# For the API server of the cluster {id}:\n\
         #   --authentication-token-webhook-config-file=<this file>\n\
         #   --authentication-token-webhook-version={version}\n\
         #   --authentication-token-webhook-cache-ttl=0s\n\
         apiVersion: v1\nkind: Config\nclusters:\n- name: eartag\n  cluster:\n    server: {server}\n{trust}\
         users:\n- name: {user}\n  user:\n    token: {token}\n\
         contexts:\n- name: eartag\n  context:\n    cluster: eartag\n    user: {user}\ncurrent-context: eartag\n",
        server = quoted(&server),
        user = quoted(&system_user(id)),
        token = token.as_str(),
    );
    SecretString::from(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use eartag_apiserver::decode;
    use eartag_core::ClusterRecord;
    use eartag_core::collections::{CLUSTERS, USERS};

    use super::*;
    use crate::authn::testing::{Answer, Scene, system_admin};

    async fn scene() -> Scene {
        let mut scene = Scene::new().await;
        scene.put(CLUSTERS, "c-1", ClusterRecord::default().encode()).await;
        scene.put(CLUSTERS, "c-2", ClusterRecord::default().encode()).await;
        scene.peer = system_admin();
        scene
    }

    async fn generate(scene: &Scene, id: &str, body: &str) -> Answer {
        scene.send("POST", &format!("/v3/clusters/{id}?action=generateWebhookConfig"), &[], body).await
    }

    fn read(answer: &Answer) -> Tree {
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.body["type"], "generateWebhookConfigOutput");
        let text = answer.body["config"].as_str().unwrap();
        decode::from_yaml(text.as_bytes(), decode::Limits::default()).unwrap().tree
    }

    #[tokio::test]
    async fn the_credential_asks_for_its_cluster_and_is_good_for_nothing_else() {
        let mut scene = scene().await;
        let config = read(&generate(&scene, "c-1", "{}").await);
        let url = config["clusters"][0]["cluster"]["server"].as_str().unwrap();
        assert_eq!(url, "https://a.example/apis/authentication.k8s.io/v1/tokenreviews");
        let old = read(&generate(&scene, "c-1", r#"{"version":"v1beta1"}"#).await);
        assert!(old["clusters"][0]["cluster"]["server"].as_str().unwrap().ends_with("/v1beta1/tokenreviews"));
        let token = config["users"][0]["user"]["token"].as_str().unwrap().to_owned();
        assert_ne!(token, old["users"][0]["user"]["token"]);
        assert!(token.starts_with("agent-u-cluster-c-1"), "{token}");

        let root = scene.user("user-root", "root", None, "admin").await;
        let hers = scene.token(&root, false, "").await.bearer.expose().to_owned();
        let theirs = scene.token(&root, false, "c-2").await.bearer.expose().to_owned();
        scene.peer = crate::authn::testing::peer("9.9.9.9");
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        let good = async |asked: &str| {
            let body = json!({"spec": {"token": asked}}).to_string();
            let path = "/apis/authentication.k8s.io/v1/tokenreviews";
            let answer = scene.send("POST", path, &headers, &body).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            answer.body["status"]["authenticated"] == true
        };
        assert!(good(&hers).await && !good(&theirs).await && !good(&token).await);
        for path in [
            "/v3",
            "/v3/tokens",
            "/v3/clusters/c-1",
            "/v3/clusters/c-2",
            "/api",
            "/apis/ext.cattle.io/v1/tokens",
            "/k8s/clusters/c-1/version",
            "/v1/ext.cattle.io.tokens",
        ] {
            assert_eq!(scene.send("GET", path, &headers, "").await.status, 401, "{path}");
        }
        scene.peer = system_admin();
        let users = scene.send("GET", "/v3/users?limit=-1", &[], "").await;
        assert!(!users.body["data"].as_array().unwrap().iter().any(|u| u["id"] == "u-cluster-c-1"));
        // It goes with its cluster, at once.
        assert_eq!(scene.send("DELETE", "/v3/clusters/c-1", &[], "").await.status, 200);
        scene.peer = crate::authn::testing::peer("9.9.9.9");
        let body = json!({"spec": {"token": hers}}).to_string();
        let gone = scene.send("POST", "/apis/authentication.k8s.io/v1/tokenreviews", &headers, &body).await;
        assert!(
            gone.status == 401 || gone.body["status"] == json!({"authenticated": false}),
            "{}",
            gone.body
        );
    }

    #[tokio::test]
    async fn only_who_may_change_a_cluster_gets_one_and_no_name_is_taken_over() {
        let mut scene = scene().await;
        for (id, body, code) in [
            ("c-9", "{}", 404),
            ("local", "{}", 422),
            ("c-1", r#"{"version":"v2"}"#, 422),
            ("c-1", r#"{"version":7}"#, 422),
        ] {
            assert_eq!(generate(&scene, id, body).await.status, code, "{id} {body}");
        }
        scene.user("u-cluster-c-2", "sly", None, "").await;
        let taken = generate(&scene, "c-2", "{}").await;
        assert_eq!(taken.status, 409, "{}", taken.body);
        assert!(scene.state.store.get(USERS, b"u-cluster-c-1").is_none());
        let ann = scene.user("user-ann", "ann", None, "user").await;
        let bearer = format!("Bearer {}", scene.token(&ann, true, "").await.bearer.expose());
        scene.peer = crate::authn::testing::peer("9.9.9.9");
        let headers = [("authorization", bearer.as_str())];
        let path = "/v3/clusters/c-1?action=generateWebhookConfig";
        assert_eq!(scene.send("POST", path, &headers, "{}").await.status, 403);
    }
}
