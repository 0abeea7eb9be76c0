//! What the command says: results on standard output, one sentence of error on standard error, and the exit code (DESIGN §6).

use std::io::Write;
use std::process::ExitCode;

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

/// Shows help or what is wrong with the command line: exit code 0 or 2.
pub fn usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// 0, or 1 with the error as one sentence.
pub fn finish(done: anyhow::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note(&format!("eartag: {error}"));
            ExitCode::FAILURE
        }
    }
}
