//! What a setting may hold (v3-token.md §7.3, DEC42).

use super::cron::Cron;
use super::{DELETE_AFTER, DISABLE_AFTER, Kind, MAX_TTL, SESSION, SettingInfo, find};
use crate::duration::{parse_go_duration, quote};
use crate::time::parse_rfc3339;
use crate::ttl::{MOST_MINUTES, Minutes};

/// Longest value, in bytes.
const LONGEST: usize = 256 * 1024;
/// Most minutes of a session: beyond the 292 years of the other settings nothing is gained.
const MOST_SESSION: i64 = 153_722_867;

/// What kind of refusal it is; the doors map it to their codes (all 422, read-only ones apart).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The value is none.
    Invalid,
    /// The value is one, but not beside the other settings.
    Forbidden,
    /// `MaxLimitExceeded` at `/v3`.
    AboveMaximum,
    /// The setting cannot be written: 405 `MethodNotAllow` at `/v3`.
    ReadOnly,
}

/// Why a value is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SettingRefusal {
    /// What kind it is.
    pub cause: Cause,
    /// The text for the client.
    pub message: String,
}

/// Whether clients may write the setting at all; `from_env` says that its value comes from the environment.
///
/// # Errors
/// The text of `/v3`.
pub fn validate_write(info: &SettingInfo, from_env: bool) -> Result<(), SettingRefusal> {
    let refuse = |message| Err(SettingRefusal { cause: Cause::ReadOnly, message });
    if from_env {
        return refuse(format!("{} is readOnly because its value is from environment variable", info.name));
    }
    if info.read_only {
        return refuse(format!("{} is readOnly", info.name));
    }
    Ok(())
}

/// Whether the setting may hold the value; `other` tells the values in force of the other settings.
///
/// # Errors
/// The reference's text where it has one, else what is allowed.
pub fn validate(
    info: &SettingInfo,
    value: &str,
    other: &dyn Fn(&str) -> String,
) -> Result<(), SettingRefusal> {
    if value.len() > LONGEST {
        return Err(invalid(
            &format!("{}…", value.chars().take(40).collect::<String>()),
            "must be at most 262144 bytes",
        ));
    }
    if value.is_empty() && info.kind != Kind::Seconds {
        return Ok(());
    }
    match info.kind {
        Kind::Minutes => minutes(value).map(|_| ()),
        Kind::KubeconfigMinutes => kubeconfig(value, &other(MAX_TTL)),
        Kind::SessionMinutes => session(value, other),
        Kind::IdleMinutes => idle(value, &other(SESSION)),
        Kind::Seconds => seconds(value),
        Kind::Length => length(value),
        Kind::Bool => match value {
            "true" | "false" => Ok(()),
            _ => Err(invalid(value, "must be true or false")),
        },
        Kind::Duration { least_ms } => duration(value, least_ms, &other(SESSION)),
        Kind::Cron => Cron::parse(value).map(|_| ()).map_err(|text| invalid(value, &text)),
        Kind::Time => match parse_rfc3339(value) {
            Some(_) => Ok(()),
            None => {
                let quoted = quote(value);
                let text = format!(
                    "parsing time {quoted} as \"2006-01-02T15:04:05Z07:00\": cannot parse {quoted} as \"2006\""
                );
                Err(invalid(value, &text))
            }
        },
        Kind::Url => url(value),
        Kind::Text => Ok(()),
    }
}

/// Whether a user's own value may stand in for that of a setting which holds a duration, such as [`DELETE_AFTER`]. Sessions do not bound it: it is one user's
/// exception. Empty is none.
///
/// # Errors
/// The text for the setting.
pub fn validate_override(name: &str, value: &str) -> Result<(), SettingRefusal> {
    let least_ms = match find(name).map(|info| info.kind) {
        Some(Kind::Duration { least_ms }) => least_ms,
        _ => 0,
    };
    if value.is_empty() { Ok(()) } else { period(value, least_ms).map(|_| ()) }
}

/// A whole number as Go reads it, with Go's text.
pub(super) fn integer(value: &str) -> Result<i64, SettingRefusal> {
    let digits = value.strip_prefix(['-', '+']).unwrap_or(value);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(invalid(value, &format!("strconv.ParseInt: parsing {}: invalid syntax", quote(value))));
    }
    value.parse().map_err(|_| {
        invalid(value, &format!("strconv.ParseInt: parsing {}: value out of range", quote(value)))
    })
}

fn minutes(value: &str) -> Result<Minutes, SettingRefusal> {
    Minutes::parse(value).ok_or_else(|| {
        invalid(value, &format!("must be a number of minutes from 0 to {MOST_MINUTES}, such as 90 or 1.5"))
    })
}

