//! PUT: versions, identity, what the server owns, finalizers.

use std::sync::Arc;

use eartag_apiserver::Tree;
use eartag_apiserver::ops::Change;
use eartag_storage::{Commit, Condition, Lane, Op, Revision};
use serde_json::json;
use std::sync::atomic::Ordering;

use crate::support::{BASE, GADGETS, MODIFIED, Server, server, version, widget, with};
use crate::widgets::WIDGETS;

fn a() -> String {
    format!("{BASE}/a")
}

#[tokio::test]
async fn a_put_replaces_what_was_asked_and_moves_revision_and_generation() {
    let server = server().await;
    let made = server.make("a", json!({"size": 1, "colour": "red", "tags": ["x"]})).await;
    let put = server.put(a(), &with(made.clone(), "/spec", json!({"size": 2}))).expect(200).await;
    assert_eq!(put["spec"], json!({"size": 2, "owner": "admin"}));
    assert_eq!(put["status"]["weight"], 20);
    assert_eq!(put["metadata"]["generation"], 2);
    assert_eq!(version(&put), server.revision());
    assert_eq!(put["metadata"]["uid"], made["metadata"]["uid"]);
    assert_eq!(server.now("a").await, put);
    let labelled = server.put(a(), &with(put, "/metadata/labels", json!({"k": "v"}))).expect(200).await;
    assert_eq!(
        (&labelled["metadata"]["generation"], &labelled["metadata"]["labels"]),
        (&json!(2), &json!({"k": "v"}))
    );
}

#[tokio::test]
async fn a_stale_version_is_a_conflict_also_on_a_dry_run() {
    let server = server().await;
    let made = server.make("a", json!({"size": 1})).await;
    server.put(a(), &with(made.clone(), "/spec/size", 2)).expect(200).await;
    let message = format!("Operation cannot be fulfilled on widgets.example.org \"a\": {MODIFIED}");
    for uri in [a(), format!("{}?dryRun=All", a())] {
        let status =
            server.put(uri, &with(made.clone(), "/spec/size", 3)).refused(409, "Conflict", &message).await;
        assert_eq!(status["details"], json!({"name": "a", "group": "example.org", "kind": "widgets"}));
    }
    assert_eq!(server.now("a").await["spec"]["size"], 2);
}

#[tokio::test]
async fn without_a_version_a_put_wins_unless_the_resource_wants_one() {
    let server = server().await;
    server.make("a", json!({"size": 1})).await;
    server.put(a(), &widget("a", json!({"size": 2}))).expect(200).await;
    let gadget = server.post(GADGETS, &json!({})).expect(201).await;
    let name = gadget["metadata"]["name"].as_str().unwrap();
    let body = json!({"metadata": {"name": name}});
    let message = format!(
        "Gadget.other.example.org \"{name}\" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update"
    );
    server.put(format!("{GADGETS}/{name}"), &body).refused(422, "Invalid", &message).await;
    server.put(format!("{GADGETS}/{name}"), &gadget).expect(200).await;
    server.patch(format!("{GADGETS}/{name}"), "merge", &json!({"spec": {"size": 1}})).expect(200).await;
}

#[tokio::test]
async fn another_uid_is_a_failed_precondition() {
    let server = server().await;
    let made = server.make("a", json!({})).await;
    let uid = made["metadata"]["uid"].as_str().unwrap();
    let message = format!(
        "Operation cannot be fulfilled on widgets.example.org \"a\": Precondition failed: UID in precondition: other, UID in object meta: {uid}"
    );
    server.put(a(), &with(made.clone(), "/metadata/uid", "other")).refused(409, "Conflict", &message).await;
    let mut without = made.clone();
    without["metadata"].as_object_mut().unwrap().remove("uid");
    assert_eq!(server.put(a(), &without).expect(200).await, made);
}

