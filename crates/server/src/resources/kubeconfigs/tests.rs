#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod endings;
mod midway;

use std::sync::atomic::Ordering;

use eartag_api::meta::{Meta, Uid};
use eartag_core::collections::{
    CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, CLUSTERS, FEATURES, LEGACY_TOKENS, SETTINGS, USERS,
};
use eartag_core::record::{KubeconfigSummary, RoleRef, Subject};
use eartag_core::verifier::{Place, Presented, Verdict};
use eartag_core::{
    AuthEndpoint, ClusterRecord, ClusterRoleBindingRecord, ClusterRoleRecord, FeatureRecord, Rule,
    SettingRecord, settings,
};
use eartag_storage::{Commit, Op};
use serde_json::json;

use super::*;
use crate::authn::testing::{Answer, NOW_MS, Scene, system_admin};
use crate::login::session::Issued;

const PATH: &str = "/apis/ext.cattle.io/v1/kubeconfigs";

/// Somebody who may make kubeconfigs, with a token, and who may use these clusters.
struct Person {
    name: &'static str,
    bearer: String,
}

async fn person(scene: &Scene, name: &'static str, role: &str, clusters: &[&str]) -> Person {
    let entry = scene.user(name, name.trim_start_matches("user-"), None, role).await;
    if !clusters.is_empty() {
        let rule = Rule {
            verbs: vec!["get".into()],
            api_groups: vec!["management.cattle.io".into()],
            resources: vec!["clusters".into()],
            resource_names: clusters.iter().map(|id| (*id).to_owned()).collect(),
            non_resource_urls: Vec::new(),
        };
        let many = Rule {
            verbs: vec!["deletecollection".into()],
            api_groups: vec![EXT.into()],
            resources: vec!["kubeconfigs".into()],
            ..Rule::default()
        };
        let role = ClusterRoleRecord { rules: vec![rule, many], aggregation: None };
        scene.put(CLUSTER_ROLES, name, role.encode()).await;
        let group = || "rbac.authorization.k8s.io".to_owned();
        let subject =
            Subject { kind: "User".into(), api_group: group(), name: name.into(), namespace: String::new() };
        let role_ref = RoleRef { api_group: group(), kind: "ClusterRole".into(), name: name.into() };
        let binding = ClusterRoleBindingRecord { role_ref, subjects: vec![subject] };
        scene.put(CLUSTER_ROLE_BINDINGS, name, binding.encode()).await;
    }
    let Issued { bearer, .. } = scene.token(&entry, true, "").await;
    Person { name, bearer: format!("Bearer {}", bearer.expose()) }
}

impl Person {
    async fn send(&self, scene: &Scene, method: &str, path: &str, body: &Tree) -> Answer {
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let headers = [("authorization", self.bearer.as_str()), ("content-type", kind)];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        scene.send(method, path, &headers, &body).await
    }

    async fn create(&self, scene: &Scene, spec: Tree) -> Answer {
        self.send(scene, "POST", PATH, &json!({"metadata": {}, "spec": spec})).await
    }

    /// A kubeconfig that is made, and its name.
    async fn made(&self, scene: &Scene, spec: Tree) -> (Tree, String) {
        let answer = self.create(scene, spec).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        let name = answer.body["metadata"]["name"].as_str().unwrap().to_owned();
        (answer.body, name)
    }
}

async fn clusters(scene: &Scene) {
    let plain = |name: &str| ClusterRecord { display_name: name.to_owned(), ..ClusterRecord::default() };
    let endpoint = || AuthEndpoint { enabled: true, fqdn: "api.example".into(), ..AuthEndpoint::default() };
    scene.put(CLUSTERS, "c-1", plain("prod").encode()).await;
    scene.put(CLUSTERS, "c-2", ClusterRecord { auth_endpoint: endpoint(), ..plain("edge") }.encode()).await;
    scene.put(CLUSTERS, "c-3", ClusterRecord { auth_endpoint: endpoint(), ..plain("prod") }.encode()).await;
    scene.put(CLUSTERS, "c-4", plain("secret").encode()).await;
}

async fn set(scene: &Scene, name: &str, value: &str) {
    scene.put(SETTINGS, name, SettingRecord { value: value.to_owned(), env: false }.encode()).await;
}

