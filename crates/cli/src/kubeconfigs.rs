//! `kubeconfig get`: a kubeconfig with tokens, as `kubeconfigs.ext.cattle.io` makes them (kubeconfig-and-cli.md §1).

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::{Args, Subcommand};
use eartag_api::secret::SecretText;
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::client::Route;
use crate::client::duration::Ttl;
use crate::client::output::plain;
use crate::connection::Connection;
use crate::program::Invocation;
use crate::terminal;

/// What to do with kubeconfigs.
#[derive(Subcommand)]
pub enum KubeconfigCommand {
    /// Make a kubeconfig for clusters and print it, this one time.
    Get(GetArgs),
}

/// `kubeconfig get`.
#[derive(Args)]
pub struct GetArgs {
    #[command(flatten)]
    connection: Connection,

    /// The clusters' ids; the first one becomes the current context.
    #[arg(value_name = "CLUSTER", required_unless_present = "all", conflicts_with = "all")]
    clusters: Vec<String>,

    /// All clusters that you may use.
    #[arg(long)]
    all: bool,

    /// Write it to this file (0600), which replaces what is there, instead of printing it.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// How long its tokens are to live, such as 12h or 30d; otherwise, and at most, as long as the server says.
    #[arg(long, value_name = "DURATION")]
    ttl: Option<Ttl>,

    /// What people should know about it.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
}

/// Runs `kubeconfig`.
pub fn run(command: &KubeconfigCommand, invocation: &Invocation) -> anyhow::Result<()> {
    match command {
        KubeconfigCommand::Get(args) => get(args, invocation),
    }
}

#[derive(Deserialize)]
struct Created {
    metadata: Name,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
struct Name {
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    value: Option<SecretText>,
}

fn get(args: &GetArgs, invocation: &Invocation) -> anyhow::Result<()> {
    let client = args.connection.client(invocation)?;
    let clusters = if args.all { vec!["*".to_owned()] } else { args.clusters.clone() };
    let mut body = json!({
        "apiVersion": "ext.cattle.io/v1", "kind": "Kubeconfig", "spec": {"clusters": clusters},
    });
    if let Some(Value::Object(spec)) = body.get_mut("spec") {
        if let Some(ttl) = args.ttl {
            spec.insert("ttl".into(), seconds(ttl)?.into());
        }
        if let Some(description) = &args.description {
            spec.insert("description".into(), description.as_str().into());
        }
    }
    let created = client.post::<Created>(&Route::new("/apis/ext.cattle.io/v1/kubeconfigs"), &body)?;
    for warning in &created.warnings {
        terminal::warn(warning);
    }
    let name = plain(&created.body.metadata.name);
    let Some(value) = created.body.status.value else {
        bail!("the server made the kubeconfig {name} and did not show it: delete it")
    };
    match &args.output {
        Some(file) => {
            write(file, value.expose())?;
            terminal::note(&format!("The kubeconfig {name} is in {}: export KUBECONFIG={0}", file.display()));
            Ok(())
        }
        None => terminal::say(&Zeroizing::new(with_newline(value.expose()))),
    }
}

/// Here the server counts in seconds, and 0 would mean "as long as is allowed".
fn seconds(ttl: Ttl) -> anyhow::Result<i64> {
    match ttl.0 {
        0 => bail!(
            "a kubeconfig's tokens cannot be asked to live for ever: leave --ttl out for the longest time"
        ),
        ms if ms < 1000 => bail!("a kubeconfig's tokens live for whole seconds"),
        ms => Ok(ms / 1000),
    }
}

/// Writes a file with secrets in it. What is there already may be a link.
pub fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    let place = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    Ok(eartag_server::files::write_private(&place, Zeroizing::new(with_newline(text)).as_bytes())?)
}

/// As text files end.
pub fn with_newline(text: &str) -> String {
    if text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") }
}
