//! Numbers and tables.

use std::time::Duration;

/// Latencies of one kind of request.
#[derive(Debug, Clone, Default)]
pub struct Latencies(Vec<Duration>);

impl Latencies {
    /// From measurements in any order.
    #[must_use]
    pub fn new(mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        Self(all)
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The value that this share (0 to 1) of all stays below or at; zero if nothing was measured.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Duration {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "counts are far below 2^52 and shares between 0 and 1"
        )]
        let at = (self.0.len().saturating_sub(1) as f64 * share).round() as usize;
        self.0.get(at).copied().unwrap_or_default()
    }

    /// The median.
    #[must_use]
    pub fn median(&self) -> Duration {
        self.quantile(0.5)
    }

    /// 99 of 100 are not slower.
    #[must_use]
    pub fn p99(&self) -> Duration {
        self.quantile(0.99)
    }
}

/// The middle one of some numbers; 0 if there are none.
#[must_use]
pub fn middle(numbers: impl IntoIterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.into_iter().collect();
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or_default()
}

/// A duration in the unit that reads best.
#[must_use]
pub fn human(duration: Duration) -> String {
    let us = duration.as_secs_f64() * 1e6;
    match us {
        _ if us < 1000.0 => format!("{us:.0} µs"),
        _ if us < 1_000_000.0 => format!("{:.2} ms", us / 1000.0),
        _ => format!("{:.2} s", us / 1_000_000.0),
    }
}

/// A table in Markdown, aligned for the terminal.
#[must_use]
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|r| r.get(column)).map(|c: &String| c.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for (at, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(&widths) {
            out.push_str(&format!("| {cell:<width$} "));
        }
        out.push_str("|\n");
        if at == 0 {
            out.extend(widths.iter().map(|width| format!("|{}", "-".repeat(width + 2))));
            out.push_str("|\n");
        }
    }
    out
}

/// The load of the machine before a run, for the record.
#[must_use]
pub fn machine() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default().to_owned();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!("{cores} cores, shared with the load generator; load average at the start {load}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_sorted_values() {
        let all = Latencies::new((1..=101).rev().map(Duration::from_millis).collect());
        assert_eq!((all.median(), all.p99()), (Duration::from_millis(51), Duration::from_millis(100)));
        assert_eq!(Latencies::default().median(), Duration::ZERO);
        assert!((middle([3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
    }

    #[test]
    fn tables_are_markdown() {
        let rows = [vec!["a".to_owned(), "bb".to_owned()], vec!["ccc".to_owned(), "d".to_owned()]];
        assert_eq!(table(&rows), "| a   | bb |\n|-----|----|\n| ccc | d  |\n");
    }
}
