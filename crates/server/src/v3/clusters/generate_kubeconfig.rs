//! `POST /v3/clusters/<id>?action=generateKubeconfig`: a file for kubectl that leads to this cluster (kubeconfig-and-cli.md §2). Each call makes a token of its own,
//! unless the CLI is to log in (`kubeconfig-generate-token`). For browsers the answer is the file itself (DEC46).

use eartag_apiserver::refusal::Refusal;
use eartag_core::kubeconfig::{Logins, Plan, Target};
use secrecy::SecretString;
use serde_json::json;

use super::Clusters;
use crate::cluster::Cluster;
use crate::kubeconfig::Address;
use crate::resources::tokens::kubeconfig_token;
use crate::v3::door::Door;
use crate::v3::error::V3Error;
use crate::v3::reply::Reply;
use crate::v3::resource::{About, Field, FieldType};

/// Its name.
pub const ACTION: &str = "generateKubeconfig";

/// What it answers with, as schemas call it; the answer itself calls it otherwise, and clients know both.
pub static OUTPUT: About = About::part(
    "generateKubeConfigOutput",
    &[Field::read_only("config", FieldType::String, "The file, as YAML.")],
);

/// Carries it out. The caller may get the cluster.
pub async fn act(door: &Door, name: &str) -> Result<Reply, V3Error> {
    let refused = |refusal: Refusal| door.error(&Clusters, &refusal, name);
    let (state, cx) = (&door.state, &door.cx);
    let cluster = Cluster::find(&state.store, name).ok_or_else(|| refused(Refusal::NotFound))?;
    let address = Address::of(&state.tables, state.options.server_url.as_ref(), cx)
        .ok_or_else(|| V3Error::new(500, "ServerError", "can't determine the server URL"))?;
    let plan = Plan::one(&address.server(), &Target { id: &cluster.id, record: &cluster.record });
    let restricted = plan.users().first().map(|user| user.cluster.as_str()).unwrap_or_default();
    let file = if state.tables.settings.snapshot().kubeconfig_generate_token {
        let issued =
            kubeconfig_token(state, cx, &cluster.id, !restricted.is_empty()).await.map_err(refused)?;
        tracing::info!(user = %cx.user.name, token = %issued.name, cluster = %cluster.id, "a kubeconfig was made");
        plan.text(Logins::Tokens(&[issued.bearer]))
    } else {
        plan.text(Logins::Exec)
    };
    let once = Some(("config", SecretString::from(file.expose().to_owned())));
    let file = Some(format!("{}.yaml", cluster.shown_name()));
    Ok(Reply { once, file, ..Reply::ok(json!({"type": "generateKubeconfigOutput"})) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use eartag_apiserver::Tree;
    use eartag_core::collections::{CLUSTERS, LEGACY_TOKENS, SETTINGS};
    use eartag_core::{AuthEndpoint, ClusterRecord, SettingRecord, settings};
    use eartag_storage::Scope;

    use super::*;
    use crate::authn::testing::{Answer, Scene, system_admin};

    const LOCAL: &str = "/v3/clusters/local?action=generateKubeconfig";

    async fn root(scene: &Scene, cluster: &str) -> String {
        let entry = match scene.state.store.get(eartag_core::collections::USERS, b"user-root") {
            Some(entry) => entry,
            None => scene.user("user-root", "root", None, "admin").await,
        };
        format!("Bearer {}", scene.token(&entry, false, cluster).await.bearer.expose())
    }

    async fn post(scene: &Scene, path: &str, bearer: &str) -> Answer {
        let headers = [("authorization", bearer), ("content-type", "application/json")];
        scene.send("POST", path, &headers, "").await
    }

    fn file(answer: &Answer) -> Tree {
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.body["type"], "generateKubeconfigOutput");
        serde_saphyr::from_str(answer.body["config"].as_str().unwrap()).unwrap()
    }

    async fn set(scene: &Scene, name: &str, value: &str) {
        scene.put(SETTINGS, name, SettingRecord { value: value.to_owned(), env: false }.encode()).await;
    }

    fn tokens(scene: &Scene) -> u64 {
        scene.state.store.count(LEGACY_TOKENS, &Scope::All)
    }

    #[tokio::test]
    async fn each_call_makes_a_file_with_one_user_and_a_token_of_its_own() {
        let scene = Scene::new().await;
        let bearer = root(&scene, "").await;
        let headers = [("authorization", bearer.as_str())];
        let shown = scene.send("GET", "/v3/clusters/local", &headers, "").await.body;
        let url = shown["actions"]["generateKubeconfig"].as_str().unwrap();
        assert_eq!(url, "https://a.example/v3/clusters/local?action=generateKubeconfig");
        set(&scene, settings::KUBECONFIG_DEFAULT, "10").await;
        let first = file(&post(&scene, LOCAL, &bearer).await);
        assert_eq!(first["clusters"].as_array().unwrap().len(), 1);
        assert_eq!(first["clusters"][0]["cluster"]["server"], "https://a.example/k8s/clusters/local");
        assert_eq!(
            (&first["current-context"], &first["users"][0]["name"]),
            (&json!("local"), &json!("local"))
        );
        let token = first["users"][0]["user"]["token"].as_str().unwrap();
        let name = token.split(':').next().unwrap();
        assert!(name.starts_with("kubeconfig-user-root") && name.len() == 25, "{name}");
        let its = format!("Bearer {token}");
        let seen =
            scene.send("GET", &format!("/v3/tokens/{name}"), &[("authorization", &its)], "").await.body;
        assert_eq!((&seen["ttl"], &seen["clusterId"]), (&json!(600_000), &Tree::Null));
        assert_eq!(seen["labels"]["authn.management.cattle.io/kind"], "kubeconfig");
        let second = file(&post(&scene, LOCAL, &bearer).await);
        assert_ne!(second["users"], first["users"]);
        assert_eq!(tokens(&scene), 3);
    }

    #[tokio::test]
    async fn with_an_endpoint_the_token_is_restricted_and_the_way_through_the_server_stays_current() {
        let scene = Scene::new().await;
        let auth_endpoint =
            AuthEndpoint { enabled: true, fqdn: "api.example".into(), ..AuthEndpoint::default() };
        let record =
            ClusterRecord { display_name: "Edge 1".into(), auth_endpoint, ..ClusterRecord::default() };
        scene.put(CLUSTERS, "c-1", record.encode()).await;
        let bearer = root(&scene, "").await;
        let file = file(&post(&scene, "/v3/clusters/c-1?action=generateKubeconfig", &bearer).await);
        assert_eq!(file["current-context"], "Edge 1");
        assert_eq!(file["contexts"][1]["name"], "Edge 1-fqdn");
        let its = format!("Bearer {}", file["users"][0]["user"]["token"].as_str().unwrap());
        let at = async |path: &str| scene.send("GET", path, &[("authorization", &its)], "").await.status;
        assert_eq!((at("/v3/clusters/c-1").await, at("/v3/clusters/local").await), (200, 401));
    }

    #[tokio::test]
    async fn a_restricted_token_begets_no_other() {
        let scene = Scene::new().await;
        let bearer = root(&scene, "local").await;
        let file = file(&post(&scene, LOCAL, &bearer).await);
        let its = format!("Bearer {}", file["users"][0]["user"]["token"].as_str().unwrap());
        let at = async |path: &str| scene.send("GET", path, &[("authorization", &its)], "").await.status;
        assert_eq!((at("/v3/clusters/local").await, at("/v3/tokens").await), (200, 401));
    }

    #[tokio::test]
    async fn a_restricted_token_begets_no_other_by_acting_as_somebody() {
        let scene = Scene::new().await;
        let restricted = root(&scene, "local").await;
        let whole = root(&scene, "").await;
        let name = |bearer: &str| bearer["Bearer ".len()..].split(':').next().unwrap().to_owned();
        let ask = async |bearer: &str, path: &str, named: &str| {
            let headers = [
                ("authorization", bearer),
                ("content-type", "application/json"),
                ("impersonate-user", "user-root"),
                ("impersonate-extra-requesttokenid", named),
            ];
            scene.send("POST", path, &headers, "{}").await
        };
        let refused = ask(&restricted, LOCAL, &name(&whole)).await;
        assert_eq!(refused.status, 403, "{}", refused.body);
        assert!(refused.body.to_string().contains("restricted to a cluster"), "{}", refused.body);
        // Nor does its name in the mouth of a token that is not restricted.
        for path in
            [LOCAL, "/v3/tokens", "/apis/ext.cattle.io/v1/tokens", "/apis/ext.cattle.io/v1/kubeconfigs"]
        {
            let named = ask(&whole, path, &name(&restricted)).await;
            assert_eq!(named.status, 403, "{path}: {}", named.body);
            let good = ask(&whole, path, &name(&whole)).await;
            assert!(matches!(good.status, 200 | 201), "{path}: {}", good.body);
        }
    }

    #[tokio::test]
    async fn without_generated_tokens_the_command_logs_in() {
        let scene = Scene::new().await;
        set(&scene, settings::KUBECONFIG_GENERATE, "false").await;
        let bearer = root(&scene, "").await;
        let file = file(&post(&scene, LOCAL, &bearer).await);
        assert_eq!(
            file["users"][0]["user"]["exec"]["args"],
            json!(["token", "--server=https://a.example", "--user=local"])
        );
        assert_eq!(tokens(&scene), 1);
    }

    #[tokio::test]
    async fn who_may_not_use_the_cluster_or_is_no_user_gets_no_file() {
        let mut scene = Scene::new().await;
        let ann = scene.user("user-ann", "ann", None, "user").await;
        let bearer = format!("Bearer {}", scene.token(&ann, true, "").await.bearer.expose());
        assert_eq!(post(&scene, LOCAL, &bearer).await.status, 403);
        scene.peer = system_admin();
        let nobody = scene.send("POST", LOCAL, &[], "").await;
        assert!(nobody.status == 403 && nobody.error().2.contains("user system:admin is not a Rancher user"));
        let nowhere = scene.send("POST", "/v3/clusters/nope?action=generateKubeconfig", &[], "").await;
        assert_eq!(nowhere.status, 404);
        assert_eq!(tokens(&scene), 1);
    }
}
