//! Clusters as administrators register them: by kubectl and at `/v3`, and what opens them, which nobody sees again.

use eartag_tests::http::text;
use eartag_tests::{MANAGEMENT, Server, Setup, needs_kubectl};
use serde_json::json;

const CANARY: &str = "canary-token-of-a-cluster-0001";

#[test]
fn an_administrator_registers_a_cluster_with_kubectl_and_users_see_those_they_may_use() {
    needs_kubectl!();
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let kubectl = &admin.kubectl;
    kubectl.create(
        "apiVersion: management.cattle.io/v3\nkind: Cluster\nmetadata:\n  name: c-1\nspec:\n  displayName: Production\n  \
         apiEndpoint: https://10.0.0.1:6443\n  localClusterAuthEndpoint:\n    enabled: true\n    fqdn: k8s.example.com\n",
    );
    let table = kubectl.ok(&["get", "clusters.management.cattle.io", "-o", "wide"]);
    assert!(table.contains("Production") && table.contains("https://10.0.0.1:6443"), "{table}");
    let explained = kubectl.ok(&["explain", "clusters.management.cattle.io.spec.localClusterAuthEndpoint"]);
    assert!(explained.contains("fqdn"), "{explained}");
    kubectl.ok(&[
        "patch",
        "cluster",
        "c-1",
        "--type=merge",
        "-p",
        r#"{"spec":{"description":"for the shop"}}"#,
    ]);
    let wrong = kubectl.fails(&[
        "patch",
        "cluster",
        "c-1",
        "--type=merge",
        "-p",
        r#"{"spec":{"apiEndpoint":"http://x"}}"#,
    ]);
    assert!(wrong.contains("spec.apiEndpoint") && wrong.contains("https URL"), "{wrong}");

    // Whoever may get it by name sees it, and no other.
    assert!(!ann.kubectl.run(&["get", "clusters.management.cattle.io"]).out.contains("c-1"));
    let role = json!({"metadata": {"name": "c-1-user"}, "rules": [{"apiGroups": ["management.cattle.io"], "resources": ["clusters"], "resourceNames": ["c-1"], "verbs": ["get"]}]});
    admin.http.post(&format!("{MANAGEMENT}/globalroles"), &role).want(201);
    eartag_tests::people::bind(&admin.http, &ann.id, "c-1-user");
    let seen = ann.kubectl.ok(&["get", "clusters.management.cattle.io", "-o", "name"]);
    assert_eq!(seen.trim(), "cluster.management.cattle.io/c-1");
    assert!(ann.kubectl.fails(&["delete", "cluster", "c-1"]).contains("Forbidden"));

    // A token restricted to it goes with it, and its id is free then.
    let token = ann.mint(json!({"clusterName": "c-1"}));
    kubectl.ok(&["delete", "cluster", "c-1", "--timeout=180s"]);
    assert_eq!(ann.http.get(&eartag_tests::people::token(&token.name)).status, 404);
    kubectl.create("apiVersion: management.cattle.io/v3\nkind: Cluster\nmetadata:\n  name: c-1\n");
    assert!(kubectl.fails(&["delete", "cluster", "local"]).contains("is this server itself"));
}

