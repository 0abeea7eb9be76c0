//! TLS for the listener: which certificate we show, and what we make of a client's.
//!
//! A client certificate is asked for, never demanded, and **not verified in the handshake**: a broken one must not keep out somebody who came with a good
//! bearer token, and must give the others a 401 instead of a TLS alert. The handshake only proves that the client holds the key; whether the
//! certificate is worth anything is decided afterwards by [`ClientAuthorities`].

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig,
    SignatureScheme,
};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::config::TlsFiles;
use crate::files::{FileError, read_small};
use crate::pki::{Authority, Issued};

/// Certificate files may be this large, in bytes.
const FILE_LIMIT: u64 = 1 << 20;
/// A client may send this many certificates; more is not a chain.
const CHAIN_LIMIT: usize = 10;

/// Certificates that cannot be used. Each text is one sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file is not there.
    #[error("cannot read {0}: there is no such file")]
    Missing(String),
    /// A file does not hold PEM certificates.
    #[error("{0} holds no certificate in PEM form that can be read")]
    NotCertificates(String),
    /// A file does not hold a PEM private key.
    #[error("{0} holds no private key in PEM form that can be read")]
    NotAKey(String),
    /// The key is not the certificate's.
    #[error("the private key in {key} does not belong to the certificate in {certificate}")]
    Mismatch {
        /// The certificate's file.
        certificate: String,
        /// The key's file.
        key: String,
    },
    /// rustls refuses the configuration.
    #[error("TLS cannot be set up: {0}")]
    Setup(String),
}

/// Which authority stands behind a client certificate: what its holder may say depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Issuer {
    /// One of our own, or one that the operator named: the holder is who the certificate says.
    Ours,
    /// The client authority of the cluster that we extend: the holder is who the certificate says, as far as that cluster goes.
    Cluster,
    /// The authority of that cluster's front proxy, and the name is an allowed one: the holder may say whom it speaks for.
    FrontProxy,
}

/// A client certificate that was verified: against one of the client authorities, in time, and meant for clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Who vouches for it.
    pub issuer: Issuer,
    /// The subject's common name: the user.
    pub common_name: String,
    /// The subject's organizations: the groups.
    pub organizations: Vec<String>,
    /// When it ends, in seconds since 1970.
    pub not_after_s: i64,
    /// SHA-256 of the certificate, lower-case hex.
    pub fingerprint: String,
}

/// What came of the certificate that a client presented.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Presented {
    /// It presented none.
    #[default]
    None,
    /// It is good.
    Verified(Arc<ClientCertificate>),
    /// It is not; the reason is for the log, never for the client.
    Rejected(String),
}

/// The certificate that the server shows. It can be replaced while connections are open: new handshakes use the new one.
#[derive(Debug)]
pub struct ServingCertificate(RwLock<Arc<CertifiedKey>>);

impl ServingCertificate {
    /// A certificate of our own authority.
    ///
    /// # Errors
    /// [`TlsError::Setup`] when the pair cannot be used.
    pub fn issued(issued: &Issued, authority: &Authority) -> Result<Self, TlsError> {
        let chain = vec![issued.certificate.clone(), authority.certificate().clone()];
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(issued.key.to_vec()));
        let pair =
            CertifiedKey::from_der(chain, key, &provider()).map_err(|e| TlsError::Setup(e.to_string()))?;
        Ok(Self(RwLock::new(Arc::new(pair))))
    }

    /// A certificate from files.
    ///
    /// # Errors
    /// [`TlsError`]: unreadable, no PEM, or key and certificate do not belong together.
    pub fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        Ok(Self(RwLock::new(Arc::new(load_pair(files)?))))
    }

    /// Reads the files again. On an error the old certificate stays. `true` when it changed.
    ///
    /// # Errors
    /// As [`ServingCertificate::load`].
    pub fn reload(&self, files: &TlsFiles) -> Result<bool, TlsError> {
        let new = load_pair(files)?;
        let changed = self.0.read().cert != new.cert;
        if changed {
            *self.0.write() = Arc::new(new);
        }
        Ok(changed)
    }
}

impl ResolvesServerCert for ServingCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read()))
    }
}

