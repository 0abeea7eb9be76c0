//! A server of its own for a benchmark: a process, its URL, its authority, the admin's token.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// A running process. One that was started here is killed when dropped.
pub struct Server {
    child: Option<Child>,
    pid: u32,
    /// `127.0.0.1:PORT`.
    pub address: String,
    /// PEM of the authority behind its certificate.
    pub authority: Vec<u8>,
    /// From the start of the process until `/readyz` could be asked: until it said that it answers.
    pub started_in: Duration,
}

impl Server {
    /// `eartag serve` on this data directory.
    ///
    /// # Errors
    /// It did not start.
    pub fn eartag(data: &Path) -> Result<Self> {
        let mut command = Command::new(binary()?);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data).env("RUST_LOG", "warn");
        let (child, address, started_in) = start(command)?;
        let authority = fs::read(data.join("tls/ca.crt")).context("the server's authority")?;
        Ok(Self::started(child, address, authority, started_in))
    }

    /// This very program as the bare handler (see [`crate::bare`]).
    ///
    /// # Errors
    /// It did not start.
    pub fn bare(scratch: &Path) -> Result<Self> {
        let file = scratch.join("bare-ca.crt");
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("bare").arg(&file);
        let (child, address, started_in) = start(command)?;
        let authority = fs::read(file).context("the bare handler's authority")?;
        Ok(Self::started(child, address, authority, started_in))
    }

    /// A process that somebody else started and ends.
    #[must_use]
    pub fn beside(pid: u32, address: String, authority: Vec<u8>) -> Self {
        Self { child: None, pid, address, authority, started_in: Duration::ZERO }
    }

    fn started(child: Child, address: String, authority: Vec<u8>, started_in: Duration) -> Self {
        Self { pid: child.id(), child: Some(child), address, authority, started_in }
    }

    /// Resident memory and its highest value so far, in bytes.
    #[must_use]
    pub fn memory(&self) -> (u64, u64) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let kb = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().split(' ').next()?.parse::<u64>().ok()
        };
        (kb("VmRSS:").unwrap_or(0) * 1024, kb("VmHWM:").unwrap_or(0) * 1024)
    }

    /// Processor time used so far, by user and system together.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        let fields = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        let ticks: u64 = fields.split(' ').skip(11).take(2).filter_map(|t| t.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// Ends it as an operator would.
    ///
    /// # Errors
    /// It did not end well.
    pub fn stop(mut self) -> Result<()> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).context("no process")?;
        let mut child = self.child.take().context("somebody else's process")?;
        kill_process(pid, Signal::TERM)?;
        let status = child.wait()?;
        if !status.success() {
            bail!("the server ended with {status}");
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The token in `admin.yaml`.
///
/// # Errors
/// The file holds none.
pub fn admin_token(data: &Path) -> Result<String> {
    let text = fs::read_to_string(data.join("kubeconfig/admin.yaml"))?;
    let token = text.lines().find_map(|line| line.trim().trim_start_matches("- ").strip_prefix("token:"));
    let token = token.context("no token in admin.yaml")?.trim().trim_matches(['"', '\'']);
    Ok(token.to_owned())
}

/// The binary under test.
fn binary() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("EARTAG_BIN") {
        return Ok(named.into());
    }
    let beside = std::env::current_exe()?.with_file_name("eartag");
    if !beside.exists() {
        bail!("{} is missing: cargo build --release -p eartag, or name one in EARTAG_BIN", beside.display());
    }
    Ok(beside)
}

/// Starts a program and waits for the line that says where it answers.
fn start(mut command: Command) -> Result<(Child, String, Duration)> {
    let started = Instant::now();
    let mut child =
        command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().context("the program starts")?;
    let output = child.stdout.take().context("its output")?;
    let mut lines = BufReader::new(output).lines();
    while let Some(line) = lines.next().transpose()? {
        if let Some((_, address)) = line.split_once("answers at https://") {
            let (address, started_in) = (address.trim().to_owned(), started.elapsed());
            // Its output is read on, or it would fill the pipe.
            std::thread::spawn(move || lines.for_each(drop));
            return Ok((child, address, started_in));
        }
    }
    bail!("the server ended before it answered: {}", child.wait()?)
}
