//! G6: a watch delivers every change once and in order, or says 410.

use std::time::Duration;

use eartag_tests::http::{TABLE, names, text};
use eartag_tests::people::token;
use eartag_tests::stream::Event;
use eartag_tests::{MANAGEMENT, Person, Server, Stream, TOKENS};
use serde_json::{Value, json};

fn watch(server: &Server, who: &Person, query: &str) -> Stream {
    let stream = Stream::open(server, &who.http, &format!("{TOKENS}?watch=true&{query}"));
    assert_eq!(stream.status, 200);
    stream
}

#[test]
fn a_watch_list_ends_its_initial_events_with_a_bookmark() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let mut expected: Vec<String> = (0..3).map(|_| ann.mint(json!({})).name).collect();
    expected.sort();
    let from = ann.http.revision(TOKENS);
    for query in [
        "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true".to_owned(),
        "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&resourceVersion=0"
            .to_owned(),
        format!(
            "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&resourceVersion={from}"
        ),
    ] {
        let stream = watch(&server, &ann, &query);
        let mut seen: Vec<String> = (0..3)
            .map(|_| {
                let event = stream.next();
                assert_eq!(event.kind, "ADDED");
                assert_eq!(
                    (event.object["kind"].as_str(), event.object["apiVersion"].as_str()),
                    (Some("Token"), Some("ext.cattle.io/v1"))
                );
                event.name()
            })
            .collect();
        seen.sort();
        assert_eq!(seen, expected);
        let bookmark = stream.next();
        assert_eq!(bookmark.kind, "BOOKMARK");
        assert_eq!(bookmark.object["kind"], "Token");
        assert_eq!(bookmark.object["apiVersion"], "ext.cattle.io/v1");
        assert_eq!(bookmark.object["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
        assert!(bookmark.revision() >= from);
        let live = ann.mint(json!({}));
        let event = stream.next_change();
        assert_eq!((event.kind.as_str(), event.name()), ("ADDED", live.name.clone()));
        assert!(!event.object.to_string().contains(&live.value));
        ann.http.delete(&token(&live.name)).want(200);
    }
    // A list that cannot be had so is refused.
    let bad = ann.http.get(&format!("{TOKENS}?watch=true&sendInitialEvents=true"));
    assert!(
        bad.refused(422, "Invalid")
            .contains("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"),
        "{}",
        bad.text()
    );
    let bad = ann
        .http
        .get(&format!("{TOKENS}?sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=0"));
    assert!(
        bad.refused(422, "Invalid").contains("sendInitialEvents is forbidden for list"),
        "{}",
        bad.text()
    );
}

#[test]
fn a_watch_can_be_resumed_after_every_event() {
    let server = Server::start();
    let (ann, bob) = (server.person("ann", &["user"]), server.person("bob", &["user"]));
    let from = ann.http.revision(TOKENS);
    let whole = watch(&server, &ann, &format!("resourceVersion={from}"));
    let a = ann.mint(json!({}));
    bob.mint(json!({}));
    ann.http.merge(&token(&a.name), &json!({"spec": {"description": "one"}})).want(200);
    let b = ann.mint(json!({}));
    ann.http.merge(&token(&a.name), &json!({"spec": {"description": "two"}})).want(200);
    bob.mint(json!({}));
    ann.http.delete(&token(&a.name)).want(200);
    ann.http.merge(&token(&b.name), &json!({"metadata": {"labels": {"x": "y"}}})).want(200);
    let events: Vec<Event> = (0..6).map(|_| whole.next_change()).collect();
    let kinds: Vec<(&str, String)> = events.iter().map(|e| (e.kind.as_str(), e.name())).collect();
    assert_eq!(
        kinds,
        [
            ("ADDED", a.name.clone()),
            ("MODIFIED", a.name.clone()),
            ("ADDED", b.name.clone()),
            ("MODIFIED", a.name.clone()),
            ("DELETED", a.name.clone()),
            ("MODIFIED", b.name.clone()),
        ]
    );
    let revisions: Vec<u64> = events.iter().map(Event::revision).collect();
    assert!(revisions.is_sorted_by(|a, b| a < b), "{revisions:?}");
    assert!(revisions[0] > from);
    // Cut after each event and resumed there, nothing is lost and nothing comes twice.
    for (at, event) in events.iter().enumerate() {
        let resumed = watch(&server, &ann, &format!("resourceVersion={}", event.revision()));
        for expected in &events[at + 1..] {
            let mut seen = resumed.next_change();
            seen.object["status"]["current"] = expected.object["status"]["current"].clone();
            assert_eq!(&seen, expected);
        }
        resumed.quiet(Duration::from_millis(100));
    }
}

#[test]
fn an_object_that_starts_or_stops_matching_comes_and_goes() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let from = ann.http.revision(TOKENS);
    let stream = watch(&server, &ann, &format!("resourceVersion={from}&labelSelector=team%3Dblue"));
    let a = ann.mint(json!({"description": "0"}));
    let team = |team: Value, description: &str| {
        ann.http
            .merge(
                &token(&a.name),
                &json!({"metadata": {"labels": {"team": team}}, "spec": {"description": description}}),
            )
            .want(200)
    };
    team(json!("red"), "1");
    team(json!("blue"), "2");
    team(json!("blue"), "3");
    let gone = team(json!("red"), "4");
    team(json!("blue"), "5");
    ann.http.delete(&token(&a.name)).want(200);
    let seen: Vec<(String, String)> = (0..5)
        .map(|_| stream.next_change())
        .map(|e| (e.kind.clone(), text(&e.object["spec"]["description"])))
        .collect();
    let expected = [("ADDED", "2"), ("MODIFIED", "3"), ("DELETED", "3"), ("ADDED", "5"), ("DELETED", "5")];
    assert_eq!(seen, expected.map(|(k, d)| (k.to_owned(), d.to_owned())));
    let again = watch(&server, &ann, &format!("resourceVersion={from}&labelSelector=team%3Dblue"));
    let left = (0..3).map(|_| again.next_change()).nth(2).unwrap();
    assert_eq!(
        (left.kind.as_str(), left.object["metadata"]["resourceVersion"].clone()),
        ("DELETED", gone["metadata"]["resourceVersion"].clone())
    );
}

