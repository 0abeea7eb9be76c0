#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::time::Duration;

use super::*;

const LIST: RequestLabels = RequestLabels {
    verb: "LIST",
    dry_run: "",
    group: "ext.cattle.io",
    version: "v1",
    resource: "tokens",
    subresource: "",
    scope: "cluster",
};

#[test]
fn the_names_and_labels_are_those_that_dashboards_select() {
    let metrics = Metrics::new(1.5);
    metrics.request(&LIST, 200, Duration::from_millis(3));
    metrics.authentication(AuthnResult::Failure, Duration::from_millis(1));
    let (kind, text) = metrics.render(None);
    assert_eq!(kind, PROMETHEUS_TEXT);
    for line in [
        "# TYPE apiserver_request_total counter",
        "apiserver_request_total{verb=\"LIST\",dry_run=\"\",group=\"ext.cattle.io\",version=\"v1\",resource=\"tokens\",\
         subresource=\"\",scope=\"cluster\",component=\"apiserver\",code=\"200\"} 1",
        "# TYPE authentication_attempts counter",
        "authentication_attempts{result=\"failure\"} 1",
        "# TYPE process_resident_memory_bytes gauge",
        "process_start_time_seconds 1.5",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\nis not in\n{text}");
    }
    assert!(text.contains("apiserver_request_sli_duration_seconds_count{"));
    assert!(text.contains("apiserver_request_duration_seconds_bucket{le=\"0.005\","));
    assert!(!text.contains("# EOF") && !text.contains("authentication_attempts_total"));
}

#[test]
fn what_runs_is_counted_until_it_ends() {
    let metrics = Metrics::new(0.0);
    let held = metrics.in_flight(RequestKind::Mutating);
    let line = |n| format!("apiserver_current_inflight_requests{{request_kind=\"mutating\"}} {n}\n");
    assert!(metrics.render(None).1.contains(&line(1)));
    drop(held);
    assert!(metrics.render(None).1.contains(&line(0)));
}

#[test]
fn gauges_are_refreshed_when_they_are_asked_for() {
    let metrics = Metrics::new(0.0);
    metrics.refresh_with(Box::new(|m| m.set_tokens("ext", "active", 7)));
    assert!(metrics.render(None).1.contains("eartag_tokens{face=\"ext\",state=\"active\"} 7\n"));
}

#[test]
fn openmetrics_is_given_to_those_who_ask() {
    let (kind, text) = Metrics::new(0.0).render(Some("application/openmetrics-text;version=1.0.0"));
    assert_eq!(kind, OPENMETRICS_TEXT);
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn every_line_of_the_older_format_is_well_formed() {
    let metrics = Metrics::new(0.0);
    metrics.request(&LIST, 500, Duration::from_secs(100));
    metrics.client_certificate(10.0);
    let (_, text) = metrics.render(None);
    for line in text.lines() {
        if line.starts_with("# ") {
            assert!(line.starts_with("# HELP ") || line.starts_with("# TYPE "), "{line}");
        } else {
            let value = line.rsplit(' ').next().unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
    }
}
