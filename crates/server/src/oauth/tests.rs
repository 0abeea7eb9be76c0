//! Both doors, without sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use eartag_core::ClusterRecord;
use eartag_core::collections::{CLUSTERS, LEGACY_TOKENS};
use eartag_storage::Entry;
use serde_json::json;

use super::*;
use crate::authn::testing::{Answer, Scene};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

struct Stage {
    scene: Scene,
    ann: Entry,
    root: Entry,
}

impl Stage {
    async fn new() -> Stage {
        let scene = Scene::new().await;
        scene.put(CLUSTERS, "c-1", ClusterRecord::default().encode()).await;
        let ann = scene.user("user-ann", "ann", None, "user").await;
        let root = scene.user("user-root", "root", None, "admin").await;
        Stage { scene, ann, root }
    }

    async fn token(&self, owner: &Entry, cluster: &str) -> String {
        self.scene.token(owner, false, cluster).await.bearer.expose().to_owned()
    }

    async fn post(&self, path: &str, by: &str, token: &str) -> Answer {
        let bearer = format!("Bearer {by}");
        let mut headers = vec![FORM];
        if !by.is_empty() {
            headers.push(("authorization", &bearer));
        }
        let body: String =
            form_urlencoded::Serializer::new(String::new()).append_pair("token", token).finish();
        let answer = self.scene.send("POST", path, &headers, &body).await;
        assert_eq!(answer.headers["cache-control"], "no-store");
        answer
    }

    fn there(&self, token: &str) -> bool {
        let name = token.split(':').next().unwrap();
        self.scene.state.store.get(LEGACY_TOKENS, name.as_bytes()).is_some()
    }
}

#[tokio::test]
async fn introspection_says_whose_a_good_token_is_and_of_all_others_only_that_they_are_not() {
    let stage = Stage::new().await;
    let (by, token) = (stage.token(&stage.root, "").await, stage.token(&stage.ann, "").await);
    let good = stage.post(INTROSPECT, &by, &token).await;
    let members = [
        ("active", json!(true)),
        ("sub", json!("user-ann")),
        ("username", json!("ann")),
        ("token_type", json!("Bearer")),
    ];
    for (member, value) in members {
        assert_eq!(good.body[member], value);
    }
    assert!(good.body["exp"].is_u64() && good.body["jti"] == token.split(':').next().unwrap());
    let scoped = stage.token(&stage.root, "c-1").await;
    let wrong = format!("{token}x");
    for bad in ["x", "token-nobody:abc", "eyJhbGciOiJSUzI1NiJ9.e30.c2ln", &scoped, &wrong] {
        let answer = stage.post(INTROSPECT, &by, bad).await;
        assert_eq!((answer.status, &answer.body), (200, &json!({"active": false})), "{bad}");
    }
    // A cluster asks for itself.
    let own = stage.post(INTROSPECT, &scoped, &scoped).await;
    assert_eq!((&own.body["active"], &own.body["aud"]), (&json!(true), &json!("c-1")));
    assert_eq!(
        stage.post(INTROSPECT, &scoped, &token).await.body,
        json!({"active": false}),
        "no right to it"
    );
}

