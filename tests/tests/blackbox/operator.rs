//! The operator's contract (DESIGN §6): flags, files, exit codes, health, logs, backup.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use eartag_tests::http::text;
use eartag_tests::people::{login, token};
use eartag_tests::server::{free_port, run};
use eartag_tests::wait::PATIENCE;
use eartag_tests::{BOOTSTRAP_PASSWORD, Server, Setup, TOKENS, wait};
use serde_json::{Value, json};

/// Runs `eartag …` where it must fail, and wants one sentence on standard error.
#[track_caller]
fn refused(args: &[&str], dir: &Path) -> String {
    let (code, _, err) = run(args, &[], dir);
    assert_eq!(code, 1, "eartag {}: {err}", args.join(" "));
    let said: Vec<&str> = err.lines().filter(|l| !l.contains(" INFO ") && !l.contains(" WARN ")).collect();
    assert_eq!(said.len(), 1, "one sentence, not: {err}");
    assert!(said[0].starts_with("eartag: "), "{err}");
    assert!(!err.contains("panicked") && !err.contains("Os {"), "{err}");
    said[0].to_owned()
}

fn text_of(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn a_first_start_writes_its_files_for_the_owner_alone() {
    let server = Server::start();
    for file in ["kubeconfig/admin.yaml", "kubeconfig/system-admin.yaml", "keys/root.key", "eartag.db"] {
        let mode = std::fs::metadata(server.data().join(file))
            .unwrap_or_else(|e| panic!("{file}: {e}"))
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "{file}: {mode:o}");
    }
    for file in ["kubeconfig/admin.yaml", "kubeconfig/system-admin.yaml"] {
        let mode = std::fs::metadata(server.data().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}: {mode:o}");
    }
    let admin = server.admin();
    let own = admin.http.get(TOKENS).want(200);
    assert_eq!(own["items"].as_array().unwrap().len(), 1);
    assert_eq!(own["items"][0]["spec"]["kind"], "kubeconfig");
    assert_eq!(own["items"][0]["status"]["current"], true);
    let user = admin.http.get(&admin.path()).want(200);
    assert_eq!(
        (user["username"].as_str(), user["displayName"].as_str()),
        (Some("admin"), Some("Default Admin"))
    );
    assert_eq!(user["metadata"]["labels"]["authz.management.cattle.io/bootstrapping"], "admin-user");
    let root = server.system_admin_http();
    assert_eq!(root.whoami().as_deref(), Some("system:admin"));
    root.get(TOKENS).want(200);
}

#[test]
fn a_generated_password_is_printed_once() {
    let server = Setup::default().env("CATTLE_BOOTSTRAP_PASSWORD", "").start();
    let greeting = |server: &Server| {
        wait::until("the greeting", PATIENCE, || Some(server.stdout()).filter(|o| o.contains("readyz")))
    };
    let out = greeting(&server);
    let password = out
        .lines()
        .map(str::trim)
        .find(|l| l.len() == 54 && !l.contains(' '))
        .unwrap_or_else(|| panic!("{out}"))
        .to_owned();
    assert_eq!(out.matches(&password).count(), 1);
    login(&server.anonymous(), "admin", &password).want(201);
    assert!(!server.stderr().contains(&password));
    for said in ["kubectl", "admin.yaml", &server.url()] {
        assert!(out.contains(said), "{out}");
    }
    let mut server = server;
    server.terminate();
    server.launch();
    let out = greeting(&server);
    assert!(!out.contains(&password) && !out.contains("password"), "{out}");
    login(&server.anonymous(), "admin", &password).want(201);
}

#[test]
fn a_given_password_is_not_printed() {
    let server = Server::start();
    login(&server.anonymous(), "admin", BOOTSTRAP_PASSWORD).want(201);
    assert!(!server.stdout().contains(BOOTSTRAP_PASSWORD) && !server.stderr().contains(BOOTSTRAP_PASSWORD));
}

#[test]
fn the_admins_kubeconfig_comes_back_when_it_is_lost() {
    let mut server = Server::start();
    let before = server.admin();
    server.terminate();
    std::fs::remove_file(server.data().join("kubeconfig/admin.yaml")).unwrap();
    server.launch();
    let after = server.admin();
    assert_eq!(after.id, before.id);
    assert_ne!(after.bearer, before.bearer);
}

