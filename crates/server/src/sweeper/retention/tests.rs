#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use eartag_core::collections::{GLOBAL_ROLE_BINDINGS, LEGACY_TOKENS, PASSWORDS, SETTINGS};
use eartag_core::retention::FIRST_ADMIN;
use eartag_core::settings::{
    DELETE_AFTER, DISABLE_AFTER, LAST_LOGIN_DEFAULT, RETENTION_CRON, RETENTION_DRY_RUN,
};
use eartag_core::{PasswordHash, SettingRecord, UserAttributeRecord};
use eartag_storage::Commit;

use super::*;
use crate::authn::testing::{NOW_MS, Scene};
use crate::sweeper::tests::{names, sweeper};

const NOW_S: i64 = 1_800_000_000;

/// Users are disabled after 100 hours and deleted after 400, at every full hour.
async fn scene() -> Scene {
    let scene = Scene::new().await;
    set(&scene, RETENTION_CRON, "0 * * * *").await;
    set(&scene, DISABLE_AFTER, "100h").await;
    set(&scene, DELETE_AFTER, "400h").await;
    scene
}

async fn set(scene: &Scene, name: &str, value: &str) {
    scene.put(SETTINGS, name, SettingRecord { value: value.to_owned(), env: false }.encode()).await;
}

/// A user who last logged in so many hours before now.
async fn away(scene: &Scene, name: &str, hours: i64) -> Entry {
    let user = scene.user(name, name, Some(PasswordHash::decoy()), "user").await;
    attributes(scene, name, |own| own.last_login_s = Some(NOW_S - hours * 3600)).await;
    user
}

async fn attributes(scene: &Scene, name: &str, change: impl Fn(&mut UserAttributeRecord)) {
    let user_uid = scene.uid(USERS, name).unwrap();
    let stored = scene.state.store.get(USER_ATTRIBUTES, name.as_bytes());
    let mut record = stored.and_then(|entry| attributes_of(&entry, user_uid)).unwrap_or_default();
    record.user_uid = user_uid;
    change(&mut record);
    scene.put(USER_ATTRIBUTES, name, record.encode()).await;
}

/// Changes a user's record and metadata.
async fn alter(scene: &Scene, name: &str, change: impl Fn(&mut UserRecord, &mut Meta)) {
    let entry = scene.state.store.get(USERS, name.as_bytes()).unwrap();
    let mut record = UserRecord::decode(body(&entry)).unwrap();
    let mut meta = frame::meta(entry.value()).unwrap();
    change(&mut record, &mut meta);
    let value = frame::frame(&record.encode(), &meta);
    let op = Op::Put { collection: USERS, key: name.into(), value };
    scene.state.store.commit(Commit { ops: vec![op], ..Commit::default() }).await.unwrap();
}

fn sure(now_ms: u64) -> Moment {
    Moment { now_ms, sure_ms: Some(now_ms) }
}

async fn retain(scene: &Scene, when: Moment) -> Run {
    let (sweeper, _trigger) = sweeper(scene);
    let settings = scene.state.tables.settings.snapshot();
    sweeper.retain(&settings, when).await.unwrap_or_else(|_| panic!("the store takes writes"))
}

fn touched(disabled: u64, deleted: u64) -> Run {
    Run { disabled, deleted, waits: false }
}

async fn me(scene: &Scene, bearer: &str) -> u16 {
    let bearer = format!("Bearer {bearer}");
    scene.send("GET", "/v3/users?me=true", &[("authorization", &bearer)], "").await.status
}

