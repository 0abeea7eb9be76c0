//! GET of one object.

use eartag_storage::{Commit, Lane, Op};
use serde_json::json;

use crate::support::{BASE, PARTIAL, TABLE, server, stop_the_clock, version};
use crate::widgets::WIDGETS;

#[tokio::test]
async fn what_is_not_there_is_not_found_by_plural_and_group() {
    let server = server().await;
    let status =
        server.get(format!("{BASE}/a")).refused(404, "NotFound", "widgets.example.org \"a\" not found").await;
    assert_eq!(status["details"], json!({"name": "a", "group": "example.org", "kind": "widgets"}));
}

#[tokio::test]
async fn somebody_elses_object_is_answered_like_one_that_is_not_there() {
    let server = server().await;
    server.make("a", json!({"owner": "ann"})).await;
    server.get(format!("{BASE}/a")).by("ann").expect(200).await;
    let theirs = server.get(format!("{BASE}/a")).by("bob").send().await;
    let absent = server.get(format!("{BASE}/b")).by("bob").send().await;
    assert_eq!(
        (theirs.code, theirs.text()),
        (404, absent.text().replace("\\\"b\\\"", "\\\"a\\\"").replace("\"b\"", "\"a\""))
    );
    let patch = json!({"spec": {"size": "nonsense"}});
    for ask in [
        server.put(format!("{BASE}/a"), &json!({"metadata": {"name": "zzz", "resourceVersion": "1"}})),
        server.patch(format!("{BASE}/a"), "merge", &patch),
        server.patch(format!("{BASE}/a"), "json", &json!([{"op": "test", "path": "/spec/size", "value": 9}])),
        server.delete(format!("{BASE}/a")).json(&json!({"preconditions": {"uid": "x"}})),
        server.get(format!("{BASE}/a")).by("nobody"),
    ] {
        ask.by("bob").refused(404, "NotFound", "widgets.example.org \"a\" not found").await;
    }
}

#[tokio::test]
async fn an_object_that_is_as_good_as_deleted_is_shown_to_nobody() {
    let server = server().await;
    server.make("a", json!({"colour": "ghostly"})).await;
    server.get(format!("{BASE}/a")).expect(404).await;
    assert_eq!(server.get(BASE).expect(200).await["items"], json!([]));
    server.delete(format!("{BASE}/a")).expect(404).await;
    server.patch(format!("{BASE}/a"), "merge", &json!({})).expect(404).await;
}

#[tokio::test]
async fn a_revision_of_the_past_is_no_obstacle_and_nonsense_is_refused() {
    let server = server().await;
    let made = server.make("a", json!({})).await;
    for revision in ["", "0", "1", &version(&made)] {
        assert_eq!(server.get(format!("{BASE}/a?resourceVersion={revision}")).expect(200).await, made);
    }
    for nonsense in ["x", "-1", "1.5", "99999999999999999999999", "%2B5"] {
        server
            .get(format!("{BASE}/a?resourceVersion={nonsense}"))
            .refused_with(400, "BadRequest", "resourceVersion")
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_revision_of_the_future_is_waited_for_and_then_refused_with_its_cause() {
    let server = server().await;
    let current = server.revision();
    let before = tokio::time::Instant::now();
    let reply = server.get(format!("{BASE}/a?resourceVersion=999")).send().await;
    assert_eq!(before.elapsed().as_secs(), 3);
    assert_eq!((reply.code, reply.header("retry-after")), (504, "1"));
    let status = reply.json();
    assert_eq!(status["reason"], "Timeout");
    assert_eq!(status["message"], format!("Timeout: Too large resource version: 999, current: {current}"));
    assert_eq!(
        status["details"]["causes"],
        json!([{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}])
    );
}

#[tokio::test]
async fn a_revision_that_arrives_while_it_is_waited_for_is_answered() {
    let server = server().await;
    let _stopped = stop_the_clock();
    let next = server.store.revision().get() + 1;
    let waiting = tokio::spawn(server.get(format!("{BASE}/a?resourceVersion={next}")).send());
    tokio::task::yield_now().await;
    server.make("a", json!({})).await;
    assert_eq!(waiting.await.unwrap().code, 200);
}

#[tokio::test]
async fn one_object_as_a_table_and_as_bare_metadata() {
    let server = server().await;
    let made = server.make("a", json!({"size": 2, "colour": "red"})).await;
    let table = server.get(format!("{BASE}/a")).accept(TABLE).expect(200).await;
    assert_eq!((&table["kind"], &table["apiVersion"]), (&json!("Table"), &json!("meta.k8s.io/v1")));
    assert_eq!(table["metadata"]["resourceVersion"], version(&made));
    assert_eq!(
        table["columnDefinitions"][0],
        json!({"name": "Name", "type": "string", "format": "name", "description": "A column.", "priority": 0})
    );
    assert_eq!(table["rows"][0]["cells"], json!(["a", 2, "red"]));
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    assert_eq!(table["rows"][0]["object"]["metadata"], made["metadata"]);
    let beta = server.get(format!("{BASE}/a")).accept(&TABLE.replace("v=v1", "v=v1beta1")).expect(200).await;
    assert_eq!(beta["apiVersion"], "meta.k8s.io/v1beta1");
    let partial = server.get(format!("{BASE}/a")).accept(PARTIAL).expect(200).await;
    assert_eq!(
        partial,
        json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": made["metadata"]})
    );
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_shown_as_such_and_can_be_deleted() {
    let server = server().await;
    for (name, value) in
        [("a", b"garbage".to_vec()), ("b", eartag_api::frame::frame(b"\x00{", &Default::default()))]
    {
        let op = Op::Put { collection: WIDGETS, key: name.as_bytes().to_vec(), value };
        server
            .store
            .commit(Commit { conditions: vec![], ops: vec![op], lane: Lane::Interactive })
            .await
            .unwrap();
        let shown = server.now(name).await;
        assert_eq!((&shown["kind"], &shown["metadata"]["name"]), (&json!("Widget"), &json!(name)));
        assert!(shown["metadata"]["annotations"]["eartag.io/corrupt-record"].is_string());
        let refusal = "Internal error occurred: the stored record is corrupt; an administrator can delete it";
        server
            .patch(format!("{BASE}/{name}"), "merge", &json!({"spec": {"size": 1}}))
            .refused(500, "InternalError", refusal)
            .await;
        assert_eq!(server.get(BASE).expect(200).await["items"].as_array().unwrap().len(), 1);
        server.delete(format!("{BASE}/{name}")).expect(200).await;
        server.get(format!("{BASE}/{name}")).expect(404).await;
    }
}
