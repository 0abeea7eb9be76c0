//! G7: nobody reads, changes or infers the existence of somebody else's token. Two regular users, every verb, every selector.

use std::time::Duration;

use eartag_tests::http::{JSON_PATCH, MERGE, STRATEGIC, TABLE, names};
use eartag_tests::people::{Minted, token};
use eartag_tests::{Http, MANAGEMENT, Person, Reply, Server, Stream, TOKENS, needs_kubectl};
use serde_json::{Value, json};

struct Stage {
    server: Server,
    admin: Person,
    ann: Person,
    bob: Person,
    of_ann: Minted,
    of_bob: Minted,
}

fn stage() -> Stage {
    let server = Server::start();
    let admin = server.admin();
    let (ann, bob) = (server.person("ann", &["user"]), server.person("bob", &["user"]));
    let of_ann = ann.mint(json!({"description": "of ann", "ttl": 7_200_000}));
    let of_bob = bob.mint(json!({"description": "of bob", "ttl": 7_200_000}));
    Stage { server, admin, ann, bob, of_ann, of_bob }
}

/// What a reply gives away: everything but what differs between any two requests.
fn seen(reply: &Reply, name: &str) -> (u16, Value, Vec<String>) {
    let body = reply.text().replace(name, "NAME");
    let mut headers: Vec<String> = reply
        .headers
        .iter()
        .filter(|(n, _)| !matches!(n.as_str(), "date" | "audit-id"))
        .map(|(n, v)| format!("{n}: {v}"))
        .collect();
    headers.sort();
    (reply.status, serde_json::from_str(&body).unwrap_or(Value::String(body)), headers)
}

/// Every way to touch one token by name.
fn touches(http: &Http, name: &str) -> Vec<(&'static str, Reply)> {
    let path = token(name);
    let whole = json!({
        "apiVersion": "ext.cattle.io/v1", "kind": "Token", "metadata": {"name": name},
        "spec": {"description": "mine now", "ttl": 1000, "enabled": false},
    });
    let apply = json!({"apiVersion": "ext.cattle.io/v1", "kind": "Token", "metadata": {"name": name}, "spec": {"description": "x"}});
    let send = |method: &str, query: &str, content: &str, body: &Value| {
        http.send(method, &format!("{path}{query}"), content, Some(body.to_string().as_bytes()))
    };
    vec![
        ("get", http.get(&path)),
        ("get as a table", http.with("Accept", TABLE).get(&path)),
        ("get at a revision", http.get(&format!("{path}?resourceVersion=1"))),
        ("put", http.put(&path, &whole)),
        ("put, dry run", send("PUT", "?dryRun=All", "application/json", &whole)),
        ("put, stale", http.put(&path, &{
            let mut stale = whole.clone();
            stale["metadata"]["resourceVersion"] = json!("1");
            stale
        })),
        ("put, another uid", http.put(&path, &{
            let mut other = whole.clone();
            other["metadata"]["uid"] = json!("00000000-0000-4000-8000-000000000000");
            other
        })),
        ("put, an immutable field", http.put(&path, &{
            let mut other = whole.clone();
            other["spec"]["kind"] = json!("session");
            other
        })),
        ("put, an unknown field, strictly", send("PUT", "?fieldValidation=Strict", "application/json", &{
            let mut other = whole.clone();
            other["spec"]["nonsense"] = json!(1);
            other
        })),
        ("merge patch", http.merge(&path, &json!({"spec": {"enabled": false}}))),
        ("merge patch, empty", http.merge(&path, &json!({}))),
        ("merge patch, immutable", http.merge(&path, &json!({"spec": {"userID": "me"}}))),
        ("merge patch, extending", http.merge(&path, &json!({"spec": {"ttl": 7_776_000_000_i64}}))),
        ("merge patch, dry run", send("PATCH", "?dryRun=All", MERGE, &json!({"spec": {"description": "x"}}))),
        ("strategic patch", http.patch(&path, STRATEGIC, &json!({"spec": {"description": "x"}}))),
        ("json patch that tests right", http.patch(&path, JSON_PATCH, &json!([
            {"op": "test", "path": "/spec/description", "value": "of bob"}, {"op": "replace", "path": "/spec/description", "value": "x"}]))),
        ("json patch that tests wrong", http.patch(&path, JSON_PATCH, &json!([{"op": "test", "path": "/spec/description", "value": "no"}]))),
        ("json patch of no path", http.patch(&path, JSON_PATCH, &json!([{"op": "remove", "path": "/spec/nothing"}]))),
        ("apply", send("PATCH", "?fieldManager=probe", "application/apply-patch+yaml", &apply)),
        ("delete, dry run", http.delete_with(&path, &json!({"dryRun": ["All"]}))),
        ("delete of another uid", http.delete_with(&path, &json!({"preconditions": {"uid": "00000000-0000-4000-8000-000000000000"}}))),
        ("delete of another revision", http.delete_with(&path, &json!({"preconditions": {"resourceVersion": "1"}}))),
        ("delete", http.delete(&path)),
    ]
}