#[tokio::test]
async fn who_stays_away_is_disabled_and_their_tokens_are_refused_until_somebody_enables_them() {
    let scene = scene().await;
    let ann = away(&scene, "user-ann", 100).await;
    away(&scene, "user-bob", 99).await;
    let key = scene.token(&ann, false, "").await;
    assert_eq!(me(&scene, key.bearer.expose()).await, 200);
    assert_eq!(retain(&scene, sure(NOW_MS)).await, touched(1, 0));
    assert_eq!(me(&scene, key.bearer.expose()).await, 401);
    let entry = scene.state.store.get(USERS, b"user-ann").unwrap();
    let record = UserRecord::decode(body(&entry)).unwrap();
    assert_eq!((record.enabled, record.username.as_str()), (Some(false), "user-ann"));
    assert_eq!(frame::meta(entry.value()).unwrap().generation, 2, "an ordinary change, which watches see");
    assert_eq!(retain(&scene, sure(NOW_MS)).await, touched(0, 0), "once is enough");
    enable_by_admin(&scene, "user-ann").await;
    assert_eq!(me(&scene, key.bearer.expose()).await, 200);
    assert_eq!(retain(&scene, sure(NOW_MS + 99 * 3_600_000)).await, touched(1, 0), "user-bob");
    assert_eq!(me(&scene, key.bearer.expose()).await, 200, "the time counts anew");
}

/// As an administrator does it with kubectl.
async fn enable_by_admin(scene: &Scene, name: &str) {
    let mut cx = scene.cx("system:admin");
    cx.user.groups.push(eartag_apiserver::user::MASTERS.to_owned());
    let change = eartag_apiserver::ops::Change::Merge(serde_json::json!({"enabled": true}));
    scene.state.api.update(&*scene.state.kinds.users, &cx, name, &change).await.unwrap();
}

#[tokio::test]
async fn the_last_one_who_can_administer_the_server_stays() {
    let scene = scene().await;
    for name in ["user-root", "user-boss"] {
        scene.user(name, name, None, "admin").await;
        attributes(&scene, name, |own| own.last_login_s = Some(NOW_S - 200 * 3600)).await;
    }
    assert_eq!(retain(&scene, sure(NOW_MS)).await, touched(1, 0), "one of two");
    assert_eq!(
        retain(&scene, sure(NOW_MS + 9999 * 3_600_000)).await,
        touched(0, 1),
        "who is disabled already"
    );
    let left = scene.state.store.get(USERS, b"user-root").unwrap();
    assert!(UserRecord::decode(body(&left)).unwrap().is_enabled());
}

#[tokio::test]
async fn who_stays_away_for_longer_is_deleted_with_all_that_was_theirs() {
    let scene = scene().await;
    let ann = away(&scene, "user-ann", 401).await;
    let bob = away(&scene, "user-bob", 1).await;
    let (key, bobs) = (scene.token(&ann, false, "").await, scene.token(&bob, false, "").await);
    let (sweeper, _trigger) = sweeper(&scene);
    let settings = scene.state.tables.settings.snapshot();
    assert!(matches!(sweeper.retain(&settings, sure(NOW_MS)).await, Ok(run) if run == touched(0, 1)));
    assert_eq!(me(&scene, key.bearer.expose()).await, 401);
    for collection in [USERS, PASSWORDS, USER_ATTRIBUTES] {
        assert_eq!(names(&scene, collection), ["user-bob"], "in the same commit");
    }
    assert!(sweeper.after_user(b"user-ann").await.is_ok());
    assert_eq!(names(&scene, LEGACY_TOKENS), [bobs.name]);
    assert_eq!(names(&scene, GLOBAL_ROLE_BINDINGS), ["grb-user-bob"]);
    let text = sweeper.metrics.render(None).1;
    assert!(text.contains("task=\"inactive_users_deleted\"} 1"), "{text}");
}

#[tokio::test]
async fn a_dry_run_only_logs() {
    let scene = scene().await;
    away(&scene, "user-ann", 150).await;
    away(&scene, "user-bob", 500).await;
    set(&scene, RETENTION_DRY_RUN, "true").await;
    let revision = scene.state.store.revision();
    let (sweeper, _trigger) = sweeper(&scene);
    let settings = scene.state.tables.settings.snapshot();
    assert!(matches!(sweeper.retain(&settings, sure(NOW_MS)).await, Ok(run) if run == touched(1, 1)));
    assert_eq!(scene.state.store.revision(), revision);
    assert!(!sweeper.metrics.render(None).1.contains("inactive_users"));
}

