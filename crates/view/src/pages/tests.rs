#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use serde_json::{Value, json};

use super::*;
use crate::lang::Lang;

const BASE: &str = "https://h.example";

/// What an attacker would put into a text that others look at.
const HOSTILE: &str = "\"'><script>alert(1)</script><img src=x onerror=alert(2)> \u{202e}evil\u{0}\u{1b}[2J\u{7f} {{ 7 }} &lt; https://evil.example/v3";

fn page<'a>(path: &'a str, query: &'a [(String, String)], lang: Lang) -> Page<'a> {
    Page {
        lang,
        now_ms: 1_772_442_904_000,
        base: BASE,
        path,
        query,
        csrf: "0a0b",
        user_id: "u-ann",
        user_name: HOSTILE,
    }
}

fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn schema() -> Value {
    let field = |kind: &str, update: bool| json!({"type": kind, "create": true, "update": update, "required": update, "description": HOSTILE});
    json!({"id": "token", "type": "schema", "pluralName": "tokens", "collectionMethods": ["GET", "POST"], "resourceMethods": ["GET", "PUT", "DELETE"],
        "collectionActions": {"logout": {}, "logoutAll": {}}, "resourceActions": {"wake": {}},
        "resourceFields": {"description": field("string", true), "ttl": field("int", true), "enabled": field("boolean", true), "labels": field("map[string]", true),
            "userId": field("reference[user]", false), "secret": field("password", true), "rules": field("array[rule]", true)}})
}

fn token() -> Value {
    let url = format!("{BASE}/v3/tokens/token-a");
    json!({"type": "token", "baseType": "token", "id": "token-a", "name": "token-a", "description": HOSTILE, "ttl": 0, "expiresAt": "", "enabled": true, "userId": "u-ann",
        "labels": {HOSTILE: HOSTILE}, "created": HOSTILE, "annotations": {"a": "https://h.example/v3/users"}, "rules": [{"verbs": [HOSTILE]}],
        "links": {"self": url, "update": url, "remove": url}, "actions": {"wake": format!("{url}?action=wake")}})
}

fn tokens() -> Value {
    let url = format!("{BASE}/v3/tokens");
    json!({"type": "collection", "resourceType": "token", "links": {"self": url}, "createTypes": {"token": url}, "actions": {"logout": format!("{url}?action=logout")},
        "pagination": {"limit": 100, "next": format!("{url}?marker=token-a&limit=100")}, "sort": {"links": {"description": format!("{url}?sort=description")}},
        "filters": {"description": null, "userId": null}, "data": [token()]})
}

fn refusal() -> Value {
    json!({"type": "error", "status": 422, "code": HOSTILE, "message": HOSTILE, "fieldName": "ttl"})
}

/// Every page, with hostile values wherever a value can be.
fn every_page(lang: Lang) -> Vec<(&'static str, String)> {
    let query = Box::leak(Box::new(pairs(&[
        ("description_ne", HOSTILE),
        ("_view", "x"),
        ("marker", HOSTILE),
        ("sort", HOSTILE),
    ])));
    let (schema, token, tokens, refusal) = (schema(), token(), tokens(), refusal());
    let posted = pairs(&[("description", HOSTILE), ("ttl", HOSTILE), ("labels", HOSTILE)]);
    let (all, one) = (page("/v3/tokens", query, lang), page("/v3/tokens/token-a", query, lang));
    let mut created = token.clone();
    created["token"] = format!("token-a:{HOSTILE}").into();
    let warnings = [HOSTILE.to_owned()];
    let outcome = |status, body| Outcome {
        method: "POST",
        target: "/v3/tokens",
        sent: Some(&token),
        status,
        body,
        warnings: &warnings,
    };
    vec![
        (
            "root",
            root(
                &page("/v3", query, lang),
                &json!({"type": "apiRoot", "links": {"tokens": "https://h.example/v3/tokens", "evil": "https://evil.example/v3"}}),
            ),
        ),
        ("collection", collection(&all, &tokens, Some(&schema), true)),
        (
            "collection of an unknown type",
            collection(
                &all,
                &json!({"resourceType": HOSTILE, "data": [{"id": HOSTILE, "x": HOSTILE}, 3, null]}),
                None,
                true,
            ),
        ),
        ("resource", resource(&one, &token, Some(&schema))),
        ("schema", resource(&page("/v3/schemas/token", query, lang), &schema, None)),
        ("create", create(&all, &schema, None)),
        ("create refused", create(&all, &schema, Some((&posted, &refusal)))),
        ("edit", edit(&one, &token, &schema, None)),
        ("edit refused", edit(&one, &token, &schema, Some((&posted, &refusal)))),
        ("delete", confirm_delete(&one, &token, Some(&schema))),
        ("action", confirm_action(&one, &token, "wake", Some(&schema), None)),
        ("unknown action", confirm_action(&one, &token, HOSTILE, None, Some((&posted, &refusal)))),
        ("created", result(&all, &outcome(201, Some(&created)), Some(&schema))),
        ("refused", result(&all, &outcome(422, Some(&refusal)), Some(&schema))),
        (
            "deleted",
            result(&one, &Outcome { method: "DELETE", status: 204, body: None, ..outcome(204, None) }, None),
        ),
        (
            "login",
            login(
                &page("/login", query, lang),
                &Login {
                    username: HOSTILE,
                    next: HOSTILE,
                    refused: Some((500, &refusal)),
                    ..Login::default()
                },
            ),
        ),
        ("error", error(&one, 404, &refusal)),
    ]
}

