//! PATCH of the three types, and who manages what.

use std::sync::atomic::Ordering;

use eartag_apiserver::Tree;
use serde_json::json;

use crate::support::{BASE, GADGETS, MODIFIED, server, version};

fn a() -> String {
    format!("{BASE}/a")
}

#[tokio::test]
async fn a_merge_patch_replaces_lists_and_removes_what_is_null() {
    let server = server().await;
    server.make("a", json!({"size": 1, "colour": "red", "tags": ["x", "y"]})).await;
    let patch =
        json!({"spec": {"size": 2, "colour": null, "tags": ["z"]}, "metadata": {"annotations": {"k": "v"}}});
    let patched = server.patch(a(), "merge", &patch).expect(200).await;
    assert_eq!(patched["spec"], json!({"size": 2, "tags": ["z"], "owner": "admin"}));
    assert_eq!(patched["metadata"]["annotations"], json!({"k": "v"}));
    assert_eq!(server.now("a").await, patched);
}

#[tokio::test]
async fn a_json_patch_is_applied_in_order_or_not_at_all() {
    let server = server().await;
    let made = server.make("a", json!({"size": 1, "tags": ["x"]})).await;
    let patch = json!([
        {"op": "test", "path": "/spec/size", "value": 1},
        {"op": "replace", "path": "/spec/size", "value": 5},
        {"op": "add", "path": "/spec/tags/-", "value": "y"},
        {"op": "add", "path": "/metadata/labels/x~1y", "value": "slash"},
        {"op": "copy", "from": "/spec/size", "path": "/spec/colour"},
        {"op": "replace", "path": "/spec/colour", "value": "blue"},
    ]);
    let patched = server.patch(a(), "json", &patch).expect(200).await;
    assert_eq!(patched["spec"], json!({"size": 5, "tags": ["x", "y"], "colour": "blue", "owner": "admin"}));
    assert_eq!(patched["metadata"]["labels"], json!({"made-by": "admin", "x/y": "slash"}));
    for failing in [
        json!([{"op": "replace", "path": "/spec/size", "value": 6}, {"op": "test", "path": "/spec/size", "value": 7}]),
        json!([{"op": "remove", "path": "/spec/nothing"}]),
        json!([{"op": "add", "path": "/spec/no/where", "value": 1}]),
        json!([{"op": "replace", "path": "/spec/tags/9", "value": "x"}]),
    ] {
        let status = server.patch(a(), "json", &failing).expect(422).await;
        assert_eq!(status["reason"], "Invalid");
        let message = status["message"].as_str().unwrap();
        assert!(
            message.starts_with("the server rejected our request due to an error in our request"),
            "{message}"
        );
    }
    assert_eq!(server.now("a").await, patched);
    assert_ne!(version(&made), version(&patched));
}

#[tokio::test]
async fn a_strategic_merge_patch_follows_the_schemas_keys() {
    let server = server().await;
    server
        .make("a", json!({"tags": ["x"], "parts": [{"name": "p", "count": 1}, {"name": "q", "count": 2}]}))
        .await;
    let patch = json!({"spec": {"tags": ["y"], "parts": [{"name": "q", "count": 9}, {"name": "p", "$patch": "delete"}, {"name": "r", "count": 3}]}});
    let patched = server.patch(a(), "strategic-merge", &patch).expect(200).await;
    let mut tags: Vec<_> = patched["spec"]["tags"].as_array().unwrap().iter().map(Tree::to_string).collect();
    tags.sort();
    assert_eq!(tags, ["\"x\"", "\"y\""]);
    let mut parts = patched["spec"]["parts"].as_array().unwrap().clone();
    parts.sort_by_key(|part| part["name"].to_string());
    assert_eq!(parts, [json!({"name": "q", "count": 9}), json!({"name": "r", "count": 3})]);
    let patch = json!({"spec": {"$deleteFromPrimitiveList/tags": ["x"], "parts": [{"$patch": "replace"}, {"name": "only", "count": 1}]}});
    let patched = server.patch(a(), "strategic-merge", &patch).expect(200).await;
    assert_eq!(
        patched["spec"],
        json!({"size": 0, "tags": ["y"], "parts": [{"name": "only", "count": 1}], "owner": "admin"})
    );
    for bad in [json!({"spec": {"$patch": "explode"}}), json!({"spec": {"parts": [{"count": 1}]}})] {
        let status = server.patch(a(), "strategic-merge", &bad).send().await;
        assert!([400, 422].contains(&status.code), "{}", status.text());
    }
}

