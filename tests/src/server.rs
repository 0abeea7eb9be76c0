//! A server process.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;

use crate::http::Http;
use crate::kubectl::Kubectl;
use crate::people::Person;
use crate::tape::Tape;
use crate::wait;
use crate::wait::PATIENCE;

/// How to start a server; `Setup::default()` needs nothing.
#[derive(Default)]
pub struct Setup {
    /// Further arguments behind `serve --data-dir … --listen …`.
    pub args: Vec<String>,
    /// Further environment.
    pub env: Vec<(String, String)>,
    /// A data directory that exists already; else a new one.
    pub data: Option<PathBuf>,
    /// How many files it may open at first (the soft limit; the hard one stays).
    pub files: Option<u32>,
}

impl Setup {
    #[must_use]
    pub fn arg(mut self, arg: &str) -> Setup {
        self.args.push(arg.to_owned());
        self
    }

    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Setup {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    #[must_use]
    pub fn files(mut self, soft: u32) -> Setup {
        self.files = Some(soft);
        self
    }

    #[must_use]
    pub fn data(mut self, dir: &Path) -> Setup {
        self.data = Some(dir.to_owned());
        self
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn start(self) -> Server {
        let temp = TempDir::new().expect("a directory");
        let data = self.data.clone().unwrap_or_else(|| temp.path().join("data"));
        let mut server = Server {
            setup: self,
            child: None,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())),
            data,
            tape: Tape::default(),
            starts: 0,
            temp,
        };
        server.launch();
        server
    }
}

/// A running (or stopped) server.
pub struct Server {
    setup: Setup,
    child: Option<Child>,
    address: SocketAddr,
    data: PathBuf,
    tape: Tape,
    starts: usize,
    temp: TempDir,
}

impl Server {
    /// A server with a data directory of its own and the password [`crate::BOOTSTRAP_PASSWORD`].
    pub fn start() -> Server {
        Setup::default().start()
    }

    /// Starts the process and waits until it is ready. Another port if somebody took ours.
    pub fn launch(&mut self) {
        for _ in 0..5 {
            self.spawn();
            if self.becomes_ready() {
                return;
            }
            self.address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        }
        panic!("no free port");
    }

