//! Times and durations as people say them.

use crate::texts::Texts;

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const MONTH: u64 = 30 * DAY;
const YEAR: u64 = 365 * DAY;

/// A moment, ready for `<time>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct When {
    /// RFC 3339, for machines.
    pub iso: String,
    /// Date and time in UTC, for people.
    pub absolute: String,
    /// How long ago or ahead.
    pub relative: String,
}

impl When {
    /// Reads RFC 3339 in UTC, as the API writes it; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str, now_ms: i64, t: Texts) -> Option<When> {
        let at_ms = millis(text)?;
        let date = text.get(..10)?;
        let time = text.get(11..19)?;
        Some(When {
            iso: text.to_owned(),
            absolute: format!("{date} {time} UTC"),
            relative: relative(at_ms, now_ms, t),
        })
    }
}

/// How long ago or ahead a moment is, in its largest unit.
fn relative(at_ms: i64, now_ms: i64, t: Texts) -> String {
    let distance = at_ms.abs_diff(now_ms);
    if distance < 45 * SECOND {
        return t.get("time.now").to_owned();
    }
    let (key, unit) = match distance {
        d if d < HOUR - MINUTE / 2 => ("time.minute", MINUTE),
        d if d < DAY - HOUR / 2 => ("time.hour", HOUR),
        // Tokens live for 90 days: that is said better in days than in months.
        d if d < 100 * DAY => ("time.day", DAY),
        d if d < 2 * YEAR => ("time.month", MONTH),
        _ => ("time.year", YEAR),
    };
    // Rounded: 89.99 days are 90.
    let n = (distance + unit / 2) / unit;
    let said = t.count(key, n.max(1));
    t.fill(if at_ms > now_ms { "time.future" } else { "time.past" }, &[("t", &said)])
}

/// A duration in its two largest units, exact where they suffice: `90 days`, `1 hour 30 minutes`.
#[must_use]
pub fn duration(ms: u64, t: Texts) -> String {
    let units = [("time.day", DAY), ("time.hour", HOUR), ("time.minute", MINUTE), ("time.second", SECOND)];
    let mut rest = ms;
    let mut said: Vec<String> = Vec::new();
    for (key, unit) in units {
        let n = rest / unit;
        rest %= unit;
        if n > 0 {
            said.push(t.count(key, n));
        }
        if said.len() == 2 {
            break;
        }
    }
    if said.is_empty() {
        return t.count("time.millisecond", ms);
    }
    said.join(" ")
}

/// Milliseconds since 1970 of `YYYY-MM-DDTHH:MM:SS[.fff]Z`.
fn millis(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let shape: Vec<u8> = bytes.iter().take(19).map(|b| if b.is_ascii_digit() { b'0' } else { *b }).collect();
    let rest = text.get(19..)?;
    let fraction = rest.strip_prefix('.').and_then(|r| r.strip_suffix('Z'));
    let whole =
        rest == "Z" || fraction.is_some_and(|f| !f.is_empty() && f.bytes().all(|b| b.is_ascii_digit()));
    if shape != b"0000-00-00T00:00:00" || !whole {
        return None;
    }
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Days from civil, with years that begin in March.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = y.div_euclid(400);
    let of_era = y.rem_euclid(400);
    let of_year = (153 * m + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;
    use crate::lang::Lang;

    const NOW: i64 = 1_772_442_904_000;

    fn said(text: &str, lang: Lang) -> String {
        When::parse(text, NOW, Texts(lang)).unwrap().relative
    }

    #[test]
    fn times_are_read_as_the_api_writes_them() {
        assert_eq!(millis("2026-03-02T09:15:04Z"), Some(NOW));
        assert_eq!(millis("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(millis("2024-02-29T00:00:00.5Z"), Some(1_709_164_800_000));
        assert_eq!(millis("9999-12-31T23:59:59Z"), Some(253_402_300_799_000));
        for odd in [
            "",
            "never",
            "2026-03-02",
            "2026-13-02T09:15:04Z",
            "2026-03-02T09:15:04+01:00",
            "2026-03-02T09:15:04é",
            "２026-03-02T09:15:04Z",
        ] {
            assert_eq!(millis(odd), None, "{odd}");
        }
    }

    #[test]
    fn moments_are_said_from_now() {
        assert_eq!(said("2026-03-02T09:15:00Z", Lang::En), "just now");
        assert_eq!(said("2026-03-02T08:15:04Z", Lang::En), "1 hour ago");
        assert_eq!(said("2026-03-01T09:15:04Z", Lang::En), "1 day ago");
        assert_eq!(said("2026-05-31T09:15:04Z", Lang::En), "in 90 days");
        assert_eq!(said("2020-03-02T09:15:04Z", Lang::En), "6 years ago");
        assert_eq!(said("2026-02-10T09:15:04Z", Lang::Zh), "20 天前");
        assert_eq!(said("2026-03-12T09:15:04Z", Lang::Zh), "10 天后");
    }

    #[test]
    fn durations_are_said_in_two_units() {
        let en = Texts(Lang::En);
        assert_eq!(duration(7_776_000_000, en), "90 days");
        assert_eq!(duration(57_600_000, en), "16 hours");
        assert_eq!(duration(5_400_000, en), "1 hour 30 minutes");
        assert_eq!(duration(1, en), "1 millisecond");
        assert_eq!(duration(7_776_000_000, Texts(Lang::Zh)), "90 天");
    }
}
