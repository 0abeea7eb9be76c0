//! The settings of the second seed: defaults, units, what is refused and how they bound each other, at both doors.

use eartag_tests::http::text;
use eartag_tests::people::{LOGIN, login};
use eartag_tests::v3::{key, set};
use eartag_tests::{BOOTSTRAP_PASSWORD, Http, MANAGEMENT, Server, Setup, needs_kubectl};
use serde_json::{Value, json};

/// Name, default, and a word of its meaning: the seed's five, and those that go with them.
const DEFAULTS: [(&str, &str); 14] = [
    ("auth-user-session-ttl-minutes", "960"),
    ("kubeconfig-default-token-ttl-minutes", "0"),
    ("kubeconfig-token-ttl-minutes", "960"),
    ("auth-token-max-ttl-minutes", "129600"),
    ("kubeconfig-generate-token", "true"),
    ("auth-user-session-idle-ttl-minutes", "960"),
    ("disable-inactive-user-after", ""),
    ("delete-inactive-user-after", ""),
    ("user-retention-cron", ""),
    ("user-retention-dry-run", "false"),
    ("user-last-login-default", ""),
    ("password-min-length", "12"),
    ("auth-user-info-max-age-seconds", "3600"),
    ("auth-user-info-resync-cron", "0 0 * * *"),
];

fn path(name: &str) -> String {
    format!("/v3/settings/{name}")
}

fn kubernetes(name: &str) -> String {
    format!("{MANAGEMENT}/settings/{name}")
}

fn write(http: &Http, name: &str, value: &str) -> eartag_tests::Reply {
    http.put(&path(name), &json!({"value": value}))
}

#[test]
fn the_settings_have_the_seeds_names_and_defaults_and_can_be_written_and_reset() {
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let list = admin.http.get("/v3/settings").want(200);
    for (name, default) in DEFAULTS {
        let item = list["data"].as_array().unwrap().iter().find(|s| s["id"] == name);
        let item = item.unwrap_or_else(|| panic!("no {name}"));
        assert_eq!((&item["type"], &item["name"]), (&json!("setting"), &json!(name)));
        assert_eq!((&item["value"], &item["default"]), (&json!(default), &json!(default)), "{name}");
        assert_eq!((&item["customized"], &item["source"]), (&json!(false), &json!("default")), "{name}");
        assert_eq!(item["links"]["update"], format!("{}{}", server.url(), path(name)), "{name}");
        let stored = admin.http.get(&kubernetes(name)).want(200);
        assert_eq!(stored["default"], default, "{name}");
        assert_eq!(ann.http.get(&path(name)).want(200)["default"], default, "users read them");
        assert_eq!(write(&ann.http, name, "1").status, 403, "and do not write them");
        assert_eq!(ann.http.get(&path(name)).want(200)["links"].get("update"), None);
    }
    let name = "auth-token-max-ttl-minutes";
    let written = write(&admin.http, name, "60").want(200);
    assert_eq!(
        (&written["value"], &written["customized"], &written["source"]),
        (&json!("60"), &json!(true), &json!("db"))
    );
    assert_eq!(admin.http.get(&kubernetes(name)).want(200)["value"], "60");
    assert_eq!(key(&ann.http, &json!({})).object["ttl"], 3_600_000);
    // What kubectl writes shows here.
    admin.http.merge(&kubernetes(name), &json!({"value": "120"})).want(200);
    assert_eq!(admin.http.get(&path(name)).want(200)["value"], "120");
    // Empty means: the default.
    let reset = write(&admin.http, name, "").want(200);
    assert_eq!(
        (&reset["value"], &reset["customized"], &reset["source"]),
        (&json!("129600"), &json!(false), &json!("default"))
    );
    // The default cannot be written, nor the name.
    let odd = admin.http.put(
        &path(name),
        &json!({"value": "60", "default": "1", "name": "x", "source": "env", "customized": false}),
    );
    let odd = odd.want(200);
    assert_eq!(
        (&odd["default"], &odd["name"], &odd["source"]),
        (&json!("129600"), &json!(name), &json!("db"))
    );
}

