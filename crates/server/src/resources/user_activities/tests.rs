//! Activity over the Kubernetes door, and the idle timeout at every door.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::atomic::Ordering;

use eartag_api::meta::Meta;
use eartag_core::collections::{EXT_TOKENS, LEGACY_TOKENS, SETTINGS, USERS};
use eartag_core::settings::IDLE;
use eartag_core::time::rfc3339;
use eartag_core::{Lifetime, PlainSecret, Principal, SecretHash, SettingRecord};
use eartag_storage::{CollectionId, Commit, Op};

use super::*;
use crate::authn::TOKEN_ID;
use crate::authn::testing::{Answer, NOW_MS, Scene};
use crate::login::session::Issued;

const PATH: &str = "/apis/ext.cattle.io/v1/useractivities";
const MINUTE: u64 = 60_000;

/// Ann, who may use activities, with a session, and an idle timeout of ten minutes.
struct Idle {
    scene: Scene,
    ann: Entry,
    session: Issued,
}

impl Idle {
    async fn new() -> Idle {
        let scene = Scene::new().await;
        set_idle(&scene, "10").await;
        let ann = scene.user("user-ann", "ann", None, "user").await;
        let session = scene.token(&ann, true, "").await;
        Idle { scene, ann, session }
    }

    fn at(&self, minutes: u64) -> &Idle {
        self.scene.world.0.store(NOW_MS + minutes * MINUTE, Ordering::Relaxed);
        self
    }

    async fn ask(&self, method: &str, path: &str, by: &Issued, body: &Tree) -> Answer {
        let bearer = format!("Bearer {}", by.bearer.expose());
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.scene.send(method, path, &[("authorization", &bearer)], &body).await
    }

    async fn report(&self, name: &str, by: &Issued, spec: Tree) -> Answer {
        self.ask("POST", PATH, by, &json!({"metadata": {"name": name}, "spec": spec})).await
    }

    async fn read(&self, name: &str, by: &Issued) -> Answer {
        self.ask("GET", &format!("{PATH}/{name}"), by, &Tree::Null).await
    }
}

async fn set_idle(scene: &Scene, minutes: &str) {
    let record = SettingRecord { value: minutes.to_owned(), env: false };
    scene.put(SETTINGS, IDLE, record.encode()).await;
}

/// Changes a token's record.
async fn alter(scene: &Scene, name: &str, change: impl Fn(&mut LegacyTokenRecord, &mut Meta)) {
    let entry = scene.state.store.get(LEGACY_TOKENS, name.as_bytes()).unwrap();
    let mut record = LegacyTokenRecord::decode(frame::split(entry.value()).unwrap().0).unwrap();
    let mut meta = frame::meta(entry.value()).unwrap();
    change(&mut record, &mut meta);
    store(scene, LEGACY_TOKENS, name, &record.encode(), &meta).await;
}

async fn store(scene: &Scene, collection: CollectionId, name: &str, body: &[u8], meta: &Meta) {
    let op = Op::Put { collection, key: name.into(), value: frame::frame(body, meta) };
    scene.state.store.commit(Commit { ops: vec![op], ..Commit::default() }).await.unwrap();
}

fn text(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.body["message"].as_str().unwrap_or_default())
}

fn forbidden(answer: &Answer, why: &str) {
    let (code, text) = text(answer);
    assert_eq!(code, 403, "{text}");
    assert!(text.starts_with("useractivities.ext.cattle.io"), "{text}");
    assert!(text.ends_with(&format!(" is forbidden: {why}")), "{text}, not {why}");
}