#[test]
fn a_taken_port_is_one_sentence() {
    let server = Server::start();
    let dir = server.scratch();
    let said = refused(
        &["serve", "--data-dir", &text_of(&dir.join("other")), "--listen", &server.address().to_string()],
        dir,
    );
    assert!(said.contains(&server.address().to_string()) && said.contains("in use"), "{said}");
    assert_eq!(server.anonymous().get("/readyz").status, 200);
}

#[test]
fn a_second_server_on_the_same_directory_is_refused() {
    let server = Server::start();
    let listen = format!("127.0.0.1:{}", free_port());
    let said =
        refused(&["serve", "--data-dir", &text_of(server.data()), "--listen", &listen], server.scratch());
    assert!(said.contains("another") || said.contains("in use") || said.contains("running"), "{said}");
    server.admin().http.get(TOKENS).want(200);
}

#[test]
fn foreign_unreadable_and_damaged_data_are_refused() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let listen = format!("127.0.0.1:{}", free_port());
    let serve = |data: &Path| refused(&["serve", "--data-dir", &text_of(data), "--listen", &listen], dir);

    let foreign = dir.join("foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("eartag.db"), "this is no database, and it is longer than a hundred bytes, because a header of sqlite has so many at least.").unwrap();
    let said = serve(&foreign);
    assert!(said.contains("eartag.db"), "{said}");
    assert!(std::fs::read_to_string(foreign.join("eartag.db")).unwrap().starts_with("this is no database"));

    let file = dir.join("file");
    std::fs::write(&file, "x").unwrap();
    let said = serve(&file);
    assert!(said.contains("file"), "{said}");

    let absent = Path::new("/proc/eartag-cannot-be-here");
    let said = serve(absent);
    assert!(said.contains("/proc/eartag-cannot-be-here"), "{said}");

    // A store whose key is gone cannot be opened, and nothing is made anew over it.
    let mut server = Setup::default().data(&dir.join("mine")).start();
    server.terminate();
    std::fs::remove_file(dir.join("mine/keys/root.key")).unwrap();
    let said = serve(&dir.join("mine"));
    assert!(said.contains("root.key"), "{said}");
    std::fs::write(dir.join("mine/keys/root.key"), "nonsense").unwrap();
    let said = serve(&dir.join("mine"));
    assert!(said.contains("root.key") || said.contains("key"), "{said}");
}

#[test]
fn bad_flags_are_wrong_usage() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    for args in [
        &["serve", "--nonsense"][..],
        &["serve", "--listen", "nowhere"],
        &["serve", "--datastore", "mysql:x"],
        &["serve", "--features", "ext-tokens=perhaps"],
        &["serve", "--tls-cert", "x"],
        &["serve", "--server-url", "http://x"],
        &["serve", "--trusted-proxies", "10.0.0.0/99"],
        &["serve", "--log-format", "xml"],
        &["nonsense"],
        &[],
    ] {
        let (code, _, err) = run(args, &[], dir);
        assert_eq!(code, 2, "{args:?}: {err}");
        assert!(!err.is_empty() && !err.contains("panicked"), "{args:?}: {err}");
    }
    assert_eq!(run(&["--help"], &[], dir).0, 0);
    assert_eq!(run(&["serve", "--help"], &[], dir).0, 0);
    assert_eq!(run(&["--version"], &[], dir).0, 0);
    assert!(
        std::fs::read_dir(dir).unwrap().all(|f| f.unwrap().file_name().to_string_lossy().starts_with("run.")),
        "nothing was made"
    );
}

