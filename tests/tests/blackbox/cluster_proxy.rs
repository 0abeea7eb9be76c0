//! `/k8s/clusters/<id>` in front of a real kube-apiserver: kubectl works there as the user it is, with the rights that user has there.

use eartag_tests::http::text;
use eartag_tests::kubelet::{Kubelet, LATER, LOG};
use eartag_tests::people::{bind, token};
use eartag_tests::{
    KubeApiserver, Kubectl, MANAGEMENT, Person, Server, needs_kube_apiserver, needs_kubectl, raw, wait,
};
use serde_json::json;
use wait::PATIENCE;

/// What `view` is made of, where the controller that does so runs.
const READER: &str = "system:aggregate-to-view";

/// A kube-apiserver that is registered as `c-1`, with its administrator's certificate as the credential.
struct Fleet {
    kube: KubeApiserver,
    server: Server,
    admin: Person,
}

impl Fleet {
    fn start() -> Fleet {
        let kube = KubeApiserver::start();
        let server = Server::start();
        let admin = server.admin();
        register(&admin, "c-1", &kube.url(), &std::fs::read_to_string(kube.ca_file()).unwrap());
        let pair = kube.admin_pair();
        admin.kubectl.create(&format!(
            "apiVersion: management.cattle.io/v3\nkind: ClusterCredential\nspec:\n  clusterName: c-1\n  clientCertificate: |\n{}  \
             clientKey: |\n{}",
            indented(&pair.certificate),
            indented(&pair.key)
        ));
        Fleet { kube, server, admin }
    }

    /// kubectl in the cluster, by the proxy.
    fn kubectl(&self, bearer: &str) -> Kubectl {
        let url = format!("{}/k8s/clusters/c-1", self.server.url());
        Kubectl::for_bearer(&url, &self.server.ca_file(), bearer, self.server.tape().clone())
    }

    /// A user with the right to use the cluster, and this cluster role in it.
    fn user(&self, name: &str, role: &str) -> Person {
        let person = self.server.person(name, &["user"]);
        may_use(&self.admin, &person, "c-1");
        self.grant(&person, role);
        person
    }

    fn grant(&self, person: &Person, role: &str) {
        self.kube.bind(&format!("{}-{role}", person.id), role, "User", &person.id);
    }
}

fn register(admin: &Person, id: &str, url: &str, ca: &str) {
    admin.kubectl.create(&format!(
        "apiVersion: management.cattle.io/v3\nkind: Cluster\nmetadata:\n  name: {id}\nspec:\n  apiEndpoint: {url}\n  caCert: |\n{}",
        indented(ca)
    ));
}

fn may_use(admin: &Person, person: &Person, id: &str) {
    let name = format!("{id}-{}", person.id);
    let rule = json!({"apiGroups": ["management.cattle.io"], "resources": ["clusters"], "resourceNames": [id], "verbs": ["get"]});
    admin
        .http
        .post(&format!("{MANAGEMENT}/globalroles"), &json!({"metadata": {"name": name}, "rules": [rule]}))
        .want(201);
    bind(&admin.http, &person.id, &name);
}

fn indented(pem: &str) -> String {
    pem.lines().map(|line| format!("    {line}\n")).collect()
}

