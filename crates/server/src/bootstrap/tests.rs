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
    Store::open(Box::new(engine), collections::all(), Arc::new(NoObserver), Options::default()).await.unwrap()
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
    assert_eq!(store.count(SETTINGS, &Scope::All), 2, "the one that was given, and `cacerts`");
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
        let started = start(&store, Start { password: Some(&password), ..asked(&place, NOW) }).await.unwrap();
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