/// Keeps a serving certificate from files up to date: looks every `every` whether they changed, and at once after SIGHUP. Never ends.
pub async fn watch_files(serving: Arc<ServingCertificate>, files: TlsFiles, every: Duration) {
    let mut hangups = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).ok();
    loop {
        let hangup = async {
            match hangups.as_mut() {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = hangup => {}
            () = tokio::time::sleep(every) => {}
        }
        match serving.reload(&files) {
            Ok(true) => tracing::info!("the serving certificate was replaced"),
            Ok(false) => {}
            // Between the writing of the two files they do not match: the next look settles it.
            Err(error) => tracing::warn!(%error, "the serving certificate was not replaced"),
        }
    }
}

/// The authorities whose client certificates are accepted: ours for good, and those of a cluster, which may change while connections are open.
#[derive(Debug)]
pub struct ClientAuthorities {
    ours: Arc<dyn ClientCertVerifier>,
    cluster: RwLock<Arc<ClusterAuthorities>>,
    generation: AtomicU64,
}

/// The authorities of the cluster that we extend.
#[derive(Debug, Default)]
pub struct ClusterAuthorities {
    /// Whose certificates let a front proxy say whom it speaks for.
    front_proxy: Option<Arc<dyn ClientCertVerifier>>,
    /// The common names that such a certificate must have; none: any.
    allowed_names: Vec<String>,
    /// Whose certificates are those of the cluster's users.
    clients: Option<Arc<dyn ClientCertVerifier>>,
}

impl ClusterAuthorities {
    /// These authorities (DER). A list that is empty vouches for nobody.
    ///
    /// # Errors
    /// [`TlsError::Setup`] when a list is not empty and none of it can be used.
    pub fn new(
        front_proxy: &[CertificateDer<'static>],
        allowed_names: Vec<String>,
        clients: &[CertificateDer<'static>],
    ) -> Result<Self, TlsError> {
        let some = |authorities: &[CertificateDer<'static>]| {
            if authorities.is_empty() {
                return Ok(None);
            }
            // A bundle may hold an odd old one beside those that count.
            let mut roots = RootCertStore::empty();
            let (_, ignored) = roots.add_parsable_certificates(authorities.iter().cloned());
            if ignored > 0 {
                tracing::warn!(ignored, "certificates of the cluster's authorities cannot be used");
            }
            verifier(roots).map(Some)
        };
        Ok(Self { front_proxy: some(front_proxy)?, allowed_names, clients: some(clients)? })
    }

    /// Whether a front proxy can be told from others at all.
    #[must_use]
    pub fn has_front_proxy(&self) -> bool {
        self.front_proxy.is_some()
    }
}

impl ClientAuthorities {
    /// These authorities (DER), as our own; there must be at least one that can be read.
    ///
    /// # Errors
    /// [`TlsError::Setup`].
    pub fn new(authorities: &[CertificateDer<'static>]) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority.clone()).map_err(|e| TlsError::Setup(e.to_string()))?;
        }
        Ok(Self { ours: verifier(roots)?, cluster: RwLock::default(), generation: AtomicU64::new(0) })
    }

    /// From now on these are the cluster's; also for connections that are open.
    pub fn set_cluster(&self, cluster: ClusterAuthorities) {
        *self.cluster.write() = Arc::new(cluster);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// A number that moves when authorities change: what was verified before is to be verified anew.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// What a presented chain, leaf first, is worth at `now_s` (seconds since 1970).
    #[must_use]
    pub fn verify(&self, chain: &[CertificateDer<'_>], now_s: i64) -> Presented {
        let Some((leaf, intermediates)) = chain.split_first() else { return Presented::None };
        if intermediates.len() >= CHAIN_LIMIT {
            return Presented::Rejected("the chain is too long".into());
        }
        let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now_s).unwrap_or(0)));
        let signed = |by: &Arc<dyn ClientCertVerifier>| by.verify_client_cert(leaf, intermediates, now);
        let cluster = Arc::clone(&self.cluster.read());
        let described = |issuer| match describe(leaf, issuer) {
            Some(certificate) if certificate.common_name.is_empty() => {
                Presented::Rejected("the certificate names nobody: its subject has no common name".into())
            }
            Some(certificate) => Presented::Verified(Arc::new(certificate)),
            None => Presented::Rejected("the certificate cannot be read".into()),
        };
        // The front proxy first: where one authority signs for it and for users too, the allowed names tell them apart.
        if cluster.front_proxy.as_ref().is_some_and(|by| signed(by).is_ok())
            && let Presented::Verified(certificate) = described(Issuer::FrontProxy)
            && (cluster.allowed_names.is_empty() || cluster.allowed_names.contains(&certificate.common_name))
        {
            return Presented::Verified(certificate);
        }
        match signed(&self.ours) {
            Ok(_) => described(Issuer::Ours),
            Err(_) if cluster.clients.as_ref().is_some_and(|by| signed(by).is_ok()) => {
                described(Issuer::Cluster)
            }
            Err(error) => Presented::Rejected(error.to_string()),
        }
    }
}

fn verifier(roots: RootCertStore) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map(|verifier| verifier as Arc<dyn ClientCertVerifier>)
        .map_err(|e| TlsError::Setup(e.to_string()))
}

