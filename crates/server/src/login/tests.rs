#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::atomic::Ordering;

use eartag_apiserver::Tree;
use eartag_apiserver::ops::{Change, DeleteOptions};
use eartag_apiserver::user::MASTERS;
use eartag_core::collections::{LEGACY_TOKENS, SETTINGS, USER_ATTRIBUTES};
use eartag_core::record::SettingRecord;
use eartag_core::time::rfc3339;
use eartag_storage::Scope;

use super::*;
use crate::authn::testing::{NOW_MS, PASSWORD, Scene, hash, peer};

const V1: &str = "/v1-public/login";
const V3: &str = "/v3-public/localProviders/local?action=login";

fn body(username: &str, password: &str, form: &str) -> String {
    json!({"type": "localProvider", "username": username, "password": password, "responseType": form})
        .to_string()
}

async fn scene() -> Scene {
    let scene = Scene::new().await;
    scene.user("user-ann", "ann", Some(hash()), "user").await;
    scene
}

fn tokens(scene: &Scene) -> u64 {
    scene.state.store.count(LEGACY_TOKENS, &Scope::All)
}

#[test]
fn these_doors_serve_their_paths_and_no_others() {
    for path in
        ["/v3-public/localProviders/local", "/v1-public/login", "/v1-public", "/v1/logout", "/v1/logout/"]
    {
        assert!(serves(path), "{path}");
    }
    for path in ["/v3-publicity", "/v1/logouts", "/v3/tokens", "/v1/authenticate", "/"] {
        assert!(!serves(path), "{path}");
    }
}

#[tokio::test]
async fn a_login_answers_201_with_five_members_and_the_token_is_good() {
    let scene = scene().await;
    for path in [V1, V3] {
        let answer = scene.send("POST", path, &[], &body("ann", PASSWORD, "json")).await;
        assert_eq!(answer.status, 201, "{path}");
        let members: Vec<_> = answer.body.as_object().unwrap().keys().cloned().collect();
        assert_eq!(members, ["baseType", "expiresAt", "id", "token", "type"]);
        assert_eq!(answer.body["expiresAt"], rfc3339(1_800_000_000 + 960 * 60));
        let token = answer.body["token"].as_str().unwrap();
        assert!(token.starts_with(answer.body["id"].as_str().unwrap()));
        let bearer = format!("Bearer {token}");
        let me = scene.send("GET", "/v3/users?me=true", &[("authorization", &bearer)], "").await;
        assert_eq!((me.status, &me.body["data"][0]["id"]), (200, &json!("user-ann")));
    }
}

