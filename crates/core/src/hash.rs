//! One-way hashes of token secrets: the three text forms of ext-token.md §7.5, and a compact binary form for records.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::de::{Error as _, Visitor};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use sha3::{Sha3_256, Sha3_512};
use subtle::ConstantTimeEq;

use crate::secret::PlainSecret;

/// Salt of every format.
pub type Salt = [u8; 8];

/// The hash of a token's secret. It has no `Display`, and `Debug` shows only the format: a hash never leaves the server (DEC10).
#[derive(Clone, PartialEq, Eq)]
pub enum SecretHash {
    /// `$1`: scrypt with N = 2^15, r = 8, p = 1. Imported only; costs about 110 ms and 32 MiB a check.
    Scrypt {
        /// Salt.
        salt: Salt,
        /// Derived key.
        key: [u8; 64],
    },
    /// `$2`: SHA-256(salt ‖ secret). Written for legacy tokens (DEC30).
    Sha256 {
        /// Salt.
        salt: Salt,
        /// Digest.
        digest: [u8; 32],
    },
    /// `$3:1`: SHA3-512(salt ‖ secret). Written for ext tokens (DEC30).
    Sha3 {
        /// Salt.
        salt: Salt,
        /// Digest.
        digest: [u8; 64],
    },
}

/// A text that is none of the three hash formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("hash format invalid")]
pub struct BadHash;

impl SecretHash {
    /// Hashes with SHA-256, the format of legacy tokens.
    #[must_use]
    pub fn sha256(secret: &PlainSecret, salt: Salt) -> Self {
        Self::Sha256 { salt, digest: sha256(salt, secret.expose()) }
    }

    /// Hashes with SHA3-512, the format of ext tokens.
    #[must_use]
    pub fn sha3(secret: &PlainSecret, salt: Salt) -> Self {
        Self::Sha3 { salt, digest: sha3(salt, secret.expose()) }
    }

    /// Reads one of the text forms, for imports. Only the parameters that the reference writes are taken.
    ///
    /// # Errors
    /// [`BadHash`] for everything else.
    pub fn parse(text: &str) -> Result<Self, BadHash> {
        let mut parts = text.split(':');
        let mut part = || parts.next().ok_or(BadHash);
        let hash = match part()? {
            "$1" => {
                let salt = unhex(part()?)?;
                if (part()?, part()?, part()?) != ("15", "8", "1") {
                    return Err(BadHash);
                }
                Self::Scrypt { salt, key: unbase64(part()?)? }
            }
            "$2" => Self::Sha256 { salt: unbase64(part()?)?, digest: unbase64(part()?)? },
            "$3" if part()? == "1" => Self::Sha3 { salt: unbase64(part()?)?, digest: unbase64(part()?)? },
            _ => return Err(BadHash),
        };
        if parts.next().is_some() { Err(BadHash) } else { Ok(hash) }
    }

    /// The text form, for exports. It is confidential.
    #[must_use]
    pub fn to_text(&self) -> String {
        let base64 = |bytes: &[u8]| STANDARD_NO_PAD.encode(bytes);
        match self {
            Self::Scrypt { salt, key } => {
                let hex: String = salt.iter().map(|b| format!("{b:02x}")).collect();
                format!("$1:{hex}:15:8:1:{}", base64(key))
            }
            Self::Sha256 { salt, digest } => format!("$2:{}:{}", base64(salt), base64(digest)),
            Self::Sha3 { salt, digest } => format!("$3:1:{}:{}", base64(salt), base64(digest)),
        }
    }

    /// Whether the secret is the one that was hashed. Always computes one whole hash and compares in constant time.
    #[must_use]
    pub fn verify(&self, secret: &str) -> bool {
        match self {
            Self::Scrypt { salt, key } => {
                scrypt(*salt, secret).is_some_and(|computed| computed.ct_eq(key).into())
            }
            Self::Sha256 { salt, digest } => sha256(*salt, secret).ct_eq(digest).into(),
            Self::Sha3 { salt, digest } => sha3(*salt, secret).ct_eq(digest).into(),
        }
    }

