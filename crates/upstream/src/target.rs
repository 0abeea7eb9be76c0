//! Which API server, how it is recognised, and what is presented to it.

use http::Uri;
use http::uri::{Authority, PathAndQuery};
use rustls::pki_types::ServerName;
use secrecy::SecretString;

/// An API server. Nothing of it is checked before [`crate::Upstream::new`].
#[derive(Debug, Default)]
pub struct Target {
    /// `https://host[:port][/path]`; the path stands before the path of every request.
    pub url: String,
    /// The certificates that are trusted, as PEM; empty: the authorities that this machine trusts.
    pub ca_pem: String,
    /// The name that the server's certificate must be for; empty: the host in `url`.
    pub tls_server_name: String,
    /// What is presented.
    pub credential: Credential,
}

/// What is presented to an API server.
#[derive(Debug, Default)]
pub enum Credential {
    /// Nothing.
    #[default]
    None,
    /// A bearer token.
    Token(SecretString),
    /// A client certificate.
    Certificate {
        /// The chain, leaf first, as PEM.
        certificates_pem: String,
        /// The leaf's private key, as PEM.
        key_pem: SecretString,
    },
}

/// Why a [`Target`] cannot be used. Each text is one sentence for the operator; none repeats what was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// The URL.
    #[error("the address of the API server is not of the form https://host[:port][/path]")]
    Url,
    /// The trusted certificates.
    #[error(
        "what is given as certificate authority is damaged, or holds no certificate in PEM form that can be read"
    )]
    Authority,
    /// None were given, and this machine has none.
    #[error("no certificate authority was given for the API server, and this machine trusts none")]
    NoAuthority,
    /// The name that is expected.
    #[error("the TLS server name is neither a host name nor an address")]
    ServerName,
    /// The token.
    #[error("the token holds characters that no HTTP header can carry")]
    Token,
    /// The client certificate.
    #[error("the client certificate is not in PEM form, or holds no certificate that can be read")]
    Certificate,
    /// Its key.
    #[error("the key of the client certificate is not in PEM form, or of a kind that cannot be used")]
    Key,
    /// The two together.
    #[error("the client certificate and its key do not fit together")]
    Mismatch,
    /// rustls refuses for a reason that has nothing to do with what was given.
    #[error("TLS cannot be set up")]
    Setup,
}

/// Where requests go, taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) authority: Authority,
    /// Begins with `/` and does not end with one; or empty.
    pub(crate) base: String,
    pub(crate) name: ServerName<'static>,
}

impl Place {
    pub(crate) fn of(target: &Target) -> Result<Place, TargetError> {
        let uri: Uri = target.url.trim().parse().map_err(|_| TargetError::Url)?;
        if uri.scheme_str() != Some("https") || uri.query().is_some() {
            return Err(TargetError::Url);
        }
        let authority = uri.authority().ok_or(TargetError::Url)?;
        let host = authority.host();
        let port_is_number = authority.as_str().len() == host.len() || authority.port_u16().is_some();
        if host.is_empty() || authority.as_str().contains('@') || !port_is_number {
            return Err(TargetError::Url);
        }
        let (name, wrong) = match target.tls_server_name.as_str() {
            "" => (host.trim_start_matches('[').trim_end_matches(']'), TargetError::Url),
            name => (name, TargetError::ServerName),
        };
        let name = ServerName::try_from(name.to_owned()).map_err(|_| wrong)?;
        let base = uri.path().trim_end_matches('/').to_owned();
        Ok(Place { authority: authority.clone(), base, name })
    }

    /// The address of a request of this path and query.
    pub(crate) fn uri(&self, asked: &PathAndQuery) -> Option<Uri> {
        let whole: PathAndQuery = match self.base.as_str() {
            "" => asked.clone(),
            base => format!("{base}{asked}").parse().ok()?,
        };
        Uri::builder().scheme("https").authority(self.authority.clone()).path_and_query(whole).build().ok()
    }

    /// The path and query of an address on this server, as [`Place::uri`] takes it.
    pub(crate) fn inside(&self, address: &str) -> Option<PathAndQuery> {
        // Browsers take a backslash for a slash, and two slashes begin the name of a host.
        if address.contains('\\') || address.starts_with("//") {
            return None;
        }
        let uri: Uri = address.parse().ok()?;
        if let Some(authority) = uri.authority() {
            (uri.scheme_str() == Some("https") && *authority == self.authority).then_some(())?;
        }
        let path = uri.path_and_query()?.as_str().strip_prefix(self.base.as_str())?;
        path.starts_with('/').then_some(())?;
        path.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    fn place(url: &str) -> Result<Place, TargetError> {
        Place::of(&Target { url: url.into(), ..Target::default() })
    }

    #[test]
    fn only_https_addresses_without_credentials_are_taken() {
        for bad in [
            "",
            "10.0.0.1:6443",
            "http://a.example",
            "https://",
            "https://user@a.example",
            "https://a.example:port",
            "https://a.example?x=1",
            "https://a b",
            "unix:///run/x",
        ] {
            assert_eq!(place(bad).unwrap_err(), TargetError::Url, "{bad}");
        }
        for good in ["https://a.example", " https://10.0.0.1:6443/\n", "https://[::1]:6443/k8s"] {
            assert!(place(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn a_path_in_the_address_stands_before_the_requests_path() {
        let asked: PathAndQuery = "/api/v1/pods?watch=1".parse().unwrap();
        let uri = |url| place(url).unwrap().uri(&asked).unwrap().to_string();
        assert_eq!(uri("https://a.example:6443"), "https://a.example:6443/api/v1/pods?watch=1");
        assert_eq!(uri("https://a.example/k8s/c-1/"), "https://a.example/k8s/c-1/api/v1/pods?watch=1");
    }

    #[test]
    fn an_address_is_inside_only_on_this_very_server() {
        let server = place("https://a.example:6443").unwrap();
        for (address, path) in [("/api?x=1", "/api?x=1"), ("https://a.example:6443/b", "/b")] {
            assert_eq!(server.inside(address).unwrap().as_str(), path);
        }
        for outside in [
            "https://a.example/b",
            "http://a.example:6443/b",
            "https://evil.example/b",
            "//evil.example/b",
            "/\\evil.example",
            "b",
            "../b",
            "javascript:alert(1)",
            "",
        ] {
            assert!(server.inside(outside).is_none(), "{outside}");
        }
        let below = place("https://a.example/k8s/c-1").unwrap();
        assert_eq!(below.inside("/k8s/c-1/api").unwrap().as_str(), "/api");
        assert!(below.inside("/k8s/c-2/api").is_none() && below.inside("/k8s/c-10").is_none());
    }

    #[test]
    fn the_expected_name_is_the_hosts_unless_one_is_given() {
        assert_eq!(place("https://[::1]:6443").unwrap().name.to_str(), "::1");
        let target = |name: &str| Target {
            url: "https://10.0.0.1".into(),
            tls_server_name: name.into(),
            ..Target::default()
        };
        assert_eq!(Place::of(&target("kubernetes.default")).unwrap().name.to_str(), "kubernetes.default");
        assert_eq!(Place::of(&target("a b")).unwrap_err(), TargetError::ServerName);
    }
}
