//! The commands of kubectl that make sense here (kubernetes-api.md §2.4).

use std::time::Duration;

use eartag_tests::people::token;
use eartag_tests::{Kubectl, MANAGEMENT, Server, needs_kubectl};
use serde_json::{Value, json};

const R: &str = "tokens.ext.cattle.io";

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[track_caller]
fn get(kubectl: &Kubectl, name: &str) -> Value {
    parsed(&kubectl.ok(&["get", R, name, "-o", "json"]))
}

#[test]
fn get_in_every_output() {
    needs_kubectl!();
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let k = &ann.kubectl;
    let mut names: Vec<String> =
        ["one", "two", "three"].iter().map(|d| ann.mint(json!({"description": d})).name).collect();
    let oldest = names[0].clone();
    names.sort();
    let as_names: String = names.iter().map(|n| format!("token.ext.cattle.io/{n}\n")).collect();
    assert_eq!(k.ok(&["get", R, "-o", "name"]), as_names);
    for chunk in ["--chunk-size=1", "--chunk-size=2", "--chunk-size=0"] {
        assert_eq!(k.ok(&["get", R, "-o", "name", chunk]), as_names);
    }
    let list = parsed(&k.ok(&["get", R, "-o", "json"]));
    assert_eq!(list["items"].as_array().unwrap().len(), 3);
    assert!(
        list["items"]
            .as_array()
            .unwrap()
            .iter()
            .all(|i| i["kind"] == "Token" && i["apiVersion"] == "ext.cattle.io/v1")
    );
    assert!(!list.to_string().contains("managedFields"));
    assert!(k.ok(&["get", R, &oldest, "-o", "yaml", "--show-managed-fields"]).contains("managedFields:"));
    assert_eq!(k.ok(&["get", R, "-o", "jsonpath={.items[*].metadata.name}"]), names.join(" "));
    assert_eq!(k.ok(&["get", R, &oldest, "-o", "go-template={{.spec.description}}"]), "one");
    let custom =
        k.ok(&["get", R, "-o", "custom-columns=N:.metadata.name,D:.spec.description", "--no-headers"]);
    assert_eq!(custom.lines().count(), 3);
    let by_description =
        k.ok(&["get", R, "--sort-by=.spec.description", "-o", "jsonpath={.items[*].spec.description}"]);
    assert_eq!(by_description, "one three two");
    let sorted = k.ok(&["get", R, "--sort-by=.metadata.creationTimestamp", "--no-headers"]);
    assert_eq!(sorted.lines().count(), 3);
    assert!(k.ok(&["get", R, "--show-labels"]).contains(&format!("cattle.io/user-id={}", ann.id)));
    assert!(k.ok(&["get", R, "-L", "cattle.io/user-id"]).contains(&ann.id));
    assert_eq!(
        k.ok(&["get", R, "--field-selector", &format!("metadata.name={oldest}"), "-o", "name"]),
        format!("token.ext.cattle.io/{oldest}\n")
    );
    assert_eq!(k.ok(&["get", R, "-l", "!nothing,cattle.io/user-id", "-o", "name"]), as_names);
    assert_eq!(
        k.ok(&["get", &format!("{R}/{oldest}"), "-o", "name"]),
        format!("token.ext.cattle.io/{oldest}\n")
    );
    assert_eq!(
        k.ok(&["get", "token.v1.ext.cattle.io", &oldest, "-o", "name"]),
        format!("token.ext.cattle.io/{oldest}\n")
    );
    assert_eq!(k.ok(&["get", R, "token-zzzzz", "--ignore-not-found"]), "");
    let raw = parsed(&k.ok(&["get", "--raw", &token(&oldest)]));
    assert_eq!(raw["spec"]["description"], "one");
    let described = k.ok(&["describe", R, &oldest]);
    assert!(
        described.contains(&format!("Name:         {oldest}")) && described.contains("one"),
        "{described}"
    );
    assert_eq!(
        k.ok(&["get", R, &oldest, "--output-watch-events=false", "-o", "name"]),
        format!("token.ext.cattle.io/{oldest}\n")
    );
}

