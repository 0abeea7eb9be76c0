//! What happens while a kubeconfig is being made.

use eartag_apiserver::kind::Sequel;

use super::*;
use crate::resources::tokens::Tokens;

const NAME: &str = "kubeconfig-abcde";

/// A request that makes a kubeconfig, cut in two where the library commits.
struct Making {
    cx: Cx,
    sequel: Box<dyn Sequel>,
}

async fn begin(scene: &Scene, kind: &Kubeconfigs, of: &Person, clusters: &[&str]) -> Making {
    let cx = cx(scene, of);
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

fn cx(scene: &Scene, of: &Person) -> Cx {
    let mut cx = scene.cx(of.name);
    let named = of.bearer.trim_start_matches("Bearer ").split(':').next().unwrap().to_owned();
    cx.user.extra.insert("requesttokenid".into(), vec![named]);
    cx.user.extra.insert("requesthost".into(), vec!["a.example".into()]);
    cx
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
async fn what_is_being_made_leaves_others_no_more_than_the_rest_of_the_quota() {
    let scene = Scene::new().await;
    clusters(&scene).await;
    let ann = person(&scene, "user-ann", "user", &["c-2", "c-3"]).await;
    let mut kind = kind(&scene);
    // Her own token, the three of the kubeconfig, and one.
    kind.ground.most = 5;
    let making = begin(&scene, &kind, &ann, &["c-2", "c-3"]).await;
    let mut tokens = Tokens::new(scene.state.tables.clone(), scene.state.store.clone()).unwrap();
    tokens.ground.most = 5;
    let create = async || {
        let asked = json!({"apiVersion": "ext.cattle.io/v1", "kind": "Token", "spec": {}});
        scene.state.api.create(&tokens, &cx(&scene, &ann), asked).await.map(drop)
    };
    assert_eq!(create().await, Ok(()));
    let Err(Refusal::Forbidden(why)) = create().await else { panic!("one more than there is room") };
    assert!(why.starts_with("exceeded quota: tokens-of-one-user") && why.contains("=5, limited"), "{why}");
    assert_eq!(making.go_on().await, Ok(()));
    assert_eq!(progress(&scene), Some((KubeconfigSummary::Complete, 3)));
    assert!(create().await.is_err(), "now they are stored");
    delete_entry(&scene, EXT_TOKENS, &record(&scene).unwrap().tokens[2].name).await;
    assert_eq!(create().await, Ok(()), "and nothing else is held");
}
