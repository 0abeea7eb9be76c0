//! `token` as kubectl and scripts call it, against a server that this test plays (kubeconfig-and-cli.md §4.2 to §5). Terminals are in the black-box tests.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::fake::{Asked, Fake, Shown, own};
use super::support::{code, eartag, mode, stderr, stdout};

const PASSWORD: &str = "correct horse battery";
const FAR: &str = "2999-01-02T03:04:05Z";

/// A server with one user, ann, that gives each login another token.
struct Rancher {
    fake: Fake,
    shown: Shown,
    /// What it says to a token.
    check: Arc<AtomicU16>,
    home: tempfile::TempDir,
}

fn secret(n: usize) -> String {
    format!("kubeconfig-ann{n}:bcdfghjklmnpqrstvwxz2456789bcdfghjklmnpqrstvwxz2456789")
}

impl Rancher {
    fn start() -> Self {
        Self::with(r#"[{"id":"local","type":"localProvider"}]"#, FAR)
    }

    fn with(providers: &'static str, expires: &'static str) -> Self {
        let (shown, home) = (own(&["127.0.0.1"]), tempfile::tempdir().unwrap());
        fs::write(home.path().join("ca.crt"), shown.certificate.pem()).unwrap();
        let check = Arc::new(AtomicU16::new(200));
        let (says, logins) = (check.clone(), AtomicUsize::new(0));
        let fake = Fake::answers(&shown, move |asked: &Asked| match asked.line() {
            "GET /v1-public/authproviders" => (200, format!("{{\"data\":{providers}}}")),
            "POST /v1-public/login" if asked.json()["password"] == PASSWORD => {
                // Two that are not made to wait for each other would both be in here.
                std::thread::sleep(Duration::from_millis(200));
                let token = secret(logins.fetch_add(1, Ordering::SeqCst) + 1);
                (201, json!({"type": "token", "token": token, "expiresAt": expires}).to_string())
            }
            "POST /v1-public/login" => (401, json!({"type": "error", "message": "no"}).to_string()),
            "POST /oauth2/revoke" => (says.load(Ordering::SeqCst), String::new()),
            _ => (says.load(Ordering::SeqCst), "{}".into()),
        });
        Self { fake, shown, check, home }
    }

    fn host(&self) -> &str {
        &self.fake.url["https://".len()..]
    }

    /// `token` for the user "mine", with further flags.
    fn command(&self, flags: &[&str], env: &[(&str, &str)]) -> Command {
        let server = format!("--server={}", self.host());
        let mut args = vec!["token", server.as_str(), "--user=mine"];
        if !flags.iter().any(|flag| flag.starts_with("--cacerts"))
            && !env.iter().any(|(n, _)| *n == EXEC_INFO)
        {
            args.push("--cacerts=ca.crt");
        }
        args.extend(flags);
        let mut command = eartag(self.home.path(), &args);
        command.envs(env.iter().copied());
        command
    }

    /// The same, with a standard input.
    fn token(&self, flags: &[&str], input: &str, env: &[(&str, &str)]) -> Output {
        with_input(self.command(flags, env), input)
    }

    fn log_in(&self, flags: &[&str]) -> Output {
        let all: Vec<&str> = flags.iter().copied().chain(["--password-stdin", "--username=ann"]).collect();
        self.token(&all, &format!("{PASSWORD}\n"), &[])
    }

    fn cache(&self) -> PathBuf {
        self.home.path().join(".config/eartag/cli2.json")
    }

    fn logins(&self) -> usize {
        self.fake.count("POST /v1-public/login")
    }
}

const EXEC_INFO: &str = "KUBERNETES_EXEC_INFO";

fn with_input(mut command: Command, input: &str) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// Runs it with a standard input on which nothing ever comes: whoever reads from it waits for ever.
fn with_silent_input(mut command: Command) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let _held = child.stdin.take();
    child.wait_with_output().unwrap()
}

/// The answer to kubectl: one line, and nothing else.
#[track_caller]
fn credential(output: &Output) -> Value {
    assert_eq!(code(output), 0, "{}", stderr(output));
    let line = stdout(output);
    assert_eq!(line.lines().count(), 1, "{line}");
    serde_json::from_str(&line).unwrap()
}

