//! Time to live: units as types, the clamp against the maximum (DEC3 to DEC5, DEC40), and expiry (DEC6).
//!
//! `Token.spec.ttl` and `/v3`'s `ttl` are milliseconds, `Kubeconfig.spec.ttl` is seconds, settings are minutes.

use serde::{Deserialize, Serialize};

use crate::duration::human_duration;
use crate::time::{LAST_MS, millis};

/// Name of the setting that holds the maximum.
pub const MAX_SETTING: &str = "auth-token-max-ttl-minutes";

/// How long a token lives, counted from its shown creation time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lifetime {
    /// Never expires.
    Forever,
    /// Expires this many milliseconds after creation.
    For(u64),
}

impl Lifetime {
    /// Whether a token of this lifetime outlives one of the other; two that never expire are equal.
    #[must_use]
    pub fn outlives(self, other: Self) -> bool {
        match (self, other) {
            (Self::Forever, Self::Forever) | (Self::For(_), Self::Forever) => false,
            (Self::Forever, Self::For(_)) => true,
            (Self::For(a), Self::For(b)) => a > b,
        }
    }

    /// When a token created at `created_s` (seconds since 1970) expires, in milliseconds since 1970; at most the year 9999.
    #[must_use]
    pub fn expires_ms(self, created_s: i64) -> Option<u64> {
        match self {
            Self::Forever => None,
            Self::For(ms) => Some(millis(created_s).saturating_add(ms).min(LAST_MS)),
        }
    }

    /// Whether it has expired: from the very millisecond of creation + ttl on (DEC6).
    #[must_use]
    pub fn expired(self, created_s: i64, now_ms: u64) -> bool {
        self.expires_ms(created_s).is_some_and(|at| now_ms >= at)
    }

    /// Milliseconds, where there is an end.
    #[must_use]
    pub const fn millis(self) -> Option<u64> {
        match self {
            Self::Forever => None,
            Self::For(ms) => Some(ms),
        }
    }

    /// From a number that means "no end" when it is `None` (settings: no maximum).
    #[must_use]
    pub fn from_limit(limit: Option<u64>) -> Self {
        limit.map_or(Self::Forever, Self::For)
    }
}

/// `Token.spec.ttl` (ext) or `ttl` (/v3) as it was asked for: milliseconds, any sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TtlMillis(pub i64);

/// `Kubeconfig.spec.ttl` as it was asked for: seconds, any sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TtlSeconds(pub i64);

/// A setting in minutes, 0 or more, decimals allowed; kept as milliseconds. Zero means "no limit" or "default", by setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Minutes(u64);

/// The largest number of minutes that is taken: 292 years, as in the reference (64 bits of nanoseconds).
pub const MOST_MINUTES: u64 = 153_722_867;

impl Minutes {
    /// Reads `90`, `1.5` or `.5`; `None` for anything else, negative numbers and more than [`MOST_MINUTES`].
    ///
    /// A positive value below one millisecond counts as one, not as zero: zero means "unlimited", and nobody asked for that.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
            return None;
        }
        let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let mut ms = whole.checked_mul(60_000)?;
        let mut unit = 60_000_000u64; // of thousandths of a millisecond per minute
        let mut parts = 0u64;
        for digit in fraction.bytes().take(9) {
            unit /= 10;
            parts = parts.saturating_add(unit.saturating_mul(u64::from(digit - b'0')));
        }
        ms = ms.checked_add(parts / 1000)?;
        if ms == 0 && fraction.bytes().any(|b| b != b'0') {
            ms = 1;
        }
        (ms <= MOST_MINUTES * 60_000).then_some(Self(ms))
    }

    /// From milliseconds.
    #[must_use]
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms)
    }

    /// As milliseconds.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// As a limit in milliseconds: `None` where the setting is 0.
    #[must_use]
    pub const fn limit(self) -> Option<u64> {
        if self.0 == 0 { None } else { Some(self.0) }
    }
}

