//! Questions to a person at a terminal. They go to standard error, so that standard output stays for what programs read.

use std::io::{IsTerminal, Write};

use anyhow::bail;
use rustix::io::Errno;
use rustix::process::{Signal, getpgrp, kill_current_process_group};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcsetattr,
};
use secrecy::SecretString;
use zeroize::Zeroizing;

/// The longest answer, in bytes.
const LONGEST: usize = 4096;

/// A terminal with somebody in front of it.
#[derive(Debug)]
pub struct Person(());

impl Person {
    /// Whoever sits at standard input, if that is a terminal.
    #[must_use]
    pub fn at_stdin() -> Option<Self> {
        std::io::stdin().is_terminal().then_some(Self(()))
    }

    /// A line, which is seen as it is typed.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn line(&self, prompt: &str) -> anyhow::Result<String> {
        show(prompt);
        let mut line = Vec::new();
        loop {
            match byte()? {
                Some(b'\n') => break,
                Some(byte) if line.len() < LONGEST => line.push(byte),
                Some(_) => bail!("the answer is too long"),
                None if line.is_empty() => bail!("there was no answer"),
                None => break,
            }
        }
        match String::from_utf8(line) {
            Ok(line) => Ok(line.trim().to_owned()),
            Err(_) => bail!("the answer is no text"),
        }
    }

    /// A secret, of which nothing is seen.
    ///
    /// # Errors
    /// When there is no answer, or nothing can be hidden on this terminal.
    pub fn secret(&self, prompt: &str) -> anyhow::Result<SecretString> {
        // Before anybody can have begun to type.
        let hidden = Hidden::begin()?;
        show(prompt);
        let typed = typed();
        drop(hidden);
        show("\n");
        let typed = match typed? {
            Typed::Line(line) => line,
            Typed::Interrupt => {
                interrupt();
                bail!("interrupted")
            }
        };
        match std::str::from_utf8(&typed) {
            Ok(text) => Ok(SecretString::from(text)),
            Err(_) => bail!("the answer is no text"),
        }
    }
}

enum Typed {
    Line(Zeroizing<Vec<u8>>),
    Interrupt,
}

/// Does what the terminal would have done: whoever waits for us is interrupted too. Else kubectl would take it for a failure, and ask again.
fn interrupt() {
    let in_front = tcgetpgrp(std::io::stdin()).is_ok_and(|group| group == getpgrp());
    if in_front {
        let _ = kill_current_process_group(Signal::INT);
    }
}

/// What is typed up to the end of the line. The keys that a terminal understands itself are understood here, because it does not hide what it edits.
fn typed() -> anyhow::Result<Typed> {
    // All of it at once, so that no copy is left behind when it grows.
    let mut line = Zeroizing::new(Vec::with_capacity(LONGEST));
    loop {
        match byte()? {
            Some(b'\n' | b'\r') => return Ok(Typed::Line(line)),
            // Ctrl-C, Ctrl-\
            Some(3 | 28) => return Ok(Typed::Interrupt),
            None | Some(4) if line.is_empty() => bail!("there was no answer"),
            None | Some(4) => return Ok(Typed::Line(line)),
            // Backspace takes a character, however many bytes it has.
            Some(8 | 127) => while line.pop().is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000) {},
            // Ctrl-U takes all.
            Some(21) => line.clear(),
            Some(byte) if line.len() < LONGEST => line.push(byte),
            Some(_) => bail!("the answer is too long"),
        }
    }
}

/// While this lives, the terminal shows nothing of what is typed, and hands it over byte by byte.
///
/// Keys that end programs are read like others: a program that ended here would leave a terminal behind that shows nothing.
struct Hidden(Termios);

impl Hidden {
    fn begin() -> anyhow::Result<Self> {
        let stdin = std::io::stdin();
        let before =
            tcgetattr(&stdin).map_err(|_| anyhow::anyhow!("a password cannot be hidden on this terminal"))?;
        let mut hidden = before.clone();
        hidden
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG);
        hidden.special_codes[SpecialCodeIndex::VMIN] = 1;
        hidden.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(&stdin, OptionalActions::Flush, &hidden)
            .map_err(|_| anyhow::anyhow!("a password cannot be hidden on this terminal"))?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Drain, &self.0);
    }
}

/// One byte, past every buffer: what is behind it may be meant for others. `None` at the end.
fn byte() -> anyhow::Result<Option<u8>> {
    let mut one = [0];
    loop {
        match rustix::io::read(std::io::stdin(), &mut one) {
            Ok(0) | Err(Errno::IO) => return Ok(None),
            Ok(_) => return Ok(one.first().copied()),
            Err(Errno::INTR) => {}
            Err(error) => bail!("the terminal cannot be read: {}", std::io::Error::from(error)),
        }
    }
}

fn show(text: &str) {
    let mut out = std::io::stderr().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