fn file(object: &Tree) -> Tree {
    serde_saphyr::from_str(object["status"]["value"].as_str().expect("the file is shown")).unwrap()
}

fn tokens(object: &Tree) -> Vec<String> {
    object["status"]["tokens"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|n| n.as_str().unwrap().to_owned())
        .collect()
}

fn bearers(file: &Tree) -> Vec<String> {
    file["users"]
        .as_array()
        .unwrap()
        .iter()
        .map(|u| u["user"]["token"].as_str().unwrap().to_owned())
        .collect()
}

fn is_good(scene: &Scene, bearer: &str, place: Place<'_>) -> bool {
    let presented = Presented::parse(bearer).unwrap();
    let now_ms = scene.world.0.load(Ordering::Relaxed);
    matches!(scene.state.tables.verifier.check(&presented, place, now_ms), Verdict::Good(_))
}

fn stored(scene: &Scene, collection: CollectionId) -> u64 {
    scene.state.store.count(collection, &Scope::All)
}

fn said(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.body["message"].as_str().unwrap_or_default())
}

async fn delete_entry(scene: &Scene, collection: CollectionId, key: &str) {
    let op = Op::Delete { collection, key: key.into() };
    scene.state.store.commit(Commit { ops: vec![op], ..Commit::default() }).await.unwrap();
}

#[tokio::test]
async fn a_kubeconfig_is_shown_once_and_its_token_is_good() {
    let scene = Scene::new().await;
    let ann = person(&scene, "user-ann", "user", &["local"]).await;
    let spec = json!({"clusters": ["local"], "description": "for work"});
    let (made, name) = ann.made(&scene, spec).await;
    assert!(name.starts_with("kubeconfig-") && name.len() == 16);
    assert_eq!(made["metadata"]["labels"]["cattle.io/user-id"], "user-ann");
    let file = file(&made);
    assert_eq!(file["current-context"], "local");
    assert_eq!(file["clusters"][0]["cluster"]["server"], "https://a.example");
    assert_eq!(file["clusters"][1]["cluster"]["server"], "https://a.example/k8s/clusters/local");
    let [bearer] = bearers(&file).try_into().unwrap();
    assert!(is_good(&scene, &bearer, Place::Global) && is_good(&scene, &bearer, Place::Cluster("local")));
    let [token] = tokens(&made).try_into().unwrap();
    assert!(bearer.starts_with(&format!("ext/{token}:")));
    assert_eq!(
        made["spec"],
        json!({"clusters": ["local"], "currentContext": "local", "description": "for work", "ttl": 7_776_000})
    );
    let status = &made["status"];
    assert_eq!(
        (&status["summary"], &status["conditions"][0]["message"]),
        (&json!("Complete"), &json!(token))
    );
    assert_eq!(
        (&status["conditions"][0]["type"], &status["conditions"][0]["status"]),
        (&json!("TokenCreated"), &json!("True"))
    );

    let seen = ann.send(&scene, "GET", &format!("{PATH}/{name}"), &Tree::Null).await.body;
    assert!(seen["status"].get("value").is_none(), "only once");
    assert_eq!((&seen["status"]["summary"], &seen["spec"]), (&json!("Complete"), &made["spec"]));
    let path = format!("/apis/ext.cattle.io/v1/tokens/{token}");
    let backing = ann.send(&scene, "GET", &path, &Tree::Null).await.body;
    assert_eq!(
        (&backing["spec"]["kind"], &backing["spec"]["description"], &backing["spec"]["ttl"]),
        (&json!("kubeconfig"), &json!("Kubeconfig token"), &json!(7_776_000_000_u64))
    );
    assert_eq!(backing["metadata"]["labels"][KUBECONFIG_LABEL], json!(name));
    assert_eq!(backing["spec"]["userPrincipal"]["name"], "local://user-ann");
}

