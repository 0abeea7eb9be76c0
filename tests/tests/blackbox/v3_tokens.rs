//! `/v3/tokens`: making, reading, changing and deleting one's tokens, and what only admins may.

use std::collections::BTreeSet;

use eartag_tests::http::text;
use eartag_tests::people::{LOGIN, login};
use eartag_tests::v3::{V3_TOKENS, ids, key, set, system_token, works};
use eartag_tests::{BOOTSTRAP_PASSWORD, Http, Person, Server};
use serde_json::{Value, json};

const NINETY_DAYS_MS: i64 = 7_776_000_000;

/// What `expiresAt` must be: created plus ttl, in whole seconds.
fn expires(token: &Value) -> i64 {
    token["createdTS"].as_i64().unwrap() / 1000 + token["ttl"].as_i64().unwrap() / 1000
}

/// Seconds since 1970 of `2026-03-02T09:15:04Z`.
fn seconds(rfc3339: &str) -> i64 {
    let digits: Vec<i64> =
        rfc3339.trim_end_matches('Z').split(['-', 'T', ':']).map(|n| n.parse().unwrap()).collect();
    let [year, month, day, hour, minute, second] = digits[..] else { panic!("{rfc3339}") };
    // Days from civil, with years that begin in March.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (month * 306 + 5) / 10 + day - 1 - 719_468;
    ((days * 24 + hour) * 60 + minute) * 60 + second
}

#[test]
fn a_created_key_is_shown_whole_once() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let reply = ann.http.post(V3_TOKENS, &json!({"ttl": 86_400_000, "description": "nightly job"}));
    let made = reply.want(201);
    assert_eq!(reply.header("location"), None);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert!(reply.header("cache-control").is_some_and(|c| c.contains("no-store")), "{:?}", reply.headers);
    let id = text(&made["id"]);
    let letters = "bcdfghjklmnpqrstvwxz2456789";
    let random = id.strip_prefix("token-").unwrap_or_else(|| panic!("{id}"));
    assert!(random.len() == 5 && random.chars().all(|c| letters.contains(c)), "{id}");
    let bearer = text(&made["token"]);
    let (name, secret) = bearer.split_once(':').unwrap();
    assert_eq!(name, id);
    assert!(secret.len() == 54 && secret.chars().all(|c| letters.contains(c)), "{} letters", secret.len());
    let url = format!("{}/v3/tokens/{id}", server.url());
    let expected = json!({
        "authProvider": "local", "baseType": "token", "type": "token", "name": id, "clusterId": null, "creatorId": null,
        "current": false, "description": "nightly job", "enabled": true, "expired": false, "isDerived": true,
        "ttl": 86_400_000, "userId": ann.id,
        "labels": {"authn.management.cattle.io/token-userId": ann.id},
        "links": {"self": url, "update": url, "remove": url},
    });
    for (member, value) in expected.as_object().unwrap() {
        assert_eq!(&made[member], value, "{member}");
    }
    assert_eq!(made.get("actions"), None, "left out when empty");
    assert_eq!(text(&made["uuid"]).len(), 36);
    assert_eq!(seconds(&text(&made["created"])) * 1000, made["createdTS"].as_i64().unwrap());
    assert_eq!(seconds(&text(&made["expiresAt"])), expires(&made), "expiresAt is there at once");
    let principal = text(&made["userPrincipal"]);
    assert!(principal.starts_with("map[displayName:ann loginName:ann me:true metadata:map["), "{principal}");
    assert!(principal.contains(&format!("name:local://{}", ann.id)), "{principal}");

    let mut without = made.clone();
    without.as_object_mut().unwrap().remove("token");
    let read = ann.http.get(&format!("{V3_TOKENS}/{id}"));
    let mut shown = read.want(200);
    assert!(!read.text().contains(secret) && shown.get("token").is_none(), "{shown}");
    for member in ["lastUsedAt", "lastUsedAtTS"] {
        shown.as_object_mut().unwrap().remove(member);
    }
    assert_eq!(shown, without);
    let list = ann.http.get(V3_TOKENS);
    assert!(!list.text().contains(secret));
    assert!(list.want(200)["data"].as_array().unwrap().contains(&shown));
    assert!(works(&server, &bearer));
    let used = ann.http.get(&format!("{V3_TOKENS}/{id}")).want(200);
    assert_eq!(seconds(&text(&used["lastUsedAt"])) * 1000, used["lastUsedAtTS"].as_i64().unwrap());
}

