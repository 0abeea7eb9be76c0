//! Aggregated mode behind a real kube-apiserver: Eartag as the extension API server for `ext.cattle.io`.
//!
//! Eartag is a user of that cluster with nothing but the rights that `eartag install` gives it.

use std::time::Duration;

use eartag_tests::http::{names, text};
use eartag_tests::kube_apiserver::{FRONT_PROXY, KubeApiserver, KubeSetup};
use eartag_tests::kube_pki::Authority;
use eartag_tests::people::{Minted, bind, token};
use eartag_tests::wait::PATIENCE;
use eartag_tests::{
    Http, Kubectl, MANAGEMENT, Person, Server, Setup, TOKENS, Tape, needs_kube_apiserver, needs_kubectl, wait,
};
use serde_json::{Value, json};

const EMPTY: &str = "apiVersion: ext.cattle.io/v1\nkind: Token\n";
const VALUE: [&str; 5] = ["create", "-o", "jsonpath={.status.value}", "-f", "-"];
const API_SERVICE: &str = "/apis/apiregistration.k8s.io/v1/apiservices/v1.ext.cattle.io";
const TRUST: &str = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";

/// A cluster, and the Eartag that extends it.
struct Extended {
    server: Server,
    kube: KubeApiserver,
}

impl Extended {
    /// Prepares the cluster, starts Eartag, tells the cluster where it is, and waits until it is available there.
    fn start() -> Extended {
        Extended::of(KubeApiserver::start())
    }

    fn of(kube: KubeApiserver) -> Extended {
        // The rights first, so that Eartag can become ready; where it is to be found is not known yet.
        let ca = kube.ca_file();
        install(&kube, &["--port", "1", "--ca", &ca.display().to_string()]);
        let itself = kube.dir().join("eartag.kubeconfig");
        std::fs::write(&itself, acting(&kube, "", "eartag", &[])).unwrap();
        let setup =
            Setup::default().arg("--aggregated").arg("--kubeconfig").arg(&itself.display().to_string());
        let server = setup.start();
        let extended = Extended { server, kube };
        let said = extended.install();
        assert!(said.contains("apiservice/v1.ext.cattle.io configured"), "{said}");
        extended.available();
        extended
    }

    fn install(&self) -> String {
        let port = self.server.address().port().to_string();
        let data = self.server.data().display().to_string();
        install(&self.kube, &["--port", &port, "--data-dir", &data])
    }

    fn available(&self) {
        wait::until("the APIService to be available", PATIENCE, || {
            (condition(&self.kube)? == "True").then_some(())
        });
        // What has been found out is there for all to read before the aggregator itself goes by it.
        let admin = self.kube.admin_http();
        wait::until("the aggregator to hand on requests", PATIENCE, || {
            (admin.get("/apis/ext.cattle.io/v1").status == 200).then_some(())
        });
    }

    /// A user of ours whom the cluster has given the role of a user, and a token of theirs.
    fn person(&self, username: &str) -> (Person, Minted) {
        let person = self.server.person(username, &["user"]);
        self.kube.bind(&format!("user-{username}"), "eartag-user", "User", &person.id);
        let token = person.mint(json!({"description": "the cluster's"}));
        (person, token)
    }

    /// kubectl through the cluster, which says that this user showed this token.
    fn kubectl(&self, user: &str, token: &str) -> Kubectl {
        Kubectl::new(&acting(&self.kube, "admin", user, &[token]), Tape::default())
    }

    fn http(&self, user: &str, token: &str) -> Http {
        self.kube.admin_http().with("Impersonate-User", user).with("Impersonate-Extra-requesttokenid", token)
    }
}

/// `eartag install` as the cluster's admin, for a server on this machine that is the user `eartag` there.
fn install(kube: &KubeApiserver, args: &[&str]) -> String {
    let config = kube.admin_kubeconfig().display().to_string();
    let mut line = vec![
        "install",
        "--aggregated",
        "--kubeconfig",
        &config,
        "--external-name",
        "localhost",
        "--user",
        "eartag",
    ];
    line.extend(args);
    let (code, out, err) = eartag_tests::server::run(&line, &[], kube.dir());
    assert_eq!(code, 0, "{out}{err}");
    out
}