#[test]
fn get_with_watch_prints_changes() {
    needs_kubectl!();
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let first = ann.mint(json!({"ttl": 7_200_000}));
    let events =
        ann.kubectl.spawn(&["get", R, "--watch-only", "--output-watch-events", "-o", "wide", "-v=6"]);
    // It says nothing before the first change.
    events.watches();
    let describe = |description: &str| {
        ann.http.merge(&token(&first.name), &json!({"spec": {"description": description}})).want(200);
    };
    describe("watched");
    assert!(events.line().starts_with("EVENT"));
    while !events.line().contains("watched") {}
    let all = ann.kubectl.spawn(&["get", R, "-w"]);
    let one =
        ann.kubectl.spawn(&["get", R, &first.name, "-w", "-o", "jsonpath={.spec.description}{\"\\n\"}"]);
    assert!(all.line().starts_with("NAME"));
    assert!(all.line().starts_with(&first.name));
    assert_eq!(one.line(), "watched");
    describe("changed");
    let second = ann.mint(json!({"ttl": 3_600_000}));
    ann.http.delete(&token(&second.name)).want(200);
    assert!(all.line().starts_with(&first.name));
    let line = all.line();
    assert!(line.starts_with(&second.name) && line.contains("60m"), "{line}");
    let kinds: Vec<(String, String)> = (0..3)
        .map(|_| {
            let line = events.line();
            let mut words = line.split_whitespace().map(str::to_owned);
            (words.next().unwrap(), words.next().unwrap())
        })
        .collect();
    let expected = [("MODIFIED", &first.name), ("ADDED", &second.name), ("DELETED", &second.name)];
    assert_eq!(kinds, expected.map(|(k, n)| (k.to_owned(), n.clone())));
    assert_eq!(one.line(), "changed");
    one.quiet(Duration::from_millis(300));
}

