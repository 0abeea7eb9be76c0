//! The API view in a real browser: what people do there. How it looks is in `browser_looks`, what foreign pages try in `browser_foreign`.

use eartag_tests::browser::{Look, TAB};
use eartag_tests::http::text;
use eartag_tests::v3::{V3_TOKENS, key, works};
use eartag_tests::wait::PATIENCE;
use eartag_tests::{Browser, Server, needs_browser, wait};
use serde_json::json;

#[test]
fn what_a_browser_complains_about_is_noticed() {
    needs_browser!();
    let server = Server::start();
    let browser = Browser::open(&server);
    browser.go("/ping");
    assert_eq!(browser.complaints(), Vec::<String>::new());
    // They come by another way than the script's result.
    let complains_of = |what: &str| {
        wait::until(what, PATIENCE, || browser.complaints().iter().any(|c| c.contains(what)).then_some(()));
    };
    browser.script("console.error('a fault'); return 1", &[]);
    complains_of("a fault");
    browser.script(
        "const m = document.createElement('meta'); m.httpEquiv = 'Content-Security-Policy'; m.content = \"script-src 'none'\";\
         document.head.append(m); const s = document.createElement('script'); s.textContent = '1'; document.head.append(s);",
        &[],
    );
    complains_of("Content Security Policy");
    if eartag_tests::browser::axe().is_none() {
        return;
    }
    browser
        .go("data:text/html,<title>a</title><main><h1>b</h1><img src='data:image/png;base64,AAAA'></main>");
    let violations = browser.violations();
    assert!(violations.iter().any(|v| v.starts_with("image-alt")), "{violations:?}");
}

#[test]
fn a_browser_without_a_session_logs_in_and_lands_where_it_wanted_to() {
    needs_browser!();
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let browser = Browser::open(&server);
    browser.go("/v3/tokens?sort=description");
    assert!(browser.try_role("heading", "Log in").is_some(), "{}", browser.text());
    browser.accessible();
    assert!(browser.cookie("R_SESS").is_none());
    for (name, password) in [("ann", "wrong"), ("nobody", "wrong")] {
        browser.log_in(name, password);
        let said = browser.text();
        assert!(said.contains("Username or password is wrong."), "{said}");
        assert_eq!(browser.property(&browser.field("Username"), "value"), name, "kept");
        assert_eq!(browser.property(&browser.field("Password"), "value"), "", "not kept");
        assert!(!browser.source().contains("wrong\""), "the password is not on the page");
        browser.accessible();
    }
    browser.screenshot("login-refused");
    browser.log_in("ann", &ann.password);
    assert_eq!(browser.path(), "/v3/tokens?sort=description");
    let cookies = browser.cookies();
    let session = cookies.iter().find(|c| c["name"] == "R_SESS").unwrap_or_else(|| panic!("{cookies:?}"));
    assert_eq!(
        (&session["httpOnly"], &session["secure"], &session["sameSite"]),
        (&json!(true), &json!(true), &json!("Lax"))
    );
    assert_eq!(session.get("expiry"), None, "gone when the browser is closed");
    let bearer = text(&session["value"]);
    assert!(works(&server, &bearer));

    // Logging out ends it, and its cookie is dead wherever it was copied to.
    browser.press_on("Log Out");
    assert!(browser.cookie("R_SESS").is_none());
    assert!(!works(&server, &bearer));
    browser.become_bearer(&bearer);
    browser.go("/v3/tokens");
    assert!(browser.try_role("heading", "Log in").is_some(), "{}", browser.text());

    // Somewhere else is nowhere one is sent after a login.
    for elsewhere in ["https://evil.example/", "//evil.example/", "/\\evil.example/", "javascript:alert(1)"] {
        let encoded = elsewhere.replace(':', "%3A").replace('/', "%2F").replace('\\', "%5C");
        let page =
            server.anonymous().with("User-Agent", "Mozilla/5.0").get(&format!("/login?next={encoded}"));
        assert!(!page.text().contains(elsewhere), "{elsewhere}: {}", page.text());
    }
    // A disabled user is told so.
    admin.http.merge(&ann.path(), &json!({"enabled": false})).want(200);
    browser.cdp("Network.clearBrowserCookies", &json!({}));
    browser.go("/v3/tokens");
    browser.log_in("ann", &ann.password);
    assert!(browser.text().contains("This user is disabled"), "{}", browser.text());
    assert!(browser.cookie("R_SESS").is_none());
}