/// A kubeconfig for a client certificate of the cluster (`system:masters` for `admin`, who then acts as `user`).
fn acting(kube: &KubeApiserver, admin: &str, user: &str, tokens: &[&str]) -> String {
    if admin.is_empty() {
        let kubectl = kube.kubectl_of(&kube.client(user, ""));
        return std::fs::read_to_string(kubectl.home().join("config")).unwrap();
    }
    let config = std::fs::read_to_string(kube.admin_kubeconfig()).unwrap();
    let who =
        format!("    as: {user}\n    as-user-extra:\n      requesttokenid: {}\ncontexts:\n", json!(tokens));
    config.replace("contexts:\n", &who)
}

/// Whether the cluster thinks that Eartag is there: `True` or `False`.
fn condition(kube: &KubeApiserver) -> Option<String> {
    let found = kube.admin_http().get(API_SERVICE).want(200);
    let conditions = found["status"]["conditions"].as_array()?.clone();
    let available = conditions.iter().find(|c| c["type"] == "Available")?;
    Some(text(&available["status"]))
}

fn create(kubectl: &Kubectl, spec: &str) -> String {
    kubectl.input(&["create", "-o", "jsonpath={.metadata.name}", "-f", "-"], &format!("{EMPTY}{spec}")).ok()
}

