//! The API view in a real browser.

use eartag_tests::{Browser, Server, needs_browser};

#[test]
fn what_a_browser_complains_about_is_noticed() {
    needs_browser!();
    let server = Server::start();
    let browser = Browser::open(&server);
    browser.go("/ping");
    assert_eq!(browser.complaints(), Vec::<String>::new());
    browser.script("console.error('a fault'); return 1", &[]);
    assert!(browser.complaints().iter().any(|c| c.contains("a fault")));
    browser.script(
        "const m = document.createElement('meta'); m.httpEquiv = 'Content-Security-Policy'; m.content = \"script-src 'none'\";\
         document.head.append(m); const s = document.createElement('script'); s.textContent = '1'; document.head.append(s);",
        &[],
    );
    let complaints = browser.complaints();
    assert!(complaints.iter().any(|c| c.contains("Content Security Policy")), "{complaints:?}");
    browser
        .go("data:text/html,<title>a</title><main><h1>b</h1><img src='data:image/png;base64,AAAA'></main>");
    let violations = browser.violations();
    assert!(violations.iter().any(|v| v.starts_with("image-alt")), "{violations:?}");
}
