//! Durations for people, as Kubernetes prints them (ext-token.md §4), and durations as Go writes them in settings.

use crate::time::millis;
use crate::ttl::Lifetime;

const SECOND: i64 = 1000;

/// `90d`, `120m`, `9m59s`, …; `<invalid>` below minus one second.
#[must_use]
pub fn human_duration(ms: i64) -> String {
    let seconds = ms / SECOND;
    if seconds < -1 {
        return "<invalid>".to_owned();
    }
    let seconds = seconds.max(0);
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let (days, years) = (hours / 24, hours / (24 * 365));
    match () {
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => two(minutes, 'm', seconds % 60, 's'),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => two(hours, 'h', minutes % 60, 'm'),
        () if hours < 48 => format!("{hours}h"),
        () if hours < 192 => two(days, 'd', hours % 24, 'h'),
        () if years < 2 => format!("{days}d"),
        () if years < 8 => two(years, 'y', days % 365, 'd'),
        () => format!("{years}y"),
    }
}

/// The cell of the `TTL` column: `never`, else the configured (not the remaining) time (DEC17).
#[must_use]
pub fn ttl_cell(lifetime: Lifetime) -> String {
    match lifetime {
        Lifetime::Forever => "never".to_owned(),
        Lifetime::For(ms) => human_duration(i64::try_from(ms).unwrap_or(i64::MAX)),
    }
}

/// The cell of the `Age` column; `<unknown>` for an object without creation time.
#[must_use]
pub fn age(now_ms: u64, created_s: i64) -> String {
    if created_s == 0 {
        return "<unknown>".to_owned();
    }
    let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    human_duration(signed(now_ms).saturating_sub(signed(millis(created_s))))
}

fn two(large: i64, large_unit: char, small: i64, small_unit: char) -> String {
    if small == 0 {
        format!("{large}{large_unit}")
    } else {
        format!("{large}{large_unit}{small}{small_unit}")
    }
}

/// Reads a Go duration (`1h30m`, `1.5h`, `-2s`, `0`) as milliseconds, rounded towards zero.
///
/// # Errors
/// Go's own text, such as `time: unknown unit "d" in duration "7d"`.
pub fn parse_go_duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {}", quote(text));
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut nanos: i128 = 0;
    while !rest.is_empty() {
        let (number, after) =
            rest.split_at(rest.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(rest.len()));
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(invalid());
        }
        let (unit, after) =
            after.split_at(after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len()));
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {}", quote(text)));
        }
        let scale: i128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return Err(format!("time: unknown unit {} in duration {}", quote(unit), quote(text))),
        };
        // 19 digits hold every duration that fits into 64 bits of nanoseconds; longer numbers only have leading zeros or overflow.
        let whole = if whole.trim_start_matches('0').is_empty() {
            0
        } else {
            short(whole.trim_start_matches('0'), 19).ok_or_else(invalid)?
        };
        let fraction = fraction.get(..fraction.len().min(18)).unwrap_or_default();
        let part = if fraction.is_empty() { 0 } else { short(fraction, 18).ok_or_else(invalid)? };
        let below = 10i128.pow(u32::try_from(fraction.len()).unwrap_or(0));
        nanos = nanos.saturating_add(whole * scale).saturating_add(part * scale / below);
        if nanos > i128::from(i64::MAX) {
            return Err(invalid());
        }
        rest = after;
    }
    let ms = i64::try_from(nanos / 1_000_000).map_err(|_| invalid())?;
    Ok(if negative { -ms } else { ms })
}

fn short(digits: &str, most: usize) -> Option<i128> {
    (digits.len() <= most).then(|| digits.parse().ok()).flatten()
}

/// A string as Go's `%q` prints it, closely enough for error texts: quotes, backslashes and control characters are escaped.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => out.push_str(&format!("\\x{:02x}", c as u32)),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cells_read_as_in_the_reference() {
        for (ms, cell) in [
            (7_776_000_000, "90d"),
            (2_592_000_000, "30d"),
            (7_200_000, "120m"),
            (10_800_000, "3h"),
            (57_600_000, "16h"),
            (86_400_000, "24h"),
            (172_800_000, "2d"),
            (176_400_000, "2d1h"),
            (60_000, "60s"),
            (120_000, "2m"),
            (599_000, "9m59s"),
            (600_000, "10m"),
            (28_799_000, "7h59m"),
            (28_800_000, "8h"),
            (691_199_000, "7d23h"),
            (691_200_000, "8d"),
            (63_071_999_000, "729d"),
            (63_072_000_000, "2y"),
            (63_158_400_000, "2y1d"),
            (252_288_000_000, "8y"),
            (-1, "0s"),
            (-1999, "0s"),
            (-2000, "<invalid>"),
            (0, "0s"),
            (i64::MIN, "<invalid>"),
        ] {
            assert_eq!(human_duration(ms), cell, "{ms}");
        }
    }

    #[test]
    fn a_token_that_never_expires_says_never() {
        assert_eq!(ttl_cell(Lifetime::Forever), "never");
        assert_eq!(ttl_cell(Lifetime::For(7_776_000_000)), "90d");
        assert_eq!(ttl_cell(Lifetime::For(u64::MAX)), human_duration(i64::MAX));
    }

    #[test]
    fn age_counts_from_creation() {
        assert_eq!(age(1_800_000_018_500, 1_800_000_000), "18s");
        assert_eq!(age(1_800_000_018_500, 0), "<unknown>");
        assert_eq!(age(1_800_000_000_000, 1_900_000_000), "<invalid>");
    }

    #[test]
    fn go_durations_are_read_and_refused_in_gos_words() {
        for (text, ms) in [
            ("0", 0),
            ("0s", 0),
            ("1h30m", 5_400_000),
            ("1.5h", 5_400_000),
            ("-2s", -2000),
            ("336h", 1_209_600_000),
            (".5s", 500),
            ("1us", 0),
        ] {
            assert_eq!(parse_go_duration(text), Ok(ms), "{text}");
        }
        for (text, error) in [
            ("7d", "time: unknown unit \"d\" in duration \"7d\""),
            ("5", "time: missing unit in duration \"5\""),
            ("", "time: invalid duration \"\""),
            ("abc", "time: invalid duration \"abc\""),
            (".s", "time: invalid duration \".s\""),
            ("1.2.3s", "time: invalid duration \"1.2.3s\""),
            ("99999999999999999999h", "time: invalid duration \"99999999999999999999h\""),
            ("9999999999h", "time: invalid duration \"9999999999h\""),
        ] {
            assert_eq!(parse_go_duration(text), Err(error.to_owned()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn reading_a_duration_never_panics(text in "[-+]?[0-9.hmsuµnd ]{0,40}") {
            let _ = parse_go_duration(&text);
        }
    }
}
