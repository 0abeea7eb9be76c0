//! G8: bad input of any shape gets a clear error within bounded time and memory, and changes nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use eartag_tests::http::{JSON_PATCH, MERGE, STRATEGIC, text};
use eartag_tests::people::token;
use eartag_tests::wait::PATIENCE;
use eartag_tests::{MANAGEMENT, Reply, Server, Setup, TOKENS, needs_kubectl, raw};
use serde_json::{Value, json};

const LIMIT: usize = 3 * 1024 * 1024;

/// A clear refusal: a `Status` with this code, whose text names nothing of our insides.
#[track_caller]
fn refused(reply: &Reply, codes: &[u16]) -> String {
    let what = reply.text();
    assert!(codes.contains(&reply.status), "{}: {} {what}", reply.asked, reply.status);
    let status = reply.json();
    assert_eq!(
        (status["kind"].as_str(), status["status"].as_str()),
        (Some("Status"), Some("Failure")),
        "{what}"
    );
    assert_eq!(status["code"], reply.status, "{what}");
    let message = text(&status["message"]);
    for inside in ["panicked", "src/", "serde", "postcard", "sqlite", "::"] {
        assert!(!message.contains(inside), "{message}");
    }
    assert!(!message.is_empty() && message.len() < 4096, "{message}");
    message
}

#[test]
fn malformed_bodies_are_bad_requests() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let before = ann.http.revision(TOKENS);
    let post = |content_type: &str, body: &[u8]| ann.http.send("POST", TOKENS, content_type, Some(body));
    let json = "application/json";
    for body in [
        &b"{"[..],
        b"}",
        b"[]",
        b"[{}]",
        b"null x",
        b"\"text\"",
        b"1",
        b"true",
        b"{\"spec\":}",
        b"{\"spec\":{}",
        b"{'spec':{}}",
        b"{\"spec\":{},}",
        b"{}{}",
        b"{} trailing",
        b"\xff\xfe",
        b"{\"a\":\"\xff\"}",
        b"{\"spec\":{\"description\":\"\\ud800\"}}",
        b"\0",
        b"{\"spec\":{\"ttl\":1e}}",
        b"{\"spec\":{\"ttl\":01}}",
        b"{\"spec\":{\"ttl\":NaN}}",
        b"{\"spec\":[]}",
        b"{\"spec\":\"x\"}",
        b"{\"metadata\":[]}",
        b"{\"metadata\":{\"labels\":[]}}",
        b"{\"metadata\":{\"labels\":{\"a\":1}}}",
        b"{\"metadata\":{\"finalizers\":\"x\"}}",
        b"{\"kind\":1}",
    ] {
        let reply = post(json, body);
        assert_eq!(reply.status, 400, "of {:?}: {}", String::from_utf8_lossy(body), reply.text());
        refused(&reply, &[400]);
    }
    for body in [
        &b"a: b: c"[..],
        b"\t- x",
        b"a: [",
        b"%YAML 9.9\n",
        b"*nothing",
        b"- a\n- b",
        b"text",
        b"&a [*a]",
        b"? {a: b}\n: c",
        b"!!python/object:os.system x",
    ] {
        let reply = post("application/yaml", body);
        assert_eq!(reply.status, 400, "of {:?}: {}", String::from_utf8_lossy(body), reply.text());
        refused(&reply, &[400]);
    }
    refused(&post("application/vnd.kubernetes.protobuf", b"k8s\0garbage"), &[400, 415]);
    refused(&post("application/vnd.kubernetes.protobuf", b""), &[400, 415]);
    let message = refused(&post("text/plain", b"{}"), &[415]);
    assert!(message.starts_with("the body of the request was in an unknown format - accepted media types include: application/json"), "{message}");
    refused(&post("application/x-www-form-urlencoded", b"a=b"), &[415]);
    refused(&post("nonsense", b"{}"), &[415]);
    // An empty body is no object in JSON; without a content type it counts as JSON.
    assert!(matches!(post(json, b"").status, 400 | 201));
    assert_eq!(ann.http.revision(TOKENS) - before, u64::from(post(json, b"").status == 201) * 2);
}

