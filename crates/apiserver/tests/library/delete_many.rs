//! DELETE of a collection.

use std::sync::Arc;

use serde_json::json;

use crate::support::{BASE, Server, names, server, version};

async fn fill(server: &Arc<Server>) {
    for n in 0..9 {
        let owner = if n % 3 == 0 { "ann" } else { "bob" };
        server
            .make_labelled(
                &format!("w{n}"),
                json!({"third": (n % 3).to_string()}),
                json!({"owner": owner, "size": n}),
            )
            .await;
    }
}

async fn left(server: &Arc<Server>) -> Vec<String> {
    names(&server.get(BASE).expect(200).await)
}

#[tokio::test]
async fn deleting_a_collection_answers_with_what_was_deleted() {
    let server = server().await;
    fill(&server).await;
    let from = server.revision();
    let list = server.delete(BASE).expect(200).await;
    assert_eq!((&list["kind"], &list["apiVersion"]), (&json!("WidgetList"), &json!("example.org/v1")));
    assert_eq!(names(&list).len(), 9);
    assert!(!version(&list).is_empty());
    assert_eq!(left(&server).await, Vec::<String>::new());
    let mut events = server.get(format!("{BASE}?watch=1&resourceVersion={from}")).events().await;
    for n in 0..9 {
        let at = from.parse::<u64>().unwrap() + n + 1;
        assert_eq!(events.brief().await, format!("DELETED w{n} {at}"), "each at a revision of its own");
    }
    assert_eq!(server.delete(BASE).expect(200).await["items"], json!([]));
}

#[tokio::test]
async fn selectors_choose_what_is_deleted() {
    let server = server().await;
    fill(&server).await;
    let list = server.delete(format!("{BASE}?labelSelector=third%3D1")).expect(200).await;
    assert_eq!(names(&list), ["w1", "w4", "w7"]);
    let list = server.delete(format!("{BASE}?fieldSelector=metadata.name%3Dw2")).expect(200).await;
    assert_eq!(names(&list), ["w2"]);
    assert_eq!(left(&server).await, ["w0", "w3", "w5", "w6", "w8"]);
    server.delete(format!("{BASE}?labelSelector=a%20b")).expect(400).await;
    server.delete(format!("{BASE}?fieldSelector=status.weight%3D1")).expect(400).await;
    assert_eq!(left(&server).await.len(), 5, "a selector that is not understood selects nothing");
}

#[tokio::test]
async fn a_limit_deletes_one_page() {
    let server = server().await;
    fill(&server).await;
    assert_eq!(names(&server.delete(format!("{BASE}?limit=2")).expect(200).await), ["w0", "w1"]);
    assert_eq!(left(&server).await.len(), 7);
    let selected = server.delete(format!("{BASE}?limit=1&labelSelector=third%3D1")).expect(200).await;
    assert_eq!(names(&selected), ["w4"]);
}

#[tokio::test]
async fn everybody_deletes_their_own_only() {
    let server = server().await;
    fill(&server).await;
    let list = server.delete(format!("{BASE}?labelSelector=third")).by("ann").expect(200).await;
    assert_eq!(names(&list), ["w0", "w3", "w6"]);
    assert_eq!(left(&server).await.len(), 6);
    assert_eq!(server.delete(BASE).by("nobody").expect(200).await["items"], json!([]));
    assert_eq!(left(&server).await.len(), 6);
}

#[tokio::test]
async fn a_dry_run_of_a_collection_deletes_nothing() {
    let server = server().await;
    fill(&server).await;
    for ask in
        [server.delete(format!("{BASE}?dryRun=All")), server.delete(BASE).json(&json!({"dryRun": ["All"]}))]
    {
        assert_eq!(names(&ask.expect(200).await).len(), 9);
    }
    assert_eq!(left(&server).await.len(), 9);
    server.delete(format!("{BASE}?dryRun=yes")).expect(422).await;
    server.delete(BASE).json(&json!({"dryRun": "All"})).expect(400).await;
    assert_eq!(left(&server).await.len(), 9);
}

#[tokio::test]
async fn finalizers_hold_single_objects_of_a_collection() {
    let server = server().await;
    fill(&server).await;
    server
        .patch(format!("{BASE}/w4"), "merge", &json!({"metadata": {"finalizers": ["example.org/hold"]}}))
        .expect(200)
        .await;
    let list = server.delete(BASE).expect(200).await;
    assert_eq!(names(&list).len(), 9);
    assert_eq!(left(&server).await, ["w4"]);
    assert!(server.now("w4").await["metadata"]["deletionTimestamp"].is_string());
}

#[tokio::test]
async fn what_came_after_the_call_stays() {
    let server = server().await;
    fill(&server).await;
    let at = server.revision();
    server.make("late", json!({})).await;
    let list =
        server.delete(format!("{BASE}?resourceVersion={at}&resourceVersionMatch=Exact")).expect(200).await;
    assert_eq!(names(&list).len(), 9);
    assert_eq!(left(&server).await, ["late"]);
}
