//! What we ask the cluster's API server: its trust, and reviews.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use eartag_upstream::{JsonError, Target, Upstream};
use http::Method;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use super::review::{self, Answer};
use super::trust::ConfigMap;

const TRUST: &str = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";
const TRUST_CHANGES: &str = "/api/v1/namespaces/kube-system/configmaps?watch=true&fieldSelector=metadata.name%3D\
                             extension-apiserver-authentication&timeoutSeconds=120&resourceVersion=";
/// For the head of an answer, and for the rest of it.
const WAIT: Duration = Duration::from_secs(5);
/// A watch ends itself after two minutes; if it does not, its connection is dead.
const LONGEST_WATCH: Duration = Duration::from_secs(150);
/// The credential is read again at most this often.
const RENEW_EVERY: Duration = Duration::from_secs(5);

/// An answer that did not come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Why, for the log.
    pub why: String,
    /// Whether the next attempt may succeed.
    pub passing: bool,
}

/// The API server of the cluster that we extend.
#[async_trait]
pub trait Cluster: Send + Sync + 'static {
    /// Asks a question.
    async fn review(&self, question: &Value) -> Result<Answer, Failure>;
    /// What the cluster publishes for servers like us.
    async fn trust(&self) -> Result<ConfigMap, Failure>;
    /// Waits until that may have changed since this version of it, or for a few minutes.
    async fn trust_changed(&self, since: &str) -> Result<(), Failure>;
}

/// Says where the cluster is and who we are there. Asked again when what it said works no more: tokens and certificates are renewed in their files.
#[derive(Clone)]
pub struct ClusterSource(Arc<dyn Fn() -> Result<Target, String> + Send + Sync>);

impl ClusterSource {
    /// From a function that reads files; its errors are one sentence for the operator.
    pub fn new(read: impl Fn() -> Result<Target, String> + Send + Sync + 'static) -> ClusterSource {
        ClusterSource(Arc::new(read))
    }

    /// A client, with what the files say now.
    ///
    /// # Errors
    /// What is missing or cannot be used.
    pub fn connect(&self) -> Result<Upstream, String> {
        Upstream::new(&(self.0)()?).map_err(|error| error.to_string())
    }
}

impl fmt::Debug for ClusterSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterSource(…)")
    }
}

/// The real one.
pub struct RemoteCluster {
    source: ClusterSource,
    current: Mutex<(Upstream, Instant)>,
}

impl RemoteCluster {
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// What is missing or cannot be used.
    pub fn new(source: ClusterSource) -> Result<RemoteCluster, String> {
        let current = Mutex::new((source.connect()?, Instant::now()));
        Ok(RemoteCluster { source, current })
    }

    fn upstream(&self) -> Upstream {
        self.current.lock().0.clone()
    }

    /// What went wrong. Where it may be our credential, the next attempt comes with what the files say then.
    fn failed(&self, error: &JsonError) -> Failure {
        let stale = matches!(
            error,
            JsonError::Refused { code: 401, .. }
                | JsonError::Upstream(
                    eartag_upstream::UpstreamError::Untrusted(_) | eartag_upstream::UpstreamError::Tls
                )
        );
        let renewed = stale && self.renew();
        let passing = match error {
            JsonError::Upstream(_) => true,
            JsonError::Refused { code, .. } => renewed || matches!(code, 429 | 500 | 502 | 503 | 504),
            JsonError::TooLarge | JsonError::Foreign => false,
        };
        Failure { why: error.to_string(), passing }
    }

    fn renew(&self) -> bool {
        let mut current = self.current.lock();
        if current.1.elapsed() < RENEW_EVERY {
            return false;
        }
        current.1 = Instant::now();
        match self.source.connect() {
            Ok(upstream) => {
                current.0 = upstream;
                true
            }
            Err(why) => {
                tracing::warn!(%why, "what is presented to the cluster's API server cannot be read anew");
                false
            }
        }
    }
}

#[async_trait]
impl Cluster for RemoteCluster {
    async fn review(&self, question: &Value) -> Result<Answer, Failure> {
        let asked = self.upstream().json(Method::POST, review::PATH, Some(question), WAIT).await;
        asked.map_err(|error| self.failed(&error))
    }

    async fn trust(&self) -> Result<ConfigMap, Failure> {
        let asked = self.upstream().json(Method::GET, TRUST, None::<&()>, WAIT).await;
        asked.map_err(|error| self.failed(&error))
    }

    async fn trust_changed(&self, since: &str) -> Result<(), Failure> {
        let upstream = self.upstream();
        let watched = async {
            let mut events = upstream.lines(&format!("{TRUST_CHANGES}{since}"), WAIT).await?;
            // Whatever it says: the configmap is read anew then.
            events.next::<Event>().await.map(|_| ())
        };
        match tokio::time::timeout(LONGEST_WATCH, watched).await {
            Ok(Ok(())) | Err(_) => Ok(()),
            Ok(Err(error)) => Err(self.failed(&error)),
        }
    }
}

/// An event of a watch, of which nothing is looked at.
#[derive(Deserialize)]
struct Event {}
