//! The rules of several kinds over a store in memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use eartag_apiserver::kind::Verb;
use eartag_apiserver::ops::{Change, DeleteOptions};
use eartag_apiserver::user::MASTERS;
use eartag_core::collections::{
    CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, CLUSTERS, GLOBAL_ROLE_BINDINGS, GLOBAL_ROLES, USERS,
};
use eartag_core::record::{RoleRef, Subject};
use eartag_core::{
    ClusterRecord, ClusterRoleBindingRecord, ClusterRoleRecord, GlobalRoleBindingRecord, Rule,
};
use eartag_storage::Scope;
use serde_json::json;

use super::*;
use crate::authn::TOKEN_ID;
use crate::authn::testing::{PASSWORD, Scene, hash, system_admin};

async fn grant(scene: &Scene, user: &str, rules: Vec<Rule>) {
    scene.put(CLUSTER_ROLES, user, ClusterRoleRecord { rules, aggregation: None }.encode()).await;
    let role_ref = RoleRef { api_group: RBAC.into(), kind: "ClusterRole".into(), name: user.into() };
    let subject =
        Subject { kind: "User".into(), api_group: RBAC.into(), name: user.into(), namespace: String::new() };
    scene
        .put(
            CLUSTER_ROLE_BINDINGS,
            user,
            ClusterRoleBindingRecord { role_ref, subjects: vec![subject] }.encode(),
        )
        .await;
}

/// Somebody who may do everything with users but escalate, and is one.
async fn user_manager(scene: &Scene) -> Cx {
    scene.user("user-hr", "hr", None, "user").await;
    let verbs = ["create", "get", "list", "watch", "update", "patch", "delete"];
    grant(scene, "user-hr", vec![Rule::resources(&verbs, &[MANAGEMENT], &["users"])]).await;
    scene.cx("user-hr")
}

fn master(scene: &Scene) -> Cx {
    let mut cx = scene.cx("system:admin");
    cx.user.groups.push(MASTERS.to_owned());
    cx
}

/// A request of this user that names a good token of theirs.
async fn holder(scene: &Scene, user: &str, role: &str) -> Cx {
    let owner = scene.user(user, user, None, role).await;
    let token = scene.token(&owner, false, "").await;
    let mut cx = scene.cx(user);
    cx.user.extra.insert(TOKEN_ID.to_owned(), vec![token.name]);
    cx
}

fn forbidden<T>(result: Result<T, Refusal>) -> String {
    match result {
        Err(Refusal::Forbidden(text)) => text,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("allowed"),
    }
}

fn invalid<T>(result: Result<T, Refusal>) -> Vec<(String, String)> {
    match result {
        Err(Refusal::Invalid(errors)) => errors.into_iter().map(|e| (e.field, e.message)).collect(),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("allowed"),
    }
}

fn stored(scene: &Scene, plural: &str) -> Arc<dyn Kind> {
    let resources = scene.state.registry.resources();
    let found = resources.iter().find_map(|resource| match resource {
        Resource::Stored(kind) if kind.info().plural == plural => Some(kind.clone()),
        _ => None,
    });
    found.unwrap()
}

fn token(spec: Tree) -> Tree {
    json!({"apiVersion": "ext.cattle.io/v1", "kind": "Token", "spec": spec})
}

#[tokio::test]
async fn texts_of_a_token_are_bounded() {
    let scene = Scene::new().await;
    let cx = holder(&scene, "user-ann", "user").await;
    let (api, kind) = (&scene.state.api, &*scene.state.kinds.tokens);
    let most = "x".repeat(4096);
    let made = api
        .create(kind, &cx, token(json!({"description": most})))
        .await
        .map_err(|r| format!("{r:?}"))
        .unwrap()
        .object;
    let name = made["metadata"]["name"].as_str().unwrap();
    let too_long = ("spec.description".to_owned(), "Too long: may not be more than 4096 bytes".to_owned());
    let longer = json!({"description": format!("{most}x")});
    assert_eq!(invalid(api.create(kind, &cx, token(longer.clone())).await), std::slice::from_ref(&too_long));
    assert_eq!(
        invalid(api.update(kind, &cx, name, &Change::Merge(json!({"spec": longer}))).await),
        [too_long]
    );
    let mut fat = token(json!({}));
    fat["metadata"] = json!({"annotations": {"a": "x".repeat(20 << 10)}, "finalizers": [format!("a.example/{}", "x".repeat(60))]});
    assert!(api.create(kind, &cx, fat.clone()).await.is_ok());
    fat["metadata"]["annotations"]["b"] = "x".repeat(13 << 10).into();
    let errors = invalid(api.create(kind, &cx, fat.clone()).await);
    assert_eq!(errors, [("metadata".to_owned(), "Too long: may not be more than 32768 bytes".to_owned())]);
    let change = Change::Merge(json!({"metadata": fat["metadata"]}));
    assert_eq!(invalid(api.update(kind, &cx, name, &change).await), errors);
}

