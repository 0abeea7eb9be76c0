//! Collections of `/v3`: their shape, filters, order, pages, and a list that is longer than anybody reads.

use std::collections::BTreeSet;
use std::io::Read;

use eartag_tests::http::text;
use eartag_tests::process::Memory;
use eartag_tests::v3::{V3_TOKENS, ids, key, system_token};
use eartag_tests::{Browser, Http, Server, Tape};
use serde_json::{Value, json};
use ureq::http::Request;

const MANY: usize = 250_000;

/// Follows `pagination.next` to the end; the pages.
fn pages(http: &Http, first: &str) -> Vec<Value> {
    let mut pages = vec![http.get(first).want(200)];
    while let Some(next) = pages[pages.len() - 1]["pagination"].get("next").and_then(Value::as_str) {
        let path = next.strip_prefix(http.base()).unwrap_or_else(|| panic!("elsewhere: {next}")).to_owned();
        pages.push(http.get(&path).want(200));
        assert!(pages.len() <= 2000, "pages without end");
    }
    pages
}

#[test]
fn a_collection_has_the_shape_that_clients_know() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    key(&ann.http, &json!({}));
    let reply = ann.http.get(V3_TOKENS);
    let list = reply.want(200);
    let url = format!("{}/v3/tokens", server.url());
    assert_eq!((&list["type"], &list["resourceType"]), (&json!("collection"), &json!("token")));
    assert_eq!(list["links"]["self"], url.as_str());
    assert_eq!(list["createTypes"], json!({"token": url}));
    assert!(list["actions"].is_object() && list["data"].is_array());
    assert_eq!(list["sort"]["order"], "asc");
    assert_eq!(list["sort"]["reverse"], format!("{url}?order=desc"));
    for field in ["authProvider", "description", "expiresAt", "uuid"] {
        assert_eq!(list["sort"]["links"][field], format!("{url}?sort={field}"), "{field}");
    }
    for field in [
        "authProvider",
        "clusterId",
        "created",
        "description",
        "enabled",
        "expired",
        "expiresAt",
        "isDerived",
        "lastUsedAt",
        "name",
        "ttl",
        "userId",
        "uuid",
        "current",
    ] {
        assert_eq!(list["filters"].get(field), Some(&Value::Null), "{field}");
    }
    assert_eq!(reply.header("x-api-schemas"), Some(format!("{}/v3/schemas", server.url()).as_str()));
    assert_eq!(reply.header("expires"), Some("Wed 24 Feb 1982 18:42:00 GMT"));
    assert_eq!(reply.header("content-type"), Some("application/json"));
    // Behind a trusted proxy links would say its address; from anybody else such headers count for nothing.
    let lied =
        ann.http.with("X-Forwarded-Host", "evil.example").with("X-API-Host", "evil.example").get(V3_TOKENS);
    assert!(!lied.text().contains("evil.example"), "{}", lied.text());
}

