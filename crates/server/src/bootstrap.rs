//! The first start, and what each later start looks after.
//!
//! ```text
//! 1  roles, settings, features, the cluster `local`   one commit each, on "absent": any replica may do any of them, any number of times
//! 2  secret files                                     written and on the disk
//! 3  identity + admin + password + binding + token    ONE commit on Absent(identity): from here on the store is somebody
//! 4  files again                                      whoever lost the race of 3 reads the winner's identity
//! ```
//!
//! A crash between any two steps leaves nothing that the next start does not finish or replace.

use eartag_api::frame;
use eartag_api::meta::{Meta, Uid};
use eartag_core::collections::{
    EXT_TOKENS, GLOBAL_ROLE_BINDINGS, IDENTITY, PASSWORDS, SETTINGS, USERNAMES, USERS,
};
use eartag_core::names::random_name;
use eartag_core::settings::CACERTS;
use eartag_core::{
    Credential, GlobalRoleBindingRecord, Lifetime, Now, PasswordHash, PasswordRecord, PlainSecret, Principal,
    SecretHash, SettingRecord, TokenRecord, UserRecord,
};
use eartag_storage::{CollectionId, Commit, CommitError, Condition, Lane, Op, Store};
use secrecy::{ExposeSecret, SecretString};

use crate::admin_files::{self, Address, KnownToken};
use crate::config::DataPaths;
use crate::identity::{self, Identity, IdentityError, Random, bytes};
use crate::pki::RootKey;

const ADMIN: &str = "admin";
const ADMIN_DISPLAY_NAME: &str = "Default Admin";
/// Marks the first user and its binding, as in the reference (v3-token.md §5.7).
const BOOTSTRAPPING: (&str, &str) = eartag_core::retention::FIRST_ADMIN;
const TOKEN_KIND: &str = "kubeconfig";

/// An object that every store has: made when absent, and brought up to date at each start where it says so.
pub struct Seed {
    /// Where it belongs.
    pub collection: CollectionId,
    /// Its name.
    pub name: String,
    /// The body to store, given the one that is there; `None` leaves that alone.
    #[expect(clippy::type_complexity, reason = "a name for it would say no more")]
    pub body: Box<dyn Fn(Option<&[u8]>) -> Option<Vec<u8>> + Send + Sync>,
}

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seed")
            .field("collection", &self.collection)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What a start needs to know.
pub struct Start<'a> {
    /// The data directory.
    pub paths: &'a DataPaths,
    /// Opens the identity.
    pub root_key: &'a RootKey,
    /// The first password of `admin`; `None`: one is made. Used on the first start only.
    pub password: Option<&'a SecretString>,
    /// How long the token in `admin.yaml` lives.
    pub token_lifetime: Lifetime,
    /// How clients reach this server; `trust` is filled in with the store's own authority where it is empty.
    pub address: Address,
    /// What every store has.
    pub seeds: Vec<Seed>,
    /// The wiring's randomness.
    pub random: Random<'a>,
    /// The wiring's time.
    pub now: Now,
}

/// What a start found or made.
#[derive(Debug)]
pub struct Started {
    /// The store's identity.
    pub identity: Identity,
    /// The first password, if one had to be made: to be shown once and forgotten.
    pub generated_password: Option<PlainSecret>,
    /// Whether this was the store's first start (and this process won it).
    pub first: bool,
}

/// Runs the sequence.
///
/// # Errors
/// [`IdentityError`]: files, keys, or the store.
pub async fn start(store: &Store, start: Start<'_>) -> Result<Started, IdentityError> {
    for seed in &start.seeds {
        plant(store, seed, &start).await?;
    }
    let (identity, generated_password, first) =
        match Identity::read(store, start.root_key, &start.paths.root_key)? {
            Some(identity) => (identity, None, false),
            None => first_start(store, &start).await?,
        };
    let address = start.address_of(&identity);
    plant(store, &trusted(&address.trust), &start).await?;
    admin_files::write_trust(start.paths, &address)?;
    let now_s = start.now_s();
    admin_files::write_system_admin(start.paths, &identity, &address, start.random, now_s)?;
    look_after_admin(store, &start, &identity, &address).await?;
    Ok(Started { identity, generated_password, first })
}

/// The read-only setting `cacerts` says what clients should trust (DEC61).
fn trusted(pem: &str) -> Seed {
    let record = SettingRecord { value: pem.to_owned(), env: false };
    Seed {
        collection: SETTINGS,
        name: CACERTS.to_owned(),
        body: Box::new(move |stored| {
            (stored.and_then(SettingRecord::decode).as_ref() != Some(&record)).then(|| record.encode())
        }),
    }
}

impl Start<'_> {
    fn now_s(&self) -> i64 {
        eartag_core::time::seconds(self.now.wall_ms)
    }

    fn address_of(&self, identity: &Identity) -> Address {
        let mut address = self.address.clone();
        if address.trust.is_empty() {
            address.trust = identity.serving.certificate_pem();
        }
        address
    }

    fn meta(&self) -> Meta {
        Meta {
            uid: Uid::from_random(bytes(self.random)),
            created_s: self.now_s(),
            generation: 1,
            ..Meta::default()
        }
    }
}

