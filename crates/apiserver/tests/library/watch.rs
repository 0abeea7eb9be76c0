//! Watches: what they deliver, in which order, in which form.

use std::collections::BTreeMap;

use eartag_apiserver::Tree;
use eartag_storage::{Options, Revision};
use serde_json::json;

use crate::support::{BASE, PARTIAL, TABLE, server, server_with, version};

fn a() -> String {
    format!("{BASE}/a")
}

#[tokio::test]
async fn each_change_is_told_with_its_own_revision() {
    let server = server().await;
    let from = server.revision();
    let mut events = server.get(format!("{BASE}?watch=true&resourceVersion={from}")).events().await;
    events.quiet().await;
    let made = server.make("a", json!({"size": 1})).await;
    let patched = server.patch(a(), "merge", &json!({"spec": {"size": 2}})).expect(200).await;
    server.delete(a()).expect(200).await;
    assert_eq!(events.due().await, ("ADDED".to_owned(), made));
    assert_eq!(events.due().await, ("MODIFIED".to_owned(), patched.clone()));
    let (kind, last) = events.due().await;
    assert_eq!((kind.as_str(), version(&last)), ("DELETED", server.revision()));
    assert_eq!(
        (&last["spec"], &last["kind"], &last["apiVersion"]),
        (&patched["spec"], &json!("Widget"), &json!("example.org/v1"))
    );
    events.quiet().await;
}

#[tokio::test]
async fn without_a_revision_what_exists_is_told_first() {
    let server = server().await;
    let a = server.make("a", json!({})).await;
    let b = server.make("b", json!({})).await;
    for query in ["watch=1", "watch=1&resourceVersion=0", "watch=1&resourceVersion=", "watch=True&&limit=500"]
    {
        let mut events = server.get(format!("{BASE}?{query}")).events().await;
        assert_eq!(events.due().await, ("ADDED".to_owned(), a.clone()), "{query}");
        assert_eq!(events.due().await, ("ADDED".to_owned(), b.clone()));
        events.quiet().await;
    }
    let mut events = server.get(format!("{BASE}?watch=1")).events().await;
    server.make("c", json!({})).await;
    let told = [events.brief().await, events.brief().await, events.brief().await];
    assert!(told[2].starts_with("ADDED c"), "{told:?}");
}

#[tokio::test]
async fn resuming_after_any_revision_loses_and_repeats_nothing() {
    let server = server().await;
    let start = server.revision();
    for round in 0..4 {
        for name in ["a", "b", "c"] {
            if round == 0 {
                server.make(name, json!({})).await;
            } else {
                server
                    .patch(format!("{BASE}/{name}"), "merge", &json!({"spec": {"size": round}}))
                    .expect(200)
                    .await;
            }
        }
        server.delete(format!("{BASE}/b")).expect(200).await;
        server.make("b", json!({})).await;
    }
    let mut events = server.get(format!("{BASE}?watch=1&resourceVersion={start}")).events().await;
    let mut all = Vec::new();
    for _ in 0..20 {
        all.push(events.due().await);
    }
    let revisions: Vec<u64> = all.iter().map(|(_, object)| version(object).parse().unwrap()).collect();
    assert!(revisions.windows(2).all(|pair| pair[0] < pair[1]), "{revisions:?}");
    for (n, revision) in revisions.iter().enumerate() {
        let mut again = server.get(format!("{BASE}?watch=1&resourceVersion={revision}")).events().await;
        for expected in &all[n + 1..] {
            assert_eq!(&again.due().await, expected, "after {revision}");
        }
        again.quiet().await;
    }
}

#[tokio::test]
async fn a_revision_that_is_too_old_is_told_in_the_stream() {
    let server = server().await;
    let made = server.make("a", json!({})).await;
    server.make("b", json!({})).await;
    server.store.compact(Revision::new(u64::MAX)).await.unwrap();
    let mut events = server.get(format!("{BASE}?watch=1&resourceVersion={}", version(&made))).events().await;
    let (kind, status) = events.due().await;
    assert_eq!(kind, "ERROR");
    let now = server.revision();
    assert_eq!(
        status,
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 410, "reason": "Expired",
            "message": format!("too old resource version: {} ({now})", version(&made))})
    );
    events.over().await;
    let mut table =
        server.get(format!("{BASE}?watch=1&resourceVersion={}", version(&made))).accept(TABLE).events().await;
    assert_eq!(table.due().await.1["kind"], "Status", "no table");
    let mut fresh = server.get(format!("{BASE}?watch=1&resourceVersion={now}")).events().await;
    fresh.quiet().await;
}

