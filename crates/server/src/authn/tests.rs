#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

fn certificate(name: &str, organizations: &[&str]) -> ClientCertificate {
    ClientCertificate {
        issuer: Issuer::Ours,
        common_name: name.to_owned(),
        organizations: organizations.iter().map(|o| (*o).to_owned()).collect(),
        not_after_s: 0,
        fingerprint: String::new(),
    }
}

fn owner(good: bool) -> Owner {
    Owner { uid: "7".into(), username: "ann".into(), good }
}

#[test]
fn the_certificate_of_the_system_admin_is_in_its_groups() {
    let user = certificate_user(&certificate("system:admin", &["system:masters"]), None).unwrap();
    assert_eq!(user.name, "system:admin");
    assert_eq!(user.groups, ["system:masters", "system:authenticated"]);
    assert!(user.extra.is_empty());
}

#[test]
fn the_certificate_of_a_user_is_a_login_of_that_user() {
    let user = certificate_user(&certificate("user-abcde", &[]), Some(&owner(true))).unwrap();
    assert_eq!(user.uid, "7");
    assert_eq!(user.groups, ["system:authenticated", "system:cattle:authenticated"]);
    assert_eq!(user.extra[PRINCIPAL], ["local://user-abcde"]);
    assert_eq!(user.extra[USERNAME], ["ann"]);
}

#[test]
fn a_user_who_is_disabled_or_gone_cannot_log_in_by_certificate() {
    assert_eq!(certificate_user(&certificate("user-abcde", &["system:masters"]), Some(&owner(false))), None);
    assert_eq!(certificate_user(&certificate("user-abcde", &[]), None), None);
    assert_eq!(certificate_user(&certificate("u-abcde", &[]), None), None);
    assert_eq!(certificate_user(&certificate("", &["system:masters"]), None), None);
}

#[test]
fn the_cluster_is_taken_from_the_path_only() {
    assert_eq!(place_of("/k8s/clusters/c-1/api/v1/pods"), Place::Cluster("c-1"));
    assert_eq!(place_of("/v3/clusters/local"), Place::Cluster("local"));
    for path in [
        "/v3/clusters",
        "/v3/clusters/",
        "/v3/tokens",
        "/apis/ext.cattle.io/v1/tokens",
        "/v1/clusters/c-1",
        "/",
    ] {
        assert_eq!(place_of(path), Place::Global, "{path}");
    }
}

#[test]
fn the_field_manager_is_the_clients_name() {
    let manager = |agent: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, agent.parse().unwrap());
        field_manager(&headers)
    };
    assert_eq!(manager("kubectl/v1.33.1 (linux/amd64)"), "kubectl");
    assert_eq!(manager("/x"), "unknown");
    assert_eq!(field_manager(&HeaderMap::new()), "unknown");
    assert_eq!(manager(&"x".repeat(500)).len(), 128);
}

#[test]
fn only_what_is_asked_for_decides_about_tokens_of_ones_own() {
    let mut caller = Caller::test("user-a");
    caller.credential = Some(CallerCredential::Certificate {
        common_name: "user-a".into(),
        fingerprint: String::new(),
        is_user: true,
    });
    assert!(caller.is_certificate_login());
    assert!(caller.own_token().is_none());
    let user = UserInfo { name: "user-a".into(), ..UserInfo::default() };
    caller.impersonator = Some(Impersonator { user, acting_as: None });
    assert!(!caller.is_certificate_login());
    assert_eq!(caller.real().name, "user-a");
}

#[test]
fn failures_have_one_answer_each() {
    assert_eq!(AuthnFailure::Anonymous.refusal(), Refusal::Unauthorized);
    assert_eq!(AuthnFailure::Rejected.refusal(), Refusal::Unauthorized);
    assert!(matches!(AuthnFailure::CrossSite.refusal(), Refusal::ForbiddenText(_)));
    assert_eq!(AuthnFailure::Refused(Refusal::NotFound).refusal(), Refusal::NotFound);
}

// The whole way, over a store in memory.

use eartag_core::PlainSecret;
use eartag_core::collections::LEGACY_TOKENS;
use eartag_core::hash::SecretHash;
use eartag_core::record::LegacyTokenRecord;
use eartag_storage::Entry;

