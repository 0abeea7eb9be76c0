#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use eartag_core::clock::{MARK_EVERY_MS, STEADY_MS};
use eartag_core::collections::{EXT_TOKENS, LEGACY_TOKENS};
use eartag_core::{Credential, Lifetime, PlainSecret, Principal, SecretHash, TokenRecord};

use super::*;
use crate::authn::testing::{NOW_MS, Scene};
use crate::clock::SystemClock;
use crate::shutdown::{ShutdownTrigger, channel};

pub(crate) fn sweeper(scene: &Scene) -> (Sweeper, ShutdownTrigger) {
    let (trigger, shutdown) = channel();
    let (store, tables) = (scene.state.store.clone(), scene.state.tables.clone());
    let world = Arc::new(SystemWorld::new(SystemClock, None));
    (Sweeper::new(store, tables, world, Metrics::new(0.0), shutdown), trigger)
}

async fn delete(scene: &Scene, collection: CollectionId, key: &str) {
    let op = Op::Delete { collection, key: key.into() };
    scene.state.store.commit(Commit { ops: vec![op], ..Commit::default() }).await.unwrap();
}

async fn token(scene: &Scene, name: &str, uid: Uid, finalizers: &[&str]) {
    let finalizers = finalizers.iter().map(|f| (*f).to_owned()).collect();
    let meta = Meta { created_s: i64::try_from(NOW_MS / 1000).unwrap(), finalizers, ..Meta::default() };
    put(
        scene,
        EXT_TOKENS,
        name,
        TokenRecord { credential: credential(uid, Lifetime::For(1000)) }.encode(),
        &meta,
    )
    .await;
}

async fn put(scene: &Scene, collection: CollectionId, name: &str, body: Vec<u8>, meta: &Meta) {
    let op = Op::Put { collection, key: name.into(), value: frame::frame(&body, meta) };
    scene.state.store.commit(Commit { ops: vec![op], ..Commit::default() }).await.unwrap();
}

fn credential(uid: Uid, lifetime: Lifetime) -> Credential {
    Credential {
        owner: "user-ann".into(),
        owner_uid: uid,
        hash: SecretHash::sha3(&PlainSecret::new("x"), [1; 8]),
        lifetime,
        enabled: true,
        cluster: String::new(),
        session: false,
        principal: Principal::default(),
        kind: String::new(),
        description: String::new(),
        last_update_s: 0,
    }
}

pub(super) fn names(scene: &Scene, collection: CollectionId) -> Vec<String> {
    let range = Range { collection, scope: Scope::All, after: None, limit: 100, at: None };
    let page = scene.state.store.range(&range).unwrap();
    page.entries.iter().map(|e| String::from_utf8_lossy(e.key()).into_owned()).collect()
}

#[tokio::test]
async fn what_a_deleted_user_had_is_removed_also_when_the_name_is_used_again() {
    let scene = Scene::new().await;
    let ann = scene.user("user-ann", "ann", None, "admin").await;
    scene.user("user-bob", "bob", None, "user").await;
    scene.token(&ann, false, "").await;
    let (sweeper, _trigger) = sweeper(&scene);
    assert!(sweeper.orphans().await.is_ok());
    assert_eq!(
        names(&scene, GLOBAL_ROLE_BINDINGS),
        ["grb-user-ann", "grb-user-bob"],
        "the living keep what they have"
    );
    delete(&scene, USERS, "user-ann").await;
    scene.user("user-ann", "ann", None, "").await;
    assert!(!scene.state.tables.rbac.full_access("user-ann", &[], "get", "ext.cattle.io"));
    assert!(sweeper.orphans().await.is_ok());
    assert_eq!(names(&scene, GLOBAL_ROLE_BINDINGS), ["grb-user-bob"]);
    assert!(names(&scene, LEGACY_TOKENS).is_empty());
}

#[tokio::test]
async fn bindings_of_a_role_that_is_gone_are_removed_and_groups_stay_bound() {
    let scene = Scene::new().await;
    scene.user("user-ann", "ann", None, "").await;
    let bound = |role: &str, uid| GlobalRoleBindingRecord {
        role: role.into(),
        user: "user-ann".into(),
        role_uid: uid,
        ..GlobalRoleBindingRecord::default()
    };
    let gone = Some(Uid::from_random([1; 16]));
    scene.put(GLOBAL_ROLE_BINDINGS, "another", bound("user", gone).encode()).await;
    scene.put(GLOBAL_ROLE_BINDINGS, "gone", bound("nothing", gone).encode()).await;
    scene.put(GLOBAL_ROLE_BINDINGS, "good", bound("user", scene.uid(GLOBAL_ROLES, "user")).encode()).await;
    scene.put(GLOBAL_ROLE_BINDINGS, "old", bound("user", None).encode()).await;
    let group = GlobalRoleBindingRecord {
        role: "user".into(),
        group_principal: "team".into(),
        ..GlobalRoleBindingRecord::default()
    };
    scene.put(GLOBAL_ROLE_BINDINGS, "team", group.encode()).await;
    scene.put(GLOBAL_ROLE_BINDINGS, "torn", b"x".to_vec()).await;
    let (sweeper, _trigger) = sweeper(&scene);
    assert!(sweeper.orphans().await.is_ok());
    assert_eq!(names(&scene, GLOBAL_ROLE_BINDINGS), ["good", "old", "team", "torn"]);
}

