//! `/livez`, `/readyz` and `/healthz`, in the form that Kubernetes' tools read.
//!
//! The list of checks only says that one failed; its reason is in the log, and at the path of that check alone, as in Kubernetes. Reasons therefore never
//! hold anything that the public may not read: these paths need no credentials.

use std::fmt::Write as _;

use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http_body_util::{BodyExt, Full};
use parking_lot::RwLock;

use crate::listener::Body;

/// Which of the paths a check counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// For all three: the process is of no use without it, and a restart may help.
    Everywhere,
    /// For `/readyz` and `/healthz`: requests would fail, a restart does not help.
    Ready,
    /// For `/readyz` alone: the shutdown, during which the process is healthy.
    ReadyOnly,
}

/// Finds out whether something is well; must answer at once. The error is one that the public may read.
pub type Check = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// The health of the server.
#[derive(Default)]
pub struct Health {
    checks: RwLock<Vec<(String, Counts, Check)>>,
}

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Health(…)")
    }
}

/// A reply of a health path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// 200, 404 or 500.
    pub status: StatusCode,
    /// Plain text.
    pub body: String,
}

impl Health {
    /// With the check `ping`, which is always well.
    #[must_use]
    pub fn new() -> Self {
        let health = Self::default();
        health.add("ping", Counts::Everywhere, Box::new(|| Ok(())));
        health
    }

    /// Adds a check, shown behind those that are there. Names may have slashes, as in `poststarthook/sweeper`.
    pub fn add(&self, name: &str, counts: Counts, check: Check) {
        self.checks.write().push((name.to_owned(), counts, check));
    }

    /// Whether `/readyz` would answer 200.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.checks.read().iter().all(|(_, _, check)| check().is_ok())
    }

    /// The reply to this path and query; `None` when the path is not one of health.
    #[must_use]
    pub fn answer(&self, path: &str, query: Option<&str>) -> Option<Answer> {
        let (endpoint, check) = ["livez", "readyz", "healthz"].into_iter().find_map(|endpoint| {
            let rest = path.strip_prefix('/')?.strip_prefix(endpoint)?;
            match rest.strip_prefix('/') {
                None if rest.is_empty() => Some((endpoint, None)),
                None => None,
                Some("") => Some((endpoint, None)),
                Some(check) => Some((endpoint, Some(check))),
            }
        })?;
        Some(match check {
            None => self.all(endpoint, query.unwrap_or_default()),
            Some(check) => self.one(endpoint, check),
        })
    }

    fn all(&self, endpoint: &str, query: &str) -> Answer {
        let mut excluded: Vec<String> = values(query, "exclude");
        let verbose = query.split('&').any(|pair| pair.split('=').next() == Some("verbose"));
        let mut lines = String::new();
        let mut failed = false;
        for (name, _, check) in self.checks.read().iter().filter(|(_, counts, _)| counted(*counts, endpoint))
        {
            if excluded.contains(name) {
                excluded.retain(|e| e != name);
                let _ = writeln!(lines, "[+]{name} excluded: ok");
                continue;
            }
            match check() {
                Ok(()) => {
                    let _ = writeln!(lines, "[+]{name} ok");
                }
                Err(reason) => {
                    failed = true;
                    tracing::warn!(check = %name, endpoint, %reason, "health check failed");
                    let _ = writeln!(lines, "[-]{name} failed: reason withheld");
                }
            }
        }
        if !excluded.is_empty() {
            excluded.sort_unstable();
            excluded.dedup();
            let names: Vec<_> = excluded.iter().map(|name| format!("{name:?}")).collect();
            let _ = writeln!(
                lines,
                "warn: some health checks cannot be excluded: no matches for {}",
                names.join(",")
            );
        }
        if failed {
            return Answer::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("{lines}{endpoint} check failed\n"),
            );
        }
        Answer::new(
            StatusCode::OK,
            if verbose { format!("{lines}{endpoint} check passed\n") } else { "ok".into() },
        )
    }

    fn one(&self, endpoint: &str, wanted: &str) -> Answer {
        let checks = self.checks.read();
        let Some((_, _, check)) =
            checks.iter().find(|(name, counts, _)| name == wanted && counted(*counts, endpoint))
        else {
            return Answer::new(StatusCode::NOT_FOUND, "404 page not found\n".into());
        };
        match check() {
            Ok(()) => Answer::new(StatusCode::OK, "ok".into()),
            Err(reason) => {
                tracing::warn!(check = %wanted, endpoint, %reason, "health check failed");
                Answer::new(StatusCode::INTERNAL_SERVER_ERROR, format!("internal server error: {reason}\n"))
            }
        }
    }
}

