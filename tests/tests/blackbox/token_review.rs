//! Clusters ask whose token it is: a real kube-apiserver with Eartag as its token webhook, and what comes in at the doors where they ask.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use eartag_tests::http::text;
use eartag_tests::people::{bind, token};
use eartag_tests::{
    Http, KubeApiserver, KubeSetup, Kubectl, MANAGEMENT, Person, Server, needs_kube_apiserver, needs_kubectl,
};
use serde_json::{Value, json};

const V1: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const V1BETA1: &str = "/apis/authentication.k8s.io/v1beta1/tokenreviews";
const KUBE_API_AUTH: &str = "/v1/authenticate";
const INTROSPECT: &str = "/oauth2/introspect";
const REVOKE: &str = "/oauth2/revoke";

/// The kube-apiserver keeps what it learned of a good token for this long, whatever its flags say (kubernetes-api.md K10).
const SUCCESS_CACHE: Duration = Duration::from_secs(10);

/// Two clusters, ann who may use both, and bob who may use neither.
struct Stage {
    server: Server,
    admin: Person,
    ann: Person,
    bob: Person,
}

impl Stage {
    fn new() -> Stage {
        let server = Server::start();
        let (admin, ann, bob) =
            (server.admin(), server.person("ann", &["user"]), server.person("bob", &["user"]));
        for id in ["c-1", "c-2"] {
            admin.http.post(&format!("{MANAGEMENT}/clusters"), &json!({"metadata": {"name": id}})).want(201);
        }
        let rule = json!({"apiGroups": ["management.cattle.io"], "resources": ["clusters"], "resourceNames": ["c-1", "c-2"], "verbs": ["get"]});
        let role = json!({"metadata": {"name": "both"}, "displayName": "Both", "rules": [rule]});
        admin.http.post(&format!("{MANAGEMENT}/globalroles"), &role).want(201);
        bind(&admin.http, &ann.id, "both");
        Stage { server, admin, ann, bob }
    }

    /// What the kube-apiserver of a cluster is started with, as a file.
    fn webhook_config(&self, id: &str, version: &str) -> PathBuf {
        let path = format!("/v3/clusters/{id}?action=generateWebhookConfig");
        let config = self.admin.http.post(&path, &json!({"version": version})).want(200);
        let file = self.server.scratch().join(format!("webhook-{id}-{version}"));
        std::fs::write(&file, text(&config["config"])).expect("a file");
        file
    }

    /// A real cluster that is `c-1`, started with the flags that `eartag cluster webhook-config` prints.
    fn cluster(&self) -> KubeApiserver {
        let scratch = self.server.scratch();
        let admin = self.server.data().join("kubeconfig/admin.yaml").display().to_string();
        let file = scratch.join("webhook").display().to_string();
        let line = ["cluster", "webhook-config", "c-1", "--kubeconfig", &admin, "--output", &file];
        let (code, out, said) = eartag_tests::server::run(&line, &[], scratch);
        assert_eq!((code, out.as_str()), (0, ""), "{said}");
        let flags: Vec<&str> =
            said.lines().map(str::trim).filter(|line| line.starts_with("--authentication-token-")).collect();
        assert_eq!(flags.len(), 3, "{said}");
        let kube = flags.iter().fold(KubeSetup::default(), |setup, flag| setup.arg(flag)).start();

        // Its administrator says where it is, and that people may go there without Eartag in between.
        let ca = std::fs::read_to_string(kube.ca_file()).expect("a file");
        let spec = json!({
            "displayName": "Real", "apiEndpoint": kube.url(), "caCert": ca,
            "localClusterAuthEndpoint": {"enabled": true, "fqdn": kube.address().to_string(), "caCerts": ca},
        });
        let admin = &self.admin.http;
        admin.merge(&format!("{MANAGEMENT}/clusters/c-1"), &json!({"spec": spec})).want(200);
        let pair = kube.admin_pair();
        let credential =
            json!({"clusterName": "c-1", "clientCertificate": pair.certificate, "clientKey": pair.key});
        admin.post(&format!("{MANAGEMENT}/clustercredentials"), &json!({"spec": credential})).want(201);
        kube
    }