#[tokio::test]
async fn a_put_names_the_object_that_the_url_names() {
    let server = server().await;
    let made = server.make("a", json!({})).await;
    let message = "the name of the object (b) does not match the name on the URL (a)";
    server.put(a(), &with(made.clone(), "/metadata/name", "b")).refused(400, "BadRequest", message).await;
    let message = "the name of the object (a based on URL) was undeterminable: name must be provided";
    server.put(a(), &with(made, "/metadata/name", "")).refused(400, "BadRequest", message).await;
    server
        .put(format!("{BASE}/zz"), &widget("zz", json!({})))
        .refused(404, "NotFound", "widgets.example.org \"zz\" not found")
        .await;
}

#[tokio::test]
async fn writing_back_what_was_shown_changes_nothing_and_tells_nobody() {
    let server = server().await;
    let made = server
        .make_labelled(
            "a",
            json!({"k": "v"}),
            json!({"size": 1, "tags": ["x"], "parts": [{"name": "p", "count": 1}]}),
        )
        .await;
    let mut events = server.get(format!("{BASE}?watch=1&resourceVersion={}", version(&made))).events().await;
    server.world.now_ms.fetch_add(60_000, Ordering::SeqCst);
    for (n, body) in
        [made.clone(), with(made.clone(), "/status/weight", 5), with(made.clone(), "/spec/owner", "")]
            .iter()
            .enumerate()
    {
        let put = server.put(a(), body).header("user-agent", "other/1").expect(200).await;
        assert_eq!(put, made, "{n}");
    }
    for kind in ["merge", "strategic-merge"] {
        assert_eq!(server.patch(a(), kind, &json!({})).expect(200).await, made);
        assert_eq!(server.patch(a(), kind, &json!({"spec": {"size": 1}})).expect(200).await, made);
    }
    assert_eq!(server.patch(a(), "json", &json!([])).expect(200).await, made);
    events.quiet().await;
    assert_eq!(server.revision(), version(&made));
}

#[tokio::test]
async fn what_the_server_owns_is_restored() {
    let server = server().await;
    let made = server.make("a", json!({"size": 1})).await;
    let mut body = with(made.clone(), "/spec/size", 2);
    for (member, value) in [
        ("creationTimestamp", json!("2001-01-01T00:00:00Z")),
        ("deletionTimestamp", json!("2001-01-01T00:00:00Z")),
        ("deletionGracePeriodSeconds", json!(9)),
        ("generation", json!(77)),
        ("selfLink", json!("/x")),
        ("generateName", json!("x-")),
    ] {
        body = with(body, &format!("/metadata/{member}"), value);
    }
    let put = server.put(a(), &with(body, "/status", json!({"weight": 5000}))).expect(200).await;
    assert_eq!(put["metadata"]["creationTimestamp"], made["metadata"]["creationTimestamp"]);
    assert_eq!((&put["metadata"]["generation"], &put["status"]["weight"]), (&json!(2), &json!(20)));
    for gone in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generateName"] {
        assert_eq!(put["metadata"].get(gone), None, "{gone}");
    }
}

#[tokio::test]
async fn what_the_kind_and_the_metadata_rules_refuse_changes_nothing() {
    let server = server().await;
    let made = server.make("a", json!({"size": 1})).await;
    for (body, field) in [
        (with(made.clone(), "/spec/size", -1), "spec.size"),
        (with(made.clone(), "/spec/owner", "bob"), "spec.owner"),
        (with(made.clone(), "/metadata/labels", json!({"a b": "c"})), "metadata.labels"),
        (
            with(made.clone(), "/metadata/finalizers", json!(["orphan", "foregroundDeletion"])),
            "metadata.finalizers",
        ),
    ] {
        server
            .put(a(), &body)
            .refused_with(422, "Invalid", &format!("Widget.example.org \"a\" is invalid: {field}"))
            .await;
    }
    for body in [
        with(made.clone(), "/kind", "Gadget"),
        with(made.clone(), "/apiVersion", "v1"),
        with(made.clone(), "/spec/size", "x"),
    ] {
        server.put(a(), &body).expect(400).await;
    }
    let uri = format!("{}?fieldValidation=Strict", a());
    server
        .put(uri, &with(made.clone(), "/spec/sise", 1))
        .refused_with(400, "BadRequest", "strict decoding error: unknown field \"spec.sise\"")
        .await;
    let reply = server.put(a(), &with(made.clone(), "/spec/sise", 1)).send().await;
    assert_eq!(reply.warnings(), ["299 - \"unknown field \\\"spec.sise\\\"\""]);
    assert_eq!(server.now("a").await, made);
}

