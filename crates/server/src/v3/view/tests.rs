//! Pages from request to answer, over the real kinds.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use eartag_core::collections::LEGACY_TOKENS;
use http::HeaderMap;
use http_body_util::BodyExt;

use super::*;
use crate::authn::testing::{PASSWORD, Scene, hash, request, system_admin};
use crate::login;
use crate::v3;

const BROWSER: (&str, &str) = ("user-agent", "Mozilla/5.0 (X11; Linux x86_64)");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const OURS: (&str, &str) = ("origin", "https://a.example");
const CSRF: &str = "0123456789abcdef0123456789abcdef";

/// A page as a browser gets it.
struct Got {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|v| v.to_str().unwrap()).unwrap_or_default()
    }

    fn cookies(&self) -> Vec<&str> {
        self.headers.get_all("set-cookie").iter().map(|v| v.to_str().unwrap()).collect()
    }

    fn is_page(&self) -> bool {
        self.header("content-type") == "text/html; charset=utf-8"
    }
}

async fn send(scene: &Scene, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Got {
    let mut all = vec![BROWSER];
    all.extend_from_slice(headers);
    let request = request(method, path, &all, body);
    let response = match front(&scene.state, &request, &scene.peer) {
        Some(response) => response,
        None if login::serves(request.uri().path()) => {
            login::handle(&scene.state, request, &scene.peer).await
        }
        None => v3::handle(&scene.state, request, &scene.peer).await,
    };
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    Got {
        status: parts.status.as_u16(),
        headers: parts.headers,
        text: String::from_utf8(bytes.to_vec()).unwrap(),
    }
}

/// A server, and the cookies of ann, a standard user, who is logged in.
async fn ann() -> (Scene, String) {
    let scene = Scene::new().await;
    let owner = scene.user("user-ann", "ann", Some(hash()), "user").await;
    let token = scene.token(&owner, true, "").await;
    (scene, format!("R_SESS={}; CSRF={CSRF}", token.bearer.expose()))
}

fn names(scene: &Scene) -> usize {
    scene.state.tables.verifier.len(eartag_core::Face::Legacy)
}

#[tokio::test]
async fn browsers_get_pages_and_everybody_else_gets_json() {
    let (scene, cookie) = ann().await;
    let cookie = ("cookie", cookie.as_str());
    for path in
        ["/v3", "/v3/tokens", "/v3/users/user-ann", "/v3/schemas", "/v3/schemas/token", "/v3/tokens/absent"]
    {
        let got = send(&scene, "GET", path, &[cookie], "").await;
        assert!(got.is_page(), "{path}: {}", got.header("content-type"));
        assert!(got.text.starts_with("<!doctype html>"), "{path}");
        let json = send(&scene, "GET", path, &[cookie, ("accept", "application/json")], "").await;
        assert_eq!(json.header("content-type"), "application/json", "{path}");
        let named = send(&scene, "GET", &format!("{path}?_format=json"), &[cookie], "").await;
        assert_eq!(named.header("content-type"), "application/json", "{path}");
    }
    let missing = send(&scene, "GET", "/v3/tokens/absent", &[cookie], "").await;
    assert_eq!(missing.status, 404);
    assert!(missing.text.contains("not found"));
}

#[tokio::test]
async fn every_page_has_its_headers() {
    let (scene, cookie) = ann().await;
    let cookie = ("cookie", cookie.as_str());
    for path in ["/v3/tokens", "/v3/nothing", "/login?logged_out"] {
        let got = send(&scene, "GET", path, &[cookie], "").await;
        assert_eq!(got.header("content-security-policy"), eartag_view::CONTENT_SECURITY_POLICY, "{path}");
        assert_eq!(got.header("x-frame-options"), "SAMEORIGIN");
        assert_eq!(got.header("x-content-type-options"), "nosniff");
        assert_eq!(got.header("referrer-policy"), "same-origin");
        assert!(got.header("cache-control").contains("no-store"));
    }
}

#[tokio::test]
async fn files_of_the_pages_may_be_kept_for_ever_and_other_paths_are_not_there() {
    let scene = Scene::new().await;
    let page = send(&scene, "GET", "/login", &[], "").await;
    let path = page.text.split("href=\"/api-ui/").nth(1).unwrap().split('"').next().unwrap();
    let style = send(&scene, "GET", &format!("/api-ui/{path}"), &[], "").await;
    assert_eq!((style.status, style.header("content-type")), (200, "text/css; charset=utf-8"));
    assert!(style.header("cache-control").contains("immutable"));
    for path in ["/api-ui/", "/api-ui/0/eartag.css", "/api-ui/../v3"] {
        assert_eq!(send(&scene, "GET", path, &[], "").await.status, 404, "{path}");
    }
    assert_eq!(send(&scene, "POST", "/api-ui/x", &[], "").await.status, 405);
}

#[tokio::test]
async fn a_browser_without_a_session_is_led_to_the_login_and_back() {
    let scene = Scene::new().await;
    let owner = scene.user("user-ann", "ann", Some(hash()), "user").await;
    let first = send(&scene, "GET", "/v3/tokens?limit=5", &[], "").await;
    assert_eq!((first.status, first.header("location")), (303, "/login?next=%2Fv3%2Ftokens%3Flimit%3D5"));
    let page = send(&scene, "GET", first.header("location"), &[], "").await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("name=\"next\" value=\"/v3/tokens?limit=5\""));
    let csrf = page.cookies()[0].split(['=', ';']).nth(1).unwrap().to_owned();
    assert!(page.text.contains(&csrf));
    let cookie = format!("CSRF={csrf}");
    let form = format!(
        "CSRF={csrf}&next=%2Fv3%2Ftokens%3Flimit%3D5&username=ann&password={}",
        PASSWORD.replace(' ', "+")
    );
    let entered = send(&scene, "POST", "/login", &[("cookie", &cookie), OURS, FORM], &form).await;
    assert_eq!((entered.status, entered.header("location")), (303, "/v3/tokens?limit=5"), "{}", entered.text);
    let session = entered.cookies().into_iter().find(|c| c.starts_with("R_SESS=")).unwrap().to_owned();
    assert!(session.contains("SameSite=Lax") && session.contains("HttpOnly") && session.contains("Secure"));
    assert!(entered.cookies().iter().any(|c| c.starts_with("CSRF=") && !c.contains(&csrf)), "a new token");
    let session = session.split(';').next().unwrap();
    let list = send(&scene, "GET", "/v3/tokens?limit=5", &[("cookie", session)], "").await;
    assert_eq!(list.status, 200);
    assert!(list.text.contains("this session"));
    // Whoever is logged in needs no login page.
    let again = send(&scene, "GET", "/login?next=/v3/users", &[("cookie", session)], "").await;
    assert_eq!((again.status, again.header("location")), (303, "/v3/users"));
    assert_eq!(String::from_utf8_lossy(owner.key()), "user-ann");
}

