//! GET of many: pages, snapshots, revisions, tokens, selectors.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use eartag_apiserver::Tree;
use eartag_apiserver::ops::{Api, ListOptions};
use eartag_storage::{Options, Revision, Scope};
use serde_json::json;

use crate::support::{BASE, Server, escaped, names, server, server_with, version};
use std::sync::Arc;

async fn fill(server: &Arc<Server>, count: usize) {
    for n in 0..count {
        server.make(&format!("w{n:03}"), json!({"size": n})).await;
    }
}

fn token(list: &Tree) -> String {
    list["metadata"]["continue"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn an_empty_list_has_items_and_a_revision() {
    let server = server().await;
    let list = server.get(BASE).expect(200).await;
    assert_eq!((&list["kind"], &list["apiVersion"]), (&json!("WidgetList"), &json!("example.org/v1")));
    assert_eq!(list["items"], json!([]));
    assert!(version(&list).parse::<u64>().unwrap() > 0);
    assert_eq!(list["metadata"].get("continue"), None);
    for uri in [
        format!("{BASE}?labelSelector=a%3Db"),
        format!("{BASE}?limit=5"),
        format!("{BASE}?fieldSelector=metadata.name%3Dq"),
    ] {
        assert_eq!(server.get(uri).expect(200).await["items"], json!([]));
    }
}

#[tokio::test]
async fn a_list_is_ordered_by_name_and_its_items_name_their_type() {
    let server = server().await;
    for name in ["b", "a-b", "a", "a.b", "a0"] {
        server.make(name, json!({})).await;
    }
    let list = server.get(BASE).expect(200).await;
    assert_eq!(names(&list), ["a", "a-b", "a.b", "a0", "b"]);
    assert_eq!(version(&list), server.revision());
    assert_eq!(list["items"][0], server.now("a").await);
}

#[tokio::test]
async fn pages_show_each_object_once_of_one_snapshot_while_others_write() {
    let server = server().await;
    fill(&server, 50).await;
    let (mut seen, mut resume, mut versions) = (Vec::new(), String::new(), Vec::new());
    for round in 0.. {
        let list = server.get(format!("{BASE}?limit=7&continue={resume}")).expect(200).await;
        assert!(list["items"].as_array().unwrap().len() <= 7);
        seen.extend(list["items"].as_array().unwrap().iter().cloned());
        versions.push(version(&list));
        resume = token(&list);
        // Between any two pages something is deleted, something new appears, and something is changed.
        server.delete(format!("{BASE}/w{:03}", 49 - round)).expect(200).await;
        server.make(&format!("w{round:03}-new"), json!({})).await;
        server
            .patch(format!("{BASE}/w{:03}", 30 - round), "merge", &json!({"spec": {"colour": "new"}}))
            .expect(200)
            .await;
        if resume.is_empty() {
            break;
        }
    }
    let expected: Vec<String> = (0..50).map(|n| format!("w{n:03}")).collect();
    assert_eq!(seen.iter().map(|o| o["metadata"]["name"].as_str().unwrap()).collect::<Vec<_>>(), expected);
    assert!(seen.iter().all(|object| object["spec"].get("colour").is_none()), "nothing of later");
    assert!(versions.len() == 8 && versions.iter().all(|v| *v == versions[0]), "{versions:?}");
}

#[tokio::test]
async fn a_watch_from_a_lists_revision_brings_what_the_list_lacks() {
    let server = server().await;
    fill(&server, 5).await;
    let first = server.get(format!("{BASE}?limit=2")).expect(200).await;
    let later = server.make("a", json!({})).await;
    let second = server.get(format!("{BASE}?limit=9&continue={}", token(&first))).expect(200).await;
    assert_eq!(names(&second), ["w002", "w003", "w004"]);
    let mut events =
        server.get(format!("{BASE}?watch=1&resourceVersion={}", version(&second))).events().await;
    assert_eq!(events.brief().await, format!("ADDED a {}", version(&later)));
}

#[tokio::test]
async fn the_number_that_remains_is_told_only_when_it_is_right() {
    let server = server().await;
    fill(&server, 10).await;
    let remaining = |list: &Tree| list["metadata"].get("remainingItemCount").cloned();
    let list = server.get(format!("{BASE}?limit=4")).expect(200).await;
    assert_eq!(remaining(&list), Some(json!(6)));
    let next = server.get(format!("{BASE}?limit=4&continue={}", token(&list))).expect(200).await;
    assert!([None, Some(json!(2))].contains(&remaining(&next)));
    server.make("x", json!({})).await;
    let next = server.get(format!("{BASE}?limit=4&continue={}", token(&list))).expect(200).await;
    assert!([None, Some(json!(2))].contains(&remaining(&next)), "not the three of now");
    for silent in [
        "limit=10&resourceVersion=",
        "labelSelector=made-by&limit=4",
        "fieldSelector=spec.colour%21%3Dx&limit=4",
        "limit=0",
        "limit=-3",
        "limit=11",
    ] {
        let list = server.get(format!("{BASE}?{silent}")).expect(200).await;
        if silent.starts_with("limit=10") {
            assert_eq!(remaining(&list), Some(json!(1)));
        } else {
            assert_eq!(remaining(&list), None, "{silent}");
        }
    }
    let own = server.get(format!("{BASE}?limit=4")).by("ann").expect(200).await;
    assert_eq!((names(&own).len(), remaining(&own)), (0, None), "nobody counts what is not theirs");
}

#[tokio::test]
async fn the_last_page_has_no_token() {
    let server = server().await;
    fill(&server, 4).await;
    let list = server.get(format!("{BASE}?limit=4")).expect(200).await;
    assert_eq!((names(&list).len(), token(&list)), (4, String::new()));
    for unlimited in ["", "limit=0", "limit=-1", "limit="] {
        assert_eq!(names(&server.get(format!("{BASE}?{unlimited}")).expect(200).await).len(), 4);
    }
    server.get(format!("{BASE}?limit=x")).refused_with(400, "BadRequest", "limit").await;
}

#[tokio::test]
async fn a_token_is_of_kubernetes_form() {
    let server = server().await;
    fill(&server, 2).await;
    let list = server.get(format!("{BASE}?limit=1")).expect(200).await;
    let wire: Tree = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token(&list)).unwrap()).unwrap();
    let revision: u64 = version(&list).parse().unwrap();
    assert_eq!(wire, json!({"v": "meta.k8s.io/v1", "rv": revision, "start": "w000\u{0}"}));
}