#[tokio::test]
async fn a_dry_run_of_a_put_shows_the_result_under_the_old_version() {
    let server = server().await;
    let made = server.make("a", json!({"size": 1})).await;
    let shown =
        server.put(format!("{}?dryRun=All", a()), &with(made.clone(), "/spec/size", 2)).expect(200).await;
    assert_eq!((&shown["spec"]["size"], &shown["status"]["weight"]), (&json!(2), &json!(20)));
    assert_eq!(version(&shown), version(&made));
    assert_eq!(server.now("a").await, made);
    assert_eq!(server.revision(), version(&made));
}

async fn held(server: &Arc<Server>) -> Tree {
    let body = json!({"metadata": {"name": "a", "finalizers": ["example.org/one", "example.org/two"]}});
    server.post(BASE, &body).expect(201).await
}

#[tokio::test]
async fn finalizers_hold_an_object_until_the_last_one_is_removed() {
    let server = server().await;
    let made = held(&server).await;
    let mut events = server.get(format!("{BASE}?watch=1&resourceVersion={}", version(&made))).events().await;
    server.world.now_ms.fetch_add(5000, Ordering::SeqCst);
    let marked = server.delete(a()).expect(200).await;
    assert_eq!(marked["kind"], "Widget");
    assert_eq!(marked["metadata"]["deletionTimestamp"], "2026-05-28T20:26:45Z");
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 0);
    assert_eq!(marked["metadata"]["generation"], 2);
    assert_eq!(server.delete(a()).expect(200).await, marked, "again is the same");
    let one = server
        .put(a(), &with(marked.clone(), "/metadata/finalizers", json!(["example.org/two"])))
        .expect(200)
        .await;
    assert_eq!(server.now("a").await, one);
    let none = server.put(a(), &with(one.clone(), "/metadata/finalizers", json!([]))).expect(200).await;
    assert_eq!((&none["kind"], &none["metadata"]["name"]), (&json!("Widget"), &json!("a")));
    assert_eq!(none["metadata"].get("finalizers"), None);
    server.get(a()).expect(404).await;
    assert_eq!(events.brief().await, format!("MODIFIED a {}", version(&marked)));
    assert_eq!(events.brief().await, format!("MODIFIED a {}", version(&one)));
    assert_eq!(events.brief().await, format!("DELETED a {}", server.revision()));
    events.quiet().await;
}

#[tokio::test]
async fn a_patch_that_removes_the_last_finalizer_deletes_too() {
    let server = server().await;
    held(&server).await;
    server.delete(a()).expect(200).await;
    let dry = server
        .patch(format!("{}?dryRun=All", a()), "merge", &json!({"metadata": {"finalizers": null}}))
        .expect(200)
        .await;
    assert_eq!(dry["metadata"].get("finalizers"), None);
    server.get(a()).expect(200).await;
    server.patch(a(), "merge", &json!({"metadata": {"finalizers": null}})).expect(200).await;
    server.get(a()).expect(404).await;
}

#[tokio::test]
async fn an_object_on_its_way_out_gets_no_new_finalizers() {
    let server = server().await;
    held(&server).await;
    let marked = server.delete(a()).expect(200).await;
    let more = json!(["example.org/one", "example.org/two", "example.org/three"]);
    let part = "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers";
    server
        .put(a(), &with(marked.clone(), "/metadata/finalizers", more))
        .refused_with(422, "Invalid", part)
        .await;
    // Its other fields may still change: whoever finalizes has work to do.
    server.put(a(), &with(marked, "/spec/size", 4)).expect(200).await;
}

#[tokio::test]
async fn finalizers_without_a_deletion_hold_nothing() {
    let server = server().await;
    let made = held(&server).await;
    server.put(a(), &with(made, "/metadata/finalizers", json!([]))).expect(200).await;
    server.get(a()).expect(200).await;
}