#[tokio::test]
async fn these_stay_whatever_the_settings_say() {
    let scene = scene().await;
    away(&scene, "user-system", 9999).await;
    alter(&scene, "user-system", |user, _| user.principal_ids = vec!["system://local".into()]).await;
    away(&scene, "user-first", 9999).await;
    alter(&scene, "user-first", |_, meta| {
        meta.labels.insert(FIRST_ADMIN.0.into(), FIRST_ADMIN.1.into());
    })
    .await;
    scene.user("user-never", "never", None, "").await;
    away(&scene, "user-exempt", 9999).await;
    attributes(&scene, "user-exempt", |own| {
        own.disable_after = "0s".into();
        own.delete_after = "0s".into();
    })
    .await;
    away(&scene, "user-leaving", 9999).await;
    alter(&scene, "user-leaving", |_, meta| meta.deleted_s = Some(1)).await;
    away(&scene, "user-damaged", 9999).await;
    scene.put(USER_ATTRIBUTES, "user-damaged", b"x".to_vec()).await;
    let revision = scene.state.store.revision();
    assert_eq!(retain(&scene, sure(NOW_MS)).await, touched(0, 0));
    assert_eq!(scene.state.store.revision(), revision);
    set(&scene, LAST_LOGIN_DEFAULT, "2026-12-01T00:00:00Z").await;
    assert_eq!(retain(&scene, sure(NOW_MS)).await, touched(0, 1));
    assert!(scene.state.store.get(USERS, b"user-never").is_none(), "the default stands in for a login");
}

#[tokio::test]
async fn the_attributes_of_an_earlier_user_of_the_name_count_for_nothing() {
    let scene = scene().await;
    away(&scene, "user-ann", 9999).await;
    let op = Op::Delete { collection: USERS, key: b"user-ann".to_vec() };
    scene.state.store.commit(Commit { ops: vec![op], ..Commit::default() }).await.unwrap();
    scene.user("user-ann", "ann", None, "").await;
    assert_eq!(retain(&scene, sure(NOW_MS)).await, touched(0, 0));
    let (sweeper, _trigger) = sweeper(&scene);
    assert!(sweeper.orphans().await.is_ok());
    assert!(names(&scene, USER_ATTRIBUTES).is_empty());
}

#[tokio::test]
async fn who_logs_in_or_is_changed_while_they_are_judged_stays() {
    let scene = scene().await;
    away(&scene, "user-ann", 500).await;
    away(&scene, "user-bob", 500).await;
    let (sweeper, _trigger) = sweeper(&scene);
    let settings = scene.state.tables.settings.snapshot();
    let inactive = Inactive { last_login_s: 0, due_ms: 0 };
    let [ann, bob] =
        ["user-ann", "user-bob"].map(|name| scene.state.store.get(USERS, name.as_bytes()).unwrap());
    let judged = [User::of(&sweeper, &ann).unwrap(), User::of(&sweeper, &bob).unwrap()];
    scene.token(&ann, true, "").await;
    alter(&scene, "user-bob", |user, _| user.description = "on leave".into()).await;
    for what in ["disable", "delete"] {
        for user in &judged {
            assert!(matches!(sweeper.act(what, user, &inactive, &settings).await, Ok(false)), "{what}");
        }
    }
    assert_eq!(names(&scene, USERS), ["user-ann", "user-bob"]);
}

#[tokio::test]
async fn finalizers_hold_a_user_who_is_deleted_and_the_tokens_are_dead() {
    let scene = scene().await;
    let ann = away(&scene, "user-ann", 500).await;
    let key = scene.token(&ann, false, "").await;
    alter(&scene, "user-ann", |_, meta| meta.finalizers = vec!["example.org/wait".into()]).await;
    assert_eq!(retain(&scene, sure(NOW_MS)).await, touched(0, 1));
    assert_eq!(names(&scene, USERS), ["user-ann"]);
    assert_eq!(me(&scene, key.bearer.expose()).await, 401);
    assert_eq!(retain(&scene, sure(NOW_MS)).await, touched(0, 0), "marked once");
}

#[tokio::test]
async fn all_of_many_users_are_judged() {
    let scene = scene().await;
    for n in 0..1200 {
        let name = format!("user-{n:04}");
        scene.user(&name, &name, None, "").await;
        let hours = if n % 2 == 0 { 200 } else { 20 };
        attributes(&scene, &name, |own| own.last_login_s = Some(NOW_S - hours * 3600)).await;
    }
    assert_eq!(retain(&scene, sure(NOW_MS)).await, touched(600, 0));
}

