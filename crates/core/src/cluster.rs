//! What may be said of a cluster (DEC44): the rules for its id, its addresses and its names.

use std::net::IpAddr;

use crate::names::is_subdomain;
use crate::record::ClusterRecord;

/// The cluster that the server itself is.
pub const LOCAL: &str = "local";
/// Longest id: it becomes part of names and the value of labels.
const LONGEST_ID: usize = 63;
/// Longest name for people, in bytes.
const LONGEST_NAME: usize = 256;
/// Longest description, in bytes.
const LONGEST_DESCRIPTION: usize = 4096;
/// Longest address, in bytes.
const LONGEST_URL: usize = 2048;
/// Largest bundle of certificates, in bytes.
pub const LARGEST_BUNDLE: usize = 256 << 10;
/// So many control-plane nodes.
const MOST_NODES: usize = 64;

/// A member of a cluster's spec that may not be so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Its path, such as `spec.apiEndpoint`.
    pub field: String,
    /// What it holds; empty where that is too long to be repeated.
    pub value: String,
    /// What is allowed.
    pub why: String,
}

fn wrong(field: impl Into<String>, value: &str, why: impl Into<String>) -> Wrong {
    let value = if value.len() <= LONGEST_NAME { value.to_owned() } else { String::new() };
    Wrong { field: field.into(), value, why: why.into() }
}

/// Why the text is no id for a new cluster.
#[must_use]
pub fn bad_id(id: &str) -> Option<Wrong> {
    let good = is_subdomain(id) && !id.contains('.') && id.len() <= LONGEST_ID;
    (!good).then(|| {
        let why = format!(
            "must be a lower-case RFC 1123 label of at most {LONGEST_ID} characters, such as c-m-p66cdvlj"
        );
        wrong("metadata.name", id, why)
    })
}

/// Everything that is wrong with what people say of a cluster. Whether bundles hold certificates is for somebody who can read those.
#[must_use]
pub fn check(record: &ClusterRecord) -> Vec<Wrong> {
    let mut found = Vec::new();
    let mut text = |field: &str, text: &str, most: usize| {
        if text.len() > most || text.chars().any(|c| c.is_control() && !(c == '\n' && most > LONGEST_NAME)) {
            found.push(wrong(
                field,
                text,
                format!("must be at most {most} bytes without control characters"),
            ));
        }
    };
    text("spec.displayName", &record.display_name, LONGEST_NAME);
    text("spec.description", &record.description, LONGEST_DESCRIPTION);
    if record.internal {
        for (field, value) in [
            ("spec.apiEndpoint", &record.api_endpoint),
            ("spec.caCert", &record.ca_certificate),
            ("spec.tlsServerName", &record.tls_server_name),
        ] {
            if !value.is_empty() {
                found.push(wrong(field, "", "must be empty: this cluster is the server itself"));
            }
        }
    }
    if !record.api_endpoint.is_empty() && !is_https(&record.api_endpoint) {
        let why = "must be an https URL of host, port and perhaps a path, such as https://10.0.0.1:6443";
        found.push(wrong("spec.apiEndpoint", &record.api_endpoint, why));
    }
    if !record.tls_server_name.is_empty() && !is_host(&record.tls_server_name) {
        found.push(wrong(
            "spec.tlsServerName",
            &record.tls_server_name,
            "must be a DNS name or an IP address",
        ));
    }
    check_endpoint(record, &mut found);
    for (field, bundle) in [
        ("spec.caCert", &record.ca_certificate),
        ("spec.localClusterAuthEndpoint.caCerts", &record.auth_endpoint.ca_certificates),
    ] {
        if bundle.len() > LARGEST_BUNDLE {
            found.push(wrong(field, "", format!("must be at most {LARGEST_BUNDLE} bytes")));
        }
    }
    found
}

fn check_endpoint(record: &ClusterRecord, found: &mut Vec<Wrong>) {
    const ENDPOINT: &str = "spec.localClusterAuthEndpoint";
    let endpoint = &record.auth_endpoint;
    if !endpoint.fqdn.is_empty() && !is_authority(&endpoint.fqdn) {
        let why = "must be a DNS name without scheme and path, such as k8s.example.com";
        found.push(wrong(format!("{ENDPOINT}.fqdn"), &endpoint.fqdn, why));
    }
    if endpoint.nodes.len() > MOST_NODES {
        found.push(wrong(format!("{ENDPOINT}.nodes"), "", format!("must be at most {MOST_NODES}")));
    }
    for (i, node) in endpoint.nodes.iter().enumerate().take(MOST_NODES) {
        if !is_host(&node.hostname) {
            let field = format!("{ENDPOINT}.nodes[{i}].hostname");
            found.push(wrong(field, &node.hostname, "must be a DNS name"));
        }
        if !is_host(&node.address) {
            let field = format!("{ENDPOINT}.nodes[{i}].address");
            found.push(wrong(field, &node.address, "must be an IP address or a DNS name, without port"));
        }
    }
}