#[tokio::test]
async fn only_those_without_full_access_have_a_quota_of_tokens() {
    let scene = Scene::new().await;
    let mut kind = tokens::Tokens::new(scene.state.tables.clone(), scene.state.store.clone()).unwrap();
    kind.ground.most = 3;
    let cx = holder(&scene, "user-ann", "user").await;
    let create = async |cx: &Cx| scene.state.api.create(&kind, cx, token(json!({}))).await.map(drop);
    assert!(create(&cx).await.is_ok() && create(&cx).await.is_ok(), "with the one in use that makes three");
    assert_eq!(
        forbidden(create(&cx).await),
        "exceeded quota: tokens-of-one-user, requested: count/tokens.ext.cattle.io=1, used: count/tokens.ext.cattle.io=3, \
         limited: count/tokens.ext.cattle.io=3"
    );
    let other = holder(&scene, "user-bob", "user").await;
    assert!(create(&other).await.is_ok(), "the quota is each user's own");
    let admin = holder(&scene, "user-root", "admin").await;
    for _ in 0..5 {
        assert!(create(&admin).await.is_ok());
    }
}

#[tokio::test]
async fn an_empty_user_id_counts_as_left_out() {
    let scene = Scene::new().await;
    let cx = holder(&scene, "user-ann", "user").await;
    let (api, kind) = (&scene.state.api, &*scene.state.kinds.tokens);
    let mut object =
        api.create(kind, &cx, token(json!({}))).await.map_err(|r| format!("{r:?}")).unwrap().object;
    object["spec"]["userID"] = "".into();
    object["spec"]["description"] = "new".into();
    let name = object["metadata"]["name"].as_str().unwrap().to_owned();
    let after = api.update(kind, &cx, &name, &Change::Put(object.clone())).await.unwrap();
    assert_eq!(
        (&after["spec"]["userID"], &after["spec"]["description"]),
        (&json!("user-ann"), &json!("new"))
    );
    let mut other = after.clone();
    other["spec"]["userID"] = "user-bob".into();
    assert_eq!(
        api.update(kind, &cx, &name, &Change::Put(other)).await,
        Err(Refusal::BadRequest("spec.userID is immutable".to_owned()))
    );
}

#[tokio::test]
async fn making_a_role_every_new_users_needs_its_rules() {
    let scene = Scene::new().await;
    scene.user("user-iam", "iam", None, "user").await;
    let verbs = ["get", "update", "create", "delete"];
    grant(
        &scene,
        "user-iam",
        vec![Rule::resources(&verbs, &[MANAGEMENT], &["globalroles", "globalrolebindings"])],
    )
    .await;
    let (cx, kind) = (scene.cx("user-iam"), &*scene.state.kinds.global_roles);
    let default = |on: bool| Change::Merge(json!({"newUserDefault": on}));
    let switched = scene.state.api.update(kind, &cx, "admin", &default(true)).await;
    assert!(forbidden(switched).contains("permissions not currently held"));
    assert!(scene.state.api.update(kind, &cx, "user-base", &default(true)).await.is_ok(), "they hold these");
    assert!(scene.state.api.update(kind, &master(&scene), "admin", &default(true)).await.is_ok());
    assert!(
        scene.state.api.update(kind, &cx, "admin", &default(false)).await.is_ok(),
        "taking away is no escalation"
    );
}

