//! Lists, pages, revisions, selectors, representations: what clients other than kubectl rely on.

use eartag_tests::http::{TABLE, names, text};
use eartag_tests::people::token;
use eartag_tests::{MANAGEMENT, Server, TOKENS};
use serde_json::{Value, json};

#[test]
fn pages_show_one_snapshot() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let mut all: Vec<String> = (0..7).map(|_| ann.mint(json!({})).name).collect();
    all.sort();
    let first = ann.http.get(&format!("{TOKENS}?limit=3")).want(200);
    // It may be left out, but never be wrong.
    let remaining = &first["metadata"]["remainingItemCount"];
    assert!(remaining.is_null() || remaining == 4, "{remaining}");
    let mut seen = names(&first);
    assert_eq!(seen.len(), 3);
    // What happens between pages does not show.
    ann.http.delete(&token(&all[5])).want(200);
    ann.mint(json!({}));
    let mut next = text(&first["metadata"]["continue"]);
    while !next.is_empty() {
        let page = ann.http.get(&format!("{TOKENS}?limit=3&continue={next}")).want(200);
        assert_eq!(page["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
        seen.extend(names(&page));
        next = page["metadata"]["continue"].as_str().unwrap_or("").to_owned();
    }
    assert_eq!(seen, all);
}

#[test]
fn bad_continue_tokens_are_refused() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    (0..3).for_each(|_| drop(ann.mint(json!({}))));
    let next = text(&ann.http.get(&format!("{TOKENS}?limit=1")).want(200)["metadata"]["continue"]);
    for bad in ["abc", "eyJ2IjoiZm9vIn0", "%00", "../../x", &format!("{next}x{next}")] {
        let said = ann.http.get(&format!("{TOKENS}?limit=1&continue={bad}")).refused(400, "BadRequest");
        assert!(said.contains("continue"), "{said}");
    }
    let said = ann
        .http
        .get(&format!("{TOKENS}?limit=1&continue={next}&resourceVersion=5"))
        .refused(400, "BadRequest");
    assert_eq!(said, "specifying resource version is not allowed when using continue");
}

#[test]
fn a_list_at_a_revision_shows_that_revision() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let a = ann.mint(json!({"description": "then"}));
    let then = ann.http.revision(TOKENS);
    ann.http.merge(&token(&a.name), &json!({"spec": {"description": "now"}})).want(200);
    let b = ann.mint(json!({}));
    let exact =
        ann.http.get(&format!("{TOKENS}?resourceVersion={then}&resourceVersionMatch=Exact")).want(200);
    assert_eq!(names(&exact), [a.name.as_str()]);
    assert_eq!(exact["items"][0]["spec"]["description"], "then");
    assert_eq!(exact["metadata"]["resourceVersion"], then.to_string());
    let newer =
        ann.http.get(&format!("{TOKENS}?resourceVersion={then}&resourceVersionMatch=NotOlderThan")).want(200);
    assert_eq!(names(&newer).len(), 2);
    assert!(names(&newer).contains(&b.name));
    let refusals = [
        (
            "resourceVersionMatch=Exact",
            "resourceVersionMatch is forbidden unless resourceVersion is provided",
        ),
        (
            "resourceVersion=0&resourceVersionMatch=Exact",
            "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
        ),
        (
            "resourceVersion=1&resourceVersionMatch=Nonsense",
            "supported values: \"Exact\", \"NotOlderThan\", \"\"",
        ),
    ];
    for (query, expected) in refusals {
        let said = ann.http.get(&format!("{TOKENS}?{query}")).refused(422, "Invalid");
        assert!(said.contains(expected), "{query}: {said}");
    }
}

