//! Certificate authorities, the certificates they sign, and the root key that wraps their private keys.
//!
//! ```text
//! keys/root.key ──wraps──→ private keys of two authorities, kept in the store
//!                          ├ serving authority → each start's own serving certificate   (its certificate is tls/ca.crt)
//!                          └ client authority  → system:admin's client certificate      (trusted for clients only)
//! ```
//!
//! Two authorities, because a serving certificate must never pass as a client's, whatever its contents.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use std::net::IpAddr;
use std::time::Duration;
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::{Zeroize, Zeroizing};

/// How long an authority is good for, in seconds: 10 years.
pub const AUTHORITY_LIFETIME_S: i64 = 10 * YEAR_S;
/// How long a certificate that an authority signs is good for, in seconds: a year.
pub const LEAF_LIFETIME_S: i64 = YEAR_S;
/// A certificate with less than this left, in seconds (30 days), is made anew at start.
pub const RENEW_BEFORE_S: i64 = 30 * DAY_S;

const DAY_S: i64 = 24 * 60 * 60;
const YEAR_S: i64 = 365 * DAY_S;
/// Certificates begin this much before they are made, in seconds, for clients whose clocks are slow.
const BACKDATE_S: i64 = 60 * 60;
const WRAP_VERSION: u8 = 1;

/// What can go wrong with keys and certificates.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// The root key file is not one.
    #[error("it is not a root key: 32 bytes in base64 are expected")]
    NotARootKey,
    /// What was wrapped cannot be opened.
    #[error("the root key does not fit this data: it is not the key that the data was written with")]
    WrongRootKey,
    /// A stored authority cannot be read.
    #[error("the stored certificate authority cannot be read: {0}")]
    Authority(String),
    /// A certificate could not be made.
    #[error("a certificate could not be made: {0}")]
    Sign(String),
}

/// The key that wraps the private keys in the store. It is never in the store.
pub struct RootKey(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for RootKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RootKey(…)")
    }
}

impl RootKey {
    /// A key of 32 random bytes.
    #[must_use]
    pub fn new(random: [u8; 32]) -> Self {
        Self(Zeroizing::new(random))
    }

    /// Reads the text that [`RootKey::to_text`] made. White space at the ends is ignored.
    ///
    /// # Errors
    /// [`PkiError::NotARootKey`].
    pub fn from_text(text: &[u8]) -> Result<Self, PkiError> {
        let mut bytes = STANDARD.decode(text.trim_ascii()).map_err(|_| PkiError::NotARootKey)?;
        let key = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| PkiError::NotARootKey);
        bytes.zeroize();
        key.map(Self::new)
    }

    /// One line of base64, as the key file holds it.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.0.as_slice()) + "\n")
    }

    /// Encrypts `plain` with AES-256-GCM: `[1u8 version][12 bytes nonce][cipher text and tag]`.
    ///
    /// `purpose` is bound to the result, so that one wrapped key cannot be put in another's place. `nonce` must be random.
    ///
    /// # Errors
    /// [`PkiError::Sign`], only if `plain` were larger than the cipher takes (64 GiB).
    pub fn wrap(&self, purpose: &str, plain: &[u8], nonce: [u8; NONCE_LEN]) -> Result<Vec<u8>, PkiError> {
        let mut out = Vec::with_capacity(1 + NONCE_LEN + plain.len() + 16);
        out.push(WRAP_VERSION);
        out.extend_from_slice(&nonce);
        let mut sealed = Zeroizing::new(plain.to_vec());
        let tag = self
            .cipher()?
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(purpose.as_bytes()),
                &mut sealed,
            )
            .map_err(|_| PkiError::Sign("encryption failed".into()))?;
        out.extend_from_slice(&sealed);
        out.extend_from_slice(tag.as_ref());
        Ok(out)
    }

    /// Decrypts what [`RootKey::wrap`] made for the same purpose.
    ///
    /// # Errors
    /// [`PkiError::WrongRootKey`] when it was wrapped by another key or for another purpose, or was changed.
    pub fn unwrap(&self, purpose: &str, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, PkiError> {
        let (&version, rest) = wrapped.split_first().ok_or(PkiError::WrongRootKey)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>().ok_or(PkiError::WrongRootKey)?;
        if version != WRAP_VERSION {
            return Err(PkiError::WrongRootKey);
        }
        let mut buffer = Zeroizing::new(sealed.to_vec());
        let length = self
            .cipher()?
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(purpose.as_bytes()), &mut buffer)
            .map_err(|_| PkiError::WrongRootKey)?
            .len();
        buffer.truncate(length);
        Ok(buffer)
    }

    fn cipher(&self) -> Result<LessSafeKey, PkiError> {
        let key = UnboundKey::new(&AES_256_GCM, self.0.as_slice()).map_err(|_| PkiError::NotARootKey)?;
        Ok(LessSafeKey::new(key))
    }
}