#[track_caller]
fn token_in(output: &Output) -> String {
    credential(output)["status"]["token"].as_str().unwrap().to_owned()
}

#[track_caller]
fn refused(output: &Output) -> String {
    let error = stderr(output);
    assert_eq!((code(output), stdout(output).as_str()), (1, ""), "{error}");
    assert!(!error.contains(PASSWORD));
    error
}

#[test]
fn a_token_is_got_once_kept_for_the_owners_eyes_only_and_handed_out_again() {
    let rancher = Rancher::start();
    let first = rancher.log_in(&[]);
    let answer = credential(&first);
    assert_eq!(
        answer,
        json!({
            "kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1beta1", "spec": {},
            "status": {"token": secret(1), "expirationTimestamp": FAR},
        })
    );
    assert!(!stderr(&first).contains(&secret(1)));
    let login =
        rancher.fake.requests().into_iter().find(|asked| asked.line() == "POST /v1-public/login").unwrap();
    assert_eq!(
        login.json(),
        json!({"type": "localProvider", "responseType": "kubeconfig", "username": "ann", "password": PASSWORD})
    );
    assert_eq!((mode(&rancher.cache()), mode(rancher.cache().parent().unwrap())), (0o600, 0o700));

    // Nobody is asked any more, and the server says that the token is still good.
    assert_eq!(token_in(&rancher.token(&[], "", &[])), secret(1));
    assert_eq!((rancher.logins(), rancher.fake.count("GET /v3/tokens/kubeconfig-ann1")), (1, 1));
}

#[test]
fn the_answer_is_of_the_version_that_was_asked_for() {
    let rancher = Rancher::start();
    rancher.log_in(&[]);
    for version in ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"] {
        let info = json!({"kind": "ExecCredential", "apiVersion": version, "spec": {"interactive": false}});
        let output = rancher.token(&["--cacerts=ca.crt"], "", &[(EXEC_INFO, &info.to_string())]);
        assert_eq!(credential(&output)["apiVersion"], version);
    }
    for odd in
        ["{", r#"{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1alpha1","spec":{}}"#]
    {
        let error = refused(&rancher.token(&["--cacerts=ca.crt"], "", &[(EXEC_INFO, odd)]));
        assert!(error.starts_with("eartag: KUBERNETES_EXEC_INFO "), "{error}");
    }
}

#[test]
fn without_a_terminal_and_a_password_it_ends_at_once_and_says_what_to_do() {
    let rancher = Rancher::start();
    let error = refused(&with_silent_input(rancher.command(&["--cluster=c-1"], &[])));
    assert!(error.contains("there is no valid token for mine_c-1 at https://127.0.0.1:"), "{error}");
    assert!(
        error.contains("eartag token --server=127.0.0.1:") && error.contains("--user=mine --cluster=c-1"),
        "{error}"
    );
    assert_eq!(rancher.fake.asked(), "");
}

#[test]
fn a_token_that_the_server_refuses_is_replaced() {
    let rancher = Rancher::start();
    rancher.log_in(&[]);
    rancher.check.store(401, Ordering::SeqCst);
    let output = rancher.log_in(&[]);
    assert_eq!(token_in(&output), secret(2));
    assert!(stderr(&output).contains("does not accept the cached token any more"), "{}", stderr(&output));
    // Also where nobody can log in: it is never handed out again.
    let error = refused(&rancher.token(&[], "", &[]));
    assert!(error.contains("there is no valid token"), "{error}");
    assert!(!fs::read_to_string(rancher.cache()).unwrap().contains(&secret(2)));
}

#[test]
fn a_server_that_does_not_answer_does_not_take_a_token_away() {
    for status in [403, 404, 500, 503] {
        let rancher = Rancher::start();
        rancher.log_in(&[]);
        rancher.check.store(status, Ordering::SeqCst);
        assert_eq!(token_in(&rancher.token(&[], "", &[])), secret(1), "{status}");
    }
    let mut rancher = Rancher::start();
    rancher.log_in(&[]);
    // The same address, and nobody there: a listener's backlog that nobody serves, so that even a connection says nothing.
    let cached = fs::read_to_string(rancher.cache()).unwrap();
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = dead.local_addr().unwrap().to_string();
    fs::write(rancher.cache(), cached.replace(rancher.host(), &address)).unwrap();
    rancher.fake.url = format!("https://{address}");
    // It is the command that gives up: the connection stays as it is for as long as this test.
    assert_eq!(token_in(&rancher.token(&[], "", &[])), secret(1));
    drop(dead);
}

