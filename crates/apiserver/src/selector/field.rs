//! `fieldSelector`: comma-separated terms `path=value`, `path==value`, `path!=value`; in values `\` escapes `\`, `,` and `=`.

use std::fmt;

use crate::field_error::quote;

/// A conjunction of terms; the empty one matches everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldSelector {
    requirements: Vec<FieldRequirement>,
}

/// One term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldRequirement {
    /// The field's path, e.g. `metadata.name`.
    pub field: String,
    /// Whether the value must differ.
    pub negated: bool,
    /// The value.
    pub value: String,
}

impl FieldSelector {
    /// Parses the query parameter.
    ///
    /// # Errors
    /// The text for a 400.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut requirements = Vec::new();
        for term in split_unescaped(text) {
            if term.is_empty() {
                continue;
            }
            let Some((field, negated, value)) = split_term(term) else {
                return Err(format!("invalid selector: '{text}'; can't understand '{term}'"));
            };
            requirements.push(FieldRequirement { field: field.to_owned(), negated, value: unescape(value)? });
        }
        Ok(Self { requirements })
    }

    /// Whether everything matches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// The terms, in the order given.
    #[must_use]
    pub fn requirements(&self) -> &[FieldRequirement] {
        &self.requirements
    }

    /// The paths that are asked about; a path may come several times.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.requirements.iter().map(|r| r.field.as_str())
    }

    /// Whether an object meets every term; `value` gives the object's field, and an absent field counts as empty.
    pub fn matches(&self, mut value: impl FnMut(&str) -> Option<String>) -> bool {
        self.requirements.iter().all(|r| (value(&r.field).unwrap_or_default() == r.value) != r.negated)
    }

    /// The value that `field` must equal, if a term says so. Other terms may contradict it; [`FieldSelector::matches`] still decides.
    #[must_use]
    pub fn exact(&self, field: &str) -> Option<&str> {
        self.requirements.iter().find(|r| r.field == field && !r.negated).map(|r| r.value.as_str())
    }

    /// Refuses paths other than `metadata.name`, `metadata.namespace` and those that the resource declares.
    ///
    /// # Errors
    /// The text for a 400: `"spec.x" is not a known field selector: only "metadata.name", "metadata.namespace"`.
    pub fn known(&self, selectable: &[&str]) -> Result<(), String> {
        const ALWAYS: [&str; 2] = ["metadata.name", "metadata.namespace"];
        match self.fields().find(|f| !ALWAYS.contains(f) && !selectable.contains(f)) {
            None => Ok(()),
            Some(unknown) => {
                let known: Vec<_> = ALWAYS.iter().chain(selectable).map(|f| quote(f)).collect();
                Err(format!("{} is not a known field selector: only {}", quote(unknown), known.join(", ")))
            }
        }
    }
}

impl fmt::Display for FieldSelector {
    /// A text that parses to the same selector.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, r) in self.requirements.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            f.write_str(&r.field)?;
            f.write_str(if r.negated { "!=" } else { "=" })?;
            for c in r.value.chars() {
                if matches!(c, '\\' | ',' | '=') {
                    f.write_str("\\")?;
                }
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}

/// The parts between commas that no backslash precedes.
fn split_unescaped(text: &str) -> impl Iterator<Item = &str> {
    let mut escaped = false;
    text.split(move |c| {
        let splits = c == ',' && !escaped;
        escaped = c == '\\' && !escaped;
        splits
    })
}

fn split_term(term: &str) -> Option<(&str, bool, &str)> {
    let at = term.find('=')?;
    let (before, after) = (term.get(..at)?, term.get(at + 1..)?);
    Some(match before.strip_suffix('!') {
        Some(field) => (field, true, after),
        None => (before, false, after.strip_prefix('=').unwrap_or(after)),
    })
}

fn unescape(value: &str) -> Result<String, String> {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('\\' | ',' | '=')) => out.push(c),
                other => {
                    let sequence: String = [Some('\\'), other].into_iter().flatten().collect();
                    return Err(format!("invalid field selector: invalid escape sequence: {sequence}"));
                }
            },
            // The character's number: so do kube's texts show it.
            ',' | '=' => {
                return Err(format!(
                    "invalid field selector: unescaped character in value: {}",
                    u32::from(c)
                ));
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use proptest::prelude::*;

    use super::*;

    fn object(path: &str) -> Option<String> {
        match path {
            "metadata.name" => Some("a,b=c\\".to_owned()),
            "spec.userID" => Some("u-1".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn terms_match_and_escapes_are_understood() {
        for met in [
            "",
            ",",
            "spec.userID=u-1",
            "spec.userID==u-1",
            "spec.userID!=u-2",
            r"metadata.name=a\,b\=c\\",
            r"metadata.name=a\,b\=c\\,spec.userID!=x",
            "metadata.namespace=",
        ] {
            assert!(FieldSelector::parse(met).unwrap().matches(object), "{met}");
        }
        for unmet in
            ["spec.userID=u-2", "spec.userID!=u-1", "spec.userID=u-1,spec.userID=u-2", "metadata.namespace=x"]
        {
            assert!(!FieldSelector::parse(unmet).unwrap().matches(object), "{unmet}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (text, error) in [
            ("metadata.name", "invalid selector: 'metadata.name'; can't understand 'metadata.name'"),
            ("a=b=c", "invalid field selector: unescaped character in value: 61"),
            (r"a=\x", r"invalid field selector: invalid escape sequence: \x"),
            (r"a=b\", r"invalid field selector: invalid escape sequence: \"),
        ] {
            assert_eq!(FieldSelector::parse(text), Err(error.to_owned()), "{text}");
        }
    }

    #[test]
    fn an_unknown_field_is_refused_with_the_known_ones() {
        let selector = FieldSelector::parse("metadata.name=a,spec.x=b").unwrap();
        assert_eq!(
            selector.known(&[]),
            Err("\"spec.x\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
                .to_owned())
        );
        assert_eq!(selector.known(&["spec.x"]), Ok(()));
        assert_eq!(selector.exact("metadata.name"), Some("a"));
        assert_eq!(selector.exact("spec.y"), None);
    }

    proptest! {
        #[test]
        fn what_is_printed_is_parsed(terms in proptest::collection::vec(("[a-z.]{1,8}", any::<bool>(), "\\PC{0,8}"), 0..4)) {
            let requirements =
                terms.into_iter().map(|(field, negated, value)| FieldRequirement { field, negated, value }).collect();
            let selector = FieldSelector { requirements };
            prop_assert_eq!(FieldSelector::parse(&selector.to_string()), Ok(selector));
        }

        #[test]
        fn any_text_is_parsed_or_refused(text in "\\PC{0,40}", like in "[ab!=\\\\,.]{0,30}") {
            let _ = (FieldSelector::parse(&text), FieldSelector::parse(&like));
        }
    }
}