#[test]
fn filters_act_and_are_echoed() {
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let session = ann.bearer.split_once(':').unwrap().0.to_owned();
    let (one, two) = (
        key(&ann.http, &json!({"description": "one"})).id,
        key(&ann.http, &json!({"description": "two", "ttl": 600_000})).id,
    );
    let shell = system_token(&admin.http, "kubectl-shell", &ann.id, None).id;
    ann.http.put(&format!("{V3_TOKENS}/{two}"), &json!({"enabled": false})).want(200);
    let all = BTreeSet::from([session.as_str(), one.as_str(), two.as_str(), shell.as_str()]);
    let cases: [(String, &[&str]); 17] = [
        (String::new(), &[&session, &one, &two, &shell]),
        ("description=one".into(), &[&one]),
        ("description_ne=one".into(), &[&session, &two, &shell]),
        ("description_in=one&description_in=two".into(), &[&one, &two]),
        ("description_notin=one&description_notin=two".into(), &[&session, &shell]),
        ("enabled=false".into(), &[&two]),
        ("enabled=true&isDerived=true".into(), &[&one, &shell]),
        ("enabled_ne=false".into(), &[&session, &one, &shell]),
        ("isDerived=false".into(), &[&session]),
        ("current=true".into(), &[&session]),
        ("ttl=600000".into(), &[&two]),
        ("ttl=0".into(), &[&shell]),
        (format!("name={shell}"), &[&shell]),
        (format!("userId={}", ann.id), &[&session, &one, &two, &shell]),
        ("expired=true".into(), &[]),
        ("authProvider=github".into(), &[]),
        ("nonsense=1".into(), &[&session, &one, &two, &shell]),
    ];
    for (query, expected) in cases {
        let list = ann.http.get(&format!("{V3_TOKENS}?{query}")).want(200);
        let seen: BTreeSet<String> = ids(&list).into_iter().collect();
        let expected: BTreeSet<String> = expected.iter().map(|id| (*id).to_owned()).collect();
        assert_eq!(seen, expected, "{query} of {all:?}");
    }
    let list = ann.http.get(&format!("{V3_TOKENS}?description_ne=one&enabled=true")).want(200);
    assert_eq!(list["filters"]["description"], json!([{"modifier": "ne", "value": "one"}]));
    assert_eq!(list["filters"]["enabled"], json!([{"modifier": "eq", "value": "true"}]));
    assert_eq!(list["filters"]["ttl"], Value::Null);
    // Links keep what was asked for.
    let reverse = text(&list["sort"]["reverse"]);
    assert!(reverse.contains("description_ne=one") && reverse.contains("order=desc"), "{reverse}");
}

#[test]
fn lists_are_sorted_as_asked() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    for (description, ttl) in [("beta", 300_000), ("alpha", 100_000), ("gamma", 200_000)] {
        key(&ann.http, &json!({"description": description, "ttl": ttl}));
    }
    let sorted = |query: &str, member: &str| -> Vec<String> {
        let list = ann.http.get(&format!("{V3_TOKENS}?isDerived=true&{query}")).want(200);
        list["data"].as_array().unwrap().iter().map(|t| text(&t[member])).collect()
    };
    assert_eq!(sorted("sort=description", "description"), ["alpha", "beta", "gamma"]);
    assert_eq!(sorted("sort=description&order=desc", "description"), ["gamma", "beta", "alpha"]);
    assert_eq!(sorted("sort=expiresAt", "description"), ["alpha", "gamma", "beta"]);
    let by_name = sorted("", "id");
    let mut expected = by_name.clone();
    expected.sort();
    assert_eq!(by_name, expected, "by name when nothing is asked");
    expected.reverse();
    assert_eq!(sorted("order=desc", "id"), expected);
    assert_eq!(sorted("sort=nonsense", "id"), by_name, "unknown fields are ignored");
    let list = ann.http.get(&format!("{V3_TOKENS}?sort=description&order=desc")).want(200);
    assert_eq!((&list["sort"]["name"], &list["sort"]["order"]), (&json!("description"), &json!("desc")));
    // Sorted pages, too, hold everything once.
    let walked: Vec<String> =
        pages(&ann.http, &format!("{V3_TOKENS}?isDerived=true&sort=description&order=desc&limit=1"))
            .iter()
            .flat_map(|page| page["data"].as_array().unwrap().clone())
            .map(|t| text(&t["description"]))
            .collect();
    assert_eq!(walked, ["gamma", "beta", "alpha"]);
}