#[test]
fn kubectl_works_in_a_cluster_with_the_rights_that_its_user_has_there() {
    needs_kubectl!();
    needs_kube_apiserver!();
    let fleet = Fleet::start();
    let admin = fleet.kubectl(&fleet.admin.bearer);

    // Nobody is anybody there, before the cluster itself says so: not even our administrator.
    let refused = admin.fails(&["get", "namespaces"]);
    assert!(
        refused.contains(&format!("User \"{}\" cannot list resource \"namespaces\"", fleet.admin.id)),
        "{refused}"
    );
    fleet.grant(&fleet.admin, "cluster-admin");
    assert!(admin.ok(&["get", "namespaces"]).contains("kube-system"));
    assert!(admin.ok(&["version"]).contains("v1.20"));
    admin.create("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: one\ndata:\n  a: b\n");
    admin.ok(&["label", "configmap", "one", "x=y"]);
    admin
        .input(
            &["apply", "--server-side", "-f", "-"],
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: one\ndata:\n  c: d\n",
        )
        .ok();
    assert!(admin.ok(&["get", "configmap", "one", "-o", "yaml"]).contains("c: d"));
    assert!(admin.ok(&["explain", "pods.spec"]).contains("containers"));

    // A reader reads, watches and writes nothing.
    let ann = fleet.user("ann", READER);
    let kubectl = fleet.kubectl(&ann.bearer);
    assert!(kubectl.ok(&["get", "configmaps"]).contains("one"));
    let refused = kubectl.fails(&["create", "configmap", "two"]);
    assert!(
        refused.contains(&format!("User \"{}\" cannot create resource \"configmaps\"", ann.id)),
        "{refused}"
    );
    let watch = kubectl.spawn(&[
        "get",
        "configmaps",
        "-w",
        "-o",
        "name",
        "--field-selector=metadata.name!=kube-root-ca.crt",
    ]);
    assert_eq!(watch.line(), "configmap/one");
    admin.create("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: two\n");
    assert_eq!(watch.line(), "configmap/two");
    drop(watch);
    admin.ok(&["delete", "configmap", "two"]);
    assert!(kubectl.fails(&["get", "configmap", "two"]).contains("not found"));
    let big = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: big\ndata:\n  a: {}\n",
        "x".repeat(900_000)
    );
    assert_eq!(admin.input(&["create", "-f", "-"], &big).ok().trim(), "configmap/big created");
    assert!(kubectl.ok(&["get", "configmap", "big", "-o", "json"]).len() > 900_000);

    // Everybody of ours is in the group, and nobody is more than themselves.
    fleet.kube.bind("ours", "system:node-proxier", "Group", "system:cattle:authenticated");
    assert!(kubectl.ok(&["get", "nodes"]).is_empty());
    assert!(kubectl.fails(&["get", "nodes", "--as=admin"]).contains("cannot impersonate"));
    assert!(kubectl.fails(&["get", "nodes", "--as=admin", "--as-group=system:masters"]).contains("cannot"));
    let as_ann = format!("--as={}", ann.id);
    assert!(admin.ok(&["get", "configmaps", &as_ann]).contains("one"));
    assert!(admin.fails(&["delete", "configmap", "one", &as_ann]).contains("cannot delete"));

    // Without the right to use it, the cluster is not there.
    let bob = fleet.server.person("bob", &["user"]);
    fleet.grant(&bob, "cluster-admin");
    let refused = bob.http.get("/k8s/clusters/c-1/api/v1/configmaps").refused(403, "Forbidden");
    assert!(
        refused.contains("cannot get resource \"clusters\" in API group \"management.cattle.io\""),
        "{refused}"
    );
    assert!(fleet.kubectl(&bob.bearer).fails(&["get", "configmaps"]).contains("Forbidden"));
}

#[test]
fn a_token_opens_the_clusters_of_its_scope_and_ends_with_its_revocation() {
    needs_kubectl!();
    needs_kube_apiserver!();
    let mut fleet = Fleet::start();
    let ann = fleet.user("ann", READER);
    may_use(&fleet.admin, &ann, "local");
    let scoped = ann.mint(json!({"clusterName": "c-1"}));
    let local = ann.mint(json!({"clusterName": "local"}));
    assert!(fleet.kubectl(&scoped.bearer).run(&["get", "configmaps"]).code == 0);
    assert!(fleet.kubectl(&local.bearer).fails(&["get", "configmaps"]).contains("logged in"));
    let http = |bearer: &str| fleet.server.anonymous().bearer(bearer);
    http(&scoped.bearer).get("/k8s/clusters/local/apis").refused(401, "Unauthorized");

    // `local` is this server itself.
    let here = http(&local.bearer)
        .get("/k8s/clusters/local/apis/management.cattle.io/v3/settings?limit=1")
        .want(200);
    assert_eq!(here["kind"], "SettingList");
    assert_eq!(http(&local.bearer).get("/k8s/clusters/local/version").status, 200);
    http(&local.bearer).get("/k8s/clusters/local/apis/ext.cattle.io/v1/tokens").refused(403, "Forbidden");
    assert_eq!(http(&ann.bearer).get("/k8s/clusters/local/apis/ext.cattle.io/v1/tokens").status, 200);

    // A watch ends with its token, and nothing is let in afterwards.
    let watching = fleet.kubectl(&scoped.bearer);
    fleet.kube.admin().create("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: one\n");
    let watch = watching.spawn(&["get", "configmaps", "-w", "-o", "name", "-v=6"]);
    assert_eq!(watch.line(), "configmap/one");
    watch.watches();
    assert_eq!(ann.http.delete(&token(&scoped.name)).status, 200);
    assert!(watching.fails(&["get", "configmaps"]).contains("logged in"));
    fleet.kube.admin().create("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: two\n");
    // kubectl prints a nameless Status for a watch that was cut.
    let (_, rest) = watch.end();
    assert!(!rest.iter().any(|line| line.starts_with("configmap/")), "{rest:?}");

    // What lasts does not hold up the server's end.
    let last = fleet.kubectl(&ann.bearer);
    let watch = last.spawn(&["get", "configmaps", "-w", "-o", "name", "-v=6"]);
    assert_eq!([watch.line(), watch.line()], ["configmap/one", "configmap/two"]);
    watch.watches();
    assert_eq!(fleet.server.terminate().code(), Some(0));
    // What is waited for till the last moment is dropped then, and counted.
    let said = fleet.server.stderr();
    assert!(said.contains("stopped") && !said.contains("connections were dropped"), "{said}");
}