/// The certificates of a PEM file, as for `--client-ca`.
///
/// # Errors
/// [`TlsError`] when the file cannot be read or holds no certificate.
pub fn load_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let name = || path.display().to_string();
    let bytes = read_small(path, FILE_LIMIT)?.ok_or_else(|| TlsError::Missing(name()))?;
    certificates_of(&bytes).ok_or_else(|| TlsError::NotCertificates(name()))
}

/// The certificates of a PEM text; `None` if there is none in it, or one that cannot be read.
#[must_use]
pub fn certificates_of(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()?;
    let readable =
        !certificates.is_empty() && certificates.iter().all(|c| X509Certificate::from_der(c).is_ok());
    readable.then_some(certificates)
}

/// Whether a private key in PEM form is that of the first certificate in the other text.
#[must_use]
pub fn fit_together(certificates: &[u8], key: &[u8]) -> bool {
    let Some(chain) = certificates_of(certificates) else { return false };
    PrivateKeyDer::from_pem_slice(key)
        .is_ok_and(|key| CertifiedKey::from_der(chain, key, &provider()).is_ok())
}

/// The listener's TLS: 1.2 and 1.3, HTTP/2 and HTTP/1.1, client certificates asked for.
///
/// # Errors
/// [`TlsError::Setup`].
pub fn server_config(serving: Arc<ServingCertificate>) -> Result<Arc<ServerConfig>, TlsError> {
    let setup = |e: Error| TlsError::Setup(e.to_string());
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(setup)?
        .with_client_cert_verifier(Arc::new(AnyClientCertificate(
            provider().signature_verification_algorithms,
        )))
        .with_cert_resolver(serving);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Tickets keep a session at the client, so ten thousand clients that come back cost us no memory. A resumed session brings its client
    // certificate along, which is verified anew.
    config.ticketer = aws_lc_rs::Ticketer::new().map_err(setup)?;
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}

/// The one provider of cryptography.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn load_pair(files: &TlsFiles) -> Result<CertifiedKey, TlsError> {
    let chain = load_certificates(&files.certificate)?;
    let name = || files.key.display().to_string();
    let bytes = zeroize::Zeroizing::new(
        read_small(&files.key, FILE_LIMIT)?.ok_or_else(|| TlsError::Missing(name()))?,
    );
    let key = PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| TlsError::NotAKey(name()))?;
    CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
        Error::InconsistentKeys(_) => {
            TlsError::Mismatch { certificate: files.certificate.display().to_string(), key: name() }
        }
        Error::InvalidCertificate(_) => TlsError::NotCertificates(files.certificate.display().to_string()),
        _ => TlsError::NotAKey(name()),
    })
}

fn describe(certificate: &CertificateDer<'_>, issuer: Issuer) -> Option<ClientCertificate> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    // A name that is not text would make the rest of the subject mean something else: such a certificate is unreadable as a whole.
    let common_name =
        parsed.subject().iter_common_name().last().map_or(Ok(""), |name| name.as_str()).ok()?.to_owned();
    let organizations = parsed
        .subject()
        .iter_organization()
        .map(|name| name.as_str().map(str::to_owned))
        .collect::<Result<_, _>>()
        .ok()?;
    Some(ClientCertificate {
        issuer,
        common_name,
        organizations,
        not_after_s: parsed.validity().not_after.timestamp(),
        fingerprint: sha256_hex(certificate),
    })
}

