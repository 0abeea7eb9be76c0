//! What client-go says to the programs that it runs (kubeconfig-and-cli.md §5): `KUBERNETES_EXEC_INFO`.

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::client::kubeconfig::{Target, Trust, server_url};

const VARIABLE: &str = "KUBERNETES_EXEC_INFO";
/// The versions that are answered; the last one also to those who do not say.
const VERSIONS: [&str; 2] = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"];

/// Who wants a token.
#[derive(Debug)]
pub struct Caller {
    /// The version that it wants to be answered in.
    pub version: &'static str,
    /// Whether it lets us ask at its standard input.
    pub interactive: bool,
    /// For which cluster, without credentials.
    pub cluster: Option<Target>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Info {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    spec: Spec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Spec {
    interactive: bool,
    cluster: Option<Cluster>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Cluster {
    server: String,
    tls_server_name: String,
    certificate_authority_data: Option<String>,
    proxy_url: String,
}

impl Caller {
    /// What the environment says; a person or a script where it says nothing.
    ///
    /// # Errors
    /// What no client says.
    pub fn of_process() -> anyhow::Result<Self> {
        let said = std::env::var_os(VARIABLE).filter(|said| !said.is_empty());
        match said {
            None => Ok(Self { version: VERSIONS[1], interactive: true, cluster: None }),
            Some(said) => Self::parse(said.to_str().with_context(|| format!("{VARIABLE} is no text"))?),
        }
    }

    fn parse(said: &str) -> anyhow::Result<Self> {
        let info: Info = serde_json::from_str(said).map_err(|error| {
            anyhow::anyhow!("{VARIABLE} is not what kubectl says (column {})", error.column())
        })?;
        let version = VERSIONS.into_iter().find(|version| *version == info.api_version);
        let Some(version) = version.filter(|_| info.kind == "ExecCredential") else {
            bail!(
                "{VARIABLE} asks for {:?} of {:?}, but only ExecCredential of {} can be answered",
                info.kind,
                info.api_version,
                VERSIONS.join(" or ")
            )
        };
        Ok(Self { version, interactive: info.spec.interactive, cluster: info.spec.cluster.and_then(target) })
    }
}

/// What cannot be used is left out: whom to trust is then decided without it.
fn target(cluster: Cluster) -> Option<Target> {
    let server = server_url(&cluster.server).ok()?;
    let authority = cluster.certificate_authority_data.and_then(|data| STANDARD.decode(data).ok());
    let trust = authority.filter(|pem| !pem.is_empty()).map_or(Trust::System, Trust::Only);
    let given = |text: String| Some(text).filter(|text| !text.is_empty());
    Some(Target {
        server_name: given(cluster.tls_server_name),
        proxy: given(cluster.proxy_url).filter(|proxy| proxy.starts_with("http://")),
        ..Target::of_server(server, trust)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_versions_are_understood() {
        for version in VERSIONS {
            let said = format!(
                r#"{{"kind":"ExecCredential","apiVersion":"{version}","spec":{{"interactive":true,"cluster":{{
                    "server":"https://r:8443/k8s/clusters/c","tls-server-name":"x","certificate-authority-data":"UEVN",
                    "insecure-skip-tls-verify":true,"config":{{"a":1}}}}}}}}"#
            );
            let caller = Caller::parse(&said).unwrap();
            assert_eq!((caller.version, caller.interactive), (version, true));
            let cluster = caller.cluster.unwrap();
            assert_eq!(
                (cluster.trust, cluster.server_name.as_deref()),
                (Trust::Only(b"PEM".to_vec()), Some("x"))
            );
        }
        let bare = r#"{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"interactive":false}}"#;
        let bare = Caller::parse(bare).unwrap();
        assert!(!bare.interactive && bare.cluster.is_none());
    }

    #[test]
    fn what_cannot_be_answered_is_said() {
        for said in [
            "{}",
            "7",
            "{",
            r#"{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1alpha1","spec":{}}"#,
            r#"{"kind":"Pod","apiVersion":"client.authentication.k8s.io/v1"}"#,
        ] {
            let error = Caller::parse(said).unwrap_err().to_string();
            assert!(error.starts_with("KUBERNETES_EXEC_INFO "), "{error}");
        }
    }

    proptest! {
        #[test]
        fn nothing_in_the_environment_panics(said in ".{0,200}") {
            let _ = Caller::parse(&said);
        }
    }
}