#[test]
fn every_form_of_selector_works_for_everyone() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let make = |labels: Value| {
        text(&ann.http.post(TOKENS, &json!({"metadata": {"labels": labels}})).want(201)["metadata"]["name"])
    };
    let (blue, red, none) =
        (make(json!({"team": "blue", "n": "5"})), make(json!({"team": "red", "n": "7"})), make(json!({})));
    let select = |selector: &str| {
        let mut found = names(&ann.http.get(&format!("{TOKENS}?labelSelector={selector}")).want(200));
        found.sort();
        found
    };
    let sorted = |names: &[&String]| {
        let mut names: Vec<String> = names.iter().map(|n| (*n).clone()).collect();
        names.sort();
        names
    };
    for (selector, expected) in [
        ("team%3Dblue", sorted(&[&blue])),
        ("team%3D%3Dblue", sorted(&[&blue])),
        ("team!%3Dblue", sorted(&[&red, &none])),
        ("team%20in%20(blue,red)", sorted(&[&blue, &red])),
        ("team%20notin%20(blue)", sorted(&[&red, &none])),
        ("team", sorted(&[&blue, &red])),
        ("!team", sorted(&[&none])),
        ("n%3E5", sorted(&[&red])),
        ("n%3C7", sorted(&[&blue])),
        ("team,n%3D5", sorted(&[&blue])),
        ("team%3D", Vec::new()),
        ("", sorted(&[&blue, &red, &none])),
    ] {
        assert_eq!(select(selector), expected, "{selector}");
    }
    for bad in ["team%20in", "%3Dx", "a%20b", "team%20in%20(blue", "team%3Dx%3Dy", "-x", "team%3D-x-"] {
        let reply = ann.http.get(&format!("{TOKENS}?labelSelector={bad}"));
        reply.refused(400, "BadRequest");
    }
    let by_name = ann.http.get(&format!("{TOKENS}?fieldSelector=metadata.name%3D{blue}")).want(200);
    assert_eq!(names(&by_name), [blue.as_str()]);
    let not = ann.http.get(&format!("{TOKENS}?fieldSelector=metadata.name!%3D{blue}")).want(200);
    assert_eq!(names(&not), sorted(&[&red, &none]));
    let said = ann.http.get(&format!("{TOKENS}?fieldSelector=spec.nonsense%3Dx")).refused(400, "BadRequest");
    assert!(said.starts_with("\"spec.nonsense\" is not a known field selector: only "), "{said}");
}

#[test]
fn tables_have_the_columns_of_the_reference() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let a = ann.mint(json!({"kind": "session", "description": "d", "ttl": 7_200_000}));
    let table = ann.http.with("Accept", TABLE).get(TOKENS).want(200);
    assert_eq!(
        (table["kind"].as_str(), table["apiVersion"].as_str()),
        (Some("Table"), Some("meta.k8s.io/v1"))
    );
    let columns: Vec<(&str, &str, &str, i64, &str)> = table["columnDefinitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| {
            (
                c["name"].as_str().unwrap(),
                c["type"].as_str().unwrap(),
                c["format"].as_str().unwrap(),
                c["priority"].as_i64().unwrap(),
                c["description"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("Name", "string", "name", 0, ""),
        ("User", "string", "", 1, "User is the owner of the token"),
        ("Kind", "string", "", 0, "Kind/purpose of the token"),
        ("TTL", "string", "", 0, "The time-to-live for the token"),
        ("Age", "string", "", 0, ""),
        ("Description", "string", "", 1, "Human readable description of the token"),
    ];
    for (seen, expected) in columns.iter().zip(&expected) {
        assert_eq!((seen.0, seen.1, seen.2, seen.3), (expected.0, expected.1, expected.2, expected.3));
        assert!(expected.4.is_empty() || seen.4 == expected.4, "{seen:?}");
    }
    assert_eq!(columns.len(), expected.len());
    let cells = &table["rows"][0]["cells"];
    assert_eq!(
        (&cells[0], &cells[1], &cells[2], &cells[3], &cells[5]),
        (&json!(a.name), &json!(ann.id), &json!("session"), &json!("120m"), &json!("d"))
    );
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    let whole = ann.http.with("Accept", TABLE).get(&format!("{TOKENS}?includeObject=Object")).want(200);
    assert_eq!(whole["rows"][0]["object"]["kind"], "Token");
    let none = ann.http.with("Accept", TABLE).get(&format!("{TOKENS}?includeObject=None")).want(200);
    assert!(none["rows"][0].get("object").is_none_or(Value::is_null), "{none}");
    assert_eq!(ann.http.with("Accept", TABLE).get(&format!("{TOKENS}?includeObject=Half")).status, 400);
    let created = ann.http.with("Accept", TABLE).post(TOKENS, &json!({}));
    assert_eq!(created.want(201)["kind"], "Table");
}

#[test]
fn metadata_lists_yaml_and_the_unacceptable() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    ann.mint(json!({"description": "not for controllers"}));
    let accept = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
    let list = ann
        .http
        .with("Accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1")
        .get(TOKENS);
    assert_eq!(list.want(200)["kind"], "PartialObjectMetadataList");
    assert!(!list.text().contains("not for controllers"));
    let list = ann.http.with("Accept", accept).get(TOKENS);
    assert_eq!(list.status, 200);
    assert!(!list.text().contains("not for controllers"));
    let yaml = ann.http.with("Accept", "application/yaml").get(TOKENS);
    assert_eq!((yaml.status, yaml.header("content-type")), (200, Some("application/yaml")));
    assert!(yaml.text().contains("kind: TokenList"), "{}", yaml.text());
    for empty in ["", "*/*", "application/*"] {
        assert_eq!(ann.http.with("Accept", empty).get(TOKENS).want(200)["kind"], "TokenList");
    }
    let none = ann.http.with("Accept", "text/html").get(TOKENS);
    assert!(
        none.refused(406, "NotAcceptable")
            .starts_with("only the following media types are accepted: application/json"),
        "{}",
        none.text()
    );
    let wrong =
        ann.http.with("Accept", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1").get(TOKENS);
    assert_eq!(wrong.status, 406);
}

#[test]
fn an_empty_list_is_a_list_with_a_revision() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let list = ann.http.get(TOKENS).want(200);
    assert_eq!(
        (list["kind"].as_str(), list["apiVersion"].as_str()),
        (Some("TokenList"), Some("ext.cattle.io/v1"))
    );
    assert_eq!(list["items"], json!([]));
    assert!(text(&list["metadata"]["resourceVersion"]).parse::<u64>().unwrap() > 0);
}

