//! Extending the API of a cluster: the flags that `serve` and `install` share, and the cluster's API server as its files say.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use eartag_server::aggregation::ClusterSource;
use eartag_server::config::Aggregated;
use eartag_upstream::{Credential, Target};
use secrecy::{ExposeSecret, SecretString};

use crate::client::kubeconfig::{self, Kubeconfig, Login, Sources, Trust};

/// Where Kubernetes puts a pod's credential.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The part of `eartag serve` that is about it.
#[derive(Args)]
pub struct AggregatedArgs {
    /// Extend the API of a cluster by ext.cattle.io, behind its API server, which says who sends a request and what they may do. See "eartag install".
    #[arg(long)]
    pub aggregated: bool,

    /// How to reach that API server, and as whom; without it, by the service account of the pod that this runs in.
    #[arg(long, value_name = "FILE", requires = "aggregated")]
    pub kubeconfig: Option<PathBuf>,

    #[command(flatten)]
    pub service: ServiceName,
}

/// The Service by which a cluster reaches the server: its certificate must be for that name.
#[derive(Args, Clone, Debug)]
pub struct ServiceName {
    /// The Service by which the cluster reaches this server.
    #[arg(long, value_name = "NAME", default_value = "eartag", value_parser = label)]
    pub service_name: String,

    /// The namespace of that Service.
    #[arg(long, value_name = "NAME", default_value = "cattle-system", value_parser = label)]
    pub namespace: String,
}

impl ServiceName {
    /// The name under which the cluster's API server expects us.
    #[must_use]
    pub fn host(&self) -> String {
        format!("{}.{}.svc", self.service_name, self.namespace)
    }
}

impl AggregatedArgs {
    /// What the server has to know; `None`: it stands alone.
    ///
    /// # Errors
    /// What is missing or cannot be used.
    pub fn options(&self) -> anyhow::Result<Option<Aggregated>> {
        if !self.aggregated {
            return Ok(None);
        }
        let cluster = match &self.kubeconfig {
            Some(file) => {
                let file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
                ClusterSource::new(move || of_kubeconfig(&file))
            }
            None => {
                let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
                let host = variable("KUBERNETES_SERVICE_HOST");
                let (host, port) = host.zip(variable("KUBERNETES_SERVICE_PORT")).context(
                    "--aggregated needs --kubeconfig with the cluster's API server, unless it runs in a pod of that cluster",
                )?;
                ClusterSource::new(move || of_pod(&host, &port, Path::new(SERVICE_ACCOUNT)))
            }
        };
        Ok(Some(Aggregated { cluster, service_host: self.service.host() }))
    }
}

/// What the current context of a kubeconfig says.
fn of_kubeconfig(file: &Path) -> Result<Target, String> {
    let sources = Sources { flag: Some(file.to_owned()), ..Sources::default() };
    let target = Kubeconfig::load(&sources).and_then(|kubeconfig| kubeconfig.target(None));
    upstream(target.map_err(|error| error.to_string())?)
}

/// A kubeconfig's target as the client to API servers wants it. What that client cannot do is refused.
///
/// # Errors
/// One sentence.
pub fn upstream(target: kubeconfig::Target) -> Result<Target, String> {
    if target.acting_as.is_some() {
        return Err("the kubeconfig acts as somebody else (as), which cannot be done here".into());
    }
    if target.proxy.is_some() {
        return Err("the kubeconfig names a proxy (proxy-url), which cannot be used here".into());
    }
    // No text would mean something else to that client: whomever this machine trusts.
    let text = |what: &str, bytes: &[u8]| {
        let text = std::str::from_utf8(bytes).ok().filter(|text| !text.trim().is_empty());
        text.map(str::to_owned).ok_or_else(|| format!("the kubeconfig's {what} is not in PEM form"))
    };
    let ca_pem = match &target.trust {
        Trust::Only(pem) => text("certificate authority", pem)?,
        Trust::System => String::new(),
    };
    // Where a kubeconfig has both, a kube-apiserver goes by the certificate, so that is whom the kubeconfig means.
    let credential = match (target.login, &target.certificate) {
        (Login::Basic { .. }, _) => {
            return Err(
                "the kubeconfig has a user name and password: use a token or a client certificate".into()
            );
        }
        (_, Some(pair)) => Credential::Certificate {
            certificates_pem: text("client certificate", &pair.certificate)?,
            key_pem: SecretString::from(text("client key", &pair.key)?),
        },
        (Login::Bearer(token), None) => Credential::Token(token),
        (Login::None, None) => Credential::None,
    };
    let tls_server_name = target.server_name.unwrap_or_default();
    Ok(Target { url: target.server, ca_pem, tls_server_name, credential })
}

