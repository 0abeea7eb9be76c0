//! A real browser: headless Chromium, by way of its driver, with a profile that is empty at the start and gone at the end.
//!
//! A page of ours runs no script, so whatever the browser's console says is a fault: each step that loads a page looks there, and fails on
//! anything but the load's own status (a 404 that the test asked for).

mod driver;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::people::Person;
use crate::server::{Server, target_dir};
use crate::wait;
use crate::wait::PATIENCE;
use driver::{Driver, Refused};

/// How WebDriver names an element in JSON.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// The tab key, as WebDriver writes it.
pub const TAB: &str = "\u{e004}";
/// The enter key.
const ENTER: &str = "\u{e007}";

/// Runs axe-core, which is defined before it, and puts what it finds into words.
const RUN_AXE: &str = r"
const done = arguments[arguments.length - 1];
const words = violation => violation.id + ' (' + violation.impact + '): ' + violation.help + '\n  '
  + violation.nodes.slice(0, 5).map(node => node.html + ' ' + node.failureSummary).join('\n  ');
axe.run(document, {resultTypes: ['violations']})
  .then(results => done(results.violations.map(words)), error => done(['axe-core failed: ' + error]));
";

/// What a person's browser is set to.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// `Accept-Language`, such as `en` or `zh-CN`.
    pub language: &'static str,
    pub dark: bool,
    /// The window, in CSS pixels.
    pub width: u32,
    pub height: u32,
}

impl Default for Look {
    fn default() -> Look {
        Look { language: "en", dark: false, width: 1280, height: 900 }
    }
}

/// A browser window.
pub struct Browser {
    driver: Driver,
    session: String,
    base: String,
    /// How many documents were left.
    left: AtomicU64,
}

/// Something on a page.
#[derive(Clone, Debug)]
pub struct Element(String);

/// Says why the tests of this kind do not run, or fails where they must.
///
/// # Panics
/// Without a browser when `CI=true`.
pub fn missing() -> bool {
    if driver::chromium().is_some() && driver::chromedriver().is_some() {
        return false;
    }
    let how = "no browser: run `scripts/tools test` as root, install chromium and chromium-driver, or set EARTAG_CHROMIUM and EARTAG_CHROMEDRIVER";
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{how}");
    eprintln!("left out: {how}");
    true
}

/// Leaves a test out, saying so, where there is no browser.
#[macro_export]
macro_rules! needs_browser {
    () => {
        if $crate::browser::missing() {
            return;
        }
    };
}

impl Browser {
    /// A window in English, light, on a desk.
    pub fn open(server: &Server) -> Browser {
        Browser::with(server, Look::default())
    }

    /// A window that looks like this.
    pub fn with(server: &Server, look: Look) -> Browser {
        let driver = Driver::start();
        // On a busy machine its start can take longer than its driver waits for.
        let session = (1..=3).find_map(|attempt| {
            let profile = driver.home().join(format!("profile-{attempt}"));
            match driver.ask("POST", "/session", Some(&capabilities(&profile, look))) {
                Ok(answer) => Some(answer["sessionId"].as_str().expect("a session").to_owned()),
                Err(refused) => {
                    eprintln!("the browser did not start: {refused:?}");
                    None
                }
            }
        });
        let session = session.expect("a browser that starts");
        let browser = Browser { driver, session, base: server.url(), left: AtomicU64::new(0) };
        browser.look(look);
        browser
    }

