//! Through the real curl, as people call it: it speaks HTTP/2, which the client of the other tests does not.

use std::process::Command;

use eartag_tests::http::text;
use eartag_tests::v3::{V3_TOKENS, works};
use eartag_tests::{BOOTSTRAP_PASSWORD, Server};
use serde_json::Value;

/// How often a refusal is asked for: one that overtakes the request's body would fail now and then. (Large bodies are in `unread_bodies`.)
const TRIES: usize = 6;

/// What curl made of the answer.
#[derive(Debug, PartialEq)]
struct Said {
    status: String,
    body: String,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Whether there is no curl here, which is said aloud.
fn missing() -> bool {
    let there = Command::new("curl").arg("--version").output().is_ok_and(|ran| ran.status.success());
    if !there {
        eprintln!("no curl: this test is left out");
    }
    !there
}

fn curl(server: &Server, args: &[&str], path: &str) -> Said {
    let ran = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "180", "--write-out", "\n%{http_code}"])
        .args(args)
        .arg(format!("{}{path}", server.url()))
        .env("CURL_CA_BUNDLE", server.ca_file())
        .output()
        .unwrap();
    assert!(ran.status.success(), "curl {args:?} {path}: {}", String::from_utf8_lossy(&ran.stderr));
    let out = String::from_utf8(ran.stdout).unwrap();
    let (body, status) = out.rsplit_once('\n').unwrap();
    Said { status: status.to_owned(), body: body.to_owned() }
}

#[test]
fn a_token_is_made_listed_and_deleted_by_curl() {
    if missing() {
        return;
    }
    let server = Server::start();
    let credentials = format!("{{\"username\":\"admin\",\"password\":\"{BOOTSTRAP_PASSWORD}\"}}");
    let login = curl(&server, &["--data", &credentials], "/v3-public/localProviders/local?action=login");
    assert_eq!(login.status, "201", "{login:?}");
    let session = text(&login.json()["token"]);
    let made = curl(&server, &["--user", &session, "--data", "{\"description\":\"nightly job\"}"], V3_TOKENS);
    assert_eq!(made.status, "201", "{made:?}");
    let (id, bearer) = (text(&made.json()["id"]), text(&made.json()["token"]));
    let header = format!("Authorization: Bearer {bearer}");
    let listed = curl(&server, &["--header", &header], "/v3/tokens?description=nightly%20job");
    assert_eq!(listed.json()["data"][0]["id"], id.as_str());
    let yaml = curl(&server, &["--header", &header, "--header", "Accept: application/yaml"], V3_TOKENS);
    assert!(yaml.body.starts_with("actions: {}\n") && yaml.body.contains(&id), "{yaml:?}");
    let gone = curl(&server, &["--user", &session, "--request", "DELETE"], &format!("{V3_TOKENS}/{id}"));
    assert_eq!(gone, Said { status: "204".to_owned(), body: String::new() });
    assert!(!works(&server, &bearer));
}

#[test]
fn a_refusal_that_needed_no_body_reaches_whoever_sent_one() {
    if missing() {
        return;
    }
    let server = Server::start();
    let admin = server.admin();
    let (good, bad) = (format!("Authorization: Bearer {}", admin.bearer), "Authorization: Bearer token-x:y");
    let long = format!("{{\"description\":\"{}\"}}", "x".repeat(100_000));
    let json = "Content-Type: application/json";
    let cases: [(&[&str], &str, &str); 7] = [
        (&["--header", bad, "--data", "{}"], V3_TOKENS, "401"),
        (&["--header", bad, "--data", &long], V3_TOKENS, "401"),
        (&["--header", bad, "--header", json, "--data", "{}"], eartag_tests::TOKENS, "401"),
        (&["--header", &good, "--data", "{}"], "/v3/nothing", "404"),
        (&["--header", &good, "--request", "DELETE", "--data", "{}"], "/v3/tokens/token-zzzzz", "404"),
        (&["--header", &good, "--header", json, "--data", "{}"], "/apis/nothing/v1/things", "404"),
        (&["--data", "{}"], "/v1/logout", "401"),
    ];
    for _ in 0..TRIES {
        for (args, path, status) in cases {
            let said = curl(&server, args, path);
            assert_eq!(said.status, status, "{path}: {said:?}");
            assert!(!said.body.is_empty(), "{path}");
        }
    }
}