#[test]
fn a_new_token_is_made_shown_once_edited_and_found() {
    needs_browser!();
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let browser = Browser::open(&server);
    browser.become_person(&ann);
    browser.go(V3_TOKENS);
    browser.press_on("Create");
    browser.accessible();
    // A number that is none is refused at its field, and what was typed is kept.
    browser.fill(&browser.field("Description"), "made <b>by</b> hand");
    browser.fill(&browser.field("Time to live"), "soon");
    browser.press_on("Create");
    let ttl = browser.field("Time to live");
    assert_eq!(browser.attribute(&ttl, "aria-invalid").as_deref(), Some("true"), "{}", browser.text());
    assert_eq!(browser.property(&browser.field("Description"), "value"), "made <b>by</b> hand");
    browser.accessible();
    browser.screenshot("create-refused");
    browser.fill(&ttl, "3600000");
    browser.press_on("Create");
    let page = browser.text();
    assert!(page.contains("Copy this token now"), "{page}");
    let bearer = browser.text_of(&browser.role("textbox", "Bearer Token"));
    assert!(works(&server, &bearer));
    browser.accessible();
    browser.screenshot("created");
    let (id, secret) = bearer.split_once(':').unwrap();
    let shown = ann.http.get(&format!("{V3_TOKENS}/{id}")).want(200);
    assert_eq!((&shown["description"], &shown["ttl"]), (&json!("made <b>by</b> hand"), &json!(3_600_000)));
    // Never again: not by reloading, not by going back, not on its own page, not in the list.
    // (Before they send a form again, browsers ask; the driver does not. It makes another token, and does not bring this one back.)
    browser.reload();
    assert!(!browser.source().contains(secret), "a reload shows it again");
    browser.go(&format!("{V3_TOKENS}/{id}"));
    assert!(!browser.source().contains(secret));
    assert!(browser.text().contains("made <b>by</b> hand"), "{}", browser.text());
    assert_eq!(browser.all("main b").len(), 0, "markup in a description is text");
    browser.back();
    assert!(!browser.source().contains(secret), "going back shows it again");

    browser.go(&format!("{V3_TOKENS}/{id}"));
    browser.press_on("Edit");
    browser.accessible();
    browser.screenshot("edit");
    assert_eq!(browser.property(&browser.field("Description"), "value"), "made <b>by</b> hand");
    browser.fill(&browser.field("Description"), "edited: 令牌 & \"more\"");
    browser.choose(&browser.field("Enabled"), "no");
    browser.press_on("Save");
    let shown = ann.http.get(&format!("{V3_TOKENS}/{id}")).want(200);
    assert_eq!(
        (&shown["description"], &shown["enabled"]),
        (&json!("edited: 令牌 & \"more\""), &json!(false))
    );
    assert_eq!(shown["ttl"], 3_600_000, "what was not touched stays");
    assert!(!works(&server, &bearer));
    // What a user may not do is said in the form.
    browser.go(&format!("{V3_TOKENS}/{id}?_view=edit"));
    browser.fill(&browser.field("Time to live"), "7200000");
    browser.press_on("Save");
    assert!(browser.text().contains("forbidden to extend time-to-live"), "{}", browser.text());
    browser.accessible();
    assert_eq!(ann.http.get(&format!("{V3_TOKENS}/{id}")).want(200)["ttl"], 3_600_000);
}