/// Stores a seed if it is absent or out of date. Losing a race to another replica is as good as winning it.
async fn plant(store: &Store, seed: &Seed, start: &Start<'_>) -> Result<(), IdentityError> {
    let key = seed.name.as_bytes().to_vec();
    let (condition, value) = match store.get(seed.collection, &key) {
        None => {
            let Some(body) = (seed.body)(None) else { return Ok(()) };
            (
                Condition::Absent { collection: seed.collection, key: key.clone() },
                frame::frame(&body, &start.meta()),
            )
        }
        Some(entry) => {
            // What cannot be read is for an admin to see and delete (DEC23), not for us to write over.
            let Some((old, _)) = frame::split(entry.value()) else { return Ok(()) };
            let Some(mut meta) = frame::meta(entry.value()) else { return Ok(()) };
            let Some(body) = (seed.body)(Some(old)).filter(|new| new != old) else { return Ok(()) };
            meta.generation += 1;
            let condition = Condition::ModRevision {
                collection: seed.collection,
                key: key.clone(),
                revision: entry.modified(),
            };
            (condition, frame::frame(&body, &meta))
        }
    };
    let op = Op::Put { collection: seed.collection, key, value };
    match store.commit(Commit { conditions: vec![condition], ops: vec![op], lane: Lane::Interactive }).await {
        Ok(_) | Err(CommitError::Conflict { .. }) => Ok(()),
        Err(error) => Err(refused(&error)),
    }
}

async fn first_start(
    store: &Store,
    start: &Start<'_>,
) -> Result<(Identity, Option<PlainSecret>, bool), IdentityError> {
    let random = &mut |out: &mut [u8]| (start.random)(out);
    let (user, binding) = (random_name("user-", random), random_name("globalrolebinding-", random));
    let identity = Identity::new(user.clone(), start.random, start.now_s())?;
    let address = start.address_of(&identity);

    let (password, generated) = match start.password {
        Some(given) => (PlainSecret::new(given.expose_secret()), false),
        None => (PlainSecret::token(random), true),
    };
    let must_change_password = generated || password.expose() == ADMIN;
    let mut user_meta = start.meta();
    user_meta.labels.insert(BOOTSTRAPPING.0.into(), BOOTSTRAPPING.1.into());
    let record = UserRecord {
        username: ADMIN.into(),
        display_name: ADMIN_DISPLAY_NAME.into(),
        description: String::new(),
        enabled: Some(true),
        must_change_password,
        principal_ids: vec![format!("local://{user}")],
    };
    let mut binding_meta = start.meta();
    binding_meta.labels.insert(BOOTSTRAPPING.0.into(), BOOTSTRAPPING.1.into());
    let bound = GlobalRoleBindingRecord {
        role: ADMIN.into(),
        user: user.clone(),
        user_uid: Some(user_meta.uid),
        ..GlobalRoleBindingRecord::default()
    };
    let password_record = PasswordRecord { hash: PasswordHash::make(&password, bytes(start.random)) };
    let token = NewToken::make(start, &user, user_meta.uid);

    admin_files::write_trust(start.paths, &address)?;
    admin_files::write_system_admin(start.paths, &identity, &address, start.random, start.now_s())?;
    token.write(start, &address)?;

    let put = |collection, key: &str, value| Op::Put { collection, key: key.as_bytes().to_vec(), value };
    let commit = Commit {
        conditions: vec![Condition::Absent { collection: IDENTITY, key: identity::KEY.to_vec() }],
        ops: vec![
            Op::Put {
                collection: IDENTITY,
                key: identity::KEY.to_vec(),
                value: identity.to_value(start.root_key, start.random)?,
            },
            put(USERS, &user, frame::frame(&record.encode(), &user_meta)),
            put(USERNAMES, ADMIN, frame::frame(user.as_bytes(), &start.meta())),
            put(PASSWORDS, &user, frame::frame(&password_record.encode(), &start.meta())),
            put(GLOBAL_ROLE_BINDINGS, &binding, frame::frame(&bound.encode(), &binding_meta)),
            put(EXT_TOKENS, &token.name, token.value),
        ],
        lane: Lane::Interactive,
    };
    let outcome = store.commit(commit).await;
    match outcome {
        Ok(_) => return Ok((identity, generated.then_some(password), true)),
        Err(CommitError::Conflict { .. } | CommitError::Unknown) => {}
        Err(error) => return Err(refused(&error)),
    }
    // Somebody else was first, or the reply was lost: what the store says now decides.
    let Some(stored) = Identity::read(store, start.root_key, &start.paths.root_key)? else {
        return Err(IdentityError::Store("the store did not say whether they were".into()));
    };
    if stored.store_id == identity.store_id {
        return Ok((identity, generated.then_some(password), true));
    }
    // Our token was never stored: without the file the next step makes one that is.
    let _ = std::fs::remove_file(&start.paths.admin_kubeconfig);
    Ok((stored, None, false))
}

