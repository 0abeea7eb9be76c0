//! Watches over time: bookmarks, and what ends them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::support::{BASE, TABLE, server, version};

#[tokio::test]
async fn a_watch_ends_cleanly_when_its_time_is_over() {
    let server = server().await;
    server.make("a", json!({})).await;
    let from = server.revision();
    tokio::time::pause();
    let before = Instant::now();
    let mut events =
        server.get(format!("{BASE}?watch=1&resourceVersion={from}&timeoutSeconds=300")).events().await;
    assert_eq!(events.next().await, None);
    let lasted = before.elapsed();
    assert!(lasted >= Duration::from_secs(300) && lasted < Duration::from_secs(301), "{lasted:?}");
}

#[tokio::test]
async fn a_watch_that_names_no_time_lasts_between_half_an_hour_and_an_hour() {
    let server = server().await;
    let from = server.revision();
    tokio::time::pause();
    for query in ["", "&timeoutSeconds=0", "&timeoutSeconds=-5"] {
        let before = Instant::now();
        let mut events = server.get(format!("{BASE}?watch=1&resourceVersion={from}{query}")).events().await;
        assert_eq!(events.next().await, None);
        let lasted = before.elapsed().as_secs();
        assert!((1800..=3600).contains(&lasted), "{lasted}");
    }
}

#[tokio::test]
async fn bookmarks_come_each_minute_and_shortly_before_the_end() {
    let server = server().await;
    let made = server.make("a", json!({})).await;
    tokio::time::pause();
    let before = Instant::now();
    let uri = format!(
        "{BASE}?watch=1&resourceVersion={}&allowWatchBookmarks=true&timeoutSeconds=150",
        version(&made)
    );
    let mut events = server.get(uri).events().await;
    let mut at = Vec::new();
    while let Some(event) = events.next().await {
        assert_eq!(
            event,
            json!({"type": "BOOKMARK", "object": {"kind": "Widget", "apiVersion": "example.org/v1",
                "metadata": {"resourceVersion": version(&made), "creationTimestamp": null}}})
        );
        at.push(before.elapsed().as_secs());
    }
    assert_eq!(at, [60, 120, 148]);
    let uri = format!("{BASE}?watch=1&resourceVersion={}&timeoutSeconds=150", version(&made));
    assert_eq!(server.get(uri).events().await.next().await, None, "none for who did not ask");
}

#[tokio::test]
async fn a_bookmark_moves_along_with_what_others_do() {
    let server = server().await;
    server.make("a", json!({"owner": "ann"})).await;
    let from = server.revision();
    let mut events = server
        .get(format!("{BASE}?watch=1&resourceVersion={from}&allowWatchBookmarks=true&timeoutSeconds=300"))
        .by("ann")
        .accept(TABLE)
        .events()
        .await;
    for n in 0..5 {
        server.make(&format!("b{n}"), json!({"owner": "bob"})).await;
    }
    let now = server.revision();
    assert_ne!(from, now);
    tokio::time::pause();
    let mut bookmarks = 0;
    while let Some(event) = events.next().await {
        let at = version(&event["object"]["rows"][0]["object"]);
        assert_eq!((event["type"].as_str(), at), (Some("BOOKMARK"), now.clone()));
        bookmarks += 1;
    }
    assert!(bookmarks > 0);
}

#[tokio::test]
async fn a_bookmark_promises_nothing_that_was_not_sent() {
    let server = server().await;
    let from = server.revision();
    // So short that the last bookmark is due at once, while events wait.
    let uri = format!("{BASE}?watch=1&resourceVersion={from}&allowWatchBookmarks=true&timeoutSeconds=2");
    for n in 0..100 {
        server.make(&format!("w{n:03}"), json!({})).await;
    }
    // From here on time passes only when nothing else is to be done.
    tokio::time::pause();
    let mut events = server.get(uri).events().await;
    let mut last = 0;
    let mut count = 0;
    while let Some(event) = events.next().await {
        let at: u64 = version(&event["object"]).parse().unwrap();
        match event["type"].as_str().unwrap() {
            "BOOKMARK" => assert!(count == 0 || at == last, "{at} promises more than {last}"),
            _ => {
                assert!(at > last, "{at} was promised before");
                count += 1;
            }
        }
        last = at;
    }
    assert_eq!(count, 100);
}

#[tokio::test]
async fn watches_end_when_the_server_does() {
    let server = server().await;
    let from = server.revision();
    let mut events = server.get(format!("{BASE}?watch=1&resourceVersion={from}")).events().await;
    events.quiet().await;
    server.ending.send(true).unwrap();
    events.over().await;
    let mut late = server.get(format!("{BASE}?watch=1&resourceVersion={from}")).events().await;
    late.over().await;
}

#[tokio::test]
async fn watches_end_when_their_resource_is_switched_off() {
    let server = server().await;
    let mut events =
        server.get(format!("{BASE}?watch=1&resourceVersion={}", server.revision())).events().await;
    events.quiet().await;
    server.widgets.switch(false);
    events.over().await;
    server.get(BASE).expect(404).await;
    server.widgets.switch(true);
    server.get(BASE).expect(200).await;
}

#[tokio::test]
async fn watches_end_with_the_credential_and_tell_nothing_after_it() {
    let server = server().await;
    let mut events =
        server.get(format!("{BASE}?watch=1&resourceVersion={}", server.revision())).events().await;
    events.quiet().await;
    server.make("before", json!({})).await;
    assert!(events.brief().await.starts_with("ADDED before"));
    // It waits for a change when the credential goes.
    events.quiet().await;
    server.alive.store(false, Ordering::SeqCst);
    server
        .store
        .commit(eartag_storage::Commit {
            ops: vec![eartag_storage::Op::Put {
                collection: crate::widgets::WIDGETS,
                key: b"after".to_vec(),
                value: b"x".to_vec(),
            }],
            ..Default::default()
        })
        .await
        .unwrap();
    events.over().await;
}

#[tokio::test]
async fn watches_end_when_the_right_to_them_is_taken_away() {
    let server = server().await;
    let mut events =
        server.get(format!("{BASE}?watch=1&resourceVersion={}", server.revision())).by("ann").events().await;
    let mut other =
        server.get(format!("{BASE}?watch=1&resourceVersion={}", server.revision())).by("bob").events().await;
    events.quiet().await;
    other.quiet().await;
    server.authorizer.banned.lock().push("ann".to_owned());
    server.authorizer.generation.fetch_add(1, Ordering::SeqCst);
    events.over().await;
    server.make("b", json!({"owner": "bob"})).await;
    assert!(other.brief().await.starts_with("ADDED b"));
}

#[tokio::test]
async fn watches_end_when_the_store_closes() {
    let server = server().await;
    let mut events =
        server.get(format!("{BASE}?watch=1&resourceVersion={}", server.revision())).events().await;
    server.make("a", json!({})).await;
    server.store.close().await;
    assert!(events.brief().await.starts_with("ADDED a"), "what had happened is told");
    events.over().await;
}
