//! What happens while a kubeconfig is being made.

use eartag_apiserver::kind::Sequel;

use super::*;

const NAME: &str = "kubeconfig-abcde";

/// A request that makes a kubeconfig, cut in two where the library commits.
struct Making {
    cx: Cx,
    sequel: Box<dyn Sequel>,
}

async fn begin(scene: &Scene, kind: &Kubeconfigs, of: &Person, clusters: &[&str]) -> Making {
    let mut cx = scene.cx(of.name);
    let named = of.bearer.trim_start_matches("Bearer ").split(':').next().unwrap().to_owned();
    cx.user.extra.insert("requesttokenid".into(), vec![named]);
    cx.user.extra.insert("requesthost".into(), vec!["a.example".into()]);
    let mut meta = Meta { uid: Uid::from_random([6; 16]), created_s: cx.now_s(), ..Meta::default() };
    let asked = json!({"spec": {"clusters": clusters}});
    let draft = kind.admit(NAME, &asked, &mut meta, &cx).await.map_err(|r| format!("{r:?}")).unwrap();
    assert!(draft.once.is_none(), "nothing is shown before all is done");
    let value = frame::frame(&draft.body, &meta);
    let put = Op::Put { collection: KUBECONFIGS, key: NAME.into(), value };
    let ops = std::iter::once(put).chain(draft.also).collect();
    let commit = Commit { ops, conditions: draft.conditions, ..Commit::default() };
    scene.state.store.commit(commit).await.unwrap();
    assert_eq!(progress(scene), Some((KubeconfigSummary::Pending, 1)));
    Making { cx, sequel: draft.sequel.unwrap() }
}

impl Making {
    async fn go_on(self) -> Result<(), Refusal> {
        self.sequel.run(&self.cx).await.map(drop)
    }
}

fn kind(scene: &Scene) -> Kubeconfigs {
    Kubeconfigs::new(scene.state.tables.clone(), scene.state.store.clone(), None).unwrap()
}

fn record(scene: &Scene) -> Option<KubeconfigRecord> {
    let entry = scene.state.store.get(KUBECONFIGS, NAME.as_bytes())?;
    KubeconfigRecord::decode(frame::split(entry.value()).unwrap().0)
}

fn progress(scene: &Scene) -> Option<(KubeconfigSummary, usize)> {
    record(scene).map(|record| (record.summary, record.tokens.len()))
}

#[tokio::test]
async fn what_fails_midway_names_the_tokens_that_were_made() {
    let scene = Scene::new().await;
    clusters(&scene).await;
    let ann = person(&scene, "user-ann", "user", &["c-2", "c-3"]).await;
    let making = begin(&scene, &kind(&scene), &ann, &["c-2", "c-3"]).await;
    delete_entry(&scene, USERS, ann.name).await;
    assert_eq!(
        making.go_on().await,
        Err(Refusal::Internal(
            "error creating kubeconfig token for cluster c-2: the user was deleted meanwhile".into()
        ))
    );
    assert_eq!(progress(&scene), Some((KubeconfigSummary::Error, 1)));
    let shown: Vec<String> = conditions(&record(&scene).unwrap()).into_iter().map(|c| c.kind).collect();
    assert_eq!(shown, ["TokenCreated", "FailedToCreateToken"]);
    assert_eq!(stored(&scene, EXT_TOKENS), 1, "the one that it names");
}

#[tokio::test]
async fn a_deletion_stops_the_making_if_its_preconditions_hold_and_it_is_no_dry_run() {
    let scene = Scene::new().await;
    clusters(&scene).await;
    let ann = person(&scene, "user-ann", "user", &["c-2", "c-3"]).await;
    let making = begin(&scene, &kind(&scene), &ann, &["c-2", "c-3"]).await;
    let path = format!("{PATH}/{NAME}");
    let seen = ann.send(&scene, "GET", &path, &Tree::Null).await.body;
    let at = |version: &str| json!({"preconditions": {"resourceVersion": version}});

    assert_eq!(ann.send(&scene, "DELETE", &path, &at("1")).await.status, 409);
    let dry = ann.send(&scene, "DELETE", &format!("{path}?dryRun=All"), &Tree::Null).await;
    assert_eq!((dry.status, progress(&scene)), (200, Some((KubeconfigSummary::Pending, 1))));
    assert_eq!(stored(&scene, EXT_TOKENS), 1);

    let version = at(seen["metadata"]["resourceVersion"].as_str().unwrap());
    let deleted = ann.send(&scene, "DELETE", &path, &version).await;
    assert_eq!(deleted.status, 200, "the version is that before the deletion's own change: {}", deleted.body);
    assert_eq!(making.go_on().await, Err(Refusal::Conflict(make::DELETED.into())));
    assert_eq!((stored(&scene, KUBECONFIGS), stored(&scene, EXT_TOKENS)), (0, 0));
}

#[tokio::test]
async fn a_kubeconfig_that_finalizers_hold_says_that_its_making_was_stopped() {
    let scene = Scene::new().await;
    clusters(&scene).await;
    let ann = person(&scene, "user-ann", "user", &["c-2", "c-3"]).await;
    let making = begin(&scene, &kind(&scene), &ann, &["c-2", "c-3"]).await;
    let path = format!("{PATH}/{NAME}");
    let hold = json!({"metadata": {"finalizers": ["example.org/hold"]}});
    assert_eq!(ann.send(&scene, "PATCH", &path, &hold).await.status, 200);
    assert_eq!(ann.send(&scene, "DELETE", &path, &Tree::Null).await.status, 200);
    assert_eq!(making.go_on().await, Err(Refusal::Conflict(make::DELETED.into())));
    let seen = ann.send(&scene, "GET", &path, &Tree::Null).await.body;
    assert!(seen["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(seen["status"]["summary"], "Error");
    assert_eq!(seen["status"]["conditions"][1]["message"], make::DELETED);
    assert_eq!(stored(&scene, EXT_TOKENS), 0);
}

#[tokio::test]
async fn two_makings_at_the_same_time_share_one_quota() {
    let scene = Scene::new().await;
    clusters(&scene).await;
    let ann = person(&scene, "user-ann", "user", &["c-2", "c-3"]).await;
    let mut kind = kind(&scene);
    // Her own token, and the three of the kubeconfig.
    kind.ground.most = 4;
    let making = begin(&scene, &kind, &ann, &["c-2", "c-3"]).await;
    let other = json!({"metadata": {}, "spec": {}});
    for _ in 0..2 {
        let token = ann.send(&scene, "POST", "/apis/ext.cattle.io/v1/tokens", &other).await;
        assert_eq!(token.status, 201);
    }
    let Err(Refusal::Forbidden(why)) = making.go_on().await else { panic!("it took more than there was") };
    assert!(why.starts_with("exceeded quota: tokens-of-one-user"), "{why}");
    assert_eq!(progress(&scene), Some((KubeconfigSummary::Error, 1)));
}
