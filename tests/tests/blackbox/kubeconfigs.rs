//! Kubeconfigs as people get them: by kubectl, from a cluster at `/v3`, and as a token for the CLI at login; and that the file which comes out is one that kubectl uses.

use eartag_tests::http::text;
use eartag_tests::people::{LOGIN, bind, token};
use eartag_tests::server::value_in;
use eartag_tests::v3::{ids, set, works};
use eartag_tests::wait::{PATIENCE, until};
use eartag_tests::{Kubectl, MANAGEMENT, Person, Server, Setup, needs_kubectl};
use serde_json::{Value, json};

const KUBECONFIGS: &str = "/apis/ext.cattle.io/v1/kubeconfigs";
const PLAIN: &str = "apiVersion: ext.cattle.io/v1\nkind: Kubeconfig\n";

fn use_of(clusters: &[&str]) -> Value {
    json!({"metadata": {"name": "clusters-of-ann"}, "rules": [
        {"apiGroups": ["management.cattle.io"], "resources": ["clusters"], "resourceNames": clusters, "verbs": ["get"]},
        {"apiGroups": ["ext.cattle.io"], "resources": ["kubeconfigs"], "verbs": ["deletecollection"]},
    ]})
}

/// Ann, who may use the clusters `local`, `c-1` and `c-2`, of which the last has an endpoint of its own; and the administrator.
fn cast(server: &Server) -> (Person, Person) {
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    for cluster in [
        json!({"metadata": {"name": "c-1"}, "spec": {"displayName": "Production"}}),
        json!({"metadata": {"name": "c-2"}, "spec": {"displayName": "Edge", "localClusterAuthEndpoint": {"enabled": true, "fqdn": "edge.example"}}}),
        json!({"metadata": {"name": "c-3"}, "spec": {"displayName": "Not hers"}}),
    ] {
        admin.http.post(&format!("{MANAGEMENT}/clusters"), &cluster).want(201);
    }
    admin.http.post(&format!("{MANAGEMENT}/globalroles"), &use_of(&["local", "c-1", "c-2"])).want(201);
    bind(&admin.http, &ann.id, "clusters-of-ann");
    (admin, ann)
}

fn made(who: &Person, spec: Value) -> Value {
    who.http.post(KUBECONFIGS, &json!({"spec": spec})).want(201)
}

fn name(object: &Value) -> String {
    text(&object["metadata"]["name"])
}

fn value(object: &Value) -> String {
    text(&object["status"]["value"])
}

/// The tokens in a file.
fn bearers(file: &str) -> Vec<String> {
    let tokens = file.lines().filter_map(|line| line.trim().strip_prefix("token: \""));
    tokens.map(|rest| rest.trim_end_matches('"').to_owned()).collect()
}

#[test]
fn kubectl_makes_a_file_that_kubectl_uses_until_it_is_deleted() {
    needs_kubectl!();
    let server = Server::start();
    let (_, ann) = cast(&server);
    let manifest = format!("{PLAIN}spec:\n  clusters: [\"*\"]\n  description: for the tests\n  ttl: 3600\n");
    let file = ann.kubectl.input(&["create", "-f", "-", "-o", "jsonpath={.status.value}"], &manifest).ok();
    let hers = Kubectl::new(&file, server.tape().clone());
    let contexts = hers.ok(&["config", "get-contexts", "-o", "name"]);
    let mut contexts: Vec<&str> = contexts.lines().collect();
    contexts.sort_unstable();
    assert_eq!(contexts, ["Edge", "Edge-fqdn", "Production", "local", "rancher"]);
    // The server's own entry, with its own authority, is this server.
    let who =
        hers.ok(&["--context", "rancher", "auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"]);
    assert_eq!(who, ann.id);
    // So is the cluster `local`, by the way through the proxy.
    let local =
        hers.ok(&["--context", "local", "auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"]);
    assert_eq!(local, ann.id);
    let listed = hers.ok(&["--context", "rancher", "get", "kubeconfigs", "-o", "wide"]);
    let (head, row) = listed.split_once('\n').unwrap();
    let columns: Vec<&str> = head.split_whitespace().collect();
    assert_eq!(columns, ["NAME", "TTL", "TOKENS", "STATUS", "AGE", "USER", "CLUSTERS", "DESCRIPTION"]);
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert_eq!((&cells[1..4], &cells[5..7]), (&["60m", "2/2", "Complete"][..], &[ann.id.as_str(), "*"][..]));
    assert!(cells[0].starts_with("kubeconfig-") && row.trim_end().ends_with("for the tests"), "{row}");
    assert!(!hers.ok(&["--context", "rancher", "get", "kubeconfigs", "-o", "yaml"]).contains("value:"));

    ann.kubectl.ok(&["delete", "kubeconfig", cells[0]]);
    let refused = hers.run(&["--context", "rancher", "get", "kubeconfigs"]);
    assert!(refused.code != 0 && refused.err.contains("must be logged in"), "{refused:?}");
    for bearer in bearers(&file) {
        assert!(!works(&server, &bearer));
    }
}

