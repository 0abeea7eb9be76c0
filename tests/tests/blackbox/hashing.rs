//! Token hashing: one way, for old tokens and new ones, across a crash, and no secret in clear with the flag off or on.

use std::path::{Path, PathBuf};

use eartag_tests::people::{LOGIN, login};
use eartag_tests::tape::count;
use eartag_tests::v3::{LEGACY, key, system_token, works};
use eartag_tests::wait::PATIENCE;
use eartag_tests::{BOOTSTRAP_PASSWORD, Http, MANAGEMENT, Server, needs_kubectl, wait};
use serde_json::{Value, json};

const HASHED: &str = "authn.management.cattle.io/token-hashed";

fn feature() -> String {
    format!("{MANAGEMENT}/features/token-hashing")
}

/// Names of the legacy tokens that lack the annotation.
fn unmarked(admin: &Http) -> Vec<String> {
    let list = admin.get(LEGACY).want(200);
    let items = list["items"].as_array().unwrap();
    let lacks = |item: &&Value| item["metadata"]["annotations"].get(HASHED) != Some(&json!("true"));
    items.iter().filter(lacks).map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn hashing_is_off_by_default_enabled_by_kubectl_and_marks_every_token_for_good() {
    needs_kubectl!();
    let mut server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let of_ann = key(&ann.http, &json!({}));
    let system = system_token(&admin.http, "telemetry", &ann.id, None);
    let shown = admin.http.get(&feature()).want(200);
    assert_eq!(
        shown["status"]["description"],
        "Enable one way hashing of tokens. Once enabled token hashing can not be disabled"
    );
    assert_eq!(shown["status"]["default"], false);
    let list = admin.http.get(LEGACY).want(200);
    assert_eq!(unmarked(&admin.http).len(), list["items"].as_array().unwrap().len(), "none is marked");
    assert!(!list.to_string().contains(HASHED));

    let patched = admin.kubectl.ok(&[
        "patch",
        "feature",
        "token-hashing",
        "--type=merge",
        "-p",
        r#"{"spec":{"value":true}}"#,
    ]);
    assert_eq!(patched.trim_end(), "feature.management.cattle.io/token-hashing patched");
    let fresh = key(&ann.http, &json!({}));
    assert_eq!(
        admin.http.get(&fresh.legacy()).want(200)["metadata"]["annotations"][HASHED],
        "true",
        "new ones at once"
    );
    wait::until("all tokens to be marked", PATIENCE, || unmarked(&admin.http).is_empty().then_some(()));
    let v3 = ann.http.get(&of_ann.path()).want(200);
    assert_eq!(v3["annotations"][HASHED], "true");
    for bearer in [&of_ann.bearer, &system.bearer, &fresh.bearer, &ann.bearer] {
        assert!(works(&server, bearer), "clients notice nothing");
    }
    let locked = admin.http.get(&feature()).want(200);
    assert_eq!(locked["status"]["lockedValue"], true);

    // There is no way back, through any door, nor after a restart.
    let text = "feature flag cannot be changed from current value: true";
    for patch in [r#"{"spec":{"value":false}}"#, r#"{"spec":{"value":null}}"#] {
        let refused =
            admin.kubectl.fails(&["patch", "feature", "token-hashing", "--type=merge", "-p", patch]);
        assert!(refused.contains(text), "{patch}: {refused}");
    }
    let refused = admin.http.put("/v3/features/token-hashing", &json!({"value": false}));
    assert_eq!(refused.v3_error(422, "InvalidBodyContent"), text);
    let deleted = admin.http.delete("/v3/features/token-hashing");
    assert!((400..500).contains(&deleted.status), "{}", deleted.text());
    server.terminate();
    server.launch();
    let admin = server.admin();
    assert_eq!(admin.http.get(&feature()).want(200)["status"]["lockedValue"], true);
    assert_eq!(unmarked(&admin.http), Vec::<String>::new());
    assert!(works(&server, &of_ann.bearer) && works(&server, &fresh.bearer));
    let again = admin.http.merge(&feature(), &json!({"spec": {"value": true}}));
    again.want(200);
    // Clients cannot take the mark away, nor set it.
    admin.http.merge(&of_ann.legacy(), &json!({"metadata": {"annotations": {HASHED: null, "note": "x"}}}));
    assert_eq!(unmarked(&admin.http), Vec::<String>::new());
}

#[test]
fn hashing_is_enabled_over_v3_and_by_admins_only() {
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let path = "/v3/features/token-hashing";
    let shown = ann.http.get(path).want(200);
    assert_eq!((&shown["id"], &shown["type"]), (&json!("token-hashing"), &json!("feature")));
    assert_eq!(ann.http.put(path, &json!({"value": true})).status, 403);
    for bad in [json!({"value": "true"}), json!({"value": 1})] {
        assert_eq!(admin.http.put(path, &bad).status, 422, "{bad}");
    }
    assert_eq!(
        admin.http.get(&feature()).want(200)["status"].get("lockedValue").unwrap_or(&Value::Null),
        &Value::Null
    );
    assert_eq!(admin.http.put(path, &json!({"value": true})).want(200)["value"], true);
    wait::until("all tokens to be marked", PATIENCE, || unmarked(&admin.http).is_empty().then_some(()));
    let off = admin.http.put(path, &json!({"value": false}));
    assert_eq!(
        off.v3_error(422, "InvalidBodyContent"),
        "feature flag cannot be changed from current value: true"
    );
    // The mark cannot be forged either way: a login after it has it too.
    login(&server.anonymous(), "admin", BOOTSTRAP_PASSWORD).want(201);
    assert_eq!(unmarked(&admin.http), Vec::<String>::new());
}

#[test]
fn a_kill_in_the_middle_of_marking_loses_nothing() {
    let mut server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let keys: Vec<_> = (0..300).map(|n| key(&ann.http, &json!({"description": format!("{n}")}))).collect();
    admin.http.merge(&feature(), &json!({"spec": {"value": true}})).want(200);
    for round in 0..3 {
        server.kill();
        server.launch();
        eprintln!("round {round}: {} unmarked", unmarked(&server.admin().http).len());
    }
    let admin = server.admin();
    assert_eq!(
        admin.http.get(&feature()).want(200)["status"]["lockedValue"],
        true,
        "what was answered stays"
    );
    wait::until("all tokens to be marked", PATIENCE, || unmarked(&admin.http).is_empty().then_some(()));
    for token in keys.iter().step_by(17) {
        assert!(works(&server, &token.bearer));
    }
}

/// Every file under a directory, but for the kubeconfigs, which are there for their secrets.
fn files(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("kubeconfig") {
            files(&path, out);
        } else if path.is_file() {
            out.push(path);
        }
    }
}

