//! The steps from flags to a server that can listen: store, names, certificates.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

pub use eartag_core::PlainSecret;
use eartag_core::collections;
use eartag_storage::{Observer, OpenError, Options, Sqlite, Store};

use crate::admin_files::Address;
use crate::config::{DataPaths, Datastore, ServeOptions};
use crate::files::{FileError, private_dir};
use crate::identity::{Identity, IdentityError, Random, bytes};
use crate::listener::{ListenError, Tls};
use crate::tls::{ClientAuthorities, ServingCertificate, TlsError, load_certificates, server_config};

/// Why the server did not start, or stopped. Each text is one sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The listening socket.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A file or directory.
    #[error(transparent)]
    File(#[from] FileError),
    /// The data file.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Keys and the first start.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Something asked for that this version does not do.
    #[error("{0}")]
    Unsupported(String),
    /// A value that may not be: an environment variable, a feature.
    #[error("{0}")]
    BadValue(String),
    /// The operating system.
    #[error("{0}")]
    System(String),
}

/// What to tell the operator once the server answers.
#[derive(Debug)]
pub struct Ready {
    /// How to reach the server from this machine.
    pub url: String,
    /// Where the kubeconfigs and certificates are.
    pub paths: DataPaths,
    /// The first password of `admin`, if one had to be made: to be shown once.
    pub generated_password: Option<PlainSecret>,
    /// Whether this was the store's first start.
    pub first: bool,
}

/// Opens the store that the flags name; makes the data directory.
///
/// # Errors
/// [`ServeError`]: the directory, the file, another server on it, a kind of store that is not served.
pub async fn open_store(options: &ServeOptions, observer: Arc<dyn Observer>) -> Result<Store, ServeError> {
    if let Some(Datastore::Etcd(_)) = options.datastore {
        return Err(ServeError::Unsupported(
            "the datastore etcd is not supported by this version; use sqlite:PATH, or leave --datastore out"
                .into(),
        ));
    }
    let paths = options.paths();
    private_dir(&paths.dir)?;
    if let Some(parent) = paths.database.parent().filter(|p| !p.as_os_str().is_empty()) {
        private_dir(parent)?;
    }
    let engine = Box::new(Sqlite::new(&paths.database));
    Ok(Store::open(engine, collections::all(), observer, Options::default()).await?)
}

/// How clients reach the server, and what they should trust (empty: the store's own authority).
///
/// # Errors
/// When the certificate of `--tls-cert` cannot be read.
pub fn address(options: &ServeOptions, bound: SocketAddr) -> Result<Address, ServeError> {
    let url = options.server_url.as_ref().map_or_else(|| local_url(options, bound), ToString::to_string);
    let trust = match &options.tls_files {
        // Clients take a certificate that they were given as trusted for what it is, also when nobody they know signed it.
        Some(files) => load_certificates(&files.certificate)?
            .iter()
            .map(|certificate| crate::pki::pem("CERTIFICATE", certificate).to_string())
            .collect(),
        None => String::new(),
    };
    Ok(Address { url, trust })
}

/// The URL of the listening socket, seen from this machine.
#[must_use]
pub fn local_url(options: &ServeOptions, bound: SocketAddr) -> String {
    let host = if bound.ip().is_unspecified() { "127.0.0.1" } else { options.listen.host.as_str() };
    if host.contains(':') {
        format!("https://[{host}]:{}", bound.port())
    } else {
        format!("https://{host}:{}", bound.port())
    }
}

/// The names and addresses of this start's serving certificate.
#[must_use]
pub fn certificate_names(options: &ServeOptions, bound: SocketAddr) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let node = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let url_host = options.server_url.as_ref().map(|url| url.host().to_owned());
    let listened = (!bound.ip().is_unspecified()).then(|| bound.ip().to_string());
    let service = options.aggregated.as_ref().map(|aggregated| aggregated.service_host.clone());
    for name in
        [Some(options.listen.host.clone()), listened, Some(node), url_host, service].into_iter().flatten()
    {
        let unspecified = name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_unspecified());
        if !name.is_empty() && !unspecified && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// TLS for the listener, and the certificate it shows: for replacing it (see [`crate::tls::watch_files`]).
///
/// # Errors
/// [`ServeError`]: unusable certificates.
pub fn tls(
    options: &ServeOptions,
    identity: &Identity,
    bound: SocketAddr,
    random: Random<'_>,
    now_s: i64,
) -> Result<(Tls, Arc<ServingCertificate>), ServeError> {
    let serving = match &options.tls_files {
        Some(files) => ServingCertificate::load(files)?,
        None => {
            let names = certificate_names(options, bound);
            let issued =
                identity.serving.issue_server(&names, now_s, bytes(random)).map_err(IdentityError::Pki)?;
            ServingCertificate::issued(&issued, &identity.serving)?
        }
    };
    let serving = Arc::new(serving);
    let mut authorities = vec![identity.clients.certificate().clone()];
    if let Some(file) = &options.client_ca {
        authorities.extend(load_certificates(file)?);
    }
    let clients = Arc::new(ClientAuthorities::new(&authorities)?);
    Ok((Tls { config: server_config(Arc::clone(&serving))?, clients }, serving))
}

