//! What `eartag serve` was asked to do: plain data, parsed. Each type is built only by parsing, so a bad flag is refused before anything is touched.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use secrecy::SecretString;

use crate::aggregation::ClusterSource;

/// Everything that `eartag serve` can be told (DESIGN §6).
#[derive(Debug)]
pub struct ServeOptions {
    /// Where keys, certificates, kubeconfigs and, unless `datastore` says otherwise, the database live.
    pub data_dir: PathBuf,
    /// Where to listen.
    pub listen: ListenAddress,
    /// Which store to use; `None`: SQLite in the data directory.
    pub datastore: Option<Datastore>,
    /// The key that wraps the private keys in the store; `None`: `keys/root.key` in the data directory.
    pub root_key_file: Option<PathBuf>,
    /// The first password of the user `admin`; used on the first start only. `None`: one is made and printed once.
    pub bootstrap_password: Option<SecretString>,
    /// Feature switches given on the command line, the last of a name wins.
    pub features: BTreeMap<String, bool>,
    /// A serving certificate from outside; `None`: one of the store's own authority.
    pub tls_files: Option<TlsFiles>,
    /// A file of PEM certificates of further authorities whose client certificates are accepted.
    pub client_ca: Option<PathBuf>,
    /// The URL by which clients reach this server.
    pub server_url: Option<ServerUrl>,
    /// Peers whose forwarding headers count (DEC55).
    pub trusted_proxies: Vec<Cidr>,
    /// The cluster that this server extends; `None`: it stands alone.
    pub aggregated: Option<Aggregated>,
    /// Settings from the environment: the full variable name (`CATTLE_…`) and its value, not yet checked (DEC42 does).
    pub environment: BTreeMap<String, String>,
}

impl ServeOptions {
    /// The options of `eartag serve` without any flag.
    #[must_use]
    pub fn new(data_dir: PathBuf) -> Self {
        Self {
            data_dir,
            listen: ListenAddress::default(),
            datastore: None,
            root_key_file: None,
            bootstrap_password: None,
            features: BTreeMap::new(),
            tls_files: None,
            client_ca: None,
            server_url: None,
            trusted_proxies: Vec::new(),
            aggregated: None,
            environment: BTreeMap::new(),
        }
    }

    /// The places of the data directory.
    #[must_use]
    pub fn paths(&self) -> DataPaths {
        let mut paths = DataPaths::new(&self.data_dir);
        if let Some(file) = &self.root_key_file {
            paths.root_key.clone_from(file);
        }
        if let Some(Datastore::Sqlite(file)) = &self.datastore {
            paths.database.clone_from(file);
        }
        paths
    }
}

/// Where things are in a data directory (DESIGN §6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataPaths {
    /// The directory itself.
    pub dir: PathBuf,
    /// The database, unless `--datastore` names another.
    pub database: PathBuf,
    /// The key that wraps private keys, unless `--root-key-file` names another.
    pub root_key: PathBuf,
    /// The certificate of the authority that signs serving certificates.
    pub ca_certificate: PathBuf,
    /// The kubeconfig of the user `admin`.
    pub admin_kubeconfig: PathBuf,
    /// The kubeconfig of `system:admin`.
    pub system_admin_kubeconfig: PathBuf,
}

impl DataPaths {
    /// The places of this directory.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            database: dir.join("eartag.db"),
            root_key: dir.join("keys").join("root.key"),
            ca_certificate: dir.join("tls").join("ca.crt"),
            admin_kubeconfig: dir.join("kubeconfig").join("admin.yaml"),
            system_admin_kubeconfig: dir.join("kubeconfig").join("system-admin.yaml"),
        }
    }
}

/// The cluster that a server extends.
#[derive(Debug, Clone)]
pub struct Aggregated {
    /// Where the cluster is, and who we are there.
    pub cluster: ClusterSource,
    /// `NAME.NAMESPACE.svc` of the Service by which the cluster reaches us: our certificate must name it.
    pub service_host: String,
}

