//! Requests that are answered before their body has arrived: the answer reaches whoever still sends, and whoever never finishes holds nobody up.

use std::io::Write;
use std::process::Command;

use eartag_tests::people::token;
use eartag_tests::{MANAGEMENT, Server, TOKENS, raw};
use serde_json::{Value, json};

/// What curl got: the version of HTTP, the status and the body.
fn curl(server: &Server, protocol: &str, path: &str, bearer: &str, more: &[&str]) -> (String, u16, Value) {
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "180", "-w", "\n%{http_version} %{http_code}", protocol, "--cacert"]);
    command.arg(server.ca_file());
    // Without the question whether it may send: the body is under way when the answer comes.
    command.args(["-H", "Expect:", "-H", &format!("Authorization: Bearer {bearer}")]);
    let output = command.args(more).arg(format!("{}{path}", server.url())).output().expect("curl");
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{protocol} {path}: {}: {errors}{said}", output.status);
    let (body, codes) = said.rsplit_once('\n').expect("two lines");
    let (version, code) = codes.split_once(' ').expect("two words");
    (version.to_owned(), code.parse().expect("a status"), serde_json::from_str(body).expect("JSON"))
}

#[test]
fn a_refusal_before_the_body_was_read_reaches_a_client_that_is_still_sending() {
    const LARGE: usize = 2_000_000;
    const TOO_LARGE: usize = 4_000_000;
    let server = Server::start();
    let (ann, nobody) = (server.person("ann", &["user"]), "token-aaaaa:wrong");
    let body_of = |length: usize| {
        let file = server.scratch().join(format!("body.{length}"));
        std::fs::write(&file, "x".repeat(length)).expect("a file");
        format!("@{}", file.display())
    };
    let (large, too_large) = (body_of(LARGE), body_of(TOO_LARGE));
    let users = format!("{MANAGEMENT}/users");
    let json = "Content-Type: application/json";
    for (path, bearer, kind, body, code) in [
        (TOKENS, nobody, json, &large, 401),
        ("/v3/tokens", nobody, json, &large, 401),
        ("/k8s/clusters/local/api", nobody, json, &large, 401),
        (&users, ann.bearer.as_str(), json, &large, 403),
        (TOKENS, ann.bearer.as_str(), json, &too_large, 413),
        (TOKENS, ann.bearer.as_str(), "Content-Type: text/plain", &large, 415),
    ] {
        for (protocol, version) in [("--http2", "2"), ("--http1.1", "1.1")] {
            for _ in 0..3 {
                let more = ["-H", kind, "--data-binary", body];
                let (spoken, status, said) = curl(&server, protocol, path, bearer, &more);
                assert_eq!((spoken.as_str(), status), (version, code), "{path}: {said}");
            }
        }
    }
}

#[test]
fn forms_that_never_arrive_leave_the_others_room() {
    // More than may write at once: whoever has not said who they are has places of their own.
    const SLOW: usize = 210;
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.person("ann", &["user"]));
    let config = raw::config(&server.ca_file(), &["http/1.1"]);
    let begun = |path: &str| {
        let mut stream = raw::tls(server.address(), &config).expect("a connection");
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 9000\r\n\r\ntoken="
        );
        stream.write_all(head.as_bytes()).and_then(|()| stream.flush()).expect("a beginning");
        stream
    };
    let slow: Vec<_> = (0..SLOW).map(|_| begun("/oauth2/revoke")).collect();
    let minted = ann.mint(json!({}));
    let review = json!({"spec": {"token": minted.bearer}});
    let reviewed = admin.http.post("/apis/authentication.k8s.io/v1/tokenreviews", &review).want(200);
    assert_eq!(reviewed["status"]["authenticated"], true);
    ann.http.delete(&token(&minted.name)).want(200);
    drop(slow);
}
