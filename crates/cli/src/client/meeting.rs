//! The first meeting with a server that nobody we trust speaks for: what it shows and says of itself. Nothing secret is sent, and nothing of it is believed
//! until a person has confirmed it.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::error::{ClientError, printable};
use super::kubeconfig::{Target, Trust};
use super::{Client, Route};

const WHOLE: Duration = Duration::from_secs(20);
/// Where a server of this API says publicly which authority signs for it.
const CACERTS: &str = "/v3/settings/cacerts";
/// So many certificates of a stranger are looked at.
const MOST: usize = 8;

/// A certificate that speaks for the server, if one trusts it.
#[derive(Debug, Clone)]
pub struct Introduction {
    /// The certificate, PEM.
    pub pem: String,
    /// Whose it is, fit for a terminal.
    pub subject: String,
    /// `AA:BB:…`, SHA-256 over the certificate, as openssl prints it.
    pub fingerprint: String,
}

/// Finds the certificate that a person could confirm: an authority that the server names, else the last one that it shows. It is one by which the server can
/// indeed be checked.
///
/// # Errors
/// When there is no such certificate, or no answer.
pub fn meet(target: &Target) -> Result<Introduction, ClientError> {
    let (shown, named) = look(target)?;
    let mut candidates = named;
    candidates.extend(shown.into_iter().rev());
    let mut last = None;
    for certificate in candidates.into_iter().take(MOST) {
        let Some(introduction) = introduce(&certificate) else { continue };
        match Client::within(with(target, Trust::Only(introduction.pem.clone().into_bytes())), WHOLE)
            .and_then(|client| client.get::<serde::de::IgnoredAny>(&Route::new(CACERTS)))
        {
            Ok(_) | Err(ClientError::Refused { .. } | ClientError::Foreign { .. }) => {
                return Ok(introduction);
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| ClientError::Unusable("the server shows no certificate".into())))
}

/// What the server shows in the handshake, leaf first, and what its setting `cacerts` holds.
fn look(
    target: &Target,
) -> Result<(Vec<CertificateDer<'static>>, Vec<CertificateDer<'static>>), ClientError> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Setting {
        value: Option<String>,
        default: Option<String>,
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let shown = Arc::new(Mutex::new(Vec::new()));
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|_| ClientError::Unusable("no version of TLS can be used".into()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Onlooker { provider, shown: shown.clone() }))
        .with_no_client_auth();
    let client = Client::over(with(target, Trust::System), config, WHOLE)?;
    let setting = match client.get::<Setting>(&Route::new(CACERTS)) {
        Ok(reply) => reply.body,
        // Another kind of server, or one that keeps it to itself: what it shows must do.
        Err(ClientError::Refused { .. } | ClientError::Foreign { .. } | ClientError::Redirect { .. }) => {
            Setting::default()
        }
        Err(error) => return Err(error),
    };
    let pem = [setting.value, setting.default].into_iter().flatten().find(|pem| !pem.is_empty());
    let named = pem.unwrap_or_default();
    let named = CertificateDer::pem_slice_iter(named.as_bytes()).filter_map(Result::ok).take(MOST).collect();
    let shown = std::mem::take(&mut *shown.lock());
    Ok((shown, named))
}

/// The same server with nobody asking.
fn with(target: &Target, trust: Trust) -> Target {
    Target {
        server_name: target.server_name.clone(),
        proxy: target.proxy.clone(),
        ..Target::of_server(target.server.clone(), trust)
    }
}

fn introduce(certificate: &CertificateDer<'_>) -> Option<Introduction> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let digest = Sha256::digest(certificate.as_ref());
    let fingerprint = digest.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":");
    Some(Introduction {
        pem: pem(certificate),
        subject: printable(&parsed.subject().to_string()),
        fingerprint,
    })
}

fn pem(certificate: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(certificate);
    let mut out = String::from("-----BEGIN CERTIFICATE-----\n");
    for (at, c) in text.chars().enumerate() {
        if at > 0 && at % 64 == 0 {
            out.push('\n');
        }
        out.push(c);
    }
    out.push_str("\n-----END CERTIFICATE-----\n");
    out
}

/// Takes note of what is shown. It believes everything, so nothing secret may go over its connections.
#[derive(Debug)]
struct Onlooker {
    provider: Arc<CryptoProvider>,
    shown: Arc<Mutex<Vec<CertificateDer<'static>>>>,
}

impl ServerCertVerifier for Onlooker {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let all = std::iter::once(leaf).chain(chain).take(MOST);
        *self.shown.lock() = all.map(|certificate| certificate.clone().into_owned()).collect();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