#[tokio::test]
async fn who_reads_too_slowly_is_told_so_and_cut() {
    let server = server_with(Options { history_events: 8, ..Options::default() }).await;
    server.make("a", json!({})).await;
    let mut events =
        server.get(format!("{BASE}?watch=1&resourceVersion={}", server.revision())).events().await;
    for n in 0..200 {
        server.patch(a(), "merge", &json!({"spec": {"size": n + 1}})).expect(200).await;
    }
    let mut last = 0;
    loop {
        let (kind, object) = events.due().await;
        if kind == "ERROR" {
            assert_eq!((&object["code"], &object["reason"]), (&json!(410), &json!("Expired")));
            break;
        }
        let size = object["spec"]["size"].as_i64().unwrap();
        assert_eq!(size, last + 1, "nothing is dropped before the cut");
        last = size;
    }
    events.over().await;
}

#[tokio::test]
async fn an_object_that_begins_or_ceases_to_match_comes_and_goes() {
    let server = server().await;
    let from = server.revision();
    let mut events =
        server.get(format!("{BASE}?watch=1&resourceVersion={from}&labelSelector=on%3Dyes")).events().await;
    let mut by_field = server
        .get(format!("{BASE}?watch=1&resourceVersion={from}&fieldSelector=spec.colour%3Dred"))
        .events()
        .await;
    server.make("other", json!({})).await;
    let label = async |on: &str| {
        server.patch(a(), "merge", &json!({"metadata": {"labels": {"on": on}}})).expect(200).await
    };
    server.make_labelled("a", json!({"on": "no"}), json!({"colour": "red"})).await;
    let on = label("yes").await;
    let still = server.patch(a(), "merge", &json!({"spec": {"size": 5}})).expect(200).await;
    let off = label("no").await;
    label("never").await;
    let again = label("yes").await;
    server.delete(a()).expect(200).await;
    assert_eq!(events.due().await, ("ADDED".to_owned(), on));
    assert_eq!(events.due().await, ("MODIFIED".to_owned(), still.clone()));
    let (kind, gone) = events.due().await;
    assert_eq!((kind.as_str(), version(&gone)), ("DELETED", version(&off)));
    assert_eq!(gone["metadata"]["labels"]["on"], "yes", "the last content that matched");
    assert_eq!(gone["spec"], still["spec"]);
    assert_eq!(events.due().await, ("ADDED".to_owned(), again));
    assert_eq!(events.brief().await, format!("DELETED a {}", server.revision()));
    events.quiet().await;
    let mut kinds = Vec::new();
    for _ in 0..7 {
        kinds.push(by_field.due().await.0);
    }
    assert_eq!(kinds, ["ADDED", "MODIFIED", "MODIFIED", "MODIFIED", "MODIFIED", "MODIFIED", "DELETED"]);
    server
        .get(format!("{BASE}?watch=1&labelSelector=a%20b"))
        .refused_with(400, "BadRequest", "unable to parse requirement")
        .await;
    server.get(format!("{BASE}?watch=1&fieldSelector=a%3Db")).expect(400).await;
}

#[tokio::test]
async fn a_watch_of_one_name_sees_that_one() {
    let server = server().await;
    let from = server.revision();
    let uris = [
        format!("{BASE}?watch=1&resourceVersion={from}&fieldSelector=metadata.name%3Da"),
        format!("/apis/example.org/v1/watch/widgets/a?resourceVersion={from}"),
    ];
    for name in ["b", "a", "c"] {
        server.make(name, json!({})).await;
    }
    for uri in uris {
        let mut events = server.get(uri).events().await;
        assert!(events.brief().await.starts_with("ADDED a "));
        events.quiet().await;
    }
    let mut events =
        server.get(format!("/apis/example.org/v1/watch/widgets?resourceVersion={from}")).events().await;
    assert!(events.brief().await.starts_with("ADDED b "));
}

