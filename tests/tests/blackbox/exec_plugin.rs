//! kubectl with a kubeconfig that names `rancher token`, at a terminal and without one (issue 4, kubeconfig-and-cli.md §4.2, §5, DEC43).

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use eartag_tests::wait::PATIENCE;
use eartag_tests::{Kubectl, Person, Pty, Server, needs_kubectl};
use serde_json::{Value, json};

const V1: &str = "client.authentication.k8s.io/v1";
const V1BETA1: &str = "client.authentication.k8s.io/v1beta1";
const GET: [&str; 2] = ["get", "tokens.ext.cattle.io"];

/// A server, ann, and ann's kubectl with a kubeconfig that names `rancher token`.
struct Scene {
    server: Server,
    admin: Person,
    ann: Person,
    kubectl: Kubectl,
}

impl Scene {
    /// With the kubeconfig that the server makes where it puts no tokens into kubeconfigs.
    fn start() -> Scene {
        let scene = Scene::with(V1BETA1, true);
        let setting = "/apis/management.cattle.io/v3/settings/kubeconfig-generate-token";
        scene.admin.http.merge(setting, &json!({"value": "false"})).want(200);
        let kubeconfig = json!({"apiVersion": "ext.cattle.io/v1", "kind": "Kubeconfig", "spec": {}});
        let made = scene.ann.http.post("/apis/ext.cattle.io/v1/kubeconfigs", &kubeconfig).want(201);
        let config = made["status"]["value"].as_str().unwrap();
        assert!(config.contains("rancher") && !config.contains("token:"), "{config}");
        scene.kubectl.file("config", config);
        scene
    }

    /// `knows_the_authority`: whether client-go passes the cluster on (`provideClusterInfo`).
    fn with(version: &str, knows_the_authority: bool) -> Scene {
        let server = Server::start();
        let admin = server.admin();
        let ann = Person::new(&server, &admin, "ann", &["user"]);
        let ca = std::fs::read(server.ca_file()).unwrap();
        let kubectl = Kubectl::new("", server.tape().clone());
        let rancher = kubectl.home().join("rancher");
        symlink(eartag_tests::server::binary().canonicalize().unwrap(), &rancher).unwrap();
        let config = format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: local\n  cluster:\n    server: {}\n    certificate-authority-data: {}\n\
             users:\n- name: rancher\n  user:\n    exec:\n      apiVersion: {version}\n      command: {}\n      args: [token, --server={}, --user=rancher]\n      \
             interactiveMode: IfAvailable\n      provideClusterInfo: {knows_the_authority}\n      installHint: install it\n\
             contexts:\n- name: local\n  context: {{cluster: local, user: rancher}}\ncurrent-context: local\n",
            server.url(),
            STANDARD.encode(&ca),
            rancher.display(),
            server.url(),
        );
        kubectl.file("config", &config);
        Scene { server, admin, ann, kubectl }
    }

    /// kubectl, which finds `rancher` on its path.
    fn get(&self) -> Command {
        let mut command = self.kubectl.command(&GET);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let all = std::iter::once(self.kubectl.home().to_owned()).chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(all).unwrap());
        command
    }

    /// kubectl at a terminal.
    fn at_terminal(&self) -> Pty {
        Pty::start(self.get())
    }

    /// The command itself, as a person types it.
    fn by_hand(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.kubectl.home().join("rancher"));
        command.env_clear().env("HOME", self.kubectl.home()).current_dir(self.kubectl.home()).args(args);
        command
    }

    fn types_password(&self, pty: &mut Pty) {
        pty.expect("Enter username [rancher]: ");
        pty.types("ann\n");
        pty.expect("Enter password: ");
        assert!(!pty.echoes(), "nothing of a password is seen");
        pty.types(&format!("{}\n", self.ann.password));
    }

    /// kubectl asks, and is answered.
    #[track_caller]
    fn logs_in(&self) -> String {
        let mut pty = self.at_terminal();
        self.types_password(&mut pty);
        self.succeeds(pty)
    }

    /// It ends well, and nothing secret was seen.
    #[track_caller]
    fn succeeds(&self, pty: Pty) -> String {
        let (code, seen) = pty.end();
        assert_eq!(code, 0, "{seen}");
        self.shows_no_secret(&seen);
        seen
    }

    #[track_caller]
    fn shows_no_secret(&self, seen: &str) {
        assert!(!seen.contains(&self.ann.password), "{seen}");
        if let Some(bearer) = self.cached_token() {
            assert!(!seen.contains(bearer.split(':').nth(1).unwrap()), "{seen}");
        }
    }

    /// kubectl without anybody in front of it.
    fn unattended(&self) -> Output {
        self.get().stdin(Stdio::null()).output().unwrap()
    }

    #[track_caller]
    fn works_unattended(&self) {
        let output = self.unattended();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8_lossy(&output.stderr).trim(), "No resources found");
    }

    /// It fails and waits for nobody; what it says.
    #[track_caller]
    fn fails_unattended(&self) -> String {
        let begun = Instant::now();
        let output = self.unattended();
        assert!(!output.status.success() && begun.elapsed() < PATIENCE);
        String::from_utf8(output.stderr).unwrap()
    }

    fn cache(&self) -> PathBuf {
        self.kubectl.home().join(".rancher/cli2.json")
    }

    fn cached(&self) -> Option<Value> {
        let file: Value = serde_json::from_slice(&std::fs::read(self.cache()).ok()?).ok()?;
        let credential = &file["Servers"][self.server.url()]["kubeCredentials"]["rancher_"];
        (!credential.is_null()).then(|| credential.clone())
    }

    fn cached_token(&self) -> Option<String> {
        Some(self.cached()?["status"]["token"].as_str()?.to_owned())
    }

    fn change_cache(&self, change: impl Fn(String) -> String) {
        let text = std::fs::read_to_string(self.cache()).unwrap();
        std::fs::write(self.cache(), change(text)).unwrap();
    }

    /// Tokens that were made for kubeconfigs of ann's.
    fn kubeconfig_tokens(&self) -> usize {
        let list = self.admin.http.get(&format!("/v3/tokens?userId={}", self.ann.id)).want(200);
        let tokens = list["data"].as_array().unwrap();
        tokens.iter().filter(|token| token["name"].as_str().unwrap().starts_with("kubeconfig-")).count()
    }
}

