//! `token`: the program that kubeconfigs name, which hands kubectl a token (kubeconfig-and-cli.md §4.2, §4.3, §5; DEC43).
//!
//! ```text
//! kubectl ──KUBERNETES_EXEC_INFO──→ token ──→ cache: a token that is not over, and that the server still knows ──→ answer
//!                                     │ none
//!                                     └──→ one at a time: somebody else has just got one? ──→ name and password ──→ cache ──→ answer
//! ```
//!
//! Standard output carries the answer and nothing else; questions and notices go to standard error. Without a token the exit code is not 0. Nothing waits for ever.

mod delete;
mod exec;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use eartag_core::time::parse_rfc3339;
use eartag_server::clock::SystemClock;
use secrecy::ExposeSecret;
use serde::de::IgnoredAny;
use zeroize::Zeroizing;

use self::delete::DeleteArgs;
use self::exec::Caller;
use crate::ask::Person;
use crate::cache::{Cache, CacheError, Credential, Lock, LockError, exec_credential};
use crate::client::kubeconfig::{Login, Target};
use crate::client::{Client, ClientError, Route};
use crate::login::credentials::{Asked, PasswordFrom};
use crate::login::sign_in::{Providers, sign_in};
use crate::login::trust::{Said, Server};
use crate::program::Invocation;
use crate::terminal;

/// A token that ends sooner is replaced while there is still time.
const MARGIN_S: i64 = 60;
/// How long the server may take to say whether it still knows a token. It is a question of comfort: kubectl will find out too.
const CHECK: Duration = Duration::from_secs(3);
/// How long another command may take to get the same token, with a person in front of it and without.
const PATIENCE: Duration = Duration::from_secs(180);
const IMPATIENCE: Duration = Duration::from_secs(10);

/// `token`.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct TokenCommand {
    #[command(subcommand)]
    other: Option<Other>,

    #[command(flatten)]
    get: GetArgs,
}

#[derive(Subcommand)]
enum Other {
    /// Delete cached tokens, and revoke them on their server.
    Delete(DeleteArgs),
}

/// `token` without a further command.
#[derive(Args)]
struct GetArgs {
    /// The server, as HOST[:PORT], with or without https://.
    #[arg(long, value_name = "SERVER", required = true)]
    server: Option<String>,

    /// The user's name in the kubeconfig: what the token is kept under, and what is suggested as the login name.
    #[arg(long, value_name = "NAME", required = true)]
    user: Option<String>,

    /// The cluster to which the token is to be restricted.
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    cluster: String,

    /// The type of the provider to log in with, such as localProvider.
    #[arg(long, value_name = "TYPE")]
    auth_provider: Option<String>,

    /// Taken for kubeconfigs that say it. No provider that needs it is supported.
    #[arg(long, value_name = "FLOW", value_parser = PossibleValuesParser::new(["devicecode", "authcode"]), hide = true)]
    auth_flow: Option<String>,

    /// The authorities (PEM) that may speak for the server.
    #[arg(long, value_name = "FILE")]
    cacerts: Option<PathBuf>,

    /// Taken for kubeconfigs that say it, and not obeyed: a password is only sent to a server that is trusted.
    #[arg(long, hide = true)]
    skip_verify: bool,

    /// The login name, so that it is not asked for.
    #[arg(long, value_name = "NAME")]
    username: Option<String>,

    #[command(flatten)]
    password: PasswordFrom,

    /// Show the token also on a terminal.
    #[arg(long)]
    show: bool,
}

/// Runs `token`.
pub fn run(command: &TokenCommand, invocation: &Invocation) -> anyhow::Result<()> {
    match &command.other {
        Some(Other::Delete(args)) => delete::run(args, &invocation.cache()),
        None => get(&command.get, invocation),
    }
}