    /// Changes what the browser is set to; pages see it when they are loaded again.
    pub fn look(&self, look: Look) {
        self.cdp(
            "Emulation.setDeviceMetricsOverride",
            &json!({"width": look.width, "height": look.height, "deviceScaleFactor": 1, "mobile": false}),
        );
        let scheme = if look.dark { "dark" } else { "light" };
        self.cdp(
            "Emulation.setEmulatedMedia",
            &json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]}),
        );
        let agent = self.script("return navigator.userAgent", &[]);
        self.cdp(
            "Emulation.setUserAgentOverride",
            &json!({"userAgent": agent, "acceptLanguage": look.language}),
        );
    }

    /// Logs in as a person does; the page that is shown has the login form.
    #[track_caller]
    pub fn log_in(&self, username: &str, password: &str) {
        self.fill(&self.field("Username"), username);
        self.fill(&self.field("Password"), password);
        self.click(&self.role("button", "Log in"));
    }

    /// Has the cookie of this person's session, without the login page.
    pub fn become_person(&self, person: &Person) {
        self.become_bearer(&person.bearer);
    }

    /// Has a cookie of this value.
    pub fn become_bearer(&self, bearer: &str) {
        self.go("/ping");
        let cookie = json!({"cookie": {
            "name": "R_SESS", "value": bearer, "path": "/", "secure": true, "httpOnly": true, "sameSite": "Lax"}});
        self.want("POST", "/cookie", Some(&cookie));
    }

    /// Opens a page: a path of the server, or a whole URL.
    #[track_caller]
    pub fn go(&self, to: &str) {
        let url = if !to.starts_with('/') { to.to_owned() } else { format!("{}{to}", self.base) };
        self.want("POST", "/url", Some(&json!({"url": url})));
        self.no_complaints();
    }

    #[track_caller]
    pub fn reload(&self) {
        self.leave(|| self.want("POST", "/refresh", Some(&json!({}))));
        self.no_complaints();
    }

    #[track_caller]
    pub fn back(&self) {
        self.leave(|| self.want("POST", "/back", Some(&json!({}))));
    }

    /// Goes to an empty page, and forgets what the browser said of the one before.
    #[track_caller]
    pub fn abandon(&self) {
        self.want("POST", "/url", Some(&json!({"url": "about:blank"})));
        let _ = self.complaints();
    }

    /// Path and query of the page that is shown.
    #[track_caller]
    pub fn path(&self) -> String {
        let url = self.url();
        url.strip_prefix(&self.base).unwrap_or_else(|| panic!("elsewhere: {url}")).to_owned()
    }

    #[track_caller]
    pub fn url(&self) -> String {
        string(&self.want("GET", "/url", None))
    }

    #[track_caller]
    pub fn title(&self) -> String {
        string(&self.want("GET", "/title", None))
    }

    /// The page's document as it is now.
    #[track_caller]
    pub fn source(&self) -> String {
        string(&self.want("GET", "/source", None))
    }

    /// What can be read on the page.
    #[track_caller]
    pub fn text(&self) -> String {
        self.text_of(&self.find("body"))
    }

    /// The first element that a CSS selector finds.
    #[track_caller]
    pub fn find(&self, css: &str) -> Element {
        self.try_find(css).unwrap_or_else(|| panic!("{}: no {css} in\n{}", self.url(), self.text_or_source()))
    }

    pub fn try_find(&self, css: &str) -> Option<Element> {
        self.all(css).into_iter().next()
    }

    /// All that a CSS selector finds.
    #[track_caller]
    pub fn all(&self, css: &str) -> Vec<Element> {
        self.elements("css selector", css)
    }

    /// The link of this text.
    #[track_caller]
    pub fn link(&self, text: &str) -> Element {
        let found = self.elements("link text", text);
        found
            .into_iter()
            .next()
            .unwrap_or_else(|| panic!("{}: no link {text:?} in\n{}", self.url(), self.text_or_source()))
    }

    /// Whether there is a link of this text.
    #[track_caller]
    pub fn has_link(&self, text: &str) -> bool {
        !self.elements("link text", text).is_empty()
    }

    /// The element that a screen reader calls so: `button`, `link`, `textbox`, … and its name.
    #[track_caller]
    pub fn role(&self, role: &str, name: &str) -> Element {
        self.try_role(role, name)
            .unwrap_or_else(|| panic!("{}: no {role} {name:?} in\n{}", self.url(), self.text_or_source()))
    }

    #[track_caller]
    pub fn try_role(&self, role: &str, name: &str) -> Option<Element> {
        let candidates = match role {
            "button" => "button, input[type=submit], input[type=button], summary, [role=button]",
            "link" => "a[href], [role=link]",
            "textbox" => "input, textarea, [role=textbox]",
            "heading" => "h1, h2, h3, h4, h5, h6",
            "checkbox" => "input[type=checkbox], [role=checkbox]",
            "combobox" => "select, input",
            _ => "*",
        };
        self.all(candidates)
            .into_iter()
            .find(|element| self.label_of(element).trim() == name && self.role_of(element) == role)
    }

    /// The field behind a label.
    #[track_caller]
    pub fn field(&self, label: &str) -> Element {
        let controls = self.all("input:not([type=hidden]), select, textarea");
        let names: Vec<String> = controls.iter().map(|c| self.label_of(c)).collect();
        let at = names.iter().position(|name| name.trim() == label);
        let at = at.or_else(|| names.iter().position(|name| name.trim().starts_with(label)));
        let at = at.unwrap_or_else(|| panic!("{}: no field {label:?} among {names:?}", self.url()));
        controls[at].clone()
    }

    /// The name that a screen reader gives it.
    #[track_caller]
    pub fn label_of(&self, element: &Element) -> String {
        string(&self.want("GET", &format!("/element/{}/computedlabel", element.0), None))
    }

    #[track_caller]
    pub fn role_of(&self, element: &Element) -> String {
        string(&self.want("GET", &format!("/element/{}/computedrole", element.0), None))
    }

    /// What can be read in it.
    #[track_caller]
    pub fn text_of(&self, element: &Element) -> String {
        string(&self.want("GET", &format!("/element/{}/text", element.0), None))
    }

    /// An attribute as the document says it.
    #[track_caller]
    pub fn attribute(&self, element: &Element, name: &str) -> Option<String> {
        let value = self.want("GET", &format!("/element/{}/attribute/{name}", element.0), None);
        value.as_str().map(str::to_owned)
    }

    /// A property as the browser has it now, such as a field's `value`.
    #[track_caller]
    pub fn property(&self, element: &Element, name: &str) -> Value {
        self.want("GET", &format!("/element/{}/property/{name}", element.0), None)
    }

    /// Clicks the link or button of this name.
    #[track_caller]
    pub fn press_on(&self, name: &str) {
        let found = self.try_role("button", name).or_else(|| self.try_role("link", name));
        let found = found.unwrap_or_else(|| {
            panic!("{}: no button or link {name:?} in\n{}", self.url(), self.text_or_source())
        });
        self.click(&found);
    }

    /// Chooses an option of a select by its text.
    #[track_caller]
    pub fn choose(&self, select: &Element, option: &str) {
        let options = self.want(
            "POST",
            &format!("/element/{}/elements", select.0),
            Some(&json!({"using": "css selector", "value": "option"})),
        );
        let options: Vec<Element> = options.as_array().expect("options").iter().map(element).collect();
        let texts: Vec<String> = options.iter().map(|o| self.text_of(o)).collect();
        let at = texts.iter().position(|text| text.trim() == option);
        let at = at.unwrap_or_else(|| panic!("{}: no option {option:?} among {texts:?}", self.url()));
        self.want("POST", &format!("/element/{}/click", options[at].0), Some(&json!({})));
    }

    /// Clicks, and waits for the page that it leads to.
    #[track_caller]
    pub fn click(&self, element: &Element) {
        self.leave(|| self.want("POST", &format!("/element/{}/click", element.0), Some(&json!({}))));
        self.no_complaints();
    }

    /// Types into a field, behind what is there.
    #[track_caller]
    pub fn type_into(&self, element: &Element, text: &str) {
        self.want("POST", &format!("/element/{}/value", element.0), Some(&json!({"text": text})));
    }

    /// Empties a field and types into it.
    #[track_caller]
    pub fn fill(&self, element: &Element, text: &str) {
        self.want("POST", &format!("/element/{}/clear", element.0), Some(&json!({})));
        self.type_into(element, text);
    }

    /// Presses a key that leaves the page where it is, wherever the focus is.
    #[track_caller]
    pub fn press(&self, key: &str) {
        let keys = json!({"actions": [{"type": "key", "id": "keyboard", "actions": [
            {"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]}]});
        self.want("POST", "/actions", Some(&keys));
    }

    /// Presses the enter key, and waits for the page that it leads to.
    #[track_caller]
    pub fn enter(&self) {
        self.leave(|| self.press(ENTER));
        self.no_complaints();
    }

    /// What has the focus.
    #[track_caller]
    pub fn focused(&self) -> Element {
        element(&self.want("GET", "/element/active", None))
    }

    /// The field where a page puts the cursor by itself, which it does with its first picture: somewhat later than it is loaded.
    #[track_caller]
    pub fn field_with_the_cursor(&self) -> Element {
        wait::until("the cursor to be in a field", PATIENCE, || {
            Some(self.focused()).filter(|at| self.role_of(at) == "textbox")
        })
    }

    /// Goes on with the tab key until this has the focus; gives how many presses it took.
    #[track_caller]
    pub fn tab_to(&self, role: &str, name: &str) -> usize {
        let mut seen = Vec::new();
        for presses in 1..=200 {
            self.press(TAB);
            let at = self.focused();
            let here = (self.role_of(&at), self.label_of(&at).trim().to_owned());
            if here.0 == role && here.1 == name {
                return presses;
            }
            seen.push(format!("{} {:?}", here.0, here.1));
        }
        panic!("{}: the tab key leads to no {role} {name:?}; it leads to {seen:#?}", self.url());
    }

    /// All cookies of the page, as WebDriver shows them.
    #[track_caller]
    pub fn cookies(&self) -> Vec<Value> {
        self.want("GET", "/cookie", None).as_array().cloned().unwrap_or_default()
    }

    /// The value of a cookie.
    #[track_caller]
    pub fn cookie(&self, name: &str) -> Option<String> {
        self.cookies().iter().find(|c| c["name"] == name).and_then(|c| Some(c["value"].as_str()?.to_owned()))
    }

    /// Saves what the window shows, from top to bottom, as `target/screenshots/<name>.png`.
    pub fn screenshot(&self, name: &str) -> PathBuf {
        let shot =
            self.cdp("Page.captureScreenshot", &json!({"captureBeyondViewport": true, "format": "png"}));
        let dir = target_dir().join("screenshots");
        std::fs::create_dir_all(&dir).expect("a directory");
        let file = dir.join(format!("{name}.png"));
        std::fs::write(&file, STANDARD.decode(string(&shot["data"])).expect("base64")).expect("a file");
        file
    }

    /// Runs the body of a function in the page; gives what it returns.
    #[track_caller]
    pub fn script(&self, body: &str, args: &[Value]) -> Value {
        self.want("POST", "/execute/sync", Some(&json!({"script": body, "args": args})))
    }

    /// Runs the body of a function that leads to another page, and waits for that page.
    #[track_caller]
    pub fn script_that_leaves(&self, body: &str, args: &[Value]) {
        self.leave(|| self.script(body, args));
    }

    /// The same as [`Browser::script`] for one that calls its last argument when it is done.
    #[track_caller]
    pub fn async_script(&self, body: &str, args: &[Value]) -> Value {
        self.want("POST", "/execute/async", Some(&json!({"script": body, "args": args})))
    }

    /// What the browser has complained about since the last time.
    #[track_caller]
    pub fn complaints(&self) -> Vec<String> {
        let log = self.want("POST", "/se/log", Some(&json!({"type": "browser"})));
        let entries = log.as_array().cloned().unwrap_or_default();
        entries
            .iter()
            // A page with another status than 200 is what many tests ask for.
            .filter(|entry| {
                let text = entry["message"].as_str().unwrap_or_default();
                let answered =
                    entry["source"] == "network" && text.contains("the server responded with a status of");
                // What is no more than a recommendation is at these levels.
                let advice = matches!(entry["level"].as_str(), Some("DEBUG" | "INFO"));
                !answered && !advice
            })
            .map(|entry| format!("{} {}: {}", entry["level"], entry["source"], entry["message"]))
            .collect()
    }

    /// Fails on any complaint of the browser's console, such as a violated Content-Security-Policy.
    #[track_caller]
    pub fn no_complaints(&self) {
        let complaints = self.complaints();
        assert!(complaints.is_empty(), "{}: the browser complains: {complaints:#?}", self.url());
    }

    /// Fails on anything that axe-core finds wrong with the page.
    #[track_caller]
    pub fn accessible(&self) {
        let violations = self.violations();
        assert!(violations.is_empty(), "{}: axe-core finds\n{}", self.url(), violations.join("\n"));
        self.no_complaints();
    }

    /// What axe-core finds wrong with the page. Without axe-core it does not look.
    #[track_caller]
    pub fn violations(&self) -> Vec<String> {
        let Some(axe) = axe() else { return Vec::new() };
        let found = self.async_script(&format!("{axe};\n{RUN_AXE}"), &[]);
        found.as_array().expect("violations").iter().map(string).collect()
    }

    /// A command of Chromium's own protocol.
    #[track_caller]
    pub fn cdp(&self, command: &str, params: &Value) -> Value {
        self.want("POST", "/goog/cdp/execute", Some(&json!({"cmd": command, "params": params})))
    }

    #[track_caller]
    fn elements(&self, using: &str, value: &str) -> Vec<Element> {
        let found = self.want("POST", "/elements", Some(&json!({"using": using, "value": value})));
        found.as_array().expect("elements").iter().map(element).collect()
    }

    /// Does what leads to another page, and waits until that one is there. The old one is `complete` too, for as long as the server takes to answer, so it gets a
    /// mark that the next document does not have. One that comes back as it was when it was left, by going back, has an older mark.
    #[track_caller]
    fn leave<T>(&self, act: impl FnOnce() -> T) {
        let mark = json!(self.left.fetch_add(1, Ordering::Relaxed));
        self.script("document.left = arguments[0]; return 1", std::slice::from_ref(&mark));
        act();
        wait::until("the next page to be loaded", PATIENCE, || {
            let arrived = "return document.left !== arguments[0] && document.readyState === 'complete'";
            let arrived =
                self.ask("POST", "/execute/sync", Some(&json!({"script": arrived, "args": [mark]})));
            // Between two documents the driver refuses.
            (arrived.ok()? == true).then_some(())
        });
    }

    fn text_or_source(&self) -> String {
        self.script(
            "return document.body ? document.body.innerText : document.documentElement.outerHTML",
            &[],
        )
        .as_str()
        .unwrap_or_default()
        .chars()
        .take(4000)
        .collect()
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Refused> {
        self.driver.ask(method, &format!("/session/{}{path}", self.session), body)
    }

    #[track_caller]
    fn want(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        match self.ask(method, path, body) {
            Ok(value) => value,
            Err(refused) => panic!("{method} {path}: {}: {}", refused.error, refused.message),
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let name = std::thread::current().name().unwrap_or("test").replace("::", "-");
            let shown = self.ask("GET", "/screenshot", None).ok();
            if let Some(png) = shown.and_then(|s| STANDARD.decode(s.as_str()?).ok()) {
                let dir = target_dir().join("screenshots");
                let file = dir.join(format!("failed-{name}.png"));
                if std::fs::create_dir_all(&dir).and_then(|()| std::fs::write(&file, png)).is_ok() {
                    eprintln!("--- what the browser showed: {}", file.display());
                }
            }
        }
        let _ = self.ask("DELETE", "", None);
    }
}

/// What a browser is started with.
fn capabilities(profile: &Path, look: Look) -> Value {
    let args = [
        "--headless=new".to_owned(),
        "--no-sandbox".to_owned(),
        "--disable-gpu".to_owned(),
        "--hide-scrollbars".to_owned(),
        "--disable-dev-shm-usage".to_owned(),
        "--disable-quic".to_owned(),
        "--disable-extensions".to_owned(),
        "--disable-background-networking".to_owned(),
        "--disable-component-update".to_owned(),
        "--disable-sync".to_owned(),
        "--disable-default-apps".to_owned(),
        "--disable-breakpad".to_owned(),
        "--disable-crash-reporter".to_owned(),
        "--no-first-run".to_owned(),
        "--no-proxy-server".to_owned(),
        "--password-store=basic".to_owned(),
        format!("--user-data-dir={}", profile.display()),
        format!("--window-size={},{}", look.width, look.height),
        format!("--lang={}", look.language),
    ];
    // A little less than we wait for the driver, which can say more about it.
    let patience = u64::try_from((PATIENCE * 9 / 10).as_millis()).expect("milliseconds");
    json!({"capabilities": {"alwaysMatch": {
        "browserName": "chrome",
        "acceptInsecureCerts": true,
        "timeouts": {"script": patience, "pageLoad": patience},
        "goog:loggingPrefs": {"browser": "ALL"},
        "goog:chromeOptions": {
            "binary": driver::chromium().expect("a browser"),
            "args": args,
            "prefs": {"intl.accept_languages": look.language, "credentials_enable_service": false},
        },
    }}})
}

/// The accessibility checker's text; `None`, said once, where there is none.
///
/// # Panics
/// Without one when `CI=true`.
pub fn axe() -> Option<String> {
    let file =
        std::env::var_os("EARTAG_AXE").map_or_else(|| target_dir().join("tools/axe.min.js"), PathBuf::from);
    if let Ok(text) = std::fs::read_to_string(&file) {
        return Some(text);
    }
    let how = "no axe-core: run `scripts/tools test`, or set EARTAG_AXE to an axe.min.js";
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{how}");
    eprintln!("left out: {how}");
    None
}

#[track_caller]
fn element(value: &Value) -> Element {
    Element(value[ELEMENT].as_str().unwrap_or_else(|| panic!("no element: {value}")).to_owned())
}

#[track_caller]
fn string(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a string: {value}")).to_owned()
}