/// What a clamp made of a wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clamped {
    /// What the token gets.
    pub lifetime: Lifetime,
    /// A sentence for the `Warning` header where that is not what was asked for.
    pub warning: Option<String>,
}

/// The lifetime of a new ext token (DEC3): `asked` in ms, `max` in ms or `None` where there is no maximum.
#[must_use]
pub fn clamp(asked: Option<i64>, max: Option<u64>) -> Clamped {
    let quiet = |lifetime| Clamped { lifetime, warning: None };
    match (asked.unwrap_or(0), max) {
        (0, max) => quiet(Lifetime::from_limit(max)),
        (asked, None) => quiet(wish(asked)),
        (asked, Some(max)) if asked > 0 && asked.unsigned_abs() <= max => quiet(wish(asked)),
        (asked, Some(max)) => Clamped { lifetime: Lifetime::For(max), warning: Some(reduced(asked, max)) },
    }
}

/// The lifetime of a new legacy token, where 0 asks for never and gets the maximum, and a negative ttl is refused (DEC5).
///
/// # Errors
/// [`NegativeTtl`]: 422 `MinLimitExceeded` at `/v3`.
pub fn clamp_legacy(asked: Option<i64>, max: Option<u64>) -> Result<Clamped, NegativeTtl> {
    if asked.is_some_and(|ms| ms < 0) { Err(NegativeTtl) } else { Ok(clamp(asked, max)) }
}

/// A negative ttl at `/v3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("ttl must not be negative")]
pub struct NegativeTtl;

/// The lifetime of a login's token: the session setting alone, whatever the maximum; 0 means never (v3-token.md §7.2).
#[must_use]
pub fn session(setting: Minutes) -> Lifetime {
    Lifetime::from_limit(setting.limit())
}

/// The default of kubeconfig tokens, and their ceiling where there is a maximum (kubeconfig-and-cli.md §1.3, DEC40).
#[must_use]
pub fn kubeconfig_default(default: Minutes, max: Option<u64>) -> Lifetime {
    match (default.limit(), max) {
        (Some(default), Some(max)) => Lifetime::For(default.min(max)),
        (None, max) => Lifetime::from_limit(max),
        (default, None) => Lifetime::from_limit(default),
    }
}

/// Why a kubeconfig's ttl is not taken; `Display` is the text (400).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KubeconfigTtlRefusal {
    /// Below 0.
    #[error("spec.ttl can't be negative")]
    Negative,
    /// Above the ceiling; both in seconds.
    #[error("spec.ttl {asked} exceeds max ttl {max}")]
    TooLong {
        /// Asked for, in seconds.
        asked: i64,
        /// Ceiling, in seconds.
        max: u64,
    },
}

/// The lifetime of a kubeconfig's tokens. It is refused, not clamped; without a maximum every ttl is taken (DEC40).
///
/// # Errors
/// [`KubeconfigTtlRefusal`].
pub fn kubeconfig(
    asked: TtlSeconds,
    default: Minutes,
    max: Option<u64>,
) -> Result<Lifetime, KubeconfigTtlRefusal> {
    let ceiling = kubeconfig_default(default, max);
    let Ok(seconds) = u64::try_from(asked.0) else {
        return Err(KubeconfigTtlRefusal::Negative);
    };
    if seconds == 0 {
        return Ok(ceiling);
    }
    let lifetime = Lifetime::For(seconds.saturating_mul(1000));
    match ceiling {
        Lifetime::For(most) if max.is_some() && lifetime.outlives(ceiling) => {
            Err(KubeconfigTtlRefusal::TooLong { asked: asked.0, max: most / 1000 })
        }
        _ => Ok(lifetime),
    }
}

/// A wish other than 0 as a lifetime: negative means never.
#[must_use]
pub(crate) fn wish(asked: i64) -> Lifetime {
    u64::try_from(asked).map_or(Lifetime::Forever, Lifetime::For)
}

