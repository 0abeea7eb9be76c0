//! How the API view looks: every kind of page in both languages, light and dark, wide and narrow, saved as a picture and looked through by axe-core.

use eartag_tests::browser::Look;
use eartag_tests::v3::{Key, V3_TOKENS, key, system_token};
use eartag_tests::{Browser, Server, Setup, needs_browser};
use serde_json::json;

/// A page of every kind: what its picture is called, and where it is.
fn pages(own: &Key) -> Vec<(&'static str, String)> {
    vec![
        ("root", "/v3".to_owned()),
        ("tokens", V3_TOKENS.to_owned()),
        ("tokens-filtered", "/v3/tokens?isDerived=true&sort=description&limit=2".to_owned()),
        ("token", own.path()),
        ("token-create", "/v3/tokens?_view=create".to_owned()),
        ("token-edit", format!("{}?_view=edit", own.path())),
        ("token-delete", format!("{}?_view=delete", own.path())),
        ("logout", "/v3/tokens?_view=action&name=logout".to_owned()),
        ("users", "/v3/users".to_owned()),
        ("user-create", "/v3/users?_view=create".to_owned()),
        ("password", "/v3/users?_view=action&name=changepassword".to_owned()),
        ("settings", "/v3/settings".to_owned()),
        ("setting", "/v3/settings/auth-token-max-ttl-minutes".to_owned()),
        ("setting-edit", "/v3/settings/auth-token-max-ttl-minutes?_view=edit".to_owned()),
        ("features", "/v3/features".to_owned()),
        ("feature-edit", "/v3/features/token-hashing?_view=edit".to_owned()),
        ("global-roles", "/v3/globalroles".to_owned()),
        ("bindings", "/v3/globalrolebindings".to_owned()),
        ("clusters", "/v3/clusters".to_owned()),
        ("projects", "/v3/projects".to_owned()),
        ("schemas", "/v3/schemas".to_owned()),
        ("schema", "/v3/schemas/token".to_owned()),
        ("error", "/v3/tokens/token-zzzzz".to_owned()),
    ]
}