#[test]
fn a_token_that_is_over_or_nearly_so_is_replaced_in_time() {
    let rancher = Rancher::start();
    rancher.log_in(&[]);
    let cached = fs::read_to_string(rancher.cache()).unwrap();
    fs::write(rancher.cache(), cached.replace(FAR, "2020-01-02T03:04:05Z")).unwrap();
    assert_eq!(token_in(&rancher.log_in(&[])), secret(2));

    // Within the minute in which a token is replaced, and as far from its end as can be.
    let second = fs::read_to_string(rancher.cache()).unwrap();
    let nearly = || {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let soon = eartag_core::time::rfc3339(i64::try_from(now).unwrap() + 58);
        fs::write(rancher.cache(), second.replace(FAR, &soon)).unwrap();
    };
    nearly();
    assert_eq!(token_in(&rancher.token(&[], "", &[])), secret(2), "good until then, if nobody can log in");
    assert_eq!(token_in(&rancher.log_in(&[])), secret(3));
    nearly();
    let wrong = rancher.token(&["--password-stdin", "--username=ann"], "wrong", &[]);
    assert_eq!(token_in(&wrong), secret(2));
    assert!(
        stderr(&wrong).contains("Warning: the token ends soon and could not be replaced"),
        "{}",
        stderr(&wrong)
    );
}

#[test]
fn a_wrong_password_is_one_sentence_and_no_token() {
    let rancher = Rancher::start();
    let error = refused(&rancher.token(&["--password-stdin", "--username=ann"], "wrong\n", &[]));
    assert!(error.ends_with("does not let \"ann\" in: the user name or the password is wrong\n"), "{error}");
    assert_eq!(rancher.logins(), 1, "a script is not asked again");
    let error = refused(&rancher.token(&["--password-stdin"], "", &[]));
    assert!(error.contains("the password cannot be read from standard input: there is none"), "{error}");
    let error = refused(&rancher.token(&["--password-fd=77"], "", &[]));
    assert!(error.contains("cannot be read from file descriptor 77"), "{error}");
}

