//! Users, passwords, logins, and what happens to tokens with them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use eartag_tests::http::text;
use eartag_tests::people::{LOGIN, login, token};
use eartag_tests::{BOOTSTRAP_PASSWORD, MANAGEMENT, Person, Server, TOKENS, needs_kubectl};
use serde_json::{Value, json};

const MUST: &str = "Unauthorized 401: must authenticate";

#[test]
fn disabling_a_user_refuses_their_tokens_at_once_and_enabling_brings_them_back() {
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let (on, off) = (ann.mint(json!({})), ann.mint(json!({"enabled": false})));
    let before = admin.http.get(TOKENS).want(200);
    let revision = admin.http.get(&token(&on.name)).want(200)["metadata"]["resourceVersion"].clone();
    let use_it = || server.anonymous().bearer(&on.bearer).whoami();
    assert_eq!(use_it(), Some(ann.id.clone()));

    admin.http.merge(&ann.path(), &json!({"enabled": false})).want(200);
    assert_eq!(use_it(), None);
    assert_eq!(ann.http.whoami(), None, "the session too");
    assert_eq!(login(&server.anonymous(), "ann", &ann.password).status, 403);
    let shown = admin.http.get(&token(&on.name)).want(200);
    assert_eq!(shown["spec"]["enabled"], false);
    assert_eq!(shown["metadata"]["resourceVersion"], revision, "an overlay moves no revision");
    // Writing back what was shown leaves the token's own switch alone.
    admin.http.put(&token(&on.name), &shown).want(200);

    admin.http.merge(&ann.path(), &json!({"enabled": true})).want(200);
    assert_eq!(use_it(), Some(ann.id.clone()));
    assert_eq!(ann.http.whoami(), Some(ann.id.clone()));
    let after = admin.http.get(TOKENS).want(200);
    let enabled = |list: &Value| -> Vec<Value> {
        list["items"].as_array().unwrap().iter().map(|i| i["spec"]["enabled"].clone()).collect()
    };
    assert_eq!(enabled(&after), enabled(&before));
    assert_eq!(server.anonymous().bearer(&off.bearer).whoami(), None, "its own switch is still off");
}

#[test]
fn deleting_a_user_takes_their_tokens_with_it() {
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let mine = ann.mint(json!({}));
    assert!(server.anonymous().bearer(&mine.bearer).whoami().is_some());
    admin.http.delete(&ann.path()).want(200);
    assert_eq!(server.anonymous().bearer(&mine.bearer).whoami(), None);
    assert_eq!(ann.http.whoami(), None);
    admin.http.get(&token(&mine.name)).refused(404, "NotFound");
    let list = admin.http.get(TOKENS).want(200);
    assert!(!list.to_string().contains(&mine.name), "{list}");
    assert_eq!(login(&server.anonymous(), "ann", &ann.password).status, 401);
    // Somebody of the same name inherits nothing.
    let user = json!({"apiVersion": "management.cattle.io/v3", "kind": "User", "metadata": {"name": ann.id}, "username": "ann"});
    admin.http.post(&format!("{MANAGEMENT}/users"), &user).want(201);
    assert_eq!(server.anonymous().bearer(&mine.bearer).whoami(), None);
    admin.http.get(&token(&mine.name)).refused(404, "NotFound");
}

#[test]
fn a_password_change_keeps_tokens() {
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let mine = ann.mint(json!({}));
    let new = "another long password";
    let change = json!({"apiVersion": "ext.cattle.io/v1", "kind": "PasswordChangeRequest",
        "spec": {"userID": ann.id, "currentPassword": ann.password, "newPassword": new}});
    let changed = ann.http.post("/apis/ext.cattle.io/v1/passwordchangerequests", &change);
    assert!(!changed.want(201).to_string().contains(new));
    assert_eq!(login(&server.anonymous(), "ann", &ann.password).status, 401);
    login(&server.anonymous(), "ann", new).want(201);
    assert_eq!(server.anonymous().bearer(&mine.bearer).whoami(), Some(ann.id.clone()));
    assert_eq!(ann.http.whoami(), Some(ann.id.clone()));

    let third = "yet another long password";
    let set =
        admin.http.post(&format!("/v3/users/{}?action=setpassword", ann.id), &json!({"newPassword": third}));
    assert_eq!(set.status, 200, "{}", set.text());
    login(&server.anonymous(), "ann", third).want(201);
    assert_eq!(server.anonymous().bearer(&mine.bearer).whoami(), Some(ann.id.clone()));
}