#[test]
fn a_ttl_above_the_maximum_is_set_to_the_maximum() {
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let ttl_of = |body: &Value| key(&ann.http, body).object["ttl"].as_i64().unwrap();
    for body in [json!({}), json!({"ttl": 0}), json!({"ttl": null}), json!({"ttl": NINETY_DAYS_MS + 1})] {
        assert_eq!(ttl_of(&body), NINETY_DAYS_MS, "{body}");
    }
    assert_eq!(ttl_of(&json!({"ttl": 60_000})), 60_000);
    assert_eq!(ttl_of(&json!({"ttl": i64::MAX})), NINETY_DAYS_MS);
    set(&admin.http, "auth-token-max-ttl-minutes", "1.5");
    assert_eq!(ttl_of(&json!({"ttl": 0})), 90_000);
    assert_eq!(ttl_of(&json!({"ttl": 90_001})), 90_000);
    assert_eq!(ttl_of(&json!({"ttl": 89_999})), 89_999);
    set(&admin.http, "auth-token-max-ttl-minutes", "0");
    assert_eq!(ttl_of(&json!({"ttl": 0})), 0);
    assert_eq!(ttl_of(&json!({})), 0);
    assert_eq!(ttl_of(&json!({"ttl": 86_400_000_000_i64})), 86_400_000_000);
    // Lowering the maximum never shortens what exists.
    let long = key(&ann.http, &json!({"ttl": NINETY_DAYS_MS}));
    set(&admin.http, "auth-token-max-ttl-minutes", "1");
    assert_eq!(ann.http.get(&long.path()).want(200)["ttl"], NINETY_DAYS_MS);
    let negative = ann.http.post(V3_TOKENS, &json!({"ttl": -1}));
    negative.v3_error(422, "MinLimitExceeded");
    assert_eq!(negative.json()["fieldName"], "ttl");
}

#[test]
fn members_that_are_not_the_clients_to_set_are_ignored() {
    let server = Server::start();
    let (ann, bob) = (server.person("ann", &["user"]), server.person("bob", &["user"]));
    // What real clients send back: whole objects, with links and actions that are null (DEC61).
    let made = key(
        &ann.http,
        &json!({
            "type": "token", "baseType": "token", "id": "mine", "name": "mine", "userId": bob.id, "isDerived": false,
            "authProvider": "github", "expired": true, "expiresAt": "2000-01-01T00:00:00Z", "current": true, "links": null,
            "actions": null, "metadata": {"name": "mine"}, "responseType": "json", "token": "mine:mine", "uuid": "x", "created": "x",
            "lastUsedAt": "x", "userPrincipal": "x", "groupPrincipals": null, "providerInfo": null, "creatorId": null,
            "clusterId": null, "nonsense": {"a": [1, 2]}, "description": "kept", "ttl": 3_600_000,
        }),
    )
    .object;
    assert!(text(&made["id"]).starts_with("token-"));
    assert_ne!(made["token"], "mine:mine");
    for (member, value) in [
        ("userId", json!(ann.id)),
        ("isDerived", json!(true)),
        ("authProvider", json!("local")),
        ("expired", json!(false)),
        ("current", json!(false)),
        ("description", json!("kept")),
        ("ttl", json!(3_600_000)),
        ("enabled", json!(true)),
    ] {
        assert_eq!(made[member], value, "{member}");
    }
    assert!(ids(&bob.http.get(V3_TOKENS).want(200)).len() == 1, "bob has his session and nothing else");
}