#[tokio::test]
async fn a_token_that_is_too_old_is_gone_but_brings_one_that_goes_on() {
    let server = server().await;
    fill(&server, 6).await;
    let list = server.get(format!("{BASE}?limit=2")).expect(200).await;
    server.delete(format!("{BASE}/w003")).expect(200).await;
    server.store.compact(Revision::new(u64::MAX)).await.unwrap();
    server.make("w004-new", json!({})).await;
    let status = server.get(format!("{BASE}?limit=2&continue={}", token(&list))).expect(410).await;
    assert_eq!((&status["reason"], &status["code"]), (&json!("Expired"), &json!(410)));
    assert!(status["message"].as_str().unwrap().starts_with("The provided continue parameter is too old to display a consistent list result. You can start a new list"));
    let mut resume = token(&status);
    let mut rest = Vec::new();
    let mut versions = Vec::new();
    while !resume.is_empty() {
        let list = server.get(format!("{BASE}?limit=2&continue={resume}")).expect(200).await;
        rest.extend(names(&list));
        versions.push(version(&list));
        resume = token(&list);
    }
    assert_eq!(rest, ["w002", "w004", "w004-new", "w005"]);
    assert_eq!(versions, [server.revision(), server.revision()]);
}

#[tokio::test]
async fn garbage_for_a_token_is_a_bad_request() {
    let server = server().await;
    fill(&server, 2).await;
    let wire = |json: Tree| URL_SAFE_NO_PAD.encode(json.to_string());
    for bad in [
        "x".to_owned(),
        "%00".to_owned(),
        wire(json!({"v": "v2", "rv": 5, "start": "a\u{0}"})),
        wire(json!({"v": "meta.k8s.io/v1", "rv": 0, "start": "a\u{0}"})),
        wire(json!({"v": "meta.k8s.io/v1", "rv": 5, "start": ""})),
        wire(json!({"v": "meta.k8s.io/v1", "rv": 5, "start": "../x\u{0}"})),
        wire(json!([])),
    ] {
        let uri = format!("{BASE}?limit=1&continue={bad}");
        server
            .get(uri)
            .refused_with(400, "BadRequest", "invalid continue token: continue key is not valid")
            .await;
    }
    let good = token(&server.get(format!("{BASE}?limit=1")).expect(200).await);
    let message = "specifying resource version is not allowed when using continue";
    server.get(format!("{BASE}?continue={good}&resourceVersion=2")).refused(400, "BadRequest", message).await;
    server.get(format!("{BASE}?continue={good}&resourceVersion=0")).expect(200).await;
    let future = wire(json!({"v": "meta.k8s.io/v1", "rv": 999_999, "start": "a\u{0}"}));
    server
        .get(format!("{BASE}?continue={future}"))
        .refused_with(504, "Timeout", "Too large resource version")
        .await;
}