    /// The credential in such a file.
    fn asker(&self, id: &str) -> Http {
        let config = std::fs::read_to_string(self.webhook_config(id, "v1")).expect("a file");
        self.server.anonymous().bearer(&eartag_tests::server::value_in(&config, "token"))
    }
}

/// A token as a person makes it: by kubectl. Gives its name and the bearer value.
fn by_kubectl(person: &Person, cluster: &str) -> (String, String) {
    let manifest = format!(
        "apiVersion: ext.cattle.io/v1\nkind: Token\nspec:\n  description: for the cluster\n  clusterName: \"{cluster}\"\n"
    );
    let args = ["create", "-f", "-", "-o", "jsonpath={.metadata.name} {.status.bearerToken}"];
    let made = person.kubectl.input(&args, &manifest).ok();
    let (name, bearer) = made.split_once(' ').expect("two words");
    (name.to_owned(), bearer.trim().to_owned())
}

/// What the cluster itself says of a token.
fn reviewed(kube: &KubeApiserver, bearer: &str) -> Value {
    let review =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": bearer}});
    kube.admin_http().post(V1, &review).want(201)["status"].clone()
}

/// kubectl with a kubeconfig for `c-1` that kubectl made, and the kubeconfig's name.
fn kubeconfig_by_kubectl(stage: &Stage) -> (String, Kubectl) {
    let manifest = "apiVersion: ext.cattle.io/v1\nkind: Kubeconfig\nspec:\n  clusters: [c-1]\n";
    let kubectl = &stage.ann.kubectl;
    let file = kubectl.input(&["create", "-f", "-", "-o", "jsonpath={.status.value}"], manifest).ok();
    let name = kubectl.ok(&["get", "kubeconfigs", "-o", "jsonpath={.items[*].metadata.name}"]);
    (name, Kubectl::new(&file, stage.server.tape().clone()))
}