#[test]
fn a_bad_body_is_refused_and_makes_nothing() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let before = ids(&ann.http.get(V3_TOKENS).want(200));
    let send = |content: &str, body: &str| ann.http.send("POST", V3_TOKENS, content, Some(body.as_bytes()));
    for body in [
        "",
        "{",
        "nonsense",
        "{\"ttl\":}",
        "{\"ttl\":1}x",
        "{\"ttl\": \"1\"}",
        "{\"ttl\": 1.5}",
        "{\"ttl\": 9223372036854775808}",
        "{\"ttl\": true}",
        "{\"description\": 1}",
        "{\"description\": {}}",
        "{\"clusterId\": 1}",
        "{\"labels\": 1}",
        "{\"enabled\": \"yes\"}",
    ] {
        let reply = send("application/json", body);
        // `enabled` is not a client's on create, so what it is does not matter.
        if body.contains("enabled") && reply.status == 201 {
            ann.http.delete(&format!("{V3_TOKENS}/{}", text(&reply.json()["id"])));
            continue;
        }
        assert_eq!(reply.status, 422, "{body}: {}", reply.text());
        let error = reply.json();
        assert!(
            matches!(error["code"].as_str(), Some("InvalidFormat" | "InvalidBodyContent")),
            "{body}: {error}"
        );
        reply.v3_error(422, error["code"].as_str().unwrap());
    }
    for body in ["[]", "null", "1", "\"x\"", "[{\"ttl\":1}]"] {
        let reply = send("application/json", body);
        assert_eq!(reply.status, 422, "{body}: {}", reply.text());
    }
    assert_eq!(ids(&ann.http.get(V3_TOKENS).want(200)), before);
}

#[test]
fn somebody_elses_token_cannot_be_told_from_one_that_is_not() {
    let server = Server::start();
    let (ann, bob) = (server.person("ann", &["user"]), server.person("bob", &["user"]));
    let of_bob = key(&bob.http, &json!({"description": "of bob"}));
    let before = bob.http.get(&of_bob.path()).want(200);
    let touches = |id: &str| {
        let path = format!("{V3_TOKENS}/{id}");
        [
            ann.http.get(&path),
            ann.http.put(&path, &json!({"description": "x"})),
            ann.http.put(&path, &json!({"ttl": 1})),
            ann.http.put(&path, &json!({"ttl": -1})),
            ann.http.put(&path, &json!({"nonsense": 1})),
            ann.http.delete(&path),
            ann.http.post(&format!("{path}?_method=DELETE"), &json!({})),
            ann.http.post(&format!("{path}?action=remove"), &json!({})),
            ann.http.post(&format!("{path}?action=logout"), &json!({})),
            ann.http.get(&format!("{path}/self")),
        ]
    };
    for (there, absent) in touches(&of_bob.id).iter().zip(&touches("token-zzzzz")) {
        assert_eq!(there.status, absent.status, "{}", there.asked);
        assert_eq!(there.text().replace(&of_bob.id, "token-zzzzz"), absent.text(), "{}", there.asked);
        assert!(!there.text().contains("of bob"), "{}", there.text());
    }
    let said = format!("tokens.management.cattle.io {:?} not found", of_bob.id);
    for reply in [ann.http.get(&of_bob.path()), ann.http.delete(&of_bob.path())] {
        assert_eq!(reply.v3_error(404, "NotFound"), said);
    }
    for list in [
        "",
        "?userId=*",
        &format!("?userId={}", bob.id),
        &format!("?userId_ne={}", ann.id),
        &format!("?id={}", of_bob.id),
        &format!("?name={}", of_bob.id),
        "?description=of%20bob",
        "?marker=",
        "?userId=",
        "?userId_in=*",
    ] {
        let reply = ann.http.get(&format!("{V3_TOKENS}{list}"));
        assert!(!reply.text().contains(&of_bob.id) || list.contains(&of_bob.id), "{list}: {}", reply.text());
        if reply.status == 200 {
            assert!(!ids(&reply.json()).contains(&of_bob.id), "{list}");
        }
    }
    let foreign = ann.http.get(&format!("{V3_TOKENS}?userId={}", bob.id)).want(200);
    assert_eq!(foreign["data"], json!([]), "empty, and no refusal");
    let mut after = bob.http.get(&of_bob.path()).want(200);
    for member in ["lastUsedAt", "lastUsedAtTS"] {
        after.as_object_mut().unwrap().remove(member);
    }
    assert_eq!(after, before);
    assert!(works(&server, &of_bob.bearer));
}