#[tokio::test]
async fn a_binding_remembers_for_whom_and_to_what_it_was_made() {
    let scene = Scene::new().await;
    scene.user("user-ann", "ann", None, "").await;
    let (api, cx) = (&scene.state.api, master(&scene));
    let role = json!({"apiVersion": "management.cattle.io/v3", "kind": "GlobalRole", "metadata": {"name": "ops"},
        "rules": [{"verbs": ["get"], "apiGroups": ["g"], "resources": ["things"]}]});
    assert!(api.create(&*scene.state.kinds.global_roles, &cx, role.clone()).await.is_ok());
    let binding = |name: &str, role: &str| {
        json!({"apiVersion": "management.cattle.io/v3", "kind": "GlobalRoleBinding",
        "metadata": {"name": name}, "globalRoleName": role, "userName": "user-ann"})
    };
    for role in ["ops", "user"] {
        let made = api.create(&*scene.state.kinds.global_role_bindings, &cx, binding(role, role)).await;
        assert!(made.is_ok());
    }
    let record = |name: &str| {
        let entry = scene.state.store.get(GLOBAL_ROLE_BINDINGS, name.as_bytes()).unwrap();
        GlobalRoleBindingRecord::decode(eartag_api::frame::split(entry.value()).unwrap().0).unwrap()
    };
    let user_uid = scene.uid(USERS, "user-ann");
    assert!(user_uid.is_some());
    assert_eq!((record("ops").user_uid, record("ops").role_uid), (user_uid, scene.uid(GLOBAL_ROLES, "ops")));
    assert_eq!(
        (record("user").user_uid, record("user").role_uid),
        (user_uid, None),
        "a built-in role is always the server's"
    );
    let may = || scene.state.tables.rbac.global_roles_of("user-ann", &[]);
    assert_eq!(may(), ["ops", "user"]);
    // As if the role had been deleted between its last look for bindings and theirs: the commit itself cannot be made to lose that race here.
    scene
        .put(
            GLOBAL_ROLES,
            "ops",
            eartag_core::GlobalRoleRecord { rules: eartag_core::rbac::everything(), ..Default::default() }
                .encode(),
        )
        .await;
    assert_eq!(may(), ["user"], "another role of that name is not what was bound");
    let kind = &*scene.state.kinds.global_roles;
    assert!(api.delete(kind, &cx, "ops", &DeleteOptions::default()).await.is_ok(), "nor is it in use");
    assert!(api.create(kind, &cx, role).await.is_ok());
    assert!(api.create(&*scene.state.kinds.global_role_bindings, &cx, binding("ops2", "ops")).await.is_ok());
    assert!(matches!(
        api.delete(kind, &cx, "ops", &DeleteOptions::default()).await,
        Err(Refusal::Conflict(_))
    ));
}

#[tokio::test]
async fn who_has_more_rights_is_not_overruled() {
    let scene = Scene::new().await;
    let cx = user_manager(&scene).await;
    scene.user("user-root", "root", Some(hash()), "admin").await;
    scene.user("user-ann", "ann", Some(hash()), "user").await;
    let (api, kind) = (&scene.state.api, &*scene.state.kinds.users);
    let off = Change::Merge(json!({"enabled": false}));
    let why = "user \"user-root\" has permissions that user \"user-hr\" does not hold";
    assert_eq!(forbidden(api.update(kind, &cx, "user-root", &off).await), why);
    assert_eq!(forbidden(api.delete(kind, &cx, "user-root", &DeleteOptions::default()).await.map(drop)), why);
    assert!(api.update(kind, &cx, "user-root", &Change::Merge(json!({"description": "boss"}))).await.is_ok());
    assert!(api.update(kind, &cx, "user-ann", &off).await.is_ok());
    assert!(api.delete(kind, &cx, "user-ann", &DeleteOptions::default()).await.is_ok());
    grant(
        &scene,
        "user-hr",
        vec![
            Rule::resources(&["update"], &[MANAGEMENT], &["users"]),
            Rule::resources(&["escalate"], &[MANAGEMENT], &["users"]).named(&["user-root"]),
        ],
    )
    .await;
    assert!(api.update(kind, &cx, "user-root", &off).await.is_ok(), "whoever may escalate");
}

fn password_changes(scene: &Scene) -> password_changes::PasswordChangeRequests {
    let state = &scene.state;
    password_changes::PasswordChangeRequests::new(
        state.tables.clone(),
        state.store.clone(),
        state.world.clone(),
    )
    .unwrap()
}

fn password_change(user: &str, current: &str, new: &str) -> Tree {
    json!({"spec": {"userID": user, "currentPassword": current, "newPassword": new}})
}