#[tokio::test]
async fn the_garbage_collectors_patch_of_owner_references_works() {
    let server = server().await;
    let owner = |uid: &str| json!({"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": uid});
    let body = json!({"metadata": {"name": "a", "ownerReferences": [owner("u1"), owner("u2")]}});
    let made = server.post(BASE, &body).expect(201).await;
    let patch = json!({"metadata": {"ownerReferences": [{"$patch": "delete", "uid": "u1"}], "uid": made["metadata"]["uid"]}});
    let patched = server.patch(a(), "strategic-merge", &patch).expect(200).await;
    assert_eq!(patched["metadata"]["ownerReferences"], json!([owner("u2")]));
    let other = json!({"metadata": {"ownerReferences": [{"$patch": "delete", "uid": "u2"}], "uid": "somebody-elses"}});
    server.patch(a(), "strategic-merge", &other).expect(409).await;
}

#[tokio::test]
async fn other_patch_types_are_told_which_ones_are_served() {
    let server = server().await;
    server.make("a", json!({})).await;
    let message = "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json";
    for content_type in
        ["application/json", "text/plain", "application/apply-patch+yaml", "application/apply-patch+cbor"]
    {
        let ask = server.patch(a(), "merge", &json!({})).header("content-type", content_type);
        ask.refused(415, "UnsupportedMediaType", message).await;
    }
    let ask = server.ask(http::Method::PATCH, a()).raw("{}");
    ask.refused(415, "UnsupportedMediaType", message).await;
    let ask = server
        .patch(a(), "merge", &json!({"spec": {"size": 1}}))
        .header("content-type", "application/merge-patch+json; charset=utf-8");
    ask.expect(200).await;
    let gadget = server.post(GADGETS, &json!({})).expect(201).await;
    let uri = format!("{GADGETS}/{}", gadget["metadata"]["name"].as_str().unwrap());
    let message = "the body of the request was in an unknown format - accepted media types include: application/merge-patch+json";
    server.patch(uri, "strategic-merge", &json!({})).refused(415, "UnsupportedMediaType", message).await;
}

#[tokio::test]
async fn a_patch_of_the_wrong_form_is_a_bad_request() {
    let server = server().await;
    let made = server.make("a", json!({})).await;
    for (kind, body) in [
        ("json", "{}"),
        ("json", "[{\"op\":\"explode\",\"path\":\"/a\"}]"),
        ("json", "[{\"path\":\"/a\"}]"),
        ("json", "[1]"),
        ("json", "["),
        ("merge", "{"),
        ("merge", "[]"),
        ("merge", "5"),
        ("merge", ""),
        ("strategic-merge", "[]"),
        ("strategic-merge", "null"),
    ] {
        let reply = server.patch(a(), kind, &json!(null)).raw(body).send().await;
        assert_eq!(
            (reply.code, reply.json()["reason"].as_str()),
            (400, Some("BadRequest")),
            "{kind} {body}: {}",
            reply.text()
        );
    }
    let many: Tree = (0..10_001).map(|_| json!({"op": "test", "path": "/spec/size", "value": 0})).collect();
    server
        .patch(a(), "json", &many)
        .refused_with(413, "RequestEntityTooLarge", "operations in a JSON patch is 10000")
        .await;
    let most: Tree = (0..10_000).map(|_| json!({"op": "test", "path": "/spec/size", "value": 0})).collect();
    server.patch(a(), "json", &most).expect(200).await;
    let big = format!("{{\"metadata\":{{\"annotations\":{{\"a\":\"{}\"}}}}}}", "x".repeat(3 << 20));
    server.patch(a(), "merge", &json!(null)).raw(big).expect(413).await;
    assert_eq!(server.now("a").await, made);
}