#[test]
fn an_admin_reads_changes_and_deletes_anybodys_token_by_its_id() {
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let of_ann = key(&ann.http, &json!({"ttl": 60_000}));
    assert_eq!(admin.http.get(&of_ann.path()).want(200)["userId"], ann.id.as_str());
    let put = |body: Value| admin.http.put(&of_ann.path(), &body);
    assert_eq!(put(json!({"description": "by admin"})).want(200)["description"], "by admin");
    assert_eq!(put(json!({"ttl": 120_000})).want(200)["ttl"], 120_000, "admins may extend");
    let clamped = put(json!({"ttl": NINETY_DAYS_MS * 2})).want(200);
    assert_eq!(clamped["ttl"], NINETY_DAYS_MS);
    assert_eq!(seconds(&text(&clamped["expiresAt"])), expires(&clamped));
    assert!(works(&server, &of_ann.bearer), "the secret stays");
    assert_eq!(put(json!({"enabled": false})).want(200)["enabled"], false);
    assert!(!works(&server, &of_ann.bearer));
    assert_eq!(admin.http.delete(&of_ann.path()).status, 204);
    ann.http.get(&of_ann.path()).v3_error(404, "NotFound");
    // The other door agrees.
    let list = admin.http.get("/apis/management.cattle.io/v3/tokens").want(200);
    assert!(!list.to_string().contains(&of_ann.id));
}

#[test]
fn ones_own_token_can_be_described_switched_and_shortened_but_not_extended() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let own = key(&ann.http, &json!({"ttl": 86_400_000}));
    let put = |body: Value| ann.http.put(&own.path(), &body);
    let changed = put(json!({"description": "new"})).want(200);
    assert_eq!((&changed["description"], &changed["ttl"]), (&json!("new"), &json!(86_400_000)));
    assert_eq!(changed.get("token"), None);
    assert_eq!(put(json!({"ttl": 3_600_000})).want(200)["ttl"], 3_600_000);
    let message = put(json!({"ttl": 3_600_001})).want(400)["message"].clone();
    assert_eq!(message, "forbidden to extend time-to-live");
    for same in [json!({}), json!({"ttl": 0}), json!({"ttl": 3_600_000})] {
        assert_eq!(put(same.clone()).want(200)["ttl"], 3_600_000, "{same}");
    }
    put(json!({"ttl": -5})).v3_error(422, "MinLimitExceeded");
    put(json!({"ttl": "x"})).v3_error(422, "InvalidFormat");
    // The object as it was shown is accepted.
    let shown = ann.http.get(&own.path()).want(200);
    let again = put(shown.clone()).want(200);
    assert_eq!(again["description"], shown["description"]);
    // What is fixed at creation stays.
    let fixed = put(
        json!({"userId": "user-x", "isDerived": false, "name": "other", "authProvider": "x", "description": "last"}),
    );
    if fixed.status == 200 {
        let fixed = fixed.json();
        assert_eq!(
            (fixed["userId"].as_str(), fixed["isDerived"].as_bool()),
            (Some(ann.id.as_str()), Some(true))
        );
    } else {
        assert!((400..500).contains(&fixed.status), "{}", fixed.text());
    }
    let patch = ann.http.patch(&own.path(), "application/merge-patch+json", &json!({"description": "x"}));
    assert_eq!(patch.v3_error(405, "MethodNotAllow"), "Method PATCH not supported");
    let post = ann.http.post(&own.path(), &json!({}));
    assert_eq!(post.v3_error(405, "MethodNotAllow"), "Method POST not supported");
}

