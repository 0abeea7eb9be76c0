//! DELETE of one object.

use serde_json::json;

use crate::support::{BASE, GADGETS, PARTIAL, server, version};

fn a() -> String {
    format!("{BASE}/a")
}

#[tokio::test]
async fn a_deletion_answers_with_a_status_that_names_plural_and_uid() {
    let server = server().await;
    let made = server.make("a", json!({})).await;
    let mut events = server.get(format!("{BASE}?watch=1&resourceVersion={}", version(&made))).events().await;
    let status = server.delete(a()).json(&json!({"propagationPolicy": "Background"})).expect(200).await;
    assert_eq!(
        status,
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
            "details": {"name": "a", "group": "example.org", "kind": "widgets", "uid": made["metadata"]["uid"]}})
    );
    server.delete(a()).refused(404, "NotFound", "widgets.example.org \"a\" not found").await;
    let (kind, object) = events.due().await;
    assert_eq!((kind.as_str(), version(&object)), ("DELETED", server.revision()));
    assert_eq!(object["spec"], made["spec"], "the last state");
    assert!(version(&object).parse::<u64>().unwrap() > version(&made).parse().unwrap());
}

#[tokio::test]
async fn a_resource_may_answer_with_the_object() {
    let server = server().await;
    let gadget = server.post(GADGETS, &json!({})).expect(201).await;
    let uri = format!("{GADGETS}/{}", gadget["metadata"]["name"].as_str().unwrap());
    assert_eq!(server.delete(uri).expect(200).await, gadget);
    let gadget = server.post(GADGETS, &json!({})).expect(201).await;
    let uri = format!("{GADGETS}/{}", gadget["metadata"]["name"].as_str().unwrap());
    let partial = server.delete(uri).accept(PARTIAL).expect(200).await;
    assert_eq!(partial["kind"], "PartialObjectMetadata");
}

#[tokio::test]
async fn preconditions_must_hold() {
    let server = server().await;
    let made = server.make("a", json!({})).await;
    let (uid, at) = (made["metadata"]["uid"].as_str().unwrap(), version(&made));
    let message = format!(
        "Operation cannot be fulfilled on Widget.example.org \"a\": the UID in the precondition (x) does not match the UID in record ({uid}). The object might have been deleted and then recreated"
    );
    server.delete(a()).json(&json!({"preconditions": {"uid": "x"}})).refused(409, "Conflict", &message).await;
    let message = format!(
        "Operation cannot be fulfilled on Widget.example.org \"a\": the ResourceVersion in the precondition (1) does not match the ResourceVersion in record ({at}). The object might have been modified"
    );
    server
        .delete(a())
        .json(&json!({"preconditions": {"resourceVersion": "1", "uid": uid}}))
        .refused(409, "Conflict", &message)
        .await;
    server.delete(a()).json(&json!({"preconditions": {"resourceVersion": at, "uid": uid}})).expect(200).await;
}

#[tokio::test]
async fn options_come_with_or_without_a_type() {
    let server = server().await;
    for options in [
        json!({}),
        json!({"kind": "DeleteOptions", "apiVersion": "v1"}),
        json!({"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1"}),
        json!({"kind": "DeleteOptions", "apiVersion": "example.org/v1", "gracePeriodSeconds": 0}),
        json!({"gracePeriodSeconds": -1, "propagationPolicy": "Foreground"}),
        json!({"propagationPolicy": "Orphan"}),
        json!({"orphanDependents": true}),
    ] {
        server.make("a", json!({})).await;
        server.delete(a()).json(&options).expect(200).await;
        server.get(a()).expect(404).await;
    }
    server.make("a", json!({})).await;
    server
        .delete(a())
        .raw("propagationPolicy: Background\n")
        .header("content-type", "application/yaml")
        .expect(200)
        .await;
    server.make("a", json!({})).await;
    server.delete(a()).header("content-type", "application/json").expect(200).await;
    server.make("a", json!({})).await;
    server
        .delete(a())
        .json(&json!({"kind": "Pod", "apiVersion": "v1"}))
        .refused_with(400, "BadRequest", "DeleteOptions")
        .await;
    server.delete(a()).json(&json!({"kind": "DeleteOptions", "apiVersion": "v2"})).expect(400).await;
    server.delete(a()).raw("[]").expect(400).await;
    server.delete(a()).raw("{").expect(400).await;
    server.get(a()).expect(200).await;
}

