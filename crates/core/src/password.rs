//! Passwords of local users: how they are kept (DEC51) and which are accepted (v3-token.md §5.6).
//!
//! PBKDF2 takes about 0.2 s: callers run [`PasswordHash::make`] and [`PasswordHash::verify`] in a bounded pool, off the async threads.

use std::fmt;

use pbkdf2::hmac::SimpleHmac;
use serde::{Deserialize, Serialize};
use sha3::Sha3_512;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::secret::PlainSecret;

/// Rounds of PBKDF2-HMAC-SHA3-512 for new hashes.
pub const ROUNDS: u32 = 210_000;
/// Longest password, in bytes: bounds the work of hashing one.
pub const LONGEST: usize = 1024;
/// Most rounds, and highest bcrypt cost, that an imported hash may ask for: bounds the work of a login.
const MOST_ROUNDS: u32 = 10_000_000;
const MOST_BCRYPT_COST: u32 = 16;

/// The stored hash of a password. `Debug` shows only the scheme.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PasswordHash {
    /// PBKDF2-HMAC-SHA3-512.
    Pbkdf2Sha3_512 {
        /// Iterations.
        rounds: u32,
        /// Salt.
        salt: [u8; 32],
        /// Derived key.
        key: [u8; 32],
    },
    /// bcrypt in its modular text form: verified, never made.
    Bcrypt(String),
}

impl PasswordHash {
    /// Hashes a password for storing.
    #[must_use]
    pub fn make(password: &PlainSecret, salt: [u8; 32]) -> Self {
        Self::Pbkdf2Sha3_512 { rounds: ROUNDS, salt, key: derive(password.expose(), &salt, ROUNDS) }
    }

    /// Takes over a bcrypt hash; `None` if it is not one or asks for more work than any login should cost.
    #[must_use]
    pub fn bcrypt(text: &str) -> Option<Self> {
        let parts: bcrypt::HashParts = text.parse().ok()?;
        (parts.get_cost() <= MOST_BCRYPT_COST).then(|| Self::Bcrypt(text.to_owned()))
    }

    /// What an unknown user's login is checked against, so that it takes as long as a known one's (v3-token.md §5.4).
    #[must_use]
    pub const fn decoy() -> Self {
        Self::Pbkdf2Sha3_512 { rounds: ROUNDS, salt: [0; 32], key: [0; 32] }
    }

    /// Whether the password is the one that was hashed. Damaged or unreasonably costly hashes match nothing.
    #[must_use]
    pub fn verify(&self, password: &PlainSecret) -> bool {
        if password.expose().len() > LONGEST {
            return false;
        }
        match self {
            Self::Pbkdf2Sha3_512 { rounds, salt, key } => {
                *rounds > 0
                    && *rounds <= MOST_ROUNDS
                    && derive(password.expose(), salt, *rounds).ct_eq(key).into()
            }
            Self::Bcrypt(text) => {
                Self::bcrypt(text).is_some() && bcrypt::verify(password.expose(), text).unwrap_or(false)
            }
        }
    }

    /// Whether the hash should be replaced by [`make`](Self::make) after a successful login.
    #[must_use]
    pub const fn is_outdated(&self) -> bool {
        match self {
            Self::Pbkdf2Sha3_512 { rounds, .. } => *rounds < ROUNDS,
            Self::Bcrypt(_) => true,
        }
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pbkdf2Sha3_512 { .. } => "PasswordHash(pbkdf2sha3512…)",
            Self::Bcrypt(_) => "PasswordHash(bcrypt…)",
        })
    }
}

// Non-generic, so that it is compiled (and optimised) in this crate.
fn derive(password: &str, salt: &[u8; 32], rounds: u32) -> [u8; 32] {
    let mut key = Zeroizing::new([0u8; 32]);
    // HMAC takes keys of any length, so this cannot fail; were it to, the zero key would match the decoy only.
    match pbkdf2::pbkdf2::<SimpleHmac<Sha3_512>>(password.as_bytes(), salt, rounds, key.as_mut_slice()) {
        Ok(()) => *key,
        Err(_) => [0xff; 32],
    }
}

