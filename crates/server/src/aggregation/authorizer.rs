//! The cluster decides who may do what: `SubjectAccessReview` (kubernetes-api.md §6.4, DEC13).
//!
//! ```text
//! system:masters ─→ yes
//! the aggregator, for documents ─→ yes (A25)
//! question ─ decided within the last 10 s? ─→ that
//!          └ being asked already? ─→ wait for that answer
//!          └ else one question to the cluster: five attempts, 10 s together ─→ answer, or an error, which never allows
//! ```

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use eartag_apiserver::user::{Attributes, Authorizer, Decision, GrantedRule, MASTERS, UserInfo};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{Semaphore, watch};

use super::cluster::{Cluster, Failure};
use super::decisions::{Decisions, Key};
use super::review::Question;

/// From the question to the answer, all attempts together.
const LONGEST: Duration = Duration::from_secs(10);
/// Attempts, and the wait before the second; each further wait is half as long again.
const ATTEMPTS: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Questions on their way at once; others wait their turn.
const MOST_ON_THEIR_WAY: usize = 200;
/// Questions that are asked or wait; more are refused.
const MOST_ASKED: usize = 2000;
/// Longer questions (in bytes) are asked each time: somebody with hundreds of groups must not crowd out the others.
const LONGEST_KEPT: usize = 10_000;
/// What lasts (watches, long lists) asks again this often, in milliseconds: nobody tells us when rights change in the cluster.
const ASK_AGAIN_MS: u64 = 60_000;
/// The aggregator reads our documents under these names, without any group.
const AGGREGATORS: [&str; 2] = ["system:kube-aggregator", "system:aggregator"];

/// Asks the cluster.
#[derive(Clone)]
pub struct ClusterAuthorizer(Arc<Inner>);

struct Inner {
    cluster: Arc<dyn Cluster>,
    /// Milliseconds that never run back.
    now_ms: fn() -> u64,
    memory: Mutex<Memory>,
    turns: Semaphore,
}

#[derive(Default)]
struct Memory {
    decided: Decisions,
    asked: HashMap<Key, watch::Receiver<Option<Decision>>>,
}

impl ClusterAuthorizer {
    /// An authorizer that asks this cluster.
    #[must_use]
    pub fn new(cluster: Arc<dyn Cluster>, now_ms: fn() -> u64) -> ClusterAuthorizer {
        let turns = Semaphore::new(MOST_ON_THEIR_WAY);
        ClusterAuthorizer(Arc::new(Inner { cluster, now_ms, memory: Mutex::default(), turns }))
    }

    /// The answer to come: of a question that is on its way already, or of a new one.
    fn ask(
        &self,
        key: Key,
        question: Value,
        keep: bool,
    ) -> Result<watch::Receiver<Option<Decision>>, Decision> {
        let mut memory = self.0.memory.lock();
        if let Some(decision) = memory.decided.get(&key, (self.0.now_ms)()) {
            return Err(decision);
        }
        if let Some(asked) = memory.asked.get(&key) {
            return Ok(asked.clone());
        }
        if memory.asked.len() >= MOST_ASKED {
            return Err(Decision::Error("too many questions wait for the cluster's answer".to_owned()));
        }
        let (tell, answer) = watch::channel(None);
        memory.asked.insert(key, answer.clone());
        drop(memory);
        // On its own: who asked first may go away, and others wait for the answer too.
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move {
            let decision = inner.find_out(&key, &question).await;
            let mut memory = inner.memory.lock();
            memory.asked.remove(&key);
            if keep {
                memory.decided.put(key, &decision, (inner.now_ms)());
            }
            drop(memory);
            tell.send_replace(Some(decision));
        });
        Ok(answer)
    }
}

impl Inner {
    async fn find_out(&self, key: &Key, question: &Value) -> Decision {
        let mut last = Failure { why: "it did not answer in time".to_owned(), passing: true };
        let attempts = async {
            let Ok(_turn) = self.turns.acquire().await else { return None };
            let mut wait = FIRST_WAIT;
            for attempt in 1..=ATTEMPTS {
                match self.cluster.review(question).await {
                    Ok(answer) => return Some(answer.decision()),
                    Err(failure) => {
                        tracing::debug!(attempt, why = %failure.why, "a review failed");
                        let over = !failure.passing;
                        last = failure;
                        if over {
                            break;
                        }
                    }
                }
                // Up to a fifth longer, so that questions that failed together do not come back together.
                let jitter = key.first().map_or(0, |byte| u32::from(*byte));
                tokio::time::sleep(wait + wait * jitter / (5 * 255)).await;
                wait = wait * 3 / 2;
            }
            None
        };
        match tokio::time::timeout(LONGEST, attempts).await {
            Ok(Some(decision)) => decision,
            Ok(None) | Err(_) => Decision::Error(format!("the cluster's API server was asked: {}", last.why)),
        }
    }
}

