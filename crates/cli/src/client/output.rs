//! Results for people and for programs: tables, JSON, YAML, names.

use std::io::IsTerminal;

use clap::ValueEnum;
use serde_json::{Value, json};

pub use super::error::printable as plain;
use super::error::printable;

/// How results are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table for people.
    #[default]
    Table,
    /// JSON, as the server has it.
    Json,
    /// YAML, the same.
    Yaml,
    /// `kind.group/name`, one a line.
    Name,
}

/// Whether a terminal shows it, and so may be coloured.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    colour: bool,
}

impl Look {
    /// For standard output; `NO_COLOR` is respected.
    #[must_use]
    pub fn of_stdout() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        Self { colour: wanted && std::io::stdout().is_terminal() }
    }

    /// For files and pipes.
    #[cfg(test)]
    pub const PLAIN: Self = Self { colour: false };
}

/// Columns and rows.
#[derive(Debug)]
pub struct Table {
    columns: Vec<&'static str>,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    cells: Vec<String>,
    faint: bool,
}

impl Table {
    /// An empty table.
    #[must_use]
    pub fn new(columns: &[&'static str]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// One more row; a faint one is about something that counts no more. Empty cells show as `-`.
    pub fn row(&mut self, cells: &[&str], faint: bool) {
        let cell = |text: &&str| if text.is_empty() { "-".to_owned() } else { printable(text) };
        self.rows.push(Row { cells: cells.iter().map(cell).collect(), faint });
    }

    /// The table as text: columns three spaces apart, as kubectl's.
    #[must_use]
    pub fn render(&self, look: Look) -> String {
        let width = |column: usize| {
            let cells =
                self.rows.iter().filter_map(|row| row.cells.get(column)).map(|cell| cell.chars().count());
            let title = self.columns.get(column).map_or(0, |title| title.len());
            cells.max().unwrap_or(0).max(title)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            let padded = cells.zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            let text = padded.collect::<Vec<_>>().join("   ");
            text.trim_end().to_owned()
        };
        let mut out = painted(&line(&mut self.columns.iter().copied()), "1", look);
        for row in &self.rows {
            let text = line(&mut row.cells.iter().map(String::as_str));
            out.push('\n');
            out.push_str(&if row.faint { painted(&text, "2", look) } else { text });
        }
        out.push('\n');
        out
    }
}

fn painted(text: &str, code: &str, look: Look) -> String {
    if look.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// Objects in a format of programs: one as it is, more as kubectl's `List`. `None` for tables, which differ by kind.
///
/// `resource` is what names begin with, such as `token.management.cattle.io`.
#[must_use]
pub fn objects(objects: &[Value], resource: &str, format: Format) -> Option<String> {
    let list =
        || json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": objects});
    match format {
        Format::Table => None,
        Format::Json => Some(format!("{:#}\n", list())),
        Format::Yaml => Some(serde_saphyr::to_string(&list()).unwrap_or_default()),
        Format::Name => {
            let name =
                |object: &Value| object.pointer("/metadata/name").and_then(Value::as_str).map(printable);
            let lines = objects.iter().filter_map(name).map(|name| format!("{resource}/{name}\n"));
            Some(lines.collect())
        }
    }
}

/// One object in JSON or YAML.
#[must_use]
pub fn object(object: &Value, format: Format) -> String {
    match format {
        Format::Yaml => serde_saphyr::to_string(object).unwrap_or_default(),
        _ => format!("{object:#}\n"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn columns_are_aligned_and_nothing_trails() {
        let mut table = Table::new(&["NAME", "KIND"]);
        table.row(&["agent-ü", "agent"], false);
        table.row(&["x", ""], true);
        assert_eq!(table.render(Look::PLAIN), "NAME      KIND\nagent-ü   agent\nx         -\n");
        let coloured = table.render(Look { colour: true });
        assert!(coloured.starts_with("\u{1b}[1mNAME") && coloured.contains("\u{1b}[2mx "), "{coloured}");
    }

    #[test]
    fn a_cell_cannot_move_the_cursor() {
        let mut table = Table::new(&["A"]);
        table.row(&["\u{1b}[2J\nB"], false);
        assert_eq!(table.render(Look::PLAIN), "A\n [2J B\n");
    }

    #[test]
    fn programs_get_lists_that_they_can_read_back() {
        let all =
            [json!({"metadata": {"name": "a"}, "ttl": 0}), json!({"metadata": {"name": "b"}, "d": "yes"})];
        let read: Value = serde_json::from_str(&objects(&all, "x", Format::Json).unwrap()).unwrap();
        assert_eq!(read["items"], Value::from(all.to_vec()));
        let yaml: Value = serde_saphyr::from_str(&objects(&all, "x", Format::Yaml).unwrap()).unwrap();
        assert_eq!(yaml, read);
        assert_eq!(objects(&all, "token.x", Format::Name).unwrap(), "token.x/a\ntoken.x/b\n");
        assert_eq!(objects(&all, "x", Format::Table), None);
    }
}