fn get(args: &GetArgs, invocation: &Invocation) -> anyhow::Result<()> {
    let caller = Caller::of_process()?;
    let (server, user) =
        (args.server.as_deref().unwrap_or_default(), args.user.as_deref().unwrap_or_default());
    if user.is_empty() {
        bail!("user-id is required");
    }
    if args.skip_verify {
        terminal::warn("--skip-verify is not obeyed: the server's certificate is checked all the same");
    }
    let cache = invocation.cache();
    let seen = cache.read();
    for complaint in &seen.complaints {
        terminal::warn(complaint);
    }
    let said = Said { cacerts: args.cacerts.as_ref(), cluster: caller.cluster.as_ref() };
    let place = Server::find(server, server, &said, &seen.document)?;
    let mut want = Want {
        args,
        invocation,
        cache: &cache,
        key: format!("{user}_{}", args.cluster),
        server: place,
        // What reads a password from standard input cannot also ask there.
        person: if args.password.password_stdin || !caller.interactive { None } else { Person::at_stdin() },
        has_password: args.password.is_given(),
    };
    let credential = want.credential()?;
    answer(&credential, &caller, args.show)
}

/// A token that is wanted.
struct Want<'a> {
    args: &'a GetArgs,
    invocation: &'a Invocation,
    cache: &'a Cache,
    key: String,
    server: Server,
    person: Option<Person>,
    has_password: bool,
}

/// What a cached token is worth.
enum Cached {
    /// It can be used.
    Good(Credential),
    /// It ends soon.
    EndsSoon(Credential),
    /// There is none.
    None,
}

impl Want<'_> {
    fn credential(&mut self) -> anyhow::Result<Credential> {
        let last_resort = match self.cached() {
            Cached::Good(credential) => return Ok(credential),
            Cached::EndsSoon(credential) => Some(credential),
            Cached::None => None,
        };
        if self.person.is_none() && !self.has_password && last_resort.is_some() {
            return last_resort.ok_or_else(|| self.nobody());
        }
        match self.log_in_alone() {
            Err(error) => match last_resort {
                Some(credential) => {
                    terminal::warn(&format!("the token ends soon and could not be replaced: {error}"));
                    Ok(credential)
                }
                None => Err(error),
            },
            got => got,
        }
    }

    /// Logs in, unless somebody else just does and gets the token for both.
    fn log_in_alone(&mut self) -> anyhow::Result<Credential> {
        let can_log_in = self.person.is_some() || self.has_password;
        let patience = if can_log_in { PATIENCE } else { IMPATIENCE };
        let turn = self.turn(patience)?;
        if turn.as_ref().is_some_and(Lock::waited)
            && let Cached::Good(credential) = self.cached()
        {
            return Ok(credential);
        }
        if !can_log_in {
            return Err(self.nobody());
        }
        let credential = Credential { authority: self.server.named_authority(), ..self.log_in()? };
        let kept =
            self.cache.change(|document| document.put_credential(&self.server.name, &self.key, &credential));
        if let Err(error) = kept {
            terminal::warn(&format!("the token is not kept, so the next command asks again: {error}"));
        }
        Ok(credential)
    }

    /// `None` where locks cannot be made: then nothing can be kept either, and everybody is on their own.
    fn turn(&self, patience: Duration) -> anyhow::Result<Option<Lock>> {
        let quickly = self.cache.turn(&self.server.name, &self.key, Duration::ZERO);
        if !matches!(quickly, Err(CacheError::Lock(LockError::Busy(..)))) {
            return Ok(quickly.ok());
        }
        terminal::note("Another command is getting this token: waiting for it.");
        match self.cache.turn(&self.server.name, &self.key, patience) {
            Ok(turn) => Ok(Some(turn)),
            Err(error @ CacheError::Lock(LockError::Busy(..))) => {
                bail!("another command is still asking for the password: {error}")
            }
            Err(_) => Ok(None),
        }
    }

    fn log_in(&mut self) -> anyhow::Result<Credential> {
        let password = self.args.password.read()?;
        let person = self.person.as_ref();
        let providers = self.server.with(self.cache, person, Login::None, Providers::of)?;
        let provider = providers.pick(self.args.auth_provider.as_deref(), person)?;
        let asked = Asked {
            username: self.args.username.as_deref(),
            suggested: self.args.user.as_deref(),
            password: password.as_ref(),
            person,
        };
        let form = match self.args.cluster.as_str() {
            "" => "kubeconfig".to_owned(),
            cluster => format!("kubeconfig_{cluster}"),
        };
        let client = Client::new(self.server.target())?;
        sign_in(&client, &providers, provider, &form, &asked)
    }

    /// What is in the cache. A token that the server refuses is forgotten.
    fn cached(&self) -> Cached {
        let Some(credential) = self.cache.read().document.credential(&self.server.name, &self.key) else {
            return Cached::None;
        };
        let left_s = left_s(&credential, SystemClock.now().wall_ms);
        if left_s.is_some_and(|left| left <= 0) {
            return Cached::None;
        }
        if self.is_refused(&credential) {
            terminal::note("The server does not accept the cached token any more.");
            let refused = credential.token.expose_secret();
            let _ = self.cache.change(|document| {
                // Somebody else may have put a better one there meanwhile.
                let kept = document.credential(&self.server.name, &self.key);
                if kept.is_some_and(|kept| kept.token.expose_secret() == refused) {
                    document.forget_credential(&self.server.name, &self.key);
                }
            });
            return Cached::None;
        }
        if left_s.is_some_and(|left| left <= MARGIN_S) {
            return Cached::EndsSoon(credential);
        }
        Cached::Good(credential)
    }

    /// Whether the server says that it does not accept the token. A server that says nothing has not said that: the token may be for a cluster that can be
    /// reached without it.
    fn is_refused(&self, credential: &Credential) -> bool {
        // Where a token that is restricted to a cluster is good, and each other one too.
        let route = match self.args.cluster.as_str() {
            "" => {
                let name = credential.token.expose_secret().split(':').next().unwrap_or_default();
                match name.strip_prefix("ext/") {
                    Some(name) => Route::new("/apis/ext.cattle.io/v1/tokens").item(name),
                    None => Route::new("/v3/tokens").item(name),
                }
            }
            cluster => Route::new("/v3/clusters").item(cluster),
        };
        let target = Target { login: Login::Bearer(credential.token.clone()), ..self.server.target() };
        let asked = Client::within(target, CHECK).and_then(|client| client.get::<IgnoredAny>(&route));
        matches!(asked, Err(ClientError::Refused { status: 401, .. }))
    }

    fn nobody(&self) -> anyhow::Error {
        let args = self.args;
        let program = self.invocation.program.name();
        let cluster =
            if args.cluster.is_empty() { String::new() } else { format!(" --cluster={}", args.cluster) };
        anyhow::anyhow!(
            "there is no valid token for {} at {}, and nobody can be asked for a password here: run {program} token --server={} --user={}{cluster} \
             in a terminal first, or give it --password-stdin or --password-fd",
            self.key,
            self.server.url,
            self.server.name,
            args.user.as_deref().unwrap_or_default(),
        )
    }
}