#[tokio::test]
async fn a_login_leads_to_no_other_host() {
    let scene = Scene::new().await;
    scene.user("user-ann", "ann", Some(hash()), "user").await;
    let cookie = format!("CSRF={CSRF}");
    // What else is no path of this server is a test of the page's own (login::page).
    let form =
        format!("CSRF={CSRF}&next=%2F%2Fevil.example&username=ann&password={}", PASSWORD.replace(' ', "+"));
    let got = send(&scene, "POST", "/login", &[("cookie", &cookie), OURS, FORM], &form).await;
    assert_eq!((got.status, got.header("location")), (303, "/v3"));
    let page = send(&scene, "GET", "/login?next=https%3A%2F%2Fevil.example", &[], "").await;
    assert!(page.text.contains("name=\"next\" value=\"\"") && !page.text.contains("=\"https://evil"));
}

#[tokio::test]
async fn a_login_that_fails_says_so_and_opens_no_session() {
    let scene = Scene::new().await;
    scene.user("user-ann", "ann", Some(hash()), "user").await;
    let cookie = format!("CSRF={CSRF}");
    let try_it = async |username: &str, password: &str, csrf: &str, extra: &[(&str, &str)]| {
        let mut headers = vec![("cookie", cookie.as_str()), FORM];
        headers.extend_from_slice(extra);
        let form = format!(
            "CSRF={csrf}&next=%2Fv3%2Fusers&username={username}&password={}",
            password.replace(' ', "+")
        );
        let got = send(&scene, "POST", "/login", &headers, &form).await;
        assert!(!got.cookies().iter().any(|c| c.starts_with("R_SESS=")), "{username}");
        assert!(got.is_page() && !got.text.contains(PASSWORD));
        got
    };
    let wrong = try_it("ann", "wrong wrong wrong", CSRF, &[OURS]).await;
    assert_eq!(wrong.status, 401);
    assert!(
        wrong.text.contains("Username or password is wrong.") && wrong.text.contains("value=\"/v3/users\"")
    );
    assert_eq!(try_it("nobody", PASSWORD, CSRF, &[OURS]).await.status, 401);
    // Login CSRF: another site's form, a token that was guessed, none at all.
    assert_eq!(try_it("ann", PASSWORD, CSRF, &[("origin", "https://evil.example")]).await.status, 422);
    assert_eq!(try_it("ann", PASSWORD, "guessed", &[OURS]).await.status, 422);
    assert_eq!(try_it("ann", PASSWORD, "", &[OURS]).await.status, 422);
    scene.enable("user-ann", false).await;
    assert_eq!(try_it("ann", PASSWORD, CSRF, &[OURS]).await.status, 403);
    scene.enable("user-ann", true).await;
    let mut statuses = Vec::new();
    for _ in 0..40 {
        statuses.push(try_it("ann", "wrong wrong wrong", CSRF, &[OURS]).await);
        if statuses.last().unwrap().status == 429 {
            break;
        }
    }
    let last = statuses.last().unwrap();
    assert_eq!(last.status, 429);
    assert!(!last.header("retry-after").is_empty() && last.text.contains("Too many failed logins"));
}