/// A certificate chain and its key, both PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// The leaf's private key.
    pub key: PathBuf,
}

/// A flag's value that cannot be used; the text says what would be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadValue(String);

/// `HOST:PORT`; port 0 lets the system choose one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAddress {
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Default for ListenAddress {
    fn default() -> Self {
        Self { host: "127.0.0.1".into(), port: 8443 }
    }
}

impl FromStr for ListenAddress {
    type Err = BadValue;

    /// `127.0.0.1:8443`, `[::]:8443`, `localhost:8443`, or `:8443` for every address of the machine.
    fn from_str(text: &str) -> Result<Self, BadValue> {
        let bad = || BadValue(format!("{text:?} is not HOST:PORT, for example 127.0.0.1:8443"));
        let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
        let port = port.parse().map_err(|_| bad())?;
        let host = match host.strip_prefix('[').map(|h| h.strip_suffix(']')) {
            Some(Some(inner)) => inner.parse::<Ipv6Addr>().map_err(|_| bad())?.to_string(),
            Some(None) => return Err(bad()),
            None if host.is_empty() => Ipv6Addr::UNSPECIFIED.to_string(),
            None if host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')) => {
                host.to_owned()
            }
            None => return Err(bad()),
        };
        Ok(Self { host, port })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Which store holds the objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Datastore {
    /// A SQLite file of our own.
    Sqlite(PathBuf),
    /// Endpoints of an etcd. Understood so that the refusal is clear; not served yet.
    Etcd(Vec<String>),
}

impl FromStr for Datastore {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        match text.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(PathBuf::from(path))),
            Some(("etcd", endpoints)) if !endpoints.is_empty() => {
                Ok(Self::Etcd(endpoints.split(',').map(str::to_owned).collect()))
            }
            _ => Err(BadValue(format!(
                "{text:?} is not a datastore: give sqlite:PATH or etcd:http://HOST:PORT,…"
            ))),
        }
    }
}

/// `name=bool,…` as for `--features`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FeatureSwitches(pub BTreeMap<String, bool>);

impl FromStr for FeatureSwitches {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let mut switches = BTreeMap::new();
        for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            let bad = || BadValue(format!("{part:?} is not name=true or name=false"));
            let (name, value) = part.split_once('=').ok_or_else(bad)?;
            let value = match value.trim() {
                "true" | "True" | "TRUE" | "1" | "t" | "T" => true,
                "false" | "False" | "FALSE" | "0" | "f" | "F" => false,
                _ => return Err(bad()),
            };
            let name = name.trim();
            if name.is_empty() {
                return Err(bad());
            }
            switches.insert(name.to_owned(), value);
        }
        Ok(Self(switches))
    }
}

/// An `https://` URL without a trailing slash, query, fragment or user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl {
    text: String,
    host: String,
}

impl ServerUrl {
    /// The URL as kubeconfigs show it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its host: a name, or an address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }
}

impl FromStr for ServerUrl {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let bad = || BadValue(format!("{text:?} is not https://HOST[:PORT][/PATH]"));
        let uri: http::Uri = text.parse().map_err(|_| bad())?;
        let authority = uri.authority().ok_or_else(bad)?;
        let plain = uri.scheme_str() == Some("https")
            && !authority.as_str().contains('@')
            && uri.query().is_none()
            && !text.contains('#');
        if !plain || authority.host().is_empty() {
            return Err(bad());
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { text: text.trim_end_matches('/').to_owned(), host })
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A range of addresses, `10.0.0.0/8`, or a single one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    network: u128,
    /// Bits of `network` that count, over the 128 of the mapped form.
    bits: u32,
}

impl Cidr {
    /// Whether the address lies in the range. IPv4 and IPv4-mapped IPv6 addresses are the same.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        mask(mapped(address), self.bits) == self.network
    }
}

