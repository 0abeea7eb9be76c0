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
            let _ = writeln!(std::io::stderr().lock(), "eartag: {error}");
            ExitCode::FAILURE
        }
    }
}
