//! A password for a token (kubeconfig-and-cli.md §4.2, v3-token.md §5).

use anyhow::bail;
use eartag_api::secret::SecretText;
use eartag_core::time::parse_rfc3339;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;

use super::credentials::Asked;
use crate::ask::Person;
use crate::cache::Credential;
use crate::client::output::plain;
use crate::client::{Client, ClientError, Route};
use crate::terminal;

/// Providers that take a name and a password, the one that is preferred first.
const PASSWORD_TYPES: [&str; 4] =
    ["localProvider", "freeIpaProvider", "openLdapProvider", "activeDirectoryProvider"];
/// A person may mistype so often.
const TRIES: usize = 3;

/// The ways to log in at a server.
#[derive(Debug)]
pub struct Providers {
    /// Types of those that take a password.
    usable: Vec<String>,
    /// Types of the others.
    others: Vec<String>,
    /// Whether the server has the newer doors.
    newer: bool,
}

impl Providers {
    /// Asks the server.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn of(client: &Client) -> Result<Self, ClientError> {
        #[derive(Deserialize)]
        struct List {
            data: Vec<Entry>,
        }
        #[derive(Deserialize)]
        struct Entry {
            #[serde(rename = "type")]
            kind: String,
        }
        let (list, newer) = match client.get::<List>(&Route::new("/v1-public/authproviders")) {
            Ok(list) => (list, true),
            Err(ClientError::Refused { status: 404, .. }) => {
                (client.get::<List>(&Route::new("/v3-public/authProviders"))?, false)
            }
            Err(error) => return Err(error),
        };
        let offered: Vec<String> = list.body.data.into_iter().map(|entry| entry.kind).collect();
        let usable = PASSWORD_TYPES.iter().filter(|kind| offered.iter().any(|offered| offered == *kind));
        let usable: Vec<String> = usable.map(|kind| (*kind).to_owned()).collect();
        let others = offered.into_iter().filter(|kind| !usable.contains(kind)).collect();
        Ok(Self { usable, others, newer })
    }

    /// The one to use: the one that is wanted, the only one, or the one that a person picks.
    ///
    /// # Errors
    /// When there is none that can be used.
    pub fn pick(&self, wanted: Option<&str>, person: Option<&Person>) -> anyhow::Result<&str> {
        let others: Vec<String> = self.others.iter().map(|kind| plain(kind)).collect();
        let others = others.join(", ");
        if let Some(wanted) = wanted {
            return match self.usable.iter().find(|kind| *kind == wanted) {
                Some(kind) => Ok(kind),
                None if self.others.iter().any(|kind| kind == wanted) => {
                    bail!(
                        "a login by {wanted} needs a browser, which this command does not drive: log in there and make a token"
                    )
                }
                None => bail!("provider {wanted} not found"),
            };
        }
        match (self.usable.as_slice(), person) {
            ([], _) if others.is_empty() => bail!("no auth provider configured"),
            ([], _) => bail!(
                "the server offers no login by password but only by {others}, which needs a browser: log in there and make a token"
            ),
            ([only], _) => Ok(only),
            ([first, ..], None) => Ok(first),
            (several, Some(person)) => ask(several, person),
        }
    }
}

fn ask<'a>(several: &'a [String], person: &Person) -> anyhow::Result<&'a str> {
    let mut list = String::from("Auth providers:");
    for (number, kind) in several.iter().enumerate() {
        list.push_str(&format!("\n{number} - {kind}"));
    }
    terminal::note(&list);
    for _ in 0..TRIES {
        let answer = person.line("Select auth provider: ")?;
        if let Some(kind) = answer.parse().ok().and_then(|number: usize| several.get(number)) {
            return Ok(kind);
        }
        terminal::note("Pick a valid auth provider");
    }
    bail!("invalid auth provider")
}

/// Logs in, as often as a person may try.
///
/// `form` is the login's `responseType`: `json` for a session, `kubeconfig` or `kubeconfig_<cluster>` for a token of a kubeconfig.
///
/// # Errors
/// When the password is wrong, or the server refuses otherwise.
pub fn sign_in(
    client: &Client,
    providers: &Providers,
    provider: &str,
    form: &str,
    asked: &Asked<'_>,
) -> anyhow::Result<Credential> {
    if asked.person.is_some() && asked.password.is_none() {
        terminal::note(&format!("Enter credentials for {provider} at {}", client.server()));
    }
    let mut tries = if asked.can_try_again() { TRIES } else { 1 };
    loop {
        let (username, password) = (asked.username()?, asked.password()?);
        tries -= 1;
        match post(client, providers.newer, provider, form, &username, &password) {
            Err(ClientError::Refused { status: 401, .. }) if tries > 0 => {
                terminal::note("The user name or the password is wrong.");
            }
            Err(ClientError::Refused { status: 401, .. }) => {
                bail!(
                    "{} does not let {username:?} in: the user name or the password is wrong",
                    client.server()
                )
            }
            Err(error) => bail!("{error}"),
            Ok(credential) => return Ok(credential),
        }
    }
}