#[test]
fn bad_certificates_settings_and_features_stop_the_start() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let listen = format!("127.0.0.1:{}", free_port());
    std::fs::write(dir.join("bad.pem"), "no certificate").unwrap();
    let bad = text_of(&dir.join("bad.pem"));
    let absent = text_of(&dir.join("absent.pem"));
    let data = text_of(&dir.join("data"));
    let base = ["serve", "--data-dir", data.as_str(), "--listen", listen.as_str()];
    let with = |more: &[&str]| refused(&[&base[..], more].concat(), dir);
    let said = with(&["--tls-cert", &bad, "--tls-key", &bad]);
    assert!(said.contains("bad.pem"), "{said}");
    let said = with(&["--tls-cert", &absent, "--tls-key", &absent]);
    assert!(said.contains("absent.pem"), "{said}");
    let said = with(&["--client-ca", &bad]);
    assert!(said.contains("bad.pem"), "{said}");
    let said = with(&["--datastore", "etcd:http://127.0.0.1:1"]);
    assert!(said.contains("etcd"), "{said}");
    let (code, _, err) = run(&base, &[("CATTLE_AUTH_TOKEN_MAX_TTL_MINUTES", "soon")], dir);
    assert_eq!(code, 1, "{err}");
    assert!(
        err.contains("auth-token-max-ttl-minutes") || err.contains("CATTLE_AUTH_TOKEN_MAX_TTL_MINUTES"),
        "{err}"
    );
}

#[test]
fn settings_come_from_the_environment_too() {
    let server = Setup::default().env("CATTLE_AUTH_TOKEN_MAX_TTL_MINUTES", "60").start();
    let admin = server.admin();
    assert_eq!(admin.mint(json!({})).object["spec"]["ttl"], 3_600_000);
    let setting = admin
        .http
        .get(&format!("{}/settings/auth-token-max-ttl-minutes", eartag_tests::MANAGEMENT))
        .want(200);
    assert_eq!((setting["source"].as_str(), setting["default"].as_str()), (Some("env"), Some("129600")));
}

#[test]
fn sigterm_drains_and_exits_0() {
    let mut server = Server::start();
    let admin = server.admin();
    let minted = admin.mint(json!({}));
    let status = server.terminate();
    assert_eq!(status.code(), Some(0), "{}", server.stderr());
    server.launch();
    assert_eq!(server.anonymous().bearer(&minted.bearer).whoami(), Some(admin.id.clone()));
    server.signal(rustix::process::Signal::INT);
    assert_eq!(server.wait_for_exit().code(), Some(0));
}

#[test]
fn health_version_and_ping_need_no_credentials() {
    let server = Server::start();
    let plain = server.anonymous();
    for endpoint in ["readyz", "livez", "healthz"] {
        let reply = plain.get(&format!("/{endpoint}"));
        assert_eq!((reply.status, reply.text().as_str()), (200, "ok"));
        assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        let verbose = plain.get(&format!("/{endpoint}?verbose")).text();
        let lines: Vec<&str> = verbose.lines().collect();
        assert_eq!(lines.first(), Some(&"[+]ping ok"), "{verbose}");
        assert_eq!(lines.last().map(|l| l.to_string()), Some(format!("{endpoint} check passed")));
        let checks: Vec<&str> =
            lines.iter().filter_map(|l| l.strip_prefix("[+]")?.strip_suffix(" ok")).collect();
        assert_eq!(checks.len() + 1, lines.len(), "{verbose}");
        for check in &checks {
            let single = plain.get(&format!("/{endpoint}/{check}"));
            assert_eq!((single.status, single.text().as_str()), (200, "ok"), "{check}");
        }
        let without = plain.get(&format!("/{endpoint}?verbose&exclude=ping&exclude=nonsense")).text();
        assert!(without.contains("[+]ping excluded: ok"), "{without}");
        assert!(
            without.contains("warn: some health checks cannot be excluded: no matches for \"nonsense\""),
            "{without}"
        );
        assert_eq!(plain.get(&format!("/{endpoint}/nonsense")).status, 404);
    }
    let version = plain.get("/version").want(200);
    let git = text(&version["gitVersion"]);
    assert!(git.starts_with("v1."), "{git}");
    text(&version["minor"]).trim_end_matches('+').parse::<u32>().unwrap();
    let ping = plain.get("/ping");
    assert_eq!((ping.status, ping.text().as_str()), (200, "pong"));
    for path in [TOKENS, "/metrics", "/apis", "/api", "/openapi/v2", "/openapi/v3", "/"] {
        let reply = plain.get(path);
        assert!(matches!(reply.status, 401 | 403), "{path}: {} {}", reply.status, reply.text());
    }
}