#[test]
fn a_watch_ends_cleanly_after_its_timeout_with_a_bookmark() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let from = ann.http.revision(TOKENS);
    let started = std::time::Instant::now();
    let stream =
        watch(&server, &ann, &format!("resourceVersion={from}&timeoutSeconds=3&allowWatchBookmarks=true"));
    let events = stream.rest();
    assert!(started.elapsed() >= Duration::from_secs(2), "{:?}", started.elapsed());
    assert!(events.iter().all(|e| e.kind == "BOOKMARK"), "{events:?}");
    let last = events.last().expect("a bookmark before the end");
    assert!(last.revision() >= from);
    assert_eq!(
        (last.object["kind"].as_str(), last.object["apiVersion"].as_str()),
        (Some("Token"), Some("ext.cattle.io/v1"))
    );
    let stream = watch(&server, &ann, &format!("resourceVersion={from}&timeoutSeconds=1"));
    assert_eq!(stream.rest(), []);
}

#[test]
fn without_a_revision_what_exists_comes_first() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let a = ann.mint(json!({}));
    for query in ["", "resourceVersion=0", "resourceVersion="] {
        let stream = watch(&server, &ann, query);
        let event = stream.next();
        assert_eq!((event.kind.as_str(), event.name()), ("ADDED", a.name.clone()), "{query}");
        let header = |name: &str| stream.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        assert!(
            header("content-type").is_some_and(|t| t.starts_with("application/json")),
            "{:?}",
            stream.headers
        );
        assert_eq!(header("content-length"), None);
    }
    for form in ["watch=1", "watch=True", "watch", "watch=", "&watch=true&"] {
        let stream = Stream::open(&server, &ann.http, &format!("{TOKENS}?{form}"));
        assert_eq!(stream.next().kind, "ADDED", "{form}");
    }
    assert_eq!(names(&ann.http.get(&format!("{TOKENS}?watch=false")).want(200)), [a.name.as_str()]);
    // A single object's path does not watch.
    assert_eq!(ann.http.get(&format!("{}?watch=true", token(&a.name))).want(200)["kind"], "Token");
}