#[test]
fn labels_annotations_and_every_patch() {
    needs_kubectl!();
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let k = &ann.kubectl;
    let name = ann.mint(json!({})).name;
    let object = format!("token.ext.cattle.io/{name}");
    assert_eq!(k.ok(&["label", R, &name, "team=blue"]).trim_end(), format!("{object} labeled"));
    assert!(k.fails(&["label", R, &name, "team=red"]).contains("already has a value (blue)"));
    k.ok(&["label", R, &name, "team=red", "--overwrite"]);
    assert_eq!(k.ok(&["annotate", R, &name, "note=a note"]).trim_end(), format!("{object} annotated"));
    let seen = get(k, &name);
    assert_eq!(
        (&seen["metadata"]["labels"]["team"], &seen["metadata"]["annotations"]["note"]),
        (&json!("red"), &json!("a note"))
    );
    assert_eq!(k.ok(&["label", R, &name, "team-"]).trim_end(), format!("{object} unlabeled"));
    assert_eq!(get(k, &name)["metadata"]["labels"].get("team"), None);
    let stale = k.fails(&["annotate", R, &name, "x=y", "--resource-version=1"]);
    assert!(stale.contains("the object has been modified"), "{stale}");
    // What the server put there comes back.
    k.ok(&["label", R, &name, "cattle.io/user-id-"]);
    assert_eq!(get(k, &name)["metadata"]["labels"]["cattle.io/user-id"], ann.id.as_str());

    for (kind, patch, expected) in [
        ("strategic", r#"{"spec":{"description":"by strategic"}}"#, "by strategic"),
        ("merge", r#"{"spec":{"description":"by merge"}}"#, "by merge"),
        (
            "json",
            r#"[{"op":"test","path":"/spec/description","value":"by merge"},{"op":"replace","path":"/spec/description","value":"by json"}]"#,
            "by json",
        ),
    ] {
        assert_eq!(
            k.ok(&["patch", R, &name, "--type", kind, "-p", patch]).trim_end(),
            format!("{object} patched")
        );
        assert_eq!(get(k, &name)["spec"]["description"], expected);
    }
    assert_eq!(
        k.ok(&["patch", R, &name, "-p", r#"{"spec":{"description":"by json"}}"#]).trim_end(),
        format!("{object} patched (no change)")
    );
    let error = k.fails(&[
        "patch",
        R,
        &name,
        "--type=json",
        "-p",
        r#"[{"op":"test","path":"/spec/description","value":"no"}]"#,
    ]);
    assert!(
        error.starts_with(
            "The request is invalid: the server rejected our request due to an error in our request"
        ),
        "{error}"
    );
    let dry = k.ok(&[
        "patch",
        R,
        &name,
        "--dry-run=server",
        "-o",
        "jsonpath={.spec.description}",
        "-p",
        r#"{"spec":{"description":"dry"}}"#,
    ]);
    assert_eq!(dry, "dry");
    assert_eq!(get(k, &name)["spec"]["description"], "by json");
    // A list that is a set is merged by the strategic patch.
    k.ok(&["patch", R, &name, "-p", r#"{"metadata":{"finalizers":["example.org/a"]}}"#]);
    k.ok(&["patch", R, &name, "-p", r#"{"metadata":{"finalizers":["example.org/b"]}}"#]);
    assert_eq!(get(k, &name)["metadata"]["finalizers"].as_array().unwrap().len(), 2);
    k.ok(&["patch", R, &name, "--type=merge", "-p", r#"{"metadata":{"finalizers":null}}"#]);
    assert_eq!(get(k, &name)["metadata"].get("finalizers"), None);
}

#[test]
fn replace_apply_and_diff() {
    needs_kubectl!();
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let k = &ann.kubectl;
    let name = ann.mint(json!({"description": "before"})).name;
    let object = format!("token.ext.cattle.io/{name}");
    let whole = k.ok(&["get", R, &name, "-o", "yaml"]);
    let changed = whole.replace("description: before", "description: replaced");
    assert_eq!(k.input(&["replace", "-f", "-"], &changed).ok().trim_end(), format!("{object} replaced"));
    assert_eq!(get(k, &name)["spec"]["description"], "replaced");
    let stale = k.input(&["replace", "-f", "-"], &whole).fails();
    assert!(stale.contains("the object has been modified"), "{stale}");

    // Client-side apply of a token that exists changes it; of one that does not, makes one under another name and says so.
    let named = |name: &str, description: &str| {
        format!(
            "apiVersion: ext.cattle.io/v1\nkind: Token\nmetadata:\n  name: {name}\nspec:\n  description: {description}\n"
        )
    };
    let applied = k.input(&["apply", "-f", "-"], &named(&name, "applied"));
    assert_eq!(applied.clone().ok().trim_end(), format!("{object} configured"));
    assert_eq!(get(k, &name)["spec"]["description"], "applied");
    let again = k.input(&["apply", "-f", "-"], &named(&name, "applied")).ok();
    assert_eq!(again.trim_end(), format!("{object} unchanged"));
    let elsewhere = k.input(&["apply", "-f", "-"], &named("my-own-name", "x"));
    assert!(elsewhere.err.contains("Warning: "), "{}", elsewhere.err);
    assert!(elsewhere.ok().contains(" created"));
    assert!(k.fails(&["get", R, "my-own-name"]).contains("not found"));
    let refused = k.input(&["apply", "--server-side", "-f", "-"], &named("my-own-name", "x"));
    assert_ne!(refused.code, 0);

    let diff = k.input(&["diff", "-f", "-"], &named(&name, "another"));
    assert_eq!(diff.code, 1, "{}{}", diff.out, diff.err);
    assert!(
        diff.out.contains("-  description: applied") && diff.out.contains("+  description: another"),
        "{}",
        diff.out
    );
    assert_eq!(k.input(&["diff", "-f", "-"], &named(&name, "applied")).code, 0);
    assert_eq!(get(k, &name)["spec"]["description"], "applied");

    // The same for a kind with names of the client's.
    let role = |text: &str| {
        format!(
            "apiVersion: management.cattle.io/v3\nkind: GlobalRole\nmetadata:\n  name: watchers\ndisplayName: {text}\nrules:\n- apiGroups: [ext.cattle.io]\n  resources: [tokens]\n  verbs: [watch]\n"
        )
    };
    let a = &admin.kubectl;
    assert_eq!(
        a.input(&["apply", "-f", "-"], &role("A")).ok().trim_end(),
        "globalrole.management.cattle.io/watchers created"
    );
    assert_eq!(
        a.input(&["apply", "-f", "-"], &role("B")).ok().trim_end(),
        "globalrole.management.cattle.io/watchers configured"
    );
    assert_eq!(
        a.input(&["apply", "-f", "-"], &role("B")).ok().trim_end(),
        "globalrole.management.cattle.io/watchers unchanged"
    );
    assert_eq!(
        a.input(&["create", "-f", "-"], &role("C")).fails().trim_end(),
        "Error from server (AlreadyExists): error when creating \"STDIN\": globalroles.management.cattle.io \"watchers\" already exists"
    );
    assert!(a.input(&["apply", "--dry-run=server", "-f", "-"], &role("C")).ok().contains("(server dry run)"));
    assert_eq!(a.ok(&["get", "globalrole", "watchers", "-o", "jsonpath={.displayName}"]), "B");
    let replaced = a.input(&["replace", "--force", "-f", "-"], &role("D")).ok();
    assert!(replaced.contains("replaced"), "{replaced}");
    assert_eq!(
        a.input(&["delete", "-f", "-"], &role("D")).ok().trim_end(),
        "globalrole.management.cattle.io \"watchers\" deleted"
    );
}

#[test]
fn delete_in_every_form_and_wait() {
    needs_kubectl!();
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let k = &ann.kubectl;
    let make = |label: &str| {
        let name = ann.mint(json!({})).name;
        k.ok(&["label", R, &name, &format!("batch={label}")]);
        name
    };
    let (a, b, c, d, e) = (make("x"), make("x"), make("y"), make("y"), make("z"));
    let dry = k.ok(&["delete", R, &a, "--dry-run=server"]);
    assert_eq!(dry.trim_end(), format!("token.ext.cattle.io \"{a}\" deleted (server dry run)"));
    get(k, &a);
    assert_eq!(k.ok(&["delete", R, &a, "--now"]).trim_end(), format!("token.ext.cattle.io \"{a}\" deleted"));
    for cascade in ["foreground", "orphan", "background"] {
        let name = make("w");
        k.ok(&["delete", R, &name, &format!("--cascade={cascade}")]);
    }
    let gone = k.ok(&["delete", R, "-l", "batch=y"]);
    assert_eq!(gone.lines().count(), 2, "{gone}");
    assert!(k.fails(&["get", R, &c]).contains("not found") && k.fails(&["get", R, &d]).contains("not found"));
    assert_eq!(k.ok(&["delete", R, &c, "--ignore-not-found"]), "");
    assert!(k.fails(&["delete", R, &c]).contains("NotFound"));

    k.ok(&["label", R, &b, "done=yes"]);
    assert_eq!(
        k.ok(&["wait", "--for=jsonpath={.spec.enabled}=true", &format!("{R}/{b}"), "--timeout=3m"])
            .trim_end(),
        format!("token.ext.cattle.io/{b} condition met")
    );
    let wait = |what: &str, name: &str| {
        k.spawn(&["wait", &format!("--for={what}"), &format!("{R}/{name}"), "--timeout=3m", "-v=6"])
    };
    let (waiting, disabled) = (wait("delete", &b), wait("jsonpath={.spec.enabled}=false", &e));
    // One that begins too late would find nothing to wait for.
    waiting.watches();
    disabled.watches();
    ann.http.delete(&token(&b)).want(200);
    ann.http.merge(&token(&e), &json!({"spec": {"enabled": false}})).want(200);
    assert_eq!(waiting.end(), (0, vec![format!("token.ext.cattle.io/{b} condition met")]));
    assert_eq!(disabled.end().0, 0);
    let too_long = k.fails(&["wait", "--for=delete", &format!("{R}/{e}"), "--timeout=1s"]);
    assert!(too_long.contains("timed out waiting for the condition"), "{too_long}");
    k.ok(&["delete", "--raw", &token(&e)]);
    let more = make("v");
    assert_eq!(k.ok(&["delete", R, "--all"]).lines().count(), 1);
    assert!(k.fails(&["get", R, &more]).contains("not found"));
}

#[test]
fn create_in_dry_run_and_from_json() {
    needs_kubectl!();
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let k = &ann.kubectl;
    let yaml = "apiVersion: ext.cattle.io/v1\nkind: Token\nspec:\n  ttl: 7200000\n";
    let dry = k.input(&["create", "--dry-run=server", "-o", "json", "-f", "-"], yaml).ok();
    let dry = parsed(&dry);
    assert_eq!((&dry["spec"]["ttl"], dry["status"].get("value")), (&json!(7_200_000), None));
    assert_eq!(k.run(&["get", R]).out, "");
    let file = k.file(
        "token.json",
        r#"{"apiVersion": "ext.cattle.io/v1", "kind": "Token", "spec": {"description": "from json"}}"#,
    );
    let created = k.ok(&["create", "-f", &file]);
    assert!(
        created.starts_with("token.ext.cattle.io/token-") && created.ends_with(" created\n"),
        "{created}"
    );
    let two = format!("{yaml}---\n{yaml}");
    assert_eq!(k.create(&two).lines().count(), 2);
}

#[test]
fn auth_commands_tell_the_truth() {
    needs_kubectl!();
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let stranger = server.person("stranger", &[]);
    let can =
        |k: &Kubectl, args: &[&str]| k.run(&[&["auth", "can-i"], args].concat()).out.trim_end().to_owned();
    for (args, by_admin, by_ann, by_stranger) in [
        (&["create", R][..], "yes", "yes", "no"),
        (&["list", R], "yes", "yes", "no"),
        (&["deletecollection", R], "yes", "no", "no"),
        (&["delete", "users.management.cattle.io"], "yes", "no", "no"),
        (&["get", "settings.management.cattle.io"], "yes", "yes", "no"),
        (&["update", "settings.management.cattle.io"], "yes", "no", "no"),
        (&["*", "*"], "yes", "no", "no"),
        (&["get", "/metrics"], "yes", "no", "no"),
        (&["get", "/version"], "yes", "yes", "yes"),
    ] {
        assert_eq!(can(&admin.kubectl, args), by_admin, "admin {args:?}");
        assert_eq!(can(&ann.kubectl, args), by_ann, "ann {args:?}");
        assert_eq!(can(&stranger.kubectl, args), by_stranger, "stranger {args:?}");
    }
    let who = ann.kubectl.ok(&["auth", "whoami"]);
    assert!(
        who.contains(&ann.id)
            && who.contains("system:authenticated")
            && who.contains("system:cattle:authenticated"),
        "{who}"
    );
    let who = parsed(&server.system_admin().ok(&["auth", "whoami", "-o", "json"]));
    assert_eq!(who["status"]["userInfo"]["username"], "system:admin");
    let list = ann.kubectl.ok(&["auth", "can-i", "--list"]);
    let line =
        list.lines().find(|l| l.starts_with("tokens.ext.cattle.io")).unwrap_or_else(|| panic!("{list}"));
    for verb in ["create", "get", "list", "watch", "update", "patch", "delete"] {
        assert!(line.contains(verb), "{line}");
    }
    let list = admin.kubectl.ok(&["auth", "can-i", "--list"]);
    assert!(list.contains("*.*"), "{list}");
}

#[test]
fn impersonation_by_flags() {
    needs_kubectl!();
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let name = ann.mint(json!({})).name;
    assert_eq!(
        admin.kubectl.ok(&["get", R, "-o", "name", "--as", &ann.id]),
        format!("token.ext.cattle.io/{name}\n")
    );
    // By --raw, because discovery comes first and kubectl does not read what it says.
    let raw = ["get", "--raw", eartag_tests::TOKENS];
    let error = ann.kubectl.fails(&[&raw[..], &["--as", &admin.id]].concat());
    assert!(
        error.contains("(Forbidden)") && error.contains("cannot impersonate resource \"users\""),
        "{error}"
    );
    let error =
        admin.kubectl.fails(&[&raw[..], &["--as", "nobody", "--as-group", "system:masters"]].concat());
    assert!(error.contains("(Forbidden)"), "{error}");
    let manifest = "apiVersion: ext.cattle.io/v1\nkind: Token\n";
    let error = admin.kubectl.input(&["create", "--as", &ann.id, "-f", "-"], manifest).fails();
    assert!(error.contains("tokens.ext.cattle.io is forbidden: missing authentication token ID"), "{error}");
    let can = admin.kubectl.run(&["auth", "can-i", "list", R, "--as", "nobody"]);
    assert_eq!(can.out.trim_end(), "no");
}

#[test]
fn discovery_commands() {
    needs_kubectl!();
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let k = &ann.kubectl;
    let names = k.ok(&["api-resources", "-o", "name"]);
    for resource in [
        "tokens.ext.cattle.io",
        "passwordchangerequests.ext.cattle.io",
        "selfusers.ext.cattle.io",
        "useractivities.ext.cattle.io",
        "users.management.cattle.io",
        "userattributes.management.cattle.io",
        "globalroles.management.cattle.io",
        "globalrolebindings.management.cattle.io",
        "settings.management.cattle.io",
        "features.management.cattle.io",
        "clusters.management.cattle.io",
        "clusterroles.rbac.authorization.k8s.io",
        "clusterrolebindings.rbac.authorization.k8s.io",
        "selfsubjectaccessreviews.authorization.k8s.io",
        "subjectaccessreviews.authorization.k8s.io",
        "selfsubjectrulesreviews.authorization.k8s.io",
        "selfsubjectreviews.authentication.k8s.io",
        "namespaces",
    ] {
        assert!(names.lines().any(|l| l == resource), "no {resource} in\n{names}");
    }
    assert!(k.ok(&["api-resources", "--verbs=watch,delete", "-o", "name"]).contains("tokens.ext.cattle.io"));
    assert!(!k.ok(&["api-resources", "--namespaced=true", "-o", "name"]).contains("tokens"));
    let version = k.ok(&["version", "-o", "json"]);
    assert!(
        parsed(&version)["serverVersion"]["gitVersion"].as_str().unwrap().starts_with("v1."),
        "{version}"
    );
    assert!(!k.run(&["version"]).err.contains("WARNING"), "the skew warning");
    for kind in [
        "users",
        "globalroles",
        "globalrolebindings",
        "settings",
        "features",
        "clusters",
        "clusterroles",
        "clusterrolebindings",
        "tokens.ext.cattle.io",
        "passwordchangerequests",
        "selfusers",
        "useractivities",
        "userattributes",
        "namespaces",
    ] {
        let explained = k.ok(&["explain", kind]);
        assert!(explained.contains("DESCRIPTION:") && !explained.contains("<empty>"), "{kind}: {explained}");
    }
    assert!(k.ok(&["explain", R, "--recursive"]).contains("loginName"));
    assert!(k.ok(&["explain", "tokens.ext.cattle.io.metadata.labels"]).contains("map[string]string"));
    // The order of groups decides what a short name means.
    let groups = parsed(&k.ok(&["get", "--raw", "/apis"]));
    let order: Vec<&str> =
        groups["groups"].as_array().unwrap().iter().map(|g| g["name"].as_str().unwrap()).collect();
    let at = |name: &str| order.iter().position(|g| *g == name).unwrap();
    assert!(at("management.cattle.io") < at("ext.cattle.io"), "{order:?}");
    assert!(server.admin().kubectl.ok(&["get", "namespaces"]).contains("default"));
}

#[test]
fn both_forms_of_discovery_say_the_same() {
    let server = Server::start();
    let admin = server.admin();
    let v2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
    let reply = admin.http.with("Accept", v2).get("/apis");
    assert_eq!(
        reply.header("content-type"),
        Some("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
    );
    let etag = reply.header("etag").unwrap().to_owned();
    assert_eq!(admin.http.with("Accept", v2).with("If-None-Match", &etag).get("/apis").status, 304);
    let aggregated = reply.want(200);
    for group in aggregated["items"].as_array().unwrap() {
        for version in group["versions"].as_array().unwrap() {
            assert_eq!(version["freshness"], "Current");
            let base = format!(
                "/apis/{}/{}",
                group["metadata"]["name"].as_str().unwrap(),
                version["version"].as_str().unwrap()
            );
            let legacy = admin.http.get(&base).want(200);
            let sorted = |names: Vec<&str>| {
                let mut names: Vec<String> = names.into_iter().map(str::to_owned).collect();
                names.sort();
                names
            };
            let new = sorted(
                version["resources"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|r| r["resource"].as_str().unwrap())
                    .collect(),
            );
            let old = sorted(
                legacy["resources"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|r| r["name"].as_str().unwrap())
                    .filter(|n| !n.contains('/'))
                    .collect(),
            );
            assert_eq!(new, old, "{base}");
            for resource in version["resources"].as_array().unwrap() {
                assert!(resource["responseKind"]["kind"].is_string(), "{resource}");
                let same = legacy["resources"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .find(|r| r["name"] == resource["resource"])
                    .unwrap();
                assert_eq!(same["verbs"], resource["verbs"]);
                assert_eq!(same["singularName"], resource["singularResource"]);
            }
        }
    }
    let beta = admin
        .http
        .with(
            "Accept",
            "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json",
        )
        .get("/apis");
    assert_eq!(beta.want(200)["apiVersion"], "apidiscovery.k8s.io/v2beta1");
    let core = admin.http.with("Accept", v2).get("/api").want(200);
    assert_eq!(core["items"][0]["metadata"]["name"], "");
    assert_eq!(admin.http.get("/api").want(200)["versions"], json!(["v1"]));
}

#[test]
fn openapi_has_what_clients_look_for() {
    let server = Server::start();
    let admin = server.admin();
    let v2 = admin.http.with("Accept", "application/json").get("/openapi/v2").want(200);
    assert_eq!(v2["swagger"], "2.0");
    assert!(v2["definitions"]["io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"].is_object());
    assert_eq!(
        v2["definitions"]["io.cattle.ext.v1.Token"]["x-kubernetes-group-version-kind"],
        json!([{"group": "ext.cattle.io", "kind": "Token", "version": "v1"}])
    );
    let proto = admin
        .http
        .with("Accept", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf")
        .get("/openapi/v2");
    assert_eq!(
        (proto.status, proto.header("content-type")),
        (200, Some("application/com.github.proto-openapi.spec.v2.v1.0+protobuf"))
    );
    assert_eq!(admin.http.with("Accept", "text/html").get("/openapi/v2").status, 406);
    let index = admin.http.get("/openapi/v3").want(200);
    for (path, entry) in index["paths"].as_object().unwrap() {
        let url = entry["serverRelativeURL"].as_str().unwrap();
        assert!(url.starts_with("/openapi/v3"), "{url}");
        let reply = admin.http.get(url);
        assert_eq!(reply.header("cache-control"), Some("public, immutable"), "{path}");
        let document = reply.want(200);
        let text = document.to_string();
        let mut at = 0;
        while let Some(found) = text[at..].find("\"$ref\":\"#/components/schemas/") {
            let rest = &text[at + found + "\"$ref\":\"#/components/schemas/".len()..];
            let name = &rest[..rest.find('"').unwrap()];
            assert!(document["components"]["schemas"][name].is_object(), "{path}: {name} is nowhere");
            at += found + 10;
        }
        let mut ids = std::collections::BTreeSet::new();
        for (url, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap().iter().filter(|(m, _)| *m != "parameters") {
                assert!(
                    ids.insert(operation["operationId"].as_str().unwrap().to_owned()),
                    "{method} {url}: operationId is not unique"
                );
            }
        }
    }
    let stale = admin.http.get("/openapi/v3/apis/ext.cattle.io/v1?hash=0000");
    assert_eq!(stale.status, 301, "{}", stale.text());
    let ext = admin.http.get("/openapi/v3/apis/ext.cattle.io/v1").want(200);
    let patch = &ext["paths"]["/apis/ext.cattle.io/v1/tokens/{name}"]["patch"];
    assert!(patch["parameters"].to_string().contains("fieldValidation"), "{patch}");
    let gzip = admin.http.with("Accept-Encoding", "gzip").get("/openapi/v2");
    assert_eq!(gzip.status, 200);
}

#[test]
fn settings_are_changed_and_refused_by_kubectl() {
    needs_kubectl!();
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let k = &admin.kubectl;
    let set = |name: &str, value: &str| {
        k.run(&["patch", "setting", name, "--type=merge", "-p", &json!({"value": value}).to_string()])
    };
    assert_eq!(
        k.ok(&["get", "setting", "auth-token-max-ttl-minutes", "-o", "jsonpath={.default}"]),
        "129600"
    );
    assert_eq!(
        k.ok(&["get", "setting", "kubeconfig-default-token-ttl-minutes", "-o", "jsonpath={.default}"]),
        "0"
    );
    assert_eq!(k.ok(&["get", "setting", "kubeconfig-token-ttl-minutes", "-o", "jsonpath={.default}"]), "960");
    set("auth-token-max-ttl-minutes", "90").ok();
    assert_eq!(ann.mint(json!({})).object["spec"]["ttl"], 5_400_000);
    set("auth-token-max-ttl-minutes", "1.5").ok();
    assert_eq!(ann.mint(json!({})).object["spec"]["ttl"], 90_000);
    for (name, value) in [
        ("auth-token-max-ttl-minutes", "-5"),
        ("auth-token-max-ttl-minutes", "many"),
        ("auth-user-session-ttl-minutes", "1.5"),
        ("auth-user-session-ttl-minutes", "-1"),
        ("kubeconfig-default-token-ttl-minutes", "100"),
        ("auth-user-session-idle-ttl-minutes", "0"),
    ] {
        let error = set(name, value).fails();
        assert!(error.contains("is invalid") || error.contains("(Invalid)"), "{name}={value}: {error}");
    }
    let deprecated = set("kubeconfig-token-ttl-minutes", "1");
    assert!(deprecated.err.contains("Warning: "), "{}", deprecated.err);
    deprecated.ok();
    let error = k.fails(&["get", "setting", "kubeconfig-default-token-TTL-minutes"]);
    assert!(error.contains("kubeconfig-default-token-ttl-minutes"), "{error}");
    assert!(k.ok(&["get", "setting", "cacerts", "-o", "jsonpath={.value}"]).contains("BEGIN CERTIFICATE"));
    assert!(
        ann.kubectl
            .fails(&[
                "patch",
                "setting",
                "auth-token-max-ttl-minutes",
                "--type=merge",
                "-p",
                r#"{"value":"1"}"#
            ])
            .contains("(Forbidden)")
    );
    let path = format!("{MANAGEMENT}/settings/server-version");
    assert_eq!(ann.http.get(&path).want(200)["metadata"]["name"], "server-version");
}
