//! `cluster` and `kubeconfig` against a server that this test plays: what is asked of it, and what is made of its answers. The real one is in the black-box tests.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::fake::{Asked, Fake, Shown, own};
use super::support::{Server, admin, bad, code, curl, good, mode, run, stderr, stdout};

const CLUSTERS: &str = "/apis/management.cattle.io/v3/clusters";

struct Scene {
    fake: Fake,
    home: tempfile::TempDir,
    /// What the server says to a credential, and to a removal.
    credential: Arc<AtomicU16>,
    removal: Arc<AtomicU16>,
}

impl Scene {
    fn start() -> Self {
        let (shown, home) = (own(&["127.0.0.1"]), tempfile::tempdir().unwrap());
        let (credential, removal) = (Arc::new(AtomicU16::new(201)), Arc::new(AtomicU16::new(200)));
        let says = (credential.clone(), removal.clone());
        let fake = Fake::answers(&shown, move |asked: &Asked| {
            let line = asked.line();
            if line == format!("POST {CLUSTERS}") {
                (201, asked.body.clone())
            } else if line.contains("/clustercredentials") {
                (says.0.load(Ordering::SeqCst), r#"{"message":"no"}"#.into())
            } else if line.starts_with("DELETE ") {
                (says.1.load(Ordering::SeqCst), "{}".into())
            } else if line == "POST /v3/clusters/c-1?action=generateWebhookConfig" {
                (
                    200,
                    r#"{"type":"generateWebhookConfigOutput","config":"kind: Config\nsecret: s3cret\n"}"#
                        .into(),
                )
            } else if line == "POST /apis/ext.cattle.io/v1/kubeconfigs" {
                (201, r#"{"metadata":{"name":"kubeconfig-x"},"status":{"value":"kind: Config"}}"#.into())
            } else {
                (404, r#"{"reason":"NotFound","message":"nothing"}"#.into())
            }
        });
        let server = json!({"url": fake.url, "tokenKey": "token-x:s", "cacert": shown.certificate.pem()});
        let dir = home.path().join(".config/eartag");
        fs::create_dir_all(&dir).unwrap();
        let file = json!({"CurrentServer": "a", "Servers": {"a": server}});
        fs::write(dir.join("cli2.json"), file.to_string()).unwrap();
        Self { fake, home, credential, removal }
    }

    fn home(&self) -> &Path {
        self.home.path()
    }

    /// Writes a kubeconfig of a cluster; the further members are the user's.
    fn kubeconfig(&self, user: &str) {
        let ca: Shown = own(&["cluster"]);
        fs::write(self.home().join("ca.pem"), ca.certificate.pem()).unwrap();
        let text = format!(
            "current-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n\
             clusters: [{{name: k, cluster: {{server: 'https://10.0.0.1:6443', tls-server-name: kubernetes, certificate-authority: ca.pem}}}}]\n\
             users: [{{name: u, user: {{{user}}}}}]\n"
        );
        fs::write(self.home().join("cluster.yaml"), text).unwrap();
    }

    fn sent(&self, line: &str) -> Value {
        self.fake.requests().into_iter().find(|asked| asked.line() == line).unwrap().json()
    }
}

#[test]
fn a_cluster_is_registered_with_all_that_its_kubeconfig_says() {
    let scene = Scene::start();
    scene.kubeconfig("token: s3cret");
    let args = [
        "cluster",
        "add",
        "c-1",
        "--kubeconfig",
        "cluster.yaml",
        "--display-name",
        "One",
        "--description",
        "first",
        "--endpoint-fqdn",
        "one.example",
        "--endpoint-ca",
        "ca.pem",
    ];
    assert_eq!(good(scene.home(), &args), "cluster.management.cattle.io \"c-1\" added\n");
    let pem = fs::read_to_string(scene.home().join("ca.pem")).unwrap();
    let cluster = json!({
        "apiVersion": "management.cattle.io/v3", "kind": "Cluster", "metadata": {"name": "c-1"},
        "spec": {
            "apiEndpoint": "https://10.0.0.1:6443", "caCert": pem, "tlsServerName": "kubernetes", "displayName": "One", "description": "first",
            "localClusterAuthEndpoint": {"enabled": true, "fqdn": "one.example", "caCerts": pem, "nodes": []},
        },
    });
    assert_eq!(scene.sent(&format!("POST {CLUSTERS}")), cluster);
    let credential = json!({
        "apiVersion": "management.cattle.io/v3", "kind": "ClusterCredential", "spec": {"clusterName": "c-1", "token": "s3cret"},
    });
    assert_eq!(scene.sent("POST /apis/management.cattle.io/v3/clustercredentials"), credential);

    let scene = Scene::start();
    let pair = own(&["admin"]);
    let (certificate, key) = (pair.certificate.pem(), pair.key.serialize_pem());
    scene.kubeconfig(&format!(
        "token: t, client-certificate-data: {}, client-key-data: {}",
        STANDARD.encode(&certificate),
        STANDARD.encode(&key)
    ));
    good(
        scene.home(),
        &["cluster", "add", "c-1", "--kubeconfig", "cluster.yaml", "--endpoint-node", "n1=10.0.0.1"],
    );
    let credential = scene.sent("POST /apis/management.cattle.io/v3/clustercredentials");
    assert_eq!(
        credential["spec"],
        json!({"clusterName": "c-1", "clientCertificate": certificate, "clientKey": key}),
        "a kube-apiserver goes by the certificate"
    );
    let nodes = &scene.sent(&format!("POST {CLUSTERS}"))["spec"]["localClusterAuthEndpoint"]["nodes"];
    assert_eq!(*nodes, json!([{"hostname": "n1", "address": "10.0.0.1", "ready": true}]));
}

#[test]
fn a_cluster_without_its_credential_is_not_left_behind() {
    let scene = Scene::start();
    scene.kubeconfig("token: s3cret");
    scene.credential.store(422, Ordering::SeqCst);
    let add = ["cluster", "add", "c-1", "--kubeconfig", "cluster.yaml"];
    let error = bad(scene.home(), &add);
    assert!(
        error.contains("the credential was not accepted, so the cluster was not added:")
            && error.contains("422"),
        "{error}"
    );
    assert_eq!(scene.fake.count(&format!("DELETE {CLUSTERS}/c-1")), 1);
    scene.removal.store(500, Ordering::SeqCst);
    let error = bad(scene.home(), &add);
    assert!(error.contains("the cluster \"c-1\" is there without one"), "{error}");
}

#[test]
fn what_cannot_open_a_cluster_is_refused_before_anything_is_made() {
    let scene = Scene::start();
    for (user, says) in [
        ("", "has neither a token nor a client certificate"),
        ("username: u, password: p", "has a password, but"),
        ("token: t, as: ann", "acts as somebody else"),
        ("exec: {command: x}", "gets its credentials from a program"),
    ] {
        scene.kubeconfig(user);
        let error = bad(scene.home(), &["cluster", "add", "c-1", "--kubeconfig", "cluster.yaml"]);
        assert!(error.contains(says), "{error}");
    }
    scene.kubeconfig("token: t");
    fs::write(scene.home().join("ca.pem"), "\n").unwrap();
    let error = bad(scene.home(), &["cluster", "add", "c-1", "--kubeconfig", "cluster.yaml"]);
    assert!(error.contains("the certificate authority is not in PEM form"), "{error}");
    assert_eq!(scene.fake.asked(), "");
}

#[test]
fn a_webhooks_kubeconfig_goes_to_standard_output_or_a_file_of_the_owners_and_the_flags_to_people() {
    let scene = Scene::start();
    let output = run(scene.home(), &["cluster", "webhook-config", "c-1"]);
    assert_eq!((code(&output), stdout(&output).as_str()), (0, "kind: Config\nsecret: s3cret\n"));
    let flags = stderr(&output);
    assert!(flags.contains("--authentication-token-webhook-config-file=FILE\n"), "{flags}");
    assert!(
        flags.contains("--authentication-token-webhook-version=v1\n") && !flags.contains("s3cret"),
        "{flags}"
    );
    let output = run(scene.home(), &["cluster", "webhook-config", "c-1", "-o", "w.yaml"]);
    assert_eq!((code(&output), stdout(&output).as_str()), (0, ""));
    let file = scene.home().join("w.yaml");
    assert_eq!(
        (fs::read_to_string(&file).unwrap().as_str(), mode(&file)),
        ("kind: Config\nsecret: s3cret\n", 0o600)
    );
    assert!(stderr(&output).contains(&format!("-config-file={}\n", file.display())), "{}", stderr(&output));
    assert!(bad(scene.home(), &["cluster", "webhook-config", "c-2"]).contains("404"));
}

#[test]
fn kubeconfigs_are_made_for_some_clusters_or_for_all() {
    let scene = Scene::start();
    let get = |args: &[&str]| {
        let all: Vec<&str> = ["kubeconfig", "get"].into_iter().chain(args.iter().copied()).collect();
        (good(scene.home(), &all), scene.fake.requests().pop().unwrap().json())
    };
    let (said, asked) = get(&["c-1", "c-2", "--ttl", "2h", "--description", "mine"]);
    assert_eq!(said, "kind: Config\n");
    assert_eq!(asked["spec"], json!({"clusters": ["c-1", "c-2"], "ttl": 7200, "description": "mine"}));
    let (said, asked) = get(&["--all", "-o", "k.yaml"]);
    assert_eq!((said.as_str(), &asked["spec"]), ("", &json!({"clusters": ["*"]})));
    let file = scene.home().join("k.yaml");
    assert_eq!((fs::read_to_string(&file).unwrap().as_str(), mode(&file)), ("kind: Config\n", 0o600));
    assert!(bad(scene.home(), &["kubeconfig", "get", "c-1", "--ttl", "0"]).contains("leave --ttl out"));
    assert_eq!(code(&run(scene.home(), &["kubeconfig", "get"])), 2);
}

#[test]
fn a_cluster_is_added_shown_put_into_a_kubeconfig_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let _server = Server::start(dir, &["--bootstrap-password", "correct horse battery"]);
    let ca: Shown = own(&["cluster"]);
    let text = format!(
        "current-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n\
         clusters: [{{name: k, cluster: {{server: 'https://10.0.0.1:6443', certificate-authority-data: {}}}}}]\n\
         users: [{{name: u, user: {{token: s3cret}}}}]\n",
        STANDARD.encode(ca.certificate.pem())
    );
    fs::write(dir.join("cluster.yaml"), text).unwrap();
    let add = ["cluster", "add", "c-one", "--kubeconfig", "cluster.yaml", "--display-name", "One"];
    assert_eq!(good(dir, &add), "cluster.management.cattle.io \"c-one\" added\n");
    assert!(bad(dir, &add).contains("(409 AlreadyExists)"));

    let list = good(dir, &["cluster", "list"]);
    let line = list.lines().find(|line| line.starts_with("c-one ")).unwrap();
    assert!(line.contains("https://10.0.0.1:6443"), "{list}");
    let shown = good(dir, &["cluster", "show", "c-one", "-o", "json"]);
    let cluster: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&cluster["kind"], &cluster["spec"]["displayName"]), (&"Cluster".into(), &"One".into()));
    assert!(!shown.contains("s3cret"));
    assert!(bad(dir, &["cluster", "show", "c-two"]).contains("(404 NotFound)"));