impl Answer {
    fn new(status: StatusCode, body: String) -> Self {
        Self { status, body }
    }

    /// As an HTTP reply.
    #[must_use]
    pub fn into_response(self) -> http::Response<Body> {
        let body = Full::new(self.body.into()).map_err(|never| match never {}).boxed_unsync();
        let mut response = http::Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
        response
    }
}

fn counted(counts: Counts, endpoint: &str) -> bool {
    match counts {
        Counts::Everywhere => true,
        Counts::Ready => endpoint != "livez",
        Counts::ReadyOnly => endpoint == "readyz",
    }
}

/// The values of a parameter. Names of checks are plain, so percent signs need no decoding but that of the slash.
fn values(query: &str, name: &str) -> Vec<String> {
    // More than this many are somebody's joke; the reply repeats unknown ones.
    const LIMIT: usize = 64;
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .filter(|(key, value)| *key == name && value.len() <= 128)
        .map(|(_, value)| value.replace("%2F", "/").replace("%2f", "/"))
        .take(LIMIT)
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn health() -> (Health, Arc<AtomicBool>) {
        let health = Health::new();
        let broken = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&broken);
        health.add(
            "store",
            Counts::Ready,
            Box::new(move || if seen.load(Ordering::Relaxed) { Err("disk on fire".into()) } else { Ok(()) }),
        );
        health.add("shutdown", Counts::ReadyOnly, Box::new(|| Ok(())));
        (health, broken)
    }

    fn get(health: &Health, path: &str, query: &str) -> (u16, String) {
        let answer = health.answer(path, Some(query)).unwrap();
        (answer.status.as_u16(), answer.body)
    }

    #[test]
    fn a_healthy_server_says_ok_and_verbose_lists_the_checks() {
        let (health, _) = health();
        assert_eq!(get(&health, "/readyz", ""), (200, "ok".into()));
        let all = "[+]ping ok\n[+]store ok\n[+]shutdown ok\nreadyz check passed\n";
        assert_eq!(get(&health, "/readyz", "verbose"), (200, all.into()));
        assert_eq!(get(&health, "/livez", "verbose=1"), (200, "[+]ping ok\nlivez check passed\n".into()));
        assert_eq!(
            get(&health, "/healthz/", "verbose"),
            (200, "[+]ping ok\n[+]store ok\nhealthz check passed\n".into())
        );
    }

    #[test]
    fn a_failure_is_always_verbose_and_never_says_why() {
        let (health, broken) = health();
        broken.store(true, Ordering::Relaxed);
        let text = "[+]ping ok\n[-]store failed: reason withheld\n[+]shutdown ok\nreadyz check failed\n";
        assert_eq!(get(&health, "/readyz", ""), (500, text.into()));
        assert_eq!(get(&health, "/livez", ""), (200, "ok".into()));
        assert!(!health.ready());
        assert_eq!(get(&health, "/readyz", "exclude=store"), (200, "ok".into()));
    }

    #[test]
    fn what_cannot_be_excluded_is_named() {
        let (health, _) = health();
        let text = "[+]ping ok\n[+]store excluded: ok\n[+]shutdown ok\n\
                    warn: some health checks cannot be excluded: no matches for \"a/b\",\"x\"\nreadyz check passed\n";
        let query = "exclude=x&exclude=store&verbose&exclude=a%2Fb";
        assert_eq!(get(&health, "/readyz", query), (200, text.into()));
    }

    #[test]
    fn each_check_has_a_path_of_its_own() {
        let (health, broken) = health();
        assert_eq!(get(&health, "/readyz/store", ""), (200, "ok".into()));
        broken.store(true, Ordering::Relaxed);
        assert_eq!(get(&health, "/readyz/store", ""), (500, "internal server error: disk on fire\n".into()));
        assert_eq!(get(&health, "/livez/shutdown", "").0, 404);
        assert_eq!(get(&health, "/readyz/none", "").0, 404);
        assert_eq!(health.answer("/readyzz", None), None);
        assert_eq!(health.answer("/", None), None);
    }

    #[test]
    fn the_reply_is_not_cached_and_not_sniffed() {
        let response = health().0.answer("/livez", None).unwrap().into_response();
        assert_eq!(response.headers()[CACHE_CONTROL], "no-cache, private");
        assert_eq!(response.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(response.headers()[CONTENT_TYPE], "text/plain; charset=utf-8");
    }
}