use super::testing::{Scene, peer, request, system_admin};

fn parts(method: &str, path: &str, headers: &[(&str, &str)]) -> Parts {
    let (parts, _) = request(method, path, headers, "").into_parts();
    parts
}

async fn who(scene: &Scene, headers: &[(&str, &str)]) -> Result<Caller, AuthnFailure> {
    authenticate(&scene.state, &parts("GET", "/apis", headers), &scene.peer).await
}

async fn ann(scene: &Scene) -> Entry {
    scene.user("user-ann", "ann", None, "user").await
}

fn bearer(token: &crate::login::session::Issued) -> String {
    format!("Bearer {}", token.bearer.expose())
}

#[tokio::test]
async fn a_good_token_is_its_owner_with_groups_and_extras() {
    let scene = Scene::new().await;
    let token = scene.token(&ann(&scene).await, true, "").await;
    let caller = who(&scene, &[("authorization", &bearer(&token))]).await.unwrap();
    assert_eq!(caller.user.name, "user-ann");
    assert_eq!(caller.user.groups, ["system:authenticated", "system:cattle:authenticated"]);
    let extra = |key: &str| caller.user.extra[key].join(",");
    assert_eq!(extra(TOKEN_ID), token.name);
    assert_eq!(extra(HOST), "a.example");
    assert_eq!(extra(PRINCIPAL), "local://user-ann");
    assert_eq!(extra(USERNAME), "ann");
    assert_eq!(caller.own_token().unwrap().name, token.name);
    let stamp = scene.state.tables.usage.get(caller.token().unwrap().uid);
    assert_eq!(stamp.last_used_s, Some(1_800_000_000));
}

#[tokio::test]
async fn nothing_is_anonymous_and_anything_bad_is_rejected() {
    let scene = Scene::new().await;
    let token = scene.token(&ann(&scene).await, true, "").await;
    let cookie = format!("R_SESS={}", token.bearer.expose());
    assert_eq!(who(&scene, &[]).await.unwrap_err(), AuthnFailure::Anonymous);
    for bad in [
        "Bearer nonsense",
        "Bearer token-aaaaa:bbb",
        "Digest x",
        "Basic !!!",
        "Bearer eyJhbGciOiJSUzI1NiJ9.e30.c2ln",
    ] {
        let headers = [("authorization", bad), ("cookie", cookie.as_str())];
        assert_eq!(who(&scene, &headers).await.unwrap_err(), AuthnFailure::Rejected, "{bad}");
    }
    assert!(who(&scene, &[("cookie", &cookie)]).await.unwrap().via_cookie);
    let foreign_headers = [("x-remote-user", "system:admin"), ("x-remote-group", "system:masters")];
    assert_eq!(who(&scene, &foreign_headers).await.unwrap_err(), AuthnFailure::Anonymous);
}

#[tokio::test]
async fn disabling_the_owner_refuses_the_token_at_once_and_enabling_revives_it() {
    let scene = Scene::new().await;
    let token = scene.token(&ann(&scene).await, false, "").await;
    let headers = [("authorization", bearer(&token))];
    let headers: Vec<_> = headers.iter().map(|(k, v)| (*k, v.as_str())).collect();
    assert!(who(&scene, &headers).await.is_ok());
    scene.enable("user-ann", false).await;
    assert_eq!(who(&scene, &headers).await.unwrap_err(), AuthnFailure::Rejected);
    scene.enable("user-ann", true).await;
    assert!(who(&scene, &headers).await.is_ok());
}

#[tokio::test]
async fn a_restricted_token_is_good_on_paths_of_its_cluster_only() {
    let scene = Scene::new().await;
    scene
        .put(eartag_core::collections::CLUSTERS, "c-1", eartag_core::ClusterRecord::default().encode())
        .await;
    let token = scene.token(&ann(&scene).await, false, "c-1").await;
    let bearer = bearer(&token);
    for (path, good) in
        [("/k8s/clusters/c-1/api", true), ("/k8s/clusters/c-2/api", false), ("/v3/users", false)]
    {
        let parts = parts("GET", path, &[("authorization", &bearer), ("x-api-cluster-id", "c-1")]);
        assert_eq!(authenticate(&scene.state, &parts, &scene.peer).await.is_ok(), good, "{path}");
    }
}

