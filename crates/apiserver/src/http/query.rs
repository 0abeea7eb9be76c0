//! The query string: options of lists, watches, writes and deletions.

use std::time::Duration;

use crate::field_error::FieldError;
use crate::info::ResourceInfo;
use crate::kind::Cx;
use crate::ops::{ListOptions, Match, Selection, Validation, WatchOptions};
use crate::refusal::Refusal;
use crate::user::Attributes;

/// The parameters; of repeated ones the first counts, except where a list is meant.
#[derive(Clone, Debug, Default)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

/// More parameters than any client sends are not looked at.
const MOST_PARAMETERS: usize = 256;

impl Query {
    /// Parses a raw query; empty pairs are tolerated.
    pub fn parse(raw: &str) -> Query {
        let pairs = form_urlencoded::parse(raw.as_bytes())
            .filter(|(key, _)| !key.is_empty())
            .take(MOST_PARAMETERS)
            .map(|(key, value)| (key.into_owned(), value.into_owned()))
            .collect();
        Query { pairs }
    }

    /// The first value, empty if absent.
    pub fn get(&self, key: &str) -> &str {
        self.pairs.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str()).unwrap_or_default()
    }

    /// All values.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// Whether the parameter is there at all.
    pub fn has(&self, key: &str) -> bool {
        self.pairs.iter().any(|(k, _)| k == key)
    }

    /// Present and not `0` or `false`: an empty value counts as true (spec D21).
    pub fn flag(&self, key: &str) -> bool {
        self.has(key) && !matches!(self.get(key).to_ascii_lowercase().as_str(), "0" | "false")
    }
}

/// Longest `fieldManager`, in bytes.
const LONGEST_MANAGER: usize = 128;

/// `dryRun`, `fieldManager` and `fieldValidation` of a write. `options` is the name of the options kind in refusals.
pub fn write_options(
    query: &Query,
    user_agent: &str,
    options: &'static str,
    cx: &mut Cx,
) -> Result<(), Refusal> {
    let mut errors = Vec::new();
    match dry_run(query.all("dryRun")) {
        Ok(dry_run) => cx.dry_run = dry_run,
        Err(error) => errors.push(error),
    }
    let manager = query.get("fieldManager");
    if manager.len() > LONGEST_MANAGER {
        errors.push(FieldError::too_long("fieldManager", LONGEST_MANAGER));
    } else if manager.chars().any(char::is_control) {
        errors.push(FieldError::invalid("fieldManager", manager, "should only contain printable characters"));
    }
    cx.field_manager = if manager.is_empty() { default_manager(user_agent) } else { manager.to_owned() };
    match query.get("fieldValidation") {
        "" | "Warn" => cx.validation = Validation::Warn,
        "Ignore" => cx.validation = Validation::Ignore,
        "Strict" => cx.validation = Validation::Strict,
        other => {
            errors.push(FieldError::unsupported("fieldValidation", other, &["Ignore", "Strict", "Warn"]))
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Refusal::InvalidOptions(options, errors)) }
}

/// `dryRun` is a list whose only value is `All`.
pub fn dry_run<'a>(values: impl Iterator<Item = &'a str>) -> Result<bool, FieldError> {
    let mut dry_run = false;
    for value in values {
        match value {
            "" => {}
            "All" => dry_run = true,
            other => return Err(FieldError::unsupported("dryRun", other, &["All"])),
        }
    }
    Ok(dry_run)
}

/// The program's name in the user agent stands in for a manager that was not named (spec W6).
fn default_manager(user_agent: &str) -> String {
    let program = user_agent.split('/').next().unwrap_or_default();
    let printable = program.chars().filter(|c| !c.is_control());
    let mut manager = String::new();
    for c in printable {
        if manager.len() + c.len_utf8() > LONGEST_MANAGER {
            break;
        }
        manager.push(c);
    }
    manager
}

/// The options of a list or of a deletion of many.
pub fn list_options(query: &Query, info: &ResourceInfo) -> Result<ListOptions, Refusal> {
    let selection = selection(query, info)?;
    let limit = integer(query, "limit")?.and_then(|n| usize::try_from(n).ok());
    let resume = query.get("continue").to_owned();
    let version = version(query)?;
    let mut errors = Vec::new();
    let matching = matching(query, &mut errors);
    if query.has("resourceVersionMatch") && !query.get("resourceVersionMatch").is_empty() {
        if !resume.is_empty() {
            errors.push(FieldError::forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden when continue is provided",
            ));
        } else if version.is_none() {
            errors.push(FieldError::forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden unless resourceVersion is provided",
            ));
        } else if matching == Match::Exact && version == Some(0) {
            errors.push(FieldError::forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
            ));
        }
    }
    if query.has("sendInitialEvents") && !query.get("sendInitialEvents").is_empty() {
        errors.push(FieldError::forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
    }
    if !errors.is_empty() {
        return Err(Refusal::InvalidOptions("ListOptions", errors));
    }
    if !resume.is_empty() && version.unwrap_or(0) > 0 {
        return Err(Refusal::BadRequest(
            "specifying resource version is not allowed when using continue".to_owned(),
        ));
    }
    Ok(ListOptions { selection, limit, resume, version, matching, ..ListOptions::default() })
}

