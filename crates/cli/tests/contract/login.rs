//! `login`, `whoami`, `tokens`, `logout` against a real server.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use super::fake::{Fake, own};
use super::support::{Server, bad, code, curl, eartag, good, mode, run, stderr, stdout};

const PASSWORD: &str = "correct horse battery";

fn started() -> (tempfile::TempDir, Server, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--bootstrap-password", PASSWORD]);
    // Somewhere else, where no kubeconfig of the server's can be found.
    (dir, server, tempfile::tempdir().unwrap())
}

fn url(dir: &Path) -> String {
    super::support::admin(dir, "server:")
}

fn with_input(home: &Path, args: &[&str], input: &str) -> Output {
    let mut command = eartag(home, args);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn log_in(dir: &Path, home: &Path, more: &[&str]) -> Output {
    let (url, ca) = (url(dir), dir.join("eartag-data/tls/ca.crt"));
    let mut args = vec!["login", &url, "--cacert", ca.to_str().unwrap(), "-u", "admin", "--password-stdin"];
    args.extend(more);
    with_input(home, &args, PASSWORD)
}

fn cache(home: &Path) -> Value {
    serde_json::from_slice(&fs::read(home.join(".config/eartag/cli2.json")).unwrap()).unwrap()
}

#[test]
fn who_logs_in_is_somebody_until_the_logout() {
    let (dir, _server, home) = started();
    let (dir, home) = (dir.path(), home.path());
    let output = log_in(dir, home, &[]);
    assert_eq!((code(&output), stdout(&output).as_str()), (0, ""), "{}", stderr(&output));
    let said = stderr(&output);
    assert!(said.contains(&format!("Logged in at {} as admin (user-", url(dir))), "{said}");
    assert_eq!(mode(&home.join(".config/eartag/cli2.json")), 0o600);
    let bearer = cache(home)["Servers"][url(dir).strip_prefix("https://").unwrap()]["tokenKey"].clone();
    let bearer = bearer.as_str().unwrap();
    assert!(!said.contains(bearer.split(':').nth(1).unwrap()));

    let me: Value = serde_json::from_str(&good(home, &["whoami", "-o", "json"])).unwrap();
    assert_eq!((&me["username"], &me["server"]), (&"admin".into(), &url(dir).into()));
    let table = good(home, &["whoami"]);
    assert!(table.starts_with("ID ") && table.contains(me["id"].as_str().unwrap()), "{table}");

    assert_eq!(curl(dir, "/v3/users?me=true", Some(bearer), None).0, 200);
    let output = run(home, &["logout"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stderr(&output).contains("one token revoked and forgotten"), "{}", stderr(&output));
    assert_eq!(
        curl(dir, "/v3/users?me=true", Some(bearer), None).0,
        401,
        "the server refuses it from then on"
    );
    assert!(!cache(home).to_string().contains(bearer));
    let error = bad(home, &["whoami"]);
    assert!(error.contains("or log in first"), "{error}");
    assert_eq!(bad(home, &["logout"]), "eartag: there is no login");
    // Whom to trust is still known, and so is the address.
    let again = with_input(home, &["login", &url(dir), "-u", "admin", "--password-stdin"], PASSWORD);
    assert_eq!(code(&again), 0, "{}", stderr(&again));
}

#[test]
fn tokens_are_made_listed_used_and_revoked() {
    let (dir, _server, home) = started();
    let (dir, home) = (dir.path(), home.path());
    log_in(dir, home, &["--name", "mine"]);
    let output = run(home, &["tokens", "create", "--ttl", "2h", "--description", "ci"]);
    assert_eq!((code(&output), stderr(&output).as_str()), (0, ""));
    let bearer = stdout(&output).strip_suffix('\n').unwrap().to_owned();
    let (name, secret) = bearer.strip_prefix("ext/").unwrap().split_once(':').unwrap();
    assert_eq!(curl(dir, "/v3/users?me=true", Some(&bearer), None).0, 200);

    let list = good(home, &["tokens", "list"]);
    let line = list.lines().find(|line| line.starts_with(name)).unwrap();
    assert!(line.ends_with("   ci") && !list.contains(secret), "{list}");
    let json: Value = serde_json::from_str(&good(home, &["tokens", "list", "-o", "json"])).unwrap();
    let token = json["items"].as_array().unwrap().iter().find(|t| t["metadata"]["name"] == name).unwrap();
    assert_eq!(token["spec"]["ttl"], 7_200_000);
    let names = good(home, &["tokens", "list", "-o", "name", "--login", "mine"]);
    assert!(names.lines().any(|line| line == format!("token.ext.cattle.io/{name}")), "{names}");

    let whole: Value =
        serde_json::from_str(&good(home, &["tokens", "create", "-o", "json", "--cluster", "local"])).unwrap();
    assert_eq!(whole["spec"]["clusterName"], "local");
    assert!(whole["status"]["bearerToken"].as_str().unwrap().starts_with("ext/"));

    // Whoever uses the token itself is that user too.
    let other = tempfile::tempdir().unwrap();
    let ca = dir.join("eartag-data/tls/ca.crt");
    let args = ["login", &url(dir), "--cacert", ca.to_str().unwrap(), "--token", "-"];
    let output = with_input(other.path(), &args, &format!("{bearer}\n"));
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(good(other.path(), &["whoami"]).contains("admin"));

    let output = run(home, &["tokens", "revoke", "token-nothing", &format!("ext/{name}")]);
    assert_eq!((code(&output), stdout(&output)), (1, format!("token.ext.cattle.io \"{name}\" revoked\n")));
    assert!(stderr(&output).contains("(1 of 2 tokens were not revoked)"), "{}", stderr(&output));
    assert_eq!(curl(dir, "/v3/users?me=true", Some(&bearer), None).0, 401);
    let error = bad(other.path(), &["whoami"]);
    assert!(error.contains("does not accept the credentials (401"), "{error}");
}

#[test]
fn a_token_for_ever_is_asked_for_and_the_servers_word_about_it_passed_on() {
    let (dir, _server, home) = started();
    log_in(dir.path(), home.path(), &[]);
    let output = run(home.path(), &["tokens", "create", "--ttl", "0", "-o", "yaml"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    // There is a maximum of 90 days.
    assert!(
        stderr(&output).starts_with("Warning: ") && stdout(&output).contains("ttl: 7776000000"),
        "{output:?}"
    );
}

#[test]
fn nothing_is_kept_of_a_login_that_fails() {
    let (dir, _server, home) = started();
    let (dir, home) = (dir.path(), home.path());
    let ca = dir.join("eartag-data/tls/ca.crt");
    let (url, ca) = (url(dir), ca.to_str().unwrap());
    for (args, input, says) in [
        (vec!["-u", "admin", "--password-stdin"], "wrong", "the user name or the password is wrong"),
        (vec!["-t", "token-x:nothing"], "", "does not accept the credentials (401"),
        (vec!["-t", "nothing"], "", "invalid token"),
        (vec!["-u", "admin"], "", "nobody can be asked for a password here"),
        (vec!["--password-stdin"], PASSWORD, "give --username"),
    ] {
        let all: Vec<&str> = ["login", &url, "--cacert", ca].into_iter().chain(args).collect();
        let output = with_input(home, &all, input);
        assert_eq!(code(&output), 1);
        assert!(stderr(&output).contains(says), "{}", stderr(&output));
    }
    let stranger = with_input(home, &["login", &url, "-u", "admin", "--password-stdin"], PASSWORD);
    assert_eq!(code(&stranger), 1);
    assert!(stderr(&stranger).contains("nobody can be asked about it here"), "{}", stderr(&stranger));
    assert!(!home.join(".config/eartag/cli2.json").exists());
    assert_eq!(bad(home, &["login"]), "eartag: give the URL of the server to log in at");
}

#[test]
fn a_kubeconfig_that_is_named_comes_before_a_login() {
    let (dir, _server, home) = started();
    let (dir, home) = (dir.path(), home.path());
    log_in(dir, home, &["--name", "mine"]);
    assert!(bad(home, &["whoami", "--kubeconfig", "nowhere"]).contains("there is no kubeconfig at nowhere"));
    let config = dir.join("eartag-data/kubeconfig/system-admin.yaml");
    let by_variable = |args: &[&str]| eartag(home, args).env("KUBECONFIG", &config).output().unwrap();
    let named = by_variable(&["whoami", "-o", "name"]);
    assert!(stdout(&named).contains("system:admin") || code(&named) == 1, "{named:?}");
    let login = by_variable(&["whoami", "-o", "json", "--login", "mine"]);
    assert!(stdout(&login).contains("\"username\": \"admin\""), "{login:?}");
    assert_eq!(bad(home, &["whoami", "--login", "other"]), "eartag: there is no login \"other\"");
}

#[test]
fn a_logout_forgets_also_where_the_server_does_not_answer() {
    let (shown, home) = (own(&["127.0.0.1"]), tempfile::tempdir().unwrap());
    let fake = Fake::answers(&shown, |_| (500, String::new()));
    let dir = home.path().join(".config/eartag");
    fs::create_dir_all(&dir).unwrap();
    let server = json!({"url": fake.url, "tokenKey": "token-x:s3cret", "cacert": shown.certificate.pem(),
        "kubeCredentials": {"u_": {"status": {"token": "kubeconfig-x:s3cret"}}}});
    let file = json!({"CurrentServer": "a", "Servers": {"a": server, "b": {"tokenKey": "other"}}});
    fs::write(dir.join("cli2.json"), file.to_string()).unwrap();
    let error = bad(home.path(), &["logout"]);
    assert!(
        error.starts_with("eartag: the login a is forgotten, but its tokens may still be good:"),
        "{error}"
    );
    assert_eq!(fake.count("POST /oauth2/revoke"), 2);
    let now = cache(home.path());
    assert!(!now.to_string().contains("s3cret"), "{now}");
    assert_eq!(now["Servers"]["b"]["tokenKey"], "other");
}