#[tokio::test]
async fn activity_is_reported_and_read_under_the_tokens_name_and_version() {
    let idle = Idle::new().await;
    let name = &idle.session.name;
    let before = idle.read(name, &idle.session).await;
    assert_eq!(before.status, 200);
    let members: Vec<_> = before.body.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["apiVersion", "kind", "metadata", "spec", "status"]);
    assert_eq!(before.body["kind"], "UserActivity");
    assert_eq!(
        (&before.body["spec"], &before.body["status"]),
        (&json!({"tokenId": name}), &json!({"expiresAt": ""}))
    );
    let token = idle.scene.state.store.get(LEGACY_TOKENS, name.as_bytes()).unwrap();
    assert_eq!(before.body["metadata"]["resourceVersion"], token.modified().to_string());
    assert_eq!(before.body["metadata"]["uid"], frame::head(token.value()).unwrap().uid.to_string());

    let revision = idle.scene.state.store.revision();
    let reported = idle.at(1).report(name, &idle.session, json!({"tokenId": name})).await;
    assert_eq!(reported.status, 201, "{}", reported.body);
    assert_eq!(reported.body["spec"]["seenAt"], rfc3339(1_800_000_060));
    assert_eq!(reported.body["status"]["expiresAt"], rfc3339(1_800_000_660));
    assert_eq!(idle.read(name, &idle.session).await.body, reported.body);
    assert_eq!(reported.body["metadata"], before.body["metadata"], "the version does not move");
    assert_eq!(idle.scene.state.store.revision(), revision, "nothing is written on the way");
    let master = idle.scene.user("user-root", "root", None, "admin").await;
    let master = idle.scene.token(&master, false, "").await;
    forbidden(&idle.read(name, &master).await, "users don't match");
}

#[tokio::test]
async fn put_and_every_patch_report_activity_as_the_dashboard_does() {
    let idle = Idle::new().await;
    let (name, by) = (&idle.session.name, &idle.session);
    let path = format!("{PATH}/{name}");
    let mut object = idle.read(name, by).await.body;
    object["spec"] = json!({"tokenId": name, "seenAt": "2027-01-15T08:01:00.123Z"});
    let put = idle.at(2).ask("PUT", &path, by, &object).await;
    assert_eq!((put.status, &put.body["spec"]["seenAt"]), (200, &json!("2027-01-15T08:01:00Z")));
    let bearer = format!("Bearer {}", by.bearer.expose());
    for (minute, kind, body) in [
        (3, "merge-patch", json!({"spec": {"seenAt": null}})),
        (4, "strategic-merge-patch", json!({"spec": {"seenAt": rfc3339(1_800_000_240)}})),
        (
            5,
            "json-patch",
            json!([{"op": "replace", "path": "/spec/seenAt", "value": rfc3339(1_800_000_300)}]),
        ),
    ] {
        let content_type = format!("application/{kind}+json");
        let headers = [("authorization", bearer.as_str()), ("content-type", content_type.as_str())];
        let patched = idle.at(minute).scene.send("PATCH", &path, &headers, &body.to_string()).await;
        let seen = rfc3339(1_800_000_000 + i64::try_from(minute * 60).unwrap());
        assert_eq!((patched.status, &patched.body["spec"]["seenAt"]), (200, &json!(seen)), "{kind}");
    }
    let null = json!({"metadata": {"name": name}, "spec": null});
    assert_eq!(idle.at(6).ask("PUT", &path, by, &null).await.body["spec"]["seenAt"], rfc3339(1_800_000_360));
    object["metadata"]["resourceVersion"] = "1".into();
    assert_eq!(idle.ask("PUT", &path, by, &object).await.status, 409);
}

#[tokio::test]
async fn a_report_of_the_future_means_now_and_one_of_the_past_changes_nothing() {
    let idle = Idle::new().await;
    let name = &idle.session.name;
    let seen = async |at: &str| {
        let answer = idle.report(name, &idle.session, json!({"seenAt": at})).await;
        answer.body["spec"]["seenAt"].as_str().unwrap().to_owned()
    };
    idle.at(5);
    assert_eq!(seen("2099-01-01T00:00:00Z").await, rfc3339(1_800_000_300));
    assert_eq!(seen("1999-01-01T00:00:00Z").await, rfc3339(1_800_000_300));
    for bad in [json!("soon"), json!(""), json!(5)] {
        assert_eq!(idle.report(name, &idle.session, json!({"seenAt": bad})).await.status, 400, "{bad}");
    }
    let bad = idle.report(name, &idle.session, json!({"seenAt": "soon"})).await;
    assert!(text(&bad).1.contains("parsing time \"soon\""), "{}", text(&bad).1);
}

#[tokio::test]
async fn a_dry_run_reports_nothing() {
    let idle = Idle::new().await;
    let body = json!({"metadata": {"name": idle.session.name}});
    let path = format!("{PATH}?dryRun=All");
    let dry = idle.ask("POST", &path, &idle.session, &body).await;
    assert_eq!((dry.status, &dry.body["spec"]["seenAt"]), (201, &json!(rfc3339(1_800_000_000))));
    assert_eq!(idle.read(&idle.session.name, &idle.session).await.body["spec"].get("seenAt"), None);
}