#[test]
fn what_opens_a_cluster_is_written_once_and_never_shown() {
    let mut server = Setup::default().env("RUST_LOG", "trace").start();
    let admin = server.admin();
    let id = text(&admin.http.post("/v3/clusters", &json!({"name": "Production"})).want(201)["id"]);
    let given = |token: &str| json!({"spec": {"clusterName": id, "token": token}});
    let path = format!("{MANAGEMENT}/clustercredentials");
    let done = admin.http.post(&path, &given(CANARY)).want(201);
    assert_eq!(
        (&done["status"]["summary"], &done["spec"]),
        (&json!("Completed"), &json!({"clusterName": id}))
    );
    let action = format!("/v3/clusters/{id}?action=setCredential");
    assert_eq!(admin.http.post(&action, &json!({"token": CANARY})).status, 200);
    // Refusals do not repeat it either.
    for bad in [
        json!({"spec": {"clusterName": "absent", "token": CANARY}}),
        json!({"spec": {"clusterName": id, "token": format!("{CANARY} {CANARY}")}}),
        json!({"spec": {"clusterName": id, "token": CANARY, "clientKey": CANARY}}),
        json!({"spec": {"clusterName": id, "clientCertificate": CANARY, "clientKey": CANARY}}),
        json!({"spec": {"clusterName": "local", "token": CANARY}}),
        json!({"spec": {"clusterName": id, "token": {"x": CANARY}}}),
    ] {
        let refused = admin.http.post(&path, &bad);
        assert!(matches!(refused.status, 400 | 422), "{}", refused.text());
    }
    let ann = server.person("ann", &["user"]);
    ann.http.post(&path, &given(CANARY)).refused(403, "Forbidden");
    for shown in
        [format!("{MANAGEMENT}/clusters/{id}"), format!("/v3/clusters/{id}"), "/v3/clusters".to_owned()]
    {
        admin.http.get(&shown).want(200);
    }
    assert_eq!(server.terminate().code(), Some(0));
    assert_eq!(server.tape().find(CANARY), Vec::<String>::new());
    let mut folders = vec![server.data().to_path_buf()];
    let mut files = server.outputs();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    assert!(files.len() > 5);
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        assert_eq!(eartag_tests::tape::count(&bytes, CANARY.as_bytes()), 0, "{}", file.display());
    }
}

#[test]
fn a_restricted_token_changes_no_cluster_and_nothing_that_opens_one() {
    const ENDPOINT: &str = "https://10.0.0.1:6443";
    let server = Server::start();
    let admin = server.admin();
    let made = json!({"metadata": {"name": "c-1"}, "spec": {"apiEndpoint": ENDPOINT}});
    admin.http.post(&format!("{MANAGEMENT}/clusters"), &made).want(201);
    let restricted_to = |id: &str| server.anonymous().bearer(&admin.mint(json!({"clusterName": id})).bearer);
    let (local, one) = (restricted_to("local"), restricted_to("c-1"));
    let elsewhere = json!({"spec": {"apiEndpoint": "https://evil.example"}});
    let secret = json!({"token": "mine"});

    let at = |path: &str| format!("/k8s/clusters/local{MANAGEMENT}/{path}");
    assert_eq!(local.get(&at("clusters/c-1")).want(200)["spec"]["apiEndpoint"], ENDPOINT);
    for reply in [
        local.merge(&at("clusters/c-1"), &elsewhere),
        local.merge(&at("clusters/c-1?dryRun=All"), &elsewhere),
        local.merge(&at("clusters/local"), &json!({"spec": {"description": "mine"}})),
        local.post(&at("clusters"), &json!({"metadata": {"name": "c-2"}})),
        local.post(&at("clustercredentials"), &json!({"spec": {"clusterName": "c-1", "token": "mine"}})),
        local.delete(&at("clusters/c-1")),
        local.delete(&at("clusters")),
    ] {
        let said = reply.refused(403, "Forbidden");
        assert!(said.contains("a token that is restricted to a cluster changes no clusters"), "{said}");
    }

    for (http, id) in [(&local, "local"), (&one, "c-1")] {
        let path = format!("/v3/clusters/{id}");
        let actions = http.get(&path).want(200)["actions"].clone();
        assert_eq!(actions.as_object().unwrap().keys().collect::<Vec<_>>(), ["generateKubeconfig"]);
        let act = |action: &str, body| http.post(&format!("{path}?action={action}"), body).status;
        assert_eq!(http.put(&path, &json!({"description": "mine"})).status, 403, "{id}");
        assert_eq!(http.delete(&path).status, 403, "{id}");
        assert_eq!(
            (act("setCredential", &secret), act("generateWebhookConfig", &json!({}))),
            (403, 403),
            "{id}"
        );
    }

    // The same person may, by a token that is good everywhere.
    let seen = admin.http.get(&format!("{MANAGEMENT}/clusters/c-1")).want(200);
    assert_eq!(
        (&seen["spec"]["apiEndpoint"], &seen["metadata"]["generation"]),
        (&json!(ENDPOINT), &json!(1))
    );
    admin.http.post("/v3/clusters/c-1?action=setCredential", &secret).want(200);
    admin.http.delete(&format!("{MANAGEMENT}/clusters/c-1")).want(200);
}