fn reduced(asked: i64, max: u64) -> String {
    let given = format!("{max} ms ({})", human_duration(i64::try_from(max).unwrap_or(i64::MAX)));
    if asked < 0 {
        format!(
            "ttl {asked} asks for a token that never expires; it was reduced to {given}, the maximum set by {MAX_SETTING}"
        )
    } else {
        format!(
            "ttl was reduced from {asked} ms ({}) to {given}, the maximum set by {MAX_SETTING}",
            human_duration(asked)
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use proptest::prelude::*;

    use super::*;
    use crate::time::LAST_SECOND;

    const DAY: u64 = 86_400_000;
    const MAX: u64 = 90 * DAY;

    fn row(asked: Option<i64>, max: Option<u64>) -> (Lifetime, bool) {
        let clamped = clamp(asked, max);
        (clamped.lifetime, clamped.warning.is_some())
    }

    #[test]
    fn an_absent_or_zero_ttl_means_the_maximum() {
        assert_eq!(row(None, Some(MAX)), (Lifetime::For(MAX), false));
        assert_eq!(row(Some(0), Some(MAX)), (Lifetime::For(MAX), false));
    }

    #[test]
    fn an_absent_or_zero_ttl_without_a_maximum_means_never() {
        assert_eq!(row(None, None), (Lifetime::Forever, false));
        assert_eq!(row(Some(0), None), (Lifetime::Forever, false));
    }

    #[test]
    fn never_is_clamped_with_a_warning() {
        assert_eq!(row(Some(-1), Some(MAX)), (Lifetime::For(MAX), true));
        assert_eq!(row(Some(i64::MIN), Some(MAX)), (Lifetime::For(MAX), true));
    }

    #[test]
    fn never_without_a_maximum_is_never() {
        assert_eq!(row(Some(-7), None), (Lifetime::Forever, false));
    }

    #[test]
    fn a_ttl_up_to_the_maximum_is_kept() {
        assert_eq!(row(Some(1), Some(MAX)), (Lifetime::For(1), false));
        assert_eq!(row(Some(7_776_000_000), Some(MAX)), (Lifetime::For(MAX), false));
        assert_eq!(row(Some(i64::MAX), None), (Lifetime::For(i64::MAX.unsigned_abs()), false));
    }

    #[test]
    fn a_ttl_above_the_maximum_is_clamped_and_the_warning_says_from_what_to_what() {
        assert_eq!(row(Some(9_999_999_999), Some(MAX)), (Lifetime::For(MAX), true));
        assert_eq!(
            clamp(Some(9_999_999_999), Some(MAX)).warning.unwrap(),
            "ttl was reduced from 9999999999 ms (115d) to 7776000000 ms (90d), the maximum set by auth-token-max-ttl-minutes"
        );
        assert_eq!(
            clamp(Some(-1), Some(MAX)).warning.unwrap(),
            "ttl -1 asks for a token that never expires; it was reduced to 7776000000 ms (90d), the maximum set by auth-token-max-ttl-minutes"
        );
    }

    #[test]
    fn a_legacy_ttl_may_not_be_negative() {
        assert_eq!(clamp_legacy(Some(-1), None), Err(NegativeTtl));
        assert_eq!(clamp_legacy(Some(0), Some(MAX)).unwrap().lifetime, Lifetime::For(MAX));
        assert_eq!(clamp_legacy(Some(0), None).unwrap().lifetime, Lifetime::Forever);
        assert!(clamp_legacy(Some(9_999_999_999), Some(MAX)).unwrap().warning.is_some());
    }

    #[test]
    fn expiry_is_exact_to_the_millisecond() {
        let life = Lifetime::For(1500);
        assert!(!life.expired(100, 101_499));
        assert!(life.expired(100, 101_500));
        assert!(Lifetime::For(0).expired(100, 100_000));
        assert!(!Lifetime::Forever.expired(0, u64::MAX));
    }

    #[test]
    fn a_huge_ttl_ends_with_the_year_9999() {
        assert_eq!(Lifetime::For(u64::MAX).expires_ms(1), Some(LAST_MS));
        assert_eq!(Lifetime::For(i64::MAX.unsigned_abs()).expires_ms(i64::MAX), Some(LAST_MS));
        assert_eq!(Lifetime::For(1).expires_ms(LAST_SECOND), Some(LAST_MS));
        assert_eq!(Lifetime::For(5).expires_ms(-3), Some(5));
    }

    #[test]
    fn minutes_take_decimals_and_nothing_odd() {
        for (text, ms) in [
            ("0", 0),
            ("129600", MAX),
            ("1.5", 90_000),
            (".5", 30_000),
            ("2.", 120_000),
            ("0.00001", 1),
            ("0.0", 0),
            ("153722867", 9_223_372_020_000),
        ] {
            assert_eq!(Minutes::parse(text).map(Minutes::millis), Some(ms), "{text}");
        }
        for bad in [
            "",
            ".",
            "-1",
            "+1",
            "1h",
            "1e3",
            " 1",
            "1 ",
            "1.2.3",
            "153722868",
            "99999999999999999999",
            "٣",
            "1_000",
        ] {
            assert_eq!(Minutes::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_kubeconfig_default_never_exceeds_the_maximum() {
        let minutes = |n: u64| Minutes::from_millis(n * 60_000);
        assert_eq!(kubeconfig_default(minutes(0), None), Lifetime::Forever);
        assert_eq!(kubeconfig_default(minutes(0), Some(MAX)), Lifetime::For(MAX));
        assert_eq!(kubeconfig_default(minutes(60), None), Lifetime::For(3_600_000));
        assert_eq!(kubeconfig_default(minutes(60), Some(MAX)), Lifetime::For(3_600_000));
        assert_eq!(kubeconfig_default(minutes(999_999), Some(MAX)), Lifetime::For(MAX));
    }

    #[test]
    fn a_kubeconfig_ttl_is_refused_and_not_clamped() {
        let zero = Minutes::default();
        assert_eq!(
            kubeconfig(TtlSeconds(-1), zero, None).unwrap_err().to_string(),
            "spec.ttl can't be negative"
        );
        assert_eq!(
            kubeconfig(TtlSeconds(7_776_001), zero, Some(MAX)).unwrap_err().to_string(),
            "spec.ttl 7776001 exceeds max ttl 7776000"
        );
        assert_eq!(kubeconfig(TtlSeconds(7_776_000), zero, Some(MAX)), Ok(Lifetime::For(MAX)));
        assert_eq!(kubeconfig(TtlSeconds(0), zero, Some(MAX)), Ok(Lifetime::For(MAX)));
        assert_eq!(kubeconfig(TtlSeconds(5), zero, None), Ok(Lifetime::For(5000)));
        assert_eq!(kubeconfig(TtlSeconds(i64::MAX), zero, None), Ok(Lifetime::For(u64::MAX)));
    }

    proptest! {
        #[test]
        fn no_new_token_outlives_the_maximum(asked in any::<Option<i64>>(), max in 1u64..) {
            prop_assert!(!clamp(asked, Some(max)).lifetime.outlives(Lifetime::For(max)));
        }

        #[test]
        fn a_warning_comes_exactly_when_the_wish_was_not_granted(asked in any::<i64>(), max in proptest::option::of(1u64..)) {
            prop_assume!(asked != 0);
            let clamped = clamp(Some(asked), max);
            prop_assert_eq!(clamped.warning.is_some(), clamped.lifetime != wish(asked));
        }

        #[test]
        fn minutes_never_panic(text in "\\PC{0,30}") {
            let _ = Minutes::parse(&text);
        }
    }
}