#[test]
fn answers_that_are_whole_say_how_long_they_are() {
    let server = Server::start();
    let admin = server.admin();
    let made =
        admin.http.post(TOKENS, &json!({"apiVersion": "ext.cattle.io/v1", "kind": "Token", "spec": {}}));
    let name = text(&made.want(201)["metadata"]["name"]);
    let review =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": "x"}});
    for reply in [
        made,
        admin.http.get(&format!("{TOKENS}/{name}")),
        admin.http.get(&format!("{TOKENS}/nowhere")),
        admin.http.get("/v3/settings/auth-token-max-ttl-minutes"),
        admin.http.get("/v3/tokens/nowhere"),
        admin.http.post("/apis/authentication.k8s.io/v1/tokenreviews", &review),
    ] {
        let length = reply.header("content-length").and_then(|length| length.parse::<usize>().ok());
        assert_eq!(length, Some(reply.body.len()), "{:?}", reply.headers);
        assert_eq!(reply.header("transfer-encoding"), None);
    }
}

#[test]
fn metrics_are_for_those_who_may() {
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    ann.http.get("/metrics").refused(403, "Forbidden");
    let reply = admin.http.get("/metrics");
    assert_eq!(reply.status, 200);
    assert!(
        reply
            .header("content-type")
            .is_some_and(|t| t.starts_with("text/plain") || t.starts_with("application/openmetrics-text")),
        "{:?}",
        reply.headers
    );
    let text = reply.text();
    assert!(text.contains("# TYPE "), "{text}");
    let counted = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
        value.unwrap_or_else(|| panic!("no {name} in {text}"))
    };
    assert!(counted("authorization_attempts_total{result=\"denied\"}") >= 1.0, "ann's");
    assert!(counted("authorization_attempts_total{result=\"allowed\"}") >= 1.0);
    assert!(counted("authentication_attempts{result=\"success\"}") >= 2.0);
    for line in text.lines().filter(|l| !l.starts_with('#') && !l.is_empty()) {
        let value = line.rsplit(' ').next().unwrap();
        assert!(value.parse::<f64>().is_ok() || value == "+Inf", "{line}");
    }
}

#[test]
fn json_logs_are_json() {
    let mut server = Setup::default().arg("--log-format").arg("json").env("RUST_LOG", "debug").start();
    let admin = server.admin();
    admin.mint(json!({}));
    server.anonymous().bearer("nonsense:nonsense").get(TOKENS);
    server.anonymous().with("User-Agent", "new\tline\"quote").get("/nowhere");
    // Of a line that is being written, half may be there.
    assert!(server.terminate().success());
    let log = server.stderr();
    assert!(log.lines().count() > 0);
    for line in log.lines() {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        for member in ["level", "timestamp"] {
            assert!(value.get(member).is_some(), "{line}");
        }
    }
}

#[test]
fn a_backup_of_the_running_server_restores_to_the_same() {
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let (kept, revoked) = (ann.mint(json!({"description": "kept"})), ann.mint(json!({})));
    let dir = server.scratch();
    let file = dir.join("backup.db");
    let data = text_of(server.data());
    let (code, _, err) = run(&["backup", "--data-dir", &data, &text_of(&file)], &[], dir);
    assert_eq!(code, 0, "{err}");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let said = refused(&["backup", "--data-dir", &data, &text_of(&file)], dir);
    assert!(said.contains("backup.db"), "nothing is written over: {said}");
    ann.http.delete(&token(&revoked.name)).want(200);
    let later = ann.mint(json!({}));
    let seen = admin.http.get(&token(&kept.name)).want(200);
    let revision = admin.http.revision(TOKENS);

    let said = refused(&["restore", "--data-dir", &data, &text_of(&file)], dir);
    assert!(said.contains("data"), "into a directory with data: {said}");
    let other = dir.join("restored");
    let (code, out, err) = run(&["restore", "--data-dir", &text_of(&other), &text_of(&file)], &[], dir);
    assert_eq!(code, 0, "{err}");
    let told = format!("{out}{err}");
    assert!(told.contains("revoked") && told.contains("good again"), "{told}");

    let restored = Setup::default().data(&other).start();
    let root = restored.system_admin_http();
    assert!(root.revision(TOKENS) > revision);
    let plain = restored.anonymous();
    assert_eq!(plain.bearer(&kept.bearer).whoami(), Some(ann.id.clone()));
    assert_eq!(plain.bearer(&revoked.bearer).whoami(), Some(ann.id.clone()), "as it said");
    assert_eq!(plain.bearer(&later.bearer).whoami(), None);
    assert_eq!(plain.bearer(&admin.bearer).whoami(), Some(admin.id.clone()));
    login(&plain, "ann", &ann.password).want(201);
    let again = root.get(&token(&kept.name)).want(200);
    for member in ["uid", "creationTimestamp", "name", "labels"] {
        assert_eq!(again["metadata"][member], seen["metadata"][member]);
    }
    assert_eq!(again["spec"], seen["spec"]);
}