fn looks(language: &'static str) {
    // A setting of the environment has the longest of all badges.
    let server = Setup::default().env("CATTLE_AUTH_TOKEN_MAX_TTL_MINUTES", "129600").start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let own = key(
        &admin.http,
        &json!({"description": "持续集成 nightly job with a description that goes on for quite a while"}),
    );
    for kind in ["kubectl-shell", "agent", "compose", "helm"] {
        system_token(&admin.http, kind, &admin.id, None);
    }
    key(&ann.http, &json!({"ttl": 1}));
    let browser = Browser::open(&server);
    let mut wrong = Vec::new();
    let looks = [
        ("light", Look { language, ..Look::default() }),
        ("dark", Look { language, dark: true, ..Look::default() }),
        ("phone", Look { language, width: 360, height: 740, dark: false }),
    ];
    browser.go("/v3");
    for (name, look) in looks {
        browser.look(look);
        browser.go("/v3/tokens");
        wrong.extend(check(&browser, language, &format!("{language}-{name}-login")));
    }
    browser.become_person(&admin);
    for (at, (name, look)) in looks.into_iter().enumerate() {
        browser.look(look);
        for (n, (page, path)) in pages(&own).iter().enumerate() {
            // Of pages that are alike, the other looks take some.
            if at > 0 && n > 2 && n % 3 != at {
                continue;
            }
            browser.go(path);
            wrong.extend(check(&browser, language, &format!("{language}-{name}-{page}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Texts of the badges that stick out of what holds them.
const CUT_OFF: &str = "return [...document.querySelectorAll('.badge')]\
    .filter(b => b.getBoundingClientRect().right > b.parentElement.getBoundingClientRect().right + 1).map(b => b.textContent)";

/// What is wrong with the page that is shown; its picture is saved.
fn check(browser: &Browser, language: &str, picture: &str) -> Vec<String> {
    let mut wrong = browser.violations();
    let shown = browser.attribute(&browser.find("html"), "lang").unwrap_or_default();
    if !shown.to_lowercase().starts_with(&language[..2]) {
        wrong.push(format!("the page is in {shown}"));
    }
    if !browser.title().starts_with("API: ") {
        wrong.push(format!("its title is {}", browser.title()));
    }
    let sizes = browser
        .script("return [document.documentElement.scrollWidth, document.documentElement.clientWidth]", &[]);
    if sizes[0].as_i64() > sizes[1].as_i64() {
        wrong.push(format!("it is {} pixels wide in a window of {}", sizes[0], sizes[1]));
    }
    let cut = browser.script(CUT_OFF, &[]);
    wrong.extend(cut.as_array().into_iter().flatten().map(|text| format!("{text} is cut off")));
    browser.screenshot(picture);
    wrong.extend(browser.complaints());
    wrong.into_iter().map(|what| format!("{picture}: {what}")).collect()
}

#[test]
fn every_kind_of_page_is_accessible_in_english() {
    needs_browser!();
    looks("en");
}

#[test]
fn every_kind_of_page_is_accessible_in_chinese() {
    needs_browser!();
    looks("zh-CN");
}

#[test]
fn the_language_is_the_browsers_until_one_is_chosen() {
    needs_browser!();
    let server = Server::start();
    let admin = server.admin();
    let browser = Browser::with(&server, Look { language: "zh-CN", ..Look::default() });
    browser.become_person(&admin);
    browser.go(V3_TOKENS);
    assert!(browser.text().contains("创建"), "{}", browser.text());
    browser.press_on("English");
    assert!(browser.text().contains("Create"), "{}", browser.text());
    // And stays so.
    browser.go("/v3/users");
    assert_eq!(browser.attribute(&browser.find("html"), "lang").as_deref(), Some("en"));
    browser.look(Look { language: "de", ..Look::default() });
    browser.cdp("Network.clearBrowserCookies", &json!({}));
    browser.go("/v3");
    assert_eq!(browser.attribute(&browser.find("html"), "lang").as_deref(), Some("en"), "for all others");
}

#[test]
fn pages_run_no_script_and_say_so_in_their_headers() {
    let server = Server::start();
    let admin = server.admin();
    let evil = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>";
    let own = key(&admin.http, &json!({"description": evil}));
    let browser = admin.http.with("User-Agent", "Mozilla/5.0");
    for path in [
        V3_TOKENS.to_owned(),
        own.path(),
        format!("{}?_view=edit", own.path()),
        format!("{}?_view=delete", own.path()),
        format!("{V3_TOKENS}?description=%3Cscript%3Ealert(1)%3C/script%3E&sort=%22%3E%3Cscript%3E"),
        "/v3/%3Cscript%3Ealert(1)%3C%2Fscript%3E".to_owned(),
        "/v3".to_owned(),
    ] {
        for reply in [browser.get(&path), browser.anonymous().with("User-Agent", "Mozilla/5.0").get(&path)] {
            if (300..400).contains(&reply.status) {
                assert!(
                    reply.header("location").is_some_and(|l| l.starts_with("/login") || l.starts_with("/v3")),
                    "{:?}",
                    reply.headers
                );
                continue;
            }
            assert!(
                reply.header("content-type").is_some_and(|t| t.starts_with("text/html")),
                "{path}: {:?}",
                reply.headers
            );
            let policy = reply.header("content-security-policy").unwrap_or_default();
            for part in [
                "default-src 'none'",
                "style-src 'self'",
                "form-action 'self'",
                "base-uri 'none'",
                "frame-ancestors 'none'",
            ] {
                assert!(policy.contains(part), "{path}: {policy}");
            }
            assert!(!policy.contains("unsafe"), "{policy}");
            assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
            assert!(
                reply.header("cache-control").is_some_and(|c| c.contains("no-store")),
                "{path}: {:?}",
                reply.headers
            );
            assert_eq!(reply.header("referrer-policy"), Some("same-origin"), "{path}");
            assert!(reply.header("vary").is_none_or(|v| v != "*"));
            let page = reply.text();
            for bad in ["<script", "onerror=alert(1)>", "javascript:", "<style", " style="] {
                assert!(!page.contains(bad), "{path}: {bad} in {page}");
            }
        }
    }
}