#[test]
fn the_session_in_use_is_current_and_cannot_be_deleted() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let other = Person::log_in(&server, &ann.id, "ann", &ann.password);
    let derived = key(&ann.http, &json!({}));
    let current = |http: &Http| -> BTreeSet<String> {
        let list = http.get(V3_TOKENS).want(200);
        let items = list["data"].as_array().unwrap().clone();
        items.iter().filter(|t| t["current"] == true).map(|t| text(&t["id"])).collect()
    };
    let name = |person: &Person| person.bearer.split_once(':').unwrap().0.to_owned();
    assert_eq!(current(&ann.http), BTreeSet::from([name(&ann)]));
    assert_eq!(current(&other.http), BTreeSet::from([name(&other)]));
    let with_key = server.anonymous().bearer(&derived.bearer);
    assert_eq!(current(&with_key), BTreeSet::new(), "a key is never current");
    assert_eq!(ann.http.get("/v3/tokens?current=true").want(200)["data"].as_array().unwrap().len(), 1);
    let session = format!("{V3_TOKENS}/{}", name(&ann));
    let refused = ann.http.delete(&session);
    assert_eq!(
        refused.v3_error(400, "ServerError"),
        "Cannot delete token for current session. Use logout instead"
    );
    assert!(works(&server, &ann.bearer));
    let shown = ann.http.get(&session).want(200);
    assert_eq!(shown["isDerived"], false);
    assert_eq!(shown["labels"]["authn.management.cattle.io/kind"], "session");
    // Another session can be deleted, and a key can delete itself.
    assert_eq!(ann.http.delete(&format!("{V3_TOKENS}/{}", name(&other))).status, 204);
    assert!(!works(&server, &other.bearer));
    assert_eq!(with_key.delete(&derived.path()).status, 204);
    assert!(!works(&server, &derived.bearer));
}

#[test]
fn logging_out_ends_the_token_in_use_its_cookies_and_nothing_else() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let kept = key(&ann.http, &json!({}));
    for path in [
        "/v3/tokens?action=logout",
        "/v3/tokens?action=logoutAll",
        "/v1/logout",
        "/v1/logout?all",
        "/v1/logout?action=logoutAll",
    ] {
        let reply = server
            .anonymous()
            .post(LOGIN, &json!({"username": "ann", "password": ann.password, "responseType": "cookie"}));
        let cookie = reply
            .all("set-cookie")
            .iter()
            .find_map(|c| c.split(';').next().filter(|c| c.starts_with("R_SESS=")))
            .unwrap()
            .to_owned();
        let with_cookie = server.anonymous().with("Cookie", &cookie);
        assert_eq!(with_cookie.get(V3_TOKENS).status, 200);
        let foreign = with_cookie.with("Origin", "https://evil.example").post(path, &json!({}));
        assert!(matches!(foreign.status, 403 | 422), "{path}: {}", foreign.text());
        let out = with_cookie.with("Origin", &server.url()).post(path, &json!({}));
        assert_eq!((out.status, out.body.len()), (200, 0), "{path}: {}", out.text());
        for name in ["R_SESS=", "CSRF="] {
            let cleared = out.all("set-cookie");
            let cleared =
                cleared.iter().find(|c| c.starts_with(name)).unwrap_or_else(|| panic!("{path}: {cleared:?}"));
            assert!(
                cleared.starts_with(&format!("{name};"))
                    && cleared.contains("1982")
                    && cleared.contains("Path=/"),
                "{cleared}"
            );
        }
        // The cookie, replayed, is dead, and so is its value as a bearer.
        with_cookie.get(V3_TOKENS).filtered();
        with_cookie.with("Origin", &server.url()).post(path, &json!({})).want(401);
        assert!(!works(&server, cookie.strip_prefix("R_SESS=").unwrap()));
    }
    assert!(works(&server, &kept.bearer) && works(&server, &ann.bearer));
    // Logging out with an API key deletes that key.
    let out = server.anonymous().bearer(&kept.bearer).post("/v1/logout", &json!({}));
    assert_eq!((out.status, out.body.len()), (200, 0), "{}", out.text());
    assert!(!works(&server, &kept.bearer));
    ann.http.get(&kept.path()).v3_error(404, "NotFound");
    assert_eq!(
        ann.http.post("/v3/tokens?action=fly", &json!({})).v3_error(422, "InvalidAction"),
        "Invalid action: fly"
    );
}