#[tokio::test]
async fn introspection_is_for_callers_with_the_right_and_not_for_cookies() {
    let stage = Stage::new().await;
    let (ann, root) = (stage.token(&stage.ann, "").await, stage.token(&stage.root, "").await);
    let error = |answer: &Answer| (answer.status, answer.body["error"].as_str().unwrap().to_owned());
    let is = |code: u16, error: &str| (code, error.to_owned());
    let challenge = |answer: &Answer| {
        let all = answer.headers.get_all("www-authenticate").iter();
        all.map(|value| value.to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let basic = "Basic realm=\"eartag\"";
    let right = stage.post(INTROSPECT, &ann, &root).await;
    assert_eq!(error(&right), is(403, "insufficient_scope"));
    assert_eq!(challenge(&right), ["Bearer realm=\"eartag\", error=\"insufficient_scope\""]);
    let rejected = stage.post(INTROSPECT, "token-nobody:abc", &root).await;
    assert_eq!(error(&rejected), is(401, "invalid_client"));
    assert_eq!(challenge(&rejected), ["Bearer realm=\"eartag\", error=\"invalid_token\"", basic]);
    let nobody = stage.post(INTROSPECT, "", &root).await;
    assert_eq!(error(&nobody), is(401, "invalid_client"));
    assert_eq!(
        challenge(&nobody),
        ["Bearer realm=\"eartag\"", basic],
        "of what was not presented nothing is said"
    );
    let cookie = format!("R_SESS={root}");
    let own = [
        FORM,
        ("cookie", cookie.as_str()),
        ("origin", "https://a.example"),
        ("sec-fetch-site", "same-origin"),
    ];
    let answer = stage.scene.send("POST", INTROSPECT, &own, "token=x").await;
    assert_eq!(error(&answer), is(401, "invalid_client"));
}

#[tokio::test]
async fn whoever_holds_a_token_ends_it_at_once() {
    let stage = Stage::new().await;
    for (owner, cluster) in [(&stage.ann, ""), (&stage.ann, "c-1")] {
        let token = stage.token(owner, cluster).await;
        let answer = stage.post(REVOKE, "", &token).await;
        assert!(answer.status == 200 && answer.body.is_null() && !stage.there(&token));
        assert_eq!(stage.post(REVOKE, "", &token).await.status, 200, "as if nothing had been there");
    }
    // A wrong secret ends nothing, whoever presents it.
    let (token, root) = (stage.token(&stage.ann, "").await, stage.token(&stage.root, "").await);
    let wrong = format!("{token}x");
    for by in ["", &root, &token] {
        assert_eq!(stage.post(REVOKE, by, &wrong).await.status, 200);
        assert!(stage.there(&token));
    }
}

#[tokio::test]
async fn a_token_that_is_named_is_ended_by_who_may_delete_it_and_by_nobody_else() {
    let stage = Stage::new().await;
    let token = stage.token(&stage.ann, "").await;
    let id = token.split(':').next().unwrap();
    let carl = stage.scene.user("user-carl", "carl", None, "user").await;
    let carls = stage.token(&carl, "").await;
    for (by, code) in [("", 200), ("token-nobody:abc", 401), (carls.as_str(), 200)] {
        assert_eq!(stage.post(REVOKE, by, id).await.status, code, "{by}");
        assert!(stage.there(&token));
    }
    let other = stage.token(&stage.ann, "").await;
    assert_eq!(stage.post(REVOKE, &token, other.split(':').next().unwrap()).await.status, 200);
    assert!(!stage.there(&other), "one's own other one");
    let root = stage.token(&stage.root, "").await;
    assert_eq!(stage.post(REVOKE, &root, id).await.status, 200);
    assert!(!stage.there(&token));
    assert_eq!(stage.post(REVOKE, &root, id).await.status, 200);
    // A credential for one cluster ends nothing but itself.
    let (scoped, other) = (stage.token(&stage.root, "c-1").await, stage.token(&stage.ann, "").await);
    assert_eq!(stage.post(REVOKE, &scoped, other.split(':').next().unwrap()).await.status, 401);
    assert!(stage.there(&other));
    // One of a disabled owner is not good, and an administrator ends it by its value.
    stage.scene.enable("user-ann", false).await;
    assert_eq!(stage.post(REVOKE, "", &other).await.status, 200);
    assert!(stage.there(&other));
    assert_eq!(stage.post(REVOKE, &root, &other).await.status, 200);
    assert!(!stage.there(&other));
}

#[tokio::test]
async fn forms_that_are_none_are_clear_errors() {
    let stage = Stage::new().await;
    let bearer = format!("Bearer {}", stage.token(&stage.root, "").await);
    let many = "a=b&".repeat(50) + "token=x";
    let huge = format!("token={}", "x".repeat(1 << 20));
    for path in [INTROSPECT, REVOKE] {
        for (kind, body, code) in [
            ("application/json", r#"{"token":"x"}"#, 400),
            ("", "token=x", 400),
            (FORM.1, "", 400),
            (FORM.1, "token=", 400),
            (FORM.1, "token=x&token=y", 400),
            (FORM.1, "token_type_hint=access_token", 400),
            (FORM.1, many.as_str(), 400),
            (FORM.1, "token=%ff%00%zz&token_type_hint=nonsense", 200),
            ("application/x-www-form-urlencoded; charset=utf-8", huge.as_str(), 413),
        ] {
            let headers = [("authorization", bearer.as_str()), ("content-type", kind)];
            let answer = stage.scene.send("POST", path, &headers, body).await;
            assert_eq!(answer.status, code, "{path} {kind}: {}", body.get(..40).unwrap_or(body));
            if matches!(code, 400 | 413) {
                assert_eq!(answer.body["error"], "invalid_request");
            }
        }
        let headers = [("authorization", bearer.as_str())];
        let get = stage.scene.send("GET", path, &headers, "").await;
        assert_eq!((get.status, &get.headers["allow"]), (405, &HeaderValue::from_static("POST")));
    }
}

#[tokio::test]
async fn an_answer_does_not_tell_whether_there_is_a_token_of_somebody_else() {
    let stage = Stage::new().await;
    let nobody = stage.scene.user("user-bob", "bob", None, "").await;
    let bob = stage.token(&nobody, "").await;
    let by_ann = format!("Bearer {}", stage.token(&stage.ann, "").await);
    let headers = [("authorization", by_ann.as_str()), ("content-type", "application/json")];
    let made = stage.scene.send("POST", "/apis/ext.cattle.io/v1/tokens", &headers, "{}").await;
    let name = made.body["metadata"]["name"].as_str().unwrap().to_owned();
    for there in [name.clone(), format!("ext/{name}"), "token-zzzzz".to_owned(), "ext/token-zzzzz".to_owned()]
    {
        assert_eq!(stage.post(REVOKE, &bob, &there).await.status, 200, "{there}");
    }
    let found = stage.scene.state.store.get(eartag_core::collections::EXT_TOKENS, name.as_bytes());
    assert!(found.is_some(), "and nothing was ended");
}

#[tokio::test]
async fn a_form_that_does_not_arrive_is_given_up() {
    let stage = Stage::new().await;
    let (parts, _) = crate::authn::testing::request("POST", REVOKE, &[FORM], "").into_parts();
    let never = futures_util::stream::pending::<std::io::Result<http_body::Frame<Bytes>>>();
    let request = Request::from_parts(parts, http_body_util::StreamBody::new(never));
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    let answer = Answer::read(handle(&stage.scene.state, request, &stage.scene.peer).await).await;
    assert_eq!((answer.status, &answer.body["error"]), (408, &json!("invalid_request")));
    assert!(begun.elapsed() >= FORM_TIME && begun.elapsed() < 2 * FORM_TIME, "{:?}", begun.elapsed());
}
