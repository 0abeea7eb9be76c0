//! Lists of `/v3` from request to answer: all of them, pages of them, in any order and form.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::io::Read as _;
use std::sync::Arc;

use eartag_apiserver::Tree;
use eartag_core::collections::{GLOBAL_ROLE_BINDINGS, USERS};
use eartag_storage::{Commit, Op};
use http::Response;
use http_body_util::BodyExt;
use serde_json::json;

use super::handle;
use crate::authn::testing::{Scene, request, system_admin};
use crate::listener::Body;

/// The operator, and so many users; every third one is disabled.
async fn crowd(count: usize) -> Scene {
    let mut scene = Scene::new().await;
    scene.peer = system_admin();
    for n in 0..count {
        let name = format!("user-{n:05}");
        scene.user(&name, &format!("n{}", count - n), None, "").await;
        if n % 3 == 0 {
            scene.enable(&name, false).await;
        }
    }
    scene
}

async fn raw(scene: &Scene, path: &str, headers: &[(&str, &str)]) -> Response<Body> {
    handle(&scene.state, request("GET", path, headers, ""), &scene.peer).await
}

fn ids(list: &Tree) -> Vec<String> {
    list["data"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

/// All pages from this one on.
async fn pages(scene: &Scene, first: &str) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    let mut path = first.to_owned();
    loop {
        let page = scene.send("GET", &path, &[], "").await;
        assert_eq!(page.status, 200, "{}", page.body);
        all.push(ids(&page.body));
        match page.body["pagination"]["next"].as_str() {
            Some(next) => path = next.strip_prefix("https://a.example").unwrap().to_owned(),
            None => return all,
        }
    }
}

#[tokio::test]
async fn without_a_limit_everything_is_there() {
    let scene = crowd(1203).await;
    for query in ["", "?limit=-1", "?order=desc", "?sort=username"] {
        let list = scene.send("GET", &format!("/v3/users{query}"), &[], "").await;
        let unique: BTreeSet<String> = ids(&list.body).into_iter().collect();
        assert_eq!((ids(&list.body).len(), unique.len()), (1203, 1203), "{query}");
        assert_eq!(list.body["pagination"]["total"], 1203, "{query}");
        assert_eq!(list.body["pagination"].get("next"), None);
        assert_eq!((&list.body["type"], &list.body["resourceType"]), (&json!("collection"), &json!("user")));
    }
}

#[tokio::test]
async fn pages_show_each_item_once_whatever_the_order_and_what_others_delete_meanwhile() {
    let scene = crowd(25).await;
    for query in
        ["", "&order=desc", "&sort=enabled", "&sort=username&order=desc", "&sort=created&enabled=true"]
    {
        let all = pages(&scene, &format!("/v3/users?limit=4{query}")).await;
        let flat: Vec<String> = all.concat();
        let whole = scene.send("GET", &format!("/v3/users?limit=-1{query}"), &[], "").await;
        assert_eq!(flat, ids(&whole.body), "{query}");
        assert!(all.iter().all(|page| page.len() <= 4));
    }
    let first = scene.send("GET", "/v3/users?limit=4&sort=username", &[], "").await;
    let next = first.body["pagination"]["next"].as_str().unwrap().strip_prefix("https://a.example").unwrap();
    assert_eq!(first.body["pagination"]["partial"], true);
    let last = ids(&first.body).pop().unwrap();
    assert_eq!(scene.send("DELETE", &format!("/v3/users/{last}"), &[], "").await.status, 200);
    let rest = pages(&scene, next).await.concat();
    assert_eq!(rest.len(), 21);
    assert!(rest.iter().all(|id| !ids(&first.body).contains(id)));
    let second = scene.send("GET", next, &[], "").await;
    let back =
        second.body["pagination"]["first"].as_str().unwrap().strip_prefix("https://a.example").unwrap();
    assert_eq!(ids(&scene.send("GET", back, &[], "").await.body).len(), 4);
}

#[tokio::test]
async fn switches_and_numbers_sort_by_value() {
    let scene = crowd(12).await;
    let sorted = scene.send("GET", "/v3/users?sort=enabled", &[], "").await;
    let on: Vec<bool> = sorted.body["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| user["enabled"].as_bool().unwrap())
        .collect();
    assert_eq!(on.iter().filter(|on| !**on).count(), 4);
    assert!(on.is_sorted());
    assert_eq!(
        (&sorted.body["sort"]["name"], &sorted.body["sort"]["order"]),
        (&json!("enabled"), &json!("asc"))
    );
}

#[tokio::test]
async fn filters_act_on_whole_lists_and_pages() {
    let scene = crowd(30).await;
    let off = scene.send("GET", "/v3/users?enabled=false", &[], "").await;
    assert_eq!(ids(&off.body).len(), 10);
    assert_eq!(off.body["filters"]["enabled"], json!([{"modifier": "eq", "value": "false"}]));
    assert_eq!(ids(&scene.send("GET", "/v3/users?enabled_ne=false", &[], "").await.body).len(), 20);
    let some = scene.send("GET", "/v3/users?username_in=n1&username_in=n2", &[], "").await;
    assert_eq!(ids(&some.body), ["user-00028", "user-00029"]);
    assert_eq!(pages(&scene, "/v3/users?enabled=false&limit=4").await.concat().len(), 10);
    assert_eq!(ids(&scene.send("GET", "/v3/users?username=nobody", &[], "").await.body).len(), 0);
}

#[tokio::test]
async fn a_marker_that_names_nothing_is_refused_where_its_place_is_not_known() {
    let scene = crowd(3).await;
    let gone = scene.send("GET", "/v3/users?sort=username&marker=absent", &[], "").await;
    assert_eq!((gone.error().1, &gone.body["fieldName"]), ("InvalidOption", &json!("marker")));
    let by_id = scene.send("GET", "/v3/users?sort=username&marker=user-00001", &[], "").await;
    assert_eq!(ids(&by_id.body), ["user-00000"]);
    assert_eq!(ids(&scene.send("GET", "/v3/users?marker=user-00001x", &[], "").await.body), ["user-00002"]);
}

#[tokio::test]
async fn a_list_is_the_same_in_yaml_and_compressed() {
    let scene = crowd(700).await;
    let json = scene.send("GET", "/v3/users", &[], "").await.body;
    let yaml = raw(&scene, "/v3/users", &[("accept", "application/yaml")]).await;
    assert_eq!(yaml.headers()["content-type"], "application/yaml");
    let bytes = yaml.into_body().collect().await.unwrap().to_bytes();
    let limits = eartag_apiserver::decode::Limits::default();
    assert_eq!(eartag_apiserver::decode::from_yaml(&bytes, limits).unwrap().tree, json);

    let packed = raw(&scene, "/v3/users", &[("accept-encoding", "gzip")]).await;
    assert_eq!(packed.headers()["content-encoding"], "gzip");
    assert_eq!(packed.headers()["x-api-schemas"], "https://a.example/v3/schemas");
    let bytes = packed.into_body().collect().await.unwrap().to_bytes();
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut text).unwrap();
    assert_eq!(serde_json::from_slice::<Tree>(&text).unwrap(), json);
}

#[tokio::test]
async fn an_empty_list_in_yaml_is_one_too() {
    let scene = crowd(0).await;
    let yaml = raw(&scene, "/v3/users?_format=yaml", &[]).await;
    let bytes = yaml.into_body().collect().await.unwrap().to_bytes();
    let tree = eartag_apiserver::decode::from_yaml(&bytes, Default::default()).unwrap().tree;
    assert_eq!((&tree["data"], &tree["type"]), (&json!([]), &json!("collection")));
}

#[tokio::test]
async fn errors_and_items_come_in_yaml_too() {
    let scene = crowd(1).await;
    for (path, member, value) in
        [("/v3/users/user-00000", "id", json!("user-00000")), ("/v3/users/absent", "status", json!(404))]
    {
        let answer = raw(&scene, path, &[("accept", "application/yaml")]).await;
        assert_eq!(answer.headers()["content-type"], "application/yaml");
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        let tree = eartag_apiserver::decode::from_yaml(&bytes, Default::default()).unwrap().tree;
        assert_eq!(tree[member], value);
    }
}

#[tokio::test]
async fn a_list_stops_when_its_reader_is_no_longer_let_in() {
    let mut scene = crowd(2600).await;
    let root = scene.user("user-root", "root", None, "admin").await;
    let bearer = format!("Bearer {}", scene.token(&root, true, "").await.bearer.expose());
    scene.peer = crate::authn::testing::peer("9.9.9.9");
    let headers = [("authorization", bearer.as_str())];
    let mut body = raw(&scene, "/v3/users", &headers).await.into_body();
    assert!(body.frame().await.unwrap().is_ok());
    scene.enable("user-root", false).await;
    let mut cut = false;
    while let Some(frame) = body.frame().await {
        cut |= frame.is_err();
    }
    assert!(cut, "the rest was sent");
}

#[tokio::test]
async fn a_list_stops_when_its_reader_loses_the_right_to_see_so_much() {
    for path in ["/v3/users", "/v3/tokens?userId=*"] {
        let mut scene = crowd(2600).await;
        let some = scene.state.store.get(USERS, b"user-00001").unwrap();
        for _ in 0..1600 {
            scene.token(&some, false, "").await;
        }
        let root = scene.user("user-root", "root", None, "admin").await;
        let bearer = format!("Bearer {}", scene.token(&root, true, "").await.bearer.expose());
        scene.peer = crate::authn::testing::peer("9.9.9.9");
        let mut body = raw(&scene, path, &[("authorization", bearer.as_str())]).await.into_body();
        assert!(body.frame().await.unwrap().is_ok());
        let op = Op::Delete { collection: GLOBAL_ROLE_BINDINGS, key: b"grb-user-root".to_vec() };
        scene.state.store.commit(Commit { ops: vec![op], ..Commit::default() }).await.unwrap();
        let mut cut = false;
        while let Some(frame) = body.frame().await {
            cut |= frame.is_err();
        }
        assert!(cut, "{path}: the rest was sent");
    }
}

#[tokio::test]
async fn a_list_goes_on_after_its_snapshot_is_gone() {
    let scene = crowd(2600).await;
    let mut body = raw(&scene, "/v3/users", &[]).await.into_body();
    let mut bytes = body.frame().await.unwrap().unwrap().into_data().unwrap().to_vec();
    scene.state.store.compact(scene.state.store.revision()).await.unwrap();
    scene.user("user-99999", "late", None, "").await;
    scene.state.store.compact(scene.state.store.revision()).await.unwrap();
    while let Some(frame) = body.frame().await {
        bytes.extend_from_slice(&frame.unwrap().into_data().unwrap());
    }
    let list: Tree = serde_json::from_slice(&bytes).unwrap();
    let unique: BTreeSet<String> = ids(&list).into_iter().collect();
    assert_eq!((ids(&list).len(), unique.len()), (unique.len(), unique.len()));
    assert!(unique.len() >= 2600);
}

#[tokio::test]
async fn action_links_are_renamed_in_lists_too() {
    let scene = crowd(2).await;
    let list = scene.send("GET", "/v3/users", &[("x-api-action-links", "1")], "").await;
    assert!(list.body.get("actions").is_none() && list.body.get("actionLinks").is_some());
    assert!(list.body["data"][0].get("actionLinks").is_some());
}

#[tokio::test]
async fn a_head_request_is_answered_without_a_body() {
    let scene = crowd(3).await;
    let answer = handle(&scene.state, request("HEAD", "/v3/users", &[], ""), &scene.peer).await;
    assert_eq!(answer.status(), 200);
    assert!(answer.into_body().collect().await.unwrap().to_bytes().is_empty());
}

#[tokio::test]
async fn a_page_takes_a_few_items_and_a_form_one() {
    let scene = crowd(120).await;
    let door = async |path: &str| {
        let (parts, ()) = request("GET", path, &[], "").map(|_| ()).into_parts();
        let query = eartag_apiserver::http::query::Query::parse(parts.uri.query().unwrap_or_default());
        let address = crate::authn::public_address(&scene.state, &parts, &scene.peer);
        let body = http_body_util::Empty::<bytes::Bytes>::new();
        let answered =
            super::dispatch::answer(&scene.state, &parts, &query, body, &scene.peer, &address).await;
        assert_eq!(answered.about.unwrap().id, "user");
        assert!(Arc::strong_count(answered.door.as_ref().unwrap()) > 1);
        match answered.answer {
            super::dispatch::Answer::List(list) => list.whole().await.unwrap(),
            super::dispatch::Answer::Reply(reply) => panic!("{reply:?}"),
        }
    };
    let page = door("/v3/users?_format=html").await;
    assert_eq!((ids(&page).len(), &page["pagination"]["partial"]), (100, &json!(true)));
    let form = door("/v3/users?_format=html&_view=action&name=changepassword").await;
    assert_eq!(ids(&form).len(), 1);
}
