#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;

use eartag_apiserver::Tree;
use eartag_apiserver::ops::{Change, Created};
use eartag_apiserver::user::{MASTERS, UserInfo};
use eartag_core::collections::SETTINGS;
use eartag_core::verifier::{Place, Presented, Verdict};
use eartag_core::{SettingRecord, settings};
use secrecy::ExposeSecret;
use serde_json::json;

use super::*;
use crate::authn::Impersonator;
use crate::authn::testing::Scene;

const KIND: &str = "authn.management.cattle.io/kind";

/// The operator, who is nobody's account.
fn operator(scene: &Scene) -> Cx {
    let user = UserInfo { name: "system:admin".into(), groups: vec![MASTERS.into()], ..UserInfo::default() };
    Cx::new(user, Arc::new(()), scene.state.authorizer.clone(), scene.state.world.clone())
}

async fn create(scene: &Scene, cx: &Cx, body: Tree) -> Result<Created, Refusal> {
    let mut object = json!({"apiVersion": "management.cattle.io/v3", "kind": "Token"});
    object.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
    scene.state.api.create(&*scene.state.kinds.legacy_tokens, cx, object).await
}

fn bearer(created: &Created) -> String {
    created.once.as_ref().unwrap().fields[0].1.expose_secret().to_owned()
}

fn is_good(scene: &Scene, bearer: &str) -> bool {
    let presented = Presented::parse(bearer).unwrap();
    let now_ms = scene.state.world.now_ms();
    matches!(scene.state.tables.verifier.check(&presented, Place::Global, now_ms), Verdict::Good(_))
}

fn faults(made: Result<Created, Refusal>) -> String {
    match made {
        Err(Refusal::Invalid(errors)) => format!("{}: {}", errors[0].field, errors[0].message),
        Err(other) => panic!("{other:?}"),
        Ok(created) => panic!("{}", created.object),
    }
}

#[tokio::test]
async fn the_seven_system_kinds_live_for_ever_whatever_the_maximum() {
    let scene = Scene::new().await;
    scene.user("user-vqkqt", "ann", None, "").await;
    let cx = operator(&scene);
    for (kind, prefix, description) in [
        ("kubeconfig", "kubeconfig-", "Kubeconfig token"),
        ("kubectl-shell", "kubectl-shell-", "Access to kubectl shell in the browser"),
        ("agent", "agent-", "token for agent deployment"),
        ("compose", "compose-token-", "token for compose"),
        ("helm", "helm-token-", "token for helm chart deployment"),
        ("telemetry", "telemetry-", "token for telemetry"),
        ("drain-node", "drain-node-", "token for drain"),
    ] {
        let body = json!({"metadata": {"labels": {KIND: kind}}, "userId": "user-vqkqt"});
        let made = create(&scene, &cx, body).await.map_err(|r| format!("{r:?}")).unwrap();
        let name = made.object["metadata"]["name"].as_str().unwrap();
        assert!(name.starts_with(&format!("{prefix}user-vqkqt")), "{name}");
        assert_eq!((&made.object["ttl"], &made.object["expiresAt"]), (&json!(0), &json!("")));
        assert_eq!(made.object["description"], description);
        let labels = &made.object["metadata"]["labels"];
        assert_eq!(
            (&labels[KIND], &labels["authn.management.cattle.io/token-userId"]),
            (&json!(kind), &json!("user-vqkqt"))
        );
        assert_eq!(
            (&made.object["isDerived"], &made.object["authProvider"]),
            (&json!(true), &json!("local"))
        );
        assert!(made.object.get("token").is_none(), "the secret is beside the object");
        assert!(bearer(&made).starts_with(&format!("{name}:")) && is_good(&scene, &bearer(&made)));
    }
}

#[tokio::test]
async fn a_system_token_can_be_named_within_its_pattern() {
    let scene = Scene::new().await;
    scene.user("user-vqkqt", "ann", None, "").await;
    let cx = operator(&scene);
    let named = |name: &str| json!({"metadata": {"name": name, "labels": {KIND: "kubectl-shell"}}, "userId": "user-vqkqt"});
    let made = create(&scene, &cx, named("kubectl-shell-user-vqkqt")).await;
    assert!(made.is_ok_and(|made| made.object["metadata"]["name"] == "kubectl-shell-user-vqkqt"));
    assert!(matches!(
        create(&scene, &cx, named("kubectl-shell-user-vqkqt")).await,
        Err(Refusal::AlreadyExists)
    ));
    assert_eq!(
        faults(create(&scene, &cx, named("agent-x")).await),
        "metadata.name: Invalid value: \"agent-x\": names of tokens of kind kubectl-shell begin with kubectl-shell-"
    );
    assert!(faults(create(&scene, &cx, named("kubectl-shell-")).await).contains("metadata.name"));
    assert!(
        faults(create(&scene, &cx, named("token-abcde")).await)
            .ends_with("token names can't start with token-")
    );
}