#[tokio::test]
async fn clusters_with_an_endpoint_have_tokens_that_are_good_only_there() {
    let scene = Scene::new().await;
    clusters(&scene).await;
    let ann = person(&scene, "user-ann", "user", &["c-1", "c-2", "c-3"]).await;
    let spec = json!({"clusters": ["*"], "currentContext": "c-2", "ttl": 60, "includeDefaultEntry": false});
    let (made, name) = ann.made(&scene, spec).await;
    let file = file(&made);
    let named = |list: &str| -> Vec<String> {
        file[list].as_array().unwrap().iter().map(|n| n["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(named("contexts"), ["prod-c-1", "edge", "edge-fqdn", "prod-c-3", "prod-c-3-fqdn"]);
    assert_eq!(named("users"), ["rancher", "edge", "prod-c-3"]);
    assert_eq!((&file["current-context"], &made["spec"]["clusters"]), (&json!("edge-fqdn"), &json!(["*"])));
    let [shared, edge, prod] = bearers(&file).try_into().unwrap();
    assert!(is_good(&scene, &shared, Place::Global) && is_good(&scene, &shared, Place::Cluster("c-2")));
    assert!(is_good(&scene, &edge, Place::Cluster("c-2")) && !is_good(&scene, &edge, Place::Cluster("c-3")));
    assert!(!is_good(&scene, &prod, Place::Global));
    assert_eq!((tokens(&made).len(), &made["status"]["summary"]), (3, &json!("Complete")));
    scene.world.0.store(NOW_MS + 60_000, Ordering::Relaxed);
    assert!(!is_good(&scene, &shared, Place::Global), "they live as long as spec.ttl says, exactly");
    scene.world.0.store(NOW_MS, Ordering::Relaxed);
    let deleted = ann.send(&scene, "DELETE", &format!("{PATH}/{name}"), &Tree::Null).await;
    assert_eq!((deleted.status, &deleted.body["kind"]), (200, &json!("Status")));
    assert!(!is_good(&scene, &shared, Place::Global) && !is_good(&scene, &edge, Place::Cluster("c-2")));
    assert_eq!((stored(&scene, EXT_TOKENS), stored(&scene, KUBECONFIGS)), (0, 0));
}

#[tokio::test]
async fn what_breaks_a_rule_is_refused_in_the_references_words_and_changes_nothing() {
    let scene = Scene::new().await;
    clusters(&scene).await;
    let ann = person(&scene, "user-ann", "user", &["c-1"]).await;
    let many: Vec<String> = (0..501).map(|n| format!("c-{n}")).collect();
    for (spec, status, text) in [
        (json!({"clusters": ["c-1", "c-1"]}), 400, "spec.clusters must be unique"),
        (
            json!({"includeDefaultEntry": false}),
            400,
            "at least one cluster is required when includeDefaultEntry is false",
        ),
        (json!({"ttl": -1}), 400, "spec.ttl can't be negative"),
        (json!({"ttl": 7_776_001}), 400, "spec.ttl 7776001 exceeds max ttl 7776000"),
        (json!({"clusters": ["c-1", "nope"]}), 400, "cluster nope not found"),
        (
            json!({"clusters": ["c-1", "c-4"]}),
            403,
            "kubeconfigs.ext.cattle.io is forbidden: user user-ann is not allowed to access cluster c-4",
        ),
        (json!({"clusters": ["*"], "currentContext": "c-4"}), 400, "invalid currentContext c-4"),
        (
            json!({"clusters": many}),
            422,
            "Kubeconfig.ext.cattle.io \"\" is invalid: spec.clusters: Too many: 501: must have at most 500 items",
        ),
    ] {
        let answer = ann.create(&scene, spec.clone()).await;
        assert_eq!(
            (answer.status, said(&answer).1.contains(text)),
            (status, true),
            "{spec}: {}",
            answer.body
        );
    }
    let long = ann.create(&scene, json!({"description": "x".repeat(4097)})).await;
    assert_eq!(long.status, 422);
    assert_eq!((stored(&scene, EXT_TOKENS), stored(&scene, KUBECONFIGS)), (0, 0));
}

#[tokio::test]
async fn who_is_no_user_gets_no_kubeconfig() {
    let mut scene = Scene::new().await;
    scene.peer = system_admin();
    let refused = scene.send("POST", PATH, &[("content-type", "application/json")], r#"{"spec": {}}"#).await;
    assert_eq!(
        said(&refused),
        (403, "kubeconfigs.ext.cattle.io is forbidden: user system:admin is not a Rancher user")
    );
    scene.user("user-ann", "ann", None, "user").await;
    let acting = [("content-type", "application/json"), ("impersonate-user", "user-ann")];
    let refused = scene.send("POST", PATH, &acting, r#"{"spec": {}}"#).await;
    assert_eq!(said(&refused), (403, "kubeconfigs.ext.cattle.io is forbidden: missing request token ID"));
    let named = [acting[0], acting[1], ("impersonate-extra-requesttokenid", "token-x")];
    let refused = scene.send("POST", PATH, &named, r#"{"spec": {}}"#).await;
    assert!(said(&refused).1.ends_with("error getting request token token-x: not found"), "{}", refused.body);
}

#[tokio::test]
async fn a_dry_run_shows_the_file_without_tokens_and_stores_nothing() {
    let scene = Scene::new().await;
    clusters(&scene).await;
    let ann = person(&scene, "user-ann", "user", &["c-1", "c-2"]).await;
    let path = format!("{PATH}?dryRun=All");
    let body = json!({"spec": {"clusters": ["c-1", "c-2"]}});
    let answer = ann.send(&scene, "POST", &path, &body).await;
    assert_eq!((answer.status, &answer.body["status"]["summary"]), (201, &json!("Complete")));
    assert!(tokens(&answer.body).is_empty());
    let users = file(&answer.body)["users"].clone();
    assert_eq!(
        users[0]["user"]["exec"]["args"],
        json!(["token", "--server=https://a.example", "--user=rancher"])
    );
    assert_eq!(users[1]["user"]["exec"]["args"][3], "--cluster=c-2");
    assert_eq!((stored(&scene, EXT_TOKENS), stored(&scene, KUBECONFIGS)), (0, 0));
    let refused = ann.send(&scene, "POST", &path, &json!({"spec": {"clusters": ["c-4"]}})).await;
    assert_eq!(refused.status, 403, "a dry run decides the same");
}

#[tokio::test]
async fn without_generated_tokens_the_command_logs_in_and_the_record_stays() {
    let scene = Scene::new().await;
    set(&scene, settings::KUBECONFIG_GENERATE, "false").await;
    set(&scene, settings::SERVER_URL, "https://Rancher.example:8443/some/path").await;
    let ann = person(&scene, "user-ann", "user", &[]).await;
    let (made, name) = ann.made(&scene, json!({})).await;
    let user = &file(&made)["users"][0]["user"];
    assert_eq!(user["exec"]["args"][1], "--server=https://rancher.example:8443");
    assert!(user.get("token").is_none() && tokens(&made).is_empty());
    assert_eq!(stored(&scene, EXT_TOKENS), 0);
    let (sweeper, _trigger) = crate::sweeper::tests::sweeper(&scene);
    assert!(sweeper.dead_kubeconfigs(Scope::All).await.is_ok());
    assert_eq!(ann.send(&scene, "GET", &format!("{PATH}/{name}"), &Tree::Null).await.status, 200);
}

#[tokio::test]
async fn somebody_elses_kubeconfig_does_not_exist_and_administrators_see_all() {
    let scene = Scene::new().await;
    let ann = person(&scene, "user-ann", "user", &[]).await;
    let bob = person(&scene, "user-bob", "user", &["local"]).await;
    let root = person(&scene, "user-root", "admin", &[]).await;
    let (_, name) = ann.made(&scene, json!({})).await;
    let path = format!("{PATH}/{name}");
    let patch = json!({"spec": {"ttl": 1}});
    for (method, body) in [("GET", Tree::Null), ("PATCH", patch), ("DELETE", Tree::Null)] {
        let answer = bob.send(&scene, method, &path, &body).await;
        let text = format!("kubeconfigs.ext.cattle.io \"{name}\" not found");
        assert_eq!(said(&answer), (404, text.as_str()), "{method}");
    }
    let listed = async |who: &Person, query: &str| {
        let list = who.send(&scene, "GET", &format!("{PATH}{query}"), &Tree::Null).await.body;
        list["items"].as_array().unwrap().len()
    };
    assert_eq!((listed(&ann, "").await, listed(&bob, "").await, listed(&root, "").await), (1, 0, 1));
    assert_eq!(listed(&root, "?labelSelector=cattle.io/user-id%3Duser-ann").await, 1);
    assert_eq!(listed(&root, "?labelSelector=cattle.io/kind%3Dkubeconfig").await, 1);
    assert_eq!(listed(&bob, "?labelSelector=cattle.io/user-id%3Duser-ann").await, 0);
    assert_eq!(bob.send(&scene, "DELETE", PATH, &Tree::Null).await.status, 200);
    assert_eq!(listed(&ann, "").await, 1, "a collection is one's own");
    assert_eq!(root.send(&scene, "DELETE", &path, &Tree::Null).await.status, 200);
    assert_eq!((stored(&scene, EXT_TOKENS), stored(&scene, KUBECONFIGS)), (0, 0));
}

#[tokio::test]
async fn only_metadata_and_the_description_change_and_each_change_is_noted() {
    let scene = Scene::new().await;
    clusters(&scene).await;
    let ann = person(&scene, "user-ann", "user", &["c-1"]).await;
    let (made, name) = ann.made(&scene, json!({"clusters": ["c-1"], "description": "a"})).await;
    let path = format!("{PATH}/{name}");
    let patch = async |body: Tree| ann.send(&scene, "PATCH", &path, &body).await;
    let version = |answer: &Answer| answer.body["metadata"]["resourceVersion"].clone();
    for (spec, text) in [
        (json!({"clusters": ["*"]}), "spec.clusters is immutable"),
        (json!({"currentContext": "local"}), "spec.currentContext is immutable"),
        (json!({"ttl": 5}), "spec.ttl is immutable"),
        (json!({"includeDefaultEntry": false}), "spec.includeDefaultEntry is immutable"),
    ] {
        assert_eq!(said(&patch(json!({"spec": spec})).await), (400, text));
    }
    let same =
        patch(json!({"spec": {"description": "a"}, "status": {"summary": "Error", "tokens": []}})).await;
    assert_eq!((same.status, version(&same)), (200, made["metadata"]["resourceVersion"].clone()));
    scene.world.0.store(NOW_MS + 5_000, Ordering::Relaxed);
    let changed = patch(json!({"spec": {"description": "b"}, "metadata": {"labels": {"team": "x", "cattle.io/user-id": "user-bob"}}})).await;
    assert_eq!((changed.status, &changed.body["spec"]["description"]), (200, &json!("b")));
    assert_eq!(
        changed.body["metadata"]["labels"],
        json!({"team": "x", "cattle.io/user-id": "user-ann"}),
        "the owner is the server's to say"
    );
    let updated = |answer: &Answer| {
        let all = answer.body["status"]["conditions"].as_array().unwrap().clone();
        let updated: Vec<Tree> = all.into_iter().filter(|c| c["type"] == "Updated").collect();
        assert_eq!(updated.len(), 1);
        updated[0]["lastTransitionTime"].clone()
    };
    assert_eq!(updated(&changed), format_rfc3339(i64::try_from(NOW_MS / 1000 + 5).unwrap()));
    scene.world.0.store(NOW_MS + 9_000, Ordering::Relaxed);
    let again = patch(json!({"spec": {"description": "c"}})).await;
    assert_ne!(updated(&again), updated(&changed), "there is one, and its time advances");
    let stale = json!({"metadata": {"resourceVersion": version(&changed)}, "spec": {"description": "d"}});
    assert_eq!(patch(stale.clone()).await.status, 409);
    assert_eq!(ann.send(&scene, "PATCH", &format!("{path}?dryRun=All"), &stale).await.status, 409);
    assert!(!again.body.to_string().contains("ext/token"));
}

#[tokio::test]
async fn the_table_counts_the_tokens_that_are_left() {
    let scene = Scene::new().await;
    clusters(&scene).await;
    let ann = person(&scene, "user-ann", "user", &["c-1", "c-2"]).await;
    let spec = json!({"clusters": ["*"], "description": "all", "ttl": 86_400});
    let (made, name) = ann.made(&scene, spec).await;
    delete_entry(&scene, EXT_TOKENS, &tokens(&made)[1]).await;
    scene.world.0.store(NOW_MS + 60_000, Ordering::Relaxed);
    let headers =
        [("authorization", ann.bearer.as_str()), ("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let table = scene.send("GET", PATH, &headers, "").await.body;
    let columns: Vec<(&str, u64)> = table["columnDefinitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| (c["name"].as_str().unwrap(), c["priority"].as_u64().unwrap()))
        .collect();
    assert_eq!(
        columns,
        [
            ("Name", 0),
            ("TTL", 0),
            ("Tokens", 0),
            ("Status", 0),
            ("Age", 0),
            ("User", 1),
            ("Clusters", 1),
            ("Description", 1)
        ]
    );
    assert_eq!(
        table["rows"][0]["cells"],
        json!([name, "24h", "1/2", "Complete", "60s", "user-ann", "*", "all"])
    );
}

#[tokio::test]
async fn kubeconfigs_work_while_the_tokens_api_is_off_and_have_a_switch_of_their_own() {
    let scene = Scene::new().await;
    let ann = person(&scene, "user-ann", "user", &[]).await;
    let off = FeatureRecord { value: Some(false), locked: None };
    scene.put(FEATURES, "ext-tokens", off.encode()).await;
    let (made, name) = ann.made(&scene, json!({})).await;
    let [bearer] = bearers(&file(&made)).try_into().unwrap();
    assert!(is_good(&scene, &bearer, Place::Global));
    let path = format!("{PATH}/{name}");
    assert_eq!(ann.send(&scene, "DELETE", &path, &Tree::Null).await.status, 200);
    assert!(!is_good(&scene, &bearer, Place::Global));
    scene.put(FEATURES, "ext-kubeconfigs", off.encode()).await;
    assert_eq!(ann.create(&scene, json!({})).await.status, 404);
}

#[tokio::test]
async fn nobody_fills_the_store_with_kubeconfigs_or_their_tokens() {
    let scene = Scene::new().await;
    clusters(&scene).await;
    let ann = person(&scene, "user-ann", "user", &["c-2"]).await;
    let mut kind = Kubeconfigs::new(scene.state.tables.clone(), scene.state.store.clone(), None).unwrap();
    (kind.most, kind.ground.most) = (1, 4);
    let mut cx = scene.cx(ann.name);
    let named = ann.bearer.trim_start_matches("Bearer ").split(':').next().unwrap().to_owned();
    cx.user.extra.insert("requesttokenid".into(), vec![named]);
    cx.user.extra.insert("requesthost".into(), vec!["a.example".into()]);
    let create = async |kind: &Kubeconfigs, clusters: &[&str]| {
        let asked = json!({
            "apiVersion": "ext.cattle.io/v1", "kind": "Kubeconfig", "spec": {"clusters": clusters},
        });
        scene.state.api.create(kind, &cx, asked).await.map(drop)
    };
    assert_eq!(create(&kind, &["c-2"]).await, Ok(()));
    assert_eq!(stored(&scene, EXT_TOKENS) + stored(&scene, LEGACY_TOKENS), 3);
    let quota = |text: &str| Err(Refusal::Forbidden(text.to_owned()));
    assert_eq!(
        create(&kind, &[]).await,
        quota(
            "exceeded quota: kubeconfigs-of-one-user, requested: count/kubeconfigs.ext.cattle.io=1, \
             used: count/kubeconfigs.ext.cattle.io=1, limited: count/kubeconfigs.ext.cattle.io=1"
        )
    );
    kind.most = 10;
    assert_eq!(
        create(&kind, &["c-2"]).await,
        quota(
            "exceeded quota: tokens-of-one-user, requested: count/tokens.ext.cattle.io=2, \
             used: count/tokens.ext.cattle.io=3, limited: count/tokens.ext.cattle.io=4"
        )
    );
    assert_eq!(create(&kind, &[]).await, Ok(()));
}

#[tokio::test]
async fn what_a_token_backs_is_the_servers_to_say() {
    let scene = Scene::new().await;
    let ann = person(&scene, "user-ann", "user", &[]).await;
    let (made, name) = ann.made(&scene, json!({})).await;
    let forged = json!({"metadata": {"labels": {KUBECONFIG_LABEL: name}}, "spec": {}});
    let token = ann.send(&scene, "POST", "/apis/ext.cattle.io/v1/tokens", &forged).await.body;
    assert!(token["metadata"]["labels"].get(KUBECONFIG_LABEL).is_none());
    let path = format!("/apis/ext.cattle.io/v1/tokens/{}", tokens(&made)[0]);
    let patch = json!({"metadata": {"labels": {KUBECONFIG_LABEL: null, "a": "b"}}});
    let kept = ann.send(&scene, "PATCH", &path, &patch).await.body;
    assert_eq!(kept["metadata"]["labels"][KUBECONFIG_LABEL], json!(name));
    assert_eq!(kept["metadata"]["labels"]["a"], "b");
}
