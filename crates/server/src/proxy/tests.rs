//! The proxy in front of API servers that are made for the purpose.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod endings;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use eartag_core::collections::{CLUSTER_CREDENTIALS, CLUSTERS, GLOBAL_ROLE_BINDINGS};
use eartag_core::record::GlobalRoleBindingRecord;
use eartag_core::{ClusterRecord, PlainSecret};
use eartag_storage::{Commit, Entry, Op};
use eartag_upstream::testing::{Ca, nobody, serve};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http::{HeaderMap, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use rcgen::CertificateParams;
use serde_json::Value;

use super::{Proxy, Way};
use crate::authn::testing::{Scene, request};
use crate::authn::{self};
use crate::cluster::{Cluster, ClusterCredential};
use crate::listener::Body;

/// A server with a proxy, and an authority for API servers.
struct Stage {
    scene: Scene,
    proxy: Proxy,
    ca: Ca,
    admin: Entry,
    bearer: String,
    bearer_name: String,
}

impl Stage {
    async fn new() -> Stage {
        let scene = Scene::new().await;
        let admin = scene.user("u-admin", "admin", None, "admin").await;
        let issued = scene.token(&admin, false, "").await;
        let (bearer, bearer_name) = (issued.bearer.expose().to_owned(), issued.name.clone());
        Stage { scene, proxy: Proxy::new(), ca: Ca::new(), admin, bearer, bearer_name }
    }

    async fn bearer_of(&self, user: &str, role: &str) -> String {
        let user = self.scene.user(user, user, None, role).await;
        self.scene.token(&user, false, "").await.bearer.expose().to_owned()
    }

    async fn cluster(&self, id: &str, endpoint: String) {
        let record = ClusterRecord {
            api_endpoint: endpoint,
            ca_certificate: self.ca.pem(),
            ..ClusterRecord::default()
        };
        self.scene.put(CLUSTERS, id, record.encode()).await;
    }

    async fn credential(&self, id: &str, token: &str) {
        let state = &self.scene.state;
        let cluster = Cluster::find(&state.store, id).unwrap();
        let credential = ClusterCredential::Token(PlainSecret::new(token));
        let closed = credential.close(id, cluster.uid, &state.vault, &*state.world).unwrap();
        self.scene.put(CLUSTER_CREDENTIALS, id, closed.encode()).await;
    }

    async fn registered(&self, id: &str, address: SocketAddr) {
        self.cluster(id, format!("https://{address}")).await;
        self.credential(id, "the-clusters-own").await;
    }

    async fn delete(&self, collection: eartag_storage::CollectionId, name: &str) {
        let op = Op::Delete { collection, key: name.as_bytes().to_vec() };
        self.scene.state.store.commit(Commit { ops: vec![op], ..Commit::default() }).await.unwrap();
    }

    /// An API server of this cluster's authority.
    async fn upstream<F, R>(&self, answer: F) -> SocketAddr
    where
        F: Fn(http::Request<Incoming>) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Response<eartag_upstream::Body>> + Send + 'static,
    {
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        serve(self.ca.acceptor(params), answer).await
    }

    async fn ask(&self, bearer: &str, path: &str, more: &[(&str, &str)]) -> Response<Body> {
        self.send(bearer, "GET", path, more, full("")).await
    }

    async fn send(
        &self,
        bearer: &str,
        method: &str,
        path: &str,
        more: &[(&str, &str)],
        body: Body,
    ) -> Response<Body> {
        let authorization = format!("Bearer {bearer}");
        let mut headers = vec![("authorization", authorization.as_str())];
        headers.extend(more);
        let (parts, _) = request(method, path, &headers, "").into_parts();
        let (state, peer) = (&self.scene.state, &self.scene.peer);
        let caller = authn::authenticate(state, &parts, peer).await.unwrap();
        match self.proxy.admit(state, &parts, &caller).await {
            Err(failure) => failure.into_response(),
            Ok(Way::Here(uri)) => Response::new(full(format!("here: {uri}"))),
            Ok(Way::There(admitted)) => {
                let forwarded = self.proxy.forward(state, admitted, parts, body, caller, peer);
                forwarded.await.unwrap_or_else(super::Failure::into_response)
            }
        }
    }
}

fn full(bytes: impl Into<Bytes>) -> Body {
    eartag_apiserver::http::body::full(bytes)
}

fn streamed(frames: impl futures_util::Stream<Item = std::io::Result<Bytes>> + Send + 'static) -> Body {
    eartag_apiserver::http::body::streamed(frames)
}

async fn text(response: Response<Body>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// Code and message of a Status.
async fn status(response: Response<Body>) -> (u16, String) {
    let code = response.status().as_u16();
    let body: Value = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!((&body["kind"], &body["code"]), (&"Status".into(), &code.into()));
    (code, body["message"].as_str().unwrap().to_owned())
}

/// The request as it arrived.
fn echo(request: &http::Request<Incoming>) -> Response<Body> {
    let line = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()))
    };
    let mut lines: Vec<String> = request.headers().iter().map(line).collect();
    lines.sort();
    Response::new(full(format!("{} {}\n{}", request.method(), request.uri(), lines.concat())))
}

