//! What is wrong with which field: the causes of a 422.

use std::fmt;

use crate::Tree;

/// One complaint about one field.
///
/// Never give a secret as the bad value: the text goes to logs and terminals. Use [`FieldError::forbidden`] or [`FieldError::required`] there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The field's path, e.g. `spec.ttl` or `metadata.ownerReferences[0].uid`.
    pub field: String,
    /// The machine-readable reason.
    pub reason: CauseReason,
    /// The text without the path, e.g. `Invalid value: "x": must be …`.
    pub message: String,
}

/// The machine-readable reason of a cause (`details.causes[].reason`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CauseReason {
    /// `FieldValueNotFound`
    NotFound,
    /// `FieldValueRequired`
    Required,
    /// `FieldValueDuplicate`
    Duplicate,
    /// `FieldValueInvalid`
    Invalid,
    /// `FieldValueNotSupported`
    NotSupported,
    /// `FieldValueForbidden`
    Forbidden,
    /// `FieldValueTooLong`
    TooLong,
    /// `FieldValueTooMany`
    TooMany,
    /// `FieldValueTypeInvalid`
    TypeInvalid,
    /// `InternalError`
    Internal,
    /// `FieldManagerConflict`
    FieldManagerConflict,
}

impl CauseReason {
    /// The word in `details.causes[].reason`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "FieldValueNotFound",
            Self::Required => "FieldValueRequired",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::Internal => "InternalError",
            Self::FieldManagerConflict => "FieldManagerConflict",
        }
    }
}

impl FieldError {
    /// `Required value: <why>`
    pub fn required(field: impl Into<String>, why: impl fmt::Display) -> Self {
        Self::new(field, CauseReason::Required, with("Required value", why))
    }

    /// `Invalid value: "<value>": <why>`
    pub fn invalid(field: impl Into<String>, value: impl Into<Tree>, why: impl fmt::Display) -> Self {
        Self::new(field, CauseReason::Invalid, with(&format!("Invalid value: {}", shown(&value.into())), why))
    }

    /// `Unsupported value: "<value>": supported values: "a", "b"`
    pub fn unsupported(field: impl Into<String>, value: impl Into<Tree>, supported: &[&str]) -> Self {
        let supported: Vec<_> = supported.iter().map(|s| quote(s)).collect();
        let message = format!(
            "Unsupported value: {}: supported values: {}",
            shown(&value.into()),
            supported.join(", ")
        );
        Self::new(field, CauseReason::NotSupported, message)
    }

    /// `Forbidden: <why>`
    pub fn forbidden(field: impl Into<String>, why: impl fmt::Display) -> Self {
        Self::new(field, CauseReason::Forbidden, with("Forbidden", why))
    }

    /// `Duplicate value: "<value>"`
    pub fn duplicate(field: impl Into<String>, value: impl Into<Tree>) -> Self {
        Self::new(field, CauseReason::Duplicate, format!("Duplicate value: {}", shown(&value.into())))
    }

    /// `Not found: "<value>"`
    pub fn not_found(field: impl Into<String>, value: impl Into<Tree>) -> Self {
        Self::new(field, CauseReason::NotFound, format!("Not found: {}", shown(&value.into())))
    }

    /// `Too long: may not be more than <max> bytes`
    pub fn too_long(field: impl Into<String>, max_bytes: usize) -> Self {
        Self::new(field, CauseReason::TooLong, format!("Too long: may not be more than {max_bytes} bytes"))
    }

    /// `Too many: <actual>: must have at most <max> items`
    pub fn too_many(field: impl Into<String>, actual: usize, max: usize) -> Self {
        Self::new(field, CauseReason::TooMany, format!("Too many: {actual}: must have at most {max} items"))
    }

    /// `Invalid value: "<value>": <why>`, for a value of the wrong type
    pub fn wrong_type(field: impl Into<String>, value: impl Into<Tree>, why: impl fmt::Display) -> Self {
        Self::new(
            field,
            CauseReason::TypeInvalid,
            with(&format!("Invalid value: {}", shown(&value.into())), why),
        )
    }

    /// `Internal error: <why>`
    pub fn internal(field: impl Into<String>, why: impl fmt::Display) -> Self {
        Self::new(field, CauseReason::Internal, with("Internal error", why))
    }

    fn new(field: impl Into<String>, reason: CauseReason, message: String) -> Self {
        Self { field: field.into(), reason, message }
    }
}

impl fmt::Display for FieldError {
    /// `<field>: <message>`, as it appears inside a Status' message.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// A text in double quotes with the escapes that Go's `%q` makes.
#[must_use]
pub fn quote(text: &str) -> String {
    use fmt::Write as _;
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\u{b}' => out.push_str("\\v"),
            // Writing to a String cannot fail.
            c if c.is_control() && c.is_ascii() => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c if c.is_control()
                || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}') =>
            {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Values are echoed, so that people find their mistake, but not without bound.
const SHOWN_CHARS: usize = 1024;

fn shown(value: &Tree) -> String {
    match value {
        Tree::String(text) => quote(&cut(text)),
        other => cut(&other.to_string()),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((at, _)) => format!("{}...", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn with(head: &str, why: impl fmt::Display) -> String {
    let why = why.to_string();
    if why.is_empty() { head.to_owned() } else { format!("{head}: {why}") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn texts_are_kubes() {
        let all = [
            FieldError::required("metadata.name", "name or generateName is required"),
            FieldError::invalid("spec.ttl", -2, "must be positive"),
            FieldError::invalid("a", "x\"y", "must be …"),
            FieldError::unsupported("dryRun", "x", &["All", "None"]),
            FieldError::forbidden("force", "may not be specified for non-apply patch"),
            FieldError::duplicate("a", "v"),
            FieldError::not_found("a", "v"),
            FieldError::too_long("metadata.annotations", 262_144),
            FieldError::too_many("a", 5, 3),
            FieldError::internal("a", "m"),
        ];
        let texts: Vec<_> = all.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "metadata.name: Required value: name or generateName is required",
                "spec.ttl: Invalid value: -2: must be positive",
                "a: Invalid value: \"x\\\"y\": must be …",
                "dryRun: Unsupported value: \"x\": supported values: \"All\", \"None\"",
                "force: Forbidden: may not be specified for non-apply patch",
                "a: Duplicate value: \"v\"",
                "a: Not found: \"v\"",
                "metadata.annotations: Too long: may not be more than 262144 bytes",
                "a: Too many: 5: must have at most 3 items",
                "a: Internal error: m",
            ]
        );
    }

    #[test]
    fn a_huge_value_is_not_echoed_whole() {
        assert!(FieldError::invalid("a", "é".repeat(100_000), "no").message.len() < 5000);
    }

    #[test]
    fn control_characters_never_reach_the_terminal() {
        assert_eq!(quote("a\u{1b}[31m\n\u{202e}"), "\"a\\x1b[31m\\n\\u202e\"");
    }
}