#[test]
fn bad_new_passwords_are_refused() {
    let server = Server::start();
    let ann = server.person("ann-with-a-long-name", &["user"]);
    let cases = [
        (ann.password.as_str(), "short", "Password must be at least 12 characters"),
        (ann.password.as_str(), "ann-with-a-long-name", "Password cannot be the same as username"),
        (
            ann.password.as_str(),
            ann.password.as_str(),
            "The new password must not be the same as the current password",
        ),
        ("not the password", "long enough for this", "invalid current password"),
    ];
    for (current, new, said) in cases {
        let reply = ann.http.post(
            "/v3/users?action=changepassword",
            &json!({"currentPassword": current, "newPassword": new}),
        );
        let body = reply.want(422);
        assert_eq!(body["code"], "InvalidBodyContent", "{body}");
        assert_eq!(body["message"], said, "{body}");
    }
    login(&server.anonymous(), &ann.username, &ann.password).want(201);
}

#[test]
fn somebody_elses_password_is_not_ones_own_to_change() {
    let server = Server::start();
    let (ann, bob) = (server.person("ann", &["user"]), server.person("bob", &["user"]));
    let change = json!({"spec": {"userID": bob.id, "currentPassword": bob.password, "newPassword": "long enough for this"}});
    let reply = ann.http.post("/apis/ext.cattle.io/v1/passwordchangerequests", &change);
    assert!(matches!(reply.status, 403 | 404), "{}", reply.text());
    let reply = ann.http.post(
        &format!("/v3/users/{}?action=setpassword", bob.id),
        &json!({"newPassword": "long enough for this"}),
    );
    assert!(matches!(reply.status, 403 | 404), "{}", reply.text());
    login(&server.anonymous(), "bob", &bob.password).want(201);
}

#[test]
fn both_logins_give_session_tokens_that_do_not_show_among_ext_tokens() {
    let server = Server::start();
    let admin = server.admin();
    let older = login(&server.anonymous(), "admin", BOOTSTRAP_PASSWORD).want(201);
    let newer = server
        .anonymous()
        .post("/v1-public/login", &json!({"type": "localProvider", "username": "admin", "password": BOOTSTRAP_PASSWORD, "responseType": "json"}))
        .want(201);
    for reply in [&older, &newer] {
        assert_eq!(reply["type"], "token", "{reply}");
        let bearer = text(&reply["token"]);
        let (name, _) = bearer.split_once(':').unwrap();
        assert_eq!(reply["id"], name);
        assert!(name.starts_with("token-"), "{name}");
        assert_eq!(server.anonymous().bearer(&bearer).whoami(), Some(admin.id.clone()));
        admin.http.get(&token(name)).refused(404, "NotFound");
        // Made by an ext prefix, it is nobody's.
        assert_eq!(server.anonymous().bearer(&format!("ext/{bearer}")).whoami(), None);
        // A session may make ext tokens.
        let minted = eartag_tests::people::mint(&server.anonymous().bearer(&bearer), json!({}));
        assert!(minted.bearer.starts_with("ext/token-"), "{}", minted.bearer);
    }
}

