//! `serve`, `backup` and `restore` (DESIGN §6): exit codes, sentences, files, signals.

use std::fs;

use super::support::{Server, code, mode, run, stderr, walk};

#[test]
fn wrong_usage_is_2_and_a_failure_is_1_with_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    for args in
        [&[][..], &["serve", "--listen", "nowhere"], &["frobnicate"], &["serve", "--tls-cert", "only"]]
    {
        assert_eq!(code(&run(dir.path(), args)), 2, "{args:?}");
    }
    fs::write(dir.path().join("file"), "").unwrap();
    for args in [
        &["serve", "--listen", "127.0.0.1:0", "--data-dir", "file/x"][..],
        &["serve", "--datastore", "etcd:http://127.0.0.1:1"],
        &["serve", "--tls-cert", "file", "--tls-key", "file"],
        &["serve", "--client-ca", "missing"],
        &["backup", "b", "--data-dir", "none"],
        &["restore", "file"],
    ] {
        let output = run(dir.path(), args);
        assert_eq!(code(&output), 1, "{args:?}: {}", stderr(&output));
        let text = stderr(&output);
        let last = text.lines().last().unwrap();
        assert!(last.starts_with("eartag: ") && last.len() > 30, "{text}");
        assert!(output.stdout.is_empty());
    }
    let version = run(dir.path(), &["version"]);
    assert_eq!((code(&version), version.stdout.starts_with(b"eartag ")), (0, true));
}

#[test]
fn a_first_start_writes_private_files_and_sigterm_ends_with_0() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    let data = dir.path().join("eartag-data");
    for file in ["keys/root.key", "kubeconfig/admin.yaml", "kubeconfig/system-admin.yaml", "eartag.db"] {
        assert_eq!(mode(&data.join(file)), 0o600, "{file}");
    }
    assert!(data.join("tls/ca.crt").exists());
    assert_eq!(mode(&data), 0o700);
    assert!(server.greeting.contains("shown only this once"), "{}", server.greeting);
    let password = server.greeting.lines().map(str::trim).find(|l| l.len() == 54).unwrap().to_owned();
    let token = fs::read_to_string(data.join("kubeconfig/admin.yaml")).unwrap();
    let secret =
        token.lines().find_map(|l| l.trim().strip_prefix("token: ")).unwrap().trim_matches('"').to_owned();
    let secret = secret.rsplit(':').next().unwrap().to_owned();
    server.signal("TERM");
    let (code, log) = server.end();
    assert_eq!(code, 0, "{log}");
    for hidden in [&password, &secret] {
        assert!(!log.contains(hidden.as_str()), "a secret is in the log");
        for file in walk(&data).iter().filter(|f| !f.ends_with("kubeconfig/admin.yaml")) {
            let bytes = fs::read(file).unwrap();
            assert!(
                !bytes.windows(hidden.len()).any(|w| w == hidden.as_bytes()),
                "a secret is in {}",
                file.display()
            );
        }
    }
    let again = Server::start(dir.path(), &[]);
    assert!(!again.greeting.contains("password"), "{}", again.greeting);
    again.signal("INT");
    assert_eq!(again.end().0, 0);
}

#[test]
fn a_second_server_and_a_taken_port_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    let output = run(dir.path(), &["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("in use by another process"), "{}", stderr(&output));
    let address = server.greeting.lines().next().unwrap().rsplit("https://").next().unwrap().to_owned();
    let output = run(dir.path(), &["serve", "--data-dir", "other", "--listen", &address]);
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("the port is already in use"), "{}", stderr(&output));
    assert!(!dir.path().join("other").exists());
}

#[test]
fn a_wrong_or_missing_root_key_is_said_in_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--bootstrap-password", "correct horse"]);
    assert!(!server.greeting.contains("correct horse"));
    server.signal("TERM");
    assert_eq!(server.end().0, 0);
    let key = dir.path().join("eartag-data/keys/root.key");
    fs::write(&key, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n").unwrap();
    let output = run(dir.path(), &["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("does not fit this data"), "{}", stderr(&output));
    fs::remove_file(&key).unwrap();
    let output = run(dir.path(), &["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("there is no root key at"), "{}", stderr(&output));
    assert!(!key.exists(), "a key that opens nothing is not made");
}

#[test]
fn a_backup_is_made_while_the_server_runs_and_can_be_restored() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    let output = run(dir.path(), &["backup", "b.tar"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(mode(&dir.path().join("b.tar")), 0o600);
    drop(server);
    let output = run(dir.path(), &["restore", "b.tar", "--data-dir", "new"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("are good again"), "{said}");
    let restored = Server::start(dir.path(), &["--data-dir", "new"]);
    assert!(!restored.greeting.contains("password"));
    let output = run(dir.path(), &["restore", "b.tar", "--data-dir", "new"]);
    assert_eq!(code(&output), 1);
    let args = ["restore", "b.tar", "--data-dir", "third", "--revoke-since", "1970-01-01T00:00:00Z"];
    let said = String::from_utf8(run(dir.path(), &args).stdout).unwrap();
    assert!(said.contains("Tokens kept: 0, revoked: 1."), "{said}");
}

#[test]
fn json_logs_are_one_object_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--log-format", "json"]);
    server.signal("TERM");
    let (_, log) = server.end();
    assert!(log.lines().count() >= 2, "{log}");
    assert!(log.lines().all(|line| line.starts_with("{\"timestamp\":") && line.ends_with('}')), "{log}");
}
