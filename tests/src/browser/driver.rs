//! The driver's process and its protocol: W3C WebDriver, JSON over HTTP on this machine.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use ureq::Agent;

use crate::wait;
use crate::wait::PATIENCE;

/// A chromedriver with a home of its own. Its end is the end of the browsers that it started.
pub struct Driver {
    child: Child,
    home: TempDir,
    agent: Agent,
    base: String,
}

/// A refusal of the driver: WebDriver's word for it, such as `no such element`, and its text.
#[derive(Clone, Debug)]
pub struct Refused {
    pub error: String,
    pub message: String,
}

/// The browser.
pub fn chromium() -> Option<PathBuf> {
    program("EARTAG_CHROMIUM", "chromium")
}

/// Its driver.
pub fn chromedriver() -> Option<PathBuf> {
    program("EARTAG_CHROMEDRIVER", "chromedriver")
}

fn program(variable: &str, name: &str) -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(variable) {
        return Some(PathBuf::from(named));
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|f| f.is_file())
}

impl Driver {
    /// Starts one on a port of its own choice.
    pub fn start() -> Driver {
        let home = TempDir::new().expect("a home");
        let log = home.path().join("driver.out");
        let child = Command::new(chromedriver().expect("a chromedriver"))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", home.path())
            .env("TMPDIR", home.path())
            .args(["--port=0", "--log-level=WARNING"])
            .current_dir(home.path())
            .stdin(Stdio::null())
            .stdout(File::create(&log).expect("a file"))
            .stderr(File::create(home.path().join("driver.err")).expect("a file"))
            .spawn()
            .expect("chromedriver");
        let port = wait::until("chromedriver to listen", PATIENCE, || {
            let said = std::fs::read_to_string(&log).ok()?;
            let port = said.split("started successfully on port ").nth(1)?.split_once('.')?.0;
            port.parse::<u16>().ok()
        });
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .proxy(None)
            .build()
            .new_agent();
        Driver { child, home, agent, base: format!("http://127.0.0.1:{port}") }
    }

    /// A directory of its own, gone with it.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Sends a command; a body makes it a POST.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Refused> {
        let url = format!("{}{path}", self.base);
        let request = ureq::http::Request::builder().method(method).uri(&url);
        let response = match body {
            Some(body) => self.agent.run(
                request.header("content-type", "application/json").body(body.to_string()).expect("a request"),
            ),
            None => self.agent.run(request.body(()).expect("a request")),
        };
        let mut response = response.unwrap_or_else(|e| panic!("{method} {url}: {e}; {}", self.errors()));
        let text = response.body_mut().with_config().limit(1 << 28).read_to_string().expect("a reply");
        let reply: Value =
            serde_json::from_str(&text).unwrap_or_else(|e| panic!("{method} {url}: {e}: {text}"));
        let value = reply["value"].clone();
        match value.get("error").and_then(Value::as_str) {
            Some(error) if response.status() != 200 => Err(Refused {
                error: error.to_owned(),
                message: value["message"].as_str().unwrap_or_default().to_owned(),
            }),
            _ => Ok(value),
        }
    }

    fn errors(&self) -> String {
        std::fs::read_to_string(self.home.path().join("driver.err")).unwrap_or_default()
    }

    /// The processes whose command line names our home: the browser and its helpers.
    fn family(&self) -> Vec<rustix::process::Pid> {
        let home = self.home.path().as_os_str().as_encoded_bytes();
        let ours = |entry: &std::fs::DirEntry| {
            let line = std::fs::read(entry.path().join("cmdline")).ok()?;
            line.windows(home.len()).any(|part| part == home).then_some(())?;
            rustix::process::Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)
        };
        std::fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| ours(&entry)).collect()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let family = self.family();
        let _ = self.child.kill();
        let _ = self.child.wait();
        // The browser ends with its driver; whoever does not is ended, or it would write into a home that is gone.
        for pid in family {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}