#[tokio::test]
async fn what_comes_out_of_a_patch_has_to_fit_like_what_is_put() {
    let server = server().await;
    let made = server.make("a", json!({"size": 1})).await;
    for (patch, code, part) in [
        (json!({"spec": {"size": -1}}), 422, "spec.size: Invalid value: -1"),
        (
            json!({"spec": {"size": "x"}}),
            422,
            "json: cannot unmarshal string into Go struct field Widget.spec.size of type int64",
        ),
        (json!({"spec": {"owner": "bob"}}), 422, "field is immutable"),
        (json!({"metadata": {"name": "b"}}), 422, "metadata.name: Invalid value: \"b\": field is immutable"),
        (json!({"metadata": {"name": null}}), 422, "metadata.name"),
        (json!({"metadata": {"uid": "other"}}), 409, "Precondition failed: UID in precondition: other"),
        (json!({"metadata": null}), 422, "metadata.name"),
        (json!({"kind": "Gadget"}), 400, "Gadget"),
        (json!({"apiVersion": "v9"}), 400, "v9"),
    ] {
        let reply = server.patch(a(), "merge", &patch).send().await;
        assert!(
            reply.code == code && reply.text().contains(&part.replace('"', "\\\"")),
            "{patch}: {} {}",
            reply.code,
            reply.text()
        );
    }
    assert_eq!(server.now("a").await, made);
}

#[tokio::test]
async fn a_version_inside_the_patch_is_a_precondition() {
    let server = server().await;
    let made = server.make("a", json!({"size": 1})).await;
    let patch = json!({"metadata": {"resourceVersion": version(&made)}, "spec": {"size": 2}});
    server.patch(a(), "merge", &patch).expect(200).await;
    let message = format!("Operation cannot be fulfilled on widgets.example.org \"a\": {MODIFIED}");
    for kind in ["merge", "strategic-merge"] {
        server.patch(a(), kind, &patch).refused(409, "Conflict", &message).await;
    }
    let patch = json!([{"op": "replace", "path": "/metadata/resourceVersion", "value": version(&made)}]);
    server.patch(a(), "json", &patch).refused(409, "Conflict", &message).await;
    // Taking the version away asks for none.
    server
        .patch(a(), "json", &json!([{"op": "remove", "path": "/metadata/resourceVersion"}]))
        .expect(200)
        .await;
}

#[tokio::test]
async fn a_patch_of_what_is_not_there_is_not_found_whatever_it_says() {
    let server = server().await;
    for kind in ["merge", "strategic-merge", "json"] {
        server
            .patch(a(), kind, &json!([]))
            .refused_with(404, "NotFound", "widgets.example.org \"a\" not found")
            .await;
    }
}

#[tokio::test]
async fn options_of_a_patch_are_checked() {
    let server = server().await;
    server.make("a", json!({})).await;
    let message = "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for non-apply patch";
    server.patch(format!("{}?force=true", a()), "merge", &json!({})).refused(422, "Invalid", message).await;
    server.patch(format!("{}?dryRun=x", a()), "merge", &json!({})).expect(422).await;
    let dry =
        server.patch(format!("{}?dryRun=All", a()), "merge", &json!({"spec": {"size": 3}})).expect(200).await;
    assert_eq!(dry["spec"]["size"], 3);
    assert_eq!(server.now("a").await["spec"]["size"], 0);
}

#[tokio::test]
async fn unknown_fields_of_a_patch_are_told_or_refused() {
    let server = server().await;
    server.make("a", json!({})).await;
    let patch = json!({"spec": {"sise": 3}});
    let strict = format!("{}?fieldValidation=Strict", a());
    for kind in ["merge", "strategic-merge"] {
        let status = server
            .patch(&strict, kind, &patch)
            .refused_with(422, "Invalid", "strict decoding error: unknown field \"spec.sise\"")
            .await;
        assert_eq!(status["details"]["causes"][0]["field"], "patch");
    }
    let reply = server.patch(a(), "merge", &patch).send().await;
    assert_eq!((reply.code, reply.warnings()), (200, vec!["299 - \"unknown field \\\"spec.sise\\\"\""]));
    let odd = json!([{"op": "add", "path": "/spec/size", "value": 1, "because": "x"}]);
    server
        .patch(&strict, "json", &odd)
        .refused_with(422, "Invalid", "json patch unknown field \"[0].because\"")
        .await;
    let twice = "{\"spec\":{\"size\":1,\"size\":2}}";
    server
        .patch(&strict, "merge", &json!(null))
        .raw(twice)
        .refused_with(422, "Invalid", "duplicate field \"spec.size\"")
        .await;
}