#[test]
fn credentials_come_as_bearer_basic_or_cookie() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let minted = ann.mint(json!({}));
    let plain = server.anonymous();
    let path = token(&minted.name);
    let base64 = |text: &str| URL_SAFE.encode(text);
    let as_cookie = |value: &str| plain.with("Cookie", &format!("R_SESS={value}"));
    for http in [
        plain.bearer(&minted.bearer),
        plain.with("Authorization", &format!("bEaReR {}", minted.bearer)),
        plain.with("Authorization", &format!("Basic {}", base64(&minted.bearer))),
        plain.bearer(&ann.bearer),
        plain.with("Authorization", &format!("Basic {}", base64(&ann.bearer))),
        as_cookie(&minted.bearer),
        as_cookie(&ann.bearer),
    ] {
        http.get(&path).want(200);
    }
    let without_prefix = minted.bearer.strip_prefix("ext/").unwrap();
    let mut wrong = minted.bearer.clone();
    wrong.pop();
    wrong.push('!');
    for http in [
        plain.clone(),
        plain.bearer(without_prefix),
        plain.bearer(&wrong),
        plain.bearer(""),
        plain.bearer("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln"),
        plain.with("Authorization", "Negotiate abc"),
        plain.with("Authorization", "Negotiate abc").with("Cookie", &format!("R_SESS={}", minted.bearer)),
        plain.with("Authorization", "Basic ***"),
    ] {
        let reply = http.get(&path);
        assert_eq!(reply.refused(401, "Unauthorized"), "Unauthorized");
        assert_eq!(reply.header("www-authenticate"), None);
    }
    assert_eq!(plain.bearer(&minted.bearer).get(&path).want(200)["status"]["current"], true);
    assert_eq!(plain.bearer(&ann.bearer).get(&path).want(200)["status"]["current"], false);
}

#[test]
fn a_cookie_from_elsewhere_changes_nothing() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let minted = ann.mint(json!({}));
    let cookie = server.anonymous().with("Cookie", &format!("R_SESS={}", ann.bearer));
    let path = token(&minted.name);
    for http in [cookie.with("Origin", "https://evil.example"), cookie.with("Sec-Fetch-Site", "cross-site")] {
        for reply in [
            http.delete(&path),
            http.merge(&path, &json!({"spec": {"description": "x"}})),
            http.post(TOKENS, &json!({})),
            http.post("/v3/tokens?action=logout", &json!({})),
        ] {
            assert!(
                matches!(reply.status, 401 | 403 | 422),
                "{}: {} {}",
                reply.asked,
                reply.status,
                reply.text()
            );
        }
    }
    ann.http.get(&path).want(200);
    let same = cookie.with("Origin", &server.url());
    same.merge(&path, &json!({"spec": {"description": "x"}})).want(200);
}

#[test]
fn logout_ends_the_token_it_is_called_with_and_no_other() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let again = Person::log_in(&server, &ann.id, "ann", &ann.password);
    for action in ["/v3/tokens?action=logout", "/v3/tokens?action=logoutAll"] {
        let session = Person::log_in(&server, &ann.id, "ann", &ann.password);
        let reply = session.http.post(action, &json!({}));
        assert_eq!((reply.status, reply.body.len()), (200, 0), "{}", reply.text());
        let cleared = reply.all("set-cookie");
        assert!(cleared.iter().any(|c| c.starts_with("R_SESS=;") && c.contains("1982")), "{cleared:?}");
        assert_eq!(session.http.whoami(), None);
        assert_eq!(again.http.whoami(), Some(ann.id.clone()));
    }
    let minted = ann.mint(json!({}));
    assert_eq!(
        server.anonymous().bearer(&minted.bearer).post("/v3/tokens?action=logout", &json!({})).status,
        200
    );
    ann.http.get(&token(&minted.name)).refused(404, "NotFound");
    let out = server.anonymous().post("/v3/tokens?action=logout", &json!({}));
    assert_eq!(out.want(401)["message"], "No valid token cookie or auth header");
}