    fn spawn(&mut self) {
        self.starts += 1;
        let mut command = match self.setup.files {
            None => Command::new(binary()),
            Some(soft) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("ulimit -S -n {soft} && exec \"$0\" \"$@\"")]).arg(binary());
                shell
            }
        };
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.temp.path())
            .env("CATTLE_BOOTSTRAP_PASSWORD", crate::BOOTSTRAP_PASSWORD)
            .current_dir(self.temp.path())
            .arg("serve")
            .arg("--data-dir")
            .arg(&self.data)
            .arg("--listen")
            .arg(self.address.to_string())
            .args(&self.setup.args)
            .envs(self.setup.env.iter().map(|(n, v)| (n, v)))
            .stdin(Stdio::null())
            .stdout(File::create(self.output("out")).expect("a file"))
            .stderr(File::create(self.output("err")).expect("a file"));
        self.child = Some(command.spawn().unwrap_or_else(|e| panic!("{}: {e}", binary().display())));
    }

    /// False when the port was taken.
    fn becomes_ready(&mut self) -> bool {
        let mut exited = None;
        let ready = wait::until("the server to be ready", PATIENCE, || {
            if let Some(status) = self.child.as_mut().and_then(|c| c.try_wait().expect("a status")) {
                exited = Some(status);
                return Some(false);
            }
            if !self.ca_file().is_file() || std::net::TcpStream::connect(self.address).is_err() {
                return None;
            }
            let reply = self.anonymous().try_send("GET", "/readyz", "", None).ok()?;
            (reply.status == 200).then_some(true)
        });
        if let Some(status) = exited {
            let said = self.stderr();
            assert!(said.contains("in use"), "the server ended at its start ({status}): {said}");
        }
        ready
    }

    /// The file that holds this start's standard output or error.
    fn output(&self, stream: &str) -> PathBuf {
        self.temp.path().join(format!("{stream}.{}", self.starts))
    }

    /// What this start has written to standard output.
    pub fn stdout(&self) -> String {
        std::fs::read_to_string(self.output("out")).unwrap_or_default()
    }

    /// What this start has logged.
    pub fn stderr(&self) -> String {
        std::fs::read_to_string(self.output("err")).unwrap_or_default()
    }

    /// The output files of all starts.
    pub fn outputs(&self) -> Vec<PathBuf> {
        (1..=self.starts)
            .flat_map(|n| ["out", "err"].map(|s| self.temp.path().join(format!("{s}.{n}"))))
            .collect()
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    pub fn data(&self) -> &Path {
        &self.data
    }

    /// A place beside the data directory.
    pub fn scratch(&self) -> &Path {
        self.temp.path()
    }

    pub fn tape(&self) -> &Tape {
        &self.tape
    }

    pub fn ca_file(&self) -> PathBuf {
        self.data.join("tls/ca.crt")
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("a running server").id()
    }

    /// Resident memory in bytes.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("/proc");
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().expect("a number") * 1024
    }

    /// A client without credentials.
    pub fn anonymous(&self) -> Http {
        Http::new(self.url(), &self.ca_file(), self.tape.clone())
    }

    /// A kubectl for this bearer token.
    pub fn kubectl(&self, bearer: &str) -> Kubectl {
        Kubectl::for_bearer(&self.url(), &self.ca_file(), bearer, self.tape.clone())
    }

    /// `admin`, by the token of `kubeconfig/admin.yaml`.
    pub fn admin(&self) -> Person {
        let config = self.kubeconfig("admin.yaml");
        let bearer = value_in(&config, "token");
        let http = self.anonymous().bearer(&bearer);
        Person {
            id: http.whoami().expect("admin.yaml to work"),
            username: "admin".to_owned(),
            password: crate::BOOTSTRAP_PASSWORD.to_owned(),
            kubectl: Kubectl::new(&config, self.tape.clone()),
            bearer,
            http,
        }
    }

    /// kubectl with `kubeconfig/system-admin.yaml`, as it was written.
    pub fn system_admin(&self) -> Kubectl {
        Kubectl::new(&self.kubeconfig("system-admin.yaml"), self.tape.clone())
    }

    /// Plain requests with the client certificate of `system-admin.yaml`.
    pub fn system_admin_http(&self) -> Http {
        let config = self.kubeconfig("system-admin.yaml");
        let pem = |name| STANDARD.decode(value_in(&config, name)).expect("base64");
        Http::with_certificate(
            self.url(),
            &self.ca_file(),
            self.tape.clone(),
            &pem("client-certificate-data"),
            &pem("client-key-data"),
        )
    }

    /// A new user with these global roles, and logged in.
    pub fn person(&self, username: &str, roles: &[&str]) -> Person {
        Person::new(self, &self.admin(), username, roles)
    }

    fn kubeconfig(&self, name: &str) -> String {
        let path = self.data.join("kubeconfig").join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// Ends it without a word, as a crash does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Asks it to end, by SIGTERM, and waits.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(rustix::process::Signal::TERM);
        self.wait_for_exit()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.pid()).expect("a pid")).expect("a pid");
        rustix::process::kill_process(pid, signal).expect("a signal");
    }

    /// Waits for its end.
    pub fn wait_for_exit(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("a running server");
        wait::until("the server to end", PATIENCE, || child.try_wait().expect("a status"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let said = self.stderr();
            let tail: Vec<&str> = said.lines().rev().take(30).collect();
            eprintln!("--- the server's log ends so:");
            for line in tail.iter().rev() {
                eprintln!("{line}");
            }
        }
    }
}

/// The program under test.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(named) = std::env::var_os("EARTAG_BIN") {
            return PathBuf::from(named);
        }
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args(["build", "--quiet", "--package", "eartag"])
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
            .status()
            .expect("cargo");
        assert!(built.success(), "cargo build -p eartag failed");
        target_dir().join("debug/eartag")
    })
}

/// Cargo's target directory: the one this test was built in.
pub fn target_dir() -> PathBuf {
    let mut dir = std::env::current_exe().expect("this program's path");
    while dir.pop() {
        if dir.join(".rustc_info.json").is_file() {
            return dir;
        }
    }
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target")
}

/// Runs the program to its end: exit code, standard output, standard error.
pub fn run(args: &[&str], env: &[(&str, &str)], dir: &Path) -> (i32, String, String) {
    let mut child = Command::new(binary())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", dir)
        .envs(env.iter().copied())
        .current_dir(dir)
        .args(args)
        .stdin(Stdio::null())
        .stdout(File::create(dir.join("run.out")).expect("a file"))
        .stderr(File::create(dir.join("run.err")).expect("a file"))
        .spawn()
        .expect("the program");
    let line = format!("eartag {}", args.join(" "));
    let start = std::time::Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("a status") {
            break status;
        }
        if start.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{line}: still running after {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap_or_default();
    (status.code().unwrap_or(-1), read("run.out"), read("run.err"))
}

/// A port that nobody listens on, below those that outgoing connections get.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let pid = std::process::id();
    loop {
        let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 10_000 + (pid.wrapping_mul(131) + step * 7) % 20_000;
        let port = u16::try_from(port).expect("a port");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// The value behind `name:` in a kubeconfig that the server wrote.
pub fn value_in(config: &str, name: &str) -> String {
    let value = config.lines().find_map(|l| l.trim_start().strip_prefix(name)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("no {name} in the kubeconfig")).trim().trim_matches('"').to_owned()
}
