//! What the kernel says about a process.

use crate::server::Server;

/// Memory of the server's process, in KiB: what it holds now, and the most that it ever held.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    pub now_kib: u64,
    pub most_kib: u64,
}

impl Memory {
    /// Reads it.
    pub fn of(server: &Server) -> Memory {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("a running server");
        let value = |name: &str| {
            let line = status.lines().find(|l| l.starts_with(name)).unwrap_or_else(|| panic!("no {name}"));
            line.split_whitespace().nth(1).and_then(|v| v.parse().ok()).expect("a number of KiB")
        };
        Memory { now_kib: value("VmRSS:"), most_kib: value("VmHWM:") }
    }
}