fn kubeconfig(value: &str, max: &str) -> Result<(), SettingRefusal> {
    let asked = minutes(value)?;
    match Minutes::parse(max).and_then(Minutes::limit) {
        Some(limit) if asked.millis() > limit => Err(SettingRefusal {
            cause: Cause::AboveMaximum,
            message: format!("max ttl for tokens is [{max}]"),
        }),
        _ => Ok(()),
    }
}

fn session(value: &str, other: &dyn Fn(&str) -> String) -> Result<(), SettingRefusal> {
    let asked = integer(value)?;
    if asked < 0 {
        return Err(invalid(value, "negative value"));
    }
    if asked > MOST_SESSION {
        return Err(invalid(value, &format!("must be at most {MOST_SESSION} minutes")));
    }
    for name in [DISABLE_AFTER, DELETE_AFTER] {
        let after = parse_go_duration(&other(name)).unwrap_or(0);
        if after > 0 && asked.saturating_mul(60_000) > after {
            return Err(forbidden(&format!("can't be greater than {name}")));
        }
    }
    Ok(())
}

fn idle(value: &str, session: &str) -> Result<(), SettingRefusal> {
    let asked = integer(value)?;
    if asked < 1 {
        return Err(invalid(value, "negative value or less than 1 minute"));
    }
    match integer(session) {
        // As in the reference: a session ttl of 0 (never) forbids every value.
        Ok(session) if asked > session => Err(forbidden(&format!("can't be greater than {SESSION}"))),
        _ if asked > MOST_SESSION => Err(invalid(value, &format!("must be at most {MOST_SESSION} minutes"))),
        _ => Ok(()),
    }
}

fn seconds(value: &str) -> Result<(), SettingRefusal> {
    let duration = format!("{value}s");
    match integer(value) {
        Ok(_) => parse_go_duration(&duration).map(|_| ()).map_err(|text| invalid(value, &text)),
        Err(_) => Err(invalid(value, &format!("time: invalid duration {}", quote(&duration)))),
    }
}

fn length(value: &str) -> Result<(), SettingRefusal> {
    match integer(value)? {
        1..=256 => Ok(()),
        _ => Err(invalid(value, "must be a number of characters from 1 to 256")),
    }
}

fn duration(value: &str, least_ms: i64, session: &str) -> Result<(), SettingRefusal> {
    let asked = period(value, least_ms)?;
    match integer(session) {
        Ok(session) if asked > 0 && asked < session.saturating_mul(60_000) => {
            Err(forbidden(&format!("can't be less than {SESSION}")))
        }
        _ => Ok(()),
    }
}

/// A duration in ms: 0, or at least so much.
fn period(value: &str, least_ms: i64) -> Result<i64, SettingRefusal> {
    match parse_go_duration(value).map_err(|text| invalid(value, &text))? {
        ..0 => Err(invalid(value, "negative value")),
        asked if asked > 0 && asked < least_ms => {
            Err(forbidden(&format!("must be at least {}h0m0s", least_ms / 3_600_000)))
        }
        asked => Ok(asked),
    }
}

fn url(value: &str) -> Result<(), SettingRefusal> {
    let rest = value.strip_prefix("https://").or_else(|| value.strip_prefix("http://"));
    let good = rest.is_some_and(|rest| {
        let host = rest.split('/').next().unwrap_or_default();
        !host.is_empty()
            && !host.starts_with(':')
            && !rest.contains(['?', '#', '@', '\\', '"', '<', '>'])
            && rest.chars().all(|c| !c.is_whitespace() && !c.is_control())
    });
    if good {
        Ok(())
    } else {
        Err(invalid(value, "must be the URL of a server, such as https://tokens.example.org"))
    }
}

fn invalid(value: &str, text: &str) -> SettingRefusal {
    SettingRefusal {
        cause: Cause::Invalid,
        message: format!("value: Invalid value: {}: {text}", quote(value)),
    }
}