#[test]
fn credentials_are_taken_as_basic_and_bearer_and_refused_in_one_shape() {
    use base64::Engine as _;
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let own = key(&ann.http, &json!({}));
    let basic = base64::engine::general_purpose::URL_SAFE.encode(&own.bearer);
    let with = |value: &str| server.anonymous().with("Authorization", value).get(V3_TOKENS);
    for good in
        [format!("Bearer {}", own.bearer), format!("bearer   {} ", own.bearer), format!("Basic {basic}")]
    {
        assert_eq!(with(&good).status, 200, "{}", good.split(' ').next().unwrap());
    }
    let (name, secret) = own.bearer.split_once(':').unwrap();
    for bad in [
        String::from("Bearer x"),
        format!("Bearer {name}"),
        format!("Bearer {name}:"),
        format!("Bearer :{secret}"),
        format!("Bearer {name}:{secret}x"),
        format!("Bearer {name}:{secret}:"),
        format!("Bearer ext/{name}:{secret}"),
        format!("Digest {}", own.bearer),
        String::from("Basic !!!"),
        format!("Bearer token-zzzzz:{secret}"),
    ] {
        with(&bad).filtered();
    }
    server.anonymous().get(V3_TOKENS).filtered();
    server.anonymous().get(&own.path()).filtered();
    server.anonymous().delete(&own.path()).filtered();
    server.anonymous().post(V3_TOKENS, &json!({})).filtered();
    server.anonymous().get(&format!("{V3_TOKENS}?access_token={}", own.bearer)).filtered();
    // A header alone decides, even one that is nonsense.
    let both = server
        .anonymous()
        .with("Cookie", &format!("R_SESS={}", own.bearer))
        .with("Authorization", "Nonsense x");
    both.get(V3_TOKENS).filtered();
    // The two faces keep to their doors, but either opens both.
    let ext = ann.mint(json!({}));
    assert!(works(&server, &ext.bearer));
    assert!(!ids(&ann.http.get(V3_TOKENS).want(200)).contains(&ext.name));
    ann.http.get(&format!("{V3_TOKENS}/{}", ext.name)).v3_error(404, "NotFound");
}

#[test]
fn a_key_can_make_further_keys_that_outlive_it() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let parent = key(&ann.http, &json!({"ttl": 60_000}));
    let child = key(&server.anonymous().bearer(&parent.bearer), &json!({"ttl": 600_000}));
    assert_eq!(child.object["ttl"], 600_000);
    assert_eq!(ann.http.delete(&parent.path()).status, 204);
    assert!(works(&server, &child.bearer));
}

#[test]
fn a_scoped_key_is_for_its_cluster_only_and_only_for_clusters_one_may_see() {
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let scoped = key(&admin.http, &json!({"clusterId": "local"}));
    assert_eq!(scoped.object["clusterId"], "local");
    assert!(!works(&server, &scoped.bearer), "not on /v3");
    let with = server.anonymous().bearer(&scoped.bearer);
    with.with("X-API-Cluster-Id", "local").get(V3_TOKENS).filtered();
    assert_eq!(with.get("/v3/clusters/local").want(200)["id"], "local");
    with.post(V3_TOKENS, &json!({})).filtered();
    let denied = ann.http.post(V3_TOKENS, &json!({"clusterId": "local"}));
    let absent = ann.http.post(V3_TOKENS, &json!({"clusterId": "nowhere"}));
    // As the older API says it: whether a cluster is there is no secret.
    assert_eq!(denied.status, 403, "{}", denied.text());
    let nowhere = admin.http.post(V3_TOKENS, &json!({"clusterId": "nowhere"}));
    for absent in [absent, nowhere] {
        assert_eq!(absent.want(400)["message"], "cluster nowhere not found");
    }
}