/// Why a new password is not taken. `Display` is the text of `/v3` (422 `InvalidBodyContent`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordRefusal {
    /// Fewer code points than the setting `password-min-length` asks for.
    #[error("Password must be at least {0} characters")]
    TooShort(usize),
    /// More bytes than [`LONGEST`].
    #[error("Password must be at most 1024 bytes")]
    TooLong,
    /// The user name.
    #[error("Password cannot be the same as username")]
    SameAsUsername,
    /// The current password again.
    #[error("The new password must not be the same as the current password")]
    SameAsCurrent,
    /// No current password given where one is needed.
    #[error("must specify current password")]
    NoCurrent,
    /// No new password given.
    #[error("invalid new password")]
    NoNew,
    /// The current password given is not the current one.
    #[error("invalid current password")]
    WrongCurrent,
}

impl PasswordRefusal {
    /// The text of the Kubernetes door, whose sentences begin in lower case (v3-token.md §5.6).
    #[must_use]
    pub fn lower(&self) -> String {
        let text = self.to_string();
        let mut letters = text.chars();
        letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
    }
}

/// Whether a password may be set for this user; `min_length` counts Unicode code points.
///
/// # Errors
/// Says what is wrong with it.
pub fn check_new(password: &PlainSecret, username: &str, min_length: usize) -> Result<(), PasswordRefusal> {
    let text = password.expose();
    if text.is_empty() {
        return Err(PasswordRefusal::NoNew);
    }
    if text.len() > LONGEST {
        return Err(PasswordRefusal::TooLong);
    }
    if text.chars().count() < min_length {
        return Err(PasswordRefusal::TooShort(min_length));
    }
    if text == username {
        return Err(PasswordRefusal::SameAsUsername);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    fn plain(text: &str) -> PlainSecret {
        PlainSecret::new(text)
    }

    #[test]
    fn a_password_verifies_and_another_does_not() {
        let hash = PasswordHash::make(&plain("correct horse battery"), [7; 32]);
        assert!(hash.verify(&plain("correct horse battery")));
        assert!(!hash.verify(&plain("correct horse batterz")));
        assert!(!hash.is_outdated());
    }

    #[test]
    fn pbkdf2_is_the_one_of_others() {
        // Computed with Python: hashlib.pbkdf2_hmac('sha3_512', b'password', bytes(range(32)), 1000, 32).
        let salt: [u8; 32] = std::array::from_fn(|i| u8::try_from(i).unwrap());
        let hex: String = derive("password", &salt, 1000).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "33e2f12cbd495b069669daa6a44bb9a85270a20811508a2600e3dbdc580b0bc3");
    }

    #[test]
    fn the_decoy_matches_nothing() {
        assert!(!PasswordHash::decoy().verify(&plain("")));
        assert!(!PasswordHash::decoy().verify(&plain("admin")));
    }

    #[test]
    fn bcrypt_verifies_and_asks_to_be_replaced() {
        // "password" with cost 4, by another implementation's well-known form.
        let text = bcrypt::hash_with_salt("password", 4, [3; 16]).unwrap().to_string();
        let hash = PasswordHash::bcrypt(&text).unwrap();
        assert!(hash.verify(&plain("password")));
        assert!(!hash.verify(&plain("passwore")));
        assert!(hash.is_outdated());
    }

    #[test]
    fn a_bcrypt_hash_that_would_take_hours_is_refused() {
        let costly = "$2b$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
        assert_eq!(PasswordHash::bcrypt(costly), None);
        assert!(!PasswordHash::Bcrypt(costly.into()).verify(&plain("x")));
        assert_eq!(PasswordHash::bcrypt("nonsense"), None);
    }

    #[test]
    fn length_counts_code_points() {
        assert_eq!(check_new(&plain("密码密码密码密码密码密码"), "ann", 12), Ok(()));
        let short = check_new(&plain("密码密码密码密码密码密"), "ann", 12).unwrap_err();
        assert_eq!(short.to_string(), "Password must be at least 12 characters");
        assert_eq!(short.lower(), "password must be at least 12 characters");
    }

    #[test]
    fn the_user_name_is_no_password() {
        let refusal = check_new(&plain("ann-the-great"), "ann-the-great", 12).unwrap_err();
        assert_eq!(refusal.to_string(), "Password cannot be the same as username");
        assert_eq!(check_new(&plain(""), "ann", 0), Err(PasswordRefusal::NoNew));
        assert_eq!(check_new(&plain(&"x".repeat(1025)), "ann", 1), Err(PasswordRefusal::TooLong));
    }
}