#[tokio::test]
async fn options_of_the_wrong_form_delete_nothing() {
    let server = server().await;
    let made = server.make("a", json!({})).await;
    for options in [
        json!({"dryRun": "All"}),
        json!({"dryRun": [1]}),
        json!({"preconditions": "x"}),
        json!({"preconditions": {"uid": 5}}),
        json!({"preconditions": {"resourceVersion": 1}}),
        json!({"propagationPolicy": 5}),
        json!({"gracePeriodSeconds": "soon"}),
    ] {
        let reply = server.delete(a()).json(&options).send().await;
        assert_eq!(
            (reply.code, reply.json()["reason"].as_str()),
            (400, Some("BadRequest")),
            "{options}: {}",
            reply.text()
        );
    }
    server.delete(a()).json(&json!({})).header("content-type", "text/plain").expect(415).await;
    server.delete(a()).raw(" ".repeat((3 << 20) + 1)).expect(413).await;
    assert_eq!(server.now("a").await, made);
}

#[tokio::test]
async fn options_can_be_protobuf() {
    let server = server().await;
    server.make("a", json!({})).await;
    // Field 2 of DeleteOptions: preconditions { 1: uid = "x" }.
    let raw = b"\x12\x03\x0a\x01x".to_vec();
    let body = eartag_apiserver::protobuf::wrap("example.org/v1", "DeleteOptions", raw);
    let ask = server.delete(a()).raw(body).header("content-type", "application/vnd.kubernetes.protobuf");
    ask.refused_with(409, "Conflict", "the UID in the precondition (x)").await;
    let body = eartag_apiserver::protobuf::wrap("example.org/v1", "DeleteOptions", Vec::new());
    server
        .delete(a())
        .raw(body)
        .header("content-type", "application/vnd.kubernetes.protobuf")
        .expect(200)
        .await;
}

#[tokio::test]
async fn a_dry_run_in_body_or_query_deletes_nothing() {
    let server = server().await;
    let made = server.make("a", json!({})).await;
    let status = server.delete(a()).json(&json!({"dryRun": ["All"]})).expect(200).await;
    assert_eq!(status["status"], "Success");
    server.delete(format!("{}?dryRun=All", a())).expect(200).await;
    server
        .delete(a())
        .json(&json!({"dryRun": ["Some"]}))
        .refused_with(422, "Invalid", "dryRun: Unsupported value: \"Some\"")
        .await;
    server.delete(format!("{}?dryRun=Some", a())).expect(422).await;
    assert_eq!(server.now("a").await, made);
    assert_eq!(server.revision(), version(&made));
}

#[tokio::test]
async fn a_propagation_policy_is_one_of_three_and_the_only_one() {
    let server = server().await;
    server.make("a", json!({})).await;
    let message = "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: \"Sideways\": supported values: \"Background\", \"Foreground\", \"Orphan\"";
    server.delete(a()).json(&json!({"propagationPolicy": "Sideways"})).expect(422).await;
    server
        .delete(format!("{}?propagationPolicy=Sideways", a()))
        .refused_with(422, "Invalid", &message[..60])
        .await;
    let part = "orphanDependents and deletionPropagation cannot be both set";
    server
        .delete(a())
        .json(&json!({"propagationPolicy": "Orphan", "orphanDependents": true}))
        .refused_with(422, "Invalid", part)
        .await;
    server
        .delete(format!("{}?propagationPolicy=Orphan&orphanDependents=false", a()))
        .refused_with(422, "Invalid", part)
        .await;
    server.delete(format!("{}?propagationPolicy=Orphan&gracePeriodSeconds=0", a())).expect(200).await;
}

#[tokio::test]
async fn what_the_kind_does_not_let_go_stays() {
    let server = server().await;
    server.make("a", json!({"colour": "sticky", "owner": "ann"})).await;
    server
        .delete(a())
        .by("ann")
        .refused(403, "Forbidden", "widgets.example.org \"a\" is forbidden: it sticks")
        .await;
    server.delete(a()).expect(200).await;
}

#[tokio::test]
async fn a_lost_answer_of_the_store_is_settled_by_looking() {
    let server = server().await;
    server.make("a", json!({})).await;
    server.faults.unknown(1, true);
    server.delete(a()).expect(200).await;
    server.make("a", json!({})).await;
    server.faults.unknown(1, false);
    server.delete(a()).expect(504).await;
    server.get(a()).expect(200).await;
}

#[tokio::test]
async fn a_new_object_of_an_old_name_is_another_one() {
    let server = server().await;
    let first = server.make("a", json!({})).await;
    server.delete(a()).expect(200).await;
    let second = server.make("a", json!({})).await;
    assert_ne!(first["metadata"]["uid"], second["metadata"]["uid"]);
    let uid = first["metadata"]["uid"].clone();
    server.delete(a()).json(&json!({"preconditions": {"uid": uid}})).expect(409).await;
    server.put(a(), &first).expect(409).await;
}
