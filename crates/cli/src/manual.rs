//! `completions` and `man`: the command line, described for shells and for `man`.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Command};
use clap_complete::Shell;
use eartag_server::version::PRODUCT;

use crate::args;
use crate::program::Invocation;
use crate::terminal;

/// `completions`.
#[derive(Args)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_name = "SHELL", value_enum)]
    shell: Shell,
}

/// `man`.
#[derive(Args)]
pub struct ManArgs {
    /// Write a page for each command to this directory, instead of printing the first page.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Runs `completions`.
pub fn completions(args: &CompletionsArgs, invocation: &Invocation) -> anyhow::Result<()> {
    let mut script = Vec::new();
    let name = invocation.program.name();
    clap_complete::generate(args.shell, &mut args::command(invocation.program), name, &mut script);
    terminal::say(&String::from_utf8(script)?)
}

/// Runs `man`.
pub fn man(args: &ManArgs, invocation: &Invocation) -> anyhow::Result<()> {
    let mut command = args::command(invocation.program);
    command.build();
    let Some(dir) = &args.dir else { return terminal::say(&page(command)?) };
    std::fs::create_dir_all(dir)
        .with_context(|| format!("the directory {} cannot be made", dir.display()))?;
    let mut pages = 0;
    // A stack of its own: commands are only a few levels deep, but nothing says so.
    let mut left = vec![command];
    while let Some(command) = left.pop() {
        left.extend(command.get_subcommands().filter(|sub| !sub.is_hide_set()).cloned());
        let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
        let file = dir.join(format!("{name}.1"));
        std::fs::write(&file, page(command)?)
            .with_context(|| format!("{} cannot be written", file.display()))?;
        pages += 1;
    }
    terminal::note(&format!("{pages} pages are in {}.", dir.display()));
    Ok(())
}

fn page(command: Command) -> anyhow::Result<String> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command).source(format!("Eartag {PRODUCT}")).manual("Eartag").render(&mut page)?;
    Ok(String::from_utf8(page)?)
}