#[test]
fn a_person_is_asked_once_and_kubectl_works_from_then_on() {
    needs_kubectl!();
    for version in [V1, V1BETA1] {
        let scene = Scene::with(version, true);
        let error = scene.fails_unattended();
        assert!(
            error.contains("nobody can be asked for a password here: run rancher token --server="),
            "{error}"
        );
        assert!(error.contains("getting credentials: exec:"), "{error}");

        let seen = scene.logs_in();
        assert!(seen.contains("Enter credentials for localProvider at https://"), "{seen}");
        assert!(seen.contains("No resources found"), "{seen}");
        let token = scene.cached_token().unwrap();
        assert!(token.starts_with(&format!("kubeconfig-{}", scene.ann.id)), "a token of a kubeconfig");
        assert!(scene.cached().unwrap()["status"]["expirationTimestamp"].is_string());

        scene.works_unattended();
        let seen = scene.succeeds(scene.at_terminal());
        assert!(!seen.contains("Enter"), "{seen}");
        assert_eq!((scene.cached_token().unwrap(), scene.kubeconfig_tokens()), (token, 1));
    }
}

#[test]
fn an_expired_token_is_replaced() {
    needs_kubectl!();
    let scene = Scene::start();
    scene.logs_in();
    let first = scene.cached().unwrap();
    let end = first["status"]["expirationTimestamp"].as_str().unwrap().to_owned();
    scene.change_cache(|text| text.replace(&end, "2020-01-02T03:04:05Z"));
    let error = scene.fails_unattended();
    assert!(error.contains("there is no valid token"), "{error}");
    scene.logs_in();
    assert_ne!(scene.cached_token().unwrap(), first["status"]["token"]);
    scene.works_unattended();
}

#[test]
fn a_revoked_token_is_noticed_at_once_and_replaced() {
    needs_kubectl!();
    let scene = Scene::start();
    scene.logs_in();
    let first = scene.cached_token().unwrap();
    let name = first.split(':').next().unwrap();
    scene.admin.http.delete(&format!("/v3/tokens/{name}")).want(204);
    let mut pty = scene.at_terminal();
    pty.expect("The server does not accept the cached token any more.");
    scene.types_password(&mut pty);
    scene.succeeds(pty);
    assert_ne!(scene.cached_token().unwrap(), first);
    scene.works_unattended();

    // With nobody there it is not handed out again either.
    let second = scene.cached_token().unwrap();
    scene.admin.http.delete(&format!("/v3/tokens/{}", second.split(':').next().unwrap())).want(204);
    let error = scene.fails_unattended();
    assert!(error.contains("there is no valid token"), "{error}");
    assert!(scene.cached().is_none());
}

