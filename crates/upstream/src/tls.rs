//! TLS as rustls wants it: whom to trust, which certificate to show.

use std::fmt;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, InconsistentKeys, RootCertStore, SignatureScheme,
};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::target::TargetError;

/// Whose signature on a server's certificate counts.
#[derive(Clone, Copy, Debug)]
pub enum Authorities<'a> {
    /// That of the authorities that this machine trusts.
    Machine,
    /// That of these certificates (PEM), and of no others.
    Only(&'a [u8]),
}

/// What a server is shown that asks for it.
#[derive(Clone, Copy)]
pub struct ClientCertificate<'a> {
    /// The chain, leaf first, as PEM.
    pub certificates_pem: &'a [u8],
    /// The leaf's private key, as PEM.
    pub key_pem: &'a [u8],
}

impl fmt::Debug for ClientCertificate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCertificate(…)")
    }
}

/// The configuration of connections that trust `authorities` and show `certificate`. It offers no protocol by ALPN.
///
/// # Errors
/// [`TargetError`]: certificates or keys that cannot be used.
pub fn client_config(
    authorities: Authorities<'_>,
    certificate: Option<ClientCertificate<'_>>,
) -> Result<ClientConfig, TargetError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let (roots, trusted) = roots(authorities)?;
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|_| TargetError::Authority)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| TargetError::Setup)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier { inner, trusted }));
    let Some(ClientCertificate { certificates_pem, key_pem }) = certificate else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates(certificates_pem).ok_or(TargetError::Certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|_| TargetError::Key)?;
    builder.with_client_auth_cert(chain, key).map_err(|error| match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TargetError::Mismatch,
        rustls::Error::InvalidCertificate(_) => TargetError::Certificate,
        _ => TargetError::Key,
    })
}

fn roots(authorities: Authorities<'_>) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), TargetError> {
    let mut roots = RootCertStore::empty();
    let Authorities::Only(pem) = authorities else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return if roots.is_empty() { Err(TargetError::NoAuthority) } else { Ok((roots, Vec::new())) };
    };
    let trusted = certificates(pem).ok_or(TargetError::Authority)?;
    let (good, _) = roots.add_parsable_certificates(trusted.iter().cloned());
    if good == 0 { Err(TargetError::Authority) } else { Ok((roots, trusted)) }
}

/// At least one, or `None`.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()?;
    (!all.is_empty()).then_some(all)
}

/// As usual, and beyond that a certificate that was itself given as trusted is good for what it is, as for kubectl: many servers show one that they signed
/// themselves.
#[derive(Debug)]
struct Verifier {
    inner: Arc<WebPkiServerVerifier>,
    trusted: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let refusal = match self.inner.verify_server_cert(leaf, chain, name, ocsp, now) {
            Ok(verified) => return Ok(verified),
            Err(refusal) => refusal,
        };
        if !self.trusted.iter().any(|trusted| trusted.as_ref() == leaf.as_ref()) {
            return Err(if is_stranger(&refusal) { CertificateError::UnknownIssuer.into() } else { refusal });
        }
        let certificate = ParsedCertificate::try_from(leaf)?;
        rustls::client::verify_server_name(&certificate, name)?;
        let (_, parsed) = X509Certificate::from_der(leaf)
            .map_err(|_| rustls::Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let validity = parsed.validity();
        if now < validity.not_before.timestamp() {
            return Err(CertificateError::NotValidYet.into());
        }
        if now > validity.not_after.timestamp() {
            return Err(CertificateError::Expired.into());
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Whether a chain is refused because nobody who is trusted signed it. The authorities of clusters are mostly called the same (`kubernetes`): a stranger's then
/// shows only by its signature, or by its key being of another kind. An authority that shows its own certificate is one more stranger.
fn is_stranger(refusal: &rustls::Error) -> bool {
    use CertificateError as E;
    let rustls::Error::InvalidCertificate(why) = refusal else { return false };
    matches!(
        why,
        E::UnknownIssuer
            | E::BadSignature
            | E::UnsupportedSignatureAlgorithmForPublicKeyContext { .. }
            | E::Other(_)
    )
}
