//! The built binary, and a server of it.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

pub fn eartag(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eartag"));
    command.current_dir(dir).args(args).stdin(Stdio::null()).env_remove("RUST_LOG");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CATTLE_")) {
        command.env_remove(name);
    }
    // Nothing of the machine's own may be found.
    let places = ["XDG_CONFIG_HOME", "EARTAG_CONFIG_DIR", "RANCHER_CONFIG_DIR", "KUBERNETES_EXEC_INFO"];
    for name in places.into_iter().chain([
        "KUBECONFIG",
        "ALL_PROXY",
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "all_proxy",
        "https_proxy",
        "http_proxy",
    ]) {
        command.env_remove(name);
    }
    command.env("HOME", dir);
    command
}

pub fn run(dir: &Path, args: &[&str]) -> Output {
    eartag(dir, args).output().unwrap()
}

pub fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Runs a command that succeeds; what it says.
#[track_caller]
pub fn good(dir: &Path, args: &[&str]) -> String {
    let output = run(dir, args);
    assert_eq!(code(&output), 0, "{args:?}: {}", stderr(&output));
    stdout(&output)
}

/// Runs a command that fails with one sentence; the sentence.
#[track_caller]
pub fn bad(dir: &Path, args: &[&str]) -> String {
    let output = run(dir, args);
    let error = stderr(&output);
    assert_eq!(code(&output), 1, "{args:?}: {error}");
    assert!(output.stdout.is_empty(), "{args:?}: {}", stdout(&output));
    let last = error.lines().last().unwrap_or_default();
    assert!(last.starts_with("eartag: "), "{error}");
    last.to_owned()
}

/// What stands behind a word in the admin's kubeconfig.
pub fn admin(dir: &Path, word: &str) -> String {
    let text = fs::read_to_string(dir.join("eartag-data/kubeconfig/admin.yaml")).unwrap();
    let line = text.lines().find_map(|line| line.trim().strip_prefix(word)).unwrap();
    line.trim().trim_matches('"').to_owned()
}

/// Asks the server of the data directory here, by GET or, with a body, by POST; the status and the JSON of the answer.
pub fn curl(
    dir: &Path,
    path: &str,
    bearer: Option<&str>,
    body: Option<&serde_json::Value>,
) -> (u16, serde_json::Value) {
    let mut command = Command::new("curl");
    command.args(["-sS", "-w", "\n%{http_code}", "-H", "Accept: application/json", "--cacert"]);
    command.arg(dir.join("eartag-data/tls/ca.crt"));
    if let Some(bearer) = bearer {
        command.args(["-H", &format!("Authorization: Bearer {bearer}")]);
    }
    if let Some(body) = body {
        command.args(["-H", "Content-Type: application/json", "-d", &body.to_string()]);
    }
    let output = command.arg(format!("{}{path}", admin(dir, "server:"))).output().unwrap();
    let said = stdout(&output);
    let (body, status) = said.rsplit_once('\n').unwrap_or_else(|| panic!("{}", stderr(&output)));
    (status.parse().unwrap(), serde_json::from_str(body).unwrap_or_default())
}

/// A server that answers; killed when dropped.
pub struct Server {
    child: Child,
    pub greeting: String,
}

impl Server {
    pub fn start(dir: &Path, args: &[&str]) -> Self {
        let all: Vec<&str> =
            ["serve", "--listen", "127.0.0.1:0"].into_iter().chain(args.iter().copied()).collect();
        let mut child = eartag(dir, &all).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut greeting = String::new();
        while !greeting.contains("curl ") {
            if out.read_line(&mut greeting).unwrap() == 0 {
                let mut log = String::new();
                child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
                panic!("the server did not start: {log}");
            }
        }
        Self { child, greeting }
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Makes an API key of the admin's; its name.
    pub fn api_key(&self, dir: &Path) -> String {
        let token = serde_json::json!({"kind": "Token", "apiVersion": "management.cattle.io/v3"});
        let bearer = admin(dir, "token:");
        let (status, body) = curl(dir, "/apis/management.cattle.io/v3/tokens", Some(&bearer), Some(&token));
        assert_eq!(status, 201, "{body}");
        body["metadata"]["name"].as_str().unwrap().to_owned()
    }

    /// The exit code and the log.
    pub fn end(mut self) -> (i32, String) {
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        (self.child.wait().unwrap().code().unwrap(), log)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

pub fn walk(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    entries.flat_map(|p| if p.is_dir() { walk(&p) } else { vec![p] }).collect()
}
