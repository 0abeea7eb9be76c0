//! What the command line makes of servers that are not what they should be: its own small HTTPS server plays them.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{KeyPair, PKCS_ED25519};

use super::fake::{Fake, Shown, authority, nobody, own, parameters, signed, signed_by};
use super::support::{bad, code, eartag, good, run, stderr, stdout};

const SECRET: &str = "bcdfghjklmnpqrstvwxz2456789bcdfghjklmnpqrstvwxz2456789";
const EMPTY_LIST: &str =
    r#"{"kind":"TokenList","apiVersion":"management.cattle.io/v3","metadata":{},"items":[]}"#;

/// Writes a kubeconfig that trusts a certificate; further members of the cluster and the user may follow.
fn kubeconfig(dir: &Path, url: &str, trusted: &Shown, cluster: &str, user: &str) {
    let ca = STANDARD.encode(trusted.certificate.pem());
    let text = format!(
        "current-context: c\ncontexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n\
         clusters: [{{name: k, cluster: {{server: '{url}', certificate-authority-data: {ca}{cluster}}}}}]\n\
         users: [{{name: u, user: {{token: 'token-x:{SECRET}'{user}}}}}]\n"
    );
    fs::create_dir_all(dir.join(".kube")).unwrap();
    fs::write(dir.join(".kube/config"), text).unwrap();
}

/// The one sentence with which `system-token list` fails at this server.
fn failure(fake: &Fake, trusted: &Shown) -> String {
    let dir = tempfile::tempdir().unwrap();
    kubeconfig(dir.path(), &fake.url, trusted, "", "");
    let error = bad(dir.path(), &["system-token", "list"]);
    assert!(!error.contains(SECRET), "{error}");
    error
}

#[test]
fn a_certificate_is_checked_against_authority_name_and_time() {
    let here = own(&["127.0.0.1"]);
    let fake = Fake::says(&here, "200 OK", "", EMPTY_LIST);
    let error = failure(&fake, &own(&["127.0.0.1"]));
    assert!(error.contains("is not trusted: its certificate is not signed by an authority"), "{error}");
    assert_eq!(fake.asked(), "", "nothing is sent to a stranger");

    let elsewhere = own(&["elsewhere.example"]);
    let fake = Fake::says(&elsewhere, "200 OK", "", EMPTY_LIST);
    let error = failure(&fake, &elsewhere);
    assert!(error.contains("is not trusted: its certificate is for another name"), "{error}");

    let mut old = parameters(&["127.0.0.1"]);
    old.not_after = rcgen::date_time_ymd(2001, 1, 1);
    old.not_before = rcgen::date_time_ymd(2000, 1, 1);
    let old = signed(old);
    let fake = Fake::says(&old, "200 OK", "", EMPTY_LIST);
    let error = failure(&fake, &old);
    assert!(error.contains("is not trusted: its certificate has expired"), "{error}");
    assert_eq!(fake.asked(), "");
}

#[test]
fn an_authority_of_the_same_name_with_another_key_is_a_stranger_like_any_other() {
    // So the authorities of all clusters are called.
    let shown = signed_by("kubernetes", parameters(&["127.0.0.1"]));
    let fake = Fake::says(&shown, "200 OK", "", EMPTY_LIST);
    for key in [KeyPair::generate().unwrap(), KeyPair::generate_for(&PKCS_ED25519).unwrap()] {
        let namesake = authority("kubernetes", key);
        let error = failure(&fake, &namesake);
        assert!(error.contains("is not trusted: its certificate is not signed by an authority"), "{error}");

        // A login where the machine trusts the namesake: a person could confirm who it is.
        let dir = tempfile::tempdir().unwrap();
        let machine = dir.path().join("machine.crt");
        fs::write(&machine, namesake.certificate.pem()).unwrap();
        let token = format!("token-x:{SECRET}");
        let mut login = eartag(dir.path(), &["login", &fake.url, "-t", &token]);
        let output = login.env("SSL_CERT_FILE", machine).env_remove("SSL_CERT_DIR").output().unwrap();
        assert_eq!(code(&output), 1);
        assert!(stderr(&output).contains("nobody can be asked about it here"), "{}", stderr(&output));
    }
    assert_eq!(fake.asked(), "", "nothing is sent to a stranger");
}

