//! Numbers for Prometheus: the names and labels that dashboards for Kubernetes API servers use, and a few of our own under `eartag_`.
//!
//! No label ever holds a user, a token or an object's name, nor anything else that a client can choose freely.

mod labels;
mod text;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use eartag_apiserver::user::Decision;
use hashbrown::HashMap;
use parking_lot::RwLock;
use prometheus_client::encoding::text as openmetrics;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use self::labels::{
    CheckLabels, CountLabels, KindLabel, ResourceLabel, ResourceLabels, ResultLabel, SliLabels, StorageLabel,
    TaskLabel, TerminationLabels, TimeLabels, TokenLabels,
};
use crate::process_metrics::ProcessCollector;
use crate::version::{PRODUCT, version_info};

/// The content type of [`Metrics::render`]'s text in Prometheus' format.
pub const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// The content type of [`Metrics::render`]'s text in OpenMetrics' format.
pub const OPENMETRICS_TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What a request was about, in the words of Kubernetes' metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestLabels {
    /// `GET`, `LIST`, `WATCH`, `POST`, `PUT`, `PATCH`, `APPLY`, `DELETE`, `CONNECT`; anything else is `other`.
    pub verb: &'static str,
    /// `All` on a dry run, else empty.
    pub dry_run: &'static str,
    /// The API group; empty for paths that are no resources.
    pub group: &'static str,
    /// The API version.
    pub version: &'static str,
    /// The resource's plural name.
    pub resource: &'static str,
    /// The subresource, or empty.
    pub subresource: &'static str,
    /// `cluster`, `namespace`, `resource` (one object, or a create), or empty for paths that are no resources.
    pub scope: &'static str,
}

/// Whether a request changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    /// get, list, and the like.
    ReadOnly,
    /// create, update, patch, delete.
    Mutating,
}

/// How an attempt to authenticate or a check of a token ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthnResult {
    /// The caller is known.
    Success,
    /// The credentials are no good.
    Failure,
    /// It could not be found out.
    Error,
}

impl AuthnResult {
    const ALL: [AuthnResult; 3] = [AuthnResult::Success, AuthnResult::Failure, AuthnResult::Error];

    const fn label(self) -> &'static str {
        match self {
            AuthnResult::Success => "success",
            AuthnResult::Failure => "failure",
            AuthnResult::Error => "error",
        }
    }
}

/// Brings gauges up to date right before they are shown.
pub type Refresh = Box<dyn Fn(&Metrics) + Send + Sync>;

/// All numbers of the process. Every method is cheap and may be called from anywhere.
pub struct Metrics {
    registry: Registry,
    refresh: RwLock<Vec<Refresh>>,
    /// What a request of these labels and this status is counted by. Found once in the families, whose look-ups cost more than all the counting.
    answered: RwLock<HashMap<(RequestLabels, u16), Answered>>,
    requests: Family<CountLabels, Counter>,
    durations: Family<TimeLabels, Histogram, fn() -> Histogram>,
    sli: Family<SliLabels, Histogram, fn() -> Histogram>,
    long_running: Family<SliLabels, Gauge>,
    terminations: Family<TerminationLabels, Counter>,
    in_flight: Family<KindLabel, Gauge>,
    reading: Gauge,
    mutating: Gauge,
    authentication: Family<ResultLabel, Counter>,
    authentication_time: Family<ResultLabel, Histogram, fn() -> Histogram>,
    attempts: [(Counter, Histogram); 3],
    authorization: Family<ResultLabel, Counter>,
    decisions: [Counter; 3],
    token_checks: Family<CheckLabels, Counter>,
    checked: RwLock<HashMap<CheckLabels, Counter>>,
    certificate_left: Histogram,
    handshake_errors: Counter,
    connections: Gauge,
    watch_events: Family<ResourceLabels, Counter>,
    objects: Family<ResourceLabel, Gauge>,
    object_bytes: Family<ResourceLabel, Gauge>,
    storage_bytes: Family<StorageLabel, Gauge>,
    revision: Gauge,
    watchers: Gauge,
    history_events: Gauge,
    history_bytes: Gauge,
    tokens: Family<TokenLabels, Gauge>,
    swept: Family<TaskLabel, Counter>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics(…)")
    }
}

