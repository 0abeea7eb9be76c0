//! Times as Kubernetes writes them: RFC 3339, UTC, whole seconds.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

/// `2026-07-01T00:00:00Z` for seconds since 1970. Times outside the years -9999 to 9999 are shown as the nearest that can be.
#[must_use]
pub fn format_rfc3339(seconds: i64) -> String {
    let nearest = if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_second(seconds)
        .unwrap_or_else(|_| Timestamp::from_second(nearest.as_second()).unwrap_or(nearest))
        .to_string()
}

/// Seconds since 1970. Offsets are applied and fractions cut off; anything but RFC 3339 with an upper-case `T` and `Z` is `None`.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    let (date_time, rest) = text.split_at_checked(19)?;
    let zone = match rest.strip_prefix('.') {
        None => rest,
        Some(fraction) => {
            let zone = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
            if zone.len() == fraction.len() {
                return None;
            }
            zone
        }
    };
    let offset = match zone.as_bytes() {
        b"Z" => 0,
        [sign @ (b'+' | b'-'), hours @ .., b':', m1, m2] if hours.len() == 2 => {
            let (hours, minutes) = (number(hours)?, number(&[*m1, *m2])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let seconds = (hours * 60 + minutes) * 60;
            if *sign == b'-' { -seconds } else { seconds }
        }
        _ => return None,
    };
    let field = |from: usize, to: usize| number(date_time.as_bytes().get(from..to)?);
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if separators.iter().any(|&(at, c)| date_time.as_bytes().get(at) != Some(&c)) {
        return None;
    }
    let small = |from, to| i8::try_from(field(from, to)?).ok();
    let civil = DateTime::new(
        i16::try_from(field(0, 4)?).ok()?,
        small(5, 7)?,
        small(8, 10)?,
        small(11, 13)?,
        small(14, 16)?,
        small(17, 19)?,
        0,
    );
    let local = Offset::UTC.to_timestamp(civil.ok()?).ok()?;
    local.as_second().checked_sub(i64::from(offset))
}

fn number(digits: &[u8]) -> Option<i32> {
    digits.iter().try_fold(0, |n, d| d.is_ascii_digit().then(|| n * 10 + i32::from(d - b'0')))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn offsets_and_fractions_are_understood_and_cut() {
        assert_eq!(parse_rfc3339("1970-01-01T00:00:10Z"), Some(10));
        assert_eq!(parse_rfc3339("1970-01-01T02:00:10.999999999+02:00"), Some(10));
        assert_eq!(parse_rfc3339("1969-12-31T22:00:10-02:00"), Some(10));
        assert_eq!(format_rfc3339(1_782_864_000), "2026-07-01T00:00:00Z");
    }

    #[test]
    fn other_spellings_are_refused() {
        for bad in [
            "",
            "1970-01-01",
            "1970-01-01t00:00:00Z",
            "1970-01-01T00:00:00z",
            "1970-01-01T00:00:00",
            "1970-01-01T00:00:00.Z",
            "1970-02-30T00:00:00Z",
            "1970-01-01T24:00:00Z",
            "1970-01-01T00:00:60Z",
            "1970-01-01T00:00:00+2:00",
            "1970-01-01T00:00:00+24:00",
            "+970-01-01T00:00:00Z",
            "1970-01-01T00:00:0éZ",
        ] {
            assert_eq!(parse_rfc3339(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(seconds in 0i64..=253_402_207_200) {
            prop_assert_eq!(parse_rfc3339(&format_rfc3339(seconds)), Some(seconds));
        }

        #[test]
        fn no_time_is_too_far_to_be_written(seconds in any::<i64>()) {
            prop_assert!(format_rfc3339(seconds).ends_with('Z'));
        }
    }
}