#[test]
fn a_token_is_deleted_with_the_keyboard_alone() {
    needs_browser!();
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    let own = key(&ann.http, &json!({"description": "away with it"}));
    let browser = Browser::open(&server);
    browser.go(V3_TOKENS);
    // The cursor waits in the form.
    browser.type_into(&browser.field_with_the_cursor(), "ann");
    browser.press(TAB);
    browser.type_into(&browser.focused(), &ann.password);
    browser.enter();
    assert_eq!(browser.path(), V3_TOKENS);
    // The first tab leads past what is the same on every page.
    browser.press(TAB);
    assert_eq!(browser.label_of(&browser.focused()), "Skip to content");
    browser.tab_to("link", &own.id);
    browser.enter();
    assert_eq!(browser.path(), own.path());
    browser.tab_to("link", "Delete");
    browser.enter();
    assert!(works(&server, &own.bearer));
    browser.tab_to("button", "Send Request");
    browser.screenshot("keyboard-focus");
    browser.enter();
    assert!(!works(&server, &own.bearer));
    browser.tab_to("link", "Go Up");
    browser.enter();
    assert_eq!(browser.path(), V3_TOKENS);
    assert!(!browser.text().contains(&own.id));
}

#[test]
fn admins_have_a_control_for_all_users_and_others_have_none() {
    needs_browser!();
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let own = key(&ann.http, &json!({}));
    let browser = Browser::open(&server);
    browser.become_person(&admin);
    browser.go(V3_TOKENS);
    assert!(!browser.text().contains(&own.id));
    browser.press_on("All users");
    assert!(browser.text().contains(&own.id) && browser.text().contains(&ann.id), "{}", browser.text());
    browser.accessible();
    browser.screenshot("all-users");
    browser.click(&browser.link(&own.id));
    browser.press_on("Delete");
    browser.press_on("Send Request");
    assert!(!works(&server, &own.bearer));
    browser.go("/v3/tokens?userId=*");
    browser.press_on("My tokens");
    assert!(!browser.text().contains(&ann.id), "{}", browser.text());
    // The session in use cannot be deleted there; logging out is offered instead.
    let session = text(
        &server
            .anonymous()
            .post(
                eartag_tests::people::LOGIN,
                &json!({"username": "admin", "password": eartag_tests::BOOTSTRAP_PASSWORD}),
            )
            .want(201)["token"],
    );
    browser.become_bearer(&session);
    browser.go(&format!("{V3_TOKENS}/{}?_view=delete", session.split_once(':').unwrap().0));
    assert!(browser.try_role("button", "Send Request").is_none());
    assert!(browser.text().contains("Log out instead"), "{}", browser.text());

    browser.become_person(&ann);
    browser.go(V3_TOKENS);
    assert!(!browser.text().contains("All users"), "{}", browser.text());
    browser.go("/v3/tokens?userId=*");
    assert!(!browser.text().contains(&admin.id), "{}", browser.text());
}

#[test]
fn settings_are_edited_with_their_unit_and_bad_values_are_shown_at_the_field() {
    needs_browser!();
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let browser = Browser::open(&server);
    browser.become_person(&admin);
    browser.go("/v3/settings");
    browser.accessible();
    browser.screenshot("settings");
    let name = "auth-token-max-ttl-minutes";
    browser.click(&browser.link(name));
    assert!(browser.text().contains("129600"), "{}", browser.text());
    browser.press_on("Edit");
    browser.fill(&browser.field("Value"), "90d");
    browser.press_on("Save");
    let said = browser.text();
    assert!(said.contains("value: Invalid value: \"90d\""), "{said}");
    assert_eq!(browser.property(&browser.field("Value"), "value"), "90d", "what was typed is kept");
    browser.accessible();
    browser.screenshot("setting-refused");
    browser.fill(&browser.field("Value"), "60");
    browser.press_on("Save");
    assert_eq!(admin.http.get(&format!("/v3/settings/{name}")).want(200)["value"], "60");
    assert_eq!(key(&ann.http, &json!({})).object["ttl"], 3_600_000);
    // Who may not write is offered nothing to write.
    browser.become_person(&ann);
    browser.go(&format!("/v3/settings/{name}"));
    assert!(browser.text().contains("60"), "{}", browser.text());
    assert!(browser.try_role("link", "Edit").is_none() && browser.try_role("link", "Delete").is_none());
    browser.go(&format!("/v3/settings/{name}?_view=edit"));
    if let Some(save) = browser.try_role("button", "Save") {
        browser.fill(&browser.field("Value"), "61");
        browser.click(&save);
    }
    assert_eq!(admin.http.get(&format!("/v3/settings/{name}")).want(200)["value"], "60");
}

