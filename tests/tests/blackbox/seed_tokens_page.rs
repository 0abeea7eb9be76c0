//! The second seed, statement by statement: never-expiring tokens, what ends them, and the page where people delete them. Its settings are in
//! `v3_settings`, its table of the system's tokens in `system_tokens`, hashing in `hashing`.

use eartag_tests::http::text;
use eartag_tests::people::login;
use eartag_tests::v3::{LEGACY, V3_TOKENS, ids, key, set, system_token, works};
use eartag_tests::{Browser, MANAGEMENT, Person, Server, needs_browser, needs_kubectl};
use serde_json::json;

/// The user and the token of the seed's example.
const USER: &str = "user-vqkqt";
const TOKEN: &str = "kubectl-shell-user-vqkqt";

/// The seed's user, with a password and the standard role.
fn vqkqt(server: &Server, admin: &Person) -> Person {
    let user = json!({"apiVersion": "management.cattle.io/v3", "kind": "User", "metadata": {"name": USER},
        "username": "vq", "displayName": "V. Q."});
    admin.http.post(&format!("{MANAGEMENT}/users"), &user).want(201);
    let password = "vq likes long passwords";
    let set =
        admin.http.post(&format!("/v3/users/{USER}?action=setpassword"), &json!({"newPassword": password}));
    assert_eq!(set.status, 200, "{}", set.text());
    eartag_tests::people::bind(&admin.http, USER, "user");
    Person::log_in(server, USER, "vq", password)
}

#[test]
fn a_token_of_ttl_0_never_expires_unless_it_is_invalidated() {
    let mut server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let system = system_token(&admin.http, "agent", &ann.id, None);
    set(&admin.http, "auth-token-max-ttl-minutes", "0");
    let own = key(&ann.http, &json!({"ttl": 0}));
    assert_eq!((&own.object["ttl"], &own.object["expiresAt"]), (&json!(0), &json!("")));
    assert_eq!(own.object["expired"], false);
    // A later maximum changes nothing about what exists.
    set(&admin.http, "auth-token-max-ttl-minutes", "1");
    for id in [&own.id, &system.id] {
        let shown = admin.http.get(&format!("{V3_TOKENS}/{id}")).want(200);
        assert_eq!((&shown["ttl"], &shown["expiresAt"]), (&json!(0), &json!("")), "{shown}");
        assert_eq!(shown["expired"], false, "{shown}");
        let kubectl = admin.http.get(&format!("{LEGACY}/{id}")).want(200);
        assert_eq!(kubectl["ttl"], 0, "{kubectl}");
    }
    server.terminate();
    server.launch();
    assert!(works(&server, &own.bearer) && works(&server, &system.bearer), "they outlive a restart");
    for token in [&own, &system] {
        assert_eq!(server.admin().http.delete(&token.path()).status, 204);
        assert!(!works(&server, &token.bearer));
    }
}

#[test]
fn tokens_are_not_invalidated_by_a_password_change() {
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let own = key(&ann.http, &json!({}));
    let shell = system_token(&admin.http, "kubectl-shell", &ann.id, None);
    let changed = ann.http.post(
        "/v3/users?action=changepassword",
        &json!({"currentPassword": ann.password, "newPassword": "quite another password"}),
    );
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(login(&server.anonymous(), "ann", &ann.password).status, 401);
    let of_ann = [&own.bearer, &shell.bearer, &ann.bearer];
    assert!(of_ann.iter().all(|bearer| works(&server, bearer)), "after changepassword");
    let set = admin.http.post(
        &format!("/v3/users/{}?action=setpassword", ann.id),
        &json!({"newPassword": "a third password"}),
    );
    assert_eq!(set.status, 200, "{}", set.text());
    login(&server.anonymous(), "ann", "a third password").want(201);
    assert!(of_ann.iter().all(|bearer| works(&server, bearer)), "after setpassword");
    // Or through the Kubernetes door.
    let request = json!({"apiVersion": "ext.cattle.io/v1", "kind": "PasswordChangeRequest",
        "spec": {"userID": ann.id, "currentPassword": "a third password", "newPassword": "and a fourth one"}});
    ann.http.post("/apis/ext.cattle.io/v1/passwordchangerequests", &request).want(201);
    assert!(of_ann.iter().all(|bearer| works(&server, bearer)), "after a PasswordChangeRequest");
}