#[test]
fn a_password_comes_from_a_file_descriptor() {
    let rancher = Rancher::start();
    fs::write(rancher.home.path().join("pw"), format!("{PASSWORD}\r\n")).unwrap();
    let line = format!(
        "exec \"$0\" token --server={} --user=ann --cacerts=ca.crt --password-fd 3 3<pw",
        rancher.host()
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", &line, env!("CARGO_BIN_EXE_eartag")]);
    shell.env_clear().env("HOME", rancher.home.path()).current_dir(rancher.home.path());
    assert_eq!(token_in(&with_input(shell, "")), secret(1));
    let login =
        rancher.fake.requests().into_iter().find(|asked| asked.line() == "POST /v1-public/login").unwrap();
    assert_eq!(login.json()["username"], "ann", "the user of the kubeconfig, if no other is named");
}

#[test]
fn a_cluster_is_asked_for_at_the_login_and_its_token_checked_where_it_is_good() {
    let rancher = Rancher::start();
    token_in(&rancher.log_in(&["--cluster=c-1"]));
    let login =
        rancher.fake.requests().into_iter().find(|asked| asked.line() == "POST /v1-public/login").unwrap();
    assert_eq!(login.json()["responseType"], "kubeconfig_c-1");
    assert_eq!(token_in(&rancher.token(&["--cluster=c-1"], "", &[])), secret(1));
    let check = rancher.fake.requests().pop().unwrap();
    assert_eq!(check.line(), "GET /v3/clusters/c-1");
    assert_eq!(check.header("authorization"), Some(format!("Bearer {}", secret(1)).as_str()));
    refused(&rancher.token(&[], "", &[]));
    refused(&rancher.token(&["--cluster=c-2"], "", &[]));
}

#[test]
fn the_older_doors_and_the_newer_tokens_of_a_server_are_understood() {
    let (shown, home) = (own(&["127.0.0.1"]), tempfile::tempdir().unwrap());
    fs::write(home.path().join("ca.crt"), shown.certificate.pem()).unwrap();
    let fake = Fake::answers(&shown, |asked| match asked.line() {
        "GET /v3-public/authProviders" => (200, r#"{"data":[{"type":"openLdapProvider"}]}"#.into()),
        "POST /v3-public/openLdapProviders/openldap?action=login" => {
            let ext = json!({"apiVersion": "ext.cattle.io/v1", "kind": "Token",
                "status": {"bearerToken": "ext/token-x:s", "expiresAt": FAR}});
            (201, ext.to_string())
        }
        "GET /apis/ext.cattle.io/v1/tokens/token-x" => (200, "{}".into()),
        _ => (404, String::new()),
    });
    let args = ["token", "--server", &fake.url, "--user", "ann", "--cacerts", "ca.crt", "--password-stdin"];
    let run = || with_input(eartag(home.path(), &args), "pw");
    assert_eq!(token_in(&run()), "ext/token-x:s");
    assert_eq!(token_in(&run()), "ext/token-x:s");
    assert_eq!(fake.count("GET /apis/ext.cattle.io/v1/tokens/token-x"), 1);
}

#[test]
fn a_server_without_passwords_is_said_to_be_one() {
    let rancher = Rancher::with(r#"[{"type":"githubProvider"},{"type":"oktaProvider"}]"#, FAR);
    let error = refused(&rancher.log_in(&[]));
    assert!(
        error.contains(
            "offers no login by password but only by githubProvider, oktaProvider, which needs a browser"
        ),
        "{error}"
    );
    let rancher = Rancher::start();
    let error = refused(&rancher.log_in(&["--auth-provider=openLdapProvider"]));
    assert!(error.ends_with("provider openLdapProvider not found\n"), "{error}");
}

#[test]
fn the_kubeconfigs_authority_counts_for_its_own_server_and_for_no_other() {
    let rancher = Rancher::start();
    let info = |server: &str| {
        json!({"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1", "spec": {"interactive": false,
            "cluster": {"server": server, "certificate-authority-data": STANDARD.encode(rancher.shown.certificate.pem())}}})
        .to_string()
    };
    let ask = |server: &str| {
        rancher.token(&["--password-stdin", "--username=ann"], PASSWORD, &[(EXEC_INFO, &info(server))])
    };
    // The endpoint of a cluster: its authority must not vouch for the server that gets the password.
    let error = refused(&ask("https://127.0.0.1:6443"));
    assert!(error.contains("give --cacerts FILE, or run this command once in a terminal"), "{error}");
    assert_eq!(rancher.fake.asked(), "", "nothing is sent to a stranger");
    assert_eq!(token_in(&ask(&format!("{}/k8s/clusters/c-1", rancher.fake.url))), secret(1));
}

#[test]
fn where_nothing_can_be_kept_it_works_all_the_same_and_says_so() {
    let rancher = Rancher::start();
    // Nobody, not even root, can make a directory there.
    for _ in 0..2 {
        let output = rancher.log_in(&["--config=/proc/eartag"]);
        token_in(&output);
        assert!(
            stderr(&output).contains(
                "Warning: the token is not kept, so the next command asks again: cannot write /proc/eartag"
            ),
            "{}",
            stderr(&output)
        );
    }
    assert_eq!(rancher.logins(), 2);
}

#[test]
fn a_torn_cache_is_said_put_aside_and_replaced() {
    let rancher = Rancher::start();
    rancher.log_in(&[]);
    let whole = fs::read_to_string(rancher.cache()).unwrap();
    let torn = &whole[..whole.len() / 2];
    fs::write(rancher.cache(), torn).unwrap();
    let output = rancher.log_in(&[]);
    assert_eq!(token_in(&output), secret(2));
    assert!(stderr(&output).contains("cli2.json is damaged and not used"), "{}", stderr(&output));
    let aside = rancher.cache().with_file_name("cli2.json.broken");
    assert_eq!((fs::read_to_string(&aside).unwrap().as_str(), mode(&aside)), (torn, 0o600));
    let again = rancher.token(&[], "", &[]);
    assert_eq!((token_in(&again), stderr(&again)), (secret(2), String::new()));
}

#[test]
fn two_at_once_log_in_once() {
    let rancher = Rancher::start();
    let tokens: Vec<String> = std::thread::scope(|scope| {
        let both: Vec<_> = (0..2).map(|_| scope.spawn(|| token_in(&rancher.log_in(&[])))).collect();
        both.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!((tokens, rancher.logins()), (vec![secret(1), secret(1)], 1));
}

#[test]
fn deleted_tokens_are_revoked_and_forgotten() {
    let rancher = Rancher::start();
    rancher.log_in(&[]);
    rancher.log_in(&["--cluster=c-1"]);
    let delete = |args: &[&str]| {
        let all: Vec<&str> = ["token", "delete"].into_iter().chain(args.iter().copied()).collect();
        eartag(rancher.home.path(), &all).output().unwrap()
    };
    let output = delete(&["mine_c-1"]);
    assert_eq!((code(&output), stderr(&output).as_str()), (0, "removing [mine_c-1]\n"));
    let revoked = rancher.fake.requests().pop().unwrap();
    assert_eq!(revoked.line(), "POST /oauth2/revoke");
    assert_eq!(revoked.header("authorization"), Some(format!("Bearer {}", secret(2)).as_str()));
    assert_eq!(revoked.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(revoked.body, format!("token={}&token_type_hint=access_token", secret(2).replace(':', "%3A")));
    assert_eq!(token_in(&rancher.token(&[], "", &[])), secret(1), "others stay");

    let output = delete(&["nothing_"]);
    assert_eq!((code(&output), stderr(&output).contains("there is no cached token [nothing_]")), (0, true));

    rancher.check.store(503, Ordering::SeqCst);
    let output = delete(&["all"]);
    assert_eq!(code(&output), 1);
    let error = stderr(&output);
    assert!(
        error.contains("Warning: the token [mine_] was not revoked:") && error.contains("503"),
        "{error}"
    );
    assert!(
        error.ends_with("1 of 1 tokens left the cache, but may still be good on their server\n"),
        "{error}"
    );
    assert!(!fs::read_to_string(rancher.cache()).unwrap().contains(&secret(1)));
}

#[test]
fn called_as_rancher_it_keeps_what_the_rancher_cli_keeps_where_that_does() {
    let rancher = Rancher::start();
    let link = rancher.home.path().join("rancher");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_eartag"), &link).unwrap();
    let run = |args: &[&str], input: &str| {
        let mut command = Command::new(&link);
        let server = format!("--server={}", rancher.host());
        command.args(["token", &server, "--user=ann", "--cacerts=ca.crt"]).args(args);
        command.env_clear().env("HOME", rancher.home.path()).current_dir(rancher.home.path());
        with_input(command, input)
    };
    let error = refused(&run(&[], ""));
    assert!(error.starts_with("rancher: ") && error.contains("run rancher token --server"), "{error}");
    assert_eq!(token_in(&run(&["--password-stdin"], PASSWORD)), secret(1));
    let kept: Value =
        serde_json::from_slice(&fs::read(rancher.home.path().join(".rancher/cli2.json")).unwrap()).unwrap();
    assert_eq!(kept["Servers"][rancher.host()]["kubeCredentials"]["ann_"]["status"]["token"], secret(1));
    assert!(!rancher.cache().exists());
    assert_eq!(token_in(&run(&["-c", "other", "--password-stdin"], PASSWORD)), secret(2));
    assert!(rancher.home.path().join("other/cli2.json").exists());
}

#[test]
fn what_is_missing_or_wrong_on_the_command_line_is_exit_code_2() {
    let dir = tempfile::tempdir().unwrap();
    for args in [&["token"][..], &["token", "--server=x"], &["token", "--user=x"], &["token", "delete"]] {
        let output = eartag(dir.path(), args).output().unwrap();
        assert_eq!(code(&output), 2, "{args:?}: {}", stderr(&output));
    }
    let empty = eartag(dir.path(), &["token", "--server=", "--user=x"]).output().unwrap();
    assert_eq!((code(&empty), stderr(&empty).as_str()), (1, "eartag: name of rancher server is required\n"));
    assert!(walk_is_empty(dir.path()));
}

fn walk_is_empty(dir: &Path) -> bool {
    super::support::walk(dir).is_empty()
}
