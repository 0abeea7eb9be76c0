//! `eartag import`: a Rancher's users and tokens, brought into the data of a stopped server.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use eartag_core::{PasswordHash, PlainSecret};

use super::support::{Server, bad, code, curl, eartag, good, run, stderr, stdout, walk};

const CLEAR: &str = "bcdfghjklmnpqrstvwxz2456789bcdfghjklmnpqrstvwxz2456789";
const HASH: &str =
    "$3:1:AAECAwQFBgc:6TeyLfa09bJiQyni4aFnES+l9h6USloshcn6mE6N/ewJ1rPNVQKtemKjXLEuOu4a7vptyk37cPkFkcA9uE0rMg";
const PASSWORD: &str = "a password of ann's";

/// `kubectl get users,tokens,globalrolebindings -o yaml`, as a Rancher prints it.
const EXPORT: &str = r#"apiVersion: v1
items:
- apiVersion: management.cattle.io/v3
  displayName: Ann Smith
  enabled: true
  kind: User
  metadata:
    annotations:
      lifecycle.cattle.io/create.mgmt-auth-users-controller: "true"
    creationTimestamp: "2026-03-02T09:15:04Z"
    generation: 4
    labels:
      cattle.io/creator: norman
    name: u-ann42
    resourceVersion: "4711"
    uid: 5f0c7d4e-0000-4000-8000-000000000001
  principalIds:
  - local://u-ann42
  spec: {}
  status:
    conditions: []
  username: ann
- apiVersion: management.cattle.io/v3
  authProvider: local
  current: false
  description: "secret plans: none"
  expired: false
  expiresAt: ""
  isDerived: true
  kind: Token
  lastUpdateTime: ""
  metadata:
    creationTimestamp: "2026-03-02T09:15:04Z"
    labels:
      authn.management.cattle.io/kind: kubectl-shell
      authn.management.cattle.io/token-userId: u-ann42
    name: kubectl-shell-u-ann42
    uid: 5f0c7d4e-0000-4000-8000-000000000002
  token: CLEAR
  ttl: 0
  userId: u-ann42
  userPrincipal:
    displayName: Ann Smith
    loginName: ann
    me: true
    metadata:
      creationTimestamp: null
      name: local://u-ann42
    principalType: user
    provider: local
- apiVersion: management.cattle.io/v3
  authProvider: local
  isDerived: true
  kind: Token
  metadata:
    annotations:
      authn.management.cattle.io/token-hashed: "true"
    creationTimestamp: "2026-03-02T09:15:04Z"
    labels:
      authn.management.cattle.io/token-userId: u-ann42
    name: token-8xk2p
    uid: 5f0c7d4e-0000-4000-8000-000000000003
  token: HASH
  ttl: 0
  userId: u-ann42
- apiVersion: management.cattle.io/v3
  isDerived: true
  kind: Token
  metadata:
    creationTimestamp: "2026-03-02T09:15:04Z"
    name: token-lost2
    uid: 5f0c7d4e-0000-4000-8000-000000000004
  token: CLEAR
  ttl: 0
  userId: u-nobody
- apiVersion: management.cattle.io/v3
  globalRoleName: admin
  kind: GlobalRoleBinding
  metadata:
    creationTimestamp: "2026-03-02T09:15:04Z"
    name: grb-abcde
    uid: 5f0c7d4e-0000-4000-8000-000000000005
  userName: u-ann42
kind: List
metadata:
  resourceVersion: ""
"#;

fn export() -> String {
    EXPORT.replace("CLEAR", CLEAR).replace("HASH", HASH)
}

/// `kubectl get secrets -n cattle-local-user-passwords -o json`.
fn passwords() -> String {
    let PasswordHash::Pbkdf2Sha3_512 { salt, key, .. } =
        PasswordHash::make(&PlainSecret::new(PASSWORD), [3; 32])
    else {
        panic!()
    };
    serde_json::json!({"apiVersion": "v1", "kind": "List", "items": [{
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "u-ann42", "namespace": "cattle-local-user-passwords",
            "annotations": {"cattle.io/password-hash": "pbkdf2sha3512"}},
        "data": {"password": STANDARD.encode(key), "salt": STANDARD.encode(salt)},
    }]})
    .to_string()
}

/// Data on which a server ran and was stopped, and the files of an export beside it.
fn ground() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--bootstrap-password", "correct horse battery"]);
    server.signal("TERM");
    assert_eq!(server.end().0, 0);
    fs::write(dir.path().join("export.yaml"), export()).unwrap();
    fs::write(dir.path().join("passwords.json"), passwords()).unwrap();
    dir
}

fn row<'a>(said: &'a str, kind: &str) -> Vec<&'a str> {
    let line = said.lines().find_map(|line| line.strip_prefix(kind)).unwrap_or_else(|| panic!("{said}"));
    line.split_whitespace().collect()
}

fn no_file_holds(dir: &Path, secret: &str) {
    let files = walk(dir);
    assert!(files.len() > 3);
    for file in files {
        let bytes = fs::read(&file).unwrap();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{}", file.display());
    }
}

