//! `/v3/tokens` from request to answer.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use eartag_core::collections::SETTINGS;
use eartag_core::{SettingRecord, settings};
use serde_json::json;

use super::*;
use crate::authn::testing::{Answer, Scene, system_admin};

/// A server, a standard user's session, and somebody else's.
async fn two() -> (Scene, String, String) {
    let scene = Scene::new().await;
    let (ann, bob) =
        (scene.user("user-ann", "ann", None, "user").await, scene.user("user-bob", "bob", None, "").await);
    let bearer = async |owner| format!("Bearer {}", scene.token(owner, true, "").await.bearer.expose());
    let (ann, bob) = (bearer(&ann).await, bearer(&bob).await);
    (scene, ann, bob)
}

async fn send(scene: &Scene, who: &str, method: &str, path: &str, body: Tree) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    scene.send(method, path, &[("authorization", who)], &body).await
}

fn ids(list: &Answer) -> Vec<String> {
    list.body["data"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_created_token_has_its_value_in_that_reply_and_nowhere_else() {
    let (scene, ann, _) = two().await;
    let made =
        send(&scene, &ann, "POST", "/v3/tokens", json!({"description": "ci", "ttl": 86_400_000})).await;
    assert_eq!(made.status, 201);
    let id = made.body["id"].as_str().unwrap();
    let value = made.body["token"].as_str().unwrap();
    assert!(value.starts_with(&format!("{id}:")) && value.len() == id.len() + 1 + 54);
    for (member, is) in [
        ("type", json!("token")),
        ("baseType", json!("token")),
        ("name", json!(id)),
        ("description", json!("ci")),
        ("ttl", json!(86_400_000)),
        ("userId", json!("user-ann")),
        ("isDerived", json!(true)),
        ("current", json!(false)),
        ("enabled", json!(true)),
        ("expired", json!(false)),
        ("authProvider", json!("local")),
        ("clusterId", Tree::Null),
        ("creatorId", Tree::Null),
        ("labels", json!({"authn.management.cattle.io/token-userId": "user-ann"})),
    ] {
        assert_eq!(made.body[member], is, "{member}");
    }
    assert!(!made.body["expiresAt"].as_str().unwrap().is_empty(), "at once");
    for link in ["self", "update", "remove"] {
        assert_eq!(made.body["links"][link], format!("https://a.example/v3/tokens/{id}"));
    }
    let got = send(&scene, &ann, "GET", &format!("/v3/tokens/{id}"), Tree::Null).await;
    assert!(got.status == 200 && got.body.get("token").is_none());
    let bearer = format!("Bearer {value}");
    let list = send(&scene, &bearer, "GET", "/v3/tokens", Tree::Null).await;
    assert!(list.status == 200 && !list.body.to_string().contains(value.split_once(':').unwrap().1));
    assert!(
        list.body["data"].as_array().unwrap().iter().all(|token| token["current"] == false),
        "an API key is no session"
    );
}

#[tokio::test]
async fn clients_may_send_what_they_always_sent() {
    let (scene, ann, _) = two().await;
    let body = json!({
        "type": "token", "links": null, "actions": null, "userId": "user-bob", "name": "mine", "isDerived": false, "expiresAt": "x",
        "enabled": false, "token": "token-x:secret", "labels": {"authn.management.cattle.io/kind": "agent"}, "ttl": 0,
    });
    let made = send(&scene, &ann, "POST", "/v3/tokens", body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(
        (&made.body["userId"], &made.body["enabled"], &made.body["isDerived"]),
        (&json!("user-ann"), &json!(true), &json!(true))
    );
    assert_eq!(made.body["ttl"], 129_600_i64 * 60_000, "no system token through this door: 0 is the maximum");
    assert!(made.body["labels"].get("authn.management.cattle.io/kind").is_none());
}

#[tokio::test]
async fn the_session_in_use_is_current_and_cannot_be_deleted() {
    let (scene, ann, _) = two().await;
    let list = send(&scene, &ann, "GET", "/v3/tokens", Tree::Null).await;
    let own = &list.body["data"][0];
    assert_eq!((&own["current"], &own["isDerived"]), (&json!(true), &json!(false)));
    let id = own["id"].as_str().unwrap();
    let gone = send(&scene, &ann, "DELETE", &format!("/v3/tokens/{id}"), Tree::Null).await;
    assert_eq!(
        gone.error(),
        (400, "ServerError", "Cannot delete token for current session. Use logout instead")
    );
    let made = send(&scene, &ann, "POST", "/v3/tokens", json!({})).await;
    let key = format!("Bearer {}", made.body["token"].as_str().unwrap());
    let path = format!("/v3/tokens/{}", made.body["id"].as_str().unwrap());
    let gone = send(&scene, &key, "DELETE", &path, Tree::Null).await;
    assert_eq!((gone.status, &gone.body), (204, &Tree::Null), "an API key may delete itself");
    assert_eq!(send(&scene, &key, "GET", "/v3/tokens", Tree::Null).await.status, 401);
}

#[tokio::test]
async fn somebody_elses_token_does_not_exist_and_one_text_says_so() {
    let (scene, ann, bob) = two().await;
    let made = send(&scene, &bob, "POST", "/v3/tokens", json!({})).await;
    assert_eq!(made.status, 201, "no role is needed");
    let id = made.body["id"].as_str().unwrap();
    for (method, body) in [("GET", Tree::Null), ("DELETE", Tree::Null), ("PUT", json!({"description": "x"}))]
    {
        let foreign = send(&scene, &ann, method, &format!("/v3/tokens/{id}"), body.clone()).await;
        assert_eq!(
            foreign.error(),
            (404, "NotFound", format!("tokens.management.cattle.io {id:?} not found").as_str())
        );
        let absent = send(&scene, &ann, method, "/v3/tokens/token-zzzzz", body).await;
        assert_eq!(
            absent.error(),
            (404, "NotFound", "tokens.management.cattle.io \"token-zzzzz\" not found")
        );
    }
    assert!(!ids(&send(&scene, &ann, "GET", "/v3/tokens", Tree::Null).await).contains(&id.to_owned()));
    assert!(ids(&send(&scene, &ann, "GET", "/v3/tokens?userId=user-bob", Tree::Null).await).is_empty());
    let both = send(&scene, &ann, "GET", "/v3/tokens?userId=user-ann&userId=user-bob", Tree::Null).await;
    assert_eq!(ids(&both).len(), 1, "their own, whoever else is named");
    assert_eq!(ids(&send(&scene, &bob, "GET", "/v3/tokens", Tree::Null).await).len(), 2);
}

#[tokio::test]
async fn administrators_look_further_when_they_say_so() {
    let (mut scene, ann, bob) = two().await;
    send(&scene, &bob, "POST", "/v3/tokens", json!({})).await;
    let root = scene.user("user-root", "root", None, "admin").await;
    let root = format!("Bearer {}", scene.token(&root, true, "").await.bearer.expose());
    let list = async |scene: &Scene, query: &str| {
        ids(&send(scene, &root, "GET", &format!("/v3/tokens{query}"), Tree::Null).await)
    };
    assert_eq!(list(&scene, "").await.len(), 1, "their own");
    let bobs = list(&scene, "?userId=user-bob").await;
    assert_eq!(bobs.len(), 2);
    assert_eq!(list(&scene, "?userId=*").await.len(), 4);
    assert_eq!(list(&scene, "?userId=user-bob&userId=user-ann").await.len(), 3, "of either");
    assert_eq!(list(&scene, "?userId=nobody&userId=user-ann&description=x").await.len(), 0);
    let path = format!("/v3/tokens/{}", bobs[0]);
    assert_eq!(send(&scene, &root, "GET", &path, Tree::Null).await.status, 200);
    assert_eq!(send(&scene, &root, "DELETE", &path, Tree::Null).await.status, 204);
    assert_eq!(
        ids(&send(&scene, &ann, "GET", "/v3/tokens?userId=*", Tree::Null).await).len(),
        1,
        "all that they may see"
    );
    scene.peer = system_admin();
    assert!(
        ids(&scene.send("GET", "/v3/tokens", &[], "").await).is_empty(),
        "the operator is nobody's account"
    );
    assert_eq!(ids(&scene.send("GET", "/v3/tokens?userId=*", &[], "").await).len(), 3);
}

#[tokio::test]
async fn description_ttl_and_switch_can_be_changed_by_the_rules() {
    let (scene, ann, _) = two().await;
    let made = send(&scene, &ann, "POST", "/v3/tokens", json!({"ttl": 7_200_000})).await;
    let path = format!("/v3/tokens/{}", made.body["id"].as_str().unwrap());
    let change = async |body: Tree| send(&scene, &ann, "PUT", &path, body).await;
    let changed = change(json!({"description": "new", "ttl": 3_600_000, "enabled": false, "userId": "user-bob", "clusterId": "x"})).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_eq!(
        (&changed.body["description"], &changed.body["ttl"], &changed.body["enabled"]),
        (&json!("new"), &json!(3_600_000), &json!(false))
    );
    assert_eq!((&changed.body["userId"], &changed.body["clusterId"]), (&json!("user-ann"), &Tree::Null));
    let longer = change(json!({"ttl": 7_200_000})).await;
    assert_eq!((longer.status, longer.error().2), (400, "forbidden to extend time-to-live"));
    assert_eq!(
        change(json!({"ttl": -5})).await.error(),
        (422, "MinLimitExceeded", "ttl must not be negative")
    );
    assert_eq!(change(json!({})).await.body["description"], "new", "what is left out stays");
}

#[tokio::test]
async fn a_wrong_ttl_is_refused_and_a_long_one_cut() {
    let (scene, ann, _) = two().await;
    let negative = send(&scene, &ann, "POST", "/v3/tokens", json!({"ttl": -1})).await;
    assert_eq!(negative.error(), (422, "MinLimitExceeded", "ttl must not be negative"));
    for (body, why) in [
        (json!({"ttl": "1"}), "json: cannot unmarshal string into Go struct field Token.ttl of type int64"),
        (
            json!({"ttl": 1.5}),
            "json: cannot unmarshal number 1.5 into Go struct field Token.ttl of type int64",
        ),
        (
            json!({"ttl": 9_223_372_036_854_775_808_u64}),
            "json: cannot unmarshal number 9223372036854775808 into Go struct field Token.ttl of type int64",
        ),
        (
            json!({"description": 1}),
            "json: cannot unmarshal number into Go struct field Token.description of type string",
        ),
        (Tree::Null, "unexpected end of JSON input"),
    ] {
        assert_eq!(send(&scene, &ann, "POST", "/v3/tokens", body).await.error(), (422, "InvalidFormat", why));
    }
    let torn = scene.send("POST", "/v3/tokens", &[("authorization", &ann)], "{").await;
    assert_eq!(torn.error().1, "InvalidFormat");
    let long = send(&scene, &ann, "POST", "/v3/tokens", json!({"ttl": i64::MAX})).await;
    assert_eq!((long.status, &long.body["ttl"]), (201, &json!(129_600_i64 * 60_000)));
    let none = SettingRecord { value: "0".into(), env: false };
    scene.put(SETTINGS, settings::MAX_TTL, none.encode()).await;
    let never = send(&scene, &ann, "POST", "/v3/tokens", json!({"ttl": 0})).await;
    assert_eq!((&never.body["ttl"], &never.body["expiresAt"]), (&json!(0), &json!("")));
}

#[tokio::test]
async fn a_cluster_must_exist_and_be_the_callers_to_use() {
    let (scene, ann, _) = two().await;
    let absent = send(&scene, &ann, "POST", "/v3/tokens", json!({"clusterId": "c-none"})).await;
    assert_eq!((absent.status, absent.error().2), (400, "cluster c-none not found"));
    let foreign = send(&scene, &ann, "POST", "/v3/tokens", json!({"clusterId": "local"})).await;
    assert_eq!(foreign.status, 403);
    assert!(foreign.error().2.ends_with("user user-ann is not allowed to access cluster local"));
}

#[tokio::test]
async fn who_is_no_user_gets_no_token_here_either() {
    let mut scene = Scene::new().await;
    scene.peer = system_admin();
    let made = scene.send("POST", "/v3/tokens", &[], "{}").await;
    assert_eq!(
        made.error(),
        (
            403,
            "PermissionDenied",
            "tokens.management.cattle.io is forbidden: user system:admin is not a Rancher user"
        )
    );
}

#[tokio::test]
async fn a_ttl_beyond_int64_is_a_wrong_type_in_an_update_too() {
    let (scene, ann, _) = two().await;
    let made = send(&scene, &ann, "POST", "/v3/tokens", json!({})).await;
    let path = format!("/v3/tokens/{}", made.body["id"].as_str().unwrap());
    for ttl in [json!(9_223_372_036_854_775_808_u64), json!(1.5), json!("1")] {
        let refused = send(&scene, &ann, "PUT", &path, json!({"ttl": ttl})).await;
        assert_eq!(refused.error(), (422, "InvalidFormat", "ttl must be of type int"), "{ttl}");
        assert_eq!(refused.body["fieldName"], "ttl");
    }
}

#[tokio::test]
async fn nobody_forges_who_created_a_token_or_what_the_system_says_of_it() {
    let (scene, ann, _) = two().await;
    let marks = json!({
        "labels": {"mine": "1", "mycattle.io/a": "2", "authn.management.cattle.io/kubeconfig-id": "kubeconfig-other",
            "authn.management.cattle.io/kind": "agent", "cattle.io/x": "3"},
        "annotations": {"note": "n", "field.cattle.io/creatorId": "user-bob", "authn.management.cattle.io/token-hashed": "true"},
    });
    let made = send(&scene, &ann, "POST", "/v3/tokens", marks.clone()).await;
    assert_eq!((made.status, &made.body["creatorId"]), (201, &Tree::Null));
    let path = format!("/v3/tokens/{}", made.body["id"].as_str().unwrap());
    let owner = ("authn.management.cattle.io/token-userId", "user-ann");
    let changed = send(&scene, &ann, "PUT", &path, marks).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    let got = send(&scene, &ann, "GET", &path, Tree::Null).await;
    assert_eq!(got.body["labels"], json!({"mine": "1", "mycattle.io/a": "2", owner.0: owner.1}));
    assert_eq!((&got.body["annotations"], &got.body["creatorId"]), (&json!({"note": "n"}), &Tree::Null));
    let fewer = send(&scene, &ann, "PUT", &path, json!({"labels": {}, "annotations": {}})).await;
    assert_eq!(fewer.body["labels"], json!({owner.0: owner.1}), "what is not the system's can be removed");
}

#[tokio::test]
async fn logout_is_found_whatever_the_case_of_the_collection() {
    for path in ["/v3/Tokens?action=logout", "/v3/TOKENS/?action=logoutAll", "/v3/tokens?action=logout"] {
        let (scene, ann, _) = two().await;
        let out = send(&scene, &ann, "POST", path, Tree::Null).await;
        assert_eq!((out.status, &out.body), (200, &Tree::Null), "{path}");
        assert_eq!(send(&scene, &ann, "GET", "/v3/tokens", Tree::Null).await.status, 401, "{path}");
        let nobody = scene.send("POST", path, &[], "").await;
        assert_eq!(
            (nobody.status, nobody.error().2),
            (401, "No valid token cookie or auth header"),
            "{path}"
        );
    }
    let (scene, ann, _) = two().await;
    assert!(send(&scene, &ann, "POST", "/v3/users?action=logout", Tree::Null).await.status >= 400);
    assert_eq!(send(&scene, &ann, "GET", "/v3/tokens?action=logout", Tree::Null).await.status, 200);
}
