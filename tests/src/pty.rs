//! A pseudo-terminal with somebody in front of it, for programs that ask and hide.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

use crate::wait;
use crate::wait::PATIENCE;

/// A program at a terminal of its own. It is killed when this is dropped.
pub struct Pty {
    child: Child,
    master: File,
    /// Kept, so that the terminal can still be looked at when the program has ended.
    terminal: Option<OwnedFd>,
    seen: Arc<Mutex<Vec<u8>>>,
    /// Sees until nobody has the terminal open any more.
    watching: JoinHandle<()>,
    /// How much of what was seen was expected already.
    past: usize,
}

impl Pty {
    /// Starts a program with all three of its streams at a new terminal, which is its own: Ctrl-C reaches it and whatever it runs.
    pub fn start(program: Command) -> Pty {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
        grantpt(&master).expect("its other side");
        unlockpt(&master).expect("its other side");
        let name = ptsname(&master, Vec::new()).expect("its name");
        let terminal =
            rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())
                .expect("its other side");
        let stream = || Stdio::from(terminal.try_clone().expect("a stream"));
        let mut command = in_session(&program);
        let child = command.stdin(stream()).stdout(stream()).stderr(stream()).spawn().expect("the program");
        let master = File::from(master);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (mut from, to) = (master.try_clone().expect("a clone"), seen.clone());
        let watching = std::thread::spawn(move || {
            let mut some = [0; 4096];
            while let Ok(n @ 1..) = from.read(&mut some) {
                to.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&some[..n]);
            }
        });
        Pty { child, master, terminal: Some(terminal), seen, watching, past: 0 }
    }

    /// Everything that was seen so far.
    pub fn seen(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// Waits until this is seen behind what was expected before; gives what stood before it.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> String {
        let start = Instant::now();
        loop {
            let seen = self.seen();
            let new = seen.get(self.past..).unwrap_or_default();
            if let Some(at) = new.find(text) {
                let before = new[..at].to_owned();
                self.past += at + text.len();
                return before;
            }
            assert!(start.elapsed() < PATIENCE, "no {text:?} in {PATIENCE:?}, only: {seen}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Types this.
    pub fn types(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).expect("to type");
    }

    /// Whether the terminal shows what is typed.
    pub fn echoes(&self) -> bool {
        let terminal = self.terminal.as_ref().expect("a terminal");
        let modes = tcgetattr(terminal).expect("the terminal's settings").local_modes;
        modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
    }

    /// Wants it to end by itself; its exit code, and everything that was seen.
    #[track_caller]
    pub fn end(mut self) -> (i32, String) {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a status") {
                break status;
            }
            assert!(start.elapsed() < PATIENCE, "still running; it said: {}", self.seen());
            std::thread::sleep(Duration::from_millis(10));
        };
        // Whom it ran may end a moment after it.
        wait::until("the terminal to be left as it was", PATIENCE, || self.echoes().then_some(()));
        // What was written last is on its way through the terminal, and behind it comes its end.
        self.terminal = None;
        wait::until("everybody to leave the terminal", PATIENCE, || {
            self.watching.is_finished().then_some(())
        });
        (status.code().unwrap_or(-1), self.seen())
    }
}

/// The same program in a session of its own, whose terminal is the one at standard input. Without setsid (util-linux) it only has the terminal's streams.
fn in_session(program: &Command) -> Command {
    let has_setsid = Command::new("setsid").arg("--version").stdout(Stdio::null()).status().is_ok();
    let mut command = if has_setsid {
        let mut setsid = Command::new("setsid");
        setsid.args(["--ctty", "--wait"]).arg(program.get_program());
        setsid
    } else {
        Command::new(program.get_program())
    };
    command.args(program.get_args()).env_clear();
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(dir) = program.get_current_dir() {
        command.current_dir(dir);
    }
    command
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