fn forbidden(text: &str) -> SettingRefusal {
    SettingRefusal { cause: Cause::Forbidden, message: format!("value: Forbidden: {text}") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use proptest::prelude::*;

    use super::super::{IDLE, all};
    use super::*;

    fn with(name: &str, value: &str, others: &[(&str, &str)]) -> Result<(), String> {
        let other = |asked: &str| {
            let given = others.iter().find(|(n, _)| *n == asked).map(|(_, v)| *v);
            given.or_else(|| find(asked).map(|info| info.default)).unwrap_or_default().to_owned()
        };
        validate(find(name).unwrap(), value, &other).map_err(|refusal| refusal.message)
    }

    fn text(name: &str, value: &str) -> String {
        with(name, value, &[]).unwrap_err()
    }

    #[test]
    fn the_references_texts_are_kept() {
        assert_eq!(
            text(SESSION, "abc"),
            r#"value: Invalid value: "abc": strconv.ParseInt: parsing "abc": invalid syntax"#
        );
        assert_eq!(text(SESSION, "-1"), r#"value: Invalid value: "-1": negative value"#);
        assert_eq!(
            text(SESSION, "99999999999999999999"),
            r#"value: Invalid value: "99999999999999999999": strconv.ParseInt: parsing "99999999999999999999": value out of range"#
        );
        assert_eq!(text(IDLE, "0"), r#"value: Invalid value: "0": negative value or less than 1 minute"#);
        assert_eq!(
            text(IDLE, "961"),
            "value: Forbidden: can't be greater than auth-user-session-ttl-minutes"
        );
        assert_eq!(
            text(DISABLE_AFTER, "7d"),
            r#"value: Invalid value: "7d": time: unknown unit "d" in duration "7d""#
        );
        assert_eq!(text(DISABLE_AFTER, "-1h"), r#"value: Invalid value: "-1h": negative value"#);
        assert_eq!(
            text(DISABLE_AFTER, "1h"),
            "value: Forbidden: can't be less than auth-user-session-ttl-minutes"
        );
        assert_eq!(text(DELETE_AFTER, "335h"), "value: Forbidden: must be at least 336h0m0s");
        assert_eq!(
            text("auth-user-info-max-age-seconds", ""),
            r#"value: Invalid value: "": time: invalid duration "s""#
        );
        assert_eq!(
            text("user-last-login-default", "x"),
            r#"value: Invalid value: "x": parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006""#
        );
        assert_eq!(text("kubeconfig-token-ttl-minutes", "129601"), "max ttl for tokens is [129600]");
        assert_eq!(
            text("kubeconfig-default-token-ttl-minutes", "129600.5"),
            "max ttl for tokens is [129600]"
        );
    }

    #[test]
    fn a_session_may_not_outlast_user_retention() {
        let retention = [(DISABLE_AFTER, "1h")];
        assert_eq!(
            with(SESSION, "61", &retention),
            Err("value: Forbidden: can't be greater than disable-inactive-user-after".into())
        );
        assert_eq!(with(SESSION, "60", &retention), Ok(()));
        assert_eq!(with(SESSION, "0", &retention), Ok(()));
    }

    #[test]
    fn every_interplay_of_the_durations_has_its_text() {
        let forbidden = |text: &str| Err(format!("value: Forbidden: {text}"));
        // A session against both durations, the first that is too short is named.
        let both = [(DISABLE_AFTER, "24h"), (DELETE_AFTER, "336h")];
        assert_eq!(
            with(SESSION, "1441", &both),
            forbidden("can't be greater than disable-inactive-user-after")
        );
        let delete = [(DISABLE_AFTER, "0s"), (DELETE_AFTER, "336h")];
        assert_eq!(
            with(SESSION, "20161", &delete),
            forbidden("can't be greater than delete-inactive-user-after")
        );
        assert_eq!(with(SESSION, "20160", &delete), Ok(()));
        assert_eq!(with(SESSION, "1441", &[(DISABLE_AFTER, "0")]), Ok(()), "0 is off");
        assert_eq!(
            with(SESSION, "1441", &[(DISABLE_AFTER, "soon")]),
            Ok(()),
            "what cannot be read is skipped"
        );
        // The durations against a session.
        let long = [(SESSION, "43200")];
        for name in [DISABLE_AFTER, DELETE_AFTER] {
            assert_eq!(
                with(name, "719h", &long),
                forbidden("can't be less than auth-user-session-ttl-minutes"),
                "{name}"
            );
            assert_eq!(with(name, "720h", &long), Ok(()), "{name}");
            assert_eq!(with(name, "0s", &long), Ok(()), "{name}");
            assert_eq!(with(name, "0", &long), Ok(()), "{name}");
            assert_eq!(with(name, "", &long), Ok(()), "{name}");
            assert_eq!(with(name, "719h", &[(SESSION, "long")]), Ok(()), "what cannot be read is skipped");
        }
        assert_eq!(text(DELETE_AFTER, "335h59m59s"), "value: Forbidden: must be at least 336h0m0s");
        assert_eq!(text(DELETE_AFTER, "-1s"), r#"value: Invalid value: "-1s": negative value"#);
        assert_eq!(
            text(DELETE_AFTER, "14d"),
            r#"value: Invalid value: "14d": time: unknown unit "d" in duration "14d""#
        );
        assert_eq!(
            text(IDLE, "x"),
            r#"value: Invalid value: "x": strconv.ParseInt: parsing "x": invalid syntax"#
        );
        assert_eq!(text(IDLE, "-5"), r#"value: Invalid value: "-5": negative value or less than 1 minute"#);
        for name in ["user-retention-cron", "auth-user-info-resync-cron"] {
            assert_eq!(
                text(name, "every hour"),
                r#"value: Invalid value: "every hour": expected exactly 5 fields, found 2: [every hour]"#
            );
            assert_eq!(
                text(name, "60 * * * *"),
                r#"value: Invalid value: "60 * * * *": end of range (60) above maximum (59): 60"#
            );
        }
        assert_eq!(
            text("auth-user-info-max-age-seconds", "1h"),
            r#"value: Invalid value: "1h": time: invalid duration "1hs""#
        );
        assert!(text("user-retention-dry-run", "yes").contains("must be true or false"));
        // The checks are one-sided.
        assert_eq!(with(SESSION, "5", &[(IDLE, "960")]), Ok(()));
    }

    #[test]
    fn a_users_own_durations_are_checked_like_the_settings_but_for_the_session() {
        let check = |name, value| validate_override(name, value).map_err(|refusal| refusal.message);
        for value in ["", "0s", "1s", "1.5h"] {
            assert_eq!(check(DISABLE_AFTER, value), Ok(()), "{value}");
        }
        assert_eq!(check(DELETE_AFTER, "336h0m0s"), Ok(()));
        assert_eq!(check(DELETE_AFTER, "0s"), Ok(()));
        assert_eq!(check(DELETE_AFTER, "335h"), Err("value: Forbidden: must be at least 336h0m0s".into()));
        assert_eq!(check(DISABLE_AFTER, "-1s"), Err(r#"value: Invalid value: "-1s": negative value"#.into()));
        assert_eq!(
            check(DISABLE_AFTER, "7d"),
            Err(r#"value: Invalid value: "7d": time: unknown unit "d" in duration "7d""#.into())
        );
    }

    #[test]
    fn a_session_that_never_ends_leaves_no_idle_time_to_set() {
        assert!(with(IDLE, "1", &[(SESSION, "0")]).is_err());
    }

    #[test]
    fn nonsense_is_refused_with_what_is_allowed() {
        for bad in ["abc", "-1", "1h", "1e9", "999999999999", " 1"] {
            assert!(text(MAX_TTL, bad).contains("must be a number of minutes from 0 to"), "{bad}");
            assert!(
                text("kubeconfig-default-token-ttl-minutes", bad).contains("must be a number of minutes"),
                "{bad}"
            );
        }
        assert!(text("kubeconfig-generate-token", "yes").contains("must be true or false"));
        assert!(text("password-min-length", "0").contains("from 1 to 256"));
        for bad in ["tokens.example.org", "https://", "ftp://x", "https://a b", "https://x?y"] {
            assert!(text("server-url", bad).contains("must be the URL"), "{bad}");
        }
    }

    #[test]
    fn good_values_are_taken() {
        for (name, value) in [
            (MAX_TTL, "0"),
            (MAX_TTL, "1.5"),
            ("kubeconfig-default-token-ttl-minutes", "0"),
            ("kubeconfig-token-ttl-minutes", "129600"),
            (SESSION, "0"),
            (IDLE, "960"),
            (DISABLE_AFTER, "0s"),
            (DELETE_AFTER, "336h"),
            ("user-retention-cron", "0 * * * *"),
            ("user-last-login-default", "2026-03-02T09:15:04Z"),
            ("auth-user-info-max-age-seconds", "-5"),
            ("server-url", "https://tokens.example.org:8443/prefix"),
            ("server-url", "https://[::1]:8443"),
        ] {
            assert_eq!(with(name, value, &[]), Ok(()), "{name}={value}");
        }
        for info in all() {
            assert_eq!(with(info.name, info.default, &[]), Ok(()), "the default of {}", info.name);
        }
    }

    #[test]
    fn lowering_the_maximum_is_always_accepted() {
        assert_eq!(with(MAX_TTL, "1", &[("kubeconfig-default-token-ttl-minutes", "99999")]), Ok(()));
    }

    #[test]
    fn a_kubeconfig_ttl_has_no_bound_without_a_maximum() {
        assert_eq!(with("kubeconfig-token-ttl-minutes", "9999999", &[(MAX_TTL, "0")]), Ok(()));
    }

    #[test]
    fn read_only_settings_and_those_of_the_environment_are_not_written() {
        let refusal = |name: &str, env| validate_write(find(name).unwrap(), env).map_err(|r| r.message);
        assert_eq!(refusal("cacerts", false), Err("cacerts is readOnly".into()));
        assert_eq!(
            refusal(MAX_TTL, true),
            Err("auth-token-max-ttl-minutes is readOnly because its value is from environment variable"
                .into())
        );
        assert_eq!(refusal(MAX_TTL, false), Ok(()));
    }

    proptest! {
        #[test]
        fn checking_never_panics(value in "\\PC{0,40}", which in 0usize..30) {
            let info = all()[which % all().len()];
            let _ = with(info.name, &value, &[]);
        }
    }
}
