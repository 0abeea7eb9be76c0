//! How kubeconfigs and their tokens end.

use super::*;

#[tokio::test]
async fn deleting_revokes_at_once_also_what_finalizers_hold() {
    let scene = Scene::new().await;
    let ann = person(&scene, "user-ann", "user", &[]).await;
    let (made, name) = ann.made(&scene, json!({})).await;
    let [bearer] = bearers(&file(&made)).try_into().unwrap();
    let [token] = tokens(&made).try_into().unwrap();
    let path = format!("{PATH}/{name}");
    let uid = json!({"preconditions": {"uid": "00000000-0000-4000-8000-000000000000"}});
    let refused = ann.send(&scene, "DELETE", &path, &uid).await;
    assert_eq!(refused.status, 409);
    let dry = ann.send(&scene, "DELETE", &format!("{path}?dryRun=All"), &Tree::Null).await;
    assert_eq!((dry.status, is_good(&scene, &bearer, Place::Global)), (200, true));
    let hold = json!({"metadata": {"finalizers": ["example.org/hold"]}});
    assert_eq!(ann.send(&scene, "PATCH", &path, &hold).await.status, 200);
    let token_path = format!("/apis/ext.cattle.io/v1/tokens/{token}");
    assert_eq!(ann.send(&scene, "PATCH", &token_path, &hold).await.status, 200);
    let deleted = ann.send(&scene, "DELETE", &path, &Tree::Null).await;
    assert_eq!((deleted.status, is_good(&scene, &bearer, Place::Global)), (200, false));
    let seen = ann.send(&scene, "GET", &path, &Tree::Null).await.body;
    assert!(seen["metadata"]["deletionTimestamp"].is_string());
    let free = json!({"metadata": {"finalizers": null}});
    assert_eq!(ann.send(&scene, "PATCH", &path, &free).await.status, 200);
    assert_eq!(ann.send(&scene, "GET", &path, &Tree::Null).await.status, 404);
}

#[tokio::test]
async fn a_later_token_of_the_same_name_is_somebody_elses() {
    let scene = Scene::new().await;
    let ann = person(&scene, "user-ann", "user", &[]).await;
    let (made, name) = ann.made(&scene, json!({})).await;
    let [token] = tokens(&made).try_into().unwrap();
    let entry = scene.state.store.get(EXT_TOKENS, token.as_bytes()).unwrap();
    let (body, _) = frame::split(entry.value()).unwrap();
    let meta = Meta { uid: Uid::from_random([8; 16]), ..frame::meta(entry.value()).unwrap() };
    let later =
        Op::Put { collection: EXT_TOKENS, key: token.clone().into(), value: frame::frame(body, &meta) };
    scene.state.store.commit(Commit { ops: vec![later], ..Commit::default() }).await.unwrap();
    assert_eq!(ann.send(&scene, "DELETE", &format!("{PATH}/{name}"), &Tree::Null).await.status, 200);
    assert_eq!(stored(&scene, EXT_TOKENS), 1);
}

#[tokio::test]
async fn a_kubeconfig_goes_with_the_last_of_its_tokens_and_with_its_user() {
    let scene = Scene::new().await;
    clusters(&scene).await;
    let ann = person(&scene, "user-ann", "user", &["c-2"]).await;
    let (made, name) = ann.made(&scene, json!({"clusters": ["c-2"]})).await;
    let (_, kept) = ann.made(&scene, json!({})).await;
    let (sweeper, _trigger) = crate::sweeper::tests::sweeper(&scene);
    let path = format!("{PATH}/{name}");
    let mut watch = sweeper.watch_tokens().ok().unwrap();
    for (at, token) in tokens(&made).iter().enumerate() {
        assert_eq!(ann.send(&scene, "GET", &path, &Tree::Null).await.status, 200, "{at}");
        let token = format!("/apis/ext.cattle.io/v1/tokens/{token}");
        assert_eq!(ann.send(&scene, "DELETE", &token, &Tree::Null).await.status, 200);
        assert!(sweeper.after_token(&watch.next().await.unwrap()).await.is_ok());
    }
    assert_eq!(ann.send(&scene, "GET", &path, &Tree::Null).await.status, 404);
    assert!(scene.uid(KUBECONFIGS, &kept).is_some());
    delete_entry(&scene, USERS, "user-ann").await;
    assert!(sweeper.orphans().await.is_ok());
    assert_eq!((stored(&scene, KUBECONFIGS), stored(&scene, EXT_TOKENS)), (0, 0));
}

#[tokio::test]
async fn a_making_that_was_cut_off_is_said_to_have_failed() {
    let scene = Scene::new().await;
    let ann = person(&scene, "user-ann", "user", &[]).await;
    let (_, name) = ann.made(&scene, json!({})).await;
    let entry = scene.state.store.get(KUBECONFIGS, name.as_bytes()).unwrap();
    let record = KubeconfigRecord::decode(frame::split(entry.value()).unwrap().0).unwrap();
    let old = Meta { created_s: 1_700_000_000, ..frame::meta(entry.value()).unwrap() };
    let pending = KubeconfigRecord { summary: KubeconfigSummary::Pending, ..record };
    let put = Op::Put {
        collection: KUBECONFIGS,
        key: name.clone().into(),
        value: frame::frame(&pending.encode(), &old),
    };
    scene.state.store.commit(Commit { ops: vec![put], ..Commit::default() }).await.unwrap();
    let (sweeper, _trigger) = crate::sweeper::tests::sweeper(&scene);
    assert!(sweeper.cut_off_kubeconfigs().await.is_ok());
    let seen = ann.send(&scene, "GET", &format!("{PATH}/{name}"), &Tree::Null).await.body;
    assert_eq!(seen["status"]["summary"], "Error");
    assert_eq!(seen["status"]["conditions"][0]["type"], "FailedToGenerate", "it replaces the list");
    assert_eq!(tokens(&seen).len(), 1);
}

#[tokio::test]
async fn a_deletion_succeeds_also_when_the_sweeper_takes_the_record_first() {
    let scene = Scene::new().await;
    let ann = person(&scene, "user-ann", "user", &["local"]).await;
    let (sweeper, _trigger) = crate::sweeper::tests::sweeper(&scene);
    let sweeping = tokio::spawn(sweeper.run());
    let mut names = Vec::new();
    for _ in 0..20 {
        names.push(ann.made(&scene, json!({})).await.1);
    }
    let last = names.split_off(10);
    for name in &names {
        let deleted = ann.send(&scene, "DELETE", &format!("{PATH}/{name}"), &Tree::Null).await;
        assert_eq!(deleted.status, 200, "{}", deleted.body);
    }
    let many = ann.send(&scene, "DELETE", PATH, &Tree::Null).await.body;
    assert_eq!(many["items"].as_array().unwrap().len(), last.len());
    assert_eq!((stored(&scene, EXT_TOKENS), stored(&scene, KUBECONFIGS)), (0, 0));
    sweeping.abort();
}
