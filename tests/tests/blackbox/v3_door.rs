//! The door of `/v3` against bad input, foreign pages and foreign hands: the code and the shape, and that nothing changed.

use eartag_tests::http::text;
use eartag_tests::raw;
use eartag_tests::v3::{LEGACY, V3_TOKENS, ids, key, works};
use eartag_tests::{Http, MANAGEMENT, Person, Server};
use serde_json::{Value, json};

/// All that a client could have changed, without what moves by itself.
fn everything(admin: &Http) -> Value {
    let resources =
        ["users", "settings", "features", "globalroles", "globalrolebindings", "clusters", "tokens"];
    let mut all: Vec<Value> = resources
        .iter()
        .map(|resource| admin.get(&format!("{MANAGEMENT}/{resource}")).want(200)["items"].clone())
        .collect();
    all.push(admin.get(eartag_tests::TOKENS).want(200)["items"].clone());
    for item in all.iter_mut().flat_map(|items| items.as_array_mut().unwrap()) {
        let members = item.as_object_mut().unwrap();
        members.remove("lastUsedAt");
        if let Some(status) = members.get_mut("status").and_then(Value::as_object_mut) {
            status.remove("lastUsedAt");
        }
    }
    Value::Array(all)
}

struct Stage {
    server: Server,
    admin: Person,
    ann: Person,
    own: eartag_tests::v3::Key,
}

fn stage() -> Stage {
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let own = key(&ann.http, &json!({"description": "own"}));
    Stage { server, admin, ann, own }
}