#[async_trait]
impl Authorizer for ClusterAuthorizer {
    async fn authorize(&self, user: &UserInfo, wants: &Attributes) -> Decision {
        if user.in_group(MASTERS) || aggregator_reads(user, wants) {
            return Decision::Allow;
        }
        let Ok(question) = serde_json::to_value(Question::new(user, wants)) else {
            return Decision::Error("the question cannot be written".to_owned());
        };
        let text = question.to_string();
        let mut key = Key::default();
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
        key.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
        let mut answer = match self.ask(key, question, text.len() <= LONGEST_KEPT) {
            Ok(answer) => answer,
            Err(decision) => return decision,
        };
        match answer.wait_for(Option::is_some).await {
            Ok(decision) => decision.clone(),
            Err(_) => None,
        }
        .unwrap_or_else(|| {
            self.0.memory.lock().asked.remove(&key);
            Decision::Error("the question was given up".to_owned())
        })
    }

    fn generation(&self) -> u64 {
        (self.0.now_ms)() / ASK_AGAIN_MS
    }

    /// Nobody can be asked for them: the cluster answers its users' `SelfSubjectRulesReview` itself.
    async fn rules(&self, _: &UserInfo) -> Vec<GrantedRule> {
        Vec::new()
    }
}

/// Discovery and OpenAPI, which hold nothing of anybody's. The cluster would allow it by `system:discovery`; but it asks while it starts itself, and if this
/// fails, namespaces cannot be deleted in the whole cluster (D50).
fn aggregator_reads(user: &UserInfo, wants: &Attributes) -> bool {
    let documents = |path: &str| {
        ["/apis", "/openapi"]
            .iter()
            .any(|root| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    };
    wants.verb == "get"
        && wants.path.as_deref().is_some_and(documents)
        && AGGREGATORS.contains(&user.name.as_str())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use std::collections::VecDeque;
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

    use serde_json::json;

    use super::super::review::Answer;
    use super::super::trust::ConfigMap;
    use super::*;

    /// Answers what it was told to, one after the other, and the last for ever.
    #[derive(Default)]
    struct Told {
        answers: Mutex<VecDeque<Result<Value, bool>>>,
        asked: AtomicUsize,
        slow: bool,
    }

    #[async_trait]
    impl Cluster for Told {
        async fn review(&self, _: &Value) -> Result<Answer, Failure> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            if self.slow {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            let mut answers = self.answers.lock();
            let next = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
            match next.unwrap() {
                Ok(status) => Ok(serde_json::from_value(json!({ "status": status })).unwrap()),
                Err(passing) => Err(Failure { why: "it refuses connections".into(), passing }),
            }
        }
        async fn trust(&self) -> Result<ConfigMap, Failure> {
            panic!()
        }
        async fn trust_changed(&self, _: &str) -> Result<(), Failure> {
            panic!()
        }
    }

    fn told(answers: &[Result<Value, bool>]) -> Arc<Told> {
        Arc::new(Told { answers: Mutex::new(answers.iter().cloned().collect()), ..Told::default() })
    }

    fn fixed() -> u64 {
        1000
    }

    fn user(name: &str, groups: &[&str]) -> UserInfo {
        let groups = groups.iter().map(|g| (*g).to_owned()).collect();
        UserInfo { name: name.into(), groups, ..UserInfo::default() }
    }

    fn list() -> Attributes {
        Attributes::resource("list", "ext.cattle.io", "tokens", "")
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_question_is_asked_once_in_ten_seconds() {
        static NOW: AtomicU64 = AtomicU64::new(0);
        let cluster = told(&[Ok(json!({"allowed": true})), Ok(json!({"allowed": false, "reason": "over"}))]);
        let authorizer = ClusterAuthorizer::new(cluster.clone(), || NOW.load(Ordering::Relaxed));
        let ann = user("ann", &[]);
        for _ in 0..3 {
            assert_eq!(authorizer.authorize(&ann, &list()).await, Decision::Allow);
        }
        assert_eq!(cluster.asked.load(Ordering::Relaxed), 1);
        NOW.store(10_000, Ordering::Relaxed);
        assert_eq!(authorizer.authorize(&ann, &list()).await, Decision::Deny("over".into()));
        // Another verb, group, or extra is another question.
        authorizer.authorize(&ann, &Attributes::resource("get", "ext.cattle.io", "tokens", "")).await;
        authorizer.authorize(&user("ann", &["dev"]), &list()).await;
        let with_extra = UserInfo { extra: [("a".to_owned(), vec!["b".to_owned()])].into(), ..ann };
        authorizer.authorize(&with_extra, &list()).await;
        assert_eq!(cluster.asked.load(Ordering::Relaxed), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn equal_questions_at_once_are_one_also_when_the_first_asker_leaves() {
        let cluster = Arc::new(Told {
            answers: Mutex::new([Ok(json!({"allowed": true}))].into()),
            slow: true,
            ..Told::default()
        });
        let authorizer = ClusterAuthorizer::new(cluster.clone(), fixed);
        let ann = user("ann", &[]);
        let wants = list();
        let impatient = tokio::time::timeout(Duration::from_millis(10), authorizer.authorize(&ann, &wants));
        assert!(impatient.await.is_err());
        let (a, b) = tokio::join!(authorizer.authorize(&ann, &wants), authorizer.authorize(&ann, &wants));
        assert_eq!((a, b), (Decision::Allow, Decision::Allow));
        assert_eq!(cluster.asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_passing_failure_is_tried_again_and_a_lasting_one_is_an_error_that_allows_nothing() {
        let cluster = told(&[Err(true), Err(true), Ok(json!({"allowed": true}))]);
        let authorizer = ClusterAuthorizer::new(cluster, fixed);
        assert_eq!(authorizer.authorize(&user("ann", &[]), &list()).await, Decision::Allow);

        for (passing, attempts) in [(true, 5), (false, 1)] {
            let cluster = told(&[Err(passing)]);
            let authorizer = ClusterAuthorizer::new(cluster.clone(), fixed);
            let began = tokio::time::Instant::now();
            let decision = authorizer.authorize(&user("ann", &[]), &list()).await;
            let Decision::Error(why) = &decision else { panic!("{decision:?}") };
            assert!(why.ends_with("it refuses connections"), "{why}");
            assert!(began.elapsed() <= LONGEST);
            assert_eq!(cluster.asked.load(Ordering::Relaxed), attempts);
            // It is not remembered.
            authorizer.authorize(&user("ann", &[]), &list()).await;
            assert_eq!(cluster.asked.load(Ordering::Relaxed), 2 * attempts);
            assert!(authorizer.full_access(&user("bob", &[]), "list", "ext.cattle.io").await.is_err());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_cluster_that_says_nothing_is_waited_for_ten_seconds() {
        struct Silent;
        #[async_trait]
        impl Cluster for Silent {
            async fn review(&self, _: &Value) -> Result<Answer, Failure> {
                std::future::pending().await
            }
            async fn trust(&self) -> Result<ConfigMap, Failure> {
                panic!()
            }
            async fn trust_changed(&self, _: &str) -> Result<(), Failure> {
                panic!()
            }
        }
        let authorizer = ClusterAuthorizer::new(Arc::new(Silent), fixed);
        let began = tokio::time::Instant::now();
        assert!(matches!(authorizer.authorize(&user("ann", &[]), &list()).await, Decision::Error(_)));
        assert_eq!(began.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn masters_and_the_aggregators_reading_need_no_question() {
        let cluster = told(&[Ok(json!({"allowed": false}))]);
        let authorizer = ClusterAuthorizer::new(cluster.clone(), fixed);
        assert!(authorizer.authorize(&user("admin", &["system:masters"]), &list()).await.allowed());
        assert!(
            authorizer
                .full_access(&user("admin", &["system:masters"]), "list", "ext.cattle.io")
                .await
                .unwrap()
        );
        for name in AGGREGATORS {
            for path in
                ["/apis", "/apis/ext.cattle.io/v1", "/openapi/v2", "/openapi/v3/apis/ext.cattle.io/v1"]
            {
                assert!(
                    authorizer.authorize(&user(name, &[]), &Attributes::path("get", path)).await.allowed()
                );
            }
        }
        assert_eq!(cluster.asked.load(Ordering::Relaxed), 0);
        for (name, wants) in [
            (AGGREGATORS[0], Attributes::path("post", "/apis")),
            (AGGREGATORS[0], Attributes::path("get", "/apisx")),
            (AGGREGATORS[0], list()),
            ("ann", Attributes::path("get", "/apis")),
        ] {
            assert!(!authorizer.authorize(&user(name, &[]), &wants).await.allowed(), "{name} {wants:?}");
        }
        assert_eq!(cluster.asked.load(Ordering::Relaxed), 4);
    }
}