#[tokio::test]
async fn the_session_ttl_is_the_settings_whatever_the_maximum_and_the_wish() {
    let scene = scene().await;
    for (name, value) in [("auth-token-max-ttl-minutes", "5"), ("auth-user-session-ttl-minutes", "0")] {
        scene.put(SETTINGS, name, SettingRecord { value: value.into(), env: false }.encode()).await;
    }
    let wish =
        json!({"type": "localProvider", "username": "ann", "password": PASSWORD, "ttl": 60000}).to_string();
    let answer = scene.send("POST", V1, &[], &wish).await;
    assert_eq!((answer.status, &answer.body["expiresAt"]), (201, &json!("")));
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_look_the_same() {
    let scene = scene().await;
    for (username, password) in [("ann", "wrong"), ("nobody", PASSWORD), ("ann", ""), ("Ann", PASSWORD)] {
        let answer = scene.send("POST", V1, &[], &body(username, password, "json")).await;
        assert_eq!(answer.error(), (401, "Unauthorized", "authentication failed"), "{username}");
    }
    assert_eq!(tokens(&scene), 0);
}

#[tokio::test]
async fn a_disabled_user_learns_it_only_with_the_right_password() {
    let scene = scene().await;
    scene.enable("user-ann", false).await;
    let right = scene.send("POST", V1, &[], &body("ann", PASSWORD, "json")).await;
    assert_eq!(right.error(), (403, "PermissionDenied", "Permission Denied"));
    let wrong = scene.send("POST", V1, &[], &body("ann", "wrong", "json")).await;
    assert_eq!(wrong.status, 401);
    assert_eq!(tokens(&scene), 0);
}

#[tokio::test]
async fn bodies_and_providers_that_make_no_sense_are_refused() {
    let scene = scene().await;
    for bad in ["", "nonsense", "[]", "[\"localProvider\",\"ann\"]", "{\"username\": 1}"] {
        let answer = scene.send("POST", V3, &[], bad).await;
        assert_eq!(answer.error(), (422, "InvalidBodyContent", ""), "{bad}");
    }
    let github = json!({"type": "githubProvider", "username": "ann", "password": PASSWORD}).to_string();
    assert_eq!(scene.send("POST", V1, &[], &github).await.error().1, "InvalidBodyContent");
    let huge = body("ann", &"x".repeat(MAX_BODY), "json");
    assert_eq!(scene.send("POST", V1, &[], &huge).await.status, 413);
    for (path, status, code) in [
        ("/v3-public/githubProviders/github?action=login", 404, "NotFound"),
        ("/v3-public/localProviders/local?action=logout", 422, "InvalidAction"),
        ("/v3-public/localProviders/local", 404, "ActionNotAvailable"),
        ("/v3-public/localProviders", 405, "MethodNotAllow"),
    ] {
        let error = scene.send("POST", path, &[], "{}").await;
        assert_eq!((error.error().0, error.error().1), (status, code), "{path}");
    }
    assert_eq!(scene.send("GET", V1, &[], "").await.status, 405);
}

#[tokio::test]
async fn the_cli_gets_a_kubeconfigs_token_that_lives_as_its_own_setting_says() {
    let scene = scene().await;
    for (path, form, name) in
        [(V1, "kubeconfig", "kubeconfig-user-ann"), (V3, "kubeconfig", "kubeconfig-user-ann")]
    {
        let answer = scene.send("POST", path, &[], &body("ann", PASSWORD, form)).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        let id = answer.body["id"].as_str().unwrap();
        assert!(id.starts_with(name) && id.len() == name.len() + 5, "{id}");
        assert_eq!(answer.body["expiresAt"], rfc3339(1_800_000_000 + 960 * 60));
        let bearer = format!("Bearer {}", answer.body["token"].as_str().unwrap());
        let seen =
            scene.send("GET", &format!("/v3/tokens/{id}"), &[("authorization", &bearer)], "").await.body;
        assert_eq!((&seen["description"], &seen["isDerived"]), (&json!("Kubeconfig token"), &json!(true)));
        assert_eq!(seen["labels"]["authn.management.cattle.io/kind"], "kubeconfig");
        assert_eq!((&seen["ttl"], &seen["clusterId"]), (&json!(57_600_000), &Tree::Null));
    }
    assert_eq!(scene.state.store.count(USER_ATTRIBUTES, &Scope::All), 1, "it is a login like any other");
    for (name, value) in [("auth-token-max-ttl-minutes", "5"), ("kubeconfig-token-ttl-minutes", "0")] {
        scene.put(SETTINGS, name, SettingRecord { value: value.into(), env: false }.encode()).await;
    }
    let answer = scene.send("POST", V1, &[], &body("ann", PASSWORD, "kubeconfig")).await;
    assert_eq!(answer.body["expiresAt"], rfc3339(1_800_000_000 + 300), "as long as the maximum allows");
}

#[tokio::test]
async fn a_token_for_a_cluster_is_for_those_who_may_use_it_and_told_only_with_the_right_password() {
    let scene = scene().await;
    scene.user("user-root", "root", Some(hash()), "admin").await;
    let ask = async |who: &str, password: &str, form: &str| {
        scene.send("POST", V1, &[], &body(who, password, form)).await
    };
    let unknown = ask("ann", PASSWORD, "kubeconfig_nope").await;
    assert_eq!((unknown.status, unknown.error().2), (400, "cluster nope not found"));
    let denied = ask("ann", PASSWORD, "kubeconfig_local").await;
    assert_eq!(
        denied.error(),
        (403, "PermissionDenied", "user user-ann is not allowed to access cluster local")
    );
    for form in ["kubeconfig_nope", "kubeconfig_local"] {
        assert_eq!(ask("ann", "wrong", form).await.error(), (401, "Unauthorized", "authentication failed"));
    }
    assert_eq!(tokens(&scene), 0);
    let answer = ask("root", PASSWORD, "kubeconfig_local").await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert!(answer.body["id"].as_str().unwrap().starts_with("kubeconfig-user-root.local"));
    let bearer = format!("Bearer {}", answer.body["token"].as_str().unwrap());
    let at = async |path: &str| scene.send("GET", path, &[("authorization", &bearer)], "").await.status;
    assert_eq!(
        (at("/v3/clusters/local").await, at("/v3/tokens").await),
        (200, 401),
        "it is good there alone"
    );
}

#[tokio::test]
async fn too_many_failures_have_to_wait_and_others_do_not() {
    let mut scene = scene().await;
    for _ in 0..9 {
        // As a wrong password does, without the time that takes.
        drop(scene.state.gate.logins.begin("ann", scene.peer.addr.ip(), NOW_MS).unwrap());
    }
    assert_eq!(scene.send("POST", V1, &[], &body("ann", "wrong", "json")).await.status, 401);
    let refused = scene.send("POST", V1, &[], &body("ann", PASSWORD, "json")).await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.headers["retry-after"], "6");
    scene.peer = peer("8.8.8.8");
    assert_eq!(scene.send("POST", V1, &[], &body("ann", PASSWORD, "json")).await.status, 201);
    scene.peer = peer("9.9.9.9");
    scene.world.0.store(NOW_MS + 6_000, Ordering::Relaxed);
    assert_eq!(scene.send("POST", V1, &[], &body("ann", PASSWORD, "json")).await.status, 201);
}

