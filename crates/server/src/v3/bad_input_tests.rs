//! What no client should send: the reference's code and shape, and nothing changed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use eartag_core::collections::{LEGACY_TOKENS, USERS};
use eartag_storage::Scope;
use serde_json::json;

use super::request::MAX_BODY;
use crate::authn::testing::{Scene, system_admin};

/// A server, and the bearer of an administrator.
async fn root() -> (Scene, String) {
    let scene = Scene::new().await;
    let root = scene.user("user-root", "root", None, "admin").await;
    let bearer = scene.token(&root, true, "").await.bearer.expose().to_owned();
    (scene, bearer)
}

fn counts(scene: &Scene) -> (u64, u64) {
    (scene.state.store.count(USERS, &Scope::All), scene.state.store.count(LEGACY_TOKENS, &Scope::All))
}

#[tokio::test]
async fn bodies_that_are_none_are_named_and_change_nothing() {
    let (scene, bearer) = root().await;
    let bearer = format!("Bearer {bearer}");
    let before = counts(&scene);
    let deep = format!("{{\"labels\":{}", "{\"a\":".repeat(5000));
    let many = format!("[{}1]", "1,".repeat(400_000));
    for (kind, body, status, code) in [
        ("application/json", "{", 422, "InvalidBodyContent"),
        ("application/json", "[]", 422, "InvalidBodyContent"),
        ("application/json", "\"name\"", 422, "InvalidBodyContent"),
        ("application/json", "{\"username\": \"a\"} {}", 422, "InvalidBodyContent"),
        ("application/json", "{\"username\": \"\u{0}\"}", 422, "InvalidBodyContent"),
        ("application/json", &deep, 422, "InvalidBodyContent"),
        ("application/json", &many, 422, "InvalidBodyContent"),
        ("application/yaml", "a: [", 422, "InvalidBodyContent"),
        ("application/yaml", "- a", 422, "InvalidBodyContent"),
        ("application/xml", "<user/>", 422, "InvalidBodyContent"),
        ("multipart/form-data; boundary=x", "--x\r\n\r\n--x--", 422, "InvalidBodyContent"),
        ("application/x-www-form-urlencoded", "username=a", 422, "InvalidBodyContent"),
        ("text/plain", "username", 422, "InvalidBodyContent"),
        ("application/json", "{\"username\": 7}", 422, "InvalidFormat"),
        ("application/json", "{\"enabled\": \"yes\"}", 422, "InvalidFormat"),
        ("application/json", "{\"principalIds\": {}}", 422, "InvalidFormat"),
        ("application/json", "{\"labels\": {\"a\": 1}}", 422, "InvalidFormat"),
        ("application/json", "{\"labels\": {\"a b\": \"c\"}}", 422, "InvalidFormat"),
    ] {
        let headers = [("authorization", bearer.as_str()), ("content-type", kind)];
        let answer = scene.send("POST", "/v3/users", &headers, body).await;
        let shown = body.chars().take(40).collect::<String>();
        assert_eq!((answer.error().0, answer.error().1), (status, code), "{kind} {shown} {}", answer.body);
        assert_eq!((&answer.body["type"], &answer.body["baseType"]), (&json!("error"), &json!("error")));
    }
    let huge = " ".repeat(MAX_BODY + 1);
    for path in ["/v3/users", "/v3/tokens", "/v3/users?action=changepassword"] {
        let answer = scene.send("POST", path, &[("authorization", &bearer)], &huge).await;
        assert_eq!((answer.status, answer.error().1), (413, "RequestEntityTooLarge"), "{path}");
    }
    assert_eq!(counts(&scene), before);
}

#[tokio::test]
async fn bodies_may_be_yaml_and_json_that_curl_calls_a_form() {
    let (scene, bearer) = root().await;
    let bearer = format!("Bearer {bearer}");
    for (kind, body) in [
        ("application/yaml", "username: a\nenabled: false\n"),
        ("application/x-www-form-urlencoded", "{\"username\": \"b\"}"),
        ("", "{\"username\": \"c\"}"),
    ] {
        let headers = [("authorization", bearer.as_str()), ("content-type", kind)];
        let made = scene.send("POST", "/v3/users", &headers, body).await;
        assert_eq!(made.status, 201, "{kind} {}", made.body);
    }
}

#[tokio::test]
async fn a_form_of_the_view_makes_and_changes_what_its_fields_say() {
    let (scene, bearer) = root().await;
    let cookie = format!("R_SESS={bearer}; CSRF=abc");
    let headers = [
        ("cookie", cookie.as_str()),
        ("origin", "https://a.example"),
        ("content-type", "application/x-www-form-urlencoded"),
        ("accept", "application/json"),
    ];
    let form = "username=dora&name=D&enabled=true&labels=a%3Db&mustChangePassword=&CSRF=abc";
    let made = scene.send("POST", "/v3/users?_format=html", &headers, form).await;
    assert!(made.status < 400, "{:?}", made.body);
    let list = scene.send("GET", "/v3/users?username=dora", &headers, "").await;
    let dora = &list.body["data"][0];
    assert_eq!(
        (&dora["enabled"], &dora["labels"]["a"], &dora["name"]),
        (&json!(true), &json!("b"), &json!("D"))
    );
    let path = format!("/v3/users/{}", dora["id"].as_str().unwrap());
    let put = format!("{path}?_format=html&_method=PUT");
    assert!(scene.send("POST", &put, &headers, "_was.name=D&name=&enabled=false").await.status < 400);
    let changed = scene.send("GET", &path, &headers, "").await;
    assert_eq!((&changed.body["name"], &changed.body["enabled"]), (&json!(""), &json!(false)));
    let delete = format!("{path}?_format=html&_method=DELETE");
    assert!(scene.send("POST", &delete, &headers, "CSRF=abc").await.status < 400);
    assert_eq!(scene.send("GET", &path, &headers, "").await.status, 404);
}