#[test]
fn pages_hold_each_token_exactly_once_while_others_come_and_go() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let keys: Vec<_> = (0..11).map(|n| key(&ann.http, &json!({"description": format!("{n}")}))).collect();
    let all = ids(&ann.http.get(V3_TOKENS).want(200));
    assert_eq!(all.len(), 12);
    for limit in [1, 2, 5, 11, 12, 13, 10_000] {
        let walked: Vec<String> =
            pages(&ann.http, &format!("{V3_TOKENS}?limit={limit}")).iter().flat_map(ids).collect();
        assert_eq!(walked, all, "limit {limit}");
    }
    let page = ann.http.get(&format!("{V3_TOKENS}?limit=5")).want(200);
    assert_eq!((&page["pagination"]["limit"], page["data"].as_array().unwrap().len()), (&json!(5), 5));
    let next = text(&page["pagination"]["next"]);
    assert!(next.contains("marker=") && next.contains("limit=5"), "{next}");
    // What is deleted in between is left out, what is kept comes once.
    let gone = keys.iter().find(|k| !ids(&page).contains(&k.id)).unwrap();
    assert_eq!(ann.http.delete(&gone.path()).status, 204);
    let rest: Vec<String> =
        pages(&ann.http, next.strip_prefix(ann.http.base()).unwrap()).iter().flat_map(ids).collect();
    let expected: Vec<String> =
        all.iter().filter(|id| **id != gone.id && !ids(&page).contains(id)).cloned().collect();
    assert_eq!(rest, expected);
    for whole in ["", "?limit=-1"] {
        let list = ann.http.get(&format!("{V3_TOKENS}{whole}")).want(200);
        assert_eq!(ids(&list).len(), 11, "{whole}");
        assert_eq!(list["pagination"].get("next"), None, "{whole}");
    }
    for odd in
        ["?limit=0", "?limit=x", "?limit=99999999999999999999", "?marker=zzz", "?marker=%00", "?order=up"]
    {
        let reply = ann.http.get(&format!("{V3_TOKENS}{odd}"));
        assert!(matches!(reply.status, 200 | 422), "{odd}: {} {}", reply.status, reply.text());
    }
}

#[test]
fn a_list_can_be_had_as_yaml_and_in_a_form_of_ones_choice() {
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let own = key(&ann.http, &json!({"description": "y: \"1\"\n- x"}));
    for path in [V3_TOKENS.to_owned(), own.path()] {
        let json = ann.http.get(&path).want(200);
        for reply in [
            ann.http.with("Accept", "application/yaml").get(&path),
            ann.http.get(&format!("{path}?_format=yaml")),
        ] {
            assert_eq!(reply.status, 200);
            assert_eq!(reply.header("content-type"), Some("application/yaml"));
            let yaml = reply.text();
            assert!(!yaml.trim_start().starts_with('{') && yaml.contains("type: "), "{yaml}");
            assert!(yaml.contains(&own.id) && json.to_string().contains(&own.id));
        }
        let html = ann.http.get(&format!("{path}?_format=html"));
        assert_eq!(html.status, 200);
        assert!(html.header("content-type").unwrap().starts_with("text/html"), "{:?}", html.headers);
        let browser = ann.http.with("User-Agent", "Mozilla/5.0");
        assert!(browser.get(&path).header("content-type").unwrap().starts_with("text/html"));
        let forced = browser.get(&format!("{path}?_format=json"));
        assert_eq!(forced.header("content-type"), Some("application/json"));
        let asked = browser.with("Accept", "application/json").get(&path);
        assert_eq!(asked.header("content-type"), Some("application/json"));
    }
    // YAML goes in as well.
    let yaml =
        ann.http.send("POST", V3_TOKENS, "application/yaml", Some(b"description: from yaml\nttl: 60000\n"));
    let made = yaml.want(201);
    assert_eq!((&made["description"], &made["ttl"]), (&json!("from yaml"), &json!(60_000)));
}