fn cells(table: &str) -> Vec<Vec<String>> {
    table.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

fn get(kubectl: &Kubectl, name: &str) -> Value {
    serde_json::from_str(&kubectl.ok(&["get", "tokens.ext.cattle.io", name, "-o", "json"])).unwrap()
}

#[test]
fn the_seeds_page_works_through_the_cluster() {
    needs_kube_apiserver!();
    needs_kubectl!();
    let extended = Extended::start();
    let (ann, token) = extended.person("ann");
    let (bob, bobs) = extended.person("bob");
    let kubectl = extended.kubectl(&ann.id, &token.name);
    let operator = extended.kube.kubectl_of(&extended.kube.client("system:admin", "system:masters"));

    // Creating a token.
    let refused = operator.input(&VALUE, EMPTY).fails();
    assert_eq!(
        refused.trim_end(),
        "Error from server (Forbidden): error when creating \"STDIN\": tokens.ext.cattle.io is forbidden: \
         user system:admin is not a Rancher user"
    );
    let value = kubectl.input(&VALUE, EMPTY).ok();
    assert_eq!(value.len(), 54, "{value:?}");
    let made = create(&kubectl, "spec:\n  description: My Token\n");
    let short = create(&kubectl, "spec:\n  ttl: 7200000 # 2 hours\n");
    let seen = get(&kubectl, &made);
    assert_eq!(
        (&seen["spec"]["description"], &seen["spec"]["ttl"]),
        (&json!("My Token"), &json!(7_776_000_000_i64))
    );
    assert_eq!(get(&kubectl, &short)["spec"]["ttl"], 7_200_000);
    assert_eq!(
        get(&kubectl, &token.name)["status"]["current"],
        true,
        "the token that the cluster says it was shown"
    );
    let other = format!("spec:\n  userID: {}\n", bob.id);
    let refused = kubectl.input(&VALUE, &format!("{EMPTY}{other}")).fails();
    assert!(refused.contains("unable to create token for other user"), "{refused}");

    // Listing and viewing.
    let table = cells(&kubectl.ok(&["get", "tokens.ext.cattle.io"]));
    assert_eq!(table[0], ["NAME", "KIND", "TTL", "AGE"]);
    assert_eq!(table.len(), 5, "{table:?}");
    let wide = cells(&kubectl.ok(&["get", "tokens.ext.cattle.io", &short, "-o", "wide"]));
    assert_eq!(wide[0], ["NAME", "USER", "KIND", "TTL", "AGE", "DESCRIPTION"]);
    assert_eq!((wide[1][1].as_str(), wide[1][2].as_str()), (ann.id.as_str(), "120m"));
    let all = operator.ok(&["get", "tokens.ext.cattle.io", "-o", "name"]);
    assert!(all.contains(&made) && all.contains(&bobs.name), "{all}");
    let hidden = kubectl.fails(&["get", "tokens.ext.cattle.io", &bobs.name]);
    assert_eq!(
        hidden.trim_end(),
        format!("Error from server (NotFound): tokens.ext.cattle.io \"{}\" not found", bobs.name)
    );

    // Watching, through the aggregator.
    let watch = kubectl.spawn(&["get", "tokens.ext.cattle.io", "-w", "--no-headers"]);
    for _ in 0..4 {
        watch.line();
    }
    let watched = create(&kubectl, "");
    assert!(watch.line().starts_with(&watched));
    create(&extended.kubectl(&bob.id, &bobs.name), "");
    watch.quiet(Duration::from_millis(500));

    // Updating: users shorten, admins extend.
    let editor = format!(
        "sh {}",
        kubectl.file(
            "editor.sh",
            "sed -i -e 's/ttl: .*/ttl: 3600000/;s/description: .*/description: after/' \"$1\"\n"
        )
    );
    let edited =
        kubectl.run_with(&["edit", "tokens.ext.cattle.io", &made], "", &[("KUBE_EDITOR", &editor)]).ok();
    assert_eq!(edited.trim_end(), format!("token.ext.cattle.io/{made} edited"));
    let seen = get(&kubectl, &made);
    assert_eq!((&seen["spec"]["description"], &seen["spec"]["ttl"]), (&json!("after"), &json!(3_600_000)));
    let patch = |kubectl: &Kubectl| {
        kubectl.run(&[
            "patch",
            "tokens.ext.cattle.io",
            &made,
            "--type=merge",
            "-p",
            r#"{"spec":{"ttl":7200000}}"#,
        ])
    };
    assert!(patch(&kubectl).fails().contains("forbidden to extend time-to-live"));
    patch(&operator).ok();
    assert_eq!(get(&kubectl, &made)["spec"]["ttl"], 7_200_000);

    // Deleting; the token is refused at Eartag's own door from then on.
    let said = kubectl.ok(&["delete", "tokens.ext.cattle.io", &made]);
    assert_eq!(said.trim_end(), format!("token.ext.cattle.io \"{made}\" deleted"));
    operator.ok(&["delete", "tokens.ext.cattle.io", &bobs.name]);
    assert_eq!(extended.server.anonymous().bearer(&bobs.bearer).whoami(), None);
    // What the cluster still remembers of it counts for nothing.
    extended.http(&bob.id, &bobs.name).get(TOKENS).refused(401, "Unauthorized");

    // The feature flag, at Eartag's own door: the group stays, so that nothing else in the cluster suffers.
    let admin = extended.server.admin();
    let flag = |on: bool| {
        let value = format!("{{\"spec\":{{\"value\":{on}}}}}");
        admin.kubectl.ok(&["patch", "feature", "ext-tokens", "--type=merge", "-p", &value]);
    };
    flag(false);
    extended.http(&ann.id, &token.name).get(TOKENS).refused(404, "NotFound");
    extended.kube.admin_http().get("/apis/ext.cattle.io/v1").want(200);
    assert_eq!(condition(&extended.kube).as_deref(), Some("True"));
    flag(true);
    extended.http(&ann.id, &token.name).get(TOKENS).want(200);
}

#[test]
fn the_clusters_rules_decide_and_what_eartag_says_of_a_user_stays_outside() {
    needs_kube_apiserver!();
    let extended = Extended::start();
    let kube = &extended.kube;
    // An admin of ours, whom the cluster gives nothing.
    let admin = extended.server.admin();
    let token = admin.mint(json!({}));
    let refusal = extended.http(&admin.id, &token.name).get(TOKENS).refused(403, "Forbidden");
    assert!(refusal.contains("cannot list resource \"tokens\" in API group \"ext.cattle.io\""), "{refusal}");
    admin.http.get(TOKENS).want(200);

    // A user of ours needs the token's name to make another, whatever the cluster allows.
    let (ann, _) = extended.person("ann");
    let nameless = kube.admin_http().with("Impersonate-User", &ann.id);
    assert_eq!(
        nameless.post(TOKENS, &json!({})).refused(403, "Forbidden"),
        "tokens.ext.cattle.io is forbidden: missing authentication token ID"
    );
    assert_eq!(names(&nameless.get(TOKENS).want(200)).len(), 1);

    // Full access is the right to everything in the group, asked of the cluster.
    let role = json!({"metadata": {"name": "auditor"},
        "rules": [{"apiGroups": ["ext.cattle.io"], "resources": ["*"], "verbs": ["get", "list", "watch"]}]});
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    kube.admin_http().post(&format!("{rbac}/clusterroles"), &role).want(201);
    kube.bind("auditor", "auditor", "Group", "auditors");
    let carl = kube.client("carl", "auditors");
    let carl = Http::with_certificate(
        kube.url(),
        &kube.ca_file(),
        Tape::default(),
        carl.certificate.as_bytes(),
        carl.key.as_bytes(),
    );
    let all = names(&carl.get(TOKENS).want(200));
    assert!(all.contains(&token.name) && all.len() >= 3, "{all:?}");
    carl.delete(&format!("{TOKENS}/{}", token.name)).refused(403, "Forbidden");
    // Taken away, it is gone within ten seconds.
    kube.admin_http().delete(&format!("{rbac}/clusterrolebindings/auditor")).want(200);
    wait::until("the right to be gone", PATIENCE, || (carl.get(TOKENS).status == 403).then_some(()));

    // A user who is disabled here is nobody there.
    extended.server.admin().http.merge(&ann.path(), &json!({"enabled": false})).want(200);
    nameless.get(TOKENS).refused(401, "Unauthorized");
}

#[test]
fn a_restart_or_a_crash_of_eartag_leaves_the_clusters_discovery_whole() {
    needs_kube_apiserver!();
    let mut extended = Extended::start();
    let groups = |kube: &KubeApiserver| {
        let found = kube.admin_http().get("/apis").want(200);
        let list = found["groups"].as_array().unwrap().iter().map(|g| text(&g["name"])).collect::<Vec<_>>();
        assert!(list.contains(&"ext.cattle.io".to_owned()) && list.contains(&"apps".to_owned()), "{list:?}");
        list.len()
    };
    let whole = groups(&extended.kube);
    let resources = extended.kube.admin_http().get("/apis/ext.cattle.io/v1").want(200)["resources"].clone();
    for graceful in [true, false] {
        if graceful {
            assert!(extended.server.terminate().success());
        } else {
            extended.server.kill();
        }
        assert_eq!(groups(&extended.kube), whole);
        extended.kube.admin_http().get("/apis/apps/v1").want(200);
        assert_eq!(extended.kube.admin_http().get("/apis/ext.cattle.io/v1").status, 503);
        wait::until("the cluster to notice", PATIENCE, || {
            (condition(&extended.kube)? == "False").then_some(())
        });
        extended.server.launch();
        extended.available();
        assert_eq!(
            extended.kube.admin_http().get("/apis/ext.cattle.io/v1").want(200)["resources"],
            resources
        );
        assert_eq!(groups(&extended.kube), whole);
        extended.kube.admin_http().get(TOKENS).want(200);
    }
    // And the other way round: the cluster goes, Eartag goes on, and the two find each other again.
    extended.kube.kill();
    let admin = extended.server.admin();
    admin.http.get(TOKENS).want(200);
    extended.kube.launch();
    extended.available();
    extended.kube.admin_http().get(TOKENS).want(200);
}

#[test]
fn nobody_but_the_front_proxy_says_who_they_are_and_its_authority_can_change() {
    needs_kube_apiserver!();
    let extended = Extended::start();
    let server = &extended.server;
    let forge = |http: Http| http.with("X-Remote-User", "root").with("X-Remote-Group", "system:masters");
    let with = |certificate: &str, key: &str| {
        Http::with_certificate(
            server.url(),
            &server.ca_file(),
            Tape::default(),
            certificate.as_bytes(),
            key.as_bytes(),
        )
    };
    forge(server.anonymous()).get(TOKENS).refused(401, "Unauthorized");
    let (ann, _) = extended.person("ann");
    let own = names(&ann.http.get(TOKENS).want(200));
    assert_eq!(names(&forge(ann.http.clone()).get(TOKENS).want(200)), own);
    // A user of the cluster, by its own certificate at our port, is that user and nobody else.
    let jane = extended.kube.client("jane", "");
    let refusal = forge(with(&jane.certificate, &jane.key)).get(TOKENS).refused(403, "Forbidden");
    assert!(refusal.contains("User \"jane\""), "{refusal}");
    let stranger = Authority::new("test-front-proxy-ca").client(FRONT_PROXY, "");
    forge(with(&stranger.certificate, &stranger.key)).get(TOKENS).refused(401, "Unauthorized");

    let files = extended.kube.front_proxy();
    let read = |file: &std::path::Path| std::fs::read_to_string(file).unwrap();
    let proxy = with(&read(&files.certificate), &read(&files.key));
    assert!(names(&forge(proxy.clone()).get(TOKENS).want(200)).len() > own.len());
    proxy.get(TOKENS).refused(401, "Unauthorized");
    // Other groups, and what else we serve, are not for the cluster.
    for path in ["/apis/management.cattle.io/v3/users", "/v3/users", "/metrics"] {
        assert_eq!(forge(proxy.clone()).get(path).status, 403, "{path}");
    }

    // Another authority beside the cluster's own, with other names: taken over while connections go on.
    let next = Authority::new("next-front-proxy-ca");
    let renewed = next.client("next-front-proxy", "");
    let renewed = with(&renewed.certificate, &renewed.key);
    forge(renewed.clone()).get(TOKENS).refused(401, "Unauthorized");
    let both = read(&extended.kube.front_proxy_ca_file()) + next.pem();
    let names = json!([FRONT_PROXY, "next-front-proxy"]).to_string();
    let change =
        json!({"data": {"requestheader-client-ca-file": both, "requestheader-allowed-names": names}});
    extended.kube.admin_http().merge(TRUST, &change).want(200);
    wait::until("the new authority to count", PATIENCE, || {
        (forge(renewed.clone()).get(TOKENS).status == 200).then_some(())
    });
    forge(proxy).get(TOKENS).want(200);
    extended.kube.admin_http().get(TOKENS).want(200);
}

#[test]
fn install_can_be_run_again_and_takes_nothing_away_from_others() {
    needs_kube_apiserver!();
    let extended = Extended::start();
    let kube = &extended.kube;
    let before = kube.admin_http().get(API_SERVICE).want(200)["spec"].clone();
    let said = extended.install();
    assert!(said.lines().all(|line| line.ends_with(" configured")), "{said}");
    assert_eq!(kube.admin_http().get(API_SERVICE).want(200)["spec"], before);
    // Somebody else's server for the group, such as a Rancher's.
    let config = kube.admin_kubeconfig().display().to_string();
    let data = extended.server.data().display().to_string();
    let line = [
        "install",
        "--aggregated",
        "--kubeconfig",
        &config,
        "--data-dir",
        &data,
        "--service-name",
        "another",
    ];
    let (code, out, err) = eartag_tests::server::run(&line, &[], kube.dir());
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(
        err.contains("is served by the service cattle-system/eartag already") && err.contains("--replace"),
        "{err}"
    );
    assert_eq!(kube.admin_http().get(API_SERVICE).want(200)["spec"], before);
    // What is printed is what kubectl would apply.
    let port = extended.server.address().port().to_string();
    let same = ["--external-name", "localhost", "--user", "eartag", "--port", &port, "--data-dir", &data];
    let dry = [&["install", "--aggregated", "--dry-run"], &same[..]].concat();
    let (code, yaml, err) = eartag_tests::server::run(&dry, &[], kube.dir());
    assert_eq!(code, 0, "{err}");
    needs_kubectl!();
    let applied = kube.admin().input(&["apply", "--dry-run=server", "-f", "-"], &yaml).ok();
    assert!(applied.contains("apiservice.apiregistration.k8s.io/v1.ext.cattle.io"), "{applied}");
}

/// The whole of it: the cluster lets people in by our tokens, and hands what they ask of us on to us.
#[test]
fn people_who_come_to_the_cluster_with_our_tokens_make_more_of_them() {
    needs_kube_apiserver!();
    needs_kubectl!();
    // Each needs the other to be there first, so the cluster starts with a webhook that leads nowhere, and once more with the right one.
    let dir = tempfile::tempdir().unwrap();
    let webhook = dir.path().join("webhook");
    let nowhere = "apiVersion: v1\nkind: Config\nclusters: [{name: w, cluster: {server: \"https://127.0.0.1:1\"}}]\n\
                   users: [{name: w, user: {}}]\ncontexts: [{name: w, context: {cluster: w, user: w}}]\ncurrent-context: w\n";
    std::fs::write(&webhook, nowhere).unwrap();
    let mut extended = Extended::of(KubeSetup::default().webhook(&webhook, "v1", "0s").start());
    let admin = extended.server.admin();
    admin.http.post(&format!("{MANAGEMENT}/clusters"), &json!({"metadata": {"name": "c-1"}})).want(201);
    let config =
        admin.http.post("/v3/clusters/c-1?action=generateWebhookConfig", &json!({"version": "v1"})).want(200);
    std::fs::write(&webhook, text(&config["config"])).unwrap();
    extended.kube.kill();
    extended.kube.launch();
    extended.available();

    let (ann, mine) = extended.person("ann");
    let rule = json!({"apiGroups": ["management.cattle.io"], "resources": ["clusters"], "resourceNames": ["c-1"], "verbs": ["get"]});
    let role =
        json!({"metadata": {"name": "of-the-cluster"}, "displayName": "Of the cluster", "rules": [rule]});
    admin.http.post(&format!("{MANAGEMENT}/globalroles"), &role).want(201);
    bind(&admin.http, &ann.id, "of-the-cluster");

    let kubectl = extended.kube.kubectl(&mine.bearer);
    let value = kubectl.input(&VALUE, EMPTY).ok();
    assert_eq!(value.len(), 54, "{value:?}");
    let made = create(&kubectl, "spec:\n  description: My Token\n");
    assert_eq!(get(&kubectl, &made)["spec"]["userID"], ann.id.as_str());
    assert_eq!(get(&kubectl, &mine.name)["status"]["current"], true);
    assert_eq!(cells(&kubectl.ok(&["get", "tokens.ext.cattle.io"])).len(), 4);

    // A token for that cluster alone opens the cluster, and makes none that would open more.
    let narrow = ann.mint(json!({"clusterName": "c-1"}));
    let narrow = extended.kube.kubectl(&narrow.bearer);
    narrow.input(&VALUE, EMPTY).fails();
    narrow.ok(&["auth", "can-i", "create", "tokens.ext.cattle.io"]);

    // Revoked, it is good for nothing at once, although the cluster still remembers it.
    ann.http.delete(&token(&mine.name)).want(200);
    assert!(kubectl.fails(&["get", "tokens.ext.cattle.io"]).contains("Unauthorized"));
}
