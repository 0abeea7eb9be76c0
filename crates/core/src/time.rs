//! Time as an argument: what the wiring reads once and hands down, and how times are written.

use jiff::Timestamp;

/// The last second that can be shown: 9999-12-31T23:59:59Z (DEC3).
pub const LAST_SECOND: i64 = 253_402_300_799;
/// [`LAST_SECOND`] in milliseconds: no expiry lies later.
pub const LAST_MS: u64 = 253_402_300_799_000;

/// Two readings of the machine's clocks, taken together by the wiring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Wall clock, milliseconds since 1970 (UTC). May jump either way.
    pub wall_ms: u64,
    /// A clock that never jumps, milliseconds since some fixed point of this boot.
    pub boot_ms: u64,
}

/// Whole seconds since 1970 of a time in milliseconds (rounded down), as objects store them.
#[must_use]
pub fn seconds(ms: u64) -> i64 {
    i64::try_from(ms / 1000).unwrap_or(LAST_SECOND)
}

/// Milliseconds since 1970 of a stored time in seconds; times before 1970 count as 1970.
#[must_use]
pub fn millis(seconds: i64) -> u64 {
    u64::try_from(seconds).unwrap_or(0).saturating_mul(1000)
}

/// `2026-03-02T09:15:04Z`: RFC 3339 in UTC with whole seconds; later than the year 9999 shows the last second of it, earlier than
/// the year 0 its first.
///
/// Not left to jiff, whose timestamps end a day before the year 9999 does.
#[must_use]
pub fn rfc3339(seconds: i64) -> String {
    let seconds = seconds.clamp(-62_167_219_200, LAST_SECOND);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month (1 to 12) and day of month (1 to 31) of a day counted from 1970-01-01, in the Gregorian calendar.
pub(crate) fn civil(days: i64) -> (i64, i64, i64) {
    // Days since 0000-03-01, so that a leap day is the last of its year; eras of 400 years have equal lengths.
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year + era * 400 + i64::from(month <= 2), month, of_month)
}

/// Reads RFC 3339 (any offset, fractions allowed) as whole seconds since 1970, rounded down.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    // jiff also takes RFC 9557 annotations and a space as separator, which are not RFC 3339 as clients know it.
    let shape =
        text.len() >= 20 && text.is_ascii() && text.as_bytes().get(10) == Some(&b'T') && !text.contains('[');
    if !shape {
        return None;
    }
    text.parse::<Timestamp>().ok().map(|t| t.as_millisecond().div_euclid(1000))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_written_in_utc_with_whole_seconds() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(1_772_442_904), "2026-03-02T09:15:04Z");
    }

    #[test]
    fn no_time_is_shown_later_than_the_year_9999() {
        assert_eq!(rfc3339(LAST_SECOND), "9999-12-31T23:59:59Z");
        assert_eq!(rfc3339(i64::MAX), "9999-12-31T23:59:59Z");
        assert_eq!(seconds(LAST_MS), LAST_SECOND);
        assert!(seconds(u64::MAX) > 0);
        assert_eq!(rfc3339(i64::MIN), "0000-01-01T00:00:00Z");
    }

    proptest! {
        #[test]
        fn writing_agrees_with_jiff(seconds in -62_000_000_000i64..253_400_000_000) {
            prop_assert_eq!(rfc3339(seconds), Timestamp::from_second(seconds).unwrap().to_string());
            prop_assert_eq!(parse_rfc3339(&rfc3339(seconds)), Some(seconds));
        }
    }

    #[test]
    fn rfc3339_is_read_with_any_offset_and_nothing_else_is() {
        assert_eq!(parse_rfc3339("2026-03-02T09:15:04Z"), Some(1_772_442_904));
        assert_eq!(parse_rfc3339("2026-03-02T10:15:04.9+01:00"), Some(1_772_442_904));
        for bad in [
            "",
            "2026-03-02",
            "2026-03-02 09:15:04Z",
            "2026-03-02T09:15:04",
            "2026-03-02T09:15:04Z[UTC]",
            "tomorrow",
        ] {
            assert_eq!(parse_rfc3339(bad), None, "{bad}");
        }
    }
}