#[test]
fn two_kubectls_at_once_ask_for_one_password() {
    needs_kubectl!();
    let scene = Scene::start();
    let mut first = scene.at_terminal();
    first.expect("Enter username [rancher]: ");
    let mut second = scene.at_terminal();
    second.expect("Another command is getting this token: waiting for it.");
    first.types("ann\n");
    first.expect("Enter password: ");
    first.types(&format!("{}\n", scene.ann.password));
    scene.succeeds(first);
    let seen = scene.succeeds(second);
    assert!(!seen.contains("Enter"), "{seen}");
    assert_eq!(scene.kubeconfig_tokens(), 1);
}

#[test]
fn whoever_gives_up_lets_the_next_one_ask() {
    needs_kubectl!();
    let scene = Scene::start();
    let mut first = scene.at_terminal();
    first.expect("Enter username [rancher]: ");
    let mut second = scene.at_terminal();
    second.expect("waiting for it.");
    first.types("ann\n");
    first.expect("Enter password: ");
    // Ctrl-C
    first.types("half a passw\u{3}");
    let (code, seen) = first.end();
    assert!(code != 0 && !seen.contains("half"), "{seen}");
    assert_eq!(seen.matches("Enter password").count(), 1, "kubectl ends too, and does not ask again: {seen}");
    scene.types_password(&mut second);
    scene.succeeds(second);
}

#[test]
fn a_home_that_cannot_be_written_costs_a_password_each_time_and_nothing_else() {
    needs_kubectl!();
    let scene = Scene::start();
    for _ in 0..2 {
        let mut command = scene.get();
        // Nobody, not even root, can write there.
        command.env("HOME", "/proc");
        let mut pty = Pty::start(command);
        scene.types_password(&mut pty);
        let seen = scene.succeeds(pty);
        assert!(seen.contains("Warning: the token is not kept, so the next command asks again:"), "{seen}");
        assert!(seen.contains("No resources found"), "{seen}");
    }
    assert!(!scene.cache().exists());
}

#[test]
fn a_torn_cache_file_costs_one_password() {
    needs_kubectl!();
    let scene = Scene::start();
    scene.logs_in();
    scene.change_cache(|text| text[..text.len() / 2].to_owned());
    let torn = std::fs::read_to_string(scene.cache()).unwrap();
    let error = scene.fails_unattended();
    assert!(error.contains("cli2.json is damaged and not used"), "{error}");
    let seen = scene.logs_in();
    assert!(seen.contains("cli2.json is damaged and not used"), "{seen}");
    assert_eq!(std::fs::read_to_string(scene.cache().with_file_name("cli2.json.broken")).unwrap(), torn);
    scene.works_unattended();
}

#[test]
fn a_mistyped_password_can_be_typed_again_twice() {
    let scene = Scene::start();
    let (server, ca) = (scene.server.url(), scene.server.ca_file());
    let get = ["token", "--server", &server, "--user=rancher", "--cacerts", ca.to_str().unwrap()];
    let mut pty = Pty::start(scene.by_hand(&get));
    for attempt in 1..=3 {
        pty.expect("Enter username [rancher]: ");
        // An empty answer is the suggested name.
        pty.types("\n");
        pty.expect("Enter password: ");
        pty.types("wrong\n");
        if attempt < 3 {
            pty.expect("The user name or the password is wrong.");
        }
    }
    let (code, seen) = pty.end();
    assert_eq!(code, 1);
    assert!(seen.contains("does not let \"rancher\" in: the user name or the password is wrong"), "{seen}");
    assert!(!scene.cache().exists());
    // What a hand corrects is corrected: a letter too many, then all of it.
    let mut pty = Pty::start(scene.by_hand(&get));
    pty.expect("Enter username [rancher]: ");
    pty.types("ann\n");
    pty.expect("Enter password: ");
    pty.types(&format!("nonsense\u{15}{}ü\u{7f}\n", scene.ann.password));
    scene.succeeds(pty);
}

/// The fingerprint as the hint says to look it up.
fn fingerprint(ca: &Path) -> Option<String> {
    let args = ["x509", "-noout", "-fingerprint", "-sha256", "-in"];
    let output = Command::new("openssl").args(args).arg(ca).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().split_once('=')?.1.to_owned())
}