/// What Kubernetes tells every pod. The token's file is written anew now and then.
fn of_pod(host: &str, port: &str, dir: &Path) -> Result<Target, String> {
    let read = |name: &str| {
        let path = dir.join(name);
        std::fs::read_to_string(&path)
            .map(SecretString::from)
            .map_err(|error| format!("cannot read {}: {}", path.display(), eartag_server::files::why(&error)))
    };
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let ca_pem = read("ca.crt")?.expose_secret().to_owned();
    if ca_pem.trim().is_empty() {
        return Err(format!("{} is empty", dir.join("ca.crt").display()));
    }
    Ok(Target {
        url: format!("https://{host}:{port}"),
        ca_pem,
        tls_server_name: String::new(),
        credential: Credential::Token(read("token")?),
    })
}

/// A name as Services and namespaces have them.
fn label(text: &str) -> Result<String, &'static str> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let edges =
        !text.starts_with('-') && !text.ends_with('-') && !text.starts_with(|c: char| c.is_ascii_digit());
    if !text.is_empty() && text.len() <= 63 && text.chars().all(inner) && edges {
        Ok(text.to_owned())
    } else {
        Err("a name has lower-case letters, digits and dashes, begins with a letter and is no longer than 63")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn a_pods_own_credential_is_enough() {
        let dir = tempfile::tempdir().unwrap();
        let error = of_pod("10.0.0.1", "443", dir.path()).unwrap_err();
        assert!(error.ends_with("there is no such file") || error.contains("ca.crt"), "{error}");
        std::fs::write(dir.path().join("ca.crt"), "PEM").unwrap();
        std::fs::write(dir.path().join("token"), "abc\n").unwrap();
        let target = of_pod("fd00::1", "443", dir.path()).unwrap();
        assert_eq!((target.url.as_str(), target.ca_pem.as_str()), ("https://[fd00::1]:443", "PEM"));
        assert!(matches!(target.credential, Credential::Token(token) if token.expose_secret() == "abc\n"));
        std::fs::write(dir.path().join("ca.crt"), "").unwrap();
        assert!(of_pod("10.0.0.1", "443", dir.path()).unwrap_err().ends_with("ca.crt is empty"));
    }

    #[test]
    fn a_kubeconfig_is_read_anew_each_time_and_what_cannot_be_done_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config");
        let write = |user: &str| {
            std::fs::write(
                &file,
                format!(
                    "apiVersion: v1\nkind: Config\nclusters: [{{name: c, cluster: {{server: \"https://127.0.0.1:6443\"}}}}]\n\
                     users: [{{name: u, user: {user}}}]\ncontexts: [{{name: x, context: {{cluster: c, user: u}}}}]\ncurrent-context: x\n"
                ),
            )
            .unwrap();
        };
        write("{token: first}");
        assert!(
            matches!(of_kubeconfig(&file).unwrap().credential, Credential::Token(t) if t.expose_secret() == "first")
        );
        write("{token: second}");
        assert!(
            matches!(of_kubeconfig(&file).unwrap().credential, Credential::Token(t) if t.expose_secret() == "second")
        );
        // A kube-apiserver that is shown both goes by the certificate.
        std::fs::write(dir.path().join("crt"), "CERTIFICATE").unwrap();
        std::fs::write(dir.path().join("key"), "KEY").unwrap();
        write("{token: other, client-certificate: crt, client-key: key}");
        assert!(
            matches!(of_kubeconfig(&file).unwrap().credential, Credential::Certificate { certificates_pem, .. } if certificates_pem == "CERTIFICATE")
        );
        for (user, part) in [("{username: a, password: b}", "password"), ("{token: a, as: root}", "acts as")]
        {
            write(user);
            assert!(of_kubeconfig(&file).unwrap_err().contains(part), "{user}");
        }
        write("{token: a}");
        std::fs::write(dir.path().join("ca.crt"), "\n").unwrap();
        let named = std::fs::read_to_string(&file).unwrap();
        let named = named.replace("{server:", "{certificate-authority: ca.crt, server:");
        std::fs::write(&file, named).unwrap();
        let error = of_kubeconfig(&file).unwrap_err();
        assert_eq!(error, "the kubeconfig's certificate authority is not in PEM form");
    }

    #[test]
    fn names_are_those_that_a_service_can_have() {
        for good in ["eartag", "a-1", "a"] {
            assert!(label(good).is_ok(), "{good}");
        }
        for bad in ["", "A", "-a", "a-", "1a", "a.b", "a/b", &"a".repeat(64)] {
            assert!(label(bad).is_err(), "{bad}");
        }
    }
}