fn managers(object: &Tree) -> Vec<(String, Tree)> {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    entries
        .iter()
        .map(|e| (e["manager"].as_str().unwrap().to_owned(), e["fieldsV1"]["f:spec"].clone()))
        .collect()
}

#[tokio::test]
async fn whoever_changes_a_field_manages_it() {
    let server = server().await;
    let body = json!({"metadata": {"name": "a"}, "spec": {"size": 1, "colour": "red"}});
    server.post(format!("{BASE}?fieldManager=maker"), &body).expect(201).await;
    server.world.now_ms.fetch_add(10_000, Ordering::SeqCst);
    let patched = server
        .patch(format!("{}?fieldManager=painter", a()), "merge", &json!({"spec": {"colour": "blue"}}))
        .expect(200)
        .await;
    assert_eq!(
        managers(&patched),
        [("maker".to_owned(), json!({"f:size": {}})), ("painter".to_owned(), json!({"f:colour": {}}))]
    );
    let times: Vec<&Tree> =
        patched["metadata"]["managedFields"].as_array().unwrap().iter().map(|e| &e["time"]).collect();
    assert_eq!(times[1], "2026-05-28T20:26:50Z");
    server
        .patch(format!("{}?fieldManager=painter", a()), "merge", &json!({"spec": {"size": 2}}))
        .expect(200)
        .await;
    let all = managers(&server.now("a").await);
    assert_eq!(all.last().unwrap(), &("painter".to_owned(), json!({"f:colour": {}, "f:size": {}})));
    assert!(
        all.iter().all(|(name, fields)| name == "painter" || fields.is_null()),
        "who manages nothing of the spec leaves: {all:?}"
    );
    for _ in 0..20 {
        server.world.now_ms.fetch_add(10_000, Ordering::SeqCst);
        server
            .patch(format!("{}?fieldManager=visitor", a()), "merge", &json!({"spec": {"size": 2}}))
            .expect(200)
            .await;
    }
    assert_eq!(managers(&server.now("a").await), all, "writes that change nothing leave no trace");
    for n in 0..30 {
        let uri = format!("{}?fieldManager=m{n}", a());
        server
            .patch(uri, "merge", &json!({"metadata": {"annotations": {format!("k{n}"): "v"}}}))
            .expect(200)
            .await;
    }
    let count = server.now("a").await["metadata"]["managedFields"].as_array().unwrap().len();
    assert!(count <= 11, "the oldest are merged: {count}");
}

#[tokio::test]
async fn managed_fields_can_be_patched_by_hand() {
    let server = server().await;
    let body = json!({"metadata": {"name": "a"}, "spec": {"size": 1}});
    let made = server.post(format!("{BASE}?fieldManager=kubectl-client-side-apply"), &body).expect(201).await;
    let mut entries = made["metadata"]["managedFields"].clone();
    entries[0]["manager"] = "kubectl".into();
    entries[0]["operation"] = "Apply".into();
    let patch = json!([
        {"op": "replace", "path": "/metadata/managedFields", "value": entries},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": version(&made)},
    ]);
    let patched = server.patch(a(), "json", &patch).expect(200).await;
    let shown = &patched["metadata"]["managedFields"][0];
    assert_eq!((&shown["manager"], &shown["operation"]), (&json!("kubectl"), &json!("Apply")));
    server.patch(a(), "json", &patch).expect(409).await;
    let broken =
        json!([{"op": "replace", "path": "/metadata/managedFields/0/fieldsV1", "value": {"nonsense": 1}}]);
    let reply = server.patch(a(), "json", &broken).send().await;
    assert_eq!((reply.code, reply.warnings().len()), (200, 1));
    assert_eq!(reply.json()["metadata"]["managedFields"][0]["fieldsV1"], shown["fieldsV1"]);
    for reset in [json!([]), json!([{}])] {
        let reply = server.patch(a(), "merge", &json!({"metadata": {"managedFields": reset}})).send().await;
        assert_eq!((reply.code, reply.warnings()), (200, vec![]), "a reset is meant");
        let left = reply.json()["metadata"].get("managedFields").cloned().unwrap_or_else(|| json!([]));
        assert!(!left.to_string().contains("kubectl"), "{left}");
    }
}