    /// Whether [`verify`](Self::verify) costs so much that it belongs into a bounded pool.
    #[must_use]
    pub const fn is_slow(&self) -> bool {
        matches!(self, Self::Scrypt { .. })
    }

    /// A keyed fingerprint of (this hash, this secret), by which a process may remember that a slow check once succeeded without
    /// keeping the secret. SHA3-256 needs no HMAC construction to be a MAC: the key and the fixed-length hash come first.
    #[must_use]
    pub fn fingerprint(&self, key: &[u8; 32], secret: &str) -> [u8; 32] {
        let (version, salt, digest) = self.parts();
        let mut mac = Sha3_256::new();
        mac.update(key);
        mac.update([version]);
        mac.update(salt);
        mac.update(digest);
        mac.update(secret.as_bytes());
        mac.finalize().into()
    }

    fn parts(&self) -> (u8, &[u8; 8], &[u8]) {
        match self {
            Self::Scrypt { salt, key } => (1, salt, key),
            Self::Sha256 { salt, digest } => (2, salt, digest),
            Self::Sha3 { salt, digest } => (3, salt, digest),
        }
    }

    fn from_parts(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let (salt, digest) = rest.split_first_chunk::<8>()?;
        let salt = *salt;
        match version {
            1 => Some(Self::Scrypt { salt, key: digest.try_into().ok()? }),
            2 => Some(Self::Sha256 { salt, digest: digest.try_into().ok()? }),
            3 => Some(Self::Sha3 { salt, digest: digest.try_into().ok()? }),
            _ => None,
        }
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scrypt { .. } => "SecretHash($1…)",
            Self::Sha256 { .. } => "SecretHash($2…)",
            Self::Sha3 { .. } => "SecretHash($3:1…)",
        })
    }
}

/// Records only: version byte, salt, digest as one byte string. A text format (JSON) is refused, so that no reply can hold a hash.
impl Serialize for SecretHash {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if s.is_human_readable() {
            return Err(S::Error::custom("a secret's hash is not shown"));
        }
        let (version, salt, digest) = self.parts();
        let mut bytes = Vec::with_capacity(1 + salt.len() + digest.len());
        bytes.push(version);
        bytes.extend_from_slice(salt);
        bytes.extend_from_slice(digest);
        s.serialize_bytes(&bytes)
    }
}

impl<'de> Deserialize<'de> for SecretHash {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = SecretHash;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a secret's hash")
            }
            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<SecretHash, E> {
                SecretHash::from_parts(bytes).ok_or_else(|| E::custom(BadHash))
            }
        }
        if d.is_human_readable() {
            return Err(D::Error::custom("a secret's hash is not read from text"));
        }
        d.deserialize_bytes(Bytes)
    }
}

fn sha256(salt: Salt, secret: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(salt);
    hash.update(secret.as_bytes());
    hash.finalize().into()
}

fn sha3(salt: Salt, secret: &str) -> [u8; 64] {
    let mut hash = Sha3_512::new();
    hash.update(salt);
    hash.update(secret.as_bytes());
    hash.finalize().into()
}

fn scrypt(salt: Salt, secret: &str) -> Option<[u8; 64]> {
    let params = scrypt::Params::new(15, 8, 1).ok()?;
    let mut key = [0u8; 64];
    scrypt::scrypt(secret.as_bytes(), &salt, &params, &mut key).ok()?;
    Some(key)
}

fn unbase64<const N: usize>(text: &str) -> Result<[u8; N], BadHash> {
    STANDARD_NO_PAD.decode(text).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(BadHash)
}