#[test]
fn logs_exec_and_attach_reach_a_kubelet_in_both_protocols() {
    needs_kubectl!();
    needs_kube_apiserver!();
    let fleet = Fleet::start();
    let kubelet = Kubelet::start();
    kubelet.join(&fleet.kube.admin());
    fleet.kube.admin().ok(&[
        "create",
        "clusterrole",
        "runs",
        "--verb=get,create",
        "--resource=pods,pods/log,pods/exec,pods/attach,pods/portforward",
    ]);
    let ann = fleet.user("ann", "runs");
    let kubectl = fleet.kubectl(&ann.bearer);

    assert_eq!(kubectl.ok(&["logs", "pod"]), format!("{LOG}\n"));
    let follow = kubectl.spawn(&["logs", "-f", "pod"]);
    assert_eq!(follow.line(), LOG);
    kubelet.log_more();
    assert_eq!(follow.line(), LATER);
    assert_eq!(follow.end().0, 0);

    for (websockets, protocol) in [("true", "websocket"), ("false", "spdy/3.1")] {
        let env = [("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", websockets)];
        let said = kubectl.run_with(&["exec", "pod", "--", "say"], "", &env).ok();
        assert_eq!(said, format!("{LOG}\n"), "{protocol}");
        let long = "something to echo, ".repeat(1000);
        let echoed = kubectl.run_with(&["exec", "-i", "pod", "--", "cat"], &long, &env).ok();
        assert_eq!(echoed, long, "{protocol}");
        let asked = kubelet.asked();
        let last = asked.last().unwrap();
        assert!(last.contains("/exec/default/pod/main") && last.ends_with(protocol), "{last}");

        let said = kubectl.run_with(&["attach", "pod"], "", &env).ok();
        assert_eq!(said, format!("{LOG}\n"), "{protocol}");
        let echoed = kubectl.run_with(&["attach", "-i", "pod", "-c", "main"], &long, &env).ok();
        assert_eq!(echoed, long, "{protocol}");
        let asked = kubelet.asked();
        let last = asked.last().unwrap();
        assert!(last.contains("/attach/default/pod/main") && last.ends_with(protocol), "{last}");
    }

    let forward = kubectl.spawn(&["port-forward", "pod/pod", ":8080", "--address=127.0.0.1"]);
    let line = forward.line();
    let port = line.split("127.0.0.1:").nth(1).unwrap().split(' ').next().unwrap();
    let mut connection = std::net::TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    std::io::Write::write_all(&mut connection, b"ping").unwrap();
    let mut back = [0; 4];
    std::io::Read::read_exact(&mut connection, &mut back).unwrap();
    assert_eq!(&back, b"ping");
    assert!(kubelet.asked().last().unwrap().contains("/portForward/default/pod"));
    drop((connection, forward));

    // Who may not exec there does not, and who is refused there leaves no connection behind.
    let reader = fleet.user("bob", READER);
    let asked = kubelet.asked().len();
    let refused = fleet.kubectl(&reader.bearer).fails(&["exec", "pod", "--", "say"]);
    assert!(
        refused.contains("cannot create resource \"pods/exec\"")
            || refused.contains("cannot get resource \"pods/exec\""),
        "{refused}"
    );
    assert_eq!(kubelet.asked().len(), asked);

    // A session ends when its token is revoked, at both ends.
    let short = ann.mint(json!({}));
    wait::until("what ran before to end", PATIENCE, || (kubelet.open() == 0).then_some(()));
    let (kubelet_path, ca) = (
        "/k8s/clusters/c-1/api/v1/namespaces/default/pods/pod/exec?command=cat&stdin=true&stdout=true",
        fleet.server.ca_file(),
    );
    let mut session = raw::tls(fleet.server.address(), &raw::config(&ca, &["http/1.1"])).unwrap();
    let ask = format!(
        "GET {kubelet_path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: v4.channel.k8s.io\r\n\r\n",
        fleet.server.address(),
        short.bearer
    );
    std::io::Write::write_all(&mut session, ask.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut one = [0; 1];
        std::io::Read::read_exact(&mut session, &mut one).unwrap();
        head.push(one[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    assert_eq!(kubelet.open(), 1);
    assert_eq!(ann.http.delete(&token(&short.name)).status, 200);
    let mut rest = Vec::new();
    let _ = std::io::Read::read_to_end(&mut session, &mut rest);
    assert_eq!(rest, Vec::<u8>::new());
    wait::until("the kubelet's end to be closed", PATIENCE, || (kubelet.open() == 0).then_some(()));
}

#[test]
fn a_cluster_that_cannot_be_reached_says_why_and_holds_nothing_up() {
    needs_kubectl!();
    let server = Server::start();
    let admin = server.admin();
    let ask = |id: &str| admin.http.get(&format!("/k8s/clusters/{id}/api/v1/pods"));
    let unknown = ask("c-0").refused(404, "NotFound");
    assert_eq!(unknown, "clusters.management.cattle.io \"c-0\" not found");

    // This server itself, taken for a cluster: first without a credential, then by an authority that did not sign its certificate.
    let own = std::fs::read_to_string(server.ca_file()).unwrap();
    register(&admin, "c-1", &server.url(), &own);
    assert!(
        ask("c-1").refused(503, "ServiceUnavailable").contains("there is no credential for cluster \"c-1\"")
    );
    let give = |id: &str, token: &str| {
        let credential = json!({"spec": {"clusterName": id, "token": token}});
        admin.http.post(&format!("{MANAGEMENT}/clustercredentials"), &credential).want(201);
    };
    give("c-1", "token-absent:nothing");
    let refused = ask("c-1").refused(502, "");
    assert!(refused.contains("does not accept the credential"), "{refused}");
    let stranger = eartag_tests::kube_pki::Authority::new("stranger");
    register(&admin, "c-2", &server.url(), stranger.pem());
    give("c-2", "never-sent");
    let refused = ask("c-2").refused(502, "");
    assert!(
        refused.contains("it is not trusted: its certificate is not signed by the certificate authority"),
        "{refused}"
    );
    assert!(!refused.contains(&server.address().to_string()), "{refused}");

    // A machine that takes connections and says nothing: the client is not held longer than the handshake's bound.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    register(&admin, "c-3", &format!("https://{}", silent.local_addr().unwrap()), &own);
    give("c-3", "never-sent");
    assert!(ask("c-3").refused(504, "Timeout").contains("no connection to it could be made in time"));
    // And one that is not there.
    register(&admin, "c-4", "https://127.0.0.1:1", &own);
    give("c-4", "never-sent");
    assert!(ask("c-4").refused(502, "").contains("it refuses connections"));

    // Whoever may not use them learns nothing of all this.
    let ann = server.person("ann", &["user"]);
    let texts: Vec<String> = ["c-0", "c-1", "c-2", "c-3", "c-4", "local"]
        .map(|id| {
            let path = format!("/k8s/clusters/{id}/api/v1/pods");
            ann.http.get(&path).refused(403, "Forbidden").replace(id, "<id>")
        })
        .to_vec();
    assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
    server.anonymous().get("/k8s/clusters/c-1/api").refused(401, "Unauthorized");
}

#[test]
fn a_browsers_session_opens_no_cluster_for_pages_of_others() {
    needs_kubectl!();
    let server = Server::start();
    let admin = server.admin();
    let session = text(
        &eartag_tests::people::login(&server.anonymous(), &admin.username, &admin.password).want(201)["token"],
    );
    let cookie = server.anonymous().with("Cookie", &format!("R_SESS={session}"));
    let path = "/k8s/clusters/local/apis/management.cattle.io/v3/settings";
    assert_eq!(cookie.get(path).status, 200);
    let evil = cookie.with("Origin", "https://evil.example");
    assert_eq!(evil.post(path, &json!({})).status, 403);
    assert_eq!(evil.delete("/k8s/clusters/c-1/api/v1/namespaces/default").status, 403);
    let upgrade = |origin: &str, protocol: &str| {
        let ask = format!(
            "GET /k8s/clusters/c-1/api/v1/namespaces/n/pods/p/exec HTTP/1.1\r\nHost: {}\r\nCookie: R_SESS={session}\r\nOrigin: {origin}\r\n\
             Connection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n",
            server.address()
        );
        raw::exchange(server.address(), &raw::config(&server.ca_file(), &["http/1.1"]), ask.as_bytes())
    };
    let refused = upgrade("https://evil.example", "websocket");
    assert!(
        refused.starts_with("HTTP/1.1 403 ") && refused.contains("must come from this server's own pages"),
        "{refused}"
    );
    let ours = upgrade(&server.url(), "websocket");
    assert!(ours.starts_with("HTTP/1.1 404 "), "{ours}");
    // Nobody gets to speak HTTP to a cluster with its credential by way of an upgrade.
    let smuggled = upgrade(&server.url(), "h2c");
    assert!(smuggled.starts_with("HTTP/1.1 400 "), "{smuggled}");
    let climbing = cookie.get("/k8s/clusters/c-1/%2e%2e/%2e%2e/v3/tokens");
    climbing.refused(400, "BadRequest");
}
