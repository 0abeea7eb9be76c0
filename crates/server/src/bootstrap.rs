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

use std::collections::BTreeMap;

use eartag_api::frame;
use eartag_api::meta::{Meta, Uid};
use eartag_core::collections::{EXT_TOKENS, GLOBAL_ROLE_BINDINGS, IDENTITY, PASSWORDS, USERS};
use eartag_core::names::random_name;
use eartag_core::{
    Credential, GlobalRoleBindingRecord, Lifetime, Now, PasswordHash, PasswordRecord, PlainSecret, Principal,
    SecretHash, TokenRecord, UserRecord,
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
const BOOTSTRAPPING: (&str, &str) = ("authz.management.cattle.io/bootstrapping", "admin-user");
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
    /// Features to lock on the first start, and to what.
    pub feature_locks: BTreeMap<String, bool>,
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
    admin_files::write_trust(start.paths, &address)?;
    let now_s = start.now_s();
    admin_files::write_system_admin(start.paths, &identity, &address, start.random, now_s)?;
    look_after_admin(store, &start, &identity, &address).await?;
    Ok(Started { identity, generated_password, first })
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
    let identity = Identity::new(user.clone(), start.feature_locks.clone(), start.random, start.now_s())?;
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
    let bound =
        GlobalRoleBindingRecord { role: ADMIN.into(), user: user.clone(), group_principal: String::new() };
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
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use std::fs;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU8, Ordering};

    use eartag_core::SettingRecord;
    use eartag_core::collections::{self, SETTINGS};
    use eartag_storage::{Memory, NoObserver, Options, Scope};

    use super::*;
    use crate::clock::fill_random;
    use crate::pki::RootKey;

    const NOW: Now = Now { wall_ms: 1_780_000_000_000, boot_ms: 1000 };
    const DAY_MS: u64 = 86_400_000;

    struct Place {
        _dir: tempfile::TempDir,
        paths: DataPaths,
        root_key: RootKey,
    }

    fn place() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let paths = DataPaths::new(&dir.path().join("data"));
        Place { _dir: dir, paths, root_key: RootKey::new([1; 32]) }
    }

    fn asked(place: &Place, now: Now) -> Start<'_> {
        Start {
            paths: &place.paths,
            root_key: &place.root_key,
            password: None,
            feature_locks: BTreeMap::new(),
            token_lifetime: Lifetime::For(90 * DAY_MS),
            address: Address { url: "https://127.0.0.1:8443".into(), trust: String::new() },
            seeds: vec![Seed {
                collection: SETTINGS,
                name: "auth-token-max-ttl-minutes".into(),
                body: Box::new(|old| old.is_none().then(|| SettingRecord::default().encode())),
            }],
            random: &fill_random,
            now,
        }
    }

    async fn open(engine: Memory) -> Store {
        Store::open(Box::new(engine), collections::all(), Arc::new(NoObserver), Options::default())
            .await
            .unwrap()
    }

    /// The token of the file in the store, as the verifier would find it.
    fn token_works(store: &Store, place: &Place, now: Now) -> bool {
        let known = admin_files::read_admin(&place.paths).unwrap().unwrap();
        matches!(fate(store, &known, now.wall_ms), Fate::Good(_))
    }

    fn counts(store: &Store) -> Vec<u64> {
        collections::all().iter().map(|c| store.count(c.id, &Scope::All)).collect()
    }

    #[tokio::test]
    async fn a_first_start_makes_an_admin_who_can_log_in() {
        let (store, place) = (open(Memory::new()).await, place());
        let started = start(&store, asked(&place, NOW)).await.unwrap();
        assert!(started.first);
        let password = started.generated_password.unwrap();
        let name = &started.identity.admin;
        let entry = store.get(USERS, name.as_bytes()).unwrap();
        let user = UserRecord::decode(frame::split(entry.value()).unwrap().0).unwrap();
        assert_eq!((user.username.as_str(), user.display_name.as_str()), ("admin", "Default Admin"));
        assert!(user.must_change_password);
        assert_eq!(user.principal_ids, [format!("local://{name}")]);
        let meta = frame::meta(entry.value()).unwrap();
        assert_eq!(meta.labels["authz.management.cattle.io/bootstrapping"], "admin-user");
        let stored = store.get(PASSWORDS, name.as_bytes()).unwrap();
        let stored = PasswordRecord::decode(frame::split(stored.value()).unwrap().0).unwrap();
        assert!(stored.hash.verify(&password));
        assert!(token_works(&store, &place, NOW));
        assert_eq!(store.count(GLOBAL_ROLE_BINDINGS, &Scope::Owner(name.clone().into_bytes())), 1);
        assert_eq!(store.count(SETTINGS, &Scope::All), 1);
        for file in [&place.paths.ca_certificate, &place.paths.system_admin_kubeconfig] {
            assert!(file.exists());
        }
        let ca = fs::read_to_string(&place.paths.ca_certificate).unwrap();
        assert_eq!(ca, started.identity.serving.certificate_pem());
    }

    #[tokio::test]
    async fn a_later_start_changes_nothing() {
        let (store, place) = (open(Memory::new()).await, place());
        let first = start(&store, asked(&place, NOW)).await.unwrap();
        let (before, revision) = (fs::read(&place.paths.admin_kubeconfig).unwrap(), store.revision());
        let again = start(&store, asked(&place, NOW)).await.unwrap();
        assert!(!again.first && again.generated_password.is_none());
        assert_eq!(again.identity.store_id, first.identity.store_id);
        assert_eq!(store.revision(), revision);
        assert_eq!(fs::read(&place.paths.admin_kubeconfig).unwrap(), before);
    }

    #[tokio::test]
    async fn a_given_password_must_be_changed_only_if_it_is_admin() {
        for (given, must) in [("admin", true), ("correct horse", false)] {
            let (store, place) = (open(Memory::new()).await, place());
            let password = SecretString::from(given);
            let started =
                start(&store, Start { password: Some(&password), ..asked(&place, NOW) }).await.unwrap();
            assert!(started.generated_password.is_none());
            let entry = store.get(USERS, started.identity.admin.as_bytes()).unwrap();
            let user = UserRecord::decode(frame::split(entry.value()).unwrap().0).unwrap();
            assert_eq!(user.must_change_password, must);
        }
    }

    #[tokio::test]
    async fn of_many_replicas_one_is_first_and_all_can_get_in() {
        let store = open(Memory::new()).await;
        let (a, b, c) = (place(), place(), place());
        let (x, y, z) = tokio::join!(
            start(&store, asked(&a, NOW)),
            start(&store, asked(&b, NOW)),
            start(&store, asked(&c, NOW))
        );
        let started = [x.unwrap(), y.unwrap(), z.unwrap()];
        assert_eq!(started.iter().filter(|s| s.first).count(), 1);
        assert_eq!(started.iter().filter(|s| s.generated_password.is_some()).count(), 1);
        assert!(started.iter().all(|s| s.identity.store_id == started[0].identity.store_id));
        assert_eq!((store.count(USERS, &Scope::All), store.count(EXT_TOKENS, &Scope::All)), (1, 3));
        for place in [&a, &b, &c] {
            assert!(token_works(&store, place, NOW));
        }
    }

    #[tokio::test]
    async fn a_lost_reply_is_settled_by_looking() {
        for written in [true, false] {
            let engine = Memory::new();
            let faults = engine.faults();
            let (store, place) = (open(engine).await, place());
            faults.pass(1);
            faults.unknown(1, written);
            let outcome = start(&store, asked(&place, NOW)).await;
            if written {
                assert!(outcome.unwrap().generated_password.is_some());
                assert!(token_works(&store, &place, NOW));
            } else {
                let error = outcome.unwrap_err().to_string();
                assert!(error.contains("could not be stored"), "{error}");
                // The next start begins where this one failed and is the first.
                assert!(start(&store, asked(&place, NOW)).await.unwrap().first);
                assert!(token_works(&store, &place, NOW));
                assert_eq!(store.count(USERS, &Scope::All), 1);
            }
        }
    }

    #[tokio::test]
    async fn the_admins_kubeconfig_is_renewed_when_missing_or_expired_but_not_when_revoked() {
        let (store, place) = (open(Memory::new()).await, place());
        let file = &place.paths.admin_kubeconfig;
        start(&store, asked(&place, NOW)).await.unwrap();
        fs::remove_file(file).unwrap();
        start(&store, asked(&place, NOW)).await.unwrap();
        assert!(token_works(&store, &place, NOW));

        let later = Now { wall_ms: NOW.wall_ms + 90 * DAY_MS, ..NOW };
        let before = fs::read(file).unwrap();
        assert!(!token_works(&store, &place, later));
        start(&store, asked(&place, later)).await.unwrap();
        assert_ne!(fs::read(file).unwrap(), before);
        assert!(token_works(&store, &place, later));

        let known = admin_files::read_admin(&place.paths).unwrap().unwrap();
        let op = Op::Delete { collection: EXT_TOKENS, key: known.name.into_bytes() };
        store.commit(Commit { ops: vec![op], ..Commit::default() }).await.unwrap();
        let tokens = counts(&store);
        start(&store, asked(&place, later)).await.unwrap();
        assert!(!token_works(&store, &place, later));
        assert_eq!(counts(&store), tokens);

        let purged = Now { wall_ms: later.wall_ms + 91 * DAY_MS, ..NOW };
        start(&store, asked(&place, purged)).await.unwrap();
        assert!(token_works(&store, &place, purged), "an expired token that was purged is not a revoked one");
    }

    #[tokio::test]
    async fn a_start_at_another_address_keeps_the_token() {
        let (store, place) = (open(Memory::new()).await, place());
        start(&store, asked(&place, NOW)).await.unwrap();
        let moved = Address { url: "https://127.0.0.1:9".into(), trust: "other\n".into() };
        start(&store, Start { address: moved, ..asked(&place, NOW) }).await.unwrap();
        let text = fs::read_to_string(&place.paths.admin_kubeconfig).unwrap();
        assert!(text.contains("https://127.0.0.1:9"));
        assert!(token_works(&store, &place, NOW));
        assert_eq!(store.count(EXT_TOKENS, &Scope::All), 1);
        assert_eq!(fs::read_to_string(&place.paths.ca_certificate).unwrap(), "other\n");
    }

    #[tokio::test]
    async fn a_deleted_admin_stays_deleted() {
        let (store, place) = (open(Memory::new()).await, place());
        let started = start(&store, asked(&place, NOW)).await.unwrap();
        let op = Op::Delete { collection: USERS, key: started.identity.admin.into_bytes() };
        store.commit(Commit { ops: vec![op], ..Commit::default() }).await.unwrap();
        fs::remove_file(&place.paths.admin_kubeconfig).unwrap();
        start(&store, asked(&place, NOW)).await.unwrap();
        assert!(!place.paths.admin_kubeconfig.exists());
        assert_eq!(store.count(USERS, &Scope::All), 0);
    }

    #[tokio::test]
    async fn seeds_are_refreshed_only_where_they_say_so() {
        let (store, place) = (open(Memory::new()).await, place());
        let version = Arc::new(AtomicU8::new(1));
        let seed = |version: &Arc<AtomicU8>| {
            let version = Arc::clone(version);
            Seed {
                collection: SETTINGS,
                name: "server-version".into(),
                body: Box::new(move |_| Some(vec![version.load(Ordering::Relaxed)])),
            }
        };
        let begin = |version| Start { seeds: vec![seed(version)], ..asked(&place, NOW) };
        start(&store, begin(&version)).await.unwrap();
        version.store(2, Ordering::Relaxed);
        start(&store, begin(&version)).await.unwrap();
        let entry = store.get(SETTINGS, b"server-version").unwrap();
        assert_eq!(frame::split(entry.value()).unwrap().0, [2]);
        let meta = frame::meta(entry.value()).unwrap();
        assert_eq!(meta.generation, 2);
        let revision = store.revision();
        start(&store, begin(&version)).await.unwrap();
        assert_eq!(store.revision(), revision);
    }

    #[tokio::test]
    async fn an_unwritable_directory_stops_the_start_before_anything_is_stored() {
        let (store, place) = (open(Memory::new()).await, place());
        fs::create_dir_all(place.paths.dir.parent().unwrap()).unwrap();
        fs::write(&place.paths.dir, "a file").unwrap();
        let error = start(&store, asked(&place, NOW)).await.unwrap_err().to_string();
        assert!(error.starts_with("cannot write "), "{error}");
        assert!(store.get(IDENTITY, identity::KEY).is_none());
    }
}