#[test]
fn deleting_a_token_deactivates_it_at_once() {
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let by_owner = key(&ann.http, &json!({}));
    let by_itself = key(&ann.http, &json!({}));
    let by_admin = key(&ann.http, &json!({}));
    let by_kubectls_door = key(&ann.http, &json!({}));
    let kept = key(&ann.http, &json!({}));
    for _ in 0..3 {
        assert!(works(&server, &by_owner.bearer));
    }
    let delete = |http: &eartag_tests::Http, path: &str| {
        let reply = http.delete(path);
        assert_eq!((reply.status, reply.body.len()), (204, 0), "{}", reply.text());
    };
    delete(&ann.http, &by_owner.path());
    assert!(!works(&server, &by_owner.bearer));
    delete(&server.anonymous().bearer(&by_itself.bearer), &by_itself.path());
    assert!(!works(&server, &by_itself.bearer));
    delete(&admin.http, &by_admin.path());
    assert!(!works(&server, &by_admin.bearer));
    admin.http.delete(&by_kubectls_door.legacy()).want(200);
    assert!(!works(&server, &by_kubectls_door.bearer));
    for gone in [&by_owner, &by_itself, &by_admin, &by_kubectls_door] {
        let said = format!("tokens.management.cattle.io {:?} not found", gone.id);
        assert_eq!(ann.http.get(&gone.path()).v3_error(404, "NotFound"), said);
        assert_eq!(admin.http.get(&gone.legacy()).refused(404, "NotFound"), said);
    }
    assert!(works(&server, &kept.bearer));
}

#[test]
fn deactivating_the_user_deactivates_tokens_and_reactivating_brings_back_those_that_were_on() {
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let on = key(&ann.http, &json!({"description": "on"}));
    let off = key(&ann.http, &json!({"description": "off"}));
    let shell = system_token(&admin.http, "kubectl-shell", &ann.id, None);
    assert_eq!(ann.http.put(&off.path(), &json!({"enabled": false})).want(200)["enabled"], false);
    assert!(!works(&server, &off.bearer));
    let user = format!("/v3/users/{}", ann.id);
    for _ in 0..2 {
        admin.http.put(&user, &json!({"enabled": false})).want(200);
        for bearer in [&on.bearer, &off.bearer, &shell.bearer, &ann.bearer] {
            server.anonymous().bearer(bearer).get(V3_TOKENS).filtered();
        }
        assert_eq!(login(&server.anonymous(), "ann", &ann.password).status, 403);
        // They are kept, and both doors show them as off.
        for token in [&on, &off, &shell] {
            assert_eq!(admin.http.get(&token.path()).want(200)["enabled"], false);
            assert_eq!(admin.http.get(&token.legacy()).want(200)["enabled"], false);
        }
        admin.http.put(&user, &json!({"enabled": true})).want(200);
        assert!(works(&server, &on.bearer) && works(&server, &shell.bearer) && works(&server, &ann.bearer));
        assert!(!works(&server, &off.bearer), "it was off before");
        assert_eq!(ann.http.get(&on.path()).want(200)["enabled"], true);
        assert_eq!(ann.http.get(&off.path()).want(200)["enabled"], false);
    }
    assert_eq!(ann.http.put(&off.path(), &json!({"enabled": true})).want(200)["enabled"], true);
    assert!(works(&server, &off.bearer));
}

#[test]
fn the_list_holds_all_tokens_of_the_caller_and_for_admins_everybodys() {
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let own = key(&ann.http, &json!({}));
    let shell = system_token(&admin.http, "kubectl-shell", &ann.id, Some("kubectl-shell-of-ann"));
    let of_admin = key(&admin.http, &json!({}));
    let session = ann.bearer.split_once(':').unwrap().0.to_owned();
    let sorted = |mut ids: Vec<String>| {
        ids.sort();
        ids
    };
    let of_ann = sorted(vec![own.id, shell.id, session]);
    assert_eq!(sorted(ids(&ann.http.get(V3_TOKENS).want(200))), of_ann);
    // An admin sees their own, and by the seed's words all of them.
    let mine = ids(&admin.http.get(V3_TOKENS).want(200));
    assert!(mine.contains(&of_admin.id) && mine.iter().all(|id| !of_ann.contains(id)), "{mine:?}");
    let all = ids(&admin.http.get("/v3/tokens?userId=*").want(200));
    assert!(of_ann.iter().chain([&of_admin.id]).all(|id| all.contains(id)), "{all:?}");
    let only = ids(&admin.http.get(&format!("/v3/tokens?userId={}", ann.id)).want(200));
    assert_eq!(sorted(only), of_ann);
}

