//! TLS as rustls wants it: whom to trust, which certificate to show.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, InconsistentKeys, RootCertStore, SignatureScheme,
};
use secrecy::ExposeSecret;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::target::{Credential, TargetError};

/// The configuration of connections that trust `ca_pem` (empty: the authorities of this machine) and present the credential's certificate, if it is one.
/// It offers no protocol by ALPN.
///
/// # Errors
/// [`TargetError`]: certificates or keys that cannot be used.
pub fn client_config(ca_pem: &str, credential: &Credential) -> Result<ClientConfig, TargetError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let (roots, trusted) = roots(ca_pem)?;
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|_| TargetError::Authority)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| TargetError::Setup)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier { inner, trusted }));
    let Credential::Certificate { certificates_pem, key_pem } = credential else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates(certificates_pem).ok_or(TargetError::Certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key_pem.expose_secret().as_bytes());
    builder.with_client_auth_cert(chain, key.map_err(|_| TargetError::Key)?).map_err(|error| match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TargetError::Mismatch,
        rustls::Error::InvalidCertificate(_) => TargetError::Certificate,
        _ => TargetError::Key,
    })
}

fn roots(ca_pem: &str) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), TargetError> {
    let mut roots = RootCertStore::empty();
    if ca_pem.trim().is_empty() {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return if roots.is_empty() { Err(TargetError::NoAuthority) } else { Ok((roots, Vec::new())) };
    }
    let trusted = certificates(ca_pem).ok_or(TargetError::Authority)?;
    let (good, _) = roots.add_parsable_certificates(trusted.iter().cloned());
    if good == 0 { Err(TargetError::Authority) } else { Ok((roots, trusted)) }
}

/// At least one, or `None`.
fn certificates(pem: &str) -> Option<Vec<CertificateDer<'static>>> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().ok()?;
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
            // An authority that shows its own certificate is one more stranger.
            let odd = matches!(&refusal, rustls::Error::InvalidCertificate(CertificateError::Other(_)));
            return Err(if odd { CertificateError::UnknownIssuer.into() } else { refusal });
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