/// Looks for each secret, plain and in base64, in every file of the data directory and in a backup.
fn nowhere(server: &Server, secrets: &[String], when: &str) {
    use base64::Engine as _;
    let backup = server.scratch().join(format!("backup-{}.db", when.replace(' ', "-")));
    let (code, _, err) = eartag_tests::server::run(
        &["backup", "--data-dir", &server.data().display().to_string(), &backup.display().to_string()],
        &[],
        server.scratch(),
    );
    assert_eq!(code, 0, "{err}");
    let mut places = vec![backup];
    files(server.data(), &mut places);
    assert!(places.iter().any(|p| p.ends_with("eartag.db")));
    places.extend(server.outputs());
    for place in &places {
        let bytes = std::fs::read(place).unwrap();
        for secret in secrets {
            assert_eq!(count(&bytes, secret.as_bytes()), 0, "{when}: a secret in {}", place.display());
            for skip in 0..3 {
                let part = &secret.as_bytes()[skip..skip + 48];
                let coded = base64::engine::general_purpose::STANDARD_NO_PAD.encode(part);
                assert_eq!(count(&bytes, coded.as_bytes()), 0, "{when}: a secret in {}", place.display());
            }
        }
    }
}

#[test]
fn no_file_and_no_backup_holds_a_secret_with_the_flag_off_and_on() {
    let mut server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let mut secrets = Vec::new();
    let mut make = |server: &Server| {
        let (admin, plain) = (server.admin(), server.anonymous());
        let ann = plain.bearer(&ann.bearer);
        secrets.push(key(&ann, &json!({})).secret().to_owned());
        for kind in ["kubeconfig", "kubectl-shell", "agent", "compose", "helm", "telemetry", "drain-node"] {
            secrets.push(system_token(&admin.http, kind, &admin.id, None).secret().to_owned());
        }
        secrets.push(admin.mint(json!({})).value);
        let body = json!({"username": "admin", "password": BOOTSTRAP_PASSWORD, "responseType": "cookie"});
        let cookie = plain.post(LOGIN, &body);
        let value =
            cookie.all("set-cookie").into_iter().find(|c| c.starts_with("R_SESS=")).unwrap().to_owned();
        secrets.push(value.split(';').next().unwrap().rsplit(':').next().unwrap().to_owned());
        let json = login(&plain, "admin", BOOTSTRAP_PASSWORD).want(201);
        secrets.push(json["token"].as_str().unwrap().rsplit(':').next().unwrap().to_owned());
        assert!(secrets.iter().all(|secret| secret.len() == 54), "{secrets:?}");
        secrets.clone()
    };
    let made = make(&server);
    nowhere(&server, &made, "flag off");
    // Imported in clear they would be: a body cannot bring a secret of its own.
    let clear = "bcdfghjklmnpqrstvwxz2456789bcdfghjklmnpqrstvwxz2456789";
    let refused = admin.http.post(
        LEGACY,
        &json!({"apiVersion": "management.cattle.io/v3", "kind": "Token", "userId": admin.id, "token": clear,
            "metadata": {"name": "agent-x", "labels": {"authn.management.cattle.io/kind": "agent"}}}),
    );
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert!(!refused.text().contains(clear), "{}", refused.text());

    admin.http.merge(&feature(), &json!({"spec": {"value": true}})).want(200);
    wait::until("all tokens to be marked", PATIENCE, || unmarked(&admin.http).is_empty().then_some(()));
    let mut made = make(&server);
    made.push(clear.to_owned());
    nowhere(&server, &made, "flag on");
    server.terminate();
    nowhere(&server, &made, "stopped");
    // And each was shown in one reply.
    for secret in made.iter().filter(|secret| *secret != clear) {
        let found = server.tape().find(secret);
        assert!(found.len() == 1 || found.iter().all(|f| f.contains("ext.cattle.io")), "{found:?}");
    }
}