#[tokio::test]
async fn the_cookie_form_sets_the_cookie_and_shows_nothing() {
    let scene = scene().await;
    let answer =
        scene.send("POST", V1, &[("origin", "https://a.example")], &body("ann", PASSWORD, "cookie")).await;
    assert_eq!((answer.status, &answer.body), (200, &eartag_apiserver::Tree::Null));
    let cookie = answer.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("R_SESS=token-"));
    assert!(cookie.ends_with("; Path=/; HttpOnly; Secure; SameSite=Lax"));
}

#[tokio::test]
async fn nobody_elses_page_may_log_a_browser_in() {
    let scene = scene().await;
    let foreign =
        scene.send("POST", V1, &[("origin", "https://evil.example")], &body("ann", PASSWORD, "cookie")).await;
    assert_eq!(foreign.error().1, "InvalidCSRFToken");
    assert_eq!(tokens(&scene), 0);
}

#[tokio::test]
async fn a_bcrypt_hash_is_replaced_at_the_next_login() {
    let scene = Scene::new().await;
    let text = bcrypt_of_password();
    scene.user("user-bob", "bob", Some(PasswordHash::bcrypt(text).unwrap()), "user").await;
    let passwords = Passwords::of(&scene.state);
    assert!(passwords.stored("user-bob").unwrap().is_outdated());
    assert_eq!(scene.send("POST", V1, &[], &body("bob", "password", "json")).await.status, 201);
    assert!(!passwords.stored("user-bob").unwrap().is_outdated());
    assert!(passwords.stored("user-bob").unwrap().verify(&PlainSecret::new("password")));
}

#[tokio::test]
async fn logout_deletes_the_presented_token_and_the_cookies() {
    let scene = scene().await;
    for (path, action) in
        [("/v3/tokens?action=logout", "v3"), ("/v3/tokens?action=logoutAll", "all"), ("/v1/logout", "v1")]
    {
        let owner = scene.state.store.get(USERS, b"user-ann").unwrap();
        let (first, other) = (scene.token(&owner, true, "").await, scene.token(&owner, false, "").await);
        let cookie = format!("R_SESS={}", first.bearer.expose());
        let headers = [("cookie", cookie.as_str()), ("origin", "https://a.example")];
        let answer = scene.send("POST", path, &headers, "{}").await;
        assert_eq!(
            (answer.status, answer.headers["content-type"].to_str().unwrap()),
            (200, "application/json"),
            "{action}"
        );
        let cleared = answer
            .headers
            .get_all("set-cookie")
            .iter()
            .filter(|v| v.to_str().unwrap().contains("=; Path=/"))
            .count();
        assert_eq!(cleared, 2);
        assert!(scene.state.store.get(LEGACY_TOKENS, first.name.as_bytes()).is_none());
        assert!(scene.state.store.get(LEGACY_TOKENS, other.name.as_bytes()).is_some());
        let again = scene.send("POST", path, &headers, "{}").await;
        assert_eq!(again.status, 401);
        assert!(again.headers.get("set-cookie").is_some(), "a dead cookie is taken away too");
    }
}