#[test]
fn a_token_of_somebody_else_cannot_be_told_from_one_that_is_not() {
    let stage = stage();
    let before = stage.bob.http.get(&token(&stage.of_bob.name)).want(200);
    let mut absent = stage.of_bob.name.clone();
    absent.replace_range(6.., if absent.ends_with("zzzzz") { "xxxxx" } else { "zzzzz" });
    let there = touches(&stage.ann.http, &stage.of_bob.name);
    let not_there = touches(&stage.ann.http, &absent);
    for ((what, there), (_, not_there)) in there.iter().zip(&not_there) {
        assert_eq!(seen(there, &stage.of_bob.name), seen(not_there, &absent), "{what}");
        // What the request itself gets wrong may be said first, as long as it is said of any name.
        if what.starts_with("apply") || what.contains("strictly") {
            assert!((400..500).contains(&there.status), "{what}: {}", there.text());
        } else {
            let message = there.refused(404, "NotFound");
            assert_eq!(message, format!("tokens.ext.cattle.io {:?} not found", stage.of_bob.name), "{what}");
        }
    }
    assert_eq!(stage.bob.http.get(&token(&stage.of_bob.name)).want(200), before);
    assert_eq!(stage.server.anonymous().bearer(&stage.of_bob.bearer).whoami(), Some(stage.bob.id.clone()));
}

#[test]
fn no_selector_shows_what_is_not_ones_own() {
    let stage = stage();
    stage
        .bob
        .http
        .merge(&token(&stage.of_bob.name), &json!({"metadata": {"labels": {"team": "blue"}}}))
        .want(200);
    let (ann, bob) = (&stage.ann.id, &stage.bob.id);
    let other = &stage.of_bob.name;
    let empty = [
        format!("labelSelector=cattle.io/user-id={bob}"),
        format!("labelSelector=cattle.io/user-id%3D%3D{bob}"),
        format!("labelSelector=cattle.io/user-id%20in%20({bob})"),
        format!("labelSelector=cattle.io/user-id!={ann}"),
        format!("labelSelector=cattle.io/user-id%20notin%20({ann})"),
        "labelSelector=!cattle.io/user-id".to_owned(),
        "labelSelector=team".to_owned(),
        "labelSelector=team=blue".to_owned(),
        format!("labelSelector=cattle.io/user-id={ann},cattle.io/user-id={bob}"),
        format!("fieldSelector=metadata.name={other}"),
        format!("fieldSelector=metadata.name!={}", stage.of_ann.name),
        format!("fieldSelector=metadata.name={other}&labelSelector=cattle.io/user-id={bob}"),
        format!("fieldSelector=metadata.name={other}&resourceVersion=0"),
    ];
    for query in &empty {
        for http in [stage.ann.http.clone(), stage.ann.http.with("Accept", TABLE)] {
            let reply = http.get(&format!("{TOKENS}?{query}"));
            let list = reply.want(200);
            let items = list.get("items").or(list.get("rows")).unwrap_or_else(|| panic!("{list}"));
            assert_eq!(items, &json!([]), "{query}");
            assert!(!reply.text().contains(other), "{query}");
        }
    }
    let both = [
        String::new(),
        format!("labelSelector=cattle.io/user-id%20in%20({ann},{bob})"),
        format!("labelSelector=cattle.io/user-id={ann}"),
        "labelSelector=cattle.io/user-id".to_owned(),
        "labelSelector=!team".to_owned(),
        "labelSelector=team!=blue".to_owned(),
        "limit=500".to_owned(),
        "limit=1".to_owned(),
        "resourceVersion=0".to_owned(),
    ];
    for query in &both {
        let list = stage.ann.http.get(&format!("{TOKENS}?{query}")).want(200);
        assert_eq!(names(&list), [stage.of_ann.name.as_str()], "{query}");
        assert_eq!(list["metadata"].get("remainingItemCount"), None, "{query}");
        assert_eq!(list["metadata"].get("continue").and_then(Value::as_str).unwrap_or(""), "", "{query}");
    }
    let fields = stage.ann.http.get(&format!("{TOKENS}?fieldSelector=spec.userID={bob}"));
    if fields.status == 200 {
        assert_eq!(fields.want(200)["items"], json!([]));
    }
    // Admins may use any selector.
    let all = stage.admin.http.get(&format!("{TOKENS}?labelSelector=cattle.io/user-id={bob}")).want(200);
    assert_eq!(names(&all), [other.as_str()]);
}