    assert_eq!(good(dir, &["kubeconfig", "get", "c-one", "-o", "mine.yaml", "--ttl", "1h"]), "");
    let mine = fs::read_to_string(dir.join("mine.yaml")).unwrap();
    assert!(mine.contains("/k8s/clusters/c-one") && mine.contains("current-context: \"One\""), "{mine}");
    // What was made is read back, and its token is that of the same user.
    let me = |args: &[&str]| good(dir, &[&["whoami", "-o", "name"][..], args].concat());
    assert_eq!(me(&["--kubeconfig", "mine.yaml", "--context", "rancher"]), me(&[]));
    assert!(good(dir, &["kubeconfig", "get", "--all"]).contains("/k8s/clusters/local"));

    assert_eq!(good(dir, &["cluster", "webhook-config", "c-one", "-o", "webhook.yaml"]), "");
    let webhook = fs::read_to_string(dir.join("webhook.yaml")).unwrap();
    assert!(
        webhook.contains("/tokenreviews") && webhook.contains("certificate-authority-data:"),
        "{webhook}"
    );
    // What was made is a credential of the cluster's own, with which it may ask whose a token is.
    let line = webhook.lines().find_map(|line| line.trim().strip_prefix("token:")).unwrap();
    let bearer = line.trim().trim_matches('"');
    let review = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": admin(dir, "token:")},
    });
    let asked = curl(dir, "/apis/authentication.k8s.io/v1/tokenreviews", Some(bearer), Some(&review));
    assert_eq!(asked.1["status"]["authenticated"], true, "{asked:?}");

    assert_eq!(
        good(dir, &["cluster", "remove", "c-one"]),
        "cluster.management.cattle.io \"c-one\" removed\n"
    );
    assert!(bad(dir, &["kubeconfig", "get", "c-one"]).contains("cluster c-one not found"));
}