#[tokio::test]
async fn what_breaks_a_rule_of_system_tokens_is_refused_and_said_clearly() {
    let scene = Scene::new().await;
    scene.user("user-ann", "ann", None, "user").await;
    let cx = operator(&scene);
    let of = |more: Tree| {
        let mut body = json!({"metadata": {"labels": {KIND: "agent"}}, "userId": "user-ann"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let secret = faults(create(&scene, &cx, of(json!({"token": "abc"}))).await);
    assert!(secret.starts_with("token: Forbidden: ") && !secret.contains("abc"), "{secret}");
    assert!(faults(create(&scene, &cx, of(json!({"ttl": -1}))).await).starts_with("ttl: "));
    assert!(faults(create(&scene, &cx, of(json!({"userId": "nobody"}))).await).starts_with("userId: "));
    let other = json!({"metadata": {"labels": {KIND: "pipeline"}}, "userId": "user-ann"});
    assert!(
        faults(create(&scene, &cx, other).await)
            .contains("supported values: \"kubeconfig\", \"kubectl-shell\"")
    );
    let session = json!({"metadata": {"labels": {KIND: "session"}}, "userId": "user-ann"});
    assert!(faults(create(&scene, &cx, session).await).contains("only a login makes a session"));
    scene.enable("user-ann", false).await;
    let disabled = create(&scene, &cx, of(json!({}))).await.map(drop);
    assert_eq!(disabled, Err(Refusal::BadRequest("operation references a disabled user".into())));
}

#[tokio::test]
async fn who_may_create_tokens_but_is_no_admin_makes_them_only_for_whom_they_could_act() {
    let scene = Scene::new().await;
    scene.user("user-root", "root", None, "admin").await;
    scene.user("user-ann", "ann", None, "user").await;
    let cx = scene.cx("user-ann");
    let of = |user: &str| json!({"metadata": {"labels": {KIND: "agent"}}, "userId": user});
    let refused = create(&scene, &cx, of("user-root")).await.map(drop);
    assert!(matches!(refused, Err(Refusal::Forbidden(_))), "{refused:?}");
    assert!(create(&scene, &cx, of("user-ann")).await.is_ok());
}

#[tokio::test]
async fn who_acts_as_an_admin_makes_no_system_token_without_naming_a_token_of_the_admins() {
    let scene = Scene::new().await;
    let root = scene.user("user-root", "root", None, "admin").await;
    let session = scene.token(&root, true, "").await;
    let mut cx = scene.cx("user-root");
    let user = UserInfo { name: "helpdesk".into(), ..UserInfo::default() };
    let impersonator = Some(Impersonator { user, acting_as: None });
    cx.facts = Arc::new(Caller { impersonator, ..Caller::test("user-root") });
    let body = json!({"metadata": {"labels": {KIND: "agent"}}});
    let refused = create(&scene, &cx, body.clone()).await.map(drop);
    assert_eq!(refused, Err(Refusal::Forbidden("missing authentication token ID".into())));
    cx.user.extra.insert(TOKEN_ID.to_owned(), vec!["token-none".to_owned()]);
    assert!(matches!(create(&scene, &cx, body.clone()).await, Err(Refusal::Forbidden(_))));
    cx.user.extra.insert(TOKEN_ID.to_owned(), vec![session.name.clone()]);
    assert!(create(&scene, &cx, body).await.is_ok());
}

#[tokio::test]
async fn an_api_key_gets_the_maximum_a_name_of_the_servers_and_no_other_owner() {
    let scene = Scene::new().await;
    let ann = scene.user("user-ann", "ann", None, "user").await;
    let minute = SettingRecord { value: "1".into(), env: false };
    scene.put(SETTINGS, settings::MAX_TTL, minute.encode()).await;
    let session = scene.token(&ann, true, "").await;
    let mut cx = scene.cx("user-ann");
    cx.user.extra.insert(TOKEN_ID.to_owned(), vec![session.name.clone()]);
    let made = create(&scene, &cx, json!({"ttl": 0, "description": "d"}))
        .await
        .map_err(|r| format!("{r:?}"))
        .unwrap();
    assert_eq!((&made.object["ttl"], &made.object["isDerived"]), (&json!(60_000), &json!(true)));
    assert!(made.object["metadata"]["name"].as_str().unwrap().starts_with("token-"));
    assert!(made.object["metadata"]["labels"].get(KIND).is_none(), "no kind, no label");
    assert!(is_good(&scene, &bearer(&made)));
    let clamped = create(&scene, &cx, json!({"ttl": 3_600_000})).await.map_err(|r| format!("{r:?}")).unwrap();
    assert_eq!(clamped.object["ttl"], 60_000);
    assert!(
        faults(create(&scene, &cx, json!({"metadata": {"name": "token-mine"}})).await)
            .starts_with("metadata.name: Forbidden")
    );
    let other = create(&scene, &cx, json!({"userId": "user-bob"})).await.map(drop);
    assert_eq!(other, Err(Refusal::Forbidden("unable to create token for other user".into())));
}

#[tokio::test]
async fn admins_see_all_records_and_others_their_own() {
    let scene = Scene::new().await;
    let ann = scene.user("user-ann", "ann", None, "user").await;
    let bob = scene.user("user-bob", "bob", None, "user").await;
    let (a, b) = (scene.token(&ann, true, "").await, scene.token(&bob, false, "").await);
    let (api, kind) = (&scene.state.api, &*scene.state.kinds.legacy_tokens);
    assert!(api.get(kind, &operator(&scene), &a.name).await.is_ok_and(|token| token["isDerived"] == false));
    assert!(api.get(kind, &operator(&scene), &b.name).await.is_ok_and(|token| token["isDerived"] == true));
    assert!(api.get(kind, &scene.cx("user-ann"), &a.name).await.is_ok());
    assert_eq!(api.get(kind, &scene.cx("user-ann"), &b.name).await, Err(Refusal::NotFound));
}

#[tokio::test]
async fn the_maximum_does_not_cut_a_session_when_it_is_changed() {
    let scene = Scene::new().await;
    let ann = scene.user("user-ann", "ann", None, "user").await;
    let minute = SettingRecord { value: "1".into(), env: false };
    scene.put(SETTINGS, settings::MAX_TTL, minute.encode()).await;
    let session = scene.token(&ann, true, "").await;
    let key = scene.token(&ann, false, "").await;
    let set = async |name: &str, ttl: i64| {
        let change = Change::Merge(json!({"ttl": ttl}));
        let kind = &*scene.state.kinds.legacy_tokens;
        scene.state.api.update(kind, &operator(&scene), name, &change).await.map(|token| token["ttl"].clone())
    };
    assert_eq!(set(&session.name, 7_200_000).await, Ok(json!(7_200_000)));
    assert_eq!(set(&key.name, 7_200_000).await, Ok(json!(3_600_000)), "already above it: unchanged (DEC4)");
    assert_eq!(set(&key.name, 1_800_000).await, Ok(json!(60_000)));
}

#[tokio::test]
async fn what_a_token_is_stays_and_nobody_brings_a_secret() {
    let scene = Scene::new().await;
    let ann = scene.user("user-ann", "ann", None, "user").await;
    let token = scene.token(&ann, false, "").await;
    let kind = &*scene.state.kinds.legacy_tokens;
    for (change, why) in [
        (json!({"userId": "user-bob"}), "userId is immutable"),
        (json!({"clusterName": "local"}), "clusterName is immutable"),
        (json!({"isDerived": false}), "isDerived is immutable"),
        (json!({"authProvider": "github"}), "authProvider is immutable"),
        (json!({"token": "x"}), "token is immutable"),
        (json!({"metadata": {"labels": {KIND: "agent"}}}), "kind is immutable"),
        (json!({"userPrincipal": {"displayName": "Eve"}}), "userPrincipal is immutable"),
    ] {
        let changed =
            scene.state.api.update(kind, &operator(&scene), &token.name, &Change::Merge(change)).await;
        assert_eq!(changed.map(drop), Err(Refusal::BadRequest(why.to_owned())));
    }
    assert!(is_good(&scene, token.bearer.expose()));
}

#[tokio::test]
async fn system_tokens_count_for_the_quota_of_their_owner() {
    let scene = Scene::new().await;
    scene.user("user-ann", "ann", None, "user").await;
    let mut kind = LegacyTokens::new(scene.state.tables.clone(), scene.state.store.clone()).unwrap();
    kind.ground.most = 2;
    let object = json!({"apiVersion": "management.cattle.io/v3", "kind": "Token", "metadata": {"labels": {KIND: "agent"}}});
    let make = async |cx: &Cx| scene.state.api.create(&kind, cx, object.clone()).await.map(drop);
    let cx = scene.cx("user-ann");
    assert!(make(&cx).await.is_ok() && make(&cx).await.is_ok());
    assert!(matches!(make(&cx).await, Err(Refusal::Forbidden(text)) if text.starts_with("exceeded quota")));
}
