//! Random sequences of operations through the door, against a map; with watches that are cut after every event and resumed.

use std::collections::BTreeMap;
use std::sync::Arc;

use eartag_apiserver::Tree;
use proptest::prelude::*;
use serde_json::json;

use crate::support::{BASE, Server, server, version};

/// What a client may do. Names are few, so that operations meet.
#[derive(Clone, Debug)]
enum Step {
    Create { name: u8, spec: Spec, finalizer: bool },
    Put { name: u8, spec: Spec, stale: bool },
    Merge { name: u8, size: i64, versioned: Option<bool> },
    Json { name: u8, test: i64, size: i64 },
    Label { name: u8, value: Option<u8> },
    Release { name: u8 },
    Delete { name: u8, wrong_uid: bool, dry_run: bool },
    DeleteMany { label: u8, limit: u8 },
    List { limit: u8 },
}

#[derive(Clone, Debug, PartialEq)]
struct Spec {
    size: i64,
    colour: u8,
}

fn spec() -> impl Strategy<Value = Spec> {
    (-1..4i64, 0..3u8).prop_map(|(size, colour)| Spec { size, colour })
}

fn step() -> impl Strategy<Value = Step> {
    let name = || 0..4u8;
    prop_oneof![
        4 => (name(), spec(), prop::bool::weighted(0.2)).prop_map(|(name, spec, finalizer)| Step::Create { name, spec, finalizer }),
        3 => (name(), spec(), prop::bool::weighted(0.2)).prop_map(|(name, spec, stale)| Step::Put { name, spec, stale }),
        2 => (name(), -1..4i64, prop::option::of(any::<bool>())).prop_map(|(name, size, versioned)| Step::Merge { name, size, versioned }),
        2 => (name(), 0..3i64, 0..4i64).prop_map(|(name, test, size)| Step::Json { name, test, size }),
        3 => (name(), prop::option::of(0..3u8)).prop_map(|(name, value)| Step::Label { name, value }),
        1 => name().prop_map(|name| Step::Release { name }),
        3 => (name(), prop::bool::weighted(0.2), prop::bool::weighted(0.2)).prop_map(|(name, wrong_uid, dry_run)| Step::Delete { name, wrong_uid, dry_run }),
        1 => (0..3u8, 0..3u8).prop_map(|(label, limit)| Step::DeleteMany { label, limit }),
        2 => (1..4u8).prop_map(|limit| Step::List { limit }),
    ]
}

/// What the model knows of an object.
#[derive(Clone, Debug, PartialEq)]
struct Known {
    spec: Spec,
    label: Option<u8>,
    finalizer: bool,
    leaving: bool,
    generation: i64,
    version: String,
    uid: Tree,
}

const COLOURS: [&str; 3] = ["", "red", "blue"];

fn body(name: &str, spec: &Spec) -> Tree {
    json!({"metadata": {"name": name}, "spec": {"size": spec.size, "colour": COLOURS[usize::from(spec.colour)]}})
}

fn name_of(n: u8) -> String {
    ["a", "a-b", "b", "c"][usize::from(n)].to_owned()
}

#[derive(Default)]
struct Model {
    objects: BTreeMap<String, Known>,
}