#[test]
fn bad_values_are_refused_with_the_reason_and_change_nothing() {
    let server = Server::start();
    let admin = server.admin();
    let cases = [
        (
            "auth-user-session-ttl-minutes",
            "abc",
            "value: Invalid value: \"abc\": strconv.ParseInt: parsing \"abc\": invalid syntax",
        ),
        ("auth-user-session-ttl-minutes", "-1", "value: Invalid value: \"-1\": negative value"),
        ("auth-user-session-ttl-minutes", "1.5", "invalid syntax"),
        (
            "auth-user-session-idle-ttl-minutes",
            "0",
            "value: Invalid value: \"0\": negative value or less than 1 minute",
        ),
        (
            "auth-user-session-idle-ttl-minutes",
            "961",
            "value: Forbidden: can't be greater than auth-user-session-ttl-minutes",
        ),
        (
            "disable-inactive-user-after",
            "7d",
            "value: Invalid value: \"7d\": time: unknown unit \"d\" in duration \"7d\"",
        ),
        ("disable-inactive-user-after", "-1h", "negative value"),
        (
            "disable-inactive-user-after",
            "1h",
            "value: Forbidden: can't be less than auth-user-session-ttl-minutes",
        ),
        ("delete-inactive-user-after", "335h", "value: Forbidden: must be at least 336h0m0s"),
        ("user-retention-cron", "often", "value: Invalid value: \"often\""),
        ("user-last-login-default", "yesterday", "value: Invalid value: \"yesterday\": parsing time"),
        ("user-retention-dry-run", "perhaps", "value: Invalid value: \"perhaps\""),
        ("auth-token-max-ttl-minutes", "90d", "value: Invalid value: \"90d\""),
        ("auth-token-max-ttl-minutes", "-1", "value: Invalid value: \"-1\""),
        ("auth-token-max-ttl-minutes", "NaN", "value: Invalid value"),
        ("auth-token-max-ttl-minutes", "1e400", "value: Invalid value"),
        ("kubeconfig-generate-token", "maybe", "value: Invalid value: \"maybe\""),
        ("kubeconfig-default-token-ttl-minutes", "x", "value: Invalid value: \"x\""),
        ("password-min-length", "-3", "value: Invalid value: \"-3\""),
    ];
    for (name, value, said) in cases {
        let reply = write(&admin.http, name, value);
        assert_eq!(reply.status, 422, "{name}={value}: {}", reply.text());
        let error = reply.json();
        let message = reply.v3_error(422, error["code"].as_str().unwrap());
        assert!(message.contains(said), "{name}={value}: {message}");
        let through_kubectls_door = admin.http.merge(&kubernetes(name), &json!({"value": value}));
        assert_eq!(through_kubectls_door.status, 422, "{name}={value}: {}", through_kubectls_door.text());
        assert!(through_kubectls_door.message().contains(said), "{}", through_kubectls_door.text());
    }
    for body in [json!({"value": 1}), json!({"value": ["x"]}), json!({"value": true})] {
        let reply = admin.http.put(&path("password-min-length"), &body);
        assert_eq!(reply.status, 422, "{body}: {}", reply.text());
    }
    for (name, default) in DEFAULTS {
        assert_eq!(admin.http.get(&path(name)).want(200)["value"], default, "{name}");
    }
}

#[test]
fn a_kubeconfig_ttl_above_the_maximum_is_refused_and_a_lower_maximum_accepted() {
    let server = Server::start();
    let admin = server.admin();
    set(&admin.http, "auth-token-max-ttl-minutes", "1000");
    for name in ["kubeconfig-default-token-ttl-minutes", "kubeconfig-token-ttl-minutes"] {
        let reply = write(&admin.http, name, "1000.5");
        assert_eq!(reply.status, 422, "{name}: {}", reply.text());
        let said = text(&reply.json()["message"]);
        assert!(
            said.contains("max ttl for tokens is [1000]") || said.contains("auth-token-max-ttl-minutes"),
            "{said}"
        );
        assert_eq!(write(&admin.http, name, "1000").want(200)["value"], "1000");
    }
    // The deprecated one says so.
    let reply = write(&admin.http, "kubeconfig-token-ttl-minutes", "500");
    assert_eq!(reply.status, 200, "{}", reply.text());
    let through_kubectls_door =
        admin.http.merge(&kubernetes("kubeconfig-token-ttl-minutes"), &json!({"value": "400"}));
    through_kubectls_door.want(200);
    let warning = through_kubectls_door.header("warning").unwrap_or_default();
    assert!(warning.contains("deprecated"), "{warning}");
    // Lowering the maximum is always accepted; what is above it is clamped at use.
    set(&admin.http, "auth-token-max-ttl-minutes", "60");
    assert_eq!(admin.http.get(&path("kubeconfig-default-token-ttl-minutes")).want(200)["value"], "1000");
    // With no maximum any ttl is accepted, 0 always.
    set(&admin.http, "auth-token-max-ttl-minutes", "0");
    set(&admin.http, "kubeconfig-default-token-ttl-minutes", "99999999");
    set(&admin.http, "auth-token-max-ttl-minutes", "60");
    set(&admin.http, "kubeconfig-default-token-ttl-minutes", "0");
}