fn unhex(text: &str) -> Result<Salt, BadHash> {
    let mut salt = Salt::default();
    if text.len() != 16 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(BadHash);
    }
    let value = u64::from_str_radix(text, 16).map_err(|_| BadHash)?;
    salt.copy_from_slice(&value.to_be_bytes());
    Ok(salt)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "bcdfghjklmnpqrstvwxz2456789bcdfghjklmnpqrstvwxz2456789";
    const SALT: Salt = [0, 1, 2, 3, 4, 5, 6, 7];
    const V3: &str = "$3:1:AAECAwQFBgc:6TeyLfa09bJiQyni4aFnES+l9h6USloshcn6mE6N/ewJ1rPNVQKtemKjXLEuOu4a7vptyk37cPkFkcA9uE0rMg";
    const V2: &str = "$2:AAECAwQFBgc:QLFNCtcJd178x/LpGu0nyMl4wgfkZnUItz9+Bzjda5E";
    const V1: &str = "$1:0001020304050607:15:8:1:ad4GRcpEv4ccKFtuL03KuT7k++MmHxfBHis8I4/iC06GBs0Hq4SNc9kb7d/IKTvFnIa/90nuY0+pd5jgl/wfxw";

    #[test]
    fn the_published_vectors_hold_for_all_three_formats() {
        let secret = PlainSecret::new(SECRET);
        assert_eq!(SecretHash::sha3(&secret, SALT).to_text(), V3);
        assert_eq!(SecretHash::sha256(&secret, SALT).to_text(), V2);
        assert_eq!((V3.len(), V2.len()), (103, 58));
        for text in [V1, V2, V3] {
            let hash = SecretHash::parse(text).unwrap();
            assert!(hash.verify(SECRET), "{text}");
            assert!(!hash.verify(&SECRET[1..]), "{text}");
            assert_eq!(hash.to_text(), text);
            assert_eq!(hash.is_slow(), text == V1);
        }
    }

    #[test]
    fn other_texts_are_no_hashes() {
        for bad in [
            "",
            "$",
            "$4:1:a:b",
            "$3:2:AAECAwQFBgc:6Tey",
            "$2:AAECAwQFBgc=:QLFNCtcJd178x/LpGu0nyMl4wgfkZnUItz9+Bzjda5E",
            "$2:AAECAwQFBgc:QLFNCtcJd178x",
            "$1:0001020304050607:16:8:1:ad4G",
            "$1:000102030405060G:15:8:1:ad4G",
            &format!("{V3}:"),
            &format!("{V2}:x"),
        ] {
            assert_eq!(SecretHash::parse(bad), Err(BadHash), "{bad}");
        }
    }

    #[test]
    fn a_hash_is_neither_printed_nor_written_as_text() {
        let hash = SecretHash::parse(V3).unwrap();
        assert_eq!(format!("{hash:?}"), "SecretHash($3:1…)");
    }

    #[test]
    fn a_fingerprint_tells_key_hash_and_secret_apart() {
        let (a, b) = (SecretHash::parse(V3).unwrap(), SecretHash::parse(V2).unwrap());
        let print = a.fingerprint(&[1; 32], SECRET);
        assert_eq!(print, a.fingerprint(&[1; 32], SECRET));
        assert_ne!(print, a.fingerprint(&[2; 32], SECRET));
        assert_ne!(print, b.fingerprint(&[1; 32], SECRET));
        assert_ne!(print, a.fingerprint(&[1; 32], "x"));
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_what_it_takes_comes_back(text in "\\$[0-9]:[0-9a-zA-Z+/:=$]{0,120}") {
            if let Ok(hash) = SecretHash::parse(&text) {
                prop_assert_eq!(SecretHash::parse(&hash.to_text()), Ok(hash));
            }
        }

        #[test]
        fn the_record_form_comes_back(secret in ".{0,60}", salt in any::<[u8; 8]>()) {
            let secret = PlainSecret::new(secret);
            for hash in [SecretHash::sha3(&secret, salt), SecretHash::sha256(&secret, salt)] {
                let bytes = postcard::to_stdvec(&hash).unwrap();
                prop_assert!(bytes.len() <= 74);
                prop_assert_eq!(postcard::from_bytes::<SecretHash>(&bytes), Ok(hash));
            }
        }
    }
}