#[tokio::test]
async fn everybody_watches_their_own() {
    let server = server().await;
    let from = server.revision();
    let mut ann = server.get(format!("{BASE}?watch=1&resourceVersion={from}")).by("ann").events().await;
    let mut nobody = server.get(format!("{BASE}?watch=1&resourceVersion={from}")).by("nobody").events().await;
    server.make("a", json!({"owner": "bob", "colour": "orphaned"})).await;
    server.make("b", json!({"owner": "ann"})).await;
    let handed = server.patch(a(), "merge", &json!({"spec": {"owner": "ann"}})).expect(200).await;
    let back = server.patch(a(), "merge", &json!({"spec": {"owner": "bob"}})).expect(200).await;
    server.delete(a()).expect(200).await;
    assert!(ann.brief().await.starts_with("ADDED b "));
    assert_eq!(ann.due().await, ("ADDED".to_owned(), handed.clone()));
    let (kind, gone) = ann.due().await;
    assert_eq!((kind.as_str(), version(&gone), &gone["spec"]), ("DELETED", version(&back), &handed["spec"]));
    ann.quiet().await;
    nobody.quiet().await;
}

/// DEC9: an owner's scope goes by name, and whoever comes after under that name must not see what was left behind.
#[tokio::test]
async fn what_is_as_good_as_deleted_shows_in_no_owners_watch() {
    let server = server().await;
    let from = server.revision();
    server.make("a", json!({"owner": "ann", "colour": "ghostly"})).await;
    server.make("b", json!({"owner": "ann"})).await;
    let mut ann = server.get(format!("{BASE}?watch=1&resourceVersion={from}")).by("ann").events().await;
    let mut admin = server.get(format!("{BASE}?watch=1&resourceVersion={from}")).events().await;
    assert!(ann.brief().await.starts_with("ADDED b "));
    ann.quiet().await;
    assert!(admin.brief().await.starts_with("ADDED a "));
    assert!(admin.brief().await.starts_with("ADDED b "));
}

#[tokio::test]
async fn a_watch_list_tells_all_then_marks_the_end_then_goes_on() {
    let server = server().await;
    let a = server.make("a", json!({})).await;
    let b = server.make("b", json!({})).await;
    let mut streams = Vec::new();
    for at in [
        "",
        "&resourceVersion=0",
        &format!("&resourceVersion={}", version(&a)),
        &format!("&resourceVersion={}", version(&b)),
    ] {
        let uri = format!(
            "{BASE}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true{at}"
        );
        let mut events = server.get(uri).events().await;
        assert_eq!(events.due().await, ("ADDED".to_owned(), a.clone()), "{at}");
        assert_eq!(events.due().await, ("ADDED".to_owned(), b.clone()));
        let (kind, mark) = events.due().await;
        assert_eq!(kind, "BOOKMARK");
        assert_eq!((&mark["kind"], &mark["apiVersion"]), (&json!("Widget"), &json!("example.org/v1")));
        assert_eq!(version(&mark), server.revision());
        assert_eq!(mark["metadata"]["annotations"], json!({"k8s.io/initial-events-end": "true"}));
        streams.push(events);
    }
    let patched = server.patch(format!("{BASE}/b"), "merge", &json!({"spec": {"size": 1}})).expect(200).await;
    for mut events in streams {
        assert_eq!(events.due().await, ("MODIFIED".to_owned(), patched.clone()), "it goes on");
    }
    let mut silent = server
        .get(format!("{BASE}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"))
        .events()
        .await;
    assert!(silent.brief().await.starts_with("ADDED a"));
    assert!(silent.brief().await.starts_with("ADDED b"));
    silent.quiet().await;
}

#[tokio::test]
async fn a_watch_list_at_an_old_revision_is_still_the_whole_collection() {
    let server = server().await;
    let a = server.make("a", json!({})).await;
    let b = server.make("b", json!({})).await;
    server.delete(format!("{BASE}/a")).expect(200).await;
    server.store.compact(Revision::new(u64::MAX)).await.unwrap();
    for at in ["0", "1", &version(&a)] {
        let uri = format!(
            "{BASE}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&resourceVersion={at}"
        );
        let mut events = server.get(uri).events().await;
        assert_eq!(events.due().await, ("ADDED".to_owned(), b.clone()), "{at}");
        assert_eq!(events.brief().await, format!("BOOKMARK - {}", server.revision()));
    }
    let plain = format!("{BASE}?watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan");
    server.get(plain).events().await.quiet().await;
}