#[test]
fn the_session_ttl_is_not_bounded_by_the_maximum() {
    let server = Server::start();
    let admin = server.admin();
    set(&admin.http, "auth-token-max-ttl-minutes", "1");
    set(&admin.http, "auth-user-session-ttl-minutes", "99999");
    let made = server
        .anonymous()
        .post(LOGIN, &json!({"username": "admin", "password": BOOTSTRAP_PASSWORD}))
        .want(201);
    let shown = admin.http.get(&format!("/v3/tokens/{}", text(&made["id"]))).want(200);
    assert_eq!(shown["ttl"], 99_999 * 60_000_i64);
}

#[test]
fn a_name_that_differs_in_case_is_answered_with_the_right_one() {
    let server = Server::start();
    let admin = server.admin();
    let wrong = "kubeconfig-default-token-TTL-minutes";
    let right = "kubeconfig-default-token-ttl-minutes";
    for reply in [admin.http.get(&path(wrong)), write(&admin.http, wrong, "1")] {
        let said = reply.v3_error(404, "NotFound");
        assert!(said.contains(right), "{said}");
    }
    let said = admin.http.get(&kubernetes(wrong)).refused(404, "NotFound");
    assert!(said.contains(right), "{said}");
    let said = admin.http.get(&path("no-such-setting")).v3_error(404, "NotFound");
    assert_eq!(said, "settings.management.cattle.io \"no-such-setting\" not found");
}