/// An https URL without user, query and fragment.
fn is_https(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("https://") else { return false };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'/' | b'%');
    url.len() <= LONGEST_URL
        && is_authority(authority)
        && path.bytes().all(plain)
        && path.split('/').all(|segment| segment != "." && segment != "..")
}

/// A host, and perhaps a port.
fn is_authority(text: &str) -> bool {
    let port =
        |port: &str| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|p| p > 0);
    if let Some(rest) = text.strip_prefix('[') {
        let Some((address, rest)) = rest.split_once(']') else { return false };
        return address.parse::<std::net::Ipv6Addr>().is_ok()
            && (rest.is_empty() || rest.strip_prefix(':').is_some_and(port));
    }
    match text.split_once(':') {
        Some((host, number)) => is_host(host) && port(number),
        None => is_host(text),
    }
}

/// A DNS name in any case, or an IP address.
fn is_host(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok() || (!text.is_empty() && is_subdomain(&text.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use proptest::prelude::*;

    use super::*;
    use crate::record::{AuthEndpoint, EndpointNode};

    fn fields(record: &ClusterRecord) -> Vec<String> {
        check(record).into_iter().map(|wrong| wrong.field).collect()
    }

    #[test]
    fn ids_are_labels() {
        for good in ["local", "c-m-p66cdvlj", "1", &"a".repeat(63)] {
            assert_eq!(bad_id(good), None, "{good}");
        }
        for bad in ["", "a.b", "A", "-a", "a_b", "a/b", &"a".repeat(64)] {
            assert_eq!(bad_id(bad).unwrap().field, "metadata.name", "{bad}");
        }
    }

    #[test]
    fn an_endpoint_is_an_https_url_without_anything_hidden_in_it() {
        for good in [
            "https://10.0.0.1:6443",
            "https://[::1]:6443",
            "https://k8s.example.com",
            "https://K8S.example.com/k8s/clusters/c-1",
            "https://h/",
        ] {
            let record = ClusterRecord { api_endpoint: good.into(), ..ClusterRecord::default() };
            assert!(check(&record).is_empty(), "{good}");
        }
        for bad in [
            "http://10.0.0.1",
            "https://",
            "https://user@host",
            "https://host?x=1",
            "https://host#x",
            "https://host:0",
            "https://host:99999",
            "https://host:+1",
            "https://ho st",
            "https://host/../x",
            "https://[::1",
            "host:6443",
            "https://host\r\nX: y",
        ] {
            let record = ClusterRecord { api_endpoint: bad.into(), ..ClusterRecord::default() };
            assert_eq!(fields(&record), ["spec.apiEndpoint"], "{bad}");
        }
    }

    #[test]
    fn everything_wrong_is_named_at_once() {
        let record = ClusterRecord {
            display_name: "a\u{1b}[2J".into(),
            tls_server_name: "a b".into(),
            auth_endpoint: AuthEndpoint {
                fqdn: "https://x".into(),
                nodes: vec![EndpointNode {
                    hostname: "n/1".into(),
                    address: "1.2.3.4:6443".into(),
                    ready: true,
                }],
                ..AuthEndpoint::default()
            },
            ..ClusterRecord::default()
        };
        assert_eq!(
            fields(&record),
            [
                "spec.displayName",
                "spec.tlsServerName",
                "spec.localClusterAuthEndpoint.fqdn",
                "spec.localClusterAuthEndpoint.nodes[0].hostname",
                "spec.localClusterAuthEndpoint.nodes[0].address"
            ]
        );
    }

    #[test]
    fn the_server_itself_has_no_address_to_forward_to() {
        let record =
            ClusterRecord { internal: true, api_endpoint: "https://x".into(), ..ClusterRecord::default() };
        assert_eq!(fields(&record), ["spec.apiEndpoint"]);
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_passes_holds_no_control_characters(text in "\\PC*|[\\x00-\\x7f]{0,40}") {
            let record = ClusterRecord { api_endpoint: text.clone(), ..ClusterRecord::default() };
            if check(&record).is_empty() {
                prop_assert!(text.bytes().all(|b| b.is_ascii_graphic()));
            }
            let _ = bad_id(&text);
        }
    }
}
