//! `eartag system-token`: the tokens that a system makes for itself (DEC34), as `tokens.management.cattle.io`.

use std::io::IsTerminal;

use anyhow::bail;
use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser as _;
use clap::{Args, Subcommand};
use eartag_api::secret::SecretText;
use eartag_core::duration::age;
use eartag_core::time::parse_rfc3339;
use eartag_core::token::SystemKind;
use eartag_server::clock::SystemClock;
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::client::duration::Ttl;
use crate::client::output::{self, Format, Look, Table};
use crate::client::{Client, ClientError, Route};
use crate::connection::Connection;
use crate::program::Invocation;
use crate::terminal;

const TOKENS: &str = "/apis/management.cattle.io/v3/tokens";
const USERS: &str = "/apis/management.cattle.io/v3/users";
const RESOURCE: &str = "token.management.cattle.io";
const KIND_LABEL: &str = "authn.management.cattle.io/kind";
const OWNER_LABEL: &str = "authn.management.cattle.io/token-userId";

/// What to do with system tokens.
#[derive(Subcommand)]
pub enum SystemTokenCommand {
    /// Make a token of one of the system's kinds and print it, this one time.
    ///
    /// Standard output gets the token and nothing else, so that it can be piped into where it is needed. Without --ttl the token never expires, whatever
    /// auth-token-max-ttl-minutes says: these kinds are the only ones that may.
    Create(CreateArgs),
    /// List the system's tokens.
    List(ListArgs),
    /// Delete system tokens: they are refused from then on.
    Delete(DeleteArgs),
}

/// `eartag system-token create`.
#[derive(Args)]
pub struct CreateArgs {
    #[command(flatten)]
    connection: Connection,

    /// What the token is for; its name begins accordingly.
    #[arg(long, value_name = "KIND", value_parser = kind())]
    kind: SystemKind,

    /// The user whom the token is to belong to, by id or login name.
    #[arg(long, value_name = "USER")]
    user: String,

    /// The token's name, beginning as names of its kind do; otherwise the server chooses one.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// How long the token is to live, such as 90m, 12h or 30d; 0, or no --ttl, means for ever.
    #[arg(long, value_name = "DURATION")]
    ttl: Option<Ttl>,

    /// The cluster to which the token is to be restricted.
    #[arg(long, value_name = "ID")]
    cluster: Option<String>,

    /// What people should know about it.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
}

/// `eartag system-token list`.
#[derive(Args)]
pub struct ListArgs {
    #[command(flatten)]
    connection: Connection,

    /// Only tokens of this kind.
    #[arg(long, value_name = "KIND", value_parser = kind())]
    kind: Option<SystemKind>,

    /// Only tokens of this user, by id or login name.
    #[arg(long, value_name = "USER")]
    user: Option<String>,

    /// How to show them.
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// `eartag system-token delete`.
#[derive(Args)]
pub struct DeleteArgs {
    #[command(flatten)]
    connection: Connection,