#[tokio::test]
async fn the_cluster_sees_its_own_credential_and_our_caller() {
    let stage = Stage::new().await;
    let address = stage.upstream(|request| async move { echo(&request) }).await;
    stage.registered("c-1", address).await;
    let claims = [
        ("cookie", "R_SESS=x"),
        ("x-remote-user", "admin"),
        ("x-remote-group", "system:masters"),
        ("impersonate_group", "system:masters"),
        ("connection", "impersonate-user, x-private"),
        ("x-private", "1"),
        ("accept", "application/json"),
    ];
    let answer = stage.ask(&stage.bearer, "/k8s/clusters/c-1/api/v1/pods?limit=1", &claims).await;
    assert_eq!(
        text(answer).await,
        format!(
            "GET /api/v1/pods?limit=1\naccept: application/json\nauthorization: Bearer the-clusters-own\nhost: {address}\n\
             impersonate-extra-principalid: local://u-admin\nimpersonate-extra-requesthost: a.example\n\
             impersonate-extra-requesttokenid: {}\nimpersonate-extra-username: admin\n\
             impersonate-group: system:authenticated\nimpersonate-group: system:cattle:authenticated\nimpersonate-user: u-admin\n\
             x-forwarded-for: 9.9.9.9\n",
            stage.bearer_name
        )
    );
}

#[tokio::test]
async fn whoever_may_not_use_a_cluster_does_not_learn_whether_it_exists() {
    let stage = Stage::new().await;
    stage.cluster("c-1", String::new()).await;
    let bearer = stage.bearer_of("u-plain", "user").await;
    let mut answers = Vec::new();
    for id in ["c-1", "c-2"] {
        let answer = stage.ask(&bearer, &format!("/k8s/clusters/{id}/api"), &[]).await;
        let (code, message) = status(answer).await;
        answers.push((code, message.replace(id, "<id>")));
    }
    assert_eq!(answers[0], answers[1]);
    let expected = "clusters.management.cattle.io \"<id>\" is forbidden: User \"u-plain\" cannot get resource \"clusters\" in API group \
                    \"management.cattle.io\" at the cluster scope";
    assert_eq!(answers[0], (403, expected.to_owned()));
}

#[tokio::test]
async fn a_cluster_that_cannot_be_used_says_what_to_do() {
    let stage = Stage::new().await;
    let ask = async || status(stage.ask(&stage.bearer, "/k8s/clusters/c-1/api", &[]).await).await;
    assert_eq!(ask().await, (404, "clusters.management.cattle.io \"c-1\" not found".to_owned()));
    stage.cluster("c-1", String::new()).await;
    let (code, message) = ask().await;
    assert!(code == 503 && message.contains("spec.apiEndpoint"), "{message}");
    let (_held, address) = nobody().await;
    stage.cluster("c-1", format!("https://{address}")).await;
    let (code, message) = ask().await;
    assert!(code == 503 && message.contains("clustercredentials.management.cattle.io"), "{message}");
    stage.credential("c-1", "a\nb").await;
    let (code, message) = ask().await;
    assert!(code == 503 && message.contains("the token holds characters"), "{message}");
    stage.credential("c-1", "good").await;
    let refused = "the API server of cluster \"c-1\" gives no answer: it refuses connections";
    assert_eq!(ask().await, (502, refused.to_owned()));
    stage.delete(CLUSTERS, "c-1").await;
    assert_eq!(ask().await.0, 404);
}

#[tokio::test]
async fn a_certificate_that_is_not_the_clusters_gets_no_request_and_one_clear_text() {
    let stage = Stage::new().await;
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let address = serve(Ca::new().acceptor(params), |_| async { panic!("a request came through") }).await;
    stage.registered("c-1", address).await;
    let (code, message) = status(stage.ask(&stage.bearer, "/k8s/clusters/c-1/api", &[]).await).await;
    assert_eq!(
        (code, message.as_str()),
        (
            502,
            "the API server of cluster \"c-1\" gives no answer: it is not trusted: its certificate is not signed by the certificate \
             authority that was given for it (or, if none was, by none that this machine trusts)"
        )
    );
}

