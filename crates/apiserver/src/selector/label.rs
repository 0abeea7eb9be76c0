//! `labelSelector`: comma-separated requirements on labels.
//!
//! ```text
//! selector    = [ requirement { "," requirement } ]
//! requirement = key | "!" key | key ("=" | "==" | "!=" | ">" | "<") value | key ("in" | "notin") "(" value { "," value } ")"
//! ```
//!
//! White space may stand between tokens; a value may be empty. `!=` and `notin` are also met by objects that lack the key.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::field_error::quote;
use crate::metadata::{label_value_faults, qualified_name_faults};

/// A conjunction of requirements; the empty one matches everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
}

/// One requirement on one label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// What must hold.
    pub operator: Operator,
}

/// What must hold of a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operator {
    /// The label is there.
    Exists,
    /// The label is not there.
    DoesNotExist,
    /// The label is there with one of these values.
    In(BTreeSet<String>),
    /// The label is not there, or has none of these values.
    NotIn(BTreeSet<String>),
    /// The label's value is a larger integer.
    Greater(i64),
    /// The label's value is a smaller integer.
    Less(i64),
}

impl LabelSelector {
    /// Parses the query parameter.
    ///
    /// # Errors
    /// The text for a 400, beginning with `unable to parse requirement: `.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { tokens: tokens(text), at: 0 };
        parser
            .selector()
            .map(|requirements| Self { requirements })
            .map_err(|why| format!("unable to parse requirement: {why}"))
    }

    /// Whether these labels meet every requirement.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.requirements.iter().all(|r| r.operator.holds(labels.get(&r.key).map(String::as_str)))
    }

    /// Whether everything matches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// The requirements, in the order given.
    #[must_use]
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }
}

impl Operator {
    /// Whether a label with this value (or none) meets it.
    #[must_use]
    pub fn holds(&self, value: Option<&str>) -> bool {
        let number = || value?.parse::<i64>().ok();
        match self {
            Self::Exists => value.is_some(),
            Self::DoesNotExist => value.is_none(),
            Self::In(values) => value.is_some_and(|v| values.contains(v)),
            Self::NotIn(values) => value.is_none_or(|v| !values.contains(v)),
            Self::Greater(bound) => number().is_some_and(|n| n > *bound),
            Self::Less(bound) => number().is_some_and(|n| n < *bound),
        }
    }
}