#[test]
fn a_cookie_login_sets_the_cookie_and_says_nothing() {
    let server = Server::start();
    let reply = server
        .anonymous()
        .post(LOGIN, &json!({"username": "admin", "password": BOOTSTRAP_PASSWORD, "responseType": "cookie"}));
    assert_eq!((reply.status, reply.body.len()), (200, 0), "{}", reply.text());
    let cookies = reply.all("set-cookie");
    let cookie = cookies.iter().find(|c| c.starts_with("R_SESS=")).unwrap_or_else(|| panic!("{cookies:?}"));
    for part in ["Path=/", "HttpOnly", "Secure", "SameSite=Lax"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Max-Age") && !cookie.contains("Expires"), "{cookie}");
    let value = cookie.strip_prefix("R_SESS=").unwrap().split(';').next().unwrap();
    assert_eq!(server.anonymous().with("Cookie", &format!("R_SESS={value}")).get(TOKENS).status, 200);
}

#[test]
fn a_failed_login_says_one_thing() {
    let server = Server::start();
    let wrong = login(&server.anonymous(), "admin", "wrong").want(401);
    let nobody = login(&server.anonymous(), "nobody", "wrong").want(401);
    assert_eq!(wrong, nobody);
    assert_eq!(wrong["code"], "Unauthorized");
    assert_eq!(wrong["message"], "authentication failed");
    assert_eq!(wrong["type"], "error");
    let garbage = server.anonymous().send("POST", LOGIN, "application/json", Some(b"{"));
    assert_eq!(garbage.want(422)["code"], "InvalidBodyContent");
    let action = server.anonymous().post("/v3-public/localProviders/local?action=nothing", &json!({}));
    assert!(matches!(action.status, 404 | 422), "{}", action.text());
    assert_eq!(
        server.anonymous().post("/v3-public/localProviders/other?action=login", &json!({})).status,
        404
    );
}

#[test]
fn failing_logins_are_throttled_for_the_account_and_not_for_others() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    // Together, because it is the pace that counts, and a slow machine would keep within it one by one: these are more than may fail in a row, and each counts
    // from its beginning on.
    let throttled = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    (0..5).map(|_| login(&server.anonymous(), "ann", "wrong")).find(|reply| {
                        assert!(matches!(reply.status, 401 | 429), "{}", reply.text());
                        reply.status == 429 && reply.text().contains("failed attempts")
                    })
                })
            })
            .collect();
        threads.into_iter().filter_map(|t| t.join().unwrap()).last()
    });
    let throttled = throttled.expect("failures to be throttled");
    let after: u64 = throttled.header("retry-after").expect("Retry-After").parse().expect("seconds");
    assert!((1..=3600).contains(&after));
    // Tokens are not logins.
    assert_eq!(ann.http.whoami(), Some(ann.id.clone()));
    // Nobody can lock the admin out.
    login(&server.anonymous(), "admin", BOOTSTRAP_PASSWORD).want(201);
}

