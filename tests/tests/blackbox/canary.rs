//! G5: a secret appears in exactly one reply and nowhere else.

use std::path::Path;

use eartag_tests::http::{JSON_PATCH, TABLE, text};
use eartag_tests::people::{LOGIN, token};
use eartag_tests::tape::count;
use eartag_tests::{BOOTSTRAP_PASSWORD, Kubectl, MANAGEMENT, Person, Setup, Stream, TOKENS};
use serde_json::json;

/// Every file under a directory, except these.
fn files(dir: &Path, except: &Path, out: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.starts_with(except) {
            continue;
        }
        if path.is_dir() {
            files(&path, except, out);
        } else {
            out.push(path);
        }
    }
}

/// The forms in which a secret could have been written down.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
    let hex: String = secret.bytes().map(|b| format!("{b:02x}")).collect();
    let mut forms =
        vec![secret.as_bytes().to_vec(), hex.clone().into_bytes(), hex.to_uppercase().into_bytes()];
    // In the middle of something longer, base64 has three phases; the ends depend on what is around.
    for skip in 0..3 {
        let inner = &secret.as_bytes()[skip..];
        let whole = &inner[..inner.len() - inner.len() % 3];
        forms.push(STANDARD_NO_PAD.encode(whole).into_bytes());
        forms.push(URL_SAFE_NO_PAD.encode(whole).into_bytes());
    }
    forms.push(secret.encode_utf16().flat_map(u16::to_le_bytes).collect());
    forms
}

