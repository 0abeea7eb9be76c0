//! Who this store is: its id, its two certificate authorities, its cookie key. One record, written once, on the first start.
//!
//! Private keys are in it only wrapped by the [root key](RootKey), which lives in a file beside the store and never in it: neither the store nor a copy of it
//! opens anything.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use eartag_api::frame;
use eartag_api::meta::{Meta, Uid};
use eartag_core::IdentityRecord;
use eartag_core::collections::IDENTITY;
use eartag_storage::Store;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::files::{FileError, create_private, private_dir, read_small};
use crate::pki::{Authority, PkiError, RootKey};

/// The key of the one record.
pub const KEY: &[u8] = b"identity";

/// Names what each wrapped key is for; part of its encryption, so they cannot be swapped.
const SERVING: &str = "eartag/serving-ca";
const CLIENT: &str = "eartag/client-ca";
const COOKIE: &str = "eartag/cookie-key";

const KEY_FILE_LIMIT: u64 = 4096;

/// A source of random bytes that fills the whole slice.
pub type Random<'a> = &'a (dyn Fn(&mut [u8]) + Send + Sync);

/// What hinders the start. Each text is one sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file of the data directory.
    #[error(transparent)]
    File(#[from] FileError),
    /// The store was written with a root key that is gone.
    #[error("there is no root key at {}, and the data cannot be opened without the key that it was written with", .0.display())]
    NoRootKey(PathBuf),
    /// The root key's file, or what it should open, is wrong.
    #[error("the root key {} cannot be used: {why}", path.display())]
    RootKey {
        /// The key's file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        why: PkiError,
    },
    /// Certificates.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The stored identity cannot be read.
    #[error("the store's identity is damaged or was written by a newer version")]
    Damaged,
    /// The store does not take the first objects.
    #[error("the first objects could not be stored: {0}")]
    Store(String),
}

/// The identity, opened.
#[derive(Debug)]
pub struct Identity {
    /// The store's id; other servers on the same store share it.
    pub store_id: Uid,
    /// When the store was first started, in seconds since 1970.
    pub created_s: i64,
    /// Signs serving certificates. Its certificate is `DIR/tls/ca.crt`.
    pub serving: Authority,
    /// Signs client certificates, and nothing else trusts it.
    pub clients: Authority,
    /// Signs cookies.
    pub cookie_key: CookieKey,
    /// The name of the user `admin` that the first start made.
    pub admin: String,
}

/// The key that signs cookies.
pub struct CookieKey(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for CookieKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CookieKey(…)")
    }
}

impl CookieKey {
    /// The key's bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

/// As stored, with postcard. Fields are only ever appended.
#[derive(Serialize, Deserialize)]
struct Stored {
    store_id: Uid,
    created_s: i64,
    serving_certificate: Vec<u8>,
    serving_key: Vec<u8>,
    client_certificate: Vec<u8>,
    client_key: Vec<u8>,
    cookie_key: Vec<u8>,
    admin: String,
    /// Nobody reads it: what is locked stands in the features' own records.
    feature_locks: BTreeMap<String, bool>,
}

impl Identity {
    /// A new one, not stored yet.
    ///
    /// # Errors
    /// [`IdentityError::Pki`].
    pub fn new(admin: String, random: Random<'_>, now_s: i64) -> Result<Self, IdentityError> {
        let mut cookie_key = Zeroizing::new([0; 32]);
        random(cookie_key.as_mut_slice());
        Ok(Self {
            store_id: Uid::from_random(bytes(random)),
            created_s: now_s,
            serving: Authority::new("eartag-serving-ca", now_s, bytes(random))?,
            clients: Authority::new("eartag-client-ca", now_s, bytes(random))?,
            cookie_key: CookieKey(cookie_key),
            admin,
        })
    }

    /// The identity in the store; `None` before the first start is complete.
    ///
    /// # Errors
    /// [`IdentityError::RootKey`] when the key does not fit, [`IdentityError::Damaged`].
    pub fn read(
        store: &Store,
        root_key: &RootKey,
        root_key_file: &Path,
    ) -> Result<Option<Self>, IdentityError> {
        let Some(entry) = store.get(IDENTITY, KEY) else { return Ok(None) };
        let (body, _) = frame::split(entry.value()).ok_or(IdentityError::Damaged)?;
        let record = IdentityRecord::decode(body).ok_or(IdentityError::Damaged)?;
        let (stored, _) =
            postcard::take_from_bytes::<Stored>(&record.0).map_err(|_| IdentityError::Damaged)?;
        let open = |purpose, wrapped: &[u8]| {
            root_key
                .unwrap(purpose, wrapped)
                .map_err(|why| IdentityError::RootKey { path: root_key_file.to_owned(), why })
        };
        let cookie_key = open(COOKIE, &stored.cookie_key)?;
        let cookie_key = <[u8; 32]>::try_from(cookie_key.as_slice()).map_err(|_| IdentityError::Damaged)?;
        Ok(Some(Self {
            store_id: stored.store_id,
            created_s: stored.created_s,
            serving: Authority::from_stored(
                &stored.serving_certificate,
                &open(SERVING, &stored.serving_key)?,
            )?,
            clients: Authority::from_stored(&stored.client_certificate, &open(CLIENT, &stored.client_key)?)?,
            cookie_key: CookieKey(Zeroizing::new(cookie_key)),
            admin: stored.admin,
        }))
    }