/// A certificate authority with its private key.
pub struct Authority {
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority(…)")
    }
}

/// A certificate and its private key, as made by an [`Authority`].
pub struct Issued {
    /// The certificate in DER.
    pub certificate: CertificateDer<'static>,
    /// Its private key, PKCS #8 in DER.
    pub key: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Issued(…)")
    }
}

impl Issued {
    /// The certificate as PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        pem("CERTIFICATE", &self.certificate).to_string()
    }

    /// The private key as PEM.
    #[must_use]
    pub fn key_pem(&self) -> Zeroizing<String> {
        pem("PRIVATE KEY", &self.key)
    }
}

impl Authority {
    /// A new authority, good for [`AUTHORITY_LIFETIME_S`] from `now_s` (seconds since 1970). The key is on the curve P-256.
    ///
    /// `name` becomes its common name with the time behind it: clients that hold several authorities' certificates choose by name.
    ///
    /// # Errors
    /// [`PkiError::Sign`].
    pub fn new(name: &str, now_s: i64, serial: [u8; 16]) -> Result<Self, PkiError> {
        let key = KeyPair::generate().map_err(sign)?;
        let mut params = params(now_s, AUTHORITY_LIFETIME_S, serial);
        params.distinguished_name.push(DnType::CommonName, format!("{name}@{now_s}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        let certificate = params.self_signed(&key).map_err(sign)?.into();
        Ok(Self { certificate, key })
    }

    /// An authority from its stored certificate (DER) and private key (PKCS #8 DER).
    ///
    /// # Errors
    /// [`PkiError::Authority`] when either cannot be read or they do not belong together.
    pub fn from_stored(certificate: &[u8], key: &[u8]) -> Result<Self, PkiError> {
        let key = KeyPair::try_from(&PrivatePkcs8KeyDer::from(key))
            .map_err(|e| PkiError::Authority(e.to_string()))?;
        let (_, parsed) =
            X509Certificate::from_der(certificate).map_err(|e| PkiError::Authority(e.to_string()))?;
        if parsed.public_key().subject_public_key.as_ref() != key.public_key_raw() {
            return Err(PkiError::Authority("its certificate and its key do not belong together".into()));
        }
        Ok(Self { certificate: CertificateDer::from(certificate.to_vec()), key })
    }

    /// The authority's certificate in DER.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The authority's certificate as PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        pem("CERTIFICATE", &self.certificate).to_string()
    }

    /// The private key, PKCS #8 in DER, to be wrapped and stored.
    #[must_use]
    pub fn key_der(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.key.serialize_der())
    }

    /// A serving certificate for these names and addresses, good for [`LEAF_LIFETIME_S`]. A name that no certificate can hold is left out.
    ///
    /// # Errors
    /// [`PkiError::Sign`].
    pub fn issue_server(&self, names: &[String], now_s: i64, serial: [u8; 16]) -> Result<Issued, PkiError> {
        let mut params = params(now_s, LEAF_LIFETIME_S, serial);
        for name in names {
            let san = match name.parse::<IpAddr>() {
                Ok(address) => Some(SanType::IpAddress(address)),
                Err(_) => dns_name(name),
            };
            if let Some(san) = san.filter(|san| !params.subject_alt_names.contains(san)) {
                params.subject_alt_names.push(san);
            }
        }
        params.distinguished_name.push(DnType::CommonName, "eartag");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(params)
    }