#[tokio::test]
async fn options_of_a_watch_are_checked() {
    let server = server().await;
    for (query, message) in [
        (
            "sendInitialEvents=true",
            "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ),
        (
            "sendInitialEvents=true&resourceVersionMatch=Exact",
            "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ),
        (
            "resourceVersionMatch=NotOlderThan",
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        ),
    ] {
        let full = format!("ListOptions.meta.k8s.io \"\" is invalid: {message}");
        server.get(format!("{BASE}?watch=1&{query}")).refused(422, "Invalid", &full).await;
    }
    server.get(format!("{BASE}?watch=1&resourceVersion=x")).expect(400).await;
    server.get(format!("{BASE}?watch=1&timeoutSeconds=x")).expect(400).await;
    server.get(format!("{BASE}?watch=1")).accept("application/yaml").expect(406).await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_from_the_future_is_refused_after_a_wait() {
    let server = server().await;
    let status = server.get(format!("{BASE}?watch=1&resourceVersion=999")).expect(504).await;
    assert_eq!(status["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
}

#[tokio::test]
async fn a_table_watch_tells_its_columns_once() {
    let server = server().await;
    let from = server.revision();
    let mut events = server
        .get(format!("{BASE}?watch=1&resourceVersion={from}"))
        .accept(&format!("{TABLE},application/json"))
        .events()
        .await;
    let made = server.make("a", json!({"size": 1, "colour": "red"})).await;
    server.patch(a(), "merge", &json!({"spec": {"size": 2}})).expect(200).await;
    server.delete(a()).expect(200).await;
    let (kind, table) = events.due().await;
    assert_eq!((kind.as_str(), &table["kind"], version(&table)), ("ADDED", &json!("Table"), version(&made)));
    assert_eq!(table["columnDefinitions"].as_array().unwrap().len(), 3);
    assert_eq!(
        table["rows"],
        json!([{"cells": ["a", 1, "red"], "object": {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": made["metadata"]}}])
    );
    for expected in ["MODIFIED", "DELETED"] {
        let (kind, table) = events.due().await;
        assert_eq!((kind.as_str(), table["rows"].as_array().unwrap().len()), (expected, 1));
        assert!(table["columnDefinitions"].as_array().is_none_or(Vec::is_empty), "{table}");
        assert_eq!(table["rows"][0]["cells"][1], 2);
    }
}

#[tokio::test]
async fn a_table_watch_carries_the_mark_of_a_watch_list_even_without_objects() {
    let server = server().await;
    let uri = format!(
        "{BASE}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&includeObject=None"
    );
    let mut events = server.get(uri).accept(TABLE).events().await;
    let (kind, table) = events.due().await;
    assert_eq!((kind.as_str(), &table["kind"]), ("BOOKMARK", &json!("Table")));
    let object = &table["rows"][0]["object"];
    assert_eq!(object["kind"], "PartialObjectMetadata");
    assert_eq!(object["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    assert_eq!(version(object), server.revision());
    server.make("a", json!({})).await;
    assert_eq!(events.due().await.1["rows"][0].get("object"), None);
}

#[tokio::test]
async fn a_metadata_watch_shows_nothing_else() {
    let server = server().await;
    let from = server.revision();
    let mut events =
        server.get(format!("{BASE}?watch=1&resourceVersion={from}")).accept(PARTIAL).events().await;
    let made = server.make("a", json!({"size": 1})).await;
    let expected = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": made["metadata"]});
    assert_eq!(events.due().await, ("ADDED".to_owned(), expected));
}

#[tokio::test]
async fn many_watchers_all_hear_everything_while_many_write() {
    let server = server().await;
    let from = server.revision();
    let mut readers = Vec::new();
    for _ in 0..8 {
        let mut events = server.get(format!("{BASE}?watch=1&resourceVersion={from}")).events().await;
        readers.push(tokio::spawn(async move {
            let mut seen: BTreeMap<String, Tree> = BTreeMap::new();
            let mut last = 0;
            for _ in 0..60 {
                let (_, object) = events.due().await;
                let at: u64 = version(&object).parse().unwrap();
                assert!(at > last);
                last = at;
                seen.insert(object["metadata"]["name"].as_str().unwrap().to_owned(), object);
            }
            seen
        }));
    }
    let writers: Vec<_> = (0..4)
        .map(|w| {
            let server = server.clone();
            tokio::spawn(async move {
                for n in 0..15 {
                    server.make(&format!("w{w}-{n}"), json!({"size": n})).await;
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let list = server.get(BASE).expect(200).await;
    for reader in readers {
        let seen: Vec<Tree> = reader.await.unwrap().into_values().collect();
        assert_eq!(json!(seen), list["items"]);
    }
}
