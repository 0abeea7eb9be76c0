//! From the command line to what does it.

use crate::args::Command;
use crate::login::commands;
use crate::program::Invocation;
use crate::{
    backup, clusters, import, install, kubeconfigs, manual, serve, system_token, terminal, token, tokens,
    whoami,
};

/// Does what was asked for.
///
/// # Errors
/// One sentence.
pub fn run(command: Command, invocation: &Invocation) -> anyhow::Result<()> {
    match command {
        Command::Serve(args) => serve::run(*args),
        Command::Backup(args) => backup::back_up(&args),
        Command::Restore(args) => backup::restore(&args),
        Command::Import(args) => import::run(&args),
        Command::Install(args) => install::run(&args),
        Command::SystemToken(command) => system_token::run(&command, invocation),
        Command::Token(command) => token::run(&command, invocation),
        Command::Login(args) => commands::log_in(&args, invocation),
        Command::Logout(args) => commands::log_out(&args, invocation),
        Command::Whoami(args) => whoami::run(&args, invocation),
        Command::Tokens(command) => tokens::run(&command, invocation),
        Command::Kubeconfig(command) => kubeconfigs::run(&command, invocation),
        Command::Cluster(command) => clusters::run(&command, invocation),
        Command::Completions(args) => manual::completions(&args, invocation),
        Command::Man(args) => manual::man(&args, invocation),
        Command::Version => {
            let program = invocation.program.name();
            terminal::say(&format!("{program} {}\n", eartag_server::version::PRODUCT))
        }
    }
}
