//! `cluster`: the clusters that a server gives tokens for, as `clusters.management.cattle.io`.

mod add;
mod webhook;

use clap::{Args, Subcommand};
use eartag_core::duration::age;
use eartag_core::time::parse_rfc3339;
use eartag_server::clock::SystemClock;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::client::output::{self, Format, Look, Table};
use crate::client::{Client, Route};
use crate::connection::Connection;
use crate::program::Invocation;
use crate::terminal;

const CLUSTERS: &str = "/apis/management.cattle.io/v3/clusters";
const RESOURCE: &str = "cluster.management.cattle.io";

/// What to do with clusters.
#[derive(Subcommand)]
pub enum ClusterCommand {
    /// List the clusters that you may use.
    List(ListArgs),
    /// Show one cluster.
    Show(ShowArgs),
    /// Register a cluster: where its API server is, and the credential with which it is talked to.
    Add(add::AddArgs),
    /// Remove clusters. Tokens that are restricted to them are removed too; the clusters themselves are not touched.
    Remove(RemoveArgs),
    /// Make a credential with which a cluster may ask whether tokens are good, and print the kubeconfig for its kube-apiserver.
    ///
    /// The kubeconfig goes to standard output or a file, the flags that the kube-apiserver needs to standard error.
    WebhookConfig(webhook::WebhookArgs),
}

/// `cluster list`.
#[derive(Args)]
pub struct ListArgs {
    #[command(flatten)]
    connection: Connection,

    /// How to show them.
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// `cluster show`.
#[derive(Args)]
pub struct ShowArgs {
    #[command(flatten)]
    connection: Connection,

    /// The cluster's id.
    #[arg(value_name = "ID")]
    id: String,

    /// How to show it.
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// `cluster remove`.
#[derive(Args)]
pub struct RemoveArgs {
    #[command(flatten)]
    connection: Connection,

    /// The clusters' ids.
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
}

/// Runs `cluster`.
pub fn run(command: &ClusterCommand, invocation: &Invocation) -> anyhow::Result<()> {
    match command {
        ClusterCommand::List(args) => {
            let clusters: Vec<Value> = args.connection.client(invocation)?.list(&Route::new(CLUSTERS))?;
            show(&clusters, args.output)
        }
        ClusterCommand::Show(args) => {
            let client = args.connection.client(invocation)?;
            let cluster: Value = client.get(&Route::new(CLUSTERS).item(&args.id))?.body;
            match args.output {
                Format::Json | Format::Yaml => terminal::say(&output::object(&cluster, args.output)),
                format => show(&[cluster], format),
            }
        }
        ClusterCommand::Add(args) => add::run(args, &args.connection.client(invocation)?),
        ClusterCommand::Remove(args) => remove(args, &args.connection.client(invocation)?),
        ClusterCommand::WebhookConfig(args) => webhook::run(args, &args.connection.client(invocation)?),
    }
}

fn show(clusters: &[Value], format: Format) -> anyhow::Result<()> {
    if let Some(text) = output::objects(clusters, RESOURCE, format) {
        return terminal::say(&text);
    }
    if clusters.is_empty() {
        terminal::note("There are no clusters.");
        return Ok(());
    }
    terminal::say(&table(clusters, SystemClock.now().wall_ms).render(Look::of_stdout()))
}

fn table(clusters: &[Value], now_ms: u64) -> Table {
    let mut table = Table::new(&["ID", "NAME", "API SERVER", "ENDPOINT", "AGE", "DESCRIPTION"]);
    for cluster in clusters {
        let text = |pointer: &str| cluster.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let endpoint = cluster.pointer("/spec/localClusterAuthEndpoint");
        let nodes = endpoint.and_then(|endpoint| endpoint.get("nodes")?.as_array()).map_or(0, Vec::len);
        let endpoint = match text("/spec/localClusterAuthEndpoint/fqdn") {
            _ if endpoint.and_then(|endpoint| endpoint.get("enabled")?.as_bool()) != Some(true) => {
                String::new()
            }
            "" => format!("{nodes} nodes"),
            fqdn => fqdn.to_owned(),
        };
        let api = match text("/spec/apiEndpoint") {
            "" if cluster.pointer("/spec/internal").and_then(Value::as_bool) == Some(true) => "this server",
            api => api,
        };
        let made = parse_rfc3339(text("/metadata/creationTimestamp")).map(|at_s| age(now_ms, at_s));
        let cells = [
            text("/metadata/name"),
            text("/spec/displayName"),
            api,
            &endpoint,
            &made.unwrap_or_default(),
            text("/spec/description"),
        ];
        table.row(&cells, false);
    }
    table
}

/// Removes what it can; an id that fails does not keep the others.
fn remove(args: &RemoveArgs, client: &Client) -> anyhow::Result<()> {
    let mut failed = Vec::new();
    for id in &args.ids {
        match client.delete::<IgnoredAny>(&Route::new(CLUSTERS).item(id), &json!({})) {
            Ok(_) => terminal::say(&format!("{RESOURCE} {id:?} removed\n"))?,
            Err(error) => failed.push(error),
        }
    }
    terminal::all_done(failed, args.ids.len(), "clusters were not removed")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn a_table_says_what_matters_about_a_cluster() {
        let clusters = [
            json!({"metadata": {"name": "local", "creationTimestamp": "2026-03-02T09:15:04Z"}, "spec": {"internal": true}}),
            json!({"metadata": {"name": "c-1"}, "spec": {"displayName": "one", "apiEndpoint": "https://10.0.0.1:6443",
                "localClusterAuthEndpoint": {"enabled": true, "nodes": [{"hostname": "a"}, {"hostname": "b"}]}}}),
            json!({"metadata": {"name": "c-2"}, "spec": {"localClusterAuthEndpoint": {"enabled": false, "fqdn": "x"}}}),
        ];
        let text = table(&clusters, 1_772_450_104_000).render(Look::PLAIN);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[1].starts_with("local   -      this server             -          120m"), "{text}");
        assert!(lines[2].starts_with("c-1     one    https://10.0.0.1:6443   2 nodes"), "{text}");
        assert!(lines[3].starts_with("c-2     -      -                       -"), "{text}");
    }
}