#[test]
fn updates_are_optimistic() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let a = ann.mint(json!({}));
    let path = token(&a.name);
    let seen = ann.http.get(&path).want(200);
    let newer = ann.http.merge(&path, &json!({"spec": {"description": "x"}})).want(200);
    assert_ne!(newer["metadata"]["resourceVersion"], seen["metadata"]["resourceVersion"]);
    let expected = format!(
        "Operation cannot be fulfilled on tokens.ext.cattle.io \"{}\": the object has been modified; please apply your changes to the latest version and try again",
        a.name
    );
    let mut stale = seen.clone();
    stale["spec"]["description"] = json!("y");
    assert_eq!(ann.http.put(&path, &stale).refused(409, "Conflict"), expected);
    assert_eq!(ann.http.put(&format!("{path}?dryRun=All"), &stale).refused(409, "Conflict"), expected);
    let patch = json!({"metadata": {"resourceVersion": seen["metadata"]["resourceVersion"]}, "spec": {"description": "y"}});
    assert_eq!(ann.http.merge(&path, &patch).refused(409, "Conflict"), expected);
    // Without a revision a token may be put; a setting may not.
    stale["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    assert_eq!(ann.http.put(&path, &stale).want(200)["spec"]["description"], "y");
    let admin = server.admin();
    let setting = format!("{MANAGEMENT}/settings/auth-token-max-ttl-minutes");
    let mut whole = admin.http.get(&setting).want(200);
    whole["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    let said = admin.http.put(&setting, &whole).refused(422, "Invalid");
    assert!(
        said.contains("metadata.resourceVersion: Invalid value: 0: must be specified for an update"),
        "{said}"
    );
}

#[test]
fn writing_back_what_was_shown_changes_nothing() {
    let server = Server::start();
    let admin = server.admin();
    let ann = server.person("ann", &["user"]);
    let a = ann.mint(json!({"description": "x", "ttl": 7_200_000}));
    let mut paths = vec![token(&a.name)];
    for plural in ["users", "globalroles", "globalrolebindings", "settings", "features", "clusters"] {
        let list = admin.http.get(&format!("{MANAGEMENT}/{plural}")).want(200);
        paths.extend(names(&list).into_iter().take(30).map(|name| format!("{MANAGEMENT}/{plural}/{name}")));
    }
    let before = admin.http.revision(TOKENS);
    for path in &paths {
        let seen = admin.http.get(path).want(200);
        let put = admin.http.put(path, &seen);
        assert!(matches!(put.status, 200 | 405 | 403 | 400), "{path}: {}", put.text());
        if put.status == 200 {
            assert_eq!(
                put.json()["metadata"]["resourceVersion"],
                seen["metadata"]["resourceVersion"],
                "{path}"
            );
        }
        let patched = admin.http.merge(path, &json!({}));
        assert!(matches!(patched.status, 200 | 405 | 403), "{path}: {}", patched.text());
    }
    assert_eq!(admin.http.revision(TOKENS), before);
}

#[test]
fn a_dry_run_predicts_and_changes_nothing() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let a = ann.mint(json!({}));
    let before = ann.http.get(TOKENS).want(200);
    let dry = ann.http.post(&format!("{TOKENS}?dryRun=All"), &json!({"spec": {"ttl": 99_999_999_999_i64}}));
    let object = dry.want(201);
    assert_eq!(object["spec"]["ttl"], 7_776_000_000_i64);
    assert_eq!(object["spec"]["enabled"], true);
    assert_eq!(object["metadata"]["labels"]["cattle.io/user-id"], ann.id.as_str());
    for secret in ["value", "bearerToken", "hash"] {
        assert!(object["status"].get(secret).is_none_or(|v| v == ""), "{object}");
    }
    assert!(object["metadata"].get("resourceVersion").is_none_or(|v| v == ""), "{object}");
    let path = token(&a.name);
    let changed = ann.http.send(
        "PATCH",
        &format!("{path}?dryRun=All"),
        eartag_tests::http::MERGE,
        Some(br#"{"spec":{"description":"x"}}"#),
    );
    assert_eq!(changed.want(200)["spec"]["description"], "x");
    ann.http.delete_with(&path, &json!({"dryRun": ["All"]})).want(200);
    ann.http.send("DELETE", &format!("{path}?dryRun=All"), "", None).want(200);
    assert_eq!(ann.http.get(TOKENS).want(200), before);
    let said = ann.http.post(&format!("{TOKENS}?dryRun=Some"), &json!({})).refused(422, "Invalid");
    assert!(said.contains("supported values: \"All\""), "{said}");
}

#[test]
fn preconditions_and_finalizers_hold_a_delete_back() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let a = ann.mint(json!({}));
    let path = token(&a.name);
    let seen = ann.http.get(&path).want(200);
    let said = ann
        .http
        .delete_with(&path, &json!({"preconditions": {"uid": "00000000-0000-4000-8000-000000000000"}}))
        .refused(409, "Conflict");
    assert!(said.contains("the UID in the precondition (00000000-0000-4000-8000-000000000000) does not match the UID in record"), "{said}");
    ann.http.delete_with(&path, &json!({"preconditions": {"resourceVersion": "1"}})).refused(409, "Conflict");
    // A finalizer keeps the object, not its use.
    ann.http.merge(&path, &json!({"metadata": {"finalizers": ["example.org/hold"]}})).want(200);
    let held =
        ann.http.delete_with(&path, &json!({"preconditions": {"uid": seen["metadata"]["uid"]}})).want(200);
    assert_eq!(held["kind"], "Token", "a delete answers with the token");
    assert!(ann.http.get(&path).want(200)["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(server.anonymous().bearer(&a.bearer).whoami(), None);
    let said = ann
        .http
        .merge(&path, &json!({"metadata": {"finalizers": ["example.org/hold", "example.org/more"]}}))
        .refused(422, "Invalid");
    assert!(said.contains("no new finalizers can be added if the object is being deleted"), "{said}");
    ann.http.merge(&path, &json!({"metadata": {"finalizers": []}})).want(200);
    ann.http.get(&path).refused(404, "NotFound");
    // Foreground and orphan must not leave it hanging.
    for policy in ["Foreground", "Orphan", "Background"] {
        let b = ann.mint(json!({}));
        ann.http.delete_with(&token(&b.name), &json!({"propagationPolicy": policy})).want(200);
        ann.http.get(&token(&b.name)).refused(404, "NotFound");
    }
}

#[test]
fn headers_that_every_reply_has() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let reply = ann.http.get(TOKENS);
    assert_eq!(reply.header("cache-control"), Some("no-cache, private"));
    assert!(reply.header("audit-id").is_some_and(|id| id.len() == 36), "{:?}", reply.headers);
    assert_eq!(reply.header("server"), None);
    assert!(reply.body.ends_with(b"\n"));
    assert_eq!(ann.http.with("Audit-ID", "my-audit-id").get(TOKENS).header("audit-id"), Some("my-audit-id"));
    let head = ann.http.send("HEAD", TOKENS, "", None);
    assert_eq!((head.status, head.body.len()), (200, 0));
    let gone = server.admin().http.get("/nowhere");
    assert_eq!(
        (gone.status, gone.text().as_str(), gone.header("content-type")),
        (404, "404 page not found\n", Some("text/plain; charset=utf-8"))
    );
    // Authorization comes first: only who may everything is told that there is no such resource.
    ann.http.get("/apis/ext.cattle.io/v1/nothing").refused(403, "Forbidden");
    assert_eq!(
        server.admin().http.get("/apis/ext.cattle.io/v1/nothing").refused(404, "NotFound"),
        "the server could not find the requested resource"
    );
    let method = ann.http.put(TOKENS, &json!({}));
    assert_eq!(
        method.refused(405, "MethodNotAllowed"),
        "the server does not allow this method on the requested resource"
    );
    for path in ["/version/", "/api/", "/apis/"] {
        assert_eq!(ann.http.get(path).status, 200, "{path}");
    }
}