/// Keeps `admin.yaml` good: a new token when the file is missing or its token has expired (DEC59), else the same token with this start's address. A token that
/// somebody revoked or disabled is not replaced: that was the purpose.
async fn look_after_admin(
    store: &Store,
    start: &Start<'_>,
    identity: &Identity,
    address: &Address,
) -> Result<(), IdentityError> {
    let known = admin_files::read_admin(start.paths)?;
    match known.as_ref().map_or(Fate::Missing, |known| fate(store, known, start.now.wall_ms)) {
        Fate::Good(known_expiry) => {
            if let Some(known) = known {
                admin_files::write_admin(start.paths, address, &known.name, &known.secret, known_expiry)?;
            }
            return Ok(());
        }
        Fate::Revoked => {
            tracing::warn!(
                file = %start.paths.admin_kubeconfig.display(),
                "the token in this kubeconfig was revoked: to get a new one, delete the file and start again"
            );
            return Ok(());
        }
        Fate::Missing => {}
    }
    let Some(entry) = store.get(USERS, identity.admin.as_bytes()) else {
        tracing::warn!(user = %identity.admin, "the first admin was deleted, so there is no kubeconfig for it");
        return Ok(());
    };
    let Some(head) = frame::head(entry.value()).filter(|head| !head.deleted) else { return Ok(()) };
    let token = NewToken::make(start, &identity.admin, head.uid);
    token.write(start, address)?;
    let key = token.name.as_bytes().to_vec();
    let commit = Commit {
        conditions: vec![Condition::Absent { collection: EXT_TOKENS, key: key.clone() }],
        ops: vec![Op::Put { collection: EXT_TOKENS, key, value: token.value }],
        lane: Lane::Interactive,
    };
    store.commit(commit).await.map_err(|error| {
        // A file whose token was not stored would look revoked at the next start.
        let _ = std::fs::remove_file(&start.paths.admin_kubeconfig);
        refused(&error)
    })?;
    tracing::info!(file = %start.paths.admin_kubeconfig.display(), "a new kubeconfig for the admin was written");
    Ok(())
}

/// What became of the token in a file.
enum Fate {
    /// It works; with the time at which it expires, in seconds since 1970.
    Good(Option<i64>),
    /// There is none, or it has expired.
    Missing,
    /// It was taken away before its time.
    Revoked,
}

fn fate(store: &Store, known: &KnownToken, now_ms: u64) -> Fate {
    let over = known.expires_s.is_some_and(|s| now_ms >= eartag_core::time::millis(s));
    // An expired token may be purged already.
    let gone = if over { Fate::Missing } else { Fate::Revoked };
    let Some(entry) = store.get(EXT_TOKENS, known.name.as_bytes()) else { return gone };
    let record = frame::split(entry.value()).and_then(|(body, _)| TokenRecord::decode(body));
    let (Some(record), Some(head)) = (record, frame::head(entry.value())) else { return gone };
    let credential = record.credential;
    if !credential.hash.verify(known.secret.expose()) {
        return gone;
    }
    if credential.lifetime.expired(head.created_s, now_ms) {
        return Fate::Missing;
    }
    if !credential.enabled || head.deleted {
        return Fate::Revoked;
    }
    Fate::Good(credential.lifetime.expires_ms(head.created_s).map(eartag_core::time::seconds))
}

/// A token for the admin's kubeconfig, not stored yet.
struct NewToken {
    name: String,
    secret: PlainSecret,
    value: Vec<u8>,
    expires_s: Option<i64>,
}

impl NewToken {
    fn make(start: &Start<'_>, user: &str, user_uid: Uid) -> Self {
        let random = &mut |out: &mut [u8]| (start.random)(out);
        let name = random_name("token-", random);
        let secret = PlainSecret::token(random);
        let now_s = start.now_s();
        let credential = Credential {
            owner: user.to_owned(),
            owner_uid: user_uid,
            hash: SecretHash::sha3(&secret, bytes(start.random)),
            lifetime: start.token_lifetime,
            enabled: true,
            cluster: String::new(),
            session: false,
            principal: Principal::local(user, ADMIN, ADMIN_DISPLAY_NAME),
            kind: TOKEN_KIND.into(),
            description: "The first admin's kubeconfig".into(),
            last_update_s: now_s,
        };
        let mut meta = start.meta();
        meta.labels.insert("cattle.io/user-id".into(), user.to_owned());
        meta.labels.insert("authn.management.cattle.io/kind".into(), TOKEN_KIND.into());
        let expires_s = start.token_lifetime.expires_ms(now_s).map(eartag_core::time::seconds);
        Self { name, secret, value: frame::frame(&TokenRecord { credential }.encode(), &meta), expires_s }
    }

    fn write(&self, start: &Start<'_>, address: &Address) -> Result<(), IdentityError> {
        Ok(admin_files::write_admin(start.paths, address, &self.name, &self.secret, self.expires_s)?)
    }
}

fn refused(error: &CommitError) -> IdentityError {
    IdentityError::Store(error.to_string())
}

#[cfg(test)]
mod tests;
