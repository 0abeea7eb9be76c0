//! `tokens`: one's own tokens, as `tokens.ext.cattle.io` (ext-token.md).

use std::io::IsTerminal;

use anyhow::bail;
use clap::{Args, Subcommand};
use eartag_core::duration::age;
use eartag_core::time::parse_rfc3339;
use eartag_server::clock::SystemClock;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::client::duration::Ttl;
use crate::client::output::{self, Format, Look, Table};
use crate::client::{Client, Route};
use crate::connection::Connection;
use crate::program::Invocation;
use crate::terminal;

const TOKENS: &str = "/apis/ext.cattle.io/v1/tokens";
const RESOURCE: &str = "token.ext.cattle.io";

/// What to do with tokens.
#[derive(Subcommand)]
pub enum TokensCommand {
    /// List tokens.
    List(ListArgs),
    /// Make a token and print it, this one time.
    ///
    /// Standard output gets the token and nothing else, so that it can be piped into where it is needed.
    Create(CreateArgs),
    /// Revoke tokens: they are refused from then on.
    Revoke(RevokeArgs),
}

/// `tokens list`.
#[derive(Args)]
pub struct ListArgs {
    #[command(flatten)]
    connection: Connection,

    /// How to show them.
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// `tokens create`.
#[derive(Args)]
pub struct CreateArgs {
    #[command(flatten)]
    connection: Connection,

    /// How long the token is to live, such as 90m, 12h or 30d; 0 means for ever. Otherwise, and at most, as long as the server allows.
    #[arg(long, value_name = "DURATION")]
    ttl: Option<Ttl>,

    /// What people should know about it.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,

    /// The cluster to which the token is to be restricted.
    #[arg(long, value_name = "ID")]
    cluster: Option<String>,

    /// How to show it: as the bare token, or as the object in which the server shows it once.
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// `tokens revoke`.
#[derive(Args)]
pub struct RevokeArgs {
    #[command(flatten)]
    connection: Connection,

    /// The tokens' names.
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
}

/// Runs `tokens`.
pub fn run(command: &TokensCommand, invocation: &Invocation) -> anyhow::Result<()> {
    match command {
        TokensCommand::List(args) => list(args, &args.connection.client(invocation)?),
        TokensCommand::Create(args) => create(args, &args.connection.client(invocation)?),
        TokensCommand::Revoke(args) => revoke(args, &args.connection.client(invocation)?),
    }
}

fn list(args: &ListArgs, client: &Client) -> anyhow::Result<()> {
    let tokens: Vec<Value> = client.list(&Route::new(TOKENS))?;
    if let Some(text) = output::objects(&tokens, RESOURCE, args.output) {
        return terminal::say(&text);
    }
    if tokens.is_empty() {
        terminal::note("There are no tokens.");
        return Ok(());
    }
    terminal::say(&table(&tokens, SystemClock.now().wall_ms).render(Look::of_stdout()))
}

fn table(tokens: &[Value], now_ms: u64) -> Table {
    let columns = ["NAME", "KIND", "USER", "CLUSTER", "EXPIRES", "LAST USED", "AGE", "DESCRIPTION"];
    let mut table = Table::new(&columns);
    for token in tokens {
        let text = |pointer: &str| token.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let flag = |pointer: &str| token.pointer(pointer).and_then(Value::as_bool);
        let since = |pointer: &str| parse_rfc3339(text(pointer)).map(|at_s| age(now_ms, at_s));
        let expired = flag("/status/expired") == Some(true);
        let expires = match text("/status/expiresAt") {
            _ if expired => "expired",
            "" => "never",
            at => at,
        };
        let current = if flag("/status/current") == Some(true) { " (this one)" } else { "" };
        let used = since("/status/lastUsedAt").map(|ago| format!("{ago} ago")).unwrap_or_default();
        let cells = [
            &format!("{}{current}", text("/metadata/name")),
            text("/spec/kind"),
            text("/spec/userID"),
            text("/spec/clusterName"),
            expires,
            &used,
            &since("/metadata/creationTimestamp").unwrap_or_default(),
            text("/spec/description"),
        ];
        table.row(&cells, expired || flag("/spec/enabled") == Some(false));
    }
    table
}

fn create(args: &CreateArgs, client: &Client) -> anyhow::Result<()> {
    let mut spec = serde_json::Map::new();
    if let Some(ttl) = args.ttl {
        // Here 0 is "as long as is allowed", and below it "for ever" (DEC3).
        spec.insert("ttl".into(), if ttl.0 == 0 { -1 } else { ttl.0 }.into());
    }
    for (member, value) in [("description", &args.description), ("clusterName", &args.cluster)] {
        if let Some(value) = value {
            spec.insert(member.into(), value.as_str().into());
        }
    }
    let body = json!({"apiVersion": "ext.cattle.io/v1", "kind": "Token", "spec": spec});
    let created = client.post::<Value>(&Route::new(TOKENS), &body)?;
    for warning in &created.warnings {
        terminal::warn(warning);
    }
    let text = |pointer: &str| created.body.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let name = output::plain(text("/metadata/name"));
    match args.output {
        Format::Json | Format::Yaml => {
            return terminal::say(&Zeroizing::new(output::object(&created.body, args.output)));
        }
        // Whoever wants the name alone would lose the token.
        Format::Name => terminal::note(&format!("{RESOURCE}/{name}")),
        Format::Table => {}
    }
    let bearer = text("/status/bearerToken");
    if bearer.is_empty() {
        bail!("the server made the token {name} and did not show its value: revoke it")
    }
    if std::io::stdout().is_terminal() {
        let ends = match text("/status/expiresAt") {
            "" => "never expires".to_owned(),
            at => format!("expires {}", output::plain(at)),
        };
        terminal::note(&format!("The token {name}, which {ends}. Its value is shown only this once:"));
    }
    terminal::say(&Zeroizing::new(format!("{bearer}\n")))
}

/// Revokes what it can; a name that fails does not keep the others.
fn revoke(args: &RevokeArgs, client: &Client) -> anyhow::Result<()> {
    let mut failed = Vec::new();
    for given in &args.names {
        // As people copy it from the front of a token.
        let name = given.strip_prefix("ext/").unwrap_or(given);
        match client.delete::<IgnoredAny>(&Route::new(TOKENS).item(name), &json!({})) {
            Ok(_) => terminal::say(&format!("{RESOURCE} {name:?} revoked\n"))?,
            Err(error) => failed.push(error),
        }
    }
    terminal::all_done(failed, args.names.len(), "tokens were not revoked")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn a_table_says_what_matters_about_a_token() {
        let tokens = [
            json!({
                "metadata": {"name": "token-abcde", "creationTimestamp": "2026-03-02T09:15:04Z"},
                "spec": {"userID": "user-1", "description": "ci", "kind": "session"},
                "status": {"expiresAt": "2026-06-02T09:15:04Z", "current": true, "lastUsedAt": "2026-03-02T10:15:04Z"},
            }),
            json!({"metadata": {"name": "odd"}, "status": {"expired": true}}),
        ];
        let text = table(&tokens, 1_772_450_104_000).render(Look::PLAIN);
        let lines: Vec<_> = text.lines().collect();
        assert!(
            lines[1]
                .starts_with("token-abcde (this one)   session   user-1   -         2026-06-02T09:15:04Z"),
            "{text}"
        );
        assert!(lines[1].ends_with("60m ago     120m   ci") && lines[2].contains("expired"), "{text}");
    }
}
