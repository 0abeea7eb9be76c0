//! Cron schedules of five fields, as settings hold them.

use crate::duration::quote;

/// A schedule: minute, hour, day of month, month, day of week, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cron {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// A day must match both day fields if one of them is `*`, else either.
    any_day: bool,
}

struct Field {
    least: u32,
    most: u32,
    names: &'static [&'static str],
}

const MINUTE: Field = Field { least: 0, most: 59, names: &[] };
const HOUR: Field = Field { least: 0, most: 23, names: &[] };
const DAY: Field = Field { least: 1, most: 31, names: &[] };
const MONTH: Field = Field {
    least: 1,
    most: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
const WEEKDAY: Field = Field { least: 0, most: 6, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] };

impl Cron {
    /// Reads `0 0 * * *`, with lists, ranges, steps, names of months and weekdays, and `@hourly`, `@daily`, ….
    ///
    /// # Errors
    /// What is wrong, in the words of the reference's parser.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > 1000 {
            return Err("schedule is too long".to_owned());
        }
        let text = text.trim();
        let spec = match text {
            "" => return Err("empty spec string".to_owned()),
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            _ if text.starts_with('@') => return Err(format!("unrecognized descriptor: {text}")),
            _ => text,
        };
        let fields: Vec<&str> = spec.split_whitespace().collect();
        let &[minute, hour, day, month, weekday] = fields.as_slice() else {
            return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
        };
        let star = |field: &str| field.split(',').any(|part| part.starts_with(['*', '?']));
        Ok(Self {
            minutes: bits(minute, &MINUTE)?,
            hours: bits(hour, &HOUR)?,
            days: bits(day, &DAY)?,
            months: bits(month, &MONTH)?,
            weekdays: bits(weekday, &WEEKDAY)?,
            any_day: !star(day) && !star(weekday),
        })
    }

    /// The first time after `after_s` (seconds since 1970, UTC) that matches; `None` if none does within five years (30 February).
    #[must_use]
    pub fn next_after(&self, after_s: i64) -> Option<i64> {
        let start = after_s.div_euclid(60).saturating_add(1).saturating_mul(60);
        let mut at = start;
        let last = start.saturating_add(5 * 366 * 86_400);
        while at < last {
            let day = at.div_euclid(86_400);
            if !self.matches_day(day) {
                at = (day + 1) * 86_400;
                continue;
            }
            let second = at.rem_euclid(86_400);
            if !has(self.hours, second / 3600) {
                at = (at.div_euclid(3600) + 1) * 3600;
            } else if !has(self.minutes, second / 60 % 60) {
                at += 60;
            } else {
                return Some(at);
            }
        }
        None
    }

    fn matches_day(&self, day: i64) -> bool {
        let (_, month, of_month) = crate::time::civil(day);
        let weekday = (day + 4).rem_euclid(7); // 1 January 1970 was a Thursday
        let (by_month, by_week) = (has(self.days, of_month), has(self.weekdays, weekday));
        has(self.months, month) && if self.any_day { by_month || by_week } else { by_month && by_week }
    }
}

fn has(bits: u64, at: i64) -> bool {
    u32::try_from(at).ok().and_then(|at| bits.checked_shr(at)).is_some_and(|bits| bits & 1 == 1)
}

fn bits(text: &str, field: &Field) -> Result<u64, String> {
    text.split(',').filter(|part| !part.is_empty()).try_fold(0, |all, part| Ok(all | range(part, field)?))
}