#[test]
fn a_continue_token_of_an_admin_opens_nothing_to_a_user() {
    let stage = stage();
    for _ in 0..4 {
        stage.bob.mint(json!({}));
    }
    let page = stage.admin.http.get(&format!("{TOKENS}?limit=1")).want(200);
    let next = page["metadata"]["continue"].as_str().unwrap();
    let reply = stage.ann.http.get(&format!("{TOKENS}?limit=500&continue={next}"));
    if reply.status == 200 {
        for item in reply.json()["items"].as_array().unwrap() {
            assert_eq!(item["spec"]["userID"], stage.ann.id.as_str());
        }
    } else {
        assert!((400..500).contains(&reply.status), "{}", reply.text());
    }
}

#[test]
fn a_watch_shows_only_ones_own_whatever_it_selects() {
    let stage = stage();
    let bob = &stage.bob.id;
    let from = stage.ann.http.revision(TOKENS);
    let open =
        |query: &str| Stream::open(&stage.server, &stage.ann.http, &format!("{TOKENS}?watch=true&{query}"));
    let plain = open(&format!("resourceVersion={from}"));
    let watches = [
        open(&format!("resourceVersion={from}&labelSelector=cattle.io/user-id={bob}")),
        open(&format!("resourceVersion={from}&labelSelector=cattle.io/user-id!={}", stage.ann.id)),
        open(&format!("resourceVersion={from}&fieldSelector=metadata.name={}", stage.of_bob.name)),
        open(&format!("labelSelector=cattle.io/user-id={bob}")),
        open(&format!("fieldSelector=metadata.name={}", stage.of_bob.name)),
    ];
    for watch in &watches {
        assert_eq!(watch.status, 200);
    }
    stage.bob.http.merge(&token(&stage.of_bob.name), &json!({"spec": {"description": "changed"}})).want(200);
    let more = stage.bob.mint(json!({}));
    stage.bob.http.delete(&token(&more.name)).want(200);
    stage.admin.http.merge(&token(&stage.of_bob.name), &json!({"spec": {"enabled": false}})).want(200);
    let own = stage.ann.mint(json!({}));
    let event = plain.next_change();
    assert_eq!((event.kind.as_str(), event.name()), ("ADDED", own.name));
    for watch in &watches {
        watch.quiet(Duration::from_millis(300));
    }
}

#[test]
fn deletecollection_needs_a_grant_and_then_takes_only_ones_own() {
    let stage = stage();
    let message = stage.ann.http.delete(TOKENS).refused(403, "Forbidden");
    assert_eq!(
        message,
        format!(
            "tokens.ext.cattle.io is forbidden: User \"{}\" cannot deletecollection resource \"tokens\" in API group \"ext.cattle.io\" at the cluster scope",
            stage.ann.id
        )
    );
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    stage
        .admin
        .http
        .post(
            &format!("{rbac}/clusterroles"),
            &json!({"metadata": {"name": "sweep"}, "rules": [{"apiGroups": ["ext.cattle.io"], "resources": ["tokens"], "verbs": ["deletecollection"]}]}),
        )
        .want(201);
    stage
        .admin
        .http
        .post(
            &format!("{rbac}/clusterrolebindings"),
            &json!({"metadata": {"name": "sweep"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "sweep"},
                "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": stage.ann.id}]}),
        )
        .want(201);
    let bob = &stage.bob.id;
    for query in [
        format!("?labelSelector=cattle.io/user-id={bob}"),
        format!("?labelSelector=cattle.io/user-id!={}", stage.ann.id),
        format!("?fieldSelector=metadata.name={}", stage.of_bob.name),
    ] {
        let list = stage.ann.http.delete(&format!("{TOKENS}{query}")).want(200);
        assert_eq!(list["items"], json!([]), "{query}");
    }
    let other = stage.ann.mint(json!({}));
    let list = stage.ann.http.delete(TOKENS).want(200);
    let mut gone = names(&list);
    gone.sort();
    let mut expected = vec![stage.of_ann.name.clone(), other.name.clone()];
    expected.sort();
    assert_eq!(gone, expected);
    assert!(!list.to_string().contains(&other.value));
    assert_eq!(names(&stage.ann.http.get(TOKENS).want(200)), Vec::<String>::new());
    stage.bob.http.get(&token(&stage.of_bob.name)).want(200);
    // An admin's selector decides what goes.
    let list = stage.admin.http.delete(&format!("{TOKENS}?labelSelector=cattle.io/user-id={bob}")).want(200);
    assert_eq!(names(&list), [stage.of_bob.name.as_str()]);
    assert_eq!(
        stage.admin.http.whoami(),
        Some(stage.admin.id.clone()),
        "the admin's own token was not selected"
    );
}