impl Stage {
    /// A browser's client with ann's cookie.
    fn cookie(&self) -> Http {
        let http = self.server.anonymous().with("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) Chrome/148");
        http.with("Cookie", &format!("R_SESS={}; CSRF=0123456789abcdef0123456789abcdef", self.ann.bearer))
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

#[test]
fn a_foreign_page_with_a_cookie_changes_nothing() {
    let stage = stage();
    let before = everything(&stage.admin.http);
    let (path, item) = (V3_TOKENS.to_owned(), stage.own.path());
    let user = format!("/v3/users/{}", stage.ann.id);
    let foreign = [
        stage.cookie().with("Origin", "https://evil.example"),
        stage.cookie().with("Origin", "null"),
        stage.cookie().with("Referer", "https://evil.example/x"),
        stage
            .cookie()
            .with("Origin", "https://evil.example")
            .with("Sec-Fetch-Site", "cross-site")
            .with("Sec-Fetch-Mode", "no-cors"),
        stage.cookie().with("Origin", &stage.server.url().replace("https", "http")),
        // Guessing the CSRF token.
        stage
            .cookie()
            .with("Origin", "https://evil.example")
            .with("X-API-CSRF", "00000000000000000000000000000000"),
        stage.cookie().with("Origin", "https://evil.example").with("X-API-CSRF", ""),
        // No origin at all: a browser old enough to leave it out.
        stage.cookie(),
    ];
    for http in &foreign {
        let send = |method: &str, path: &str, content: &str, body: &str| {
            http.send(method, path, content, Some(body.as_bytes()))
        };
        let tries = [
            // A form, a form that lies about its type, a blob.
            send("POST", &path, FORM, "description=x&ttl=0"),
            send("POST", &format!("{path}?_format=html"), FORM, "description=x&CSRF=x"),
            send("POST", &path, "text/plain", "{\"description\":\"x\"}"),
            send(
                "POST",
                &path,
                "multipart/form-data; boundary=x",
                "--x\r\nContent-Disposition: form-data; name=\"description\"\r\n\r\nx\r\n--x--\r\n",
            ),
            send("POST", &path, "", "{\"description\":\"x\"}"),
            send("POST", &path, "application/json", "{\"description\":\"x\"}"),
            // Methods in disguise.
            send("POST", &format!("{item}?_method=DELETE"), FORM, ""),
            send("POST", &format!("{item}?_method=PUT"), FORM, "description=x"),
            send("POST", &format!("{item}?action=remove"), FORM, ""),
            send("POST", &format!("{item}?_method=delete&_format=html"), "text/plain", ""),
            send("POST", &format!("{path}?action=logout"), FORM, ""),
            send("POST", "/v1/logout", FORM, ""),
            send(
                "POST",
                &format!("{user}?action=setpassword"),
                "text/plain",
                "{\"newPassword\":\"x x x x x x x x\"}",
            ),
            send(
                "POST",
                "/v3/users?action=changepassword",
                "text/plain",
                &json!({"currentPassword": stage.ann.password, "newPassword": "changed from afar"})
                    .to_string(),
            ),
            http.delete(&item),
            http.put(&item, &json!({"enabled": false})),
            // The Kubernetes door takes the same cookie.
            send("POST", eartag_tests::TOKENS, "text/plain", "{}"),
            http.delete(&stage.own.legacy()),
        ];
        for reply in tries {
            assert!(
                matches!(reply.status, 403 | 422),
                "{} {:?}: {} {}",
                reply.asked,
                http.headers(),
                reply.status,
                reply.text()
            );
            if reply.asked.contains("/v3/tokens")
                && reply.header("content-type") == Some("application/json")
                && !reply.asked.contains("/apis/")
            {
                assert_eq!(reply.v3_error(422, "InvalidCSRFToken"), "Invalid CSRF token", "{}", reply.asked);
            }
        }
        // GET is no way to change anything either (DEC54): a link or an image could do it.
        for disguised in [
            format!("{item}?_method=DELETE"),
            format!("{item}?action=remove"),
            format!("{path}?action=logout"),
            format!("{path}?_method=POST"),
        ] {
            let reply = http.get(&disguised);
            assert!(matches!(reply.status, 200 | 404 | 405 | 422), "{disguised}: {}", reply.status);
        }
    }
    assert_eq!(everything(&stage.admin.http), before);
    assert!(works(&stage.server, &stage.own.bearer) && works(&stage.server, &stage.ann.bearer));
}

#[test]
fn our_own_page_and_whoever_repeats_the_csrf_token_may() {
    let stage = stage();
    let ours = stage.cookie().with("Origin", &stage.server.url());
    let repeats = stage.cookie().with("X-API-CSRF", "0123456789abcdef0123456789abcdef");
    let json = |http: &Http| {
        http.with("Accept", "application/json").post(V3_TOKENS, &json!({"description": "fine"}))
    };
    json(&ours).want(201);
    json(&repeats).want(201);
    let in_query = stage
        .cookie()
        .with("Accept", "application/json")
        .post(&format!("{V3_TOKENS}?CSRF=0123456789abcdef0123456789abcdef"), &json!({}));
    in_query.want(201);
    // A form of ours, as the API view sends it.
    let form = ours.send(
        "POST",
        &format!("{}?_format=html&_method=PUT", stage.own.path()),
        FORM,
        Some(b"CSRF=0123456789abcdef0123456789abcdef&description=by+form"),
    );
    assert!(form.status == 200 || (300..400).contains(&form.status), "{} {}", form.status, form.text());
    assert_eq!(stage.ann.http.get(&stage.own.path()).want(200)["description"], "by form");
    // A bearer needs no proof: no browser sends one by itself.
    let bearer = stage.server.anonymous().bearer(&stage.ann.bearer).with("Origin", "https://evil.example");
    bearer.post(V3_TOKENS, &json!({})).want(201);
    assert_eq!(
        bearer.send("POST", &format!("{}?_method=DELETE", stage.own.path()), "", Some(b"")).status,
        204
    );
}

#[test]
fn a_browser_is_given_a_csrf_token_once() {
    let stage = stage();
    let browser = stage.server.anonymous().with("User-Agent", "Mozilla/5.0");
    let with = browser.bearer(&stage.ann.bearer);
    let reply = with.get(V3_TOKENS);
    let cookies = reply.all("set-cookie");
    let csrf = cookies.iter().find(|c| c.starts_with("CSRF=")).unwrap_or_else(|| panic!("{cookies:?}"));
    let value = csrf.strip_prefix("CSRF=").unwrap().split(';').next().unwrap();
    assert!(value.len() == 32 && value.bytes().all(|b| b.is_ascii_hexdigit()), "{csrf}");
    for part in ["Path=/", "Secure", "SameSite=Lax"] {
        assert!(csrf.contains(part), "{csrf}");
    }
    assert!(!csrf.contains("HttpOnly"), "{csrf}");
    assert_eq!(
        with.with("Cookie", &format!("CSRF={value}")).get(V3_TOKENS).all("set-cookie"),
        Vec::<&str>::new()
    );
    assert_eq!(stage.ann.http.get(V3_TOKENS).all("set-cookie"), Vec::<&str>::new(), "other clients get none");
}

#[test]
fn a_websocket_with_a_cookie_from_a_foreign_page_is_not_opened() {
    let stage = stage();
    let config = raw::config(&stage.server.ca_file(), &["http/1.1"]);
    let watch = format!("{}?watch=true", eartag_tests::TOKENS);
    for path in [watch.as_str(), V3_TOKENS, "/v3/subscribe"] {
        for origin in ["https://evil.example", "null", ""] {
            let origin = if origin.is_empty() { String::new() } else { format!("Origin: {origin}\r\n") };
            let reply = raw::exchange(
                stage.server.address(),
                &config,
                format!(
                    "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{origin}Cookie: R_SESS={}\r\n\r\n",
                    stage.server.address(),
                    stage.ann.bearer
                )
                .as_bytes(),
            );
            let status = reply.split(' ').nth(1).unwrap_or_default();
            assert!(matches!(status, "401" | "403" | "422"), "{path} {origin:?}: {reply}");
            assert!(!reply.contains(&stage.own.id), "{reply}");
        }
    }
}

#[test]
fn monstrous_bodies_are_refused_in_bounded_time() {
    let stage = stage();
    let before = everything(&stage.admin.http);
    let deep =
        |open: &str, close: &str| format!("{{\"labels\":{}{}}}", open.repeat(10_000), close.repeat(10_000));
    let arrays = deep("[", "]");
    let objects = format!("{{\"labels\":{}1{}}}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    let unclosed = "[".repeat(100_000);
    let yaml = format!("description: {}{}", "[".repeat(10_000), "]".repeat(10_000));
    let bomb = format!("a: &a [x,x,x,x,x,x,x,x,x]\n{}", (b'b'..=b'k').map(|c| {
        let (name, before) = (char::from(c), char::from(c - 1));
        format!("{name}: &{name} [*{before},*{before},*{before},*{before},*{before},*{before},*{before},*{before},*{before}]\n")
    }).collect::<String>());
    let bodies: [(&str, &str); 6] = [
        ("application/json", &arrays),
        ("application/json", &objects),
        ("application/json", &unclosed),
        ("application/yaml", &yaml),
        ("application/yaml", &bomb),
        ("application/json", "\u{feff}{}"),
    ];
    let item = stage.own.path();
    for (content, body) in bodies {
        for (method, path) in
            [("POST", V3_TOKENS), ("PUT", item.as_str()), ("POST", "/v3/users?action=changepassword")]
        {
            let reply = stage.ann.http.send(method, path, content, Some(body.as_bytes()));
            assert!(
                (400..500).contains(&reply.status),
                "{} with {}…: {} {}",
                reply.asked,
                &body[..20.min(body.len() - 3)],
                reply.status,
                reply.text()
            );
        }
    }
    let ann = &stage.ann.http;
    // More than 2 MiB. The refusal comes before all is sent, and then may be lost with the connection; nothing is made in any case.
    let large = format!("{{\"description\":\"{}\"}}", "x".repeat(2 << 20));
    for (method, path) in [
        ("POST", V3_TOKENS),
        ("PUT", item.as_str()),
        ("POST", "/v3-public/localProviders/local?action=login"),
        ("POST", "/v1-public/login"),
    ] {
        if let Ok(reply) = ann.try_send(method, path, "application/json", Some(large.as_bytes())) {
            assert!(matches!(reply.status, 413 | 422), "{}: {} {}", reply.asked, reply.status, reply.text());
        }
    }
    // Just below that, a description is too long.
    let long = format!("{{\"description\":\"{}\"}}", "x".repeat(1 << 20));
    let reply = ann.send("POST", V3_TOKENS, "application/json", Some(long.as_bytes()));
    assert!(matches!(reply.status, 413 | 422), "{} {}", reply.status, reply.text());
    // Odd addresses.
    for path in [
        "/v3/tokens/",
        "/v3/tokens/%00",
        "/v3/tokens/..",
        "/v3/tokens/%2e%2e",
        "/v3/tokens/a%2fb",
        "/v3/tokens/%ff",
        "/v3//tokens",
        "/v3/tokens?%",
        "/v3/tokens?=&&=",
        "/v3/tokens/x/y/z",
        "/v3/TOKENS/x",
        &format!("/v3/tokens/{}", "x".repeat(4000)),
        &format!("/v3/tokens?{}", "a=b&".repeat(2000)),
        "/v3/tokens?sort=%00&limit=1",
        "/v3/tokens/x?link=y",
        "/v3/schemas/nothing",
        "/v3/projects/x",
    ] {
        let reply = ann.get(path);
        assert!(reply.status < 500, "{path}: {} {}", reply.status, reply.text());
        assert!(!reply.text().contains("panicked"), "{path}");
    }
    assert_eq!(everything(&stage.admin.http), before);
}

#[test]
fn a_member_named_twice_is_refused_or_read_once() {
    let stage = stage();
    let twice = r#"{"description":"first","description":"second","ttl":60000}"#;
    let reply = stage.ann.http.send("POST", V3_TOKENS, "application/json", Some(twice.as_bytes()));
    match reply.status {
        201 => assert_eq!(
            reply.json()["description"],
            "second",
            "the last one counts, as in the reference's decoder"
        ),
        status => assert_eq!(status, 422, "{}", reply.text()),
    }
}

#[test]
fn unknown_types_methods_and_actions_have_their_codes() {
    let stage = stage();
    let http = &stage.ann.http;
    let item = stage.own.path();
    let cases: [(&str, &str, u16, &str); 12] = [
        ("GET", "/v3/nothing", 404, "NotFound"),
        ("POST", "/v3/nothing", 404, "NotFound"),
        ("GET", "/v3/nothing/x", 404, "NotFound"),
        ("GET", "/v3/tokens/token-zzzzz", 404, "NotFound"),
        ("PUT", V3_TOKENS, 405, "MethodNotAllow"),
        ("DELETE", V3_TOKENS, 405, "MethodNotAllow"),
        ("PATCH", V3_TOKENS, 405, "MethodNotAllow"),
        ("PATCH", &item, 405, "MethodNotAllow"),
        ("POST", &item, 405, "MethodNotAllow"),
        ("POST", "/v3/tokens?action=fly", 422, "InvalidAction"),
        ("POST", "/v3/settings", 405, "MethodNotAllow"),
        ("DELETE", "/v3/settings/first-login", 405, "MethodNotAllow"),
    ];
    for (method, path, status, code) in cases {
        let reply = http.send(method, path, "application/json", Some(b"{}"));
        let message = reply.v3_error(status, code);
        if code == "MethodNotAllow" {
            assert_eq!(message, format!("Method {method} not supported"), "{path}");
        }
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{path}");
    }
    let head = http.send("HEAD", V3_TOKENS, "", None);
    assert!(matches!(head.status, 200 | 405) && head.body.is_empty(), "{}", head.status);
    assert!(works(&stage.server, &stage.own.bearer));
}

#[test]
fn a_replayed_cookie_of_a_deleted_or_logged_out_session_is_dead() {
    let stage = stage();
    let name = stage.ann.bearer.split_once(':').unwrap().0;
    let cookie = stage.cookie();
    assert_eq!(cookie.with("Accept", "application/json").get(V3_TOKENS).status, 200);
    assert_eq!(stage.admin.http.delete(&format!("{V3_TOKENS}/{name}")).status, 204);
    for _ in 0..2 {
        cookie.with("Accept", "application/json").get(V3_TOKENS).filtered();
        cookie
            .with("Accept", "application/json")
            .with("Origin", &stage.server.url())
            .post(V3_TOKENS, &json!({}))
            .filtered();
    }
    // Made anew under the same name, a session would not be this one: names are drawn, secrets too.
    let ext = stage.server.anonymous().with("Cookie", &format!("R_SESS={name}:{}", "x".repeat(54)));
    ext.get(V3_TOKENS).filtered();
}

#[test]
fn the_two_doors_agree_about_every_record() {
    let stage = stage();
    for n in 0..4 {
        let made = key(&stage.ann.http, &json!({"ttl": 60_000 * (n + 1), "description": format!("n{n}")}));
        if n % 2 == 0 {
            stage.ann.http.put(&made.path(), &json!({"enabled": false})).want(200);
        }
    }
    let v3 = stage.admin.http.get("/v3/tokens?userId=*").want(200);
    let kubernetes = stage.admin.http.get(LEGACY).want(200);
    let items = kubernetes["items"].as_array().unwrap();
    assert_eq!(ids(&v3).len(), items.len());
    for item in v3["data"].as_array().unwrap() {
        let other = items.iter().find(|other| other["metadata"]["name"] == item["id"]).unwrap();
        assert_eq!(item["uuid"], other["metadata"]["uid"]);
        assert_eq!(item["created"], other["metadata"]["creationTimestamp"]);
        for member in ["ttl", "userId", "isDerived", "enabled", "expired", "authProvider"] {
            assert_eq!(item[member], other[member], "{member} of {item}");
        }
        assert_eq!(item["expiresAt"].as_str().unwrap_or(""), other["expiresAt"].as_str().unwrap_or(""));
        assert_eq!(item["description"].as_str().unwrap_or(""), other["description"].as_str().unwrap_or(""));
        assert_eq!(other.get("token"), None);
    }
    // Writes through one show in the other.
    let own = &stage.own;
    stage.admin.http.merge(&own.legacy(), &json!({"description": "by kubectl"})).want(200);
    let shown = stage.ann.http.get(&own.path()).want(200);
    assert_eq!(text(&shown["description"]), "by kubectl");
}
