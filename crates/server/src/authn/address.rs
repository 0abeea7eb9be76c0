//! Under which address a request came in, and from where: `Host` and the peer, or what a trusted proxy says about them (DEC55).
//!
//! Links, the same-origin rule and the login throttle all use these two, so that they cannot disagree.

use std::net::IpAddr;

use http::uri::Authority;
use http::{HeaderMap, Uri};

use crate::config::Cidr;

/// The outside address of this server as one request saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicAddress {
    /// `https`, or `http` where a trusted proxy says that it talks so with the client.
    pub scheme: &'static str,
    /// `host[:port]`, in lower case, the port only where it is not the scheme's own.
    pub authority: String,
    /// A path before all of ours, starting with `/`, or empty.
    pub prefix: String,
}

impl PublicAddress {
    /// Finds the address. Forwarding headers count only if the peer is a trusted proxy; where there is no usable `Host`, `server_url` is taken.
    #[must_use]
    pub fn of(
        headers: &HeaderMap,
        uri: &Uri,
        peer: IpAddr,
        trusted: &[Cidr],
        server_url: impl FnOnce() -> String,
    ) -> PublicAddress {
        let proxied = is_trusted(peer, trusted);
        let forwarded = |name: &str| if proxied { first(headers, name) } else { None };
        let scheme = match forwarded("x-forwarded-proto") {
            Some("http" | "ws") => "http",
            _ => "https",
        };
        let authority = forwarded("x-api-host")
            .or_else(|| forwarded("x-forwarded-host"))
            .and_then(|text| normal(scheme, text))
            .or_else(|| uri.authority().and_then(|a| normal(scheme, a.as_str())))
            .or_else(|| first(headers, "host").and_then(|text| normal(scheme, text)));
        let prefix = forwarded("x-api-url-prefix").and_then(clean_prefix).unwrap_or_default();
        match authority {
            Some(authority) => PublicAddress { scheme, authority, prefix },
            None => PublicAddress::parse(&server_url()).unwrap_or(PublicAddress {
                scheme,
                authority: "localhost".to_owned(),
                prefix,
            }),
        }
    }

    /// An `http(s)` URL's address; its path is the prefix. `None` for everything else.
    #[must_use]
    pub fn parse(url: &str) -> Option<PublicAddress> {
        let uri: Uri = url.trim().parse().ok()?;
        let scheme = match uri.scheme_str() {
            Some("https") => "https",
            Some("http") => "http",
            _ => return None,
        };
        let authority = normal(scheme, uri.authority()?.as_str())?;
        Some(PublicAddress { scheme, authority, prefix: clean_prefix(uri.path()).unwrap_or_default() })
    }

    /// `scheme://authority/prefix`, without a slash at the end.
    #[must_use]
    pub fn base(&self) -> String {
        format!("{}://{}{}", self.scheme, self.authority, self.prefix)
    }

    /// Whether both name the same scheme, host and port.
    #[must_use]
    pub fn same_origin(&self, other: &PublicAddress) -> bool {
        self.scheme == other.scheme && self.authority == other.authority
    }
}

/// The client's address: the peer's, or behind trusted proxies the last one in `X-Forwarded-For` that is not itself a trusted proxy.
#[must_use]
pub fn client(headers: &HeaderMap, peer: IpAddr, trusted: &[Cidr]) -> IpAddr {
    if !is_trusted(peer, trusted) {
        return peer.to_canonical();
    }
    let mut client = peer;
    for value in headers.get_all("x-forwarded-for").iter().rev() {
        let Ok(text) = value.to_str() else { return client.to_canonical() };
        for hop in text.rsplit(',') {
            let Some(address) = hop_address(hop.trim()) else { return client.to_canonical() };
            client = address;
            if !is_trusted(address, trusted) {
                return client.to_canonical();
            }
        }
    }
    client.to_canonical()
}

fn is_trusted(peer: IpAddr, trusted: &[Cidr]) -> bool {
    trusted.iter().any(|range| range.contains(peer))
}

/// `1.2.3.4`, `1.2.3.4:5`, `::1`, `[::1]`, `[::1]:5`.
fn hop_address(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    if let Ok(address) = text.parse::<std::net::SocketAddr>() {
        return Some(address.ip());
    }
    text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6)
}

/// The first item of a header that may be a list.
fn first<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let text = headers.get(name)?.to_str().ok()?;
    let item = text.split(',').next()?.trim();
    (!item.is_empty()).then_some(item)
}