#[test]
fn a_certificate_that_was_itself_given_as_trusted_is_good_for_what_it_is() {
    for shown in [own(&["127.0.0.1"]), signed(parameters(&["127.0.0.1"]))] {
        let dir = tempfile::tempdir().unwrap();
        let fake = Fake::says(&shown, "200 OK", "", EMPTY_LIST);
        kubeconfig(dir.path(), &fake.url, &shown, "", "");
        assert_eq!(good(dir.path(), &["system-token", "list", "-o", "name"]), "");
        assert!(fake.asked().contains(&format!("Bearer token-x:{SECRET}")), "{}", fake.asked());
    }
}

#[test]
fn tls_server_name_is_the_name_that_counts_and_the_host_stays_the_host() {
    let dir = tempfile::tempdir().unwrap();
    let shown = own(&["elsewhere.example"]);
    let fake = Fake::says(&shown, "200 OK", "", EMPTY_LIST);
    kubeconfig(
        dir.path(),
        &fake.url,
        &shown,
        ", tls-server-name: elsewhere.example",
        ", as: ann, as-groups: [g1, g2]",
    );
    good(dir.path(), &["system-token", "list", "-o", "name"]);
    let asked = fake.asked().to_ascii_lowercase();
    assert!(asked.contains(&format!("\r\nhost: {}\r\n", &fake.url["https://".len()..])), "{asked}");
    assert!(
        asked.contains("\r\nimpersonate-user: ann\r\n") && asked.contains("\r\nimpersonate-group: g2\r\n"),
        "{asked}"
    );
    assert!(asked.contains("\r\nuser-agent: eartag/"), "{asked}");
}

