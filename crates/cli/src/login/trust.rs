//! Whom to believe that they are the server, before a password goes there.
//!
//! ```text
//! --cacerts ─→ the kubeconfig's authority, if it speaks for this very server ─→ the one that was confirmed before ─→ this machine's authorities
//!                                                                                         └─ a stranger ─→ a person confirms the fingerprint, once
//! ```
//!
//! Nobody is trusted silently: without a person, a stranger is refused.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::bail;
use eartag_server::files::read_small;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::ask::Person;
use crate::cache::{Cache, Credential, Document};
use crate::client::kubeconfig::{Login, Target, Trust, server_url};
use crate::client::meeting::{Introduction, meet};
use crate::client::{Client, ClientError};
use crate::terminal;

/// The largest file of certificates, in bytes.
const LARGEST: u64 = 1 << 20;
/// How long a server may take, if nothing else was said.
const WHOLE: Duration = Duration::from_secs(60);

/// What a server is called, where it is, and who speaks for it.
pub struct Server {
    /// Under which name things about it are remembered.
    pub name: String,
    /// `https://HOST[:PORT][/PATH]`.
    pub url: String,
    /// How to get there, without credentials.
    target: Target,
    /// How long it may take.
    timeout: Duration,
    /// Whether somebody has said whom to trust.
    explicit: bool,
}

/// What is said about trust.
#[derive(Default)]
pub struct Said<'a> {
    /// A file of authorities.
    pub cacerts: Option<&'a PathBuf>,
    /// A cluster of a kubeconfig, as client-go passes it on.
    pub cluster: Option<&'a Target>,
}

impl Server {
    /// A server by what was typed, and by what is known about it.
    ///
    /// # Errors
    /// What is no server, or files that cannot be used.
    pub fn find(name: &str, typed: &str, said: &Said<'_>, known: &Document) -> anyhow::Result<Self> {
        if typed.trim().is_empty() {
            bail!("name of rancher server is required");
        }
        let url = server_url(typed.trim()).map_err(|why| anyhow::anyhow!("the command {why}"))?;
        // What speaks for one address says nothing about another: a cluster's authority must not vouch for the server that gets the password.
        let cluster = said.cluster.filter(|cluster| same_place(&cluster.server, &url));
        let confirmed = || authority(known, name, &url);
        let (trust, explicit) = match (said.cacerts, cluster) {
            (Some(file), _) => (Trust::Only(certificates(file)?), true),
            (None, Some(Target { trust: Trust::Only(pem), .. })) => (Trust::Only(pem.clone()), true),
            (None, _) => match confirmed() {
                Some(pem) => (Trust::Only(pem.as_bytes().to_vec()), false),
                None => (Trust::System, false),
            },
        };
        let target = Target {
            server_name: cluster.and_then(|cluster| cluster.server_name.clone()),
            proxy: cluster
                .and_then(|cluster| cluster.proxy.clone())
                .or_else(|| known.proxy(name).map(str::to_owned)),
            ..Target::of_server(url.clone(), trust)
        };
        let timeout = known.timeout_s(name).map_or(WHOLE, |seconds| Duration::from_secs(seconds.min(600)));
        Ok(Self { name: name.to_owned(), url, target, timeout, explicit })
    }

    /// Where a cached token came from.
    ///
    /// # Errors
    /// As [`Server::find`].
    pub fn of_credential(name: &str, credential: &Credential, known: &Document) -> anyhow::Result<Self> {
        // Under a name of its own the server's address is beside it; else the name is the address.
        let typed = known.url(name).unwrap_or(name);
        let mut server = Self::find(name, typed, &Said::default(), known)?;
        if let Some(pem) = &credential.authority {
            server.target.trust = Trust::Only(pem.as_bytes().to_vec());
            server.explicit = true;
        }
        Ok(server)
    }

    /// The authority that somebody has named for this run.
    #[must_use]
    pub fn named_authority(&self) -> Option<String> {
        match &self.target.trust {
            Trust::Only(pem) if self.explicit => String::from_utf8(pem.clone()).ok(),
            _ => None,
        }
    }

    /// How to get there, without credentials.
    #[must_use]
    pub fn target(&self) -> Target {
        Target {
            server_name: self.target.server_name.clone(),
            proxy: self.target.proxy.clone(),
            ..Target::of_server(self.url.clone(), self.target.trust.clone())
        }
    }