fn post(
    client: &Client,
    newer: bool,
    provider: &str,
    form: &str,
    username: &str,
    password: &SecretString,
) -> Result<Credential, ClientError> {
    let body = json!({
        "type": provider, "responseType": form, "username": username, "password": password.expose_secret(),
    });
    let route = if newer {
        Route::new("/v1-public/login")
    } else {
        let name = provider.strip_suffix("Provider").unwrap_or(provider).to_ascii_lowercase();
        Route::new("/v3-public").item(&format!("{provider}s")).item(&name).query("action", "login")
    };
    let reply = client.post::<Answer>(&route, &body)?;
    for warning in &reply.warnings {
        terminal::warn(warning);
    }
    reply.body.credential().ok_or_else(|| client.foreign("its login answers without a token".into()))
}

/// Either of two shapes: members at the top, or a `Token` of `ext.cattle.io/v1`.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Answer {
    api_version: String,
    kind: String,
    token: Option<SecretText>,
    expires_at: Option<String>,
    status: Option<ExtStatus>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ExtStatus {
    bearer_token: Option<SecretText>,
    expires_at: Option<String>,
}

impl Answer {
    /// Only with a secret, and with an end that can be read or none.
    fn credential(self) -> Option<Credential> {
        let is_ext = self.api_version == "ext.cattle.io/v1" && self.kind == "Token";
        let (token, expires) = match self.status {
            Some(status) if is_ext => (status.bearer_token, status.expires_at),
            _ => (self.token, self.expires_at),
        };
        let token = token.filter(|token| token.expose().contains(':'))?;
        let expires = expires.filter(|time| !time.is_empty());
        if expires.as_deref().is_some_and(|time| parse_rfc3339(time).is_none()) {
            return None;
        }
        Some(Credential { token: SecretString::from(token.expose()), expires, authority: None })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    fn of(usable: &[&str], others: &[&str]) -> Providers {
        let own = |kinds: &[&str]| kinds.iter().map(|kind| (*kind).to_owned()).collect();
        Providers { usable: own(usable), others: own(others), newer: true }
    }

    #[test]
    fn the_only_provider_that_takes_a_password_is_taken_and_others_are_named() {
        assert_eq!(
            of(&["openLdapProvider"], &["githubProvider"]).pick(None, None).unwrap(),
            "openLdapProvider"
        );
        let both = of(&["localProvider", "openLdapProvider"], &[]);
        assert_eq!(both.pick(None, None).unwrap(), "localProvider");
        assert_eq!(both.pick(Some("openLdapProvider"), None).unwrap(), "openLdapProvider");
        let error = |providers: Providers, wanted| providers.pick(wanted, None).unwrap_err().to_string();
        assert_eq!(error(both, Some("x")), "provider x not found");
        assert_eq!(error(of(&[], &[]), None), "no auth provider configured");
        assert!(
            error(of(&[], &["githubProvider", "\u{1b}[2J"]), None)
                .contains("only by githubProvider,  [2J, which")
        );
        assert!(
            error(of(&["localProvider"], &["oktaProvider"]), Some("oktaProvider"))
                .contains("needs a browser")
        );
    }

    #[test]
    fn both_shapes_of_an_answer_are_understood_and_nothing_else() {
        let read = |text: &str| serde_json::from_str::<Answer>(text).unwrap().credential();
        let old =
            read(r#"{"id":"t","type":"token","token":"t:s","expiresAt":"2026-03-03T01:15:04Z"}"#).unwrap();
        assert_eq!(
            (old.token.expose_secret(), old.expires.as_deref()),
            ("t:s", Some("2026-03-03T01:15:04Z"))
        );
        assert!(read(r#"{"token":"t:s","expiresAt":""}"#).unwrap().expires.is_none());
        let ext = r#"{"apiVersion":"ext.cattle.io/v1","kind":"Token","status":{"bearerToken":"ext/t:s","expiresAt":"2026-03-03T01:15:04Z"}}"#;
        assert_eq!(read(ext).unwrap().token.expose_secret(), "ext/t:s");
        for bad in [
            "{}",
            r#"{"token":""}"#,
            r#"{"token":"no colon"}"#,
            r#"{"token":"t:s","expiresAt":"tomorrow"}"#,
            r#"{"apiVersion":"ext.cattle.io/v2","kind":"Token","status":{"bearerToken":"ext/t:s"}}"#,
        ] {
            assert!(read(bad).is_none(), "{bad}");
        }
    }
}