#[test]
fn users_see_themselves_and_nobody_else() {
    let stage = stage();
    let own = stage.ann.http.get(&stage.ann.path()).want(200);
    assert_eq!(own["username"], "ann");
    for reply in [
        stage.ann.http.get(&stage.bob.path()),
        stage.ann.http.get(&format!("{MANAGEMENT}/users")),
        stage.ann.http.merge(&stage.bob.path(), &json!({"enabled": false})),
        stage.ann.http.merge(&stage.ann.path(), &json!({"displayName": "Queen"})),
        stage.ann.http.delete(&stage.bob.path()),
    ] {
        assert!(matches!(reply.status, 403 | 404), "{}: {}", reply.asked, reply.text());
    }
    let through_v3 = stage.ann.http.get("/v3/users").want(200);
    let shown: Vec<&str> =
        through_v3["data"].as_array().unwrap().iter().map(|u| u["id"].as_str().unwrap()).collect();
    assert_eq!(shown, [stage.ann.id.as_str()]);
    let (there, absent) = (format!("/v3/users/{}", stage.bob.id), "/v3/users/u-zzzzz");
    let (there, absent) = (stage.ann.http.get(&there), stage.ann.http.get(absent));
    assert_eq!(there.status, absent.status);
    assert_eq!(there.text().replace(&stage.bob.id, "u-zzzzz"), absent.text());
    assert!(matches!(there.status, 403 | 404), "{}", there.text());
}

#[test]
fn kubectl_says_not_found_of_somebody_elses_token_for_every_command() {
    needs_kubectl!();
    let stage = stage();
    let name = stage.of_bob.name.as_str();
    let patch = r#"{"spec":{"description":"x"}}"#;
    let resource = "tokens.ext.cattle.io";
    let commands: [&[&str]; 9] = [
        &["get", resource, name],
        &["describe", resource, name],
        &["delete", resource, name, "--wait=false"],
        &["patch", resource, name, "--type=merge", "-p", patch],
        &[
            "patch",
            resource,
            name,
            "--type=json",
            "-p",
            r#"[{"op":"test","path":"/spec/description","value":"of bob"}]"#,
        ],
        &["patch", resource, name, "-p", patch],
        &["label", resource, name, "team=red"],
        &["annotate", resource, name, "a=b"],
        &["edit", resource, name],
    ];
    for command in commands {
        let error = stage.ann.kubectl.fails(command);
        assert_eq!(
            error.trim_end(),
            format!("Error from server (NotFound): tokens.ext.cattle.io \"{name}\" not found"),
            "{command:?}"
        );
    }
    for selector in
        [format!("cattle.io/user-id={}", stage.bob.id), format!("cattle.io/user-id!={}", stage.ann.id)]
    {
        let ran = stage.ann.kubectl.run(&["get", resource, "-l", &selector]);
        assert_eq!((ran.code, ran.out.as_str(), ran.err.trim_end()), (0, "", "No resources found"));
        let ran = stage.ann.kubectl.run(&["delete", resource, "-l", &selector]);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""));
        assert_eq!(ran.out.trim_end(), "No resources found");
    }
    stage.bob.kubectl.ok(&["get", resource, name]);
}