    /// A client certificate: the user's name as CN, the group as O. Good for [`LEAF_LIFETIME_S`].
    ///
    /// One group only: rcgen keeps one value for each type of name, and ours need no more.
    ///
    /// # Errors
    /// [`PkiError::Sign`].
    pub fn issue_client(
        &self,
        user: &str,
        group: &str,
        now_s: i64,
        serial: [u8; 16],
    ) -> Result<Issued, PkiError> {
        let mut params = params(now_s, LEAF_LIFETIME_S, serial);
        params.distinguished_name.push(DnType::OrganizationName, group);
        params.distinguished_name.push(DnType::CommonName, user);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(params)
    }

    fn issue(&self, mut params: CertificateParams) -> Result<Issued, PkiError> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(sign)?;
        let issuer = Issuer::from_ca_cert_der(&self.certificate, &self.key).map_err(sign)?;
        let certificate = params.signed_by(&key, &issuer).map_err(sign)?.into();
        Ok(Issued { certificate, key: Zeroizing::new(key.serialize_der()) })
    }
}

/// When a certificate (DER) ends, in seconds since 1970; `None` if it cannot be read.
#[must_use]
pub fn not_after_s(certificate: &[u8]) -> Option<i64> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    Some(parsed.validity().not_after.timestamp())
}

/// Whether `certificate` (DER) was signed by `authority`'s key and has more than [`RENEW_BEFORE_S`] left at `now_s`.
#[must_use]
pub fn still_good(certificate: &[u8], authority: &Authority, now_s: i64) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return false };
    let Ok((_, issuer)) = X509Certificate::from_der(&authority.certificate) else { return false };
    parsed.issuer() == issuer.subject()
        && parsed.validity().not_before.timestamp() <= now_s
        && parsed.validity().not_after.timestamp() > now_s.saturating_add(RENEW_BEFORE_S)
}

/// Bytes as PEM, 64 columns wide, ending with a new line.
#[must_use]
pub fn pem(label: &str, der: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(STANDARD.encode(der));
    let mut out = Zeroizing::new(String::with_capacity(body.len() + body.len() / 64 + 64));
    out.push_str(&format!("-----BEGIN {label}-----\n"));
    for (column, c) in body.chars().enumerate() {
        if column > 0 && column % 64 == 0 {
            out.push('\n');
        }
        out.push(c);
    }
    out.push_str(&format!("\n-----END {label}-----\n"));
    out
}

fn params(now_s: i64, lifetime_s: i64, serial: [u8; 16]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + since_epoch(now_s.saturating_sub(BACKDATE_S));
    params.not_after = epoch + since_epoch(now_s.saturating_add(lifetime_s));
    let mut serial = serial;
    // A serial number is positive and not zero.
    if let Some(first) = serial.first_mut() {
        *first = (*first & 0x3f) | 0x40;
    }
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params
}

/// Seconds since 1970 as a duration, kept within the years that a certificate can express.
fn since_epoch(seconds: i64) -> Duration {
    const YEAR_9000_S: i64 = 221_845_392_000;
    Duration::from_secs(u64::try_from(seconds.clamp(0, YEAR_9000_S)).unwrap_or(0))
}

fn dns_name(name: &str) -> Option<SanType> {
    let fits = !name.is_empty()
        && name.len() <= 253
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'*' | b'_'));
    if fits { name.to_ascii_lowercase().try_into().ok().map(SanType::DnsName) } else { None }
}

