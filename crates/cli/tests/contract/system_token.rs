//! `eartag system-token` against a real server (seed 2, DEC34).

use std::fs;
use std::path::Path;

use super::support::{Server, bad, code, good, run, stderr, stdout};

const KINDS: [(&str, &str); 7] = [
    ("kubeconfig", "kubeconfig-"),
    ("kubectl-shell", "kubectl-shell-"),
    ("agent", "agent-"),
    ("compose", "compose-token-"),
    ("helm", "helm-token-"),
    ("telemetry", "telemetry-"),
    ("drain-node", "drain-node-"),
];

fn started() -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--bootstrap-password", "correct horse battery"]);
    (dir, server)
}

fn create(dir: &Path, args: &[&str]) -> String {
    let all: Vec<&str> = ["system-token", "create"].into_iter().chain(args.iter().copied()).collect();
    let said = good(dir, &all);
    let value = said.strip_suffix('\n').unwrap();
    assert!(!value.contains(char::is_whitespace), "the token alone: {said:?}");
    value.to_owned()
}

/// The server's own kubeconfig with another token.
fn kubeconfig_with(dir: &Path, token: &str) -> String {
    let text = fs::read_to_string(dir.join("eartag-data/kubeconfig/admin.yaml")).unwrap();
    let own = text.lines().find(|line| line.trim_start().starts_with("token: ")).unwrap().to_owned();
    let file = dir.join("other.yaml");
    fs::write(&file, text.replace(&own, &format!("    token: \"{token}\""))).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn each_kind_of_the_seed_is_made_listed_used_and_deleted() {
    let (dir, _server) = started();
    let dir = dir.path();
    for (kind, prefix) in KINDS {
        let value = create(dir, &["--kind", kind, "--user", "admin"]);
        let (name, secret) = value.split_once(':').unwrap();
        assert!(name.starts_with(prefix) && secret.len() == 54, "{kind}: {name}");

        let listed = good(dir, &["system-token", "list", "--kind", kind]);
        let line = listed.lines().find(|line| line.starts_with(name)).unwrap();
        assert!(line.contains(kind) && line.contains("never"), "{listed}");
        assert!(!listed.contains(secret));

        let theirs = kubeconfig_with(dir, &value);
        let names = good(dir, &["system-token", "list", "-o", "name", "--kubeconfig", &theirs]);
        assert!(names.lines().any(|line| line == format!("token.management.cattle.io/{name}")), "{names}");

        let deleted = good(dir, &["system-token", "delete", name]);
        assert_eq!(deleted, format!("token.management.cattle.io \"{name}\" deleted\n"));
        let error = bad(dir, &["system-token", "list", "--kubeconfig", &theirs]);
        assert!(error.contains("does not accept the credentials (401 Unauthorized)"), "{error}");
        assert!(!error.contains(secret));
    }
    let output = run(dir, &["system-token", "list"]);
    assert_eq!((code(&output), stdout(&output).as_str()), (0, ""));
    assert!(stderr(&output).contains("There are no such tokens."));
}

#[test]
fn what_is_asked_for_a_token_is_what_it_gets() {
    let (dir, _server) = started();
    let dir = dir.path();
    let args = [
        "--kind",
        "agent",
        "--user",
        "admin",
        "--name",
        "agent-mine",
        "--ttl",
        "12h",
        "--cluster",
        "local",
        "--description",
        "for me",
    ];
    assert!(create(dir, &args).starts_with("agent-mine:"));
    let json = good(dir, &["system-token", "list", "-o", "json", "--user", "admin"]);
    let list: serde_json::Value = serde_json::from_str(&json).unwrap();
    let token = &list["items"][0];
    assert_eq!((&list["kind"], list["items"].as_array().unwrap().len()), (&"List".into(), 1));
    assert_eq!((&token["ttl"], &token["clusterName"]), (&43_200_000.into(), &"local".into()));
    assert_eq!((&token["description"], &token["isDerived"]), (&"for me".into(), &true.into()));
    assert!(token.get("token").is_none());
    let yaml = good(dir, &["system-token", "list", "-o", "yaml"]);
    assert!(yaml.contains("name: agent-mine") && yaml.starts_with("apiVersion: v1"), "{yaml}");

    // Above the maximum of 90 days: the server shortens it, and says so where people look.
    let output = run(dir, &["system-token", "create", "--kind", "helm", "--user", "admin", "--ttl", "365d"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(
        stderr(&output).starts_with("Warning: ") && stdout(&output).lines().count() == 1,
        "{}",
        stderr(&output)
    );
}

#[test]
fn broken_rules_are_refused_with_the_servers_reason_and_exit_code_1() {
    let (dir, _server) = started();
    let dir = dir.path();
    let create = |args: &[&str]| {
        let all: Vec<&str> =
            ["system-token", "create", "--kind", "agent"].into_iter().chain(args.iter().copied()).collect();
        bad(dir, &all)
    };
    let error = create(&["--user", "admin", "--name", "compose-token-x"]);
    assert!(error.contains("(422 Invalid)") && error.contains("begin with agent-"), "{error}");
    let error = create(&["--user", "nobody"]);
    assert_eq!(error, "eartag: there is no user \"nobody\", neither by id nor by login name");
    let error = create(&["--user", "admin", "--cluster", "c-nowhere"]);
    assert!(error.contains("cluster c-nowhere not found"), "{error}");
    let error = bad(dir, &["system-token", "delete", "agent-nothing"]);
    assert!(error.contains("(404 NotFound)") && error.contains("agent-nothing"), "{error}");
}

#[test]
fn deleting_goes_on_after_a_name_that_fails() {
    let (dir, _server) = started();
    let dir = dir.path();
    let value = create(dir, &["--kind", "telemetry", "--user", "admin"]);
    let name = value.split(':').next().unwrap();
    let output = run(dir, &["system-token", "delete", "agent-a", name, "../users/x"]);
    assert_eq!(code(&output), 1);
    assert_eq!(stdout(&output), format!("token.management.cattle.io \"{name}\" deleted\n"));
    assert!(stderr(&output).ends_with("(2 of 3 tokens were not deleted)\n"), "{}", stderr(&output));
    assert_eq!(stderr(&output).lines().count(), 2, "{}", stderr(&output));
}

#[test]
fn a_token_of_somebodys_own_is_not_deleted_as_a_system_token() {
    let (dir, server) = started();
    let dir = dir.path();
    let api_key = server.api_key(dir);
    let error = bad(dir, &["system-token", "delete", &api_key]);
    assert!(error.contains("is not a system token"), "{error}");
}

#[test]
fn without_a_kubeconfig_the_command_says_where_one_is_looked_for() {
    let dir = tempfile::tempdir().unwrap();
    let error = bad(dir.path(), &["system-token", "list"]);
    assert!(error.contains("give --kubeconfig, set KUBECONFIG, or run this where ./eartag-data"), "{error}");
}