#[test]
fn lists_are_filtered_sorted_and_paged_by_links_and_forms() {
    needs_browser!();
    let server = Server::start();
    let ann = server.person("ann", &["user"]);
    for n in 0..7 {
        key(
            &ann.http,
            &json!({"description": format!("job {}", (b'a' + n) as char), "ttl": 60_000 * (i64::from(n) + 10)}),
        );
    }
    let browser = Browser::open(&server);
    browser.become_person(&ann);
    browser.go("/v3/tokens?limit=3");
    let mut seen = Vec::new();
    loop {
        let rows = browser.all("table.list tbody tr");
        seen.extend(rows.iter().map(|row| browser.text_of(row)));
        let Some(next) = browser.try_role("link", "Next page") else { break };
        browser.click(&next);
        assert!(browser.path().contains("limit=3"), "{}", browser.path());
        assert!(seen.len() <= 8);
    }
    assert_eq!(seen.len(), 8, "{seen:#?}");
    for n in 0..7 {
        let job = format!("job {}", (b'a' + n) as char);
        assert_eq!(seen.iter().filter(|row| row.contains(&job)).count(), 1, "{job}");
    }
    browser.press_on("First page");
    // Sorted by a click on a column.
    browser.go(V3_TOKENS);
    browser.press_on("Description");
    browser.press_on("Description");
    assert!(
        browser.path().contains("sort=description") && browser.path().contains("order=desc"),
        "{}",
        browser.path()
    );
    let first = browser.text_of(&browser.find("table.list tbody tr"));
    assert!(first.contains("job g"), "{first}");
    assert_eq!(browser.attribute(&browser.find("th[aria-sort]"), "aria-sort").as_deref(), Some("descending"));
    // Filtered by the form, without a script.
    browser.go(V3_TOKENS);
    browser.choose(&browser.field("Field to filter by"), "Description");
    browser.fill(&browser.field("Value to compare with"), "job c");
    browser.press_on("Filter");
    assert_eq!(browser.path(), "/v3/tokens?description=job%20c");
    assert_eq!(browser.all("table.list tbody tr").len(), 1);
    browser.accessible();
    let remove = browser.find(".chips .chip a");
    assert!(browser.label_of(&remove).starts_with("Remove filter: "), "{}", browser.label_of(&remove));
    browser.click(&remove);
    assert_eq!(browser.all("table.list tbody tr").len(), 8);
    browser.go("/v3/tokens?description=nothing");
    assert!(browser.text().contains("Nothing here matches."), "{}", browser.text());
    browser.accessible();
}