#[tokio::test]
async fn unknown_methods_actions_and_paths_have_their_codes() {
    let mut scene = Scene::new().await;
    scene.peer = system_admin();
    for (method, path, status, code) in [
        ("POST", "/v3/tokens?action=fly", 422, "InvalidAction"),
        ("POST", "/v3/settings?action=fly", 422, "InvalidAction"),
        ("POST", "/v3/settings", 405, "MethodNotAllow"),
        ("POST", "/v3/settings/cacerts", 405, "MethodNotAllow"),
        ("POST", "/v3/settings/cacerts?action=setpassword", 422, "InvalidAction"),
        ("DELETE", "/v3/settings/cacerts", 405, "MethodNotAllow"),
        ("POST", "/v3/clusters/local?action=fly", 422, "InvalidAction"),
        ("DELETE", "/v3/users", 405, "MethodNotAllow"),
        ("PATCH", "/v3/tokens/x", 405, "MethodNotAllow"),
        ("OPTIONS", "/v3/tokens", 405, "MethodNotAllow"),
        ("POST", "/v3/users?_method=PATCH", 422, "InvalidOption"),
        ("POST", "/v3/schemas", 405, "MethodNotAllow"),
        ("GET", "/v3/schemas/nothing", 404, "NotFound"),
        ("GET", "/v3/tokens/a/b/c", 404, "NotFound"),
        ("GET", "/v3/tokens/..%2f..%2fx", 404, "NotFound"),
        ("GET", "/v3/%75sers", 404, "NotFound"),
        ("GET", "/v3/tokens?order=sideways", 422, "InvalidOption"),
        ("DELETE", "/v3/globalrolebindings/absent", 404, "NotFound"),
    ] {
        let answer = scene.send(method, path, &[], "{}").await;
        assert_eq!((answer.error().0, answer.error().1), (status, code), "{method} {path} {}", answer.body);
    }
}

#[tokio::test]
async fn queries_of_any_shape_are_survived() {
    let mut scene = Scene::new().await;
    scene.peer = system_admin();
    let many = "a=b&".repeat(5000);
    let long = format!("marker={}", "x".repeat(10_000));
    for query in [
        "%%%",
        "=",
        "&&&",
        "limit=99999999999999999999",
        "sort=&order=",
        "marker=%00",
        "name=%ff",
        &many,
        &long,
    ] {
        let answer = scene.send("GET", &format!("/v3/settings?{query}"), &[], "").await;
        assert_eq!(answer.status, 200, "{} {}", query.chars().take(30).collect::<String>(), answer.body);
    }
}

#[tokio::test]
async fn a_cookie_without_the_token_of_our_pages_changes_nothing_at_any_url() {
    let (scene, bearer) = root().await;
    let before = counts(&scene);
    let cookie = format!("R_SESS={bearer}; CSRF=abc");
    let foreign = [("cookie", cookie.as_str()), ("origin", "https://evil.example")];
    let none = [("cookie", cookie.as_str())];
    let wrong = [("cookie", cookie.as_str()), ("x-api-csrf", "abd")];
    for headers in [&foreign[..], &none, &wrong] {
        for (method, path) in [
            ("POST", "/v3/users"),
            ("POST", "/v3/tokens"),
            ("POST", "/v3/tokens?action=logout"),
            ("POST", "/v3/users/user-root?_method=DELETE"),
            ("PUT", "/v3/settings/ui-brand"),
            ("DELETE", "/v3/users/user-root"),
            ("POST", "/v1/ext.cattle.io.tokens"),
        ] {
            let answer = scene.send(method, path, headers, "{\"value\": \"x\"}").await;
            assert_eq!(answer.error(), (422, "InvalidCSRFToken", "Invalid CSRF token"), "{method} {path}");
        }
    }
    assert_eq!(counts(&scene), before);
    let right = [("cookie", cookie.as_str()), ("x-api-csrf", "abc")];
    assert_eq!(scene.send("PUT", "/v3/settings/ui-brand", &right, "{\"value\": \"x\"}").await.status, 200);
}

#[tokio::test]
async fn nothing_is_told_to_those_who_are_not_let_in() {
    let scene = Scene::new().await;
    for path in
        ["/v3", "/v3/", "/v3/schemas", "/v3/users", "/v3/tokens/x", "/v3/nothing", "/v3/settings/absent"]
    {
        let answer = scene.send("GET", path, &[("authorization", "Bearer a:b")], "").await;
        assert_eq!((answer.status, answer.body), (401, super::error::must_authenticate()), "{path}");
    }
}