#[test]
fn a_servers_authority_is_confirmed_once_by_its_fingerprint_and_never_silently() {
    let scene = Scene::with(V1BETA1, false);
    let server = format!("--server={}", scene.server.url());
    let get = ["token", &server, "--user=rancher"];
    let output = scene.by_hand(&get).arg("--password-fd=0").stdin(Stdio::null()).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && output.stdout.is_empty(), "{error}");

    let mut pty = Pty::start(scene.by_hand(&get));
    pty.expect("is not signed by an authority that is trusted here");
    pty.expect("SHA-256 fingerprint ");
    let shown = pty.expect("\r\n");
    match fingerprint(&scene.server.ca_file()) {
        Some(fingerprint) => assert_eq!(shown, fingerprint),
        None => eprintln!("left out: no openssl"),
    }
    pty.expect("Trust it from now on (yes/no)? ");
    pty.types("y\n");
    let (code, seen) = pty.end();
    assert_eq!(code, 1, "{seen}");
    assert!(seen.contains(&format!("rancher: {} is not trusted", scene.server.url())), "{seen}");
    assert!(!seen.contains("Enter") && !scene.cache().exists(), "{seen}");

    let mut pty = Pty::start(scene.by_hand(&get));
    pty.expect("(yes/no)? ");
    pty.types("yes\n");
    scene.types_password(&mut pty);
    let seen = scene.succeeds(pty);
    // A token goes to a program, and to a terminal only if it is asked for there.
    assert!(seen.contains("It is not shown on a terminal; --show shows it."), "{seen}");
    let shown = Pty::start(scene.by_hand(&[&get[..], &["--show"]].concat())).end();
    assert!(shown.0 == 0 && shown.1.contains(&scene.cached_token().unwrap()), "{}", shown.1);
    assert!(!shown.1.contains("yes/no"), "{}", shown.1);
    if !eartag_tests::kubectl::missing() {
        scene.works_unattended();
    }

    // Somebody else who answers there is refused, whoever sits in front of it.
    let other = Server::start();
    let theirs = std::fs::read_to_string(other.ca_file()).unwrap();
    let mut file: Value = serde_json::from_slice(&std::fs::read(scene.cache()).unwrap()).unwrap();
    let entry = &mut file["Servers"][scene.server.url()];
    entry["cacert"] = theirs.into();
    entry["kubeCredentials"] = Value::Null;
    std::fs::write(scene.cache(), file.to_string()).unwrap();
    let (code, seen) = Pty::start(scene.by_hand(&get)).end();
    assert_eq!(code, 1, "{seen}");
    assert!(seen.contains("it is not the authority that was confirmed for this server"), "{seen}");
    assert!(!seen.contains("Enter"), "{seen}");
}

#[test]
fn a_deleted_token_is_refused_by_the_server_from_then_on() {
    let scene = Scene::start();
    let get = format!("--server={}", scene.server.url());
    let ca = scene.server.ca_file();
    let ca = format!("--cacerts={}", ca.display());
    let mut pty = Pty::start(scene.by_hand(&["token", &get, "--user=rancher", &ca]));
    scene.types_password(&mut pty);
    scene.succeeds(pty);
    let bearer = scene.cached_token().unwrap();
    let me = || scene.server.anonymous().bearer(&bearer).get("/v3/users?me=true").status;
    assert_eq!(me(), 200);
    let output = scene.by_hand(&["token", "delete", "all"]).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(scene.cached().is_none() && me() == 401);

    // One that is restricted to a cluster is good there and nowhere else, and can be given back all the same.
    let scoped =
        ["token", &get, "--user=rancher", &ca, "--cluster=local", "--username=admin", "--password-stdin"];
    let mut child = scene.by_hand(&scoped).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, eartag_tests::BOOTSTRAP_PASSWORD.as_bytes()).unwrap();
    drop(stdin);
    let answer: Value = serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap();
    let bearer = answer["status"]["token"].as_str().unwrap().to_owned();
    let local = || scene.server.anonymous().bearer(&bearer).get("/v3/clusters/local").status;
    assert_eq!(local(), 200);
    let again = scene.by_hand(&scoped).stdin(Stdio::null()).output().unwrap();
    let again: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(
        again["status"]["token"], answer["status"]["token"],
        "it is found to be good where it is good"
    );
    let output = scene.by_hand(&["token", "delete", "rancher_local"]).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(local(), 401);
}