#[test]
fn a_secret_appears_in_exactly_one_reply_and_nowhere_else() {
    let mut server = Setup::default().env("RUST_LOG", "trace").start();
    let admin = server.admin();
    // Values whose replies may show them once, and values that no reply may show.
    let mut once: Vec<(String, String)> = Vec::new();
    let mut never: Vec<(String, String)> = Vec::new();
    never.push(("the bootstrap password".into(), BOOTSTRAP_PASSWORD.into()));
    never.push(("admin.yaml's token".into(), admin.bearer.split_once(':').unwrap().1.to_owned()));

    // People.
    let ann_password = "canary-password-of-ann-0001";
    never.push(("ann's password".into(), ann_password.into()));
    let made = admin
        .http
        .post("/v3/users", &json!({"username": "ann", "name": "Ann", "password": ann_password}))
        .want(201);
    let id = text(&made["id"]);
    eartag_tests::people::bind(&admin.http, &id, "user");
    let watch = |path: &str, http: &eartag_tests::Http| {
        Stream::open(
            &server,
            http,
            &format!("{path}?watch=true&resourceVersion={}", admin.http.revision(path)),
        )
    };
    let watches = [
        watch(TOKENS, &admin.http),
        watch(TOKENS, &admin.http.with("Accept", TABLE)),
        watch(&format!("{MANAGEMENT}/users"), &admin.http),
        watch(&format!("{MANAGEMENT}/settings"), &admin.http),
    ];

    // Logins, good and bad, through every door.
    let plain = server.anonymous();
    let login = |path: &str, body: serde_json::Value| plain.post(path, &body);
    let json_login =
        login(LOGIN, json!({"username": "ann", "password": ann_password, "responseType": "json"})).want(201);
    let session = text(&json_login["token"]);
    once.push(("a session".into(), session.split_once(':').unwrap().1.to_owned()));
    let newer = login(
        "/v1-public/login",
        json!({"type": "localProvider", "username": "ann", "password": ann_password, "responseType": "json"}),
    )
    .want(201);
    once.push(("a newer session".into(), text(&newer["token"]).split_once(':').unwrap().1.to_owned()));
    let cookie = login(LOGIN, json!({"username": "ann", "password": ann_password, "responseType": "cookie"}));
    let value = cookie
        .all("set-cookie")
        .iter()
        .find_map(|c| Some(c.strip_prefix("R_SESS=")?.split(';').next()?.to_owned()))
        .unwrap();
    once.push(("a cookie".into(), value.split_once(':').unwrap().1.to_owned()));
    for wrong in ["canary-wrong-password-0002", "canary-wrong-password-0003"] {
        never.push(("a wrong password".into(), wrong.into()));
        login(LOGIN, json!({"username": "ann", "password": wrong}));
        login("/v1-public/login", json!({"type": "localProvider", "username": wrong, "password": wrong}));
        plain.send("POST", LOGIN, "application/json", Some(format!("{{\"password\":\"{wrong}\"").as_bytes()));
        plain.send(
            "POST",
            LOGIN,
            "application/json",
            Some(format!("{{\"password\":[\"{wrong}\"]}}").as_bytes()),
        );
        admin.http.post("/v3/users", &json!({"username": "ann", "password": wrong}));
        admin.http.post("/v3/users", &json!({"username": "new", "password": {"x": wrong}}));
        admin.http.post(
            &format!("{MANAGEMENT}/users?fieldValidation=Strict"),
            &json!({"metadata": {"generateName": "u-"}, "password": wrong}),
        );
        admin.http.post(
            &format!("{MANAGEMENT}/users?fieldValidation=Warn"),
            &json!({"metadata": {"generateName": "u-"}, "password": wrong, "username": "w"}),
        );
        plain.bearer(wrong).get(TOKENS);
        plain.bearer(&format!("token-zzzzz:{wrong}")).get(TOKENS);
        plain.bearer(&format!("ext/token-zzzzz:{wrong}")).get("/v3/users");
        plain.with("Cookie", &format!("R_SESS=token-zzzzz:{wrong}")).get(TOKENS);
        plain.with("Authorization", &format!("Basic {wrong}")).get(TOKENS);
    }

    // Tokens, made, used, changed, refused.
    let ann = Person {
        id: id.clone(),
        username: "ann".into(),
        password: ann_password.into(),
        http: plain.bearer(&session),
        kubectl: server.kubectl(&session),
        bearer: session,
    };
    // The create's reply shows the secret twice: as `value`, and within `bearerToken`.
    let mut twice = Vec::new();
    for accept in ["application/json", "application/json;pretty=1"] {
        let reply =
            ann.http.with("Accept", accept).post(TOKENS, &json!({"spec": {"description": "c"}})).want(201);
        twice.push((
            text(&reply["metadata"]["name"]),
            text(&reply["status"]["value"]),
            text(&reply["status"]["bearerToken"]),
        ));
    }
    for (name, value, bearer) in &twice {
        let http = plain.bearer(bearer);
        http.get(&token(name)).want(200);
        http.get(TOKENS).want(200);
        http.with("Accept", TABLE).get(&format!("{TOKENS}?includeObject=Object")).want(200);
        http.with("Accept", "application/yaml").get(TOKENS);
        http.merge(&token(name), &json!({"spec": {"description": "d"}})).want(200);
        http.patch(
            &token(name),
            JSON_PATCH,
            &json!([{"op": "test", "path": "/status/value", "value": value}]),
        );
        http.merge(&token(name), &json!({"status": {"value": "x"}}));
        http.put(&token(name), &http.get(&token(name)).json());
        http.get("/nowhere");
        http.post("/v3/tokens?action=nothing", &json!({}));
        http.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", &json!({})).want(201);
        http.get(&format!("{TOKENS}?labelSelector=a%20b"));
        plain.bearer(&format!("{bearer}x")).get(TOKENS);
        plain.bearer(&bearer.replace("ext/", "")).get(TOKENS);
    }
    ann.http.post(&format!("{TOKENS}?dryRun=All"), &json!({})).want(201);
    // Passwords changed, rightly and wrongly.
    let new = "canary-new-password-0004";
    never.push(("a new password".into(), new.into()));
    let requests = "/apis/ext.cattle.io/v1/passwordchangerequests";
    let change = |current: &str, new: &str| json!({"spec": {"userID": id, "currentPassword": current, "newPassword": new}});
    ann.http.post(requests, &change("canary-wrong-password-0005", new));
    never.push(("a wrong current password".into(), "canary-wrong-password-0005".into()));
    ann.http.post(
        &format!("{requests}?fieldValidation=Strict"),
        &json!({"spec": {"userID": id, "currentPassword": [ann_password], "newPassword": {"x": new}}}),
    );
    ann.http.post(
        &format!("{requests}?fieldValidation=Strict"),
        &json!({"spec": {"userID": id, "password": new, "newPassword": new}}),
    );
    ann.http.post(requests, &change(ann_password, new)).want(201);
    admin.http.post(
        &format!("/v3/users/{id}?action=setpassword"),
        &json!({"newPassword": "canary-set-password-0006"}),
    );
    never.push(("a set password".into(), "canary-set-password-0006".into()));

    // kubectl too, if there is one.
    if !eartag_tests::kubectl::missing() {
        let manifest = "apiVersion: ext.cattle.io/v1\nkind: Token\n";
        let kubectl: &Kubectl = &ann.kubectl;
        let value = kubectl.input(&["create", "-o", "jsonpath={.status.value}", "-f", "-"], manifest).ok();
        once.push(("kubectl's token".into(), value));
        kubectl.ok(&["get", "tokens.ext.cattle.io", "-o", "yaml", "--show-managed-fields"]);
        kubectl.ok(&["describe", "tokens.ext.cattle.io"]);
    }
    admin.http.get("/metrics");
    admin.http.get("/readyz?verbose");
    admin.http.get("/v3/users");
    for resource in ["users", "settings", "features", "globalroles", "globalrolebindings", "clusters"] {
        admin.http.get(&format!("{MANAGEMENT}/{resource}"));
    }
    admin.http.delete(&token(&twice[1].0)).want(200);
    admin.http.get(&token(&twice[0].0)).want(200);
    // Each watch has a last event, with which all before it were received.
    admin.http.merge(&format!("{MANAGEMENT}/users/{id}"), &json!({"displayName": "Last"})).want(200);
    let setting = format!("{MANAGEMENT}/settings/auth-user-session-ttl-minutes");
    admin.http.merge(&setting, &json!({"value": "600"})).want(200);
    let [tokens, rows, users, settings] = &watches;
    for stream in [tokens, rows] {
        while stream.next().kind != "DELETED" {}
    }
    while users.next().object["displayName"] != "Last" {}
    settings.next();
    drop(watches);

    let backup = server.scratch().join("backup.db");
    let (code, _, err) = eartag_tests::server::run(
        &["backup", "--data-dir", &server.data().display().to_string(), &backup.display().to_string()],
        &[],
        server.scratch(),
    );
    assert_eq!(code, 0, "{err}");
    let kubeconfigs = server.data().join("kubeconfig");
    let mut places = Vec::new();
    files(server.data(), &kubeconfigs, &mut places);
    places.push(backup);
    let running: Vec<(std::path::PathBuf, Vec<u8>)> =
        places.iter().map(|p| (p.clone(), std::fs::read(p).unwrap())).collect();
    assert!(running.iter().any(|(p, bytes)| p.ends_with("eartag.db") && !bytes.is_empty()));
    server.terminate();
    let mut after = Vec::new();
    files(server.data(), &kubeconfigs, &mut after);
    after.extend(server.outputs());
    let after: Vec<_> = after.iter().map(|p| (p.clone(), std::fs::read(p).unwrap())).collect();
    let logged = server.outputs().iter().map(|p| std::fs::metadata(p).unwrap().len()).sum::<u64>();
    assert!(logged > 5_000, "the log at level trace is nearly empty: {logged} bytes");

    let tape = server.tape();
    assert!(tape.len() > 80);
    for (what, secret) in &once {
        let found = tape.find(secret);
        assert_eq!(found.len(), 1, "{what} was in {found:?}");
    }
    for (_, value, bearer) in &twice {
        let found = tape.find(value);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0], found[1], "both in the reply of the create");
        assert_eq!(tape.find(bearer).len(), 1);
    }
    for (what, secret) in &never {
        assert_eq!(tape.find(secret), Vec::<String>::new(), "{what}");
    }
    let secrets =
        once.iter().chain(&never).map(|(_, s)| s.clone()).chain(twice.iter().map(|(_, v, _)| v.clone()));
    for secret in secrets {
        for form in forms(&secret) {
            for (path, bytes) in running.iter().chain(&after) {
                assert_eq!(count(bytes, &form), 0, "{secret} in {}", path.display());
            }
        }
    }
}
