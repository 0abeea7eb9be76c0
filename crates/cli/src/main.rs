//! The binary `eartag`: API tokens for Kubernetes fleets.

mod args;
mod backup;
mod client;
mod import;
mod logging;
mod serve;
mod system_token;
mod terminal;

use args::Command;
use std::process::ExitCode;

fn main() -> ExitCode {
    let command = match args::parse(std::env::args_os()) {
        Ok(command) => command,
        Err(usage) => return terminal::usage(&usage),
    };
    let done = match command {
        Command::Serve(args) => serve::run(*args),
        Command::Backup(args) => backup::back_up(&args),
        Command::Restore(args) => backup::restore(&args),
        Command::Import(args) => import::run(&args),
        Command::SystemToken(command) => system_token::run(&command),
        Command::Version => terminal::say(&format!("eartag {}\n", eartag_server::version::PRODUCT)),
    };
    terminal::finish(done)
}