#[test]
fn a_quarter_of_a_million_tokens_are_streamed_and_paged_with_flat_memory() {
    let mut server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let template = key(&ann.http, &json!({}));
    server.terminate();
    fill(&server, &ann.id);
    server.launch();
    let expected: BTreeSet<String> = (0..MANY)
        .map(eartag_benches::fill::name)
        .chain([template.id, ann.bearer.split_once(':').unwrap().0.to_owned()])
        .collect();

    let before = Memory::of(&server);
    let streamed = stream_ids(&server, &ann.http, V3_TOKENS);
    let after = Memory::of(&server);
    assert_eq!(streamed.len(), expected.len());
    assert!(streamed.iter().eq(expected.iter()), "each once, in the order of names");
    // The list is some 200 MB of text. What a response may hold at once is far below this.
    let grown = after.most_kib.saturating_sub(before.now_kib);
    assert!(grown < 64 * 1024, "the list cost {grown} KiB: {before:?} → {after:?}");

    let mut paged = Vec::with_capacity(MANY);
    let mut path = format!("{V3_TOKENS}?limit=1000");
    loop {
        let (mut ids, next) = page(&server, &ann.bearer, &path);
        assert!(ids.len() == 1000 || next.is_none(), "{} on {path}", ids.len());
        paged.append(&mut ids);
        match next {
            Some(next) => path = next,
            None => break,
        }
    }
    assert!(paged.iter().eq(expected.iter()), "pages hold each once: {} of {}", paged.len(), expected.len());
    let paged = Memory::of(&server);
    let grown = paged.most_kib.saturating_sub(before.now_kib);
    assert!(grown < 64 * 1024, "the pages cost {grown} KiB: {before:?} → {paged:?}");

    // Somebody else's list is none the longer, and an admin's look at that user is a page.
    assert!(ids(&admin.http.get(V3_TOKENS).want(200)).len() < 10);
    assert_eq!(ids(&admin.http.get(&format!("{V3_TOKENS}?userId={}&limit=3", ann.id)).want(200)).len(), 3);
    // A browser gets a page that it can show.
    if !eartag_tests::browser::missing() {
        let browser = Browser::open(&server);
        browser.become_person(&ann);
        browser.go(V3_TOKENS);
        let first = expected.iter().next().unwrap();
        assert!(browser.has_link(first), "{}", browser.text().chars().take(2000).collect::<String>());
        assert!(browser.source().len() < 20_000_000, "the page is {} bytes long", browser.source().len());
        browser.screenshot("many-tokens");
    }
    let shown = Memory::of(&server);
    let grown = shown.most_kib.saturating_sub(before.now_kib);
    assert!(grown < 64 * 1024, "the page cost {grown} KiB: {before:?} → {shown:?}");
}

/// Writes the tokens into the stopped server's data.
fn fill(server: &Server, user: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(eartag_benches::fill::fill_keys(server.data(), user, MANY)).expect("a filled store");
}

/// The ids of a list's items, read as they come, so that not the test is what holds the list. All of it is ASCII.
fn stream_ids(server: &Server, http: &Http, path: &str) -> Vec<String> {
    let agent = eartag_tests::http::agent(&server.ca_file(), None, None);
    let mut request = Request::builder().method("GET").uri(format!("{}{path}", http.base()));
    for (name, value) in http.headers() {
        request = request.header(name, value);
    }
    let response = agent.run(request.body(()).unwrap()).unwrap();
    assert_eq!(response.status(), 200);
    let mut body = response.into_body().into_reader();
    let (mut found, mut text, mut buffer) = (Vec::new(), String::new(), vec![0; 1 << 20]);
    loop {
        let read = body.read(&mut buffer).expect("the whole list");
        if read == 0 {
            assert!(text.trim_end().ends_with('}'), "the list has no end");
            return found;
        }
        text.push_str(std::str::from_utf8(&buffer[..read]).expect("ASCII"));
        let mut at = 0;
        while let Some(start) = text[at..].find("\"id\":\"").map(|start| at + start + 6) {
            let Some(length) = text[start..].find('"') else { break };
            found.push(text[start..start + length].to_owned());
            at = start + length;
        }
        // Keeps what may be the beginning of the next one.
        at = at.max(text.len().saturating_sub(64));
        text.drain(..at);
    }
}

/// A page's ids, and the path of the next. Its bytes are not kept.
fn page(server: &Server, bearer: &str, path: &str) -> (Vec<String>, Option<String>) {
    let http = Http::new(server.url(), &server.ca_file(), Tape::default()).bearer(bearer);
    let list = http.get(path).want(200);
    let next = list["pagination"].get("next").and_then(Value::as_str);
    (ids(&list), next.map(|next| next.strip_prefix(&server.url()).expect("our own address").to_owned()))
}