#[test]
fn a_table_watch_sends_one_row_each_and_its_columns_once() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let a = ann.mint(json!({}));
    let stream = Stream::open(
        &server,
        &ann.http.with("Accept", TABLE),
        &format!(
            "{TOKENS}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
        ),
    );
    let first = stream.next();
    assert_eq!((first.kind.as_str(), first.object["kind"].as_str()), ("ADDED", Some("Table")));
    let columns: Vec<&str> = first.object["columnDefinitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["name"].as_str().unwrap())
        .collect();
    assert_eq!(columns, ["Name", "User", "Kind", "TTL", "Age", "Description"]);
    assert_eq!(first.object["rows"].as_array().unwrap().len(), 1);
    assert_eq!(first.object["rows"][0]["cells"][0], a.name.as_str());
    assert_eq!(first.object["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    let bookmark = stream.next();
    assert_eq!((bookmark.kind.as_str(), bookmark.object["kind"].as_str()), ("BOOKMARK", Some("Table")));
    let row = &bookmark.object["rows"][0]["object"];
    assert_eq!(row["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    assert!(row["metadata"]["resourceVersion"].is_string());
    ann.http.merge(&token(&a.name), &json!({"spec": {"description": "x"}})).want(200);
    let second = stream.next_change();
    assert_eq!(second.kind, "MODIFIED");
    assert!(
        second.object.get("columnDefinitions").is_none_or(|c| c.is_null() || c == &json!([])),
        "{}",
        second.object
    );
    assert_eq!(second.object["rows"][0]["cells"][5], "x");
}

#[test]
fn metadata_watches_send_metadata_only() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    ann.mint(json!({"description": "not for controllers"}));
    let accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
    let stream = Stream::open(&server, &ann.http.with("Accept", accept), &format!("{TOKENS}?watch=true"));
    let event = stream.next();
    assert_eq!(
        (event.object["kind"].as_str(), event.object["apiVersion"].as_str()),
        (Some("PartialObjectMetadata"), Some("meta.k8s.io/v1"))
    );
    assert!(!event.object.to_string().contains("not for controllers"));
}

#[test]
fn a_revision_that_never_was_is_an_error() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let far = ann.http.revision(TOKENS) + 1_000_000;
    for path in [
        format!("{TOKENS}?watch=true&resourceVersion={far}"),
        format!("{TOKENS}?resourceVersion={far}&resourceVersionMatch=NotOlderThan"),
    ] {
        let reply = ann.http.get(&path);
        let message = reply.refused(504, "Timeout");
        assert!(message.starts_with("Timeout: Too large resource version: "), "{message}");
        assert_eq!(reply.json()["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
    }
    for bad in ["abc", "-1", "1.5", "99999999999999999999999"] {
        for path in
            [format!("{TOKENS}?watch=true&resourceVersion={bad}"), format!("{TOKENS}?resourceVersion={bad}")]
        {
            let reply = ann.http.get(&path);
            assert!(matches!(reply.status, 400 | 422), "{path}: {}", reply.text());
        }
    }
}

#[test]
fn a_revision_before_a_restore_is_too_old() {
    let mut server = Server::start();
    let ann = server.person("ann", &["user"]);
    ann.mint(json!({}));
    let old = ann.http.revision(TOKENS);
    server.terminate();
    let backup = server.scratch().join("backup.db");
    let run = |args: &[&str]| eartag_tests::server::run(args, &[], server.scratch());
    let data = server.data().display().to_string();
    let (code, _, err) = run(&["backup", "--data-dir", &data, &backup.display().to_string()]);
    assert_eq!(code, 0, "{err}");
    let other = server.scratch().join("restored");
    let (code, _, err) =
        run(&["restore", "--data-dir", &other.display().to_string(), &backup.display().to_string()]);
    assert_eq!(code, 0, "{err}");
    let restored = eartag_tests::Setup::default().data(&other).start();
    let ann = Person::log_in(&restored, &ann.id, "ann", &ann.password);
    assert!(ann.http.revision(TOKENS) > old);
    let stream = Stream::open(&restored, &ann.http, &format!("{TOKENS}?watch=true&resourceVersion={old}"));
    if stream.status == 200 {
        let events = stream.rest();
        assert_eq!(events.len(), 1);
        assert_eq!(
            (events[0].kind.as_str(), &events[0].object["code"], events[0].object["reason"].as_str()),
            ("ERROR", &json!(410), Some("Expired"))
        );
    } else {
        assert_eq!(stream.status, 410);
    }
    let exact = ann.http.get(&format!("{TOKENS}?resourceVersion={old}&resourceVersionMatch=Exact"));
    exact.refused(410, "Expired");
}

#[test]
fn a_watch_is_cut_when_its_token_or_its_owner_goes() {
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let open = |bearer: &str| {
        Stream::open(
            &server,
            &server.anonymous().bearer(bearer),
            &format!("{TOKENS}?watch=true&resourceVersion={}", ann.http.revision(TOKENS)),
        )
    };
    let watch = || {
        let token = ann.mint(json!({}));
        let stream = open(&token.bearer);
        assert_eq!(stream.status, 200);
        (token, stream)
    };
    let (deleted, stream) = watch();
    ann.http.delete(&token(&deleted.name)).want(200);
    stream.rest();
    let (disabled, stream) = watch();
    ann.http.merge(&token(&disabled.name), &json!({"spec": {"enabled": false}})).want(200);
    stream.rest();
    // On a slow machine a short-lived one is over before it can be used: then one that lives longer.
    let used_in_time = (2..7).find_map(|n| {
        let expiring = ann.mint(json!({"ttl": 1000 << n}));
        Some(open(&expiring.bearer)).filter(|stream| stream.status == 200)
    });
    used_in_time.expect("a token that was used in time").rest();
    let (_, stream) = watch();
    admin.http.merge(&ann.path(), &json!({"enabled": false})).want(200);
    stream.rest();
}

#[test]
fn a_watch_that_somebody_opened_as_a_user_ends_when_that_user_is_disabled() {
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let as_ann = admin.http.with("Impersonate-User", &ann.id);
    let stream = Stream::open(&server, &as_ann, &format!("{TOKENS}?watch=true"));
    let minted = ann.mint(json!({}));
    assert_eq!(stream.next_change().name(), minted.name);
    admin.http.merge(&ann.path(), &json!({"enabled": false})).want(200);
    stream.rest();
    let said = as_ann.get(TOKENS).refused(403, "Forbidden");
    assert!(said.contains("the user is disabled"), "{said}");
    admin.http.merge(&ann.path(), &json!({"enabled": true})).want(200);
    as_ann.get(TOKENS).want(200);
}

#[test]
fn a_watch_by_way_of_local_ends_with_the_right_to_it() {
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let rules = json!([{"apiGroups": ["management.cattle.io"], "resources": ["clusters"], "resourceNames": ["local"], "verbs": ["get"]}]);
    let role = json!({"metadata": {"name": "local-user"}, "rules": rules});
    admin.http.post(&format!("{MANAGEMENT}/globalroles"), &role).want(201);
    let binding = eartag_tests::people::bind(&admin.http, &ann.id, "local-user");
    let by_way_of_local = format!("/k8s/clusters/local{TOKENS}");
    let stream = Stream::open(&server, &ann.http, &format!("{by_way_of_local}?watch=true"));
    let straight = watch(&server, &ann, "");
    let first = ann.mint(json!({}));
    assert_eq!(
        (stream.next_change().name(), straight.next_change().name()),
        (first.name.clone(), first.name)
    );
    admin.http.delete(&format!("{MANAGEMENT}/globalrolebindings/{binding}")).want(200);
    assert_eq!(stream.rest(), []);
    ann.http.get(&by_way_of_local).refused(403, "Forbidden");
    // What she may do here has not changed.
    let second = ann.mint(json!({}));
    assert_eq!(straight.next_change().name(), second.name);
}

#[test]
fn switching_the_feature_off_ends_its_watches() {
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let stream = watch(&server, &ann, &format!("resourceVersion={}", ann.http.revision(TOKENS)));
    admin
        .http
        .merge(&format!("{MANAGEMENT}/features/ext-tokens"), &json!({"spec": {"value": false}}))
        .want(200);
    stream.rest();
}

#[test]
fn shutting_down_ends_watches_cleanly() {
    let mut server = Server::start();
    let ann = server.person("ann", &["user"]);
    let stream = watch(&server, &ann, &format!("resourceVersion={}", ann.http.revision(TOKENS)));
    assert!(server.terminate().success());
    stream.rest();
}

#[test]
fn other_kinds_can_be_watched_too() {
    let server = Server::start();
    let admin = server.admin();
    let open = |plural: &str| {
        let path = format!("{MANAGEMENT}/{plural}");
        Stream::open(
            &server,
            &admin.http,
            &format!("{path}?watch=true&resourceVersion={}", admin.http.revision(&path)),
        )
    };
    let (users, settings, features) = (open("users"), open("settings"), open("features"));
    let ann = server.person("ann", &["user"]);
    let event = users.next_change();
    assert_eq!((event.kind.as_str(), event.name()), ("ADDED", ann.id.clone()));
    assert!(!event.object.to_string().to_lowercase().contains("password\":\""), "{}", event.object);
    admin
        .http
        .merge(&format!("{MANAGEMENT}/settings/auth-user-session-ttl-minutes"), &json!({"value": "600"}))
        .want(200);
    assert_eq!(settings.next_change().name(), "auth-user-session-ttl-minutes");
    admin
        .http
        .merge(&format!("{MANAGEMENT}/features/ext-tokens"), &json!({"spec": {"value": true}}))
        .want(200);
    assert_eq!(features.next_change().name(), "ext-tokens");
}

#[test]
fn many_changes_by_many_writers_come_once_and_in_order() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let stream = watch(&server, &ann, &format!("resourceVersion={}", ann.http.revision(TOKENS)));
    let made: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| (0..25).map(|_| ann.mint(json!({})).name).collect::<Vec<_>>()))
            .collect();
        threads.into_iter().flat_map(|t| t.join().unwrap()).collect()
    });
    let events: Vec<Event> = (0..made.len()).map(|_| stream.next_change()).collect();
    let revisions: Vec<u64> = events.iter().map(Event::revision).collect();
    assert!(revisions.is_sorted_by(|a, b| a < b));
    let mut seen: Vec<String> = events.iter().map(Event::name).collect();
    let mut made = made;
    seen.sort();
    made.sort();
    assert_eq!(seen, made);
}