fn range(text: &str, field: &Field) -> Result<u64, String> {
    let mut slashes = text.split('/');
    let (span, step, rest) = (slashes.next().unwrap_or_default(), slashes.next(), slashes.next());
    let mut hyphens = span.split('-');
    let (first, last, more) = (hyphens.next().unwrap_or_default(), hyphens.next(), hyphens.next());
    let (start, mut end) = match (first, last, more) {
        ("*" | "?", None, _) => (field.least, field.most),
        (_, None, _) => {
            let only = number(first, field)?;
            (only, only)
        }
        (_, Some(last), None) => (number(first, field)?, number(last, field)?),
        _ => return Err(format!("too many hyphens: {text}")),
    };
    let step = match (step, rest) {
        (None, _) => 1,
        (Some(step), None) => {
            if last.is_none() {
                end = field.most; // "n/step" means "n-most/step"
            }
            number(step, &Field { least: 0, most: u32::MAX, names: &[] })?
        }
        _ => return Err(format!("too many slashes: {text}")),
    };
    match () {
        () if start < field.least => {
            Err(format!("beginning of range ({start}) below minimum ({}): {text}", field.least))
        }
        () if end > field.most => Err(format!("end of range ({end}) above maximum ({}): {text}", field.most)),
        () if start > end => Err(format!("beginning of range ({start}) beyond end of range ({end}): {text}")),
        () if step == 0 => Err(format!("step of range should be a positive number: {text}")),
        () => Ok((start..=end)
            .step_by(usize::try_from(step).unwrap_or(usize::MAX))
            .fold(0, |bits, n| bits | 1 << n)),
    }
}

fn number(text: &str, field: &Field) -> Result<u32, String> {
    if let Some(at) = field.names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
        return Ok(field.least + u32::try_from(at).unwrap_or(0));
    }
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        if let Ok(number) = text.parse() {
            return Ok(number);
        }
        return Err(format!(
            "failed to parse int from {text}: strconv.Atoi: parsing {}: value out of range",
            quote(text)
        ));
    }
    Err(format!("failed to parse int from {text}: strconv.Atoi: parsing {}: invalid syntax", quote(text)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use proptest::prelude::*;

    use super::*;
    use crate::time::{parse_rfc3339, rfc3339};

    fn next(schedule: &str, after: &str) -> String {
        rfc3339(Cron::parse(schedule).unwrap().next_after(parse_rfc3339(after).unwrap()).unwrap())
    }

    #[test]
    fn schedules_come_round() {
        let now = "2026-03-02T09:15:04Z"; // a Monday
        assert_eq!(next("* * * * *", now), "2026-03-02T09:16:00Z");
        assert_eq!(next("0 0 * * *", now), "2026-03-03T00:00:00Z");
        assert_eq!(next("*/20 9-17 * * mon-fri", now), "2026-03-02T09:20:00Z");
        assert_eq!(next("5/30 8 * * *", now), "2026-03-03T08:05:00Z");
        assert_eq!(next("0 12 1,15 * *", now), "2026-03-15T12:00:00Z");
        assert_eq!(next("0 12 15 * sun", now), "2026-03-08T12:00:00Z", "either day field");
        assert_eq!(next("0 0 29 feb *", now), "2028-02-29T00:00:00Z");
        assert_eq!(next("@hourly", now), "2026-03-02T10:00:00Z");
        assert_eq!(Cron::parse("0 0 30 2 *").unwrap().next_after(0), None);
    }

    #[test]
    fn other_texts_are_refused_in_the_references_words() {
        for (text, error) in [
            ("abc", "expected exactly 5 fields, found 1: [abc]"),
            ("", "empty spec string"),
            ("60 * * * *", "end of range (60) above maximum (59): 60"),
            ("x * * * *", "failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax"),
            ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
            ("5-3 * * * *", "beginning of range (5) beyond end of range (3): 5-3"),
            ("*/0 * * * *", "step of range should be a positive number: */0"),
            ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
            ("1/2/3 * * * *", "too many slashes: 1/2/3"),
            ("@never", "unrecognized descriptor: @never"),
        ] {
            assert_eq!(Cron::parse(text), Err(error.to_owned()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_next_is_later(text in "[0-9*/,?a-z-]{1,6}( [0-9*/,-]{1,6}){4}", after in 0i64..4_000_000_000) {
            if let Ok(cron) = Cron::parse(&text) {
                prop_assert!(cron.next_after(after).is_none_or(|next| next > after && next % 60 == 0));
            }
        }
    }
}