#[tokio::test]
async fn a_revision_means_what_the_table_of_the_reference_says() {
    let server = server().await;
    let first = version(&server.make("a", json!({})).await);
    server.make("b", json!({})).await;
    let newest = version(&server.make("c", json!({})).await);
    for (query, sees, at) in [
        (String::new(), 3, &newest),
        ("resourceVersion=".to_owned(), 3, &newest),
        ("resourceVersion=0".to_owned(), 3, &newest),
        ("resourceVersion=0&limit=9".to_owned(), 3, &newest),
        ("resourceVersion=0&resourceVersionMatch=NotOlderThan".to_owned(), 3, &newest),
        (format!("resourceVersion={first}"), 3, &newest),
        (format!("resourceVersion={first}&limit=0"), 3, &newest),
        (format!("resourceVersion={first}&limit=9"), 1, &first),
        (format!("resourceVersion={first}&resourceVersionMatch=NotOlderThan"), 3, &newest),
        (format!("resourceVersion={first}&resourceVersionMatch=NotOlderThan&limit=9"), 3, &newest),
        (format!("resourceVersion={first}&resourceVersionMatch=Exact"), 1, &first),
        (format!("resourceVersion={first}&resourceVersionMatch=Exact&limit=9"), 1, &first),
    ] {
        let list = server.get(format!("{BASE}?{query}")).expect(200).await;
        assert_eq!((names(&list).len(), &version(&list)), (sees, at), "{query}");
    }
    for (query, message) in [
        (
            "resourceVersionMatch=Exact",
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided",
        ),
        (
            "resourceVersion=0&resourceVersionMatch=Exact",
            "resourceVersionMatch: Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
        ),
        (
            "resourceVersion=1&resourceVersionMatch=Newest",
            "resourceVersionMatch: Unsupported value: \"Newest\": supported values: \"Exact\", \"NotOlderThan\", \"\"",
        ),
        (
            "continue=x&resourceVersionMatch=Exact",
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue is provided",
        ),
        ("sendInitialEvents=true", "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list"),
    ] {
        let full = format!("ListOptions.meta.k8s.io \"\" is invalid: {message}");
        let status = server.get(format!("{BASE}?{query}")).refused(422, "Invalid", &full).await;
        assert_eq!(
            (&status["details"]["kind"], &status["details"]["group"]),
            (&json!("ListOptions"), &json!("meta.k8s.io"))
        );
    }
    server.store.compact(Revision::new(u64::MAX)).await.unwrap();
    let message = "The resourceVersion for the provided list is too old.";
    server
        .get(format!("{BASE}?resourceVersion={first}&resourceVersionMatch=Exact"))
        .refused(410, "Expired", message)
        .await;
    server.get(format!("{BASE}?resourceVersion={first}")).expect(200).await;
    server.get(format!("{BASE}?resourceVersion=x")).refused_with(400, "BadRequest", "resourceVersion").await;
}

#[tokio::test(start_paused = true)]
async fn a_list_at_a_revision_of_the_future_is_refused_after_a_wait() {
    let server = server().await;
    for query in [
        "resourceVersion=999",
        "resourceVersion=999&resourceVersionMatch=Exact",
        "resourceVersion=999&limit=2",
    ] {
        let status = server.get(format!("{BASE}?{query}")).expect(504).await;
        assert_eq!(status["details"]["causes"][0]["reason"], "ResourceVersionTooLarge", "{query}");
    }
}

#[tokio::test]
async fn selectors_by_label_and_by_field() {
    let server = server().await;
    server.make_labelled("a", json!({"env": "prod", "tier": "1"}), json!({"colour": "red", "size": 1})).await;
    server.make_labelled("b", json!({"env": "test"}), json!({"colour": "blue"})).await;
    server.make_labelled("c", json!({}), json!({"colour": "red"})).await;
    let expected: BTreeMap<&str, &[&str]> = [
        ("labelSelector=env=prod", &["a"] as &[&str]),
        ("labelSelector=env!=prod", &["b", "c"]),
        ("labelSelector=env in (prod,test)", &["a", "b"]),
        ("labelSelector=!env", &["c"]),
        ("labelSelector=tier>0", &["a"]),
        ("labelSelector=example.org/hidden=yes", &["a", "b", "c"]),
        ("labelSelector=example.org/hidden!=yes", &[]),
        ("fieldSelector=metadata.name=b", &["b"]),
        ("fieldSelector=metadata.name!=b", &["a", "c"]),
        ("fieldSelector=spec.colour=red", &["a", "c"]),
        ("fieldSelector=spec.size=1", &["a"]),
        ("fieldSelector=spec.colour=red,metadata.name=b", &[]),
        ("fieldSelector=metadata.name=a,metadata.name=b", &[]),
    ]
    .into();
    for (query, wanted) in expected {
        let (key, value) = query.split_once('=').unwrap();
        let list = server.get(format!("{BASE}?{key}={}", escaped(value))).expect(200).await;
        assert_eq!(names(&list), wanted, "{query}");
        let paged = server.get(format!("{BASE}?limit=9&{key}={}", escaped(value))).expect(200).await;
        assert_eq!(names(&paged), wanted, "{query}, in pages");
    }
    let both =
        server.get(format!("{BASE}?labelSelector=env&fieldSelector=spec.colour%3Dred")).expect(200).await;
    assert_eq!(names(&both), ["a"]);
    server
        .get(format!("{BASE}?labelSelector=a%20b"))
        .refused_with(400, "BadRequest", "unable to parse requirement: ")
        .await;
    server
        .get(format!("{BASE}?fieldSelector=status.weight%3D1"))
        .refused_with(400, "BadRequest", "status.weight")
        .await;
    server.get(format!("{BASE}?fieldSelector=nonsense")).expect(400).await;
}