impl FromStr for Cidr {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let bad = || BadValue(format!("{text:?} is not an address range, for example 10.0.0.0/8"));
        let (address, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
        let address: IpAddr = address.trim().parse().map_err(|_| bad())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let length: u32 = match length {
            Some(length) => length.trim().parse().map_err(|_| bad())?,
            None => width,
        };
        if length > width {
            return Err(bad());
        }
        let bits = 128 - width + length;
        Ok(Self { network: mask(mapped(address), bits), bits })
    }
}

fn mapped(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4_mapped(v4),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

fn v4_mapped(address: Ipv4Addr) -> u128 {
    u128::from(address.to_ipv6_mapped())
}

fn mask(address: u128, bits: u32) -> u128 {
    // A shift by the whole width (0 bits count) is not a shift for the machine.
    address & u128::MAX.checked_shl(128 - bits).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn listen_addresses_take_the_forms_people_type() {
        for (text, host, port) in [
            ("127.0.0.1:8443", "127.0.0.1", 8443),
            ("[::1]:1", "::1", 1),
            (":8443", "::", 8443),
            ("localhost:0", "localhost", 0),
        ] {
            let parsed: ListenAddress = text.parse().unwrap();
            assert_eq!((parsed.host.as_str(), parsed.port), (host, port), "{text}");
        }
        for bad in
            ["", "8443", "127.0.0.1", "::1:8443", "[::1", "h:70000", "h:-1", "a b:1", "[x]:1", "http://x:1"]
        {
            assert!(bad.parse::<ListenAddress>().is_err(), "{bad}");
        }
        assert_eq!("[::1]:1".parse::<ListenAddress>().unwrap().to_string(), "[::1]:1");
    }

    #[test]
    fn a_datastore_is_sqlite_or_etcd() {
        assert_eq!("sqlite:/x/y.db".parse(), Ok(Datastore::Sqlite("/x/y.db".into())));
        assert_eq!(
            "etcd:http://a:1,http://b:2".parse(),
            Ok(Datastore::Etcd(vec!["http://a:1".into(), "http://b:2".into()]))
        );
        for bad in ["", "sqlite", "sqlite:", "etcd:", "mysql:x"] {
            assert!(bad.parse::<Datastore>().is_err(), "{bad}");
        }
    }

    #[test]
    fn features_are_a_list_of_switches() {
        let parsed: FeatureSwitches = "ext-tokens=true, token-hashing=false,".parse().unwrap();
        assert_eq!(parsed.0, [("ext-tokens".to_owned(), true), ("token-hashing".to_owned(), false)].into());
        for bad in ["ext-tokens", "ext-tokens=yes", "=true"] {
            assert!(bad.parse::<FeatureSwitches>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_server_url_is_https_and_plain() {
        let url: ServerUrl = "https://rancher.example.com:8443/".parse().unwrap();
        assert_eq!((url.as_str(), url.host()), ("https://rancher.example.com:8443", "rancher.example.com"));
        assert_eq!("https://[::1]:9".parse::<ServerUrl>().unwrap().host(), "::1");
        for bad in
            ["", "http://x", "x", "https://", "https://u@x", "https://x/?a=b", "https://x/#f", "https://a b"]
        {
            assert!(bad.parse::<ServerUrl>().is_err(), "{bad}");
        }
    }

    #[test]
    fn ranges_hold_their_addresses_in_both_spellings() {
        let range: Cidr = "10.1.0.0/16".parse().unwrap();
        assert!(range.contains("10.1.255.255".parse().unwrap()));
        assert!(range.contains("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!range.contains("10.2.0.0".parse().unwrap()));
        assert!(!range.contains("::1".parse().unwrap()));
        let all: Cidr = "::/0".parse().unwrap();
        assert!(all.contains("2001:db8::1".parse().unwrap()) && all.contains("1.2.3.4".parse().unwrap()));
        assert!("0.0.0.0/0".parse::<Cidr>().unwrap().contains("8.8.8.8".parse().unwrap()));
        assert!("1.2.3.4".parse::<Cidr>().unwrap().contains("1.2.3.4".parse().unwrap()));
        for bad in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "x/8", "10.0.0.0/-1"] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
    }
}