#[test]
fn users_can_be_made_and_changed_by_kubectl() {
    needs_kubectl!();
    let server = Server::start();
    let admin = server.admin();
    let manifest = "apiVersion: management.cattle.io/v3\nkind: User\nmetadata:\n  name: u-carol\nusername: carol\ndisplayName: Carol\n";
    assert_eq!(admin.kubectl.create(manifest).trim_end(), "user.management.cattle.io/u-carol created");
    let set = admin
        .http
        .post("/v3/users/u-carol?action=setpassword", &json!({"newPassword": "carol likes kubectl"}));
    assert_eq!(set.status, 200, "{}", set.text());
    let binding = "apiVersion: management.cattle.io/v3\nkind: GlobalRoleBinding\nmetadata:\n  name: carol\nglobalRoleName: user\nuserName: u-carol\n";
    assert_eq!(
        admin.kubectl.create(binding).trim_end(),
        "globalrolebinding.management.cattle.io/carol created"
    );
    let carol = Person::log_in(&server, "u-carol", "carol", "carol likes kubectl");
    let minted = carol.mint(json!({}));
    assert_eq!(
        admin
            .kubectl
            .ok(&["patch", "user", "u-carol", "--type=merge", "-p", r#"{"enabled":false}"#])
            .trim_end(),
        "user.management.cattle.io/u-carol patched"
    );
    assert_eq!(carol.http.whoami(), None);
    admin.kubectl.ok(&["patch", "user", "u-carol", "-p", r#"{"enabled":true}"#]);
    assert_eq!(carol.http.whoami(), Some("u-carol".to_owned()));
    assert_eq!(
        admin.kubectl.ok(&["delete", "globalrolebinding", "carol"]).trim_end(),
        "globalrolebinding.management.cattle.io \"carol\" deleted"
    );
    carol.http.get(TOKENS).refused(403, "Forbidden");
    assert_eq!(
        admin.kubectl.ok(&["delete", "user", "u-carol"]).trim_end(),
        "user.management.cattle.io \"u-carol\" deleted"
    );
    assert_eq!(server.anonymous().bearer(&minted.bearer).whoami(), None);
    let error =
        admin.kubectl.fails(&["patch", "user", &admin.id, "--type=merge", "-p", r#"{"enabled":false}"#]);
    assert!(error.contains("can't deactivate yourself"), "{error}");
    let error = admin.kubectl.fails(&["delete", "user", &admin.id]);
    assert!(error.contains("can't delete yourself"), "{error}");
    let error = admin
        .kubectl
        .input(
            &["create", "-f", "-"],
            &manifest.replace("carol", "dave").replace("username: dave", "username: admin"),
        )
        .fails();
    assert!(error.contains("username already exists"), "{error}");
}

#[test]
fn users_of_v3_can_be_made_listed_changed_and_deleted() {
    let server = Server::start();
    let admin = server.admin();
    let made = admin
        .http
        .post(
            "/v3/users",
            &json!({"username": "dora", "name": "Dora", "password": "dora likes explorers", "enabled": true}),
        )
        .want(201);
    assert_eq!(
        (made["type"].as_str(), made["name"].as_str(), made["username"].as_str()),
        (Some("user"), Some("Dora"), Some("dora"))
    );
    assert_eq!(made.get("password").unwrap_or(&Value::Null), &Value::Null);
    let id = text(&made["id"]);
    let path = format!("/v3/users/{id}");
    let list = admin.http.get("/v3/users").want(200);
    assert!(list["data"].as_array().unwrap().iter().any(|u| u["id"] == id.as_str()));
    assert_eq!(admin.http.put(&path, &json!({"name": "Dora M."})).want(200)["name"], "Dora M.");
    let again = admin
        .http
        .post("/v3/users", &json!({"username": "dora", "password": "dora likes explorers"}))
        .want(422);
    assert_eq!((again["code"].as_str(), again["fieldName"].as_str()), (Some("NotUnique"), Some("username")));
    let binding =
        admin.http.post("/v3/globalrolebindings", &json!({"globalRoleId": "user", "userId": id})).want(201);
    let binding = format!("/v3/globalrolebindings/{}", text(&binding["id"]));
    assert_eq!(admin.http.get(&binding).want(200)["userId"], id.as_str());
    let dora = Person::log_in(&server, &id, "dora", "dora likes explorers");
    let minted = dora.mint(json!({}));
    assert_eq!(admin.http.put(&path, &json!({"enabled": false})).want(200)["enabled"], false);
    let out = dora.http.get("/v3/users").want(401);
    assert_eq!((out["status"].as_str(), out["message"].as_str()), (Some("401"), Some(MUST)));
    admin.http.put(&path, &json!({"enabled": true})).want(200);
    assert_eq!(server.anonymous().bearer(&minted.bearer).whoami(), Some(id.clone()));
    assert!(matches!(admin.http.delete(&binding).status, 200 | 204));
    dora.http.get(TOKENS).refused(403, "Forbidden");
    assert!(matches!(admin.http.delete(&path).status, 200 | 204));
    assert_eq!(server.anonymous().bearer(&minted.bearer).whoami(), None);
    assert_eq!(admin.http.get(&path).status, 404);
    let own = format!("/v3/users/{}", admin.id);
    assert_eq!(admin.http.delete(&own).want(422)["message"], "You cannot delete yourself");
    assert_eq!(
        admin.http.put(&own, &json!({"enabled": false})).want(422)["message"],
        "You cannot deactivate yourself"
    );
}

#[test]
fn a_user_without_a_binding_may_do_nothing_at_the_kubernetes_door() {
    let server = Server::start();
    let eve = server.person("eve", &[]);
    assert_eq!(eve.http.whoami(), Some(eve.id.clone()));
    assert_eq!(
        eve.http.post(TOKENS, &json!({})).refused(403, "Forbidden"),
        format!(
            "tokens.ext.cattle.io is forbidden: User \"{}\" cannot create resource \"tokens\" in API group \"ext.cattle.io\" at the cluster scope",
            eve.id
        )
    );
    eve.http.get(TOKENS).refused(403, "Forbidden");
}

#[test]
fn only_what_one_has_can_be_granted() {
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    admin.http.post(&format!("{rbac}/clusterroles"), &json!({"metadata": {"name": "role-writer"}, "rules": [
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles", "clusterrolebindings"], "verbs": ["create", "get", "update"]},
        {"apiGroups": ["management.cattle.io"], "resources": ["globalroles", "globalrolebindings"], "verbs": ["create", "get"]}]})).want(201);
    admin
        .http
        .post(
            &format!("{rbac}/clusterrolebindings"),
            &json!({"metadata": {"name": "role-writer"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "role-writer"},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": ann.id}]}),
        )
        .want(201);
    let all = json!({"metadata": {"name": "all"}, "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]});
    ann.http.post(&format!("{rbac}/clusterroles"), &all).refused(403, "Forbidden");
    let grant = json!({"metadata": {"name": "up"}, "globalRoleName": "admin", "userName": ann.id});
    ann.http.post(&format!("{MANAGEMENT}/globalrolebindings"), &grant).refused(403, "Forbidden");
    let own = json!({"metadata": {"name": "own"}, "rules": [{"apiGroups": ["ext.cattle.io"], "resources": ["tokens"], "verbs": ["get"]}]});
    ann.http.post(&format!("{rbac}/clusterroles"), &own).want(201);
}

#[test]
fn impersonation_is_for_those_who_may() {
    let server = Server::start();
    let (admin, ann, bob) =
        (server.admin(), server.person("ann", &["user"]), server.person("bob", &["user"]));
    let minted = ann.mint(json!({}));
    let as_ann = admin.http.with("Impersonate-User", &ann.id);
    assert_eq!(as_ann.whoami(), Some(ann.id.clone()));
    let seen = as_ann.get(TOKENS).want(200);
    assert_eq!(eartag_tests::http::names(&seen), [minted.name.as_str()], "as ann, what ann sees");
    assert_eq!(
        as_ann.post(TOKENS, &json!({})).refused(403, "Forbidden"),
        "tokens.ext.cattle.io is forbidden: missing authentication token ID"
    );
    let said = bob.http.with("Impersonate-User", &ann.id).get(TOKENS).refused(403, "Forbidden");
    assert!(said.contains("cannot impersonate resource \"users\""), "{said}");
    for system in ["system:admin", "system:masters", "system:kube-aggregator"] {
        let reply = admin.http.with("Impersonate-User", system).get(TOKENS);
        assert_eq!(reply.status, 403, "{system}: {}", reply.text());
    }
    let group =
        admin.http.with("Impersonate-User", &ann.id).with("Impersonate-Group", "system:masters").get(TOKENS);
    assert_eq!(group.status, 403, "{}", group.text());
    let alone = admin.http.with("Impersonate-Group", "devs").get(TOKENS);
    assert_eq!(alone.status, 400, "{}", alone.text());
    assert!(alone.message().contains("without impersonating a user"), "{}", alone.text());
}

#[test]
fn last_used_is_shown_and_moves_no_revision() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let minted = ann.mint(json!({}));
    let before = ann.http.get(&token(&minted.name)).want(200);
    assert_eq!(before["status"].get("lastUsedAt"), None);
    let revision = ann.http.revision(TOKENS);
    assert!(server.anonymous().bearer(&minted.bearer).whoami().is_some());
    let after = ann.http.get(&token(&minted.name)).want(200);
    let used = text(&after["status"]["lastUsedAt"]);
    assert!(used.ends_with('Z') && used.len() == 20, "{used}");
    assert_eq!(after["metadata"], before["metadata"]);
    assert_eq!(ann.http.revision(TOKENS), revision);
    let list = ann.http.get(TOKENS).want(200);
    assert_eq!(list["items"][0]["status"]["lastUsedAt"], used.as_str());
}