#[tokio::test]
async fn the_password_of_somebody_with_more_rights_cannot_be_set() {
    use eartag_apiserver::kind::Review;
    let mut scene = Scene::new().await;
    let mut cx = user_manager(&scene).await;
    scene.user("user-root", "root", Some(hash()), "admin").await;
    scene.user("user-ann", "ann", Some(hash()), "user").await;
    let kind = password_changes(&scene);
    let new = "a very long new password";
    for dry_run in [true, false] {
        cx.dry_run = dry_run;
        assert!(
            forbidden(kind.create(password_change("user-root", "", new), &cx).await)
                .contains("does not hold")
        );
        assert!(kind.create(password_change("user-ann", "", new), &cx).await.is_ok());
    }
    let owner = scene.state.store.get(USERS, b"user-hr").unwrap();
    let bearer = format!("Bearer {}", scene.token(&owner, false, "").await.bearer.expose());
    let body = json!({"newPassword": new}).to_string();
    let path = |user: &str| format!("/v3/users/{user}?action=setpassword");
    let answer = scene.send("POST", &path("user-root"), &[("authorization", &bearer)], &body).await;
    assert_eq!(answer.error().0, 403, "{}", answer.body);
    let answer = scene.send("POST", &path("user-ann"), &[("authorization", &bearer)], &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    for (user, may) in [("user-root", false), ("user-ann", true)] {
        let shown = scene.send("GET", &format!("/v3/users/{user}"), &[("authorization", &bearer)], "").await;
        let offered = shown.body["actions"].get("setpassword").is_some();
        assert_eq!((shown.status, offered), (200, may), "{}", shown.body);
    }
    scene.peer = system_admin();
    assert_eq!(scene.send("POST", &path("user-root"), &[], &body).await.status, 200);
}

#[tokio::test]
async fn a_dry_run_of_a_password_change_says_what_the_change_would() {
    use eartag_apiserver::kind::Review;
    let scene = Scene::new().await;
    scene.user("user-ann", "ann", Some(hash()), "user").await;
    let (kind, mut cx) = (password_changes(&scene), scene.cx("user-ann"));
    cx.dry_run = true;
    let new = "a very long new password";
    let wrong = kind.create(password_change("", "not it at all", new), &cx).await.map(drop);
    assert_eq!(invalid(wrong)[0].0, "spec.currentPassword");
    let (shown, once) =
        kind.create(password_change("", PASSWORD, new), &cx).await.map_err(|r| format!("{r:?}")).unwrap();
    assert!(once.is_none());
    assert_eq!(shown["spec"], json!({"userID": "user-ann"}), "no password comes back");
    assert!(
        crate::login::password::Passwords::of(&scene.state)
            .stored("user-ann")
            .unwrap()
            .verify(&eartag_core::PlainSecret::new(PASSWORD))
    );
}

#[tokio::test]
async fn a_setting_in_the_wrong_case_is_told_its_name() {
    let scene = Scene::new().await;
    let get =
        async |name: &str| scene.state.api.get(&*scene.state.kinds.settings, &master(&scene), name).await;
    let hint = Refusal::NotFoundHint("did you mean \"auth-token-max-ttl-minutes\"?".to_owned());
    assert_eq!(get("auth-token-max-TTL-minutes").await, Err(hint));
    assert_eq!(get("auth-token-max").await, Err(Refusal::NotFound));
    assert!(get("auth-token-max-ttl-minutes").await.is_ok());
}

#[tokio::test]
async fn everybody_sees_the_clusters_that_they_may_get() {
    let scene = Scene::new().await;
    for name in ["c-one", "c-three", "c-two"] {
        scene
            .put(
                CLUSTERS,
                name,
                ClusterRecord { display_name: name.into(), ..ClusterRecord::default() }.encode(),
            )
            .await;
    }
    let (kind, cx) = (stored(&scene, "clusters"), scene.cx("user-ann"));
    let scope = async || kind.scope(&cx, Verb::List).await.unwrap();
    assert_eq!(scope().await, Scope::None);
    let get = |names: &[&str]| vec![Rule::resources(&["get"], &[MANAGEMENT], &["clusters"]).named(names)];
    grant(&scene, "user-ann", get(&["c-two"])).await;
    assert_eq!(scope().await, Scope::Name(b"c-two".to_vec()));
    grant(&scene, "user-ann", get(&["c-two", "c-one", "c-none"])).await;
    assert_eq!(scope().await, Scope::Names(vec![b"c-one".to_vec(), b"c-two".to_vec()]));
    assert_eq!(kind.scope(&master(&scene), Verb::List).await.unwrap(), Scope::All);
}

#[tokio::test]
async fn the_mark_of_the_first_administrator_is_not_for_everybody_who_may_write_users() {
    let scene = Scene::new().await;
    let cx = user_manager(&scene).await;
    scene.user("user-ann", "ann", None, "").await;
    let label = |value: Tree| {
        Change::Merge(json!({"metadata": {"labels": {eartag_core::retention::FIRST_ADMIN.0: value}}}))
    };
    let (api, kind) = (&scene.state.api, &*scene.state.kinds.users);
    let change = async |cx: &Cx, value: Tree| api.update(kind, cx, "user-ann", &label(value)).await;
    let why = "only administrators change the label authz.management.cattle.io/bootstrapping";
    assert_eq!(forbidden(change(&cx, json!("admin-user")).await), why);
    let mut made =
        json!({"apiVersion": "management.cattle.io/v3", "kind": "User", "metadata": {"name": "user-new"}});
    made["metadata"]["labels"] = json!({eartag_core::retention::FIRST_ADMIN.0: "admin-user"});
    assert_eq!(forbidden(api.create(kind, &cx, made).await.map(drop)), why);
    assert!(change(&master(&scene), json!("admin-user")).await.is_ok());
    assert_eq!(forbidden(change(&cx, Tree::Null).await), why);
    let other = Change::Merge(json!({"metadata": {"labels": {"team": "red"}}}));
    assert!(api.update(kind, &cx, "user-ann", &other).await.is_ok(), "other labels are");
}

#[tokio::test]
async fn a_mightier_user_is_not_enabled_again_by_who_could_not_disable_them() {
    let scene = Scene::new().await;
    let cx = user_manager(&scene).await;
    scene.user("user-root", "root", None, "admin").await;
    scene.enable("user-root", false).await;
    let (api, kind) = (&scene.state.api, &*scene.state.kinds.users);
    let on = Change::Merge(json!({"enabled": true}));
    assert!(forbidden(api.update(kind, &cx, "user-root", &on).await).contains("has permissions that user"));
    assert!(api.update(kind, &master(&scene), "user-root", &on).await.is_ok());
}

#[tokio::test]
async fn clusters_are_for_administrators_and_everything_wrong_is_named() {
    let scene = Scene::new().await;
    let (api, kind) = (&scene.state.api, stored(&scene, "clusters"));
    let object = |name: &str, spec: Tree| json!({"apiVersion": "management.cattle.io/v3", "kind": "Cluster", "metadata": {"name": name}, "spec": spec});
    grant(
        &scene,
        "user-ann",
        vec![Rule::resources(&["create", "update", "delete", "get"], &[MANAGEMENT], &["clusters"])],
    )
    .await;
    let ann = scene.cx("user-ann");
    let refused = api.create(&*kind, &ann, object("c-1", json!({}))).await.map(drop);
    assert!(forbidden(refused).contains("full access"), "a right to create clusters is not enough");
    let root = master(&scene);
    let bad = object("c-1", json!({"internal": true, "apiEndpoint": "http://x", "caCert": "junk"}));
    let Err(Refusal::Invalid(errors)) = api.create(&*kind, &root, bad).await.map(drop) else { panic!() };
    let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, ["spec.internal", "spec.apiEndpoint", "spec.caCert"]);
    let bad = api.create(&*kind, &root, object("c.1", json!({}))).await.map(drop);
    assert!(matches!(bad, Err(Refusal::Invalid(_))), "an id is one label");
    api.create(&*kind, &root, object("c-1", json!({"displayName": "One"}))).await.unwrap();
    // As a manifest in a repository names no finalizer.
    let seen = api.get(&*kind, &root, "c-1").await.unwrap();
    let mut manifest = object("c-1", json!({"displayName": "Two"}));
    manifest["metadata"]["resourceVersion"] = seen["metadata"]["resourceVersion"].clone();
    let put = api.update(&*kind, &root, "c-1", &Change::Put(manifest)).await.unwrap();
    assert_eq!(put["metadata"]["finalizers"], seen["metadata"]["finalizers"], "the sweeper's mark stays");
    assert!(put["metadata"]["finalizers"][0].is_string());
    let change = Change::Merge(json!({"spec": {"apiEndpoint": "https://evil.example"}}));
    assert!(forbidden(api.update(&*kind, &ann, "c-1", &change).await).contains("full access"));
    let delete = api.delete(&*kind, &ann, "c-1", &Default::default()).await.map(drop);
    assert!(forbidden(delete).contains("full access"));
    let local = api.delete(&*kind, &root, "local", &Default::default()).await.map(drop);
    assert_eq!(forbidden(local), "the cluster \"local\" is this server itself");
}