#[test]
fn a_body_without_a_content_type_is_json() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    assert_eq!(ann.http.send("POST", TOKENS, "", Some(b"{}")).status, 201);
    assert_eq!(ann.http.send("POST", TOKENS, "application/json; charset=utf-8", Some(b"{}")).status, 201);
    assert_eq!(
        ann.http.send("POST", TOKENS, "application/yaml", Some(b"spec:\n  description: in yaml\n")).want(201)
            ["spec"]["description"],
        "in yaml"
    );
    let two = ann.http.send(
        "POST",
        TOKENS,
        "application/yaml",
        Some(b"spec:\n  description: first\n---\nspec:\n  description: second\n"),
    );
    assert_eq!(two.want(201)["spec"]["description"], "first");
}

#[test]
fn wrong_kinds_and_versions_are_said_so() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let post = |body: Value| ann.http.post(TOKENS, &body);
    assert_eq!(
        refused(&post(json!({"apiVersion": "ext.cattle.io/v2", "kind": "Token"})), &[400]),
        "the API version in the data (ext.cattle.io/v2) does not match the expected API version (ext.cattle.io/v1)"
    );
    let message = refused(&post(json!({"apiVersion": "ext.cattle.io/v1", "kind": "Tokn"})), &[400]);
    assert!(
        message.starts_with(
            "Tokn in version \"v1\" cannot be handled as a Token: no kind \"Tokn\" is registered"
        ),
        "{message}"
    );
    refused(&post(json!({"apiVersion": "/", "kind": "Token"})), &[400]);
    refused(&post(json!({"metadata": {"resourceVersion": "1"}})), &[400, 500]);
}

