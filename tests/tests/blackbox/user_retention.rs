//! What becomes of users who stay away, and of sessions that nobody uses, seen by kubectl.

use eartag_tests::http::text;
use eartag_tests::people::login;
use eartag_tests::wait::{PATIENCE, until};
use eartag_tests::{MANAGEMENT, Server, needs_kubectl};
use serde_json::json;

const ACTIVITIES: &str = "/apis/ext.cattle.io/v1/useractivities";

#[test]
fn an_administrator_sees_last_logins_and_makes_exceptions() {
    needs_kubectl!();
    let server = Server::start();
    let admin = server.admin();
    let ann = server.person("ann", &["user"]);
    let labels = admin.kubectl.ok(&[
        "get",
        "user",
        &ann.id,
        "-o",
        "jsonpath={.metadata.labels.cattle\\.io/last-login}",
    ]);
    assert!(labels.trim().parse::<u64>().unwrap() > 1_700_000_000, "{labels}");
    let selected = admin.kubectl.ok(&["get", "users", "-l", "cattle.io/last-login", "-o", "name"]);
    assert_eq!(selected.trim(), format!("user.management.cattle.io/{}", ann.id), "the admin never logged in");
    let patch =
        |body: &str| admin.kubectl.run(&["patch", "userattribute", &ann.id, "--type=merge", "-p", body]);
    patch(r#"{"disableAfter": "0s", "deleteAfter": "1440h"}"#).ok();
    let table = admin.kubectl.ok(&["get", "userattributes"]);
    let row = table.lines().find(|line| line.starts_with(&ann.id)).unwrap();
    assert!(
        table.starts_with("NAME") && row.contains(" ann ") && row.contains(" 0s ") && row.contains(" 1440h "),
        "{table}"
    );
    for (body, why) in [
        (
            r#"{"disableAfter": "7d"}"#,
            r#"disableAfter: Invalid value: "7d": time: unknown unit "d" in duration "7d""#,
        ),
        (r#"{"deleteAfter": "24h"}"#, "deleteAfter: Forbidden: must be at least 336h0m0s"),
    ] {
        let error = patch(body).fails();
        assert!(error.contains(why), "{error}");
    }
    let nobody = "apiVersion: management.cattle.io/v3\nkind: UserAttribute\nmetadata: {name: user-nobody}\n";
    let error = admin.kubectl.input(&["create", "-f", "-"], nobody).fails();
    assert!(error.contains(r#"metadata.name: Not found: "user-nobody""#), "{error}");
    let error = ann.kubectl.fails(&["get", "userattributes"]);
    assert!(error.contains("Forbidden"), "{error}");
    admin.kubectl.ok(&["delete", "user", &ann.id]);
    let error = admin.kubectl.fails(&["get", "userattribute", &ann.id]);
    assert!(error.contains("not found"), "{error}");
}

#[test]
fn reported_activity_outlives_a_restart() {
    let mut server = Server::start();
    let ann = server.person("ann", &["user"]);
    let session = ann.bearer.split(':').next().unwrap().to_owned();
    let path = format!("{ACTIVITIES}/{session}");
    assert_eq!(ann.http.get(&path).want(200)["status"]["expiresAt"], "");
    let reported = ann.http.post(ACTIVITIES, &json!({"metadata": {"name": session}})).want(201);
    assert!(!text(&reported["status"]["expiresAt"]).is_empty());
    let put = ann
        .http
        .put(&path, &json!({"metadata": {"name": session}, "spec": {"seenAt": "2001-01-01T00:00:00Z"}}));
    assert_eq!(put.want(200)["spec"]["seenAt"], reported["spec"]["seenAt"], "it never runs back");
    assert!(server.terminate().success());
    server.launch();
    assert_eq!(ann.http.get(&path).want(200)["spec"]["seenAt"], reported["spec"]["seenAt"]);
}

#[test]
fn users_who_stay_away_are_disabled_at_the_next_minute() {
    let server = Server::start();
    let admin = server.admin();
    let (ann, bob) = (server.person("ann", &["user"]), server.person("bob", &["user"]));
    login(&server.anonymous(), "admin", eartag_tests::BOOTSTRAP_PASSWORD).want(201);
    for id in [&ann.id, &admin.id] {
        let path = format!("{MANAGEMENT}/userattributes/{id}");
        admin.http.merge(&path, &json!({"lastLogin": "2020-01-01T00:00:00Z"})).want(200);
    }
    for (name, value) in [("disable-inactive-user-after", "720h"), ("user-retention-cron", "* * * * *")] {
        admin.http.merge(&format!("{MANAGEMENT}/settings/{name}"), &json!({"value": value})).want(200);
    }
    let due = admin.http.get(&ann.path()).want(200)["metadata"]["labels"]["cattle.io/disable-after"].clone();
    assert_eq!(due, "1580428800");
    until("ann to be disabled", PATIENCE, || {
        (admin.http.get(&ann.path()).want(200)["enabled"] == false).then_some(())
    });
    assert_eq!(ann.http.get(eartag_tests::TOKENS).status, 401);
    assert_eq!(bob.http.get(eartag_tests::TOKENS).status, 200);
    assert_eq!(admin.http.get(&admin.path()).want(200)["enabled"], true, "the first administrator stays");
    admin
        .http
        .merge(&format!("{MANAGEMENT}/userattributes/{}", ann.id), &json!({"disableAfter": "0s"}))
        .want(200);
    admin.http.merge(&ann.path(), &json!({"enabled": true})).want(200);
    assert_eq!(ann.http.get(eartag_tests::TOKENS).status, 200, "as they were");
}