fn normal(scheme: &str, text: &str) -> Option<String> {
    let authority: Authority = text.parse().ok()?;
    let host = authority.host();
    if host.is_empty() || authority.as_str().contains('@') {
        return None;
    }
    let host = host.to_ascii_lowercase();
    let own = if scheme == "https" { 443 } else { 80 };
    match authority.port_u16() {
        Some(port) if port != own => Some(format!("{host}:{port}")),
        Some(_) => Some(host),
        // A port that is there and is no number.
        None if authority.as_str().len() != host.len() => None,
        None => Some(host),
    }
}

fn clean_prefix(text: &str) -> Option<String> {
    let text = text.trim_end_matches('/');
    let fine = text.starts_with('/')
        && !text.contains("//")
        && text.len() <= 256
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-._~%".contains(&b));
    fine.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn base(pairs: &[(&'static str, &str)], uri: &str, peer: &str) -> String {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        PublicAddress::of(&headers(pairs), &uri.parse().unwrap(), peer.parse().unwrap(), &trusted, || {
            "https://set.example/r".to_owned()
        })
        .base()
    }

    #[test]
    fn without_a_proxy_the_host_is_taken() {
        assert_eq!(base(&[("host", "A.example:8443")], "/v3", "1.2.3.4"), "https://a.example:8443");
        assert_eq!(base(&[("host", "a.example:443")], "/v3", "1.2.3.4"), "https://a.example");
        assert_eq!(base(&[], "https://h2.example:1/v3", "1.2.3.4"), "https://h2.example:1");
        assert_eq!(base(&[("host", "[::1]:8443")], "/v3", "1.2.3.4"), "https://[::1]:8443");
    }

    #[test]
    fn forwarded_headers_of_strangers_do_not_count() {
        let pairs = [
            ("host", "a.example"),
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-proto", "http"),
            ("x-api-host", "evil.example"),
            ("x-api-url-prefix", "/evil"),
        ];
        assert_eq!(base(&pairs, "/v3", "1.2.3.4"), "https://a.example");
    }

    #[test]
    fn a_trusted_proxy_names_scheme_host_and_prefix() {
        let pairs = [
            ("host", "inner"),
            ("x-forwarded-host", "outer.example, middle"),
            ("x-forwarded-proto", "ws"),
            ("x-api-url-prefix", "/tokens/"),
        ];
        assert_eq!(base(&pairs, "/v3", "10.9.8.7"), "http://outer.example/tokens");
        assert_eq!(
            base(&[("host", "inner"), ("x-api-host", "api.example")], "/v3", "10.9.8.7"),
            "https://api.example"
        );
        for bad in ["evil", "/a//b", "/\"x", "/<script>"] {
            assert_eq!(
                base(&[("host", "inner"), ("x-api-url-prefix", bad)], "/v3", "10.0.0.1"),
                "https://inner"
            );
        }
    }

    #[test]
    fn the_server_url_stands_in_for_a_missing_or_bad_host() {
        assert_eq!(base(&[], "/v3", "1.2.3.4"), "https://set.example/r");
        for bad in ["user@host", "a b", "host:port", ""] {
            assert_eq!(base(&[("host", bad)], "/v3", "1.2.3.4"), "https://set.example/r", "{bad}");
        }
    }

    #[test]
    fn the_client_is_the_last_address_that_is_not_a_trusted_proxy() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let client = |peer: &str, forwarded: &[&str]| {
            let headers: Vec<_> = forwarded.iter().map(|f| ("x-forwarded-for", *f)).collect();
            super::client(&self::headers(&headers), peer.parse().unwrap(), &trusted).to_string()
        };
        assert_eq!(client("1.2.3.4", &["9.9.9.9"]), "1.2.3.4");
        assert_eq!(client("10.0.0.1", &["6.6.6.6, 9.9.9.9"]), "9.9.9.9");
        assert_eq!(client("10.0.0.1", &["6.6.6.6", "9.9.9.9, 10.0.0.2"]), "9.9.9.9");
        assert_eq!(client("10.0.0.1", &["9.9.9.9:4711"]), "9.9.9.9");
        assert_eq!(client("10.0.0.1", &["[2001:db8::1]:4711"]), "2001:db8::1");
        assert_eq!(client("10.0.0.1", &["unknown"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(client("::ffff:10.0.0.1", &["::ffff:9.9.9.9"]), "9.9.9.9");
    }
}
