//! `token delete`: forgets cached tokens, as the Rancher CLI does (kubeconfig-and-cli.md §4.4), and revokes them on their server first, which that does not.

use anyhow::bail;
use clap::Args;

use crate::cache::{Cache, Credential, Document};
use crate::login::revoke::revoke;
use crate::login::trust::Server;
use crate::terminal;

/// `token delete`.
#[derive(Args)]
pub struct DeleteArgs {
    /// The tokens' keys, <user>_<cluster>, or all.
    #[arg(value_name = "KEY", required = true)]
    keys: Vec<String>,
}

/// A token in the cache.
struct Found {
    server: String,
    key: String,
    credential: Credential,
}

pub fn run(args: &DeleteArgs, cache: &Cache) -> anyhow::Result<()> {
    let seen = cache.read();
    for complaint in &seen.complaints {
        terminal::warn(complaint);
    }
    let all: Vec<Found> = seen
        .document
        .credentials()
        .into_iter()
        .map(|(server, key, credential)| Found { server, key, credential })
        .collect();
    if seen.document.servers().next().is_none() {
        terminal::note(&format!("there are no cached tokens in [{}]", cache.shown()));
        return Ok(());
    }
    let found: Vec<&Found> = if args.keys.first().is_some_and(|key| key == "all") {
        terminal::note(&format!("removing cached tokens in [{}]", cache.shown()));
        all.iter().collect()
    } else {
        for key in &args.keys {
            terminal::note(&format!("removing [{key}]"));
            if !all.iter().any(|found| found.key == *key) {
                terminal::note(&format!("there is no cached token [{key}]"));
            }
        }
        all.iter().filter(|found| args.keys.contains(&found.key)).collect()
    };
    delete(&found, cache, &seen.document)
}

/// Whatever the servers say, the cache is empty of them afterwards.
fn delete(found: &[&Found], cache: &Cache, known: &Document) -> anyhow::Result<()> {
    let mut alive = Vec::new();
    for Found { server, key, credential } in found {
        if let Err(error) = tell(server, credential, known) {
            terminal::warn(&format!("the token [{key}] was not revoked: {error}"));
            alive.push(key.as_str());
        }
    }
    if !found.is_empty() {
        cache.change(|document| {
            for Found { server, key, .. } in found {
                document.forget_credential(server, key);
            }
        })?;
    }
    match alive.len() {
        0 => Ok(()),
        alive => {
            bail!("{alive} of {} tokens left the cache, but may still be good on their server", found.len())
        }
    }
}

fn tell(server: &str, credential: &Credential, known: &Document) -> anyhow::Result<()> {
    let server = Server::of_credential(server, credential, known)?;
    Ok(revoke(server.target(), &credential.token)?)
}