#[test]
fn settings_are_read_and_written_by_kubectl() {
    needs_kubectl!();
    let server = Server::start();
    let admin = server.admin();
    let name = "auth-token-max-ttl-minutes";
    let patched = admin.kubectl.ok(&["patch", "setting", name, "--type=merge", "-p", r#"{"value":"30"}"#]);
    assert_eq!(patched.trim_end(), format!("setting.management.cattle.io/{name} patched"));
    assert_eq!(admin.kubectl.ok(&["get", "setting", name, "-o", "jsonpath={.value}"]), "30");
    let refused = admin.kubectl.fails(&["patch", "setting", name, "--type=merge", "-p", r#"{"value":"x"}"#]);
    assert!(refused.contains("value: Invalid value: \"x\""), "{refused}");
    let deprecated = admin.kubectl.run(&[
        "patch",
        "setting",
        "kubeconfig-token-ttl-minutes",
        "--type=merge",
        "-p",
        r#"{"value":"20"}"#,
    ]);
    assert_eq!(deprecated.code, 0, "{}", deprecated.err);
    assert!(
        deprecated.err.contains("Warning:") && deprecated.err.contains("deprecated"),
        "{}",
        deprecated.err
    );
    let table = admin.kubectl.ok(&["get", "settings"]);
    assert!(table.contains(name), "{table}");
}

#[test]
fn an_environment_variable_overrides_a_setting_and_makes_it_read_only() {
    let mut server = Setup::default().env("CATTLE_AUTH_TOKEN_MAX_TTL_MINUTES", "45").start();
    let admin = server.admin();
    let name = "auth-token-max-ttl-minutes";
    let shown = admin.http.get(&path(name)).want(200);
    assert_eq!(
        (&shown["value"], &shown["source"], &shown["customized"]),
        (&json!("45"), &json!("env"), &json!(true))
    );
    assert_eq!(shown["links"].get("update"), None);
    assert_eq!(key(&admin.http, &json!({})).object["ttl"], 45 * 60_000);
    let said = write(&admin.http, name, "90").v3_error(405, "MethodNotAllow");
    assert_eq!(said, format!("{name} is readOnly because its value is from environment variable"));
    let refused = admin.http.merge(&kubernetes(name), &json!({"value": "90"}));
    assert!((400..500).contains(&refused.status), "{}", refused.text());
    assert_eq!(admin.http.get(&kubernetes(name)).want(200)["value"], "45");
    server.terminate();

    // A bad value: the server does not start and says which.
    let (code, _, err) = eartag_tests::server::run(
        &[
            "serve",
            "--data-dir",
            &server.scratch().join("other").display().to_string(),
            "--listen",
            "127.0.0.1:0",
        ],
        &[("CATTLE_KUBECONFIG_DEFAULT_TOKEN_TTL_MINUTES", "1h")],
        server.scratch(),
    );
    assert_ne!(code, 0);
    assert!(err.contains("CATTLE_KUBECONFIG_DEFAULT_TOKEN_TTL_MINUTES") && err.contains("1h"), "{err}");
}

#[test]
fn public_settings_are_read_without_credentials_and_no_other() {
    let server = Server::start();
    let plain = server.anonymous();
    let public =
        ["cacerts", "first-login", "ui-banners", "ui-issues", "ui-pl", "ui-brand", "ui-default-landing"];
    for name in public {
        let shown = plain.get(&path(name)).want(200);
        assert_eq!((&shown["id"], &shown["type"]), (&json!(name), &json!("setting")));
        assert_eq!(shown["links"].get("update"), None, "{name}");
    }
    let certificate = text(&plain.get(&path("cacerts")).json()["value"]);
    assert_eq!(certificate.trim(), std::fs::read_to_string(server.ca_file()).unwrap().trim());
    for (name, _) in DEFAULTS {
        plain.get(&path(name)).filtered();
    }
    for name in ["server-version", "server-url", "k8s-version", "nothing", "CACERTS"] {
        plain.get(&path(name)).filtered();
    }
    let list = plain.get("/v3/settings");
    if list.status == 200 {
        let names = eartag_tests::v3::ids(&list.json());
        assert!(names.iter().all(|name| public.contains(&name.as_str())), "{names:?}");
    } else {
        list.filtered();
    }
    for name in public {
        write(&plain, name, "x").filtered();
        plain.delete(&path(name)).filtered();
    }
    // A bad credential is no lack of one.
    plain.bearer("token-zzzzz:x").get(&path("cacerts"));
    let admin = server.admin();
    assert_eq!(write(&admin.http, "cacerts", "x").v3_error(405, "MethodNotAllow"), "cacerts is readOnly");
    assert_eq!(admin.http.get(&path("first-login")).want(200)["value"], "true");
}

#[test]
fn the_maximum_may_be_a_decimal_and_the_session_ttl_may_not() {
    let server = Server::start();
    let admin = server.admin();
    set(&admin.http, "auth-token-max-ttl-minutes", "0.5");
    assert_eq!(key(&admin.http, &json!({})).object["ttl"], 30_000);
    assert_eq!(write(&admin.http, "auth-user-session-ttl-minutes", "0.5").status, 422);
    login(&server.anonymous(), "admin", BOOTSTRAP_PASSWORD).want(201);
}

#[test]
fn what_real_clients_ask_for_at_their_start_is_there() {
    let server = Server::start();
    let admin = server.admin();
    assert_eq!(server.anonymous().get("/ping").text(), "pong");
    for name in
        ["server-version", "server-url", "ui-default-landing", "first-login", "k8s-version", "cacerts"]
    {
        assert_eq!(admin.http.get(&path(name)).want(200)["id"], name);
    }
    let cluster = admin.http.get("/v3/clusters/local").want(200);
    let conditions = cluster["conditions"].as_array().unwrap_or_else(|| panic!("{cluster}"));
    let updated =
        conditions.iter().find(|c| c["type"] == "Updated").unwrap_or_else(|| panic!("{conditions:?}"));
    assert_eq!(updated["status"], "True");
    assert_eq!(admin.http.get("/v3/projects").want(200)["data"], json!([]));
    let schemas = admin.http.get("/v3/schemas").want(200);
    let schema = |id: &str| -> Value {
        let all = schemas["data"].as_array().unwrap();
        all.iter().find(|s| s["id"] == id).unwrap_or_else(|| panic!("no schema {id}")).clone()
    };
    for id in ["token", "user", "setting", "feature", "globalRole", "globalRoleBinding", "cluster", "project"]
    {
        let schema = schema(id);
        assert_eq!(schema["type"], "schema", "{id}");
        assert!(schema["resourceFields"].is_object() && schema["collectionMethods"].is_array(), "{schema}");
        assert_eq!(admin.http.get(&format!("/v3/schemas/{id}")).want(200)["id"], id);
        let collection = text(&schema["links"]["collection"]);
        let path = collection.strip_prefix(&server.url()).unwrap().to_owned();
        assert_eq!(admin.http.get(&path).want(200)["resourceType"], id);
    }
    let token = schema("token");
    for action in ["logout", "logoutAll"] {
        assert!(token["collectionActions"].get(action).is_some(), "{token}");
    }
    let root = admin.http.get("/v3").want(200);
    for collection in ["tokens", "users", "settings", "features", "clusters", "projects"] {
        assert_eq!(root["links"][collection], format!("{}/v3/{collection}", server.url()));
    }
}
