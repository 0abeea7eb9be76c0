//! Durations as people type them: Go's, and days.

use eartag_core::duration::parse_go_duration;

/// A time to live in milliseconds; 0 means for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ttl(pub i64);

impl std::str::FromStr for Ttl {
    type Err = String;

    /// `90m`, `12h`, `30d`, `1d12h`, or `0`.
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || "give a time such as 90m, 12h or 30d, or 0 for a token that never expires".to_owned();
        let (days, rest) = text.split_once('d').map_or((None, text), |(days, rest)| (Some(days), rest));
        let milliseconds = |text: &str| parse_go_duration(text).map_err(|_| bad());
        let whole = match days {
            // A day has 24 hours, so days are read as hours are.
            Some(days) if days.bytes().all(|b| b.is_ascii_digit() || b == b'.') => {
                let days = milliseconds(&format!("{days}h"))?.checked_mul(24).ok_or_else(bad)?;
                let rest = if rest.is_empty() { 0 } else { milliseconds(rest)? };
                days.checked_add(rest).filter(|_| rest >= 0).ok_or_else(bad)?
            }
            Some(_) => return Err(bad()),
            None => milliseconds(rest)?,
        };
        let zero = text.bytes().all(|b| !matches!(b, b'1'..=b'9'));
        // Less than a millisecond is not nothing, and nothing means for ever.
        if whole < 0 || (whole == 0 && !zero) { Err(bad()) } else { Ok(Self(whole)) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, ms) in [
            ("90m", 5_400_000),
            ("12h", 43_200_000),
            ("30d", 2_592_000_000),
            ("1d12h", 129_600_000),
            ("0.5d", 43_200_000),
            ("1h30m", 5_400_000),
            ("1.5h", 5_400_000),
            ("500ms", 500),
            ("0", 0),
            ("0s", 0),
            ("0d", 0),
        ] {
            assert_eq!(text.parse(), Ok(Ttl(ms)), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused_in_one_sentence() {
        for bad in [
            "",
            "5",
            "-1h",
            "-1d",
            "d",
            "1d-5h",
            "12h1d",
            "1dd",
            "1us",
            "0.1ms",
            "forever",
            "999999999999d",
            "1 h",
            "１h",
        ] {
            let error = bad.parse::<Ttl>().unwrap_err();
            assert!(error.starts_with("give a time such as 90m"), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_typed_panics_or_is_negative(text in "[0-9a-zµ.+-]{0,24}") {
            if let Ok(Ttl(ms)) = text.parse::<Ttl>() {
                prop_assert!(ms >= 0);
            }
        }

        #[test]
        fn days_are_24_hours(days in 0u32..40_000, hours in 0u32..24) {
            let ms = i64::from(days) * 86_400_000 + i64::from(hours) * 3_600_000;
            prop_assert_eq!(format!("{days}d{hours}h").parse(), Ok(Ttl(ms)));
        }
    }
}