impl Model {
    /// Does a step on both sides and compares the answers.
    async fn run(&mut self, server: &Arc<Server>, step: &Step) {
        match step {
            Step::Create { name, spec, finalizer } => {
                let name = name_of(*name);
                let mut sent = body(&name, spec);
                if *finalizer {
                    sent["metadata"]["finalizers"] = json!(["example.org/hold"]);
                }
                let reply = server.post(BASE, &sent).send().await;
                let expected = if spec.size < 0 {
                    422
                } else if self.objects.contains_key(&name) {
                    409
                } else {
                    201
                };
                assert_eq!(reply.code, expected, "{}", reply.text());
                if expected == 201 {
                    let made = reply.json();
                    let known = Known {
                        spec: spec.clone(),
                        label: None,
                        finalizer: *finalizer,
                        leaving: false,
                        generation: 1,
                        version: version(&made),
                        uid: made["metadata"]["uid"].clone(),
                    };
                    self.objects.insert(name, known);
                }
            }
            Step::Put { name, spec, stale } => {
                let name = name_of(*name);
                let mut sent = body(&name, spec);
                if let Some(known) = self.objects.get(&name) {
                    let at = if *stale { "1" } else { &known.version };
                    sent["metadata"]["resourceVersion"] = at.into();
                    sent["metadata"]["labels"] = labels(known.label);
                    if known.finalizer {
                        sent["metadata"]["finalizers"] = json!(["example.org/hold"]);
                    }
                }
                let new = spec.clone();
                self.write(server.put(format!("{BASE}/{name}"), &sent), &name, *stale, spec.size < 0, |k| {
                    k.spec = new
                })
                .await;
            }
            Step::Merge { name, size, versioned } => {
                let name = name_of(*name);
                let mut patch = json!({"spec": {"size": size}});
                let stale = *versioned == Some(false);
                if let (Some(fresh), Some(known)) = (versioned, self.objects.get(&name)) {
                    let at = if *fresh { known.version.as_str() } else { "1" };
                    patch["metadata"] = json!({"resourceVersion": at});
                }
                let ask = server.patch(format!("{BASE}/{name}"), "merge", &patch);
                self.write(ask, &name, stale, *size < 0, |k| k.spec.size = *size).await;
            }
            Step::Json { name, test, size } => {
                let name = name_of(*name);
                let patch = json!([
                    {"op": "test", "path": "/spec/size", "value": test},
                    {"op": "replace", "path": "/spec/size", "value": size},
                ]);
                let fails = self.objects.get(&name).is_some_and(|k| k.spec.size != *test);
                let ask = server.patch(format!("{BASE}/{name}"), "json", &patch);
                self.write(ask, &name, false, fails, |k| k.spec.size = *size).await;
            }
            Step::Label { name, value } => {
                let name = name_of(*name);
                let patch = json!({"metadata": {"labels": {"l": value.map(|v| v.to_string())}}});
                let ask = server.patch(format!("{BASE}/{name}"), "strategic-merge", &patch);
                self.write(ask, &name, false, false, |k| k.label = *value).await;
            }
            Step::Release { name } => {
                let name = name_of(*name);
                let ask = server.patch(
                    format!("{BASE}/{name}"),
                    "merge",
                    &json!({"metadata": {"finalizers": null}}),
                );
                self.write(ask, &name, false, false, |k| k.finalizer = false).await;
                if self.objects.get(&name).is_some_and(|k| k.leaving && !k.finalizer) {
                    self.objects.remove(&name);
                }
            }
            Step::Delete { name, wrong_uid, dry_run } => {
                let name = name_of(*name);
                let options = json!({"preconditions": {"uid": if *wrong_uid { json!("other") } else { Tree::Null }}, "dryRun": if *dry_run { json!(["All"]) } else { json!([]) }});
                let reply = server.delete(format!("{BASE}/{name}")).json(&options).send().await;
                let expected = match self.objects.get(&name) {
                    None => 404,
                    Some(_) if *wrong_uid => 409,
                    Some(_) => 200,
                };
                assert_eq!(reply.code, expected, "{}", reply.text());
                if expected == 200 && !dry_run {
                    self.remove(server, &name).await;
                }
            }
            Step::DeleteMany { label, limit } => {
                let uri = format!("{BASE}?labelSelector=l%3D{label}&limit={limit}");
                let list = server.delete(uri).expect(200).await;
                let most = if *limit == 0 { usize::MAX } else { usize::from(*limit) };
                let expected: Vec<String> = self
                    .objects
                    .iter()
                    .filter(|(_, k)| k.label == Some(*label))
                    .map(|(name, _)| name.clone())
                    .take(most)
                    .collect();
                assert_eq!(crate::support::names(&list), expected);
                for name in expected {
                    self.remove(server, &name).await;
                }
            }
            Step::List { limit } => {
                let (mut seen, mut resume) = (Vec::new(), String::new());
                loop {
                    let list =
                        server.get(format!("{BASE}?limit={limit}&continue={resume}")).expect(200).await;
                    seen.extend(list["items"].as_array().unwrap().iter().cloned());
                    resume = list["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
                    if resume.is_empty() {
                        break;
                    }
                }
                self.compare(&seen);
            }
        }
    }

    /// A change of one object: refused where it must be, and a no-op where nothing differs.
    async fn write(
        &mut self,
        ask: crate::support::Ask,
        name: &str,
        stale: bool,
        invalid: bool,
        change: impl FnOnce(&mut Known),
    ) {
        let reply = ask.send().await;
        let Some(known) = self.objects.get_mut(name) else {
            assert_eq!(reply.code, 404, "{}", reply.text());
            return;
        };
        if stale || invalid {
            assert!(reply.code == 409 && stale || reply.code == 422 && invalid, "{}", reply.text());
            return;
        }
        assert_eq!(reply.code, 200, "{}", reply.text());
        let before = known.clone();
        change(known);
        let shown = reply.json();
        if *known == before {
            assert_eq!(version(&shown), before.version, "a write that changes nothing moves nothing");
        } else {
            assert_ne!(version(&shown), before.version);
        }
        known.generation += i64::from(known.spec != before.spec);
        known.version = version(&shown);
    }

    async fn remove(&mut self, server: &Arc<Server>, name: &str) {
        let known = self.objects.get_mut(name).unwrap();
        if !known.finalizer {
            self.objects.remove(name);
        } else {
            known.generation += i64::from(!known.leaving);
            known.leaving = true;
            known.version = version(&server.now(name).await);
        }
    }

    /// What the server shows is what the model knows.
    fn compare(&self, shown: &[Tree]) {
        let shown: BTreeMap<String, Known> =
            shown.iter().map(|o| (o["metadata"]["name"].as_str().unwrap().to_owned(), seen(o))).collect();
        assert_eq!(shown, self.objects);
    }
}

fn labels(label: Option<u8>) -> Tree {
    match label {
        Some(value) => json!({"made-by": "admin", "l": value.to_string()}),
        None => json!({"made-by": "admin"}),
    }
}

fn seen(object: &Tree) -> Known {
    let metadata = &object["metadata"];
    let colour = object["spec"].get("colour").and_then(Tree::as_str).unwrap_or_default();
    Known {
        spec: Spec {
            size: object["spec"]["size"].as_i64().unwrap(),
            colour: u8::try_from(COLOURS.iter().position(|c| *c == colour).unwrap()).unwrap(),
        },
        label: metadata["labels"].get("l").and_then(Tree::as_str).map(|text| text.parse().unwrap()),
        finalizer: metadata.get("finalizers").is_some(),
        leaving: metadata.get("deletionTimestamp").is_some(),
        generation: metadata["generation"].as_i64().unwrap(),
        version: version(object),
        uid: metadata["uid"].clone(),
    }
}

/// A client that keeps a copy by watching, and reconnects after every single event.
struct Follower {
    query: &'static str,
    at: String,
    copy: BTreeMap<String, Tree>,
}

impl Follower {
    /// Follows until the store's newest revision is reached, which a bookmark tells. Nothing is written meanwhile, so that time may jump.
    async fn catch_up(&mut self, server: &Arc<Server>) {
        let goal: u64 = server.revision().parse().unwrap();
        tokio::time::pause();
        while self.at.parse::<u64>().unwrap() < goal {
            let uri = format!(
                "{BASE}?watch=1&resourceVersion={}&allowWatchBookmarks=true&timeoutSeconds=10{}",
                self.at, self.query
            );
            let mut events = server.get(uri).events().await;
            let event = events.next().await.expect("a bookmark at least");
            let (kind, object) = (event["type"].as_str().unwrap().to_owned(), event["object"].clone());
            assert!(version(&object).parse::<u64>().unwrap() >= self.at.parse().unwrap());
            let known = self.copy.keys().cloned().collect::<Vec<_>>();
            let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            match kind.as_str() {
                "BOOKMARK" => {}
                "ADDED" => assert_eq!(self.copy.insert(name, object.clone()), None, "{known:?}"),
                "MODIFIED" => assert!(self.copy.insert(name, object.clone()).is_some(), "{known:?}"),
                "DELETED" => assert!(self.copy.remove(&name).is_some(), "{known:?}"),
                other => panic!("{other}: {object}"),
            }
            self.at = version(&object);
        }
        tokio::time::resume();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_server_does_what_a_map_would(steps in prop::collection::vec(step(), 1..50), pause in 1..6usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = server().await;
            let start = server.revision();
            let mut model = Model::default();
            let mut followers = ["", "&labelSelector=l%3D1", "&fieldSelector=spec.colour%3Dred"]
                .map(|query| Follower { query, at: start.clone(), copy: BTreeMap::new() });
            for (n, step) in steps.iter().enumerate() {
                model.run(&server, step).await;
                if n % pause == 0 || n + 1 == steps.len() {
                    for follower in &mut followers {
                        follower.catch_up(&server).await;
                        let uri = format!("{BASE}?{}", follower.query.trim_start_matches('&'));
                        let list = server.get(uri).expect(200).await;
                        let copy: Vec<Tree> = follower.copy.values().cloned().collect();
                        assert_eq!(list["items"], Tree::Array(copy), "a follower's copy is the list: {}", follower.query);
                    }
                }
            }
            model.compare(server.get(BASE).expect(200).await["items"].as_array().unwrap());
        });
    }
}
