//! `/v3` from request to answer, over the real kinds.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use eartag_core::collections::{PASSWORDS, USERS};
use serde_json::json;

use super::*;
use crate::authn::testing::{Answer, PASSWORD, Scene, hash, system_admin};

async fn admin() -> Scene {
    let mut scene = Scene::new().await;
    scene.peer = system_admin();
    scene
}

/// A server, and the header of a standard user `user-ann`.
async fn ann() -> (Scene, String) {
    let scene = Scene::new().await;
    let owner = scene.user("user-ann", "ann", Some(hash()), "user").await;
    let token = scene.token(&owner, true, "").await;
    (scene, format!("Bearer {}", token.bearer.expose()))
}

async fn create(scene: &Scene, body: Tree) -> Answer {
    scene.send("POST", "/v3/users", &[], &body.to_string()).await
}

#[tokio::test]
async fn without_credentials_the_filter_answers() {
    let scene = Scene::new().await;
    let anonymous = scene.send("GET", "/v3", &[], "").await;
    assert_eq!(anonymous.status, 401);
    assert_eq!(anonymous.body, error::must_authenticate());
    let bad = scene.send("GET", "/v3/nothing", &[("authorization", "Bearer a:b")], "").await;
    assert_eq!((bad.status, bad.body), (401, error::must_authenticate()));
}

#[tokio::test]
async fn every_answer_says_where_the_schemas_are() {
    let scene = admin().await;
    for path in ["/v3", "/v3/schemas", "/v3/users", "/v3/users/absent", "/v3/nothing"] {
        let answer = scene.send("GET", path, &[], "").await;
        assert_eq!(answer.headers["x-api-schemas"], "https://a.example/v3/schemas", "{path}");
        assert_eq!(answer.headers["expires"], "Wed 24 Feb 1982 18:42:00 GMT");
        assert!(!answer.headers.contains_key("set-cookie"));
    }
    let root = scene.send("GET", "/v3", &[], "").await;
    assert_eq!(root.body["links"]["users"], "https://a.example/v3/users");
    let schemas = scene.send("GET", "/v3/schemas", &[], "").await;
    assert!(schemas.body["data"].as_array().unwrap().iter().any(|s| s["id"] == "user"));
}

#[tokio::test]
async fn a_browser_gets_a_csrf_token_once() {
    let scene = admin().await;
    let agent = ("user-agent", "Mozilla/5.0");
    let json = ("accept", "application/json");
    let first = scene.send("GET", "/v3", &[agent, json], "").await;
    assert!(first.headers["set-cookie"].to_str().unwrap().starts_with("CSRF="));
    let again = scene.send("GET", "/v3", &[agent, json, ("cookie", "CSRF=abc")], "").await;
    assert!(!again.headers.contains_key("set-cookie"));
}