/// Checks what can be checked of the flags before anything is made: files that must be readable, certificates that must fit.
///
/// # Errors
/// [`ServeError`].
pub fn check_files(options: &ServeOptions) -> Result<(), ServeError> {
    if let Some(files) = &options.tls_files {
        ServingCertificate::load(files)?;
    }
    if let Some(file) = &options.client_ca {
        ClientAuthorities::new(&load_certificates(Path::new(file))?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use std::fs;

    use eartag_storage::NoObserver;

    use super::*;
    use crate::clock::{SystemClock, fill_random};
    use crate::config::TlsFiles;

    fn options(dir: &Path) -> ServeOptions {
        ServeOptions::new(dir.join("data"))
    }

    fn bound(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_url_is_one_that_works_on_this_machine() {
        let mut options = options(Path::new("/x"));
        assert_eq!(local_url(&options, bound("127.0.0.1:40000")), "https://127.0.0.1:40000");
        options.listen = "[::1]:0".parse().unwrap();
        assert_eq!(local_url(&options, bound("[::1]:1")), "https://[::1]:1");
        options.listen = ":0".parse().unwrap();
        assert_eq!(local_url(&options, bound("[::]:1")), "https://127.0.0.1:1");
        options.server_url = Some("https://tokens.example.com".parse().unwrap());
        assert_eq!(address(&options, bound("[::]:1")).unwrap().url, "https://tokens.example.com");
    }

    #[test]
    fn the_certificate_names_all_the_ways_to_get_here() {
        let mut options = options(Path::new("/x"));
        options.listen = "10.0.0.7:0".parse().unwrap();
        options.server_url = Some("https://tokens.example.com:9".parse().unwrap());
        let names = certificate_names(&options, bound("10.0.0.7:1"));
        for name in ["localhost", "127.0.0.1", "::1", "10.0.0.7", "tokens.example.com"] {
            assert_eq!(names.iter().filter(|n| *n == name).count(), 1, "{name} in {names:?}");
        }
        options.listen = ":0".parse().unwrap();
        assert!(!certificate_names(&options, bound("[::]:1")).contains(&"::".to_owned()));
    }

    #[tokio::test]
    async fn stores_that_cannot_be_opened_are_named_in_one_sentence() {
        let dir = tempfile::tempdir().unwrap();
        let open = |options: ServeOptions| async move {
            open_store(&options, Arc::new(NoObserver)).await.map(|_| ()).unwrap_err().to_string()
        };
        let mut etcd = options(dir.path());
        etcd.datastore = Some("etcd:http://x:1".parse().unwrap());
        assert!(open(etcd).await.starts_with("the datastore etcd is not supported"));

        fs::write(dir.path().join("file"), "").unwrap();
        let error = open(options(&dir.path().join("file"))).await;
        assert!(error.contains("cannot write") && error.contains("not a directory"), "{error}");

        let foreign = options(dir.path());
        private_dir(&foreign.data_dir).unwrap();
        fs::write(foreign.paths().database, "this is no database, but it is long enough to be looked at")
            .unwrap();
        let error = open(foreign).await;
        assert!(error.contains("is not one that this version can use"), "{error}");
    }

    #[tokio::test]
    async fn a_second_server_on_the_same_directory_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let first = open_store(&options(dir.path()), Arc::new(NoObserver)).await.unwrap();
        let error = open_store(&options(dir.path()), Arc::new(NoObserver)).await.map(|_| ()).unwrap_err();
        assert!(error.to_string().ends_with("is in use by another process"), "{error}");
        first.close().await;
    }

    #[test]
    fn outside_certificates_are_used_and_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let now_s = SystemClock.wall_s();
        let identity = Identity::new("user-abcde".into(), &fill_random, now_s).unwrap();
        let outside = crate::pki::Authority::new("outside", now_s, [1; 16]).unwrap();
        let issued = outside.issue_server(&["example.com".into()], now_s, [2; 16]).unwrap();
        let files = TlsFiles { certificate: dir.path().join("c"), key: dir.path().join("k") };
        fs::write(&files.certificate, issued.certificate_pem()).unwrap();
        fs::write(&files.key, issued.key_pem().as_bytes()).unwrap();
        let mut options = options(dir.path());
        options.tls_files = Some(files);
        options.client_ca = Some(dir.path().join("c"));
        check_files(&options).unwrap();
        tls(&options, &identity, bound("127.0.0.1:1"), &fill_random, now_s).unwrap();
        assert_eq!(address(&options, bound("127.0.0.1:1")).unwrap().trust, issued.certificate_pem());
        options.client_ca = Some(dir.path().join("k"));
        let error = check_files(&options).unwrap_err().to_string();
        assert!(error.ends_with("holds no certificate in PEM form that can be read"), "{error}");
    }
}