#[test]
fn the_seeds_kubectl_shell_token_is_made_seen_and_deleted_by_kubectl() {
    needs_kubectl!();
    let server = Server::start();
    let admin = server.admin();
    let vq = vqkqt(&server, &admin);
    let manifest = format!(
        "apiVersion: management.cattle.io/v3\nkind: Token\nmetadata:\n  name: {TOKEN}\n  labels:\n    authn.management.cattle.io/kind: kubectl-shell\nuserId: {USER}\n"
    );
    let bearer = admin.kubectl.input(&["create", "-o", "jsonpath={.token}", "-f", "-"], &manifest).ok();
    assert!(bearer.starts_with(&format!("{TOKEN}:")), "the value, once: {}", bearer.len());
    assert_eq!(server.anonymous().bearer(&bearer).whoami().as_deref(), Some(USER));
    let resource = "tokens.management.cattle.io";
    let shown = admin.kubectl.ok(&["get", resource, TOKEN, "-o", "yaml"]);
    assert!(!shown.contains(bearer.split_once(':').unwrap().1), "shown again");
    assert!(shown.contains("userId: user-vqkqt"), "{shown}");
    let listed = admin.kubectl.ok(&[
        "get",
        resource,
        "-l",
        "authn.management.cattle.io/kind=kubectl-shell",
        "-o",
        "name",
    ]);
    assert_eq!(listed.trim_end(), format!("token.management.cattle.io/{TOKEN}"));
    // Whoever owns it sees it at /v3.
    assert!(ids(&vq.http.get(V3_TOKENS).want(200)).contains(&TOKEN.to_owned()));
    let said = admin.kubectl.ok(&["delete", resource, TOKEN]);
    assert_eq!(said.trim_end(), format!("token.management.cattle.io \"{TOKEN}\" deleted"));
    assert_eq!(server.anonymous().bearer(&bearer).whoami(), None);
}

#[test]
fn the_seeds_kubectl_shell_token_is_deleted_in_the_browser() {
    needs_browser!();
    let server = Server::start();
    let admin = server.admin();
    let vq = vqkqt(&server, &admin);
    let shell = system_token(&admin.http, "kubectl-shell", USER, Some(TOKEN));
    assert!(works(&server, &shell.bearer));
    let other = key(&vq.http, &json!({"description": "to be kept"}));

    let browser = Browser::open(&server);
    // A browser without a session is asked to log in, and is then where it wanted to go.
    browser.go("/v3/tokens");
    browser.log_in("vq", &vq.password);
    // 1. The list of all tokens.
    assert_eq!(browser.path(), "/v3/tokens");
    assert_eq!(browser.title(), "API: token");
    let list = browser.text();
    assert!(list.contains(TOKEN) && list.contains(&other.id), "{list}");
    browser.screenshot("seed-1-list");
    // 2. The token, by its id.
    browser.click(&browser.link(TOKEN));
    assert_eq!(browser.path(), format!("/v3/tokens/{TOKEN}"));
    assert_eq!(browser.title(), format!("API: {TOKEN}"));
    browser.screenshot("seed-2-token");
    // 3. Delete.
    browser.press_on("Delete");
    browser.screenshot("seed-3-delete");
    assert!(works(&server, &shell.bearer), "one click deletes nothing");
    browser.press_on("Send Request");
    browser.screenshot("seed-4-deleted");
    assert!(!works(&server, &shell.bearer));
    vq.http.get(&shell.path()).v3_error(404, "NotFound");
    browser.go("/v3/tokens");
    let list = browser.text();
    assert!(!list.contains(TOKEN) && list.contains(&other.id), "{list}");
    assert!(works(&server, &other.bearer));
    // The address as people type it says that it is gone.
    browser.go(&format!("/v3/tokens/{TOKEN}"));
    assert!(browser.text().contains("not found"), "{}", browser.text());
}

#[test]
fn an_expired_token_is_rejected_and_says_so_in_the_list() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    // Its time is cut while it is in use, so that it is seen to work however slow the machine is.
    let short = key(&ann.http, &json!({"ttl": 86_400_000}));
    assert!(works(&server, &short.bearer));
    let cut = ann.http.put(&short.path(), &json!({"ttl": 1000})).want(200);
    eartag_tests::wait::until("the token to expire", eartag_tests::wait::PATIENCE, || {
        (!works(&server, &short.bearer)).then_some(())
    });
    let shown = ann.http.get(&short.path()).want(200);
    assert_eq!(shown["expired"], true);
    assert_eq!(text(&shown["expiresAt"]), text(&cut["expiresAt"]));
    // It is final: nothing brings it back.
    ann.http.put(&short.path(), &json!({"ttl": 86_400_000})).want(400);
    server.admin().http.put(&short.path(), &json!({"ttl": 0}));
    assert!(!works(&server, &short.bearer));
}
