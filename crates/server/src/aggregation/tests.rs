//! Requests of the cluster's callers, over a store in memory and a cluster that says what it is told to.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use async_trait::async_trait;
use eartag_apiserver::refusal::Refusal;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::cluster::Failure;
use super::review::Answer;
use super::trust::ConfigMap;
use super::*;
use crate::authn::testing::{Scene, peer, request, system_admin};
use crate::authn::{self, AuthnFailure, Caller};
use crate::listener::{ClientCertificate, Issuer, Peer};
use crate::login::session::Issued;

const TOKENS: &str = "/apis/ext.cattle.io/v1/tokens";

/// Allows what is in the list, as `user verb resource` or `user verb path`.
#[derive(Default)]
struct Rules(Mutex<Vec<String>>);

#[async_trait]
impl Cluster for Rules {
    async fn review(&self, question: &Value) -> Result<Answer, Failure> {
        let spec = &question["spec"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let attributes =
            ["resourceAttributes", "nonResourceAttributes"].into_iter().find_map(|a| spec.get(a)).unwrap();
        let what = ["resource", "path"].into_iter().find_map(|a| attributes.get(a)).unwrap();
        let asked = format!("{} {} {}", text(&spec["user"]), text(&attributes["verb"]), text(what));
        let allowed = self.0.lock().contains(&asked);
        Ok(serde_json::from_value(json!({"status": {"allowed": allowed}})).unwrap())
    }
    async fn trust(&self) -> Result<ConfigMap, Failure> {
        panic!()
    }
    async fn trust_changed(&self, _: &str) -> Result<(), Failure> {
        panic!()
    }
}

async fn scene(rules: &[&str]) -> Scene {
    let rules = Rules(Mutex::new(rules.iter().map(|r| (*r).to_owned()).collect()));
    let mut scene = Scene::extending(Arc::new(rules)).await;
    let pairs = [
        ("requestheader-username-headers", r#"["X-Remote-User"]"#),
        ("requestheader-group-headers", r#"["X-Remote-Group"]"#),
        ("requestheader-extra-headers-prefix", r#"["X-Remote-Extra-"]"#),
    ];
    let data = pairs.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    scene.state.aggregation.as_ref().unwrap().known.take(&ConfigMap { data, ..ConfigMap::default() });
    scene.peer = holder(Issuer::FrontProxy, "front-proxy-client", &[]);
    scene
}

fn holder(issuer: Issuer, name: &str, groups: &[&str]) -> Peer {
    let certificate = ClientCertificate {
        issuer,
        common_name: name.to_owned(),
        organizations: groups.iter().map(|g| (*g).to_owned()).collect(),
        not_after_s: i64::MAX,
        fingerprint: "f".to_owned(),
    };
    Peer { certificate: Some(Arc::new(certificate)), ..peer("127.0.0.1") }
}

async fn who(
    scene: &Scene,
    peer: &Peer,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<Caller, AuthnFailure> {
    let (parts, _) = request("GET", path, headers, "").into_parts();
    authn::authenticate(&scene.state, &parts, peer).await
}

/// Creates a token as this user, with these ids of tokens: the status, and the refusal's text or the token's name.
async fn create(scene: &Scene, user: &str, ids: &[&str]) -> (u16, String) {
    let mut headers = vec![("x-remote-user", user)];
    headers.extend(ids.iter().map(|id| ("x-remote-extra-requesttokenid", *id)));
    let answer = scene.send("POST", TOKENS, &headers, "{}").await;
    let text = answer.body["message"].as_str().or(answer.body["metadata"]["name"].as_str());
    (answer.status, text.unwrap_or_default().to_owned())
}

async fn user_with_token(scene: &Scene, name: &str, cluster: &str) -> Issued {
    let user = scene.user(name, &name[5..], None, "").await;
    scene.token(&user, false, cluster).await
}

#[tokio::test]
async fn from_anybody_but_the_front_proxy_the_headers_are_never_looked_at() {
    let scene = scene(&[]).await;
    let forged = [("x-remote-user", "root"), ("x-remote-group", "system:masters")];
    assert_eq!(who(&scene, &peer("127.0.0.1"), TOKENS, &forged).await.unwrap_err(), AuthnFailure::Anonymous);
    let rejected = Peer { certificate_rejected: Some("stranger".into()), ..peer("127.0.0.1") };
    assert_eq!(who(&scene, &rejected, TOKENS, &forged).await.unwrap_err(), AuthnFailure::Rejected);
    let ours = who(&scene, &system_admin(), TOKENS, &forged).await.unwrap();
    assert_eq!(ours.user.name, "system:admin");
    assert!(!ours.is_of_the_cluster());
    let clusters = who(&scene, &holder(Issuer::Cluster, "ann", &["dev"]), TOKENS, &forged).await.unwrap();
    assert_eq!((clusters.user.name.as_str(), clusters.user.groups.len()), ("ann", 2));

    let proxied = who(&scene, &scene.peer, TOKENS, &forged).await.unwrap();
    assert_eq!(proxied.user.name, "root");
    assert_eq!(proxied.user.groups, ["system:masters", "system:authenticated"]);
    // It comes first, whatever else the request carries; and speaking for nobody, it is nobody.
    let both = [forged[0], ("authorization", "Bearer token-a:b")];
    assert_eq!(who(&scene, &scene.peer, TOKENS, &both).await.unwrap().user.name, "root");
    assert_eq!(who(&scene, &scene.peer, TOKENS, &[]).await.unwrap_err(), AuthnFailure::Rejected);
}

#[tokio::test]
async fn the_clusters_rules_decide_about_its_callers_and_ours_do_not() {
    let rules = [
        "user-aaaaa create tokens",
        "user-bbbbb create tokens",
        "user-bbbbb list tokens",
        "carl list tokens",
        "carl list *",
    ];
    let scene = scene(&rules).await;
    let ann = scene.user("user-aaaaa", "ann", None, "admin").await;
    let of_ann = scene.token(&ann, false, "").await.name;
    let of_bob = user_with_token(&scene, "user-bbbbb", "").await.name;
    assert_eq!(create(&scene, "user-aaaaa", &[&of_ann]).await.0, 201);
    let name = create(&scene, "user-bbbbb", &[&of_bob]).await.1;
    let list = async |user: &str, groups: &[&str]| {
        let mut headers = vec![("x-remote-user", user)];
        headers.extend(groups.iter().map(|group| ("x-remote-group", *group)));
        let answer = scene.send("GET", TOKENS, &headers, "").await;
        (answer.status, answer.body["items"].as_array().map_or(0, Vec::len))
    };
    // Our admin is nobody there, and a user of ours sees their own.
    assert_eq!(list("user-aaaaa", &[]).await, (403, 0));
    assert_eq!(list("user-bbbbb", &[]).await, (200, 1));
    assert_eq!(list("carl", &[]).await.0, 200);
    assert_eq!(list("carl", &[]).await.1, list("root", &["system:masters"]).await.1);
    assert_eq!(list("carl", &[]).await.1, 2);
    let got = scene.send("GET", &format!("{TOKENS}/{name}"), &[("x-remote-user", "carl")], "").await;
    assert_eq!(got.status, 403);
}

#[tokio::test]
async fn a_token_is_made_only_where_the_cluster_names_a_good_one_of_the_very_user() {
    let scene =
        scene(&["user-aaaaa create tokens", "user-bbbbb create tokens", "system:admin create tokens"]).await;
    let own = user_with_token(&scene, "user-aaaaa", "").await.name;
    let other = user_with_token(&scene, "user-bbbbb", "").await.name;
    assert_eq!(create(&scene, "user-aaaaa", &[&own]).await.0, 201);
    let missing = "tokens.ext.cattle.io is forbidden: missing authentication token ID";
    assert_eq!(create(&scene, "user-aaaaa", &[]).await, (403, missing.into()));
    assert_eq!(create(&scene, "user-aaaaa", &[&own, &other]).await, (403, missing.into()));
    for id in [other.as_str(), "token-zzzzz", ""] {
        assert_eq!(create(&scene, "user-aaaaa", &[id]).await.0, 401, "{id}");
    }
    let stranger = "tokens.ext.cattle.io is forbidden: user system:admin is not a Rancher user";
    assert_eq!(create(&scene, "system:admin", &[&own]).await, (403, stranger.into()));
}

#[tokio::test]
async fn a_token_for_one_cluster_makes_none_for_all() {
    let scene = scene(&["user-aaaaa create tokens"]).await;
    let cluster = eartag_core::ClusterRecord::default().encode();
    scene.put(eartag_core::collections::CLUSTERS, "c-1", cluster).await;
    let scoped = user_with_token(&scene, "user-aaaaa", "c-1").await.name;
    assert_eq!(create(&scene, "user-aaaaa", &[&scoped]).await.0, 401);
}

#[tokio::test]
async fn the_certificate_of_a_cluster_is_no_login_of_ours() {
    let mut scene = scene(&["user-aaaaa create tokens"]).await;
    scene.user("user-aaaaa", "ann", None, "admin").await;
    scene.peer = holder(Issuer::Cluster, "user-aaaaa", &[]);
    let answer = scene.send("POST", TOKENS, &[], "{}").await;
    assert_eq!(answer.status, 403);
    assert_eq!(answer.body["message"], "tokens.ext.cattle.io is forbidden: missing authentication token ID");
}

#[tokio::test]
async fn who_is_disabled_or_gone_is_refused_and_discovery_goes_on() {
    let rules = ["user-aaaaa list tokens", "user-zzzzz list tokens", "user-aaaaa get /apis/ext.cattle.io/v1"];
    let scene = scene(&rules).await;
    scene.user("user-aaaaa", "ann", None, "").await;
    let get =
        async |user: &str, path: &str| scene.send("GET", path, &[("x-remote-user", user)], "").await.status;
    assert_eq!(get("user-aaaaa", TOKENS).await, 200);
    scene.enable("user-aaaaa", false).await;
    assert_eq!(get("user-aaaaa", TOKENS).await, 401);
    assert_eq!(get("user-zzzzz", TOKENS).await, 401);
    assert_eq!(get("user-aaaaa", "/apis/ext.cattle.io/v1").await, 200);
}

#[tokio::test]
async fn what_lasts_ends_with_the_token_and_with_the_user() {
    let scene = scene(&[]).await;
    let token = user_with_token(&scene, "user-aaaaa", "").await;
    let headers = [("x-remote-user", "user-aaaaa"), ("x-remote-extra-requesttokenid", token.name.as_str())];
    let with_token = who(&scene, &scene.peer, TOKENS, &headers).await.unwrap();
    let without = who(&scene, &scene.peer, TOKENS, &headers[..1]).await.unwrap();
    assert!(authn::still_good(&scene.state, &with_token) && authn::still_good(&scene.state, &without));
    scene.enable("user-aaaaa", false).await;
    assert!(!authn::still_good(&scene.state, &with_token) && !authn::still_good(&scene.state, &without));
}

#[tokio::test]
async fn one_group_is_all_that_the_cluster_reaches() {
    let scene = scene(&[]).await;
    let masters = [("x-remote-user", "root"), ("x-remote-group", "system:masters")];
    for path in [
        "/apis/management.cattle.io/v3/users",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles",
        "/apis/authentication.k8s.io/v1/tokenreviews",
        "/v3/tokens",
        "/metrics",
    ] {
        let failure = who(&scene, &scene.peer, path, &masters).await.unwrap_err();
        assert!(matches!(failure, AuthnFailure::Refused(Refusal::ForbiddenText(_))), "{path}: {failure:?}");
    }
    let groups = scene.send("GET", "/apis", &masters, "").await.body;
    let names: Vec<_> =
        groups["groups"].as_array().unwrap().iter().map(|g| g["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["ext.cattle.io"]);
    let openapi = scene.send("GET", "/openapi/v3", &masters, "").await.body;
    let paths: Vec<_> =
        openapi["paths"].as_object().unwrap().keys().filter(|p| p.contains('.')).cloned().collect();
    assert!(paths.iter().all(|path| path.starts_with("apis/ext.cattle.io")), "{paths:?}");
    assert!(paths.contains(&"apis/ext.cattle.io/v1".to_owned()), "{paths:?}");
}

#[tokio::test]
async fn impersonation_is_the_clusters_to_allow() {
    let scene = scene(&["carl impersonate users", "user-bbbbb list tokens"]).await;
    scene.user("user-aaaaa", "ann", None, "admin").await;
    scene.user("user-bbbbb", "bob", None, "").await;
    let act = async |real: &str| {
        let headers = [("x-remote-user", real), ("impersonate-user", "user-bbbbb")];
        scene.send("GET", TOKENS, &headers, "").await.status
    };
    assert_eq!(act("carl").await, 200);
    assert_eq!(act("user-aaaaa").await, 403);
}

#[tokio::test]
async fn what_the_cluster_allows_about_users_and_clusters_is_not_about_ours() {
    let scene = scene(&[
        "user-ann create passwordchangerequests",
        "user-ann update users",
        "user-ann escalate users",
        "user-ann create kubeconfigs",
        "user-ann get clusters",
    ])
    .await;
    scene
        .put(eartag_core::collections::CLUSTERS, "c-1", eartag_core::ClusterRecord::default().encode())
        .await;
    let url = eartag_core::SettingRecord { value: "https://tokens.example".to_owned(), env: false };
    scene.put(eartag_core::collections::SETTINGS, "server-url", url.encode()).await;
    let token = user_with_token(&scene, "user-ann", "").await;
    scene.user("user-bob", "bob", None, "").await;
    let headers = [("x-remote-user", "user-ann"), ("x-remote-extra-requesttokenid", token.name.as_str())];
    let change = json!({"spec": {"userID": "user-bob", "newPassword": "long enough to be one"}}).to_string();
    let path = "/apis/ext.cattle.io/v1/passwordchangerequests";
    let refused = scene.send("POST", path, &headers, &change).await;
    assert_eq!(refused.status, 403, "{}", refused.body);
    let path = "/apis/ext.cattle.io/v1/kubeconfigs";
    let named = json!({"spec": {"clusters": ["c-1"]}}).to_string();
    assert_eq!(scene.send("POST", path, &headers, &named).await.status, 403);
    let all = scene.send("POST", path, &headers, r#"{"spec": {"clusters": ["*"]}}"#).await;
    assert_eq!(all.status, 201, "{}", all.body);
    assert!(!all.body["status"]["value"].as_str().unwrap().contains("c-1"));
}