/// The loop's view: a state, asked at moments.
struct Watchman {
    sweeper: Sweeper,
    _trigger: crate::shutdown::ShutdownTrigger,
    state: Retention,
}

impl Watchman {
    fn new(scene: &Scene) -> Watchman {
        let (sweeper, trigger) = sweeper(scene);
        Watchman { sweeper, _trigger: trigger, state: Retention::new(NOW_MS) }
    }

    async fn at(&mut self, minutes: u64, keeps_pace: bool, sure: bool) -> Duration {
        let now_ms = NOW_MS + minutes * 60_000;
        let time = Time { now_ms, keeps_pace, sure_ms: sure.then_some(now_ms) };
        self.sweeper
            .retention(&mut self.state, time)
            .await
            .unwrap_or_else(|_| panic!("the store takes writes"))
    }
}

fn enabled(scene: &Scene, name: &str) -> bool {
    scene.state.tables.verifier.owner(name).unwrap().enabled
}

#[tokio::test]
async fn it_runs_at_the_times_of_the_schedule_and_follows_its_changes_at_once() {
    let scene = scene().await;
    away(&scene, "user-ann", 200).await;
    let mut watchman = Watchman::new(&scene);
    // 1,800,000,000 is 08:00:00 UTC.
    assert_eq!(watchman.at(0, true, true).await, LOOK_EVERY);
    watchman.at(59, true, true).await;
    assert!(enabled(&scene, "user-ann"), "not yet");
    set(&scene, RETENTION_CRON, "30 8 * * *").await;
    watchman.at(60, true, true).await;
    assert!(enabled(&scene, "user-ann"), "another schedule by now");
    set(&scene, RETENTION_CRON, "").await;
    watchman.at(24 * 60 + 30, true, true).await;
    assert!(enabled(&scene, "user-ann"), "no schedule");
    set(&scene, RETENTION_CRON, "*/5 * * * *").await;
    watchman.at(24 * 60 + 31, true, true).await;
    assert!(enabled(&scene, "user-ann"), "a new schedule counts from when it is set");
    watchman.at(24 * 60 + 35, true, true).await;
    assert!(!enabled(&scene, "user-ann"));
}

#[tokio::test]
async fn it_does_nothing_while_both_durations_are_off() {
    let scene = scene().await;
    away(&scene, "user-ann", 9999).await;
    set(&scene, DISABLE_AFTER, "0s").await;
    set(&scene, DELETE_AFTER, "").await;
    let mut watchman = Watchman::new(&scene);
    watchman.at(0, true, true).await;
    watchman.at(90, true, true).await;
    set(&scene, DISABLE_AFTER, "100h").await;
    watchman.at(91, true, true).await;
    assert!(enabled(&scene, "user-ann"), "times that passed while it was off are not made up for");
    watchman.at(120, true, true).await;
    assert!(!enabled(&scene, "user-ann"));
}

#[tokio::test]
async fn deleting_waits_for_a_steady_clock_and_is_made_up_for() {
    let scene = scene().await;
    away(&scene, "user-ann", 150).await;
    away(&scene, "user-bob", 500).await;
    let mut watchman = Watchman::new(&scene);
    watchman.at(0, true, false).await;
    watchman.at(60, false, false).await;
    assert!(enabled(&scene, "user-ann") && enabled(&scene, "user-bob"), "the clocks contradict each other");
    watchman.at(61, true, false).await;
    assert!(!enabled(&scene, "user-ann"), "made up for as soon as they do not");
    assert!(!enabled(&scene, "user-bob"), "disabled, as that can be undone");
    watchman.at(65, true, false).await;
    assert_eq!(names(&scene, USERS), ["user-ann", "user-bob"]);
    watchman.at(71, true, true).await;
    assert_eq!(names(&scene, USERS), ["user-ann"], "between two times of the schedule");
    let revision = scene.state.store.revision();
    watchman.at(72, true, true).await;
    assert_eq!(scene.state.store.revision(), revision);
}