#[test]
fn a_restore_can_revoke_what_it_brings_back() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let minted = ann.mint(json!({}));
    let dir = server.scratch();
    let file = text_of(&dir.join("backup.db"));
    let (code, _, err) = run(&["backup", "--data-dir", &text_of(server.data()), &file], &[], dir);
    assert_eq!(code, 0, "{err}");
    let other = dir.join("restored");
    let (code, _, err) = run(
        &["restore", "--data-dir", &text_of(&other), "--revoke-since", "1970-01-01T00:00:00Z", &file],
        &[],
        dir,
    );
    assert_eq!(code, 0, "{err}");
    let restored = Setup::default().data(&other).start();
    for bearer in [&minted.bearer, &ann.bearer] {
        assert_eq!(restored.anonymous().bearer(bearer).whoami(), None);
    }
    assert!(restored.admin().http.whoami().is_some(), "admin.yaml is made anew");
    login(&restored.anonymous(), "ann", &ann.password).want(201);
    for (line, said) in [
        (&["restore", "--data-dir", "x", "absent.db"][..], "absent.db"),
        (&["restore", "--data-dir", "x", "garbage.db"], "garbage.db"),
    ] {
        std::fs::write(dir.join("garbage.db"), "garbage").unwrap();
        let error = refused(line, dir);
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn port_0_takes_a_free_one_and_says_which() {
    let temp = tempfile::tempdir().unwrap();
    let mut child = std::process::Command::new(eartag_tests::server::binary())
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(temp.path().join("data"))
        .stdout(std::fs::File::create(temp.path().join("out")).unwrap())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let read = || std::fs::read_to_string(temp.path().join("out")).unwrap_or_default();
    let out = wait::until("the greeting", PATIENCE, || Some(read()).filter(|out| out.contains("readyz")));
    let url = out.lines().next().filter(|line| line.contains("https://127.0.0.1:")).unwrap();
    let port: u16 = url.rsplit(':').next().unwrap().trim_end_matches('/').trim().parse().unwrap();
    let http = eartag_tests::Http::new(
        format!("https://127.0.0.1:{port}"),
        &temp.path().join("data/tls/ca.crt"),
        eartag_tests::Tape::default(),
    );
    let status = http.get("/readyz").status;
    let config = std::fs::read_to_string(temp.path().join("data/kubeconfig/admin.yaml")).unwrap();
    let _ = child.kill();
    let _ = child.wait();
    assert_eq!(status, 200);
    assert!(config.contains(&format!("https://127.0.0.1:{port}")), "the kubeconfig names another address");
}

#[test]
fn each_store_has_an_authority_of_its_own() {
    let server = Server::start();
    let presented = server.anonymous().get("/readyz");
    assert_eq!(presented.status, 200);
    let strangers_ca = Server::start();
    let wrong = eartag_tests::Http::new(server.url(), &strangers_ca.ca_file(), eartag_tests::Tape::default());
    assert!(wrong.try_send("GET", "/readyz", "", None).is_err());
}

#[test]
fn certificates_of_another_authority_are_nobodys() {
    let (server, other) = (Server::start(), Server::start());
    let config = std::fs::read_to_string(other.data().join("kubeconfig/system-admin.yaml")).unwrap();
    let pem = |name| {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD
            .decode(eartag_tests::server::value_in(&config, name))
            .unwrap()
    };
    let stranger = eartag_tests::Http::with_certificate(
        server.url(),
        &server.ca_file(),
        eartag_tests::Tape::default(),
        &pem("client-certificate-data"),
        &pem("client-key-data"),
    );
    match stranger.try_send("GET", TOKENS, "", None) {
        Err(_) => {}
        Ok(reply) => assert_eq!(reply.status, 401, "{}", reply.text()),
    }
}