#[test]
fn the_page_shows_the_api_and_every_link_in_it_works() {
    needs_browser!();
    let server = Server::start();
    let admin = server.admin();
    let own = key(&admin.http, &json!({"description": "</script><script>alert(1)</script>"}));
    let browser = Browser::open(&server);
    browser.become_person(&admin);
    let wanted = [
        V3_TOKENS.to_owned(),
        own.path(),
        format!("{}?_view=delete", own.path()),
        format!("{}?_view=edit", own.path()),
        "/v3/tokens?_view=create".to_owned(),
        "/v3/tokens?userId=%2A".to_owned(),
        "/v3/users".to_owned(),
        "/v3/settings".to_owned(),
    ];
    let mut waiting = vec!["/v3".to_owned()];
    let mut seen = Vec::new();
    while let Some(path) = waiting.pop() {
        // Enough to reach every kind of page; what comes in dozens is alike.
        let kind = path.split(['?', '/']).take(3).collect::<Vec<_>>().join("/");
        let alike = seen.iter().filter(|p: &&String| p.starts_with(&kind)).count();
        if seen.contains(&path) || path.contains("_lang=") || alike > 4 && !wanted.contains(&path) {
            continue;
        }
        browser.go(&path);
        let title = browser.title();
        assert!(title.starts_with("API: ") && title.len() > 5, "{path}: {title:?}");
        assert!(!browser.text().contains("There is nothing here"), "{path} leads nowhere");
        assert_eq!(browser.all("script").len(), 0, "{path}");
        let links = browser.script("return [...document.querySelectorAll('a[href]')].map(a => a.href)", &[]);
        for link in links.as_array().unwrap() {
            let link = link.as_str().unwrap().split('#').next().unwrap();
            let inner = link.strip_prefix(&server.url()).unwrap_or_else(|| panic!("{path} links to {link}"));
            waiting.insert(0, inner.to_owned());
        }
        seen.push(path);
    }
    assert!(seen.len() > 25, "{seen:#?}");
    for wanted in wanted {
        assert!(seen.contains(&wanted), "{wanted} is not linked: {seen:#?}");
    }
    // The curl command is the request: it does what the page would have done.
    browser.go(&format!("{}?_view=delete", own.path()));
    let said = browser.text();
    assert!(said.contains(&format!("DELETE {} HTTP/1.1", own.path())), "{said}");
    let shown: Vec<String> = browser.all("pre").iter().map(|pre| browser.text_of(pre)).collect();
    let curl = shown.iter().find(|text| text.starts_with("curl ")).unwrap_or_else(|| panic!("{shown:?}"));
    let whole = format!(
        "curl -u \"${{CATTLE_ACCESS_KEY}}:${{CATTLE_SECRET_KEY}}\" -X DELETE -H 'Accept: application/json' '{}{}'",
        server.url(),
        own.path()
    );
    let words: Vec<&str> = curl.split_whitespace().filter(|word| *word != "\\").collect();
    assert_eq!(words.join(" "), whole);
    let (name, secret) = admin.bearer.split_once(':').unwrap();
    let ran = std::process::Command::new("sh")
        .args(["-c", curl])
        .env("CURL_CA_BUNDLE", server.ca_file())
        .env("CATTLE_ACCESS_KEY", name)
        .env("CATTLE_SECRET_KEY", secret)
        .output()
        .unwrap();
    // 127: no curl on this machine.
    if ran.status.code() != Some(127) {
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        assert!(!works(&server, &own.bearer));
    }
}

#[test]
fn an_unknown_address_is_an_error_page_and_bad_hands_change_nothing() {
    needs_browser!();
    let server = Server::start();
    let (ann, bob) = (server.person("ann", &["user"]), server.person("bob", &["user"]));
    let of_bob = key(&bob.http, &json!({"description": "of bob"}));
    let browser = Browser::with(&server, Look { width: 800, ..Look::default() });
    browser.become_person(&ann);
    for path in [
        "/v3/nothing",
        "/v3/tokens/token-zzzzz",
        &of_bob.path(),
        &format!("{}?_view=delete", of_bob.path()),
        &format!("{}?_view=edit", of_bob.path()),
    ] {
        browser.go(path);
        let said = browser.text();
        assert!(said.contains("404"), "{path}: {said}");
        assert!(
            !said.contains("of bob") && browser.try_role("button", "Send Request").is_none(),
            "{path}: {said}"
        );
        browser.accessible();
    }
    browser.screenshot("not-found");
    for path in [
        "/v3/tokens?_view=nonsense",
        "/v3/tokens?_view=action&name=fly",
        "/v3/tokens?_view=delete",
        "/v3/settings?_view=create",
        "/v3/users?_view=create",
    ] {
        browser.go(path);
        assert!(browser.title().starts_with("API: "), "{path}: {}", browser.title());
        browser.accessible();
    }
    assert!(works(&server, &of_bob.bearer));
}
