//! What the command says: results on standard output, one sentence of error on standard error, and the exit code (DESIGN §6).

use std::io::Write;
use std::process::ExitCode;

use crate::program::Program;

/// Writes to standard output. A reader that went away is no error of ours.
pub fn say(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Writes a line for people to standard error, which keeps standard output for what programs read.
pub fn note(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Passes on a warning of the server's.
pub fn warn(text: &str) {
    note(&format!("Warning: {text}"));
}

/// The end of a command that did the same to several things: each failure is said, the last one as the command's own.
pub fn all_done<E: std::fmt::Display>(mut failed: Vec<E>, all: usize, what: &str) -> anyhow::Result<()> {
    let count = failed.len();
    let Some(last) = failed.pop() else { return Ok(()) };
    for error in failed {
        note(&format!("Error: {error}"));
    }
    if all == 1 { anyhow::bail!("{last}") } else { anyhow::bail!("{last} ({count} of {all} {what})") }
}

/// Shows help or what is wrong with the command line: exit code 0 or 2.
pub fn usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// 0, or 1 with the error as one sentence.
pub fn finish(program: Program, done: anyhow::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note(&format!("{}: {error}", program.name()));
            ExitCode::FAILURE
        }
    }
}
