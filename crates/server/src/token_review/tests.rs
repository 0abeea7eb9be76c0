//! The two doors at which clusters ask, without sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use eartag_core::ClusterRecord;
use eartag_core::collections::CLUSTERS;
use serde_json::json;

use super::*;
use crate::authn::testing::{Answer, Scene, system_admin};

const V1: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const V1BETA1: &str = "/apis/authentication.k8s.io/v1beta1/tokenreviews";
const KUBE_API_AUTH: &str = "/v1/authenticate";

/// Clusters c-1 and c-2, ann who may use neither, root who may use both, and for each of them tokens by scope.
struct Fleet {
    scene: Scene,
}

impl Fleet {
    async fn new() -> Fleet {
        let scene = Scene::new().await;
        for id in ["c-1", "c-2"] {
            scene.put(CLUSTERS, id, ClusterRecord::default().encode()).await;
        }
        scene.user("user-ann", "ann", None, "user").await;
        scene.user("user-root", "root", None, "admin").await;
        Fleet { scene }
    }

    async fn token(&self, user: &str, cluster: &str) -> String {
        let owner = self.scene.state.store.get(eartag_core::collections::USERS, user.as_bytes()).unwrap();
        self.scene.token(&owner, false, cluster).await.bearer.expose().to_owned()
    }

    async fn ask(&self, by: &str, path: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {by}");
        self.scene.send("POST", path, &[("authorization", &bearer)], body).await
    }