#[test]
fn what_was_imported_works_and_no_clear_secret_is_in_the_data_or_a_backup() {
    let dir = ground();
    let dir = dir.path();
    let said = good(dir, &["import", "export.yaml", "passwords.json"]);
    assert_eq!(row(&said, "users "), ["1", "0", "0"]);
    assert_eq!(row(&said, "passwords "), ["1", "0", "0"]);
    assert_eq!(row(&said, "global role bindings "), ["1", "0", "0"]);
    assert_eq!(row(&said, "tokens "), ["2", "0", "1"]);
    assert!(
        said.contains("token-lost2   its user \"u-nobody\" is neither in these files nor here"),
        "{said}"
    );
    let data = dir.join("eartag-data");
    no_file_holds(&data, CLEAR);

    let server = Server::start(dir, &[]);
    for name in ["kubectl-shell-u-ann42", "token-8xk2p"] {
        let (status, token) =
            curl(dir, &format!("/v3/tokens/{name}"), Some(&format!("{name}:{CLEAR}")), None);
        assert_eq!(status, 200, "{token}");
        assert_eq!(
            (&token["userId"], &token["created"]),
            (&"u-ann42".into(), &"2026-03-02T09:15:04Z".into())
        );
        assert_eq!((&token["uuid"].as_str().unwrap()[..8], &token["ttl"]), ("5f0c7d4e", &0.into()));
        assert_eq!(curl(dir, "/v3/tokens", Some(&format!("{name}:{}", &CLEAR[1..])), None).0, 401);
    }
    let listed = good(dir, &["system-token", "list", "--user", "ann"]);
    assert!(listed.contains("kubectl-shell-u-ann42") && listed.contains("secret plans: none"), "{listed}");
    let login = serde_json::json!({"username": "ann", "password": PASSWORD, "responseType": "json"});
    let (status, session) = curl(dir, "/v3-public/localProviders/local?action=login", None, Some(&login));
    assert_eq!(status, 201, "{session}");
    let path = format!("/v3/tokens/{}", session["id"].as_str().unwrap());
    let (_, session) = curl(dir, &path, session["token"].as_str(), None);
    assert_eq!(session["userId"], "u-ann42", "{session}");

    good(dir, &["backup", "b.tar"]);
    fs::remove_file(dir.join("export.yaml")).unwrap();
    no_file_holds(dir, CLEAR);
    server.signal("TERM");
    assert_eq!(server.end().0, 0);
}

#[test]
fn a_dry_run_and_a_second_run_change_nothing_and_a_pipe_does_as_well_as_a_file() {
    let dir = ground();
    let dir = dir.path();
    let said = good(dir, &["import", "--dry-run", "export.yaml"]);
    assert!(said.starts_with("KIND                   WOULD IMPORT   HERE ALREADY   LEFT BEHIND\n"), "{said}");
    let mut child =
        eartag(dir, &["import", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(export().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 0);
    assert_eq!(row(&stdout(&output), "tokens "), ["2", "0", "1"]);
    let again = good(dir, &["import", "export.yaml"]);
    assert_eq!((row(&again, "users "), row(&again, "tokens ")), (vec!["0", "1", "0"], vec!["0", "2", "1"]));
}

#[test]
fn an_import_is_refused_while_a_server_runs_and_where_none_ever_did() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::write(dir.join("export.yaml"), export()).unwrap();
    let error = bad(dir, &["import", "export.yaml"]);
    assert!(error.contains("start the server once, stop it, and import then"), "{error}");
    assert!(!dir.join("eartag-data").exists());
    let _server = Server::start(dir, &[]);
    let error = bad(dir, &["import", "export.yaml"]);
    assert!(error.ends_with("is in use by another process"), "{error}");
}

#[test]
fn a_file_that_is_none_is_named_and_not_quoted_and_nothing_of_the_others_is_taken() {
    let dir = ground();
    let dir = dir.path();
    fs::write(dir.join("bad.yaml"), format!("kind: Token\ntoken: [{CLEAR}\n")).unwrap();
    let error = bad(dir, &["import", "export.yaml", "bad.yaml"]);
    assert!(error.contains("bad.yaml is not what kubectl get -o yaml or -o json prints (line "), "{error}");
    assert!(!error.contains(CLEAR), "{error}");
    assert!(
        bad(dir, &["import", "missing.yaml"])
            .ends_with("cannot read missing.yaml: there is no such file or directory")
    );
    assert!(bad(dir, &["import", "eartag-data"]).contains("cannot read eartag-data"));
    let said = good(dir, &["import", "export.yaml"]);
    assert_eq!(row(&said, "users "), ["1", "0", "0"]);
    let output = run(dir, &["import", "--datastore", "etcd:http://127.0.0.1:1", "export.yaml"]);
    assert!(code(&output) == 1 && stderr(&output).contains("sqlite only"), "{}", stderr(&output));
}