#[tokio::test]
async fn a_limit_counts_what_is_selected() {
    let server = server().await;
    for n in 0..40 {
        let parity = if n % 10 == 9 { "odd" } else { "even" };
        server.make_labelled(&format!("w{n:03}"), json!({"p": parity}), json!({})).await;
    }
    let (mut seen, mut resume) = (Vec::new(), String::new());
    loop {
        let list =
            server.get(format!("{BASE}?labelSelector=p%3Dodd&limit=3&continue={resume}")).expect(200).await;
        seen.push(names(&list));
        resume = token(&list);
        if resume.is_empty() {
            break;
        }
    }
    assert_eq!(seen.concat(), ["w009", "w019", "w029", "w039"]);
    assert_eq!(seen[0].len(), 3);
}

#[tokio::test]
async fn everybody_sees_their_own_whatever_they_select() {
    let server = server().await;
    for (name, owner) in [("a", "ann"), ("b", "bob"), ("c", "ann"), ("d", "bob")] {
        server.make_labelled(name, json!({"of": owner}), json!({"owner": owner})).await;
    }
    let of = async |user: &str, query: &str| {
        names(&server.get(format!("{BASE}?{query}")).by(user).expect(200).await)
    };
    assert_eq!(of("ann", "").await, ["a", "c"]);
    assert_eq!(of("bob", "labelSelector=of%3Dann").await, Vec::<String>::new());
    assert_eq!(of("bob", "fieldSelector=metadata.name%3Da").await, Vec::<String>::new());
    assert_eq!(of("bob", "fieldSelector=metadata.name%3Db").await, ["b"]);
    assert_eq!(of("nobody", "").await, Vec::<String>::new());
    let page = server.get(format!("{BASE}?limit=1")).by("ann").expect(200).await;
    assert_eq!(names(&page), ["a"]);
    // Somebody else's token leads through one's own objects only.
    assert_eq!(of("bob", &format!("continue={}", token(&page))).await, ["b", "d"]);
}

#[tokio::test]
async fn a_list_within_a_short_history_still_ends() {
    let server = server_with(Options { history_events: 4, ..Options::default() }).await;
    fill(&server, 20).await;
    let list = server.get(format!("{BASE}?limit=5")).expect(200).await;
    fill_more(&server).await;
    let status = server.get(format!("{BASE}?limit=5&continue={}", token(&list))).expect(410).await;
    let rest = server.get(format!("{BASE}?continue={}", token(&status))).expect(200).await;
    assert_eq!(names(&rest).len(), 15 + 10);
}

async fn fill_more(server: &Arc<Server>) {
    for n in 0..10 {
        server.make(&format!("x{n:03}"), json!({})).await;
    }
}

#[tokio::test]
async fn a_list_can_be_narrowed_to_a_scope_and_begin_behind_a_name() {
    let server = server().await;
    for (name, owner) in [("a", "ann"), ("b", "bob"), ("c", "ann"), ("d", "ann")] {
        server.make(name, json!({"owner": owner})).await;
    }
    let (kind, cx) = (server.kind(), server.cx("admin"));
    let listed = async |within: Option<Scope>, after: &str| {
        let options = ListOptions { within, after: after.to_owned(), ..ListOptions::default() };
        let mut lister = Api::new(server.store.clone()).list(&*kind, &cx, &options).await.unwrap();
        let mut names = Vec::new();
        while let Some(page) = lister.page(&*kind, &cx).unwrap() {
            names.extend(page.iter().map(|listed| String::from_utf8(listed.key().to_vec()).unwrap()));
        }
        names
    };
    let ann = || Some(Scope::Owner(b"ann".to_vec()));
    assert_eq!(listed(None, "").await, ["a", "b", "c", "d"]);
    assert_eq!(listed(None, "b").await, ["c", "d"]);
    assert_eq!(listed(ann(), "").await, ["a", "c", "d"]);
    assert_eq!(listed(ann(), "a").await, ["c", "d"]);
    assert_eq!(listed(Some(Scope::names(vec![b"b".to_vec(), b"z".to_vec()])), "").await, ["b"]);
    assert!(listed(Some(Scope::None), "").await.is_empty());
}