/// All tags of a document: what stands between `<` and `>`, outside of which `<` is always escaped.
fn tags(html: &str) -> Vec<&str> {
    html.split('<').skip(1).map(|rest| rest.split('>').next().unwrap()).collect()
}

fn attribute<'t>(tag: &'t str, name: &str) -> Option<&'t str> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    rest.split('"').next()
}

#[test]
fn hostile_values_stay_text_on_every_page() {
    const KNOWN: &[&str] = &[
        "!doctype", "html", "head", "meta", "title", "link", "body", "a", "header", "div", "img", "span",
        "nav", "ol", "ul", "li", "form", "input", "button", "main", "footer", "p", "h1", "h2", "bdi",
        "section", "table", "thead", "tbody", "tr", "th", "td", "time", "code", "pre", "details", "summary",
        "label", "select", "option", "textarea", "datalist", "dl", "dt", "dd",
    ];
    for lang in Lang::ALL {
        for (name, html) in every_page(lang) {
            for tag in tags(&html) {
                let element = tag.trim_start_matches('/').split(|c: char| c.is_whitespace()).next().unwrap();
                assert!(KNOWN.contains(&element), "{name}: <{tag}>");
                // Outside of quotes, that is where attributes are named.
                let names: String = tag.split('"').step_by(2).collect();
                assert!(
                    !names.contains(" on") && !names.contains(" style") && tag.matches('"').count() % 2 == 0,
                    "{name}: <{tag}>"
                );
            }
            for bad in ['\u{0}', '\u{1b}', '\u{7f}'] {
                let inputs_aside = html
                    .lines()
                    .filter(|line| {
                        !line.contains("<textarea")
                            && !line.contains("<input")
                            && !line.contains("&#34;&#39;&#62;")
                    })
                    .collect::<String>();
                assert!(!inputs_aside.contains(bad), "{name}: {bad:?}");
            }
            assert!(!html.contains("alert(1)</script>"), "{name}");
        }
    }
}

#[test]
fn links_and_forms_lead_to_this_server_only() {
    for (name, html) in every_page(Lang::En) {
        for tag in tags(&html) {
            for attribute in
                ["href", "action", "src", "formaction"].into_iter().filter_map(|a| attribute(tag, a))
            {
                let local =
                    attribute.starts_with('/') && !attribute.starts_with("//") && !attribute.contains('\\');
                assert!(local || attribute.starts_with('#'), "{name}: <{tag}>");
            }
        }
    }
}

#[test]
fn every_page_has_one_heading_of_first_rank_its_language_and_its_landmarks() {
    for lang in Lang::ALL {
        for (name, html) in every_page(lang) {
            let tags = tags(&html);
            let count =
                |start: &str| tags.iter().filter(|tag| tag.split_whitespace().next() == Some(start)).count();
            assert_eq!(
                (count("h1"), count("main"), count("header"), count("footer"), count("title")),
                (1, 1, 1, 1, 1),
                "{name}"
            );
            assert!(tags.contains(&format!("html lang=\"{}\"", lang.tag()).as_str()), "{name}");
            assert!(html.contains("<title>API: "), "{name}");
            assert!(html.contains("href=\"#main\""), "{name}: skip link");
        }
    }
}

#[test]
fn every_control_has_a_label_and_every_id_that_is_named_exists_once() {
    for (name, html) in every_page(Lang::Zh) {
        let tags = tags(&html);
        let ids: Vec<&str> = tags.iter().filter_map(|tag| attribute(tag, "id")).collect();
        for id in &ids {
            assert_eq!(ids.iter().filter(|other| *other == id).count(), 1, "{name}: {id}");
        }
        let labelled: Vec<&str> = tags.iter().filter_map(|tag| attribute(tag, "for")).collect();
        for tag in &tags {
            for named in
                ["aria-describedby", "aria-labelledby", "for"].into_iter().filter_map(|a| attribute(tag, a))
            {
                for id in named.split_whitespace() {
                    assert!(ids.contains(&id), "{name}: {id} of <{tag}>");
                }
            }
            let element = tag.split_whitespace().next().unwrap_or_default();
            let control = matches!(element, "input" | "select" | "textarea")
                && attribute(tag, "type") != Some("hidden");
            assert!(
                !control || attribute(tag, "id").is_some_and(|id| labelled.contains(&id)),
                "{name}: <{tag}>"
            );
        }
    }
}