#[tokio::test]
async fn finalizers_keep_an_object_and_it_is_marked_once() {
    let scene = Scene::new().await;
    for n in 0..3 {
        token(&scene, &format!("token-held{n}"), Uid::default(), &["example.org/wait"]).await;
    }
    token(&scene, "token-loose", Uid::default(), &[]).await;
    let (sweeper, _trigger) = sweeper(&scene);
    assert!(sweeper.purge(EXT_TOKENS, NOW_MS + 500).await.is_ok());
    assert_eq!(names(&scene, EXT_TOKENS).len(), 4, "not expired yet");
    assert!(sweeper.purge(EXT_TOKENS, NOW_MS + 2000).await.is_ok());
    assert_eq!(names(&scene, EXT_TOKENS), ["token-held0", "token-held1", "token-held2"]);
    let entry = scene.state.store.get(EXT_TOKENS, b"token-held0").unwrap();
    assert!(frame::meta(entry.value()).unwrap().deleted_s.is_some());
    let revision = scene.state.store.revision();
    assert!(sweeper.purge(EXT_TOKENS, NOW_MS + 2000).await.is_ok() && sweeper.orphans().await.is_ok());
    assert_eq!(scene.state.store.revision(), revision, "what is marked is left alone");
}

#[tokio::test]
async fn expired_tokens_of_both_kinds_are_purged_and_counted_once_the_clock_is_beyond_doubt() {
    let scene = Scene::new().await;
    let (sweeper, _trigger) = sweeper(&scene);
    let clock = &sweeper.world.clock;
    let start = sweeper.world.now();
    let after = |ms: u64| Now { wall_ms: start.wall_ms + ms, boot_ms: start.boot_ms + ms };
    let meta = Meta { created_s: i64::try_from(start.wall_ms / 1000).unwrap(), ..Meta::default() };
    for (name, lifetime) in
        [("over", Lifetime::For(1)), ("lives", Lifetime::For(86_400_000)), ("stays", Lifetime::Forever)]
    {
        let credential = || credential(Uid::default(), lifetime);
        put(&scene, EXT_TOKENS, name, TokenRecord { credential: credential() }.encode(), &meta).await;
        let legacy = LegacyTokenRecord {
            credential: credential(),
            derived: true,
            auth_provider: "local".into(),
            hashed_mark: false,
        };
        put(&scene, LEGACY_TOKENS, name, legacy.encode(), &meta).await;
    }
    assert!(sweeper.expired(after(5000)).await.is_ok());
    assert_eq!(names(&scene, EXT_TOKENS).len(), 3, "the clock has not proved itself");
    let steady = after(STEADY_MS + MARK_EVERY_MS);
    clock.observe(steady);
    clock.marked(clock.mark_due(steady).expect("a mark"), steady);
    assert!(sweeper.expired(steady).await.is_ok());
    for collection in [EXT_TOKENS, LEGACY_TOKENS] {
        assert_eq!(names(&scene, collection), ["lives", "stays"]);
    }
    let (_, text) = sweeper.metrics.render(None);
    assert!(text.contains("eartag_swept_objects_total{task=\"expired_tokens\"} 2\n"), "{text}");
    // Every hour, and not all servers at once.
    for _ in 0..50 {
        let jitter = sweeper.jitter();
        assert!(jitter <= PURGE_EVERY / 10, "{jitter:?}");
    }
}

#[tokio::test]
async fn many_held_tokens_do_not_keep_others_from_being_purged() {
    let scene = Scene::new().await;
    for n in 0..=BATCH {
        token(&scene, &format!("token-a{n:04}"), Uid::default(), &["example.org/wait"]).await;
    }
    token(&scene, "token-z", Uid::default(), &[]).await;
    let (sweeper, _trigger) = sweeper(&scene);
    assert!(sweeper.purge(EXT_TOKENS, NOW_MS + 2000).await.is_ok());
    assert!(scene.state.store.get(EXT_TOKENS, b"token-z").is_none());
}