#[test]
fn a_redirect_is_not_followed() {
    let shown = own(&["127.0.0.1"]);
    for status in ["302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let other = Fake::says(&shown, "200 OK", "", EMPTY_LIST);
        let to = other.url.clone();
        let fake = Fake::start(&shown, move |out| {
            write!(
                out,
                "HTTP/1.1 {status}\r\nLocation: {to}/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
        });
        let error = failure(&fake, &shown);
        assert!(
            error.contains(&format!("answers with a redirect to {}/, which is not followed", other.url)),
            "{error}"
        );
        assert_eq!(other.asked(), "");
    }
}

#[test]
fn odd_answers_become_one_sentence_each() {
    let shown = own(&["127.0.0.1"]);
    for (status, body, says) in [
        ("200 OK", "<html>hello</html>", "does not answer like a server of this API"),
        ("200 OK", "", "does not answer like a server of this API"),
        ("200 OK", r#"{"items": 7}"#, "does not answer like a server of this API"),
        ("502 Bad Gateway", "<html>", "the server refuses (502 Bad Gateway)"),
        (
            "403 Forbidden",
            r#"{"kind":"Status","reason":"Forbidden","message":"no \u001b[2J you"}"#,
            "(403 Forbidden): no  [2J you",
        ),
        (
            "429 Too Many Requests",
            r#"{"type":"error","code":"TooManyRequests","message":"slow down"}"#,
            "(429 TooManyRequests): slow down",
        ),
        ("200 OK", r#"{"metadata":{"continue":"again"},"items":[]}"#, "its list does not end"),
    ] {
        let error = failure(&Fake::says(&shown, status, "", body), &shown);
        assert!(error.contains(says), "{error}");
    }
    let fake = Fake::start(&shown, |out| out.write_all(b"SSH-2.0-server\r\n"));
    let error = failure(&fake, &shown);
    assert!(error.starts_with("eartag: https://127.0.0.1:"), "{error}");
    let fake = Fake::start(&shown, |_| Ok(()));
    assert!(failure(&fake, &shown).starts_with("eartag: https://127.0.0.1:"));
}

#[test]
fn an_answer_without_end_is_cut() {
    let shown = own(&["127.0.0.1"]);
    let fake = Fake::start(&shown, |out| {
        out.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"items\":[")?;
        let block = [b' '; 1 << 16];
        loop {
            out.write_all(&block)?;
        }
    });
    let error = failure(&fake, &shown);
    assert!(error.ends_with("answers with more than 67108864 bytes"), "{error}");
}

#[test]
fn nobody_there_is_said_in_one_sentence() {
    let (_held, address) = nobody();
    let shown = own(&["127.0.0.1"]);
    let dir = tempfile::tempdir().unwrap();
    kubeconfig(dir.path(), &format!("https://{address}"), &shown, "", "");
    let error = bad(dir.path(), &["system-token", "list"]);
    assert!(error.starts_with(&format!("eartag: https://{address} cannot be reached: ")), "{error}");
    kubeconfig(dir.path(), "https://nowhere.invalid", &shown, "", "");
    let error = bad(dir.path(), &["system-token", "list"]);
    assert!(error.starts_with("eartag: https://nowhere.invalid cannot be reached: "), "{error}");
}

#[test]
fn a_client_certificate_that_does_not_fit_its_key_is_said_and_not_a_crash() {
    let shown = own(&["127.0.0.1"]);
    let dir = tempfile::tempdir().unwrap();
    let pair = |certificate: &str, key: &str| {
        format!(
            ", client-certificate-data: {}, client-key-data: {}",
            STANDARD.encode(certificate),
            STANDARD.encode(key)
        )
    };
    let other = own(&["x"]);
    for (user, says) in [
        (pair(&shown.certificate.pem(), &other.key.serialize_pem()), "do not fit together"),
        (pair("junk", &other.key.serialize_pem()), "the client certificate is not in PEM form"),
        (pair(&shown.certificate.pem(), "junk"), "the key of the client certificate is not in PEM form"),
    ] {
        kubeconfig(dir.path(), "https://127.0.0.1:1", &shown, "", &user);
        let error = bad(dir.path(), &["system-token", "list"]);
        assert!(error.contains(says), "{error}");
    }
    kubeconfig(dir.path(), "https://127.0.0.1:1", &shown, "", "");
    let text = fs::read_to_string(dir.path().join(".kube/config")).unwrap();
    let ca = STANDARD.encode(shown.certificate.pem());
    fs::write(dir.path().join(".kube/config"), text.replace(&ca, &STANDARD.encode("no certificate")))
        .unwrap();
    let error = bad(dir.path(), &["system-token", "list"]);
    assert!(error.contains("holds no certificate in PEM form"), "{error}");

    // Nobody named is not everybody whom the machine trusts.
    fs::write(dir.path().join(".kube/empty.crt"), "").unwrap();
    let named =
        text.replace(&format!("certificate-authority-data: {ca}"), "certificate-authority: empty.crt");
    fs::write(dir.path().join(".kube/config"), named).unwrap();
    let error = bad(dir.path(), &["system-token", "list"]);
    assert!(error.contains("holds no certificate in PEM form"), "{error}");
}

#[test]
fn a_warning_goes_to_standard_error_and_the_token_alone_to_standard_output() {
    let shown = own(&["127.0.0.1"]);
    let dir = tempfile::tempdir().unwrap();
    // Asked for a user first, then for the token: one body that is good for both.
    let body = format!(
        r#"{{"metadata":{{"name":"agent-x"}},"username":"ann","userId":"agent-x","token":"agent-x:{SECRET}"}}"#
    );
    let fake = Fake::says(&shown, "200 OK", "Warning: 299 - \"it is \\\"short\\\"\"\r\n", body);
    kubeconfig(dir.path(), &fake.url, &shown, "", "");
    let output = run(dir.path(), &["system-token", "create", "--kind", "agent", "--user", "ann"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(stdout(&output), format!("agent-x:{SECRET}\n"));
    assert_eq!(stderr(&output), "Warning: it is \"short\"\n");
}