impl Metrics {
    /// All at zero. `started_s` is the time of the process's start in seconds since 1970.
    #[must_use]
    pub fn new(started_s: f64) -> Arc<Self> {
        let in_flight: Family<KindLabel, Gauge> = Family::default();
        let kind = |request_kind| in_flight.get_or_create_owned(&KindLabel { request_kind });
        let (reading, mutating) = (kind("readOnly"), kind("mutating"));
        let authentication: Family<ResultLabel, Counter> = Family::default();
        let authentication_time: Family<_, _, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(SHORT_SECONDS.iter().copied()));
        let attempts = AuthnResult::ALL.map(|result| {
            let label = ResultLabel { result: result.label() };
            (authentication.get_or_create_owned(&label), authentication_time.get_or_create_owned(&label))
        });
        let authorization: Family<ResultLabel, Counter> = Family::default();
        let decisions = ["allowed", "denied", "error"]
            .map(|result| authorization.get_or_create_owned(&ResultLabel { result }));
        let mut metrics = Self {
            registry: Registry::default(),
            refresh: RwLock::default(),
            answered: RwLock::default(),
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(SECONDS.iter().copied())),
            sli: Family::new_with_constructor(|| Histogram::new(SECONDS.iter().copied().skip(2))),
            long_running: Family::default(),
            terminations: Family::default(),
            in_flight,
            reading,
            mutating,
            authentication,
            authentication_time,
            attempts,
            authorization,
            decisions,
            token_checks: Family::default(),
            checked: RwLock::default(),
            certificate_left: Histogram::new(CERTIFICATE_SECONDS.iter().copied()),
            handshake_errors: Counter::default(),
            connections: Gauge::default(),
            watch_events: Family::default(),
            objects: Family::default(),
            object_bytes: Family::default(),
            storage_bytes: Family::default(),
            revision: Gauge::default(),
            watchers: Gauge::default(),
            history_events: Gauge::default(),
            history_bytes: Gauge::default(),
            tokens: Family::default(),
            swept: Family::default(),
        };
        metrics.register(started_s);
        Arc::new(metrics)
    }

    /// A request was answered, so long after it came.
    pub fn request(&self, labels: &RequestLabels, code: u16, took: Duration) {
        let key = (*labels, code);
        if let Some(answered) = self.answered.read().get(&key) {
            return answered.count(took);
        }
        self.answered.write().entry(key).or_insert_with(|| self.answered(labels, code)).count(took);
    }

    fn answered(&self, labels: &RequestLabels, code: u16) -> Answered {
        let real = labels.dry_run.is_empty();
        Answered {
            requests: self.requests.get_or_create_owned(&CountLabels::new(labels, code)),
            duration: self.durations.get_or_create_owned(&TimeLabels::new(labels)),
            sli: real.then(|| self.sli.get_or_create_owned(&SliLabels::new(labels))),
        }
    }

    /// A request was refused to protect the server (429, 503, a timeout).
    pub fn terminated(&self, labels: &RequestLabels, code: u16) {
        self.terminations.get_or_create(&TerminationLabels::new(labels, code)).inc();
    }

    /// A watch or another long request runs until what this returns is dropped.
    #[must_use]
    pub fn long_running(&self, labels: &RequestLabels) -> Held {
        Held::new(self.long_running.get_or_create_owned(&SliLabels::new(labels)))
    }

    /// A short request runs until what this returns is dropped.
    #[must_use]
    pub fn in_flight(&self, kind: RequestKind) -> Held {
        Held::new(match kind {
            RequestKind::ReadOnly => self.reading.clone(),
            RequestKind::Mutating => self.mutating.clone(),
        })
    }

    /// Somebody tried to authenticate, which took so long.
    pub fn authentication(&self, result: AuthnResult, took: Duration) {
        let [success, failure, error] = &self.attempts;
        let (count, time) = match result {
            AuthnResult::Success => success,
            AuthnResult::Failure => failure,
            AuthnResult::Error => error,
        };
        count.inc();
        time.observe(took.as_secs_f64());
    }

    /// A request was checked against the rules.
    pub fn authorization(&self, decision: &Decision) {
        let [allowed, denied, error] = &self.decisions;
        let count = match decision {
            Decision::Allow => allowed,
            Decision::Deny(_) => denied,
            Decision::Error(_) => error,
        };
        count.inc();
    }

    /// A token was checked at a door (`bearer`, `basic`, `cookie`, `tokenreview`, …). `reason` is the verifier's for a refusal, `ok` else.
    pub fn token_check(&self, door: &'static str, reason: &'static str) {
        let labels = CheckLabels { door, reason };
        if let Some(count) = self.checked.read().get(&labels) {
            count.inc();
            return;
        }
        let count = self.token_checks.get_or_create_owned(&labels);
        count.inc();
        self.checked.write().insert(labels, count);
    }

    /// A client certificate was accepted that is good for so many more seconds.
    pub fn client_certificate(&self, seconds_left: f64) {
        self.certificate_left.observe(seconds_left);
    }

    /// A TLS handshake failed.
    pub fn tls_handshake_error(&self) {
        self.handshake_errors.inc();
    }

    /// A connection is open until what this returns is dropped.
    #[must_use]
    pub fn connection_opened(&self) -> Held {
        Held::new(self.connections.clone())
    }

    /// Events were sent to a watcher.
    pub fn watch_events(
        &self,
        group: &'static str,
        version: &'static str,
        resource: &'static str,
        count: u64,
    ) {
        self.watch_events.get_or_create(&ResourceLabels { group, version, resource }).inc_by(count);
    }

    /// How many objects of a resource there are, and the bytes of their records.
    pub fn set_objects(&self, group: &'static str, resource: &'static str, count: u64, bytes: u64) {
        let label = ResourceLabel { group, resource };
        self.objects.get_or_create(&label).set(signed(count));
        self.object_bytes.get_or_create(&label).set(signed(bytes));
    }

    /// The store: its file's size in bytes, the newest revision, and the history that is kept for watches.
    pub fn set_storage(
        &self,
        file_bytes: u64,
        revision: u64,
        watchers: u64,
        history_events: u64,
        history_bytes: u64,
    ) {
        self.storage_bytes
            .get_or_create(&StorageLabel { storage_cluster_id: "eartag" })
            .set(signed(file_bytes));
        self.revision.set(signed(revision));
        self.watchers.set(signed(watchers));
        self.history_events.set(signed(history_events));
        self.history_bytes.set(signed(history_bytes));
    }

    /// How many tokens of a face (`ext`, `legacy`) are in a state (`active`, `disabled`, `expired`, …).
    pub fn set_tokens(&self, face: &'static str, state: &'static str, count: u64) {
        self.tokens.get_or_create(&TokenLabels { face, state }).set(signed(count));
    }

    /// The sweeper removed or changed so many objects for this task.
    pub fn swept(&self, task: &'static str, count: u64) {
        self.swept.get_or_create(&TaskLabel { task }).inc_by(count);
    }

    /// Has `refresh` called before each [`Metrics::render`], to set gauges.
    pub fn refresh_with(&self, refresh: Refresh) {
        self.refresh.write().push(refresh);
    }

    /// All numbers as text, and its content type. `accept` is the request's header: OpenMetrics is given to those who ask for it.
    #[must_use]
    pub fn render(&self, accept: Option<&str>) -> (&'static str, String) {
        for refresh in self.refresh.read().iter() {
            refresh(self);
        }
        let mut open = String::with_capacity(16 * 1024);
        // Writing to a String cannot fail.
        let _ = openmetrics::encode(&mut open, &self.registry);
        if accept.is_some_and(|accept| accept.contains("application/openmetrics-text")) {
            (OPENMETRICS_TEXT, open)
        } else {
            (PROMETHEUS_TEXT, text::prometheus_text(&open))
        }
    }

    fn register(&mut self, started_s: f64) {
        let r = &mut self.registry;
        r.register("apiserver_request", "Requests answered", self.requests.clone());
        r.register("apiserver_request_duration_seconds", "Time to answer a request", self.durations.clone());
        r.register(
            "apiserver_request_sli_duration_seconds",
            "Time to answer a request that is not a dry run",
            self.sli.clone(),
        );
        r.register(
            "apiserver_longrunning_requests",
            "Long requests that run, such as watches",
            self.long_running.clone(),
        );
        r.register(
            "apiserver_request_terminations",
            "Requests refused in self-defence",
            self.terminations.clone(),
        );
        r.register("apiserver_current_inflight_requests", "Short requests that run", self.in_flight.clone());
        r.register("authentication_attempts", "Attempts to authenticate", self.authentication.clone());
        r.register(
            "authentication_duration_seconds",
            "Time to authenticate",
            self.authentication_time.clone(),
        );
        r.register(
            "authorization_attempts",
            "Requests checked against the rules",
            self.authorization.clone(),
        );
        r.register("eartag_token_checks", "Tokens checked, by door and outcome", self.token_checks.clone());
        r.register(
            "apiserver_client_certificate_expiration_seconds",
            "Time left of client certificates in use",
            self.certificate_left.clone(),
        );
        r.register(
            "apiserver_tls_handshake_errors",
            "TLS handshakes that failed",
            self.handshake_errors.clone(),
        );
        r.register("eartag_connections", "Open connections", self.connections.clone());
        r.register("apiserver_watch_events", "Events sent to watchers", self.watch_events.clone());
        r.register("apiserver_resource_objects", "Stored objects", self.objects.clone());
        r.register(
            "apiserver_resource_size_estimate_bytes",
            "Bytes of the stored records",
            self.object_bytes.clone(),
        );
        r.register("apiserver_storage_size_bytes", "Size of the database file", self.storage_bytes.clone());
        r.register("eartag_storage_revision", "The newest revision", self.revision.clone());
        r.register("eartag_storage_watchers", "Open watches on the store", self.watchers.clone());
        r.register("eartag_storage_history_events", "Changes kept for watches", self.history_events.clone());
        r.register(
            "eartag_storage_history_bytes",
            "Bytes of the changes kept for watches",
            self.history_bytes.clone(),
        );
        r.register("eartag_tokens", "Tokens by face and state", self.tokens.clone());
        r.register(
            "eartag_swept_objects",
            "Objects removed or changed in the background",
            self.swept.clone(),
        );

        let info = version_info();
        let kubernetes: Family<Vec<(&str, String)>, Gauge> = Family::default();
        kubernetes
            .get_or_create(&vec![
                ("major", info.major.into()),
                ("minor", info.minor.into()),
                ("git_version", info.git_version.into()),
                ("git_commit", info.git_commit.into()),
                ("build_date", info.build_date.into()),
                ("platform", info.platform),
            ])
            .set(1);
        r.register("kubernetes_build_info", "The Kubernetes API whose behaviour is followed", kubernetes);
        let product: Family<Vec<(&str, String)>, Gauge> = Family::default();
        product
            .get_or_create(&vec![("version", PRODUCT.into()), ("git_commit", info.git_commit.into())])
            .set(1);
        r.register("eartag_build_info", "The version of this server", product);
        r.register_collector(Box::new(ProcessCollector { started_s }));
    }
}

/// Where one kind of answer is counted.
struct Answered {
    requests: Counter,
    duration: Histogram,
    sli: Option<Histogram>,
}

impl Answered {
    fn count(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        self.requests.inc();
        self.duration.observe(seconds);
        if let Some(sli) = &self.sli {
            sli.observe(seconds);
        }
    }
}

/// Counts in a gauge for as long as it lives.
#[derive(Debug)]
pub struct Held(Gauge);

impl Held {
    fn new(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}

const SECONDS: [f64; 23] = [
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0,
    20.0, 30.0, 45.0, 60.0,
];
const SHORT_SECONDS: [f64; 12] =
    [0.000_01, 0.000_1, 0.001, 0.002, 0.004, 0.008, 0.016, 0.064, 0.256, 1.024, 4.096, 16.384];
const CERTIFICATE_SECONDS: [f64; 15] = [
    0.0,
    1800.0,
    3600.0,
    7200.0,
    21_600.0,
    43_200.0,
    86_400.0,
    172_800.0,
    345_600.0,
    604_800.0,
    2_592_000.0,
    7_776_000.0,
    15_552_000.0,
    31_104_000.0,
    62_208_000.0,
];

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