#[test]
fn every_form_that_changes_something_repeats_the_csrf_token() {
    for (name, html) in every_page(Lang::En) {
        for form in
            html.split("<form").skip(1).filter(|form| form.split('>').next().unwrap().contains("post"))
        {
            let form = form.split("</form>").next().unwrap();
            assert!(form.contains("name=\"CSRF\" value=\"0a0b\""), "{name}");
        }
    }
}

#[test]
fn headings_never_skip_a_rank() {
    for (name, html) in every_page(Lang::En) {
        let ranks: Vec<u32> = tags(&html)
            .iter()
            .filter_map(|tag| tag.split_whitespace().next()?.strip_prefix('h')?.parse().ok())
            .collect();
        assert_eq!(ranks.first(), Some(&1), "{name}");
        assert!(ranks.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{name}: {ranks:?}");
    }
}

#[test]
fn the_list_offers_what_the_document_offers() {
    let query = pairs(&[("userId", "*"), ("limit", "100")]);
    let html = collection(&page("/v3/tokens", &query, Lang::En), &tokens(), Some(&schema()), true);
    assert!(html.contains("href=\"/v3/tokens?_view=create\""));
    assert!(html.contains("href=\"/v3/tokens?_view=action&#38;name=logout\""));
    assert!(html.contains("disabled>logoutAll<"));
    assert!(html.contains("href=\"/v3/tokens?marker=token-a&#38;limit=100\" rel=\"next\""));
    assert!(html.contains("<span aria-current=\"true\">All users</span>"));
    assert!(html.contains("<a href=\"/v3/tokens?limit=100\">My tokens</a>"));
    let mut bare = tokens();
    bare["createTypes"] = json!({});
    let html = collection(&page("/v3/tokens", &[], Lang::En), &bare, Some(&schema()), false);
    assert!(!html.contains("_view=create") && !html.contains("All users"));
}

#[test]
fn delete_shows_the_request_and_sends_it_only_when_asked() {
    let html = confirm_delete(&page("/v3/tokens/token-a", &[], Lang::En), &token(), Some(&schema()));
    assert!(html.contains("<h1><bdi>API Request</bdi></h1>"));
    assert!(html.contains("cURL command line") && html.contains("HTTP Request"));
    assert!(html.contains("-X DELETE") && html.contains("Send Request") && html.contains(">Cancel<"));
    assert!(html.contains("action=\"/v3/tokens/token-a?_format=html&#38;_method=DELETE\""));
}

#[test]
fn the_token_of_this_session_is_logged_out_and_not_deleted() {
    let mut current = token();
    current["current"] = true.into();
    let html = confirm_delete(&page("/v3/tokens/token-a", &[], Lang::En), &current, Some(&schema()));
    assert!(!html.contains("Send Request"));
    assert!(
        html.contains("Log out instead")
            && html.contains("formaction=\"/v3/tokens?action=logout&amp;_format=html\"")
    );
}

#[test]
fn the_secret_of_a_new_token_is_shown_and_leaving_by_language_is_not_offered() {
    let mut created = token();
    created["token"] = "token-a:abc123".into();
    let outcome = Outcome {
        method: "POST",
        target: "/v3/tokens",
        sent: None,
        status: 201,
        body: Some(&created),
        warnings: &[],
    };
    let html = result(&page("/v3/tokens", &[], Lang::En), &outcome, Some(&schema()));
    assert!(html.contains(">token-a:abc123</code>") && html.contains(">abc123</code>"));
    assert!(!html.contains("_lang="));
    let read = resource(&page("/v3/tokens/token-a", &[], Lang::En), &token(), Some(&schema()));
    assert!(!read.contains("Secret Key"));
}

#[test]
fn a_login_page_keeps_only_a_local_next() {
    for (next, kept) in [
        ("/v3/tokens?limit=2", "value=\"/v3/tokens?limit=2\""),
        ("//evil", "name=\"next\" value=\"\""),
        ("/\\evil", "name=\"next\" value=\"\""),
    ] {
        let html = login(&page("/login", &[], Lang::En), &Login { next, ..Login::default() });
        assert!(html.contains(kept), "{next}");
    }
}

#[test]
fn a_ttl_that_was_cut_is_pointed_out() {
    let show = |asked: i64| {
        let sent = json!({"ttl": asked});
        let made = json!({"type": "token", "id": "token-a", "ttl": 3_600_000});
        let outcome = Outcome {
            method: "POST",
            target: "/v3/tokens",
            sent: Some(&sent),
            status: 201,
            body: Some(&made),
            warnings: &[],
        };
        result(&page("/v3/tokens", &[], Lang::En), &outcome, None).contains("was cut to 1 hour")
    };
    assert_eq!((show(86_400_000), show(3_600_000), show(0)), (true, false, false));
}