    /// The value to store under [`KEY`].
    ///
    /// # Errors
    /// [`IdentityError::Pki`].
    pub fn to_value(&self, root_key: &RootKey, random: Random<'_>) -> Result<Vec<u8>, IdentityError> {
        let stored = Stored {
            store_id: self.store_id,
            created_s: self.created_s,
            serving_certificate: self.serving.certificate().to_vec(),
            serving_key: root_key.wrap(SERVING, &self.serving.key_der(), bytes(random))?,
            client_certificate: self.clients.certificate().to_vec(),
            client_key: root_key.wrap(CLIENT, &self.clients.key_der(), bytes(random))?,
            cookie_key: root_key.wrap(COOKIE, self.cookie_key.expose(), bytes(random))?,
            admin: self.admin.clone(),
            feature_locks: BTreeMap::new(),
        };
        let record = postcard::to_stdvec(&stored).map_err(|_| IdentityError::Damaged)?;
        let meta = Meta { uid: self.store_id, created_s: self.created_s, generation: 1, ..Meta::default() };
        Ok(frame::frame(&IdentityRecord(record).encode(), &meta))
    }
}

/// The root key of this store: read from its file, or made if the store has no identity yet.
///
/// # Errors
/// [`IdentityError::NoRootKey`] when the store has an identity and the file is gone, [`IdentityError::RootKey`], [`IdentityError::File`].
pub fn root_key(file: &Path, store: &Store, random: Random<'_>) -> Result<RootKey, IdentityError> {
    if let Some(key) = read_root_key(file)? {
        return Ok(key);
    }
    if store.get(IDENTITY, KEY).is_some() {
        return Err(IdentityError::NoRootKey(file.to_owned()));
    }
    if let Some(parent) = file.parent().filter(|p| !p.as_os_str().is_empty()) {
        private_dir(parent)?;
    }
    let key = RootKey::new(bytes(random));
    if create_private(file, key.to_text().as_bytes())? {
        return Ok(key);
    }
    // Another process made one between the two looks.
    read_root_key(file)?.ok_or_else(|| IdentityError::NoRootKey(file.to_owned()))
}

fn read_root_key(file: &Path) -> Result<Option<RootKey>, IdentityError> {
    let Some(text) = read_small(file, KEY_FILE_LIMIT)?.map(Zeroizing::new) else { return Ok(None) };
    RootKey::from_text(&text).map(Some).map_err(|why| IdentityError::RootKey { path: file.to_owned(), why })
}

/// So many random bytes.
pub(crate) fn bytes<const N: usize>(random: Random<'_>) -> [u8; N] {
    let mut out = [0; N];
    random(&mut out);
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use std::sync::Arc;

    use eartag_core::collections;
    use eartag_storage::{Commit, Memory, NoObserver, Op, Options};

    use super::*;
    use crate::clock::fill_random;

    async fn store() -> Store {
        let engine = Box::new(Memory::new());
        Store::open(engine, collections::all(), Arc::new(NoObserver), Options::default()).await.unwrap()
    }

    async fn put(store: &Store, value: Vec<u8>) {
        let op = Op::Put { collection: IDENTITY, key: KEY.to_vec(), value };
        store.commit(Commit { ops: vec![op], ..Commit::default() }).await.unwrap();
    }

    #[tokio::test]
    async fn what_was_stored_opens_with_its_root_key_only() {
        let store = store().await;
        let file = Path::new("keys/root.key");
        let key = RootKey::new([1; 32]);
        assert!(Identity::read(&store, &key, file).unwrap().is_none());
        let made = Identity::new("user-abcde".into(), &fill_random, 1_780_000_000).unwrap();
        let value = made.to_value(&key, &fill_random).unwrap();
        for secret in [made.serving.key_der().as_slice(), made.cookie_key.expose().as_slice()] {
            assert!(
                !value.windows(secret.len()).any(|w| w == secret),
                "a private key is in the store in clear"
            );
        }
        put(&store, value).await;
        let read = Identity::read(&store, &key, file).unwrap().unwrap();
        assert_eq!(read.store_id, made.store_id);
        assert_eq!(read.serving.certificate(), made.serving.certificate());
        assert_eq!(read.clients.certificate(), made.clients.certificate());
        assert_eq!(read.cookie_key.expose(), made.cookie_key.expose());
        assert_eq!(read.admin, "user-abcde");
        let error = Identity::read(&store, &RootKey::new([2; 32]), file).unwrap_err().to_string();
        assert_eq!(
            error,
            "the root key keys/root.key cannot be used: the root key does not fit this data: it is not the key that the data was written with"
        );
        put(&store, b"junk".to_vec()).await;
        assert!(matches!(Identity::read(&store, &key, file), Err(IdentityError::Damaged)));
    }

    #[tokio::test]
    async fn a_root_key_is_made_once_and_never_for_data_that_has_one() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("keys/root.key");
        let store = store().await;
        let first = root_key(&file, &store, &fill_random).unwrap();
        let again = root_key(&file, &store, &fill_random).unwrap();
        assert_eq!(*first.to_text(), *again.to_text());
        put(&store, b"anything".to_vec()).await;
        std::fs::remove_file(&file).unwrap();
        assert!(matches!(root_key(&file, &store, &fill_random), Err(IdentityError::NoRootKey(_))));
        std::fs::write(&file, "not a key").unwrap();
        assert!(matches!(root_key(&file, &store, &fill_random), Err(IdentityError::RootKey { .. })));
    }
}