#[tokio::test]
async fn a_new_credential_is_used_at_once_and_a_new_cluster_inherits_none() {
    let stage = Stage::new().await;
    let address = stage
        .upstream(|request| async move {
            Response::new(full(request.headers()["authorization"].to_str().unwrap().to_owned()))
        })
        .await;
    stage.registered("c-1", address).await;
    let ask = async || stage.ask(&stage.bearer, "/k8s/clusters/c-1/api", &[]).await;
    assert_eq!(text(ask().await).await, "Bearer the-clusters-own");
    stage.credential("c-1", "second").await;
    assert_eq!(text(ask().await).await, "Bearer second");
    stage.delete(CLUSTERS, "c-1").await;
    stage.cluster("c-1", format!("https://{address}")).await;
    assert_eq!(ask().await.status(), 503);
}

#[tokio::test]
async fn a_cluster_that_does_not_know_us_is_not_taken_for_a_bad_token() {
    let stage = Stage::new().await;
    let address = stage
        .upstream(|_| async { Response::builder().status(401).body(full("Unauthorized")).unwrap() })
        .await;
    stage.registered("c-1", address).await;
    let (code, message) = status(stage.ask(&stage.bearer, "/k8s/clusters/c-1/api", &[]).await).await;
    assert!(code == 502 && message.contains("does not accept the credential"), "{code} {message}");
    let proxied = "/k8s/clusters/c-1/api/v1/namespaces/n/services/s/proxy/login";
    assert_eq!(stage.ask(&stage.bearer, proxied, &[]).await.status(), 401);
}

#[tokio::test]
async fn a_cluster_acts_on_nothing_of_ours_with_what_it_answers() {
    let stage = Stage::new().await;
    let address = stage
        .upstream(|request| async move {
            let to = request.uri().query().unwrap_or_default().to_owned();
            let page = Response::builder()
                .status(307)
                .header("content-type", "text/html")
                .header("set-cookie", "R_SESS=theirs")
                .header("location", to);
            page.body(full("<script>alert(1)</script>")).unwrap()
        })
        .await;
    stage.registered("c-1", address).await;
    let ask = async |to: &str| {
        let answer = stage.ask(&stage.bearer, &format!("/k8s/clusters/c-1/page?{to}"), &[]).await;
        assert_eq!(answer.status(), 307);
        answer.headers().clone()
    };
    let headers: HeaderMap = ask("/api/v1").await;
    assert_eq!(headers["location"], "/k8s/clusters/c-1/api/v1");
    assert!(headers["content-security-policy"].to_str().unwrap().starts_with("sandbox;"));
    assert!(!headers.contains_key("set-cookie"));
    assert_eq!(ask(&format!("https://{address}/b")).await["location"], "/k8s/clusters/c-1/b");
    for elsewhere in ["https://evil.example/", "//evil.example/", "/../../../v3/tokens", "/%2e%2e/v3", "b"] {
        assert!(!ask(elsewhere).await.contains_key("location"), "{elsewhere}");
    }
}

#[tokio::test]
async fn bodies_of_any_size_pass_in_both_directions_without_being_gathered() {
    const PIECES: usize = 400;
    let stage = Stage::new().await;
    let address = stage
        .upstream(|request| async move {
            // Answers while it still reads.
            let body = request.into_body().map_err(std::io::Error::other);
            Response::new(body.boxed_unsync())
        })
        .await;
    stage.registered("c-1", address).await;
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = sent.clone();
    let pieces = futures_util::stream::iter((0..PIECES).map(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        Ok(Bytes::from(vec![b'x'; 64 * 1024]))
    }));
    let answer = stage.send(&stage.bearer, "POST", "/k8s/clusters/c-1/echo", &[], streamed(pieces)).await;
    assert_eq!(answer.status(), 200);
    // Nobody reads the answer yet, so the rest of the body waits at its source.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(sent.load(Ordering::SeqCst) < PIECES, "the whole body was taken in");
    let mut received = 0;
    let mut body = answer.into_body();
    while let Some(frame) = body.frame().await {
        received += frame.unwrap().into_data().unwrap().len();
    }
    assert_eq!(received, PIECES * 64 * 1024);
}

#[tokio::test]
async fn trailers_pass_and_are_held_to_the_rules() {
    let stage = Stage::new().await;
    let address = stage
        .upstream(|_| async {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().unwrap());
            trailers.insert("set-cookie", "R_SESS=theirs".parse().unwrap());
            let frames = [Ok(Frame::data(Bytes::from_static(b"x"))), Ok(Frame::trailers(trailers))];
            let body = StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync();
            Response::builder().header("trailer", "grpc-status, set-cookie").body(body).unwrap()
        })
        .await;
    stage.registered("c-1", address).await;
    let answer = stage.ask(&stage.bearer, "/k8s/clusters/c-1/x", &[("te", "trailers")]).await;
    let whole = answer.into_body().collect().await.unwrap();
    let trailers = whole.trailers().unwrap();
    assert_eq!(trailers["grpc-status"], "0");
    assert!(!trailers.contains_key("set-cookie"));
}