impl fmt::Display for LabelSelector {
    /// A text that parses to the same selector.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, Requirement { key, operator }) in self.requirements.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            let set =
                |values: &BTreeSet<String>| values.iter().map(String::as_str).collect::<Vec<_>>().join(",");
            match operator {
                Operator::Exists => f.write_str(key)?,
                Operator::DoesNotExist => write!(f, "!{key}")?,
                Operator::In(values) => write!(f, "{key} in ({})", set(values))?,
                Operator::NotIn(values) => write!(f, "{key} notin ({})", set(values))?,
                Operator::Greater(bound) => write!(f, "{key}>{bound}")?,
                Operator::Less(bound) => write!(f, "{key}<{bound}")?,
            }
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    /// One of `! = == != ( ) , > <`.
    Symbol(&'a str),
    End,
}

impl Token<'_> {
    fn text(self) -> String {
        match self {
            Self::Word(text) | Self::Symbol(text) => text.to_owned(),
            Self::End => String::new(),
        }
    }
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    const SPECIAL: [char; 7] = ['=', '!', '(', ')', '>', '<', ','];
    let mut found = Vec::new();
    let mut rest = text.trim_start_matches(is_space);
    while !rest.is_empty() {
        let symbol = ["==", "!="].into_iter().find(|s| rest.starts_with(s)).map(str::len);
        let symbol = symbol.or_else(|| rest.starts_with(SPECIAL).then_some(1));
        let length = symbol
            .unwrap_or_else(|| rest.find(|c| is_space(c) || SPECIAL.contains(&c)).unwrap_or(rest.len()));
        let (token, tail) = rest.split_at_checked(length).unwrap_or((rest, ""));
        found.push(if symbol.is_some() { Token::Symbol(token) } else { Token::Word(token) });
        rest = tail.trim_start_matches(is_space);
    }
    found
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Token<'a> {
        self.tokens.get(self.at).copied().unwrap_or(Token::End)
    }

    fn next(&mut self) -> Token<'a> {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn selector(&mut self) -> Result<Vec<Requirement>, String> {
        let mut requirements = Vec::new();
        match self.peek() {
            Token::End => return Ok(requirements),
            Token::Word(_) | Token::Symbol("!") => {}
            other => return Err(expected(other, "!, identifier, or 'end of string'")),
        }
        loop {
            requirements.push(self.requirement()?);
            match self.next() {
                Token::End => return Ok(requirements),
                Token::Symbol(",") => {}
                other => return Err(expected(other, "',' or 'end of string'")),
            }
            if !matches!(self.peek(), Token::Word(_) | Token::Symbol("!")) {
                return Err(expected(self.peek(), "identifier after ','"));
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let negated = self.peek() == Token::Symbol("!");
        if negated {
            self.at += 1;
        }
        let key = match self.next() {
            Token::Word(key) => key.to_owned(),
            other => return Err(expected(other, "identifier")),
        };
        if let Some(fault) = qualified_name_faults(&key).into_iter().next() {
            return Err(format!("key: Invalid value: {}: {fault}", quote(&key)));
        }
        let operator = if negated { Operator::DoesNotExist } else { self.operator(&key)? };
        Ok(Requirement { key, operator })
    }

    fn operator(&mut self, key: &str) -> Result<Operator, String> {
        if matches!(self.peek(), Token::End | Token::Symbol(",")) {
            return Ok(Operator::Exists);
        }
        Ok(match self.next() {
            Token::Symbol("=" | "==") => Operator::In([self.exact(key)?].into()),
            Token::Symbol("!=") => Operator::NotIn([self.exact(key)?].into()),
            Token::Word("in") => Operator::In(self.set(key)?),
            Token::Word("notin") => Operator::NotIn(self.set(key)?),
            Token::Symbol(">") => Operator::Greater(self.bound(key)?),
            Token::Symbol("<") => Operator::Less(self.bound(key)?),
            other => return Err(expected(other, "in, notin, =, ==, !=, gt, lt")),
        })
    }

    fn exact(&mut self, key: &str) -> Result<String, String> {
        let value = match self.peek() {
            Token::End | Token::Symbol(",") => return Ok(String::new()),
            Token::Word(value) => value,
            other @ Token::Symbol(_) => return Err(expected(other, "identifier")),
        };
        self.at += 1;
        value_of(key, 0, value)
    }

    fn bound(&mut self, key: &str) -> Result<i64, String> {
        let value = self.exact(key)?;
        value.parse().map_err(|_| {
            format!(
                "values[0]: Invalid value: {}: for 'Gt', 'Lt' operators, the value must be an integer",
                quote(&value)
            )
        })
    }

    /// `()` is the set of the empty value; so is every empty place between commas.
    fn set(&mut self, key: &str) -> Result<BTreeSet<String>, String> {
        match self.next() {
            Token::Symbol("(") => {}
            other => return Err(format!("found '{}' expected: '('", other.text())),
        }
        let mut values = BTreeSet::new();
        loop {
            let value = match self.peek() {
                Token::Word(value) => {
                    self.at += 1;
                    value_of(key, values.len(), value)?
                }
                Token::Symbol("," | ")") => String::new(),
                other if values.is_empty() => return Err(expected(other, "',', ')' or identifier")),
                other => return Err(expected(other, "',', or identifier")),
            };
            values.insert(value);
            match self.next() {
                Token::Symbol(")") => return Ok(values),
                Token::Symbol(",") => {}
                other => return Err(expected(other, "',' or ')'")),
            }
        }
    }
}

fn value_of(key: &str, index: usize, value: &str) -> Result<String, String> {
    match label_value_faults(value).into_iter().next() {
        Some(fault) => Err(format!("values[{index}][{key}]: Invalid value: {}: {fault}", quote(value))),
        None => Ok(value.to_owned()),
    }
}