#[tokio::test]
async fn a_restricted_token_impersonates_in_its_cluster_only_and_names_no_other_token() {
    let scene = Scene::new().await;
    let cluster = eartag_core::ClusterRecord::default().encode();
    scene.put(eartag_core::collections::CLUSTERS, "c-1", cluster).await;
    let root = scene.user("user-root", "root", None, "admin").await;
    ann(&scene).await;
    let bearer = bearer(&scene.token(&root, false, "c-1").await);
    let whole = scene.token(&root, false, "").await;
    let proxied = "/k8s/clusters/c-1/api/v1/pods";
    let named = ("impersonate-extra-requesttokenid", whole.name.as_str());
    for (path, extra, good) in [
        (proxied, None, true),
        (proxied, Some(named), false),
        ("/v3/clusters/c-1", None, false),
        ("/v3/clusters/c-1", Some(named), false),
    ] {
        let mut headers = vec![("authorization", bearer.as_str()), ("impersonate-user", "user-root")];
        headers.extend(extra);
        let answer = authenticate(&scene.state, &parts("GET", path, &headers), &scene.peer).await;
        assert_eq!(answer.is_ok(), good, "{path} {extra:?}");
    }
}

#[tokio::test]
async fn a_cookie_alone_does_not_change_anything() {
    let scene = Scene::new().await;
    let token = scene.token(&ann(&scene).await, true, "").await;
    let cookie = format!("R_SESS={}; CSRF=abc", token.bearer.expose());
    let ask = |extra: &[(&str, &str)]| {
        let mut headers = vec![("cookie", cookie.as_str())];
        headers.extend(extra);
        parts("DELETE", "/apis/ext.cattle.io/v1/tokens/x", &headers)
    };
    let alone = authenticate(&scene.state, &ask(&[]), &scene.peer).await;
    assert_eq!(alone.unwrap_err(), AuthnFailure::CrossSite);
    for proof in [("origin", "https://a.example"), ("x-api-csrf", "abc"), ("referer", "https://a.example/x")]
    {
        assert!(authenticate(&scene.state, &ask(&[proof]), &scene.peer).await.is_ok(), "{proof:?}");
    }
}

#[tokio::test]
async fn a_rejected_certificate_is_401_unless_a_token_is_good() {
    let mut scene = Scene::new().await;
    let token = scene.token(&ann(&scene).await, true, "").await;
    scene.peer.certificate_rejected = Some("expired".into());
    assert_eq!(who(&scene, &[]).await.unwrap_err(), AuthnFailure::Rejected);
    assert!(who(&scene, &[("authorization", &bearer(&token))]).await.is_ok());
    scene.peer = system_admin();
    assert_eq!(who(&scene, &[]).await.unwrap().user.name, "system:admin");
    assert_eq!(who(&scene, &[("authorization", "Bearer bad")]).await.unwrap_err(), AuthnFailure::Rejected);
}

#[tokio::test]
async fn only_who_may_impersonates_and_the_token_stays_the_real_callers() {
    let mut scene = Scene::new().await;
    let token = scene.token(&ann(&scene).await, true, "").await;
    let as_bob = [("authorization", bearer(&token)), ("impersonate-user", "user-bob".to_owned())];
    let as_bob: Vec<_> = as_bob.iter().map(|(k, v)| (*k, v.as_str())).collect();
    assert!(matches!(who(&scene, &as_bob).await, Err(AuthnFailure::Refused(Refusal::ForbiddenText(_)))));
    let root = scene.user("user-root", "root", None, "admin").await;
    let bearer = bearer(&scene.token(&root, true, "").await);
    let caller = who(&scene, &[("authorization", &bearer), ("impersonate-user", "user-bob")]).await.unwrap();
    assert_eq!((caller.user.name.as_str(), caller.real().name.as_str()), ("user-bob", "user-root"));
    assert_eq!(caller.user.groups, ["system:authenticated"]);
    assert!(caller.own_token().is_none() && caller.token().is_some());
    scene.peer = system_admin();
    let masters = [("impersonate-user", "user-bob"), ("impersonate-group", "system:masters")];
    assert!(matches!(who(&scene, &masters).await, Err(AuthnFailure::Refused(Refusal::ForbiddenText(_)))));
}

