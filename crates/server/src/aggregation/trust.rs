//! What a cluster publishes for the API servers that extend it: the configmap `kube-system/extension-apiserver-authentication` (kubernetes-api.md A20).
//!
//! Its values are PEM texts and JSON lists in strings. What is there must be understood, else nothing of it is taken; what is missing vouches for nobody.

use std::collections::BTreeMap;

use rustls::pki_types::CertificateDer;
use serde::Deserialize;

use super::headers::HeaderNames;
use crate::tls::certificates_of;

/// Authorities and header names of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// Who signs the front proxy's certificates.
    pub front_proxy: Vec<CertificateDer<'static>>,
    /// The common names of those; none: any.
    pub allowed_names: Vec<String>,
    /// Who signs the certificates of the cluster's users.
    pub clients: Vec<CertificateDer<'static>>,
    /// In which headers the front proxy says whom it speaks for.
    pub headers: HeaderNames,
}

/// A configmap that cannot be used; the text is for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key {key:?} of the cluster's configmap {why}")]
pub struct BadTrust {
    key: &'static str,
    why: &'static str,
}

/// As far as it is looked at.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ConfigMap {
    /// Name and version.
    pub metadata: Metadata,
    /// The texts.
    pub data: BTreeMap<String, String>,
}

/// As far as it is looked at.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Metadata {
    /// Where a watch goes on.
    pub resource_version: String,
}

impl Trust {
    /// What the configmap says.
    ///
    /// # Errors
    /// [`BadTrust`] for a text that cannot be understood.
    pub fn of(map: &ConfigMap) -> Result<Trust, BadTrust> {
        let text =
            |key: &'static str| map.data.get(key).map(|text| text.trim()).filter(|text| !text.is_empty());
        let certificates = |key: &'static str| {
            text(key).map_or(Ok(Vec::new()), |pem| {
                let why = "holds no certificate in PEM form that can be read";
                certificates_of(pem.as_bytes()).ok_or(BadTrust { key, why })
            })
        };
        let list = |key: &'static str| {
            text(key).map_or(Ok(Vec::new()), |json| {
                let why = "is no JSON list of texts";
                serde_json::from_str::<Option<Vec<String>>>(json)
                    .map(Option::unwrap_or_default)
                    .map_err(|_| BadTrust { key, why })
            })
        };
        Ok(Trust {
            front_proxy: certificates("requestheader-client-ca-file")?,
            allowed_names: list("requestheader-allowed-names")?,
            clients: certificates("client-ca-file")?,
            headers: HeaderNames::new(
                &list("requestheader-username-headers")?,
                &list("requestheader-uid-headers")?,
                &list("requestheader-group-headers")?,
                &list("requestheader-extra-headers-prefix")?,
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;
    use crate::pki::Authority;

    fn map(pairs: &[(&str, &str)]) -> ConfigMap {
        let data = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        ConfigMap { data, ..ConfigMap::default() }
    }

    fn pem(n: u8) -> String {
        let authority = Authority::new("x", 1_800_000_000, [n; 16]).unwrap();
        crate::pki::pem("CERTIFICATE", authority.certificate()).to_string()
    }

    #[test]
    fn a_published_configmap_is_understood() {
        let (proxies, clients) = (pem(1) + &pem(2), pem(3));
        let trust = Trust::of(&map(&[
            ("client-ca-file", &clients),
            ("requestheader-client-ca-file", &proxies),
            ("requestheader-allowed-names", r#"["front-proxy-client","system:auth-proxy"]"#),
            ("requestheader-username-headers", r#"["X-Remote-User"]"#),
            ("requestheader-group-headers", r#"["X-Remote-Group"]"#),
            ("requestheader-extra-headers-prefix", r#"["X-Remote-Extra-"]"#),
            ("of-the-future", "whatever"),
        ]))
        .unwrap();
        assert_eq!((trust.front_proxy.len(), trust.clients.len()), (2, 1));
        assert_eq!(trust.allowed_names, ["front-proxy-client", "system:auth-proxy"]);
        let names = |list: &[&str]| list.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let expected = HeaderNames::new(
            &names(&["x-remote-user"]),
            &[],
            &names(&["x-remote-group"]),
            &names(&["x-remote-extra-"]),
        );
        assert_eq!(trust.headers, expected);
    }

    #[test]
    fn what_is_missing_vouches_for_nobody() {
        assert_eq!(Trust::of(&ConfigMap::default()), Ok(Trust::default()));
        let blank = map(&[("client-ca-file", " \n"), ("requestheader-allowed-names", "null")]);
        assert_eq!(Trust::of(&blank), Ok(Trust::default()));
    }

    #[test]
    fn what_cannot_be_understood_is_named_and_nothing_is_taken() {
        for (key, value) in [
            ("client-ca-file", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            ("requestheader-client-ca-file", "junk"),
            ("requestheader-allowed-names", "front-proxy-client"),
            ("requestheader-username-headers", r#"{"a":1}"#),
            ("requestheader-group-headers", "[1]"),
            ("requestheader-extra-headers-prefix", r#"["X"#),
        ] {
            let error = Trust::of(&map(&[(key, value)])).unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
    }
}