#[tokio::test]
async fn local_is_this_server_and_a_scope_cannot_be_left_there() {
    let stage = Stage::new().await;
    let ask = async |bearer: &str, path: &str| stage.ask(bearer, path, &[]).await;
    let tokens = "/k8s/clusters/local/apis/ext.cattle.io/v1/tokens?limit=1";
    assert_eq!(text(ask(&stage.bearer, tokens).await).await, "here: /apis/ext.cattle.io/v1/tokens?limit=1");
    assert_eq!(text(ask(&stage.bearer, "/k8s/clusters/local").await).await, "here: /");
    let scoped = stage.scene.token(&stage.admin, false, "local").await.bearer.expose().to_owned();
    let users = "/k8s/clusters/local/apis/management.cattle.io/v3/users";
    assert!(text(ask(&scoped, users).await).await.starts_with("here"));
    for path in
        ["ext.cattle.io/v1/tokens", "ext.cattle.io/v1/kubeconfigs/a", "management.cattle.io/v3/tokens"]
    {
        let answer = ask(&scoped, &format!("/k8s/clusters/local/apis/{path}")).await;
        assert_eq!(status(answer).await.0, 403, "{path}");
    }
    let plain = stage.bearer_of("u-plain", "user").await;
    assert_eq!(status(ask(&plain, tokens).await).await.0, 403);
}

#[tokio::test]
async fn the_operators_own_identity_stays_here() {
    let mut stage = Stage::new().await;
    let address = stage.upstream(|request| async move { echo(&request) }).await;
    stage.registered("c-1", address).await;
    stage.scene.peer = crate::authn::testing::system_admin();
    let (parts, _) = request("GET", "/k8s/clusters/c-1/api", &[], "").into_parts();
    let (state, peer) = (&stage.scene.state, &stage.scene.peer);
    let caller = authn::authenticate(state, &parts, peer).await.unwrap();
    let Ok(Way::There(admitted)) = stage.proxy.admit(state, &parts, &caller).await else { panic!() };
    let refused = stage.proxy.forward(state, admitted, parts, full(""), caller, peer).await.unwrap_err();
    assert!(matches!(refused, super::Failure::Identity(_)));
}

#[tokio::test]
async fn one_clusters_requests_leave_room_for_the_others() {
    let stage = Stage::new().await;
    let address = stage.upstream(|_| async { std::future::pending().await }).await;
    let good = stage.upstream(|_| async { Response::new(full("good")) }).await;
    stage.registered("c-1", address).await;
    stage.registered("c-2", good).await;
    let ask = || Box::pin(stage.ask(&stage.bearer, "/k8s/clusters/c-1/api", &[]));
    let mut asked: FuturesUnordered<_> = (0..220).map(|_| ask()).collect();
    for _ in 0..20 {
        assert_eq!(status(asked.next().await.unwrap()).await.0, 429);
    }
    assert_eq!(text(stage.ask(&stage.bearer, "/k8s/clusters/c-2/api", &[]).await).await, "good");
}

#[tokio::test]
async fn somebody_with_the_right_to_one_cluster_has_it_to_that_one() {
    let stage = Stage::new().await;
    let address = stage.upstream(|_| async { Response::new(full("good")) }).await;
    for id in ["c-1", "c-2"] {
        stage.registered(id, address).await;
    }
    let bearer = stage.bearer_of("u-plain", "user").await;
    let role = eartag_core::record::GlobalRoleRecord {
        rules: vec![eartag_core::rbac::Rule {
            resource_names: vec!["c-1".to_owned()],
            ..eartag_core::rbac::Rule::resources(&["get"], &["management.cattle.io"], &["clusters"])
        }],
        ..Default::default()
    };
    stage.scene.put(eartag_core::collections::GLOBAL_ROLES, "one", role.encode()).await;
    let binding = GlobalRoleBindingRecord {
        role: "one".to_owned(),
        user: "u-plain".to_owned(),
        user_uid: stage.scene.uid(eartag_core::collections::USERS, "u-plain"),
        ..GlobalRoleBindingRecord::default()
    };
    stage.scene.put(GLOBAL_ROLE_BINDINGS, "grb-one", binding.encode()).await;
    assert_eq!(text(stage.ask(&bearer, "/k8s/clusters/c-1/api", &[]).await).await, "good");
    assert_eq!(stage.ask(&bearer, "/k8s/clusters/c-2/api", &[]).await.status(), 403);
}