    /// Does something with the server as somebody, and if it turns out to be a stranger, once more when a person has confirmed who it is.
    ///
    /// # Errors
    /// What was done fails, or nobody trusts the server.
    pub fn with<R>(
        &mut self,
        cache: &Cache,
        person: Option<&Person>,
        login: Login,
        mut act: impl FnMut(&Client) -> Result<R, ClientError>,
    ) -> anyhow::Result<R> {
        let mut act = |target: Target, timeout| {
            act(&Client::within(Target { login: login.clone(), ..target }, timeout)?)
        };
        let first = act(self.target(), self.timeout);
        let Err(error) = &first else { return Ok(first?) };
        if !error.is_stranger() {
            return Ok(first?);
        }
        if self.explicit {
            bail!("{error}");
        }
        if let Trust::Only(_) = self.target.trust {
            // Its owner may have got it a certificate that everybody trusts.
            let confirmed = std::mem::replace(&mut self.target.trust, Trust::System);
            match act(self.target(), self.timeout) {
                Err(again) if again.is_stranger() => {
                    self.target.trust = confirmed;
                    bail!(
                        "{error}: it is not the authority that was confirmed for this server; if the server was really set up anew, give --cacerts, \
                         or remove \"cacert\" of {:?} from {}",
                        self.name,
                        cache.file_shown()
                    );
                }
                done => return Ok(done?),
            }
        }
        let Some(person) = person else {
            bail!(
                "{error}, and nobody can be asked about it here: give --cacerts FILE, or run this command once in a terminal"
            );
        };
        let introduction = meet(&self.target)?;
        confirm(&self.url, &introduction, person)?;
        self.target.trust = Trust::Only(introduction.pem.clone().into_bytes());
        let done = act(self.target(), self.timeout)?;
        let kept = cache.change(|document| document.put_authority(&self.name, &self.url, &introduction.pem));
        if let Err(error) = kept {
            terminal::warn(&format!("this is not remembered: {error}"));
        }
        Ok(done)
    }
}

fn confirm(url: &str, introduction: &Introduction, person: &Person) -> anyhow::Result<()> {
    let Introduction { subject, fingerprint, .. } = introduction;
    terminal::note(&format!(
        "The certificate of {url} is not signed by an authority that is trusted here. The one that speaks for it is:\n\
         \x20 subject             {subject}\n\
         \x20 SHA-256 fingerprint {fingerprint}\n\
         Compare it with what the server's administrator says: openssl x509 -noout -fingerprint -sha256 -in ca.crt"
    ));
    match person.line("Trust it from now on (yes/no)? ")?.to_ascii_lowercase().as_str() {
        "yes" => Ok(()),
        _ => bail!("{url} is not trusted"),
    }
}

/// The authority that was confirmed for a server under this or another name.
fn authority<'a>(known: &'a Document, name: &str, url: &str) -> Option<&'a str> {
    let same = |other: &&str| known.url(other).and_then(|url| server_url(url).ok()).as_deref() == Some(url);
    known.authority(name).or_else(|| known.servers().filter(same).find_map(|other| known.authority(other)))
}

/// Whether two URLs lead to the same port of the same host.
fn same_place(one: &str, other: &str) -> bool {
    let place = |url: &str| {
        let uri: ureq::http::Uri = url.parse().ok()?;
        Some((uri.host()?.to_ascii_lowercase(), uri.port_u16().unwrap_or(443)))
    };
    place(one).is_some_and(|one| Some(one) == place(other))
}

/// What a file of authorities holds.
///
/// # Errors
/// When it is not there or holds no certificate.
pub fn certificates(file: &Path) -> anyhow::Result<Vec<u8>> {
    let Some(bytes) = read_small(file, LARGEST)? else { bail!("there is no file {}", file.display()) };
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(bytes),
        Ok(_) => bail!("no cert was found in {}", file.display()),
        Err(_) => bail!("{} holds certificates that are damaged", file.display()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    fn cluster(server: &str) -> Target {
        Target::of_server(server.into(), Trust::Only(b"CLUSTER".to_vec()))
    }

    fn trust(typed: &str, cluster: Option<&Target>, known: &Document) -> Trust {
        let said = Said { cacerts: None, cluster };
        Server::find(typed, typed, &said, known).unwrap().target.trust
    }

    #[test]
    fn a_clusters_authority_vouches_for_the_server_only_where_both_are_one_place() {
        let known = Document::default();
        let proxied = cluster("https://r.example/k8s/clusters/c-1");
        assert_eq!(trust("r.example", Some(&proxied), &known), Trust::Only(b"CLUSTER".to_vec()));
        assert_eq!(trust("https://R.example:443", Some(&proxied), &known), Trust::Only(b"CLUSTER".to_vec()));
        for other in ["r.example:8443", "other.example", "r.example.evil"] {
            assert_eq!(trust(other, Some(&proxied), &known), Trust::System, "{other}");
        }
    }

    #[test]
    fn what_was_confirmed_once_is_found_under_each_name_of_the_server() {
        let mut known = Document::default();
        known.put_authority("mine", "https://r.example:8443", "PEM");
        for typed in ["r.example:8443", "https://r.example:8443", "https://r.example:8443/", "mine"] {
            assert_eq!(trust(typed, None, &known), Trust::Only(b"PEM".to_vec()), "{typed}");
        }
        assert_eq!(trust("r.example", None, &known), Trust::System);
    }

    #[test]
    fn a_server_is_a_host_with_or_without_port_and_scheme_and_never_plain() {
        let find =
            |typed: &str| Server::find("x", typed, &Said::default(), &Document::default()).map(|s| s.url);
        for (typed, url) in [
            ("r.example", "https://r.example"),
            ("r.example:8443", "https://r.example:8443"),
            ("10.0.0.1:8443", "https://10.0.0.1:8443"),
            ("[::1]:8443", "https://[::1]:8443"),
            ("https://r.example/", "https://r.example"),
        ] {
            assert_eq!(find(typed).unwrap(), url);
        }
        assert_eq!(find("").unwrap_err().to_string(), "name of rancher server is required");
        assert!(find("http://r.example").unwrap_err().to_string().contains("only sent over https"));
        assert!(find("https://ann:pw@r.example").is_err());
    }
}
