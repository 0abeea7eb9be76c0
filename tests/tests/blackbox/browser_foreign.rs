//! Pages of other origins that a person's browser has open: they have its cookies sent along, and must get nowhere (DEC54).
//!
//! The foreign pages come from another server on the same address: another origin, but the same site, so that `SameSite` cookies do not help.

use eartag_tests::v3::{V3_TOKENS, ids, key, works};
use eartag_tests::wait::PATIENCE;
use eartag_tests::{Browser, Server, needs_browser, wait};
use serde_json::json;

/// Submits a form to its argument, as pages do.
const FORM: &str = r"
const [to, kind, name, value] = arguments;
const form = document.createElement('form');
form.method = 'post'; form.action = to; form.enctype = kind;
const input = document.createElement('input');
input.name = name; input.value = value;
form.append(input); document.body.append(form);
form.submit();
";

/// A request in the background, with cookies.
const FETCH: &str = r"
const [to, method, kind, body, done] = arguments;
const blob = body === null ? undefined : new Blob([body], {type: kind});
fetch(to, {method, credentials: 'include', mode: method === 'GET' || method === 'POST' ? 'no-cors' : 'cors', body: blob})
  .then(r => done(r.type + ' ' + r.status), e => done('refused: ' + e));
";

/// Opens a WebSocket; says what came of it.
const SOCKET: &str = r"
const [to, done] = arguments;
const socket = new WebSocket(to);
socket.onopen = () => done('open');
socket.onerror = () => done('refused');
";

#[test]
fn a_foreign_page_gets_nowhere_with_the_cookies_of_a_browser() {
    needs_browser!();
    let (server, other) = (Server::start(), Server::start());
    let ann = server.person("ann", &["user"]);
    let own = key(&ann.http, &json!({"description": "own"}));
    let browser = Browser::open(&server);
    browser.become_person(&ann);
    browser.go(V3_TOKENS);
    assert!(browser.text().contains(&own.id), "the cookie works");
    let before = ids(&ann.http.get(V3_TOKENS).want(200));
    let tokens = format!("{}{V3_TOKENS}", server.url());
    let item = format!("{}{}", server.url(), own.path());

    let foreign = format!("{}/ping", other.url());
    let forms = [
        (tokens.clone(), "application/x-www-form-urlencoded", "description", "x"),
        (format!("{tokens}?_format=html"), "application/x-www-form-urlencoded", "description", "x"),
        (tokens.clone(), "text/plain", "{\"description\":\"x", "\"}"),
        (tokens.clone(), "multipart/form-data", "description", "x"),
        (format!("{item}?_method=DELETE"), "application/x-www-form-urlencoded", "a", "b"),
        (
            format!("{item}?_format=html&_method=DELETE"),
            "application/x-www-form-urlencoded",
            "CSRF",
            "guessed",
        ),
        (format!("{item}?action=remove"), "text/plain", "a", "b"),
        (format!("{tokens}?action=logout"), "application/x-www-form-urlencoded", "a", "b"),
        (format!("{}/v1/logout", server.url()), "application/x-www-form-urlencoded", "a", "b"),
    ];
    for (to, kind, name, value) in forms {
        browser.go(&foreign);
        browser.script_that_leaves(FORM, &[json!(to), json!(kind), json!(name), json!(value)]);
        assert!(browser.url().starts_with(&server.url()), "{}", browser.url());
        let said = browser.text();
        assert!(said.contains("CSRF") || said.contains("csrf"), "{to} as {kind}: {said}");
    }
    browser.go(&foreign);
    for (method, path, kind, body) in [
        ("POST", V3_TOKENS.to_owned(), "text/plain", json!("{\"description\":\"x\"}")),
        ("POST", V3_TOKENS.to_owned(), "", json!("{}")),
        ("POST", V3_TOKENS.to_owned(), "application/json", json!("{}")),
        ("POST", format!("{}?_method=DELETE", own.path()), "text/plain", json!("")),
        ("DELETE", own.path(), "", json!(null)),
        ("PUT", own.path(), "text/plain", json!("{\"enabled\":false}")),
        ("POST", eartag_tests::TOKENS.to_owned(), "text/plain", json!("{}")),
        ("DELETE", own.legacy(), "", json!(null)),
    ] {
        let to = format!("{}{path}", server.url());
        let seen = browser.async_script(FETCH, &[json!(to), json!(method), json!(kind), body]);
        let seen = seen.as_str().unwrap();
        assert!(seen.starts_with("opaque 0") || seen.starts_with("refused"), "{method} {path}: {seen}");
    }
    let socket = format!("wss://{}{}?watch=true", server.address(), eartag_tests::TOKENS);
    assert_eq!(browser.async_script(SOCKET, &[json!(socket)]), "refused");
    browser.abandon();

    assert_eq!(ids(&ann.http.get(V3_TOKENS).want(200)), before);
    assert!(works(&server, &own.bearer) && works(&server, &ann.bearer));
    assert_eq!(ann.http.get(&own.path()).want(200)["enabled"], true);
    // Nor can a foreign page show ours in a frame of its own.
    browser.go(&foreign);
    browser.script(
        "const f = document.createElement('iframe'); f.src = arguments[0]; document.body.append(f);",
        &[json!(tokens)],
    );
    let refused = wait::until("the frame to be refused", PATIENCE, || {
        let complaints = browser.complaints();
        complaints.into_iter().find(|c| c.contains("frame-ancestors") || c.contains("X-Frame-Options"))
    });
    assert!(refused.contains("127.0.0.1"), "{refused}");
}