#[tokio::test]
async fn a_store_that_takes_no_writes_does_not_hold_up_the_shutdown() {
    let scene = Scene::new().await;
    for n in 0..20 {
        token(&scene, &format!("token-{n}"), Uid::default(), &[]).await;
    }
    let (sweeper, trigger) = sweeper(&scene);
    scene.state.store.close().await;
    assert!(matches!(sweeper.orphans().await, Err(Stop::Store(_))), "the page is left at the first failure");
    // From here on time passes only when there is nothing else to do.
    tokio::time::pause();
    let running = tokio::spawn(sweeper.run());
    tokio::time::sleep(BACK_OFF / 2).await;
    assert!(!running.is_finished(), "it pauses");
    let began = Instant::now();
    trigger.drain();
    running.await.unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn hashing_marks_old_tokens_in_the_background_and_new_ones_from_the_start() {
    let scene = Scene::new().await;
    let ann = scene.user("user-ann", "ann", None, "user").await;
    for _ in 0..BATCH + 2 {
        scene.token(&ann, false, "").await;
    }
    let marked = || {
        let marked = |name: &String| {
            let entry = scene.state.store.get(LEGACY_TOKENS, name.as_bytes()).unwrap();
            LegacyTokenRecord::decode(body(&entry)).unwrap().hashed_mark
        };
        let range =
            Range { collection: LEGACY_TOKENS, scope: Scope::All, after: None, limit: 1000, at: None };
        let page = scene.state.store.range(&range).unwrap();
        page.entries.iter().filter(|e| marked(&String::from_utf8_lossy(e.key()).into_owned())).count()
    };
    let (sweeper, _trigger) = sweeper(&scene);
    assert!(sweeper.hash_marks().await.is_ok());
    assert_eq!(marked(), 0, "the feature is off");
    let on = eartag_core::FeatureRecord { value: Some(true), locked: Some(true) };
    scene.put(FEATURES, "token-hashing", on.encode()).await;
    scene.token(&ann, false, "").await;
    assert_eq!(marked(), 1, "a new one");
    assert!(sweeper.hash_marks().await.is_ok());
    assert_eq!(marked(), BATCH + 3);
    let revision = scene.state.store.revision();
    assert!(sweeper.hash_marks().await.is_ok());
    assert_eq!(scene.state.store.revision(), revision, "done once");
}

#[tokio::test]
async fn a_deleted_cluster_takes_its_tokens_with_it_before_its_id_is_free() {
    let scene = Scene::new().await;
    let ann = scene.user("user-ann", "ann", None, "user").await;
    let (api, kind) = (&scene.state.api, &*scene.state.kinds.clusters);
    let mut admin = scene.cx("root");
    admin.user.groups = vec!["system:masters".to_owned()];
    let object = serde_json::json!({
        "apiVersion": "management.cattle.io/v3", "kind": "Cluster", "metadata": {"name": "c-1"},
    });
    api.create(kind, &admin, object.clone()).await.unwrap();
    let user = eartag_core::UserRecord {
        principal_ids: vec![crate::cluster::system_principal("c-1")],
        ..eartag_core::UserRecord::default()
    };
    scene.put(USERS, "u-cluster-c-1", user.encode()).await;
    let restricted = scene.token(&ann, false, "c-1").await;
    scene.token(&ann, false, "").await;

    let deleted = api.delete(kind, &admin, "c-1", &Default::default()).await.unwrap();
    assert!(!deleted.gone);
    assert!(crate::cluster::Cluster::find(&scene.state.store, "c-1").is_none(), "it is of no use any more");
    assert!(api.create(kind, &admin, object.clone()).await.is_err(), "its id is not free");

    let (sweeper, _trigger) = sweeper(&scene);
    assert!(sweeper.deleted_clusters().await.is_ok_and(|finished| finished));
    assert!(!names(&scene, LEGACY_TOKENS).contains(&restricted.name));
    assert_eq!(names(&scene, LEGACY_TOKENS).len(), 1, "others stay");
    assert_eq!(names(&scene, CLUSTERS), ["local"]);
    assert_eq!(names(&scene, USERS), ["user-ann"]);
    api.create(kind, &admin, object).await.unwrap();
}

#[tokio::test]
async fn a_token_that_its_owner_keeps_changing_goes_with_its_cluster_all_the_same() {
    let scene = Scene::new().await;
    let ann = scene.user("user-ann", "ann", None, "user").await;
    scene.put(CLUSTERS, "c-1", eartag_core::ClusterRecord::default().encode()).await;
    let restricted = scene.token(&ann, false, "c-1").await;
    let key = restricted.name.as_bytes();
    let seen = scene.state.store.get(LEGACY_TOKENS, key).unwrap();
    // Between the look and the deletion.
    let op = Op::Put { collection: LEGACY_TOKENS, key: key.to_vec(), value: seen.value().to_vec() };
    scene.state.store.commit(Commit { ops: vec![op], ..Commit::default() }).await.unwrap();
    let (sweeper, _trigger) = sweeper(&scene);
    assert!(sweeper.remove_token(LEGACY_TOKENS, &seen).await.is_ok());
    assert!(scene.state.store.get(LEGACY_TOKENS, key).is_none());
}