#[tokio::test]
async fn another_sites_page_cannot_log_a_browser_out() {
    let scene = scene().await;
    let owner = scene.state.store.get(USERS, b"user-ann").unwrap();
    let token = scene.token(&owner, true, "").await;
    let cookie = format!("R_SESS={}", token.bearer.expose());
    let answer = scene
        .send("POST", "/v1/logout", &[("cookie", &cookie), ("origin", "https://evil.example")], "")
        .await;
    assert_eq!(answer.error(), (422, "InvalidCSRFToken", "Invalid CSRF token"));
    assert!(scene.state.store.get(LEGACY_TOKENS, token.name.as_bytes()).is_some());
    // A form's request comes without the cookie, and its answer takes none away.
    for path in ["/v1/logout", "/v3/tokens?action=logout"] {
        let answer = scene.send("POST", path, &[("origin", "https://evil.example")], "").await;
        assert!(answer.status == 401 && !answer.headers.contains_key("set-cookie"), "{path}");
    }
}

#[tokio::test]
async fn providers_are_listed_without_credentials() {
    let scene = scene().await;
    for path in ["/v1-public/authproviders", "/v3-public/authProviders", "/v3-public/localProviders"] {
        let answer = scene.send("GET", path, &[("authorization", "Bearer nonsense")], "").await;
        assert_eq!(
            (answer.status, &answer.body["data"][0]["type"]),
            (200, &json!("localProvider")),
            "{path}"
        );
    }
}

/// "password" at cost 4, made by the C library.
fn bcrypt_of_password() -> &'static str {
    "$2b$04$abcdefghijklmnopqrstuughE8Ev8uGFaUgY2cNEySvxngrb/Jzdm"
}

/// The user as an administrator sees them.
async fn shown(scene: &Scene, name: &str) -> Tree {
    scene.state.api.get(&*scene.state.kinds.users, &master(scene), name).await.unwrap()
}

fn master(scene: &Scene) -> eartag_apiserver::kind::Cx {
    let mut cx = scene.cx("system:admin");
    cx.user.groups.push(MASTERS.to_owned());
    cx
}

async fn log_in_at(scene: &Scene, now_ms: u64) {
    scene.world.0.store(now_ms, Ordering::Relaxed);
    assert_eq!(scene.send("POST", V1, &[], &body("ann", PASSWORD, "json")).await.status, 201);
}

#[tokio::test]
async fn a_login_shows_as_a_label_of_the_user_and_leaves_the_object_alone() {
    let scene = scene().await;
    let before = shown(&scene, "user-ann").await;
    assert_eq!(before["metadata"]["labels"], Tree::Null);
    log_in_at(&scene, NOW_MS + 1999).await;
    let after = shown(&scene, "user-ann").await;
    assert_eq!(after["metadata"]["labels"], json!({"cattle.io/last-login": "1800000001"}));
    assert_eq!(after["metadata"]["resourceVersion"], before["metadata"]["resourceVersion"]);
    log_in_at(&scene, NOW_MS + 60_000).await;
    let labels = &shown(&scene, "user-ann").await["metadata"]["labels"];
    assert_eq!(labels["cattle.io/last-login"], "1800000060");
}

#[tokio::test]
async fn a_token_that_is_no_login_says_nothing_about_the_last_login() {
    let scene = scene().await;
    let ann = scene.state.store.get(USERS, b"user-ann").unwrap();
    scene.token(&ann, false, "").await;
    assert!(scene.state.store.get(USER_ATTRIBUTES, b"user-ann").is_none());
    scene.token(&ann, true, "").await;
    assert!(scene.state.store.get(USER_ATTRIBUTES, b"user-ann").is_some());
}