#[tokio::test]
async fn a_user_is_created_read_changed_and_deleted() {
    let scene = admin().await;
    let body = json!({"username": "bob", "name": "Bob", "password": PASSWORD, "enabled": true, "labels": {"a": "b"}});
    let created = create(&scene, body).await;
    assert_eq!(created.status, 201, "{}", created.body);
    let id = created.body["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("u-"));
    assert_eq!((&created.body["name"], &created.body["username"]), (&json!("Bob"), &json!("bob")));
    assert_eq!(created.body["type"], "user");
    assert!(created.body.get("password").is_none());
    let url = format!("https://a.example/v3/users/{id}");
    assert_eq!(created.body["links"], json!({"self": url, "update": url, "remove": url}));
    let actions = ["refreshauthprovideraccess", "setpassword"];
    let actions: Map =
        actions.iter().map(|a| ((*a).to_owned(), format!("{url}?action={a}").into())).collect();
    assert_eq!(created.body["actions"], Tree::Object(actions));
    let refresh = format!("/v3/users/{id}?action=refreshauthprovideraccess");
    assert_eq!(scene.send("POST", &refresh, &[], "").await.status, 200);
    assert_eq!(created.body["createdTS"], 1_800_000_000_000_i64);

    let path = format!("/v3/users/{id}");
    let read = scene.send("GET", &path, &[], "").await;
    assert_eq!((read.status, &read.body), (200, &created.body));
    let list = scene.send("GET", "/v3/users?username=bob", &[], "").await;
    assert_eq!(list.body["data"], json!([created.body]));
    assert_eq!(list.body["createTypes"], json!({"user": "https://a.example/v3/users"}));

    let changed =
        scene.send("PUT", &path, &[], r#"{"name": "Robert", "labels": {"c": "d"}, "links": null}"#).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_eq!((&changed.body["name"], &changed.body["username"]), (&json!("Robert"), &json!("bob")));
    assert_eq!(changed.body["labels"], json!({"c": "d"}));
    let renamed = scene.send("PUT", &path, &[], r#"{"username": "robert"}"#).await;
    assert_eq!(renamed.status, 422);
    assert!(renamed.error().2.contains("field is immutable"), "{}", renamed.body);

    assert!(scene.state.store.get(PASSWORDS, id.as_bytes()).is_some());
    assert_eq!(scene.send("DELETE", &path, &[], "").await.status, 200);
    assert!(scene.state.store.get(PASSWORDS, id.as_bytes()).is_none());
    let gone = scene.send("GET", &path, &[], "").await;
    assert_eq!(
        gone.error(),
        (404, "NotFound", format!("users.management.cattle.io \"{id}\" not found").as_str())
    );
}

#[tokio::test]
async fn a_collection_offers_its_creation_to_those_who_may() {
    let scene = Scene::new().await;
    let ann = scene.user("user-ann", "ann", None, "user").await;
    let root = scene.user("user-root", "root", None, "admin").await;
    for (who, may) in [(&ann, false), (&root, true)] {
        let bearer = format!("Bearer {}", scene.token(who, true, "").await.bearer.expose());
        let offers = async |plural: &str| {
            let list = scene.send("GET", &format!("/v3/{plural}"), &[("authorization", &bearer)], "").await;
            assert_eq!(list.status, 200, "{plural}: {}", list.body);
            list.body.get("createTypes").is_some()
        };
        assert!(offers("tokens").await, "everybody makes tokens of their own");
        assert_eq!((offers("users").await, offers("clusters").await), (may, may));
        assert!(!offers("settings").await && !offers("features").await);
    }
}

#[tokio::test]
async fn a_created_user_can_log_in() {
    let scene = admin().await;
    assert_eq!(create(&scene, json!({"username": "bob", "password": PASSWORD})).await.status, 201);
    let login = json!({"type": "localProvider", "username": "bob", "password": PASSWORD}).to_string();
    assert_eq!(scene.send("POST", "/v1-public/login", &[], &login).await.status, 201);
}

#[tokio::test]
async fn a_user_is_not_created_with_a_bad_password_or_a_taken_name() {
    let scene = admin().await;
    let short = create(&scene, json!({"username": "bob", "password": "short"})).await;
    assert_eq!(short.error(), (422, "InvalidBodyContent", "Password must be at least 12 characters"));
    let same = create(&scene, json!({"username": "bob-the-builder", "password": "bob-the-builder"})).await;
    assert_eq!(same.error().2, "Password cannot be the same as username");
    assert_eq!(create(&scene, json!({"password": PASSWORD})).await.error().1, "MissingRequired");
    assert_eq!(create(&scene, json!({"username": 7})).await.error().1, "InvalidFormat");
    assert_eq!(scene.state.store.count(USERS, &eartag_storage::Scope::All), 0);
    assert_eq!(create(&scene, json!({"username": "bob"})).await.status, 201);
    let taken = create(&scene, json!({"username": "bob"})).await;
    assert_eq!(taken.error(), (422, "NotUnique", "Username is already in use."));
    assert_eq!(taken.body["fieldName"], "username");
}

#[tokio::test]
async fn a_standard_user_sees_only_themselves() {
    let (scene, bearer) = ann().await;
    scene.user("user-bob", "bob", None, "user").await;
    let headers = [("authorization", bearer.as_str())];
    let list = scene.send("GET", "/v3/users?me=true", &headers, "").await;
    assert_eq!(list.status, 200, "{}", list.body);
    let ids: Vec<_> = list.body["data"].as_array().unwrap().iter().map(|u| u["id"].clone()).collect();
    assert_eq!(ids, ["user-ann"]);
    assert_eq!(list.body["data"][0]["me"], true);
    let other = scene.send("GET", "/v3/users/user-bob", &headers, "").await;
    assert_eq!((other.error().0, other.error().1), (403, "PermissionDenied"));
    let created = scene.send("POST", "/v3/users", &headers, "{}").await;
    assert_eq!((created.error().0, created.error().1), (403, "PermissionDenied"));
}

#[tokio::test]
async fn ones_own_password_is_changed_by_whoever_knows_it() {
    let (scene, bearer) = ann().await;
    let headers = [("authorization", bearer.as_str())];
    let change = async |current: &str, new: &str| {
        let body = json!({"currentPassword": current, "newPassword": new}).to_string();
        let answer = scene.send("POST", "/v3/users?action=changepassword", &headers, &body).await;
        (answer.status, answer.error().2.to_owned())
    };
    let refused = |text: &str| (422, text.to_owned());
    assert_eq!(change("", "new horse battery").await, refused("must specify current password"));
    assert_eq!(change(PASSWORD, "").await, refused("invalid new password"));
    assert_eq!(change("wrong", "new horse battery").await, refused("invalid current password"));
    assert_eq!(change(PASSWORD, "short").await, refused("Password must be at least 12 characters"));
    assert_eq!(
        change(PASSWORD, PASSWORD).await,
        refused("The new password must not be the same as the current password")
    );
    assert_eq!(change(PASSWORD, "new horse battery").await, (200, String::new()));
    assert_eq!(change(PASSWORD, "newer horse battery").await, refused("invalid current password"));
    // Tokens survive a change of the password.
    assert_eq!(scene.send("GET", "/v3", &headers, "").await.status, 200);
}

#[tokio::test]
async fn an_administrator_sets_passwords_and_nobody_else() {
    let (mut scene, bearer) = ann().await;
    let path = "/v3/users/user-ann?action=setpassword";
    let body = json!({"newPassword": "another horse battery"}).to_string();
    let own = scene.send("POST", path, &[("authorization", &bearer)], &body).await;
    assert_eq!((own.error().0, own.error().1), (403, "PermissionDenied"));
    scene.peer = system_admin();
    let set = scene.send("POST", path, &[], &body).await;
    assert_eq!((set.status, &set.body["id"]), (200, &json!("user-ann")));
    assert_eq!(scene.send("POST", path, &[], "{}").await.error().2, "invalid new password");
    scene.user("user-ext", "", None, "").await;
    let external = scene.send("POST", "/v3/users/user-ext?action=setpassword", &[], &body).await;
    assert_eq!(external.error(), (500, "ServerError", "Cannot set password of non-local user"));
    let login =
        json!({"type": "localProvider", "username": "ann", "password": "another horse battery"}).to_string();
    assert_eq!(scene.send("POST", "/v1-public/login", &[], &login).await.status, 201);
}

#[tokio::test]
async fn nobody_deletes_or_deactivates_themselves() {
    let scene = Scene::new().await;
    let root = scene.user("user-root", "root", None, "admin").await;
    let bearer = format!("Bearer {}", scene.token(&root, true, "").await.bearer.expose());
    let headers = [("authorization", bearer.as_str())];
    let deleted = scene.send("DELETE", "/v3/users/user-root", &headers, "").await;
    assert_eq!(deleted.error(), (422, "InvalidAction", "You cannot delete yourself"));
    let off = scene.send("PUT", "/v3/users/user-root", &headers, r#"{"enabled": false}"#).await;
    assert_eq!(off.error(), (422, "InvalidAction", "You cannot deactivate yourself"));
}

#[tokio::test]
async fn bindings_are_made_and_read_with_references() {
    let scene = admin().await;
    scene.user("user-ann", "ann", None, "").await;
    let body = json!({"globalRoleId": "user", "userId": "user-ann"}).to_string();
    let created = scene.send("POST", "/v3/globalRoleBindings", &[], &body).await;
    assert_eq!(created.status, 201, "{}", created.body);
    assert_eq!(
        (&created.body["globalRoleId"], &created.body["userId"]),
        (&json!("user"), &json!("user-ann"))
    );
    let list = scene.send("GET", "/v3/globalrolebindings?userId=user-ann", &[], "").await;
    assert_eq!(list.body["data"].as_array().unwrap().len(), 1);
    let missing = scene.send("POST", "/v3/globalrolebindings", &[], "{}").await;
    assert_eq!((missing.error().1, &missing.body["fieldName"]), ("MissingRequired", &json!("globalRoleId")));
    let id = created.body["id"].as_str().unwrap();
    assert_eq!(scene.send("DELETE", &format!("/v3/globalrolebindings/{id}"), &[], "").await.status, 200);
}

#[tokio::test]
async fn pages_follow_each_other() {
    let scene = admin().await;
    for i in 0..5 {
        scene.user(&format!("user-{i}"), &format!("name{i}"), None, "").await;
    }
    let mut seen = Vec::new();
    let mut path = "/v3/users?limit=2".to_owned();
    loop {
        let page = scene.send("GET", &path, &[], "").await;
        seen.extend(
            page.body["data"].as_array().unwrap().iter().map(|u| u["id"].as_str().unwrap().to_owned()),
        );
        match page.body["pagination"]["next"].as_str() {
            Some(next) => path = next.strip_prefix("https://a.example").unwrap().to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, ["user-0", "user-1", "user-2", "user-3", "user-4"]);
}

#[tokio::test]
async fn odd_requests_get_clear_errors() {
    let scene = admin().await;
    for (method, path, body, status, code) in [
        ("GET", "/v3/nothing", "", 404, "NotFound"),
        ("PATCH", "/v3/users", "{}", 405, "MethodNotAllow"),
        ("POST", "/v3/users/x", "{}", 405, "MethodNotAllow"),
        ("POST", "/v3/users?action=fly", "{}", 422, "InvalidAction"),
        ("POST", "/v3/users/x?action=fly", "{}", 422, "InvalidAction"),
        ("POST", "/v3/users", "[]", 422, "InvalidBodyContent"),
        ("POST", "/v3/users/absent?_method=DELETE", "", 404, "NotFound"),
        ("POST", "/v3", "{}", 405, "MethodNotAllow"),
        ("GET", "/v3/users?order=up", "", 422, "InvalidOption"),
    ] {
        let answer = scene.send(method, path, &[], body).await;
        assert_eq!((answer.error().0, answer.error().1), (status, code), "{method} {path}");
    }
}

#[tokio::test]
async fn a_cookie_needs_our_origin_to_change_something() {
    let scene = Scene::new().await;
    let root = scene.user("user-root", "root", None, "admin").await;
    let cookie = format!("R_SESS={}", scene.token(&root, true, "").await.bearer.expose());
    let foreign = scene.send("POST", "/v3/users", &[("cookie", &cookie)], r#"{"username": "x"}"#).await;
    assert_eq!(foreign.error(), (422, "InvalidCSRFToken", "Invalid CSRF token"));
    let own = [("cookie", cookie.as_str()), ("origin", "https://a.example")];
    assert_eq!(scene.send("POST", "/v3/users", &own, r#"{"username": "x"}"#).await.status, 201);
}