fn sign(error: rcgen::Error) -> PkiError {
    PkiError::Sign(error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    const NOW_S: i64 = 1_780_000_000;

    #[test]
    fn what_is_wrapped_opens_only_with_the_same_key_and_purpose() {
        let key = RootKey::new([7; 32]);
        let wrapped = key.wrap("serving-ca", b"private", [1; 12]).unwrap();
        assert!(!wrapped.windows(7).any(|w| w == b"private"));
        assert_eq!(key.unwrap("serving-ca", &wrapped).unwrap().as_slice(), b"private");
        assert!(matches!(key.unwrap("client-ca", &wrapped), Err(PkiError::WrongRootKey)));
        assert!(matches!(RootKey::new([8; 32]).unwrap("serving-ca", &wrapped), Err(PkiError::WrongRootKey)));
        for at in 0..wrapped.len() {
            let mut damaged = wrapped.clone();
            damaged[at] ^= 1;
            assert!(key.unwrap("serving-ca", &damaged).is_err(), "byte {at}");
            assert!(key.unwrap("serving-ca", &wrapped[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_root_key_survives_its_file_and_shows_itself_nowhere() {
        let key = RootKey::new([7; 32]);
        let again = RootKey::from_text(key.to_text().as_bytes()).unwrap();
        let wrapped = key.wrap("p", b"x", [0; 12]).unwrap();
        assert_eq!(again.unwrap("p", &wrapped).unwrap().as_slice(), b"x");
        assert_eq!(format!("{key:?}"), "RootKey(…)");
        for bad in [&b""[..], b"short", b"AAAA", b"\xff\xff"] {
            assert!(matches!(RootKey::from_text(bad), Err(PkiError::NotARootKey)));
        }
    }

    #[test]
    fn an_authority_comes_back_from_what_was_stored() {
        let made = Authority::new("eartag-serving-ca", NOW_S, [1; 16]).unwrap();
        let again = Authority::from_stored(made.certificate(), &made.key_der()).unwrap();
        assert_eq!(again.certificate(), made.certificate());
        let other = Authority::new("eartag-serving-ca", NOW_S, [2; 16]).unwrap();
        assert!(Authority::from_stored(made.certificate(), &other.key_der()).is_err());
        assert!(Authority::from_stored(b"x", &made.key_der()).is_err());
        assert!(Authority::from_stored(made.certificate(), b"x").is_err());
    }

    #[test]
    fn certificates_say_whom_they_are_for_and_how_long() {
        let authority = Authority::new("eartag-client-ca", NOW_S, [1; 16]).unwrap();
        let issued = authority.issue_client("system:admin", "system:masters", NOW_S, [0xff; 16]).unwrap();
        let (_, parsed) = X509Certificate::from_der(&issued.certificate).unwrap();
        assert_eq!(parsed.subject().to_string(), "O=system:masters, CN=system:admin");
        let usage = parsed.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.client_auth && !usage.server_auth);
        assert!(!parsed.is_ca());
        assert_eq!(parsed.validity().not_after.timestamp(), NOW_S + LEAF_LIFETIME_S);
        assert_eq!(not_after_s(&issued.certificate), Some(NOW_S + LEAF_LIFETIME_S));
        assert!(still_good(&issued.certificate, &authority, NOW_S));
        assert!(!still_good(&issued.certificate, &authority, NOW_S + LEAF_LIFETIME_S - RENEW_BEFORE_S));
        let other = Authority::new("eartag-client-ca", NOW_S + 1, [1; 16]).unwrap();
        assert!(!still_good(&issued.certificate, &other, NOW_S));
        let (_, ca) = X509Certificate::from_der(authority.certificate()).unwrap();
        assert!(ca.is_ca());
        assert_eq!(ca.validity().not_after.timestamp(), NOW_S + AUTHORITY_LIFETIME_S);
    }

    #[test]
    fn a_serving_certificate_names_what_it_can_and_leaves_out_what_it_cannot() {
        let authority = Authority::new("eartag-serving-ca", NOW_S, [1; 16]).unwrap();
        let names = ["localhost", "127.0.0.1", "::1", "LOCALHOST", "höst", "", "a b"].map(str::to_owned);
        let issued = authority.issue_server(&names, NOW_S, [3; 16]).unwrap();
        let (_, parsed) = X509Certificate::from_der(&issued.certificate).unwrap();
        assert_eq!(parsed.subject_alternative_name().unwrap().unwrap().value.general_names.len(), 3);
        assert!(issued.key_pem().starts_with("-----BEGIN PRIVATE KEY-----\n"));
        assert!(issued.certificate_pem().lines().all(|l| l.len() <= 64));
    }
}