#[tokio::test]
async fn many_logins_at_once_all_succeed() {
    let scene = scene().await;
    let ann = scene.state.store.get(USERS, b"user-ann").unwrap();
    let logins = (0..64).map(|n| {
        let (scene, ann) = (&scene, &ann);
        async move {
            scene.world.0.fetch_add(n % 3 * 500, Ordering::Relaxed);
            scene.token(ann, true, "").await
        }
    });
    assert_eq!(futures_util::future::join_all(logins).await.len(), 64);
    assert_eq!(tokens(&scene), 64);
}

#[tokio::test]
async fn nobody_writes_the_label_of_the_last_login() {
    let scene = scene().await;
    log_in_at(&scene, NOW_MS).await;
    let (api, kind, cx) = (&scene.state.api, &*scene.state.kinds.users, master(&scene));
    let before = shown(&scene, "user-ann").await;
    for value in [json!("5"), Tree::Null] {
        let forged = Change::Merge(json!({"metadata": {"labels": {
            "cattle.io/last-login": value, "cattle.io/disable-after": "5", "cattle.io/delete-after": "5",
        }}}));
        assert_eq!(api.update(kind, &cx, "user-ann", &forged).await.unwrap(), before);
    }
    assert_eq!(shown(&scene, "user-ann").await, before, "nothing was written");
    let made = json!({"metadata": {"name": "user-new", "labels": {"cattle.io/last-login": "5", "a": "b"}}});
    let made = api.create(kind, &cx, made).await.map_err(|r| format!("{r:?}")).unwrap();
    assert_eq!(made.object["metadata"]["labels"], json!({"a": "b"}));
}

#[tokio::test]
async fn a_user_who_is_made_again_inherits_no_login() {
    let scene = scene().await;
    log_in_at(&scene, NOW_MS).await;
    let (api, kind, cx) = (&scene.state.api, &*scene.state.kinds.users, master(&scene));
    assert!(api.delete(kind, &cx, "user-ann", &DeleteOptions::default()).await.is_ok());
    assert!(scene.state.store.get(USER_ATTRIBUTES, b"user-ann").is_none(), "gone with the user");
    // Left behind all the same, by whatever way.
    let left = eartag_core::UserAttributeRecord { last_login_s: Some(5), ..Default::default() };
    scene.put(USER_ATTRIBUTES, "user-ann", left.encode()).await;
    scene.user("user-ann", "ann", Some(hash()), "user").await;
    assert_eq!(shown(&scene, "user-ann").await["metadata"]["labels"], Tree::Null);
    log_in_at(&scene, NOW_MS + 1000).await;
    let labels = &shown(&scene, "user-ann").await["metadata"]["labels"];
    assert_eq!(labels["cattle.io/last-login"], "1800000001");
}

#[tokio::test]
async fn users_are_selected_by_their_last_login() {
    let scene = scene().await;
    scene.user("user-bob", "bob", None, "user").await;
    log_in_at(&scene, NOW_MS).await;
    let (api, kind, cx) = (&scene.state.api, &*scene.state.kinds.users, master(&scene));
    for (selector, found) in [
        ("cattle.io/last-login", vec!["user-ann"]),
        ("cattle.io/last-login=1800000000", vec!["user-ann"]),
        ("cattle.io/last-login notin (1800000000)", vec!["user-bob"]),
        ("!cattle.io/last-login", vec!["user-bob"]),
    ] {
        let selection = eartag_apiserver::ops::Selection::parse(kind.info(), selector, "").unwrap();
        let options = eartag_apiserver::ops::ListOptions { selection, ..Default::default() };
        let mut lister = api.list(kind, &cx, &options).await.map_err(|r| format!("{r:?}")).unwrap();
        let mut names = Vec::new();
        while let Some(page) = lister.page(kind, &cx).unwrap() {
            names.extend(page.iter().map(|l| l.object["metadata"]["name"].as_str().unwrap().to_owned()));
        }
        assert_eq!(names, found, "{selector}");
    }
}
