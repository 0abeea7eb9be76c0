//! Lists as tables, metadata, YAML, indented, streamed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use eartag_api::frame::frame;
use eartag_api::meta::Meta;
use eartag_apiserver::Tree;
use eartag_apiserver::decode::{Limits, from_yaml};
use eartag_storage::{Commit, Lane, Op};
use serde_json::json;

use crate::support::{BASE, PARTIAL, PARTIAL_LIST, Server, TABLE, names, server, version};
use crate::widgets::WIDGETS;

/// Many widgets, without going through the door for each.
async fn flood(server: &Arc<Server>, count: usize) {
    for n in 0..count {
        let value = frame(b"\x05admin{\"size\":5,\"owner\":\"admin\"}", &Meta::default());
        let op = Op::Put { collection: WIDGETS, key: format!("w{n:06}").into_bytes(), value };
        server
            .store
            .commit(Commit { conditions: vec![], ops: vec![op], lane: Lane::Interactive })
            .await
            .unwrap();
    }
}

/// What comes of it, and how often it let others have their turn: once a page.
async fn stepping<T>(work: impl Future<Output = T>) -> (T, usize) {
    let (mut work, mut steps) = (std::pin::pin!(work), 0);
    let done = std::future::poll_fn(|cx| {
        steps += 1;
        work.as_mut().poll(cx)
    });
    (done.await, steps)
}

#[tokio::test]
async fn twenty_thousand_objects_are_one_valid_document() {
    let server = server().await;
    flood(&server, 20_000).await;
    let reply = server.get(BASE).send().await;
    let list = reply.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 20_000);
    assert_eq!(names(&list)[19_999], "w019999");
    assert_eq!(version(&list), server.revision());
    assert!(reply.headers.get("content-length").is_none());
    let table = server.get(BASE).accept(TABLE).expect(200).await;
    assert_eq!(table["rows"].as_array().unwrap().len(), 20_000);
    let refusal = server.get(BASE).accept("application/yaml").send().await;
    assert_eq!(refusal.code, 413);
    let page = server.get(format!("{BASE}?limit=9000&pretty=true")).expect(200).await;
    assert_eq!(names(&page).len(), 9000);
    assert_eq!(page["metadata"]["remainingItemCount"], 11_000);
}

#[tokio::test]
async fn a_rare_label_among_many_objects_is_found_in_few_steps() {
    let server = server().await;
    flood(&server, 20_000).await;
    server.make_labelled("zz", json!({"rare": "yes"}), json!({})).await;
    let (list, steps) = stepping(server.get(format!("{BASE}?labelSelector=rare&limit=1")).expect(200)).await;
    assert_eq!(names(&list), ["zz"]);
    assert!(steps < 100, "{steps}: they are not looked at one by one");
    // The same at a snapshot of before.
    let before = version(&list);
    server.make("zzz", json!({})).await;
    let uri =
        format!("{BASE}?labelSelector=rare&limit=1&resourceVersion={before}&resourceVersionMatch=Exact");
    let (list, steps) = stepping(server.get(uri).expect(200)).await;
    assert_eq!(names(&list), ["zz"]);
    assert!(steps < 100, "{steps}: nor there");
}

#[tokio::test]
async fn a_list_as_a_table() {
    let server = server().await;
    let empty = server.get(BASE).accept(&format!("{TABLE},application/json")).expect(200).await;
    assert_eq!((&empty["kind"], &empty["rows"]), (&json!("Table"), &json!([])));
    assert_eq!(empty["columnDefinitions"].as_array().unwrap().len(), 3);
    server.make("a", json!({"size": 1, "colour": "red"})).await;
    server.make("b", json!({"size": 2})).await;
    let reply = server.get(format!("{BASE}?limit=1")).accept(TABLE).send().await;
    assert_eq!(reply.header("content-type"), "application/json");
    let table = reply.json();
    assert_eq!((&table["kind"], &table["apiVersion"]), (&json!("Table"), &json!("meta.k8s.io/v1")));
    assert_eq!(table["rows"][0]["cells"], json!(["a", 1, "red"]));
    assert_eq!(table["rows"][0]["object"]["metadata"]["name"], "a");
    assert_eq!(table["rows"][0]["object"].get("spec"), None);
    assert_eq!(table["metadata"]["remainingItemCount"], 1);
    assert!(table["metadata"]["continue"].is_string());
    let bare = server.get(format!("{BASE}?includeObject=None")).accept(TABLE).expect(200).await;
    assert_eq!(bare["rows"][0].get("object"), None);
    let whole = server.get(format!("{BASE}?includeObject=Object")).accept(TABLE).expect(200).await;
    assert_eq!(whole["rows"][1]["object"], server.now("b").await);
    server
        .get(format!("{BASE}?includeObject=Half"))
        .accept(TABLE)
        .refused_with(400, "BadRequest", "Half")
        .await;
    let yaml = server.get(BASE).accept("application/yaml;as=Table;v=v1;g=meta.k8s.io").send().await;
    let tree = from_yaml(&yaml.bytes, Limits::default()).unwrap().tree;
    assert_eq!((tree["kind"].as_str(), tree["rows"].as_array().unwrap().len()), (Some("Table"), 2));
}