#[tokio::test]
async fn nobody_acts_as_a_user_who_is_disabled_and_what_was_begun_so_is_over() {
    let scene = Scene::new().await;
    let root = scene.user("user-root", "root", None, "admin").await;
    let bearer = bearer(&scene.token(&root, true, "").await);
    let headers = [("authorization", bearer.as_str()), ("impersonate-user", "user-ann")];
    let nobodys_name = who(&scene, &headers).await.unwrap();
    ann(&scene).await;
    let as_ann = who(&scene, &headers).await.unwrap();
    assert!(still_good(&scene.state, &as_ann));
    scene.enable("user-ann", false).await;
    assert!(!still_good(&scene.state, &as_ann) && still_good(&scene.state, &nobodys_name));
    let Err(AuthnFailure::Refused(Refusal::ForbiddenText(why))) = who(&scene, &headers).await else {
        panic!()
    };
    assert_eq!(why, "users \"user-ann\" is forbidden: the user is disabled or being deleted");
    scene.enable("user-ann", true).await;
    assert!(still_good(&scene.state, &as_ann));
    // Somebody else of the same name.
    ann(&scene).await;
    assert!(!still_good(&scene.state, &as_ann) && who(&scene, &headers).await.is_ok());
}

#[tokio::test]
async fn a_slow_hash_is_paid_once_and_wrong_guesses_are_limited_by_address() {
    let mut scene = Scene::new().await;
    let owner = ann(&scene).await;
    let token = scene.token(&owner, false, "").await;
    let entry = scene.state.store.get(LEGACY_TOKENS, token.name.as_bytes()).unwrap();
    let (body, _) = eartag_api::frame::split(entry.value()).unwrap();
    let mut record = LegacyTokenRecord::decode(body).unwrap();
    record.credential.hash = SecretHash::parse(SCRYPT).unwrap();
    assert!(
        record.credential.hash.is_slow()
            && record.credential.hash.verify(PlainSecret::new("s3cret").expose())
    );
    scene.put(LEGACY_TOKENS, &token.name, record.encode()).await;
    let good = format!("Bearer {}:s3cret", token.name);
    let bad = format!("Bearer {}:wrong", token.name);

    assert!(who(&scene, &[("authorization", &good)]).await.is_ok());
    let (started, has_started) = tokio::sync::oneshot::channel();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let state = scene.state.clone();
    let blocker = tokio::spawn(async move {
        state
            .gate
            .pool
            .run(move || {
                started.send(()).unwrap();
                held.recv().unwrap();
            })
            .await
    });
    has_started.await.unwrap();
    assert!(
        who(&scene, &[("authorization", &good)]).await.is_ok(),
        "remembered, so no turn in the pool is needed"
    );
    release.send(()).unwrap();
    blocker.await.unwrap().unwrap();

    for _ in 0..5 {
        assert_eq!(who(&scene, &[("authorization", &bad)]).await.unwrap_err(), AuthnFailure::Rejected);
    }
    let attempt =
        scene.state.gate.slow_failures.begin(&token.name, "9.9.9.9".parse().unwrap(), super::testing::NOW_MS);
    assert!(attempt.is_err());
    assert!(who(&scene, &[("authorization", &good)]).await.is_ok(), "a known success is not throttled");
    scene.peer = peer("8.8.8.8");
    let attempt =
        scene.state.gate.slow_failures.begin(&token.name, "8.8.8.8".parse().unwrap(), super::testing::NOW_MS);
    assert!(attempt.is_ok());
}

/// "s3cret" with N=32768, r=8, p=1, computed with Python's hashlib.
const SCRYPT: &str = "$1:0102030405060708:15:8:1:rk0H4SLSJkLi08TPqTOIg1XSuhmnDEhwQJgrWDt5wL1ECuu/b667+9fgDTH3SLVr2MIQMT1Wg+QkgE7IEQNFGg";
