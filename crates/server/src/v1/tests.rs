//! The door from request to answer, over the real kind.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use eartag_apiserver::Tree;
use serde_json::json;

use super::*;
use crate::authn::testing::{Answer, Scene};

const TOKENS: &str = "/v1/ext.cattle.io.tokens";

/// A server, and the headers of two standard users.
async fn two() -> (Scene, String, String) {
    let scene = Scene::new().await;
    let mut bearers = Vec::new();
    for name in ["ann", "bob"] {
        let owner = scene.user(&format!("user-{name}"), name, None, "user").await;
        bearers.push(format!("Bearer {}", scene.token(&owner, true, "").await.bearer.expose()));
    }
    let bob = bearers.pop().unwrap();
    (scene, bearers.pop().unwrap(), bob)
}

async fn send(scene: &Scene, bearer: &str, method: &str, path: &str, body: Tree) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    scene.send(method, path, &[("authorization", bearer)], &body).await
}

async fn make(scene: &Scene, bearer: &str) -> Tree {
    let body =
        json!({"type": "ext.cattle.io.token", "metadata": {}, "spec": {"description": "ci", "ttl": 60_000}});
    let made = send(scene, bearer, "POST", TOKENS, body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    made.body
}

#[tokio::test]
async fn a_token_is_made_read_changed_and_deleted_in_the_shape_of_the_dashboard() {
    let (scene, ann, _) = two().await;
    let made = make(&scene, &ann).await;
    let name = made["id"].as_str().unwrap();
    let bearer = format!("Bearer {}", made["status"]["bearerToken"].as_str().unwrap());
    assert_eq!(scene.send("GET", TOKENS, &[("authorization", &bearer)], "").await.status, 200);

    let path = format!("{TOKENS}/{name}");
    let read = send(&scene, &ann, "GET", &path, Tree::Null).await;
    let body = &read.body;
    assert_eq!((read.status, &body["type"], &body["id"]), (200, &json!("ext.cattle.io.token"), &json!(name)));
    assert_eq!((&body["apiVersion"], &body["kind"]), (&json!("ext.cattle.io/v1"), &json!("Token")));
    let url = format!("https://a.example{path}");
    let view = format!("https://a.example/apis/ext.cattle.io/v1/tokens/{name}");
    assert_eq!(body["links"], json!({"self": url, "update": url, "remove": url, "view": view}));
    let metadata = &body["metadata"];
    assert_eq!(
        metadata["state"],
        json!({"error": false, "message": "", "name": "active", "transitioning": false})
    );
    assert_eq!((&metadata["relationships"], &metadata["fields"][0]), (&Tree::Null, &json!(name)));
    assert_eq!(metadata["fields"][3], "60s");
    for secret in ["value", "bearerToken", "hash"] {
        assert!(body["status"].get(secret).is_none_or(|value| value == ""), "{secret}");
    }

    let mut wanted = read.body.clone();
    wanted["spec"]["description"] = "changed".into();
    let changed = send(&scene, &ann, "PUT", &path, wanted.clone()).await;
    assert_eq!(
        (changed.status, &changed.body["spec"]["description"]),
        (200, &json!("changed")),
        "{}",
        changed.body
    );
    let stale = send(&scene, &ann, "PUT", &path, wanted).await;
    assert_eq!(
        (stale.status, &stale.body["code"], &stale.body["type"]),
        (409, &json!("Conflict"), &json!("error"))
    );

    assert_eq!(send(&scene, &ann, "DELETE", &path, Tree::Null).await.status, 204);
    let gone = send(&scene, &ann, "GET", &path, Tree::Null).await;
    assert_eq!(
        gone.body,
        json!({
            "type": "error", "links": {}, "code": "NotFound", "status": 404,
            "message": format!("tokens.ext.cattle.io \"{name}\" not found"),
        })
    );
}

#[tokio::test]
async fn everybody_lists_their_own_in_pages_too() {
    let (scene, ann, bob) = two().await;
    for _ in 0..5 {
        make(&scene, &ann).await;
    }
    make(&scene, &bob).await;
    let all = send(&scene, &ann, "GET", TOKENS, Tree::Null).await;
    let body = &all.body;
    assert_eq!((&body["type"], &body["resourceType"]), (&json!("collection"), &json!("ext.cattle.io.token")));
    assert_eq!((&body["count"], body["data"].as_array().unwrap().len()), (&json!(5), 5));
    assert_eq!(body["links"], json!({"self": format!("https://a.example{TOKENS}")}));
    assert!(body["revision"].as_str().unwrap().parse::<u64>().unwrap() > 0);
    assert_eq!(body["createTypes"]["ext.cattle.io.token"], format!("https://a.example{TOKENS}"));
    assert!(!body.to_string().contains("\"bearerToken\":\"ext/"));

    let (mut seen, mut path) = (Vec::new(), format!("{TOKENS}?limit=2"));
    loop {
        let page = send(&scene, &ann, "GET", &path, Tree::Null).await;
        let data = page.body["data"].as_array().unwrap();
        assert!(data.len() <= 2);
        seen.extend(data.iter().map(|token| token["id"].clone()));
        let Some(next) = page.body["links"].get("next") else { break };
        assert!(page.body["continue"].is_string());
        path = next.as_str().unwrap().strip_prefix("https://a.example").unwrap().to_owned();
    }
    let ids: Vec<Tree> = body["data"].as_array().unwrap().iter().map(|token| token["id"].clone()).collect();
    assert_eq!(seen, ids);
    let none = send(&scene, &bob, "GET", &format!("{TOKENS}?labelSelector=a%3Db"), Tree::Null).await;
    assert_eq!((&none.body["data"], &none.body["count"]), (&json!([]), &json!(0)));
}

#[tokio::test]
async fn nothing_of_others_is_seen_or_changed() {
    let (scene, ann, bob) = two().await;
    let path = format!("{TOKENS}/{}", make(&scene, &ann).await["id"].as_str().unwrap());
    for (method, body) in [("GET", Tree::Null), ("PUT", json!({"spec": {}})), ("DELETE", Tree::Null)] {
        assert_eq!(send(&scene, &bob, method, &path, body).await.status, 404, "{method}");
    }
    assert_eq!(send(&scene, &ann, "GET", &path, Tree::Null).await.status, 200);
    let twice = path.replace("tokens/", "tokens//");
    assert_eq!(send(&scene, &ann, "GET", &twice, Tree::Null).await.status, 404, "another path");
    let foreign = json!({"spec": {"userID": "user-bob"}});
    let made = send(&scene, &ann, "POST", TOKENS, foreign).await;
    assert_eq!((made.status, &made.body["code"]), (403, &json!("PermissionDenied")));
}

#[tokio::test]
async fn odd_requests_get_clear_errors_and_change_nothing() {
    let (scene, ann, _) = two().await;
    let nobody = scene.send("GET", TOKENS, &[], "").await;
    assert_eq!((nobody.status, &nobody.body["status"]), (401, &json!("401")));
    for (method, path, body, status, code) in [
        ("GET", "/nothing", "", 404, "NotFound"),
        ("GET", "/a/b", "", 404, "NotFound"),
        ("PATCH", "/x", "{}", 405, "MethodNotAllow"),
        ("DELETE", "", "", 405, "MethodNotAllow"),
        ("POST", "/x", "{}", 405, "MethodNotAllow"),
        ("PUT", "", "{}", 405, "MethodNotAllow"),
        ("PUT", "/", "{}", 405, "MethodNotAllow"),
        ("POST", "", "[", 422, "InvalidBodyContent"),
        ("POST", "", "[]", 422, "InvalidBodyContent"),
        ("POST", "", r#"{"spec": {"ttl": "x"}}"#, 400, "BadRequest"),
        ("GET", "?continue=%25", "", 400, "BadRequest"),
        ("GET", "?labelSelector=%3D%3D", "", 400, "BadRequest"),
    ] {
        let answer = scene.send(method, &format!("{TOKENS}{path}"), &[("authorization", &ann)], body).await;
        assert_eq!((answer.error().0, answer.error().1), (status, code), "{method} {path} {}", answer.body);
        assert_eq!(answer.body["type"], "error");
    }
    let deep = format!("{{\"spec\":{}", "[".repeat(10_000));
    assert_eq!(scene.send("POST", TOKENS, &[("authorization", &ann)], &deep).await.status, 422);
    let huge = " ".repeat(MAX_BODY + 1);
    assert_eq!(scene.send("POST", TOKENS, &[("authorization", &ann)], &huge).await.status, 413);
    assert_eq!(send(&scene, &ann, "GET", TOKENS, Tree::Null).await.body["count"], 0);
}

#[tokio::test]
async fn a_cookie_needs_our_origin_to_change_something() {
    let (scene, ann, _) = two().await;
    let cookie = format!("R_SESS={}", ann.strip_prefix("Bearer ").unwrap());
    let foreign = scene.send("POST", TOKENS, &[("cookie", &cookie)], "{}").await;
    assert_eq!(foreign.error(), (422, "InvalidCSRFToken", "Invalid CSRF token"));
    let own = [("cookie", cookie.as_str()), ("origin", "https://a.example")];
    assert_eq!(scene.send("POST", TOKENS, &own, "{}").await.status, 201);
}

#[tokio::test]
async fn the_door_is_closed_while_the_feature_is_off() {
    let (scene, ann, _) = two().await;
    let off = eartag_core::FeatureRecord { value: Some(false), locked: None };
    scene.put(eartag_core::collections::FEATURES, "ext-tokens", off.encode()).await;
    assert_eq!(send(&scene, &ann, "GET", TOKENS, Tree::Null).await.error().1, "NotFound");
}

#[tokio::test]
async fn the_dashboard_reports_activity_by_put_and_learns_when_the_session_ends() {
    let scene = Scene::new().await;
    let owner = scene.user("user-ann", "ann", None, "user").await;
    let session = scene.token(&owner, true, "").await;
    let bob = scene.user("user-bob", "bob", None, "user").await;
    let bob = format!("Bearer {}", scene.token(&bob, true, "").await.bearer.expose());
    let ann = format!("Bearer {}", session.bearer.expose());
    let path = format!("/v1/ext.cattle.io.useractivities/{}", session.name);
    let read = send(&scene, &ann, "GET", &path, Tree::Null).await;
    assert_eq!((read.status, &read.body["type"]), (200, &json!("ext.cattle.io.useractivity")));
    assert_eq!((&read.body["id"], &read.body["status"]["expiresAt"]), (&json!(session.name), &json!("")));
    let url = format!("https://a.example{path}");
    let view = format!("https://a.example/apis/ext.cattle.io/v1/useractivities/{}", session.name);
    assert_eq!(read.body["links"], json!({"self": url, "update": url, "view": view}));
    // As it does: what it read, with a spec of its own.
    let mut report = read.body.clone();
    report["spec"] = json!({"tokenId": session.name, "seenAt": "2027-01-15T08:00:00.000Z"});
    let put = send(&scene, &ann, "PUT", &path, report.clone()).await;
    assert_eq!(
        (put.status, &put.body["spec"]["seenAt"]),
        (200, &json!("2027-01-15T08:00:00Z")),
        "{}",
        put.body
    );
    assert_eq!(put.body["status"]["expiresAt"], "2027-01-16T00:00:00Z");
    let posted = json!({"type": "ext.cattle.io.useractivity", "metadata": {"name": session.name}});
    assert_eq!(send(&scene, &ann, "POST", "/v1/ext.cattle.io.useractivities", posted).await.status, 201);
    let foreign = send(&scene, &bob, "PUT", &path, report).await;
    assert_eq!((foreign.status, &foreign.body["code"]), (404, &json!("NotFound")));
    assert_eq!(send(&scene, &bob, "GET", &path, Tree::Null).await.status, 404);
    let key = scene.token(&owner, false, "").await;
    let key = format!("/v1/ext.cattle.io.useractivities/{}", key.name);
    let refused = send(&scene, &ann, "GET", &key, Tree::Null).await;
    assert_eq!((refused.status, &refused.body["code"]), (403, &json!("PermissionDenied")));
    assert!(refused.body["message"].as_str().unwrap().ends_with("not a session token"));
    for (method, path) in [("GET", "/v1/ext.cattle.io.useractivities"), ("DELETE", path.as_str())] {
        assert_eq!(send(&scene, &ann, method, path, Tree::Null).await.status, 405, "{method} {path}");
    }
}