#[test]
fn wrong_types_are_worded_as_go_does() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let before = ann.http.revision(TOKENS);
    let cases = [
        (r#"{"spec":{"ttl":"x"}}"#, "json: cannot unmarshal string into Go struct field"),
        (r#"{"spec":{"ttl":1.5}}"#, "json: cannot unmarshal number 1.5 into Go struct field"),
        (
            r#"{"spec":{"ttl":9223372036854775808}}"#,
            "json: cannot unmarshal number 9223372036854775808 into Go struct field",
        ),
        (r#"{"spec":{"ttl":1e400}}"#, "number"),
        (r#"{"spec":{"ttl":true}}"#, "json: cannot unmarshal bool into Go struct field"),
        (r#"{"spec":{"ttl":{}}}"#, "json: cannot unmarshal object into Go struct field"),
        (r#"{"spec":{"ttl":[]}}"#, "json: cannot unmarshal array into Go struct field"),
        (r#"{"spec":{"enabled":"yes"}}"#, "json: cannot unmarshal string into Go struct field"),
        (r#"{"spec":{"description":5}}"#, "json: cannot unmarshal number into Go struct field"),
    ];
    for (body, expected) in cases {
        let message =
            refused(&ann.http.send("POST", TOKENS, "application/json", Some(body.as_bytes())), &[400]);
        assert!(
            message.starts_with("Token in version \"v1\" cannot be handled as a Token: "),
            "{body}: {message}"
        );
        assert!(message.contains(expected), "{body}: {message}");
    }
    assert_eq!(ann.http.revision(TOKENS), before);
}

#[test]
fn unknown_and_duplicate_fields_follow_field_validation() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let twice = br#"{"spec":{"description":"a","nonsense":1,"description":"b"},"extra":{}}"#;
    let send = |mode: &str| {
        ann.http.send("POST", &format!("{TOKENS}?fieldValidation={mode}"), "application/json", Some(twice))
    };
    let before = ann.http.revision(TOKENS);
    let message = refused(&send("Strict"), &[400]);
    assert!(
        message.starts_with("Token in version \"v1\" cannot be handled as a Token: strict decoding error: "),
        "{message}"
    );
    for problem in
        ["unknown field \"spec.nonsense\"", "unknown field \"extra\"", "duplicate field \"spec.description\""]
    {
        assert!(message.contains(problem), "{message}");
    }
    assert_eq!(ann.http.revision(TOKENS), before);
    for mode in ["Warn", ""] {
        let warned = send(mode);
        assert_eq!(warned.want(201)["spec"]["description"], "b");
        let mut warnings = warned.all("warning");
        warnings.sort_unstable();
        assert_eq!(
            warnings,
            [
                "299 - \"duplicate field \\\"spec.description\\\"\"",
                "299 - \"unknown field \\\"extra\\\"\"",
                "299 - \"unknown field \\\"spec.nonsense\\\"\"",
            ]
        );
    }
    let ignored = send("Ignore");
    assert_eq!(ignored.want(201)["spec"]["description"], "b");
    assert_eq!(ignored.all("warning"), Vec::<&str>::new());
    assert!(refused(&send("Sometimes"), &[422]).contains("fieldValidation"));
    // Case matters.
    let message = refused(
        &ann.http.send(
            "POST",
            &format!("{TOKENS}?fieldValidation=Strict"),
            "application/json",
            Some(br#"{"Spec":{}}"#),
        ),
        &[400],
    );
    assert!(message.contains("unknown field \"Spec\""), "{message}");
    // The same on updates, and on patches in their own words.
    let name = ann.mint(json!({})).name;
    let put = json!({"metadata": {"name": name}, "spec": {"nonsense": 1}});
    refused(&ann.http.put(&format!("{}?fieldValidation=Strict", token(&name)), &put), &[400]);
    let patch = ann.http.send(
        "PATCH",
        &format!("{}?fieldValidation=Strict", token(&name)),
        MERGE,
        Some(br#"{"spec":{"nonsense":1}}"#),
    );
    let message = refused(&patch, &[422]);
    assert!(message.contains("unknown field \"spec.nonsense\""), "{message}");
}

#[test]
fn bodies_over_the_limit_are_413_and_cost_nothing() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let before = ann.http.revision(TOKENS);
    let name = ann.mint(json!({})).name;
    let large = format!(r#"{{"spec":{{"description":"{}"}}}}"#, "x".repeat(LIMIT));
    let memory = server.memory();
    for (method, path, content) in [
        ("POST", TOKENS.to_owned(), "application/json"),
        ("POST", TOKENS.to_owned(), "application/yaml"),
        ("PUT", token(&name), "application/json"),
        ("PATCH", token(&name), MERGE),
        ("PATCH", token(&name), JSON_PATCH),
        ("DELETE", token(&name), "application/json"),
    ] {
        let reply = ann.http.try_send(method, &path, content, Some(large.as_bytes()));
        // The server may close before it has read what it will not take.
        let Ok(reply) = reply else { continue };
        assert_eq!(
            reply.refused(413, "RequestEntityTooLarge"),
            "Request entity too large: limit is 3145728",
            "{method}"
        );
    }
    for path in ["/v3/users", "/v3-public/localProviders/local?action=login", "/v1-public/login"] {
        if let Ok(reply) = ann.http.try_send("POST", path, "application/json", Some(large.as_bytes())) {
            assert!(matches!(reply.status, 413 | 422), "{path}: {}", reply.status);
        }
    }
    assert!(server.memory() < memory + 64 * 1024 * 1024, "{memory} → {}", server.memory());
    // Just under the limit is read, and refused for what it is: a value that is too large to store, or stored.
    let body = format!(r#"{{"spec":{{"description":"{}"}}}}"#, "x".repeat(LIMIT - 100));
    let reply = ann.http.send("POST", TOKENS, "application/json", Some(body.as_bytes()));
    if reply.status != 201 {
        refused(&reply, &[400, 413, 422]);
    }
    assert!(ann.http.revision(TOKENS) <= before + 2);
}

#[test]
fn deep_nesting_is_refused_and_overflows_nothing() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let before = ann.http.revision(TOKENS);
    for depth in [200, 5_000, 100_000, 1_000_000] {
        let open = "[".repeat(depth);
        for body in [
            format!(r#"{{"spec":{open}"#),
            format!(r#"{{"nonsense":{open}{}}}"#, "]".repeat(depth)),
            format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth)),
        ] {
            if body.len() > LIMIT {
                continue;
            }
            refused(&ann.http.send("POST", TOKENS, "application/json", Some(body.as_bytes())), &[400, 413]);
        }
        let yaml = "- ".repeat(depth);
        refused(&ann.http.send("POST", TOKENS, "application/yaml", Some(yaml.as_bytes())), &[400, 413]);
        let flow = format!("a: {open}");
        refused(&ann.http.send("POST", TOKENS, "application/yaml", Some(flow.as_bytes())), &[400, 413]);
    }
    // An alias bomb.
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
    for n in 1..12 {
        let aliases = vec![format!("*a{}", n - 1); 9].join(",");
        bomb.push_str(&format!("a{n}: &a{n} [{aliases}]\n"));
    }
    let started = Instant::now();
    refused(&ann.http.send("POST", TOKENS, "application/yaml", Some(bomb.as_bytes())), &[400, 413]);
    assert!(started.elapsed() < Duration::from_secs(60));
    assert_eq!(ann.http.revision(TOKENS), before);
    assert!(server.memory() < 400 * 1024 * 1024, "{}", server.memory());
}

#[test]
fn bad_patches_are_told_apart() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let name = ann.mint(json!({"description": "same"})).name;
    let path = token(&name);
    let before = ann.http.get(&path).want(200);
    let patch = |content: &str, body: &str| ann.http.send("PATCH", &path, content, Some(body.as_bytes()));
    for (content, body, codes) in [
        (JSON_PATCH, "{", &[400][..]),
        (JSON_PATCH, "{}", &[400]),
        (JSON_PATCH, r#"[{"op":"nonsense","path":"/spec"}]"#, &[400, 422]),
        (JSON_PATCH, r#"[{"op":"test","path":"/spec/description","value":"other"}]"#, &[422]),
        (JSON_PATCH, r#"[{"op":"remove","path":"/spec/nothing"}]"#, &[422]),
        (JSON_PATCH, r#"[{"op":"replace","path":"no-slash","value":1}]"#, &[400, 422]),
        (JSON_PATCH, r#"[{"op":"replace","path":"/spec/ttl","value":"x"}]"#, &[400, 422]),
        (JSON_PATCH, r#"[{"op":"replace","path":"/metadata/name","value":"token-zzzzz"}]"#, &[400, 409, 422]),
        (JSON_PATCH, r#"[{"op":"replace","path":"","value":[]}]"#, &[400, 422]),
        (MERGE, "[", &[400]),
        (MERGE, "[]", &[400, 422]),
        (MERGE, "null", &[400, 422]),
        (MERGE, r#"{"spec":{"ttl":"x"}}"#, &[400, 422]),
        (MERGE, r#"{"metadata":{"labels":{"-bad-":"x"}}}"#, &[422]),
        (MERGE, r#"{"metadata":{"labels":{"a":"not a value!"}}}"#, &[422]),
        (MERGE, r#"{"metadata":{"uid":"00000000-0000-4000-8000-000000000000"}}"#, &[400, 409, 422]),
        (STRATEGIC, r#"{"spec":{"$patch":"nonsense"}}"#, &[400, 422]),
        (STRATEGIC, "{", &[400]),
        ("application/json", "{}", &[415]),
        ("text/plain", "{}", &[415]),
    ] {
        let message = refused(&patch(content, body), codes);
        assert!(!message.contains("Internal error"), "{content} {body}: {message}");
    }
    let many =
        format!("[{}]", vec![r#"{"op":"test","path":"/spec/description","value":"same"}"#; 10_001].join(","));
    refused(&patch(JSON_PATCH, &many), &[413]);
    let copies = format!(
        r#"[{{"op":"add","path":"/metadata/annotations","value":{{"a":"{}"}}}},{}]"#,
        "x".repeat(100_000),
        (0..60)
            .map(|n| format!(
                r#"{{"op":"copy","from":"/metadata/annotations/a","path":"/metadata/annotations/b{n}"}}"#
            ))
            .collect::<Vec<_>>()
            .join(",")
    );
    refused(&patch(JSON_PATCH, &copies), &[413, 422]);
    let force = ann.http.send("PATCH", &format!("{path}?force=true"), MERGE, Some(b"{}"));
    assert!(refused(&force, &[422]).contains("may not be specified for non-apply patch"));
    assert_eq!(ann.http.get(&path).want(200), before);
}

#[test]
fn bad_names_labels_and_options_are_invalid() {
    let server = Server::start();
    let admin = server.admin();
    let before = admin.http.revision(TOKENS);
    let users = format!("{MANAGEMENT}/users");
    for name in ["A", "a_b", "-a", "a-", "a..b", ".", "..", "a/b", "a%b", "ä", " a", "a\nb", &"a".repeat(254)]
    {
        let message =
            refused(&admin.http.post(&users, &json!({"metadata": {"name": name}, "username": "x"})), &[422]);
        assert!(message.contains("metadata.name: Invalid value: "), "{name:?}: {message}");
        assert!(message.starts_with("User.management.cattle.io "), "{message}");
    }
    let message = refused(&admin.http.post(&users, &json!({"username": "x"})), &[422]);
    assert!(message.contains("name or generateName is required"), "{message}");
    for metadata in [
        json!({"labels": {"a b": "c"}}),
        json!({"labels": {"a": "x".repeat(64)}}),
        json!({"labels": {"/a": "b"}}),
        json!({"annotations": {"a b": "c"}}),
        json!({"annotations": {"a": "x".repeat(262_145)}}),
        json!({"finalizers": ["not qualified!"]}),
        json!({"ownerReferences": [{"name": "x"}]}),
    ] {
        refused(&admin.http.post(TOKENS, &json!({"metadata": metadata})), &[422]);
    }
    refused(&admin.http.post(TOKENS, &json!({"spec": {"kind": "not a label value!"}})), &[400, 422]);
    refused(&admin.http.post(TOKENS, &json!({"spec": {"kind": "x".repeat(64)}})), &[400, 422]);
    let message = refused(&admin.http.post(TOKENS, &json!({"spec": {"clusterName": "nowhere"}})), &[400]);
    assert_eq!(message, "cluster nowhere not found");
    for query in
        ["dryRun=Yes", "fieldManager=%01", &format!("fieldManager={}", "x".repeat(129)), "fieldValidation=x"]
    {
        refused(&admin.http.post(&format!("{TOKENS}?{query}"), &json!({})), &[422]);
    }
    for query in [
        "limit=x",
        "limit=99999999999999999999",
        "timeoutSeconds=x",
        "watch=true&timeoutSeconds=1e9",
        "resourceVersion=x",
        "labelSelector=%ff",
        "fieldSelector=x",
    ] {
        let reply = admin.http.get(&format!("{TOKENS}?{query}"));
        if reply.status != 200 {
            refused(&reply, &[400, 422]);
        }
    }
    for path in [
        "/apis/ext.cattle.io/v1/tokens/%2e%2e",
        "/apis/ext.cattle.io/v1/tokens/a%2Fb",
        "/apis/ext.cattle.io/v1/tokens/%00",
        "/apis/ext.cattle.io/v1/tokens/a/status",
        "/apis/ext.cattle.io/v1/namespaces/x/tokens/y",
        "/apis/ext.cattle.io//tokens",
        "/apis/../metrics",
    ] {
        let reply = admin.http.get(path);
        assert!((300..500).contains(&reply.status), "{path}: {} {}", reply.status, reply.text());
    }
    for path in [
        "//metrics",
        "/./metrics",
        "/metrics/",
        "/livez/../metrics",
        "/%6detrics",
        "//apis/ext.cattle.io/v1/tokens",
        "/apis//ext.cattle.io/v1/tokens",
    ] {
        let reply = server.anonymous().get(path);
        assert!((300..500).contains(&reply.status), "{path}: {} {}", reply.status, reply.text());
    }
    let name = format!("{TOKENS}/{}", "a".repeat(10_000));
    assert!((400..500).contains(&admin.http.get(&name).status));
    assert_eq!(admin.http.revision(TOKENS), before);
}

#[test]
fn names_on_the_url_and_in_the_body_must_agree() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let name = ann.mint(json!({})).name;
    let whole = ann.http.get(&token(&name)).want(200);
    let mut other = whole.clone();
    other["metadata"]["name"] = json!("token-zzzzz");
    assert_eq!(
        refused(&ann.http.put(&token(&name), &other), &[400]),
        format!("the name of the object (token-zzzzz) does not match the name on the URL ({name})")
    );
    let mut none = whole.clone();
    none["metadata"].as_object_mut().unwrap().remove("name");
    let message = refused(&ann.http.put(&token(&name), &none), &[400]);
    assert!(message.contains("name must be provided"), "{message}");
    ann.http.put(TOKENS, &whole).refused(405, "MethodNotAllowed");
    ann.http.post(&token(&name), &whole).refused(405, "MethodNotAllowed");
}

#[test]
fn kubectl_prints_refusals_well() {
    needs_kubectl!();
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let kubectl = &ann.kubectl;
    let bad = "apiVersion: ext.cattle.io/v1\nkind: Token\nspec:\n  ttl: soon\n";
    for mode in ["strict", "warn", "ignore"] {
        let error = kubectl.input(&["create", &format!("--validate={mode}"), "-f", "-"], bad).fails();
        assert!(error.starts_with("Error from server (BadRequest): error when creating \"STDIN\": Token in version \"v1\" cannot be handled as a Token: "), "{error}");
    }
    let unknown = "apiVersion: ext.cattle.io/v1\nkind: Token\nspec:\n  tttl: 1\n";
    let error = kubectl.input(&["create", "-f", "-"], unknown).fails();
    assert!(error.contains("strict decoding error: unknown field \"spec.tttl\""), "{error}");
    let warned = kubectl.input(&["create", "--validate=warn", "-f", "-"], unknown);
    assert!(warned.err.contains("Warning: unknown field \"spec.tttl\""), "{}", warned.err);
    warned.ok();
    let ignored = kubectl.input(&["create", "--validate=ignore", "-f", "-"], unknown);
    assert_eq!(ignored.err, "");
    ignored.ok();
    let bad = kubectl
        .input(
            &["create", "-f", "-"],
            "apiVersion: ext.cattle.io/v1\nkind: Token\nmetadata:\n  labels:\n    a: \"b c\"\n",
        )
        .fails();
    assert!(bad.contains("is invalid: metadata.labels: Invalid value: \"b c\""), "{bad}");
    let error = kubectl.fails(&["get", "tokens.ext.cattle.io", "-l", "a in (b"]);
    assert!(error.contains("unable to parse requirement") || error.contains("found"), "{error}");
    let error = kubectl.fails(&["get", "tokens.ext.cattle.io", "--field-selector", "spec.nonsense=1"]);
    assert!(error.contains("is not a known field selector"), "{error}");
    let error = kubectl.fails(&["get", "nothings"]);
    assert_eq!(error.trim_end(), "error: the server doesn't have a resource type \"nothings\"");
    let revoked = ann.mint(json!({}));
    let logged_out = server.kubectl(&revoked.bearer);
    logged_out.ok(&["get", "tokens.ext.cattle.io"]);
    ann.http.delete(&token(&revoked.name)).want(200);
    let error = logged_out.fails(&["get", "tokens.ext.cattle.io"]);
    // In the brackets is what kubectl makes of it: it asks for discovery first, where it does not read the body.
    assert!(
        error.lines().last().unwrap_or("").starts_with("error: You must be logged in to the server ("),
        "{error}"
    );
}

#[test]
fn what_is_no_http_ends_the_connection() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let config = raw::config(&server.ca_file(), &["http/1.1"]);
    let auth = format!("Authorization: Bearer {}\r\n", ann.bearer);
    let before = ann.http.revision(TOKENS);
    for request in [
        "nonsense\r\n\r\n".to_owned(),
        "GET\r\n\r\n".to_owned(),
        format!("GET {TOKENS} HTTP/9.9\r\nHost: x\r\n\r\n"),
        format!("POST {TOKENS} HTTP/1.1\r\nHost: x\r\n{auth}Content-Length: -1\r\n\r\n"),
        format!(
            "POST {TOKENS} HTTP/1.1\r\nHost: x\r\n{auth}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}"
        ),
        format!(
            "POST {TOKENS} HTTP/1.1\r\nHost: x\r\n{auth}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n{{}}\r\n0\r\n\r\n"
        ),
        format!("GET {TOKENS} HTTP/1.1\r\nHost: x\r\nBad Header: x\r\n{auth}\r\n"),
        format!("GET {TOKENS} HTTP/1.1\r\nHost: x\r\n{}\r\n", "X-Filler: y\r\n".repeat(200_000)),
    ] {
        let answer = raw::exchange(server.address(), &config, request.as_bytes());
        let first = answer.lines().next().unwrap_or("");
        assert!(
            first.is_empty() || first.starts_with("HTTP/1.1 4") || first.starts_with("HTTP/1.0 4"),
            "{:.40} → {first}",
            request
        );
    }
    // Nor are empty lines a request.
    let mut stream = raw::tls(server.address(), &config).unwrap();
    stream.write_all(b"\r\n\r\n\r\n").unwrap();
    stream.conn.send_close_notify();
    stream.flush().unwrap();
    let answer = raw::answer(&mut stream);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    // A body that is cut short is no body.
    let cut = format!(
        "POST {TOKENS} HTTP/1.1\r\nHost: x\r\n{auth}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{}}"
    );
    let mut stream = raw::tls(server.address(), &config).unwrap();
    stream.write_all(cut.as_bytes()).unwrap();
    stream.flush().unwrap();
    drop(stream);
    // No identity, no matter which header a Connection header would have us drop.
    let hop = format!(
        "GET {TOKENS} HTTP/1.1\r\nHost: x\r\nConnection: close, Authorization\r\nX-Remote-User: admin\r\nX-Remote-Group: system:masters\r\n\r\n"
    );
    let answer = raw::exchange(server.address(), &config, hop.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    let dropped = server.admin();
    let hop = format!(
        "GET {TOKENS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nImpersonate-User: {}\r\nConnection: close, Impersonate-User\r\n\r\n",
        dropped.bearer, ann.id
    );
    let answer = raw::exchange(server.address(), &config, hop.as_bytes());
    assert!(
        !answer.contains(&format!("\"cattle.io/user-id\":\"{}\"", dropped.id)),
        "impersonation was dropped: {answer}"
    );
    // Plain HTTP on the TLS port.
    let mut plain = TcpStream::connect(server.address()).unwrap();
    plain.set_read_timeout(Some(PATIENCE)).unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(answer.len() < 1000);
    assert_eq!(ann.http.revision(TOKENS), before);
}

#[test]
fn a_refusal_before_the_body_says_that_it_closes_or_keeps_the_connection() {
    let server = Server::start();
    let config = raw::config(&server.ca_file(), &["http/1.1"]);
    let mut stream = raw::tls(server.address(), &config).unwrap();
    let head = format!(
        "POST {TOKENS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.flush().unwrap();
    let first = raw::answer(&mut stream).to_lowercase();
    assert!(first.starts_with("http/1.1 401"), "{first}");
    // It may have closed by now.
    let _ = stream.write_all(b"{}").and_then(|()| stream.flush());
    if first.contains("connection: close") {
        return;
    }
    let _ = stream.write_all(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n").and_then(|()| stream.flush());
    let second = raw::answer(&mut stream);
    assert!(second.contains("pong"), "closed without a word after a refusal: {second:?}");
}

#[test]
fn half_open_and_idle_connections_do_no_harm() {
    // The server raises its own limit of open files: it starts with one that is far too low.
    let server = Setup::default().files(256).start();
    let ann = server.person("ann", &["user"]);
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let allowed = limit.maximum.or(limit.current).unwrap_or(20_000);
    rustix::process::setrlimit(
        rustix::process::Resource::Nofile,
        rustix::process::Rlimit { current: Some(allowed), maximum: limit.maximum },
    )
    .unwrap();
    let wanted = 10_000.min(usize::try_from(allowed).unwrap().saturating_sub(500));
    if wanted < 10_000 {
        eprintln!("only {wanted} connections: this process may open {allowed} files");
    }
    let memory = server.memory();
    let config = raw::config(&server.ca_file(), &["http/1.1"]);
    // A tenth never begins a handshake, a tenth stops in the middle of one; the others finish it and say nothing.
    let mut open: Vec<TcpStream> = Vec::with_capacity(wanted);
    let hello = [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03];
    for n in 0..wanted / 5 {
        let mut tcp = TcpStream::connect(server.address()).unwrap_or_else(|e| panic!("connection {n}: {e}"));
        if n % 2 == 0 {
            tcp.write_all(&hello).unwrap();
        }
        open.push(tcp);
    }
    let idle = wanted - open.len();
    let finished: Vec<TcpStream> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|worker| {
                let (config, server) = (&config, &server);
                scope.spawn(move || {
                    (0..idle / 8)
                        .map(|n| {
                            raw::tls(server.address(), config)
                                .unwrap_or_else(|e| panic!("handshake {n} of {worker}: {e}"))
                                .sock
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|t| t.join().unwrap()).collect()
    });
    open.extend(finished);
    // Everybody else is served as before.
    let started = Instant::now();
    for _ in 0..20 {
        ann.http.get(TOKENS).want(200);
    }
    let minted = ann.mint(json!({}));
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    assert_eq!(server.anonymous().bearer(&minted.bearer).whoami(), Some(ann.id.clone()));
    let used = server.memory().saturating_sub(memory);
    eprintln!("{} connections cost {} KiB each", open.len(), used / 1024 / open.len() as u64);
    assert!(used < open.len() as u64 * 100 * 1024, "{used} bytes for {} connections", open.len());
    drop(open);
    ann.http.get(TOKENS).want(200);
}