/// How long a token is good for, in seconds; `None` for ever. An end that cannot be read is one that is over.
fn left_s(credential: &Credential, now_ms: u64) -> Option<i64> {
    let expires = credential.expires.as_deref()?;
    let now_s = eartag_core::time::seconds(now_ms);
    Some(parse_rfc3339(expires).map_or(0, |end| end.saturating_sub(now_s)))
}

/// Hands the token over: to a program always, to a terminal only if somebody wants to see it there.
fn answer(credential: &Credential, caller: &Caller, show: bool) -> anyhow::Result<()> {
    if std::io::stdout().is_terminal() && !show {
        let until = credential.expires.as_deref().map(|time| format!(" until {time}")).unwrap_or_default();
        terminal::note(&format!(
            "There is a token, good{until}. It is not shown on a terminal; --show shows it."
        ));
        return Ok(());
    }
    let answer = exec_credential(caller.version, credential);
    terminal::say(&Zeroizing::new(format!("{answer}\n")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use secrecy::SecretString;

    use super::*;

    #[test]
    fn what_is_left_of_a_token_is_counted_and_an_unreadable_end_is_over() {
        let left = |expires: Option<&str>| {
            let credential = Credential {
                token: SecretString::from("t:s"),
                expires: expires.map(str::to_owned),
                authority: None,
            };
            left_s(&credential, 1_772_450_104_000)
        };
        assert_eq!(left(None), None);
        assert_eq!(left(Some("2026-03-02T11:16:04Z")), Some(1_772_450_164 - 1_772_450_104));
        assert_eq!(left(Some("2026-03-02T11:15:03Z")), Some(-1));
        assert_eq!(left(Some("soon")), Some(0));
    }
}