#[tokio::test]
async fn a_session_without_activity_is_refused_at_every_door() {
    let idle = Idle::new().await;
    let (name, session) = (&idle.session.name, &idle.session);
    let key = idle.scene.token(&idle.ann, false, "").await;
    assert_eq!(idle.report(name, session, json!({})).await.status, 201);
    let doors = ["/apis/ext.cattle.io/v1/tokens", "/v3/users?me=true"];
    let cookie = format!("R_SESS={}", session.bearer.expose());
    for (minutes, code) in [(10, 200), (11, 401)] {
        idle.at(minutes);
        for door in doors {
            assert_eq!(idle.ask("GET", door, session, &Tree::Null).await.status, code, "{door}");
            let by_cookie = idle.scene.send("GET", door, &[("cookie", &cookie)], "").await;
            assert_eq!(by_cookie.status, code, "{door} by cookie");
            assert_eq!(idle.ask("GET", door, &key, &Tree::Null).await.status, 200, "an API key never idles");
        }
    }
    assert_eq!(idle.report(name, session, json!({})).await.status, 401, "too late to report");
    // With another token of the same user the reason is told.
    forbidden(&idle.read(name, &key).await, "session idle timeout expired");
    forbidden(&idle.report(name, &key, json!({})).await, "session idle timeout expired");
}

#[tokio::test]
async fn activity_keeps_a_session_alive_and_unreported_activity_sets_no_limit() {
    let idle = Idle::new().await;
    let silent = idle.scene.token(&idle.ann, true, "").await;
    for minutes in [0, 9, 18, 27, 36, 45, 54] {
        idle.at(minutes);
        assert_eq!(idle.report(&idle.session.name, &idle.session, json!({})).await.status, 201, "{minutes}");
    }
    idle.at(59);
    assert_eq!(idle.read(&silent.name, &silent).await.status, 200, "nobody ever reported anything");
}

#[tokio::test]
async fn a_changed_idle_timeout_takes_effect_at_once() {
    let idle = Idle::new().await;
    let (name, session) = (&idle.session.name, &idle.session);
    assert_eq!(idle.report(name, session, json!({})).await.status, 201);
    idle.at(8);
    let expires = async || idle.read(name, session).await.body["status"]["expiresAt"].clone();
    assert_eq!(expires().await, rfc3339(1_800_000_600));
    set_idle(&idle.scene, "20").await;
    assert_eq!(expires().await, rfc3339(1_800_001_200));
    set_idle(&idle.scene, "5").await;
    assert_eq!(idle.read(name, session).await.status, 401);
    set_idle(&idle.scene, "10").await;
    assert_eq!(idle.read(name, session).await.status, 200);
}

#[tokio::test]
async fn every_refusal_has_the_references_text() {
    let idle = Idle::new().await;
    let (scene, name) = (&idle.scene, &idle.session.name);
    let key = scene.token(&idle.ann, false, "").await;
    forbidden(&idle.report(&key.name, &idle.session, json!({})).await, "not a session token");
    let why = async |why: &str| {
        forbidden(&idle.report(name, &key, json!({})).await, why);
        forbidden(&idle.read(name, &key).await, why);
    };
    alter(scene, name, |record, _| record.auth_provider = "github".into()).await;
    why("auth providers don't match").await;
    alter(scene, name, |record, _| record.auth_provider = String::new()).await;
    assert_eq!(idle.read(name, &key).await.status, 200, "no provider means the local one");
    alter(scene, name, |record, _| record.credential.principal.name = "github_user://7".into()).await;
    why("user principals don't match").await;
    alter(scene, name, |record, _| {
        record.credential.principal.name = "local://user-ann".into();
        record.credential.enabled = false;
    })
    .await;
    why("token is disabled").await;
    alter(scene, name, |record, _| {
        record.credential.enabled = true;
        record.credential.lifetime = Lifetime::For(1);
    })
    .await;
    idle.at(1);
    why("token is expired").await;
    let other = idle.report(name, &key, json!({"tokenId": "token-other"})).await;
    assert_eq!(other.status, 422);
    assert!(
        text(&other)
            .1
            .contains("spec.tokenId: Invalid value: \"token-other\": must be the name of the object")
    );
}

