//! `login` and `logout`: a session of one's own at a server, for the commands that talk to it.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use secrecy::{ExposeSecret, SecretString};

use super::credentials::{Asked, PasswordFrom, secret_from};
use super::revoke::revoke;
use super::sign_in::{Providers, sign_in};
use super::trust::{Said, Server};
use crate::ask::Person;
use crate::cache::{Cache, Credential, Document, StoredLogin};
use crate::client::Client;
use crate::client::kubeconfig::Login;
use crate::client::output::plain;
use crate::program::Invocation;
use crate::terminal;
use crate::whoami::{Me, whoami};

/// `login`.
#[derive(Args)]
pub struct LoginArgs {
    /// The server, as HOST[:PORT] or https://…; otherwise that of the last login.
    #[arg(value_name = "URL")]
    url: Option<String>,

    /// Log in with this name and a password.
    #[arg(short, long, value_name = "NAME", conflicts_with = "token")]
    username: Option<String>,

    /// Use this token, NAME:SECRET, instead of a password; - reads it from standard input, where nobody else on this machine sees it.
    #[arg(short, long, value_name = "TOKEN", conflicts_with_all = ["password_stdin", "password_fd", "auth_provider"], value_parser = secret)]
    token: Option<SecretString>,

    #[command(flatten)]
    password: PasswordFrom,

    /// The type of the provider to log in with, such as localProvider.
    #[arg(long, value_name = "TYPE")]
    auth_provider: Option<String>,

    /// What to call the login; otherwise it is called like the server's host and port.
    #[arg(short, long, value_name = "NAME")]
    name: Option<String>,

    /// The authorities (PEM) that may speak for the server. They are remembered.
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
}

/// `logout`.
#[derive(Args)]
pub struct LogoutArgs {
    /// The login's name; otherwise the last one.
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

fn secret(text: &str) -> Result<SecretString, std::convert::Infallible> {
    Ok(SecretString::from(text))
}

/// Runs `login`.
pub fn log_in(args: &LoginArgs, invocation: &Invocation) -> anyhow::Result<()> {
    let cache = invocation.cache();
    let seen = cache.read();
    for complaint in &seen.complaints {
        terminal::warn(complaint);
    }
    let known = seen.document;
    let (name, typed) = place(args, &known)?;
    let said = Said { cacerts: args.cacert.as_ref(), cluster: None };
    let mut server = Server::find(&name, &typed, &said, &known)?;
    let token = match &args.token {
        Some(token) if token.expose_secret() == "-" => Some(secret_from(0, "token")?),
        token => token.clone(),
    };
    let reads_stdin = args.password.password_stdin || token.is_some();
    let person = if reads_stdin { None } else { Person::at_stdin() };
    let token = match token {
        Some(token)
            if token.expose_secret().split_once(':').is_none_or(|(a, b)| a.is_empty() || b.is_empty()) =>
        {
            bail!("invalid token: it is NAME:SECRET")
        }
        Some(token) => token,
        None => session(args, &mut server, &cache, person.as_ref())?,
    };
    // It is tried before anything is remembered.
    let me = server.with(&cache, Person::at_stdin().as_ref(), Login::Bearer(token.clone()), whoami)?;
    keep(args, &server, &cache, StoredLogin { url: server.url.clone(), token })?;
    let Me { id, username, .. } = &me;
    let who = if username.is_empty() { plain(id) } else { format!("{} ({})", plain(username), plain(id)) };
    terminal::note(&format!(
        "Logged in at {} as {who}; the login is called {name} and kept in {}.",
        server.url,
        cache.file_shown()
    ));
    Ok(())
}

fn session(
    args: &LoginArgs,
    server: &mut Server,
    cache: &Cache,
    person: Option<&Person>,
) -> anyhow::Result<SecretString> {
    if person.is_none() && !args.password.is_given() {
        bail!("nobody can be asked for a password here: give --password-stdin, --password-fd or --token -");
    }
    let password = args.password.read()?;
    let providers = server.with(cache, person, Login::None, Providers::of)?;
    let provider = providers.pick(args.auth_provider.as_deref(), person)?;
    let asked =
        Asked { username: args.username.as_deref(), suggested: None, password: password.as_ref(), person };
    let client = Client::new(server.target())?;
    Ok(sign_in(&client, &providers, provider, "json", &asked)?.token)
}

fn keep(args: &LoginArgs, server: &Server, cache: &Cache, login: StoredLogin) -> anyhow::Result<()> {
    let authority = args.cacert.as_deref().map(super::trust::certificates).transpose()?;
    let authority = authority.and_then(|pem| String::from_utf8(pem).ok());
    let kept = cache.change(|document| {
        if let Some(pem) = &authority {
            document.put_authority(&server.name, &server.url, pem);
        }
        document.put_login(&server.name, &login);
    });
    let Err(error) = kept else { return Ok(()) };
    // Nobody can use it: it should not go on living. A token that was brought along is its owner's.
    if args.token.is_none() {
        let _ = revoke(server.target(), &login.token);
    }
    bail!("the login cannot be kept: {error}")
}

/// The login's name, and the server as it was typed or is known.
fn place(args: &LoginArgs, known: &Document) -> anyhow::Result<(String, String)> {
    let named = args.name.as_deref();
    if let Some(url) = &args.url {
        let name = named.map(str::to_owned).unwrap_or_else(|| host(url));
        return Ok((name, url.clone()));
    }
    match named.or(known.current()).and_then(|name| Some((name.to_owned(), known.url(name)?.to_owned()))) {
        Some(place) => Ok(place),
        None => bail!("give the URL of the server to log in at"),
    }
}

/// What a login is called if nobody says: the server's host and port.
fn host(url: &str) -> String {
    let rest = url.trim().split_once("://").map_or(url.trim(), |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default().to_owned()
}

/// Runs `logout`.
pub fn log_out(args: &LogoutArgs, invocation: &Invocation) -> anyhow::Result<()> {
    let cache = invocation.cache();
    let known = cache.read().document;
    let Some(name) = args.name.as_deref().or(known.current()) else { bail!("there is no login") };
    let mut tokens: Vec<Credential> = known.login(name).into_iter().map(|login| login.credential()).collect();
    let of_kubeconfigs = known.credentials().into_iter().filter(|(server, ..)| server == name);
    tokens.extend(of_kubeconfigs.map(|(.., credential)| credential));
    if tokens.is_empty() {
        bail!("there is no login {name:?}");
    }
    let mut failed = None;
    for credential in &tokens {
        let told = Server::of_credential(name, credential, &known)
            .and_then(|server| Ok(revoke(server.target(), &credential.token)?));
        failed = told.err().or(failed);
    }
    cache.change(|document| document.forget_login(name))?;
    match failed {
        None => {
            terminal::note(&format!("Logged out of {name}: {} revoked and forgotten.", many(tokens.len())));
            Ok(())
        }
        Some(error) => bail!("the login {name} is forgotten, but its tokens may still be good: {error}"),
    }
}

fn many(tokens: usize) -> String {
    if tokens == 1 { "one token".to_owned() } else { format!("{tokens} tokens") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn a_login_is_called_like_its_server() {
        for (url, name) in [
            ("https://r.example", "r.example"),
            ("https://r.example:8443/", "r.example:8443"),
            ("r.example:8443", "r.example:8443"),
            (" https://r.example/x/y ", "r.example"),
        ] {
            assert_eq!(host(url), name);
        }
    }
}
