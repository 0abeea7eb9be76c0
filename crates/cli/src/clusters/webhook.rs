//! `cluster webhook-config`: what a kube-apiserver needs to ask this server about tokens.

use std::path::PathBuf;

use clap::Args;
use eartag_api::secret::SecretText;
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::client::{Client, Route};
use crate::connection::Connection;
use crate::kubeconfigs::{with_newline, write};
use crate::terminal;

/// `cluster webhook-config`.
#[derive(Args)]
pub struct WebhookArgs {
    #[command(flatten)]
    pub(super) connection: Connection,

    /// The cluster's id.
    #[arg(value_name = "ID")]
    id: String,

    /// Write the kubeconfig to this file (0600), which replaces what is there, instead of printing it.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Generated {
    config: SecretText,
}

pub fn run(args: &WebhookArgs, client: &Client) -> anyhow::Result<()> {
    let route = Route::new("/v3/clusters").item(&args.id).query("action", "generateWebhookConfig");
    let generated = client.post::<Generated>(&route, &json!({}))?;
    for warning in &generated.warnings {
        terminal::warn(warning);
    }
    let config = generated.body.config;
    let file = match &args.output {
        Some(file) => {
            write(file, config.expose())?;
            std::path::absolute(file).unwrap_or_else(|_| file.clone()).display().to_string()
        }
        None => {
            terminal::say(&Zeroizing::new(with_newline(config.expose())))?;
            "FILE".to_owned()
        }
    };
    // With no cache of the webhook's own, a revoked token is refused when the kube-apiserver's cache of ten seconds forgets it.
    terminal::note(&format!(
        "Put the kubeconfig where the cluster's kube-apiserver can read it, and give that these flags:\n\
         \x20 --authentication-token-webhook-config-file={file}\n\
         \x20 --authentication-token-webhook-version=v1\n\
         \x20 --authentication-token-webhook-cache-ttl=0s"
    ));
    Ok(())
}