fn expected(found: Token<'_>, what: &str) -> String {
    format!("found '{}', expected: {what}", found.text())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use proptest::prelude::*;

    use super::*;

    fn matches(selector: &str, labels: &[(&str, &str)]) -> bool {
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        LabelSelector::parse(selector).unwrap().matches(&labels)
    }

    #[test]
    fn every_operator_does_what_kubectl_users_expect() {
        let app = &[("app", "web"), ("n", "5"), ("empty", "")][..];
        for met in [
            "",
            "  ",
            "app",
            "!other",
            "app=web",
            "app == web",
            "app!=db",
            "other!=db",
            "app in (web,db)",
            "app in(db , web)",
            "app notin (db)",
            "other notin (web)",
            "n>4",
            "n<6",
            "empty=",
            "empty in (,x)",
            "empty in ()",
            "empty in (x,)",
            "app=web,n,!other",
            "in!=notin",
            "app = web , n > 4",
        ] {
            assert!(matches(met, app), "{met}");
        }
        for unmet in [
            "!app",
            "other",
            "app=db",
            "app!=web",
            "app in (db)",
            "app in ()",
            "app notin (web)",
            "n>5",
            "n<5",
            "app>4",
            "other<4",
            "app=",
        ] {
            assert!(!matches(unmet, app), "{unmet}");
        }
    }

    #[test]
    fn errors_are_worded_as_kubes() {
        for (selector, text) in [
            ("a=b=c", "found '=', expected: ',' or 'end of string'"),
            ("a,", "found '', expected: identifier after ','"),
            ("=a", "found '=', expected: !, identifier, or 'end of string'"),
            ("a b", "found 'b', expected: in, notin, =, ==, !=, gt, lt"),
            ("a in b", "found 'b' expected: '('"),
            ("a in (b", "found '', expected: ',' or ')'"),
            ("a in (", "found '', expected: ',', ')' or identifier"),
            ("a in (b,", "found '', expected: ',', or identifier"),
            ("a in (b c)", "found 'c', expected: ',' or ')'"),
            ("a,,b", "found ',', expected: identifier after ','"),
            ("!a in (b)", "found 'in', expected: ',' or 'end of string'"),
            ("a=!b", "found '!', expected: identifier"),
            ("!", "found '', expected: identifier"),
            ("!a=b", "found '=', expected: ',' or 'end of string'"),
            (
                "a>x",
                "values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer",
            ),
            ("a==(", "found '(', expected: identifier"),
        ] {
            assert_eq!(
                LabelSelector::parse(selector),
                Err(format!("unable to parse requirement: {text}")),
                "{selector}"
            );
        }
        assert_eq!(
            LabelSelector::parse("a/b/c").unwrap_err().split("(e.g.").next().unwrap(),
            "unable to parse requirement: key: Invalid value: \"a/b/c\": a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
        );
        assert!(
            LabelSelector::parse("a=-b")
                .unwrap_err()
                .contains("values[0][a]: Invalid value: \"-b\": a valid label must be an empty string or")
        );
    }

    fn requirement() -> impl Strategy<Value = Requirement> {
        let values = || proptest::collection::btree_set("([a-z0-9]([a-z0-9._-]{0,5}[a-z0-9])?)?", 1..4);
        let operator = prop_oneof![
            Just(Operator::Exists),
            Just(Operator::DoesNotExist),
            values().prop_map(Operator::In),
            values().prop_map(Operator::NotIn),
            (0..i64::MAX).prop_map(Operator::Greater),
            (0..i64::MAX).prop_map(Operator::Less),
        ];
        ("([a-z]{1,5}\\.[a-z]{1,3}/)?[a-zA-Z0-9]([a-z0-9._-]{0,5}[a-z0-9])?", operator)
            .prop_map(|(key, operator)| Requirement { key, operator })
    }

    proptest! {
        #[test]
        fn what_is_printed_is_parsed(requirements in proptest::collection::vec(requirement(), 0..5)) {
            let selector = LabelSelector { requirements };
            prop_assert_eq!(LabelSelector::parse(&selector.to_string()), Ok(selector));
        }

        #[test]
        fn any_text_is_parsed_or_refused(text in "\\PC{0,40}", like in "[ab!=()<>, \\-./]{0,30}") {
            let _ = (LabelSelector::parse(&text), LabelSelector::parse(&like));
        }
    }
}