    /// The tokens' names.
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
}

fn kind() -> impl clap::builder::TypedValueParser<Value = SystemKind> {
    PossibleValuesParser::new(SystemKind::ALL.map(SystemKind::name))
        .try_map(|name| SystemKind::parse(&name).ok_or("not a kind of system token"))
}

/// Runs `eartag system-token`.
pub fn run(command: &SystemTokenCommand, invocation: &Invocation) -> anyhow::Result<()> {
    match command {
        SystemTokenCommand::Create(args) => create(args, &args.connection.client(invocation)?),
        SystemTokenCommand::List(args) => list(args, &args.connection.client(invocation)?),
        SystemTokenCommand::Delete(args) => delete(args, &args.connection.client(invocation)?),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Created {
    metadata: Name,
    token: Option<SecretText>,
    #[serde(default)]
    expires_at: String,
    #[serde(default)]
    user_id: String,
}

#[derive(Deserialize)]
struct Name {
    name: String,
}

fn create(args: &CreateArgs, client: &Client) -> anyhow::Result<()> {
    let mut body = json!({
        "apiVersion": "management.cattle.io/v3",
        "kind": "Token",
        "metadata": {"labels": {KIND_LABEL: args.kind.name()}},
        "userId": user_id(client, &args.user)?,
    });
    let optional = [
        ("/metadata/name", args.name.clone().map(Value::from)),
        ("/ttl", args.ttl.map(|ttl| Value::from(ttl.0))),
        ("/clusterName", args.cluster.clone().map(Value::from)),
        ("/description", args.description.clone().map(Value::from)),
    ];
    for (place, value) in optional {
        let (parent, member) = place.rsplit_once('/').unwrap_or_default();
        if let (Some(value), Some(Value::Object(members))) = (value, body.pointer_mut(parent)) {
            members.insert(member.to_owned(), value);
        }
    }
    let created = client.post::<Created>(&Route::new(TOKENS), &body)?;
    for warning in &created.warnings {
        terminal::warn(warning);
    }
    let token = created.body;
    let name = output::plain(&token.metadata.name);
    let Some(secret) = token.token else {
        bail!("the server made the token {name} and did not show its value: delete it")
    };
    let shown_to_a_person = std::io::stdout().is_terminal();
    if shown_to_a_person {
        let ends = if token.expires_at.is_empty() {
            "never expires".to_owned()
        } else {
            format!("expires {}", token.expires_at)
        };
        let user = output::plain(&token.user_id);
        terminal::note(&format!(
            "The token {name} of {user}, which {}. Its value is shown only this once:",
            output::plain(&ends)
        ));
    }
    terminal::say(&Zeroizing::new(format!("{}\n", secret.expose())))
}

fn list(args: &ListArgs, client: &Client) -> anyhow::Result<()> {
    let mut selector = match args.kind {
        Some(kind) => format!("{KIND_LABEL}={}", kind.name()),
        None => format!("{KIND_LABEL} in ({})", SystemKind::ALL.map(SystemKind::name).join(",")),
    };
    if let Some(user) = &args.user {
        selector.push_str(&format!(",{OWNER_LABEL}={}", user_id(client, user)?));
    }
    let tokens: Vec<Value> = client.list(&Route::new(TOKENS).query("labelSelector", &selector))?;
    if let Some(text) = output::objects(&tokens, RESOURCE, args.output) {
        return terminal::say(&text);
    }
    if tokens.is_empty() {
        terminal::note("There are no such tokens.");
        return Ok(());
    }
    terminal::say(&table(&tokens, SystemClock.now().wall_ms).render(Look::of_stdout()))
}

fn table(tokens: &[Value], now_ms: u64) -> Table {
    let mut table =
        Table::new(&["NAME", "KIND", "USER", "CLUSTER", "EXPIRES", "LAST USED", "AGE", "DESCRIPTION"]);
    for token in tokens {
        let text = |pointer: &str| token.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let since = |pointer: &str| parse_rfc3339(text(pointer)).map(|at_s| age(now_ms, at_s));
        let flag = |name: &str| token.get(name).and_then(Value::as_bool);
        let expired = flag("expired") == Some(true);
        let expires = match text("/expiresAt") {
            _ if expired => "expired",
            "" => "never",
            at => at,
        };
        let used = since("/lastUsedAt").map(|ago| format!("{ago} ago")).unwrap_or_default();
        let made = since("/metadata/creationTimestamp").unwrap_or_default();
        let kind = token
            .pointer("/metadata/labels")
            .and_then(|labels| labels.get(KIND_LABEL))
            .and_then(Value::as_str);
        let cells = [
            text("/metadata/name"),
            kind.unwrap_or_default(),
            text("/userId"),
            text("/clusterName"),
            expires,
            &used,
            &made,
            text("/description"),
        ];
        table.row(&cells, expired || flag("enabled") == Some(false));
    }
    table
}

/// Deletes what it can; a name that fails does not keep the others.
fn delete(args: &DeleteArgs, client: &Client) -> anyhow::Result<()> {
    let mut failed = Vec::new();
    for name in &args.names {
        match delete_one(client, name) {
            Ok(()) => terminal::say(&format!("{RESOURCE} {name:?} deleted\n"))?,
            Err(error) => failed.push(error),
        }
    }
    terminal::all_done(failed, args.names.len(), "tokens were not deleted")
}

#[derive(Deserialize)]
struct Seen {
    metadata: SeenMeta,
}

#[derive(Deserialize)]
struct SeenMeta {
    #[serde(default)]
    uid: String,
    #[serde(default)]
    labels: std::collections::BTreeMap<String, String>,
}

/// Deletes exactly the token that was looked at, and only if it is one of the system's.
fn delete_one(client: &Client, name: &str) -> anyhow::Result<()> {
    let route = Route::new(TOKENS).item(name);
    let seen: Seen = client.get(&route)?.body;
    if seen.metadata.labels.get(KIND_LABEL).and_then(|kind| SystemKind::parse(kind)).is_none() {
        bail!(
            "{name:?} is not a system token: delete it with kubectl delete tokens.management.cattle.io, or at /v3/tokens"
        );
    }
    let options =
        json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": seen.metadata.uid}});
    client.delete::<serde::de::IgnoredAny>(&route, &options)?;
    Ok(())
}

#[derive(Deserialize)]
struct User {
    metadata: Name,
    #[serde(default)]
    username: String,
}

/// The user's id, of an id or a login name. Who may not look is taken at their word: the server decides anyway.
fn user_id(client: &Client, given: &str) -> anyhow::Result<String> {
    let users = Route::new(USERS);
    match client.get::<User>(&users.item(given)) {
        Ok(user) => return Ok(user.body.metadata.name),
        Err(error) if error.status() == Some(403) => return Ok(given.to_owned()),
        Err(error) if error.status() != Some(404) => return Err(error.into()),
        Err(_) => {}
    }
    let all: Vec<User> = match client.list(&users) {
        Err(ClientError::Refused { status: 403, .. }) => return Ok(given.to_owned()),
        all => all?,
    };
    let mut named = all.into_iter().filter(|user| user.username == given);
    match (named.next(), named.next()) {
        (Some(user), None) => Ok(user.metadata.name),
        (Some(_), Some(_)) => bail!("several users have the login name {given:?}: give the id of one"),
        (None, _) => bail!("there is no user {given:?}, neither by id nor by login name"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn a_table_says_what_matters_about_a_token() {
        let token = |expired: bool, expires_at: &str| {
            json!({
                "metadata": {"name": "agent-user-1abcde", "creationTimestamp": "2026-03-02T09:15:04Z",
                    "labels": {KIND_LABEL: "agent"}},
                "userId": "user-1", "expired": expired, "expiresAt": expires_at, "enabled": true,
                "lastUsedAt": "2026-03-02T10:15:04Z", "description": "token for agent deployment",
            })
        };
        let tokens =
            [token(false, ""), token(true, "2026-03-02T09:16:04Z"), json!({"metadata": {"name": "odd"}})];
        let text = table(&tokens, 1_772_450_104_000).render(Look::PLAIN);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].starts_with("NAME                KIND    USER     CLUSTER   EXPIRES"), "{text}");
        assert!(
            lines[1].contains("agent   user-1   -         never") && lines[1].contains("60m ago     120m"),
            "{text}"
        );
        assert!(lines[2].contains("expired") && lines[3].starts_with("odd "), "{text}");
    }
}