fn sha256_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let digest = ::aws_lc_rs::digest::digest(&::aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Takes any client certificate that can be read and checks only that the client holds its key.
#[derive(Debug)]
struct AnyClientCertificate(WebPkiSupportedAlgorithms);

impl ClientCertVerifier for AnyClientCertificate {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// No hints: with hints that lack its issuer, Go's client sends no certificate at all.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match X509Certificate::from_der(end_entity) {
            Ok(_) => Ok(ClientCertVerified::assertion()),
            Err(_) => Err(Error::InvalidCertificate(CertificateError::BadEncoding)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use std::fs;

    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, ClientConnection, ServerConnection};

    use super::*;
    use crate::clock::SystemClock;

    /// Our authorities and what a listener needs of them, for tests here and in the listener.
    pub(crate) struct Fixture {
        pub serving_ca: Authority,
        pub client_ca: Authority,
        pub config: Arc<ServerConfig>,
        pub clients: Arc<ClientAuthorities>,
    }

    pub(crate) fn fixture() -> Fixture {
        let now = SystemClock.wall_s();
        let serving_ca = Authority::new("serving", now, [1; 16]).unwrap();
        let client_ca = Authority::new("client", now, [2; 16]).unwrap();
        let leaf = serving_ca.issue_server(&["localhost".into(), "127.0.0.1".into()], now, [3; 16]).unwrap();
        let serving = ServingCertificate::issued(&leaf, &serving_ca).unwrap();
        let config = server_config(Arc::new(serving)).unwrap();
        let clients = Arc::new(ClientAuthorities::new(&[client_ca.certificate().clone()]).unwrap());
        Fixture { serving_ca, client_ca, config, clients }
    }

    pub(crate) fn client_config(
        ca: &Authority,
        identity: Option<&Issued>,
        alpn: &[&[u8]],
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(ca.certificate().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match identity {
            Some(issued) => builder
                .with_client_auth_cert(
                    vec![issued.certificate.clone()],
                    PrivateKeyDer::from(PrivatePkcs8KeyDer::from(issued.key.to_vec())),
                )
                .unwrap(),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
        Arc::new(config)
    }

    /// Runs a handshake in memory; what the server then knows of the client.
    fn handshake(f: &Fixture, client: Arc<ClientConfig>) -> Presented {
        let name = ServerName::try_from("localhost").unwrap();
        let mut client = ClientConnection::new(client, name).unwrap();
        let mut server = ServerConnection::new(Arc::clone(&f.config)).unwrap();
        while client.is_handshaking() || server.is_handshaking() {
            let mut wire = Vec::new();
            client.write_tls(&mut wire).unwrap();
            server.read_tls(&mut wire.as_slice()).unwrap();
            server.process_new_packets().unwrap();
            let mut wire = Vec::new();
            server.write_tls(&mut wire).unwrap();
            client.read_tls(&mut wire.as_slice()).unwrap();
            client.process_new_packets().unwrap();
        }
        f.clients.verify(server.peer_certificates().unwrap_or_default(), SystemClock.wall_s())
    }

    #[test]
    fn a_client_without_a_certificate_is_welcome() {
        let f = fixture();
        assert_eq!(handshake(&f, client_config(&f.serving_ca, None, &[])), Presented::None);
    }

    #[test]
    fn a_client_certificate_names_user_and_groups() {
        let f = fixture();
        let issued = f
            .client_ca
            .issue_client("system:admin", "system:masters", SystemClock.wall_s(), [4; 16])
            .unwrap();
        let Presented::Verified(found) = handshake(&f, client_config(&f.serving_ca, Some(&issued), &[]))
        else {
            panic!("not verified")
        };
        assert_eq!(found.common_name, "system:admin");
        assert_eq!(found.organizations, ["system:masters"]);
        assert_eq!(found.fingerprint.len(), 64);
    }

    #[test]
    fn a_certificate_of_a_stranger_is_rejected_after_the_handshake_not_in_it() {
        let f = fixture();
        let now = SystemClock.wall_s();
        let stranger = Authority::new("client", now, [9; 16]).unwrap();
        let issued = stranger.issue_client("system:admin", "system:masters", now, [4; 16]).unwrap();
        assert!(matches!(
            handshake(&f, client_config(&f.serving_ca, Some(&issued), &[])),
            Presented::Rejected(_)
        ));
    }

    #[test]
    fn a_serving_certificate_is_no_client_certificate() {
        let f = fixture();
        let now = SystemClock.wall_s();
        let both = ClientAuthorities::new(&[f.serving_ca.certificate().clone()]).unwrap();
        let leaf = f.serving_ca.issue_server(&["localhost".into()], now, [5; 16]).unwrap();
        assert!(matches!(both.verify(&[leaf.certificate], now), Presented::Rejected(_)));
    }

    #[test]
    fn an_expired_certificate_is_rejected_also_on_a_connection_opened_before() {
        let f = fixture();
        let now = SystemClock.wall_s();
        let issued = f.client_ca.issue_client("u", "g", now, [4; 16]).unwrap();
        let chain = [issued.certificate];
        assert!(matches!(f.clients.verify(&chain, now), Presented::Verified(_)));
        assert!(matches!(f.clients.verify(&chain, now + 366 * 86_400), Presented::Rejected(_)));
        assert!(matches!(f.clients.verify(&chain, now - 86_400), Presented::Rejected(_)));
        assert!(matches!(
            f.clients.verify(&[CertificateDer::from(vec![1, 2, 3])], now),
            Presented::Rejected(_)
        ));
    }

    #[test]
    fn the_clusters_authorities_vouch_for_its_users_and_its_front_proxy_apart() {
        let f = fixture();
        let now = SystemClock.wall_s();
        let (proxies, users) =
            (Authority::new("p", now, [6; 16]).unwrap(), Authority::new("u", now, [7; 16]).unwrap());
        let leaf =
            |ca: &Authority, name: &str, n| [ca.issue_client(name, "g", now, [n; 16]).unwrap().certificate];
        let (proxy, other, user) =
            (leaf(&proxies, "front-proxy-client", 1), leaf(&proxies, "other", 2), leaf(&users, "ann", 3));
        let issuer = |chain: &[CertificateDer<'_>]| match f.clients.verify(chain, now) {
            Presented::Verified(certificate) => Some(certificate.issuer),
            _ => None,
        };
        assert_eq!([issuer(&proxy), issuer(&other), issuer(&user)], [None; 3]);

        let before = f.clients.generation();
        let trust = |proxies: &[&Authority], names: &[&str], users: &[&Authority]| {
            let der =
                |list: &[&Authority]| list.iter().map(|ca| ca.certificate().clone()).collect::<Vec<_>>();
            let names = names.iter().map(|n| (*n).to_owned()).collect();
            f.clients.set_cluster(ClusterAuthorities::new(&der(proxies), names, &der(users)).unwrap());
        };
        trust(&[&proxies], &["front-proxy-client"], &[&users]);
        assert_ne!(f.clients.generation(), before);
        assert_eq!(issuer(&proxy), Some(Issuer::FrontProxy));
        assert_eq!(issuer(&other), None);
        assert_eq!(issuer(&user), Some(Issuer::Cluster));
        assert_eq!(issuer(&leaf(&f.client_ca, "front-proxy-client", 4)), Some(Issuer::Ours));
        // No list of names allows all of them; and one authority may sign for both.
        trust(&[&proxies], &[], &[]);
        assert_eq!([issuer(&other), issuer(&user)], [Some(Issuer::FrontProxy), None]);
        trust(&[&proxies], &["front-proxy-client"], &[&proxies]);
        assert_eq!([issuer(&proxy), issuer(&other)], [Some(Issuer::FrontProxy), Some(Issuer::Cluster)]);
        trust(&[], &[], &[]);
        assert_eq!([issuer(&proxy), issuer(&other), issuer(&user)], [None; 3]);
    }

    #[test]
    fn files_are_checked_and_replaced_only_by_good_ones() {
        let dir = tempfile::tempdir().unwrap();
        let now = SystemClock.wall_s();
        let ca = Authority::new("x", now, [1; 16]).unwrap();
        let (a, b) = (
            ca.issue_server(&["a".into()], now, [2; 16]).unwrap(),
            ca.issue_server(&["b".into()], now, [3; 16]).unwrap(),
        );
        let files = TlsFiles { certificate: dir.path().join("tls.crt"), key: dir.path().join("tls.key") };
        assert!(matches!(ServingCertificate::load(&files), Err(TlsError::Missing(_))));
        fs::write(&files.certificate, a.certificate_pem()).unwrap();
        fs::write(&files.key, "junk").unwrap();
        assert!(matches!(ServingCertificate::load(&files), Err(TlsError::NotAKey(_))));
        fs::write(&files.key, b.key_pem().as_bytes()).unwrap();
        let error = ServingCertificate::load(&files).unwrap_err();
        assert!(matches!(error, TlsError::Mismatch { .. }), "{error}");
        fs::write(&files.key, a.key_pem().as_bytes()).unwrap();
        let serving = ServingCertificate::load(&files).unwrap();
        assert!(!serving.reload(&files).unwrap());
        fs::write(&files.certificate, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
            .unwrap();
        assert!(matches!(serving.reload(&files), Err(TlsError::NotCertificates(_))));
        fs::write(&files.certificate, b.certificate_pem()).unwrap();
        fs::write(&files.key, b.key_pem().as_bytes()).unwrap();
        assert!(serving.reload(&files).unwrap());
        assert_eq!(serving.0.read().cert[0], b.certificate);
    }
}