#[tokio::test]
async fn somebody_elses_session_and_none_at_all_look_alike() {
    let idle = Idle::new().await;
    let bob = idle.scene.user("user-bob", "bob", None, "user").await;
    let bob = idle.scene.token(&bob, true, "").await;
    for (name, by) in [(&idle.session.name, &bob), (&"token-zzzzz".to_owned(), &idle.session)] {
        let missing = format!("useractivities.ext.cattle.io {name:?} not found");
        let path = format!("{PATH}/{name}");
        let object = json!({"metadata": {"name": name, "resourceVersion": "1"}, "spec": {"seenAt": "2027-01-15T08:01:00Z"}});
        assert_eq!(text(&idle.read(name, by).await), (404, missing.as_str()));
        assert_eq!(text(&idle.report(name, by, json!({})).await), (404, missing.as_str()));
        assert_eq!(text(&idle.ask("PUT", &path, by, &object).await), (404, missing.as_str()));
    }
    alter(&idle.scene, &idle.session.name, |_, meta| meta.deleted_s = Some(1)).await;
    let key = idle.scene.token(&idle.ann, false, "").await;
    assert_eq!(idle.read(&idle.session.name, &key).await.status, 404, "being deleted");
}

#[tokio::test]
async fn ext_tokens_of_the_kind_session_idle_out_too() {
    let idle = Idle::new().await;
    let scene = &idle.scene;
    let secret = PlainSecret::new("bcdfghjklmnpqrstvwxz2456789bcdfghjklmnpqrstvwxz2456789");
    let credential = Credential {
        owner: "user-ann".into(),
        owner_uid: scene.uid(USERS, "user-ann").unwrap(),
        hash: SecretHash::sha3(&secret, [1; 8]),
        lifetime: Lifetime::Forever,
        enabled: true,
        cluster: String::new(),
        session: true,
        principal: Principal::local("user-ann", "", ""),
        kind: "session".into(),
        description: String::new(),
        last_update_s: 0,
    };
    scene.put(EXT_TOKENS, "token-ext", TokenRecord { credential }.encode()).await;
    assert_eq!(
        idle.report("token-ext", &idle.session, json!({})).await.status,
        201,
        "by another token of hers"
    );
    let bearer = format!("Bearer {}", Face::Ext.bearer("token-ext", &secret).expose());
    let path = format!("{PATH}/token-ext");
    for (minutes, code) in [(10, 200), (11, 401)] {
        idle.at(minutes);
        assert_eq!(scene.send("GET", &path, &[("authorization", &bearer)], "").await.status, code);
    }
    let shown = idle.ask("GET", "/apis/ext.cattle.io/v1/tokens/token-ext", &idle.session, &Tree::Null).await;
    assert_eq!(shown.body["status"]["lastActivitySeen"], rfc3339(1_800_000_000));
}

#[tokio::test]
async fn activity_needs_a_token_of_ones_own_in_the_request() {
    let idle = Idle::new().await;
    let name = &idle.session.name;
    let activities = UserActivities::new(idle.scene.state.tables.clone()).unwrap();
    let why = |result: Result<Tree, Refusal>| match result {
        Err(Refusal::Forbidden(text)) => text,
        other => panic!("{other:?}"),
    };
    let mut cx = idle.scene.cx("user-ann");
    assert_eq!(why(activities.get(name, &cx).await), "missing authentication token ID");
    cx.user.extra.insert(TOKEN_ID.to_owned(), vec!["token-zzzzz".to_owned()]);
    assert_eq!(why(activities.get(name, &cx).await), "unable to fetch unknown token \"token-zzzzz\"");
    cx.user.extra.insert(TOKEN_ID.to_owned(), vec![name.clone()]);
    assert!(activities.get(name, &cx).await.is_ok(), "a proxy vouches for it");
    let mut admin = idle.scene.cx("system:admin");
    admin.user.groups.push(eartag_apiserver::user::MASTERS.to_owned());
    assert_eq!(why(activities.get(name, &admin).await), "user system:admin is not a Rancher user");
}

#[tokio::test]
async fn there_is_nothing_to_list_or_to_delete() {
    let idle = Idle::new().await;
    let path = format!("{PATH}/{}", idle.session.name);
    for (method, path) in [("GET", PATH), ("DELETE", path.as_str())] {
        assert_eq!(idle.ask(method, path, &idle.session, &Tree::Null).await.status, 405, "{method} {path}");
    }
    let nameless =
        idle.ask("POST", PATH, &idle.session, &json!({"metadata": {"generateName": "token-"}})).await;
    assert_eq!(nameless.status, 422);
    assert!(text(&nameless).1.contains("metadata.name: Required value: name is required"));
}
