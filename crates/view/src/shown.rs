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

/// A text for the control of a form, in which such characters are written out too, because browsers change some of them, and nobody could see what they edit.
/// [`unwritten`] gives the text back: a backslash that would read as one of them is written out as well.
#[must_use]
pub fn written_out(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let ambiguous = c == '\\' && text.get(at..).and_then(first_written).is_some();
        if ambiguous || (deceives(c) && c != '\n' && c != '\t') { escape(c, &mut out) } else { out.push(c) }
    }
    out
}

/// The text that [`written_out`] was made of.
#[must_use]
pub fn unwritten(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (c, length) = first_written(rest).unwrap_or((c, c.len_utf8()));
        out.push(c);
        rest = rest.get(length..).unwrap_or_default();
    }
    out
}

/// The written-out character with which a text begins, and how many bytes that takes.
fn first_written(text: &str) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let hex = text.get(at..)?.strip_prefix("\\u")?.get(..4)?;
        let hex = Some(hex).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))?;
        u16::from_str_radix(hex, 16).ok()
    };
    let first = unit(0)?;
    let (c, length) = match char::from_u32(first.into()) {
        Some(c) => (c, 6),
        None => (char::decode_utf16([first, unit(6)?]).next()?.ok()?, 12),
    };
    (c == '\\' || deceives(c)).then_some((c, length))
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
    fn what_is_written_out_for_a_form_can_be_read_back() {
        assert_eq!(written_out("a\u{202e}\u{0}\r\n\tb"), "a\\u202e\\u0000\\u000d\n\tb");
        assert_eq!(written_out(r"C:\users \u0041 \n"), r"C:\users \u0041 \n");
        for text in [
            "a\u{202e}b\u{0}c\u{e0041}\u{1b}[2J\u{7f}\r",
            r"\u202e \u005cu202e \\u202e \u005c \udb40\udc41 \ud800 \u \u+123",
            "\\\u{202e} \\u20\u{202e} \\u\u{0}",
            "行\n二\tעברית 👩‍👧",
        ] {
            let written = written_out(text);
            assert!(!written.chars().any(|c| deceives(c) && c != '\n' && c != '\t'), "{written:?}");
            assert_eq!(unwritten(&written), text);
        }
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
