//! The real kubectl, of an exact version, with nothing of this machine's in reach.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::tape::Tape;
use crate::wait;
use crate::wait::PATIENCE;

/// A caller's kubectl: a home, a kubeconfig and a cache of its own.
pub struct Kubectl {
    home: TempDir,
    tape: Tape,
}

/// What a command did.
#[derive(Clone, Debug)]
pub struct Ran {
    pub line: String,
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// Says why the tests of this kind do not run, or fails where they must.
///
/// # Panics
/// Without kubectl when `CI=true`.
pub fn missing() -> bool {
    if binary().is_some() {
        return false;
    }
    let how = "no kubectl: run `scripts/tools test`, or set EARTAG_KUBECTL to a kubectl 1.32";
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{how}");
    eprintln!("left out: {how}");
    true
}

/// Leaves a test out, saying so, where there is no kubectl.
#[macro_export]
macro_rules! needs_kubectl {
    () => {
        if $crate::kubectl::missing() {
            return;
        }
    };
}

/// The program. On some machines `kubectl` is a dispatcher that asks the server for its version and runs another one:
/// then the exact binary beside it is meant.
pub fn binary() -> Option<&'static Path> {
    static BINARY: OnceLock<Option<PathBuf>> = OnceLock::new();
    BINARY
        .get_or_init(|| {
            if let Some(named) = std::env::var_os("EARTAG_KUBECTL") {
                return Some(PathBuf::from(named));
            }
            let installed = crate::server::target_dir().join("tools/bin/kubectl-1.32");
            if installed.is_file() {
                return Some(installed);
            }
            let path = std::env::var_os("PATH")?;
            let found = std::env::split_paths(&path).map(|dir| dir.join("kubectl")).find(|f| f.is_file())?;
            let found = found.canonicalize().ok()?;
            let exact = found.with_file_name("kubectl.1.32");
            Some(if exact.is_file() { exact } else { found })
        })
        .as_deref()
}

impl Kubectl {
    /// With this kubeconfig.
    pub fn new(kubeconfig: &str, tape: Tape) -> Kubectl {
        let home = TempDir::new().expect("a home");
        std::fs::write(home.path().join("config"), kubeconfig).expect("a kubeconfig");
        Kubectl { home, tape }
    }

    /// A kubeconfig for a bearer token.
    pub fn for_bearer(url: &str, ca: &Path, bearer: &str, tape: Tape) -> Kubectl {
        let config = format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: test\n  cluster:\n    server: {url}\n    certificate-authority: {}\n\
             users:\n- name: test\n  user:\n    token: \"{bearer}\"\ncontexts:\n- name: test\n  context:\n    cluster: test\n    user: test\n\
             current-context: test\n",
            ca.display()
        );
        Kubectl::new(&config, tape)
    }

    /// A directory that is this caller's alone.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Writes a file for a command to read; gives its path.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.home.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    }

    /// A command that has not begun, for those who run it in their own way.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary().expect("a kubectl"));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home.path())
            .env("TMPDIR", self.home.path())
            .env("KUBECONFIG", self.home.path().join("config"))
            .current_dir(self.home.path())
            .args(args);
        command
    }

    /// Runs a command.
    pub fn run(&self, args: &[&str]) -> Ran {
        self.run_with(args, "", &[])
    }

    /// Runs a command with this standard input.
    pub fn input(&self, args: &[&str], stdin: &str) -> Ran {
        self.run_with(args, stdin, &[])
    }

    /// Runs a command with this standard input and environment.
    pub fn run_with(&self, args: &[&str], stdin: &str, env: &[(&str, &str)]) -> Ran {
        let line = format!("kubectl {}", args.join(" "));
        let mut command = self.command(args);
        command.envs(env.iter().copied());
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{line}: {e}"));
        let mut to = child.stdin.take().expect("stdin");
        let _ = to.write_all(stdin.as_bytes());
        drop(to);
        let (out, err) = (collect(child.stdout.take()), collect(child.stderr.take()));
        let status = ended(&mut child, &line);
        let ran = Ran {
            code: status.code().unwrap_or(-1),
            out: out.join().expect("stdout"),
            err: err.join().expect("stderr"),
            line: line.clone(),
        };
        self.tape.note(line, format!("{}{}", ran.out, ran.err).as_bytes());
        ran
    }

    /// Wants success; gives standard output.
    #[track_caller]
    pub fn ok(&self, args: &[&str]) -> String {
        self.run(args).ok()
    }

    /// Wants failure; gives standard error.
    #[track_caller]
    pub fn fails(&self, args: &[&str]) -> String {
        self.run(args).fails()
    }

    /// Applies this text by `create -f -` and wants success.
    #[track_caller]
    pub fn create(&self, manifest: &str) -> String {
        self.input(&["create", "-f", "-"], manifest).ok()
    }

    /// Starts a command that goes on.
    pub fn spawn(&self, args: &[&str]) -> Running {
        let line = format!("kubectl {}", args.join(" "));
        let mut child = self
            .command(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{line}: {e}"));
        let (to, lines) = channel();
        let stdout = child.stdout.take().expect("stdout");
        let tape = self.tape.clone();
        let what = line.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                tape.note(what.clone(), line.as_bytes());
                if to.send(line).is_err() {
                    return;
                }
            }
        });
        let errors = Arc::new(Mutex::new(String::new()));
        let (stderr, said) = (child.stderr.take().expect("stderr"), errors.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
                said.push_str(&line);
                said.push('\n');
            }
        });
        Running { what: line, child, lines, errors }
    }
}

impl Ran {
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}\n{}{}", self.line, self.out, self.err);
        self.out
    }

    #[track_caller]
    pub fn fails(self) -> String {
        assert_ne!(self.code, 0, "{} succeeded\n{}{}", self.line, self.out, self.err);
        self.err
    }
}

/// A command that goes on, such as `get -w`.
pub struct Running {
    what: String,
    child: Child,
    lines: Receiver<String>,
    errors: Arc<Mutex<String>>,
}

impl Running {
    /// The next line on standard output.
    #[track_caller]
    pub fn line(&self) -> String {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(error) => panic!("{}: no line: {error}; {}", self.what, self.errors()),
        }
    }

    /// What it has written to standard error so far.
    pub fn errors(&self) -> String {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it watches. Only a command that says what it asks for (`-v=6`) shows that.
    #[track_caller]
    pub fn watches(&self) {
        wait::until("kubectl to watch", PATIENCE, || self.errors().contains("watch=true").then_some(()));
    }

    /// Wants no line for this long.
    #[track_caller]
    pub fn quiet(&self, time: Duration) {
        if let Ok(line) = self.lines.recv_timeout(time) {
            panic!("{}: a line where none was expected: {line}", self.what);
        }
    }

    /// Wants it to end by itself; gives its exit code and what is left of standard output.
    #[track_caller]
    pub fn end(mut self) -> (i32, Vec<String>) {
        let status = ended(&mut self.child, &self.what);
        (status.code().unwrap_or(-1), self.lines.iter().collect())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(from: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    let mut from = from.expect("a pipe");
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

#[track_caller]
fn ended(child: &mut Child, line: &str) -> std::process::ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a status") {
            return status;
        }
        if start.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{line}: not done after {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
