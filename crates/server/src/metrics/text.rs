//! Prometheus' text format, made of OpenMetrics'.

/// The counter whose name in Kubernetes lacks the usual ending.
const WITHOUT_TOTAL: &str = "authentication_attempts";

/// OpenMetrics' text as Prometheus' older format, which is what most scrapers and people at a terminal expect: there a counter's `HELP` and `TYPE` carry
/// its whole name, and there is no end mark.
pub(super) fn prometheus_text(open: &str) -> String {
    let mut out = String::with_capacity(open.len());
    let mut help: Option<(&str, &str)> = None;
    for line in open.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let Some((name, kind)) = rest.split_once(' ') else { continue };
            let ending = if kind == "counter" && name != WITHOUT_TOTAL { "_total" } else { "" };
            if let Some((_, text)) = help.take() {
                out.extend(["# HELP ", name, ending, " ", text, "\n"]);
            }
            out.extend(["# TYPE ", name, ending, " ", kind, "\n"]);
        } else if line.starts_with('#') {
            // `# UNIT` and `# EOF` do not exist there.
        } else if let Some(rest) =
            line.strip_prefix(WITHOUT_TOTAL).and_then(|rest| rest.strip_prefix("_total"))
        {
            out.extend([WITHOUT_TOTAL, rest, "\n"]);
        } else {
            out.extend([line, "\n"]);
        }
    }
    out
}