#[tokio::test]
async fn a_write_that_loses_a_race_is_tried_anew_or_is_a_conflict_if_it_named_a_version() {
    let server = server().await;
    let made = server.make("a", json!({"size": 1})).await;
    let rival = |spec: &str, revision: u64| {
        let meta = eartag_api::meta::Meta { generation: 5, ..Default::default() };
        let body = [b"\x05admin".as_slice(), spec.as_bytes()].concat();
        Commit {
            conditions: vec![Condition::ModRevision {
                collection: WIDGETS,
                key: b"a".to_vec(),
                revision: Revision::new(revision),
            }],
            ops: vec![Op::Put {
                collection: WIDGETS,
                key: b"a".to_vec(),
                value: eartag_api::frame::frame(&body, &meta),
            }],
            lane: Lane::Interactive,
        }
    };
    server.faults.race(rival(
        "{\"size\":2,\"colour\":\"rival\",\"owner\":\"admin\"}",
        version(&made).parse().unwrap(),
    ));
    let patched = server.patch(a(), "merge", &json!({"spec": {"size": 9}})).expect(200).await;
    assert_eq!(
        patched["spec"],
        json!({"size": 9, "colour": "rival", "owner": "admin"}),
        "both changes are in"
    );
    let mut patched = patched;
    patched["metadata"].as_object_mut().unwrap().remove("managedFields");
    server.faults.race(rival("{\"size\":3,\"owner\":\"admin\"}", version(&patched).parse().unwrap()));
    server.put(a(), &with(patched, "/spec/size", 4)).expect(409).await;
    assert_eq!(server.now("a").await["spec"]["size"], 3);
}

#[tokio::test]
async fn a_lost_answer_of_the_store_is_not_taken_for_a_success() {
    let server = server().await;
    server.make("a", json!({"size": 1})).await;
    server.faults.unknown(1, false);
    let reply = server.patch(a(), "merge", &json!({"spec": {"size": 2}})).send().await;
    assert_eq!((reply.code, reply.json()["reason"].as_str()), (504, Some("Timeout")));
    assert_eq!(server.now("a").await["spec"]["size"], 1);
    server.faults.unavailable(1);
    server.patch(a(), "merge", &json!({"spec": {"size": 2}})).expect(503).await;
}

#[tokio::test]
async fn concurrent_patches_all_take_effect() {
    let server = server().await;
    server.make("a", json!({})).await;
    let writers: Vec<_> = (0..8)
        .map(|n| {
            tokio::spawn(
                server.patch(a(), "merge", &json!({"metadata": {"labels": {format!("l{n}"): "x"}}})).send(),
            )
        })
        .collect();
    let mut done = 0;
    for writer in writers {
        let reply = writer.await.unwrap();
        assert!([200, 409].contains(&reply.code), "{}", reply.text());
        done += usize::from(reply.code == 200);
    }
    let labels = server.now("a").await["metadata"]["labels"].clone();
    assert_eq!(labels.as_object().unwrap().len(), done + 1, "no change is lost, made-by is there too");
}

#[tokio::test]
async fn the_operations_work_without_http() {
    let server = server().await;
    let (kind, cx) = (server.kind(), server.cx("ann"));
    let api = server.api.api();
    let made = api.create(kind.as_ref(), &cx, widget("a", json!({"size": 1}))).await.ok().unwrap();
    assert_eq!(made.object["spec"]["owner"], "ann");
    let put =
        api.update(kind.as_ref(), &cx, "a", &Change::Put(with(made.object, "/spec/size", 2))).await.unwrap();
    assert_eq!(put["metadata"]["generation"], 2);
    let merged = api
        .update(kind.as_ref(), &cx, "a", &Change::Merge(json!({"spec": {"colour": "red"}})))
        .await
        .unwrap();
    assert_eq!(merged, api.get(kind.as_ref(), &cx, "a").await.unwrap());
    assert!(api.get(kind.as_ref(), &server.cx("bob"), "a").await.is_err());
    assert!(api.delete(kind.as_ref(), &cx, "a", &Default::default()).await.ok().unwrap().gone);
}