#[tokio::test]
async fn a_token_is_created_by_form_and_its_value_shown_once() {
    let (scene, cookie) = ann().await;
    let cookie = ("cookie", cookie.as_str());
    let form = send(&scene, "GET", "/v3/tokens?_view=create", &[cookie], "").await;
    assert_eq!(form.status, 200);
    assert!(
        form.text.contains("action=\"/v3/tokens?_format=html\"") && form.text.contains(CSRF),
        "{}",
        form.text
    );
    let body = format!("CSRF={CSRF}&description=nightly&ttl=86400000&clusterId=");
    let made = send(&scene, "POST", "/v3/tokens?_format=html", &[cookie, OURS, FORM], &body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert!(made.is_page() && made.text.contains("Copy this token now"));
    let bearer = made
        .text
        .split("aria-labelledby=\"bearer-label\" dir=\"ltr\">")
        .nth(1)
        .unwrap()
        .split('<')
        .next()
        .unwrap();
    let auth = format!("Bearer {bearer}");
    let id = bearer.split(':').next().unwrap();
    let path = format!("/v3/tokens/{id}");
    let with_it = send(&scene, "GET", &path, &[("authorization", &auth)], "").await;
    assert_eq!(with_it.status, 200);
    assert!(with_it.text.contains("nightly") && !with_it.text.contains(bearer));
}

#[tokio::test]
async fn what_the_api_refuses_comes_back_as_the_form_with_the_error_at_its_field() {
    let (scene, cookie) = ann().await;
    let cookie = ("cookie", cookie.as_str());
    let before = names(&scene);
    let body = format!("CSRF={CSRF}&description=mine+%3Cb%3E&ttl=1+day");
    let got = send(&scene, "POST", "/v3/tokens?_format=html", &[cookie, OURS, FORM], &body).await;
    assert_eq!(got.status, 422);
    assert!(
        got.text.contains("of type int64")
            && got.text.contains("id=\"e-ttl\"")
            && got.text.contains("aria-invalid=\"true\""),
        "{}",
        got.text
    );
    assert!(got.text.contains("mine &#60;b&#62;"), "what was typed is kept");
    assert_eq!(names(&scene), before);
}

#[tokio::test]
async fn an_edit_changes_what_was_changed_and_nothing_else() {
    let (scene, cookie) = ann().await;
    let id = cookie.split(['=', ':']).nth(1).unwrap().to_owned();
    let cookie = ("cookie", cookie.as_str());
    let path = format!("/v3/tokens/{id}");
    let form = send(&scene, "GET", &format!("{path}?_view=edit"), &[cookie], "").await;
    assert!(form.text.contains("_method=PUT"), "{}", form.text);
    let body = format!(
        "CSRF={CSRF}&description=renamed&_was.description=&ttl=3600000&_was.ttl=3600000&enabled=true&_was.enabled=true"
    );
    let post = format!("{path}?_format=html&_method=PUT");
    let saved = send(&scene, "POST", &post, &[cookie, OURS, FORM], &body).await;
    assert_eq!(saved.status, 200, "{}", saved.text);
    let json = send(&scene, "GET", &path, &[cookie, ("accept", "application/json")], "").await;
    assert!(json.text.contains("\"description\":\"renamed\"") && json.text.contains("\"ttl\":3600000"));
    // A longer life is not theirs to give: the form comes back with the reason.
    let body =
        format!("CSRF={CSRF}&description=again&_was.description=renamed&ttl=999999999&_was.ttl=3600000");
    let refused = send(&scene, "POST", &post, &[cookie, OURS, FORM], &body).await;
    assert_eq!(refused.status, 400, "{}", refused.text);
    assert!(refused.text.contains("forbidden to extend time-to-live") && refused.text.contains("again"));
}

#[tokio::test]
async fn delete_asks_first_and_then_really_deletes() {
    let (scene, cookie) = ann().await;
    let owner = scene.state.store.get(eartag_core::collections::USERS, b"user-ann").unwrap();
    let token = scene.token(&owner, false, "").await;
    let cookie = ("cookie", cookie.as_str());
    let path = format!("/v3/tokens/{}", token.name);
    let asks = send(&scene, "GET", &format!("{path}?_view=delete"), &[cookie], "").await;
    assert!(asks.text.contains("API Request") && asks.text.contains("Send Request"));
    assert!(scene.uid(LEGACY_TOKENS, &token.name).is_some(), "asking deletes nothing");
    let body = format!("CSRF={CSRF}");
    let post = format!("{path}?_format=html&_method=DELETE");
    // Without the token of the page, or from elsewhere, nothing happens.
    for (headers, body) in [
        (vec![cookie, FORM, ("origin", "https://evil.example")], "CSRF=guessed"),
        // A neighbouring host may plant a cookie and know its value; where the form comes from it cannot hide.
        (vec![cookie, FORM, ("origin", "https://evil.example")], body.as_str()),
        (vec![cookie, FORM, ("origin", "null")], body.as_str()),
        (vec![cookie, FORM], "CSRF=guessed"),
        (vec![cookie, FORM], ""),
        (vec![cookie, FORM, ("origin", "null")], ""),
    ] {
        let got = send(&scene, "POST", &post, &headers, body).await;
        assert_eq!(got.status, 422, "{}", got.text);
        assert!(got.is_page() && got.text.contains("InvalidCSRFToken"));
    }
    assert!(scene.uid(LEGACY_TOKENS, &token.name).is_some());
    let gone = send(&scene, "POST", &post, &[cookie, OURS, FORM], &body).await;
    assert_eq!(gone.status, 200, "{}", gone.text);
    assert!(gone.text.contains("204 No Content") && gone.text.contains("Go Up"));
    assert!(scene.uid(LEGACY_TOKENS, &token.name).is_none());
    let again = send(&scene, "POST", &post, &[cookie, FORM], &body).await;
    assert_eq!(again.status, 404, "the form's token alone is proof enough; the token is gone");
    assert!(again.is_page() && again.text.contains("not found"));
}

#[tokio::test]
async fn logging_out_ends_the_session_and_shows_the_login() {
    let (scene, cookie) = ann().await;
    let header = ("cookie", cookie.as_str());
    let path = "/v3/tokens?action=logout&_format=html";
    let body = format!("CSRF={CSRF}");
    let foreign = send(&scene, "POST", path, &[header, FORM, ("origin", "https://evil.example")], "").await;
    assert_eq!(foreign.status, 422);
    assert_eq!(names(&scene), 1);
    let out = send(&scene, "POST", path, &[header, OURS, FORM], &body).await;
    assert_eq!((out.status, out.header("location")), (303, "/login?logged_out"));
    assert!(out.cookies().iter().any(|c| c.starts_with("R_SESS=;")));
    assert_eq!(names(&scene), 0);
    let page = send(&scene, "GET", "/login?logged_out", &[header], "").await;
    assert!(page.text.contains("You are logged out."));
    // A second click finds no session, and is no error.
    let again = send(&scene, "POST", path, &[header, OURS, FORM], &body).await;
    assert_eq!(again.status, 303);
    let other_case = path.replace("tokens", "Tokens");
    let again = send(&scene, "POST", &other_case, &[header, OURS, FORM], &body).await;
    assert_eq!((again.status, again.header("location")), (303, "/login?logged_out"));
}

#[tokio::test]
async fn only_administrators_are_offered_everybodys_tokens() {
    let (mut scene, cookie) = ann().await;
    let own = send(&scene, "GET", "/v3/tokens", &[("cookie", &cookie)], "").await;
    assert!(!own.text.contains("All users"));
    scene.peer = system_admin();
    let all = send(&scene, "GET", "/v3/tokens?userId=*", &[], "").await;
    assert!(
        all.text.contains("<span aria-current=\"true\">All users</span>") && all.text.contains("user-ann")
    );
}

#[tokio::test]
async fn an_action_asks_for_its_input() {
    let (scene, cookie) = ann().await;
    let cookie = ("cookie", cookie.as_str());
    let asks = send(&scene, "GET", "/v3/users?_view=action&name=changepassword", &[cookie], "").await;
    assert!(
        asks.text.contains("name=\"currentPassword\"") && asks.text.contains("type=\"password\""),
        "{}",
        asks.text
    );
    let post = "/v3/users?_format=html&action=changepassword";
    let body = format!("CSRF={CSRF}&currentPassword=wrong&newPassword=something+long+enough");
    let wrong = send(&scene, "POST", post, &[cookie, OURS, FORM], &body).await;
    assert_eq!(wrong.status, 422);
    assert!(
        wrong.text.contains("invalid current password") && !wrong.text.contains("something long"),
        "{}",
        wrong.text
    );
    let body = format!(
        "CSRF={CSRF}&currentPassword={}&newPassword=something+long+enough",
        PASSWORD.replace(' ', "+")
    );
    let done = send(&scene, "POST", post, &[cookie, OURS, FORM], &body).await;
    assert_eq!(done.status, 200, "{}", done.text);
    assert!(!done.text.contains("something long"));
}

#[tokio::test]
async fn a_clusters_kubeconfig_is_saved_as_a_file_in_one_step() {
    let scene = Scene::new().await;
    let owner = scene.user("user-ann", "ann", Some(hash()), "admin").await;
    let token = scene.token(&owner, true, "").await;
    let cookie = format!("R_SESS={}; CSRF={CSRF}", token.bearer.expose());
    let cookie = ("cookie", cookie.as_str());
    let page = send(&scene, "GET", "/v3/clusters/local", &[cookie], "").await;
    let form = "action=\"/v3/clusters/local?_format=html&#38;action=generateKubeconfig\"";
    assert!(page.text.contains(form) && page.text.contains("Download kubeconfig"), "{}", page.text);
    let post = "/v3/clusters/local?_format=html&action=generateKubeconfig";
    let body = format!("CSRF={CSRF}");
    let foreign = [cookie, ("origin", "https://evil.example"), FORM];
    assert_eq!(send(&scene, "POST", post, &foreign, &body).await.status, 422);
    assert_eq!(names(&scene), 1, "another page makes no token");
    let file = send(&scene, "POST", post, &[cookie, OURS, FORM], &body).await;
    assert_eq!((file.status, file.header("content-type")), (200, "application/yaml"));
    assert_eq!(
        file.header("content-disposition"),
        "attachment; filename=\"local.yaml\"; filename*=UTF-8''local.yaml"
    );
    assert!(file.header("cache-control").contains("no-store"));
    assert!(
        file.text.starts_with("apiVersion: v1\nkind: Config\n") && file.text.contains("kubeconfig-user-ann")
    );
    let asks =
        send(&scene, "GET", "/v3/clusters/local?_view=action&name=generateKubeconfig", &[cookie], "").await;
    assert!(asks.text.contains("The browser saves a file"), "the longer way says what comes");
}

#[tokio::test]
async fn the_language_is_that_of_the_browser_unless_another_was_chosen() {
    let scene = Scene::new().await;
    let zh = send(&scene, "GET", "/login", &[("accept-language", "zh-CN,zh;q=0.9")], "").await;
    assert!(zh.text.contains("<html lang=\"zh-CN\">") && zh.text.contains("登录"));
    let chosen = send(&scene, "GET", "/login?_lang=en", &[("accept-language", "zh")], "").await;
    assert!(chosen.text.contains("<html lang=\"en\">"));
    assert!(chosen.cookies().iter().any(|c| c.starts_with("EARTAG_LANG=en;")));
    let kept =
        send(&scene, "GET", "/login", &[("accept-language", "zh"), ("cookie", "EARTAG_LANG=en")], "").await;
    assert!(kept.text.contains("<html lang=\"en\">"));
}

#[tokio::test]
async fn the_filter_form_leads_to_the_filter_of_the_api() {
    let (scene, cookie) = ann().await;
    let got = send(
        &scene,
        "GET",
        "/v3/tokens?limit=5&_field=description&_modifier=ne&_value=a+b",
        &[("cookie", &cookie)],
        "",
    )
    .await;
    assert_eq!((got.status, got.header("location")), (303, "/v3/tokens?limit=5&description_ne=a%20b"));
}

#[tokio::test]
async fn the_front_door_leads_browsers_to_the_api() {
    let scene = Scene::new().await;
    let got = send(&scene, "GET", "/", &[], "").await;
    assert_eq!((got.status, got.header("location")), (303, "/v3"));
    let request = request("GET", "/", &[("user-agent", "curl/8")], "");
    assert!(front(&scene.state, &request, &scene.peer).is_none());
}

/// A type that is new needs its texts in both catalogues (`crates/view/texts`).
#[test]
fn everything_that_people_can_fill_in_is_explained_in_their_language() {
    let mut missing = Vec::new();
    for about in v3::RESOURCES.iter().map(|resource| resource.about()) {
        for field in about.all_fields().filter(|field| field.create || field.update) {
            for lang in eartag_view::Lang::ALL {
                let t = eartag_view::Texts(lang);
                let of = |key: &str| {
                    t.find(&format!("{key}.{}.{}", about.id, field.name))
                        .or_else(|| t.find(&format!("{key}.{}", field.name)))
                        .is_some()
                };
                if !of("help") || !of("field") {
                    missing.push(format!("{}.{} in {}", about.id, field.name, lang.name()));
                }
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}

#[tokio::test]
async fn a_form_with_more_fields_than_any_page_has_is_refused_as_a_whole() {
    let (scene, cookie) = ann().await;
    let cookie = ("cookie", cookie.as_str());
    let before = names(&scene);
    let body = |fields: usize| format!("CSRF={CSRF}&description=d{}", "&x=".repeat(fields - 2));
    let many = send(&scene, "POST", "/v3/tokens?_format=html", &[cookie, OURS, FORM], &body(257)).await;
    assert_eq!((many.status, names(&scene)), (413, before));
    assert!(many.is_page() && many.text.contains("at most 256 fields"), "{}", many.text);
    let most = send(&scene, "POST", "/v3/tokens?_format=html", &[cookie, OURS, FORM], &body(256)).await;
    assert_eq!((most.status, names(&scene)), (201, before + 1));
}

#[tokio::test]
async fn a_page_is_cut_at_500_items_and_says_so() {
    let (scene, cookie) = ann().await;
    let owner = scene.state.store.get(eartag_core::collections::USERS, b"user-ann").unwrap();
    for _ in 0..501 {
        scene.token(&owner, false, "").await;
    }
    let cookie = ("cookie", cookie.as_str());
    let page = send(&scene, "GET", "/v3/tokens?limit=10000", &[cookie], "").await;
    let rows = page.text.matches("href=\"/v3/tokens/token-").count();
    let json = ("accept", "application/json");
    let all = send(&scene, "GET", "/v3/tokens?limit=10000", &[cookie, json], "").await;
    assert!(all.text.contains("\"limit\":10000") && all.text.contains("\"total\":502"), "JSON is not cut");
    assert!(page.text.contains("limit=500") && rows >= 500, "{rows}");
    let names: std::collections::BTreeSet<&str> = page
        .text
        .split("href=\"/v3/tokens/")
        .skip(1)
        .map(|rest| &rest[..rest.find(['"', '?']).unwrap()])
        .collect();
    assert_eq!(names.len(), 500);
}