#[tokio::test]
async fn a_list_of_bare_metadata_shows_nothing_else() {
    let server = server().await;
    let made = server.make("a", json!({"size": 1})).await;
    let accept = format!(
        "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,{PARTIAL_LIST},application/json"
    );
    let list = server.get(BASE).accept(&accept).expect(200).await;
    assert_eq!(
        (&list["kind"], &list["apiVersion"]),
        (&json!("PartialObjectMetadataList"), &json!("meta.k8s.io/v1"))
    );
    assert_eq!(
        list["items"],
        json!([{"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": made["metadata"]}])
    );
    assert_eq!(version(&list), server.revision());
}

#[tokio::test]
async fn a_list_as_yaml_and_indented() {
    let server = server().await;
    server.make("a", json!({"size": 1, "colour": "true"})).await;
    let json = server.get(BASE).expect(200).await;
    let yaml = server.get(BASE).accept("application/yaml").send().await;
    assert_eq!(yaml.header("content-type"), "application/yaml");
    assert_eq!(from_yaml(&yaml.bytes, Limits::default()).unwrap().tree, json);
    for ask in [
        server.get(format!("{BASE}?pretty=true")),
        server.get(format!("{BASE}?pretty=1")),
        server.get(BASE).accept("application/json;pretty=1"),
    ] {
        let reply = ask.send().await;
        assert!(reply.text().starts_with("{\n  \""), "{}", reply.text());
        assert!(reply.text().ends_with("}\n"));
        assert_eq!(reply.json(), json);
    }
    let one = format!("{BASE}/a");
    assert!(
        server.get(&one).header("user-agent", "curl/8.0").send().await.text().starts_with("{\n  \""),
        "a person reads along"
    );
    for ask in [
        server.get(format!("{one}?pretty=false")).header("user-agent", "curl/8.0"),
        server.get(one),
        server.get(BASE),
    ] {
        assert_eq!(ask.send().await.text().lines().count(), 1);
    }
}

#[tokio::test]
async fn what_cannot_be_given_is_not_acceptable() {
    let server = server().await;
    for accept in [
        "text/html",
        "application/cbor",
        "application/vnd.kubernetes.protobuf",
        PARTIAL,
        "application/json;as=Table;v=v2;g=meta.k8s.io",
        "application/json;q=0",
    ] {
        let status = server.get(BASE).accept(accept).expect(406).await;
        assert_eq!(status["reason"], "NotAcceptable");
        let message = status["message"].as_str().unwrap();
        assert!(
            message.starts_with("only the following media types are accepted: application/json"),
            "{message}"
        );
    }
    server.get(format!("{BASE}/a")).accept(PARTIAL_LIST).expect(406).await;
    for accept in
        ["", "*/*", "application/*", "text/html, application/json;q=0.5", "application/cbor,*/*;q=0.1"]
    {
        let list: Tree = server.get(BASE).accept(accept).expect(200).await;
        assert_eq!(list["kind"], "WidgetList", "{accept}");
    }
}

#[tokio::test]
async fn a_list_that_is_read_slowly_ends_with_the_credential() {
    let server = server().await;
    flood(&server, 2000).await;
    assert!(server.get(BASE).events().await.ends_well().await);
    let list = server.get(BASE).events().await;
    server.alive.store(false, Ordering::SeqCst);
    assert!(!list.ends_well().await, "half a list is cut, not ended");
}
