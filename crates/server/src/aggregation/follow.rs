//! Keeps what a cluster publishes about itself up to date (kubernetes-api.md A20, A23).
//!
//! ```text
//! read ─→ taken, if it can be understood ─→ watch ─ an event, or two quiet minutes ─→ (1 s) ─→ read …
//!  └ no answer ─→ what was known goes on counting ─→ (1 s, 2 s, … 30 s) ─→ read …
//! ```
//!
//! The watch only says *when* to read, so nothing is lost with an event; without it (no right to watch) the configmap is read every 30 seconds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::RwLock;

use super::cluster::{Cluster, Failure};
use super::headers::HeaderNames;
use super::trust::{ConfigMap, Trust};
use crate::shutdown::Shutdown;
use crate::tls::{ClientAuthorities, ClusterAuthorities};

/// Between two readings at least.
const PAUSE: Duration = Duration::from_secs(1);
/// Between two readings without a watch, and the longest wait after a failure.
const POLL: Duration = Duration::from_secs(30);
/// Without news for this long, in milliseconds (5 minutes), health says so. News come every two minutes.
const STALE_MS: u64 = 300_000;

/// What is known of a cluster.
pub struct Known {
    authorities: Arc<ClientAuthorities>,
    headers: RwLock<Arc<HeaderNames>>,
    taken: RwLock<Option<Trust>>,
    /// When the configmap was last read and understood, in ms since boot, at least 1; 0: never.
    heard_ms: AtomicU64,
    now_ms: fn() -> u64,
}

impl Known {
    /// Nothing yet. What becomes known of the cluster's authorities is told to `authorities`.
    #[must_use]
    pub fn nothing(authorities: Arc<ClientAuthorities>, now_ms: fn() -> u64) -> Known {
        let headers = RwLock::default();
        Known { authorities, headers, taken: RwLock::default(), heard_ms: AtomicU64::new(0), now_ms }
    }

    /// In which headers a front proxy says whom it speaks for.
    #[must_use]
    pub fn headers(&self) -> Arc<HeaderNames> {
        Arc::clone(&self.headers.read())
    }

    /// For the health check.
    ///
    /// # Errors
    /// What is wrong, in words that the public may read.
    pub fn fresh(&self) -> Result<(), String> {
        let heard_ms = self.heard_ms.load(Ordering::Relaxed);
        if heard_ms == 0 {
            return Err("it is not known yet whom the cluster trusts".to_owned());
        }
        if (self.now_ms)().saturating_sub(heard_ms) > STALE_MS {
            return Err("nothing has been heard of whom the cluster trusts for five minutes".to_owned());
        }
        Ok(())
    }

    /// Takes over what a configmap says. One that cannot be understood changes nothing.
    pub(super) fn take(&self, map: &ConfigMap) {
        let trust = match Trust::of(map) {
            Ok(trust) => trust,
            Err(error) => {
                return tracing::error!(%error, "what was known of the cluster's trust goes on counting");
            }
        };
        if self.taken.read().as_ref() != Some(&trust) {
            let authorities =
                ClusterAuthorities::new(&trust.front_proxy, trust.allowed_names.clone(), &trust.clients);
            match authorities {
                Ok(authorities) => {
                    if !authorities.has_front_proxy() {
                        tracing::warn!(
                            "the cluster names no authority of its front proxy: nobody can come through it"
                        );
                    }
                    *self.headers.write() = Arc::new(trust.headers.clone());
                    self.authorities.set_cluster(authorities);
                    *self.taken.write() = Some(trust);
                    tracing::info!("the cluster's trust was taken over");
                }
                Err(error) => {
                    return tracing::error!(%error, "what was known of the cluster's trust goes on counting");
                }
            }
        }
        self.heard_ms.store((self.now_ms)().max(1), Ordering::Relaxed);
    }
}

/// Keeps it up to date until the shutdown.
pub async fn run(known: Arc<Known>, cluster: Arc<dyn Cluster>, shutdown: Shutdown) {
    let following = async {
        let mut wait = PAUSE;
        loop {
            let pause = match once(&known, &*cluster).await {
                Ok(pause) => {
                    wait = PAUSE;
                    pause
                }
                Err(failure) => {
                    tracing::warn!(why = %failure.why, "whom the cluster trusts cannot be read");
                    let pause = wait;
                    wait = (wait * 2).min(POLL);
                    pause
                }
            };
            tokio::time::sleep(pause).await;
        }
    };
    tokio::select! {
        () = following => {}
        () = shutdown.drained() => {}
    }
}