#[test]
fn kubectl_shows_watches_changes_and_deletes_them() {
    needs_kubectl!();
    let server = Server::start();
    let (admin, ann) = cast(&server);
    let kubectl = &ann.kubectl;
    let explained = kubectl.ok(&["explain", "kubeconfigs.spec.ttl"]);
    assert!(explained.contains("in seconds"), "{explained}");
    let first = name(&made(&ann, json!({"clusters": ["c-1"], "description": "first"})));
    let watch = kubectl.spawn(&["get", "kubeconfigs", "--watch", "--no-headers"]);
    assert!(watch.line().starts_with(&first));
    let second = name(&made(&ann, json!({"clusters": ["c-2"]})));
    let line = watch.line();
    assert!(line.starts_with(&second), "{line}");
    kubectl.ok(&[
        "patch",
        "kubeconfig",
        &first,
        "--type=merge",
        "-p",
        r#"{"spec":{"description":"changed"}}"#,
    ]);
    loop {
        // The second one comes token by token.
        let line = watch.line();
        if line.starts_with(&first) {
            break;
        }
        assert!(line.starts_with(&second), "{line}");
    }
    drop(watch);
    let updated = r#"jsonpath={.status.conditions[?(@.type=="Updated")].status} {.spec.description}"#;
    assert_eq!(kubectl.ok(&["get", "kubeconfig", &first, "-o", updated]), "True changed");
    let refused =
        kubectl.fails(&["patch", "kubeconfig", &first, "--type=merge", "-p", r#"{"spec":{"ttl":5}}"#]);
    assert!(refused.contains("spec.ttl is immutable"), "{refused}");
    let refused =
        kubectl.input(&["create", "-f", "-"], &format!("{PLAIN}spec:\n  clusters: [c-3]\n")).fails();
    let text = format!("user {} is not allowed to access cluster c-3", ann.id);
    assert!(refused.contains("Error from server (Forbidden)") && refused.contains(&text), "{refused}");

    // A dry run shows how it would log in, and makes nothing.
    let dry = ["create", "-f", "-", "--dry-run=server", "-o", "jsonpath={.status.value}"];
    let file = kubectl.input(&dry, &format!("{PLAIN}spec:\n  clusters: [c-2]\n")).ok();
    assert!(
        bearers(&file).is_empty() && file.contains("--cluster=c-2") && file.contains("\"rancher\""),
        "{file}"
    );
    assert_eq!(kubectl.ok(&["get", "kubeconfigs", "-o", "name"]).lines().count(), 2);

    // Nobody else's.
    let bob = server.person("bob", &["user"]);
    assert!(bob.kubectl.fails(&["get", "kubeconfig", &first]).contains("not found"));
    assert!(bob.kubectl.ok(&["get", "kubeconfigs", "-o", "name"]).is_empty());
    let all = admin.kubectl.ok(&[
        "get",
        "kubeconfigs",
        "-l",
        &format!("cattle.io/user-id={}", ann.id),
        "-o",
        "name",
    ]);
    assert_eq!(all.lines().count(), 2);

    let raw = format!("{KUBECONFIGS}?labelSelector=cattle.io/user-id%3D{}", ann.id);
    let deleted = kubectl.ok(&["delete", "--raw", &raw]);
    assert!(deleted.contains(&first) && deleted.contains(&second), "{deleted}");
    assert!(kubectl.ok(&["get", "kubeconfigs", "-o", "name"]).is_empty());
    assert!(
        kubectl.ok(&["get", "tokens.ext.cattle.io", "-o", "name"]).is_empty(),
        "their tokens went with them"
    );
}

#[test]
fn a_kubeconfig_goes_with_the_last_of_its_tokens() {
    let server = Server::start();
    let (_, ann) = cast(&server);
    let object = made(&ann, json!({"clusters": ["c-1", "c-2"]}));
    let path = format!("{KUBECONFIGS}/{}", name(&object));
    let tokens: Vec<String> = object["status"]["tokens"].as_array().unwrap().iter().map(text).collect();
    assert_eq!(tokens.len(), 2);
    ann.http.delete(&token(&tokens[0])).want(200);
    let table = ann.http.with("Accept", eartag_tests::http::TABLE).get(&path).want(200);
    assert_eq!(table["rows"][0]["cells"][2], "1/2");
    ann.http.delete(&token(&tokens[1])).want(200);
    until("the record to go", PATIENCE, || (ann.http.get(&path).status == 404).then_some(()));
}

#[test]
fn a_clusters_action_makes_a_file_with_a_token_or_with_the_command() {
    let server = Server::start();
    let (admin, ann) = cast(&server);
    let action = |id: &str| format!("/v3/clusters/{id}?action=generateKubeconfig");
    let shown = ann.http.get("/v3/clusters/c-1").want(200);
    let url = text(&shown["actions"]["generateKubeconfig"]);
    assert!(url.ends_with(&action("c-1")), "{url}");
    let answer = ann.http.send("POST", &action("c-1"), "application/json", None).want(200);
    assert_eq!(answer["type"], "generateKubeconfigOutput");
    let file = text(&answer["config"]);
    let [bearer] = bearers(&file).try_into().unwrap();
    assert!(bearer.starts_with(&format!("kubeconfig-{}", ann.id)) && works(&server, &bearer));
    assert!(file.contains("name: \"Production\"") && !file.contains("name: \"rancher\""), "{file}");
    let again = text(&ann.http.post(&action("c-1"), &json!({})).want(200)["config"]);
    assert_ne!(bearers(&again)[0], bearer, "each has its own");
    let restricted = text(&ann.http.post(&action("c-2"), &json!({})).want(200)["config"]);
    assert!(!works(&server, &bearers(&restricted)[0]), "that of an endpoint is good only there");
    ann.http.post(&action("c-3"), &json!({})).v3_error(403, "PermissionDenied");
    let listed = ids(&ann.http.get("/v3/tokens").want(200));
    assert_eq!(listed.iter().filter(|id| id.starts_with("kubeconfig-")).count(), 3);

    if !eartag_tests::kubectl::missing() {
        let local = text(&ann.http.post(&action("local"), &json!({})).want(200)["config"]);
        let kubectl = Kubectl::new(&local, server.tape().clone());
        let who = kubectl.ok(&["auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"]);
        assert_eq!(who, ann.id, "kubectl uses the file as it is");
    }

    set(&admin.http, "kubeconfig-generate-token", "false");
    let file = text(&ann.http.post(&action("c-1"), &json!({})).want(200)["config"]);
    assert!(bearers(&file).is_empty(), "{file}");
    let host = server.url().trim_start_matches("https://").to_owned();
    for part in [
        "command: \"rancher\"".to_owned(),
        format!("- \"--server=https://{host}\""),
        "- \"--user=Production\"".to_owned(),
        "provideClusterInfo: true".to_owned(),
        "interactiveMode: \"IfAvailable\"".to_owned(),
    ] {
        assert!(file.contains(&part), "{part} in {file}");
    }
    let object = made(&ann, json!({}));
    assert!(bearers(&value(&object)).is_empty() && object["status"].get("tokens").is_none());
    if !eartag_tests::kubectl::missing() {
        // kubectl understands the file, and says what is missing.
        let kubectl = Kubectl::new(&file, server.tape().clone());
        let refused = kubectl.run_with(&["get", "kubeconfigs"], "", &[("PATH", "/nonexistent")]);
        assert!(refused.code != 0 && refused.err.contains("executable rancher not found"), "{refused:?}");
        assert!(refused.err.contains("link it to that name"), "{refused:?}");
    }
}

#[test]
fn the_cli_gets_a_token_at_login_for_everything_or_for_one_cluster() {
    let server = Server::start();
    let (admin, ann) = cast(&server);
    let ask = |form: &str, password: &str| {
        let body = json!({"username": ann.username, "password": password, "responseType": form});
        server.anonymous().post(LOGIN, &body)
    };
    let whole = ask("kubeconfig", &ann.password).want(201);
    assert!(text(&whole["id"]).starts_with(&format!("kubeconfig-{}", ann.id)));
    assert!(works(&server, &text(&whole["token"])) && !text(&whole["expiresAt"]).is_empty());
    let one = ask("kubeconfig_c-1", &ann.password).want(201);
    assert!(text(&one["id"]).starts_with(&format!("kubeconfig-{}.c-1", ann.id)));
    assert!(!works(&server, &text(&one["token"])), "it is not good elsewhere");
    let at = server.anonymous().bearer(&text(&one["token"]));
    assert_eq!((at.get("/v3/clusters/c-1").status, at.get("/v3/clusters/c-2").status), (200, 401));
    assert!(
        ask("kubeconfig_nope", &ann.password).v3_error(400, "BadRequest").contains("cluster nope not found")
    );
    ask("kubeconfig_c-3", &ann.password).v3_error(403, "PermissionDenied");
    ask("kubeconfig_c-3", "wrong").v3_error(401, "Unauthorized");
    set(&admin.http, "kubeconfig-token-ttl-minutes", "1");
    let short = ask("kubeconfig", &ann.password).want(201);
    let seen = ann.http.get(&format!("/v3/tokens/{}", text(&short["id"]))).want(200);
    assert_eq!((&seen["ttl"], &seen["expiresAt"]), (&json!(60_000), &short["expiresAt"]));
}

#[test]
fn what_is_in_a_kubeconfig_is_in_one_reply_and_in_no_file() {
    let mut server = Setup::default().env("RUST_LOG", "trace").start();
    let (admin, ann) = cast(&server);
    let object = made(&ann, json!({"clusters": ["*"]}));
    let path = format!("{KUBECONFIGS}/{}", name(&object));
    let mut secrets = bearers(&value(&object));
    let action = "/v3/clusters/c-2?action=generateKubeconfig";
    secrets.extend(bearers(&text(&ann.http.post(action, &json!({})).want(200)["config"])));
    let login = json!({"username": ann.username, "password": ann.password, "responseType": "kubeconfig_c-1"});
    secrets.push(text(&server.anonymous().post(LOGIN, &login).want(201)["token"]));
    assert_eq!(secrets.len(), 4);
    for who in [&ann, &admin] {
        who.http.get(&path).want(200);
        who.http.get(KUBECONFIGS).want(200);
        who.http.get("/apis/ext.cattle.io/v1/tokens").want(200);
    }
    ann.http.merge(&path, &json!({"spec": {"description": "d"}})).want(200);
    // Whatever a client writes there is not kept either.
    let written = json!({"status": {"value": "canary-value-of-a-client-0001"}});
    ann.http.merge(&path, &written).want(200);
    ann.http
        .post(KUBECONFIGS, &json!({"spec": {}, "status": {"value": "canary-value-of-a-client-0001"}}))
        .want(201);
    ann.http.delete(&path).want(200);
    assert_eq!(server.terminate().code(), Some(0));
    let own =
        value_in(&std::fs::read_to_string(server.data().join("kubeconfig/admin.yaml")).unwrap(), "token");
    assert!(!own.is_empty());
    let mut files = server.outputs();
    let mut folders = vec![server.data().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    let files: Vec<_> = files.iter().map(|path| (path, std::fs::read(path).unwrap())).collect();
    assert!(files.iter().any(|(path, _)| path.ends_with("eartag.db")));
    for secret in secrets.iter().map(|bearer| bearer.split_once(':').unwrap().1) {
        let found = server.tape().find(secret);
        assert_eq!(found.len(), 1, "{found:?}");
        for (path, bytes) in &files {
            assert_eq!(eartag_tests::tape::count(bytes, secret.as_bytes()), 0, "{}", path.display());
        }
    }
    assert_eq!(server.tape().find("canary-value-of-a-client-0001"), Vec::<String>::new());
    for (path, bytes) in &files {
        assert_eq!(eartag_tests::tape::count(bytes, b"canary-value-of-a-client"), 0, "{}", path.display());
    }
}