#[test]
fn logins_are_sessions_of_their_own_ttl_whatever_the_maximum() {
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let session = |body: Value| {
        let made = server.anonymous().post(LOGIN, &body).want(201);
        let id = text(&made["id"]);
        (ann.http.get(&format!("{V3_TOKENS}/{id}")).want(200), made)
    };
    let body = json!({"username": "ann", "password": ann.password, "responseType": "json", "description": "from here", "ttl": 1000});
    set(&admin.http, "auth-token-max-ttl-minutes", "1");
    let (shown, made) = session(body.clone());
    assert_eq!(
        shown["ttl"], 57_600_000,
        "16 hours, though keys live a minute at most and the login asked for less"
    );
    assert_eq!((&shown["isDerived"], &shown["description"]), (&json!(false), &json!("from here")));
    assert_eq!(shown["expiresAt"], made["expiresAt"]);
    assert_eq!(key(&ann.http, &json!({})).object["ttl"], 60_000);
    set(&admin.http, "auth-user-session-ttl-minutes", "2000");
    assert_eq!(session(body.clone()).0["ttl"], 120_000_000);
    set(&admin.http, "auth-user-session-ttl-minutes", "0");
    let (shown, _) = session(body);
    assert_eq!((&shown["ttl"], &shown["expiresAt"]), (&json!(0), &json!("")), "0 minutes: never");
    login(&server.anonymous(), "admin", BOOTSTRAP_PASSWORD).want(201);
}

#[test]
fn the_dashboards_reading_of_ext_tokens_works_through_v1() {
    let server = Server::start();
    let (ann, bob) = (server.person("ann", &["user"]), server.person("bob", &["user"]));
    let (own, of_bob) = (ann.mint(json!({"description": "mine"})), bob.mint(json!({})));
    let list = ann.http.get("/v1/ext.cattle.io.tokens").want(200);
    assert_eq!(list["type"], "collection");
    assert_eq!(ids(&list), [own.name.as_str()]);
    let item = &list["data"][0];
    assert_eq!((&item["type"], &item["kind"]), (&json!("ext.cattle.io.token"), &json!("Token")));
    assert_eq!(item["spec"]["description"], "mine");
    assert_eq!(item["metadata"]["name"], own.name.as_str());
    assert!(!list.to_string().contains(&own.value));
    let one = ann.http.get(&format!("/v1/ext.cattle.io.tokens/{}", own.name)).want(200);
    assert_eq!(one["id"], own.name.as_str());
    assert_eq!(ann.http.get(&format!("/v1/ext.cattle.io.tokens/{}", of_bob.name)).status, 404);
    assert_eq!(server.anonymous().get("/v1/ext.cattle.io.tokens").status, 401);
}

#[test]
fn deleting_a_user_takes_their_keys_with_it() {
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let own = key(&ann.http, &json!({}));
    let shell = system_token(&admin.http, "kubectl-shell", &ann.id, None);
    let reply = admin.http.delete(&format!("/v3/users/{}", ann.id));
    assert!(matches!(reply.status, 200 | 204), "{}", reply.text());
    for token in [&own, &shell] {
        assert!(!works(&server, &token.bearer));
        admin.http.get(&token.path()).v3_error(404, "NotFound");
    }
    assert!(!ids(&admin.http.get("/v3/tokens?userId=*").want(200)).contains(&own.id));
}