/// Asks until it is refused. However slow the machine is: nothing that is asked later than the cluster's cache holds is let in.
#[track_caller]
fn ends_within_its_cache(revoked: Instant, refused: impl Fn() -> bool) {
    loop {
        let asked = revoked.elapsed();
        if refused() {
            return;
        }
        assert!(asked < SUCCESS_CACHE, "let in {asked:?} after it was revoked");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn what_kubectl_makes_logs_in_to_a_real_cluster_as_its_owner() {
    needs_kubectl!();
    needs_kube_apiserver!();
    let stage = Stage::new();
    let kube = stage.cluster();
    let ann = &stage.ann;
    let (name, bearer) = by_kubectl(ann, "");

    // The cluster knows who it is, and gives the groups that are its own to give.
    let status = reviewed(&kube, &bearer);
    assert_eq!(status["authenticated"], true, "{status}\n{}", kube.log());
    assert_eq!(status["user"]["username"], ann.id);
    assert_eq!(status["user"]["groups"], json!(["system:authenticated"]));
    assert_eq!(status["user"]["extra"]["requesttokenid"], json!([name]));
    assert_eq!(status["user"]["extra"]["principalid"], json!([format!("local://{}", ann.id)]));

    // Its own roles decide.
    let there = kube.kubectl(&bearer);
    let refused = there.fails(&["get", "pods"]);
    let words = format!("User \"{}\" cannot list resource \"pods\"", ann.id);
    assert!(refused.contains("Forbidden") && refused.contains(&words), "{refused}");
    // (Its own role `view` is put together by a controller that does not run here.)
    kube.admin().ok(&["create", "clusterrole", "pods", "--verb=get,list", "--resource=pods"]);
    kube.bind("ann", "pods", "User", &ann.id);
    there.ok(&["get", "pods"]);
    assert!(there.fails(&["create", "namespace", "x"]).contains("cannot create resource \"namespaces\""));

    // Restricted to this cluster: good here and not at Eartag itself. To another: the other way round, and not good here.
    let (_, here) = by_kubectl(ann, "c-1");
    kube.kubectl(&here).ok(&["get", "pods"]);
    assert_eq!(stage.server.anonymous().bearer(&here).whoami(), None);
    let (_, elsewhere) = by_kubectl(ann, "c-2");
    let (_, bobs) = by_kubectl(&stage.bob, "");
    for refused in
        [elsewhere.as_str(), &bobs, &ann.bearer.replace(':', ":x"), "eyJhbGciOiJSUzI1NiJ9.e30.c2ln"]
    {
        let said = kube.kubectl(refused).fails(&["get", "pods"]);
        assert!(said.contains("must be logged in to the server") || said.contains("Unauthorized"), "{said}");
        assert!(!reviewed(&kube, refused)["authenticated"].as_bool().unwrap_or(false));
    }

    // A kubeconfig leads to the cluster itself, and through Eartag: by both ways its owner may do the same.
    let (kubeconfig, hers) = kubeconfig_by_kubectl(&stage);
    assert_eq!(hers.ok(&["config", "current-context"]).trim(), "Real-fqdn");
    for context in ["Real-fqdn", "Real"] {
        hers.ok(&["--context", context, "get", "pods"]);
        let refused = hers.fails(&["--context", context, "create", "namespace", "x"]);
        let words = format!("User \"{}\" cannot create resource \"namespaces\"", ann.id);
        assert!(refused.contains(&words), "{context}: {refused}");
    }
    ann.kubectl.ok(&["delete", "kubeconfig", &kubeconfig]);
    assert!(hers.fails(&["--context", "Real", "get", "pods"]).contains("must be logged in"));

    // Revoked: one that the cluster has not seen lately is refused at once, one that it has when its own cache lets go of it.
    let (unseen, unseen_bearer) = by_kubectl(ann, "");
    kube.kubectl(&bearer).ok(&["get", "pods"]);
    for revoked in [&unseen, &name] {
        ann.http.delete(&token(revoked)).want(200);
    }
    let revoked = Instant::now();
    assert_eq!(stage.server.anonymous().bearer(&bearer).whoami(), None);
    let pods = "/api/v1/namespaces/default/pods";
    kube.anonymous().bearer(&unseen_bearer).get(pods).refused(401, "Unauthorized");
    ends_within_its_cache(revoked, || kube.anonymous().bearer(&bearer).get(pods).status == 401);
    ends_within_its_cache(revoked, || {
        hers.run(&["--context", "Real-fqdn", "get", "pods"]).err.contains("must be logged in")
    });

    // The right to the cluster taken away: refused as well, by a token that is still good elsewhere.
    let (_, other) = by_kubectl(ann, "");
    let bindings = stage.admin.http.get(&format!("{MANAGEMENT}/globalrolebindings")).want(200);
    for binding in bindings["items"].as_array().unwrap().iter().filter(|b| b["globalRoleName"] == "both") {
        stage
            .admin
            .http
            .delete(&format!("{MANAGEMENT}/globalrolebindings/{}", text(&binding["metadata"]["name"])));
    }
    kube.anonymous().bearer(&other).get(pods).refused(401, "Unauthorized");
    assert_eq!(stage.server.anonymous().bearer(&other).whoami(), Some(ann.id.clone()));
    for bearer in [&bearer, &here, &elsewhere] {
        assert!(!stage.server.stderr().contains(bearer.as_str()));
    }
}

/// The version that API servers ask in by default, and their default cache: a token stays good there for as long as that says.
#[test]
fn a_cluster_that_asks_in_the_older_version_lets_people_in_too() {
    needs_kubectl!();
    needs_kube_apiserver!();
    let stage = Stage::new();
    // A config for v1 in an API server that was told nothing: what is sent is answered.
    let config =
        format!("--authentication-token-webhook-config-file={}", stage.webhook_config("c-1", "v1").display());
    let kube = KubeSetup::default().arg(&config).start();
    let (name, bearer) = by_kubectl(&stage.ann, "c-1");
    let pods = "/api/v1/namespaces/default/pods";
    let forbidden = kube.anonymous().bearer(&bearer).get(pods).refused(403, "Forbidden");
    assert!(forbidden.contains(&stage.ann.id), "{forbidden}");
    stage.ann.http.delete(&token(&name)).want(200);
    assert_eq!(kube.anonymous().bearer(&bearer).get(pods).status, 403, "kept by the cluster's own cache");
    let (_, bobs) = by_kubectl(&stage.bob, "");
    kube.anonymous().bearer(&bobs).get(pods).refused(401, "Unauthorized");
}

#[test]
fn a_real_cluster_is_answered_by_the_door_of_kube_api_auth_as_well() {
    needs_kube_apiserver!();
    let stage = Stage::new();
    let file = stage.webhook_config("c-1", "v1beta1");
    let config = std::fs::read_to_string(&file).expect("a file");
    std::fs::write(&file, config.replace(V1BETA1, KUBE_API_AUTH)).expect("a file");
    let kube = KubeSetup::default().webhook(&file, "v1beta1", "0s").start();
    let minted = stage.ann.mint(json!({"clusterName": "c-1"}));
    let status = reviewed(&kube, &minted.bearer);
    assert_eq!(status["user"]["username"], stage.ann.id, "{status}");
    let elsewhere = stage.ann.mint(json!({"clusterName": "c-2"}));
    assert_eq!(reviewed(&kube, &elsewhere.bearer).get("user").and_then(|u| u.get("username")), None);
}

#[test]
fn what_is_no_question_is_a_clear_error_and_no_token_is_ever_repeated() {
    let stage = Stage::new();
    let asker = stage.asker("c-1");
    let minted = stage.ann.mint(json!({}));
    let megabyte = "x".repeat(1 << 20);
    let review = |token: &str| json!({"kind": "TokenReview", "spec": {"token": token}});

    for long in [megabyte.clone(), format!("token-abcde:{megabyte}"), format!("{megabyte}:x")] {
        for path in [V1, V1BETA1] {
            assert_eq!(asker.post(path, &review(&long)).want(200)["status"], json!({"authenticated": false}));
        }
        let reply = asker.post(KUBE_API_AUTH, &review(&long));
        assert_eq!((reply.status, reply.body.len()), (401, 0));
        let form = format!("token={long}");
        // No token is so long, and the answer may come before all of it was sent.
        if let Ok(reply) =
            asker.try_send("POST", INTROSPECT, "application/x-www-form-urlencoded", Some(form.as_bytes()))
        {
            assert_eq!(reply.status, 413);
        }
    }
    let huge = review(&"x".repeat(4 << 20)).to_string();
    for (path, code) in [(V1, 413), (KUBE_API_AUTH, 413), (INTROSPECT, 413), (REVOKE, 413)] {
        let kind = if path.starts_with("/oauth2") {
            "application/x-www-form-urlencoded"
        } else {
            "application/json"
        };
        if let Ok(reply) = asker.try_send("POST", path, kind, Some(huge.as_bytes())) {
            assert_eq!(reply.status, code, "{path}");
        }
    }
    let deep = format!("{}{}", "{\"spec\":".repeat(5000), "}".repeat(5000));
    for bad in ["", "null", "[]", "{", "{\"spec\":7}", "{\"spec\":{\"token\":[]}}", "\u{0}", deep.as_str()] {
        assert_eq!(
            asker.send("POST", V1, "application/json", Some(bad.as_bytes())).status,
            400,
            "{:.20}",
            bad
        );
        let reply = asker.send("POST", KUBE_API_AUTH, "application/json", Some(bad.as_bytes()));
        assert_eq!((reply.status, reply.body.len()), (400, 0), "{:.20}", bad);
    }
    let body = review(&minted.bearer).to_string();
    asker.send("POST", V1, "text/plain", Some(body.as_bytes())).refused(415, "UnsupportedMediaType");
    stage.admin.http.get(V1).refused(405, "MethodNotAllowed");
    let of = |audiences: Value| json!({"spec": {"token": minted.bearer, "audiences": audiences}});
    assert_eq!(asker.post(V1, &of(json!(["vault"]))).want(200)["status"], json!({"authenticated": false}));
    let own = asker.post(V1, &of(json!(["vault", "c-1"]))).want(200);
    assert_eq!(
        (&own["status"]["authenticated"], &own["status"]["audiences"]),
        (&json!(true), &json!(["c-1"]))
    );
    asker.post(V1, &of(json!("vault"))).refused(400, "BadRequest");

    // Who may not ask learns nothing.
    for nobody in [stage.server.anonymous(), stage.server.anonymous().bearer("token-nobody:x")] {
        nobody.post(V1, &review(&minted.bearer)).refused(401, "Unauthorized");
        let reply = nobody.post(KUBE_API_AUTH, &review(&minted.bearer));
        assert_eq!((reply.status, reply.body.len()), (401, 0));
        let reply = nobody.send("POST", INTROSPECT, "application/x-www-form-urlencoded", Some(b"token=x"));
        assert_eq!(reply.want(401)["error"], "invalid_client");
    }
    stage.bob.http.post(V1, &review(&minted.bearer)).refused(403, "Forbidden");
    // The credential of a cluster opens no other door.
    for path in
        ["/v3", "/v3/clusters/c-1", "/apis", "/apis/ext.cattle.io/v1/tokens", "/k8s/clusters/c-1/version"]
    {
        assert_eq!(asker.get(path).status, 401, "{path}");
    }
    // Its making is the one time that a token is shown, and not one of these doors repeats one.
    let shown = stage.server.tape().find(&minted.value);
    assert!(!shown.is_empty() && shown.iter().all(|what| what.ends_with("/tokens → 201")), "{shown:?}");
    assert!(!stage.server.stderr().contains(&minted.value));
}

#[test]
fn a_token_that_is_handed_in_for_revocation_is_refused_at_once_at_every_door() {
    let stage = Stage::new();
    let asker = stage.asker("c-1");
    let minted = stage.ann.mint(json!({}));
    let own = stage.server.anonymous().bearer(&minted.bearer);
    let form = "application/x-www-form-urlencoded";
    let body = format!("token={}", minted.bearer);
    let introspected = asker.send("POST", INTROSPECT, form, Some(body.as_bytes())).want(200);
    assert_eq!((&introspected["active"], &introspected["sub"]), (&json!(true), &json!(stage.ann.id)));
    let reply = stage.server.anonymous().send("POST", REVOKE, form, Some(body.as_bytes()));
    assert_eq!((reply.status, reply.body.len(), reply.header("cache-control")), (200, 0, Some("no-store")));
    assert_eq!(own.whoami(), None);
    assert_eq!(own.get("/v3").status, 401);
    let review = json!({"kind": "TokenReview", "spec": {"token": minted.bearer}});
    assert_eq!(asker.post(V1, &review).want(200)["status"], json!({"authenticated": false}));
    assert_eq!(asker.post(KUBE_API_AUTH, &review).status, 401);
    assert_eq!(
        asker.send("POST", INTROSPECT, form, Some(body.as_bytes())).want(200),
        json!({"active": false})
    );
    assert_eq!(stage.ann.http.get(&token(&minted.name)).status, 404);

    // By its id alone: its owner and administrators; to everybody else it is not there.
    let (first, second) = (stage.ann.mint(json!({})), stage.ann.mint(json!({})));
    let named = |by: &Http, name: &str| {
        by.send("POST", REVOKE, form, Some(format!("token=ext/{name}").as_bytes())).status
    };
    assert_eq!(
        (named(&stage.bob.http, &first.name), named(&stage.server.anonymous(), &first.name)),
        (200, 200)
    );
    assert_eq!(stage.ann.http.get(&token(&first.name)).status, 200);
    assert_eq!((named(&stage.ann.http, &first.name), named(&stage.admin.http, &second.name)), (200, 200));
    for gone in [&first, &second] {
        assert_eq!(stage.ann.http.get(&token(&gone.name)).status, 404);
    }
}