    /// Whether a token is good for an asker.
    async fn good(&self, by: &str, token: &str) -> bool {
        let answer = self.ask(by, V1, &json!({"spec": {"token": token}}).to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let asked = json!({"kind": "TokenReview", "spec": {"token": token}}).to_string();
        let other = self.ask(by, KUBE_API_AUTH, &asked).await;
        let good = answer.body["status"]["authenticated"].as_bool().unwrap();
        assert_eq!((other.status, other.body.is_null()), if good { (200, false) } else { (401, true) });
        if !good {
            assert_eq!(answer.body["status"], json!({"authenticated": false}));
        }
        good
    }
}

#[tokio::test]
async fn a_cluster_asks_for_itself_and_nobody_without_the_right_to_it_is_let_in() {
    let fleet = Fleet::new().await;
    let (cluster, anywhere) = (fleet.token("user-root", "c-1").await, fleet.token("user-root", "").await);
    let own = async |user| {
        (fleet.token(user, "").await, fleet.token(user, "c-1").await, fleet.token(user, "c-2").await)
    };
    let (free, here, there) = own("user-root").await;
    assert!(fleet.good(&cluster, &free).await && fleet.good(&cluster, &here).await);
    assert!(!fleet.good(&cluster, &there).await, "restricted to another cluster");
    assert!(fleet.good(&anywhere, &free).await);
    assert!(!fleet.good(&anywhere, &here).await, "restricted, and asked about for no cluster");
    let (free, here, _) = own("user-ann").await;
    assert!(
        !fleet.good(&cluster, &free).await && !fleet.good(&cluster, &here).await,
        "no right to the cluster"
    );
    assert!(fleet.good(&anywhere, &free).await);
    for foreign in ["", "x", "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln", "token-nobody:abc", "user-root:x"] {
        if !foreign.is_empty() {
            assert!(!fleet.good(&cluster, foreign).await, "{foreign}");
        }
    }
}

#[tokio::test]
async fn the_answer_names_the_owner_in_the_version_that_was_sent_and_never_the_token() {
    let fleet = Fleet::new().await;
    let by = fleet.token("user-root", "").await;
    let token = fleet.token("user-ann", "").await;
    let name = token.split(':').next().unwrap().to_owned();
    for (path, sent, back) in
        [(V1, "v1", "v1"), (V1, "v1beta1", "v1beta1"), (V1BETA1, "v1", "v1"), (V1BETA1, "v1beta1", "v1beta1")]
    {
        let body = json!({"apiVersion": format!("{GROUP}/{sent}"), "kind": "TokenReview", "metadata": {"creationTimestamp": null},
            "spec": {"token": token, "audiences": ["https://kubernetes.default.svc", "vault"]}, "status": {"user": {}}});
        let answer = fleet.ask(&by, path, &body.to_string()).await;
        assert_eq!((answer.status, &answer.body["apiVersion"]), (200, &json!(format!("{GROUP}/{back}"))));
        let status = &answer.body["status"];
        assert_eq!(
            (&status["authenticated"], &status["user"]["username"]),
            (&json!(true), &json!("user-ann"))
        );
        assert_eq!(status["audiences"], json!(["https://kubernetes.default.svc"]));
        assert!(status["user"].get("groups").is_none() && status.get("error").is_none());
        let extra = &status["user"]["extra"];
        assert_eq!(extra["requesttokenid"], json!([name]));
        assert_eq!(extra["principalid"], json!(["local://user-ann"]));
        assert_eq!(extra["username"], json!(["ann"]));
        assert!(!answer.body.to_string().contains(&token));
    }
    let other = json!({"apiVersion": format!("{GROUP}/v1alpha1"), "spec": {"token": token}});
    assert_eq!(fleet.ask(&by, V1, &other.to_string()).await.status, 400);
    let review = |version: &str| {
        json!({"apiVersion": version, "kind": "TokenReview", "spec": {"token": token}}).to_string()
    };
    for (sent, back) in
        [("authentication.k8s.io/v1beta1", "v1beta1"), ("", "v1beta1"), ("authentication.k8s.io/v1", "v1")]
    {
        let answer = fleet.ask(&by, KUBE_API_AUTH, &review(sent)).await;
        assert_eq!(answer.body["apiVersion"], format!("{GROUP}/{back}"));
        assert_eq!(
            answer.body["status"],
            json!({"authenticated": true, "user": {"username": "user-ann", "groups": []}})
        );
    }
}

#[tokio::test]
async fn a_token_is_for_api_servers_and_for_nobody_else() {
    let fleet = Fleet::new().await;
    let by = fleet.token("user-root", "c-1").await;
    let token = fleet.token("user-root", "").await;
    let good = async |audiences: &[&str]| {
        let body = json!({"spec": {"token": token, "audiences": audiences}}).to_string();
        let answer = fleet.ask(&by, V1, &body).await;
        assert_eq!(answer.status, 200);
        answer.body["status"]["authenticated"].as_bool().unwrap()
    };
    assert!(
        good(&[]).await
            && good(&["c-1"]).await
            && good(&["https://kubernetes.default.svc.cluster.local"]).await
    );
    assert!(!good(&["vault"]).await && !good(&["c-2"]).await && !good(&["api.example"]).await);
    // As an administrator says it of a cluster whose API server goes by other names.
    let value = {
        let meta = eartag_api::meta::Meta {
            annotations: [(AUDIENCES_ANNOTATION.to_owned(), "rke2, api.example".to_owned())].into(),
            ..Default::default()
        };
        frame::frame(&ClusterRecord::default().encode(), &meta)
    };
    let op = eartag_storage::Op::Put { collection: CLUSTERS, key: b"c-1".to_vec(), value };
    let commit = eartag_storage::Commit { ops: vec![op], ..Default::default() };
    fleet.scene.state.store.commit(commit).await.unwrap();
    assert!(good(&["api.example"]).await && !good(&["vault"]).await);
}

#[tokio::test]
async fn askers_need_the_right_and_what_is_no_review_is_a_clear_error() {
    let mut fleet = Fleet::new().await;
    let (root, ann) = (fleet.token("user-root", "").await, fleet.token("user-ann", "").await);
    let body = json!({"kind": "TokenReview", "spec": {"token": root}}).to_string();
    for (by, code) in [(&ann, 403), (&"token-nobody:abc".to_owned(), 401)] {
        for path in [V1, V1BETA1, KUBE_API_AUTH] {
            let answer = fleet.ask(by, path, &body).await;
            assert_eq!(answer.status, code, "{path}");
            assert_eq!(answer.body.is_null(), path == KUBE_API_AUTH, "{path}");
        }
    }
    // A token for one cluster opens nothing but the question.
    let scoped = fleet.token("user-root", "c-1").await;
    assert_eq!(
        fleet.ask(&scoped, "/apis/authentication.k8s.io/v1/selfsubjectreviews", "{}").await.status,
        401
    );
    for (bad, of_kubernetes, of_kube_api_auth) in [
        ("", 400, 400),
        ("[]", 400, 400),
        ("{", 400, 400),
        ("{}", 400, 400),
        (r#"{"kind":"TokenReview"}"#, 400, 400),
        (r#"{"kind":"TokenReview","spec":{"token":""}}"#, 400, 400),
        (r#"{"kind":"TokenReview","spec":{"token":7}}"#, 400, 400),
        (r#"{"kind":"TokenReview","spec":{"token":null}}"#, 400, 400),
        (r#"{"kind":"Other","spec":{"token":"a:b"}}"#, 400, 400),
        (r#"{"kind":"TokenReview","spec":{"token":"a:b","audiences":7}}"#, 400, 401),
    ] {
        assert_eq!(fleet.ask(&root, V1, bad).await.status, of_kubernetes, "{bad}");
        let answer = fleet.ask(&root, KUBE_API_AUTH, bad).await;
        assert_eq!((answer.status, answer.body.is_null()), (of_kube_api_auth, true), "{bad}");
    }
    fleet.scene.peer = system_admin();
    assert_eq!(fleet.scene.send("GET", KUBE_API_AUTH, &[], "").await.status, 405);
}

#[tokio::test]
async fn a_cluster_that_is_gone_asks_no_more() {
    let fleet = Fleet::new().await;
    let (by, token) = (fleet.token("user-root", "c-1").await, fleet.token("user-root", "").await);
    assert!(fleet.good(&by, &token).await);
    let op = eartag_storage::Op::Delete { collection: CLUSTERS, key: b"c-1".to_vec() };
    let commit = eartag_storage::Commit { ops: vec![op], ..Default::default() };
    fleet.scene.state.store.commit(commit).await.unwrap();
    assert!(!fleet.good(&by, &token).await);
}

/// The short way and the long one, asked the same: bytes, code and headers.
#[tokio::test]
async fn the_short_way_says_what_the_long_one_says() {
    let fleet = Fleet::new().await;
    let state = &fleet.scene.state;
    let asker = fleet.token("user-root", "c-1").await;
    let good = fleet.token("user-root", "").await;
    let elsewhere = fleet.token("user-root", "c-2").await;
    let anns = fleet.token("user-ann", "").await;
    let audiences =
        ["", r#","audiences":[]"#, r#","audiences":["c-1","vault"]"#, r#","audiences":["vault"]"#];
    let mut short = 0;
    for token in [good.as_str(), &elsewhere, &anns, "x", "token-nobody:abc", ""] {
        for audiences in audiences {
            for version in ["v1", "v1beta1", "v2"] {
                for status in ["", r#","status":{"user":{}}"#, r#","status":{"authenticated":true}"#] {
                    let body = format!(
                        r#"{{"kind":"TokenReview","apiVersion":"authentication.k8s.io/{version}","metadata":{{"creationTimestamp":null}},"spec":{{"token":"{token}"{audiences}}}{status}}}"#
                    );
                    let bearer = format!("Bearer {asker}");
                    let headers = [
                        ("authorization", bearer.as_str()),
                        ("content-type", "application/json"),
                        ("accept", "application/json, */*"),
                    ];
                    let (parts, _) = crate::authn::testing::request("POST", V1, &headers, &body).into_parts();
                    let answer =
                        short::answer(state, &parts, body.as_bytes(), &fleet.scene.peer).await.unwrap();
                    let long = fleet.scene.send("POST", V1, &headers, &body).await;
                    let Some(answer) = answer else {
                        assert!(long.status == 400 || status.contains("authenticated"), "{body}");
                        continue;
                    };
                    short += 1;
                    let answer = Answer::read(answer).await;
                    assert_eq!((answer.status, &answer.body), (long.status, &long.body), "{body}");
                    assert_eq!(answer.headers, long.headers);
                }
            }
        }
    }
    assert_eq!(short, 5 * 4 * 2 * 2);
    let (parts, _) = crate::authn::testing::request("POST", V1, &[], "").into_parts();
    let body =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": good}});
    let nobody = short::answer(state, &parts, body.to_string().as_bytes(), &fleet.scene.peer).await;
    assert_eq!(nobody.err(), Some(crate::authn::AuthnFailure::Anonymous));
}

#[test]
fn only_what_api_servers_send_goes_the_short_way() {
    let takes = |method: &str, path: &str, headers: &[(&str, &str)]| {
        short::takes(&crate::authn::testing::request(method, path, headers, ""))
    };
    let usual = [
        ("content-type", "application/json"),
        ("accept", "application/json, */*"),
        ("content-length", "300"),
    ];
    assert!(takes("POST", V1, &usual) && takes("POST", V1BETA1, &usual));
    assert!(
        !takes("GET", V1, &usual)
            && !takes("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", &usual)
    );
    assert!(!takes("POST", &format!("{V1}?dryRun=All"), &usual) && !takes("POST", &format!("{V1}/"), &usual));
    for (at, value) in
        [(0, "application/yaml"), (1, "application/yaml"), (1, ""), (2, "20000"), (2, "x"), (2, "")]
    {
        let mut other = usual;
        other[at].1 = value;
        assert!(!takes("POST", V1, &other), "{value}");
    }
    let people = [usual[0], usual[1], usual[2], ("user-agent", "curl/8.0")];
    assert!(!takes("POST", V1, &people));
}
