//! Secrets that the server itself must be able to read again: kept in the store, opened only by the root key beside it (G5).

use eartag_apiserver::kind::World;
use zeroize::Zeroizing;

use crate::pki::{PkiError, RootKey};

/// Closes and opens such secrets.
#[derive(Debug)]
pub struct Vault {
    key: RootKey,
}

impl Vault {
    /// Over the root key of this store.
    #[must_use]
    pub fn new(key: RootKey) -> Vault {
        Vault { key }
    }

    /// Closes a secret. `purpose` says what it is for and whose it is; only the same purpose opens it.
    ///
    /// # Errors
    /// [`PkiError`], which does not happen to secrets of any sane size.
    pub fn close(&self, purpose: &str, plain: &[u8], world: &dyn World) -> Result<Vec<u8>, PkiError> {
        let mut nonce = [0; _];
        world.random(&mut nonce);
        self.key.wrap(purpose, plain, nonce)
    }

    /// Opens what was closed for the same purpose.
    ///
    /// # Errors
    /// [`PkiError::WrongRootKey`]: another key, another purpose, or damage.
    pub fn open(&self, purpose: &str, closed: &[u8]) -> Result<Zeroizing<Vec<u8>>, PkiError> {
        self.key.unwrap(purpose, closed)
    }
}