/// Reads, and waits for the next change. What to wait before reading again.
async fn once(known: &Known, cluster: &dyn Cluster) -> Result<Duration, Failure> {
    let map = cluster.trust().await?;
    known.take(&map);
    match cluster.trust_changed(&map.metadata.resource_version).await {
        Ok(()) => Ok(PAUSE),
        Err(failure) => {
            tracing::debug!(why = %failure.why, "the cluster's trust cannot be watched");
            Ok(POLL)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use async_trait::async_trait;
    use parking_lot::Mutex;
    use serde_json::Value;
    use tokio::sync::Notify;

    use super::super::review::Answer;
    use super::*;
    use crate::pki::Authority;
    use crate::tls::{Issuer, Presented};

    const NOW_S: i64 = 1_800_000_000;

    struct Published {
        map: Mutex<Result<ConfigMap, Failure>>,
        watchable: bool,
        changed: Notify,
        reads: AtomicU64,
    }

    #[async_trait]
    impl Cluster for Published {
        async fn review(&self, _: &Value) -> Result<Answer, Failure> {
            panic!()
        }
        async fn trust(&self) -> Result<ConfigMap, Failure> {
            self.reads.fetch_add(1, Ordering::Relaxed);
            self.map.lock().clone()
        }
        async fn trust_changed(&self, _: &str) -> Result<(), Failure> {
            if !self.watchable {
                return Err(Failure { why: "it answers 403".into(), passing: false });
            }
            let _ = tokio::time::timeout(Duration::from_secs(120), self.changed.notified()).await;
            Ok(())
        }
    }

    fn down() -> Failure {
        Failure { why: "it refuses connections".into(), passing: true }
    }

    fn signed_by(front_proxy: &Authority) -> ConfigMap {
        let pem = crate::pki::pem("CERTIFICATE", front_proxy.certificate()).to_string();
        let pairs = [
            ("requestheader-client-ca-file", pem.as_str()),
            ("requestheader-allowed-names", r#"["proxy"]"#),
            ("requestheader-username-headers", r#"["X-Remote-User"]"#),
        ];
        let data = pairs.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        ConfigMap { data, ..ConfigMap::default() }
    }

    struct Scene {
        known: Arc<Known>,
        authorities: Arc<ClientAuthorities>,
        cluster: Arc<Published>,
    }

    /// Starts to follow; the clock is tokio's.
    fn follow(map: Result<ConfigMap, Failure>, watchable: bool) -> Scene {
        thread_local!(static BEGAN: tokio::time::Instant = tokio::time::Instant::now());
        let now_ms: fn() -> u64 = || BEGAN.with(|began| began.elapsed().as_millis() as u64 + 1);
        now_ms();
        let ours = Authority::new("ours", NOW_S, [1; 16]).unwrap();
        let authorities = Arc::new(ClientAuthorities::new(&[ours.certificate().clone()]).unwrap());
        let known = Arc::new(Known::nothing(authorities.clone(), now_ms));
        let cluster = Arc::new(Published {
            map: Mutex::new(map),
            watchable,
            changed: Notify::new(),
            reads: AtomicU64::new(0),
        });
        let (_, shutdown) = crate::shutdown::channel();
        tokio::spawn(run(known.clone(), cluster.clone(), shutdown));
        Scene { known, authorities, cluster }
    }

    impl Scene {
        fn trusts(&self, authority: &Authority) -> bool {
            let issued = authority.issue_client("proxy", "g", NOW_S, [9; 16]).unwrap();
            matches!(self.authorities.verify(&[issued.certificate], NOW_S),
                Presented::Verified(certificate) if certificate.issuer == Issuer::FrontProxy)
        }

        fn publish(&self, map: Result<ConfigMap, Failure>) {
            *self.cluster.map.lock() = map;
            self.cluster.changed.notify_one();
        }
    }

    async fn pass(seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    fn authority(n: u8) -> Authority {
        Authority::new("front proxy", NOW_S, [n; 16]).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_of_the_configmap_is_taken_over_within_seconds() {
        let (old, new) = (authority(2), authority(3));
        let scene = follow(Ok(signed_by(&old)), true);
        assert!(scene.known.fresh().is_err());
        pass(1).await;
        assert!(scene.trusts(&old) && !scene.trusts(&new) && scene.known.fresh().is_ok());
        assert_ne!(*scene.known.headers(), HeaderNames::default());
        scene.publish(Ok(signed_by(&new)));
        pass(2).await;
        assert!(scene.trusts(&new) && !scene.trusts(&old));
        scene.publish(Ok(ConfigMap::default()));
        pass(2).await;
        assert!(!scene.trusts(&new));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_watch_it_is_read_every_half_minute() {
        let (old, new) = (authority(2), authority(3));
        let scene = follow(Ok(signed_by(&old)), false);
        pass(1).await;
        scene.publish(Ok(signed_by(&new)));
        pass(31).await;
        assert!(scene.trusts(&new));
        assert_eq!(scene.cluster.reads.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_known_goes_on_counting_and_health_says_that_it_is_old() {
        let old = authority(2);
        let scene = follow(Ok(signed_by(&old)), true);
        pass(1).await;
        let generation = scene.authorities.generation();
        for bad in [
            Err(down()),
            Ok(ConfigMap { data: [("client-ca-file".into(), "junk".into())].into(), ..ConfigMap::default() }),
        ] {
            scene.publish(bad);
            pass(200).await;
            assert!(scene.trusts(&old));
        }
        assert_eq!(scene.authorities.generation(), generation);
        assert!(scene.known.fresh().unwrap_err().contains("five minutes"));
        scene.publish(Ok(signed_by(&old)));
        pass(121).await;
        assert!(scene.known.fresh().is_ok());
        assert_eq!(scene.authorities.generation(), generation);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cluster_that_is_down_is_asked_less_and_less_often() {
        let scene = follow(Err(down()), true);
        pass(3600).await;
        let reads = scene.cluster.reads.load(Ordering::Relaxed);
        assert!((100..130).contains(&reads), "{reads}");
        assert!(scene.known.fresh().unwrap_err().contains("not known yet"));
        scene.publish(Ok(signed_by(&authority(2))));
        pass(31).await;
        assert!(scene.known.fresh().is_ok());
    }
}