/// The options of a watch; `random` spreads the ends of watches that name no time.
pub fn watch_options(query: &Query, info: &ResourceInfo, random: u64) -> Result<WatchOptions, Refusal> {
    let selection = selection(query, info)?;
    let version = version(query)?;
    let mut errors = Vec::new();
    let matching = matching(query, &mut errors);
    let initial = match query.get("sendInitialEvents") {
        "" => None,
        _ => Some(query.flag("sendInitialEvents")),
    };
    match (initial, matching) {
        (Some(_), Match::NotOlderThan) | (None, Match::Unset) => {}
        (Some(_), _) => errors.push(FieldError::forbidden(
            "resourceVersionMatch",
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        )),
        (None, _) => errors.push(FieldError::forbidden(
            "resourceVersionMatch",
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        )),
    }
    if !errors.is_empty() {
        return Err(Refusal::InvalidOptions("ListOptions", errors));
    }
    let seconds = match integer(query, "timeoutSeconds")?.and_then(|n| u64::try_from(n).ok()) {
        Some(asked) if asked > 0 => asked.min(LONGEST_WATCH_S),
        _ => SHORTEST_DEFAULT_WATCH_S + random % SHORTEST_DEFAULT_WATCH_S,
    };
    Ok(WatchOptions {
        selection,
        version,
        initial,
        bookmarks: query.flag("allowWatchBookmarks"),
        timeout: Duration::from_secs(seconds),
        wants: Attributes::default(),
    })
}

const SHORTEST_DEFAULT_WATCH_S: u64 = 1800;
const LONGEST_WATCH_S: u64 = 24 * 3600;

fn selection(query: &Query, info: &ResourceInfo) -> Result<Selection, Refusal> {
    Selection::parse(info, query.get("labelSelector"), query.get("fieldSelector"))
}

/// `resourceVersion` as a number (spec L12).
pub fn version(query: &Query) -> Result<Option<u64>, Refusal> {
    match query.get("resourceVersion") {
        "" => Ok(None),
        text => text
            .parse::<u64>()
            .ok()
            .filter(|_| text.bytes().all(|b| b.is_ascii_digit()))
            .map(Some)
            .ok_or_else(|| {
                Refusal::BadRequest(format!(
                    "Invalid value: {text:?}: resourceVersion must be a decimal number"
                ))
            }),
    }
}

fn matching(query: &Query, errors: &mut Vec<FieldError>) -> Match {
    match query.get("resourceVersionMatch") {
        "" => Match::Unset,
        "Exact" => Match::Exact,
        "NotOlderThan" => Match::NotOlderThan,
        other => {
            errors.push(FieldError::unsupported(
                "resourceVersionMatch",
                other,
                &["Exact", "NotOlderThan", ""],
            ));
            Match::Unset
        }
    }
}

fn integer(query: &Query, key: &str) -> Result<Option<i64>, Refusal> {
    match query.get(key) {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| {
            Refusal::BadRequest(format!(
                "strconv.ParseInt: parsing {text:?}: invalid syntax (parameter {key:?} must be an integer)"
            ))
        }),
    }
}

/// `?timeout=` of an ordinary request: a Go duration; none and zero mean the longest.
pub fn timeout(query: &Query, most: Duration) -> Result<Duration, Refusal> {
    match query.get("timeout") {
        "" => Ok(most),
        text => go_duration(text).map(|d| if d.is_zero() { most } else { d.min(most) }).ok_or_else(|| {
            Refusal::BadRequest(format!(
                "invalid timeout specified in the request URL - time: invalid duration {text:?}"
            ))
        }),
    }
}

/// Go's durations: `1h2m3.5s`, `300ms`; `None` for anything else.
fn go_duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, f64); 7] =
        [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(unit_end)?;
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
        seconds += number.parse::<f64>().ok()? * factor;
        rest = tail;
    }
    if text.is_empty() { None } else { Duration::try_from_secs_f64(seconds).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, ms) in [("32s", 32_000), ("1m30s", 90_000), ("300ms", 300), ("1.5h", 5_400_000), ("0", 0)]
        {
            assert_eq!(go_duration(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "10", "s", "-1s", "1x", "1e3s", "9".repeat(400).as_str()] {
            assert_eq!(go_duration(text), None, "{text}");
        }
    }

    #[test]
    fn a_watch_flag_without_a_value_counts() {
        assert!(Query::parse("&watch=&limit=5").flag("watch"));
        assert!(!Query::parse("watch=False").flag("watch"));
    }
}
