//! Foreign text made safe to look at. Escaping for HTML is the templates' business; this is about characters that deceive the eye.

use std::fmt::Write as _;

/// Longest text in a cell of a table, in characters.
const CELL: usize = 90;

/// A text for people: characters that are invisible or turn the direction of what follows are written out (`\u202e`), line breaks stay.
#[must_use]
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\n' || c == '\t' || !deceives(c) { out.push(c) } else { escape(c, &mut out) }
    }
    out
}

/// The same, in one line of bounded length.
#[must_use]
pub fn cell(text: &str) -> String {
    let line: String = plain(text).chars().map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
    match line.char_indices().nth(CELL) {
        None => line,
        Some((at, _)) => format!("{}…", line.get(..at).unwrap_or_default().trim_end()),
    }
}

/// A JSON string with its quotes.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if deceives(c) => escape(c, &mut out),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Whether a character is invisible, or changes how others look. (Joiners stay: emoji and some scripts need them.)
fn deceives(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// As JSON writes it.
fn escape(c: char, out: &mut String) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        // Writing to a String cannot fail.
        let _ = write!(out, "\\u{unit:04x}");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn invisible_and_turning_characters_are_written_out() {
        assert_eq!(plain("a\u{202e}b\u{0}c\u{200b}\u{1b}[2J"), "a\\u202eb\\u0000c\\u200b\\u001b[2J");
        assert_eq!(plain("行\n二\tעברית 👩‍👧"), "行\n二\tעברית 👩‍👧");
    }

    #[test]
    fn a_cell_is_one_short_line() {
        assert_eq!(cell("a\r\nb"), "a\\u000d b");
        let long = cell(&"长".repeat(500));
        assert_eq!(long.chars().count(), CELL + 1);
        assert!(long.ends_with('…'));
    }

    #[test]
    fn a_quoted_string_is_json_that_reads_back() {
        let text = "a\"b\\c\n\u{202e}\u{e0041}</script>\u{7f}é";
        let quoted = quoted(text);
        assert_eq!(serde_json::from_str::<String>(&quoted).unwrap(), text);
        assert!(!quoted.contains('\u{202e}'));
    }
}
