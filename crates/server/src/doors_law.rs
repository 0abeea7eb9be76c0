//! The law of the doors: whatever is done with settings, features, users and tokens, in whichever order and through whichever door, no token outlives the rules,
//! and both doors say the same of every record.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use eartag_apiserver::kind::{Cx, Kind};
use eartag_apiserver::ops::{Change, DeleteOptions};
use eartag_apiserver::refusal::Refusal;
use eartag_apiserver::user::MASTERS;
use eartag_apiserver::{Map, Tree};
use eartag_core::Face;
use eartag_core::verifier::{Place, Presented, Verdict};
use proptest::prelude::*;
use secrecy::ExposeSecret;
use serde_json::json;

use crate::authn::TOKEN_ID;
use crate::authn::testing::{PASSWORD, Scene, hash};

/// A door, where an object can be reached by both.
#[derive(Debug, Clone, Copy)]
enum Door {
    Kubectl,
    V3,
}

/// One thing that somebody does. `which` picks one of the tokens so far.
#[derive(Debug, Clone)]
enum Step {
    Set { door: Door, setting: &'static str, value: &'static str },
    Switch { door: Door, feature: &'static str, on: bool },
    Enable { door: Door, user: &'static str, on: bool },
    LogIn,
    CreateKey { by: &'static str, door: Door, ttl: i64 },
    CreateExt { by: &'static str, ttl: i64 },
    CreateSystem { kind: &'static str, ttl: i64 },
    SetTtl { door: Door, by: &'static str, which: usize, ttl: i64 },
    SetEnabled { door: Door, by: &'static str, which: usize, on: bool },
    Delete { door: Door, by: &'static str, which: usize },
    Wait { ms: u64 },
}

const ANN: &str = "user-ann";
const ROOT: &str = "user-root";

fn door() -> impl Strategy<Value = Door> {
    prop_oneof![Just(Door::Kubectl), Just(Door::V3)]
}

fn person() -> impl Strategy<Value = &'static str> {
    prop_oneof![3 => Just(ANN), 1 => Just(ROOT)]
}

fn ttl() -> impl Strategy<Value = i64> {
    prop_oneof![
        Just(0),
        Just(-1),
        Just(i64::MAX),
        Just(60_000),
        Just(600_000),
        Just(7_200_000),
        1_i64..20_000_000
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let limits =
        prop_oneof![Just("0"), Just("1"), Just("1.5"), Just("60"), Just("129600"), Just("x"), Just("-1")];
    let setting = prop_oneof![Just("auth-token-max-ttl-minutes"), Just("auth-user-session-ttl-minutes")];
    let feature = prop_oneof![Just("token-hashing"), Just("ext-tokens")];
    let kind = prop_oneof![Just("agent"), Just("compose"), Just("kubectl-shell")];
    let wait = prop_oneof![Just(1_u64), Just(59_999), Just(60_000), Just(3_600_000), 1_u64..10_000_000];
    prop_oneof![
        3 => (door(), setting, limits).prop_map(|(door, setting, value)| Step::Set { door, setting, value }),
        1 => (door(), feature, any::<bool>()).prop_map(|(door, feature, on)| Step::Switch { door, feature, on }),
        2 => (door(), Just(ANN), any::<bool>()).prop_map(|(door, user, on)| Step::Enable { door, user, on }),
        1 => Just(Step::LogIn),
        4 => (person(), door(), ttl()).prop_map(|(by, door, ttl)| Step::CreateKey { by, door, ttl }),
        3 => (person(), ttl()).prop_map(|(by, ttl)| Step::CreateExt { by, ttl }),
        2 => (kind, ttl()).prop_map(|(kind, ttl)| Step::CreateSystem { kind, ttl }),
        6 => (door(), person(), any::<usize>(), ttl())
            .prop_map(|(door, by, which, ttl)| Step::SetTtl { door, by, which, ttl }),
        3 => (door(), person(), any::<usize>(), any::<bool>())
            .prop_map(|(door, by, which, on)| Step::SetEnabled { door, by, which, on }),
        1 => (door(), person(), any::<usize>()).prop_map(|(door, by, which)| Step::Delete { door, by, which }),
        3 => wait.prop_map(|ms| Step::Wait { ms }),
    ]
}

/// A token that was made.
struct Token {
    face: Face,
    name: String,
    bearer: String,
    session: bool,
    /// As last seen; `None` once it is gone.
    seen: Option<Seen>,
}

/// What all doors must agree about.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    owner: String,
    /// Milliseconds; `None` is never.
    ttl: Option<u64>,
    enabled: bool,
    expired: bool,
    expires_at: String,
    created: String,
    description: String,
}

struct House {
    scene: Scene,
    /// Sessions of Ann and the administrator that no step touches, with which they act.
    sessions: BTreeMap<&'static str, (String, String)>,
    tokens: Vec<Token>,
}

impl House {
    async fn new() -> House {
        let scene = Scene::new().await;
        let mut sessions = BTreeMap::new();
        for (user, name, role) in [(ANN, "ann", "user"), (ROOT, "root", "admin")] {
            let owner = scene.user(user, name, Some(hash()), role).await;
            let session = scene.token(&owner, true, "").await;
            sessions.insert(user, (session.name.clone(), session.bearer.expose().to_owned()));
        }
        House { scene, sessions, tokens: Vec::new() }
    }

    fn now_ms(&self) -> u64 {
        self.scene.world.0.load(Ordering::Relaxed)
    }

    /// The session that somebody acts with; a fresh one when the last has run out.
    async fn session(&mut self, user: &'static str) -> (String, String) {
        let (name, bearer) = self.sessions[user].clone();
        if self.is_good(&bearer) {
            return (name, bearer);
        }
        let owner = self.scene.state.store.get(eartag_core::collections::USERS, user.as_bytes()).unwrap();
        let fresh = self.scene.token(&owner, true, "").await;
        let fresh = (fresh.name.clone(), fresh.bearer.expose().to_owned());
        self.sessions.insert(user, fresh.clone());
        fresh
    }

    fn is_good(&self, bearer: &str) -> bool {
        let presented = Presented::parse(bearer).unwrap();
        let verdict = self.scene.state.tables.verifier.check(&presented, Place::Global, self.now_ms());
        matches!(verdict, Verdict::Good(_))
    }

    fn max_ttl(&self) -> Option<u64> {
        self.scene.state.tables.settings.snapshot().max_ttl
    }

    fn kind(&self, face: Face) -> Arc<dyn Kind> {
        match face {
            Face::Ext => self.scene.state.kinds.tokens.clone(),
            Face::Legacy => self.scene.state.kinds.legacy_tokens.clone(),
        }
    }

    fn cx(&self, user: &str, token: &str) -> Cx {
        let mut cx = self.scene.cx(user);
        cx.user.extra.insert(TOKEN_ID.to_owned(), vec![token.to_owned()]);
        cx
    }

    fn operator(&self) -> Cx {
        let mut cx = self.scene.cx("system:admin");
        cx.user.groups.push(MASTERS.to_owned());
        cx
    }

    /// A change of an object that both doors serve, by the administrator.
    async fn change(
        &mut self,
        door: Door,
        kind: &Arc<dyn Kind>,
        plural: &str,
        name: &str,
        kube: Tree,
        v3: Tree,
    ) {
        match door {
            Door::Kubectl => {
                let cx = self.cx(ROOT, "");
                let _ = self.scene.state.api.update(&**kind, &cx, name, &Change::Merge(kube)).await;
            }
            Door::V3 => {
                let (_, bearer) = self.session(ROOT).await;
                let bearer = format!("Bearer {bearer}");
                let path = format!("/v3/{plural}/{name}");
                let answer =
                    self.scene.send("PUT", &path, &[("authorization", &bearer)], &v3.to_string()).await;
                assert!(
                    matches!(answer.status, 200 | 400 | 422),
                    "{path}: {} {}",
                    answer.status,
                    answer.body
                );
            }
        }
    }

    async fn take(&mut self, step: &Step) {
        let kinds = self.scene.state.kinds.clone();
        match *step {
            Step::Set { door, setting, value } => {
                let body = json!({"value": value});
                self.change(door, &kinds.settings, "settings", setting, body.clone(), body).await;
            }
            Step::Switch { door, feature, on } => {
                let kube = json!({"spec": {"value": on}});
                self.change(door, &kinds.features, "features", feature, kube, json!({"value": on})).await;
            }
            Step::Enable { door, user, on } => {
                let body = json!({"enabled": on});
                self.change(door, &kinds.users, "users", user, body.clone(), body).await;
            }
            Step::LogIn => {
                let body = json!({"type": "localProvider", "username": "ann", "password": PASSWORD, "responseType": "json"});
                let answer = self.scene.send("POST", "/v1-public/login", &[], &body.to_string()).await;
                if answer.status == 201 {
                    let bearer = answer.body["token"].as_str().unwrap().to_owned();
                    self.made(Face::Legacy, bearer, true);
                }
            }
            Step::CreateKey { by, door, ttl } => {
                let (session, bearer) = self.session(by).await;
                let (before, count) = (self.max_ttl(), self.tokens.len());
                match door {
                    Door::V3 => {
                        let bearer = format!("Bearer {bearer}");
                        let body = json!({"ttl": ttl}).to_string();
                        let answer =
                            self.scene.send("POST", "/v3/tokens", &[("authorization", &bearer)], &body).await;
                        if answer.status == 201 {
                            let bearer = answer.body["token"].as_str().unwrap().to_owned();
                            self.made(Face::Legacy, bearer, false);
                        }
                    }
                    Door::Kubectl => {
                        let cx = self.cx(by, &session);
                        let object =
                            json!({"apiVersion": "management.cattle.io/v3", "kind": "Token", "ttl": ttl});
                        if let Ok(made) =
                            self.scene.state.api.create(&*self.kind(Face::Legacy), &cx, object).await
                        {
                            let bearer = made.once.unwrap().fields[0].1.expose_secret().to_owned();
                            self.made(Face::Legacy, bearer, false);
                        }
                    }
                }
                if self.tokens.len() > count {
                    self.new_one_is_within(before);
                }
            }
            Step::CreateExt { by, ttl } => {
                let (session, _) = self.session(by).await;
                let (before, count) = (self.max_ttl(), self.tokens.len());
                let cx = self.cx(by, &session);
                let object = json!({"apiVersion": "ext.cattle.io/v1", "kind": "Token", "spec": {"ttl": ttl}});
                if let Ok(made) = self.scene.state.api.create(&*self.kind(Face::Ext), &cx, object).await {
                    let bearer = made.once.unwrap().fields[1].1.expose_secret().to_owned();
                    self.made(Face::Ext, bearer, false);
                }
                if self.tokens.len() > count {
                    self.new_one_is_within(before);
                }
            }
            Step::CreateSystem { kind, ttl } => {
                let object = json!({
                    "apiVersion": "management.cattle.io/v3", "kind": "Token", "ttl": ttl, "userId": ANN,
                    "metadata": {"labels": {"authn.management.cattle.io/kind": kind}},
                });
                let made =
                    self.scene.state.api.create(&*self.kind(Face::Legacy), &self.operator(), object).await;
                if let Ok(made) = made {
                    let bearer = made.once.unwrap().fields[0].1.expose_secret().to_owned();
                    self.made(Face::Legacy, bearer, false);
                }
            }
            Step::SetTtl { door, by, which, ttl } => {
                self.change_token(door, by, which, &json!({"ttl": ttl})).await;
            }
            Step::SetEnabled { door, by, which, on } => {
                self.change_token(door, by, which, &json!({"enabled": on})).await;
            }
            Step::Delete { door, by, which } => self.delete_token(door, by, which).await,
            Step::Wait { ms } => {
                self.scene.world.0.fetch_add(ms, Ordering::Relaxed);
            }
        }
    }

    fn made(&mut self, face: Face, bearer: String, session: bool) {
        let name = bearer.strip_prefix("ext/").unwrap_or(&bearer).split(':').next().unwrap().to_owned();
        let seen = self.look(face, &name);
        self.tokens.push(Token { face, name, bearer, session, seen });
    }

    fn new_one_is_within(&self, max: Option<u64>) {
        let seen = self.tokens.last().and_then(|token| token.seen.as_ref()).unwrap();
        if let Some(max) = max {
            assert!(seen.ttl.is_some_and(|ttl| ttl <= max), "{seen:?} beyond {max}");
        }
    }

    async fn change_token(&mut self, door: Door, by: &'static str, which: usize, change: &Tree) {
        let Some(at) = which.checked_rem(self.tokens.len()) else { return };
        let (session, bearer) = self.session(by).await;
        let (face, name) = (self.tokens[at].face, self.tokens[at].name.clone());
        let before = self.tokens[at].seen.clone();
        match (door, face) {
            (Door::V3, Face::Legacy) => {
                let bearer = format!("Bearer {bearer}");
                let path = format!("/v3/tokens/{name}");
                self.scene.send("PUT", &path, &[("authorization", &bearer)], &change.to_string()).await;
            }
            _ => {
                let patch = if face == Face::Ext { json!({"spec": change}) } else { change.clone() };
                let cx = self.cx(by, &session);
                let _ =
                    self.scene.state.api.update(&*self.kind(face), &cx, &name, &Change::Merge(patch)).await;
            }
        }
        let after = self.look(face, &name);
        if let (Some(before), Some(after)) = (&before, &after) {
            let longer = |a: Option<u64>, b: Option<u64>| match (a, b) {
                (_, None) => false,
                (None, Some(_)) => true,
                (Some(a), Some(b)) => a > b,
            };
            let bound = match self.max_ttl() {
                // The maximum is not for sessions.
                _ if self.tokens[at].session => None,
                max => max,
            };
            if longer(after.ttl, before.ttl) {
                assert_eq!(by, ROOT, "only administrators may extend: {before:?} {after:?}");
                assert!(!longer(after.ttl, bound), "{after:?} beyond {bound:?}");
                assert!(!before.expired, "an expired token is final");
            }
            if by == ANN && before.owner != ANN {
                assert_eq!(before, after, "somebody else's token");
            }
        }
        self.tokens[at].seen = after;
    }

    async fn delete_token(&mut self, door: Door, by: &'static str, which: usize) {
        let Some(at) = which.checked_rem(self.tokens.len()) else { return };
        let (session, bearer) = self.session(by).await;
        let (face, name) = (self.tokens[at].face, self.tokens[at].name.clone());
        match (door, face) {
            (Door::V3, Face::Legacy) => {
                let bearer = format!("Bearer {bearer}");
                self.scene
                    .send("DELETE", &format!("/v3/tokens/{name}"), &[("authorization", &bearer)], "")
                    .await;
            }
            _ => {
                let cx = self.cx(by, &session);
                let options = DeleteOptions::default();
                let _ = self.scene.state.api.delete(&*self.kind(face), &cx, &name, &options).await;
            }
        }
        if by == ANN && self.tokens[at].seen.as_ref().is_some_and(|seen| seen.owner != ANN) {
            assert!(self.look(face, &name).is_some(), "somebody else's token");
        }
        self.tokens[at].seen = self.look(face, &name);
    }

    /// What the Kubernetes door shows of a token.
    fn look(&self, face: Face, name: &str) -> Option<Seen> {
        let kind = self.kind(face);
        let found =
            futures_util::FutureExt::now_or_never(self.scene.state.api.get(&*kind, &self.operator(), name));
        let object = match found.expect("memory does not wait") {
            Ok(object) => object,
            Err(Refusal::NotFound) => return None,
            Err(other) => panic!("{other:?}"),
        };
        let empty = Tree::Object(Map::new());
        let (spec, status) = match face {
            Face::Ext => (&object["spec"], &object["status"]),
            Face::Legacy => (&object, &object),
        };
        let status = if status.is_null() { &empty } else { status };
        let owner = if face == Face::Ext { &spec["userID"] } else { &spec["userId"] };
        Some(Seen {
            owner: owner.as_str().unwrap().to_owned(),
            ttl: u64::try_from(spec["ttl"].as_i64().unwrap())
                .ok()
                .filter(|ttl| face == Face::Ext || *ttl != 0),
            enabled: spec["enabled"].as_bool().unwrap(),
            expired: status["expired"].as_bool().unwrap_or(false),
            expires_at: status["expiresAt"].as_str().unwrap_or_default().to_owned(),
            created: object["metadata"]["creationTimestamp"].as_str().unwrap().to_owned(),
            description: spec["description"].as_str().unwrap_or_default().to_owned(),
        })
    }

    /// What `/v3` shows of it.
    async fn look_by_v3(&mut self, name: &str) -> Option<Seen> {
        let (_, bearer) = self.session(ROOT).await;
        let bearer = format!("Bearer {bearer}");
        let answer =
            self.scene.send("GET", &format!("/v3/tokens/{name}"), &[("authorization", &bearer)], "").await;
        if answer.status == 404 {
            return None;
        }
        assert_eq!(answer.status, 200, "{}", answer.body);
        let text = |member: &str| answer.body[member].as_str().unwrap().to_owned();
        let flag = |member: &str| answer.body[member].as_bool().unwrap();
        Some(Seen {
            owner: text("userId"),
            ttl: answer.body["ttl"].as_u64().filter(|ttl| *ttl != 0),
            enabled: flag("enabled"),
            expired: flag("expired"),
            expires_at: text("expiresAt"),
            created: text("created"),
            description: text("description"),
        })
    }

    /// The law, after every step.
    async fn holds(&mut self) {
        for at in 0..self.tokens.len() {
            let (face, name, bearer) =
                (self.tokens[at].face, self.tokens[at].name.clone(), self.tokens[at].bearer.clone());
            let now = self.look(face, &name);
            let by_v3 = self.look_by_v3(&name).await;
            match face {
                Face::Legacy => assert_eq!(now, by_v3, "{name}"),
                Face::Ext => assert_eq!(by_v3, None, "each face at its own doors"),
            }
            let good = now.as_ref().is_some_and(|seen| seen.enabled && !seen.expired);
            assert_eq!(self.is_good(&bearer), good, "{name} {now:?}");
            if let (Some(before), Some(now)) = (&self.tokens[at].seen, &now) {
                assert_eq!(
                    (before.ttl, &before.created),
                    (now.ttl, &now.created),
                    "nothing else moves a ttl"
                );
                assert!(!before.expired || now.expired, "expired is final");
                if let Some(ttl) = now.ttl {
                    let created_ms =
                        eartag_core::time::millis(eartag_core::time::parse_rfc3339(&now.created).unwrap());
                    let over = created_ms.saturating_add(ttl) <= self.now_ms();
                    assert_eq!(now.expired, over, "{now:?} at {}", self.now_ms());
                }
            }
            self.tokens[at].seen = now;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, max_shrink_iters: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_token_outlives_the_rules_and_both_doors_agree(steps in proptest::collection::vec(step(), 1..24)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut house = House::new().await;
            let mut hashing = false;
            for step in &steps {
                house.take(step).await;
                house.holds().await;
                let on = house.scene.state.tables.features.enabled(eartag_core::features::Feature::TokenHashing);
                assert!(on || !hashing, "hashing stays on");
                hashing = on;
            }
        });
    }
}
